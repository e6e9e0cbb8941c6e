#include <stdio.h>

#include "core/compose/stages.h"

struct lines {
    struct compose_cx *cx;
    const char *file;
    struct str rest;
    unsigned line;
    const struct compose_env *env;
    struct map *vars;
};

static err_t fail(const struct lines *l, unsigned line, const char *msg) {
    char no[16];
    snprintf(no, sizeof(no), "%u", line);
    err_t e = l->file != NULL ? err_new(ERR_INVALID, "%s: line %s: %s", l->file, no, msg)
                              : err_new(ERR_INVALID, "line %s: %s", no, msg);
    if (l->file != NULL)
        e = err_detail(e, "file", l->file);
    return err_detail_json(e, "line", no);
}

static void advance(struct lines *l, size_t n) {
    for (size_t i = 0; i < n; i++)
        l->line += l->rest.p[i] == '\n';
    l->rest = str_slice(l->rest, n, l->rest.n);
}

static bool blank(char c) { return c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == '\r'; }

static void skip_blanks(struct lines *l) {
    size_t n = 0;
    while (n < l->rest.n && blank(l->rest.p[n]))
        n++;
    advance(l, n);
}

static void skip_line(struct lines *l) {
    ptrdiff_t nl = str_find_chr(l->rest, '\n');
    advance(l, nl < 0 ? l->rest.n : (size_t)nl + 1);
}

/** To the next statement; false at the end. */
static bool next_statement(struct lines *l) {
    for (;;) {
        size_t n = 0;
        while (n < l->rest.n && (blank(l->rest.p[n]) || l->rest.p[n] == '\n'))
            n++;
        advance(l, n);
        if (l->rest.n == 0)
            return false;
        if (l->rest.p[0] != '#')
            return true;
        skip_line(l);
    }
}

static bool key_char(unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
           c == '-' || c == '[' || c == ']' || c >= 0x80;
}

static struct str trim_right(struct str s) {
    while (s.n > 0 && blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

/** Key and whether a value follows; the reader stands behind the separator or the line. */
static err_t read_key(struct lines *l, struct str *ret_key, bool *ret_value) {
    if (str_starts(l->rest, STR("export")) && l->rest.n > 6 && (l->rest.p[6] == ' ' || l->rest.p[6] == '\t')) {
        advance(l, 6);
        skip_blanks(l);
    }
    ptrdiff_t nl = str_find_chr(l->rest, '\n');
    struct str line = str_slice(l->rest, 0, nl < 0 ? l->rest.n : (size_t)nl);
    size_t n = 0;
    while (n < line.n && (key_char((unsigned char)line.p[n]) || blank(line.p[n])))
        n++;
    char sep = (char)(n < line.n ? line.p[n] : '\n');
    if (sep != '=' && sep != ':' && sep != '\n') {
        char *msg = arena_printf(l->cx->a, "unexpected character \"%c\" in variable name \"%.*s\"", sep,
                                 STR_ARG(trim_right(line)));
        return fail(l, l->line, msg);
    }
    struct str key = trim_right(str_slice(line, 0, n));
    for (size_t i = 0; i < key.n; i++) {
        if (blank(key.p[i]))
            return fail(l, l->line, "key cannot contain a space");
    }
    if (key.n == 0)
        return fail(l, l->line, "variable name is missing");
    *ret_key = str_dup(l->cx->a, key);
    *ret_value = sep != '\n';
    advance(l, sep == '\n' ? line.n : n + 1);
    return NULL;
}

static int octal(struct str s, size_t *used) {
    int v = 0;
    size_t n = 0;
    while (n < s.n && n < 4 && s.p[n] >= '0' && s.p[n] <= '7')
        v = v * 8 + (s.p[n++] - '0');
    *used = n;
    return v & 0xff;
}

/** Escapes of double quotes. `\$` becomes `$$`, which the expansion turns into a literal dollar. */
static struct str unescape(struct arena *a, struct str s) {
    static const char from[] = "abfnrtv\\\"'", to[] = "\a\b\f\n\r\t\v\\\"'";
    char *out = arena_alloc(a, s.n + 2, 1);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '\\' || i + 1 >= s.n) {
            out[n++] = s.p[i];
            continue;
        }
        char c = s.p[++i];
        const char *hit = c != '\0' && c != '\'' ? strchr(from, c) : NULL;
        size_t used = 0;
        if (hit != NULL) {
            out[n++] = to[hit - from];
        } else if (c == '$') {
            out[n++] = '$';
            out[n++] = '$';
        } else if (c == '0') {
            out[n++] = (char)octal(str_slice(s, i, s.n), &used);
            i += used - 1;
        } else {
            out[n++] = '\\';
            out[n++] = c;
        }
    }
    out[n] = '\0';
    return str_n(out, n);
}

/** Variables of the caller first, then those of the files read so far. A value may be a secret: no message shows it. */
static err_t expand(struct lines *l, unsigned line, struct str s, char **ret) {
    struct compose_env files = {.vars = *l->vars}, *at;
    struct compose_env env = l->env != NULL ? *l->env : files;
    for (at = &env; l->env != NULL && at->then != NULL; at = (struct compose_env *)at->then)
        at->then = arena_memdup(l->cx->a, at->then, sizeof(*at->then));
    if (l->env != NULL)
        at->then = &files; /* last: behind everything the caller knows */
    struct str out;
    err_t e = compose_substitute(l->cx, &env, s, &out);
    if (e != NULL)
        return fail(l, line,
                    z_starts(e->message, "Invalid template") ? "invalid variable reference in the value" : e->message);
    *ret = (char *)out.p;
    return NULL;
}

static ptrdiff_t closing_quote(struct str s, char quote) {
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\\')
            i++;
        else if (s.p[i] == quote)
            return (ptrdiff_t)i;
    }
    return -1;
}

static struct str unquote_single(struct arena *a, struct str s) {
    char *out = arena_alloc(a, s.n + 1, 1);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\\' && i + 1 < s.n && s.p[i + 1] == '\'')
            i++;
        out[n++] = s.p[i];
    }
    out[n] = '\0';
    return str_n(out, n);
}

static err_t read_quoted(struct lines *l, char quote, char **ret) {
    unsigned line = l->line;
    struct str body = str_slice(l->rest, 1, l->rest.n);
    ptrdiff_t end = closing_quote(body, quote);
    if (end < 0)
        return fail(l, line, "unterminated quoted value");
    body = str_slice(body, 0, (size_t)end);
    advance(l, (size_t)end + 2);
    skip_blanks(l);
    if (l->rest.n > 0 && l->rest.p[0] == '#')
        skip_line(l);
    else if (l->rest.n > 0 && l->rest.p[0] != '\n')
        return fail(l, l->line, "unexpected text after the closing quote");
    if (quote == '"')
        return expand(l, line, unescape(l->cx->a, body), ret);
    *ret = (char *)unquote_single(l->cx->a, body).p;
    return NULL;
}

static err_t read_plain(struct lines *l, bool after_blank, char **ret) {
    unsigned line = l->line;
    ptrdiff_t nl = str_find_chr(l->rest, '\n');
    struct str v = str_slice(l->rest, 0, nl < 0 ? l->rest.n : (size_t)nl);
    advance(l, v.n);
    ptrdiff_t comment = after_blank && v.n > 0 && v.p[0] == '#' ? 0 : str_find(v, STR(" #"));
    if (comment >= 0)
        v = str_slice(v, 0, (size_t)comment);
    return expand(l, line, trim_right(v), ret);
}

static err_t read_value(struct lines *l, char **ret) {
    size_t before = l->rest.n;
    skip_blanks(l);
    char c = (char)(l->rest.n > 0 ? l->rest.p[0] : '\0');
    if (c == '"' || c == '\'')
        return read_quoted(l, c, ret);
    return read_plain(l, l->rest.n != before, ret);
}

static struct lines lines_of(struct compose_cx *cx, struct str text, const char *file, const struct compose_env *env,
                             struct map *vars) {
    if (text.n >= 3 && memcmp(text.p, "\xef\xbb\xbf", 3) == 0)
        text = str_slice(text, 3, text.n);
    return (struct lines){.cx = cx, .file = file, .rest = text, .line = 1, .env = env, .vars = vars};
}

static void inherit(const struct lines *l, struct str key) {
    const char *v = compose_env_get(l->env, str_z(l->cx->a, key));
    if (v != NULL)
        map_set(l->vars, key, arena_strdup(l->cx->a, v));
}

err_t compose_dotenv(struct compose_cx *cx, struct str text, const char *file, const struct compose_env *env,
                     struct map *vars) {
    struct lines l = lines_of(cx, text, file, env, vars);
    if (text.n > MIB(1))
        return fail(&l, 1, "the file is larger than 1 MiB");
    if (text.n > 0 && memchr(text.p, '\0', text.n) != NULL)
        return fail(&l, 1, "the file contains a NUL character");
    while (next_statement(&l)) {
        struct str key = STR("");
        bool has_value = false;
        TRY(read_key(&l, &key, &has_value));
        if (!has_value) {
            inherit(&l, key);
            continue;
        }
        char *value = NULL;
        TRY(read_value(&l, &value));
        map_set(vars, key, value);
    }
    return NULL;
}

err_t compose_dotenv_raw(struct compose_cx *cx, struct str text, const char *file, const struct compose_env *env,
                         struct map *vars) {
    struct lines l = lines_of(cx, text, file, env, vars);
    if (text.n > MIB(1))
        return fail(&l, 1, "the file is larger than 1 MiB");
    struct str line;
    for (; str_cut(&l.rest, '\n', &line); l.line++) {
        while (line.n > 0 && blank(line.p[0]))
            line = str_slice(line, 1, line.n);
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        if (line.n == 0 || line.p[0] == '#')
            continue;
        ptrdiff_t eq = str_find_chr(line, '=');
        struct str key = eq < 0 ? trim_right(line) : str_slice(line, 0, (size_t)eq);
        for (size_t i = 0; i < key.n; i++) {
            if (blank(key.p[i]))
                return fail(&l, l.line, "key cannot contain a space");
        }
        if (key.n == 0)
            return fail(&l, l.line, "variable name is missing");
        if (eq < 0)
            inherit(&l, key);
        else
            map_set(vars, key, str_z(cx->a, str_slice(line, (size_t)eq + 1, line.n)));
    }
    return NULL;
}
