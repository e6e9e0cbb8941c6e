#include "base_test.h"
#include <signal.h>
#include "core/base/buf.h"

static void test_append_to_the_ceiling(void **state) {
    (void)state;
    AUTO_BUF b;
    buf_init(&b, 0, 10);
    assert_null(b.p);
    assert_ok(buf_append(&b, "12345", 5));
    assert_ok(buf_append(&b, "67890", 5));
    assert_err(buf_append(&b, "x", 1), TOO_LARGE);
    assert_str(buf_str(&b), "1234567890");
    assert_true(b.failed);
    assert_err(buf_check(&b), TOO_LARGE);
    assert_true(b.cap <= 10);
    buf_clear(&b);
    assert_ok(buf_check(&b));
    assert_ok(buf_append(&b, NULL, 0));
    assert_ok(buf_append(&b, "ok", 2));
    assert_str(buf_str(&b), "ok");
}

static void test_refused_append_leaves_it_unchanged(void **state) {
    (void)state;
    AUTO_BUF b;
    buf_init(&b, 4, 100);
    assert_ok(buf_append(&b, "abc", 3));
    assert_err(buf_append(&b, b.p, SIZE_MAX), TOO_LARGE);
    assert_err(buf_printf(&b, "%200d", 1), TOO_LARGE);
    assert_str(buf_str(&b), "abc");
    assert_null(buf_reserve(&b, 98));
    assert_non_null(buf_reserve(&b, 97));
}

static void test_printf_at_every_edge(void **state) {
    (void)state;
    for (size_t max = 1; max < 40; max++) {
        for (int len = 0; len < 45; len++) {
            AUTO_BUF b;
            buf_init(&b, 0, max);
            err_t e = buf_printf(&b, "%.*s", len, "0123456789012345678901234567890123456789012345");
            assert_int_equal(e == NULL, (size_t)len <= max);
            assert_int_equal(b.n, e == NULL ? (size_t)len : 0);
            assert_memory_equal(b.n > 0 ? b.p : "", "0123456789012345678901234567890123456789", b.n);
        }
    }
}

static void test_writer_stops_at_the_first_refusal(void **state) {
    (void)state;
    AUTO_BUF b;
    buf_init(&b, 0, 5);
    buf_puts(&b, "abc");
    buf_puts(&b, "defg"); /* does not fit */
    buf_putc(&b, 'x');    /* would fit, but there would be a hole before it */
    buf_putf(&b, "%d", 1);
    assert_str(buf_str(&b), "abc");
    assert_err(buf_check(&b), TOO_LARGE);
}

static void test_reserve_consume(void **state) {
    (void)state;
    AUTO_BUF b;
    buf_init(&b, 8, KIB(64));
    for (int i = 0; i < 1000; i++) {
        char *p = buf_reserve(&b, 10);
        assert_non_null(p);
        memcpy(p, "0123456789", 10);
        buf_added(&b, 10);
        if (b.n >= 95)
            buf_consume(&b, 95);
    }
    assert_int_equal(b.n, 10000 % 95);
    buf_consume(&b, b.n);
    assert_int_equal(b.n, 0);
    buf_consume(&b, 0);
    buf_done(&b);
    buf_done(&b);
    assert_str(buf_str(&b), "");
}

static void consume_too_much(void *arg) { buf_consume(arg, 1); }
static void added_too_much(void *arg) { buf_added(arg, 1000); }

static void test_misuse_aborts(void **state) {
    (void)state;
    AUTO_BUF b;
    buf_init(&b, 8, 100);
    assert_true(aborts(consume_too_much, &b));
    assert_true(aborts(added_too_much, &b));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        T(test_append_to_the_ceiling), T(test_refused_append_leaves_it_unchanged),
        T(test_printf_at_every_edge),  T(test_writer_stops_at_the_first_refusal),
        T(test_reserve_consume),       T(test_misuse_aborts),
    };
    return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
