/* What people look at: plan of a dry run, resource tree, diff, rendered manifest. */
#include "core/gitops/internal.h"

err_t gitops_plan(struct gitops *g, struct arena *a, const char *app_id, const struct sync_options *o,
                  struct json **ret_plan) {
    struct app *app;
    struct git_commit commit;
    struct desired *want;
    struct observed *have;
    struct plan *plan;
    const struct json *previous;
    TRY(app_load(g->db, a, app_id, &app));
    if (app->node_id == NULL)
        return err_new(ERR_INVALID, "the application has no node to run on; choose one in its settings");
    TRY(resolve_commit(g, a, app, o->revision, false, &commit));
    TRY(desired_of(g, a, app, commit.sha, &want));
    want->prune = want->prune || o->prune;
    want->force = o->force;
    want->adopt = o->adopt;
    want->only = o->n_services ? o->services : NULL;
    want->n_only = o->n_services;
    TRY(app_last_rendered(g->db, a, app, &previous));
    TRY(observe_now(g, a, app->node_id, want, &have));
    TRY(plan_build(a, want, have, previous, &plan));
    struct json *j = plan_to_json(a, plan), *c = json_object(a);
    json_set_str(a, c, "sha", commit.sha);
    json_set_str(a, c, "author", commit.author);
    json_set_str(a, c, "message", commit.message);
    char time[TIME_RFC3339_LEN];
    json_set_str(a, c, "time", time_rfc3339(time, commit.time_ms));
    json_set(a, j, "commit", c);
    *ret_plan = j;
    return NULL;
}

static err_t add_file(struct gitops *g, struct arena *a, const struct app *app, const char *sha, const char *path,
                      struct json *files) {
    struct str text;
    struct json *f = json_object(a);
    json_set_str(a, f, "path", path);
    err_t e = git_read(a, repo_mirror(g, a, app->repo_id), sha, path, MIB(1), deadline_in(SECONDS(30)), &text, NULL);
    if (e && e->code == ERR_CANCELLED)
        return e;
    if (e == NULL && str_is_utf8(text))
        json_set(a, f, "content", json_strn(a, text));
    json_push(a, files, f);
    return NULL;
}

err_t gitops_manifest(struct gitops *g, struct arena *a, const char *app_id, struct json **ret) {
    struct app *app;
    struct desired *want;
    VEC(const char *) paths = {0};
    TRY(desired_cached(g, app_id, &app, &want));
    /* Copied before anything yields: the cache may let go of it. */
    struct json *j = json_object(a), *rendered = json_clone(a, source_rendered(a, want)), *files = json_array(a);
    const char *sha = arena_strdup(a, want->revision);
    const struct app mine = {.repo_id = arena_strdup(a, app->repo_id)};
    for (size_t i = 0; i < want->project->compose_files.n; i++)
        *vec_push(a, &paths) = arena_strdup(a, plan_origin_path(want->project->compose_files.v[i]));
    for
        vec_each(p, &paths)
            TRY(add_file(g, a, &mine, sha, *p, files));
    json_set_str(a, j, "commit", sha);
    json_set(a, j, "rendered", json_get(rendered, "project"));
    json_set(a, j, "files", files);
    *ret = j;
    return NULL;
}

err_t gitops_diff(struct gitops *g, struct arena *a, const char *app_id, struct json **ret) {
    struct app *app;
    struct desired *want;
    const struct json *previous;
    TRY(app_load(g->db, a, app_id, &app));
    TRY(app_last_rendered(g->db, a, app, &previous));
    TRY(desired_cached(g, app_id, &app, &want)); /* nothing yields while it is in use */
    struct json *j = json_object(a), *services = json_array(a);
    for (size_t i = 0; i < want->n_services; i++) {
        const struct compose_service *s = want->services[i].service;
        const struct json *before = json_get(json_get(previous, "services"), s->name);
        plan_causes causes = {0};
        plan_diff_service(a, s, before ? before : json_object(a), s->canonical, &causes);
        struct json *one = json_object(a), *changes = json_array(a);
        for
            vec_each(c, &causes) {
                struct json *x = json_object(a);
                json_set_str(a, x, "path", c->path);
                json_set_str(a, x, "live", c->from);
                json_set_str(a, x, "desired", c->to);
                json_set_str(a, x, "cause", c->message);
                if (c->origin.file) {
                    struct json *src = json_object(a);
                    json_set_str(a, src, "file", plan_origin_path(c->origin.file));
                    json_set_int(a, src, "line", c->origin.line);
                    json_set(a, x, "source", src);
                }
                json_push(a, changes, x);
            }
        json_set_str(a, one, "name", s->name);
        json_set(a, one, "changes", changes);
        json_push(a, services, one);
    }
    json_set(a, j, "services", services);
    *ret = j;
    return NULL;
}

/* --- resource tree --- */

struct tree {
    struct arena *a;
    struct json *nodes;
    const struct app *app;
};

static struct json *node(struct tree *t, const char *id, const char *kind, const char *name, const char *parent,
                         const char *health, const char *reason) {
    struct json *j = json_object(t->a), *h = json_object(t->a), *parents = json_array(t->a);
    json_set_str(t->a, j, "id", id);
    json_set_str(t->a, j, "kind", kind);
    json_set_str(t->a, j, "name", name);
    if (parent)
        json_push(t->a, parents, json_string(t->a, parent));
    json_set(t->a, j, "parentIds", parents);
    if (health) {
        json_set_str(t->a, h, "status", health);
        json_set_str(t->a, h, "reason", reason);
        json_set(t->a, j, "health", h);
    }
    json_push(t->a, t->nodes, j);
    return j;
}

static const char *container_health(const struct fleet_container *c) {
    if (z_eq(c->state, "running"))
        return z_eq(c->health, "unhealthy") ? "Degraded" : z_eq(c->health, "starting") ? "Progressing" : "Healthy";
    if (z_eq(c->state, "paused"))
        return "Suspended";
    return z_eq(c->state, "exited") && c->exit_code == 0 ? "Healthy"
           : z_eq(c->state, "created")                   ? "Progressing"
                                                         : "Degraded";
}

static bool add_container(void *arg, const struct fleet_container *c) {
    struct tree *t = arg;
    struct json *j =
        node(t, c->id, "container", c->name, arena_printf(t->a, "service:%s", c->service ? c->service : ""),
             container_health(c), c->state);
    struct json *d = json_object(t->a), *ports = json_array(t->a);
    json_set_str(t->a, d, "containerId", c->id);
    json_set_str(t->a, d, "image", c->image);
    json_set_str(t->a, d, "imageDigest", c->image_id);
    json_set_str(t->a, d, "state", c->state);
    json_set_str(t->a, d, "healthCheck", c->health);
    json_set_int(t->a, d, "exitCode", c->exit_code);
    char time[TIME_RFC3339_LEN];
    if (c->started_ms)
        json_set_str(t->a, d, "startedAt", time_rfc3339(time, c->started_ms));
    for (size_t i = 0; i < c->nports; i++)
        if (c->ports[i].public_port)
            json_push(t->a, ports,
                      json_string(t->a, arena_printf(t->a, "%s:%u->%u/%s", c->ports[i].ip, c->ports[i].public_port,
                                                     c->ports[i].private_port, c->ports[i].type)));
    json_set(t->a, d, "ports", ports);
    json_set(t->a, j, "details", d);
    return true;
}

static void add_desired(struct tree *t, const struct desired *want) {
    const struct compose_project *p = want->project;
    for (size_t i = 0; i < want->n_services; i++) {
        const struct compose_service *s = want->services[i].service;
        const char *id = arena_printf(t->a, "service:%s", s->name);
        struct json *j = node(t, id, "service", s->name, t->app->id, NULL, NULL), *d = json_object(t->a);
        json_set_str(t->a, d, "image", want->services[i].image);
        json_set_int(t->a, d, "replicas", want->services[i].replicas);
        json_set(t->a, j, "details", d);
        (void)node(t, arena_printf(t->a, "image:%s:%s", s->name, want->services[i].image), "image",
                   want->services[i].image, id, NULL, NULL);
        for (size_t f = 0; f < want->services[i].n_files; f++) {
            const char *key = want->services[i].files[f].key;
            if (z_starts(key, "config:") || z_starts(key, "secret:"))
                (void)node(t, arena_printf(t->a, "%s:%s", s->name, key), z_starts(key, "config:") ? "config" : "secret",
                           key + 7, id, NULL, NULL);
        }
    }
    for (size_t i = 0; i < p->n_networks; i++)
        (void)node(t, arena_printf(t->a, "network:%s", p->networks[i].name), "network", p->networks[i].name, t->app->id,
                   NULL, NULL);
    for (size_t i = 0; i < p->n_volumes; i++)
        (void)node(t, arena_printf(t->a, "volume:%s", p->volumes[i].name), "volume", p->volumes[i].name, t->app->id,
                   NULL, NULL);
}

err_t gitops_resources(struct gitops *g, struct arena *a, const char *app_id, struct json **ret) {
    struct app *app;
    struct desired *want = NULL;
    TRY(app_load(g->db, a, app_id, &app));
    struct tree t = {a, json_array(a), app};
    struct app *cached;
    struct json *root = node(&t, app->id, "application", app->name, NULL, app->health_status, "");
    json_set_str(a, root, "sync", app->sync_status);
    err_t e = desired_cached(g, app_id, &cached, &want);
    if (e && (e->code == ERR_CANCELLED || e->code == ERR_DB_UNAVAILABLE))
        return e;
    if (want)
        add_desired(&t, want);
    const char *label = arena_printf(a, LABEL_APP "=%s", app->id);
    struct fleet_filter f = {.node_id = app->node_id, .labels = &label, .nlabels = 1};
    if (app->node_id)
        (void)fleet_containers(g->fleet, &f, add_container, &t);
    struct json *j = json_object(a);
    json_set(a, j, "nodes", t.nodes);
    *ret = j;
    return NULL;
}
