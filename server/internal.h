/* What the files of server/ share and nobody else sees: connections, exchanges (one request and its reply), the h2o context. */
#pragma once
#include <netinet/in.h>
#include <uv.h>
#include <h2o.h>
#include <h2o/http1.h>
#include <h2o/http2.h>
#include "core/async/fiber.h"
#include "core/async/loop.h"
#include "core/base/check.h"
#include "core/base/list.h"
#include "core/base/vec.h"
#include "core/conf/conf.h"
#include "server/admission.h"
#include "server/hooks.h"
#include "server/reply.h"
#include "server/request.h"
#include "server/route.h"
#include "server/router.h"
#include "server/server.h"

enum { CONN_MAGIC = 0x434f4e4e, XCHG_MAGIC = 0x58434847 };
enum { H1_MAX_HEAD = 64 << 10, MAX_HEADERS = 100, MAX_URI = 8 << 10, H2_MAX_UPLOADS = 100 };

struct listener;
struct xchg;

/* ---- a connection: from accept to the close callback ---- */
enum conn_phase {
    CONN_HANDSHAKE, /* TLS; h2o's own timer watches it */
    CONN_IDLE,      /* between requests */
    CONN_HEAD,      /* part of a request head is there */
    CONN_BODY,      /* HTTP/1 body is arriving */
    CONN_BUSY,      /* HTTP/1 request in a handler or being answered */
    CONN_H2,
    CONN_WS
};
struct h2_upload {
    uint32_t stream_id;
    uint64_t window_at, window_bytes, bytes;
};
struct conn {
    uint32_t magic;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    struct list all;
    struct conn *hash_next;
    struct listener *listener;
    struct peer *peer;
    h2o_socket_t *sock; /* NULL once h2o gave it up */
    SSL_CTX *ssl_ctx;   /* reference: h2o keeps a bare pointer until the first bytes */
    char ip[INET6_ADDRSTRLEN];
    bool tls, dead; /* dead: out of credit or stalled; nothing of it is dispatched any more */
    enum conn_phase phase;
    uint64_t phase_at, phase_bytes; /* loop ms; bytes_in at that time */
    uint64_t bytes_in, requests;
    struct credit credit;
    unsigned running;
    size_t body_held; /* HTTP/1: counted in admission until the request is over */
    size_t body_chunked;
    int linger_fd; /* a dup kept open so that an error answer is not lost to a reset; -1 = none */
    struct {       /* the answer to give instead of dispatching */
        enum err_code code;
        const char *message; /* static; NULL = none */
    } reject;
    struct { /* uv_guard.c */
        uv_alloc_cb alloc_cb;
        uv_read_cb read_cb;
        uv_write_cb write_cb;
        uv_write_t *write_req;
        int write_error;
        struct deferred write_failed;
        bool writing;
        uint64_t write_at;
        size_t write_left;
        h2o_socket_cb refused_read_cb;
    } io;
    struct { /* h2_guard.c */
        uint64_t window_at;
        unsigned control;  /* control frames in the window */
        size_t head_bytes; /* of the header block being received */
        unsigned head_frames;
        struct h2_upload *uploads;
        unsigned nuploads;
        size_t upload_bytes;
    } h2;
};

/* ---- one request and its reply ---- */
struct link { /* in h2o's pool: its disposal is the only reliable sign that the client is gone */
    struct xchg *x;
};
struct reply_header_row {
    struct str name, value;
};
struct reply {
    int status; /* 0 = nothing yet */
    VEC(struct reply_header_row) headers;
    const char *content_type;
    struct str body;
    err_t error;
    bool close;      /* HTTP/1: close the connection after this */
    bool cache_set;  /* Cache-Control given */
    const char *csp; /* NULL = the API's */
    struct reply_stream *stream;
    struct ws *ws;
};
struct xchg {
    uint32_t magic;
    struct list live;
    struct request r;
    struct reply out;
    struct arena *a;     /* one reference, ours */
    struct conn *conn;   /* NULL when the link is gone */
    struct peer *peer;   /* counted in admission while not NULL */
    h2o_req_t *req;      /* NULL when the link is gone */
    struct fiber *fiber; /* NULL before start and after the end */
    struct deferred deferred;
    bool answered; /* handed to h2o */
    bool sent_any;
    bool fiber_done;
    bool head; /* HEAD: no body */
    bool upgrade_ws;
    const char *ws_key;
    const char *ws_ticket; /* from Sec-WebSocket-Protocol: ticket.<...> */
    bool ws_subprotocol;   /* dockflow.v1 was offered */
    bool rate_shown;
    struct rate_state rate;
    struct credentials cred;
    struct audit_note audit;
    struct query_param *query;
    size_t nquery;
    const struct json *json;
    uint64_t start_us, start_ms, done_us;
    uint64_t stall_at, stall_bytes;
    uint64_t bytes_out;
};

#define XCHG_OF_REQUEST(req_) CONTAINER_OF((req_), struct xchg, r)
#define XCHG_OF_REPLY(out_) CONTAINER_OF((out_), struct xchg, out)

struct server {
    struct server_conf conf;
    h2o_globalconf_t h2o;
    h2o_context_t ctx;
    h2o_hostconf_t *host;
    struct list conns, xchgs;
    size_t nxchgs;
    struct timer sweep;
    bool started, draining;
    uint64_t drain_deadline, end_by; /* 0 = the end has not begun */
    uint64_t upload_bytes;           /* request bodies being buffered, all connections */
    struct server_hooks hooks;
    struct arena *own; /* texts and proxies of the configuration in force */
    const struct conf_cidr *proxies;
    size_t nproxies;
};
extern struct server SRV;

/* listen.c */
void listen_stop(void);
void listen_sweep(void);
/* signals.c */
void signals_exit_by(uint64_t mono_ms); /* the process ends then, whatever it is doing */
/* conn.c */
struct conn *conn_new(struct listener *l, bool is_pipe);
void conn_start(struct conn *c, const struct sockaddr *sa);
struct conn *conn_of_sock(h2o_socket_t *sock);
struct conn *conn_of_req(h2o_req_t *req);
struct conn *conn_of_handle(const uv_handle_t *h); /* NULL when it is not one of ours */
void conn_phase(struct conn *c, enum conn_phase phase);
void conn_shutdown(struct conn *c); /* shutdown(2) both ways; h2o sees EOF and closes. Safe anywhere */
void conn_charge(struct conn *c);   /* an abandoned request; out of credit = conn_shutdown */
size_t conn_linger_stop(void);      /* at the end; how many are still closing */
void conn_linger(struct conn *c);   /* keep the peer able to read our last answer */
void conn_sweep(uint64_t now_ms);
size_t conn_count(void);
/* dispatch.c */
int dispatch_on_req(h2o_handler_t *self, h2o_req_t *req);
void xchg_sweep(uint64_t now_ms);
/** Fiber over or inline handler done: send from the loop stack. */
void xchg_finish(struct xchg *x);
void reply_send(struct xchg *x); /* loop stack */
/* reply.c */
void reply_reset(struct reply *out);
bool reply_filled(const struct reply *out);
void reply_head_apply(struct xchg *x); /* status and headers into h2o's response */
/* h2_guard.c */
bool h2_length_agrees(h2o_req_t *req);
/* request.c */
MUST_CHECK err_t request_fill(struct xchg *x, h2o_req_t *req);
/* middleware.c */
err_t middleware_run(struct xchg *x); /* YIELDS; handler included */
err_t check_own_site(struct xchg *x); /* CSRF for a write that a browser sends from another site */
/* cors.c */
bool origin_same(const struct request *r, struct str origin);
bool origin_cors_allowed(struct str origin);
void cors_apply(struct xchg *x);
/* reply_stream.c */
void reply_stream_start(struct xchg *x);
void reply_stream_gone(struct reply_stream *s); /* from the dispose hook */
void reply_stream_sweep(struct xchg *x, uint64_t now_ms);
void reply_stream_abort(struct reply_stream *s);
/* ws.c */
void ws_start(struct xchg *x);
void ws_answer_head(struct xchg *x);
void ws_abort(struct ws *ws); /* never got its 101 */
void ws_sweep(uint64_t now_ms);
void ws_drain(void);
size_t ws_count(void);
size_t ws_queued_most(void); /* bytes waiting in the fullest queue */
/** The handshake's own rules, before authentication. */
MUST_CHECK err_t ws_check_handshake(struct xchg *x);
unsigned ws_count_of(const char *principal_key);
/* static.c */
bool static_match(struct xchg *x); /* fills the reply when the path is the UI's */
/* access_log.c */
void access_log(struct xchg *x);
void access_log_setup(void);
