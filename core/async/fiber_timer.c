/* Deadlines of parked fibers: a binary heap and one uv_timer for its top. Removing does not re-arm: a timer that fires for
 * nothing once per busy period is cheaper than one system-wide re-arm per park. */
#include <stdlib.h>
#include "core/async/fiber_internal.h"
#include "core/async/loop.h"
#include "core/base/check.h"

static struct {
    struct timer timer;
    struct fiber **v; /* 1-based */
    size_t n, cap;
    uint64_t armed; /* UINT64_MAX = not armed */
} H;

static void put(size_t at, struct fiber *f) {
    H.v[at] = f;
    f->heap_at = at;
}

static void sift_up(size_t at, struct fiber *f) {
    while (at > 1 && H.v[at / 2]->park_deadline > f->park_deadline) {
        put(at, H.v[at / 2]);
        at /= 2;
    }
    put(at, f);
}

static void sift_down(size_t at, struct fiber *f) {
    for (;;) {
        size_t kid = at * 2;
        if (kid > H.n)
            break;
        if (kid < H.n && H.v[kid + 1]->park_deadline < H.v[kid]->park_deadline)
            kid++;
        if (H.v[kid]->park_deadline >= f->park_deadline)
            break;
        put(at, H.v[kid]);
        at = kid;
    }
    put(at, f);
}

static void arm(void) {
    if (H.n == 0 || H.v[1]->park_deadline >= H.armed)
        return;
    H.armed = H.v[1]->park_deadline;
    uint64_t now = loop_now();
    timer_start(&H.timer, H.armed > now ? H.armed - now : 0, 0);
}

static void on_due(void *arg) {
    (void)arg;
    H.armed = UINT64_MAX;
    uint64_t now = loop_now();
    while (H.n > 0 && H.v[1]->park_deadline <= now)
        fiber_timed_out(H.v[1]); /* takes it out of the heap */
    arm();
}

void fiber_timer_init(void) {
    H.n = 0;
    H.armed = UINT64_MAX;
    timer_init(&H.timer, on_due, NULL);
}

void fiber_timer_fini(void) {
    CHECK(H.n == 0);
    timer_close(&H.timer);
    free(H.v);
    H.v = NULL;
    H.cap = 0;
}

void fiber_timer_add(struct fiber *f) {
    if (f->park_deadline == DEADLINE_NONE)
        return;
    if (H.n + 2 > H.cap) {
        H.cap = H.cap ? H.cap * 2 : 64;
        H.v = reallocarray(H.v, H.cap, sizeof(struct fiber *));
        CHECK(H.v != NULL);
    }
    sift_up(++H.n, f);
    arm();
}

void fiber_timer_del(struct fiber *f) {
    size_t at = f->heap_at;
    if (at == 0)
        return;
    f->heap_at = 0;
    struct fiber *last = H.v[H.n--];
    if (last == f)
        return;
    if (at > 1 && H.v[at / 2]->park_deadline > last->park_deadline)
        sift_up(at, last);
    else
        sift_down(at, last);
}
