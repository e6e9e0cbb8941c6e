/* The guard around h2o's HTTP/2 frames (link-time wrapping): floods end the connection with ENHANCE_YOUR_CALM, resets use up
 * credit whoever sends them, header blocks are counted before they are expanded. */
#include <stdlib.h>
#include "core/obs/log.h"
#include "server/internal.h"
#include <h2o/http2_internal.h>
#include "server/uv_guard.h"

enum {
    CONTROL_WINDOW_MS = 10000,
    CONTROL_MAX = 1000,
    HEAD_MAX_BYTES = 64 << 10,
    HEAD_MAX_FRAMES = 64,
    HEAD_MAX_FIELDS = 1000, /* beyond: connection error; above MAX_HEADERS the request gets 431 */
    SMALL_DATA = 8,         /* smaller DATA frames and window updates count as control frames */
    SMALL_WINDOW_UPDATE = 1024,
};
static const size_t CONN_MAX_UPLOAD = (size_t)64 << 20, ALL_MAX_UPLOAD = (size_t)512 << 20;

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's names for --wrap */
ssize_t __real_h2o_http2_decode_frame(h2o_http2_frame_t *frame, const uint8_t *src, size_t len,
                                      const h2o_http2_settings_t *settings, const char **err_desc);
ssize_t __wrap_h2o_http2_decode_frame(h2o_http2_frame_t *frame, const uint8_t *src, size_t len,
                                      const h2o_http2_settings_t *settings, const char **err_desc);
int __real_h2o_hpack_parse_headers(h2o_req_t *req, h2o_hpack_header_table_t *table, const uint8_t *src, size_t len,
                                   int *pseudo, size_t *content_length, h2o_cache_digests_t **digests,
                                   const char **err_desc);
int __wrap_h2o_hpack_parse_headers(h2o_req_t *req, h2o_hpack_header_table_t *table, const uint8_t *src, size_t len,
                                   int *pseudo, size_t *content_length, h2o_cache_digests_t **digests,
                                   const char **err_desc);
void __real_h2o_http2__encode_rst_stream_frame(h2o_buffer_t **buf, uint32_t stream_id, int errnum);
void __wrap_h2o_http2__encode_rst_stream_frame(h2o_buffer_t **buf, uint32_t stream_id, int errnum);
/* NOLINTEND(bugprone-reserved-identifier) */

/* ---- uploads: what h2o buffers before a handler hears of the request ---- */

static struct h2_upload *upload_find(struct conn *c, uint32_t id) {
    for (unsigned i = 0; i < c->h2.nuploads; i++)
        if (c->h2.uploads[i].stream_id == id)
            return &c->h2.uploads[i];
    return NULL;
}

static void upload_begin(struct conn *c, uint32_t id) {
    if (upload_find(c, id) != NULL || c->h2.nuploads == H2_MAX_UPLOADS)
        return; /* trailers; or more streams than the settings allow, which h2o refuses */
    if (c->h2.uploads == NULL)
        c->h2.uploads = calloc(H2_MAX_UPLOADS, sizeof(*c->h2.uploads));
    CHECK(c->h2.uploads != NULL);
    c->h2.uploads[c->h2.nuploads++] = (struct h2_upload){.stream_id = id, .window_at = loop_now()};
}

static void upload_end(struct conn *c, uint32_t id) {
    struct h2_upload *u = upload_find(c, id);
    if (u == NULL)
        return;
    c->h2.upload_bytes -= u->bytes;
    SRV.upload_bytes -= u->bytes;
    *u = c->h2.uploads[--c->h2.nuploads];
}

static bool upload_add(struct conn *c, uint32_t id, size_t n) {
    struct h2_upload *u = upload_find(c, id);
    if (u == NULL)
        return true;
    u->bytes += n;
    c->h2.upload_bytes += n;
    SRV.upload_bytes += n;
    return c->h2.upload_bytes <= CONN_MAX_UPLOAD && SRV.upload_bytes <= ALL_MAX_UPLOAD;
}

/* ---- frames ---- */

static const char *control(struct conn *c) {
    uint64_t now = loop_now();
    if (now - c->h2.window_at > CONTROL_WINDOW_MS) {
        c->h2.window_at = now;
        c->h2.control = 0;
    }
    return ++c->h2.control > CONTROL_MAX ? "too many control frames" : NULL;
}

static const char *on_data(struct conn *c, const h2o_http2_frame_t *f) {
    bool last = f->flags & H2O_HTTP2_FRAME_FLAG_END_STREAM;
    if (!upload_add(c, f->stream_id, f->length))
        return "too much request data";
    if (last)
        upload_end(c, f->stream_id);
    return f->length < SMALL_DATA && !last ? control(c) : NULL;
}

static const char *on_headers(struct conn *c, const h2o_http2_frame_t *f) {
    c->h2.head_bytes = f->length;
    c->h2.head_frames = 1;
    if (f->flags & H2O_HTTP2_FRAME_FLAG_END_STREAM)
        upload_end(c, f->stream_id);
    else
        upload_begin(c, f->stream_id);
    return NULL;
}

static const char *on_continuation(struct conn *c, const h2o_http2_frame_t *f) {
    c->h2.head_bytes += f->length;
    c->h2.head_frames++;
    return c->h2.head_bytes > HEAD_MAX_BYTES || c->h2.head_frames > HEAD_MAX_FRAMES ? "header block too large" : NULL;
}

/* A reset of a request that no handler has seen is charged here; others by their exchange, when it goes unanswered */
static const char *on_rst(struct conn *c, const h2o_http2_frame_t *f) {
    upload_end(c, f->stream_id);
    h2o_http2_conn_t *h2 = c->sock->data;
    h2o_http2_stream_t *s = h2o_http2_conn_get_stream(h2, f->stream_id);
    if (s != NULL && s->state < H2O_HTTP2_STREAM_STATE_SEND_HEADERS)
        conn_charge(c);
    return control(c);
}

static const char *on_window_update(struct conn *c, const h2o_http2_frame_t *f) {
    uint32_t n = f->length == 4 ? h2o_http2_decode32u(f->payload) & 0x7fffffff : 0;
    return n < SMALL_WINDOW_UPDATE ? control(c) : NULL;
}

static const char *account(struct conn *c, h2o_http2_frame_t *f) {
    switch (f->type) {
    case H2O_HTTP2_FRAME_TYPE_DATA:
        return on_data(c, f);
    case H2O_HTTP2_FRAME_TYPE_HEADERS:
        return on_headers(c, f);
    case H2O_HTTP2_FRAME_TYPE_CONTINUATION:
        return on_continuation(c, f);
    case H2O_HTTP2_FRAME_TYPE_RST_STREAM:
        return on_rst(c, f);
    case H2O_HTTP2_FRAME_TYPE_WINDOW_UPDATE:
        return on_window_update(c, f);
    case H2O_HTTP2_FRAME_TYPE_SETTINGS:
    case H2O_HTTP2_FRAME_TYPE_PING:
        return f->flags & H2O_HTTP2_FRAME_FLAG_ACK ? NULL : control(c);
    case H2O_HTTP2_FRAME_TYPE_PRIORITY:
    case H2O_HTTP2_FRAME_TYPE_PUSH_PROMISE:
    case H2O_HTTP2_FRAME_TYPE_GOAWAY:
        return control(c);
    default:
        /* h2o prints a line for each unknown frame; an empty SETTINGS acknowledgement is the quiet way to skip one */
        *f = (h2o_http2_frame_t){
            .type = H2O_HTTP2_FRAME_TYPE_SETTINGS, .flags = H2O_HTTP2_FRAME_FLAG_ACK, .payload = f->payload};
        return control(c);
    }
}

ssize_t __wrap_h2o_http2_decode_frame(h2o_http2_frame_t *frame, const uint8_t *src, size_t len,
                                      const h2o_http2_settings_t *settings, const char **err_desc) {
    ssize_t n = __real_h2o_http2_decode_frame(frame, src, len, settings, err_desc);
    struct conn *c = guard_current();
    if (n < 0 || c == NULL)
        return n;
    if (c->phase != CONN_H2)
        conn_phase(c, CONN_H2);
    const char *why = c->dead ? "out of credit" : account(c, frame);
    if (why == NULL)
        return n;
    if (!c->dead)
        LOG(WARNING, "http2.flood", KV_STR("ip", c->ip), KV_STR("reason", why));
    c->dead = true;
    *err_desc = why;
    return H2O_HTTP2_ERROR_ENHANCE_YOUR_CALM;
}

/* ---- header blocks ---- */

static bool hpack_int(const uint8_t **p, const uint8_t *end, unsigned bits, size_t *ret) {
    size_t max = (1u << bits) - 1, v = *(*p)++ & max;
    if (v == max)
        for (unsigned shift = 0;; shift += 7) {
            if (*p == end || shift > 28)
                return false;
            uint8_t b = *(*p)++;
            v += (size_t)(b & 127) << shift;
            if (!(b & 128))
                break;
        }
    *ret = v;
    return true;
}

static bool hpack_skip_string(const uint8_t **p, const uint8_t *end) {
    size_t n;
    if (*p == end || !hpack_int(p, end, 7, &n) || n > (size_t)(end - *p))
        return false;
    *p += n;
    return true;
}

/* How many fields a block expands to, without expanding it: one byte may stand for 4 KiB. Stops at the first malformed one. */
static size_t hpack_count(const uint8_t *p, size_t len) {
    const uint8_t *end = p + len;
    size_t count = 0, index;
    while (p < end) {
        uint8_t b = *p;
        count++;
        if (!hpack_int(&p, end, b & 0x80 ? 7 : b & 0x40 ? 6 : b & 0x20 ? 5 : 4, &index))
            break;
        if ((b & 0x80) || (b & 0xe0) == 0x20)
            continue; /* indexed field; table size update */
        if ((index == 0 && !hpack_skip_string(&p, end)) || !hpack_skip_string(&p, end))
            break;
    }
    return count;
}

int __wrap_h2o_hpack_parse_headers(h2o_req_t *req, h2o_hpack_header_table_t *table, const uint8_t *src, size_t len,
                                   int *pseudo, size_t *content_length, h2o_cache_digests_t **digests,
                                   const char **err_desc) {
    (void)digests;
    if (hpack_count(src, len) > HEAD_MAX_FIELDS) {
        *err_desc = "too many header fields";
        return H2O_HTTP2_ERROR_ENHANCE_YOUR_CALM;
    }
    size_t before = req->headers.size;
    int rc = __real_h2o_hpack_parse_headers(req, table, src, len, pseudo, content_length, NULL, err_desc);
    if (pseudo == NULL)
        req->headers.size = before; /* trailers are no headers */
    return rc;
}

/* Resets that a peer provokes from our side count like its own */
void __wrap_h2o_http2__encode_rst_stream_frame(h2o_buffer_t **buf, uint32_t stream_id, int errnum) {
    __real_h2o_http2__encode_rst_stream_frame(buf, stream_id, errnum);
    struct conn *c = guard_current();
    if (c != NULL && !c->dead) {
        upload_end(c, stream_id);
        conn_charge(c);
    }
}

bool h2_length_agrees(h2o_req_t *req) {
    const h2o_http2_stream_t *s = CONTAINER_OF(req, h2o_http2_stream_t, req);
    return s->_expected_content_length == SIZE_MAX || s->_expected_content_length == req->entity.len;
}
