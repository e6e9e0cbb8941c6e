/* Shared by the Compose tests: an arena per test, files in memory, one call to load. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/compose/stages.h"

static struct arena *T; /* arena of the running test */

static int test_setup(void **state) {
    (void)state;
    T = arena_new("test", 0);
    arena_set_current(T);
    return 0;
}

static int test_teardown(void **state) {
    (void)state;
    arena_set_current(NULL);
    arena_unref(T);
    return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, test_setup, test_teardown)

struct mem_file {
    const char *path, *text;
};

static UNUSED err_t mem_read(void *ctx, const char *path, struct str *ret) {
    for (const struct mem_file *f = ctx; f->path != NULL; f++) {
        if (z_eq(f->path, path)) {
            *ret = str_of(f->text);
            return NULL;
        }
    }
    return err_new(ERR_NOT_FOUND, "no such file");
}

/** Loads "/repo/compose.yaml" and what it refers to. */
static UNUSED err_t load_files(const struct mem_file *files, struct compose_options o, struct compose_project **ret) {
    static const struct compose_source first = {.path = "compose.yaml"};
    struct compose_files reader = {mem_read, (void *)files};
    if (o.n_sources == 0) {
        o.sources = &first;
        o.n_sources = 1;
    }
    if (o.working_dir == NULL)
        o.working_dir = "/repo";
    return compose_load(T, &o, &reader, ret);
}

static UNUSED err_t load_yaml(const char *text, struct compose_project **ret) {
    const struct mem_file files[] = {{"/repo/compose.yaml", text}, {0}};
    return load_files(files, (struct compose_options){.root = "/repo"}, ret);
}

static UNUSED struct compose_project *must_load(const char *text) {
    struct compose_project *p = NULL;
    err_t e = load_yaml(text, &p);
    if (e != NULL)
        fail_msg("unexpected error: %s", e->message);
    return p;
}

static UNUSED const char *detail(err_t e, const char *key) {
    for (const struct err_detail *d = e != NULL ? e->details : NULL; d != NULL; d = d->next) {
        if (z_eq(d->key, key))
            return d->value;
    }
    return NULL;
}
