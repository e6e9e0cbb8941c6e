/* How identity, RBAC, audit and idempotency plug into the middleware without the transport depending on them. handlers/ sets
 * the hooks at start. All of them run in the request's fiber and may YIELD; NULL members are skipped (tests). */
#pragma once
#include "core/base/str.h"
#include "server/request.h"

struct credentials {
    enum { CRED_NONE, CRED_BEARER, CRED_COOKIE, CRED_TICKET } kind;
    const char *token; /* never logged */
};
struct audit_note { /* filled by handlers through request_audit() */
    const char *resource_type, *resource_id;
    const char *before, *after; /* JSON texts; NULL = none */
};
struct idempotent_reply {
    bool replay; /* a finished request with this key and body: answer as it did */
    int status;
    const char *content_type;
    const char *location;
    struct str body;
    void *claim; /* of the hook; given back to idempotency_end */
};
struct server_hooks {
    struct principal *anonymous; /* r->who before authentication */
    /** Set r->who. Called for AUTH_SELF and AUTH_PERMISSION; with CRED_NONE it answers ERR_UNAUTHENTICATED. Also refuses
     * principals that must change their password, unless r->route has ROUTE_PASSWORD_OK. */
    err_t (*authenticate)(struct request *r, const struct credentials *c);
    /** For routes with AUTH_PERMISSION, after the scope resolver: NULL, ERR_FORBIDDEN naming the rule, or ERR_NOT_FOUND when the
     * object may not even be seen (route->read_permission). */
    err_t (*authorize)(struct request *r, const char *permission, const char *read_permission, const char *scope_id);
    /** One row per mutation, after the handler; `failure` NULL = success. An error replaces a successful answer. */
    err_t (*audit)(struct request *r, const struct audit_note *note, int status, err_t failure);
    /** POST with Idempotency-Key. ERR_IDEMPOTENCY_MISMATCH (other body), ERR_CONFLICT (still running). */
    err_t (*idempotency_begin)(struct request *r, const char *key, const char *body_sha256,
                               struct idempotent_reply *ret);
    /** The answer to keep; status 0 = drop the claim (the request failed in a way that may be retried). */
    err_t (*idempotency_end)(struct request *r, void *claim, const struct idempotent_reply *reply);
    /** ?wait= on a task route: YIELDS until the task ended or the wait is over; the task as JSON in r->a. */
    err_t (*task_wait)(struct request *r, const char *task_id, struct str *ret_json);
    /** Stable key for rate limits and per-user socket counts; NULL = anonymous. */
    const char *(*principal_key)(const struct principal *who);
    /** Copy for a life longer than the request's (WebSockets). NULL = they keep the request's arena. */
    struct principal *(*principal_dup)(struct arena *a, const struct principal *who);
    /** May this principal open one more WebSocket; `open` is how many it has. NULL hook = at most conf.ws_max_per_user. */
    err_t (*ws_allowed)(struct request *r, unsigned open);
};
void server_set_hooks(const struct server_hooks *hooks); /* copied */
const struct server_hooks *server_hooks_get(void);
