/* Streaming answers (SSE and others): pushes are queued by anybody on the loop thread, h2o is fed from the loop stack only, one
 * send at a time, never an empty one. */
#include <stdlib.h>
#include "server/internal.h"

enum {
    STREAM_MAGIC = 0x53545245,
    MAX_QUEUED = 1 << 20,
    LOW_WATER = 64 << 10,
    MAX_CHUNK = 64 << 10,
    HEARTBEAT_MS = 15000
};

struct reply_stream {
    uint32_t magic;
    h2o_generator_t generator; /* h2o hands this back */
    struct xchg *x;            /* NULL once the link is gone */
    struct buf queue;
    char *chunk; /* what h2o holds right now */
    size_t chunk_n;
    bool sse, begun, failed, gone;
    bool ended;     /* by the owner, who has dropped the pointer: no on_gone any more */
    bool head;      /* HEAD: the answer ends with its header, whatever the owner does */
    bool finished;  /* h2o has the last piece */
    bool gone_told; /* the owner knows; nobody pushes any more */
    uint64_t sent_at, pushed_at, dropped;
    void (*on_gone)(void *arg);
    void *arg;
    void (*on_drained)(void *arg);
    bool was_high;
    struct deferred deferred;
};

static struct reply_stream *of_generator(h2o_generator_t *g) {
    return MAGIC_CAST(CONTAINER_OF(g, struct reply_stream, generator), struct reply_stream, STREAM_MAGIC);
}

static void stream_free(struct reply_stream *s) {
    loop_defer_cancel(&s->deferred);
    buf_done(&s->queue);
    free(s->chunk);
    s->magic = 0;
    free(s);
}

/* ---- feeding h2o ---- */

static void send_next(struct reply_stream *s) {
    h2o_req_t *req = s->x->req;
    if (s->chunk_n > 0 || s->finished)
        return; /* proceed brings us back */
    size_t n = s->queue.n < MAX_CHUNK ? s->queue.n : MAX_CHUNK;
    bool last = (s->ended || s->head) && n == s->queue.n;
    if (n == 0 && !last)
        return;
    if (n > 0) {
        memcpy(s->chunk, s->queue.p, n);
        buf_consume(&s->queue, n);
    }
    s->chunk_n = n;
    s->finished = last;
    s->sent_at = loop_now();
    s->x->bytes_out += n;
    h2o_iovec_t v = h2o_iovec_init(s->chunk, n);
    h2o_send_state_t state = !last       ? H2O_SEND_STATE_IN_PROGRESS
                             : s->failed ? H2O_SEND_STATE_ERROR
                                         : H2O_SEND_STATE_FINAL;
    h2o_send(req, &v, n > 0 ? 1 : 0, state); /* may dispose of the request: nothing of s is touched after this */
}

static void on_step(void *arg) {
    struct reply_stream *s = MAGIC_CAST(arg, struct reply_stream, STREAM_MAGIC);
    if (s->gone) {
        if (!s->ended && !s->gone_told) {
            s->gone_told = true;
            s->on_gone(s->arg);
        }
        stream_free(s);
        return;
    }
    if (!s->begun)
        reply_stream_start(s->x);
    else
        send_next(s);
}

static void on_proceed(h2o_generator_t *g, h2o_req_t *req) {
    struct reply_stream *s = of_generator(g);
    (void)req;
    s->chunk_n = 0;
    if (s->was_high && s->queue.n < LOW_WATER && !s->ended) {
        s->was_high = false;
        if (s->on_drained != NULL)
            s->on_drained(s->arg);
    }
    send_next(s);
}

void reply_stream_start(struct xchg *x) {
    struct reply_stream *s = x->out.stream;
    s->begun = true;
    x->answered = true;
    x->done_us = clock_mono_us();
    s->sent_at = loop_now();
    cors_apply(x);
    reply_head_apply(x);
    if (x->req->version < 0x101)
        x->req->http1_is_persistent = 0; /* without chunks only the end of the connection ends the body */
    h2o_start_response(x->req, &s->generator);
    send_next(s);
}

/* ---- for handlers ---- */

err_t reply_stream_begin(struct reply *out, int status, const char *content_type, void (*on_gone)(void *arg), void *arg,
                         struct reply_stream **ret) {
    struct xchg *x = XCHG_OF_REPLY(out);
    CHECK(out->stream == NULL && on_gone != NULL);
    if (x->req == NULL)
        return err_new(ERR_CANCELLED, "the client has left");
    struct reply_stream *s = calloc(1, sizeof(*s));
    CHECK(s != NULL);
    s->magic = STREAM_MAGIC;
    s->generator.proceed = on_proceed;
    s->x = x;
    s->on_gone = on_gone;
    s->arg = arg;
    s->chunk = malloc(MAX_CHUNK);
    CHECK(s->chunk != NULL);
    buf_init(&s->queue, 0, MAX_QUEUED + MAX_CHUNK);
    s->sse = z_starts(content_type, "text/event-stream");
    s->head = x->head;
    s->pushed_at = loop_now();
    out->status = status;
    out->content_type = arena_strdup(x->a, content_type);
    out->stream = s;
    if (s->sse) {
        err_ignore(reply_header(out, "x-accel-buffering", "no"));
        if (!s->head)
            buf_puts(&s->queue, ": open\n\n"); /* the head goes out with the first bytes */
    }
    loop_defer(&s->deferred, on_step, s);
    *ret = s;
    return NULL;
}

size_t reply_stream_push(struct reply_stream *s, struct str bytes) {
    if (s->gone || s->ended || s->head)
        return 0;
    if (s->queue.n + bytes.n > MAX_QUEUED) {
        s->dropped++;
        s->was_high = true;
        return SIZE_MAX;
    }
    buf_put(&s->queue, bytes.p, bytes.n);
    s->pushed_at = loop_now();
    if (s->queue.n > LOW_WATER)
        s->was_high = true;
    loop_defer(&s->deferred, on_step, s);
    return s->queue.n + s->chunk_n;
}

size_t reply_sse(struct reply_stream *s, const char *event, const char *id, struct str data) {
    AUTO_BUF b;
    buf_init(&b, data.n + 128, MAX_QUEUED);
    if (event != NULL)
        buf_putf(&b, "event: %s\n", event);
    if (id != NULL)
        buf_putf(&b, "id: %s\n", id);
    struct str line;
    bool any = false;
    while (str_cut(&data, '\n', &line)) {
        any = true;
        buf_puts(&b, "data: ");
        buf_put(&b, line.p, line.n);
        buf_putc(&b, '\n');
    }
    buf_puts(&b, any ? "\n" : "data:\n\n");
    return b.failed ? SIZE_MAX : reply_stream_push(s, buf_str(&b));
}

void reply_stream_on_drained(struct reply_stream *s, void (*cb)(void *arg)) { s->on_drained = cb; }

void reply_stream_end(struct reply_stream *s) {
    if (s->ended)
        return;
    s->ended = true;
    loop_defer(&s->deferred, on_step, s);
}

void reply_stream_abort(struct reply_stream *s) {
    s->failed = true;
    reply_stream_end(s);
}

/* ---- from the transport ---- */

void reply_stream_gone(struct reply_stream *s) {
    s->gone = true;
    s->x = NULL;
    loop_defer(&s->deferred, on_step, s);
}

void reply_stream_sweep(struct xchg *x, uint64_t now_ms) {
    struct reply_stream *s = x->out.stream;
    if (s->chunk_n > 0 && now_ms - s->sent_at > SRV.conf.stall_ms) {
        conn_shutdown(x->conn);
    } else if (s->sse && !s->ended && now_ms - s->pushed_at >= HEARTBEAT_MS) {
        reply_stream_push(s, STR(": beat\n\n"));
    }
}
