/* WebSocket (RFC 6455) over h2o_http1_upgrade with our own parser and pump. Origin, version and ticket were checked before the
 * handler runs. A session outlives the request: it owns its socket; `ctx` is the handler's, released by on_close, called once. */
#pragma once
#include "core/base/str.h"
#include "server/request.h"

struct ws;
struct reply;
enum ws_opcode { WS_TEXT, WS_BINARY };
struct ws_callbacks {
    void (*on_message)(void *ctx, struct ws *ws, enum ws_opcode op, struct str msg); /* loop stack; msg borrowed */
    void (*on_drained)(void *ctx, struct ws *ws);                                    /* queue fell below 64 KiB */
    void (*on_close)(void *ctx, int code); /* the last call; ws is invalid after */
    size_t max_message;                    /* 0 = 64 KiB */
};
/** In the handler's fiber, last thing it does: answers 101 when the fiber has returned NULL. */
MUST_CHECK err_t ws_accept(struct request *r, struct reply *out, const struct ws_callbacks *cb, void *ctx,
                           struct ws **ret);
/** Queue a message. Returns bytes now queued (own queue + socket). High water is 256 KiB: stop sending until on_drained. Above
 * 1 MiB the message is refused (returns SIZE_MAX): send a gap later. No-op after close. */
size_t ws_send(struct ws *ws, enum ws_opcode op, struct str msg);
size_t ws_queued(const struct ws *ws);
#define WS_HIGH_WATER ((size_t)256 << 10)
#define WS_LOW_WATER ((size_t)64 << 10)
/** Close handshake; queued behind pending messages; forced after 5 s. 44xx codes: 4400 bad message, 4401 unauthenticated,
 * 4403 forbidden, 4404 gone, 4429 too many; 1012 server restart, 1013 slow. */
void ws_close(struct ws *ws, int code, const char *reason);
void ws_pause(struct ws *ws); /* stop reading from the peer */
void ws_resume(struct ws *ws);
/** {"type":"error","code","message","timestamp","reconnect","fatal"} */
void ws_send_error(struct ws *ws, err_t e, bool reconnect, bool fatal);
/** Who is behind it; sessions are re-checked on authz changes by core/identity through ws_each. */
const struct principal *ws_principal(const struct ws *ws);
/** Where the principal lives: small, as long as the session; take a reference to keep either longer. */
struct arena *ws_arena(const struct ws *ws);
void ws_each(void (*fn)(void *arg, struct ws *ws, void *ctx), void *arg);
