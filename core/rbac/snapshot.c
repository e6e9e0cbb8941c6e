#include <stdlib.h>
#include "core/base/check.h"
#include "core/base/clock.h"
#include "core/rbac/snapshot.h"

void snapshot_free(struct snapshot *s) {
    if (s)
        arena_unref(s->a);
}

bool scope_within(const struct scope_node *scope, const struct scope_node *ancestor) {
    return ancestor->depth <= scope->depth && scope->path[ancestor->depth - 1] == ancestor;
}

static char *cell(struct arena *a, const struct pg_result *r, size_t row, size_t col) {
    return arena_strdup(a, pg_cell(r, row, col));
}

static err_t load_scopes(struct pg *db, struct arena *tmp, struct snapshot *s) {
    struct pg_result *r;
    TRY(pg_rows(db, tmp, SQL_RBAC_SCOPES, PG_NOARGS, &r));
    for (size_t i = 0; i < r->rows; i++) { /* parents come first */
        struct scope_node *n = arena_new_obj(s->a, struct scope_node);
        *n = (struct scope_node){.id = cell(s->a, r, i, 0),
                                 .kind = cell(s->a, r, i, 1),
                                 .org_id = cell(s->a, r, i, 2),
                                 .name = cell(s->a, r, i, 3)};
        map_setz(&s->scopes, n->id, n);
        n->path = arena_new_array(s->a, struct scope_node *, 17);
        struct str rest = str_of(pg_cell(r, i, 4)), part;
        while (n->depth < 16 && str_cut(&rest, ',', &part)) {
            struct scope_node *up = map_get(&s->scopes, part);
            if (up == NULL)
                return err_new(ERR_INTERNAL, "scope %s has an unknown ancestor", n->id);
            n->path[n->depth++] = up;
        }
    }
    return NULL;
}

static void add_permissions(struct perm_set *set, const struct json *names) {
    for (size_t i = 0; i < json_len(names); i++) {
        const char *name = json_str(json_at(names, i));
        int p = permission_of(name);
        if (p >= 0)
            perm_add(set, (enum permission)p);
        for (int k = 0; z_eq(name, "*") && k < PERM_MAX; k++)
            perm_add(set, (enum permission)k);
    }
}

static void expand(struct snapshot *s, struct role_node *role) {
    if (role->expanded || role->visiting)
        return;
    role->visiting = true;
    struct str rest = str_of(role->inherited), part;
    while (rest.n && str_cut(&rest, ',', &part)) {
        struct role_node *up = map_get(&s->roles, part);
        if (up) {
            expand(s, up);
            perm_or(&role->perms, &up->perms);
        }
    }
    role->visiting = false;
    role->expanded = true;
}

static err_t load_roles(struct pg *db, struct arena *tmp, struct snapshot *s) {
    struct pg_result *r;
    TRY(pg_rows(db, tmp, SQL_RBAC_ROLES, PG_NOARGS, &r));
    for (size_t i = 0; i < r->rows; i++) {
        struct role_node *n = arena_new_obj(s->a, struct role_node);
        struct json *names;
        *n = (struct role_node){
            .id = cell(s->a, r, i, 0), .name = cell(s->a, r, i, 1), .inherited = cell(s->a, r, i, 3)};
        TRY(json_parse(tmp, str_of(pg_cell(r, i, 2)), NULL, &names));
        add_permissions(&n->perms, names);
        map_setz(&s->roles, n->id, n);
    }
    for (struct map_entry *e = NULL; (e = map_next(&s->roles, e));)
        expand(s, e->value);
    return NULL;
}

static err_t load_users(struct pg *db, struct arena *tmp, struct snapshot *s) {
    struct pg_result *r;
    TRY(pg_rows(db, tmp, SQL_RBAC_USERS, PG_NOARGS, &r));
    for (size_t i = 0; i < r->rows; i++) {
        struct user_node *n = arena_new_obj(s->a, struct user_node);
        *n = (struct user_node){.id = cell(s->a, r, i, 0),
                                .username = cell(s->a, r, i, 1),
                                .active = pg_cell_bool(r, i, 2),
                                .epoch = pg_cell_int(r, i, 3, 0)};
        map_setz(&s->users, n->id, n);
    }
    return NULL;
}

static void give(struct snapshot *s, const char *user_id, const struct grant *g) {
    struct user_node *u = map_getz(&s->users, user_id);
    if (u)
        *vec_push(s->a, &u->grants) = *g;
}

static void give_team(struct snapshot *s, const struct pg_result *members, const char *team, struct grant g) {
    g.via = arena_strdup(s->a, team);
    for (size_t m = 0; m < members->rows; m++)
        if (z_eq(pg_cell(members, m, 0), team))
            give(s, pg_cell(members, m, 1), &g);
}

static err_t load_bindings(struct pg *db, struct arena *tmp, struct snapshot *s) {
    struct pg_result *r, *members;
    TRY(pg_rows(db, tmp, SQL_RBAC_BINDINGS, PG_NOARGS, &r));
    TRY(pg_rows(db, tmp, SQL_RBAC_TEAM_MEMBERS, PG_NOARGS, &members));
    for (size_t i = 0; i < r->rows; i++) {
        struct grant g = {.role = map_getz(&s->roles, pg_cell(r, i, 2)),
                          .scope = map_getz(&s->scopes, pg_cell(r, i, 3)),
                          .deny = z_eq(pg_cell(r, i, 4), "deny"),
                          .expires_ms = pg_cell_int(r, i, 5, 0)};
        if (g.role == NULL || g.scope == NULL)
            continue;
        if (z_eq(pg_cell(r, i, 0), "user"))
            give(s, pg_cell(r, i, 1), &g);
        else if (z_eq(pg_cell(r, i, 0), "team"))
            give_team(s, members, pg_cell(r, i, 1), g);
    }
    return NULL;
}

static err_t epoch_now(struct pg *db, struct arena *tmp, int64_t *ret) {
    struct pg_result *r;
    TRY(pg_one(db, tmp, SQL_RBAC_EPOCH, PG_NOARGS, "authorization epoch", &r));
    *ret = pg_cell_int(r, 0, 0, 0);
    return NULL;
}

static err_t load_once(struct pg *db, struct arena *tmp, struct snapshot *s, bool *ret_stable) {
    int64_t after;
    map_init(&s->scopes, s->a);
    map_init(&s->roles, s->a);
    map_init(&s->users, s->a);
    s->loaded_ms = clock_mono_ms();
    TRY(epoch_now(db, tmp, &s->epoch));
    TRY(load_scopes(db, tmp, s));
    TRY(load_roles(db, tmp, s));
    TRY(load_users(db, tmp, s));
    TRY(load_bindings(db, tmp, s));
    TRY(epoch_now(db, tmp, &after));
    *ret_stable = after == s->epoch;
    return NULL;
}

err_t snapshot_load(struct pg *db, struct snapshot **ret) {
    for (int attempt = 0;; attempt++) {
        AUTO(arena) tmp = arena_new("rbac.load", 0);
        struct arena *a = arena_new("rbac.snapshot", 0);
        struct snapshot *s = arena_new_obj(a, struct snapshot);
        bool stable = false;
        s->a = a;
        err_t e = load_once(db, tmp, s, &stable);
        if (e == NULL && (stable || attempt == 5)) {
            *ret = s;
            return NULL;
        }
        arena_unref(a);
        TRY(e);
    }
}
