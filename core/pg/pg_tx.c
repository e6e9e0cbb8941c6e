/* Transactions pin one connection; BEGIN travels with the first statement, ROLLBACK is not waited for. */
#include <stdio.h>
#include <string.h>
#include "core/base/id.h"
#include "core/pg/pg_internal.h"

typedef err_t tx_body(struct pg *tx, void *arg);

static err_t lost_commit(const struct pg_call *call) {
    err_t cause = err_new(ERR_DB_UNAVAILABLE, "commit: %s", call->reason);
    err_t e = err_wrap_as(ERR_DB_UNAVAILABLE, cause, "the connection was lost while committing");
    return err_detail(e, "commit", "unknown");
}

static err_t commit(struct pg *tx) {
    struct pg_call *call = pg_call_wait_sql(tx, "COMMIT");
    err_t e = NULL;
    if (call->end == PG_END_UNSENT) {
        e = pg_pool_unavailable(tx->pool, "the transaction's connection was lost");
    } else if (call->end == PG_END_LOST || call->res == NULL) {
        e = lost_commit(call);
    } else if (PQresultStatus(call->res) != PGRES_COMMAND_OK) {
        if (pg_state_is_fatal(PQresultErrorField(call->res, PG_DIAG_SQLSTATE)))
            e = lost_commit(call);
        else
            e = pg_error_of(call->res, "commit");
    } else if (strcmp(PQcmdStatus(call->res), "COMMIT") != 0) {
        e = err_new(ERR_DB, "the transaction was rolled back: one of its statements had failed");
    }
    pg_call_free(call);
    return e;
}

static err_t tx_once(struct pg_pool *p, bool internal, tx_body *body, void *arg) {
    struct pg tx = {.magic = 0, .pool = p, .in_tx = true, .internal = internal};
    TRY(pg_pool_pin(p, &tx));
    pg_call_post(tx.pinned, "BEGIN");
    err_t e = body(&tx, arg);
    if (e == NULL)
        e = commit(&tx);
    else if (tx.pinned != NULL)
        pg_call_post(tx.pinned, "ROLLBACK");
    if (tx.pinned != NULL)
        pg_conn_unpin(tx.pinned);
    return e;
}

/** Inside a transaction: a savepoint, so that the body's failure undoes only what the body did. */
static err_t tx_nested(struct pg *tx, tx_body *body, void *arg) {
    CHECK(tx->depth < 8);
    char sql[48];
    if (tx->pinned == NULL)
        return pg_pool_unavailable(tx->pool, "the transaction's connection was lost");
    snprintf(sql, sizeof(sql), "SAVEPOINT df_%d", ++tx->depth);
    struct pg_result *r;
    err_t e = pg_query(tx, arena_current(), sql, PG_NOARGS, &r);
    if (e == NULL) {
        e = body(tx, arg);
        snprintf(sql, sizeof(sql), "%s SAVEPOINT df_%d", e == NULL ? "RELEASE" : "ROLLBACK TO", tx->depth);
        struct pg_call *call = pg_call_wait_sql(tx, sql);
        bool ok = call->end == PG_END_RESULT && call->res != NULL && PQresultStatus(call->res) == PGRES_COMMAND_OK;
        if (e == NULL && !ok)
            e = call->res != NULL ? pg_error_of(call->res, sql) : pg_pool_unavailable(tx->pool, "savepoint");
        pg_call_free(call);
    }
    tx->depth--;
    return e;
}

err_t pg_tx(struct pg *db, tx_body *body, void *arg) {
    if (db->in_tx)
        return tx_nested(db, body, arg);
    struct pg_pool *p = db->pool; /* db itself may be freed meanwhile */
    bool internal = db->internal;
    for (int attempt = 1;; attempt++) {
        p->refs++;
        err_t e = tx_once(p, internal, body, arg);
        bool closed = p->closing;
        pg_pool_unref(p);
        if (closed || !err_is(e, ERR_DB_RETRY) || attempt == PG_TX_TRIES)
            return e;
        uint32_t r;
        random_bytes(&r, sizeof(r));
        TRY(fiber_sleep((uint64_t)attempt * 10 + r % 40));
    }
}
