/* Creating a container: body, guard, existing volumes, create, further networks. */
#include "core/async/fiber.h"
#include "core/docker/container.h"
#include "core/docker/docker_internal.h"
#include "core/docker/network.h"
#include "core/docker/volume.h"

/* A volume of that name may exist with options that make it a host path; its own create did not pass our guard. */
static err_t check_volumes(struct docker *d, struct arena *a, const struct json *body,
                           const struct guard_rights *rights, uint64_t deadline) {
    struct guard_volume *used;
    size_t n = guard_body_volumes(a, body, &used);
    for (size_t i = 0; i < n; i++) {
        struct docker_volume *v;
        err_t e = docker_volume_inspect(d, a, used[i].name, deadline, &v);
        if (err_is(e, ERR_NOT_FOUND))
            continue;
        TRY(e);
        TRY(docker_guard_volume(d, a, v->raw, body, used[i].pointer, rights, deadline));
    }
    return NULL;
}

static const struct json *merge_warnings(struct arena *a, const struct json *engine, const struct json *ours) {
    struct json *all = json_array(a);
    for (size_t i = 0; i < json_len(engine); i++)
        json_push(a, all, json_clone(a, json_at(engine, i)));
    for (size_t i = 0; i < json_len(ours); i++)
        json_push(a, all, json_clone(a, json_at(ours, i)));
    return all;
}

static err_t send_create(struct docker *d, struct arena *a, const char *name, const char *platform,
                         const struct json *body, uint64_t deadline, struct docker_created **ret) {
    struct query q;
    query_init(&q, "/containers/create");
    query_add(&q, a, "name", name);
    query_add(&q, a, "platform", platform);
    struct docker_call call = {
        .method = "POST", .op = "create container", .what = name, .body = body, .path = query_take(&q, a)};
    struct json *j;
    TRY(docker_call_json(d, a, &call, deadline, &j));
    struct docker_created *c = arena_new_obj(a, struct docker_created);
    c->id = json_get_str(j, "Id");
    c->warnings = merge_warnings(a, json_get(j, "Warnings"), NULL);
    err_t e = c->id ? NULL : docker_protocol(d, &call, "no Id in the answer");
    if (!e)
        *ret = c;
    return e;
}

err_t docker_container_create_body(struct docker *d, struct arena *a, const char *name, const char *platform,
                                   const struct json *body, const struct guard_rights *rights, uint64_t deadline,
                                   struct docker_created **ret) {
    if (name)
        TRY(err_field(docker_name_check(str_of(name)), "name"));
    TRY(docker_guard_body(d, a, GUARD_CONTAINER, body, rights, deadline));
    TRY(check_volumes(d, a, body, rights, deadline));
    return send_create(d, a, name, platform, body, deadline, ret);
}

/* Engines below 1.44 take one network at create; the others follow, or the container goes again. */
static err_t connect_rest(struct docker *d, struct arena *a, const struct container_spec *spec,
                          const struct guard_rights *rights, const char *id, uint64_t deadline) {
    err_t e = NULL;
    struct docker_network *net;
    for (size_t i = 1; i < spec->networks.n && !e; i++) {
        const struct spec_network *n = &spec->networks.v[i];
        e = docker_network_inspect(d, a, n->name, deadline, &net); /* connect believes any name until the start */
        if (!e)
            e = docker_network_connect(d, a, n->name, id, n, rights, deadline);
    }
    if (!e)
        return NULL;
    fiber_mask();
    err_ignore(docker_container_remove(d, id, true, true, deadline_in(SECONDS(10))));
    fiber_unmask();
    return e;
}

err_t docker_container_create(struct docker *d, struct arena *a, const struct container_spec *spec,
                              const struct guard_rights *rights, uint64_t deadline, struct docker_created **ret) {
    struct json *body, *warnings;
    struct docker_created *c;
    TRY(docker_negotiate(d, deadline)); /* the body depends on the version */
    int api = docker_api(d);
    TRY(container_spec_body(a, spec, api, &body, &warnings));
    TRY(docker_container_create_body(d, a, spec->name, spec->platform, body, rights, deadline, &c));
    if (api < 44)
        TRY(connect_rest(d, a, spec, rights, c->id, deadline));
    c->warnings = merge_warnings(a, c->warnings, warnings);
    *ret = c;
    return NULL;
}
