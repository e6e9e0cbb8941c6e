#include "core/compose/stages.h"

struct loading {
    struct compose_cx *cx;
    struct compose_env env;
    struct yaml_docs *docs;
    const char *name;
};

static err_t read_sources(struct loading *l) {
    const struct compose_options *o = l->cx->o;
    if (o->n_sources == 0)
        return err_new(ERR_INVALID, "no compose file given");
    l->docs = arena_new_array(l->cx->a, struct yaml_docs, o->n_sources);
    for (size_t i = 0; i < o->n_sources; i++)
        TRY(compose_read_docs(l->cx, &o->sources[i], o->working_dir, NULL, &l->docs[i]));
    return NULL;
}

/** `name:` of the last document that has one, interpolated. */
static err_t name_of_files(struct loading *l, const char **ret, const struct y_node **at) {
    for (size_t i = 0; i < l->cx->o->n_sources; i++) {
        for (size_t d = 0; d < l->docs[i].n; d++) {
            const struct y_node *n = y_get(l->docs[i].v[d], "name");
            struct y_node *copy = y_clone(l->cx->a, n);
            if (!y_is(copy, Y_STR) || copy->text.n == 0)
                continue;
            if (!l->cx->o->skip_interpolation)
                TRY(compose_interpolate(l->cx, &l->env, copy));
            *ret = copy->text.p;
            *at = n;
        }
    }
    return NULL;
}

static err_t project_name(struct loading *l) {
    const struct compose_options *o = l->cx->o;
    const struct y_node *at = NULL;
    const char *name = NULL;
    if (o->project_name == NULL || !o->project_name_imperative)
        TRY(name_of_files(l, &name, &at));
    if (name == NULL || name[0] == '\0')
        name = o->project_name;
    if (name == NULL || name[0] == '\0')
        return NULL;
    if (!o->any_project_name && !compose_name_ok(name))
        return y_hint(
            y_error(
                ERR_INVALID, at, "name",
                "invalid project name \"%s\": must consist only of lowercase alphanumeric characters, hyphens, and underscores as "
                "well as start with a letter or number",
                name),
            arena_printf(l->cx->a, "for example \"%s\"", compose_name_from(l->cx->a, name)));
    l->name = name;
    compose_env_set(&l->env, "COMPOSE_PROJECT_NAME", name);
    return NULL;
}

static void copy_env(struct loading *l) {
    const struct compose_env *from = l->cx->o->env;
    compose_env_init(&l->env, l->cx->a);
    for (struct map_entry *e = NULL; from != NULL && (e = map_next(&from->vars, e)) != NULL;)
        map_set(&l->env.vars, e->key, arena_strdup(l->cx->a, e->value));
}

static err_t service_environments(struct loading *l, struct y_node *services) {
    for (size_t i = 0; y_is(services, Y_MAP) && i < services->map.n; i++) {
        if (services->map.v[i].value->kind == Y_MAP)
            TRY(compose_env_files(l->cx, services->map.v[i].value, services->map.v[i].key.p, &l->env));
    }
    return NULL;
}

/** The project-level half of the pipeline, on the merged tree. */
static err_t finish(struct loading *l, struct y_node *tree, struct compose_project *p) {
    struct compose_cx *cx = l->cx;
    const struct compose_options *o = cx->o;
    if (l->name == NULL && !o->any_project_name)
        return y_hint(err_new(ERR_INVALID, "project name must not be empty"), "add `name:` to the compose file");
    if (l->name != NULL)
        y_set(cx->a, tree, "name", y_new_str(cx->a, l->name, y_get(tree, "name") != NULL ? y_get(tree, "name") : tree));
    if (!o->skip_normalization)
        TRY(compose_normalize(cx, tree, &l->env));
    struct compose_selection sel;
    TRY(compose_select(cx, tree, &sel));
    if (!o->skip_consistency)
        TRY(compose_consistency(cx, tree, sel.disabled));
    if (!o->skip_env_files)
        TRY(service_environments(l, y_get(tree, "services")));
    if (o->prune_resources)
        compose_prune(cx, tree);
    return compose_model(cx, tree, sel.disabled, p);
}

static void facts(struct loading *l, struct compose_project *p) {
    const struct compose_options *o = l->cx->o;
    p->working_dir = o->working_dir;
    p->compose_files.v = arena_new_array(l->cx->a, const char *, o->n_sources + 1);
    p->compose_files.n = o->n_sources;
    p->compose_files.set = true;
    for (size_t i = 0; i < o->n_sources; i++)
        p->compose_files.v[i] = compose_path_join(l->cx->a, o->working_dir, o->sources[i].path);
    p->environment.v = arena_new_array(l->cx->a, struct compose_kv, l->env.vars.n + 1);
    for (struct map_entry *e = NULL; (e = map_next(&l->env.vars, e)) != NULL;)
        p->environment.v[p->environment.n++] = (struct compose_kv){e->key.p, e->value};
    p->warnings = l->cx->warnings.v;
    p->n_warnings = l->cx->warnings.n;
}

err_t compose_load(struct arena *a, const struct compose_options *o, const struct compose_files *files,
                   struct compose_project **ret) {
    struct compose_cx cx;
    compose_cx_init(&cx, a, o, files);
    struct loading l = {.cx = &cx};
    if (o->working_dir == NULL || o->working_dir[0] != '/')
        return err_new(ERR_INVALID, "working directory must be an absolute path");
    copy_env(&l);
    TRY(read_sources(&l));
    TRY(project_name(&l));
    struct compose_load_args in = {.sources = o->sources,
                                   .docs = l.docs,
                                   .n = o->n_sources,
                                   .dir = o->working_dir,
                                   .env = &l.env,
                                   .resolve_paths = !o->no_resolve_paths};
    struct y_node *tree;
    TRY(compose_load_tree(&cx, &in, &tree));
    struct compose_project *p = arena_new_obj(a, struct compose_project);
    p->a = a;
    TRY(finish(&l, tree, p));
    facts(&l, p);
    *ret = p;
    return NULL;
}
