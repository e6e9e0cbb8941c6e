/* Organizations and who belongs to them. */
#include "handlers/list.h"
#include "handlers/scope.h"
#include "handlers/tables.h"

static const struct scope_kind kind = {
    .name = "organization",
    .path = "/api/v1/organizations",
    .table = "organizations t",
    .get = SQL_ORGANIZATIONS_GET,
    .json = SQL_ORGANIZATIONS_JSON,
    .lock = SQL_ORGANIZATIONS_LOCK,
    .insert = SQL_ORGANIZATIONS_INSERT,
    .update = SQL_ORGANIZATIONS_UPDATE,
    .delete = SQL_ORGANIZATIONS_DELETE,
    .by_name = true,
    .described = true,
    .filters = (const struct scope_filter[]){{"name", "t.name = ?"}, {0}},
    .fields = (const char *const[]){"id", "name", "displayName", "description", NULL},
};

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

static err_t member_add_tx(struct pg *tx, struct request *r, void *arg, struct change *c) {
    const struct scope_member *m = arg;
    const struct scope_seen *s = r->resource;
    int64_t n;
    TRY(pg_exec(tx, SQL_ORGANIZATIONS_MEMBER_ADD, PG_ARGS(pg_uuid(s->id), pg_uuid(m->user_id)), &n));
    *c = (struct change){.kind = "organization-member", .id = m->user_id, .name = m->username, .silent = n == 0};
    return NULL;
}

static err_t member_add(struct request *r, struct reply *out) {
    struct scope_member m;
    TRY(scope_member_of_body(r, &m));
    TRY(api_tx_rights(r, member_add_tx, &m));
    return reply_empty(out, 204);
}

/* Who leaves loses what the organization gave: teams and roles inside it. */
static err_t member_remove_tx(struct pg *tx, struct request *r, void *arg, struct change *c) {
    const struct scope_member *m = arg;
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
    struct scope_member m = {0};
    TRY(api_uuid_param(r, "userId", &m.user_id));
    TRY(api_tx_rights(r, member_remove_tx, &m));
    return reply_empty(out, 204);
}

#define PATH "/api/v1/organizations"
static const struct route rows[] = {
    SCOPE_LIST(&kind, PATH, "Organization", "name", "Organizations"),
    ROUTE(POST, PATH, AUTH_PERMISSION, "organization:create", scope_create, .audit = "organization.create",
          .request_schema = "OrganizationCreate", .response_schema = "Organization", .data = &kind, .tag = "scopes",
          .summary = "Create an organization"),
    SCOPE_GET(&kind, PATH "/{id}", "Organization", "One organization, by id or name"),
    SCOPE_WRITE(PATCH, &kind, PATH "/{id}", "organization:update", scope_update, .audit = "organization.update",
                .request_schema = "ScopeUpdate", .response_schema = "Organization",
                .summary = "Change an organization"),
    SCOPE_WRITE(DELETE, &kind, PATH "/{id}", "organization:delete", scope_delete, .audit = "organization.delete",
                .summary = "Delete an empty organization"),
    SCOPE(GET, &kind, PATH "/{id}/members", "user:read", member_list, .resolve = scope_resolve,
          .response_schema = "User", .flags = ROUTE_LIST, .summary = "People of an organization"),
    SCOPE(POST, &kind, PATH "/{id}/members", "organization:update", member_add, .status = 204, .resolve = scope_resolve,
          .audit = "organization-member.add", .request_schema = "MemberAdd", .summary = "Make somebody a member"),
    SCOPE(DELETE, &kind, PATH "/{id}/members/{userId}", "organization:update", member_remove, .resolve = scope_resolve,
          .audit = "organization-member.remove", .summary = "Remove a member with all roles in the organization"),
};
ROUTE_TABLE(organizations_routes, rows);
