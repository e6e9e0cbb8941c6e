/* Projects, in an organization or one of its teams. */
#include "core/base/id.h"
#include "handlers/list.h"
#include "handlers/scope.h"
#include "handlers/tables.h"

static const struct scope_kind kind = {.name = "project",
                                       .path = "/api/v1/projects",
                                       .get = SQL_PROJECTS_GET,
                                       .json = SQL_PROJECTS_JSON,
                                       .lock = SQL_PROJECTS_LOCK,
                                       .update = SQL_PROJECTS_UPDATE,
                                       .delete = SQL_PROJECTS_DELETE,
                                       .described = true};
static const struct list_sort sorts[] = {{"name", "t.name", "text"}, {"updatedAt", "t.updated_at", "timestamptz"}};
static const struct list_spec spec = {.json = "df_json(t)",
                                      .from = "projects t",
                                      .id = "t.id",
                                      .sort = sorts,
                                      .nsort = ARRAY_LEN(sorts),
                                      .search = "t.name || ' ' || t.display_name",
                                      .scope = "t.id",
                                      .permission = PERM_PROJECT_READ};

static err_t resolve(struct request *r) { return scope_resolve(r, &kind); }
static err_t get(struct request *r, struct reply *out) { return scope_get(r, out, &kind); }
static err_t update(struct request *r, struct reply *out) { return scope_update(r, out, &kind); }
static err_t delete (struct request *r, struct reply *out) { return scope_delete(r, out, &kind); }

static err_t list(struct request *r, struct reply *out) {
    struct list_query l;
    TRY(list_begin(&l, r, &spec));
    list_filter(&l, "organization", "t.org_id::text");
    list_filter(&l, "team", "t.team_id::text");
    list_filter(&l, "name", "t.name");
    return list_reply(&l, out);
}

/* In a team when one is named, and then the team must be the organization's. */
static err_t resolve_place(struct request *r) {
    const struct json *body;
    TRY(api_scope_of_body(r, "organizationId"));
    TRY(request_json(r, &body));
    const char *team = json_get_str(body, "teamId");
    if (team == NULL)
        return NULL;
    struct pg_result *res;
    TRY(api_one(r, SQL_TEAMS_GET, PG_ARGS(pg_uuid(team)), &res));
    if (!z_eq(pg_cell(res, 0, 1), r->scope_id))
        return api_not_found();
    r->scope_id = pg_cell(res, 0, 0);
    return NULL;
}

static err_t create(struct request *r, struct reply *out) {
    const struct json *body;
    TRY(request_json(r, &body));
    const char *id = uuid7_new(r->a), *name = json_get_str(body, "name");
    return scope_create(r, out, &kind, SQL_PROJECTS_INSERT,
                        PG_ARGS(pg_uuid(id), pg_uuid(json_get_str(body, "organizationId")),
                                pg_uuid(json_get_str(body, "teamId")), pg_text(name),
                                pg_text(json_str_or(json_get(body, "displayName"), "")),
                                pg_text(json_str_or(json_get(body, "description"), ""))),
                        id, name);
}

static const struct route rows[] = {
    ROUTE(GET, "/api/v1/projects", AUTH_PERMISSION, "project:read", list, .response_schema = "Project",
          .query = "organization team name", .flags = ROUTE_LIST, .tag = "scopes", .summary = "Projects"),
    ROUTE(POST, "/api/v1/projects", AUTH_PERMISSION, "project:create", create, .read_permission = "project:read",
          .resolve = resolve_place, .audit = "project.create", .request_schema = "ProjectCreate",
          .response_schema = "Project", .tag = "scopes", .summary = "Create a project"),
    ROUTE(GET, "/api/v1/projects/{id}", AUTH_PERMISSION, "project:read", get, .resolve = resolve,
          .response_schema = "Project", .tag = "scopes", .summary = "One project"),
    ROUTE(PATCH, "/api/v1/projects/{id}", AUTH_PERMISSION, "project:update", update, .read_permission = "project:read",
          .resolve = resolve, .audit = "project.update", .request_schema = "ScopeUpdate", .response_schema = "Project",
          .flags = ROUTE_IF_MATCH, .tag = "scopes", .summary = "Change a project"),
    ROUTE(DELETE, "/api/v1/projects/{id}", AUTH_PERMISSION, "project:delete", delete, .read_permission = "project:read",
          .resolve = resolve, .audit = "project.delete", .flags = ROUTE_IF_MATCH, .tag = "scopes",
          .summary = "Delete an empty project"),
};
ROUTE_TABLE(projects_routes, rows);
