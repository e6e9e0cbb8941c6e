/* JSON (RFC 8259): strict parser with budgets into an arena tree, and a writer straight into a buf.
 * Integers are JSON_INT and must fit int64 (trusted: larger ones become JSON_REAL); every other number keeps its literal
 * text (JSON_REAL, also a double) and must be finite. UTF-8 only;
 * duplicate keys, NUL (\u0000), lone surrogates, BOM and overlong forms are refused with line:column and a JSON pointer. */
#pragma once
#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/str.h"

enum json_type { JSON_NULL, JSON_BOOL, JSON_INT, JSON_REAL, JSON_STRING, JSON_ARRAY, JSON_OBJECT };
struct json_member;
struct json {
    enum json_type type;
    union {
        bool b;
        int64_t i;
        struct {
            double d;
            struct str literal;
        } real;
        struct str s; /* NUL-terminated */
        struct {
            struct json **v;
            size_t n, cap;
        } arr;
        struct {
            struct json_member *v; /* insertion order */
            size_t n, cap;
            uint32_t *index; /* hash index for larger objects; private */
            size_t nindex;
        } obj;
    };
};
struct json_member {
    struct str key; /* NUL-terminated */
    struct json *value;
};
struct json_limits {
    size_t max_bytes, max_depth, max_nodes; /* 0 = default: 1 MiB, 64 (at most 512), 100000 */
    bool trusted; /* engine/db documents: duplicate keys keep the last, \u0000 and huge integers allowed */
};
/** Parse one document; text may be freed afterwards. Errors: INVALID_JSON, JSON_TOO_DEEP, JSON_TOO_COMPLEX, TOO_LARGE; the
 * message begins with "line L, column C", the field is a JSON pointer when one value is to blame. *ret only on success. */
MUST_CHECK err_t json_parse(struct arena *a, struct str text, const struct json_limits *limits, struct json **ret);

/** Accessors are NULL-safe: a missing or wrong-typed value gives NULL/default. */
struct json *json_get(const struct json *obj, const char *key);
struct json *json_getn(const struct json *obj, struct str key);
struct json *json_at(const struct json *arr, size_t i);
/** Walk a path of keys: json_path(j, "HostConfig", "Binds", NULL). */
struct json *json_path(const struct json *j, ...) __attribute__((sentinel));
struct json *json_pointer(const struct json *j, const char *pointer); /* RFC 6901 */
size_t json_len(const struct json *j);                                /* array or object; else 0 */
const char *json_str(const struct json *j);                           /* NULL unless string */
const char *json_str_or(const struct json *j, const char *dflt);
const char *json_get_str(const struct json *obj, const char *key); /* NULL unless string */
int64_t json_int_or(const struct json *j, int64_t dflt);
int64_t json_get_int(const struct json *obj, const char *key, int64_t dflt);
double json_num_or(const struct json *j, double dflt);
bool json_bool_or(const struct json *j, bool dflt);
bool json_get_bool(const struct json *obj, const char *key, bool dflt);
bool json_is(const struct json *j, enum json_type t);
bool json_eq(const struct json *a, const struct json *b); /* object order does not matter; 1 and 1.0 differ */

/** Builders; keys and strings are copied into `a`. */
struct json *json_null(struct arena *a);
struct json *json_bool(struct arena *a, bool b);
struct json *json_int(struct arena *a, int64_t i);
struct json *json_real(struct arena *a, double d);
struct json *json_string(struct arena *a, const char *z); /* NULL -> JSON null */
struct json *json_strn(struct arena *a, struct str s);
struct json *json_array(struct arena *a);
struct json *json_object(struct arena *a);
void json_push(struct arena *a, struct json *arr, struct json *v);
void json_set(struct arena *a, struct json *obj, const char *key, struct json *v); /* replaces */
void json_setn(struct arena *a, struct json *obj, struct str key, struct json *v);
void json_set_str(struct arena *a, struct json *obj, const char *key, const char *z);
void json_set_int(struct arena *a, struct json *obj, const char *key, int64_t i);
void json_set_bool(struct arena *a, struct json *obj, const char *key, bool b);
bool json_del(struct json *obj, const char *key);
struct json *json_clone(struct arena *a, const struct json *j);

/** Serialise. `canonical`: keys sorted bytewise, no spaces: for hashes. indent 0 = compact. */
void json_write(struct buf *b, const struct json *j);
void json_write_canonical(struct buf *b, const struct json *j);
void json_write_pretty(struct buf *b, const struct json *j, int indent);
char *json_to_text(struct arena *a, const struct json *j);
char *json_to_canonical(struct arena *a, const struct json *j);
void json_write_str(struct buf *b, struct str s); /* quoted and escaped; invalid UTF-8 becomes U+FFFD */

/** Streaming writer: commas and quoting are its business; nesting is CHECKed. */
struct jw {
    struct buf *b;
    uint8_t depth;
    bool need_comma[64];
    bool is_obj[64];
    bool after_key;
};
void jw_init(struct jw *w, struct buf *b);
void jw_obj(struct jw *w);
void jw_obj_end(struct jw *w);
void jw_arr(struct jw *w);
void jw_arr_end(struct jw *w);
void jw_key(struct jw *w, const char *key);
void jw_str(struct jw *w, const char *z); /* NULL -> null */
void jw_strn(struct jw *w, struct str s);
void jw_int(struct jw *w, int64_t i);
void jw_real(struct jw *w, double d);
void jw_bool(struct jw *w, bool b);
void jw_null(struct jw *w);
void jw_raw(struct jw *w, struct str json); /* already JSON */
void jw_json(struct jw *w, const struct json *j);
void jw_kv_str(struct jw *w, const char *key, const char *z);
void jw_kv_int(struct jw *w, const char *key, int64_t i);
void jw_kv_bool(struct jw *w, const char *key, bool b);
void jw_kv_raw(struct jw *w, const char *key, const char *json);
