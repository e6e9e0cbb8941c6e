/* Teams. Joining one gives its roles, so adding a member is giving them. */
#include "handlers/scope.h"
#include "handlers/tables.h"

static const struct scope_kind kind = {
    .name = "team",
    .path = "/api/v1/teams",
    .table = "teams t",
    .get = SQL_TEAMS_GET,
    .json = SQL_TEAMS_JSON,
    .lock = SQL_TEAMS_LOCK,
    .insert = SQL_TEAMS_INSERT,
    .update = SQL_TEAMS_UPDATE,
    .delete = SQL_TEAMS_DELETE,
    .described = true,
    .filters = (const struct scope_filter[]){{"organization", "t.org_id::text = ?"}, {"name", "t.name = ?"}, {0}},
    .fields = (const char *const[]){"id", "scope", "name", "displayName", "description", NULL},
};

static err_t resolve_org(struct request *r) { return api_scope_of_body(r, "organizationId"); }

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
    return scope_delete(r, out);
}

/* ---- members ---- */

static err_t member_add_tx(struct pg *tx, struct request *r, void *arg, struct change *c) {
    const struct scope_member *m = arg;
    const struct scope_seen *s = r->resource;
    int64_t n;
    TRY(pg_exec(tx, SQL_ORGANIZATIONS_MEMBER_ADD, PG_ARGS(pg_uuid(s->org_id), pg_uuid(m->user_id)), NULL));
    TRY(pg_exec(tx, SQL_TEAMS_MEMBER_ADD, PG_ARGS(pg_uuid(s->id), pg_uuid(m->user_id)), &n));
    *c = (struct change){.kind = "team-member", .id = m->user_id, .name = m->username, .silent = n == 0};
    return NULL;
}

static err_t member_add(struct request *r, struct reply *out) {
    const struct scope_seen *s = r->resource;
    struct scope_member m;
    TRY(scope_member_of_body(r, &m));
    TRY(covers_team(r, s->id));
    TRY(api_tx_rights(r, member_add_tx, &m));
    return scope_get(r, out);
}

static err_t member_remove_tx(struct pg *tx, struct request *r, void *arg, struct change *c) {
    const struct scope_member *m = arg;
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
    struct scope_member m = {0};
    TRY(api_uuid_param(r, "userId", &m.user_id));
    TRY(covers_team(r, s->id));
    TRY(api_tx_rights(r, member_remove_tx, &m));
    return reply_empty(out, 204);
}

#define PATH "/api/v1/teams"
static const struct route rows[] = {
    SCOPE_LIST(&kind, PATH, "Team", "organization name", "Teams"),
    SCOPE(POST, &kind, PATH, "project:create", scope_create, .resolve = resolve_org, .audit = "team.create",
          .request_schema = "TeamCreate", .response_schema = "Team", .summary = "Create a team"),
    SCOPE_GET(&kind, PATH "/{id}", "Team", "One team with its members"),
    SCOPE_WRITE(PATCH, &kind, PATH "/{id}", "project:update", scope_update, .audit = "team.update",
                .request_schema = "ScopeUpdate", .response_schema = "Team", .summary = "Change a team"),
    SCOPE_WRITE(DELETE, &kind, PATH "/{id}", "project:delete", delete, .audit = "team.delete",
                .summary = "Delete a team; its members lose what it gave"),
    SCOPE(POST, &kind, PATH "/{id}/members", "binding:create", member_add, .resolve = scope_resolve,
          .audit = "team-member.add", .request_schema = "MemberAdd", .response_schema = "Team",
          .summary = "Add a member"),
    SCOPE(DELETE, &kind, PATH "/{id}/members/{userId}", "binding:delete", member_remove, .resolve = scope_resolve,
          .audit = "team-member.remove", .summary = "Remove a member"),
};
ROUTE_TABLE(teams_routes, rows);
