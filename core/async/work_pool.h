/* A bounded thread pool without any knowledge of fibers or the loop (so that it can run under ThreadSanitizer).
 * work.h is its face for fibers; dns.c has a pool of its own. Private to core/async. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core/base/list.h"

enum work_state { JOB_QUEUED, JOB_RUNNING, JOB_DONE };

/** Heap object of the caller of pool_submit; freed by whoever takes it last (see below). */
struct work_job {
    struct list link;
    enum work_state state;
    void (*run)(void *box);
    void (*drop)(void *box);
    void *box;
    atomic_bool *abort_flag;
    bool abandoned;
    void *owner; /* for notify */
};

enum { WORK_POOL_THREADS_MAX = 16 };
struct work_pool {
    const char *name; /* at most 15 bytes: thread name */
    size_t max_threads, max_queue;
    /** Called on the worker, outside the lock, after jobs were added to `done`. */
    void (*notify)(struct work_pool *p);

    pthread_mutex_t lock;
    pthread_cond_t filled;
    pthread_t threads[WORK_POOL_THREADS_MAX];
    size_t nthreads, idle, busy, nqueued;
    struct list queue, done;
    bool stopping;
    uint64_t ndone, nabandoned, nrefused;
};

void pool_init(struct work_pool *p, const char *name, size_t threads, size_t max_queue,
               void (*notify)(struct work_pool *p));
/** Waits for running boxes, drops queued ones. */
void pool_fini(struct work_pool *p);
/** false when the queue is full. The job stays the caller's until it is taken from pool_take_done or abandoned. */
bool pool_submit(struct work_pool *p, struct work_job *j);
/** The next finished job that was not abandoned, or NULL. */
struct work_job *pool_take_done(struct work_pool *p);
/** The waiter gives up. false: it had just finished and now is the caller's again (out of the done list); true: the pool
 * drops the box (right here if it never ran, else on the worker) and frees the job. */
bool pool_abandon(struct work_pool *p, struct work_job *j);
