#include "core/async/loop.h"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/async/fiber.h"
#include "core/async/loop_internal.h"
#include "core/async/work.h"
#include "core/base/check.h"

enum { FINI_PATIENCE_MS = 5000, LAG_WINDOW_US = 1000000 };

struct post {
    void (*cb)(void *arg);
    void *arg;
    struct post *next;
};

static struct {
    bool alive, stopping;
    pthread_t thread;
    uv_loop_t uv;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle;
    uv_async_t async;
    struct deferred *deferred_head, **deferred_tail;
    pthread_mutex_t post_lock;
    struct post *post_head, **post_tail;
    struct arena *result_arena;
    uint64_t check_ns, poll_ns, window_start_us, window_max_us;
    struct loop_stats stats;
    void (*turn_hook)(uint64_t busy_us);
} L;

/* ---- deferred callbacks ---- */

void loop_defer(struct deferred *d, void (*cb)(void *arg), void *arg) {
    CHECK(loop_on_thread());
    d->cb = cb;
    d->arg = arg;
    if (d->queued)
        return;
    d->queued = true;
    d->next = NULL;
    *L.deferred_tail = d;
    L.deferred_tail = &d->next;
    loop_kick();
}

void loop_defer_cancel(struct deferred *d) {
    if (!d->queued)
        return;
    struct deferred **at = &L.deferred_head;
    while (*at != NULL && *at != d)
        at = &(*at)->next;
    CHECK(*at == d);
    *at = d->next;
    if (L.deferred_tail == &d->next)
        L.deferred_tail = at;
    d->queued = false;
    d->next = NULL;
}

/* Only what was queued at entry: a callback that defers itself again must not keep the loop here. The sentinel travels in
 * the same list, so that cancelling any entry stays correct while the batch runs. */
static void run_deferred(void) {
    if (L.deferred_head == NULL)
        return;
    struct deferred sentinel = {.queued = true};
    *L.deferred_tail = &sentinel;
    L.deferred_tail = &sentinel.next;
    for (;;) {
        struct deferred *d = L.deferred_head;
        L.deferred_head = d->next;
        if (L.deferred_head == NULL)
            L.deferred_tail = &L.deferred_head;
        d->queued = false;
        d->next = NULL;
        if (d == &sentinel)
            break;
        d->cb(d->arg);
    }
}

/* ---- posts from other threads ---- */

void loop_post(void (*cb)(void *arg), void *arg) {
    struct post *p = malloc(sizeof(*p));
    CHECK(p != NULL);
    *p = (struct post){.cb = cb, .arg = arg};
    pthread_mutex_lock(&L.post_lock);
    *L.post_tail = p;
    L.post_tail = &p->next;
    pthread_mutex_unlock(&L.post_lock);
    CHECK(uv_async_send(&L.async) == 0);
}

static void run_posts(void) {
    pthread_mutex_lock(&L.post_lock);
    struct post *p = L.post_head;
    L.post_head = NULL;
    L.post_tail = &L.post_head;
    pthread_mutex_unlock(&L.post_lock);
    while (p != NULL) {
        struct post *next = p->next;
        p->cb(p->arg);
        free(p);
        p = next;
    }
}

static void on_async(uv_async_t *h) {
    (void)h;
    run_posts();
}

/* ---- one turn ---- */

static void on_idle(uv_idle_t *h) { (void)h; /* its being active keeps the poll from sleeping */ }

void loop_kick(void) {
    if (!uv_is_active((uv_handle_t *)&L.idle))
        uv_idle_start(&L.idle, on_idle);
}

static void note_lag(uint64_t busy_us, uint64_t now_us) {
    if (now_us - L.window_start_us > LAG_WINDOW_US) {
        L.stats.lag_last_us = L.window_max_us;
        L.window_max_us = 0;
        L.window_start_us = now_us;
    }
    if (busy_us > L.window_max_us)
        L.window_max_us = busy_us;
    if (busy_us > L.stats.lag_last_us)
        L.stats.lag_last_us = busy_us;
    if (busy_us > L.stats.lag_max_us)
        L.stats.lag_max_us = busy_us;
}

/* Busy time of a turn = callbacks inside the poll + check phase up to the next poll. When the poll woke up is known from
 * uv_now() in whole milliseconds only; rounding it up means lag is never overstated. */
static void on_prepare(uv_prepare_t *h) {
    (void)h;
    uint64_t now = uv_hrtime();
    L.stats.iterations++;
    if (L.check_ns == 0)
        return;
    uint64_t busy_us = (now - L.check_ns + L.poll_ns) / 1000;
    note_lag(busy_us, now / 1000);
    if (L.turn_hook != NULL)
        L.turn_hook(busy_us);
}

void loop_set_turn_hook(void (*fn)(uint64_t busy_us)) { L.turn_hook = fn; }

static void on_check(uv_check_t *h) {
    (void)h;
    L.check_ns = uv_hrtime();
    uint64_t woke_ns = (uv_now(&L.uv) + 1) * 1000000;
    L.poll_ns = L.check_ns > woke_ns ? L.check_ns - woke_ns : 0;
    run_deferred();
    fiber_run_ready();
    run_deferred(); /* what this batch of fibers deferred goes out in the same turn, and may wake others */
    if (!fiber_any_ready() && L.deferred_head == NULL)
        uv_idle_stop(&L.idle);
    else
        loop_kick();
}

/* ---- life ---- */

void loop_init(void) {
    CHECK(!L.alive);
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    memset(&L, 0, sizeof(L));
    L.post_lock = lock;
    L.post_tail = &L.post_head;
    L.deferred_tail = &L.deferred_head;
    L.thread = pthread_self();
    L.alive = true;
    (void)signal(SIGPIPE, SIG_IGN); /* writes to a gone peer are an EPIPE, not a death */
    CHECK(uv_loop_init(&L.uv) == 0);
    CHECK(uv_prepare_init(&L.uv, &L.prepare) == 0 && uv_prepare_start(&L.prepare, on_prepare) == 0);
    CHECK(uv_check_init(&L.uv, &L.check) == 0 && uv_check_start(&L.check, on_check) == 0);
    CHECK(uv_idle_init(&L.uv, &L.idle) == 0);
    CHECK(uv_async_init(&L.uv, &L.async, on_async) == 0);
    uv_unref((uv_handle_t *)&L.prepare);
    uv_unref((uv_handle_t *)&L.check);
    fiber_init();
    work_init();
}

void loop_run(void) {
    CHECK(L.alive && loop_on_thread() && !fiber_on_fiber());
    while (!L.stopping)
        uv_run(&L.uv, UV_RUN_DEFAULT);
    L.stopping = false;
}

void loop_stop(void) {
    CHECK(loop_on_thread());
    L.stopping = true;
    uv_stop(&L.uv);
}

struct run_fiber {
    err_t (*fn)(void *arg);
    void *arg;
    bool done;
};

static err_t run_fiber_main(void *arg) {
    struct run_fiber *r = arg;
    err_t e = r->fn(r->arg);
    if (L.result_arena != NULL)
        arena_unref(L.result_arena);
    L.result_arena = arena_new("loop_run_fiber", 0);
    e = e ? err_dup(L.result_arena, e) : NULL;
    r->done = true;
    r->arg = (void *)(uintptr_t)e;
    uv_stop(&L.uv);
    return NULL;
}

err_t loop_run_fiber(const char *name, err_t (*fn)(void *arg), void *arg) {
    CHECK(L.alive && loop_on_thread() && !fiber_on_fiber());
    struct run_fiber r = {.fn = fn, .arg = arg};
    fiber_spawn_detached(name, NULL, run_fiber_main, &r);
    while (!r.done)
        uv_run(&L.uv, UV_RUN_DEFAULT);
    L.stopping = false;
    return r.arg;
}

static void count_open(uv_handle_t *h, void *arg) {
    if (h != (uv_handle_t *)&L.prepare && h != (uv_handle_t *)&L.check && h != (uv_handle_t *)&L.idle &&
        h != (uv_handle_t *)&L.async)
        ++*(size_t *)arg;
}

static size_t handles_open(void) {
    size_t n = 0;
    uv_walk(&L.uv, count_open, &n);
    return n;
}

static void name_open(uv_handle_t *h, void *arg) {
    (void)arg;
    fprintf(stderr, "loop_fini: handle left open: %s %p%s\n", uv_handle_type_name(uv_handle_get_type(h)), (void *)h,
            uv_is_closing(h) ? " (closing)" : "");
}

/* Streams and children closed just before need turns to finish; a child may need its two seconds until SIGKILL. */
static void drain_closing(void) {
    uint64_t end = uv_hrtime() / 1000000 + FINI_PATIENCE_MS;
    while (handles_open() > 0 && uv_hrtime() / 1000000 < end) {
        loop_kick(); /* do not sleep in the poll for ever on a handle that will never close */
        uv_run(&L.uv, UV_RUN_NOWAIT);
        if (handles_open() > 0)
            uv_sleep(1);
    }
}

void loop_fini(void) {
    CHECK(L.alive && loop_on_thread() && !fiber_on_fiber());
    loop_watchdog_fini();
    fiber_drain();
    work_fini();
    dns_fini();
    uv_run(&L.uv, UV_RUN_NOWAIT);
    fiber_fini();
    drain_closing();
    if (handles_open() > 0) {
        uv_walk(&L.uv, name_open, NULL);
#ifndef NDEBUG
        CHECK(!"handles left open at loop_fini");
#endif
    }
    run_posts();
    run_deferred();
    uv_close((uv_handle_t *)&L.prepare, NULL);
    uv_close((uv_handle_t *)&L.check, NULL);
    uv_close((uv_handle_t *)&L.idle, NULL);
    uv_close((uv_handle_t *)&L.async, NULL);
    uv_run(&L.uv, UV_RUN_DEFAULT);
    int rc = uv_loop_close(&L.uv);
#ifndef NDEBUG
    CHECK(rc == 0);
#endif
    (void)rc;
    arena_unref(L.result_arena);
    pthread_mutex_destroy(&L.post_lock);
    L.result_arena = NULL;
    L.alive = false;
}

struct uv_loop_s *loop_uv(void) {
    return &L.uv;
}
uint64_t loop_now(void) { return uv_now(&L.uv); }
bool loop_on_thread(void) { return L.alive && pthread_equal(pthread_self(), L.thread); }
struct loop_stats loop_stats_get(void) {
    return L.stats;
}

/* ---- timers ---- */

struct timer_impl {
    uv_timer_t h;
    void (*cb)(void *arg);
    void *arg;
};

static void on_timer(uv_timer_t *h) {
    struct timer_impl *t = h->data;
    t->cb(t->arg);
}

static void on_timer_closed(uv_handle_t *h) { free(h->data); }

void timer_init(struct timer *t, void (*cb)(void *arg), void *arg) {
    struct timer_impl *i = calloc(1, sizeof(*i));
    CHECK(i != NULL && loop_on_thread());
    i->cb = cb;
    i->arg = arg;
    CHECK(uv_timer_init(&L.uv, &i->h) == 0);
    i->h.data = i;
    t->impl = i;
}

void timer_start(struct timer *t, uint64_t after_ms, uint64_t repeat_ms) {
    CHECK(t->impl != NULL);
    uv_timer_start(&t->impl->h, on_timer, after_ms, repeat_ms);
}

void timer_stop(struct timer *t) {
    if (t->impl != NULL)
        uv_timer_stop(&t->impl->h);
}

void timer_close(struct timer *t) {
    if (t->impl == NULL)
        return;
    uv_timer_stop(&t->impl->h);
    uv_close((uv_handle_t *)&t->impl->h, on_timer_closed);
    t->impl = NULL;
}
