/* Migrations: from nothing, again, by several starters at once, refused when something does not fit; and the rules of
 * the schema that live in triggers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "core/async/fiber.h"
#include "core/async/loop.h"
#include "core/pg/migrate.h"
#include "tests/unit/pg/pg_lab.h"

static const char *url;

static void must(err_t e) {
    if (e != NULL)
        fail_msg("%s %s", err_code_symbol(e->code), err_chain(arena_current(), e));
}

static err_t migrate_once(void *ret) {
    struct pg *db = pg_new(&(struct pg_conf){.url = url, .pool_size = 1});
    int n = -1;
    err_t e = pg_migrate(db, &n);
    pg_free(db);
    if (ret != NULL)
        *(int *)ret = n;
    return e;
}

static err_t twice(void *arg) {
    (void)arg;
    int n;
    must(migrate_once(&n));
    assert_int_equal(n, pg_migrate_target());
    must(migrate_once(&n));
    assert_int_equal(n, 0);
    return NULL;
}
static void test_twice(void **state) {
    (void)state;
    url = pg_lab_database("m_twice");
    must(loop_run_fiber("t", twice, NULL));
}

static err_t starters(void *arg) {
    (void)arg;
    int n[4] = {0};
    struct fiber *f[4];
    for (int i = 0; i < 4; i++)
        f[i] = fiber_spawn("starter", NULL, migrate_once, &n[i]);
    int sum = 0;
    for (int i = 0; i < 4; i++) {
        must(fiber_join(f[i]));
        sum += n[i];
    }
    assert_int_equal(sum, pg_migrate_target());
    return NULL;
}
static void test_starters(void **state) {
    (void)state;
    url = pg_lab_database("m_starters");
    must(loop_run_fiber("t", starters, NULL));
}

static err_t misfits(void *arg) {
    (void)arg;
    must(migrate_once(NULL));
    pg_lab_psql_at(url, "UPDATE schema_migrations SET sha256 = repeat('0', 64) WHERE number = 1");
    assert_true(err_is(migrate_once(NULL), ERR_CONFLICT));
    pg_lab_psql_at(url,
                   "DELETE FROM schema_migrations; INSERT INTO schema_migrations VALUES (9999, 'x', repeat('0', 64))");
    assert_true(err_is(migrate_once(NULL), ERR_PRECONDITION));
    /* One that fails leaves nothing behind and is tried again. */
    pg_lab_psql_at(url, "SET client_min_messages = warning; DROP SCHEMA public CASCADE; CREATE SCHEMA public; "
                        "CREATE TABLE jobs (x integer)");
    assert_true(err_is(migrate_once(NULL), ERR_DB));
    assert_string_equal(pg_lab_psql_at(url, "SELECT max(number) FROM schema_migrations"), "1");
    assert_string_equal(pg_lab_psql_at(url, "SELECT to_regclass('job_fence_seq') IS NULL"), "t");
    pg_lab_psql_at(url, "DROP TABLE jobs");
    int n;
    must(migrate_once(&n));
    assert_int_equal(n, pg_migrate_target() - 1);
    return NULL;
}
static void test_misfits(void **state) {
    (void)state;
    url = pg_lab_database("m_misfits");
    must(loop_run_fiber("t", misfits, NULL));
}

#define ORG "11111111-1111-7111-8111-111111111111"
#define TEAM "22222222-1111-7111-8111-111111111111"
#define PROJECT "33333333-1111-7111-8111-111111111111"
#define FOLDER "44444444-1111-7111-8111-111111111111"
#define APP "55555555-1111-7111-8111-111111111111"
#define USER_ID "66666666-1111-7111-8111-111111111111"
#define ROLE "77777777-1111-7111-8111-111111111111"
#define ROOT "00000000-0000-7000-8000-000000000000"

static err_t schema(void *arg) {
    (void)arg;
    must(migrate_once(NULL));
    struct pg *db = pg_new(&(struct pg_conf){.url = url, .pool_size = 1});
    static const struct {
        const char *sql;
        enum err_code want; /* ERR_CODE_MAX: works */
    } steps[] = {
        {"INSERT INTO organizations (id, name) VALUES ('" ORG "', 'acme')", ERR_CODE_MAX},
        {"INSERT INTO organizations (name) VALUES ('acme')", ERR_CONFLICT},
        {"INSERT INTO organizations (name) VALUES ('Bad Name')", ERR_INVALID},
        {"INSERT INTO teams (id, org_id, name) VALUES ('" TEAM "', '" ORG "', 'core')", ERR_CODE_MAX},
        {"INSERT INTO projects (id, org_id, name) VALUES ('" PROJECT "', '" ORG "', 'shop')", ERR_CODE_MAX},
        {"INSERT INTO folders (id, scope_id, name) VALUES ('" FOLDER "', '" PROJECT "', 'web')", ERR_CODE_MAX},
        {"INSERT INTO folders (scope_id, name) VALUES ('" TEAM "', 'web')", ERR_INVALID},
        {"INSERT INTO applications (id, scope_id, name, project_name) VALUES ('" APP "', '" FOLDER
         "', 'front', 'front')",
         ERR_CODE_MAX},
        {"UPDATE projects SET team_id = '" TEAM "'", ERR_CODE_MAX},
        {"SELECT 1 / (SELECT (cardinality(path) = 6 AND path[3] = '" TEAM "')::integer FROM scopes WHERE id = '" APP
         "')",
         ERR_CODE_MAX},
        {"UPDATE folders SET scope_id = id", ERR_INVALID},
        {"UPDATE applications SET desired_commit = 'abc'", ERR_CODE_MAX},
        {"SELECT 1 / (SELECT (version = 1 AND status_version = 2)::integer FROM applications)", ERR_CODE_MAX},
        {"UPDATE applications SET path = 'x'", ERR_CODE_MAX},
        {"SELECT 1 / (SELECT (version = 2 AND status_version = 3)::integer FROM applications)", ERR_CODE_MAX},
        {"INSERT INTO users (id, username, email) VALUES ('" USER_ID "', 'bob', 'b@x')", ERR_CODE_MAX},
        {"INSERT INTO users (username, email) VALUES ('BOB', 'c@x')", ERR_CONFLICT},
        {"INSERT INTO roles (id, name, type) VALUES ('" ROLE "', 'r-one', 'fine-grained')", ERR_CODE_MAX},
        {"UPDATE roles SET inherited_roles = ARRAY[id]", ERR_CONFLICT},
        {"UPDATE roles SET inherited_roles = ARRAY['" ORG "'::uuid]", ERR_CONFLICT},
        {"INSERT INTO role_bindings (subject_kind, subject_id, role_id, scope_id) VALUES ('user', '" USER_ID "', '" ROLE
         "', '" ROOT "')",
         ERR_CODE_MAX},
        {"INSERT INTO role_bindings (subject_kind, subject_id, role_id, scope_id) VALUES ('user', '" ORG "', '" ROLE
         "', '" ROOT "')",
         ERR_CONFLICT},
        {"SELECT 1 / (SELECT count(*) FROM user_roles WHERE role_id = '" ROLE "')", ERR_CODE_MAX},
        {"DELETE FROM users", ERR_CODE_MAX},
        {"SELECT 1 / (1 - (SELECT count(*) FROM role_bindings))", ERR_CODE_MAX},
        {"DELETE FROM organizations", ERR_CONFLICT},
        {"DELETE FROM applications", ERR_CODE_MAX},
        {"DELETE FROM folders", ERR_CODE_MAX},
        {"DELETE FROM projects", ERR_CODE_MAX},
        {"DELETE FROM teams", ERR_CODE_MAX},
        {"DELETE FROM organizations", ERR_CODE_MAX},
        {"SELECT 1 / (2 - (SELECT count(*) FROM scopes))", ERR_CODE_MAX},
    };
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct pg_result *r;
        err_t e = pg_query(db, arena_current(), steps[i].sql, PG_NOARGS, &r);
        enum err_code got = e == NULL ? ERR_CODE_MAX : e->code;
        if (got != steps[i].want)
            fail_msg("%s: %s", steps[i].sql, e == NULL ? "no error" : err_chain(arena_current(), e));
    }
    pg_free(db);
    return NULL;
}
static void test_schema(void **state) {
    (void)state;
    url = pg_lab_database("m_schema");
    must(loop_run_fiber("t", schema, NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_twice),
        cmocka_unit_test(test_starters),
        cmocka_unit_test(test_misfits),
        cmocka_unit_test(test_schema),
    };
    pg_lab_start();
    loop_init();
    int n = cmocka_run_group_tests(tests, NULL, NULL);
    loop_fini();
    return n;
}
