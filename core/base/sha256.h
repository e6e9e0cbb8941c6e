/* SHA-256 (FIPS 180-4) for content identity in code that must not depend on a TLS library; not for secrets or MACs
 * (core/crypto has those). */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "core/base/arena.h"
struct sha256 {
    uint32_t h[8];
    uint64_t len;
    uint8_t block[64];
    size_t fill;
};
void sha256_init(struct sha256 *s);
void sha256_update(struct sha256 *s, const void *p, size_t n);
void sha256_final(struct sha256 *s, uint8_t out[32]);
/** Lower-case hex of one buffer, in the arena. */
char *sha256_hex(struct arena *a, const void *p, size_t n);
