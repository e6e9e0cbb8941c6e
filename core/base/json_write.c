#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/check.h"
#include "core/base/json.h"
#include "core/base/json_tree.h"

/* ---- strings ---- */

/* 0: as it is; 1: multi-byte lead or stray; else the letter behind the backslash, 'u' for \u00XX. */
static const unsigned char kinds[256] = {
    ['"'] = '"',  ['\\'] = '\\', ['\b'] = 'b',          ['\f'] = 'f', ['\n'] = 'n',          ['\r'] = 'r',
    ['\t'] = 't', [0x7f] = 'u',  [0x00 ... 0x07] = 'u', [0x0b] = 'u', [0x0e ... 0x1f] = 'u', [0x80 ... 0xff] = 1};

static size_t valid_char(const char *p, size_t left) {
    unsigned char c = (unsigned char)*p;
    size_t n = c >= 0xc2 && c <= 0xdf ? 2 : c >= 0xe0 && c <= 0xef ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
    return n > 0 && left >= n && str_is_utf8(str_n(p, n)) ? n : 0;
}

static void put_escape(struct buf *b, unsigned char kind, unsigned char c) {
    if (kind != 'u') {
        buf_put(b, (char[]){'\\', (char)kind}, 2);
        return;
    }
    static const char hex[] = "0123456789abcdef";
    buf_put(b, (char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
}

void json_write_str(struct buf *b, struct str s) {
    buf_putc(b, '"');
    size_t from = 0, i = 0;
    while (i < s.n) {
        unsigned char c = (unsigned char)s.p[i], kind = kinds[c];
        if (kind == 0) {
            i++;
            continue;
        }
        size_t len = kind == 1 ? valid_char(s.p + i, s.n - i) : 0;
        if (len > 0) {
            i += len;
            continue;
        }
        buf_put(b, s.p + from, i - from);
        if (kind == 1)
            buf_puts(b, "\xef\xbf\xbd");
        else
            put_escape(b, kind, c);
        from = ++i;
    }
    buf_put(b, s.p + from, s.n - from);
    buf_putc(b, '"');
}

/* ---- numbers ---- */

static void put_int(struct buf *b, int64_t i) {
    char text[24], *end = text + sizeof(text), *p = end;
    uint64_t v = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
    do
        *--p = (char)('0' + v % 10);
    while ((v /= 10) > 0);
    if (i < 0)
        *--p = '-';
    buf_put(b, p, (size_t)(end - p));
}

/* The shortest of 15 to 17 digits that reads back as the same double, always visibly not an integer. */
static void put_real(struct buf *b, double d) {
    if (!isfinite(d)) {
        buf_puts(b, "null");
        return;
    }
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, d);
        if (strtod(text, NULL) == d)
            break;
    }
    buf_puts(b, text);
    if (strpbrk(text, ".e") == NULL)
        buf_puts(b, ".0");
}

/* ---- trees ---- */

struct style {
    bool canonical;
    int indent;
};

static void newline(struct buf *b, const struct style *st, int depth) {
    if (st->indent == 0)
        return;
    buf_putc(b, '\n');
    for (int i = 0; i < st->indent * depth; i++)
        buf_putc(b, ' ');
}

static int by_key(const void *x, const void *y) {
    const struct json_member *const *a = x, *const *b = y;
    return str_cmp((*a)->key, (*b)->key);
}

/* Members in writing order; *ret_sorted must be freed. */
static const struct json_member **sorted(const struct json *j) {
    const struct json_member **v = malloc((j->obj.n + 1) * sizeof(struct json_member *));
    CHECK(v != NULL);
    for (size_t i = 0; i < j->obj.n; i++)
        v[i] = &j->obj.v[i];
    qsort(v, j->obj.n, sizeof(struct json_member *), by_key);
    return v;
}

static void write_value(struct buf *b, const struct json *j, const struct style *st, int depth);

static void write_object(struct buf *b, const struct json *j, const struct style *st, int depth) {
    const struct json_member **order = st->canonical ? sorted(j) : NULL;
    buf_putc(b, '{');
    for (size_t i = 0; i < j->obj.n; i++) {
        const struct json_member *m = order != NULL ? order[i] : &j->obj.v[i];
        if (i > 0)
            buf_putc(b, ',');
        newline(b, st, depth + 1);
        json_write_str(b, m->key);
        buf_put(b, ": ", st->indent > 0 ? 2 : 1);
        write_value(b, m->value, st, depth + 1);
    }
    if (j->obj.n > 0)
        newline(b, st, depth);
    buf_putc(b, '}');
    free(order);
}

static void write_array(struct buf *b, const struct json *j, const struct style *st, int depth) {
    buf_putc(b, '[');
    for (size_t i = 0; i < j->arr.n; i++) {
        if (i > 0)
            buf_putc(b, ',');
        newline(b, st, depth + 1);
        write_value(b, j->arr.v[i], st, depth + 1);
    }
    if (j->arr.n > 0)
        newline(b, st, depth);
    buf_putc(b, ']');
}

static void write_value(struct buf *b, const struct json *j, const struct style *st, int depth) {
    CHECK(depth <= JSON_DEPTH_CEILING);
    if (j == NULL) {
        buf_puts(b, "null");
        return;
    }
    switch (j->type) {
    case JSON_NULL:
        buf_puts(b, "null");
        break;
    case JSON_BOOL:
        buf_puts(b, j->b ? "true" : "false");
        break;
    case JSON_INT:
        put_int(b, j->i);
        break;
    case JSON_REAL:
        buf_put(b, j->real.literal.p, j->real.literal.n);
        break;
    case JSON_STRING:
        json_write_str(b, j->s);
        break;
    case JSON_ARRAY:
        write_array(b, j, st, depth);
        break;
    case JSON_OBJECT:
        write_object(b, j, st, depth);
        break;
    }
}

void json_write(struct buf *b, const struct json *j) { write_value(b, j, &(struct style){false, 0}, 0); }
void json_write_canonical(struct buf *b, const struct json *j) { write_value(b, j, &(struct style){true, 0}, 0); }
void json_write_pretty(struct buf *b, const struct json *j, int indent) {
    CHECK(indent >= 0 && indent <= 16);
    write_value(b, j, &(struct style){false, indent}, 0);
}

static char *to_text(struct arena *a, const struct json *j, bool canonical) {
    AUTO_BUF b;
    buf_init(&b, 256, SIZE_MAX / 4); /* the tree is in memory already: its text is of the same order */
    write_value(&b, j, &(struct style){canonical, 0}, 0);
    CHECK(!b.failed);
    return arena_strndup(a, b.p, b.n);
}

char *json_to_text(struct arena *a, const struct json *j) { return to_text(a, j, false); }
char *json_to_canonical(struct arena *a, const struct json *j) { return to_text(a, j, true); }

/* ---- streaming ---- */

void jw_init(struct jw *w, struct buf *b) { *w = (struct jw){.b = b}; }

/* Before any value: a key must have come in an object, a comma between siblings. */
static void before(struct jw *w) {
    if (w->after_key) {
        w->after_key = false;
        return;
    }
    CHECK(!w->is_obj[w->depth]);
    CHECK(w->depth > 0 || !w->need_comma[0]); /* one document */
    if (w->need_comma[w->depth])
        buf_putc(w->b, ',');
    w->need_comma[w->depth] = true;
}

static void open_level(struct jw *w, bool is_obj) {
    before(w);
    CHECK((size_t)w->depth + 1 < ARRAY_LEN(w->is_obj));
    buf_putc(w->b, is_obj ? '{' : '[');
    w->depth++;
    w->is_obj[w->depth] = is_obj;
    w->need_comma[w->depth] = false;
}

static void close_level(struct jw *w, bool is_obj) {
    CHECK(w->depth > 0 && w->is_obj[w->depth] == is_obj && !w->after_key);
    buf_putc(w->b, is_obj ? '}' : ']');
    w->depth--;
}

void jw_obj(struct jw *w) { open_level(w, true); }
void jw_obj_end(struct jw *w) { close_level(w, true); }
void jw_arr(struct jw *w) { open_level(w, false); }
void jw_arr_end(struct jw *w) { close_level(w, false); }

void jw_key(struct jw *w, const char *key) {
    CHECK(w->depth > 0 && w->is_obj[w->depth] && !w->after_key);
    if (w->need_comma[w->depth])
        buf_putc(w->b, ',');
    w->need_comma[w->depth] = true;
    w->after_key = true;
    json_write_str(w->b, str_of(key));
    buf_putc(w->b, ':');
}

void jw_strn(struct jw *w, struct str s) {
    before(w);
    json_write_str(w->b, s);
}

void jw_str(struct jw *w, const char *z) {
    if (z == NULL)
        jw_null(w);
    else
        jw_strn(w, str_of(z));
}

void jw_int(struct jw *w, int64_t i) {
    before(w);
    put_int(w->b, i);
}

void jw_real(struct jw *w, double d) {
    before(w);
    put_real(w->b, d);
}

void jw_bool(struct jw *w, bool b) {
    before(w);
    buf_puts(w->b, b ? "true" : "false");
}

void jw_null(struct jw *w) {
    before(w);
    buf_puts(w->b, "null");
}

void jw_raw(struct jw *w, struct str json) {
    before(w);
    if (json.n == 0)
        buf_puts(w->b, "null");
    else
        buf_put(w->b, json.p, json.n);
}

void jw_json(struct jw *w, const struct json *j) {
    before(w);
    json_write(w->b, j);
}

void jw_kv_str(struct jw *w, const char *key, const char *z) {
    jw_key(w, key);
    jw_str(w, z);
}

void jw_kv_int(struct jw *w, const char *key, int64_t i) {
    jw_key(w, key);
    jw_int(w, i);
}

void jw_kv_bool(struct jw *w, const char *key, bool b) {
    jw_key(w, key);
    jw_bool(w, b);
}

void jw_kv_raw(struct jw *w, const char *key, const char *json) {
    jw_key(w, key);
    jw_raw(w, str_of(json));
}
