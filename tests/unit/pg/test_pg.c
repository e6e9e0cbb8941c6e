/* The driver against a real server: pipelining, isolation of errors, broken connections, limits, transactions. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "core/async/fiber.h"
#include "core/async/loop.h"
#include "core/async/wait.h"
#include "core/obs/log.h"
#include "core/pg/pg_internal.h"
#include "tests/unit/pg/pg_lab.h"

static struct pg *db;

static struct pg *open_pool(size_t conns, size_t queue) {
    return pg_new(&(struct pg_conf){.url = pg_lab_url(), .pool_size = conns, .max_queue = queue});
}

static void must(err_t e) {
    if (e != NULL)
        fail_msg("%s %s", err_code_symbol(e->code), err_chain(arena_current(), e));
}

static struct pg_result *query(const char *sql) {
    struct pg_result *r = NULL;
    must(pg_query(db, arena_current(), sql, PG_NOARGS, &r));
    return r;
}

static err_t try_query(const char *sql) {
    struct pg_result *r;
    return pg_query(db, arena_current(), sql, PG_NOARGS, &r);
}

/* Each test body is a fiber with a pool of its own. */
struct body {
    err_t (*fn)(void *);
    size_t conns, queue;
};

static err_t with_pool(void *arg) {
    struct body *b = arg;
    db = open_pool(b->conns, b->queue);
    must(pg_wait_ready(db, deadline_in(5000)));
    err_t e = b->fn(NULL);
    pg_free(db);
    db = NULL;
    return e;
}

static void run_in_pool(size_t conns, size_t queue, err_t (*fn)(void *)) {
    struct body b = {fn, conns, queue};
    must(loop_run_fiber("test", with_pool, &b));
}

/* ---- values ---- */

static err_t values_body(void *arg) {
    (void)arg;
    struct pg_result *r;
    must(pg_query(db, arena_current(),
                  "SELECT $1::text, $2::bigint, $3::boolean, $4::text, ''::text, repeat('x', 300000)",
                  PG_ARGS(pg_text("h\"ä'$1"), pg_int(INT64_MIN), pg_bool(true), PG_NULL), &r));
    assert_int_equal(r->rows, 1);
    assert_string_equal(pg_cell(r, 0, 0), "h\"ä'$1");
    assert_true(pg_cell_int(r, 0, 1, 0) == INT64_MIN);
    assert_true(pg_cell_bool(r, 0, 2));
    assert_null(pg_cell(r, 0, 3));
    assert_string_equal(pg_cell(r, 0, 4), "");
    assert_int_equal(r->cells[5].n, 300000);
    return NULL;
}
static void test_values(void **state) {
    (void)state;
    run_in_pool(4, 0, values_body);
}

/* ---- 1000 fibers on 4 connections ---- */

static struct latch all;
static int wrong, failed_ok;

static err_t one_of_many(void *arg) {
    intptr_t i = (intptr_t)arg;
    struct pg_result *r;
    err_t e;
    if (i % 10 == 3) { /* one in ten is an error, of the input or of the server */
        e = pg_query(db, arena_current(), "SELECT 1 / ($1::integer - $1::integer)", PG_ARGS(pg_int(i)), &r);
        if (err_is(e, ERR_INVALID))
            failed_ok++;
        else
            wrong++;
    } else {
        e = pg_query(db, arena_current(), i % 2 ? "SELECT $1::integer * 2" : "SELECT $1::integer * 2 /* pg_ */",
                     PG_ARGS(pg_int(i)), &r);
        if (e != NULL || pg_cell_int(r, 0, 0, -1) != i * 2)
            wrong++;
    }
    latch_down(&all);
    return NULL;
}

static err_t thousand_body(void *arg) {
    (void)arg;
    wrong = failed_ok = 0;
    for (int round = 0; round < 3; round++) {
        latch_init(&all, 1000);
        for (intptr_t i = 0; i < 1000; i++)
            fiber_spawn_detached("one", NULL, one_of_many, (void *)i);
        must(latch_wait(&all, deadline_in(20000)));
        latch_done(&all);
    }
    assert_int_equal(wrong, 0);
    assert_int_equal(failed_ok, 300);
    return NULL;
}
static void test_thousand(void **state) {
    (void)state;
    run_in_pool(4, 2000, thousand_body);
}

/* A write that succeeded in the same turn must not be undone by a neighbour's error. */
static err_t insert_or_fail(void *arg) {
    intptr_t i = (intptr_t)arg;
    struct pg_result *r;
    err_t e = pg_query(db, arena_current(),
                       i % 2 ? "INSERT INTO t VALUES ($1::integer)" : "INSERT INTO t VALUES ($1::text::integer)",
                       PG_ARGS(i % 2 ? pg_int(i) : pg_text("no number")), &r);
    if ((i % 2 != 0) != (e == NULL))
        wrong++;
    latch_down(&all);
    return NULL;
}
static err_t isolation_body(void *arg) {
    (void)arg;
    query("CREATE TABLE t (i integer)");
    wrong = 0;
    latch_init(&all, 200);
    for (intptr_t i = 0; i < 200; i++)
        fiber_spawn_detached("one", NULL, insert_or_fail, (void *)i);
    must(latch_wait(&all, deadline_in(20000)));
    latch_done(&all);
    assert_int_equal(wrong, 0);
    assert_string_equal(pg_cell(query("SELECT count(*) FROM t"), 0, 0), "100");
    query("DROP TABLE t");
    return NULL;
}
static void test_isolation(void **state) {
    (void)state;
    run_in_pool(3, 0, isolation_body);
}

/* ---- errors ---- */

static err_t errors_body(void *arg) {
    (void)arg;
    query("CREATE TABLE u (i integer UNIQUE, j integer REFERENCES u (i), k integer NOT NULL CHECK (k > 0))");
    query("INSERT INTO u VALUES (1, NULL, 1)");
    err_t e = try_query("INSERT INTO u VALUES (1, NULL, 1)");
    assert_true(err_is(e, ERR_CONFLICT));
    assert_string_equal(e->details->key, "constraint");
    assert_string_equal(e->details->value, "u_i_key");
    assert_true(err_is(try_query("INSERT INTO u VALUES (2, 7, 1)"), ERR_CONFLICT));
    assert_true(err_is(try_query("INSERT INTO u VALUES (2, NULL, 0)"), ERR_INVALID));
    assert_true(err_is(try_query("INSERT INTO u VALUES (2, NULL, NULL)"), ERR_INVALID));
    assert_true(err_is(try_query("SELECT 'x'::uuid"), ERR_INVALID));
    e = try_query("SELECT * FROM no_such_table");
    assert_true(err_is(e, ERR_DB));
    assert_null(strstr(e->message, "no_such_table"));
    assert_true(err_is(try_query("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40001'; END $$"), ERR_DB_RETRY));
    assert_true(err_is(try_query("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '53100'; END $$"), ERR_DB_FULL));
    query("DROP TABLE u");
    return NULL;
}
static void test_errors(void **state) {
    (void)state;
    run_in_pool(2, 0, errors_body);
}

static err_t timeout_body(void *arg) {
    (void)arg;
    struct pg *mine = db;
    db = pg_new(&(struct pg_conf){.url = pg_lab_url(), .pool_size = 1, .statement_timeout_ms = 300});
    must(pg_wait_ready(db, deadline_in(5000)));
    assert_true(err_is(try_query("SELECT pg_sleep(10)"), ERR_TIMEOUT));
    assert_string_equal(pg_cell(query("SELECT 7"), 0, 0), "7");
    pg_free(db);
    db = mine;
    return NULL;
}
static void test_statement_timeout(void **state) {
    (void)state;
    run_in_pool(1, 0, timeout_body);
}

/* ---- abandoned queries ---- */

static err_t sleeper(void *arg) {
    (void)arg;
    return try_query("SELECT pg_sleep(4)");
}
static err_t abandon_body(void *arg) {
    (void)arg;
    struct fiber *f = fiber_spawn("sleeper", NULL, sleeper, NULL);
    must(fiber_sleep(50));
    uint64_t begin = clock_mono_ms();
    fiber_cancel(f);
    assert_true(err_is(fiber_join(f), ERR_CANCELLED));
    assert_true(clock_mono_ms() - begin < 100);
    assert_string_equal(pg_cell(query("SELECT 5"), 0, 0),
                        "5"); /* behind it on the only connection: cancelled after 0.5 s */
    assert_true(clock_mono_ms() - begin < 2500);
    fiber_set_deadline(deadline_in(100));
    assert_true(err_is(try_query("SELECT pg_sleep(2)"), ERR_TIMEOUT));
    fiber_set_deadline(DEADLINE_NONE);
    must(fiber_sleep(1000));
    assert_int_equal(pg_stats_get(db).in_flight, 0);
    return NULL;
}
static void test_abandon(void **state) {
    (void)state;
    run_in_pool(1, 0, abandon_body);
}

/* ---- broken connections ---- */

static err_t terminate_body(void *arg) {
    (void)arg;
    for (int i = 0; i < 5; i++) {
        struct fiber *f = fiber_spawn("sleeper", NULL, sleeper, NULL);
        /* On a loaded machine the query may take its time to arrive. */
        do
            must(fiber_sleep(100));
        while (
            *pg_lab_psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' "
                         "AND state = 'active' AND pid <> pg_backend_pid()") != 't');
        err_t e = fiber_join(f);
        assert_true(err_is(e, ERR_DB_UNAVAILABLE));
        must(pg_wait_ready(db, deadline_in(5000)));
        assert_string_equal(pg_cell(query("SELECT 5"), 0, 0), "5");
    }
    /* A read is sent again on the next connection. */
    pg_lab_psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dockflow pool'");
    assert_string_equal(pg_cell(query("SELECT 6"), 0, 0), "6");
    assert_true(pg_stats_get(db).reconnects >= 5);
    return NULL;
}
static void test_terminate(void **state) {
    (void)state;
    run_in_pool(2, 0, terminate_body);
}

static err_t restart_body(void *arg) {
    (void)arg;
    int sigs[] = {SIGINT, SIGQUIT, SIGKILL};
    for (size_t i = 0; i < 3; i++) {
        query("SELECT 1");
        pg_lab_halt(sigs[i]);
        uint64_t begin = clock_mono_ms();
        err_t e = NULL;
        while (e == NULL && clock_mono_ms() - begin < 5000)
            e = try_query("SELECT 1 /* pg_ */");
        assert_true(err_is(e, ERR_DB_UNAVAILABLE));
        must(fiber_sleep(1500));
        begin = clock_mono_ms();
        assert_true(err_is(try_query("SELECT 1"), ERR_DB_UNAVAILABLE)); /* the breaker: at once */
        assert_true(clock_mono_ms() - begin < 100);
        assert_non_null(pg_down_reason(db));
        pg_lab_resume();
        must(pg_wait_ready(db, deadline_in(10000)));
        query("SELECT 1");
    }
    return NULL;
}
static void test_restart(void **state) {
    (void)state;
    run_in_pool(4, 0, restart_body);
}

static err_t stop_body(void *arg) {
    (void)arg;
    struct pg *mine = db;
    db = pg_new(&(struct pg_conf){.url = pg_lab_url(), .pool_size = 2, .statement_timeout_ms = 500});
    must(pg_wait_ready(db, deadline_in(5000)));
    query("SELECT 1");
    pg_lab_psql("SELECT 1");
    /* All of them: which one the next statement takes is not ours to know. */
    struct pg_result *backends = query("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'");
    for (size_t i = 0; i < backends->rows; i++)
        kill((pid_t)pg_cell_int(backends, i, 0, 0), SIGSTOP);
    kill(pg_lab_pid(), SIGSTOP);
    uint64_t begin = clock_mono_ms(), lag = loop_stats_get().lag_max_us;
    err_t e = NULL;
    while (e == NULL && clock_mono_ms() - begin < 8000)
        e = try_query("SELECT 1 /* pg_ */");
    assert_true(err_is(e, ERR_DB_UNAVAILABLE));
    uint64_t took = clock_mono_ms() - begin;
    assert_true(took > 2000 && took < 6000);
    (void)lag;
    for (size_t i = 0; i < backends->rows; i++)
        kill((pid_t)pg_cell_int(backends, i, 0, 0), SIGCONT);
    kill(pg_lab_pid(), SIGCONT);
    must(pg_wait_ready(db, deadline_in(10000)));
    query("SELECT 1");
    pg_free(db);
    db = mine;
    return NULL;
}
static void test_sigstop(void **state) {
    (void)state;
    run_in_pool(1, 0, stop_body);
}

/* ---- the queue ---- */

static int refused, served;
static err_t queued(void *arg) {
    (void)arg;
    err_t e = try_query("SELECT pg_sleep(0.001)");
    if (e == NULL)
        served++;
    else if (err_is(e, ERR_DB_UNAVAILABLE))
        refused++;
    else
        wrong++;
    latch_down(&all);
    return NULL;
}
static err_t queue_body(void *arg) {
    (void)arg;
    wrong = refused = served = 0;
    latch_init(&all, 600);
    for (int i = 0; i < 600; i++)
        fiber_spawn_detached("queued", NULL, queued, NULL);
    must(latch_wait(&all, deadline_in(20000)));
    latch_done(&all);
    assert_int_equal(wrong, 0);
    assert_in_range(served, 128 + 100, 400); /* one connection's depth and the queue; more when some end meanwhile */
    assert_int_equal(refused, 600 - served);
    assert_int_equal(pg_stats_get(db).queued, 0);
    return NULL;
}
static void test_queue(void **state) {
    (void)state;
    run_in_pool(1, 100, queue_body);
}

/* ---- transactions ---- */

static int attempts;
static err_t retry_tx(struct pg *tx, void *arg) {
    (void)arg;
    struct pg_result *r;
    if (++attempts < 3) {
        TRY(pg_query(tx, arena_current(), "INSERT INTO x VALUES (0)", PG_NOARGS, &r));
        TRY(pg_query(tx, arena_current(), "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40001'; END $$", PG_NOARGS,
                     &r));
    }
    return pg_query(tx, arena_current(), "INSERT INTO x VALUES (1)", PG_NOARGS, &r);
}
static err_t swallow_tx(struct pg *tx, void *arg) {
    (void)arg;
    struct pg_result *r;
    err_ignore(pg_query(tx, arena_current(), "SELECT 1 / 0", PG_NOARGS, &r));
    return NULL;
}
static err_t inner_tx(struct pg *tx, void *arg) {
    struct pg_result *r;
    TRY(pg_query(tx, arena_current(), "INSERT INTO x VALUES (10)", PG_NOARGS, &r));
    return arg != NULL ? pg_query(tx, arena_current(), "SELECT 1 / 0", PG_NOARGS, &r) : NULL;
}
static err_t nested_tx(struct pg *tx, void *arg) {
    (void)arg;
    struct pg_result *r;
    TRY(pg_query(tx, arena_current(), "INSERT INTO x VALUES (20)", PG_NOARGS, &r));
    assert_true(err_is(pg_tx(tx, inner_tx, tx), ERR_INVALID));
    TRY(pg_tx(tx, inner_tx, NULL));
    return pg_query(tx, arena_current(), "INSERT INTO x VALUES (30)", PG_NOARGS, &r);
}
static err_t deferred_tx(struct pg *tx, void *arg) {
    (void)arg;
    struct pg_result *r;
    return pg_query(tx, arena_current(), "INSERT INTO y VALUES (1), (1)", PG_NOARGS, &r);
}
static err_t killed_tx(struct pg *tx, void *arg) {
    struct pg_result *r;
    TRY(pg_query(tx, arena_current(), "INSERT INTO x VALUES (99)", PG_NOARGS, &r));
    pg_lab_psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state LIKE 'idle in%'");
    if (arg == NULL)
        return pg_query(tx, arena_current(), "INSERT INTO x VALUES (98)", PG_NOARGS, &r);
    return NULL;
}
static err_t cancelled_tx(struct pg *tx, void *arg) {
    (void)arg;
    struct pg_result *r;
    return pg_query(tx, arena_current(), "SELECT pg_sleep(3)", PG_NOARGS, &r);
}
static err_t run_cancelled(void *arg) {
    (void)arg;
    return pg_tx(db, cancelled_tx, NULL);
}
static err_t tx_body(void *arg) {
    (void)arg;
    query("CREATE TABLE x (i integer)");
    query("CREATE TABLE y (i integer UNIQUE DEFERRABLE INITIALLY DEFERRED)");
    attempts = 0;
    must(pg_tx(db, retry_tx, NULL));
    assert_int_equal(attempts, 3);
    assert_string_equal(pg_cell(query("SELECT string_agg(i::text, ',') FROM x"), 0, 0), "1");
    assert_true(err_is(pg_tx(db, swallow_tx, NULL), ERR_DB));
    must(pg_tx(db, nested_tx, NULL));
    assert_string_equal(pg_cell(query("SELECT string_agg(i::text, ',' ORDER BY i) FROM x"), 0, 0), "1,10,20,30");
    assert_true(err_is(pg_tx(db, deferred_tx, NULL), ERR_CONFLICT)); /* told by COMMIT */
    assert_true(err_is(pg_tx(db, killed_tx, NULL), ERR_DB_UNAVAILABLE));
    err_t e = pg_tx(db, killed_tx, db);
    assert_true(err_is(e, ERR_DB_UNAVAILABLE));
    must(pg_wait_ready(db, deadline_in(5000)));
    struct fiber *f = fiber_spawn("tx", NULL, run_cancelled, NULL);
    must(fiber_sleep(50));
    fiber_cancel(f);
    assert_true(err_is(fiber_join(f), ERR_CANCELLED));
    assert_string_equal(pg_cell(query("SELECT count(*) FROM x"), 0, 0), "4");
    query("DROP TABLE x, y");
    return NULL;
}
static void test_tx(void **state) {
    (void)state;
    run_in_pool(4, 0, tx_body);
}

/* The backend dies while it commits: nobody can know. */
static err_t slow_commit_tx(struct pg *tx, void *arg) {
    (void)arg;
    struct pg_result *r;
    return pg_query(tx, arena_current(), "INSERT INTO z VALUES (1)", PG_NOARGS, &r);
}
static err_t run_slow_commit(void *arg) {
    (void)arg;
    return pg_tx(db, slow_commit_tx, NULL);
}
static err_t unknown_body(void *arg) {
    (void)arg;
    query("CREATE TABLE z (i integer)");
    query("CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(3); RETURN NULL; END'");
    query("CREATE CONSTRAINT TRIGGER t AFTER INSERT ON z DEFERRABLE INITIALLY DEFERRED "
          "FOR EACH ROW EXECUTE FUNCTION wait()");
    struct fiber *f = fiber_spawn("commit", NULL, run_slow_commit, NULL);
    must(fiber_sleep(300));
    fiber_cancel(f); /* a commit under way is not given up */
    must(fiber_sleep(100));
    assert_false(fiber_ended(f));
    pg_lab_psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'COMMIT' AND state = 'active'");
    err_t e = fiber_join(f);
    assert_true(err_is(e, ERR_DB_UNAVAILABLE));
    assert_non_null(e->details);
    assert_string_equal(e->details->key, "commit");
    assert_string_equal(e->details->value, "unknown");
    query("DROP TABLE z");
    return NULL;
}
static void test_unknown_commit(void **state) {
    (void)state;
    run_in_pool(3, 0, unknown_body);
}

/* More transactions than connections: they take turns, single statements still get through. */
static err_t slow_tx(struct pg *tx, void *arg) {
    (void)arg;
    struct pg_result *r;
    return pg_query(tx, arena_current(), "SELECT pg_sleep(0.02)", PG_NOARGS, &r);
}
static err_t run_slow(void *arg) {
    (void)arg;
    if (pg_tx(db, slow_tx, NULL) != NULL)
        wrong++;
    latch_down(&all);
    return NULL;
}
static err_t pins_body(void *arg) {
    (void)arg;
    wrong = 0;
    latch_init(&all, 60);
    for (int i = 0; i < 60; i++)
        fiber_spawn_detached("slow", NULL, run_slow, NULL);
    must(fiber_sleep(30));
    uint64_t begin = clock_mono_ms();
    query("SELECT 1");
    assert_true(clock_mono_ms() - begin < 150);
    must(latch_wait(&all, deadline_in(20000)));
    latch_done(&all);
    assert_int_equal(wrong, 0);
    return NULL;
}
static void test_pins(void **state) {
    (void)state;
    run_in_pool(6, 0, pins_body);
}

/* A rush of requests, in statements and transactions, takes everything but what is kept for the server's own work. */
static struct pg *rush_db;
static err_t hog(void *arg) {
    struct pg_result *r;
    if (arg != NULL)
        err_ignore(pg_tx(rush_db, cancelled_tx, NULL));
    else
        err_ignore(pg_query(rush_db, arena_current(), "SELECT pg_sleep(0.05)", PG_NOARGS, &r));
    latch_down(&all);
    return NULL;
}
static err_t reserved_body(void *arg) {
    (void)arg;
    struct pg *own = pg_internal(db);
    rush_db = db;
    latch_init(&all, 900);
    for (intptr_t i = 0; i < 900; i++)
        fiber_spawn_detached("hog", NULL, hog, i % 3 ? NULL : (void *)1);
    must(fiber_sleep(100));
    assert_int_equal(pg_stats_get(db).queued_max, 256);
    for (int i = 0; i < 20; i++) {
        struct pg_result *r;
        must(pg_query(own, arena_current(), "SELECT 1", PG_NOARGS, &r));
        must(pg_tx(own, inner_tx, NULL));
    }
    assert_true(pg_stats_get(db).queued > 100); /* all the while the others waited */
    must(latch_wait(&all, deadline_in(60000)));
    latch_done(&all);
    pg_free(own);
    query("DROP TABLE x");
    return NULL;
}
static void test_reserved(void **state) {
    (void)state;
    pg_lab_psql("CREATE TABLE x (i integer)");
    run_in_pool(6, 0, reserved_body);
}

/* ---- LISTEN ---- */

static int gaps, notes;
static char last[64];
static void on_note(void *arg, const char *channel, const char *payload) {
    assert_false(fiber_on_fiber());
    assert_ptr_equal(arg, &notes);
    assert_string_equal(channel, "chan_a");
    notes++;
    snprintf(last, sizeof(last), "%s", payload);
}
static void on_gap(void *arg) {
    (void)arg;
    gaps++;
}
static err_t until(const int *what, int want) {
    for (int i = 0; i < 500 && *what < want; i++)
        TRY(fiber_sleep(10));
    assert_int_equal(*what, want);
    return NULL;
}
static err_t listen_body(void *arg) {
    (void)arg;
    gaps = notes = 0;
    static const char *const channels[] = {"chan_a"};
    struct pg_listen *l = pg_listen_new(&(struct pg_conf){.url = pg_lab_url()}, channels, 1, on_note, on_gap, &notes);
    must(until(&gaps, 1));
    query("SELECT pg_notify('chan_a', 'one')");
    must(until(&notes, 1));
    assert_string_equal(last, "one");
    pg_lab_psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dockflow listen'");
    must(until(&gaps, 2));
    query("SELECT pg_notify('chan_a', 'two')");
    must(until(&notes, 2));
    pg_listen_free(l);
    must(fiber_sleep(20));
    return NULL;
}
static void test_listen(void **state) {
    (void)state;
    run_in_pool(2, 0, listen_body);
}

/* ---- what is promised ---- */

static err_t limits_body(void *arg) {
    (void)arg;
    assert_string_equal(pg_cell(query("SHOW statement_timeout"), 0, 0), "5s");
    assert_string_equal(pg_cell(query("SHOW idle_in_transaction_session_timeout"), 0, 0), "10s");
    return NULL;
}
static void test_limits(void **state) {
    (void)state;
    assert_int_equal(PG_CONNECT_MS, 3000);
    assert_int_equal(PG_RESERVED, 2);
    assert_int_equal(PG_BACKOFF_MIN_MS, 500);
    assert_int_equal(PG_BACKOFF_MAX_MS, 30000);
    assert_int_equal(PG_TX_TRIES, 3);
    run_in_pool(2, 0, limits_body);
}

static void test_words(void **state) {
    (void)state;
    static const char *const words[][2] = {
        {"connection to server at \"10.0.0.1\", port 5432 failed: FATAL:  28P01: password authentication failed for user "
         "\"u\"",
         "the database refuses our credentials"},
        {"connection to server on socket \"/x\" failed: FATAL:  3D000: database \"x\" does not exist",
         "the database does not exist"},
        {"connection to server on socket \"/x\" failed: FATAL:  57P03: the database system is starting up",
         "the database is starting or shutting down"},
        {"connection to server on socket \"/x\" failed: server is in hot standby mode",
         "the database is read-only or a standby"},
        {"the database did not answer in 3000 ms", "the database does not answer"},
        {"connection to server at \"localhost\" failed: Connection refused", "the database cannot be reached"},
        {"", "the database is not connected yet"}};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        assert_string_equal(pg_words_of(words[i][0]), words[i][1]);
}

/* ---- no server ---- */

/* Accepts and says nothing. */
static err_t silent_body(void *arg) {
    (void)arg;
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sa);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    db = pg_new(&(struct pg_conf){
        .url = arena_printf(arena_current(), "postgresql://localhost:%d/x", ntohs(sa.sin_port)), .pool_size = 1});
    assert_true(err_is(pg_wait_ready(db, deadline_in(500)), ERR_DB_UNAVAILABLE));
    unsigned ms = 0, patient = 0; /* the system gives up on a peer that acknowledges nothing */
    for (int i = 3; i < 100; i++)
        patient += getsockopt(i, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, &(socklen_t){sizeof(ms)}) == 0 && ms == 10000;
    assert_int_equal(patient, 1);
    assert_true(err_is(pg_wait_ready(db, deadline_in(3000)), ERR_DB_UNAVAILABLE));
    assert_non_null(strstr(pg_down_reason(db), "did not answer in 3000 ms"));
    pg_free(db);
    close(fd);
    return NULL;
}
static void test_silent(void **state) {
    (void)state;
    must(loop_run_fiber("test", silent_body, NULL));
}

static err_t nowhere_body(void *arg) {
    (void)arg;
    static const char *const urls[] = {"postgresql:///x?host=/nonexistent", "postgresql://127.0.0.1:1/x",
                                       "postgresql://no-such-name.invalid/x", "postgresql://x:y:z/@"};
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        db = pg_new(&(struct pg_conf){.url = urls[i], .pool_size = 2});
        assert_true(err_is(pg_wait_ready(db, deadline_in(700)), ERR_DB_UNAVAILABLE));
        assert_false(pg_ready(db));
        assert_true(err_is(try_query("SELECT 1"), ERR_DB_UNAVAILABLE));
        assert_non_null(pg_down_reason(db));
        pg_free(db);
    }
    return NULL;
}
static void test_nowhere(void **state) {
    (void)state;
    must(loop_run_fiber("test", nowhere_body, NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_thousand),
        cmocka_unit_test(test_isolation),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_statement_timeout),
        cmocka_unit_test(test_abandon),
        cmocka_unit_test(test_terminate),
        cmocka_unit_test(test_queue),
        cmocka_unit_test(test_tx),
        cmocka_unit_test(test_unknown_commit),
        cmocka_unit_test(test_silent),
        cmocka_unit_test(test_pins),
        cmocka_unit_test(test_reserved),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_listen),
        cmocka_unit_test(test_nowhere),
        cmocka_unit_test(test_sigstop),
        cmocka_unit_test(test_restart),
    };
    pg_lab_start();
    loop_init();
    int n = cmocka_run_group_tests(tests, NULL, NULL);
    loop_fini();
    return n;
}
