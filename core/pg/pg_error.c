/* SQLSTATE -> err_t: one documented code each. The server's words go into the cause (log only), never to the client. */
#include <string.h>
#include "core/pg/pg_internal.h"

struct mapping {
    const char *state; /* five characters, or a class of two */
    enum err_code code;
    const char *message;
};

/* First match wins. */
static const struct mapping MAP[] = {
    {"40001", ERR_DB_RETRY, "the database asked to try again"},
    {"40P01", ERR_DB_RETRY, "the database asked to try again"},
    {"55P03", ERR_BUSY, "a lock in the database was not free in time"},
    {"23505", ERR_CONFLICT, "an object with this name or key exists already"},
    {"23503", ERR_CONFLICT, "a referenced object does not exist, or this one is still in use"},
    {"23514", ERR_INVALID, "a value is not allowed"},
    {"23502", ERR_INVALID, "a required value is missing"},
    {"53100", ERR_DB_FULL, "the database has no space left"},
    {"57014", ERR_TIMEOUT, "the database did not finish in time"},
    {"25P03", ERR_TIMEOUT, "a transaction was idle for too long"},
    {"57P", ERR_DB_UNAVAILABLE, "the database is shutting down or starting"},
    {"25006", ERR_DB_UNAVAILABLE, "the database is read-only"},
    {"53", ERR_DB_UNAVAILABLE, "the database is short of resources"},
    {"08", ERR_DB_UNAVAILABLE, "the connection to the database was lost"},
    {"28", ERR_DB_UNAVAILABLE, "the database refused our credentials"},
    {"3D", ERR_DB_UNAVAILABLE, "the database does not exist"},
    {"22", ERR_INVALID, "a value is not in the form the database accepts"},
    {"", ERR_DB, "the database refused the request"},
};

static bool state_starts(const char *state, const char *prefix) { return strncmp(state, prefix, strlen(prefix)) == 0; }

bool pg_state_is_fatal(const char *sqlstate) {
    return sqlstate != NULL &&
           (state_starts(sqlstate, "57P") || state_starts(sqlstate, "08") || strcmp(sqlstate, "25006") == 0);
}

/* Found in libpq's words, the server's SQLSTATE among them (pg_link.c asks for it). First match wins. */
const char *pg_words_of(const char *reason) {
    static const char *const words[][2] = {
        {":  28", "the database refuses our credentials"},
        {"no password supplied", "the database refuses our credentials"},
        {":  3D000:", "the database does not exist"},
        {":  53300:", "the database has no connection left for us"},
        {":  53", "the database is short of resources"},
        {":  57P", "the database is starting or shutting down"},
        {"shutting down", "the database is starting or shutting down"},
        {"terminating connection", "the database ended the connection"},
        {"read-only", "the database is read-only or a standby"},
        {"hot standby", "the database is read-only or a standby"},
        {"answer", "the database does not answer"},
    };
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strstr(reason, words[i][0]) != NULL)
            return words[i][1];
    return reason[0] != '\0' ? "the database cannot be reached" : "the database is not connected yet";
}

err_t pg_error_of(const PGresult *res, const char *what) {
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    const char *constraint = PQresultErrorField(res, PG_DIAG_CONSTRAINT_NAME);
    if (state == NULL)
        state = "08006"; /* made by libpq itself: the connection is gone */
    const struct mapping *m = MAP;
    while (!state_starts(state, m->state))
        m++;
    err_t cause = err_new(m->code, "%s: SQLSTATE %s: %s", what, state, text != NULL ? text : PQresultErrorMessage(res));
    err_t e = err_wrap_as(m->code, cause, "%s", m->message);
    if (constraint != NULL && (m->code == ERR_CONFLICT || m->code == ERR_INVALID))
        e = err_detail(e, "constraint", constraint);
    return e;
}
