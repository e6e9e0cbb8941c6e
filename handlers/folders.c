/* Folders of a project. */
#include "handlers/scope.h"
#include "handlers/tables.h"

static const struct scope_kind kind = {
    .name = "folder",
    .path = "/api/v1/folders",
    .table = "folders t",
    .get = SQL_FOLDERS_GET,
    .json = SQL_FOLDERS_JSON,
    .lock = SQL_FOLDERS_LOCK,
    .insert = SQL_FOLDERS_INSERT,
    .update = SQL_FOLDERS_UPDATE,
    .delete = SQL_FOLDERS_DELETE,
    .filters =
        (const struct scope_filter[]){
            {"project", "EXISTS (SELECT FROM scopes fs WHERE fs.id = t.id AND ? = ANY (fs.path::text[]))"},
            {"parent", "t.scope_id::text = ?"},
            {0}},
    .fields = (const char *const[]){"id", "scope", "name", "displayName", NULL},
};

/* Below parentId when given, which must be in the project. */
static err_t resolve_place(struct request *r) {
    const struct json *body;
    TRY(api_scope_of_body(r, "projectId"));
    TRY(request_json(r, &body));
    const char *parent = json_get_str(body, "parentId");
    struct pg_result *res;
    TRY(api_one(r, SQL_PROJECTS_GET, PG_ARGS(pg_uuid(r->scope_id)), &res));
    if (parent == NULL)
        return NULL;
    struct str text;
    struct json *folder;
    TRY(api_json(r, SQL_FOLDERS_JSON, PG_ARGS(pg_uuid(parent)), &text));
    TRY(json_parse(r->a, text, NULL, &folder));
    if (!z_eq(json_get_str(folder, "projectId"), r->scope_id))
        return api_not_found();
    r->scope_id = json_get_str(folder, "id");
    return NULL;
}

#define PATH "/api/v1/folders"
static const struct route rows[] = {
    SCOPE_LIST(&kind, PATH, "Folder", "project parent", "Folders"),
    SCOPE(POST, &kind, PATH, "project:create", scope_create, .resolve = resolve_place, .audit = "folder.create",
          .request_schema = "FolderCreate", .response_schema = "Folder", .summary = "Create a folder"),
    SCOPE_GET(&kind, PATH "/{id}", "Folder", "One folder"),
    SCOPE_WRITE(PATCH, &kind, PATH "/{id}", "project:update", scope_update, .audit = "folder.update",
                .request_schema = "FolderUpdate", .response_schema = "Folder", .summary = "Change a folder"),
    SCOPE_WRITE(DELETE, &kind, PATH "/{id}", "project:delete", scope_delete, .audit = "folder.delete",
                .summary = "Delete an empty folder"),
};
ROUTE_TABLE(folders_routes, rows);
