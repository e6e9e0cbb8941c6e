/* Log hub: one engine log stream per container, shared by any number of viewers through a bounded ring.
 *
 * - Lines carry a sequence number derived from the engine's timestamp (quarter microseconds since 1970, made strictly
 *   increasing; fits a JavaScript number). A viewer that comes back, even to a restarted server, resumes with `after_seq`
 *   without loss or duplicate, or is told about a gap.
 * - A viewer never slows others and owns no queue: it has a cursor into the ring. While it is paused the ring moves on;
 *   what was overwritten is reported as HUB_DROPPED with the number of lines.
 * - The engine stream is opened by the first viewer and closed `idle_ms` after the last one left. It survives restarts of
 *   the container and of the engine: it is reopened from the last timestamp with duplicates removed; what cannot be
 *   proven complete is a HUB_GAP.
 * Everything runs on the loop thread. Callbacks run on the loop stack (never inside hub_attach), must not yield, may call
 * hub_pause, hub_resume and hub_detach. */
#pragma once
#include "core/docker/docker.h"
#include "core/docker/stream.h"

struct hub;
struct hub_conf {
    size_t ring_bytes;  /* per container, default 4 MiB */
    size_t ring_lines;  /* per container, default 32768 */
    size_t total_bytes; /* all rings together, default 256 MiB; a ring never goes below 64 KiB */
    uint64_t idle_ms;   /* engine stream is kept after the last viewer, default 30 s */
    size_t max_viewers; /* per container, default 2000: ERR_BUSY beyond */
    size_t max_streams; /* containers with an open stream, default 2048: ERR_BUSY beyond */
    size_t batch_lines; /* most lines in one callback, default 512 */
};
struct hub *hub_new(const struct hub_conf *conf); /* NULL conf = defaults */
/** YIELDS. Ends all viewers (HUB_END "shutdown") and streams, then frees. */
void hub_free(struct hub *h);

struct hub_item {
    uint64_t seq;
    int64_t ts_ns;
    uint8_t stream;  /* 1 stdout, 2 stderr */
    bool cut;        /* longer than LOG_LINE_MAX, the rest was dropped */
    struct str text; /* any bytes */
};
struct hub_batch {
    const struct hub_item *items;
    size_t n;
    struct buf *json_cache; /* private */
    bool *json_ready;       /* private */
};
/** `{"s":1,"t":"2026-..Z","q":seq,"l":"text"},...` without brackets (and "cut":true where it holds); encoded once for all
 * viewers that get the same lines. Invalid UTF-8 becomes U+FFFD. Valid until the callback returns. */
struct str hub_batch_json(const struct hub_batch *b);
/** Same encoding of one item. */
void hub_item_json(struct buf *out, const struct hub_item *it);

enum hub_event_kind {
    HUB_DROPPED,   /* count lines were overwritten before this viewer took them */
    HUB_GAP,       /* lines may be missing between from_ns and to_ns (0 = unknown) */
    HUB_STOPPED,   /* the container is not running; the stream goes on if it starts again */
    HUB_STARTED,   /* it runs again */
    HUB_CAUGHT_UP, /* history is delivered; what follows is live. Once per viewer. */
    HUB_END,       /* last callback: reason is removed | eof (follow off) | shutdown | error; the viewer is detached */
};
struct hub_event {
    enum hub_event_kind kind;
    uint64_t count;
    int64_t from_ns, to_ns;
    const char *reason;
    err_t error; /* HUB_END with "error": ERR_NOT_FOUND, ERR_NOT_IMPLEMENTED (log driver), ERR_DOCKER_... */
};
struct hub_viewer;
struct hub_viewer_conf {
    const char *container; /* full id */
    int64_t tail;          /* last n lines first; 0 = none, -1 = all the engine has (bounded by max_history) */
    int64_t since_ns;      /* history from here on; 0 = no limit */
    uint64_t after_seq;    /* resume: everything after this line; overrides tail and since */
    size_t max_history;    /* most history lines fetched from the engine, default 10000 */
    bool no_stdout, no_stderr;
    bool no_follow; /* history, then HUB_END "eof" */
    void (*on_lines)(void *ctx, const struct hub_batch *batch);
    void (*on_event)(void *ctx, const struct hub_event *ev);
    void *ctx;
};
/** Attach; returns at once, everything else arrives by callback. The docker is referenced while needed. Errors: ERR_BUSY
 * (limits), ERR_INVALID. To report a missing container as plain HTTP call docker_container_inspect first. */
MUST_CHECK err_t hub_attach(struct hub *h, struct docker *d, const struct hub_viewer_conf *conf,
                            struct hub_viewer **ret);
/** No callback after this. Not needed (but allowed inside the callback) for HUB_END. NULL is fine. */
void hub_detach(struct hub_viewer *v);
/** High water: nothing more is delivered until hub_resume. */
void hub_pause(struct hub_viewer *v);
void hub_resume(struct hub_viewer *v);
/** What an event source knows: action start, restart, die, destroy... Makes reopening and ending immediate. */
void hub_container_event(struct hub *h, const struct docker *d, const char *container_id, const char *action);

struct hub_stats {
    size_t streams, open_streams, viewers, ring_bytes;
    uint64_t lines, bytes, dropped, reopens, gaps, duplicates;
};
struct hub_stats hub_stats_get(const struct hub *h);
