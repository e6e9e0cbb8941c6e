/* Costs of the small things that everything else is made of; one JSON line, in processor time. Each runs for about half a second. */
#include <stdio.h>
#include <time.h>
#include "core/async/fiber.h"
#include "core/async/loop.h"
#include "core/base/check.h"
#include "core/base/json.h"
#include "core/docker/stream.h"
#include "server/router.h"

enum { RUN_US = 500000, AREAS = 24, AREA_ROUTES = 5 };

typedef void bench_fn(void *arg);

/* Time of this process on a processor: other work on the machine does not count. */
static uint64_t cpu_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static double ns_per(bench_fn *fn, void *arg) {
    uint64_t began = cpu_us(), now = began, n = 0;
    do {
        for (int i = 0; i < 16; i++)
            fn(arg);
        n += 16;
        now = cpu_us();
    } while (now - began < RUN_US);
    return (double)(now - began) * 1000 / (double)n;
}

/* ---- JSON ---- */

static struct str document(struct arena *a, size_t objects) {
    AUTO_BUF b;
    buf_init(&b, 0, MIB(16));
    buf_putc(&b, '[');
    for (size_t i = 0; i < objects; i++)
        buf_putf(
            &b,
            "%s{\"Id\":\"%064zx\",\"Names\":[\"/shop-web-%zu\"],\"Image\":\"registry.example.com/team/web:1.%zu\",\"Created\":17900000%02zu,"
            "\"State\":\"running\",\"Status\":\"Up 3 minutes (healthy)\",\"Labels\":{\"com.docker.compose.project\":\"shop\","
            "\"com.docker.compose.service\":\"web\",\"note\":\"line\\nwith \\u00e9 and \\\"quotes\\\"\"},\"SizeRw\":12.5,\"x\":[1,2,3,true,null]}",
            i ? "," : "", i, i, i, i % 100);
    buf_putc(&b, ']');
    return str_dup(a, buf_str(&b));
}

static void parse(void *arg) {
    struct arena *a = arena_new("bench", 0);
    struct json *j;
    err_t e = json_parse(a, *(struct str *)arg, &(struct json_limits){.max_bytes = MIB(16), .trusted = true}, &j);
    CHECK(e == NULL);
    arena_unref(a);
}

static void write_json(void *arg) {
    AUTO_BUF b;
    buf_init(&b, KIB(64), MIB(16));
    json_write(&b, arg);
    CHECK(!b.failed);
}

/* ---- router ---- */

static err_t handler(struct request *r, struct reply *out) {
    (void)r;
    (void)out;
    return NULL;
}

static void register_routes(struct arena *a) {
    static const char *const shapes[AREA_ROUTES] = {"", "/{id}", "/{id}/sync", "/{id}/deployments",
                                                    "/{id}/members/{member}"};
    struct route *rows = arena_new_array(a, struct route, AREAS * AREA_ROUTES);
    for (size_t i = 0; i < AREAS * AREA_ROUTES; i++)
        rows[i] =
            (struct route){.method = HTTP_GET,
                           .pattern = arena_printf(a, "/api/v1/area%zu%s", i / AREA_ROUTES, shapes[i % AREA_ROUTES]),
                           .auth = AUTH_PUBLIC,
                           .handler = handler,
                           .tag = "bench",
                           .summary = "bench"};
    routes_register(rows, AREAS * AREA_ROUTES);
}

static void match(void *arg) {
    (void)arg;
    struct route_match m;
    router_match(HTTP_GET, STR("/api/v1/area17/0190b0f4-0000-7000-8000-000000000000/deployments"), &m);
    CHECK(m.route != NULL);
}

/* ---- engine stream ---- */

static err_t on_line(void *arg, const struct log_line *l) {
    *(size_t *)arg += l->text.n;
    return NULL;
}

struct demux {
    struct str bytes;
    size_t out;
    struct log_joiner joiner;
};
static err_t on_piece(void *arg, enum mux_type type, struct str piece, bool first) {
    struct demux *d = arg;
    return log_joiner_feed(&d->joiner, type, piece, first, on_line, &d->out);
}

static void demux(void *arg) {
    struct demux *d = arg;
    struct mux m;
    mux_init(&m, false);
    err_t e = mux_feed(&m, d->bytes, on_piece, d);
    CHECK(e == NULL);
}

static struct str frames(struct arena *a, size_t lines) {
    static const char line[] =
        "2026-01-02T03:04:05.678901234Z GET /shop/items/17 200 12ms user=ada request=0190b0f4-0000 some more text here\n";
    AUTO_BUF b;
    buf_init(&b, 0, MIB(16));
    for (size_t i = 0; i < lines; i++) {
        const char head[8] = {1, 0, 0, 0, 0, 0, 0, (char)(sizeof(line) - 1)};
        buf_put(&b, head, sizeof(head));
        buf_put(&b, line, sizeof(line) - 1);
    }
    return str_dup(a, buf_str(&b));
}

/* ---- fibers ---- */

static err_t yields(void *arg) {
    uint64_t *n = arg;
    for (uint64_t until = cpu_us() + RUN_US; cpu_us() < until;)
        for (int i = 0; i < 64; i++, (*n)++)
            TRY(fiber_yield());
    return NULL;
}

static err_t nothing(void *arg) {
    (void)arg;
    return NULL;
}

static err_t fibers(void *arg) {
    double *ret = arg;
    uint64_t n[2] = {0}, began = cpu_us();
    struct fiber *one = fiber_spawn("a", NULL, yields, &n[0]), *two = fiber_spawn("b", NULL, yields, &n[1]);
    TRY(fiber_join(one));
    TRY(fiber_join(two));
    ret[0] = (double)(cpu_us() - began) * 1000 / (double)(n[0] + n[1]);
    uint64_t spawned = 0;
    for (began = cpu_us(); cpu_us() - began < RUN_US; spawned += 1)
        TRY(fiber_join(fiber_spawn("c", NULL, nothing, NULL)));
    ret[1] = (double)(cpu_us() - began) * 1000 / (double)spawned;
    return NULL;
}

int main(void) {
    AUTO(arena) a = arena_new("main", 0);
    (void)arena_set_current(a);
    struct str doc = document(a, 200);
    struct json *tree;
    err_t e = json_parse(a, doc, &(struct json_limits){.max_bytes = MIB(16)}, &tree);
    CHECK(e == NULL);
    double parse_ns = ns_per(parse, &doc), write_ns = ns_per(write_json, tree);
    register_routes(a);
    double match_ns = ns_per(match, NULL);
    struct demux d = {.bytes = frames(a, 5000)};
    log_joiner_init(&d.joiner, false);
    double demux_ns = ns_per(demux, &d), f[2] = {0};
    log_joiner_done(&d.joiner);
    loop_init();
    e = loop_run_fiber("bench", fibers, f);
    CHECK(e == NULL);
    loop_fini();
    printf(
        "{\"json_parse_mb_s\":%.0f,\"json_write_mb_s\":%.0f,\"router_match_ns\":%.0f,\"demux_mb_s\":%.0f,\"demux_lines_s\":%.0f,"
        "\"fiber_yield_ns\":%.0f,\"fiber_spawn_join_ns\":%.0f}\n",
        (double)doc.n * 1e3 / parse_ns, (double)doc.n * 1e3 / write_ns, match_ns, (double)d.bytes.n * 1e3 / demux_ns,
        5000 * 1e9 / demux_ns, f[0], f[1]);
    return 0;
}
