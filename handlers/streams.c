/* The feed of platform events: what the bus brings and what the fleet sees, to subscribers who may see it. */
#include "handlers/streams.h"
#include <stdio.h>
#include <stdlib.h>
#include "core/async/fiber.h"
#include "core/base/check.h"
#include "core/base/list.h"
#include "core/base/vec.h"
#include "core/conf/conf.h"
#include "handlers/runtime.h"
#include "handlers/tables.h"

enum { MAX_SUBS = 64, MAX_TOPICS = 16, MAX_ERRORS = 50, REPLAY_PAGE = 200, MAX_TEXT = 320 << 10 };
#define FEED_MAGIC 0x46454544u

struct subscription {
    char id[65];
    const char *topics[MAX_TOPICS];
    size_t ntopics;
    const char *scope, *object;
    struct arena *a;
    bool live;     /* false: its past is being sent */
    int64_t after; /* the past ends here */
};
struct feed {
    uint32_t magic;
    struct list link;
    struct arena *a;
    struct sink sink;
    const struct principal *who;
    struct subscription *subs[MAX_SUBS]; /* each in its own arena */
    size_t nsubs;
    int refs;
    bool ended;
    int64_t lost_from; /* events from here on were not sent; 0 = none */
    unsigned errors;
};
static struct {
    struct list feeds;
    struct bus_sub *bus;
    struct fleet_sub *fleet;
} S = {.feeds = {&S.feeds, &S.feeds}};

/* ---- sinks ---- */

size_t sink_send(struct sink *s, const char *event, const char *id, struct str text) {
    if (s->ws)
        return ws_send(s->ws, WS_TEXT, text);
    return s->sse ? reply_sse(s->sse, event, id, text) : 0;
}

void sink_close(struct sink *s, int code, const char *reason) {
    if (s->ws)
        ws_close(s->ws, code, reason);
    else if (s->sse)
        reply_stream_end(TAKE(s->sse));
}

void sink_fail(struct sink *s, int code, err_t e) {
    char text[600];
    bool again = e->code != ERR_FORBIDDEN && e->code != ERR_NOT_FOUND;
    if (s->ws)
        ws_send_error(s->ws, e, again, true);
    if (s->sse) {
        AUTO_BUF b;
        struct jw w;
        buf_init(&b, 256, sizeof(text) * 8);
        jw_init(&w, &b);
        jw_obj(&w);
        jw_kv_str(&w, "type", "error");
        jw_kv_str(&w, "code", err_code_wire(e->code));
        jw_kv_str(&w, "message", e->message);
        jw_obj_end(&w);
        (void)reply_sse(s->sse, "error", NULL, buf_str(&b));
    }
    sink_close(s, code, e->code == ERR_FORBIDDEN ? "forbidden" : "failed");
}

/* ---- who may see what ---- */

static int permission_for(const char *topic) {
    static const struct {
        const char *prefix;
        enum permission p;
    } table[] = {{"application.", PERM_APPLICATION_READ},
                 {"deployment.", PERM_DEPLOYMENT_READ},
                 {"task.", PERM_TASK_READ},
                 {"container.", PERM_CONTAINER_READ},
                 {"node.", PERM_NODE_READ},
                 {"repository.", PERM_REPOSITORY_READ},
                 {"activity.", PERM_EVENT_READ},
                 {"notification.", PERM_EVENT_READ}};
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (z_starts(topic, table[i].prefix))
            return table[i].p;
    return -1; /* not for subscribers */
}

static bool may_see(const struct feed *f, const struct bus_event *e) {
    int p = permission_for(e->topic);
    return p >= 0 && rbac_allowed(platform()->rbac, f->who, (enum permission)p, e->scope_id ? e->scope_id : ROOT_SCOPE);
}

static bool wants(const struct subscription *s, const struct bus_event *e) {
    bool topic = false;
    for (size_t i = 0; i < s->ntopics && !topic; i++)
        topic = glob_match(str_of(s->topics[i]), str_of(e->topic));
    if (!topic || (s->object && !z_eq(s->object, e->object_id)))
        return false;
    return s->scope == NULL || (e->scope_id && rbac_scope_within(platform()->rbac, e->scope_id, s->scope));
}

/* ---- sending ---- */

static void event_json(struct buf *b, const struct bus_event *e, const char *const *subs, size_t nsubs) {
    struct jw w;
    jw_init(&w, b);
    jw_obj(&w);
    jw_kv_str(&w, "type", "event");
    jw_key(&w, "sub");
    jw_arr(&w);
    for (size_t i = 0; i < nsubs; i++)
        jw_str(&w, subs[i]);
    jw_arr_end(&w);
    jw_kv_int(&w, "seq", e->seq);
    jw_kv_str(&w, "topic", e->topic);
    jw_key(&w, "object");
    jw_obj(&w);
    jw_kv_str(&w, "kind", e->object_kind);
    jw_kv_str(&w, "id", e->object_id);
    jw_obj_end(&w);
    jw_key(&w, "payload");
    jw_raw(&w, e->payload.n ? e->payload : STR("{}"));
    jw_kv_str(&w, "time", e->created_at);
    jw_obj_end(&w);
}

static void lose(struct feed *f, int64_t seq) {
    if (f->lost_from == 0)
        f->lost_from = seq > 0 ? seq : 1;
}

static void send_gap(struct feed *f, int64_t from, int64_t to) {
    char text[160], id[24];
    (void)snprintf(id, sizeof(id), "%lld", (long long)to);
    int n = snprintf(text, sizeof(text), "{\"type\":\"gap\",\"fromSeq\":%lld,\"toSeq\":%lld}", (long long)from,
                     (long long)to);
    (void)sink_send(&f->sink, "gap", id, str_n(text, (size_t)n));
}

static void send_event(struct feed *f, const struct bus_event *e, const char *const *subs, size_t n) {
    if (f->lost_from) {
        lose(f, e->seq);
        return;
    }
    AUTO_BUF b;
    char id[24];
    (void)snprintf(id, sizeof(id), "%lld", (long long)e->seq);
    buf_init(&b, 1024 + e->payload.n, MAX_TEXT);
    event_json(&b, e, subs, n);
    size_t queued = b.failed ? SIZE_MAX : sink_send(&f->sink, e->topic, id, buf_str(&b));
    if (queued == SIZE_MAX)
        lose(f, e->seq);
}

static void offer(struct feed *f, const struct bus_event *e, bool seeable) {
    const char *ids[MAX_SUBS];
    size_t n = 0;
    for (size_t i = 0; i < f->nsubs; i++) {
        struct subscription *s = f->subs[i];
        if (s->live && (e->seq == 0 || e->seq > s->after) && wants(s, e))
            ids[n++] = s->id;
    }
    if (n && (seeable || may_see(f, e)))
        send_event(f, e, ids, n);
}

static void drained(struct feed *f) {
    if (f->lost_from == 0)
        return;
    int64_t from = f->lost_from;
    f->lost_from = 0;
    send_gap(f, from, bus_seq(platform()->bus));
}

static void end_feed(struct feed *f, int code, const char *reason);

static void to_all(const struct bus_event *e) {
    for
        list_each_safe(it, tmp, &S.feeds) {
            struct feed *f = list_entry(it, struct feed, link);
            if (f->sink.sse && !identity_still_valid(platform()->identity, f->who))
                end_feed(f, 4401, "the session has ended");
            else
                offer(f, e, false);
        }
}

static void on_bus_event(void *arg, const struct bus_event *e) {
    (void)arg;
    to_all(e);
}

static void on_bus_gap(void *arg) {
    (void)arg;
    for
        list_each_safe(it, tmp, &S.feeds)
            send_gap(list_entry(it, struct feed, link), 0, bus_seq(platform()->bus));
}

/* ---- what the fleet sees ---- */

static void local_event(const char *topic, const char *scope, const char *kind, const char *id, struct buf *payload) {
    char now[TIME_RFC3339_LEN];
    if (payload->failed || scope == NULL || list_empty(&S.feeds))
        return;
    struct bus_event e = {.seq = bus_seq(platform()->bus),
                          .topic = topic,
                          .scope_id = scope,
                          .object_kind = kind,
                          .object_id = id,
                          .payload = buf_str(payload),
                          .created_at = time_rfc3339(now, clock_wall_ms())};
    /* Its number is that of the last event before it: it is not replayed, and it must not be held against `after`. */
    int64_t seq = e.seq;
    for
        list_each_safe(it, tmp, &S.feeds) {
            struct feed *f = list_entry(it, struct feed, link);
            const char *ids[MAX_SUBS];
            size_t n = 0;
            for (size_t i = 0; i < f->nsubs; i++)
                if (f->subs[i]->live && wants(f->subs[i], &e))
                    ids[n++] = f->subs[i]->id;
            e.seq = seq;
            if (n && may_see(f, &e))
                send_event(f, &e, ids, n);
        }
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
    if (list_empty(&S.feeds))
        return;
    if (c->kind == FLEET_CONTAINER)
        on_container(c);
    else if (c->kind == FLEET_NODE)
        on_node(c);
}

/* ---- life ---- */

static void feed_unref(struct feed *f) {
    if (--f->refs > 0)
        return;
    for (size_t i = 0; i < f->nsubs; i++)
        arena_unref(f->subs[i]->a);
    arena_unref(f->a);
    free(f);
}

static struct feed *feed_new(const struct request *r) {
    struct feed *f = calloc(1, sizeof(*f));
    CHECK(f != NULL);
    f->magic = FEED_MAGIC;
    f->a = arena_new("feed", 0);
    f->who = principal_dup(f->a, r->who);
    f->refs = 1;
    list_add_tail(&S.feeds, &f->link);
    return f;
}

static void feed_gone(struct feed *f) {
    list_del(&f->link);
    f->ended = true;
    f->sink = (struct sink){0};
    feed_unref(f);
}

static void end_feed(struct feed *f, int code, const char *reason) {
    bool sse = f->sink.sse != NULL;
    sink_close(&f->sink, code, reason);
    if (sse) /* an ended response tells nobody */
        feed_gone(f);
}

/* ---- replay ---- */

struct replay {
    struct feed *f;
    char id[65];
    int64_t from;
};

static struct subscription *find(struct feed *f, const char *id) {
    for (size_t i = 0; i < f->nsubs; i++)
        if (z_eq(f->subs[i]->id, id))
            return f->subs[i];
    return NULL;
}

/* One page of the past; true in *ret_done when the present is reached. Nothing yields between the last look and going live. */
static err_t replay_page(struct replay *p, bool *ret_done) {
    struct bus_event *v;
    size_t n;
    int64_t next;
    bool gap;
    TRY(bus_replay(platform()->db, arena_current(), NULL, NULL, p->from, REPLAY_PAGE, &v, &n, &next, &gap));
    struct subscription *s = p->f->ended ? NULL : find(p->f, p->id);
    if (s == NULL) {
        *ret_done = true;
        return NULL;
    }
    if (gap)
        send_gap(p->f, p->from, n ? v[0].seq - 1 : next);
    for (size_t i = 0; i < n; i++)
        if (wants(s, &v[i]) && may_see(p->f, &v[i]))
            send_event(p->f, &v[i], (const char *const[]){s->id}, 1);
    p->from = next;
    *ret_done = next >= bus_seq(platform()->bus);
    if (*ret_done) {
        s->after = next;
        s->live = true;
    }
    return NULL;
}

static err_t replay(void *arg) {
    struct replay *p = arg;
    err_t e = NULL;
    for (bool done = false; !done && e == NULL;) {
        struct arena_mark mark = arena_mark(arena_current());
        e = replay_page(p, &done);
        for (int i = 0; e == NULL && !p->f->ended && p->f->lost_from && i < 300; i++)
            e = fiber_sleep(100);
        if (e == NULL)
            arena_rewind(arena_current(), mark);
    }
    struct subscription *s = e && !p->f->ended ? find(p->f, p->id) : NULL;
    if (s) { /* the past cannot be read: say so, and go on from here */
        send_gap(p->f, p->from, bus_seq(platform()->bus));
        s->after = bus_seq(platform()->bus);
        s->live = true;
    }
    feed_unref(p->f);
    free(p);
    return NULL;
}

static void go_live(struct feed *f, struct subscription *s, int64_t last_seq) {
    int64_t now = bus_seq(platform()->bus);
    if (last_seq < 0 || last_seq >= now) {
        s->after = now;
        s->live = true;
        return;
    }
    struct replay *p = calloc(1, sizeof(*p));
    CHECK(p != NULL);
    p->f = f;
    p->from = last_seq;
    (void)snprintf(p->id, sizeof(p->id), "%s", s->id);
    f->refs++;
    fiber_spawn_detached("feed.replay", NULL, replay, p);
}

/* ---- subscribing ---- */

static bool topic_ok(const char *t) {
    return t && *t && strlen(t) <= 63 && strspn(t, "abcdefghijklmnopqrstuvwxyz0123456789.-_*") == strlen(t);
}

static err_t add_topics(struct subscription *s, const struct json *topics) {
    if (json_len(topics) == 0 || json_len(topics) > MAX_TOPICS)
        return err_new(ERR_BAD_REQUEST, "a subscription names 1 to %d topics", MAX_TOPICS);
    for (size_t i = 0; i < json_len(topics); i++) {
        const char *t = json_str(json_at(topics, i));
        if (!topic_ok(t))
            return err_new(ERR_BAD_REQUEST, "a topic looks like \"application.status\" or \"deployment.*\"");
        s->topics[s->ntopics++] = arena_strdup(s->a, t);
    }
    return NULL;
}

/* A scope somebody has no right in does not exist for him. */
static err_t check_scope(const struct feed *f, const char *scope) {
    if (scope == NULL)
        return NULL;
    static const struct perm_set none;
    struct perm_set have = uuid_valid(str_of(scope)) ? rbac_permissions(platform()->rbac, f->who, scope) : none;
    return memcmp(&have, &none, sizeof(none)) != 0 ? NULL : err_new(ERR_NOT_FOUND, "no such scope");
}

static err_t subscribe(struct feed *f, const struct json *m, struct subscription **ret) {
    const char *id = json_get_str(m, "id"), *scope = json_get_str(m, "scope");
    const struct json *object = json_get(m, "object");
    if (id == NULL || *id == '\0' || strlen(id) > 64)
        return err_new(ERR_BAD_REQUEST, "a subscription needs an id of 1 to 64 bytes");
    if (find(f, id))
        return err_new(ERR_CONFLICT, "there is a subscription with this id already");
    if (f->nsubs == MAX_SUBS)
        return err_new(ERR_RATE_LIMITED, "at most %d subscriptions per connection", MAX_SUBS);
    TRY(check_scope(f, scope));
    struct arena *a = arena_new("feed.subscription", 0);
    struct subscription *s = arena_new_obj(a, struct subscription);
    s->a = a;
    (void)snprintf(s->id, sizeof(s->id), "%s", id);
    s->scope = arena_strdup(s->a, scope);
    s->object = arena_strdup(s->a, json_str(object) ? json_str(object) : json_get_str(object, "id"));
    err_t e = add_topics(s, json_get(m, "topics"));
    if (e) {
        arena_unref(a);
        return e;
    }
    f->subs[f->nsubs++] = s;
    *ret = s;
    return NULL;
}

static void unsubscribe(struct feed *f, const char *id) {
    size_t i = 0;
    while (i < f->nsubs && !z_eq(f->subs[i]->id, id))
        i++;
    if (i == f->nsubs)
        return;
    arena_unref(f->subs[i]->a);
    f->subs[i] = f->subs[--f->nsubs];
}

static err_t on_client(struct feed *f, struct arena *a, struct str text) {
    struct json *m;
    struct subscription *s;
    TRY(json_parse(a, text, &(struct json_limits){.max_bytes = KIB(64), .max_depth = 8, .max_nodes = 256}, &m));
    const char *type = json_get_str(m, "type");
    if (z_eq(type, "unsubscribe")) {
        unsubscribe(f, json_get_str(m, "id"));
        return NULL;
    }
    if (!z_eq(type, "subscribe"))
        return err_new(ERR_BAD_REQUEST, "send {\"type\":\"subscribe\",...} or {\"type\":\"unsubscribe\",...}");
    TRY(subscribe(f, m, &s));
    struct json *ok = json_object(a);
    json_set_str(a, ok, "type", "subscribed");
    json_set_str(a, ok, "id", s->id);
    json_set_int(a, ok, "seq", bus_seq(platform()->bus));
    (void)sink_send(&f->sink, NULL, NULL, str_of(json_to_text(a, ok)));
    go_live(f, s, json_get_int(m, "lastSeq", -1));
    return NULL;
}

/* ---- the WebSocket ---- */

static void on_message(void *ctx, struct ws *ws, enum ws_opcode op, struct str msg) {
    struct feed *f = MAGIC_CAST(ctx, struct feed, FEED_MAGIC);
    AUTO(arena) a = arena_new("feed.message", 0);
    struct arena *before = arena_set_current(a);
    err_t e = op == WS_TEXT ? on_client(f, a, msg) : err_new(ERR_BAD_REQUEST, "messages are JSON text");
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
    drained(MAGIC_CAST(ctx, struct feed, FEED_MAGIC));
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
static void sse_drained(void *arg) { drained(MAGIC_CAST(arg, struct feed, FEED_MAGIC)); }

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
    return subscribe(f, m, ret);
}

static err_t events_sse(struct request *r, struct reply *out) {
    if (str_eqz(r->method, "HEAD"))
        return reply_bytes(out, 200, "text/event-stream", STR(""));
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
    go_live(f, s, last);
    return NULL;
}

/* ---- start and stop ---- */

void streams_start(struct platform *p) {
    S.bus = bus_subscribe(p->bus, &(struct bus_filter){0}, on_bus_event, on_bus_gap, NULL);
    S.fleet = fleet_subscribe(p->fleet, on_fleet, NULL);
}

void streams_stop(struct platform *p) {
    (void)p;
    bus_unsubscribe(TAKE(S.bus));
    fleet_unsubscribe(TAKE(S.fleet));
    for
        list_each_safe(it, tmp, &S.feeds)
            end_feed(list_entry(it, struct feed, link), 1012, "server restart");
}

static const struct route rows[] = {
    ROUTE(GET, "/ws/v1/events", AUTH_SELF, NULL, events_ws, .flags = ROUTE_WS, .tag = "streams",
          .summary = "Platform events by subscription"),
    ROUTE(GET, "/ws/events", AUTH_SELF, NULL, events_ws, .flags = ROUTE_WS, .tag = "streams",
          .summary = "Alias of /ws/v1/events"),
    ROUTE(GET, "/api/v1/stream/events", AUTH_SELF, NULL, events_sse, .query = "topics scope object", .flags = ROUTE_SSE,
          .tag = "streams", .summary = "Platform events as server-sent events"),
};
ROUTE_TABLE(streams_routes, rows);
