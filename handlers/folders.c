/* Folders of a project. */
#include "core/base/id.h"
#include "handlers/list.h"
#include "handlers/scope.h"
#include "handlers/tables.h"

static const struct scope_kind kind = {.name = "folder",
                                       .path = "/api/v1/folders",
                                       .get = SQL_FOLDERS_GET,
                                       .json = SQL_FOLDERS_JSON,
                                       .lock = SQL_FOLDERS_LOCK,
                                       .update = SQL_FOLDERS_UPDATE,
                                       .delete = SQL_FOLDERS_DELETE};
static const struct list_sort sorts[] = {{"name", "t.name", "text"}, {"updatedAt", "t.updated_at", "timestamptz"}};
static const struct list_spec spec = {.json = "df_json(t)",
                                      .from = "folders t",
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
    if (request_query(r, "project"))
        list_where(&l, "EXISTS (SELECT FROM scopes fs WHERE fs.id = t.id AND ? = ANY (fs.path::text[]))",
                   PG_ARGS(pg_text(request_query(r, "project"))));
    list_filter(&l, "parent", "t.scope_id::text");
    return list_reply(&l, out);
}

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

static err_t create(struct request *r, struct reply *out) {
    const struct json *body;
    TRY(request_json(r, &body));
    const char *id = uuid7_new(r->a), *name = json_get_str(body, "name");
    return scope_create(r, out, &kind, SQL_FOLDERS_INSERT,
                        PG_ARGS(pg_uuid(id), pg_uuid(r->scope_id), pg_text(name),
                                pg_text(json_str_or(json_get(body, "displayName"), ""))),
                        id, name);
}

static const struct route rows[] = {
    ROUTE(GET, "/api/v1/folders", AUTH_PERMISSION, "project:read", list, .response_schema = "Folder",
          .query = "project parent", .flags = ROUTE_LIST, .tag = "scopes", .summary = "Folders"),
    ROUTE(POST, "/api/v1/folders", AUTH_PERMISSION, "project:create", create, .read_permission = "project:read",
          .resolve = resolve_place, .audit = "folder.create", .request_schema = "FolderCreate",
          .response_schema = "Folder", .tag = "scopes", .summary = "Create a folder"),
    ROUTE(GET, "/api/v1/folders/{id}", AUTH_PERMISSION, "project:read", get, .resolve = resolve,
          .response_schema = "Folder", .tag = "scopes", .summary = "One folder"),
    ROUTE(PATCH, "/api/v1/folders/{id}", AUTH_PERMISSION, "project:update", update, .read_permission = "project:read",
          .resolve = resolve, .audit = "folder.update", .request_schema = "FolderUpdate", .response_schema = "Folder",
          .flags = ROUTE_IF_MATCH, .tag = "scopes", .summary = "Change a folder"),
    ROUTE(DELETE, "/api/v1/folders/{id}", AUTH_PERMISSION, "project:delete", delete, .read_permission = "project:read",
          .resolve = resolve, .audit = "folder.delete", .flags = ROUTE_IF_MATCH, .tag = "scopes",
          .summary = "Delete an empty folder"),
};
ROUTE_TABLE(folders_routes, rows);
