#include "async_test.h"
#include <unistd.h>
#include "core/async/work.h"

struct sum {
    int in, out;
    unsigned ms;
    atomic_bool abort;
    atomic_int *dropped;
};

static struct sum *sum_new(int in, unsigned ms, atomic_int *dropped) {
    struct sum *s = calloc(1, sizeof(*s));
    CHECK(s != NULL);
    s->in = in;
    s->ms = ms;
    s->dropped = dropped;
    return s;
}

static void sum_run(void *box) {
    struct sum *s = box;
    for (unsigned i = 0; i < s->ms && !atomic_load(&s->abort); i++)
        usleep(1000);
    s->out = s->in * 2;
    CHECK(!loop_on_thread());
}

static void sum_drop(void *box) {
    struct sum *s = box;
    atomic_fetch_add(s->dropped, 1);
    free(s);
}

TEST(runs_off_the_loop) {
    struct sum *s = sum_new(21, 1, NULL);
    OK(work_run(WORK_GENERAL, sum_run, s, sum_drop, &s->abort, DEADLINE_NONE));
    CHECK(s->out == 42);
    free(s);
    CHECK(work_stats_get(WORK_GENERAL).done == 1);
    return NULL;
}

static atomic_int dropped;

TEST(timeout_abandons_and_the_pool_drops) {
    dropped = 0;
    struct sum *s = sum_new(1, 2000, &dropped);
    FAILS(ERR_TIMEOUT, work_run(WORK_FILE, sum_run, s, sum_drop, &s->abort, loop_now() + 10));
    for (int i = 0; i < 500 && dropped == 0; i++)
        OK(fiber_sleep(2));
    CHECK(dropped == 1);
    CHECK(work_stats_get(WORK_FILE).abandoned == 1);
    return NULL;
}

static err_t hash_one(void *arg) {
    struct sum *s = sum_new(1, (unsigned)(uintptr_t)arg, &dropped);
    err_t e = work_run(WORK_HASH, sum_run, s, sum_drop, &s->abort, DEADLINE_NONE);
    if (e == NULL || err_is(e, ERR_BUSY))
        free(s);
    return e;
}

TEST(queue_is_bounded) {
    dropped = 0;
    struct fiber *f[40];
    for (size_t i = 0; i < 40; i++)
        f[i] = fiber_spawn("hash", NULL, hash_one, (void *)10000);
    OK(fiber_sleep(30));
    struct work_stats st = work_stats_get(WORK_HASH);
    CHECK(st.threads == 2 && st.busy == 2 && st.queued <= 32 && st.refused >= 6);
    CHECK(strcmp(st.name, "hash") == 0);
    size_t busy = 0, cancelled = 0;
    for (size_t i = 0; i < 40; i++)
        fiber_cancel(f[i]);
    for (size_t i = 0; i < 40; i++) {
        err_t e = fiber_join(f[i]);
        busy += err_is(e, ERR_BUSY);
        cancelled += err_is(e, ERR_CANCELLED);
    }
    CHECK(busy + cancelled == 40 && busy == st.refused);
    CHECK(work_stats_get(WORK_HASH).queued == 0);
    for (int i = 0; i < 500 && dropped < (int)cancelled; i++)
        OK(fiber_sleep(2));
    CHECK(dropped == (int)cancelled);
    return NULL;
}

TEST(cancelled_before_submitting) {
    dropped = 0;
    struct fiber *f = fiber_spawn("hash", NULL, hash_one, (void *)1);
    fiber_cancel(f);
    FAILS(ERR_CANCELLED, fiber_join(f));
    CHECK(dropped == 1);
    return NULL;
}

static err_t churn(void *arg) {
    for (int i = 0; i < 200; i++) {
        struct sum *s = sum_new(i, 0, &dropped);
        uint64_t dl = i % 3 == 0 ? loop_now() + 1 : DEADLINE_NONE;
        err_t e = work_run((enum work_lane)(uintptr_t)arg, sum_run, s, sum_drop, &s->abort, dl);
        if (e == NULL) {
            CHECK(s->out == 2 * i);
            free(s);
        }
    }
    return NULL;
}

TEST(races_of_completion_and_timeout) {
    struct fiber *f[8];
    for (size_t i = 0; i < 8; i++)
        f[i] = fiber_spawn("churn", NULL, churn, (void *)(uintptr_t)(i % WORK_LANES));
    for (size_t i = 0; i < 8; i++)
        OK(fiber_join(f[i]));
    return NULL;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        LOOP_TEST(runs_off_the_loop),
        LOOP_TEST(timeout_abandons_and_the_pool_drops),
        LOOP_TEST(queue_is_bounded),
        LOOP_TEST(cancelled_before_submitting),
        LOOP_TEST(races_of_completion_and_timeout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
