#include "core/async/work_pool.h"
#include <signal.h>
#include <stdlib.h>
#include "core/base/check.h"

void pool_init(struct work_pool *p, const char *name, size_t threads, size_t max_queue,
               void (*notify)(struct work_pool *p)) {
    CHECK(threads > 0 && threads <= WORK_POOL_THREADS_MAX);
    *p = (struct work_pool){.name = name, .max_threads = threads, .max_queue = max_queue, .notify = notify};
    CHECK(pthread_mutex_init(&p->lock, NULL) == 0 && pthread_cond_init(&p->filled, NULL) == 0);
    list_init(&p->queue);
    list_init(&p->done);
}

static void job_drop(struct work_job *j) {
    if (j->drop != NULL)
        j->drop(j->box);
    else
        free(j->box);
    free(j);
}

/* Lock held; gives it up while the box runs. */
static void run_job(struct work_pool *p, struct work_job *j) {
    j->state = JOB_RUNNING;
    p->busy++;
    pthread_mutex_unlock(&p->lock);
    j->run(j->box);
    pthread_mutex_lock(&p->lock);
    p->busy--;
    p->ndone++;
    if (j->abandoned) {
        pthread_mutex_unlock(&p->lock);
        job_drop(j);
    } else {
        j->state = JOB_DONE;
        list_add_tail(&p->done, &j->link);
        pthread_mutex_unlock(&p->lock);
        p->notify(p);
    }
    pthread_mutex_lock(&p->lock);
}

static void *worker(void *arg) {
    struct work_pool *p = arg;
    pthread_mutex_lock(&p->lock);
    while (!p->stopping) {
        struct list *n = list_pop(&p->queue);
        if (n == NULL) {
            p->idle++;
            pthread_cond_wait(&p->filled, &p->lock);
            p->idle--;
            continue;
        }
        p->nqueued--;
        run_job(p, list_entry(n, struct work_job, link));
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* Lock held. Signals stay with the loop thread. */
static void start_thread(struct work_pool *p) {
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    int rc = pthread_create(&p->threads[p->nthreads], NULL, worker, p);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc == 0)
        (void)pthread_setname_np(p->threads[p->nthreads++], p->name);
}

bool pool_submit(struct work_pool *p, struct work_job *j) {
    pthread_mutex_lock(&p->lock);
    bool ok = p->nqueued < p->max_queue && !p->stopping;
    if (ok && p->idle <= p->nqueued && p->nthreads < p->max_threads)
        start_thread(p);
    ok = ok && p->nthreads > 0;
    if (ok) {
        j->state = JOB_QUEUED;
        j->abandoned = false;
        list_add_tail(&p->queue, &j->link);
        p->nqueued++;
        pthread_cond_signal(&p->filled);
    } else {
        p->nrefused++;
    }
    pthread_mutex_unlock(&p->lock);
    return ok;
}

struct work_job *pool_take_done(struct work_pool *p) {
    pthread_mutex_lock(&p->lock);
    struct list *n = list_pop(&p->done);
    pthread_mutex_unlock(&p->lock);
    return n ? list_entry(n, struct work_job, link) : NULL;
}

bool pool_abandon(struct work_pool *p, struct work_job *j) {
    pthread_mutex_lock(&p->lock);
    enum work_state was = j->state;
    if (was != JOB_RUNNING) {
        list_del(&j->link);
    } else {
        j->abandoned = true;
        if (j->abort_flag != NULL) /* under the lock: the worker may drop the box as soon as it is ours no more */
            atomic_store(j->abort_flag, true);
    }
    if (was == JOB_QUEUED)
        p->nqueued--;
    if (was != JOB_DONE)
        p->nabandoned++;
    pthread_mutex_unlock(&p->lock);
    if (was == JOB_QUEUED)
        job_drop(j);
    return was != JOB_DONE;
}

void pool_fini(struct work_pool *p) {
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_broadcast(&p->filled);
    pthread_mutex_unlock(&p->lock);
    for (size_t i = 0; i < p->nthreads; i++)
        pthread_join(p->threads[i], NULL);
    for (struct list *n; (n = list_pop(&p->queue)) != NULL;)
        job_drop(list_entry(n, struct work_job, link));
    for (struct list *n; (n = list_pop(&p->done)) != NULL;)
        job_drop(list_entry(n, struct work_job, link));
    /* The lock stays usable: a notification may still be on its way to the loop. */
}
