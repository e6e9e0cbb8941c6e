#include "base_test.h"
#include "core/base/clock.h"

static uint64_t fake_ms;
static uint64_t fake_mono(void) { return fake_ms; }
static int64_t fake_wall(void) { return -1500; }

static void test_seam(void **state) {
    (void)state;
    uint64_t real = clock_mono_ms();
    assert_true(clock_mono_ms() >= real);
    assert_true(clock_wall_ms() > 1600000000000);
    fake_ms = 42;
    clock_set_ops(&(struct clock_ops){fake_mono, fake_wall});
    assert_int_equal(clock_mono_ms(), 42);
    assert_int_equal(clock_mono_us(), 42000);
    assert_int_equal(deadline_in(SECONDS(2)), 2042);
    assert_int_equal(clock_wall_us(), -1500);
    clock_set_ops(NULL);
    assert_true(clock_mono_ms() >= real);
    assert_int_equal(deadline_min(DEADLINE_NONE, 5), 5);
}

static void test_write(void **state) {
    (void)state;
    const struct {
        int64_t ms;
        const char *want;
    } t[] = {{0, "1970-01-01T00:00:00.000Z"},
             {-1, "1969-12-31T23:59:59.999Z"},
             {1582934400000, "2020-02-29T00:00:00.000Z"},
             {951782400123, "2000-02-29T00:00:00.123Z"},
             {4107542400000, "2100-03-01T00:00:00.000Z"},
             {1767323045678, "2026-01-02T03:04:05.678Z"},
             {253402300799999, "9999-12-31T23:59:59.999Z"},
             {INT64_MAX, "9999-12-31T23:59:59.999Z"},
             {INT64_MIN, "0000-01-01T00:00:00.000Z"}};
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        char out[TIME_RFC3339_LEN];
        assert_string_equal(time_rfc3339(out, t[i].ms), t[i].want);
    }
}

static void test_parse(void **state) {
    (void)state;
    const struct {
        const char *in;
        int64_t us;
    } good[] = {{"1970-01-01T00:00:00Z", 0},
                {"1970-01-01t00:00:00z", 0},
                {"1970-01-01 00:00:01Z", 1000000},
                {"1970-01-01T01:00:00+01:00", 0},
                {"1969-12-31T23:30:00-00:30", 0},
                {"2026-01-02T03:04:05.678Z", 1767323045678000},
                {"2026-01-02T03:04:05.678901234Z", 1767323045678901},
                {"2026-01-02T03:04:05.1Z", 1767323045100000},
                {"2016-12-31T23:59:60Z", 1483228800000000},
                {"2000-02-29T00:00:00Z", 951782400000000}};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        int64_t us;
        assert_ok(time_parse_rfc3339(str_of(good[i].in), &us));
        assert_int_equal(us, good[i].us);
    }
    const char *bad[] = {"",
                         "2026",
                         "2026-01-02",
                         "2026-01-02T03:04:05",
                         "2026-1-02T03:04:05Z",
                         "2026-13-02T03:04:05Z",
                         "2026-02-29T00:00:00Z",
                         "1900-02-29T00:00:00Z",
                         "2026-04-31T00:00:00Z",
                         "2026-00-01T00:00:00Z",
                         "2026-01-00T00:00:00Z",
                         "2026-01-02T24:00:00Z",
                         "2026-01-02T03:60:00Z",
                         "2026-01-02T03:04:61Z",
                         "2026-01-02T03:04:05.Z",
                         "2026-01-02T03:04:05+0100",
                         "2026-01-02T03:04:05+24:00",
                         "2026-01-02T03:04:05Zx",
                         " 2026-01-02T03:04:05Z",
                         "2026-01-02T03:04:05+",
                         "2026-01-02T3:04:05Z"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        int64_t us = 77;
        assert_err(time_parse_rfc3339(str_of(bad[i]), &us), INVALID);
        assert_int_equal(us, 77);
    }
    assert_err(time_parse_rfc3339(str_n("1970-01-01T00:00:00\0", 20), &(int64_t){0}), INVALID);
}

/* Every day of eight centuries, there and back. */
static void test_calendar_round_trip(void **state) {
    (void)state;
    for (int64_t day = -141427; day < 150000; day += 1) {
        char out[TIME_RFC3339_LEN];
        int64_t us;
        struct arena_mark m = arena_mark(A);
        time_rfc3339(out, day * 86400000 + 12345678);
        assert_ok(time_parse_rfc3339(str_of(out), &us));
        assert_int_equal(us, (day * 86400000 + 12345678) * 1000);
        arena_rewind(A, m);
    }
}

static void test_duration(void **state) {
    (void)state;
    const struct {
        const char *in;
        int64_t ns;
        const char *out;
    } good[] = {{"0", 0, "0s"},
                {"+0", 0, "0s"},
                {"-0", 0, "0s"},
                {"0s", 0, "0s"},
                {"1ns", 1, "1ns"},
                {"1100ns", 1100, "1.1\xc2\xb5s"},
                {"2us", 2000, "2\xc2\xb5s"},
                {"2\xc2\xb5s", 2000, "2\xc2\xb5s"},
                {"2\xce\xbcs", 2000, "2\xc2\xb5s"},
                {"300ms", 300000000, "300ms"},
                {"1.5s", 1500000000, "1.5s"},
                {".5s", 500000000, "500ms"},
                {"5.s", 5000000000, "5s"},
                {"90s", 90000000000, "1m30s"},
                {"1m", 60000000000, "1m0s"},
                {"1h2m3.5s", 3723500000000, "1h2m3.5s"},
                {"1h", 3600000000000, "1h0m0s"},
                {"-1.5h", -5400000000000, "-1h30m0s"},
                {"1s1s", 2000000000, "2s"},
                {"0.3333333333333333333h", 1200000000000 - 1, "19m59.999999999s"},
                {"9223372036854775807ns", INT64_MAX, "2562047h47m16.854775807s"},
                {"-9223372036854775808ns", INT64_MIN, "-2562047h47m16.854775808s"}};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        int64_t ns;
        assert_ok(duration_parse(str_of(good[i].in), &ns));
        assert_int_equal(ns, good[i].ns);
        assert_string_equal(duration_format(A, ns), good[i].out);
    }
    const char *bad[] = {"",
                         "-",
                         "+",
                         "1",
                         "s",
                         ".s",
                         "1.s2",
                         "1x",
                         "1 s",
                         "1S",
                         "1d",
                         "--1s",
                         "1s-1s",
                         "-+1s",
                         "1..5s",
                         "9223372036854775808ns",
                         "-9223372036854775809ns",
                         "9999999h",
                         "3000000000000h",
                         "1e3s",
                         "00"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_err(duration_parse(str_of(bad[i]), &(int64_t){0}), INVALID);
}

static void test_duration_round_trip(void **state) {
    (void)state;
    int64_t v = 1;
    for (int i = 0; i < 3000; i++) {
        int64_t back;
        struct arena_mark m = arena_mark(A);
        assert_ok(duration_parse(str_of(duration_format(A, v)), &back));
        assert_int_equal(back, v);
        arena_rewind(A, m);
        v = (int64_t)((uint64_t)v * 6364136223846793005u + 1442695040888963407u) >> (i % 50);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {T(test_seam),     T(test_write),
                                       T(test_parse),    T(test_calendar_round_trip),
                                       T(test_duration), T(test_duration_round_trip)};
    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
