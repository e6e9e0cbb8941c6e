/* Organizations and who belongs to them. */
#include "core/base/id.h"
#include "handlers/list.h"
#include "handlers/scope.h"
#include "handlers/tables.h"

static const struct scope_kind kind = {.name = "organization",
                                       .path = "/api/v1/organizations",
                                       .get = SQL_ORGANIZATIONS_GET,
                                       .json = SQL_ORGANIZATIONS_JSON,
                                       .lock = SQL_ORGANIZATIONS_LOCK,
                                       .update = SQL_ORGANIZATIONS_UPDATE,
                                       .delete = SQL_ORGANIZATIONS_DELETE,
                                       .by_name = true,
                                       .described = true};
static const struct list_sort sorts[] = {{"name", "t.name", "text"}, {"updatedAt", "t.updated_at", "timestamptz"}};
static const struct list_spec spec = {.json = "df_json(t)",
                                      .from = "organizations t",
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
    list_filter(&l, "name", "t.name");
    return list_reply(&l, out);
}

static err_t create(struct request *r, struct reply *out) {
    const struct json *body;
    TRY(request_json(r, &body));
    const char *id = uuid7_new(r->a), *name = json_get_str(body, "name");
    return scope_create(r, out, &kind, SQL_ORGANIZATIONS_INSERT,
                        PG_ARGS(pg_uuid(id), pg_text(name), pg_text(json_str_or(json_get(body, "displayName"), "")),
                                pg_text(json_str_or(json_get(body, "description"), ""))),
                        id, name);
}

/* ---- members ---- */

static const struct list_sort member_sorts[] = {{"username", "u.username", "text"}};
static const struct list_spec members = {.json = "df_json(u)",
                                         .from = "organization_members m JOIN users u ON u.id = m.user_id",
                                         .id = "u.id",
                                         .sort = member_sorts,
                                         .nsort = ARRAY_LEN(member_sorts),
                                         .search = "u.username || ' ' || u.email"};

static err_t member_list(struct request *r, struct reply *out) {
    struct list_query l;
    const struct scope_seen *s = r->resource;
    TRY(list_begin(&l, r, &members));
    list_where(&l, "m.org_id = ?::uuid", PG_ARGS(pg_uuid(s->id)));
    return list_reply(&l, out);
}

struct membership {
    const char *user_id, *username;
    enum stmt statement;
};

static err_t member_add_tx(struct pg *tx, struct request *r, void *arg, struct change *c) {
    const struct membership *m = arg;
    const struct scope_seen *s = r->resource;
    int64_t n;
    TRY(pg_exec(tx, SQL_ORGANIZATIONS_MEMBER_ADD, PG_ARGS(pg_uuid(s->id), pg_uuid(m->user_id)), &n));
    *c = (struct change){.kind = "organization-member", .id = m->user_id, .name = m->username, .silent = n == 0};
    return NULL;
}

static err_t member_add(struct request *r, struct reply *out) {
    const struct json *body;
    struct pg_result *res;
    struct rbac *rbac = platform()->rbac;
    TRY(request_json(r, &body));
    struct membership m = {.user_id = str_lower(r->a, json_get(body, "userId")->s)};
    err_t e = api_one(r, SQL_USERS_SEEN,
                      PG_ARGS(pg_uuid(m.user_id), pg_text(rbac_granted_scopes(rbac, r->a, r->who, PERM_USER_READ)),
                              pg_text(rbac_denied_scopes(rbac, r->a, r->who, PERM_USER_READ))),
                      &res);
    if (e)
        return err_field(e, "/userId");
    m.username = pg_cell(res, 0, 1);
    TRY(api_tx_rights(r, member_add_tx, &m));
    return reply_empty(out, 204);
}

/* Who leaves loses what the organization gave: teams and roles inside it. */
static err_t member_remove_tx(struct pg *tx, struct request *r, void *arg, struct change *c) {
    const struct membership *m = arg;
    const struct scope_seen *s = r->resource;
    int64_t n;
    TRY(pg_exec(tx, SQL_ORGANIZATIONS_MEMBER_REMOVE, PG_ARGS(pg_uuid(s->id), pg_uuid(m->user_id)), &n));
    if (n == 0)
        return api_not_found();
    TRY(pg_exec(tx, SQL_ORGANIZATIONS_MEMBER_LEAVE_TEAMS, PG_ARGS(pg_uuid(s->id), pg_uuid(m->user_id)), NULL));
    TRY(pg_exec(tx, SQL_ORGANIZATIONS_MEMBER_UNBIND, PG_ARGS(pg_uuid(s->id), pg_uuid(m->user_id)), NULL));
    TRY(api_last_admin(tx));
    *c = (struct change){.kind = "organization-member", .id = m->user_id};
    return NULL;
}

static err_t member_remove(struct request *r, struct reply *out) {
    struct membership m = {0};
    TRY(api_uuid_param(r, "userId", &m.user_id));
    TRY(api_tx_rights(r, member_remove_tx, &m));
    return reply_empty(out, 204);
}

static const struct route rows[] = {
    ROUTE(GET, "/api/v1/organizations", AUTH_PERMISSION, "project:read", list, .response_schema = "Organization",
          .query = "name", .flags = ROUTE_LIST, .tag = "scopes", .summary = "Organizations"),
    ROUTE(POST, "/api/v1/organizations", AUTH_PERMISSION, "organization:create", create, .audit = "organization.create",
          .request_schema = "OrganizationCreate", .response_schema = "Organization", .tag = "scopes",
          .summary = "Create an organization"),
    ROUTE(GET, "/api/v1/organizations/{id}", AUTH_PERMISSION, "project:read", get, .resolve = resolve,
          .response_schema = "Organization", .tag = "scopes", .summary = "One organization, by id or name"),
    ROUTE(PATCH, "/api/v1/organizations/{id}", AUTH_PERMISSION, "organization:update", update,
          .read_permission = "project:read", .resolve = resolve, .audit = "organization.update",
          .request_schema = "ScopeUpdate", .response_schema = "Organization", .flags = ROUTE_IF_MATCH, .tag = "scopes",
          .summary = "Change an organization"),
    ROUTE(DELETE, "/api/v1/organizations/{id}", AUTH_PERMISSION, "organization:delete", delete,
          .read_permission = "project:read", .resolve = resolve, .audit = "organization.delete",
          .flags = ROUTE_IF_MATCH, .tag = "scopes", .summary = "Delete an empty organization"),
    ROUTE(GET, "/api/v1/organizations/{id}/members", AUTH_PERMISSION, "user:read", member_list,
          .read_permission = "project:read", .resolve = resolve, .response_schema = "User", .flags = ROUTE_LIST,
          .tag = "scopes", .summary = "People of an organization"),
    ROUTE(POST, "/api/v1/organizations/{id}/members", AUTH_PERMISSION, "organization:update", member_add,
          .read_permission = "project:read", .resolve = resolve, .audit = "organization-member.add",
          .request_schema = "MemberAdd", .tag = "scopes", .summary = "Make somebody a member"),
    ROUTE(DELETE, "/api/v1/organizations/{id}/members/{userId}", AUTH_PERMISSION, "organization:update", member_remove,
          .read_permission = "project:read", .resolve = resolve, .audit = "organization-member.remove", .tag = "scopes",
          .summary = "Remove a member with all roles in the organization"),
};
ROUTE_TABLE(organizations_routes, rows);
