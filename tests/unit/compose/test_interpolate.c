#include "compose_test.h"

static struct compose_env *env_of(void) {
    struct compose_env *e = arena_new_obj(T, struct compose_env);
    compose_env_init(e, T);
    compose_env_set(e, "FOO", "first");
    compose_env_set(e, "EMPTY", "");
    compose_env_set(e, "DOLLAR", "a$FOO${FOO}$$b");
    compose_env_set(e, "_x1", "under");
    return e;
}

static void test_table(void **state) {
    (void)state;
    static const struct {
        const char *in, *out; /* out NULL: an error */
    } rows[] = {
        {"", ""},
        {"plain", "plain"},
        {"$FOO", "first"},
        {"${FOO}", "first"},
        {"a$FOO-b", "afirst-b"},
        {"$_x1", "under"},
        {"$1", "$1"},
        {"$", "$"},
        {"a$", "a$"},
        {"$ x", "$ x"},
        {"$$", "$"},
        {"$$$FOO", "$first"},
        {"$${FOO}", "${FOO}"},
        {"$(id)", "$(id)"},
        {"${X:-$(id)}", "$(id)"},
        {"${X-d}", "d"},
        {"${EMPTY-d}", ""},
        {"${EMPTY:-d}", "d"},
        {"${FOO:-d}", "first"},
        {"${FOO+r}", "r"},
        {"${EMPTY+r}", "r"},
        {"${EMPTY:+r}", ""},
        {"${X+r}", ""},
        {"${X:-${Y:-${FOO}}}", "first"},
        {"${X:-{\"a\":{\"b\":1}}}", "{\"a\":{\"b\":1}}"},
        {"${X:-{}}", "{}"},
        {"${X:-a}b}", "ab}"},
        {"${X:--}", "-"},
        {"${X-:-}", ":-"},
        {"${X:-$$FOO}", "$FOO"},
        {"${FOO:?never}", "first"},
        {"${EMPTY?never}", ""},
        {"${EMPTY:?must}", NULL},
        {"${X?must}", NULL},
        {"${X:?must ${FOO}}", NULL},
        {"${", NULL},
        {"${}", NULL},
        {"${ FOO}", NULL},
        {"${FOO", NULL},
        {"${FOO!}", NULL},
        {"${FOO:}", NULL},
        {"${FOO:x}", NULL},
        {"${1A}", NULL},
        {"${X:-{}", NULL},
        {"$DOLLAR", "a$FOO${FOO}$$b"}, /* single pass: values are not looked at again */
        {"${X:-$DOLLAR}", "a$FOO${FOO}$$b"},
    };
    struct compose_cx cx;
    compose_cx_init(&cx, T, NULL, NULL);
    struct compose_env *env = env_of();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str out = {0};
        err_t e = compose_substitute(&cx, env, str_of(rows[i].in), &out);
        if ((e == NULL) != (rows[i].out != NULL))
            fail_msg("%s: %s", rows[i].in, e != NULL ? e->message : "accepted");
        if (e == NULL && !str_eqz(out, rows[i].out))
            fail_msg("%s: got \"%s\", want \"%s\"", rows[i].in, out.p, rows[i].out);
    }
}

static void test_lazy(void **state) {
    (void)state;
    struct compose_cx cx;
    struct str out;
    compose_cx_init(&cx, T, NULL, NULL);
    assert_null(compose_substitute(&cx, env_of(), STR("${FOO:-${NOPE}}${FOO?${NOPE}}"), &out));
    assert_int_equal(cx.warnings.n, 0);
    assert_null(compose_substitute(&cx, env_of(), STR("${NOPE}$NOPE${OTHER:-$NOPE}"), &out));
    assert_int_equal(cx.warnings.n, 1); /* one per variable */
}

static void test_limits(void **state) {
    (void)state;
    struct compose_cx cx;
    struct str out;
    compose_cx_init(&cx, T, NULL, NULL);
    char *deep = arena_strdup(T, "x");
    for (int i = 0; i < 60; i++)
        deep = arena_printf(T, "${X:-%s}", deep);
    assert_non_null(compose_substitute(&cx, env_of(), str_of(deep), &out));
    struct compose_env *env = env_of();
    char *big = arena_alloc(T, 100001, 1);
    memset(big, 'x', 100000);
    big[100000] = '\0';
    compose_env_set(env, "BIG", big);
    err_t e = compose_substitute(&cx, env, STR("$BIG$BIG$BIG$BIG$BIG$BIG$BIG$BIG$BIG$BIG$BIG$BIG"), &out);
    assert_int_equal(e->code, ERR_TOO_LARGE);
}

static void test_tree(void **state) {
    (void)state;
    struct compose_cx cx;
    struct y_node *n;
    compose_cx_init(&cx, T, NULL, NULL);
    assert_null(yaml_parse_one(T, STR("$FOO: $FOO\nl: ['${FOO}', 5]\n"), "f.yaml", &n));
    assert_null(compose_interpolate(&cx, env_of(), n));
    assert_string_equal(y_get_str(n, "$FOO"), "first"); /* values, never keys */
    assert_string_equal(y_get(n, "$FOO")->raw, "$FOO");
    assert_int_equal(y_at(y_get(n, "l"), 1)->kind, Y_INT);
    assert_null(yaml_parse_one(T, STR("a:\n  b: [x, '${']\n"), "f.yaml", &n));
    err_t e = compose_interpolate(&cx, env_of(), n);
    assert_string_equal(detail(e, "path"), "a.b.1");
    assert_string_equal(detail(e, "line"), "2");
    assert_string_equal(detail(e, "column"), "10");
}

int main(void) {
    const struct CMUnitTest tests[] = {TEST(test_table), TEST(test_lazy), TEST(test_limits), TEST(test_tree)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
