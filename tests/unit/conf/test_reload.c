#include "conf_test.h"

static struct conf_input input(const char *yaml) {
    return (struct conf_input){.default_path = write_file("c.yaml", yaml, strlen(yaml))};
}

static bool has(const struct conf_list *l, const char *key) {
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->v[i], key) == 0)
            return true;
    return false;
}

static void test_reload(void **state) {
    (void)state;
    struct arena *first = arena_new("conf", 0);
    struct conf_result r;
    struct conf_input in = input("log: {keep: 3}\nlimits: {fibers: 100}\n");
    assert_null(conf_load(first, &in, &r));
    conf_publish(first, r.conf);
    arena_unref(first);
    const struct conf *before = conf_now();
    assert_int_equal(before->log.keep, 3);

    in = input("log: {keep: 4, level: DEBUG}\nlimits: {fibers: 200}\nserver: {corsOrigins: ['http://a', 'http://b']}\n"
               "data: {dir: /elsewhere}\n");
    struct conf_change change;
    assert_null(conf_reload(A, &in, &change));
    const struct conf *c = conf_now();
    assert_ptr_not_equal(c, before);
    assert_int_equal(c->log.keep, 4);
    assert_int_equal(c->log.level, LOG_DEBUG);
    assert_int_equal(c->server.cors_origins.n, 2);
    assert_string_equal(c->server.cors_origins.v[1], "http://b");
    assert_int_equal(c->limits.fibers, 100); /* as at start */
    assert_string_equal(c->data.dir, "/var/lib/dockflow");
    assert_int_equal(change.applied.n, 3);
    assert_true(has(&change.applied, "log.keep") && has(&change.applied, "log.level"));
    assert_int_equal(change.needs_restart.n, 2);
    assert_true(has(&change.needs_restart, "limits.fibers") && has(&change.needs_restart, "data.dir"));
    assert_int_equal(before->log.keep, 3); /* the one before stays readable for a while */

    assert_null(conf_reload(A, &in, &change));
    assert_int_equal(change.applied.n, 0);
    assert_int_equal(change.needs_restart.n, 2); /* still pending */
}

static void test_a_bad_file_changes_nothing(void **state) {
    (void)state;
    const struct conf *before = conf_now();
    struct conf_change change = {.applied = {.n = 77}};
    struct conf_input in = input("log: {keep: 5}\nnope: {}\n");
    assert_problem(conf_reload(A, &in, &change), "c.yaml:2:1: unknown key");
    assert_ptr_equal(conf_now(), before);
    assert_int_equal(change.applied.n, 77);
}

static void test_old_snapshots_are_freed(void **state) {
    (void)state;
    struct conf_change change;
    struct conf_input in = input("log: {keep: 6}\n");
    assert_null(conf_reload(A, &in, &change));
    uint64_t live = 0;
    for (int i = 0; i < 20; i++) {
        in = input(arena_printf(A, "log: {keep: %d}\n", 7 + i));
        assert_null(conf_reload(A, &in, &change));
        if (i == 10)
            live = arena_stats_get().live;
    }
    assert_int_equal(arena_stats_get().live, live);
    assert_int_equal(conf_now()->log.keep, 26);
    static struct conf own = {.log.keep = 99};
    conf_publish(NULL, &own); /* as a test would */
    assert_int_equal(conf_now()->log.keep, 99);
    for (int i = 0; i < 6; i++)
        conf_publish(NULL, &own);
}

int main(void) {
    const struct CMUnitTest tests[] = {T(test_reload), T(test_a_bad_file_changes_nothing),
                                       T(test_old_snapshots_are_freed)};
    return cmocka_run_group_tests_name("conf reload", tests, NULL, NULL);
}
