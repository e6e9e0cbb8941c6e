/* Role-based access control, evaluated in memory: no query per request. A snapshot of scopes, roles, bindings and memberships is
 * reloaded when the authorization epoch changes (NOTIFY df_authz, polled every 5 s as a backstop). Allowed = some binding at the
 * scope or above grants it and no deny binding there names it. Default deny. Rego only narrows later, never widens. */
#pragma once
#include "core/pg/pg.h"
#include "core/rbac/permissions.h"

#define ROOT_SCOPE "00000000-0000-7000-8000-000000000000"

enum principal_kind { PRINCIPAL_ANONYMOUS, PRINCIPAL_USER, PRINCIPAL_SERVICE, PRINCIPAL_SYSTEM };
/** Who acts. Lives in the request's arena; copy with principal_dup for longer lives. */
struct principal {
    enum principal_kind kind;
    const char *user_id, *username;
    const char *session_id, *token_id; /* exactly one for users; NULL for the system */
    bool narrowed;                     /* an API token with scopes: */
    struct perm_set token_perms;       /*   rights it is narrowed to */
    const char *token_scope;           /*   subtree it is narrowed to; NULL = none */
    bool must_change_password;
    int64_t user_epoch; /* of the credential */
    int64_t expires_ms; /* wall; of an API token: streams end with it. 0 = never */
};
struct principal *principal_dup(struct arena *a, const struct principal *p);
extern const struct principal PRINCIPAL_NOBODY, PRINCIPAL_DOCKFLOW;

struct rbac;
struct rbac *rbac_new(struct pg *db, const struct pg_conf *conf);
void rbac_free(struct rbac *r);
/** YIELDS. Write the built-in roles, load the first snapshot, start watching. */
MUST_CHECK err_t rbac_start(struct rbac *r);
/** YIELDS. Load now if the epoch moved: after a change of our own, so that the next request already sees it. */
MUST_CHECK err_t rbac_refresh(struct rbac *r);
/** Is the scope in the snapshot? One made a moment ago elsewhere is not, and nobody has rights there yet. */
bool rbac_knows(struct rbac *r, const char *scope_id);
/** Age of what decisions rest on; above 5 s without a database decisions fail with ERR_DB_UNAVAILABLE. */
uint64_t rbac_age_ms(const struct rbac *r);
int64_t rbac_epoch(const struct rbac *r);

struct rbac_decision {
    bool allowed;
    const char *reason;                       /* for people: names role and scope, or what is missing */
    const char *role, *scope_id, *scope_name; /* the deciding binding; NULL if none */
};
/** Pure on the snapshot; texts live in `a` (may be NULL: then reason is a constant). Unknown scope = not allowed. */
bool rbac_check(struct rbac *r, struct arena *a, const struct principal *who, enum permission p, const char *scope_id,
                struct rbac_decision *ret);
bool rbac_allowed(struct rbac *r, const struct principal *who, enum permission p, const char *scope_id);
/** Is the permission granted at this scope, below or above it: may the caller see anything there? */
bool rbac_allowed_anywhere(struct rbac *r, const struct principal *who, enum permission p);
/** For list queries: ids of the topmost scopes at which p is granted, as a PostgreSQL uuid[] literal "{...}"; a row is visible when
 * its scope's path overlaps it. "{}" = nothing. Scopes below with a deny are listed by rbac_denied_scopes. */
const char *rbac_granted_scopes(struct rbac *r, struct arena *a, const struct principal *who, enum permission p);
const char *rbac_denied_scopes(struct rbac *r, struct arena *a, const struct principal *who, enum permission p);
/** Is `scope_id` the scope `top` or below it? False when one of them is unknown. */
bool rbac_scope_within(struct rbac *r, const char *scope_id, const char *top);
/** Everything the principal has at a scope. */
struct perm_set rbac_permissions(struct rbac *r, const struct principal *who, const char *scope_id);
/** All scopes where the principal has any grant of its own: JSON array [{scopeId,kind,name,permissions[]}]. */
struct json *rbac_scopes_json(struct rbac *r, struct arena *a, const struct principal *who);
/** Is the user still active and the credential's epoch current? Checked per request and by live streams. */
bool rbac_user_current(struct rbac *r, const struct principal *who);
/** May `who` hand this role out at this scope: does he have every permission of it there? *ret_missing names the first he lacks;
 * false with PERM_MAX when role or scope is unknown. */
bool rbac_covers_role(struct rbac *r, const struct principal *who, const char *role_id, const char *scope_id,
                      enum permission *ret_missing);
/** Does he have everything that `user_id` has anywhere? */
bool rbac_covers_user(struct rbac *r, const struct principal *who, const char *user_id, enum permission *ret_missing);
/** Permissions of a role, inherited ones included; false when it is unknown. */
bool rbac_role_permissions(struct rbac *r, const char *role_id, struct perm_set *ret);
/** Organization of a scope ("" above organizations); NULL when the scope is unknown. Valid until the next yield. */
const char *rbac_scope_org(struct rbac *r, const char *scope_id);
/** Who is bound with a role that grants p at the scope or above (access review): JSON array. */
struct json *rbac_who_can(struct rbac *r, struct arena *a, enum permission p, const char *scope_id);
/** Called on the loop stack after each new snapshot: live streams re-check themselves. */
void rbac_on_change(struct rbac *r, void (*fn)(void *arg), void *arg);
/** Called on the loop stack with "session" or "token" and its id when a credential was revoked anywhere; with "gap" and "" when
 * such messages may have been missed. */
void rbac_on_revoked(struct rbac *r, void (*fn)(void *arg, const char *kind, const char *id), void *arg);
