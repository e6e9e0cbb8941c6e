/* One claimed job: its fiber, how it ends, and what each end writes. */
#include <stdlib.h>
#include <string.h>
#include "core/jobs/jobs_internal.h"
#include "core/obs/log.h"

enum { FINISH_PATIENCE_MS = 300000, FINISH_RETRY_MS = 1000 };

void job_stop(struct job *job, enum job_stop why) {
    if (job->stop != JOB_GO && why != JOB_STOP_LOST)
        return;
    if (job->stop == JOB_STOP_LOST)
        return;
    job->stop = why;
    fiber_cancel(job->fiber);
}

/* ---- ends ---- */

/** {"code","message","field"?,"details"?,"chain"} as the API shows it; the chain only for people who may read tasks. */
static const char *error_json(struct arena *a, err_t e) {
    struct json *doc = json_object(a);
    json_set_str(a, doc, "code", err_code_wire(e->code));
    /* Wrapped messages say the step, the root says what is wrong; an internal one says nothing. */
    json_set_str(a, doc, "message", e->code == ERR_INTERNAL ? e->message : err_chain(a, e));
    if (e->field != NULL)
        json_set_str(a, doc, "field", e->field);
    struct json *details = e->details != NULL ? json_object(a) : NULL;
    for (const struct err_detail *d = e->details; d != NULL; d = d->next) {
        struct json *v = NULL;
        if (d->raw && json_parse(a, str_of(d->value), NULL, &v) != NULL)
            v = NULL;
        json_set(a, details, d->key, v != NULL ? v : json_string(a, d->value));
    }
    if (details != NULL)
        json_set(a, doc, "details", details);
    return json_to_text(a, doc);
}

static uint64_t backoff(const struct job *job) {
    const struct job_kind *k = job->kind;
    uint64_t ms = k->backoff_ms;
    for (int i = 1; i < job->attempt && ms < k->backoff_max_ms; i++)
        ms *= 2;
    if (ms > k->backoff_max_ms)
        ms = k->backoff_max_ms;
    uint32_t r;
    random_bytes(&r, sizeof(r));
    return ms - ms / 4 + r % (ms / 2 + 1); /* +-25 % */
}

struct finish {
    struct job *job;
    enum { END_STATE, END_RETRY, END_RELEASE } how;
    const char *state, *error, *steps;
    uint64_t delay;
};

static err_t write_end(struct finish *f) {
    struct job *job = f->job;
    struct pg *db = job->jobs->db;
    struct pg_result *r;
    struct arena *a = arena_current();
    if (f->how == END_RELEASE)
        TRY(pg_rows(db, a, SQL_JOBS_RELEASE, PG_ARGS(pg_uuid(job->id), pg_int(job->fence)), &r));
    else if (f->how == END_RETRY)
        TRY(pg_rows(db, a, SQL_JOBS_RETRY,
                    PG_ARGS(pg_uuid(job->id), pg_int(job->fence), pg_int((int64_t)f->delay), pg_json(f->error)), &r));
    else
        TRY(pg_rows(db, a, SQL_JOBS_FINISH,
                    PG_ARGS(pg_uuid(job->id), pg_int(job->fence), pg_text(f->state), pg_json(job->result),
                            pg_json(f->error), pg_json(f->steps)),
                    &r));
    return r->rows == 1 ? NULL : err_new(ERR_FENCED, "the lease of job %s was lost", job->id);
}

/** Until it is written or the job is not ours any more: the result of minutes of work is worth waiting for the
 * database. */
static void persist(struct finish *f) {
    struct job *job = f->job;
    uint64_t until = deadline_in(FINISH_PATIENCE_MS);
    for (;;) {
        err_t e = job_flush_log(job);
        if (e == NULL || !err_retryable(e))
            e = write_end(f);
        if (e == NULL)
            return;
        bool unclear = err_retryable(e) && job->stop != JOB_STOP_LOST && !(job->jobs->draining && job->stop != JOB_GO);
        if (!unclear || clock_mono_ms() > until) {
            LOG(WARNING, "job.end_not_written", KV_STR("job", job->id), KV_ERR(e));
            job->jobs->stats.lost++;
            return;
        }
        err_ignore(fiber_sleep(FINISH_RETRY_MS));
    }
}

static void decide(struct job *job, err_t e, struct finish *f) {
    struct jobs_stats *st = &job->jobs->stats;
    *f = (struct finish){.job = job, .how = END_STATE};
    if (e == NULL) {
        f->state = "succeeded";
        st->succeeded++;
        return;
    }
    f->error = error_json(arena_current(), e);
    if (job->stop == JOB_STOP_CANCEL) {
        f->state = "cancelled";
        st->cancelled++;
    } else if (job->stop == JOB_STOP_DRAIN && err_is(e, ERR_CANCELLED)) {
        f->how = END_RELEASE;
    } else if ((err_retryable(e) || err_is(e, ERR_CANCELLED)) && job->attempt < job->max_attempts) {
        f->how = END_RETRY;
        f->delay = backoff(job);
        st->retried++;
    } else {
        f->state = "failed";
        st->failed++;
    }
}

static void end(struct job *job, err_t e) {
    struct finish f;
    bool lost = job->stop == JOB_STOP_LOST || err_is(e, ERR_FENCED);
    if (lost) {
        job->jobs->stats.lost++;
        LOG(WARNING, "job.lost", KV_STR("job", job->id), KV_STR("kind", job->kind->name));
        return;
    }
    decide(job, e, &f);
    f.steps = json_to_text(arena_current(), job->steps);
    if (e != NULL && f.how != END_RELEASE)
        job_log(job, f.how == END_RETRY ? "warning" : "error", "", "%s", err_chain(arena_current(), e));
    persist(&f);
    LOG(INFO, "job.end", KV_STR("job", job->id), KV_STR("kind", job->kind->name),
        KV_STR("state", f.how == END_STATE   ? f.state
                        : f.how == END_RETRY ? "retry"
                                             : "released"));
}

/* ---- the fiber ---- */

static void job_forget(struct job *job) {
    struct jobs *j = job->jobs;
    while (job->flushing)
        err_ignore(fiber_sleep(5)); /* the flusher still has it; cancel is masked here */
    list_del(&job->link);
    j->running_of[job->kind - j->kinds]--;
    j->nrunning--;
    buf_done(&job->log);
    arena_unref(job->a); /* job itself */
    cond_broadcast(&j->idle);
    jobs_wake(j);
}

static err_t job_main(void *arg) {
    struct job *job = arg;
    if (job->request_id != NULL)
        fiber_set_label(job->request_id);
    uint64_t deadline =
        fiber_set_deadline(job->kind->timeout_ms > 0 ? deadline_in(job->kind->timeout_ms) : DEADLINE_NONE);
    err_t e = fiber_check();
    if (e == NULL)
        e = job->kind->run(job, job->kind->arg);
    fiber_set_deadline(deadline);
    fiber_mask(); /* the end is written whatever happens to us */
    end(job, e);
    job_forget(job);
    fiber_unmask();
    return NULL;
}

static struct job *job_from_row(struct jobs *j, const struct pg_result *r, size_t i) {
    struct arena *a = arena_new("job", 0);
    struct job *job = arena_new_obj(a, struct job);
    static const struct json_limits wide = {.max_bytes = MIB(2), .trusted = true};
    job->a = a;
    job->jobs = j;
    for (size_t k = 0; k < j->nkinds; k++)
        if (z_eq(j->kinds[k].name, pg_cell(r, i, 1)))
            job->kind = &j->kinds[k];
    CHECK(job->kind != NULL);
    job->id = arena_strdup(a, pg_cell(r, i, 0));
    job->key = arena_strdup(a, pg_cell(r, i, 2));
    job->org_id = arena_strdup(a, pg_cell(r, i, 3));
    job->scope_id = arena_strdup(a, pg_cell(r, i, 4));
    job->object_id = arena_strdup(a, pg_cell(r, i, 6));
    job->fence = pg_cell_int(r, i, 7, 0);
    job->attempt = (int)pg_cell_int(r, i, 8, 1);
    job->max_attempts = (int)pg_cell_int(r, i, 9, 1);
    if (json_parse(a, r->cells[i * r->cols + 10], &wide, &job->payload) != NULL)
        job->payload = json_object(a);
    job->by = (struct job_origin){arena_strdup(a, pg_cell(r, i, 11)), arena_strdup(a, pg_cell(r, i, 16))};
    job->request_id = arena_strdup(a, pg_cell(r, i, 12));
    if (json_parse(a, r->cells[i * r->cols + 13], &wide, &job->steps) != NULL || !json_is(job->steps, JSON_ARRAY))
        job->steps = json_array(a);
    job->log_lines = (int)pg_cell_int(r, i, 15, 0);
    buf_init(&job->log, 0, KIB(512));
    return job;
}

void jobs_spawn(struct jobs *j, const struct pg_result *r, size_t row, uint64_t claimed_at) {
    struct job *job = job_from_row(j, r, row);
    job->lease_ok_at = claimed_at;
    list_add_tail(&j->running, &job->link);
    j->running_of[job->kind - j->kinds]++;
    j->nrunning++;
    j->stats.claimed++;
    job->fiber = fiber_spawn(job->kind->name, NULL, job_main, job);
    fiber_detach(job->fiber);
    if (pg_cell_bool(r, row, 14))
        job_stop(job, JOB_STOP_CANCEL);
    else if (j->draining)
        job_stop(job, JOB_STOP_DRAIN);
}
