/* A task, live: its state at each change and its log as it grows, until it ends. */
#include <stdio.h>
#include <stdlib.h>
#include "core/async/fiber.h"
#include "core/async/wait.h"
#include "core/base/check.h"
#include "handlers/guard.h"
#include "handlers/streams.h"
#include "handlers/tables.h"
#include "handlers/tasks.h"

enum { LOOK_MS = 500, LOG_PAGE = 200 };
#define WATCH_MAGIC 0x57544348u

struct watch {
    uint32_t magic;
    char id[UUID_LEN + 1];
    struct sink sink;
    struct stream_guard *guard;
    struct bus_sub *sub;
    struct cond news;
    int refs;
    bool changed, gone, slow;
    int64_t log_seq;
};

static void watch_unref(struct watch *w) {
    if (--w->refs > 0)
        return;
    cond_done(&w->news);
    free(w);
}

/* The connection is gone: the fiber learns it at its next look. */
static void drop(struct watch *w) {
    w->gone = true;
    w->sink = (struct sink){0};
    bus_unsubscribe(TAKE(w->sub));
    stream_guard_free(TAKE(w->guard));
    cond_broadcast(&w->news);
    watch_unref(w);
}

static void finish(struct watch *w, int code, const char *reason) {
    bool sse = w->sink.sse != NULL;
    sink_close(&w->sink, code, reason);
    if (sse)
        drop(w);
}

static void on_news(void *arg, const struct bus_event *e) {
    struct watch *w = MAGIC_CAST(arg, struct watch, WATCH_MAGIC);
    (void)e;
    w->changed = true;
    cond_signal(&w->news);
}
static void on_gap(void *arg) { on_news(arg, NULL); }
static void on_denied(void *arg, int code, const char *reason) {
    finish(MAGIC_CAST(arg, struct watch, WATCH_MAGIC), code, reason);
}

static void put(struct watch *w, const char *event, const char *id, struct buf *b) {
    size_t queued = b->failed || w->gone ? 0 : sink_send(&w->sink, event, id, buf_str(b));
    w->slow = w->slow || queued >= SINK_HIGH_WATER;
}

/* ---- the fiber ---- */

static err_t send_log(struct watch *w, bool *ret_more) {
    struct pg_result *res;
    TRY(pg_rows(platform()->db, arena_current(), SQL_TASKS_LOG,
                PG_ARGS(pg_uuid(w->id), pg_int(w->log_seq), pg_int(LOG_PAGE)), &res));
    for (size_t i = 0; i < res->rows && !w->gone; i++) {
        AUTO_BUF b;
        char id[24];
        (void)snprintf(id, sizeof(id), "%lld", (long long)pg_cell_int(res, i, 1, 0));
        buf_init(&b, 256, KIB(128));
        buf_puts(&b, "{\"type\":\"log\",");
        buf_puts(&b, pg_cell(res, i, 0) + 1);
        put(w, "log", id, &b);
        w->log_seq = pg_cell_int(res, i, 1, w->log_seq);
    }
    *ret_more = res->rows == LOG_PAGE;
    return NULL;
}

static err_t send_task(struct watch *w, bool *ret_ended) {
    struct pg_result *res;
    TRY(pg_rows(platform()->db, arena_current(), SQL_TASKS_JSON, PG_ARGS(pg_uuid(w->id)), &res));
    *ret_ended = true;
    if (res->rows == 0)
        return NULL;
    AUTO_BUF b;
    buf_init(&b, 1024, MIB(1));
    buf_putf(&b, "{\"type\":\"task\",\"task\":%s}", pg_cell(res, 0, 0));
    put(w, "task", NULL, &b);
    const char *state = pg_cell(res, 0, 1);
    *ret_ended = !z_eq(state, "queued") && !z_eq(state, "running");
    return NULL;
}

static err_t wait_drained(struct watch *w) {
    while (w->slow && !w->gone)
        TRY(cond_wait(&w->news, DEADLINE_NONE));
    return NULL;
}

static err_t look(struct watch *w, bool *ret_ended) {
    bool more = true;
    if (w->changed) {
        w->changed = false;
        TRY(send_task(w, ret_ended));
    }
    while (more && !w->gone) {
        TRY(wait_drained(w));
        TRY(send_log(w, &more));
    }
    return NULL;
}

static err_t walk(struct watch *w) {
    for (bool ended = false; !w->gone;) {
        struct arena_mark mark = arena_mark(arena_current());
        TRY(look(w, &ended));
        if (ended)
            return NULL;
        err_t e = w->changed || w->gone ? NULL : cond_wait(&w->news, deadline_in(LOOK_MS));
        if (e && e->code != ERR_TIMEOUT)
            return e;
        arena_rewind(arena_current(), mark);
    }
    return NULL;
}

static err_t run(void *arg) {
    struct watch *w = arg;
    err_t e = walk(w);
    if (!w->gone && e) {
        bool sse = w->sink.sse != NULL;
        sink_fail(&w->sink, e->code == ERR_CANCELLED ? 1012 : 1011, e);
        if (sse)
            drop(w);
    } else if (!w->gone) {
        (void)sink_send(&w->sink, "end", NULL, STR("{\"type\":\"end\",\"reason\":\"ended\"}"));
        finish(w, 1000, "the task has ended");
    }
    /* The fiber's own reference; drop() gave up the connection's. */
    watch_unref(w); /* NOLINT(clang-analyzer-unix.Malloc): it cannot count to two */
    return NULL;
}

/* ---- opening ---- */

static struct watch *watch_new(const struct request *r) {
    static const char *const topics[] = {"task.status"};
    const struct seen_task *t = r->resource;
    struct watch *w = calloc(1, sizeof(*w));
    CHECK(w != NULL);
    w->magic = WATCH_MAGIC;
    (void)snprintf(w->id, sizeof(w->id), "%s", t->id);
    cond_init(&w->news);
    w->refs = 1;
    w->changed = true;
    struct bus_filter f = {.topics = topics, .ntopics = 1, .object_kind = "task", .object_id = w->id};
    w->sub = bus_subscribe(platform()->bus, &f, on_news, on_gap, w);
    w->guard = stream_guard_new(r, PERM_TASK_READ, r->scope_id, on_denied, w);
    return w;
}

static void watch_go(struct watch *w) {
    w->refs++;
    fiber_spawn_detached("task.watch", NULL, run, w);
}

static void drained(struct watch *w) {
    w->slow = false;
    cond_signal(&w->news);
}
static void ws_drained(void *ctx, struct ws *ws) {
    (void)ws;
    drained(MAGIC_CAST(ctx, struct watch, WATCH_MAGIC));
}
static void ws_closed(void *ctx, int code) {
    (void)code;
    drop(MAGIC_CAST(ctx, struct watch, WATCH_MAGIC));
}
static void ws_message(void *ctx, struct ws *ws, enum ws_opcode op, struct str msg) {
    (void)ctx;
    (void)ws;
    (void)op;
    (void)msg;
}

static err_t task_ws(struct request *r, struct reply *out) {
    static const struct ws_callbacks cb = {.on_message = ws_message, .on_drained = ws_drained, .on_close = ws_closed};
    struct watch *w = watch_new(r);
    err_t e = ws_accept(r, out, &cb, w, &w->sink.ws);
    if (e)
        drop(w);
    else
        watch_go(w);
    return e;
}

static void sse_gone(void *arg) { drop(MAGIC_CAST(arg, struct watch, WATCH_MAGIC)); }
static void sse_drained(void *arg) { drained(MAGIC_CAST(arg, struct watch, WATCH_MAGIC)); }

static err_t task_sse(struct request *r, struct reply *out) {
    int64_t seq = 0;
    struct str last = request_header(r, "last-event-id");
    if (last.n && str_to_i64(last, 0, INT32_MAX, &seq))
        return err_field(err_new(ERR_BAD_REQUEST, "Last-Event-ID is a number of this stream"), "last-event-id");
    struct watch *w = watch_new(r);
    w->log_seq = seq;
    err_t e = reply_stream_begin(out, 200, "text/event-stream", sse_gone, w, &w->sink.sse);
    if (e) {
        drop(w);
        return e;
    }
    reply_stream_on_drained(w->sink.sse, sse_drained);
    watch_go(w);
    return NULL;
}

#define TASK(path, fn, flag, text)                                                                                     \
    ROUTE(GET, path, AUTH_PERMISSION, "task:read", fn, .resolve = resolve_task, .response_type = "text/event-stream",  \
          .flags = flag, .tag = "streams", .summary = text)
static const struct route rows[] = {
    TASK("/ws/v1/tasks/{id}", task_ws, ROUTE_WS, "A task and its log, live"),
    TASK("/ws/tasks/{id}", task_ws, ROUTE_WS, "Alias of /ws/v1/tasks/{id}"),
    TASK("/api/v1/tasks/{id}/stream", task_sse, ROUTE_SSE, "A task and its log as server-sent events"),
};
ROUTE_TABLE(ws_tasks_routes, rows);
