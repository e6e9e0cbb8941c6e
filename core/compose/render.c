/* Canonical tree to the JSON of `docker compose config --format json`. */
#include <math.h>

#include "core/compose/stages.h"

static struct json *scalar(struct arena *a, const struct cs *s, const struct y_node *n) {
    if (n->kind == Y_NULL)
        return json_null(a);
    switch (s->type) {
    case CS_BYTES:
        return json_strn(a, n->text);
    case CS_INT:
    case CS_NUM:
    case CS_BOOL:
    case CS_COUNT:
    case CS_ULIMIT:
        return y_to_json(a, n);
    default:
        return n->kind == Y_STR ? json_strn(a, n->text) : json_strn(a, compose_scalar_text(a, n));
    }
}

static struct json *pairs(struct arena *a, const struct cs *s, const struct y_node *m) {
    struct json *o = json_object(a);
    for (size_t i = 0; i < m->map.n; i++) {
        const struct y_node *v = m->map.v[i].value;
        bool null = v->kind == Y_NULL && (s->flags & CSF_NULLS);
        json_setn(a, o, m->map.v[i].key, null ? json_null(a) : json_strn(a, compose_scalar_text(a, v)));
    }
    return o;
}

/** build.ssh: "id" or "id=path". */
static struct json *ssh(struct arena *a, const struct y_node *m) {
    struct json *l = json_array(a);
    for (size_t i = 0; i < m->map.n; i++) {
        const char *path = y_str(m->map.v[i].value);
        const char *id = m->map.v[i].key.p;
        json_push(a, l, json_string(a, path != NULL && path[0] != '\0' ? arena_printf(a, "%s=%s", id, path) : id));
    }
    return l;
}

static err_t hosts(struct compose_cx *cx, const struct y_node *l, const struct c_path *at, struct json **ret) {
    struct y_node *flat = y_new(cx->a, Y_SEQ, l);
    char *path = c_path_str(cx->a, at);
    for (size_t i = 0; i < y_len(l); i++) {
        if (y_str(l->seq.v[i]) != NULL)
            TRY(compose_parse_host(cx->a, l->seq.v[i]->text, flat, l->seq.v[i], path));
    }
    struct compose_strs sorted;
    TRY(compose_hosts_list(cx->a, flat, &sorted));
    *ret = json_array(cx->a);
    for (size_t i = 0; i < sorted.n; i++)
        json_push(cx->a, *ret, json_string(cx->a, sorted.v[i]));
    return NULL;
}

static err_t object(struct compose_cx *cx, const struct cs *s, const struct y_node *m, const struct c_path *at,
                    struct json **ret) {
    struct json *o = json_object(cx->a);
    if (s == &compose_service_schema) {
        json_set(cx->a, o, "command", json_null(cx->a)); /* null (the image's own) differs from [] and is shown */
        json_set(cx->a, o, "entrypoint", json_null(cx->a));
    }
    for (size_t i = 0; i < m->map.n; i++) {
        const struct y_entry *e = &m->map.v[i];
        const struct cs *f = s->type == CS_MAP ? s->item : cs_field(s, e->key);
        struct json *v;
        if (f == NULL)
            v = y_to_json(cx->a, e->value);
        else
            TRY(compose_render(cx, f, e->value, C_KEY(at, e->key), &v));
        json_setn(cx->a, o, e->key, v);
    }
    *ret = o;
    return NULL;
}

static err_t list(struct compose_cx *cx, const struct cs *s, const struct y_node *l, const struct c_path *at,
                  struct json **ret) {
    struct json *a = json_array(cx->a);
    for (size_t i = 0; i < l->seq.n; i++) {
        struct json *v;
        if (s->item != NULL)
            TRY(compose_render(cx, s->item, l->seq.v[i], C_IDX(at, i), &v));
        else
            v = y_to_json(cx->a, l->seq.v[i]);
        json_push(cx->a, a, v);
    }
    *ret = a;
    return NULL;
}

err_t compose_render(struct compose_cx *cx, const struct cs *s, const struct y_node *n, const struct c_path *at,
                     struct json **ret) {
    if (s == NULL)
        s = &compose_schema;
    if (n->kind == Y_MAP && s->shorthand == CSS_SSH)
        *ret = ssh(cx->a, n);
    else if (n->kind == Y_MAP && (s->type == CS_KV || s->type == CS_DICT))
        *ret = pairs(cx->a, s, n);
    else if (n->kind == Y_SEQ && s->type == CS_HOSTS)
        return hosts(cx, n, at, ret);
    else if (n->kind == Y_MAP && (s->type == CS_OBJECT || s->type == CS_MAP || s->type == CS_ULIMIT))
        return object(cx, s, n, at, ret);
    else if (n->kind == Y_SEQ && s->type != CS_ANY)
        return list(cx, s, n, at, ret);
    else if (y_scalar(n) && s->type != CS_ANY)
        *ret = scalar(cx->a, s, n);
    else
        *ret = y_to_json(cx->a, n);
    return NULL;
}
