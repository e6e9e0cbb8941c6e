/* Containers of one engine. Call conventions and errors: docker.h. `id` is an id, an unambiguous prefix or a name. */
#pragma once
#include "core/docker/docker.h"
#include "core/docker/guard.h"
#include "core/docker/spec.h"

struct docker_port {
    const char *ip;                     /* "" if not published */
    uint16_t private_port, public_port; /* public 0 = exposed only */
    const char *type;                   /* tcp, udp, sctp */
};
/** One row of the list. */
struct docker_container {
    const char *id, *name; /* name without the leading slash */
    const char *image, *image_id, *state, *status;
    int64_t created; /* unix seconds */
    const struct docker_port *ports;
    size_t nports;
    const struct json *labels; /* object, may be NULL */
    const struct json *raw;    /* the engine's row */
};
/** What decisions need from inspect; the rest is in raw. */
struct docker_container_info {
    const char *id, *name;
    const char *image, *image_id; /* Config.Image as given at create; image id */
    const char *state;            /* created running paused restarting removing exited dead */
    const char *health;           /* starting healthy unhealthy; "none" without a check */
    bool running, tty, oom_killed;
    int exit_code;
    int64_t pid, restart_count;
    const char *error, *created_at, *started_at, *finished_at; /* RFC 3339 nano as the engine wrote it */
    const char *log_driver;
    const struct json *labels, *networks, *mounts, *config, *host_config; /* may be NULL */
    const struct json *raw;
};

struct docker_list_filter {
    bool all; /* stopped ones too */
    bool size;
    const char *const *labels; /* "k" or "k=v", all must match */
    size_t nlabels;
    const char *name; /* exact name */
    const char *id;
};
MUST_CHECK err_t docker_container_list(struct docker *d, struct arena *a, const struct docker_list_filter *f,
                                       uint64_t deadline, struct docker_container **ret, size_t *ret_n);
/** Same, one row at a time with bounded memory; `row` lives until fn returns. fn's error ends the walk. */
typedef err_t docker_row_fn(void *arg, struct json *row);
MUST_CHECK err_t docker_container_each(struct docker *d, const struct docker_list_filter *f, uint64_t deadline,
                                       docker_row_fn *fn, void *arg);
MUST_CHECK err_t docker_container_inspect(struct docker *d, struct arena *a, const char *id, uint64_t deadline,
                                          struct docker_container_info **ret);

struct docker_created {
    const char *id;
    const struct json *warnings; /* array of strings: the engine's and ours */
};
/** Create (not start). Builds the body, checks it (guard.h), inspects referenced existing volumes, sends, and connects
 * further networks on engines below 1.44; if that fails the container is removed again. ERR_NOT_FOUND: image or network
 * missing, ERR_CONFLICT: name in use (details.name). */
MUST_CHECK err_t docker_container_create(struct docker *d, struct arena *a, const struct container_spec *spec,
                                         const struct guard_rights *rights, uint64_t deadline,
                                         struct docker_created **ret);
/** Same with a finished body of container_spec_body (recreate with changes); name NULL = engine's choice. */
MUST_CHECK err_t docker_container_create_body(struct docker *d, struct arena *a, const char *name, const char *platform,
                                              const struct json *body, const struct guard_rights *rights,
                                              uint64_t deadline, struct docker_created **ret);

/** Starting a running or stopping a stopped container succeeds. ERR_PORT_CONFLICT when a port is taken. */
MUST_CHECK err_t docker_container_start(struct docker *d, const char *id, uint64_t deadline);
/** `timeout_s` before SIGKILL: -1 = the container's own. `signal` NULL = the container's (needs 1.42, else ignored). */
MUST_CHECK err_t docker_container_stop(struct docker *d, const char *id, int timeout_s, const char *signal,
                                       uint64_t deadline);
MUST_CHECK err_t docker_container_restart(struct docker *d, const char *id, int timeout_s, uint64_t deadline);
MUST_CHECK err_t docker_container_kill(struct docker *d, const char *id, const char *signal, uint64_t deadline);
MUST_CHECK err_t docker_container_pause(struct docker *d, const char *id, uint64_t deadline);
MUST_CHECK err_t docker_container_unpause(struct docker *d, const char *id, uint64_t deadline);
MUST_CHECK err_t docker_container_rename(struct docker *d, const char *id, const char *name, uint64_t deadline);
/** Removing what is gone succeeds; a removal already in progress is waited for (until deadline). */
MUST_CHECK err_t docker_container_remove(struct docker *d, const char *id, bool force, bool anonymous_volumes,
                                         uint64_t deadline);
/** Body: Resources + RestartPolicy keys, checked as GUARD_UPDATE. */
MUST_CHECK err_t docker_container_update(struct docker *d, struct arena *a, const char *id, const struct json *body,
                                         const struct guard_rights *rights, uint64_t deadline);

enum docker_wait { DOCKER_WAIT_NOT_RUNNING, DOCKER_WAIT_NEXT_EXIT, DOCKER_WAIT_REMOVED };
MUST_CHECK err_t docker_container_wait(struct docker *d, const char *id, enum docker_wait cond, uint64_t deadline,
                                       int *ret_exit_code);
/** Race-free: *_wait_open returns when the engine has registered the waiter (before start), _wait_result gets the code. */
struct docker_waiter;
MUST_CHECK err_t docker_container_wait_open(struct docker *d, const char *id, enum docker_wait cond, uint64_t deadline,
                                            struct docker_waiter **ret);
MUST_CHECK err_t docker_container_wait_result(struct docker_waiter *w, uint64_t deadline, int *ret_exit_code);
void docker_waiter_close(struct docker_waiter *w); /* NULL is fine */
DF_AUTO_DEFINE(docker_waiter, struct docker_waiter *, docker_waiter_close);

struct docker_logs {
    bool no_stdout, no_stderr, timestamps;
    int64_t tail;               /* last lines; 0 = all, -1 = none */
    int64_t since_ns, until_ns; /* unix time, 0 = none */
    size_t max_bytes;           /* 0 = 4 MiB; the end is kept, *ret_truncated says so */
};
/** One-shot log text of both streams in engine order, without frames. ERR_NOT_IMPLEMENTED when the log driver cannot be
 * read. Following: hub.h. */
MUST_CHECK err_t docker_container_logs(struct docker *d, struct arena *a, const char *id, const struct docker_logs *opt,
                                       uint64_t deadline, struct str *ret, bool *ret_truncated);
/** /top and /stats?one-shot, passed through. */
MUST_CHECK err_t docker_container_top(struct docker *d, struct arena *a, const char *id, uint64_t deadline,
                                      struct json **ret);
MUST_CHECK err_t docker_container_stats(struct docker *d, struct arena *a, const char *id, uint64_t deadline,
                                        struct json **ret);

/** Row helpers, pure: from a list row / an inspect document (tree must outlive the result). */
MUST_CHECK err_t docker_container_from_row(struct arena *a, struct json *row, struct docker_container *ret);
MUST_CHECK err_t docker_container_from_inspect(struct arena *a, struct json *doc, struct docker_container_info *ret);
