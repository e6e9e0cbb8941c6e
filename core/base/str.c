#include "core/base/str.h"
#include <string.h>
#include "core/base/check.h"

char *str_z(struct arena *a, struct str s) { return arena_strndup(a, s.p, s.n); }
struct str str_dup(struct arena *a, struct str s) {
    return str_n(arena_strndup(a, s.p, s.n), s.n);
}

bool str_eq(struct str a, struct str b) { return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0); }
bool str_eqz(struct str a, const char *z) { return z != NULL && str_eq(a, str_of(z)); }

static unsigned char lower(char c) {
    unsigned char u = (unsigned char)c;
    return u >= 'A' && u <= 'Z' ? (unsigned char)(u + 32) : u;
}

bool str_eq_nocase(struct str a, struct str b) {
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    return true;
}

int str_cmp(struct str a, struct str b) {
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n == 0 ? 0 : memcmp(a.p, b.p, n);
    return c != 0 ? c : a.n < b.n ? -1 : a.n > b.n;
}

bool str_starts(struct str s, struct str prefix) {
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

bool str_ends(struct str s, struct str suffix) {
    return s.n >= suffix.n && (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

bool z_eq(const char *a, const char *b) { return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0); }
bool z_starts(const char *s, const char *prefix) {
    return s != NULL && prefix != NULL && str_starts(str_of(s), str_of(prefix));
}
bool z_ends(const char *s, const char *suffix) {
    return s != NULL && suffix != NULL && str_ends(str_of(s), str_of(suffix));
}

ptrdiff_t str_find(struct str s, struct str needle) {
    if (needle.n == 0)
        return 0;
    if (s.n < needle.n)
        return -1;
    const char *at = memmem(s.p, s.n, needle.p, needle.n);
    return at == NULL ? -1 : at - s.p;
}

ptrdiff_t str_find_chr(struct str s, char c) {
    const char *at = s.n == 0 ? NULL : memchr(s.p, c, s.n);
    return at == NULL ? -1 : at - s.p;
}

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

struct str str_trim(struct str s) {
    while (s.n > 0 && is_space(s.p[0]))
        s.p++, s.n--;
    while (s.n > 0 && is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

struct str str_slice(struct str s, size_t from, size_t to) {
    if (to > s.n)
        to = s.n;
    if (from > to)
        from = to;
    return from == 0 ? str_n(s.p, to) : str_n(s.p + from, to - from);
}

bool str_cut(struct str *rest, char sep, struct str *ret_part) {
    /* p == NULL marks the end, so that "a," gives "a" and "" but an exhausted range gives nothing */
    if (rest->p == NULL)
        return false;
    ptrdiff_t at = str_find_chr(*rest, sep);
    if (at < 0) {
        *ret_part = *rest;
        *rest = (struct str){NULL, 0};
        return true;
    }
    *ret_part = str_n(rest->p, (size_t)at);
    *rest = str_n(rest->p + at + 1, rest->n - (size_t)at - 1);
    return true;
}

char *str_lower(struct arena *a, struct str s) {
    char *out = arena_strndup(a, s.p, s.n);
    for (size_t i = 0; i < s.n; i++)
        out[i] = (char)lower(out[i]);
    return out;
}

err_t str_to_i64(struct str s, int64_t min, int64_t max, int64_t *ret) {
    size_t i = s.n > 0 && s.p[0] == '-' ? 1 : 0;
    bool neg = i == 1, ok = i < s.n;
    int64_t v = 0;
    for (; ok && i < s.n; i++) {
        int digit = s.p[i] - '0';
        ok = digit >= 0 && digit <= 9 && !__builtin_mul_overflow(v, (int64_t)10, &v) &&
             !__builtin_add_overflow(v, neg ? -digit : digit, &v);
    }
    if (!ok || v < min || v > max)
        return err_new(ERR_INVALID, "\"%.*s\" is not an integer from %lld to %lld", (int)(s.n < 40 ? s.n : 40),
                       s.n > 0 ? s.p : "", (long long)min, (long long)max);
    *ret = v;
    return NULL;
}

/* Bytes of the character of more than one byte at p; 0: it is none. */
static size_t utf8_sequence(const unsigned char *p, const unsigned char *end) {
    unsigned char c = *p;
    int more = c >= 0xc2 && c <= 0xdf ? 1 : c >= 0xe0 && c <= 0xef ? 2 : c >= 0xf0 && c <= 0xf4 ? 3 : 0;
    if (more == 0 || end - p <= more)
        return 0;
    /* the second byte rules out overlong forms, surrogates and what lies above U+10FFFF */
    unsigned lo = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    unsigned hi = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < lo || p[1] > hi)
        return 0;
    for (int i = 2; i <= more; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return (size_t)more + 1;
}

size_t str_utf8_prefix(struct str s) {
    const unsigned char *p = (const unsigned char *)s.p, *end = p + s.n;
    while (p < end) {
        if (end - p >= 8) {
            uint64_t w;
            memcpy(&w, p, 8);
            if ((w & 0x8080808080808080u) == 0) {
                p += 8;
                continue;
            }
        }
        unsigned char c = *p;
        if (c < 0x80) {
            p++;
            continue;
        }
        size_t n = utf8_sequence(p, end);
        if (n == 0)
            break;
        p += n;
    }
    return (size_t)((const char *)p - s.p);
}

bool str_is_utf8(struct str s) { return str_utf8_prefix(s) == s.n; }

bool mem_eq_ct(const void *a, const void *b, size_t n) {
    const volatile unsigned char *x = a, *y = b;
    unsigned char diff = 0;
    for (size_t i = 0; i < n; i++)
        diff |= (unsigned char)(x[i] ^ y[i]);
    return diff == 0;
}

void mem_wipe(void *p, size_t n) {
    if (n > 0)
        explicit_bzero(p, n);
}
