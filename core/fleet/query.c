/* Filters and look-ups over the sorted view. */
#include "core/fleet/fleet_internal.h"

static char low(char c) { return (char)(c >= 'A' && c <= 'Z' ? c + 32 : c); }

/* Substring, ASCII case ignored; `needle` is not empty. */
static bool contains(const char *hay, const char *needle) {
    for (; hay && *hay; hay++) {
        size_t i = 0;
        while (needle[i] && low(hay[i]) == low(needle[i]))
            i++;
        if (!needle[i])
            return true;
    }
    return false;
}

static bool has_label(const struct fleet_container *c, const char *want) {
    const char *eq = strchr(want, '=');
    size_t n = eq ? (size_t)(eq - want) : strlen(want);
    for (size_t i = 0; i < c->nlabels; i++)
        if (strlen(c->labels[i].key) == n && memcmp(c->labels[i].key, want, n) == 0)
            return !eq || z_eq(c->labels[i].value, eq + 1);
    return false;
}

static bool given(const char *z) { return z && *z; }

static bool matches(const struct fleet_container *c, const struct fleet_filter *f) {
    if (given(f->node_id) && !z_eq(c->node_id, f->node_id))
        return false;
    if (given(f->state) && !z_eq(c->state, f->state))
        return false;
    if (given(f->health) && !z_eq(c->health, f->health))
        return false;
    if (given(f->project) && !z_eq(c->project, f->project))
        return false;
    if (given(f->service) && !z_eq(c->service, f->service))
        return false;
    if (given(f->name) && !contains(c->name, f->name))
        return false;
    if (given(f->image) && !contains(c->image, f->image))
        return false;
    for (size_t i = 0; i < f->nlabels; i++)
        if (!has_label(c, f->labels[i]))
            return false;
    return !given(f->q) || contains(c->name, f->q) || contains(c->image, f->q) || z_starts(c->id, f->q) ||
           contains(c->project, f->q) || contains(c->service, f->q);
}

static size_t first_after(const struct fleet *f, const char *name, const char *id) {
    size_t lo = 0, hi = f->nsorted;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int d = strcmp(f->sorted[mid]->c.name, name);
        if (d == 0 && id)
            d = strcmp(f->sorted[mid]->c.id, id);
        if (d <= 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

size_t fleet_containers(struct fleet *f, const struct fleet_filter *filter,
                        bool (*fn)(void *arg, const struct fleet_container *c), void *arg) {
    static const struct fleet_filter everything;
    const struct fleet_filter *flt = filter ? filter : &everything;
    size_t seen = 0, i = flt->after_name ? first_after(f, flt->after_name, flt->after_id) : 0;
    for (; i < f->nsorted && (!flt->limit || seen < flt->limit); i++) {
        const struct fleet_container *c = &f->sorted[i]->c;
        if (!matches(c, flt))
            continue;
        seen++;
        if (!fn(arg, c))
            break;
    }
    return seen;
}

struct find {
    const struct fleet_container *exact, *prefix;
    size_t nprefix, nname;
};

static void look(const struct fleet_container *c, const char *ref, size_t n, struct find *r) {
    if (z_eq(c->name, ref)) {
        r->exact = c;
        r->nname++;
    }
    if (n >= 2 && strncmp(c->id, ref, n) == 0) {
        r->prefix = c;
        r->nprefix++;
    }
}

err_t fleet_container_find(struct fleet *f, const char *node_id, const char *ref, const struct fleet_container **ret) {
    struct find r = {0};
    size_t n = strlen(ref);
    for
        list_each_safe(it, tmp, &f->nodes) {
            struct node *node = list_entry(it, struct node, link);
            if (given(node_id) && !z_eq(node->id, node_id))
                continue;
            struct fleet_entry *e = n == 64 ? map_getz(&node->containers, ref) : NULL;
            if (e) {
                *ret = &e->c;
                return NULL;
            }
        }
    for (size_t i = 0; i < f->nsorted; i++)
        if (!given(node_id) || z_eq(f->sorted[i]->c.node_id, node_id))
            look(&f->sorted[i]->c, ref, n, &r);
    if (r.nname > 1 || (!r.nname && r.nprefix > 1))
        return err_new(ERR_CONFLICT, "\"%.80s\" names %zu containers; give the id or the node", ref,
                       r.nname > 1 ? r.nname : r.nprefix);
    if (!r.nname && !r.nprefix)
        return err_new(ERR_NOT_FOUND, "there is no container \"%.80s\"", ref);
    *ret = r.nname ? r.exact : r.prefix;
    return NULL;
}

size_t fleet_objects(struct fleet *f, enum fleet_kind kind, const char *node_id,
                     bool (*fn)(void *arg, const struct fleet_object *o), void *arg) {
    size_t seen = 0;
    int k = (int)kind - (int)FLEET_IMAGE;
    if (k < 0 || k >= OBJECT_KINDS)
        return 0;
    for
        list_each_safe(it, tmp, &f->nodes) {
            struct node *n = list_entry(it, struct node, link);
            if (given(node_id) && !z_eq(n->id, node_id))
                continue;
            for (struct map_entry *e = NULL; (e = map_next(&n->objects[k], e));) {
                seen++;
                if (!fn(arg, &((struct fleet_item *)e->value)->o))
                    return seen;
            }
        }
    return seen;
}
