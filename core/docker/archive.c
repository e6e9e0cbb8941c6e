/* Files in and out of containers. */
#include "core/docker/archive.h"
#include "core/docker/docker_internal.h"

static err_t path_check(const char *path) {
    if (!path || path[0] != '/' || strlen(path) > 4096)
        return err_field(err_new(ERR_INVALID, "a path inside a container is absolute and has at most 4096 bytes"),
                         "path");
    return NULL;
}

static err_t archive_path(struct arena *a, const char *container, const char *path, char **ret, struct query *q) {
    TRY(docker_id_check(container));
    TRY(path_check(path));
    query_init(q, "/containers/%s/archive", container);
    query_add(q, a, "path", path);
    if (ret)
        *ret = query_take(q, a);
    return NULL;
}

static err_t put_path(struct arena *a, const struct docker_put *o, char **ret) {
    struct query q;
    TRY(archive_path(a, o->container, o->path, NULL, &q));
    query_add(&q, a, "noOverwriteDirNonDir", o->no_overwrite_dir_non_dir ? "1" : NULL);
    query_add(&q, a, "copyUIDGID", o->copy_uid_gid ? "1" : NULL);
    *ret = query_take(&q, a);
    return NULL;
}

static err_t read_only(err_t e) {
    if (e && str_find(str_of(e->message), STR("marked read-only")) >= 0)
        return err_wrap_as(ERR_CONFLICT, e, "%s", e->message);
    return e;
}

err_t docker_archive_put(struct docker *d, const struct docker_put *opt, struct str tar, uint64_t deadline) {
    char *path = NULL;
    TRY(put_path(arena_current(), opt, &path));
    struct docker_call call = {.method = "PUT",
                               .op = "put files",
                               .what = opt->container,
                               .path = path,
                               .raw = tar,
                               .content_type = "application/x-tar"};
    return read_only(docker_call_done(d, &call, deadline));
}

err_t docker_archive_put_stream(struct docker *d, const struct docker_put *opt, docker_tar_source *source,
                                void *source_arg, uint64_t deadline) {
    struct arena *a = arena_current();
    char *path = NULL;
    TRY(put_path(a, opt, &path));
    struct docker_call call = {.method = "PUT",
                               .op = "put files",
                               .what = opt->container,
                               .path = path,
                               .content_type = "application/x-tar",
                               .stream = true,
                               .chunked = true};
    AUTO(docker) keep = docker_ref(d);
    AUTO(http_response) r = NULL;
    TRY(docker_call(d, a, &call, deadline, &r));
    err_t sent = NULL;
    while (!sent) {
        struct str piece;
        TRY(source(source_arg, deadline, &piece));
        if (!piece.n)
            break;
        sent = http_send_chunk(r, piece.p, piece.n, deadline);
    }
    if (sent && (sent->code == ERR_CANCELLED || sent->code == ERR_TIMEOUT))
        return docker_map_error(d, &call, sent);
    return read_only(docker_call_head(d, a, &call, r, deadline)); /* says why when sending broke off */
}

static err_t decode_stat(struct docker *d, struct arena *a, const struct docker_call *call, const char *header,
                         struct docker_path_stat *ret) {
    struct str text;
    struct json *j;
    if (!header || !base64_decode(a, str_of(header), &text))
        return docker_protocol(d, call, "no usable path stat header");
    TRY(docker_parse(d, a, call, text, &j));
    *ret = (struct docker_path_stat){.name = json_str_or(json_get(j, "name"), ""),
                                     .link_target = json_str_or(json_get(j, "linkTarget"), ""),
                                     .mtime = json_str_or(json_get(j, "mtime"), ""),
                                     .size = json_get_int(j, "size", 0),
                                     .mode = (uint32_t)json_get_int(j, "mode", 0)};
    ret->is_dir = ret->mode >> 31; /* Go's ModeDir */
    return NULL;
}

err_t docker_archive_stat(struct docker *d, struct arena *a, const char *container, const char *path, uint64_t deadline,
                          struct docker_path_stat *ret) {
    char *target;
    struct query q;
    TRY(archive_path(a, container, path, &target, &q));
    struct docker_call call = {.method = "HEAD", .op = "stat path", .what = container, .path = target};
    AUTO(http_response) r = NULL;
    TRY(docker_call(d, a, &call, deadline, &r));
    return decode_stat(d, a, &call, http_header_get(r, "X-Docker-Container-Path-Stat"), ret);
}

err_t docker_archive_get(struct docker *d, const char *container, const char *path, uint64_t deadline,
                         err_t (*fn)(void *arg, struct str bytes), void *arg) {
    struct arena *a = arena_current();
    char *target;
    struct query q;
    TRY(archive_path(a, container, path, &target, &q));
    struct docker_call call = {.method = "GET", .op = "get files", .what = container, .path = target, .stream = true};
    AUTO(docker) keep = docker_ref(d);
    AUTO(http_response) r = NULL;
    TRY(docker_call(d, a, &call, deadline, &r));
    for (;;) {
        struct str bytes;
        err_t e = http_read(r, deadline, &bytes);
        if (e)
            return docker_map_error(d, &call, e);
        if (!bytes.n)
            return NULL;
        TRY(fn(arg, bytes));
    }
}
