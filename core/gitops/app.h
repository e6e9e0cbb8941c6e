/* An application as the reconciler needs it: one row of `applications` with its repository and node, read in one query. */
#pragma once
#include "core/base/json.h"
#include "core/git/git.h"
#include "core/pg/pg.h"

struct sync_policy {
    bool automated, prune, self_heal, allow_empty;
    int64_t retry_limit; /* attempts of an automatic sync per revision, default 5 */
};
struct app {
    const char *id, *name, *org_id, *scope_id, *project_name, *path,
        *revision /* branch, tag, commit; "" = default branch */;
    const char **compose_files;
    size_t n_compose_files;
    const struct json *variables; /* object of strings */
    struct sync_policy policy;
    bool suspended, deleting, maintenance;
    int64_t sync_failures;
    const char *node_id, *node_name, *node_scope; /* NULL: none chosen */
    const char *repo_id, *repo_url, *repo_branch, *repo_auth, *repo_username, *repo_host_key, *repo_tls_ca;
    const char *tried_commit; /* of the last deployment, whatever became of it; NULL = none yet */
    const char *repo_head;    /* where the remote's HEAD was at the last poll; NULL unless an application follows it */
    struct str repo_credentials_sealed; /* bytea text form; n == 0 if none */
    const char *desired_commit, *deployed_commit, *fenced_commit, *last_deployment_id, *sync_status, *health_status;
    int64_t version;
};
/** YIELDS. ERR_NOT_FOUND. */
MUST_CHECK err_t app_load(struct pg *db, struct arena *a, const char *id, struct app **ret);
/** What the last deployment of this application rendered (for causes and rollback); NULL when there is none. YIELDS. */
MUST_CHECK err_t app_last_rendered(struct pg *db, struct arena *a, const struct app *app, const struct json **ret);
