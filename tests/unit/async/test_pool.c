/* The thread side of the work lanes without fibers or loop: the program that runs under ThreadSanitizer. */
#include "async_test.h"
#include <unistd.h>
#include "core/async/work_pool.h"

static atomic_int ran, dropped, notified;
struct pbox {
    int value;
    atomic_bool abort;
};

static void prun(void *b) {
    struct pbox *x = b;
    for (int i = 0; i < x->value % 7 && !atomic_load(&x->abort); i++)
        usleep(50);
    x->value = -x->value;
    atomic_fetch_add(&ran, 1);
}
static void pdrop(void *b) {
    atomic_fetch_add(&dropped, 1);
    free(b);
}
static void pnotify(struct work_pool *p) {
    (void)p;
    atomic_fetch_add(&notified, 1);
}

static struct work_job *submit(struct work_pool *p, int value) {
    struct work_job *j = calloc(1, sizeof(*j));
    struct pbox *b = calloc(1, sizeof(*b));
    assert_true(j != NULL && b != NULL);
    b->value = value;
    *j = (struct work_job){.run = prun, .drop = pdrop, .box = b, .abort_flag = &b->abort};
    if (pool_submit(p, j))
        return j;
    free(b);
    free(j);
    return NULL;
}

static int take_all(struct work_pool *p) {
    int n = 0;
    for (struct work_job *j; (j = pool_take_done(p)) != NULL; n++) {
        assert_true(((struct pbox *)j->box)->value <= 0);
        free(j->box);
        free(j);
    }
    return n;
}

static void submit_abandon_take(void **state) {
    (void)state;
    struct work_pool p;
    pool_init(&p, "df-test", 4, 64, pnotify);
    int accepted = 0, taken = 0, abandoned = 0;
    for (int i = 0; i < 20000; i++) {
        struct work_job *j = submit(&p, i % 11);
        if (j == NULL) {
            taken += take_all(&p);
            usleep(50);
            continue;
        }
        accepted++;
        if (i % 3 == 0) {
            if (i % 2 == 0)
                usleep(20);
            if (pool_abandon(&p, j)) {
                abandoned++;
            } else {
                free(j->box);
                free(j);
                taken++;
            }
        }
    }
    while (taken + abandoned < accepted) {
        taken += take_all(&p);
        usleep(100);
    }
    pool_fini(&p);
    assert_int_equal(abandoned, atomic_load(&dropped));
    assert_true(taken > 0 && abandoned > 0);
}

static void fini_waits_and_drops(void **state) {
    (void)state;
    struct work_pool p;
    atomic_store(&dropped, 0);
    pool_init(&p, "df-test", 2, 64, pnotify);
    int accepted = 0;
    for (int i = 0; i < 50; i++)
        accepted += submit(&p, 6) != NULL;
    pool_fini(&p);
    assert_int_equal(accepted, atomic_load(&dropped));
}

static void full_queue_refuses(void **state) {
    (void)state;
    struct work_pool p;
    pool_init(&p, "df-test", 1, 2, pnotify);
    int refused = 0;
    for (int i = 0; i < 50; i++)
        refused += submit(&p, 6) == NULL;
    assert_true(refused > 0);
    assert_int_equal(p.nrefused, refused);
    pool_fini(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(submit_abandon_take),
        cmocka_unit_test(fini_waits_and_drops),
        cmocka_unit_test(full_queue_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
