/* Containers: listed from the fleet's index, never by asking engines. One rule says who sees one (runtime.h), for the list, for
 * each action and for streams. */
#include "handlers/containers.h"
#include "core/docker/container.h"
#include "handlers/env_mask.h"
#include "handlers/mem_list.h"
#include "handlers/runtime.h"
#include "handlers/tables.h"
#include "server/reply.h"

/* ---- finding ---- */

err_t resolve_container(struct request *r) {
    const struct fleet_container *c;
    const struct app_row *app;
    err_t e = fleet_container_find(platform()->fleet, NULL, request_param(r, "id"), &c);
    if (e)
        return e->code == ERR_NOT_FOUND ? api_not_found() : e;
    const char *scope = runtime_container_scope(c, &app);
    if (scope == NULL || !runtime_may_see(r->who, PERM_CONTAINER_READ, scope))
        return api_not_found();
    struct seen_container *x = arena_new_obj(r->a, struct seen_container);
    *x = (struct seen_container){.id = arena_strdup(r->a, c->id),
                                 .name = arena_strdup(r->a, c->name),
                                 .node_id = arena_strdup(r->a, c->node_id),
                                 .app_id = app ? arena_strdup(r->a, app->id) : NULL};
    r->resource = x;
    r->scope_id = arena_strdup(r->a, scope);
    return NULL;
}

/* A name that two nodes have is an answer about containers the caller may not see: only ids tell. */
static err_t resolve_by_id(struct request *r) {
    err_t e = resolve_container(r);
    return e && e->code == ERR_CONFLICT ? api_not_found() : e;
}

void container_json(struct jw *w, struct arena *a, const struct fleet_container *c) {
    const struct app_row *app;
    (void)runtime_container_scope(c, &app);
    fleet_container_json(w, c, app ? arena_printf(a, "{\"id\":\"%s\",\"name\":\"%s\"}", app->id, app->name) : NULL);
}

/* ---- list ---- */

struct page {
    struct mem_list l;
    const char *application;
};

static bool on_container(void *arg, const struct fleet_container *c) {
    struct page *p = arg;
    const struct app_row *app;
    const char *scope = runtime_container_scope(c, &app);
    if (p->application && (app == NULL || (!z_eq(app->id, p->application) && !z_eq(app->name, p->application))))
        return true;
    if (scope == NULL || !rbac_allowed(platform()->rbac, p->l.r->who, PERM_CONTAINER_READ, scope))
        return true;
    if (!mem_list_room(&p->l, c->name, c->id))
        return false;
    container_json(&p->l.w, p->l.r->a, c);
    return true;
}

static err_t list_of(struct request *r, struct reply *out, const char *node_id) {
    struct page p = {.application = request_query(r, "application")};
    const char *label = request_query(r, "label");
    TRY(mem_list_begin(&p.l, r));
    struct fleet_filter f = {.node_id = node_id,
                             .state = request_query(r, "state"),
                             .health = request_query(r, "health"),
                             .name = request_query(r, "name"),
                             .image = request_query(r, "image"),
                             .project = request_query(r, "project"),
                             .service = request_query(r, "service"),
                             .labels = &label,
                             .nlabels = label ? 1 : 0,
                             .q = p.l.q,
                             .after_name = p.l.after_name,
                             .after_id = p.l.after_id};
    (void)fleet_containers(platform()->fleet, &f, on_container, &p);
    return mem_list_reply(&p.l, out);
}

static err_t list_all(struct request *r, struct reply *out) {
    const char *ref = request_query(r, "node");
    const struct node_row *n = ref ? runtime_node(ref) : NULL;
    if (ref && n == NULL)
        return list_of(r, out, "-"); /* no such node: nothing matches */
    return list_of(r, out, n ? arena_strdup(r->a, n->id) : NULL);
}

/* Who has rights over applications only sees those of their containers that run here: the node itself need not be visible. */
static err_t list_of_node(struct request *r, struct reply *out) {
    const struct node_row *n = runtime_node(request_param(r, "node"));
    return n ? list_of(r, out, arena_strdup(r->a, n->id)) : api_not_found();
}

/* ---- inspect ---- */

static err_t inspect(struct request *r, struct reply *out) {
    const struct seen_container *x = r->resource;
    struct docker *d;
    struct docker_container_info *info;
    TRY(fleet_docker_reachable(platform()->fleet, x->node_id, &d));
    err_t e = docker_container_inspect(d, r->a, x->id, r->deadline, &info);
    docker_unref(d);
    if (e)
        return e->code == ERR_NOT_FOUND ? api_not_found() : e;
    struct json *doc = json_clone(r->a, info->raw);
    env_mask(r, r->scope_id, doc);
    AUTO_BUF b;
    struct jw w;
    const struct fleet_container *c;
    buf_init(&b, 4096, MIB(8));
    jw_init(&w, &b);
    if (fleet_container_find(platform()->fleet, x->node_id, x->id, &c) == NULL) {
        container_json(&w, r->a, c);
        struct json *row;
        TRY(json_parse(r->a, buf_str(&b), &(struct json_limits){.trusted = true}, &row));
        json_set(r->a, doc, "DockFlow", row);
    }
    json_set_bool(r->a, doc, "EnvMasked", !env_shown(r, r->scope_id));
    return reply_json(out, 200, doc);
}

/* ---- start, stop, restart ---- */

static err_t act(struct request *r, struct reply *out,
                 err_t (*fn)(struct docker *d, const char *id, int t, uint64_t deadline)) {
    const struct seen_container *x = r->resource;
    struct docker *d;
    int64_t t;
    TRY(request_query_int(r, "t", -1, 0, 600, &t));
    TRY(fleet_docker_reachable(platform()->fleet, x->node_id, &d));
    request_audit(r, "container", x->id, NULL,
                  arena_printf(r->a, "{\"name\":\"%s\",\"nodeId\":\"%s\"}", x->name, x->node_id));
    /* The engine answers when the container has stopped: longer than other requests may take. */
    (void)fiber_set_deadline(DEADLINE_NONE);
    err_t e = fn(d, x->id, (int)t, deadline_in(SECONDS(t < 0 ? 60 : t + 30)));
    docker_unref(d);
    if (e)
        return e->code == ERR_NOT_FOUND ? api_not_found() : e;
    return reply_empty(out, 204);
}

static err_t engine_start(struct docker *d, const char *id, int t, uint64_t deadline) {
    (void)t;
    return docker_container_start(d, id, deadline);
}
static err_t engine_stop(struct docker *d, const char *id, int t, uint64_t deadline) {
    return docker_container_stop(d, id, t, NULL, deadline);
}

static err_t start(struct request *r, struct reply *out) { return act(r, out, engine_start); }
static err_t stop(struct request *r, struct reply *out) { return act(r, out, engine_stop); }
static err_t restart(struct request *r, struct reply *out) { return act(r, out, docker_container_restart); }

/* ---- logs as text ---- */

err_t log_time(const char *z, const char *field, int64_t *ret_ns) {
    int64_t us;
    *ret_ns = 0;
    if (z == NULL || *z == '\0')
        return NULL;
    if (str_to_i64(str_of(z), 0, INT64_MAX, &us) == NULL) {
        /* seconds, or milliseconds when that is the only sensible reading */
        *ret_ns = us < 100000000000 ? us * 1000000000 : us < 100000000000000 ? us * 1000000 : us;
        return NULL;
    }
    if (log_stamp_parse(str_of(z), ret_ns))
        return NULL;
    if (time_parse_rfc3339(str_of(z), &us))
        return err_field(err_new(ERR_BAD_REQUEST, "a time is RFC 3339 (2026-01-02T03:04:05Z) or seconds since 1970"),
                         field);
    *ret_ns = us * 1000;
    return NULL;
}

static err_t log_text(struct request *r, struct reply *out) {
    const struct seen_container *x = r->resource;
    struct docker_logs opt = {0};
    bool on = true, err = true, cut;
    struct docker *d;
    struct str text;
    TRY(request_query_int(r, "tail", 1000, -1, 100000, &opt.tail));
    opt.tail = opt.tail == 0 ? -1 : opt.tail < 0 ? 0 : opt.tail;
    TRY(log_time(request_query(r, "since"), "since", &opt.since_ns));
    TRY(log_time(request_query(r, "until"), "until", &opt.until_ns));
    TRY(request_query_bool(r, "timestamps", false, &opt.timestamps));
    TRY(request_query_bool(r, "stdout", true, &on));
    TRY(request_query_bool(r, "stderr", true, &err));
    opt.no_stdout = !on;
    opt.no_stderr = !err;
    TRY(fleet_docker_reachable(platform()->fleet, x->node_id, &d));
    err_t e = docker_container_logs(d, r->a, x->id, &opt, r->deadline, &text, &cut);
    docker_unref(d);
    if (e)
        return e->code == ERR_NOT_FOUND ? api_not_found() : e;
    if (cut)
        TRY(reply_header(out, "x-df-truncated", "true"));
    return reply_bytes(out, 200, "text/plain; charset=utf-8", text);
}

static err_t logs(struct request *r, struct reply *out) {
    return str_find(request_header(r, "accept"), STR("text/event-stream")) >= 0 ? container_logs_sse(r, out)
                                                                                : log_text(r, out);
}

#define CONTAINER(m, path, perm, fn, ...)                                                                              \
    ROUTE(m, "/api/v1/containers/{id}" path, AUTH_PERMISSION, perm, fn, .read_permission = "container:read",           \
          .resolve = resolve_by_id, .tag = "containers", __VA_ARGS__)
#define FILTERS "state health name image label project service application"
static const struct route rows[] = {
    ROUTE(GET, "/api/v1/containers", AUTH_PERMISSION, "container:read", list_all, .query = "node " FILTERS,
          .flags = ROUTE_LIST, .response_schema = "Container", .tag = "containers",
          .summary = "Containers of all nodes"),
    ROUTE(GET, "/api/v1/nodes/{node}/containers", AUTH_PERMISSION, "container:read", list_of_node, .query = FILTERS,
          .flags = ROUTE_LIST, .response_schema = "Container", .tag = "containers", .summary = "Containers of a node"),
    CONTAINER(GET, "", "container:read", inspect, .response_schema = "ContainerInspect",
              .summary = "What the engine says; environment values only with container:inspect-env"),
    CONTAINER(POST, "/start", "container:start", start, .audit = "container.start", .query = "t", .status = 204,
              .summary = "Start"),
    CONTAINER(POST, "/stop", "container:stop", stop, .audit = "container.stop", .query = "t", .status = 204,
              .summary = "Stop; t = seconds before it is killed"),
    CONTAINER(POST, "/restart", "container:restart", restart, .audit = "container.restart", .query = "t", .status = 204,
              .summary = "Restart"),
    CONTAINER(GET, "/logs", "container:logs", logs, .query = "tail since until timestamps stdout stderr follow after",
              .response_type = "text/plain", .flags = ROUTE_SSE,
              .summary = "Log text, or server-sent events by Accept"),
};
ROUTE_TABLE(containers_routes, rows);
