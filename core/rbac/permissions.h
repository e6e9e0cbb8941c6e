/* Every permission of the product, once: X(symbol, "resource:verb", first built-in role that has it, description). The built-in
 * roles are cumulative in the order viewer < operator < developer < admin < owner; auditor stands beside them. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define PERMISSION_TABLE(X)                                                                                            \
    X(APPLICATION_READ, "application:read", VIEWER, "See applications, their plans, history and resources")            \
    X(DEPLOYMENT_READ, "deployment:read", VIEWER, "See deployments")                                                   \
    X(NODE_READ, "node:read", VIEWER, "See Docker nodes")                                                              \
    X(CONTAINER_READ, "container:read", VIEWER, "See containers")                                                      \
    X(TASK_READ, "task:read", VIEWER, "See tasks")                                                                     \
    X(PROJECT_READ, "project:read", VIEWER, "See organizations, teams, projects and folders")                          \
    X(REPOSITORY_READ, "repository:read", VIEWER, "See repositories without their credentials")                        \
    X(EVENT_READ, "event:read", VIEWER, "See the activity feed")                                                       \
    X(CONTAINER_LOGS, "container:logs", OPERATOR, "Read logs of containers")                                           \
    X(CONTAINER_START, "container:start", OPERATOR, "Start containers")                                                \
    X(CONTAINER_STOP, "container:stop", OPERATOR, "Stop containers")                                                   \
    X(CONTAINER_RESTART, "container:restart", OPERATOR, "Restart containers")                                          \
    X(APPLICATION_SYNC, "application:sync", OPERATOR, "Sync and refresh applications")                                 \
    X(APPLICATION_ROLLBACK, "application:rollback", OPERATOR, "Roll applications back")                                \
    X(TASK_CANCEL, "task:cancel", OPERATOR, "Cancel tasks")                                                            \
    X(CONTAINER_INSPECT_ENV, "container:inspect-env", DEVELOPER, "See environment values in inspect")                  \
    X(APPLICATION_CREATE, "application:create", DEVELOPER, "Create applications")                                      \
    X(APPLICATION_UPDATE, "application:update", DEVELOPER, "Change applications")                                      \
    X(APPLICATION_DELETE, "application:delete", DEVELOPER, "Delete applications")                                      \
    X(REPOSITORY_CREATE, "repository:create", DEVELOPER, "Register repositories")                                      \
    X(REPOSITORY_UPDATE, "repository:update", DEVELOPER, "Change repositories and their credentials")                  \
    X(REPOSITORY_DELETE, "repository:delete", DEVELOPER, "Remove repositories")                                        \
    X(NODE_USE, "node:use", DEVELOPER, "Deploy to a node")                                                             \
    X(USER_READ, "user:read", ADMIN, "See users")                                                                      \
    X(ROLE_READ, "role:read", ADMIN, "See roles and role bindings")                                                    \
    X(PROJECT_CREATE, "project:create", ADMIN, "Create teams, projects and folders")                                   \
    X(PROJECT_UPDATE, "project:update", ADMIN, "Change teams, projects and folders")                                   \
    X(PROJECT_DELETE, "project:delete", ADMIN, "Delete teams, projects and folders")                                   \
    X(BINDING_CREATE, "binding:create", ADMIN, "Give roles")                                                           \
    X(BINDING_DELETE, "binding:delete", ADMIN, "Take roles away")                                                      \
    X(NODE_CREATE, "node:create", ADMIN, "Register Docker nodes")                                                      \
    X(NODE_UPDATE, "node:update", ADMIN, "Change Docker nodes")                                                        \
    X(NODE_DELETE, "node:delete", ADMIN, "Remove Docker nodes")                                                        \
    X(USER_CREATE, "user:create", ADMIN, "Create users")                                                               \
    X(USER_UPDATE, "user:update", ADMIN, "Change users")                                                               \
    X(USER_DELETE, "user:delete", ADMIN, "Delete users")                                                               \
    X(ROLE_CREATE, "role:create", ADMIN, "Create custom roles")                                                        \
    X(ROLE_UPDATE, "role:update", ADMIN, "Change custom roles")                                                        \
    X(ROLE_DELETE, "role:delete", ADMIN, "Delete custom roles")                                                        \
    X(AUDIT_READ, "audit:read", ADMIN, "Read and verify the audit log")                                                \
    X(SYSTEM_READ, "system:read", ADMIN, "See detailed health, metrics and fibers")                                    \
    X(CONTAINER_PRIVILEGED, "container:privileged", ADMIN, "Run privileged containers")                                \
    X(CONTAINER_HOST_NAMESPACES, "container:host-namespaces", ADMIN, "Use host namespaces")                            \
    X(CONTAINER_FOREIGN_NAMESPACES, "container:foreign-namespaces", ADMIN,                                             \
      "Join namespaces of other projects' containers")                                                                 \
    X(CONTAINER_CAPABILITIES, "container:capabilities", ADMIN, "Add capabilities")                                     \
    X(CONTAINER_SECURITY_OPTIONS, "container:security-options", ADMIN, "Change security options")                      \
    X(CONTAINER_DEVICES, "container:devices", ADMIN, "Pass host devices")                                              \
    X(CONTAINER_SYSCTLS, "container:sysctls", ADMIN, "Set kernel parameters")                                          \
    X(CONTAINER_RUNTIME, "container:runtime", ADMIN, "Choose the container runtime")                                   \
    X(CONTAINER_CGROUP, "container:cgroup", ADMIN, "Choose the parent cgroup")                                         \
    X(CONTAINER_HOST_PATHS, "container:host-paths", ADMIN, "Mount paths of the host")                                  \
    X(CONTAINER_SYSTEM_PATHS, "container:system-paths", ADMIN,                                                         \
      "Mount paths that are the host itself: /etc, the engine's socket, ...")                                          \
    X(CONTAINER_LOG_DRIVER, "container:log-driver", ADMIN, "Choose the log driver")                                    \
    X(VOLUME_DRIVER_OPTIONS, "volume:driver-options", ADMIN, "Use volume driver options")                              \
    X(NETWORK_HOST_DRIVER, "network:host-driver", ADMIN, "Use host-level network drivers")                             \
    X(ORGANIZATION_CREATE, "organization:create", OWNER, "Create organizations")                                       \
    X(ORGANIZATION_UPDATE, "organization:update", OWNER, "Change organizations")                                       \
    X(ORGANIZATION_DELETE, "organization:delete", OWNER, "Delete organizations")

enum permission {
#define X(sym, name, role, text) PERM_##sym,
    PERMISSION_TABLE(X)
#undef X
        PERM_MAX
};
#define PERM_WORDS ((PERM_MAX + 63) / 64)
struct perm_set {
    uint64_t w[PERM_WORDS];
};
/** -1 when there is no such permission. */
int permission_of(const char *name);
const char *permission_name(enum permission p);
const char *permission_text(enum permission p);
static inline bool perm_has(const struct perm_set *s, enum permission p) { return s->w[p / 64] >> (p % 64) & 1; }
static inline void perm_add(struct perm_set *s, enum permission p) { s->w[p / 64] |= UINT64_C(1) << (p % 64); }
static inline void perm_or(struct perm_set *to, const struct perm_set *from) {
    for (int i = 0; i < PERM_WORDS; i++)
        to->w[i] |= from->w[i];
}

enum builtin_role {
    ROLE_VIEWER,
    ROLE_OPERATOR,
    ROLE_DEVELOPER,
    ROLE_ADMIN,
    ROLE_OWNER,
    ROLE_AUDITOR,
    ROLE_BUILTIN_MAX
};
const char *builtin_role_name(enum builtin_role r);
const char *builtin_role_text(enum builtin_role r);
struct perm_set builtin_role_permissions(enum builtin_role r);
