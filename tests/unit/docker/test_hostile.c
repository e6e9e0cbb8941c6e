/* Engines that are old, broken, hostile, silent, or replaced behind our back. */
#include <sys/resource.h>
#include "tests/unit/docker/engine_test.h"
#include "tests/unit/docker/fake_engine.h"

static struct docker *to(struct fake *f) {
    struct docker *d;
    OK(docker_new(&(struct docker_conf){.name = "fake", .url = f->url}, &d));
    return d;
}
#define INSPECT                                                                                                        \
    "{\"Id\":\"abc\",\"Name\":\"/x\",\"State\":{\"Status\":\"running\",\"Running\":true},\"Config\":{\"Tty\":false}}"

static bool simple(struct fake *f, int fd, const char *method, const char *target) {
    (void)f;
    (void)method;
    if (strstr(target, "/v1.41/containers/html"))
        return fake_text(fd, "HTTP/1.1 502 Bad\r\nContent-Length: 21\r\n\r\n<html>\x01 proxy </html>");
    if (strstr(target, "/containers/plain"))
        return fake_text(fd, "HTTP/1.1 500 Bad\r\nContent-Length: 5\r\n\r\nboom\n");
    if (strstr(target, "/containers/conflict"))
        return fake_json(fd, 409, "{\"message\":\"is in use\"}");
    if (strstr(target, "/containers/huge-error")) {
        fake_text(fd, "HTTP/1.1 500 Bad\r\nContent-Length: 1000000\r\n\r\n");
        char junk[10000];
        memset(junk, 'e', sizeof junk);
        for (int i = 0; i < 100; i++)
            if (!fake_write(fd, junk, sizeof junk))
                return false;
        return false;
    }
    if (strstr(target, "/containers/notjson"))
        return fake_json(fd, 200, "{\"Id\":");
    if (strstr(target, "/containers/empty"))
        return fake_json(fd, 200, "{}");
    if (strstr(target, "/containers/redirect"))
        return fake_text(fd, "HTTP/1.1 302 Found\r\nLocation: http://evil/\r\nContent-Length: 0\r\n\r\n");
    if (strstr(target, "/containers/cut")) {
        fake_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"Id\":");
        return false;
    }
    return fake_json(fd, 404, "{\"message\":\"page not found\"}");
}

TEST(refusals_and_nonsense) {
    struct fake f;
    fake_start(&f, simple, "1.41");
    AUTO(docker) d = to(&f);
    struct docker_container_info *i;
    static const struct {
        const char *id;
        enum err_code want;
        const char *text;
    } rows[] = {
        {"html", ERR_DOCKER, "<html>  proxy </html>"}, {"plain", ERR_DOCKER, "boom"},
        {"conflict", ERR_CONFLICT, "is in use"},       {"huge-error", ERR_DOCKER, "no reason"},
        {"notjson", ERR_DOCKER_PROTOCOL, "JSON"},      {"empty", ERR_DOCKER_PROTOCOL, "no Id"},
        {"redirect", ERR_DOCKER_PROTOCOL, "302"},      {"missing", ERR_NOT_FOUND, "page not found"},
    };
    for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
        err_t e = docker_container_inspect(d, NOW, rows[r].id, DL, &i);
        FAILS(rows[r].want, e);
        if (str_find(str_of(e->message), str_of(rows[r].text)) < 0)
            ZEQ(e->message, rows[r].text);
        bool node = false;
        for (const struct err_detail *x = e->details; x; x = x->next)
            node |= z_eq(x->key, "node") && z_eq(x->value, "fake");
        CHECK(node);
    }
    err_t e = docker_container_inspect(d, NOW, "cut", DL, &i);
    CHECK(err_is(e, ERR_DOCKER_UNAVAILABLE) || err_is(e, ERR_DOCKER_PROTOCOL));
    fake_stop(&f);
    return NULL;
}

TEST(versions) {
    static const struct {
        const char *api;
        int want; /* 0 = refused */
    } rows[] = {{"1.24", 0},  {"1.40", 0},  {NULL, 0},    {"2.0", 0},   {"1.x", 0},   {"1.41", 41}, {"1.42", 42},
                {"1.43", 43}, {"1.44", 44}, {"1.45", 45}, {"1.46", 46}, {"1.47", 47}, {"1.48", 48}, {"1.49", 49},
                {"1.50", 50}, {"1.51", 51}, {"1.52", 52}, {"1.55", 55}, {"1.56", 55}, {"1.99", 55}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fake f;
        fake_start(&f, simple, rows[i].api);
        AUTO(docker) d = to(&f);
        err_t e = docker_negotiate(d, DL);
        if (rows[i].want) {
            OK(e);
            EQ(docker_api(d), rows[i].want);
        } else {
            FAILS(ERR_DOCKER_VERSION, e);
            EQ(docker_state(d).reach, DOCKER_INCOMPATIBLE);
        }
        fake_stop(&f);
    }
    return NULL;
}

/* The engine is downgraded while our connection lives: one 400, a new ping, the call again. */
static bool replaced(struct fake *f, int fd, const char *method, const char *target) {
    (void)method;
    if (f->phase == 1 && strstr(target, "/v1.47/")) {
        f->api = "1.43";
        return fake_json(fd, 400,
                         "{\"message\":\"client version 1.47 is too new. Maximum supported API version is 1.43\"}");
    }
    if (f->phase == 2)
        return fake_json(fd, 400,
                         "{\"message\":\"client version 1.43 is too old. Minimum supported API version is 1.60\"}");
    return fake_json(fd, 200, INSPECT);
}
TEST(renegotiates) {
    struct fake f;
    fake_start(&f, replaced, "1.47");
    AUTO(docker) d = to(&f);
    struct docker_container_info *i;
    OK(docker_container_inspect(d, NOW, "x1", DL, &i));
    EQ(docker_api(d), 47);
    f.phase = 1;
    OK(docker_container_inspect(d, NOW, "x1", DL, &i));
    EQ(docker_api(d), 43);
    f.phase = 2;
    FAILS(ERR_DOCKER_VERSION, docker_container_inspect(d, NOW, "x1", DL, &i));
    fake_stop(&f);
    return NULL;
}

static bool framing(struct fake *f, int fd, const char *method, const char *target) {
    (void)method;
    if (strstr(target, "/json") && !strstr(target, "/containers/json") && !strstr(target, "/images"))
        return fake_json(fd, 200, INSPECT);
    if (strstr(target, "/logs")) {
        static const char *const bad[] = {"\x01\0\0\0\xff\xff\xff\xff"
                                          "data",
                                          "\x07\0\0\0\0\0\0\4data",
                                          "\x01\0\0\0\0\0\0\x0a"
                                          "abcd",
                                          "\x03\0\0\0\0\0\0\4oops"};
        fake_chunked_head(fd);
        fake_chunk(fd, bad[f->phase % 4], 12);
        return fake_text(fd, "0\r\n\r\n");
    }
    if (f->phase == 10) { /* a broken chunk */
        fake_chunked_head(fd);
        fake_chunk_z(fd, "[{\"Id\":\"a\"},");
        return fake_text(fd, "zz\r\nnot hex"), false;
    }
    fake_chunked_head(fd); /* one value that never ends */
    fake_chunk_z(fd, f->phase == 11 ? "[{\"Id\":\"" : "{\"status\":\"");
    char junk[65536];
    memset(junk, 'x', sizeof junk);
    for (int i = 0; i < 2000 && !f->stop; i++)
        if (!fake_chunk(fd, junk, sizeof junk))
            return false;
    return false;
}
static err_t any_row(void *arg, struct json *row) {
    (void)row;
    ++*(int *)arg;
    return NULL;
}
TEST(broken_streams) {
    struct fake f;
    fake_start(&f, framing, "1.41");
    AUTO(docker) d = to(&f);
    struct str text;
    for (int i = 0; i < 4; i++) {
        f.phase = i;
        err_t e = docker_container_logs(d, NOW, "x1", &(struct docker_logs){0}, DL, &text, NULL);
        FAILS(i == 3 ? ERR_DOCKER : ERR_DOCKER_PROTOCOL, e);
    }
    int rows = 0;
    f.phase = 10;
    FAILS(ERR_DOCKER_PROTOCOL, docker_container_each(d, NULL, DL, any_row, &rows));
    EQ(rows, 1);
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    f.phase = 11;
    FAILS(ERR_DOCKER_PROTOCOL, docker_container_each(d, NULL, DL, any_row, &rows));
    f.phase = 12;
    FAILS(ERR_DOCKER_PROTOCOL, docker_image_pull(d, NOW, &(struct docker_pull){.ref = "a/b:c"}, DL, NULL));
    getrusage(RUSAGE_SELF, &after);
    CHECK(after.ru_maxrss - before.ru_maxrss < 80 * 1024); /* KiB; the value itself would be 128 MiB */
    fake_stop(&f);
    return NULL;
}

static bool streams(struct fake *f, int fd, const char *method, const char *target) {
    (void)f;
    (void)method;
    fake_chunked_head(fd);
    if (strstr(target, "in-band"))
        fake_chunk_z(
            fd,
            "{\"status\":\"Pulling\"}\r\n{\"errorDetail\":{\"message\":\"toomanyrequests: slow down\"},\"error\":\"x\"}\r\n");
    else if (strstr(target, "unknown"))
        fake_chunk_z(fd, "{\"errorDetail\":{\"message\":\"manifest unknown\"}}");
    else if (strstr(target, "/build"))
        fake_chunk_z(fd, "{\"stream\":\"Step 1/1 : FROM x\\n\"}{\"stream\":\"done\\n\"}");
    else
        fake_chunk_z(
            fd, "{\"status\":\"Digest: sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}");
    return fake_text(fd, "0\r\n\r\n");
}
TEST(in_band_errors) {
    struct fake f;
    fake_start(&f, streams, "1.43");
    AUTO(docker) d = to(&f);
    const char *digest = NULL;
    FAILS(ERR_REGISTRY, docker_image_pull(d, NOW, &(struct docker_pull){.ref = "in-band"}, DL, &digest));
    FAILS(ERR_NOT_FOUND, docker_image_pull(d, NOW, &(struct docker_pull){.ref = "unknown"}, DL, &digest));
    OK(docker_image_pull(d, NOW, &(struct docker_pull){.ref = "fine"}, DL, &digest));
    CHECK(z_starts(digest, "sha256:0123"));
    fake_stop(&f);
    return NULL;
}

TEST(silent_engine) {
    struct fake f;
    fake_start(&f, simple, "1.41");
    AUTO(docker) d = to(&f);
    OK(docker_negotiate(d, DL));
    f.hang = true;
    uint64_t before = clock_mono_ms();
    FAILS(ERR_TIMEOUT, docker_ping(d, deadline_in(300)));
    CHECK(clock_mono_ms() - before < 1000);
    EQ(docker_state(d).pending, 0);
    f.hang = false;
    OK(docker_ping(d, DL));
    EQ(docker_state(d).reach, DOCKER_ONLINE);
    fake_stop(&f);
    FAILS(ERR_DOCKER_UNAVAILABLE, docker_ping(d, DL));
    EQ(docker_api(d), 0); /* negotiated again when it is back */
    return NULL;
}

/* ---- log stream that breaks ---- */

#define T(n) "2026-11-21T10:00:00.00000000" n "Z "
static void frame(int fd, const char *line) {
    char b[256];
    size_t n = strlen(line) + 1;
    memcpy(b, "\x01\0\0\0\0\0\0\0", 8);
    b[7] = (char)n;
    snprintf(b + 8, sizeof b - 8, "%s\n", line);
    fake_chunk(fd, b, n + 8);
}
/* phase 0: two lines, then the connection dies. 1: repeats them and adds one, dies. 2: only something newer. */
static bool flaky_logs(struct fake *f, int fd, const char *method, const char *target) {
    (void)method;
    if (strstr(target, "/json"))
        return fake_json(fd, 200, INSPECT);
    fake_chunked_head(fd);
    if (!strstr(target, "follow=1"))
        return fake_text(fd, "0\r\n\r\n");
    switch (f->phase++) {
    case 0:
        frame(fd, T("1") "one");
        frame(fd, T("2") "two");
        frame(fd, T("2") "two");
        return false;
    case 1:
        if (!strstr(target, "since=1795255200.000000002"))
            abort();
        frame(fd, T("2") "two");
        frame(fd, T("2") "two");
        frame(fd, T("2") "two"); /* a third one of the same instant is new */
        frame(fd, T("3") "three");
        return false;
    case 2:
        frame(fd, T("9") "nine");
        break; /* three is gone: rotated */
    default:
        break;
    }
    fake_wait(f, 100000);
    return false;
}
struct view {
    struct buf text;
    size_t gaps;
};
static void on_lines(void *ctx, const struct hub_batch *b) {
    for (size_t i = 0; i < b->n; i++)
        buf_putf(&((struct view *)ctx)->text, "%.*s ", STR_ARG(b->items[i].text));
}
static void on_event(void *ctx, const struct hub_event *ev) {
    struct view *w = ctx;
    if (ev->kind == HUB_GAP) {
        w->gaps++;
        buf_puts(&w->text, "GAP ");
    }
}
TEST(log_stream_resumes) {
    struct fake f;
    fake_start(&f, flaky_logs, "1.41");
    AUTO(docker) d = to(&f);
    struct hub *h = hub_new(NULL);
    struct view w = {0};
    struct hub_viewer *v;
    buf_init(&w.text, 0, KIB(4));
    OK(hub_attach(h, d,
                  &(struct hub_viewer_conf){
                      .container = "abc", .tail = -1, .on_lines = on_lines, .on_event = on_event, .ctx = &w},
                  &v));
    uint64_t until = deadline_in(SECONDS(10));
    while (str_find(buf_str(&w.text), STR("nine")) < 0 && clock_mono_ms() < until)
        OK(fiber_sleep(10));
    ZEQ(str_z(NOW, buf_str(&w.text)), "one two two two three GAP nine ");
    EQ(hub_stats_get(h).duplicates, 2);
    hub_detach(v);
    fake_stop(&f);
    hub_free(h);
    buf_done(&w.text);
    return NULL;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        L(refusals_and_nonsense), L(versions),      L(renegotiates),       L(broken_streams),
        L(in_band_errors),        L(silent_engine), L(log_stream_resumes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
