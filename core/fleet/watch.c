/* The fibers of one node: the watcher (connect, subscribe, list, refresh), the event reader, the health check. */
#include <stdlib.h>
#include "core/base/check.h"
#include "core/base/id.h"
#include "core/fleet/fleet_internal.h"
#include "core/obs/log.h"

#define CONNECT_MS SECONDS(10)
#define REPLAY_MAX_MS SECONDS(60) /* an older gap is a relist's business alone */

/* What changes the index or is of interest to people; not exec_* and not the kill/attach noise of health checks. */
static const char *const types[] = {"container", "image", "network", "volume"};
static const char *const actions[] = {
    "create",  "start",   "die",    "stop",    "kill",          "pause",  "unpause", "rename",
    "restart", "destroy", "update", "oom",     "health_status", "pull",   "tag",     "untag",
    "delete",  "import",  "load",   "connect", "disconnect",    "remove", "prune",
};

void node_clear_dirty(struct node *n) {
    for (struct map_entry *e = NULL; (e = map_next(&n->dirty, e));) {
        free(e->value);
        map_del(&n->dirty, e->key);
    }
}

/* ---- events ---- */

/* A resumed stream repeats events: those of the last instant are known by their hash. */
static bool repeated(struct node *n, const struct docker_event *ev) {
    uint64_t h = hash_bytes(ev->id, strlen(ev->id)) ^ hash_bytes(ev->action, strlen(ev->action)) * 3 ^
                 hash_bytes(ev->type, strlen(ev->type)) * 5;
    if (ev->time_ns < n->last_event_ns)
        return false; /* engines deliver out of order by a little: never drop for that */
    if (ev->time_ns > n->last_event_ns) {
        n->last_event_ns = ev->time_ns;
        n->nlast_event = 0;
    }
    for (size_t i = 0; i < n->nlast_event; i++)
        if (n->last_event_hash[i] == h)
            return true;
    if (n->nlast_event < ARRAY_LEN(n->last_event_hash))
        n->last_event_hash[n->nlast_event++] = h;
    return false;
}

/* `aside`: an event of another object that only touches the container; it does not hide what the container itself did. */
static void mark_container(struct node *n, const char *id, const char *action, bool aside) {
    if (n->dirty.n > DIRTY_MAX) {
        n->relist_wanted = true;
        return;
    }
    struct dirty *d = map_getz(&n->dirty, id);
    if (d) {
        n->fleet->stats.coalesced++;
        if (aside)
            return;
    } else {
        d = calloc(1, sizeof *d);
        CHECK(d != NULL);
        map_setz(&n->dirty, id, d);
    }
    snprintf(d->action, sizeof d->action, "%s", action);
}

static void mark(struct node *n, const struct docker_event *ev) {
    int kind = kind_of_event_type(ev->type);
    if (kind == -2 || z_eq(ev->action, "kill")) /* a kill that ends something is followed by die */
        return;
    if (kind == -1) {
        mark_container(n, ev->id, ev->action, false);
        return;
    }
    snprintf(n->kind_dirty[kind], ACTION_MAX, "%s", ev->action);
    const char *container = kind == 1 ? json_get_str(ev->attributes, "container") : NULL;
    if (container) /* connect, disconnect change it too */
        mark_container(n, container, ev->action, true);
}

static err_t on_event(void *arg, const struct docker_event *ev) {
    struct node *n = MAGIC_CAST(arg, struct node, NODE_MAGIC);
    struct fleet *f = n->fleet;
    if (repeated(n, ev))
        return NULL;
    f->stats.events++;
    n->last_seen_ms = clock_wall_ms();
    mark(n, ev);
    if (f->on_event)
        f->on_event(f->on_event_arg, n->id, n->d, ev);
    cond_broadcast(&n->news);
    return NULL;
}

static err_t on_open(void *arg) {
    struct node *n = arg;
    n->subscribed = true;
    cond_broadcast(&n->news);
    return NULL;
}

static err_t events_main(void *arg) {
    struct node *n = MAGIC_CAST(arg, struct node, NODE_MAGIC);
    AUTO(docker) d = docker_ref(n->d);
    struct docker_events opt = {.types = types,
                                .ntypes = ARRAY_LEN(types),
                                .actions = actions,
                                .nactions = ARRAY_LEN(actions),
                                .on_open = on_open,
                                .on_event = on_event,
                                .arg = n};
    int64_t now = clock_wall_ms() + n->clock_offset_ms;
    if (n->last_event_ns && now - n->last_event_ns / 1000000 < (int64_t)REPLAY_MAX_MS)
        opt.since_ns = n->last_event_ns;
    err_t e = docker_events_run(d, &opt, DEADLINE_NONE);
    n->events_over = true;
    cond_broadcast(&n->news);
    return e;
}

/* ---- health ---- */

/* Two failed pings in a row, the second at once: at most period + 2 timeouts after the engine died. */
static err_t health_main(void *arg) {
    struct node *n = MAGIC_CAST(arg, struct node, NODE_MAGIC);
    const struct fleet_conf *c = &n->fleet->conf;
    AUTO(docker) d = docker_ref(n->d);
    for (;;) {
        TRY(fiber_sleep(c->ping_ms));
        struct arena_mark m = arena_mark(arena_current());
        err_t e = docker_ping(d, deadline_in(c->ping_timeout_ms));
        if (e && !err_is(e, ERR_CANCELLED))
            e = docker_ping(d, deadline_in(c->ping_timeout_ms));
        if (err_is(e, ERR_CANCELLED))
            return e;
        if (e) {
            n->untrusted = err_is(e, ERR_TLS_VERIFY);
            node_set_state(n, false, e->message);
            n->lost = true;
            cond_broadcast(&n->news);
            return NULL;
        }
        n->last_seen_ms = clock_wall_ms();
        arena_rewind(arena_current(), m);
    }
}

/* ---- watcher ---- */

static err_t wait_news(struct node *n, uint64_t deadline) {
    err_t e = cond_wait(&n->news, deadline);
    return err_is(e, ERR_TIMEOUT) ? NULL : e;
}

static bool over(const struct node *n) { return n->lost || n->events_over || n->stopping; }

static err_t coalesce(struct node *n) {
    uint64_t until = deadline_in(n->fleet->conf.coalesce_ms);
    while (clock_mono_ms() < until && !over(n))
        TRY(wait_news(n, until));
    return NULL;
}

static bool anything_dirty(const struct node *n) {
    return n->dirty.n || n->kind_dirty[0][0] || n->kind_dirty[1][0] || n->kind_dirty[2][0];
}

static err_t keep_up(struct node *n, struct docker *d) {
    while (!over(n)) {
        struct arena_mark m = arena_mark(arena_current());
        if (n->relist_wanted || clock_mono_ms() >= n->relist_due) {
            TRY(node_relist(n, d));
        } else if (anything_dirty(n)) {
            TRY(coalesce(n));
            TRY(node_refresh_dirty(n, d));
        } else if (n->details_left) {
            TRY(node_details(n, d));
        } else {
            TRY(wait_news(n, n->relist_due));
        }
        arena_rewind(arena_current(), m);
    }
    return NULL;
}

static void end_fiber(struct fiber **f) {
    if (!*f)
        return;
    fiber_cancel(*f);
    fiber_mask();
    err_ignore(fiber_join(*f));
    fiber_unmask();
    *f = NULL;
}

static err_t connect_and_list(struct node *n, struct docker *d) {
    TRY(docker_negotiate(d, deadline_in(CONNECT_MS)));
    n->subscribed = n->events_over = n->lost = false;
    n->events = fiber_spawn("fleet-events", NULL, events_main, n);
    uint64_t deadline = deadline_in(CONNECT_MS);
    while (!n->subscribed && !n->events_over) {
        if (clock_mono_ms() >= deadline)
            return err_new(ERR_TIMEOUT, "the engine did not accept the event subscription in time");
        TRY(wait_news(n, deadline));
    }
    if (n->events_over)
        return err_new(ERR_DOCKER_UNAVAILABLE, "the engine closed the event stream");
    node_clear_dirty(n);
    return node_relist(n, d);
}

static err_t session(struct node *n, struct docker *d) {
    err_t e = connect_and_list(n, d);
    if (!e) {
        n->backoff = n->fleet->conf.backoff_min_ms;
        node_set_state(n, true, "");
        n->health = fiber_spawn("fleet-health", NULL, health_main, n);
        e = keep_up(n, d);
    }
    end_fiber(&n->health);
    end_fiber(&n->events);
    return e;
}

static err_t pause_before_retry(struct node *n) {
    uint16_t r;
    random_bytes(&r, sizeof r);
    uint64_t wait = n->backoff / 2 + n->backoff / 2 * r / UINT16_MAX, until = deadline_in(wait);
    const struct fleet_conf *c = &n->fleet->conf;
    n->backoff = n->backoff * 2 > c->backoff_max_ms ? c->backoff_max_ms : n->backoff * 2;
    while (clock_mono_ms() < until && !n->stopping && !n->relist_wanted)
        TRY(wait_news(n, until));
    n->relist_wanted = false;
    return NULL;
}

/* Did the session end because only the event stream broke? Then the engine may be fine: try again at once, once. */
static bool still_answers(struct docker *d) { return docker_ping(d, deadline_in(SECONDS(4))) == NULL; }

err_t node_main(void *arg) {
    struct node *n = MAGIC_CAST(arg, struct node, NODE_MAGIC);
    n->backoff = n->fleet->conf.backoff_min_ms;
    while (!n->stopping) {
        struct arena_mark m = arena_mark(arena_current());
        AUTO(docker) d = docker_ref(n->d);
        err_t e = session(n, d);
        if (n->stopping || err_is(e, ERR_CANCELLED))
            break;
        docker_forget(d);
        bool moved = d != n->d; /* the endpoint was changed meanwhile */
        if (!moved && !(n->online && still_answers(d))) {
            const char *why = e ? e->message : n->reason[0] ? n->reason : "the engine closed the event stream";
            n->untrusted = e ? err_is(e, ERR_TLS_VERIFY) : n->untrusted;
            node_set_state(n, false, why);
        }
        if (!moved)
            e = pause_before_retry(n);
        arena_rewind(arena_current(), m);
        if (err_is(e, ERR_CANCELLED))
            break;
    }
    return NULL;
}
