/* The engine side of one container's log: open, read, survive restarts, fill the ring. One fiber per stream. */
#include "core/base/check.h"
#include "core/docker/container.h"
#include "core/docker/docker_internal.h"
#include "core/docker/hub_internal.h"
#include "core/docker/logs_internal.h"

#define CALL_MS SECONDS(10)
#define QUIET_MS MINUTES(2) /* some engines stall at log rotation: look again after this silence */
#define POLL_MS SECONDS(5)  /* a stopped container is looked at this often when nobody tells */
#define RING_FLOOR KIB(64)
#define SLICE_BYTES KIB(256)

/* ---- lines into the ring ---- */

static bool over_limit(const struct lstream *s) {
    const struct hub *h = s->hub;
    if (s->ring.n > h->conf.ring_lines || s->ring.bytes > h->conf.ring_bytes)
        return true;
    return h->bytes > h->conf.total_bytes && s->ring.bytes > RING_FLOOR;
}

void lstream_push(struct lstream *s, const struct log_line *line) {
    struct hub *h = s->hub;
    struct log_line l = *line;
    if (!l.ts_ns)
        l.ts_ns = s->last_ns ? s->last_ns : clock_wall_us() * 1000;
    uint64_t hash = hash_bytes(l.text.p, l.text.n) * 3 + l.stream;
    if (l.ts_ns != s->last_ns)
        s->nsame = 0;
    if (s->nsame < SAME_TIME_MAX)
        s->same[s->nsame++] = hash;
    s->last_ns = l.ts_ns;
    s->last_seq = hub_seq(s->last_seq, l.ts_ns);
    size_t before = s->ring.bytes;
    ring_push(&s->ring, s->last_seq, &l);
    h->bytes += s->ring.bytes - before;
    while (s->ring.n > 1 && over_limit(s)) {
        before = s->ring.bytes;
        ring_evict(&s->ring);
        h->bytes -= before - s->ring.bytes;
        s->whole = false;
    }
    h->stats.lines++;
    h->stats.bytes += l.text.n;
}

/* After a reopen the engine repeats the lines of the last known instant: each known one is taken off the list. */
static bool known(struct lstream *s, const struct log_line *line) {
    if (!s->resuming)
        return false;
    if (line->ts_ns < s->last_ns)
        return true;
    if (line->ts_ns > s->last_ns) {
        s->resuming = false;
        if (!s->resume_seen) { /* the last known line is gone from the log: rotated away, and more with it perhaps */
            s->hub->stats.gaps++;
            hub_note_event(s, HUB_GAP, s->last_ns, line->ts_ns);
        }
        return false;
    }
    uint64_t hash = hash_bytes(line->text.p, line->text.n) * 3 + line->stream;
    for (size_t i = 0; i < s->nsame; i++) {
        if (s->same[i] != hash || s->matched[i])
            continue;
        s->matched[i] = s->resume_seen = true;
        return true;
    }
    return s->nsame == SAME_TIME_MAX; /* more than we remember at one instant: rather repeat nothing */
}

static err_t on_line(void *arg, const struct log_line *line) {
    struct lstream *s = arg;
    if (known(s, line)) {
        s->hub->stats.duplicates++;
        return NULL;
    }
    lstream_push(s, line);
    return NULL;
}

struct feed {
    struct log_joiner joiner;
    log_line_fn *fn;
    void *arg;
};
static err_t on_piece(void *arg, enum mux_type type, struct str piece, bool first) {
    struct feed *f = arg;
    return log_joiner_feed(&f->joiner, type, piece, first, f->fn, f->arg);
}

/* Reads one response to its end; hands out lines; `quiet_ms` without a byte ends it with ERR_TIMEOUT. */
static err_t read_lines(struct docker *d, const struct docker_call *call, struct http_response *r, bool raw,
                        uint64_t deadline, uint64_t quiet_ms, struct lstream *live, struct feed *f) {
    struct mux m;
    mux_init(&m, raw);
    uint64_t slice = clock_mono_us();
    size_t since_yield = 0;
    for (;;) {
        struct str bytes;
        uint64_t dl = quiet_ms ? deadline_min(deadline, deadline_in(quiet_ms)) : deadline;
        err_t e = http_read(r, dl, &bytes);
        if (e)
            return e->code == ERR_TIMEOUT ? e : docker_map_error(d, call, e);
        if (!bytes.n) {
            TRY(log_joiner_end(&f->joiner, f->fn, f->arg));
            return docker_detail(d, call, mux_end(&m));
        }
        e = mux_feed(&m, bytes, on_piece, f);
        if (live)
            hub_deliver_soon(live);
        if (e)
            return docker_detail(d, call, e);
        since_yield += bytes.n;
        if (since_yield > SLICE_BYTES || clock_mono_us() - slice > 1000) {
            TRY(fiber_yield());
            slice = clock_mono_us();
            since_yield = 0;
        }
    }
}

static err_t open_logs(struct docker *d, struct arena *a, const char *container, const struct docker_logs *opt,
                       bool follow, uint64_t deadline, struct docker_call *call, struct http_response **ret) {
    *call = (struct docker_call){.method = "GET",
                                 .op = follow ? "follow logs" : "read logs",
                                 .what = container,
                                 .path = docker_logs_path(a, container, opt, follow),
                                 .stream = true};
    return docker_call(d, a, call, deadline, ret);
}

err_t hub_fetch_lines(struct docker *d, const char *container, bool tty, const struct hub_fetch *f, uint64_t deadline) {
    struct arena *a = arena_new("log history", 0);
    struct docker_logs opt = {.timestamps = true, .tail = f->tail, .since_ns = f->since_ns};
    struct docker_call call;
    struct feed feed = {.fn = f->fn, .arg = f->arg};
    struct http_response *r = NULL;
    err_t e = open_logs(d, a, container, &opt, false, deadline, &call, &r);
    if (!e) {
        bool raw = docker_logs_raw(d, r, tty);
        log_joiner_init(&feed.joiner, raw);
        e = read_lines(d, &call, r, raw, deadline, 0, NULL, &feed);
        log_joiner_done(&feed.joiner);
    }
    http_close(r);
    arena_unref(a);
    return e;
}

/* ---- phases ---- */

enum next { NEXT_FOLLOW, NEXT_WAIT, NEXT_END };

static void finish(struct lstream *s, const char *reason, err_t e) {
    s->end_reason = reason;
    s->end_error = e ? err_dup(s->end_arena, e) : NULL;
}

/* ERR_CONFLICT: the container is just being removed; soon it is not found. */
static bool passing(err_t e) {
    return e->code == ERR_DOCKER_UNAVAILABLE || e->code == ERR_TIMEOUT || e->code == ERR_DOCKER_PROTOCOL ||
           e->code == ERR_BUSY || e->code == ERR_CONFLICT;
}

/* Is the container there, and does it run? */
static err_t look(struct lstream *s, enum next *ret) {
    struct arena *a = arena_new("log look", 0);
    struct docker_container_info *info;
    err_t e = docker_container_inspect(s->d, a, s->container, deadline_in(CALL_MS), &info);
    if (!e) {
        s->tty = info->tty;
        *ret =
            info->running || z_eq(info->state, "restarting") || z_eq(info->state, "paused") ? NEXT_FOLLOW : NEXT_WAIT;
    }
    arena_unref(a);
    return e;
}

/* The past that the first viewer wants, before following: its end of body is what "caught up" means. */
static err_t prime(struct lstream *s) {
    struct hub_fetch f = {.tail = s->first_tail, .since_ns = s->first_since_ns, .fn = on_line, .arg = s};
    if (s->first_tail == 0)
        return NULL;
    TRY(hub_fetch_lines(s->d, s->container, s->tty, &f, deadline_in(SECONDS(60))));
    s->whole = !s->first_since_ns && s->ring.n < (size_t)s->first_tail && s->ring.first == 0;
    return NULL;
}

static err_t follow(struct lstream *s) {
    struct arena *a = arena_new("log follow", 0);
    struct docker_logs opt = {.timestamps = true, .since_ns = s->last_ns};
    if (!s->last_ns) { /* nothing known yet: from here on, or an empty log from its beginning */
        opt.tail = s->first_tail == 0 ? -1 : 0;
        opt.since_ns = s->first_since_ns;
    }
    struct docker_call call;
    struct feed feed = {.fn = on_line, .arg = s};
    struct http_response *r = NULL;
    s->resuming = s->last_ns != 0;
    s->resume_seen = false;
    memset(s->matched, 0, sizeof s->matched);
    err_t e = open_logs(s->d, a, s->container, &opt, true, deadline_in(CALL_MS), &call, &r);
    if (!e) {
        bool raw = docker_logs_raw(s->d, r, s->tty);
        s->opened = true;
        log_joiner_init(&feed.joiner, raw);
        e = read_lines(s->d, &call, r, raw, DEADLINE_NONE, QUIET_MS, s, &feed);
        log_joiner_done(&feed.joiner);
    }
    http_close(r);
    arena_unref(a);
    hub_deliver_soon(s);
    return err_is(e, ERR_TIMEOUT) && s->opened ? NULL : e;
}

static err_t wait_for_news(struct lstream *s, uint64_t ms) {
    uint64_t deadline = deadline_in(ms);
    while (!s->woken) {
        err_t e = cond_wait(&s->wake, deadline);
        if (err_is(e, ERR_TIMEOUT))
            break;
        TRY(e);
    }
    s->woken = false;
    return NULL;
}

static void note_running(struct lstream *s, enum next n) {
    if (n == NEXT_WAIT && !s->stopped) {
        s->stopped = true;
        hub_note_event(s, HUB_STOPPED, 0, 0);
    } else if (n == NEXT_FOLLOW && s->stopped) {
        s->stopped = false;
        hub_note_event(s, HUB_STARTED, 0, 0);
    }
}

/* One round: look, read, or wait. An error is final. */
static err_t round_(struct lstream *s, uint64_t *backoff) {
    enum next n = NEXT_END;
    TRY(look(s, &n));
    if (!s->primed) {
        TRY(prime(s));
        s->primed = true;
        hub_deliver_soon(s);
        if (n == NEXT_WAIT)
            TRY(follow(s)); /* what came between; ends at once on a stopped container */
    } else if (n == NEXT_WAIT && !s->stopped) {
        TRY(follow(s));
    }
    note_running(s, n);
    if (n == NEXT_WAIT)
        return wait_for_news(s, POLL_MS);
    uint64_t began = clock_mono_ms();
    TRY(follow(s));
    s->hub->stats.reopens++;
    if (clock_mono_ms() - began > 1000)
        *backoff = 50;
    TRY(wait_for_news(s, *backoff)); /* the engine may end streams at once for a while: do not spin */
    *backoff = *backoff * 2 > 5000 ? 5000 : *backoff * 2;
    return NULL;
}

err_t lstream_main(void *arg) {
    struct lstream *s = MAGIC_CAST(arg, struct lstream, LSTREAM_MAGIC);
    uint64_t backoff = 50;
    err_t e = NULL;
    while (!s->end_reason) {
        struct arena_mark m = arena_mark(arena_current());
        e = round_(s, &backoff);
        if (err_is(e, ERR_CANCELLED)) {
            finish(s, "shutdown", NULL);
        } else if (err_is(e, ERR_NOT_FOUND)) {
            finish(s, s->opened ? "removed" : "error", s->opened ? NULL : e);
        } else if (e && s->opened && passing(e)) {
            err_t w = wait_for_news(s, backoff < 500 ? 500 : backoff);
            backoff = backoff < 500 ? 500 : backoff * 2 > 5000 ? 5000 : backoff * 2;
            if (w)
                finish(s, "shutdown", NULL);
        } else if (e) {
            finish(s, "error", e);
        }
        arena_rewind(arena_current(), m);
    }
    hub_deliver_soon(s);
    return NULL;
}
