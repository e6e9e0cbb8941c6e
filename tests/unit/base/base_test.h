/* What the tests of core/base share: cmocka with its ritual includes, an arena per test, expectations on errors. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "core/base/arena.h"
#include "core/base/err.h"
#include "core/base/str.h"

static struct arena *A; /* fresh for each test, also the current one */

static inline int test_setup(void **state) {
    (void)state;
    A = arena_new("test", 0);
    arena_set_current(A);
    return 0;
}

static inline int test_teardown(void **state) {
    (void)state;
    arena_set_current(NULL);
    arena_unref(A);
    A = NULL;
    return 0;
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, test_setup, test_teardown)

#define assert_ok(expr)                                                                                                \
    do {                                                                                                               \
        err_t ok_e_ = (expr);                                                                                          \
        if (ok_e_ != NULL)                                                                                             \
            fail_msg("%s: %s", #expr, err_chain(A, ok_e_));                                                            \
    } while (0)
#define assert_err(expr, want)                                                                                         \
    do {                                                                                                               \
        err_t err_e_ = (expr);                                                                                         \
        if (err_e_ == NULL)                                                                                            \
            fail_msg("%s succeeded", #expr);                                                                           \
        assert_string_equal(err_code_symbol(err_e_->code), #want);                                                     \
    } while (0)
#define assert_str(s, z)                                                                                               \
    do {                                                                                                               \
        struct str str_s_ = (s);                                                                                       \
        assert_int_equal(str_s_.n, strlen(z));                                                                         \
        assert_memory_equal(str_s_.n > 0 ? str_s_.p : "", z, str_s_.n);                                                \
    } while (0)

/* Runs fn(arg) in a child: did it abort (CHECK)? */
static inline bool aborts(void (*fn)(void *), void *arg) {
    pid_t pid = fork();
    if (pid == 0) {
        (void)!freopen("/dev/null", "w", stderr);
        fn(arg);
        _exit(0);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return false;
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}
