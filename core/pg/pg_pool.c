/* The pool: which connection takes a call, who waits, and one fiber per connection that brings it (back) up. */
#include <stdlib.h>
#include <string.h>
#include "core/base/id.h"
#include "core/obs/log.h"
#include "core/pg/pg_internal.h"

enum { PG_POOL_MAGIC = 0x70677031, PG_MAGIC = 0x70673131, BREAKER_FAILURES = 2 };

struct pin_wait {
    struct list link;
    struct fiber *fiber;
    struct pg *handle;
};
struct ready_wait {
    struct list link;
    struct fiber *fiber;
};

/* ---- choosing ---- */

static bool usable(const struct pg_conn *c) { return c->state == PG_CONN_READY && !c->retire && c->pinned == NULL; }

static struct pg_conn *least(struct pg_pool *p, bool reserved, size_t *ret_n) {
    struct pg_conn *best = NULL;
    *ret_n = 0;
    for (size_t i = 0; i < p->n; i++) {
        struct pg_conn *c = &p->conns[i];
        if (!usable(c) || c->reserved != reserved)
            continue;
        ++*ret_n;
        if (best == NULL || c->load < best->load)
            best = c;
    }
    return best;
}

struct pg_conn *pg_pool_pick(struct pg_pool *p, bool internal) {
    size_t n;
    for (int reserved = internal; reserved >= 0; reserved--) {
        struct pg_conn *c = least(p, reserved, &n);
        if (c != NULL && c->load < PG_DEPTH)
            return c;
    }
    return NULL;
}

/** Transactions leave a way for single statements: of each kind of connection one stays free, as long as there are two. */
static struct pg_conn *pick_pin(struct pg_pool *p, bool internal) {
    size_t nreserved, nshared;
    struct pg_conn *own = least(p, true, &nreserved), *shared = least(p, false, &nshared);
    if (internal && nreserved > 1)
        return own;
    if (nshared > 1 || p->n == 1)
        return shared;
    return internal ? own : NULL;
}

static void pin(struct pg_conn *c, struct pg *handle) {
    c->pinned = handle;
    handle->pinned = c;
}

static size_t *waiting(struct pg_pool *p, bool internal) { return internal ? &p->nown : &p->nwaiting; }

static void pump(struct pg_pool *p, bool internal) {
    struct list *pins = internal ? &p->own_pins : &p->pins, *calls = internal ? &p->own_calls : &p->calls;
    struct pg_conn *c;
    while (!list_empty(pins) && (c = pick_pin(p, internal)) != NULL) {
        struct pin_wait *w = list_entry(list_pop(pins), struct pin_wait, link);
        --*waiting(p, internal);
        pin(c, w->handle);
        fiber_wake(w->fiber);
    }
    while (!list_empty(calls) && (c = pg_pool_pick(p, internal)) != NULL) {
        struct pg_call *call = list_entry(list_pop(calls), struct pg_call, link);
        --*waiting(p, internal);
        pg_conn_submit(c, call);
        fiber_wake(call->fiber); /* it waits without a deadline of the queue from now on */
    }
}

void pg_pool_pump(struct pg_pool *p) {
    pump(p, true);
    pump(p, false);
}

static void count_waiting(struct pg_pool *p, bool internal) {
    ++*waiting(p, internal);
    if (p->nwaiting > p->most)
        p->most = p->nwaiting;
}

static void add_waiting(struct pg_pool *p, struct pg_call *call) {
    count_waiting(p, call->internal);
    list_add_tail(call->internal ? &p->own_calls : &p->calls, &call->link);
}

err_t pg_pool_queue(struct pg_pool *p, struct pg_call *call) {
    if (pg_pool_breaker(p))
        return pg_pool_unavailable(p, "down");
    if (*waiting(p, call->internal) >= p->max_queue)
        return pg_pool_unavailable(p, "queue full");
    add_waiting(p, call);
    return NULL;
}

void pg_pool_unqueue(struct pg_pool *p, struct pg_call *call) {
    list_del(&call->link);
    --*waiting(p, call->internal);
}

void pg_pool_requeue(struct pg_pool *p, struct pg_call *call) {
    pg_call_reset(call);
    call->conn = NULL;
    call->resends++;
    call->alone = true;
    add_waiting(p, call);
    fiber_wake(call->fiber);
}

bool pg_pool_breaker(const struct pg_pool *p) {
    return p->closing || (p->ready == 0 && p->failures >= BREAKER_FAILURES);
}

err_t pg_pool_unavailable(const struct pg_pool *p, const char *what) {
    err_t cause =
        err_new(ERR_DB_UNAVAILABLE, "%s: %s", what, p->reason[0] != '\0' ? p->reason : "all connections are in use");
    return err_wrap_as(ERR_DB_UNAVAILABLE, cause, "the database is not available");
}

err_t pg_pool_pin(struct pg_pool *p, struct pg *handle) {
    struct list *pins = handle->internal ? &p->own_pins : &p->pins;
    size_t *n = waiting(p, handle->internal);
    struct pg_conn *c = list_empty(pins) ? pick_pin(p, handle->internal) : NULL;
    if (c != NULL) {
        pin(c, handle);
        return NULL;
    }
    if (pg_pool_breaker(p) || *n >= p->max_queue)
        return pg_pool_unavailable(p, *n >= p->max_queue ? "queue full" : "down");
    struct pin_wait w = {.fiber = fiber_self(), .handle = handle};
    CHECK(w.fiber != NULL);
    count_waiting(p, handle->internal);
    list_add_tail(pins, &w.link);
    uint64_t deadline = loop_now() + p->wait_ms;
    err_t e = NULL;
    while (handle->pinned == NULL && e == NULL && !(p->closing && w.link.next == NULL))
        e = fiber_park("pg transaction", deadline);
    if (handle->pinned != NULL)
        return NULL; /* a late cancel shows at the next wait */
    if (w.link.next != NULL) {
        list_del(&w.link);
        --*n;
    }
    if (e == NULL || (err_is(e, ERR_TIMEOUT) && loop_now() < fiber_deadline()))
        return pg_pool_unavailable(p, "no connection for a transaction in time");
    return e;
}

/* ---- the watch ---- */

static void on_watch(void *arg) {
    struct pg_pool *p = MAGIC_CAST(arg, struct pg_pool, PG_POOL_MAGIC);
    size_t load = 0;
    for (size_t i = 0; i < p->n; i++) {
        pg_conn_watch(&p->conns[i]);
        load += p->conns[i].load;
    }
    if (load == 0) {
        timer_stop(&p->watch);
        p->watching = false;
    }
}

void pg_pool_watch_start(struct pg_pool *p) {
    if (p->watching)
        return;
    p->watching = true;
    timer_start(&p->watch, PG_WATCH_MS, PG_WATCH_MS);
}

/* ---- bringing connections up ---- */

static uint64_t jittered(uint64_t ms) {
    uint32_t r;
    random_bytes(&r, sizeof(r));
    return ms / 2 + r % (ms / 2 + 1) + ms / 4;
}

static uint64_t backoff_of(const struct pg_conn *c, uint64_t ms) {
    ms = jittered(ms);
    ms = ms < PG_BACKOFF_MIN_MS ? PG_BACKOFF_MIN_MS : ms > PG_BACKOFF_MAX_MS ? PG_BACKOFF_MAX_MS : ms;
    LOG(DEBUG, "db.backoff", KV_INT("conn", c->index), KV_INT("ms", ms));
    return ms;
}

static void wake_ready_waiters(struct pg_pool *p) {
    for (struct list *l; (l = list_pop(&p->ready_waiters)) != NULL;)
        fiber_wake(list_entry(l, struct ready_wait, link)->fiber);
}

/** The others slept long while nothing worked: the first success calls them. */
static void note_up(struct pg_conn *c) {
    struct pg_pool *p = c->pool;
    bool first = p->failures > 0 || p->ready == 1;
    p->failures = 0;
    if (first) {
        LOG(INFO, "db.up", KV_INT("conn", c->index));
        for (size_t i = 0; i < p->n; i++)
            if (p->conns[i].state == PG_CONN_DOWN && p->conns[i].main != NULL)
                fiber_wake(p->conns[i].main);
    }
    wake_ready_waiters(p);
    pg_pool_pump(p);
}

static void fail_waiting(struct pg_pool *p) {
    struct list *const queues[] = {&p->own_calls, &p->calls};
    for (size_t i = 0; i < ARRAY_LEN(queues); i++)
        for (struct list *l; (l = list_pop(queues[i])) != NULL;) {
            struct pg_call *call = list_entry(l, struct pg_call, link);
            --*waiting(p, call->internal);
            pg_call_done(call, PG_END_UNSENT, p->reason);
        }
}

static void note_down(struct pg_conn *c, err_t e) {
    struct pg_pool *p = c->pool;
    pg_reason(p->reason, e->message);
    if (p->failures++ == 0)
        LOG(WARNING, "db.down", KV_STR("reason", p->reason));
    if (pg_pool_breaker(p))
        fail_waiting(p);
}

static err_t connect_once(struct pg_conn *c) {
    struct pg_pool *p = c->pool;
    struct arena_mark m = arena_mark(arena_current());
    PGconn *raw = NULL;
    c->state = PG_CONN_CONNECTING;
    struct pg_link_conf conf = {.url = p->url, .statement_timeout_ms = p->statement_timeout_ms, .role = "pool"};
    err_t e = pg_link_connect(&conf, deadline_in(PG_CONNECT_MS), &raw);
    c->state = PG_CONN_DOWN;
    bool cancelled = err_is(e, ERR_CANCELLED) || p->closing;
    if (e == NULL && p->closing)
        PQfinish(raw);
    else if (e == NULL)
        pg_conn_up(c, raw);
    else if (!cancelled)
        note_down(c, e);
    arena_rewind(arena_current(), m);
    return cancelled ? fiber_check() : NULL;
}

/** Sleep that a success elsewhere (note_up) ends. */
static err_t rest(struct pg_conn *c, uint64_t ms) {
    struct pg_pool *p = c->pool;
    bool was_up = p->ready > 0;
    uint64_t until = loop_now() + ms;
    while (loop_now() < until && !p->closing && (was_up || p->ready == 0)) {
        err_t e = fiber_park("pg back-off", until);
        if (err_is(e, ERR_CANCELLED))
            return e;
    }
    return NULL;
}

static err_t conn_main(void *arg) {
    struct pg_conn *c = arg;
    struct pg_pool *p = c->pool;
    uint64_t backoff = PG_BACKOFF_MIN_MS;
    err_t e = NULL;
    while (e == NULL && !p->closing) {
        e = connect_once(c);
        if (c->state == PG_CONN_READY) {
            note_up(c);
            while (c->state == PG_CONN_READY && e == NULL)
                e = fiber_park("pg connection", DEADLINE_NONE);
            if (e != NULL || p->closing)
                break;
            p->reconnects++;
            if (loop_now() - c->up_since > SECONDS(10))
                backoff = PG_BACKOFF_MIN_MS;
            e = rest(c, jittered(50));
            continue;
        }
        if (e == NULL)
            e = rest(c, backoff_of(c, backoff));
        uint64_t most = c->index == 0 ? PG_SCOUT_MAX_MS : PG_BACKOFF_MAX_MS;
        backoff = p->ready > 0 ? PG_BACKOFF_MIN_MS : backoff * 2 > most ? most : backoff * 2;
    }
    c->main = NULL;
    pg_pool_unref(p);
    return NULL;
}

/* ---- birth and death ---- */

struct pg *pg_new(const struct pg_conf *conf) {
    struct pg_pool *p = calloc(1, sizeof(*p));
    struct pg *db = calloc(1, sizeof(*db));
    CHECK(p != NULL && db != NULL && conf->url != NULL);
    p->magic = PG_POOL_MAGIC;
    p->refs = 1;
    p->url = strdup(conf->url);
    p->n = conf->pool_size > 0 ? conf->pool_size : 8;
    p->max_queue = conf->max_queue > 0 ? conf->max_queue : 256;
    p->wait_ms = conf->wait_ms > 0 ? conf->wait_ms : 2000;
    p->statement_timeout_ms = conf->statement_timeout_ms > 0 ? conf->statement_timeout_ms : 5000;
    p->conns = calloc(p->n, sizeof(*p->conns));
    CHECK(p->url != NULL && p->conns != NULL);
    list_init(&p->calls);
    list_init(&p->pins);
    list_init(&p->own_calls);
    list_init(&p->own_pins);
    list_init(&p->ready_waiters);
    timer_init(&p->watch, on_watch, p);
    size_t reserved = p->n >= 6 ? PG_RESERVED : p->n >= 3 ? 1 : 0; /* two at least are left for requests */
    for (size_t i = 0; i < p->n; i++) {
        struct pg_conn *c = &p->conns[i];
        pg_conn_init(c, p, i, i >= p->n - reserved);
        p->refs++;
        c->main = fiber_spawn("pg-connection", NULL, conn_main, c);
        fiber_detach(c->main);
    }
    *db = (struct pg){.magic = PG_MAGIC, .pool = p};
    return db;
}

struct pg *pg_internal(struct pg *db) {
    CHECK(db->magic == PG_MAGIC && !db->in_tx);
    struct pg *own = calloc(1, sizeof(*own));
    CHECK(own != NULL);
    *own = (struct pg){.magic = PG_MAGIC, .pool = db->pool, .internal = true};
    db->pool->refs++;
    return own;
}

void pg_pool_unref(struct pg_pool *p) {
    if (--p->refs > 0)
        return;
    for (size_t i = 0; i < p->n; i++)
        free(p->conns[i].prepared);
    free(p->conns);
    free(p->url);
    mem_wipe(p, sizeof(*p));
    free(p);
}

void pg_free(struct pg *db) {
    if (db == NULL)
        return;
    CHECK(db->magic == PG_MAGIC && !db->in_tx);
    struct pg_pool *p = db->pool;
    if (db->internal) { /* a second handle, the pool goes with the first */
        db->magic = 0;
        free(db);
        pg_pool_unref(p);
        return;
    }
    p->closing = true;
    pg_reason(p->reason, "the server is stopping");
    for (size_t i = 0; i < p->n; i++)
        pg_conn_drop(&p->conns[i], "the server is stopping");
    fail_waiting(p);
    for (struct list *l; (l = list_pop(&p->pins)) != NULL; p->nwaiting--)
        fiber_wake(list_entry(l, struct pin_wait, link)->fiber);
    for (struct list *l; (l = list_pop(&p->own_pins)) != NULL; p->nown--)
        fiber_wake(list_entry(l, struct pin_wait, link)->fiber);
    wake_ready_waiters(p);
    for (size_t i = 0; i < p->n; i++)
        if (p->conns[i].main != NULL)
            fiber_cancel(p->conns[i].main);
    timer_close(&p->watch);
    db->magic = 0;
    free(db);
    fiber_mask();
    while (fiber_on_fiber() && p->refs > 1)
        err_ignore(fiber_sleep(1));
    fiber_unmask();
    pg_pool_unref(p);
}

bool pg_ready(const struct pg *db) { return db->pool->ready > 0; }

const char *pg_down_reason(const struct pg *db) {
    if (pg_ready(db))
        return NULL;
    return db->pool->reason[0] != '\0' ? db->pool->reason : "still connecting";
}

const char *pg_down_words(const struct pg *db) { return pg_ready(db) ? NULL : pg_words_of(db->pool->reason); }

err_t pg_wait_ready(struct pg *db, uint64_t deadline) {
    struct pg_pool *p = db->pool;
    while (p->ready == 0) {
        if (p->closing)
            return pg_pool_unavailable(p, "closing");
        struct ready_wait w = {.fiber = fiber_self()};
        list_add_tail(&p->ready_waiters, &w.link);
        err_t e = fiber_park("pg ready", deadline);
        list_del(&w.link);
        if (err_is(e, ERR_TIMEOUT) && p->ready == 0)
            return pg_pool_unavailable(p, "not connected in time");
        if (e != NULL && p->ready == 0)
            return e;
    }
    return NULL;
}

struct pg_stats pg_stats_get(const struct pg *db) {
    const struct pg_pool *p = db->pool;
    struct pg_stats s = {.conns = p->n,
                         .ready = p->ready,
                         .queued = p->nwaiting + p->nown,
                         .queued_max = p->most,
                         .queries = p->queries,
                         .errors = p->errors,
                         .reconnects = p->reconnects};
    for (size_t i = 0; i < p->n; i++)
        s.in_flight += p->conns[i].load;
    return s;
}
