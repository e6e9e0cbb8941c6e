/* compose-conformance DIR [-v] [--kind K] [--results FILE] */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/map.h"
#include "core/base/vec.h"
#include "tests/conformance/compose/conformance.h"

struct row {
    const char *kind;
    size_t passed, failed, skipped;
};
struct totals {
    struct arena *a;
    VEC(struct row) rows;
    const char *only;
    bool verbose;
    FILE *results;
};

static struct row *row_of(struct totals *t, const char *kind) {
    for (size_t i = 0; i < t->rows.n; i++) {
        if (z_eq(t->rows.v[i].kind, kind))
            return &t->rows.v[i];
    }
    struct row *r = vec_push(t->a, &t->rows);
    r->kind = arena_strdup(t->a, kind);
    return r;
}

static void write_result(FILE *f, struct arena *a, const struct json *c, const struct outcome *out) {
    struct json *o = json_object(a);
    json_set_str(a, o, "id", json_get_str(c, "id"));
    json_set_bool(a, o, "ok", out->ok);
    if (out->error != NULL)
        json_set_str(a, o, "error", out->error);
    if (out->value != NULL)
        json_set(a, o, "value", out->value);
    if (out->want != NULL)
        json_set(a, o, "want_value", out->want);
    if (out->model != NULL)
        json_set(a, o, "model", out->model);
    if (out->warnings != NULL)
        json_set(a, o, "warnings", out->warnings);
    json_set_str(a, o, "root", CASE_ROOT);
    json_set_str(a, o, "home", CASE_HOME);
    fprintf(f, "%s\n", json_to_text(a, o));
}

static void run_one(struct totals *t, const struct json *c) {
    const char *kind = json_str_or(json_get(c, "kind"), "?"), *id = json_str_or(json_get(c, "id"), "?");
    if (t->only != NULL && !z_eq(t->only, kind))
        return;
    struct arena *a = arena_new("case", 0), *before = arena_set_current(a);
    struct outcome out;
    struct row *r = row_of(t, kind);
    if (!run_case(a, c, &out)) {
        r->skipped++;
        printf("SKIP %s: kind %s is unknown\n", id, kind);
    } else {
        const char *why = judge(a, c, &out);
        r->passed += why == NULL;
        r->failed += why != NULL;
        if (t->verbose && why != NULL)
            printf("FAIL %s: %s\n", id, why);
        if (t->results != NULL)
            write_result(t->results, a, c, &out);
    }
    arena_set_current(before);
    arena_unref(a);
}

static char *slurp(struct arena *a, const char *path, size_t *n) {
    FILE *f = fopen(path, "rb");
    if (f == NULL || fseek(f, 0, SEEK_END) != 0)
        return NULL;
    long size = ftell(f);
    rewind(f);
    char *p = size >= 0 ? arena_alloc(a, (size_t)size + 1, 1) : NULL;
    *n = p != NULL ? fread(p, 1, (size_t)size, f) : 0;
    fclose(f);
    return p;
}

static int run_file(struct totals *t, const char *path) {
    struct arena *a = arena_new("cases", 0), *before = arena_set_current(a);
    struct json_limits lim = {.max_bytes = MIB(64), .max_depth = 64, .max_nodes = 4000000};
    struct json *cases;
    size_t n;
    int status = 0;
    const char *text = slurp(a, path, &n);
    err_t e = text == NULL ? err_new(ERR_IO, "cannot be read") : json_parse(a, str_n(text, n), &lim, &cases);
    if (e != NULL) {
        fprintf(stderr, "%s: %s\n", path, e->message);
        status = 2;
    }
    for (size_t i = 0; e == NULL && i < json_len(cases); i++)
        run_one(t, json_at(cases, i));
    arena_set_current(before);
    arena_unref(a);
    return status;
}

static int is_case_file(const struct dirent *d) { return d->d_name[0] != '.' && z_ends(d->d_name, ".json"); }

static int run_dir(struct totals *t, const char *dir) {
    struct dirent **list;
    int n = scandir(dir, &list, is_case_file, alphasort), status = 0;
    if (n < 0) {
        fprintf(stderr, "%s: cannot be read\n", dir);
        return 2;
    }
    for (int i = 0; i < n; i++) {
        int s = run_file(t, arena_printf(t->a, "%s/%s", dir, list[i]->d_name));
        status = s > status ? s : status;
        free(list[i]);
    }
    free(list);
    return status;
}

static int cmp_rows(const void *x, const void *y) {
    return strcmp(((const struct row *)x)->kind, ((const struct row *)y)->kind);
}

static int report(struct totals *t) {
    struct row sum = {0};
    if (t->rows.n > 1)
        qsort(t->rows.v, t->rows.n, sizeof(*t->rows.v), cmp_rows);
    for (size_t i = 0; i < t->rows.n; i++) {
        const struct row *r = &t->rows.v[i];
        printf("%-22s %4zu/%zu\n", r->kind, r->passed, r->passed + r->failed + r->skipped);
        sum.passed += r->passed;
        sum.failed += r->failed;
        sum.skipped += r->skipped;
    }
    printf("%zu passed, %zu failed, %zu skipped\n", sum.passed, sum.failed, sum.skipped);
    return sum.failed > 0 || sum.passed == 0;
}

static int usage(void) {
    fputs("usage: compose-conformance DIR [-v] [--kind KIND] [--results FILE]\n", stderr);
    return 2;
}

int main(int argc, char **argv) {
    struct totals t = {.a = arena_new("runner", 0)};
    const char *dir = NULL;
    for (int i = 1; i < argc; i++) {
        if (z_eq(argv[i], "-v"))
            t.verbose = true;
        else if (z_eq(argv[i], "--kind") && i + 1 < argc)
            t.only = argv[++i];
        else if (z_eq(argv[i], "--results") && i + 1 < argc)
            t.results = fopen(argv[++i], "w");
        else if (argv[i][0] != '-' && dir == NULL)
            dir = argv[i];
        else
            return usage();
    }
    if (dir == NULL)
        return usage();
    int status = run_dir(&t, dir), failed = report(&t);
    if (t.results != NULL)
        fclose(t.results);
    arena_unref(t.a);
    return status != 0 ? status : failed;
}
