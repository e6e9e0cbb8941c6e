/* Volumes. */
#include "core/docker/docker_internal.h"
#include "core/docker/volume.h"

err_t docker_volume_from_row(struct json *row, struct docker_volume *ret) {
    struct docker_volume v = {.name = json_get_str(row, "Name"), .raw = row};
    if (!v.name)
        return err_new(ERR_DOCKER_PROTOCOL, "a volume of the engine has no Name");
    v.driver = json_str_or(json_get(row, "Driver"), "");
    v.mountpoint = json_str_or(json_get(row, "Mountpoint"), "");
    v.scope = json_str_or(json_get(row, "Scope"), "");
    v.created_at = json_str_or(json_get(row, "CreatedAt"), "");
    v.labels = json_get(row, "Labels");
    v.options = json_get(row, "Options");
    *ret = v;
    return NULL;
}

err_t docker_volume_list(struct docker *d, struct arena *a, const char *const *labels, size_t nlabels,
                         uint64_t deadline, struct docker_volume **ret, size_t *ret_n) {
    struct query q;
    query_init(&q, "/volumes");
    if (nlabels)
        query_add_json(&q, a, "filters", docker_label_filter(a, labels, nlabels));
    struct docker_call call = {.method = "GET", .op = "list volumes", .path = query_take(&q, a)};
    struct json *j;
    TRY(docker_call_json(d, a, &call, deadline, &j));
    const struct json *rows = json_get(j, "Volumes");
    struct docker_volume *v = arena_new_array(a, struct docker_volume, json_len(rows) + 1);
    for (size_t i = 0; i < json_len(rows); i++)
        TRY(docker_detail(d, &call, docker_volume_from_row(json_at(rows, i), &v[i])));
    *ret = v;
    *ret_n = json_len(rows);
    return NULL;
}

err_t docker_volume_inspect(struct docker *d, struct arena *a, const char *name, uint64_t deadline,
                            struct docker_volume **ret) {
    TRY(docker_id_check(name));
    struct docker_call call = {
        .method = "GET", .op = "inspect volume", .what = name, .path = arena_printf(a, "/volumes/%s", name)};
    struct json *row;
    TRY(docker_call_json(d, a, &call, deadline, &row));
    struct docker_volume *v = arena_new_obj(a, struct docker_volume);
    TRY(docker_detail(d, &call, docker_volume_from_row(row, v)));
    *ret = v;
    return NULL;
}

static bool same_options(const struct json *have, const struct json *want) {
    return json_len(have) == json_len(want) && (!json_len(want) || json_eq(have, want));
}

err_t docker_volume_create(struct docker *d, struct arena *a, const struct volume_spec *spec,
                           const struct guard_rights *rights, uint64_t deadline, struct docker_volume **ret,
                           bool *ret_existed) {
    struct json *body, *row;
    struct docker_volume *v = NULL;
    TRY(volume_spec_body(a, spec, &body));
    TRY(docker_guard_body(d, a, GUARD_VOLUME, body, rights, deadline));
    struct docker_call call = {
        .method = "POST", .op = "create volume", .what = spec->name, .body = body, .path = "/volumes/create"};
    err_t e = spec->name ? docker_volume_inspect(d, a, spec->name, deadline, &v) : NULL;
    if (e && !err_is(e, ERR_NOT_FOUND))
        return e;
    if (v) {
        if (!z_eq(v->driver, json_get_str(body, "Driver")) || !same_options(v->options, json_get(body, "DriverOpts")))
            return docker_detail(
                d, &call,
                err_new(ERR_CONFLICT, "the volume \"%s\" exists with another driver or other options", spec->name));
        *ret = v;
        *ret_existed = true;
        return NULL;
    }
    TRY(docker_call_json(d, a, &call, deadline, &row));
    v = arena_new_obj(a, struct docker_volume);
    TRY(docker_detail(d, &call, docker_volume_from_row(row, v)));
    *ret = v;
    *ret_existed = false;
    return NULL;
}

err_t docker_volume_remove(struct docker *d, const char *name, bool force, uint64_t deadline) {
    TRY(docker_id_check(name));
    struct docker_call call = {.method = "DELETE",
                               .op = "remove volume",
                               .what = name,
                               .path = arena_printf(arena_current(), "/volumes/%s?force=%d", name, force)};
    err_t e = docker_call_done(d, &call, deadline);
    return err_is(e, ERR_NOT_FOUND) ? NULL : e;
}
