/* Private to core/gitops. */
#pragma once
#include "core/async/fiber.h"
#include "core/async/wait.h"
#include "core/base/check.h"
#include "core/base/id.h"
#include "core/base/map.h"
#include "core/bus/bus.h"
#include "core/docker/docker.h"
#include "core/gitops/apply.h"
#include "core/gitops/gitops.h"
#include "core/gitops/observe.h"
#include "core/gitops/source.h"
#include "core/obs/log.h"

#define JOB_POLL "repository.poll"
#define JOB_REFRESH "application.refresh"
#define JOB_SYNC "application.sync"
#define JOB_DELETE "application.delete"

struct cached_desired {
    struct arena *a;
    struct desired *want;
    struct app *app;
    int64_t app_version;
    const char *sha;
};
struct gitops {
    struct gitops_conf conf;
    struct pg *db;
    const struct keyring *keys;
    struct fleet *fleet;
    struct jobs *jobs;
    struct fleet_sub *sub;
    struct fiber *scheduler, *drift;
    struct map dirty; /* application ids that events touched */
    struct cond dirty_cond;
    struct map cache; /* application id -> struct cached_desired */
};

/** YIELDS. Remote of a repository with its credential opened. */
MUST_CHECK err_t repo_remote(struct gitops *g, struct arena *a, const struct app *app, struct git_remote_conf *ret);
const char *repo_mirror(struct gitops *g, struct arena *a, const char *repo_id);
/** YIELDS. Which commit an application (or an explicit revision) means now; fetches what is missing. `offline`: only the mirror. */
MUST_CHECK err_t resolve_commit(struct gitops *g, struct arena *a, const struct app *app, const char *revision,
                                bool offline, struct git_commit *ret);
/** YIELDS. Desired state of a commit. Cached per application for the commit last compared. */
MUST_CHECK err_t desired_of(struct gitops *g, struct arena *a, const struct app *app, const char *sha,
                            struct desired **ret);
MUST_CHECK err_t desired_cached(struct gitops *g, const char *app_id, struct app **ret_app, struct desired **ret);
void cache_drop(struct gitops *g, const char *app_id);

/** YIELDS. Observed containers whose application does not exist any more belong to nobody. */
MUST_CHECK err_t disown_orphans(struct gitops *g, struct arena *a, const struct desired *want, struct observed *have);

/** YIELDS. What runs on the node now, asked of the engine itself. */
MUST_CHECK err_t observe_now(struct gitops *g, struct arena *a, const char *node_id, const struct desired *want,
                             struct observed **ret);

/** YIELDS. Let a comparison run (soon); one that waits already is taken. An application that is gone by then is fine. */
MUST_CHECK err_t enqueue_refresh(struct pg *tx, const char *app_id, uint64_t delay_ms);

struct status {
    const char *sync, *health;
    struct json *reasons;
    bool drifted; /* what runs is not what it was measured against */
};
/** Pure: from the plan and what runs. */
void status_of(struct arena *a, const struct plan *plan, const struct observed *have, struct status *ret);
/** YIELDS. Writes the status (and an error) of an application and tells about it, when it is another one. */
MUST_CHECK err_t status_save(struct gitops *g, struct arena *a, const struct app *app, const struct status *s,
                             const char *desired, err_t error);
struct json *error_json(struct arena *a, err_t e);
/** In a transaction: application.status event from the row as it is now. */
MUST_CHECK err_t publish_app(struct pg *tx, struct arena *a, const char *app_id, const char *scope_id);

/** YIELDS. Applications of the manifests in a commit of the default branch that the mirror has. What is wrong with them is recorded
 * in the repository's row. */
MUST_CHECK err_t manifests_apply(struct gitops *g, struct job *job, const char *repo_id, const char *sha);
/** YIELDS. The file libgit2 reads a private authority from; made when it is missing or old. */
MUST_CHECK err_t repo_ca_file(struct gitops *g, struct arena *a, const struct app *app, const char **ret);
/** YIELDS. Who started the job, after a check that he still has the permission: ERR_AUTHZ_REVOKED. NULL: the platform itself. */
MUST_CHECK err_t gitops_person(struct gitops *g, struct job *job, const char *permission, const char *scope_id,
                               const struct principal **ret);
err_t job_poll(struct job *job, void *arg);
err_t job_refresh(struct job *job, void *arg);
err_t job_sync(struct job *job, void *arg);
err_t job_delete(struct job *job, void *arg);
/** What a poll and the comparisons that follow from it carry: offline, and what made us look. */
const char *trigger_payload(const char *trigger);
/** YIELDS. Compare now, write the status, sync when the policy says so. */
MUST_CHECK err_t refresh_app(struct gitops *g, const char *app_id, bool offline, const char *trigger);
