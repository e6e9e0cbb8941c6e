/* The executor: runs a plan against an engine, independent operations concurrently, phases in order, each operation idempotent.
 * Knows nothing of jobs or the database: what happens is reported through hooks, which may fail (a lost lease stops it). */
#pragma once
#include "core/docker/docker.h"
#include "core/docker/guard.h"
#include "core/docker/image.h"
#include "core/gitops/plan.h"
#include "core/gitops/source.h"

enum op_state { OP_PENDING, OP_RUNNING, OP_SUCCEEDED, OP_FAILED, OP_SKIPPED };
const char *op_state_name(enum op_state s);

struct apply_hooks {
    /** Before an operation runs (OP_RUNNING) and after (the rest). `after` may be NULL. YIELDS; an error stops the deployment. */
    err_t (*on_op)(void *ctx, const struct op *op, enum op_state state, err_t error, const struct json *after);
    /** Before a network is removed: the documents, by name, of all that were and what a failure after an interruption needs to
     * bring them back; NULL before the first container goes that would have to come back with them. What was told last belongs
     * into struct desired.removed_networks of the next attempt. YIELDS; an error stops the deployment. */
    err_t (*on_networks)(void *ctx, const struct json *removed);
    /** One line for the deployment's log. Does not fail. */
    void (*on_log)(void *ctx, const struct op *op, const char *level, const char *line);
    void (*on_progress)(void *ctx, const struct op *op, const char *text, int64_t done, int64_t total);
    /** Credentials for an image reference; NULL when there are none. */
    const struct registry_auth *(*registry_auth)(void *ctx, const char *ref);
    void *ctx;
};
struct apply_conf {
    struct docker *docker;
    const struct plan *plan;
    const struct source_conf *source; /* for build contexts */
    const struct guard_rights *rights;
    const char *deployment_id;
    size_t max_parallel; /* default 8 */
    uint64_t deadline;   /* of the whole deployment */
    struct apply_hooks hooks;
};
/** YIELDS. NULL when every operation succeeded. On failure or cancel: nothing new is started, running waits and transfers are
 * cancelled, other running operations end; then what was replaced but not yet confirmed is put back (old container renamed
 * back and started, new one removed) before the error is returned. *ret_images: {service: {"ref","id"}}. */
MUST_CHECK err_t apply_plan(struct arena *a, const struct apply_conf *conf, struct json **ret_images);
