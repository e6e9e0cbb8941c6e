/* YAML -> project -> JSON and YAML. The input is one file; "#--- name" lines split it into several, "$" lines of the first part are
 * not special. What loads must render, hash, order and load again from its own output. */
#include <stddef.h>
#include <stdint.h>

#include "core/base/check.h"
#include "core/compose/compose.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct parts {
    const char *name[8];
    struct str text[8];
    size_t n;
};

static struct parts split(struct arena *a, struct str s) {
    struct parts p = {.name = {"/repo/compose.yaml"}, .n = 1};
    p.text[0] = s;
    for (size_t i = 0; i + 5 < s.n && p.n < ARRAY_LEN(p.name); i++) {
        if ((i > 0 && s.p[i - 1] != '\n') || !str_starts(str_slice(s, i, s.n), STR("#--- ")))
            continue;
        ptrdiff_t nl = str_find_chr(str_slice(s, i, s.n), '\n');
        size_t end = nl < 0 ? s.n : i + (size_t)nl;
        struct str *last = &p.text[p.n - 1];
        last->n = (size_t)(s.p + i - last->p);
        p.name[p.n] = arena_printf(a, "/repo/%.*s", (int)(end - i - 5), s.p + i + 5);
        p.text[p.n++] = str_slice(s, end + 1, s.n);
    }
    return p;
}

static err_t read_part(void *ctx, const char *path, struct str *ret) {
    const struct parts *p = ctx;
    for (size_t i = 0; i < p->n; i++) {
        if (z_eq(p->name[i], path)) {
            *ret = p->text[i];
            return NULL;
        }
    }
    return err_new(ERR_NOT_FOUND, "no such file");
}

static void use(struct arena *a, const struct compose_project *p) {
    struct compose_strs order;
    for (size_t i = 0; i < p->n_services; i++) {
        compose_service_hash(a, &p->services[i], "sha256:0", NULL, 0);
        compose_service_origin(&p->services[i], "environment.A");
    }
    err_ignore(compose_order(a, p, true, NULL, 0, &order));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *a = arena_new("fuzz", 0), *before = arena_set_current(a);
    struct parts parts = split(a, str_n((const char *)data, size));
    struct compose_files files = {read_part, &parts};
    struct compose_env env;
    compose_env_init(&env, a);
    compose_env_set(&env, "FOO", "bar");
    struct compose_source src = {.path = "/repo/compose.yaml"};
    struct compose_options o = {
        .sources = &src, .n_sources = 1, .working_dir = "/repo", .root = "/repo", .env = &env, .project_name = "fuzz"};
    struct compose_project *p = NULL, *again = NULL;
    o.skip_validation = size > 0 && data[size - 1] == '!'; /* stages must survive trees that nobody checked */
    o.skip_consistency = o.skip_validation;
    if (compose_load(a, &o, &files, &p) == NULL) {
        use(a, p);
        struct buf b;
        buf_init(&b, 0, MIB(8));
        yaml_write_json(&b, p->canonical);
        CHECK(b.failed || !str_is_utf8(buf_str(&b)) ||
              yaml_parse(a, buf_str(&b), "out",
                         &(struct yaml_limits){.max_bytes = MIB(8), .max_nodes = 1000000, .max_depth = 128},
                         &(struct yaml_docs){0}) == NULL);
        src.text = buf_str(&b);
        err_ignore(compose_load(a, &o, &files, &again));
        buf_done(&b);
    }
    arena_set_current(before);
    arena_unref(a);
    return 0;
}
