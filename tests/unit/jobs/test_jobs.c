/* Jobs on a real server: run, retry, serialise, cancel, fence, lease expiry, turns, hand-over, logs, waiting. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "core/async/fiber.h"
#include "core/async/loop.h"
#include "core/jobs/jobs.h"
#include "core/pg/migrate.h"
#include "tests/unit/pg/pg_lab.h"

#define ORG_A "aaaaaaaa-1111-7111-8111-111111111111"
#define ORG_B "bbbbbbbb-1111-7111-8111-111111111111"
static struct pg_conf conf;
static struct pg *db;

static void must(err_t e) {
    if (e != NULL)
        fail_msg("%s %s", err_code_symbol(e->code), err_chain(arena_current(), e));
}

static err_t setup_body(void *arg) {
    (void)arg;
    int n;
    db = pg_new(&conf);
    return pg_migrate(db, &n);
}
static err_t teardown_body(void *arg) {
    (void)arg;
    pg_free(db);
    return fiber_sleep(20);
}

/* ---- handlers ---- */

static int runs, running, most_running, cancelled_seen;
static char order[512];

static err_t ok_run(struct job *job, void *arg) {
    (void)arg;
    runs++;
    must(job_step(job, "one", JOB_STEP_RUNNING, NULL));
    for (int i = 0; i < 250; i++)
        job_log(job, "info", "one", "line %d \"quoted\" \xff %s", i, i == 3 ? "a\nb" : "");
    must(job_progress(job, NULL, 50, "half"));
    must(job_step(job, "one", JOB_STEP_SUCCEEDED, "fine"));
    job_result(job,
               arena_printf(arena_current(), "{\"answer\":%lld}", (long long)json_get_int(job_payload(job), "n", 0)));
    return NULL;
}
static err_t flaky_run(struct job *job, void *arg) {
    (void)arg;
    runs++;
    if (job_attempt(job) < 3)
        return err_new(ERR_DOCKER_UNAVAILABLE, "engine is away");
    return NULL;
}
static err_t broken_run(struct job *job, void *arg) {
    (void)job;
    (void)arg;
    runs++;
    return err_detail(err_new(ERR_INVALID, "compose file is wrong"), "line", "7");
}
static err_t slow_run(struct job *job, void *arg) {
    runs++;
    running++;
    if (running > most_running)
        most_running = running;
    const char *org = job_org(job);
    size_t n = strlen(order);
    if (n < sizeof(order) - 2)
        order[n] = org == NULL ? '-' : org[0];
    err_t e = fiber_sleep(arg != NULL ? *(const uint64_t *)arg : 100);
    running--;
    cancelled_seen += err_is(e, ERR_CANCELLED);
    return e;
}
static const uint64_t long_ms = 20000;

static err_t noop_tx(struct pg *tx, void *arg) {
    (void)arg;
    struct pg_result *r;
    return pg_query(tx, arena_current(), "INSERT INTO fenced VALUES (1)", PG_NOARGS, &r);
}
static err_t fence_result;
static err_t stubborn_run(struct job *job, void *arg) {
    (void)arg;
    runs++;
    if (job_attempt(job) > 0 && runs > 1)
        return NULL; /* the second owner */
    must(job_tx(job, noop_tx, NULL));
    fiber_mask(); /* does not hear that the lease is lost */
    err_ignore(fiber_sleep(2500));
    err_t e = job_tx(job, noop_tx, NULL);
    fence_result = e;
    fiber_unmask();
    static struct arena *keep;
    keep = keep == NULL ? arena_new("test", 0) : keep;
    fence_result = e == NULL ? NULL : err_dup(keep, e);
    return e;
}

static struct jobs *worker(const char *owner, uint64_t lease_ms) {
    struct jobs *j = jobs_new(&(struct jobs_conf){
        .db = db, .pg = &conf, .owner = owner, .max_running = 20, .per_org = 5, .lease_ms = lease_ms});
    static const struct job_kind kinds[] = {
        {.name = "ok", .run = ok_run},
        {.name = "flaky", .run = flaky_run, .backoff_ms = 50},
        {.name = "broken", .run = broken_run},
        {.name = "slow", .run = slow_run, .max_running = 10},
        {.name = "long", .run = slow_run, .arg = (void *)(uintptr_t)&long_ms, .max_running = 10},
        {.name = "timed", .run = slow_run, .arg = (void *)(uintptr_t)&long_ms, .timeout_ms = 200},
        {.name = "stubborn", .run = stubborn_run},
    };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        jobs_register(j, &kinds[i]);
    jobs_start(j);
    runs = running = most_running = cancelled_seen = 0;
    memset(order, 0, sizeof(order));
    return j;
}
static void worker_end(struct jobs *j) {
    assert_int_equal(jobs_drain(j, deadline_in(5000)), 0);
    jobs_free(j);
}

static struct uuid_text give(const char *kind, const char *key, int attempts) {
    struct uuid_text id;
    must(jobs_enqueue(db,
                      &(struct job_spec){.kind = kind, .key = key, .max_attempts = attempts, .payload = "{\"n\":42}"},
                      &id, NULL));
    return id;
}
static const char *field(const struct uuid_text *id, const char *key) {
    struct str text;
    struct json *doc;
    must(jobs_get_json(db, arena_current(), id->z, &text));
    must(json_parse(arena_current(), text, NULL, &doc));
    struct json *v = json_pointer(doc, key);
    return v == NULL ? "" : json_is(v, JSON_STRING) ? json_str(v) : json_to_text(arena_current(), v);
}
static void wait_end(struct jobs *j, const struct uuid_text *id, const char *state) {
    bool ended;
    must(jobs_wait(j, id->z, deadline_in(8000), &ended));
    assert_string_equal(field(id, "/state"), state);
}

/* ---- tests ---- */

static err_t run_body(void *arg) {
    (void)arg;
    struct jobs *j = worker("one", 0);
    uint64_t begin = clock_mono_ms();
    struct uuid_text id = give("ok", NULL, 1);
    wait_end(j, &id, "succeeded");
    assert_true(clock_mono_ms() - begin < 1000); /* by notification, not by polling */
    assert_string_equal(field(&id, "/result/answer"), "42");
    assert_string_equal(field(&id, "/progress/percent"), "50");
    assert_string_equal(field(&id, "/steps/0/state"), "succeeded");
    assert_string_equal(field(&id, "/logLines"), "250");
    struct str log;
    struct json *lines;
    must(jobs_log_json(db, arena_current(), id.z, 0, 5000, &log));
    must(json_parse(arena_current(), log, NULL, &lines));
    assert_int_equal(json_len(lines), 250);
    assert_string_equal(json_get_str(json_at(lines, 3), "line"), "line 3 \"quoted\" \xef\xbf\xbd a\nb");
    must(jobs_log_json(db, arena_current(), id.z, 248, 10, &log));
    must(json_parse(arena_current(), log, NULL, &lines));
    assert_int_equal(json_get_int(json_at(lines, 0), "seq", 0), 249);
    bool ended;
    assert_true(err_is(jobs_wait(j, ORG_A, deadline_in(100), &ended), ERR_NOT_FOUND));
    worker_end(j);
    return NULL;
}

static err_t retry_body(void *arg) {
    (void)arg;
    struct jobs *j = worker("one", 0);
    struct uuid_text id = give("flaky", NULL, 5), two = give("flaky", NULL, 2), bad = give("broken", NULL, 5),
                     timed = give("timed", NULL, 1);
    wait_end(j, &id, "succeeded");
    assert_string_equal(field(&id, "/attempt"), "3");
    wait_end(j, &two, "failed");
    assert_string_equal(field(&two, "/error/code"), "DOCKER_UNAVAILABLE");
    wait_end(j, &bad, "failed");
    assert_string_equal(field(&bad, "/attempt"), "1"); /* not worth another try */
    assert_string_equal(field(&bad, "/error/details/line"), "7");
    wait_end(j, &timed, "failed");
    assert_string_equal(field(&timed, "/error/code"), "TIMEOUT");
    worker_end(j);
    return NULL;
}

static err_t serial_body(void *arg) {
    (void)arg;
    struct jobs *j = worker("one", 0), *k = worker("two", 0);
    struct uuid_text ids[6];
    for (int i = 0; i < 6; i++)
        ids[i] = give("slow", "app:1", 1);
    for (int i = 0; i < 6; i++)
        wait_end(j, &ids[i], "succeeded");
    assert_int_equal(runs, 6);
    assert_int_equal(most_running, 1);
    /* Coalescing: the one that waits is enough. */
    struct uuid_text a = give("long", "app:2", 1), b, c, d;
    must(fiber_sleep(200));
    bool fresh;
    struct job_spec s = {.kind = "long", .key = "app:2", .coalesce = true};
    must(jobs_enqueue(db, &s, &b, &fresh));
    assert_true(fresh);
    must(jobs_enqueue(db, &s, &c, &fresh));
    assert_false(fresh);
    assert_string_equal(b.z, c.z);
    must(jobs_cancel(db, b.z, "not needed"));
    /* One that was to wait runs at the time of the earliest who asked. */
    s = (struct job_spec){.kind = "slow", .key = "app:later", .coalesce = true, .delay_ms = SECONDS(3600)};
    must(jobs_enqueue(db, &s, &d, &fresh));
    assert_true(fresh);
    s.delay_ms = 0;
    must(jobs_enqueue(db, &s, &c, &fresh));
    assert_string_equal(d.z, c.z);
    wait_end(j, &d, "succeeded");
    wait_end(j, &b, "cancelled");
    must(jobs_cancel(db, a.z, NULL));
    wait_end(j, &a, "cancelled");
    worker_end(j);
    worker_end(k);
    return NULL;
}

static err_t cancel_body(void *arg) {
    (void)arg;
    struct jobs *j = worker("one", 0);
    struct uuid_text id = give("long", NULL, 3);
    while (runs == 0)
        must(fiber_sleep(10));
    uint64_t begin = clock_mono_ms();
    must(jobs_cancel(db, id.z, "by bob"));
    wait_end(j, &id, "cancelled");
    assert_true(clock_mono_ms() - begin < 1000);
    assert_int_equal(cancelled_seen, 1);
    assert_string_equal(field(&id, "/cancelReason"), "by bob");
    assert_true(err_is(jobs_cancel(db, id.z, NULL), ERR_NOT_FOUND));
    worker_end(j);
    return NULL;
}

/* The worker is deaf past its lease; another takes over; the first one's write changes nothing. */
static err_t fence_body(void *arg) {
    (void)arg;
    struct pg_result *r;
    must(pg_query(db, arena_current(), "CREATE TABLE fenced (i integer)", PG_NOARGS, &r));
    fence_result = NULL;
    struct jobs *j = worker("one", 600);
    struct uuid_text id = give("stubborn", NULL, 1);
    while (runs == 0)
        must(fiber_sleep(10));
    must(fiber_sleep(100));
    /* As if the server had been stopped for longer than its lease. */
    pg_lab_psql_at(conf.url,
                   "UPDATE jobs SET lease_until = now() - interval '1 s', fence = -1 WHERE state = 'running'");
    struct jobs *k = worker("two", 600);
    runs = 1;
    wait_end(k, &id, "succeeded");
    must(fiber_sleep(2700));
    assert_true(err_is(fence_result, ERR_FENCED));
    must(pg_query(db, arena_current(), "SELECT count(*) FROM fenced", PG_NOARGS, &r));
    assert_string_equal(pg_cell(r, 0, 0), "1");
    assert_string_equal(field(&id, "/state"), "succeeded");
    assert_string_equal(field(&id, "/attempt"), "1"); /* an expired lease uses up no attempt */
    worker_end(j);
    worker_end(k);
    return NULL;
}

/* A job that kills its server every time is given up. */
static err_t poison_body(void *arg) {
    (void)arg;
    struct uuid_text id;
    must(jobs_enqueue(db, &(struct job_spec){.kind = "nobody-does-this"}, &id, NULL));
    pg_lab_psql_at(conf.url, "UPDATE jobs SET state = 'running', lease_until = now() - interval '1 s', handovers = 10 "
                             "WHERE kind = 'nobody-does-this'");
    struct jobs *j = worker("one", 0);
    wait_end(j, &id, "failed");
    assert_string_equal(field(&id, "/error/code"), "LEASE_LOST");
    worker_end(j);
    return NULL;
}

static err_t fair_body(void *arg) {
    (void)arg;
    struct uuid_text id, last_b;
    for (int i = 0; i < 60; i++)
        must(jobs_enqueue(db, &(struct job_spec){.kind = "slow", .org_id = ORG_A}, &id, NULL));
    for (int i = 0; i < 4; i++)
        must(jobs_enqueue(db, &(struct job_spec){.kind = "slow", .org_id = ORG_B}, &last_b, NULL));
    struct jobs *j = worker("one", 0);
    wait_end(j, &last_b, "succeeded");
    assert_true(runs <= 20);         /* B did not wait for A's sixty */
    assert_true(most_running <= 10); /* of this kind */
    wait_end(j, &id, "succeeded");
    int in_row = 0;
    for (const char *p = order; *p != '\0' && p < order + 8; p++)
        in_row += *p == 'b';
    assert_true(in_row >= 3);
    worker_end(j);
    return NULL;
}

static err_t drain_body(void *arg) {
    (void)arg;
    struct jobs *j = worker("one", 0);
    struct uuid_text id = give("long", NULL, 1);
    while (runs == 0)
        must(fiber_sleep(10));
    uint64_t begin = clock_mono_ms();
    worker_end(j);
    assert_true(clock_mono_ms() - begin < 1000);
    assert_string_equal(field(&id, "/state"), "queued");
    assert_string_equal(field(&id, "/attempt"), "0");
    j = worker("two", 0);
    while (runs == 0)
        must(fiber_sleep(10));
    must(jobs_cancel(db, id.z, NULL));
    wait_end(j, &id, "cancelled");
    worker_end(j);
    int64_t n;
    must(jobs_purge(db, 0, &n));
    assert_true(n > 10);
    return NULL;
}

/* The database restarts while a job runs: it goes on and its end is written. */
static err_t restart_body(void *arg) {
    (void)arg;
    static const uint64_t two_s = 2000;
    struct jobs *j = jobs_new(&(struct jobs_conf){.db = db, .pg = &conf, .owner = "one", .lease_ms = 6000});
    jobs_register(j, &(struct job_kind){.name = "slow", .run = slow_run, .arg = (void *)(uintptr_t)&two_s});
    jobs_start(j);
    runs = 0;
    struct uuid_text id = give("slow", NULL, 1);
    while (runs == 0)
        must(fiber_sleep(10));
    pg_lab_halt(SIGQUIT);
    must(fiber_sleep(2500)); /* ends while there is no database */
    pg_lab_resume();
    must(pg_wait_ready(db, deadline_in(10000)));
    bool ended = false;
    for (int i = 0; i < 50 && !ended; i++) {
        err_t e = jobs_wait(j, id.z, deadline_in(1000), &ended);
        if (e != NULL)
            must(fiber_sleep(100));
    }
    assert_string_equal(field(&id, "/state"), "succeeded");
    assert_int_equal(runs, 1);
    worker_end(j);
    return NULL;
}

#define TEST_OF(name)                                                                                                  \
    static void test_##name(void **state) {                                                                            \
        (void)state;                                                                                                   \
        must(loop_run_fiber("test", name##_body, NULL));                                                               \
    }
TEST_OF(run)
TEST_OF(retry)
TEST_OF(serial)
TEST_OF(cancel)
TEST_OF(fence)
TEST_OF(poison)
TEST_OF(fair)
TEST_OF(drain)
TEST_OF(restart)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_run),    cmocka_unit_test(test_retry), cmocka_unit_test(test_serial),
        cmocka_unit_test(test_cancel), cmocka_unit_test(test_fence), cmocka_unit_test(test_poison),
        cmocka_unit_test(test_fair),   cmocka_unit_test(test_drain), cmocka_unit_test(test_restart),
    };
    pg_lab_start();
    conf = (struct pg_conf){.url = pg_lab_database("jobs"), .pool_size = 6};
    loop_init();
    err_ignore(loop_run_fiber("setup", setup_body, NULL));
    int n = cmocka_run_group_tests(tests, NULL, NULL);
    err_ignore(loop_run_fiber("teardown", teardown_body, NULL));
    loop_fini();
    return n;
}
