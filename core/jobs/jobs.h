/* Long work as rows of table jobs, done by whichever process claims them. A claim gives a lease (database time) and a
 * fence; every write of the worker names the fence, so a worker that lost its lease gets ERR_FENCED and changes
 * nothing. One running job per key; caps per kind (here) and per organization (everywhere), organizations take turns.
 * Cancelling, draining and a lost lease all reach the handler as ERR_CANCELLED; handlers are written so that running
 * them again is safe. */
#pragma once
#include <stdbool.h>
#include "core/base/err.h"
#include "core/base/id.h"
#include "core/base/json.h"
#include "core/pg/pg.h"

struct jobs;
struct job;

/* ---- giving work ---- */

/** Who asked for it, and with which API token (NULL: logged in). All NULL: the platform itself. */
struct job_origin {
    const char *user_id, *token_id;
};
struct job_spec {
    const char *kind;                    /* required */
    const char *key;                     /* serialised per key; NULL: no such rule */
    const char *org_id, *scope_id;       /* org_id NULL is taken from the scope */
    const char *object_kind, *object_id; /* what it is about, for lists */
    int priority;                        /* higher first */
    uint64_t delay_ms;
    int max_attempts;    /* 0 = 1 */
    const char *payload; /* JSON object, at most 256 KiB; NULL = {} */
    struct job_origin by;
    const char *request_id;
    bool coalesce; /* an equal job (kind, key) that still waits is taken instead */
};
/** YIELDS. In the caller's transaction (or alone on a pool). *ret_new (may be NULL): false when coalesced. */
MUST_CHECK err_t jobs_enqueue(struct pg *tx, const struct job_spec *spec, struct uuid_text *ret_id, bool *ret_new);
/** YIELDS. A waiting job ends as cancelled, a running one is told. ERR_NOT_FOUND when there is none that could be
 * cancelled. */
MUST_CHECK err_t jobs_cancel(struct pg *tx, const char *id, const char *reason);
/** YIELDS. The job as JSON (API form) / log lines after `seq` as a JSON array. */
MUST_CHECK err_t jobs_get_json(struct pg *db, struct arena *a, const char *id, struct str *ret);
MUST_CHECK err_t jobs_log_json(struct pg *db, struct arena *a, const char *id, int64_t after, int limit,
                               struct str *ret);
/** YIELDS until the job ended or the deadline; *ret_ended says which. ERR_NOT_FOUND. */
MUST_CHECK err_t jobs_wait(struct jobs *j, const char *id, uint64_t deadline, bool *ret_ended);
/** YIELDS. Delete jobs that ended more than keep_s ago, in bounded steps. */
MUST_CHECK err_t jobs_purge(struct pg *db, int64_t keep_s, int64_t *ret_deleted);

/* ---- doing work ---- */

struct job_kind {
    const char *name;                         /* static, [a-z0-9._-] */
    err_t (*run)(struct job *job, void *arg); /* on a fiber of its own, arena_current() is the job's */
    void *arg;
    int max_running;                     /* in this process; 0 = 4 */
    uint64_t backoff_ms, backoff_max_ms; /* of retries; 0 = 1 s, 5 min */
    uint64_t timeout_ms;                 /* of one attempt; 0 = none */
};
struct jobs_conf {
    struct pg *db;
    const struct pg_conf *pg; /* for the LISTEN connection */
    const char *owner;        /* host:pid or so, shown in the row */
    size_t max_running;       /* 0 = 64 */
    int per_org;              /* running jobs of one organization over all processes; 0 = 16 */
    uint64_t lease_ms;        /* 0 = 30 s; heartbeat at a third of it */
};
struct jobs *jobs_new(const struct jobs_conf *conf);
void jobs_register(struct jobs *j, const struct job_kind *kind); /* before jobs_start; at most 64 */
void jobs_start(struct jobs *j);
/** YIELDS. Claim nothing more, cancel what runs and give it back to the queue; returns how many still run at the
 * deadline. */
size_t jobs_drain(struct jobs *j, uint64_t deadline);
/** After jobs_drain. Jobs still running are abandoned to their leases. */
void jobs_free(struct jobs *j);

struct jobs_stats {
    size_t running;
    uint64_t claimed, succeeded, failed, retried, cancelled, lost;
};
struct jobs_stats jobs_stats_get(const struct jobs *j);

/* ---- inside a handler ---- */

const char *job_id(const struct job *job);
const char *job_kind_name(const struct job *job);
const char *job_key(const struct job *job); /* NULL if none */
const char *job_org(const struct job *job); /* NULL if none */
const char *job_scope(const struct job *job);
const char *job_object_id(const struct job *job);
const struct job_origin *job_by(const struct job *job);
int64_t job_fence(const struct job *job);
int job_attempt(const struct job *job);
const struct json *job_payload(const struct job *job); /* lives as long as the job */
bool job_cancel_requested(const struct job *job);      /* by a person, not by shutdown */

/** YIELDS. A transaction that first checks and locks the fence: ERR_FENCED when the lease is somebody else's now. */
MUST_CHECK err_t job_tx(struct job *job, err_t (*body)(struct pg *tx, void *arg), void *arg);
/** YIELDS. percent 0..100. In the caller's transaction, or alone when tx is NULL. */
MUST_CHECK err_t job_progress(struct job *job, struct pg *tx, int percent, const char *message);
/** YIELDS. Steps are made on first use, at most 200; times are set when the state changes. */
enum job_step_state { JOB_STEP_PENDING, JOB_STEP_RUNNING, JOB_STEP_SUCCEEDED, JOB_STEP_FAILED, JOB_STEP_SKIPPED };
MUST_CHECK err_t job_step(struct job *job, const char *name, enum job_step_state state, const char *message);
/** Does not yield: lines are written every half second. At most 10000 lines of 4 KiB per job, then they are counted
 * only. */
void job_log(struct job *job, const char *level /* debug info warning error */, const char *step, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
/** JSON value for the row's result; copied. */
void job_result(struct job *job, const char *json);
