/* GitOps: repositories are watched, applications compared with what runs, differences deployed. All long work is a job:
 *   repository.poll      key repo:<id>  ls-remote, fetch, wake the applications of refs that moved
 *   application.refresh  key app:<id>   compare; may enqueue a sync when the policy says so
 *   application.sync     key app:<id>   resolve -> render -> observe -> plan -> execute -> health gate -> record
 *   application.delete   key app:<id>   remove containers and networks, then the row */
#pragma once
#include "core/crypto/crypto.h"
#include "core/docker/guard.h"
#include "core/fleet/fleet.h"
#include "core/gitops/app.h"
#include "core/gitops/plan.h"
#include "core/jobs/jobs.h"

struct gitops;
struct principal;
/** What a person may who asked for work, as it is when the work runs. All NULL: nobody is asked (tests). */
struct gitops_rights {
    /** YIELDS. Who that is now, narrowed as the API token is. ERR_AUTHZ_REVOKED when person or token are not valid any more. */
    err_t (*person)(void *ctx, struct arena *a, const struct job_origin *by, const struct principal **ret);
    bool (*may)(void *ctx, const struct principal *who, const char *permission, const char *scope_id);
    /** Which dangerous engine options at that scope (guard.h). */
    uint32_t (*guard)(void *ctx, const struct principal *who, const char *scope_id);
    void *ctx;
};
struct gitops_conf {
    const char *data_dir;            /* mirrors live in <data_dir>/git */
    bool allow_local;                /* development: local paths and http:// */
    uint64_t resync_s;               /* full comparison of everything, default 600 */
    int64_t history_limit;           /* deployments kept per application, default 50 */
    size_t max_parallel;             /* operations of one deployment at a time, default 8 */
    uint64_t deploy_timeout_s;       /* default 1800 */
    const char *const *forbid_paths; /* host paths never mounted: our data directory */
    size_t n_forbid_paths;
    struct gitops_rights rights;
};
struct gitops *gitops_new(const struct gitops_conf *conf, struct pg *db, const struct keyring *keys,
                          struct fleet *fleet, struct jobs *jobs);
void gitops_register(struct gitops *g); /* job kinds; before jobs_start */
void gitops_start(struct gitops *g);    /* scheduler and drift watch; after the database is ready */
void gitops_stop(struct gitops *g);     /* YIELDS */
void gitops_free(struct gitops *g);

struct sync_options {
    const char *revision; /* branch, tag, commit; NULL = the application's */
    bool prune, force;    /* in addition to the policy */
    bool adopt;           /* take over containers another tool made under the project's name */
    const char *const *services;
    size_t n_services;
    const char *rollback_to; /* deployment id */
    const char *trigger;     /* manual api webhook poll self-heal rollback */
};
/** YIELDS. In the caller's transaction. `by` NULL: the platform itself. */
MUST_CHECK err_t gitops_sync(struct gitops *g, struct pg *tx, const struct app *app, const struct sync_options *o,
                             const struct job_origin *by, const char *request_id, struct uuid_text *ret_job);
MUST_CHECK err_t gitops_refresh(struct gitops *g, struct pg *tx, const char *app_id, const char *scope_id,
                                const struct job_origin *by, struct uuid_text *ret_job);
MUST_CHECK err_t gitops_delete(struct gitops *g, struct pg *tx, const struct app *app, const struct job_origin *by,
                               struct uuid_text *ret_job);
/** `trigger` of what follows from it: "poll" or "webhook". */
MUST_CHECK err_t gitops_poll(struct gitops *g, struct pg *tx, const char *repo_id, const char *scope_id,
                             const char *trigger, struct uuid_text *ret_job);
/** YIELDS. Dry run: the plan of a sync with these options, against the engine as it is now. */
MUST_CHECK err_t gitops_plan(struct gitops *g, struct arena *a, const char *app_id, const struct sync_options *o,
                             struct json **ret_plan);
/** YIELDS. Resource tree of an application: {"nodes":[...]}; containers from the index. */
MUST_CHECK err_t gitops_resources(struct gitops *g, struct arena *a, const char *app_id, struct json **ret);
/** YIELDS. {"services":[{name, changes:[...]}]}: field differences between the last deployment and the desired commit. */
MUST_CHECK err_t gitops_diff(struct gitops *g, struct arena *a, const char *app_id, struct json **ret);
/** YIELDS. {"rendered":canonical project,"commit","files":[{path,content}]}: what the desired commit renders to, and from what. */
MUST_CHECK err_t gitops_manifest(struct gitops *g, struct arena *a, const char *app_id, struct json **ret);
/** YIELDS. Does the remote answer with these credentials? *ret_oid of `ref` (NULL = HEAD), in `a`. */
MUST_CHECK err_t gitops_repo_test(struct gitops *g, struct arena *a, const char *repo_id, const char *ref,
                                  const char **ret_oid);
/** The repository is gone: its mirror goes too, in the background. */
void gitops_repo_forget(struct gitops *g, const char *repo_id);
/** In-process comparison without a database write, for benchmarks: sync status text. YIELDS when the desired state is not cached. */
MUST_CHECK err_t gitops_compare(struct gitops *g, struct arena *a, const char *app_id, const char **ret_status);
