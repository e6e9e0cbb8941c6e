/* The common half of all streams: input buffer, fiber calls, pump mode, errors. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "core/async/fiber.h"
#include "core/async/stream_impl.h"
#include "core/base/check.h"

enum {
    WRITE_CHUNK = 256 * 1024,
    PUSH_MAX = 64 * 1024 * 1024, /* a producer that ignores the returned queue length ends here, not in swap */
};

void stream_init_(struct stream *s, const struct stream_ops *ops) {
    s->magic = STREAM_MAGIC;
    s->refs = 2;
    s->ops = ops;
}

void stream_ref_(struct stream *s) { s->refs++; }

void stream_unref_(struct stream *s) {
    CHECK(s->magic == STREAM_MAGIC && s->refs > 0);
    if (--s->refs > 0)
        return;
    loop_defer_cancel(&s->kick);
    free(s->in);
    s->magic = 0;
    s->ops->free(s);
}

/* ---- errors ---- */

static void PRINTF_LIKE(3, 0) set_error(struct stream_error *e, enum err_code code, const char *fmt, va_list ap) {
    if (e->set)
        return;
    e->set = true;
    e->code = code;
    (void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
}

err_t stream_err_(const struct stream_error *e) { return e->set ? err_new(e->code, "%s", e->text) : NULL; }

static err_t closed_error(void) { return err_new(ERR_IO, "the connection was closed here"); }

/* ---- input ---- */

static size_t in_len(const struct stream *s) { return s->in_to - s->in_from; }

bool stream_in_wanted_(const struct stream *s) {
    if (s->closed || s->eof || s->rerr.set)
        return false;
    return s->pumping ? !s->paused && !s->pump_ended : s->in_to < STREAM_IN_CAP;
}

static void update_reading(struct stream *s) {
    bool want = stream_in_wanted_(s);
    if (want == s->reading || s->closed)
        return;
    s->reading = want;
    (want ? s->ops->read_on : s->ops->read_off)(s);
}

char *stream_in_space_(struct stream *s, size_t *n) {
    if (s->in == NULL) {
        s->in = malloc(STREAM_IN_CAP);
        CHECK(s->in != NULL);
        s->in_from = s->in_to = 0;
    }
    *n = STREAM_IN_CAP - s->in_to;
    return s->in + s->in_to;
}

/* An idle connection must not hold a buffer. */
void stream_in_trim_(struct stream *s) {
    if (s->in != NULL && in_len(s) == 0 && s->lent == 0) {
        free(s->in);
        s->in = NULL;
        s->in_from = s->in_to = 0;
    }
}

/* Loop stack. Buffered bytes first, then the end, each only while nobody paused or closed. */
static void pump_deliver(struct stream *s) {
    stream_ref_(s);
    while (!s->closed && !s->paused && in_len(s) > 0) {
        struct str bytes = str_n(s->in + s->in_from, in_len(s));
        char *mine = TAKE(s->in); /* a transport that is called back meanwhile gets a fresh buffer */
        s->in_from = s->in_to = 0;
        s->cb(s->cb_arg, bytes, NULL);
        if (s->in == NULL && !s->closed)
            s->in = mine;
        else
            free(mine);
    }
    if (!s->closed && !s->paused && !s->pump_ended && (s->eof || s->rerr.set)) {
        s->pump_ended = true;
        s->cb(s->cb_arg, STR(""), s->rerr.set ? stream_err_(&s->rerr) : NULL);
    }
    if (!s->closed)
        update_reading(s);
    stream_unref_(s);
}

static void on_kick(void *arg) {
    struct stream *s = MAGIC_CAST(arg, struct stream, STREAM_MAGIC);
    if (!s->closed && s->pumping)
        pump_deliver(s);
}

static void wake_reader(struct stream *s) {
    if (s->reader != NULL)
        fiber_wake(s->reader);
}

void stream_in_added_(struct stream *s, size_t n) {
    s->in_to += n;
    CHECK(s->in_to <= STREAM_IN_CAP);
    if (s->pumping) {
        pump_deliver(s);
        return;
    }
    wake_reader(s);
    update_reading(s);
}

static void in_ended(struct stream *s) {
    if (s->closed)
        return;
    update_reading(s);
    wake_reader(s);
    if (s->pumping)
        loop_defer(&s->kick, on_kick, s);
}

void stream_in_eof_(struct stream *s) {
    s->eof = true;
    in_ended(s);
}

void stream_read_failed_(struct stream *s, enum err_code code, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    set_error(&s->rerr, code, fmt, ap);
    va_end(ap);
    if (s->writer != NULL)
        fiber_wake(s->writer);
    in_ended(s);
}

static void release_lent(struct stream *s) {
    s->lent = 0;
    if (in_len(s) == 0)
        s->in_from = s->in_to = 0;
}

err_t stream_read(struct stream *s, uint64_t deadline, struct str *ret) {
    CHECK(s->magic == STREAM_MAGIC && !s->closed && !s->pumping && s->reader == NULL);
    release_lent(s);
    while (in_len(s) == 0) {
        TRY(stream_err_(&s->rerr));
        if (s->eof) {
            *ret = STR("");
            return NULL;
        }
        stream_in_trim_(s);
        update_reading(s);
        s->reader = fiber_self();
        stream_ref_(s);
        err_t e = fiber_park("stream read", deadline);
        s->reader = NULL;
        bool closed = s->closed;
        stream_unref_(s);
        if (e == NULL && closed)
            e = closed_error();
        TRY(e);
    }
    *ret = str_n(s->in + s->in_from, in_len(s));
    s->lent = in_len(s);
    s->in_from = s->in_to;
    return NULL;
}

void stream_unread(struct stream *s, size_t n) {
    CHECK(n <= s->lent);
    s->lent -= n;
    s->in_from -= n;
}

bool stream_idle_ok(struct stream *s) {
    release_lent(s);
    stream_in_trim_(s);
    return !s->closed && !s->eof && !s->rerr.set && !s->werr.set && !s->write_cut && !s->shut_requested &&
           in_len(s) == 0 && s->queued == 0 && s->ops->idle_ok(s);
}

/* ---- pump mode ---- */

void stream_pump(struct stream *s, stream_cb *cb, void *arg) {
    CHECK(s->magic == STREAM_MAGIC && !s->closed && s->reader == NULL);
    release_lent(s);
    s->pumping = true;
    s->cb = cb;
    s->cb_arg = arg;
    update_reading(s);
    loop_defer(&s->kick, on_kick, s);
}

void stream_pause(struct stream *s) {
    CHECK(s->pumping);
    s->paused = true;
    update_reading(s);
}

void stream_resume(struct stream *s) {
    CHECK(s->pumping);
    if (!s->paused)
        return;
    s->paused = false;
    update_reading(s);
    if (!s->closed)
        loop_defer(&s->kick, on_kick, s); /* never from here: resume is called inside the callback too */
}

/* ---- output ---- */

void stream_queue_changed_(struct stream *s, size_t queued) {
    bool drained = queued == 0 && s->queued > 0;
    s->queued = queued;
    if (!drained || s->closed)
        return;
    if (s->writer != NULL)
        fiber_wake(s->writer);
    if (s->drained != NULL)
        s->drained(s->drained_arg);
}

/* Reading goes on: what the peer said before it stopped listening (an early 4xx, the output of a process whose input
 * ended) is worth having, and a gone peer shows there as well. */
void stream_write_failed_(struct stream *s, enum err_code code, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    set_error(&s->werr, code, fmt, ap);
    va_end(ap);
    s->shut_done = true;
    if (s->writer != NULL)
        fiber_wake(s->writer);
}

bool stream_write_broken(const struct stream *s) { return s->werr.set || s->write_cut; }

size_t stream_push(struct stream *s, const void *p, size_t n) {
    CHECK(s->magic == STREAM_MAGIC);
    if (s->closed || s->werr.set || s->shut_requested || n == 0)
        return s->queued;
    if (n > PUSH_MAX - s->queued) {
        stream_write_failed_(s, ERR_TOO_LARGE, "the peer reads too slowly: %zu bytes are waiting for it", s->queued);
        stream_read_failed_(s, ERR_TOO_LARGE, "%s", s->werr.text);
        return s->queued;
    }
    s->ops->push(s, p, n);
    return s->queued;
}

void stream_on_drained(struct stream *s, void (*cb)(void *arg), void *arg) {
    s->drained = cb;
    s->drained_arg = arg;
}

static err_t write_state(const struct stream *s) {
    if (s->closed)
        return closed_error();
    TRY(stream_err_(&s->werr));
    TRY(stream_err_(&s->rerr));
    if (s->write_cut)
        return err_new(ERR_IO, "an earlier write on this connection was cut short");
    return NULL;
}

/* Parks until *done_len falls to 0 (queue) or the flag is set. The stream may be closed meanwhile. */
static err_t wait_written(struct stream *s, bool shutdown, const char *why, uint64_t deadline) {
    CHECK(s->writer == NULL);
    stream_ref_(s);
    err_t e = NULL;
    while (e == NULL && (shutdown ? !s->shut_done : s->queued > 0)) {
        e = write_state(s);
        if (e != NULL)
            break;
        s->writer = fiber_self();
        e = fiber_park(why, deadline);
        s->writer = NULL;
        if (e != NULL)
            s->write_cut = true; /* nobody knows how much went out: the framing is lost */
    }
    if (e == NULL && s->closed)
        e = closed_error();
    stream_unref_(s);
    return e;
}

err_t stream_write(struct stream *s, const void *p, size_t n, uint64_t deadline) {
    CHECK(s->magic == STREAM_MAGIC && !s->closed && fiber_on_fiber());
    TRY(fiber_check());
    const char *at = p;
    while (n > 0) {
        TRY(write_state(s));
        if (s->shut_requested)
            return err_new(ERR_IO, "write after half-close");
        size_t part = n < WRITE_CHUNK ? n : WRITE_CHUNK;
        (void)stream_push(s, at, part);
        at += part;
        n -= part;
        TRY(wait_written(s, false, "stream write", deadline));
        TRY(stream_err_(&s->werr));
    }
    return NULL;
}

void stream_shut_done_(struct stream *s) {
    s->shut_done = true;
    if (s->writer != NULL)
        fiber_wake(s->writer);
}

void stream_shutdown_push(struct stream *s) {
    if (s->closed || s->shut_requested)
        return;
    s->shut_requested = true;
    s->ops->shutdown(s);
}

err_t stream_shutdown_write(struct stream *s, uint64_t deadline) {
    CHECK(s->magic == STREAM_MAGIC && !s->closed && fiber_on_fiber());
    TRY(write_state(s));
    stream_shutdown_push(s);
    TRY(wait_written(s, true, "stream shutdown", deadline));
    return stream_err_(&s->werr);
}

void stream_close(struct stream *s) {
    if (s == NULL)
        return;
    CHECK(s->magic == STREAM_MAGIC && !s->closed && loop_on_thread());
    s->closed = true;
    s->drained = NULL;
    loop_defer_cancel(&s->kick);
    wake_reader(s);
    if (s->writer != NULL)
        fiber_wake(s->writer);
    s->ops->close(s);
    stream_unref_(s);
}
