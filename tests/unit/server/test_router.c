#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "server/router.h"

static err_t nothing(struct request *r, struct reply *out) {
    (void)r;
    (void)out;
    return NULL;
}

static const struct route ROWS[] = {
    ROUTE(GET, "/api/v1/apps", AUTH_SELF, NULL, nothing, .flags = ROUTE_LIST, .query = "project sync"),
    ROUTE(POST, "/api/v1/apps", AUTH_PERMISSION, "app:create", nothing),
    ROUTE(GET, "/api/v1/apps/{id}", AUTH_PERMISSION, "app:read", nothing),
    ROUTE(POST, "/api/v1/apps/{id}/sync", AUTH_PERMISSION, "app:sync", nothing, .flags = ROUTE_TASK),
    ROUTE(GET, "/api/v1/apps/special", AUTH_PUBLIC, NULL, nothing),
    ROUTE(GET, "/api/v1/apps/special/deep", AUTH_PUBLIC, NULL, nothing),
    ROUTE(DELETE, "/api/v1/nodes/{node}/containers/{id}", AUTH_PERMISSION, "container:delete", nothing),
    ROUTE(GET, "/health", AUTH_PUBLIC, NULL, nothing),
};

static int setup(void **state) {
    (void)state;
    routes_register(ROWS, ARRAY_LEN(ROWS));
    return 0;
}

static int teardown(void **state) {
    (void)state;
    routes_reset();
    return 0;
}

static struct route_match find(enum http_method m, const char *path) {
    struct route_match r;
    router_match(m, str_of(path), &r);
    return r;
}

static void rows_are_found(void **state) {
    (void)state;
    assert_ptr_equal(find(HTTP_GET, "/api/v1/apps").route, &ROWS[0]);
    assert_ptr_equal(find(HTTP_POST, "/api/v1/apps").route, &ROWS[1]);
    struct route_match m = find(HTTP_GET, "/api/v1/apps/x-1");
    assert_ptr_equal(m.route, &ROWS[2]);
    assert_int_equal(m.nparams, 1);
    assert_true(str_eqz(m.params[0], "x-1"));
    m = find(HTTP_DELETE, "/api/v1/nodes/n/containers/c");
    assert_ptr_equal(m.route, &ROWS[6]);
    assert_true(str_eqz(m.params[0], "n") && str_eqz(m.params[1], "c"));
    assert_ptr_equal(find(HTTP_GET, "/health").route, &ROWS[7]);
}

static void static_segments_win(void **state) {
    (void)state;
    assert_ptr_equal(find(HTTP_GET, "/api/v1/apps/special").route, &ROWS[4]);
    /* no static row for it: back to the parameter */
    struct route_match m = find(HTTP_POST, "/api/v1/apps/special/sync");
    assert_ptr_equal(m.route, &ROWS[3]);
    assert_true(str_eqz(m.params[0], "special"));
}

static void wrong_methods_tell_the_right_ones(void **state) {
    (void)state;
    struct route_match m = find(HTTP_PUT, "/api/v1/apps");
    assert_null(m.route);
    struct arena *a = arena_new("test", 0);
    assert_string_equal(router_allow(a, m.allowed), "GET, HEAD, POST, OPTIONS");
    arena_unref(a);
}

static void unknown_paths_are_unknown(void **state) {
    (void)state;
    static const char *const PATHS[] = {"/",         "",       "/api", "/api/v1", "/api/v1/apps/a/b", "/api/v1/appsx",
                                        "/health/x", "/Health"};
    for (size_t i = 0; i < ARRAY_LEN(PATHS); i++) {
        struct route_match m = find(HTTP_GET, PATHS[i]);
        assert_null(m.route);
        assert_int_equal(m.allowed, 0);
    }
}

static void names_of_parameters(void **state) {
    (void)state;
    assert_int_equal(route_param_index(&ROWS[6], "node"), 0);
    assert_int_equal(route_param_index(&ROWS[6], "id"), 1);
    assert_int_equal(route_param_index(&ROWS[6], "nod"), -1);
    assert_true(route_query_allowed(&ROWS[0], "project"));
    assert_true(route_query_allowed(&ROWS[0], "cursor"));
    assert_false(route_query_allowed(&ROWS[0], "proj"));
    assert_false(route_query_allowed(&ROWS[0], "wait"));
    assert_true(route_query_allowed(&ROWS[3], "wait"));
    assert_false(route_query_allowed(&ROWS[2], ""));
}

static void methods_parse(void **state) {
    (void)state;
    enum http_method m;
    assert_true(http_method_parse(STR("PATCH"), &m) && m == HTTP_PATCH);
    assert_false(http_method_parse(STR("get"), &m));
    assert_false(http_method_parse(STR("HEAD"), &m));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_found),
        cmocka_unit_test(static_segments_win),
        cmocka_unit_test(wrong_methods_tell_the_right_ones),
        cmocka_unit_test(unknown_paths_are_unknown),
        cmocka_unit_test(names_of_parameters),
        cmocka_unit_test(methods_parse),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
