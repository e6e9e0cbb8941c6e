#include "core/compose/stages.h"

/** Schema below `s` for a key; NULL for extensions and whatever is unknown. */
static const struct cs *child(const struct cs *s, struct str key) {
    if (s == NULL)
        return NULL;
    if (s->type == CS_OBJECT || s->type == CS_ULIMIT)
        return cs_field(s, key);
    return s->type == CS_MAP ? s->item : NULL;
}

static err_t merge_maps(struct compose_cx *cx, const struct cs *s, struct y_node *base, struct y_node *over,
                        const struct c_path *at) {
    for (size_t i = 0; i < over->map.n; i++) {
        struct y_entry *e = &over->map.v[i];
        struct y_node *old = y_getn(base, e->key), *merged = e->value;
        if (old != NULL)
            TRY(compose_merge(cx, child(s, e->key), old, e->value, C_KEY(at, e->key), &merged));
        if (merged == e->value)
            y_put(cx->a, base, e, merged);
        else
            y_setn(cx->a, base, e->key, merged); /* still the base's, with additions: its place stays */
    }
    return NULL;
}

static err_t cannot(struct compose_cx *cx, const struct y_node *base, const struct y_node *over,
                    const struct c_path *at) {
    char *path = c_path_str(cx->a, at);
    return y_error(ERR_INVALID, over, path, "cannot override %s: a %s at %s:%u cannot take a %s", path,
                   y_kind_name(base->kind), base->file, base->line, y_kind_name(over->kind));
}

static void append(struct compose_cx *cx, struct y_node *base, const struct y_node *over) {
    for (size_t i = 0; i < over->seq.n; i++)
        y_push(cx->a, base, over->seq.v[i]);
}

static err_t merge_lists(struct compose_cx *cx, const struct cs *s, struct y_node *base, struct y_node *over,
                         const struct c_path *at) {
    if (base->kind != Y_SEQ || over->kind != Y_SEQ)
        return cannot(cx, base, over, at);
    if (s->type != CS_HOSTS) {
        append(cx, base, over);
        return NULL;
    }
    struct map known; /* one host may have several addresses, but not the same twice */
    map_init(&known, cx->a);
    for (size_t i = 0; i < base->seq.n; i++)
        map_set(&known, base->seq.v[i]->text, NULL);
    for (size_t i = 0; i < over->seq.n; i++) {
        if (!map_has(&known, over->seq.v[i]->text))
            y_push(cx->a, base, over->seq.v[i]);
    }
    return NULL;
}

/** Pools are told apart by their subnet. */
static err_t merge_pools(struct compose_cx *cx, const struct cs *s, struct y_node *base, struct y_node *over,
                         const struct c_path *at) {
    if (base->kind != Y_SEQ || over->kind != Y_SEQ)
        return cannot(cx, base, over, at);
    struct map by_subnet;
    map_init(&by_subnet, cx->a);
    for (size_t i = 0; i < base->seq.n; i++)
        map_set(&by_subnet, str_of(y_get_str(base->seq.v[i], "subnet")), base->seq.v[i]);
    for (size_t i = 0; i < over->seq.n; i++) {
        struct y_node *pool = over->seq.v[i], *same = map_get(&by_subnet, str_of(y_get_str(pool, "subnet")));
        if (y_is(same, Y_MAP) && pool->kind == Y_MAP)
            TRY(merge_maps(cx, s->item, same, pool, C_IDX(at, i)));
        else
            y_push(cx->a, base, pool);
    }
    return NULL;
}

/** Options of another driver mean nothing to the new one. */
static bool same_driver(const struct y_node *base, const struct y_node *over) {
    const struct y_node *a = y_get(base, "driver"), *b = y_get(over, "driver");
    return a == NULL || b == NULL || y_eq(a, b);
}

static err_t merge_known(struct compose_cx *cx, const struct cs *s, struct y_node *base, struct y_node *over,
                         const struct c_path *at, struct y_node **ret) {
    TRY(compose_expand(cx, s, &base, at));
    TRY(compose_expand(cx, s, &over, at));
    *ret = base;
    if (s->merge == CSM_IPAM)
        return merge_pools(cx, s, base, over, at);
    if (s->merge == CSM_APPEND)
        return merge_lists(cx, s, base, over, at);
    if (base->kind == Y_MAP && over->kind == Y_MAP && !(s->merge == CSM_LOGGING && !same_driver(base, over)))
        return merge_maps(cx, s, base, over, at);
    if (base->kind == Y_SEQ && over->kind == Y_SEQ) {
        append(cx, base, over);
        return NULL;
    }
    bool collection = base->kind == Y_MAP || base->kind == Y_SEQ;
    if (collection && s->merge != CSM_LOGGING && s->merge != CSM_ULIMIT)
        return cannot(cx, base, over, at);
    *ret = over;
    return NULL;
}

static err_t merge_any(struct compose_cx *cx, struct y_node *base, struct y_node *over, const struct c_path *at,
                       struct y_node **ret) {
    if (base->kind == Y_MAP && over->kind == Y_MAP) {
        *ret = base;
        return merge_maps(cx, NULL, base, over, at);
    }
    if (base->kind == Y_SEQ && over->kind == Y_SEQ) {
        *ret = base;
        append(cx, base, over);
        return NULL;
    }
    if (base->kind == Y_MAP || base->kind == Y_SEQ)
        return cannot(cx, base, over, at);
    *ret = over;
    return NULL;
}

err_t compose_merge(struct compose_cx *cx, const struct cs *s, struct y_node *base, struct y_node *over,
                    const struct c_path *at, struct y_node **ret) {
    if (s == NULL && at == NULL)
        s = &compose_schema;
    bool replace = over->tag != Y_TAG_NONE || base->kind == Y_NULL || base->tag == Y_TAG_RESET ||
                   (s != NULL && s->merge == CSM_REPLACE);
    if (replace) {
        *ret = over;
        return NULL;
    }
    if (over->kind == Y_NULL && (base->kind == Y_MAP || base->kind == Y_SEQ)) {
        *ret = base; /* `key:` with nothing behind it changes nothing; !reset removes */
        return NULL;
    }
    return s != NULL ? merge_known(cx, s, base, over, at, ret) : merge_any(cx, base, over, at, ret);
}

static bool not_reset(void *ctx, const struct y_entry *e) {
    (void)ctx;
    return e->value->tag != Y_TAG_RESET;
}

void compose_strip_tags(struct y_node *n) {
    n->tag = Y_TAG_NONE;
    if (n->kind == Y_SEQ) {
        size_t keep = 0;
        for (size_t i = 0; i < n->seq.n; i++) {
            if (n->seq.v[i]->tag == Y_TAG_RESET)
                continue;
            compose_strip_tags(n->seq.v[i]);
            n->seq.v[keep++] = n->seq.v[i];
        }
        n->seq.n = keep;
    } else if (n->kind == Y_MAP) {
        y_keep(n, not_reset, NULL);
        for (size_t i = 0; i < n->map.n; i++)
            compose_strip_tags(n->map.v[i].value);
    }
}

/* ---- unicity ---- */

static char *text_or(struct arena *a, const struct y_node *m, const char *key, const char *dflt) {
    const char *s = y_get_str(m, key);
    return arena_strdup(a, s != NULL ? s : dflt);
}

/** What makes an element unique; NULL: it is kept in any case. */
static const char *unique_key(struct arena *a, const struct cs *s, const struct y_node *v) {
    switch (s->unique) {
    case CSU_VALUE:
        if (y_str(v) == NULL)
            return NULL;
        ptrdiff_t eq = str_find_chr(v->text, '=');
        return str_z(a, eq < 0 ? v->text : str_slice(v->text, 0, (size_t)eq));
    case CSU_TARGET:
        return y_get_str(v, "target");
    case CSU_PATH:
        return y_get_str(v, "path");
    case CSU_FILE_REF:
        if (y_get_str(v, "target") != NULL)
            return y_get_str(v, "target");
        return y_get_str(v, "source") != NULL ? arena_printf(a, "%s/%s", s->prefix, y_get_str(v, "source")) : NULL;
    case CSU_PORT:
        if (y_get_str(v, "target") == NULL)
            return NULL;
        return arena_printf(a, "%s|%s|%s/%s", text_or(a, v, "host_ip", "0.0.0.0"), text_or(a, v, "published", ""),
                            text_or(a, v, "target", ""), text_or(a, v, "protocol", "tcp"));
    case CSU_NONE:
        break;
    }
    return NULL;
}

static void unique_list(struct compose_cx *cx, const struct cs *s, struct y_node *l) {
    if (l->seq.n < 2)
        return;
    struct map seen; /* key -> index + 1 in the kept part */
    map_init(&seen, cx->a);
    size_t keep = 0;
    for (size_t i = 0; i < l->seq.n; i++) {
        const char *key = unique_key(cx->a, s, l->seq.v[i]);
        uintptr_t at = key != NULL ? (uintptr_t)map_getz(&seen, key) : 0;
        if (at != 0) {
            l->seq.v[at - 1] = l->seq.v[i];
            continue;
        }
        l->seq.v[keep++] = l->seq.v[i];
        if (key != NULL)
            map_setz(&seen, key, (void *)(uintptr_t)keep);
    }
    l->seq.n = keep;
}

err_t compose_unicity(struct compose_cx *cx, const struct cs *s, struct y_node *n, const struct c_path *at) {
    if (s == NULL)
        s = &compose_schema;
    if (n->kind == Y_SEQ && s->unique != CSU_NONE)
        unique_list(cx, s, n);
    if (n->kind == Y_MAP) {
        for (size_t i = 0; i < n->map.n; i++) {
            const struct cs *c = child(s, n->map.v[i].key);
            if (c != NULL)
                TRY(compose_unicity(cx, c, n->map.v[i].value, at));
        }
    } else if (n->kind == Y_SEQ && s->type == CS_LIST) {
        for (size_t i = 0; i < n->seq.n; i++)
            TRY(compose_unicity(cx, s->item, n->seq.v[i], at));
    }
    return NULL;
}
