/* Run one box on a pool and park the fiber meanwhile. Private to core/async. */
#pragma once
#include "core/async/work_pool.h"
#include "core/base/err.h"

/** Same contract as work_run. */
MUST_CHECK err_t pool_run(struct work_pool *p, const char *why, void (*run)(void *box), void *box,
                          void (*drop)(void *box), atomic_bool *abort_flag, uint64_t deadline);
/** For pool_init: brings finished jobs back to the loop thread. */
void pool_notify_loop(struct work_pool *p);
/** Hand out what finished; loop thread. */
void pool_drain(struct work_pool *p);
