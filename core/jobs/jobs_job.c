/* What a handler may do with its job. */
#include <stdarg.h>
#include <string.h>
#include "core/jobs/jobs_internal.h"

const char *job_id(const struct job *job) { return job->id; }
const char *job_kind_name(const struct job *job) { return job->kind->name; }
const char *job_key(const struct job *job) { return job->key; }
const char *job_org(const struct job *job) { return job->org_id; }
const char *job_scope(const struct job *job) { return job->scope_id; }
const char *job_object_id(const struct job *job) { return job->object_id; }
const struct job_origin *job_by(const struct job *job) { return &job->by; }
int64_t job_fence(const struct job *job) { return job->fence; }
int job_attempt(const struct job *job) { return job->attempt; }
const struct json *job_payload(const struct job *job) { return job->payload; }
bool job_cancel_requested(const struct job *job) { return job->stop == JOB_STOP_CANCEL; }
void job_result(struct job *job, const char *json) { job->result = arena_strdup(job->a, json); }

/* ---- fenced writes ---- */

struct fenced {
    struct job *job;
    err_t (*body)(struct pg *tx, void *arg);
    void *arg;
};

static err_t fenced_body(struct pg *tx, void *arg) {
    struct fenced *f = arg;
    struct pg_result *r;
    TRY(pg_rows(tx, arena_current(), SQL_JOBS_ASSERT_FENCE, PG_ARGS(pg_uuid(f->job->id), pg_int(f->job->fence)), &r));
    if (r->rows == 0)
        return err_new(ERR_FENCED, "the lease of job %s was lost: another worker goes on", f->job->id);
    return f->body(tx, f->arg);
}

err_t job_tx(struct job *job, err_t (*body)(struct pg *tx, void *arg), void *arg) {
    struct fenced f = {job, body, arg};
    if (job->stop == JOB_STOP_LOST)
        return err_new(ERR_FENCED, "the lease of job %s was lost", job->id);
    err_t e = pg_tx(job->jobs->db, fenced_body, &f);
    if (err_is(e, ERR_FENCED))
        job_stop(job, JOB_STOP_LOST);
    return e;
}

/** progress and steps; NULL leaves that part. */
static err_t write_progress(struct job *job, struct pg *db, const char *progress, const char *steps) {
    int64_t n;
    TRY(pg_exec(db, SQL_JOBS_PROGRESS, PG_ARGS(pg_uuid(job->id), pg_int(job->fence), pg_json(progress), pg_json(steps)),
                &n));
    if (n == 1)
        return NULL;
    job_stop(job, JOB_STOP_LOST);
    return err_new(ERR_FENCED, "the lease of job %s was lost", job->id);
}

err_t job_progress(struct job *job, struct pg *tx, int percent, const char *message) {
    struct arena *a = arena_current();
    struct json *p = json_object(a);
    json_set_int(a, p, "percent", percent < 0 ? 0 : percent > 100 ? 100 : percent);
    json_set_str(a, p, "message", message != NULL ? message : "");
    return write_progress(job, tx != NULL ? tx : job->jobs->db, json_to_text(a, p), NULL);
}

static struct json *step_find(struct job *job, const char *name) {
    for (size_t i = 0; i < json_len(job->steps); i++)
        if (z_eq(json_get_str(json_at(job->steps, i), "name"), name))
            return json_at(job->steps, i);
    return NULL;
}

err_t job_step(struct job *job, const char *name, enum job_step_state state, const char *message) {
    static const char *const names[] = {"pending", "running", "succeeded", "failed", "skipped"};
    char now[TIME_RFC3339_LEN];
    struct json *s = step_find(job, name);
    if (s == NULL) {
        if (json_len(job->steps) >= JOB_STEPS_MAX)
            return err_new(ERR_TOO_LARGE, "a job has at most %d steps", JOB_STEPS_MAX);
        s = json_object(job->a);
        json_set_str(job->a, s, "name", name);
        json_push(job->a, job->steps, s);
    }
    json_set_str(job->a, s, "state", names[state]);
    time_rfc3339(now, clock_wall_ms());
    if (state == JOB_STEP_RUNNING)
        json_set_str(job->a, s, "startedAt", now);
    else if (state != JOB_STEP_PENDING)
        json_set_str(job->a, s, "finishedAt", now);
    if (message != NULL)
        json_set_str(job->a, s, "message", message);
    return write_progress(job, job->jobs->db, NULL, json_to_text(arena_current(), job->steps));
}

/* ---- log ---- */

static const char *level_of(const char *level) {
    static const char *const known[] = {"debug", "info", "warning", "error"};
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (z_eq(level, known[i]))
            return known[i];
    return "info";
}

/** At most JOB_LINE_MAX bytes, not in the middle of a character; invalid UTF-8 is mended by the JSON writer, NUL by us.
 * */
static struct str line_cut(char *z, size_t n) {
    if (n > JOB_LINE_MAX) {
        n = JOB_LINE_MAX;
        while (n > 0 && ((unsigned char)z[n] & 0xC0) == 0x80)
            n--;
    }
    for (size_t i = 0; i < n; i++)
        if (z[i] == '\0')
            z[i] = ' ';
    while (n > 0 && (z[n - 1] == '\n' || z[n - 1] == '\r'))
        n--;
    return str_n(z, n);
}

void job_log(struct job *job, const char *level, const char *step, const char *fmt, ...) {
    char now[TIME_RFC3339_LEN];
    struct arena_mark m = arena_mark(job->a);
    size_t before = job->log.n;
    if (job->log_lines >= JOB_LINES_MAX) {
        job->log_dropped++;
        return;
    }
    va_list ap;
    va_start(ap, fmt);
    char *text = arena_vprintf(job->a, fmt, ap);
    va_end(ap);
    time_rfc3339(now, clock_wall_ms());
    buf_putf(&job->log, "%c{\"at\":\"%s\",\"level\":\"%s\",\"step\":", before == 0 ? '[' : ',', now, level_of(level));
    json_write_str(&job->log, str_of(step != NULL ? step : ""));
    buf_puts(&job->log, ",\"line\":");
    json_write_str(&job->log, line_cut(text, strlen(text)));
    buf_putc(&job->log, '}');
    arena_rewind(job->a, m);
    if (job->log.failed) { /* the database is slower than the job talks */
        job->log.n = before;
        job->log.failed = false;
        job->log_dropped++;
        return;
    }
    job->log_lines++;
    job->log_pending++;
}

err_t job_flush_log(struct job *job) {
    if ((job->log_pending == 0 && job->log_dropped == 0) || job->flushing)
        return NULL;
    struct arena *a = arena_current();
    int lines = job->log_pending, dropped = job->log_dropped;
    size_t taken = job->log.n;
    struct buf text;
    buf_init(&text, taken + 4, KIB(600));
    buf_put(&text, taken > 0 ? job->log.p : "[", taken > 0 ? taken : 1);
    buf_putc(&text, ']');
    const char *z = str_z(a, buf_str(&text));
    buf_done(&text);
    job->flushing = true;
    err_t e = pg_exec(job->jobs->db, SQL_JOBS_LOG_ADD,
                      PG_ARGS(pg_uuid(job->id), pg_int(job->fence), pg_json(z), pg_int(lines), pg_int(dropped)), NULL);
    job->flushing = false;
    if (e != NULL && err_retryable(e))
        return e; /* written again: a lost answer may double lines, never lose them */
    buf_consume(&job->log, taken);
    if (job->log.n > 0)
        job->log.p[0] = '['; /* what came meanwhile began with a comma */
    job->log_pending -= lines;
    job->log_dropped -= dropped;
    return e;
}
