/* Decisions on a real database: scopes, roles, teams, deny, expiry, narrowed tokens; and that a change arrives by itself. */
#include "core/base/id.h"
#include "core/pg/migrate.h"
#include "core/rbac/rbac.h"
#include "tests/unit/async/async_test.h"
#include "tests/unit/pg/pg_lab.h"

#define ORG "00000000-0000-7000-8000-0000000000a1"
#define PROJECT "00000000-0000-7000-8000-0000000000a2"
#define FOLDER "00000000-0000-7000-8000-0000000000a3"
#define TEAM "00000000-0000-7000-8000-0000000000a4"
#define OTHER "00000000-0000-7000-8000-0000000000b1"
#define ALICE "00000000-0000-7000-8000-0000000000c1"
#define BOB "00000000-0000-7000-8000-0000000000c2"

static struct pg_conf conf;
static struct pg *db;
static struct rbac *rbac;
static unsigned changes, revoked;

static void sql(const char *text) {
    struct pg_result *r;
    OK(pg_query(db, arena_current(), text, PG_NOARGS, &r));
}

static void user(const char *id, const char *name) {
    sql(arena_printf(arena_current(), "INSERT INTO users (id, username, email) VALUES ('%s', '%s', '%s@x')", id, name,
                     name));
}

static void bind(const char *kind, const char *subject, const char *role, const char *scope, const char *effect) {
    sql(arena_printf(arena_current(),
                     "INSERT INTO role_bindings (subject_kind, subject_id, role_id, scope_id, effect) "
                     "SELECT '%s', '%s', id, '%s', '%s' FROM roles WHERE name = '%s'",
                     kind, subject, scope, effect, role));
    OK(rbac_refresh(rbac));
}

static void unbind_all(void) {
    sql("DELETE FROM role_bindings");
    OK(rbac_refresh(rbac));
}

static struct principal who(const char *id) {
    return (struct principal){.kind = PRINCIPAL_USER, .user_id = id, .user_epoch = 1};
}

static bool can(const char *id, enum permission p, const char *scope) {
    struct principal u = who(id);
    return rbac_allowed(rbac, &u, p, scope);
}

static void on_change(void *arg) {
    (void)arg;
    changes++;
}
static void on_revoked(void *arg, const char *kind, const char *id) {
    (void)arg;
    if (z_eq(kind, "gap"))
        return;
    CHECK(z_eq(kind, "session") || z_eq(kind, "token"));
    CHECK(uuid_valid(str_of(id)));
    revoked++;
}

static void up(void) {
    int n;
    db = pg_new(&conf);
    OK(pg_wait_ready(db, deadline_in(SECONDS(20))));
    OK(pg_migrate(db, &n));
    rbac = rbac_new(db, &conf);
    OK(rbac_start(rbac));
    rbac_on_change(rbac, on_change, NULL);
    rbac_on_revoked(rbac, on_revoked, NULL);
}

static void down(void) {
    rbac_free(rbac);
    pg_free(db);
}

TEST(tree) {
    up();
    sql("INSERT INTO organizations (id, name) VALUES ('" ORG "', 'org'), ('" OTHER "', 'other')");
    sql("INSERT INTO projects (id, org_id, name) VALUES ('" PROJECT "', '" ORG "', 'project')");
    sql("INSERT INTO folders (id, scope_id, name) VALUES ('" FOLDER "', '" PROJECT "', 'folder')");
    sql("INSERT INTO teams (id, org_id, name) VALUES ('" TEAM "', '" ORG "', 'team')");
    user(ALICE, "alice");
    user(BOB, "bob");
    OK(rbac_refresh(rbac));
    CHECK(!can(ALICE, PERM_PROJECT_READ, ORG));
    bind("user", ALICE, "viewer", PROJECT, "allow");
    CHECK(can(ALICE, PERM_PROJECT_READ, PROJECT) && can(ALICE, PERM_PROJECT_READ, FOLDER));
    CHECK(!can(ALICE, PERM_PROJECT_READ, ORG) && !can(ALICE, PERM_PROJECT_READ, OTHER) &&
          !can(ALICE, PERM_PROJECT_READ, ROOT_SCOPE));
    CHECK(!can(ALICE, PERM_APPLICATION_DELETE, PROJECT) && !can(BOB, PERM_PROJECT_READ, PROJECT));
    CHECK(!can(ALICE, PERM_PROJECT_READ, "00000000-0000-7000-8000-00000000dead"));
    CHECK(!can("00000000-0000-7000-8000-00000000dead", PERM_PROJECT_READ, PROJECT));
    CHECK(rbac_allowed(rbac, &PRINCIPAL_DOCKFLOW, PERM_USER_DELETE, ROOT_SCOPE));
    CHECK(!rbac_allowed(rbac, &PRINCIPAL_NOBODY, PERM_PROJECT_READ, PROJECT));
    CHECK(z_eq(rbac_scope_org(rbac, FOLDER), ORG) && z_eq(rbac_scope_org(rbac, ROOT_SCOPE), "") &&
          rbac_scope_org(rbac, ALICE) == NULL);
    down();
    return NULL;
}

TEST(deny_and_reason) {
    up();
    struct rbac_decision d;
    struct principal a = who(ALICE);
    unbind_all();
    bind("user", ALICE, "developer", ORG, "allow");
    bind("user", ALICE, "viewer", PROJECT, "deny");
    CHECK(can(ALICE, PERM_APPLICATION_READ, ORG) && !can(ALICE, PERM_APPLICATION_READ, FOLDER) &&
          can(ALICE, PERM_APPLICATION_SYNC, FOLDER));
    CHECK(!rbac_check(rbac, arena_current(), &a, PERM_APPLICATION_READ, FOLDER, &d) && strstr(d.reason, "deny") &&
          strstr(d.reason, "viewer"));
    CHECK(rbac_check(rbac, arena_current(), &a, PERM_APPLICATION_SYNC, FOLDER, &d) && z_eq(d.role, "developer") &&
          z_eq(d.scope_id, ORG));
    CHECK(!rbac_check(rbac, arena_current(), &a, PERM_USER_DELETE, FOLDER, &d) && strstr(d.reason, "user:delete") &&
          strstr(d.reason, "folder"));
    CHECK(z_eq(rbac_granted_scopes(rbac, arena_current(), &a, PERM_APPLICATION_READ), "{" ORG "}"));
    CHECK(z_eq(rbac_denied_scopes(rbac, arena_current(), &a, PERM_APPLICATION_READ), "{" PROJECT "}"));
    CHECK(z_eq(rbac_denied_scopes(rbac, arena_current(), &a, PERM_APPLICATION_SYNC), "{}"));
    sql("UPDATE role_bindings SET expires_at = now() + interval '300 ms' WHERE effect = 'deny'");
    OK(rbac_refresh(rbac));
    CHECK(!can(ALICE, PERM_APPLICATION_READ, FOLDER));
    OK(fiber_sleep(400));
    CHECK(can(ALICE, PERM_APPLICATION_READ, FOLDER)); /* without a reload */
    down();
    return NULL;
}

TEST(teams_and_roles) {
    up();
    unbind_all();
    sql("INSERT INTO roles (id, name, type, permissions) VALUES ('" ALICE
        "', 'base', 'custom', '[\"node:read\", \"no:such\"]')");
    sql("INSERT INTO roles (id, name, type, permissions, inherited_roles) VALUES ('" BOB
        "', 'above', 'composite', '[\"node:use\"]', '{" ALICE "}')");
    bind("team", TEAM, "above", ORG, "allow");
    CHECK(!can(BOB, PERM_NODE_READ, PROJECT));
    sql("INSERT INTO team_members (team_id, user_id) VALUES ('" TEAM "', '" BOB "')");
    OK(rbac_refresh(rbac));
    CHECK(can(BOB, PERM_NODE_READ, PROJECT) && can(BOB, PERM_NODE_USE, PROJECT) &&
          !can(BOB, PERM_NODE_DELETE, PROJECT));
    sql("UPDATE roles SET permissions = '[]' WHERE name = 'base'");
    OK(rbac_refresh(rbac));
    CHECK(!can(BOB, PERM_NODE_READ, PROJECT) && can(BOB, PERM_NODE_USE, PROJECT));
    sql("UPDATE users SET is_active = false WHERE id = '" BOB "'");
    OK(rbac_refresh(rbac));
    CHECK(!can(BOB, PERM_NODE_USE, PROJECT));
    struct principal b = who(BOB);
    CHECK(!rbac_user_current(rbac, &b));
    sql("UPDATE users SET is_active = true, authz_epoch = 2 WHERE id = '" BOB "'");
    OK(rbac_refresh(rbac));
    CHECK(!rbac_user_current(rbac, &b)); /* older credentials stay dead */
    b.user_epoch = 2;
    CHECK(rbac_user_current(rbac, &b));
    down();
    return NULL;
}

TEST(covering) {
    up();
    unbind_all();
    enum permission missing;
    struct principal a = who(ALICE);
    struct pg_result *r;
    OK(pg_query(db, arena_current(), "SELECT id FROM roles WHERE name IN ('admin', 'viewer') ORDER BY name", PG_NOARGS,
                &r));
    const char *admin = pg_cell(r, 0, 0), *viewer = pg_cell(r, 1, 0);
    bind("user", ALICE, "developer", ORG, "allow");
    bind("user", BOB, "viewer", PROJECT, "allow");
    CHECK(rbac_covers_role(rbac, &a, viewer, PROJECT, &missing) && rbac_covers_role(rbac, &a, viewer, ORG, &missing));
    CHECK(!rbac_covers_role(rbac, &a, viewer, OTHER, &missing) && missing != PERM_MAX);
    CHECK(!rbac_covers_role(rbac, &a, admin, PROJECT, &missing) && missing != PERM_MAX);
    CHECK(!rbac_covers_role(rbac, &a, ALICE "x", PROJECT, &missing) && missing == PERM_MAX);
    CHECK(rbac_covers_user(rbac, &a, BOB, &missing));
    bind("user", BOB, "viewer", OTHER, "allow");
    CHECK(!rbac_covers_user(rbac, &a, BOB, &missing));
    down();
    return NULL;
}

TEST(narrowed_tokens) {
    up();
    unbind_all();
    bind("user", ALICE, "developer", ROOT_SCOPE, "allow");
    struct principal t = who(ALICE);
    t.token_id = ALICE;
    t.narrowed = true;
    perm_add(&t.token_perms, PERM_APPLICATION_READ);
    CHECK(rbac_allowed(rbac, &t, PERM_APPLICATION_READ, OTHER) &&
          !rbac_allowed(rbac, &t, PERM_APPLICATION_SYNC, OTHER));
    CHECK(z_eq(rbac_granted_scopes(rbac, arena_current(), &t, PERM_APPLICATION_SYNC), "{}"));
    t.narrowed = false;
    t.token_scope = PROJECT;
    CHECK(rbac_allowed(rbac, &t, PERM_APPLICATION_SYNC, FOLDER) && !rbac_allowed(rbac, &t, PERM_APPLICATION_SYNC, ORG));
    CHECK(rbac_allowed_anywhere(rbac, &t, PERM_APPLICATION_SYNC) && !rbac_allowed_anywhere(rbac, &t, PERM_USER_DELETE));
    CHECK(z_eq(rbac_granted_scopes(rbac, arena_current(), &t, PERM_APPLICATION_SYNC), "{" PROJECT "}"));
    t.token_scope = "00000000-0000-7000-8000-00000000dead"; /* its scope was deleted: it can do nothing */
    CHECK(!rbac_allowed(rbac, &t, PERM_APPLICATION_SYNC, PROJECT) &&
          !rbac_allowed_anywhere(rbac, &t, PERM_APPLICATION_SYNC));
    CHECK(z_eq(rbac_granted_scopes(rbac, arena_current(), &t, PERM_APPLICATION_SYNC), "{}"));
    down();
    return NULL;
}

/* Another process changes something: nobody here calls rbac_refresh. */
TEST(changes_arrive) {
    up();
    unbind_all();
    unsigned before = changes;
    uint64_t began = clock_mono_ms();
    pg_lab_psql_at(conf.url,
                   "INSERT INTO role_bindings (subject_kind, subject_id, role_id, scope_id) SELECT 'user', '" ALICE
                   "', id, '" ORG "' FROM roles WHERE name = 'viewer'");
    while (!can(ALICE, PERM_PROJECT_READ, FOLDER) && clock_mono_ms() - began < 1500)
        OK(fiber_sleep(10));
    CHECK(can(ALICE, PERM_PROJECT_READ, FOLDER) && changes > before);
    unsigned told = revoked;
    pg_lab_psql_at(
        conf.url,
        "INSERT INTO sessions (user_id, family, refresh_hash, idle_expires_at, absolute_expires_at) VALUES ('" ALICE
        "', '" BOB "', 'x', now(), now()); UPDATE sessions SET revoked_at = now(); DELETE FROM sessions");
    for (int i = 0; i < 100 && revoked == told; i++)
        OK(fiber_sleep(10));
    CHECK(revoked > told);
    down();
    return NULL;
}

/* Without the database the picture ages; with it back it is current again, without a restart. */
TEST(database_away) {
    up();
    CHECK(rbac_age_ms(rbac) < 2000);
    pg_lab_halt(3 /* SIGQUIT */);
    OK(fiber_sleep(2500));
    CHECK(rbac_age_ms(rbac) > 2000);
    pg_lab_resume();
    for (int i = 0; i < 1500 && rbac_age_ms(rbac) > 1500; i++)
        OK(fiber_sleep(10));
    CHECK(rbac_age_ms(rbac) < 1500);
    down();
    return NULL;
}

int main(void) {
    pg_lab_start();
    conf = (struct pg_conf){.url = pg_lab_database("rbac"), .pool_size = 4};
    const struct CMUnitTest tests[] = {LOOP_TEST(tree),         LOOP_TEST(deny_and_reason), LOOP_TEST(teams_and_roles),
                                       LOOP_TEST(covering),     LOOP_TEST(narrowed_tokens), LOOP_TEST(changes_arrive),
                                       LOOP_TEST(database_away)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
