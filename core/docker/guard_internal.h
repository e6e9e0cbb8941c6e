/* Shared by the guard's files: the walk state and the helpers rules are written with. */
#pragma once
#include "core/base/vec.h"
#include "core/docker/guard.h"
#include "core/docker/spec.h"

#define GUARD_MAX_LISTED 256

struct guard {
    struct arena *a;
    const struct guard_rights *rights;
    const struct json *body; /* what pointers point into; NULL when they do not */
    struct guard_violation *first, **tail;
    size_t n;
    VEC(const char *) paths; /* host paths met, canonical */
};
enum guard_type { GT_STR, GT_BOOL, GT_INT, GT_STRS, GT_TEXT, GT_MAP, GT_OBJ, GT_ARR };
typedef void guard_fn(struct guard *g, const char *ptr, const struct json *v);
struct guard_key {
    const char *key;
    enum guard_type type; /* GT_TEXT: string or array of strings; GT_MAP: values are strings */
    guard_fn *fn;         /* further check of a value of the right type; may be NULL */
};
struct guard_table {
    const struct guard_key *keys;
    size_t n;
};
#define GUARD_TABLE(arr) ((struct guard_table){(arr), ARRAY_LEN(arr)})

/** Every key of obj must be in the table and have its type. */
void guard_object(struct guard *g, const char *ptr, const struct json *obj, struct guard_table t);
/** A violation no right allows. */
void guard_deny(struct guard *g, const char *ptr, const char *rule, const char *fmt, ...) PRINTF_LIKE(4, 5);
/** A violation unless the caller has the right. */
void guard_need(struct guard *g, enum guard_right r, const char *ptr, const char *rule, const char *fmt, ...)
    PRINTF_LIKE(5, 6);
const char *guard_ptr(struct guard *g, const char *base, const char *key); /* base/key, escaped */
const char *guard_ptr_i(struct guard *g, const char *base, size_t i);

/* guard_mounts.c */
void guard_host_path(struct guard *g, const char *ptr, struct str path);
void guard_binds(struct guard *g, const char *ptr, const struct json *v);
void guard_mounts(struct guard *g, const char *ptr, const struct json *v);
/** Driver and options of a volume, under the names that this object gives them. */
void guard_volume_driver(struct guard *g, const char *ptr, const struct json *o, const char *driver_key,
                         const char *options_key);
/* guard_host.c */
extern const struct guard_table GUARD_HOST_CONFIG, GUARD_UPDATE_KEYS;
void guard_own_container(struct guard *g, const char *ptr, const char *rule, const char *ref);
/* guard_network.c */
void guard_endpoint(struct guard *g, const char *ptr, const struct json *v);
void guard_network_body(struct guard *g, const struct json *body);
