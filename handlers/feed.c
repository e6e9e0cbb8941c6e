/* The feeds: who is connected, who may see what, and sending it. */
#include "handlers/feed.h"
#include <stdio.h>
#include <stdlib.h>
#include "core/base/check.h"

enum { MAX_TEXT = 320 << 10 };
static struct list feeds = {&feeds, &feeds};

/* ---- who may see what ---- */

static const struct {
    const char *prefix;
    enum permission p;
} topics[] = {{"application.", PERM_APPLICATION_READ},
              {"deployment.", PERM_DEPLOYMENT_READ},
              {"task.", PERM_TASK_READ},
              {"container.", PERM_CONTAINER_READ},
              {"node.", PERM_NODE_READ},
              {"repository.", PERM_REPOSITORY_READ},
              {"activity.", PERM_EVENT_READ},
              {"notification.", PERM_EVENT_READ}};

static int permission_for(const char *topic) {
    for (size_t i = 0; i < ARRAY_LEN(topics); i++)
        if (z_starts(topic, topics[i].prefix))
            return topics[i].p;
    return -1; /* not for subscribers */
}

bool feed_sees_anything(const struct feed *f, const char *scope) {
    struct rbac *rbac = platform()->rbac;
    for (size_t i = 0; i < ARRAY_LEN(topics); i++)
        if (scope ? rbac_allowed(rbac, f->who, topics[i].p, scope) : rbac_allowed_anywhere(rbac, f->who, topics[i].p))
            return true;
    return false;
}

bool feed_may_see(const struct feed *f, const struct bus_event *e) {
    int p = permission_for(e->topic);
    return p >= 0 && rbac_allowed(platform()->rbac, f->who, (enum permission)p, e->scope_id ? e->scope_id : ROOT_SCOPE);
}

bool subscription_wants(const struct subscription *s, const struct bus_event *e) {
    bool topic = false;
    for (size_t i = 0; i < s->ntopics && !topic; i++)
        topic = glob_match(str_of(s->topics[i]), str_of(e->topic));
    if (!topic || (s->object && !z_eq(s->object, e->object_id)))
        return false;
    return s->scope == NULL || (e->scope_id && rbac_scope_within(platform()->rbac, e->scope_id, s->scope));
}

/* ---- sending ---- */

static void event_json(struct buf *b, const struct bus_event *e, const char *const *subs, size_t nsubs) {
    struct jw w;
    jw_init(&w, b);
    jw_obj(&w);
    jw_kv_str(&w, "type", "event");
    jw_key(&w, "sub");
    jw_arr(&w);
    for (size_t i = 0; i < nsubs; i++)
        jw_str(&w, subs[i]);
    jw_arr_end(&w);
    jw_kv_int(&w, "seq", e->seq);
    jw_kv_str(&w, "topic", e->topic);
    jw_key(&w, "object");
    jw_obj(&w);
    jw_kv_str(&w, "kind", e->object_kind);
    jw_kv_str(&w, "id", e->object_id);
    jw_obj_end(&w);
    jw_key(&w, "payload");
    jw_raw(&w, e->payload.n ? e->payload : STR("{}"));
    jw_kv_str(&w, "time", e->created_at);
    jw_obj_end(&w);
}

static void lose(struct feed *f, int64_t seq) {
    if (f->lost_from == 0)
        f->lost_from = seq > 0 ? seq : 1;
}

void feed_gap(struct feed *f, int64_t from, int64_t to) {
    char text[160], id[24];
    (void)snprintf(id, sizeof(id), "%lld", (long long)to);
    int n = snprintf(text, sizeof(text), "{\"type\":\"gap\",\"fromSeq\":%lld,\"toSeq\":%lld}", (long long)from,
                     (long long)to);
    (void)sink_send(&f->sink, "gap", id, str_n(text, (size_t)n));
}

void feed_send(struct feed *f, const struct bus_event *e, const char *const *subs, size_t n) {
    if (f->lost_from) {
        lose(f, e->seq);
        return;
    }
    AUTO_BUF b;
    char id[24];
    (void)snprintf(id, sizeof(id), "%lld", (long long)e->seq);
    buf_init(&b, 1024 + e->payload.n, MAX_TEXT);
    event_json(&b, e, subs, n);
    size_t queued = b.failed ? SIZE_MAX : sink_send(&f->sink, e->topic, id, buf_str(&b));
    if (queued == SIZE_MAX)
        lose(f, e->seq);
}

void feed_offer(struct feed *f, const struct bus_event *e, bool numbered) {
    const char *ids[MAX_SUBS];
    size_t n = 0;
    for (size_t i = 0; i < f->nsubs; i++) {
        struct subscription *s = f->subs[i];
        if (s->live && (!numbered || e->seq > s->after) && subscription_wants(s, e))
            ids[n++] = s->id;
    }
    if (n && feed_may_see(f, e))
        feed_send(f, e, ids, n);
}

void feed_drained(struct feed *f) {
    if (f->lost_from == 0)
        return;
    int64_t from = f->lost_from;
    f->lost_from = 0;
    feed_gap(f, from, bus_seq(platform()->bus));
}

/* ---- life ---- */

void feed_unref(struct feed *f) {
    if (--f->refs > 0)
        return;
    for (size_t i = 0; i < f->nsubs; i++)
        arena_unref(f->subs[i]->a);
    arena_unref(f->a);
    free(f);
}

struct feed *feed_new(const struct request *r) {
    struct feed *f = calloc(1, sizeof(*f));
    CHECK(f != NULL);
    f->magic = FEED_MAGIC;
    f->a = arena_new("feed", 0);
    f->who = principal_dup(f->a, r->who);
    f->refs = 1;
    list_add_tail(&feeds, &f->link);
    return f;
}

void feed_gone(struct feed *f) {
    list_del(&f->link);
    f->ended = true;
    f->sink = (struct sink){0};
    feed_unref(f);
}

void feed_end(struct feed *f, int code, const char *reason) {
    bool sse = f->sink.sse != NULL;
    sink_close(&f->sink, code, reason);
    if (sse) /* an ended response tells nobody */
        feed_gone(f);
}

void feeds_each(void (*fn)(struct feed *f, void *arg), void *arg) {
    for
        list_each_safe(it, tmp, &feeds)
            fn(list_entry(it, struct feed, link), arg);
}

bool feeds_any(void) { return !list_empty(&feeds); }

struct subscription *feed_find(struct feed *f, const char *id) {
    for (size_t i = 0; i < f->nsubs; i++)
        if (z_eq(f->subs[i]->id, id))
            return f->subs[i];
    return NULL;
}
