#include "handlers/list.h"
#include "core/base/check.h"
#include "core/base/id.h"
#include "handlers/app.h"
#include "handlers/env_mask.h"
#include "server/reply.h"

enum { MAC = 16, SEARCH_MAX = 200, CURSOR_MAX = 2048, SQL_MAX = 64 << 10 };

/* ---- cursor ---- */

static void cursor_mac(const struct request *r, struct str payload, uint8_t out[32]) {
    uint8_t key[32];
    keyring_derive(platform()->keys, "cursor", key);
    const char *text = arena_printf(r->a, "%s\n%.*s", r->route->pattern, STR_ARG(payload));
    crypto_hmac_sha256(str_n((const char *)key, sizeof(key)), str_of(text), out);
    mem_wipe(key, sizeof(key));
}

static const char *cursor_make(const struct list_query *l, const char *id, const char *value) {
    struct arena *a = l->r->a;
    struct str payload = str_of(arena_printf(a, "%c%s\n%s\n%s", l->descending ? '-' : '+', l->sort->name, id, value));
    uint8_t mac[32];
    cursor_mac(l->r, payload, mac);
    char *raw = arena_alloc(a, MAC + payload.n, 1);
    memcpy(raw, mac, MAC);
    memcpy(raw + MAC, payload.p, payload.n);
    return base64url_encode(a, raw, MAC + payload.n);
}

static err_t bad_cursor(void) {
    return err_field(err_new(ERR_BAD_REQUEST, "this cursor does not belong to this list; start again without one"),
                     "cursor");
}

static err_t cursor_read(struct list_query *l, const char *text, const char **ret_id, const char **ret_value) {
    struct arena *a = l->r->a;
    struct str raw, order, id, rest;
    uint8_t mac[32];
    if (strlen(text) > CURSOR_MAX || !base64url_decode(a, str_of(text), &raw) || raw.n <= MAC)
        return bad_cursor();
    rest = str_slice(raw, MAC, raw.n);
    cursor_mac(l->r, rest, mac);
    if (!mem_eq_ct(mac, raw.p, MAC))
        return bad_cursor();
    const char *want = arena_printf(a, "%c%s", l->descending ? '-' : '+', l->sort->name);
    if (!str_cut(&rest, '\n', &order) || !str_cut(&rest, '\n', &id) || rest.p == NULL || !str_eqz(order, want))
        return bad_cursor();
    *ret_id = str_z(a, id);
    *ret_value = str_z(a, rest);
    return NULL;
}

/* ---- parameters ---- */

static err_t read_sort(struct list_query *l) {
    const char *z = request_query(l->r, "sort");
    l->sort = &l->spec->sort[0];
    l->descending = l->spec->descending;
    if (z == NULL)
        return NULL;
    bool minus = z[0] == '-';
    for (size_t i = 0; i < l->spec->nsort; i++)
        if (z_eq(z + minus, l->spec->sort[i].name)) {
            l->sort = &l->spec->sort[i];
            l->descending = minus;
            return NULL;
        }
    const char *names = "";
    for (size_t i = 0; i < l->spec->nsort; i++)
        names = arena_printf(l->r->a, "%s%s%s", names, i ? ", " : "", l->spec->sort[i].name);
    return err_field(err_new(ERR_BAD_REQUEST, "this list is sorted by %s", names), "sort");
}

static err_t read_limit(struct list_query *l) {
    const char *z = request_query(l->r, "limit");
    l->limit = LIST_DEFAULT;
    if (z == NULL)
        return NULL;
    if (str_to_i64(str_of(z), 1, INT64_MAX, &l->limit) != NULL)
        return err_field(err_new(ERR_BAD_REQUEST, "limit must be an integer from 1 to %d", LIST_LIMIT), "limit");
    if (l->limit > LIST_LIMIT)
        l->limit = LIST_LIMIT;
    return NULL;
}

static err_t read_search(struct list_query *l) {
    const char *q = request_query(l->r, "q");
    if (q == NULL || *q == '\0')
        return NULL;
    if (l->spec->search == NULL)
        return err_field(err_new(ERR_UNKNOWN_PARAMETER, "this list has no text search"), "q");
    if (strlen(q) > SEARCH_MAX)
        return err_field(err_new(ERR_BAD_REQUEST, "at most %d bytes", SEARCH_MAX), "q");
    list_where(l, arena_printf(l->r->a, "position(lower(?) in lower(%s)) > 0", l->spec->search), PG_ARGS(pg_text(q)));
    return NULL;
}

static err_t read_cursor(struct list_query *l) {
    const char *z = request_query(l->r, "cursor"), *id, *value;
    if (z == NULL)
        return NULL;
    TRY(cursor_read(l, z, &id, &value));
    list_where(l,
               arena_printf(l->r->a, "(%s, %s) %c (?::%s, ?::uuid)", l->sort->expr, l->spec->id,
                            l->descending ? '<' : '>', l->sort->type),
               PG_ARGS(pg_text(value), pg_text(id)));
    return NULL;
}

static err_t read_all(struct list_query *l) {
    TRY(read_sort(l));
    TRY(read_limit(l));
    TRY(read_search(l));
    TRY(read_cursor(l));
    if (l->spec->scope)
        list_visible(l, l->spec->scope, (enum permission)l->spec->permission);
    return NULL;
}

err_t list_begin(struct list_query *l, struct request *r, const struct list_spec *spec) {
    memset(l, 0, sizeof(*l));
    l->r = r;
    l->spec = spec;
    buf_init(&l->where, 256, SQL_MAX);
    err_t e = read_all(l);
    if (e)
        list_done(l);
    return e;
}

void list_done(struct list_query *l) { buf_done(&l->where); }

/* ---- conditions ---- */

static int arg_add(struct list_query *l, struct pg_arg arg) {
    CHECK(l->nargs < LIST_MAX_ARGS);
    l->args[l->nargs] = arg;
    return (int)++l->nargs;
}

void list_where(struct list_query *l, const char *fragment, const struct pg_args *args) {
    size_t next = 0;
    buf_puts(&l->where, " AND (");
    for (const char *p = fragment; *p; p++) {
        if (*p != '?') {
            buf_putc(&l->where, *p);
            continue;
        }
        CHECK(next < args->n);
        buf_putf(&l->where, "$%d", arg_add(l, args->v[next++]));
    }
    buf_putc(&l->where, ')');
}

void list_filter(struct list_query *l, const char *name, const char *expr) {
    const char *z = request_query(l->r, name);
    if (z)
        list_where(l, arena_printf(l->r->a, "%s = ?", expr), PG_ARGS(pg_text(z)));
}

void list_visible(struct list_query *l, const char *scope_expr, enum permission p) {
    struct rbac *rbac = platform()->rbac;
    const char *granted = rbac_granted_scopes(rbac, l->r->a, l->r->who, p),
               *denied = rbac_denied_scopes(rbac, l->r->a, l->r->who, p);
    if (strstr(granted, ROOT_SCOPE) && z_eq(denied, "{}"))
        return; /* sees everything: the planner need not look at scopes at all */
    list_where(
        l,
        arena_printf(
            l->r->a,
            "EXISTS (SELECT FROM scopes vs WHERE vs.id = %s AND vs.path && ?::uuid[] AND NOT vs.path && ?::uuid[])",
            scope_expr),
        PG_ARGS(pg_text(granted), pg_text(denied)));
}

/* ---- answer ---- */

static err_t field_array(struct list_query *l, const char **ret) {
    const char *z = request_query(l->r, "fields");
    *ret = NULL;
    if (z == NULL)
        return NULL;
    for (const char *p = z; *p; p++)
        if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || *p == ','))
            return err_field(err_new(ERR_BAD_REQUEST, "fields takes names separated by commas"), "fields");
    *ret = arena_printf(l->r->a, "{%s}", z);
    return *z && z[0] != ',' && z[strlen(z) - 1] != ',' && !strstr(z, ",,")
               ? NULL
               : err_field(err_new(ERR_BAD_REQUEST, "fields takes names separated by commas"), "fields");
}

static err_t build(struct list_query *l, const char **ret_sql) {
    struct arena *a = l->r->a;
    const char *fields, *json = l->spec->json, *dir = l->descending ? "DESC" : "ASC";
    const char *mark = strchr(json, '?');
    TRY(field_array(l, &fields));
    if (mark)
        json = arena_printf(a, "%.*s$%d%s", (int)(mark - json), json, arg_add(l, l->json_arg), mark + 1);
    if (fields)
        json = arena_printf(
            a,
            "(SELECT coalesce(json_object_agg(k.key, k.value), '{}') FROM json_each(%s) k WHERE k.key = ANY ($%d::text[]))",
            json, arg_add(l, pg_text(fields)));
    TRY(buf_check(&l->where));
    *ret_sql = arena_printf(
        a, "SELECT (%s)::text, (%s)::text, (%s)::text FROM %s WHERE true%.*s ORDER BY %s %s, %s %s LIMIT %lld", json,
        l->sort->expr, l->spec->id, l->spec->from, (int)l->where.n, l->where.n ? l->where.p : "", l->sort->expr, dir,
        l->spec->id, dir, (long long)l->limit + 1);
    return NULL;
}

static err_t run(struct list_query *l, struct reply *out) {
    const char *sql, *next = NULL;
    struct pg_result *res;
    TRY(build(l, &sql));
    TRY(pg_query(platform()->db, l->r->a, sql, &(struct pg_args){l->args, l->nargs}, &res));
    size_t n = res->rows;
    if (n > (size_t)l->limit) {
        n = (size_t)l->limit;
        next = cursor_make(l, pg_cell(res, n - 1, 2), pg_cell(res, n - 1, 1));
    }
    AUTO_BUF b;
    buf_init(&b, 4096, MIB(64));
    buf_putc(&b, '[');
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_putc(&b, ',');
        struct str row = res->cells[i * res->cols];
        if (l->spec->env)
            TRY(env_mask_text(l->r, pg_cell(res, i, 2), &row));
        buf_put(&b, row.p, row.n);
    }
    buf_putc(&b, ']');
    TRY(buf_check(&b));
    return reply_list(l->r, out, buf_str(&b), next);
}

err_t list_reply(struct list_query *l, struct reply *out) {
    err_t e = run(l, out);
    list_done(l);
    return e;
}
