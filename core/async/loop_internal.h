/* What the files of core/async share about the loop; nobody else includes this. */
#pragma once
#include <stdbool.h>
#include <uv.h>

/** Make the next turn run without sleeping: something is ready that no file descriptor announces. */
void loop_kick(void);
/** Run ready fibers, a bounded number. */
void fiber_run_ready(void);
bool fiber_any_ready(void);
void fiber_init(void);
/** Cancel what still lives and let it unwind, a bounded time. Loop stack. */
void fiber_drain(void);
void fiber_fini(void);
/** Print who runs right now to stderr; async-signal-safe and callable from another thread. */
void fiber_report_running(const char *headline);
void loop_watchdog_fini(void);
void work_drain_done(void);
void dns_fini(void);
