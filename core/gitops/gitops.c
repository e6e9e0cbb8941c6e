#include <stdlib.h>
#include <sys/stat.h>
#include "core/docker/container.h"
#include "core/docker/network.h"
#include "core/docker/volume.h"
#include "core/gitops/internal.h"

struct gitops *gitops_new(const struct gitops_conf *conf, struct pg *db, const struct keyring *keys,
                          struct fleet *fleet, struct jobs *jobs) {
    struct gitops *g = calloc(1, sizeof(*g));
    CHECK(g != NULL);
    g->conf = *conf;
    g->conf.resync_s = conf->resync_s ? conf->resync_s : 600;
    g->conf.history_limit = conf->history_limit ? conf->history_limit : 50;
    g->conf.deploy_timeout_s = conf->deploy_timeout_s ? conf->deploy_timeout_s : 1800;
    g->db = db;
    AUTO(arena) a = arena_new("gitops", 0);
    (void)mkdir(arena_printf(a, "%s/git", conf->data_dir), 0700); /* where it is missing, fetching says so */
    g->keys = keys;
    g->fleet = fleet;
    g->jobs = jobs;
    map_init(&g->dirty, NULL);
    map_init(&g->cache, NULL);
    cond_init(&g->dirty_cond);
    return g;
}

void gitops_free(struct gitops *g) {
    if (g == NULL)
        return;
    for (struct map_entry *e = NULL; (e = map_next(&g->cache, e));)
        arena_unref(((struct cached_desired *)e->value)->a);
    map_done(&g->cache);
    map_done(&g->dirty);
    free(g);
}

void gitops_register(struct gitops *g) {
    const struct job_kind kinds[] = {
        {.name = JOB_POLL, .run = job_poll, .arg = g, .max_running = 4, .timeout_ms = MINUTES(5)},
        {.name = JOB_REFRESH, .run = job_refresh, .arg = g, .max_running = 8, .timeout_ms = MINUTES(10)},
        {.name = JOB_SYNC, .run = job_sync, .arg = g, .max_running = 8, .backoff_ms = SECONDS(2)},
        {.name = JOB_DELETE, .run = job_delete, .arg = g, .max_running = 4, .backoff_ms = SECONDS(2)},
    };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        jobs_register(g->jobs, &kinds[i]);
}

/* --- giving work --- */

static char *sync_payload(struct arena *a, const struct sync_options *o) {
    struct json *j = json_object(a), *services = json_array(a);
    json_set_str(a, j, "trigger", o->trigger ? o->trigger : "manual");
    if (o->revision)
        json_set_str(a, j, "revision", o->revision);
    if (o->rollback_to)
        json_set_str(a, j, "rollbackTo", o->rollback_to);
    json_set_bool(a, j, "prune", o->prune);
    json_set_bool(a, j, "force", o->force);
    if (o->adopt)
        json_set_bool(a, j, "adopt", true);
    for (size_t i = 0; i < o->n_services; i++)
        json_push(a, services, json_string(a, o->services[i]));
    json_set(a, j, "services", services);
    return json_to_text(a, j);
}

static const struct job_origin NOBODY;

err_t gitops_sync(struct gitops *g, struct pg *tx, const struct app *app, const struct sync_options *o,
                  const struct job_origin *by, const char *request_id, struct uuid_text *ret_job) {
    struct arena *a = arena_current();
    (void)g;
    if (app->deleting)
        return err_new(ERR_CONFLICT, "the application is being deleted");
    if (o->revision && !git_ref_valid(o->revision))
        return err_field(err_new(ERR_INVALID, "'%s' is not a legal branch, tag or commit", o->revision), "/revision");
    struct job_spec spec = {.kind = JOB_SYNC,
                            .key = arena_printf(a, "app:%s", app->id),
                            .org_id = app->org_id,
                            .scope_id = app->id,
                            .object_kind = "application",
                            .object_id = app->id,
                            .payload = sync_payload(a, o),
                            .by = by ? *by : NOBODY,
                            .request_id = request_id,
                            .priority = by ? 10 : 0,
                            .coalesce = by == NULL};
    return jobs_enqueue(tx, &spec, ret_job, NULL);
}

err_t gitops_refresh(struct gitops *g, struct pg *tx, const char *app_id, const char *scope_id,
                     const struct job_origin *by, struct uuid_text *ret_job) {
    struct arena *a = arena_current();
    (void)g;
    struct job_spec spec = {.kind = JOB_REFRESH,
                            .key = arena_printf(a, "app:%s", app_id),
                            .scope_id = scope_id,
                            .object_kind = "application",
                            .object_id = app_id,
                            .by = by ? *by : NOBODY,
                            .priority = by ? 10 : 0};
    return jobs_enqueue(tx, &spec, ret_job, NULL);
}

const char *trigger_payload(const char *trigger) {
    return z_eq(trigger, "webhook") ? "{\"offline\":true,\"trigger\":\"webhook\"}" : "{\"offline\":true}";
}

err_t gitops_poll(struct gitops *g, struct pg *tx, const char *repo_id, const char *scope_id, const char *trigger,
                  struct uuid_text *ret_job) {
    (void)g;
    struct job_spec spec = {.kind = JOB_POLL,
                            .key = arena_printf(arena_current(), "repo:%s", repo_id),
                            .scope_id = scope_id,
                            .object_kind = "repository",
                            .object_id = repo_id,
                            .payload = trigger_payload(trigger),
                            .coalesce = true,
                            .priority = 5};
    return jobs_enqueue(tx, &spec, ret_job, NULL);
}

err_t gitops_delete(struct gitops *g, struct pg *tx, const struct app *app, const struct job_origin *by,
                    struct uuid_text *ret_job) {
    struct arena *a = arena_current();
    (void)g;
    struct job_spec spec = {.kind = JOB_DELETE,
                            .key = arena_printf(a, "app:%s", app->id),
                            .org_id = app->org_id,
                            .scope_id = app->scope_id,
                            .object_kind = "application",
                            .object_id = app->id,
                            .by = *by,
                            .priority = 10,
                            .max_attempts = 3};
    return jobs_enqueue(tx, &spec, ret_job, NULL);
}

err_t gitops_person(struct gitops *g, struct job *job, const char *permission, const char *scope_id,
                    const struct principal **ret) {
    const struct gitops_rights *c = &g->conf.rights;
    *ret = NULL;
    if (job_by(job)->user_id == NULL || c->person == NULL)
        return NULL;
    TRY(c->person(c->ctx, arena_current(), job_by(job), ret));
    return c->may(c->ctx, *ret, permission, scope_id)
               ? NULL
               : err_detail(err_new(ERR_AUTHZ_REVOKED, "whoever started this does not have %s any more", permission),
                            "permission", permission);
}

/* --- removal --- */

static err_t remove_containers(struct docker *d, struct arena *a, struct job *job, const struct app *app) {
    const char *label = arena_printf(a, LABEL_APP "=%s", app->id);
    struct docker_list_filter f = {.all = true, .labels = &label, .nlabels = 1};
    struct docker_container *rows;
    size_t n;
    TRY(docker_container_list(d, a, &f, deadline_in(MINUTES(1)), &rows, &n));
    for (size_t i = 0; i < n; i++) {
        TRY(job_progress(job, NULL, (int)(i * 80 / n), rows[i].name));
        if (z_eq(rows[i].state, "running"))
            TRY(docker_container_stop(d, rows[i].id, -1, NULL, deadline_in(MINUTES(3))));
        TRY(docker_container_remove(d, rows[i].id, true, true, deadline_in(MINUTES(1))));
    }
    return NULL;
}

static err_t remove_rest(struct docker *d, struct arena *a, const struct app *app) {
    const char *label = arena_printf(a, LABEL_APP "=%s", app->id), *both[] = {label, LABEL_FILES};
    struct docker_network *nets;
    struct docker_volume *vols;
    size_t n;
    TRY(docker_network_list(d, a, &label, 1, deadline_in(MINUTES(1)), &nets, &n));
    for (size_t i = 0; i < n; i++)
        TRY(docker_network_remove(d, nets[i].id, deadline_in(MINUTES(1))));
    /* Only our own copies of repository files: volumes with data stay. */
    TRY(docker_volume_list(d, a, both, 2, deadline_in(MINUTES(1)), &vols, &n));
    for (size_t i = 0; i < n; i++)
        TRY(docker_volume_remove(d, vols[i].name, false, deadline_in(MINUTES(1))));
    return NULL;
}

struct gone {
    struct arena *a;
    const struct app *app;
};

static err_t gone_tx(struct pg *tx, void *arg) {
    struct gone *x = arg;
    TRY(bus_publish(tx, "application.deleted", x->app->scope_id, "application", x->app->id,
                    arena_printf(x->a, "{\"id\":\"%s\",\"name\":\"%s\"}", x->app->id, x->app->name)));
    return pg_exec(tx, SQL_GITOPS_APP_DELETE, PG_ARGS(pg_uuid(x->app->id)), NULL);
}

err_t job_delete(struct job *job, void *arg) {
    struct gitops *g = arg;
    struct arena *a = arena_current();
    struct app *app;
    err_t e = app_load(g->db, a, job_object_id(job), &app);
    if (e)
        return e->code == ERR_NOT_FOUND ? NULL : e;
    const struct principal *who;
    TRY(gitops_person(g, job, "application:delete", app->id, &who));
    if (app->node_id) {
        struct docker *d;
        TRY(fleet_docker(g->fleet, app->node_id, &d));
        e = remove_containers(d, a, job, app);
        if (e == NULL)
            e = remove_rest(d, a, app);
        docker_unref(d);
        TRY(e);
    }
    cache_drop(g, app->id);
    struct gone x = {a, app};
    return job_tx(job, gone_tx, &x);
}
