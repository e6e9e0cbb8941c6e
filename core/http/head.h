/* Request heads, checked against injection. Private to core/http. */
#pragma once
#include "core/base/buf.h"
#include "core/http/client.h"
/** Append the request line and headers to `out`. ERR_INVALID names what cannot be sent. */
MUST_CHECK err_t http_head_write(struct buf *out, const char *host, const struct http_request *req);
