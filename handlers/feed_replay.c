/* The past of subscriptions. One fiber per connection walks through what it asked for, a page at a time, and only so many pages are
 * read at once by all of them: subscribing again and again costs the server no more than waiting. */
#include "core/async/fiber.h"
#include "core/async/wait.h"
#include "handlers/feed.h"

enum { PAGE = 200, PAGES_AT_ONCE = 8, DRAIN_LOOKS = 300 };
static struct semaphore pages;

void feed_replay_setup(void) { sem_setup(&pages, PAGES_AT_ONCE, SIZE_MAX); }

static struct subscription *past_of(struct feed *f, uint64_t serial) {
    for (size_t i = 0; i < f->nsubs && !f->ended; i++)
        if (!f->subs[i]->live && (serial == 0 || f->subs[i]->serial == serial))
            return f->subs[i];
    return NULL;
}

static void now_live(struct subscription *s, int64_t after) {
    s->after = after;
    s->live = true;
}

/* Nothing yields between the last look and going live. */
static void send_page(struct feed *f, struct subscription *s, const struct bus_event *v, size_t n, int64_t next,
                      bool gap) {
    if (gap)
        feed_gap(f, s->from, n ? v[0].seq - 1 : next);
    for (size_t i = 0; i < n; i++)
        if (subscription_wants(s, &v[i]) && feed_may_see(f, &v[i]))
            feed_send(f, &v[i], (const char *const[]){s->id}, 1);
    s->from = next;
    if (next >= bus_seq(platform()->bus))
        now_live(s, next);
}

static err_t replay_page(struct feed *f, uint64_t serial, int64_t from) {
    struct bus_event *v;
    size_t n;
    int64_t next;
    bool gap;
    TRY(sem_acquire(&pages, DEADLINE_NONE));
    err_t e = bus_replay(platform()->db, arena_current(), NULL, NULL, from, PAGE, &v, &n, &next, &gap);
    sem_release(&pages);
    struct subscription *s = past_of(f, serial);
    if (s == NULL)
        return e;
    if (e) { /* the past cannot be read: say so, and go on from here */
        feed_gap(f, from, bus_seq(platform()->bus));
        now_live(s, bus_seq(platform()->bus));
        return e;
    }
    send_page(f, s, v, n, next, gap);
    return NULL;
}

static err_t replay(void *arg) {
    struct feed *f = arg;
    struct subscription *s;
    err_t e = NULL;
    while (!err_is(e, ERR_CANCELLED) && (s = past_of(f, 0))) {
        struct arena_mark mark = arena_mark(arena_current());
        e = replay_page(f, s->serial, s->from);
        for (int i = 0; !err_is(e, ERR_CANCELLED) && !f->ended && f->lost_from && i < DRAIN_LOOKS; i++)
            e = fiber_sleep(100);
        if (!err_is(e, ERR_CANCELLED))
            arena_rewind(arena_current(), mark);
    }
    f->replaying = false;
    feed_unref(f);
    return NULL;
}

void feed_go_live(struct feed *f, struct subscription *s, int64_t last_seq) {
    int64_t now = bus_seq(platform()->bus);
    if (last_seq < 0 || last_seq >= now) {
        now_live(s, now);
        return;
    }
    s->from = last_seq;
    if (f->replaying)
        return;
    f->replaying = true;
    f->refs++;
    fiber_spawn_detached("feed.replay", NULL, replay, f);
}
