/* Teams. Joining one gives its roles, so adding a member is giving them. */
#include "core/base/id.h"
#include "handlers/list.h"
#include "handlers/scope.h"
#include "handlers/tables.h"

static const struct scope_kind kind = {.name = "team",
                                       .path = "/api/v1/teams",
                                       .get = SQL_TEAMS_GET,
                                       .json = SQL_TEAMS_JSON,
                                       .lock = SQL_TEAMS_LOCK,
                                       .update = SQL_TEAMS_UPDATE,
                                       .delete = SQL_TEAMS_DELETE,
                                       .described = true};
static const struct list_sort sorts[] = {{"name", "t.name", "text"}, {"updatedAt", "t.updated_at", "timestamptz"}};
static const struct list_spec spec = {.json = "df_json(t)",
                                      .from = "teams t",
                                      .id = "t.id",
                                      .sort = sorts,
                                      .nsort = ARRAY_LEN(sorts),
                                      .search = "t.name || ' ' || t.display_name",
                                      .scope = "t.id",
                                      .permission = PERM_PROJECT_READ};

static err_t resolve(struct request *r) { return scope_resolve(r, &kind); }
static err_t resolve_org(struct request *r) { return api_scope_of_body(r, "organizationId"); }
static err_t get(struct request *r, struct reply *out) { return scope_get(r, out, &kind); }
static err_t update(struct request *r, struct reply *out) { return scope_update(r, out, &kind); }

static err_t list(struct request *r, struct reply *out) {
    struct list_query l;
    TRY(list_begin(&l, r, &spec));
    list_filter(&l, "organization", "t.org_id::text");
    list_filter(&l, "name", "t.name");
    return list_reply(&l, out);
}

static err_t create(struct request *r, struct reply *out) {
    const struct json *body;
    TRY(request_json(r, &body));
    const char *id = uuid7_new(r->a), *name = json_get_str(body, "name");
    return scope_create(r, out, &kind, SQL_TEAMS_INSERT,
                        PG_ARGS(pg_uuid(id), pg_uuid(r->scope_id), pg_text(name),
                                pg_text(json_str_or(json_get(body, "displayName"), "")),
                                pg_text(json_str_or(json_get(body, "description"), ""))),
                        id, name);
}

/** Does the caller have everything that the team gives? */
static err_t covers_team(struct request *r, const char *team_id) {
    struct pg_result *res;
    TRY(pg_rows(platform()->db, r->a, SQL_BINDINGS_OF_TEAM, PG_ARGS(pg_uuid(team_id)), &res));
    for (size_t i = 0; i < res->rows; i++)
        TRY(api_covers_role(r, pg_cell(res, i, 0), pg_cell(res, i, 1)));
    return NULL;
}

static err_t delete (struct request *r, struct reply *out) {
    const struct scope_seen *s = r->resource;
    TRY(covers_team(r, s->id));
    return scope_delete(r, out, &kind);
}

/* ---- members ---- */

struct membership {
    const char *user_id, *username;
};

static err_t member_add_tx(struct pg *tx, struct request *r, void *arg, struct change *c) {
    const struct membership *m = arg;
    const struct scope_seen *s = r->resource;
    int64_t n;
    TRY(pg_exec(tx, SQL_ORGANIZATIONS_MEMBER_ADD, PG_ARGS(pg_uuid(s->org_id), pg_uuid(m->user_id)), NULL));
    TRY(pg_exec(tx, SQL_TEAMS_MEMBER_ADD, PG_ARGS(pg_uuid(s->id), pg_uuid(m->user_id)), &n));
    *c = (struct change){.kind = "team-member", .id = m->user_id, .name = m->username, .silent = n == 0};
    return NULL;
}

static err_t member_add(struct request *r, struct reply *out) {
    const struct json *body;
    struct pg_result *res;
    const struct scope_seen *s = r->resource;
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
    TRY(covers_team(r, s->id));
    TRY(api_tx_rights(r, member_add_tx, &m));
    return scope_get(r, out, &kind);
}

static err_t member_remove_tx(struct pg *tx, struct request *r, void *arg, struct change *c) {
    const struct membership *m = arg;
    const struct scope_seen *s = r->resource;
    int64_t n;
    TRY(pg_exec(tx, SQL_TEAMS_MEMBER_REMOVE, PG_ARGS(pg_uuid(s->id), pg_uuid(m->user_id)), &n));
    if (n == 0)
        return api_not_found();
    TRY(api_last_admin(tx));
    *c = (struct change){.kind = "team-member", .id = m->user_id};
    return NULL;
}

static err_t member_remove(struct request *r, struct reply *out) {
    const struct scope_seen *s = r->resource;
    struct membership m = {0};
    TRY(api_uuid_param(r, "userId", &m.user_id));
    TRY(covers_team(r, s->id));
    TRY(api_tx_rights(r, member_remove_tx, &m));
    return reply_empty(out, 204);
}

static const struct route rows[] = {
    ROUTE(GET, "/api/v1/teams", AUTH_PERMISSION, "project:read", list, .response_schema = "Team",
          .query = "organization name", .flags = ROUTE_LIST, .tag = "scopes", .summary = "Teams"),
    ROUTE(POST, "/api/v1/teams", AUTH_PERMISSION, "project:create", create, .read_permission = "project:read",
          .resolve = resolve_org, .audit = "team.create", .request_schema = "TeamCreate", .response_schema = "Team",
          .tag = "scopes", .summary = "Create a team"),
    ROUTE(GET, "/api/v1/teams/{id}", AUTH_PERMISSION, "project:read", get, .resolve = resolve,
          .response_schema = "Team", .tag = "scopes", .summary = "One team with its members"),
    ROUTE(PATCH, "/api/v1/teams/{id}", AUTH_PERMISSION, "project:update", update, .read_permission = "project:read",
          .resolve = resolve, .audit = "team.update", .request_schema = "ScopeUpdate", .response_schema = "Team",
          .flags = ROUTE_IF_MATCH, .tag = "scopes", .summary = "Change a team"),
    ROUTE(DELETE, "/api/v1/teams/{id}", AUTH_PERMISSION, "project:delete", delete, .read_permission = "project:read",
          .resolve = resolve, .audit = "team.delete", .flags = ROUTE_IF_MATCH, .tag = "scopes",
          .summary = "Delete a team; its members lose what it gave"),
    ROUTE(POST, "/api/v1/teams/{id}/members", AUTH_PERMISSION, "binding:create", member_add,
          .read_permission = "project:read", .resolve = resolve, .audit = "team-member.add",
          .request_schema = "MemberAdd", .response_schema = "Team", .tag = "scopes", .summary = "Add a member"),
    ROUTE(DELETE, "/api/v1/teams/{id}/members/{userId}", AUTH_PERMISSION, "binding:delete", member_remove,
          .read_permission = "project:read", .resolve = resolve, .audit = "team-member.remove", .tag = "scopes",
          .summary = "Remove a member"),
};
ROUTE_TABLE(teams_routes, rows);
