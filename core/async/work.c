#include "core/async/work.h"
#include <stdlib.h>
#include "core/async/fiber.h"
#include "core/async/loop.h"
#include "core/async/work_fiber.h"
#include "core/base/check.h"

static const struct {
    const char *name;
    size_t threads, max_queue;
} LANES[WORK_LANES] = {
    [WORK_GIT] = {"df-git", 4, 128},
    [WORK_HASH] = {"df-hash", 2, 32}, /* each box takes tens of MiB and tens of ms on purpose: refuse early */
    [WORK_FILE] = {"df-file", 2, 128},
    [WORK_GENERAL] = {"df-general", 2, 128},
};
static struct work_pool pools[WORK_LANES];

/* Shared by job and fiber; on the fiber's stack, so an abandoned job must never be handed out. */
struct await {
    struct fiber *fiber;
    bool finished;
};

void pool_drain(struct work_pool *p) {
    for (struct work_job *j; (j = pool_take_done(p)) != NULL;) {
        struct await *w = j->owner;
        w->finished = true;
        fiber_wake(w->fiber);
        free(j);
    }
}

static void on_done(void *arg) { pool_drain(arg); }
void pool_notify_loop(struct work_pool *p) { loop_post(on_done, p); }

err_t pool_run(struct work_pool *p, const char *why, void (*run)(void *box), void *box, void (*drop)(void *box),
               atomic_bool *abort_flag, uint64_t deadline) {
    struct await w = {.fiber = fiber_self()};
    CHECK(w.fiber != NULL);
    err_t gone = fiber_check();
    if (gone != NULL) {
        drop != NULL ? drop(box) : free(box);
        return gone;
    }
    struct work_job *j = calloc(1, sizeof(*j));
    CHECK(j != NULL);
    *j = (struct work_job){.run = run, .drop = drop, .box = box, .abort_flag = abort_flag, .owner = &w};
    if (!pool_submit(p, j)) {
        free(j);
        return err_new(ERR_BUSY, "the %s queue is full, try again later", why);
    }
    while (!w.finished) {
        err_t e = fiber_park(why, deadline);
        if (e == NULL || w.finished)
            continue;
        if (pool_abandon(p, j))
            return e;
        free(j); /* it finished this very moment: the result counts */
        return NULL;
    }
    return NULL;
}

err_t work_run(enum work_lane lane, void (*run)(void *box), void *box, void (*drop)(void *box), atomic_bool *abort_flag,
               uint64_t deadline) {
    static const char *const WHY[WORK_LANES] = {"git work", "hash work", "file work", "general work"};
    CHECK(lane < WORK_LANES);
    return pool_run(&pools[lane], WHY[lane], run, box, drop, abort_flag, deadline);
}

struct work_stats work_stats_get(enum work_lane lane) {
    CHECK(lane < WORK_LANES);
    struct work_pool *p = &pools[lane];
    pthread_mutex_lock(&p->lock);
    struct work_stats s = {.name = p->name + 3,
                           .threads = p->nthreads,
                           .busy = p->busy,
                           .queued = p->nqueued,
                           .max_queue = p->max_queue,
                           .done = p->ndone,
                           .abandoned = p->nabandoned,
                           .refused = p->nrefused};
    pthread_mutex_unlock(&p->lock);
    return s;
}

void work_init(void) {
    for (size_t i = 0; i < WORK_LANES; i++)
        pool_init(&pools[i], LANES[i].name, LANES[i].threads, LANES[i].max_queue, pool_notify_loop);
}

void work_fini(void) {
    for (size_t i = 0; i < WORK_LANES; i++)
        pool_fini(&pools[i]);
}
