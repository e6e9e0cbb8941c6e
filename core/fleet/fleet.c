/* Nodes, queries, subscribers. */
#include <stdlib.h>
#include "core/base/check.h"
#include "core/fleet/fleet_internal.h"

/* ---- subscribers ---- */

struct fleet_sub *fleet_subscribe(struct fleet *f, fleet_change_fn *fn, void *arg) {
    struct fleet_sub *s = calloc(1, sizeof *s);
    CHECK(s != NULL);
    *s = (struct fleet_sub){.fleet = f, .fn = fn, .arg = arg};
    list_add_tail(&f->subs, &s->link);
    return s;
}

static void sweep_subs(struct fleet *f) {
    for
        list_each_safe(it, tmp, &f->subs) {
            struct fleet_sub *s = list_entry(it, struct fleet_sub, link);
            if (!s->dead)
                continue;
            list_del(&s->link);
            free(s);
        }
}

void fleet_unsubscribe(struct fleet_sub *s) {
    if (!s)
        return;
    s->dead = true;
    if (!s->fleet->telling)
        sweep_subs(s->fleet);
}

void fleet_tell(struct fleet *f, const struct fleet_change *c) {
    f->telling++;
    for
        list_each_safe(it, tmp, &f->subs) {
            struct fleet_sub *s = list_entry(it, struct fleet_sub, link);
            if (!s->dead)
                s->fn(s->arg, c);
        }
    if (--f->telling == 0)
        sweep_subs(f);
}

void fleet_on_event(struct fleet *f, fleet_event_fn *fn, void *arg) {
    f->on_event = fn;
    f->on_event_arg = arg;
}

/* ---- nodes ---- */

static char *heap_z(const char *z) {
    size_t n = strlen(z) + 1;
    char *p = malloc(n);
    CHECK(p != NULL);
    return memcpy(p, z, n);
}

struct node *fleet_node_of(struct fleet *f, const char *id) {
    for
        list_each_safe(it, tmp, &f->nodes) {
            struct node *n = list_entry(it, struct node, link);
            if (z_eq(n->id, id))
                return n;
        }
    return NULL;
}

static enum fleet_state state_of(const struct node *n) {
    if (n->online)
        return n->maintenance ? FLEET_MAINTENANCE : FLEET_ONLINE;
    return n->tried ? FLEET_UNREACHABLE : FLEET_CONNECTING;
}

const char *fleet_state_text(enum fleet_state s) {
    static const char *const names[] = {"connecting", "online", "unreachable", "maintenance"};
    return names[s];
}

static void tell_state(struct node *n, const char *action, bool appeared, bool vanished) {
    struct fleet_change c = {.kind = FLEET_NODE,
                             .node_id = n->id,
                             .action = action,
                             .id = n->id,
                             .name = n->name,
                             .appeared = appeared,
                             .vanished = vanished};
    fleet_tell(n->fleet, &c);
}

void node_set_state(struct node *n, bool online, const char *reason) {
    enum fleet_state before = state_of(n);
    n->online = online;
    n->untrusted = !online && n->untrusted;
    n->tried = true;
    snprintf(n->reason, sizeof n->reason, "%s", reason);
    cond_broadcast(&n->changed);
    if (state_of(n) != before)
        tell_state(n, fleet_state_text(state_of(n)), false, false);
}

static uint64_t hash_z(const char *z) { return z ? hash_bytes(z, strlen(z)) : 0; }
static uint64_t endpoint_hash(const struct docker_conf *c) {
    const char *parts[] = {c->url, c->ca_pem, c->cert_pem, c->key_pem, c->tls_name};
    uint64_t h = 0;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        h = h * 31 + hash_z(parts[i]);
    return h;
}

static err_t open_docker(const struct fleet_node_conf *conf, struct docker **ret) {
    struct docker_conf dc = conf->docker;
    dc.name = dc.name ? dc.name : conf->name;
    return docker_new(&dc, ret);
}

static struct node *node_new(struct fleet *f, const struct fleet_node_conf *conf, struct docker *d) {
    struct node *n = calloc(1, sizeof *n);
    CHECK(n != NULL);
    *n = (struct node){.magic = NODE_MAGIC, .fleet = f, .d = d, .maintenance = conf->maintenance};
    n->id = heap_z(conf->id);
    n->name = heap_z(conf->name);
    n->endpoint_hash = endpoint_hash(&conf->docker);
    map_init(&n->containers, NULL);
    map_init(&n->dirty, NULL);
    for (int k = 0; k < OBJECT_KINDS; k++)
        map_init(&n->objects[k], NULL);
    cond_init(&n->news);
    cond_init(&n->changed);
    return n;
}

static void node_free(struct node *n) {
    index_clear(n);
    node_clear_dirty(n);
    map_done(&n->containers);
    map_done(&n->dirty);
    for (int k = 0; k < OBJECT_KINDS; k++)
        map_done(&n->objects[k]);
    cond_done(&n->news);
    cond_done(&n->changed);
    docker_unref(n->d);
    free(n->id);
    free(n->name);
    n->magic = 0;
    free(n);
}

err_t fleet_node_add(struct fleet *f, const struct fleet_node_conf *conf) {
    struct docker *d;
    if (fleet_node_of(f, conf->id))
        return err_new(ERR_CONFLICT, "the node %s is watched already", conf->id);
    TRY(open_docker(conf, &d));
    struct node *n = node_new(f, conf, d);
    list_add_tail(&f->nodes, &n->link);
    f->nnodes++;
    n->main = fiber_spawn("fleet-node", NULL, node_main, n);
    tell_state(n, fleet_state_text(state_of(n)), true, false);
    return NULL;
}

/* Rows carry the node's name: point them at the new one. */
static void rename_node(struct node *n, const char *name) {
    char *old = n->name;
    n->name = heap_z(name);
    for (struct map_entry *e = NULL; (e = map_next(&n->containers, e));)
        ((struct fleet_entry *)e->value)->c.node_name = n->name;
    free(old);
}

err_t fleet_node_update(struct fleet *f, const struct fleet_node_conf *conf) {
    struct node *n = fleet_node_of(f, conf->id);
    if (!n)
        return err_new(ERR_NOT_FOUND, "the node %s is not watched", conf->id);
    uint64_t hash = endpoint_hash(&conf->docker);
    if (hash != n->endpoint_hash) {
        struct docker *d;
        TRY(open_docker(conf, &d));
        docker_shut(n->d);
        docker_unref(n->d); /* the watcher holds its own until it notices */
        n->d = d;
        n->endpoint_hash = hash;
        n->online = n->tried = n->synced = false;
        n->lost = true;
        cond_broadcast(&n->news);
    }
    if (!z_eq(n->name, conf->name))
        rename_node(n, conf->name);
    n->maintenance = conf->maintenance;
    tell_state(n, fleet_state_text(state_of(n)), false, false);
    return NULL;
}

void fleet_node_remove(struct fleet *f, const char *node_id) {
    struct node *n = fleet_node_of(f, node_id);
    if (!n || n->stopping)
        return;
    n->stopping = true;
    docker_shut(n->d);
    fiber_cancel(n->main);
    cond_broadcast(&n->changed);
    fiber_mask();
    err_ignore(fiber_join(n->main));
    while (n->users) {
        cond_broadcast(&n->changed);
        err_ignore(fiber_yield());
    }
    fiber_unmask();
    list_del(&n->link);
    f->nnodes--;
    tell_state(n, "removed", false, true);
    node_free(n);
}

static struct fleet_conf with_defaults(const struct fleet_conf *conf) {
    struct fleet_conf c = conf ? *conf : (struct fleet_conf){0};
    c.ping_ms = c.ping_ms ? c.ping_ms : SECONDS(5);
    c.ping_timeout_ms = c.ping_timeout_ms ? c.ping_timeout_ms : SECONDS(4);
    c.relist_ms = c.relist_ms ? c.relist_ms : MINUTES(10);
    c.coalesce_ms = c.coalesce_ms ? c.coalesce_ms : 100;
    c.backoff_min_ms = c.backoff_min_ms ? c.backoff_min_ms : 500;
    c.backoff_max_ms = c.backoff_max_ms ? c.backoff_max_ms : SECONDS(30);
    c.max_containers = c.max_containers ? c.max_containers : 50000;
    return c;
}

struct fleet *fleet_new(const struct fleet_conf *conf) {
    struct fleet *f = calloc(1, sizeof *f);
    CHECK(f != NULL);
    f->magic = FLEET_MAGIC;
    f->conf = with_defaults(conf);
    list_init(&f->nodes);
    list_init(&f->subs);
    return f;
}

void fleet_free(struct fleet *f) {
    if (!f)
        return;
    while (!list_empty(&f->nodes)) {
        struct node *n = list_entry(f->nodes.next, struct node, link);
        if (n->stopping)
            err_ignore(fiber_yield()); /* another fiber removes it */
        else
            fleet_node_remove(f, n->id);
    }
    for
        list_each_safe(it, tmp, &f->subs)
            list_entry(it, struct fleet_sub, link)->dead = true;
    sweep_subs(f);
    free(f->sorted);
    f->magic = 0;
    free(f);
}

void node_fill(const struct node *n, struct fleet_node *ret) {
    *ret = (struct fleet_node){.id = n->id,
                               .name = n->name,
                               .url = docker_url(n->d),
                               .state = state_of(n),
                               .maintenance = n->maintenance,
                               .reason = n->online ? "" : n->reason,
                               .synced = n->synced,
                               .synced_ms = n->synced_ms,
                               .last_seen_ms = n->last_seen_ms,
                               .clock_offset_ms = n->clock_offset_ms,
                               .api = docker_api(n->d),
                               .engine_version = n->engine_version,
                               .os = n->os,
                               .arch = n->arch,
                               .cgroup_version = n->cgroup_version,
                               .swarm_state = n->swarm_state,
                               .cpus = n->cpus,
                               .memory = n->memory,
                               .containers = n->containers.n,
                               .running = n->running,
                               .images = n->objects[0].n,
                               .networks = n->objects[1].n,
                               .volumes = n->objects[2].n};
}

bool fleet_node_get(struct fleet *f, const char *node_id, struct fleet_node *ret) {
    struct node *n = fleet_node_of(f, node_id);
    if (!n)
        return false;
    node_fill(n, ret);
    return true;
}

void fleet_nodes(struct fleet *f, bool (*fn)(void *arg, const struct fleet_node *n), void *arg) {
    for
        list_each_safe(it, tmp, &f->nodes) {
            struct fleet_node n;
            node_fill(list_entry(it, struct node, link), &n);
            if (!fn(arg, &n))
                return;
        }
}

err_t fleet_docker(struct fleet *f, const char *node_id, struct docker **ret) {
    struct node *n = fleet_node_of(f, node_id);
    if (!n || n->stopping)
        return err_new(ERR_NOT_FOUND, "there is no node %s", node_id);
    *ret = docker_ref(n->d);
    return NULL;
}

static err_t unreachable(const struct node *n) {
    if (state_of(n) != FLEET_UNREACHABLE)
        return NULL;
    return err_detail(
        err_new(ERR_DOCKER_UNAVAILABLE, "the engine of node %s cannot be reached: %s", n->name, n->reason), "node",
        n->name);
}

err_t fleet_docker_reachable(struct fleet *f, const char *node_id, struct docker **ret) {
    struct node *n = fleet_node_of(f, node_id);
    if (n && !n->stopping && !n->untrusted)
        TRY(unreachable(n));
    return fleet_docker(f, node_id, ret);
}

/* One turn of waiting for the node; the node may be gone afterwards. */
static err_t wait_change(struct fleet *f, const char *node_id, uint64_t deadline, struct node **ret) {
    struct node *n = fleet_node_of(f, node_id);
    if (!n || n->stopping)
        return err_new(ERR_NOT_FOUND, "there is no node %s", node_id);
    *ret = n;
    if (!deadline)
        return NULL;
    n->users++;
    err_t e = cond_wait(&n->changed, deadline);
    n->users--;
    TRY(e);
    return n->stopping ? err_new(ERR_NOT_FOUND, "the node %s was removed", node_id) : NULL;
}

err_t fleet_wait_synced(struct fleet *f, const char *node_id, uint64_t deadline) {
    struct node *n;
    TRY(wait_change(f, node_id, 0, &n));
    while (!n->synced || !n->online) {
        TRY(unreachable(n));
        TRY(wait_change(f, node_id, deadline, &n));
    }
    return NULL;
}

err_t fleet_refresh(struct fleet *f, const char *node_id, uint64_t deadline) {
    struct node *n;
    TRY(wait_change(f, node_id, 0, &n));
    uint64_t want = n->relists_started + 1;
    while (n->relists_done < want) {
        TRY(unreachable(n));
        n->relist_wanted = true;
        cond_broadcast(&n->news);
        TRY(wait_change(f, node_id, deadline, &n));
    }
    return NULL;
}

struct fleet_stats fleet_stats_get(const struct fleet *f) {
    struct fleet_stats s = f->stats;
    s.nodes = f->nnodes;
    s.containers = f->nsorted;
    s.online = 0;
    for
        list_each_safe(it, tmp, (struct list *)&f->nodes)
            s.online += list_entry(it, struct node, link)->online;
    return s;
}
