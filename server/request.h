/* One HTTP request as a handler sees it: copied out of h2o into its own arena before the first yield. Read-only. */
#pragma once
#include <stdbool.h>
#include "core/base/json.h"
#include "core/base/str.h"

struct route;
struct
    principal; /* core/identity/principal.h: who asks; never NULL in a handler (anonymous has kind PRINCIPAL_ANONYMOUS) */

struct header {
    struct str name; /* lower case */
    struct str value;
};
struct request {
    struct arena *a;
    const struct route *route;
    struct str method, path, query; /* path: canonical, percent-decoded once per segment */
    struct str authority, scheme;
    const struct header *headers;
    size_t nheaders;
    struct str body;
    const char *request_id; /* UUIDv7, or the client's X-Request-Id when [A-Za-z0-9-]{8,64} */
    const char *peer_ip;    /* socket peer, or the forwarded one from a trusted proxy */
    const char *user_agent;
    bool tls, http2, cookie_auth;
    uint64_t deadline; /* absolute, ms */
    struct principal *who;
    const char *scope_id; /* of the addressed object, set by the route's scope resolver */
    void *resource;       /* whatever the scope resolver loaded (documented at the resolver) */
    struct str *params;   /* path parameters in order of the pattern */
    void *claim;          /* of the Idempotency-Key, set by its hook; NULL = none */
    bool audited;         /* the change's own transaction has written the audit row */
};
struct str request_header(const struct request *r, const char *lower_name); /* n == 0 if absent */
/** Path parameter by its name in the pattern, NUL-terminated; CHECK failure if the pattern has none such. */
const char *request_param(const struct request *r, const char *name);
/** Query parameter, decoded, NUL-terminated; NULL if absent. Only names declared in the route row ever arrive. */
const char *request_query(const struct request *r, const char *name);
MUST_CHECK err_t request_query_int(const struct request *r, const char *name, int64_t dflt, int64_t min, int64_t max,
                                   int64_t *ret);
MUST_CHECK err_t request_query_bool(const struct request *r, const char *name, bool dflt, bool *ret);
/** Body as JSON, parsed once and validated against the route's request schema (unknown field -> UNKNOWN_FIELD 400 with
 * pointer; missing -> MISSING_REQUIRED_FIELD; wrong type or rule -> SCHEMA_VIOLATION). */
MUST_CHECK err_t request_json(struct request *r, const struct json **ret);
/** Cookie by name, NULL if absent. */
const char *request_cookie(const struct request *r, const char *name);
/** What the audit row of this request says beyond actor, route and outcome. Copied; NULL = unknown. before/after are JSON. */
void request_audit(struct request *r, const char *resource_type, const char *resource_id, const char *before,
                   const char *after);
/** One more accepted call of a webhook (limits.rateHookPerMinute): after its signature was verified, so that nobody else uses
 * up its share and names that do not exist are never counted. ERR_RATE_LIMITED. */
MUST_CHECK err_t request_hook_rate(struct request *r, const char *hook_id);
/** Name of the session cookie on this connection: __Host-df_session over TLS, df_session on plain loopback. */
const char *request_session_cookie(const struct request *r);
