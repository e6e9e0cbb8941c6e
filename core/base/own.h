/* Ownership helpers: AUTO() runs `<type>_autofree` when a scope ends, TAKE() moves out of it.
 * Safe inside fibers because a fiber is always unwound, never dropped while parked. */
#pragma once
#include <stddef.h>

#define DF_CLEANUP(fn) __attribute__((cleanup(fn)))

/** Declare how AUTO(name) ends: DF_AUTO_DEFINE(docker_stream, struct docker_stream *, docker_stream_free). */
#define DF_AUTO_DEFINE(name, type, free_fn)                                                                            \
    static inline void name##_autofree(type *p) {                                                                      \
        if (*p)                                                                                                        \
            free_fn(*p);                                                                                               \
    }                                                                                                                  \
    typedef type name##_auto_t

/** `AUTO(docker_stream) s = docker_stream_new(d);` frees s at scope end unless TAKE(s)n. */
#define AUTO(name) DF_CLEANUP(name##_autofree) name##_auto_t

/** Move a pointer out of its variable: the variable becomes NULL. */
#define TAKE(p)                                                                                                        \
    __extension__({                                                                                                    \
        __typeof__(p) taken_ = (p);                                                                                    \
        (p) = NULL;                                                                                                    \
        taken_;                                                                                                        \
    })

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define KIB(n) ((size_t)(n) << 10)
#define MIB(n) ((size_t)(n) << 20)
#define UNUSED __attribute__((unused))
#define CONTAINER_OF(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))
