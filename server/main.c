/* The process: configuration, log, loop, then the parts in the order of their birth; death in reverse. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "core/async/fiber.h"
#include "core/async/loop.h"
#include "core/base/check.h"
#include "core/base/fault.h"
#include "core/conf/conf.h"
#include "core/git/git.h"
#include "core/obs/metrics.h"
#include "handlers/start.h"
#include "server/health.h"
#include "server/server.h"

#ifndef DF_COMMIT
#define DF_COMMIT ""
#endif
/* Test builds run under sanitizers and on crowded machines, where two silent seconds prove nothing. */
enum { WATCHDOG_S = FAULTS_BUILT ? 10 : 2, MAX_LISTENERS = 32 };

static struct {
    struct conf_input input;
    struct listen_conf listen[MAX_LISTENERS];
    size_t nlisten;
    const char *proxies[257], *origins[257];
} M;

/* ---- command line ---- */

static int say_error(err_t e) {
    (void)fprintf(stderr, "dockflow: %s\n", e->message);
    for (const struct err_detail *d = e->details; d; d = d->next)
        if (z_eq(d->key, "problem") && !strstr(e->message, d->value))
            (void)fprintf(stderr, "dockflow: %s\n", d->value);
    return e->code == ERR_CONFIG || e->code == ERR_PRECONDITION ? CONF_EXIT : 1;
}

static int print(void (*write)(struct buf *out), const char *head) {
    AUTO_BUF b;
    buf_init(&b, 4096, MIB(4));
    buf_puts(&b, head);
    write(&b);
    (void)fwrite(b.p, 1, b.n, stdout);
    return fflush(stdout) == 0 ? 0 : 1;
}

static const char usage[] = "usage: dockflow [serve] [--key value ...]      run the server\n"
                            "       dockflow migrate [--key value ...]      bring the database up to date and exit\n"
                            "       dockflow --check-config | --print-config | --openapi | --version | --help\n\n";

/* ---- configuration into what the transport takes ---- */

static err_t add_listener(struct arena *a, struct str text, const struct conf *c, bool tls) {
    struct listen_conf *l = &M.listen[M.nlisten];
    const char *host;
    int port;
    if (M.nlisten == MAX_LISTENERS)
        return err_new(ERR_CONFIG, "more than %d listeners", MAX_LISTENERS);
    TRY(conf_parse_listen(a, text, &host, &port));
    *l = (struct listen_conf){.address = *host == '\0'             ? "0.0.0.0"
                                         : z_eq(host, "localhost") ? "127.0.0.1"
                                                                   : host,
                              .port = port};
    if (tls) {
        l->tls_cert = c->tls.cert;
        l->tls_key = c->tls.key;
    }
    M.nlisten++;
    return NULL;
}

static err_t add_listeners(struct arena *a, const struct conf *c) {
    for (size_t i = 0; i < c->listen.http.n; i++)
        TRY(add_listener(a, str_of(c->listen.http.v[i]), c, false));
    for (size_t i = 0; i < c->listen.https.n; i++)
        TRY(add_listener(a, str_of(c->listen.https.v[i]), c, true));
    return NULL;
}

static void copy_list(const char **to, size_t room, const struct conf_list *from) {
    size_t n = from->n < room - 1 ? from->n : room - 1;
    memcpy(to, from->v, n * sizeof(*to));
    to[n] = NULL;
}

static void set_rates(struct server_conf *s, const struct conf *c) {
    s->rates_set = true;
    if (!c->rate_limit.enabled)
        return;
    const double per_s[RATE_CLASSES] = {
        [RATE_ANONYMOUS] = (double)c->limits.rate_anonymous_per_second,
        [RATE_USER] = (double)c->limits.rate_user_per_second,
        [RATE_WRITE] = (double)c->limits.rate_write_per_second,
        [RATE_LOGIN] = (double)c->limits.rate_login_per_minute / 60,
        [RATE_HOOK] = (double)c->limits.rate_hook_per_minute / 60,
    };
    for (int i = 0; i < RATE_CLASSES; i++)
        s->rates[i] = (struct rate_conf){per_s[i], i == RATE_LOGIN || i == RATE_HOOK ? per_s[i] * 60
                                                   : i == RATE_WRITE                 ? per_s[i] * 4
                                                                                     : per_s[i] * 2};
}

static void server_conf_of(const struct conf *c, struct server_conf *s) {
    copy_list(M.proxies, ARRAY_LEN(M.proxies), &c->server.trusted_proxies);
    copy_list(M.origins, ARRAY_LEN(M.origins), &c->server.cors_origins);
    *s = (struct server_conf){
        .listen = M.listen,
        .nlisten = M.nlisten,
        .admission = {.max_conns = (unsigned)c->limits.connections, .max_running = (unsigned)c->limits.fibers},
        .cors_origins = c->server.cors_origins.n ? M.origins : NULL,
        .public_url = *c->server.public_url ? c->server.public_url : NULL,
        .trusted_proxies = c->server.trusted_proxies.n ? M.proxies : NULL,
        .drain_ms =
            c->server.drain_seconds > 0 ? (uint64_t)c->server.drain_seconds * 1000 : 1, /* 0 is "the default" there */
        .max_raw_body = (size_t)c->server.max_body,
        .ws_max_per_user = (unsigned)c->limits.ws_per_user,
        .access_log = true,
        .version = DF_VERSION,
        .commit = DF_COMMIT};
    set_rates(s, c);
}

static err_t on_drain(void *arg, uint64_t deadline) {
    (void)arg;
    handlers_drain(deadline);
    return NULL;
}

static err_t on_reload(void *arg) {
    (void)arg;
    struct conf_change change;
    TRY(conf_reload(arena_current(), &M.input, &change));
    const struct conf *c = conf_now();
    for (size_t i = 0; i < M.nlisten; i++)
        if (M.listen[i].tls_cert != NULL) { /* read after this (signals.c) */
            M.listen[i].tls_cert = c->tls.cert;
            M.listen[i].tls_key = c->tls.key;
        }
    struct server_conf s;
    server_conf_of(c, &s);
    TRY(server_reconfigure(&s));
    for (size_t i = 0; i < change.applied.n; i++)
        LOG(INFO, "conf.applied", KV_STR("key", change.applied.v[i]));
    for (size_t i = 0; i < change.needs_restart.n; i++)
        LOG(WARNING, "conf.needs_restart", KV_STR("key", change.needs_restart.v[i]));
    return NULL;
}

/* ---- serve ---- */

static void on_fiber_error(const char *name, err_t e) {
    if (e->code != ERR_CANCELLED)
        LOG(ERROR, "fiber.failed", KV_STR("name", name), KV_ERR(e));
}

static void on_slow_fiber(const char *name, const char *label, uint64_t ran_us) {
    metric_add(metric_get(METRIC_COUNTER, "dockflow_loop_slow_total",
                          "Runs of a fiber that held the loop for over 20 ms.", "fiber"),
               (const char *const[]){name}, 1);
    LOG(WARNING, "fiber.slow", KV_STR("name", name), KV_STR("label", label), KV_INT("us", ran_us));
}

static void on_turn(uint64_t busy_us) {
    static struct metric_series *lag;
    if (lag == NULL)
        lag = metric_series_get(metric_get(METRIC_HISTOGRAM, "dockflow_loop_lag_seconds",
                                           "How long a turn of the loop kept the next one waiting.", ""),
                                NULL);
    metric_series_observe(lag, (double)busy_us / 1e6);
}

static err_t stop(void *arg) {
    (void)arg;
    handlers_stop(server_stop_deadline());
    return NULL;
}

static int serve(struct arena *a, const struct conf *c) {
    struct server_conf s;
    int status = 0;
    err_t e = add_listeners(a, c);
    server_conf_of(c, &s);
    s.on_drain = on_drain;
    s.on_reload = on_reload;
    if (e == NULL)
        e = handlers_start(&(struct handlers_conf){c, DF_VERSION, DF_COMMIT});
    if (e == NULL)
        e = server_start(&s);
    if (e) {
        status = say_error(e);
    } else {
        signals_setup();
        loop_watchdog_start(WATCHDOG_S);
        loop_run();
        if (handlers_fatal()) {
            (void)say_error(handlers_fatal());
            status = CONF_EXIT; /* a restart would not help */
        }
    }
    err_ignore(loop_run_fiber("stop", stop, NULL));
    server_fini();
    signals_fini();
    health_reset();
    return status;
}

/* ---- migrate ---- */

struct migrate {
    const struct conf *conf;
    int applied;
};

static err_t migrate(void *arg) {
    struct migrate *m = arg;
    return handlers_migrate(m->conf, &m->applied);
}

static int run_migrate(const struct conf *c) {
    struct migrate m = {.conf = c};
    err_t e = loop_run_fiber("migrate", migrate, &m);
    if (e)
        return say_error(e);
    (void)printf("%d migrations applied\n", m.applied);
    return 0;
}

/* ---- start ---- */

static int run(struct arena *a, const struct conf_result *r, bool migrating) {
    const struct conf *c = r->conf;
    err_t e = conf_check_files(c);
    if (e)
        return say_error(e);
    if (r->check_config) {
        (void)printf("the configuration is good\n");
        return 0;
    }
    loop_init();
    struct log_conf log = {.level = (enum log_level)c->log.level,
                           .file = *c->log.file ? c->log.file : NULL,
                           .rotate_bytes = (size_t)c->log.rotate_bytes,
                           .keep = (int)c->log.keep};
    e = log_setup(&log);
    if (e)
        return say_error(e);
    conf_publish(a, c);
    fiber_set_error_hook(on_fiber_error);
    fiber_set_slow_hook(on_slow_fiber);
    loop_set_turn_hook(on_turn);
    for (size_t i = 0; i < r->warnings.n; i++)
        LOG(WARNING, "conf.warning", KV_STR("text", r->warnings.v[i]));
    int status = migrating ? run_migrate(c) : serve(a, c);
    loop_fini();
    log_flush();
    return status;
}

/* Started without them, the first sockets would get these numbers, and a stray message would go to a client. */
static void open_stdio(void) {
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);
}

int main(int argc, char **argv) {
    open_stdio();
    const char *command = argc > 1 && argv[1][0] != '-' ? argv[1] : "serve";
    int skip = argc > 1 && argv[1][0] != '-' ? 2 : 1;
    if (z_eq(command, "git-helper"))
        return git_helper_main();
    bool migrating = z_eq(command, "migrate");
    if (!migrating && !z_eq(command, "serve")) {
        (void)fprintf(stderr, "dockflow: there is no command '%s'\n%s", command, usage);
        return 64;
    }
    AUTO(arena) a = arena_new("main", 0);
    (void)arena_set_current(a);
    M.input = (struct conf_input){.argc = argc - skip,
                                  .argv = (const char *const *)argv + skip,
                                  .env = (const char *const *)environ,
                                  .default_path = CONF_FILE_DEFAULT};
    struct conf_result r;
    err_t e = conf_load(a, &M.input, &r);
    if (e)
        return say_error(e);
    if (r.help)
        return print(conf_print_flags, usage);
    if (r.print_docs)
        return print(conf_print_docs, "");
    if (r.openapi) {
        conf_publish(a, r.conf);
        return print(handlers_openapi, "");
    }
    if (r.version) {
        (void)printf("dockflow %s %s\n", DF_VERSION, DF_COMMIT);
        return 0;
    }
    return run(a, &r, migrating);
}
