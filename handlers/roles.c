/* Roles and the permissions they are made of. Roles are the platform's: made and changed at the root, by those who have all that
 * is in them. */
#include "core/base/check.h"
#include "core/base/id.h"
#include "handlers/list.h"
#include "handlers/tables.h"

static err_t permissions(struct request *r, struct reply *out) {
    struct json *items = json_array(r->a);
    for (int p = 0; p < PERM_MAX; p++) {
        struct json *one = json_object(r->a);
        json_set_str(r->a, one, "name", permission_name((enum permission)p));
        json_set_str(r->a, one, "description", permission_text((enum permission)p));
        json_push(r->a, items, one);
    }
    return reply_list(r, out, str_of(json_to_text(r->a, items)), NULL);
}

static const struct list_sort sorts[] = {{"name", "t.name", "text"}, {"updatedAt", "t.updated_at", "timestamptz"}};
static const struct list_spec spec = {.json = "df_json(t)",
                                      .from = "roles t",
                                      .id = "t.id",
                                      .sort = sorts,
                                      .nsort = ARRAY_LEN(sorts),
                                      .search = "t.name || ' ' || t.description"};

static err_t list(struct request *r, struct reply *out) {
    struct list_query l;
    TRY(list_begin(&l, r, &spec));
    list_filter(&l, "type", "t.type");
    return list_reply(&l, out);
}

/** What resolve_role leaves in r->resource. */
struct seen_role {
    const char *id, *name;
    int64_t version;
    bool built_in;
};

/* Roles are readable by everybody who may read roles anywhere; changing needs the root. */
static err_t resolve_role(struct request *r) {
    struct pg_result *res;
    if (!rbac_allowed_anywhere(platform()->rbac, r->who, PERM_ROLE_READ))
        return api_not_found();
    TRY(api_one(r, SQL_ROLES_BY_REF, PG_ARGS(pg_text(request_param(r, "id"))), &res));
    struct seen_role *role = arena_new_obj(r->a, struct seen_role);
    *role =
        (struct seen_role){pg_cell(res, 0, 0), pg_cell(res, 0, 1), pg_cell_int(res, 0, 2, 0), pg_cell_bool(res, 0, 3)};
    r->resource = role;
    return NULL;
}

static err_t resolve_role_read(struct request *r) {
    TRY(resolve_role(r));
    r->scope_id = api_scope_anywhere(r, PERM_ROLE_READ);
    return NULL;
}

static err_t get(struct request *r, struct reply *out) {
    const struct seen_role *role = r->resource;
    struct str text;
    if (reply_etag(r, out, role->version))
        return NULL;
    TRY(api_json(r, SQL_ROLES_JSON, PG_ARGS(pg_uuid(role->id)), &text));
    return reply_json_borrowed(out, 200, text);
}

/* ---- bodies ---- */

struct role_body {
    const char *id, *name, *description, *permissions, *inherits; /* texts for the database */
    struct str json;
    int64_t version;
};

static err_t read_permissions(struct request *r, const struct json *list, const char **ret) {
    for (size_t i = 0; i < json_len(list); i++) {
        int p = permission_of(json_str(json_at(list, i)));
        const char *at = arena_printf(r->a, "/permissions/%zu", i);
        if (p < 0)
            return err_field(err_new(ERR_INVALID, "there is no permission '%s'", json_str(json_at(list, i))), at);
        err_t e = api_require(r, (enum permission)p, -1, ROOT_SCOPE);
        if (e)
            return err_field(err_wrap(e, "you cannot put %s into a role: you do not have it yourself",
                                      permission_name((enum permission)p)),
                             at);
    }
    *ret = list ? json_to_text(r->a, list) : "[]";
    return NULL;
}

static err_t read_inherits(struct request *r, const struct json *list, const char **ret) {
    const char *names = "", *ids = "";
    struct pg_result *res;
    for (size_t i = 0; i < json_len(list); i++)
        names = arena_printf(r->a, "%s%s%s", names, i ? "," : "", json_str(json_at(list, i)));
    *ret = "{}";
    if (json_len(list) == 0)
        return NULL;
    TRY(pg_rows(platform()->db, r->a, SQL_ROLES_IDS, PG_ARGS(pg_text(arena_printf(r->a, "{%s}", names))), &res));
    if (res->rows != json_len(list))
        return err_field(err_new(ERR_INVALID, "one of the inherited roles does not exist"), "/inherits");
    for (size_t i = 0; i < res->rows; i++) {
        err_t e = api_covers_role(r, pg_cell(res, i, 0), ROOT_SCOPE);
        if (e)
            return err_field(e, "/inherits");
        ids = arena_printf(r->a, "%s%s%s", ids, i ? "," : "", pg_cell(res, i, 0));
    }
    *ret = arena_printf(r->a, "{%s}", ids);
    return NULL;
}

static err_t read_body(struct request *r, struct role_body *b) {
    const struct json *body;
    TRY(request_json(r, &body));
    b->name = json_get_str(body, "name");
    b->description = json_str_or(json_get(body, "description"), "");
    TRY(read_permissions(r, json_get(body, "permissions"), &b->permissions));
    return read_inherits(r, json_get(body, "inherits"), &b->inherits);
}

static err_t conflict(err_t e) {
    if (e == NULL || e->code != ERR_CONFLICT)
        return e;
    const char *constraint = e->details ? e->details->value : "";
    if (z_eq(constraint, "roles_no_cycle"))
        return err_field(err_new(ERR_CONFLICT, "the role would inherit itself"), "/inherits");
    if (z_eq(constraint, "roles_inherited"))
        return err_new(ERR_CONFLICT, "another role inherits this one, or an inherited role does not exist");
    if (z_eq(constraint, "role_bindings_role_id_fkey"))
        return err_new(ERR_CONFLICT, "the role is given to somebody; take it away first");
    return err_field(err_new(ERR_CONFLICT, "a role with this name exists already"), "/name");
}

/* ---- changes ---- */

static err_t create_tx(struct pg *tx, struct request *r, void *arg, struct change *c) {
    struct role_body *b = arg;
    TRY(conflict(pg_exec(tx, SQL_ROLES_INSERT,
                         PG_ARGS(pg_uuid(b->id), pg_text(b->name), pg_text(b->description), pg_json(b->permissions),
                                 pg_text(b->inherits)),
                         NULL)));
    TRY(pg_json_text(tx, r->a, SQL_ROLES_JSON, PG_ARGS(pg_uuid(b->id)), "role", &b->json));
    *c = (struct change){.kind = "role", .id = b->id, .name = b->name, .after = b->json.p};
    return NULL;
}

static err_t create(struct request *r, struct reply *out) {
    struct role_body b = {.id = uuid7_new(r->a)};
    TRY(read_body(r, &b));
    TRY(api_tx_rights(r, create_tx, &b));
    TRY(reply_header(out, "location", arena_printf(r->a, "/api/v1/roles/%s", b.id)));
    (void)reply_etag(r, out, 1);
    return reply_json_borrowed(out, 201, b.json);
}

static err_t lock_role(struct pg *tx, struct request *r, const char *id, struct pg_result **ret) {
    err_t e = pg_one(tx, r->a, SQL_ROLES_LOCK, PG_ARGS(pg_uuid(id)), "role", ret);
    if (e)
        return e->code == ERR_NOT_FOUND ? api_not_found() : e;
    return request_if_match(r, pg_cell_int(*ret, 0, 1, 0));
}

static err_t update_tx(struct pg *tx, struct request *r, void *arg, struct change *c) {
    struct role_body *b = arg;
    struct pg_result *old, *now;
    TRY(lock_role(tx, r, b->id, &old));
    TRY(conflict(pg_exec(tx, SQL_ROLES_UPDATE,
                         PG_ARGS(pg_uuid(b->id), pg_text(b->name), pg_text(b->description), pg_json(b->permissions),
                                 pg_text(b->inherits)),
                         NULL)));
    TRY(api_last_admin(tx));
    TRY(pg_one(tx, r->a, SQL_ROLES_LOCK, PG_ARGS(pg_uuid(b->id)), "role", &now));
    b->json = str_of(pg_cell(now, 0, 0));
    b->version = pg_cell_int(now, 0, 1, 0);
    *c =
        (struct change){.kind = "role", .id = b->id, .name = b->name, .before = pg_cell(old, 0, 0), .after = b->json.p};
    return NULL;
}

static err_t changeable(struct request *r, const struct seen_role *role) {
    if (role->built_in)
        return err_new(ERR_CONFLICT, "built-in roles cannot be changed; make a role that inherits %s", role->name);
    TRY(request_if_match(r, role->version));
    return api_covers_role(r, role->id, ROOT_SCOPE);
}

static err_t update(struct request *r, struct reply *out) {
    const struct seen_role *role = r->resource;
    struct role_body b = {.id = role->id};
    TRY(changeable(r, role));
    TRY(read_body(r, &b));
    TRY(api_tx_rights(r, update_tx, &b));
    (void)reply_etag(r, out, b.version);
    return reply_json_borrowed(out, 200, b.json);
}

static err_t delete_tx(struct pg *tx, struct request *r, void *arg, struct change *c) {
    const struct seen_role *role = arg;
    struct pg_result *old;
    TRY(lock_role(tx, r, role->id, &old));
    TRY(conflict(pg_exec(tx, SQL_ROLES_DELETE, PG_ARGS(pg_uuid(role->id)), NULL)));
    *c = (struct change){.kind = "role", .id = role->id, .name = role->name, .before = pg_cell(old, 0, 0)};
    return NULL;
}

static err_t delete (struct request *r, struct reply *out) {
    TRY(changeable(r, r->resource));
    TRY(api_tx_rights(r, delete_tx, r->resource));
    return reply_empty(out, 204);
}

static const struct route rows[] = {
    ROUTE(GET, "/api/v1/permissions", AUTH_SELF, NULL, permissions, .response_schema = "Permission",
          .flags = ROUTE_PAGE, .tag = "roles", .summary = "Every permission there is"),
    ROUTE(GET, "/api/v1/roles", AUTH_PERMISSION, "role:read", list, .response_schema = "Role", .query = "type",
          .flags = ROUTE_LIST, .tag = "roles", .summary = "Roles"),
    ROUTE(POST, "/api/v1/roles", AUTH_PERMISSION, "role:create", create, .audit = "role.create",
          .request_schema = "RoleWrite", .response_schema = "Role", .tag = "roles", .summary = "Create a role"),
    ROUTE(GET, "/api/v1/roles/{id}", AUTH_PERMISSION, "role:read", get, .resolve = resolve_role_read,
          .response_schema = "Role", .tag = "roles", .summary = "One role, by id or name"),
    ROUTE(PUT, "/api/v1/roles/{id}", AUTH_PERMISSION, "role:update", update, .read_permission = "role:read",
          .resolve = resolve_role, .audit = "role.update", .request_schema = "RoleWrite", .response_schema = "Role",
          .flags = ROUTE_IF_MATCH, .tag = "roles", .summary = "Replace a custom role"),
    ROUTE(DELETE, "/api/v1/roles/{id}", AUTH_PERMISSION, "role:delete", delete, .read_permission = "role:read",
          .resolve = resolve_role, .audit = "role.delete", .flags = ROUTE_IF_MATCH, .tag = "roles",
          .summary = "Delete a custom role that nobody has"),
};
ROUTE_TABLE(roles_routes, rows);
