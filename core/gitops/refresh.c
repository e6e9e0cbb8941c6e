/* Comparison: desired commit against the fleet index; status row; automatic sync and self-heal. */
#include "core/gitops/internal.h"

#define HEAL_LIMIT 5 /* automatic repairs of one revision that may fail in a row before a person has to look */

struct status_write {
    struct arena *a;
    const struct app *app;
    const struct status *s;
    const char *desired;
    const char *error; /* JSON or NULL */
};

err_t publish_app(struct pg *tx, struct arena *a, const char *app_id, const char *scope_id) {
    struct str text;
    TRY(pg_json_text(tx, a, SQL_GITOPS_APP_EVENT, PG_ARGS(pg_uuid(app_id)), "application", &text));
    (void)scope_id;
    return bus_publish(tx, "application.status", app_id, "application", app_id, text.p);
}

static err_t write_status(struct pg *tx, void *arg) {
    struct status_write *w = arg;
    int64_t n = 0;
    TRY(pg_exec(tx, SQL_GITOPS_APP_STATUS,
                PG_ARGS(pg_uuid(w->app->id), pg_text(w->s->sync), pg_text(w->s->health),
                        pg_json(json_to_text(w->a, w->s->reasons)), pg_text(w->desired), pg_json(w->error)),
                &n));
    return n ? publish_app(tx, w->a, w->app->id, w->app->scope_id) : NULL;
}

err_t status_save(struct gitops *g, struct arena *a, const struct app *app, const struct status *s, const char *desired,
                  err_t error) {
    struct status_write w = {a, app, s, desired, error ? json_to_text(a, error_json(a, error)) : NULL};
    return pg_tx(g->db, write_status, &w);
}

/* The files cannot be read or rendered: say so, keep what runs. */
static err_t save_error(struct gitops *g, struct arena *a, const struct app *app, const char *desired, err_t error) {
    struct status s = {
        .sync = "Unknown", .health = app->health_status ? app->health_status : "Unknown", .reasons = json_array(a)};
    struct json *r = json_object(a);
    json_set_str(a, r, "code", err_code_wire(error->code));
    json_set_str(a, r, "message", err_chain(a, error));
    json_push(a, s.reasons, r);
    return status_save(g, a, app, &s, desired, error);
}

struct auto_sync {
    struct gitops *g;
    const struct app *app;
    struct sync_options options;
};

static err_t enqueue_auto(struct pg *tx, void *arg) {
    struct auto_sync *s = arg;
    struct uuid_text id;
    return gitops_sync(s->g, tx, s->app, &s->options, NULL, NULL, &id);
}

/* New commit: sync when automated and the commit is not fenced. Same commit: repair when selfHeal, towards what was deployed. */
static err_t maybe_sync(struct gitops *g, const struct app *app, const char *sha, const struct status *s,
                        const char *trigger) {
    if (z_eq(s->sync, "Synced") || app->suspended || app->deleting || app->maintenance)
        return NULL;
    bool fenced = z_eq(sha, app->fenced_commit), moved = !z_eq(sha, app->deployed_commit);
    struct auto_sync sync = {.g = g, .app = app, .options = {.trigger = trigger, .revision = sha}};
    /* The count is that of the commit tried last: many broken pushes must not keep a good one out. */
    bool tries_left = app->sync_failures < app->policy.retry_limit || !z_eq(app->tried_commit, sha);
    if (moved && !fenced && app->policy.automated && tries_left)
        return pg_tx(g->db, enqueue_auto, &sync);
    /* A fenced commit alone is out of sync for ever and nothing to repair. */
    if (!s->drifted || app->deployed_commit == NULL || !app->policy.self_heal || app->sync_failures >= HEAL_LIMIT ||
        (moved && !fenced))
        return NULL;
    sync.options.trigger = "self-heal";
    sync.options.revision = app->deployed_commit;
    return pg_tx(g->db, enqueue_auto, &sync);
}

/* A commit that failed its health gate is not the measure of drift: what was deployed is. */
static const char *measure_of(const struct app *app, const char *sha) {
    return z_eq(sha, app->fenced_commit) && app->deployed_commit ? app->deployed_commit : sha;
}

static void add_fenced(struct arena *a, const char *sha, struct status *ret) {
    ret->sync = "OutOfSync";
    struct json *r = json_object(a);
    json_set_str(a, r, "code", "fenced");
    json_set_str(a, r, "message", arena_printf(a, "commit %.12s failed before and is not applied automatically", sha));
    json_push(a, ret->reasons, r);
}

static err_t compare(struct gitops *g, struct arena *a, struct app *app, const char *sha, struct status *ret) {
    struct desired *want;
    struct observed *have;
    struct plan *plan;
    const struct json *previous;
    const char *measure = measure_of(app, sha);
    TRY(app_last_rendered(g->db, a, app, &previous));
    /* Nothing yields while the cached state is in use. */
    struct cached_desired *c = map_getz(&g->cache, app->id);
    if (c && c->app_version == app->version && z_eq(c->sha, measure))
        want = c->want;
    else
        TRY(desired_of(g, a, app, measure, &want));
    TRY(observe_fleet(a, g->fleet, app->node_id, want, &have));
    TRY(plan_build(a, want, have, previous, &plan));
    status_of(a, plan, have, ret);
    if (measure != sha)
        add_fenced(a, sha, ret);
    return NULL;
}

/* The index runs behind the engine by an event or two: before anything is called drift, or repaired, the engine itself is asked. */
static err_t confirm_drift(struct gitops *g, struct arena *a, struct app *app, const char *sha, struct status *ret) {
    struct desired *want;
    struct observed *have;
    struct plan *plan;
    const char *measure = measure_of(app, sha);
    TRY(desired_of(g, a, app, measure, &want));
    TRY(observe_now(g, a, app->node_id, want, &have));
    TRY(plan_build(a, want, have, NULL, &plan));
    status_of(a, plan, have, ret);
    if (measure != sha)
        add_fenced(a, sha, ret);
    return NULL;
}

static err_t look(struct gitops *g, struct arena *a, struct app *app, const char *sha, struct status *ret) {
    if (app->node_id == NULL)
        return err_new(ERR_INVALID, "the application has no node");
    err_t e = compare(g, a, app, sha, ret);
    if (err_is(e, ERR_CONFLICT)) /* who is in the way may be gone already */
        return confirm_drift(g, a, app, sha, ret);
    TRY(e);
    bool drifted = ret->drifted && z_eq(measure_of(app, sha), app->deployed_commit);
    return drifted ? confirm_drift(g, a, app, sha, ret) : NULL;
}

err_t refresh_app(struct gitops *g, const char *app_id, bool offline, const char *trigger) {
    struct arena *a = arena_current();
    struct app *app;
    struct git_commit commit;
    struct status s;
    err_t e = app_load(g->db, a, app_id, &app);
    if (e)
        return e->code == ERR_NOT_FOUND ? NULL : e;
    if (app->deleting)
        return NULL;
    e = resolve_commit(g, a, app, NULL, offline, &commit);
    if (e)
        return e->code == ERR_CANCELLED ? e : save_error(g, a, app, NULL, e);
    e = look(g, a, app, commit.sha, &s);
    if (e)
        return e->code == ERR_CANCELLED || e->code == ERR_DB_UNAVAILABLE ? e : save_error(g, a, app, commit.sha, e);
    TRY(status_save(g, a, app, &s, commit.sha, NULL));
    return maybe_sync(g, app, commit.sha, &s, trigger);
}

err_t job_refresh(struct job *job, void *arg) {
    struct gitops *g = arg;
    bool offline = json_get_bool(job_payload(job), "offline", false);
    const char *trigger = json_str_or(json_get(job_payload(job), "trigger"), "poll");
    return refresh_app(g, job_object_id(job), offline, trigger);
}

err_t gitops_compare(struct gitops *g, struct arena *a, const char *app_id, const char **ret_status) {
    struct app *app;
    struct desired *want;
    struct observed *have;
    struct plan *plan;
    struct status s;
    TRY(desired_cached(g, app_id, &app, &want));
    TRY(observe_fleet(a, g->fleet, app->node_id, want, &have));
    TRY(plan_build(a, want, have, NULL, &plan));
    status_of(a, plan, have, &s);
    *ret_status = s.sync;
    return NULL;
}
