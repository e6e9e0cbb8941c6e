#include "core/http/parse.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "core/base/check.h"

static struct http_parser *self(llhttp_t *ll) { return CONTAINER_OF(ll, struct http_parser, ll); }

static int bad(struct http_parser *p, const char *fmt, ...) PRINTF_LIKE(2, 3);
static int bad(struct http_parser *p, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    if (p->error[0] == '\0')
        (void)vsnprintf(p->error, sizeof(p->error), fmt, ap);
    va_end(ap);
    return HPE_USER;
}

/* ---- headers ---- */

static int add_text(struct http_parser *p, const char *at, size_t n) {
    if (p->head_done)
        return 0; /* trailers are counted and dropped */
    return buf_append(&p->text, at, n) == NULL ? 0 : bad(p, "headers are larger than %d bytes", HTTP_HEAD_MAX);
}

/* The distribution's llhttp is built without its strict tables: spaces would pass in names. */
static bool is_token_char(unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static int on_field(llhttp_t *ll, const char *at, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (!is_token_char((unsigned char)at[i]))
            return bad(self(ll), "a header name contains the byte 0x%02x", (unsigned char)at[i]);
    }
    return add_text(self(ll), at, n);
}

static int on_value(llhttp_t *ll, const char *at, size_t n) {
    struct http_parser *p = self(ll);
    for (size_t i = 0; i < n; i++) {
        if (((unsigned char)at[i] < ' ' && at[i] != '\t') || at[i] == 0x7f)
            return bad(p, "a header value contains the control byte 0x%02x", (unsigned char)at[i]);
    }
    return add_text(p, at, n);
}

static int on_field_complete(llhttp_t *ll) {
    struct http_parser *p = self(ll);
    if (p->head_done)
        return ++p->ntrailers > HTTP_HEADERS_MAX ? bad(p, "more than %d trailers", HTTP_HEADERS_MAX) : 0;
    if (p->nheaders == HTTP_HEADERS_MAX)
        return bad(p, "more than %d headers", HTTP_HEADERS_MAX);
    if (p->text.n == p->name_at[p->nheaders])
        return bad(p, "a header without a name");
    p->value_at[p->nheaders] = (uint32_t)p->text.n + 1;
    return add_text(p, "", 1);
}

static int on_value_complete(llhttp_t *ll) {
    struct http_parser *p = self(ll);
    if (p->head_done)
        return 0;
    if (add_text(p, "", 1) != 0)
        return HPE_USER;
    if (++p->nheaders < HTTP_HEADERS_MAX)
        p->name_at[p->nheaders] = (uint32_t)p->text.n;
    return 0;
}

static void forget_headers(struct http_parser *p) {
    buf_clear(&p->text);
    p->nheaders = 0;
    p->name_at[0] = 0;
}

static int on_informational(struct http_parser *p) {
    if (++p->informational > HTTP_INFORMATIONAL_MAX)
        return bad(p, "more than %d informational responses", HTTP_INFORMATIONAL_MAX);
    if (p->ll.flags & (F_CONTENT_LENGTH | F_TRANSFER_ENCODING))
        return bad(p, "a %d response announces a body", p->status);
    forget_headers(p);
    p->ll.flags |= F_SKIPBODY;
    return 0;
}

static int check_framing(struct http_parser *p) {
    const unsigned flags = p->ll.flags;
    if ((flags & F_CONTENT_LENGTH) && (flags & F_TRANSFER_ENCODING))
        return bad(p, "both Content-Length and Transfer-Encoding");
    if ((flags & F_TRANSFER_ENCODING) && !(flags & F_CHUNKED))
        return bad(p, "a transfer encoding other than chunked");
    if ((flags & F_TRANSFER_ENCODING) && p->ll.http_minor == 0)
        return bad(p, "a transfer encoding in HTTP/1.0");
    if (p->status == 204 && ((flags & F_TRANSFER_ENCODING) || p->ll.content_length > 0))
        return bad(p, "a 204 response announces a body");
    if (p->status == 304 && (flags & F_TRANSFER_ENCODING))
        return bad(p, "a 304 response announces a body");
    return 0;
}

static int on_headers_complete(llhttp_t *ll) {
    struct http_parser *p = self(ll);
    p->status = ll->status_code;
    if (ll->http_major != 1 || ll->http_minor > 1)
        return bad(p, "HTTP version %d.%d", ll->http_major, ll->http_minor);
    if (p->status < 100 || p->status > 599)
        return bad(p, "status code %d", p->status);
    if (p->status == 101) {
        if (!p->upgrade_asked || !ll->upgrade)
            return bad(p, "a 101 response that was not asked for or names no protocol");
        p->upgraded = true;
    } else if (p->status < 200) {
        return on_informational(p);
    }
    if (check_framing(p) != 0)
        return HPE_USER;
    ll->upgrade = p->upgraded;
    if (p->no_body || p->status == 204 || p->status == 304)
        ll->flags |= F_SKIPBODY;
    p->keep_alive = llhttp_should_keep_alive(ll) && !p->upgraded;
    p->head_done = true;
    p->event = HTTP_EV_HEAD;
    return HPE_PAUSED;
}

/* ---- body ---- */

static int on_body(llhttp_t *ll, const char *at, size_t n) {
    struct http_parser *p = self(ll);
    if (n == 0)
        return 0;
    p->event = HTTP_EV_BODY;
    p->body = str_n(at, n);
    return HPE_PAUSED;
}

static int on_message_complete(llhttp_t *ll) {
    struct http_parser *p = self(ll);
    if (!p->head_done)
        return 0; /* an informational response: the real one follows */
    p->ended = true;
    p->event = HTTP_EV_END;
    return HPE_PAUSED;
}

/* ---- feeding ---- */

void http_parser_init(struct http_parser *p, bool head_request, bool upgrade_asked) {
    memset(p, 0, sizeof(*p));
    p->no_body = head_request;
    p->upgrade_asked = upgrade_asked;
    buf_init(&p->text, 0, HTTP_HEAD_MAX);
    llhttp_settings_init(&p->settings);
    p->settings.on_header_field = on_field;
    p->settings.on_header_value = on_value;
    p->settings.on_header_field_complete = on_field_complete;
    p->settings.on_header_value_complete = on_value_complete;
    p->settings.on_headers_complete = on_headers_complete;
    p->settings.on_body = on_body;
    p->settings.on_message_complete = on_message_complete;
    llhttp_init(&p->ll, HTTP_RESPONSE, &p->settings);
}

void http_parser_done(struct http_parser *p) { buf_done(&p->text); }

/* Lines must end in CR LF and none may continue the one before: llhttp forgives both, and two parsers that read one head
 * differently are how responses get smuggled. Runs over what llhttp took as head. */
static const char *check_lines(struct http_parser *p, const char *at, size_t n) {
    for (size_t i = 0; i < n; i++) {
        char c = at[i];
        if ((c == '\n') != (p->line_prev == '\r'))
            return "a line of the head does not end in CR LF";
        if ((c == ' ' || c == '\t') && p->line_prev == '\n')
            return "a folded header line";
        p->line_prev = c;
    }
    return NULL;
}

static enum http_event fail(struct http_parser *p, const char *reason) {
    (void)bad(p, "%s", reason != NULL && reason[0] != '\0' ? reason : "malformed response");
    return p->event = HTTP_EV_BAD;
}

enum http_event http_parser_feed(struct http_parser *p, struct str *input, struct str *ret_body) {
    if (p->event == HTTP_EV_BAD || p->ended || (p->upgraded && p->head_done))
        return p->event == HTTP_EV_BAD ? HTTP_EV_BAD : HTTP_EV_END;
    if (input->n == 0 && !p->resumed)
        return HTTP_EV_MORE;
    if (input->p == NULL)
        input->p = "";
    p->resumed = false;
    p->event = HTTP_EV_MORE;
    const bool in_head = !p->head_done;
    enum llhttp_errno rc = llhttp_execute(&p->ll, input->p, input->n);
    size_t used = input->n;
    if (rc == HPE_PAUSED || rc == HPE_PAUSED_UPGRADE)
        used = (size_t)(llhttp_get_error_pos(&p->ll) - input->p);
    else if (rc != HPE_OK)
        return fail(p, llhttp_get_error_reason(&p->ll));
    CHECK(used <= input->n);
    const char *lines = in_head ? check_lines(p, input->p, used) : NULL;
    if (lines != NULL)
        return fail(p, lines);
    p->overhead += used - (p->event == HTTP_EV_BODY ? p->body.n : 0);
    if (p->overhead > HTTP_HEAD_MAX)
        return fail(p,
                    p->head_done ? "more than 64 KiB of chunk framing or trailers" : "headers are larger than 64 KiB");
    if (p->event == HTTP_EV_BODY) {
        p->overhead = 0;
        *ret_body = p->body;
    }
    *input = str_n(input->p + used, input->n - used);
    if (rc == HPE_PAUSED) {
        llhttp_resume(&p->ll);
        p->resumed = true;
    }
    return p->event;
}

enum http_event http_parser_eof(struct http_parser *p) {
    if (p->event == HTTP_EV_BAD || p->ended)
        return p->event;
    if (!p->head_done)
        return fail(p, "the connection was closed inside the response head");
    p->event = HTTP_EV_MORE;
    enum llhttp_errno rc = llhttp_finish(&p->ll);
    if (p->ended && (rc == HPE_OK || rc == HPE_PAUSED))
        return HTTP_EV_END;
    return fail(p, "the connection was closed inside the response body");
}

const char *http_parser_header(const struct http_parser *p, const char *name) {
    if (!p->head_done)
        return NULL;
    for (size_t i = 0; i < p->nheaders; i++) {
        if (strcasecmp(p->text.p + p->name_at[i], name) == 0)
            return p->text.p + p->value_at[i];
    }
    return NULL;
}

int64_t http_parser_length(const struct http_parser *p) {
    const char *v = http_parser_header(p, "Content-Length");
    int64_t n;
    return v != NULL && str_to_i64(str_of(v), 0, INT64_MAX, &n) == NULL ? n : -1;
}
