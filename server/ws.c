/* WebSocket sessions: wslay parses what the peer sends, frames out are written by us into one bounded queue. Everything happens on
 * the loop stack; sends and closes from anywhere only queue. */
#include "server/ws.h"
#include <stdlib.h>
#include "core/base/clock.h"
#include "core/obs/log.h"
#include "server/ws_internal.h"

static struct list all_ws;
static size_t nws;

size_t ws_count(void) { return nws; }
const struct principal *ws_principal(const struct ws *ws) { return ws->who; }
size_t ws_queued(const struct ws *ws) { return ws->out.n + ws->flying.n; }

static void on_flush(void *arg);
static void on_pump(void *arg);
static void pump(struct ws *ws);

/* ---- the end ---- */

static void ws_free(struct ws *ws) {
    loop_defer_cancel(&ws->flush);
    loop_defer_cancel(&ws->pump);
    list_del(&ws->all);
    nws--;
    buf_done(&ws->out);
    buf_done(&ws->flying);
    wslay_event_context_free(ws->wslay);
    arena_unref(ws->a);
    ws->magic = 0;
    free(ws);
}

/* on_close is the last the owner hears; called from the top of a loop callback only, never from inside ws_send and friends */
static void finish(struct ws *ws, int code) {
    CHECK(!ws->finished);
    ws->finished = true;
    if (ws->sock != NULL) {
        h2o_socket_t *sock = ws->sock;
        ws->sock = NULL;
        h2o_socket_close(sock);
    }
    if (ws->cb.on_close != NULL)
        ws->cb.on_close(ws->ctx, ws->code ? ws->code : code);
    ws_free(ws);
}

/* ---- out ---- */

static void put_frame(struct ws *ws, uint8_t opcode, const void *p, size_t n) {
    uint8_t head[10];
    size_t len = 2;
    head[0] = 0x80 | opcode;
    if (n < 126) {
        head[1] = (uint8_t)n;
    } else if (n < 65536) {
        head[1] = 126;
        head[2] = (uint8_t)(n >> 8);
        head[3] = (uint8_t)n;
        len = 4;
    } else {
        head[1] = 127;
        for (int i = 0; i < 8; i++)
            head[2 + i] = (uint8_t)((uint64_t)n >> (56 - 8 * i));
        len = 10;
    }
    if (ws_queued(ws) == 0)
        ws->progress_at = loop_now();
    buf_put(&ws->out, head, len);
    buf_put(&ws->out, p, n);
    loop_defer(&ws->flush, on_flush, ws);
}

static bool closing_done(const struct ws *ws) {
    return ws->close_queued && ws_queued(ws) == 0 && !ws->writing && (ws->close_seen || !wslay_event_get_read_enabled(ws->wslay));
}

static void on_written(h2o_socket_t *sock, const char *err) {
    struct ws *ws = MAGIC_CAST(sock->data, struct ws, WS_MAGIC);
    ws->writing = false;
    if (err != NULL) {
        finish(ws, 1006);
        return;
    }
    ws->progress_at = loop_now();
    buf_done(&ws->flying); /* ten thousand idle sockets must not keep a buffer each */
    buf_init(&ws->flying, 0, 0);
    if (ws->out.n == 0)
        ws->pongs = 0;
    if (ws->was_high && ws_queued(ws) < WS_LOW_WATER && !ws->close_queued) {
        ws->was_high = false;
        if (ws->cb.on_drained != NULL)
            ws->cb.on_drained(ws->ctx, ws);
    }
    on_flush(ws);
}

static void on_flush(void *arg) {
    struct ws *ws = MAGIC_CAST(arg, struct ws, WS_MAGIC);
    if (ws->sock == NULL || ws->writing)
        return;
    if (ws->out.n == 0) {
        if (closing_done(ws))
            finish(ws, 1006);
        return;
    }
    struct buf full = ws->out;
    ws->out = ws->flying;
    buf_init(&ws->out, 0, WS_MAX_QUEUED + MIB(1));
    ws->flying = full;
    ws->writing = true;
    h2o_iovec_t v = h2o_iovec_init(full.p, full.n);
    h2o_socket_write(ws->sock, &v, 1, on_written);
}

size_t ws_send(struct ws *ws, enum ws_opcode op, struct str msg) {
    CHECK(ws->magic == WS_MAGIC);
    if (ws->close_queued || ws->finished)
        return 0;
    if (ws_queued(ws) + msg.n > WS_MAX_QUEUED) {
        ws->was_high = true;
        return SIZE_MAX;
    }
    put_frame(ws, op == WS_TEXT ? WSLAY_TEXT_FRAME : WSLAY_BINARY_FRAME, msg.p, msg.n);
    if (ws_queued(ws) >= WS_HIGH_WATER)
        ws->was_high = true;
    return ws_queued(ws);
}

/* wslay keeps the state of the closing handshake, so close frames go through it */
static void flush_wslay(struct ws *ws) {
    while (wslay_event_want_write(ws->wslay) && wslay_event_send(ws->wslay) == 0)
        ;
    if (wslay_event_get_close_sent(ws->wslay) && !ws->close_queued) {
        ws->close_queued = true;
        ws->close_by = loop_now() + WS_CLOSE_MS;
    }
}

void ws_close(struct ws *ws, int code, const char *reason) {
    CHECK(ws->magic == WS_MAGIC);
    if (ws->close_queued || ws->finished)
        return;
    size_t n = reason ? strnlen(reason, WS_REASON_MAX) : 0;
    (void)wslay_event_queue_close(ws->wslay, (uint16_t)code, (const uint8_t *)reason, n);
    ws->code = code;
    ws->close_queued = true;
    ws->close_by = loop_now() + WS_CLOSE_MS;
    loop_defer(&ws->pump, on_pump, ws);
}

void ws_send_error(struct ws *ws, err_t e, bool reconnect, bool fatal) {
    AUTO_BUF b;
    char now[TIME_RFC3339_LEN];
    struct jw w;
    buf_init(&b, 256, KIB(64));
    jw_init(&w, &b);
    jw_obj(&w);
    jw_kv_str(&w, "type", "error");
    jw_kv_str(&w, "code", err_code_wire(e->code));
    jw_kv_str(&w, "message", err_code_http(e->code) == 500 ? "internal error" : e->message);
    jw_kv_str(&w, "timestamp", time_rfc3339(now, clock_wall_ms()));
    jw_kv_bool(&w, "reconnect", reconnect);
    jw_kv_bool(&w, "fatal", fatal);
    jw_obj_end(&w);
    if (buf_check(&b) == NULL)
        ws_send(ws, WS_TEXT, buf_str(&b));
}

/* ---- in: wslay's callbacks. They only note and queue; decisions are made after wslay_event_recv returned ---- */

static ssize_t on_want_bytes(wslay_event_context_ptr w, uint8_t *p, size_t n, int flags, void *arg) {
    struct ws *ws = arg;
    (void)flags;
    h2o_buffer_t *in = ws->sock->input;
    if (in->size == 0 || ws->frames >= WS_FRAMES_PER_TICK || ws->policy_code != 0 || ws->paused) {
        wslay_event_set_error(w, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    size_t take = in->size < n ? in->size : n;
    memcpy(p, in->bytes, take);
    h2o_buffer_consume(&ws->sock->input, take);
    return (ssize_t)take;
}

static ssize_t on_have_bytes(wslay_event_context_ptr w, const uint8_t *p, size_t n, int flags, void *arg) {
    struct ws *ws = arg;
    (void)w;
    (void)flags;
    if (ws_queued(ws) == 0)
        ws->progress_at = loop_now();
    buf_put(&ws->out, p, n); /* control frames only: bounded by WS_MAX_PONGS and one close */
    loop_defer(&ws->flush, on_flush, ws);
    return (ssize_t)n;
}

static void on_frame_start(wslay_event_context_ptr w, const struct wslay_event_on_frame_recv_start_arg *f, void *arg) {
    struct ws *ws = arg;
    (void)w;
    ws->frames++;
    if (f->opcode == WSLAY_PING && ++ws->pongs > WS_MAX_PONGS)
        ws->policy_code = 1008;
    if (!wslay_is_ctrl_frame(f->opcode))
        ws->fragments = f->opcode == WSLAY_CONTINUATION_FRAME ? ws->fragments + 1 : 0;
    if (ws->fragments > WS_MAX_FRAGMENTS)
        ws->policy_code = 1008;
}

static void on_message(wslay_event_context_ptr w, const struct wslay_event_on_msg_recv_arg *m, void *arg) {
    struct ws *ws = arg;
    (void)w;
    if (m->opcode == WSLAY_CONNECTION_CLOSE) {
        ws->close_seen = true;
        if (ws->code == 0)
            ws->code = m->status_code ? m->status_code : 1005;
    } else if (!wslay_is_ctrl_frame(m->opcode) && !ws->close_queued && ws->policy_code == 0 && ws->cb.on_message != NULL) {
        ws->cb.on_message(ws->ctx, ws, m->opcode == WSLAY_TEXT_FRAME ? WS_TEXT : WS_BINARY,
                          str_n((const char *)m->msg, m->msg_length));
    }
}

/* ---- in: the pump ---- */

static void pump(struct ws *ws) {
    if (ws->sock == NULL)
        return;
    ws->frames = 0;
    if (!ws->paused && wslay_event_want_read(ws->wslay) && wslay_event_recv(ws->wslay) != 0) {
        finish(ws, 1006);
        return;
    }
    if (ws->policy_code != 0 && !ws->close_queued) {
        (void)wslay_event_queue_close(ws->wslay, (uint16_t)ws->policy_code, (const uint8_t *)"limit exceeded", 14);
        wslay_event_shutdown_read(ws->wslay);
        ws->code = ws->policy_code;
    }
    flush_wslay(ws);
    if (!wslay_event_get_read_enabled(ws->wslay)) /* protocol error, limit, or the peer's close: nothing more is wanted */
        h2o_buffer_consume(&ws->sock->input, ws->sock->input->size);
    if (ws->code == 0 && ws->close_queued)
        ws->code = wslay_event_get_status_code_sent(ws->wslay);
    if (closing_done(ws))
        finish(ws, 1006);
    else if (ws->frames >= WS_FRAMES_PER_TICK && ws->sock->input->size > 0)
        loop_defer(&ws->pump, on_pump, ws); /* others get their turn first */
}

static void on_pump(void *arg) { pump(MAGIC_CAST(arg, struct ws, WS_MAGIC)); }

static void on_read(h2o_socket_t *sock, const char *err) {
    struct ws *ws = MAGIC_CAST(sock->data, struct ws, WS_MAGIC);
    if (err != NULL) {
        finish(ws, 1006);
        return;
    }
    ws->heard_at = loop_now();
    pump(ws);
}

void ws_pause(struct ws *ws) {
    if (ws->paused || ws->sock == NULL) {
        ws->paused = true;
        return;
    }
    ws->paused = true;
    h2o_socket_read_stop(ws->sock);
}

void ws_resume(struct ws *ws) {
    if (!ws->paused)
        return;
    ws->paused = false;
    ws->heard_at = loop_now();
    if (ws->sock != NULL) {
        h2o_socket_read_start(ws->sock, on_read);
        loop_defer(&ws->pump, on_pump, ws);
    }
}

/* ---- birth ---- */

err_t ws_accept(struct request *r, struct reply *out, const struct ws_callbacks *cb, void *ctx, struct ws **ret) {
    struct xchg *x = XCHG_OF_REPLY(out);
    CHECK(fiber_on_fiber() && x->upgrade_ws && out->ws == NULL);
    static const struct wslay_event_callbacks CALLBACKS = {.recv_callback = on_want_bytes,
                                                           .send_callback = on_have_bytes,
                                                           .on_frame_recv_start_callback = on_frame_start,
                                                           .on_msg_recv_callback = on_message};
    if (x->req == NULL)
        return err_new(ERR_CANCELLED, "the client has left");
    if (all_ws.next == NULL)
        list_init(&all_ws);
    struct ws *ws = calloc(1, sizeof(*ws));
    CHECK(ws != NULL);
    ws->magic = WS_MAGIC;
    ws->cb = *cb;
    ws->ctx = ctx;
    ws->a = arena_ref(x->a);
    ws->who = r->who;
    const struct server_hooks *h = server_hooks_get();
    const char *key = h->principal_key ? h->principal_key(r->who) : NULL;
    (void)snprintf(ws->key, sizeof(ws->key), "%s", key ? key : r->peer_ip);
    buf_init(&ws->out, 0, WS_MAX_QUEUED + MIB(1));
    buf_init(&ws->flying, 0, 0);
    CHECK(wslay_event_context_server_init(&ws->wslay, &CALLBACKS, ws) == 0);
    wslay_event_config_set_max_recv_msg_length(ws->wslay, cb->max_message ? cb->max_message : WS_MAX_MESSAGE);
    list_add_tail(&all_ws, &ws->all);
    nws++;
    out->ws = ws;
    *ret = ws;
    return NULL;
}

static void on_upgraded(void *arg, h2o_socket_t *sock, size_t reqsize) {
    struct ws *ws = MAGIC_CAST(arg, struct ws, WS_MAGIC);
    if (sock == NULL) {
        finish(ws, 1006);
        return;
    }
    conn_phase(conn_of_sock(sock), CONN_WS);
    ws->sock = sock;
    sock->data = ws;
    ws->heard_at = ws->pinged_at = ws->progress_at = loop_now();
    h2o_buffer_consume(&sock->input, reqsize);
    if (!ws->paused)
        h2o_socket_read_start(sock, on_read);
    loop_defer(&ws->flush, on_flush, ws);
    loop_defer(&ws->pump, on_pump, ws);
    if (SRV.draining)
        ws_close(ws, 1012, "server restart");
}

void ws_start(struct xchg *x) {
    struct ws *ws = TAKE(x->out.ws);
    ws_answer_head(x);
    x->answered = true;
    x->done_us = clock_mono_us();
    h2o_http1_upgrade(x->req, NULL, 0, on_upgraded, ws);
}

void ws_abort(struct ws *ws) { finish(ws, 1006); }

/* ---- all of them ---- */

void ws_each(void (*fn)(void *arg, struct ws *ws, void *ctx), void *arg) {
    if (all_ws.next == NULL)
        return;
    for list_each_safe(it, tmp, &all_ws) {
        struct ws *ws = list_entry(it, struct ws, all);
        fn(arg, ws, ws->ctx);
    }
}

unsigned ws_count_of(const char *key) {
    unsigned n = 0;
    if (all_ws.next == NULL)
        return 0;
    for list_each_safe(it, tmp, &all_ws)
        n += strncmp(list_entry(it, struct ws, all)->key, key, WS_KEY_MAX - 1) == 0 ? 1 : 0;
    return n;
}

static void drain_one(void *arg, struct ws *ws, void *ctx) {
    (void)arg;
    (void)ctx;
    if (ws->sock != NULL)
        ws_close(ws, 1012, "server restart");
}

void ws_drain(void) { ws_each(drain_one, NULL); }

static void sweep_one(void *arg, struct ws *ws, void *ctx) {
    uint64_t now = *(const uint64_t *)arg;
    (void)ctx;
    if (ws->sock == NULL)
        return;
    bool stalled = ws_queued(ws) > 0 && now - ws->progress_at > WS_STALL_MS;
    if ((ws->close_queued && now > ws->close_by) || (!ws->paused && now - ws->heard_at > SRV.conf.ws_dead_ms))
        finish(ws, 1006);
    else if (stalled && !ws->close_queued)
        ws_close(ws, 1013, "too slow");
    else if (!ws->close_queued && now - ws->pinged_at >= SRV.conf.ws_ping_ms) {
        ws->pinged_at = now;
        if (ws_queued(ws) < WS_HIGH_WATER)
            put_frame(ws, WSLAY_PING, NULL, 0);
    }
}

void ws_sweep(uint64_t now_ms) { ws_each(sweep_one, &now_ms); }
