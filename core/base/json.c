/* The tree: reading, building, comparing. Parsing is json_parse.c, writing json_write.c. */
#include "core/base/json.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/check.h"
#include "core/base/json_tree.h"

/* ---- object index ---- */

ptrdiff_t json_index_add(struct json *obj, size_t i) {
    struct str key = obj->obj.v[i].key;
    size_t mask = obj->obj.nindex - 1, at = hash_bytes(key.p, key.n) & mask;
    for (; obj->obj.index[at] != 0; at = (at + 1) & mask)
        if (str_eq(obj->obj.v[obj->obj.index[at] - 1].key, key))
            return (ptrdiff_t)obj->obj.index[at] - 1;
    obj->obj.index[at] = (uint32_t)(i + 1);
    return -1;
}

void json_index_reserve(struct arena *a, struct json *obj, size_t n) {
    size_t want = 64;
    while (want < n * 2)
        want *= 2;
    CHECK(want < UINT32_MAX);
    if (want > obj->obj.nindex) {
        obj->obj.index = arena_new_array(a, uint32_t, want);
        obj->obj.nindex = want;
    } else {
        memset(obj->obj.index, 0, obj->obj.nindex * sizeof(*obj->obj.index));
    }
}

void json_index_build(struct arena *a, struct json *obj) {
    json_index_reserve(a, obj, obj->obj.n);
    for (size_t i = 0; i < obj->obj.n; i++)
        (void)json_index_add(obj, i);
}

ptrdiff_t json_member_find(const struct json *obj, struct str key) {
    if (obj->obj.index == NULL) {
        for (size_t i = 0; i < obj->obj.n; i++)
            if (str_eq(obj->obj.v[i].key, key))
                return (ptrdiff_t)i;
        return -1;
    }
    size_t mask = obj->obj.nindex - 1;
    for (size_t at = hash_bytes(key.p, key.n) & mask; obj->obj.index[at] != 0; at = (at + 1) & mask)
        if (str_eq(obj->obj.v[obj->obj.index[at] - 1].key, key))
            return (ptrdiff_t)obj->obj.index[at] - 1;
    return -1;
}

/* ---- reading ---- */

bool json_is(const struct json *j, enum json_type t) { return j != NULL && j->type == t; }

struct json *json_getn(const struct json *obj, struct str key) {
    if (!json_is(obj, JSON_OBJECT))
        return NULL;
    ptrdiff_t i = json_member_find(obj, key);
    return i < 0 ? NULL : obj->obj.v[i].value;
}

struct json *json_get(const struct json *obj, const char *key) {
    return key == NULL ? NULL : json_getn(obj, str_of(key));
}

struct json *json_at(const struct json *arr, size_t i) {
    return json_is(arr, JSON_ARRAY) && i < arr->arr.n ? arr->arr.v[i] : NULL;
}

struct json *json_path(const struct json *j, ...) {
    va_list ap;
    va_start(ap, j);
    for (const char *key; j != NULL && (key = va_arg(ap, const char *)) != NULL;)
        j = json_get(j, key);
    va_end(ap);
    return (struct json *)j;
}

/* One reference token: ~1 is '/', ~0 is '~'; false on any other escape. */
static bool unescape_token(struct str t, char *out, size_t *ret_n) {
    size_t n = 0;
    for (size_t i = 0; i < t.n; i++) {
        char c = t.p[i];
        if (c == '~') {
            if (++i == t.n || (t.p[i] != '0' && t.p[i] != '1'))
                return false;
            c = t.p[i] == '0' ? '~' : '/';
        }
        out[n++] = c;
    }
    *ret_n = n;
    return true;
}

static struct json *step_array(const struct json *j, struct str t) {
    if (t.n == 0 || t.n > 10 || (t.n > 1 && t.p[0] == '0'))
        return NULL;
    size_t i = 0;
    for (size_t k = 0; k < t.n; k++) {
        if (t.p[k] < '0' || t.p[k] > '9')
            return NULL;
        i = i * 10 + (size_t)(t.p[k] - '0');
    }
    return json_at(j, i);
}

static struct json *step_object(const struct json *j, struct str t) {
    char small[256], *name = t.n <= sizeof(small) ? small : malloc(t.n);
    CHECK(name != NULL);
    size_t n;
    struct json *found = unescape_token(t, name, &n) ? json_getn(j, str_n(name, n)) : NULL;
    if (name != small)
        free(name);
    return found;
}

struct json *json_pointer(const struct json *j, const char *pointer) {
    if (pointer == NULL || (pointer[0] != 0 && pointer[0] != '/'))
        return NULL;
    struct str rest = str_of(pointer[0] != 0 ? pointer + 1 : NULL), token;
    while (j != NULL && str_cut(&rest, '/', &token))
        j = j->type == JSON_ARRAY ? step_array(j, token) : step_object(j, token);
    return (struct json *)j;
}

size_t json_len(const struct json *j) {
    return json_is(j, JSON_ARRAY) ? j->arr.n : json_is(j, JSON_OBJECT) ? j->obj.n : 0;
}

const char *json_str(const struct json *j) { return json_is(j, JSON_STRING) ? j->s.p : NULL; }
const char *json_str_or(const struct json *j, const char *dflt) { return json_is(j, JSON_STRING) ? j->s.p : dflt; }
const char *json_get_str(const struct json *obj, const char *key) { return json_str(json_get(obj, key)); }
int64_t json_int_or(const struct json *j, int64_t dflt) { return json_is(j, JSON_INT) ? j->i : dflt; }
int64_t json_get_int(const struct json *obj, const char *key, int64_t dflt) {
    return json_int_or(json_get(obj, key), dflt);
}
double json_num_or(const struct json *j, double dflt) {
    return json_is(j, JSON_INT) ? (double)j->i : json_is(j, JSON_REAL) ? j->real.d : dflt;
}
bool json_bool_or(const struct json *j, bool dflt) { return json_is(j, JSON_BOOL) ? j->b : dflt; }
bool json_get_bool(const struct json *obj, const char *key, bool dflt) {
    return json_bool_or(json_get(obj, key), dflt);
}

/* ---- comparing ---- */

static bool integer_literal(struct str s) {
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '.' || s.p[i] == 'e' || s.p[i] == 'E')
            return false;
    return true;
}

static bool real_eq(const struct json *a, const struct json *b) {
    if (str_eq(a->real.literal, b->real.literal))
        return true;
    /* integers too large for int64 are exact texts; a double would make neighbours equal */
    return !integer_literal(a->real.literal) && !integer_literal(b->real.literal) && a->real.d == b->real.d;
}

static bool eq(const struct json *a, const struct json *b, int depth) {
    CHECK(depth <= JSON_DEPTH_CEILING);
    if (a == b)
        return true;
    if (a == NULL || b == NULL || a->type != b->type)
        return false;
    switch (a->type) {
    case JSON_NULL:
        return true;
    case JSON_BOOL:
        return a->b == b->b;
    case JSON_INT:
        return a->i == b->i;
    case JSON_REAL:
        return real_eq(a, b);
    case JSON_STRING:
        return str_eq(a->s, b->s);
    case JSON_ARRAY:
        for (size_t i = 0; a->arr.n == b->arr.n && i < a->arr.n; i++)
            if (!eq(a->arr.v[i], b->arr.v[i], depth + 1))
                return false;
        return a->arr.n == b->arr.n;
    case JSON_OBJECT:
        for (size_t i = 0; a->obj.n == b->obj.n && i < a->obj.n; i++) {
            ptrdiff_t at = json_member_find(b, a->obj.v[i].key);
            if (at < 0 || !eq(a->obj.v[i].value, b->obj.v[at].value, depth + 1))
                return false;
        }
        return a->obj.n == b->obj.n;
    }
    return false;
}

bool json_eq(const struct json *a, const struct json *b) { return eq(a, b, 0); }

/* ---- building ---- */

static struct json *node(struct arena *a, enum json_type t) {
    struct json *j = arena_new_obj(a, struct json);
    j->type = t;
    return j;
}

struct json *json_null(struct arena *a) {
    return node(a, JSON_NULL);
}

struct json *json_bool(struct arena *a, bool b) {
    struct json *j = node(a, JSON_BOOL);
    j->b = b;
    return j;
}

struct json *json_int(struct arena *a, int64_t i) {
    struct json *j = node(a, JSON_INT);
    j->i = i;
    return j;
}

struct json *json_real(struct arena *a, double d) {
    if (!isfinite(d))
        return json_null(a); /* JSON has no word for it */
    AUTO_BUF b;
    struct jw w;
    buf_init(&b, 0, 64);
    jw_init(&w, &b);
    jw_real(&w, d);
    struct json *j = node(a, JSON_REAL);
    j->real.d = d;
    j->real.literal = str_dup(a, buf_str(&b));
    return j;
}

struct json *json_strn(struct arena *a, struct str s) {
    struct json *j = node(a, JSON_STRING);
    j->s = str_dup(a, s);
    return j;
}

struct json *json_string(struct arena *a, const char *z) {
    return z == NULL ? json_null(a) : json_strn(a, str_of(z));
}
struct json *json_array(struct arena *a) {
    return node(a, JSON_ARRAY);
}
struct json *json_object(struct arena *a) {
    return node(a, JSON_OBJECT);
}

static size_t grown(size_t cap) {
    CHECK(cap < UINT32_MAX / 4);
    return cap < 8 ? 8 : cap * 2;
}

void json_push(struct arena *a, struct json *arr, struct json *v) {
    CHECK(json_is(arr, JSON_ARRAY));
    if (arr->arr.n == arr->arr.cap) {
        size_t cap = grown(arr->arr.cap);
        struct json **wider = arena_new_array(a, struct json *, cap);
        if (arr->arr.n > 0)
            memcpy(wider, arr->arr.v, arr->arr.n * sizeof(*wider));
        arr->arr.v = wider;
        arr->arr.cap = cap;
    }
    arr->arr.v[arr->arr.n++] = v != NULL ? v : json_null(a);
}

void json_setn(struct arena *a, struct json *obj, struct str key, struct json *v) {
    CHECK(json_is(obj, JSON_OBJECT));
    if (v == NULL)
        v = json_null(a);
    ptrdiff_t at = json_member_find(obj, key);
    if (at >= 0) {
        obj->obj.v[at].value = v;
        return;
    }
    if (obj->obj.n == obj->obj.cap) {
        size_t cap = grown(obj->obj.cap);
        struct json_member *wider = arena_new_array(a, struct json_member, cap);
        if (obj->obj.n > 0)
            memcpy(wider, obj->obj.v, obj->obj.n * sizeof(*wider));
        obj->obj.v = wider;
        obj->obj.cap = cap;
    }
    obj->obj.v[obj->obj.n++] = (struct json_member){str_dup(a, key), v};
    if (obj->obj.n <= JSON_INDEX_ABOVE)
        return;
    if (obj->obj.nindex < obj->obj.n * 2)
        json_index_build(a, obj);
    else
        (void)json_index_add(obj, obj->obj.n - 1);
}

void json_set(struct arena *a, struct json *obj, const char *key, struct json *v) { json_setn(a, obj, str_of(key), v); }
void json_set_str(struct arena *a, struct json *obj, const char *key, const char *z) {
    json_set(a, obj, key, json_string(a, z));
}
void json_set_int(struct arena *a, struct json *obj, const char *key, int64_t i) {
    json_set(a, obj, key, json_int(a, i));
}
void json_set_bool(struct arena *a, struct json *obj, const char *key, bool b) {
    json_set(a, obj, key, json_bool(a, b));
}

bool json_del(struct json *obj, const char *key) {
    if (!json_is(obj, JSON_OBJECT) || key == NULL)
        return false;
    ptrdiff_t at = json_member_find(obj, str_of(key));
    if (at < 0)
        return false;
    size_t i = (size_t)at;
    memmove(&obj->obj.v[i], &obj->obj.v[i + 1], (obj->obj.n - i - 1) * sizeof(*obj->obj.v));
    obj->obj.n--;
    if (obj->obj.index != NULL)
        json_index_build(NULL, obj); /* fewer members than before: fits, allocates nothing */
    return true;
}

static struct json *clone(struct arena *a, const struct json *j, int depth) {
    CHECK(depth <= JSON_DEPTH_CEILING);
    struct json *c = arena_memdup(a, j, sizeof(*j));
    switch (j->type) {
    case JSON_STRING:
        c->s = str_dup(a, j->s);
        break;
    case JSON_REAL:
        c->real.literal = str_dup(a, j->real.literal);
        break;
    case JSON_ARRAY:
        c->arr.cap = j->arr.n;
        c->arr.v = arena_new_array(a, struct json *, j->arr.n);
        for (size_t i = 0; i < j->arr.n; i++)
            c->arr.v[i] = clone(a, j->arr.v[i], depth + 1);
        break;
    case JSON_OBJECT:
        c->obj.cap = j->obj.n;
        c->obj.v = arena_new_array(a, struct json_member, j->obj.n);
        for (size_t i = 0; i < j->obj.n; i++)
            c->obj.v[i] = (struct json_member){str_dup(a, j->obj.v[i].key), clone(a, j->obj.v[i].value, depth + 1)};
        c->obj.index = NULL;
        c->obj.nindex = 0;
        if (c->obj.n > JSON_INDEX_ABOVE)
            json_index_build(a, c);
        break;
    default:
        break;
    }
    return c;
}

struct json *json_clone(struct arena *a, const struct json *j) {
    return j == NULL ? NULL : clone(a, j, 0);
}
