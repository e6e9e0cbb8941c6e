/* Transport over a libuv pipe or TCP handle. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>
#include "core/async/fiber.h"
#include "core/async/loop.h"
#include "core/async/stream_impl.h"
#include "core/base/check.h"

struct uv_transport {
    struct stream s;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } h;
    uv_shutdown_t shut;
    uv_connect_t connect;
    struct fiber *connector;
    int connect_rc;
    bool connect_done;
};

struct write_req {
    uv_write_t req;
    size_t n;
    char data[];
};

static struct uv_transport *of(struct stream *s) { return CONTAINER_OF(s, struct uv_transport, s); }
static struct uv_transport *of_handle(void *h) {
    return CONTAINER_OF(MAGIC_CAST(((uv_handle_t *)h)->data, struct stream, STREAM_MAGIC), struct uv_transport, s);
}

/* ---- reading ---- */

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *buf) {
    (void)hint;
    buf->base = stream_in_space_(&of_handle(h)->s, &buf->len);
}

static void on_read(uv_stream_t *h, ssize_t n, const uv_buf_t *buf) {
    (void)buf;
    struct stream *s = &of_handle(h)->s;
    stream_ref_(s);
    if (n > 0)
        stream_in_added_(s, (size_t)n);
    else if (n == UV_EOF)
        stream_in_eof_(s);
    else if (n < 0 && n != UV_ENOBUFS)
        stream_read_failed_(s, ERR_IO, "read failed: %s", uv_strerror((int)n));
    stream_in_trim_(s);
    stream_unref_(s);
}

static void t_read_on(struct stream *s) {
    int rc = uv_read_start(&of(s)->h.stream, on_alloc, on_read);
    if (rc != 0 && rc != UV_EALREADY)
        stream_read_failed_(s, ERR_IO, "read failed: %s", uv_strerror(rc));
}

static void t_read_off(struct stream *s) { uv_read_stop(&of(s)->h.stream); }

/* ---- writing ---- */

static void on_written(uv_write_t *req, int rc) {
    struct stream *s = &of_handle(req->handle)->s;
    struct write_req *w = req->data;
    size_t n = w->n;
    free(w);
    if (rc != 0 && !s->closed)
        stream_write_failed_(s, ERR_IO, "write failed: %s", uv_strerror(rc));
    if (!s->closed)
        stream_queue_changed_(s, s->queued - n);
}

static void t_push(struct stream *s, const void *p, size_t n) {
    struct uv_transport *t = of(s);
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)p, (unsigned)n);
    int done = s->queued == 0 ? uv_try_write(&t->h.stream, &buf, 1) : UV_EAGAIN;
    if (done < 0 && done != UV_EAGAIN) {
        stream_write_failed_(s, ERR_IO, "write failed: %s", uv_strerror(done));
        return;
    }
    size_t sent = done > 0 ? (size_t)done : 0;
    if (sent == n)
        return;
    /* The caller's memory may be gone (a cancelled fiber) before the kernel took it: queue a copy. */
    struct write_req *w = malloc(sizeof(*w) + n - sent);
    CHECK(w != NULL);
    w->n = n - sent;
    w->req.data = w;
    memcpy(w->data, (const char *)p + sent, w->n);
    buf = uv_buf_init(w->data, (unsigned)w->n);
    int rc = uv_write(&w->req, &t->h.stream, &buf, 1, on_written);
    if (rc != 0) {
        free(w);
        stream_write_failed_(s, ERR_IO, "write failed: %s", uv_strerror(rc));
        return;
    }
    stream_queue_changed_(s, s->queued + w->n);
}

static void on_shut(uv_shutdown_t *req, int rc) {
    struct stream *s = &of_handle(req->handle)->s;
    if (s->closed)
        return;
    if (rc != 0 && rc != UV_ENOTCONN)
        stream_write_failed_(s, ERR_IO, "half-close failed: %s", uv_strerror(rc));
    stream_shut_done_(s);
}

static void t_shutdown(struct stream *s) {
    struct uv_transport *t = of(s);
    if (uv_shutdown(&t->shut, &t->h.stream, on_shut) != 0)
        stream_shut_done_(s); /* not connected any more: there is nothing left to close */
}

/* ---- life ---- */

static void on_closed(uv_handle_t *h) { stream_unref_(&of_handle(h)->s); }
static void t_close(struct stream *s) { uv_close(&of(s)->h.handle, on_closed); }
static void t_free(struct stream *s) { free(of(s)); }

static bool t_idle_ok(struct stream *s) {
    uv_os_fd_t fd;
    char c;
    if (uv_fileno(&of(s)->h.handle, &fd) != 0)
        return false;
    ssize_t n = recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

static const struct stream_ops OPS = {.read_on = t_read_on,
                                      .read_off = t_read_off,
                                      .push = t_push,
                                      .shutdown = t_shutdown,
                                      .close = t_close,
                                      .free = t_free,
                                      .idle_ok = t_idle_ok};

static struct uv_transport *transport_new(void) {
    struct uv_transport *t = calloc(1, sizeof(*t));
    CHECK(t != NULL);
    stream_init_(&t->s, &OPS);
    return t;
}

struct stream *stream_uv_pipe_(void) {
    struct uv_transport *t = transport_new();
    CHECK(uv_pipe_init(loop_uv(), &t->h.pipe, 0) == 0);
    t->h.handle.data = &t->s;
    return &t->s;
}

struct stream *stream_uv_tcp_(void) {
    struct uv_transport *t = transport_new();
    CHECK(uv_tcp_init(loop_uv(), &t->h.tcp) == 0);
    t->h.handle.data = &t->s;
    return &t->s;
}

struct uv_stream_s *stream_uv_handle_(struct stream *s) {
    return &of(s)->h.stream;
}

/* ---- connecting ---- */

static void on_connect(uv_connect_t *req, int rc) {
    struct uv_transport *t = of_handle(req->handle);
    t->connect_rc = rc;
    t->connect_done = true;
    if (t->connector != NULL)
        fiber_wake(t->connector);
}

static err_t connect_wait(struct uv_transport *t, uint64_t deadline, int *ret_rc) {
    t->connector = fiber_self();
    while (!t->connect_done) {
        err_t e = fiber_park("connect", deadline);
        if (e != NULL && !t->connect_done) {
            t->connector = NULL; /* the caller closes the stream, which ends the request */
            return e;
        }
    }
    t->connector = NULL;
    *ret_rc = t->connect_rc;
    return NULL;
}

err_t stream_uv_connect_unix_(struct stream *s, const char *path, uint64_t deadline, int *ret_rc) {
    uv_pipe_connect(&of(s)->connect, &of(s)->h.pipe, path, on_connect);
    return connect_wait(of(s), deadline, ret_rc);
}

err_t stream_uv_connect_tcp_(struct stream *s, const struct sockaddr *sa, uint64_t deadline, int *ret_rc) {
    struct uv_transport *t = of(s);
    int rc = uv_tcp_connect(&t->connect, &t->h.tcp, sa, on_connect);
    if (rc != 0) {
        *ret_rc = rc;
        return NULL;
    }
    TRY(connect_wait(t, deadline, ret_rc));
    if (*ret_rc == 0) {
        uv_tcp_nodelay(&t->h.tcp, 1);
        uv_tcp_keepalive(&t->h.tcp, 1, 30);
    }
    return NULL;
}
