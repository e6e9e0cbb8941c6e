/* The health gate: a container counts when it stays up, is healthy, or has done its work, whichever its service means. */
#include "core/docker/container.h"
#include "core/gitops/apply_internal.h"

#define STAYS_UP 400 /* ms a container without a health check must run */
#define POLL 250

static const char *last_output(struct apply *ap, struct arena *a, const char *id) {
    struct docker_logs opt = {.tail = 15, .max_bytes = KIB(8)};
    struct str text;
    bool cut;
    if (docker_container_logs(ap->conf->docker, a, id, &opt, deadline_in(SECONDS(5)), &text, &cut) != NULL)
        return NULL;
    text = str_trim(text);
    return text.n ? str_z(a, text) : NULL;
}

static err_t failed(struct apply *ap, struct arena *a, const struct op *op, const char *id, enum err_code code,
                    const char *what) {
    err_t e = err_detail(err_new(code, "service %s: %s", op->service, what), "service", op->service);
    const char *out = last_output(ap, a, id);
    return out ? err_detail(e, "output", out) : e;
}

static err_t wait_running(struct apply *ap, const struct op *op, const char *id, struct arena *a) {
    int code;
    err_t e = docker_container_wait(ap->conf->docker, id, DOCKER_WAIT_NOT_RUNNING, deadline_in(STAYS_UP), &code);
    if (e && e->code == ERR_TIMEOUT) {
        struct docker_container_info *info;
        TRY(docker_container_inspect(ap->conf->docker, a, id, deadline_in(DOCKER_CALL_TIMEOUT), &info));
        if (z_eq(info->state, "restarting") || info->restart_count > 0)
            return failed(ap, a, op, id, ERR_DEPLOYMENT_FAILED,
                          arena_printf(a, "the container keeps restarting (exit code %d)", info->exit_code));
        return NULL;
    }
    TRY(e);
    if (code == 0)
        return NULL; /* a one-shot */
    return failed(ap, a, op, id, ERR_DEPLOYMENT_FAILED, arena_printf(a, "the container exited with code %d", code));
}

static uint64_t health_deadline(const struct apply *ap, const struct op *op) {
    const struct compose_healthcheck *h = &ap->plan->desired->services[op->service_index].service->healthcheck;
    int64_t interval = h->interval > 0 ? h->interval : 30000000000, timeout = h->timeout > 0 ? h->timeout : 30000000000;
    int64_t retries = h->retries > 0 ? h->retries : 3, start = h->start_period > 0 ? h->start_period : 0;
    int64_t ms = (start + (interval + timeout) * (retries + 1)) / 1000000;
    return deadline_min(deadline_in((uint64_t)ms + SECONDS(10)), ap->conf->deadline);
}

static const char *last_probe(struct arena *a, const struct docker_container_info *info) {
    const struct json *log = json_path(info->raw, "State", "Health", "Log", NULL);
    const char *out = json_get_str(json_at(log, json_len(log) ? json_len(log) - 1 : 0), "Output");
    return out ? str_z(a, str_trim(str_n(out, strnlen(out, 1024)))) : "";
}

static err_t wait_healthy(struct apply *ap, const struct op *op, const char *id, struct arena *a) {
    uint64_t until = health_deadline(ap, op);
    for (;;) {
        struct arena_mark mark = arena_mark(a);
        struct docker_container_info *info;
        TRY(docker_container_inspect(ap->conf->docker, a, id, deadline_in(DOCKER_CALL_TIMEOUT), &info));
        if (z_eq(info->health, "healthy"))
            return NULL;
        if (z_eq(info->health, "none"))
            return wait_running(ap, op, id, a);
        if (!info->running)
            return failed(ap, a, op, id, ERR_HEALTH_CHECK_FAILED,
                          arena_printf(a, "the container exited with code %d before it was healthy", info->exit_code));
        if (z_eq(info->health, "unhealthy"))
            return err_detail(failed(ap, a, op, id, ERR_HEALTH_CHECK_FAILED, "the container is unhealthy"), "probe",
                              last_probe(a, info));
        if (clock_mono_ms() > until)
            return err_detail(
                failed(ap, a, op, id, ERR_HEALTH_CHECK_FAILED, "the container did not become healthy in time"), "probe",
                last_probe(a, info));
        arena_rewind(a, mark);
        TRY(fiber_sleep(POLL));
    }
}

static err_t wait_completed(struct apply *ap, const struct op *op, const char *id, struct arena *a) {
    int code;
    err_t e = docker_container_wait(ap->conf->docker, id, DOCKER_WAIT_NOT_RUNNING, ap->conf->deadline, &code);
    if (e && e->code == ERR_TIMEOUT)
        return failed(ap, a, op, id, ERR_DEPLOYMENT_FAILED, "did not complete in time");
    TRY(e);
    return code == 0 ? NULL
                     : failed(ap, a, op, id, ERR_DEPLOYMENT_FAILED, arena_printf(a, "ended with exit code %d", code));
}

err_t apply_wait(struct apply *ap, const struct op *op, struct arena *a) {
    const char *id = apply_container(ap, op);
    if (op->kind == OP_WAIT_COMPLETED)
        return wait_completed(ap, op, id, a);
    return wait_healthy(ap, op, id, a);
}
