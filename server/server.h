/* The transport as a whole: start, drain, stop. One instance per process. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "core/base/buf.h"
#include "core/base/err.h"
#include "server/admission.h"
#include "server/ratelimit.h"

struct listen_conf {
    const char *address;            /* "127.0.0.1", "::1"; ignored for a unix socket */
    int port;                       /* 0 = any free one, see server_port */
    const char *unix_path;          /* instead of address and port; mode 0660 */
    const char *tls_cert, *tls_key; /* PEM files; NULL = plain */
    bool reuse_port;
};
struct server_conf {
    const struct listen_conf *listen;
    size_t nlisten;
    struct admission_conf admission;
    struct rate_conf rates[RATE_CLASSES];
    bool rates_set;                  /* false = defaults */
    const char *const *cors_origins; /* exact origins, "https://x.example"; NULL-terminated; NULL = no CORS */
    const char *const *hosts;        /* allowed Host values without port; NULL = any; others get 421 */
    const char *public_url;          /* the origin browsers use; NULL = whatever Host says */
    const char *const
        *trusted_proxies; /* addresses or networks ("10.0.0.0/8") whose X-Forwarded-For/-Proto count; NULL = none */
    size_t max_body;      /* JSON; default 1 MiB */
    size_t max_raw_body;  /* ROUTE_RAW_BODY; default 25 MiB */
    uint64_t request_ms;  /* default 30000 */
    uint64_t handshake_ms, head_ms, keepalive_ms, stall_ms, drain_ms; /* defaults 10, 10, 60, 30, 22 s */
    unsigned ws_max_per_user;                                         /* default 10 */
    uint64_t ws_ping_ms, ws_dead_ms, ws_stall_ms;                     /* defaults 20, 45, 60 s */
    bool access_log;                                                  /* one line per request */
    const char *version, *commit;
    /** Work to hand over while draining (jobs): called once at SIGTERM, on a fiber, before connections are closed. */
    err_t (*on_drain)(void *arg, uint64_t deadline);
    void *on_drain_arg;
    /** SIGHUP, on a fiber: re-read the configuration (server_reconfigure). TLS certificates are reloaded by the server. */
    err_t (*on_reload)(void *arg);
    void *on_reload_arg;
};

/** Put the defaults where `c` says nothing; server_start does it with its copy. */
void server_conf_defaults(struct server_conf *c);
/** Bind, prepare TLS, accept. After routes_register. The listeners' texts and `hosts` must outlive the server. ERR_CONFIG names
 * what is wrong. Nothing is accepted before the loop runs. */
MUST_CHECK err_t server_start(const struct server_conf *conf);
/** Put in force what may change while the server runs: rates, CORS, public_url, trusted proxies, drain_ms, max_raw_body,
 * ws_max_per_user. Texts are copied. On error nothing changes. */
MUST_CHECK err_t server_reconfigure(const struct server_conf *conf);
/** Port of listener `i` (for port 0). */
int server_port(size_t i);
/** Load certificates again; on any error the old ones stay and it is returned. */
MUST_CHECK err_t server_reload_tls(void);
/** Stop accepting, ready 503, GOAWAY, WebSockets 1012, wait for requests; then loop_stop(). Idempotent. */
void server_drain(void);
bool server_draining(void);
/** When everything that stops after loop_run returned must have stopped. From the first server_drain (or the first call of this)
 * on, drain, stop and server_fini share one deadline, drain_ms + 7 s; past it the process exits by force. */
uint64_t server_stop_deadline(void);
/** After loop_run returned: drop what is left and free everything. */
void server_fini(void);

/** SIGTERM and SIGINT: first drains, second stops at once. SIGHUP reloads. SIGPIPE is ignored. */
void signals_setup(void);
void signals_fini(void);
