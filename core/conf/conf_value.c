/* The types of settings: reading, writing, comparing, copying. */
#include <string.h>
#include "core/base/check.h"
#include "core/conf/conf_schema.h"

static void *slot(struct conf *c, const struct conf_key *k) { return (char *)c + k->offset; }
static const void *slot_of(const struct conf *c, const struct conf_key *k) { return (const char *)c + k->offset; }

static const struct {
    const char *suffix;
    int shift;
} sizes[] = {{"TiB", 40}, {"GiB", 30}, {"MiB", 20}, {"KiB", 10}, {"t", 40}, {"g", 30}, {"m", 20}, {"k", 10}, {"B", 0}};

static char *size_text(struct arena *a, int64_t v) {
    for (size_t i = 0; i < 4; i++)
        if (v != 0 && (v & (((int64_t)1 << sizes[i].shift) - 1)) == 0)
            return arena_printf(a, "%lld%s", (long long)(v >> sizes[i].shift), sizes[i].suffix);
    return arena_printf(a, "%lld", (long long)v);
}

static err_t set_size(const struct conf_key *k, struct str s, int64_t *ret) {
    int shift = 0;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct str suffix = str_of(sizes[i].suffix);
        if (s.n > suffix.n && str_eq_nocase(str_slice(s, s.n - suffix.n, s.n), suffix)) {
            shift = sizes[i].shift;
            s = str_trim(str_slice(s, 0, s.n - suffix.n));
            break;
        }
    }
    int64_t v = 0;
    err_t e = str_to_i64(s, 0, INT64_MAX >> shift, &v);
    struct arena *a = arena_current();
    if (e != NULL || v << shift < k->min || v << shift > k->max)
        return err_new(ERR_CONFIG, "a size from %s to %s is expected, like 8MiB or 1048576", size_text(a, k->min),
                       size_text(a, k->max));
    *ret = v << shift;
    return NULL;
}

static err_t set_bool(struct str s, bool *ret) {
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (str_eq_nocase(s, str_of(words[i]))) {
            *ret = i % 2 == 1;
            return NULL;
        }
    }
    return err_new(ERR_CONFIG, "true or false is expected");
}

static err_t set_level(struct arena *a, struct str s, int64_t *ret) {
    enum log_level level;
    if (!log_level_parse(str_z(a, s), &level))
        return err_new(ERR_CONFIG, "DEBUG, INFO, WARNING, ERROR or CRITICAL is expected");
    *ret = (int64_t)level;
    return NULL;
}

static err_t check_text(const struct conf_key *k, struct str s) {
    if (str_find_chr(s, 0) >= 0 || !str_is_utf8(s))
        return err_new(ERR_CONFIG, "the text must be UTF-8 without NUL");
    return s.n > 0 && k->check != NULL ? k->check(s) : NULL;
}

err_t conf_value_set_list(struct arena *a, struct conf *c, const struct conf_key *k, const struct str *items,
                          size_t n) {
    CHECK(k->type == CONF_LIST);
    if (n > 256)
        return err_new(ERR_CONFIG, "at most 256 items are accepted");
    const char **v = arena_new_array(a, const char *, n);
    for (size_t i = 0; i < n; i++) {
        if (items[i].n == 0)
            return err_new(ERR_CONFIG, "an item is empty");
        err_t e = check_text(k, items[i]);
        if (e != NULL)
            return err_new(ERR_CONFIG, "\"%.*s\": %s", STR_ARG(items[i]), e->message);
        v[i] = str_z(a, items[i]);
    }
    *(struct conf_list *)slot(c, k) = (struct conf_list){v, n};
    return NULL;
}

static err_t set_list_text(struct arena *a, struct conf *c, const struct conf_key *k, struct str text) {
    VEC(struct str) items = {0};
    struct str part;
    while (text.n > 0 && str_cut(&text, ',', &part))
        *vec_push(a, &items) = str_trim(part);
    return conf_value_set_list(a, c, k, items.v, items.n);
}

err_t conf_value_set(struct arena *a, struct conf *c, const struct conf_key *k, struct str text) {
    int64_t v = 0;
    switch (k->type) {
    case CONF_TEXT:
        TRY(check_text(k, text));
        *(const char **)slot(c, k) = str_z(a, text);
        return NULL;
    case CONF_INT:
        if (str_to_i64(text, k->min, k->max, &v) != NULL)
            return err_new(ERR_CONFIG, "a whole number from %lld to %lld is expected", (long long)k->min,
                           (long long)k->max);
        *(int64_t *)slot(c, k) = v;
        return NULL;
    case CONF_SIZE:
        return set_size(k, text, slot(c, k));
    case CONF_BOOL:
        return set_bool(text, slot(c, k));
    case CONF_LEVEL:
        return set_level(a, text, slot(c, k));
    case CONF_LIST:
        return set_list_text(a, c, k, text);
    }
    return NULL;
}

static char *list_text(struct arena *a, const struct conf_list *l) {
    AUTO_BUF b;
    buf_init(&b, 0, MIB(1));
    for (size_t i = 0; i < l->n; i++) {
        if (i > 0)
            buf_puts(&b, ",");
        buf_puts(&b, l->v[i]);
    }
    return arena_strndup(a, b.p, b.n);
}

char *conf_value_text(struct arena *a, const struct conf *c, const struct conf_key *k) {
    const void *p = slot_of(c, k);
    switch (k->type) {
    case CONF_TEXT:
        return arena_strdup(a, *(const char *const *)p);
    case CONF_INT:
        return arena_printf(a, "%lld", (long long)*(const int64_t *)p);
    case CONF_SIZE:
        return size_text(a, *(const int64_t *)p);
    case CONF_BOOL:
        return arena_strdup(a, *(const bool *)p ? "true" : "false");
    case CONF_LEVEL:
        return arena_strdup(a, log_level_name((enum log_level) * (const int64_t *)p));
    case CONF_LIST:
        return list_text(a, p);
    }
    return NULL;
}

void conf_value_copy(struct arena *a, struct conf *to, const struct conf *from, const struct conf_key *k) {
    const void *p = slot_of(from, k);
    if (k->type == CONF_TEXT) {
        *(const char **)slot(to, k) = arena_strdup(a, *(const char *const *)p);
    } else if (k->type == CONF_BOOL) {
        *(bool *)slot(to, k) = *(const bool *)p;
    } else if (k->type == CONF_LIST) {
        const struct conf_list *l = p;
        const char **v = arena_new_array(a, const char *, l->n);
        for (size_t i = 0; i < l->n; i++)
            v[i] = arena_strdup(a, l->v[i]);
        *(struct conf_list *)slot(to, k) = (struct conf_list){v, l->n};
    } else {
        *(int64_t *)slot(to, k) = *(const int64_t *)p;
    }
}
