/* What clients of the feed ask for. */
#include <stdio.h>
#include "core/base/id.h"
#include "handlers/feed.h"

static bool topic_ok(const char *t) {
    return t && *t && strlen(t) <= 63 && strspn(t, "abcdefghijklmnopqrstuvwxyz0123456789.-_*") == strlen(t);
}

static err_t add_topics(struct subscription *s, const struct json *topics) {
    if (json_len(topics) == 0 || json_len(topics) > MAX_TOPICS)
        return err_new(ERR_BAD_REQUEST, "a subscription names 1 to %d topics", MAX_TOPICS);
    for (size_t i = 0; i < json_len(topics); i++) {
        const char *t = json_str(json_at(topics, i));
        if (!topic_ok(t))
            return err_new(ERR_BAD_REQUEST, "a topic looks like \"application.status\" or \"deployment.*\"");
        s->topics[s->ntopics++] = arena_strdup(s->a, t);
    }
    return NULL;
}

/* A scope somebody has no right in does not exist for him. */
static err_t check_scope(const struct feed *f, const char *scope) {
    if (scope == NULL)
        return NULL;
    static const struct perm_set none;
    struct perm_set have = uuid_valid(str_of(scope)) ? rbac_permissions(platform()->rbac, f->who, scope) : none;
    return memcmp(&have, &none, sizeof(none)) != 0 ? NULL : err_new(ERR_NOT_FOUND, "no such scope");
}

err_t feed_subscribe(struct feed *f, const struct json *m, struct subscription **ret) {
    const char *id = json_get_str(m, "id"), *scope = json_get_str(m, "scope");
    const struct json *object = json_get(m, "object");
    if (id == NULL || *id == '\0' || strlen(id) > 64)
        return err_new(ERR_BAD_REQUEST, "a subscription needs an id of 1 to 64 bytes");
    if (feed_find(f, id))
        return err_new(ERR_CONFLICT, "there is a subscription with this id already");
    if (f->nsubs == MAX_SUBS)
        return err_new(ERR_RATE_LIMITED, "at most %d subscriptions per connection", MAX_SUBS);
    TRY(check_scope(f, scope));
    struct arena *a = arena_new("feed.subscription", 0);
    struct subscription *s = arena_new_obj(a, struct subscription);
    s->a = a;
    s->serial = ++f->serials;
    (void)snprintf(s->id, sizeof(s->id), "%s", id);
    s->scope = arena_strdup(s->a, scope);
    s->object = arena_strdup(s->a, json_str(object) ? json_str(object) : json_get_str(object, "id"));
    err_t e = add_topics(s, json_get(m, "topics"));
    if (e) {
        arena_unref(a);
        return e;
    }
    s->seen = feed_sees_anything(f, scope);
    f->subs[f->nsubs++] = s;
    *ret = s;
    return NULL;
}

static void unsubscribe(struct feed *f, const char *id) {
    size_t i = 0;
    while (i < f->nsubs && !z_eq(f->subs[i]->id, id))
        i++;
    if (i == f->nsubs)
        return;
    arena_unref(f->subs[i]->a);
    f->subs[i] = f->subs[--f->nsubs];
}

err_t feed_client(struct feed *f, struct arena *a, struct str text) {
    struct json *m;
    struct subscription *s;
    TRY(json_parse(a, text, &(struct json_limits){.max_bytes = KIB(64), .max_depth = 8, .max_nodes = 256}, &m));
    const char *type = json_get_str(m, "type");
    if (z_eq(type, "unsubscribe")) {
        unsubscribe(f, json_get_str(m, "id"));
        return NULL;
    }
    if (!z_eq(type, "subscribe"))
        return err_new(ERR_BAD_REQUEST, "send {\"type\":\"subscribe\",...} or {\"type\":\"unsubscribe\",...}");
    TRY(feed_subscribe(f, m, &s));
    struct json *ok = json_object(a);
    json_set_str(a, ok, "type", "subscribed");
    json_set_str(a, ok, "id", s->id);
    json_set_int(a, ok, "seq", bus_seq(platform()->bus));
    (void)sink_send(&f->sink, NULL, NULL, str_of(json_to_text(a, ok)));
    feed_go_live(f, s, json_get_int(m, "lastSeq", -1));
    return NULL;
}
