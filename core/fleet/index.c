/* Objects of one node: packed rows, sorted view, change detection. */
#include <stdlib.h>
#include "core/base/check.h"
#include "core/fleet/fleet_internal.h"

/* ---- packing: the row and everything it points to in one block ---- */

struct packer {
    char *at, *end; /* at NULL: only measure */
    size_t size;
};
static void *room(struct packer *p, size_t n, size_t align) {
    p->size = (p->size + align - 1) / align * align;
    void *r = p->at ? p->at + p->size : NULL;
    p->size += n;
    return r;
}
static const char *text(struct packer *p, const char *z) {
    if (!z)
        return NULL;
    size_t n = strlen(z) + 1;
    char *r = room(p, n, 1);
    return r ? memcpy(r, z, n) : NULL;
}
static const struct fleet_label *labels(struct packer *p, const struct fleet_label *v, size_t n) {
    struct fleet_label *r = room(p, n * sizeof *v, _Alignof(struct fleet_label));
    for (size_t i = 0; i < n; i++) {
        const char *k = text(p, v[i].key), *val = text(p, v[i].value);
        if (r)
            r[i] = (struct fleet_label){k, val};
    }
    return r;
}
static const struct fleet_port *ports(struct packer *p, const struct fleet_port *v, size_t n) {
    struct fleet_port *r = room(p, n * sizeof *v, _Alignof(struct fleet_port));
    for (size_t i = 0; i < n; i++) {
        const char *ip = text(p, v[i].ip), *type = text(p, v[i].type);
        if (r)
            r[i] = (struct fleet_port){ip, type, v[i].private_port, v[i].public_port};
    }
    return r;
}
static const char *const *texts(struct packer *p, const char *const *v, size_t n) {
    const char **r = room(p, n * sizeof *v, _Alignof(char *));
    for (size_t i = 0; i < n; i++) {
        const char *t = text(p, v[i]);
        if (r)
            r[i] = t;
    }
    return r;
}

static void pack_container(struct packer *p, const struct fleet_container *c) {
    struct fleet_entry *e = room(p, sizeof *e, _Alignof(struct fleet_entry));
    struct fleet_container out = *c;
    out.id = text(p, c->id);
    out.name = text(p, c->name);
    out.image = text(p, c->image);
    out.image_id = text(p, c->image_id);
    out.state = text(p, c->state);
    out.health = text(p, c->health);
    out.project = text(p, c->project);
    out.service = text(p, c->service);
    out.labels = labels(p, c->labels, c->nlabels);
    out.ports = ports(p, c->ports, c->nports);
    out.networks = texts(p, c->networks, c->nnetworks);
    if (e)
        *e = (struct fleet_entry){.c = out};
}

static struct fleet_entry *entry_new(struct node *n, const struct fleet_container *c) {
    struct packer p = {0};
    pack_container(&p, c);
    p = (struct packer){.at = malloc(p.size)};
    CHECK(p.at != NULL);
    pack_container(&p, c);
    struct fleet_entry *e = (struct fleet_entry *)(void *)p.at;
    e->node = n;
    e->c.node_id = n->id;
    e->c.node_name = n->name;
    e->generation = n->generation;
    return e;
}

static void pack_object(struct packer *p, const struct fleet_object *o) {
    struct fleet_item *it = room(p, sizeof *it, _Alignof(struct fleet_item));
    struct fleet_object out = *o;
    out.id = text(p, o->id);
    out.name = text(p, o->name);
    out.driver = text(p, o->driver);
    out.labels = labels(p, o->labels, o->nlabels);
    out.json = text(p, o->json);
    if (it)
        *it = (struct fleet_item){.o = out};
}

/* ---- sorted view ---- */

static int order(const char *na, const char *ia, const char *nb, const char *ib) {
    int c = strcmp(na, nb);
    return c ? c : strcmp(ia, ib);
}

static size_t place(const struct fleet *f, const struct fleet_container *c) {
    size_t lo = 0, hi = f->nsorted;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const struct fleet_container *m = &f->sorted[mid]->c;
        int d = order(m->name, m->id, c->name, c->id);
        if (d < 0 ||
            (d == 0 && (uintptr_t)f->sorted[mid]->node < (uintptr_t)CONTAINER_OF(c, struct fleet_entry, c)->node))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static void sorted_add(struct fleet *f, struct fleet_entry *e) {
    if (f->nsorted == f->cap_sorted) {
        f->cap_sorted = f->cap_sorted ? f->cap_sorted * 2 : 64;
        f->sorted = realloc(f->sorted, f->cap_sorted * sizeof *f->sorted);
        CHECK(f->sorted != NULL);
    }
    size_t at = place(f, &e->c);
    memmove(f->sorted + at + 1, f->sorted + at, (f->nsorted - at) * sizeof *f->sorted);
    f->sorted[at] = e;
    f->nsorted++;
}

static void sorted_remove(struct fleet *f, const struct fleet_entry *e) {
    size_t at = place(f, &e->c);
    CHECK(at < f->nsorted && f->sorted[at] == e);
    memmove(f->sorted + at, f->sorted + at + 1, (f->nsorted - at - 1) * sizeof *f->sorted);
    f->nsorted--;
}

/* ---- containers ---- */

static bool same_labels(const struct fleet_label *a, size_t na, const struct fleet_label *b, size_t nb) {
    if (na != nb)
        return false;
    for (size_t i = 0; i < na; i++)
        if (!z_eq(a[i].key, b[i].key) || !z_eq(a[i].value, b[i].value))
            return false;
    return true;
}
static bool same_ports(const struct fleet_container *a, const struct fleet_container *b) {
    if (a->nports != b->nports)
        return false;
    for (size_t i = 0; i < a->nports; i++)
        if (a->ports[i].private_port != b->ports[i].private_port ||
            a->ports[i].public_port != b->ports[i].public_port || !z_eq(a->ports[i].ip, b->ports[i].ip) ||
            !z_eq(a->ports[i].type, b->ports[i].type))
            return false;
    return true;
}
static bool same_networks(const struct fleet_container *a, const struct fleet_container *b) {
    if (a->nnetworks != b->nnetworks)
        return false;
    for (size_t i = 0; i < a->nnetworks; i++)
        if (!z_eq(a->networks[i], b->networks[i]))
            return false;
    return true;
}
static bool same(const struct fleet_container *a, const struct fleet_container *b) {
    return z_eq(a->name, b->name) && z_eq(a->image_id, b->image_id) && z_eq(a->state, b->state) &&
           z_eq(a->health, b->health) && a->exit_code == b->exit_code && a->started_ms == b->started_ms &&
           same_ports(a, b) && same_networks(a, b) && same_labels(a->labels, a->nlabels, b->labels, b->nlabels);
}

/* A list row knows less than an inspect: what did not change keeps what was known. */
static void inherit(struct fleet_container *c, const struct fleet_container *old) {
    if (c->detailed || !old->detailed || !z_eq(c->state, old->state))
        return;
    c->started_ms = old->started_ms;
    c->finished_ms = old->finished_ms;
    c->exit_code = old->exit_code;
    c->image = old->image;
    c->detailed = true;
}

static void count_running(struct node *n, const struct fleet_container *c, int by) {
    if (z_eq(c->state, "running"))
        n->running = (size_t)((int64_t)n->running + by);
}

static void tell(struct node *n, const char *action, const struct fleet_container *before,
                 const struct fleet_container *after) {
    const struct fleet_container *any = after ? after : before;
    struct fleet_change ch = {.kind = FLEET_CONTAINER,
                              .node_id = n->id,
                              .action = action,
                              .id = any->id,
                              .name = any->name,
                              .appeared = !before,
                              .vanished = !after,
                              .before = before,
                              .after = after};
    n->fleet->stats.changes++;
    fleet_tell(n->fleet, &ch);
}

/* Reading a container because its network changed may find that it started or ended: its own event follows, too late. */
static const char *true_action(const char *action, const struct fleet_container *old, const struct fleet_container *c) {
    if (!old || z_eq(old->state, c->state) || (!z_eq(action, "connect") && !z_eq(action, "disconnect")))
        return *action ? action : "resync";
    return z_eq(c->state, "running") ? "start" : "die";
}

void index_upsert(struct node *n, struct fleet_container *c, const char *action) {
    struct fleet *f = n->fleet;
    struct fleet_entry *old = map_getz(&n->containers, c->id);
    if (!old && n->containers.n >= f->conf.max_containers)
        return;
    if (old)
        inherit(c, &old->c);
    if (old && same(&old->c, c) && old->c.detailed == c->detailed && z_eq(old->c.image, c->image)) {
        old->generation = n->generation;
        return;
    }
    bool visible = !old || !same(&old->c, c);
    bool first_detail = old && !old->c.detailed && c->detailed && z_eq(old->c.state, c->state);
    c->revision = visible ? ++f->revision : old->c.revision;
    struct fleet_entry *e = entry_new(n, c);
    if (old) {
        sorted_remove(f, old);
        count_running(n, &old->c, -1);
    }
    map_setz(&n->containers, e->c.id, e);
    sorted_add(f, e);
    count_running(n, &e->c, 1);
    if (visible && !(first_detail && z_eq(action, "")))
        tell(n, true_action(action, old ? &old->c : NULL, c), old ? &old->c : NULL, &e->c);
    free(old);
}

static void drop(struct node *n, struct fleet_entry *e) {
    sorted_remove(n->fleet, e);
    count_running(n, &e->c, -1);
    map_del(&n->containers, str_of(e->c.id));
}

void index_remove(struct node *n, const char *id, const char *action) {
    struct fleet_entry *e = map_getz(&n->containers, id);
    if (!e)
        return;
    drop(n, e);
    n->fleet->revision++;
    tell(n, *action ? action : "resync", &e->c, NULL);
    free(e);
}

void index_sweep(struct node *n) {
    for (struct map_entry *it = NULL; (it = map_next(&n->containers, it));) {
        struct fleet_entry *e = it->value;
        if (e->generation == n->generation)
            continue;
        drop(n, e);
        n->fleet->revision++;
        tell(n, "resync", &e->c, NULL);
        free(e);
    }
}

/* ---- images, networks, volumes ---- */

static void tell_object(struct node *n, int kind, const char *action, const struct fleet_object *o, bool appeared,
                        bool vanished) {
    struct fleet_change ch = {.kind = (enum fleet_kind)(FLEET_IMAGE + kind),
                              .node_id = n->id,
                              .action = action && *action ? action : "resync",
                              .id = o->id,
                              .name = o->name,
                              .appeared = appeared,
                              .vanished = vanished};
    n->fleet->stats.changes++;
    fleet_tell(n->fleet, &ch);
}

void index_put_object(struct node *n, int kind, struct fleet_object *o, const char *action) {
    struct map *m = &n->objects[kind];
    struct fleet_item *old = o->id ? map_getz(m, o->id) : NULL;
    if (!o->id || (!old && m->n >= n->fleet->conf.max_containers))
        return;
    if (old && z_eq(old->o.json, o->json)) {
        old->generation = n->generation;
        return;
    }
    struct packer p = {0};
    pack_object(&p, o);
    p = (struct packer){.at = malloc(p.size)};
    CHECK(p.at != NULL);
    pack_object(&p, o);
    struct fleet_item *it = (struct fleet_item *)(void *)p.at;
    it->o.node_id = n->id;
    it->generation = n->generation;
    map_setz(m, it->o.id, it);
    tell_object(n, kind, action, &it->o, !old, false);
    free(old);
}

void index_sweep_objects(struct node *n, int kind, const char *action) {
    for (struct map_entry *e = NULL; (e = map_next(&n->objects[kind], e));) {
        struct fleet_item *it = e->value;
        if (it->generation == n->generation)
            continue;
        map_del(&n->objects[kind], e->key);
        tell_object(n, kind, action, &it->o, false, true);
        free(it);
    }
}

void index_clear(struct node *n) {
    for (struct map_entry *it = NULL; (it = map_next(&n->containers, it));) {
        struct fleet_entry *e = it->value;
        drop(n, e);
        free(e);
    }
    for (int k = 0; k < OBJECT_KINDS; k++)
        for (struct map_entry *it = NULL; (it = map_next(&n->objects[k], it));) {
            free(it->value);
            map_del(&n->objects[k], it->key);
        }
}
