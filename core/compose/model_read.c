#include "core/compose/model_read.h"

#include <stdlib.h>

struct compose_origin model_origin(const struct y_node *n) {
    return n != NULL ? (struct compose_origin){n->file, n->line, n->col} : (struct compose_origin){.file = ""};
}

const char *model_text(const struct y_node *m, const char *key) {
    const char *s = y_get_str(m, key);
    return s != NULL && s[0] != '\0' ? s : NULL;
}

int64_t model_int(const struct y_node *m, const char *key) {
    const struct y_node *n = y_get(m, key);
    if (y_is(n, Y_FLOAT) && n->d > -9e18 && n->d < 9e18)
        return (int64_t)n->d;
    return y_is(n, Y_INT) ? n->i : COMPOSE_UNSET;
}

double model_num(const struct y_node *m, const char *key) {
    const struct y_node *n = y_get(m, key);
    return y_is(n, Y_INT) ? (double)n->i : y_is(n, Y_FLOAT) ? n->d : 0;
}

int64_t model_duration(const struct y_node *m, const char *key) {
    int64_t ns;
    const struct y_node *n = y_get(m, key);
    return y_is(n, Y_STR) && compose_parse_duration(n->text, &ns) == NULL ? ns : COMPOSE_UNSET;
}

int64_t model_mode(const struct y_node *m, const char *key) {
    const char *s = model_text(m, key);
    return s != NULL ? (int64_t)strtol(s, NULL, 8) : COMPOSE_UNSET;
}

enum compose_tri model_tri(const struct y_node *m, const char *key) {
    const struct y_node *n = y_get(m, key);
    return !y_is(n, Y_BOOL) ? COMPOSE_TRI_UNSET : n->b ? COMPOSE_TRUE : COMPOSE_FALSE;
}

struct compose_strs model_strs(struct arena *a, const struct y_node *l) {
    struct compose_strs r = {.v = arena_new_array(a, const char *, y_len(l) + 1), .set = y_is(l, Y_SEQ)};
    for (size_t i = 0; y_is(l, Y_SEQ) && i < l->seq.n; i++) {
        if (y_str(l->seq.v[i]) != NULL)
            r.v[r.n++] = y_str(l->seq.v[i]);
    }
    return r;
}

static int cmp_kv(const void *x, const void *y) {
    return strcmp(((const struct compose_kv *)x)->key, ((const struct compose_kv *)y)->key);
}

struct compose_kvs model_kvs(struct arena *a, const struct y_node *m, bool keep_null) {
    struct compose_kvs r = {0};
    if (!y_is(m, Y_MAP))
        return r;
    r.v = arena_new_array(a, struct compose_kv, m->map.n + 1);
    for (size_t i = 0; i < m->map.n; i++) {
        const struct y_node *v = m->map.v[i].value;
        const char *text = v->kind == Y_NULL ? (keep_null ? NULL : "") : compose_scalar_text(a, v).p;
        r.v[r.n++] = (struct compose_kv){m->map.v[i].key.p, text};
    }
    if (r.n > 1)
        qsort(r.v, r.n, sizeof(*r.v), cmp_kv);
    return r;
}

struct compose_ulimit *model_ulimits(struct arena *a, const struct y_node *m, size_t *n) {
    *n = 0;
    if (!y_is(m, Y_MAP))
        return NULL;
    struct compose_ulimit *v = arena_new_array(a, struct compose_ulimit, m->map.n + 1);
    for (size_t i = 0; i < m->map.n; i++) {
        const struct y_node *u = m->map.v[i].value;
        int64_t both = y_is(u, Y_INT) ? u->i : COMPOSE_UNSET;
        v[(*n)++] = (struct compose_ulimit){
            .name = m->map.v[i].key.p,
            .soft = both != COMPOSE_UNSET ? both : model_int(u, "soft"),
            .hard = both != COMPOSE_UNSET ? both : model_int(u, "hard"),
        };
    }
    return v;
}
