/* The one user of BoringSSL's primitives outside of TLS. Pure functions over bytes unless a comment says YIELDS. */
#pragma once
#include "core/base/err.h"
#include "core/base/str.h"

void crypto_sha256(struct str data, uint8_t out[32]);
void crypto_hmac_sha256(struct str key, struct str data, uint8_t out[32]);
/** RFC 5869 with SHA-256; n <= 8160. */
void crypto_hkdf(struct str secret, struct str salt, const char *info, uint8_t *out, size_t n);

/** The root of every secret of one installation and what is derived from it. Key bytes live outside of arenas and are wiped. */
struct keyring;
/** Root key: `secret` (>= 32 bytes, from the configuration) or, when NULL, <data_dir>/keys/root.key (0600), made on first use.
 * ERR_CONFIG: too short, wrong mode or size of the file, directory not writable; the message names the path. Blocking file
 * access: boot time only. */
MUST_CHECK err_t keyring_open(const char *data_dir, const char *secret, struct keyring **ret);
void keyring_free(struct keyring *k);
/** 32-byte key for one purpose ("jwt", "audit", "cursor", "pepper", "ticket", ...): HKDF label. */
void keyring_derive(const struct keyring *k, const char *purpose, uint8_t out[32]);

/** Sealed blobs: AES-256-GCM-SIV (RFC 8452) under a key of the ring, random 96-bit nonce, AAD = length-prefixed (format, key id,
 * table, column, row id): a blob moved to another row, column or table does not open. Layout: "DFS1" | key id (4, big endian)
 * | nonce (12) | ciphertext | tag (16). */
struct seal_place {
    const char *table, *column, *row_id;
};
struct str seal(struct arena *a, const struct keyring *k, const struct seal_place *at, struct str plain);
/** ERR_INTERNAL "sealed value does not open" for anything that was changed or moved. The result is wiped with the arena. */
MUST_CHECK err_t unseal(struct arena *a, const struct keyring *k, const struct seal_place *at, struct str blob,
                        struct str *ret);

/** Ed25519 (RFC 8032). */
struct ed25519_key {
    uint8_t public[32], private[64];
};
void ed25519_new(struct ed25519_key *ret);
void ed25519_from_seed(const uint8_t seed[32], struct ed25519_key *ret);
void ed25519_sign(const struct ed25519_key *k, struct str data, uint8_t out[64]);
bool ed25519_verify(const uint8_t public[32], struct str data, struct str signature);

/** Password hashes: Argon2id t=2 m=64 MiB p=1 over HMAC(pepper, password), PHC string. YIELDS: runs in the hash lane;
 * ERR_BUSY when its queue is full. */
MUST_CHECK err_t password_hash(struct arena *a, const struct keyring *k, struct str password, uint64_t deadline,
                               char **ret);
/** *ret_ok false for a wrong password. `phc` NULL hashes against a dummy, so that an unknown user takes as long. */
MUST_CHECK err_t password_verify(const struct keyring *k, struct str password, const char *phc, uint64_t deadline,
                                 bool *ret_ok);
/** 12..256 bytes, no NUL, not in the list of common ones, not the user's own names: ERR_WEAK_PASSWORD with the reason. */
MUST_CHECK err_t password_check(struct str password, const char *username, const char *email);

/** bytea in PostgreSQL's text form "\x...". */
const char *bytea_text(struct arena *a, struct str bytes);
MUST_CHECK err_t bytea_parse(struct arena *a, const char *text, struct str *ret);
