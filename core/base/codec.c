/* Text encodings of bytes: hex, base64, percent. Decoders accept one spelling only. */
#include <string.h>
#include "core/base/check.h"
#include "core/base/str.h"

static const char hex_digits[] = "0123456789abcdef";

bool str_to_hex(const uint8_t *in, size_t n, char *out) {
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = hex_digits[in[i] >> 4];
        out[2 * i + 1] = hex_digits[in[i] & 15];
    }
    out[2 * n] = 0;
    return true;
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool str_from_hex(struct str s, uint8_t *out) {
    if (s.n % 2 != 0)
        return false;
    for (size_t i = 0; i < s.n; i++) /* all of it first: a refused text leaves `out` alone */
        if (hex_value(s.p[i]) < 0)
            return false;
    for (size_t i = 0; i < s.n; i += 2)
        out[i / 2] = (uint8_t)(hex_value(s.p[i]) << 4 | hex_value(s.p[i + 1]));
    return true;
}

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char alphabet_url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static char *encode64(struct arena *a, const uint8_t *in, size_t n, const char *abc, bool pad) {
    CHECK(n < SIZE_MAX / 2);
    char *out = arena_alloc(a, (n + 2) / 3 * 4 + 1, 1), *o = out;
    size_t i = 0;
    for (; i + 2 < n; i += 3) {
        uint32_t v = (uint32_t)in[i] << 16 | (uint32_t)in[i + 1] << 8 | in[i + 2];
        *o++ = abc[v >> 18];
        *o++ = abc[v >> 12 & 63];
        *o++ = abc[v >> 6 & 63];
        *o++ = abc[v & 63];
    }
    if (i < n) {
        uint32_t v = (uint32_t)in[i] << 16 | (i + 1 < n ? (uint32_t)in[i + 1] << 8 : 0);
        *o++ = abc[v >> 18];
        *o++ = abc[v >> 12 & 63];
        if (i + 1 < n)
            *o++ = abc[v >> 6 & 63];
        else if (pad)
            *o++ = '=';
        if (pad)
            *o++ = '=';
    }
    *o = 0;
    return out;
}

char *base64_encode(struct arena *a, const void *in, size_t n) { return encode64(a, in, n, alphabet, true); }
char *base64url_encode(struct arena *a, const void *in, size_t n) { return encode64(a, in, n, alphabet_url, false); }

static int value64(char c, bool url) {
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == (url ? '-' : '+'))
        return 62;
    if (c == (url ? '_' : '/'))
        return 63;
    return -1;
}

static bool decode64(struct arena *a, struct str s, bool url, struct str *ret) {
    size_t n = s.n, rest = n % 4;
    if (rest == 1)
        return false;
    char *out = arena_alloc(a, n / 4 * 3 + 3, 1), *o = out;
    uint32_t v = 0;
    for (size_t i = 0; i < n; i++) {
        int d = value64(s.p[i], url);
        if (d < 0)
            return false;
        v = v << 6 | (uint32_t)d;
        if (i % 4 == 3) {
            *o++ = (char)(v >> 16);
            *o++ = (char)(v >> 8);
            *o++ = (char)v;
            v = 0;
        }
    }
    /* bits beyond the last whole byte must be zero, else two texts would mean the same bytes */
    if (rest == 2) {
        if ((v & 15) != 0)
            return false;
        *o++ = (char)(v >> 4);
    } else if (rest == 3) {
        if ((v & 3) != 0)
            return false;
        *o++ = (char)(v >> 10);
        *o++ = (char)(v >> 2);
    }
    *o = 0;
    *ret = str_n(out, (size_t)(o - out));
    return true;
}

bool base64_decode(struct arena *a, struct str s, struct str *ret) {
    if (s.n % 4 != 0)
        return false;
    if (s.n > 0 && s.p[s.n - 1] == '=')
        s.n -= s.p[s.n - 2] == '=' ? 2 : 1;
    return decode64(a, s, false, ret);
}

bool base64url_decode(struct arena *a, struct str s, struct str *ret) { return decode64(a, s, true, ret); }

bool url_decode(struct arena *a, struct str s, bool plus_is_space, struct str *ret) {
    char *out = arena_alloc(a, s.n + 1, 1), *o = out;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '%') {
            if (s.n - i < 3)
                return false;
            int hi = hex_value(s.p[i + 1]), lo = hex_value(s.p[i + 2]);
            if (hi < 0 || lo < 0)
                return false;
            c = (char)(hi << 4 | lo);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        *o++ = c;
    }
    *o = 0;
    *ret = str_n(out, (size_t)(o - out));
    return true;
}

static bool unreserved(unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

char *url_encode(struct arena *a, struct str s) {
    CHECK(s.n < SIZE_MAX / 4);
    char *out = arena_alloc(a, s.n * 3 + 1, 1), *o = out;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (unreserved(c)) {
            *o++ = (char)c;
            continue;
        }
        *o++ = '%';
        *o++ = "0123456789ABCDEF"[c >> 4];
        *o++ = "0123456789ABCDEF"[c & 15];
    }
    *o = 0;
    return out;
}
