#include "server/ws_frame.h"
#include <string.h>

enum { KEEP_BUFFER = 4096 };

void ws_parser_init(struct ws_parser *p, size_t max_message) {
    memset(p, 0, sizeof(*p));
    p->max_message = max_message;
    buf_init(&p->msg, 0, max_message + 1);
}

void ws_parser_done(struct ws_parser *p) { buf_done(&p->msg); }

/* ---- UTF-8 (RFC 3629), across any split ---- */

static bool utf8_lead(struct utf8_check *u, uint8_t b) {
    u->lo = 0x80;
    u->hi = 0xbf;
    if (b < 0x80)
        return true;
    if (b < 0xc2 || b > 0xf4)
        return false;
    u->need = b < 0xe0 ? 1 : b < 0xf0 ? 2 : 3;
    if (b == 0xe0)
        u->lo = 0xa0; /* no overlong forms */
    else if (b == 0xed)
        u->hi = 0x9f; /* no surrogates */
    else if (b == 0xf0)
        u->lo = 0x90;
    else if (b == 0xf4)
        u->hi = 0x8f; /* nothing above U+10FFFF */
    return true;
}

bool utf8_feed(struct utf8_check *u, const uint8_t *p, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (u->need == 0) {
            if (!utf8_lead(u, p[i]))
                return false;
            continue;
        }
        if (p[i] < u->lo || p[i] > u->hi)
            return false;
        u->need--;
        u->lo = 0x80;
        u->hi = 0xbf;
    }
    return true;
}

/* ---- headers ---- */

static enum ws_event fail(struct ws_parser *p, int code) {
    p->code = code;
    return WS_EV_ERROR;
}

static size_t head_length(const struct ws_parser *p) {
    if (p->head_n < 2)
        return 2;
    uint8_t n = p->head[1] & 0x7f;
    return 2 + (n == 126 ? 2u : n == 127 ? 8u : 0u) + 4;
}

static uint64_t payload_length(const struct ws_parser *p, bool *minimal) {
    uint8_t n = p->head[1] & 0x7f;
    unsigned bytes = n == 126 ? 2 : n == 127 ? 8 : 0;
    uint64_t v = bytes ? 0 : n;
    for (unsigned i = 0; i < bytes; i++)
        v = v << 8 | p->head[2 + i];
    *minimal = bytes == 0 || (bytes == 2 ? v >= 126 : v > 0xffff && !(v >> 63));
    return v;
}

/* 0 = fine, else the close code */
static int check_data_head(struct ws_parser *p) {
    if (p->frame_op == WS_OP_CONTINUATION) {
        if (p->op == 0)
            return 1002;
        if (++p->fragments > WS_MAX_FRAGMENTS)
            return 1008;
    } else if (p->op != 0) {
        return 1002; /* a new message inside an unfinished one */
    } else {
        p->op = p->frame_op;
        p->fragments = 0;
        p->utf8 = (struct utf8_check){0};
    }
    return p->left > p->max_message - p->msg.n ? 1009 : 0;
}

static int check_head(struct ws_parser *p) {
    bool minimal;
    p->fin = p->head[0] & 0x80;
    p->frame_op = p->head[0] & 0x0f;
    p->left = payload_length(p, &minimal);
    bool control = p->frame_op & 8;
    if ((p->head[0] & 0x70) || !(p->head[1] & 0x80) || !minimal)
        return 1002; /* extension bits, unmasked, padded length */
    if (p->frame_op > WS_OP_PONG || (p->frame_op > WS_OP_BINARY && !control))
        return 1002;
    if (control && (!p->fin || p->left > WS_CONTROL_MAX))
        return 1002;
    if (!control) {
        int code = check_data_head(p);
        if (code != 0)
            return code;
    }
    memcpy(p->mask, p->head + head_length(p) - 4, 4);
    p->mask_at = 0;
    if (control)
        p->control_n = 0;
    return 0;
}

/* ---- payload ---- */

static void unmask(struct ws_parser *p, uint8_t *out, const uint8_t *in, size_t n) {
    for (size_t i = 0; i < n; i++)
        out[i] = in[i] ^ p->mask[(p->mask_at + i) & 3];
    p->mask_at = (uint8_t)((p->mask_at + n) & 3);
}

static int take_payload(struct ws_parser *p, const uint8_t *in, size_t n) {
    p->left -= n;
    if (p->frame_op & 8) {
        unmask(p, p->control + p->control_n, in, n);
        p->control_n += n;
        return 0;
    }
    uint8_t *out = (uint8_t *)buf_reserve(&p->msg, n);
    if (out == NULL)
        return 1009;
    unmask(p, out, in, n);
    buf_added(&p->msg, n);
    return p->op == WS_OP_TEXT && !utf8_feed(&p->utf8, out, n) ? 1007 : 0;
}

bool ws_close_code_ok(int code) {
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

static enum ws_event end_of_close(struct ws_parser *p) {
    struct utf8_check u = {0};
    if (p->control_n == 0) {
        p->code = 1005;
        return WS_EV_CLOSE;
    }
    if (p->control_n == 1)
        return fail(p, 1002);
    int code = p->control[0] << 8 | p->control[1];
    if (!ws_close_code_ok(code))
        return fail(p, 1002);
    if (!utf8_feed(&u, p->control + 2, p->control_n - 2) || !utf8_complete(&u))
        return fail(p, 1007);
    p->code = code;
    return WS_EV_CLOSE;
}

static enum ws_event end_of_frame(struct ws_parser *p) {
    p->head_n = 0;
    p->in_frame = false;
    switch (p->frame_op) {
    case WS_OP_PING:
        return WS_EV_PING;
    case WS_OP_PONG:
        return WS_EV_PONG;
    case WS_OP_CLOSE:
        return end_of_close(p);
    default:
        break;
    }
    if (!p->fin)
        return WS_EV_FRAME;
    if (p->op == WS_OP_TEXT && !utf8_complete(&p->utf8))
        return fail(p, 1007);
    p->delivered = true;
    return WS_EV_MESSAGE;
}

/* The message of the last event is the caller's no longer */
static void begin_frame(struct ws_parser *p) {
    if (!p->delivered)
        return;
    p->delivered = false;
    p->op = 0;
    if (p->msg.cap > KEEP_BUFFER) { /* idle sockets keep nothing */
        buf_done(&p->msg);
        buf_init(&p->msg, 0, p->max_message + 1);
    }
    buf_clear(&p->msg);
}

enum ws_event ws_parse(struct ws_parser *p, const uint8_t *in, size_t n, size_t *consumed) {
    size_t at = 0;
    *consumed = 0;
    if (!p->in_frame) {
        if (p->head_n == 0)
            begin_frame(p);
        while (at < n && p->head_n < head_length(p))
            p->head[p->head_n++] = in[at++];
        *consumed = at;
        if (p->head_n < 2 || p->head_n < head_length(p))
            return p->head_n >= 2 && (!(p->head[1] & 0x80) || (p->head[0] & 0x70)) ? fail(p, 1002) : WS_EV_MORE;
        int code = check_head(p);
        if (code != 0)
            return fail(p, code);
        p->in_frame = true;
    }
    size_t take = n - at < p->left ? n - at : (size_t)p->left;
    if (take > 0) {
        int code = take_payload(p, in + at, take);
        *consumed = at + take;
        if (code != 0)
            return fail(p, code);
    }
    return p->left == 0 ? end_of_frame(p) : WS_EV_MORE;
}

size_t ws_frame_head(uint8_t out[WS_FRAME_HEAD_MAX], uint8_t op, uint64_t n) {
    out[0] = 0x80 | op;
    if (n < 126) {
        out[1] = (uint8_t)n;
        return 2;
    }
    unsigned bytes = n < 65536 ? 2 : 8;
    out[1] = bytes == 2 ? 126 : 127;
    for (unsigned i = 0; i < bytes; i++)
        out[2 + i] = (uint8_t)(n >> (8 * (bytes - 1 - i)));
    return 2 + bytes;
}
