/* JSON Web Tokens (RFC 7519, 8725, 9068) signed with Ed25519. The algorithm comes from our key, never from the token. */
#pragma once
#include "core/base/json.h"
#include "core/crypto/crypto.h"

#define JWT_MAX 4096
#define JWT_LEEWAY_S 30

/** header {"alg":"EdDSA","typ":typ,"kid":kid} + claims. */
char *jwt_sign(struct arena *a, const struct ed25519_key *key, const char *kid, const char *typ,
               const struct json *claims);

struct jwt_key {
    const char *kid;
    const uint8_t *public; /* 32 bytes */
};
struct jwt_expect {
    const struct jwt_key *keys;
    size_t n_keys;
    const char *typ, *iss, *aud;
    int64_t now_s;
};
/** Checks form, algorithm, key id, signature, typ, iss, aud, exp (required), nbf, iat. ERR_TOKEN_EXPIRED only for an otherwise
 * valid token; else ERR_TOKEN_INVALID. */
MUST_CHECK err_t jwt_verify(struct arena *a, struct str token, const struct jwt_expect *want, struct json **ret_claims);
/** {"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid","x"} (RFC 8037). */
struct json *jwk_ed25519(struct arena *a, const char *kid, const uint8_t public[32]);
