/* Shared by ws.c (sessions) and ws_handshake.c. */
#pragma once
#include "server/internal.h"
#include "server/ws.h"
#include "server/ws_frame.h"

enum {
    WS_MAGIC = 0x57534f43,
    WS_KEY_MAX = 64,
    WS_MAX_MESSAGE = 64 << 10,
    WS_MAX_QUEUED = 1 << 20,
    WS_MAX_PONGS = 16, /* pings answered before the peer has taken an answer */
    WS_FRAMES_PER_TICK = 256,
    WS_CLOSE_MS = 5000,
    WS_REASON_MAX = 120
};
#define WS_RESTART "server restart; connect again in a few seconds" /* the reason of 1012 */
struct ws {
    uint32_t magic;
    struct list all;
    struct ws_callbacks cb;
    void *ctx;
    struct arena *a; /* the principal lives there */
    const struct principal *who;
    char key[WS_KEY_MAX];
    h2o_socket_t *sock; /* NULL until the 101 is out */
    struct ws_parser in;
    struct buf out, flying; /* queued; with the kernel */
    bool started, writing, was_high, paused, finished;
    bool close_queued; /* our close frame is in the queue or sent: nothing follows it */
    bool in_ended;     /* the peer's close, or an error of its: nothing more is read */
    int code;          /* for on_close */
    unsigned pongs;    /* answers that the peer has not taken */
    uint64_t heard_at, pinged_at, progress_at, close_by;
    struct deferred flush, pump;
};
