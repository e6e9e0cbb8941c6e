#include "core/base/clock.h"
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "core/base/check.h"

static const struct clock_ops *_Atomic ops;

void clock_set_ops(const struct clock_ops *o) { atomic_store(&ops, o); }

uint64_t clock_mono_us(void) {
    const struct clock_ops *o = atomic_load_explicit(&ops, memory_order_acquire);
    if (o != NULL && o->mono_ms != NULL)
        return o->mono_ms() * 1000;
    struct timespec ts;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &ts) == 0);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t clock_mono_ms(void) { return clock_mono_us() / 1000; }

int64_t clock_wall_us(void) {
    const struct clock_ops *o = atomic_load_explicit(&ops, memory_order_acquire);
    if (o != NULL && o->wall_us != NULL)
        return o->wall_us();
    struct timespec ts;
    CHECK(clock_gettime(CLOCK_REALTIME, &ts) == 0);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t clock_wall_ms(void) { return clock_wall_us() / 1000; }

/* Proleptic Gregorian calendar; years counted from March so that the leap day comes last. */
static int64_t days_from_civil(int64_t y, int m, int d) {
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400, yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void civil_from_days(int64_t z, int *y, int *m, int *d) {
    z += 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097, doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    *d = (int)(doy - (153 * mp + 2) / 5 + 1);
    *m = (int)(mp < 10 ? mp + 3 : mp - 9);
    *y = (int)(yoe + era * 400 + (*m <= 2));
}

#define YEAR_0000_MS (-62167219200000LL)
#define YEAR_9999_MS 253402300799999LL

static char *put_digits(char *p, int v, int width) {
    for (int i = width - 1; i >= 0; i--, v /= 10)
        p[i] = (char)('0' + v % 10);
    return p + width;
}

char *time_rfc3339(char out[TIME_RFC3339_LEN], int64_t ms) {
    /* the form has four digits for the year */
    ms = ms < YEAR_0000_MS ? YEAR_0000_MS : ms > YEAR_9999_MS ? YEAR_9999_MS : ms;
    int64_t days = ms / 86400000, rest = ms % 86400000;
    if (rest < 0) {
        rest += 86400000;
        days--;
    }
    int y, m, d;
    civil_from_days(days, &y, &m, &d);
    char *p = put_digits(out, y, 4);
    *p++ = '-';
    p = put_digits(p, m, 2);
    *p++ = '-';
    p = put_digits(p, d, 2);
    *p++ = 'T';
    p = put_digits(p, (int)(rest / 3600000), 2);
    *p++ = ':';
    p = put_digits(p, (int)(rest / 60000 % 60), 2);
    *p++ = ':';
    p = put_digits(p, (int)(rest / 1000 % 60), 2);
    *p++ = '.';
    p = put_digits(p, (int)(rest % 1000), 3);
    *p++ = 'Z';
    *p = 0;
    return out;
}

/* Exactly `width` digits at *at, in [min, max]. */
static bool take(struct str s, size_t *at, int width, int min, int max, int *ret) {
    int v = 0;
    if (s.n - *at < (size_t)width)
        return false;
    for (int i = 0; i < width; i++) {
        char c = s.p[(*at)++];
        if (c < '0' || c > '9')
            return false;
        v = v * 10 + (c - '0');
    }
    *ret = v;
    return v >= min && v <= max;
}

static bool take_chr(struct str s, size_t *at, const char *any) {
    if (*at >= s.n || s.p[*at] == 0 || strchr(any, s.p[*at]) == NULL)
        return false;
    (*at)++;
    return true;
}

static bool take_date(struct str s, size_t *at, int64_t *ret_days) {
    static const int len[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int y, m, d;
    if (!take(s, at, 4, 0, 9999, &y) || !take_chr(s, at, "-") || !take(s, at, 2, 1, 12, &m) || !take_chr(s, at, "-") ||
        !take(s, at, 2, 1, 31, &d))
        return false;
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    if (d > len[m - 1] + (m == 2 && leap))
        return false;
    *ret_days = days_from_civil(y, m, d);
    return true;
}

static bool take_offset(struct str s, size_t *at, int64_t *ret_seconds) {
    if (take_chr(s, at, "Zz")) {
        *ret_seconds = 0;
        return true;
    }
    bool neg = *at < s.n && s.p[*at] == '-';
    int h, m;
    if (!take_chr(s, at, "+-") || !take(s, at, 2, 0, 23, &h) || !take_chr(s, at, ":") || !take(s, at, 2, 0, 59, &m))
        return false;
    int64_t seconds = h * INT64_C(3600) + m * INT64_C(60);
    *ret_seconds = neg ? -seconds : seconds;
    return true;
}

err_t time_parse_rfc3339(struct str s, int64_t *ret_us) {
    size_t at = 0;
    int64_t days = 0, offset = 0, us = 0;
    int h = 0, m = 0, sec = 0;
    bool ok = take_date(s, &at, &days) && take_chr(s, &at, "Tt ") && take(s, &at, 2, 0, 23, &h) &&
              take_chr(s, &at, ":") && take(s, &at, 2, 0, 59, &m) && take_chr(s, &at, ":") &&
              take(s, &at, 2, 0, 60, &sec); /* 60: a leap second counts as the next second */
    if (ok && take_chr(s, &at, ".")) {
        size_t start = at;
        for (int64_t unit = 100000; at < s.n && s.p[at] >= '0' && s.p[at] <= '9'; at++, unit /= 10)
            us += (s.p[at] - '0') * unit; /* digits below a microsecond are dropped */
        ok = at > start;
    }
    ok = ok && take_offset(s, &at, &offset) && at == s.n;
    if (!ok)
        return err_new(ERR_INVALID, "\"%.*s\" is not an RFC 3339 time like 2026-01-02T03:04:05Z",
                       (int)(s.n < 60 ? s.n : 60), s.n > 0 ? s.p : "");
    *ret_us = (days * 86400 + h * INT64_C(3600) + m * INT64_C(60) + sec - offset) * 1000000 + us;
    return NULL;
}

static const struct {
    const char *name;
    int64_t ns;
} units[] = {{"ns", 1},       {"us", 1000},      {"\xc2\xb5s", 1000}, {"\xce\xbcs", 1000},
             {"ms", 1000000}, {"s", 1000000000}, {"m", 60000000000},  {"h", 3600000000000}};

static bool take_unit(struct str s, size_t *at, int64_t *ret) {
    size_t end = *at;
    while (end < s.n && s.p[end] != '.' && (s.p[end] < '0' || s.p[end] > '9'))
        end++;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (str_eqz(str_slice(s, *at, end), units[i].name)) {
            *ret = units[i].ns;
            *at = end;
            return true;
        }
    }
    return false;
}

/* One "<number><unit>", added to *sum (kept negative: INT64_MIN has no positive twin). */
static bool take_term(struct str s, size_t *at, int64_t *sum) {
    size_t start = *at, digits = 0;
    int64_t whole = 0, frac = 0, scale = 1, unit;
    for (; *at < s.n && s.p[*at] >= '0' && s.p[*at] <= '9'; (*at)++, digits++)
        if (__builtin_mul_overflow(whole, (int64_t)10, &whole) ||
            __builtin_sub_overflow(whole, (int64_t)(s.p[*at] - '0'), &whole))
            return false;
    if (*at < s.n && s.p[*at] == '.') {
        for ((*at)++; *at < s.n && s.p[*at] >= '0' && s.p[*at] <= '9'; (*at)++, digits++) {
            if (scale > 100000000000000000) /* more digits than a nanosecond of an hour can show */
                continue;
            frac = frac * 10 + (s.p[*at] - '0');
            scale *= 10;
        }
    }
    if (digits == 0 || *at == start || !take_unit(s, at, &unit))
        return false;
    int64_t part;
    return !__builtin_mul_overflow(whole, unit, &part) && !__builtin_add_overflow(*sum, part, sum) &&
           !__builtin_sub_overflow(*sum, (int64_t)((__int128)frac * unit / scale), sum);
}

err_t duration_parse(struct str s, int64_t *ret_ns) {
    size_t at = 0;
    bool neg = s.n > 0 && s.p[0] == '-';
    if (take_chr(s, &at, "+-") && at == s.n)
        at = s.n + 1;
    int64_t sum = 0;
    bool ok = at < s.n;
    if (!(ok && str_eqz(str_slice(s, at, s.n), "0")))
        while (ok && at < s.n)
            ok = take_term(s, &at, &sum);
    if (!ok || (!neg && sum == INT64_MIN))
        return err_new(ERR_INVALID, "\"%.*s\" is not a duration like 1h2m3.5s or 300ms", (int)(s.n < 60 ? s.n : 60),
                       s.n > 0 ? s.p : "");
    *ret_ns = neg ? sum : -sum;
    return NULL;
}

/* Digits of v/10^places without trailing zeros, written backwards from p. */
static char *frac_back(char *p, uint64_t *v, int places) {
    bool print = false;
    for (int i = 0; i < places; i++, *v /= 10) {
        print = print || *v % 10 != 0;
        if (print)
            *--p = (char)('0' + *v % 10);
    }
    if (print)
        *--p = '.';
    return p;
}

static char *int_back(char *p, uint64_t v) {
    do
        *--p = (char)('0' + v % 10);
    while ((v /= 10) > 0);
    return p;
}

char *duration_format(struct arena *a, int64_t ns) {
    char text[40], *end = text + sizeof(text), *p = end;
    uint64_t v = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    if (v == 0)
        return arena_strdup(a, "0s");
    *--p = 's';
    if (v < 1000000000) { /* one unit, the largest that keeps a digit before the point */
        int places = v < 1000 ? 0 : v < 1000000 ? 3 : 6;
        if (places == 3) {
            *--p = '\xb5';
            *--p = '\xc2';
        } else {
            *--p = places == 0 ? 'n' : 'm';
        }
        p = frac_back(p, &v, places);
        p = int_back(p, v);
    } else {
        p = frac_back(p, &v, 9);
        p = int_back(p, v % 60);
        v /= 60;
        if (v > 0) {
            *--p = 'm';
            p = int_back(p, v % 60);
            v /= 60;
        }
        if (v > 0) {
            *--p = 'h';
            p = int_back(p, v);
        }
    }
    if (ns < 0)
        *--p = '-';
    return arena_strndup(a, p, (size_t)(end - p));
}
