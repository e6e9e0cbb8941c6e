/* The client against a real server process that behaves and misbehaves by path (peer.py). */
#include "../async/async_test.h"
#include "core/async/proc.h"
#include "core/async/wait.h"
#include "core/http/client.h"

#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})
static struct proc *peer;
static int port, opened;
static struct http_pool *pool;

static err_t wire_open(void *ctx, uint64_t deadline, struct stream **ret) {
    (void)ctx;
    opened++;
    return net_connect_tcp("127.0.0.1", port, deadline, ret);
}

static uint64_t soon(void) { return loop_now() + 8000; }

/* Each test starts its own peer: the loop and its handles live per test. */
static void begin_with(size_t max_idle, size_t max_conns) {
    const char *script = "tests/unit/http/peer.py";
    OK(proc_spawn(
        &(struct proc_conf){.argv = ARGV("/usr/bin/python3", script), .pipe_stdin = true, .pipe_stdout = true}, &peer));
    struct str out;
    OK(stream_read(proc_stdout(peer), soon(), &out));
    int64_t n = 0;
    OK(str_to_i64(str_trim(out), 1, 65535, &n));
    port = (int)n;
    opened = 0;
    pool = http_pool_new("peer", "peer.example", (struct http_wire){wire_open, NULL}, max_idle, max_conns);
}
static void begin(void) { begin_with(4, 8); }

static void end(void) {
    http_pool_free(pool);
    proc_close(peer);
}

static struct http_request get(const char *target) { return (struct http_request){.method = "GET", .target = target}; }

static err_t fetch(const struct http_request *req, int *status, struct str *body) {
    return http_simple(pool, arena_current(), req, MIB(8), soon(), status, body);
}

static void expect(const char *target, int want_status, const char *want_body) {
    int status = 0;
    struct str body;
    struct http_request req = get(target);
    OK(fetch(&req, &status, &body));
    CHECK(status == want_status);
    CHECK(str_eqz(body, want_body));
    CHECK(body.p[body.n] == '\0');
}

TEST(bodies_of_all_kinds) {
    begin();
    expect("/hello", 200, "hello");
    expect("/chunked", 200, "hello!");
    expect("/split", 200, "abc");
    expect("/204", 204, "");
    expect("/missing", 404, "");
    CHECK(opened == 1); /* all of that on one connection */
    expect("/eof", 200, "until the end");
    expect("/close", 200, "bye");
    expect("/hello", 200, "hello");
    CHECK(opened == 3);
    int status;
    struct str body;
    OK(fetch(&(struct http_request){.method = "HEAD", .target = "/hello"}, &status, &body));
    CHECK(status == 200 && body.n == 0);
    expect("/hello", 200, "hello");
    CHECK(opened == 3);
    struct http_request req = get("/big/3000000");
    OK(fetch(&req, &status, &body));
    CHECK(body.n == 3000000);
    FAILS(ERR_TOO_LARGE, http_simple(pool, arena_current(), &req, 1000, soon(), &status, &body));
    req = get("/endless-body");
    FAILS(ERR_TOO_LARGE, http_simple(pool, arena_current(), &req, 100000, soon(), &status, &body));
    end();
    return NULL;
}

TEST(requests_as_sent) {
    begin();
    int status;
    struct str body;
    const struct http_header h[] = {{"X-One", "1"}, {"Authorization", "Bearer x"}};
    OK(fetch(&(struct http_request){.method = "POST",
                                    .target = "/echo",
                                    .headers = h,
                                    .nheaders = 2,
                                    .body = STR("{\"a\":1}"),
                                    .content_type = "application/json"},
             &status, &body));
    CHECK(str_find(body, STR("POST /echo HTTP/1.1\r\nHost: peer.example\r\nUser-Agent: DockFlow/")) == 0);
    CHECK(
        str_find(
            body,
            STR("\r\nX-One: 1\r\nAuthorization: Bearer x\r\nContent-Type: application/json\r\nContent-Length: 7\r\n")) >
            0 ||
        str_find(body, STR("Content-Length: 7\r\n\r\n{\"a\":1}")) > 0);
    CHECK(str_ends(body, STR("\r\n\r\n{\"a\":1}")));
    OK(fetch(&(struct http_request){.method = "POST", .target = "/echo"}, &status, &body));
    CHECK(str_find(body, STR("Content-Length: 0")) > 0);
    struct http_request req = get("/echo");
    OK(fetch(&req, &status, &body));
    CHECK(str_find(body, STR("Content-Length")) < 0);
    char *big = arena_zalloc(arena_current(), MIB(2));
    memset(big, 'b', MIB(2));
    OK(fetch(&(struct http_request){.method = "PUT", .target = "/echo", .body = str_n(big, MIB(2))}, &status, &body));
    CHECK(body.n > MIB(2) && str_ends(body, str_n(big, MIB(2))));
    CHECK(opened == 1);
    end();
    return NULL;
}

TEST(injection_is_refused) {
    begin();
    const char *targets[] = {"", "hello", "/a b", "/a\r\nX: y", "/a\tb", "/\x7f", "/\xc3\xa4", "/a#b", "http://x/"};
    int status;
    struct str body;
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        struct http_request req = get(targets[i]);
        FAILS(ERR_INVALID, fetch(&req, &status, &body));
    }
    const struct http_header bad[] = {{"X", "a\r\nY: b"},
                                      {"X", "a\nb"},
                                      {"X", "a\rb"},
                                      {"X Y", "a"},
                                      {"X:", "a"},
                                      {"", "a"},
                                      {"X\n", "a"},
                                      {"Host", "evil"},
                                      {"content-length", "5"},
                                      {"Transfer-Encoding", "chunked"},
                                      {"Connection", "close"},
                                      {"X", "\x01"}};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct http_request req = {.method = "GET", .target = "/", .headers = &bad[i], .nheaders = 1};
        FAILS(ERR_INVALID, fetch(&req, &status, &body));
    }
    struct http_request req = {.method = "GET /x HTTP/1.1\r\n", .target = "/"};
    FAILS(ERR_INVALID, fetch(&req, &status, &body));
    req = (struct http_request){.method = "POST", .target = "/", .content_type = "a\r\nb"};
    FAILS(ERR_INVALID, fetch(&req, &status, &body));
    struct http_pool *evil = http_pool_new("evil", "a\r\nb", (struct http_wire){wire_open, NULL}, 1, 1);
    req = get("/");
    FAILS(ERR_INVALID, http_simple(evil, arena_current(), &req, 10, soon(), &status, &body));
    http_pool_free(evil);
    CHECK(opened == 0);
    end();
    return NULL;
}

TEST(hostile_responses) {
    begin();
    const char *bad[] = {"/bad/clte",  "/bad/204", "/bad/cut",  "/bad/head",
                         "/bad/flood", "/bad/101", "/bad/text", "/endless"};
    int status;
    struct str body;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct http_request req = get(bad[i]);
        err_t e = fetch(&req, &status, &body);
        FAILS(ERR_UPSTREAM_PROTOCOL, e);
        CHECK(strstr(e->message, bad[i]) != NULL);
        CHECK(opened == (int)i + 1); /* such a connection is never used again, such a request never repeated */
    }
    struct http_request req = get("/none");
    FAILS(ERR_IO, fetch(&req, &status, &body));
    req = get("/reset");
    FAILS(ERR_IO, fetch(&req, &status, &body));
    req = get("/silent");
    FAILS(ERR_TIMEOUT, http_simple(pool, arena_current(), &req, 10, loop_now() + 30, &status, &body));
    req = get("/slow");
    FAILS(ERR_TIMEOUT, http_simple(pool, arena_current(), &req, 1000, loop_now() + 60, &status, &body));
    /* a response that nobody asked for does not become the answer to the next request */
    expect("/late-204-body", 204, "");
    OK(fiber_sleep(120));
    expect("/hello", 200, "hello");
    end();
    return NULL;
}

TEST(stale_connections_are_retried_once) {
    begin();
    expect("/trap", 200, "ok");
    expect("/hello", 200, "hello"); /* dies on the kept connection, goes again on a new one */
    CHECK(opened == 2);
    http_pool_drop_idle(pool);
    expect("/trap", 200, "ok");
    int status;
    struct str body;
    FAILS(ERR_IO, fetch(&(struct http_request){.method = "POST", .target = "/echo"}, &status, &body));
    expect("/trap", 200, "ok");
    struct http_request req = get("/hello");
    req.no_retry = true;
    FAILS(ERR_IO, fetch(&req, &status, &body));
    expect("/idle-close", 200, "ok");
    OK(fiber_sleep(60));
    int before = opened;
    OK(fetch(&(struct http_request){.method = "POST", .target = "/echo"}, &status, &body)); /* seen dead before use */
    CHECK(opened == before + 1);
    end();
    return NULL;
}

TEST(close_without_reading_keeps_small_answers) {
    begin();
    struct http_response *r;
    struct http_request req = get("/hello");
    for (int i = 0; i < 3; i++) {
        OK(http_do(pool, &req, soon(), &r));
        CHECK(http_status(r) == 200 && strcmp(http_header_get(r, "x-conn"), "1") == 0);
        CHECK(http_header_get(r, "absent") == NULL);
        http_close(r);
    }
    CHECK(opened == 1);
    req = get("/big/9000000");
    OK(http_do(pool, &req, soon(), &r));
    http_close(r);
    expect("/hello", 200, "hello");
    CHECK(opened == 2);
    end();
    return NULL;
}

/* ---- upload ---- */

TEST(chunked_upload) {
    begin();
    struct http_response *r;
    struct http_request req = {
        .method = "POST", .target = "/echo", .chunked_upload = true, .content_type = "application/x-tar"};
    OK(http_do(pool, &req, soon(), &r));
    char piece[5000];
    memset(piece, 'u', sizeof(piece));
    for (int i = 0; i < 100; i++)
        OK(http_send_chunk(r, piece, sizeof(piece), soon()));
    OK(http_send_chunk(r, piece, 0, soon()));
    OK(http_send_end(r, soon()));
    struct str body;
    OK(http_read_all(r, arena_current(), MIB(1), soon(), &body));
    CHECK(body.n > 500000 && str_find(body, STR("Transfer-Encoding: chunked")) > 0);
    http_close(r);
    expect("/hello", 200, "hello");
    CHECK(opened == 1);
    /* refused in the middle: the answer counts more than the broken pipe */
    req.target = "/early";
    OK(http_do(pool, &req, soon(), &r));
    static char big[MIB(1)];
    err_t e = NULL;
    for (int i = 0; i < 60 && e == NULL; i++)
        e = http_send_chunk(r, big, sizeof(big), soon());
    FAILS(ERR_IO, e);
    OK(http_send_end(r, soon()));
    CHECK(http_status(r) == 413);
    http_close(r);
    end();
    return NULL;
}

TEST(early_answer_to_a_large_body) {
    begin();
    static char big[MIB(32)];
    struct http_response *r;
    struct http_request req = {.method = "POST", .target = "/early", .body = str_n(big, sizeof(big))};
    err_t e = http_do(pool, &req, soon(), &r);
    if (e == NULL) { /* a reset may have swallowed the answer; then the write error is all there is */
        CHECK(http_status(r) == 413);
        http_close(r);
    } else {
        FAILS(ERR_IO, e);
    }
    end();
    return NULL;
}

/* ---- upgrade and hijack ---- */

static void talk_raw(struct stream *s) {
    char got[64] = "";
    OK(stream_write(s, "hi", 2, soon()));
    OK(stream_shutdown_write(s, soon()));
    for (size_t n = 0;;) {
        struct str b;
        OK(stream_read(s, soon(), &b));
        if (b.n == 0)
            break;
        CHECK(n + b.n < sizeof(got));
        memcpy(got + n, b.p, b.n);
        n += b.n;
    }
    CHECK(strcmp(got, "first HIbye") == 0);
}

TEST(upgrade_and_hijack) {
    begin_with(2, 1);
    struct http_response *r;
    struct http_request req = {.method = "POST", .target = "/upgrade", .upgrade_tcp = true};
    OK(http_do(pool, &req, soon(), &r));
    CHECK(http_status(r) == 101);
    OK(fiber_sleep(5));
    struct stream *s = http_take_stream(r);
    http_close(r);
    expect("/hello", 200, "hello"); /* a taken stream counts no more */
    talk_raw(s);
    stream_close(s);
    req = (struct http_request){.method = "POST", .target = "/hijack"};
    OK(http_do(pool, &req, soon(), &r));
    CHECK(http_status(r) == 200);
    s = http_take_stream(r);
    http_close(r);
    talk_raw(s);
    stream_close(s);
    end();
    return NULL;
}

/* ---- pump ---- */

struct sink {
    struct http_response *r;
    size_t n, calls, ends;
    enum err_code code;
    struct latch done;
    int pause_every, close_at;
    struct timer resume;
};

static void do_resume(void *arg) {
    struct sink *k = arg;
    http_resume(k->r);
}

static void on_body(void *arg, struct str b, err_t e) {
    struct sink *k = arg;
    CHECK(!fiber_on_fiber() && k->ends == 0);
    k->calls++;
    k->n += b.n;
    if (b.n == 0 || e != NULL) {
        k->ends++;
        k->code = e ? e->code : 0;
        latch_down(&k->done);
    } else if (k->close_at == (int)k->calls) {
        http_close(k->r);
        latch_down(&k->done);
    } else if (k->pause_every && k->calls % (size_t)k->pause_every == 0) {
        http_pause(k->r);
        if (k->calls % 2)
            http_resume(k->r);
        else
            timer_start(&k->resume, k->calls % 3, 0);
    }
}

static struct sink pumped(const char *target, int pause_every, int close_at) {
    static struct sink k; /* outlives a late kick */
    k = (struct sink){.pause_every = pause_every, .close_at = close_at};
    latch_init(&k.done, 1);
    timer_init(&k.resume, do_resume, &k);
    struct http_request req = get(target);
    OK(http_do(pool, &req, soon(), &k.r));
    http_pump(k.r, on_body, &k);
    OK(latch_wait(&k.done, soon()));
    timer_close(&k.resume);
    if (!close_at)
        http_close(k.r);
    return k;
}

TEST(pumps_with_backpressure) {
    begin();
    struct sink k = pumped("/big/5000000", 0, 0);
    CHECK(k.n == 5000000 && k.ends == 1 && k.code == 0);
    k = pumped("/big/2000000", 1, 0);
    CHECK(k.n == 2000000 && k.ends == 1 && k.code == 0);
    k = pumped("/chunked", 1, 0);
    CHECK(k.n == 6 && k.calls == 3 && k.code == 0);
    k = pumped("/split", 1, 0);
    CHECK(k.n == 3 && k.ends == 1 && k.code == 0);
    k = pumped("/eof", 0, 0);
    CHECK(k.n == 13 && k.code == 0);
    k = pumped("/204", 0, 0);
    CHECK(k.n == 0 && k.ends == 1 && k.code == 0);
    k = pumped("/bad/cut", 0, 0);
    CHECK(k.n == 5 && k.ends == 1 && k.code == ERR_UPSTREAM_PROTOCOL);
    k = pumped("/endless-body", 3, 200);
    CHECK(k.calls == 200 && k.ends == 0);
    k = pumped("/chunked", 0, 1);
    CHECK(k.n == 5 && k.ends == 0);
    end();
    return NULL;
}

/* A paused pump must stop the server, not fill memory. */
TEST(pause_stops_the_socket) {
    begin();
    static struct sink k;
    k = (struct sink){.pause_every = 1000000};
    latch_init(&k.done, 1);
    struct http_request req = get("/endless-body");
    OK(http_do(pool, &req, soon(), &k.r));
    http_pump(k.r, on_body, &k);
    while (k.n == 0)
        OK(fiber_sleep(5));
    http_pause(k.r);
    size_t n = k.n;
    OK(fiber_sleep(50));
    CHECK(k.n == n && n > 0);
    http_resume(k.r);
    while (k.n == n)
        OK(fiber_sleep(5));
    http_close(k.r);
    end();
    return NULL;
}

/* ---- pool ---- */

static err_t fetch_slow(void *arg) {
    (void)arg;
    int status;
    struct str body;
    struct http_request req = get("/silent");
    return http_simple(pool, arena_current(), &req, 10, DEADLINE_NONE, &status, &body);
}

TEST(pool_is_bounded) {
    begin_with(1, 2);
    struct fiber *f[3];
    for (size_t i = 0; i < 3; i++)
        f[i] = fiber_spawn("slow", NULL, fetch_slow, NULL);
    for (int i = 0; i < 500 && opened < 2; i++)
        OK(fiber_sleep(2));
    OK(fiber_sleep(20));
    CHECK(opened == 2);
    int status;
    struct str body;
    struct http_request req = get("/hello");
    FAILS(ERR_TIMEOUT, http_simple(pool, arena_current(), &req, 10, loop_now() + 10, &status, &body));
    fiber_cancel(f[0]);
    FAILS(ERR_CANCELLED, fiber_join(f[0]));
    for (int i = 0; i < 500 && opened < 3; i++)
        OK(fiber_sleep(2));
    CHECK(opened == 3); /* the third one got its turn */
    for (size_t i = 1; i < 3; i++) {
        fiber_cancel(f[i]);
        FAILS(ERR_CANCELLED, fiber_join(f[i]));
    }
    expect("/hello", 200, "hello");
    end();
    return NULL;
}

TEST(pool_may_go_before_its_responses) {
    begin();
    struct http_response *r;
    struct http_request req = get("/hello");
    OK(http_do(pool, &req, soon(), &r));
    http_pool_free(pool);
    struct str body;
    OK(http_read_all(r, arena_current(), 100, soon(), &body));
    CHECK(str_eqz(body, "hello"));
    http_close(r);
    http_pool_free(NULL);
    http_close(NULL);
    proc_close(peer);
    return NULL;
}

TEST(connect_errors_pass_through) {
    begin();
    int good_port = port;
    port = 1;
    int status;
    struct str body;
    struct http_request req = get("/x?secret=1");
    err_t e = fetch(&req, &status, &body);
    FAILS(ERR_UNAVAILABLE, e);
    CHECK(strstr(e->message, "GET /x:") != NULL && strstr(e->message, "refused") != NULL &&
          strstr(e->message, "secret") == NULL);
    port = good_port;
    expect("/hello", 200, "hello");
    end();
    return NULL;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        LOOP_TEST(bodies_of_all_kinds),
        LOOP_TEST(requests_as_sent),
        LOOP_TEST(injection_is_refused),
        LOOP_TEST(hostile_responses),
        LOOP_TEST(stale_connections_are_retried_once),
        LOOP_TEST(close_without_reading_keeps_small_answers),
        LOOP_TEST(chunked_upload),
        LOOP_TEST(early_answer_to_a_large_body),
        LOOP_TEST(upgrade_and_hijack),
        LOOP_TEST(pumps_with_backpressure),
        LOOP_TEST(pause_stops_the_socket),
        LOOP_TEST(pool_is_bounded),
        LOOP_TEST(pool_may_go_before_its_responses),
        LOOP_TEST(connect_errors_pass_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
