/* One accepted connection: identity, phase timeouts, stall detection, the last answer's lingering. h2o owns the protocol. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "core/obs/log.h"
#include "server/internal.h"
#include "server/listen.h"
#include "server/uv_guard.h"

enum {
    CONN_SLOTS = 8192,
    BODY_WINDOW_MS = 10000, /* an upload must bring BODY_WINDOW_BYTES in each such window: 1 KiB/s */
    BODY_WINDOW_BYTES = 10240,
    WRITE_PROGRESS_BYTES = 4096,
    LINGER_MS = 2000,
    LINGER_MAX = 256,
    LINGER_BYTES = 8 << 20,
};

static struct {
    struct conn *slots[CONN_SLOTS];
    size_t n, nlinger;
} C;

/* ---- finding ---- */

static size_t slot_of(const void *p) { return ((uintptr_t)p >> 6) * 0x9e3779b97f4a7c15u >> 51; }

struct conn *conn_of_handle(const uv_handle_t *h) {
    for (struct conn *c = C.slots[slot_of(h)]; c != NULL; c = c->hash_next)
        if (&c->uv.handle == h)
            return c;
    return NULL;
}

static void hash_add(struct conn *c) {
    struct conn **slot = &C.slots[slot_of(&c->uv.handle)];
    c->hash_next = *slot;
    *slot = c;
}

static void hash_del(struct conn *c) {
    struct conn **at = &C.slots[slot_of(&c->uv.handle)];
    while (*at != c)
        at = &(*at)->hash_next;
    *at = c->hash_next;
}

struct conn *conn_of_sock(h2o_socket_t *sock) {
    return MAGIC_CAST(sock->on_close.data, struct conn, CONN_MAGIC);
}
struct conn *conn_of_req(h2o_req_t *req) {
    return conn_of_sock(req->conn->callbacks->get_socket(req->conn));
}
size_t conn_count(void) { return C.n; }

/* ---- birth ---- */

struct conn *conn_new(struct listener *l, bool is_pipe) {
    struct conn *c = calloc(1, sizeof(*c));
    CHECK(c != NULL);
    c->magic = CONN_MAGIC;
    c->listener = l;
    c->linger_fd = -1;
    int rc = is_pipe ? uv_pipe_init(loop_uv(), &c->uv.pipe, 0) : uv_tcp_init(loop_uv(), &c->uv.tcp);
    CHECK(rc == 0);
    hash_add(c);
    list_add_tail(&SRV.conns, &c->all);
    C.n++;
    return c;
}

static void on_uv_closed(uv_handle_t *h) {
    struct conn *c = MAGIC_CAST(CONTAINER_OF(h, struct conn, uv.handle), struct conn, CONN_MAGIC);
    uv_guard_forget(c);
    hash_del(c);
    list_del(&c->all);
    C.n--;
    if (c->ssl_ctx != NULL)
        SSL_CTX_free(c->ssl_ctx);
    if (c->linger_fd >= 0)
        close(c->linger_fd);
    SRV.upload_bytes -= c->h2.upload_bytes;
    free(c->h2.uploads);
    c->magic = 0;
    free(c);
}

void conn_drop_unstarted(struct conn *c) { uv_close(&c->uv.handle, on_uv_closed); }

static void linger_start(int fd);

static void release_body(struct conn *c) {
    if (c->body_held > 0 && c->peer != NULL)
        admission_body_done(c->peer, c->body_held);
    c->body_held = 0;
}

static void on_sock_close(void *arg) {
    struct conn *c = MAGIC_CAST(arg, struct conn, CONN_MAGIC);
    c->sock = NULL;
    release_body(c);
    if (c->peer != NULL)
        admission_leave(c->peer);
    c->peer = NULL;
    if (c->linger_fd >= 0) {
        linger_start(c->linger_fd);
        c->linger_fd = -1;
    }
}

void conn_start(struct conn *c, const struct sockaddr *sa) {
    uint64_t now = loop_now();
    credit_init(&c->credit, CREDIT_CONN, now);
    if (sa->sa_family == AF_INET)
        uv_ip4_name((const struct sockaddr_in *)(const void *)sa, c->ip, sizeof(c->ip));
    else if (sa->sa_family == AF_INET6)
        uv_ip6_name((const struct sockaddr_in6 *)(const void *)sa, c->ip, sizeof(c->ip));
    else
        memcpy(c->ip, "unix", 5);
    h2o_accept_ctx_t *accept_ctx = listener_accept_ctx(c->listener);
    c->tls = accept_ctx->ssl_ctx != NULL;
    if (c->tls) {
        SSL_CTX_up_ref(accept_ctx->ssl_ctx);
        c->ssl_ctx = accept_ctx->ssl_ctx;
    }
    conn_phase(c, c->tls ? CONN_HANDSHAKE : CONN_IDLE);
    c->sock = h2o_uv_socket_create(&c->uv.stream, on_uv_closed);
    c->sock->on_close.cb = on_sock_close;
    c->sock->on_close.data = c;
    socklen_t len = sa->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    struct sockaddr_storage ss = {.ss_family = AF_UNSPEC};
    if (sa->sa_family == AF_INET || sa->sa_family == AF_INET6)
        memcpy(&ss, sa, len);
    h2o_socket_setpeername(c->sock, (struct sockaddr *)&ss, len);
    h2o_accept(accept_ctx, c->sock);
}

/* ---- life ---- */

void conn_phase(struct conn *c, enum conn_phase phase) {
    c->phase = phase;
    c->phase_at = loop_now();
    c->phase_bytes = c->bytes_in;
    if (phase != CONN_BODY && phase != CONN_BUSY)
        release_body(c);
}

void conn_shutdown(struct conn *c) {
    uv_os_fd_t fd;
    c->dead = true;
    if (!uv_is_closing(&c->uv.handle) && uv_fileno(&c->uv.handle, &fd) == 0)
        (void)shutdown(fd, SHUT_RDWR);
}

void conn_charge(struct conn *c) {
    uint64_t now = loop_now();
    bool peer_ok = c->peer == NULL || admission_charge(c->peer, now);
    if (credit_charge(&c->credit, CREDIT_CONN, now) && peer_ok)
        return;
    if (!c->dead)
        LOG(WARNING, "http.credit_exhausted", KV_STR("ip", c->ip));
    conn_shutdown(c);
}

/* ---- the last answer ---- */

struct lingerer {
    uv_poll_t poll;
    uint64_t until, bytes;
    int fd;
};

static void on_linger_closed(uv_handle_t *h) {
    struct lingerer *l = CONTAINER_OF(h, struct lingerer, poll);
    close(l->fd);
    C.nlinger--;
    free(l);
}

static void on_linger(uv_poll_t *p, int status, int events) {
    struct lingerer *l = CONTAINER_OF(p, struct lingerer, poll);
    (void)events;
    char sink[4096];
    ssize_t n = status < 0 ? 0 : recv(l->fd, sink, sizeof(sink), MSG_DONTWAIT);
    if (n > 0)
        l->bytes += (uint64_t)n;
    bool again = n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
    if (!again || l->bytes > LINGER_BYTES || loop_now() > l->until)
        uv_close((uv_handle_t *)p, on_linger_closed);
}

/* Closing a socket with unread input sends a reset that may overtake our answer: read a little of it first. */
static void linger_start(int fd) {
    struct lingerer *l = C.nlinger < LINGER_MAX ? calloc(1, sizeof(*l)) : NULL;
    if (l == NULL || uv_poll_init(loop_uv(), &l->poll, fd) != 0) {
        free(l);
        close(fd);
        return;
    }
    l->fd = fd;
    l->until = loop_now() + LINGER_MS;
    C.nlinger++;
    (void)shutdown(fd, SHUT_WR);
    uv_poll_start(&l->poll, UV_READABLE | UV_DISCONNECT, on_linger);
}

static void linger_sweep(uv_handle_t *h, void *arg) {
    if (h->type != UV_POLL || uv_is_closing(h) || ((uv_poll_t *)h)->poll_cb != on_linger)
        return;
    struct lingerer *l = CONTAINER_OF(h, struct lingerer, poll);
    if (*(uint64_t *)arg > l->until)
        uv_close(h, on_linger_closed);
}

size_t conn_linger_stop(void) {
    uint64_t for_ever = UINT64_MAX;
    if (C.nlinger > 0)
        uv_walk(loop_uv(), linger_sweep, &for_ever);
    return C.nlinger;
}

void conn_linger(struct conn *c) {
    uv_os_fd_t fd;
    if (c->linger_fd < 0 && C.nlinger < LINGER_MAX && uv_fileno(&c->uv.handle, &fd) == 0)
        c->linger_fd = dup(fd);
}

/* ---- timeouts ---- */

static void on_refused(h2o_socket_t *sock, const char *err) {
    (void)err;
    struct conn *c = conn_of_sock(sock);
    conn_shutdown(c);
    h2o_socket_read_start(sock, c->io.refused_read_cb); /* h2o sees the end of file and closes */
}

/* h2o is waiting for input and knows no 408: take its read callback away, answer, give it back for the end of file. */
static void refuse_408(struct conn *c) {
    static const char TEXT[] = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    if (c->sock == NULL || c->sock->_cb.read == NULL || h2o_socket_is_writing(c->sock) || c->dead) {
        conn_shutdown(c);
        return;
    }
    c->dead = true;
    c->io.refused_read_cb = c->sock->_cb.read;
    h2o_socket_read_stop(c->sock);
    h2o_iovec_t v = h2o_iovec_init(TEXT, sizeof(TEXT) - 1);
    h2o_socket_write(c->sock, &v, 1, on_refused);
}

static void sweep_write(struct conn *c, uint64_t now) {
    size_t left = uv_stream_get_write_queue_size(&c->uv.stream);
    if (left + WRITE_PROGRESS_BYTES <= c->io.write_left) {
        c->io.write_left = left;
        c->io.write_at = now;
    } else if (now - c->io.write_at > SRV.conf.stall_ms) {
        conn_shutdown(c);
    }
}

static void sweep_uploads(struct conn *c, uint64_t now) {
    for (unsigned i = 0; i < c->h2.nuploads; i++) {
        struct h2_upload *u = &c->h2.uploads[i];
        if (now - u->window_at < BODY_WINDOW_MS)
            continue;
        if (u->bytes - u->window_bytes < BODY_WINDOW_BYTES) {
            conn_shutdown(c);
            return;
        }
        u->window_at = now;
        u->window_bytes = u->bytes;
    }
}

static void sweep_one(struct conn *c, uint64_t now) {
    uint64_t age = now - c->phase_at;
    switch (c->phase) {
    case CONN_HANDSHAKE:
        if (age > SRV.conf.handshake_ms + SRV.conf.head_ms)
            conn_shutdown(c);
        break;
    case CONN_IDLE:
        if (age > (c->requests == 0 ? SRV.conf.head_ms : SRV.conf.keepalive_ms) || SRV.draining)
            conn_shutdown(c);
        break;
    case CONN_HEAD:
        if (age > SRV.conf.head_ms)
            refuse_408(c);
        break;
    case CONN_BODY:
        if (age <= BODY_WINDOW_MS)
            break;
        if (c->bytes_in - c->phase_bytes < BODY_WINDOW_BYTES)
            refuse_408(c);
        else
            conn_phase(c, CONN_BODY);
        break;
    case CONN_H2:
        sweep_uploads(c, now);
        break;
    case CONN_BUSY:
    case CONN_WS:
        break; /* xchg_sweep and ws_sweep look after these */
    }
}

void conn_sweep(uint64_t now_ms) {
    for
        list_each_safe(it, tmp, &SRV.conns) {
            struct conn *c = list_entry(it, struct conn, all);
            if (c->sock == NULL || uv_is_closing(&c->uv.handle))
                continue;
            if (c->io.writing && c->phase != CONN_WS) /* ws_sweep gives slow viewers more time */
                sweep_write(c, now_ms);
            sweep_one(c, now_ms);
        }
    if (C.nlinger > 0)
        uv_walk(loop_uv(), linger_sweep, &now_ms);
}
