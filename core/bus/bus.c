#include "core/bus/bus.h"
#include <stdlib.h>
#include <string.h>
#include "core/async/fiber.h"
#include "core/async/loop.h"
#include "core/base/check.h"
#include "core/base/id.h"
#include "core/base/list.h"
#include "core/obs/log.h"

enum {
    BUS_MAGIC = 0x62757331,
    PAYLOAD_MAX = 65536,
    BATCH = 500,
    BACKSTOP_MS = 5000, /* look even when no notification came */
    RETRY_MS = 1000,
    TOPICS_MAX = 16,
    REPLAY_MAX = 1000,
    REPLAY_SCAN = 20000,
};

struct bus_sub {
    struct list link;
    struct bus *bus;
    struct arena *a;
    struct bus_filter filter;
    void (*cb)(void *arg, const struct bus_event *e);
    void (*on_gap)(void *arg);
    void *arg;
    bool dead;
};

struct bus {
    uint32_t magic;
    struct pg *db;
    struct pg_listen *listen;
    struct fiber *fiber;
    struct list subs;
    int64_t seq;
    bool ready, wake, check_gap, closing, delivering, gap;
    struct deferred deliver;
    err_t (*before)(void *arg, const struct bus_event *e, size_t n);
    void *before_arg;
    const struct pg_result *batch; /* of the dispatcher's fiber, while it waits for delivery */
};

/* ---- publishing ---- */

err_t bus_publish(struct pg *tx, const char *topic, const char *scope_id, const char *object_kind,
                  const char *object_id, const char *payload) {
    if (payload != NULL && strlen(payload) > PAYLOAD_MAX)
        return err_new(ERR_TOO_LARGE, "an event of topic %s has more than %d bytes", topic, PAYLOAD_MAX);
    struct uuid_text id = uuid7();
    return pg_exec(tx, SQL_BUS_INSERT,
                   PG_ARGS(pg_uuid(id.z), pg_text(topic), pg_uuid(scope_id),
                           pg_text(object_kind != NULL ? object_kind : ""), pg_text(object_id != NULL ? object_id : ""),
                           pg_json(payload != NULL ? payload : "{}")),
                   NULL);
}

/* ---- matching ---- */

static bool same(const char *want, const char *have) { return want == NULL || z_eq(want, have); }

static bool matches(const struct bus_filter *f, void *arg, const struct bus_event *e) {
    if (f == NULL)
        return true;
    if (!same(f->org_id, e->org_id) || !same(f->scope_id, e->scope_id) || !same(f->object_kind, e->object_kind) ||
        !same(f->object_id, e->object_id))
        return false;
    bool topic = f->ntopics == 0;
    for (size_t i = 0; i < f->ntopics && !topic; i++)
        topic = glob_match(str_of(f->topics[i]), str_of(e->topic));
    return topic && (f->wants == NULL || f->wants(arg, e));
}

static struct bus_event event_of(const struct pg_result *r, size_t i) {
    return (struct bus_event){.seq = pg_cell_int(r, i, 0, 0),
                              .id = pg_cell(r, i, 1),
                              .topic = pg_cell(r, i, 2),
                              .org_id = pg_cell(r, i, 3),
                              .scope_id = pg_cell(r, i, 4),
                              .object_kind = pg_cell(r, i, 5),
                              .object_id = pg_cell(r, i, 6),
                              .payload = r->cells[i * r->cols + 7],
                              .created_at = pg_cell(r, i, 8)};
}

/* ---- delivery, on the loop stack ---- */

static void sub_free(struct bus_sub *s) {
    list_del(&s->link);
    arena_unref(s->a);
}

static void deliver_gap(struct bus *b) {
    for
        list_each_safe(it, tmp, &b->subs) {
            struct bus_sub *s = list_entry(it, struct bus_sub, link);
            if (!s->dead && s->on_gap != NULL)
                s->on_gap(s->arg);
        }
}

static void deliver_event(struct bus *b, const struct bus_event *e) {
    for
        list_each_safe(it, tmp, &b->subs) {
            struct bus_sub *s = list_entry(it, struct bus_sub, link);
            if (!s->dead && matches(&s->filter, s->arg, e))
                s->cb(s->arg, e);
        }
}

static void on_deliver(void *arg) {
    struct bus *b = MAGIC_CAST(arg, struct bus, BUS_MAGIC);
    b->delivering = true; /* unsubscribing now only marks */
    if (b->gap)
        deliver_gap(b);
    b->gap = false;
    for (size_t i = 0; b->batch != NULL && i < b->batch->rows; i++) {
        struct bus_event e = event_of(b->batch, i);
        deliver_event(b, &e);
        b->seq = e.seq;
    }
    b->delivering = false;
    for
        list_each_safe(it, tmp, &b->subs) {
            struct bus_sub *s = list_entry(it, struct bus_sub, link);
            if (s->dead)
                sub_free(s);
        }
    b->batch = NULL;
    if (b->fiber != NULL)
        fiber_wake(b->fiber);
}

/* ---- the dispatcher ---- */

static err_t hand_over(struct bus *b, const struct pg_result *batch, bool gap) {
    b->batch = batch;
    b->gap = gap;
    loop_defer(&b->deliver, on_deliver, b);
    while (b->deliver.queued) {
        err_t e = fiber_park("bus delivery", DEADLINE_NONE);
        if (e != NULL) {
            loop_defer_cancel(&b->deliver);
            b->batch = NULL;
            return e;
        }
    }
    return NULL;
}

/** First contact: from here on. Later: was something purged that we never saw? */
static err_t check_bounds(struct bus *b) {
    struct pg_result *r;
    TRY(pg_rows(b->db, arena_current(), SQL_BUS_BOUNDS, PG_ARGS(pg_int(b->seq)), &r));
    int64_t oldest = pg_cell_int(r, 0, 0, 0), newest = pg_cell_int(r, 0, 1, 0);
    b->check_gap = false;
    if (!b->ready) {
        b->seq = newest;
        b->ready = true;
        return NULL;
    }
    if (oldest > b->seq + 1 && b->seq > 0) {
        LOG(WARNING, "bus.gap", KV_INT("seen", b->seq), KV_INT("oldest", oldest));
        return hand_over(b, NULL, true);
    }
    return NULL;
}

static err_t prepare(struct bus *b, const struct pg_result *r) {
    if (b->before == NULL)
        return NULL;
    struct bus_event *e = arena_new_array(arena_current(), struct bus_event, r->rows);
    for (size_t i = 0; i < r->rows; i++)
        e[i] = event_of(r, i);
    return b->before(b->before_arg, e, r->rows);
}

static err_t catch_up(struct bus *b) {
    size_t rows = BATCH;
    while (rows == BATCH) {
        struct arena_mark m = arena_mark(arena_current());
        struct pg_result *r;
        err_t e = pg_rows(b->db, arena_current(), SQL_BUS_SINCE, PG_ARGS(pg_int(b->seq), pg_int(BATCH)), &r);
        if (e == NULL && (rows = r->rows) > 0) {
            e = prepare(b, r);
            if (e == NULL)
                e = hand_over(b, r, false);
        }
        if (e != NULL)
            return e;
        arena_rewind(arena_current(), m);
    }
    return NULL;
}

static err_t turn(struct bus *b) {
    b->wake = false;
    if (!b->ready || b->check_gap)
        TRY(check_bounds(b));
    return catch_up(b);
}

static err_t bus_main(void *arg) {
    struct bus *b = arg;
    while (!b->closing) {
        struct arena_mark m = arena_mark(arena_current());
        err_t e = turn(b);
        bool cancelled = err_is(e, ERR_CANCELLED);
        if (e != NULL && !cancelled && !err_is(e, ERR_DB_UNAVAILABLE))
            LOG(WARNING, "bus.read_failed", KV_ERR(e));
        uint64_t until = loop_now() + (e != NULL ? RETRY_MS : BACKSTOP_MS);
        bool retry = e != NULL;
        b->check_gap |= retry; /* who knows how long it lasts */
        arena_rewind(arena_current(), m);
        while (!cancelled && !b->closing && loop_now() < until && (retry || !b->wake))
            cancelled = err_is(fiber_park("bus", until), ERR_CANCELLED);
        if (cancelled)
            break;
    }
    b->fiber = NULL;
    if (b->closing)
        free(b);
    return NULL;
}

static void on_note(void *arg, const char *channel, const char *payload) {
    struct bus *b = MAGIC_CAST(arg, struct bus, BUS_MAGIC);
    (void)channel;
    (void)payload;
    b->wake = true;
    if (b->fiber != NULL)
        fiber_wake(b->fiber);
}

static void on_listen_gap(void *arg) {
    struct bus *b = MAGIC_CAST(arg, struct bus, BUS_MAGIC);
    b->check_gap = true;
    on_note(b, NULL, NULL);
}

struct bus *bus_new(struct pg *db, const struct pg_conf *conf) {
    static const char *const channels[] = {"df_events"};
    struct bus *b = calloc(1, sizeof(*b));
    CHECK(b != NULL);
    b->magic = BUS_MAGIC;
    b->db = db;
    list_init(&b->subs);
    b->listen = pg_listen_new(conf, channels, 1, on_note, on_listen_gap, b);
    b->fiber = fiber_spawn("bus", NULL, bus_main, b);
    fiber_detach(b->fiber);
    return b;
}

void bus_before(struct bus *b, err_t (*fn)(void *arg, const struct bus_event *e, size_t n), void *arg) {
    b->before = fn;
    b->before_arg = arg;
}

void bus_free(struct bus *b) {
    if (b == NULL)
        return;
    CHECK(list_empty(&b->subs) && !b->delivering);
    pg_listen_free(b->listen);
    loop_defer_cancel(&b->deliver);
    b->closing = true;
    if (b->fiber != NULL)
        fiber_cancel(b->fiber); /* it frees */
    else
        free(b);
}

int64_t bus_seq(const struct bus *b) { return b->seq; }

err_t bus_wait_ready(struct bus *b, uint64_t deadline) {
    while (!b->ready) {
        if (clock_mono_ms() > deadline)
            return err_new(ERR_DB_UNAVAILABLE, "the event bus is not connected yet");
        TRY(fiber_sleep(20));
    }
    return NULL;
}

/* ---- subscriptions ---- */

struct bus_sub *bus_subscribe(struct bus *b, const struct bus_filter *filter,
                              void (*cb)(void *arg, const struct bus_event *e), void (*on_gap)(void *arg), void *arg) {
    CHECK(filter->ntopics <= TOPICS_MAX);
    struct arena *a = arena_new("bus-sub", 0);
    struct bus_sub *s = arena_new_obj(a, struct bus_sub);
    *s = (struct bus_sub){.bus = b, .a = a, .cb = cb, .on_gap = on_gap, .arg = arg, .filter = *filter};
    const char **topics = arena_new_array(a, const char *, filter->ntopics + 1);
    for (size_t i = 0; i < filter->ntopics; i++)
        topics[i] = arena_strdup(a, filter->topics[i]);
    s->filter.topics = topics;
    s->filter.org_id = arena_strdup(a, filter->org_id);
    s->filter.scope_id = arena_strdup(a, filter->scope_id);
    s->filter.object_kind = arena_strdup(a, filter->object_kind);
    s->filter.object_id = arena_strdup(a, filter->object_id);
    list_add_tail(&b->subs, &s->link);
    return s;
}

void bus_unsubscribe(struct bus_sub *s) {
    if (s == NULL || s->dead)
        return;
    if (s->bus->delivering)
        s->dead = true;
    else
        sub_free(s);
}

/* ---- replay and purge ---- */

err_t bus_replay(struct pg *db, struct arena *a, const struct bus_filter *filter, void *arg, int64_t seq, size_t max,
                 struct bus_event **ret, size_t *ret_n, int64_t *ret_seq, bool *ret_gap) {
    struct pg_result *r;
    TRY(pg_rows(db, a, SQL_BUS_BOUNDS, PG_ARGS(pg_int(seq)), &r));
    int64_t oldest = pg_cell_int(r, 0, 0, 0);
    bool gap = oldest > seq + 1;
    if (max > REPLAY_MAX)
        max = REPLAY_MAX;
    struct bus_event *out = arena_new_array(a, struct bus_event, max + 1);
    size_t n = 0, seen = 0, rows = BATCH;
    while (n < max && rows == BATCH && seen < REPLAY_SCAN) {
        TRY(pg_rows(db, a, SQL_BUS_SINCE, PG_ARGS(pg_int(seq), pg_int(BATCH)), &r));
        rows = r->rows;
        seen += rows;
        for (size_t i = 0; i < rows && n < max; i++) {
            struct bus_event e = event_of(r, i);
            seq = e.seq;
            if (matches(filter, arg, &e))
                out[n++] = e;
        }
    }
    *ret = out;
    *ret_n = n;
    *ret_seq = seq;
    *ret_gap = gap;
    return NULL;
}

err_t bus_purge(struct pg *db, int64_t keep_s, int64_t *ret_deleted) {
    int64_t total = 0, n = 1;
    for (int i = 0; i < 200 && n > 0; i++) {
        TRY(pg_exec(db, SQL_BUS_PURGE, PG_ARGS(pg_int(keep_s)), &n));
        total += n;
    }
    *ret_deleted = total;
    return NULL;
}
