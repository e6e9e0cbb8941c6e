/* The middleware's questions answered by identity, RBAC, audit and the database. */
#include "core/base/check.h"
#include "core/base/clock.h"
#include "core/conf/conf.h"
#include "handlers/internal.h"

enum { STALE_MS = 5000, WAIT_MAX_MS = 60000 };

/* ---- who ---- */

static err_t from_cookie(struct request *r, struct str token, struct principal **ret) {
    if (str_starts(token, STR("dsp_")))
        return err_new(ERR_TOKEN_INVALID, "an API token is not a session");
    return identity_bearer(platform()->identity, r->a, token, r->peer_ip, ret);
}

static err_t identify(struct request *r, const struct credentials *c, struct principal **ret) {
    struct identity *id = platform()->identity;
    switch (c->kind) {
    case CRED_BEARER:
        return identity_bearer(id, r->a, str_of(c->token), r->peer_ip, ret);
    case CRED_COOKIE:
        return from_cookie(r, str_of(c->token), ret);
    case CRED_TICKET:
        return identity_ticket_take(id, r->a, str_of(c->token), r->peer_ip, str_z(r->a, r->path), ret);
    default:
        return err_new(ERR_UNAUTHENTICATED, "log in, or send an API token");
    }
}

static err_t on_authenticate(struct request *r, const struct credentials *c) {
    struct principal *who;
    TRY(platform_ready());
    if (c->kind != CRED_NONE && rbac_age_ms(platform()->rbac) > STALE_MS)
        return err_new(ERR_DB_UNAVAILABLE, "the database is away, so rights cannot be checked");
    TRY(identify(r, c, &who));
    if (who->must_change_password && !(r->route->flags & ROUTE_PASSWORD_OK))
        return err_new(ERR_PASSWORD_CHANGE_REQUIRED, "change your password first: POST /api/v1/auth/change-password");
    r->who = who;
    return NULL;
}

static const char *on_principal_key(const struct principal *who) { return who->user_id; }

static err_t on_ws_allowed(struct request *r, unsigned open) {
    (void)r;
    unsigned max = (unsigned)conf_now()->limits.ws_per_user;
    if (open < max)
        return NULL;
    return err_new(ERR_RATE_LIMITED, "you have %u streams open, which is the limit", max);
}

/* ---- what is recorded ---- */

/* Requests that were never well formed or meant for an object that is not there changed nothing and are in the access log. */
static bool worth_a_row(err_t failure) {
    int status = err_code_http(failure->code);
    return status == 401 || status == 403 || status == 409 || status >= 500;
}

static const char *resource_of(const struct request *r) {
    const char *dot = strchr(r->route->audit, '.');
    return dot ? arena_strndup(r->a, r->route->audit, (size_t)(dot - r->route->audit)) : r->route->audit;
}

static err_t on_audit(struct request *r, const struct audit_note *note, int status, err_t failure) {
    (void)status;
    if (failure ? !worth_a_row(failure) : r->audited)
        return NULL;
    const char *param = strchr(r->route->pattern, '{') ? r->params[0].p : NULL;
    struct change c = {.kind = note->resource_type ? note->resource_type : resource_of(r),
                       .id = note->resource_id ? note->resource_id : param,
                       .before = note->before,
                       .after = note->after};
    const char *outcome = failure == NULL ? "success" : err_code_http(failure->code) == 403 ? "denied" : "failure";
    return api_audit(r, r->route->audit, outcome, &c, failure);
}

static err_t on_authorize(struct request *r, const char *permission, const char *read_permission,
                          const char *scope_id) {
    err_t e = app_authorize(r, permission, read_permission, scope_id);
    if (e && err_code_http(e->code) == 403 && r->route->audit)
        err_ignore(on_audit(r, &(struct audit_note){0}, 403, e));
    return e;
}

/* ---- ?wait= ---- */

static err_t on_task_wait(struct request *r, const char *task_id, struct str *ret_json) {
    int64_t ns;
    bool ended;
    err_t e = duration_parse(str_of(request_query(r, "wait")), &ns);
    if (e || ns < 0)
        return err_field(err_new(ERR_BAD_REQUEST, "wait takes a duration such as 30s"), "wait");
    uint64_t ms = (uint64_t)ns / 1000000 < WAIT_MAX_MS ? (uint64_t)ns / 1000000 : WAIT_MAX_MS;
    /* Answer before the request's own deadline, with the task as it is then. */
    uint64_t last = r->deadline == DEADLINE_NONE ? DEADLINE_NONE : r->deadline - 1000;
    TRY(jobs_wait(platform()->jobs, task_id, deadline_min(deadline_in(ms), last), &ended));
    return jobs_get_json(platform()->db, r->a, task_id, ret_json);
}

void hooks_install(void) {
    static struct principal nobody;
    nobody = PRINCIPAL_NOBODY;
    server_set_hooks(&(struct server_hooks){.anonymous = &nobody,
                                            .authenticate = on_authenticate,
                                            .authorize = on_authorize,
                                            .audit = on_audit,
                                            .idempotency_begin = once_begin,
                                            .idempotency_end = once_end,
                                            .task_wait = on_task_wait,
                                            .principal_key = on_principal_key,
                                            .principal_dup = principal_dup,
                                            .ws_allowed = on_ws_allowed});
}
