#include "core/http/head.h"
#include <string.h>
#include <strings.h>

#ifndef DF_VERSION
#define DF_VERSION "dev"
#endif
enum { TARGET_MAX = 32 * 1024, METHOD_MAX = 16, HEADERS_MAX = 64 };

/* Framing and routing are ours: a caller's copy of these would be a second opinion. */
static const char *const OURS[] = {"Host", "Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "Expect",
                                   "TE",   "Trailer"};

static bool is_token(const char *s, size_t max) {
    size_t n = s != NULL ? strlen(s) : 0;
    if (n == 0 || n > max)
        return false;
    return strspn(s, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == n;
}

static bool is_value(const char *s) {
    if (s == NULL)
        return false;
    for (; *s != '\0'; s++) {
        if (((unsigned char)*s < ' ' && *s != '\t') || *s == 0x7f)
            return false;
    }
    return true;
}

static err_t check_target(const char *t) {
    size_t n = t != NULL ? strlen(t) : 0;
    if (n == 0 || (t[0] != '/' && strcmp(t, "*") != 0))
        return err_new(ERR_INVALID, "request target must start with /");
    if (n > TARGET_MAX)
        return err_new(ERR_INVALID, "request target of %zu bytes, at most %d are allowed", n, TARGET_MAX);
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)t[i] <= ' ' || (unsigned char)t[i] >= 0x7f || t[i] == '#')
            return err_new(ERR_INVALID, "request target contains a byte that must be percent-encoded (0x%02x at %zu)",
                           (unsigned char)t[i], i);
    }
    return NULL;
}

static err_t check_header(const struct http_header *h) {
    if (!is_token(h->name, 256))
        return err_new(ERR_INVALID, "a request header name is not a token");
    for (size_t i = 0; i < ARRAY_LEN(OURS); i++) {
        if (strcasecmp(h->name, OURS[i]) == 0)
            return err_new(ERR_INVALID, "request header %s is set by the client itself", h->name);
    }
    if (!is_value(h->value))
        return err_new(ERR_INVALID, "the value of request header %s contains a control character", h->name);
    return NULL;
}

static err_t check_request(const char *host, const struct http_request *req) {
    if (!is_token(req->method, METHOD_MAX))
        return err_new(ERR_INVALID, "request method is not a token");
    TRY(check_target(req->target));
    if (!is_value(host) || host[0] == '\0' || strpbrk(host, " \t/") != NULL)
        return err_new(ERR_INVALID, "host name is not usable in a request");
    if (req->nheaders > HEADERS_MAX)
        return err_new(ERR_INVALID, "more than %d request headers", HEADERS_MAX);
    for (size_t i = 0; i < req->nheaders; i++)
        TRY(check_header(&req->headers[i]));
    if (req->content_type != NULL && !is_value(req->content_type))
        return err_new(ERR_INVALID, "the content type contains a control character");
    if (req->chunked_upload && req->body.n > 0)
        return err_new(ERR_INVALID, "a chunked upload cannot have a body as well");
    return NULL;
}

static bool has_header(const struct http_request *req, const char *name) {
    for (size_t i = 0; i < req->nheaders; i++) {
        if (strcasecmp(req->headers[i].name, name) == 0)
            return true;
    }
    return false;
}

static bool sends_length(const struct http_request *req) {
    if (req->chunked_upload)
        return false;
    return req->body.n > 0 || req->content_type != NULL || strcmp(req->method, "POST") == 0 ||
           strcmp(req->method, "PUT") == 0 || strcmp(req->method, "PATCH") == 0;
}

err_t http_head_write(struct buf *out, const char *host, const struct http_request *req) {
    TRY(check_request(host, req));
    buf_putf(out, "%s %s HTTP/1.1\r\nHost: %s\r\n", req->method, req->target, host);
    if (!has_header(req, "User-Agent"))
        buf_puts(out, "User-Agent: DockFlow/" DF_VERSION "\r\n");
    if (req->upgrade_tcp)
        buf_puts(out, "Connection: Upgrade\r\nUpgrade: tcp\r\n");
    for (size_t i = 0; i < req->nheaders; i++)
        buf_putf(out, "%s: %s\r\n", req->headers[i].name, req->headers[i].value);
    if (req->content_type != NULL && !has_header(req, "Content-Type"))
        buf_putf(out, "Content-Type: %s\r\n", req->content_type);
    if (req->chunked_upload)
        buf_puts(out, "Transfer-Encoding: chunked\r\n");
    else if (sends_length(req))
        buf_putf(out, "Content-Length: %zu\r\n", req->body.n);
    buf_puts(out, "\r\n");
    return buf_check(out);
}
