/* Engine streams: frames, log lines, JSON values, in any split. First byte: mode and split size. */
#include <stdlib.h>
#include "core/base/check.h"
#include "core/docker/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
    struct log_joiner joiner;
    size_t lines, bytes;
};
static err_t on_line(void *arg, const struct log_line *l) {
    struct run *r = arg;
    CHECK(l->text.n <= LOG_LINE_MAX && (l->stream == MUX_STDOUT || l->stream == MUX_STDERR));
    r->lines++;
    r->bytes += l->text.n;
    return NULL;
}
static err_t on_piece(void *arg, enum mux_type type, struct str piece, bool first) {
    struct run *r = arg;
    CHECK(piece.n > 0 && piece.n <= MUX_MAX_PIECE);
    return log_joiner_feed(&r->joiner, type, piece, first, on_line, r);
}
static err_t on_item(void *arg, struct str text) {
    CHECK(text.n <= 4096);
    *(size_t *)arg += text.n;
    return NULL;
}

static void frames(struct str in, size_t cut, bool raw) {
    struct run r = {0};
    struct mux m;
    mux_init(&m, raw);
    log_joiner_init(&r.joiner, raw);
    err_t e = NULL;
    for (size_t at = 0; at < in.n && !e; at += cut)
        e = mux_feed(&m, str_slice(in, at, at + cut), on_piece, &r);
    if (!e)
        e = log_joiner_end(&r.joiner, on_line, &r);
    if (!e)
        e = mux_end(&m);
    CHECK(r.bytes <= in.n);
    err_ignore(e);
    log_joiner_done(&r.joiner);
}

static void values(struct str in, size_t cut, bool array) {
    struct json_split s;
    size_t total = 0;
    json_split_init(&s, array, 4096);
    err_t e = NULL;
    for (size_t at = 0; at < in.n && !e; at += cut)
        e = json_split_feed(&s, str_slice(in, at, at + cut), on_item, &total);
    if (!e)
        e = json_split_end(&s, on_item, &total);
    CHECK(total <= in.n);
    err_ignore(e);
    json_split_done(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1)
        return 0;
    struct str in = str_n((const char *)data + 1, size - 1);
    size_t cut = (data[0] >> 2) + 1u;
    struct arena *a = arena_new("fuzz", 0), *old = arena_set_current(a);
    switch (data[0] & 3) {
    case 0:
        frames(in, cut, false);
        break;
    case 1:
        frames(in, cut, true);
        break;
    case 2:
        values(in, cut, false);
        break;
    default:
        values(in, cut, true);
        break;
    }
    arena_set_current(old);
    arena_unref(a);
    return 0;
}
