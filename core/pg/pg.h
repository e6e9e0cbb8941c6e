/* PostgreSQL for fibers: libpq in pipeline mode on the loop, results routed FIFO. A call that may write has a sync of
 * its own; plain SELECTs of one loop turn share one and are sent again when a neighbour fails or the connection is
 * lost. Statements are the named queries of sql/queries (enum stmt), prepared per connection on first use. Errors:
 * DB_UNAVAILABLE (down, queue full 256, waited 2 s), DB_RETRY (40001, 40P01), CONFLICT (23505, detail "constraint"),
 * also 23503; INVALID (22*, 23502, 23514), DB_FULL (53100), TIMEOUT (57014), DB else. The server's words are only in
 * the cause. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/json.h"
#include "core/base/str.h"
#include "core/pg/statements.h" /* generated: enum stmt */

struct pg; /* the pool, or inside pg_tx one pinned connection */
/** Text-format parameters: build with PG_ARGS(pg_text(x), pg_int(i), ...). Values must live until the call returns. */
struct pg_arg {
    const char *text; /* NULL = SQL NULL */
    char num[24];
};
struct pg_arg pg_text(const char *z);
struct pg_arg pg_int(int64_t i);
struct pg_arg pg_bool(bool b);
#define pg_uuid(z) pg_text(z)
#define pg_json(z) pg_text(z)
#define PG_NULL ((struct pg_arg){.text = NULL})
struct pg_args {
    const struct pg_arg *v;
    size_t n;
};
#define PG_ARGS(...)                                                                                                   \
    (&(struct pg_args){(struct pg_arg[]){__VA_ARGS__}, sizeof((struct pg_arg[]){__VA_ARGS__}) / sizeof(struct pg_arg)})
#define PG_NOARGS (&(struct pg_args){NULL, 0})

struct pg_result {
    size_t rows, cols;
    struct str *cells; /* rows*cols, NUL-terminated; p == NULL for SQL NULL */
    int64_t affected;
};
const char *pg_cell(const struct pg_result *r, size_t row, size_t col); /* NULL for SQL NULL */
int64_t pg_cell_int(const struct pg_result *r, size_t row, size_t col, int64_t dflt);
bool pg_cell_bool(const struct pg_result *r, size_t row, size_t col);

struct pg_conf {
    const char *url;               /* postgresql://... or a libpq keyword string */
    size_t pool_size;              /* default 8 */
    size_t max_queue;              /* default 256 */
    uint64_t wait_ms;              /* default 2000 */
    uint64_t statement_timeout_ms; /* default 5000 */
};
/** Starts connecting in the background; never fails for an unreachable server. Caller frees. */
struct pg *pg_new(const struct pg_conf *conf);
void pg_free(struct pg *db); /* YIELDS if on a fiber: closes connections */
/** A second handle of the same pool for the server's own work (leases, rights, events): it may use the two reserved connections
 * and has a queue of its own, so that a rush of requests cannot starve it. Free it before the first. */
struct pg *pg_internal(struct pg *db);
bool pg_ready(const struct pg *db);
/** NULL when ready; the server's words, for the log and for administrators. */
const char *pg_down_reason(const struct pg *db);
/** The same for anybody: names no host, user or database. */
const char *pg_down_words(const struct pg *db);
/** YIELDS until one connection is up. */
MUST_CHECK err_t pg_wait_ready(struct pg *db, uint64_t deadline);

/** All YIELD. Result cells live in `a` (they point into libpq's result, which is released with it). */
MUST_CHECK err_t pg_rows(struct pg *db, struct arena *a, enum stmt stmt, const struct pg_args *args,
                         struct pg_result **ret);
MUST_CHECK err_t pg_exec(struct pg *db, enum stmt stmt, const struct pg_args *args,
                         int64_t *ret_affected /* may be NULL */);
/** First row or ERR_NOT_FOUND (message "no such <what>"). */
MUST_CHECK err_t pg_one(struct pg *db, struct arena *a, enum stmt stmt, const struct pg_args *args, const char *what,
                        struct pg_result **ret);
/** First row, first column as JSON text (queries that build their JSON in SQL); ERR_NOT_FOUND when no row. */
MUST_CHECK err_t pg_json_text(struct pg *db, struct arena *a, enum stmt stmt, const struct pg_args *args,
                              const char *what, struct str *ret);
/** Ad-hoc SQL with parameters: only for migrations and lists whose WHERE/ORDER BY is assembled from fixed fragments. */
MUST_CHECK err_t pg_query(struct pg *db, struct arena *a, const char *sql, const struct pg_args *args,
                          struct pg_result **ret);
/** YIELDS. Inside a transaction: a savepoint. Else: pin a connection, BEGIN, run body with it, COMMIT, or ROLLBACK on
 * any error. Retries the whole body up to 3 times on ERR_DB_RETRY. Do no Docker/HTTP/Git wait inside. Unknown COMMIT
 * outcome -> ERR_DB_UNAVAILABLE with detail commit=unknown. */
MUST_CHECK err_t pg_tx(struct pg *db, err_t (*body)(struct pg *tx, void *arg), void *arg);
/** Dedicated connection that LISTENs on channels; cb runs on the loop stack per notification; on_gap after a reconnect
 * (notifications may have been missed) and once at the first. Reconnects by itself. */
struct pg_listen;
struct pg_listen *pg_listen_new(const struct pg_conf *conf, const char *const *channels, size_t n,
                                void (*cb)(void *arg, const char *channel, const char *payload),
                                void (*on_gap)(void *arg), void *arg);
void pg_listen_free(struct pg_listen *l);
struct pg_stats {
    size_t conns, ready, queued, queued_max, in_flight; /* queued_max: of requests, since the start */
    uint64_t queries, errors, reconnects;
};
struct pg_stats pg_stats_get(const struct pg *db);

/* core/pg/migrate.h and core/pg/embedded.h have the rest. */
