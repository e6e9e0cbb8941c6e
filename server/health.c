#include "server/health.h"
#include "core/async/loop.h"
#include "core/base/check.h"
#include "server/reply.h"
#include "server/route.h"
#include "server/server.h"

enum { MAX_COMPONENTS = 32 };

static struct {
    struct component {
        const char *name;
        bool critical;
        health_probe *probe;
        void *arg;
    } v[MAX_COMPONENTS];
    size_t n;
} H;

void health_register(const char *name, bool critical, health_probe *probe, void *arg) {
    CHECK(H.n < MAX_COMPONENTS);
    H.v[H.n++] = (struct component){name, critical, probe, arg};
}

void health_reset(void) { H.n = 0; }

/** NULL when every critical one is up. */
static const char *first_down(const char **ret_words) {
    for (size_t i = 0; i < H.n; i++) {
        if (!H.v[i].critical)
            continue;
        struct health_report p = H.v[i].probe(H.v[i].arg);
        *ret_words = p.words;
        if (!p.up)
            return H.v[i].name;
    }
    return NULL;
}

bool health_ready(void) {
    const char *words;
    return !server_draining() && first_down(&words) == NULL;
}

/* Static texts: the most frequent requests of all allocate nothing for their body */
static err_t answer(struct reply *out, int status, const char *state) {
    AUTO_BUF b;
    buf_init(&b, 128, KIB(1));
    struct jw w;
    jw_init(&w, &b);
    jw_obj(&w);
    jw_kv_str(&w, "status", state);
    const char *words = NULL, *down = status == 200 ? NULL : server_draining() ? "draining" : first_down(&words);
    if (down != NULL)
        jw_kv_str(&w, "reason", down);
    if (words != NULL)
        jw_kv_str(&w, "detail", words);
    jw_obj_end(&w);
    return reply_json_text(out, status, buf_str(&b));
}

static err_t get_live(struct request *r, struct reply *out) {
    (void)r;
    return reply_json_borrowed(out, 200, STR("{\"status\":\"alive\"}"));
}

static err_t get_ready(struct request *r, struct reply *out) {
    (void)r;
    bool ready = health_ready();
    if (!ready)
        TRY(reply_header(out, "retry-after", "2"));
    return answer(out, ready ? 200 : 503, ready ? "ready" : "not_ready");
}

static err_t get_health(struct request *r, struct reply *out) {
    (void)r;
    bool ready = health_ready();
    return answer(out, ready ? 200 : 503, ready ? "healthy" : "unhealthy");
}

static err_t get_detailed(struct request *r, struct reply *out) {
    (void)r;
    bool ready = health_ready();
    AUTO_BUF b;
    buf_init(&b, 1024, KIB(64));
    struct jw w;
    jw_init(&w, &b);
    jw_obj(&w);
    jw_kv_str(&w, "status", ready ? "healthy" : "unhealthy");
    jw_kv_bool(&w, "draining", server_draining());
    jw_key(&w, "components");
    jw_obj(&w);
    for (size_t i = 0; i < H.n; i++) {
        struct health_report p = H.v[i].probe(H.v[i].arg);
        jw_key(&w, H.v[i].name);
        jw_obj(&w);
        jw_kv_str(&w, "status", p.up ? "up" : "down");
        jw_kv_bool(&w, "critical", H.v[i].critical);
        if (p.detail != NULL)
            jw_kv_str(&w, "detail", p.detail);
        jw_kv_int(&w, "latencyUs", (int64_t)p.latency_us);
        jw_obj_end(&w);
    }
    jw_obj_end(&w);
    struct loop_stats loop = loop_stats_get();
    struct admission_stats conns = admission_stats_get();
    jw_kv_int(&w, "loopLagUs", (int64_t)loop.lag_last_us);
    jw_kv_int(&w, "connections", conns.conns);
    jw_kv_int(&w, "running", conns.running);
    jw_obj_end(&w);
    TRY(buf_check(&b));
    return reply_json_text(out, 200, buf_str(&b));
}

static const struct route ROUTES[] = {
    ROUTE(GET, "/health", AUTH_PUBLIC, NULL, get_health, .response_schema = "Health", .flags = ROUTE_INLINE,
          .tag = "health", .summary = "Is the server able to work"),
    ROUTE(GET, "/health/live", AUTH_PUBLIC, NULL, get_live, .response_schema = "Liveness", .flags = ROUTE_INLINE,
          .tag = "health", .summary = "Does the process turn"),
    ROUTE(GET, "/health/ready", AUTH_PUBLIC, NULL, get_ready, .response_schema = "Health", .flags = ROUTE_INLINE,
          .tag = "health", .summary = "May traffic be sent here"),
    ROUTE(GET, "/health/detailed", AUTH_PERMISSION, "system:read", get_detailed, .response_schema = "HealthDetails",
          .tag = "health", .summary = "Every component with its state and latency"),
};

void health_routes(void) { routes_register(ROUTES, ARRAY_LEN(ROUTES)); }
