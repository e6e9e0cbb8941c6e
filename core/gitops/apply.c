#include <stdarg.h>
#include <stdio.h>
#include "core/base/check.h"
#include "core/base/fault.h"
#include "core/docker/container.h"
#include "core/gitops/apply_internal.h"

static const char *const state_names[] = {"pending", "running", "succeeded", "failed", "skipped"};

const char *op_state_name(enum op_state s) { return state_names[s]; }

void apply_log(struct apply *ap, const struct op *op, const char *level, const char *fmt, ...) {
    char line[1024];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    if (ap->conf->hooks.on_log)
        ap->conf->hooks.on_log(ap->conf->hooks.ctx, op, level, line);
}

const char *apply_container(struct apply *ap, const struct op *op) {
    return op->container_id ? op->container_id : op->container_op ? map_getz(&ap->made, op->container_op) : NULL;
}

static err_t report(struct apply *ap, const struct op *op, enum op_state s, err_t e, const struct json *after) {
    return ap->conf->hooks.on_op ? ap->conf->hooks.on_op(ap->conf->hooks.ctx, op, s, e, after) : NULL;
}

static void fault_at(const char *when, const struct op *op) {
    if (!FAULTS_BUILT)
        return;
    char name[96];
    (void)snprintf(name, sizeof(name), "deploy.%s.%s", when, op_kind_name(op->kind));
    FAULT(name);
}

static err_t run_op(struct op_run *run) {
    struct apply *ap = run->ap;
    const struct op *op = run->op;
    struct json *after = NULL;
    TRY(report(ap, op, OP_RUNNING, NULL, NULL));
    fault_at("before", op);
    err_t e = apply_op(ap, op, arena_current(), &after);
    fault_at("after", op);
    /* The record of what has happened must be written even while a cancel is under way. */
    fiber_mask();
    err_t reported = report(ap, op, e ? OP_FAILED : OP_SUCCEEDED, e, after);
    fiber_unmask();
    return e ? e : reported;
}

static err_t op_fiber(void *arg) {
    struct op_run *run = arg;
    struct apply *ap = run->ap;
    err_t e = run_op(run);
    run->state = e ? OP_FAILED : OP_SUCCEEDED;
    if (e && ap->error == NULL)
        ap->error = err_dup(ap->a, err_wrap(e, "%s", run->op->title));
    ap->running--;
    cond_broadcast(&ap->changed);
    return NULL;
}

static int current_phase(const struct apply *ap) {
    int phase = 3;
    for (size_t i = 0; i < ap->plan->ops.n; i++)
        if (ap->runs[i].state != OP_SUCCEEDED && ap->plan->ops.v[i].phase < phase)
            phase = ap->plan->ops.v[i].phase;
    return phase;
}

static bool is_ready(struct apply *ap, const struct op_run *run, int phase) {
    if (run->state != OP_PENDING || run->op->phase > phase)
        return false;
    for (size_t i = 0; i < run->op->depends_on.n; i++) {
        const struct op_run *dep = map_getz(&ap->by_id, run->op->depends_on.v[i]);
        if (dep->state != OP_SUCCEEDED)
            return false;
    }
    return true;
}

static void launch(struct apply *ap) {
    int phase = current_phase(ap);
    size_t max = ap->conf->max_parallel ? ap->conf->max_parallel : 8;
    for (size_t i = 0; i < ap->plan->ops.n && ap->running < max; i++) {
        struct op_run *run = &ap->runs[i];
        if (!is_ready(ap, run, phase))
            continue;
        run->state = OP_RUNNING;
        ap->running++;
        run->fiber = fiber_spawn(run->op->id, NULL, op_fiber, run);
    }
}

/* Waits and transfers give up at once; an engine call that changes something is let finish. */
static void cancel_waits(struct apply *ap) {
    for (size_t i = 0; i < ap->plan->ops.n; i++) {
        enum op_kind k = ap->runs[i].op->kind;
        bool idle =
            k == OP_PULL || k == OP_BUILD || k == OP_WAIT_HEALTHY || k == OP_WAIT_COMPLETED || k == OP_WAIT_RUNNING;
        if (idle && ap->runs[i].state == OP_RUNNING)
            fiber_cancel(ap->runs[i].fiber);
    }
}

static void drain(struct apply *ap) {
    cancel_waits(ap);
    fiber_mask();
    while (ap->running > 0)
        err_ignore(cond_wait(&ap->changed, DEADLINE_NONE));
    for (size_t i = 0; i < ap->plan->ops.n; i++)
        if (ap->runs[i].fiber)
            err_ignore(fiber_join(ap->runs[i].fiber));
    fiber_unmask();
}

static void run_all(struct apply *ap) {
    while (ap->error == NULL) {
        launch(ap);
        if (ap->running == 0)
            break;
        err_t e = cond_wait(&ap->changed, ap->conf->deadline);
        if (e && ap->error == NULL)
            ap->error = err_dup(
                ap->a, e->code == ERR_TIMEOUT ? err_new(ERR_TIMEOUT, "the deployment did not finish in time") : e);
    }
    drain(ap);
}

static void skip_rest(struct apply *ap) {
    for (size_t i = 0; i < ap->plan->ops.n; i++) {
        if (ap->runs[i].state != OP_PENDING)
            continue;
        ap->runs[i].state = OP_SKIPPED;
        err_ignore(report(ap, ap->runs[i].op, OP_SKIPPED, NULL, NULL));
    }
}

static err_t known_containers(struct apply *ap) {
    struct docker_list_filter f = {.all = true};
    struct docker_container *rows;
    size_t n;
    TRY(docker_container_list(ap->conf->docker, ap->a, &f, deadline_in(DOCKER_CALL_TIMEOUT), &rows, &n));
    for (size_t i = 0; i < n; i++) {
        const char *service = json_get_str(rows[i].labels, "com.docker.compose.service");
        bool ours = z_eq(json_get_str(rows[i].labels, "com.docker.compose.project"), ap->plan->project);
        if (ours && service && z_eq(json_get_str(rows[i].labels, "com.docker.compose.container-number"), "1"))
            map_setz(&ap->by_service, service, (void *)rows[i].id);
    }
    return NULL;
}

static struct json *images_used(struct arena *a, struct apply *ap) {
    struct json *j = json_object(a);
    for (size_t i = 0; i < ap->plan->desired->n_services; i++) {
        const struct desired_service *s = &ap->plan->desired->services[i];
        struct json *one = json_object(a);
        json_set_str(a, one, "ref", s->image);
        json_set_str(a, one, "id", map_getz(&ap->images, s->image));
        json_set(a, j, s->service->name, one);
    }
    return j;
}

err_t apply_plan(struct arena *a, const struct apply_conf *conf, struct json **ret_images) {
    struct apply ap = {.a = a, .conf = conf, .plan = conf->plan};
    ap.runs = arena_new_array(a, struct op_run, conf->plan->ops.n + 1);
    struct map *maps[] = {&ap.by_id, &ap.made, &ap.by_service, &ap.file_paths, &ap.images};
    for (size_t i = 0; i < ARRAY_LEN(maps); i++)
        map_init(maps[i], a);
    cond_init(&ap.changed);
    const struct json *earlier = conf->plan->desired->removed_networks;
    ap.removed = earlier ? json_clone(a, earlier) : json_object(a);
    for (size_t i = 0; i < conf->plan->ops.n; i++) {
        ap.runs[i] = (struct op_run){.ap = &ap, .op = &conf->plan->ops.v[i]};
        map_setz(&ap.by_id, ap.runs[i].op->id, &ap.runs[i]);
    }
    TRY(known_containers(&ap));
    run_all(&ap);
    if (ap.error) {
        fiber_mask();
        skip_rest(&ap);
        /* Without the lease another instance may own the application: then hands off. */
        if (ap.error->code != ERR_FENCED)
            apply_compensate(&ap);
        fiber_unmask();
    }
    *ret_images = images_used(a, &ap);
    cond_done(&ap.changed);
    return ap.error;
}
