/* Short forms of single values: bytes, durations, command lines, references, host lists. Mounts, ports and devices: specs.c. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/compose/stages.h"

#define NS INT64_C(1000000000)

static bool digit(char c) { return c >= '0' && c <= '9'; }

/** Digits with an optional fraction at the start of *s. */
static bool cut_number(struct str *s, double *ret) {
    size_t n = 0;
    while (n < s->n && digit(s->p[n]))
        n++;
    size_t whole = n;
    if (n < s->n && s->p[n] == '.') {
        n++;
        while (n < s->n && digit(s->p[n]))
            n++;
    }
    if (n == 0 || (whole == 0 && n == 1) || n > 40)
        return false;
    char num[48];
    memcpy(num, s->p, n);
    num[n] = '\0';
    *ret = strtod(num, NULL);
    *s = str_slice(*s, n, s->n);
    return true;
}

err_t compose_parse_bytes(struct str s, int64_t *ret) {
    static const char units[] = "kmgtp";
    struct str rest = str_trim(s);
    bool minus = rest.n > 0 && rest.p[0] == '-';
    if (minus)
        rest = str_slice(rest, 1, rest.n);
    int64_t exact;
    if (str_to_i64(rest, 0, INT64_MAX, &exact) == NULL) {
        *ret = minus ? -exact : exact;
        return NULL;
    }
    double v, factor = 1;
    bool ok = cut_number(&rest, &v);
    if (ok && rest.n > 0 && rest.p[0] == ' ')
        rest = str_slice(rest, 1, rest.n);
    if (ok && rest.n > 0) {
        char c = (char)(rest.p[0] | 0x20);
        const char *u = c != '\0' ? strchr(units, c) : NULL;
        for (const char *p = units; u != NULL && p <= u; p++)
            factor *= 1024;
        if (u != NULL)
            rest = str_slice(rest, 1, rest.n);
        if (u != NULL && rest.n > 0 && (rest.p[0] | 0x20) == 'i')
            rest = str_slice(rest, 1, rest.n);
        if (rest.n > 0 && (rest.p[0] | 0x20) == 'b')
            rest = str_slice(rest, 1, rest.n);
    }
    if (!ok || rest.n > 0 || v * factor >= 9.2e18)
        return y_hint(err_new(ERR_INVALID, "invalid size: \"%.*s\"", STR_ARG(s)),
                      "write a number of bytes or a unit: 64m, 1.5g");
    *ret = (int64_t)(v * factor) * (minus ? -1 : 1);
    return NULL;
}

err_t compose_parse_duration(struct str s, int64_t *ret) {
    static const struct {
        const char *unit;
        double ns;
    } units[] = {{"ns", 1},  {"us", 1e3}, {"\xc2\xb5s", 1e3}, {"\xce\xbcs", 1e3}, {"ms", 1e6},
                 {"s", 1e9}, {"m", 60e9}, {"h", 3600e9},      {"d", 86400e9},     {"w", 7 * 86400e9}};
    struct str rest = s;
    bool minus = rest.n > 0 && (rest.p[0] == '-' || rest.p[0] == '+') && rest.p[0] == '-';
    if (rest.n > 0 && (rest.p[0] == '-' || rest.p[0] == '+'))
        rest = str_slice(rest, 1, rest.n);
    double total = 0;
    bool ok = rest.n > 0;
    if (str_eqz(rest, "0"))
        rest.n = 0;
    while (ok && rest.n > 0) {
        double v;
        ok = cut_number(&rest, &v);
        size_t hit = ARRAY_LEN(units), len = 0;
        for (size_t i = 0; ok && i < ARRAY_LEN(units); i++) {
            struct str u = str_of(units[i].unit);
            if (u.n > len && str_starts(rest, u)) {
                hit = i;
                len = u.n;
            }
        }
        ok = ok && hit < ARRAY_LEN(units);
        if (ok) {
            total += v * units[hit].ns;
            rest = str_slice(rest, len, rest.n);
        }
    }
    if (!ok || total >= 9.2e18)
        return y_hint(err_new(ERR_INVALID, "invalid duration: \"%.*s\"", STR_ARG(s)),
                      "write it with a unit: 10s, 1m30s");
    *ret = (int64_t)llround(total) * (minus ? -1 : 1);
    return NULL;
}

/** "1.5" without trailing zeros: v in units of 10^digits. */
static char *fraction(struct arena *a, uint64_t v, uint64_t unit, const char *suffix) {
    uint64_t whole = v / unit, rest = v % unit;
    if (rest == 0)
        return arena_printf(a, "%llu%s", (unsigned long long)whole, suffix);
    char digits[24];
    int width = 0;
    for (uint64_t u = unit; u > 1; u /= 10)
        width++;
    int n = snprintf(digits, sizeof(digits), "%0*llu", width, (unsigned long long)rest);
    while (n > 0 && digits[n - 1] == '0')
        digits[--n] = '\0';
    return arena_printf(a, "%llu.%s%s", (unsigned long long)whole, digits, suffix);
}

char *compose_format_duration(struct arena *a, int64_t ns) {
    if (ns == 0)
        return arena_strdup(a, "0s");
    const char *sign = ns < 0 ? "-" : "";
    uint64_t v = ns < 0 ? (uint64_t)0 - (uint64_t)ns : (uint64_t)ns;
    if (v < 1000)
        return arena_printf(a, "%s%lluns", sign, (unsigned long long)v);
    if (v < 1000000)
        return arena_printf(a, "%s%s", sign, fraction(a, v, 1000, "\xc2\xb5s"));
    if (v < (uint64_t)NS)
        return arena_printf(a, "%s%s", sign, fraction(a, v, 1000000, "ms"));
    uint64_t minutes = v / (uint64_t)NS / 60;
    char *sec = fraction(a, v % (60 * (uint64_t)NS), (uint64_t)NS, "s");
    if (minutes == 0)
        return arena_printf(a, "%s%s", sign, sec);
    if (minutes < 60)
        return arena_printf(a, "%s%llum%s", sign, (unsigned long long)minutes, sec);
    return arena_printf(a, "%s%lluh%llum%s", sign, (unsigned long long)(minutes / 60),
                        (unsigned long long)(minutes % 60), sec);
}

bool compose_parse_bool(struct str s, bool *ret) {
    static const char *const yes[] = {"true", "yes", "on", "y", "1", "t"}, *const no[] = {"false", "no", "off",
                                                                                          "n",     "0",  "f"};
    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        if (str_eq_nocase(s, str_of(yes[i])) || str_eq_nocase(s, str_of(no[i]))) {
            *ret = str_eq_nocase(s, str_of(yes[i]));
            return true;
        }
    }
    return false;
}

/* ---- command lines ---- */

struct words {
    struct arena *a;
    VEC(const char *) v;
    char *buf;
    size_t n;
    bool got;
};

static void word_end(struct words *w) {
    if (!w->got)
        return;
    *vec_push(w->a, &w->v) = arena_strndup(w->a, w->buf, w->n);
    w->n = 0;
    w->got = false;
}

static void word_char(struct words *w, char c) {
    w->buf[w->n++] = c;
    w->got = true;
}

static char escaped_char(char c) { return (char)(c == 'n' ? '\n' : c == 't' ? '\t' : c); }

err_t compose_shell_words(struct arena *a, struct str s, struct compose_strs *ret) {
    struct words w = {.a = a, .buf = arena_alloc(a, s.n + 1, 1)};
    char quote = '\0';
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '\\' && quote != '\'') {
            if (++i == s.n)
                return err_new(ERR_INVALID, "invalid command line string: it ends with a backslash");
            word_char(&w, escaped_char(s.p[i]));
        } else if (quote != '\0' && c == quote) {
            quote = '\0';
        } else if (quote == '\0' && (c == '\'' || c == '"')) {
            quote = c;
            w.got = true;
        } else if (quote == '\0' && (c == ' ' || c == '\t' || c == '\n' || c == '\r')) {
            word_end(&w);
        } else {
            word_char(&w, c);
        }
    }
    if (quote != '\0')
        return y_hint(err_new(ERR_INVALID, "invalid command line string: a quote is not closed"),
                      "use the list form: [\"cmd\", \"arg\"]");
    word_end(&w);
    size_t n = w.v.n;
    *vec_push(a, &w.v) = NULL;
    *ret = (struct compose_strs){.v = w.v.v, .n = n, .set = true};
    return NULL;
}

/* ---- hosts ---- */

err_t compose_parse_host(struct arena *a, struct str s, struct y_node *list, const struct y_node *at,
                         const char *path) {
    ptrdiff_t cut = str_find_chr(s, '=');
    if (cut < 0)
        cut = str_find_chr(s, ':');
    if (cut < 0)
        return y_hint(y_error(ERR_INVALID, at, path, "invalid additional host, missing IP: %.*s", STR_ARG(s)),
                      "write host=address");
    struct str host = str_slice(s, 0, (size_t)cut), ips = str_slice(s, (size_t)cut + 1, s.n), ip;
    if (host.n == 0 || str_find_chr(host, ':') >= 0)
        return y_error(ERR_INVALID, at, path, "bad host name '%.*s'", STR_ARG(host));
    while (str_cut(&ips, ',', &ip)) {
        if (ip.n > 2 && ip.p[0] == '[' && ip.p[ip.n - 1] == ']')
            ip = str_slice(ip, 1, ip.n - 1);
        y_push(a, list, y_new_str(a, arena_printf(a, "%.*s=%.*s", STR_ARG(host), STR_ARG(ip)), at));
    }
    return NULL;
}

static int cmp_strings(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

err_t compose_hosts_list(struct arena *a, const struct y_node *hosts, struct compose_strs *ret) {
    struct y_node *list = y_new(a, Y_SEQ, hosts);
    for (size_t i = 0; i < y_len(hosts); i++)
        TRY(compose_parse_host(a, hosts->seq.v[i]->text, list, hosts->seq.v[i], NULL));
    size_t n = y_len(list);
    *ret = (struct compose_strs){.v = arena_new_array(a, const char *, n + 1), .n = n, .set = true};
    for (size_t i = 0; i < n; i++)
        ret->v[i] = list->seq.v[i]->text.p;
    if (n > 1)
        qsort(ret->v, n, sizeof(*ret->v), cmp_strings);
    return NULL;
}

/* ---- images and pull policies ---- */

char *compose_image_with_digest(struct arena *a, const char *image, const char *digest) {
    struct str name = str_of(image);
    ptrdiff_t at = str_find_chr(name, '@');
    bool digested = at >= 0;
    if (digested)
        name = str_slice(name, 0, (size_t)at);
    ptrdiff_t slash = -1, colon = -1;
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] == '/')
            slash = (ptrdiff_t)i;
        else if (name.p[i] == ':')
            colon = (ptrdiff_t)i;
    }
    struct str tag = STR("latest");
    if (colon > slash) {
        tag = str_slice(name, (size_t)colon + 1, name.n);
        name = str_slice(name, 0, (size_t)colon);
    }
    ptrdiff_t first = str_find_chr(name, '/');
    struct str domain = str_slice(name, 0, first < 0 ? 0 : (size_t)first);
    bool has_domain = str_find_chr(domain, '.') >= 0 || str_find_chr(domain, ':') >= 0 || str_eqz(domain, "localhost");
    const char *prefix = has_domain ? "" : first < 0 ? "docker.io/library/" : "docker.io/";
    if (digested)
        return arena_printf(a, "%s%.*s@%s", prefix, STR_ARG(name), digest);
    return arena_printf(a, "%s%.*s:%.*s@%s", prefix, STR_ARG(name), STR_ARG(tag), digest);
}

err_t compose_parse_pull_policy(struct arena *a, const char *s, const char **ret_policy, int64_t *ret_seconds) {
    static const char *const plain[] = {"always", "never", "missing", "if_not_present", "build", "refresh"};
    int64_t ns = 0;
    bool refresh = true;
    if (z_eq(s, "daily"))
        ns = 86400 * NS;
    else if (z_eq(s, "weekly"))
        ns = 7 * (86400 * NS);
    else if (z_starts(s, "every_")) {
        err_t e = compose_parse_duration(str_of(s + 6), &ns);
        if (e != NULL || ns <= 0)
            return err_new(ERR_INVALID, "invalid pull_policy \"%s\": a duration such as every_12h is expected", s);
    } else {
        refresh = false;
        for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
            if (z_eq(s, plain[i])) {
                *ret_policy = arena_strdup(a, s);
                *ret_seconds = 0;
                return NULL;
            }
        }
    }
    if (!refresh)
        return y_hint(err_new(ERR_INVALID, "invalid pull_policy \"%s\"", s),
                      "one of always, never, missing, if_not_present, build, daily, weekly, every_<duration>");
    *ret_policy = "refresh";
    *ret_seconds = ns / NS;
    return NULL;
}
