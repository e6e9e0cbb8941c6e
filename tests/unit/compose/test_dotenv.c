#include "compose_test.h"

static err_t parse(const char *text, struct map *vars) {
    static const char *const env[][2] = {{"OUTER", "outside"}, {"A", "from-env"}};
    struct compose_env e;
    struct compose_cx cx;
    compose_cx_init(&cx, T, NULL, NULL);
    compose_env_init(&e, T);
    for (size_t i = 0; i < ARRAY_LEN(env); i++)
        compose_env_set(&e, env[i][0], env[i][1]);
    map_init(vars, T);
    return compose_dotenv(&cx, str_of(text), "x.env", &e, vars);
}

static void test_table(void **state) {
    (void)state;
    static const struct {
        const char *text, *key, *value; /* value NULL: no such key */
    } rows[] = {
        {"K=v", "K", "v"},
        {"K = v ", "K", "v"},
        {"K: v", "K", "v"},
        {"export K=v", "K", "v"},
        {"exportK=v", "exportK", "v"},
        {"K=", "K", ""},
        {"K", "K", NULL},
        {"OUTER", "OUTER", "outside"},
        {"K=a=b", "K", "a=b"},
        {"K=a b # c", "K", "a b"},
        {"K=a#b", "K", "a#b"},
        {"K= # c", "K", ""},
        {"# K=v\nL=1", "L", "1"},
        {"K='a # b'", "K", "a # b"},
        {"K='it\\'s'", "K", "it's"},
        {"K='$OUTER'", "K", "$OUTER"},
        {"K='a\nb'", "K", "a\nb"},
        {"K=\"a\nb\"", "K", "a\nb"},
        {"K=\"a\\nb\"", "K", "a\nb"},
        {"K=\"\\$OUTER\"", "K", "$OUTER"},
        {"K=\"$OUTER\"", "K", "outside"},
        {"K=$OUTER", "K", "outside"},
        {"K=${NOPE:-d}", "K", "d"},
        {"K=\"\\0101\"", "K", "A"},
        {"K=\"a\" # c", "K", "a"},
        {"A=1\nK=$A", "K", "from-env"},
        {"B=1\nK=$B", "K", "1"},
        {"K=1\r\nL=2\r\n", "K", "1"},
        {"K=\"a\"\r\nL=2", "L", "2"},
        {"\xef\xbb\xbfK=v", "K", "v"},
        {"K=1\nK=2", "K", "2"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct map vars;
        err_t e = parse(rows[i].text, &vars);
        if (e != NULL)
            fail_msg("%s: %s", rows[i].text, e->message);
        const char *v = map_getz(&vars, rows[i].key);
        if (!z_eq(v, rows[i].value))
            fail_msg("%s: %s is %s", rows[i].text, rows[i].key, v != NULL ? v : "missing");
    }
}

static void test_errors(void **state) {
    (void)state;
    static const struct {
        const char *text, *line;
    } rows[] = {
        {"A=1\nB C=2", "2"}, {"A=1\n\n=x", "3"}, {"lol$wut", "1"},   {"K=\"open\nmore\n", "1"}, {"K='open", "1"},
        {"K=\"a\"b", "1"},   {"A=1\nK=${", "2"}, {"K=${X?no}", "1"}, {"M=\"a\nb\"\nB B", "3"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct map vars;
        err_t e = parse(rows[i].text, &vars);
        if (e == NULL)
            fail_msg("accepted: %s", rows[i].text);
        if (!z_eq(detail(e, "line"), rows[i].line))
            fail_msg("%s: %s", rows[i].text, e->message);
        assert_string_equal(detail(e, "file"), "x.env");
    }
    struct map vars;
    err_t e = parse("PASSWORD=\"s3cret", &vars); /* a message never shows a value */
    assert_null(strstr(e->message, "s3cret"));
    e = parse("PASSWORD=s3cret${", &vars);
    assert_null(strstr(e->message, "s3cret"));
}

static void test_raw(void **state) {
    (void)state;
    struct compose_cx cx;
    struct map vars;
    compose_cx_init(&cx, T, NULL, NULL);
    map_init(&vars, T);
    assert_null(compose_dotenv_raw(&cx, STR("# c\nA=\"q\" $X # y\nB='1'\r\n\nC=\n"), "x", NULL, &vars));
    assert_string_equal(map_getz(&vars, "A"), "\"q\" $X # y");
    assert_string_equal(map_getz(&vars, "B"), "'1'");
    assert_string_equal(map_getz(&vars, "C"), "");
    assert_int_equal(vars.n, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {TEST(test_table), TEST(test_errors), TEST(test_raw)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
