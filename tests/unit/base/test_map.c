#include "base_test.h"
#include "core/base/map.h"

static void basics(struct map *m) {
    int x, y;
    assert_null(map_getz(m, "a"));
    assert_null(map_getz(m, NULL));
    assert_null(map_setz(m, "a", &x));
    assert_ptr_equal(map_setz(m, "a", &y), &x);
    assert_ptr_equal(map_getz(m, "a"), &y);
    assert_null(map_setz(m, "", &x));
    assert_ptr_equal(map_getz(m, ""), &x);
    assert_null(map_set(m, str_n("a\0b", 3), &x));
    assert_ptr_equal(map_get(m, str_n("a\0b", 3)), &x);
    assert_ptr_equal(map_getz(m, "a"), &y);
    assert_null(map_setz(m, "null", NULL));
    assert_true(map_has(m, STR("null")));
    assert_false(map_has(m, STR("nul")));
    assert_int_equal(m->n, 4);
    assert_ptr_equal(map_del(m, STR("a")), &y);
    assert_null(map_del(m, STR("a")));
    assert_false(map_has(m, STR("a")));
    assert_int_equal(m->n, 3);
    for (struct map_entry *e = NULL; (e = map_next(m, e)) != NULL;)
        assert_int_equal(e->key.p[e->key.n], 0);
}

static void test_basics(void **state) {
    (void)state;
    struct map m;
    map_init(&m, A);
    basics(&m);
    map_init(&m, NULL);
    basics(&m);
    map_done(&m);
    assert_int_equal(m.n, 0);
    basics(&m); /* usable again */
    map_done(&m);
}

/* Against a plain array as the model, with many deletions. */
static void churn(struct map *m) {
    enum { KEYS = 500 };
    static intptr_t model[KEYS];
    memset(model, 0, sizeof(model));
    uint32_t seed = 12345;
    for (intptr_t i = 1; i < 50000; i++) {
        seed = seed * 1664525 + 1013904223;
        size_t k = (seed >> 8) % KEYS;
        char key[16];
        int n = snprintf(key, sizeof(key), "key-%zu", k);
        struct str s = str_n(key, (size_t)n);
        if ((seed >> 28) < 7) {
            assert_int_equal((intptr_t)map_del(m, s), model[k]);
            model[k] = 0;
        } else {
            assert_int_equal((intptr_t)map_set(m, s, (void *)i), model[k]);
            model[k] = i;
        }
    }
    size_t live = 0;
    for (size_t k = 0; k < KEYS; k++) {
        char key[16];
        int n = snprintf(key, sizeof(key), "key-%zu", k);
        assert_int_equal((intptr_t)map_get(m, str_n(key, (size_t)n)), model[k]);
        live += model[k] != 0;
    }
    assert_int_equal(m->n, live);
    assert_true(m->cap <= 4 * KEYS); /* tombstones are reused, not hoarded */
    intptr_t last = 0;
    (void)last;
    size_t seen = 0;
    for (struct map_entry *e = NULL; (e = map_next(m, e)) != NULL;)
        seen++;
    assert_int_equal(seen, live);
}

static void test_churn(void **state) {
    (void)state;
    struct map m;
    map_init(&m, A);
    churn(&m);
    map_init(&m, NULL);
    churn(&m);
    map_done(&m);
}

static void test_order_and_delete_while_iterating(void **state) {
    (void)state;
    struct map m;
    map_init(&m, NULL);
    for (intptr_t i = 0; i < 100; i++)
        (void)map_setz(&m, arena_printf(A, "%d", (int)i), (void *)i);
    for (struct map_entry *e = NULL; (e = map_next(&m, e)) != NULL;)
        if ((intptr_t)e->value % 2 == 0)
            (void)map_del(&m, e->key);
    intptr_t want = 1;
    for (struct map_entry *e = NULL; (e = map_next(&m, e)) != NULL; want += 2)
        assert_int_equal((intptr_t)e->value, want);
    assert_int_equal(want, 101);
    (void)map_setz(&m, "1", (void *)1); /* replacing keeps the place */
    assert_str(map_next(&m, NULL)->key, "1");
    map_done(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {T(test_basics), T(test_churn), T(test_order_and_delete_while_iterating)};
    return cmocka_run_group_tests_name("map", tests, NULL, NULL);
}
