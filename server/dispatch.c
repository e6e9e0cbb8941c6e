/* The one h2o handler: an exchange with its own arena, a link in h2o's pool that tells when the client is gone, admission, route,
 * and a fiber that starts after the read batch. h2o is called from the loop stack only. */
#include "core/base/id.h"
#include "core/obs/log.h"
#include "server/internal.h"
#include "server/path.h"

enum { ABANDON_MS = 1000, H2_STREAM_PROGRESS = 4096, ARENA_SOFT_LIMIT = 8 << 20 };

/* ---- life of an exchange ---- */

static void xchg_free(struct xchg *x) {
    access_log(x);
    if (x->peer != NULL)
        admission_done(x->peer);
    list_del(&x->live);
    SRV.nxchgs--;
    x->magic = 0;
    arena_unref(x->a);
}

/* The one place where an exchange moves on, always from the loop stack and never inside an h2o callback */
static void xchg_step(void *arg) {
    struct xchg *x = MAGIC_CAST(arg, struct xchg, XCHG_MAGIC);
    if (x->fiber != NULL)
        return; /* its end brings us back */
    struct arena *outer = arena_set_current(x->a);
    if (x->req != NULL) {
        if (!x->answered)
            reply_send(x);
        arena_set_current(outer);
        return; /* the link's disposal brings us back */
    }
    if (x->out.ws != NULL)
        ws_abort(TAKE(x->out.ws));
    arena_set_current(outer);
    xchg_free(x);
}

void xchg_finish(struct xchg *x) { loop_defer(&x->deferred, xchg_step, x); }

/* h2o disposes of the request: answered, or abandoned by the client. Only detach, cancel and charge here. */
static void on_link_dispose(void *p) {
    struct xchg *x = ((struct link *)p)->x;
    if (x == NULL)
        return;
    struct conn *c = x->conn;
    if (c->phase == CONN_BUSY)
        conn_phase(c, CONN_IDLE);
    if (!x->answered && x->r.http2 && loop_now() - x->start_ms < ABANDON_MS)
        conn_charge(c);
    if (x->fiber != NULL)
        fiber_cancel(x->fiber);
    x->bytes_out = x->req->bytes_sent > x->bytes_out ? x->req->bytes_sent : x->bytes_out;
    x->req = NULL;
    x->conn = NULL;
    if (x->out.stream != NULL)
        reply_stream_gone(TAKE(x->out.stream));
    loop_defer(&x->deferred, xchg_step, x);
}

static struct xchg *xchg_new(struct conn *c, h2o_req_t *req) {
    struct arena *a = arena_new("request", ARENA_SOFT_LIMIT);
    struct xchg *x = arena_new_obj(a, struct xchg);
    x->magic = XCHG_MAGIC;
    x->a = a;
    x->r.a = a;
    x->conn = c;
    x->req = req;
    x->start_us = clock_mono_us();
    x->start_ms = loop_now();
    x->r.who = SRV.hooks.anonymous;
    x->r.request_id = "";
    struct link *link = h2o_mem_alloc_shared(&req->pool, sizeof(*link), on_link_dispose);
    link->x = x;
    list_add_tail(&SRV.xchgs, &x->live);
    SRV.nxchgs++;
    return x;
}

/* ---- the fiber ---- */

static err_t request_main(void *arg) {
    struct xchg *x = MAGIC_CAST(arg, struct xchg, XCHG_MAGIC);
    fiber_set_label(x->r.request_id);
    fiber_set_deadline(x->r.deadline);
    /* A request that was reset in the batch it came in does no work at all */
    err_t e = x->req == NULL ? err_new(ERR_CANCELLED, "the client has left") : middleware_run(x);
    if (e != NULL && x->out.stream != NULL)
        reply_stream_abort(x->out.stream);
    else if (e != NULL) {
        if (x->out.ws != NULL)
            ws_abort(TAKE(x->out.ws));
        reply_error(&x->out, e);
        cors_apply(x);
    }
    struct fiber *self = x->fiber;
    x->fiber = NULL;
    fiber_detach(self);
    xchg_finish(x);
    return NULL;
}

/* ---- before the fiber: everything that needs no waiting ---- */

static err_t method_not_allowed(struct xchg *x, const struct route_match *m) {
    err_t e = err_new(ERR_METHOD, "%.*s is not a method of this resource", STR_ARG(x->r.method));
    return err_detail(e, "allow", router_allow(x->a, m->allowed));
}

static bool is_api_path(struct str path) {
    static const char *const ROOTS[] = {"/api",         "/ws",    "/health", "/metrics",
                                        "/.well-known", "/debug", "/realms", "/v1"};
    for (size_t i = 0; i < ARRAY_LEN(ROOTS); i++) {
        size_t n = strlen(ROOTS[i]);
        if (path.n >= n && memcmp(path.p, ROOTS[i], n) == 0 && (path.n == n || path.p[n] == '/'))
            return true;
    }
    return false;
}

static err_t no_route(struct xchg *x, const struct route_match *m, bool known_method) {
    if (m->allowed != 0) {
        if (str_eqz(x->r.method, "OPTIONS")) {
            TRY(reply_header(&x->out, "allow", router_allow(x->a, m->allowed)));
            return reply_empty(&x->out, 204);
        }
        return method_not_allowed(x, m);
    }
    if (!known_method && !str_eqz(x->r.method, "OPTIONS") && !str_eqz(x->r.method, "TRACE"))
        return err_new(ERR_NOT_IMPLEMENTED, "unknown method");
    if (!is_api_path(x->r.path) && static_match(x))
        return NULL;
    return err_new(ERR_NOT_FOUND, "no such resource");
}

static err_t check_query(struct xchg *x) {
    TRY(query_parse(x->a, x->r.query, &x->query, &x->nquery));
    for (size_t i = 0; i < x->nquery; i++)
        if (!route_query_allowed(x->r.route, x->query[i].name))
            return err_field(err_new(ERR_UNKNOWN_PARAMETER, "unknown query parameter \"%s\"", x->query[i].name),
                             x->query[i].name);
    return NULL;
}

static bool is_json_type(struct str v, bool patch) {
    struct str type = v, params = str_n(NULL, 0);
    ptrdiff_t semi = str_find_chr(v, ';');
    if (semi >= 0) {
        type = str_trim(str_n(v.p, (size_t)semi));
        params = str_trim(str_slice(v, (size_t)semi + 1, v.n));
    }
    if (!str_eq_nocase(type, STR("application/json")) &&
        !(patch && str_eq_nocase(type, STR("application/merge-patch+json"))))
        return false;
    return params.n == 0 || str_eq_nocase(params, STR("charset=utf-8")) ||
           str_eq_nocase(params, STR("charset=\"utf-8\""));
}

static err_t check_body(struct xchg *x, h2o_req_t *req) {
    const struct route *r = x->r.route;
    struct str coding = request_header(&x->r, "content-encoding");
    if (coding.n > 0 && !str_eq_nocase(coding, STR("identity")))
        return err_new(ERR_MEDIA_TYPE, "request bodies may not be compressed");
    if (req->entity.len == 0)
        return NULL;
    if (r->method == HTTP_GET || r->method == HTTP_DELETE)
        return err_new(ERR_BAD_REQUEST, "%s takes no body", http_method_name(r->method));
    bool raw = r->flags & ROUTE_RAW_BODY;
    if (req->entity.len > (raw ? SRV.conf.max_raw_body : SRV.conf.max_body))
        return err_new(ERR_TOO_LARGE, "the body is larger than %zu bytes",
                       raw ? SRV.conf.max_raw_body : SRV.conf.max_body);
    TRY(check_own_site(x)); /* a form is not told what to send instead */
    if (!raw && !is_json_type(request_header(&x->r, "content-type"), r->method == HTTP_PATCH))
        return err_new(ERR_MEDIA_TYPE, "send application/json in UTF-8");
    x->r.body = str_dup(x->a, str_n(req->entity.base, req->entity.len));
    return NULL;
}

static err_t bind_route(struct xchg *x, const struct route_match *m) {
    x->r.route = m->route;
    x->r.params = arena_new_array(x->a, struct str, ROUTE_MAX_PARAMS);
    for (size_t i = 0; i < m->nparams; i++)
        x->r.params[i] = str_n(str_z(x->a, m->params[i]), m->params[i].n);
    if (m->route->flags & (ROUTE_SSE | ROUTE_WS))
        x->r.deadline = DEADLINE_NONE;
    return NULL;
}

static err_t check_upgrade(struct xchg *x) {
    if (!(x->r.route->flags & ROUTE_WS)) {
        x->upgrade_ws = false; /* the wish is ignored: this resource has no WebSocket side */
        return NULL;
    }
    return ws_check_handshake(x);
}

static err_t spawn(struct xchg *x) {
    struct conn *c = x->conn;
    if (c->dead || !credit_left(&c->credit, CREDIT_CONN, loop_now())) {
        conn_shutdown(c);
        return err_new(ERR_RATE_LIMITED, "this connection abandoned too many requests");
    }
    if (SRV.draining && !(x->r.route->flags & ROUTE_INLINE))
        return err_new(ERR_SHUTTING_DOWN, "the server is shutting down; try again in a few seconds");
    TRY(admission_start(c->peer));
    x->peer = c->peer;
    x->fiber = fiber_spawn(x->r.route->pattern, x->a, request_main, x);
    return NULL;
}

/* NULL with x->fiber set: running. NULL without: the reply is filled. */
static err_t dispatch(struct xchg *x, h2o_req_t *req) {
    struct conn *c = x->conn;
    if (c->reject.message != NULL) {
        x->r.request_id = uuid7_new(x->a);
        x->r.peer_ip = c->ip;
        x->r.method = STR("-");
        x->r.path = STR("-");
        x->out.close = true;
        return err_new(c->reject.code, "%s", c->reject.message);
    }
    err_t e = request_fill(x, req);
    x->out.close = e != NULL;
    if (e != NULL)
        return e;
    x->upgrade_ws = h2o_lcstris(req->upgrade.base, req->upgrade.len, H2O_STRLIT("websocket"));
    TRY(path_canonical(x->a, x->r.path, &x->r.path));
    x->head = str_eqz(x->r.method, "HEAD");
    enum http_method method = HTTP_GET;
    bool known = x->head || http_method_parse(x->r.method, &method);
    struct route_match m;
    router_match(method, x->r.path, &m);
    if (!known)
        m.route = NULL;
    if (m.route == NULL)
        return no_route(x, &m, known);
    TRY(bind_route(x, &m));
    TRY(check_query(x));
    TRY(check_upgrade(x));
    TRY(check_body(x, req));
    return m.route->flags & ROUTE_INLINE ? m.route->handler(&x->r, &x->out) : spawn(x);
}

int dispatch_on_req(h2o_handler_t *self, h2o_req_t *req) {
    (void)self;
    struct conn *c = conn_of_req(req);
    if (c->phase != CONN_H2)
        conn_phase(c, CONN_BUSY);
    c->requests++;
    struct xchg *x = xchg_new(c, req);
    struct arena *outer = arena_set_current(x->a);
    err_t e = dispatch(x, req);
    if (e != NULL)
        reply_error(&x->out, e);
    if (x->fiber == NULL) {
        cors_apply(x);
        reply_send(x);
    }
    arena_set_current(outer);
    return 0;
}

/* ---- stalled answers ---- */

/* HTTP/1 is watched by its socket writes (conn_sweep). On HTTP/2 a stream can stand still while the connection is well. */
void xchg_sweep(uint64_t now_ms) {
    for
        list_each_safe(it, tmp, &SRV.xchgs) {
            struct xchg *x = list_entry(it, struct xchg, live);
            if (x->req == NULL || !x->answered)
                continue;
            if (x->out.stream != NULL) {
                reply_stream_sweep(x, now_ms);
            } else if (x->r.http2) {
                if (x->req->bytes_sent >= x->stall_bytes + H2_STREAM_PROGRESS) {
                    x->stall_bytes = x->req->bytes_sent;
                    x->stall_at = now_ms;
                } else if (now_ms - x->stall_at > SRV.conf.stall_ms) {
                    conn_shutdown(x->conn);
                }
            }
        }
}
