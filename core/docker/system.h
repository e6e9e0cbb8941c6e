/* The engine itself: ping, version, info, disk usage, events. Errors: docker.h. */
#pragma once
#include "core/docker/docker.h"

/** HEAD /_ping: is it there. Refreshes docker_state(); cheap. */
MUST_CHECK err_t docker_ping(struct docker *d, uint64_t deadline);
MUST_CHECK err_t docker_version(struct docker *d, struct arena *a, uint64_t deadline, struct json **ret);
struct docker_info {
    const char *id, *name, *engine_version, *os, *os_type, *arch, *kernel, *cgroup_version, *cgroup_driver;
    const char *swarm_state, *default_runtime, *logging_driver, *storage_driver;
    int64_t cpus, memory, containers, running, images;
    int64_t clock_offset_ms; /* engine clock minus ours */
    const struct json *warnings, *raw;
};
MUST_CHECK err_t docker_info(struct docker *d, struct arena *a, uint64_t deadline, struct docker_info **ret);
MUST_CHECK err_t docker_df(struct docker *d, struct arena *a, uint64_t deadline,
                           struct json **ret); /* slow: run rarely */

struct docker_event {
    const char *type, *action, *id; /* action without its ": detail" suffix */
    const char *action_detail;      /* "healthy" of "health_status: healthy"; "" if none */
    int64_t time_ns;
    const struct json *attributes; /* object or NULL */
};
struct docker_events {
    int64_t since_ns, until_ns;                /* 0 = now on / no end; engines keep the last 256 events only */
    const char *const *types, *const *actions; /* filters; NULL = all */
    size_t ntypes, nactions;
    /** Called once when the engine accepted the subscription, before any event: list now. May be NULL. */
    err_t (*on_open)(void *arg);
    /** Memory lives until it returns; its error ends the stream. Must be quick: a slow reader loses events. */
    err_t (*on_event)(void *arg, const struct docker_event *ev);
    void *arg;
};
/** YIELDS until the stream ends: NULL at `until`, ERR_DOCKER_UNAVAILABLE when the engine closed it, ERR_CANCELLED. */
MUST_CHECK err_t docker_events_run(struct docker *d, const struct docker_events *opt, uint64_t deadline);
