/* The LISTEN connection. A fiber connects, subscribes and asks now and then whether the server is still there; what
 * arrives is handed out on the loop stack. After every (re)connect on_gap says that something may have been missed. */
#include <stdlib.h>
#include <string.h>
#include "core/base/id.h"
#include "core/obs/log.h"
#include "core/pg/pg_internal.h"

enum { LISTEN_MAGIC = 0x70676c31, PING_MS = 15000, ANSWER_MS = 5000, CHANNELS_MAX = 16 };

struct pg_listen {
    uint32_t magic;
    struct fiber *fiber;
    char *url, *sql;
    void (*cb)(void *arg, const char *channel, const char *payload);
    void (*on_gap)(void *arg);
    void *arg;
    PGconn *c;
    struct pg_poll *poll;
    struct deferred gap;
    bool lost, answered, closing, refused;
};

static void on_gap(void *arg) {
    struct pg_listen *l = MAGIC_CAST(arg, struct pg_listen, LISTEN_MAGIC);
    if (!l->closing && l->on_gap != NULL)
        l->on_gap(l->arg);
}

static void hand_out(struct pg_listen *l) {
    for (PGnotify *n; !l->closing && (n = PQnotifies(l->c)) != NULL; PQfreemem(n))
        l->cb(l->arg, n->relname, n->extra);
}

static void on_input(void *arg, int status, int events) {
    struct pg_listen *l = MAGIC_CAST(arg, struct pg_listen, LISTEN_MAGIC);
    (void)events;
    if (status < 0 || PQconsumeInput(l->c) != 1) {
        l->lost = true;
    } else {
        while (!PQisBusy(l->c)) {
            PGresult *res = PQgetResult(l->c);
            if (res == NULL)
                break;
            ExecStatusType st = PQresultStatus(res);
            l->answered |= st == PGRES_COMMAND_OK || st == PGRES_TUPLES_OK;
            l->refused |= st == PGRES_FATAL_ERROR;
            PQclear(res);
        }
        hand_out(l);
    }
    if (l->lost) { /* a hung-up socket would call again and again until the fiber runs */
        pg_poll_close(l->poll);
        l->poll = NULL;
    }
    if (l->fiber != NULL)
        fiber_wake(l->fiber);
}

/** YIELDS. Send a short statement and wait for its answer. */
static err_t ask(struct pg_listen *l, const char *sql) {
    l->answered = l->refused = false;
    if (PQsendQuery(l->c, sql) != 1 || PQflush(l->c) < 0)
        return err_new(ERR_DB_UNAVAILABLE, "the listening connection was lost");
    uint64_t deadline = loop_now() + ANSWER_MS;
    while (!l->answered && !l->lost && !l->refused)
        TRY(fiber_park("pg listen", deadline));
    if (!l->answered)
        return err_new(ERR_DB_UNAVAILABLE, "the listening connection was %s", l->lost ? "lost" : "refused");
    return NULL;
}

static err_t serve(struct pg_listen *l) {
    pg_poll_watch(l->poll, UV_READABLE);
    TRY(ask(l, l->sql));
    loop_defer(&l->gap, on_gap, l);
    for (;;) {
        uint64_t next = loop_now() + PING_MS;
        while (!l->lost && loop_now() < next) {
            err_t e = fiber_park("pg listen", next);
            if (err_is(e, ERR_CANCELLED))
                return e;
        }
        if (l->lost)
            return err_new(ERR_DB_UNAVAILABLE, "the listening connection was lost");
        TRY(ask(l, "SELECT 1"));
    }
}

static err_t session(struct pg_listen *l, bool *ret_up) {
    struct pg_link_conf conf = {.url = l->url, .statement_timeout_ms = 5000, .role = "listen"};
    TRY(pg_link_connect(&conf, deadline_in(PG_CONNECT_MS), &l->c));
    l->lost = false;
    err_t e = NULL;
    if (PQsetnonblocking(l->c, 1) != 0 || (l->poll = pg_poll_new(PQsocket(l->c), on_input, l)) == NULL)
        e = err_new(ERR_DB_UNAVAILABLE, "the listening connection cannot be watched");
    else
        e = serve(l);
    *ret_up = l->answered;
    pg_poll_close(l->poll);
    l->poll = NULL;
    PQfinish(l->c);
    l->c = NULL;
    return e;
}

static err_t listen_main(void *arg) {
    struct pg_listen *l = arg;
    uint64_t backoff = PG_BACKOFF_MIN_MS;
    while (!l->closing) {
        struct arena_mark m = arena_mark(arena_current());
        bool up = false;
        err_t e = session(l, &up);
        bool cancelled = err_is(e, ERR_CANCELLED) || fiber_check() != NULL;
        if (up)
            backoff = PG_BACKOFF_MIN_MS / 5;
        else
            backoff = backoff * 2 > PG_SCOUT_MAX_MS ? PG_SCOUT_MAX_MS : backoff * 2;
        if (!cancelled && up) /* while the server is away the pool says so */
            LOG(WARNING, "db.listen.lost", KV_ERR(e), KV_INT("retry_ms", backoff));
        arena_rewind(arena_current(), m);
        if (cancelled)
            break;
        uint32_t r;
        random_bytes(&r, sizeof(r));
        if (fiber_sleep(backoff / 2 + r % (backoff + 1)) != NULL)
            break;
    }
    l->fiber = NULL;
    if (l->closing) {
        l->magic = 0;
        free(l->url);
        free(l->sql);
        free(l);
    }
    return NULL;
}

struct pg_listen *pg_listen_new(const struct pg_conf *conf, const char *const *channels, size_t n,
                                void (*cb)(void *arg, const char *channel, const char *payload), void (*gap)(void *arg),
                                void *arg) {
    CHECK(n > 0 && n <= CHANNELS_MAX);
    struct pg_listen *l = calloc(1, sizeof(*l));
    CHECK(l != NULL);
    *l = (struct pg_listen){.magic = LISTEN_MAGIC, .cb = cb, .on_gap = gap, .arg = arg, .url = strdup(conf->url)};
    struct buf sql;
    buf_init(&sql, 256, KIB(4));
    for (size_t i = 0; i < n; i++) {
        CHECK(channels[i][strspn(channels[i], "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0');
        buf_putf(&sql, "LISTEN %s;", channels[i]);
    }
    l->sql = strndup(sql.p, sql.n);
    CHECK(!sql.failed && l->url != NULL && l->sql != NULL);
    buf_done(&sql);
    l->fiber = fiber_spawn("pg-listen", NULL, listen_main, l);
    fiber_detach(l->fiber);
    return l;
}

void pg_listen_free(struct pg_listen *l) {
    if (l == NULL)
        return;
    l->closing = true;
    loop_defer_cancel(&l->gap);
    if (l->fiber != NULL) {
        fiber_cancel(l->fiber); /* it frees */
        return;
    }
    l->magic = 0;
    free(l->url);
    free(l->sql);
    free(l);
}
