#include <stdlib.h>
#include "core/identity/internal.h"
#include "core/obs/log.h"

struct identity *identity_new(struct pg *db, const struct keyring *keys, struct rbac *rbac, const struct identity_conf *conf) {
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
    return id;
}

void identity_free(struct identity *id) {
    if (id == NULL)
        return;
    rbac_on_revoked(id->rbac, NULL, NULL);
    api_tokens_forget(id);
    map_done(&id->tokens);
    map_done(&id->revoked);
    mem_wipe(id->signing, sizeof(id->signing));
    arena_unref(id->a);
    free(id);
}

void identity_on_revoked(struct identity *id, void (*fn)(void *arg), void *arg) {
    id->on_revoked = fn;
    id->on_revoked_arg = arg;
}

static void on_revoked(void *arg, const char *kind, const char *object) {
    struct identity *id = arg;
    if (z_eq(kind, "session"))
        revoked_add(id, object);
    else
        api_tokens_forget(id);
    if (id->on_revoked)
        id->on_revoked(id->on_revoked_arg);
}

/* What was revoked while nobody here listened. */
static err_t load_revoked(struct identity *id) {
    struct pg_result *r;
    TRY(pg_rows(id->db, arena_current(), SQL_IDENTITY_SESSIONS_REVOKED_RECENTLY, PG_ARGS(pg_int(id->conf.access_seconds + JWT_LEEWAY_S)), &r));
    for (size_t i = 0; i < r->rows; i++)
        revoked_add(id, pg_cell(r, i, 0));
    return NULL;
}

struct seed {
    struct identity *id;
    const char *name, *full_name, *role, *phc;
    bool must_change;
};

static err_t seed_tx(struct pg *tx, void *arg) {
    struct seed *s = arg;
    struct arena *a = arena_current();
    const char *user = uuid7_new(a);
    TRY(pg_exec(tx, SQL_IDENTITY_USER_INSERT,
                PG_ARGS(pg_uuid(user), pg_text(s->name), pg_text(s->name), pg_text(s->full_name), pg_text(s->phc), pg_bool(s->must_change)), NULL));
    return pg_exec(tx, SQL_IDENTITY_BIND_ROLE, PG_ARGS(pg_uuid(uuid7_new(a)), pg_uuid(user), pg_text(s->role), pg_uuid(ROOT_SCOPE)), NULL);
}

static err_t seed_user(struct identity *id, const char *name, const char *full_name, const char *role, const char *password, bool must_change) {
    char *phc;
    TRY(password_hash(arena_current(), id->keys, str_of(password), deadline_in(SECONDS(60)), &phc));
    struct seed s = {id, name, full_name, role, phc, must_change};
    err_t e = pg_tx(id->db, seed_tx, &s);
    return e && e->code == ERR_CONFLICT ? NULL : e; /* another instance was first */
}

static err_t first_users(struct identity *id, void (*announce)(const char *username, const char *password)) {
    struct pg_result *r;
    TRY(pg_one(id->db, arena_current(), SQL_IDENTITY_USER_COUNT, PG_NOARGS, "count", &r));
    if (pg_cell_int(r, 0, 0, 0) > 0)
        return NULL;
    char random[25];
    random_base62(random, 24);
    const char *given = id->conf.bootstrap_password && *id->conf.bootstrap_password ? id->conf.bootstrap_password : NULL;
    TRY(seed_user(id, "admin@localhost", "Administrator", "owner", given ? given : random, true));
    if (given == NULL && announce)
        announce("admin@localhost", random);
    mem_wipe(random, sizeof(random));
    if (!id->conf.dev_mode)
        return NULL;
    TRY(seed_user(id, "operator@localhost", "Demo operator", "operator", "operator123-demo", false));
    return seed_user(id, "viewer@localhost", "Demo viewer", "viewer", "viewer123-demo", false);
}

err_t identity_start(struct identity *id, void (*announce)(const char *username, const char *password)) {
    TRY(keys_load(id));
    TRY(first_users(id, announce));
    rbac_on_revoked(id->rbac, on_revoked, id);
    TRY(load_revoked(id));
    return rbac_refresh(id->rbac);
}
