/* Live streams (WebSocket, SSE) lose their rights when the person behind them does: within a second of the change each guard
 * looks again, and `deny` is called once with 4401 (the credential ended) or 4403 (the permission did). */
#pragma once
#include "core/rbac/rbac.h"
#include "server/request.h"

struct stream_guard;
/** After the request was authorized. deny runs on the loop stack, must not park, and may free the guard. scope_id NULL = root. */
struct stream_guard *stream_guard_new(const struct request *r, enum permission p, const char *scope_id,
                                      void (*deny)(void *arg, int code, const char *reason), void *arg);
void stream_guard_free(struct stream_guard *g); /* NULL is fine */
/** For several permissions on one stream (subscriptions): may this principal still do p there? No yield. */
bool stream_guard_allowed(const struct stream_guard *g, enum permission p, const char *scope_id);
