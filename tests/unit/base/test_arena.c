#include "base_test.h"
#include <pthread.h>
#include <signal.h>
#include "core/base/check.h"
#include "core/base/vec.h"

static void test_alignment_and_zero(void **state) {
    (void)state;
    for (size_t align = 1; align <= 4096; align *= 2) {
        for (size_t n = 0; n < 40; n++) {
            char *p = arena_alloc(A, n, align);
            assert_int_equal((uintptr_t)p % align, 0);
            memset(p, 0xee, n);
        }
    }
    char *z = arena_zalloc(A, 100);
    for (int i = 0; i < 100; i++)
        assert_int_equal(z[i], 0);
    assert_ptr_not_equal(arena_alloc(A, 0, 1), arena_alloc(A, 0, 1));
}

static void test_no_overlap(void **state) {
    (void)state;
    struct {
        unsigned char *p;
        size_t n;
    } got[2000];
    for (size_t i = 0; i < ARRAY_LEN(got); i++) {
        got[i].n = (i * 7919) % (i % 50 == 0 ? 100000 : 300);
        got[i].p = arena_alloc(A, got[i].n, 1u << (i % 5));
        memset(got[i].p, (int)(i & 255), got[i].n);
    }
    for (size_t i = 0; i < ARRAY_LEN(got); i++)
        for (size_t k = 0; k < got[i].n; k++)
            assert_int_equal(got[i].p[k], i & 255);
}

static int order[16], n_order;
static void note(void *arg) { order[n_order++] = (int)(intptr_t)arg; }

static void test_hooks_newest_first(void **state) {
    (void)state;
    n_order = 0;
    struct arena *a = arena_new("hooks", 0);
    arena_on_free(a, note, (void *)1);
    struct arena_mark m = arena_mark(a);
    arena_on_free(a, note, (void *)2);
    arena_on_free(a, note, (void *)3);
    arena_rewind(a, m);
    assert_int_equal(n_order, 2);
    assert_int_equal(order[0], 3);
    assert_int_equal(order[1], 2);
    arena_on_free(a, note, (void *)4);
    arena_unref(a);
    assert_int_equal(n_order, 4);
    assert_int_equal(order[2], 4);
    assert_int_equal(order[3], 1);
}

static void hook_again(void *arg) {
    struct arena *a = arg;
    note((void *)7);
    arena_on_free(a, note, arena_strdup(a, "late") ? (void *)8 : NULL);
}

static void test_hook_may_register_hooks(void **state) {
    (void)state;
    n_order = 0;
    struct arena *a = arena_new("hooks", 0);
    arena_on_free(a, hook_again, a);
    arena_unref(a);
    assert_int_equal(n_order, 2);
    assert_int_equal(order[1], 8);
}

static void test_rewind_gives_memory_back(void **state) {
    (void)state;
    char *keep = arena_strdup(A, "keep me");
    size_t used = arena_used(A);
    for (int round = 0; round < 100; round++) {
        struct arena_mark m = arena_mark(A);
        for (int i = 0; i < 100; i++)
            memset(arena_alloc(A, 1000, 8), round, 1000);
        memset(arena_alloc(A, 500000, 8), round, 500000);
        arena_rewind(A, m);
        assert_int_equal(arena_used(A), used);
    }
    assert_string_equal(keep, "keep me");
    assert_in_range(arena_peak(A), 600000, 700000);
    assert_true(arena_stats_get().bytes < MIB(4));
}

static void test_nested_marks(void **state) {
    (void)state;
    struct arena_mark empty = arena_mark(A);
    char *one = arena_strdup(A, "one");
    struct arena_mark m1 = arena_mark(A);
    (void)arena_alloc(A, 9000, 1);
    struct arena_mark m2 = arena_mark(A);
    (void)arena_alloc(A, 90000, 1);
    (void)arena_alloc(A, 10, 1);
    arena_rewind(A, m2);
    char *two = arena_strdup(A, "two");
    assert_string_equal(two, "two");
    arena_rewind(A, m1);
    assert_string_equal(one, "one");
    arena_rewind(A, empty);
    assert_int_equal(arena_used(A), 0);
}

static void test_refs(void **state) {
    (void)state;
    n_order = 0;
    uint64_t live = arena_stats_get().live;
    struct arena *a = arena_ref(arena_new("refs", 0));
    assert_int_equal(arena_stats_get().live, live + 1);
    arena_on_free(a, note, (void *)1);
    arena_unref(a);
    assert_int_equal(n_order, 0);
    arena_unref(a);
    assert_int_equal(n_order, 1);
    assert_int_equal(arena_stats_get().live, live);
    arena_unref(NULL);
    {
        AUTO(arena) scoped = arena_new("scoped", 0);
        assert_string_equal(arena_owner(scoped), "scoped");
    }
    assert_int_equal(arena_stats_get().live, live);
}

static int warned;
static void on_limit(struct arena *a, size_t limit) {
    warned++;
    assert_string_equal(arena_owner(a), "small");
    assert_int_equal(limit, 1000);
}

static void test_soft_limit_fires_once(void **state) {
    (void)state;
    warned = 0;
    arena_set_limit_hook(on_limit);
    struct arena *a = arena_new("small", 1000);
    (void)arena_alloc(a, 1000, 1);
    assert_int_equal(warned, 0);
    (void)arena_alloc(a, 1, 1);
    (void)arena_alloc(a, 5000, 1);
    assert_int_equal(warned, 1);
    arena_unref(a);
    arena_set_limit_hook(NULL);
}

static void test_text(void **state) {
    (void)state;
    assert_null(arena_strdup(A, NULL));
    assert_string_equal(arena_strndup(A, "abcdef", 3), "abc");
    assert_string_equal(arena_strndup(A, NULL, 0), "");
    assert_string_equal(arena_printf(A, "%s-%d", "x", 42), "x-42");
    for (int n = 250; n < 260; n++)
        assert_int_equal(strlen(arena_printf(A, "%*d", n, 1)), n);
    assert_int_equal(strlen(arena_printf(A, "%100000d", 1)), 100000);
    assert_memory_equal(arena_memdup(A, "\0\1\2", 3), "\0\1\2", 3);
}

static void test_current_is_per_thread_and_cleared(void **state) {
    (void)state;
    struct arena *a = arena_new("cur", 0);
    assert_ptr_equal(arena_set_current(a), A);
    assert_ptr_equal(arena_current(), a);
    arena_unref(a); /* the last reference must not leave a dangling current arena */
    assert_null(arena_current());
    arena_set_current(A);
}

static void overflow_array(void *arg) { (void)arena_zalloc_array(arg, SIZE_MAX / 2, 4); }
static void overflow_size(void *arg) { (void)arena_alloc(arg, SIZE_MAX - 4, 1); }
static void bad_align(void *arg) { (void)arena_alloc(arg, 8, 24); }
static void foreign_pointer(void *arg) {
    (void)arg;
    static uint64_t junk[64];
    (void)arena_alloc((struct arena *)junk, 8, 8);
}

static void test_misuse_aborts(void **state) {
    (void)state;
    assert_true(aborts(overflow_array, A));
    assert_true(aborts(overflow_size, A));
    assert_true(aborts(bad_align, A));
    assert_true(aborts(foreign_pointer, A));
}

static void *churn(void *arg) {
    (void)arg;
    for (int i = 0; i < 2000; i++) {
        struct arena *a = arena_new("thread", 0);
        for (int k = 0; k < 20; k++)
            memset(arena_alloc(a, (size_t)(k * 200 + 1), 8), i, (size_t)(k * 200 + 1));
        arena_unref(a);
    }
    return NULL;
}

static void test_threads_share_the_cache(void **state) {
    (void)state;
    struct arena_stats before = arena_stats_get();
    pthread_t t[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, churn, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    struct arena_stats after = arena_stats_get();
    assert_int_equal(after.live, before.live);
    assert_int_equal(after.bytes, before.bytes);
    assert_int_equal(after.created, before.created + 8000);
}

struct pair {
    int a, b;
};

static void test_vec(void **state) {
    (void)state;
    VEC(struct pair) v = {0};
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(vec_push(A, &v)->a, 0);
        v.v[v.n - 1].a = i;
    }
    int want = 0;
    /* clang-format off */
    for vec_each(it, &v) {
        assert_int_equal(it->a, want);
        want++;
    }
    /* clang-format on */
    assert_int_equal(want, 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {T(test_alignment_and_zero),
                                       T(test_no_overlap),
                                       T(test_hooks_newest_first),
                                       T(test_hook_may_register_hooks),
                                       T(test_rewind_gives_memory_back),
                                       T(test_nested_marks),
                                       T(test_refs),
                                       T(test_soft_limit_fires_once),
                                       T(test_text),
                                       T(test_current_is_per_thread_and_cleared),
                                       T(test_misuse_aborts),
                                       T(test_threads_share_the_cache),
                                       T(test_vec)};
    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
