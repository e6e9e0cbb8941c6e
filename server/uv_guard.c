/* h2o 2.2 ignores what uv_write and uv_read_start return and takes a read of zero bytes over TLS for an I/O error. The linker
 * sends all calls of the two functions here (--wrap): for our connections a failed write is reported on the next turn, never
 * inline, because h2o still touches the connection after the call; a read of zero bytes is swallowed; other handles pass. */
#include "server/uv_guard.h"
#include "server/internal.h"

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's names for --wrap */
int __real_uv_write(uv_write_t *req, uv_stream_t *handle, const uv_buf_t bufs[], unsigned int nbufs, uv_write_cb cb);
int __real_uv_read_start(uv_stream_t *stream, uv_alloc_cb alloc_cb, uv_read_cb read_cb);
int __wrap_uv_write(uv_write_t *req, uv_stream_t *handle, const uv_buf_t bufs[], unsigned int nbufs, uv_write_cb cb);
int __wrap_uv_read_start(uv_stream_t *stream, uv_alloc_cb alloc_cb, uv_read_cb read_cb);
/* NOLINTEND(bugprone-reserved-identifier) */

static struct conn *current;

struct conn *guard_current(void) {
    return current;
}

void uv_guard_forget(struct conn *c) { loop_defer_cancel(&c->io.write_failed); }

static struct conn *conn_of_stream(uv_stream_t *s) {
    return MAGIC_CAST(CONTAINER_OF(s, struct conn, uv.stream), struct conn, CONN_MAGIC);
}

/* ---- writes ---- */

static void on_written(uv_write_t *req, int status) {
    struct conn *c = conn_of_stream(req->handle), *outer = current;
    c->io.writing = false;
    current = c;
    c->io.write_cb(req, status);
    current = outer;
}

static void on_write_failed(void *arg) {
    struct conn *c = MAGIC_CAST(arg, struct conn, CONN_MAGIC), *outer = current;
    if (uv_is_closing(&c->uv.handle))
        return; /* h2o has given the socket up meanwhile */
    current = c;
    c->io.write_cb(c->io.write_req, c->io.write_error);
    current = outer;
}

int __wrap_uv_write(uv_write_t *req, uv_stream_t *handle, const uv_buf_t bufs[], unsigned int nbufs, uv_write_cb cb) {
    struct conn *c = conn_of_handle((uv_handle_t *)handle);
    if (c == NULL)
        return __real_uv_write(req, handle, bufs, nbufs, cb);
    c->io.write_cb = cb;
    c->io.write_req = req;
    /* No buffer at all is h2o's way of flushing after a failed SSL_write; libuv asserts on it */
    int rc = nbufs == 0 ? UV_EPIPE : __real_uv_write(req, handle, bufs, nbufs, on_written);
    if (rc < 0) {
        c->io.write_error = rc;
        loop_defer(&c->io.write_failed, on_write_failed, c);
        return 0;
    }
    c->io.writing = true;
    c->io.write_at = loop_now();
    c->io.write_left = uv_stream_get_write_queue_size(handle);
    return 0;
}

/* ---- reads ---- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    conn_of_stream((uv_stream_t *)handle)->io.alloc_cb(handle, suggested, buf);
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf) {
    if (nread == 0)
        return; /* EAGAIN after an exactly filled buffer */
    struct conn *c = conn_of_stream(stream), *outer = current;
    if (nread > 0)
        c->bytes_in += (uint64_t)nread;
    current = c;
    c->io.read_cb(stream, nread, buf);
    current = outer;
}

int __wrap_uv_read_start(uv_stream_t *stream, uv_alloc_cb alloc_cb, uv_read_cb read_cb) {
    struct conn *c = conn_of_handle((uv_handle_t *)stream);
    if (c == NULL)
        return __real_uv_read_start(stream, alloc_cb, read_cb);
    c->io.alloc_cb = alloc_cb;
    c->io.read_cb = read_cb;
    int rc = __real_uv_read_start(stream, on_alloc, on_read);
    if (rc < 0 && rc != UV_EALREADY)
        conn_shutdown(c); /* the sweep closes what can neither read nor write */
    return rc;
}
