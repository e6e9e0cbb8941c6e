#include "async_test.h"
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "core/async/wait.h"
#include "core/base/json.h"

static char trace[256];
static void note(const char *s) {
    size_t n = strlen(trace);
    (void)snprintf(trace + n, sizeof(trace) - n, "%s", s);
}

static err_t noter(void *arg) {
    note(arg);
    TRY(fiber_yield());
    note(arg);
    return NULL;
}

TEST(spawn_is_queued_and_fair) {
    trace[0] = '\0';
    struct fiber *a = fiber_spawn("a", NULL, noter, (char[]){"a"});
    struct fiber *b = fiber_spawn("b", NULL, noter, (char[]){"b"});
    note("-");
    CHECK(strcmp(trace, "-") == 0);
    OK(fiber_join(a));
    OK(fiber_join(b));
    CHECK(strcmp(trace, "-abab") == 0);
    return NULL;
}

static err_t sleeper(void *arg) {
    err_t e = fiber_sleep((uintptr_t)arg);
    if (e != NULL) {
        FAILS(ERR_CANCELLED, fiber_sleep(1)); /* stays cancelled until the function returned */
        FAILS(ERR_CANCELLED, fiber_yield());
        FAILS(ERR_CANCELLED, fiber_check());
        fiber_mask();
        OK(fiber_check());
        OK(fiber_sleep(2));
        fiber_mask();
        fiber_unmask();
        OK(fiber_sleep(1));
        fiber_unmask();
        FAILS(ERR_CANCELLED, fiber_sleep(1));
    }
    return e;
}

TEST(cancel_is_sticky_and_maskable) {
    struct fiber *f = fiber_spawn("s", NULL, sleeper, (void *)60000);
    OK(fiber_sleep(5));
    CHECK(!fiber_ended(f));
    fiber_cancel(f);
    fiber_cancel(f);
    FAILS(ERR_CANCELLED, fiber_join(f));
    /* cancelled before its first instruction: still runs, so that its argument finds an owner */
    f = fiber_spawn("s", NULL, sleeper, (void *)60000);
    fiber_cancel(f);
    FAILS(ERR_CANCELLED, fiber_join(f));
    return NULL;
}

static err_t masked_sleeper(void *arg) {
    bool *done = arg;
    fiber_mask();
    OK(fiber_sleep(300));
    fiber_unmask();
    *done = true;
    return fiber_check();
}

TEST(cancel_waits_for_mask) {
    bool done = false;
    struct fiber *f = fiber_spawn("m", NULL, masked_sleeper, &done);
    OK(fiber_sleep(3));
    fiber_cancel(f);
    OK(fiber_sleep(3));
    CHECK(!done);
    FAILS(ERR_CANCELLED, fiber_join(f));
    CHECK(done);
    return NULL;
}

static err_t failing(void *arg) {
    return err_detail(err_new(ERR_NOT_FOUND, "no %s here", (const char *)arg), "what", arg);
}

TEST(join_brings_the_error_over) {
    struct fiber *f = fiber_spawn("x", NULL, failing, (char[]){"thing"});
    err_t e = fiber_join(f);
    FAILS(ERR_NOT_FOUND, e);
    CHECK(strcmp(e->message, "no thing here") == 0);
    CHECK(e->details != NULL && strcmp(e->details->value, "thing") == 0);
    return NULL;
}

static err_t joiner(void *arg) { return fiber_join(fiber_spawn("inner", NULL, sleeper, arg)); }

TEST(cancelled_joiner_cancels_and_waits) {
    struct fiber *f = fiber_spawn("outer", NULL, joiner, (void *)60000);
    OK(fiber_sleep(2));
    uint64_t before = fiber_stats_get().live;
    CHECK(before == 3);
    fiber_cancel(f);
    FAILS(ERR_CANCELLED, fiber_join(f));
    CHECK(fiber_stats_get().live == 1);
    return NULL;
}

TEST(deadlines_fire_in_order) {
    uint64_t t0 = loop_now();
    uint64_t old = fiber_set_deadline(loop_now() + 20);
    CHECK(old == DEADLINE_NONE);
    err_t e = fiber_sleep(5000);
    FAILS(ERR_TIMEOUT, e);
    CHECK(strstr(e->message, "sleep") != NULL);
    CHECK(loop_now() - t0 >= 20 && loop_now() - t0 < 2000);
    FAILS(ERR_TIMEOUT, fiber_sleep(1)); /* it is past: every park says so */
    fiber_mask();
    OK(fiber_sleep(1)); /* compensation is not held to it */
    fiber_unmask();
    fiber_set_deadline(DEADLINE_NONE);
    return NULL;
}

static unsigned order[64], norder;
static uint64_t base;
static err_t timed(void *arg) {
    TRY(fiber_sleep(base + ((uintptr_t)arg * 37) % 64 - loop_now()));
    order[norder++] = (unsigned)((uintptr_t)arg * 37) % 64;
    return NULL;
}

TEST(heap_of_deadlines) {
    struct fiber *f[64];
    norder = 0;
    base = loop_now() + 200;
    for (size_t i = 0; i < 64; i++)
        f[i] = fiber_spawn("t", NULL, timed, (void *)i);
    for (size_t i = 0; i < 64; i++) {
        if (i % 5 == 0)
            fiber_cancel(f[i]);
    }
    for (size_t i = 0; i < 64; i++) {
        if (i % 5 == 0)
            FAILS(ERR_CANCELLED, fiber_join(f[i]));
        else
            OK(fiber_join(f[i]));
    }
    CHECK(norder == 51);
    for (size_t i = 1; i < norder; i++)
        CHECK(order[i] >= order[i - 1]);
    return NULL;
}

static err_t arena_user(void *arg) {
    CHECK(arena_current() == arg || arg == NULL);
    char *p = arena_printf(arena_current(), "%d", 42);
    struct arena *mine = arena_new("mine", 0), *outer = arena_set_current(mine);
    TRY(fiber_yield());
    CHECK(arena_current() == mine && strcmp(p, "42") == 0);
    arena_set_current(outer);
    arena_unref(mine);
    TRY(fiber_yield());
    CHECK(arena_current() == outer);
    return NULL;
}

TEST(arena_follows_the_fiber) {
    struct arena *a = arena_new("given", 0), *me = arena_current();
    struct fiber *f = fiber_spawn("a", a, arena_user, a), *g = fiber_spawn("b", NULL, arena_user, NULL);
    arena_unref(a);
    OK(fiber_join(f));
    OK(fiber_join(g));
    CHECK(arena_current() == me);
    return NULL;
}

static err_t label_checker(void *arg) {
    CHECK(strcmp(fiber_label(), "req-1") == 0);
    CHECK(fiber_id() > (uintptr_t)arg);
    return NULL;
}

TEST(label_is_inherited) {
    fiber_set_label("req-1");
    struct fiber *f = fiber_spawn("l", NULL, label_checker, (void *)(uintptr_t)fiber_id());
    fiber_set_label("req-2");
    OK(fiber_join(f));
    return NULL;
}

static char lost[128];
static void on_lost(const char *name, err_t e) { (void)snprintf(lost, sizeof(lost), "%s:%s", name, e->message); }

TEST(detached_errors_reach_the_hook) {
    fiber_set_error_hook(on_lost);
    fiber_spawn_detached("bg", NULL, failing, (char[]){"cake"});
    OK(fiber_sleep(2));
    CHECK(strcmp(lost, "bg:no cake here") == 0);
    struct fiber *f = fiber_spawn("late", NULL, failing, (char[]){"pie"});
    OK(fiber_sleep(2));
    CHECK(fiber_ended(f));
    fiber_detach(f);
    CHECK(strcmp(lost, "late:no pie here") == 0);
    return NULL;
}

TEST(dump_is_json) {
    struct fiber *f = fiber_spawn("dumped \"x\"", NULL, sleeper, (void *)60000);
    OK(fiber_sleep(2));
    AUTO_BUF b;
    buf_init(&b, 0, KIB(64));
    fiber_dump_json(&b);
    OK(buf_check(&b));
    struct json *j;
    OK(json_parse(arena_current(), buf_str(&b), NULL, &j));
    CHECK(json_len(j) == 2);
    CHECK(strcmp(json_get_str(json_at(j, 1), "name"), "dumped \"x\"") == 0);
    CHECK(strcmp(json_get_str(json_at(j, 1), "waits_for"), "sleep") == 0);
    CHECK(strcmp(json_get_str(json_at(j, 1), "state"), "parked") == 0);
    fiber_cancel(f);
    FAILS(ERR_CANCELLED, fiber_join(f));
    return NULL;
}

TEST(cancel_all_leaves_only_the_caller) {
    for (int i = 0; i < 20; i++)
        fiber_spawn_detached("bg", NULL, sleeper, (void *)60000);
    bool done = false;
    fiber_detach(fiber_spawn("m", NULL, masked_sleeper, &done));
    OK(fiber_sleep(1));
    CHECK(fiber_cancel_all(loop_now()) == 21); /* no time at all: says how many are left */
    CHECK(fiber_cancel_all(loop_now() + 8000) == 0);
    CHECK(done);
    return NULL;
}

static err_t quick(void *arg) {
    ++*(int *)arg;
    return fiber_yield();
}

TEST(many_fibers_recycle_stacks) {
    int n = 0;
    for (int round = 0; round < 10; round++) {
        struct fiber *f[700];
        for (size_t i = 0; i < ARRAY_LEN(f); i++)
            f[i] = fiber_spawn("q", NULL, quick, &n);
        for (size_t i = 0; i < ARRAY_LEN(f); i++)
            OK(fiber_join(f[i]));
    }
    CHECK(n == 7000);
    struct fiber_stats s = fiber_stats_get();
    CHECK(s.live == 1 && s.parked == 0 && s.stacks_cached <= 512 && s.stacks_cached > 100);
    return NULL;
}

static size_t burn(size_t depth) {
    volatile char pad[1024];
    memset((void *)pad, (int)depth, sizeof(pad));
    return depth == 0 ? (size_t)(pad[5] & 1) : burn(depth - 1) + (size_t)(pad[3] & 1);
}

static err_t deep(void *arg) {
    (void)arg;
    CHECK(burn(100) < 200);
    return NULL;
}

TEST(deep_stack_is_fine_and_reusable) {
    for (int i = 0; i < 5; i++) {
        OK(fiber_join(fiber_spawn("deep", NULL, deep, NULL)));
        OK(fiber_join(fiber_spawn("flat", NULL, sleeper, (void *)0)));
    }
    return NULL;
}

static uint64_t slow_us;
static void on_slow(const char *name, const char *label, uint64_t us) {
    (void)label;
    if (strcmp(name, "hog") == 0)
        slow_us = us;
}
static err_t hog(void *arg) {
    (void)arg;
    for (uint64_t t0 = clock_mono_ms(); clock_mono_ms() - t0 < 40;) {
    }
    return NULL;
}

TEST(hogs_are_named_and_lag_measured) {
    fiber_set_slow_hook(on_slow);
    OK(fiber_join(fiber_spawn("hog", NULL, hog, NULL)));
    OK(fiber_sleep(5));
    CHECK(slow_us >= 35000);
    CHECK(loop_stats_get().lag_max_us >= 35000);
    return NULL;
}

static err_t woken(void *arg) {
    bool *go = arg;
    while (!*go)
        TRY(fiber_park("test", DEADLINE_NONE));
    return NULL;
}

TEST(wake_is_idempotent) {
    bool go = false;
    struct fiber *f = fiber_spawn("w", NULL, woken, &go);
    OK(fiber_sleep(1));
    fiber_wake(f);
    fiber_wake(f);
    OK(fiber_sleep(1));
    go = true;
    fiber_wake(f);
    fiber_wake(f);
    OK(fiber_join(f));
    return NULL;
}

/* ---- loop pieces ---- */

static int ndefer;
static struct deferred d1, d2;
static void on_defer(void *arg) {
    ndefer++;
    if (arg != NULL)
        loop_defer_cancel(arg);
}

TEST(deferred_calls) {
    ndefer = 0;
    loop_defer(&d1, on_defer, &d2);
    loop_defer(&d2, on_defer, &d1);
    loop_defer(&d1, on_defer, &d2);
    CHECK(ndefer == 0);
    OK(fiber_yield());
    OK(fiber_sleep(1));
    CHECK(ndefer == 1 && !d2.queued);
    return NULL;
}

static void on_tick(void *arg) {
    ++*(int *)arg;
    CHECK(!fiber_on_fiber());
}

static bool woken_by_defer;
static void wake_other(void *arg) {
    woken_by_defer = true;
    fiber_wake(arg);
}

/* Deferred from a fiber, run behind the fibers of the same turn: whom it wakes must not wait for the next event. */
TEST(deferred_call_wakes_a_fiber) {
    struct fiber *f = fiber_spawn("w", NULL, woken, &woken_by_defer);
    OK(fiber_sleep(1));
    uint64_t t0 = clock_mono_ms();
    loop_defer(&d1, wake_other, f);
    OK(fiber_join(f));
    CHECK(clock_mono_ms() - t0 < 1000);
    return NULL;
}

TEST(timers) {
    int n = 0;
    struct timer t;
    timer_init(&t, on_tick, &n);
    timer_start(&t, 1, 2);
    for (int i = 0; i < 1000 && n < 3; i++)
        OK(fiber_sleep(2));
    timer_stop(&t);
    CHECK(n >= 3);
    int before = n;
    OK(fiber_sleep(6));
    CHECK(n == before);
    timer_close(&t);
    timer_close(&t);
    return NULL;
}

/* ---- death tests ---- */

static size_t volatile sink;
static err_t overflow(void *arg) {
    (void)arg;
    sink = burn(100000000);
    return NULL;
}
static err_t stuck(void *arg) {
    (void)arg;
    for (;;)
        sink++;
    return NULL;
}

static void expect_death(err_t (*fn)(void *), bool watchdog, const char *want) {
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL);
        dup2(fds[1], STDERR_FILENO);
        loop_init();
        if (watchdog)
            loop_watchdog_start(1);
        err_ignore(loop_run_fiber("eater of stacks", fn, NULL));
        _exit(0);
    }
    close(fds[1]);
    char text[8192];
    size_t n = 0;
    for (ssize_t r; n < sizeof(text) - 1 && (r = read(fds[0], text + n, sizeof(text) - 1 - n)) > 0;)
        n += (size_t)r;
    text[n] = '\0';
    close(fds[0]);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_non_null(strstr(text, want));
    assert_non_null(strstr(text, "eater of stacks"));
}

static void overflow_names_the_fiber(void **state) {
    (void)state;
    expect_death(overflow, false, "stack overflow");
}

static void watchdog_names_the_fiber(void **state) {
    (void)state;
    expect_death(stuck, true, "stuck");
}

static void fini_cancels_what_lives(void **state) {
    (void)state;
    fiber_set_error_hook(NULL);
    for (int i = 0; i < 3; i++)
        fiber_spawn_detached("left", NULL, sleeper, (void *)60000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        LOOP_TEST(spawn_is_queued_and_fair),
        LOOP_TEST(cancel_is_sticky_and_maskable),
        LOOP_TEST(cancel_waits_for_mask),
        LOOP_TEST(join_brings_the_error_over),
        LOOP_TEST(cancelled_joiner_cancels_and_waits),
        LOOP_TEST(deadlines_fire_in_order),
        LOOP_TEST(heap_of_deadlines),
        LOOP_TEST(arena_follows_the_fiber),
        LOOP_TEST(label_is_inherited),
        LOOP_TEST(detached_errors_reach_the_hook),
        LOOP_TEST(dump_is_json),
        LOOP_TEST(cancel_all_leaves_only_the_caller),
        LOOP_TEST(many_fibers_recycle_stacks),
        LOOP_TEST(deep_stack_is_fine_and_reusable),
        LOOP_TEST(hogs_are_named_and_lag_measured),
        LOOP_TEST(wake_is_idempotent),
        LOOP_TEST(deferred_calls),
        LOOP_TEST(deferred_call_wakes_a_fiber),
        LOOP_TEST(timers),
        LOOP_TEST(fini_cancels_what_lives),
        cmocka_unit_test(overflow_names_the_fiber),
        cmocka_unit_test(watchdog_names_the_fiber),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
