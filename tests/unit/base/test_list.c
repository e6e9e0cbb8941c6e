#include "base_test.h"
#include "core/base/list.h"

struct item {
    int v;
    struct list link;
};

static void test_list(void **state) {
    (void)state;
    struct list head = {0};
    assert_true(list_empty(&head)); /* zeroed counts as empty */
    assert_null(list_pop(&head));
    list_init(&head);
    assert_true(list_empty(&head));
    struct item it[5] = {0};
    for (int i = 0; i < 5; i++) {
        it[i].v = i;
        list_add_tail(&head, &it[i].link);
    }
    list_del(&it[2].link);
    list_del(&it[2].link); /* twice is a no-op */
    int sum = 0;
    for
        list_each_safe(l, tmp, &head) {
            struct item *x = list_entry(l, struct item, link);
            sum = sum * 10 + x->v;
            if (x->v == 1)
                list_del(l);
        }
    assert_int_equal(sum, 134);
    list_add_tail(&head, &it[2].link);
    int order[] = {0, 3, 4, 2};
    for (size_t i = 0; i < ARRAY_LEN(order); i++)
        assert_int_equal(list_entry(list_pop(&head), struct item, link)->v, order[i]);
    assert_null(list_pop(&head));
    struct list self;
    list_init(&self);
    list_del(&self); /* a node linked to itself */
}

static int closed;
struct thing {
    int x;
};
static void thing_free(struct thing *t) { closed += t->x; }
DF_AUTO_DEFINE(thing, struct thing *, thing_free);

static void test_auto_and_take(void **state) {
    (void)state;
    struct thing one = {1}, two = {2}, *moved = NULL;
    closed = 0;
    {
        AUTO(thing) a = &one;
        AUTO(thing) b = &two;
        AUTO(thing) none = NULL;
        (void)a;
        (void)none;
        moved = TAKE(b);
        assert_null(b);
    }
    assert_int_equal(closed, 1);
    assert_ptr_equal(moved, &two);
}

int main(void) {
    const struct CMUnitTest tests[] = {T(test_list), T(test_auto_and_take)};
    return cmocka_run_group_tests_name("list", tests, NULL, NULL);
}
