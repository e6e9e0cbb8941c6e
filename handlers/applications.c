/* Applications: list, get, create, change, delete. What they do is in applications_actions.c. */
#include "handlers/applications.h"
#include "core/base/id.h"
#include "handlers/env_mask.h"
#include "handlers/list.h"
#include "handlers/runtime.h"
#include "handlers/tables.h"

/* ---- finding ---- */

static err_t found(struct request *r, const struct pg_result *res, size_t row) {
    struct seen_application *x = arena_new_obj(r->a, struct seen_application);
    *x = (struct seen_application){pg_cell(res, row, 0), pg_cell(res, row, 1), pg_cell(res, row, 3),
                                   pg_cell_int(res, row, 2, 0)};
    r->resource = x;
    r->scope_id = x->id;
    return NULL;
}

static err_t by_name(struct request *r, const char *name) {
    struct pg_result *res;
    size_t hit = SIZE_MAX;
    TRY(pg_rows(platform()->db, r->a, SQL_APPLICATIONS_BY_NAME, PG_ARGS(pg_text(name)), &res));
    for (size_t i = 0; i < res->rows; i++) {
        if (!rbac_allowed(platform()->rbac, r->who, PERM_APPLICATION_READ, pg_cell(res, i, 0)))
            continue;
        if (hit != SIZE_MAX)
            return err_new(ERR_CONFLICT, "several applications are called '%s'; use the id", name);
        hit = i;
    }
    return hit == SIZE_MAX ? api_not_found() : found(r, res, hit);
}

err_t resolve_application(struct request *r) {
    const char *ref = request_param(r, "id");
    struct pg_result *res;
    if (!uuid_valid(str_of(ref)))
        return by_name(r, ref);
    TRY(api_one(r, SQL_APPLICATIONS_BY_ID, PG_ARGS(pg_uuid(ref)), &res));
    return found(r, res, 0);
}

static err_t resolve_project(struct request *r) { return api_scope_of_body(r, "projectId"); }

/* ---- reading ---- */

static const struct list_sort sorts[] = {{"name", "a.name", "text"},
                                         {"createdAt", "a.created_at", "timestamptz"},
                                         {"updatedAt", "a.updated_at", "timestamptz"}};
static const struct list_spec spec = {.json = "df_json(a)",
                                      .from = "applications a",
                                      .id = "a.id",
                                      .sort = sorts,
                                      .nsort = ARRAY_LEN(sorts),
                                      .search = "a.name || ' ' || a.path || ' ' || a.environment",
                                      .scope = "a.id",
                                      .permission = PERM_APPLICATION_READ,
                                      .env = true};

static err_t list(struct request *r, struct reply *out) {
    struct list_query l;
    TRY(list_begin(&l, r, &spec));
    list_filter(&l, "project", "a.scope_id::text");
    list_filter(&l, "repository", "a.repository_id::text");
    list_filter(&l, "node", "a.node_id::text");
    list_filter(&l, "sync", "a.sync_status");
    list_filter(&l, "health", "a.health_status");
    list_filter(&l, "environment", "a.environment");
    return list_reply(&l, out);
}

static err_t etag(struct request *r, struct reply *out, int64_t version) {
    return reply_header(out, "etag", arena_printf(r->a, "\"%lld\"", (long long)version));
}

static err_t get(struct request *r, struct reply *out) {
    const struct seen_application *x = r->resource;
    struct pg_result *res;
    TRY(api_one(r, SQL_APPLICATIONS_JSON, PG_ARGS(pg_uuid(x->id)), &res));
    /* The entity tag counts configuration only: the status in the body moves without it, so there is no 304 here. */
    TRY(etag(r, out, pg_cell_int(res, 0, 1, 0)));
    TRY(env_mask_text(r, x->id, &res->cells[0]));
    return reply_json_borrowed(out, 200, res->cells[0]);
}

/* ---- what a body says ---- */

struct app_body {
    const struct json *json;
    const char *id, *name, *project, *repository, *branch, *path, *files, *node, *environment, *variables, *policy,
        *description, *labels;
    bool create, replace;
    struct str text;
    int64_t version;
    struct uuid_text job;
};

static const char *or_null(struct arena *a, const struct json *j) { return j ? json_to_text(a, j) : NULL; }

static err_t clean_files(struct arena *a, const struct json *files, const char **ret) {
    struct json *clean = json_array(a);
    for (size_t i = 0; i < json_len(files); i++) {
        const char *path;
        err_t e = git_path_clean(a, json_str(json_at(files, i)), &path);
        if (e == NULL && *path == '\0')
            e = err_new(ERR_INVALID, "this names a folder, not a Compose file");
        if (e)
            return err_field(e, arena_printf(a, "/composeFiles/%zu", i));
        json_push(a, clean, json_string(a, path));
    }
    *ret = json_to_text(a, clean);
    return NULL;
}

static err_t read_body(struct request *r, struct app_body *b) {
    const struct json *j = b->json, *env = json_get(j, "environment");
    const char *path = json_get_str(j, "path");
    b->name = json_get_str(j, "name");
    b->project = json_get_str(j, "projectId");
    b->repository = json_get_str(j, "repositoryId");
    b->branch = json_get_str(j, "branch");
    b->description = json_get_str(j, "description");
    b->labels = or_null(r->a, json_get(j, "labels"));
    b->environment = json_get_str(env, "name");
    b->variables = or_null(r->a, json_get(env, "variables"));
    if (!env_shown(r, r->scope_id))
        TRY(env_unmasked(json_get(env, "variables")));
    b->policy = or_null(r->a, json_get(j, "syncPolicy"));
    if (b->branch && *b->branch && !git_ref_valid(b->branch))
        return err_field(err_new(ERR_INVALID, "'%s' is not a legal branch, tag or commit", b->branch), "/branch");
    if (path) {
        err_t e = git_path_clean(r->a, path, &b->path);
        if (e)
            return err_field(e, "/path");
    }
    return json_get(j, "composeFiles") ? clean_files(r->a, json_get(j, "composeFiles"), &b->files) : NULL;
}

/* PUT: what is not said is the default, not what was there. */
static void fill_defaults(struct app_body *b) {
    const char **fields[] = {&b->branch, &b->path, &b->description};
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (*fields[i] == NULL)
            *fields[i] = "";
    b->files = b->files ? b->files : "[]";
    b->environment = b->environment ? b->environment : "default";
    b->variables = b->variables ? b->variables : "{}";
    b->policy = b->policy ? b->policy : "{}";
    b->labels = b->labels ? b->labels : "{}";
}

/* A repository the caller may not see is none; one of another organization cannot be used. */
static err_t check_repository(struct request *r, struct pg *db, const char *id, const char *org_id) {
    struct pg_result *res;
    TRY(pg_rows(db, r->a, SQL_APPLICATIONS_REPOSITORY, PG_ARGS(pg_uuid(id)), &res));
    bool seen = res->rows && rbac_allowed(platform()->rbac, r->who, PERM_REPOSITORY_READ, pg_cell(res, 0, 1));
    return seen && z_eq(pg_cell(res, 0, 2), org_id)
               ? NULL
               : err_field(err_new(ERR_INVALID, "there is no such repository in this organization"), "/repositoryId");
}

static bool first_default(void *arg, const struct node_row *n) {
    if (n->is_default)
        *(const struct node_row **)arg = n;
    return !n->is_default;
}

static err_t check_node(struct request *r, const char *ref, const char **ret_id) {
    const struct node_row *n = NULL;
    if (ref)
        n = runtime_node(ref);
    else
        runtime_nodes(first_default, &n);
    if (n == NULL || !rbac_allowed(platform()->rbac, r->who, PERM_NODE_READ, n->scope_id))
        return err_field(ref ? err_new(ERR_INVALID, "there is no such node")
                             : err_new(ERR_MISSING_FIELD, "choose a node to run on"),
                         "/nodeId");
    if (!rbac_allowed(platform()->rbac, r->who, PERM_NODE_USE, n->scope_id))
        return err_field(
            err_detail(err_new(ERR_FORBIDDEN, "you may not deploy to node %s", n->name), "permission", "node:use"),
            "/nodeId");
    *ret_id = arena_strdup(r->a, n->id);
    return NULL;
}

static err_t project_of(struct request *r, struct pg *tx, const char *id, const char **ret_org) {
    struct pg_result *res;
    TRY(pg_rows(tx, r->a, SQL_REPOSITORIES_PROJECT, PG_ARGS(pg_uuid(id)), &res));
    if (res->rows == 0)
        return err_field(err_new(ERR_INVALID, "an application belongs to a project or folder"), "/projectId");
    *ret_org = pg_cell(res, 0, 0);
    return NULL;
}

static err_t taken(err_t e) {
    return e->code == ERR_CONFLICT
               ? err_field(err_new(ERR_CONFLICT, "the project has an application with this name already"), "/name")
               : e;
}

/* The row as it is now, told to everybody; at the project, since not every snapshot knows a new application yet. */
static err_t read_back(struct pg *tx, struct request *r, struct app_body *b, const char *scope_id,
                       const char **ret_config) {
    struct pg_result *res;
    TRY(pg_one(tx, r->a, SQL_APPLICATIONS_JSON, PG_ARGS(pg_uuid(b->id)), "application", &res));
    b->text = res->cells[0];
    b->version = pg_cell_int(res, 0, 1, 1);
    *ret_config = pg_cell(res, 0, 2);
    struct str event;
    TRY(pg_json_text(tx, r->a, SQL_GITOPS_APP_EVENT, PG_ARGS(pg_uuid(b->id)), "application", &event));
    TRY(runtime_announce(tx, "application.changed", scope_id, "application", b->id));
    return bus_publish(tx, "application.status", scope_id, "application", b->id, event.p);
}

/* ---- create ---- */

static err_t create_tx(struct pg *tx, struct request *r, void *arg, struct change *c) {
    struct app_body *b = arg;
    const char *org, *config;
    TRY(project_of(r, tx, r->scope_id, &org));
    TRY(check_repository(r, tx, b->repository, org));
    err_t e = pg_exec(tx, SQL_APPLICATIONS_INSERT,
                      PG_ARGS(pg_uuid(b->id), pg_uuid(r->scope_id), pg_text(b->name), pg_uuid(b->repository),
                              pg_text(b->branch), pg_text(b->path), pg_json(b->files), pg_uuid(b->node),
                              pg_text(b->environment), pg_json(b->variables), pg_json(b->policy),
                              pg_text(b->description), pg_json(b->labels), pg_uuid(r->who->user_id)),
                      NULL);
    if (e)
        return taken(e);
    TRY(gitops_refresh(platform()->gitops, tx, b->id, b->id, ORIGIN(r), &b->job));
    TRY(read_back(tx, r, b, r->scope_id, &config));
    TRY(env_mask_text(r, r->scope_id, &b->text));
    *c = (struct change){.kind = "application",
                         .id = b->id,
                         .name = b->name,
                         .scope_id = r->scope_id,
                         .after = config,
                         .reply = b->text.p};
    return NULL;
}

static err_t create(struct request *r, struct reply *out) {
    struct app_body b = {.id = uuid7_new(r->a), .create = true};
    TRY(request_json(r, &b.json));
    TRY(read_body(r, &b));
    fill_defaults(&b);
    TRY(check_node(r, json_get_str(b.json, "nodeId"), &b.node));
    TRY(api_tx_rights(r, create_tx, &b));
    TRY(runtime_reload());
    TRY(reply_header(out, "location", arena_printf(r->a, "/api/v1/applications/%s", b.id)));
    TRY(etag(r, out, b.version));
    return reply_json_borrowed(out, 201, b.text);
}

/* ---- change ---- */

static err_t lock(struct pg *tx, struct request *r, const char *id, struct pg_result **ret) {
    err_t e = pg_one(tx, r->a, SQL_APPLICATIONS_LOCK, PG_ARGS(pg_uuid(id)), "application", ret);
    if (e)
        return e->code == ERR_NOT_FOUND ? api_not_found() : e;
    return request_if_match(r, pg_cell_int(*ret, 0, 1, 0));
}

static err_t not_from_git(const struct pg_result *old) {
    if (!z_eq(pg_cell(old, 0, 3), "git"))
        return NULL;
    return err_detail(err_new(ERR_CONFLICT, "this application is defined in the repository (%s); change it there",
                              pg_cell(old, 0, 4)),
                      "manifestPath", pg_cell(old, 0, 4));
}

/* Moving: the caller must be able to create there. The containers keep running: only who may see them changes. */
static err_t check_project(struct request *r, struct pg *tx, struct app_body *b, const struct pg_result *old,
                           const char **ret_org) {
    *ret_org = pg_cell(old, 0, 10);
    if (b->project == NULL || z_eq(b->project, pg_cell(old, 0, 7))) {
        b->project = NULL;
        return NULL;
    }
    const char *org;
    TRY(api_require(r, PERM_APPLICATION_CREATE, PERM_PROJECT_READ, b->project));
    TRY(project_of(r, tx, b->project, &org));
    return z_eq(org, *ret_org)
               ? NULL
               : err_field(err_new(ERR_INVALID, "an application cannot move to another organization"), "/projectId");
}

static err_t check_change(struct request *r, struct pg *tx, struct app_body *b, const struct pg_result *old) {
    const char *org, *node = json_get_str(b->json, "nodeId");
    TRY(not_from_git(old));
    if (pg_cell_bool(old, 0, 11))
        return err_new(ERR_CONFLICT, "the application is being deleted");
    TRY(check_project(r, tx, b, old, &org));
    if (b->repository && !z_eq(b->repository, pg_cell(old, 0, 8)))
        TRY(check_repository(r, tx, b->repository, org));
    if (node == NULL || z_eq(node, pg_cell(old, 0, 5)))
        return NULL;
    TRY(check_node(r, node, &b->node));
    if (pg_cell(old, 0, 5) && pg_cell(old, 0, 6))
        return err_field(
            err_new(ERR_CONFLICT,
                    "the application runs on its node; delete it with its containers and create it on the other node"),
            "/nodeId");
    return NULL;
}

static err_t update_tx(struct pg *tx, struct request *r, void *arg, struct change *c) {
    struct app_body *b = arg;
    struct pg_result *old;
    const char *config;
    const struct json *suspended = json_get(b->json, "suspended");
    TRY(lock(tx, r, b->id, &old));
    TRY(check_change(r, tx, b, old));
    err_t e = pg_exec(tx, SQL_APPLICATIONS_UPDATE,
                      PG_ARGS(pg_uuid(b->id), pg_text(b->name), pg_uuid(b->project), pg_uuid(b->repository),
                              pg_text(b->branch), pg_text(b->path), pg_json(b->files), pg_uuid(b->node),
                              pg_text(b->environment), pg_json(b->variables), pg_json(b->policy),
                              pg_text(b->description), pg_json(b->labels),
                              suspended ? pg_bool(json_bool_or(suspended, false)) : PG_NULL, pg_bool(b->replace)),
                      NULL);
    if (e)
        return taken(e);
    TRY(gitops_refresh(platform()->gitops, tx, b->id, b->id, ORIGIN(r), &b->job));
    TRY(read_back(tx, r, b, b->id, &config));
    *c = (struct change){.kind = "application",
                         .id = b->id,
                         .name = b->name ? b->name : pg_cell(old, 0, 2),
                         .before = pg_cell(old, 0, 0),
                         .after = config};
    return NULL;
}

static err_t change(struct request *r, struct reply *out, bool replace) {
    const struct seen_application *x = r->resource;
    struct app_body b = {.id = x->id, .replace = replace};
    TRY(request_json(r, &b.json));
    TRY(read_body(r, &b));
    if (replace)
        fill_defaults(&b);
    TRY(api_tx_rights(r, update_tx, &b));
    TRY(runtime_reload());
    TRY(etag(r, out, b.version));
    TRY(env_mask_text(r, b.id, &b.text));
    return reply_json_borrowed(out, 200, b.text);
}

static err_t patch(struct request *r, struct reply *out) { return change(r, out, false); }
static err_t put(struct request *r, struct reply *out) { return change(r, out, true); }

/* ---- delete ---- */

struct removal {
    const struct seen_application *app;
    bool cascade;
    struct uuid_text job;
};

static err_t start_removal(struct pg *tx, struct request *r, struct removal *d, const struct pg_result *old) {
    struct app *app;
    if (pg_cell(old, 0, 9)) {
        err_t e = jobs_cancel(tx, pg_cell(old, 0, 9), "the application is being deleted");
        if (e && e->code != ERR_NOT_FOUND)
            return e;
    }
    TRY(pg_exec(tx, SQL_APPLICATIONS_DELETING, PG_ARGS(pg_uuid(d->app->id)), NULL));
    TRY(app_load(tx, r->a, d->app->id, &app));
    return gitops_delete(platform()->gitops, tx, app, ORIGIN(r), &d->job);
}

static err_t delete_tx(struct pg *tx, struct request *r, void *arg, struct change *c) {
    struct removal *d = arg;
    struct pg_result *old;
    TRY(lock(tx, r, d->app->id, &old));
    TRY(not_from_git(old));
    *c = (struct change){.kind = "application",
                         .id = d->app->id,
                         .name = d->app->name,
                         .scope_id = d->app->project_id,
                         .before = pg_cell(old, 0, 0),
                         .details = d->cascade ? "{\"cascade\":true}" : NULL};
    if (d->cascade)
        return start_removal(tx, r, d, old);
    TRY(pg_exec(tx, SQL_GITOPS_APP_DELETE, PG_ARGS(pg_uuid(d->app->id)), NULL));
    return bus_publish(tx, "application.deleted", d->app->project_id, "application", d->app->id,
                       arena_printf(r->a, "{\"id\":\"%s\",\"name\":\"%s\"}", d->app->id, d->app->name));
}

static err_t delete (struct request *r, struct reply *out) {
    struct removal d = {.app = r->resource};
    TRY(request_query_bool(r, "cascade", false, &d.cascade));
    TRY(api_tx_rights(r, delete_tx, &d));
    TRY(runtime_reload());
    return d.cascade ? reply_task(r, out, d.job.z) : reply_empty(out, 204);
}

static const struct route rows[] = {
    ROUTE(GET, "/api/v1/applications", AUTH_PERMISSION, "application:read", list,
          .query = "project repository node sync health environment", .flags = ROUTE_LIST,
          .response_schema = "Application", .tag = "applications", .summary = "List applications"),
    ROUTE(POST, "/api/v1/applications", AUTH_PERMISSION, "application:create", create,
          .read_permission = "application:read", .resolve = resolve_project, .audit = "application.create",
          .request_schema = "ApplicationCreate", .response_schema = "Application", .tag = "applications",
          .summary = "Create an application"),
    ROUTE(GET, "/api/v1/applications/{id}", AUTH_PERMISSION, "application:read", get, .resolve = resolve_application,
          .response_schema = "Application", .tag = "applications", .summary = "Get an application"),
    ROUTE(PUT, "/api/v1/applications/{id}", AUTH_PERMISSION, "application:update", put,
          .read_permission = "application:read", .resolve = resolve_application, .audit = "application.update",
          .request_schema = "ApplicationReplace", .flags = ROUTE_IF_MATCH, .response_schema = "Application",
          .tag = "applications", .summary = "Replace the configuration of an application"),
    ROUTE(PATCH, "/api/v1/applications/{id}", AUTH_PERMISSION, "application:update", patch,
          .read_permission = "application:read", .resolve = resolve_application, .audit = "application.update",
          .request_schema = "ApplicationUpdate", .flags = ROUTE_IF_MATCH, .response_schema = "Application",
          .tag = "applications", .summary = "Change an application"),
    ROUTE(DELETE, "/api/v1/applications/{id}", AUTH_PERMISSION, "application:delete", delete,
          .read_permission = "application:read", .resolve = resolve_application, .audit = "application.delete",
          .query = "cascade", .flags = ROUTE_IF_MATCH | ROUTE_TASK, .tag = "applications",
          .summary = "Delete an application; cascade removes its containers and networks"),
};
ROUTE_TABLE(applications_routes, rows);
