/* What `docker compose` does in front of the loader: find the files, read .env, name the project. */
#include "core/compose/stages.h"

struct cli {
    struct compose_cx *cx;
    const struct compose_cli *c;
    struct compose_env *env;
    const struct compose_files *files;
};

static err_t read_text(const struct cli *l, const char *path, struct str *ret) {
    return compose_read_file(l->cx, path, NULL, ret);
}

/** Whether there is such a file. One that is there and cannot be read (a link, too large) is an error, not passed over. */
static err_t exists(const struct cli *l, const char *path, bool *ret) {
    struct str text;
    err_t e = read_text(l, path, &text);
    *ret = e == NULL;
    return e != NULL && !err_is(e, ERR_NOT_FOUND) ? e : NULL;
}

/** Variables of the caller win over those of the files. */
static err_t read_env(const struct cli *l, const char *path, struct map *vars) {
    struct str text;
    TRY(read_text(l, path, &text));
    return compose_dotenv(l->cx, text, path, l->env, vars);
}

static err_t read_env_files(const struct cli *l, const char *dir) {
    struct map vars;
    map_init(&vars, l->cx->a);
    for (size_t i = 0; i < l->c->n_env_files; i++)
        TRY(read_env(l, compose_path_join(l->cx->a, l->c->base_dir, l->c->env_files[i]), &vars));
    char *dot = compose_path_join(l->cx->a, dir, ".env");
    bool there = false;
    if (l->c->n_env_files == 0 && l->c->dot_env)
        TRY(exists(l, dot, &there));
    if (there)
        TRY(read_env(l, dot, &vars));
    for (struct map_entry *e = NULL; (e = map_next(&vars, e)) != NULL;) {
        if (!map_has(&l->env->vars, e->key))
            map_set(&l->env->vars, e->key, e->value);
    }
    return NULL;
}

static void add(struct arena *a, compose_names *v, const char *path) { *vec_push(a, v) = path; }

/** The first of four names that is a file of the directory. */
static err_t find_one(const struct cli *l, const char *dir, const char *const names[4], compose_names *ret) {
    for (size_t i = 0; i < 4; i++) {
        const char *path = compose_path_join(l->cx->a, dir, names[i]);
        bool there;
        TRY(exists(l, path, &there));
        if (!there)
            continue;
        add(l->cx->a, ret, path);
        return NULL;
    }
    return NULL;
}

/** Default names in the directory or, going up as far as the fence, in the first parent that has one; with its override file. */
static err_t find_default(const struct cli *l, const char *dir, compose_names *ret) {
    static const char *const names[4] = {"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"};
    static const char *const overrides[4] = {"compose.override.yaml", "compose.override.yml",
                                             "docker-compose.override.yml", "docker-compose.override.yaml"};
    struct arena *a = l->cx->a;
    const char *root = l->cx->o != NULL ? l->cx->o->root : NULL;
    for (char *d = arena_strdup(a, dir);; d = compose_path_dir(a, d)) {
        TRY(find_one(l, d, names, ret));
        if (ret->n > 0)
            return find_one(l, d, overrides, ret);
        if (z_eq(d, "/") || z_eq(d, root))
            return y_hint(err_new(ERR_NOT_FOUND, "no configuration file provided: not found"), "add a compose.yaml");
    }
}

static err_t find_files(const struct cli *l, const char *dir, compose_names *ret) {
    struct arena *a = l->cx->a;
    for (size_t i = 0; i < l->c->n_files; i++)
        add(a, ret, z_eq(l->c->files[i], "-") ? "-" : compose_path_join(a, l->c->base_dir, l->c->files[i]));
    const char *list = compose_env_get(l->env, "COMPOSE_FILE");
    if (ret->n > 0)
        return NULL;
    if (list == NULL || list[0] == '\0')
        return find_default(l, dir, ret);
    const char *sep = compose_env_get(l->env, "COMPOSE_PATH_SEPARATOR");
    struct str rest = str_of(list), part;
    while (str_cut(&rest, (char)(sep != NULL && sep[0] != '\0' ? sep[0] : ':'), &part)) {
        if (part.n > 0)
            add(a, ret, compose_path_join(a, dir, str_z(a, part)));
    }
    return NULL;
}

/** Option, then COMPOSE_PROJECT_NAME; the directory's name is the last resort and a file's `name:` beats it. */
static err_t name_project(const struct cli *l, const char *dir, struct compose_options *o) {
    const char *name = l->c->project_name;
    if (name == NULL || name[0] == '\0')
        name = compose_env_get(l->env, "COMPOSE_PROJECT_NAME");
    o->project_name_imperative = name != NULL && name[0] != '\0';
    if (!o->project_name_imperative) {
        const char *base = strrchr(dir, '/');
        name = compose_name_from(l->cx->a, base != NULL ? base + 1 : dir);
    }
    o->project_name = name;
    return NULL;
}

err_t compose_cli_options(struct arena *a, const struct compose_cli *c, const struct compose_env *env,
                          const struct compose_files *files, struct compose_options *o) {
    struct compose_cx cx;
    compose_cx_init(&cx, a, o, files);
    struct compose_env *own = arena_new_obj(a, struct compose_env);
    compose_env_init(own, a);
    for (struct map_entry *e = NULL; env != NULL && (e = map_next(&env->vars, e)) != NULL;)
        map_set(&own->vars, e->key, e->value);
    struct cli l = {&cx, c, own, files};
    const char *dir = c->base_dir;
    if (c->working_dir != NULL)
        dir = compose_path_join(a, c->base_dir, c->working_dir);
    else if (c->n_files > 0 && !z_eq(c->files[0], "-"))
        dir = compose_path_dir(a, compose_path_join(a, c->base_dir, c->files[0]));
    TRY(read_env_files(&l, dir));
    compose_names names = {0};
    TRY(find_files(&l, dir, &names));
    if (c->working_dir == NULL && names.n > 0 && !z_eq(names.v[0], "-"))
        dir = compose_path_dir(a, names.v[0]);
    struct compose_source *sources = arena_new_array(a, struct compose_source, names.n);
    for (size_t i = 0; i < names.n; i++) {
        sources[i].path = names.v[i];
        if (z_eq(names.v[i], "-"))
            sources[i].text = c->stdin_text.p != NULL ? c->stdin_text : STR("");
    }
    o->sources = sources;
    o->n_sources = names.n;
    o->working_dir = dir;
    o->env = own;
    return name_project(&l, dir, o);
}
