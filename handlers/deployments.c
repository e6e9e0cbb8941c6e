/* Deployments: history of applications. A deployment is seen by who sees its application. */
#include "handlers/applications.h"
#include "handlers/env_mask.h"
#include "handlers/list.h"
#include "handlers/tables.h"

static err_t resolve_deployment(struct request *r) {
    const char *id;
    struct pg_result *res;
    TRY(api_uuid_param(r, "id", &id));
    TRY(api_one(r, SQL_DEPLOYMENTS_SEEN, PG_ARGS(pg_uuid(id)), &res));
    r->resource = (void *)pg_cell(res, 0, 0);
    r->scope_id = pg_cell(res, 0, 1);
    return NULL;
}

static const struct list_sort sorts[] = {{"startedAt", "d.created_at", "timestamptz"},
                                         {"updatedAt", "d.updated_at", "timestamptz"}};
static const struct list_spec spec = {.json = "df_json(d)",
                                      .from = "deployments d",
                                      .id = "d.id",
                                      .sort = sorts,
                                      .nsort = ARRAY_LEN(sorts),
                                      .descending = true,
                                      .scope = "d.application_id",
                                      .permission = PERM_DEPLOYMENT_READ};
/* Of one application whose permission was checked already. */
static const struct list_spec of_one = {.json = "df_json(d)",
                                        .from = "deployments d",
                                        .id = "d.id",
                                        .sort = sorts,
                                        .nsort = ARRAY_LEN(sorts),
                                        .descending = true};

static err_t list(struct request *r, struct reply *out) {
    struct list_query l;
    TRY(list_begin(&l, r, &spec));
    list_filter(&l, "application", "d.application_id::text");
    list_filter(&l, "status", "df_deployment_status(d.status)");
    return list_reply(&l, out);
}

static err_t list_of_app(struct request *r, struct reply *out) {
    const struct seen_application *x = r->resource;
    struct list_query l;
    TRY(list_begin(&l, r, &of_one));
    list_where(&l, "d.application_id = ?::uuid", PG_ARGS(pg_uuid(x->id)));
    list_filter(&l, "status", "df_deployment_status(d.status)");
    return list_reply(&l, out);
}

static err_t get(struct request *r, struct reply *out) {
    struct str text;
    TRY(api_json(r, SQL_DEPLOYMENTS_JSON, PG_ARGS(pg_uuid(r->resource)), &text));
    TRY(env_mask_text(r, r->scope_id, &text));
    return reply_json_borrowed(out, 200, text);
}

static const struct route rows[] = {
    ROUTE(GET, "/api/v1/deployments", AUTH_PERMISSION, "deployment:read", list, .query = "application status",
          .flags = ROUTE_LIST, .response_schema = "Deployment", .tag = "deployments",
          .summary = "List deployments, newest first"),
    ROUTE(GET, "/api/v1/deployments/{id}", AUTH_PERMISSION, "deployment:read", get, .resolve = resolve_deployment,
          .response_schema = "Deployment", .tag = "deployments",
          .summary = "Get a deployment with its plan and operations"),
    ROUTE(GET, "/api/v1/applications/{id}/deployments", AUTH_PERMISSION, "deployment:read", list_of_app,
          .resolve = resolve_application, .query = "status", .flags = ROUTE_LIST, .response_schema = "Deployment",
          .tag = "deployments", .summary = "Deployments of an application, newest first"),
};
ROUTE_TABLE(deployments_routes, rows);
