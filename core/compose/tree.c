#include "core/compose/tree.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/check.h"
#include "core/base/vec.h"

#define INDEX_FROM 16 /* maps larger than this get a hash index */

static struct y_entry *entry_find(const struct y_node *map, struct str key) {
    if (map == NULL || map->kind != Y_MAP)
        return NULL;
    if (map->map.index != NULL) {
        uintptr_t at = (uintptr_t)map_get(map->map.index, key);
        return at != 0 ? &map->map.v[at - 1] : NULL;
    }
    for (size_t i = 0; key.n > 0 && i < map->map.n; i++) { /* hot: most keys differ in length or first byte */
        const struct str *k = &map->map.v[i].key;
        if (k->n == key.n && k->p[0] == key.p[0] && memcmp(k->p, key.p, key.n) == 0)
            return &map->map.v[i];
    }
    for (size_t i = 0; key.n == 0 && i < map->map.n; i++) {
        if (map->map.v[i].key.n == 0)
            return &map->map.v[i];
    }
    return NULL;
}

struct y_node *y_getn(const struct y_node *map, struct str key) {
    struct y_entry *e = entry_find(map, key);
    return e != NULL ? e->value : NULL;
}

struct y_node *y_get(const struct y_node *map, const char *key) {
    return y_getn(map, str_of(key));
}

bool y_has(const struct y_node *map, const char *key) { return entry_find(map, str_of(key)) != NULL; }

struct y_node *y_at(const struct y_node *seq, size_t i) {
    return seq != NULL && seq->kind == Y_SEQ && i < seq->seq.n ? seq->seq.v[i] : NULL;
}

struct y_node *y_path(const struct y_node *n, ...) {
    va_list ap;
    va_start(ap, n);
    struct y_node *cur = (struct y_node *)n;
    for (const char *key; cur != NULL && (key = va_arg(ap, const char *)) != NULL;)
        cur = y_get(cur, key);
    va_end(ap);
    return cur;
}

size_t y_len(const struct y_node *n) {
    if (n == NULL)
        return 0;
    return n->kind == Y_SEQ ? n->seq.n : n->kind == Y_MAP ? n->map.n : 0;
}

size_t y_count(const struct y_node *n, size_t stop) {
    size_t c = 1;
    for (size_t i = 0; i < y_len(n) && c <= stop; i++)
        c += y_count(n->kind == Y_SEQ ? n->seq.v[i] : n->map.v[i].value, stop - c);
    return c;
}

bool y_null(const struct y_node *n) { return n == NULL || n->kind == Y_NULL; }

bool y_scalar(const struct y_node *n) { return n != NULL && n->kind != Y_SEQ && n->kind != Y_MAP; }

const char *y_str(const struct y_node *n) { return n != NULL && n->kind != Y_NULL && y_scalar(n) ? n->text.p : NULL; }

const char *y_get_str(const struct y_node *map, const char *key) { return y_str(y_get(map, key)); }

bool y_get_bool(const struct y_node *map, const char *key, bool dflt) {
    const struct y_node *n = y_get(map, key);
    return y_is(n, Y_BOOL) ? n->b : dflt;
}

int64_t y_get_int(const struct y_node *map, const char *key, int64_t dflt) {
    const struct y_node *n = y_get(map, key);
    return y_is(n, Y_INT) ? n->i : dflt;
}

const char *y_kind_name(enum y_kind k) {
    static const char *const names[] = {"null", "boolean", "integer", "number", "string", "list", "mapping"};
    return names[k];
}

static bool seq_eq(const struct y_node *a, const struct y_node *b) {
    if (a->seq.n != b->seq.n)
        return false;
    for (size_t i = 0; i < a->seq.n; i++) {
        if (!y_eq(a->seq.v[i], b->seq.v[i]))
            return false;
    }
    return true;
}

static bool map_eq(const struct y_node *a, const struct y_node *b) {
    if (a->map.n != b->map.n)
        return false;
    for (size_t i = 0; i < a->map.n; i++) {
        struct y_entry *e = entry_find(b, a->map.v[i].key);
        if (e == NULL || !y_eq(a->map.v[i].value, e->value))
            return false;
    }
    return true;
}

bool y_eq(const struct y_node *a, const struct y_node *b) {
    if (a == NULL || b == NULL)
        return a == b;
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case Y_NULL:
        return true;
    case Y_BOOL:
        return a->b == b->b;
    case Y_INT:
        return a->i == b->i;
    case Y_FLOAT:
        return a->d == b->d;
    case Y_STR:
        return str_eq(a->text, b->text);
    case Y_SEQ:
        return seq_eq(a, b);
    case Y_MAP:
        return map_eq(a, b);
    }
    return false;
}

struct y_node *y_new(struct arena *a, enum y_kind k, const struct y_node *at) {
    struct y_node *n = arena_new_obj(a, struct y_node);
    n->kind = k;
    n->file = at != NULL ? at->file : "";
    if (at != NULL) {
        n->line = at->line;
        n->col = at->col;
        n->raw = at->raw;
    }
    n->text = STR("");
    return n;
}

struct y_node *y_new_strn(struct arena *a, struct str s, const struct y_node *at) {
    struct y_node *n = y_new(a, Y_STR, at);
    n->style = Y_QUOTED;
    n->text = str_n(arena_strndup(a, s.p != NULL ? s.p : "", s.n), s.n);
    return n;
}

struct y_node *y_new_str(struct arena *a, const char *z, const struct y_node *at) {
    return y_new_strn(a, str_of(z), at);
}

struct y_node *y_new_int(struct arena *a, int64_t i, const struct y_node *at) {
    struct y_node *n = y_new(a, Y_INT, at);
    n->i = i;
    n->text = str_of(arena_printf(a, "%lld", (long long)i));
    return n;
}

struct y_node *y_new_bool(struct arena *a, bool b, const struct y_node *at) {
    struct y_node *n = y_new(a, Y_BOOL, at);
    n->b = b;
    n->text = b ? STR("true") : STR("false");
    return n;
}

struct y_node *y_new_float(struct arena *a, double d, const struct y_node *at) {
    struct y_node *n = y_new(a, Y_FLOAT, at);
    n->d = d;
    n->text = str_of(arena_printf(a, "%.17g", d));
    return n;
}

void y_push(struct arena *a, struct y_node *seq, struct y_node *v) {
    CHECK(seq->kind == Y_SEQ);
    *vec_push(a, &seq->seq) = v;
}

static void index_build(struct arena *a, struct y_node *map) {
    map->map.index = arena_new_obj(a, struct map);
    map_init(map->map.index, a);
    for (size_t i = 0; i < map->map.n; i++)
        map_set(map->map.index, map->map.v[i].key, (void *)(uintptr_t)(i + 1));
}

static struct y_entry *entry_make(struct arena *a, struct y_node *map, struct str key) {
    CHECK(map->kind == Y_MAP);
    struct y_entry *e = entry_find(map, key);
    if (e != NULL)
        return e;
    e = vec_push(a, &map->map);
    e->key = str_n(arena_strndup(a, key.p, key.n), key.n);
    e->key_kind = Y_STR;
    if (map->map.index != NULL)
        map_set(map->map.index, e->key, (void *)(uintptr_t)map->map.n);
    else if (map->map.n > INDEX_FROM)
        index_build(a, map);
    return e;
}

void y_setn(struct arena *a, struct y_node *map, struct str key, struct y_node *v) {
    struct y_entry *e = entry_make(a, map, key);
    if (e->value == NULL) {
        e->line = v->line;
        e->col = v->col;
    }
    e->value = v;
}

void y_put(struct arena *a, struct y_node *map, const struct y_entry *from, struct y_node *v) {
    struct y_entry *e = entry_make(a, map, from->key);
    e->line = from->line;
    e->col = from->col;
    e->value = v;
}

void y_set(struct arena *a, struct y_node *map, const char *key, struct y_node *v) { y_setn(a, map, str_of(key), v); }

/** Positions moved: fill the index anew, in the arena it came from. */
static void reindex(struct y_node *map) {
    struct arena *a = map->map.index != NULL ? map->map.index->a : NULL;
    map->map.index = NULL;
    if (a != NULL && map->map.n > INDEX_FROM)
        index_build(a, map);
}

void y_del_at(struct y_node *map, size_t i) {
    CHECK(map->kind == Y_MAP && i < map->map.n);
    memmove(&map->map.v[i], &map->map.v[i + 1], (map->map.n - i - 1) * sizeof(map->map.v[0]));
    map->map.n--;
    reindex(map);
}

void y_keep(struct y_node *map, bool (*keep)(void *ctx, const struct y_entry *e), void *ctx) {
    CHECK(map->kind == Y_MAP);
    size_t n = 0;
    for (size_t i = 0; i < map->map.n; i++) {
        if (keep(ctx, &map->map.v[i]))
            map->map.v[n++] = map->map.v[i];
    }
    bool moved = n != map->map.n;
    map->map.n = n;
    if (moved)
        reindex(map);
}

bool y_del(struct y_node *map, const char *key) {
    struct y_entry *e = entry_find(map, str_of(key));
    if (e == NULL)
        return false;
    y_del_at(map, (size_t)(e - map->map.v));
    return true;
}

struct y_node *y_clone(struct arena *a, const struct y_node *n) {
    if (n == NULL)
        return NULL;
    struct y_node *c = arena_memdup(a, n, sizeof(*n));
    if (n->kind == Y_SEQ) {
        c->seq.v = arena_new_array(a, struct y_node *, n->seq.n);
        c->seq.cap = n->seq.n;
        for (size_t i = 0; i < n->seq.n; i++)
            c->seq.v[i] = y_clone(a, n->seq.v[i]);
    } else if (n->kind == Y_MAP) {
        c->map.v = arena_new_array(a, struct y_entry, n->map.n);
        c->map.cap = n->map.n;
        c->map.index = NULL;
        for (size_t i = 0; i < n->map.n; i++) {
            c->map.v[i] = n->map.v[i];
            c->map.v[i].value = y_clone(a, n->map.v[i].value);
        }
        if (n->map.n > INDEX_FROM)
            index_build(a, c);
    }
    return c;
}

struct json *y_to_json(struct arena *a, const struct y_node *n) {
    if (n == NULL)
        return json_null(a);
    struct json *j;
    switch (n->kind) {
    case Y_BOOL:
        return json_bool(a, n->b);
    case Y_INT:
        return json_int(a, n->i);
    case Y_FLOAT:
        return isfinite(n->d) ? json_real(a, n->d) : json_strn(a, n->text);
    case Y_STR:
        return json_strn(a, n->text);
    case Y_SEQ:
        j = json_array(a);
        for (size_t i = 0; i < n->seq.n; i++)
            json_push(a, j, y_to_json(a, n->seq.v[i]));
        return j;
    case Y_MAP:
        j = json_object(a);
        for (size_t i = 0; i < n->map.n; i++)
            json_setn(a, j, n->map.v[i].key, y_to_json(a, n->map.v[i].value));
        return j;
    case Y_NULL:
        break;
    }
    return json_null(a);
}

struct y_node *y_from_json(struct arena *a, const struct json *j, const char *file) {
    struct y_node at = {.file = file};
    struct y_node *n = y_new(a, Y_NULL, &at);
    if (j == NULL)
        return n;
    switch (j->type) {
    case JSON_NULL:
        return n;
    case JSON_BOOL:
        return y_new_bool(a, j->b, &at);
    case JSON_INT:
        return y_new_int(a, j->i, &at);
    case JSON_REAL:
        n = y_new_float(a, j->real.d, &at);
        if (j->real.literal.n > 0)
            n->text = str_n(arena_strndup(a, j->real.literal.p, j->real.literal.n), j->real.literal.n);
        return n;
    case JSON_STRING:
        return y_new_strn(a, j->s, &at);
    case JSON_ARRAY:
        n->kind = Y_SEQ;
        for (size_t i = 0; i < j->arr.n; i++)
            y_push(a, n, y_from_json(a, j->arr.v[i], file));
        return n;
    case JSON_OBJECT:
        n->kind = Y_MAP;
        for (size_t i = 0; i < j->obj.n; i++)
            y_setn(a, n, j->obj.v[i].key, y_from_json(a, j->obj.v[i].value, file));
        return n;
    }
    return n;
}

/** Some messages follow the reference loader in writing ports[0]; the detail is always dotted. */
static const char *dotted(const char *path, char *buf, size_t size) {
    size_t n = 0;
    for (; *path != '\0' && n + 1 < size; path++) {
        if (*path != ']')
            buf[n++] = (char)(*path == '[' ? '.' : *path);
    }
    buf[n] = '\0';
    return buf;
}

err_t y_error_at(const char *src, int srcline, enum err_code code, const struct y_node *at, const char *path,
                 const char *fmt, ...) {
    char msg[768];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    err_t e;
    if (at != NULL && at->line > 0) {
        char line[24], col[24];
        snprintf(line, sizeof(line), "%u", at->line);
        snprintf(col, sizeof(col), "%u", at->col);
        e = err_new_at(src, srcline, code, "%s:%s:%s: %s", at->file, line, col, msg);
        e = err_detail(e, "file", at->file);
        e = err_detail_json(e, "line", line);
        e = err_detail_json(e, "column", col);
    } else if (at != NULL && at->file[0] != '\0') {
        e = err_detail(err_new_at(src, srcline, code, "%s: %s", at->file, msg), "file", at->file);
    } else {
        e = err_new_at(src, srcline, code, "%s", msg);
    }
    char where[512];
    if (path != NULL && path[0] != '\0')
        e = err_field(err_detail(e, "path", dotted(path, where, sizeof(where))), where);
    return e;
}
