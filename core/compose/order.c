#include <stdlib.h>

#include "core/compose/stages.h"

static int cmp_names(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

struct graph {
    struct arena *a;
    const struct compose_project *p;
    compose_names *next; /* edges in walking direction */
    size_t *wait;        /* how many must come before */
    bool *reached;
};

static size_t index_of(const struct compose_project *p, const char *name) {
    const struct compose_service *s = compose_service_find(p, name);
    return s != NULL ? (size_t)(s - p->services) : SIZE_MAX;
}

/** `up`: from a dependency to what depends on it; else the other way round. */
static struct graph graph_of(struct arena *a, const struct compose_project *p, bool up) {
    size_t n = p->n_services;
    struct graph g = {a, p, arena_new_array(a, compose_names, n + 1), arena_new_array(a, size_t, n + 1),
                      arena_new_array(a, bool, n + 1)};
    for (size_t i = 0; i < n; i++) {
        compose_names deps = {0};
        compose_dependencies(a, p->services[i].node, &deps);
        for (size_t k = 0; k < deps.n; k++) {
            size_t d = index_of(p, deps.v[k]);
            if (d == SIZE_MAX || d == i)
                continue;
            size_t first = up ? d : i, then = up ? i : d;
            *vec_push(a, &g.next[first]) = p->services[then].name;
            g.wait[then]++;
        }
    }
    return g;
}

/** Everything that depends on a root (down) or that a root depends on (up), roots included. */
static bool *reach(struct arena *a, const struct compose_project *p, bool up, const char *const *roots,
                   size_t n_roots) {
    struct graph g = graph_of(a, p, !up);
    compose_names todo = {0};
    for (size_t i = 0; i < n_roots; i++)
        *vec_push(a, &todo) = roots[i];
    while (todo.n > 0) {
        size_t i = index_of(p, todo.v[--todo.n]);
        if (i == SIZE_MAX || g.reached[i])
            continue;
        g.reached[i] = true;
        for (size_t k = 0; k < g.next[i].n; k++)
            *vec_push(a, &todo) = g.next[i].v[k];
    }
    return g.reached;
}

err_t compose_order(struct arena *a, const struct compose_project *p, bool up, const char *const *roots, size_t n_roots,
                    struct compose_strs *ret) {
    const struct y_node *services = y_get(p->tree, "services");
    if (services != NULL)
        TRY(compose_check_cycles(a, services));
    struct graph g = graph_of(a, p, up);
    const bool *reached = reach(a, p, up, roots, n_roots);
    *ret = (struct compose_strs){.v = arena_new_array(a, const char *, p->n_services + 1), .set = true};
    compose_names level = {0};
    for (size_t i = 0; i < p->n_services; i++) {
        if (g.wait[i] == 0)
            *vec_push(a, &level) = p->services[i].name;
    }
    while (level.n > 0) {
        compose_names after = {0};
        qsort(level.v, level.n, sizeof(*level.v), cmp_names);
        for (size_t k = 0; k < level.n; k++) {
            size_t i = index_of(p, level.v[k]);
            if (n_roots == 0 || reached[i])
                ret->v[ret->n++] = level.v[k];
            for (size_t e = 0; e < g.next[i].n; e++) {
                if (--g.wait[index_of(p, g.next[i].v[e])] == 0)
                    *vec_push(a, &after) = g.next[i].v[e];
            }
        }
        level = after;
    }
    return NULL;
}

struct priority {
    const char *name;
    int64_t value;
};

static int cmp_priority(const void *x, const void *y) {
    const struct priority *a = x, *b = y;
    return a->value != b->value ? (a->value < b->value ? 1 : -1) : strcmp(a->name, b->name);
}

void compose_networks_by_priority(struct arena *a, const struct y_node *networks, compose_names *ret) {
    size_t n = y_is(networks, Y_MAP) ? networks->map.n : 0;
    struct priority *v = arena_new_array(a, struct priority, n + 1);
    for (size_t i = 0; i < n; i++)
        v[i] = (struct priority){networks->map.v[i].key.p, y_get_int(networks->map.v[i].value, "priority", 0)};
    if (n > 1)
        qsort(v, n, sizeof(*v), cmp_priority);
    for (size_t i = 0; i < n; i++)
        *vec_push(a, ret) = v[i].name;
}
