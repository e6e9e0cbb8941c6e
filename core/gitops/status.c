/* Sync and health of an application, from its plan and what runs. Pure. */
#include "core/gitops/internal.h"

static int worst(int a, int b) { return a > b ? a : b; }

enum { HEALTHY, SUSPENDED, PROGRESSING, MISSING, DEGRADED };
static const char *const health_names[] = {"Healthy", "Suspended", "Progressing", "Missing", "Degraded"};

static void reason(struct arena *a, struct json *out, const char *code, const char *object, const char *message) {
    if (json_len(out) >= 50)
        return;
    struct json *j = json_object(a);
    json_set_str(a, j, "code", code);
    json_set_str(a, j, "object", object);
    json_set_str(a, j, "message", message);
    json_push(a, out, j);
}

static bool one_shot(const struct compose_service *s) {
    return !(z_eq(s->restart, "always") || z_eq(s->restart, "unless-stopped") ||
             (s->deploy.restart_policy.set && z_eq(s->deploy.restart_policy.condition, "any")));
}

/* The name it is known by: while it is exchanged it has another one. */
static const char *known_name(struct arena *a, const struct desired *want, const struct compose_service *s,
                              const struct observed_container *c) {
    return c->number > 0 ? plan_container_name(a, want->project, s, c->number) : c->name;
}

static int container_health(struct arena *a, const struct desired *want, const struct compose_service *s,
                            const struct observed_container *c, struct json *reasons) {
    const char *name = known_name(a, want, s, c);
    if (z_eq(c->state, "running") && z_eq(c->health, "unhealthy")) {
        reason(a, reasons, "unhealthy", name, "the health check fails");
        return DEGRADED;
    }
    if (z_eq(c->state, "running"))
        return z_eq(c->health, "starting") ? PROGRESSING : HEALTHY;
    if (z_eq(c->state, "paused"))
        return SUSPENDED;
    if (z_eq(c->state, "restarting")) {
        reason(a, reasons, "restarting", name, "the container keeps restarting");
        return DEGRADED;
    }
    if (z_eq(c->state, "exited") && c->exit_code == 0 && one_shot(s))
        return HEALTHY;
    if (z_eq(c->state, "created"))
        return PROGRESSING;
    reason(a, reasons, "stopped", name,
           arena_printf(a, "the container is %s (exit code %lld)", c->state, (long long)c->exit_code));
    return DEGRADED;
}

static int service_health(struct arena *a, const struct desired *want, const struct desired_service *s,
                          const struct observed *have, struct json *reasons) {
    int health = HEALTHY;
    int64_t found = 0;
    for (size_t i = 0; i < have->n_containers; i++) {
        const struct observed_container *c = &have->containers[i];
        if (c->oneoff || !z_eq(c->service, s->service->name) || c->number > s->replicas)
            continue;
        found++;
        health = worst(health, container_health(a, want, s->service, c, reasons));
    }
    if (found < s->replicas) {
        reason(a, reasons, "missing", s->service->name,
               arena_printf(a, "%lld of %lld containers exist", (long long)found, (long long)s->replicas));
        health = worst(health, MISSING);
    }
    return health;
}

static const char *op_known_name(struct arena *a, const struct desired *want, const struct op *op) {
    for (size_t i = 0; op->service && op->number > 0 && i < want->n_services; i++)
        if (z_eq(want->services[i].service->name, op->service))
            return plan_container_name(a, want->project, want->services[i].service, op->number);
    return op->object;
}

void status_of(struct arena *a, const struct plan *plan, const struct observed *have, struct status *ret) {
    const struct desired *want = plan->desired;
    int health = HEALTHY;
    bool any = false;
    ret->reasons = json_array(a);
    for (size_t i = 0; i < want->n_services; i++)
        health = worst(health, service_health(a, want, &want->services[i], have, ret->reasons));
    for (size_t i = 0; i < have->n_containers; i++)
        any |= !have->containers[i].oneoff;
    for
        vec_each(op, &plan->ops) {
            bool waits = op->kind == OP_WAIT_HEALTHY || op->kind == OP_WAIT_RUNNING || op->kind == OP_WAIT_COMPLETED;
            if (!waits &&
                (op->kind == OP_CREATE || op->kind == OP_START || op->kind == OP_REMOVE ||
                 op->kind == OP_CREATE_NETWORK) &&
                op->causes.n)
                reason(a, ret->reasons, op->causes.v[0].code, op_known_name(a, want, op),
                       arena_printf(a, "%s: %s", op->title, op->causes.v[0].message));
        }
    bool differs = false;
    for
        vec_each(op, &plan->ops)
            differs |= op->kind != OP_WAIT_HEALTHY && op->kind != OP_WAIT_RUNNING && op->kind != OP_WAIT_COMPLETED;
    ret->drifted = differs;
    ret->sync = differs ? "OutOfSync" : "Synced";
    ret->health = !any && want->n_services ? "Missing" : health_names[health];
}

struct json *error_json(struct arena *a, err_t e) {
    struct json *j = json_object(a), *details = json_object(a);
    json_set_str(a, j, "code", err_code_wire(e->code));
    /* Wrapped messages say the step, the root says what is wrong: people need both. */
    json_set_str(a, j, "message", e->code == ERR_INTERNAL ? "internal error" : err_chain(a, e));
    for (const struct err_detail *d = e->details; d; d = d->next) {
        struct json *v = NULL;
        if (d->raw && json_parse(a, str_of(d->value), NULL, &v) == NULL)
            json_set(a, details, d->key, v);
        else
            json_set_str(a, details, d->key, d->value);
    }
    json_set(a, j, "details", details);
    return j;
}
