#include "server/schema.h"
#include "core/base/check.h"
#include "core/base/clock.h"
#include "core/base/id.h"
#include "core/base/map.h"

enum { POINTER_MAX = 512, DEPTH_MAX = 64 };

static struct {
    struct arena *a;
    struct json *all; /* name -> schema */
} S;

static const char REF_PREFIX[] = "#/components/schemas/";

static const char *const KEYWORDS[] = {
    "type", "properties", "required", "additionalProperties", "enum", "const", "minLength", "maxLength", "minimum",
    "maximum", "items", "minItems", "maxItems", "uniqueItems", "format", "$ref", "minProperties", "maxProperties",
    "propertyNames", "anyOf",
    /* annotations */
    "title", "description", "examples", "default", "readOnly", "writeOnly", "deprecated", NULL};
static const char *const FORMATS[] = {"uuid",     "name",  "uri",   "email",    "date-time", "path",
                                      "one-line", "label", "int64", "duration", "env-name",  NULL};

static bool in_list(const char *const *list, const char *z) {
    for (; *list != NULL; list++)
        if (z_eq(*list, z))
            return true;
    return false;
}

/* ---- registry ---- */

/* A typing mistake in a schema must not silently admit everything. */
static void check_schema(const struct json *s, bool final) {
    if (json_is(s, JSON_BOOL))
        return;
    CHECK(json_is(s, JSON_OBJECT));
    for (size_t i = 0; i < s->obj.n; i++) {
        const char *key = s->obj.v[i].key.p;
        const struct json *v = s->obj.v[i].value;
        CHECK(in_list(KEYWORDS, key));
        if (z_eq(key, "properties")) {
            for (size_t k = 0; k < v->obj.n; k++)
                check_schema(v->obj.v[k].value, final);
        } else if (z_eq(key, "anyOf")) {
            CHECK(json_is(v, JSON_ARRAY) && json_len(v) > 0);
            for (size_t k = 0; k < v->arr.n; k++)
                check_schema(v->arr.v[k], final);
        } else if (z_eq(key, "items") || z_eq(key, "additionalProperties") || z_eq(key, "propertyNames")) {
            check_schema(v, final);
        } else if (z_eq(key, "format")) {
            CHECK(in_list(FORMATS, json_str(v)));
        } else if (z_eq(key, "$ref")) {
            CHECK(z_starts(json_str(v), REF_PREFIX));
            CHECK(!final || schema_get(json_str(v) + sizeof(REF_PREFIX) - 1) != NULL);
        }
    }
}

void schema_register(const char *name, struct str text) {
    if (S.a == NULL) {
        S.a = arena_new("schemas", 0);
        S.all = json_object(S.a);
    }
    struct json *s;
    CHECK(json_parse(S.a, text, NULL, &s) == NULL);
    CHECK(json_get(S.all, name) == NULL);
    check_schema(s, false);
    json_set(S.a, S.all, name, s);
}

void schema_register_embedded(void) {
    for (size_t i = 0; i < embedded_schemas_count; i++)
        schema_register(embedded_schemas[i].name,
                        str_n((const char *)embedded_schemas[i].bytes, embedded_schemas[i].n));
}

void schema_seal(void) {
    for (size_t i = 0; i < json_len(S.all); i++)
        check_schema(S.all->obj.v[i].value, true);
}

const struct json *schema_get(const char *name) { return json_get(S.all, name); }
const struct json *schema_all(void) { return S.all; }

void schema_fini(void) {
    arena_unref(S.a);
    S.a = NULL;
    S.all = NULL;
}

/* ---- formats: linear scans, no regular expressions ---- */

static bool all_in(struct str s, const char *extra) {
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!alnum && (c == '\0' || strchr(extra, c) == NULL))
            return false;
    }
    return true;
}

/* [a-z0-9-]{1,63}, not starting or ending with a dash: safe as host name, label value and path segment */
static bool is_name(struct str s) {
    if (s.n == 0 || s.n > 63 || s.p[0] == '-' || s.p[s.n - 1] == '-' || !all_in(s, "-"))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] >= 'A' && s.p[i] <= 'Z')
            return false;
    return true;
}

static bool has_control(struct str s, bool newline_ok) {
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c < 0x20 && !(newline_ok && (c == '\n' || c == '\t'))) || c == 0x7f)
            return true;
    }
    return false;
}

static bool is_uri(struct str s) {
    ptrdiff_t colon = str_find(s, STR("://"));
    if (colon < 1 || (size_t)colon + 3 >= s.n || !all_in(str_n(s.p, (size_t)colon), "+-."))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= 0x20 || (unsigned char)s.p[i] == 0x7f || s.p[i] == '\\')
            return false;
    return true;
}

static bool is_email(struct str s) {
    ptrdiff_t at = str_find_chr(s, '@');
    if (at < 1 || s.n > 254 || (size_t)at + 1 >= s.n || at > 64)
        return false;
    struct str domain = str_slice(s, (size_t)at + 1, s.n);
    return all_in(str_n(s.p, (size_t)at), ".!#$%&'*+/=?^_`{|}~-") && all_in(domain, ".-") && domain.p[0] != '.' &&
           domain.p[domain.n - 1] != '.';
}

/* A relative path inside a repository: no empty, dot or dot-dot segment */
static bool is_rel_path(struct str s) {
    if (s.n == 0 || s.n > 4096 || s.p[0] == '/' || has_control(s, false) || str_find_chr(s, '\\') >= 0)
        return false;
    struct str rest = s, seg;
    while (str_cut(&rest, '/', &seg))
        if (seg.n == 0 || str_eqz(seg, "..") || (str_eqz(seg, ".") && s.n > 1))
            return false;
    return s.p[s.n - 1] != '/';
}

static bool is_env_name(struct str s) {
    return s.n > 0 && s.n <= 256 && all_in(s, "_") && !(s.p[0] >= '0' && s.p[0] <= '9');
}

static bool format_ok(const char *format, struct str s) {
    int64_t ignored;
    if (z_eq(format, "uuid"))
        return uuid_valid(s);
    if (z_eq(format, "name"))
        return is_name(s);
    if (z_eq(format, "uri"))
        return is_uri(s);
    if (z_eq(format, "email"))
        return is_email(s);
    if (z_eq(format, "date-time"))
        return time_parse_rfc3339(s, &ignored) == NULL;
    if (z_eq(format, "duration"))
        return duration_parse(s, &ignored) == NULL;
    if (z_eq(format, "path"))
        return is_rel_path(s);
    if (z_eq(format, "env-name"))
        return is_env_name(s);
    if (z_eq(format, "one-line"))
        return !has_control(s, false);
    if (z_eq(format, "label"))
        return s.n <= 63 && all_in(s, "-_./");
    return true; /* int64: the parser has no other integers */
}

/* ---- validation ---- */

struct walk {
    char pointer[POINTER_MAX];
    size_t n;
    int depth;
};

static size_t walk_push(struct walk *w, struct str key) {
    size_t old = w->n;
    if (w->n + 1 < POINTER_MAX)
        w->pointer[w->n++] = '/';
    for (size_t i = 0; i < key.n && w->n + 2 < POINTER_MAX; i++) {
        if (key.p[i] == '~' || key.p[i] == '/') {
            w->pointer[w->n++] = '~';
            w->pointer[w->n++] = key.p[i] == '~' ? '0' : '1';
        } else {
            w->pointer[w->n++] = key.p[i];
        }
    }
    return old;
}

static const char *walk_at(struct walk *w) {
    w->pointer[w->n < POINTER_MAX ? w->n : POINTER_MAX - 1] = '\0';
    return w->pointer;
}

static err_t violation(struct walk *w, const char *rule, const char *what) {
    const char *at = walk_at(w);
    err_t e = err_new(ERR_SCHEMA, "%s: %s", at[0] ? at : "the body", what);
    return err_field(err_detail(e, "rule", rule), at);
}

static const char *type_name(const struct json *v) {
    static const char *const names[] = {"null", "boolean", "integer", "number", "string", "array", "object"};
    return names[v->type];
}

static bool type_is(const struct json *v, const char *want) {
    return z_eq(type_name(v), want) || (z_eq(want, "number") && v->type == JSON_INT);
}

static err_t check_type(const struct json *type, const struct json *v, struct walk *w) {
    char text[96];
    if (json_str(type) != NULL) {
        if (type_is(v, json_str(type)))
            return NULL;
        (void)snprintf(text, sizeof(text), "expected %s, got %s", json_str(type), type_name(v));
        return violation(w, "type", text);
    }
    for (size_t i = 0; i < json_len(type); i++)
        if (type_is(v, json_str(json_at(type, i))))
            return NULL;
    (void)snprintf(text, sizeof(text), "%s is not one of the allowed types", type_name(v));
    return violation(w, "type", text);
}

/* Characters as people count them: code points. The parser has refused broken UTF-8. */
static int64_t code_points(struct str s) {
    int64_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

static err_t check_range(const struct json *s, struct walk *w, const char *lo, const char *hi, int64_t n,
                         const char *unit) {
    char text[96];
    const struct json *min = json_get(s, lo), *max = json_get(s, hi);
    if (min != NULL && n < json_int_or(min, 0)) {
        (void)snprintf(text, sizeof(text), "at least %lld%s", (long long)json_int_or(min, 0), unit);
        return violation(w, lo, text);
    }
    if (max != NULL && n > json_int_or(max, 0)) {
        (void)snprintf(text, sizeof(text), "at most %lld%s", (long long)json_int_or(max, 0), unit);
        return violation(w, hi, text);
    }
    return NULL;
}

static err_t check_enum(const struct json *s, const struct json *v, struct walk *w) {
    const struct json *list = json_get(s, "enum"), *fixed = json_get(s, "const");
    if (fixed != NULL && !json_eq(fixed, v))
        return violation(w, "const", "not the only allowed value");
    if (list == NULL)
        return NULL;
    for (size_t i = 0; i < json_len(list); i++)
        if (json_eq(json_at(list, i), v))
            return NULL;
    char text[200] = "not one of the allowed values";
    size_t n = 0;
    for (size_t i = 0; i < json_len(list) && n < sizeof(text); i++)
        if (json_str(json_at(list, i)) != NULL)
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", n ? ", " : "must be one of ",
                                  json_str(json_at(list, i)));
    return violation(w, "enum", text);
}

static err_t check_string(const struct json *s, const struct json *v, struct walk *w) {
    TRY(check_range(s, w, "minLength", "maxLength", code_points(v->s), " characters"));
    const char *format = json_get_str(s, "format");
    if (format != NULL && !format_ok(format, v->s)) {
        char text[64];
        (void)snprintf(text, sizeof(text), "not a valid %s", format);
        return violation(w, "format", text);
    }
    return NULL;
}

static err_t check_number(const struct json *s, const struct json *v, struct walk *w) {
    if (v->type == JSON_INT)
        return check_range(s, w, "minimum", "maximum", v->i, "");
    const struct json *min = json_get(s, "minimum"), *max = json_get(s, "maximum");
    if ((min != NULL && v->real.d < json_num_or(min, 0)) || (max != NULL && v->real.d > json_num_or(max, 0)))
        return violation(w, "minimum", "out of range");
    return NULL;
}

static err_t validate(const struct json *s, const struct json *v, struct walk *w);

static err_t check_array(const struct json *s, const struct json *v, struct walk *w) {
    TRY(check_range(s, w, "minItems", "maxItems", (int64_t)v->arr.n, " items"));
    const struct json *items = json_get(s, "items");
    bool unique = json_get_bool(s, "uniqueItems", false);
    for (size_t i = 0; i < v->arr.n; i++) {
        char index[24];
        int n = snprintf(index, sizeof(index), "%zu", i);
        size_t mark = walk_push(w, str_n(index, (size_t)n));
        if (items != NULL)
            TRY(validate(items, v->arr.v[i], w));
        for (size_t k = 0; unique && i < 1000 && k < i; k++)
            if (json_eq(v->arr.v[k], v->arr.v[i]))
                return violation(w, "uniqueItems", "the same item twice");
        w->n = mark;
    }
    return unique && v->arr.n > 1000 ? violation(w, "uniqueItems", "at most 1000 items") : NULL;
}

static err_t check_required(const struct json *s, const struct json *v, struct walk *w) {
    const struct json *required = json_get(s, "required");
    for (size_t i = 0; i < json_len(required); i++) {
        const char *key = json_str(json_at(required, i));
        if (json_get(v, key) != NULL)
            continue;
        walk_push(w, str_of(key));
        return err_field(err_new(ERR_MISSING_FIELD, "%s is required", walk_at(w)), walk_at(w));
    }
    return NULL;
}

static err_t check_object(const struct json *s, const struct json *v, struct walk *w) {
    TRY(check_range(s, w, "minProperties", "maxProperties", (int64_t)v->obj.n, " properties"));
    const struct json *props = json_get(s, "properties"), *extra = json_get(s, "additionalProperties");
    const struct json *names = json_get(s, "propertyNames");
    for (size_t i = 0; i < v->obj.n; i++) {
        struct str key = v->obj.v[i].key;
        const struct json *sub = json_getn(props, key);
        size_t mark = walk_push(w, key);
        if (names != NULL) {
            struct json name = {.type = JSON_STRING, .s = key};
            TRY(validate(names, &name, w));
        }
        if (sub == NULL)
            sub = extra;
        /* Closed unless the schema says otherwise: an unknown field is a mistake of the caller */
        if (sub == NULL || (json_is(sub, JSON_BOOL) && !sub->b))
            return err_field(err_new(ERR_UNKNOWN_FIELD, "%s is not a known field", walk_at(w)), walk_at(w));
        TRY(validate(sub, v->obj.v[i].value, w));
        w->n = mark;
    }
    return check_required(s, v, w);
}

/* The first that fits; what the others had against it is of no use to anybody. */
static err_t check_any(const struct json *list, const struct json *v, struct walk *w) {
    const size_t n = w->n;
    const int depth = w->depth;
    for (size_t i = 0; i < json_len(list); i++) {
        if (validate(json_at(list, i), v, w) == NULL)
            return NULL;
        w->n = n;
        w->depth = depth;
    }
    return violation(w, "anyOf", "fits none of the allowed forms");
}

static err_t validate(const struct json *s, const struct json *v, struct walk *w) {
    if (json_is(s, JSON_BOOL))
        return s->b ? NULL : violation(w, "false", "not allowed");
    if (++w->depth > DEPTH_MAX)
        return violation(w, "depth", "nested too deeply");
    const char *ref = json_get_str(s, "$ref");
    if (ref != NULL) {
        const struct json *target = schema_get(ref + sizeof(REF_PREFIX) - 1);
        CHECK(target != NULL);
        TRY(validate(target, v, w));
    }
    if (json_get(s, "anyOf") != NULL)
        TRY(check_any(json_get(s, "anyOf"), v, w));
    const struct json *type = json_get(s, "type");
    if (type != NULL)
        TRY(check_type(type, v, w));
    TRY(check_enum(s, v, w));
    if (v->type == JSON_STRING)
        TRY(check_string(s, v, w));
    else if (v->type == JSON_INT || v->type == JSON_REAL)
        TRY(check_number(s, v, w));
    else if (v->type == JSON_ARRAY)
        TRY(check_array(s, v, w));
    else if (v->type == JSON_OBJECT && (type != NULL || json_get(s, "properties") != NULL))
        TRY(check_object(s, v, w));
    w->depth--;
    return NULL;
}

err_t schema_validate(const struct json *schema, const struct json *value) {
    struct walk w = {.n = 0};
    return validate(schema, value, &w);
}
