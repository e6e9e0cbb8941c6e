/* The private cluster: first start, stop, start again, adoption after our death, recovery after the server's. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "core/async/fiber.h"
#include "core/async/loop.h"
#include "core/async/proc.h"
#include "core/pg/embedded.h"
#include "core/pg/pg.h"

static char dir[64];

static void must(err_t e) {
    if (e != NULL)
        fail_msg("%s %s", err_code_symbol(e->code), err_chain(arena_current(), e));
}

static const char *ask(const char *url, const char *sql) {
    struct pg *db = pg_new(&(struct pg_conf){.url = url, .pool_size = 1});
    struct pg_result *r;
    must(pg_wait_ready(db, deadline_in(5000)));
    must(pg_query(db, arena_current(), sql, PG_NOARGS, &r));
    pg_free(db);
    return r->rows > 0 ? pg_cell(r, 0, 0) : NULL;
}

static pid_t pid_of(void) {
    char path[128], text[32] = "";
    snprintf(path, sizeof(path), "%s/postgres/data/postmaster.pid", dir);
    FILE *f = fopen(path, "r");
    if (f == NULL)
        return 0;
    if (fgets(text, sizeof(text), f) == NULL)
        text[0] = '\0';
    fclose(f);
    return (pid_t)strtol(text, NULL, 10);
}

static err_t cycle(void *arg) {
    (void)arg;
    struct pg_embedded *p, *q;
    must(pg_embedded_start(dir, NULL, deadline_in(60000), &p));
    ask(pg_embedded_url(p), "CREATE TABLE t AS SELECT 42 AS i");
    assert_string_equal(ask(pg_embedded_url(p), "SHOW listen_addresses"), "");
    pid_t pid = pid_of();
    assert_true(pid > 1);

    /* Another starter finds it (this is what happens after kill -9 of the server). */
    must(pg_embedded_start(dir, NULL, deadline_in(10000), &q));
    assert_int_equal(pid_of(), pid);
    assert_string_equal(ask(pg_embedded_url(q), "SELECT i FROM t"), "42");
    pg_embedded_stop(q, deadline_in(10000));
    assert_int_equal(pid_of(), 0);
    pg_embedded_stop(p, deadline_in(10000));

    /* Killed server: recovery. */
    must(pg_embedded_start(dir, NULL, deadline_in(30000), &p));
    kill(pid_of(), SIGKILL);
    must(fiber_sleep(300));
    must(pg_embedded_start(dir, NULL, deadline_in(30000), &q));
    assert_string_equal(ask(pg_embedded_url(q), "SELECT i FROM t"), "42");
    pg_embedded_stop(q, deadline_in(10000));
    pg_embedded_stop(p, deadline_in(100));

    /* The socket's directory is closed to others. */
    char run[128];
    struct stat st;
    snprintf(run, sizeof(run), "%s/postgres/run", dir);
    assert_int_equal(stat(run, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    return NULL;
}
static void test_cycle(void **state) {
    (void)state;
    must(loop_run_fiber("t", cycle, NULL));
}

static err_t refusals(void *arg) {
    (void)arg;
    struct pg_embedded *p;
    assert_true(err_is(pg_embedded_start("/nonexistent/x", NULL, deadline_in(1000), &p), ERR_CONFIG));
    if (geteuid() == 0) {
        assert_true(err_is(pg_embedded_start(dir, "no-such-user", deadline_in(1000), &p), ERR_CONFIG));
        char closed[96];
        snprintf(closed, sizeof(closed), "%s/closed", dir);
        assert_int_equal(mkdir(closed, 0700), 0);
        err_t e = pg_embedded_start(closed, NULL, deadline_in(1000), &p);
        assert_true(err_is(e, ERR_CONFIG));
        assert_non_null(strstr(e->message, "may not enter"));
    }
    return NULL;
}
static void test_refusals(void **state) {
    (void)state;
    must(loop_run_fiber("t", refusals, NULL));
}

static err_t clean(void *arg) {
    (void)arg;
    struct proc_conf rm = {.argv = (const char *[]){"/bin/rm", "-rf", dir, NULL}};
    struct str out;
    return proc_run(&rm, deadline_in(10000), 4096, &out);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cycle), cmocka_unit_test(test_refusals)};
    snprintf(dir, sizeof(dir), "/tmp/df-embedded-XXXXXX");
    if (mkdtemp(dir) == NULL || chmod(dir, 0755) != 0)
        return 1;
    loop_init();
    int n = cmocka_run_group_tests(tests, NULL, NULL);
    err_ignore(loop_run_fiber("clean", clean, NULL));
    loop_fini();
    return n;
}
