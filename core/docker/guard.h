/* The one checker of final engine bodies. Every create, update, connect, exec and volume/network body passes it inside
 * core/docker right before it is sent; nothing in the product can send a body around it. Allow list: a key that is not
 * known here is refused, whoever asks. Pure functions, no I/O. */
#pragma once
#include "core/base/arena.h"
#include "core/base/err.h"
#include "core/base/json.h"
#include "core/base/vec.h"

/* X(symbol, permission): the right that allows what is refused without it. */
#define GUARD_RIGHTS(X)                                                                                                \
    X(PRIVILEGED, "container:privileged")                                                                              \
    X(HOST_NAMESPACES, "container:host-namespaces")                                                                    \
    X(FOREIGN_NAMESPACES, "container:foreign-namespaces") /* container:<id> outside the own project, volumes_from */   \
    X(CAPABILITIES, "container:capabilities")                                                                          \
    X(SECURITY_OPTIONS, "container:security-options")                                                                  \
    X(DEVICES, "container:devices")                                                                                    \
    X(SYSCTLS, "container:sysctls")                                                                                    \
    X(RUNTIME, "container:runtime")                                                                                    \
    X(CGROUP, "container:cgroup")                                                                                      \
    X(HOST_PATHS, "container:host-paths")                                                                              \
    X(SYSTEM_PATHS, "container:system-paths") /* the host itself; includes the other host paths */                     \
    X(LOG_DRIVER, "container:log-driver")                                                                              \
    X(VOLUME_DRIVER, "volume:driver-options")                                                                          \
    X(NETWORK_DRIVER, "network:host-driver")
enum guard_right {
#define X(sym, perm) GUARD_##sym,
    GUARD_RIGHTS(X)
#undef X
        GUARD_RIGHTS_MAX
};
#define GUARD_BIT(r) (1u << (r))
#define GUARD_ALL ((1u << GUARD_RIGHTS_MAX) - 1)

struct guard_real_path {
    const char *path /* canonical */, *real;
};
/** What was used of a right, so that the same may be allowed again without it. */
struct guard_use {
    const char *key; /* hex digest over right, rule, message, value, service and image repository */
    enum guard_right right;
    const char *rule, *message;
};
#define GUARD_MAX_USES 256
struct guard_uses {
    struct arena *a;            /* owns what is kept here; may outlive the check */
    VEC(struct guard_use) list; /* each key once */
};

/** Who asks. Zeroed = no rights. Pointers are borrowed for the call. */
struct guard_rights {
    uint32_t allow;                 /* GUARD_BIT()s */
    const char *const *allow_paths; /* exact host paths that need no right (the application's own files) */
    size_t nallow_paths;
    const char *const *forbid_paths; /* mounted by nobody, nor anything inside: our data directory */
    size_t nforbid_paths;
    const char *const *system_paths; /* besides the built-in list: the engine's socket and data */
    size_t nsystem_paths;
    /** Where host paths lead when links are followed, for those somebody looked up. Others count as they are written. */
    const struct guard_real_path *real_paths;
    size_t nreal_paths;
    const char *const *grants; /* keys of uses that need no right any more */
    size_t ngrants;
    struct guard_uses *uses; /* what needed a right and had it is noted here; may be NULL */
    /** Is this container (id or name) part of the caller's own project? NULL = none is. */
    bool (*own_container)(void *ctx, const char *ref);
    void *ctx;
};
extern const struct guard_rights GUARD_NOBODY;     /* no rights at all */
extern const struct guard_rights GUARD_EVERYTHING; /* administrators; unknown keys are refused all the same */
const char *guard_permission(enum guard_right r);
bool guard_has(const struct guard_rights *rights, enum guard_right r); /* or a greater one that includes it */
/** -1 when no such permission exists here. */
int guard_right_of(const char *permission);

enum guard_body { GUARD_CONTAINER, GUARD_UPDATE, GUARD_EXEC, GUARD_NETWORK, GUARD_CONNECT, GUARD_VOLUME };

struct guard_violation {
    const char *pointer;    /* RFC 6901 into the body: /HostConfig/Binds/0 */
    const char *rule;       /* privileged, host-path, unknown-key, ...: stable, documented in README.md */
    const char *message;    /* for a person */
    const char *permission; /* would allow it; NULL = nothing does */
    const struct guard_violation *next;
};
/** All violations in body order, NULL when the body is fine; *ret_n counts them. At most 256 are listed. */
size_t docker_body_check(struct arena *a, enum guard_body kind, const struct json *body,
                         const struct guard_rights *rights, const struct guard_violation **ret);
/** The host paths the same walk would judge, canonical: what to look up before. */
size_t guard_body_paths(struct arena *a, enum guard_body kind, const struct json *body,
                        const struct guard_rights *rights, const char ***ret);
size_t guard_existing_volume_paths(struct arena *a, const struct json *volume, const struct guard_rights *rights,
                                   const char ***ret);
/** ERR_POLICY with details.violations = [{pointer, rule, message, permission}], or NULL. */
MUST_CHECK err_t guard_check(struct arena *a, enum guard_body kind, const struct json *body,
                             const struct guard_rights *rights);
/** A volume as the engine shows it (GET /volumes/{name}): a volume made elsewhere with bind options is a host path. `user`: the body
 * of the container that mounts it (at `pointer`), which is what a use of a right is remembered for. */
size_t guard_existing_volume(struct arena *a, const struct json *volume, const struct json *user, const char *pointer,
                             const struct guard_rights *rights, const struct guard_violation **ret);
err_t guard_error(struct arena *a, const struct guard_violation *v); /* NULL for NULL */

/** Named volumes a container body uses: those that exist are to be inspected before the container is created. */
struct guard_volume {
    const char *name, *pointer;
};
size_t guard_body_volumes(struct arena *a, const struct json *body, struct guard_volume **ret);

/** Lexical canonical form of an absolute path: no //, ., .., no trailing slash. NULL if not absolute or with NUL. */
char *guard_path_canonical(struct arena *a, struct str path);
/** Is a canonical host path one of, inside, or a parent of those that are the host itself? */
bool guard_path_system(const char *canonical, const struct guard_rights *rights);
