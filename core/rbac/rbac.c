#include <stdlib.h>
#include "core/async/fiber.h"
#include "core/async/wait.h"
#include "core/base/check.h"
#include "core/base/id.h"
#include "core/obs/log.h"
#include "core/rbac/snapshot.h"

#define POLL_MS SECONDS(1)
#define STALE_MS SECONDS(5)

struct rbac {
    struct pg *db;
    struct pg_conf conf;
    struct pg_listen *listen;
    struct snapshot *now;
    struct fiber *watcher;
    struct cond wake;
    struct mutex loading;
    bool dirty;
    uint64_t confirmed_ms; /* when the snapshot was last known to be current */
    void (*on_change)(void *arg);
    void *on_change_arg;
    void (*on_revoked)(void *arg, const char *kind, const char *id);
    void *on_revoked_arg;
};

const struct principal PRINCIPAL_NOBODY = {.kind = PRINCIPAL_ANONYMOUS, .username = "anonymous"};
const struct principal PRINCIPAL_DOCKFLOW = {.kind = PRINCIPAL_SYSTEM, .username = "dockflow"};

struct principal *principal_dup(struct arena *a, const struct principal *p) {
    struct principal *c = arena_memdup(a, p, sizeof(*p));
    const char **texts[] = {&c->user_id, &c->username, &c->session_id, &c->token_id, &c->token_scope};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        *texts[i] = arena_strdup(a, *texts[i]);
    return c;
}

struct rbac *rbac_new(struct pg *db, const struct pg_conf *conf) {
    struct rbac *r = calloc(1, sizeof(*r));
    CHECK(r != NULL);
    r->db = db;
    r->conf = *conf;
    cond_init(&r->wake);
    mutex_init(&r->loading);
    return r;
}

static err_t load(struct rbac *r) {
    struct snapshot *s;
    TRY(snapshot_load(r->db, &s));
    struct snapshot *old = r->now;
    r->now = s;
    r->confirmed_ms = s->loaded_ms;
    snapshot_free(old);
    if (r->on_change)
        r->on_change(r->on_change_arg);
    return NULL;
}

static err_t refresh_locked(struct rbac *r) {
    AUTO(arena) tmp = arena_new("rbac.epoch", 0);
    struct pg_result *res;
    uint64_t asked = clock_mono_ms();
    r->dirty = false;
    err_t e = pg_one(r->db, tmp, SQL_RBAC_EPOCH, PG_NOARGS, "authorization epoch", &res);
    if (e)
        return err_dup(arena_current(), e);
    if (r->now == NULL || pg_cell_int(res, 0, 0, 0) != r->now->epoch)
        return load(r);
    r->confirmed_ms = asked;
    return NULL;
}

err_t rbac_refresh(struct rbac *r) {
    TRY(mutex_lock(&r->loading, deadline_in(SECONDS(10))));
    err_t e = refresh_locked(r);
    mutex_unlock(&r->loading);
    return e;
}

static err_t watch(void *arg) {
    struct rbac *r = arg;
    for (;;) {
        struct arena_mark mark = arena_mark(arena_current());
        err_t e = r->dirty ? NULL : cond_wait(&r->wake, deadline_in(POLL_MS));
        if (e && e->code == ERR_CANCELLED)
            return NULL;
        e = rbac_refresh(r);
        if (e && e->code == ERR_CANCELLED)
            return NULL;
        if (e && rbac_age_ms(r) > STALE_MS)
            LOG(WARNING, "rbac.stale", KV_INT("age_ms", rbac_age_ms(r)), KV_ERR(e));
        if (e)
            TRY(fiber_sleep(500));
        arena_rewind(arena_current(), mark);
    }
}

static void on_notify(void *arg, const char *channel, const char *payload) {
    struct rbac *r = arg;
    (void)channel;
    const char *colon = strchr(payload, ':');
    if (colon && !z_starts(payload, "epoch:") && r->on_revoked) {
        char kind[16] = {0};
        memcpy(kind, payload, (size_t)(colon - payload) < sizeof(kind) ? (size_t)(colon - payload) : sizeof(kind) - 1);
        r->on_revoked(r->on_revoked_arg, kind, colon + 1);
        return;
    }
    r->dirty = true;
    cond_signal(&r->wake);
}

/* What was said meanwhile is lost: look at the epoch, and let the credentials be looked up too. */
static void on_gap(void *arg) {
    struct rbac *r = arg;
    if (r->on_revoked)
        r->on_revoked(r->on_revoked_arg, "gap", "");
    on_notify(arg, "", "epoch:");
}

static err_t put_builtin_roles(struct rbac *r) {
    struct arena *a = arena_current();
    for (int i = 0; i < ROLE_BUILTIN_MAX; i++) {
        struct perm_set set = builtin_role_permissions((enum builtin_role)i);
        struct json *names = json_array(a);
        for (int p = 0; p < PERM_MAX; p++)
            if (perm_has(&set, (enum permission)p))
                json_push(a, names, json_string(a, permission_name((enum permission)p)));
        TRY(pg_exec(r->db, SQL_RBAC_BUILTIN_ROLE_PUT,
                    PG_ARGS(pg_uuid(uuid7_new(a)), pg_text(builtin_role_name((enum builtin_role)i)),
                            pg_text(builtin_role_text((enum builtin_role)i)), pg_json(json_to_text(a, names))),
                    NULL));
    }
    return NULL;
}

err_t rbac_start(struct rbac *r) {
    static const char *const channels[] = {"df_authz"};
    TRY(put_builtin_roles(r));
    TRY(load(r));
    r->listen = pg_listen_new(&r->conf, channels, 1, on_notify, on_gap, r);
    r->watcher = fiber_spawn("rbac.watch", NULL, watch, r);
    return NULL;
}

void rbac_free(struct rbac *r) {
    if (r == NULL)
        return;
    if (r->watcher) {
        fiber_cancel(r->watcher);
        if (fiber_on_fiber())
            err_ignore(fiber_join(r->watcher));
    }
    pg_listen_free(r->listen);
    snapshot_free(r->now);
    free(r);
}

uint64_t rbac_age_ms(const struct rbac *r) { return r->now ? clock_mono_ms() - r->confirmed_ms : UINT64_MAX; }
int64_t rbac_epoch(const struct rbac *r) { return r->now ? r->now->epoch : 0; }

void rbac_on_change(struct rbac *r, void (*fn)(void *arg), void *arg) {
    r->on_change = fn;
    r->on_change_arg = arg;
}

void rbac_on_revoked(struct rbac *r, void (*fn)(void *arg, const char *kind, const char *id), void *arg) {
    r->on_revoked = fn;
    r->on_revoked_arg = arg;
}

/* --- decisions --- */

static struct user_node *user_of(const struct rbac *r, const struct principal *who) {
    return r->now && who->user_id ? map_getz(&r->now->users, who->user_id) : NULL;
}

bool rbac_user_current(struct rbac *r, const struct principal *who) {
    if (who->kind == PRINCIPAL_SYSTEM)
        return true;
    const struct user_node *u = user_of(r, who);
    return u && u->active && u->epoch == who->user_epoch;
}

static bool live(const struct grant *g) { return g->expires_ms == 0 || g->expires_ms > clock_wall_ms(); }

static bool token_covers(const struct rbac *r, const struct principal *who, enum permission p,
                         const struct scope_node *scope) {
    if (who->narrowed && !perm_has(&who->token_perms, p))
        return false;
    if (who->token_scope == NULL)
        return true;
    const struct scope_node *top = map_getz(&r->now->scopes, who->token_scope);
    return top && scope_within(scope, top);
}

static bool decide(const struct rbac *r, const struct principal *who, enum permission p, const struct scope_node *scope,
                   const struct grant **ret_by, const char **ret_why) {
    const struct user_node *u = user_of(r, who);
    *ret_by = NULL;
    *ret_why = "no role gives this permission here";
    if (u == NULL || !u->active) {
        *ret_why = "the user does not exist or is not active";
        return false;
    }
    bool allowed = false;
    for
        vec_each(g, &u->grants) {
            if (!live(g) || !perm_has(&g->role->perms, p) || !scope_within(scope, g->scope))
                continue;
            if (g->deny) {
                *ret_by = g;
                *ret_why = "a deny binding names it";
                return false;
            }
            if (!allowed)
                *ret_by = g;
            allowed = true;
        }
    if (allowed && !token_covers(r, who, p, scope)) {
        *ret_why = "the API token's scopes do not include it";
        *ret_by = NULL;
        return false;
    }
    return allowed;
}

bool rbac_check(struct rbac *r, struct arena *a, const struct principal *who, enum permission p, const char *scope_id,
                struct rbac_decision *ret) {
    const struct scope_node *scope = r->now ? map_getz(&r->now->scopes, scope_id ? scope_id : ROOT_SCOPE) : NULL;
    const struct grant *by = NULL;
    const char *why = "the scope does not exist";
    bool ok = who->kind == PRINCIPAL_SYSTEM || (scope && decide(r, who, p, scope, &by, &why));
    *ret = (struct rbac_decision){.allowed = ok, .reason = ok ? "allowed" : why};
    if (by) {
        ret->role = by->role->name;
        ret->scope_id = by->scope->id;
        ret->scope_name = by->scope->name;
    }
    if (a && by)
        ret->reason = arena_printf(a, "%s: role %s %s%s at %s %s", ok ? "allowed" : why, by->role->name,
                                   by->deny ? "(deny) " : "", by->via ? "through a team" : "given to the user",
                                   by->scope->kind, by->scope->name);
    else if (a && !ok && scope)
        ret->reason = arena_printf(a, "%s: %s at %s %s", why, permission_name(p), scope->kind, scope->name);
    return ok;
}

bool rbac_allowed(struct rbac *r, const struct principal *who, enum permission p, const char *scope_id) {
    struct rbac_decision d;
    return rbac_check(r, NULL, who, p, scope_id, &d);
}

bool rbac_knows(struct rbac *r, const char *scope_id) {
    return r->now && scope_id && map_getz(&r->now->scopes, scope_id) != NULL;
}

bool rbac_allowed_anywhere(struct rbac *r, const struct principal *who, enum permission p) {
    const struct user_node *u = user_of(r, who);
    if (who->kind == PRINCIPAL_SYSTEM)
        return true;
    const struct scope_node *limit = u && who->token_scope ? map_getz(&r->now->scopes, who->token_scope) : NULL;
    for (size_t i = 0; u && u->active && i < u->grants.n; i++) {
        const struct grant *g = &u->grants.v[i];
        if (g->deny || !live(g) || !perm_has(&g->role->perms, p))
            continue;
        /* A token for a subtree of what was granted can do it there. */
        const struct scope_node *at = limit && scope_within(limit, g->scope) ? limit : g->scope;
        if (rbac_allowed(r, who, p, at->id))
            return true;
    }
    return false;
}

static const char *scope_array(struct rbac *r, struct arena *a, const struct principal *who, enum permission p,
                               bool deny) {
    const struct user_node *u = user_of(r, who);
    if (who->kind == PRINCIPAL_SYSTEM)
        return deny ? "{}" : "{" ROOT_SCOPE "}";
    if (!deny && who->narrowed && !perm_has(&who->token_perms, p))
        return "{}";
    const struct scope_node *limit = who->token_scope ? map_getz(&r->now->scopes, who->token_scope) : NULL;
    if (who->token_scope && limit == NULL)
        return deny ? "{" ROOT_SCOPE "}" : "{}";
    const char *out = "";
    for (size_t i = 0; u && u->active && i < u->grants.n; i++) {
        const struct grant *g = &u->grants.v[i];
        if (g->deny != deny || !live(g) || !perm_has(&g->role->perms, p))
            continue;
        const struct scope_node *at = g->scope;
        if (!deny && limit) { /* the smaller of both subtrees */
            if (scope_within(limit, at))
                at = limit;
            else if (!scope_within(at, limit))
                continue;
        }
        out = arena_printf(a, "%s%s%s", out, *out ? "," : "", at->id);
    }
    return arena_printf(a, "{%s}", out);
}

const char *rbac_granted_scopes(struct rbac *r, struct arena *a, const struct principal *who, enum permission p) {
    return scope_array(r, a, who, p, false);
}

const char *rbac_denied_scopes(struct rbac *r, struct arena *a, const struct principal *who, enum permission p) {
    return scope_array(r, a, who, p, true);
}

static bool covers(struct rbac *r, const struct principal *who, const struct perm_set *set, const char *scope_id,
                   enum permission *ret_missing) {
    for (int p = 0; p < PERM_MAX; p++)
        if (perm_has(set, (enum permission)p) && !rbac_allowed(r, who, (enum permission)p, scope_id)) {
            *ret_missing = (enum permission)p;
            return false;
        }
    return true;
}

bool rbac_role_permissions(struct rbac *r, const char *role_id, struct perm_set *ret) {
    const struct role_node *role = r->now ? map_getz(&r->now->roles, role_id) : NULL;
    if (role)
        *ret = role->perms;
    return role != NULL;
}

bool rbac_covers_role(struct rbac *r, const struct principal *who, const char *role_id, const char *scope_id,
                      enum permission *ret_missing) {
    struct perm_set set;
    *ret_missing = PERM_MAX;
    if (!rbac_role_permissions(r, role_id, &set) || !map_has(&r->now->scopes, str_of(scope_id)))
        return false;
    return covers(r, who, &set, scope_id, ret_missing);
}

bool rbac_covers_user(struct rbac *r, const struct principal *who, const char *user_id, enum permission *ret_missing) {
    const struct user_node *u = r->now ? map_getz(&r->now->users, user_id) : NULL;
    *ret_missing = PERM_MAX;
    if (u == NULL)
        return false;
    for
        vec_each(g, &u->grants)
            if (!g->deny && live(g) && !covers(r, who, &g->role->perms, g->scope->id, ret_missing))
                return false;
    return true;
}

const char *rbac_scope_org(struct rbac *r, const char *scope_id) {
    const struct scope_node *s = r->now ? map_getz(&r->now->scopes, scope_id) : NULL;
    return s ? s->org_id : NULL;
}

bool rbac_scope_within(struct rbac *r, const char *scope_id, const char *top) {
    const struct scope_node *scope = r->now ? map_getz(&r->now->scopes, scope_id) : NULL,
                            *above = r->now ? map_getz(&r->now->scopes, top) : NULL;
    return scope && above && scope_within(scope, above);
}

struct perm_set rbac_permissions(struct rbac *r, const struct principal *who, const char *scope_id) {
    struct perm_set s = {{0}};
    for (int p = 0; p < PERM_MAX; p++)
        if (rbac_allowed(r, who, (enum permission)p, scope_id))
            perm_add(&s, (enum permission)p);
    return s;
}

static struct json *perm_names(struct arena *a, const struct perm_set *s) {
    struct json *names = json_array(a);
    for (int p = 0; p < PERM_MAX; p++)
        if (perm_has(s, (enum permission)p))
            json_push(a, names, json_string(a, permission_name((enum permission)p)));
    return names;
}

struct json *rbac_scopes_json(struct rbac *r, struct arena *a, const struct principal *who) {
    struct json *out = json_array(a);
    const struct user_node *u = user_of(r, who);
    struct map seen;
    map_init(&seen, a);
    for (size_t i = 0; u && i < u->grants.n; i++) {
        const struct scope_node *at = u->grants.v[i].scope;
        if (u->grants.v[i].deny || map_has(&seen, str_of(at->id)))
            continue;
        map_setz(&seen, at->id, NULL);
        struct perm_set set = rbac_permissions(r, who, at->id);
        struct json *j = json_object(a);
        json_set_str(a, j, "scopeId", at->id);
        json_set_str(a, j, "kind", at->kind);
        json_set_str(a, j, "name", at->name);
        json_set(a, j, "permissions", perm_names(a, &set));
        json_push(a, out, j);
    }
    return out;
}

struct json *rbac_who_can(struct rbac *r, struct arena *a, enum permission p, const char *scope_id) {
    struct json *out = json_array(a);
    for (struct map_entry *e = NULL; r->now && (e = map_next(&r->now->users, e));) {
        const struct user_node *u = e->value;
        struct principal who = {
            .kind = PRINCIPAL_USER, .user_id = u->id, .username = u->username, .user_epoch = u->epoch};
        struct rbac_decision d;
        if (!rbac_check(r, a, &who, p, scope_id, &d))
            continue;
        struct json *j = json_object(a);
        json_set_str(a, j, "userId", u->id);
        json_set_str(a, j, "username", u->username);
        json_set_str(a, j, "reason", d.reason);
        json_push(a, out, j);
    }
    return out;
}
