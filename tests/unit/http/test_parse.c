/* The parser alone: every response is fed whole, byte by byte, and cut in two at every place; all must agree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/check.h"
#include "core/http/parse.h"

struct seen {
    int status, heads, ends, bads;
    struct buf body;
    bool keep_alive;
    size_t rest;
    char error[HTTP_REASON_MAX];
    char x_test[64];
};

static void feed(struct http_parser *p, struct seen *s, struct str in) {
    for (;;) {
        struct str body;
        switch (http_parser_feed(p, &in, &body)) {
        case HTTP_EV_HEAD:
            s->heads++;
            s->status = p->status;
            s->keep_alive = p->keep_alive;
            const char *v = http_parser_header(p, "x-TEST");
            (void)snprintf(s->x_test, sizeof(s->x_test), "%s", v ? v : "(none)");
            if (p->upgraded) {
                s->rest += in.n;
                return;
            }
            break;
        case HTTP_EV_BODY:
            assert_true(body.n > 0);
            err_ignore(buf_append(&s->body, body.p, body.n));
            break;
        case HTTP_EV_END:
            s->ends++;
            s->rest += in.n;
            return;
        case HTTP_EV_MORE:
            assert_int_equal(in.n, 0);
            return;
        case HTTP_EV_BAD:
            s->bads++;
            return;
        }
    }
}

static void eof(struct http_parser *p, struct seen *s) {
    if (s->ends + s->bads > 0 || p->upgraded)
        return;
    if (http_parser_eof(p) == HTTP_EV_END)
        s->ends++;
    else
        s->bads++;
}

static bool is_head, asks_upgrade;

/* In its own allocation of the exact size, so that a sanitizer sees one byte too many. */
static void feed_part(struct http_parser *p, struct seen *s, const char *at, size_t n) {
    if (s->ends + s->bads > 0 || p->upgraded) {
        s->rest += n;
        return;
    }
    char *copy = malloc(n ? n : 1);
    memcpy(copy, at, n);
    feed(p, s, str_n(copy, n));
    free(copy);
}

static struct seen parse(const char *text, size_t n, size_t cut, size_t step) {
    struct http_parser p;
    struct seen s = {0};
    buf_init(&s.body, 0, MIB(1));
    http_parser_init(&p, is_head, asks_upgrade);
    if (step == 0) {
        feed_part(&p, &s, text, cut);
        feed_part(&p, &s, text + cut, n - cut);
    }
    for (size_t i = 0; step > 0 && i < n; i += step)
        feed_part(&p, &s, text + i, n - i < step ? n - i : step);
    eof(&p, &s);
    memcpy(s.error, p.error, sizeof(s.error));
    http_parser_done(&p);
    return s;
}

static void same(const struct seen *a, const struct seen *b) {
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->heads, b->heads);
    assert_int_equal(a->ends, b->ends);
    assert_int_equal(a->bads, b->bads);
    assert_int_equal(a->body.n, b->body.n);
    assert_memory_equal(a->body.p ? a->body.p : "", b->body.p ? b->body.p : "", a->body.n);
    assert_int_equal(a->keep_alive, b->keep_alive);
    assert_string_equal(a->x_test, b->x_test);
}

static struct seen parse_all_ways(const char *text) {
    size_t n = strlen(text);
    struct seen whole = parse(text, n, n, 0);
    for (size_t cut = 0; cut <= n; cut++) {
        struct seen s = parse(text, n, cut, 0);
        same(&whole, &s);
        if (whole.bads == 0)
            assert_int_equal(whole.rest, s.rest);
        buf_done(&s.body);
    }
    for (size_t step = 1; step < 9; step++) {
        struct seen s = parse(text, n, 0, step);
        same(&whole, &s);
        buf_done(&s.body);
    }
    return whole;
}

static void good(const char *text, int status, const char *body, bool keep_alive, size_t rest) {
    struct seen s = parse_all_ways(text);
    if (s.bads > 0)
        fail_msg("%s\nfor %s", s.error, text);
    assert_int_equal(s.status, status);
    assert_int_equal(s.heads, 1);
    assert_int_equal(s.body.n, strlen(body));
    assert_memory_equal(s.body.p ? s.body.p : "", body, strlen(body));
    assert_int_equal(s.keep_alive, keep_alive);
    assert_int_equal(s.rest, rest);
    buf_done(&s.body);
}

static void refused(const char *text, const char *why) {
    struct seen s = parse_all_ways(text);
    if (s.bads != 1 || s.ends != 0)
        fail_msg("accepted: %s", text);
    if (strstr(s.error, why) == NULL)
        fail_msg("error is \"%s\", wanted \"%s\"", s.error, why);
    buf_done(&s.body);
}

static void ordinary_responses(void **state) {
    (void)state;
    good("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Test: a\r\n\r\nhello", 200, "hello", true, 0);
    good("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloEXTRA", 200, "hello", true, 5);
    good("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "", true, 0);
    good("HTTP/1.1 404 \r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", 404, "x", false, 0);
    good("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\nT: x\r\n\r\n",
         200, "hello world", true, 0);
    good("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nnext", 200, "", true, 4);
    good("HTTP/1.1 200 OK\r\n\r\nuntil the end", 200, "until the end", false, 0);
    good("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false, 0);
    good("HTTP/1.1 204 No Content\r\n\r\n", 204, "", true, 0);
    good("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\nHTTP", 204, "", true, 4);
    good("HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", 304, "", true, 0);
    good("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nX-Test: old\r\n\r\nHTTP/1.1 200 OK\r\nX-Test: "
         "new\r\nContent-Length: 1\r\n\r\nz",
         200, "z", true, 0);
    struct seen s = parse_all_ways("HTTP/1.1 200 OK\r\nx-test:   spaced out  \r\nContent-Length: 0\r\n\r\n");
    assert_memory_equal(s.x_test, "spaced out", 10);
    is_head = true;
    good("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200, "", true, 0);
    is_head = false;
}

static void upgrades(void **state) {
    (void)state;
    static const char text[] = "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n\x01\x02raw";
    asks_upgrade = true;
    struct seen s = parse_all_ways(text);
    assert_int_equal(s.status, 101);
    assert_int_equal(s.rest, 5);
    assert_int_equal(s.bads, 0);
    refused("HTTP/1.1 101 X\r\n\r\nraw", "101");
    asks_upgrade = false;
    refused(text, "101");
}

static void bad_framing(void **state) {
    (void)state;
    refused("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "");
    refused("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", "");
    refused("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "Content-Length");
    refused("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello", "");
    refused("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "");
    refused("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", "");
    refused("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc", "transfer encoding");
    refused("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\nabc", "");
    refused("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.0");
    refused("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n", "chunk");
    refused("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", "");
    refused("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n", "");
    refused("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", "inside the response body");
    refused("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "inside the response body");
    refused("HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc", "204");
    refused("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "204");
    refused("HTTP/1.1 304 X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "304");
    refused("HTTP/1.1 100 Continue\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\n\r\n", "100");
}

static void bad_heads(void **state) {
    (void)state;
    refused("HTTP/1.1 200 O", "inside the response head");
    refused("HTTP/2.0 200 OK\r\n\r\n", "ersion");
    refused("HTTP/0.9 200 OK\r\n\r\n", "ersion");
    refused("ICY 200 OK\r\n\r\n", "");
    refused("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "");
    refused("HTTP/1.1 99 X\r\n\r\n", "");
    refused("HTTP/1.1 600 X\r\n\r\n", "600");
    refused("HTTP/1.1 20 OK\r\n\r\n", "");
    refused("HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n", "");
    refused("HTTP/1.1 200 OK\r\n: x\r\n\r\n", "");
    refused("HTTP/1.1 200 OK\r\nX: a\x01"
            "b\r\n\r\n",
            "");
    refused("HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", "");
    refused("HTTP/1.1 200 OK\r\nX: a\r\n folded\r\nContent-Length: 0\r\n\r\n", "");
    refused("HTTP/1.1 200 OK\nContent-Length: 0\n\n", "");
    refused("HTTP/1.1 200 OK\r\nX: a\rY: b\r\n\r\n", "");
    refused("HTTP/1.1 200 OK\r\nX: a\nContent-Length: 0\r\n\r\n", "");
    refused("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n", "");
    refused("HTTP/1.1 200 OK\r\nNo colon\r\n\r\n", "");
}

static void append_many(struct buf *b, const char *piece, size_t times) {
    for (size_t i = 0; i < times; i++)
        buf_puts(b, piece);
}

static void refused_big(struct buf *b, const char *why) {
    struct seen s = parse(b->p, b->n, 0, 60000), t = parse(b->p, b->n, 0, 100);
    assert_int_equal(s.bads, 1);
    assert_int_equal(t.bads, 1);
    if (strstr(s.error, why) == NULL)
        fail_msg("error is \"%s\", wanted \"%s\"", s.error, why);
    buf_done(&s.body);
    buf_done(&t.body);
    buf_clear(b);
}

static void limits(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, 0, MIB(4));
    buf_puts(&b, "HTTP/1.1 200 OK\r\nX: ");
    append_many(&b, "0123456789", 20000);
    refused_big(&b, "headers are larger");
    append_many(&b, "HTTP/1.1 100 Continue\r\n\r\n", 17);
    refused_big(&b, "informational");
    buf_puts(&b, "HTTP/1.1 200 OK\r\n");
    append_many(&b, "A: b\r\n", 101);
    buf_puts(&b, "\r\n");
    refused_big(&b, "100 headers");
    buf_puts(&b, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;");
    append_many(&b, "extension", 10000);
    refused_big(&b, "chunk framing");
    buf_puts(&b, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n");
    append_many(&b, "T: trailer\r\n", 101);
    refused_big(&b, "trailers");
    buf_puts(&b, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nT: ");
    append_many(&b, "trailer", 20000);
    refused_big(&b, "trailers");
    buf_puts(&b, "HTTP/1.1 200 ");
    append_many(&b, "endless reason ", 10000);
    refused_big(&b, "headers are larger");
    /* just inside: 100 headers, 16 informational replies, a long body of one-byte chunks */
    append_many(&b, "HTTP/1.1 102 Processing\r\n\r\n", 16);
    buf_puts(&b, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n");
    append_many(&b, "A: b\r\n", 99);
    buf_puts(&b, "\r\n");
    append_many(&b, "1\r\nx\r\n", 50000);
    buf_puts(&b, "0\r\n\r\n");
    struct seen s = parse(b.p, b.n, 0, 1000);
    assert_int_equal(s.bads, 0);
    assert_int_equal(s.ends, 1);
    assert_int_equal(s.body.n, 50000);
    buf_done(&s.body);
    buf_done(&b);
}

static void nul_in_header(void **state) {
    (void)state;
    static const char text[] = "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n";
    struct seen s = parse(text, sizeof(text) - 1, sizeof(text) - 1, 0);
    assert_int_equal(s.bads, 1);
    buf_done(&s.body);
}

static void random_bytes_never_crash(void **state) {
    (void)state;
    static const char seed[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    uint64_t x = 88172645463325252ull;
    for (int round = 0; round < 20000; round++) {
        char text[sizeof(seed)];
        memcpy(text, seed, sizeof(seed));
        for (int k = 0; k < 3; k++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            text[x % (sizeof(seed) - 1)] = (char)(x >> 32);
        }
        struct seen s = parse(text, sizeof(seed) - 1, 0, 1 + round % 7);
        assert_true(s.ends + s.bads == 1);
        buf_done(&s.body);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ordinary_responses),
        cmocka_unit_test(upgrades),
        cmocka_unit_test(bad_framing),
        cmocka_unit_test(bad_heads),
        cmocka_unit_test(limits),
        cmocka_unit_test(nul_in_header),
        cmocka_unit_test(random_bytes_never_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
