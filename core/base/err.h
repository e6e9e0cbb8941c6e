/* err_t: NULL is success. An error lives in arena_current() (or a small per-thread ring when there is none): err_dup it
 * when it must outlive that arena or cross threads. Library code wraps and returns, only edges log.
 * ERR_TABLE is the one list of codes: X(symbol, "WIRE_CODE", http status, retryable). The wire code is what API clients see. */
#pragma once
#include <stdbool.h>
#include "core/base/arena.h"
#include "core/base/own.h"

#define ERR_TABLE(X)                                                                                                   \
    X(INTERNAL, "INTERNAL", 500, false)                                                                                \
    X(CANCELLED, "CANCELLED", 499, false)                                                                              \
    X(TIMEOUT, "TIMEOUT", 504, true)                                                                                   \
    X(BUSY, "BUSY", 503, true)                                                                                         \
    X(UNAVAILABLE, "UNAVAILABLE", 503, true)                                                                           \
    X(SHUTTING_DOWN, "SHUTTING_DOWN", 503, true)                                                                       \
    X(IO, "IO_ERROR", 502, true)                                                                                       \
    X(INVALID, "INVALID_INPUT", 422, false)                                                                            \
    X(BAD_REQUEST, "BAD_REQUEST", 400, false)                                                                          \
    X(INVALID_JSON, "INVALID_JSON", 400, false)                                                                        \
    X(JSON_TOO_DEEP, "JSON_TOO_DEEP", 400, false)                                                                      \
    X(JSON_TOO_COMPLEX, "JSON_TOO_COMPLEX", 400, false)                                                                \
    X(UNKNOWN_FIELD, "UNKNOWN_FIELD", 400, false)                                                                      \
    X(UNKNOWN_PARAMETER, "UNKNOWN_PARAMETER", 400, false)                                                              \
    X(BAD_PATH, "BAD_PATH", 400, false)                                                                                \
    X(BAD_ENCODING, "BAD_ENCODING", 400, false)                                                                        \
    X(AMBIGUOUS_CREDENTIALS, "AMBIGUOUS_CREDENTIALS", 400, false)                                                      \
    X(MISSING_FIELD, "MISSING_REQUIRED_FIELD", 422, false)                                                             \
    X(INVALID_YAML, "INVALID_YAML", 422, false)                                                                        \
    X(YAML_LIMIT, "YAML_LIMIT", 422, false)                                                                            \
    X(DUPLICATE_KEY, "DUPLICATE_KEY", 422, false)                                                                      \
    X(SCHEMA, "SCHEMA_VIOLATION", 422, false)                                                                          \
    X(PATH_ESCAPE, "PATH_ESCAPE", 422, false)                                                                          \
    X(WEAK_PASSWORD, "WEAK_PASSWORD", 422, false)                                                                      \
    X(QUOTA, "QUOTA_EXCEEDED", 422, false)                                                                             \
    X(IDEMPOTENCY_MISMATCH, "IDEMPOTENCY_MISMATCH", 422, false)                                                        \
    X(INVALID_CREDENTIALS, "INVALID_CREDENTIALS", 401, false)                                                          \
    X(UNAUTHENTICATED, "AUTHENTICATION_REQUIRED", 401, false)                                                          \
    X(TOKEN_EXPIRED, "TOKEN_EXPIRED", 401, false)                                                                      \
    X(TOKEN_INVALID, "TOKEN_INVALID", 401, false)                                                                      \
    X(TOKEN_REUSED, "TOKEN_REUSED", 401, false)                                                                        \
    X(MFA_REQUIRED, "MFA_REQUIRED", 401, false)                                                                        \
    X(SIGNATURE_INVALID, "SIGNATURE_INVALID", 401, false)                                                              \
    X(FORBIDDEN, "INSUFFICIENT_PERMISSIONS", 403, false)                                                               \
    X(INSUFFICIENT_SCOPE, "INSUFFICIENT_SCOPE", 403, false)                                                            \
    X(CSRF, "CSRF_FAILED", 403, false)                                                                                 \
    X(ORIGIN, "ORIGIN_NOT_ALLOWED", 403, false)                                                                        \
    X(PASSWORD_CHANGE_REQUIRED, "PASSWORD_CHANGE_REQUIRED", 403, false)                                                \
    X(AUTHZ_REVOKED, "AUTHZ_REVOKED", 403, false)                                                                      \
    X(POLICY, "POLICY_VIOLATION", 422, false)                                                                          \
    X(NOT_FOUND, "NOT_FOUND", 404, false)                                                                              \
    X(METHOD, "METHOD_NOT_ALLOWED", 405, false)                                                                        \
    X(CONFLICT, "CONFLICT", 409, false)                                                                                \
    X(PORT_CONFLICT, "PORT_CONFLICT", 409, false)                                                                      \
    X(LAST_ADMIN, "LAST_ADMIN", 409, false)                                                                            \
    X(GONE, "GONE", 410, false)                                                                                        \
    X(PRECONDITION, "PRECONDITION_FAILED", 412, false)                                                                 \
    X(PRECONDITION_REQUIRED, "PRECONDITION_REQUIRED", 428, false)                                                      \
    X(TOO_LARGE, "PAYLOAD_TOO_LARGE", 413, false)                                                                      \
    X(URI_TOO_LONG, "URI_TOO_LONG", 414, false)                                                                        \
    X(MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", 415, false)                                                                \
    X(EXPECTATION, "EXPECTATION_FAILED", 417, false)                                                                   \
    X(MISDIRECTED, "MISDIRECTED_REQUEST", 421, false)                                                                  \
    X(UPGRADE_REQUIRED, "UPGRADE_REQUIRED", 426, false)                                                                \
    X(RATE_LIMITED, "RATE_LIMITED", 429, true)                                                                         \
    X(HEADERS_TOO_LARGE, "HEADERS_TOO_LARGE", 431, false)                                                              \
    X(NOT_IMPLEMENTED, "NOT_IMPLEMENTED", 501, false)                                                                  \
    X(DB_UNAVAILABLE, "DATABASE_UNAVAILABLE", 503, true)                                                               \
    X(DB, "DATABASE_ERROR", 500, false)                                                                                \
    X(DB_RETRY, "DATABASE_CONTENTION", 503, true)                                                                      \
    X(DB_FULL, "DATABASE_FULL", 503, true)                                                                             \
    X(DOCKER_UNAVAILABLE, "DOCKER_UNAVAILABLE", 503, true)                                                             \
    X(DOCKER, "DOCKER_OPERATION_FAILED", 502, false)                                                                   \
    X(DOCKER_PROTOCOL, "DOCKER_PROTOCOL", 502, true)                                                                   \
    X(DOCKER_VERSION, "DOCKER_VERSION", 502, false)                                                                    \
    X(GIT, "GIT_ERROR", 502, true)                                                                                     \
    X(GIT_AUTH, "GIT_AUTH_FAILED", 502, false)                                                                         \
    X(GIT_LIMIT, "GIT_LIMIT", 502, false)                                                                              \
    X(HOSTKEY, "HOSTKEY_MISMATCH", 502, false)                                                                         \
    X(EGRESS_DENIED, "EGRESS_DENIED", 422, false)                                                                      \
    X(TLS_VERIFY, "TLS_VERIFY_FAILED", 502, false)                                                                     \
    X(REGISTRY, "REGISTRY_ERROR", 502, true)                                                                           \
    X(UPSTREAM_PROTOCOL, "UPSTREAM_PROTOCOL", 502, true)                                                               \
    X(BUILD_FAILED, "BUILD_FAILED", 422, false)                                                                        \
    X(DEPLOYMENT_FAILED, "DEPLOYMENT_FAILED", 422, false)                                                              \
    X(HEALTH_CHECK_FAILED, "HEALTH_CHECK_FAILED", 422, false)                                                          \
    X(AUDIT_UNAVAILABLE, "AUDIT_UNAVAILABLE", 503, true)                                                               \
    X(CONFIG, "CONFIG_INVALID", 500, false)                                                                            \
    X(FENCED, "LEASE_LOST", 409, false)

enum err_code {
#define X(sym, wire, http, retry) ERR_##sym,
    ERR_TABLE(X)
#undef X
        ERR_CODE_MAX
};

/** One detail shown to the client: a key with a string, or a JSON fragment when `raw`. */
struct err_detail {
    const char *key, *value;
    bool raw;
    const struct err_detail *next;
};

struct err {
    enum err_code code;
    const char *message;              /* for a person; no secret, no SQL, no stack */
    const char *field;                /* JSON pointer or parameter name; may be NULL */
    const struct err_detail *details; /* oldest first */
    const struct err *cause;          /* for logs only */
    const char *file;
    int line;
};
typedef const struct err *err_t;

#define TRY(expr)                                                                                                      \
    do {                                                                                                               \
        err_t try_e_ = (expr);                                                                                         \
        if (__builtin_expect(try_e_ != NULL, 0))                                                                       \
            return try_e_;                                                                                             \
    } while (0)

MUST_CHECK err_t err_new_at(const char *file, int line, enum err_code code, const char *fmt, ...) PRINTF_LIKE(4, 5);
#define err_new(code, ...) err_new_at(__FILE__, __LINE__, (code), __VA_ARGS__)
/** New error on top of `cause` that keeps its code, field and details: "load app x: <cause message>" in the log chain. */
MUST_CHECK err_t err_wrap_at(const char *file, int line, err_t cause, const char *fmt, ...) PRINTF_LIKE(4, 5);
#define err_wrap(cause, ...) err_wrap_at(__FILE__, __LINE__, (cause), __VA_ARGS__)
/** Same with another code (e.g. a 404 of an upstream that is our 502). */
MUST_CHECK err_t err_wrap_as_at(const char *file, int line, enum err_code code, err_t cause, const char *fmt, ...)
    PRINTF_LIKE(5, 6);
#define err_wrap_as(code, cause, ...) err_wrap_as_at(__FILE__, __LINE__, (code), (cause), __VA_ARGS__)
/** Copy of e with one more client-visible detail / with the field set. */
MUST_CHECK err_t err_detail(err_t e, const char *key, const char *value);
MUST_CHECK err_t err_detail_json(err_t e, const char *key, const char *json);
MUST_CHECK err_t err_field(err_t e, const char *field);

err_t err_dup(struct arena *a, err_t e); /* deep copy, chain included */
bool err_is(err_t e, enum err_code code);
bool err_retryable(err_t e);
const char *err_code_wire(enum err_code code);
const char *err_code_symbol(enum err_code code);
int err_code_http(enum err_code code);
/** "outer: inner: root" into the arena: the message with its causes, for logs and job results. */
const char *err_chain(struct arena *a, err_t e);
/** Deliberately ignored error (best effort clean-up); says so at the call. */
static inline void err_ignore(err_t e) { (void)e; }
