/* Compensation: the old version serves again where the new one was not confirmed. Best effort, every step logged. */
#include "core/docker/container.h"
#include "core/docker/network.h"
#include "core/gitops/apply_internal.h"

#define STEP SECONDS(60)

static bool done(struct apply *ap, const char *id) {
    const struct op_run *run = map_getz(&ap->by_id, id);
    return run && run->state == OP_SUCCEEDED;
}

static bool begun(const struct op_run *run) { return run && run->state != OP_PENDING && run->state != OP_SKIPPED; }

static void note(struct apply *ap, const struct op *op, const char *what, err_t e) {
    if (e)
        apply_log(ap, op, "error", "could not %s: %s", what, e->message);
    else
        apply_log(ap, op, "warning", "undo: %s", what);
}

static const struct op_run *old_run(struct apply *ap, const char *verb, const char *container_id) {
    return map_getz(&ap->by_id, arena_printf(ap->a, "%s:%.12s", verb, container_id));
}

/* Networks come back only as long as everything that was on them can: the first old container that goes ends that. */
static bool networks_return(struct apply *ap) {
    for (size_t i = 0; i < ap->plan->ops.n; i++) {
        const struct op *op = &ap->plan->ops.v[i];
        const struct op_run *create =
            op->kind == OP_REMOVE && op->service
                ? map_getz(&ap->by_id, arena_printf(ap->a, "create:%s:%lld", op->service, (long long)op->number))
                : NULL;
        if (create && create->op->phase == 2 && begun(&ap->runs[i]))
            return false;
    }
    return ap->networks.n > 0;
}

/* A new container stays when nothing of the old one waits to come back: its removal was done, or there was no old one and it runs. */
static bool confirmed(struct apply *ap, const struct op *create) {
    if (create->phase == 2 && networks_return(ap))
        return false; /* it runs on a network that is about to be made as it was */
    const char *slot = create->id + strlen("create:");
    if (!done(ap, arena_printf(ap->a, "wait:%s", slot)))
        return false;
    return true;
}

static void drop_unconfirmed(struct apply *ap) {
    for (size_t i = 0; i < ap->plan->ops.n; i++) {
        const struct op *op = &ap->plan->ops.v[i];
        const char *id = op->kind == OP_CREATE ? map_getz(&ap->made, op->id) : NULL;
        if (id == NULL || confirmed(ap, op))
            continue;
        note(ap, op, arena_printf(ap->a, "remove the new container %s", op->object),
             docker_container_remove(ap->conf->docker, id, true, true, deadline_in(STEP)));
        map_setz(&ap->made, op->id, NULL);
    }
}

static bool replacement_confirmed(struct apply *ap, const struct op *stop) {
    for (size_t i = 0; i < ap->plan->ops.n; i++) {
        const struct op *c = &ap->plan->ops.v[i];
        if (c->kind == OP_CREATE && z_eq(c->service, stop->service) && c->number == stop->number)
            return confirmed(ap, c);
    }
    return false;
}

/* The name comes back whether or not the stop had begun: the two run beside each other. An interrupted attempt may have taken it. */
static void restore_name(struct apply *ap, const struct op *op) {
    const struct compose_service *s = compose_service_find(ap->plan->desired->project, op->service);
    const char *name = s ? plan_container_name(ap->a, ap->plan->desired->project, s, op->number) : op->object;
    bool taken = z_eq(op->object, arena_printf(ap->a, "%s_%.12s", name, op->container_id));
    if (begun(old_run(ap, "rename", op->container_id)) || taken)
        note(ap, op, arena_printf(ap->a, "give container %s its name back", name),
             docker_container_rename(ap->conf->docker, op->container_id, name, deadline_in(STEP)));
}

/* ---- networks that were made anew ---- */

static err_t remake_network(struct apply *ap, const struct network_spec *spec) {
    struct docker_network *now;
    const char *id;
    err_t e = docker_network_find(ap->conf->docker, ap->a, spec->name, deadline_in(STEP), &now);
    if (e == NULL)
        e = docker_network_remove(ap->conf->docker, now->id, deadline_in(STEP));
    if (e && e->code != ERR_NOT_FOUND)
        return e;
    /* What was there is made again, whoever asked for the change. */
    return docker_network_create(ap->conf->docker, ap->a, spec, &GUARD_EVERYTHING, deadline_in(STEP), &id);
}

static void restore_networks(struct apply *ap) {
    if (!networks_return(ap))
        return;
    for
        vec_each(op, &ap->plan->ops) {
            const struct network_spec *spec =
                op->kind == OP_REMOVE_NETWORK ? map_getz(&ap->networks, op->object) : NULL;
            if (spec)
                note(ap, op, arena_printf(ap->a, "make network %s as it was", spec->name), remake_network(ap, spec));
        }
}

static void strings_of(struct arena *a, const struct json *arr, struct spec_strs *ret) {
    const char **v = arena_new_array(a, const char *, json_len(arr) + 1);
    for (size_t i = 0; i < json_len(arr); i++)
        v[i] = json_str_or(json_at(arr, i), "");
    *ret = (struct spec_strs){v, json_len(arr), json_len(arr) > 0};
}

/* The container remembers the network that is gone by its id: it is attached to the one that took its place. */
static err_t reattach(struct apply *ap, const char *container, const char *network, const struct json *ep) {
    const struct json *ipam = json_get(ep, "IPAMConfig");
    struct spec_network as = {
        .name = network, .ipv4 = json_get_str(ipam, "IPv4Address"), .ipv6 = json_get_str(ipam, "IPv6Address")};
    strings_of(ap->a, json_get(ep, "Aliases"), &as.aliases);
    err_ignore(docker_network_disconnect(ap->conf->docker, network, container, true, deadline_in(STEP)));
    return docker_network_connect(ap->conf->docker, ap->a, network, container, &as, ap->conf->rights,
                                  deadline_in(STEP));
}

static void restore_attachments(struct apply *ap, const struct op *op) {
    struct docker_container_info *info;
    if (!networks_return(ap) ||
        docker_container_inspect(ap->conf->docker, ap->a, op->container_id, deadline_in(STEP), &info) != NULL)
        return;
    const struct json *nets = json_path(info->raw, "NetworkSettings", "Networks", NULL);
    for (size_t i = 0; json_is(nets, JSON_OBJECT) && i < nets->obj.n; i++) {
        const char *name = nets->obj.v[i].key.p;
        if (map_getz(&ap->networks, name))
            note(ap, op, arena_printf(ap->a, "attach container %s to network %s again", op->object, name),
                 reattach(ap, op->container_id, name, nets->obj.v[i].value));
    }
}

/* ---- containers ---- */

static void restore_old(struct apply *ap, const struct op *op) {
    const struct op_run *stop = old_run(ap, "stop", op->container_id);
    if (begun(old_run(ap, "remove", op->container_id)) || replacement_confirmed(ap, op))
        return;
    if (op->kind == OP_RENAME && begun(stop))
        return; /* with the stop, below */
    restore_name(ap, op);
    restore_attachments(ap, op);
    if (op->kind == OP_STOP)
        note(ap, op, arena_printf(ap->a, "start the old container %s again", op->object),
             docker_container_start(ap->conf->docker, op->container_id, deadline_in(STEP)));
}

static bool is_of_old(struct apply *ap, const struct op_run *run) {
    enum op_kind k = run->op->kind;
    return begun(run) && run->op->container_id &&
           (k == OP_STOP || (k == OP_RENAME && run == old_run(ap, "rename", run->op->container_id)));
}

void apply_compensate(struct apply *ap) {
    drop_unconfirmed(ap);
    restore_networks(ap);
    for (size_t i = 0; i < ap->plan->ops.n; i++)
        if (is_of_old(ap, &ap->runs[i]))
            restore_old(ap, ap->runs[i].op);
}
