#include <openssl/curve25519.h>
#include <openssl/digest.h>
#include <openssl/hkdf.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include "core/base/check.h"
#include "core/base/id.h"
#include "core/crypto/crypto.h"

void crypto_sha256(struct str data, uint8_t out[32]) { (void)SHA256((const uint8_t *)data.p, data.n, out); }

void crypto_hmac_sha256(struct str key, struct str data, uint8_t out[32]) {
    unsigned n = 32;
    CHECK(HMAC(EVP_sha256(), key.p, key.n, (const uint8_t *)data.p, data.n, out, &n) != NULL && n == 32);
}

void crypto_hkdf(struct str secret, struct str salt, const char *info, uint8_t *out, size_t n) {
    CHECK(HKDF(out, n, EVP_sha256(), (const uint8_t *)secret.p, secret.n, (const uint8_t *)salt.p, salt.n,
               (const uint8_t *)info, strlen(info)) == 1);
}

void ed25519_from_seed(const uint8_t seed[32], struct ed25519_key *ret) {
    ED25519_keypair_from_seed(ret->public, ret->private, seed);
}

void ed25519_new(struct ed25519_key *ret) {
    uint8_t seed[32];
    random_bytes(seed, sizeof(seed));
    ed25519_from_seed(seed, ret);
    mem_wipe(seed, sizeof(seed));
}

void ed25519_sign(const struct ed25519_key *k, struct str data, uint8_t out[64]) {
    CHECK(ED25519_sign(out, (const uint8_t *)data.p, data.n, k->private) == 1);
}

bool ed25519_verify(const uint8_t public[32], struct str data, struct str signature) {
    return signature.n == 64 &&
           ED25519_verify((const uint8_t *)data.p, data.n, (const uint8_t *)signature.p, public) == 1;
}

const char *bytea_text(struct arena *a, struct str bytes) {
    char *out = arena_alloc(a, 2 * bytes.n + 3, 1);
    out[0] = '\\';
    out[1] = 'x';
    str_to_hex((const uint8_t *)bytes.p, bytes.n, out + 2);
    return out;
}

err_t bytea_parse(struct arena *a, const char *text, struct str *ret) {
    struct str s = str_of(text);
    if (!str_starts(s, STR("\\x")) || s.n % 2 != 0)
        return err_new(ERR_INTERNAL, "malformed bytea value");
    uint8_t *out = arena_alloc(a, s.n / 2 + 1, 1);
    if (!str_from_hex(str_slice(s, 2, s.n), out))
        return err_new(ERR_INTERNAL, "malformed bytea value");
    *ret = str_n((const char *)out, s.n / 2 - 1);
    return NULL;
}
