/* Networks. */
#include "core/docker/docker_internal.h"
#include "core/docker/network.h"

err_t docker_network_from_row(struct json *row, struct docker_network *ret) {
    struct docker_network n = {.id = json_get_str(row, "Id"), .name = json_get_str(row, "Name"), .raw = row};
    if (!n.id || !n.name)
        return err_new(ERR_DOCKER_PROTOCOL, "a network of the engine has no Id or Name");
    n.driver = json_str_or(json_get(row, "Driver"), "");
    n.scope = json_str_or(json_get(row, "Scope"), "");
    n.created_at = json_str_or(json_get(row, "Created"), "");
    n.internal = json_get_bool(row, "Internal", false);
    n.attachable = json_get_bool(row, "Attachable", false);
    n.ipv6 = json_get_bool(row, "EnableIPv6", false);
    n.labels = json_get(row, "Labels");
    n.options = json_get(row, "Options");
    n.ipam = json_get(row, "IPAM");
    n.containers = json_get(row, "Containers");
    *ret = n;
    return NULL;
}

static struct spec_kvs kvs_of(struct arena *a, const struct json *o) {
    size_t n = json_is(o, JSON_OBJECT) ? o->obj.n : 0;
    struct spec_kv *v = arena_new_array(a, struct spec_kv, n + 1);
    for (size_t i = 0; i < n; i++)
        v[i] = (struct spec_kv){o->obj.v[i].key.p, json_str_or(o->obj.v[i].value, "")};
    return (struct spec_kvs){v, n};
}

void docker_network_spec(struct arena *a, const struct docker_network *n, struct network_spec *ret) {
    const struct json *pools = json_get(n->ipam, "Config");
    struct spec_ipam *v = arena_new_array(a, struct spec_ipam, json_len(pools) + 1);
    for (size_t i = 0; i < json_len(pools); i++) {
        const struct json *p = json_at(pools, i);
        v[i] = (struct spec_ipam){json_get_str(p, "Subnet"), json_get_str(p, "Gateway"), json_get_str(p, "IPRange"),
                                  kvs_of(a, json_get(p, "AuxiliaryAddresses"))};
    }
    *ret = (struct network_spec){.name = n->name,
                                 .driver = n->driver,
                                 .internal = n->internal,
                                 .attachable = n->attachable,
                                 .enable_ipv6 = n->ipv6 ? SPEC_TRUE : SPEC_UNSET,
                                 .driver_opts = kvs_of(a, n->options),
                                 .labels = kvs_of(a, n->labels),
                                 .ipam_options = kvs_of(a, json_get(n->ipam, "Options")),
                                 .ipam_driver = json_get_str(n->ipam, "Driver")};
    ret->ipam.v = v;
    ret->ipam.n = json_len(pools);
}

static err_t list(struct docker *d, struct arena *a, const struct json *filters, uint64_t deadline,
                  struct docker_network **ret, size_t *ret_n) {
    struct query q;
    query_init(&q, "/networks");
    if (json_len(filters))
        query_add_json(&q, a, "filters", filters);
    struct docker_call call = {.method = "GET", .op = "list networks", .path = query_take(&q, a)};
    struct json *rows;
    TRY(docker_call_json(d, a, &call, deadline, &rows));
    struct docker_network *v = arena_new_array(a, struct docker_network, json_len(rows) + 1);
    for (size_t i = 0; i < json_len(rows); i++)
        TRY(docker_detail(d, &call, docker_network_from_row(json_at(rows, i), &v[i])));
    *ret = v;
    *ret_n = json_len(rows);
    return NULL;
}

err_t docker_network_list(struct docker *d, struct arena *a, const char *const *labels, size_t nlabels,
                          uint64_t deadline, struct docker_network **ret, size_t *ret_n) {
    return list(d, a, docker_label_filter(a, labels, nlabels), deadline, ret, ret_n);
}

err_t docker_network_inspect(struct docker *d, struct arena *a, const char *id, uint64_t deadline,
                             struct docker_network **ret) {
    TRY(docker_id_check(id));
    struct docker_call call = {
        .method = "GET", .op = "inspect network", .what = id, .path = arena_printf(a, "/networks/%s", id)};
    struct json *row;
    TRY(docker_call_json(d, a, &call, deadline, &row));
    struct docker_network *n = arena_new_obj(a, struct docker_network);
    TRY(docker_detail(d, &call, docker_network_from_row(row, n)));
    *ret = n;
    return NULL;
}

err_t docker_network_find(struct docker *d, struct arena *a, const char *name, uint64_t deadline,
                          struct docker_network **ret) {
    TRY(docker_id_check(name));
    struct json *filters = json_object(a), *names = json_array(a);
    json_push(a, names, json_string(a, name));
    json_set(a, filters, "name", names); /* a substring match: compared below */
    struct docker_network *v, *hit = NULL;
    size_t n;
    TRY(list(d, a, filters, deadline, &v, &n));
    struct buf ids;
    buf_init(&ids, 0, KIB(64));
    size_t hits = 0;
    for (size_t i = 0; i < n; i++) {
        if (!z_eq(v[i].name, name))
            continue;
        hit = &v[i];
        buf_putf(&ids, "%s%s", hits++ ? "," : "", v[i].id);
    }
    struct docker_call call = {.op = "find network", .what = name};
    err_t e = NULL;
    if (!hits)
        e = docker_detail(d, &call, err_new(ERR_NOT_FOUND, "node %s has no network \"%s\"", d->name, name));
    else if (hits > 1)
        e = err_detail(
            docker_detail(d, &call,
                          err_new(ERR_CONFLICT, "node %s has %zu networks named \"%s\"", d->name, hits, name)),
            "ids", str_z(a, buf_str(&ids)));
    else
        *ret = hit;
    buf_done(&ids);
    return e;
}

static err_t create_locked(struct docker *d, struct arena *a, const struct network_spec *spec, const struct json *body,
                           uint64_t deadline, const char **ret_id) {
    struct docker_network *old;
    struct docker_call call = {
        .method = "POST", .op = "create network", .what = spec->name, .body = body, .path = "/networks/create"};
    err_t e = docker_network_find(d, a, spec->name, deadline, &old);
    if (!e)
        return err_detail(docker_detail(d, &call, err_new(ERR_CONFLICT, "the network \"%s\" exists", spec->name)), "id",
                          old->id); /* NOLINT(clang-analyzer-core.NullDereference): docker_detail() keeps the error */
    if (!err_is(e, ERR_NOT_FOUND))
        return e;
    struct json *j;
    TRY(docker_call_json(d, a, &call, deadline, &j));
    const char *id = json_get_str(j, "Id");
    if (!id)
        return docker_protocol(d, &call, "no Id in the answer");
    *ret_id = id;
    return NULL;
}

err_t docker_network_create(struct docker *d, struct arena *a, const struct network_spec *spec,
                            const struct guard_rights *rights, uint64_t deadline, const char **ret_id) {
    struct json *body;
    TRY(docker_negotiate(d, deadline));
    TRY(network_spec_body(a, spec, docker_api(d), &body));
    TRY(guard_check(a, GUARD_NETWORK, body, rights));
    TRY(mutex_lock(&d->networks, deadline));
    err_t e = create_locked(d, a, spec, body, deadline, ret_id);
    mutex_unlock(&d->networks);
    return e;
}

err_t docker_network_connect(struct docker *d, struct arena *a, const char *network, const char *container,
                             const struct spec_network *endpoint, const struct guard_rights *rights,
                             uint64_t deadline) {
    TRY(docker_id_check(network));
    TRY(docker_id_check(container));
    TRY(docker_negotiate(d, deadline));
    struct json *body = json_object(a);
    json_set_str(a, body, "Container", container);
    if (endpoint)
        json_set(a, body, "EndpointConfig", spec_endpoint(a, endpoint, docker_api(d)));
    TRY(guard_check(a, GUARD_CONNECT, body, rights));
    struct docker_call call = {.method = "POST",
                               .op = "connect network",
                               .what = network,
                               .body = body,
                               .path = arena_printf(a, "/networks/%s/connect", network)};
    return docker_call_done(d, &call, deadline);
}

static bool says(err_t e, const char *text) { return e && str_find(str_of(e->message), str_of(text)) >= 0; }

err_t docker_network_disconnect(struct docker *d, const char *network, const char *container, bool force,
                                uint64_t deadline) {
    struct arena *a = arena_current();
    TRY(docker_id_check(network));
    TRY(docker_id_check(container));
    struct json *body = json_object(a);
    json_set_str(a, body, "Container", container);
    json_set_bool(a, body, "Force", force);
    struct docker_call call = {.method = "POST",
                               .op = "disconnect network",
                               .what = network,
                               .body = body,
                               .path = arena_printf(a, "/networks/%s/disconnect", network)};
    err_t e = docker_call_done(d, &call, deadline);
    return says(e, "is not connected to") ? NULL : e;
}

err_t docker_network_remove(struct docker *d, const char *id, uint64_t deadline) {
    TRY(docker_id_check(id));
    struct docker_call call = {.method = "DELETE",
                               .op = "remove network",
                               .what = id,
                               .path = arena_printf(arena_current(), "/networks/%s", id)};
    err_t e = docker_call_done(d, &call, deadline);
    if (err_is(e, ERR_NOT_FOUND))
        return NULL;
    if (says(e, "has active endpoints")) /* 403 in older engines, 409 in newer */
        return err_wrap_as(ERR_CONFLICT, e, "%s", e->message);
    return e;
}
