/* Fibers: stackful tasks on the loop (boost.context). Straight-line code; calls marked YIELDS may park the fiber.
 * Cancelling is an error that travels up: every park returns ERR_CANCELLED once fiber_cancel was called, until the
 * function has returned (shield with fiber_mask for clean-up that must finish). Nobody frees a parked fiber. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/err.h"

struct fiber;
typedef err_t fiber_fn(void *arg);

/** Queue a fiber; it never runs inline but after the current read batch. `a` (referenced) becomes arena_current() inside;
 * NULL gives it a fresh arena. `name` is copied (63 bytes). The handle is valid until joined or detached. */
struct fiber *fiber_spawn(const char *name, struct arena *a, fiber_fn *fn, void *arg);
/** Fire and forget: like spawn + detach; an error result is given to the hook set by fiber_set_error_hook (logging). */
void fiber_spawn_detached(const char *name, struct arena *a, fiber_fn *fn, void *arg);
void fiber_detach(struct fiber *f);
/** Ask it to stop. Idempotent; only queues a wake-up. */
void fiber_cancel(struct fiber *f);
/** YIELDS until it ended; returns its error (duplicated into arena_current()) and frees the handle. If the *joiner* is
 * cancelled meanwhile it cancels f and still waits for it. */
MUST_CHECK err_t fiber_join(struct fiber *f);
bool fiber_ended(const struct fiber *f);
struct fiber *fiber_self(void); /* NULL on the loop stack */
bool fiber_on_fiber(void);
/** ERR_CANCELLED if cancelled, else NULL: call in long loops without a YIELD. */
MUST_CHECK err_t fiber_check(void);
/** YIELDS one turn so that others run. */
MUST_CHECK err_t fiber_yield(void);
/** YIELDS. ERR_CANCELLED early. */
MUST_CHECK err_t fiber_sleep(uint64_t ms);
/** While masked (nests) neither cancel nor the fiber's default deadline is delivered: for compensation that must complete.
 * Keep it short and give each call in it a deadline of its own. */
void fiber_mask(void);
void fiber_unmask(void);
/** Default deadline of the running fiber (absolute ms): every park is also bounded by it -> ERR_TIMEOUT. Returns the old one. */
uint64_t fiber_set_deadline(uint64_t deadline);
uint64_t fiber_deadline(void);
/** Short id for logs; a request id string attached by the edge (copied, 63 bytes), inherited by spawned children. */
uint64_t fiber_id(void);
void fiber_set_label(const char *label);
const char *fiber_label(void);

/** core/async and drivers only: park until fiber_wake, deadline (ERR_TIMEOUT) or cancel (ERR_CANCELLED). `why` is a static
 * string shown in /debug/fibers. Wake-ups may be spurious: callers loop on a predicate. */
MUST_CHECK err_t fiber_park(const char *why, uint64_t deadline);
void fiber_wake(struct fiber *f); /* from the loop thread; idempotent until it runs */

void fiber_set_error_hook(void (*hook)(const char *name, err_t e));
/** Called on the loop stack when a fiber ran longer than 20 ms without yielding: it held everybody else up. */
void fiber_set_slow_hook(void (*hook)(const char *name, const char *label, uint64_t ran_us));
struct fiber_stats {
    uint64_t live, parked, spawned, stacks_cached, switches;
    uint64_t arena_peak_max; /* largest arena any ended fiber had */
};
struct fiber_stats fiber_stats_get(void);
/** JSON array of every live fiber: id, name, label, state, why, age ms, parked ms, deadline. */
void fiber_dump_json(struct buf *out);
/** Cancel all fibers but the caller and wait (YIELDS) until none is left or the deadline passes; returns how many remain. */
size_t fiber_cancel_all(uint64_t deadline);
