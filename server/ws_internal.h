/* Shared by ws.c (sessions) and ws_handshake.c. */
#pragma once
#include <wslay/wslay.h>
#include "server/internal.h"
#include "server/ws.h"

enum {
    WS_MAGIC = 0x57534f43,
    WS_KEY_MAX = 64,
    WS_MAX_MESSAGE = 64 << 10,
    WS_MAX_QUEUED = 1 << 20,
    WS_MAX_PONGS = 16,      /* pings answered before the peer has taken an answer */
    WS_MAX_FRAGMENTS = 1024,
    WS_FRAMES_PER_TICK = 256,
    WS_CLOSE_MS = 5000,
    WS_STALL_MS = 60000,
    WS_REASON_MAX = 120
};
struct ws {
    uint32_t magic;
    struct list all;
    struct ws_callbacks cb;
    void *ctx;
    struct arena *a; /* the request's: principal lives there */
    const struct principal *who;
    char key[WS_KEY_MAX];
    h2o_socket_t *sock; /* NULL until the 101 is out */
    wslay_event_context_ptr wslay; /* parses what comes in; what goes out is framed here */
    struct buf out, flying; /* queued; with the kernel */
    bool started, writing, was_high, paused, finished;
    bool close_queued, close_seen;
    int code;         /* for on_close */
    int policy_code;  /* the peer broke a limit in this tick */
    unsigned pongs, fragments, frames;
    uint64_t heard_at, pinged_at, progress_at, close_by;
    struct deferred flush, pump;
};
