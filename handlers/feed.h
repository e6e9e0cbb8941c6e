/* Private to the feed of platform events: one connection (feed), its subscriptions, what it is sent. feed.c keeps and sends,
 * feed_replay.c sends the past, feed_subscribe.c reads what clients ask for, streams.c brings the events and the connections. */
#pragma once
#include "core/base/list.h"
#include "core/base/vec.h"
#include "handlers/streams.h"

enum { MAX_SUBS = 64, MAX_TOPICS = 16 };
#define FEED_MAGIC 0x46454544u

struct subscription {
    char id[65];
    const char *topics[MAX_TOPICS];
    size_t ntopics;
    const char *scope, *object;
    struct arena *a;
    uint64_t serial; /* in its feed: an id may be used again */
    bool seen;       /* there was something to see when it was made; when that ends, so does the stream */
    bool live;       /* false: its past is being sent */
    int64_t from;    /* then: what was sent of it */
    int64_t after;   /* the past ends here */
};
struct feed {
    uint32_t magic;
    struct list link;
    struct arena *a;
    struct sink sink;
    const struct principal *who;
    struct subscription *subs[MAX_SUBS]; /* each in its own arena */
    size_t nsubs;
    uint64_t serials;
    int refs;
    bool ended, replaying;
    int64_t lost_from; /* events from here on were not sent; 0 = none */
    unsigned errors;
};

/* feed.c */
struct feed *feed_new(const struct request *r);
void feed_unref(struct feed *f);
void feed_gone(struct feed *f); /* its connection has ended */
void feed_end(struct feed *f, int code, const char *reason);
void feeds_each(void (*fn)(struct feed *f, void *arg), void *arg); /* fn may end its feed */
bool feeds_any(void);
struct subscription *feed_find(struct feed *f, const char *id);
/** Has this person anything of what can be subscribed, at this scope (NULL = anywhere)? */
bool feed_sees_anything(const struct feed *f, const char *scope);
bool feed_may_see(const struct feed *f, const struct bus_event *e);
bool subscription_wants(const struct subscription *s, const struct bus_event *e);
void feed_send(struct feed *f, const struct bus_event *e, const char *const *subs, size_t n);
void feed_gap(struct feed *f, int64_t from, int64_t to);
void feed_drained(struct feed *f);
/** To every live subscription that wants it; numbered: what a subscription has had as its past is left out. */
void feed_offer(struct feed *f, const struct bus_event *e, bool numbered);

/* feed_replay.c */
void feed_replay_setup(void);
/** From last_seq on; -1 or the present = only what comes. */
void feed_go_live(struct feed *f, struct subscription *s, int64_t last_seq);

/* feed_subscribe.c */
MUST_CHECK err_t feed_subscribe(struct feed *f, const struct json *m, struct subscription **ret);
/** A message of the client. */
MUST_CHECK err_t feed_client(struct feed *f, struct arena *a, struct str text);
