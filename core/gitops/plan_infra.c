/* Images, networks, volumes, file sets, ports: what must be there before the first container. */
#include "core/gitops/plan_internal.h"

static const struct observed_image *find_image(const struct observed *have, const char *ref) {
    for (size_t i = 0; i < have->n_images; i++)
        if (z_eq(have->images[i].ref, ref))
            return &have->images[i];
    return NULL;
}

static err_t plan_build_op(struct planner *p, const struct desired_service *s, size_t index,
                           const struct observed_image *have) {
    if (have && z_eq(have->build_hash, s->build_hash)) {
        map_setz(&p->image_ids, s->image, (void *)have);
        return NULL;
    }
    const char *id = arena_printf(p->a, "build:%s", s->image);
    if (planner_op(p, id))
        return NULL;
    struct op *op = planner_add(p, OP_BUILD, id, s->image, 0);
    op->service = s->service->name;
    op->service_index = index;
    if (have)
        op_cause(p, op, "image", "build context or options changed", have->build_hash, s->build_hash);
    else
        op_cause(p, op, "missing", "the image does not exist on the node", NULL, NULL);
    return NULL;
}

static err_t plan_image(struct planner *p, size_t index) {
    const struct desired_service *s = &p->want->services[index];
    const struct observed_image *have = find_image(p->have, s->image);
    if (s->want == IMAGE_BUILD)
        return plan_build_op(p, s, index, have);
    if (have) {
        map_setz(&p->image_ids, s->image, (void *)have);
        return NULL;
    }
    if (s->want == IMAGE_NEVER) {
        err_t e = err_new(ERR_INVALID, "service %s: image %s is not on the node and pull_policy is never",
                          s->service->name, s->image);
        return err_detail(e, "service", s->service->name);
    }
    const char *id = arena_printf(p->a, "pull:%s", s->image);
    if (planner_op(p, id))
        return NULL;
    struct op *op = planner_add(p, OP_PULL, id, s->image, 0);
    op->service = s->service->name;
    op->service_index = index;
    op_cause(p, op, "missing", "the image is not on the node", NULL, s->image);
    return NULL;
}

err_t plan_images(struct planner *p) {
    for (size_t i = 0; i < p->want->n_services; i++)
        if (planner_selected(p, p->want->services[i].service->name))
            TRY(plan_image(p, i));
    return NULL;
}

const struct observed_network *planner_network(const struct planner *p, const char *name) {
    const struct observed *have = p->have;
    for (size_t i = 0; i < have->n_networks; i++)
        if (z_eq(have->networks[i].name, name))
            return &have->networks[i];
    return NULL;
}

static bool network_used(const struct planner *p, const char *key) {
    for (size_t i = 0; i < p->want->n_services; i++) {
        const struct compose_service *s = p->want->services[i].service;
        for (size_t j = 0; planner_selected(p, s->name) && j < s->n_networks; j++)
            if (z_eq(s->networks[j].network, key))
                return true;
    }
    return false;
}

static void network_create(struct planner *p, const struct compose_network *n, const char *code, const char *message,
                           int phase, const char *after) {
    const char *id = arena_printf(p->a, "createNetwork:%s", n->key);
    struct op *op = planner_add(p, OP_CREATE_NETWORK, id, n->name, phase);
    op_cause(p, op, code, message, NULL, NULL);
    op->causes.v[0].origin = n->origin;
    op_after(p, op, after);
}

static err_t plan_network(struct planner *p, const struct compose_network *n) {
    const struct observed_network *have = planner_network(p, n->name);
    if (n->external && have == NULL) {
        err_t e = err_new(ERR_CONFLICT,
                          "network %s is declared external and does not exist on the node; create it first", n->name);
        return err_detail(e, "network", n->name);
    }
    if (n->external || !network_used(p, n->key))
        return NULL;
    bool begun = json_get(p->want->removed_networks, n->name) != NULL;
    if (begun)
        map_setz(&p->net_rebuilt, n->key, (void *)n);
    if (have == NULL) {
        if (begun)
            network_create(p, n, "network", "the network's definition changed", 2, NULL);
        else
            network_create(p, n, "missing", "the network does not exist", 0, NULL);
        return NULL;
    }
    const char *hash = compose_network_hash(p->a, n);
    if (have->project && !z_eq(have->project, p->want->project->name)) {
        err_t e = err_new(ERR_CONFLICT, "network %s belongs to project %s", n->name, have->project);
        return err_detail(e, "network", n->name);
    }
    /* Without our label it was made by hand or by another tool: used as it is. */
    if (have->hash == NULL || z_eq(have->hash, hash))
        return NULL;
    const char *id = arena_printf(p->a, "removeNetwork:%s", n->key);
    struct op *op = planner_add(p, OP_REMOVE_NETWORK, id, n->name, 2);
    op_cause(p, op, "network", "the network's definition changed", have->hash, hash);
    op->causes.v[0].origin = n->origin;
    op->destructive = true;
    op->reversible = false;
    network_create(p, n, "network", "the network's definition changed", 2, id);
    map_setz(&p->net_rebuilt, n->key, (void *)n);
    return NULL;
}

err_t plan_networks(struct planner *p) {
    for (size_t i = 0; i < p->want->project->n_networks; i++)
        TRY(plan_network(p, &p->want->project->networks[i]));
    return NULL;
}

static const struct observed_volume *find_volume(const struct observed *have, const char *name) {
    for (size_t i = 0; i < have->n_volumes; i++)
        if (z_eq(have->volumes[i].name, name))
            return &have->volumes[i];
    return NULL;
}

static err_t plan_volume(struct planner *p, const struct compose_volume *v) {
    const struct observed_volume *have = find_volume(p->have, v->name);
    if (have == NULL && v->external) {
        err_t e = err_new(ERR_CONFLICT,
                          "volume %s is declared external and does not exist on the node; create it first", v->name);
        return err_detail(e, "volume", v->name);
    }
    if (have == NULL) {
        const char *id = arena_printf(p->a, "createVolume:%s", v->key);
        struct op *op = planner_add(p, OP_CREATE_VOLUME, id, v->name, 0);
        op_cause(p, op, "missing", "the volume does not exist", NULL, NULL);
        op->causes.v[0].origin = v->origin;
        return NULL;
    }
    /* Somebody else's data: sharing it is said with `external`. */
    if (!v->external && have->project && !z_eq(have->project, p->want->project->name)) {
        err_t e = err_new(ERR_CONFLICT, "volume %s belongs to project %s; declare it external to use it", v->name,
                          have->project);
        return err_detail(e, "volume", v->name);
    }
    if (!v->external && have->hash && !z_eq(have->hash, compose_volume_hash(p->a, v)))
        *vec_push(p->a, &p->plan->warnings) = arena_printf(
            p->a,
            "volume %s: its definition changed, but a volume is never recreated automatically; move the data, then remove it",
            v->name);
    return NULL;
}

err_t plan_volumes(struct planner *p) {
    for (size_t i = 0; i < p->want->project->n_volumes; i++)
        TRY(plan_volume(p, &p->want->project->volumes[i]));
    return NULL;
}

void plan_files(struct planner *p) {
    for (size_t i = 0; i < p->want->n_services; i++) {
        const struct desired_service *s = &p->want->services[i];
        if (!planner_selected(p, s->service->name))
            continue;
        for (size_t f = 0; f < s->n_files; f++) {
            const char *id = arena_printf(p->a, "putFiles:%s", s->files[f].volume);
            const struct observed_volume *have = find_volume(p->have, s->files[f].volume);
            if ((have && !have->incomplete) || planner_op(p, id))
                continue;
            struct op *op = planner_add(p, OP_PUT_FILES, id, s->files[f].volume, 0);
            op->service = s->service->name;
            op->service_index = i;
            op->file_index = f;
            op_cause(p, op, "files", arena_printf(p->a, "content of %s", s->files[f].key), NULL, s->files[f].digest);
            op_after(p, op, arena_printf(p->a, "pull:%s", s->image));
            op_after(p, op, arena_printf(p->a, "build:%s", s->image));
        }
    }
}

static err_t port_taken(const struct compose_service *s, const struct compose_port *port, const char *by) {
    err_t e = err_new(ERR_PORT_CONFLICT, "service %s: port %s/%s is already published by container %s (%s:%u)", s->name,
                      port->published, port->protocol, by,
                      port->origin.file ? plan_origin_path(port->origin.file) : "compose file", port->origin.line);
    e = err_detail(e, "service", s->name);
    e = err_detail(e, "port", port->published);
    return err_detail(e, "container", by);
}

static bool same_address(const char *a, const char *b) {
    bool any_a = a == NULL || !*a || z_eq(a, "0.0.0.0") || z_eq(a, "::");
    bool any_b = b == NULL || !*b || z_eq(b, "0.0.0.0") || z_eq(b, "::");
    return any_a || any_b || z_eq(a, b);
}

static err_t check_port(struct planner *p, const struct compose_service *s, const struct compose_port *port,
                        struct map *own) {
    int64_t n;
    /* Ranges and ephemeral ports are the engine's to choose from. */
    if (port->published == NULL || str_to_i64(str_of(port->published), 1, 65535, &n) != NULL)
        return NULL;
    const char *proto = port->protocol ? port->protocol : "tcp";
    for (size_t i = 0; i < p->have->n_ports; i++)
        if (p->have->ports[i].port == n && z_eq(p->have->ports[i].proto, proto) &&
            same_address(p->have->ports[i].ip, port->host_ip))
            return port_taken(s, port, p->have->ports[i].container);
    const char *key = arena_printf(p->a, "%s:%lld/%s", port->host_ip ? port->host_ip : "", (long long)n, proto);
    const char *other = map_set(own, str_of(key), (void *)s->name);
    return other && !z_eq(other, s->name) ? port_taken(s, port, arena_printf(p->a, "of service %s", other)) : NULL;
}

err_t plan_ports(struct planner *p) {
    struct map own;
    map_init(&own, p->a);
    for (size_t i = 0; i < p->want->n_services; i++) {
        const struct compose_service *s = p->want->services[i].service;
        if (!planner_selected(p, s->name) || p->want->services[i].replicas == 0)
            continue;
        for (size_t k = 0; k < s->n_ports; k++)
            TRY(check_port(p, s, &s->ports[k], &own));
    }
    return NULL;
}
