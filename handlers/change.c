/* Changes and their records: transaction, audit row and event in one; guards of rights over other rights. */
#include "core/audit/audit.h"
#include "handlers/internal.h"

/* ---- the audit row ---- */

static const char *actor_kind(const struct principal *who) {
    switch (who->kind) {
    case PRINCIPAL_SYSTEM:
        return "system";
    case PRINCIPAL_SERVICE:
        return who->token_id ? "token" : "service";
    case PRINCIPAL_USER:
        return who->token_id ? "token" : "user";
    default:
        return "anonymous";
    }
}

static struct audit_entry entry_of(const struct request *r, const struct change *c) {
    return (struct audit_entry){.user_id = r->who->user_id,
                                .actor_kind = actor_kind(r->who),
                                .actor_name = r->who->username,
                                .session_id = r->who->session_id,
                                .token_id = r->who->token_id,
                                .action = c->action ? c->action : r->route->audit,
                                .resource_type = c->kind,
                                .resource_id = c->id,
                                .resource_name = c->name,
                                .details = c->details,
                                .before = c->before,
                                .after = c->after,
                                .ip_address = r->peer_ip,
                                .user_agent = r->user_agent,
                                .request_id = r->request_id};
}

/* The chain is the organization's. A scope made in this transaction is not in the snapshot yet, one that it removed still is. */
static err_t place(struct pg *db, struct request *r, const char *scope_id, struct audit_entry *e) {
    if (scope_id == NULL || z_eq(scope_id, ROOT_SCOPE))
        return NULL;
    e->scope_id = scope_id;
    const char *org = rbac_scope_org(platform()->rbac, scope_id);
    if (org) {
        e->org_id = *org ? arena_strdup(r->a, org) : NULL;
        return NULL;
    }
    struct pg_result *res;
    TRY(pg_rows(db, r->a, SQL_API_SCOPE_ORG, PG_ARGS(pg_uuid(scope_id)), &res));
    if (res->rows == 0)
        e->scope_id = NULL;
    else
        e->org_id = pg_cell(res, 0, 0);
    return NULL;
}

static err_t audit_error(err_t e) {
    if (e == NULL || err_code_http(e->code) == 503)
        return e;
    return err_wrap_as(ERR_AUDIT_UNAVAILABLE, e, "the audit log cannot be written");
}

err_t api_audit(struct request *r, const char *action, const char *outcome, const struct change *c, err_t failure) {
    struct change what = c ? *c : (struct change){0};
    what.action = action;
    struct audit_entry e = entry_of(r, &what);
    e.outcome = outcome;
    e.error_code = failure ? err_code_wire(failure->code) : NULL;
    TRY(place(platform()->db, r, what.scope_id ? what.scope_id : r->scope_id, &e));
    return audit_error(audit_write_alone(platform()->db, &e));
}

/* ---- the event ---- */

static const char *past(const char *verb) {
    static const char *const words[][2] = {
        {"create", "created"},      {"update", "changed"},  {"delete", "deleted"},       {"add", "added to"},
        {"remove", "removed from"}, {"sync", "synced"},     {"refresh", "refreshed"},    {"restart", "restarted"},
        {"start", "started"},       {"stop", "stopped"},    {"rollback", "rolled back"}, {"cancel", "cancelled"},
        {"grant", "gave"},          {"revoke", "took away"}};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (z_eq(words[i][0], verb))
            return words[i][1];
    return NULL;
}

static const char *sentence(const struct request *r, const struct change *c, const char *action) {
    const char *dot = strrchr(action, '.'), *word = past(dot ? dot + 1 : action);
    const char *who = r->who->username ? r->who->username : "somebody", *kind = c->kind ? c->kind : "",
               *name = c->name ? c->name : c->id;
    return word ? arena_printf(r->a, "%s %s %s %s", who, word, kind, name ? name : "")
                : arena_printf(r->a, "%s: %s %s", who, action, name ? name : "");
}

static err_t publish(struct pg *tx, const struct request *r, const struct change *c, const char *scope_id) {
    struct arena *a = r->a;
    const char *action = c->action ? c->action : r->route->audit;
    struct json *p = json_object(a), *actor = json_object(a);
    json_set_str(a, actor, "id", r->who->user_id);
    json_set_str(a, actor, "name", r->who->username);
    json_set_str(a, actor, "kind", actor_kind(r->who));
    json_set_str(a, p, "name", c->name);
    json_set(a, p, "actor", actor);
    json_set_str(a, p, "action", action);
    json_set_str(a, p, "text", sentence(r, c, action));
    return bus_publish(tx, "activity.new", scope_id, c->kind, c->id, json_to_text(a, p));
}

/* ---- the transaction ---- */

struct job_of_tx {
    struct request *r;
    err_t (*fn)(struct pg *tx, struct request *r, void *arg, struct change *c);
    void *arg;
};

static err_t body(struct pg *tx, void *arg) {
    struct job_of_tx *j = arg;
    struct change c = {0};
    TRY(j->fn(tx, j->r, j->arg, &c));
    TRY(once_mark(tx, j->r, &c));
    if (c.silent)
        return NULL;
    struct audit_entry e = entry_of(j->r, &c);
    TRY(place(tx, j->r, c.scope_id ? c.scope_id : j->r->scope_id, &e));
    TRY(publish(tx, j->r, &c, e.scope_id));
    return audit_error(audit_write(tx, &e, NULL));
}

err_t api_tx(struct request *r, err_t (*fn)(struct pg *tx, struct request *r, void *arg, struct change *c), void *arg) {
    struct job_of_tx j = {r, fn, arg};
    TRY(pg_tx(platform()->db, body, &j));
    r->audited = true;
    return NULL;
}

err_t api_tx_rights(struct request *r, err_t (*fn)(struct pg *tx, struct request *r, void *arg, struct change *c),
                    void *arg) {
    TRY(api_tx(r, fn, arg));
    /* Committed: a failure here only delays what the watcher does within a second anyway. */
    err_ignore(rbac_refresh(platform()->rbac));
    return NULL;
}

/* ---- rights over rights ---- */

static err_t lacks(enum permission missing) {
    if (missing == PERM_MAX)
        return api_not_found();
    return err_detail(err_new(ERR_FORBIDDEN, "you cannot give, take or touch %s: you do not have it there yourself",
                              permission_name(missing)),
                      "permission", permission_name(missing));
}

err_t api_covers_role(struct request *r, const char *role_id, const char *scope_id) {
    enum permission missing;
    struct rbac *rbac = platform()->rbac;
    if (rbac_covers_role(rbac, r->who, role_id, scope_id, &missing))
        return NULL;
    if (missing == PERM_MAX) { /* made elsewhere a moment ago */
        TRY(rbac_refresh(rbac));
        if (rbac_covers_role(rbac, r->who, role_id, scope_id, &missing))
            return NULL;
    }
    return lacks(missing);
}

err_t api_covers_user(struct request *r, const char *user_id) {
    enum permission missing;
    struct rbac *rbac = platform()->rbac;
    TRY(rbac_refresh(rbac));
    return rbac_covers_user(rbac, r->who, user_id, &missing) ? NULL : lacks(missing);
}

err_t api_last_admin(struct pg *tx) {
    struct pg_result *res;
    TRY(pg_one(tx, arena_current(), SQL_API_LAST_ADMIN, PG_NOARGS, "answer", &res));
    if (pg_cell_bool(res, 0, 0))
        return NULL;
    return err_new(ERR_LAST_ADMIN,
                   "this would leave the platform without an active owner; give somebody else the role owner first");
}
