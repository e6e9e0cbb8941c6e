/* A plain connection for what the pipeline cannot carry: scripts of many statements, session locks, other databases. */
#include <stdlib.h>
#include "core/pg/pg_internal.h"

enum { SESSION_MAX_PARAMS = 16 };

struct pg_session {
    PGconn *c;
};

err_t pg_session_open(const struct pg_link_conf *conf, uint64_t deadline, struct pg_session **ret) {
    PGconn *c;
    TRY(pg_link_connect(conf, deadline, &c));
    if (PQsetnonblocking(c, 1) != 0) {
        PQfinish(c);
        return err_new(ERR_DB_UNAVAILABLE, "the connection could not be made non-blocking");
    }
    struct pg_session *s = calloc(1, sizeof(*s));
    CHECK(s != NULL);
    s->c = c;
    *ret = s;
    return NULL;
}

void pg_session_close(struct pg_session *s) {
    if (s == NULL)
        return;
    PQfinish(s->c);
    free(s);
}

static err_t lost(struct pg_session *s) {
    char why[PG_REASON];
    pg_reason(why, PQerrorMessage(s->c));
    return err_new(ERR_DB_UNAVAILABLE, "%s", why);
}

/** Until everything is out and a result can be taken without waiting. */
static err_t settle(struct pg_session *s, uint64_t deadline) {
    for (;;) {
        int r = PQflush(s->c);
        if (r < 0)
            return lost(s);
        if (r == 0 && !PQisBusy(s->c))
            return NULL;
        TRY(pg_poll_wait(PQsocket(s->c), r == 1 ? UV_READABLE | UV_WRITABLE : UV_READABLE, deadline));
        if (PQconsumeInput(s->c) != 1)
            return lost(s);
    }
}

static int send_sql(struct pg_session *s, const char *sql, const struct pg_args *args) {
    if (args == NULL || args->n == 0)
        return PQsendQuery(s->c, sql);
    const char *values[SESSION_MAX_PARAMS];
    CHECK(args->n <= SESSION_MAX_PARAMS);
    for (size_t i = 0; i < args->n; i++)
        values[i] = args->v[i].text != NULL ? args->v[i].text : args->v[i].num[0] != '\0' ? args->v[i].num : NULL;
    return PQsendQueryParams(s->c, sql, (int)args->n, NULL, values, NULL, NULL, 0);
}

err_t pg_session_run(struct pg_session *s, const char *sql, const struct pg_args *args, uint64_t deadline,
                     struct pg_result **ret) {
    if (send_sql(s, sql, args) != 1)
        return lost(s);
    err_t first = NULL;
    PGresult *last = NULL;
    for (;;) {
        err_t e = settle(s, deadline);
        if (e != NULL) {
            PQclear(last);
            return e; /* the caller closes: the state of the connection is not known */
        }
        PGresult *res = PQgetResult(s->c);
        if (res == NULL)
            break;
        ExecStatusType st = PQresultStatus(res);
        if (first == NULL && st != PGRES_COMMAND_OK && st != PGRES_TUPLES_OK && st != PGRES_EMPTY_QUERY)
            first = pg_error_of(res, "script");
        PQclear(last);
        last = res;
    }
    if (first != NULL || ret == NULL || last == NULL)
        PQclear(last);
    else
        *ret = pg_result_take(arena_current(), last);
    return first;
}
