/* Inside the hub only. Ring and sequence (hub_ring.c), engine side of a stream (hub_stream.c), viewers (hub.c), history of
 * one late viewer (hub_history.c). */
#pragma once
#include "core/async/fiber.h"
#include "core/async/loop.h"
#include "core/async/wait.h"
#include "core/base/list.h"
#include "core/base/map.h"
#include "core/docker/hub.h"
#include "core/docker/stream.h"

/* --- ring --- */
struct ring_chunk {
    struct ring_chunk *next;
    size_t used, cap, lines;
    char data[];
};
struct ring_line {
    uint64_t seq;
    int64_t ts_ns;
    struct ring_chunk *chunk;
    uint32_t off, len;
    uint8_t stream;
    bool cut;
};
struct ring {
    struct ring_line *v; /* capacity is a power of two */
    size_t cap, head, n;
    uint64_t first; /* index of the oldest line; indexes are dense and never reused */
    struct ring_chunk *oldest, *newest;
    size_t bytes;
};
void ring_done(struct ring *r);
void ring_push(struct ring *r, uint64_t seq, const struct log_line *line);
void ring_evict(struct ring *r); /* the oldest line */
struct ring_line *ring_at(const struct ring *r, uint64_t index);
static inline uint64_t ring_end(const struct ring *r) { return r->first + r->n; }
/** Index of the first line with a greater sequence number. */
uint64_t ring_after(const struct ring *r, uint64_t seq);
uint64_t hub_seq(uint64_t previous, int64_t ts_ns);
static inline int64_t hub_seq_ns(uint64_t seq) { return (int64_t)(seq * 250); }

/* --- stream and viewers --- */
#define VIEWER_MAGIC 0x4e75b1e3u
#define LSTREAM_MAGIC 0x4e75b1e4u
#define SAME_TIME_MAX 256
#define LSTREAM_NOTES 16

struct lstream { /* one container's log */
    uint32_t magic;
    struct hub *hub;
    struct docker *d;
    char *key, *container;
    struct fiber *fiber;
    struct deferred deliver;
    struct timer idle;
    struct list viewers;
    size_t nviewers;
    struct ring ring;
    uint64_t last_seq;
    int64_t last_ns;              /* time of the last line */
    uint64_t same[SAME_TIME_MAX]; /* hashes of the lines at last_ns */
    size_t nsame;
    bool matched[SAME_TIME_MAX]; /* seen again after a reopen */
    bool resuming, resume_seen;  /* reopened: the first lines may be known */
    int64_t first_tail;          /* what the first viewer wants of the past: lines, 0 = nothing */
    int64_t first_since_ns;
    struct lstream_note { /* events between the lines, the last ones kept */
        enum hub_event_kind kind;
        int64_t from_ns, to_ns;
        uint64_t at; /* before the line of this index */
    } notes[LSTREAM_NOTES];
    uint64_t nnotes;
    bool whole;  /* the ring began with the very first line of the log */
    bool primed; /* the past is in the ring */
    bool tty, opened, stopped;
    struct cond wake;
    bool woken;
    const char *end_reason; /* set: over, viewers are told on the loop stack */
    struct arena *end_arena;
    err_t end_error;
    unsigned delivering;
};
struct hub_viewer {
    uint32_t magic;
    unsigned refs; /* the list, and a running history fiber */
    struct list link;
    struct hub *hub;
    struct lstream *s;
    struct hub_viewer_conf conf;
    uint64_t cursor;  /* index into the stream's ring */
    uint64_t min_seq; /* lines up to here are known to the viewer */
    uint64_t notes_seen;
    struct ring past; /* own history, delivered first */
    uint64_t past_cursor;
    uint64_t load_mark; /* end of the ring when the history was asked for */
    uint64_t limit;     /* no_follow: index where it ends */
    bool founder;       /* the stream was opened for it: the ring begins with its history */
    bool positioned, loading, loaded, paused, dead, caught_up;
    bool gap_pending;
    int64_t gap_from, gap_to;
    err_t load_error;
    struct arena *load_arena;
};
struct hub {
    struct hub_conf conf;
    struct map streams;
    size_t nstreams, nviewers, nhistories, bytes;
    bool closing;
    struct cond quiet;
    struct hub_stats stats;
    struct hub_item *items; /* one batch, shared by all viewers at the same place */
    size_t nitems;
    struct buf json;
    bool json_ready, skipped;
    struct {
        const struct ring *ring; /* NULL: nothing cached */
        uint64_t from, next;
        unsigned mask;
    } cached;
};

/* hub.c */
void hub_deliver_soon(struct lstream *s);
void hub_viewer_unref(struct hub_viewer *v);
/** An event between the lines: viewers get it when they arrive at this place. */
void hub_note_event(struct lstream *s, enum hub_event_kind kind, int64_t from_ns, int64_t to_ns);
/* hub_stream.c */
err_t lstream_main(void *arg);
void lstream_push(struct lstream *s, const struct log_line *line);
/* hub_history.c */
void hub_load_history(struct hub_viewer *v);
struct hub_fetch {
    int64_t tail, since_ns;
    log_line_fn *fn;
    void *arg;
};
/** YIELDS. One-shot log request, line by line. */
err_t hub_fetch_lines(struct docker *d, const char *container, bool tty, const struct hub_fetch *f, uint64_t deadline);
