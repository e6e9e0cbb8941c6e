/* Private: what the registry keeps and the exposition reads. */
#pragma once
#include <stddef.h>
#include "core/base/map.h"
#include "core/obs/metrics.h"

#define METRICS_BUCKETS 15
#define METRICS_LABELS 8      /* label names of one metric */
#define METRICS_VALUE_MAX 128 /* bytes of one label value */
#define METRICS_SERIES_MAX 1000
#define METRICS_OTHER "_other"

extern const double metrics_bounds[METRICS_BUCKETS]; /* seconds */

struct metric_series {
    double value; /* histogram: sum */
    uint64_t count;
    uint64_t buckets[]; /* histogram only; each on its own, added up when written */
};
struct metric {
    enum metric_type type;
    const char *name, *help, *labels_text;
    char *labels[METRICS_LABELS];
    size_t n_labels;
    struct map series;          /* label values, each with its NUL -> struct series */
    struct metric_series *only; /* without labels: the one; with labels: where the overflow goes */
    uint64_t folded;            /* updates that went there */
};
struct metrics_hook {
    void (*fn)(void *arg);
    void *arg;
};
struct metrics {
    struct map by_name;
    struct metrics_hook hooks[64];
    size_t n_hooks;
};
extern struct metrics metrics_registry;
