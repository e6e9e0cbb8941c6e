/* One connection in pipeline mode. Calls given in one turn of the loop are sent at its end: consecutive reads share a
 * sync (a failing one costs the others a second try, never a result), everything that writes has a sync of its own, so
 * that no error can roll back somebody else's work. Answers are routed by the FIFO; an abandoned call stays in it. */
#include <stdlib.h>
#include <string.h>
#include "core/async/work.h"
#include "core/obs/log.h"
#include "core/pg/pg_internal.h"

enum { PG_CONN_MAGIC = 0x70676331 };

static void on_flush(void *arg);
static void on_poll(void *arg, int status, int events);

void pg_conn_init(struct pg_conn *c, struct pg_pool *pool, size_t index, bool reserved) {
    c->magic = PG_CONN_MAGIC;
    c->pool = pool;
    c->index = index;
    c->reserved = reserved;
    list_init(&c->tosend);
    list_init(&c->fifo);
    c->prepared = calloc(SQL_COUNT + 1, sizeof(*c->prepared));
    CHECK(c->prepared != NULL);
}

static void watch(struct pg_conn *c, int events) {
    if (events != c->watching) {
        pg_poll_watch(c->poll, events);
        c->watching = events;
    }
}

void pg_conn_up(struct pg_conn *c, PGconn *raw) {
    c->c = raw;
    c->state = PG_CONN_CONNECTING;
    memset(c->prepared, 0, (SQL_COUNT + 1) * sizeof(*c->prepared));
    c->retire = false;
    c->reason[0] = '\0';
    c->watching = 0;
    c->cancel_at = 0;
    c->up_since = c->heard_at = loop_now();
    if (PQsetnonblocking(raw, 1) != 0 || PQenterPipelineMode(raw) != 1 ||
        (c->poll = pg_poll_new(PQsocket(raw), on_poll, c)) == NULL) {
        pg_conn_drop(c, "the connection could not be switched to pipeline mode");
        return;
    }
    watch(c, UV_READABLE); /* an idle connection must notice its end, too */
    c->state = PG_CONN_READY;
    c->pool->ready++;
}

/* ---- sending ---- */

static int send_prepare(struct pg_conn *c, struct pg_call *call) {
    struct pg_call *p = pg_call_new(PG_CALL_PREPARE);
    p->stmt = call->stmt;
    p->after = call;
    p->conn = c;
    const struct pg_stmt_def *def = &pg_stmt_defs[call->stmt];
    if (PQsendPrepare(c->c, def->name, def->text, 0, NULL) != 1) {
        pg_call_free(p);
        return 0;
    }
    c->prepared[call->stmt] = p->seq = ++c->seq; /* taken back when it fails */
    c->load++;
    list_add_tail(&c->fifo, &p->link);
    return 1;
}

static int send_call(struct pg_conn *c, struct pg_call *call) {
    enum { MAX_PARAMS = 64 };
    const char *values[MAX_PARAMS];
    size_t n = call->args != NULL ? call->args->n : 0;
    CHECK(n <= MAX_PARAMS);
    for (size_t i = 0; i < n; i++) {
        const struct pg_arg *a = &call->args->v[i];
        values[i] = a->text != NULL ? a->text : a->num[0] != '\0' ? a->num : NULL;
    }
    c->pool->queries++;
    if (call->kind == PG_CALL_SQL)
        return PQsendQueryParams(c->c, call->sql, (int)n, NULL, values, NULL, NULL, 0);
    if (c->prepared[call->stmt] == 0 && !send_prepare(c, call))
        return 0;
    call->seq = ++c->seq;
    return PQsendQueryPrepared(c->c, pg_stmt_defs[call->stmt].name, (int)n, values, NULL, NULL, 0);
}

static bool may_share(const struct pg_conn *c, const struct pg_call *a, size_t grouped) {
    if (list_empty(&c->tosend) || grouped >= PG_GROUP || !a->read_only || a->alone || c->pinned != NULL)
        return false;
    const struct pg_call *b = list_entry(c->tosend.next, struct pg_call, link);
    return b->read_only && !b->alone;
}

static void drop_by_libpq(struct pg_conn *c) {
    char why[PG_REASON];
    pg_reason(why, PQerrorMessage(c->c));
    pg_conn_drop(c, why);
}

/** PQflush and watch for what is needed next. False: the connection was dropped. */
static bool flush(struct pg_conn *c) {
    int r = PQflush(c->c);
    if (r < 0) {
        drop_by_libpq(c);
        return false;
    }
    watch(c, r == 1 ? UV_READABLE | UV_WRITABLE : UV_READABLE);
    return true;
}

static void on_flush(void *arg) {
    struct pg_conn *c = MAGIC_CAST(arg, struct pg_conn, PG_CONN_MAGIC);
    if (c->state != PG_CONN_READY)
        return;
    size_t grouped = 0;
    if (list_empty(&c->fifo))
        c->heard_at = loop_now();
    for (struct list *l; (l = list_pop(&c->tosend)) != NULL;) {
        struct pg_call *call = list_entry(l, struct pg_call, link);
        int ok = send_call(c, call);
        list_add_tail(&c->fifo, &call->link);
        call->sync_after = !may_share(c, call, ++grouped);
        call->ended = false;
        call->sent = true;
        if (ok && call->sync_after) {
            ok = PQpipelineSync(c->c);
            grouped = 0;
        }
        if (!ok) {
            drop_by_libpq(c);
            return;
        }
    }
    pg_pool_watch_start(c->pool);
    flush(c);
}

void pg_conn_submit(struct pg_conn *c, struct pg_call *call) {
    CHECK(c->state == PG_CONN_READY);
    call->conn = c;
    call->sent = false;
    c->load++;
    list_add_tail(&c->tosend, &call->link);
    loop_defer(&c->flush, on_flush, c);
}

/* ---- receiving ---- */

static void again(struct pg_conn *c, struct pg_call *call) {
    pg_call_reset(call);
    call->resends++;
    call->alone = true;
    pg_conn_submit(c, call);
}

static bool state_is(const PGresult *res, const char *state) {
    const char *s = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    return s != NULL && strcmp(s, state) == 0;
}

/** A failure that says nothing about this call: a neighbour's error, a plan that is gone, a cancel meant for another.
 * */
static bool innocent(struct pg_conn *c, struct pg_call *call) {
    if (call->res == NULL || call->fiber == NULL || call->resends >= PG_RESENDS || call->in_tx ||
        call->prepare_error != NULL)
        return false;
    switch (PQresultStatus(call->res)) {
    case PGRES_PIPELINE_ABORTED:
        return true; /* nothing of it ran */
    case PGRES_FATAL_ERROR:
        if (call->kind == PG_CALL_STMT && state_is(call->res, "26000")) {
            if (c->prepared[call->stmt] < call->seq) /* else it was prepared again meanwhile */
                c->prepared[call->stmt] = 0;
            return true;
        }
        return c->cancel_at != 0 && state_is(call->res, "57014");
    default:
        return false;
    }
}

static bool failed(const PGresult *res) {
    return res == NULL || PQresultStatus(res) == PGRES_FATAL_ERROR || PQresultStatus(res) == PGRES_PIPELINE_ABORTED;
}

/** The statement itself will only say "aborted", so it gets the reason. "Exists already" is success: two calls prepared
 * it. */
static void finish_prepare(struct pg_conn *c, struct pg_call *call) {
    if (failed(call->res) && !(call->res != NULL && state_is(call->res, "42P05"))) {
        if (c->prepared[call->stmt] == call->seq)
            c->prepared[call->stmt] = 0;
        if (call->res != NULL && PQresultStatus(call->res) == PGRES_FATAL_ERROR) {
            call->after->prepare_error = call->res;
            call->res = NULL;
        }
    }
    pg_call_free(call);
}

/** False: the connection was dropped. */
static bool finish(struct pg_conn *c, struct pg_call *call) {
    list_del(&call->link);
    c->load--;
    if (call->kind == PG_CALL_PREPARE) {
        finish_prepare(c, call);
        return true;
    }
    if (call->kind == PG_CALL_STMT && call->res != NULL && state_is(call->res, "0A000"))
        c->retire = true; /* "cached plan must not change result type": a migration ran */
    if (innocent(c, call)) {
        again(c, call);
        return true;
    }
    bool broken = call->must_succeed && failed(call->res);
    if (failed(call->res))
        c->pool->errors++;
    pg_call_done(call, PG_END_RESULT, NULL);
    if (broken)
        pg_conn_drop(c, "a transaction could not be begun or rolled back");
    return !broken;
}

static void note_fatal(struct pg_conn *c, const PGresult *res) {
    if (!pg_state_is_fatal(PQresultErrorField(res, PG_DIAG_SQLSTATE)))
        return;
    c->retire = true;
    pg_reason(c->reason, PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY));
}

static bool out_of_order(struct pg_conn *c) {
    pg_conn_drop(c, "the database answered out of order");
    return false;
}

/** One result of libpq for the call at the head. False: the connection was dropped. */
static bool take(struct pg_conn *c, struct pg_call *head, PGresult *res) {
    if (res == NULL) {
        if (head->ended || head->res == NULL)
            return out_of_order(c);
        head->ended = true;
        return head->sync_after || finish(c, head);
    }
    if (PQresultStatus(res) == PGRES_PIPELINE_SYNC) {
        PQclear(res);
        if (!head->ended || !head->sync_after)
            return out_of_order(c);
        bool ok = finish(c, head);
        c->cancel_at = 0;
        return ok;
    }
    if (head->res != NULL) {
        PQclear(res); /* a statement gives one result; COPY is not for this connection */
        return true;
    }
    head->res = res;
    note_fatal(c, res);
    return true;
}

/** Take results while there are any. False: the connection was dropped. */
static bool drain(struct pg_conn *c) {
    while (!list_empty(&c->fifo) && !PQisBusy(c->c)) {
        if (PQstatus(c->c) == CONNECTION_BAD) {
            drop_by_libpq(c);
            return false;
        }
        if (!take(c, list_entry(c->fifo.next, struct pg_call, link), PQgetResult(c->c)))
            return false;
    }
    return true;
}

static void on_poll(void *arg, int status, int events) {
    struct pg_conn *c = MAGIC_CAST(arg, struct pg_conn, PG_CONN_MAGIC);
    if (status < 0) {
        pg_conn_drop(c, uv_strerror(status));
        return;
    }
    if (events & UV_READABLE) {
        c->heard_at = loop_now();
        if (PQconsumeInput(c->c) != 1) {
            drop_by_libpq(c);
            return;
        }
    }
    if (!flush(c) || !drain(c))
        return;
    if (c->retire && c->load == 0 && c->pinned == NULL) {
        pg_conn_drop(c, "renewed");
        return;
    }
    pg_pool_pump(c->pool);
}

/* ---- the end ---- */

static void lose(struct pg_conn *c, struct list *from, enum pg_call_end end, const char *reason) {
    for (struct list *l; (l = list_pop(from)) != NULL;) {
        struct pg_call *call = list_entry(l, struct pg_call, link);
        c->load--;
        if (call->kind == PG_CALL_PREPARE) {
            pg_call_free(call);
            continue;
        }
        bool server_said = call->res != NULL && PQresultStatus(call->res) == PGRES_FATAL_ERROR;
        bool retry = (call->read_only || end == PG_END_UNSENT) && call->fiber != NULL && call->resends < 2 &&
                     !call->in_tx && !c->pool->closing;
        if (retry)
            pg_pool_requeue(c->pool, call);
        else
            pg_call_done(call, server_said ? PG_END_RESULT : end, reason);
    }
}

void pg_conn_drop(struct pg_conn *c, const char *reason) {
    if (c->c == NULL)
        return;
    char why[PG_REASON];
    pg_reason(why,
              c->retire && c->reason[0] != '\0' ? c->reason : reason); /* the server's own words are the better ones */
    memcpy(c->reason, why, sizeof(why));
    memcpy(c->pool->reason, why, sizeof(why));
    if (c->state == PG_CONN_READY)
        c->pool->ready--;
    c->state = PG_CONN_DOWN;
    loop_defer_cancel(&c->flush);
    pg_poll_close(c->poll); /* before the descriptor: its number may be used again at once */
    c->poll = NULL;
    PQfinish(c->c);
    c->c = NULL;
    lose(c, &c->fifo, PG_END_LOST, why);
    lose(c, &c->tosend, PG_END_UNSENT, why);
    if (c->pinned != NULL) {
        c->pinned->pinned = NULL;
        c->pinned = NULL;
    }
    if (c->main != NULL)
        fiber_wake(c->main);
    pg_pool_pump(c->pool);
}

void pg_conn_unpin(struct pg_conn *c) {
    c->pinned = NULL;
    if (c->retire && c->load == 0)
        pg_conn_drop(c, "renewed");
    else
        pg_pool_pump(c->pool);
}

/* ---- watching ---- */

struct cancel_box {
    PGcancel *cancel;
};

static void cancel_run(void *arg) {
    struct cancel_box *b = arg;
    char why[256];
    (void)PQcancel(b->cancel, why, sizeof(why)); /* best effort: the statement timeout ends it otherwise */
}

static void cancel_free(void *arg) {
    struct cancel_box *b = arg;
    PQfreeCancel(b->cancel);
    free(b);
}

struct cancel_job {
    struct pg_pool *pool;
    struct cancel_box *box;
};

static err_t cancel_fiber(void *arg) {
    struct cancel_job *j = arg;
    err_t e = work_run(WORK_GENERAL, cancel_run, j->box, cancel_free, NULL, deadline_in(SECONDS(5)));
    if (e == NULL || err_is(e, ERR_BUSY))
        cancel_free(j->box);
    j->pool->cancelling = false;
    pg_pool_unref(j->pool);
    free(j);
    return NULL;
}

/** PQcancel connects and waits: in a lane, one at a time. */
static void cancel_head(struct pg_conn *c) {
    PGcancel *cancel = PQgetCancel(c->c);
    if (cancel == NULL)
        return;
    struct cancel_job *j = calloc(1, sizeof(*j));
    struct cancel_box *box = calloc(1, sizeof(*box));
    CHECK(j != NULL && box != NULL);
    box->cancel = cancel;
    *j = (struct cancel_job){.pool = c->pool, .box = box};
    c->pool->refs++;
    c->pool->cancelling = true;
    c->cancel_at = loop_now();
    fiber_spawn_detached("pg-cancel", NULL, cancel_fiber, j);
}

void pg_conn_watch(struct pg_conn *c) {
    if (c->state != PG_CONN_READY || list_empty(&c->fifo))
        return;
    uint64_t quiet = loop_now() - c->heard_at, limit = c->pool->statement_timeout_ms + PG_SILENCE_MS;
    if (quiet > limit) {
        LOG(WARNING, "db.silent", KV_INT("ms", quiet), KV_INT("conn", c->index));
        pg_conn_drop(c, "the database stopped answering");
        return;
    }
    const struct pg_call *head = list_entry(c->fifo.next, struct pg_call, link);
    if (head->fiber == NULL && head->kind != PG_CALL_PREPARE && quiet > PG_CANCEL_AFTER_MS && c->cancel_at == 0 &&
        !c->pool->cancelling)
        cancel_head(c);
}
