#include "base_test.h"
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include "core/base/json.h"

static struct json *must_parse(const char *text) {
    struct json *j = NULL;
    assert_ok(json_parse(A, str_of(text), NULL, &j));
    return j;
}

/* ---- what is accepted and what it becomes ---- */

static void test_accepts(void **state) {
    (void)state;
    const struct {
        const char *in, *canonical;
    } t[] = {
        {"null", "null"},
        {" \t\r\n true \n", "true"},
        {"[]", "[]"},
        {"{}", "{}"},
        {"[ ]", "[]"},
        {"{ }", "{}"},
        {"\"\"", "\"\""},
        {"{\"\":0}", "{\"\":0}"},
        {"0", "0"},
        {"-0", "0"},
        {"-1", "-1"},
        {"9223372036854775807", "9223372036854775807"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"9007199254740993", "9007199254740993"}, /* 2^53+1: no trip through a double */
        {"1.0", "1.0"},
        {"1e2", "1e2"},
        {"1E+2", "1E+2"},
        {"-0.0", "-0.0"},
        {"123.456e-789", "123.456e-789"},
        {"0.1000000000000000000000000000001", "0.1000000000000000000000000000001"},
        {"[1,[2,[3,[]]],{}]", "[1,[2,[3,[]]],{}]"},
        {"{\"b\":1,\"a\":{\"d\":[],\"c\":null}}", "{\"a\":{\"c\":null,\"d\":[]},\"b\":1}"},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\\"\\\\/\\b\\f\\n\\r\\t\""},
        {"\"\\u0041\\u00e9\\u20AC\\ud83d\\ude00\"", "\"A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
        {"\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"", "\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\""},
        {"\"\\uFFFF\\ufdd0\"", "\"\xef\xbf\xbf\xef\xb7\x90\""}, /* noncharacters are characters enough */
        {"\"\x7f\"", "\"\\u007f\""},
        {"\"01234567\\n01234567\"", "\"01234567\\n01234567\""},
        {"{\"a\\u0062\":1,\"ab2\":2}", "{\"ab\":1,\"ab2\":2}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        assert_string_equal(json_to_canonical(A, must_parse(t[i].in)), t[i].canonical);
}

static void test_integers_are_exact(void **state) {
    (void)state;
    assert_true(json_is(must_parse("1"), JSON_INT));
    assert_true(json_is(must_parse("1.0"), JSON_REAL)); /* not an integer: callers that want one refuse it */
    assert_int_equal(json_int_or(must_parse("1.0"), -7), -7);
    assert_int_equal(json_int_or(must_parse("9007199254740993"), 0), 9007199254740993);
    assert_true(json_num_or(must_parse("2.5e1"), 0) == 25.0);
    assert_str(must_parse("2.50e1")->real.literal, "2.50e1");
}

/* ---- what is refused, where and why ---- */

static void test_refuses(void **state) {
    (void)state;
    const struct {
        const char *in;
        const char *where; /* start of the message */
        const char *field; /* JSON pointer or NULL */
    } t[] = {
        {"", "line 1, column 1: a value is expected", NULL},
        {"  \n ", "line 2, column 2: a value is expected", NULL},
        {"nul", "line 1, column 1", NULL},
        {"True", "line 1, column 1", NULL},
        {"nulll", "line 1, column 5: something follows", NULL},
        {"1 2", "line 1, column 3", NULL},
        {"[1,]", "line 1, column 4", NULL},
        {"[,1]", "line 1, column 2", NULL},
        {"[1 2]", "line 1, column 4", NULL},
        {"[1", "line 1, column 3: array without an end", NULL},
        {"[", "line 1, column 2", NULL},
        {"]", "line 1, column 1", NULL},
        {"[1}", "line 1, column 3", NULL},
        {"{\"a\":1]", "line 1, column 7", NULL},
        {"{", "line 1, column 2: object without an end", NULL},
        {"{,}", "line 1, column 2", NULL},
        {"{\"a\"}", "line 1, column 5", NULL},
        {"{\"a\":}", "line 1, column 6", NULL},
        {"{\"a\":1,}", "line 1, column 8", NULL},
        {"{\"a\" 1}", "line 1, column 6", NULL},
        {"{a:1}", "line 1, column 2", NULL},
        {"{'a':1}", "line 1, column 2", NULL},
        {"{1:1}", "line 1, column 2", NULL},
        {"[1,\n\n  x]", "line 3, column 3", NULL},
        {"[\"\xc3\xa9\xc3\xa9\",x]", "line 1, column 7", NULL}, /* columns count characters */
        {"// c\n1", "line 1, column 1", NULL},
        {"[1 /* c */]", "line 1, column 4", NULL},
        {"NaN", "line 1, column 1", NULL},
        {"[Infinity]", "line 1, column 2", NULL},
        {"-", "line 1, column 1: not a number", NULL},
        {"-Infinity", "line 1, column 1", NULL},
        {"+1", "line 1, column 1", NULL},
        {"01", "line 1, column 1: number with a leading zero", NULL},
        {"-01", "line 1, column 1", NULL},
        {"1.", "line 1, column 1", NULL},
        {".5", "line 1, column 1", NULL},
        {"1.e5", "line 1, column 1", NULL},
        {"1e", "line 1, column 1", NULL},
        {"1e+", "line 1, column 1", NULL},
        {"0x1", "line 1, column 2", NULL},
        {"1_000", "line 1, column 2", NULL},
        {"[1e400]", "line 1, column 2: number too large", "/0"},
        {"{\"a\":[0,-1e400]}", "line 1, column 9", "/a/1"},
        {"9223372036854775808", "line 1, column 1: integer out of range", ""},
        {"{\"n\":{\"m\":[1,{\"k\":-9223372036854775809}]}}", "line 1, column 19", "/n/m/1/k"},
        {"\"", "line 1, column 2: string without an end", NULL},
        {"\"abc", "line 1, column 5", NULL},
        {"\"\\", "line 1, column 2", NULL},
        {"\"\\\"", "line 1, column 4", NULL},
        {"\"\\x41\"", "line 1, column 2: unknown escape", NULL},
        {"\"\\'\"", "line 1, column 2", NULL},
        {"\"\\u12\"", "line 1, column 2", NULL},
        {"\"\\u12g4\"", "line 1, column 2", NULL},
        {"\"\\U0041\"", "line 1, column 2", NULL},
        {"\"a\nb\"", "line 1, column 3: control character", NULL},
        {"\"a\tb\"", "line 1, column 3", NULL},
        {"\"01234567\x1f\"", "line 1, column 10", NULL},
        {"[\"\\u0000\"]", "line 1, column 3: \\u0000", "/0"},
        {"[\"\\ud800\"]", "line 1, column 3: lone high surrogate", "/0"},
        {"[0,\"\\ud800\\u0041\"]", "line 1, column 5", "/1"},
        {"[\"\\ud800\\ud800\"]", "line 1, column 3", "/0"},
        {"[\"\\ud800x\"]", "line 1, column 3", "/0"},
        {"[\"\\udc00\"]", "line 1, column 3: lone low surrogate", "/0"},
        {"{\"x\":\"\xff\"}", "line 1, column 7: not valid UTF-8", "/x"},
        {"\"\xc0\x80\"", "line 1, column 2", ""},         /* overlong NUL */
        {"\"\xe0\x80\xaf\"", "line 1, column 2", ""},     /* overlong slash */
        {"\"\xed\xa0\x80\"", "line 1, column 2", ""},     /* surrogate in UTF-8 */
        {"\"\xf4\x90\x80\x80\"", "line 1, column 2", ""}, /* above U+10FFFF */
        {"\"\xc3", "line 1, column 2", ""},
        {"[\xff]", "line 1, column 2", NULL},
        {"\xef\xbb\xbf{}", "line 1, column 1: byte order mark", NULL},
        {"\xff\xfe", "line 1, column 1: not UTF-8", NULL},
        {"\xc2\xa0[]", "line 1, column 1", NULL}, /* only four kinds of white space */
        {"\f[]", "line 1, column 1", NULL},
        {"{\"a\":1,\"a\":1}", "line 1, column 8: member name appears twice", "/a"},
        {"{\"a\":1,\"\\u0061\":2}", "line 1, column 8", "/a"},
        {"[{\"x\":{\"a/b\":1,\"~\":2,\"a/b\":3}}]", "line 1, column 22", "/0/x/a~1b"},
        {"{\"\":1,\"\":2}", "line 1, column 7", "/"},
    };
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct json *j = (struct json *)1;
        err_t e = json_parse(A, str_of(t[i].in), NULL, &j);
        assert_ptr_equal(j, (struct json *)1);
        if (e == NULL || e->code != ERR_INVALID_JSON)
            fail_msg("accepted: %s", t[i].in);
        if (!z_starts(e->message, t[i].where) || !z_eq(e->field, t[i].field))
            fail_msg("%s: \"%s\" field %s", t[i].in, e->message, e->field != NULL ? e->field : "NULL");
    }
}

static void test_refuses_bytes(void **state) {
    (void)state;
    const struct str t[] = {STR("\0"),       STR("[\0]"),     STR("[1]\0"),          STR("\"a\0b\""),      STR("1\0"),
                            STR("[\0\"\0]"), STR("\0[\0]\0"), STR("\xfe\xff\0[\0]"), STR("\xff\xfe[\0]\0")};
    struct json *j;
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        assert_err(json_parse(A, t[i], NULL, &j), INVALID_JSON);
    assert_err(json_parse(A, str_n(NULL, 0), NULL, &j), INVALID_JSON);
}

/* Every prefix and every single-byte change of a document either parses or is refused cleanly. */
static void test_mangled_documents(void **state) {
    (void)state;
    const char doc[] = "{\"a\":[1,-2.5e3,\"x\\u00e9\\n\xc3\xa9\",true,false,null],\"b\":{\"c\":{},\"d\":[[]]}}";
    for (size_t n = 0; n < sizeof(doc) - 1; n++) {
        struct arena_mark m = arena_mark(A);
        char *exact = malloc(n + 1); /* a heap block of the exact size: reading past the end is seen */
        memcpy(exact, doc, n);
        struct json *j;
        assert_err(json_parse(A, str_n(exact, n), NULL, &j), INVALID_JSON);
        exact = realloc(exact, sizeof(doc));
        memcpy(exact, doc, sizeof(doc));
        for (int c = 0; c < 256; c++) {
            exact[n] = (char)c;
            err_ignore(json_parse(A, str_n(exact, sizeof(doc) - 1), NULL, &j));
        }
        free(exact);
        arena_rewind(A, m);
    }
}

/* ---- budgets ---- */

static char *repeat(const char *piece, size_t times, const char *end) {
    size_t n = strlen(piece), m = strlen(end);
    char *out = arena_alloc(A, n * times + m + 1, 1);
    for (size_t i = 0; i < times; i++)
        memcpy(out + i * n, piece, n);
    memcpy(out + n * times, end, m + 1);
    return out;
}

static void test_depth(void **state) {
    (void)state;
    struct json *j;
    const char *deep64 = arena_printf(A, "%s%s", repeat("[", 64, ""), repeat("]", 64, ""));
    const char *deep65 = arena_printf(A, "%s%s", repeat("[", 65, ""), repeat("]", 65, ""));
    assert_ok(json_parse(A, str_of(deep64), NULL, &j));
    assert_string_equal(json_to_text(A, j), deep64);
    assert_true(json_eq(j, json_clone(A, j)));
    err_t e = json_parse(A, str_of(deep65), NULL, &j);
    assert_err(e, JSON_TOO_DEEP);
    assert_true(z_starts(e->message, "line 1, column 65"));
    assert_err(json_parse(A, str_of(repeat("[", 100000, "")), NULL, &j), JSON_TOO_DEEP);
    assert_err(json_parse(A, str_of(repeat("{\"a\":", 100000, "")), NULL, &j), JSON_TOO_DEEP);
    assert_err(json_parse(A, str_of("[[[1]]]"), &(struct json_limits){.max_depth = 2}, &j), JSON_TOO_DEEP);
    const char *deep512 = arena_printf(A, "%s1%s", repeat("{\"k\":[", 256, ""), repeat("]}", 256, ""));
    assert_ok(json_parse(A, str_of(deep512), &(struct json_limits){.max_depth = 100000}, &j));
    assert_string_equal(json_to_text(A, j), deep512);
    assert_err(json_parse(A, str_of(arena_printf(A, "[%s]", deep512)), &(struct json_limits){.max_depth = 100000}, &j),
               JSON_TOO_DEEP);
}

static void test_nodes_and_bytes(void **state) {
    (void)state;
    struct json *j;
    const struct json_limits four = {.max_nodes = 4};
    assert_ok(json_parse(A, STR("[1,2,3]"), &four, &j));
    assert_err(json_parse(A, STR("[1,2,3,4]"), &four, &j), JSON_TOO_COMPLEX);
    assert_err(json_parse(A, STR("[[],[],[],[]]"), &four, &j), JSON_TOO_COMPLEX);
    assert_err(json_parse(A, STR("{\"a\":{},\"b\":{},\"c\":{},\"d\":1}"), &four, &j), JSON_TOO_COMPLEX);
    assert_err(json_parse(A, str_of(arena_printf(A, "[%s", repeat("0,", 100001, "0]"))), NULL, &j), JSON_TOO_COMPLEX);
    char *big = repeat(" ", MIB(1) - 1, "1");
    assert_ok(json_parse(A, str_n(big, MIB(1)), NULL, &j));
    assert_err(json_parse(A, str_n(big, MIB(1) + 1), NULL, &j), TOO_LARGE);
    assert_err(json_parse(A, STR("12345"), &(struct json_limits){.max_bytes = 4}, &j), TOO_LARGE);
    assert_ok(json_parse(A, str_of(arena_printf(A, "0.%s", repeat("1", 500, ""))), NULL, &j));
    assert_err(json_parse(A, str_of(arena_printf(A, "0.%s", repeat("1", 600, ""))), NULL, &j), INVALID_JSON);
}

static char *object_of(size_t n, const char *more) {
    struct buf b;
    buf_init(&b, 0, MIB(16));
    buf_putc(&b, '{');
    for (size_t i = 0; i < n; i++)
        buf_putf(&b, "%s\"key%zu\":%zu", i > 0 ? "," : "", i, i);
    buf_puts(&b, more);
    buf_puts(&b, "}");
    char *text = arena_strndup(A, b.p, b.n);
    buf_done(&b);
    return text;
}

static void test_large_objects(void **state) {
    (void)state;
    for (size_t n = 14; n < 20; n++) { /* around the point where the index begins */
        struct json *j = must_parse(object_of(n, ""));
        assert_int_equal(json_len(j), n);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(json_get_int(j, arena_printf(A, "key%zu", i), -1), i);
        assert_null(json_get(j, "key999"));
        struct json *again;
        err_t e = json_parse(A, str_of(object_of(n, ",\"key3\":0")), NULL, &again);
        assert_err(e, INVALID_JSON);
        assert_string_equal(e->field, "/key3");
    }
    struct json *j = NULL;
    assert_ok(json_parse(A, str_of(object_of(50000, "")), NULL, &j));
    assert_int_equal(json_get_int(j, "key49999", -1), 49999);
    assert_true(json_del(j, "key7"));
    assert_false(json_del(j, "key7"));
    assert_null(json_get(j, "key7"));
    assert_int_equal(json_get_int(j, "key8", -1), 8);
    assert_true(json_eq(j, json_clone(A, j)));
}

static void test_trusted(void **state) {
    (void)state;
    const struct json_limits trusted = {.trusted = true};
    struct json *j;
    assert_ok(json_parse(A, STR("{\"a\":1,\"b\":2,\"a\":3}"), &trusted, &j));
    assert_string_equal(json_to_text(A, j), "{\"a\":3,\"b\":2}");
    assert_ok(json_parse(A, str_of(object_of(40, ",\"key3\":\"last\"")), &trusted, &j));
    assert_int_equal(json_len(j), 40);
    assert_string_equal(json_get_str(j, "key3"), "last");
    assert_int_equal(json_get_int(j, "key39", -1), 39);
    assert_ok(json_parse(A, STR("\"a\\u0000b\""), &trusted, &j));
    assert_int_equal(j->s.n, 3);
    assert_string_equal(json_to_text(A, j), "\"a\\u0000b\"");
    assert_ok(json_parse(A, STR("[18446744073709551615]"), &trusted, &j));
    assert_true(json_is(json_at(j, 0), JSON_REAL));
    assert_string_equal(json_to_text(A, j), "[18446744073709551615]");
    assert_err(json_parse(A, STR("[1e400]"), &trusted, &j), INVALID_JSON);
    assert_err(json_parse(A, STR("\"\\ud800\""), &trusted, &j), INVALID_JSON);
    assert_err(json_parse(A, STR("\"\xff\""), &trusted, &j), INVALID_JSON);
}

/* ---- tree ---- */

static void test_accessors_are_null_safe(void **state) {
    (void)state;
    struct json *j = must_parse("{\"s\":\"x\",\"i\":5,\"b\":true,\"n\":null,\"a\":[10,20],\"o\":{\"p\":{\"q\":1}}}");
    assert_string_equal(json_get_str(j, "s"), "x");
    assert_null(json_get_str(j, "i"));
    assert_null(json_get_str(NULL, "i"));
    assert_null(json_get(j, NULL));
    assert_string_equal(json_str_or(json_get(j, "zz"), "d"), "d");
    assert_int_equal(json_get_int(j, "i", 0), 5);
    assert_int_equal(json_get_int(j, "s", 9), 9);
    assert_true(json_get_bool(j, "b", false));
    assert_true(json_get_bool(j, "n", true));
    assert_int_equal(json_int_or(json_at(json_get(j, "a"), 1), 0), 20);
    assert_null(json_at(json_get(j, "a"), 2));
    assert_null(json_at(j, 0));
    assert_int_equal(json_len(json_get(j, "a")), 2);
    assert_int_equal(json_len(json_get(j, "s")), 0);
    assert_int_equal(json_int_or(json_path(j, "o", "p", "q", NULL), 0), 1);
    assert_null(json_path(j, "o", "zz", "q", NULL));
    assert_null(json_path(NULL, "o", NULL));
}

static void test_pointer(void **state) {
    (void)state;
    struct json *j = must_parse("{\"a\":[1,[2,3]],\"\":{\"\":4},\"x/y\":5,\"m~n\":6,\"0\":7}");
    const struct {
        const char *p;
        int64_t want; /* 0: absent */
    } t[] = {{"/a/0", 1},
             {"/a/1/1", 3},
             {"//", 4},
             {"/x~1y", 5},
             {"/m~0n", 6},
             {"/0", 7},
             {"/a/2", 0},
             {"/a/00", 0},
             {"/a/01", 0},
             {"/a/-", 0},
             {"/a/", 0},
             {"/a/1e0", 0},
             {"/m~n", 0},
             {"/m~", 0},
             {"/x~2y", 0},
             {"a", 0},
             {"/a/99999999999999999999", 0},
             {"/a/0/x", 0},
             {"/zz", 0}};
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        if (json_int_or(json_pointer(j, t[i].p), 0) != t[i].want)
            fail_msg("%s", t[i].p);
    assert_ptr_equal(json_pointer(j, ""), j);
    assert_null(json_pointer(j, NULL));
    assert_null(json_pointer(NULL, "/a"));
    const char *long_key = repeat("k", 1000, "");
    json_set_int(A, j, long_key, 8);
    assert_int_equal(json_int_or(json_pointer(j, arena_printf(A, "/%s", long_key)), 0), 8);
}

static void test_build(void **state) {
    (void)state;
    struct json *o = json_object(A);
    for (int i = 0; i < 100; i++)
        json_set_int(A, o, arena_printf(A, "k%d", i % 40), i);
    assert_int_equal(json_len(o), 40);
    assert_int_equal(json_get_int(o, "k5", 0), 85);
    struct json *arr = json_array(A);
    for (int i = 0; i < 20; i++)
        json_push(A, arr, i % 2 != 0 ? json_int(A, i) : NULL);
    assert_int_equal(json_len(arr), 20);
    struct json *p = must_parse("{\"a\":1}"); /* parsed containers have no slack: they must still grow */
    json_set_bool(A, p, "b", true);
    json_set_str(A, p, "c", NULL);
    json_set(A, p, "d", json_real(A, NAN));
    json_set(A, p, "e", json_real(A, 0.1));
    json_set(A, p, "f", json_real(A, 3));
    json_set(A, p, "g", json_strn(A, STR("x\"y")));
    json_push(A, json_get(must_parse("{\"x\":[]}"), "x"), json_null(A));
    assert_string_equal(json_to_text(A, p),
                        "{\"a\":1,\"b\":true,\"c\":null,\"d\":null,\"e\":0.1,\"f\":3.0,\"g\":\"x\\\"y\"}");
    assert_true(json_del(p, "b"));
    assert_string_equal(json_to_canonical(A, p),
                        "{\"a\":1,\"c\":null,\"d\":null,\"e\":0.1,\"f\":3.0,\"g\":\"x\\\"y\"}");
}

static void test_eq(void **state) {
    (void)state;
    const struct {
        const char *a, *b;
        bool want;
    } t[] = {{"{\"a\":1,\"b\":[2]}", "{\"b\":[2],\"a\":1}", true},
             {"1", "1.0", false},
             {"1.0", "1.00", true},
             {"1e2", "100.0", true},
             {"[1,2]", "[2,1]", false},
             {"{\"a\":1}", "{\"a\":1,\"b\":1}", false},
             {"\"a\"", "\"\\u0061\"", true},
             {"null", "false", false},
             {"{\"a\":null}", "{\"b\":null}", false}};
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        assert_int_equal(json_eq(must_parse(t[i].a), must_parse(t[i].b)), t[i].want);
        assert_int_equal(json_eq(must_parse(t[i].b), must_parse(t[i].a)), t[i].want);
    }
    const struct json_limits trusted = {.trusted = true};
    struct json *x, *y;
    assert_ok(json_parse(A, STR("18446744073709551615"), &trusted, &x));
    assert_ok(json_parse(A, STR("18446744073709551614"), &trusted, &y));
    assert_false(json_eq(x, y)); /* equal as doubles */
    assert_true(json_eq(NULL, NULL));
    assert_false(json_eq(x, NULL));
}

static void test_clone_is_deep(void **state) {
    (void)state;
    struct arena *other = arena_new("other", 0);
    struct json *j, *c;
    const char *text = "{\"a\":[1,2.5,\"x\"],\"b\":{\"c\":true}}";
    assert_ok(json_parse(other, str_of(text), NULL, &j));
    c = json_clone(A, j);
    arena_unref(other);
    assert_string_equal(json_to_text(A, c), text);
    assert_null(json_clone(A, NULL));
}

/* ---- writing ---- */

static void test_write_strings(void **state) {
    (void)state;
    AUTO_BUF b;
    buf_init(&b, 0, KIB(4));
    json_write_str(&b, str_n("a\0\x01\x1f\"\\/\n\x7f", 9));
    assert_str(buf_str(&b), "\"a\\u0000\\u0001\\u001f\\\"\\\\/\\n\\u007f\"");
    const struct {
        const char *in, *out;
    } t[] = {{"\xff", "\xef\xbf\xbd"},
             {"a\xc3", "a\xef\xbf\xbd"},
             {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
             {"\xc3\xa9", "\xc3\xa9"},
             {"\xc3\xa9\xff\xc3\xa9", "\xc3\xa9\xef\xbf\xbd\xc3\xa9"},
             {"", ""}};
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        buf_clear(&b);
        json_write_str(&b, str_of(t[i].in));
        assert_str(buf_str(&b), arena_printf(A, "\"%s\"", t[i].out));
    }
    for (int c = 0; c < 256; c++) { /* whatever is written parses again */
        char in[] = {'x', (char)c, 'y'};
        struct json *j;
        buf_clear(&b);
        json_write_str(&b, str_n(in, 3));
        assert_ok(json_parse(A, buf_str(&b), &(struct json_limits){.trusted = true}, &j));
        if (c < 0x80)
            assert_memory_equal(j->s.p, in, 3);
    }
}

static void test_write_pretty(void **state) {
    (void)state;
    AUTO_BUF b;
    buf_init(&b, 0, KIB(4));
    json_write_pretty(&b, must_parse("{\"a\":[1,{}],\"b\":[]}"), 2);
    assert_str(buf_str(&b), "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}");
}

static void test_write_reals(void **state) {
    (void)state;
    const double v[] = {0.1, 1.0 / 3, 1e300, 5e-324, -2.5, 123456789.125, 1e22, 0.0, -0.0, 4503599627370497.5};
    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        char *text = json_to_text(A, json_real(A, v[i]));
        struct json *j = must_parse(text);
        assert_true(json_is(j, JSON_REAL));
        assert_true(j->real.d == v[i]);
        assert_true(strlen(text) <= 25);
    }
}

static void test_jw(void **state) {
    (void)state;
    AUTO_BUF b;
    struct jw w;
    buf_init(&b, 0, KIB(4));
    jw_init(&w, &b);
    jw_obj(&w);
    jw_kv_str(&w, "s", "x");
    jw_kv_str(&w, "z", NULL);
    jw_kv_int(&w, "i", INT64_MIN);
    jw_kv_bool(&w, "b", true);
    jw_kv_raw(&w, "r", "{\"k\":1}");
    jw_kv_raw(&w, "e", NULL);
    jw_key(&w, "a");
    jw_arr(&w);
    jw_int(&w, 1);
    jw_real(&w, 0.5);
    jw_real(&w, INFINITY);
    jw_strn(&w, STR("y"));
    jw_null(&w);
    jw_obj(&w);
    jw_obj_end(&w);
    jw_arr(&w);
    jw_arr_end(&w);
    jw_json(&w, json_int(A, 7));
    jw_arr_end(&w);
    jw_obj_end(&w);
    assert_str(buf_str(&b), "{\"s\":\"x\",\"z\":null,\"i\":-9223372036854775808,\"b\":true,\"r\":{\"k\":1},\"e\":null,"
                            "\"a\":[1,0.5,null,\"y\",null,{},[],7]}");
    (void)must_parse(arena_strndup(A, b.p, b.n));
}

static void value_without_key(void *arg) {
    struct jw w;
    jw_init(&w, arg);
    jw_obj(&w);
    jw_int(&w, 1);
}
static void wrong_end(void *arg) {
    struct jw w;
    jw_init(&w, arg);
    jw_obj(&w);
    jw_arr_end(&w);
}
static void key_without_value(void *arg) {
    struct jw w;
    jw_init(&w, arg);
    jw_obj(&w);
    jw_key(&w, "k");
    jw_obj_end(&w);
}
static void two_documents(void *arg) {
    struct jw w;
    jw_init(&w, arg);
    jw_int(&w, 1);
    jw_int(&w, 2);
}
static void too_deep(void *arg) {
    struct jw w;
    jw_init(&w, arg);
    for (int i = 0; i < 64; i++)
        jw_arr(&w);
}

static void test_jw_misuse_aborts(void **state) {
    (void)state;
    AUTO_BUF b;
    buf_init(&b, 0, KIB(4));
    void (*const fn[])(void *) = {value_without_key, wrong_end, key_without_value, two_documents, too_deep};
    for (size_t i = 0; i < ARRAY_LEN(fn); i++)
        assert_true(aborts(fn[i], &b));
}

/* ---- the public JSON parsing suite, where a copy is at hand ---- */

/* i_ cases are the implementation's choice; these are ours, everything else named i_ is refused. y_ cases refused on
 * purpose: names that would make two members of one, and U+0000. */
static const char *const i_accepted[] = {"i_number_double_huge_neg_exp.json", "i_number_real_underflow.json"};
static const char *const y_refused[] = {"y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json",
                                        "y_object_escaped_null_in_key.json", "y_string_null_escape.json"};

static bool in_list(const char *const *list, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++)
        if (z_eq(list[i], name))
            return true;
    return false;
}

static void suite_case(const char *dir, const char *name, size_t *count) {
    bool want = name[0] == 'y' ? !in_list(y_refused, ARRAY_LEN(y_refused), name)
                               : name[0] == 'i' && in_list(i_accepted, ARRAY_LEN(i_accepted), name);
    FILE *f = fopen(arena_printf(A, "%s/%s", dir, name), "rb");
    assert_non_null(f);
    char *text = arena_alloc(A, MIB(1), 1);
    size_t n = fread(text, 1, MIB(1), f);
    fclose(f);
    if (str_find(str_n(text, n), STR("\xef\xbf\xbd")) >= 0)
        return; /* this copy went through a decoder: the bad bytes are gone */
    struct json *j;
    err_t e = json_parse(A, str_n(text, n), NULL, &j);
    if ((e == NULL) != want)
        fail_msg("%s: %s", name, e != NULL ? e->message : "accepted");
    (*count)++;
}

static void test_public_suite(void **state) {
    (void)state;
    const char *dir = getenv("JSON_TEST_SUITE_DIR"); /* test_parsing/ of the suite: y_*.json, n_*.json, i_*.json */
    DIR *d = dir != NULL ? opendir(dir) : NULL;
    if (d == NULL)
        skip();
    size_t count = 0;
    for (struct dirent *ent; (ent = readdir(d)) != NULL;) {
        struct arena_mark m = arena_mark(A);
        if (z_ends(ent->d_name, ".json") && strchr("yni", ent->d_name[0]) != NULL)
            suite_case(dir, ent->d_name, &count);
        arena_rewind(A, m);
    }
    closedir(d);
    assert_true(count > 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {T(test_accepts),
                                       T(test_integers_are_exact),
                                       T(test_refuses),
                                       T(test_refuses_bytes),
                                       T(test_mangled_documents),
                                       T(test_depth),
                                       T(test_nodes_and_bytes),
                                       T(test_large_objects),
                                       T(test_trusted),
                                       T(test_accessors_are_null_safe),
                                       T(test_pointer),
                                       T(test_build),
                                       T(test_eq),
                                       T(test_clone_is_deep),
                                       T(test_write_strings),
                                       T(test_write_pretty),
                                       T(test_write_reals),
                                       T(test_jw),
                                       T(test_jw_misuse_aborts),
                                       T(test_public_suite)};
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
