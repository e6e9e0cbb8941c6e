#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/compose/stages.h"

#define MAX_PORTS 65536 /* that one service may publish after ranges are expanded */

/* ---- scalars ---- */

/** Shortest decimal form, as Go prints a float64. */
static char *float_text(struct arena *a, double d) {
    char buf[40];
    int prec = 1;
    for (; prec <= 17; prec++) {
        snprintf(buf, sizeof(buf), "%.*e", prec - 1, d);
        if (strtod(buf, NULL) == d)
            break;
    }
    const char *e = strchr(buf, 'e');
    int exp = e != NULL ? (int)strtol(e + 1, NULL, 10) : 0;
    if (exp >= -4 && exp < 21) {
        int decimals = prec - 1 - exp;
        return arena_printf(a, "%.*f", decimals > 0 ? decimals : 0, d);
    }
    return arena_strdup(a, buf);
}

struct str compose_scalar_text(struct arena *a, const struct y_node *n) {
    bool padded = n->text.n > 1 && n->text.p[0] == '0' && n->text.p[1] >= '0' && n->text.p[1] <= '9';
    switch (n->kind) {
    case Y_NULL:
        return STR("");
    case Y_BOOL:
        return n->b ? STR("true") : STR("false");
    case Y_INT:
        return padded ? n->text : str_of(arena_printf(a, "%lld", (long long)n->i));
    case Y_FLOAT:
        return isfinite(n->d) && !padded ? str_of(float_text(a, n->d)) : n->text;
    default:
        return n->text;
    }
}

static void to_string(struct arena *a, struct y_node *n) {
    if (!y_scalar(n) || n->kind == Y_STR || n->kind == Y_NULL)
        return;
    n->text = compose_scalar_text(a, n);
    n->kind = Y_STR;
    n->style = Y_QUOTED;
}

static err_t at_place(struct compose_cx *cx, err_t e, const struct y_node *n, const struct c_path *at) {
    char *path = c_path_str(cx->a, at);
    err_t r = y_error(e->code, n, path, "%s: %s", path, e->message);
    for (const struct err_detail *d = e->details; d != NULL; d = d->next) {
        if (z_eq(d->key, "hint"))
            r = y_hint(r, d->value);
    }
    return r;
}

static err_t bad_scalar(struct compose_cx *cx, const struct y_node *n, const struct c_path *at, const char *want) {
    char *path = c_path_str(cx->a, at);
    return y_error(ERR_INVALID, n, path, "%s: invalid value \"%s\", %s is expected", path, n->text.p, want);
}

static err_t cast_bool(struct compose_cx *cx, struct y_node *n, const struct c_path *at) {
    bool b;
    if (n->kind != Y_STR)
        return NULL;
    if (!compose_parse_bool(n->text, &b))
        return bad_scalar(cx, n, at, "a boolean");
    n->kind = Y_BOOL;
    n->b = b;
    n->text = b ? STR("true") : STR("false");
    return NULL;
}

static err_t cast_int(struct compose_cx *cx, const struct cs *s, struct y_node *n, const struct c_path *at) {
    int64_t i;
    if (n->kind == Y_FLOAT && n->d == floor(n->d) && fabs(n->d) < 9e15) {
        i = (int64_t)n->d;
    } else if (n->kind == Y_STR) {
        if (str_to_i64(n->text, INT64_MIN, INT64_MAX, &i) != NULL)
            return bad_scalar(cx, n, at, "an integer");
    } else if (n->kind == Y_INT) {
        i = n->i;
    } else {
        return y_scalar(n) && n->kind != Y_NULL ? bad_scalar(cx, n, at, "an integer") : NULL;
    }
    if (s != NULL && (s->min != 0 || s->max != 0) && (i < s->min || i > s->max))
        return bad_scalar(cx, n, at,
                          arena_printf(cx->a, "a number from %lld to %lld", (long long)s->min, (long long)s->max));
    n->text = n->kind == Y_INT ? n->text : str_of(arena_printf(cx->a, "%lld", (long long)i));
    n->kind = Y_INT;
    n->i = i;
    return NULL;
}

static err_t cast_num(struct compose_cx *cx, struct y_node *n, const struct c_path *at) {
    if (n->kind == Y_INT || n->kind == Y_FLOAT || !y_scalar(n) || n->kind == Y_NULL)
        return NULL;
    char *end = NULL;
    double d = n->kind == Y_STR && n->text.n > 0 && n->text.n < 64 && strchr(" \tnNiI", n->text.p[0]) == NULL
                   ? strtod(n->text.p, &end)
                   : 0;
    if (end == NULL || *end != '\0' || end == n->text.p || !isfinite(d))
        return bad_scalar(cx, n, at, "a number");
    n->kind = Y_FLOAT;
    n->d = d;
    return NULL;
}

static err_t cast_bytes(struct compose_cx *cx, struct y_node *n, const struct c_path *at) {
    int64_t v = 0;
    if (n->kind == Y_INT)
        return NULL;
    if (n->kind == Y_FLOAT && fabs(n->d) < 9e18)
        v = (int64_t)n->d;
    else if (n->kind == Y_STR) {
        err_t e = compose_parse_bytes(n->text, &v);
        if (e != NULL)
            return at_place(cx, e, n, at);
    } else {
        return NULL;
    }
    n->kind = Y_INT;
    n->style = Y_QUOTED; /* written as text: validation may see it again */
    n->i = v;
    n->text = str_of(arena_printf(cx->a, "%lld", (long long)v));
    return NULL;
}

static err_t cast_duration(struct compose_cx *cx, struct y_node *n, const struct c_path *at) {
    int64_t ns;
    if (n->kind != Y_STR)
        return NULL;
    err_t e = compose_parse_duration(n->text, &ns);
    if (e != NULL)
        return at_place(cx, e, n, at);
    n->text = str_of(compose_format_duration(cx->a, ns));
    return NULL;
}

/** 0440 unquoted is octal whatever YAML makes of it; a string is octal; another integer is taken by value. */
static err_t cast_mode(struct compose_cx *cx, struct y_node *n, const struct c_path *at) {
    if (!y_scalar(n) || n->kind == Y_NULL || n->kind == Y_BOOL)
        return NULL;
    struct str t = n->text;
    int64_t v = 0;
    bool octal = n->kind == Y_STR || (t.n > 1 && t.p[0] == '0' && t.p[1] != 'x' && t.p[1] != 'o');
    if (!octal && n->kind == Y_INT)
        v = n->i;
    else if (t.n > 2 && t.p[0] == '0' && t.p[1] == 'o')
        t = str_slice(t, 2, t.n);
    for (size_t i = 0; octal && i < t.n; i++) {
        if (t.p[i] < '0' || t.p[i] > '7' || i > 7)
            return bad_scalar(cx, n, at, "a file mode in octal");
        v = v * 8 + (t.p[i] - '0');
    }
    if (v < 0 || v > 07777 || t.n == 0)
        return bad_scalar(cx, n, at, "a file mode in octal");
    n->kind = Y_STR;
    n->style = Y_QUOTED;
    n->text = str_of(arena_printf(cx->a, "0%03o", (unsigned)v));
    return NULL;
}

static err_t cast_count(struct compose_cx *cx, struct y_node *n, const struct c_path *at) {
    int64_t v;
    if (n->kind != Y_STR)
        return NULL;
    if (str_eqz(n->text, "all"))
        v = -1;
    else if (str_to_i64(n->text, INT32_MIN, INT32_MAX, &v) != NULL) {
        char *path = c_path_str(cx->a, at);
        return y_error(ERR_INVALID, n, path, "%s: invalid value \"%s\", the only value allowed is 'all' or a number",
                       path, n->text.p);
    }
    n->kind = Y_INT;
    n->i = v;
    n->text = str_of(arena_printf(cx->a, "%lld", (long long)v));
    return NULL;
}

/* ---- short forms ---- */

static struct y_node *wrap(struct arena *a, const char *key, struct y_node *n) {
    struct y_node *m = y_new(a, Y_MAP, n);
    m->tag = n->tag;
    n->tag = Y_TAG_NONE;
    y_set(a, m, key, n);
    return m;
}

static struct y_node *wrap_list(struct arena *a, struct y_node *n) {
    struct y_node *l = y_new(a, Y_SEQ, n);
    l->tag = n->tag;
    n->tag = Y_TAG_NONE;
    y_push(a, l, n);
    return l;
}

/** List of names to a mapping; what each name maps to is made by `value`. */
static err_t names_to_map(struct compose_cx *cx, struct y_node **n, const struct c_path *at, bool depends) {
    struct y_node *l = *n, *m = y_new(cx->a, Y_MAP, l);
    m->tag = l->tag;
    for (size_t i = 0; i < l->seq.n; i++) {
        struct y_node *name = l->seq.v[i];
        if (name->tag == Y_TAG_RESET)
            continue;
        if (name->kind != Y_STR) {
            char *path = c_path_str(cx->a, C_IDX(at, i));
            return y_error(ERR_SCHEMA, name, path, "%s must be a string", path);
        }
        struct y_node *v = y_new(cx->a, depends ? Y_MAP : Y_NULL, name);
        if (depends) {
            y_set(cx->a, v, "condition", y_new_str(cx->a, "service_started", name));
            y_set(cx->a, v, "required", y_new_bool(cx->a, true, name));
        }
        y_setn(cx->a, m, name->text, v);
    }
    *n = m;
    return NULL;
}

/** "K=V" and "K" to a mapping entry; what is not a scalar is left for validation to complain about. */
static err_t kv_to_map(struct compose_cx *cx, const struct cs *s, struct y_node **n, const struct c_path *at) {
    struct y_node *l = *n, *m = y_new(cx->a, Y_MAP, l);
    m->tag = l->tag;
    for (size_t i = 0; i < l->seq.n; i++) {
        struct y_node *item = l->seq.v[i];
        if (!y_scalar(item)) {
            char *path = c_path_str(cx->a, C_IDX(at, i));
            return y_error(ERR_SCHEMA, item, path, "%s must be a string", path);
        }
        ptrdiff_t eq = str_find_chr(item->text, '=');
        struct str key = eq < 0 ? item->text : str_slice(item->text, 0, (size_t)eq);
        if ((s->flags & CSF_ENV) && key.n > 0 && (key.p[key.n - 1] == ' ' || key.p[key.n - 1] == '\t')) {
            char *path = c_path_str(cx->a, C_IDX(at, i));
            return y_hint(y_error(ERR_INVALID, item, path,
                                  "environment variable %.*s is declared with a trailing space", STR_ARG(key)),
                          "write NAME=value without blanks around =");
        }
        struct y_node *v = eq < 0 ? y_new(cx->a, Y_NULL, item)
                                  : y_new_strn(cx->a, str_slice(item->text, (size_t)eq + 1, item->text.n), item);
        v->raw = item->raw;
        y_setn(cx->a, m, key, v);
    }
    *n = m;
    return NULL;
}

static void hosts_to_list(struct compose_cx *cx, struct y_node **n) {
    struct y_node *m = *n, *l = y_new(cx->a, Y_SEQ, m);
    l->tag = m->tag;
    for (size_t i = 0; i < m->map.n; i++) {
        struct y_node *v = m->map.v[i].value;
        size_t count = v->kind == Y_SEQ ? v->seq.n : 1;
        for (size_t k = 0; k < count; k++) {
            const struct y_node *ip = v->kind == Y_SEQ ? v->seq.v[k] : v;
            const char *text = y_str(ip);
            y_push(cx->a, l,
                   y_new_str(cx->a, arena_printf(cx->a, "%s=%s", m->map.v[i].key.p, text != NULL ? text : ""), ip));
        }
    }
    *n = l;
}

static err_t env_files(struct compose_cx *cx, struct y_node **n) {
    if ((*n)->kind == Y_STR)
        *n = wrap_list(cx->a, *n);
    for (size_t i = 0; i < y_len(*n) && (*n)->kind == Y_SEQ; i++) {
        struct y_node **item = &(*n)->seq.v[i];
        if ((*item)->kind == Y_STR)
            *item = wrap(cx->a, "path", *item);
        if ((*item)->kind == Y_MAP && !y_has(*item, "required"))
            y_set(cx->a, *item, "required", y_new_bool(cx->a, true, *item));
    }
    return NULL;
}

static err_t expand_string(struct compose_cx *cx, const struct cs *s, struct y_node **n, const struct c_path *at) {
    char *path = c_path_str(cx->a, at);
    switch (s->shorthand) {
    case CSS_BUILD:
        *n = wrap(cx->a, "context", *n);
        return NULL;
    case CSS_EXTENDS:
        *n = wrap(cx->a, "service", *n);
        return NULL;
    case CSS_INCLUDE:
        *n = wrap(cx->a, "path", *n);
        return NULL;
    case CSS_FILE_REF:
        *n = wrap(cx->a, "source", *n);
        return NULL;
    case CSS_MOUNT:
        return compose_parse_mount(cx->a, (*n)->text, *n, path, n);
    case CSS_DEVICE:
        return compose_parse_device(cx->a, (*n)->text, *n, path, n);
    case CSS_GPUS:
        if (!str_eqz((*n)->text, "all"))
            return y_error(ERR_INVALID, *n, path, "%s: invalid value \"%s\", the only value allowed is 'all' or a list",
                           path, (*n)->text.p);
        struct y_node *all = y_new(cx->a, Y_MAP, *n);
        y_set(cx->a, all, "count", y_new_int(cx->a, -1, *n));
        *n = wrap_list(cx->a, all);
        return NULL;
    default:
        return NULL;
    }
}

err_t compose_expand(struct compose_cx *cx, const struct cs *s, struct y_node **n, const struct c_path *at) {
    struct y_node *v = *n;
    if (s->shorthand == CSS_ENV_FILE)
        return env_files(cx, n);
    if (v->kind == Y_SEQ && (s->shorthand == CSS_NAMES || s->shorthand == CSS_DEPENDS))
        return names_to_map(cx, n, at, s->shorthand == CSS_DEPENDS);
    if (v->kind == Y_SEQ && s->type == CS_KV)
        return kv_to_map(cx, s, n, at);
    if (v->kind == Y_MAP && s->type == CS_HOSTS)
        hosts_to_list(cx, n);
    if (v->kind == Y_STR && s->type == CS_STRS && (s->flags & CSF_ALSO_STRING))
        *n = wrap_list(cx->a, v);
    return v->kind == Y_STR && s->shorthand != CSS_NONE ? expand_string(cx, s, n, at) : NULL;
}

/* ---- the walk ---- */

static err_t canonical_ports(struct compose_cx *cx, struct y_node *l, const struct c_path *at) {
    struct y_node *out = y_new(cx->a, Y_SEQ, l);
    for (size_t i = 0; i < l->seq.n; i++) {
        struct y_node *p = l->seq.v[i], *many = NULL;
        if (p->kind == Y_MAP || !y_scalar(p)) {
            y_push(cx->a, out, p);
            continue;
        }
        TRY(compose_parse_port(cx->a, p->text, p, c_path_str(cx->a, C_IDX(at, i)), &many));
        TRY(compose_spend(cx, many->seq.n * 6, p));
        for (size_t k = 0; k < many->seq.n; k++)
            y_push(cx->a, out, many->seq.v[k]);
        if (out->seq.n > MAX_PORTS)
            return y_error(ERR_TOO_LARGE, p, c_path_str(cx->a, at), "more than %d ports", MAX_PORTS);
    }
    l->seq = out->seq;
    return NULL;
}

/** `external: {name: x}` of old files: the name moves up. */
static err_t external_name(struct compose_cx *cx, struct y_node *m, const struct c_path *at) {
    struct y_node *ext = y_get(m, "external"), *inner = y_get(ext, "name");
    if (!y_is(ext, Y_MAP))
        return NULL;
    char *path = c_path_str(cx->a, at);
    compose_warn(cx, ext, "%s: external.name is deprecated. Please set name and external: true", path);
    struct y_node *name = y_get(m, "name");
    if (name != NULL && inner != NULL && !y_eq(name, inner))
        return y_error(ERR_INVALID, ext, path, "%s: name and external.name conflict; only use name", path);
    if (inner != NULL)
        y_set(cx->a, m, "name", inner);
    y_set(cx->a, m, "external", y_new_bool(cx->a, true, ext));
    return NULL;
}

static err_t canonical_object(struct compose_cx *cx, const struct cs *s, struct y_node *m, const struct c_path *at) {
    const struct cs *ext = cs_field(s, STR("external"));
    if (ext != NULL && ext->shorthand == CSS_EXTERNAL)
        TRY(external_name(cx, m, at));
    for (size_t i = 0; i < m->map.n; i++) {
        const struct cs *f = cs_field(s, m->map.v[i].key);
        if (f != NULL)
            TRY(compose_canonical(cx, f, &m->map.v[i].value, C_KEY(at, m->map.v[i].key)));
    }
    return NULL;
}

static err_t canonical_list(struct compose_cx *cx, const struct cs *s, struct y_node *l, const struct c_path *at) {
    if (s->unique == CSU_PORT)
        TRY(canonical_ports(cx, l, at));
    for (size_t i = 0; i < l->seq.n; i++)
        TRY(compose_canonical(cx, s->item, &l->seq.v[i], C_IDX(at, i)));
    return NULL;
}

static void canonical_strings(struct compose_cx *cx, const struct cs *s, struct y_node *l) {
    size_t keep = 0;
    for (size_t i = 0; i < l->seq.n; i++) {
        struct y_node *v = l->seq.v[i];
        if (s->flags & CSF_NUMBERS)
            to_string(cx->a, v);
        if ((s->flags & CSF_OMIT_EMPTY) && v->kind == Y_STR && v->text.n == 0)
            continue;
        l->seq.v[keep++] = v;
    }
    l->seq.n = keep;
}

static err_t canonical_command(struct compose_cx *cx, const struct cs *s, struct y_node **n, const struct c_path *at) {
    struct y_node *v = *n;
    if (v->kind != Y_STR)
        return NULL;
    struct y_node *l = y_new(cx->a, Y_SEQ, v);
    if (s->type == CS_TEST) {
        y_push(cx->a, l, y_new_str(cx->a, "CMD-SHELL", v));
        y_push(cx->a, l, v);
    } else {
        struct compose_strs words;
        err_t e = compose_shell_words(cx->a, v->text, &words);
        if (e != NULL)
            return at_place(cx, e, v, at);
        for (size_t i = 0; i < words.n; i++)
            y_push(cx->a, l, y_new_str(cx->a, words.v[i], v));
    }
    *n = l;
    return NULL;
}

static void canonical_options(struct compose_cx *cx, struct y_node **n) {
    if (y_scalar(*n) && (*n)->kind != Y_NULL)
        *n = wrap_list(cx->a, *n);
    for (size_t i = 0; (*n)->kind == Y_SEQ && i < (*n)->seq.n; i++)
        to_string(cx->a, (*n)->seq.v[i]);
}

static void canonical_dict(struct compose_cx *cx, const struct cs *s, struct y_node *m) {
    for (size_t i = 0; m->kind == Y_MAP && i < m->map.n; i++) {
        struct y_node *v = m->map.v[i].value;
        if (s->type == CS_DICT && v->kind == Y_NULL && !(s->flags & CSF_NULLS))
            v->kind = Y_STR;
        to_string(cx->a, v);
    }
}

static err_t canonical_value(struct compose_cx *cx, const struct cs *s, struct y_node **n, const struct c_path *at) {
    struct y_node *v = *n;
    switch (s->type) {
    case CS_BOOL:
        return cast_bool(cx, v, at);
    case CS_INT:
        return cast_int(cx, s, v, at);
    case CS_NUM:
        return cast_num(cx, v, at);
    case CS_BYTES:
        return cast_bytes(cx, v, at);
    case CS_DURATION:
        return cast_duration(cx, v, at);
    case CS_MODE:
        return cast_mode(cx, v, at);
    case CS_COUNT:
        return cast_count(cx, v, at);
    case CS_SCALAR:
        to_string(cx->a, v);
        return NULL;
    case CS_COMMAND:
    case CS_TEST:
        return canonical_command(cx, s, n, at);
    case CS_OPTIONS:
        canonical_options(cx, n);
        return NULL;
    case CS_KV:
    case CS_DICT:
        canonical_dict(cx, s, v);
        return NULL;
    default:
        return NULL;
    }
}

err_t compose_canonical(struct compose_cx *cx, const struct cs *s, struct y_node **n, const struct c_path *at) {
    if (s == NULL)
        s = &compose_schema;
    if ((*n)->tag == Y_TAG_RESET)
        return NULL;
    TRY(compose_expand(cx, s, n, at));
    struct y_node *v = *n;
    if (v->kind == Y_MAP && (s->type == CS_OBJECT || s->type == CS_ULIMIT))
        return canonical_object(cx, s, v, at);
    if (s->type == CS_ULIMIT)
        return cast_int(cx, NULL, v, at);
    if (v->kind == Y_MAP && s->type == CS_MAP) {
        for (size_t i = 0; i < v->map.n; i++)
            TRY(compose_canonical(cx, s->item, &v->map.v[i].value, C_KEY(at, v->map.v[i].key)));
        return NULL;
    }
    if (v->kind == Y_SEQ && s->type == CS_LIST)
        return canonical_list(cx, s, v, at);
    if (v->kind == Y_SEQ && s->type == CS_STRS) {
        canonical_strings(cx, s, v);
        return NULL;
    }
    return canonical_value(cx, s, n, at);
}
