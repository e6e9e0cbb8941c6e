/* Container logs, live: a viewer of the log hub behind a WebSocket or server-sent events. */
#include <stdio.h>
#include <stdlib.h>
#include "core/base/check.h"
#include "core/base/list.h"
#include "core/conf/conf.h"
#include "handlers/containers.h"
#include "handlers/guard.h"
#include "handlers/runtime.h"
#include "handlers/streams.h"
#include "handlers/tables.h"

enum { CHUNK = 64 << 10, DEFAULT_TAIL = 100, MAX_TAIL = 10000 };
#define VIEW_MAGIC 0x4c4f4756u

struct view {
    uint32_t magic;
    struct list link;
    char container[65];
    struct sink sink;
    struct hub_viewer *viewer;
    struct stream_guard *guard;
    bool paused;
    uint64_t refused; /* lines the queue had no room for */
};
static struct list views = {&views, &views};

static void view_free(struct view *v) {
    list_del(&v->link);
    hub_detach(v->viewer);
    stream_guard_free(v->guard);
    free(v);
}

static void end(struct view *v, int code, const char *reason) {
    bool sse = v->sink.sse != NULL;
    hub_detach(TAKE(v->viewer));
    sink_close(&v->sink, code, reason);
    if (sse)
        view_free(v);
}

/* ---- lines ---- */

static void pace(struct view *v, size_t queued) {
    if (queued < SINK_HIGH_WATER || v->paused || v->viewer == NULL)
        return;
    v->paused = true;
    hub_pause(v->viewer);
}

static size_t send_lines(struct view *v, struct buf *b, uint64_t last_seq) {
    char id[24];
    (void)snprintf(id, sizeof(id), "%llu", (unsigned long long)last_seq);
    return sink_send(&v->sink, "logs", id, buf_str(b));
}

static void sent(struct view *v, size_t queued, size_t lines) {
    if (queued == SIZE_MAX)
        v->refused += lines;
    pace(v, queued);
}

/* The usual batch: encoded once for all viewers that get the same lines. */
static void send_shared(struct view *v, const struct hub_batch *batch) {
    AUTO_BUF b;
    struct str items = hub_batch_json(batch);
    buf_init(&b, items.n + 64, MIB(2));
    buf_puts(&b, "{\"type\":\"logs\",\"items\":[");
    buf_put(&b, items.p, items.n);
    buf_puts(&b, "]}");
    sent(v, b.failed ? SIZE_MAX : send_lines(v, &b, batch->items[batch->n - 1].seq), batch->n);
}

/* In pieces: one message of a burst of long lines would be larger than what a connection may hold. */
static void send_pieces(struct view *v, const struct hub_batch *batch) {
    AUTO_BUF b;
    buf_init(&b, 4096, MIB(2));
    for (size_t i = 0, from = 0; i < batch->n; i++) {
        buf_puts(&b, i == from ? "{\"type\":\"logs\",\"items\":[" : ",");
        hub_item_json(&b, &batch->items[i]);
        if (b.n < CHUNK && i + 1 < batch->n)
            continue;
        buf_puts(&b, "]}");
        sent(v, b.failed ? SIZE_MAX : send_lines(v, &b, batch->items[i].seq), i - from + 1);
        from = i + 1;
        buf_clear(&b);
        b.failed = false;
    }
}

static void on_lines(void *ctx, const struct hub_batch *batch) {
    struct view *v = MAGIC_CAST(ctx, struct view, VIEW_MAGIC);
    size_t bytes = 0;
    for (size_t i = 0; i < batch->n; i++)
        bytes += batch->items[i].text.n;
    if (batch->n > 0 && bytes <= CHUNK)
        send_shared(v, batch);
    else
        send_pieces(v, batch);
}

/* ---- what else happens ---- */

static void say(struct view *v, const char *event, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void say(struct view *v, const char *event, const char *fmt, ...) {
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    (void)sink_send(&v->sink, event, NULL, str_n(text, (size_t)n));
}

static void say_dropped(struct view *v, uint64_t lines) {
    say(v, "gap", "{\"type\":\"gap\",\"dropped\":%llu}", (unsigned long long)lines);
}

static void drained(struct view *v) {
    uint64_t lines = v->refused;
    v->refused = 0;
    if (lines)
        say_dropped(v, lines);
    if (!v->paused || v->viewer == NULL)
        return;
    v->paused = false;
    hub_resume(v->viewer);
}

static void on_end(struct view *v, const struct hub_event *ev) {
    v->viewer = NULL;
    if (ev->error) {
        bool sse = v->sink.sse != NULL;
        sink_fail(&v->sink, ev->error->code == ERR_NOT_FOUND ? 4404 : 1011, ev->error);
        if (sse)
            view_free(v);
        return;
    }
    say(v, "end", "{\"type\":\"end\",\"reason\":\"%s\"}", ev->reason);
    end(v, z_eq(ev->reason, "shutdown") ? 1012 : 1000, ev->reason);
}

static const char *stamp(char out[TIME_RFC3339_LEN + 3], int64_t ns) {
    char t[TIME_RFC3339_LEN];
    (void)snprintf(out, TIME_RFC3339_LEN + 3, ns ? "\"%s\"" : "null", ns ? time_rfc3339(t, ns / 1000000) : "");
    return out;
}

static void on_event(void *ctx, const struct hub_event *ev) {
    struct view *v = MAGIC_CAST(ctx, struct view, VIEW_MAGIC);
    char from[TIME_RFC3339_LEN + 3], to[TIME_RFC3339_LEN + 3];
    switch (ev->kind) {
    case HUB_DROPPED:
        say_dropped(v, ev->count);
        break;
    case HUB_GAP:
        say(v, "gap", "{\"type\":\"gap\",\"from\":%s,\"to\":%s}", stamp(from, ev->from_ns), stamp(to, ev->to_ns));
        break;
    case HUB_STOPPED:
    case HUB_STARTED:
        say(v, "state", "{\"type\":\"state\",\"state\":\"%s\"}", ev->kind == HUB_STOPPED ? "stopped" : "running");
        break;
    case HUB_CAUGHT_UP:
        say(v, "state", "{\"type\":\"state\",\"state\":\"live\"}");
        break;
    case HUB_END:
        on_end(v, ev);
        break;
    }
}

static void on_denied(void *arg, int code, const char *reason) {
    end(MAGIC_CAST(arg, struct view, VIEW_MAGIC), code, reason);
}

/* ---- opening ---- */

static err_t read_query(struct request *r, struct hub_viewer_conf *c) {
    bool out, err, follow;
    int64_t after;
    struct str last = request_header(r, "last-event-id");
    TRY(log_time(request_query(r, "since"), "since", &c->since_ns));
    TRY(request_query_int(r, "tail", c->since_ns ? -1 : DEFAULT_TAIL, -1, INT32_MAX, &c->tail));
    c->tail = c->tail > MAX_TAIL ? MAX_TAIL : c->tail;
    TRY(request_query_int(r, "after", 0, 0, INT64_MAX, &after));
    if (last.n && str_to_i64(last, 0, INT64_MAX, &after))
        return err_field(err_new(ERR_BAD_REQUEST, "Last-Event-ID is a number of this stream"), "last-event-id");
    TRY(request_query_bool(r, "stdout", true, &out));
    TRY(request_query_bool(r, "stderr", true, &err));
    TRY(request_query_bool(r, "follow", true, &follow));
    if (!out && !err)
        return err_field(err_new(ERR_BAD_REQUEST, "ask for stdout, stderr or both"), "stdout");
    c->after_seq = (uint64_t)after;
    c->no_stdout = !out;
    c->no_stderr = !err;
    c->no_follow = !follow;
    return NULL;
}

static err_t room_for(const char *container) {
    int64_t n = 0, max = conf_now()->limits.ws_per_container;
    for
        list_each_safe(it, tmp, &views)
            n += z_eq(list_entry(it, struct view, link)->container, container);
    return n < max ? NULL
                   : err_new(ERR_RATE_LIMITED, "%lld people read this log already; that is the limit", (long long)max);
}

/* The caller must give the view a sink at once, before anything yields: lines come from the next turn on. */
static err_t view_open(struct request *r, struct view **ret) {
    const struct seen_container *x = r->resource;
    struct hub_viewer_conf c = {.container = x->id, .on_lines = on_lines, .on_event = on_event};
    struct docker *d;
    TRY(read_query(r, &c));
    TRY(room_for(x->id));
    TRY(fleet_docker_reachable(platform()->fleet, x->node_id, &d));
    struct view *v = calloc(1, sizeof(*v));
    CHECK(v != NULL);
    v->magic = VIEW_MAGIC;
    (void)snprintf(v->container, sizeof(v->container), "%s", x->id);
    list_add_tail(&views, &v->link);
    c.ctx = v;
    err_t e = hub_attach(platform()->hub, d, &c, &v->viewer);
    docker_unref(d);
    if (e) {
        view_free(v);
        return e;
    }
    v->guard = stream_guard_new(r, PERM_CONTAINER_LOGS, r->scope_id, on_denied, v);
    *ret = v;
    return NULL;
}

static void ws_drained(void *ctx, struct ws *ws) {
    (void)ws;
    drained(MAGIC_CAST(ctx, struct view, VIEW_MAGIC));
}
static void ws_closed(void *ctx, int code) {
    (void)code;
    view_free(MAGIC_CAST(ctx, struct view, VIEW_MAGIC));
}
static void ws_message(void *ctx, struct ws *ws, enum ws_opcode op, struct str msg) {
    (void)ctx;
    (void)ws;
    (void)op;
    (void)msg; /* nothing to say to a log */
}

static err_t logs_ws(struct request *r, struct reply *out) {
    static const struct ws_callbacks cb = {.on_message = ws_message, .on_drained = ws_drained, .on_close = ws_closed};
    struct view *v;
    TRY(view_open(r, &v));
    err_t e = ws_accept(r, out, &cb, v, &v->sink.ws);
    if (e)
        view_free(v);
    return e;
}

static void sse_gone(void *arg) { view_free(MAGIC_CAST(arg, struct view, VIEW_MAGIC)); }
static void sse_drained(void *arg) { drained(MAGIC_CAST(arg, struct view, VIEW_MAGIC)); }

err_t container_logs_sse(struct request *r, struct reply *out) {
    if (str_eqz(r->method, "HEAD")) /* no engine stream for a header */
        return reply_bytes(out, 200, "text/event-stream", STR(""));
    struct view *v;
    TRY(view_open(r, &v));
    err_t e = reply_stream_begin(out, 200, "text/event-stream", sse_gone, v, &v->sink.sse);
    if (e) {
        view_free(v);
        return e;
    }
    reply_stream_on_drained(v->sink.sse, sse_drained);
    return NULL;
}

static err_t resolve(struct request *r) {
    err_t e = resolve_container(r);
    return e && e->code == ERR_CONFLICT ? api_not_found() : e;
}

#define LOGS(path, text)                                                                                               \
    ROUTE(GET, path, AUTH_PERMISSION, "container:logs", logs_ws, .read_permission = "container:read",                  \
          .resolve = resolve, .query = "tail since after timestamps stdout stderr follow", .flags = ROUTE_WS,          \
          .tag = "streams", .summary = text)
static const struct route rows[] = {
    LOGS("/ws/v1/containers/{id}/logs", "Live log of a container"),
    LOGS("/ws/containers/{id}/logs", "Alias of /ws/v1/containers/{id}/logs"),
};
ROUTE_TABLE(ws_logs_routes, rows);
