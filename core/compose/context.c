#include <stdio.h>

#include "core/compose/stages.h"

#define MAX_WARNINGS 200
#define MAX_NODES 500000

void compose_env_init(struct compose_env *e, struct arena *a) {
    map_init(&e->vars, a);
    e->then = NULL;
}

void compose_env_set(struct compose_env *e, const char *name, const char *value) {
    map_setz(&e->vars, name, arena_strdup(e->vars.a, value));
}

const char *compose_env_get(const struct compose_env *e, const char *name) {
    for (; e != NULL; e = e->then) {
        const char *v = map_getz(&e->vars, name);
        if (v != NULL)
            return v;
    }
    return NULL;
}

void compose_cx_init(struct compose_cx *cx, struct arena *a, const struct compose_options *o,
                     const struct compose_files *files) {
    *cx = (struct compose_cx){.a = a, .o = o, .files = files};
    map_init(&cx->extended, a);
}

void compose_warn(struct compose_cx *cx, const struct y_node *at, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    char *msg = arena_vprintf(cx->a, fmt, ap);
    va_end(ap);
    struct compose_warning w = {.message = msg};
    if (at != NULL && at->line > 0) {
        w.message = arena_printf(cx->a, "%s:%u:%u: %s", at->file, at->line, at->col, msg);
        w.origin = (struct compose_origin){at->file, at->line, at->col};
    }
    if (cx->warnings.n >= MAX_WARNINGS)
        return;
    for (size_t i = 0; i < cx->warnings.n; i++) {
        if (z_eq(cx->warnings.v[i].message, w.message))
            return;
    }
    *vec_push(cx->a, &cx->warnings) = w;
}

err_t compose_spend(struct compose_cx *cx, size_t n, const struct y_node *at) {
    cx->nodes += n;
    if (cx->nodes <= MAX_NODES)
        return NULL;
    return y_error(ERR_YAML_LIMIT, at, NULL, "the files expand to more than %d values in all", MAX_NODES);
}

char *c_path_str(struct arena *a, const struct c_path *p) {
    if (p == NULL)
        return arena_strdup(a, "");
    char *up = c_path_str(a, p->up);
    const char *dot = up[0] != '\0' ? "." : "";
    if (p->key.p != NULL)
        return arena_printf(a, "%s%s%.*s", up, dot, STR_ARG(p->key));
    return arena_printf(a, "%s%s%zu", up, dot, p->i);
}
