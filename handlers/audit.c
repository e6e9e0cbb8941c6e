/* The audit log: list and verify. */
#include "core/audit/audit.h"
#include "core/base/clock.h"
#include "core/base/id.h"
#include "handlers/list.h"
#include "handlers/tables.h"

static const struct list_sort sorts[] = {{"time", "t.created_at", "timestamptz"}, {"seq", "t.seq", "bigint"}};
static const struct list_spec spec = {
    .json = "df_json(t)",
    .from = "audit_logs t",
    .id = "t.id",
    .sort = sorts,
    .nsort = ARRAY_LEN(sorts),
    .descending = true,
    .search =
        "t.action || ' ' || t.actor_name || ' ' || coalesce(t.resource_name, '') || ' ' || coalesce(t.resource_id, '')"};

static err_t time_filter(struct list_query *l, const char *name, const char *fragment) {
    const char *z = request_query(l->r, name);
    int64_t us;
    if (z == NULL)
        return NULL;
    if (time_parse_rfc3339(str_of(z), &us) != NULL)
        return err_field(err_new(ERR_BAD_REQUEST, "%s takes a time such as 2026-01-31T08:00:00Z", name), name);
    list_where(l, fragment, PG_ARGS(pg_text(z)));
    return NULL;
}

/* An entry is seen by who may read the audit log where it happened; where that is gone, in its organization. */
static void visible(struct list_query *l) {
    struct rbac *rbac = platform()->rbac;
    const char *granted = rbac_granted_scopes(rbac, l->r->a, l->r->who, PERM_AUDIT_READ),
               *denied = rbac_denied_scopes(rbac, l->r->a, l->r->who, PERM_AUDIT_READ);
    if (strstr(granted, ROOT_SCOPE) && z_eq(denied, "{}"))
        return;
    list_where(
        l,
        "EXISTS (SELECT FROM scopes s WHERE s.id = coalesce((SELECT x.id FROM scopes x WHERE x.id = t.scope_id), t.org_id, t.chain) "
        "AND s.path && ?::uuid[] AND NOT s.path && ?::uuid[])",
        PG_ARGS(pg_text(granted), pg_text(denied)));
}

static err_t filters(struct list_query *l) {
    const char *user = request_query(l->r, "user"), *action = request_query(l->r, "action"),
               *resource = request_query(l->r, "resource");
    if (user && uuid_valid(str_of(user)))
        list_where(l, "t.user_id = ?::uuid", PG_ARGS(pg_uuid(user)));
    else if (user)
        list_where(l, "t.actor_name = ?", PG_ARGS(pg_text(user)));
    if (action && z_ends(action, ".*")) /* a whole family: "user.*" */
        list_where(l, "starts_with(t.action, ?)", PG_ARGS(pg_text(arena_strndup(l->r->a, action, strlen(action) - 1))));
    else if (action)
        list_where(l, "t.action = ?", PG_ARGS(pg_text(action)));
    if (resource)
        list_where(l, "(t.resource_id = ? OR t.resource_type = ?)", PG_ARGS(pg_text(resource), pg_text(resource)));
    list_filter(l, "outcome", "t.outcome");
    list_filter(l, "requestId", "t.request_id");
    TRY(time_filter(l, "from", "t.created_at >= ?::timestamptz"));
    return time_filter(l, "to", "t.created_at < ?::timestamptz");
}

static err_t list(struct request *r, struct reply *out) {
    struct list_query l;
    TRY(list_begin(&l, r, &spec));
    visible(&l);
    err_t e = filters(&l);
    if (e) {
        list_done(&l);
        return e;
    }
    return list_reply(&l, out);
}

static err_t resolve_org(struct request *r) {
    const char *org = request_query(r, "organization");
    if (org && !uuid_valid(str_of(org)))
        return api_not_found();
    r->scope_id = org ? str_lower(r->a, str_of(org)) : NULL;
    return NULL;
}

static err_t verify(struct request *r, struct reply *out) {
    struct audit_report rep;
    TRY(audit_verify(platform()->db, r->scope_id, &rep));
    struct json *j = json_object(r->a);
    json_set_bool(r->a, j, "ok", rep.first_bad == 0);
    json_set_int(r->a, j, "checked", rep.checked);
    json_set_int(r->a, j, "unsigned", rep.unsigned_rows);
    json_set(r->a, j, "firstBadSeq", rep.first_bad ? json_int(r->a, rep.first_bad) : json_null(r->a));
    json_set_str(r->a, j, "reason", rep.reason);
    return reply_json(out, 200, j);
}

static const struct route rows[] = {
    ROUTE(GET, "/api/v1/audit-logs", AUTH_PERMISSION, "audit:read", list, .response_schema = "AuditEntry",
          .query = "user action resource outcome requestId from to", .flags = ROUTE_LIST, .tag = "audit",
          .summary = "Who did what, newest first"),
    ROUTE(GET, "/api/v1/audit-logs/verify", AUTH_PERMISSION, "audit:read", verify, .resolve = resolve_org,
          .response_schema = "AuditVerify", .query = "organization", .tag = "audit",
          .summary = "Walk the hash chain of the platform or an organization"),
};
ROUTE_TABLE(audit_routes, rows);
