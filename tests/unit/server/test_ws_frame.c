#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "core/base/id.h"
#include "core/base/str.h"
#include "server/ws_frame.h"

enum { LIMIT = 1000 };

/* A client frame with a mask, into b. */
static void frame(struct buf *b, uint8_t first, const void *p, size_t n) {
    uint8_t mask[4];
    random_bytes(mask, 4);
    buf_putc(b, (char)first);
    if (n < 126) {
        buf_putc(b, (char)(0x80 | n));
    } else {
        buf_putc(b, (char)(0x80 | 126));
        buf_putc(b, (char)(n >> 8));
        buf_putc(b, (char)n);
    }
    buf_put(b, mask, 4);
    for (size_t i = 0; i < n; i++)
        buf_putc(b, (char)(((const uint8_t *)p)[i] ^ mask[i & 3]));
}

/* Events as text: "msg(hello) ping(x) close(1000) error(1002)", feeding `step` bytes at a time. */
static void run(const struct buf *in, size_t step, char *out, size_t cap) {
    struct ws_parser p;
    ws_parser_init(&p, LIMIT);
    size_t at = 0, n = 0;
    out[0] = '\0';
    while (at < in->n) {
        size_t used, feed = in->n - at < step ? in->n - at : step;
        enum ws_event ev = ws_parse(&p, (const uint8_t *)in->p + at, feed, &used);
        assert_true(used <= feed);
        at += used;
        if (ev == WS_EV_MESSAGE)
            n += (size_t)snprintf(out + n, cap - n, "%s(%.*s) ", p.op == WS_OP_TEXT ? "text" : "binary", (int)p.msg.n,
                                  p.msg.p ? p.msg.p : "");
        else if (ev == WS_EV_PING || ev == WS_EV_PONG)
            n += (size_t)snprintf(out + n, cap - n, "%s(%.*s) ", ev == WS_EV_PING ? "ping" : "pong", (int)p.control_n,
                                  (const char *)p.control);
        else if (ev == WS_EV_CLOSE || ev == WS_EV_ERROR) {
            n += (size_t)snprintf(out + n, cap - n, "%s(%d) ", ev == WS_EV_CLOSE ? "close" : "error", p.code);
            break;
        } else if (ev == WS_EV_MORE && used == 0) {
            fail_msg("no progress");
        }
    }
    ws_parser_done(&p);
}

static void expect(const struct buf *in, const char *want) {
    static const size_t STEPS[] = {100000, 1, 2, 3, 7};
    char got[4096];
    for (size_t i = 0; i < ARRAY_LEN(STEPS); i++) {
        run(in, STEPS[i], got, sizeof(got));
        assert_string_equal(got, want);
    }
}

static void messages_and_controls(void **state) {
    (void)state;
    AUTO_BUF b;
    buf_init(&b, 0, MIB(1));
    frame(&b, 0x81, "hello", 5);
    frame(&b, 0x01, "a\xc3", 2);
    frame(&b, 0x89, "p", 1);
    frame(&b, 0x00, "\xa9", 1);
    frame(&b, 0x8a, "", 0);
    frame(&b, 0x80, "", 0);
    frame(&b, 0x82, "", 0);
    frame(&b, 0x88,
          "\x03\xe8"
          "bye",
          5);
    expect(&b, "text(hello) ping(p) pong() text(a\xc3\xa9) binary() close(1000) ");
}

static void broken_frames(void **state) {
    (void)state;
    static const struct {
        uint8_t first;
        const char *payload;
        size_t n;
        const char *want;
    } ROWS[] = {
        {0xc1, "x", 1, "error(1002) "},
        {0x91, "x", 1, "error(1002) "},
        {0x83, "x", 1, "error(1002) "},
        {0x8b, "x", 1, "error(1002) "},
        {0x09, "x", 1, "error(1002) "},
        {0x80, "x", 1, "error(1002) "},
        {0x81, "\xff", 1, "error(1007) "},
        {0x81, "\xc3", 1, "error(1007) "},
        {0x81, "\xc0\x80", 2, "error(1007) "},
        {0x81, "\xed\xa0\x80", 3, "error(1007) "},
        {0x81, "\xf4\x90\x80\x80", 4, "error(1007) "},
        {0x88, "x", 1, "error(1002) "},
        {0x88, "\x03\xed", 2, "error(1002) "},
        {0x88, "\x03\xee", 2, "error(1002) "},
        {0x88, "\x13\x88", 2, "error(1002) "},
        {0x88, "\x0b\xb8", 2, "close(3000) "},
        {0x88, "", 0, "close(1005) "},
        {0x88, "\x03\xe8\xff", 3, "error(1007) "},
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        AUTO_BUF b;
        buf_init(&b, 0, MIB(1));
        frame(&b, ROWS[i].first, ROWS[i].payload, ROWS[i].n);
        expect(&b, ROWS[i].want);
    }
}

static void announced_sizes_allocate_nothing(void **state) {
    (void)state;
    static const uint8_t BIG[] = {0x82, 0xff, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 1, 2, 3, 4};
    static const uint8_t NEGATIVE[] = {0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4};
    static const uint8_t PADDED[] = {0x82, 0xfe, 0, 5, 1, 2, 3, 4};
    static const uint8_t BARE[] = {0x82, 0x01};
    static const struct {
        const uint8_t *p;
        size_t n;
        int code;
    } ROWS[] = {{BIG, sizeof(BIG), 1009},
                {NEGATIVE, sizeof(NEGATIVE), 1002},
                {PADDED, sizeof(PADDED), 1002},
                {BARE, sizeof(BARE), 1002}};
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        struct ws_parser p;
        size_t used;
        ws_parser_init(&p, LIMIT);
        assert_int_equal(ws_parse(&p, ROWS[i].p, ROWS[i].n, &used), WS_EV_ERROR);
        assert_int_equal(p.code, ROWS[i].code);
        assert_int_equal(p.msg.cap, 0);
        ws_parser_done(&p);
    }
}

static void limits(void **state) {
    (void)state;
    static char text[LIMIT + 1];
    memset(text, 'x', sizeof(text));
    AUTO_BUF b;
    buf_init(&b, 0, MIB(1));
    frame(&b, 0x02, text, LIMIT / 2);
    frame(&b, 0x80, text, LIMIT / 2 + 1);
    expect(&b, "error(1009) ");
    buf_clear(&b);
    frame(&b, 0x01, "", 0);
    for (int i = 0; i <= WS_MAX_FRAGMENTS; i++)
        frame(&b, 0x00, "", 0);
    expect(&b, "error(1008) ");
}

static void random_bytes_never_hang(void **state) {
    (void)state;
    for (int round = 0; round < 20000; round++) {
        uint8_t junk[64];
        char out[4096];
        random_bytes(junk, sizeof(junk));
        if (round % 2)
            junk[1] |= 0x80;
        if (round % 4 == 1)
            junk[0] = (uint8_t)((junk[0] & 0x8f) & ~0x70);
        struct buf b = {.p = (char *)junk, .n = sizeof(junk)};
        run(&b, 1 + (size_t)round % 9, out, sizeof(out));
    }
}

static void heads(void **state) {
    (void)state;
    uint8_t h[WS_FRAME_HEAD_MAX];
    assert_int_equal(ws_frame_head(h, WS_OP_TEXT, 125), 2);
    assert_int_equal(ws_frame_head(h, WS_OP_TEXT, 126), 4);
    assert_int_equal(h[3], 126);
    assert_int_equal(ws_frame_head(h, WS_OP_TEXT, 65535), 4);
    assert_int_equal(ws_frame_head(h, WS_OP_TEXT, 65536), 10);
    assert_int_equal(h[7], 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(messages_and_controls),
                                       cmocka_unit_test(broken_frames),
                                       cmocka_unit_test(announced_sizes_allocate_nothing),
                                       cmocka_unit_test(limits),
                                       cmocka_unit_test(random_bytes_never_hang),
                                       cmocka_unit_test(heads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
