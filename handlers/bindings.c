/* Role bindings: who has which role where. Nobody gives or takes what he does not have there himself. */
#include "core/base/id.h"
#include "handlers/list.h"
#include "handlers/tables.h"

static const struct list_sort sorts[] = {{"createdAt", "t.created_at", "timestamptz"}};
static const struct list_spec spec = {.json = "df_json(t)",
                                      .from = "role_bindings t",
                                      .id = "t.id",
                                      .sort = sorts,
                                      .nsort = ARRAY_LEN(sorts),
                                      .scope = "t.scope_id",
                                      .permission = PERM_ROLE_READ};

static err_t list(struct request *r, struct reply *out) {
    struct list_query l;
    TRY(list_begin(&l, r, &spec));
    list_filter(&l, "scope", "t.scope_id::text");
    list_filter(&l, "subject", "t.subject_id::text");
    list_filter(&l, "role", "(SELECT ro.name FROM roles ro WHERE ro.id = t.role_id)");
    return list_reply(&l, out);
}

static err_t resolve_scope(struct request *r) { return api_scope_of_body(r, "scopeId"); }

/* ---- create ---- */

struct binding {
    const char *id, *kind, *subject, *subject_name, *role_id, *role, *scope_id, *effect, *expires_at;
    struct str json;
};

/* A subject the caller may not see is not there. */
static err_t check_subject(struct request *r, struct binding *b) {
    struct pg_result *res;
    err_t e;
    if (z_eq(b->kind, "team")) {
        e = api_one(r, SQL_TEAMS_GET, PG_ARGS(pg_uuid(b->subject)), &res);
        if (e == NULL && !rbac_allowed(platform()->rbac, r->who, PERM_PROJECT_READ, b->subject))
            e = api_not_found();
        if (e == NULL) { /* a team's people are its organization's: it gets nothing outside */
            const char *org = rbac_scope_org(platform()->rbac, b->scope_id);
            if (org && *org && !z_eq(org, pg_cell(res, 0, 1)))
                e = api_not_found();
        }
    } else {
        struct rbac *rbac = platform()->rbac;
        e = api_one(r, SQL_USERS_SEEN,
                    PG_ARGS(pg_uuid(b->subject), pg_text(rbac_granted_scopes(rbac, r->a, r->who, PERM_USER_READ)),
                            pg_text(rbac_denied_scopes(rbac, r->a, r->who, PERM_USER_READ))),
                    &res);
        if (e == NULL)
            b->subject_name = pg_cell(res, 0, 1);
    }
    return e ? err_field(e, "/subjectId") : NULL;
}

/* A deny takes rights from others, so it needs all the rights there are at that place. */
static err_t check_deny(struct request *r, const struct binding *b) {
    for (int p = 0; z_eq(b->effect, "deny") && p < PERM_MAX; p++)
        TRY(api_require(r, (enum permission)p, -1, b->scope_id));
    return NULL;
}

static err_t create_tx(struct pg *tx, struct request *r, void *arg, struct change *c) {
    struct binding *b = arg;
    const char *kind = z_eq(b->kind, "team") ? "team" : "user";
    err_t e =
        pg_exec(tx, SQL_BINDINGS_INSERT,
                PG_ARGS(pg_uuid(b->id), pg_text(kind), pg_uuid(b->subject), pg_uuid(b->role_id), pg_uuid(b->scope_id),
                        pg_text(b->effect), pg_text(b->expires_at), pg_uuid(r->who->user_id)),
                NULL);
    if (e)
        return e->code == ERR_CONFLICT
                   ? err_new(ERR_CONFLICT, "this role is given there already, or role, subject or scope are gone")
                   : e;
    if (z_eq(kind, "user") && z_eq(b->effect, "allow"))
        TRY(pg_exec(tx, SQL_BINDINGS_JOIN_ORG, PG_ARGS(pg_uuid(b->scope_id), pg_uuid(b->subject)), NULL));
    if (z_eq(b->effect, "deny"))
        TRY(api_last_admin(tx));
    TRY(pg_json_text(tx, r->a, SQL_BINDINGS_JSON, PG_ARGS(pg_uuid(b->id)), "binding", &b->json));
    *c = (struct change){
        .kind = "role-binding", .id = b->id, .name = b->role, .scope_id = b->scope_id, .after = b->json.p};
    return NULL;
}

static err_t create(struct request *r, struct reply *out) {
    const struct json *body;
    struct pg_result *role;
    TRY(request_json(r, &body));
    struct binding b = {.id = uuid7_new(r->a),
                        .kind = json_get_str(body, "subjectKind"),
                        .subject = str_lower(r->a, json_get(body, "subjectId")->s),
                        .scope_id = r->scope_id ? r->scope_id : ROOT_SCOPE,
                        .effect = json_str_or(json_get(body, "effect"), "allow"),
                        .expires_at = json_get_str(body, "expiresAt")};
    TRY(check_subject(r, &b));
    err_t e = api_one(r, SQL_ROLES_BY_REF, PG_ARGS(pg_text(json_get_str(body, "role"))), &role);
    if (e)
        return err_field(e, "/role");
    b.role_id = pg_cell(role, 0, 0);
    b.role = pg_cell(role, 0, 1);
    TRY(api_covers_role(r, b.role_id, b.scope_id));
    TRY(check_deny(r, &b));
    TRY(api_tx_rights(r, create_tx, &b));
    TRY(reply_header(out, "location", arena_printf(r->a, "/api/v1/role-bindings/%s", b.id)));
    return reply_json_borrowed(out, 201, b.json);
}

/* ---- one ---- */

struct seen_binding {
    const char *id, *scope_id, *role_id, *effect;
};

static err_t resolve_binding(struct request *r) {
    const char *id;
    struct pg_result *res;
    TRY(api_uuid_param(r, "id", &id));
    TRY(api_one(r, SQL_BINDINGS_GET, PG_ARGS(pg_uuid(id)), &res));
    struct seen_binding *b = arena_new_obj(r->a, struct seen_binding);
    *b = (struct seen_binding){id, pg_cell(res, 0, 0), pg_cell(res, 0, 1), pg_cell(res, 0, 2)};
    r->resource = b;
    r->scope_id = b->scope_id;
    return NULL;
}

static err_t get(struct request *r, struct reply *out) {
    const struct seen_binding *b = r->resource;
    struct str text;
    TRY(api_json(r, SQL_BINDINGS_JSON, PG_ARGS(pg_uuid(b->id)), &text));
    return reply_json_borrowed(out, 200, text);
}

static err_t delete_tx(struct pg *tx, struct request *r, void *arg, struct change *c) {
    const struct seen_binding *b = arg;
    struct str before;
    int64_t n;
    err_t e = pg_json_text(tx, r->a, SQL_BINDINGS_JSON, PG_ARGS(pg_uuid(b->id)), "binding", &before);
    if (e)
        return e->code == ERR_NOT_FOUND ? api_not_found() : e;
    TRY(pg_exec(tx, SQL_BINDINGS_DELETE, PG_ARGS(pg_uuid(b->id)), &n));
    if (n == 0)
        return api_not_found();
    TRY(api_last_admin(tx));
    *c = (struct change){.kind = "role-binding", .id = b->id, .scope_id = b->scope_id, .before = before.p};
    return NULL;
}

static err_t delete (struct request *r, struct reply *out) {
    struct seen_binding *b = r->resource;
    struct binding as_new = {.effect = b->effect, .scope_id = b->scope_id};
    TRY(api_covers_role(r, b->role_id, b->scope_id));
    TRY(check_deny(r, &as_new));
    TRY(api_tx_rights(r, delete_tx, b));
    return reply_empty(out, 204);
}

static const struct route rows[] = {
    ROUTE(GET, "/api/v1/role-bindings", AUTH_PERMISSION, "role:read", list, .response_schema = "RoleBinding",
          .query = "scope subject role", .flags = ROUTE_LIST, .tag = "roles", .summary = "Who has which role where"),
    ROUTE(POST, "/api/v1/role-bindings", AUTH_PERMISSION, "binding:create", create, .read_permission = "role:read",
          .resolve = resolve_scope, .audit = "role-binding.create", .request_schema = "RoleBindingCreate",
          .response_schema = "RoleBinding", .tag = "roles",
          .summary = "Give a role to a user or team, at a scope and below"),
    ROUTE(GET, "/api/v1/role-bindings/{id}", AUTH_PERMISSION, "role:read", get, .resolve = resolve_binding,
          .response_schema = "RoleBinding", .tag = "roles", .summary = "One role binding"),
    ROUTE(DELETE, "/api/v1/role-bindings/{id}", AUTH_PERMISSION, "binding:delete", delete,
          .read_permission = "role:read", .resolve = resolve_binding, .audit = "role-binding.delete", .tag = "roles",
          .summary = "Take a role away"),
};
ROUTE_TABLE(bindings_routes, rows);
