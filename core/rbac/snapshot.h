/* Private: one immutable picture of everything a decision needs. */
#pragma once
#include "core/base/map.h"
#include "core/base/vec.h"
#include "core/rbac/rbac.h"

struct scope_node {
    const char *id, *kind, *org_id, *name;
    struct scope_node **path; /* root first, itself last */
    size_t depth;
};
struct role_node {
    const char *id, *name, *inherited;
    struct perm_set perms; /* own and inherited */
    bool visiting, expanded;
};
struct grant {
    struct scope_node *scope;
    const struct role_node *role;
    const char *via; /* team id, or NULL when given to the user */
    bool deny;
    int64_t expires_ms; /* 0 = never */
};
struct user_node {
    const char *id, *username;
    bool active;
    int64_t epoch;
    VEC(struct grant) grants;
};
struct snapshot {
    struct arena *a;
    int64_t epoch;
    uint64_t loaded_ms;
    struct map scopes, roles, users;
};
/** YIELDS. */
MUST_CHECK err_t snapshot_load(struct pg *db, struct snapshot **ret);
void snapshot_free(struct snapshot *s);
bool scope_within(const struct scope_node *scope, const struct scope_node *ancestor);
