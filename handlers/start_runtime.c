/* Birth and death of fleet, hub and gitops; the snapshot of nodes and applications that requests are decided with. */
#include <stdio.h>
#include <unistd.h>
#include "core/async/fiber.h"
#include "core/async/wait.h"
#include "core/base/check.h"
#include "core/base/id.h"
#include "core/base/map.h"
#include "core/base/vec.h"
#include "core/conf/conf.h"
#include "core/docker/system.h"
#include "core/obs/log.h"
#include "handlers/runtime.h"
#include "handlers/streams.h"
#include "server/health.h"

#define AMBIGUOUS ((void *)-1)

struct snapshot {
    struct arena *a;
    VEC(struct node_row) nodes;
    struct map node_refs; /* id and name */
    struct map apps;
};
static struct {
    struct arena *a;
    struct snapshot *now;
    struct mutex lock;
    struct cond dirty;
    bool wanted;
    struct fiber *watcher;
    struct bus_sub *sub;
    struct fleet_sub *fleet_sub;
} R;

/* ---- reading rows ---- */

const struct node_row *runtime_node(const char *ref) {
    void *row = R.now && ref ? map_getz(&R.now->node_refs, ref) : NULL;
    return row == AMBIGUOUS ? NULL : row;
}

void runtime_nodes(bool (*fn)(void *arg, const struct node_row *n), void *arg) {
    if (R.now == NULL)
        return;
    for
        vec_each(n, &R.now->nodes)
            if (!fn(arg, n))
                return;
}

const struct app_row *runtime_app(const char *id) { return R.now && id ? map_getz(&R.now->apps, id) : NULL; }

const char *runtime_container_scope(const struct fleet_container *c, const struct app_row **ret_app) {
    const struct node_row *n = runtime_node(c->node_id);
    *ret_app = NULL;
    for (size_t i = 0; i < c->nlabels; i++) {
        if (!z_eq(c->labels[i].key, LABEL_APP))
            continue;
        /* A label is only words: anybody with access to another engine could write it. */
        const struct app_row *app = runtime_app(c->labels[i].value);
        if (app && z_eq(app->node_id, c->node_id))
            *ret_app = app;
    }
    return *ret_app ? (*ret_app)->id : n ? n->scope_id : NULL;
}

bool runtime_may_see(const struct principal *who, enum permission p, const char *scope_id) {
    struct principal whole = *who;
    whole.narrowed = false;
    return rbac_allowed(platform()->rbac, &whole, p, scope_id);
}

err_t runtime_announce(struct pg *tx, const char *topic, const char *scope_id, const char *kind, const char *id) {
    return bus_publish(tx, topic, scope_id, kind, id, arena_printf(arena_current(), "{\"id\":\"%s\"}", id));
}

/* ---- loading ---- */

static err_t load_apps(struct snapshot *s) {
    struct pg_result *r;
    TRY(pg_rows(platform()->db, s->a, SQL_NODES_APPS_ALL, PG_NOARGS, &r));
    for (size_t i = 0; i < r->rows; i++) {
        struct app_row *app = arena_new_obj(s->a, struct app_row);
        *app = (struct app_row){.id = pg_cell(r, i, 0),
                                .scope_id = pg_cell(r, i, 1),
                                .name = pg_cell(r, i, 2),
                                .node_id = pg_cell(r, i, 3)};
        map_setz(&s->apps, app->id, app);
    }
    return NULL;
}

static err_t node_conf(struct arena *a, const struct pg_result *r, size_t i, struct fleet_node_conf *ret) {
    *ret = (struct fleet_node_conf){.id = pg_cell(r, i, 0),
                                    .name = pg_cell(r, i, 2),
                                    .maintenance = pg_cell_bool(r, i, 4),
                                    .docker = {.url = pg_cell(r, i, 3),
                                               .ca_pem = pg_cell(r, i, 5),
                                               .cert_pem = pg_cell(r, i, 6),
                                               .tls_name = pg_cell(r, i, 8)}};
    if (pg_cell(r, i, 7)) {
        struct str blob, key;
        TRY(bytea_parse(a, pg_cell(r, i, 7), &blob));
        TRY(unseal(a, platform()->keys, &(struct seal_place){"nodes", "tls_key_sealed", ret->id}, blob, &key));
        ret->docker.key_pem = str_z(a, key);
    }
    return NULL;
}

/* One node that cannot be used must not keep the others away. */
static void apply_node(struct arena *a, const struct pg_result *r, size_t i) {
    struct fleet *f = platform()->fleet;
    struct fleet_node_conf conf;
    struct fleet_node have;
    err_t e = node_conf(a, r, i, &conf);
    if (e == NULL)
        e = fleet_node_get(f, conf.id, &have) ? fleet_node_update(f, &conf) : fleet_node_add(f, &conf);
    if (e)
        LOG(ERROR, "node.unusable", KV_STR("node", pg_cell(r, i, 2)), KV_ERR(e));
}

struct gone {
    struct snapshot *s;
    VEC(const char *) ids;
};

static bool find_gone(void *arg, const struct fleet_node *n) {
    struct gone *g = arg;
    if (map_getz(&g->s->node_refs, n->id) == NULL)
        *vec_push(g->s->a, &g->ids) = arena_strdup(g->s->a, n->id);
    return true;
}

static err_t load(struct snapshot *s) {
    struct pg_result *r;
    TRY(pg_rows(platform()->db, s->a, SQL_NODES_ALL, PG_NOARGS, &r));
    TRY(load_apps(s));
    for (size_t i = 0; i < r->rows; i++)
        *vec_push(s->a, &s->nodes) = (struct node_row){.id = pg_cell(r, i, 0),
                                                       .scope_id = pg_cell(r, i, 1),
                                                       .name = pg_cell(r, i, 2),
                                                       .json = pg_cell(r, i, 9),
                                                       .version = pg_cell_int(r, i, 10, 0),
                                                       .is_default = pg_cell_bool(r, i, 11),
                                                       .maintenance = pg_cell_bool(r, i, 4)};
    for
        vec_each(n, &s->nodes) {
            map_setz(&s->node_refs, n->id, n);
            map_setz(&s->node_refs, n->name, map_getz(&s->node_refs, n->name) ? AMBIGUOUS : (void *)n);
        }
    for (size_t i = 0; i < r->rows; i++)
        apply_node(s->a, r, i);
    return NULL;
}

static err_t reload_locked(void) {
    AUTO(arena) a = arena_new("runtime.snapshot", 0);
    struct snapshot *s = arena_new_obj(a, struct snapshot), *old = R.now;
    s->a = a;
    map_init(&s->node_refs, a);
    map_init(&s->apps, a);
    R.wanted = false;
    TRY(load(s));
    R.now = s;
    struct gone gone = {.s = s};
    fleet_nodes(platform()->fleet, find_gone, &gone);
    for
        vec_each(id, &gone.ids)
            fleet_node_remove(platform()->fleet, *id);
    (void)TAKE(a);
    if (old)
        arena_unref(old->a);
    return NULL;
}

err_t runtime_reload(void) {
    TRY(mutex_lock(&R.lock, DEADLINE_NONE));
    err_t e = reload_locked();
    mutex_unlock(&R.lock);
    return e;
}

/* ---- other processes' changes ---- */

static void on_event(void *arg, const struct bus_event *e) {
    (void)arg;
    (void)e;
    R.wanted = true;
    cond_signal(&R.dirty);
}

static void on_gap(void *arg) { on_event(arg, NULL); }

static err_t watch(void *arg) {
    (void)arg;
    for (;;) {
        while (!R.wanted)
            TRY(cond_wait(&R.dirty, DEADLINE_NONE));
        TRY(fiber_sleep(20)); /* a burst is one reload */
        struct arena_mark mark = arena_mark(arena_current());
        err_t e = R.wanted ? runtime_reload() : NULL;
        if (e && e->code == ERR_CANCELLED)
            return e;
        if (e) {
            LOG(WARNING, "runtime.reload", KV_ERR(e));
            R.wanted = true;
            TRY(fiber_sleep(SECONDS(1)));
        }
        arena_rewind(arena_current(), mark);
    }
}

/* ---- what gitops asks ---- */

static err_t person(void *ctx, struct arena *a, const struct job_origin *by, const struct principal **ret) {
    (void)ctx;
    return identity_originator(platform()->identity, a, by->user_id, by->token_id, ret);
}

static bool may(void *ctx, const struct principal *who, const char *permission, const char *scope_id) {
    (void)ctx;
    return rbac_allowed(platform()->rbac, who, (enum permission)permission_of(permission), scope_id);
}

static uint32_t guard_rights_of(void *ctx, const struct principal *who, const char *scope_id) {
    (void)ctx;
    struct perm_set have = rbac_permissions(platform()->rbac, who, scope_id);
    uint32_t allow = 0;
    for (int i = 0; i < GUARD_RIGHTS_MAX; i++) {
        int p = permission_of(guard_permission((enum guard_right)i));
        if (p >= 0 && perm_has(&have, (enum permission)p))
            allow |= GUARD_BIT(i);
    }
    return allow;
}

/* ---- birth ---- */

static void on_engine_event(void *arg, const char *node_id, struct docker *d, const struct docker_event *ev) {
    struct platform *p = arg;
    (void)node_id;
    if (z_eq(ev->type, "container") && ev->id)
        hub_container_event(p->hub, d, ev->id, ev->action);
}

static struct health_report probe_nodes(void *arg) {
    struct platform *p = arg;
    struct fleet_stats s = p->fleet ? fleet_stats_get(p->fleet) : (struct fleet_stats){0};
    return (struct health_report){.up = s.online > 0 || s.nodes == 0,
                                  .detail = s.online ? NULL : "no Docker node is online"};
}

static const char *absolute(struct arena *a, const char *path) {
    char cwd[4096];
    return *path == '/' || getcwd(cwd, sizeof(cwd)) == NULL ? arena_strdup(a, path)
                                                            : arena_printf(a, "%s/%s", cwd, path);
}

static err_t runtime_register(struct platform *p) {
    const struct conf *c = conf_now();
    if (R.a == NULL) {
        R.a = arena_new("runtime", 0);
        mutex_init(&R.lock);
        cond_init(&R.dirty);
        health_register("nodes", false, probe_nodes, p);
    }
    const char **forbid = arena_new_array(R.a, const char *, 2);
    char *real = realpath(c->data.dir, NULL); /* start-up may block */
    forbid[0] = absolute(R.a, c->data.dir);
    forbid[1] = real ? arena_strdup(R.a, real) : forbid[0];
    free(real);
    struct gitops_conf gc = {.data_dir = forbid[0],
                             .allow_local = c->git.allow_local_paths && c->server.dev_mode,
                             .resync_s = (uint64_t)c->gitops.resync_seconds,
                             .history_limit = c->gitops.history_limit,
                             .max_parallel = (size_t)c->gitops.max_parallel_ops,
                             .forbid_paths = forbid,
                             .n_forbid_paths = 2,
                             .rights = {.person = person, .may = may, .guard = guard_rights_of}};
    p->fleet = fleet_new(NULL);
    p->hub = hub_new(NULL);
    fleet_on_event(p->fleet, on_engine_event, p);
    p->gitops = gitops_new(&gc, p->db, p->keys, p->fleet, p->jobs);
    gitops_register(p->gitops);
    return NULL;
}

static err_t runtime_start(struct platform *p) {
    static const char *const topics[] = {"node.changed", "application.changed", "application.deleted"};
    const char *host = conf_now()->docker.host;
    if (*host)
        TRY(pg_exec(p->db, SQL_NODES_DEFAULT, PG_ARGS(pg_uuid(uuid7().z), pg_text(host)), NULL));
    TRY(runtime_reload());
    struct bus_filter filter = {.topics = topics, .ntopics = ARRAY_LEN(topics)};
    R.sub = bus_subscribe(p->bus, &filter, on_event, on_gap, NULL);
    R.watcher = fiber_spawn("runtime.watch", NULL, watch, NULL);
    streams_start(p);
    gitops_start(p->gitops);
    return NULL;
}

static void runtime_stop(struct platform *p, uint64_t deadline) {
    (void)jobs_drain(p->jobs, deadline);
    gitops_stop(p->gitops);
    streams_stop(p);
    bus_unsubscribe(TAKE(R.sub));
    if (R.watcher) {
        fiber_cancel(R.watcher);
        err_ignore(fiber_join(TAKE(R.watcher)));
    }
    fleet_on_event(p->fleet, NULL, NULL);
    hub_free(TAKE(p->hub));
    gitops_free(TAKE(p->gitops));
    fleet_free(TAKE(p->fleet));
    if (R.now)
        arena_unref(R.now->a);
    R.now = NULL;
}

const struct platform_part runtime_part = {
    .name = "nodes and applications", .reg = runtime_register, .start = runtime_start, .stop = runtime_stop};
