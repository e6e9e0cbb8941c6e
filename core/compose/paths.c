#include "core/compose/stages.h"

char *compose_path_join(struct arena *a, const char *dir, const char *path) {
    char *all = path[0] == '/' ? arena_strdup(a, path) : arena_printf(a, "%s/%s", dir, path);
    char *out = arena_alloc(a, strlen(all) + 2, 1);
    size_t n = 0;
    struct str rest = str_of(all), part;
    while (str_cut(&rest, '/', &part)) {
        if (part.n == 0 || str_eqz(part, "."))
            continue;
        if (str_eqz(part, "..")) {
            while (n > 0 && out[--n] != '/')
                ;
            continue;
        }
        out[n++] = '/';
        memcpy(out + n, part.p, part.n);
        n += part.n;
    }
    if (n == 0)
        out[n++] = '/';
    out[n] = '\0';
    return out;
}

char *compose_path_dir(struct arena *a, const char *path) {
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return arena_strdup(a, ".");
    return slash == path ? arena_strdup(a, "/") : arena_strndup(a, path, (size_t)(slash - path));
}

bool compose_path_inside(const char *root, const char *path) {
    size_t n = strlen(root);
    while (n > 0 && root[n - 1] == '/')
        n--;
    return strncmp(root, path, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

bool compose_is_remote(const char *s) {
    return strstr(s, "://") != NULL || z_starts(s, "git@") || z_starts(s, "github.com/") || z_starts(s, "oci:");
}

struct walk {
    struct compose_cx *cx;
    const char *dir;
    const struct compose_env *env;
};

/** Does a build context or an additional one name something that is not a directory of ours? */
static bool not_a_path(const char *s) {
    static const char *const prefixes[] = {"service:", "target:", "docker-image:", "oci-layout:"};
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        if (z_starts(s, prefixes[i]))
            return true;
    }
    return compose_is_remote(s);
}

static bool windows_path(const char *s) {
    bool letter = (s[0] >= 'a' && s[0] <= 'z') || (s[0] >= 'A' && s[0] <= 'Z');
    return z_starts(s, "\\\\") || (letter && s[1] == ':' && (s[2] == '\\' || s[2] == '/'));
}

/** Make the path in *n absolute. A relative one must stay inside the fence. */
static err_t resolve(struct walk *w, struct y_node *n, const char *where) {
    const struct compose_options *o = w->cx->o;
    const char *s = y_str(n);
    if (s == NULL || s[0] == '\0' || windows_path(s))
        return NULL;
    if (s[0] == '~' && (s[1] == '/' || s[1] == '\0')) {
        const char *home = o != NULL && o->home != NULL ? o->home : compose_env_get(w->env, "HOME");
        if (home == NULL)
            return y_hint(y_error(ERR_INVALID, n, where, "%s: \"%s\": there is no home directory here", where, s),
                          "write the full path");
        n->text = str_of(compose_path_join(w->cx->a, home, s[1] != '\0' ? s + 2 : "."));
        return NULL;
    }
    char *abs = compose_path_join(w->cx->a, w->dir, s);
    bool relative = s[0] != '/';
    if (relative && o != NULL && o->root != NULL && !compose_path_inside(o->root, abs))
        return y_hint(y_error(ERR_PATH_ESCAPE, n, where, "%s: path \"%s\" leads out of the repository", where, s),
                      "keep relative paths inside the repository");
    n->relative = n->relative || relative;
    n->text = str_of(abs);
    return NULL;
}

static err_t resolve_build(struct walk *w, struct y_node *build, const char *p) {
    struct arena *a = w->cx->a;
    struct y_node *context = y_get(build, "context");
    if (y_str(context) != NULL && !not_a_path(y_str(context)))
        TRY(resolve(w, context, arena_printf(a, "%s.context", p)));
    struct y_node *extra = y_get(build, "additional_contexts");
    for (size_t i = 0; y_is(extra, Y_MAP) && i < extra->map.n; i++) {
        const char *s = y_str(extra->map.v[i].value);
        if (s != NULL && !not_a_path(s))
            TRY(resolve(w, extra->map.v[i].value,
                        arena_printf(a, "%s.additional_contexts.%s", p, extra->map.v[i].key.p)));
    }
    struct y_node *ssh = y_get(build, "ssh");
    for (size_t i = 0; y_is(ssh, Y_MAP) && i < ssh->map.n; i++) {
        if (!str_eqz(ssh->map.v[i].key, "default"))
            TRY(resolve(w, ssh->map.v[i].value, arena_printf(a, "%s.ssh.%s", p, ssh->map.v[i].key.p)));
    }
    return NULL;
}

static err_t resolve_mounts(struct walk *w, struct y_node *volumes, const char *p) {
    for (size_t i = 0; y_is(volumes, Y_SEQ) && i < volumes->seq.n; i++) {
        struct y_node *v = volumes->seq.v[i];
        if (z_eq(y_get_str(v, "type"), "bind"))
            TRY(resolve(w, y_get(v, "source"), arena_printf(w->cx->a, "%s.volumes.%zu.source", p, i)));
    }
    return NULL;
}

static err_t resolve_list(struct walk *w, struct y_node *l, const char *key, const char *where) {
    for (size_t i = 0; y_is(l, Y_SEQ) && i < l->seq.n; i++)
        TRY(resolve(w, key != NULL ? y_get(l->seq.v[i], key) : l->seq.v[i], where));
    return NULL;
}

static err_t resolve_service(struct walk *w, struct y_node *s, const char *name) {
    struct arena *a = w->cx->a;
    char *p = arena_printf(a, "services.%s", name);
    TRY(resolve_build(w, y_get(s, "build"), arena_printf(a, "%s.build", p)));
    TRY(resolve_list(w, y_get(s, "env_file"), "path", arena_printf(a, "%s.env_file", p)));
    TRY(resolve_list(w, y_get(s, "label_file"), NULL, arena_printf(a, "%s.label_file", p)));
    TRY(resolve_mounts(w, y_get(s, "volumes"), p));
    TRY(resolve_list(w, y_path(s, "develop", "watch", NULL), "path", arena_printf(a, "%s.develop.watch", p)));
    TRY(resolve(w, y_path(s, "credential_spec", "file", NULL), arena_printf(a, "%s.credential_spec.file", p)));
    struct y_node *from = y_path(s, "extends", "file", NULL);
    if (y_str(from) != NULL && !compose_is_remote(y_str(from)))
        TRY(resolve(w, from, arena_printf(a, "%s.extends.file", p)));
    return NULL;
}

static err_t resolve_objects(struct walk *w, struct y_node *m, const char *section) {
    for (size_t i = 0; y_is(m, Y_MAP) && i < m->map.n; i++)
        TRY(resolve(w, y_get(m->map.v[i].value, "file"),
                    arena_printf(w->cx->a, "%s.%s.file", section, m->map.v[i].key.p)));
    return NULL;
}

/** A local volume with o: bind mounts the device, a path. */
static err_t resolve_volumes(struct walk *w, struct y_node *m) {
    for (size_t i = 0; y_is(m, Y_MAP) && i < m->map.n; i++) {
        struct y_node *v = m->map.v[i].value, *opts = y_get(v, "driver_opts");
        const char *driver = y_get_str(v, "driver"), *o = y_get_str(opts, "o");
        if (driver != NULL && driver[0] != '\0' && !z_eq(driver, "local"))
            continue;
        if (z_eq(o, "bind"))
            TRY(resolve(w, y_get(opts, "device"),
                        arena_printf(w->cx->a, "volumes.%s.driver_opts.device", m->map.v[i].key.p)));
    }
    return NULL;
}

err_t compose_resolve_paths(struct compose_cx *cx, struct y_node *file, const char *dir,
                            const struct compose_env *env) {
    struct walk w = {cx, dir, env};
    struct y_node *services = y_get(file, "services");
    for (size_t i = 0; y_is(services, Y_MAP) && i < services->map.n; i++)
        TRY(resolve_service(&w, services->map.v[i].value, services->map.v[i].key.p));
    TRY(resolve_objects(&w, y_get(file, "configs"), "configs"));
    TRY(resolve_objects(&w, y_get(file, "secrets"), "secrets"));
    return resolve_volumes(&w, y_get(file, "volumes"));
}
