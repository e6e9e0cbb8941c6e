/* The feed of platform events: what the bus brings and what the fleet sees, to connections that subscribed. */
#include "handlers/streams.h"
#include "core/base/check.h"
#include "handlers/feed.h"
#include "handlers/runtime.h"
#include "handlers/tables.h"

enum { MAX_ERRORS = 50 };
static struct {
    struct bus_sub *bus;
    struct fleet_sub *fleet;
} S;

/* ---- what the bus brings ---- */

static void offer_numbered(struct feed *f, void *arg) { feed_offer(f, arg, true); }

static void on_bus_event(void *arg, const struct bus_event *e) {
    (void)arg;
    feeds_each(offer_numbered, (void *)e);
}

static void tell_gap(struct feed *f, void *arg) {
    (void)arg;
    feed_gap(f, 0, bus_seq(platform()->bus));
}

static void on_bus_gap(void *arg) {
    (void)arg;
    feeds_each(tell_gap, NULL);
}

/* ---- what the fleet sees ---- */

static void offer_local(struct feed *f, void *arg) { feed_offer(f, arg, false); }

static void local_event(const char *topic, const char *scope, const char *kind, const char *id, struct buf *payload) {
    char now[TIME_RFC3339_LEN];
    if (payload->failed || scope == NULL || !feeds_any())
        return;
    struct bus_event e = {.seq = bus_seq(platform()->bus),
                          .topic = topic,
                          .scope_id = scope,
                          .object_kind = kind,
                          .object_id = id,
                          .payload = buf_str(payload),
                          .created_at = time_rfc3339(now, clock_wall_ms())};
    /* Its number is that of the last event before it: it is not replayed, and it must not be held against `after`. */
    feeds_each(offer_local, &e);
}

static void on_container(const struct fleet_change *c) {
    const struct fleet_container *x = c->after ? c->after : c->before;
    const struct app_row *app;
    AUTO_BUF b;
    struct jw w;
    if (x == NULL)
        return;
    const char *scope = runtime_container_scope(x, &app);
    buf_init(&b, 512, KIB(16));
    jw_init(&w, &b);
    jw_obj(&w);
    jw_kv_str(&w, "nodeId", x->node_id);
    jw_kv_str(&w, "containerId", x->id);
    jw_kv_str(&w, "name", x->name);
    jw_kv_str(&w, "image", x->image);
    jw_kv_str(&w, "state", c->vanished ? "removed" : x->state);
    jw_kv_str(&w, "health", x->health);
    jw_kv_str(&w, "action", c->action);
    jw_kv_str(&w, "applicationId", app ? app->id : NULL);
    jw_obj_end(&w);
    local_event("container.status", scope, "container", x->id, &b);
}

static void on_node(const struct fleet_change *c) {
    const struct node_row *n = runtime_node(c->node_id);
    struct fleet_node live;
    AUTO_BUF b;
    struct jw w;
    if (n == NULL || !fleet_node_get(platform()->fleet, c->node_id, &live))
        return;
    buf_init(&b, 512, KIB(16));
    jw_init(&w, &b);
    jw_obj(&w);
    fleet_node_json_fields(&w, &live);
    jw_obj_end(&w);
    local_event("node.status", n->scope_id, "node", n->id, &b);
}

static void on_fleet(void *arg, const struct fleet_change *c) {
    (void)arg;
    if (!feeds_any())
        return;
    if (c->kind == FLEET_CONTAINER)
        on_container(c);
    else if (c->kind == FLEET_NODE)
        on_node(c);
}

/* ---- the WebSocket ---- */

static void on_message(void *ctx, struct ws *ws, enum ws_opcode op, struct str msg) {
    struct feed *f = MAGIC_CAST(ctx, struct feed, FEED_MAGIC);
    AUTO(arena) a = arena_new("feed.message", 0);
    struct arena *before = arena_set_current(a);
    err_t e = op == WS_TEXT ? feed_client(f, a, msg) : err_new(ERR_BAD_REQUEST, "messages are JSON text");
    if (e) {
        bool enough = ++f->errors >= MAX_ERRORS;
        ws_send_error(ws, e, false, enough);
        if (enough)
            ws_close(ws, 4400, "too many bad messages");
    }
    (void)arena_set_current(before);
}

static void on_drained(void *ctx, struct ws *ws) {
    (void)ws;
    feed_drained(MAGIC_CAST(ctx, struct feed, FEED_MAGIC));
}

static void on_close(void *ctx, int code) {
    (void)code;
    feed_gone(MAGIC_CAST(ctx, struct feed, FEED_MAGIC));
}

static err_t events_ws(struct request *r, struct reply *out) {
    static const struct ws_callbacks cb = {.on_message = on_message, .on_drained = on_drained, .on_close = on_close};
    struct feed *f = feed_new(r);
    err_t e = ws_accept(r, out, &cb, f, &f->sink.ws);
    if (e) {
        feed_gone(f);
        return e;
    }
    arena_unref(f->a); /* one copy of the principal is enough for both */
    f->a = arena_ref(ws_arena(f->sink.ws));
    f->who = ws_principal(f->sink.ws);
    return NULL;
}

/* ---- server-sent events ---- */

static void sse_gone(void *arg) { feed_gone(MAGIC_CAST(arg, struct feed, FEED_MAGIC)); }
static void sse_drained(void *arg) { feed_drained(MAGIC_CAST(arg, struct feed, FEED_MAGIC)); }

static err_t sse_request(struct request *r, struct feed *f, struct subscription **ret, int64_t *ret_last) {
    struct json *m = json_object(r->a), *topics = json_array(r->a);
    const char *list = request_query(r, "topics");
    struct str rest = str_of(list ? list : "*"), part, last = request_header(r, "last-event-id");
    while (str_cut(&rest, ',', &part))
        json_push(r->a, topics, json_strn(r->a, part));
    json_set_str(r->a, m, "id", "sse");
    json_set(r->a, m, "topics", topics);
    if (request_query(r, "scope"))
        json_set_str(r->a, m, "scope", request_query(r, "scope"));
    if (request_query(r, "object"))
        json_set_str(r->a, m, "object", request_query(r, "object"));
    *ret_last = -1;
    if (last.n && str_to_i64(last, 0, INT64_MAX, ret_last))
        return err_field(err_new(ERR_BAD_REQUEST, "Last-Event-ID is a number of this stream"), "last-event-id");
    return feed_subscribe(f, m, ret);
}

static err_t events_sse(struct request *r, struct reply *out) {
    struct feed *f = feed_new(r);
    struct subscription *s;
    int64_t last;
    err_t e = sse_request(r, f, &s, &last);
    if (e == NULL)
        e = reply_stream_begin(out, 200, "text/event-stream", sse_gone, f, &f->sink.sse);
    if (e) {
        feed_gone(f);
        return e;
    }
    reply_stream_on_drained(f->sink.sse, sse_drained);
    feed_go_live(f, s, last);
    return NULL;
}

/* ---- rights that change ---- */

static void recheck(struct feed *f, void *arg) {
    (void)arg;
    if (!identity_still_valid(platform()->identity, f->who)) {
        feed_end(f, 4401, "the session has ended");
        return;
    }
    for (size_t i = 0; i < f->nsubs; i++)
        if (f->subs[i]->seen && !feed_sees_anything(f, f->subs[i]->scope)) {
            feed_end(f, 4403, "the permission was taken away");
            return;
        }
}

void feeds_recheck(void) { feeds_each(recheck, NULL); }

/* ---- start and stop ---- */

void streams_start(struct platform *p) {
    feed_replay_setup();
    S.bus = bus_subscribe(p->bus, &(struct bus_filter){0}, on_bus_event, on_bus_gap, NULL);
    S.fleet = fleet_subscribe(p->fleet, on_fleet, NULL);
}

static void restart(struct feed *f, void *arg) {
    (void)arg;
    feed_end(f, 1012, "server restart");
}

void streams_stop(struct platform *p) {
    (void)p;
    bus_unsubscribe(TAKE(S.bus));
    fleet_unsubscribe(TAKE(S.fleet));
    feeds_each(restart, NULL);
}

static const struct route rows[] = {
    ROUTE(GET, "/ws/v1/events", AUTH_SELF, NULL, events_ws, .flags = ROUTE_WS, .tag = "streams",
          .summary = "Platform events by subscription"),
    ROUTE(GET, "/ws/events", AUTH_SELF, NULL, events_ws, .flags = ROUTE_WS, .tag = "streams",
          .summary = "Alias of /ws/v1/events"),
    ROUTE(GET, "/api/v1/stream/events", AUTH_SELF, NULL, events_sse, .query = "topics scope object",
          .response_type = "text/event-stream", .flags = ROUTE_SSE, .tag = "streams",
          .summary = "Platform events as server-sent events"),
};
ROUTE_TABLE(streams_routes, rows);
