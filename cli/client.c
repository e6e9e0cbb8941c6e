#include <stdlib.h>
#include "cli/cli.h"

#define CALL_TIMEOUT SECONDS(60)
#define MAX_BODY MIB(32)

struct client {
    struct context ctx;
    struct arena *a;
    struct http_pool *pool;
    const char *host, *ca_pem, *auth;
    int port;
    bool tls;
};

static err_t open_wire(void *ctx, uint64_t deadline, struct stream **ret) {
    struct client *c = ctx;
    struct stream *s;
    TRY(net_connect_tcp(c->host, c->port, deadline, &s));
    if (!c->tls) {
        *ret = s;
        return NULL;
    }
    struct tls_client_conf conf = {.ca_pem = c->ca_pem, .server_name = c->host};
    return net_tls_client(s, &conf, deadline, ret);
}

static err_t parse_server(struct client *c, const char *url) {
    struct str s = str_of(url), host, port;
    c->tls = str_starts(s, STR("https://"));
    if (!c->tls && !str_starts(s, STR("http://")))
        return err_new(ERR_INVALID, "server '%s' must start with https:// or http://", url);
    s = str_slice(s, c->tls ? 8 : 7, s.n);
    while (s.n && s.p[s.n - 1] == '/')
        s.n--;
    if (s.n == 0 || str_find_chr(s, '/') >= 0 || str_find_chr(s, '@') >= 0)
        return err_new(ERR_INVALID, "server '%s' must be just scheme, host and port", url);
    (void)str_cut(&s, ':', &host);
    port = s;
    int64_t n = c->tls ? 443 : 80;
    if (port.n)
        TRY(str_to_i64(port, 1, 65535, &n));
    c->host = str_z(c->a, host);
    c->port = (int)n;
    return NULL;
}

static err_t read_ca(struct client *c) {
    if (c->ctx.ca_file == NULL)
        return NULL;
    struct str text;
    TRY(input_read(c->a, c->ctx.ca_file, &text));
    c->ca_pem = str_z(c->a, text);
    return text.n ? NULL : err_new(ERR_CONFIG, "the CA file %s is empty", c->ctx.ca_file);
}

err_t client_open(struct arena *a, const struct context *ctx, struct client **ret) {
    struct client *c = arena_new_obj(a, struct client);
    c->a = a;
    c->ctx = *ctx;
    TRY(parse_server(c, ctx->server));
    TRY(read_ca(c));
    c->auth = ctx->token ? arena_printf(a, "Bearer %s", ctx->token) : NULL;
    const char *authority = arena_printf(a, "%s:%d", c->host, c->port);
    c->pool = http_pool_new("dsctl", authority, (struct http_wire){open_wire, c}, 2, 4);
    *ret = c;
    return NULL;
}

void client_close(struct client *c) {
    if (c)
        http_pool_free(c->pool);
}

static enum err_code code_of(int status) {
    switch (status) {
    case 401:
        return ERR_UNAUTHENTICATED;
    case 403:
        return ERR_FORBIDDEN;
    case 404:
        return ERR_NOT_FOUND;
    case 409:
        return ERR_CONFLICT;
    case 429:
        return ERR_RATE_LIMITED;
    default:
        return status >= 500 ? ERR_UNAVAILABLE : ERR_INVALID;
    }
}

static err_t server_error(struct arena *a, int status, const struct json *body) {
    const struct json *e = json_get(body, "error");
    err_t err = err_new(code_of(status), "%s",
                        json_str_or(json_get(e, "message"), arena_printf(a, "the server answered %d", status)));
    err = err_detail(err, "code", json_str_or(json_get(e, "code"), "HTTP"));
    const struct json *details = json_get(e, "details");
    for (size_t i = 0; json_is(details, JSON_OBJECT) && i < details->obj.n; i++)
        err = err_detail(err, details->obj.v[i].key.p, json_cell(a, details->obj.v[i].value));
    if (json_get_str(e, "field"))
        err = err_field(err, json_get_str(e, "field"));
    return err_detail(err, "requestId",
                      json_str_or(json_get(e, "requestId"), json_str_or(json_get(body, "request_id"), "")));
}

static err_t exchange(struct client *c, struct arena *a, const char *method, const char *path, const struct json *body,
                      const char *if_match, int *ret_status, struct json **ret) {
    struct http_header h[4];
    size_t n = 0;
    struct str text = {0};
    h[n++] = (struct http_header){"Accept", "application/json"};
    if (c->auth)
        h[n++] = (struct http_header){"Authorization", c->auth};
    if (if_match)
        h[n++] = (struct http_header){"If-Match", if_match};
    if (!c->auth)
        h[n++] = (struct http_header){"X-DF-Token", "body"};
    struct http_request req = {.method = method, .target = path, .headers = h, .nheaders = n};
    if (body) {
        req.body = str_of(json_to_text(a, body));
        req.content_type = "application/json";
    }
    TRY(http_simple(c->pool, a, &req, MAX_BODY, deadline_in(CALL_TIMEOUT), ret_status, &text));
    *ret = NULL;
    struct json_limits limits = {.max_bytes = MAX_BODY, .max_nodes = 5000000, .trusted = true};
    if (text.n && json_parse(a, text, &limits, ret) != NULL)
        return err_new(ERR_UPSTREAM_PROTOCOL, "the server's answer is not JSON; is %s a DockFlow server?",
                       c->ctx.server);
    return NULL;
}

static err_t refresh(struct client *c, struct arena *a) {
    struct json *body = json_object(a), *answer;
    int status;
    json_set_str(a, body, "refreshToken", c->ctx.refresh);
    c->auth = NULL;
    TRY(exchange(c, a, "POST", "/api/v1/auth/refresh", body, NULL, &status, &answer));
    if (status != 200)
        return err_new(ERR_UNAUTHENTICATED, "the session has ended; run: dsctl login %s", c->ctx.server);
    c->ctx.token = arena_strdup(c->a, json_get_str(answer, "accessToken"));
    c->ctx.refresh = arena_strdup(c->a, json_get_str(answer, "refreshToken"));
    c->auth = arena_printf(c->a, "Bearer %s", c->ctx.token);
    return c->ctx.name ? context_save(c->a, &c->ctx, false) : NULL;
}

err_t client_call(struct client *c, struct arena *a, const char *method, const char *path, const struct json *body,
                  const char *if_match, int *ret_status, struct json **ret) {
    int status;
    struct json *answer;
    TRY(exchange(c, a, method, path, body, if_match, &status, &answer));
    if (status == 401 && c->auth && c->ctx.refresh && !z_starts(path, "/api/v1/auth/")) {
        TRY(refresh(c, a));
        TRY(exchange(c, a, method, path, body, if_match, &status, &answer));
    }
    if (status >= 400)
        return server_error(a, status, answer);
    if (ret_status)
        *ret_status = status;
    if (ret)
        *ret = answer;
    return NULL;
}

err_t client_stream(struct client *c, const char *path, const char *accept, struct http_response **ret) {
    struct http_header h[] = {{"Accept", accept}, {"Authorization", c->auth ? c->auth : ""}};
    struct http_request req = {.method = "GET", .target = path, .headers = h, .nheaders = c->auth ? 2 : 1};
    struct http_response *r;
    TRY(http_do(c->pool, &req, deadline_in(CALL_TIMEOUT), &r));
    if (http_status(r) == 200) {
        *ret = r;
        return NULL;
    }
    struct str text;
    struct json *body = NULL;
    int status = http_status(r);
    err_t e = http_read_all(r, c->a, MIB(1), deadline_in(CALL_TIMEOUT), &text);
    http_close(r);
    TRY(e);
    err_ignore(json_parse(c->a, text, NULL, &body));
    return server_error(c->a, status, body);
}

void sse_init(struct sse *s, struct http_response *r) {
    *s = (struct sse){.r = r};
    buf_init(&s->buf, KIB(4), MIB(4));
}

void sse_done(struct sse *s) {
    buf_done(&s->buf);
    http_close(s->r);
}

static bool take_block(struct sse *s, struct arena *a, struct str *ret) {
    ptrdiff_t end = str_find(buf_str(&s->buf), STR("\n\n"));
    if (end < 0)
        return false;
    *ret = str_dup(a, str_n(s->buf.p, (size_t)end));
    buf_consume(&s->buf, (size_t)end + 2);
    return true;
}

static void parse_block(struct arena *a, struct str block, const char **ret_event, struct str *ret_data) {
    struct str line;
    *ret_event = "message";
    *ret_data = STR("");
    while (str_cut(&block, '\n', &line)) {
        if (str_starts(line, STR("event:")))
            *ret_event = str_z(a, str_trim(str_slice(line, 6, line.n)));
        if (!str_starts(line, STR("data:")))
            continue;
        struct str d = str_slice(line, line.n > 5 && line.p[5] == ' ' ? 6 : 5, line.n);
        *ret_data = ret_data->n ? str_of(arena_printf(a, "%.*s\n%.*s", STR_ARG(*ret_data), STR_ARG(d))) : d;
    }
}

err_t sse_next(struct sse *s, struct arena *a, uint64_t deadline, const char **ret_event, struct str *ret_data) {
    struct str block;
    for (;;) {
        while (take_block(s, a, &block)) {
            parse_block(a, block, ret_event, ret_data);
            if (ret_data->n)
                return NULL;
        }
        struct str chunk;
        TRY(http_read(s->r, deadline, &chunk));
        if (chunk.n == 0) {
            *ret_event = NULL;
            return NULL;
        }
        TRY(buf_append(&s->buf, chunk.p, chunk.n));
    }
}

err_t client_from_args(struct arena *a, const struct args *args, struct client **ret) {
    struct context c = {0};
    const char *server = arg_get(args, "server"), *token = arg_get(args, "token");
    if (server == NULL)
        server = getenv("DOCKFLOW_SERVER");
    if (token == NULL)
        token = getenv("DOCKFLOW_TOKEN");
    if (server && token)
        c = (struct context){.server = server, .token = token};
    else
        TRY(context_current(a, arg_get(args, "context"), &c));
    if (arg_get(args, "ca"))
        c.ca_file = arg_get(args, "ca");
    return client_open(a, &c, ret);
}
