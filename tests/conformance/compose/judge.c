/* The definition of "equal" of the case folder, see its README: absent and empty values are the same except where a key makes a
 * difference of them. */
#include <math.h>
#include <stdlib.h>

#include "core/base/map.h"
#include "core/base/vec.h"
#include "tests/conformance/compose/conformance.h"

static const char *const maps[] = {"services",
                                   "networks",
                                   "volumes",
                                   "configs",
                                   "secrets",
                                   "models",
                                   "environment",
                                   "args",
                                   "labels",
                                   "annotations",
                                   "depends_on",
                                   "sysctls",
                                   "ulimits",
                                   "storage_opt",
                                   "log_opt",
                                   "driver_opts",
                                   "options",
                                   "aux_addresses",
                                   "additional_contexts",
                                   NULL};
static const char *const nullable[] = {"environment", "args", NULL};
static const char *const strict_null[] = {"command", "entrypoint", NULL};
static const char *const optional[] = {"attach",   "init",        "enable_ipv4",  "enable_ipv6", "scale",
                                       "replicas", "parallelism", "max_attempts", NULL};

struct judge {
    struct arena *a;
    bool relative;
};

static bool one_of(const char *const *list, const char *s) {
    for (; *list != NULL; list++) {
        if (z_eq(*list, s))
            return true;
    }
    return false;
}

static bool is_null(const struct json *v) { return v == NULL || v->type == JSON_NULL; }

static bool is_num(const struct json *v) { return json_is(v, JSON_INT) || json_is(v, JSON_REAL); }

static bool zero(const struct json *v) {
    if (is_null(v))
        return true;
    switch (v->type) {
    case JSON_BOOL:
        return !v->b;
    case JSON_STRING:
        return v->s.n == 0;
    case JSON_ARRAY:
    case JSON_OBJECT:
        return json_len(v) == 0;
    default:
        return json_num_or(v, 1) == 0;
    }
}

/** Seconds of a Go duration; false if it is none. */
static bool duration(const char *s, double *ret) {
    static const struct {
        const char *unit;
        double seconds;
    } units[] = {{"h", 3600}, {"ms", 1e-3}, {"m", 60}, {"us", 1e-6}, {"\xc2\xb5s", 1e-6}, {"ns", 1e-9}, {"s", 1}};
    double sign = s[0] == '-' ? -1 : 1, total = 0;
    s += s[0] == '-';
    if (*s == '\0')
        return false;
    while (*s != '\0') {
        size_t n = strspn(s, "0123456789"), frac = s[n] == '.' ? strspn(s + n + 1, "0123456789") : 0;
        if (n == 0 || (s[n] == '.' && frac == 0))
            return false;
        double v = strtod(s, NULL);
        s += n + (frac > 0 ? frac + 1 : 0);
        size_t i = 0;
        while (i < ARRAY_LEN(units) && !z_starts(s, units[i].unit))
            i++;
        if (i == ARRAY_LEN(units))
            return false;
        total += v * units[i].seconds;
        s += strlen(units[i].unit);
    }
    *ret = sign * total;
    return true;
}

static char *absolute(struct arena *a, const char *s) {
    char *all = s[0] == '/' ? arena_strdup(a, s) : arena_printf(a, CASE_ROOT "/%s", s),
         *out = arena_alloc(a, strlen(all) + 2, 1);
    size_t n = 0;
    struct str rest = str_of(all), part;
    while (str_cut(&rest, '/', &part)) {
        if (part.n == 0 || str_eqz(part, "."))
            continue;
        if (str_eqz(part, "..")) {
            while (n > 0 && out[--n] != '/')
                ;
            continue;
        }
        out[n++] = '/';
        memcpy(out + n, part.p, part.n);
        n += part.n;
    }
    out[n] = '\0';
    return out;
}

static bool strings(const struct judge *j, const char *e, const char *a) {
    double x, y;
    if (z_eq(e, a))
        return true;
    if (duration(e, &x) && duration(a, &y))
        return fabs(x - y) < 1e-9;
    return j->relative && z_eq(absolute(j->a, e), absolute(j->a, a));
}

static bool decimal_is(const struct json *s, const struct json *n) {
    int64_t v;
    return json_is(s, JSON_STRING) && json_is(n, JSON_INT) && str_to_i64(s->s, INT64_MIN, INT64_MAX, &v) == NULL &&
           v == n->i;
}

static bool scalar(const struct judge *j, const struct json *e, const struct json *a) {
    if (json_is(e, JSON_BOOL) || json_is(a, JSON_BOOL))
        return json_is(e, JSON_BOOL) && json_is(a, JSON_BOOL) && e->b == a->b;
    if (is_num(e) && is_num(a)) {
        double x = json_num_or(e, 0), y = json_num_or(a, 0);
        return fabs(x - y) <= 1e-6 * fmax(1.0, fabs(x));
    }
    if (json_is(e, JSON_STRING) && json_is(a, JSON_STRING))
        return strings(j, json_str(e), json_str(a));
    return decimal_is(e, a) || decimal_is(a, e);
}

static bool equal(const struct judge *j, const struct json *e, const struct json *a, const char *key,
                  const char *parent);

static bool objects(const struct judge *j, const struct json *e, const struct json *a, const char *key,
                    const char *parent) {
    if ((!is_null(e) && e->type != JSON_OBJECT) || (!is_null(a) && a->type != JSON_OBJECT))
        return false;
    bool named = one_of(maps, key);
    if (named && json_len(e) != json_len(a))
        return false;
    for (size_t i = 0; i < json_len(e); i++) {
        struct str k = e->obj.v[i].key;
        const struct json *x = json_getn(a, k);
        if (named && x == NULL)
            return false;
        if (!equal(j, e->obj.v[i].value, x, named ? "" : k.p, named ? key : key[0] != '\0' ? key : parent))
            return false;
    }
    for (size_t i = 0; !named && i < json_len(a); i++) {
        struct str k = a->obj.v[i].key;
        if (json_getn(e, k) == NULL && !equal(j, NULL, a->obj.v[i].value, k.p, key[0] != '\0' ? key : parent))
            return false;
    }
    return true;
}

static bool lists(const struct judge *j, const struct json *e, const struct json *a, const char *key,
                  const char *parent) {
    if ((!zero(e) && e->type != JSON_ARRAY) || (!zero(a) && a->type != JSON_ARRAY))
        return false;
    size_t n = json_is(e, JSON_ARRAY) ? json_len(e) : 0, m = json_is(a, JSON_ARRAY) ? json_len(a) : 0;
    if (n != m)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!equal(j, e->arr.v[i], a->arr.v[i], "", key[0] != '\0' ? key : parent))
            return false;
    }
    return true;
}

static bool true_unless_false(const struct json *v) { return is_null(v) || (json_is(v, JSON_BOOL) && v->b); }

static bool equal(const struct judge *j, const struct json *e, const struct json *a, const char *key,
                  const char *parent) {
    if (one_of(strict_null, key)) {
        if (is_null(e) || is_null(a))
            return is_null(e) && is_null(a);
        return json_eq(e, a);
    }
    if (z_eq(key, "create_host_path") || (z_eq(key, "required") && z_eq(parent, "env_file")))
        return true_unless_false(e) == true_unless_false(a);
    if (one_of(optional, key) && !json_is(e, JSON_OBJECT) && !json_is(a, JSON_OBJECT))
        return is_null(e) || is_null(a) ? is_null(e) && is_null(a) : scalar(j, e, a);
    if (one_of(nullable, parent)) {
        bool en = e != NULL && e->type == JSON_NULL, an = a != NULL && a->type == JSON_NULL;
        return en || an || e == NULL || a == NULL ? en && an : scalar(j, e, a);
    }
    if (zero(e) && zero(a))
        return true;
    if (json_is(e, JSON_OBJECT) || json_is(a, JSON_OBJECT))
        return objects(j, e, a, key, parent);
    if (json_is(e, JSON_ARRAY) || json_is(a, JSON_ARRAY))
        return lists(j, e, a, key, parent);
    return !is_null(e) && !is_null(a) && scalar(j, e, a);
}

/* ---- checks ---- */

struct hit {
    const struct json *v; /* NULL = missing */
    const char *key, *parent;
};
typedef VEC(struct hit) hits;

static void step(struct arena *a, struct hit h, const char *seg, hits *out) {
    const char *up = h.key[0] != '\0' ? h.key : h.parent;
    int64_t i;
    if (z_eq(seg, "*")) {
        for (size_t k = 0; k < json_len(h.v); k++)
            *vec_push(a, out) = (struct hit){h.v->type == JSON_OBJECT ? h.v->obj.v[k].value : h.v->arr.v[k], "", h.key};
    } else if (json_is(h.v, JSON_ARRAY) && str_to_i64(str_of(seg), 0, INT32_MAX, &i) == NULL &&
               (size_t)i < json_len(h.v)) {
        *vec_push(a, out) = (struct hit){json_at(h.v, (size_t)i), "", up};
    } else {
        const struct json *v = json_is(h.v, JSON_OBJECT) ? json_get(h.v, seg) : NULL;
        *vec_push(a, out) = (struct hit){v, one_of(maps, h.key) ? "" : seg, up};
    }
}

static char *unescape(struct arena *a, struct str s) {
    char *out = arena_alloc(a, s.n + 1, 1);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '~' && i + 1 < s.n)
            out[n++] = s.p[++i] == '1' ? '/' : '~';
        else
            out[n++] = s.p[i];
    }
    out[n] = '\0';
    return out;
}

static hits find(struct arena *a, const struct json *doc, const char *path) {
    hits cur = {0};
    *vec_push(a, &cur) = (struct hit){doc, "", ""};
    if (path[0] == '\0')
        return cur;
    struct str rest = str_of(path + 1), part = {0};
    bool more = true;
    while (more) {
        ptrdiff_t slash = str_find_chr(rest, '/');
        more = slash >= 0;
        part = more ? str_slice(rest, 0, (size_t)slash) : rest;
        rest = more ? str_slice(rest, (size_t)slash + 1, rest.n) : rest;
        hits next = {0};
        for (size_t i = 0; i < cur.n; i++)
            step(a, cur.v[i], unescape(a, part), &next);
        cur = next;
    }
    return cur;
}

static bool same_keys(const struct json *want, const struct json *have) {
    if (json_len(want) != json_len(have))
        return false;
    for (size_t i = 0; i < json_len(want); i++) {
        if (json_get(have, json_str_or(json_at(want, i), "")) == NULL)
            return false;
    }
    return true;
}

static bool extensions(const struct json *want, const struct json *have) {
    size_t n = 0;
    if (!json_is(have, JSON_OBJECT))
        return false;
    for (size_t i = 0; i < json_len(have); i++) {
        if (!str_starts(have->obj.v[i].key, STR("x-")))
            continue;
        n++;
        if (!json_eq(json_getn(want, have->obj.v[i].key), have->obj.v[i].value))
            return false;
    }
    return n == json_len(want);
}

static bool contains(const struct judge *j, const struct json *e, struct hit h) {
    const char *parent = h.key[0] != '\0' ? h.key : h.parent;
    for (size_t i = 0; json_is(h.v, JSON_ARRAY) && i < json_len(h.v); i++) {
        if (equal(j, e, json_at(h.v, i), "", parent))
            return true;
    }
    return false;
}

static size_t length(const struct json *v) { return json_is(v, JSON_STRING) ? v->s.n : json_len(v); }

static bool check_one(const struct judge *j, const char *op, const struct json *e, struct hit h) {
    const char *text = json_str(h.v);
    if (z_eq(op, "eq"))
        return equal(j, e, h.v, h.key, h.parent);
    if (z_eq(op, "null"))
        return is_null(h.v) || (h.v->type == JSON_OBJECT && json_len(h.v) == 0);
    if (z_eq(op, "nonnull"))
        return !is_null(h.v);
    if (z_eq(op, "has_key"))
        return h.v != NULL;
    if (z_eq(op, "no_key"))
        return h.v == NULL;
    if (z_eq(op, "len"))
        return length(h.v) == (size_t)json_int_or(e, -1);
    if (z_eq(op, "keys"))
        return same_keys(e, h.v);
    if (z_eq(op, "contains"))
        return contains(j, e, h);
    if (z_eq(op, "extensions"))
        return extensions(e, h.v);
    if (z_eq(op, "abspath"))
        return text != NULL && text[0] == '/';
    return z_eq(op, "nonempty") && text != NULL && text[0] != '\0';
}

/* ---- the verdict ---- */

char *substitute_places(struct arena *a, const char *s) {
    static const struct { const char *from, *to; } places[] = {{"${ROOT}", CASE_ROOT}, {"${HOME}", CASE_HOME}};
    char *out = arena_strdup(a, s);
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        for (char *at; (at = strstr(out, places[i].from)) != NULL;)
            out = arena_printf(a, "%.*s%s%s", (int)(at - out), out, places[i].to, at + strlen(places[i].from));
    }
    return out;
}

static struct json *substituted(struct arena *a, const struct json *v) {
    if (json_is(v, JSON_STRING))
        return json_string(a, substitute_places(a, v->s.p));
    struct json *c = v != NULL ? json_clone(a, v) : NULL;
    for (size_t i = 0; i < json_len(c); i++) {
        struct json **slot = c->type == JSON_OBJECT ? &c->obj.v[i].value : &c->arr.v[i];
        *slot = substituted(a, *slot);
    }
    return c;
}

static bool same_set(const struct json *want, const struct json *have) {
    size_t n = json_len(want), hit = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < json_len(have); k++) {
            if (json_eq(json_at(want, i), json_at(have, k))) {
                hit++;
                break;
            }
        }
    }
    return hit == n && json_len(have) == n;
}

static const char *judge_model(const struct judge *j, const struct json *ex, const struct outcome *out) {
    if (out->model != NULL)
        return json_eq(out->model, json_get(ex, "model")) ? NULL : "raw model differs";
    return equal(j, out->want, out->value, "", "") ? NULL : "canonical form differs from that of expect.yaml";
}

static const char *judge_warnings(const struct json *ex, const struct outcome *out) {
    const char *want = json_get_str(ex, "warning_contains");
    bool found = want == NULL;
    if (out->warnings == NULL)
        return NULL;
    for (size_t i = 0; i < json_len(out->warnings) && !found; i++)
        found = strstr(json_str_or(json_at(out->warnings, i), ""), want) != NULL;
    if (!found)
        return "missing warning";
    if (json_get(ex, "warning_count") != NULL &&
        (size_t)json_get_int(ex, "warning_count", -1) != json_len(out->warnings))
        return "another number of warnings";
    return NULL;
}

static const char *judge_value(const struct judge *j, const struct json *ex, const struct outcome *out) {
    const struct json *value = json_get(ex, "value"), *set = json_get(ex, "set"), *checks = json_get(ex, "checks");
    if (value != NULL &&
        !equal(j, substituted(j->a, value), out->value, json_is(value, JSON_OBJECT) ? "" : "value-root", ""))
        return "value differs";
    if (set != NULL && !same_set(set, out->value))
        return "set differs";
    const char *why = json_get(ex, "model") != NULL ? judge_model(j, ex, out) : NULL;
    if (why != NULL)
        return why;
    const struct json *doc = !is_null(out->value) ? out->value : json_object(j->a);
    for (size_t i = 0; i < json_len(checks); i++) {
        const struct json *c = json_at(checks, i);
        hits h = find(j->a, doc, json_str_or(json_get(c, "path"), ""));
        struct json *e = substituted(j->a, json_get(c, "value"));
        bool ok = h.n > 0;
        for (size_t k = 0; k < h.n && ok; k++)
            ok = check_one(j, json_str_or(json_get(c, "op"), ""), e, h.v[k]);
        if (!ok)
            return arena_printf(j->a, "check failed: %s", json_to_text(j->a, c));
    }
    return judge_warnings(ex, out);
}

const char *judge(struct arena *a, const struct json *c, const struct outcome *out) {
    const struct json *ex = json_get(c, "expect");
    struct judge j = {a, z_eq(json_get_str(c, "paths"), "relative")};
    if (json_get(ex, "error") != NULL)
        return out->ok ? "expected an error, got success" : NULL;
    if (json_get_bool(ex, "ok", false) && !out->ok)
        return arena_printf(a, "unexpected error: %s", out->error);
    return judge_value(&j, ex, out);
}
