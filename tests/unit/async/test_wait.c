#include "async_test.h"
#include "core/async/wait.h"

struct box {
    struct cond c;
    int n, got;
};

static err_t taker(void *arg) {
    struct box *b = arg;
    while (b->n == 0)
        TRY(cond_wait(&b->c, DEADLINE_NONE));
    b->n--;
    b->got++;
    return NULL;
}

TEST(cond_signal_wakes_one) {
    struct box b = {0};
    cond_init(&b.c);
    struct fiber *f[3];
    for (size_t i = 0; i < 3; i++)
        f[i] = fiber_spawn("taker", NULL, taker, &b);
    OK(fiber_sleep(1));
    b.n = 1;
    cond_signal(&b.c);
    OK(fiber_sleep(1));
    CHECK(b.got == 1);
    b.n = 2;
    cond_broadcast(&b.c);
    for (size_t i = 0; i < 3; i++)
        OK(fiber_join(f[i]));
    cond_done(&b.c);
    return NULL;
}

/* The signalled fiber is cancelled before it runs: the signal must not vanish with it. */
TEST(cond_signal_survives_cancel) {
    struct box b = {0};
    cond_init(&b.c);
    struct fiber *f = fiber_spawn("taker", NULL, taker, &b), *g = fiber_spawn("taker", NULL, taker, &b);
    OK(fiber_sleep(1));
    b.n = 1;
    cond_signal(&b.c);
    fiber_cancel(f);
    OK(fiber_join(f));
    CHECK(b.got == 1 && b.n == 0);
    fiber_cancel(g);
    FAILS(ERR_CANCELLED, fiber_join(g));
    FAILS(ERR_TIMEOUT, cond_wait(&b.c, loop_now() + 3));
    cond_done(&b.c);
    return NULL;
}

static err_t down_later(void *arg) {
    TRY(fiber_sleep(2));
    latch_down(arg);
    return NULL;
}

TEST(latch_counts_down) {
    struct latch l;
    latch_init(&l, 3);
    for (int i = 0; i < 3; i++)
        fiber_spawn_detached("down", NULL, down_later, &l);
    OK(latch_wait(&l, DEADLINE_NONE));
    OK(latch_wait(&l, DEADLINE_NONE));
    latch_done(&l);
    return NULL;
}

struct user {
    struct semaphore *s;
    char *trace;
    char name;
    uint64_t hold;
};
static err_t use(void *arg) {
    struct user *u = arg;
    TRY(sem_acquire(u->s, DEADLINE_NONE));
    size_t n = strlen(u->trace);
    u->trace[n] = u->name;
    err_t e = fiber_sleep(u->hold);
    sem_release(u->s);
    return e;
}

TEST(semaphore_is_fair_and_bounded) {
    struct semaphore s;
    char trace[16] = "";
    sem_setup(&s, 1, 3);
    struct user u[4];
    struct fiber *f[4];
    for (size_t i = 0; i < 4; i++) {
        u[i] = (struct user){&s, trace, (char)('a' + i), 60};
        f[i] = fiber_spawn("user", NULL, use, &u[i]);
    }
    OK(fiber_sleep(1));
    CHECK(!sem_try(&s) && s.queued == 3);
    FAILS(ERR_BUSY, sem_acquire(&s, DEADLINE_NONE));
    fiber_cancel(f[2]);
    FAILS(ERR_CANCELLED, fiber_join(f[2]));
    CHECK(s.queued == 2);
    OK(fiber_join(f[0]));
    OK(fiber_join(f[1]));
    OK(fiber_join(f[3]));
    CHECK(strcmp(trace, "abd") == 0 && s.free == 1 && s.queued == 0);
    OK(sem_acquire(&s, DEADLINE_NONE));
    FAILS(ERR_TIMEOUT, sem_acquire(&s, loop_now() + 3));
    CHECK(s.queued == 0);
    sem_release(&s);
    sem_teardown(&s);
    return NULL;
}

/* Handed a unit, then cancelled before running: the unit comes back through its own release. */
TEST(semaphore_unit_survives_cancel) {
    struct semaphore s;
    char trace[16] = "";
    sem_setup(&s, 1, 3);
    CHECK(sem_try(&s));
    struct user u = {&s, trace, 'x', 1000};
    struct fiber *f = fiber_spawn("user", NULL, use, &u);
    OK(fiber_sleep(1));
    sem_release(&s);
    fiber_cancel(f);
    FAILS(ERR_CANCELLED, fiber_join(f));
    CHECK(s.free == 1 && s.queued == 0);
    sem_teardown(&s);
    return NULL;
}

static struct mutex m;
static int inside, entered;
static err_t critical(void *arg) {
    (void)arg;
    for (int i = 0; i < 20; i++) {
        TRY(mutex_lock(&m, DEADLINE_NONE));
        CHECK(inside++ == 0);
        entered++;
        TRY(fiber_yield());
        inside--;
        mutex_unlock(&m);
    }
    return NULL;
}

TEST(mutex_excludes) {
    mutex_init(&m);
    struct fiber *f[5];
    for (size_t i = 0; i < 5; i++)
        f[i] = fiber_spawn("crit", NULL, critical, NULL);
    for (size_t i = 0; i < 5; i++)
        OK(fiber_join(f[i]));
    CHECK(entered == 100);
    mutex_done(&m);
    return NULL;
}

static err_t producer(void *arg) {
    for (uintptr_t i = 1; i <= 100; i++)
        TRY(chan_send(arg, (void *)i, DEADLINE_NONE));
    chan_close(arg);
    return NULL;
}

TEST(chan_keeps_order_and_bound) {
    struct chan c;
    chan_init(&c, 4);
    struct fiber *f = fiber_spawn("prod", NULL, producer, &c);
    OK(fiber_sleep(2));
    CHECK(c.n == 4);
    CHECK(!chan_try_send(&c, NULL));
    void *p;
    for (uintptr_t i = 1; i <= 100; i++) {
        OK(chan_recv(&c, &p, DEADLINE_NONE));
        CHECK(p == (void *)i);
    }
    FAILS(ERR_GONE, chan_recv(&c, &p, DEADLINE_NONE));
    FAILS(ERR_GONE, chan_send(&c, p, DEADLINE_NONE));
    OK(fiber_join(f));
    chan_done(&c);
    return NULL;
}

static err_t receiver(void *arg) {
    void *p;
    return chan_recv(arg, &p, DEADLINE_NONE);
}

TEST(chan_close_wakes_receivers) {
    struct chan c;
    chan_init(&c, 1);
    struct fiber *f = fiber_spawn("recv", NULL, receiver, &c);
    OK(fiber_sleep(1));
    chan_close(&c);
    FAILS(ERR_GONE, fiber_join(f));
    void *p;
    FAILS(ERR_GONE, chan_recv(&c, &p, loop_now() + 1));
    chan_done(&c);
    return NULL;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        LOOP_TEST(cond_signal_wakes_one),
        LOOP_TEST(cond_signal_survives_cancel),
        LOOP_TEST(latch_counts_down),
        LOOP_TEST(semaphore_is_fair_and_bounded),
        LOOP_TEST(semaphore_unit_survives_cancel),
        LOOP_TEST(mutex_excludes),
        LOOP_TEST(chan_keeps_order_and_bound),
        LOOP_TEST(chan_close_wakes_receivers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
