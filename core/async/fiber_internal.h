/* The fiber object, for fiber.c, fiber_switch.c, fiber_timer.c and fiber_dump.c. */
#pragma once
#include "core/async/fiber.h"
#include "core/async/fiber_stack.h"
#include "core/base/list.h"

enum { FIBER_MAGIC = 0xF1BE4001, FIBER_NAME_MAX = 63 };
enum fiber_state { FIBER_NEW, FIBER_READY, FIBER_RUNNING, FIBER_PARKED, FIBER_ENDED };

/* boost.context 1.74, whose own header is C++ */
typedef void *fcontext_t;
struct fiber_transfer {
    fcontext_t fctx;
    void *data;
};

struct fiber {
    uint32_t magic;
    enum fiber_state state;
    uint64_t id;
    char name[FIBER_NAME_MAX + 1], label[FIBER_NAME_MAX + 1];
    fiber_fn *fn;
    void *arg;
    struct arena *arena;   /* own reference, kept until the result was collected */
    struct arena *current; /* what arena_current() was when it parked */
    err_t result;
    struct fiber *joiner;
    struct list all, ready;
    struct fiber_stack *stack;
    fcontext_t fctx;
    void *asan_fake_stack, *tsan_fiber;
    const char *why;
    uint64_t deadline;      /* fiber_set_deadline */
    uint64_t park_deadline; /* of the park in progress */
    size_t heap_at;         /* 1-based place in the deadline heap, 0 = not in it */
    uint64_t born_ms, parked_ms;
    unsigned masked;
    bool cancelled, detached, timed_out, wake_pending;
};

/* fiber_switch.c */
/** Run f on its stack until it parks, yields or ends. Loop stack only. */
void fiber_switch_in(struct fiber *f);
/** Back to the loop stack; returns when switched in again. */
void fiber_switch_out(struct fiber *f);
/** Prepare a stack so that the first switch_in calls fiber_main(f). */
void fiber_switch_prepare(struct fiber *f);
/** Body of a fiber: runs fn and marks the end; called on the fiber's stack. */
void fiber_main(struct fiber *f);

/* fiber_timer.c: one heap of deadlines, one uv_timer */
void fiber_timer_init(void);
void fiber_timer_fini(void);
void fiber_timer_add(struct fiber *f);
void fiber_timer_del(struct fiber *f);

/* fiber.c */
void fiber_timed_out(struct fiber *f);
struct list *fiber_all(void);
