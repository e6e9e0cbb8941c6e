/* The real transport with sample routes and no database: what the raw-socket tests talk to. Settings come from the environment
 * (DF_TEST_*), the ports it got go to stdout as one JSON line. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "core/async/fiber.h"
#include "core/async/loop.h"
#include "core/base/check.h"
#include "core/base/sha256.h"
#include "core/obs/log.h"
#include "core/obs/metrics.h"
#include "server/health.h"
#include "server/hooks.h"
#include "server/openapi.h"
#include "server/route.h"
#include "server/schema.h"
#include "server/server.h"
#include "server/ws.h"

struct principal { /* the transport never looks inside */
    char name[32];
};
static struct principal nobody = {"anonymous"}, alice = {"alice"}, bob = {"bob"};

static struct {
    uint64_t started, cancelled, audited, ws_closed, ws_messages, stream_gone;
    int ws_last_code;
} count;

/* ---- hooks ---- */

static err_t authenticate(struct request *r, const struct credentials *c) {
    if (c->kind == CRED_NONE)
        return err_new(ERR_UNAUTHENTICATED, "sign in first");
    if (z_eq(c->token, "alice") || z_eq(c->token, "ticket-alice"))
        r->who = &alice;
    else if (z_eq(c->token, "bob"))
        r->who = &bob;
    else
        return err_new(ERR_TOKEN_INVALID, "unknown token");
    return NULL;
}

static err_t authorize(struct request *r, const char *permission, const char *read_permission, const char *scope) {
    (void)read_permission;
    (void)scope;
    return r->who == &alice
               ? NULL
               : err_detail(err_new(ERR_FORBIDDEN, "%s is not granted", permission), "permission", permission);
}

static err_t audit(struct request *r, const struct audit_note *note, int status, err_t failure) {
    (void)r;
    (void)status;
    (void)failure;
    count.audited += 1;
    return note->resource_id && z_eq(note->resource_id, "refuse")
               ? err_new(ERR_AUDIT_UNAVAILABLE, "no audit, no effect")
               : NULL;
}

static const char *principal_key(const struct principal *who) { return who && who != &nobody ? who->name : NULL; }

/* One remembered answer is enough to test the flow. */
static struct {
    char key[130], digest[65];
    bool done;
    int status;
    char body[4096];
    size_t n;
} kept;

static err_t idem_begin(struct request *r, const char *key, const char *digest, struct idempotent_reply *ret) {
    (void)r;
    if (!z_eq(kept.key, key)) {
        (void)snprintf(kept.key, sizeof(kept.key), "%s", key);
        (void)snprintf(kept.digest, sizeof(kept.digest), "%s", digest);
        kept.done = false;
        ret->claim = &kept;
        return NULL;
    }
    if (!z_eq(kept.digest, digest))
        return err_new(ERR_IDEMPOTENCY_MISMATCH, "the key was used with another body");
    if (!kept.done)
        return err_new(ERR_CONFLICT, "still running");
    *ret = (struct idempotent_reply){.replay = true, .status = kept.status, .body = str_n(kept.body, kept.n)};
    return NULL;
}

static err_t idem_end(struct request *r, void *claim, const struct idempotent_reply *reply) {
    (void)r;
    CHECK(claim == &kept);
    kept.done = reply->status != 0;
    kept.status = reply->status;
    kept.n = reply->body.n < sizeof(kept.body) ? reply->body.n : 0;
    memcpy(kept.body, reply->body.p, kept.n);
    if (!kept.done)
        kept.key[0] = '\0';
    return NULL;
}

/* ---- plain routes ---- */

static err_t get_echo(struct request *r, struct reply *out) {
    AUTO_BUF b;
    buf_init(&b, 1024, MIB(2));
    struct jw w;
    jw_init(&w, &b);
    jw_obj(&w);
    jw_key(&w, "method");
    jw_strn(&w, r->method);
    jw_key(&w, "path");
    jw_strn(&w, r->path);
    jw_key(&w, "authority");
    jw_strn(&w, r->authority);
    jw_kv_str(&w, "ip", r->peer_ip);
    jw_kv_bool(&w, "tls", r->tls);
    jw_kv_bool(&w, "http2", r->http2);
    jw_kv_str(&w, "q", request_query(r, "q"));
    jw_key(&w, "headers");
    jw_arr(&w);
    for (size_t i = 0; i < r->nheaders; i++)
        jw_strn(&w, r->headers[i].name);
    jw_arr_end(&w);
    jw_obj_end(&w);
    return reply_json_text(out, 200, buf_str(&b));
}

static err_t post_raw(struct request *r, struct reply *out) {
    char *hex = sha256_hex(r->a, r->body.p, r->body.n);
    return reply_json_text(out, 200, str_of(arena_printf(r->a, "{\"n\":%zu,\"sha256\":\"%s\"}", r->body.n, hex)));
}

static err_t post_thing(struct request *r, struct reply *out) {
    const struct json *body;
    TRY(request_json(r, &body));
    request_audit(r, "thing", json_get_str(body, "name"), NULL, NULL);
    count.started++;
    return reply_json(out, 201, body);
}

static err_t get_slow(struct request *r, struct reply *out) {
    int64_t ms;
    TRY(request_query_int(r, "ms", 1000, 0, 120000, &ms));
    count.started++;
    err_t e = fiber_sleep((uint64_t)ms);
    if (err_is(e, ERR_CANCELLED))
        count.cancelled++;
    TRY(e);
    return reply_json_text(out, 200, STR("{\"slept\":true}"));
}

static err_t get_big(struct request *r, struct reply *out) {
    int64_t n;
    TRY(request_query_int(r, "n", 1 << 20, 0, 64 << 20, &n));
    char *p = arena_alloc(r->a, (size_t)n + 1, 1);
    memset(p, 'x', (size_t)n);
    return reply_bytes(out, 200, "text/plain", str_n(p, (size_t)n));
}

static err_t get_boom(struct request *r, struct reply *out) {
    (void)out;
    (void)r;
    return err_new(ERR_INTERNAL, "SELECT secret FROM /etc/passwd at 0xdeadbeef");
}

static err_t get_item(struct request *r, struct reply *out) {
    if (reply_etag(r, out, 7))
        return NULL;
    return reply_json_text(out, 200, str_of(arena_printf(r->a, "{\"id\":\"%s\"}", request_param(r, "id"))));
}

static err_t put_item(struct request *r, struct reply *out) {
    TRY(request_if_match(r, 7));
    return reply_empty(out, 204);
}

static err_t get_me(struct request *r, struct reply *out) {
    return reply_json_text(
        out, 200,
        str_of(arena_printf(r->a, "{\"name\":\"%s\",\"cookie\":%s}", r->who->name, r->cookie_auth ? "true" : "false")));
}

static err_t get_counters(struct request *r, struct reply *out) {
    struct fiber_stats f = fiber_stats_get();
    struct arena_stats a = arena_stats_get();
    struct admission_stats s = admission_stats_get();
    return reply_json_text(
        out, 200,
        str_of(arena_printf(
            r->a,
            "{\"started\":%llu,\"cancelled\":%llu,\"audited\":%llu,\"wsClosed\":%llu,\"wsMessages\":%llu,\"wsLastCode\":%d,"
            "\"streamGone\":%llu,\"fibers\":%llu,\"arenas\":%llu,\"conns\":%u,\"running\":%u,\"charged\":%llu}",
            (unsigned long long)count.started, (unsigned long long)count.cancelled, (unsigned long long)count.audited,
            (unsigned long long)count.ws_closed, (unsigned long long)count.ws_messages, count.ws_last_code,
            (unsigned long long)count.stream_gone, (unsigned long long)f.live, (unsigned long long)a.live, s.conns,
            s.running, (unsigned long long)s.charged)));
}

static err_t get_metrics(struct request *r, struct reply *out) {
    (void)r;
    AUTO_BUF b;
    buf_init(&b, KIB(16), MIB(16));
    metrics_write(&b);
    return reply_bytes(out, 200, "text/plain; version=0.0.4", buf_str(&b));
}

static err_t get_header(struct request *r, struct reply *out) {
    TRY(reply_header(out, "x-value", request_query(r, "v") ? request_query(r, "v") : ""));
    return reply_empty(out, 204);
}

/* ---- streams ---- */

static void on_gone(void *arg) {
    bool *gone = arg;
    *gone = true;
    count.stream_gone++;
}

static err_t get_sse(struct request *r, struct reply *out) {
    int64_t n;
    TRY(request_query_int(r, "n", 3, 0, 100000, &n));
    bool *gone = arena_new_obj(r->a, bool);
    struct reply_stream *s;
    TRY(reply_stream_begin(out, 200, "text/event-stream", on_gone, gone, &s));
    for (int64_t i = 0; i < n && !*gone; i++) {
        char id[24];
        (void)snprintf(id, sizeof(id), "%lld", (long long)i);
        reply_sse(s, "tick", id, STR("one\ntwo"));
        TRY(fiber_sleep(5));
    }
    if (!*gone)
        reply_stream_end(s);
    return NULL;
}

/* Pushes as fast as it may until the client goes. */
static err_t get_flood(struct request *r, struct reply *out) {
    bool *gone = arena_new_obj(r->a, bool);
    struct reply_stream *s;
    static char line[1024];
    memset(line, 'y', sizeof(line));
    TRY(reply_stream_begin(out, 200, "text/event-stream", on_gone, gone, &s));
    while (!*gone) {
        if (reply_stream_push(s, str_n(line, sizeof(line))) == SIZE_MAX)
            TRY(fiber_sleep(10));
        else
            TRY(fiber_yield());
    }
    return NULL;
}

/* ---- WebSockets ---- */

static void ws_on_message(void *ctx, struct ws *ws, enum ws_opcode op, struct str msg) {
    (void)ctx;
    count.ws_messages++;
    if (str_eqz(msg, "close me"))
        ws_close(ws, 4403, "as you wish");
    else
        ws_send(ws, op, msg);
}

static void ws_on_close(void *ctx, int code) {
    (void)ctx;
    count.ws_closed++;
    count.ws_last_code = code;
}

static err_t get_ws(struct request *r, struct reply *out) {
    static const struct ws_callbacks CB = {.on_message = ws_on_message, .on_close = ws_on_close};
    struct ws *ws;
    return ws_accept(r, out, &CB, NULL, &ws);
}

struct flood {
    struct ws *ws;
    struct timer timer;
    uint64_t refused;
};

static void flood_tick(void *arg) {
    struct flood *f = arg;
    static char block[32768];
    memset(block, 'z', sizeof(block));
    for (int i = 0; i < 8; i++)
        if (ws_send(f->ws, WS_BINARY, str_n(block, sizeof(block))) == SIZE_MAX) {
            f->refused++;
            return;
        }
}

static void flood_close(void *ctx, int code) {
    struct flood *f = ctx;
    ws_on_close(NULL, code);
    timer_close(&f->timer);
    free(f);
}

static err_t get_ws_flood(struct request *r, struct reply *out) {
    static const struct ws_callbacks CB = {.on_message = ws_on_message, .on_close = flood_close};
    struct flood *f = calloc(1, sizeof(*f));
    CHECK(f != NULL);
    timer_init(&f->timer, flood_tick, f);
    err_t e = ws_accept(r, out, &CB, f, &f->ws);
    if (e != NULL) {
        timer_close(&f->timer);
        free(f);
        return e;
    }
    timer_start(&f->timer, 1, 1);
    return NULL;
}

static err_t get_ws_private(struct request *r, struct reply *out) { return get_ws(r, out); }

static const struct route ROUTES[] = {
    ROUTE(GET, "/api/v1/echo", AUTH_PUBLIC, NULL, get_echo, .query = "q", .summary = "Echo"),
    ROUTE(GET, "/api/v1/inline", AUTH_PUBLIC, NULL, get_echo, .query = "q", .flags = ROUTE_INLINE),
    ROUTE(POST, "/api/v1/raw", AUTH_PUBLIC, NULL, post_raw, .flags = ROUTE_RAW_BODY | ROUTE_NO_AUDIT),
    ROUTE(POST, "/api/v1/things", AUTH_PERMISSION, "thing:create", post_thing, .request_schema = "TestThing",
          .audit = "thing.create"),
    ROUTE(POST, "/api/v1/public-things", AUTH_PUBLIC, NULL, post_thing, .request_schema = "TestThing"),
    ROUTE(GET, "/api/v1/slow", AUTH_PUBLIC, NULL, get_slow, .query = "ms", .flags = ROUTE_SSE),
    ROUTE(GET, "/api/v1/timed", AUTH_PUBLIC, NULL, get_slow, .query = "ms"),
    ROUTE(GET, "/api/v1/big", AUTH_PUBLIC, NULL, get_big, .query = "n"),
    ROUTE(GET, "/api/v1/boom", AUTH_PUBLIC, NULL, get_boom),
    ROUTE(GET, "/api/v1/header", AUTH_PUBLIC, NULL, get_header, .query = "v"),
    ROUTE(GET, "/api/v1/items/{id}", AUTH_PUBLIC, NULL, get_item),
    ROUTE(PUT, "/api/v1/items/{id}", AUTH_PUBLIC, NULL, put_item, .flags = ROUTE_IF_MATCH),
    ROUTE(GET, "/api/v1/me", AUTH_SELF, NULL, get_me),
    ROUTE(GET, "/api/v1/counters", AUTH_PUBLIC, NULL, get_counters, .flags = ROUTE_INLINE),
    ROUTE(GET, "/api/v1/sse", AUTH_PUBLIC, NULL, get_sse, .query = "n", .flags = ROUTE_SSE),
    ROUTE(GET, "/api/v1/flood", AUTH_PUBLIC, NULL, get_flood, .flags = ROUTE_SSE),
    ROUTE(GET, "/metrics", AUTH_PUBLIC, NULL, get_metrics, .flags = ROUTE_INLINE),
    ROUTE(GET, "/ws/v1/echo", AUTH_PUBLIC, NULL, get_ws, .flags = ROUTE_WS),
    ROUTE(GET, "/ws/v1/flood", AUTH_PUBLIC, NULL, get_ws_flood, .flags = ROUTE_WS),
    ROUTE(GET, "/ws/v1/private", AUTH_PERMISSION, "thing:watch", get_ws_private, .flags = ROUTE_WS),
};

static const char THING_SCHEMA[] =
    "{\"type\":\"object\",\"required\":[\"name\"],\"properties\":{\"name\":{\"type\":\"string\",\"format\":\"name\"},"
    "\"count\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":9},\"kind\":{\"enum\":[\"a\",\"b\"]},\"big\":{\"type\":\"integer\"},"
    "\"tags\":{\"type\":\"array\",\"maxItems\":3,\"items\":{\"type\":\"string\",\"maxLength\":5}},"
    "\"any\":{}}}";

/* ---- process ---- */

static const char *env(const char *name) { return getenv(name); }

static uint64_t env_int(const char *name, uint64_t dflt) {
    int64_t v;
    const char *z = env(name);
    return z != NULL && str_to_i64(str_of(z), 0, INT64_MAX, &v) == NULL ? (uint64_t)v : dflt;
}

static const char *const *env_list(const char *name) {
    static const char *lists[8][8];
    static size_t used;
    const char *z = env(name);
    if (z == NULL)
        return NULL;
    const char **list = lists[used++];
    struct str rest = str_of(z), part;
    static char text[8][7][128];
    size_t n = 0;
    while (n < 7 && str_cut(&rest, ' ', &part)) {
        (void)snprintf(text[used - 1][n], sizeof(text[0][0]), "%.*s", STR_ARG(part));
        list[n] = text[used - 1][n];
        n++;
    }
    list[n] = NULL;
    return list;
}

static void setup_hooks(void) {
    static const struct server_hooks HOOKS = {.anonymous = &nobody,
                                              .authenticate = authenticate,
                                              .authorize = authorize,
                                              .audit = audit,
                                              .principal_key = principal_key,
                                              .idempotency_begin = idem_begin,
                                              .idempotency_end = idem_end};
    server_set_hooks(&HOOKS);
}

int main(void) {
    loop_init();
    struct log_conf log = {.level = LOG_INFO};
    err_ignore(log_setup(&log));
    setup_hooks();
    schema_register_embedded();
    schema_register("TestThing", STR(THING_SCHEMA));
    schema_seal();
    health_routes();
    openapi_routes();
    routes_register(ROUTES, ARRAY_LEN(ROUTES));
    struct listen_conf listen[2] = {{.address = "0.0.0.0"}, {.address = "127.0.0.1"}};
    listen[1].tls_cert = env("DF_TEST_CERT");
    listen[1].tls_key = env("DF_TEST_KEY");
    struct server_conf conf = {.listen = listen,
                               .nlisten = listen[1].tls_cert ? 2 : 1,
                               .access_log = env("DF_TEST_ACCESS_LOG") != NULL,
                               .rates_set = env("DF_TEST_RATES") == NULL, /* all zero: no limits */
                               .cors_origins = env_list("DF_TEST_CORS"),
                               .hosts = env_list("DF_TEST_HOSTS"),
                               .trusted_proxies = env_list("DF_TEST_PROXIES"),
                               .request_ms = env_int("DF_TEST_REQUEST_MS", 0),
                               .head_ms = env_int("DF_TEST_HEAD_MS", 0),
                               .handshake_ms = env_int("DF_TEST_HANDSHAKE_MS", 0),
                               .keepalive_ms = env_int("DF_TEST_KEEPALIVE_MS", 0),
                               .stall_ms = env_int("DF_TEST_STALL_MS", 0),
                               .drain_ms = env_int("DF_TEST_DRAIN_MS", 0),
                               .ws_ping_ms = env_int("DF_TEST_WS_PING_MS", 0),
                               .ws_dead_ms = env_int("DF_TEST_WS_DEAD_MS", 0),
                               .ws_stall_ms = env_int("DF_TEST_WS_STALL_MS", 0),
                               .ws_max_per_user = (unsigned)env_int("DF_TEST_WS_MAX", 0),
                               .admission = {.max_conns = (unsigned)env_int("DF_TEST_MAX_CONNS", 0),
                                             .max_conns_per_peer = (unsigned)env_int("DF_TEST_MAX_CONNS_PEER", 0)}};
    err_t e = server_start(&conf);
    if (e != NULL) {
        (void)fprintf(stderr, "%s\n", e->message);
        return 78;
    }
    signals_setup();
    (void)printf("{\"port\":%d,\"tls\":%d}\n", server_port(0), conf.nlisten > 1 ? server_port(1) : 0);
    (void)fflush(stdout);
    loop_run();
    if (env("DF_TEST_HANG") != NULL) /* a part that does not care about its deadline */
        sleep(600);
    server_fini();
    signals_fini();
    schema_fini();
    health_reset();
    loop_fini();
    log_flush();
    return 0;
}
