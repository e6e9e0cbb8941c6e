/* Compensation: the old version serves again where the new one was not confirmed. Best effort, every step logged. */
#include "core/docker/container.h"
#include "core/docker/network.h"
#include "core/gitops/apply_internal.h"

#define STEP SECONDS(60)

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

/* Networks come back only as long as everything that was on them can. */
static bool networks_return(const struct apply *ap) { return json_len(ap->removed) > 0 && !ap->moved_for_good; }

static const struct op_run *of_slot(struct apply *ap, const char *verb, const struct op *op) {
    return map_getz(&ap->by_id, arena_printf(ap->a, "%s:%s:%lld", verb, op->service, (long long)op->number));
}

/* What took the place of an old container, or is new in an empty one, stays once what waits for it was content. */
static bool confirmed(struct apply *ap, const struct op *op) {
    const struct op_run *create = of_slot(ap, "create", op), *wait = of_slot(ap, "wait", op);
    bool moved = op->moved || (create && create->op->phase == 2);
    if (moved && networks_return(ap))
        return false; /* it runs on a network that is about to be made as it was */
    if (create == NULL && op->replaced_by == NULL)
        return false; /* it was only to go */
    return wait ? wait->state == OP_SUCCEEDED : create == NULL;
}

static void drop_unconfirmed(struct apply *ap) {
    for (size_t i = 0; i < ap->plan->ops.n; i++) {
        const struct op *op = &ap->plan->ops.v[i];
        const char *id = op->kind == OP_CREATE ? map_getz(&ap->made, op->id)
                         : op->kind == OP_STOP ? op->replaced_by
                                               : NULL;
        if (id == NULL || confirmed(ap, op))
            continue;
        note(ap, op,
             arena_printf(ap->a,
                          op->kind == OP_CREATE ? "remove the new container %s" : "remove what replaced container %s",
                          op->object),
             docker_container_remove(ap->conf->docker, id, true, true, deadline_in(STEP)));
        if (op->kind == OP_CREATE)
            map_setz(&ap->made, op->id, NULL);
    }
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

/* Whatever of ours still runs on it is new: the old ones were stopped before it was removed, and are not started yet. */
static err_t clear_network(struct apply *ap, const struct docker_network *n) {
    struct docker_network *now;
    TRY(docker_network_inspect(ap->conf->docker, ap->a, n->id, deadline_in(STEP), &now));
    for (size_t i = 0; json_is(now->containers, JSON_OBJECT) && i < now->containers->obj.n; i++) {
        const char *id = now->containers->obj.v[i].key.p;
        struct docker_container_info *info;
        err_t e = docker_container_inspect(ap->conf->docker, ap->a, id, deadline_in(STEP), &info);
        if (e && e->code == ERR_NOT_FOUND)
            continue;
        TRY(e);
        if (z_eq(json_get_str(json_get(info->config, "Labels"), LABEL_APP), ap->plan->app_id))
            TRY(docker_container_remove(ap->conf->docker, id, true, true, deadline_in(STEP)));
    }
    return docker_network_remove(ap->conf->docker, n->id, deadline_in(STEP));
}

static err_t remake_network(struct apply *ap, const char *name, struct json *row) {
    struct docker_network was, *now;
    struct network_spec spec;
    const char *id;
    TRY(docker_network_from_row(row, &was));
    err_t e = docker_network_find(ap->conf->docker, ap->a, name, deadline_in(STEP), &now);
    if (e == NULL && z_eq(now->id, was.id))
        return NULL; /* the interruption came before its removal */
    if (e == NULL)
        e = clear_network(ap, now);
    if (e && e->code != ERR_NOT_FOUND)
        return e;
    /* What was there is made again, whoever asked for the change. */
    docker_network_spec(ap->a, &was, &spec);
    return docker_network_create(ap->conf->docker, ap->a, &spec, &GUARD_EVERYTHING, deadline_in(STEP), &id);
}

static void restore_networks(struct apply *ap) {
    for (size_t i = 0; networks_return(ap) && i < ap->removed->obj.n; i++) {
        const char *name = ap->removed->obj.v[i].key.p;
        note(ap, NULL, arena_printf(ap->a, "make network %s as it was", name),
             remake_network(ap, name, ap->removed->obj.v[i].value));
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
        if (json_get(ap->removed, name))
            note(ap, op, arena_printf(ap->a, "attach container %s to network %s again", op->object, name),
                 reattach(ap, op->container_id, name, nets->obj.v[i].value));
    }
}

/* ---- containers ---- */

static void restore_old(struct apply *ap, const struct op *op) {
    const struct op_run *stop = old_run(ap, "stop", op->container_id);
    if (begun(old_run(ap, "remove", op->container_id)) || confirmed(ap, op))
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
