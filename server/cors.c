#include "server/internal.h"

/* scheme://authority of this request as a browser spells it */
bool origin_same(const struct request *r, struct str origin) {
    if (SRV.conf.public_url != NULL && str_eqz(origin, SRV.conf.public_url))
        return true;
    struct str rest = origin;
    if (!str_starts(rest, r->tls ? STR("https://") : STR("http://")))
        return false;
    rest = str_slice(rest, r->tls ? 8 : 7, rest.n);
    return rest.n > 0 && str_eq_nocase(rest, r->authority);
}

bool origin_cors_allowed(struct str origin) {
    for (const char *const *o = SRV.conf.cors_origins; o != NULL && *o != NULL; o++)
        if (str_eqz(origin, *o))
            return true;
    return false;
}

/* Exact origins from the configuration only; never a wildcard, never the caller's origin as such */
void cors_apply(struct xchg *x) {
    if (SRV.conf.cors_origins == NULL || x->out.ws != NULL || x->r.headers == NULL)
        return;
    err_ignore(reply_header(&x->out, "vary", "origin"));
    struct str origin = request_header(&x->r, "origin");
    if (origin.n == 0 || !origin_cors_allowed(origin))
        return;
    err_ignore(reply_header(&x->out, "access-control-allow-origin", str_z(x->a, origin)));
    err_ignore(reply_header(&x->out, "access-control-allow-credentials", "true"));
    err_ignore(
        reply_header(&x->out, "access-control-expose-headers", "etag, location, link, x-request-id, retry-after"));
    if (!str_eqz(x->r.method, "OPTIONS"))
        return;
    err_ignore(reply_header(&x->out, "access-control-allow-methods", "GET, POST, PUT, PATCH, DELETE"));
    err_ignore(reply_header(&x->out, "access-control-allow-headers",
                            "authorization, content-type, if-match, idempotency-key, x-df-csrf, x-request-id"));
    err_ignore(reply_header(&x->out, "access-control-max-age", "600"));
}
