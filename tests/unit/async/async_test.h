/* Shared by the tests of core/async: one loop per test, assertions that work on a fiber's stack. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/async/fiber.h"
#include "core/async/loop.h"
#include "core/base/check.h"

/* cmocka jumps out of the test function on failure, which must not happen from another stack: abort instead. */
#define OK(expr)                                                                                                       \
    do {                                                                                                               \
        err_t ok_e_ = (expr);                                                                                          \
        if (ok_e_ != NULL) {                                                                                           \
            (void)fprintf(stderr, "%s:%d: %s: %s: %s\n", __FILE__, __LINE__, #expr, err_code_symbol(ok_e_->code),      \
                          ok_e_->message);                                                                             \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)
#define FAILS(want, expr)                                                                                              \
    do {                                                                                                               \
        err_t fails_e_ = (expr);                                                                                       \
        if (!err_is(fails_e_, (want))) {                                                                               \
            (void)fprintf(stderr, "%s:%d: %s: wanted %s, got %s: %s\n", __FILE__, __LINE__, #expr, #want,              \
                          fails_e_ ? err_code_symbol(fails_e_->code) : "success", fails_e_ ? fails_e_->message : "");  \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

static inline int with_loop(void **state) {
    (void)state;
    loop_init();
    return 0;
}
static inline int without_loop(void **state) {
    (void)state;
    loop_fini();
    return 0;
}
/** TEST(name) { body on a fiber, returns err_t }; the test passes when the body returns NULL. */
#define TEST(name)                                                                                                     \
    static err_t name##_body(void *arg);                                                                               \
    static void name(void **state) {                                                                                   \
        (void)state;                                                                                                   \
        err_t test_e_ = loop_run_fiber(#name, name##_body, NULL);                                                      \
        if (test_e_ != NULL)                                                                                           \
            fail_msg("%s: %s", err_code_symbol(test_e_->code), test_e_->message);                                      \
    }                                                                                                                  \
    static err_t name##_body(void *arg UNUSED)
#define LOOP_TEST(name) cmocka_unit_test_setup_teardown(name, with_loop, without_loop)
