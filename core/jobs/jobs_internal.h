/* Inside core/jobs. */
#pragma once
#include "core/async/fiber.h"
#include "core/async/loop.h"
#include "core/async/wait.h"
#include "core/base/check.h"
#include "core/base/list.h"
#include "core/jobs/jobs.h"

enum {
    JOBS_MAGIC = 0x6a6f6273,
    JOBS_KINDS_MAX = 64,
    JOBS_POLL_MS = 5000,
    JOBS_FLUSH_MS = 500,
    JOBS_GIVE_UP_HANDOVERS = 10,
    JOB_LINES_MAX = 10000,
    JOB_LINE_MAX = 4096,
    JOB_STEPS_MAX = 200,
    JOB_PAYLOAD_MAX = 262144,
};

enum job_stop { JOB_GO, JOB_STOP_CANCEL, JOB_STOP_DRAIN, JOB_STOP_LOST };
struct job {
    struct list link; /* jobs.running */
    struct jobs *jobs;
    const struct job_kind *kind;
    struct arena *a; /* of the job itself; the handler's fiber has its own and may rewind it */
    struct fiber *fiber;
    const char *id, *key, *org_id, *scope_id, *object_id, *request_id;
    struct job_origin by;
    int64_t fence;
    int attempt, max_attempts;
    struct json *payload, *steps;
    const char *result;
    enum job_stop stop;
    uint64_t lease_ok_at; /* loop time at which the last successful claim or heartbeat was sent */
    struct buf log;       /* JSON array without its closing bracket */
    int log_lines, log_pending, log_dropped;
    bool flushing;
};

struct jobs {
    uint32_t magic;
    struct pg *db;
    struct pg_listen *listen;
    char *owner;
    size_t max_running;
    int per_org;
    uint64_t lease_ms;
    struct job_kind kinds[JOBS_KINDS_MAX];
    int running_of[JOBS_KINDS_MAX];
    size_t nkinds, nrunning;
    struct list running, waiters;
    struct fiber *claimer, *beater, *flusher;
    bool wake, beat_now, draining, started;
    struct cond idle;
    struct jobs_stats stats;
};

/* jobs_run.c */
void jobs_spawn(struct jobs *j, const struct pg_result *r, size_t row, uint64_t claimed_at);
void job_stop(struct job *job, enum job_stop why);
/* jobs_job.c */
MUST_CHECK err_t job_flush_log(struct job *job); /* YIELDS */
/* jobs_claim.c */
err_t jobs_claimer(void *arg);
err_t jobs_beater(void *arg);
err_t jobs_flusher(void *arg);
void jobs_wake(struct jobs *j);
