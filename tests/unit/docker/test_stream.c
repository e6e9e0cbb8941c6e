/* Frames, log lines, JSON values: every split of the input, and what hostile engines send. */
#include "tests/unit/base/base_test.h"
#include "core/docker/stream.h"

/* ---- mux ---- */

struct seen {
    struct buf out; /* "1[hello]2[x]" */
    size_t pieces, largest;
};
static err_t on_piece(void *arg, enum mux_type type, struct str piece, bool first) {
    struct seen *s = arg;
    s->pieces++;
    s->largest = piece.n > s->largest ? piece.n : s->largest;
    if (first)
        buf_putf(&s->out, "|%d:", (int)type);
    buf_put(&s->out, piece.p, piece.n);
    return NULL;
}
static void put_frame(struct buf *b, int type, const char *text, size_t n) {
    unsigned char h[8] = {
        (unsigned char)type, 0, 0, 0, (unsigned char)(n >> 24), (unsigned char)(n >> 16), (unsigned char)(n >> 8),
        (unsigned char)n};
    buf_put(b, h, 8);
    buf_put(b, text, n);
}

static void mux_any_split(void **state) {
    (void)state;
    AUTO_BUF in;
    buf_init(&in, 0, MIB(1));
    put_frame(&in, 1, "hello\n", 6);
    put_frame(&in, 2, "oops\n", 5);
    put_frame(&in, 1, "", 0);
    put_frame(&in, 1, "bye\n", 4);
    for (size_t cut = 1; cut <= in.n; cut++) {
        struct mux m;
        struct seen s = {0};
        buf_init(&s.out, 0, KIB(4));
        mux_init(&m, false);
        for (size_t at = 0; at < in.n; at += cut)
            assert_ok(mux_feed(&m, str_slice(buf_str(&in), at, at + cut), on_piece, &s));
        assert_ok(mux_end(&m));
        assert_str(buf_str(&s.out), "|1:hello\n|2:oops\n|1:bye\n");
        buf_done(&s.out);
    }
}

static void mux_hostile(void **state) {
    (void)state;
    struct seen s = {0};
    buf_init(&s.out, 0, KIB(4));
    struct mux m;
    static const char *const bad[] = {"\x01\0\0\0\xff\xff\xff\xff", "\x07\0\0\0\0\0\0\1", "\x01\1\0\0\0\0\0\1",
                                      "HTTP/1.1"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        mux_init(&m, false);
        assert_err(mux_feed(&m, str_n(bad[i], 8), on_piece, &s), DOCKER_PROTOCOL);
    }
    mux_init(&m, false);
    assert_ok(mux_feed(&m, str_n("\x01\0\0\0\0\0\0\5ab", 10), on_piece, &s));
    assert_err(mux_end(&m), DOCKER_PROTOCOL);
    mux_init(&m, false);
    assert_ok(mux_feed(&m, str_n("\x01\0\0", 3), on_piece, &s));
    assert_err(mux_end(&m), DOCKER_PROTOCOL);
    buf_done(&s.out);
}

static void mux_large_frame_in_pieces(void **state) {
    (void)state;
    size_t n = MIB(5);
    char *big = arena_alloc(A, n + 8, 1);
    memset(big, 'x', n + 8);
    memcpy(big, "\x02\0\0\0\0\x50\0\0", 8);
    struct seen s = {0};
    buf_init(&s.out, 0, MIB(6));
    struct mux m;
    mux_init(&m, false);
    assert_ok(mux_feed(&m, str_n(big, n + 8), on_piece, &s));
    assert_ok(mux_end(&m));
    assert_int_equal(s.pieces, 5);
    assert_int_equal(s.largest, MUX_MAX_PIECE);
    buf_done(&s.out);
}

static void mux_system_error(void **state) {
    (void)state;
    AUTO_BUF in;
    buf_init(&in, 0, KIB(4));
    put_frame(&in, 3, "error grabbing logs: invalid character", 38);
    struct seen s = {0};
    struct mux m;
    mux_init(&m, false);
    err_t e = mux_feed(&m, str_slice(buf_str(&in), 0, 20), on_piece, &s);
    assert_null(e);
    e = mux_feed(&m, str_slice(buf_str(&in), 20, in.n), on_piece, &s);
    assert_err(e, DOCKER);
    assert_string_equal(e->message, "error grabbing logs: invalid character");
}

/* ---- lines ---- */

#define TS "2026-11-21T10:00:00.123456789Z "
static err_t on_line(void *arg, const struct log_line *l) {
    struct buf *b = arg;
    buf_putf(b, "<%u %s %zu%s>", l->stream,
             l->ts_ns == 1795255200123456789 ? "t"
             : l->ts_ns                      ? "other"
                                             : "none",
             l->text.n, l->cut ? " cut" : "");
    if (l->text.n < 40)
        buf_put(b, l->text.p, l->text.n);
    return NULL;
}

static void stamps(void **state) {
    (void)state;
    int64_t ns;
    assert_true(log_stamp_parse(STR("2026-11-21T10:00:00.123456789Z"), &ns));
    assert_int_equal(ns, 1795255200123456789);
    assert_true(log_stamp_parse(STR("2026-11-21T12:00:00.123456789+02:00"), &ns));
    assert_int_equal(ns, 1795255200123456789);
    assert_true(log_stamp_parse(STR("1970-01-01T00:00:01Z"), &ns));
    assert_int_equal(ns, 1000000000);
    assert_true(log_stamp_parse(STR("2024-02-29T00:00:00.5Z"), &ns));
    assert_int_equal(ns, 1709164800500000000);
    static const char *const bad[] = {"",
                                      "2026-11-21",
                                      "2026-11-21T10:00:00",
                                      "2026-13-21T10:00:00Z",
                                      "2026-11-21T25:00:00Z",
                                      "2026-11-21T10:00:00.1",
                                      "2026-11-21T10:00:00Zx",
                                      "0001-01-01T00:00:00Z"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(log_stamp_parse(str_of(bad[i]), &ns));
}

static void lines_framed(void **state) {
    (void)state;
    AUTO_BUF out;
    buf_init(&out, 0, KIB(64));
    struct log_joiner j;
    log_joiner_init(&j, false);
    assert_ok(log_joiner_feed(&j, MUX_STDOUT, STR(TS "one\n"), true, on_line, &out));
    assert_ok(log_joiner_feed(&j, MUX_STDERR, STR(TS "err\r\n"), true, on_line, &out));
    assert_ok(log_joiner_feed(&j, MUX_STDOUT, STR("2026-11-21T10:"), true, on_line, &out)); /* cut inside the time */
    assert_ok(log_joiner_feed(&j, MUX_STDOUT, STR("00:00.123456789Z a b"), false, on_line, &out));
    assert_ok(log_joiner_feed(&j, MUX_STDOUT, STR(" c\n"), false, on_line, &out));
    assert_ok(log_joiner_feed(&j, MUX_STDOUT, STR(TS "\n"), true, on_line, &out));
    assert_ok(log_joiner_feed(&j, MUX_STDOUT, STR("no time\n"), true, on_line, &out));
    assert_ok(log_joiner_feed(&j, MUX_STDOUT, STR(TS "tail"), true, on_line, &out));
    assert_ok(log_joiner_end(&j, on_line, &out));
    assert_str(buf_str(&out), "<1 t 3>one<2 t 3>err<1 t 5>a b c<1 t 0><1 none 7>no time<1 t 4>tail");
    log_joiner_done(&j);
}

static void lines_joined(void **state) {
    (void)state;
    static char record[LOG_RECORD_MAX];
    memset(record, 'x', sizeof record);
    AUTO_BUF out;
    buf_init(&out, 0, KIB(64));
    for (int raw = 0; raw < 2; raw++) {
        struct log_joiner j;
        buf_clear(&out);
        log_joiner_init(&j, raw);
        for (int i = 0; i < 3; i++) {
            assert_ok(log_joiner_feed(&j, MUX_STDOUT, STR(TS), true, on_line, &out));
            assert_ok(log_joiner_feed(&j, MUX_STDOUT, str_n(record, sizeof record), false, on_line, &out));
        }
        assert_ok(log_joiner_feed(&j, MUX_STDOUT, STR(TS "end\n" TS "next\n"), true, on_line, &out));
        if (raw)
            assert_str(buf_str(&out), "<1 t 49155><1 t 4>next");
        log_joiner_done(&j);
    }
    struct log_joiner j;
    buf_clear(&out);
    log_joiner_init(&j, false);
    for (int i = 0; i < 6; i++) {
        assert_ok(log_joiner_feed(&j, MUX_STDOUT, STR(TS), true, on_line, &out));
        assert_ok(log_joiner_feed(&j, MUX_STDOUT, str_n(record, sizeof record), false, on_line, &out));
    }
    assert_ok(log_joiner_feed(&j, MUX_STDOUT, STR(TS "\n"), true, on_line, &out));
    assert_str(buf_str(&out), "<1 t 65536 cut>");
    log_joiner_done(&j);
}

static void lines_raw_any_split(void **state) {
    (void)state;
    static const char text[] = TS "one\r\n" TS "two words\r\n" TS "\r\n" TS "par";
    AUTO_BUF out;
    buf_init(&out, 0, KIB(64));
    for (size_t cut = 1; cut < sizeof text; cut++) {
        struct log_joiner j;
        buf_clear(&out);
        log_joiner_init(&j, true);
        for (size_t at = 0; at < sizeof text - 1; at += cut)
            assert_ok(log_joiner_feed(&j, MUX_STDOUT, str_slice(STR(text), at, at + cut), false, on_line, &out));
        assert_ok(log_joiner_end(&j, on_line, &out));
        assert_str(buf_str(&out), "<1 t 3>one<1 t 9>two words<1 t 0><1 t 3>par");
        log_joiner_done(&j);
    }
}

/* ---- JSON values ---- */

static err_t on_item(void *arg, struct str text) {
    struct buf *b = arg;
    buf_putf(b, "<%.*s>", STR_ARG(text));
    return NULL;
}
static err_t split_all(const char *text, bool array, size_t cut, size_t max, struct buf *out) {
    struct json_split s;
    struct str in = str_of(text);
    json_split_init(&s, array, max);
    err_t e = NULL;
    for (size_t at = 0; at < in.n && !e; at += cut)
        e = json_split_feed(&s, str_slice(in, at, at + cut), on_item, out);
    if (!e)
        e = json_split_end(&s, on_item, out);
    json_split_done(&s);
    return e;
}

static void json_values_any_split(void **state) {
    (void)state;
    static const struct {
        const char *in;
        bool array;
        const char *out;
    } rows[] = {
        {"{\"a\":1}\r\n{\"b\":\"}\\\"{\"}{\"c\":[[],{}]}\n", false, "<{\"a\":1}><{\"b\":\"}\\\"{\"}><{\"c\":[[],{}]}>"},
        {"\x1e{\"a\":1}\n\x1e{}\n", false, "<{\"a\":1}><{}>"},
        {"", false, ""},
        {"  [ {\"a\":[1,2]} , \"x]\" ,-3.5, null,true]\n", true, "<{\"a\":[1,2]}><\"x]\"><-3.5><null><true>"},
        {"[]", true, ""},
        {"null\n", true, ""},
        {"[\"\\\\\"]", true, "<\"\\\\\">"},
    };
    AUTO_BUF out;
    buf_init(&out, 0, KIB(4));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t cut = 1; cut <= strlen(rows[i].in) + 1; cut++) {
            buf_clear(&out);
            assert_ok(split_all(rows[i].in, rows[i].array, cut, 100, &out));
            assert_str(buf_str(&out), rows[i].out);
        }
    }
}

static void json_values_hostile(void **state) {
    (void)state;
    AUTO_BUF out;
    buf_init(&out, 0, KIB(4));
    static const char *const bad[] = {"{\"a\":", "<html>", "{\"unterminated",
                                      "{\"0123456789012345678901234567890123456789\":1}"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        for (size_t cut = 1; cut < 50; cut++)
            assert_err(split_all(bad[i], false, cut, 40, &out), DOCKER_PROTOCOL);
    static const char *const not_list[] = {"{\"message\":\"x\"}", "[{}", "", "[1,"};
    for (size_t i = 0; i < ARRAY_LEN(not_list); i++)
        assert_err(split_all(not_list[i], true, 3, 40, &out), DOCKER_PROTOCOL);
    struct json_split s; /* a line that never ends stays bounded */
    json_split_init(&s, false, KIB(64));
    err_t e = json_split_feed(&s, STR("{\"stream\":\""), on_item, &out);
    for (int i = 0; i < 100 && !e; i++)
        e = json_split_feed(&s, STR("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"), on_item, &out);
    assert_null(e);
    char *lump = arena_zalloc(A, KIB(64));
    memset(lump, 'y', KIB(64));
    assert_err(json_split_feed(&s, str_n(lump, KIB(64)), on_item, &out), DOCKER_PROTOCOL);
    json_split_done(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        T(mux_any_split),
        T(mux_hostile),
        T(mux_large_frame_in_pieces),
        T(mux_system_error),
        T(stamps),
        T(lines_framed),
        T(lines_joined),
        T(lines_raw_any_split),
        T(json_values_any_split),
        T(json_values_hostile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
