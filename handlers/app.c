#include "handlers/app.h"
#include "core/base/check.h"
#include "core/base/id.h"
#include "handlers/internal.h"

static struct platform P;

struct platform *platform(void) {
    return &P;
}

err_t platform_ready(void) {
    return P.ready ? NULL : err_new(ERR_DB_UNAVAILABLE, "the server is not ready: %s", P.down[0] ? P.down : "starting");
}

err_t api_not_found(void) { return err_new(ERR_NOT_FOUND, "no such object"); }

err_t api_one(struct request *r, enum stmt stmt, const struct pg_args *args, struct pg_result **ret) {
    err_t e = pg_one(P.db, r->a, stmt, args, "object", ret);
    return e && e->code == ERR_NOT_FOUND ? api_not_found() : e;
}

err_t api_json(struct request *r, enum stmt stmt, const struct pg_args *args, struct str *ret) {
    err_t e = pg_json_text(P.db, r->a, stmt, args, "object", ret);
    return e && e->code == ERR_NOT_FOUND ? api_not_found() : e;
}

err_t api_uuid_param(const struct request *r, const char *name, const char **ret) {
    const char *z = request_param(r, name);
    if (!uuid_valid(str_of(z)))
        return api_not_found();
    *ret = z;
    return NULL;
}

/* ---- rights ---- */

/* What the same person could do with a login instead of this token. */
static bool token_is_why(const struct request *r, enum permission p, const char *scope_id) {
    if (r->who->token_id == NULL || !r->who->narrowed || perm_has(&r->who->token_perms, p))
        return false;
    struct principal whole = *r->who;
    whole.narrowed = false;
    return scope_id ? rbac_allowed(P.rbac, &whole, p, scope_id) : rbac_allowed_anywhere(P.rbac, &whole, p);
}

static err_t narrow_token(enum permission p) {
    return err_detail(err_new(ERR_INSUFFICIENT_SCOPE, "the API token's scopes do not include %s", permission_name(p)),
                      "permission", permission_name(p));
}

err_t api_require(struct request *r, enum permission p, int read, const char *scope_id) {
    struct rbac_decision d;
    const char *at = scope_id ? scope_id : ROOT_SCOPE;
    if (rbac_check(P.rbac, r->a, r->who, p, at, &d))
        return NULL;
    if (token_is_why(r, p, at))
        return narrow_token(p);
    if (read >= 0 && ((enum permission)read == p || !rbac_allowed(P.rbac, r->who, (enum permission)read, at)))
        return z_eq(at, ROOT_SCOPE)
                   ? err_detail(err_new(ERR_FORBIDDEN, "%s", d.reason), "permission", permission_name(p))
                   : api_not_found();
    err_t e = err_detail(err_new(ERR_FORBIDDEN, "%s", d.reason), "permission", permission_name(p));
    return d.role ? err_detail(e, "role", d.role) : e;
}

static err_t require_anywhere(struct request *r, enum permission p) {
    if (rbac_allowed_anywhere(P.rbac, r->who, p))
        return NULL;
    if (token_is_why(r, p, NULL))
        return narrow_token(p);
    return err_detail(err_new(ERR_FORBIDDEN, "no role gives you %s anywhere", permission_name(p)), "permission",
                      permission_name(p));
}

err_t api_session_only(const struct request *r) {
    return r->who->session_id
               ? NULL
               : err_new(ERR_INSUFFICIENT_SCOPE, "an API token cannot manage the account; log in for this");
}

err_t api_body_error(struct request *r, err_t e) {
    TRY(require_anywhere(r, (enum permission)permission_of(r->route->permission)));
    return e;
}

const char *api_scope_anywhere(struct request *r, enum permission p) {
    if (rbac_allowed(P.rbac, r->who, p, ROOT_SCOPE))
        return ROOT_SCOPE;
    struct str rest = str_of(rbac_granted_scopes(P.rbac, r->a, r->who, p)), part;
    rest = str_slice(rest, 1, rest.n - 1); /* {a,b} */
    while (rest.n && str_cut(&rest, ',', &part)) {
        const char *scope = str_z(r->a, part);
        if (rbac_allowed(P.rbac, r->who, p, scope))
            return scope;
    }
    return NULL;
}

err_t api_scope_of_body(struct request *r, const char *field) {
    const struct json *body;
    err_t e = request_json(r, &body);
    if (e)
        return api_body_error(r, e);
    const char *scope = json_get_str(body, field);
    r->scope_id = scope && *scope ? str_lower(r->a, str_of(scope)) : NULL;
    return NULL;
}

/* ---- the authorization hook ---- */

err_t app_authorize(struct request *r, const char *permission, const char *read_permission, const char *scope_id) {
    int p = permission_of(permission), read = permission_of(read_permission);
    CHECK(p >= 0 && read >= 0);
    if ((r->route->flags & ROUTE_LIST) && r->route->resolve == NULL)
        return require_anywhere(r, (enum permission)p);
    return api_require(r, (enum permission)p, read, scope_id);
}
