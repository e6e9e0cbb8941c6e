/* Viewers: attaching, delivery on the loop stack, life of hub and streams. */
#include <stdlib.h>
#include "core/base/check.h"
#include "core/docker/docker_internal.h"
#include "core/docker/hub_internal.h"
#include "core/docker/spec.h"

#define BATCH_BYTES KIB(256)
#define BATCHES_PER_TURN 8 /* a viewer far behind must not hold the loop */

/* ---- batches ---- */

struct span {
    const struct ring *ring;
    uint64_t from, to; /* indexes */
    uint64_t min_seq;
    unsigned mask; /* bit 1 stdout, bit 2 stderr */
};

/* Lines of a span into hub->items, as many as fit one batch; returns the index after the last one looked at. */
static uint64_t collect(struct hub *h, const struct span *sp) {
    uint64_t i = sp->from;
    size_t bytes = 0;
    h->nitems = 0;
    h->json_ready = h->skipped = false;
    for (; i < sp->to && h->nitems < h->conf.batch_lines && bytes < BATCH_BYTES; i++) {
        const struct ring_line *l = ring_at(sp->ring, i);
        h->skipped |= l->seq <= sp->min_seq;
        if (l->seq <= sp->min_seq || !(sp->mask & (1u << l->stream)))
            continue;
        h->items[h->nitems++] = (struct hub_item){.seq = l->seq,
                                                  .ts_ns = l->ts_ns,
                                                  .stream = l->stream,
                                                  .cut = l->cut,
                                                  .text = str_n(l->chunk->data + l->off, l->len)};
        bytes += l->len;
    }
    return i;
}

/* The same lines for the next viewer at the same place: collected and encoded once. */
static uint64_t batch(struct hub *h, const struct span *sp, struct hub_batch *ret) {
    bool hit = h->cached.ring == sp->ring && h->cached.from == sp->from && h->cached.mask == sp->mask &&
               h->cached.next <= sp->to && !h->skipped && (h->nitems == 0 || h->items[0].seq > sp->min_seq);
    if (!hit) {
        h->cached.ring = sp->ring;
        h->cached.from = sp->from;
        h->cached.mask = sp->mask;
        h->cached.next = collect(h, sp);
    }
    *ret = (struct hub_batch){h->items, h->nitems, &h->json, &h->json_ready};
    return h->cached.next;
}

/* ---- one viewer ---- */

static unsigned mask_of(const struct hub_viewer *v) {
    return (v->conf.no_stdout ? 0u : 2u) | (v->conf.no_stderr ? 0u : 4u);
}

static void tell(struct hub_viewer *v, const struct hub_event *ev) {
    if (!v->dead)
        v->conf.on_event(v->conf.ctx, ev);
}

static void end_viewer(struct hub_viewer *v, const char *reason, err_t e) {
    struct hub_event ev = {.kind = HUB_END, .reason = reason, .error = e};
    tell(v, &ev);
    hub_detach(v);
}

static void gap_at(struct hub_viewer *v, uint64_t after_seq, const struct ring *r, uint64_t next) {
    v->gap_pending = true;
    v->gap_from = hub_seq_ns(after_seq);
    v->gap_to = next < ring_end(r) ? ring_at(r, next)->ts_ns : 0;
    v->hub->stats.gaps++;
}

static void position_after(struct hub_viewer *v) {
    struct lstream *s = v->s;
    uint64_t seq = v->conf.after_seq, next = ring_after(&s->ring, seq);
    bool exact = next > s->ring.first && ring_at(&s->ring, next - 1)->seq == seq;
    bool covered = s->ring.n && ring_at(&s->ring, s->ring.first)->seq <= seq;
    if (!exact && !covered && !v->founder && !s->whole) {
        v->load_mark = ring_end(&s->ring);
        hub_load_history(v);
        return;
    }
    v->cursor = next;
    v->min_seq = seq;
    if (!exact && seq <= s->last_seq)
        gap_at(v, seq, &s->ring, next);
}

static void skip_before(struct hub_viewer *v, int64_t since_ns) {
    const struct ring *r = &v->s->ring;
    while (since_ns && v->cursor < ring_end(r) && ring_at(r, v->cursor)->ts_ns < since_ns)
        v->cursor++;
}

/* Where does this viewer begin: in the ring, or with a history of its own? */
static void position(struct hub_viewer *v) {
    struct lstream *s = v->s;
    const struct ring *r = &s->ring;
    v->positioned = true;
    v->notes_seen = s->nnotes;
    if (s->stopped && s->nnotes) /* the newest note may say that it is not running */
        v->notes_seen--;
    if (v->conf.after_seq) {
        position_after(v);
    } else if (v->founder) {
        v->cursor = r->first;
    } else if (v->conf.tail == 0) {
        v->cursor = ring_end(r);
    } else {
        uint64_t want = v->conf.tail < 0 ? v->conf.max_history : (uint64_t)v->conf.tail;
        bool enough =
            r->n >= want || s->whole || (v->conf.since_ns && r->n && ring_at(r, r->first)->ts_ns <= v->conf.since_ns);
        if (enough) {
            v->cursor = r->n > want ? ring_end(r) - want : r->first;
            skip_before(v, v->conf.since_ns);
        } else {
            v->load_mark = ring_end(r);
            hub_load_history(v);
        }
    }
    v->limit = ring_end(r);
}

/* Own history is complete: the ring goes on where it ends. */
static void join_ring(struct hub_viewer *v) {
    const struct ring *r = &v->s->ring;
    v->loaded = false;
    v->past_cursor = v->past.first;
    v->min_seq = v->past.n ? ring_at(&v->past, ring_end(&v->past) - 1)->seq : v->conf.after_seq;
    v->cursor = ring_after(r, v->min_seq);
    if (r->first > v->load_mark && v->cursor == r->first)
        v->cursor = v->load_mark; /* overwritten meanwhile: counted as dropped */
    v->limit = 0;
}

static bool runnable(const struct hub_viewer *v) { return !v->dead && !v->paused && !v->loading; }

/* History first. Returns true when there is nothing left of it. */
static bool pump_past(struct hub_viewer *v, unsigned *budget) {
    while (v->past_cursor < ring_end(&v->past) && *budget && runnable(v)) {
        struct span sp = {.ring = &v->past, .from = v->past_cursor, .to = ring_end(&v->past), .mask = mask_of(v)};
        struct hub_batch b;
        v->past_cursor = batch(v->hub, &sp, &b);
        (*budget)--;
        if (b.n)
            v->conf.on_lines(v->conf.ctx, &b);
    }
    if (v->past_cursor < ring_end(&v->past))
        return false;
    if (v->past.n) {
        v->hub->cached.ring = NULL;
        ring_done(&v->past);
        v->past_cursor = v->past.first;
    }
    return true;
}

static void report_dropped(struct hub_viewer *v) {
    const struct ring *r = &v->s->ring;
    if (v->cursor >= r->first)
        return;
    struct hub_event ev = {.kind = HUB_DROPPED, .count = r->first - v->cursor};
    v->hub->stats.dropped += ev.count;
    v->cursor = r->first;
    tell(v, &ev);
}

/* The next note that stands before or at the viewer's place, or the index where the next one waits. */
static uint64_t deliver_notes(struct hub_viewer *v) {
    struct lstream *s = v->s;
    if (s->nnotes - v->notes_seen > LSTREAM_NOTES)
        v->notes_seen = s->nnotes - LSTREAM_NOTES;
    while (v->notes_seen < s->nnotes) {
        const struct lstream_note *n = &s->notes[v->notes_seen % LSTREAM_NOTES];
        if (n->at > v->cursor)
            return n->at;
        v->notes_seen++;
        struct hub_event ev = {.kind = n->kind, .from_ns = n->from_ns, .to_ns = n->to_ns};
        tell(v, &ev);
        if (!runnable(v))
            break;
    }
    return UINT64_MAX;
}

static void pump_ring(struct hub_viewer *v, unsigned *budget) {
    const struct ring *r = &v->s->ring;
    while (runnable(v) && *budget) {
        report_dropped(v);
        uint64_t stop = runnable(v) ? deliver_notes(v) : 0;
        uint64_t to = ring_end(r) < stop ? ring_end(r) : stop;
        if (v->conf.no_follow && to > v->limit)
            to = v->limit;
        if (!runnable(v) || v->cursor >= to)
            return;
        struct span sp = {.ring = r, .from = v->cursor, .to = to, .min_seq = v->min_seq, .mask = mask_of(v)};
        struct hub_batch b;
        v->cursor = batch(v->hub, &sp, &b);
        (*budget)--;
        if (b.n)
            v->conf.on_lines(v->conf.ctx, &b);
    }
}

static bool done_for_now(const struct hub_viewer *v) {
    uint64_t end = ring_end(&v->s->ring);
    return v->cursor >= (v->conf.no_follow && v->limit < end ? v->limit : end);
}

/* Returns true when the viewer could go on at once but its turn is over. */
static bool pump(struct hub_viewer *v) {
    struct lstream *s = v->s;
    unsigned budget = BATCHES_PER_TURN;
    if (!s->primed)
        return false;
    if (!v->positioned)
        position(v);
    if (v->load_error) {
        end_viewer(v, "error", v->load_error);
        return false;
    }
    if (v->loaded)
        join_ring(v);
    if (!runnable(v))
        return false;
    if (v->gap_pending) {
        struct hub_event ev = {.kind = HUB_GAP, .from_ns = v->gap_from, .to_ns = v->gap_to};
        v->gap_pending = false;
        tell(v, &ev);
    }
    if (!pump_past(v, &budget))
        return runnable(v);
    pump_ring(v, &budget);
    if (!runnable(v))
        return false;
    if (!done_for_now(v))
        return true;
    if (!v->caught_up) {
        struct hub_event ev = {.kind = HUB_CAUGHT_UP};
        v->caught_up = true;
        tell(v, &ev);
    }
    if (v->conf.no_follow && !v->dead)
        end_viewer(v, "eof", NULL);
    return false;
}

/* ---- streams ---- */

static void lstream_free(struct lstream *s) {
    struct hub *h = s->hub;
    CHECK(s->nviewers == 0);
    if (map_getz(&h->streams, s->key) == s)
        map_del(&h->streams, str_of(s->key));
    h->bytes -= s->ring.bytes;
    ring_done(&s->ring);
    loop_defer_cancel(&s->deliver);
    timer_close(&s->idle);
    cond_done(&s->wake);
    fiber_detach(s->fiber);
    docker_unref(s->d);
    arena_unref(s->end_arena);
    free(s->key);
    free(s->container);
    s->magic = 0;
    free(s);
    h->nstreams--;
    cond_broadcast(&h->quiet);
}

static void sweep(struct lstream *s) {
    for
        list_each_safe(it, tmp, &s->viewers) {
            struct hub_viewer *v = list_entry(it, struct hub_viewer, link);
            if (!v->dead)
                continue;
            list_del(&v->link);
            hub_viewer_unref(v);
            if (--s->nviewers)
                continue;
            if (s->end_reason)
                hub_deliver_soon(s); /* the last pass frees the stream */
            else
                timer_start(&s->idle, s->hub->conf.idle_ms, 0);
        }
}

static void deliver_cb(void *arg) {
    struct lstream *s = MAGIC_CAST(arg, struct lstream, LSTREAM_MAGIC);
    bool more = false, over = s->end_reason != NULL;
    s->hub->cached.ring = NULL;
    s->delivering++;
    for
        list_each_safe(it, tmp, &s->viewers) {
            struct hub_viewer *v = list_entry(it, struct hub_viewer, link);
            if (v->dead)
                continue;
            if (over && !s->primed) { /* it never opened */
                end_viewer(v, s->end_reason, s->end_error);
                continue;
            }
            more |= pump(v);
            bool done = !v->loading && !v->paused && done_for_now(v);
            if (over && !v->dead && (done || s->hub->closing))
                end_viewer(v, s->end_reason, s->end_error);
        }
    s->hub->cached.ring = NULL;
    s->delivering--;
    sweep(s);
    if (over && s->nviewers == 0)
        lstream_free(s);
    else if (more)
        hub_deliver_soon(s);
}

void hub_deliver_soon(struct lstream *s) { loop_defer(&s->deliver, deliver_cb, s); }

void hub_note_event(struct lstream *s, enum hub_event_kind kind, int64_t from_ns, int64_t to_ns) {
    s->notes[s->nnotes++ % LSTREAM_NOTES] =
        (struct lstream_note){.kind = kind, .from_ns = from_ns, .to_ns = to_ns, .at = ring_end(&s->ring)};
    hub_deliver_soon(s);
}

static void on_idle(void *arg) {
    struct lstream *s = MAGIC_CAST(arg, struct lstream, LSTREAM_MAGIC);
    if (s->nviewers || s->end_reason)
        return;
    if (map_getz(&s->hub->streams, s->key) == s) /* a new viewer opens a new stream from now on */
        map_del(&s->hub->streams, str_of(s->key));
    fiber_cancel(s->fiber);
}

static char *heap_z(const char *z) {
    size_t n = strlen(z) + 1;
    char *p = malloc(n);
    CHECK(p != NULL);
    return memcpy(p, z, n);
}

static struct lstream *lstream_new(struct hub *h, struct docker *d, const char *key, const char *container) {
    struct lstream *s = calloc(1, sizeof *s);
    CHECK(s != NULL);
    *s = (struct lstream){.magic = LSTREAM_MAGIC, .hub = h, .d = docker_ref(d)};
    s->key = heap_z(key);
    s->container = heap_z(container);
    s->end_arena = arena_new("log stream end", 0);
    list_init(&s->viewers);
    cond_init(&s->wake);
    timer_init(&s->idle, on_idle, s);
    map_setz(&h->streams, key, s);
    h->nstreams++;
    s->fiber = fiber_spawn("log-stream", NULL, lstream_main, s);
    return s;
}

/* ---- public ---- */

void hub_viewer_unref(struct hub_viewer *v) {
    if (--v->refs)
        return;
    ring_done(&v->past);
    arena_unref(v->load_arena);
    v->hub->nviewers--;
    v->magic = 0;
    free(v);
}

static struct hub_conf with_defaults(const struct hub_conf *conf) {
    struct hub_conf c = conf ? *conf : (struct hub_conf){0};
    c.ring_bytes = c.ring_bytes ? c.ring_bytes : MIB(4);
    c.ring_lines = c.ring_lines ? c.ring_lines : 32768;
    c.total_bytes = c.total_bytes ? c.total_bytes : MIB(256);
    c.idle_ms = c.idle_ms ? c.idle_ms : SECONDS(30);
    c.max_viewers = c.max_viewers ? c.max_viewers : 2000;
    c.max_streams = c.max_streams ? c.max_streams : 2048;
    c.batch_lines = c.batch_lines ? c.batch_lines : 512;
    return c;
}

struct hub *hub_new(const struct hub_conf *conf) {
    struct hub *h = calloc(1, sizeof *h);
    CHECK(h != NULL);
    h->conf = with_defaults(conf);
    map_init(&h->streams, NULL);
    cond_init(&h->quiet);
    buf_init(&h->json, 0, MIB(16));
    h->items = calloc(h->conf.batch_lines, sizeof *h->items);
    CHECK(h->items != NULL);
    return h;
}

void hub_free(struct hub *h) {
    if (!h)
        return;
    h->closing = true;
    for (struct map_entry *e = NULL; (e = map_next(&h->streams, e));) {
        struct lstream *s = e->value;
        fiber_cancel(s->fiber);
    }
    fiber_mask();
    while (h->nstreams || h->nhistories)
        err_ignore(cond_wait(&h->quiet, deadline_in(SECONDS(60))));
    fiber_unmask();
    map_done(&h->streams);
    cond_done(&h->quiet);
    buf_done(&h->json);
    free(h->items);
    free(h);
}

static err_t admit(struct hub *h, const struct lstream *s) {
    if (h->closing)
        return err_new(ERR_SHUTTING_DOWN, "the server is shutting down");
    if (s && s->nviewers >= h->conf.max_viewers)
        return err_new(ERR_BUSY, "%zu viewers read this container's log already", s->nviewers);
    if (!s && h->nstreams >= h->conf.max_streams)
        return err_new(ERR_BUSY, "%zu container logs are open already", h->nstreams);
    return NULL;
}

static void found_stream(struct lstream *s, struct hub_viewer *v) {
    int64_t all = (int64_t)v->conf.max_history;
    v->founder = true;
    s->first_tail = v->conf.tail < 0 || v->conf.tail > all || v->conf.after_seq ? all : v->conf.tail;
    s->first_since_ns = v->conf.after_seq ? hub_seq_ns(v->conf.after_seq) - 1000000 : v->conf.since_ns;
}

err_t hub_attach(struct hub *h, struct docker *d, const struct hub_viewer_conf *conf, struct hub_viewer **ret) {
    char key[320];
    TRY(err_field(docker_ref_check(str_of(conf->container ? conf->container : "")), "container"));
    snprintf(key, sizeof key, "%p %s", (void *)d, conf->container);
    struct lstream *s = map_getz(&h->streams, key);
    TRY(admit(h, s));
    struct hub_viewer *v = calloc(1, sizeof *v);
    CHECK(v != NULL);
    *v = (struct hub_viewer){.magic = VIEWER_MAGIC, .refs = 1, .hub = h, .conf = *conf};
    v->conf.container = NULL; /* borrowed for the call */
    if (!v->conf.max_history)
        v->conf.max_history = 10000;
    if (!s) {
        s = lstream_new(h, d, key, conf->container);
        found_stream(s, v);
    }
    v->s = s;
    h->nviewers++;
    list_add_tail(&s->viewers, &v->link);
    s->nviewers++;
    timer_stop(&s->idle);
    hub_deliver_soon(s);
    *ret = v;
    return NULL;
}

void hub_detach(struct hub_viewer *v) {
    if (!v)
        return;
    CHECK(v->magic == VIEWER_MAGIC);
    if (v->dead)
        return;
    v->dead = true;
    if (!v->s->delivering)
        sweep(v->s);
}

void hub_pause(struct hub_viewer *v) { v->paused = true; }

void hub_resume(struct hub_viewer *v) {
    if (!v->paused)
        return;
    v->paused = false;
    hub_deliver_soon(v->s);
}

void hub_container_event(struct hub *h, const struct docker *d, const char *container_id, const char *action) {
    char key[320];
    snprintf(key, sizeof key, "%p %s", (const void *)d, container_id);
    struct lstream *s = map_getz(&h->streams, key);
    bool news = z_eq(action, "start") || z_eq(action, "restart") || z_eq(action, "die") || z_eq(action, "destroy");
    if (!s || !news)
        return;
    s->woken = true;
    cond_broadcast(&s->wake);
}

struct hub_stats hub_stats_get(const struct hub *h) {
    struct hub_stats st = h->stats;
    st.streams = h->nstreams;
    st.viewers = h->nviewers;
    st.ring_bytes = h->bytes;
    st.open_streams = 0;
    for (struct map_entry *e = NULL; (e = map_next(&h->streams, e));)
        st.open_streams += ((const struct lstream *)e->value)->opened;
    return st;
}
