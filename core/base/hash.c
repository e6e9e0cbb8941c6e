/* SipHash-1-3 with a random key per process: table positions cannot be guessed from outside (hash flooding). */
#include <pthread.h>
#include <string.h>
#include "core/base/id.h"
#include "core/base/str.h"

static uint64_t key[2];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void seed(void) { random_bytes(key, sizeof(key)); }

static uint64_t rotl(uint64_t x, int b) { return x << b | x >> (64 - b); }

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline void round_(struct sip *s) {
    s->v0 += s->v1;
    s->v1 = rotl(s->v1, 13) ^ s->v0;
    s->v0 = rotl(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotl(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotl(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotl(s->v1, 17) ^ s->v2;
    s->v2 = rotl(s->v2, 32);
}

uint64_t hash_bytes(const void *p, size_t n) {
    pthread_once(&once, seed);
    struct sip s = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du, key[0] ^ 0x6c7967656e657261u,
                    key[1] ^ 0x7465646279746573u};
    const unsigned char *at = p;
    size_t left = n;
    for (; left >= 8; left -= 8, at += 8) {
        uint64_t m;
        memcpy(&m, at, 8);
        s.v3 ^= m;
        round_(&s);
        s.v0 ^= m;
    }
    uint64_t last = (uint64_t)n << 56;
    for (size_t i = 0; i < left; i++)
        last |= (uint64_t)at[i] << (8 * i);
    s.v3 ^= last;
    round_(&s);
    s.v0 ^= last;
    s.v2 ^= 0xff;
    for (int i = 0; i < 3; i++)
        round_(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
