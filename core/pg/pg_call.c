/* What callers use: run a statement, wait, turn the answer into rows or an error. */
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "core/obs/log.h"
#include "core/obs/metrics.h"
#include "core/pg/pg_internal.h"

/* ---- arguments and results ---- */

struct pg_arg pg_text(const char *z) {
    return (struct pg_arg){.text = z};
}

struct pg_arg pg_int(int64_t i) {
    struct pg_arg a = {.text = NULL};
    snprintf(a.num, sizeof(a.num), "%lld", (long long)i);
    return a;
}

struct pg_arg pg_bool(bool b) {
    return pg_text(b ? "t" : "f");
}

const char *pg_cell(const struct pg_result *r, size_t row, size_t col) {
    CHECK(row < r->rows && col < r->cols);
    return r->cells[row * r->cols + col].p;
}

int64_t pg_cell_int(const struct pg_result *r, size_t row, size_t col, int64_t dflt) {
    const char *z = pg_cell(r, row, col);
    int64_t i;
    if (z == NULL || str_to_i64(r->cells[row * r->cols + col], INT64_MIN, INT64_MAX, &i) != NULL)
        return dflt;
    return i;
}

bool pg_cell_bool(const struct pg_result *r, size_t row, size_t col) {
    const char *z = pg_cell(r, row, col);
    return z != NULL && z[0] == 't';
}

static void clear_result(void *res) { PQclear(res); }

static int64_t affected_of(PGresult *res) {
    int64_t n;
    struct str s = str_of(PQcmdTuples(res));
    return s.n > 0 && str_to_i64(s, 0, INT64_MAX, &n) == NULL ? n : 0;
}

struct pg_result *pg_result_take(struct arena *a, PGresult *res) {
    arena_on_free(a, clear_result, res);
    struct pg_result *r = arena_new_obj(a, struct pg_result);
    r->rows = (size_t)PQntuples(res);
    r->cols = (size_t)PQnfields(res);
    r->affected = affected_of(res);
    r->cells = arena_new_array(a, struct str, r->rows * r->cols + 1);
    for (size_t i = 0; i < r->rows; i++)
        for (size_t j = 0; j < r->cols; j++)
            if (!PQgetisnull(res, (int)i, (int)j))
                r->cells[i * r->cols + j] =
                    str_n(PQgetvalue(res, (int)i, (int)j), (size_t)PQgetlength(res, (int)i, (int)j));
    return r;
}

/* ---- calls ---- */

enum { SPARE_MAX = 512 };
static struct list spare;
static size_t nspare;

struct pg_call *pg_call_new(enum pg_call_kind kind) {
    struct list *l = list_empty(&spare) ? NULL : list_pop(&spare);
    struct pg_call *c = l != NULL ? list_entry(l, struct pg_call, link) : malloc(sizeof(*c));
    CHECK(c != NULL);
    if (l != NULL)
        nspare--;
    *c = (struct pg_call){.kind = kind};
    return c;
}

void pg_call_reset(struct pg_call *c) {
    PQclear(c->res); /* NULL is fine */
    PQclear(c->prepare_error);
    c->res = c->prepare_error = NULL;
}

void pg_call_free(struct pg_call *c) {
    pg_call_reset(c);
    if (nspare >= SPARE_MAX || ARENA_DEBUG) {
        free(c);
        return;
    }
    if (spare.next == NULL)
        list_init(&spare);
    nspare++;
    list_add_tail(&spare, &c->link);
}

void pg_call_done(struct pg_call *c, enum pg_call_end end, const char *reason) {
    c->end = end;
    c->conn = NULL;
    if (reason != NULL)
        pg_reason(c->reason, reason);
    if (c->fiber == NULL)
        pg_call_free(c);
    else
        fiber_wake(c->fiber);
}

/** Words that make a statement more than a read; wrongly found ones only cost a sync of its own. */
static bool is_read(const char *sql) {
    static const char *const words[] = {"for update", "for no key", "for share", "for key",  "insert ", "update ",
                                        "delete ",    "merge ",     "pg_",       "df_scope", "nextval", "setval",
                                        "set_config", "lo_",        "into ",     "sleep",    "dblink"};
    while (*sql == ' ' || *sql == '\n')
        sql++;
    if (strncasecmp(sql, "select", 6) != 0)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcasestr(sql, words[i]) != NULL)
            return false;
    return true;
}

static bool stmt_is_read(enum stmt stmt) {
    static uint8_t known[SQL_COUNT + 1]; /* 0 not looked at, 1 no, 2 yes */
    if (known[stmt] == 0)
        known[stmt] = is_read(pg_stmt_defs[stmt].text) ? 2 : 1;
    return known[stmt] == 2;
}

static err_t start(struct pg *db, struct pg_call *call) {
    struct pg_pool *p = db->pool;
    if (db->in_tx) {
        if (db->pinned == NULL)
            return pg_pool_unavailable(p, "the transaction's connection was lost");
        call->in_tx = true;
        pg_conn_submit(db->pinned, call);
        return NULL;
    }
    call->internal = db->internal;
    bool first = list_empty(call->internal ? &p->own_calls : &p->calls);
    struct pg_conn *c = first ? pg_pool_pick(p, call->internal) : NULL;
    if (c == NULL)
        return pg_pool_queue(p, call);
    pg_conn_submit(c, call);
    return NULL;
}

/** The waiter gives up: what was sent stays in the FIFO without an owner. */
static void abandon(struct pg_pool *p, struct pg_call *call) {
    if (call->conn == NULL) {
        pg_pool_unqueue(p, call);
        pg_call_free(call);
        return;
    }
    call->fiber = NULL;
    call->args = NULL;
    if (call->sent)
        return;
    call->conn->load--;
    list_del(&call->link);
    pg_call_free(call);
}

/** On an error the call is the caller's to abandon. */
static err_t wait_call(struct pg_pool *p, struct pg_call *call) {
    uint64_t queue_until = 0;
    for (bool was_queued = false, queued; call->end == PG_END_NONE; was_queued = queued) {
        queued = call->conn == NULL;
        if (queued && !was_queued)
            queue_until = loop_now() + p->wait_ms;
        err_t e = fiber_park("pg", queued ? queue_until : DEADLINE_NONE);
        if (e == NULL || call->end != PG_END_NONE)
            continue;
        bool queue_timeout = err_is(e, ERR_TIMEOUT) && loop_now() < fiber_deadline();
        if (queue_timeout && call->conn != NULL)
            continue; /* it was given a connection in the same turn */
        if (queue_timeout)
            e = pg_pool_unavailable(p, "no connection in time");
        return e;
    }
    return NULL;
}

static const char *call_name(const struct pg_call *c) {
    return c->kind == PG_CALL_STMT ? pg_stmt_defs[c->stmt].name : "query";
}

static err_t outcome(const struct pg_call *call) {
    const PGresult *bad = call->prepare_error != NULL ? call->prepare_error : call->res;
    if (call->end != PG_END_RESULT || call->res == NULL) {
        err_t cause = err_new(ERR_DB_UNAVAILABLE, "%s: %s", call_name(call), call->reason);
        return err_wrap_as(ERR_DB_UNAVAILABLE, cause, "the connection to the database was lost");
    }
    ExecStatusType st = PQresultStatus(bad);
    if (st == PGRES_COMMAND_OK || st == PGRES_TUPLES_OK)
        return NULL;
    const char *state = PQresultErrorField(bad, PG_DIAG_SQLSTATE);
    if (call->kind == PG_CALL_STMT && state != NULL && (z_eq(state, "0A000") || z_eq(state, "26000")))
        return err_new(ERR_DB_RETRY, "%s: a prepared statement is out of date", call_name(call));
    if (st != PGRES_FATAL_ERROR)
        return err_new(ERR_DB, "%s: the database gave an unexpected answer (%s)", call_name(call), PQresStatus(st));
    return pg_error_of(bad, call_name(call));
}

static void note_time(const struct pg_call *call, uint64_t us) {
    static struct metric *seconds;
    if (seconds == NULL)
        seconds =
            metric_get(METRIC_HISTOGRAM, "dockflow_db_call_seconds", "Time of a database call with its waiting.", "");
    metric_observe(seconds, NULL, (double)us / 1e6);
    if (us > PG_SLOW_MS * 1000ULL)
        LOG(WARNING, "db.slow", KV_STR("statement", call_name(call)), KV_INT("ms", us / 1000));
}

/** Run to the end; *ret takes the PGresult. */
static err_t run(struct pg *db, struct pg_call *call, PGresult **ret) {
    call->fiber = fiber_self();
    CHECK(call->fiber != NULL);
    err_t e = fiber_check();
    if (e == NULL)
        e = start(db, call);
    if (e != NULL) {
        pg_call_free(call);
        return e;
    }
    struct pg_pool *p = db->pool; /* db itself may be freed while we wait */
    uint64_t begin = clock_mono_us();
    p->refs++;
    e = wait_call(p, call);
    if (e != NULL)
        abandon(p, call);
    pg_pool_unref(p);
    if (e != NULL)
        return e;
    note_time(call, clock_mono_us() - begin);
    e = outcome(call);
    if (e == NULL)
        *ret = TAKE(call->res);
    pg_call_free(call);
    return e;
}

static err_t run_stmt(struct pg *db, enum stmt stmt, const struct pg_args *args, PGresult **ret) {
    CHECK((unsigned)stmt < SQL_COUNT && args->n == (size_t)pg_stmt_defs[stmt].nparams);
    struct pg_call *call = pg_call_new(PG_CALL_STMT);
    call->stmt = (int)stmt;
    call->args = args;
    call->read_only = !db->in_tx && stmt_is_read(stmt);
    return run(db, call, ret);
}

err_t pg_rows(struct pg *db, struct arena *a, enum stmt stmt, const struct pg_args *args, struct pg_result **ret) {
    PGresult *res;
    TRY(run_stmt(db, stmt, args, &res));
    *ret = pg_result_take(a, res);
    return NULL;
}

err_t pg_exec(struct pg *db, enum stmt stmt, const struct pg_args *args, int64_t *ret_affected) {
    PGresult *res;
    TRY(run_stmt(db, stmt, args, &res));
    if (ret_affected != NULL)
        *ret_affected = affected_of(res);
    PQclear(res);
    return NULL;
}

err_t pg_one(struct pg *db, struct arena *a, enum stmt stmt, const struct pg_args *args, const char *what,
             struct pg_result **ret) {
    struct pg_result *r;
    TRY(pg_rows(db, a, stmt, args, &r));
    if (r->rows == 0)
        return err_new(ERR_NOT_FOUND, "no such %s", what);
    *ret = r;
    return NULL;
}

err_t pg_json_text(struct pg *db, struct arena *a, enum stmt stmt, const struct pg_args *args, const char *what,
                   struct str *ret) {
    struct pg_result *r;
    TRY(pg_one(db, a, stmt, args, what, &r));
    CHECK(r->cols >= 1);
    if (r->cells[0].p == NULL)
        return err_new(ERR_NOT_FOUND, "no such %s", what);
    *ret = r->cells[0];
    return NULL;
}

err_t pg_query(struct pg *db, struct arena *a, const char *sql, const struct pg_args *args, struct pg_result **ret) {
    struct pg_call *call = pg_call_new(PG_CALL_SQL);
    call->sql = sql;
    call->args = args;
    call->read_only = !db->in_tx && is_read(sql);
    PGresult *res;
    TRY(run(db, call, &res));
    *ret = pg_result_take(a, res);
    return NULL;
}

/* ---- transaction control ---- */

struct pg_call *pg_call_wait_sql(struct pg *tx, const char *sql) {
    struct pg_call *call = pg_call_new(PG_CALL_SQL);
    call->sql = sql;
    call->in_tx = true;
    call->fiber = fiber_self();
    if (tx->pinned == NULL) {
        call->end = PG_END_UNSENT;
        return call;
    }
    pg_conn_submit(tx->pinned, call);
    uint64_t deadline = fiber_set_deadline(DEADLINE_NONE); /* the watch ends it when the server is silent */
    fiber_mask();
    while (call->end == PG_END_NONE)
        err_ignore(fiber_park("pg commit", DEADLINE_NONE));
    fiber_unmask();
    fiber_set_deadline(deadline);
    return call;
}

void pg_call_post(struct pg_conn *c, const char *sql) {
    struct pg_call *call = pg_call_new(PG_CALL_SQL);
    call->sql = sql;
    call->in_tx = true;
    call->must_succeed = true;
    pg_conn_submit(c, call);
}
