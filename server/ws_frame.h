/* RFC 6455 frames from a client: an incremental parser without I/O. Nothing is allocated for what a header merely announces; text
 * is checked as UTF-8 while it arrives. Server side only: frames must be masked, no extensions. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core/base/buf.h"

enum { WS_OP_CONTINUATION = 0, WS_OP_TEXT = 1, WS_OP_BINARY = 2, WS_OP_CLOSE = 8, WS_OP_PING = 9, WS_OP_PONG = 10 };
enum { WS_CONTROL_MAX = 125, WS_MAX_FRAGMENTS = 1024, WS_FRAME_HEAD_MAX = 10 };

enum ws_event {
    WS_EV_MORE,    /* all input consumed, nothing complete */
    WS_EV_FRAME,   /* a fragment ended; nothing for the application yet */
    WS_EV_MESSAGE, /* p->op, p->msg */
    WS_EV_PING,    /* p->control, p->control_n */
    WS_EV_PONG,
    WS_EV_CLOSE, /* p->code (1005 = none given) */
    WS_EV_ERROR  /* p->code is what to close with: 1002, 1007, 1008, 1009. Feed nothing more */
};
struct utf8_check {
    uint8_t need, lo, hi; /* continuation bytes due; bounds of the next one */
};
struct ws_parser {
    size_t max_message;
    struct buf msg;
    uint8_t op; /* of the message in progress; 0 = none */
    uint8_t control[WS_CONTROL_MAX];
    size_t control_n;
    int code;
    /* private */
    uint8_t head[14];
    uint8_t head_n, mask[4], mask_at, frame_op;
    bool fin, in_frame, delivered;
    uint64_t left;
    unsigned fragments;
    struct utf8_check utf8;
};
void ws_parser_init(struct ws_parser *p, size_t max_message);
void ws_parser_done(struct ws_parser *p);
/** Consume input up to the next event; *consumed bytes are done with. After WS_EV_MESSAGE p->msg is valid until the next call. */
enum ws_event ws_parse(struct ws_parser *p, const uint8_t *in, size_t n, size_t *consumed);
/** Header of an unmasked, unfragmented server frame; returns its length. */
size_t ws_frame_head(uint8_t out[WS_FRAME_HEAD_MAX], uint8_t op, uint64_t n);
bool utf8_feed(struct utf8_check *u, const uint8_t *p, size_t n); /* false: cannot become valid any more */
static inline bool utf8_complete(const struct utf8_check *u) { return u->need == 0; }
bool ws_close_code_ok(int code);
