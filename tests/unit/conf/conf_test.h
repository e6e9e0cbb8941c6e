/* What the tests of core/conf share: an arena and a private directory per test, loading with less to write. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "core/base/json.h"
#include "core/conf/conf.h"

static struct arena *A;
static char dir[64];

static inline int test_setup(void **state) {
    (void)state;
    A = arena_new("test", 0);
    arena_set_current(A);
    (void)snprintf(dir, sizeof(dir), "/tmp/df-conf-XXXXXX");
    return mkdtemp(dir) == NULL;
}

static inline const char *path_of(const char *name) { return arena_printf(A, "%s/%s", dir, name); }

static inline int test_teardown(void **state) {
    (void)state;
    static const char *const names[] = {"c.yaml", "secret", "big"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        unlink(path_of(names[i]));
    rmdir(dir);
    arena_set_current(NULL);
    arena_unref(A);
    return 0;
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, test_setup, test_teardown)

static inline const char *write_file(const char *name, const char *text, size_t n) {
    const char *path = path_of(name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    fclose(f);
    chmod(path, 0600);
    return path;
}

#define ARGS(...) ((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

/* yaml NULL: no file. env and flags end with NULL; NULL = none. */
static inline err_t load(const char *yaml, const char *const *env, const char *const *flags, struct conf_result *ret) {
    struct conf_input in = {.env = env, .argv = flags};
    while (flags != NULL && flags[in.argc] != NULL)
        in.argc++;
    in.default_path = yaml != NULL ? write_file("c.yaml", yaml, strlen(yaml)) : path_of("none.yaml");
    return conf_load(A, &in, ret);
}

static inline const struct conf *must_load(const char *yaml, const char *const *env, const char *const *flags) {
    struct conf_result r;
    err_t e = load(yaml, env, flags, &r);
    if (e != NULL)
        fail_msg("%s", e->message);
    return r.conf;
}

static inline void assert_problem(err_t e, const char *want) {
    if (e == NULL)
        fail_msg("accepted, but wanted: %s", want);
    assert_int_equal(e->code, ERR_CONFIG);
    if (strstr(e->message, want) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", e->message, want);
}
