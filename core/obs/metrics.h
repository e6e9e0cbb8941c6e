/* Metrics registry with Prometheus text exposition (version 0.0.4). Loop thread only. Label sets per metric are bounded (1000). */
#pragma once
#include <stdint.h>
#include "core/base/buf.h"
struct metric;
enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };
/** Register (or find) a metric; `labels` is a comma list of label names or "". Static strings. */
struct metric *metric_get(enum metric_type type, const char *name, const char *help, const char *labels);
/** values: label values in order (NULL when no labels). Cheap: one hash lookup. */
void metric_add(struct metric *m, const char *const *values, double delta);
void metric_set(struct metric *m, const char *const *values, double v);
void metric_observe(struct metric *m, const char *const *values, double seconds); /* fixed buckets 0.5 ms .. 30 s */
/** One set of label values, looked up once and kept; lives as long as the process. For paths where the look-up would show. */
struct metric_series;
struct metric_series *metric_series_get(struct metric *m, const char *const *values);
void metric_series_add(struct metric_series *s, double delta);
void metric_series_observe(struct metric_series *s, double seconds);
/** Called before each exposition to set gauges from live state. */
void metrics_on_collect(void (*fn)(void *arg), void *arg);
void metrics_write(struct buf *out);
