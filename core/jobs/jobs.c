/* The queue seen from outside: giving, cancelling, reading, waiting; and the life of the worker side. */
#include <stdlib.h>
#include <string.h>
#include "core/jobs/jobs_internal.h"
#include "core/obs/log.h"

struct waiter {
    struct list link;
    struct fiber *fiber;
    const char *id;
    bool look;
};

/* ---- giving work ---- */

err_t jobs_enqueue(struct pg *tx, const struct job_spec *s, struct uuid_text *ret_id, bool *ret_new) {
    struct uuid_text id = uuid7();
    struct pg_result *r;
    CHECK(s->kind != NULL);
    if (s->payload != NULL && strlen(s->payload) > JOB_PAYLOAD_MAX)
        return err_new(ERR_TOO_LARGE, "the payload of job %s has more than %d bytes", s->kind, JOB_PAYLOAD_MAX);
    TRY(pg_one(tx, arena_current(), SQL_JOBS_ENQUEUE,
               PG_ARGS(pg_uuid(id.z), pg_text(s->kind), pg_text(s->key), pg_uuid(s->org_id), pg_uuid(s->scope_id),
                       pg_text(s->object_kind), pg_text(s->object_id), pg_int(s->priority),
                       pg_int((int64_t)s->delay_ms), pg_int(s->max_attempts > 0 ? s->max_attempts : 1),
                       pg_json(s->payload != NULL ? s->payload : "{}"), pg_uuid(s->by.user_id), pg_text(s->request_id),
                       pg_bool(s->coalesce && s->key != NULL), pg_uuid(s->by.token_id)),
               "job", &r));
    CHECK(r->cells[0].n == UUID_LEN);
    memcpy(ret_id->z, r->cells[0].p, UUID_LEN + 1);
    if (ret_new != NULL)
        *ret_new = pg_cell_bool(r, 0, 1);
    return NULL;
}

err_t jobs_cancel(struct pg *tx, const char *id, const char *reason) {
    struct pg_result *r;
    return pg_one(tx, arena_current(), SQL_JOBS_CANCEL, PG_ARGS(pg_uuid(id), pg_text(reason)),
                  "job that still runs or waits", &r);
}

err_t jobs_get_json(struct pg *db, struct arena *a, const char *id, struct str *ret) {
    return pg_json_text(db, a, SQL_JOBS_GET_JSON, PG_ARGS(pg_uuid(id)), "task", ret);
}

err_t jobs_log_json(struct pg *db, struct arena *a, const char *id, int64_t after, int limit, struct str *ret) {
    return pg_json_text(db, a, SQL_JOBS_LOG_JSON,
                        PG_ARGS(pg_uuid(id), pg_int(after), pg_int(limit > 1000 ? 1000 : limit)), "task", ret);
}

err_t jobs_purge(struct pg *db, int64_t keep_s, int64_t *ret_deleted) {
    int64_t total = 0, n = 1;
    for (int i = 0; i < 200 && n > 0; i++) {
        TRY(pg_exec(db, SQL_JOBS_PURGE, PG_ARGS(pg_int(keep_s)), &n));
        total += n;
    }
    *ret_deleted = total;
    return NULL;
}

/* ---- waiting ---- */

static err_t ended(struct jobs *j, const char *id, bool *ret) {
    struct pg_result *r;
    TRY(pg_one(j->db, arena_current(), SQL_JOBS_STATE, PG_ARGS(pg_uuid(id)), "task", &r));
    const char *state = pg_cell(r, 0, 0);
    *ret = !z_eq(state, "queued") && !z_eq(state, "running");
    return NULL;
}

err_t jobs_wait(struct jobs *j, const char *id, uint64_t deadline, bool *ret_ended) {
    struct waiter w = {.fiber = fiber_self(), .id = id};
    bool done = false;
    list_add_tail(&j->waiters, &w.link); /* before the first look, so that no end is missed */
    err_t e;
    while ((e = ended(j, id, &done)) == NULL && !done && clock_mono_ms() < deadline) {
        uint64_t until = deadline_min(deadline, loop_now() + JOBS_POLL_MS);
        w.look = false;
        while (e == NULL && !w.look)
            e = fiber_park("job end", until);
        if (!err_is(e, ERR_TIMEOUT) && e != NULL)
            break;
        if (loop_now() >= fiber_deadline())
            break;
        e = NULL;
    }
    list_del(&w.link);
    if (e == NULL)
        *ret_ended = done;
    return e;
}

static void tell_waiters(struct jobs *j, const char *id) {
    for
        list_each_safe(it, tmp, &j->waiters) {
            struct waiter *w = list_entry(it, struct waiter, link);
            if (id != NULL && !z_eq(id, w->id))
                continue;
            w->look = true;
            fiber_wake(w->fiber);
        }
}

/* ---- notifications ---- */

void jobs_wake(struct jobs *j) {
    j->wake = true;
    if (j->claimer != NULL)
        fiber_wake(j->claimer);
}

static void beat_now(struct jobs *j) {
    j->beat_now = true;
    if (j->beater != NULL)
        fiber_wake(j->beater);
}

static void on_note(void *arg, const char *channel, const char *payload) {
    struct jobs *j = MAGIC_CAST(arg, struct jobs, JOBS_MAGIC);
    (void)channel;
    if (z_starts(payload, "cancel:")) {
        for
            list_each_safe(it, tmp, &j->running) {
                struct job *job = list_entry(it, struct job, link);
                if (z_eq(job->id, payload + 7))
                    job_stop(job, JOB_STOP_CANCEL);
            }
    } else if (z_starts(payload, "done:")) {
        tell_waiters(j, payload + 5);
        jobs_wake(j); /* its key may be free now */
    } else {
        jobs_wake(j);
    }
}

static void on_gap(void *arg) {
    struct jobs *j = MAGIC_CAST(arg, struct jobs, JOBS_MAGIC);
    tell_waiters(j, NULL);
    beat_now(j); /* brings cancel requests */
    jobs_wake(j);
}

/* ---- life ---- */

struct jobs *jobs_new(const struct jobs_conf *conf) {
    struct jobs *j = calloc(1, sizeof(*j));
    static const char *const channels[] = {"df_jobs"};
    CHECK(j != NULL);
    j->magic = JOBS_MAGIC;
    j->db = conf->db;
    j->owner = strdup(conf->owner != NULL ? conf->owner : "dockflow");
    CHECK(j->owner != NULL);
    j->max_running = conf->max_running > 0 ? conf->max_running : 64;
    j->per_org = conf->per_org > 0 ? conf->per_org : 16;
    j->lease_ms = conf->lease_ms > 0 ? conf->lease_ms : SECONDS(30);
    list_init(&j->running);
    list_init(&j->waiters);
    cond_init(&j->idle);
    j->listen = pg_listen_new(conf->pg, channels, 1, on_note, on_gap, j);
    return j;
}

void jobs_register(struct jobs *j, const struct job_kind *kind) {
    CHECK(!j->started && j->nkinds < JOBS_KINDS_MAX &&
          kind->name[strspn(kind->name, "abcdefghijklmnopqrstuvwxyz0123456789._-")] == '\0');
    struct job_kind *k = &j->kinds[j->nkinds++];
    *k = *kind;
    if (k->max_running <= 0)
        k->max_running = 4;
    if (k->backoff_ms == 0)
        k->backoff_ms = SECONDS(1);
    if (k->backoff_max_ms == 0)
        k->backoff_max_ms = MINUTES(5);
}

void jobs_start(struct jobs *j) {
    CHECK(!j->started);
    j->started = true;
    j->claimer = fiber_spawn("jobs-claim", NULL, jobs_claimer, j);
    j->beater = fiber_spawn("jobs-heartbeat", NULL, jobs_beater, j);
    j->flusher = fiber_spawn("jobs-log", NULL, jobs_flusher, j);
}

size_t jobs_drain(struct jobs *j, uint64_t deadline) {
    j->draining = true;
    for
        list_each_safe(it, tmp, &j->running)
            job_stop(list_entry(it, struct job, link), JOB_STOP_DRAIN);
    while (j->nrunning > 0)
        if (cond_wait(&j->idle, deadline) != NULL)
            break;
    if (j->nrunning > 0)
        LOG(WARNING, "jobs.not_drained", KV_INT("running", j->nrunning));
    return j->nrunning;
}

static void end_fiber(struct fiber **f) {
    if (*f == NULL)
        return;
    fiber_cancel(*f);
    err_ignore(fiber_join(*f));
    *f = NULL;
}

void jobs_free(struct jobs *j) {
    if (j == NULL)
        return;
    j->draining = true;
    fiber_mask();
    for
        list_each_safe(it, tmp, &j->running)
            job_stop(list_entry(it, struct job, link), JOB_STOP_LOST);
    uint64_t patience = deadline_in(SECONDS(10));
    while (j->nrunning > 0 && cond_wait(&j->idle, patience) == NULL)
        ;
    CHECK(j->nrunning == 0); /* a handler that ignores cancelling */
    end_fiber(&j->claimer);
    end_fiber(&j->beater);
    end_fiber(&j->flusher);
    fiber_unmask();
    pg_listen_free(j->listen);
    CHECK(list_empty(&j->waiters));
    cond_done(&j->idle);
    free(j->owner);
    j->magic = 0;
    free(j);
}

struct jobs_stats jobs_stats_get(const struct jobs *j) {
    struct jobs_stats s = j->stats;
    s.running = j->nrunning;
    return s;
}
