/* The one loop of the process. Everything here and below runs on the loop thread unless it says otherwise.
 * Loop stack = plain libuv callbacks (never park there); fiber stack = code started by fiber_spawn. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "core/base/clock.h"
#include "core/base/err.h"

struct uv_loop_s;
/** Create the process loop, fiber scheduler and work lanes; main calls it once. */
void loop_init(void);
/** Run until loop_stop(); then the caller shuts things down and calls loop_fini. */
void loop_run(void);
/** Run until fn (as a fiber) has ended; returns its error (valid until the next call). For tests and one-shot commands. */
err_t loop_run_fiber(const char *name, err_t (*fn)(void *arg), void *arg);
void loop_stop(void);
/** Closes handles of core/async; in debug builds aborts naming any handle left open. */
void loop_fini(void);
struct uv_loop_s *loop_uv(void);
/** Cached loop time, ms, same clock as clock_mono_ms(). */
uint64_t loop_now(void);
bool loop_on_thread(void); /* is this the loop thread */

/** Run cb(arg) on the loop stack after the current read batch (next uv_check). Loop thread only. */
struct deferred {
    void (*cb)(void *arg);
    void *arg;
    struct deferred *next;
    bool queued;
};
void loop_defer(struct deferred *d, void (*cb)(void *arg), void *arg);
void loop_defer_cancel(struct deferred *d);
/** Run cb(arg) on the loop stack from any thread; malloc'ed queue, never blocks. */
void loop_post(void (*cb)(void *arg), void *arg);

/** Timer on the loop stack; embed it, init once, start/stop any number of times; timer_close before the memory goes
 * (closing is asynchronous: the internals live in their own heap block). */
struct timer {
    struct timer_impl *impl;
};
void timer_init(struct timer *t, void (*cb)(void *arg), void *arg);
void timer_start(struct timer *t, uint64_t after_ms, uint64_t repeat_ms);
void timer_stop(struct timer *t);
void timer_close(struct timer *t);

/** Loop lag in microseconds over the last second / max since start, for metrics. */
struct loop_stats {
    uint64_t lag_last_us, lag_max_us, iterations;
};
struct loop_stats loop_stats_get(void);
/** After each turn, with the time it was busy. Must be cheap. NULL = none. */
void loop_set_turn_hook(void (*fn)(uint64_t busy_us));

/** Start a thread that aborts the process (after naming the running fiber on stderr) when the loop has not turned for
 * `seconds`. Once, after loop_init; loop_fini stops it. */
void loop_watchdog_start(unsigned seconds);
