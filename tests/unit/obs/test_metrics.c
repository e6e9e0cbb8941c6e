#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "core/base/own.h"
#include "core/obs/metrics.h"

static struct buf out;

static const char *expose(void) {
    buf_clear(&out);
    metrics_write(&out);
    buf_putc(&out, 0);
    assert_false(out.failed);
    return out.p;
}

static void has(const char *line) {
    const char *text = expose(), *at = strstr(text, line);
    if (at == NULL || (at != text && at[-1] != '\n') || at[strlen(line)] != '\n')
        fail_msg("no line %s in:\n%s", line, text);
}

static void test_counter_and_gauge(void **state) {
    (void)state;
    struct metric *c = metric_get(METRIC_COUNTER, "t_total", "Things\nwith \\ lines", "");
    assert_ptr_equal(c, metric_get(METRIC_COUNTER, "t_total", "x", ""));
    assert_null(strstr(expose(), "t_total ")); /* nothing before the first update */
    metric_add(c, NULL, 1);
    metric_add(c, NULL, 2);
    has("# HELP t_total Things\\nwith \\\\ lines");
    has("# TYPE t_total counter");
    has("t_total 3");
    struct metric *g = metric_get(METRIC_GAUGE, "t_gauge", "g", "");
    metric_set(g, NULL, 0.5);
    metric_add(g, NULL, -0.75);
    has("t_gauge -0.25");
    metric_set(g, NULL, INFINITY);
    has("t_gauge +Inf");
    metric_set(g, NULL, NAN);
    has("t_gauge NaN");
    metric_set(g, NULL, 1e21);
    has("t_gauge 1e+21");
}

static void test_labels(void **state) {
    (void)state;
    struct metric *m = metric_get(METRIC_COUNTER, "t_labels_total", "l", "route, status");
    metric_add(m, (const char *[]){"/a", "200"}, 1);
    metric_add(m, (const char *[]){"/a", "200"}, 1);
    metric_add(m, (const char *[]){"/a\"\\\n", "500"}, 1);
    metric_add(m, (const char *[]){"", NULL}, 1);
    metric_add(m, (const char *[]){"\xff\xc3\xa9", "x"}, 1);
    metric_add(m, (const char *[]){"\xc3\xa9", "x"}, 1);
    has("t_labels_total{route=\"/a\",status=\"200\"} 2");
    has("t_labels_total{route=\"/a\\\"\\\\\\n\",status=\"500\"} 1");
    has("t_labels_total{route=\"\",status=\"\"} 1");
    has("t_labels_total{route=\"???\",status=\"x\"} 1");
    has("t_labels_total{route=\"\xc3\xa9\",status=\"x\"} 1");
    char big[400];
    memset(big, 'v', sizeof(big));
    big[399] = 0;
    metric_add(m, (const char *[]){big, "1"}, 1);
    big[128] = 0;
    metric_add(m, (const char *[]){big, "1"}, 1); /* the same after cutting */
    assert_non_null(strstr(expose(), "vvv\",status=\"1\"} 2\n"));
}

static void test_series_are_bounded(void **state) {
    (void)state;
    struct metric *m = metric_get(METRIC_COUNTER, "t_many_total", "m", "k");
    for (int i = 0; i < 3000; i++) {
        char v[16];
        (void)snprintf(v, sizeof(v), "v%d", i);
        metric_add(m, (const char *[]){v}, 1);
    }
    has("t_many_total{k=\"v999\"} 1");
    has("t_many_total{k=\"_other\"} 2000");
    has("dockflow_metrics_folded_total 2000");
    assert_null(strstr(expose(), "k=\"v1000\""));
    metric_add(m, (const char *[]){"v5"}, 1); /* known ones go on counting */
    has("t_many_total{k=\"v5\"} 2");
}

static void test_histogram(void **state) {
    (void)state;
    struct metric *h = metric_get(METRIC_HISTOGRAM, "t_seconds", "h", "op");
    const char *const op[] = {"x"};
    const double v[] = {0, 0.0005, 0.00075, 0.375, 30, 31};
    for (size_t i = 0; i < ARRAY_LEN(v); i++)
        metric_observe(h, op, v[i]);
    has("# TYPE t_seconds histogram");
    has("t_seconds_bucket{op=\"x\",le=\"0.0005\"} 2");
    has("t_seconds_bucket{op=\"x\",le=\"0.001\"} 3");
    has("t_seconds_bucket{op=\"x\",le=\"0.25\"} 3");
    has("t_seconds_bucket{op=\"x\",le=\"0.5\"} 4");
    has("t_seconds_bucket{op=\"x\",le=\"30\"} 5");
    has("t_seconds_bucket{op=\"x\",le=\"+Inf\"} 6");
    has("t_seconds_count{op=\"x\"} 6");
    has("t_seconds_sum{op=\"x\"} 61.37625");
    struct metric *plain = metric_get(METRIC_HISTOGRAM, "t_plain_seconds", "h", "");
    metric_observe(plain, NULL, 0.002);
    has("t_plain_seconds_bucket{le=\"0.0025\"} 1");
    has("t_plain_seconds_count 1");
}

static void refresh(void *arg) { metric_set(arg, NULL, 7); }

static void test_collect_hook(void **state) {
    (void)state;
    struct metric *g = metric_get(METRIC_GAUGE, "t_live", "g", "");
    metrics_on_collect(refresh, g);
    has("t_live 7");
}

static void test_full_buffer_is_noticed(void **state) {
    (void)state;
    AUTO_BUF small;
    buf_init(&small, 0, 100);
    metrics_write(&small);
    assert_true(small.failed);
}

int main(void) {
    buf_init(&out, KIB(64), MIB(16));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counter_and_gauge),  cmocka_unit_test(test_labels),
        cmocka_unit_test(test_series_are_bounded), cmocka_unit_test(test_histogram),
        cmocka_unit_test(test_collect_hook),       cmocka_unit_test(test_full_buffer_is_noticed),
    };
    int failed = cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
    buf_done(&out);
    return failed;
}
