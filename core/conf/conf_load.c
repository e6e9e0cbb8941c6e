/* Defaults < file < environment < flags, all problems collected before the answer. */
#include <stdarg.h>
#include <string.h>
#include "core/base/check.h"
#include "core/conf/conf_schema.h"

void conf_problem(struct conf_loader *l, const char *at, const char *fmt, ...) {
    if (l->problems.n == CONF_PROBLEMS_MAX) {
        l->more++;
        return;
    }
    va_list ap;
    va_start(ap, fmt);
    const char *text = arena_vprintf(l->a, fmt, ap);
    va_end(ap);
    *vec_push(l->a, &l->problems) = at != NULL ? arena_printf(l->a, "%s: %s", at, text) : text;
}

void conf_warning(struct conf_loader *l, const char *fmt, ...) {
    if (l->warnings.n == CONF_PROBLEMS_MAX)
        return;
    va_list ap;
    va_start(ap, fmt);
    *vec_push(l->a, &l->warnings) = arena_vprintf(l->a, fmt, ap);
    va_end(ap);
}

static void set(struct conf_loader *l, const struct conf_key *k, const char *at, struct str value) {
    err_t e = conf_value_set(l->a, l->c, k, value);
    if (e != NULL)
        conf_problem(l, at, "%s: %s", k->key, e->message);
}

static struct conf *with_defaults(struct arena *a) {
    struct conf *c = arena_new_obj(a, struct conf);
    for (size_t i = 0; i < conf_n_keys; i++)
        CHECK(conf_value_set(a, c, &conf_keys[i], str_of(conf_keys[i].dflt)) == NULL);
    return c;
}

const struct conf *conf_defaults(struct arena *a) {
    struct arena *old = arena_set_current(a);
    struct conf *c = with_defaults(a);
    arena_set_current(old);
    return c;
}

/* ---- environment ---- */

static const char *env_get(const struct conf_input *in, const char *name) {
    size_t n = strlen(name);
    for (const char *const *e = in->env; e != NULL && *e != NULL; e++)
        if (strncmp(*e, name, n) == 0 && (*e)[n] == '=')
            return *e + n + 1;
    return NULL;
}

/* One name and its _FILE twin; true if either gave a value (or was wrong). */
static bool apply_env_name(struct conf_loader *l, const struct conf_input *in, const struct conf_key *k,
                           const char *name) {
    const char *value = env_get(in, name), *file_name = arena_printf(l->a, "%s_FILE", name);
    const char *file = k->type == CONF_TEXT ? env_get(in, file_name) : NULL;
    const char *at = arena_printf(l->a, "environment %s", name);
    if (value != NULL && file != NULL) {
        conf_problem(l, at, "%s: set either %s or %s, not both", k->key, name, file_name);
        return true;
    }
    if (value != NULL) {
        set(l, k, at, str_of(value));
        return true;
    }
    if (file == NULL)
        return false;
    size_t n = 0;
    const char *why = NULL;
    at = arena_printf(l->a, "environment %s", file_name);
    char *text = conf_read_file(l->a, file, KIB(64), &n, &why);
    if (text == NULL) {
        conf_problem(l, at, "%s: %s: %s", k->key, file, why);
        return true;
    }
    /* editors and echo put a line end there that is not part of the secret */
    if (n > 0 && text[n - 1] == '\n')
        n--;
    if (n > 0 && text[n - 1] == '\r')
        n--;
    if (n == 0)
        conf_problem(l, at, "%s: %s is empty", k->key, file);
    else
        set(l, k, at, str_n(text, n));
    return true;
}

/* Names of ours that are not settings of the server. */
static bool foreign_env(struct str name) {
    static const char *const others[] = {"DOCKFLOW_CONFIG", "DOCKFLOW_SERVER", "DOCKFLOW_TOKEN", "DOCKFLOW_CONTEXT"};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (str_eqz(name, others[i]))
            return true;
    return str_starts(name, STR("DOCKFLOW_FAULT"));
}

static bool known_env(struct arena *a, struct str name) {
    for (size_t i = 0; i < conf_n_keys; i++) {
        struct str own = str_of(conf_env_name(a, &conf_keys[i]));
        if (str_eq(name, own))
            return true;
        if (conf_keys[i].type == CONF_TEXT && str_starts(name, own) && str_eqz(str_slice(name, own.n, name.n), "_FILE"))
            return true;
    }
    return foreign_env(name);
}

static void apply_env(struct conf_loader *l, const struct conf_input *in) {
    for (size_t i = 0; i < conf_n_keys; i++) {
        const struct conf_key *k = &conf_keys[i];
        if (!apply_env_name(l, in, k, conf_env_name(l->a, k)) && k->env != NULL)
            (void)apply_env_name(l, in, k, k->env);
    }
    for (const char *const *e = in->env; e != NULL && *e != NULL; e++) {
        struct str rest = str_of(*e), name;
        if (!z_starts(*e, "DOCKFLOW_") || !str_cut(&rest, '=', &name) || known_env(l->a, name))
            continue;
        conf_warning(l, "environment %.*s is not a setting and is ignored", (int)(name.n < 80 ? name.n : 80), name.p);
    }
}

/* ---- flags ---- */

struct flags {
    const struct conf_input *in;
    int at;
    const char *config;
    struct conf_result *ret;
};

/* "--name=value", "--name value", and "--name" alone for truth values. */
static const char *flag_value(struct flags *f, struct str rest, bool is_bool) {
    if (rest.p != NULL)
        return rest.p;
    const char *next = f->at + 1 < f->in->argc ? f->in->argv[f->at + 1] : NULL;
    if (is_bool && (next == NULL || z_starts(next, "-")))
        return "true";
    if (next != NULL)
        f->at++;
    return next;
}

static bool switch_flag(struct flags *f, struct str name) {
    struct conf_result *r = f->ret;
    const struct {
        const char *name;
        bool *flag;
    } switches[] = {{"check-config", &r->check_config},
                    {"print-config", &r->print_docs},
                    {"openapi", &r->openapi},
                    {"help", &r->help},
                    {"version", &r->version}};
    for (size_t i = 0; i < ARRAY_LEN(switches); i++) {
        if (str_eqz(name, switches[i].name)) {
            *switches[i].flag = true;
            return true;
        }
    }
    return false;
}

static void apply_flag(struct conf_loader *l, struct flags *f, bool first_pass) {
    const char *arg = f->in->argv[f->at];
    struct str rest = str_of(arg), name;
    if (!z_starts(arg, "--") || arg[2] == 0) {
        if (first_pass)
            conf_problem(l, NULL, "unexpected argument \"%.80s\"", arg);
        return;
    }
    rest = str_slice(rest, 2, rest.n);
    (void)str_cut(&rest, '=', &name);
    if (rest.p == NULL && switch_flag(f, name))
        return;
    const struct conf_key *k = conf_key_find(name);
    bool config = str_eqz(name, "config");
    if (k == NULL && !config) {
        const char *similar = conf_key_similar(name);
        if (first_pass)
            conf_problem(l, NULL, "unknown flag --%.*s%s%s", (int)(name.n < 80 ? name.n : 80), name.p,
                         similar != NULL ? "; did you mean --" : "", similar != NULL ? similar : "");
        return;
    }
    const char *value = flag_value(f, rest, k != NULL && k->type == CONF_BOOL);
    const char *at = arena_printf(l->a, "flag --%.*s", STR_ARG(name));
    if (value == NULL && first_pass)
        conf_problem(l, at, "a value is missing");
    if (value == NULL)
        return;
    if (config)
        f->config = value;
    else if (first_pass && k->no_flag)
        conf_problem(l, at, "%s is a secret: other users could see it in the process list; use the environment %s_FILE",
                     k->key, conf_env_name(l->a, k));
    else if (!first_pass && !k->no_flag)
        set(l, k, at, str_of(value));
}

/* Twice: first for --config and mistakes, then, over file and environment, for the values. */
static void walk_flags(struct conf_loader *l, struct flags *f, bool first_pass) {
    for (f->at = 0; f->at < f->in->argc; f->at++)
        apply_flag(l, f, first_pass);
}

/* ---- all together ---- */

static void apply_file(struct conf_loader *l, const struct conf_input *in, const char *flag, struct conf_result *ret) {
    const char *named = flag != NULL ? flag : env_get(in, "DOCKFLOW_CONFIG");
    bool is_named = named != NULL && named[0] != 0, was_read = false;
    const char *path = arena_strdup(l->a, is_named ? named : in->default_path);
    if (path == NULL)
        return;
    conf_yaml_apply(l, path, is_named, &was_read);
    if (was_read)
        ret->path = path;
}

static err_t answer(const struct conf_loader *l) {
    if (l->problems.n == 0)
        return NULL;
    size_t others = l->problems.n - 1 + l->more;
    err_t e = others == 0 ? err_new(ERR_CONFIG, "%s", l->problems.v[0])
                          : err_new(ERR_CONFIG, "%s (and %zu more)", l->problems.v[0], others);
    for (size_t i = 0; i < l->problems.n; i++)
        e = err_detail(e, "problem", l->problems.v[i]);
    return e;
}

static err_t load(struct arena *a, const struct conf_input *in, struct conf_result *ret) {
    struct conf_loader l = {.a = a, .c = with_defaults(a)};
    struct conf_result r = {0};
    struct flags f = {.in = in, .ret = &r};
    walk_flags(&l, &f, true);
    apply_file(&l, in, f.config, &r);
    apply_env(&l, in);
    walk_flags(&l, &f, false);
    if (l.problems.n == 0) /* else a combination may only look wrong */
        conf_check_together(&l);
    r.conf = l.c;
    r.warnings = (struct conf_list){l.warnings.v, l.warnings.n};
    err_t e = answer(&l);
    if (e == NULL || r.help || r.version || r.print_docs || r.openapi) {
        *ret = r;
        return NULL;
    }
    return e;
}

err_t conf_load(struct arena *a, const struct conf_input *in, struct conf_result *ret) {
    struct arena *old = arena_set_current(a); /* the rules' errors are short-lived texts of this load */
    err_t e = load(a, in, ret);
    arena_set_current(old);
    return e;
}
