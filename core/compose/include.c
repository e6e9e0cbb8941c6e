#include "core/compose/stages.h"

#define MAX_DEPTH 16

struct inc {
    const char *const *paths;
    size_t n;
    const char *project_dir;
    const struct y_node *node;
};

static err_t local_path(struct compose_cx *cx, const char *dir, const struct y_node *n, const char **ret) {
    const char *s = y_str(n);
    if (s == NULL)
        return y_error(ERR_SCHEMA, n, "include", "include: a path must be a string");
    if (compose_is_remote(s))
        return y_hint(y_error(ERR_NOT_IMPLEMENTED, n, "include", "include of a remote resource is refused: %s", s),
                      "copy the files into the repository");
    *ret = compose_path_join(cx->a, dir, s);
    return NULL;
}

static err_t read_entry(struct compose_cx *cx, const char *dir, struct y_node *n, struct inc *ret) {
    struct y_node *paths = y_get(n, "path"), *project = y_get(n, "project_directory");
    if (!y_is(n, Y_MAP) || !y_is(paths, Y_SEQ) || paths->seq.n == 0)
        return y_hint(y_error(ERR_SCHEMA, n, "include", "include needs at least one path"),
                      "write `- path: file.yaml`");
    const char **v = arena_new_array(cx->a, const char *, paths->seq.n);
    for (size_t i = 0; i < paths->seq.n; i++)
        TRY(local_path(cx, dir, paths->seq.v[i], &v[i]));
    const char *project_dir = compose_path_dir(cx->a, v[0]);
    if (y_str(project) != NULL && project->text.n > 0)
        TRY(local_path(cx, dir, project, &project_dir));
    *ret = (struct inc){v, paths->seq.n, project_dir, n};
    return NULL;
}

static err_t check_cycle(struct compose_cx *cx, const struct inc *inc, const struct compose_chain *chain) {
    unsigned depth = 0;
    char *names = arena_printf(cx->a, " include %s", inc->paths[0]);
    for (const struct compose_chain *c = chain; c != NULL; c = c->up) {
        names = arena_printf(cx->a, "%s\n%s", c->file, names);
        if (z_eq(c->file, inc->paths[0]))
            return y_error(ERR_INVALID, inc->node, "include", "include cycle detected:\n%s", names);
        if (++depth > MAX_DEPTH)
            return y_error(ERR_INVALID, inc->node, "include", "include is nested more than %d deep", MAX_DEPTH);
    }
    return NULL;
}

static err_t add_env_file(struct compose_cx *cx, const char *path, const struct y_node *at,
                          const struct compose_env *env, struct map *vars) {
    struct str text;
    TRY(compose_read_file(cx, path, at, &text));
    return compose_dotenv(cx, text, path, env, vars);
}

/** The includer's environment wins over env_file (or the .env beside the included file). */
static err_t environment(struct compose_cx *cx, const struct inc *inc, const char *dir, const struct compose_env *env,
                         struct compose_env *ret) {
    compose_env_init(ret, cx->a);
    struct map vars;
    map_init(&vars, cx->a);
    const struct y_node *files = y_get(inc->node, "env_file");
    for (size_t i = 0; y_is(files, Y_SEQ) && i < files->seq.n; i++) {
        const char *path;
        if (z_eq(y_str(files->seq.v[i]), "/dev/null"))
            continue;
        TRY(local_path(cx, dir, files->seq.v[i], &path));
        TRY(add_env_file(cx, path, files->seq.v[i], env, &vars));
    }
    if (y_len(files) == 0) {
        err_t e = add_env_file(cx, compose_path_join(cx->a, inc->project_dir, ".env"), inc->node, env, &vars);
        if (e != NULL && !err_is(e, ERR_NOT_FOUND))
            return e;
    }
    for (struct map_entry *e = NULL; (e = map_next(&vars, e)) != NULL;)
        map_set(&ret->vars, e->key, e->value);
    for (struct map_entry *e = NULL; env != NULL && (e = map_next(&env->vars, e)) != NULL;)
        map_set(&ret->vars, e->key, e->value);
    return NULL;
}

/** What the including file says about the same resource is an override of the included one. */
static err_t import_section(struct compose_cx *cx, struct y_node *from, struct y_node *into, const char *section) {
    struct y_node *src = y_get(from, section), *dst = y_get(into, section);
    if (!y_is(src, Y_MAP))
        return NULL;
    if (y_null(dst)) {
        y_set(cx->a, into, section, src);
        return NULL;
    }
    if (dst->kind != Y_MAP)
        return y_error(ERR_SCHEMA, dst, section, "%s must be a mapping", section);
    const struct cs *s = cs_field(&compose_schema, str_of(section))->item;
    for (size_t i = 0; i < src->map.n; i++) {
        struct str key = src->map.v[i].key;
        struct y_node *own = y_getn(dst, key), *merged = src->map.v[i].value;
        if (own != NULL)
            TRY(compose_merge(cx, s, merged, own, C_KEY(C_KEY(NULL, str_of(section)), key), &merged));
        y_put(cx->a, dst, &src->map.v[i], merged);
    }
    return NULL;
}

static err_t include_one(struct compose_cx *cx, struct y_node *into, const char *dir, struct y_node *n,
                         const struct compose_env *env, const struct compose_chain *chain) {
    static const char *const sections[] = {"services", "volumes", "networks", "secrets", "configs", "models"};
    struct inc inc;
    TRY(read_entry(cx, dir, n, &inc));
    TRY(check_cycle(cx, &inc, chain));
    struct compose_env *child = arena_new_obj(cx->a, struct compose_env);
    TRY(environment(cx, &inc, dir, env, child));
    struct compose_source *sources = arena_new_array(cx->a, struct compose_source, inc.n);
    struct yaml_docs *docs = arena_new_array(cx->a, struct yaml_docs, inc.n);
    for (size_t i = 0; i < inc.n; i++) {
        sources[i].path = inc.paths[i];
        TRY(compose_read_docs(cx, &sources[i], inc.project_dir, n, &docs[i]));
    }
    struct compose_load_args in = {.sources = sources,
                                   .docs = docs,
                                   .n = inc.n,
                                   .dir = inc.project_dir,
                                   .env = child,
                                   .chain = chain,
                                   .resolve_paths = true};
    struct y_node *tree;
    TRY(compose_load_tree(cx, &in, &tree));
    for (size_t i = 0; i < ARRAY_LEN(sections); i++)
        TRY(import_section(cx, tree, into, sections[i]));
    return NULL;
}

err_t compose_include(struct compose_cx *cx, struct y_node *file_tree, const char *dir, const struct compose_env *env,
                      const struct compose_chain *chain) {
    struct y_node *list = y_get(file_tree, "include");
    if (y_null(list)) {
        y_del(file_tree, "include");
        return NULL;
    }
    const struct cs *s = cs_field(&compose_schema, STR("include"));
    const struct c_path *at = C_KEY(NULL, STR("include"));
    TRY(compose_validate(cx, s, list, at));
    TRY(compose_canonical(cx, s, &list, at));
    for (size_t i = 0; i < list->seq.n; i++)
        TRY(include_one(cx, file_tree, dir, list->seq.v[i], env, chain));
    y_del(file_tree, "include");
    return NULL;
}
