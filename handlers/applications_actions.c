/* What applications do: sync, compare, roll back; and what people look at before: plan, diff, resources, manifest. */
#include "handlers/applications.h"
#include "handlers/env_mask.h"
#include "handlers/list.h"
#include "handlers/runtime.h"
#include "handlers/tables.h"

/* ---- sync ---- */

struct action {
    const struct seen_application *app;
    struct sync_options o;
    const char *details;
    struct uuid_text job;
};

static err_t options_of(struct request *r, const struct json *body, struct sync_options *o) {
    const struct json *services = json_get(body, "services");
    *o = (struct sync_options){.revision = json_get_str(body, "revision"),
                               .prune = json_get_bool(body, "prune", false),
                               .force = json_get_bool(body, "force", false),
                               .adopt = json_get_bool(body, "adopt", false),
                               .trigger = r->who->token_id ? "api" : "manual"};
    if (o->revision && *o->revision == '\0')
        o->revision = NULL;
    if (o->revision && !git_ref_valid(o->revision))
        return err_field(err_new(ERR_INVALID, "'%s' is not a legal branch, tag or commit", o->revision), "/revision");
    const char **names = arena_new_array(r->a, const char *, json_len(services) + 1);
    for (size_t i = 0; i < json_len(services); i++)
        names[i] = json_str(json_at(services, i));
    o->services = names;
    o->n_services = json_len(services);
    return NULL;
}

/* Taking over stops what somebody else runs on the node: whoever does it must be allowed to stop it there. */
static err_t check_adopt(struct request *r, const struct seen_application *app, const struct sync_options *o) {
    const struct app_row *row = runtime_app(app->id);
    const struct node_row *node = row && row->node_id ? runtime_node(row->node_id) : NULL;
    if (!o->adopt || (node && rbac_allowed(platform()->rbac, r->who, PERM_CONTAINER_STOP, node->scope_id)))
        return NULL;
    return err_detail(err_new(ERR_FORBIDDEN, "adopt stops containers of others: it needs container:stop on the node"),
                      "permission", "container:stop");
}

static err_t sync_tx(struct pg *tx, struct request *r, void *arg, struct change *c) {
    struct action *x = arg;
    struct app *app;
    TRY(app_load(tx, r->a, x->app->id, &app));
    TRY(gitops_sync(platform()->gitops, tx, app, &x->o, ORIGIN(r), r->request_id, &x->job));
    *c = (struct change){
        .kind = "application", .id = x->app->id, .name = x->app->name, .details = x->details, .task = x->job.z};
    return NULL;
}

static err_t reply_plan(struct request *r, struct reply *out, const char *id, const struct sync_options *o) {
    struct json *plan;
    TRY(gitops_plan(platform()->gitops, r->a, id, o, &plan));
    env_mask(r, id, plan);
    return reply_json(out, 200, plan);
}

static err_t sync_now(struct request *r, struct reply *out) {
    const struct json *body = NULL;
    struct action x = {.app = r->resource};
    if (r->body.n)
        TRY(request_json(r, &body));
    TRY(options_of(r, body, &x.o));
    TRY(check_adopt(r, x.app, &x.o));
    if (json_get_bool(body, "dryRun", false))
        return reply_plan(r, out, x.app->id, &x.o);
    x.details = body ? json_to_text(r->a, body) : NULL;
    TRY(api_tx(r, sync_tx, &x));
    return reply_task(r, out, x.job.z);
}

static err_t plan(struct request *r, struct reply *out) {
    const struct seen_application *x = r->resource;
    struct sync_options o = {.revision = request_query(r, "revision"), .trigger = "manual"};
    TRY(request_query_bool(r, "prune", false, &o.prune));
    TRY(request_query_bool(r, "force", false, &o.force));
    TRY(request_query_bool(r, "adopt", false, &o.adopt));
    TRY(check_adopt(r, x, &o));
    if (o.revision && !git_ref_valid(o.revision))
        return err_field(err_new(ERR_BAD_REQUEST, "'%s' is not a legal branch, tag or commit", o.revision), "revision");
    return reply_plan(r, out, x->id, &o);
}

static err_t refresh_tx(struct pg *tx, struct request *r, void *arg, struct change *c) {
    struct action *x = arg;
    TRY(gitops_refresh(platform()->gitops, tx, x->app->id, x->app->id, ORIGIN(r), &x->job));
    *c = (struct change){.kind = "application", .id = x->app->id, .name = x->app->name, .task = x->job.z};
    return NULL;
}

static err_t refresh(struct request *r, struct reply *out) {
    struct action x = {.app = r->resource};
    TRY(api_tx(r, refresh_tx, &x));
    return reply_task(r, out, x.job.z);
}

/* ---- rollback ---- */

static err_t check_target(struct request *r, const char *app_id, const char *deployment_id) {
    struct pg_result *res;
    TRY(pg_rows(platform()->db, r->a, SQL_APPLICATIONS_DEPLOYMENT, PG_ARGS(pg_uuid(deployment_id), pg_uuid(app_id)),
                &res));
    if (res->rows == 0)
        return err_field(err_new(ERR_INVALID, "this application has no such deployment"), "/deploymentId");
    if (pg_cell(res, 0, 1) == NULL || !z_eq(pg_cell(res, 0, 2), "succeeded"))
        return err_field(err_new(ERR_INVALID, "deployment %s did not succeed; choose one that did", pg_cell(res, 0, 3)),
                         "/deploymentId");
    return NULL;
}

static err_t rollback(struct request *r, struct reply *out) {
    const struct json *body;
    struct action x = {.app = r->resource};
    TRY(request_json(r, &body));
    x.o = (struct sync_options){.rollback_to = json_get_str(body, "deploymentId"), .trigger = "rollback"};
    TRY(check_target(r, x.app->id, x.o.rollback_to));
    x.details = json_to_text(r->a, body);
    TRY(api_tx(r, sync_tx, &x));
    return reply_task(r, out, x.job.z);
}

/* ---- looking ---- */

static err_t reply_view(struct request *r, struct reply *out,
                        err_t (*view)(struct gitops *g, struct arena *a, const char *id, struct json **ret)) {
    const struct seen_application *x = r->resource;
    struct json *j;
    TRY(view(platform()->gitops, r->a, x->id, &j));
    env_mask(r, x->id, j);
    return reply_json(out, 200, j);
}

static err_t diff(struct request *r, struct reply *out) { return reply_view(r, out, gitops_diff); }
static err_t resources(struct request *r, struct reply *out) { return reply_view(r, out, gitops_resources); }
static err_t manifest(struct request *r, struct reply *out) { return reply_view(r, out, gitops_manifest); }

/* ---- approvals ---- */

static err_t approvals(struct request *r, struct reply *out) {
    const struct seen_application *x = r->resource;
    struct pg_result *res;
    TRY(pg_rows(platform()->db, r->a, SQL_GITOPS_APPROVALS_LIST, PG_ARGS(pg_uuid(x->id)), &res));
    return reply_list(r, out, res->cells[0], NULL);
}

static err_t withdraw_tx(struct pg *tx, struct request *r, void *arg, struct change *c) {
    const struct seen_application *x = arg;
    (void)r;
    *c = (struct change){.kind = "application", .id = x->id, .name = x->name};
    return pg_exec(tx, SQL_GITOPS_APPROVALS_WITHDRAW, PG_ARGS(pg_uuid(x->id)), NULL);
}

static err_t withdraw(struct request *r, struct reply *out) {
    TRY(api_tx(r, withdraw_tx, r->resource));
    return reply_empty(out, 204);
}

#define APP(m, path, perm, fn, ...)                                                                                    \
    ROUTE(m, "/api/v1/applications/{id}/" path, AUTH_PERMISSION, perm, fn, .read_permission = "application:read",      \
          .resolve = resolve_application, .tag = "applications", __VA_ARGS__)
static const struct route rows[] = {
    APP(POST, "sync", "application:sync", sync_now, .audit = "application.sync", .request_schema = "SyncRequest",
        .flags = ROUTE_TASK, .summary = "Deploy; dryRun answers with the plan alone"),
    APP(GET, "plan", "application:read", plan, .query = "revision prune force adopt", .response_schema = "Plan",
        .summary = "What a sync would do now"),
    APP(POST, "refresh", "application:sync", refresh, .audit = "application.refresh", .flags = ROUTE_TASK,
        .summary = "Compare with Git and the node now"),
    APP(POST, "rollback", "application:rollback", rollback, .audit = "application.rollback",
        .request_schema = "RollbackRequest", .flags = ROUTE_TASK, .summary = "Deploy what an earlier deployment ran"),
    APP(GET, "diff", "application:read", diff, .response_schema = "Diff",
        .summary = "Field differences of each service"),
    APP(GET, "resources", "application:read", resources, .response_schema = "Resources",
        .summary = "Tree of what belongs to the application"),
    APP(GET, "manifest", "application:read", manifest, .response_schema = "Manifest",
        .summary = "What the desired commit renders to"),
    APP(GET, "approvals", "application:read", approvals, .response_schema = "Approval", .flags = ROUTE_PAGE,
        .summary =
            "Dangerous engine options that automatic syncs may use because somebody with the right deployed them"),
    APP(DELETE, "approvals", "application:update", withdraw, .audit = "application.approvals.withdraw",
        .summary =
            "Withdraw all approvals: automatic syncs with such options are refused until somebody deploys them again"),
};
ROUTE_TABLE(applications_actions_routes, rows);
