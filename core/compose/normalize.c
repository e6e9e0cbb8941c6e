/* Defaults, implicit dependencies and names; environment from files and from the caller. */
#include <stdlib.h>

#include "core/compose/stages.h"

static struct y_node *map_in(struct arena *a, struct y_node *parent, const char *key) {
    struct y_node *m = y_get(parent, key);
    if (y_is(m, Y_MAP))
        return m;
    m = y_new(a, Y_MAP, parent);
    y_set(a, parent, key, m);
    return m;
}

static bool truthy_name(const struct y_node *n) { return y_str(n) != NULL && n->text.n > 0; }

/* ---- defaults ---- */

static void set_default(struct arena *a, struct y_node *m, const char *key, const char *value) {
    if (y_is(m, Y_MAP) && y_null(y_get(m, key)))
        y_set(a, m, key, y_new_str(a, value, m));
}

static void request_defaults(struct arena *a, struct y_node *l) {
    for (size_t i = 0; y_is(l, Y_SEQ) && i < l->seq.n; i++) {
        struct y_node *r = l->seq.v[i];
        if (y_is(r, Y_MAP) && !y_has(r, "count") && !y_has(r, "device_ids"))
            y_set(a, r, "count", y_new_int(a, -1, r));
    }
}

static void secret_defaults(struct arena *a, struct y_node *l) {
    for (size_t i = 0; y_is(l, Y_SEQ) && i < l->seq.n; i++) {
        const char *source = y_get_str(l->seq.v[i], "source");
        if (source != NULL)
            set_default(a, l->seq.v[i], "target", arena_printf(a, "/run/secrets/%s", source));
    }
}

static void service_defaults(struct arena *a, struct y_node *s) {
    set_default(a, y_get(s, "build"), "context", ".");
    secret_defaults(a, y_get(s, "secrets"));
    request_defaults(a, y_get(s, "gpus"));
    request_defaults(a, y_path(s, "deploy", "resources", "reservations", "devices", NULL));
    struct y_node *ports = y_get(s, "ports"), *volumes = y_get(s, "volumes");
    for (size_t i = 0; y_is(ports, Y_SEQ) && i < ports->seq.n; i++) {
        set_default(a, ports->seq.v[i], "mode", "ingress");
        set_default(a, ports->seq.v[i], "protocol", "tcp");
    }
    for (size_t i = 0; y_is(volumes, Y_SEQ) && i < volumes->seq.n; i++) {
        struct y_node *v = volumes->seq.v[i];
        if (!z_eq(y_get_str(v, "type"), "bind"))
            continue;
        struct y_node *bind = map_in(a, v, "bind");
        if (!y_has(bind, "create_host_path"))
            y_set(a, bind, "create_host_path", y_new_bool(a, true, v));
    }
}

void compose_defaults(struct compose_cx *cx, struct y_node *file) {
    struct y_node *services = y_get(file, "services");
    for (size_t i = 0; y_is(services, Y_MAP) && i < services->map.n; i++)
        service_defaults(cx->a, services->map.v[i].value);
}

/* ---- environment ---- */

static bool has_value(void *ctx, const struct y_entry *e) {
    (void)ctx;
    return e->value->kind != Y_NULL;
}

static void resolve_map(struct compose_cx *cx, struct y_node *m, const struct compose_env *env, bool keep_unset) {
    if (!y_is(m, Y_MAP))
        return;
    for (size_t i = 0; i < m->map.n; i++) {
        struct y_entry *e = &m->map.v[i];
        const char *v = e->value->kind == Y_NULL ? compose_env_get(env, e->key.p) : NULL;
        if (v == NULL)
            continue;
        struct y_node *n = y_new_str(cx->a, v, e->value);
        n->raw = arena_printf(cx->a, "${%s}", e->key.p);
        e->value = n;
    }
    if (!keep_unset)
        y_keep(m, has_value, NULL);
}

static void resolve_content(struct compose_cx *cx, struct y_node *m, const struct compose_env *env) {
    for (size_t i = 0; y_is(m, Y_MAP) && i < m->map.n; i++) {
        struct y_node *o = m->map.v[i].value, *name = y_get(o, "environment");
        const char *v = y_str(name) != NULL ? compose_env_get(env, y_str(name)) : NULL;
        if (v != NULL)
            y_set(cx->a, o, "content", y_new_str(cx->a, v, name));
    }
}

void compose_resolve_environment(struct compose_cx *cx, struct y_node *file, const struct compose_env *env) {
    struct y_node *services = y_get(file, "services");
    for (size_t i = 0; y_is(services, Y_MAP) && i < services->map.n; i++)
        resolve_map(cx, y_get(services->map.v[i].value, "environment"), env, true);
    resolve_content(cx, y_get(file, "secrets"), env);
    resolve_content(cx, y_get(file, "configs"), env);
}

static err_t read_env_file(struct compose_cx *cx, const struct y_node *f, const struct compose_env *env,
                           struct map *vars) {
    const char *path = y_get_str(f, "path"), *format = y_get_str(f, "format");
    struct str text;
    if (path == NULL)
        return NULL;
    err_t e = compose_read_file(cx, compose_path_join(cx->a, cx->o->working_dir, path), y_get(f, "path"), &text);
    if (e != NULL && err_is(e, ERR_NOT_FOUND))
        return y_get_bool(f, "required", true)
                   ? y_error(ERR_NOT_FOUND, y_get(f, "path"), NULL, "env file %s not found", path)
                   : NULL;
    TRY(e);
    if (z_eq(format, "raw"))
        return compose_dotenv_raw(cx, text, path, env, vars);
    if (format != NULL && format[0] != '\0')
        return y_error(ERR_INVALID, y_get(f, "format"), NULL, "unsupported env_file format \"%s\"", format);
    return compose_dotenv(cx, text, path, env, vars);
}

static err_t label_files(struct compose_cx *cx, struct y_node *service, const struct compose_env *env) {
    const struct y_node *files = y_get(service, "label_file");
    if (y_len(files) == 0)
        return NULL;
    struct map vars;
    map_init(&vars, cx->a);
    for (size_t i = 0; y_is(files, Y_SEQ) && i < files->seq.n; i++) {
        const char *path = y_str(files->seq.v[i]);
        struct str text;
        if (path == NULL)
            continue;
        TRY(compose_read_file(cx, compose_path_join(cx->a, cx->o->working_dir, path), files->seq.v[i], &text));
        TRY(compose_dotenv(cx, text, path, env, &vars));
    }
    struct y_node *labels = map_in(cx->a, service, "labels");
    for (struct map_entry *e = NULL; (e = map_next(&vars, e)) != NULL;) {
        if (y_getn(labels, e->key) == NULL)
            y_setn(cx->a, labels, e->key, y_new_str(cx->a, e->value, files));
    }
    return NULL;
}

/** A place for what came from a file of variables: that file. */
static struct y_node *from_file(struct compose_cx *cx, const struct y_node *ref, const char *value) {
    struct y_node *n = y_new_str(cx->a, value, ref);
    n->file = y_get_str(ref, "path") != NULL ? y_get_str(ref, "path") : n->file;
    n->line = n->col = 0;
    return n;
}

/** `environment:` wins over env_file, a later file over an earlier; expansion sees the project's and the service's variables. */
err_t compose_env_files(struct compose_cx *cx, struct y_node *service, const char *name,
                        const struct compose_env *env) {
    struct y_node *files = y_get(service, "env_file");
    (void)name;
    TRY(label_files(cx, service, env));
    if (cx->o->discard_env_files)
        y_del(service, "label_file");
    if (y_len(files) == 0 || files->kind != Y_SEQ)
        return NULL;
    struct y_node *own = map_in(cx->a, service, "environment");
    struct map vars;
    struct compose_env fallback;
    map_init(&vars, cx->a);
    compose_env_init(&fallback, cx->a);
    for (size_t i = 0; i < own->map.n; i++) {
        if (y_str(own->map.v[i].value) != NULL)
            map_set(&fallback.vars, own->map.v[i].key, (void *)y_str(own->map.v[i].value));
    }
    struct compose_env lookup = {.then = &fallback};
    map_init(&lookup.vars, cx->a);
    if (env != NULL)
        lookup.vars = env->vars;
    for (size_t i = 0; i < files->seq.n; i++) {
        struct map one;
        map_init(&one, cx->a);
        for (struct map_entry *e = NULL; (e = map_next(&vars, e)) != NULL;)
            map_set(&one, e->key, (void *)y_str(e->value));
        TRY(read_env_file(cx, files->seq.v[i], &lookup, &one));
        for (struct map_entry *e = NULL; (e = map_next(&one, e)) != NULL;) {
            struct y_node *had = map_get(&vars, e->key);
            if (had == NULL || !z_eq(y_str(had), e->value))
                map_set(&vars, e->key, from_file(cx, files->seq.v[i], e->value));
        }
    }
    for (struct map_entry *e = NULL; (e = map_next(&vars, e)) != NULL;) {
        struct y_node *had = y_getn(own, e->key);
        if (had == NULL || had->kind == Y_NULL)
            y_setn(cx->a, own, e->key, e->value);
    }
    if (cx->o->discard_env_files)
        y_del(service, "env_file");
    return NULL;
}

/* ---- names and implicit dependencies ---- */

static void depend(struct compose_cx *cx, struct y_node *service, struct str on, bool restart,
                   const struct y_node *at) {
    struct y_node *deps = y_get(service, "depends_on");
    if (!y_is(deps, Y_MAP)) {
        deps = y_new(cx->a, Y_MAP, at);
        y_set(cx->a, service, "depends_on", deps);
    }
    if (y_getn(deps, on) != NULL)
        return;
    struct y_node *d = y_new(cx->a, Y_MAP, at);
    y_set(cx->a, d, "condition", y_new_str(cx->a, "service_started", at));
    y_set(cx->a, d, "required", y_new_bool(cx->a, true, at));
    y_set(cx->a, d, "restart", y_new_bool(cx->a, restart, at));
    y_setn(cx->a, deps, on, d);
}

static struct str before_colon(struct str s) {
    ptrdiff_t colon = str_find_chr(s, ':');
    return colon < 0 ? s : str_slice(s, 0, (size_t)colon);
}

static void implicit_dependencies(struct compose_cx *cx, struct y_node *s) {
    static const char *const namespaces[] = {"network_mode", "ipc", "pid", "uts", "cgroup"};
    const struct y_node *links = y_get(s, "links"), *from = y_get(s, "volumes_from");
    for (size_t i = 0; y_is(links, Y_SEQ) && i < links->seq.n; i++) {
        if (y_str(links->seq.v[i]) != NULL)
            depend(cx, s, before_colon(links->seq.v[i]->text), true, links->seq.v[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(namespaces); i++) {
        const struct y_node *n = y_get(s, namespaces[i]);
        if (y_str(n) != NULL && str_starts(n->text, STR("service:")))
            depend(cx, s, str_slice(n->text, 8, n->text.n), true, n);
    }
    for (size_t i = 0; y_is(from, Y_SEQ) && i < from->seq.n; i++) {
        const struct y_node *n = from->seq.v[i];
        if (y_str(n) != NULL && !str_starts(n->text, STR("container:")))
            depend(cx, s, before_colon(n->text), false, n);
    }
}

/** Also says whether the service uses the default network. */
static bool normalize_service(struct compose_cx *cx, struct y_node *s, const struct compose_env *env) {
    struct y_node *build = y_get(s, "build"), *policy = y_get(s, "pull_policy"), *volumes = y_get(s, "volumes");
    if (y_str(policy) != NULL && str_eqz(policy->text, "if_not_present"))
        policy->text = STR("missing");
    if (y_is(build, Y_MAP)) {
        set_default(cx->a, build, "context", ".");
        if (y_null(y_get(build, "dockerfile_inline")))
            set_default(cx->a, build, "dockerfile", "Dockerfile");
        resolve_map(cx, y_get(build, "args"), env, false);
    }
    resolve_map(cx, y_get(s, "environment"), env, true);
    for (size_t i = 0; y_is(volumes, Y_SEQ) && i < volumes->seq.n; i++) {
        struct y_node *t = y_get(volumes->seq.v[i], "target");
        if (y_str(t) != NULL && t->text.n > 0 && t->text.p[0] == '/')
            t->text = str_of(compose_path_join(cx->a, "/", t->text.p));
    }
    implicit_dependencies(cx, s);
    if (!y_null(y_get(s, "provider")) || truthy_name(y_get(s, "network_mode")))
        return false;
    struct y_node *nets = y_get(s, "networks");
    if (y_len(nets) == 0) {
        nets = y_new(cx->a, Y_MAP, s);
        y_set(cx->a, nets, "default", y_new(cx->a, Y_NULL, s));
        y_set(cx->a, s, "networks", nets);
    }
    return y_has(nets, "default");
}

static void set_names(struct compose_cx *cx, struct y_node *file, const char *section, const char *project) {
    struct y_node *m = y_get(file, section);
    for (size_t i = 0; y_is(m, Y_MAP) && i < m->map.n; i++) {
        struct y_entry *e = &m->map.v[i];
        if (e->value->kind == Y_NULL)
            e->value = y_new(cx->a, Y_MAP, e->value);
        if (e->value->kind != Y_MAP || truthy_name(y_get(e->value, "name")))
            continue;
        bool external = y_get_bool(e->value, "external", false);
        const char *name = external ? e->key.p : arena_printf(cx->a, "%s_%s", project, e->key.p);
        y_set(cx->a, e->value, "name", y_new_str(cx->a, name, e->value));
    }
}

err_t compose_normalize(struct compose_cx *cx, struct y_node *file, const struct compose_env *env) {
    static const char *const sections[] = {"networks", "volumes", "configs", "secrets"};
    struct y_node *services = y_get(file, "services");
    bool uses_default = false;
    for (size_t i = 0; y_is(services, Y_MAP) && i < services->map.n; i++) {
        struct y_entry *e = &services->map.v[i];
        if (e->value->kind == Y_NULL)
            e->value = y_new(cx->a, Y_MAP, e->value);
        if (e->value->kind == Y_MAP && normalize_service(cx, e->value, env))
            uses_default = true;
    }
    if (uses_default && !y_has(map_in(cx->a, file, "networks"), "default"))
        y_set(cx->a, y_get(file, "networks"), "default", y_new(cx->a, Y_NULL, file));
    const char *project = y_get_str(file, "name");
    for (size_t i = 0; i < ARRAY_LEN(sections); i++)
        set_names(cx, file, sections[i], project != NULL ? project : "");
    return NULL;
}

/* ---- project names ---- */

static bool name_char(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-'; }

char *compose_name_from(struct arena *a, const char *s) {
    char *out = str_lower(a, str_of(s));
    size_t n = 0;
    for (const char *p = out; *p != '\0'; p++) {
        if (name_char(*p) && !(n == 0 && (*p == '_' || *p == '-')))
            out[n++] = *p;
    }
    out[n] = '\0';
    return out;
}

bool compose_name_ok(const char *s) {
    if (s[0] == '\0' || s[0] == '_' || s[0] == '-')
        return false;
    for (; *s != '\0'; s++) {
        if (!name_char(*s))
            return false;
    }
    return true;
}
