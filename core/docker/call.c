/* One engine call: path and query, version prefix, error mapping, JSON answers. */
#include <stdlib.h>
#include "core/async/fiber.h"
#include "core/async/loop.h"
#include "core/docker/docker_internal.h"
#include "core/docker/spec.h"

#define MAX_MESSAGE KIB(64)
static const struct json_limits ANSWER_LIMITS = {
    .max_bytes = DOCKER_MAX_JSON, .max_depth = 64, .max_nodes = 4000000, .trusted = true};

/* ---- paths and queries ---- */

void query_init(struct query *q, const char *fmt, ...) {
    buf_init(&q->b, 0, KIB(32));
    q->any = false;
    va_list ap;
    va_start(ap, fmt);
    char *z = arena_vprintf(arena_current(), fmt, ap);
    va_end(ap);
    buf_puts(&q->b, z);
}

void query_add(struct query *q, struct arena *a, const char *key, const char *value) {
    if (!value)
        return;
    buf_putf(&q->b, "%c%s=%s", q->any ? '&' : '?', key, url_encode(a, str_of(value)));
    q->any = true;
}

void query_add_int(struct query *q, struct arena *a, const char *key, int64_t v) {
    query_add(q, a, key, arena_printf(a, "%lld", (long long)v));
}

void query_add_json(struct query *q, struct arena *a, const char *key, const struct json *v) {
    query_add(q, a, key, json_to_text(a, v));
}

char *query_take(struct query *q, struct arena *a) {
    char *z = q->b.failed ? NULL : str_z(a, buf_str(&q->b));
    buf_done(&q->b);
    return z;
}

err_t docker_id_check(const char *id) { return err_field(docker_ref_check(str_of(id ? id : "")), "id"); }

char *docker_path_image(struct arena *a, const char *ref) {
    struct buf b;
    buf_init(&b, 64, KIB(4));
    struct str rest = str_of(ref), part;
    bool first = true;
    while (str_cut(&rest, '/', &part)) {
        if (!first)
            buf_putc(&b, '/');
        first = false;
        for (size_t i = 0; i < part.n; i++) {
            char c = part.p[i];
            if (c == ':' || c == '@')
                buf_putc(&b, c);
            else
                buf_puts(&b, url_encode(a, str_n(&c, 1)));
        }
    }
    char *z = str_z(a, buf_str(&b));
    buf_done(&b);
    return z;
}

struct json *docker_label_filter(struct arena *a, const char *const *labels, size_t n) {
    struct json *f = json_object(a), *arr = json_array(a);
    for (size_t i = 0; i < n; i++)
        json_push(a, arr, json_string(a, labels[i]));
    if (n)
        json_set(a, f, "label", arr);
    return f;
}

int64_t docker_unix_ns(const char *rfc3339) {
    int64_t ns;
    return rfc3339 && log_stamp_parse(str_of(rfc3339), &ns) && ns > 0 ? ns : 0;
}

/* ---- errors ---- */

static void note_error(struct docker *d, const char *text) {
    snprintf(d->state.last_error, sizeof d->state.last_error, "%s", text);
}

static void note_ok(struct docker *d) {
    d->state.reach = DOCKER_ONLINE;
    d->state.last_ok_ms = loop_now();
    d->state.last_error[0] = 0;
}

err_t docker_detail(struct docker *d, const struct docker_call *c, err_t e) {
    e = err_detail(err_detail(e, "node", d->name), "operation", c->op);
    return c->what ? err_detail(e, "object", c->what) : e;
}

static enum err_code transport_code(enum err_code code) {
    switch (code) {
    case ERR_UNAVAILABLE:
    case ERR_IO:
        return ERR_DOCKER_UNAVAILABLE;
    case ERR_UPSTREAM_PROTOCOL:
    case ERR_INVALID_JSON:
    case ERR_JSON_TOO_DEEP:
    case ERR_JSON_TOO_COMPLEX:
    case ERR_HEADERS_TOO_LARGE:
    case ERR_TOO_LARGE:
        return ERR_DOCKER_PROTOCOL;
    default:
        return code;
    }
}

err_t docker_map_error(struct docker *d, const struct docker_call *c, err_t e) {
    if (!e)
        return NULL;
    enum err_code code = transport_code(e->code);
    if (code == ERR_DOCKER_UNAVAILABLE || code == ERR_TLS_VERIFY) {
        d->state.reach = DOCKER_UNREACHABLE;
        d->state.api = 0; /* what comes back may be another engine */
        note_error(d, e->message);
    } else if (code == ERR_TIMEOUT) {
        note_error(d, "no answer in time");
    }
    const char *text = e->message;
    if (code == ERR_DOCKER_UNAVAILABLE)
        e = err_wrap_as(code, e, "the engine of node %s cannot be reached (%s): %s", d->name, c->op, text);
    else if (code == ERR_TIMEOUT)
        e = err_wrap_as(code, e, "the engine of node %s did not answer in time (%s)", d->name, c->op);
    else
        e = err_wrap_as(code, e, "engine of node %s (%s): %s", d->name, c->op, text);
    return docker_detail(d, c, e);
}

err_t docker_protocol(struct docker *d, const struct docker_call *c, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    char *z = arena_vprintf(arena_current(), fmt, ap);
    va_end(ap);
    return docker_detail(d, c, err_new(ERR_DOCKER_PROTOCOL, "engine of node %s (%s): %s", d->name, c->op, z));
}

static bool mentions(const char *text, const char *what) { return str_find(str_of(text), str_of(what)) >= 0; }

static enum err_code refusal_code(int status, const char *message) {
    if (mentions(message, "port is already allocated") || mentions(message, "address already in use"))
        return ERR_PORT_CONFLICT;
    if (mentions(message, "does not support reading"))
        return ERR_NOT_IMPLEMENTED;
    switch (status) {
    case 404:
        return ERR_NOT_FOUND;
    case 409:
        return ERR_CONFLICT;
    case 501:
        return ERR_NOT_IMPLEMENTED;
    default:
        return ERR_DOCKER;
    }
}

err_t docker_refusal(struct docker *d, const struct docker_call *c, int status, const char *message) {
    char code[16];
    snprintf(code, sizeof code, "%d", status);
    const char *text = message && *message ? message : "the engine gave no reason";
    err_t e = err_new(refusal_code(status, text), "%s: %s", c->op, text);
    return err_detail(docker_detail(d, c, e), "status", code);
}

/* The engine's message out of an error body: JSON, or plain text from proxies and version errors. */
static const char *error_message(struct arena *a, struct str body) {
    struct json *j = NULL;
    if (body.n && body.p[0] == '{' && json_parse(a, body, &ANSWER_LIMITS, &j) == NULL && json_get_str(j, "message"))
        return json_get_str(j, "message");
    struct str t = str_slice(str_trim(body), 0, 500);
    struct buf b;
    buf_init(&b, 0, KIB(8));
    for (size_t i = 0; i < t.n; i++)
        buf_putc(&b, (char)((unsigned char)t.p[i] < ' ' ? ' ' : t.p[i]));
    const char *z = str_is_utf8(buf_str(&b)) ? str_z(a, buf_str(&b)) : "the answer is not text";
    buf_done(&b);
    return z;
}

static bool version_refused(int status, const char *message) {
    return status == 400 && mentions(message, "client version") && mentions(message, "API version");
}

/* ---- the call ---- */

static err_t check_head(struct docker *d, struct arena *a, const struct docker_call *c, struct http_response *r,
                        uint64_t deadline, bool *ret_version) {
    int status = http_status(r);
    *ret_version = false;
    note_ok(d);
    if ((status >= 200 && status < 300) || status == 101 || (c->ok2 && status == c->ok2))
        return NULL;
    struct str body = {0};
    err_t e = http_read_all(r, a, MAX_MESSAGE, deadline, &body);
    if (e && !err_is(e, ERR_TOO_LARGE))
        return docker_map_error(d, c, e);
    const char *message = e ? "" : error_message(a, body);
    *ret_version = version_refused(status, message);
    if (*ret_version)
        return docker_detail(d, c, err_new(ERR_DOCKER_VERSION, "%s", message));
    if (status < 400)
        return docker_protocol(d, c, "unexpected status %d", status);
    return docker_refusal(d, c, status, message);
}

static err_t call_once(struct docker *d, struct arena *a, const struct docker_call *c, uint64_t deadline,
                       struct http_response **ret, bool *ret_version) {
    *ret_version = false;
    TRY(docker_negotiate(d, deadline));
    struct http_request req = {.method = c->method,
                               .target = arena_printf(a, "/v1.%d%s", d->state.api, c->path),
                               .headers = c->headers,
                               .nheaders = c->nheaders,
                               .content_type = c->content_type,
                               .body = c->raw,
                               .chunked_upload = c->chunked};
    if (c->body) {
        req.body = str_of(json_to_text(a, c->body));
        req.content_type = "application/json";
    }
    AUTO(http_response) r = NULL;
    err_t e = http_do(c->stream ? d->streams : d->calls, &req, deadline, &r);
    if (e)
        return docker_map_error(d, c, e);
    if (!c->chunked)
        TRY(check_head(d, a, c, r, deadline, ret_version));
    *ret = TAKE(r);
    return NULL;
}

err_t docker_call(struct docker *d, struct arena *a, const struct docker_call *c, uint64_t deadline,
                  struct http_response **ret) {
    if (!c->path)
        return docker_detail(d, c, err_new(ERR_URI_TOO_LONG, "the engine call (%s) has too long arguments", c->op));
    AUTO(docker) keep = docker_ref(d);
    bool version;
    d->state.pending++;
    err_t e = call_once(d, a, c, deadline, ret, &version);
    if (e && version) { /* the engine was replaced behind an open connection */
        docker_forget(d);
        e = call_once(d, a, c, deadline, ret, &version);
    }
    d->state.pending--;
    return e;
}

err_t docker_call_head(struct docker *d, struct arena *a, const struct docker_call *c, struct http_response *r,
                       uint64_t deadline) {
    bool version;
    err_t e = http_send_end(r, deadline);
    if (e)
        return docker_map_error(d, c, e);
    return check_head(d, a, c, r, deadline, &version);
}

err_t docker_parse(struct docker *d, struct arena *a, const struct docker_call *c, struct str text, struct json **ret) {
    err_t e = json_parse(a, text, &ANSWER_LIMITS, ret);
    return e ? docker_map_error(d, c, err_wrap(e, "the engine's JSON: %s", e->message)) : NULL;
}

err_t docker_call_json(struct docker *d, struct arena *a, const struct docker_call *c, uint64_t deadline,
                       struct json **ret) {
    AUTO(http_response) r = NULL;
    struct str body;
    struct json *j = NULL;
    TRY(docker_call(d, a, c, deadline, &r));
    err_t e = http_read_all(r, a, DOCKER_MAX_JSON, deadline, &body);
    if (e)
        return docker_map_error(d, c, e);
    if (body.n)
        TRY(docker_parse(d, a, c, body, &j));
    *ret = j;
    return NULL;
}

static void drop_arena(struct arena **a) { arena_unref(*a); }
#define SCRATCH(name) DF_CLEANUP(drop_arena) struct arena *name = arena_new("docker call", 0)

err_t docker_call_done(struct docker *d, const struct docker_call *c, uint64_t deadline) {
    SCRATCH(a);
    AUTO(http_response) r = NULL;
    struct str body;
    TRY(docker_call(d, a, c, deadline, &r));
    err_t e = http_read_all(r, a, MIB(1), deadline, &body);
    return docker_map_error(d, c, e);
}

err_t docker_read_items(struct docker *d, const struct docker_call *c, struct http_response *r, bool array,
                        uint64_t deadline, json_item_fn *fn, void *arg) {
    struct json_split split;
    json_split_init(&split, array, DOCKER_MAX_ITEM);
    uint64_t slice = clock_mono_us();
    err_t e = NULL;
    while (!e) {
        struct str bytes;
        e = http_read(r, deadline, &bytes);
        if (e) {
            e = docker_map_error(d, c, e);
            break;
        }
        if (!bytes.n) {
            e = json_split_end(&split, fn, arg);
            break;
        }
        e = json_split_feed(&split, bytes, fn, arg);
        if (!e && clock_mono_us() - slice > 1000) { /* a long list must not hold the loop */
            e = fiber_yield();
            slice = clock_mono_us();
        }
    }
    json_split_done(&split);
    if (e && e->code == ERR_DOCKER_PROTOCOL && !e->details)
        e = docker_detail(d, c, e);
    return e;
}

struct each {
    struct docker *d;
    const struct docker_call *c;
    struct arena *a;
    err_t (*fn)(void *arg, struct json *row);
    void *arg;
};

static err_t on_row(void *arg, struct str text) {
    struct each *x = arg;
    struct arena_mark m = arena_mark(x->a);
    struct json *row;
    err_t e = docker_parse(x->d, x->a, x->c, text, &row);
    if (!e)
        e = x->fn(x->arg, row);
    arena_rewind(x->a, m);
    return e;
}

err_t docker_call_each(struct docker *d, const struct docker_call *c, uint64_t deadline,
                       err_t (*fn)(void *arg, struct json *row), void *arg) {
    SCRATCH(a);
    SCRATCH(rows);
    AUTO(docker) keep = docker_ref(d);
    AUTO(http_response) r = NULL;
    TRY(docker_call(d, a, c, deadline, &r));
    struct each x = {.d = d, .c = c, .a = rows, .fn = fn, .arg = arg};
    return docker_read_items(d, c, r, true, deadline, on_row, &x);
}
