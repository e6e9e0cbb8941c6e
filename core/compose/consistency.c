#include <math.h>
#include <stdlib.h>

#include "core/compose/stages.h"

struct check {
    struct compose_cx *cx;
    const struct y_node *file, *services, *disabled;
    const struct y_node *s; /* the service being checked */
    const char *name;
};

#define FAIL(c, at, field, ...)                                                                                        \
    y_error(ERR_INVALID, (at) != NULL ? (at) : (c)->s,                                                                 \
            arena_printf((c)->cx->a, "services.%s%s%s", (c)->name, (field)[0] ? "." : "", (field)), __VA_ARGS__)

static bool set_text(const struct y_node *n) { return y_str(n) != NULL && n->text.n > 0; }

static err_t check_build(const struct check *c) {
    const struct y_node *b = y_get(c->s, "build"), *platforms = y_get(b, "platforms"),
                        *platform = y_get(c->s, "platform");
    if (y_null(b) && !set_text(y_get(c->s, "image")) && y_null(y_get(c->s, "provider")))
        return y_hint(FAIL(c, c->s, "",
                           "service \"%s\" has neither an image nor a build context specified: invalid compose project",
                           c->name),
                      "add image: or build:");
    if (set_text(y_get(b, "dockerfile")) && set_text(y_get(b, "dockerfile_inline")))
        return FAIL(
            c, y_get(b, "dockerfile_inline"), "build",
            "service \"%s\" declares mutually exclusive dockerfile and dockerfile_inline: invalid compose project",
            c->name);
    bool found = y_len(platforms) == 0 || !set_text(platform);
    for (size_t i = 0; !found && i < platforms->seq.n; i++)
        found = y_eq(platforms->seq.v[i], platform);
    if (!found)
        return FAIL(c, platforms, "build.platforms",
                    "service.build.platforms MUST include service.platform \"%s\": invalid compose project",
                    y_str(platform));
    const struct y_node *extra = y_get(b, "additional_contexts");
    for (size_t i = 0; y_is(extra, Y_MAP) && i < extra->map.n; i++) {
        const struct y_node *v = extra->map.v[i].value;
        if (y_str(v) == NULL || !str_starts(v->text, STR("service:")))
            continue;
        const struct y_node *t = y_getn(c->services, str_slice(v->text, 8, v->text.n));
        if (y_null(t) || y_null(y_get(t, "build")))
            return FAIL(c, v, "build.additional_contexts",
                        "service \"%s\" declares %s service \"%s\" as additional contexts %s", c->name,
                        y_null(t) ? "unknown" : "non-buildable", v->text.p + 8, extra->map.v[i].key.p);
    }
    return NULL;
}

static err_t check_networks(const struct check *c) {
    const struct y_node *nets = y_get(c->s, "networks"), *mode = y_get(c->s, "network_mode"),
                        *all = y_get(c->file, "networks");
    if (set_text(mode) && y_len(nets) > 0)
        return FAIL(c, mode, "network_mode",
                    "service %s declares mutually exclusive `network_mode` and `networks`: invalid compose project",
                    c->name);
    for (size_t i = 0; y_is(nets, Y_MAP) && i < nets->map.n; i++) {
        struct str key = nets->map.v[i].key;
        if (y_getn(all, key) == NULL)
            return y_hint(FAIL(c, nets->map.v[i].value, "networks",
                               "service \"%s\" refers to undefined network %s: invalid compose project", c->name,
                               key.p),
                          "declare it under the top-level networks:");
    }
    if (set_text(mode) && str_starts(mode->text, STR("service:")) &&
        y_getn(c->services, str_slice(mode->text, 8, mode->text.n)) == NULL)
        return FAIL(c, mode, "network_mode", "service \"%s\" not found for network_mode '%s'", mode->text.p + 8,
                    mode->text.p);
    return NULL;
}

static err_t check_health(const struct check *c) {
    const struct y_node *h = y_get(c->s, "healthcheck"), *test = y_get(h, "test");
    const char *first = y_str(y_at(test, 0));
    if (first != NULL && !z_eq(first, "CMD") && !z_eq(first, "CMD-SHELL") && !z_eq(first, "NONE"))
        return FAIL(c, test, "healthcheck.test",
                    "healthcheck.test must start either by \"CMD\", \"CMD-SHELL\" or \"NONE\"");
    if (y_has(h, "start_interval") && !y_has(h, "start_period"))
        return y_hint(FAIL(c, y_get(h, "start_interval"), "healthcheck.start_interval",
                           "services.%s.healthcheck.start_interval requires healthcheck.start_period to be set",
                           c->name),
                      "set start_period");
    return NULL;
}

static err_t check_depends(const struct check *c) {
    const struct y_node *deps = y_get(c->s, "depends_on");
    for (size_t i = 0; y_is(deps, Y_MAP) && i < deps->map.n; i++) {
        struct str key = deps->map.v[i].key;
        if (y_getn(c->services, key) != NULL)
            continue;
        bool off = y_getn(c->disabled, key) != NULL;
        if (off && !y_get_bool(deps->map.v[i].value, "required", true))
            continue;
        return y_hint(FAIL(c, deps->map.v[i].value, "depends_on",
                           "service \"%s\" depends on undefined service \"%s\": invalid compose project", c->name,
                           key.p),
                      off ? "its profile is not active: activate it or set required: false"
                          : "declare the service or remove the dependency");
    }
    return NULL;
}

static err_t check_reference(const struct check *c, const struct y_node *n, const char *key, const char *section,
                             const char *kind) {
    if (key == NULL || y_has(y_get(c->file, section), key))
        return NULL;
    return y_hint(
        FAIL(c, n, section, "service \"%s\" refers to undefined %s %s: invalid compose project", c->name, kind, key),
        arena_printf(c->cx->a, "declare it under the top-level %s:", section));
}

static err_t check_references(const struct check *c) {
    const struct y_node *volumes = y_get(c->s, "volumes"), *models = y_get(c->s, "models");
    const struct y_node *lists[] = {y_get(c->s, "configs"), y_get(c->s, "secrets"),
                                    y_path(c->s, "build", "secrets", NULL)};
    static const char *const sections[] = {"configs", "secrets", "secrets"}, *const kinds[] = {"config", "secret",
                                                                                               "build secret"};
    for (size_t i = 0; y_is(volumes, Y_SEQ) && i < volumes->seq.n; i++) {
        const struct y_node *v = volumes->seq.v[i];
        if (z_eq(y_get_str(v, "type"), "volume") && set_text(y_get(v, "source")))
            TRY(check_reference(c, v, y_get_str(v, "source"), "volumes", "volume"));
    }
    for (size_t k = 0; k < ARRAY_LEN(lists); k++) {
        for (size_t i = 0; y_is(lists[k], Y_SEQ) && i < lists[k]->seq.n; i++)
            TRY(check_reference(c, lists[k]->seq.v[i], y_get_str(lists[k]->seq.v[i], "source"), sections[k], kinds[k]));
    }
    for (size_t i = 0; y_is(models, Y_MAP) && i < models->map.n; i++)
        TRY(check_reference(c, models->map.v[i].value, models->map.v[i].key.p, "models", "model"));
    return NULL;
}

static double as_number(const struct y_node *n) { return y_is(n, Y_INT) ? (double)n->i : y_is(n, Y_FLOAT) ? n->d : 0; }

static err_t check_same(const struct check *c, const char *key, const struct y_node *other, const char *other_name) {
    const struct y_node *own = y_get(c->s, key);
    double a = as_number(own), b = as_number(other);
    if (y_null(own) || y_null(other) || fabs(a - b) < 1e-9 || (a == 0 && !z_eq(key, "scale")))
        return NULL;
    return y_hint(FAIL(c, own, key, "services.%s: can't set distinct values on '%s' and '%s': invalid compose project",
                       c->name, key, other_name),
                  "set one of the two");
}

static err_t check_scale(const struct check *c) {
    const struct y_node *deploy = y_get(c->s, "deploy"), *replicas = y_get(deploy, "replicas"),
                        *scale = y_get(c->s, "scale");
    const struct y_node *limits = y_path(deploy, "resources", "limits", NULL),
                        *reserved = y_path(deploy, "resources", "reservations", NULL);
    if (y_is(replicas, Y_INT) && replicas->i < 0)
        return FAIL(c, replicas, "deploy.replicas", "services.%s.deploy.replicas: must be greater than or equal to 0",
                    c->name);
    if (y_is(scale, Y_INT) && scale->i < 0)
        return FAIL(c, scale, "scale", "services.%s.scale: must be greater than or equal to 0", c->name);
    TRY(check_same(c, "scale", replicas, "deploy.replicas"));
    TRY(check_same(c, "cpus", y_get(limits, "cpus"), "deploy.resources.limits.cpus"));
    TRY(check_same(c, "mem_limit", y_get(limits, "memory"), "deploy.resources.limits.memory"));
    TRY(check_same(c, "mem_reservation", y_get(reserved, "memory"), "deploy.resources.reservations.memory"));
    TRY(check_same(c, "pids_limit", y_get(limits, "pids"), "deploy.resources.limits.pids"));
    const struct y_node *many = y_is(scale, Y_INT) ? scale : replicas;
    if (y_is(many, Y_INT) && many->i > 1 && set_text(y_get(c->s, "container_name")))
        return FAIL(
            c, y_get(c->s, "container_name"), "container_name",
            "services.%s: can't set container_name and %s as container name must be unique: invalid compose project",
            c->name, many == scale ? "scale" : "deploy.replicas");
    return NULL;
}

static err_t check_watch(const struct check *c) {
    const struct y_node *w = y_path(c->s, "develop", "watch", NULL);
    for (size_t i = 0; y_is(w, Y_SEQ) && i < w->seq.n; i++) {
        const char *action = y_get_str(w->seq.v[i], "action");
        if (!set_text(y_get(w->seq.v[i], "target")) && !z_eq(action, "rebuild") && !z_eq(action, "restart"))
            return FAIL(
                c, w->seq.v[i], "develop.watch",
                "services.%s.develop.watch: target is required for non-rebuild actions: invalid compose project",
                c->name);
    }
    return NULL;
}

static err_t mount_once(const struct check *c, struct map *seen, struct str target, char *where,
                        const struct y_node *at) {
    const char *first = map_get(seen, target);
    if (first != NULL)
        return FAIL(c, at, "volumes", "%s: target %.*s already mounted as %s", where, STR_ARG(target), first);
    map_set(seen, target, where);
    return NULL;
}

static err_t check_mounts(const struct check *c) {
    const struct y_node *tmpfs = y_get(c->s, "tmpfs"), *volumes = y_get(c->s, "volumes");
    struct map seen;
    map_init(&seen, c->cx->a);
    for (size_t i = 0; y_is(tmpfs, Y_SEQ) && i < tmpfs->seq.n; i++) {
        if (y_str(tmpfs->seq.v[i]) == NULL)
            continue;
        struct str t = tmpfs->seq.v[i]->text;
        ptrdiff_t colon = str_find_chr(t, ':');
        t = colon < 0 ? t : str_slice(t, 0, (size_t)colon);
        TRY(mount_once(c, &seen, t, arena_printf(c->cx->a, "services.%s.tmpfs[%zu]", c->name, i), tmpfs->seq.v[i]));
    }
    for (size_t i = 0; y_is(volumes, Y_SEQ) && i < volumes->seq.n; i++) {
        const struct y_node *t = y_get(volumes->seq.v[i], "target");
        if (y_str(t) != NULL)
            TRY(mount_once(c, &seen, t->text, arena_printf(c->cx->a, "services.%s.volumes[%zu]", c->name, i), t));
    }
    return NULL;
}

static err_t check_service(const struct check *c) {
    static err_t (*const checks[])(const struct check *) = {
        check_build,      check_networks, check_health, check_depends,
        check_references, check_scale,    check_watch,  check_mounts,
    };
    for (size_t i = 0; i < ARRAY_LEN(checks); i++)
        TRY(checks[i](c));
    return NULL;
}

static err_t check_objects(struct compose_cx *cx, const struct y_node *file, const char *section, const char *kind) {
    const struct y_node *m = y_get(file, section);
    for (size_t i = 0; y_is(m, Y_MAP) && i < m->map.n; i++) {
        const struct y_node *o = m->map.v[i].value;
        if (y_get_bool(o, "external", false) || y_has(o, "file") || y_has(o, "environment") || y_has(o, "content") ||
            y_has(o, "driver"))
            continue;
        return y_error(ERR_INVALID, o, arena_printf(cx->a, "%s.%s", section, m->map.v[i].key.p),
                       "%s \"%s\" must declare either `file` or `environment`: invalid compose project", kind,
                       m->map.v[i].key.p);
    }
    return NULL;
}

static err_t check_container_names(struct compose_cx *cx, const struct y_node *services) {
    struct map seen;
    map_init(&seen, cx->a);
    for (size_t i = 0; y_is(services, Y_MAP) && i < services->map.n; i++) {
        const struct y_node *n = y_get(services->map.v[i].value, "container_name");
        if (!set_text(n))
            continue;
        const char *first = map_get(&seen, n->text);
        const char *name = services->map.v[i].key.p;
        if (first != NULL)
            return y_error(
                ERR_INVALID, n, arena_printf(cx->a, "services.%s.container_name", name),
                "services.%s: container name \"%s\" is already in use by service %s: invalid compose project", name,
                n->text.p, first);
        map_set(&seen, n->text, (void *)name);
    }
    return NULL;
}

err_t compose_consistency(struct compose_cx *cx, const struct y_node *file, const struct y_node *disabled) {
    struct check c = {.cx = cx, .file = file, .services = y_get(file, "services"), .disabled = disabled};
    for (size_t i = 0; y_is(c.services, Y_MAP) && i < c.services->map.n; i++) {
        c.s = c.services->map.v[i].value;
        c.name = c.services->map.v[i].key.p;
        TRY(check_service(&c));
    }
    TRY(check_container_names(cx, c.services));
    TRY(check_objects(cx, file, "secrets", "secret"));
    TRY(check_objects(cx, file, "configs", "config"));
    return compose_check_cycles(cx->a, c.services);
}

/* ---- the graph ---- */

struct names {
    struct arena *a;
    struct map seen;
    compose_names *ret;
};

static void add_name(struct names *n, struct str name) {
    if (map_has(&n->seen, name))
        return;
    map_set(&n->seen, name, NULL);
    *vec_push(n->a, n->ret) = str_z(n->a, name);
}

static struct str head(struct str s) {
    ptrdiff_t colon = str_find_chr(s, ':');
    return colon < 0 ? s : str_slice(s, 0, (size_t)colon);
}

void compose_dependencies(struct arena *a, const struct y_node *service, compose_names *ret) {
    static const char *const namespaces[] = {"network_mode", "ipc", "pid", "uts", "cgroup"};
    const struct y_node *deps = y_get(service, "depends_on"), *links = y_get(service, "links"),
                        *from = y_get(service, "volumes_from");
    struct names n = {.a = a, .ret = ret};
    map_init(&n.seen, a);
    for (size_t i = 0; y_is(deps, Y_MAP) && i < deps->map.n; i++)
        add_name(&n, deps->map.v[i].key);
    for (size_t i = 0; y_is(links, Y_SEQ) && i < links->seq.n; i++) {
        if (y_str(links->seq.v[i]) != NULL)
            add_name(&n, head(links->seq.v[i]->text));
    }
    for (size_t i = 0; i < ARRAY_LEN(namespaces); i++) {
        const struct y_node *ns = y_get(service, namespaces[i]);
        if (y_str(ns) != NULL && str_starts(ns->text, STR("service:")))
            add_name(&n, str_slice(ns->text, 8, ns->text.n));
    }
    for (size_t i = 0; y_is(from, Y_SEQ) && i < from->seq.n; i++) {
        if (y_str(from->seq.v[i]) != NULL && !str_starts(from->seq.v[i]->text, STR("container:")))
            add_name(&n, head(from->seq.v[i]->text));
    }
}

struct frame {
    const char *name;
    const char **deps;
    size_t n, next;
};

static int cmp_names(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static err_t cycle_error(struct arena *a, const struct frame *stack, size_t depth, const char *name,
                         const struct y_node *services) {
    size_t from = 0;
    while (from < depth && !z_eq(stack[from].name, name))
        from++;
    char *text = arena_strdup(a, "");
    for (size_t i = from; i < depth; i++)
        text = arena_printf(a, "%s%s -> ", text, stack[i].name);
    const struct y_node *s = y_get(services, stack[depth - 1].name), *at = y_path(s, "depends_on", name, NULL);
    return y_error(ERR_INVALID, at != NULL ? at : s, arena_printf(a, "services.%s.depends_on", stack[depth - 1].name),
                   "dependency cycle detected: %s%s", text, name);
}

static struct frame frame_of(struct arena *a, const struct y_node *services, const char *name) {
    compose_names deps = {0};
    compose_dependencies(a, y_get(services, name), &deps);
    if (deps.n > 1)
        qsort(deps.v, deps.n, sizeof(*deps.v), cmp_names);
    return (struct frame){.name = name, .deps = deps.v, .n = deps.n};
}

/** Depth-first from one service; `state`: absent, 1 = on the way, 2 = done. */
static err_t visit(struct arena *a, const struct y_node *services, const char *root, struct map *state) {
    static char on_way, done;
    VEC(struct frame) stack = {0};
    *vec_push(a, &stack) = frame_of(a, services, root);
    map_setz(state, root, &on_way);
    while (stack.n > 0) {
        struct frame *f = &stack.v[stack.n - 1];
        if (f->next == f->n) {
            map_setz(state, f->name, &done);
            stack.n--;
            continue;
        }
        const char *dep = f->deps[f->next++];
        void *s = map_getz(state, dep);
        if (s == &on_way)
            return cycle_error(a, stack.v, stack.n, dep, services);
        if (s == &done || !y_has(services, dep))
            continue;
        map_setz(state, dep, &on_way);
        *vec_push(a, &stack) = frame_of(a, services, dep);
    }
    return NULL;
}

err_t compose_check_cycles(struct arena *a, const struct y_node *services) {
    struct map state;
    map_init(&state, a);
    size_t n = y_is(services, Y_MAP) ? services->map.n : 0;
    const char **names = arena_new_array(a, const char *, n + 1);
    for (size_t i = 0; i < n; i++)
        names[i] = services->map.v[i].key.p;
    if (n > 1)
        qsort(names, n, sizeof(*names), cmp_names);
    for (size_t i = 0; i < n; i++) {
        if (!map_has(&state, str_of(names[i])))
            TRY(visit(a, services, names[i], &state));
    }
    return NULL;
}
