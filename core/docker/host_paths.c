/* The guard's eyes: where the host paths of a body really lead, looked up in a work lane, and what else of this engine's host is its
 * system. Host paths of other machines are judged as they are written. */
#include <stdio.h>
#include <stdlib.h>
#include "core/async/work.h"
#include "core/base/check.h"
#include "core/docker/docker_internal.h"
#include "core/docker/system.h"

struct lookup {
    size_t n;
    struct lookup_path {
        char *path, *real; /* real NULL: not to be found out */
    } v[];
};

static void lookup_free(void *box) {
    struct lookup *l = box;
    for (size_t i = 0; i < l->n; i++) {
        free(l->v[i].path);
        free(l->v[i].real);
    }
    free(l);
}

/* As far as it exists, the rest as it is written. A container with a folder of the host can put a link into it. */
static char *real_path(const char *path) {
    char *head = strdup(path), *real = NULL, *out = NULL;
    size_t n = strlen(path);
    while (head && (real = realpath(n ? head : "/", NULL)) == NULL && n > 0) {
        while (n > 0 && head[--n] != '/')
            ;
        head[n] = '\0';
    }
    const char *rest = path + n;
    size_t size = real ? strlen(real) + strlen(rest) + 1 : 0;
    if (real && (out = malloc(size)) != NULL)
        (void)snprintf(out, size, "%s%s", real, rest);
    free(real);
    free(head);
    return out;
}

static void lookup_run(void *box) {
    struct lookup *l = box;
    for (size_t i = 0; i < l->n; i++)
        l->v[i].real = real_path(l->v[i].path);
}

static err_t look_up(struct arena *a, const char **paths, size_t n, uint64_t deadline, struct guard_rights *out) {
    struct lookup *l = calloc(1, sizeof(*l) + n * sizeof(l->v[0]));
    CHECK(l != NULL);
    for (l->n = 0; l->n < n; l->n++)
        CHECK((l->v[l->n].path = strdup(paths[l->n])) != NULL);
    err_t e = work_run(WORK_FILE, lookup_run, l, lookup_free, NULL, deadline);
    struct guard_real_path *known = arena_new_array(a, struct guard_real_path, n + 1);
    size_t k = 0;
    for (size_t i = 0; e == NULL && i < n; i++) {
        const char *real = l->v[i].real ? guard_path_canonical(a, str_of(l->v[i].real)) : NULL;
        if (real)
            known[k++] = (struct guard_real_path){paths[i], real};
    }
    if (e == NULL || e->code == ERR_BUSY)
        lookup_free(l);
    out->real_paths = known;
    out->nreal_paths = k;
    return e ? err_wrap(e, "look up host paths") : NULL;
}

static err_t host_rights(struct docker *d, struct arena *a, const char **paths, size_t n,
                         const struct guard_rights *rights, uint64_t deadline, struct guard_rights *ret) {
    *ret = rights ? *rights : GUARD_NOBODY;
    if (n == 0)
        return NULL;
    const char **system = arena_new_array(a, const char *, ret->nsystem_paths + 2);
    size_t k = 0;
    for (; k < ret->nsystem_paths; k++)
        system[k] = ret->system_paths[k];
    struct docker_info *info;
    TRY(docker_info(d, a, deadline, &info));
    const char *root = json_get_str(info->raw, "DockerRootDir");
    if (root && (root = guard_path_canonical(a, str_of(root))) != NULL)
        system[k++] = root;
    if (docker_is_local(d))
        system[k++] = d->path;
    ret->system_paths = system;
    ret->nsystem_paths = k;
    return docker_is_local(d) ? look_up(a, paths, n, deadline, ret) : NULL;
}

err_t docker_guard_body(struct docker *d, struct arena *a, enum guard_body kind, const struct json *body,
                        const struct guard_rights *rights, uint64_t deadline) {
    const char **paths;
    struct guard_rights mine;
    size_t n = guard_body_paths(a, kind, body, rights, &paths);
    TRY(host_rights(d, a, paths, n, rights, deadline, &mine));
    return guard_check(a, kind, body, &mine);
}

err_t docker_guard_volume(struct docker *d, struct arena *a, const struct json *volume, const struct json *user,
                          const char *pointer, const struct guard_rights *rights, uint64_t deadline) {
    const char **paths;
    const struct guard_violation *bad;
    struct guard_rights mine;
    size_t n = guard_existing_volume_paths(a, volume, rights, &paths);
    TRY(host_rights(d, a, paths, n, rights, deadline, &mine));
    guard_existing_volume(a, volume, user, pointer, &mine, &bad);
    return guard_error(a, bad);
}
