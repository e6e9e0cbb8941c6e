/* Outbox and bus: a domain event is a row written in the transaction of the change it tells about; every process reads
 * the rows in commit order (seq) after a notification and hands them to its subscribers. Delivery to a live subscriber
 * is in order and without holes; who comes back asks for a replay by seq and is told when that reaches too far back. */
#pragma once
#include "core/base/err.h"
#include "core/base/str.h"
#include "core/pg/pg.h"

struct bus_event {
    int64_t seq;
    const char *id, *topic;
    const char *org_id, *scope_id; /* NULL: the platform's */
    const char *object_kind, *object_id;
    struct str payload; /* JSON text */
    const char *created_at;
};
/** Everything given must match; topics are globs ("deployment.*"), none = all. Copied by bus_subscribe. */
struct bus_filter {
    const char *const *topics;
    size_t ntopics; /* <= 16 */
    const char *org_id, *scope_id, *object_kind, *object_id;
    /** Rights and the like; may be NULL. Loop stack: must not park. */
    bool (*wants)(void *arg, const struct bus_event *e);
};

/** YIELDS. In the caller's transaction; payload is a JSON object, at most 64 KiB (ERR_TOO_LARGE). scope_id may be NULL.
 * */
MUST_CHECK err_t bus_publish(struct pg *tx, const char *topic, const char *scope_id, const char *object_kind,
                             const char *object_id, const char *payload);

struct bus;
/** Starts listening; events committed from now on are delivered. `db` and `conf` outlive it. */
struct bus *bus_new(struct pg *db, const struct pg_conf *conf);
/** fn YIELDS, on the dispatcher's fiber, before events are delivered: it fetches what deciding about them needs. After an error
 * they are read again later. */
void bus_before(struct bus *b, err_t (*fn)(void *arg, const struct bus_event *e, size_t n), void *arg);
void bus_free(struct bus *b); /* subscriptions must be gone */
/** Newest seq handed out. */
int64_t bus_seq(const struct bus *b);
/** YIELDS until the dispatcher knows where it is (first contact with the database). */
MUST_CHECK err_t bus_wait_ready(struct bus *b, uint64_t deadline);

struct bus_sub;
/** cb on the loop stack, per matching event; the event lives until cb returns. on_gap (may be NULL): events were purged
 * before this process could read them; ask again for the state. Both may unsubscribe. */
struct bus_sub *bus_subscribe(struct bus *b, const struct bus_filter *filter,
                              void (*cb)(void *arg, const struct bus_event *e), void (*on_gap)(void *arg), void *arg);
void bus_unsubscribe(struct bus_sub *s); /* NULL is fine; nothing is called afterwards */

/** YIELDS. Events after `seq` that match (filter NULL = all), oldest first, at most max (<= 1000), in `a`. *ret_gap: some after `seq` are
 * gone already. *ret_seq: continue from here (also when nothing matched). */
MUST_CHECK err_t bus_replay(struct pg *db, struct arena *a, const struct bus_filter *filter, void *arg, int64_t seq,
                            size_t max, struct bus_event **ret, size_t *ret_n, int64_t *ret_seq, bool *ret_gap);
/** YIELDS. Delete events older than keep_s, in bounded steps. */
MUST_CHECK err_t bus_purge(struct pg *db, int64_t keep_s, int64_t *ret_deleted);
