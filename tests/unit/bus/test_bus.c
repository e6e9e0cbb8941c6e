/* Outbox and bus on a real server: order, transactions, filters, catch-up after a gap, replay, purge. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "core/async/fiber.h"
#include "core/async/loop.h"
#include "core/async/wait.h"
#include "core/bus/bus.h"
#include "core/pg/migrate.h"
#include "tests/unit/pg/pg_lab.h"

static struct pg_conf conf;
static struct pg *db;
static struct bus *bus;

static void must(err_t e) {
    if (e != NULL)
        fail_msg("%s %s", err_code_symbol(e->code), err_chain(arena_current(), e));
}

static err_t setup_body(void *arg) {
    (void)arg;
    int n;
    db = pg_new(&conf);
    must(pg_migrate(db, &n));
    bus = bus_new(db, &conf);
    must(bus_wait_ready(bus, deadline_in(5000)));
    return fiber_sleep(100);
}
static err_t teardown_body(void *arg) {
    (void)arg;
    bus_free(bus);
    pg_free(db);
    return fiber_sleep(20);
}

struct log {
    int n, gaps;
    int64_t last;
    bool disorder;
    char topics[4096];
    struct bus_sub *sub;
};
static void on_event(void *arg, const struct bus_event *e) {
    struct log *l = arg;
    assert_false(fiber_on_fiber());
    l->disorder |= e->seq <= l->last;
    l->last = e->seq;
    l->n++;
    size_t n = strlen(l->topics);
    snprintf(l->topics + n, sizeof(l->topics) - n, "%s,", e->topic);
}
static void on_gap(void *arg) { ((struct log *)arg)->gaps++; }

static err_t until(const int *what, int want) {
    for (int i = 0; i < 600 && *what < want; i++)
        TRY(fiber_sleep(10));
    return fiber_sleep(30);
}

static err_t two_events(struct pg *tx, void *arg) {
    TRY(bus_publish(tx, "deployment.progress", NULL, "application", "a1", "{\"n\":1}"));
    TRY(bus_publish(tx, "application.status", NULL, "application", "a2", NULL));
    return arg != NULL ? err_new(ERR_CONFLICT, "no") : NULL;
}
static void on_and_leave(void *arg, const struct bus_event *e) {
    struct log *l = arg;
    on_event(arg, e);
    bus_unsubscribe(l->sub);
}

static err_t basic_body(void *arg) {
    (void)arg;
    static struct log all, some, once, one;
    memset(&all, 0, sizeof(all));
    const char *topics[] = {"deployment.*"};
    struct bus_sub *s1 = bus_subscribe(bus, &(struct bus_filter){.ntopics = 0}, on_event, on_gap, &all);
    struct bus_sub *s2 =
        bus_subscribe(bus, &(struct bus_filter){.topics = topics, .ntopics = 1}, on_event, NULL, &some);
    struct bus_sub *s3 = bus_subscribe(bus, &(struct bus_filter){.object_id = "a2"}, on_event, NULL, &one);
    once.sub = bus_subscribe(bus, &(struct bus_filter){.ntopics = 0}, on_and_leave, NULL, &once);
    assert_true(err_is(pg_tx(db, two_events, db), ERR_CONFLICT)); /* rolled back: nobody hears */
    must(pg_tx(db, two_events, NULL));
    must(until(&all.n, 2));
    assert_int_equal(all.n, 2);
    assert_string_equal(all.topics, "deployment.progress,application.status,");
    assert_string_equal(some.topics, "deployment.progress,");
    assert_string_equal(one.topics, "application.status,");
    assert_int_equal(once.n, 1);
    char *big = arena_alloc(arena_current(), 70001, 1);
    memset(big, ' ', 70000);
    big[70000] = '\0';
    assert_true(err_is(bus_publish(db, "x.y", NULL, NULL, NULL, big), ERR_TOO_LARGE));
    bus_unsubscribe(s1);
    bus_unsubscribe(s2);
    bus_unsubscribe(s3);
    return NULL;
}

/* Many writers at once: every event exactly once, in the order of their numbers. */
static struct latch all_done;
static err_t writer(void *arg) {
    (void)arg;
    for (int i = 0; i < 10; i++)
        must(pg_tx(db, two_events, NULL));
    latch_down(&all_done);
    return NULL;
}
static err_t order_body(void *arg) {
    (void)arg;
    static struct log l;
    struct bus_sub *s = bus_subscribe(bus, &(struct bus_filter){.ntopics = 0}, on_event, on_gap, &l);
    latch_init(&all_done, 20);
    for (int i = 0; i < 20; i++)
        fiber_spawn_detached("writer", NULL, writer, NULL);
    must(latch_wait(&all_done, deadline_in(20000)));
    latch_done(&all_done);
    must(until(&l.n, 400));
    assert_int_equal(l.n, 400);
    assert_false(l.disorder);
    assert_int_equal(l.last, bus_seq(bus));
    bus_unsubscribe(s);
    return NULL;
}

/* The listening connection dies while events are written: nothing is missed. Purged ones are told as a gap. */
static err_t gap_body(void *arg) {
    (void)arg;
    static struct log l;
    struct bus_sub *s = bus_subscribe(bus, &(struct bus_filter){.ntopics = 0}, on_event, on_gap, &l);
    pg_lab_psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dockflow listen'");
    must(pg_tx(db, two_events, NULL));
    must(until(&l.n, 2));
    assert_int_equal(l.n, 2);
    assert_int_equal(l.gaps, 0);
    must(fiber_sleep(1000));
    pg_lab_psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dockflow listen'");
    pg_lab_psql_at(conf.url, "BEGIN; SELECT setval('events_seq', 100000); DELETE FROM events;"
                             "INSERT INTO events (topic) VALUES ('late.one'); COMMIT");
    must(until(&l.n, 3));
    assert_int_equal(l.n, 3);
    must(until(&l.gaps, 1));
    bus_unsubscribe(s);
    return NULL;
}

static err_t replay_body(void *arg) {
    (void)arg;
    struct bus_event *e;
    size_t n;
    int64_t start = bus_seq(bus), seq;
    bool gap;
    for (int i = 0; i < 5; i++)
        must(pg_tx(db, two_events, NULL));
    struct bus_filter f = {.object_id = "a1"};
    must(bus_replay(db, arena_current(), &f, NULL, start, 3, &e, &n, &seq, &gap));
    assert_int_equal(n, 3);
    assert_false(gap);
    assert_string_equal(e[2].object_id, "a1");
    must(bus_replay(db, arena_current(), &f, NULL, seq, 100, &e, &n, &seq, &gap));
    assert_int_equal(n, 2);
    must(bus_replay(db, arena_current(), &f, NULL, seq, 100, &e, &n, &seq, &gap));
    assert_int_equal(n, 0);
    must(bus_replay(db, arena_current(), &f, NULL, 5, 100, &e, &n, &seq, &gap));
    assert_true(gap);
    int64_t deleted;
    must(bus_purge(db, 0, &deleted));
    assert_true(deleted >= 11);
    must(bus_purge(db, 0, &deleted));
    assert_int_equal(deleted, 0);
    return NULL;
}

#define TEST_OF(name)                                                                                                  \
    static void test_##name(void **state) {                                                                            \
        (void)state;                                                                                                   \
        must(loop_run_fiber("test", name##_body, NULL));                                                               \
    }
TEST_OF(basic)
TEST_OF(order)
TEST_OF(gap)
TEST_OF(replay)

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_basic), cmocka_unit_test(test_order),
                                       cmocka_unit_test(test_gap), cmocka_unit_test(test_replay)};
    pg_lab_start();
    conf = (struct pg_conf){.url = pg_lab_database("bus"), .pool_size = 4};
    loop_init();
    err_ignore(loop_run_fiber("setup", setup_body, NULL));
    int n = cmocka_run_group_tests(tests, NULL, NULL);
    err_ignore(loop_run_fiber("teardown", teardown_body, NULL));
    loop_fini();
    return n;
}
