/* HTTP/1.1 client on llhttp for fibers: keep-alive pool per endpoint, chunked, upgrade, streaming both ways, strict limits:
 * response headers <= 64 KiB, <= 16 1xx replies, CL+TE or bad framing -> ERR_UPSTREAM_PROTOCOL. No redirects are followed. */
#pragma once
#include "core/async/net.h"
#include "core/base/err.h"
#include "core/base/str.h"

/** How to open a transport; ctx is the endpoint's. The seam for tests. */
struct http_wire {
    err_t (*open)(void *ctx, uint64_t deadline, struct stream **ret); /* YIELDS */
    void *ctx;
};
struct http_pool;
/** `host` is sent as Host:. max_conns bounds open connections (idle ones die after 60 s). Caller frees. */
struct http_pool *http_pool_new(const char *name, const char *host, struct http_wire wire, size_t max_idle,
                                size_t max_conns);
void http_pool_free(struct http_pool *p); /* closes idle connections; open responses stay valid until closed */
void http_pool_drop_idle(struct http_pool *p);

struct http_header {
    const char *name, *value;
};
struct http_request {
    const char *method;
    const char *target; /* path?query as sent; must not contain space or control bytes (checked) */
    const struct http_header *headers;
    size_t nheaders;
    struct str body; /* sent with Content-Length when content_type or body.n */
    const char *content_type;
    bool chunked_upload; /* body follows through http_send_chunk / http_send_end */
    bool upgrade_tcp;    /* Connection: Upgrade, Upgrade: tcp */
    bool
        no_retry; /* default: a request on a reused connection that dies before any byte is retried once if idempotent */
};
struct http_response;
/** YIELDS until the response head is there (or until the request head was sent for chunked_upload: then send, then
 * http_response_head). The response owns its connection until closed. */
MUST_CHECK err_t http_do(struct http_pool *p, const struct http_request *req, uint64_t deadline,
                         struct http_response **ret);
MUST_CHECK err_t http_send_chunk(struct http_response *r, const void *p, size_t n, uint64_t deadline);
MUST_CHECK err_t http_send_end(struct http_response *r, uint64_t deadline); /* YIELDS until the response head */
int http_status(const struct http_response *r);
const char *http_header_get(const struct http_response *r, const char *name); /* NULL; borrowed */
/** YIELDS. *ret.n == 0: end of body. Valid until the next call. */
MUST_CHECK err_t http_read(struct http_response *r, uint64_t deadline, struct str *ret);
/** YIELDS. Whole body, at most max bytes (ERR_TOO_LARGE), in `a`, NUL-terminated. */
MUST_CHECK err_t http_read_all(struct http_response *r, struct arena *a, size_t max, uint64_t deadline,
                               struct str *ret);
/** Callback mode for stream pumps (loop stack): decoded body bytes; n==0 && !e = end. */
typedef void http_body_cb(void *arg, struct str bytes, err_t e);
void http_pump(struct http_response *r, http_body_cb *cb, void *arg);
void http_pause(struct http_response *r);
void http_resume(struct http_response *r);
/** After 101 (or a hijacked 200): take the raw stream; bytes already read come first from stream_read. */
struct stream *http_take_stream(struct http_response *r);
/** Back to the pool if the body was read to its end and keep-alive holds, else closed. NULL is fine. Any stack. */
void http_close(struct http_response *r);
DF_AUTO_DEFINE(http_response, struct http_response *, http_close);
/** YIELDS. One round trip with small bodies. */
MUST_CHECK err_t http_simple(struct http_pool *p, struct arena *a, const struct http_request *req, size_t max_body,
                             uint64_t deadline, int *ret_status, struct str *ret_body);
