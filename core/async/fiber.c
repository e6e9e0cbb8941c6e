#include "core/async/fiber.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "core/async/fiber_internal.h"
#include "core/async/loop.h"
#include "core/async/loop_internal.h"
#include "core/base/check.h"

enum {
    RUN_MAX_PER_TURN = 512,
    RUN_MAX_US_PER_TURN = 10000, /* then I/O gets a look again */
    SLOW_US = 20000,
    FINI_PATIENCE_MS = 5000,
};

static struct {
    struct fiber *running;
    struct list all, ready;
    size_t nready;
    uint64_t last_id;
    struct fiber_stats stats;
    struct fiber *reaper; /* parked in fiber_cancel_all */
    void (*error_hook)(const char *name, err_t e);
    void (*slow_hook)(const char *name, const char *label, uint64_t ran_us);
} F;

struct list *fiber_all(void) {
    return &F.all;
}
struct fiber *fiber_self(void) {
    return F.running;
}
bool fiber_on_fiber(void) { return F.running != NULL; }
uint64_t fiber_id(void) { return F.running != NULL ? F.running->id : 0; }
const char *fiber_label(void) { return F.running != NULL ? F.running->label : ""; }
bool fiber_ended(const struct fiber *f) { return f->state == FIBER_ENDED; }
void fiber_set_error_hook(void (*hook)(const char *name, err_t e)) { F.error_hook = hook; }
void fiber_set_slow_hook(void (*hook)(const char *name, const char *label, uint64_t ran_us)) { F.slow_hook = hook; }

static struct fiber *self_checked(void) {
    CHECK(F.running != NULL); /* a call that YIELDS was made on the loop stack */
    return F.running;
}

static void copy_name(char dst[FIBER_NAME_MAX + 1], const char *src) {
    size_t n = src ? strnlen(src, FIBER_NAME_MAX) : 0;
    if (n > 0)
        memcpy(dst, src, n);
    dst[n] = '\0';
}

void fiber_set_label(const char *label) { copy_name(self_checked()->label, label); }

static void make_ready(struct fiber *f) {
    f->state = FIBER_READY;
    list_add_tail(&F.ready, &f->ready);
    F.nready++;
    loop_kick();
}

struct fiber *fiber_spawn(const char *name, struct arena *a, fiber_fn *fn, void *arg) {
    CHECK(loop_on_thread() && fn != NULL);
    struct fiber *f = calloc(1, sizeof(*f));
    CHECK(f != NULL);
    f->magic = FIBER_MAGIC;
    f->id = ++F.last_id;
    copy_name(f->name, name);
    copy_name(f->label, fiber_label());
    f->fn = fn;
    f->arg = arg;
    f->arena = a ? arena_ref(a) : arena_new("fiber", 0);
    f->current = f->arena;
    f->deadline = DEADLINE_NONE;
    f->park_deadline = DEADLINE_NONE;
    f->born_ms = loop_now();
    list_add_tail(&F.all, &f->all);
    F.stats.live++;
    F.stats.spawned++;
    make_ready(f);
    return f;
}

void fiber_spawn_detached(const char *name, struct arena *a, fiber_fn *fn, void *arg) {
    fiber_spawn(name, a, fn, arg)->detached = true;
}

/* ---- end of life ---- */

static void fiber_release(struct fiber *f) {
    arena_unref(f->arena);
    f->magic = 0;
    free(f);
}

static void report_lost_error(struct fiber *f) {
    if (f->result == NULL || F.error_hook == NULL)
        return;
    struct arena *outer = arena_set_current(f->arena);
    F.error_hook(f->name, f->result);
    arena_set_current(outer);
}

void fiber_detach(struct fiber *f) {
    CHECK(f->magic == FIBER_MAGIC && !f->detached && f->joiner == NULL);
    f->detached = true;
    if (f->state == FIBER_ENDED) {
        report_lost_error(f);
        fiber_release(f);
    }
}

void fiber_main(struct fiber *f) {
    f->result = f->fn(f->arg);
    CHECK(f->masked == 0);
    f->state = FIBER_ENDED;
}

static void on_ended(struct fiber *f) {
    size_t peak = arena_peak(f->arena);
    if (peak > F.stats.arena_peak_max)
        F.stats.arena_peak_max = peak;
    list_del(&f->all);
    F.stats.live--;
    fiber_stack_put(f->stack);
    f->stack = NULL;
    if (F.reaper != NULL)
        fiber_wake(F.reaper);
    if (f->joiner != NULL) {
        fiber_wake(f->joiner);
    } else if (f->detached) {
        report_lost_error(f);
        fiber_release(f);
    }
}

/* ---- scheduling ---- */

static void run_one(struct fiber *f) {
    if (f->stack == NULL)
        fiber_switch_prepare(f);
    f->state = FIBER_RUNNING;
    __atomic_store_n(&F.running, f, __ATOMIC_RELEASE); /* the watchdog asks from its thread */
    F.stats.switches++;
    fiber_switch_in(f);
    __atomic_store_n(&F.running, NULL, __ATOMIC_RELEASE);
}

bool fiber_any_ready(void) { return F.nready > 0; }

void fiber_run_ready(void) {
    size_t budget = F.nready < RUN_MAX_PER_TURN ? F.nready : RUN_MAX_PER_TURN;
    if (budget == 0)
        return;
    uint64_t start = clock_mono_us(), last = start;
    while (budget-- > 0 && F.nready > 0) {
        struct fiber *f = list_entry(list_pop(&F.ready), struct fiber, ready);
        F.nready--;
        run_one(f);
        uint64_t now = clock_mono_us();
        if (now - last > SLOW_US && F.slow_hook != NULL)
            F.slow_hook(f->name, f->label, now - last);
        last = now;
        if (f->state == FIBER_ENDED)
            on_ended(f);
        if (now - start > RUN_MAX_US_PER_TURN)
            break;
    }
}

void fiber_wake(struct fiber *f) {
    CHECK(loop_on_thread() && f->magic == FIBER_MAGIC);
    if (f->state == FIBER_PARKED) {
        fiber_timer_del(f);
        F.stats.parked--;
        make_ready(f);
    } else if (f->state == FIBER_RUNNING) {
        f->wake_pending = true;
    }
}

void fiber_timed_out(struct fiber *f) {
    f->timed_out = true;
    fiber_wake(f);
}

void fiber_cancel(struct fiber *f) {
    CHECK(loop_on_thread() && f->magic == FIBER_MAGIC);
    if (f->cancelled || f->state == FIBER_ENDED)
        return;
    f->cancelled = true;
    if (f->masked == 0 && f->state == FIBER_PARKED)
        fiber_wake(f);
}

/* ---- parking ---- */

/* Timeouts and cancels are routine in long-lived fibers: they must not grow the arena with every tick. `why` strings are
 * static, so one error per string lasts for the process. */
enum { WHY_SLOTS = 256, WHY_TEXT = 96 };
static struct {
    const char *why;
    struct err err;
    char text[WHY_TEXT];
} timeouts[WHY_SLOTS];

static err_t timeout_error(const char *why) {
    size_t at = ((uintptr_t)why >> 3) % WHY_SLOTS;
    for (size_t i = 0; i < 8; i++, at = (at + 1) % WHY_SLOTS) {
        if (timeouts[at].why == NULL) {
            timeouts[at].why = why;
            (void)snprintf(timeouts[at].text, WHY_TEXT, "timed out while waiting: %s", why);
            timeouts[at].err =
                (struct err){.code = ERR_TIMEOUT, .message = timeouts[at].text, .file = __FILE__, .line = __LINE__};
        }
        if (timeouts[at].why == why)
            return &timeouts[at].err;
    }
    static const struct err plain = {.code = ERR_TIMEOUT, .message = "timed out", .file = __FILE__, .line = __LINE__};
    return &plain;
}

static err_t cancelled_error(void) {
    static const struct err e = {.code = ERR_CANCELLED, .message = "cancelled", .file = __FILE__, .line = __LINE__};
    return &e;
}

static bool cancel_due(const struct fiber *f) { return f->cancelled && f->masked == 0; }

err_t fiber_park(const char *why, uint64_t deadline) {
    struct fiber *f = self_checked();
    CHECK(f->state == FIBER_RUNNING);
    if (cancel_due(f))
        return cancelled_error();
    if (f->wake_pending) {
        f->wake_pending = false;
        return NULL;
    }
    f->park_deadline = f->masked ? deadline : deadline_min(deadline, f->deadline);
    if (f->park_deadline <= loop_now())
        return timeout_error(why);
    f->why = why;
    f->timed_out = false;
    f->parked_ms = loop_now();
    f->state = FIBER_PARKED;
    F.stats.parked++;
    fiber_timer_add(f);
    fiber_switch_out(f);
    f->why = NULL;
    if (cancel_due(f))
        return cancelled_error();
    return f->timed_out ? timeout_error(why) : NULL;
}

err_t fiber_check(void) { return cancel_due(self_checked()) ? cancelled_error() : NULL; }

err_t fiber_yield(void) {
    struct fiber *f = self_checked();
    TRY(fiber_check());
    f->why = "yield";
    f->parked_ms = loop_now();
    make_ready(f);
    fiber_switch_out(f);
    f->why = NULL;
    return fiber_check();
}

err_t fiber_sleep(uint64_t ms) {
    if (ms == 0)
        return fiber_yield();
    uint64_t until = loop_now() + ms;
    if (until < ms)
        until = DEADLINE_NONE;
    for (;;) {
        err_t e = fiber_park("sleep", until);
        if (e != NULL && e->code == ERR_TIMEOUT && loop_now() >= until)
            return NULL;
        TRY(e);
    }
}

void fiber_mask(void) { self_checked()->masked++; }

void fiber_unmask(void) {
    CHECK(self_checked()->masked > 0);
    F.running->masked--;
}

uint64_t fiber_set_deadline(uint64_t deadline) {
    uint64_t old = self_checked()->deadline;
    F.running->deadline = deadline;
    return old;
}

uint64_t fiber_deadline(void) { return F.running != NULL ? F.running->deadline : DEADLINE_NONE; }

/* ---- joining ---- */

err_t fiber_join(struct fiber *f) {
    struct fiber *me = self_checked();
    CHECK(f->magic == FIBER_MAGIC && f != me && !f->detached && f->joiner == NULL);
    f->joiner = me;
    bool gave_up = false;
    while (f->state != FIBER_ENDED) {
        if (!gave_up && fiber_park("join", DEADLINE_NONE) != NULL) {
            /* Cancelled, or past the deadline. f may use our stack, so it is waited for in any case. */
            gave_up = true;
            fiber_cancel(f);
        } else if (gave_up) {
            fiber_mask();
            err_ignore(fiber_park("join after cancel", DEADLINE_NONE));
            fiber_unmask();
        }
    }
    err_t e = f->result;
    if (e != NULL)
        e = err_dup(arena_current(), e);
    fiber_release(f);
    return e;
}

static void cancel_others(const struct fiber *but) {
    for
        list_each_safe(it, tmp, &F.all) {
            struct fiber *f = list_entry(it, struct fiber, all);
            if (f != but)
                fiber_cancel(f);
        }
}

size_t fiber_cancel_all(uint64_t deadline) {
    struct fiber *me = self_checked();
    CHECK(F.reaper == NULL);
    F.reaper = me;
    fiber_mask(); /* the one who sweeps is often itself being shut down */
    for (;;) {
        cancel_others(me); /* each round: compensation may have spawned more */
        if (F.stats.live <= 1 || fiber_park("cancel_all", deadline) != NULL)
            break;
    }
    fiber_unmask();
    F.reaper = NULL;
    return F.stats.live - 1;
}

struct fiber_stats fiber_stats_get(void) {
    struct fiber_stats s = F.stats;
    s.stacks_cached = fiber_stack_cached();
    return s;
}

/* ---- process life ---- */

static const struct fiber_stack *running_stack(void) { return F.running != NULL ? F.running->stack : NULL; }

static void say(const char *s) {
    ssize_t n = write(STDERR_FILENO, s, strlen(s));
    (void)n;
}

/* Reads a pointer of the loop thread from a signal handler or the watchdog: good enough for last words. */
void fiber_report_running(const char *headline) {
    const struct fiber *f = __atomic_load_n(&F.running, __ATOMIC_ACQUIRE);
    say("dockflow: ");
    say(headline);
    say(f != NULL ? " in fiber \"" : " on the loop stack");
    if (f != NULL) {
        say(f->name);
        say("\" label \"");
        say(f->label);
        say("\"");
    }
    say("\n");
}

void fiber_init(void) {
    memset(&F, 0, sizeof(F));
    list_init(&F.all);
    list_init(&F.ready);
    fiber_timer_init();
    fiber_stack_watch_overflow(running_stack, fiber_report_running);
}

void fiber_drain(void) {
    uint64_t end = uv_hrtime() / 1000000 + FINI_PATIENCE_MS;
    while (F.stats.live > 0 && uv_hrtime() / 1000000 < end) {
        cancel_others(NULL);
        loop_kick();
        uv_run(loop_uv(), UV_RUN_NOWAIT);
        if (F.nready == 0 && F.stats.live > 0)
            uv_sleep(1);
    }
}

void fiber_fini(void) {
    for
        list_each_safe(it, tmp, &F.all) {
            struct fiber *f = list_entry(it, struct fiber, all);
            (void)fprintf(stderr, "loop_fini: fiber \"%s\" never ended (%s)\n", f->name, f->why ? f->why : "running");
        }
    CHECK(F.stats.live == 0);
    fiber_timer_fini();
    fiber_stack_free_cache();
    fiber_stack_unwatch_overflow();
}
