/* WebSocket frames: any bytes in any split give the same events, within the limits. First byte: how to split, and whether
 * the rest are raw bytes or a recipe of well-formed frames that reaches the states behind the header checks. */
#include "core/base/check.h"
#include "server/ws_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_MESSAGE = 4096, MAX_EVENTS = 512 };
struct trace {
    size_t n;
    uint64_t hash[MAX_EVENTS];
};

static uint64_t fold(uint64_t h, const void *p, size_t n) {
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i++)
        h = (h ^ b[i]) * UINT64_C(1099511628211);
    return h;
}

static void note(struct trace *t, enum ws_event ev, const struct ws_parser *p) {
    uint64_t h = fold(UINT64_C(14695981039346656037), &ev, sizeof(ev));
    if (ev == WS_EV_MESSAGE) {
        CHECK((p->op == WS_OP_TEXT || p->op == WS_OP_BINARY) && p->msg.n <= MAX_MESSAGE);
        CHECK(p->op != WS_OP_TEXT || str_is_utf8(buf_str(&p->msg)));
        h = fold(fold(h, &p->op, 1), p->msg.p, p->msg.n);
    } else if (ev == WS_EV_PING || ev == WS_EV_PONG) {
        CHECK(p->control_n <= WS_CONTROL_MAX);
        h = fold(h, p->control, p->control_n);
    } else if (ev == WS_EV_CLOSE) {
        CHECK(p->code == 1005 || ws_close_code_ok(p->code));
        h = fold(h, &p->code, sizeof(p->code));
    } else if (ev == WS_EV_ERROR) {
        CHECK(p->code == 1002 || p->code == 1007 || p->code == 1008 || p->code == 1009);
        h = fold(h, &p->code, sizeof(p->code));
    }
    if (t->n < MAX_EVENTS)
        t->hash[t->n++] = h;
}

static void run(const uint8_t *in, size_t n, size_t cut, struct trace *t) {
    struct ws_parser p;
    ws_parser_init(&p, MAX_MESSAGE);
    enum ws_event ev = WS_EV_MORE;
    for (size_t at = 0; at < n && ev != WS_EV_ERROR && ev != WS_EV_CLOSE;) {
        size_t used, have = n - at < cut ? n - at : cut;
        ev = ws_parse(&p, in + at, have, &used);
        CHECK(used <= have && (used > 0 || ev != WS_EV_MORE));
        at += used;
        if (ev != WS_EV_MORE)
            note(t, ev, &p);
    }
    ws_parser_done(&p);
}

/* Recipe: {op+fin, length} then that many payload bytes, masked here. */
static void build(struct buf *out, struct str in) {
    static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    for (size_t at = 0; at + 2 <= in.n;) {
        uint8_t first = (uint8_t)in.p[at] & 0x8f, head[WS_FRAME_HEAD_MAX];
        size_t n = (uint8_t)in.p[at + 1] * ((first & 8) || !(in.p[at] & 0x40) ? 1u : 16u);
        at += 2;
        n = in.n - at < n ? in.n - at : n;
        size_t head_n = ws_frame_head(head, 0, n);
        head[0] = first;
        head[1] |= 0x80;
        buf_put(out, head, head_n);
        buf_put(out, mask, 4);
        for (size_t i = 0; i < n; i++)
            buf_putc(out, (char)((uint8_t)in.p[at + i] ^ mask[i & 3]));
        at += n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1)
        return 0;
    struct buf made;
    buf_init(&made, 0, MIB(16));
    struct str in = str_n((const char *)data + 1, size - 1);
    if (data[0] & 1) {
        build(&made, in);
        in = buf_str(&made);
    }
    struct trace whole = {0}, split = {0};
    run((const uint8_t *)in.p, in.n, SIZE_MAX, &whole);
    run((const uint8_t *)in.p, in.n, (data[0] >> 1) + 1u, &split);
    /* Errors in a head or in text may be told before the bytes that follow: the last event only has to be an error as well. */
    CHECK(whole.n == split.n);
    CHECK(memcmp(whole.hash, split.hash, whole.n * sizeof(whole.hash[0])) == 0);
    buf_done(&made);
    return 0;
}
