/* Docker nodes: rows of the database, states of the fleet. */
#include "core/base/id.h"
#include "core/docker/system.h"
#include "handlers/mem_list.h"
#include "handlers/runtime.h"
#include "handlers/tables.h"
#include "server/reply.h"

struct seen_node {
    const char *id, *name;
    int64_t version;
    bool is_default;
};

static err_t resolve_node(struct request *r) {
    const struct node_row *n = runtime_node(request_param(r, "id"));
    if (n == NULL || !runtime_may_see(r->who, PERM_NODE_READ, n->scope_id))
        return api_not_found();
    struct seen_node *x = arena_new_obj(r->a, struct seen_node);
    *x = (struct seen_node){arena_strdup(r->a, n->id), arena_strdup(r->a, n->name), n->version, n->is_default};
    r->resource = x;
    r->scope_id = arena_strdup(r->a, n->scope_id);
    return NULL;
}

static err_t resolve_scope(struct request *r) { return api_scope_of_body(r, "scopeId"); }

/* What the row says, and what the fleet knows about it. */
static void write_node(struct jw *w, struct arena *a, const struct node_row *n) {
    struct fleet_node live;
    struct json *row;
    err_t e = json_parse(a, str_of(n->json), &(struct json_limits){.trusted = true}, &row);
    jw_obj(w);
    if (fleet_node_get(platform()->fleet, n->id, &live)) {
        fleet_node_json_fields(w, &live);
    } else {
        jw_kv_str(w, "id", n->id);
        jw_kv_str(w, "name", n->name);
        jw_kv_str(w, "url", e ? "" : json_get_str(row, "url"));
        jw_kv_str(w, "state", "unreachable");
        jw_kv_str(w, "stateReason", "its address or certificates cannot be used");
        jw_kv_raw(w, "engine", "null");
    }
    static const char *const rest[] = {"scopeId", "kind",      "isDefault", "maintenance", "labels",
                                       "tls",     "createdAt", "updatedAt", "version"};
    for (size_t i = 0; e == NULL && i < ARRAY_LEN(rest); i++) {
        jw_key(w, rest[i]);
        jw_json(w, json_get(row, rest[i]));
    }
    jw_obj_end(w);
}

/* ---- reading ---- */

struct page {
    struct mem_list l;
    const char *state;
};

static bool contains(const char *hay, const char *needle) { return needle == NULL || strcasestr(hay, needle) != NULL; }

static bool on_node(void *arg, const struct node_row *n) {
    struct page *p = arg;
    struct mem_list *l = &p->l;
    struct fleet_node live;
    if (l->after_name) {
        int c = strcmp(n->name, l->after_name);
        if (c < 0 || (c == 0 && strcmp(n->id, l->after_id) <= 0))
            return true;
    }
    if (!contains(n->name, l->q) || !rbac_allowed(platform()->rbac, l->r->who, PERM_NODE_READ, n->scope_id))
        return true;
    if (p->state && (!fleet_node_get(platform()->fleet, n->id, &live) || !z_eq(fleet_state_text(live.state), p->state)))
        return true;
    if (!mem_list_room(l, n->name, n->id))
        return false;
    write_node(&l->w, l->r->a, n);
    return true;
}

static err_t list(struct request *r, struct reply *out) {
    struct page p = {.state = request_query(r, "state")};
    TRY(mem_list_begin(&p.l, r));
    runtime_nodes(on_node, &p);
    return mem_list_reply(&p.l, out);
}

static err_t reply_node(struct request *r, struct reply *out, int status, const char *id) {
    const struct node_row *n = runtime_node(id);
    AUTO_BUF b;
    struct jw w;
    if (n == NULL)
        return api_not_found();
    buf_init(&b, 1024, MIB(1));
    jw_init(&w, &b);
    write_node(&w, r->a, n);
    TRY(buf_check(&b));
    /* The version counts configuration; the state moves by itself, so there is no 304. */
    TRY(reply_header(out, "etag", arena_printf(r->a, "\"%lld\"", (long long)n->version)));
    return reply_json_text(out, status, buf_str(&b));
}

static err_t get(struct request *r, struct reply *out) {
    const struct seen_node *x = r->resource;
    return reply_node(r, out, 200, x->id);
}

/* ---- what a body says ---- */

struct node_body {
    const char *id, *name, *url, *labels, *ca, *cert, *key_sealed, *tls_name;
    bool set_tls;
    const struct json *json;
};

/* Tags are labels without a value. */
static const char *labels_of(struct arena *a, const struct json *body) {
    const struct json *labels = json_get(body, "labels"), *tags = json_get(body, "tags");
    if (labels == NULL && tags == NULL)
        return NULL;
    struct json *all = labels ? json_clone(a, labels) : json_object(a);
    for (size_t i = 0; i < json_len(tags); i++)
        json_set_str(a, all, json_str(json_at(tags, i)), "");
    return json_to_text(a, all);
}

/* The engine's address is tried by the one who will use it. */
static err_t check_endpoint(const char *name, const char *url, const struct json *tls) {
    struct docker_conf conf = {.name = name,
                               .url = url,
                               .ca_pem = json_get_str(tls, "ca"),
                               .cert_pem = json_get_str(tls, "cert"),
                               .key_pem = json_get_str(tls, "key"),
                               .tls_name = json_get_str(tls, "serverName")};
    struct docker *d;
    err_t e = docker_new(&conf, &d);
    if (e)
        return e->field && e->field[0] == '/' ? e : err_field(e, "/url");
    docker_unref(d);
    return NULL;
}

/* A socket of this machine is this machine: whoever deploys through it is root here. That is not an organization's to give. */
static err_t check_local(struct request *r, const char *url, enum permission p) {
    if (url == NULL || !z_starts(url, "unix:") || rbac_allowed(platform()->rbac, r->who, p, ROOT_SCOPE))
        return NULL;
    err_t e = err_new(ERR_FORBIDDEN, "an engine on the server's own machine needs %s for the whole platform",
                      permission_name(p));
    return err_field(err_detail(e, "permission", permission_name(p)), "/url");
}

static err_t read_tls(struct request *r, struct node_body *b) {
    const struct json *tls = json_get(b->json, "tls");
    b->set_tls = tls != NULL;
    b->ca = json_get_str(tls, "ca");
    b->cert = json_get_str(tls, "cert");
    b->tls_name = json_get_str(tls, "serverName");
    const char *key = json_get_str(tls, "key");
    if ((key == NULL) != (b->cert == NULL))
        return err_field(err_new(ERR_INVALID, "a client certificate needs both cert and key"), "/tls");
    if (key) {
        struct seal_place at = {"nodes", "tls_key_sealed", b->id};
        b->key_sealed = bytea_text(r->a, seal(r->a, platform()->keys, &at, str_of(key)));
    }
    return NULL;
}

static err_t taken(err_t e) {
    return e->code == ERR_CONFLICT ? err_field(err_new(ERR_CONFLICT, "there is a node with this name already"), "/name")
                                   : e;
}

static err_t row_json(struct pg *tx, struct request *r, const char *id, const char **ret) {
    struct pg_result *res;
    TRY(pg_one(tx, r->a, SQL_NODES_JSON, PG_ARGS(pg_uuid(id)), "node", &res));
    *ret = pg_cell(res, 0, 0);
    return NULL;
}

/* ---- create ---- */

static err_t create_tx(struct pg *tx, struct request *r, void *arg, struct change *c) {
    struct node_body *b = arg;
    const char *scope = r->scope_id ? r->scope_id : ROOT_SCOPE;
    int64_t n;
    err_t e = pg_exec(tx, SQL_NODES_INSERT,
                      PG_ARGS(pg_uuid(b->id), pg_uuid(scope), pg_text(b->name), pg_text(b->url), pg_text(b->ca),
                              pg_text(b->cert), pg_text(b->key_sealed), pg_text(b->tls_name),
                              pg_json(b->labels ? b->labels : "{}")),
                      &n);
    if (e)
        return taken(e);
    *c = (struct change){.kind = "node", .id = b->id, .name = b->name};
    TRY(row_json(tx, r, b->id, &c->after));
    return runtime_announce(tx, "node.changed", scope, "node", b->id);
}

static err_t create(struct request *r, struct reply *out) {
    struct node_body b = {.id = uuid7_new(r->a)};
    TRY(request_json(r, &b.json));
    b.name = json_get_str(b.json, "name");
    b.url = json_get_str(b.json, "url");
    b.labels = labels_of(r->a, b.json);
    TRY(check_local(r, b.url, PERM_NODE_CREATE));
    TRY(read_tls(r, &b));
    TRY(check_endpoint(b.name, b.url, json_get(b.json, "tls")));
    TRY(api_tx(r, create_tx, &b));
    TRY(runtime_reload());
    TRY(reply_header(out, "location", arena_printf(r->a, "/api/v1/nodes/%s", b.id)));
    return reply_node(r, out, 201, b.id);
}

/* ---- change ---- */

static err_t lock(struct pg *tx, struct request *r, const char *id, struct pg_result **ret) {
    err_t e = pg_one(tx, r->a, SQL_NODES_LOCK, PG_ARGS(pg_uuid(id)), "node", ret);
    if (e)
        return e->code == ERR_NOT_FOUND ? api_not_found() : e;
    return request_if_match(r, pg_cell_int(*ret, 0, 1, 0));
}

static err_t check_change(struct node_body *b, const struct pg_result *old) {
    bool is_default = pg_cell_bool(old, 0, 3);
    if (b->url == NULL && !b->set_tls)
        return NULL;
    if (is_default && b->url && !z_eq(b->url, pg_cell(old, 0, 4)))
        return err_field(err_new(ERR_CONFLICT, "the default node's address is docker.host of the configuration"),
                         "/url");
    /* A key given for one engine is not shown to another. */
    if (b->url && !z_eq(b->url, pg_cell(old, 0, 4)) && !b->set_tls && z_starts(b->url, "tcp:"))
        return err_field(err_new(ERR_INVALID, "give the TLS material together with a new address"), "/tls");
    return check_endpoint(pg_cell(old, 0, 2), b->url ? b->url : pg_cell(old, 0, 4), json_get(b->json, "tls"));
}

static err_t update_tx(struct pg *tx, struct request *r, void *arg, struct change *c) {
    struct node_body *b = arg;
    struct pg_result *old;
    const struct json *m = json_get(b->json, "maintenance");
    TRY(lock(tx, r, b->id, &old));
    TRY(check_change(b, old));
    err_t e = pg_exec(tx, SQL_NODES_UPDATE,
                      PG_ARGS(pg_uuid(b->id), pg_text(b->name), pg_text(b->url), pg_json(b->labels),
                              m ? pg_bool(json_bool_or(m, false)) : PG_NULL, pg_bool(b->set_tls), pg_text(b->ca),
                              pg_text(b->cert), pg_text(b->key_sealed), pg_text(b->tls_name)),
                      NULL);
    if (e)
        return taken(e);
    *c = (struct change){
        .kind = "node", .id = b->id, .name = b->name ? b->name : pg_cell(old, 0, 2), .before = pg_cell(old, 0, 0)};
    TRY(row_json(tx, r, b->id, &c->after));
    return runtime_announce(tx, "node.changed", r->scope_id, "node", b->id);
}

static err_t update(struct request *r, struct reply *out) {
    const struct seen_node *x = r->resource;
    struct node_body b = {.id = x->id};
    TRY(request_json(r, &b.json));
    b.name = json_get_str(b.json, "name");
    b.url = json_get_str(b.json, "url");
    b.labels = labels_of(r->a, b.json);
    TRY(check_local(r, b.url, PERM_NODE_UPDATE));
    TRY(read_tls(r, &b));
    TRY(api_tx(r, update_tx, &b));
    TRY(runtime_reload());
    return reply_node(r, out, 200, b.id);
}

static err_t delete_tx(struct pg *tx, struct request *r, void *arg, struct change *c) {
    const struct seen_node *x = arg;
    struct pg_result *old, *apps;
    TRY(lock(tx, r, x->id, &old));
    if (pg_cell_bool(old, 0, 3))
        return err_new(ERR_CONFLICT,
                       "the default node comes from docker.host of the configuration and cannot be removed");
    TRY(pg_one(tx, r->a, SQL_NODES_APPS_ON, PG_ARGS(pg_uuid(x->id)), "answer", &apps));
    if (pg_cell_int(apps, 0, 0, 0) > 0)
        return err_detail(
            err_new(ERR_CONFLICT, "%s applications belong on this node; delete them first", pg_cell(apps, 0, 0)),
            "application", pg_cell(apps, 0, 1));
    TRY(pg_exec(tx, SQL_NODES_DELETE, PG_ARGS(pg_uuid(x->id)), NULL));
    *c = (struct change){.kind = "node", .id = x->id, .name = x->name, .before = pg_cell(old, 0, 0)};
    return runtime_announce(tx, "node.changed", r->scope_id, "node", x->id);
}

static err_t delete (struct request *r, struct reply *out) {
    TRY(api_tx(r, delete_tx, r->resource));
    TRY(runtime_reload());
    return reply_empty(out, 204);
}

/* ---- test ---- */

static err_t ask(struct request *r, const char *id) {
    struct docker *d;
    TRY(fleet_docker(platform()->fleet, id, &d));
    docker_forget(d);
    err_t e = docker_negotiate(d, deadline_in(SECONDS(10)));
    docker_unref(d);
    return e ? e : fleet_refresh(platform()->fleet, id, deadline_min(r->deadline, deadline_in(SECONDS(15))));
}

static err_t test(struct request *r, struct reply *out) {
    const struct seen_node *x = r->resource;
    AUTO_BUF b;
    struct jw w;
    struct fleet_node live;
    err_t e = ask(r, x->id);
    if (e && e->code == ERR_CANCELLED)
        return e;
    buf_init(&b, 512, MIB(1));
    jw_init(&w, &b);
    jw_obj(&w);
    jw_kv_bool(&w, "ok", e == NULL);
    if (fleet_node_get(platform()->fleet, x->id, &live))
        fleet_node_json_fields(&w, &live);
    jw_key(&w, "error");
    if (e) {
        jw_obj(&w);
        jw_kv_str(&w, "code", err_code_wire(e->code));
        jw_kv_str(&w, "message", e->message);
        jw_obj_end(&w);
    } else {
        jw_null(&w);
    }
    jw_obj_end(&w);
    TRY(buf_check(&b));
    return reply_json_text(out, 200, buf_str(&b));
}

static const struct route rows[] = {
    ROUTE(GET, "/api/v1/nodes", AUTH_PERMISSION, "node:read", list, .query = "state", .flags = ROUTE_LIST,
          .response_schema = "Node", .tag = "nodes", .summary = "List Docker nodes"),
    ROUTE(POST, "/api/v1/nodes", AUTH_PERMISSION, "node:create", create, .read_permission = "node:read",
          .resolve = resolve_scope, .audit = "node.create", .request_schema = "NodeCreate", .response_schema = "Node",
          .tag = "nodes", .summary = "Register a Docker node"),
    ROUTE(GET, "/api/v1/nodes/{id}", AUTH_PERMISSION, "node:read", get, .resolve = resolve_node,
          .response_schema = "Node", .tag = "nodes", .summary = "Get a node"),
    ROUTE(PATCH, "/api/v1/nodes/{id}", AUTH_PERMISSION, "node:update", update, .read_permission = "node:read",
          .resolve = resolve_node, .audit = "node.update", .request_schema = "NodeUpdate", .flags = ROUTE_IF_MATCH,
          .response_schema = "Node", .tag = "nodes", .summary = "Change a node"),
    ROUTE(DELETE, "/api/v1/nodes/{id}", AUTH_PERMISSION, "node:delete", delete, .read_permission = "node:read",
          .resolve = resolve_node, .audit = "node.delete", .flags = ROUTE_IF_MATCH, .tag = "nodes",
          .summary = "Remove a node"),
    ROUTE(POST, "/api/v1/nodes/{id}/test", AUTH_PERMISSION, "node:read", test, .resolve = resolve_node,
          .flags = ROUTE_NO_AUDIT, .response_schema = "NodeTest", .tag = "nodes", .summary = "Ask the engine now"),
};
ROUTE_TABLE(nodes_routes, rows);
