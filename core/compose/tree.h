/* One tree type for every stage of the Compose loader and for YAML manifests. Nodes live in an arena and remember where they
 * were written. Strings are NUL-terminated; a `struct str` carries the length. A tree is never shared between two parents: an
 * alias is expanded by copying, so a stage may edit what it is given. */
#pragma once
#include "core/base/err.h"
#include "core/base/json.h"
#include "core/base/map.h"
#include "core/base/str.h"

enum y_kind { Y_NULL, Y_BOOL, Y_INT, Y_FLOAT, Y_STR, Y_SEQ, Y_MAP };
enum y_tag { Y_TAG_NONE, Y_TAG_RESET, Y_TAG_OVERRIDE }; /* !reset and !override of the Compose Specification */
enum y_style { Y_PLAIN, Y_QUOTED, Y_BLOCK };

struct y_entry {
    struct str key;
    uint32_t line, col; /* of the key, from 1 */
    uint8_t key_kind;   /* enum y_kind of the key as written */
    struct y_node *value;
};
struct y_node {
    enum y_kind kind;
    uint8_t tag, style;
    bool relative;      /* a path that was relative to its file before paths.c made it absolute */
    uint32_t line, col; /* from 1; 0 = made by a stage (then those of the node it was made for) */
    const char *file;   /* as given to yaml_parse; never NULL */
    const char *raw;    /* text before interpolation when that changed it, else NULL */
    struct str text;    /* scalars: the value as written (strings: unescaped) */
    union {
        bool b;
        int64_t i;
        double d;
        struct {
            struct y_node **v;
            size_t n, cap;
        } seq;
        struct {
            struct y_entry *v; /* source order */
            size_t n, cap;
            struct map *index; /* private: built for large maps */
        } map;
    };
};

/** Accessors are NULL-safe. y_get: value of a key or NULL; y_has tells an absent key from a null. */
struct y_node *y_get(const struct y_node *map, const char *key);
struct y_node *y_getn(const struct y_node *map, struct str key);
bool y_has(const struct y_node *map, const char *key);
struct y_node *y_at(const struct y_node *seq, size_t i);
struct y_node *y_path(const struct y_node *n, ...) __attribute__((sentinel)); /* keys, NULL at the end */
size_t y_len(const struct y_node *n);                                         /* of a map or sequence, else 0 */
size_t y_count(const struct y_node *n, size_t stop); /* nodes of the tree; gives up above `stop` */
/** False for NULL. */
static inline bool y_is(const struct y_node *n, enum y_kind k) { return n != NULL && n->kind == k; }
bool y_null(const struct y_node *n);   /* NULL or a null node */
bool y_scalar(const struct y_node *n); /* not NULL, not a map or sequence (null counts) */
/** Text of a scalar ("8080", "true"); NULL for null, map and sequence. */
const char *y_str(const struct y_node *n);
const char *y_get_str(const struct y_node *map, const char *key);
bool y_get_bool(const struct y_node *map, const char *key, bool dflt);
int64_t y_get_int(const struct y_node *map, const char *key, int64_t dflt);
const char *y_kind_name(enum y_kind k);                    /* "mapping", "list", "string", ... */
bool y_eq(const struct y_node *a, const struct y_node *b); /* deep, by value */

/** Builders. `at` gives the new node its place; keys and strings are copied. */
struct y_node *y_new(struct arena *a, enum y_kind k, const struct y_node *at);
struct y_node *y_new_str(struct arena *a, const char *z, const struct y_node *at);
struct y_node *y_new_strn(struct arena *a, struct str s, const struct y_node *at);
struct y_node *y_new_int(struct arena *a, int64_t i, const struct y_node *at);
struct y_node *y_new_bool(struct arena *a, bool b, const struct y_node *at);
struct y_node *y_new_float(struct arena *a, double d, const struct y_node *at);
void y_push(struct arena *a, struct y_node *seq, struct y_node *v);
/** Set or replace. A new key gets the place of `v`, a known one keeps its own. */
void y_set(struct arena *a, struct y_node *map, const char *key, struct y_node *v);
void y_setn(struct arena *a, struct y_node *map, struct str key, struct y_node *v);
/** Set or replace with the key's place of `from` and another value. */
void y_put(struct arena *a, struct y_node *map, const struct y_entry *from, struct y_node *v);
bool y_del(struct y_node *map, const char *key);
void y_del_at(struct y_node *map, size_t i);
/** Keep the entries that `keep` wants; linear. */
void y_keep(struct y_node *map, bool (*keep)(void *ctx, const struct y_entry *e), void *ctx);
struct y_node *y_clone(struct arena *a, const struct y_node *n);

/** Plain conversion, without any knowledge of Compose. From JSON: every node gets `file` and line 0. */
struct json *y_to_json(struct arena *a, const struct y_node *n);
struct y_node *y_from_json(struct arena *a, const struct json *j, const char *file);

/** Error "file:line:column: message" with details file, line, column and, when given, path (which is also the field). */
MUST_CHECK err_t y_error_at(const char *src, int srcline, enum err_code code, const struct y_node *at, const char *path,
                            const char *fmt, ...) PRINTF_LIKE(6, 7);
#define y_error(code, at, path, ...) y_error_at(__FILE__, __LINE__, (code), (at), (path), __VA_ARGS__)
/** The same with a detail "hint": what to do about it. */
MUST_CHECK static inline err_t y_hint(err_t e, const char *hint) { return err_detail(e, "hint", hint); }
