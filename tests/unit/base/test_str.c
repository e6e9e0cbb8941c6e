#include "base_test.h"
#include <time.h>
#include "core/base/clock.h"

static void test_compare(void **state) {
    (void)state;
    struct str none = {NULL, 0};
    assert_true(str_eq(none, STR("")));
    assert_true(str_eqz(none, ""));
    assert_false(str_eqz(none, NULL));
    assert_false(str_eq(STR("ab"), STR("abc")));
    assert_true(str_eq(str_n("a\0b", 3), str_n("a\0b", 3)));
    assert_true(str_eq_nocase(STR("Content-LENGTH"), STR("content-length")));
    assert_false(str_eq_nocase(STR("[a"), STR("{a"))); /* only letters fold */
    assert_false(str_eq_nocase(STR("\xc4"), STR("\xe4")));
    assert_true(str_cmp(STR("a"), STR("b")) < 0);
    assert_true(str_cmp(STR("a"), STR("ab")) < 0);
    assert_true(str_cmp(STR("\xff"), STR("a")) > 0);
    assert_int_equal(str_cmp(none, STR("")), 0);
    assert_true(str_starts(STR("abc"), STR("ab")) && str_starts(STR("abc"), none));
    assert_true(str_ends(STR("abc"), STR("bc")) && !str_ends(STR("c"), STR("bc")));
    assert_true(z_eq(NULL, NULL) && !z_eq(NULL, "") && z_eq("a", "a"));
    assert_false(z_starts(NULL, "a"));
    assert_true(z_starts("abc", "abc") && z_ends("abc", "") && !z_ends("abc", "ab"));
}

static void test_find_slice_trim(void **state) {
    (void)state;
    assert_int_equal(str_find(STR("hello"), STR("l")), 2);
    assert_int_equal(str_find(STR("hello"), STR("lo")), 3);
    assert_int_equal(str_find(STR("hello"), STR("")), 0);
    assert_int_equal(str_find(STR(""), STR("a")), -1);
    assert_int_equal(str_find(STR("aab"), STR("ab")), 1);
    assert_int_equal(str_find_chr(str_n(NULL, 0), 'x'), -1);
    assert_str(str_slice(STR("hello"), 1, 3), "el");
    assert_str(str_slice(STR("hello"), 3, 99), "lo");
    assert_str(str_slice(STR("hello"), 9, 99), "");
    assert_str(str_slice(STR("hello"), 3, 1), "");
    assert_str(str_trim(STR(" \t\r\n a b \n")), "a b");
    assert_str(str_trim(STR(" \v ")), "\v");
    assert_str(str_trim(str_n(NULL, 0)), "");
    assert_string_equal(str_lower(A, STR("AbC-\xc4Z")), "abc-\xc4z");
    assert_string_equal(str_z(A, str_slice(STR("abcdef"), 2, 4)), "cd");
}

static void test_cut(void **state) {
    (void)state;
    const struct {
        const char *in, *parts;
    } t[] = {{"a,,b", "a|||b|"}, {"a,", "a||"}, {",", "||"}, {"", "|"}, {"abc", "abc|"}};
    const char *want[] = {"<a><><b>", "<a><>", "<><>", "<>", "<abc>"};
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct str rest = str_of(t[i].in), part;
        char *got = arena_strdup(A, "");
        while (str_cut(&rest, ',', &part))
            got = arena_printf(A, "%s<%.*s>", got, STR_ARG(part));
        assert_string_equal(got, want[i]);
    }
    struct str rest = str_of("key=value=x"), key;
    assert_true(str_cut(&rest, '=', &key));
    assert_str(key, "key");
    assert_str(rest, "value=x");
}

static void test_to_i64(void **state) {
    (void)state;
    const struct {
        const char *in;
        int64_t min, max;
        bool ok;
        int64_t want;
    } t[] = {
        {"0", INT64_MIN, INT64_MAX, true, 0},
        {"-0", INT64_MIN, INT64_MAX, true, 0},
        {"007", 0, 10, true, 7},
        {"9223372036854775807", INT64_MIN, INT64_MAX, true, INT64_MAX},
        {"-9223372036854775808", INT64_MIN, INT64_MAX, true, INT64_MIN},
        {"9223372036854775808", INT64_MIN, INT64_MAX, false, 0},
        {"-9223372036854775809", INT64_MIN, INT64_MAX, false, 0},
        {"99999999999999999999999", INT64_MIN, INT64_MAX, false, 0},
        {"65536", 0, 65535, false, 0},
        {"-1", 0, 65535, false, 0},
        {"", 0, 9, false, 0},
        {"-", INT64_MIN, 9, false, 0},
        {"+1", 0, 9, false, 0},
        {" 1", 0, 9, false, 0},
        {"1 ", 0, 9, false, 0},
        {"0x1", 0, 9, false, 0},
        {"1e0", 0, 9, false, 0},
        {"--1", INT64_MIN, 9, false, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        int64_t v = 4711;
        err_t e = str_to_i64(str_of(t[i].in), t[i].min, t[i].max, &v);
        if ((e == NULL) != t[i].ok || v != (t[i].ok ? t[i].want : 4711))
            fail_msg("\"%s\" gave %lld", t[i].in, (long long)v);
    }
    assert_err(str_to_i64(str_n("1\0", 2), 0, 9, &(int64_t){0}), INVALID);
}

static void test_utf8(void **state) {
    (void)state;
    const char *good[] = {"",
                          "plain",
                          "\xc3\xa9",
                          "\xe2\x82\xac",
                          "\xf0\x9f\x98\x80",
                          "\xed\x9f\xbf",
                          "\xee\x80\x80",
                          "\xf4\x8f\xbf\xbf",
                          "0123456\xc3\xa9",
                          "01234567\xc3\xa9",
                          "\xef\xbf\xbf"};
    const char *bad[] = {"\xe2\x82(and more text",
                         "\xf0\x9f\x98(and more text",
                         "\x80",
                         "\xc3",
                         "\xc0\x80",
                         "\xc1\xbf",
                         "\xe0\x80\x80",
                         "\xe0\x9f\xbf",
                         "\xed\xa0\x80",
                         "\xed\xbf\xbf",
                         "\xf0\x80\x80\x80",
                         "\xf0\x8f\xbf\xbf",
                         "\xf4\x90\x80\x80",
                         "\xf5\x80\x80\x80",
                         "\xfe",
                         "\xff",
                         "\xe2\x82",
                         "\xe2(\xa1",
                         "\xf0\x9f\x98",
                         "0123456\xff",
                         "01234567\x80"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        if (!str_is_utf8(str_of(good[i])))
            fail_msg("good %zu", i);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (str_is_utf8(str_of(bad[i])))
            fail_msg("bad %zu", i);
    assert_true(str_is_utf8(str_n("a\0b", 3)));
    assert_true(str_is_utf8(str_n(NULL, 0)));
}

static void test_hex(void **state) {
    (void)state;
    char out[9];
    uint8_t back[4] = {1, 2, 3, 4};
    str_to_hex((const uint8_t *)"\x00\x7f\x80\xff", 4, out);
    assert_string_equal(out, "007f80ff");
    assert_true(str_from_hex(STR("00AbfF10"), back));
    assert_memory_equal(back, "\x00\xab\xff\x10", 4);
    assert_false(str_from_hex(STR("0"), back));
    assert_false(str_from_hex(STR("111g1111"), back));
    assert_false(str_from_hex(STR("0x"), back));
    assert_memory_equal(back, "\x00\xab\xff\x10", 4); /* untouched by a refusal */
}

static void test_base64(void **state) {
    (void)state;
    const struct {
        const char *plain, *std, *url;
    } t[] = {{"", "", ""},
             {"f", "Zg==", "Zg"},
             {"fo", "Zm8=", "Zm8"},
             {"foo", "Zm9v", "Zm9v"},
             {"foob", "Zm9vYg==", "Zm9vYg"},
             {"fooba", "Zm9vYmE=", "Zm9vYmE"},
             {"\xfb\xff\xfe", "+//+", "-__-"}};
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct str back;
        assert_string_equal(base64_encode(A, t[i].plain, strlen(t[i].plain)), t[i].std);
        assert_string_equal(base64url_encode(A, t[i].plain, strlen(t[i].plain)), t[i].url);
        assert_true(base64_decode(A, str_of(t[i].std), &back));
        assert_str(back, t[i].plain);
        assert_true(base64url_decode(A, str_of(t[i].url), &back));
        assert_str(back, t[i].plain);
    }
    const char *bad[] = {"Zg",     "Zg=",   "Zg===",     "Z",        "====", "=",    "Zh==", "Zm9=",
                         "Zm9v\n", " Zm9v", "Zm9v Zm8=", "Zg==Zg==", "-__-", "Zm=v", "Z==="};
    struct str back;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (base64_decode(A, str_of(bad[i]), &back))
            fail_msg("accepted %s", bad[i]);
    const char *bad_url[] = {"Zg==", "Z", "Zh", "Zm9", "+//+", "Zm8=", "Zm9vY"};
    for (size_t i = 0; i < ARRAY_LEN(bad_url); i++)
        if (base64url_decode(A, str_of(bad_url[i]), &back))
            fail_msg("accepted url %s", bad_url[i]);
    for (size_t n = 0; n < 300; n++) { /* round trip of all lengths */
        char *bytes = arena_alloc(A, n, 1);
        for (size_t k = 0; k < n; k++)
            bytes[k] = (char)(k * 37 + n);
        assert_true(base64_decode(A, str_of(base64_encode(A, bytes, n)), &back));
        assert_int_equal(back.n, n);
        assert_memory_equal(back.p, bytes, n);
    }
}

static void test_url(void **state) {
    (void)state;
    struct str out;
    assert_true(url_decode(A, STR("a%20b+c%2Fd%c3%a9"), false, &out));
    assert_str(out, "a b+c/d\xc3\xa9");
    assert_true(url_decode(A, STR("a+b"), true, &out));
    assert_str(out, "a b");
    assert_true(url_decode(A, STR("%00x"), false, &out));
    assert_int_equal(out.n, 2); /* the caller decides about NUL */
    const char *bad[] = {"%", "%1", "a%2", "%zz", "%1g", "%%20"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(url_decode(A, str_of(bad[i]), false, &out));
    assert_string_equal(url_encode(A, STR("aZ0-._~ /?%\xc3\xa9")), "aZ0-._~%20%2F%3F%25%C3%A9");
}

static void test_hash(void **state) {
    (void)state;
    assert_true(hash_bytes("abc", 3) == hash_bytes("abc", 3));
    assert_true(hash_bytes("abc", 3) != hash_bytes("abd", 3));
    assert_true(hash_bytes("\0", 1) != hash_bytes("\0\0", 2));
    assert_true(hash_bytes(NULL, 0) == hash_bytes("x", 0));
    size_t low[16] = {0};
    for (int i = 0; i < 16000; i++)
        low[hash_bytes(&i, sizeof(i)) & 15]++;
    for (int i = 0; i < 16; i++)
        assert_in_range(low[i], 800, 1200);
}

static void test_memory(void **state) {
    (void)state;
    assert_true(mem_eq_ct("abc", "abc", 3));
    assert_false(mem_eq_ct("abc", "abd", 3));
    assert_false(mem_eq_ct("xbc", "abc", 3));
    assert_true(mem_eq_ct(NULL, NULL, 0));
    char secret[] = "secret";
    mem_wipe(secret, sizeof(secret));
    for (size_t i = 0; i < sizeof(secret); i++)
        assert_int_equal(secret[i], 0);
    mem_wipe(NULL, 0);
}

static void test_glob(void **state) {
    (void)state;
    const struct {
        const char *pattern, *s;
        bool want;
    } t[] = {
        {"", "", true},
        {"", "a", false},
        {"a", "", false},
        {"*", "", true},
        {"*", "abc", true},
        {"*", "a/b", false},
        {"**", "a/b/c", true},
        {"**", "", true},
        {"a*c", "abbbc", true},
        {"a*c", "ab/c", false},
        {"a**c", "ab/c", true},
        {"?", "a", true},
        {"?", "/", false},
        {"?", "", false},
        {"a?c", "abc", true},
        {"*.yaml", "x.yaml", true},
        {"*.yaml", "d/x.yaml", false},
        {"**/*.yaml", "x.yaml", true},
        {"**/*.yaml", "a/b/x.yaml", true},
        {"**/x", "ax", false},
        {"a/**/b", "a/b", true},
        {"a/**/b", "a/x/y/b", true},
        {"a/**/b", "a/xb", false},
        {"a/**", "a/", true},
        {"a/**", "a/b/c", true},
        {"a/**", "a", false},
        {"release/*", "release/1.0", true},
        {"release/*", "release/1/2", false},
        {"[a-c]x", "bx", true},
        {"[a-c]x", "dx", false},
        {"[!a-c]x", "dx", true},
        {"[!a-c]x", "ax", false},
        {"[^a]", "b", true},
        {"[]]", "]", true},
        {"[!a]", "/", false},
        {"[a-]", "-", true},
        {"[abc", "[abc", true},
        {"[", "[", true},
        {"\\*", "*", true},
        {"\\*", "a", false},
        {"a\\", "a\\", true},
        {"*a*b*c*", "xxaxxbxxcxx", true},
        {"*a*b*c*", "xxaxxcxxbxx", false},
        {"***", "a/b", true},
        {"*\xc3\xa9", "caf\xc3\xa9", true},
        {"**a**b", "x/a/y/b", true},
        {"*/*", "a/b", true},
        {"*/*", "a/b/c", false},
        {"**/", "a/", true},
        {"**/", "", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        if (glob_match(str_of(t[i].pattern), str_of(t[i].s)) != t[i].want)
            fail_msg("glob %s on %s should be %d", t[i].pattern, t[i].s, t[i].want);
}

static void test_glob_cannot_be_slow(void **state) {
    (void)state;
    char pattern[401], *text = arena_alloc(A, 100001, 1);
    for (int i = 0; i < 400; i += 2)
        memcpy(pattern + i, "*a", 2);
    pattern[400] = 0;
    memset(text, 'a', 100000);
    text[99999] = 'b';
    text[100000] = 0;
    uint64_t start = clock_mono_ms();
    assert_false(glob_match(str_of(pattern), str_of(text)));
    assert_true(clock_mono_ms() - start < 10000);
    char *huge = arena_alloc(A, 2001, 1);
    memset(huge, '?', 2000);
    assert_false(glob_match(str_n(huge, 2000), str_n(text, 2000))); /* over the token limit */
    memset(huge, '*', 2000);
    assert_true(glob_match(str_n(huge, 2000), str_n(text, 100))); /* one token */
}

int main(void) {
    const struct CMUnitTest tests[] = {T(test_compare), T(test_find_slice_trim),
                                       T(test_cut),     T(test_to_i64),
                                       T(test_utf8),    T(test_hex),
                                       T(test_base64),  T(test_url),
                                       T(test_hash),    T(test_memory),
                                       T(test_glob),    T(test_glob_cannot_be_slow)};
    return cmocka_run_group_tests_name("str", tests, NULL, NULL);
}
