#include "core/async/wait.h"
#include <stdlib.h>
#include "core/async/fiber.h"
#include "core/base/check.h"

/* Lives on the stack of the waiting fiber. Once `served`, it is in no list any more and the wait reports success even if
 * a cancel arrived too: otherwise a signal or a unit would be lost with the fiber that no longer wants it. */
struct waiter {
    struct list link;
    struct fiber *fiber;
    bool served;
};

static err_t wait_in(struct list *waiters, const char *why, uint64_t deadline, bool spurious_ok) {
    struct waiter w = {.fiber = fiber_self()};
    CHECK(w.fiber != NULL);
    list_add_tail(waiters, &w.link);
    err_t e;
    do {
        e = fiber_park(why, deadline);
    } while (e == NULL && !w.served && !spurious_ok);
    if (w.served)
        return NULL;
    list_del(&w.link);
    return e;
}

static bool serve_first(struct list *waiters) {
    struct list *n = list_pop(waiters);
    if (n == NULL)
        return false;
    struct waiter *w = list_entry(n, struct waiter, link);
    w->served = true;
    fiber_wake(w->fiber);
    return true;
}

/* ---- cond ---- */

void cond_init(struct cond *c) { list_init(&c->waiters); }
void cond_done(struct cond *c) { CHECK(list_empty(&c->waiters)); }
err_t cond_wait(struct cond *c, uint64_t deadline) { return wait_in(&c->waiters, "cond", deadline, true); }
void cond_signal(struct cond *c) { (void)serve_first(&c->waiters); }

void cond_broadcast(struct cond *c) {
    while (serve_first(&c->waiters)) {
    }
}

/* ---- latch ---- */

void latch_init(struct latch *l, size_t count) {
    cond_init(&l->c);
    l->count = count;
}

void latch_down(struct latch *l) {
    CHECK(l->count > 0);
    if (--l->count == 0)
        cond_broadcast(&l->c);
}

err_t latch_wait(struct latch *l, uint64_t deadline) {
    while (l->count > 0)
        TRY(wait_in(&l->c.waiters, "latch", deadline, true));
    return NULL;
}

void latch_done(struct latch *l) { cond_done(&l->c); }

/* ---- semaphore ---- */

void sem_setup(struct semaphore *s, size_t max, size_t max_queue) {
    CHECK(max > 0);
    *s = (struct semaphore){.free = max, .max = max, .max_queue = max_queue};
    list_init(&s->waiters);
}

bool sem_try(struct semaphore *s) {
    if (s->free == 0) /* units go straight to waiters, so free > 0 means nobody queues */
        return false;
    s->free--;
    return true;
}

err_t sem_acquire(struct semaphore *s, uint64_t deadline) {
    TRY(fiber_check());
    if (sem_try(s))
        return NULL;
    if (s->queued >= s->max_queue)
        return err_new(ERR_BUSY, "%zu callers wait already, try again later", s->queued);
    s->queued++;
    err_t e = wait_in(&s->waiters, "semaphore", deadline, false);
    if (e != NULL)
        s->queued--; /* a served waiter was taken off the count by sem_release */
    return e;
}

void sem_release(struct semaphore *s) {
    if (serve_first(&s->waiters)) {
        s->queued--;
        return;
    }
    CHECK(s->free < s->max);
    s->free++;
}

void sem_teardown(struct semaphore *s) { CHECK(list_empty(&s->waiters)); }

/* ---- mutex ---- */

void mutex_init(struct mutex *m) { sem_setup(&m->s, 1, SIZE_MAX); }
err_t mutex_lock(struct mutex *m, uint64_t deadline) { return sem_acquire(&m->s, deadline); }
void mutex_unlock(struct mutex *m) { sem_release(&m->s); }

void mutex_done(struct mutex *m) {
    CHECK(m->s.free == 1);
    sem_teardown(&m->s);
}

/* ---- chan ---- */

void chan_init(struct chan *c, size_t cap) {
    CHECK(cap > 0);
    *c = (struct chan){.cap = cap, .ring = calloc(cap, sizeof(void *))};
    CHECK(c->ring != NULL);
    cond_init(&c->readable);
    cond_init(&c->writable);
}

void chan_done(struct chan *c) {
    cond_done(&c->readable);
    cond_done(&c->writable);
    free(c->ring);
    c->ring = NULL;
}

static err_t chan_gone(void) { return err_new(ERR_GONE, "channel is closed"); }

bool chan_try_send(struct chan *c, void *item) {
    if (c->closed || c->n == c->cap)
        return false;
    c->ring[(c->head + c->n++) % c->cap] = item;
    cond_signal(&c->readable);
    return true;
}

err_t chan_send(struct chan *c, void *item, uint64_t deadline) {
    TRY(fiber_check());
    for (;;) {
        if (c->closed)
            return chan_gone();
        if (chan_try_send(c, item))
            return NULL;
        TRY(wait_in(&c->writable.waiters, "channel full", deadline, true));
    }
}

err_t chan_recv(struct chan *c, void **ret, uint64_t deadline) {
    TRY(fiber_check());
    while (c->n == 0) {
        if (c->closed)
            return chan_gone();
        TRY(wait_in(&c->readable.waiters, "channel empty", deadline, true));
    }
    *ret = c->ring[c->head];
    c->head = (c->head + 1) % c->cap;
    c->n--;
    cond_signal(&c->writable);
    return NULL;
}

void chan_close(struct chan *c) {
    c->closed = true;
    cond_broadcast(&c->readable);
    cond_broadcast(&c->writable);
}
