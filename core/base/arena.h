/* Arena: memory of one unit of work (a request, a job), freed as a whole. One thread at a time.
 * ARENA_DEBUG=1 (asan preset) turns every allocation into a malloc so that use-after-rewind is seen. */
#pragma once
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core/base/own.h"

struct arena;
struct arena_mark {
    void *chunk;
    size_t used;
    void *block;
    void *cleanup;
    size_t total;
};

/** New arena with one reference. `owner` (static string) shows in metrics; above `soft_limit` bytes (0 = none) a
 * warning hook fires once. Allocation never fails: out of memory aborts. */
struct arena *arena_new(const char *owner, size_t soft_limit);
/** Process-wide: what to do when an arena grows past its soft limit (log it). The hook must not allocate from `a`. */
void arena_set_limit_hook(void (*hook)(struct arena *a, size_t soft_limit));
struct arena *arena_ref(struct arena *a);
/** Drop a reference; the last one runs the on_free hooks (newest first) and frees everything. NULL is fine. */
void arena_unref(struct arena *a);
DF_AUTO_DEFINE(arena, struct arena *, arena_unref);

void *arena_alloc(struct arena *a, size_t n, size_t align); /* uninitialised; n 0 gives a unique address */
void *arena_zalloc(struct arena *a, size_t n);              /* zeroed, max alignment */
#define arena_new_obj(a, type) ((type *)arena_zalloc((a), sizeof(type)))
#define arena_new_array(a, type, n) ((type *)arena_zalloc_array((a), (n), sizeof(type)))
void *arena_zalloc_array(struct arena *a, size_t n, size_t size); /* aborts on overflow */
void *arena_memdup(struct arena *a, const void *p, size_t n);
char *arena_strdup(struct arena *a, const char *s); /* NULL stays NULL */
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
char *arena_vprintf(struct arena *a, const char *fmt, va_list ap);

/** Mark/rewind: everything allocated (and hooked) since the mark is released; hooks registered since run. */
struct arena_mark arena_mark(struct arena *a);
void arena_rewind(struct arena *a, struct arena_mark m);
/** Run fn(arg) when the arena is freed or rewound past this point. */
void arena_on_free(struct arena *a, void (*fn)(void *), void *arg);

size_t arena_used(const struct arena *a);
size_t arena_peak(const struct arena *a);
const char *arena_owner(const struct arena *a);

/** The running fiber's arena (set at each fiber switch), or the one set by arena_set_current on this thread; NULL if none. */
struct arena *arena_current(void);
/** Returns the previous one. Thread local. */
struct arena *arena_set_current(struct arena *a);

/** Process-wide figures for metrics. */
struct arena_stats {
    uint64_t live, bytes, created;
};
struct arena_stats arena_stats_get(void);
