/* The context switch and what tools must be told about it. Fibers only ever switch to and from the loop stack. */
#include <stdlib.h>
#include "core/async/fiber_internal.h"
#include "core/base/check.h"
#if DF_ASAN
#include <sanitizer/common_interface_defs.h>
#endif
#if DF_TSAN
#include <sanitizer/tsan_interface.h>
#endif

/* Hidden so that a copy inside another library can never be bound instead. */
struct fiber_transfer jump_fcontext(fcontext_t to, void *vp);
fcontext_t make_fcontext(void *sp, size_t size, void (*fn)(struct fiber_transfer));

static struct {
    fcontext_t loop_ctx;
    void *loop_fake_stack;
    const void *loop_bottom;
    size_t loop_size;
    void *loop_tsan;
} S;

/* ThreadSanitizer keeps one history per fiber, as for a thread; switching orders what they do, since all run on the loop. */
static void tsan_enter(struct fiber *f) {
#if DF_TSAN
    if (f->tsan_fiber == NULL)
        f->tsan_fiber = __tsan_create_fiber(0);
    S.loop_tsan = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(f->tsan_fiber, 0);
#else
    (void)f;
#endif
}

static void tsan_leave(void) {
#if DF_TSAN
    __tsan_switch_to_fiber(S.loop_tsan, 0);
#endif
}

/* On the loop's stack, when the fiber has ended. */
static void tsan_forget(struct fiber *f) {
#if DF_TSAN
    __tsan_destroy_fiber(f->tsan_fiber);
    f->tsan_fiber = NULL;
#else
    (void)f;
#endif
}

static void enter(struct fiber_transfer t) {
    struct fiber *f = t.data;
#if DF_ASAN
    __sanitizer_finish_switch_fiber(NULL, &S.loop_bottom, &S.loop_size);
#endif
    S.loop_ctx = t.fctx;
    fiber_main(f);
#if DF_ASAN
    __sanitizer_start_switch_fiber(NULL, S.loop_bottom, S.loop_size); /* NULL: the fake stack dies with the fiber */
#endif
    tsan_leave();
    jump_fcontext(S.loop_ctx, NULL);
    abort(); /* returning from here would end the process silently */
}

void fiber_switch_prepare(struct fiber *f) {
    f->stack = fiber_stack_get();
    f->fctx = make_fcontext(f->stack->base + f->stack->size, f->stack->size, enter);
}

void fiber_switch_in(struct fiber *f) {
    struct arena *outer = arena_set_current(f->current);
#if DF_ASAN
    __sanitizer_start_switch_fiber(&S.loop_fake_stack, f->stack->base, f->stack->size);
#endif
    tsan_enter(f);
    struct fiber_transfer t = jump_fcontext(f->fctx, f);
    if (t.data == NULL)
        tsan_forget(f);
#if DF_ASAN
    __sanitizer_finish_switch_fiber(S.loop_fake_stack, NULL, NULL);
#endif
    f->fctx = t.fctx;
    f->current = arena_set_current(outer);
}

void fiber_switch_out(struct fiber *f) {
#if DF_ASAN
    __sanitizer_start_switch_fiber(&f->asan_fake_stack, S.loop_bottom, S.loop_size);
#endif
    tsan_leave();
    struct fiber_transfer t = jump_fcontext(S.loop_ctx, f);
#if DF_ASAN
    __sanitizer_finish_switch_fiber(f->asan_fake_stack, &S.loop_bottom, &S.loop_size);
#endif
    S.loop_ctx = t.fctx;
}
