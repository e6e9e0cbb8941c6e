/* Rate limits and admission with a hand-made clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include "server/admission.h"
#include "server/ratelimit.h"
#include "server/server.h"

static struct arena *a;

static bool take(enum rate_class cls, const char *key, uint64_t now) {
    struct rate_state s;
    return ratelimit_take(cls, key, now, &s) == NULL;
}

static void burst_then_rate(void **state) {
    (void)state;
    int ok = 0;
    for (int i = 0; i < 100; i++)
        ok += take(RATE_ANONYMOUS, "1.2.3.4", 1000) ? 1 : 0;
    assert_int_equal(ok, 40);
    ok = 0;
    for (int i = 0; i < 100; i++)
        ok += take(RATE_ANONYMOUS, "1.2.3.4", 2000) ? 1 : 0;
    assert_int_equal(ok, 20);
    assert_true(take(RATE_ANONYMOUS, "1.2.3.5", 2000));
    assert_true(take(RATE_USER, "1.2.3.4", 2000)); /* classes are apart */
    for (int i = 0; i < 1000; i++)
        take(RATE_ANONYMOUS, "1.2.3.4", 2000);
    ok = 0;
    for (int i = 0; i < 100; i++)
        ok += take(RATE_ANONYMOUS, "1.2.3.4", 1000000) ? 1 : 0;
    assert_int_equal(ok, 40); /* never more than the burst */
}

static void refusal_says_when(void **state) {
    (void)state;
    struct rate_state s;
    err_t e = NULL;
    for (int i = 0; i < 6; i++)
        e = ratelimit_take(RATE_LOGIN, "ip", 5000, &s);
    assert_true(err_is(e, ERR_RATE_LIMITED));
    assert_string_equal(e->details->key, "retryAfter");
    assert_in_range(s.reset_s, 12, 13);
    assert_true(take(RATE_LOGIN, "ip", 5000 + 12001));
}

static void table_is_bounded(void **state) {
    (void)state;
    char key[32];
    for (int i = 0; i < 150000; i++) {
        (void)snprintf(key, sizeof(key), "10.%d.%d.%d", i >> 16, (i >> 8) & 255, i & 255);
        take(RATE_ANONYMOUS, key, 9000);
    }
    assert_int_equal(ratelimit_entries(), 100000);
    for (int i = 0; i < 38; i++)
        assert_true(take(RATE_ANONYMOUS, key, 9000)); /* the newest are kept with what they have used */
    take(RATE_ANONYMOUS, key, 9000);
    assert_false(take(RATE_ANONYMOUS, key, 9000));
}

static const struct sockaddr *ip4(const char *z) {
    static struct sockaddr_in in;
    in = (struct sockaddr_in){.sin_family = AF_INET};
    inet_pton(AF_INET, z, &in.sin_addr);
    return (const struct sockaddr *)(const void *)&in;
}

static const struct sockaddr *ip6(const char *z) {
    static struct sockaddr_in6 in;
    in = (struct sockaddr_in6){.sin6_family = AF_INET6};
    inet_pton(AF_INET6, z, &in.sin6_addr);
    return (const struct sockaddr *)(const void *)&in;
}

static void connections_are_capped(void **state) {
    (void)state;
    admission_setup(&(struct admission_conf){.max_conns = 10, .max_conns_per_peer = 4});
    struct peer *p[10], *q;
    for (int i = 0; i < 4; i++)
        assert_int_equal(admission_enter(ip4("10.0.0.1"), 1, &p[i]), ADMIT_OK);
    assert_int_equal(admission_enter(ip4("10.0.0.1"), 1, &q), ADMIT_PEER);
    for (int i = 4; i < 8; i++) /* one subscriber's /64 */
        assert_int_equal(admission_enter(ip6(i % 2 ? "2001:db8::1" : "2001:db8::ffff:2"), 1, &p[i]), ADMIT_OK);
    assert_int_equal(admission_enter(ip6("2001:db8::3"), 1, &q), ADMIT_PEER);
    assert_int_equal(admission_enter(ip6("2001:db8:0:1::3"), 1, &p[8]), ADMIT_OK);
    assert_int_equal(admission_enter(ip6("::ffff:10.0.0.2"), 1, &p[9]), ADMIT_OK);
    assert_int_equal(admission_enter(ip4("10.9.9.9"), 1, &q), ADMIT_TOTAL);
    for (int i = 0; i < 10; i++)
        admission_leave(p[i]);
    assert_int_equal(admission_stats_get().conns, 0);
    admission_fini();
}

static void credit_runs_out_and_comes_back(void **state) {
    (void)state;
    admission_setup(&(struct admission_conf){0});
    struct peer *p, *q;
    assert_int_equal(admission_enter(ip4("10.0.0.1"), 1, &p), ADMIT_OK);
    for (int i = 0; i < CREDIT_PEER; i++)
        assert_true(admission_charge(p, 1));
    assert_false(admission_charge(p, 1));
    admission_leave(p);
    assert_int_equal(admission_enter(ip4("10.0.0.1"), 1, &q), ADMIT_CREDIT); /* reconnecting does not help */
    assert_int_equal(admission_enter(ip4("10.0.0.2"), 1, &q), ADMIT_OK);
    admission_leave(q);
    assert_int_equal(admission_enter(ip4("10.0.0.1"), 1 + CREDIT_REFILL_MS / 2, &q), ADMIT_OK);
    admission_leave(q);
    struct credit c;
    credit_init(&c, CREDIT_CONN, 0);
    int n = 0;
    while (credit_charge(&c, CREDIT_CONN, 0))
        n++;
    assert_int_equal(n, CREDIT_CONN);
    assert_true(credit_charge(&c, CREDIT_CONN, 700));
    admission_fini();
}

static void running_requests_are_capped(void **state) {
    (void)state;
    admission_setup(&(struct admission_conf){.max_running = 5, .max_running_per_peer = 3});
    struct peer *p, *q;
    assert_int_equal(admission_enter(ip4("10.0.0.1"), 1, &p), ADMIT_OK);
    assert_int_equal(admission_enter(ip4("10.0.0.2"), 1, &q), ADMIT_OK);
    for (int i = 0; i < 3; i++)
        assert_null(admission_start(p));
    assert_true(err_is(admission_start(p), ERR_RATE_LIMITED));
    assert_null(admission_start(q));
    assert_null(admission_start(q));
    assert_true(err_is(admission_start(q), ERR_BUSY));
    admission_done(p);
    assert_null(admission_start(q));
    admission_fini();
}

static int setup(void **state) {
    (void)state;
    a = arena_new("test", 0);
    arena_set_current(a);
    ratelimit_setup(NULL);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    ratelimit_fini();
    arena_set_current(NULL);
    arena_unref(a);
    return 0;
}

static void patience_with_peers(void **state) {
    (void)state;
    struct server_conf c = {0}, given = {.head_ms = 1, .drain_ms = 2};
    server_conf_defaults(&c);
    assert_int_equal(c.handshake_ms, 10000);
    assert_int_equal(c.head_ms, 10000);
    assert_int_equal(c.stall_ms, 30000);
    assert_int_equal(c.keepalive_ms, 60000);
    assert_int_equal(c.request_ms, 30000);
    assert_in_range(c.drain_ms, 1, 23000); /* and seven seconds more are 30 */
    assert_int_equal(c.ws_ping_ms, 20000);
    assert_int_equal(c.ws_dead_ms, 45000);
    assert_int_equal(c.ws_stall_ms, 60000);
    assert_int_equal(c.max_body, 1 << 20);
    server_conf_defaults(&given);
    assert_int_equal(given.head_ms, 1);
    assert_int_equal(given.drain_ms, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patience_with_peers),        cmocka_unit_test(burst_then_rate),
        cmocka_unit_test(refusal_says_when),          cmocka_unit_test(table_is_bounded),
        cmocka_unit_test(connections_are_capped),     cmocka_unit_test(credit_runs_out_and_comes_back),
        cmocka_unit_test(running_requests_are_capped)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
