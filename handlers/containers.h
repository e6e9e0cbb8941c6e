/* Shared by the files of the containers area. */
#pragma once
#include "core/async/fiber.h"
#include "core/docker/stream.h"
#include "core/fleet/fleet.h"
#include "handlers/app.h"

/** What resolve_container leaves in r->resource; r->scope_id is where rights over it count. */
struct seen_container {
    const char *id, *name, *node_id, *app_id;
};
err_t resolve_container(struct request *r);
/** API form of a row of the index, with its application. */
void container_json(struct jw *w, struct arena *a, const struct fleet_container *c);
/** RFC 3339, or seconds (milliseconds) since 1970; NULL or "" gives 0. */
MUST_CHECK err_t log_time(const char *z, const char *field, int64_t *ret_ns);
err_t container_logs_sse(struct request *r, struct reply *out); /* ws_logs.c */
