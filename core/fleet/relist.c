/* Reading a node: everything, or what events marked dirty. Runs on the node's watcher fiber, one at a time. */
#include "core/base/id.h"
#include "core/fleet/fleet_internal.h"

#define LIST_MS SECONDS(60)
#define CALL_MS SECONDS(15)
#define INSPECTORS 8 /* parallel inspects per node */

int kind_of_event_type(const char *type) {
    if (z_eq(type, "container"))
        return -1;
    return z_eq(type, "image") ? 0 : z_eq(type, "network") ? 1 : z_eq(type, "volume") ? 2 : -2;
}

static const char *pending_action(struct node *n, const char *id) {
    const struct dirty *d = map_getz(&n->dirty, id);
    return d ? d->action : "";
}

/* ---- full lists ---- */

struct list_run {
    struct node *n;
    struct arena *a;
    int kind;
    const char *action;
};

static err_t on_container(void *arg, struct json *row) {
    struct list_run *x = arg;
    struct arena_mark m = arena_mark(x->a);
    struct fleet_container c;
    err_t e = parse_list_row(x->a, row, &c);
    if (!e)
        index_upsert(x->n, &c, pending_action(x->n, c.id));
    arena_rewind(x->a, m);
    return e;
}

static err_t on_object(void *arg, struct json *row) {
    struct list_run *x = arg;
    struct arena_mark m = arena_mark(x->a);
    struct fleet_object o;
    parse_object(x->a, x->kind, row, &o);
    index_put_object(x->n, x->kind, &o, x->action);
    arena_rewind(x->a, m);
    return NULL;
}

static err_t list_networks(struct list_run *x, struct docker *d) {
    struct docker_network *v;
    size_t n;
    TRY(docker_network_list(d, x->a, NULL, 0, deadline_in(LIST_MS), &v, &n));
    for (size_t i = 0; i < n; i++)
        TRY(on_object(x, (struct json *)v[i].raw));
    return NULL;
}

static err_t list_volumes(struct list_run *x, struct docker *d) {
    struct docker_volume *v;
    size_t n;
    TRY(docker_volume_list(d, x->a, NULL, 0, deadline_in(LIST_MS), &v, &n));
    for (size_t i = 0; i < n; i++)
        TRY(on_object(x, (struct json *)v[i].raw));
    return NULL;
}

static err_t list_kind(struct node *n, struct docker *d, int kind, const char *action) {
    struct arena *a = arena_new("fleet list", 0);
    struct list_run x = {.n = n, .a = a, .kind = kind, .action = action};
    n->generation++;
    err_t e = kind == 0   ? docker_image_each(d, deadline_in(LIST_MS), on_object, &x)
              : kind == 1 ? list_networks(&x, d)
                          : list_volumes(&x, d);
    if (!e)
        index_sweep_objects(n, kind, action);
    arena_unref(a);
    return e;
}

static void note_info(struct node *n, const struct docker_info *i) {
    snprintf(n->engine_version, sizeof n->engine_version, "%s", i->engine_version);
    snprintf(n->os, sizeof n->os, "%s", i->os);
    snprintf(n->arch, sizeof n->arch, "%s", i->arch);
    snprintf(n->cgroup_version, sizeof n->cgroup_version, "%s", i->cgroup_version);
    snprintf(n->swarm_state, sizeof n->swarm_state, "%s", i->swarm_state);
    n->cpus = i->cpus;
    n->memory = i->memory;
    n->clock_offset_ms = i->clock_offset_ms;
}

static err_t list_containers(struct node *n, struct docker *d) {
    struct arena *a = arena_new("fleet list", 0);
    struct list_run x = {.n = n, .a = a};
    struct docker_list_filter all = {.all = true};
    n->generation++;
    err_t e = docker_container_each(d, &all, deadline_in(LIST_MS), on_container, &x);
    if (!e)
        index_sweep(n);
    arena_unref(a);
    return e;
}

static err_t read_info(struct node *n, struct docker *d) {
    struct arena *a = arena_new("fleet info", 0);
    struct docker_info *info;
    err_t e = docker_info(d, a, deadline_in(CALL_MS), &info);
    if (!e)
        note_info(n, info);
    arena_unref(a);
    return e;
}

err_t node_relist(struct node *n, struct docker *d) {
    uint64_t serial = ++n->relists_started;
    n->relist_wanted = false;
    n->fleet->stats.relists++;
    TRY(read_info(n, d));
    TRY(list_containers(n, d));
    for (int k = 0; k < OBJECT_KINDS; k++)
        TRY(list_kind(n, d, k, "resync"));
    n->synced = true;
    n->synced_ms = n->last_seen_ms = clock_wall_ms();
    n->relists_done = serial;
    n->details_left = true;
    uint64_t base = n->fleet->conf.relist_ms;
    uint16_t r;
    random_bytes(&r, sizeof r);
    n->relist_due = clock_mono_ms() + base - base / 10 + base / 5 * r / UINT16_MAX;
    cond_broadcast(&n->changed);
    return NULL;
}

/* ---- single containers ---- */

struct inspect_run {
    struct node *n;
    struct docker *d;
    const char **ids, **actions;
    size_t count, next;
};

static err_t inspect_one(struct inspect_run *x, const char *id, const char *action) {
    struct arena *a = arena_new("fleet inspect", 0);
    struct docker_container_info *info;
    struct fleet_container c;
    x->n->fleet->stats.inspects++;
    err_t e = docker_container_inspect(x->d, a, id, deadline_in(CALL_MS), &info);
    if (err_is(e, ERR_NOT_FOUND)) {
        index_remove(x->n, id, action);
        e = NULL;
    } else if (!e) {
        e = parse_inspect(a, info, &c);
        if (!e && !x->n->lost)
            index_upsert(x->n, &c, action);
    }
    arena_unref(a);
    return e;
}

static err_t inspector(void *arg) {
    struct inspect_run *x = arg;
    while (x->next < x->count) {
        size_t i = x->next++;
        TRY(inspect_one(x, x->ids[i], x->actions[i]));
    }
    return NULL;
}

/* All ids with a few inspectors in parallel; they end before this returns, whatever happens. */
static err_t inspect_all(struct inspect_run *x) {
    struct fiber *f[INSPECTORS];
    size_t n = x->count < INSPECTORS ? x->count : INSPECTORS;
    err_t first = NULL;
    for (size_t i = 0; i < n; i++)
        f[i] = fiber_spawn("fleet-inspect", NULL, inspector, x);
    for (size_t i = 0; i < n; i++) {
        err_t e = fiber_join(f[i]);
        if (e && !first) {
            first = e;
            x->next = x->count; /* the others stop after what they are at */
        }
    }
    return first;
}

err_t node_refresh_dirty(struct node *n, struct docker *d) {
    for (int k = 0; k < OBJECT_KINDS; k++) {
        if (!n->kind_dirty[k][0])
            continue;
        char action[ACTION_MAX];
        snprintf(action, sizeof action, "%s", n->kind_dirty[k]);
        n->kind_dirty[k][0] = 0;
        TRY(list_kind(n, d, k, action));
    }
    if (n->dirty.n > DIRTY_MAX) {
        n->relist_wanted = true;
        return NULL;
    }
    if (!n->dirty.n)
        return NULL;
    struct arena *a = arena_new("fleet dirty", 0);
    struct inspect_run x = {.n = n, .d = d};
    x.ids = arena_new_array(a, const char *, n->dirty.n);
    x.actions = arena_new_array(a, const char *, n->dirty.n);
    for (struct map_entry *e = NULL; (e = map_next(&n->dirty, e));) {
        x.ids[x.count] = arena_strndup(a, e->key.p, e->key.n);
        x.actions[x.count++] = arena_strdup(a, ((struct dirty *)e->value)->action);
    }
    node_clear_dirty(n);
    err_t e = inspect_all(&x);
    if (e)
        n->relist_wanted = true; /* what was dirty is not known any more */
    arena_unref(a);
    return e;
}

/* Times, health and exit codes of containers the list told little about: a few at a time, between other work. */
err_t node_details(struct node *n, struct docker *d) {
    struct arena *a = arena_new("fleet details", 0);
    struct inspect_run x = {.n = n, .d = d};
    x.ids = arena_new_array(a, const char *, 64);
    x.actions = arena_new_array(a, const char *, 64);
    for (struct map_entry *e = NULL; x.count < 64 && (e = map_next(&n->containers, e));) {
        const struct fleet_entry *entry = e->value;
        if (entry->c.detailed)
            continue;
        x.ids[x.count] = arena_strdup(a, entry->c.id);
        x.actions[x.count++] = "";
    }
    n->details_left = x.count == 64;
    err_t e = x.count ? inspect_all(&x) : NULL;
    arena_unref(a);
    return e;
}
