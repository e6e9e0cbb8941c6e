/* The guard around h2o's HTTP/1 parsing (link-time wrapping). h2o keeps the first Content-Length, lets Transfer-Encoding
 * override it, keeps the last Host, accepts bare LF and folded lines, and hides all that from handlers. Whatever is ambiguous is
 * refused here, before dispatch: the guard reports a harmless parsed request and leaves the verdict in the connection, so
 * that the answer takes the normal way (dispatch.c) and the connection closes after it. */
#include <picohttpparser.h>
#include "server/internal.h"
#include "server/uv_guard.h"

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's names for --wrap */
int __real_phr_parse_request(const char *buf, size_t len, const char **method, size_t *method_len, const char **path,
                             size_t *path_len, int *minor, struct phr_header *headers, size_t *nheaders,
                             size_t last_len);
int __wrap_phr_parse_request(const char *buf, size_t len, const char **method, size_t *method_len, const char **path,
                             size_t *path_len, int *minor, struct phr_header *headers, size_t *nheaders,
                             size_t last_len);
ssize_t __wrap_phr_decode_chunked(struct phr_chunked_decoder *d, char *buf, size_t *bufsz);
/* NOLINTEND(bugprone-reserved-identifier) */

struct head {
    const char **method, **path;
    size_t *method_len, *path_len;
    int *minor;
    struct phr_header *headers;
    size_t *nheaders;
};
struct verdict {
    enum err_code code;
    const char *message; /* NULL = accept */
};
#define ACCEPT ((struct verdict){0, NULL})
#define REFUSE(code_, text) ((struct verdict){ERR_##code_, (text)})

enum { SMALL_BODY = 64 << 10, HOLD_STEP = 256 << 10 };
static const char PREFACE[] = "PRI * HTTP/2";

static bool is_token_char(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* CR LF and nothing else ends a line; no NUL anywhere (the parser refuses other control bytes) */
static bool lines_clean(const char *buf, size_t n) {
    const char *end = buf + n;
    for (const char *p = buf; p < end; p++) {
        p = memchr(p, '\n', (size_t)(end - p));
        if (p == NULL)
            break;
        if (p == buf || p[-1] != '\r')
            return false;
    }
    return memchr(buf, '\0', n) == NULL;
}

static struct str header_name(const struct phr_header *h) { return str_n(h->name, h->name_len); }
static struct str header_value(const struct phr_header *h) { return str_n(h->value, h->value_len); }

static void drop_header(struct head *h, size_t i) {
    memmove(h->headers + i, h->headers + i + 1, (*h->nheaders - i - 1) * sizeof(*h->headers));
    (*h->nheaders)--;
}

struct framing {
    unsigned lengths, codings, hosts;
    struct str host;
    uint64_t length;
};

static struct verdict check_length(struct str v, struct framing *f) {
    int64_t n;
    if (++f->lengths > 1)
        return REFUSE(BAD_REQUEST, "more than one Content-Length");
    if (v.n == 0 || v.n > 18)
        return REFUSE(BAD_REQUEST, "broken Content-Length");
    for (size_t i = 0; i < v.n; i++)
        if (v.p[i] < '0' || v.p[i] > '9')
            return REFUSE(BAD_REQUEST, "broken Content-Length");
    n = 0;
    for (size_t i = 0; i < v.n; i++)
        n = n * 10 + (v.p[i] - '0');
    f->length = (uint64_t)n;
    if (f->length > SRV.h2o.max_request_entity_size)
        return REFUSE(TOO_LARGE, "the request body is too large");
    return ACCEPT;
}

static struct verdict check_header(struct head *h, size_t i, struct framing *f) {
    struct str name = header_name(&h->headers[i]), value = header_value(&h->headers[i]);
    if (str_eq_nocase(name, STR("content-length")))
        return check_length(value, f);
    if (str_eq_nocase(name, STR("transfer-encoding"))) {
        if (++f->codings > 1 || !str_eq_nocase(value, STR("chunked")))
            return REFUSE(BAD_REQUEST, "only \"Transfer-Encoding: chunked\" is understood");
        return ACCEPT;
    }
    value = str_trim(value);
    h->headers[i].value_len = value.n; /* leading space is gone already */
    if (str_eq_nocase(name, STR("host"))) {
        f->host = value;
        if (++f->hosts > 1)
            return REFUSE(BAD_REQUEST, "more than one Host");
    } else if (str_eq_nocase(name, STR("expect")) && !str_eq_nocase(value, STR("100-continue"))) {
        return REFUSE(EXPECTATION, "only \"Expect: 100-continue\" is understood");
    }
    return ACCEPT;
}

/* absolute-form is legal (RFC 9112 3.2.2) but never makes us a proxy: it must name the host that Host names */
static struct verdict check_target(struct head *h, const struct framing *f) {
    struct str t = str_n(*h->path, *h->path_len);
    if (t.n > MAX_URI)
        return REFUSE(URI_TOO_LONG, "the request target is longer than 8 KiB");
    if (t.n > 0 && (t.p[0] == '/' || str_eqz(t, "*")))
        return ACCEPT;
    ptrdiff_t scheme = str_find(t, STR("://"));
    if (scheme < 4 || scheme > 5 || !str_eq_nocase(str_n(t.p, 4), STR("http")))
        return REFUSE(BAD_REQUEST, "the request target is neither a path nor a URL");
    struct str rest = str_slice(t, (size_t)scheme + 3, t.n);
    ptrdiff_t slash = str_find_chr(rest, '/');
    struct str authority = slash < 0 ? rest : str_n(rest.p, (size_t)slash);
    if (!str_eq_nocase(authority, f->host))
        return REFUSE(BAD_REQUEST, "the URL and Host name different servers");
    *h->path = slash < 0 ? "/" : rest.p + slash;
    *h->path_len = slash < 0 ? 1 : rest.n - (size_t)slash;
    return ACCEPT;
}

static struct verdict check_method(const struct head *h) {
    if (*h->method_len == 0 || *h->method_len > 32)
        return REFUSE(BAD_REQUEST, "broken method");
    for (size_t i = 0; i < *h->method_len; i++)
        if (!is_token_char((*h->method)[i]))
            return REFUSE(BAD_REQUEST, "broken method");
    if (str_eqz(str_n(*h->method, *h->method_len), "CONNECT"))
        return REFUSE(NOT_IMPLEMENTED, "this server is not a proxy");
    return ACCEPT;
}

static struct verdict check_framing(const struct head *h, const struct framing *f) {
    if (f->lengths && f->codings)
        return REFUSE(BAD_REQUEST, "both Content-Length and Transfer-Encoding");
    if (f->codings && *h->minor == 0)
        return REFUSE(BAD_REQUEST, "Transfer-Encoding in HTTP/1.0");
    if (f->hosts == 0 && *h->minor > 0)
        return REFUSE(BAD_REQUEST, "Host is missing");
    if (f->hosts > 0 && f->host.n == 0)
        return REFUSE(BAD_REQUEST, "Host is empty");
    return ACCEPT;
}

#define CHAIN(expr)                                                                                                    \
    do {                                                                                                               \
        struct verdict v_ = (expr);                                                                                    \
        if (v_.message != NULL)                                                                                        \
            return v_;                                                                                                 \
    } while (0)

/* h2o holds the whole body before a handler can ask who sends it. Small ones are bounded by the number of connections. */
static enum admission hold_body(struct conn *c, size_t n) {
    if (n <= SMALL_BODY || n <= c->body_held || c->peer == NULL)
        return ADMIT_OK;
    enum admission may = admission_body(c->peer, n - c->body_held);
    if (may == ADMIT_OK)
        c->body_held = n;
    return may;
}

static struct verdict admit_body(struct conn *c, uint64_t n) {
    switch (hold_body(c, (size_t)n)) {
    case ADMIT_OK:
        return ACCEPT;
    case ADMIT_PEER:
        return REFUSE(RATE_LIMITED, "this address is sending too much at once; try again shortly");
    default:
        return REFUSE(BUSY, "the server is receiving too much at once; try again shortly");
    }
}

static struct verdict check_head(struct conn *c, const char *buf, size_t n, struct head *h) {
    struct framing f = {0};
    if (!lines_clean(buf, n))
        return REFUSE(BAD_REQUEST, "a line of the head does not end in CR LF");
    if (*h->minor > 1)
        return REFUSE(BAD_REQUEST, "unknown HTTP version");
    CHAIN(check_method(h));
    for (size_t i = 0; i < *h->nheaders; i++) {
        if (h->headers[i].name == NULL)
            return REFUSE(BAD_REQUEST, "folded header line");
        CHAIN(check_header(h, i, &f));
        /* h2c by Upgrade is not offered; ignoring the wish is what RFC 9110 7.8 allows */
        if (str_eq_nocase(header_name(&h->headers[i]), STR("upgrade")) &&
            !str_eq_nocase(header_value(&h->headers[i]), STR("websocket")))
            drop_header(h, i--);
    }
    CHAIN(check_framing(h, &f));
    if (n > H1_MAX_HEAD)
        return REFUSE(HEADERS_TOO_LARGE, "the request head is larger than 64 KiB");
    CHAIN(check_target(h, &f));
    if (f.codings || f.length > 0)
        conn_phase(c, CONN_BODY);
    c->body_chunked = 0;
    return admit_body(c, f.length);
}

/* Nothing of the input is kept: the connection closes after the answer */
static int refuse(struct conn *c, struct verdict v, size_t len, struct head *h) {
    c->reject.code = v.code;
    c->reject.message = v.message;
    *h->method = "GET";
    *h->method_len = 3;
    *h->path = "/";
    *h->path_len = 1;
    *h->minor = 1;
    *h->nheaders = 0;
    return (int)len;
}

static int incomplete(struct conn *c, const char *buf, size_t len, struct head *h) {
    if (c->phase != CONN_HEAD)
        conn_phase(c, CONN_HEAD);
    if (len > H1_MAX_HEAD)
        return refuse(c, REFUSE(HEADERS_TOO_LARGE, "the request head is larger than 64 KiB"), len, h);
    if (len > MAX_URI + 64 && memchr(buf, '\n', len) == NULL)
        return refuse(c, REFUSE(URI_TOO_LONG, "the request target is longer than 8 KiB"), len, h);
    return -2;
}

int __wrap_phr_parse_request(const char *buf, size_t len, const char **method, size_t *method_len, const char **path,
                             size_t *path_len, int *minor, struct phr_header *headers, size_t *nheaders,
                             size_t last_len) {
    struct conn *c = conn_of_req(CONTAINER_OF(method, h2o_req_t, input.method.base));
    struct head h = {method, path, method_len, path_len, minor, headers, nheaders};
    size_t max = *nheaders;
    int n = __real_phr_parse_request(buf, len, method, method_len, path, path_len, minor, headers, nheaders, last_len);
    if (n == -2)
        return incomplete(c, buf, len, &h);
    if (n == -1) {
        if (len >= sizeof(PREFACE) - 1 && memcmp(buf, PREFACE, sizeof(PREFACE) - 1) == 0 && c->requests == 0) {
            conn_phase(c, CONN_H2);
            return -1; /* h2o takes it from here */
        }
        if (*nheaders == max)
            return refuse(c, REFUSE(HEADERS_TOO_LARGE, "more than 100 header fields"), len, &h);
        return refuse(c, REFUSE(BAD_REQUEST, "malformed HTTP request"), len, &h);
    }
    struct verdict v = check_head(c, buf, (size_t)n, &h);
    return v.message ? refuse(c, v, len, &h) : n;
}

/* ---- chunked bodies: RFC 9112 7.1 to the letter ---- */

enum {
    CHUNK_SIZE,
    CHUNK_EXT,
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_CR,
    CHUNK_LF,
    TRAILER_START,
    TRAILER_LINE,
    TRAILER_LF,
    FINAL_LF
};
enum { MAX_SIZE_DIGITS = 16, MAX_EXT_BYTES = 120, MAX_TRAILER_BYTES = 8192 };

static int hex_value(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool is_text(char c) { return (unsigned char)c >= 0x20 ? c != 0x7f : c == '\t'; }

/* One byte outside of chunk data. 0 = go on, 1 = body complete, -1 = malformed. In trailers bytes_left_in_chunk counts bytes. */
static int chunk_byte(struct phr_chunked_decoder *d, char ch) {
    switch (d->_state) {
    case CHUNK_SIZE: {
        int v = hex_value(ch);
        if (v >= 0) {
            if (++d->_hex_count > MAX_SIZE_DIGITS || d->bytes_left_in_chunk > (SIZE_MAX >> 8))
                return -1;
            d->bytes_left_in_chunk = d->bytes_left_in_chunk * 16 + (size_t)v;
            return 0;
        }
        if (d->_hex_count == 0 || (ch != '\r' && ch != ';'))
            return -1;
        d->_hex_count = 0;
        d->_state = ch == '\r' ? CHUNK_SIZE_LF : CHUNK_EXT;
        return 0;
    }
    case CHUNK_EXT:
        if (ch == '\r')
            d->_state = CHUNK_SIZE_LF;
        else if (!is_text(ch) || ++d->_hex_count > MAX_EXT_BYTES)
            return -1;
        return 0;
    case CHUNK_SIZE_LF:
        d->_hex_count = 0;
        d->_state = d->bytes_left_in_chunk > 0 ? CHUNK_DATA : TRAILER_START;
        return ch == '\n' ? 0 : -1;
    case CHUNK_CR:
        d->_state = CHUNK_LF;
        return ch == '\r' ? 0 : -1;
    case CHUNK_LF:
        d->_state = CHUNK_SIZE;
        return ch == '\n' ? 0 : -1;
    case TRAILER_START:
        d->_state = ch == '\r' ? FINAL_LF : TRAILER_LINE;
        return ch == '\r' || is_token_char(ch) ? 0 : -1;
    case TRAILER_LINE:
        if (ch == '\r')
            d->_state = TRAILER_LF;
        else if (!is_text(ch) || ++d->bytes_left_in_chunk > MAX_TRAILER_BYTES)
            return -1;
        return 0;
    case TRAILER_LF:
        d->_state = TRAILER_START;
        return ch == '\n' ? 0 : -1;
    case FINAL_LF:
        return ch == '\n' ? 1 : -1;
    default:
        return -1;
    }
}

/* A length nobody announced is counted as it grows; what is too much together ends as a malformed body would. */
static bool hold_chunks(struct conn *c, size_t n) {
    if (c == NULL)
        return true;
    c->body_chunked += n;
    size_t steps = (c->body_chunked + HOLD_STEP - 1) / HOLD_STEP;
    return c->body_chunked <= SMALL_BODY || hold_body(c, steps * HOLD_STEP) == ADMIT_OK;
}

/* Same contract as picohttpparser's: decoded bytes are moved to the front of buf, *bufsz becomes their number; returns the
 * number of undecoded bytes after the end of the body, -2 when more input is needed, -1 when it is malformed. */
ssize_t __wrap_phr_decode_chunked(struct phr_chunked_decoder *d, char *buf, size_t *bufsz) {
    size_t src = 0, dst = 0, n = *bufsz;
    int end = 0;
    while (src < n && end == 0) {
        if (d->_state == CHUNK_DATA) {
            size_t take = n - src < d->bytes_left_in_chunk ? n - src : d->bytes_left_in_chunk;
            memmove(buf + dst, buf + src, take);
            src += take;
            dst += take;
            d->bytes_left_in_chunk -= take;
            if (d->bytes_left_in_chunk == 0)
                d->_state = CHUNK_CR;
        } else {
            end = chunk_byte(d, buf[src++]);
        }
    }
    memmove(buf + dst, buf + src, n - src);
    *bufsz = dst;
    if (!hold_chunks(guard_current(), dst))
        return -1;
    return end == 1 ? (ssize_t)(n - src) : end == 0 ? -2 : -1;
}
