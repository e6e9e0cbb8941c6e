/* Accounts. A person is seen by whoever has user:read at the root, and by those who have it in an organization of his; only the
 * root's rights change accounts, and nobody changes an account that can do more than his own. */
#include "core/base/id.h"
#include "handlers/list.h"
#include "handlers/tables.h"

/** What resolve_user leaves in r->resource. */
struct seen_user {
    const char *id, *username, *email;
    int64_t version;
};

/* Sets r->scope_id to the scope through which the caller sees the user. */
static err_t resolve_user(struct request *r) {
    const char *id;
    struct pg_result *res;
    struct rbac *rbac = platform()->rbac;
    TRY(api_uuid_param(r, "id", &id));
    TRY(api_one(r, SQL_USERS_SEEN,
                PG_ARGS(pg_uuid(id), pg_text(rbac_granted_scopes(rbac, r->a, r->who, PERM_USER_READ)),
                        pg_text(rbac_denied_scopes(rbac, r->a, r->who, PERM_USER_READ))),
                &res));
    struct seen_user *u = arena_new_obj(r->a, struct seen_user);
    *u = (struct seen_user){str_lower(r->a, str_of(id)), pg_cell(res, 0, 1), pg_cell(res, 0, 2),
                            pg_cell_int(res, 0, 0, 0)};
    r->resource = u;
    r->scope_id = pg_cell(res, 0, 3);
    return NULL;
}

static const struct list_sort sorts[] = {{"username", "u.username", "text"},
                                         {"createdAt", "u.created_at", "timestamptz"},
                                         {"updatedAt", "u.updated_at", "timestamptz"},
                                         {"email", "u.email", "text"}};
static const struct list_spec spec = {.json = "df_json(u)",
                                      .from = "users u",
                                      .id = "u.id",
                                      .sort = sorts,
                                      .nsort = ARRAY_LEN(sorts),
                                      .search = "u.username || ' ' || u.email || ' ' || u.full_name"};

static err_t list(struct request *r, struct reply *out) {
    struct list_query l;
    struct rbac *rbac = platform()->rbac;
    const char *granted = rbac_granted_scopes(rbac, r->a, r->who, PERM_USER_READ),
               *denied = rbac_denied_scopes(rbac, r->a, r->who, PERM_USER_READ);
    TRY(list_begin(&l, r, &spec));
    if (!strstr(granted, ROOT_SCOPE) || !z_eq(denied, "{}"))
        list_where(
            &l,
            "EXISTS (SELECT FROM scopes s WHERE s.path && ?::uuid[] AND NOT s.path && ?::uuid[] AND (s.kind = 'platform' OR "
            "(s.kind = 'organization' AND EXISTS (SELECT FROM organization_members m WHERE m.org_id = s.id AND m.user_id = u.id))))",
            PG_ARGS(pg_text(granted), pg_text(denied)));
    list_filter(&l, "kind", "u.kind");
    list_filter(&l, "active", "u.is_active::text");
    return list_reply(&l, out);
}

static err_t get(struct request *r, struct reply *out) {
    const struct seen_user *u = r->resource;
    struct str text;
    if (reply_etag(r, out, u->version))
        return NULL;
    TRY(api_json(r, SQL_USERS_JSON, PG_ARGS(pg_uuid(u->id)), &text));
    return reply_json_borrowed(out, 200, text);
}

/* ---- create ---- */

struct account_new {
    const char *id, *username, *email, *full_name, *phc;
    bool must_change;
    struct str json;
};

static err_t taken(void) {
    return err_field(err_new(ERR_CONFLICT, "a user with this name or e-mail address exists already"), "/username");
}

static err_t create_tx(struct pg *tx, struct request *r, void *arg, struct change *c) {
    struct account_new *u = arg;
    int64_t n;
    err_t e = pg_exec(tx, SQL_USERS_INSERT,
                      PG_ARGS(pg_uuid(u->id), pg_text(u->username), pg_text(u->email), pg_text(u->full_name),
                              pg_text(u->phc), pg_bool(u->must_change)),
                      &n);
    if (e)
        return e->code == ERR_CONFLICT ? taken() : e;
    if (n == 0)
        return taken();
    TRY(pg_json_text(tx, r->a, SQL_USERS_JSON, PG_ARGS(pg_uuid(u->id)), "user", &u->json));
    *c = (struct change){.kind = "user", .id = u->id, .name = u->username, .after = u->json.p};
    return NULL;
}

/* [a-z0-9] first, then also . _ @ + -: what survives in URLs, logs and a login form. Folded once, here. */
static err_t username_of(struct request *r, const char *text, const char **ret) {
    const char *z = str_lower(r->a, str_of(text));
    for (const char *p = z; *p; p++) {
        bool alnum = (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9');
        if (!alnum && (p == z || strchr("._@+-", *p) == NULL))
            return err_field(
                err_new(ERR_INVALID,
                        "a user name has letters, digits and . _ @ + -, and starts with a letter or digit"),
                "/username");
    }
    *ret = z;
    return NULL;
}

static err_t weak_at(err_t e, const char *pointer) {
    return e && e->code == ERR_WEAK_PASSWORD ? err_field(e, pointer) : e;
}

static err_t create(struct request *r, struct reply *out) {
    const struct json *body;
    char *phc;
    TRY(request_json(r, &body));
    struct account_new u = {.id = uuid7_new(r->a),
                            .full_name = json_str_or(json_get(body, "fullName"), ""),
                            .must_change = json_get_bool(body, "mustChangePassword", true)};
    TRY(username_of(r, json_get_str(body, "username"), &u.username));
    u.email = str_lower(r->a, json_get(body, "email")->s);
    TRY(weak_at(identity_password(platform()->identity, r->a, json_get(body, "password")->s, u.username, u.email, &phc),
                "/password"));
    u.phc = phc;
    TRY(api_tx_rights(r, create_tx, &u));
    TRY(reply_header(out, "location", arena_printf(r->a, "/api/v1/users/%s", u.id)));
    (void)reply_etag(r, out, 1);
    return reply_json_borrowed(out, 201, u.json);
}

/* ---- change ---- */

struct account_change {
    const struct seen_user *user;
    const char *email, *full_name, *phc;
    const struct json *active, *must_change;
    struct str json;
    int64_t version;
};

static struct pg_arg maybe_bool(const struct json *j) { return j ? pg_bool(json_bool_or(j, false)) : PG_NULL; }

/* Locked and compared with what the caller had read. */
static err_t lock_user(struct pg *tx, struct request *r, const char *id, struct pg_result **ret) {
    err_t e = pg_one(tx, r->a, SQL_USERS_LOCK, PG_ARGS(pg_uuid(id)), "user", ret);
    if (e)
        return e->code == ERR_NOT_FOUND ? api_not_found() : e;
    return request_if_match(r, pg_cell_int(*ret, 0, 1, 0));
}

static err_t update_tx(struct pg *tx, struct request *r, void *arg, struct change *c) {
    struct account_change *u = arg;
    struct pg_result *old;
    int64_t n;
    TRY(lock_user(tx, r, u->user->id, &old));
    bool off = u->active && !json_bool_or(u->active, true) && pg_cell_bool(old, 0, 2),
         out = off || u->phc || u->must_change;
    err_t e = pg_exec(tx, SQL_USERS_UPDATE,
                      PG_ARGS(pg_uuid(u->user->id), pg_text(u->email), pg_text(u->full_name), maybe_bool(u->active),
                              pg_text(u->phc), maybe_bool(u->must_change), pg_bool(out)),
                      &n);
    if (e)
        return e->code == ERR_CONFLICT ? taken() : e;
    if (n == 0)
        return taken();
    if (out)
        TRY(pg_exec(tx, SQL_USERS_REVOKE_SESSIONS,
                    PG_ARGS(pg_uuid(u->user->id), pg_text(off ? "deactivated" : "changed by an administrator")), NULL));
    if (off)
        TRY(api_last_admin(tx));
    struct pg_result *now;
    TRY(pg_one(tx, r->a, SQL_USERS_LOCK, PG_ARGS(pg_uuid(u->user->id)), "user", &now));
    u->json = str_of(pg_cell(now, 0, 0));
    u->version = pg_cell_int(now, 0, 1, 0);
    *c = (struct change){.kind = "user",
                         .id = u->user->id,
                         .name = u->user->username,
                         .before = pg_cell(old, 0, 0),
                         .after = u->json.p,
                         .details = u->phc ? "{\"passwordChanged\":true}" : NULL};
    return NULL;
}

static err_t update(struct request *r, struct reply *out) {
    const struct json *body;
    struct account_change u = {.user = r->resource};
    TRY(request_json(r, &body));
    TRY(api_require(r, PERM_USER_UPDATE, -1, ROOT_SCOPE));
    TRY(request_if_match(r, u.user->version));
    TRY(api_covers_user(r, u.user->id));
    const struct json *email = json_get(body, "email"), *password = json_get(body, "password");
    u.email = email ? str_lower(r->a, email->s) : NULL;
    u.full_name = json_get_str(body, "fullName");
    u.active = json_get(body, "active");
    u.must_change = json_get(body, "mustChangePassword");
    if (password) {
        char *phc;
        TRY(weak_at(identity_password(platform()->identity, r->a, password->s, u.user->username,
                                      u.email ? u.email : u.user->email, &phc),
                    "/password"));
        u.phc = phc;
    }
    TRY(api_tx_rights(r, update_tx, &u));
    (void)reply_etag(r, out, u.version);
    return reply_json_borrowed(out, 200, u.json);
}

/* ---- delete ---- */

static err_t delete_tx(struct pg *tx, struct request *r, void *arg, struct change *c) {
    const struct seen_user *u = arg;
    struct pg_result *old;
    TRY(lock_user(tx, r, u->id, &old));
    TRY(pg_exec(tx, SQL_USERS_DELETE, PG_ARGS(pg_uuid(u->id)), NULL));
    TRY(api_last_admin(tx));
    *c = (struct change){.kind = "user", .id = u->id, .name = u->username, .before = pg_cell(old, 0, 0)};
    return NULL;
}

static err_t delete (struct request *r, struct reply *out) {
    struct seen_user *u = r->resource;
    TRY(api_require(r, PERM_USER_DELETE, -1, ROOT_SCOPE));
    TRY(request_if_match(r, u->version));
    TRY(api_covers_user(r, u->id));
    TRY(api_tx_rights(r, delete_tx, u));
    return reply_empty(out, 204);
}

static const struct route rows[] = {
    ROUTE(GET, "/api/v1/users", AUTH_PERMISSION, "user:read", list, .response_schema = "User", .query = "kind active",
          .flags = ROUTE_LIST, .tag = "users", .summary = "Users"),
    ROUTE(POST, "/api/v1/users", AUTH_PERMISSION, "user:create", create, .audit = "user.create",
          .request_schema = "UserCreate", .response_schema = "User", .tag = "users", .summary = "Create a user"),
    ROUTE(GET, "/api/v1/users/{id}", AUTH_PERMISSION, "user:read", get, .resolve = resolve_user,
          .response_schema = "User", .tag = "users", .summary = "One user"),
    ROUTE(PATCH, "/api/v1/users/{id}", AUTH_PERMISSION, "user:update", update, .read_permission = "user:read",
          .resolve = resolve_user, .audit = "user.update", .request_schema = "UserUpdate", .response_schema = "User",
          .flags = ROUTE_IF_MATCH, .tag = "users",
          .summary = "Change a user; a new password or deactivation ends all sessions"),
    ROUTE(DELETE, "/api/v1/users/{id}", AUTH_PERMISSION, "user:delete", delete, .read_permission = "user:read",
          .resolve = resolve_user, .audit = "user.delete", .flags = ROUTE_IF_MATCH, .tag = "users",
          .summary = "Delete a user with all sessions, tokens and roles"),
};
ROUTE_TABLE(users_routes, rows);
