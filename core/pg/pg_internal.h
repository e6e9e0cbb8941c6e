/* Inside core/pg: links (one libpq connection while it is being made), pipelined connections, the pool. Life of a call:
 * pool (waiting) -> connection (tosend, until the end of the turn) -> fifo (sent) -> done. Errors are made on the
 * caller's fiber from what the call carries, because only there is an arena to put them in. */
#pragma once
#include <libpq-fe.h>
#include <uv.h>
#include "core/async/fiber.h"
#include "core/async/loop.h"
#include "core/base/check.h"
#include "core/base/list.h"
#include "core/pg/pg.h"

enum {
    PG_CONNECT_MS = 3000,
    PG_RESERVED = 2,          /* connections kept for the server's own work: leases, rights, events */
    PG_DEPTH = 128,           /* calls in flight per connection */
    PG_GROUP = 32,            /* reads that may share one sync */
    PG_SILENCE_MS = 2000,     /* beyond the statement timeout: the server is not answering */
    PG_CANCEL_AFTER_MS = 500, /* an abandoned statement may run this long before it is cancelled */
    PG_WATCH_MS = 250,
    PG_SLOW_MS = 500,
    PG_BACKOFF_MIN_MS = 500,
    PG_BACKOFF_MAX_MS = 30000,
    PG_SCOUT_MAX_MS = 8000, /* the first connection keeps looking this often, the others wait for it */
    PG_TX_TRIES = 3,
    PG_RESENDS = 5,
    PG_REASON = 200,
};

/* ---- pg_link.c ---- */

/** A uv_poll in its own heap block: closing is asynchronous and must precede PQfinish. cb on the loop stack. */
struct pg_poll;
struct pg_poll *pg_poll_new(int fd, void (*cb)(void *arg, int status, int events), void *arg); /* NULL when refused */
void pg_poll_watch(struct pg_poll *p, int events);
void pg_poll_close(struct pg_poll *p);
/** YIELDS until fd is readable/writable. */
MUST_CHECK err_t pg_poll_wait(int fd, int events, uint64_t deadline);

struct pg_link_conf {
    const char *url;
    uint64_t statement_timeout_ms; /* 0 = none */
    const char *role;              /* shows in pg_stat_activity: "pool", "listen", "migrate" */
};
/** YIELDS. Resolves off the loop, connects, ERR_DB_UNAVAILABLE with libpq's reason or ERR_CONFIG for a bad URL. */
MUST_CHECK err_t pg_link_connect(const struct pg_link_conf *conf, uint64_t deadline, PGconn **ret);
/** First line of libpq's message, bounded, without a trailing newline. */
void pg_reason(char out[PG_REASON], const char *message);

/* ---- pg_session.c: a connection outside of pipeline mode, for scripts of several statements ---- */

struct pg_session;
MUST_CHECK err_t pg_session_open(const struct pg_link_conf *conf, uint64_t deadline, struct pg_session **ret);
void pg_session_close(struct pg_session *s); /* NULL is fine */
DF_AUTO_DEFINE(pg_session, struct pg_session *, pg_session_close);
/** YIELDS. Parameters only for a single statement. *ret (may be NULL) = the last result. */
MUST_CHECK err_t pg_session_run(struct pg_session *s, const char *sql, const struct pg_args *args, uint64_t deadline,
                                struct pg_result **ret);

/* ---- pg_error.c ---- */

/** Error for a result that is not OK; lives in arena_current(). `what` names the statement for the log chain. */
MUST_CHECK err_t pg_error_of(const PGresult *res, const char *what);
/** What a reason of the pool means, in words that give nothing away. */
const char *pg_words_of(const char *reason);
/** Is this SQLSTATE the end of the connection, so that what it was doing is unknown? */
bool pg_state_is_fatal(const char *sqlstate);

/* ---- pg_call.c ---- */

struct pg_conn;
struct pg_pool;
enum pg_call_kind { PG_CALL_STMT, PG_CALL_SQL, PG_CALL_PREPARE };
enum pg_call_end { PG_END_NONE, PG_END_RESULT, PG_END_LOST /* connection gone after sending */, PG_END_UNSENT };
struct pg_call {
    struct list link;
    enum pg_call_kind kind;
    int stmt;
    const char *sql;
    const struct pg_args *args;
    struct fiber *fiber;   /* NULL: abandoned or internal */
    struct pg_conn *conn;  /* NULL while it waits in the pool */
    struct pg_call *after; /* of a PREPARE: the call that needs it */
    bool read_only;        /* may share a sync and be sent again */
    bool alone;            /* failed together with others once: own sync from now on */
    bool in_tx;            /* never sent again */
    bool internal;         /* may use the reserved connections */
    bool must_succeed;     /* BEGIN, ROLLBACK: else the connection is in no known state */
    bool sent, sync_after, ended;
    uint8_t resends;
    uint64_t seq; /* order of sending on its connection */
    enum pg_call_end end;
    PGresult *res;
    PGresult *prepare_error; /* why the statement could not be prepared; res only says "aborted" then */
    char reason[PG_REASON];
};
struct pg_call *pg_call_new(enum pg_call_kind kind);
void pg_call_free(struct pg_call *c);
/** Before it is sent again: what it was told so far no longer counts. */
void pg_call_reset(struct pg_call *c);
/** Called by the driver when the answer (or its impossibility) is known. */
void pg_call_done(struct pg_call *c, enum pg_call_end end, const char *reason);
/** Zero-copy view: the cells point into res, which is cleared with the arena. */
struct pg_result *pg_result_take(struct arena *a, PGresult *res);
/** YIELDS until the statement's end is known, whatever the fiber's cancel state or deadline; the caller frees the call.
 * */
struct pg_call *pg_call_wait_sql(struct pg *tx, const char *sql);
/** Queue without waiting; the connection is dropped if it fails. */
void pg_call_post(struct pg_conn *c, const char *sql);

/* ---- pg_conn.c ---- */

enum pg_conn_state { PG_CONN_DOWN, PG_CONN_CONNECTING, PG_CONN_READY };
struct pg_conn {
    uint32_t magic;
    struct pg_pool *pool;
    size_t index;
    bool reserved;
    enum pg_conn_state state;
    PGconn *c;
    struct pg_poll *poll;
    int watching;
    struct list tosend, fifo;
    size_t load; /* calls in both */
    struct deferred flush;
    struct pg *pinned;
    bool retire;        /* close once idle: its plans are stale */
    uint64_t seq;       /* of the last thing sent */
    uint64_t *prepared; /* per statement: seq of its PREPARE, 0 = none */
    uint64_t heard_at, up_since, cancel_at;
    struct fiber *main;
    char reason[PG_REASON];
};
void pg_conn_init(struct pg_conn *c, struct pg_pool *pool, size_t index, bool reserved);
void pg_conn_up(struct pg_conn *c, PGconn *raw); /* takes raw */
void pg_conn_submit(struct pg_conn *c, struct pg_call *call);
/** Close it, fail or hand back what is in flight. Any stack. */
void pg_conn_drop(struct pg_conn *c, const char *reason);
void pg_conn_watch(struct pg_conn *c); /* from the pool's timer */
void pg_conn_unpin(struct pg_conn *c);

/* ---- pg_pool.c ---- */

struct pg_pool {
    uint32_t magic;
    size_t refs; /* handle + connection fibers */
    char *url;
    size_t n, max_queue;
    uint64_t wait_ms, statement_timeout_ms;
    struct pg_conn *conns;
    struct list calls, pins;         /* waiting, for requests */
    struct list own_calls, own_pins; /* waiting, the server's own */
    size_t nwaiting, nown, most;     /* most: requests that ever waited at once */
    size_t ready;
    unsigned failures; /* connect attempts since the last success */
    bool closing, watching, cancelling;
    struct timer watch;
    struct list ready_waiters;
    char reason[PG_REASON];
    uint64_t queries, errors, reconnects;
};
struct pg {
    uint32_t magic;
    struct pg_pool *pool;
    struct pg_conn *pinned; /* inside pg_tx; NULL again when the connection was lost */
    bool in_tx;
    bool internal; /* made by pg_internal */
    int depth;     /* savepoints */
};
/** Connection for a shared call, or NULL. */
struct pg_conn *pg_pool_pick(struct pg_pool *p, bool internal);
/** Put a call that found no connection into its queue: ERR_DB_UNAVAILABLE when that is full or nothing can be hoped for. */
MUST_CHECK err_t pg_pool_queue(struct pg_pool *p, struct pg_call *c);
/** The waiter gives up. */
void pg_pool_unqueue(struct pg_pool *p, struct pg_call *c);
/** Give waiting calls and transactions what has become free. */
void pg_pool_pump(struct pg_pool *p);
void pg_pool_requeue(struct pg_pool *p, struct pg_call *c); /* a read whose connection was lost */
void pg_pool_watch_start(struct pg_pool *p);
void pg_pool_unref(struct pg_pool *p);
/** No connection and no hope right now: callers fail at once. */
bool pg_pool_breaker(const struct pg_pool *p);
MUST_CHECK err_t pg_pool_unavailable(const struct pg_pool *p, const char *what);
MUST_CHECK err_t pg_pool_pin(struct pg_pool *p, struct pg *handle); /* YIELDS */
