/* What the stack can do with nothing on top: h2o on one libuv loop answering fixed bytes, or the result of one prepared query
 * by libpq in pipeline mode (one sync and flush per connection and loop turn). The measure for ./dev bench.
 *
 *   df-bench-bare PORT [PG_URL SQL_ONE SQL_LIST]
 *
 * GET /headed answers the same with the header fields that the product sends with everything; GET /live answers "{"status":"ok"}"; GET /one/<value> gives <value> to SQL_ONE and answers the first cell;
 * GET /list answers the first cells of SQL_LIST as {"items":[...]}. */
#include <h2o.h>
#include <libpq-fe.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { CONNS = 4, RING = 8192, VALUE_MAX = 40 };

struct ask;
struct link { /* in the request's pool: its disposal tells that the client is gone */
    struct ask *ask;
};
struct ask {        /* one query in flight */
    h2o_req_t *req; /* NULL: gone */
    struct link *link;
    bool list;
    char value[VALUE_MAX];
};
struct db {
    PGconn *pg;
    uv_poll_t poll;
    struct ask *ring[RING];
    unsigned head, tail;
    bool dirty;
    bool writing;
};
struct conn {
    uv_tcp_t tcp;
};

static h2o_globalconf_t conf;
static h2o_context_t ctx;
static h2o_accept_ctx_t accept_ctx;
static struct db dbs[CONNS];
static unsigned next_db;
static bool have_db;

static void die(const char *what) {
    fprintf(stderr, "bare: %s\n", what);
    exit(1);
}

/* ---- answers ---- */

static void answer(h2o_req_t *req, const char *body, size_t n) {
    h2o_generator_t generator = {NULL, NULL};
    h2o_iovec_t out = {h2o_mem_alloc_pool(&req->pool, n), n};
    memcpy(out.base, body, n);
    req->res.status = 200;
    req->res.reason = "OK";
    req->res.content_length = n;
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, H2O_STRLIT("application/json"));
    h2o_start_response(req, &generator);
    h2o_send(req, &out, 1, H2O_SEND_STATE_FINAL);
}

static void answer_list(h2o_req_t *req, PGresult *res) {
    int rows = PQntuples(res);
    size_t n = 12;
    for (int i = 0; i < rows; i++)
        n += (size_t)PQgetlength(res, i, 0) + 1;
    char *text = malloc(n), *p = text;
    memcpy(p, "{\"items\":[", 10);
    p += 10;
    for (int i = 0; i < rows; i++) {
        if (i)
            *p++ = ',';
        memcpy(p, PQgetvalue(res, i, 0), (size_t)PQgetlength(res, i, 0));
        p += PQgetlength(res, i, 0);
    }
    *p++ = ']';
    *p++ = '}';
    answer(req, text, (size_t)(p - text));
    free(text);
}

/* ---- database ---- */

static void on_db(uv_poll_t *handle, int status, int events);

static void flush_db(struct db *d) {
    int left = PQflush(d->pg);
    if (left < 0)
        die(PQerrorMessage(d->pg));
    if ((left == 1) != d->writing) {
        d->writing = left == 1;
        uv_poll_start(&d->poll, UV_READABLE | (d->writing ? UV_WRITABLE : 0), on_db);
    }
}

static void on_result(struct db *d, PGresult *res) {
    ExecStatusType s = PQresultStatus(res);
    if (s == PGRES_PIPELINE_SYNC)
        return;
    if (s != PGRES_TUPLES_OK)
        die(PQresultErrorMessage(res));
    struct ask *q = d->ring[d->head++ % RING];
    if (q->req)
        q->link->ask = NULL;
    if (q->req && q->list)
        answer_list(q->req, res);
    else if (q->req && PQntuples(res) == 1)
        answer(q->req, PQgetvalue(res, 0, 0), (size_t)PQgetlength(res, 0, 0));
    else if (q->req)
        h2o_send_error_404(q->req, "Not Found", "no such row", 0);
    free(q);
}

static void on_db(uv_poll_t *handle, int status, int events) {
    struct db *d = handle->data;
    if (status < 0)
        die("database socket");
    if ((events & UV_READABLE) && !PQconsumeInput(d->pg))
        die(PQerrorMessage(d->pg));
    flush_db(d);
    /* NULL ends one query, and is also what libpq says when nothing is left: three in a row are the end. */
    for (int nulls = 0; nulls < 3 && !PQisBusy(d->pg);) {
        PGresult *res = PQgetResult(d->pg);
        nulls = res ? 0 : nulls + 1;
        if (res)
            on_result(d, res);
        PQclear(res);
    }
}

/* Once per loop turn, before it sleeps: everything asked meanwhile goes out together. */
static void on_turn(uv_prepare_t *prepare) {
    (void)prepare;
    for (int i = 0; i < CONNS; i++) {
        if (!dbs[i].dirty)
            continue;
        dbs[i].dirty = false;
        if (!PQpipelineSync(dbs[i].pg))
            die(PQerrorMessage(dbs[i].pg));
        flush_db(&dbs[i]);
    }
}

static void prepare_statement(PGconn *pg, const char *name, const char *sql) {
    PGresult *res = PQprepare(pg, name, sql, 0, NULL);
    if (PQresultStatus(res) != PGRES_COMMAND_OK)
        die(PQresultErrorMessage(res));
    PQclear(res);
}

static void open_db(struct db *d, uv_loop_t *loop, const char *url, char **sql) {
    d->pg = PQconnectdb(url);
    if (PQstatus(d->pg) != CONNECTION_OK)
        die(PQerrorMessage(d->pg));
    prepare_statement(d->pg, "one", sql[0]);
    prepare_statement(d->pg, "list", sql[1]);
    if (PQsetnonblocking(d->pg, 1) != 0 || !PQenterPipelineMode(d->pg))
        die("pipeline mode");
    uv_poll_init(loop, &d->poll, PQsocket(d->pg));
    d->poll.data = d;
    uv_poll_start(&d->poll, UV_READABLE, on_db);
}

static void on_gone(void *arg) {
    struct link *link = arg;
    if (link->ask)
        link->ask->req = NULL;
}

static int ask(h2o_req_t *req, bool list) {
    struct db *d = &dbs[next_db++ % CONNS];
    if (!have_db || d->tail - d->head == RING)
        return -1;
    struct ask *q = calloc(1, sizeof(*q));
    q->link = h2o_mem_alloc_shared(&req->pool, sizeof(*q->link), on_gone);
    q->link->ask = q;
    q->req = req;
    q->list = list;
    size_t n = list ? 0 : req->path_normalized.len - 5;
    memcpy(q->value, req->path_normalized.base + 5, n < VALUE_MAX - 1 ? n : VALUE_MAX - 1);
    const char *params[] = {q->value};
    if (!PQsendQueryPrepared(d->pg, list ? "list" : "one", list ? 0 : 1, params, NULL, NULL, 0))
        die(PQerrorMessage(d->pg));
    d->ring[d->tail++ % RING] = q;
    d->dirty = true;
    return 0;
}

/* ---- HTTP ---- */

/* The product's fields (server/reply.c), the same way: names that are no tokens, one value that never repeats */
static void add_fields(h2o_req_t *req) {
    static const char *const fields[][2] = {
        {"x-content-type-options", "nosniff"},
        {"x-frame-options", "DENY"},
        {"referrer-policy", "no-referrer"},
        {"cross-origin-opener-policy", "same-origin"},
        {"cross-origin-resource-policy", "same-origin"},
        {"content-security-policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"},
    };
    static unsigned long long serial;
    char id[40];
    int n = snprintf(id, sizeof(id), "00000000-0000-7000-8000-%012llu", ++serial % 1000000000000ULL);
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        h2o_add_header_by_str(&req->pool, &req->res.headers, fields[i][0], strlen(fields[i][0]), 0, NULL, fields[i][1],
                              strlen(fields[i][1]));
    h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("x-request-id"), 0, NULL,
                          h2o_strdup(&req->pool, id, (size_t)n).base, (size_t)n);
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CACHE_CONTROL, NULL, H2O_STRLIT("no-store"));
}

static int on_req(h2o_handler_t *self, h2o_req_t *req) {
    (void)self;
    static const char live[] = "{\"status\":\"ok\"}";
    h2o_iovec_t p = req->path_normalized;
    bool headed = h2o_memis(p.base, p.len, H2O_STRLIT("/headed"));
    if (headed)
        add_fields(req);
    if (headed || h2o_memis(p.base, p.len, H2O_STRLIT("/live"))) {
        answer(req, live, sizeof(live) - 1);
        return 0;
    }
    if (h2o_memis(p.base, p.len, H2O_STRLIT("/list")))
        return ask(req, true);
    return p.len > 5 && memcmp(p.base, "/one/", 5) == 0 ? ask(req, false) : -1;
}

static void on_closed(uv_handle_t *tcp) { free(tcp); }

static void on_connection(uv_stream_t *listener, int status) {
    if (status != 0)
        return;
    uv_tcp_t *tcp = calloc(1, sizeof(*tcp));
    uv_tcp_init(listener->loop, tcp);
    if (uv_accept(listener, (uv_stream_t *)tcp) != 0) {
        uv_close((uv_handle_t *)tcp, on_closed);
        return;
    }
    uv_tcp_nodelay(tcp, 1);
    h2o_accept(&accept_ctx, h2o_uv_socket_create((uv_stream_t *)tcp, on_closed));
}

static void listen_on(uv_loop_t *loop, int port) {
    static uv_tcp_t listener;
    struct sockaddr_in sa;
    uv_ip4_addr("127.0.0.1", port, &sa);
    uv_tcp_init(loop, &listener);
    if (uv_tcp_bind(&listener, (struct sockaddr *)&sa, 0) != 0 ||
        uv_listen((uv_stream_t *)&listener, 1024, on_connection) != 0)
        die("cannot listen");
}

int main(int argc, char **argv) {
    if (argc != 2 && argc != 5)
        die("usage: df-bench-bare PORT [PG_URL SQL_ONE SQL_LIST]");
    signal(SIGPIPE, SIG_IGN);
    uv_loop_t *loop = uv_default_loop();
    h2o_config_init(&conf);
    h2o_hostconf_t *host = h2o_config_register_host(&conf, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    h2o_pathconf_t *path = h2o_config_register_path(host, "/", 0);
    h2o_create_handler(path, sizeof(h2o_handler_t))->on_req = on_req;
    h2o_context_init(&ctx, loop, &conf);
    accept_ctx.ctx = &ctx;
    accept_ctx.hosts = conf.hosts;
    if (argc == 5) {
        have_db = true;
        for (int i = 0; i < CONNS; i++)
            open_db(&dbs[i], loop, argv[2], argv + 3);
        static uv_prepare_t turn;
        uv_prepare_init(loop, &turn);
        uv_prepare_start(&turn, on_turn);
    }
    listen_on(loop, (int)strtol(argv[1], NULL, 10));
    puts("ready");
    fflush(stdout);
    return uv_run(loop, UV_RUN_DEFAULT);
}
