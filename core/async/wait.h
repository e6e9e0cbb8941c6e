/* Waiting between fibers: condition, latch, semaphore, channel. In-place objects; loop thread only. Destroying one with
 * waiters is a CHECK failure. All waits YIELD and return ERR_CANCELLED / ERR_TIMEOUT. */
#pragma once
#include "core/base/err.h"
#include "core/base/list.h"

struct cond {
    struct list waiters;
};
void cond_init(struct cond *c);
void cond_done(struct cond *c);
MUST_CHECK err_t cond_wait(struct cond *c, uint64_t deadline); /* spurious wake-ups: loop on a predicate */
void cond_signal(struct cond *c);
void cond_broadcast(struct cond *c);

struct latch { /* one-shot or counted-down event */
    struct cond c;
    size_t count;
};
void latch_init(struct latch *l, size_t count);
void latch_down(struct latch *l);
MUST_CHECK err_t latch_wait(struct latch *l, uint64_t deadline);
void latch_done(struct latch *l);

struct semaphore { /* FIFO-fair */
    struct list waiters;
    size_t free, max, queued, max_queue;
};
/** max_queue waiters beyond which acquire fails with ERR_BUSY at once. */
void sem_setup(struct semaphore *s, size_t max, size_t max_queue);
MUST_CHECK err_t sem_acquire(struct semaphore *s, uint64_t deadline);
bool sem_try(struct semaphore *s);
void sem_release(struct semaphore *s);
void sem_teardown(struct semaphore *s);

struct mutex { /* FIFO; for keeping order between fibers across yields */
    struct semaphore s;
};
void mutex_init(struct mutex *m);
MUST_CHECK err_t mutex_lock(struct mutex *m, uint64_t deadline);
void mutex_unlock(struct mutex *m);
void mutex_done(struct mutex *m);

struct chan { /* bounded queue of pointers */
    struct cond readable, writable;
    void **ring;
    size_t head, n, cap;
    bool closed;
};
void chan_init(struct chan *c, size_t cap);
void chan_done(struct chan *c); /* items left are the owner's business: drain first */
MUST_CHECK err_t chan_send(struct chan *c, void *item, uint64_t deadline); /* ERR_GONE when closed */
bool chan_try_send(struct chan *c, void *item); /* false when full or closed; loop stack ok */
MUST_CHECK err_t chan_recv(struct chan *c, void **ret, uint64_t deadline); /* ERR_GONE when closed and empty */
void chan_close(struct chan *c);
