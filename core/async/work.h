/* Work lanes: bounded thread pools for what blocks. A box is malloc'ed, owns all its data and never touches arenas,
 * fibers or the loop. run() executes on a worker thread; a cancelled or timed-out waiter abandons the box and the pool
 * calls drop(box) (NULL = free) after run() returned, or at once if it never ran.
 * Who owns the box after work_run: NULL or ERR_BUSY = the caller; ERR_TIMEOUT or ERR_CANCELLED = the pool. */
#pragma once
#include <stdatomic.h>
#include "core/base/err.h"

enum work_lane { WORK_GIT, WORK_HASH, WORK_FILE, WORK_GENERAL, WORK_LANES };
/** YIELDS. ERR_BUSY when the lane's queue is full (drop not called, caller keeps the box), ERR_TIMEOUT/ERR_CANCELLED when
 * the waiter gave up (box is the pool's). `abort_flag` (may be NULL, inside the box) is set on abandonment. */
MUST_CHECK err_t work_run(enum work_lane lane, void (*run)(void *box), void *box, void (*drop)(void *box),
                          atomic_bool *abort_flag, uint64_t deadline);
struct work_stats {
    const char *name;
    size_t threads, busy, queued, max_queue;
    uint64_t done, abandoned, refused;
};
struct work_stats work_stats_get(enum work_lane lane);
void work_init(void); /* called by loop_init; threads start lazily */
void work_fini(void); /* waits for running boxes */
