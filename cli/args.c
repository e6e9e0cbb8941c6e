#include "cli/cli.h"

static const struct arg_def *find(const struct arg_def *defs, struct str name, char letter) {
    for (; defs && defs->name; defs++)
        if (letter ? defs->letter == letter : str_eqz(name, defs->name))
            return defs;
    return NULL;
}

static void add(struct args *args, const struct arg_def *def, const char *value) {
    struct arg_values *v = map_getz(&args->options, def->name);
    if (v == NULL) {
        v = arena_new_obj(args->a, struct arg_values);
        v->v = arena_new_array(args->a, const char *, 256);
        map_setz(&args->options, def->name, v);
    }
    if (v->n < 256)
        v->v[v->n++] = value;
}

static err_t take(struct args *args, const struct arg_def *def, const char *shown, const char *inline_value, int argc,
                  char **argv, int *i) {
    if (!def->value) {
        if (inline_value)
            return err_new(ERR_INVALID, "option %s takes no value", shown);
        add(args, def, "");
        return NULL;
    }
    if (inline_value == NULL && *i + 1 >= argc)
        return err_new(ERR_INVALID, "option %s needs a value", shown);
    add(args, def, inline_value ? inline_value : argv[++*i]);
    return NULL;
}

static err_t one(struct args *args, const struct arg_def *defs, int argc, char **argv, int *i) {
    const char *arg = argv[*i];
    const struct arg_def *def;
    if (arg[1] == '-') {
        struct str rest = str_of(arg + 2), name;
        (void)str_cut(&rest, '=', &name);
        def = find(defs, name, 0);
        if (def == NULL)
            return err_new(ERR_INVALID, "unknown option --%.*s", STR_ARG(name));
        return take(args, def, arg, strchr(arg, '=') ? strchr(arg, '=') + 1 : NULL, argc, argv, i);
    }
    for (const char *p = arg + 1; *p; p++) {
        def = find(defs, (struct str){0}, *p);
        if (def == NULL)
            return err_new(ERR_INVALID, "unknown option -%c", *p);
        if (def->value)
            return take(args, def, arg, p[1] ? p + 1 : NULL, argc, argv, i);
        add(args, def, "");
    }
    return NULL;
}

err_t args_parse(struct arena *a, int argc, char **argv, const struct arg_def *defs, struct args *ret) {
    *ret = (struct args){.a = a};
    map_init(&ret->options, a);
    ret->words = arena_new_array(a, const char *, (size_t)argc + 1);
    bool only_words = false;
    for (int i = 0; i < argc; i++) {
        if (!only_words && z_eq(argv[i], "--"))
            only_words = true;
        else if (only_words || argv[i][0] != '-' || argv[i][1] == '\0')
            ret->words[ret->n_words++] = argv[i];
        else
            TRY(one(ret, defs, argc, argv, &i));
    }
    return NULL;
}

bool arg_has(const struct args *args, const char *name) { return map_has(&args->options, str_of(name)); }

const struct arg_values *arg_all(const struct args *args, const char *name) {
    static const struct arg_values none;
    const struct arg_values *v = map_getz(&args->options, name);
    return v ? v : &none;
}

const char *arg_get(const struct args *args, const char *name) {
    const struct arg_values *v = arg_all(args, name);
    return v->n ? v->v[v->n - 1] : NULL;
}

const char *arg_word(const struct args *args, size_t i) { return i < args->n_words ? args->words[i] : NULL; }

err_t arg_int(const struct args *args, const char *name, int64_t dflt, int64_t min, int64_t max, int64_t *ret) {
    const char *text = arg_get(args, name);
    *ret = dflt;
    if (text && str_to_i64(str_of(text), min, max, ret) != NULL)
        return err_new(ERR_INVALID, "--%s must be a whole number from %lld to %lld", name, (long long)min,
                       (long long)max);
    return NULL;
}
