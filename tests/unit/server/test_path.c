#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "server/path.h"

static struct arena *a;

static const char *canonical(const char *raw) {
    struct str s;
    err_t e = path_canonical(a, str_of(raw), &s);
    return e ? err_code_wire(e->code) : s.p;
}

static void good_paths(void **state) {
    (void)state;
    static const char *const SAME[] = {"/", "/a", "/a/b", "/a.b/c-d_e~f", "/..a/b..", "/a:b@c!$&'()*+,="};
    for (size_t i = 0; i < ARRAY_LEN(SAME); i++)
        assert_string_equal(canonical(SAME[i]), SAME[i]);
    assert_string_equal(canonical("/a%20b"), "/a b");
    assert_string_equal(canonical("/%C3%A9"), "/\xc3\xa9");
    assert_string_equal(canonical("/a%3ab"), "/a:b");
}

static void bad_paths(void **state) {
    (void)state;
    static const char *const BAD[] = {"",        "a",          "//",     "/a/",       "/a//b",  "/.",     "/..",
                                      "/a/../b", "/a/./b",     "/%2e",   "/%2E%2e/a", "/a%2fb", "/a%2Fb", "/a%5cb",
                                      "/a\\b",   "/a;b",       "/a%3bb", "/a%00",     "/a%0a",  "/a%7f",  "/%61",
                                      "/%",      "/%4",        "/%zz",   "/a b",      "/a\tb",  "/\x80",  "/%ff",
                                      "/%c0%ae", "/%ed%a0%80", "/a%2"};
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++)
        assert_string_equal(canonical(BAD[i]), "BAD_PATH");
    struct str s;
    assert_non_null(path_canonical(a, str_n("/a\0b", 4), &s));
}

static void long_paths(void **state) {
    (void)state;
    char *z = arena_alloc(a, PATH_MAX_BYTES + 2, 1);
    memset(z, 'a', PATH_MAX_BYTES + 1);
    z[0] = '/';
    struct str s;
    assert_null(path_canonical(a, str_n(z, PATH_MAX_BYTES), &s));
    assert_true(err_is(path_canonical(a, str_n(z, PATH_MAX_BYTES + 1), &s), ERR_URI_TOO_LONG));
}

static void queries(void **state) {
    (void)state;
    struct query_param *v;
    size_t n;
    assert_null(query_parse(a, STR("a=1&b=x%20y+z&c&d=&&e=%C3%A9"), &v, &n));
    assert_int_equal(n, 5);
    assert_string_equal(v[0].value, "1");
    assert_string_equal(v[1].value, "x y z");
    assert_string_equal(v[2].value, "");
    assert_string_equal(v[4].value, "\xc3\xa9");
    assert_null(query_parse(a, STR(""), &v, &n));
    assert_int_equal(n, 0);
    assert_true(err_is(query_parse(a, STR("a=%zz"), &v, &n), ERR_BAD_ENCODING));
    assert_true(err_is(query_parse(a, STR("a=%ff"), &v, &n), ERR_BAD_ENCODING));
    assert_true(err_is(query_parse(a, STR("a=%00"), &v, &n), ERR_BAD_ENCODING));
    err_t e = query_parse(a, STR("a=1&%61=2"), &v, &n);
    assert_true(err_is(e, ERR_BAD_REQUEST));
    assert_string_equal(e->field, "a");
}

static void too_many_parameters(void **state) {
    (void)state;
    char text[1024];
    size_t len = 0, n;
    struct query_param *v;
    for (int i = 0; i <= QUERY_MAX_PARAMS; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "p%d=1&", i);
    assert_true(err_is(query_parse(a, str_n(text, len), &v, &n), ERR_BAD_REQUEST));
}

static int setup(void **state) {
    (void)state;
    a = arena_new("test", 0);
    arena_set_current(a);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_set_current(NULL);
    arena_unref(a);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(good_paths), cmocka_unit_test(bad_paths),
                                       cmocka_unit_test(long_paths), cmocka_unit_test(queries),
                                       cmocka_unit_test(too_many_parameters)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
