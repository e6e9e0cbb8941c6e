/* Responses of engines, forges and registries: the same events for any split. First byte: HEAD, Upgrade, closing peer,
 * size of the pieces. */
#include "core/base/check.h"
#include "core/http/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct result {
    int status;
    size_t headers, body_n, used;
    uint64_t body;
    enum http_event last;
    bool keep_alive, upgraded;
};

static void use_head(const struct http_parser *p) {
    CHECK(p->status >= 100 && p->status <= 599 && p->nheaders <= HTTP_HEADERS_MAX && p->text.n <= HTTP_HEAD_MAX);
    CHECK(http_parser_length(p) >= -1);
    (void)http_parser_header(p, "content-type");
    (void)http_parser_header(p, "docker-experimental");
}

static enum http_event feed(struct http_parser *p, struct str piece, struct result *r) {
    for (;;) {
        struct str body = {NULL, 0};
        size_t before = piece.n;
        enum http_event ev = http_parser_feed(p, &piece, &body);
        CHECK(piece.n <= before);
        r->used += before - piece.n;
        if (ev == HTTP_EV_HEAD) {
            use_head(p);
        } else if (ev == HTTP_EV_BODY) {
            CHECK(body.n > 0 && body.n <= before && p->head_done);
            r->body_n += body.n;
            for (size_t i = 0; i < body.n; i++)
                r->body = (r->body ^ (uint8_t)body.p[i]) * UINT64_C(1099511628211);
        } else {
            return ev;
        }
    }
}

static struct result run(struct str in, uint8_t mode, size_t cut) {
    struct http_parser p;
    struct result r = {.last = HTTP_EV_MORE};
    http_parser_init(&p, mode & 1, mode & 2);
    for (size_t at = 0; at < in.n && r.last == HTTP_EV_MORE; at += cut)
        r.last = feed(&p, str_n(in.p + at, in.n - at < cut ? in.n - at : cut), &r);
    if (r.last == HTTP_EV_MORE && (mode & 4))
        r.last = http_parser_eof(&p);
    if (r.last == HTTP_EV_BAD)
        CHECK(p.error[0] != '\0');
    r.status = p.head_done ? p.status : 0;
    r.headers = p.head_done ? p.nheaders : 0;
    r.keep_alive = p.head_done && p.keep_alive;
    r.upgraded = p.upgraded;
    http_parser_done(&p);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1)
        return 0;
    struct arena *a = arena_new("fuzz", 0), *old = arena_set_current(a);
    struct str in = str_n((const char *)data + 1, size - 1);
    struct result whole = run(in, data[0], SIZE_MAX >> 1), split = run(in, data[0], (data[0] >> 3) + 1u);
    CHECK(whole.last == split.last);
    if (whole.last == HTTP_EV_END) {
        CHECK(whole.status == split.status && whole.headers == split.headers && whole.keep_alive == split.keep_alive);
        CHECK(whole.body_n == split.body_n && whole.body == split.body && whole.upgraded == split.upgraded);
        CHECK(whole.used == split.used);
    }
    arena_set_current(old);
    arena_unref(a);
    return 0;
}
