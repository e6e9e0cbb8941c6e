#include "base_test.h"
#include <pthread.h>
#include "core/base/clock.h"
#include "core/base/id.h"
#include "core/base/map.h"

static void test_shape_and_order(void **state) {
    (void)state;
    struct uuid_text last = {""};
    for (int i = 0; i < 20000; i++) {
        struct uuid_text u = uuid7();
        assert_true(uuid_valid(str_of(u.z)));
        assert_int_equal(u.z[14], '7');
        assert_non_null(strchr("89ab", u.z[19]));
        assert_true(strcmp(last.z, u.z) < 0);
        last = u;
    }
}

static int64_t wall;
static int64_t fake_wall(void) { return wall; }

static void test_clock_set_back_stays_monotonic(void **state) {
    (void)state;
    wall = clock_wall_us() + 5000000;
    clock_set_ops(&(struct clock_ops){NULL, fake_wall});
    struct uuid_text a = uuid7();
    wall -= 3600000000;
    struct uuid_text b = uuid7();
    clock_set_ops(NULL);
    struct uuid_text c = uuid7();
    assert_true(strcmp(a.z, b.z) < 0);
    assert_true(strcmp(b.z, c.z) < 0);
    assert_memory_equal(a.z, b.z, 13); /* same millisecond */
}

static void *make(void *arg) {
    struct uuid_text *out = arg;
    for (int i = 0; i < 5000; i++)
        out[i] = uuid7();
    return NULL;
}

static void test_unique_over_threads(void **state) {
    (void)state;
    struct uuid_text *all = arena_new_array(A, struct uuid_text, 20000);
    pthread_t t[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, make, all + i * 5000), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    struct map seen;
    map_init(&seen, A);
    for (int i = 0; i < 20000; i++)
        assert_null(map_setz(&seen, all[i].z, all));
}

static void test_valid(void **state) {
    (void)state;
    assert_true(uuid_valid(STR("00000000-0000-0000-0000-000000000000")));
    assert_true(uuid_valid(STR("ABCDEF00-0000-4000-8000-00000000000a")));
    const char *bad[] = {"",
                         "00000000-0000-0000-0000-00000000000",
                         "00000000-0000-0000-0000-0000000000000",
                         "000000000000-0000-0000-0000-00000000",
                         "g0000000-0000-0000-0000-000000000000",
                         "{0000000-0000-0000-0000-00000000000}",
                         "00000000_0000_0000_0000_000000000000"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(uuid_valid(str_of(bad[i])));
    assert_false(uuid_valid(str_n("00000000-0000-0000-0000-00000000000\0", 36)));
}

static void test_base62(void **state) {
    (void)state;
    size_t seen[256] = {0};
    char out[1001];
    for (int i = 0; i < 62; i++) {
        random_base62(out, 1000);
        assert_int_equal(strlen(out), 1000);
        for (int k = 0; k < 1000; k++)
            seen[(unsigned char)out[k]]++;
    }
    size_t kinds = 0;
    for (int c = 0; c < 256; c++) {
        kinds += seen[c] > 0;
        if (seen[c] > 0)
            assert_in_range(seen[c], 800, 1200);
    }
    assert_int_equal(kinds, 62);
    random_base62(out, 0);
    assert_string_equal(out, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {T(test_shape_and_order), T(test_clock_set_back_stays_monotonic),
                                       T(test_unique_over_threads), T(test_valid), T(test_base62)};
    return cmocka_run_group_tests_name("id", tests, NULL, NULL);
}
