/* Private to core/identity. */
#pragma once
#include "core/async/fiber.h"
#include "core/async/wait.h"
#include "core/base/check.h"
#include "core/base/id.h"
#include "core/base/map.h"
#include "core/crypto/jwt.h"
#include "core/identity/identity.h"

#define MAX_KEYS 8
#define FIRST_PASSWORD_S 1800 /* life of the random first password */
#define TYP_ACCESS "at+jwt"
#define AUDIENCE "dockflow-api"

struct signing_key {
    char kid[40];
    struct ed25519_key key;
};
struct cached_token;
struct identity {
    struct pg *db;
    const struct keyring *keys;
    struct rbac *rbac;
    struct identity_conf conf;
    struct arena *a;                      /* of conf texts */
    struct signing_key signing[MAX_KEYS]; /* newest first: that one signs */
    size_t n_signing;
    struct map revoked;    /* id of a session or API token -> wall ms until which what it gave could still be alive */
    struct map tokens;     /* hash hex + ip -> struct cached_token */
    struct map access;     /* SHA-256 of a verified access token -> struct cached_token */
    struct fiber *watcher; /* asks the database what was revoked: after a gap in the notifications, and as a backstop */
    struct cond wake;
    bool gap;
    void (*on_revoked)(void *arg);
    void *on_revoked_arg;
};
struct account {
    const char *id, *username, *email, *phc;
    bool active, must_change, over; /* over: a first password that nobody changed in time */
    int64_t epoch;
};
MUST_CHECK err_t keys_load(struct identity *id);
MUST_CHECK err_t account_by_login(struct identity *id, struct arena *a, const char *name, struct account *ret);
MUST_CHECK err_t account_by_id(struct identity *id, struct arena *a, const char *user_id, struct account *ret);
/** YIELDS. New session row for an account. */
MUST_CHECK err_t session_open(struct identity *id, struct arena *a, const struct account *u,
                              const struct login_from *from, struct login_result *ret);
const char *access_token(struct identity *id, struct arena *a, const struct account *u, const char *session_id);
const char *hash_text(struct arena *a, const char *token); /* sha256 as bytea text */
/** Of a session or API token. */
void revoked_add(struct identity *id, const char *credential_id);
MUST_CHECK err_t throttle(struct identity *id, struct arena *a, const char *key, int64_t limit, int64_t window_s);
MUST_CHECK err_t api_token_check(struct identity *id, struct arena *a, struct str token, const char *ip,
                                 struct principal **ret);
void api_tokens_forget(struct identity *id);
void access_tokens_forget(struct identity *id); /* the keys they were checked with have changed */
