/* Compensation: the old version serves again where the new one was not confirmed. Best effort, every step logged. */
#include "core/docker/container.h"
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

/* A new container stays when nothing of the old one waits to come back: its removal was done, or there was no old one and it runs. */
static bool confirmed(struct apply *ap, const struct op *create) {
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

/* The name comes back whether or not the stop had begun: the two run beside each other. */
static void restore_name(struct apply *ap, const struct op *op) {
    const struct op_run *renamed = old_run(ap, "rename", op->container_id);
    if (begun(renamed))
        note(ap, op, arena_printf(ap->a, "give container %s its name back", renamed->op->object),
             docker_container_rename(ap->conf->docker, op->container_id, renamed->op->object, deadline_in(STEP)));
}

static void restore_old(struct apply *ap, const struct op *op) {
    const struct op_run *stop = old_run(ap, "stop", op->container_id);
    if (begun(old_run(ap, "remove", op->container_id)) || replacement_confirmed(ap, op))
        return;
    if (op->kind == OP_RENAME && begun(stop))
        return; /* with the stop, below */
    restore_name(ap, op);
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
    for (size_t i = 0; i < ap->plan->ops.n; i++)
        if (is_of_old(ap, &ap->runs[i]))
            restore_old(ap, ap->runs[i].op);
}
