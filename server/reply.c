#include "server/reply.h"
#include "core/obs/log.h"
#include "server/internal.h"
#include "server/path.h"

static const char API_CSP[] = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

static struct arena *arena_of(struct reply *out) { return XCHG_OF_REPLY(out)->a; }

void reply_reset(struct reply *out) {
    struct ws *ws = out->ws;
    struct reply_stream *stream = out->stream;
    bool close = out->close;
    memset(out, 0, sizeof(*out));
    out->ws = ws;
    out->stream = stream;
    out->close = close;
}

bool reply_filled(const struct reply *out) { return out->status != 0 || out->ws != NULL; }

void reply_status(struct reply *out, int status) { out->status = status; }

static bool clean(const char *z, bool name) {
    for (; *z != '\0'; z++) {
        unsigned char c = (unsigned char)*z;
        if (c < 0x20 || c == 0x7f || (name && (c <= 0x20 || c == ':' || c >= 0x7f)))
            return false;
    }
    return true;
}

err_t reply_header(struct reply *out, const char *name, const char *value) {
    if (name[0] == '\0' || !clean(name, true) || !clean(value, false))
        return err_new(ERR_INTERNAL, "illegal byte in response header %s", clean(name, true) ? name : "name");
    struct arena *a = arena_of(out);
    *vec_push(a, &out->headers) =
        (struct reply_header_row){str_of(str_lower(a, str_of(name))), str_of(arena_strdup(a, value))};
    if (str_eq_nocase(str_of(name), STR("cache-control")))
        out->cache_set = true;
    return NULL;
}

void reply_csp(struct reply *out, const char *policy) { out->csp = arena_strdup(arena_of(out), policy); }

err_t reply_bytes(struct reply *out, int status, const char *content_type, struct str body) {
    out->status = status;
    out->content_type = arena_strdup(arena_of(out), content_type);
    out->body = str_dup(arena_of(out), body);
    return NULL;
}

err_t reply_json_text(struct reply *out, int status, struct str text) {
    return reply_json_borrowed(out, status, str_dup(arena_of(out), text));
}

err_t reply_json_borrowed(struct reply *out, int status, struct str text) {
    out->status = status;
    out->content_type = "application/json";
    out->body = text;
    return NULL;
}

err_t reply_json(struct reply *out, int status, const struct json *body) {
    AUTO_BUF b;
    buf_init(&b, 1024, MIB(64));
    json_write(&b, body);
    TRY(buf_check(&b));
    return reply_bytes(out, status, "application/json", buf_str(&b));
}

err_t reply_empty(struct reply *out, int status) {
    out->status = status;
    out->content_type = NULL;
    out->body = str_n(NULL, 0);
    return NULL;
}

const char *reply_task_text(struct arena *a, const char *task_id) {
    struct json *j = json_object(a);
    json_set_str(a, j, "taskId", task_id);
    json_set_str(a, j, "task", arena_printf(a, "/api/v1/tasks/%s", task_id));
    return json_to_text(a, j);
}

err_t reply_task(struct request *r, struct reply *out, const char *task_id) {
    char location[96];
    (void)snprintf(location, sizeof(location), "/api/v1/tasks/%s", task_id);
    TRY(reply_header(out, "location", location));
    const struct server_hooks *h = server_hooks_get();
    if (request_query(r, "wait") != NULL && h->task_wait != NULL) {
        struct str task;
        TRY(h->task_wait(r, task_id, &task));
        return reply_json_text(out, 202, task);
    }
    return reply_bytes(out, 202, "application/json", str_of(reply_task_text(r->a, task_id)));
}

bool reply_etag(struct request *r, struct reply *out, int64_t version) {
    char tag[32];
    (void)snprintf(tag, sizeof(tag), "\"%lld\"", (long long)version);
    err_ignore(reply_header(out, "etag", tag));
    struct str v = request_header(r, "if-none-match"), part;
    while (str_cut(&v, ',', &part)) {
        part = str_trim(part);
        if (str_starts(part, STR("W/")))
            part = str_slice(part, 2, part.n);
        if (str_eqz(part, tag) || str_eqz(part, "*")) {
            err_ignore(reply_empty(out, 304));
            return true;
        }
    }
    return false;
}

err_t reply_cookie(struct reply *out, const char *name, const char *value, const char *path, int64_t max_age) {
    struct xchg *x = XCHG_OF_REPLY(out);
    for (const char *p = value; *p != '\0'; p++)
        if (*p == ';' || *p == ',' || *p == ' ' || *p == '"' || *p == '\\')
            return err_new(ERR_INTERNAL, "illegal byte in cookie %s", name);
    const char *text = arena_printf(x->a, "%s=%s; Path=%s; Max-Age=%lld; HttpOnly; SameSite=Strict%s", name, value,
                                    path, (long long)max_age, x->r.tls ? "; Secure" : "");
    return reply_header(out, "set-cookie", text);
}

err_t reply_list(struct request *r, struct reply *out, struct str items_json, const char *next_cursor) {
    AUTO_BUF b;
    buf_init(&b, items_json.n + 128, MIB(64));
    buf_puts(&b, "{\"items\":");
    buf_put(&b, items_json.p, items_json.n);
    buf_puts(&b, ",\"next\":");
    if (next_cursor == NULL)
        buf_puts(&b, "null");
    else
        json_write_str(&b, str_of(next_cursor));
    buf_putc(&b, '}');
    TRY(buf_check(&b));
    if (next_cursor != NULL) {
        const struct xchg *x = XCHG_OF_REQUEST(r);
        AUTO_BUF link;
        buf_init(&link, 256, KIB(16));
        buf_putf(&link, "<%.*s?cursor=%s", STR_ARG(r->path), url_encode(r->a, str_of(next_cursor)));
        for (size_t i = 0; i < x->nquery; i++)
            if (!z_eq(x->query[i].name, "cursor"))
                buf_putf(&link, "&%s=%s", url_encode(r->a, str_of(x->query[i].name)),
                         url_encode(r->a, str_of(x->query[i].value)));
        buf_puts(&link, ">; rel=\"next\"");
        if (buf_check(&link) == NULL)
            TRY(reply_header(out, "link", str_z(r->a, buf_str(&link))));
    }
    return reply_bytes(out, 200, "application/json", buf_str(&b));
}

/* ---- errors ---- */

static void write_details(struct jw *w, err_t e) {
    jw_key(w, "details");
    jw_obj(w);
    for (const struct err_detail *d = e->details; d != NULL; d = d->next) {
        if (d->raw)
            jw_kv_raw(w, d->key, d->value);
        else
            jw_kv_str(w, d->key, d->value);
    }
    jw_obj_end(w);
}

/* Both shapes of the product's API in one body (SPEC 1) */
static void write_error(struct jw *w, err_t e, const char *message, const char *request_id) {
    char now[TIME_RFC3339_LEN];
    jw_obj(w);
    jw_key(w, "error");
    jw_obj(w);
    jw_kv_str(w, "code", err_code_wire(e->code));
    jw_kv_str(w, "message", message);
    write_details(w, e);
    if (e->field != NULL)
        jw_kv_str(w, "field", e->field);
    jw_kv_str(w, "timestamp", time_rfc3339(now, clock_wall_ms()));
    jw_kv_str(w, "requestId", request_id);
    jw_obj_end(w);
    jw_kv_str(w, "status", "error");
    jw_kv_str(w, "request_id", request_id);
    jw_obj_end(w);
}

static void write_problem(struct jw *w, err_t e, const char *message, const char *request_id, int status) {
    jw_obj(w);
    jw_kv_str(w, "type", "about:blank");
    jw_kv_str(w, "title", err_code_wire(e->code));
    jw_kv_int(w, "status", status);
    jw_kv_str(w, "detail", message);
    jw_kv_str(w, "code", err_code_wire(e->code));
    jw_kv_str(w, "requestId", request_id);
    if (e->field != NULL)
        jw_kv_str(w, "field", e->field);
    write_details(w, e);
    jw_obj_end(w);
}

static const char *detail_value(err_t e, const char *key) {
    for (const struct err_detail *d = e->details; d != NULL; d = d->next)
        if (z_eq(d->key, key))
            return d->value;
    return NULL;
}

/* Headers that the status itself calls for */
static void error_headers(struct reply *out, err_t e, int status) {
    const char *retry = detail_value(e, "retryAfter"), *allow = detail_value(e, "allow");
    if (retry != NULL || status == 503 || status == 429)
        err_ignore(reply_header(out, "retry-after", retry ? retry : status == 429 ? "1" : "2"));
    if (allow != NULL && (status == 405 || status == 501))
        err_ignore(reply_header(out, "allow", allow));
    if (status == 401)
        err_ignore(reply_header(out, "www-authenticate", "Bearer realm=\"dockflow\""));
    if (e->code == ERR_UPGRADE_REQUIRED) {
        err_ignore(reply_header(out, "sec-websocket-version", "13"));
        err_ignore(reply_header(out, "upgrade", "websocket"));
    }
}

void reply_error(struct reply *out, err_t e) {
    struct xchg *x = XCHG_OF_REPLY(out);
    int status = err_code_http(e->code);
    /* What went wrong inside is for the log; the client gets the request id to quote */
    const char *message = status == 500 ? "internal error; quote the request id to the operator" : e->message;
    reply_reset(out);
    out->error = e;
    out->status = status;
    error_headers(out, e, status);
    struct str accept = request_header(&x->r, "accept");
    bool problem = str_find(accept, STR("application/problem+json")) >= 0;
    AUTO_BUF b;
    buf_init(&b, 512, MIB(1));
    struct jw w;
    jw_init(&w, &b);
    if (problem)
        write_problem(&w, e, message, x->r.request_id, status);
    else
        write_error(&w, e, message, x->r.request_id);
    if (buf_check(&b) == NULL)
        err_ignore(reply_bytes(out, status, problem ? "application/problem+json" : "application/json", buf_str(&b)));
}

/* ---- into h2o ---- */

static const char *reason_of(int status) {
    static const struct {
        int status;
        const char *text;
    } R[] = {{101, "Switching Protocols"},
             {200, "OK"},
             {201, "Created"},
             {202, "Accepted"},
             {204, "No Content"},
             {304, "Not Modified"},
             {400, "Bad Request"},
             {401, "Unauthorized"},
             {403, "Forbidden"},
             {404, "Not Found"},
             {405, "Method Not Allowed"},
             {408, "Request Timeout"},
             {409, "Conflict"},
             {410, "Gone"},
             {412, "Precondition Failed"},
             {413, "Content Too Large"},
             {414, "URI Too Long"},
             {415, "Unsupported Media Type"},
             {417, "Expectation Failed"},
             {421, "Misdirected Request"},
             {422, "Unprocessable Content"},
             {426, "Upgrade Required"},
             {428, "Precondition Required"},
             {429, "Too Many Requests"},
             {431, "Request Header Fields Too Large"},
             {500, "Internal Server Error"},
             {501, "Not Implemented"},
             {502, "Bad Gateway"},
             {503, "Service Unavailable"},
             {504, "Gateway Timeout"}};
    for (size_t i = 0; i < ARRAY_LEN(R); i++)
        if (R[i].status == status)
            return R[i].text;
    return "Status";
}

static void add(h2o_req_t *req, const char *name, size_t name_len, const char *value, size_t value_len) {
    h2o_add_header_by_str(&req->pool, &req->res.headers, name, name_len, 1, NULL, value, value_len);
}
#define ADD(name, value, n) add(req, (name), sizeof(name) - 1, (value), (n))
#define ADD_LIT(name, value) ADD(name, value, sizeof(value) - 1)

/* The same for every answer: rows ready made, copied as a block */
#define IOVEC(text)                                                                                                    \
    { (char *)(text), sizeof(text) - 1 } /* h2o only reads them */
#define ROW(key, text)                                                                                                 \
    { .name = &(h2o_iovec_t)IOVEC(key), .value = IOVEC(text) }
static const h2o_header_t SECURITY[] = {
    ROW("x-content-type-options", "nosniff"),
    ROW("x-frame-options", "DENY"),
    ROW("referrer-policy", "no-referrer"),
    ROW("cross-origin-opener-policy", "same-origin"),
    ROW("cross-origin-resource-policy", "same-origin"),
};
static h2o_iovec_t REQUEST_ID = IOVEC("x-request-id"), CSP = IOVEC("content-security-policy");

static void add_row(h2o_req_t *req, h2o_iovec_t *name, const char *value, size_t n) {
    req->res.headers.entries[req->res.headers.size++] = (h2o_header_t){.name = name, .value = h2o_iovec_init(value, n)};
}

static void add_security(struct xchg *x, h2o_req_t *req) {
    h2o_vector_reserve(&req->pool, &req->res.headers, ARRAY_LEN(SECURITY) + 6 + x->out.headers.n);
    memcpy(req->res.headers.entries, SECURITY, sizeof(SECURITY));
    req->res.headers.size = ARRAY_LEN(SECURITY);
    add_row(req, &REQUEST_ID, x->r.request_id, strlen(x->r.request_id));
    if (x->out.csp != NULL)
        add_row(req, &CSP, x->out.csp, strlen(x->out.csp));
    else
        add_row(req, &CSP, API_CSP, sizeof(API_CSP) - 1);
    if (x->r.tls)
        ADD_LIT("strict-transport-security", "max-age=31536000; includeSubDomains");
    if (!x->out.cache_set)
        add_row(req, (h2o_iovec_t *)(uintptr_t)&H2O_TOKEN_CACHE_CONTROL->buf, "no-store", 8);
}

static void add_rate(struct xchg *x, h2o_req_t *req) {
    char *text =
        arena_printf(x->a, "limit=%u, remaining=%u, reset=%u", x->rate.limit, x->rate.remaining, x->rate.reset_s);
    ADD("ratelimit", text, strlen(text));
}

void reply_head_apply(struct xchg *x) {
    h2o_req_t *req = x->req;
    req->res.status = x->out.status;
    req->res.reason = reason_of(x->out.status);
    add_security(x, req);
    if (x->out.content_type != NULL)
        add_row(req, (h2o_iovec_t *)(uintptr_t)&H2O_TOKEN_CONTENT_TYPE->buf, x->out.content_type,
                strlen(x->out.content_type));
    if (x->rate_shown && x->rate.limit > 0)
        add_rate(x, req);
    for
        vec_each(h, &x->out.headers)
            add(req, h->name.p, h->name.n, h->value.p, h->value.n);
    if (x->out.close || SRV.draining)
        req->http1_is_persistent = 0;
}

void reply_send(struct xchg *x) {
    static h2o_generator_t generator; /* nothing to pull, nothing to stop: the link's hook watches the end */
    h2o_req_t *req = x->req;
    if (x->out.ws != NULL && x->out.status == 0) {
        ws_start(x);
        return;
    }
    if (!reply_filled(&x->out))
        reply_error(&x->out, err_new(ERR_INTERNAL, "the handler gave no answer"));
    x->answered = true;
    x->done_us = clock_mono_us();
    x->stall_at = loop_now();
    reply_head_apply(x);
    bool bodyless = x->out.status == 204 || x->out.status == 304;
    if (!bodyless)
        req->res.content_length = x->out.body.n;
    if (x->out.close && x->conn != NULL)
        conn_linger(x->conn);
    x->bytes_out = x->out.body.n;
    h2o_iovec_t body = h2o_iovec_init(x->out.body.p, x->out.body.n);
    size_t nbufs = bodyless || x->head || body.len == 0 ? 0 : 1;
    h2o_start_response(req, &generator);
    h2o_send(req, &body, nbufs, H2O_SEND_STATE_FINAL); /* x may wait for its deferred release from here on */
}
