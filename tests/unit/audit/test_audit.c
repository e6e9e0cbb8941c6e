/* The audit chain on a real server: gapless under concurrency, and every kind of tampering is found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "core/async/fiber.h"
#include "core/async/loop.h"
#include "core/async/wait.h"
#include "core/audit/audit.h"
#include "core/base/sha256.h"
#include "core/pg/migrate.h"
#include "tests/unit/pg/pg_lab.h"

#define ORG "11111111-1111-7111-8111-1111111111Aa"
static struct pg_conf conf;
static struct pg *db;

static void must(err_t e) {
    if (e != NULL)
        fail_msg("%s %s", err_code_symbol(e->code), err_chain(arena_current(), e));
}

static err_t setup_body(void *arg) {
    (void)arg;
    int n;
    db = pg_new(&conf);
    return pg_migrate(db, &n);
}
static err_t teardown_body(void *arg) {
    (void)arg;
    pg_free(db);
    return NULL;
}

/* Values whose text changes on the way through the database. */
static const struct audit_entry odd = {
    .org_id = ORG,
    .user_id = "ABCDEF01-1111-7111-8111-111111111111",
    .actor_name = "bob \"x\" \xc3\xa4",
    .action = "application.update",
    .resource_type = "application",
    .resource_id = "r",
    .details = "{ \"b\": 1.50, \"a\": [1e3, 12345678901234567890, null, true], \"a\\u00e4\": \"\\ud83d\\ude00\" }",
    .before = "{\"x\": {\"y\": []}}",
    .after = "[]",
    .ip_address = "2001:DB8:0:0::1",
    .user_agent = "agent",
    .request_id = "req-1",
};

static struct latch done;
static err_t rolled_back(struct pg *tx, void *arg) {
    (void)arg;
    TRY(audit_write(tx, &odd, NULL));
    return err_new(ERR_CONFLICT, "no");
}
static err_t writer(void *arg) {
    (void)arg;
    for (int i = 0; i < 5; i++) {
        must(audit_write_alone(db, &odd));
        assert_true(err_is(pg_tx(db, rolled_back, NULL), ERR_CONFLICT));
    }
    latch_down(&done);
    return NULL;
}

static struct audit_report verify(const char *org) {
    struct audit_report rep;
    must(audit_verify(db, org, &rep));
    return rep;
}

static err_t chain_body(void *arg) {
    (void)arg;
    assert_int_equal(verify(ORG).checked, 0);
    latch_init(&done, 12);
    for (int i = 0; i < 12; i++)
        fiber_spawn_detached("writer", NULL, writer, NULL);
    must(latch_wait(&done, deadline_in(20000)));
    latch_done(&done);
    must(audit_write_alone(
        db, &(struct audit_entry){.action = "auth.login", .outcome = "failure", .actor_kind = "anonymous"}));
    struct audit_report rep = verify(ORG);
    if (rep.first_bad != 0)
        fail_msg("%lld: %s", (long long)rep.first_bad, rep.reason);
    assert_int_equal(rep.checked, 60);
    assert_int_equal(rep.unsigned_rows, 60);
    assert_int_equal(verify(NULL).checked, 1);
    assert_int_equal(verify(NULL).first_bad, 0);
    /* Large documents are replaced, broken ones refused. */
    char *big = arena_alloc(arena_current(), 80001, 1);
    memset(big, 'x', 80000);
    big[0] = big[79999] = '"';
    big[80000] = '\0';
    must(audit_write_alone(db, &(struct audit_entry){.org_id = ORG, .action = "a.b", .details = big}));
    assert_true(err_is(audit_write_alone(db, &(struct audit_entry){.org_id = ORG, .action = "a.b", .details = "{"}),
                       ERR_INVALID));
    assert_true(err_is(audit_write_alone(db, &(struct audit_entry){.org_id = ORG, .action = "nodot"}), ERR_INVALID));
    assert_int_equal(verify(ORG).checked, 61);
    struct pg_result *r;
    assert_true(err_is(pg_query(db, arena_current(), "DELETE FROM audit_logs", PG_NOARGS, &r), ERR_DB));
    return NULL;
}

static void tamper(const char *sql) {
    char *all = arena_printf(
        arena_current(), "ALTER TABLE audit_logs DISABLE TRIGGER USER; %s; ALTER TABLE audit_logs ENABLE TRIGGER USER",
        sql);
    pg_lab_psql_at(conf.url, all);
}
#define EDIT(what, n) "UPDATE audit_logs SET " what " WHERE seq = " #n " AND org_id IS NOT NULL"
#define CUT(which)                                                                                                     \
    "CREATE TABLE kept AS SELECT * FROM audit_logs WHERE " which " AND org_id IS NOT NULL; "                           \
    "DELETE FROM audit_logs WHERE " which " AND org_id IS NOT NULL"
#define RESTORE "INSERT INTO audit_logs SELECT * FROM kept; DROP TABLE kept"
#define SWAP EDIT("seq = 1000", 3) ";" EDIT("seq = 3", 4) ";" EDIT("seq = 4", 1000)
static err_t tamper_body(void *arg) {
    (void)arg;
    static const struct {
        const char *edit, *undo;
        int64_t bad;
    } cases[] = {
        {EDIT("actor_name = 'eve'", 7), EDIT("actor_name = 'bob \"x\" \u00e4'", 7), 7},
        {EDIT("details = jsonb_set(details, '{b}', '1.5')", 9), EDIT("details = jsonb_set(details, '{b}', '1.50')", 9),
         9},
        {EDIT("created_at = created_at + interval '1 microsecond'", 1),
         EDIT("created_at = created_at - interval '1 microsecond'", 1), 1},
        {CUT("seq = 30"), RESTORE, 30},
        {CUT("seq > 50"), RESTORE, 51},
        {SWAP, SWAP, 3},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        tamper(cases[i].edit);
        struct audit_report rep = verify(ORG);
        if (rep.first_bad != cases[i].bad)
            fail_msg("%s: found %lld (%s)", cases[i].edit, (long long)rep.first_bad,
                     rep.reason != NULL ? rep.reason : "");
        tamper(cases[i].undo);
        assert_int_equal(verify(ORG).first_bad, 0);
    }
    return NULL;
}

static bool mac(void *arg, const uint8_t hash[32], uint8_t out[32], char key_id[65]) {
    struct sha256 s;
    sha256_init(&s);
    sha256_update(&s, arg, strlen(arg));
    sha256_update(&s, hash, 32);
    sha256_final(&s, out);
    snprintf(key_id, 65, "k1");
    return true;
}
static bool check(void *arg, const char *key_id, const uint8_t hash[32], const uint8_t have[32]) {
    uint8_t want[32];
    char id[65];
    mac(arg, hash, want, id);
    return strcmp(id, key_id) == 0 && memcmp(want, have, 32) == 0;
}
static err_t mac_body(void *arg) {
    (void)arg;
    static char key[] = "secret", other[] = "other";
    audit_set_mac(&(struct audit_mac_ops){mac, check, key});
    must(audit_write_alone(db, &odd));
    struct audit_report rep = verify(ORG);
    assert_int_equal(rep.first_bad, 0);
    assert_int_equal(rep.unsigned_rows, 61);
    audit_set_mac(&(struct audit_mac_ops){mac, check, other});
    assert_int_equal(verify(ORG).first_bad, 62);
    audit_set_mac(NULL);
    return NULL;
}

#define TEST_OF(name)                                                                                                  \
    static void test_##name(void **state) {                                                                            \
        (void)state;                                                                                                   \
        must(loop_run_fiber("test", name##_body, NULL));                                                               \
    }
TEST_OF(chain)
TEST_OF(tamper)
TEST_OF(mac)

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_chain), cmocka_unit_test(test_tamper),
                                       cmocka_unit_test(test_mac)};
    pg_lab_start();
    conf = (struct pg_conf){.url = pg_lab_database("audit"), .pool_size = 4};
    loop_init();
    err_ignore(loop_run_fiber("setup", setup_body, NULL));
    int n = cmocka_run_group_tests(tests, NULL, NULL);
    err_ignore(loop_run_fiber("teardown", teardown_body, NULL));
    loop_fini();
    return n;
}
