/* A viewer that wants more of the past than the shared ring holds reads it on its own, once, bounded. */
#include "core/base/check.h"
#include "core/docker/hub_internal.h"

#define PAST_BYTES MIB(4)

struct load {
    struct hub_viewer *v;
    uint64_t last_seq;
    bool saw_after; /* the line the viewer had last is still in the log */
};

static err_t on_line(void *arg, const struct log_line *line) {
    struct load *l = arg;
    struct hub_viewer *v = l->v;
    struct log_line copy = *line;
    l->last_seq = hub_seq(l->last_seq, line->ts_ns);
    if (v->dead)
        return err_new(ERR_CANCELLED, "the viewer left");
    if (v->conf.after_seq && l->last_seq <= v->conf.after_seq) {
        l->saw_after |= l->last_seq == v->conf.after_seq;
        return NULL;
    }
    ring_push(&v->past, l->last_seq, &copy);
    if (v->past.n > v->conf.max_history || v->past.bytes > PAST_BYTES) {
        ring_evict(&v->past);
        l->saw_after = false; /* cut: no longer complete from there */
    }
    return NULL;
}

static err_t fetch(struct hub_viewer *v) {
    struct load l = {.v = v};
    struct hub_fetch f = {.tail = v->conf.tail, .since_ns = v->conf.since_ns, .fn = on_line, .arg = &l};
    if (v->conf.after_seq) {
        f.tail = 0;
        f.since_ns = hub_seq_ns(v->conf.after_seq) - 1000000; /* a run of equal times is numbered from its first line */
    } else if (v->conf.tail < 0) {
        f.tail = (int64_t)v->conf.max_history;
    }
    /* the stream may end and go while this reads for a viewer that left */
    AUTO(docker) d = docker_ref(v->s->d);
    const char *container = arena_strdup(arena_current(), v->s->container);
    TRY(hub_fetch_lines(d, container, v->s->tty, &f, deadline_in(SECONDS(60))));
    if (v->conf.after_seq && !l.saw_after) {
        v->gap_pending = true;
        v->gap_from = hub_seq_ns(v->conf.after_seq);
        v->gap_to = v->past.n ? ring_at(&v->past, v->past.first)->ts_ns : 0;
        v->hub->stats.gaps++;
    }
    return NULL;
}

static err_t history_main(void *arg) {
    struct hub_viewer *v = MAGIC_CAST(arg, struct hub_viewer, VIEWER_MAGIC);
    struct hub *h = v->hub;
    err_t e = v->dead ? NULL : fetch(v);
    if (e && !v->dead) {
        v->load_arena = arena_new("log history error", 0);
        v->load_error = err_dup(v->load_arena, e);
    }
    v->loading = false;
    v->loaded = true;
    if (!v->dead)
        hub_deliver_soon(v->s);
    hub_viewer_unref(v);
    h->nhistories--;
    cond_broadcast(&h->quiet);
    return NULL;
}

void hub_load_history(struct hub_viewer *v) {
    v->loading = true;
    v->refs++;
    v->hub->nhistories++;
    fiber_spawn_detached("log-history", NULL, history_main, v);
}
