/* Who is there: accounts, passwords, sessions, access and refresh tokens, API tokens, WebSocket tickets. The session row is the
 * authority; access tokens are checked in memory (signature, revocations, the user's epoch), so that no request needs a query. */
#pragma once
#include "core/crypto/crypto.h"
#include "core/rbac/rbac.h"

struct identity;
struct identity_conf {
    const char *issuer;     /* iss of access tokens: the public URL */
    int64_t access_seconds; /* lifetime of an access token */
    int64_t refresh_idle_hours, refresh_absolute_days;
    int64_t login_per_ip;           /* attempts per minute */
    int64_t login_per_account;      /* attempts per 15 minutes */
    const char *bootstrap_password; /* NULL = random, printed once */
    bool dev_mode;                  /* adds the demo users */
};
struct identity *identity_new(struct pg *db, const struct keyring *keys, struct rbac *rbac,
                              const struct identity_conf *conf);
void identity_free(struct identity *id);
/** YIELDS. Signing keys, first administrator (prints the password once to `announce`), demo users in dev mode. */
MUST_CHECK err_t identity_start(struct identity *id, void (*announce)(const char *username, const char *password));

/** What a client gets. Texts live in `a`. */
struct login_result {
    const char *access, *refresh, *user_id, *session_id;
    int64_t expires_in;
    bool must_change_password;
};
struct login_from {
    const char *ip, *user_agent;
};
/** YIELDS. INVALID_CREDENTIALS for everything that is wrong with the pair, RATE_LIMITED (detail retryAfter, seconds), GONE for a
 * random first password that is older than half an hour. */
MUST_CHECK err_t identity_login(struct identity *id, struct arena *a, const char *name, struct str password,
                                const struct login_from *from, struct login_result *ret);
/** YIELDS. A refresh token works once; a second use within 10 s gives the same successor, later it revokes the session
 * (TOKEN_REUSED). */
MUST_CHECK err_t identity_refresh(struct identity *id, struct arena *a, const char *refresh,
                                  const struct login_from *from, struct login_result *ret);
/** YIELDS. */
MUST_CHECK err_t identity_logout(struct identity *id, const struct principal *who);
/** YIELDS. Other sessions end, the epoch moves; the calling session gets a new one (*ret), as after each change of rights. */
MUST_CHECK err_t identity_change_password(struct identity *id, struct arena *a, const struct principal *who,
                                          struct str current, struct str next, const struct login_from *from,
                                          struct login_result *ret);
/** YIELDS. Hash a password for a new or changed account after checking it. */
MUST_CHECK err_t identity_password(struct identity *id, struct arena *a, struct str password, const char *username,
                                   const char *email, char **ret_phc);

/** A bearer: an access token (no query) or an API token "dsp_..." (one query at most every 5 s). YIELDS. */
MUST_CHECK err_t identity_bearer(struct identity *id, struct arena *a, struct str token, const char *ip,
                                 struct principal **ret);
/** YIELDS. For work that was asked for earlier: who that is now, with the rights of now and the narrowing of the API token it was
 * asked for with (NULL = of a login). ERR_AUTHZ_REVOKED when the account is not active or the token not valid any more. */
MUST_CHECK err_t identity_originator(struct identity *id, struct arena *a, const char *user_id, const char *token_id,
                                     const struct principal **ret);
/** YIELDS. One use, 30 s, for the stream at `path` alone ("" = any). */
MUST_CHECK err_t identity_ticket_new(struct identity *id, struct arena *a, const struct principal *who, const char *ip,
                                     const char *path, const char **ret);
MUST_CHECK err_t identity_ticket_take(struct identity *id, struct arena *a, struct str ticket, const char *ip,
                                      const char *path, struct principal **ret);
/** Is the credential behind a live stream still good? No query. */
bool identity_still_valid(struct identity *id, const struct principal *who);

/** YIELDS. One of his own. */
MUST_CHECK err_t identity_session_revoke(struct identity *id, const struct principal *who, const char *session_id);
struct token_request {
    const char *name;
    const struct json *scopes; /* permission names; NULL or empty = all of the user's */
    const char *scope_id;      /* NULL = everywhere */
    const char *const *cidrs;
    size_t n_cidrs;
    int64_t expires_days; /* 1..365 */
};
/** YIELDS. *ret_token is shown once. A token can give at most what the caller has (INSUFFICIENT_SCOPE). */
MUST_CHECK err_t identity_token_create(struct identity *id, struct pg *tx, struct arena *a, const struct principal *who,
                                       const struct token_request *req, const char **ret_id, const char **ret_token);
MUST_CHECK err_t identity_token_revoke(struct identity *id, const struct principal *who, const char *token_id);
/** JWKS document text. */
const char *identity_jwks(struct identity *id, struct arena *a);
/** A session or token was revoked somewhere: told by rbac_on_revoked. Then `fn` of identity_on_revoked, to close streams. */
void identity_on_revoked(struct identity *id, void (*fn)(void *arg), void *arg);
