/* WebSocket sessions: ws_frame.c parses what the peer sends, frames out go into one bounded queue. Everything happens on the loop
 * stack; sends and closes from anywhere only queue. */
#include "server/ws.h"
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include "core/base/clock.h"
#include "core/obs/log.h"
#include "server/ws_internal.h"

static struct list all_ws;
static size_t nws;

size_t ws_count(void) { return nws; }
const struct principal *ws_principal(const struct ws *ws) { return ws->who; }
struct arena *ws_arena(const struct ws *ws) {
    return ws->a;
}
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
    ws_parser_done(&ws->in);
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
        if (ws->close_queued)
            conn_linger(conn_of_sock(sock)); /* unread input must not cost the peer our close frame */
        h2o_socket_close(sock);
    }
    if (ws->cb.on_close != NULL)
        ws->cb.on_close(ws->ctx, ws->code ? ws->code : code);
    ws_free(ws);
}

/* ---- out ---- */

static void put_frame(struct ws *ws, uint8_t opcode, const void *p, size_t n) {
    uint8_t head[WS_FRAME_HEAD_MAX];
    if (ws_queued(ws) == 0)
        ws->progress_at = loop_now();
    buf_put(&ws->out, head, ws_frame_head(head, opcode, n));
    buf_put(&ws->out, p, n);
    loop_defer(&ws->flush, on_flush, ws);
}

static bool closing_done(const struct ws *ws) {
    return ws->close_queued && ws->in_ended && ws_queued(ws) == 0 && !ws->writing;
}

static void on_written(h2o_socket_t *sock, const char *err) {
    struct ws *ws = MAGIC_CAST(sock->data, struct ws, WS_MAGIC);
    ws->writing = false;
    if (err != NULL) {
        finish(ws, 1006);
        return;
    }
    if (loop_now() - ws->progress_at >= SRV.conf.ws_ping_ms)
        ws->heard_at = loop_now(); /* it reads again: it has yet to see the pings it did not answer */
    ws->progress_at = loop_now();
    buf_done(&ws->flying); /* ten thousand idle sockets must not keep a buffer each */
    buf_init(&ws->flying, 0, WS_MAX_QUEUED + MIB(1));
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
    put_frame(ws, op == WS_TEXT ? WS_OP_TEXT : WS_OP_BINARY, msg.p, msg.n);
    if (ws_queued(ws) >= WS_HIGH_WATER)
        ws->was_high = true;
    return ws_queued(ws);
}

static void put_close(struct ws *ws, int code, const char *reason, size_t n) {
    uint8_t payload[2 + WS_REASON_MAX] = {(uint8_t)(code >> 8), (uint8_t)code};
    if (n > 0)
        memcpy(payload + 2, reason, n);
    put_frame(ws, WS_OP_CLOSE, payload, code == 1005 ? 0 : n + 2);
    ws->close_queued = true;
    ws->close_by = loop_now() + WS_CLOSE_MS;
}

void ws_close(struct ws *ws, int code, const char *reason) {
    CHECK(ws->magic == WS_MAGIC && ws_close_code_ok(code));
    if (ws->close_queued || ws->finished)
        return;
    put_close(ws, code, reason, reason ? strnlen(reason, WS_REASON_MAX) : 0);
    ws->code = code;
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

/* ---- in ---- */

static void peer_failed(struct ws *ws, int code) {
    ws->in_ended = true;
    if (ws->close_queued)
        return;
    put_close(ws, code, NULL, 0);
    ws->code = code;
}

static void on_event(struct ws *ws, enum ws_event ev) {
    switch (ev) {
    case WS_EV_MESSAGE:
        if (!ws->close_queued && ws->cb.on_message != NULL)
            ws->cb.on_message(ws->ctx, ws, ws->in.op == WS_OP_TEXT ? WS_TEXT : WS_BINARY, buf_str(&ws->in.msg));
        break;
    case WS_EV_PING:
        if (++ws->pongs > WS_MAX_PONGS)
            peer_failed(ws, 1008);
        else if (!ws->close_queued)
            put_frame(ws, WS_OP_PONG, ws->in.control, ws->in.control_n);
        break;
    case WS_EV_CLOSE:
        ws->in_ended = true;
        if (!ws->close_queued)
            put_close(ws, ws->in.code, NULL, 0);
        ws->code = ws->code ? ws->code : ws->in.code;
        break;
    case WS_EV_ERROR:
        peer_failed(ws, ws->in.code);
        break;
    case WS_EV_MORE:
    case WS_EV_FRAME:
    case WS_EV_PONG:
        break;
    }
}

/* A bounded number of frames per turn: a flood of tiny ones must not hold the loop */
static void pump(struct ws *ws) {
    if (ws->sock == NULL)
        return;
    for (unsigned frames = 0; !ws->paused && !ws->in_ended && ws->sock->input->size > 0; frames++) {
        if (frames == WS_FRAMES_PER_TICK) {
            loop_defer(&ws->pump, on_pump, ws);
            return;
        }
        size_t used;
        enum ws_event ev = ws_parse(&ws->in, (const uint8_t *)ws->sock->input->bytes, ws->sock->input->size, &used);
        h2o_buffer_consume(&ws->sock->input, used);
        on_event(ws, ev);
    }
    if (ws->in_ended)
        h2o_buffer_consume(&ws->sock->input, ws->sock->input->size);
    if (ws->sock->input->size == 0) { /* a session that waits holds no buffer */
        h2o_buffer_dispose(&ws->sock->input);
        h2o_buffer_init(&ws->sock->input, &h2o_socket_buffer_prototype);
    }
    if (closing_done(ws))
        finish(ws, 1006);
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
    if (x->req == NULL)
        return err_new(ERR_CANCELLED, "the client has left");
    if (all_ws.next == NULL)
        list_init(&all_ws);
    struct ws *ws = calloc(1, sizeof(*ws));
    CHECK(ws != NULL);
    ws->magic = WS_MAGIC;
    ws->cb = *cb;
    ws->ctx = ctx;
    const struct server_hooks *h = server_hooks_get();
    if (h->principal_dup) { /* the request's arena is many times what an idle session needs */
        ws->a = arena_new("ws", 0);
        ws->who = h->principal_dup(ws->a, r->who);
    } else {
        ws->a = arena_ref(x->a);
        ws->who = r->who;
    }
    const char *key = h->principal_key ? h->principal_key(r->who) : NULL;
    (void)snprintf(ws->key, sizeof(ws->key), "%s", key ? key : r->peer_ip);
    buf_init(&ws->out, 0, WS_MAX_QUEUED + MIB(1));
    buf_init(&ws->flying, 0, WS_MAX_QUEUED + MIB(1));
    ws_parser_init(&ws->in, cb->max_message ? cb->max_message : WS_MAX_MESSAGE);
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
        ws_close(ws, 1012, WS_RESTART);
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
    for
        list_each_safe(it, tmp, &all_ws) {
            struct ws *ws = list_entry(it, struct ws, all);
            fn(arg, ws, ws->ctx);
        }
}

unsigned ws_count_of(const char *key) {
    unsigned n = 0;
    if (all_ws.next == NULL)
        return 0;
    for
        list_each_safe(it, tmp, &all_ws)
            n += strncmp(list_entry(it, struct ws, all)->key, key, WS_KEY_MAX - 1) == 0 ? 1 : 0;
    return n;
}

static void most_of_one(void *arg, struct ws *ws, void *ctx) {
    size_t *most = arg;
    (void)ctx;
    *most = ws_queued(ws) > *most ? ws_queued(ws) : *most;
}

size_t ws_queued_most(void) {
    size_t most = 0;
    ws_each(most_of_one, &most);
    return most;
}

static void drain_one(void *arg, struct ws *ws, void *ctx) {
    (void)arg;
    (void)ctx;
    if (ws->sock != NULL)
        ws_close(ws, 1012, WS_RESTART);
}

void ws_drain(void) { ws_each(drain_one, NULL); }

/* A peer that does not read cannot answer pings either; its kernel still answers when ours asks for room. */
static bool peer_acks(struct ws *ws) {
    uv_os_fd_t fd;
    struct tcp_info info;
    socklen_t n = sizeof(info);
    if (uv_fileno(&conn_of_sock(ws->sock)->uv.handle, &fd) != 0 ||
        getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) != 0)
        return true; /* a unix socket */
    return info.tcpi_last_ack_recv < SRV.conf.ws_dead_ms;
}

static void sweep_one(void *arg, struct ws *ws, void *ctx) {
    uint64_t now = *(const uint64_t *)arg;
    (void)ctx;
    if (ws->sock == NULL)
        return;
    bool waits = ws_queued(ws) > 0, stalled = waits && now - ws->progress_at > SRV.conf.ws_stall_ms;
    bool silent = !ws->paused && now - ws->heard_at > SRV.conf.ws_dead_ms;
    if ((ws->close_queued && now > ws->close_by) || (silent && !(waits && peer_acks(ws))))
        finish(ws, 1006);
    else if (stalled && !ws->close_queued) {
        LOG(INFO, "ws.too_slow", KV_STR("user", ws->key), KV_INT("queued", ws_queued(ws)));
        ws_close(ws, 1013, "too slow");
    } else if (!ws->close_queued && now - ws->pinged_at >= SRV.conf.ws_ping_ms) {
        ws->pinged_at = now;
        if (ws_queued(ws) < WS_HIGH_WATER)
            put_frame(ws, WS_OP_PING, NULL, 0);
    }
}

void ws_sweep(uint64_t now_ms) { ws_each(sweep_one, &now_ms); }
