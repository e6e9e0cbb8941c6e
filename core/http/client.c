#include "core/http/client.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/async/fiber.h"
#include "core/async/loop.h"
#include "core/base/check.h"
#include "core/http/head.h"
#include "core/http/parse.h"
#include "core/http/pool.h"

enum {
    RESPONSE_MAGIC = 0x4774E501,
    SEND_HEAD_MAX = 128 * 1024,
    SEND_JOINED_MAX = 16 * 1024, /* a body up to this goes out in one write with its head */
    HELD_MAX = 64 * 1024,        /* what one read of a stream can bring at most */
    EARLY_REPLY_MS = 1000,
};

struct http_response {
    uint32_t magic;
    unsigned refs; /* owner, pump callback in progress */
    struct http_pool *pool;
    struct stream *s;
    bool slot;              /* holds one of the pool's */
    bool reused, got_bytes; /* for the retry decision */
    bool uploading, broken, closed;
    struct str input; /* read from the stream, not yet parsed: valid until the next stream_read */
    struct http_parser parser;
    /* pump mode */
    bool pumping, paused, pump_ended;
    http_body_cb *cb;
    void *cb_arg;
    struct buf held; /* bytes that came in before a pause took effect */
    struct deferred kick;
};

/* ---- life ---- */

static struct http_response *response_new(struct http_pool *p, const struct http_request *req) {
    struct http_response *r = calloc(1, sizeof(*r));
    CHECK(r != NULL);
    r->magic = RESPONSE_MAGIC;
    r->refs = 1;
    r->pool = p;
    http_pool_ref_(p);
    http_parser_init(&r->parser, strcmp(req->method, "HEAD") == 0, req->upgrade_tcp);
    buf_init(&r->held, 0, HELD_MAX);
    return r;
}

static void response_unref(struct http_response *r) {
    if (--r->refs > 0)
        return;
    http_parser_done(&r->parser);
    buf_done(&r->held);
    http_pool_unref_(r->pool);
    r->magic = 0;
    free(r);
}

static void release_slot(struct http_response *r) {
    if (r->slot)
        sem_release(&r->pool->slots);
    r->slot = false;
}

/* Who only wanted the status still leaves a clean connection if the rest has arrived already. */
static void finish_quietly(struct http_response *r) {
    struct str body;
    while (r->parser.head_done && !r->parser.ended && !r->broken && !r->pumping && !r->uploading) {
        enum http_event ev = http_parser_feed(&r->parser, &r->input, &body);
        if (ev != HTTP_EV_BODY)
            return;
    }
}

static bool reusable(const struct http_response *r) {
    return r->parser.ended && r->parser.keep_alive && !r->broken && !r->uploading && !r->pumping && r->input.n == 0;
}

void http_close(struct http_response *r) {
    if (r == NULL)
        return;
    CHECK(r->magic == RESPONSE_MAGIC && !r->closed);
    r->closed = true;
    loop_defer_cancel(&r->kick);
    if (r->s != NULL) {
        finish_quietly(r);
        if (reusable(r))
            http_pool_put_(r->pool, TAKE(r->s));
        else
            stream_close(TAKE(r->s));
    }
    release_slot(r);
    response_unref(r);
}

static err_t protocol_error(struct http_response *r) {
    r->broken = true;
    return err_new(ERR_UPSTREAM_PROTOCOL, "%s sent a response that breaks HTTP: %s", r->pool->name, r->parser.error);
}

/* ---- one exchange ---- */

static err_t open_stream(struct http_response *r, bool allow_reuse, uint64_t deadline) {
    struct http_pool *p = r->pool;
    r->s = allow_reuse ? http_pool_take_idle_(p) : NULL;
    r->reused = r->s != NULL;
    return r->reused ? NULL : p->wire.open(p->wire.ctx, deadline, &r->s);
}

/* A body after a response that cannot have one would be taken for the next response. */
static err_t check_rest(struct http_response *r) {
    int st = r->parser.status;
    if (r->input.n > 0 && (st == 204 || st == 304)) {
        (void)snprintf(r->parser.error, sizeof(r->parser.error), "a %d response has a body", st);
        return protocol_error(r);
    }
    return NULL;
}

static err_t read_more(struct http_response *r, uint64_t deadline) {
    err_t e = stream_read(r->s, deadline, &r->input);
    if (e != NULL) {
        r->input = STR("");
        r->broken = true;
        return e;
    }
    r->got_bytes = r->got_bytes || r->input.n > 0;
    return NULL;
}

static err_t read_head(struct http_response *r, uint64_t deadline) {
    for (;;) {
        struct str body;
        switch (http_parser_feed(&r->parser, &r->input, &body)) {
        case HTTP_EV_HEAD:
            return check_rest(r);
        case HTTP_EV_MORE:
            break;
        default:
            return protocol_error(r);
        }
        TRY(read_more(r, deadline));
        if (r->input.n > 0)
            continue;
        r->broken = true;
        if (!r->got_bytes)
            return err_new(ERR_IO, "%s closed the connection without answering", r->pool->name);
        (void)http_parser_eof(&r->parser);
        return protocol_error(r);
    }
}

/* The write failed: perhaps because the peer had said why and closed. */
static err_t early_reply(struct http_response *r, err_t write_error, uint64_t deadline) {
    r->broken = true;
    if (err_is(write_error, ERR_CANCELLED) || err_is(write_error, ERR_TIMEOUT))
        return write_error;
    return read_head(r, deadline_min(deadline, loop_now() + EARLY_REPLY_MS)) == NULL ? NULL : write_error;
}

static err_t send_request(struct http_response *r, const struct buf *head, const struct http_request *req,
                          uint64_t deadline) {
    TRY(stream_write(r->s, head->p, head->n, deadline));
    return head->n > 0 && req->body.n > SEND_JOINED_MAX ? stream_write(r->s, req->body.p, req->body.n, deadline) : NULL;
}

static err_t exchange(struct http_response *r, const struct buf *head, const struct http_request *req,
                      uint64_t deadline) {
    err_t e = send_request(r, head, req, deadline);
    if (e != NULL)
        return early_reply(r, e, deadline);
    r->uploading = req->chunked_upload;
    return r->uploading ? NULL : read_head(r, deadline);
}

static bool idempotent(const char *method) {
    static const char *const SAFE[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"};
    for (size_t i = 0; i < ARRAY_LEN(SAFE); i++) {
        if (strcmp(method, SAFE[i]) == 0)
            return true;
    }
    return false;
}

static err_t attempt(struct http_response *r, const struct buf *head, const struct http_request *req,
                     uint64_t deadline) {
    TRY(open_stream(r, true, deadline));
    err_t e = exchange(r, head, req, deadline);
    /* A kept connection may have died of age the moment it was used. */
    bool stale = e != NULL && r->reused && !r->got_bytes && err_is(e, ERR_IO);
    if (!stale || req->no_retry || req->chunked_upload || !idempotent(req->method))
        return e;
    stream_close(TAKE(r->s));
    r->broken = false;
    TRY(open_stream(r, false, deadline));
    return exchange(r, head, req, deadline);
}

static err_t request_error(const struct http_pool *p, const struct http_request *req, err_t e) {
    /* One self-contained message: it is shown to people. The query stays out, it may carry credentials. */
    return err_new(e->code, "%s: %s %.*s: %s", p->name, req->method, (int)strcspn(req->target, "?"), req->target,
                   e->message);
}

err_t http_do(struct http_pool *p, const struct http_request *req, uint64_t deadline, struct http_response **ret) {
    CHECK(p->magic == HTTP_POOL_MAGIC && !p->freed);
    AUTO_BUF head;
    buf_init(&head, 0, SEND_HEAD_MAX);
    TRY(http_head_write(&head, p->host, req));
    if (req->body.n <= SEND_JOINED_MAX)
        TRY(buf_append(&head, req->body.p, req->body.n));
    AUTO(http_response) r = response_new(p, req);
    err_t e = sem_acquire(&p->slots, deadline);
    if (e == NULL) {
        r->slot = true;
        e = p->freed ? err_new(ERR_SHUTTING_DOWN, "the endpoint was removed") : attempt(r, &head, req, deadline);
    }
    if (e != NULL)
        return request_error(p, req, e);
    *ret = TAKE(r);
    return NULL;
}

/* ---- upload ---- */

err_t http_send_chunk(struct http_response *r, const void *p, size_t n, uint64_t deadline) {
    CHECK(r->magic == RESPONSE_MAGIC && r->uploading);
    if (n == 0)
        return NULL; /* an empty chunk would be the end */
    char size[24];
    int len = snprintf(size, sizeof(size), "%zx\r\n", n);
    TRY(stream_write(r->s, size, (size_t)len, deadline));
    TRY(stream_write(r->s, p, n, deadline));
    return stream_write(r->s, "\r\n", 2, deadline);
}

err_t http_send_end(struct http_response *r, uint64_t deadline) {
    CHECK(r->magic == RESPONSE_MAGIC && r->uploading);
    r->uploading = false;
    err_t e = stream_write(r->s, "0\r\n\r\n", 5, deadline);
    return e != NULL ? early_reply(r, e, deadline) : read_head(r, deadline);
}

/* ---- head and body ---- */

int http_status(const struct http_response *r) { return r->parser.status; }
const char *http_header_get(const struct http_response *r, const char *name) {
    return http_parser_header(&r->parser, name);
}

/* End of input from the peer: an end of the message, or a cut. */
static err_t body_eof(struct http_response *r, struct str *ret) {
    r->broken = true;
    if (http_parser_eof(&r->parser) != HTTP_EV_END)
        return protocol_error(r);
    *ret = STR("");
    return NULL;
}

err_t http_read(struct http_response *r, uint64_t deadline, struct str *ret) {
    CHECK(r->magic == RESPONSE_MAGIC && r->s != NULL && !r->pumping && r->parser.head_done);
    for (;;) {
        switch (http_parser_feed(&r->parser, &r->input, ret)) {
        case HTTP_EV_BODY:
            return NULL;
        case HTTP_EV_END:
            *ret = STR("");
            return check_rest(r);
        case HTTP_EV_MORE:
            break;
        default:
            return protocol_error(r);
        }
        TRY(read_more(r, deadline));
        if (r->input.n == 0)
            return body_eof(r, ret);
    }
}

err_t http_read_all(struct http_response *r, struct arena *a, size_t max, uint64_t deadline, struct str *ret) {
    int64_t announced = http_parser_length(&r->parser);
    if (announced > 0 && (uint64_t)announced > max && !r->parser.no_body && r->parser.status != 304)
        return err_new(ERR_TOO_LARGE, "%s announces a body of %lld bytes, at most %zu are accepted", r->pool->name,
                       (long long)announced, max);
    AUTO_BUF all;
    buf_init(&all, 0, max);
    for (;;) {
        struct str part;
        TRY(http_read(r, deadline, &part));
        if (part.n == 0)
            break;
        if (buf_append(&all, part.p, part.n) != NULL)
            return err_new(ERR_TOO_LARGE, "%s sent a body of more than %zu bytes", r->pool->name, max);
    }
    *ret = str_n(arena_strndup(a, all.p != NULL ? all.p : "", all.n), all.n);
    return NULL;
}

struct stream *http_take_stream(struct http_response *r) {
    CHECK(r->magic == RESPONSE_MAGIC && r->s != NULL && !r->pumping && r->parser.head_done);
    stream_unread(r->s, r->input.n);
    r->input = STR("");
    release_slot(r);
    return TAKE(r->s);
}

err_t http_simple(struct http_pool *p, struct arena *a, const struct http_request *req, size_t max_body,
                  uint64_t deadline, int *ret_status, struct str *ret_body) {
    AUTO(http_response) r = NULL;
    TRY(http_do(p, req, deadline, &r));
    if (req->chunked_upload)
        TRY(http_send_end(r, deadline));
    struct str body;
    err_t e = http_read_all(r, a, max_body, deadline, &body);
    if (e != NULL)
        return request_error(p, req, e);
    *ret_status = http_status(r);
    *ret_body = body;
    return NULL;
}

/* ---- pump mode ---- */

static void pump_end(struct http_response *r, err_t e) {
    r->pump_ended = true;
    stream_pause(r->s);
    r->cb(r->cb_arg, STR(""), e);
}

/* Parse *in until it is used up, the callback pauses or closes, or the message ends. */
static void pump_parse(struct http_response *r, struct str *in) {
    while (!r->closed && !r->paused && !r->pump_ended) {
        struct str body;
        switch (http_parser_feed(&r->parser, in, &body)) {
        case HTTP_EV_BODY:
            r->cb(r->cb_arg, body, NULL);
            break;
        case HTTP_EV_END:
            pump_end(r, NULL);
            return;
        case HTTP_EV_MORE:
            return;
        default:
            pump_end(r, protocol_error(r));
            return;
        }
    }
}

static void pump_eof(struct http_response *r) {
    struct str none;
    pump_end(r, body_eof(r, &none));
}

static void on_stream(void *arg, struct str bytes, err_t e) {
    struct http_response *r = MAGIC_CAST(arg, struct http_response, RESPONSE_MAGIC);
    if (r->pump_ended)
        return;
    r->refs++;
    if (e != NULL) {
        r->broken = true;
        pump_end(r, e);
    } else if (bytes.n == 0) {
        pump_eof(r);
    } else {
        pump_parse(r, &bytes);
        if (!r->closed && !r->pump_ended && bytes.n > 0)
            CHECK(buf_append(&r->held, bytes.p, bytes.n) == NULL); /* paused in the middle; the stream is, too */
    }
    response_unref(r);
}

static void on_kick(void *arg) {
    struct http_response *r = MAGIC_CAST(arg, struct http_response, RESPONSE_MAGIC);
    r->refs++;
    struct buf mine = r->held;
    buf_init(&r->held, 0, HELD_MAX);
    struct str in = buf_str(&mine);
    pump_parse(r, &in);
    if (!r->closed && !r->pump_ended) {
        if (in.n > 0)
            CHECK(buf_append(&r->held, in.p, in.n) == NULL);
        if (!r->paused)
            stream_resume(r->s);
    }
    buf_done(&mine);
    response_unref(r);
}

void http_pump(struct http_response *r, http_body_cb *cb, void *arg) {
    CHECK(r->magic == RESPONSE_MAGIC && r->s != NULL && !r->pumping && r->parser.head_done);
    r->pumping = true;
    r->cb = cb;
    r->cb_arg = arg;
    stream_unread(r->s, r->input.n);
    r->input = STR("");
    stream_pump(r->s, on_stream, r);
    stream_pause(r->s);
    loop_defer(&r->kick, on_kick, r); /* a message without a body ends without any byte from the stream */
}

void http_pause(struct http_response *r) {
    CHECK(r->pumping);
    r->paused = true;
    if (!r->closed)
        stream_pause(r->s);
}

void http_resume(struct http_response *r) {
    CHECK(r->pumping);
    if (!r->paused || r->closed)
        return;
    r->paused = false;
    if (!r->pump_ended)
        loop_defer(&r->kick, on_kick, r);
}
