/* What every request passes in its fiber, in this order: credentials, rate limits, authentication, CSRF, scope, permission,
 * idempotency, handler, audit. Rules that need no waiting ran before (dispatch.c). */
#include "core/base/sha256.h"
#include "server/internal.h"

enum { IDEMPOTENCY_KEY_MAX = 128, TOKEN_MAX = 8192 };

/* ---- credentials ---- */

static bool is_write(const struct xchg *x) { return x->r.route->method != HTTP_GET; }

static err_t ambiguous(const char *why) { return err_new(ERR_AMBIGUOUS_CREDENTIALS, "%s", why); }

static const bool NOT_IN_TOKEN[256] = {[0 ... 0x20] = true, [0x7f ... 0xff] = true, [','] = true};

static err_t bearer_token(struct xchg *x, struct str v, const char **ret) {
    if (v.n < 8 || !str_eq_nocase(str_n(v.p, 6), STR("bearer")) || v.p[6] != ' ')
        return ambiguous("the Authorization header must read \"Bearer <token>\"");
    struct str token = str_slice(v, 7, v.n);
    if (token.n > TOKEN_MAX)
        return err_new(ERR_TOKEN_INVALID, "the access token is not valid"); /* no token of ours is that long */
    bool illegal = false;
    for (size_t i = 0; i < token.n; i++)
        illegal |= NOT_IN_TOKEN[(unsigned char)token.p[i]];
    if (illegal)
        return ambiguous("the bearer token holds an illegal byte");
    *ret = str_z(x->a, token);
    return NULL;
}

static bool is_our_cookie(struct str name) {
    return str_starts(name, STR("df_")) || str_starts(name, STR("__Host-df_")) || str_starts(name, STR("__Secure-df_"));
}

/* Two cookies of one of our names: somebody planted one (cookie tossing) */
static err_t check_cookies(struct xchg *x, bool *ret_ours) {
    struct str seen[16];
    size_t n = 0;
    *ret_ours = false;
    for (size_t i = 0; i < x->r.nheaders; i++) {
        if (!str_eqz(x->r.headers[i].name, "cookie"))
            continue;
        struct str rest = x->r.headers[i].value, part;
        while (str_cut(&rest, ';', &part)) {
            part = str_trim(part);
            ptrdiff_t eq = str_find_chr(part, '=');
            struct str name = eq < 0 ? part : str_n(part.p, (size_t)eq);
            if (!is_our_cookie(name))
                continue;
            *ret_ours = true;
            for (size_t k = 0; k < n; k++)
                if (str_eq(seen[k], name))
                    return ambiguous("a session cookie is sent twice");
            if (n == ARRAY_LEN(seen))
                return ambiguous("too many session cookies");
            seen[n++] = name;
        }
    }
    return NULL;
}

static err_t find_credentials(struct xchg *x, bool *ret_our_cookies) {
    struct credentials *c = &x->cred;
    size_t headers = 0;
    TRY(check_cookies(x, ret_our_cookies));
    for (size_t i = 0; i < x->r.nheaders; i++) {
        if (!str_eqz(x->r.headers[i].name, "authorization"))
            continue;
        if (++headers > 1)
            return ambiguous("more than one Authorization header");
        TRY(bearer_token(x, x->r.headers[i].value, &c->token));
        c->kind = CRED_BEARER;
    }
    const char *cookie = request_cookie(&x->r, request_session_cookie(&x->r));
    if (x->ws_ticket != NULL) {
        if (c->kind == CRED_BEARER)
            return ambiguous("both a bearer token and a ticket");
        c->kind = CRED_TICKET;
        c->token = x->ws_ticket;
        return NULL; /* a page's cookie comes along unasked; the ticket is what was meant */
    }
    if (cookie == NULL || cookie[0] == '\0')
        return NULL;
    if (c->kind == CRED_BEARER)
        return ambiguous("both a bearer token and a session cookie");
    c->kind = CRED_COOKIE;
    c->token = cookie;
    x->r.cookie_auth = true;
    return NULL;
}

/* ---- cross-site requests ---- */

/* Browsers cannot forge Origin, Sec-Fetch-Site or a custom header across sites; programs send none of the first two */
err_t check_own_site(struct xchg *x) {
    if (!is_write(x) || (x->r.route->flags & ROUTE_HOOK))
        return NULL;
    struct str origin = request_header(&x->r, "origin"), site = request_header(&x->r, "sec-fetch-site");
    if (origin.n > 0 && !origin_same(&x->r, origin) && !origin_cors_allowed(origin))
        return err_new(ERR_CSRF, "this write comes from another site");
    if (site.n > 0 && !str_eqz(site, "same-origin") && !str_eqz(site, "none") && !origin_cors_allowed(origin))
        return err_new(ERR_CSRF, "this write comes from another site");
    return NULL;
}

static err_t check_csrf(struct xchg *x, bool our_cookies) {
    TRY(check_own_site(x));
    bool browser = our_cookies && x->cred.kind != CRED_BEARER && !(x->r.route->flags & ROUTE_HOOK);
    if (is_write(x) && browser && !str_eqz(request_header(&x->r, "x-df-csrf"), "1"))
        return err_new(ERR_CSRF, "cookie-authenticated writes need the header X-DF-CSRF: 1");
    return NULL;
}

/* ---- rate limits ---- */

static err_t take(struct xchg *x, enum rate_class cls, const char *key) {
    struct rate_state s;
    err_t e = ratelimit_take(cls, key, loop_now(), &s);
    if (e != NULL || !x->rate_shown || s.remaining < x->rate.remaining)
        x->rate = s;
    x->rate_shown = true;
    return e;
}

static const char *peer_key(struct xchg *x) {
    /* An IPv6 subscriber owns a /64 */
    unsigned char addr[16];
    if (strchr(x->r.peer_ip, ':') == NULL || uv_inet_pton(AF_INET6, x->r.peer_ip, addr) != 0)
        return x->r.peer_ip;
    memset(addr + 8, 0, 8);
    char *text = arena_alloc(x->a, INET6_ADDRSTRLEN, 1);
    return uv_inet_ntop(AF_INET6, addr, text, INET6_ADDRSTRLEN) == 0 ? text : x->r.peer_ip;
}

static err_t limit_before_auth(struct xchg *x) {
    const struct route *r = x->r.route;
    if (r->flags & ROUTE_LOGIN)
        TRY(take(x, RATE_LOGIN, peer_key(x)));
    return r->auth == AUTH_PUBLIC || x->cred.kind == CRED_NONE ? take(x, RATE_ANONYMOUS, peer_key(x)) : NULL;
}

err_t request_hook_rate(struct request *r, const char *hook_id) {
    return take(CONTAINER_OF(r, struct xchg, r), RATE_HOOK, hook_id);
}

static err_t limit_after_auth(struct xchg *x) {
    const struct server_hooks *h = server_hooks_get();
    const char *key = h->principal_key ? h->principal_key(x->r.who) : NULL;
    if (key == NULL)
        return NULL;
    TRY(take(x, RATE_USER, key));
    return is_write(x) ? take(x, RATE_WRITE, key) : NULL;
}

/* ---- who and whether ---- */

static err_t authenticate(struct xchg *x) {
    const struct server_hooks *h = server_hooks_get();
    if (x->r.route->auth == AUTH_PUBLIC)
        return NULL;
    if (h->authenticate == NULL)
        return err_new(ERR_UNAUTHENTICATED, "authentication is not available");
    err_t e = h->authenticate(&x->r, &x->cred);
    if (e != NULL && x->cred.kind != CRED_NONE && err_code_http(e->code) == 401)
        TRY(take(x, RATE_ANONYMOUS, peer_key(x))); /* guessing tokens costs what anonymous requests cost */
    return e;
}

static err_t authorize(struct xchg *x) {
    const struct server_hooks *h = server_hooks_get();
    const struct route *r = x->r.route;
    if (r->resolve != NULL)
        TRY(r->resolve(&x->r));
    if (r->auth != AUTH_PERMISSION)
        return NULL;
    if (h->authorize == NULL)
        return err_new(ERR_FORBIDDEN, "authorization is not available");
    return h->authorize(&x->r, r->permission, r->read_permission ? r->read_permission : r->permission, x->r.scope_id);
}

static err_t ws_allowed(struct xchg *x) {
    const struct server_hooks *h = server_hooks_get();
    if (!(x->r.route->flags & ROUTE_WS))
        return NULL;
    const char *key = h->principal_key ? h->principal_key(x->r.who) : NULL;
    unsigned open = ws_count_of(key ? key : x->r.peer_ip);
    if (h->ws_allowed != NULL)
        return h->ws_allowed(&x->r, open);
    if (open >= SRV.conf.ws_max_per_user)
        return err_new(ERR_RATE_LIMITED, "at most %u WebSockets at a time", SRV.conf.ws_max_per_user);
    return NULL;
}

/* ---- idempotency ---- */

static err_t idempotency_key(struct xchg *x, const char **ret) {
    struct str key = request_header(&x->r, "idempotency-key");
    *ret = NULL;
    if (key.n == 0 || x->r.route->method != HTTP_POST)
        return NULL;
    if (key.n > IDEMPOTENCY_KEY_MAX)
        return err_new(ERR_BAD_REQUEST, "Idempotency-Key is longer than %d bytes", IDEMPOTENCY_KEY_MAX);
    for (size_t i = 0; i < key.n; i++)
        if ((unsigned char)key.p[i] <= 0x20 || (unsigned char)key.p[i] >= 0x7f)
            return err_new(ERR_BAD_REQUEST, "Idempotency-Key holds an illegal byte");
    *ret = str_z(x->a, key);
    return NULL;
}

static const char *request_digest(struct xchg *x) {
    struct sha256 s;
    uint8_t hash[32];
    char *hex = arena_alloc(x->a, 65, 1);
    sha256_init(&s);
    sha256_update(&s, x->r.path.p, x->r.path.n);
    sha256_update(&s, "?", 1);
    sha256_update(&s, x->r.query.p, x->r.query.n);
    sha256_update(&s, "\n", 1);
    sha256_update(&s, x->r.body.p, x->r.body.n);
    sha256_final(&s, hash);
    str_to_hex(hash, sizeof(hash), hex);
    return hex;
}

static const char *reply_location(const struct reply *out) {
    for
        vec_each(h, &out->headers)
            if (str_eqz(h->name, "location"))
                return h->value.p;
    return NULL;
}

static err_t replay(struct xchg *x, const struct idempotent_reply *kept) {
    TRY(reply_header(&x->out, "idempotency-replayed", "true"));
    if (kept->location != NULL)
        TRY(reply_header(&x->out, "location", kept->location));
    if (kept->body.n == 0)
        return reply_empty(&x->out, kept->status);
    return reply_bytes(&x->out, kept->status, kept->content_type ? kept->content_type : "application/json", kept->body);
}

/* ---- handler and audit ---- */

static err_t audit(struct xchg *x, err_t failure) {
    const struct server_hooks *h = server_hooks_get();
    if (x->r.route->audit == NULL || (x->r.route->flags & ROUTE_NO_AUDIT) || h->audit == NULL)
        return failure;
    /* A read that is audited (exec, secret values) or any mutation. Cancelled callers still leave their row. */
    fiber_mask();
    err_t e = h->audit(&x->r, &x->audit, failure ? err_code_http(failure->code) : x->out.status, failure);
    fiber_unmask();
    return failure ? failure : e;
}

static err_t handle(struct xchg *x) {
    err_t e = x->r.route->handler(&x->r, &x->out);
    if (e == NULL && !reply_filled(&x->out))
        e = err_new(ERR_INTERNAL, "the handler of %s gave no answer", x->r.route->pattern);
    if (e != NULL && (x->r.route->flags & ROUTE_HOOK) && err_code_http(e->code) == 401)
        err_ignore(take(x, RATE_ANONYMOUS, peer_key(x))); /* guessing costs double */
    return audit(x, e);
}

static err_t handle_once(struct xchg *x) {
    const struct server_hooks *h = server_hooks_get();
    const char *key;
    TRY(idempotency_key(x, &key));
    if (key == NULL || h->idempotency_begin == NULL)
        return handle(x);
    struct idempotent_reply kept = {0};
    TRY(h->idempotency_begin(&x->r, key, request_digest(x), &kept));
    if (kept.replay)
        return replay(x, &kept);
    err_t e = handle(x);
    /* A failure that says "as it is, never" is kept like a success; one that may pass next time frees the key */
    bool keep = e == NULL && x->out.status < 500;
    struct idempotent_reply done = {.status = keep ? x->out.status : 0,
                                    .content_type = x->out.content_type,
                                    .location = reply_location(&x->out),
                                    .body = x->out.body};
    fiber_mask();
    err_t end = h->idempotency_end(&x->r, kept.claim, &done);
    fiber_unmask();
    return e ? e : end;
}

err_t middleware_run(struct xchg *x) {
    bool our_cookies;
    TRY(find_credentials(x, &our_cookies));
    TRY(limit_before_auth(x));
    TRY(check_csrf(x, our_cookies));
    TRY(authenticate(x));
    TRY(limit_after_auth(x));
    TRY(authorize(x));
    TRY(ws_allowed(x));
    TRY(handle_once(x));
    cors_apply(x);
    return NULL;
}
