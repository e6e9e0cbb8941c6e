#include "compose_test.h"

#include <math.h>

static struct y_node *parse(const char *text) {
    struct y_node *n = NULL;
    err_t e = yaml_parse_one(T, str_of(text), "f.yaml", &n);
    if (e != NULL)
        fail_msg("%s", e->message);
    return n;
}

/* The core schema of YAML 1.2, frozen: what a plain scalar is. */
static void test_scalars(void **state) {
    (void)state;
    static const struct {
        const char *text;
        enum y_kind kind;
        int64_t i;
    } rows[] = {
        {"no", Y_STR, 0},
        {"yes", Y_STR, 0},
        {"on", Y_STR, 0},
        {"Off", Y_STR, 0},
        {"true", Y_BOOL, 1},
        {"TRUE", Y_BOOL, 1},
        {"tRUE", Y_STR, 0},
        {"False", Y_BOOL, 0},
        {"~", Y_NULL, 0},
        {"null", Y_NULL, 0},
        {"Null", Y_NULL, 0},
        {"nULL", Y_STR, 0},
        {"012", Y_INT, 12},
        {"0o14", Y_INT, 12},
        {"0x1F", Y_INT, 31},
        {"0x", Y_STR, 0},
        {"0b11", Y_STR, 0},
        {"1_000", Y_STR, 0},
        {"1:30", Y_STR, 0},
        {"-7", Y_INT, -7},
        {"+7", Y_INT, 7},
        {"1.5", Y_FLOAT, 0},
        {"1.", Y_FLOAT, 0},
        {".5", Y_FLOAT, 0},
        {".", Y_STR, 0},
        {"1e3", Y_FLOAT, 0},
        {"1e", Y_STR, 0},
        {".inf", Y_FLOAT, 0},
        {"-.INF", Y_FLOAT, 0},
        {".nan", Y_FLOAT, 0},
        {"-.nan", Y_STR, 0},
        {"inf", Y_STR, 0},
        {"nan", Y_STR, 0},
        {"2001-01-01", Y_STR, 0},
        {"9223372036854775807", Y_INT, INT64_MAX},
        {"9223372036854775808", Y_FLOAT, 0},
        {"=", Y_STR, 0},
        {"1.2.3", Y_STR, 0},
        {"!!str 5", Y_STR, 0},
        {"!!int \"5\"", Y_INT, 5},
        {"!!float 5", Y_FLOAT, 0},
        {"'5'", Y_STR, 0},
        {"\"true\"", Y_STR, 0},
        {"! 5", Y_STR, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct y_node *n = y_get(parse(arena_printf(T, "k: %s\n", rows[i].text)), "k");
        if (n->kind != rows[i].kind)
            fail_msg("%s is a %s", rows[i].text, y_kind_name(n->kind));
        if (n->kind == Y_INT)
            assert_int_equal(n->i, rows[i].i);
        if (n->kind == Y_BOOL)
            assert_int_equal(n->b, rows[i].i);
    }
}

static void test_places(void **state) {
    (void)state;
    const struct y_node *n = parse("a:\n  - x: 1\n    y: |\n      two\n      lines\n  - &z {k: v}\n  - *z\n");
    const struct y_node *l = y_get(n, "a");
    assert_int_equal(l->line, 2);
    assert_int_equal(l->col, 3);
    assert_int_equal(y_get(y_at(l, 0), "y")->line, 3);
    assert_string_equal(y_get_str(y_at(l, 0), "y"), "two\nlines\n");
    assert_int_equal(y_get(y_at(l, 2), "k")->line, 6);
    assert_string_equal(y_at(l, 2)->file, "f.yaml");
    y_set(T, y_at(l, 2), "k", y_new_str(T, "changed", NULL)); /* an alias is a copy */
    assert_string_equal(y_get_str(y_at(l, 1), "k"), "v");
}

static void test_merge_keys(void **state) {
    (void)state;
    const struct y_node *n = parse(
        "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc:\n  <<: [*a, *b]\n  x: 3\nd:\n  x: 0\n  <<: *b\ne: {\"<<\": 5}\n");
    const struct y_node *c = y_get(n, "c");
    assert_int_equal(y_get_int(c, "x", 0), 3); /* own keys win */
    assert_int_equal(y_get_int(c, "y", 0), 1); /* then the first source */
    assert_int_equal(y_get_int(c, "z", 0), 2);
    assert_int_equal(y_get_int(y_get(n, "d"), "x", 9), 0);
    assert_int_equal(y_get_int(y_get(n, "e"), "<<", 0), 5); /* quoted: an ordinary key */
}

static void test_large_map(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, 0, MIB(1));
    for (int i = 0; i < 3000; i++)
        buf_putf(&b, "key%d: %d\n", i, i);
    buf_putc(&b, '\0');
    struct y_node *n = parse(b.p);
    buf_done(&b);
    assert_int_equal(y_get_int(n, "key2999", -1), 2999);
    assert_true(y_del(n, "key5"));
    assert_false(y_has(n, "key5"));
    assert_int_equal(y_get_int(n, "key2999", -1), 2999);
    assert_int_equal(y_get_int(y_clone(T, n), "key17", -1), 17);
}

struct bad {
    const char *text;
    enum err_code code;
    const char *at; /* "line:column" or NULL */
};

static void check_bad(const struct bad *rows, size_t n) {
    for (size_t i = 0; i < n; i++) {
        struct yaml_docs docs;
        err_t e = yaml_parse(T, str_of(rows[i].text), "f.yaml", NULL, &docs);
        if (e == NULL)
            fail_msg("accepted: %s", rows[i].text);
        if (e->code != rows[i].code)
            fail_msg("%s: %s (%s)", rows[i].text, e->message, err_code_symbol(e->code));
        char *want = rows[i].at != NULL ? arena_printf(T, "f.yaml:%s: ", rows[i].at) : NULL;
        if (want != NULL && !z_starts(e->message, want))
            fail_msg("expected %s, got %s", want, e->message);
    }
}

static void test_errors(void **state) {
    (void)state;
    static const struct bad rows[] = {
        {"a: 1\na: 2\n", ERR_DUPLICATE_KEY, "2:1"},
        {"a:\n  b: 1\n  c: 2\n  b: 3\n", ERR_DUPLICATE_KEY, "4:3"},
        {"a: {x: 1, x: 2}\n", ERR_DUPLICATE_KEY, "1:11"},
        {"a: &a [*a]\n", ERR_INVALID_YAML, "1:8"},
        {"a: &a\n  <<: *a\n", ERR_INVALID_YAML, "2:7"},
        {"a: *nope\n", ERR_INVALID_YAML, "1:4"},
        {"a: !custom x\n", ERR_INVALID_YAML, "1:4"},
        {"a: !!binary x\n", ERR_INVALID_YAML, "1:4"},
        {"a: !!python/object x\n", ERR_INVALID_YAML, "1:4"},
        {"a: !!int x\n", ERR_INVALID_YAML, "1:4"},
        {"a: !!map x\n", ERR_INVALID_YAML, "1:4"},
        {"<<: 5\n", ERR_INVALID_YAML, "1:5"},
        {"<<: [5]\n", ERR_INVALID_YAML, "1:6"},
        {"? [a]\n: 1\n", ERR_INVALID_YAML, "1:3"},
        {"a:\n\tb: 1\n", ERR_INVALID_YAML, "2:1"},
        {"a: [1, 2\n", ERR_INVALID_YAML, NULL},
        {"a: 'x\n", ERR_INVALID_YAML, NULL},
        {"a: b: c\n", ERR_INVALID_YAML, "1:5"},
        {"a: @x\n", ERR_INVALID_YAML, "1:4"},
        {"\xff\xfe"
         "a",
         ERR_INVALID_YAML, "1:1"},
        {"a: \xc3\x28\n", ERR_INVALID_YAML, NULL},
        {"a: \x07\n", ERR_INVALID_YAML, NULL},
    };
    check_bad(rows, ARRAY_LEN(rows));
    struct yaml_docs docs;
    err_t e = yaml_parse(T, str_n("a: b\0c\n", 7), "f.yaml", NULL, &docs);
    assert_int_equal(e->code, ERR_INVALID_YAML);
    e = yaml_parse(T, STR("a: 1\na: 2\n"), "f.yaml", NULL, &docs);
    assert_string_equal(detail(e, "line"), "2");
    assert_string_equal(detail(e, "column"), "1");
    assert_string_equal(detail(e, "file"), "f.yaml");
}

/* One encoding: what is none of it is named with its place, whatever it looks like. */
static void test_encodings(void **state) {
    (void)state;
    static const struct {
        struct str text;
        const char *at; /* NULL: good */
    } rows[] = {
        {STR("\xef\xbb\xbf"
             "a: 1\n"),
         NULL},
        {STR("\xff\xfe"
             "a\0:\0 \0001\0\n\0"),
         "1:1: the file is UTF-16"},
        {STR("\xfe\xff"
             "\0a\0:\0 \0001\0\n"),
         "1:1: the file is UTF-16"},
        {STR("a\0:\0 \0001\0\n\0"), "1:2: control character NUL"},
        {STR("\0a\0:\0 \0001\0\n"), "1:1: control character NUL"},
        {STR("\xff\xfe\0\0a\0\0\0"), "1:1: the file is UTF-16"},
        {STR("\0\0\xfe\xff\0\0\0a"), "1:1: control character NUL"},
        {STR("a: 1\nb: caf\xe9\n"), "2:7: the file is not UTF-8"},
        {STR("a: caf\xc3\xa9 \xe9\n"), "1:9: the file is not UTF-8"},
        {STR("a: \xed\xa0\x80\n"), "1:4: the file is not UTF-8"},
        {STR("a: \xc0\x80\n"), "1:4: the file is not UTF-8"},
        {STR("a: \xf4\x90\x80\x80\n"), "1:4: the file is not UTF-8"},
        {STR("a: \xe2\x82"), "1:4: the file is not UTF-8"},
        {STR("a: b\n \0"), "2:2: control character NUL"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct yaml_docs docs;
        err_t e = yaml_parse(T, rows[i].text, "f.yaml", NULL, &docs);
        if (rows[i].at == NULL) {
            assert_null(e);
            assert_int_equal(y_get(docs.v[0], "a")->line, 1);
            continue;
        }
        assert_non_null(e);
        assert_int_equal(e->code, ERR_INVALID_YAML);
        if (!z_starts(e->message, arena_printf(T, "f.yaml:%s", rows[i].at)))
            fail_msg("row %zu: %s", i, e->message);
    }
}

/* A tab is no indentation: between tokens it is white space, before a key it is an error where it stands. */
static void test_tabs(void **state) {
    (void)state;
    static const struct bad rows[] = {
        {"a:\n\tb: 1\n", ERR_INVALID_YAML, "2:1"},         {"\ta: 1\n", ERR_INVALID_YAML, "1:1"},
        {"a:\n  b: 1\n\tc: 2\n", ERR_INVALID_YAML, "3:1"}, {"a:\n-\t- b\n", ERR_INVALID_YAML, NULL},
        {"a: |\n\tb\n", ERR_INVALID_YAML, "2:1"},          {"- a\n\t- b\n", ERR_INVALID_YAML, "2:1"},
    };
    check_bad(rows, ARRAY_LEN(rows));
    assert_string_equal(y_get_str(parse("a:\tb\n"), "a"), "b");
    assert_string_equal(y_get_str(parse("a: b\t# c\n"), "a"), "b");
    assert_string_equal(y_get_str(parse("a: \"b\tc\"\n"), "a"), "b\tc");
}

static err_t parse_limits(const char *text, size_t n) {
    struct yaml_docs docs;
    return yaml_parse(T, str_n(text, n), "f.yaml", NULL, &docs);
}

static char *repeat(const char *s, size_t n) {
    size_t len = strlen(s);
    char *p = arena_alloc(T, len * n + 1, 1);
    for (size_t i = 0; i < n; i++)
        memcpy(p + i * len, s, len);
    p[len * n] = '\0';
    return p;
}

static void test_budgets(void **state) {
    (void)state;
    char *deep = arena_printf(T, "%s%s", repeat("[", 10000), repeat("]", 10000));
    assert_int_equal(parse_limits(deep, strlen(deep))->code, ERR_YAML_LIMIT);
    deep = arena_printf(T, "%s1%s", repeat("[", 64), repeat("]", 64));
    assert_null(parse_limits(deep, strlen(deep)));
    deep = arena_printf(T, "%s1%s", repeat("[", 65), repeat("]", 65));
    assert_int_equal(parse_limits(deep, strlen(deep))->code, ERR_YAML_LIMIT);
    char *wide = arena_printf(T, "[%s1]", repeat("1,", 100001));
    assert_int_equal(parse_limits(wide, strlen(wide))->code, ERR_YAML_LIMIT);
    char *big = repeat("x", MIB(1) + 1);
    assert_int_equal(parse_limits(big, MIB(1) + 1)->code, ERR_TOO_LARGE);
    char *merge = arena_printf(T, "a: &a {x: 1}\nb:\n  <<: [%s*a]\n", repeat("*a,", 10000));
    assert_int_equal(parse_limits(merge, strlen(merge))->code, ERR_YAML_LIMIT);
    char *docs = repeat("---\na: 1\n", 17);
    assert_int_equal(parse_limits(docs, strlen(docs))->code, ERR_YAML_LIMIT);
    const char *bomb =
        "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
        "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n";
    err_t e = parse_limits(bomb, strlen(bomb));
    assert_int_equal(e->code, ERR_YAML_LIMIT);
    assert_non_null(strstr(e->message, "excessive aliasing"));
    const char *depth =
        "a: &a [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]\nb: &b [[[[[[[[[[[[[[[[[[[[*a]]]]]]]]]]]]]]]]]]]]\n"
        "c: &c [[[[[[[[[[[[[[[[[[[[*b]]]]]]]]]]]]]]]]]]]]\nd: [[[[[[[[[[[[[[[[[[[[*c]]]]]]]]]]]]]]]]]]]]\n";
    assert_int_equal(parse_limits(depth, strlen(depth))->code, ERR_YAML_LIMIT);
}

static void test_documents(void **state) {
    (void)state;
    struct yaml_docs docs;
    assert_null(yaml_parse(T, STR("# nothing\n"), "f", NULL, &docs));
    assert_int_equal(docs.n, 0);
    assert_null(yaml_parse(T,
                           STR("\xef\xbb\xbf"
                               "a: 1\n---\nb: 2\n...\n"),
                           "f", NULL, &docs));
    assert_int_equal(docs.n, 2);
    assert_int_equal(y_get(docs.v[1], "b")->line, 3);
    struct y_node *one;
    assert_int_equal(yaml_parse_one(T, STR("a: 1\n---\nb: 2\n"), "f", &one)->code, ERR_INVALID_YAML);
    assert_int_equal(yaml_parse_one(T, STR("a: !reset null\n"), "f", &one)->code, ERR_INVALID_YAML);
    assert_null(yaml_parse_one(T, STR(""), "f", &one));
    assert_int_equal(one->kind, Y_NULL);
}

/* What is written reads back as the same JSON, odd strings included. */
static void test_write(void **state) {
    (void)state;
    static const char *const docs[] = {
        "{}",
        "[]",
        "null",
        "\"\"",
        "[1,2.5,true,null,\"x\"]",
        "{\"a\":{\"b\":[{\"c\":[],\"d\":{}},[1,[2]]]}}",
        "{\"yes\":\"no\",\"n\":\"0123\",\"t\":\" x \",\"q\":\"a: b\",\"h\":\"a #b\",\"e\":\"1e3\",\"m\":\"<<\",\"s\":\"~\"}",
        "{\"text\":\"line one\\nline two\\n\",\"tail\":\"a\\n\\n\",\"cr\":\"a\\r\\nb\",\"tab\":\"\\ta\",\"u\":\"h\\u00e9 \\u2028 \\ufeff \\u0007 \\u007f \\u0085\"}",
        "{\"k: y\":1,\"- x\":2,\"# c\":3,\"\":4,\"a\\nb\":5,\"---\":6}",
        "[[],[[]],{\"a\":[{\"b\":1},{\"c\":2}]}]",
        "{\"b\":\"  indented\\nblock\\n\"}",
    };
    for (size_t i = 0; i < ARRAY_LEN(docs); i++) {
        struct json *j, *back;
        assert_null(json_parse(T, str_of(docs[i]), NULL, &j));
        struct buf b;
        buf_init(&b, 0, MIB(1));
        yaml_write_json(&b, j);
        struct y_node *n;
        err_t e = yaml_parse_one(T, buf_str(&b), "out", &n);
        if (e != NULL)
            fail_msg("%s\n%.*s", e->message, (int)b.n, b.p);
        back = y_to_json(T, n);
        if (!json_eq(j, back))
            fail_msg("%s\n%.*s\n%s", docs[i], (int)b.n, b.p, json_to_text(T, back));
        buf_done(&b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_scalars),   TEST(test_places), TEST(test_merge_keys), TEST(test_large_map), TEST(test_errors),
        TEST(test_encodings), TEST(test_tabs),   TEST(test_budgets),    TEST(test_documents), TEST(test_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
