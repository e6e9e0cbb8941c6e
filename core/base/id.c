#include "core/base/id.h"
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>
#include "core/base/check.h"
#include "core/base/clock.h"

void random_bytes(void *p, size_t n) {
    char *at = p;
    while (n > 0) {
        ssize_t got = getrandom(at, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        CHECK(got > 0);
        at += got;
        n -= (size_t)got;
    }
}

/* 48 bits of Unix ms, then 74 random bits that count upwards within one millisecond by random steps (RFC 9562 6.2,
 * method 2). A wall clock set back keeps the last millisecond until it is overtaken. */
static struct {
    pthread_mutex_t lock;
    uint64_t ms;
    uint64_t hi;        /* 12 bits */
    uint64_t lo;        /* 62 bits */
    uint64_t pool[128]; /* random words for ids to come: one system call for 64 of them */
    unsigned left;
} last = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void next_value(uint64_t *ms, uint64_t *hi, uint64_t *lo) {
    uint64_t now = (uint64_t)clock_wall_ms() & 0xffffffffffffu;
    pthread_mutex_lock(&last.lock);
    if (last.left == 0) {
        random_bytes(last.pool, sizeof(last.pool));
        last.left = sizeof(last.pool) / sizeof(last.pool[0]);
    }
    last.left -= 2;
    const uint64_t *fresh = &last.pool[last.left];
    if (now > last.ms) {
        last.ms = now;
        last.hi = fresh[0] & 0x7ff; /* top bit clear: room to count */
        last.lo = fresh[1] >> 2;
    } else {
        last.lo += (fresh[0] & 0xffffffff) + 1;
        last.hi += last.lo >> 62;
        last.lo &= ((uint64_t)1 << 62) - 1;
        last.ms += last.hi >> 12;
        last.hi &= 0xfff;
    }
    *ms = last.ms;
    *hi = last.hi;
    *lo = last.lo;
    pthread_mutex_unlock(&last.lock);
}

struct uuid_text uuid7(void) {
    uint64_t ms, hi, lo;
    next_value(&ms, &hi, &lo);
    uint64_t words[2] = {ms << 16 | 0x7000 | hi, (uint64_t)2 << 62 | lo};
    uint8_t bytes[16];
    for (int i = 0; i < 16; i++)
        bytes[i] = (uint8_t)(words[i / 8] >> (56 - 8 * (i % 8)));
    char hex[33];
    str_to_hex(bytes, sizeof(bytes), hex);
    struct uuid_text out;
    char *o = out.z;
    for (int i = 0; i < 32; i++) {
        if (i == 8 || i == 12 || i == 16 || i == 20)
            *o++ = '-';
        *o++ = hex[i];
    }
    *o = 0;
    return out;
}

char *uuid7_new(struct arena *a) {
    struct uuid_text u = uuid7();
    return arena_strndup(a, u.z, UUID_LEN);
}

bool uuid_valid(struct str s) {
    if (s.n != UUID_LEN)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        if (dash ? c != '-' : !hex)
            return false;
    }
    return true;
}

void random_base62(char *out, size_t n) {
    static const char abc[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    uint8_t pool[64];
    size_t have = 0;
    for (size_t i = 0; i < n;) {
        if (have == 0) {
            random_bytes(pool, sizeof(pool));
            have = sizeof(pool);
        }
        uint8_t b = pool[--have] & 63; /* 62 and 63 are thrown away: a modulo would favour some characters */
        if (b < 62)
            out[i++] = abc[b];
    }
    mem_wipe(pool, sizeof(pool));
    out[n] = 0;
}
