#include "server/path.h"

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool is_unreserved(unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

static bool forbidden_raw(unsigned char c) { return c <= 0x20 || c >= 0x7f || c == '\\' || c == ';'; }

static bool forbidden_decoded(unsigned char c) { return c < 0x20 || c == 0x7f || c == '/' || c == '\\' || c == ';'; }

static err_t bad_path(const char *why) { return err_new(ERR_BAD_PATH, "the path is not canonical: %s", why); }

static err_t check_segment(struct str seg) {
    if (seg.n == 0)
        return bad_path("empty segment or trailing slash");
    if (str_eqz(seg, ".") || str_eqz(seg, ".."))
        return bad_path("dot segment");
    return NULL;
}

/* Nothing to decode and no segment that needs a second look: what nearly every path is */
static const bool NOT_PLAIN[256] = {
    [0 ... 0x20] = true, [0x7f ... 0xff] = true, ['\\'] = true, [';'] = true, ['%'] = true};

static bool is_plain(struct str raw) {
    char before = 0;
    for (size_t i = 0; i < raw.n; i++) {
        char c = raw.p[i];
        if (NOT_PLAIN[(unsigned char)c] || (before == '/' && (c == '/' || c == '.')))
            return false;
        before = c;
    }
    return before != '/';
}

err_t path_canonical(struct arena *a, struct str raw, struct str *ret) {
    if (raw.n == 0 || raw.p[0] != '/')
        return bad_path("it does not start with a slash");
    if (raw.n > PATH_MAX_BYTES)
        return err_new(ERR_URI_TOO_LONG, "the path is longer than %d bytes", PATH_MAX_BYTES);
    if (is_plain(raw)) {
        *ret = str_dup(a, raw);
        return NULL;
    }
    char *out = arena_alloc(a, raw.n + 1, 1);
    size_t n = 0, seg = 1;
    for (size_t i = 0; i < raw.n; i++) {
        unsigned char c = (unsigned char)raw.p[i];
        if (forbidden_raw(c))
            return bad_path("forbidden byte");
        if (c == '%') {
            int hi = i + 2 < raw.n ? hex_digit(raw.p[i + 1]) : -1;
            int lo = i + 2 < raw.n ? hex_digit(raw.p[i + 2]) : -1;
            if (hi < 0 || lo < 0)
                return bad_path("broken percent escape");
            c = (unsigned char)(hi << 4 | lo);
            if (is_unreserved(c) || forbidden_decoded(c))
                return bad_path("needless or forbidden percent escape");
            i += 2;
        } else if (c == '/' && i > 0) {
            TRY(check_segment(str_n(out + seg, n - seg)));
            seg = n + 1;
        }
        out[n++] = (char)c;
    }
    out[n] = '\0';
    if (n > 1)
        TRY(check_segment(str_n(out + seg, n - seg)));
    if (!str_is_utf8(str_n(out, n)))
        return bad_path("not UTF-8");
    *ret = str_n(out, n);
    return NULL;
}

static err_t decode_part(struct arena *a, struct str part, const char **ret) {
    struct str s;
    if (!url_decode(a, part, true, &s))
        return err_new(ERR_BAD_ENCODING, "broken percent escape in the query string");
    if (!str_is_utf8(s))
        return err_new(ERR_BAD_ENCODING, "the query string is not UTF-8");
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 && s.p[i] != '\t' && s.p[i] != '\n' && s.p[i] != '\r')
            return err_new(ERR_BAD_ENCODING, "control byte in the query string");
    *ret = str_z(a, s);
    return NULL;
}

err_t query_parse(struct arena *a, struct str raw, struct query_param **ret, size_t *ret_n) {
    *ret = NULL;
    *ret_n = 0;
    if (raw.n == 0)
        return NULL;
    struct query_param *v = arena_new_array(a, struct query_param, QUERY_MAX_PARAMS);
    size_t n = 0;
    struct str part;
    while (str_cut(&raw, '&', &part)) {
        if (part.n == 0)
            continue;
        if (n == QUERY_MAX_PARAMS)
            return err_new(ERR_BAD_REQUEST, "more than %d query parameters", QUERY_MAX_PARAMS);
        ptrdiff_t eq = str_find_chr(part, '=');
        struct str name = eq < 0 ? part : str_n(part.p, (size_t)eq);
        struct str value = eq < 0 ? str_n("", 0) : str_slice(part, (size_t)eq + 1, part.n);
        if (value.n > (size_t)QUERY_MAX_VALUE * 3 || name.n > 128)
            return err_new(ERR_BAD_REQUEST, "a query parameter is longer than %d bytes", QUERY_MAX_VALUE);
        TRY(decode_part(a, name, &v[n].name));
        TRY(decode_part(a, value, &v[n].value));
        if (strlen(v[n].value) > QUERY_MAX_VALUE)
            return err_field(
                err_new(ERR_BAD_REQUEST, "query parameter \"%s\" is longer than %d bytes", v[n].name, QUERY_MAX_VALUE),
                v[n].name);
        for (size_t i = 0; i < n; i++)
            if (z_eq(v[i].name, v[n].name))
                return err_field(err_new(ERR_BAD_REQUEST, "query parameter \"%s\" is given twice", v[n].name),
                                 v[n].name);
        n++;
    }
    *ret = v;
    *ret_n = n;
    return NULL;
}
