/* The deployment job: resolve -> render -> observe -> plan -> execute -> health gate -> record. Everything it did is in the
 * database before and after each operation; after a crash the next claim observes again and goes on. */
#include "core/base/fault.h"
#include "core/docker/image.h"
#include "core/gitops/approvals.h"
#include "core/gitops/internal.h"

struct sync {
    struct gitops *g;
    struct job *job;
    struct arena *a;
    struct app *app;
    struct docker *docker;
    struct git_commit commit;
    struct desired *want;
    struct plan *plan;
    struct observed *have;
    const char *deployment_id, *trigger;
    const struct json *payload;
    struct json *rendered, *images;
    size_t done_ops;
    /* What an earlier attempt of this job, which was interrupted, wrote down; NULL without one. */
    const char *begun_id, *begun_commit;
    const struct json *removed_networks;
    struct guard_rights rights;
    struct guard_uses uses; /* of the person's rights */
    /* of the write under way */
    const struct op *op;
    enum op_state op_state;
    err_t error;
    const struct json *after;
};

static const char *user_of(const struct sync *s) { return job_by(s->job)->user_id; }

/* --- records --- */

static err_t begin_tx(struct pg *tx, void *arg) {
    struct sync *s = arg;
    if (s->begun_id) {
        s->deployment_id = s->begun_id;
        TRY(pg_exec(tx, SQL_GITOPS_DEPLOYMENT_RESUME, PG_ARGS(pg_uuid(s->deployment_id), pg_int(job_fence(s->job))),
                    NULL));
    } else {
        s->deployment_id = uuid7_new(s->a);
        TRY(pg_exec(tx, SQL_GITOPS_DEPLOYMENT_INSERT,
                    PG_ARGS(pg_uuid(s->deployment_id), pg_uuid(s->app->id), pg_text(s->commit.sha),
                            pg_text(*s->app->revision ? s->app->revision : s->app->repo_branch),
                            pg_text(s->commit.author), pg_text(s->commit.message), pg_int(s->commit.time_ms),
                            pg_text(s->trigger), pg_uuid(user_of(s)), pg_uuid(job_id(s->job)),
                            pg_int(job_fence(s->job)), pg_uuid(json_get_str(s->payload, "rollbackTo"))),
                    NULL));
    }
    bool back = z_eq(s->trigger, "rollback") || z_eq(s->trigger, "self-heal");
    TRY(pg_exec(tx, SQL_GITOPS_APP_DEPLOYING,
                PG_ARGS(pg_uuid(s->app->id), pg_uuid(job_id(s->job)), pg_text(s->commit.sha), pg_uuid(s->deployment_id),
                        pg_bool(back)),
                NULL));
    return publish_app(tx, s->a, s->app->id, s->app->scope_id);
}

static err_t planned_tx(struct pg *tx, void *arg) {
    struct sync *s = arg;
    struct json *plan = plan_to_json(s->a, s->plan);
    TRY(pg_exec(tx, SQL_GITOPS_DEPLOYMENT_PLANNED,
                PG_ARGS(pg_uuid(s->deployment_id), pg_json(json_to_text(s->a, plan)),
                        pg_json(json_to_text(s->a, s->rendered)), pg_int(job_fence(s->job))),
                NULL));
    TRY(pg_exec(tx, SQL_GITOPS_OPS_CLEAR, PG_ARGS(pg_uuid(s->deployment_id)), NULL));
    return pg_exec(tx, SQL_GITOPS_OPS_INSERT,
                   PG_ARGS(pg_uuid(s->deployment_id), pg_json(json_to_text(s->a, json_get(plan, "ops"))),
                           pg_int(job_fence(s->job))),
                   NULL);
}

static struct json *progress_json(struct sync *s) {
    struct arena *a = arena_current();
    struct json *j = json_object(a), *op = json_object(a);
    json_set_str(a, j, "deploymentId", s->deployment_id);
    json_set_str(a, j, "applicationId", s->app->id);
    json_set_str(a, op, "id", s->op->id);
    json_set_str(a, op, "kind", op_kind_name(s->op->kind));
    json_set_str(a, op, "title", s->op->title);
    json_set_str(a, op, "state", op_state_name(s->op_state));
    if (s->error)
        json_set(a, op, "error", error_json(a, s->error));
    json_set(a, j, "op", op);
    json_set_int(a, j, "done", (int64_t)s->done_ops);
    json_set_int(a, j, "total", (int64_t)s->plan->ops.n);
    return j;
}

static err_t op_tx(struct pg *tx, void *arg) {
    struct sync *s = arg;
    struct arena *a = arena_current();
    TRY(pg_exec(tx, SQL_GITOPS_OP_STATE,
                PG_ARGS(pg_uuid(s->deployment_id), pg_text(s->op->id), pg_text(op_state_name(s->op_state)),
                        pg_json(s->error ? json_to_text(a, error_json(a, s->error)) : NULL),
                        pg_json(s->after ? json_to_text(a, s->after) : NULL), pg_int(job_fence(s->job))),
                NULL));
    if (s->op_state != OP_RUNNING)
        TRY(job_progress(s->job, tx, (int)(s->done_ops * 100 / (s->plan->ops.n ? s->plan->ops.n : 1)), s->op->title));
    return bus_publish(tx, "deployment.progress", s->app->id, "application", s->app->id,
                       json_to_text(a, progress_json(s)));
}

static err_t on_op(void *ctx, const struct op *op, enum op_state state, err_t error, const struct json *after) {
    /* Several operations report at once: each writes through its own copy. */
    struct sync mine = *(struct sync *)ctx;
    struct sync *shared = ctx;
    if (state == OP_SUCCEEDED)
        mine.done_ops = ++shared->done_ops;
    mine.op = op;
    mine.op_state = state;
    mine.error = error;
    mine.after = after;
    return job_tx(mine.job, op_tx, &mine);
}

struct removal {
    struct sync *s;
    const struct json *networks;
};

static err_t removed_tx(struct pg *tx, void *arg) {
    struct removal *r = arg;
    return pg_exec(tx, SQL_GITOPS_DEPLOYMENT_REMOVED,
                   PG_ARGS(pg_uuid(r->s->deployment_id),
                           pg_json(r->networks ? json_to_text(arena_current(), r->networks) : NULL),
                           pg_int(job_fence(r->s->job))),
                   NULL);
}

static err_t on_networks(void *ctx, const struct json *removed) {
    struct removal r = {ctx, removed};
    return job_tx(r.s->job, removed_tx, &r);
}

static void on_log(void *ctx, const struct op *op, const char *level, const char *line) {
    struct sync *s = ctx;
    job_log(s->job, level, op ? op->id : "", "%s", line);
}

static void on_progress(void *ctx, const struct op *op, const char *text, int64_t done, int64_t total) {
    struct sync *s = ctx;
    if (total > 0)
        job_log(s->job, "debug", op->id, "%s %lld of %lld bytes", text ? text : "", (long long)done, (long long)total);
}

/* --- the end --- */

struct ending {
    struct sync *s;
    err_t error;
    const char *status;
    struct status st;
    bool fence;
};

/* An automatic sync has tries left (refresh.c counts them): the first again after 5 s, then twice as long each time, up to 3 minutes. */
static err_t retry_later(struct pg *tx, const struct sync *s) {
    int64_t failed = z_eq(s->commit.sha, s->app->tried_commit) ? s->app->sync_failures : 0;
    uint64_t delay = SECONDS(5) << (failed < 6 ? failed : 6);
    if (!s->app->policy.automated && !s->app->policy.self_heal)
        return NULL;
    return enqueue_refresh(tx, s->app->id, delay < MINUTES(3) ? delay : MINUTES(3));
}

static err_t finish_tx(struct pg *tx, void *arg) {
    struct ending *e = arg;
    struct sync *s = e->s;
    const char *error = e->error ? json_to_text(s->a, error_json(s->a, e->error)) : NULL;
    struct str event;
    TRY(pg_exec(tx, SQL_GITOPS_DEPLOYMENT_FINISH,
                PG_ARGS(pg_uuid(s->deployment_id), pg_text(e->status), pg_json(error),
                        pg_json(s->images ? json_to_text(s->a, s->images) : NULL), pg_int(job_fence(s->job))),
                NULL));
    const char *reasons = json_to_text(s->a, e->st.reasons);
    bool rollback = z_eq(s->trigger, "rollback");
    if (e->error)
        TRY(pg_exec(tx, SQL_GITOPS_APP_FAILED,
                    PG_ARGS(pg_uuid(s->app->id), pg_text(e->st.health), pg_json(reasons), pg_json(error),
                            pg_text(e->fence ? s->commit.sha : "")),
                    NULL));
    else
        TRY(pg_exec(tx, SQL_GITOPS_APP_DEPLOYED,
                    PG_ARGS(pg_uuid(s->app->id), pg_text(e->st.sync), pg_text(e->st.health), pg_text(s->commit.sha),
                            pg_json(reasons),
                            pg_text(rollback && s->app->desired_commit && !z_eq(s->app->desired_commit, s->commit.sha)
                                        ? s->app->desired_commit
                                        : "")),
                    NULL));
    if (e->error && !z_eq(e->status, "cancelled") && !e->fence)
        TRY(retry_later(tx, s));
    if (e->error == NULL)
        TRY(approvals_add(tx, s->a, s->app->id, job_by(s->job), &s->uses));
    TRY(pg_json_text(tx, s->a, SQL_GITOPS_DEPLOYMENT_EVENT, PG_ARGS(pg_uuid(s->deployment_id)), "deployment", &event));
    TRY(bus_publish(tx, "deployment.finished", s->app->id, "application", s->app->id, event.p));
    TRY(pg_exec(tx, SQL_GITOPS_HISTORY_PURGE, PG_ARGS(pg_uuid(s->app->id), pg_int(s->g->conf.history_limit)), NULL));
    return publish_app(tx, s->a, s->app->id, s->app->scope_id);
}

static void status_now(struct sync *s, struct status *ret) {
    struct observed *have;
    struct plan *left;
    *ret = (struct status){.sync = "Unknown", .health = "Unknown", .reasons = json_array(s->a)};
    if (s->docker == NULL || s->want == NULL)
        return;
    err_t e = observe_engine(s->a, s->docker, s->want, deadline_in(SECONDS(30)), &have);
    if (e == NULL)
        e = plan_build(s->a, s->want, have, s->rendered, &left);
    if (e == NULL)
        status_of(s->a, left, have, ret);
}

/* A revision that broke in building, starting or its health check is not tried again by itself. */
static bool is_bad_revision(err_t e) {
    return e && (e->code == ERR_HEALTH_CHECK_FAILED || e->code == ERR_DEPLOYMENT_FAILED ||
                 e->code == ERR_BUILD_FAILED || e->code == ERR_POLICY);
}

static err_t finish(struct sync *s, err_t error) {
    struct ending e = {
        .s = s, .error = error, .fence = is_bad_revision(error) && !z_eq(s->commit.sha, s->app->deployed_commit)};
    bool cancelled = error && error->code == ERR_CANCELLED;
    e.status = error == NULL ? "succeeded" : cancelled ? "cancelled" : "failed";
    FAULT("sync.before_finish");
    fiber_mask();
    status_now(s, &e.st);
    /* Nothing was touched: what ran before still runs as it did. */
    if (s->want == NULL && s->app->health_status)
        e.st.health = s->app->health_status;
    err_t w = job_tx(s->job, finish_tx, &e);
    fiber_unmask();
    FAULT("sync.after_finish");
    cache_drop(s->g, s->app->id);
    return error ? error : w;
}

/* --- the walk --- */

static const char **strings(struct arena *a, const struct json *arr, size_t *n) {
    const char **v = arena_new_array(a, const char *, json_len(arr) + 1);
    *n = 0;
    for (size_t i = 0; i < json_len(arr); i++)
        if (json_str(json_at(arr, i)))
            v[(*n)++] = json_str(json_at(arr, i));
    return v;
}

static err_t resolve(struct sync *s) {
    /* The branch may have moved since; what was begun is brought to its end. */
    const char *revision = s->begun_commit ? s->begun_commit : json_get_str(s->payload, "revision");
    const char *rollback = json_get_str(s->payload, "rollbackTo");
    if (rollback) {
        struct pg_result *r;
        TRY(pg_one(s->g->db, s->a, SQL_GITOPS_DEPLOYMENT_FOR_ROLLBACK, PG_ARGS(pg_uuid(rollback), pg_uuid(s->app->id)),
                   "deployment", &r));
        revision = pg_cell(r, 0, 0);
        struct json *images;
        TRY(json_parse(s->a, str_of(pg_cell(r, 0, 2) ? pg_cell(r, 0, 2) : "{}"), NULL, &images));
        s->images = images; /* what to pin; replaced by what was used */
    }
    return resolve_commit(s->g, s->a, s->app, revision, false, &s->commit);
}

/* A rollback runs the images of that deployment, even if their tags moved since. */
static err_t pin_images(struct sync *s) {
    for (size_t i = 0; i < s->want->n_services; i++) {
        struct desired_service *d = &s->want->services[i];
        const char *id = json_get_str(json_get(s->images, d->service->name), "id");
        struct docker_image *now, *then;
        if (id == NULL || (docker_image_inspect(s->docker, s->a, d->image, deadline_in(SECONDS(30)), &now) == NULL &&
                           z_eq(now->id, id)))
            continue;
        err_t e = docker_image_inspect(s->docker, s->a, id, deadline_in(SECONDS(30)), &then);
        if (e && e->code != ERR_NOT_FOUND)
            return e;
        if (e == NULL) {
            d->image = id;
            d->want = IMAGE_NEVER;
        }
    }
    return NULL;
}

/* Taking over stops what somebody else runs on the node: the right to that is asked for again, on the node as it is now. */
static err_t may_adopt(struct sync *s) {
    const struct principal *who;
    s->want->adopt = json_get_bool(s->payload, "adopt", false);
    return s->want->adopt ? gitops_person(s->g, s->job, "container:stop", s->app->node_scope, &who) : NULL;
}

static err_t prepare(struct sync *s) {
    if (s->rendered)
        return NULL; /* looked at before there was a record */
    if (s->app->node_id == NULL)
        return err_new(ERR_INVALID, "the application has no node to run on; choose one in its settings");
    if (s->app->maintenance)
        return err_new(ERR_CONFLICT, "node %s is in maintenance", s->app->node_name);
    if (s->docker == NULL)
        TRY(fleet_docker(s->g->fleet, s->app->node_id, &s->docker));
    TRY(desired_of(s->g, s->a, s->app, s->commit.sha, &s->want));
    s->want->prune = s->want->prune || json_get_bool(s->payload, "prune", false);
    s->want->force = json_get_bool(s->payload, "force", false);
    s->want->resumed = s->begun_id != NULL;
    s->want->removed_networks = s->removed_networks;
    TRY(may_adopt(s));
    const struct json *only = json_get(s->payload, "services");
    if (json_len(only))
        s->want->only = strings(s->a, only, &s->want->n_only);
    if (json_get_str(s->payload, "rollbackTo"))
        TRY(pin_images(s));
    s->rendered = source_rendered(s->a, s->want);
    return NULL;
}

static err_t observe_and_plan(struct sync *s) {
    const struct json *previous;
    if (s->plan)
        return NULL;
    TRY(observe_engine(s->a, s->docker, s->want, deadline_in(MINUTES(1)), &s->have));
    TRY(disown_orphans(s->g, s->a, s->want, s->have));
    TRY(app_last_rendered(s->g->db, s->a, s->app, &previous));
    return plan_build(s->a, s->want, s->have, previous, &s->plan);
}

static err_t make_plan(struct sync *s) {
    TRY(observe_and_plan(s));
    for
        vec_each(w, &s->plan->warnings)
            job_log(s->job, "warning", "plan", "%s", *w);
    job_log(s->job, "info", "plan", "%zu operations", s->plan->ops.n);
    return job_tx(s->job, planned_tx, s);
}

static err_t execute(struct sync *s) {
    /* Our data directory is a place of this machine only. */
    if (docker_is_local(s->docker)) {
        s->rights.forbid_paths = s->g->conf.forbid_paths;
        s->rights.nforbid_paths = s->g->conf.n_forbid_paths;
    }
    struct source_conf source = {
        .mirror = repo_mirror(s->g, s->a, s->app->repo_id), .sha = s->commit.sha, .deadline = deadline_in(MINUTES(10))};
    struct apply_conf conf = {
        .docker = s->docker,
        .plan = s->plan,
        .source = &source,
        .rights = &s->rights,
        .deployment_id = s->deployment_id,
        .max_parallel = s->g->conf.max_parallel,
        .deadline = deadline_in(s->g->conf.deploy_timeout_s * 1000),
        .hooks = {.on_op = on_op, .on_networks = on_networks, .on_log = on_log, .on_progress = on_progress, .ctx = s}};
    return apply_plan(s->a, &conf, &s->images);
}

static err_t step(struct sync *s, const char *name, err_t (*fn)(struct sync *s)) {
    TRY(job_step(s->job, name, JOB_STEP_RUNNING, NULL));
    err_t e = fn(s);
    fiber_mask();
    err_t w = job_step(s->job, name, e ? JOB_STEP_FAILED : JOB_STEP_SUCCEEDED, e ? e->message : NULL);
    fiber_unmask();
    FAULT(arena_printf(s->a, "sync.after_%s", name));
    return e ? e : w;
}

static err_t deploy(struct sync *s) {
    TRY(step(s, "render", prepare));
    TRY(step(s, "plan", make_plan));
    return step(s, "apply", execute);
}

static err_t check_originator(struct sync *s) {
    const struct gitops_conf *c = &s->g->conf;
    const struct principal *who;
    bool back = json_get_str(s->payload, "rollbackTo") != NULL;
    TRY(gitops_person(s->g, s->job, back ? "application:rollback" : "application:sync", s->app->id, &who));
    s->rights = (struct guard_rights){0};
    /* Automatic syncs have no rights to dangerous options, only to those that somebody deployed before. */
    if (who == NULL)
        return approvals_load(s->g, s->a, s->app->id, &s->rights);
    s->uses.a = s->a;
    s->rights.allow = c->rights.guard(c->rights.ctx, who, s->app->id);
    s->rights.uses = &s->uses;
    return NULL;
}

struct early {
    struct sync *s;
    err_t error;
};

static err_t early_tx(struct pg *tx, void *arg) {
    struct early *e = arg;
    struct sync *s = e->s;
    TRY(pg_exec(tx, SQL_GITOPS_APP_FAILED,
                PG_ARGS(pg_uuid(s->app->id), pg_text(s->app->health_status ? s->app->health_status : "Unknown"),
                        pg_json("[]"), pg_json(json_to_text(s->a, error_json(s->a, e->error))), pg_text("")),
                NULL));
    return publish_app(tx, s->a, s->app->id, s->app->scope_id);
}

/* Before there is a deployment row the failure belongs to the application alone. */
static err_t fail_early(struct sync *s, err_t error) {
    struct early e = {s, error};
    err_ignore(job_tx(s->job, early_tx, &e));
    return error;
}

static err_t idle(struct sync *s, err_t e) {
    err_ignore(pg_exec(s->g->db, SQL_GITOPS_APP_IDLE, PG_ARGS(pg_uuid(s->app->id), pg_uuid(job_id(s->job))), NULL));
    return e;
}

/* What the clock or an event asked for may have been overtaken while it waited: by a rollback, a failure of the same commit, or a
 * change of policy. What was begun already is brought to its end. */
static bool overtaken(const struct sync *s) {
    const char *revision = json_get_str(s->payload, "revision");
    if (s->app->suspended || s->app->deleting)
        return true;
    if (z_eq(s->trigger, "self-heal"))
        return !s->app->policy.self_heal || !z_eq(revision, s->app->deployed_commit);
    return !s->app->policy.automated || z_eq(revision, s->app->fenced_commit);
}

static bool still_wanted(const struct sync *s) { return user_of(s) || s->begun_id || !overtaken(s); }

static err_t load_begun(struct sync *s) {
    struct pg_result *r;
    struct json *removed;
    TRY(pg_rows(s->g->db, s->a, SQL_GITOPS_DEPLOYMENT_OF_JOB, PG_ARGS(pg_uuid(job_id(s->job))), &r));
    if (r->rows == 0)
        return NULL;
    s->begun_id = pg_cell(r, 0, 0);
    s->begun_commit = pg_cell(r, 0, 1);
    if (pg_cell(r, 0, 2)) {
        TRY(json_parse(s->a, str_of(pg_cell(r, 0, 2)), NULL, &removed));
        s->removed_networks = removed;
    }
    return NULL;
}

/* What nobody asked for leaves no record when there turns out to be nothing to do. A failure is met again, and recorded, below. */
static err_t nothing_to_do(struct sync *s, bool *ret) {
    struct status st;
    *ret = false;
    if (user_of(s) || s->begun_id)
        return NULL;
    err_t e = prepare(s);
    if (e == NULL)
        e = observe_and_plan(s);
    if (e)
        return e->code == ERR_CANCELLED || e->code == ERR_FENCED ? e : NULL;
    status_of(s->a, s->plan, s->have, &st);
    if (s->plan->ops.n)
        return NULL;
    *ret = true;
    cache_drop(s->g, s->app->id);
    return status_save(s->g, s->a, s->app, &st, NULL, NULL);
}

err_t job_sync(struct job *job, void *arg) {
    struct sync s = {.g = arg, .job = job, .a = arena_current(), .payload = job_payload(job)};
    bool idle_sync;
    err_t e = app_load(s.g->db, s.a, job_object_id(job), &s.app);
    if (e)
        return e;
    s.trigger = json_str_or(json_get(s.payload, "trigger"), "manual");
    FAULT("sync.claimed");
    TRY(check_originator(&s));
    TRY(load_begun(&s));
    if (!still_wanted(&s)) {
        job_log(job, "info", "", "not needed any more: the application or its policy changed meanwhile");
        return NULL;
    }
    e = step(&s, "resolve", resolve);
    if (e)
        return e->code == ERR_CANCELLED || e->code == ERR_FENCED ? idle(&s, e) : fail_early(&s, e);
    e = nothing_to_do(&s, &idle_sync);
    if (e || idle_sync) {
        docker_unref(s.docker);
        return idle(&s, e);
    }
    FAULT("sync.before_record");
    e = job_tx(job, begin_tx, &s);
    if (e) {
        docker_unref(s.docker);
        return e;
    }
    FAULT("sync.recorded");
    e = deploy(&s);
    /* Shutdown or a lost lease: the next claim goes on from what it finds. */
    bool handed_over = e && (e->code == ERR_FENCED || (e->code == ERR_CANCELLED && !job_cancel_requested(job)));
    if (!handed_over)
        e = finish(&s, e);
    docker_unref(s.docker);
    return e;
}
