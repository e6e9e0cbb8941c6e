/* The log hub on a real engine: sharing, history, resume, slow viewers, restarts, refusals. */
#include "tests/unit/docker/engine_test.h"

struct view {
    struct hub_viewer *v;
    struct buf text; /* lines joined with \n */
    size_t lines, batches;
    uint64_t first_seq, last_seq, dropped, gaps, stopped, started, caught_up, ends;
    char reason[24];
    enum err_code code;
    bool pause_at_once, ordered;
    size_t json_bytes;
};

static void on_lines(void *ctx, const struct hub_batch *b) {
    struct view *w = ctx;
    w->batches++;
    for (size_t i = 0; i < b->n; i++) {
        if (b->items[i].seq <= w->last_seq)
            w->ordered = false;
        w->last_seq = b->items[i].seq;
        w->first_seq = w->first_seq ? w->first_seq : b->items[i].seq;
        buf_put(&w->text, b->items[i].text.p, b->items[i].text.n);
        buf_putc(&w->text, '\n');
        w->lines++;
    }
    w->json_bytes += hub_batch_json(b).n;
    if (w->pause_at_once)
        hub_pause(w->v);
}
static void on_event(void *ctx, const struct hub_event *ev) {
    struct view *w = ctx;
    switch (ev->kind) {
    case HUB_DROPPED:
        w->dropped += ev->count;
        break;
    case HUB_GAP:
        w->gaps++;
        break;
    case HUB_STOPPED:
        w->stopped++;
        break;
    case HUB_STARTED:
        w->started++;
        break;
    case HUB_CAUGHT_UP:
        w->caught_up++;
        break;
    case HUB_END:
        w->ends++;
        snprintf(w->reason, sizeof w->reason, "%s", ev->reason);
        w->code = ev->error ? ev->error->code : ERR_CODE_MAX;
        break;
    }
}

static struct view *attach(struct hub *h, struct docker *d, const char *id, struct hub_viewer_conf conf) {
    struct view *w = arena_new_obj(NOW, struct view);
    w->ordered = true;
    buf_init(&w->text, 0, MIB(64));
    conf.container = id;
    conf.on_lines = on_lines;
    conf.on_event = on_event;
    conf.ctx = w;
    OK(hub_attach(h, d, &conf, &w->v));
    return w;
}
static void leave(struct view *w) {
    CHECK(w->ordered);
    if (!w->ends)
        hub_detach(w->v);
    buf_done(&w->text);
}

#define UNTIL(cond)                                                                                                    \
    do {                                                                                                               \
        uint64_t until_dl_ = deadline_in(SECONDS(20));                                                                 \
        while (!(cond)) {                                                                                              \
            if (clock_mono_ms() > until_dl_) {                                                                         \
                (void)fprintf(stderr, "%s:%d: never: %s\n", __FILE__, __LINE__, #cond);                                \
                abort();                                                                                               \
            }                                                                                                          \
            OK(fiber_sleep(10));                                                                                       \
        }                                                                                                              \
    } while (0)

TEST(shared_by_viewers) {
    AUTO(docker) d = engine();
    struct hub *h = hub_new(NULL);
    const char *id =
        run(d, "share",
            "for i in 1 2 3 4 5; do echo line $i; done; while [ ! -e /go ]; do sleep 0.05; done; echo live; sleep 60");
    OK(fiber_sleep(300));
    struct view *a = attach(h, d, id, (struct hub_viewer_conf){.tail = -1});
    UNTIL(a->caught_up);
    CHECK(str_eq(buf_str(&a->text), STR("line 1\nline 2\nline 3\nline 4\nline 5\n")));
    struct view *b = attach(h, d, id, (struct hub_viewer_conf){.tail = 2});
    struct view *c = attach(h, d, id, (struct hub_viewer_conf){.tail = 0});
    struct view *e = attach(h, d, id, (struct hub_viewer_conf){.tail = -1, .no_follow = true});
    struct view *r = attach(h, d, id, (struct hub_viewer_conf){.after_seq = a->first_seq});
    UNTIL(b->caught_up && c->caught_up && e->ends && r->caught_up);
    CHECK(str_eq(buf_str(&b->text), STR("line 4\nline 5\n")));
    EQ(c->lines, 0);
    EQ(e->lines, 5);
    ZEQ(e->reason, "eof");
    EQ(r->lines, 4);
    EQ(r->gaps, 0);
    EQ(hub_stats_get(h).streams, 1);
    struct tar_file go = {.entry = {.path = "go"}};
    struct str tar;
    OK(tar_build(NOW, &go, 1, MIB(1), &tar));
    OK(docker_archive_put(d, &(struct docker_put){.container = id, .path = "/"}, tar, DL));
    UNTIL(a->lines == 6 && b->lines == 3 && c->lines == 1 && r->lines == 5);
    /* the container goes: everybody is told */
    gone(d, id);
    hub_container_event(h, d, id, "destroy");
    UNTIL(a->ends && b->ends && c->ends && r->ends);
    ZEQ(a->reason, "removed");
    struct view *all[] = {a, b, c, e, r};
    for (size_t i = 0; i < 5; i++)
        leave(all[i]);
    UNTIL(hub_stats_get(h).streams == 0);
    hub_free(h);
    return NULL;
}

/* A late viewer wants more than the ring was opened with: its own history, then the ring, nothing twice. */
TEST(late_viewer_history) {
    AUTO(docker) d = engine();
    struct hub *h = hub_new(NULL);
    const char *id = run(d, "late", "i=0; while [ $i -lt 500 ]; do i=$((i+1)); echo line $i; done; sleep 60");
    OK(fiber_sleep(500));
    struct view *a = attach(h, d, id, (struct hub_viewer_conf){.tail = 10});
    UNTIL(a->caught_up);
    EQ(a->lines, 10);
    struct view *b = attach(h, d, id, (struct hub_viewer_conf){.tail = 400});
    struct view *c = attach(h, d, id, (struct hub_viewer_conf){.tail = -1});
    UNTIL(b->caught_up && c->caught_up);
    EQ(b->lines, 400);
    EQ(c->lines, 500);
    EQ(c->last_seq, a->last_seq);
    struct view *r = attach(h, d, id, (struct hub_viewer_conf){.after_seq = b->first_seq}); /* older than the ring */
    UNTIL(r->caught_up);
    EQ(r->lines, 399);
    EQ(r->gaps, 0);
    struct view *g =
        attach(h, d, id, (struct hub_viewer_conf){.after_seq = c->first_seq - 400000}); /* before the log */
    UNTIL(g->caught_up);
    EQ(g->lines, 500);
    EQ(g->gaps, 1);
    /* a fresh hub, as after a restart of the server: the same numbers */
    struct hub *h2 = hub_new(NULL);
    struct view *x = attach(h2, d, id, (struct hub_viewer_conf){.after_seq = b->first_seq});
    UNTIL(x->caught_up);
    EQ(x->lines, 399);
    EQ(x->gaps, 0);
    EQ(x->last_seq, a->last_seq);
    struct view *all[] = {a, b, c, r, g, x};
    for (size_t i = 0; i < 6; i++)
        leave(all[i]);
    gone(d, id);
    hub_free(h);
    hub_free(h2);
    return NULL;
}

TEST(slow_viewer_skips) {
    AUTO(docker) d = engine();
    struct hub *h = hub_new(&(struct hub_conf){.ring_lines = 1000, .ring_bytes = KIB(256)});
    const char *id =
        run(d, "slow", "sleep 1; i=0; while [ $i -lt 30000 ]; do i=$((i+1)); echo line $i; done; echo end; sleep 60");
    struct view *slow = attach(h, d, id, (struct hub_viewer_conf){.tail = 0});
    struct view *fast = attach(h, d, id, (struct hub_viewer_conf){.tail = 0});
    slow->pause_at_once = true;
    UNTIL(fast->lines + fast->dropped == 30001);
    EQ(fast->dropped, 0);
    CHECK(slow->lines < 1000);
    CHECK(hub_stats_get(h).ring_bytes < KIB(300));
    slow->pause_at_once = false;
    hub_resume(slow->v);
    UNTIL(slow->lines + slow->dropped == 30001);
    CHECK(slow->dropped > 20000);
    CHECK(str_ends(buf_str(&slow->text), STR("line 30000\nend\n")));
    leave(slow);
    leave(fast);
    gone(d, id);
    hub_free(h);
    return NULL;
}

TEST(container_restart) {
    AUTO(docker) d = engine();
    struct hub *h = hub_new(NULL);
    const char *id = run(d, "again", "echo up; trap 'echo down; exit 0' TERM; while :; do sleep 0.05; done");
    struct view *a = attach(h, d, id, (struct hub_viewer_conf){.tail = -1});
    UNTIL(a->lines == 1);
    OK(docker_container_stop(d, id, 5, NULL, DL));
    UNTIL(a->stopped);
    EQ(a->lines, 2);
    OK(docker_container_start(d, id, DL));
    hub_container_event(h, d, id, "start");
    UNTIL(a->lines == 3);
    EQ(a->started, 1);
    CHECK(str_eq(buf_str(&a->text), STR("up\ndown\nup\n")));
    EQ(a->gaps, 0);
    leave(a);
    gone(d, id);
    hub_free(h);
    return NULL;
}

TEST(odd_outputs) {
    AUTO(docker) d = engine();
    struct hub *h = hub_new(NULL);
    struct container_spec s =
        shell_spec(name_of("odd"), "printf '\\377\\376bin\\n'; head -c 40000 /dev/zero | tr '\\0' x; echo; "
                                   "head -c 100000 /dev/zero | tr '\\0' y; echo; echo tail");
    struct docker_created *c;
    for (int tty = 0; tty < 2; tty++) {
        s.tty = tty;
        OK(docker_container_create(d, NOW, &s, &GUARD_NOBODY, DL, &c));
        OK(docker_container_start(d, c->id, DL));
        OK(docker_container_wait(d, c->id, DOCKER_WAIT_NOT_RUNNING, DL, &(int){0}));
        struct view *a = attach(h, d, c->id, (struct hub_viewer_conf){.tail = -1, .no_follow = true});
        UNTIL(a->ends);
        EQ(a->lines, 4); /* the engine's json-file driver stores invalid bytes as U+FFFD */
        EQ(a->text.n, 10 + 40001 + LOG_LINE_MAX + 1 + 5);
        leave(a);
        gone(d, c->id);
    }
    s.tty = false;
    s.log_driver = "none";
    OK(docker_container_create(d, NOW, &s, &GUARD_NOBODY, DL, &c));
    OK(docker_container_start(d, c->id, DL));
    struct view *n = attach(h, d, c->id, (struct hub_viewer_conf){.tail = 5});
    UNTIL(n->ends);
    EQ(n->code, ERR_NOT_IMPLEMENTED);
    leave(n);
    gone(d, c->id);
    struct view *m = attach(h, d, c->id, (struct hub_viewer_conf){.tail = 5});
    UNTIL(m->ends);
    EQ(m->code, ERR_NOT_FOUND);
    leave(m);
    hub_free(h);
    return NULL;
}

TEST(idle_and_limits) {
    AUTO(docker) d = engine();
    struct hub *h = hub_new(&(struct hub_conf){.idle_ms = 300, .max_viewers = 3, .max_streams = 1});
    const char *id = run(d, "idle", "while :; do echo tick; sleep 0.05; done");
    struct view *w[3];
    for (int i = 0; i < 3; i++)
        w[i] = attach(h, d, id, (struct hub_viewer_conf){.tail = 0});
    struct hub_viewer *v;
    struct hub_viewer_conf more = {.container = id, .on_lines = on_lines, .on_event = on_event, .ctx = w[0]};
    FAILS(ERR_BUSY, hub_attach(h, d, &more, &v));
    more.container = "another";
    FAILS(ERR_BUSY, hub_attach(h, d, &more, &v));
    more.container = "../x";
    FAILS(ERR_INVALID, hub_attach(h, d, &more, &v));
    UNTIL(w[0]->lines > 3 && w[2]->lines > 3);
    for (int i = 0; i < 3; i++)
        leave(w[i]);
    EQ(hub_stats_get(h).streams, 1);
    OK(fiber_sleep(100));
    w[0] = attach(h, d, id, (struct hub_viewer_conf){.tail = 0}); /* still the same stream */
    OK(fiber_sleep(500));
    EQ(hub_stats_get(h).streams, 1);
    leave(w[0]);
    UNTIL(hub_stats_get(h).streams == 0); /* noisy, but nobody looks */
    /* closing with viewers attached ends them */
    w[1] = attach(h, d, id, (struct hub_viewer_conf){.tail = -1});
    UNTIL(w[1]->caught_up);
    hub_free(h);
    EQ(w[1]->ends, 1);
    ZEQ(w[1]->reason, "shutdown");
    leave(w[1]);
    gone(d, id);
    return NULL;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        L(shared_by_viewers), L(late_viewer_history), L(slow_viewer_skips),
        L(container_restart), L(odd_outputs),         L(idle_and_limits),
    };
    return run_engine_tests(tests, ARRAY_LEN(tests));
}
