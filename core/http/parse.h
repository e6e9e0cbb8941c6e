/* Response parser without I/O: bytes in, events out. llhttp in its strict form plus our limits. Private to core/http (and
 * its tests and fuzz target). */
#pragma once
#include <llhttp.h>
#include <stdbool.h>
#include "core/base/buf.h"
#include "core/base/str.h"

enum {
    HTTP_HEAD_MAX = 64 * 1024,
    HTTP_HEADERS_MAX = 100,
    HTTP_INFORMATIONAL_MAX = 16,
    HTTP_REASON_MAX = 160,
};
enum http_event {
    HTTP_EV_MORE, /* all input was used */
    HTTP_EV_HEAD, /* status and headers are complete; input stands behind the head */
    HTTP_EV_BODY, /* *ret_body is a piece of the input */
    HTTP_EV_END,  /* message complete; what is left of the input does not belong to it */
    HTTP_EV_BAD,  /* see error; the connection is unusable */
};

struct http_parser {
    llhttp_t ll;
    llhttp_settings_t settings;
    bool no_body, upgrade_asked; /* what the request was: HEAD; Upgrade */
    bool head_done, keep_alive, upgraded, ended;
    bool resumed; /* a pause ended: llhttp may have more to say without further input */
    int status, informational;
    char line_prev;  /* the byte before, while in the head */
    size_t overhead; /* bytes since the last body byte: bounds heads, chunk extensions and trailers alike */
    struct buf text; /* name NUL value NUL ... */
    size_t nheaders, ntrailers;
    uint32_t name_at[HTTP_HEADERS_MAX], value_at[HTTP_HEADERS_MAX];
    enum http_event event;
    struct str body;
    char error[HTTP_REASON_MAX];
};

void http_parser_init(struct http_parser *p, bool head_request, bool upgrade_asked);
void http_parser_done(struct http_parser *p);
/** Advance *input past what was used. Behind the head of an upgraded message nothing is touched any more. */
enum http_event http_parser_feed(struct http_parser *p, struct str *input, struct str *ret_body);
/** The peer closed: HTTP_EV_END if that is how this message ends, else HTTP_EV_BAD. */
enum http_event http_parser_eof(struct http_parser *p);
const char *http_parser_header(const struct http_parser *p, const char *name);
/** -1 when the head did not say. */
int64_t http_parser_length(const struct http_parser *p);
