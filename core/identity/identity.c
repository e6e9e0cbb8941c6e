#include <stdlib.h>
#include "core/identity/internal.h"
#include "core/obs/log.h"

#define REVOKED_POLL_MS SECONDS(5)
#define REVOKED_OVERLAP_S 60 /* revoked_at is when the transaction began, not when it became visible */

struct identity *identity_new(struct pg *db, const struct keyring *keys, struct rbac *rbac,
                              const struct identity_conf *conf) {
    struct identity *id = calloc(1, sizeof(*id));
    CHECK(id != NULL);
    id->a = arena_new("identity", 0);
    id->db = db;
    id->keys = keys;
    id->rbac = rbac;
    id->conf = *conf;
    id->conf.issuer = arena_strdup(id->a, conf->issuer);
    id->conf.bootstrap_password = arena_strdup(id->a, conf->bootstrap_password);
    map_init(&id->revoked, NULL);
    map_init(&id->tokens, NULL);
    map_init(&id->access, NULL);
    cond_init(&id->wake);
    return id;
}

void identity_free(struct identity *id) {
    if (id == NULL)
        return;
    rbac_on_revoked(id->rbac, NULL, NULL);
    if (id->watcher) {
        fiber_cancel(id->watcher);
        if (fiber_on_fiber())
            err_ignore(fiber_join(id->watcher));
    }
    api_tokens_forget(id);
    map_done(&id->tokens);
    access_tokens_forget(id);
    map_done(&id->access);
    map_done(&id->revoked);
    mem_wipe(id->signing, sizeof(id->signing));
    arena_unref(id->a);
    free(id);
}

void identity_on_revoked(struct identity *id, void (*fn)(void *arg), void *arg) {
    id->on_revoked = fn;
    id->on_revoked_arg = arg;
}

static void tell(struct identity *id) {
    if (id->on_revoked)
        id->on_revoked(id->on_revoked_arg);
}

static void on_revoked(void *arg, const char *kind, const char *object) {
    struct identity *id = arg;
    if (z_eq(kind, "gap")) {
        id->gap = true;
        cond_signal(&id->wake);
        return;
    }
    revoked_add(id, object);
    if (!z_eq(kind, "session"))
        api_tokens_forget(id);
    tell(id);
}

/* What was revoked in the last `seconds`: nobody may have told us. */
static err_t load_revoked(struct identity *id, int64_t seconds) {
    AUTO(arena) a = arena_new("identity.revoked", 0);
    struct pg_result *r;
    err_t e = pg_rows(id->db, a, SQL_IDENTITY_REVOKED_RECENTLY, PG_ARGS(pg_int(seconds)), &r);
    if (e)
        return err_dup(arena_current(), e);
    bool tokens = false;
    for (size_t i = 0; i < r->rows; i++) {
        bool known = map_has(&id->revoked, str_of(pg_cell(r, i, 0)));
        tokens |= !known && z_eq(pg_cell(r, i, 1), "token");
        revoked_add(id, pg_cell(r, i, 0));
    }
    if (tokens)
        api_tokens_forget(id);
    return NULL;
}

static int64_t whole_window_s(const struct identity *id) { return id->conf.access_seconds + JWT_LEEWAY_S; }

/* Also looks at live streams again now and then: roles that are given for a time end without a notification. */
static err_t watch(void *arg) {
    struct identity *id = arg;
    uint64_t loaded_ms = clock_mono_ms();
    for (;;) {
        struct arena_mark mark = arena_mark(arena_current());
        err_t e = id->gap ? NULL : cond_wait(&id->wake, deadline_in(REVOKED_POLL_MS));
        if (e && e->code == ERR_CANCELLED)
            return NULL;
        uint64_t asked = clock_mono_ms();
        int64_t since_s = (int64_t)(asked - loaded_ms) / 1000 + REVOKED_OVERLAP_S;
        id->gap = false;
        e = load_revoked(id, since_s < whole_window_s(id) ? since_s : whole_window_s(id));
        if (e && e->code == ERR_CANCELLED)
            return NULL;
        if (e == NULL) {
            loaded_ms = asked;
            tell(id);
        } else {
            id->gap = true;
            TRY(fiber_sleep(500));
        }
        arena_rewind(arena_current(), mark);
    }
}

#define FIRST_USER "admin@localhost"
enum { FIRST_PASSWORD_LEN = 24 };

struct seed {
    struct identity *id;
    const char *name, *full_name, *role, *phc;
    bool must_change;
    int first_s; /* life of a random first password; 0 = for good */
};

static err_t seed_tx(struct pg *tx, void *arg) {
    struct seed *s = arg;
    struct arena *a = arena_current();
    const char *user = uuid7_new(a);
    TRY(pg_exec(tx, SQL_IDENTITY_USER_INSERT,
                PG_ARGS(pg_uuid(user), pg_text(s->name), pg_text(s->name), pg_text(s->full_name), pg_text(s->phc),
                        pg_bool(s->must_change), s->first_s ? pg_int(s->first_s) : PG_NULL),
                NULL));
    return pg_exec(tx, SQL_IDENTITY_BIND_ROLE,
                   PG_ARGS(pg_uuid(uuid7_new(a)), pg_uuid(user), pg_text(s->role), pg_uuid(ROOT_SCOPE)), NULL);
}

static err_t seed_user(struct identity *id, const char *name, const char *full_name, const char *role,
                       const char *password, bool must_change, int first_s) {
    char *phc;
    TRY(password_hash(arena_current(), id->keys, str_of(password), deadline_in(SECONDS(60)), &phc));
    struct seed s = {id, name, full_name, role, phc, must_change, first_s};
    err_t e = pg_tx(id->db, seed_tx, &s);
    return e && e->code == ERR_CONFLICT ? NULL : e; /* another instance was first */
}

/* Nobody came in time: as long as the first password was never changed, each start may give a new one. */
static err_t renew_first_password(struct identity *id, void (*announce)(const char *username, const char *password)) {
    struct arena *a = arena_current();
    struct pg_result *r;
    char random[FIRST_PASSWORD_LEN + 1], *phc;
    int64_t n;
    TRY(pg_rows(id->db, a, SQL_IDENTITY_FIRST_PASSWORD_OVER, PG_ARGS(pg_text(FIRST_USER)), &r));
    if (r->rows == 0)
        return NULL;
    random_base62(random, FIRST_PASSWORD_LEN);
    TRY(password_hash(a, id->keys, str_of(random), deadline_in(SECONDS(60)), &phc));
    TRY(pg_exec(id->db, SQL_IDENTITY_FIRST_PASSWORD_RENEW,
                PG_ARGS(pg_uuid(pg_cell(r, 0, 0)), pg_text(phc), pg_int(FIRST_PASSWORD_S)), &n));
    if (n == 1)
        TRY(pg_exec(id->db, SQL_USERS_REVOKE_SESSIONS, PG_ARGS(pg_uuid(pg_cell(r, 0, 0)), pg_text("password-changed")),
                    NULL));
    if (n == 1 && announce)
        announce(FIRST_USER, random);
    mem_wipe(random, sizeof(random));
    return NULL;
}

static err_t first_users(struct identity *id, void (*announce)(const char *username, const char *password)) {
    struct pg_result *r;
    TRY(pg_one(id->db, arena_current(), SQL_IDENTITY_USER_COUNT, PG_NOARGS, "count", &r));
    if (pg_cell_int(r, 0, 0, 0) > 0)
        return renew_first_password(id, announce);
    char random[FIRST_PASSWORD_LEN + 1];
    random_base62(random, FIRST_PASSWORD_LEN);
    const char *given =
        id->conf.bootstrap_password && *id->conf.bootstrap_password ? id->conf.bootstrap_password : NULL;
    TRY(seed_user(id, FIRST_USER, "Administrator", "owner", given ? given : random, true,
                  given ? 0 : FIRST_PASSWORD_S));
    if (given == NULL && announce)
        announce(FIRST_USER, random);
    mem_wipe(random, sizeof(random));
    if (!id->conf.dev_mode)
        return NULL;
    TRY(seed_user(id, "operator@localhost", "Demo operator", "operator", "operator123-demo", false, 0));
    return seed_user(id, "viewer@localhost", "Demo viewer", "viewer", "viewer123-demo", false, 0);
}

err_t identity_start(struct identity *id, void (*announce)(const char *username, const char *password)) {
    TRY(keys_load(id));
    TRY(first_users(id, announce));
    rbac_on_revoked(id->rbac, on_revoked, id);
    TRY(load_revoked(id, whole_window_s(id)));
    TRY(rbac_refresh(id->rbac));
    id->watcher = fiber_spawn("identity.watch", NULL, watch, id);
    return NULL;
}
