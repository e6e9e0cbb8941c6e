#include "core/base/map.h"
#include "core/base/str.h"
#include "core/rbac/permissions.h"

static const struct {
    const char *name, *text;
    enum builtin_role role;
} table[] = {
#define X(sym, name_, role_, text_) {name_, text_, ROLE_##role_},
    PERMISSION_TABLE(X)
#undef X
};

int permission_of(const char *name) {
    for (int i = 0; name && i < PERM_MAX; i++)
        if (z_eq(table[i].name, name))
            return i;
    return -1;
}

const char *permission_name(enum permission p) { return table[p].name; }
const char *permission_text(enum permission p) { return table[p].text; }

static const struct {
    const char *name, *text;
} roles[] = {
    {"viewer", "Sees everything but logs, environment values and administration"},
    {"operator", "Viewer who also reads logs, syncs, rolls back and restarts"},
    {"developer", "Operator who also manages applications and repositories"},
    {"admin", "Developer who also manages users, roles, nodes and may allow dangerous container options"},
    {"owner", "Everything, organizations included"},
    {"auditor", "Sees everything a viewer sees, users, roles and the audit log"},
};

const char *builtin_role_name(enum builtin_role r) { return roles[r].name; }
const char *builtin_role_text(enum builtin_role r) { return roles[r].text; }

struct perm_set builtin_role_permissions(enum builtin_role r) {
    struct perm_set s = {{0}};
    enum builtin_role upto = r == ROLE_AUDITOR ? ROLE_VIEWER : r;
    for (int i = 0; i < PERM_MAX; i++)
        if (table[i].role <= upto)
            perm_add(&s, (enum permission)i);
    if (r == ROLE_AUDITOR) {
        perm_add(&s, PERM_AUDIT_READ);
        perm_add(&s, PERM_USER_READ);
        perm_add(&s, PERM_ROLE_READ);
    }
    return s;
}
