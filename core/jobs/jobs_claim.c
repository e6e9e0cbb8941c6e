/* The three fibers of the worker side: claim (and reap), heartbeat, log flush. */
#include <string.h>
#include "core/jobs/jobs_internal.h"
#include "core/obs/log.h"

/* ---- claiming ---- */

struct claim {
    struct jobs *j;
    const char *kinds, *slots;
    size_t room;
    struct pg_result *rows;
    uint64_t at;
};

/** Array literals of the kinds and of how many more of each may run here. */
static void describe(struct jobs *j, struct arena *a, struct claim *c) {
    struct buf kinds, slots;
    buf_init(&kinds, 256, KIB(8));
    buf_init(&slots, 256, KIB(8));
    for (size_t i = 0; i < j->nkinds; i++) {
        buf_putf(&kinds, "%c%s", i == 0 ? '{' : ',', j->kinds[i].name);
        buf_putf(&slots, "%c%d", i == 0 ? '{' : ',', j->kinds[i].max_running - j->running_of[i]);
    }
    buf_putc(&kinds, '}');
    buf_putc(&slots, '}');
    CHECK(!kinds.failed && !slots.failed);
    c->kinds = str_z(a, buf_str(&kinds));
    c->slots = str_z(a, buf_str(&slots));
    buf_done(&kinds);
    buf_done(&slots);
}

/** Under a lock, so that caps and keys are exact; the lock lasts for this one statement. */
static err_t claim_body(struct pg *tx, void *arg) {
    struct claim *c = arg;
    TRY(pg_exec(tx, SQL_JOBS_CLAIM_LOCK, PG_NOARGS, NULL));
    c->at = loop_now();
    return pg_rows(tx, arena_current(), SQL_JOBS_CLAIM,
                   PG_ARGS(pg_text(c->j->owner), pg_int((int64_t)c->j->lease_ms), pg_text(c->kinds), pg_text(c->slots),
                           pg_int((int64_t)c->room), pg_int(c->j->per_org), pg_int((int64_t)c->room * 2)),
                   &c->rows);
}

static err_t reap(struct jobs *j) {
    struct pg_result *r;
    TRY(pg_rows(j->db, arena_current(), SQL_JOBS_REAP, PG_ARGS(pg_int(JOBS_GIVE_UP_HANDOVERS)), &r));
    for (size_t i = 0; i < r->rows; i++)
        LOG(WARNING, "job.lease_expired", KV_STR("job", pg_cell(r, i, 0)), KV_STR("kind", pg_cell(r, i, 1)),
            KV_STR("state", pg_cell(r, i, 2)));
    return NULL;
}

/** *ret_wait: when to look again without being told. */
static err_t claim(struct jobs *j, uint64_t *ret_wait) {
    struct claim c = {.j = j, .room = j->max_running - j->nrunning};
    struct pg_result *r;
    *ret_wait = JOBS_POLL_MS;
    if (c.room == 0 || j->nkinds == 0)
        return NULL; /* the end of a job wakes us */
    describe(j, arena_current(), &c);
    TRY(pg_tx(j->db, claim_body, &c));
    for (size_t i = 0; i < c.rows->rows; i++)
        jobs_spawn(j, c.rows, i, c.at);
    if (c.rows->rows > 0) {
        *ret_wait = 0; /* perhaps there are more */
        return NULL;
    }
    TRY(pg_rows(j->db, arena_current(), SQL_JOBS_NEXT_DUE, PG_ARGS(pg_text(c.kinds)), &r));
    int64_t due = pg_cell_int(r, 0, 0, JOBS_POLL_MS);
    *ret_wait = due < 10 ? 10 : due < JOBS_POLL_MS ? (uint64_t)due + 1 : JOBS_POLL_MS;
    return NULL;
}

err_t jobs_claimer(void *arg) {
    struct jobs *j = arg;
    uint64_t reap_at = 0;
    while (!j->draining) {
        struct arena_mark m = arena_mark(arena_current());
        uint64_t wait = SECONDS(1);
        err_t e = NULL;
        j->wake = false;
        if (loop_now() >= reap_at) {
            e = reap(j);
            reap_at = loop_now() + JOBS_POLL_MS;
        }
        if (e == NULL)
            e = claim(j, &wait);
        bool cancelled = err_is(e, ERR_CANCELLED), failed = e != NULL;
        if (failed && !cancelled && !err_is(e, ERR_DB_UNAVAILABLE)) /* the pool tells about that */
            LOG(WARNING, "jobs.claim_failed", KV_ERR(e));
        arena_rewind(arena_current(), m);
        uint64_t until = loop_now() + (failed ? SECONDS(1) : wait);
        while (!cancelled && loop_now() < until && (failed || !j->wake) && !j->draining)
            cancelled = err_is(fiber_park("jobs", until), ERR_CANCELLED);
        if (cancelled)
            break;
    }
    return NULL;
}

/* ---- heartbeats ---- */

static struct job *find_running(struct jobs *j, const char *id) {
    for
        list_each_safe(it, tmp, &j->running) {
            struct job *job = list_entry(it, struct job, link);
            if (z_eq(job->id, id))
                return job;
        }
    return NULL;
}

static err_t beat(struct jobs *j) {
    struct arena *a = arena_current();
    struct buf ids, fences;
    if (j->nrunning == 0)
        return NULL;
    buf_init(&ids, KIB(4), MIB(1));
    buf_init(&fences, KIB(4), MIB(1));
    for
        list_each_safe(it, tmp, &j->running) {
            struct job *job = list_entry(it, struct job, link);
            buf_putf(&ids, "%c%s", ids.n == 0 ? '{' : ',', job->id);
            buf_putf(&fences, "%c%lld", fences.n == 0 ? '{' : ',', (long long)job->fence);
        }
    buf_putc(&ids, '}');
    buf_putc(&fences, '}');
    CHECK(!ids.failed && !fences.failed);
    const char *id_list = str_z(a, buf_str(&ids)), *fence_list = str_z(a, buf_str(&fences));
    buf_done(&ids);
    buf_done(&fences);
    uint64_t at = loop_now();
    struct pg_result *r;
    TRY(pg_rows(j->db, a, SQL_JOBS_HEARTBEAT,
                PG_ARGS(pg_text(id_list), pg_text(fence_list), pg_int((int64_t)j->lease_ms)), &r));
    for (size_t i = 0; i < r->rows; i++) {
        struct job *job = find_running(j, pg_cell(r, i, 0));
        if (job == NULL)
            continue;
        job->lease_ok_at = at;
        if (pg_cell_bool(r, i, 1))
            job_stop(job, JOB_STOP_CANCEL);
    }
    for
        list_each_safe(it, tmp, &j->running) {
            struct job *job = list_entry(it, struct job, link);
            if (job->lease_ok_at < at && job->fence > 0 && strstr(id_list, job->id) != NULL)
                job_stop(job, JOB_STOP_LOST);
        }
    return NULL;
}

/** Without a heartbeat for a whole lease somebody else may have the job already: stop touching the world. */
static void stop_expired(struct jobs *j) {
    for
        list_each_safe(it, tmp, &j->running) {
            struct job *job = list_entry(it, struct job, link);
            if (loop_now() - job->lease_ok_at >= j->lease_ms)
                job_stop(job, JOB_STOP_LOST);
        }
}

err_t jobs_beater(void *arg) {
    struct jobs *j = arg;
    for (;;) {
        uint64_t every = j->lease_ms / 3, until = loop_now() + every;
        err_t e = NULL;
        while (loop_now() < until && !j->beat_now && !err_is(e, ERR_CANCELLED))
            e = fiber_park("jobs heartbeat", until);
        if (err_is(e, ERR_CANCELLED))
            return NULL;
        j->beat_now = false;
        struct arena_mark m = arena_mark(arena_current());
        fiber_set_deadline(deadline_in(every));
        e = beat(j);
        fiber_set_deadline(DEADLINE_NONE);
        bool cancelled = err_is(e, ERR_CANCELLED), failed = e != NULL;
        if (failed && !cancelled && !err_is(e, ERR_DB_UNAVAILABLE))
            LOG(WARNING, "jobs.heartbeat_failed", KV_ERR(e));
        arena_rewind(arena_current(), m);
        if (cancelled)
            return NULL;
        stop_expired(j);
        if (failed)
            TRY(fiber_sleep(every / 5 + 1));
        j->beat_now |= failed;
    }
}

/* ---- logs ---- */

err_t jobs_flusher(void *arg) {
    struct jobs *j = arg;
    while (fiber_sleep(JOBS_FLUSH_MS) == NULL) {
        bool again = true;
        while (again) { /* the list may change while one is written: start over after each */
            again = false;
            for
                list_each_safe(it, tmp, &j->running) {
                    struct job *job = list_entry(it, struct job, link);
                    if ((job->log_pending == 0 && job->log_dropped == 0) || job->flushing || job->stop == JOB_STOP_LOST)
                        continue;
                    struct arena_mark m = arena_mark(arena_current());
                    err_t e = job_flush_log(job);
                    again = e == NULL;
                    arena_rewind(arena_current(), m);
                    break;
                }
        }
    }
    return NULL;
}
