/* Named statements under pressure: prepared lazily on fresh connections, in groups with failing neighbours, forgotten by the
 * server, outdated by a change of the schema. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "core/async/fiber.h"
#include "core/async/loop.h"
#include "core/async/wait.h"
#include "core/pg/migrate.h"
#include "tests/unit/pg/pg_lab.h"

#define SOME_ID "11111111-1111-7111-8111-111111111111"
static struct pg_conf conf;
static struct pg *db;
static struct latch all;
static int wrong;

static void must(err_t e) {
    if (e != NULL)
        fail_msg("%s %s", err_code_symbol(e->code), err_chain(arena_current(), e));
}

static err_t one(void *arg) {
    intptr_t i = (intptr_t)arg;
    struct pg_result *r;
    struct arena *a = arena_current();
    enum err_code want = ERR_CODE_MAX;
    err_t e;
    switch (i % 7) {
    case 0:
        e = pg_rows(db, a, SQL_JOBS_STATE, PG_ARGS(pg_uuid("not a uuid")), &r);
        want = ERR_INVALID;
        break;
    case 1:
        e = pg_one(db, a, SQL_JOBS_STATE, PG_ARGS(pg_uuid(SOME_ID)), "task", &r);
        want = ERR_NOT_FOUND;
        break;
    case 2:
        e = pg_rows(db, a, SQL_BUS_BOUNDS, PG_ARGS(pg_int(i)), &r);
        if (e == NULL && pg_cell_int(r, 0, 1, -1) != i)
            wrong++;
        break;
    case 3:
        e = pg_rows(db, a, SQL_AUDIT_HEAD, PG_ARGS(pg_uuid(SOME_ID)), &r);
        break;
    case 4:
        e = pg_exec(db, SQL_JOBS_PROGRESS, PG_ARGS(pg_uuid("x"), pg_int(1), PG_NULL, PG_NULL), NULL);
        want = ERR_INVALID;
        break;
    case 5:
        e = pg_exec(db, SQL_JOBS_PROGRESS, PG_ARGS(pg_uuid(SOME_ID), pg_int(1), PG_NULL, PG_NULL), NULL);
        break;
    default:
        e = pg_rows(db, a, SQL_BUS_SINCE, PG_ARGS(pg_int(0), pg_int(10)), &r);
        break;
    }
    if ((e == NULL ? ERR_CODE_MAX : e->code) != want) {
        print_error("case %d: %s\n", (int)(i % 7), e == NULL ? "no error" : err_chain(a, e));
        wrong++;
    }
    latch_down(&all);
    return NULL;
}

static void rush(int n) {
    latch_init(&all, (size_t)n);
    for (intptr_t i = 0; i < n; i++)
        fiber_spawn_detached("one", NULL, one, (void *)i);
    must(latch_wait(&all, deadline_in(20000)));
    latch_done(&all);
}

static err_t fresh_body(void *arg) {
    (void)arg;
    wrong = 0;
    for (int round = 0; round < 15; round++) {
        db = pg_new(&conf);
        must(pg_wait_ready(db, deadline_in(5000)));
        rush(210);
        rush(210);
        pg_free(db);
    }
    assert_int_equal(wrong, 0);
    return NULL;
}

/* Each fiber drops what the server has prepared while the others use it. */
static err_t forget(void *arg) {
    (void)arg;
    for (int i = 0; i < 20; i++) {
        struct pg_result *r;
        must(pg_query(db, arena_current(), "DEALLOCATE ALL", PG_NOARGS, &r));
        must(fiber_sleep(3));
    }
    return NULL;
}
static err_t forget_body(void *arg) {
    (void)arg;
    wrong = 0;
    db = pg_new(&conf);
    must(pg_wait_ready(db, deadline_in(5000)));
    struct fiber *f = fiber_spawn("forget", NULL, forget, NULL);
    for (int i = 0; i < 30; i++)
        rush(140);
    must(fiber_join(f));
    assert_int_equal(wrong, 0);
    pg_free(db);
    return NULL;
}

static err_t outdated_body(void *arg) {
    (void)arg;
    struct pg_result *r;
    db = pg_new(&conf);
    must(pg_wait_ready(db, deadline_in(5000)));
    for (int i = 0; i < 20; i++)
        must(pg_rows(db, arena_current(), SQL_AUDIT_HEAD, PG_ARGS(pg_uuid(SOME_ID)), &r));
    pg_lab_psql_at(conf.url, "ALTER TABLE audit_heads ALTER COLUMN seq TYPE numeric");
    err_t e = NULL;
    for (int i = 0; i < 20; i++) {
        e = pg_rows(db, arena_current(), SQL_AUDIT_HEAD, PG_ARGS(pg_uuid(SOME_ID)), &r);
        if (e != NULL)
            assert_true(err_is(e, ERR_DB_RETRY));
        must(fiber_sleep(100));
    }
    must(e); /* every connection was renewed by now */
    pg_free(db);
    return NULL;
}

/* The connection is lost while the statement is being prepared: what the first try was told must not count for the second. */
static err_t read_head(void *arg) {
    struct pg_result *r;
    (void)arg;
    return pg_rows(db, arena_current(), SQL_AUDIT_HEAD, PG_ARGS(pg_uuid(SOME_ID)), &r);
}
static err_t preparing_body(void *arg) {
    (void)arg;
    struct pg_result *r;
    const char *waiting =
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    struct pg *locker = pg_new(&(struct pg_conf){.url = conf.url, .pool_size = 1});
    struct pg_conf one_conn = {.url = conf.url, .pool_size = 1};
    for (int losses = 1; losses <= 2; losses++) {
        db = pg_new(&one_conn);
        must(pg_wait_ready(db, deadline_in(5000)));
        must(pg_wait_ready(locker, deadline_in(5000)));
        must(pg_query(locker, arena_current(), "BEGIN", PG_NOARGS, &r));
        must(pg_query(locker, arena_current(), "LOCK TABLE audit_heads IN ACCESS EXCLUSIVE MODE", PG_NOARGS, &r));
        struct fiber *f = fiber_spawn("read", NULL, read_head, NULL);
        for (int lost = 0; lost < losses;) {
            must(fiber_sleep(20));
            lost += *pg_lab_psql(waiting) == '1';
        }
        must(pg_query(locker, arena_current(), "COMMIT", PG_NOARGS, &r));
        must(fiber_join(f));
        pg_free(db);
    }
    pg_free(locker);
    return NULL;
}

static err_t migrate_body(void *arg) {
    (void)arg;
    int n;
    db = pg_new(&conf);
    must(pg_migrate(db, &n));
    pg_free(db);
    return NULL;
}

#define TEST_OF(name)                                                                                                  \
    static void test_##name(void **state) {                                                                            \
        (void)state;                                                                                                   \
        must(loop_run_fiber("test", name##_body, NULL));                                                               \
    }
TEST_OF(migrate)
TEST_OF(fresh)
TEST_OF(forget)
TEST_OF(preparing)
TEST_OF(outdated)

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_migrate), cmocka_unit_test(test_fresh),
                                       cmocka_unit_test(test_forget), cmocka_unit_test(test_preparing),
                                       cmocka_unit_test(test_outdated)};
    pg_lab_start();
    conf = (struct pg_conf){.url = pg_lab_database("prepared"), .pool_size = 4, .max_queue = 1000};
    loop_init();
    int n = cmocka_run_group_tests(tests, NULL, NULL);
    loop_fini();
    return n;
}
