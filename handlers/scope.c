#include "handlers/scope.h"
#include "core/base/check.h"
#include "core/base/id.h"
#include "handlers/list.h"

enum { MAX_FIELDS = 8 };

static const struct scope_kind *kind_of(const struct request *r) { return r->route->data; }

err_t scope_resolve(struct request *r) {
    const struct scope_kind *k = kind_of(r);
    const char *ref = request_param(r, "id"), *id = uuid_valid(str_of(ref)) ? ref : NULL;
    struct pg_result *res;
    if (!k->by_name && id == NULL)
        return api_not_found();
    TRY(api_one(r, k->get, k->by_name ? PG_ARGS(pg_text(ref), pg_uuid(id)) : PG_ARGS(pg_uuid(id)), &res));
    struct scope_seen *s = arena_new_obj(r->a, struct scope_seen);
    *s = (struct scope_seen){pg_cell(res, 0, 0), pg_cell(res, 0, 1), pg_cell_int(res, 0, 2, 0)};
    r->resource = s;
    r->scope_id = s->id;
    return NULL;
}

/* ---- reading ---- */

static const struct list_sort sorts[] = {{"name", "t.name", "text"}, {"updatedAt", "t.updated_at", "timestamptz"}};

err_t scope_list(struct request *r, struct reply *out) {
    const struct list_spec spec = {.json = "df_json(t)",
                                   .from = kind_of(r)->table,
                                   .id = "t.id",
                                   .sort = sorts,
                                   .nsort = ARRAY_LEN(sorts),
                                   .search = "t.name || ' ' || t.display_name",
                                   .scope = "t.id",
                                   .permission = PERM_PROJECT_READ};
    struct list_query l;
    TRY(list_begin(&l, r, &spec));
    for (const struct scope_filter *f = kind_of(r)->filters; f->name; f++)
        if (request_query(r, f->name))
            list_where(&l, f->where, PG_ARGS(pg_text(request_query(r, f->name))));
    return list_reply(&l, out);
}

err_t scope_get(struct request *r, struct reply *out) {
    const struct scope_seen *s = r->resource;
    struct str text;
    if (reply_etag(r, out, s->version))
        return NULL;
    TRY(api_json(r, kind_of(r)->json, PG_ARGS(pg_uuid(s->id)), &text));
    return reply_json_borrowed(out, 200, text);
}

static err_t conflict(err_t e, const struct scope_kind *k, bool removing) {
    if (e == NULL || e->code != ERR_CONFLICT)
        return e;
    if (removing)
        return err_new(ERR_CONFLICT, "the %s is not empty; delete what is in it first", k->name);
    return err_field(err_new(ERR_CONFLICT, "a %s with this name exists there already", k->name), "/name");
}

/* ---- create ---- */

struct scope_new {
    const struct scope_kind *kind;
    struct pg_args args;
    const char *id, *name;
    struct str json;
};

static struct pg_arg argument(const struct request *r, const struct json *body, const char *id, const char *field) {
    if (z_eq(field, "id"))
        return pg_uuid(id);
    if (z_eq(field, "scope"))
        return pg_uuid(r->scope_id);
    return z_ends(field, "Id") ? pg_uuid(json_get_str(body, field)) : pg_text(json_str_or(json_get(body, field), ""));
}

static err_t create_tx(struct pg *tx, struct request *r, void *arg, struct change *c) {
    struct scope_new *n = arg;
    TRY(conflict(pg_exec(tx, n->kind->insert, &n->args, NULL), n->kind, false));
    TRY(pg_json_text(tx, r->a, n->kind->json, PG_ARGS(pg_uuid(n->id)), n->kind->name, &n->json));
    *c = (struct change){.kind = n->kind->name, .id = n->id, .name = n->name, .scope_id = n->id, .after = n->json.p};
    return NULL;
}

err_t scope_create(struct request *r, struct reply *out) {
    const struct scope_kind *k = kind_of(r);
    const struct json *body;
    struct pg_arg args[MAX_FIELDS];
    TRY(request_json(r, &body));
    struct scope_new n = {.kind = k, .args = {args, 0}, .id = uuid7_new(r->a), .name = json_get_str(body, "name")};
    for (const char *const *f = k->fields; *f; f++) {
        CHECK(n.args.n < MAX_FIELDS);
        args[n.args.n++] = argument(r, body, n.id, *f);
    }
    TRY(api_tx_rights(r, create_tx, &n));
    TRY(reply_header(out, "location", arena_printf(r->a, "%s/%s", k->path, n.id)));
    (void)reply_etag(r, out, 1);
    return reply_json_borrowed(out, 201, n.json);
}

/* ---- change, delete ---- */

struct scope_change {
    const struct scope_kind *kind;
    const struct json *body;
    struct str json;
    int64_t version;
};

static err_t lock(struct pg *tx, struct request *r, const struct scope_kind *k, struct pg_result **ret) {
    const struct scope_seen *s = r->resource;
    err_t e = pg_one(tx, r->a, k->lock, PG_ARGS(pg_uuid(s->id)), k->name, ret);
    if (e)
        return e->code == ERR_NOT_FOUND ? api_not_found() : e;
    return request_if_match(r, pg_cell_int(*ret, 0, 1, 0));
}

static err_t update_tx(struct pg *tx, struct request *r, void *arg, struct change *c) {
    struct scope_change *u = arg;
    const struct scope_seen *s = r->resource;
    struct pg_result *old, *now;
    struct pg_arg id = pg_uuid(s->id), name = pg_text(json_get_str(u->body, "name")),
                  title = pg_text(json_get_str(u->body, "displayName")),
                  text = pg_text(json_get_str(u->body, "description"));
    TRY(lock(tx, r, u->kind, &old));
    TRY(conflict(pg_exec(tx, u->kind->update,
                         u->kind->described ? PG_ARGS(id, name, title, text) : PG_ARGS(id, name, title), NULL),
                 u->kind, false));
    TRY(pg_one(tx, r->a, u->kind->lock, PG_ARGS(id), u->kind->name, &now));
    u->json = str_of(pg_cell(now, 0, 0));
    u->version = pg_cell_int(now, 0, 1, 0);
    *c = (struct change){.kind = u->kind->name,
                         .id = s->id,
                         .name = pg_cell(now, 0, 2),
                         .before = pg_cell(old, 0, 0),
                         .after = u->json.p};
    return NULL;
}

err_t scope_update(struct request *r, struct reply *out) {
    const struct scope_seen *s = r->resource;
    struct scope_change u = {.kind = kind_of(r)};
    TRY(request_json(r, &u.body));
    TRY(request_if_match(r, s->version));
    TRY(api_tx_rights(r, update_tx, &u));
    (void)reply_etag(r, out, u.version);
    return reply_json_borrowed(out, 200, u.json);
}

static err_t delete_tx(struct pg *tx, struct request *r, void *arg, struct change *c) {
    const struct scope_kind *k = kind_of(r);
    const struct scope_seen *s = r->resource;
    struct pg_result *old;
    (void)arg;
    TRY(lock(tx, r, k, &old));
    TRY(conflict(pg_exec(tx, k->delete, PG_ARGS(pg_uuid(s->id)), NULL), k, true));
    TRY(api_last_admin(tx)); /* a team may have been what made somebody owner */
    *c = (struct change){.kind = k->name, .id = s->id, .name = pg_cell(old, 0, 2), .before = pg_cell(old, 0, 0)};
    return NULL;
}

err_t scope_delete(struct request *r, struct reply *out) {
    const struct scope_seen *s = r->resource;
    TRY(request_if_match(r, s->version));
    TRY(api_tx_rights(r, delete_tx, NULL));
    return reply_empty(out, 204);
}

/* ---- members ---- */

err_t scope_member_of_body(struct request *r, struct scope_member *ret) {
    const struct json *body;
    struct pg_result *res;
    struct rbac *rbac = platform()->rbac;
    TRY(request_json(r, &body));
    const char *id = str_lower(r->a, json_get(body, "userId")->s);
    err_t e = api_one(r, SQL_USERS_SEEN,
                      PG_ARGS(pg_uuid(id), pg_text(rbac_granted_scopes(rbac, r->a, r->who, PERM_USER_READ)),
                              pg_text(rbac_denied_scopes(rbac, r->a, r->who, PERM_USER_READ))),
                      &res);
    if (e)
        return err_field(e, "/userId");
    *ret = (struct scope_member){id, pg_cell(res, 0, 1)};
    return NULL;
}
