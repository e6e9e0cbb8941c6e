/* Projects, in an organization or one of its teams. */
#include "handlers/scope.h"
#include "handlers/tables.h"

static const struct scope_kind kind = {
    .name = "project",
    .path = "/api/v1/projects",
    .table = "projects t",
    .get = SQL_PROJECTS_GET,
    .json = SQL_PROJECTS_JSON,
    .lock = SQL_PROJECTS_LOCK,
    .insert = SQL_PROJECTS_INSERT,
    .update = SQL_PROJECTS_UPDATE,
    .delete = SQL_PROJECTS_DELETE,
    .described = true,
    .filters =
        (const struct scope_filter[]){
            {"organization", "t.org_id::text = ?"}, {"team", "t.team_id::text = ?"}, {"name", "t.name = ?"}, {0}},
    .fields = (const char *const[]){"id", "organizationId", "teamId", "name", "displayName", "description", NULL},
};

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

#define PATH "/api/v1/projects"
static const struct route rows[] = {
    SCOPE_LIST(&kind, PATH, "Project", "organization team name", "Projects"),
    SCOPE(POST, &kind, PATH, "project:create", scope_create, .resolve = resolve_place, .audit = "project.create",
          .request_schema = "ProjectCreate", .response_schema = "Project", .summary = "Create a project"),
    SCOPE_GET(&kind, PATH "/{id}", "Project", "One project"),
    SCOPE_WRITE(PATCH, &kind, PATH "/{id}", "project:update", scope_update, .audit = "project.update",
                .request_schema = "ScopeUpdate", .response_schema = "Project", .summary = "Change a project"),
    SCOPE_WRITE(DELETE, &kind, PATH "/{id}", "project:delete", scope_delete, .audit = "project.delete",
                .summary = "Delete an empty project"),
};
ROUTE_TABLE(projects_routes, rows);
