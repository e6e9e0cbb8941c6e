/* Prometheus text exposition, version 0.0.4. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/str.h"
#include "core/obs/metrics_registry.h"

static void put_number(struct buf *out, double d) {
    if (isnan(d)) {
        buf_puts(out, "NaN");
    } else if (isinf(d)) {
        buf_puts(out, d > 0 ? "+Inf" : "-Inf");
    } else if (d == floor(d) && fabs(d) < 9007199254740992.0) {
        buf_putf(out, "%lld", (long long)d);
    } else {
        char text[40];
        for (int digits = 15; digits <= 17; digits++) {
            (void)snprintf(text, sizeof(text), "%.*g", digits, d);
            if (strtod(text, NULL) == d)
                break;
        }
        buf_puts(out, text);
    }
}

static void put_escaped(struct buf *out, struct str s, bool quote) {
    bool utf8 = str_is_utf8(s);
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '\\')
            buf_puts(out, "\\\\");
        else if (c == '\n')
            buf_puts(out, "\\n");
        else if (c == '"' && quote)
            buf_puts(out, "\\\"");
        else
            buf_putc(out, (char)(!utf8 && (unsigned char)c >= 0x80 ? '?' : c));
    }
}

/* name{a="x",b="y",le="0.5"}, the braces only when there is something in them */
static void put_name(struct buf *out, const struct metric *m, const char *suffix, struct str key, const char *le) {
    buf_puts(out, m->name);
    buf_puts(out, suffix);
    if (m->n_labels == 0 && le == NULL)
        return;
    buf_putc(out, '{');
    for (size_t i = 0; i < m->n_labels; i++) {
        struct str value = {NULL, 0};
        (void)str_cut(&key, '\0', &value);
        if (i > 0)
            buf_putc(out, ',');
        buf_puts(out, m->labels[i]);
        buf_puts(out, "=\"");
        put_escaped(out, value, true);
        buf_putc(out, '"');
    }
    if (le != NULL)
        buf_putf(out, "%sle=\"%s\"", m->n_labels > 0 ? "," : "", le);
    buf_putc(out, '}');
}

static void put_sample(struct buf *out, const struct metric *m, const char *suffix, struct str key, const char *le,
                       double v) {
    put_name(out, m, suffix, key, le);
    buf_putc(out, ' ');
    put_number(out, v);
    buf_putc(out, '\n');
}

static void put_histogram(struct buf *out, const struct metric *m, struct str key, const struct metric_series *s) {
    uint64_t total = 0;
    for (size_t i = 0; i < METRICS_BUCKETS; i++) {
        char le[32];
        (void)snprintf(le, sizeof(le), "%g", metrics_bounds[i]);
        total += s->buckets[i];
        put_sample(out, m, "_bucket", key, le, (double)total);
    }
    put_sample(out, m, "_bucket", key, "+Inf", (double)s->count);
    put_sample(out, m, "_sum", key, NULL, s->value);
    put_sample(out, m, "_count", key, NULL, (double)s->count);
}

static void put_metric(struct buf *out, const struct metric *m) {
    static const char *const types[] = {"counter", "gauge", "histogram"};
    buf_putf(out, "# HELP %s ", m->name);
    put_escaped(out, str_of(m->help), false);
    buf_putf(out, "\n# TYPE %s %s\n", m->name, types[m->type]);
    for (struct map_entry *e = NULL; (e = map_next(&m->series, e)) != NULL;) {
        if (m->type == METRIC_HISTOGRAM)
            put_histogram(out, m, e->key, e->value);
        else
            put_sample(out, m, "", e->key, NULL, ((const struct metric_series *)e->value)->value);
    }
}

void metrics_write(struct buf *out) {
    struct metrics *r = &metrics_registry;
    for (size_t i = 0; i < r->n_hooks; i++)
        r->hooks[i].fn(r->hooks[i].arg);
    uint64_t folded = 0;
    for (struct map_entry *e = NULL; (e = map_next(&r->by_name, e)) != NULL;) {
        const struct metric *m = e->value;
        if (m->series.n > 0)
            put_metric(out, m);
        folded += m->folded;
    }
    buf_putf(out,
             "# HELP dockflow_metrics_folded_total Updates that went to the " METRICS_OTHER " series for want of room\n"
             "# TYPE dockflow_metrics_folded_total counter\ndockflow_metrics_folded_total %llu\n",
             (unsigned long long)folded);
}
