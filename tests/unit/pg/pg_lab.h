/* A private PostgreSQL for tests: own cluster in /tmp, unix socket only, run as user postgres when we are root. */
#pragma once
#include <sys/types.h>

void pg_lab_start(void); /* aborts with a message when there is no PostgreSQL */
void pg_lab_stop(void);
void pg_lab_restart(int sig); /* SIGINT fast, SIGQUIT immediate, SIGKILL; then start again */
void pg_lab_halt(int sig);    /* only the first half */
void pg_lab_resume(void);     /* start after pg_lab_halt */
pid_t pg_lab_pid(void);       /* of the postmaster */
const char *pg_lab_url(void); /* database "postgres" */
const char *pg_lab_dir(void);
/** Run psql with a script, outside of our driver; output of the last query (tuples only), static buffer. */
const char *pg_lab_psql(const char *sql);
const char *pg_lab_psql_at(const char *url, const char *sql);
/** A new, empty database; its URL lives until eight more were made. */
const char *pg_lab_database(const char *name);
