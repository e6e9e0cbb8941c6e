/* Accounts on a real database: first start, login, refresh, tokens, tickets, and how they end. */
#include <time.h>
#include "core/base/id.h"
#include "core/identity/identity.h"
#include "core/pg/migrate.h"
#include "tests/unit/async/async_test.h"
#include "tests/unit/pg/pg_lab.h"

static struct pg_conf conf;
static struct pg *db;
static struct keyring *keys;
static struct rbac *rbac;
static struct identity *id;
static unsigned announced, told;
static char first_password[64];
static const struct login_from from = {"127.0.0.1", "test"};

static void announce(const char *username, const char *password) {
    CHECK(z_eq(username, "admin@localhost"));
    (void)snprintf(first_password, sizeof(first_password), "%s", password);
    announced++;
}

static void on_revoked(void *arg) {
    (void)arg;
    told++;
}

static void open_identity(const struct identity_conf *c) {
    id = identity_new(db, keys, rbac, c);
    OK(identity_start(id, announce));
    identity_on_revoked(id, on_revoked, NULL);
}

static struct identity_conf settings(void) {
    return (struct identity_conf){.issuer = "test",
                                  .access_seconds = 300,
                                  .refresh_idle_hours = 12,
                                  .refresh_absolute_days = 7,
                                  .login_per_ip = 1000,
                                  .login_per_account = 5};
}

static void up(void) {
    int n;
    struct identity_conf c = settings();
    db = pg_new(&conf);
    OK(pg_wait_ready(db, deadline_in(SECONDS(20))));
    OK(pg_migrate(db, &n));
    OK(keyring_open("/nonexistent", "a secret of at least thirty-two bytes", &keys));
    rbac = rbac_new(db, &conf);
    OK(rbac_start(rbac));
    open_identity(&c);
}

static void down(void) {
    identity_free(id);
    rbac_free(rbac);
    pg_free(db);
    keyring_free(keys);
}

static void sql(const char *text) {
    struct pg_result *r;
    OK(pg_query(db, arena_current(), text, PG_NOARGS, &r));
}

static struct login_result login(const char *name, const char *password) {
    struct login_result r;
    OK(identity_login(id, arena_current(), name, str_of(password), &from, &r));
    return r;
}

static struct principal *bearer(const char *token) {
    struct principal *p;
    OK(identity_bearer(id, arena_current(), str_of(token), "127.0.0.1", &p));
    return p;
}

#define ADMIN "admin@localhost"
#define PASSWORD "an administrator's phrase"

TEST(first_start) {
    up();
    CHECK(announced == 1 && strlen(first_password) == 24);
    struct login_result r = login(ADMIN, first_password), next;
    CHECK(r.must_change_password && r.expires_in == 300);
    struct principal *p = bearer(r.access);
    CHECK(p->must_change_password && z_eq(p->username, ADMIN) && p->session_id && !p->token_id);
    CHECK(rbac_allowed(rbac, p, PERM_ORGANIZATION_DELETE, ROOT_SCOPE));
    FAILS(ERR_INVALID_CREDENTIALS,
          identity_change_password(id, arena_current(), p, STR("wrong wrong wrong"), STR(PASSWORD), &from, &next));
    FAILS(ERR_WEAK_PASSWORD,
          identity_change_password(id, arena_current(), p, str_of(first_password), STR("short"), &from, &next));
    FAILS(ERR_WEAK_PASSWORD, identity_change_password(id, arena_current(), p, str_of(first_password),
                                                      str_of(first_password), &from, &next));
    OK(identity_change_password(id, arena_current(), p, str_of(first_password), STR(PASSWORD), &from, &next));
    CHECK(!bearer(next.access)->must_change_password && !z_eq(next.session_id, r.session_id));
    struct principal *old;
    FAILS(ERR_TOKEN_INVALID, identity_bearer(id, arena_current(), str_of(r.access), "127.0.0.1", &old));
    FAILS(ERR_INVALID_CREDENTIALS, identity_login(id, arena_current(), ADMIN, str_of(first_password), &from, &r));
    /* Another start: the same keys, no new password. */
    identity_free(id);
    struct identity_conf c = settings();
    open_identity(&c);
    CHECK(announced == 1 && bearer(next.access));
    down();
    return NULL;
}

TEST(guesses) {
    up();
    sql("DELETE FROM login_throttle");
    struct login_result r;
    static const char *const spellings[] = {ADMIN, "ADMIN@localhost", " admin@localhost ", "Admin@Localhost",
                                            "admin@LOCALHOST"};
    for (size_t i = 0; i < ARRAY_LEN(spellings); i++)
        FAILS(ERR_INVALID_CREDENTIALS,
              identity_login(id, arena_current(), spellings[i], STR("wrong wrong wrong"), &from, &r));
    FAILS(ERR_RATE_LIMITED, identity_login(id, arena_current(), ADMIN, STR(PASSWORD), &from, &r));
    sql("DELETE FROM login_throttle");
    for (int i = 0; i < 5; i++)
        FAILS(ERR_INVALID_CREDENTIALS,
              identity_login(id, arena_current(), "nobody", STR("wrong wrong wrong"), &from, &r));
    FAILS(ERR_RATE_LIMITED, identity_login(id, arena_current(), "NOBODY", STR("wrong wrong wrong"), &from, &r));
    (void)login(ADMIN, PASSWORD); /* somebody else's counter */
    for (int i = 0; i < 4; i++)
        FAILS(ERR_INVALID_CREDENTIALS, identity_login(id, arena_current(), ADMIN, STR("wrong wrong wrong"), &from, &r));
    (void)login(ADMIN, PASSWORD); /* success resets */
    FAILS(ERR_INVALID_CREDENTIALS, identity_login(id, arena_current(), ADMIN, STR("wrong wrong wrong"), &from, &r));
    sql("UPDATE users SET is_active = false");
    FAILS(ERR_INVALID_CREDENTIALS, identity_login(id, arena_current(), ADMIN, STR(PASSWORD), &from, &r));
    sql("UPDATE users SET is_active = true");
    sql("DELETE FROM login_throttle");
    OK(rbac_refresh(rbac));
    down();
    return NULL;
}

TEST(refresh_family) {
    up();
    struct arena *a = arena_current();
    struct login_result one = login(ADMIN, PASSWORD), two, again, three;
    OK(identity_refresh(id, a, one.refresh, &from, &two));
    OK(identity_refresh(id, a, one.refresh, &from, &again)); /* its answer was lost */
    CHECK(z_eq(two.refresh, again.refresh) && z_eq(two.session_id, one.session_id) && !z_eq(one.refresh, two.refresh));
    OK(identity_refresh(id, a, two.refresh, &from, &three));
    FAILS(ERR_TOKEN_REUSED, identity_refresh(id, a, one.refresh, &from, &again));
    FAILS(ERR_TOKEN_INVALID, identity_refresh(id, a, three.refresh, &from, &again));
    struct principal *p;
    FAILS(ERR_TOKEN_INVALID, identity_bearer(id, a, str_of(three.access), "127.0.0.1", &p));
    static const char *const junk[] = {"", "x", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"};
    for (size_t i = 0; i < ARRAY_LEN(junk); i++)
        FAILS(ERR_TOKEN_INVALID, identity_refresh(id, a, junk[i], &from, &again));
    FAILS(ERR_TOKEN_INVALID, identity_refresh(id, a, NULL, &from, &again));
    one = login(ADMIN, PASSWORD);
    sql("UPDATE sessions SET idle_expires_at = now() - interval '1 s' WHERE revoked_at IS NULL");
    FAILS(ERR_TOKEN_INVALID, identity_refresh(id, a, one.refresh, &from, &again));
    one = login(ADMIN, PASSWORD);
    sql("UPDATE sessions SET absolute_expires_at = now() - interval '1 s' WHERE revoked_at IS NULL");
    FAILS(ERR_TOKEN_INVALID, identity_refresh(id, a, one.refresh, &from, &again));
    down();
    return NULL;
}

TEST(sessions_end) {
    up();
    struct login_result a = login(ADMIN, PASSWORD), b = login(ADMIN, PASSWORD);
    struct principal *pa = bearer(a.access), *pb = bearer(b.access);
    FAILS(ERR_NOT_FOUND, identity_session_revoke(id, pa, "nonsense"));
    FAILS(ERR_NOT_FOUND, identity_session_revoke(id, pa, pa->user_id));
    OK(identity_session_revoke(id, pa, b.session_id));
    CHECK(!identity_still_valid(id, pb) && identity_still_valid(id, pa));
    OK(identity_logout(id, pa));
    CHECK(!identity_still_valid(id, pa));
    /* Elsewhere: only the notification tells, and the poll when that got lost. */
    struct login_result c = login(ADMIN, PASSWORD);
    struct principal *pc = bearer(c.access);
    unsigned before = told;
    pg_lab_psql_at(conf.url, "UPDATE sessions SET revoked_at = now() WHERE revoked_at IS NULL");
    for (int i = 0; i < 100 && identity_still_valid(id, pc); i++)
        OK(fiber_sleep(10));
    CHECK(!identity_still_valid(id, pc) && told > before);
    struct login_result d = login(ADMIN, PASSWORD);
    struct principal *pd = bearer(d.access);
    pg_lab_psql_at(
        conf.url,
        "ALTER TABLE sessions DISABLE TRIGGER USER; UPDATE sessions SET revoked_at = now() WHERE revoked_at IS NULL; "
        "ALTER TABLE sessions ENABLE TRIGGER USER");
    for (int i = 0; i < 600 && identity_still_valid(id, pd); i++)
        OK(fiber_sleep(10));
    CHECK(!identity_still_valid(id, pd));
    down();
    return NULL;
}

TEST(api_tokens) {
    up();
    struct arena *a = arena_current();
    struct login_result s = login(ADMIN, PASSWORD);
    struct principal *me = bearer(s.access), *p;
    struct json *scopes = json_array(a);
    json_push(a, scopes, json_string(a, "node:read"));
    struct token_request req = {.name = "ci", .scopes = scopes, .expires_days = 1};
    const char *tid, *token;
    OK(identity_token_create(id, db, a, me, &req, &tid, &token));
    FAILS(ERR_CONFLICT, identity_token_create(id, db, a, me, &req, &tid, &token));
    p = bearer(token);
    CHECK(z_eq(p->token_id, tid) && p->session_id == NULL && p->narrowed && perm_has(&p->token_perms, PERM_NODE_READ) &&
          z_eq(p->user_id, me->user_id));
    req.name = "wider";
    req.scopes = NULL;
    const char *id2, *token2;
    FAILS(ERR_INSUFFICIENT_SCOPE, identity_token_create(id, db, a, p, &req, &id2, &token2));
    const char *range = "10.0.0.0/8";
    req = (struct token_request){.name = "away", .cidrs = &range, .n_cidrs = 1, .expires_days = 1};
    OK(identity_token_create(id, db, a, me, &req, &id2, &token2));
    FAILS(ERR_TOKEN_INVALID, identity_bearer(id, a, str_of(token2), "127.0.0.1", &p));
    OK(identity_bearer(id, a, str_of(token2), "10.1.2.3", &p));
    FAILS(ERR_TOKEN_INVALID, identity_bearer(id, a, str_of(arena_printf(a, "%sx", token)), "127.0.0.1", &p));
    FAILS(ERR_NOT_FOUND, identity_token_revoke(id, me, me->user_id));
    OK(identity_token_revoke(id, me, tid));
    FAILS(ERR_TOKEN_INVALID, identity_bearer(id, a, str_of(token), "127.0.0.1", &p));
    down();
    return NULL;
}

static int64_t later_s;

static uint64_t real_mono_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int64_t wall_later_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return ((int64_t)t.tv_sec + later_s) * 1000000 + t.tv_nsec / 1000;
}

/* What is remembered of a token is not good for longer, nor for another text, than the token is */
TEST(checked_access_tokens) {
    static const struct clock_ops ops = {real_mono_ms, wall_later_us};
    up();
    struct arena *a = arena_current();
    struct login_result s = login(ADMIN, PASSWORD);
    struct principal *p;
    for (int i = 0; i < 3; i++)
        CHECK(z_eq(bearer(s.access)->session_id, s.session_id));
    char *other = arena_strdup(a, s.access);
    other[strlen(other) - 4] = (char)(other[strlen(other) - 4] == 'A' ? 'B' : 'A');
    FAILS(ERR_TOKEN_INVALID, identity_bearer(id, a, str_of(other), "127.0.0.1", &p));
    clock_set_ops(&ops);
    later_s = s.expires_in - 5;
    (void)bearer(s.access);
    later_s = s.expires_in + 40;
    FAILS(ERR_TOKEN_EXPIRED, identity_bearer(id, a, str_of(s.access), "127.0.0.1", &p));
    clock_set_ops(NULL);
    (void)bearer(s.access);
    OK(identity_logout(id, bearer(s.access)));
    FAILS(ERR_TOKEN_INVALID, identity_bearer(id, a, str_of(s.access), "127.0.0.1", &p));
    down();
    return NULL;
}

TEST(tickets) {
    up();
    struct arena *a = arena_current();
    struct login_result s = login(ADMIN, PASSWORD);
    struct principal *me = bearer(s.access), *p;
    const char *t;
    OK(identity_ticket_new(id, a, me, "127.0.0.1", "/ws/v1/events", &t));
    OK(identity_ticket_take(id, a, str_of(t), "127.0.0.1", "/ws/v1/events", &p));
    CHECK(z_eq(p->user_id, me->user_id) && z_eq(p->session_id, me->session_id));
    FAILS(ERR_TOKEN_INVALID, identity_ticket_take(id, a, str_of(t), "127.0.0.1", "/ws/v1/events", &p)); /* once */
    OK(identity_ticket_new(id, a, me, "127.0.0.1", "/ws/v1/events", &t));
    sql("UPDATE ws_tickets SET expires_at = now() - interval '1 s'");
    FAILS(ERR_TOKEN_INVALID, identity_ticket_take(id, a, str_of(t), "127.0.0.1", "/ws/v1/events", &p));
    FAILS(ERR_TOKEN_INVALID, identity_ticket_take(id, a, STR("nonsense"), "127.0.0.1", "/ws/v1/events", &p));
    OK(identity_ticket_new(id, a, me, "127.0.0.1", "/ws/v1/events", &t));
    OK(identity_logout(id, me));
    FAILS(ERR_TOKEN_INVALID, identity_ticket_take(id, a, str_of(t), "127.0.0.1", "/ws/v1/events", &p));
    down();
    return NULL;
}

TEST(root_key_of_another_installation) {
    up();
    down();
    db = pg_new(&conf);
    OK(pg_wait_ready(db, deadline_in(SECONDS(20))));
    OK(keyring_open("/nonexistent", "another secret of thirty-two bytes!!", &keys));
    rbac = rbac_new(db, &conf);
    OK(rbac_start(rbac));
    struct identity_conf c = settings();
    id = identity_new(db, keys, rbac, &c);
    FAILS(ERR_CONFIG, identity_start(id, announce));
    down();
    return NULL;
}

int main(void) {
    pg_lab_start();
    conf = (struct pg_conf){.url = pg_lab_database("identity"), .pool_size = 4};
    const struct CMUnitTest tests[] = {LOOP_TEST(first_start),    LOOP_TEST(guesses),
                                       LOOP_TEST(refresh_family), LOOP_TEST(sessions_end),
                                       LOOP_TEST(api_tokens),     LOOP_TEST(checked_access_tokens),
                                       LOOP_TEST(tickets),        LOOP_TEST(root_key_of_another_installation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
