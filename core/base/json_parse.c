/* The parser. No recursion: open containers lie on a frame stack, finished values on a value stack; when a container
 * closes, its values are copied to the arena in one exact piece. The input's first error ends it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/check.h"
#include "core/base/json.h"
#include "core/base/json_tree.h"

#define NUMBER_MAX 512 /* bytes of one number */

struct frame {
    bool is_obj;
    size_t base; /* first value of this container on the value stack */
};
struct slot {
    struct str key;
    struct json *value;
    size_t key_at; /* offset of the key, for messages */
};
struct parser {
    struct arena *a;
    const char *start, *p, *end;
    size_t max_depth, max_nodes, nodes, depth;
    bool trusted;
    struct frame *frames;
    struct slot *slots;
    size_t n, cap;
    struct str key; /* of the member being read */
    size_t key_at;
};

/* ---- errors ---- */

static void position(const struct parser *ps, const char *at, size_t *ret_line, size_t *ret_column) {
    size_t line = 1, column = 1;
    for (const char *c = ps->start; c < at; c++) {
        if (*c == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)*c & 0xc0) != 0x80) {
            column++; /* characters, not bytes */
        }
    }
    *ret_line = line;
    *ret_column = column;
}

static err_t fail(const struct parser *ps, const char *at, enum err_code code, const char *what) {
    size_t line, column;
    position(ps, at, &line, &column);
    return err_new(code, "line %zu, column %zu: %s", line, column, what);
}

static err_t bad(const struct parser *ps, const char *at, const char *what) {
    return fail(ps, at, ERR_INVALID_JSON, what);
}

static void put_token(struct buf *b, struct str key) {
    buf_putc(b, '/');
    for (size_t i = 0; i < key.n; i++) {
        if (key.p[i] == '~')
            buf_puts(b, "~0");
        else if (key.p[i] == '/')
            buf_puts(b, "~1");
        else
            buf_putc(b, key.p[i]);
    }
}

/* Same, naming the value by its JSON pointer. `key` NULL: the value now being read. */
static err_t bad_value(const struct parser *ps, const char *at, const char *what, const struct str *key) {
    AUTO_BUF b;
    buf_init(&b, 0, 2048);
    for (size_t d = 0; d < ps->depth; d++) {
        const struct frame *f = &ps->frames[d];
        /* an inner container's own slot lies right below its first value, and holds its name */
        size_t top = d + 1 < ps->depth ? ps->frames[d + 1].base - 1 : ps->n;
        if (!f->is_obj)
            buf_putf(&b, "/%zu", top - f->base);
        else if (d + 1 < ps->depth)
            put_token(&b, ps->slots[top].key);
        else
            put_token(&b, key != NULL ? *key : ps->key);
    }
    buf_putc(&b, 0);
    return err_field(bad(ps, at, what), b.failed ? NULL : b.p);
}

/* ---- stacks ---- */

static struct slot *push_slot(struct parser *ps) {
    if (ps->n == ps->cap) {
        ps->cap = ps->cap == 0 ? 64 : ps->cap * 2;
        ps->slots = realloc(ps->slots, ps->cap * sizeof(*ps->slots));
        CHECK(ps->slots != NULL);
    }
    return &ps->slots[ps->n++];
}

static err_t new_node(struct parser *ps, enum json_type type, struct json **ret) {
    if (++ps->nodes > ps->max_nodes)
        return err_new(ERR_JSON_TOO_COMPLEX, "more than %zu values in one document", ps->max_nodes);
    struct json *j = arena_zalloc(ps->a, sizeof(*j));
    j->type = type;
    *ret = j;
    return NULL;
}

/* ---- strings ---- */

#define ONES 0x0101010101010101u
#define HIGHS 0x8080808080808080u

/* Length of the prefix without quote, backslash, control or non-ASCII bytes. */
static size_t plain_run(const char *p, const char *end) {
    const char *at = p;
    for (; end - at >= 8; at += 8) {
        uint64_t w;
        memcpy(&w, at, 8);
        uint64_t quote = w ^ (ONES * '"'), slash = w ^ (ONES * '\\');
        uint64_t hit = ((w - ONES * 0x20) | (quote - ONES) | (slash - ONES) | w) & HIGHS;
        if (hit != 0)
            break; /* a borrow may hit too early, never too late: finish bytewise */
    }
    while (at < end && (unsigned char)*at >= 0x20 && (unsigned char)*at < 0x80 && *at != '"' && *at != '\\')
        at++;
    return (size_t)(at - p);
}

/* Bytes of one well-formed multi-byte character, 0 if it is none. */
static size_t utf8_char(const char *p, const char *end) {
    unsigned char c = (unsigned char)*p;
    size_t n = c >= 0xc2 && c <= 0xdf ? 2 : c >= 0xe0 && c <= 0xef ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
    return n > 0 && (size_t)(end - p) >= n && str_is_utf8(str_n(p, n)) ? n : 0;
}

static bool hex4(const char *p, const char *end, unsigned *ret) {
    unsigned v = 0;
    if (end - p < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        unsigned d = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                     : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                     : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
                                            : 99;
        if (d == 99)
            return false;
        v = v << 4 | d;
    }
    *ret = v;
    return true;
}

static char *put_utf8(char *o, unsigned c) {
    if (c < 0x80) {
        *o++ = (char)c;
    } else if (c < 0x800) {
        *o++ = (char)(0xc0 | c >> 6);
        *o++ = (char)(0x80 | (c & 63));
    } else if (c < 0x10000) {
        *o++ = (char)(0xe0 | c >> 12);
        *o++ = (char)(0x80 | (c >> 6 & 63));
        *o++ = (char)(0x80 | (c & 63));
    } else {
        *o++ = (char)(0xf0 | c >> 18);
        *o++ = (char)(0x80 | (c >> 12 & 63));
        *o++ = (char)(0x80 | (c >> 6 & 63));
        *o++ = (char)(0x80 | (c & 63));
    }
    return o;
}

/* "\uXXXX", p behind the u. */
static err_t unicode_escape(struct parser *ps, const char *at, char **o) {
    unsigned c, low;
    if (!hex4(ps->p, ps->end, &c))
        return bad(ps, at, "\\u needs four hexadecimal digits");
    ps->p += 4;
    if (c == 0 && !ps->trusted)
        return bad_value(ps, at, "\\u0000 is not accepted", NULL);
    if (c >= 0xdc00 && c <= 0xdfff)
        return bad_value(ps, at, "lone low surrogate", NULL);
    if (c >= 0xd800 && c <= 0xdbff) {
        if (ps->end - ps->p < 6 || ps->p[0] != '\\' || ps->p[1] != 'u' || !hex4(ps->p + 2, ps->end, &low) ||
            low < 0xdc00 || low > 0xdfff)
            return bad_value(ps, at, "lone high surrogate", NULL);
        ps->p += 6;
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    *o = put_utf8(*o, c);
    return NULL;
}

static err_t escape(struct parser *ps, char **o) {
    const char *at = ps->p++;
    if (ps->p == ps->end)
        return bad(ps, at, "string without an end");
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = *ps->p++;
    if (c == 'u')
        return unicode_escape(ps, at, o);
    const char *hit = c != 0 ? strchr(from, c) : NULL;
    if (hit == NULL)
        return bad(ps, at, "unknown escape in a string");
    *(*o)++ = to[hit - from];
    return NULL;
}

/* Length of the raw text up to the closing quote: an upper bound of the decoded one. */
static size_t raw_length(const struct parser *ps) {
    const char *c = ps->p;
    while (c < ps->end && *c != '"')
        c += *c == '\\' && ps->end - c > 1 ? 2 : 1;
    return (size_t)(c - ps->p);
}

/* The string has something to decode or check after `plain` harmless bytes. */
static err_t slow_string(struct parser *ps, size_t plain, struct str *ret) {
    char *out = arena_alloc(ps->a, raw_length(ps) + 1, 1), *o = out;
    for (;;) {
        if (plain > 0)
            memcpy(o, ps->p, plain);
        o += plain;
        ps->p += plain;
        if (ps->p == ps->end)
            return bad(ps, ps->p, "string without an end");
        unsigned char c = (unsigned char)*ps->p;
        if (c == '"')
            break;
        if (c == '\\') {
            TRY(escape(ps, &o));
        } else if (c < 0x20) {
            return bad(ps, ps->p, "control character in a string: write it as an escape");
        } else {
            size_t n = utf8_char(ps->p, ps->end);
            if (n == 0)
                return bad_value(ps, ps->p, "not valid UTF-8", NULL);
            memcpy(o, ps->p, n);
            o += n;
            ps->p += n;
        }
        plain = plain_run(ps->p, ps->end);
    }
    ps->p++;
    *o = 0;
    *ret = str_n(out, (size_t)(o - out));
    return NULL;
}

/* p behind the opening quote. */
static err_t read_string(struct parser *ps, struct str *ret) {
    size_t n = plain_run(ps->p, ps->end);
    if (ps->p + n < ps->end && ps->p[n] == '"') {
        *ret = str_n(arena_strndup(ps->a, ps->p, n), n);
        ps->p += n + 1;
        return NULL;
    }
    return slow_string(ps, n, ret);
}

/* ---- numbers ---- */

static bool digit(const struct parser *ps) { return ps->p < ps->end && *ps->p >= '0' && *ps->p <= '9'; }

static bool digits(struct parser *ps) {
    if (!digit(ps))
        return false;
    while (digit(ps))
        ps->p++;
    return true;
}

/* Grammar only: moves p behind the number. */
static err_t scan_number(struct parser *ps, bool *ret_integer) {
    const char *at = ps->p;
    *ret_integer = true;
    if (*ps->p == '-')
        ps->p++;
    if (ps->p < ps->end && *ps->p == '0') {
        ps->p++;
        if (digit(ps))
            return bad(ps, at, "number with a leading zero");
    } else if (!digits(ps)) {
        return bad(ps, at, "not a number");
    }
    if (ps->p < ps->end && *ps->p == '.') {
        *ret_integer = false;
        ps->p++;
        if (!digits(ps))
            return bad(ps, at, "number without digits after the point");
    }
    if (ps->p < ps->end && (*ps->p == 'e' || *ps->p == 'E')) {
        *ret_integer = false;
        ps->p++;
        if (ps->p < ps->end && (*ps->p == '+' || *ps->p == '-'))
            ps->p++;
        if (!digits(ps))
            return bad(ps, at, "number without digits in the exponent");
    }
    return NULL;
}

static bool to_int(const char *p, const char *end, int64_t *ret) {
    bool neg = *p == '-';
    int64_t v = 0;
    for (p += neg; p < end; p++)
        if (__builtin_mul_overflow(v, (int64_t)10, &v) ||
            __builtin_add_overflow(v, (int64_t)(neg ? '0' - *p : *p - '0'), &v))
            return false;
    *ret = v;
    return true;
}

static err_t read_number(struct parser *ps, struct json **ret) {
    const char *at = ps->p;
    bool integer = true;
    struct json *j = NULL;
    TRY(scan_number(ps, &integer));
    if ((size_t)(ps->p - at) > NUMBER_MAX)
        return bad_value(ps, at, "number with too many digits", NULL);
    TRY(new_node(ps, JSON_INT, &j));
    *ret = j;
    if (integer && to_int(at, ps->p, &j->i))
        return NULL;
    if (integer && !ps->trusted)
        return bad_value(ps, at, "integer out of range: it must fit 64 bits with sign", NULL);
    j->type = JSON_REAL;
    j->real.literal = str_dup(ps->a, str_n(at, (size_t)(ps->p - at)));
    j->real.d = strtod(j->real.literal.p, NULL);
    if (!isfinite(j->real.d))
        return bad_value(ps, at, "number too large", NULL);
    return NULL;
}

/* ---- values ---- */

static void skip_space(struct parser *ps) {
    while (ps->p < ps->end && (*ps->p == ' ' || *ps->p == '\n' || *ps->p == '\r' || *ps->p == '\t'))
        ps->p++;
}

static err_t read_word(struct parser *ps, struct str word, enum json_type type, bool b, struct json **ret) {
    if (!str_starts(str_n(ps->p, (size_t)(ps->end - ps->p)), word))
        return bad(ps, ps->p, "unexpected character");
    ps->p += word.n;
    TRY(new_node(ps, type, ret));
    if (type == JSON_BOOL)
        (*ret)->b = b;
    return NULL;
}

static err_t read_scalar(struct parser *ps, struct json **ret) {
    switch (*ps->p) {
    case '"': {
        struct str s;
        ps->p++;
        TRY(read_string(ps, &s));
        TRY(new_node(ps, JSON_STRING, ret));
        (*ret)->s = s;
        return NULL;
    }
    case 't':
        return read_word(ps, STR("true"), JSON_BOOL, true, ret);
    case 'f':
        return read_word(ps, STR("false"), JSON_BOOL, false, ret);
    case 'n':
        return read_word(ps, STR("null"), JSON_NULL, false, ret);
    default:
        if (*ps->p == '-' || (*ps->p >= '0' && *ps->p <= '9'))
            return read_number(ps, ret);
        return bad(ps, ps->p, "unexpected character");
    }
}

static err_t read_key(struct parser *ps) {
    skip_space(ps);
    if (ps->p == ps->end)
        return bad(ps, ps->p, "object without an end");
    if (*ps->p != '"')
        return bad(ps, ps->p, "a member name in double quotes is expected here");
    ps->key_at = (size_t)(ps->p - ps->start);
    ps->p++;
    ps->key = STR("");
    TRY(read_string(ps, &ps->key));
    skip_space(ps);
    if (ps->p == ps->end || *ps->p != ':')
        return bad(ps, ps->p, "':' is expected after a member name");
    ps->p++;
    return NULL;
}

static err_t open_container(struct parser *ps, bool is_obj) {
    if (ps->depth == ps->max_depth)
        return fail(ps, ps->p, ERR_JSON_TOO_DEEP, "nested too deeply");
    if (++ps->nodes > ps->max_nodes)
        return err_new(ERR_JSON_TOO_COMPLEX, "more than %zu values in one document", ps->max_nodes);
    /* the member name waits in the slot that the finished container will take */
    struct slot *s = push_slot(ps);
    *s = (struct slot){.key = ps->key, .key_at = ps->key_at};
    ps->frames[ps->depth++] = (struct frame){is_obj, ps->n};
    ps->p++;
    return NULL;
}

/* Refuse (or, trusted, fold) equal names of the object built from the value stack. */
static err_t settle_keys(struct parser *ps, struct json *obj, const struct slot *slots) {
    size_t n = obj->obj.n, kept = 0;
    bool indexed = n > JSON_INDEX_ABOVE;
    if (indexed)
        json_index_reserve(ps->a, obj, n);
    for (size_t i = 0; i < n; i++) {
        obj->obj.v[kept] = (struct json_member){slots[i].key, slots[i].value};
        ptrdiff_t same = -1;
        if (indexed) {
            same = json_index_add(obj, kept);
        } else {
            for (size_t k = 0; k < kept && same < 0; k++)
                if (str_eq(obj->obj.v[k].key, slots[i].key))
                    same = (ptrdiff_t)k;
        }
        if (same < 0) {
            kept++;
            continue;
        }
        if (!ps->trusted)
            return bad_value(ps, ps->start + slots[i].key_at, "member name appears twice", &slots[i].key);
        obj->obj.v[same].value = slots[i].value;
    }
    obj->obj.n = kept;
    return NULL;
}

static err_t close_container(struct parser *ps, struct json **ret) {
    const struct frame *f = &ps->frames[ps->depth - 1];
    const struct slot *slots = ps->slots + f->base;
    size_t n = ps->n - f->base;
    struct json *j = arena_zalloc(ps->a, sizeof(*j));
    if (f->is_obj) {
        j->type = JSON_OBJECT;
        j->obj.n = j->obj.cap = n;
        j->obj.v = n > 0 ? arena_alloc(ps->a, n * sizeof(*j->obj.v), _Alignof(struct json_member)) : NULL;
        TRY(settle_keys(ps, j, slots));
    } else {
        j->type = JSON_ARRAY;
        j->arr.n = j->arr.cap = n;
        j->arr.v = n > 0 ? arena_alloc(ps->a, n * sizeof(*j->arr.v), _Alignof(struct json *)) : NULL;
        for (size_t i = 0; i < n; i++)
            j->arr.v[i] = slots[i].value;
    }
    ps->n = f->base - 1;
    ps->key = ps->slots[ps->n].key;
    ps->key_at = ps->slots[ps->n].key_at;
    ps->depth--;
    ps->p++;
    *ret = j;
    return NULL;
}

/* A value is finished: put it in its container and close every container that ends right here. *ret_done when the
 * outermost value is complete. */
static err_t finish_value(struct parser *ps, struct json *j, struct json **ret, bool *ret_done) {
    for (;;) {
        if (ps->depth == 0) {
            *ret = j;
            *ret_done = true;
            return NULL;
        }
        struct slot *s = push_slot(ps);
        *s = (struct slot){ps->key, j, ps->key_at};
        bool is_obj = ps->frames[ps->depth - 1].is_obj;
        skip_space(ps);
        if (ps->p == ps->end)
            return bad(ps, ps->p, is_obj ? "object without an end" : "array without an end");
        if (*ps->p == ',') {
            ps->p++;
            return is_obj ? read_key(ps) : NULL;
        }
        if (*ps->p != (is_obj ? '}' : ']'))
            return bad(ps, ps->p, is_obj ? "',' or '}' is expected here" : "',' or ']' is expected here");
        TRY(close_container(ps, &j));
    }
}

static err_t run(struct parser *ps, struct json **ret) {
    for (bool done = false; !done;) {
        struct json *j = NULL;
        skip_space(ps);
        if (ps->p == ps->end)
            return bad(ps, ps->p, ps->depth == 0 ? "a value is expected, the document is empty" : "a value is missing");
        if (*ps->p == '{' || *ps->p == '[') {
            bool is_obj = *ps->p == '{';
            TRY(open_container(ps, is_obj));
            skip_space(ps);
            if (ps->p < ps->end && *ps->p == (is_obj ? '}' : ']')) {
                TRY(close_container(ps, &j));
            } else {
                if (is_obj)
                    TRY(read_key(ps));
                continue;
            }
        } else {
            TRY(read_scalar(ps, &j));
        }
        TRY(finish_value(ps, j, ret, &done));
    }
    skip_space(ps);
    if (ps->p < ps->end)
        return bad(ps, ps->p, "something follows the end of the document");
    return NULL;
}

err_t json_parse(struct arena *a, struct str text, const struct json_limits *limits, struct json **ret) {
    struct json_limits l = limits != NULL ? *limits : (struct json_limits){0};
    if (l.max_bytes == 0)
        l.max_bytes = MIB(1);
    if (l.max_depth == 0)
        l.max_depth = 64;
    if (l.max_depth > JSON_DEPTH_CEILING)
        l.max_depth = JSON_DEPTH_CEILING;
    if (l.max_nodes == 0)
        l.max_nodes = 100000;
    if (text.p == NULL)
        text = STR("");
    if (text.n > l.max_bytes)
        return err_new(ERR_TOO_LARGE, "JSON document of %zu bytes, at most %zu are accepted", text.n, l.max_bytes);
    struct parser ps = {.a = a,
                        .start = text.p,
                        .p = text.p,
                        .end = text.p + text.n,
                        .max_depth = l.max_depth,
                        .max_nodes = l.max_nodes,
                        .trusted = l.trusted};
    if (str_starts(text, STR("\xef\xbb\xbf")))
        return bad(&ps, ps.p, "byte order mark: send plain UTF-8");
    if (text.n >= 2 &&
        (text.p[0] == 0 || text.p[1] == 0 || str_starts(text, STR("\xff\xfe")) || str_starts(text, STR("\xfe\xff"))))
        return bad(&ps, ps.p, "not UTF-8");
    ps.frames = malloc(l.max_depth * sizeof(*ps.frames));
    CHECK(ps.frames != NULL);
    struct json *j = NULL;
    err_t e = run(&ps, &j);
    free(ps.frames);
    free(ps.slots);
    if (e == NULL)
        *ret = j;
    return e;
}
