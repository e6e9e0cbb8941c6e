/* Shared by the files of the tasks area. */
#pragma once
#include "core/base/buf.h"
#include "handlers/app.h"

/** What resolve_task leaves in r->resource. */
struct seen_task {
    const char *id, *kind, *state;
};
err_t resolve_task(struct request *r);
/** YIELDS. Lines after `after` as a JSON array, at most `limit`. */
MUST_CHECK err_t task_log(struct pg *db, struct arena *a, const char *id, int64_t after, int64_t limit, struct buf *out,
                          int64_t *ret_last, size_t *ret_n);
