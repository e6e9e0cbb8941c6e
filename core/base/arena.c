/* Small allocations are bumped out of chunks; large ones (all of them under ARENA_DEBUG) are blocks of their own, so that
 * one big string neither wastes the rest of a chunk nor hides an overflow from a sanitizer. Both lists are newest first,
 * which is what makes a mark four words. */
#include "core/base/arena.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/check.h"

#ifndef ARENA_DEBUG
#define ARENA_DEBUG 0
#endif

#define ARENA_MAGIC 0xa7e4a11cu
#define CHUNK_MIN ((size_t)8192)
#define CHUNK_CLASSES 4 /* 8, 16, 32, 64 KiB */
#define CACHE_BYTES_PER_CLASS (CHUNK_MIN * 32)
#define ALIGN_MAX _Alignof(max_align_t)

struct chunk {
    struct chunk *prev;
    size_t cap; /* bytes after the header */
    unsigned class;
    _Alignas(max_align_t) char data[];
};
struct block {
    struct block *prev;
    size_t bytes; /* as asked from malloc */
};
struct cleanup {
    struct cleanup *prev;
    void (*fn)(void *);
    void *arg;
};
struct arena {
    uint32_t magic;
    atomic_uint refs;
    const char *owner;
    struct chunk *chunk;
    size_t used; /* of chunk */
    struct block *blocks;
    struct cleanup *cleanups;
    size_t total, peak, soft_limit;
    unsigned next_class;
    bool warned;
};

static struct {
    pthread_mutex_t lock;
    struct chunk *free[CHUNK_CLASSES];
    size_t n[CHUNK_CLASSES];
} cache = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Atomic uint64_t stat_live, stat_bytes, stat_created;
static void (*_Atomic limit_hook)(struct arena *, size_t);
static _Thread_local struct arena *current;

static void *must_malloc(size_t n, size_t align) {
    void *p = NULL;
    if (align <= ALIGN_MAX)
        p = malloc(n);
    else if (posix_memalign(&p, align, n) != 0)
        p = NULL;
    CHECK(p != NULL);
    return p;
}

static size_t class_bytes(unsigned class) { return CHUNK_MIN << class; }

static struct chunk *chunk_get(unsigned class) {
    pthread_mutex_lock(&cache.lock);
    struct chunk *c = cache.free[class];
    if (c != NULL) {
        cache.free[class] = c->prev;
        cache.n[class]--;
    }
    pthread_mutex_unlock(&cache.lock);
    if (c == NULL)
        c = must_malloc(class_bytes(class), ALIGN_MAX);
    c->class = class;
    c->cap = class_bytes(class) - sizeof(*c);
    atomic_fetch_add_explicit(&stat_bytes, class_bytes(class), memory_order_relaxed);
    return c;
}

static void chunk_put(struct chunk *c) {
    unsigned class = c->class;
    atomic_fetch_sub_explicit(&stat_bytes, class_bytes(class), memory_order_relaxed);
    pthread_mutex_lock(&cache.lock);
    bool keep = (cache.n[class] + 1) * class_bytes(class) <= CACHE_BYTES_PER_CLASS;
    if (keep) {
        c->prev = cache.free[class];
        cache.free[class] = c;
        cache.n[class]++;
    }
    pthread_mutex_unlock(&cache.lock);
    if (!keep)
        free(c);
}

struct arena *arena_new(const char *owner, size_t soft_limit) {
    struct arena *a = must_malloc(sizeof(*a), ALIGN_MAX);
    *a = (struct arena){.magic = ARENA_MAGIC, .owner = owner != NULL ? owner : "?", .soft_limit = soft_limit};
    atomic_init(&a->refs, 1);
    atomic_fetch_add_explicit(&stat_live, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&stat_created, 1, memory_order_relaxed);
    return a;
}

void arena_set_limit_hook(void (*hook)(struct arena *a, size_t soft_limit)) { atomic_store(&limit_hook, hook); }

struct arena *arena_ref(struct arena *a) {
    CHECK(a != NULL && a->magic == ARENA_MAGIC);
    CHECK(atomic_fetch_add_explicit(&a->refs, 1, memory_order_relaxed) > 0);
    return a;
}

static void run_cleanups(struct arena *a, const struct cleanup *until) {
    /* Popped before the call: a hook may itself allocate, or register hooks, which then run too. */
    while (a->cleanups != until) {
        struct cleanup *c = a->cleanups;
        CHECK(c != NULL);
        a->cleanups = c->prev;
        c->fn(c->arg);
    }
}

static void release_to(struct arena *a, const struct chunk *chunk, size_t used, const struct block *block) {
    while (a->chunk != chunk) {
        struct chunk *c = a->chunk;
        CHECK(c != NULL);
        a->chunk = c->prev;
        chunk_put(c);
    }
    a->used = used;
    while (a->blocks != block) {
        struct block *b = a->blocks;
        CHECK(b != NULL);
        a->blocks = b->prev;
        atomic_fetch_sub_explicit(&stat_bytes, b->bytes, memory_order_relaxed);
        free(b);
    }
}

void arena_unref(struct arena *a) {
    if (a == NULL)
        return;
    CHECK(a->magic == ARENA_MAGIC);
    if (atomic_fetch_sub_explicit(&a->refs, 1, memory_order_acq_rel) != 1)
        return;
    run_cleanups(a, NULL);
    release_to(a, NULL, 0, NULL);
    if (current == a)
        current = NULL;
    a->magic = 0;
    free(a);
    atomic_fetch_sub_explicit(&stat_live, 1, memory_order_relaxed);
}

static void account(struct arena *a, size_t n) {
    a->total += n;
    if (a->total > a->peak)
        a->peak = a->total;
    if (a->soft_limit == 0 || a->total <= a->soft_limit || a->warned)
        return;
    a->warned = true;
    void (*hook)(struct arena *, size_t) = atomic_load(&limit_hook);
    if (hook != NULL)
        hook(a, a->soft_limit);
}

static void *alloc_block(struct arena *a, size_t n, size_t align) {
    size_t head = sizeof(struct block) > align ? sizeof(struct block) : align;
    struct block *b = must_malloc(head + n, align);
    b->prev = a->blocks;
    b->bytes = head + n;
    a->blocks = b;
    atomic_fetch_add_explicit(&stat_bytes, b->bytes, memory_order_relaxed);
    return (char *)b + head;
}

static void *alloc_bump(struct arena *a, size_t n, size_t align) {
    if (a->chunk != NULL) {
        size_t at = (a->used + align - 1) & ~(align - 1);
        if (at + n <= a->chunk->cap) {
            a->used = at + n;
            return a->chunk->data + at;
        }
    }
    struct chunk *c = chunk_get(a->next_class);
    if (a->next_class + 1 < CHUNK_CLASSES)
        a->next_class++;
    c->prev = a->chunk;
    a->chunk = c;
    a->used = n;
    return c->data;
}

void *arena_alloc(struct arena *a, size_t n, size_t align) {
    CHECK(a != NULL && a->magic == ARENA_MAGIC);
    CHECK(align != 0 && (align & (align - 1)) == 0 && align <= 4096);
    CHECK(n < SIZE_MAX / 2);
    if (n == 0)
        n = 1;
    account(a, n);
    if (ARENA_DEBUG || n > CHUNK_MIN / 4 || align > ALIGN_MAX)
        return alloc_block(a, n, align);
    return alloc_bump(a, n, align);
}

void *arena_zalloc(struct arena *a, size_t n) {
    void *p = arena_alloc(a, n, ALIGN_MAX);
    memset(p, 0, n);
    return p;
}

void *arena_zalloc_array(struct arena *a, size_t n, size_t size) {
    size_t bytes;
    CHECK(!__builtin_mul_overflow(n, size, &bytes));
    return arena_zalloc(a, bytes);
}

void *arena_memdup(struct arena *a, const void *p, size_t n) {
    void *copy = arena_alloc(a, n, ALIGN_MAX);
    if (n > 0)
        memcpy(copy, p, n);
    return copy;
}

char *arena_strndup(struct arena *a, const char *s, size_t n) {
    CHECK(n < SIZE_MAX / 2);
    char *copy = arena_alloc(a, n + 1, 1);
    if (n > 0)
        memcpy(copy, s, n);
    copy[n] = 0;
    return copy;
}

char *arena_strdup(struct arena *a, const char *s) { return s == NULL ? NULL : arena_strndup(a, s, strlen(s)); }

char *arena_vprintf(struct arena *a, const char *fmt, va_list ap) {
    char small[256];
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(small, sizeof(small), fmt, ap);
    CHECK(n >= 0);
    char *s = arena_alloc(a, (size_t)n + 1, 1);
    if ((size_t)n < sizeof(small))
        memcpy(s, small, (size_t)n + 1);
    else
        CHECK(vsnprintf(s, (size_t)n + 1, fmt, again) == n);
    va_end(again);
    return s;
}

char *arena_printf(struct arena *a, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    char *s = arena_vprintf(a, fmt, ap);
    va_end(ap);
    return s;
}

struct arena_mark arena_mark(struct arena *a) {
    CHECK(a != NULL && a->magic == ARENA_MAGIC);
    return (struct arena_mark){
        .chunk = a->chunk, .used = a->used, .block = a->blocks, .cleanup = a->cleanups, .total = a->total};
}

void arena_rewind(struct arena *a, struct arena_mark m) {
    CHECK(a != NULL && a->magic == ARENA_MAGIC);
    run_cleanups(a, m.cleanup);
    release_to(a, m.chunk, m.used, m.block);
    a->total = m.total;
}

void arena_on_free(struct arena *a, void (*fn)(void *), void *arg) {
    struct cleanup *c = arena_alloc(a, sizeof(*c), _Alignof(struct cleanup));
    *c = (struct cleanup){.prev = a->cleanups, .fn = fn, .arg = arg};
    a->cleanups = c;
}

size_t arena_used(const struct arena *a) { return a->total; }
size_t arena_peak(const struct arena *a) { return a->peak; }
const char *arena_owner(const struct arena *a) { return a->owner; }

struct arena *arena_current(void) {
    return current;
}

struct arena *arena_set_current(struct arena *a) {
    struct arena *old = current;
    current = a;
    return old;
}

struct arena_stats arena_stats_get(void) {
    return (struct arena_stats){.live = atomic_load_explicit(&stat_live, memory_order_relaxed),
                                .bytes = atomic_load_explicit(&stat_bytes, memory_order_relaxed),
                                .created = atomic_load_explicit(&stat_created, memory_order_relaxed)};
}
