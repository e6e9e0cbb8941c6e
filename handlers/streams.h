/* Live streams over WebSocket and server-sent events: one sender for both, and the feed of platform events. */
#pragma once
#include "handlers/app.h"
#include "server/reply.h"
#include "server/ws.h"

/** Credentials or rights changed: feeds of those who lost theirs end (4401, 4403). */
void feeds_recheck(void);
void streams_start(struct platform *p);
void streams_stop(struct platform *p); /* every stream ends with "server restart" */

/** Where a stream writes to: exactly one of the two; both NULL after its end. */
struct sink {
    struct ws *ws;
    struct reply_stream *sse;
};
#define SINK_HIGH_WATER WS_HIGH_WATER
/** One message (a JSON object). `event` and `id` are for SSE only. Bytes queued, SIZE_MAX when it was refused. */
size_t sink_send(struct sink *s, const char *event, const char *id, struct str text);
/** {"type":"error",...} and the end. */
void sink_fail(struct sink *s, int code, err_t e);
/** The end of the stream; the sink's own callback (on_close, on_gone) is what frees. */
void sink_close(struct sink *s, int code, const char *reason);
