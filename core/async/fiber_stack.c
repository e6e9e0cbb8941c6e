#include "core/async/fiber_stack.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "core/base/check.h"
#include "core/base/own.h"
#if DF_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/lsan_interface.h>
#endif
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(a, b) 0
#define VALGRIND_STACK_DEREGISTER(id) ((void)(id))
#define RUNNING_ON_VALGRIND 0
#endif

enum {
    GUARD_SIZE = 64 * 1024, /* libraries built without stack probes may jump over a single page */
    STACK_SIZE = (DF_ASAN ? 1024 : 256) * 1024,
    KEEP_TOP = 32 * 1024, /* stays resident in a recycled stack */
    MARK_WORDS = 8,
    CACHE_MAX = 512,
    CACHE_WARM = 128, /* beyond this many cached stacks nothing stays resident */
};
static const uint64_t MARK = 0x5DF1BE55DF1BE55DULL;

static struct fiber_stack *cache;
static size_t ncached;

static char *mark_area(const struct fiber_stack *s) { return s->base + s->size - KEEP_TOP - 4096; }

/* Words spread over the page under the watermark tell at recycling whether a fiber went deeper than that: asking the
 * kernel instead (mincore) would cost a system call per fiber. */
static void mark_set(struct fiber_stack *s) {
    if (RUNNING_ON_VALGRIND || DF_ASAN)
        return;
    char *p = mark_area(s);
    for (size_t i = 0; i < MARK_WORDS; i++)
        memcpy(p + i * (4096 / MARK_WORDS), &MARK, sizeof(MARK));
}

static bool mark_intact(const struct fiber_stack *s) {
    if (RUNNING_ON_VALGRIND || DF_ASAN)
        return true;
    const char *p = mark_area(s);
    for (size_t i = 0; i < MARK_WORDS; i++) {
        if (memcmp(p + i * (4096 / MARK_WORDS), &MARK, sizeof(MARK)) != 0)
            return false;
    }
    return true;
}

static struct fiber_stack *stack_map(void) {
    struct fiber_stack *s = calloc(1, sizeof(*s));
    CHECK(s != NULL);
    char *p = mmap(NULL, GUARD_SIZE + STACK_SIZE, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    CHECK(p != MAP_FAILED);
    CHECK(mprotect(p, GUARD_SIZE, PROT_NONE) == 0);
    s->base = p + GUARD_SIZE;
    s->size = STACK_SIZE;
    s->valgrind_id = VALGRIND_STACK_REGISTER(s->base, s->base + s->size);
#if DF_ASAN
    __lsan_register_root_region(s->base, s->size); /* parked stacks are not scanned otherwise: false leaks */
#endif
    mark_set(s);
    return s;
}

static void stack_unmap(struct fiber_stack *s) {
#if DF_ASAN
    __asan_unpoison_memory_region(s->base, s->size);
    __lsan_unregister_root_region(s->base, s->size);
#endif
    VALGRIND_STACK_DEREGISTER(s->valgrind_id);
    CHECK(munmap(s->base - GUARD_SIZE, GUARD_SIZE + s->size) == 0);
    free(s);
}

struct fiber_stack *fiber_stack_get(void) {
    struct fiber_stack *s = cache;
    if (s == NULL)
        return stack_map();
    cache = s->next;
    ncached--;
    s->next = NULL;
#if DF_ASAN
    __asan_unpoison_memory_region(s->base, s->size);
#endif
    return s;
}

void fiber_stack_put(struct fiber_stack *s) {
    if (ncached >= CACHE_MAX) {
        stack_unmap(s);
        return;
    }
#if DF_ASAN
    __asan_unpoison_memory_region(s->base, s->size);
#endif
    bool cold = ncached >= CACHE_WARM;
    if (cold || !mark_intact(s)) {
        (void)madvise(s->base, cold ? s->size : s->size - KEEP_TOP, MADV_DONTNEED);
        mark_set(s);
    }
    s->next = cache;
    cache = s;
    ncached++;
}

size_t fiber_stack_cached(void) { return ncached; }

void fiber_stack_free_cache(void) {
    while (cache != NULL) {
        struct fiber_stack *s = cache;
        cache = s->next;
        stack_unmap(s);
    }
    ncached = 0;
}

bool fiber_stack_in_guard(const struct fiber_stack *s, const void *addr) {
    const char *p = addr;
    return p >= s->base - GUARD_SIZE && p < s->base;
}

/* ---- overflow report ---- */

static struct {
    bool installed;
    struct sigaction old_segv, old_bus;
    const struct fiber_stack *(*running)(void);
    void (*report)(const char *headline);
    char *alt;
} O;

static void on_fault(int sig, siginfo_t *info, void *ctx) {
    (void)ctx;
    const struct fiber_stack *s = O.running();
    if (s != NULL && fiber_stack_in_guard(s, info->si_addr))
        O.report("stack overflow");
    /* Hand back to whoever was there (a sanitizer, a crash reporter, the kernel): the instruction faults again. */
    sigaction(sig, sig == SIGBUS ? &O.old_bus : &O.old_segv, NULL);
}

void fiber_stack_watch_overflow(const struct fiber_stack *(*running)(void), void (*report)(const char *headline)) {
    if (O.installed)
        return;
    O.running = running;
    O.report = report;
    stack_t cur;
    CHECK(sigaltstack(NULL, &cur) == 0);
    if (cur.ss_flags & SS_DISABLE) { /* a sanitizer brings its own, and unmaps whatever it finds at exit */
        O.alt = malloc(KIB(64));
        CHECK(O.alt != NULL);
        CHECK(sigaltstack(&(stack_t){.ss_sp = O.alt, .ss_size = KIB(64)}, NULL) == 0);
    }
    struct sigaction sa = {.sa_flags = SA_SIGINFO | SA_ONSTACK};
    sa.sa_sigaction = on_fault;
    sigemptyset(&sa.sa_mask);
    CHECK(sigaction(SIGSEGV, &sa, &O.old_segv) == 0 && sigaction(SIGBUS, &sa, &O.old_bus) == 0);
    O.installed = true;
}

void fiber_stack_unwatch_overflow(void) {
    if (!O.installed)
        return;
    sigaction(SIGSEGV, &O.old_segv, NULL);
    sigaction(SIGBUS, &O.old_bus, NULL);
    if (O.alt != NULL) {
        CHECK(sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL) == 0);
        free(O.alt);
        O.alt = NULL;
    }
    O.installed = false;
}
