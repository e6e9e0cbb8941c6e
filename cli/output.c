#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "cli/cli.h"
#include "core/compose/yaml.h"

bool colors_on(void) {
    const char *no = getenv("NO_COLOR");
    return isatty(STDOUT_FILENO) && (no == NULL || *no == '\0');
}

const struct json *json_dotted(const struct json *j, const char *path) {
    struct str rest = str_of(path), key;
    while (j && str_cut(&rest, '.', &key)) {
        ptrdiff_t open = str_find_chr(key, '[');
        struct str name = open >= 0 ? str_slice(key, 0, (size_t)open) : key;
        if (name.n)
            j = json_getn(j, name);
        if (open < 0)
            continue;
        int64_t i;
        if (str_to_i64(str_slice(key, (size_t)open + 1, key.n - 1), 0, 1000000, &i) != NULL)
            return NULL;
        j = json_at(j, (size_t)i);
    }
    return j;
}

const char *json_cell(struct arena *a, const struct json *j) {
    if (j == NULL || json_is(j, JSON_NULL))
        return "-";
    if (json_is(j, JSON_STRING))
        return json_str(j);
    if (!json_is(j, JSON_ARRAY))
        return json_to_text(a, j);
    const char *out = "";
    for (size_t i = 0; i < json_len(j); i++)
        out = arena_printf(a, "%s%s%s", out, i ? "," : "", json_cell(a, json_at(j, i)));
    return out;
}

/* Text from a server never reaches the terminal with control characters in it. */
static void put_clean(const char *s) {
    for (const unsigned char *p = (const unsigned char *)s; *p; p++)
        (void)putchar(*p < 0x20 || *p == 0x7f ? ' ' : *p);
}

static size_t width(const char *s) {
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static const char *color_of(const char *cell) {
    static const char *const good[] = {"Synced", "Healthy", "online", "running", "succeeded", "ok"};
    static const char *const bad[] = {"OutOfSync", "Degraded", "Missing", "unreachable",
                                      "failed",    "error",    "exited",  "dead"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        if (z_eq(cell, good[i]))
            return "\033[32m";
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (z_eq(cell, bad[i]))
            return "\033[31m";
    return NULL;
}

static void put_cell(const char *cell, size_t pad, bool colors) {
    const char *color = colors ? color_of(cell) : NULL;
    if (color)
        (void)fputs(color, stdout);
    put_clean(cell);
    if (color)
        (void)fputs("\033[0m", stdout);
    for (size_t w = width(cell); w < pad; w++)
        (void)putchar(' ');
}

static void table(struct arena *a, const struct json *items, const struct column *columns, size_t n, bool wide) {
    size_t widths[32] = {0}, last = 0;
    bool colors = colors_on();
    for (size_t c = 0; c < n; c++) {
        if (columns[c].wide && !wide)
            continue;
        last = c;
        widths[c] = strlen(columns[c].title);
        for (size_t i = 0; i < json_len(items); i++) {
            size_t w = width(json_cell(a, json_dotted(json_at(items, i), columns[c].path)));
            widths[c] = w > widths[c] ? w : widths[c];
        }
    }
    for (size_t row = 0; row <= json_len(items); row++) {
        for (size_t c = 0; c < n; c++) {
            if (columns[c].wide && !wide)
                continue;
            const char *cell =
                row ? json_cell(a, json_dotted(json_at(items, row - 1), columns[c].path)) : columns[c].title;
            put_cell(cell, c == last ? 0 : widths[c] + 2, colors && row);
        }
        (void)putchar('\n');
    }
}

static err_t write_yaml(const struct json *j) {
    AUTO_BUF b;
    buf_init(&b, KIB(4), MIB(64));
    yaml_write_json(&b, j);
    TRY(buf_check(&b));
    (void)fwrite(b.p, 1, b.n, stdout);
    return NULL;
}

static err_t write_json(const struct json *j) {
    AUTO_BUF b;
    buf_init(&b, KIB(4), MIB(64));
    json_write_pretty(&b, j, 2);
    TRY(buf_check(&b));
    (void)fwrite(b.p, 1, b.n, stdout);
    (void)putchar('\n');
    return NULL;
}

static err_t write_path(struct arena *a, const struct json *j, const char *path) {
    const struct json *v = json_dotted(j, *path == '.' ? path + 1 : path);
    if (v == NULL)
        return err_new(ERR_NOT_FOUND, "nothing at %s", path);
    (void)printf("%s\n", json_cell(a, v));
    return NULL;
}

err_t output_list(struct arena *a, const struct json *items, const struct column *columns, size_t n,
                  const char *format) {
    if (format == NULL || z_eq(format, "table") || z_eq(format, "wide")) {
        table(a, items, columns, n, z_eq(format, "wide"));
        return NULL;
    }
    for (size_t i = 0; z_eq(format, "name") && i < json_len(items); i++) {
        put_clean(json_cell(a, json_dotted(json_at(items, i), columns[0].path)));
        (void)putchar('\n');
    }
    return z_eq(format, "name") ? NULL : output_object(a, items, format);
}

err_t output_object(struct arena *a, const struct json *object, const char *format) {
    if (format == NULL || z_eq(format, "yaml"))
        return write_yaml(object);
    if (z_eq(format, "json"))
        return write_json(object);
    if (z_starts(format, "jsonpath="))
        return write_path(a, object, format + 9);
    return err_new(ERR_INVALID, "unknown output format '%s'; use table, wide, json, yaml, name or jsonpath=.a.b",
                   format);
}

err_t output_one(struct arena *a, const struct json *object, const struct column *columns, size_t n,
                 const char *format) {
    if (format && !z_eq(format, "table") && !z_eq(format, "wide") && !z_eq(format, "name"))
        return output_object(a, object, format);
    struct json *one = json_array(a);
    json_push(a, one, json_clone(a, object));
    return output_list(a, one, columns, n, format);
}

static const char *detail(err_t e, const char *key) {
    for (const struct err_detail *d = e->details; d; d = d->next)
        if (z_eq(d->key, key))
            return d->value;
    return NULL;
}

int print_error(err_t e) {
    bool colors = isatty(STDERR_FILENO) && getenv("NO_COLOR") == NULL;
    const char *code = detail(e, "code");
    (void)fprintf(stderr, "%serror:%s %s%s%s%s\n", colors ? "\033[31m" : "", colors ? "\033[0m" : "", e->message,
                  code ? " (" : "", code ? code : "", code ? ")" : "");
    if (detail(e, "file"))
        (void)fprintf(stderr, "  at %s:%s:%s\n", detail(e, "file"), detail(e, "line") ? detail(e, "line") : "0",
                      detail(e, "column") ? detail(e, "column") : "0");
    if (e->field)
        (void)fprintf(stderr, "  field %s\n", e->field);
    for (const struct err_detail *d = e->details; d; d = d->next)
        if (!z_eq(d->key, "code") && !z_eq(d->key, "file") && !z_eq(d->key, "line") && !z_eq(d->key, "column") &&
            !z_eq(d->value, ""))
            (void)fprintf(stderr, "  %s: %s\n", d->key, d->value);
    switch (e->code) {
    case ERR_INVALID:
    case ERR_BAD_REQUEST:
        return code ? EXIT_FAILED : EXIT_USAGE;
    case ERR_UNAUTHENTICATED:
        return EXIT_LOGIN;
    case ERR_NOT_FOUND:
        return EXIT_NOT_FOUND;
    case ERR_FORBIDDEN:
        return EXIT_DENIED;
    case ERR_TIMEOUT:
        return EXIT_TIMEOUT;
    default:
        return EXIT_FAILED;
    }
}
