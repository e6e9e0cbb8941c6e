#include "base_test.h"
#include <pthread.h>

static void test_new_and_wrap(void **state) {
    (void)state;
    err_t root = err_new(ERR_NOT_FOUND, "no row %d", 7);
    assert_int_equal(root->code, ERR_NOT_FOUND);
    assert_string_equal(root->message, "no row 7");
    assert_non_null(strstr(root->file, "test_err.c"));
    root = err_field(err_detail(err_detail(root, "id", "7"), "table", "apps"), "/id");
    err_t e = err_wrap(root, "load app %s", "x");
    assert_int_equal(e->code, ERR_NOT_FOUND);
    assert_string_equal(e->field, "/id");
    assert_string_equal(e->details->key, "id");
    assert_string_equal(e->details->next->value, "apps");
    assert_null(e->details->next->next);
    assert_string_equal(err_chain(A, e), "load app x: no row 7");
    err_t as = err_wrap_as(ERR_DOCKER, e, "inspect");
    assert_int_equal(as->code, ERR_DOCKER);
    assert_string_equal(err_chain(A, as), "inspect: load app x: no row 7");
}

static void test_detail_copies(void **state) {
    (void)state;
    err_t a = err_detail(err_new(ERR_INVALID, "x"), "one", "1");
    err_t b = err_detail_json(a, "two", "[2]");
    assert_null(a->details->next);
    assert_true(b->details->next->raw);
    assert_string_equal(b->details->next->value, "[2]");
    assert_false(b->details->raw);
    assert_null(err_field(b, NULL)->field);
}

static void test_null_is_success_everywhere(void **state) {
    (void)state;
    assert_null(err_wrap(NULL, "x"));
    assert_null(err_wrap_as(ERR_IO, NULL, "x"));
    assert_null(err_detail(NULL, "a", "b"));
    assert_null(err_field(NULL, "a"));
    assert_null(err_dup(A, NULL));
    assert_false(err_is(NULL, ERR_IO));
    assert_false(err_retryable(NULL));
    assert_string_equal(err_chain(A, NULL), "");
}

static void test_dup_is_deep(void **state) {
    (void)state;
    struct arena *other = arena_new("other", 0);
    struct arena *old = arena_set_current(other);
    err_t e = err_wrap(err_detail(err_field(err_new(ERR_GIT, "root"), "f"), "k", "v"), "outer");
    err_t copy = err_dup(A, e);
    arena_set_current(old);
    arena_unref(other);
    assert_string_equal(err_chain(A, copy), "outer: root");
    assert_string_equal(copy->field, "f");
    assert_string_equal(copy->cause->details->value, "v");
}

static void test_table(void **state) {
    (void)state;
    assert_string_equal(err_code_wire(ERR_TOO_LARGE), "PAYLOAD_TOO_LARGE");
    assert_string_equal(err_code_symbol(ERR_TOO_LARGE), "TOO_LARGE");
    assert_int_equal(err_code_http(ERR_TOO_LARGE), 413);
    assert_true(err_retryable(err_new(ERR_BUSY, "b")));
    assert_false(err_retryable(err_new(ERR_CONFLICT, "b")));
    for (unsigned c = 0; c < ERR_CODE_MAX; c++) {
        assert_in_range(err_code_http(c), 400, 599);
        for (unsigned d = 0; d < c; d++)
            assert_string_not_equal(err_code_wire(c), err_code_wire(d));
    }
    assert_string_equal(err_code_wire((enum err_code)9999), "INTERNAL");
}

static void test_long_message_is_cut_between_characters(void **state) {
    (void)state;
    char *big = arena_alloc(A, 9001, 1);
    for (int i = 0; i < 9000; i += 2)
        memcpy(big + i, "\xc3\xa9", 2);
    big[9000] = 0;
    for (int pad = 0; pad < 3; pad++) {
        err_t e = err_new(ERR_INVALID, "%*s%s", pad, "", big);
        assert_in_range(strlen(e->message), 4000, 4096);
        assert_true(str_is_utf8(str_of(e->message)));
    }
}

static void test_ring_without_arena(void **state) {
    (void)state;
    arena_set_current(NULL);
    err_t kept = err_new(ERR_IO, "number %d", 0);
    for (int i = 1; i < 15; i++)
        (void)!err_new(ERR_IO, "number %d", i);
    assert_string_equal(kept->message, "number 0"); /* the last sixteen stay */
    err_t e = err_new(ERR_IO, "root");
    for (int i = 0; i < 200; i++)
        e = err_wrap(e, "level %d", i); /* wraps around many times, never through recycled memory */
    assert_string_equal(e->message, "level 199");
    const char *chain = err_chain(A, e);
    assert_true(z_starts(chain, "level 199: level 198: level 197"));
    e = err_detail(err_field(err_new(ERR_IO, "x"), "/a"), "k", "v");
    for (int i = 0; i < 40; i++)
        e = err_detail(e, "n", "w");
    assert_string_equal(e->field, "/a");
    assert_string_equal(e->details->value, "v");
    arena_set_current(A);
    err_t outside = err_wrap(e, "now in an arena"); /* copies a cause that the ring would recycle */
    arena_set_current(NULL);
    for (int i = 0; i < 40; i++)
        (void)!err_new(ERR_IO, "noise");
    assert_string_equal(err_chain(A, outside), "now in an arena: x");
    arena_set_current(A);
}

static void *in_thread(void *arg) {
    (void)arg;
    err_t e = NULL;
    for (int i = 0; i < 100; i++)
        e = err_wrap_as(ERR_IO, err_new(ERR_TIMEOUT, "t%d", i), "w");
    return (void *)(intptr_t)(e->cause->code == ERR_TIMEOUT);
}

static void test_ring_of_a_thread_is_freed(void **state) {
    (void)state;
    uint64_t live = arena_stats_get().live;
    for (int i = 0; i < 8; i++) {
        pthread_t t;
        void *ret = NULL;
        assert_int_equal(pthread_create(&t, NULL, in_thread, NULL), 0);
        pthread_join(t, &ret);
        assert_non_null(ret);
    }
    assert_int_equal(arena_stats_get().live, live);
}

static err_t inner(bool bad) { return bad ? err_new(ERR_BUSY, "inner") : NULL; }
static err_t outer(bool bad, int *reached) {
    TRY(inner(bad));
    *reached = 1;
    return NULL;
}

static void test_try(void **state) {
    (void)state;
    int reached = 0;
    assert_err(outer(true, &reached), BUSY);
    assert_int_equal(reached, 0);
    assert_ok(outer(false, &reached));
    assert_int_equal(reached, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {T(test_new_and_wrap),
                                       T(test_detail_copies),
                                       T(test_null_is_success_everywhere),
                                       T(test_dup_is_deep),
                                       T(test_table),
                                       T(test_long_message_is_cut_between_characters),
                                       T(test_ring_without_arena),
                                       T(test_ring_of_a_thread_is_freed),
                                       T(test_try)};
    return cmocka_run_group_tests_name("err", tests, NULL, NULL);
}
