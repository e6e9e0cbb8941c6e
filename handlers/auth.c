/* Login, refresh, logout, the caller's own account, decisions explained. */
#include "core/base/id.h"
#include "core/conf/conf.h"
#include "handlers/list.h"
#include "handlers/tables.h"

#define REFRESH_PATH "/api/v1/auth"

/* ---- credentials to the client ---- */

static const char *refresh_cookie(const struct request *r) { return r->tls ? "__Secure-df_refresh" : "df_refresh"; }

static struct login_from from_of(const struct request *r) { return (struct login_from){r->peer_ip, r->user_agent}; }

/* Programs ask for tokens in the body; browsers get cookies that no script can read. */
static bool wants_body(const struct request *r) { return str_eqz(request_header(r, "x-df-token"), "body"); }

static err_t set_cookies(struct request *r, struct reply *out, const struct login_result *s) {
    int64_t age = conf_now()->auth.refresh_absolute_days * 86400;
    TRY(reply_cookie(out, request_session_cookie(r), s->access, "/", age));
    return reply_cookie(out, refresh_cookie(r), s->refresh, REFRESH_PATH, age);
}

static err_t clear_cookies(struct request *r, struct reply *out) {
    TRY(reply_cookie(out, request_session_cookie(r), "", "/", 0));
    return reply_cookie(out, refresh_cookie(r), "", REFRESH_PATH, 0);
}

static err_t reply_session(struct request *r, struct reply *out, const struct login_result *s) {
    struct str user;
    TRY(api_json(r, SQL_USERS_JSON, PG_ARGS(pg_uuid(s->user_id)), &user));
    AUTO_BUF b;
    struct jw w;
    buf_init(&b, 1024, KIB(64));
    jw_init(&w, &b);
    jw_obj(&w);
    jw_key(&w, "user");
    jw_raw(&w, user);
    jw_kv_int(&w, "expiresIn", s->expires_in);
    jw_kv_bool(&w, "mustChangePassword", s->must_change_password);
    if (wants_body(r)) {
        jw_kv_str(&w, "accessToken", s->access);
        jw_kv_str(&w, "refreshToken", s->refresh);
        jw_kv_str(&w, "tokenType", "Bearer");
    } else {
        TRY(set_cookies(r, out, s));
    }
    jw_obj_end(&w);
    TRY(buf_check(&b));
    return reply_json_text(out, 200, buf_str(&b));
}

/* The row names the account that was tried or entered. */
static err_t record(struct request *r, const char *action, const struct login_result *s, const char *name,
                    err_t failure) {
    struct principal who = {.kind = s ? PRINCIPAL_USER : PRINCIPAL_ANONYMOUS,
                            .user_id = s ? s->user_id : NULL,
                            .username = name,
                            .session_id = s ? s->session_id : NULL};
    struct principal *before = r->who;
    struct change c = {.kind = "session", .id = s ? s->session_id : NULL, .name = name};
    r->who = &who;
    err_t e = api_audit(r, action, failure ? "failure" : "success", &c, failure);
    r->who = before;
    return e;
}

/* ---- login ---- */

/* A browser that logs in again leaves its old session behind: it must not live on. */
static void end_previous(struct request *r, const struct login_result *now) {
    const char *cookie = request_cookie(r, request_session_cookie(r));
    struct principal *old;
    if (cookie == NULL || *cookie == '\0' ||
        identity_bearer(platform()->identity, r->a, str_of(cookie), r->peer_ip, &old) != NULL)
        return;
    if (old->session_id && !z_eq(old->session_id, now->session_id))
        err_ignore(identity_logout(platform()->identity, old));
}

static err_t login(struct request *r, struct reply *out) {
    const struct json *body;
    TRY(platform_ready());
    TRY(request_json(r, &body));
    const char *name = json_get_str(body, "username");
    struct str password = json_get(body, "password")->s;
    struct login_from from = from_of(r);
    struct login_result s;
    err_t e = identity_login(platform()->identity, r->a, name, password, &from, &s);
    if (e) {
        if (e->code == ERR_INVALID_CREDENTIALS || e->code == ERR_GONE)
            TRY(record(r, "auth.login", NULL, name, e));
        return e;
    }
    TRY(record(r, "auth.login", &s, name, NULL));
    end_previous(r, &s);
    return reply_session(r, out, &s);
}

static err_t refresh(struct request *r, struct reply *out) {
    const struct json *body = NULL;
    TRY(platform_ready());
    if (r->body.n > 0)
        TRY(request_json(r, &body));
    const char *cookie = request_cookie(r, refresh_cookie(r)), *given = json_get_str(body, "refreshToken");
    if (cookie && given)
        return err_new(ERR_AMBIGUOUS_CREDENTIALS, "the refresh token is both in the cookie and in the body");
    struct login_from from = from_of(r);
    struct login_result s;
    err_t e = identity_refresh(platform()->identity, r->a, given ? given : cookie, &from, &s);
    if (e && e->code == ERR_TOKEN_REUSED)
        TRY(record(r, "auth.refresh", NULL, "", e));
    if (e && err_code_http(e->code) == 401 && cookie)
        TRY(clear_cookies(r, out));
    TRY(e);
    return reply_session(r, out, &s);
}

static err_t logout(struct request *r, struct reply *out) {
    TRY(api_session_only(r));
    TRY(identity_logout(platform()->identity, r->who));
    TRY(clear_cookies(r, out));
    TRY(reply_header(out, "clear-site-data", "\"cache\", \"storage\""));
    return reply_empty(out, 204);
}

static err_t change_password(struct request *r, struct reply *out) {
    const struct json *body;
    TRY(api_session_only(r));
    TRY(request_json(r, &body));
    struct login_from from = from_of(r);
    struct login_result s;
    TRY(identity_change_password(platform()->identity, r->a, r->who, json_get(body, "currentPassword")->s,
                                 json_get(body, "newPassword")->s, &from, &s));
    request_audit(r, "user", r->who->user_id, NULL, NULL);
    if (wants_body(r))
        return reply_session(r, out, &s);
    if (r->cookie_auth)
        TRY(set_cookies(r, out, &s));
    return reply_empty(out, 204);
}

/* ---- the caller ---- */

static err_t me(struct request *r, struct reply *out) {
    struct str user;
    TRY(api_json(r, SQL_USERS_JSON, PG_ARGS(pg_uuid(r->who->user_id)), &user));
    AUTO_BUF b;
    struct jw w;
    buf_init(&b, 4096, MIB(4));
    jw_init(&w, &b);
    jw_obj(&w);
    jw_key(&w, "user");
    jw_raw(&w, user);
    jw_key(&w, "permissions");
    jw_arr(&w);
    for (int p = 0; p < PERM_MAX; p++)
        if (rbac_allowed_anywhere(platform()->rbac, r->who, (enum permission)p))
            jw_str(&w, permission_name((enum permission)p));
    jw_arr_end(&w);
    jw_key(&w, "scopes");
    jw_json(&w, rbac_scopes_json(platform()->rbac, r->a, r->who));
    jw_kv_bool(&w, "mustChangePassword", r->who->must_change_password);
    jw_obj_end(&w);
    TRY(buf_check(&b));
    return reply_json_text(out, 200, buf_str(&b));
}

static const struct list_sort session_sorts[] = {{"createdAt", "t.created_at", "timestamptz"},
                                                 {"lastUsedAt", "t.last_used_at", "timestamptz"}};
static const struct list_spec own_sessions = {.json = "df_session_json(t, ?::uuid)",
                                              .from = "sessions t",
                                              .id = "t.id",
                                              .sort = session_sorts,
                                              .nsort = ARRAY_LEN(session_sorts),
                                              .descending = true};

static err_t sessions(struct request *r, struct reply *out) {
    struct list_query l;
    TRY(api_session_only(r));
    TRY(list_begin(&l, r, &own_sessions));
    l.json_arg = pg_uuid(r->who->session_id);
    list_where(&l,
               "t.user_id = ?::uuid AND t.revoked_at IS NULL AND t.idle_expires_at > now() AND t.absolute_expires_at > "
               "now()",
               PG_ARGS(pg_uuid(r->who->user_id)));
    return list_reply(&l, out);
}

static err_t session_delete(struct request *r, struct reply *out) {
    const char *id = request_param(r, "id");
    TRY(api_session_only(r));
    if (identity_session_revoke(platform()->identity, r->who, id) != NULL)
        return api_not_found();
    if (z_eq(id, r->who->session_id))
        TRY(clear_cookies(r, out));
    return reply_empty(out, 204);
}

static err_t ws_ticket(struct request *r, struct reply *out) {
    const struct json *body = NULL;
    const char *ticket;
    if (r->body.n > 0)
        TRY(request_json(r, &body));
    const char *path = json_str_or(json_get(body, "path"), "");
    if (*path && *path != '/')
        return err_field(err_new(ERR_INVALID, "a path begins with a slash"), "/path");
    TRY(identity_ticket_new(platform()->identity, r->a, r->who, r->peer_ip, path, &ticket));
    return reply_json_text(out, 201, str_of(arena_printf(r->a, "{\"ticket\":\"%s\",\"expiresIn\":30}", ticket)));
}

/* ---- decisions ---- */

static err_t query_permission(const struct request *r, enum permission *ret) {
    const char *name = request_query(r, "permission");
    int p = permission_of(name);
    if (p < 0)
        return err_field(err_new(ERR_BAD_REQUEST, name ? "there is no such permission; see GET /api/v1/permissions"
                                                       : "permission is required"),
                         "permission");
    *ret = (enum permission)p;
    return NULL;
}

static err_t query_scope(struct request *r, const char **ret) {
    const char *scope = request_query(r, "scope");
    if (scope == NULL || *scope == '\0') {
        *ret = ROOT_SCOPE;
        return NULL;
    }
    if (!uuid_valid(str_of(scope)))
        return err_field(err_new(ERR_BAD_REQUEST, "scope takes the id of a scope"), "scope");
    *ret = str_lower(r->a, str_of(scope));
    return NULL;
}

static err_t can_i(struct request *r, struct reply *out) {
    struct rbac_decision d;
    enum permission p;
    const char *scope;
    TRY(query_permission(r, &p));
    TRY(query_scope(r, &scope));
    bool ok = rbac_check(platform()->rbac, r->a, r->who, p, scope, &d);
    /* Names of scopes are for those who may see them; a scope that is not there and one that may not be seen answer alike. */
    if (!ok && !rbac_allowed(platform()->rbac, r->who, PERM_PROJECT_READ, scope) && !z_eq(scope, ROOT_SCOPE))
        d = (struct rbac_decision){.reason = "no role gives this permission here"};
    struct json *j = json_object(r->a), *binding = json_null(r->a);
    if (d.role) {
        binding = json_object(r->a);
        json_set_str(r->a, binding, "role", d.role);
        json_set_str(r->a, binding, "scopeId", d.scope_id);
        json_set_str(r->a, binding, "scopeName", d.scope_name);
    }
    json_set_bool(r->a, j, "allowed", ok);
    json_set_str(r->a, j, "reason", d.reason);
    json_set(r->a, j, "binding", binding);
    return reply_json(out, 200, j);
}

static err_t resolve_query_scope(struct request *r) { return query_scope(r, &r->scope_id); }

static err_t who_can(struct request *r, struct reply *out) {
    enum permission p;
    TRY(query_permission(r, &p));
    return reply_list(r, out, str_of(json_to_text(r->a, rbac_who_can(platform()->rbac, r->a, p, r->scope_id))), NULL);
}

static err_t jwks(struct request *r, struct reply *out) {
    TRY(platform_ready());
    TRY(reply_header(out, "cache-control", "public, max-age=300"));
    return reply_json_text(out, 200, str_of(identity_jwks(platform()->identity, r->a)));
}

static const struct route rows[] = {
    ROUTE(POST, "/api/v1/auth/login", AUTH_PUBLIC, NULL, login, .audit = "auth.login", .request_schema = "Login",
          .response_schema = "LoginResult", .flags = ROUTE_LOGIN | ROUTE_NO_AUDIT, .tag = "auth",
          .summary = "Log in: cookies, or tokens with X-DF-Token: body"),
    ROUTE(POST, "/api/v1/auth/refresh", AUTH_PUBLIC, NULL, refresh, .audit = "auth.refresh",
          .request_schema = "Refresh", .response_schema = "LoginResult", .flags = ROUTE_NO_AUDIT, .tag = "auth",
          .summary = "Renew a session; the refresh token works once"),
    ROUTE(POST, "/api/v1/auth/logout", AUTH_SELF, NULL, logout, .status = 204, .audit = "auth.logout",
          .flags = ROUTE_PASSWORD_OK, .tag = "auth", .summary = "End this session"),
    ROUTE(GET, "/api/v1/auth/me", AUTH_SELF, NULL, me, .response_schema = "Me", .flags = ROUTE_PASSWORD_OK,
          .tag = "auth", .summary = "Who am I, and what may I do"),
    ROUTE(POST, "/api/v1/auth/change-password", AUTH_SELF, NULL, change_password, .status = 204,
          .audit = "auth.change-password", .request_schema = "ChangePassword", .flags = ROUTE_PASSWORD_OK,
          .tag = "auth", .summary = "Change the password; every other session ends"),
    ROUTE(GET, "/api/v1/auth/sessions", AUTH_SELF, NULL, sessions, .response_schema = "Session", .flags = ROUTE_LIST,
          .tag = "auth", .summary = "My sessions"),
    ROUTE(DELETE, "/api/v1/auth/sessions/{id}", AUTH_SELF, NULL, session_delete, .audit = "session.revoke",
          .tag = "auth", .summary = "End one of my sessions"),
    ROUTE(GET, "/api/v1/auth/can-i", AUTH_SELF, NULL, can_i, .response_schema = "CanI", .query = "permission scope",
          .flags = ROUTE_PASSWORD_OK, .tag = "auth", .summary = "May I, and why"),
    ROUTE(GET, "/api/v1/auth/who-can", AUTH_PERMISSION, "role:read", who_can, .read_permission = "project:read",
          .resolve = resolve_query_scope, .response_schema = "WhoCan", .query = "permission scope", .tag = "auth",
          .summary = "Access review: everybody who may, and why"),
    ROUTE(POST, "/api/v1/ws-tickets", AUTH_SELF, NULL, ws_ticket, .status = 201, .audit = "auth.ticket",
          .request_schema = "WsTicketCreate", .response_schema = "WsTicket", .flags = ROUTE_NO_AUDIT, .tag = "auth",
          .summary = "One-use ticket that opens a WebSocket within 30 s"),
    ROUTE(GET, "/.well-known/jwks.json", AUTH_PUBLIC, NULL, jwks, .response_schema = "Jwks", .tag = "auth",
          .summary = "Public keys of access tokens"),
};
ROUTE_TABLE(auth_routes, rows);
