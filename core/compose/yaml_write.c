/* JSON as block YAML that every YAML 1.1 and 1.2 reader understands the same way. */
#include "core/compose/yaml.h"

/** Would a reader of any version take this plain text for something else than this string? */
static bool needs_quotes(struct str s) {
    static const char *const words[] = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"};
    if (s.n == 0 || s.p[0] == ' ' || s.p[s.n - 1] == ' ' ||
        strchr("-?:,[]{}#&*!|>'\"%@`~=<.+0123456789", s.p[0]) != NULL)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (str_eq_nocase(s, str_of(words[i])))
            return true;
    }
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < 0x20 || c >= 0x7f || c == '#' || c == '"' || c == '\\' ||
            (c == ':' && (i + 1 == s.n || s.p[i + 1] == ' ')))
            return true;
    }
    return false;
}

/** Characters that YAML does not allow as themselves, in UTF-8: *len bytes and their code point; 0 when all is well. */
static unsigned forbidden(struct str s, size_t *len) {
    const unsigned char *p = (const unsigned char *)s.p;
    *len = 1;
    if (p[0] < 0x20 || p[0] == 0x7f)
        return p[0] == 0 ? 0x100000 : p[0];
    if (s.n >= 2 && p[0] == 0xc2 && p[1] < 0xa0) {
        *len = 2;
        return p[1];
    }
    bool special = s.n >= 3 && p[0] == 0xef && ((p[1] == 0xbb && p[2] == 0xbf) || (p[1] == 0xbf && p[2] >= 0xbe));
    special = special || (s.n >= 3 && p[0] == 0xe2 && p[1] == 0x80 &&
                          (p[2] == 0xa8 || p[2] == 0xa9)); /* line breaks of YAML 1.1 */
    *len = 3;
    return special ? (unsigned)((p[0] & 0xf) << 12 | (p[1] & 0x3f) << 6 | (p[2] & 0x3f)) : 0;
}

static void put_quoted(struct buf *b, struct str s) {
    buf_putc(b, '"');
    while (s.n > 0) {
        size_t len;
        unsigned c = forbidden(s, &len);
        if (c == 0) {
            if (s.p[0] == '"' || s.p[0] == '\\')
                buf_putc(b, '\\');
            buf_putc(b, s.p[0]);
            len = 1;
        } else if (c == '\n' || c == '\t') {
            buf_puts(b, c == '\n' ? "\\n" : "\\t");
        } else {
            buf_putf(b, "\\u%04x", c & 0xffff);
        }
        s = str_slice(s, len, s.n);
    }
    buf_putc(b, '"');
}

static void put_string(struct buf *b, struct str s) {
    if (needs_quotes(s))
        put_quoted(b, s);
    else
        buf_put(b, s.p, s.n);
}

static void indent_to(struct buf *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        buf_puts(b, "  ");
}

/** Several lines with a final newline read best as a literal block; anything a block cannot hold exactly is quoted. */
static bool fits_block(struct str s) {
    if (s.n < 2 || s.p[s.n - 1] != '\n' || s.p[s.n - 2] == '\n' || s.p[0] == ' ' || s.p[0] == '\n')
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c < 0x20 && c != '\n') || c >= 0x7f)
            return false;
    }
    return true;
}

static void put_block(struct buf *b, struct str s, size_t depth) {
    struct str line;
    buf_puts(b, "|\n");
    s = str_slice(s, 0, s.n - 1);
    while (str_cut(&s, '\n', &line)) {
        if (line.n > 0)
            indent_to(b, depth);
        buf_put(b, line.p, line.n);
        buf_putc(b, '\n');
    }
}

static void put_value(struct buf *b, const struct json *j, size_t depth);

static void put_members(struct buf *b, const struct json *j, size_t depth, bool first_inline) {
    for (size_t i = 0; i < j->obj.n; i++) {
        if (i > 0 || !first_inline)
            indent_to(b, depth);
        put_string(b, j->obj.v[i].key);
        buf_putc(b, ':');
        put_value(b, j->obj.v[i].value, depth);
    }
}

static void put_items(struct buf *b, const struct json *j, size_t depth) {
    for (size_t i = 0; i < j->arr.n; i++) {
        const struct json *v = j->arr.v[i];
        indent_to(b, depth);
        buf_putc(b, '-');
        if (json_is(v, JSON_OBJECT) && json_len(v) > 0) {
            buf_putc(b, ' ');
            put_members(b, v, depth + 1, true);
        } else {
            put_value(b, v, depth);
        }
    }
}

/** What stands behind "key:" or "-", with its newline. */
static void put_value(struct buf *b, const struct json *j, size_t depth) {
    if (json_is(j, JSON_OBJECT) && json_len(j) > 0) {
        buf_putc(b, '\n');
        put_members(b, j, depth + 1, false);
        return;
    }
    if (json_is(j, JSON_ARRAY) && json_len(j) > 0) {
        buf_putc(b, '\n');
        put_items(b, j, depth + 1);
        return;
    }
    buf_putc(b, ' ');
    if (json_is(j, JSON_STRING) && fits_block(j->s)) {
        put_block(b, j->s, depth + 1);
        return;
    }
    if (json_is(j, JSON_STRING))
        put_string(b, j->s);
    else
        json_write(b, j);
    buf_putc(b, '\n');
}

void yaml_write_json(struct buf *b, const struct json *j) {
    if (json_is(j, JSON_OBJECT) && json_len(j) > 0) {
        put_members(b, j, 0, false);
    } else if (json_is(j, JSON_ARRAY) && json_len(j) > 0) {
        put_items(b, j, 0);
    } else {
        put_value(b, j, 0);
    }
}
