#include <stdio.h>

#include "core/compose/stages.h"

#define MAX_NESTING 32     /* of defaults within defaults */
#define MAX_OUTPUT MIB(16) /* text that one load may produce */

struct subst {
    struct compose_cx *cx;
    const struct compose_env *env;
    struct buf *out;
    struct str whole; /* for messages */
};

/** A `${...}` taken apart. */
struct expr {
    struct str name, arg;
    char op;    /* 0, '-', '+', '?' */
    bool colon; /* ":-" and friends: empty counts as unset */
};

static bool name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

static size_t name_length(struct str s) {
    if (s.n == 0 || !name_start(s.p[0]))
        return 0;
    size_t n = 1;
    while (n < s.n && (name_start(s.p[n]) || (s.p[n] >= '0' && s.p[n] <= '9')))
        n++;
    return n;
}

/** Length up to the brace that closes an already open one; -1 if there is none. */
static ptrdiff_t closing_brace(struct str s) {
    size_t open = 1;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '{')
            open++;
        else if (s.p[i] == '}' && --open == 0)
            return (ptrdiff_t)i;
    }
    return -1;
}

/** `s` starts behind "${"; *len is how much of it belongs to the expression, closing brace included. */
static bool parse_braced(struct str s, struct expr *ret, size_t *len) {
    size_t n = name_length(s);
    if (n == 0 || n == s.n)
        return false;
    *ret = (struct expr){.name = str_slice(s, 0, n)};
    if (s.p[n] == '}') {
        *len = n + 1;
        return true;
    }
    size_t at = n;
    if (s.p[at] == ':') {
        ret->colon = true;
        at++;
    }
    if (at >= s.n || (s.p[at] != '-' && s.p[at] != '+' && s.p[at] != '?'))
        return false;
    ret->op = s.p[at++];
    ptrdiff_t end = closing_brace(str_slice(s, at, s.n));
    if (end < 0)
        return false;
    ret->arg = str_slice(s, at, at + (size_t)end);
    *len = at + (size_t)end + 1;
    return true;
}

static err_t substitute(struct subst *s, struct str tmpl, unsigned depth);

static err_t required_missing(struct subst *s, const struct expr *x, unsigned depth) {
    struct buf msg;
    buf_init(&msg, 0, KIB(64));
    struct subst inner = *s;
    inner.out = &msg;
    err_t e = substitute(&inner, x->arg, depth + 1);
    if (e == NULL && msg.n > 0)
        e = err_new(ERR_INVALID, "required variable %.*s is missing a value: %.*s", STR_ARG(x->name), (int)msg.n,
                    msg.p);
    else if (e == NULL)
        e = err_new(ERR_INVALID, "required variable %.*s is missing a value", STR_ARG(x->name));
    buf_done(&msg);
    return e;
}

static void put_value(struct subst *s, struct str name, const char *value) {
    if (value == NULL)
        compose_warn(s->cx, NULL, "The \"%.*s\" variable is not set. Defaulting to a blank string.", STR_ARG(name));
    else
        buf_puts(s->out, value);
}

static err_t eval(struct subst *s, const struct expr *x, unsigned depth) {
    const char *value = compose_env_get(s->env, str_z(s->cx->a, x->name));
    bool there = value != NULL && (!x->colon || value[0] != '\0');
    switch (x->op) {
    case '-':
        if (!there)
            return substitute(s, x->arg, depth + 1);
        break;
    case '+':
        return there ? substitute(s, x->arg, depth + 1) : NULL;
    case '?':
        if (!there)
            return required_missing(s, x, depth);
        break;
    default:
        break;
    }
    put_value(s, x->name, value);
    return NULL;
}

static err_t invalid(const struct subst *s) {
    return err_new(ERR_INVALID, "Invalid template: \"%.*s\"", (int)(s->whole.n > 200 ? 200 : s->whole.n), s->whole.p);
}

/** One `$...` at the start of `rest`; *used bytes belong to it. */
static err_t dollar(struct subst *s, struct str rest, unsigned depth, size_t *used) {
    struct expr x = {0};
    if (rest.n >= 2 && rest.p[1] == '$') {
        buf_putc(s->out, '$');
        *used = 2;
        return NULL;
    }
    if (rest.n >= 2 && rest.p[1] == '{') {
        size_t len;
        if (!parse_braced(str_slice(rest, 2, rest.n), &x, &len))
            return invalid(s);
        *used = len + 2;
        return eval(s, &x, depth);
    }
    size_t n = name_length(str_slice(rest, 1, rest.n));
    if (n == 0) {
        buf_putc(s->out, '$');
        *used = 1;
        return NULL;
    }
    x.name = str_slice(rest, 1, n + 1);
    *used = n + 1;
    return eval(s, &x, depth);
}

static err_t substitute(struct subst *s, struct str tmpl, unsigned depth) {
    if (depth > MAX_NESTING)
        return err_new(ERR_INVALID, "variables are nested more than %d deep", MAX_NESTING);
    while (tmpl.n > 0) {
        ptrdiff_t at = str_find_chr(tmpl, '$');
        size_t plain = at < 0 ? tmpl.n : (size_t)at;
        buf_put(s->out, tmpl.p, plain);
        tmpl = str_slice(tmpl, plain, tmpl.n);
        if (tmpl.n == 0)
            break;
        size_t used = 0;
        TRY(dollar(s, tmpl, depth, &used));
        tmpl = str_slice(tmpl, used, tmpl.n);
    }
    return NULL;
}

err_t compose_substitute(struct compose_cx *cx, const struct compose_env *env, struct str tmpl, struct str *ret) {
    struct buf out;
    buf_init(&out, 0, MIB(1));
    struct subst s = {.cx = cx, .env = env, .out = &out, .whole = tmpl};
    err_t e = substitute(&s, tmpl, 0);
    if (e == NULL && out.failed)
        e = err_new(ERR_TOO_LARGE, "a value is larger than 1 MiB after interpolation");
    cx->subst_bytes += out.n;
    if (e == NULL && cx->subst_bytes > MAX_OUTPUT)
        e = err_new(ERR_TOO_LARGE, "interpolation produced more than 16 MiB of text");
    if (e == NULL)
        *ret = str_n(arena_strndup(cx->a, out.p != NULL ? out.p : "", out.n), out.n);
    buf_done(&out);
    return e;
}

static err_t with_place(struct compose_cx *cx, err_t e, const struct y_node *n, const struct c_path *at) {
    char *path = c_path_str(cx->a, at);
    if (err_is(e, ERR_INVALID) && z_starts(e->message, "Invalid template"))
        return y_hint(y_error(ERR_INVALID, n, path,
                              "invalid interpolation format for %s.\nYou may need to escape any $ with another $.\n%s",
                              path, n->text.p),
                      "write $$ for a literal $");
    return y_error(e->code, n, path, "error while interpolating %s: %s", path, e->message);
}

static err_t interpolate(struct compose_cx *cx, const struct compose_env *env, struct y_node *n,
                         const struct c_path *at) {
    if (n->kind == Y_SEQ) {
        for (size_t i = 0; i < n->seq.n; i++)
            TRY(interpolate(cx, env, n->seq.v[i], C_IDX(at, i)));
    } else if (n->kind == Y_MAP) {
        for (size_t i = 0; i < n->map.n; i++)
            TRY(interpolate(cx, env, n->map.v[i].value, C_KEY(at, n->map.v[i].key)));
    } else if (n->kind == Y_STR && memchr(n->text.p, '$', n->text.n) != NULL) {
        struct str s;
        err_t e = compose_substitute(cx, env, n->text, &s);
        if (e != NULL)
            return with_place(cx, e, n, at);
        n->raw = n->text.p;
        n->text = s;
    }
    return NULL;
}

err_t compose_interpolate(struct compose_cx *cx, const struct compose_env *env, struct y_node *n) {
    return interpolate(cx, env, n, NULL);
}

/* ---- which variables does a tree use ---- */

static void add_variable(struct compose_cx *cx, const struct expr *x, struct map *ret) {
    struct compose_variable *v = map_get(ret, x->name);
    if (v == NULL) {
        v = arena_new_obj(cx->a, struct compose_variable);
        v->name = str_z(cx->a, x->name);
        map_set(ret, x->name, v);
    }
    if (x->op == '-')
        v->dflt = str_z(cx->a, x->arg);
    else if (x->op == '+')
        v->presence = str_z(cx->a, x->arg);
    else if (x->op == '?')
        v->required = true;
}

static err_t scan(struct compose_cx *cx, struct str s, unsigned depth, struct map *ret) {
    if (depth > MAX_NESTING)
        return err_new(ERR_INVALID, "variables are nested more than %d deep", MAX_NESTING);
    for (size_t i = 0; i < s.n; i++) {
        struct expr x = {0};
        size_t len;
        if (s.p[i] != '$' || i + 1 >= s.n)
            continue;
        if (s.p[i + 1] == '$') {
            i++;
        } else if (s.p[i + 1] == '{') {
            if (!parse_braced(str_slice(s, i + 2, s.n), &x, &len))
                return err_new(ERR_INVALID, "Invalid template: \"%.*s\"", STR_ARG(s));
            add_variable(cx, &x, ret);
            TRY(scan(cx, x.arg, depth + 1, ret));
            i += len + 1;
        } else if ((len = name_length(str_slice(s, i + 1, s.n))) > 0) {
            x.name = str_slice(s, i + 1, i + 1 + len);
            add_variable(cx, &x, ret);
            i += len;
        }
    }
    return NULL;
}

err_t compose_variables(struct compose_cx *cx, const struct y_node *n, struct map *ret) {
    if (n->kind == Y_SEQ) {
        for (size_t i = 0; i < n->seq.n; i++)
            TRY(compose_variables(cx, n->seq.v[i], ret));
    } else if (n->kind == Y_MAP) {
        for (size_t i = 0; i < n->map.n; i++)
            TRY(compose_variables(cx, n->map.v[i].value, ret));
    } else if (n->kind == Y_STR) {
        return scan(cx, n->text, 0, ret);
    }
    return NULL;
}
