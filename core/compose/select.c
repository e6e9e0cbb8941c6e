/* Which services take part: profiles, the caller's selection, and what they need. */
#include "core/compose/stages.h"

static bool in_list(const char *const *v, size_t n, const char *s) {
    for (size_t i = 0; i < n; i++) {
        if (z_eq(v[i], s))
            return true;
    }
    return false;
}

static bool has_profile(const struct y_node *service, compose_names *active) {
    const struct y_node *p = y_get(service, "profiles");
    if (y_len(p) == 0)
        return true;
    for (size_t i = 0; i < p->seq.n; i++) {
        if (y_str(p->seq.v[i]) != NULL && in_list(active->v, active->n, y_str(p->seq.v[i])))
            return true;
    }
    return in_list(active->v, active->n, "*");
}

/** Naming a service activates its profiles. */
static err_t enable(struct compose_cx *cx, const struct y_node *services, const char *name, compose_names *active) {
    const struct y_node *s = y_get(services, name);
    if (s == NULL)
        return err_new(ERR_NOT_FOUND, "no such service: %s", name);
    const struct y_node *p = y_get(s, "profiles");
    for (size_t i = 0; y_is(p, Y_SEQ) && i < p->seq.n && !has_profile(s, active); i++) {
        if (y_str(p->seq.v[i]) != NULL)
            *vec_push(cx->a, active) = y_str(p->seq.v[i]);
    }
    return NULL;
}

static void split(struct compose_cx *cx, struct y_node *services, compose_names *active,
                  struct compose_selection *ret) {
    ret->enabled = y_new(cx->a, Y_MAP, services);
    ret->disabled = y_new(cx->a, Y_MAP, services);
    for (size_t i = 0; y_is(services, Y_MAP) && i < services->map.n; i++) {
        struct y_entry *e = &services->map.v[i];
        y_put(cx->a, has_profile(e->value, active) ? ret->enabled : ret->disabled, e, e->value);
    }
}

/** Mark a service and what it depends on. Iterative: the chain may be as long as there are services. */
static err_t mark(struct compose_cx *cx, const struct y_node *enabled, const char *name, struct map *set) {
    compose_names todo = {0};
    *vec_push(cx->a, &todo) = name;
    while (todo.n > 0) {
        const char *cur = todo.v[--todo.n];
        if (map_has(set, str_of(cur)))
            continue;
        const struct y_node *s = y_get(enabled, cur), *deps = y_get(s, "depends_on");
        if (s == NULL)
            continue; /* a dependency that is switched off: the consistency check decides */
        map_setz(set, cur, NULL);
        for (size_t i = 0; !cx->o->ignore_dependencies && y_is(deps, Y_MAP) && i < deps->map.n; i++)
            *vec_push(cx->a, &todo) = deps->map.v[i].key.p;
    }
    return NULL;
}

static bool in_set(void *ctx, const struct y_entry *e) { return map_has(ctx, e->key); }

static void restrict_to(struct compose_cx *cx, struct map *set, struct compose_selection *s) {
    struct y_node *keep = y_new(cx->a, Y_MAP, s->enabled);
    for (size_t i = 0; i < s->enabled->map.n; i++) {
        struct y_entry *e = &s->enabled->map.v[i];
        if (!map_has(set, e->key)) {
            y_put(cx->a, s->disabled, e, e->value);
            continue;
        }
        struct y_node *deps = y_get(e->value, "depends_on");
        if (y_is(deps, Y_MAP))
            y_keep(deps, in_set, set);
        y_put(cx->a, keep, e, e->value);
    }
    s->enabled = keep;
}

err_t compose_select(struct compose_cx *cx, struct y_node *file, struct compose_selection *ret) {
    const struct compose_options *o = cx->o;
    struct y_node *services = y_get(file, "services");
    compose_names active = {0};
    for (size_t i = 0; i < o->n_profiles; i++)
        *vec_push(cx->a, &active) = o->profiles[i];
    for (size_t i = 0; i < o->n_enable; i++)
        TRY(enable(cx, services, o->enable[i], &active));
    for (size_t i = 0; i < o->n_services; i++)
        TRY(enable(cx, services, o->services[i], &active));
    split(cx, services != NULL ? services : y_new(cx->a, Y_MAP, file), &active, ret);
    if (o->n_services > 0) {
        struct map set;
        map_init(&set, cx->a);
        for (size_t i = 0; i < o->n_services; i++)
            TRY(mark(cx, ret->enabled, o->services[i], &set));
        restrict_to(cx, &set, ret);
    }
    if (services != NULL)
        y_set(cx->a, file, "services", ret->enabled);
    return NULL;
}

/* ---- pruning ---- */

static void use_keys(struct map *used, const struct y_node *m) {
    for (size_t i = 0; y_is(m, Y_MAP) && i < m->map.n; i++)
        map_set(used, m->map.v[i].key, NULL);
}

static void use_sources(struct map *used, const struct y_node *l, const char *type) {
    for (size_t i = 0; y_is(l, Y_SEQ) && i < l->seq.n; i++) {
        const char *source = y_get_str(l->seq.v[i], "source");
        if (source != NULL && (type == NULL || z_eq(y_get_str(l->seq.v[i], "type"), type)))
            map_setz(used, source, NULL);
    }
}

static void collect(struct map *used, const struct y_node *s, const char *section) {
    if (z_eq(section, "networks") || z_eq(section, "models"))
        use_keys(used, y_get(s, section));
    else
        use_sources(used, y_get(s, section), z_eq(section, "volumes") ? "volume" : NULL);
    if (z_eq(section, "secrets"))
        use_sources(used, y_path(s, "build", "secrets", NULL), NULL);
}

void compose_prune(struct compose_cx *cx, struct y_node *file) {
    static const char *const sections[] = {"networks", "volumes", "configs", "secrets", "models"};
    const struct y_node *services = y_get(file, "services");
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        struct y_node *m = y_get(file, sections[i]);
        struct map used;
        map_init(&used, cx->a);
        for (size_t k = 0; y_is(services, Y_MAP) && k < services->map.n; k++)
            collect(&used, services->map.v[k].value, sections[i]);
        if (y_is(m, Y_MAP))
            y_keep(m, in_set, &used);
    }
}
