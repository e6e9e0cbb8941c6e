/* The opening handshake of RFC 6455, strictly; Origin and ticket rules; the answer. Errors stay plain HTTP. */
#include <openssl/sha.h>
#include "server/ws_internal.h"

static const char SUBPROTOCOL[] = "dockflow.v1", TICKET_PREFIX[] = "ticket.";

static err_t upgrade_required(struct xchg *x, const char *why) {
    (void)x;
    return err_new(ERR_UPGRADE_REQUIRED, "%s", why);
}

static bool key_ok(struct xchg *x, struct str key) {
    struct str raw;
    return key.n == 24 && base64_decode(x->a, key, &raw) && raw.n == 16;
}

static size_t count_header(const struct request *r, const char *name) {
    size_t n = 0;
    for (size_t i = 0; i < r->nheaders; i++)
        n += str_eqz(r->headers[i].name, name) ? 1 : 0;
    return n;
}

static void find_protocols(struct xchg *x) {
    for (size_t i = 0; i < x->r.nheaders; i++) {
        if (!str_eqz(x->r.headers[i].name, "sec-websocket-protocol"))
            continue;
        struct str rest = x->r.headers[i].value, part;
        while (str_cut(&rest, ',', &part)) {
            part = str_trim(part);
            if (str_starts(part, STR(TICKET_PREFIX)))
                x->ws_ticket = str_z(x->a, str_slice(part, sizeof(TICKET_PREFIX) - 1, part.n));
            else if (str_eqz(part, SUBPROTOCOL))
                x->ws_subprotocol = true;
        }
    }
}

/* A browser always sends Origin and cannot forge it; whoever sends none must prove itself with something no browser adds */
static err_t check_origin(struct xchg *x) {
    struct str origin = request_header(&x->r, "origin");
    if (count_header(&x->r, "origin") > 1)
        return err_new(ERR_ORIGIN, "more than one Origin");
    if (origin.n > 0)
        return origin_same(&x->r, origin) || origin_cors_allowed(origin)
                   ? NULL
                   : err_new(ERR_ORIGIN, "WebSockets from this origin are not allowed");
    if (x->ws_ticket != NULL || request_header(&x->r, "authorization").n > 0)
        return NULL;
    return err_new(ERR_ORIGIN, "without an Origin a ticket or a bearer token is needed");
}

err_t ws_check_handshake(struct xchg *x) {
    if (x->r.http2)
        return err_new(ERR_NOT_IMPLEMENTED, "WebSockets need HTTP/1.1");
    if (!x->upgrade_ws)
        return upgrade_required(x, "this resource is a WebSocket");
    if (x->req->version < 0x101)
        return err_new(ERR_BAD_REQUEST, "WebSockets need HTTP/1.1");
    if (!str_eqz(request_header(&x->r, "sec-websocket-version"), "13"))
        return upgrade_required(x, "only WebSocket version 13");
    struct str key = request_header(&x->r, "sec-websocket-key");
    if (count_header(&x->r, "sec-websocket-key") != 1 || !key_ok(x, key))
        return err_new(ERR_BAD_REQUEST, "broken Sec-WebSocket-Key");
    x->ws_key = str_z(x->a, key);
    find_protocols(x);
    return check_origin(x);
}

static const char *accept_value(struct xchg *x) {
    uint8_t hash[SHA_DIGEST_LENGTH];
    const char *text = arena_printf(x->a, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", x->ws_key);
    SHA1((const uint8_t *)text, strlen(text), hash);
    return base64_encode(x->a, hash, sizeof(hash));
}

void ws_answer_head(struct xchg *x) {
    h2o_req_t *req = x->req;
    x->out.status = 101;
    req->res.status = 101;
    req->res.reason = "Switching Protocols";
    const char *accept = accept_value(x);
    h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("upgrade"), 1, NULL, H2O_STRLIT("websocket"));
    h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("sec-websocket-accept"), 0, NULL, accept,
                          strlen(accept));
    h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("x-request-id"), 0, NULL, x->r.request_id,
                          strlen(x->r.request_id));
    if (x->ws_subprotocol)
        h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("sec-websocket-protocol"), 0, NULL,
                              H2O_STRLIT("dockflow.v1"));
}
