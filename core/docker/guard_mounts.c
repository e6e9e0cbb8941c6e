/* Host paths, however they are written: short binds, mounts, volumes with bind options. */
#include <limits.h>
#include "core/docker/guard_internal.h"

/* Directories whose contents are the host itself, its secrets, or a way to the engine. */
static const char *const system_paths[] = {
    "/etc",
    "/root",
    "/home",
    "/proc",
    "/sys",
    "/dev",
    "/run",
    "/boot",
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/var/run",
    "/var/lib/docker",
    "/var/lib/containerd",
    "/var/lib/kubelet",
    "/var/spool/cron",
};

char *guard_path_canonical(struct arena *a, struct str path) {
    if (!path.n || path.p[0] != '/' || memchr(path.p, 0, path.n) || path.n > PATH_MAX)
        return NULL;
    char *out = arena_alloc(a, path.n + 2, 1);
    size_t n = 0;
    struct str rest = path, part;
    while (str_cut(&rest, '/', &part)) {
        if (part.n == 0 || str_eq(part, STR(".")))
            continue;
        if (str_eq(part, STR(".."))) {
            while (n && out[--n] != '/')
                ;
            continue;
        }
        out[n++] = '/';
        memcpy(out + n, part.p, part.n);
        n += part.n;
    }
    if (!n)
        out[n++] = '/';
    out[n] = 0;
    return out;
}

/* Is `p` equal to or inside `prefix`? */
static bool inside(const char *p, const char *prefix) {
    size_t n = strlen(prefix);
    return z_eq(prefix, "/") || (z_starts(p, prefix) && (p[n] == 0 || p[n] == '/'));
}

static bool touches(const char *p, const char *forbid) { return inside(p, forbid) || inside(forbid, p); }

/* What is above our data directory is the host's system, too: it is in there. */
bool guard_path_system(const char *canonical, const struct guard_rights *rights) {
    for (size_t i = 0; i < ARRAY_LEN(system_paths); i++)
        if (touches(canonical, system_paths[i]))
            return true;
    for (size_t i = 0; i < rights->nsystem_paths; i++)
        if (touches(canonical, rights->system_paths[i]))
            return true;
    for (size_t i = 0; i < rights->nforbid_paths; i++)
        if (touches(canonical, rights->forbid_paths[i]))
            return true;
    return false;
}

static bool never(const char *canonical, const struct guard_rights *rights) {
    for (size_t i = 0; i < rights->nforbid_paths; i++)
        if (inside(canonical, rights->forbid_paths[i]))
            return true;
    return false;
}

/* The application's own files may lie below a forbidden root (our data directory). Only these very paths: what is inside of them a
 * container may have written, a symbolic link to anywhere included. */
static bool allowed(const char *p, const struct guard_rights *rights) {
    for (size_t i = 0; i < rights->nallow_paths; i++)
        if (z_eq(p, rights->allow_paths[i]))
            return true;
    return false;
}

static const char *real_path(const struct guard_rights *rights, const char *p) {
    for (size_t i = 0; i < rights->nreal_paths; i++)
        if (z_eq(p, rights->real_paths[i].path))
            return rights->real_paths[i].real;
    return p;
}

/* Any path of the host is a right, and those that are the host itself are a greater one. */
void guard_host_path(struct guard *g, const char *ptr, struct str path) {
    char *p = guard_path_canonical(g->a, path);
    if (!p) {
        guard_deny(g, ptr, "path-syntax", "the host path is not an absolute path");
        return;
    }
    if (allowed(p, g->rights))
        return;
    *vec_push(g->a, &g->paths) = p;
    const char *real = real_path(g->rights, p);
    const char *leads = z_eq(real, p) ? "" : arena_printf(g->a, ", which leads to %s,", real);
    if (never(p, g->rights) || never(real, g->rights))
        guard_deny(g, ptr, "own-path", "the host path %s%s is the server's own and mounted by nobody", p, leads);
    else if (guard_path_system(p, g->rights) || guard_path_system(real, g->rights))
        guard_need(g, GUARD_SYSTEM_PATHS, ptr, "system-path", "the host path %s%s belongs to the host's system", p,
                   leads);
    else
        guard_need(g, GUARD_HOST_PATHS, ptr, "host-path", "%s%s is a path of the host", p, leads);
}

static bool mode_has(struct str modes, const char *word) {
    struct str part;
    while (str_cut(&modes, ',', &part))
        if (str_eqz(part, word))
            return true;
    return false;
}

static void propagation(struct guard *g, const char *ptr, struct str modes) {
    static const char *const words[] = {"shared", "rshared", "slave", "rslave"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (mode_has(modes, words[i]))
            guard_need(g, GUARD_HOST_PATHS, ptr, "mount-propagation",
                       "%s propagation passes mounts between container and host", words[i]);
}

static void one_bind(struct guard *g, const char *ptr, struct str text) {
    struct str rest = text, source, target;
    if (!str_cut(&rest, ':', &source) || !str_cut(&rest, ':', &target)) {
        if (text.n && text.p[0] == '/')
            return; /* an anonymous volume */
        guard_deny(g, ptr, "bind-syntax", "a bind is source:target[:options]");
        return;
    }
    propagation(g, ptr, rest);
    if (source.n && source.p[0] == '/')
        guard_host_path(g, ptr, source);
    else if (docker_name_check(source) != NULL)
        guard_deny(g, ptr, "bind-syntax", "the source of a bind is an absolute path or a volume name");
}

void guard_binds(struct guard *g, const char *ptr, const struct json *v) {
    for (size_t i = 0; i < v->arr.n; i++)
        one_bind(g, guard_ptr_i(g, ptr, i), v->arr.v[i]->s);
}

/* ---- volumes whose options mount something ---- */

static bool is_tmpfs(const struct json *o) {
    return z_eq(json_get_str(o, "type"), "tmpfs") &&
           (!json_get(o, "device") || z_eq(json_get_str(o, "device"), "tmpfs"));
}

static bool is_bind(const struct json *o) {
    const char *opts = json_get_str(o, "o"), *type = json_get_str(o, "type");
    if (!opts || !(mode_has(str_of(opts), "bind") || mode_has(str_of(opts), "rbind")))
        return false;
    return !type || !*type || z_eq(type, "none") || z_eq(type, "bind");
}

void guard_volume_driver(struct guard *g, const char *ptr, const struct json *o, const char *driver_key,
                         const char *options_key) {
    const char *driver = json_get_str(o, driver_key), *at = guard_ptr(g, ptr, options_key);
    const struct json *options = json_get(o, options_key);
    if (driver && *driver && !z_eq(driver, "local")) {
        guard_need(g, GUARD_VOLUME_DRIVER, guard_ptr(g, ptr, driver_key), "volume-driver",
                   "the volume driver \"%.64s\" runs with the engine's rights", driver);
        return;
    }
    if (!json_is(options, JSON_OBJECT) || !json_len(options))
        return;
    for (size_t i = 0; i < options->obj.n; i++) {
        struct str k = options->obj.v[i].key;
        if (!str_eqz(k, "type") && !str_eqz(k, "device") && !str_eqz(k, "o") && !str_eqz(k, "size"))
            guard_need(g, GUARD_VOLUME_DRIVER, guard_ptr(g, at, k.p), "volume-options",
                       "the volume option \"%.64s\" is not one of type, device, o, size", k.p);
    }
    bool mounts = json_get(options, "type") || json_get(options, "device") || json_get(options, "o");
    if (!mounts || is_tmpfs(options))
        return;
    if (is_bind(options)) {
        guard_host_path(g, guard_ptr(g, at, "device"), str_of(json_str_or(json_get(options, "device"), "")));
        propagation(g, guard_ptr(g, at, "o"), str_of(json_str_or(json_get(options, "o"), "")));
        return;
    }
    guard_need(g, GUARD_VOLUME_DRIVER, at, "volume-options", "the volume's options mount a device or a file system");
}

/* ---- HostConfig.Mounts ---- */

static void subpath(struct guard *g, const char *ptr, const struct json *v) {
    struct str rest = v->s, part;
    bool bad = rest.n && rest.p[0] == '/';
    while (str_cut(&rest, '/', &part))
        bad = bad || str_eq(part, STR(".."));
    if (bad)
        guard_deny(g, ptr, "path-syntax", "a subpath is relative and has no \"..\"");
}

static void bind_propagation(struct guard *g, const char *ptr, const struct json *v) { propagation(g, ptr, v->s); }

static const struct guard_key bind_keys[] = {{"Propagation", GT_STR, bind_propagation},
                                             {"NonRecursive", GT_BOOL, NULL},
                                             {"CreateMountpoint", GT_BOOL, NULL},
                                             {"ReadOnlyNonRecursive", GT_BOOL, NULL},
                                             {"ReadOnlyForceRecursive", GT_BOOL, NULL}};
static const struct guard_key driver_keys[] = {{"Name", GT_STR, NULL}, {"Options", GT_MAP, NULL}};
static const struct guard_key volume_option_keys[] = {
    {"NoCopy", GT_BOOL, NULL}, {"Labels", GT_MAP, NULL}, {"DriverConfig", GT_OBJ, NULL}, {"Subpath", GT_STR, subpath}};
static const struct guard_key tmpfs_keys[] = {{"SizeBytes", GT_INT, NULL}, {"Mode", GT_INT, NULL}};
static const struct guard_key image_keys[] = {{"Subpath", GT_STR, subpath}};

static void bind_options(struct guard *g, const char *ptr, const struct json *v) {
    guard_object(g, ptr, v, GUARD_TABLE(bind_keys));
}
static void volume_options(struct guard *g, const char *ptr, const struct json *v) {
    guard_object(g, ptr, v, GUARD_TABLE(volume_option_keys));
    const struct json *dc = json_get(v, "DriverConfig");
    if (!json_is(dc, JSON_OBJECT))
        return;
    const char *at = guard_ptr(g, ptr, "DriverConfig");
    guard_object(g, at, dc, GUARD_TABLE(driver_keys));
    guard_volume_driver(g, at, dc, "Name", "Options");
}
static void tmpfs_options(struct guard *g, const char *ptr, const struct json *v) {
    guard_object(g, ptr, v, GUARD_TABLE(tmpfs_keys));
}
static void image_options(struct guard *g, const char *ptr, const struct json *v) {
    guard_object(g, ptr, v, GUARD_TABLE(image_keys));
}
static const struct guard_key mount_keys[] = {
    {"Type", GT_STR, NULL},
    {"Source", GT_STR, NULL},
    {"Target", GT_STR, NULL},
    {"ReadOnly", GT_BOOL, NULL},
    {"Consistency", GT_STR, NULL},
    {"BindOptions", GT_OBJ, bind_options},
    {"VolumeOptions", GT_OBJ, volume_options},
    {"TmpfsOptions", GT_OBJ, tmpfs_options},
    {"ImageOptions", GT_OBJ, image_options},
};

static void one_mount(struct guard *g, const char *ptr, const struct json *m) {
    if (!json_is(m, JSON_OBJECT)) {
        guard_deny(g, ptr, "type", "a mount is an object");
        return;
    }
    guard_object(g, ptr, m, GUARD_TABLE(mount_keys));
    const char *type = json_get_str(m, "Type"), *source = json_get_str(m, "Source");
    if (z_eq(type, "bind"))
        guard_host_path(g, guard_ptr(g, ptr, "Source"), str_of(source ? source : ""));
    else if (z_eq(type, "volume") && source && *source && docker_name_check(str_of(source)) != NULL)
        guard_deny(g, guard_ptr(g, ptr, "Source"), "bind-syntax", "the source of a volume mount is a volume name");
    else if (!z_eq(type, "volume") && !z_eq(type, "tmpfs") && !z_eq(type, "image"))
        guard_deny(g, guard_ptr(g, ptr, "Type"), "mount-type", "mounts are bind, volume, tmpfs or image");
}

void guard_mounts(struct guard *g, const char *ptr, const struct json *v) {
    for (size_t i = 0; i < v->arr.n; i++)
        one_mount(g, guard_ptr_i(g, ptr, i), v->arr.v[i]);
}

size_t guard_body_volumes(struct arena *a, const struct json *body, struct guard_volume **ret) {
    const struct json *binds = json_path(body, "HostConfig", "Binds", NULL);
    const struct json *mounts = json_path(body, "HostConfig", "Mounts", NULL);
    struct guard_volume *v = arena_new_array(a, struct guard_volume, json_len(binds) + json_len(mounts) + 1);
    size_t n = 0;
    for (size_t i = 0; i < json_len(binds); i++) {
        struct str rest = str_of(json_str_or(json_at(binds, i), "")), source;
        if (!str_cut(&rest, ':', &source) || !source.n || source.p[0] == '/')
            continue;
        v[n++] = (struct guard_volume){str_z(a, source), arena_printf(a, "/HostConfig/Binds/%zu", i)};
    }
    for (size_t i = 0; i < json_len(mounts); i++) {
        const struct json *m = json_at(mounts, i);
        const char *source = json_get_str(m, "Source");
        if (z_eq(json_get_str(m, "Type"), "volume") && source && *source)
            v[n++] = (struct guard_volume){source, arena_printf(a, "/HostConfig/Mounts/%zu/Source", i)};
    }
    *ret = v;
    return n;
}
