#include "server/server.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include "core/obs/log.h"
#include "server/listen.h"
#include "server/schema.h"

enum { SWEEP_MS = 1000, DRAIN_POLL_MS = 50, GOAWAY_MS = 1300, FINI_PATIENCE_MS = 3000, H2_RUNNING = 32 };
enum { END_MS = 7000, STOP_RESERVE_MS = 2000, FINI_RESERVE_MS = 500 }; /* after the drain, and parts of that */

struct server SRV;

void server_set_hooks(const struct server_hooks *hooks) { SRV.hooks = *hooks; }
const struct server_hooks *server_hooks_get(void) { return &SRV.hooks; }
bool server_draining(void) { return SRV.draining; }

static void dflt(uint64_t *v, uint64_t d) {
    if (*v == 0)
        *v = d;
}

void server_conf_defaults(struct server_conf *c) {
    dflt(&c->request_ms, SECONDS(30));
    dflt(&c->handshake_ms, SECONDS(10));
    dflt(&c->head_ms, SECONDS(10));
    dflt(&c->keepalive_ms, SECONDS(60));
    dflt(&c->stall_ms, SECONDS(30));
    dflt(&c->drain_ms, SECONDS(22));
    dflt(&c->ws_ping_ms, SECONDS(20));
    dflt(&c->ws_dead_ms, SECONDS(45));
    dflt(&c->ws_stall_ms, SECONDS(60));
    c->max_body = c->max_body ? c->max_body : MIB(1);
    c->max_raw_body = c->max_raw_body ? c->max_raw_body : MIB(25);
    c->ws_max_per_user = c->ws_max_per_user ? c->ws_max_per_user : 10;
    c->version = c->version ? c->version : DF_VERSION;
}

/* A fifth of the descriptors stays free for PostgreSQL, engines, Git and logs */
static unsigned fd_budget(unsigned wanted) {
    struct rlimit rl;
    unsigned max = wanted ? wanted : 8192;
    if (getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur != RLIM_INFINITY && rl.rlim_cur / 5 * 4 < max)
        max = (unsigned)(rl.rlim_cur / 5 * 4);
    return max;
}

/* h2o drops Host over HTTP/2 unseen; as an ordinary header it can be compared with :authority (request.c) */
static void show_host_over_h2(void) { ((h2o_token_t *)(uintptr_t)H2O_TOKEN_HOST)->http2_should_reject = 0; }

static void h2o_setup(const struct server_conf *c) {
    h2o_config_init(&SRV.h2o);
    SRV.h2o.server_name = h2o_iovec_init(NULL, 0);
    SRV.h2o.max_request_entity_size = c->max_raw_body; /* h2o_config_init has cleared it */
    SRV.h2o.handshake_timeout = c->handshake_ms;
    SRV.h2o.http1.req_timeout = MINUTES(30); /* conn_sweep has finer rules for each phase */
    SRV.h2o.http2.idle_timeout = c->keepalive_ms;
    SRV.h2o.http2.graceful_shutdown_timeout = c->drain_ms;
    SRV.h2o.http2.max_concurrent_requests_per_connection = H2_RUNNING;
    SRV.host = h2o_config_register_host(&SRV.h2o, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    h2o_pathconf_t *path = h2o_config_register_path(SRV.host, "/", 0);
    path->error_log.emit_request_errors = 0;
    h2o_handler_t *handler = h2o_create_handler(path, sizeof(*handler));
    handler->on_req = dispatch_on_req;
    show_host_over_h2();
    h2o_context_init(&SRV.ctx, loop_uv(), &SRV.h2o);
}

/* ---- what a reload may change ---- */

static size_t list_length(const char *const *list) {
    size_t n = 0;
    while (list != NULL && list[n] != NULL)
        n++;
    return n;
}

static const char *const *list_dup(struct arena *a, const char *const *list) {
    if (list == NULL)
        return NULL;
    size_t n = list_length(list);
    const char **v = arena_new_array(a, const char *, n + 1);
    for (size_t i = 0; i < n; i++)
        v[i] = arena_strdup(a, list[i]);
    return v;
}

static err_t parse_proxies(struct arena *a, const char *const *list, const struct conf_cidr **ret) {
    struct conf_cidr *v = arena_new_array(a, struct conf_cidr, list_length(list) + 1);
    for (size_t i = 0; i < list_length(list); i++)
        TRY(conf_parse_cidr(str_of(list[i]), &v[i]));
    *ret = v;
    return NULL;
}

err_t server_reconfigure(const struct server_conf *conf) {
    AUTO(arena) a = arena_new("server.conf", 0);
    const struct conf_cidr *proxies;
    TRY(parse_proxies(a, conf->trusted_proxies, &proxies));
    struct server_conf c = *conf;
    server_conf_defaults(&c);
    SRV.proxies = proxies;
    SRV.nproxies = list_length(conf->trusted_proxies);
    SRV.conf.cors_origins = list_dup(a, conf->cors_origins);
    SRV.conf.public_url = arena_strdup(a, conf->public_url);
    SRV.conf.drain_ms = c.drain_ms;
    SRV.conf.ws_max_per_user = c.ws_max_per_user;
    SRV.conf.max_raw_body = SRV.h2o.max_request_entity_size = c.max_raw_body;
    ratelimit_setup(conf->rates_set ? conf->rates : NULL);
    struct arena *old = SRV.own;
    SRV.own = TAKE(a);
    arena_unref(old);
    return NULL;
}

static void on_sweep(void *arg) {
    (void)arg;
    uint64_t now = loop_now();
    listen_sweep();
    conn_sweep(now);
    xchg_sweep(now);
    ws_sweep(now);
}

err_t server_start(const struct server_conf *conf) {
    CHECK(!SRV.started);
    SRV.conf = *conf;
    server_conf_defaults(&SRV.conf);
    TRY(server_reconfigure(conf));
    list_init(&SRV.conns);
    list_init(&SRV.xchgs);
    SRV.draining = false;
    SRV.end_by = 0;
    struct admission_conf admission = conf->admission;
    admission.max_conns = fd_budget(admission.max_conns);
    admission_setup(&admission);
    access_log_setup();
    h2o_setup(&SRV.conf);
    SRV.started = true;
    timer_init(&SRV.sweep, on_sweep, NULL);
    timer_start(&SRV.sweep, SWEEP_MS, SWEEP_MS);
    TRY(listen_start(conf->listen, conf->nlisten));
    for (size_t i = 0; i < conf->nlisten; i++)
        LOG(INFO, "http.listening",
            KV_STR("address", conf->listen[i].unix_path ? conf->listen[i].unix_path : conf->listen[i].address),
            KV_INT("port", server_port(i)), KV_BOOL("tls", conf->listen[i].tls_cert != NULL));
    return NULL;
}

err_t server_reload_tls(void) {
    err_t e = listen_reload_tls();
    if (e != NULL)
        LOG(ERROR, "tls.reload_failed", KV_STR("code", "TLS_RELOAD_FAILED"), KV_ERR(e));
    else
        LOG(INFO, "tls.reloaded");
    return e;
}

/* ---- drain ---- */

static void close_idle(void) { conn_sweep(loop_now()); }

/* First the jobs are handed over and requests end; then sockets; whatever is left at the deadline is cut by server_fini. */
static err_t drain_main(void *arg) {
    (void)arg;
    uint64_t began = loop_now();
    if (SRV.conf.on_drain != NULL) {
        err_t e = SRV.conf.on_drain(SRV.conf.on_drain_arg, SRV.drain_deadline);
        if (e != NULL)
            LOG(WARNING, "drain.handover_failed", KV_ERR(e));
    }
    while (loop_now() < SRV.drain_deadline && conn_count() > 0) {
        close_idle();
        if (SRV.nxchgs == 0 && ws_count() == 0 && loop_now() - began > GOAWAY_MS)
            break; /* only idle HTTP/2 connections, which had their GOAWAY */
        TRY(fiber_sleep(DRAIN_POLL_MS));
    }
    LOG(INFO, "drain.done", KV_INT("ms", loop_now() - began), KV_INT("connections", conn_count()),
        KV_INT("requests", SRV.nxchgs));
    loop_stop();
    return NULL;
}

/* One clock for the whole end: whatever a part of it makes of its time, the process is gone then (signals.c). */
static void end_begin(void) {
    if (SRV.end_by != 0)
        return;
    SRV.drain_deadline = clock_mono_ms() + SRV.conf.drain_ms;
    SRV.end_by = SRV.drain_deadline + END_MS;
    signals_exit_by(SRV.end_by);
}

uint64_t server_stop_deadline(void) {
    end_begin();
    return SRV.end_by - STOP_RESERVE_MS;
}

void server_drain(void) {
    if (SRV.draining)
        return;
    SRV.draining = true; /* /health/ready says 503 from now on */
    end_begin();
    LOG(INFO, "drain.begin", KV_INT("connections", conn_count()), KV_INT("requests", SRV.nxchgs));
    listen_stop();
    h2o_context_request_shutdown(&SRV.ctx);
    ws_drain();
    fiber_spawn_detached("drain", NULL, drain_main, NULL);
}

/* ---- the end: main has left the loop ---- */

static void run_until_idle(void) {
    end_begin();
    uint64_t end = deadline_min(clock_mono_ms() + FINI_PATIENCE_MS, SRV.end_by - FINI_RESERVE_MS);
    while ((conn_count() > 0 || SRV.nxchgs > 0 || conn_linger_stop() > 0) && clock_mono_ms() < end) {
        for
            list_each_safe(it, tmp, &SRV.xchgs) {
                struct xchg *x = list_entry(it, struct xchg, live);
                if (x->fiber != NULL)
                    fiber_cancel(x->fiber);
            }
        for
            list_each_safe(it, tmp, &SRV.conns)
                conn_shutdown(list_entry(it, struct conn, all));
        uv_run(loop_uv(), UV_RUN_NOWAIT);
        uv_sleep(1);
    }
}

void server_fini(void) {
    if (!SRV.started)
        return;
    SRV.draining = true;
    listen_stop();
    timer_close(&SRV.sweep);
    run_until_idle();
    bool clean = conn_count() == 0 && SRV.nxchgs == 0;
    if (clean) {
        h2o_timeout_unlink(&SRV.ctx.http2._graceful_shutdown_timeout);
        h2o_context_dispose(&SRV.ctx);
        h2o_config_dispose(&SRV.h2o);
    } else {
        LOG(WARNING, "http.left_behind", KV_INT("connections", conn_count()), KV_INT("requests", SRV.nxchgs));
    }
    listen_fini();
    ratelimit_fini();
    if (clean)
        admission_fini();
    routes_reset();
    arena_unref(TAKE(SRV.own));
    SRV.started = false;
}
