/* Stacks for fibers: mmap'ed with a guard below, recycled, trimmed. Private to core/async. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__SANITIZE_ADDRESS__)
#define DF_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define DF_ASAN 1
#endif
#endif
#ifndef DF_ASAN
#define DF_ASAN 0
#endif
#if defined(__SANITIZE_THREAD__)
#define DF_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define DF_TSAN 1
#endif
#endif
#ifndef DF_TSAN
#define DF_TSAN 0
#endif

struct fiber_stack {
    char *base; /* lowest usable address; the guard lies below it */
    size_t size;
    struct fiber_stack *next;
    unsigned valgrind_id;
};
/** Never NULL: out of memory aborts. */
struct fiber_stack *fiber_stack_get(void);
void fiber_stack_put(struct fiber_stack *s);
size_t fiber_stack_cached(void);
void fiber_stack_free_cache(void);
/** Does this address lie in the guard of s? */
bool fiber_stack_in_guard(const struct fiber_stack *s, const void *addr);
/** Install the SIGSEGV/SIGBUS handler on an alternate stack that names the overflown fiber before the usual death. */
void fiber_stack_watch_overflow(const struct fiber_stack *(*running)(void), void (*report)(const char *headline));
void fiber_stack_unwatch_overflow(void);
