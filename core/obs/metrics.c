#include "core/obs/metrics.h"
#include <stdlib.h>
#include <string.h>
#include "core/base/check.h"
#include "core/base/str.h"
#include "core/obs/metrics_registry.h"

const double metrics_bounds[METRICS_BUCKETS] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                                0.25,   0.5,   1,      2.5,   5,    10,    30};

struct metrics metrics_registry;
#define R metrics_registry

static bool name_ok(const char *s) {
    if (s[0] == 0 || (s[0] >= '0' && s[0] <= '9'))
        return false;
    for (; *s != 0; s++)
        if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') || *s == '_'))
            return false;
    return true;
}

static void split_labels(struct metric *m, const char *labels) {
    struct str rest = str_of(labels), part;
    while (labels[0] != 0 && str_cut(&rest, ',', &part)) {
        part = str_trim(part);
        CHECK(m->n_labels < METRICS_LABELS && part.n > 0);
        char *name = strndup(part.p, part.n);
        CHECK(name != NULL && name_ok(name));
        m->labels[m->n_labels++] = name;
    }
}

struct metric *metric_get(enum metric_type type, const char *name, const char *help, const char *labels) {
    if (R.by_name.nslots == 0)
        map_init(&R.by_name, NULL);
    struct metric *m = map_getz(&R.by_name, name);
    if (m != NULL) {
        CHECK(m->type == type && z_eq(m->labels_text, labels)); /* two meanings for one name */
        return m;
    }
    CHECK(name_ok(name) && help != NULL && labels != NULL);
    m = calloc(1, sizeof(*m));
    CHECK(m != NULL);
    *m = (struct metric){.type = type, .name = name, .help = help, .labels_text = labels};
    split_labels(m, labels);
    map_init(&m->series, NULL);
    (void)map_setz(&R.by_name, name, m);
    return m;
}

/* Values are joined with their NULs: unambiguous, and the exposition can split them again. */
struct key {
    size_t n;
    char text[METRICS_LABELS * (METRICS_VALUE_MAX + 1)];
};

static size_t cut(const char *value) {
    size_t n = strnlen(value, METRICS_VALUE_MAX + 1);
    if (n <= METRICS_VALUE_MAX)
        return n;
    for (n = METRICS_VALUE_MAX; n > 0 && ((unsigned char)value[n] & 0xc0) == 0x80;)
        n--;
    return n;
}

static void make_key(const struct metric *m, const char *const *values, struct key *k) {
    k->n = 0;
    for (size_t i = 0; i < m->n_labels; i++) {
        const char *v = values == NULL ? METRICS_OTHER : values[i] != NULL ? values[i] : "";
        size_t n = cut(v);
        memcpy(k->text + k->n, v, n);
        k->n += n;
        k->text[k->n++] = 0;
    }
}

static struct metric_series *add_series(struct metric *m, struct str key) {
    size_t extra = m->type == METRIC_HISTOGRAM ? sizeof(uint64_t) * METRICS_BUCKETS : 0;
    struct metric_series *s = calloc(1, sizeof(*s) + extra);
    CHECK(s != NULL);
    (void)map_set(&m->series, key, s);
    return s;
}

static struct metric_series *series_of(struct metric *m, const char *const *values) {
    CHECK(m->n_labels == 0 || values != NULL);
    if (m->n_labels == 0) {
        if (m->only == NULL)
            m->only = add_series(m, STR(""));
        return m->only;
    }
    struct key k;
    make_key(m, values, &k);
    struct metric_series *s = map_get(&m->series, str_n(k.text, k.n));
    if (s != NULL)
        return s;
    if (m->series.n < METRICS_SERIES_MAX)
        return add_series(m, str_n(k.text, k.n));
    /* Label values come from outside (paths, names): past the limit all share one series instead of our memory. */
    m->folded++;
    if (m->only == NULL) {
        make_key(m, NULL, &k);
        m->only = map_get(&m->series, str_n(k.text, k.n));
        if (m->only == NULL)
            m->only = add_series(m, str_n(k.text, k.n));
    }
    return m->only;
}

void metric_add(struct metric *m, const char *const *values, double delta) {
    CHECK(m->type != METRIC_HISTOGRAM && (m->type == METRIC_GAUGE || delta >= 0));
    series_of(m, values)->value += delta;
}

void metric_set(struct metric *m, const char *const *values, double v) {
    CHECK(m->type == METRIC_GAUGE);
    series_of(m, values)->value = v;
}

void metric_observe(struct metric *m, const char *const *values, double seconds) {
    CHECK(m->type == METRIC_HISTOGRAM);
    metric_series_observe(series_of(m, values), seconds);
}

struct metric_series *metric_series_get(struct metric *m, const char *const *values) {
    return series_of(m, values);
}

void metric_series_add(struct metric_series *s, double delta) { s->value += delta; }

void metric_series_observe(struct metric_series *s, double seconds) {
    s->value += seconds;
    s->count++;
    size_t i = 0;
    while (i < METRICS_BUCKETS && seconds > metrics_bounds[i])
        i++;
    if (i < METRICS_BUCKETS)
        s->buckets[i]++;
}

void metrics_on_collect(void (*fn)(void *arg), void *arg) {
    CHECK(R.n_hooks < ARRAY_LEN(R.hooks));
    R.hooks[R.n_hooks++] = (struct metrics_hook){fn, arg};
}
