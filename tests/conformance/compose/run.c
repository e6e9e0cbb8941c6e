/* Kinds that load a project. Files live in memory under CASE_ROOT. */
#include "core/compose/stages.h"
#include "tests/conformance/compose/conformance.h"

struct project_case {
    struct arena *a;
    const struct json *c;
    struct map files; /* absolute path -> struct json string */
    struct compose_files reader;
    struct compose_env env;
};

static err_t read_memory(void *ctx, const char *path, struct str *ret) {
    const struct json *text = map_getz(ctx, path);
    if (text == NULL)
        return err_new(ERR_NOT_FOUND, "no such file");
    *ret = text->s;
    return NULL;
}

static const char *const *names(struct arena *a, const struct json *l, size_t *n) {
    const char **v = arena_new_array(a, const char *, json_len(l) + 1);
    *n = json_len(l);
    for (size_t i = 0; i < *n; i++)
        v[i] = json_str_or(json_at(l, i), "");
    return v;
}

static struct project_case *prepare(struct arena *a, const struct json *c) {
    struct project_case *p = arena_new_obj(a, struct project_case);
    p->a = a;
    p->c = c;
    map_init(&p->files, a);
    const struct json *files = json_get(c, "files"), *env = json_get(c, "env");
    for (size_t i = 0; i < json_len(files); i++)
        map_setz(&p->files, compose_path_join(a, CASE_ROOT, files->obj.v[i].key.p), files->obj.v[i].value);
    p->reader = (struct compose_files){read_memory, &p->files};
    compose_env_init(&p->env, a);
    for (size_t i = 0; i < json_len(env); i++)
        compose_env_set(&p->env, env->obj.v[i].key.p, substitute_places(a, json_str_or(env->obj.v[i].value, "")));
    return p;
}

static const char *working_dir(const struct project_case *p) {
    const char *dir = json_get_str(p->c, "working_dir");
    return dir != NULL ? compose_path_join(p->a, CASE_ROOT, substitute_places(p->a, dir)) : NULL;
}

static void fill(const struct project_case *p, struct compose_options *o) {
    const struct json *opt = json_get(p->c, "options");
    o->skip_normalization = json_get_bool(opt, "skip_normalization", false);
    o->skip_consistency = json_get_bool(opt, "skip_consistency_check", false);
    o->skip_validation = json_get_bool(opt, "skip_validation", false);
    o->no_resolve_paths = !json_get_bool(opt, "resolve_paths", true);
    o->discard_env_files = json_get_bool(opt, "discard_env_files", false);
    o->prune_resources = json_get_bool(opt, "prune_unnecessary_resources", false);
    o->any_project_name = json_get_bool(opt, "allow_any_project_name", false);
    o->ignore_dependencies = json_get_bool(p->c, "ignore_dependencies", false);
    o->home = CASE_HOME;
    o->profiles = names(p->a, json_get(p->c, "profiles"), &o->n_profiles);
    o->services = names(p->a, json_get(p->c, "selected_services"), &o->n_services);
    o->enable = names(p->a, json_get(p->c, "enable_services"), &o->n_enable);
}

static void sources(const struct project_case *p, struct compose_options *o) {
    const struct json *list = json_get(p->c, "compose_files");
    struct compose_source *v = arena_new_array(p->a, struct compose_source, json_len(list) + 1);
    for (size_t i = 0; i < json_len(list); i++)
        v[i].path = compose_path_join(p->a, CASE_ROOT, json_str_or(json_at(list, i), ""));
    o->sources = v;
    o->n_sources = json_len(list);
}

/** The project's JSON with the loader facts of "/#..." pointers. */
static struct json *facts(struct arena *a, const struct compose_project *p) {
    struct json *v = json_clone(a, p->canonical), *off = json_object(a), *env = json_object(a), *files = json_array(a);
    for (size_t i = 0; i < p->n_disabled; i++)
        json_set(a, off, p->disabled[i].name, p->disabled[i].canonical);
    for (size_t i = 0; i < p->environment.n; i++)
        json_set_str(a, env, p->environment.v[i].key, p->environment.v[i].value);
    for (size_t i = 0; i < p->compose_files.n; i++)
        json_push(a, files, json_string(a, p->compose_files.v[i]));
    json_set(a, v, "#disabled_services", off);
    json_set(a, v, "#environment", env);
    json_set(a, v, "#compose_files", files);
    json_set_str(a, v, "#working_dir", p->working_dir);
    return v;
}

static void keep_warnings(struct arena *a, const struct compose_project *p, struct outcome *out) {
    out->warnings = json_array(a);
    for (size_t i = 0; i < p->n_warnings; i++)
        json_push(a, out->warnings, json_string(a, p->warnings[i].message));
}

static err_t run_load(struct project_case *p, struct outcome *out) {
    struct compose_options o = {.working_dir = working_dir(p), .env = &p->env};
    if (o.working_dir == NULL)
        o.working_dir = CASE_ROOT;
    fill(p, &o);
    sources(p, &o);
    o.project_name = json_get_str(p->c, "project_name");
    o.project_name_imperative = json_get_bool(p->c, "project_name_imperative", false);
    struct compose_project *project;
    TRY(compose_load(p->a, &o, &p->reader, &project));
    out->value = facts(p->a, project);
    keep_warnings(p->a, project, out);
    return NULL;
}

static err_t run_cli(struct project_case *p, struct outcome *out) {
    struct compose_options o = {0};
    const char *dir = json_get_str(p->c, "working_dir"), *stdin_text = json_get_str(p->c, "stdin");
    struct compose_cli cli = {
        .working_dir = dir != NULL ? substitute_places(p->a, dir) : NULL,
        .base_dir = CASE_ROOT,
        .dot_env = json_get_bool(p->c, "dot_env", false),
        .project_name = json_get_str(p->c, "project_name"),
        .stdin_text = str_of(stdin_text != NULL ? stdin_text : ""),
    };
    cli.files = names(p->a, json_get(p->c, "compose_files"), &cli.n_files);
    cli.env_files = names(p->a, json_get(p->c, "env_files"), &cli.n_env_files);
    fill(p, &o);
    TRY(compose_cli_options(p->a, &cli, &p->env, &p->reader, &o));
    struct compose_project *project;
    TRY(compose_load(p->a, &o, &p->reader, &project));
    out->value = facts(p->a, project);
    keep_warnings(p->a, project, out);
    return NULL;
}

/** Load one text the way the input was loaded. */
static err_t load_text(struct project_case *p, struct compose_options o, const char *text, struct json **ret) {
    struct compose_source src = {.path = "expected.yaml", .text = str_of(text)};
    o.sources = &src;
    o.n_sources = 1;
    struct compose_project *project;
    TRY(compose_load(p->a, &o, &p->reader, &project));
    *ret = project->canonical;
    return NULL;
}

/** The expected tree as YAML: given, or its JSON, which is YAML too. */
static const char *expected_text(struct project_case *p) {
    const struct json *ex = json_get(p->c, "expect");
    const char *yaml = json_get_str(ex, "yaml");
    return yaml != NULL ? yaml : json_to_text(p->a, json_get(ex, "model"));
}

static err_t run_merge(struct project_case *p, struct outcome *out) {
    static const char *const all[] = {"*"};
    const char *dir = working_dir(p);
    struct compose_options o = {.working_dir = dir != NULL ? dir : CASE_ROOT,
                                .env = &p->env,
                                .skip_validation = true,
                                .skip_consistency = true,
                                .skip_normalization = true,
                                .skip_env_files = true,
                                .no_resolve_paths = true,
                                .any_project_name = true,
                                .profiles = all,
                                .n_profiles = 1};
    sources(p, &o);
    struct compose_project *project;
    TRY(compose_load(p->a, &o, &p->reader, &project));
    out->value = project->canonical;
    return load_text(p, o, expected_text(p), &out->want);
}

static err_t run_normalize(struct project_case *p, struct outcome *out) {
    struct compose_options o = {.working_dir = working_dir(p), .env = &p->env};
    fill(p, &o);
    sources(p, &o);
    struct compose_project *project;
    TRY(compose_load(p->a, &o, &p->reader, &project));
    out->value = project->canonical;
    o.skip_normalization = true;
    return load_text(p, o, expected_text(p), &out->want);
}

static err_t run_order(struct project_case *p, struct outcome *out) {
    struct compose_options o = {.working_dir = CASE_ROOT, .env = &p->env};
    fill(p, &o);
    sources(p, &o);
    struct compose_project *project;
    TRY(compose_load(p->a, &o, &p->reader, &project));
    size_t n;
    const char *const *roots = names(p->a, json_get(p->c, "roots"), &n);
    struct compose_strs order;
    TRY(compose_order(p->a, project, z_eq(json_get_str(p->c, "direction"), "up"), roots, n, &order));
    out->value = json_array(p->a);
    for (size_t i = 0; i < order.n; i++)
        json_push(p->a, out->value, json_string(p->a, order.v[i]));
    return NULL;
}

bool run_project(struct arena *a, const char *kind, const struct json *c, struct outcome *out) {
    static const struct {
        const char *kind;
        err_t (*run)(struct project_case *p, struct outcome *out);
    } kinds[] = {{"load", run_load},
                 {"cli_project", run_cli},
                 {"merge", run_merge},
                 {"normalize", run_normalize},
                 {"order", run_order}};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (z_eq(kinds[i].kind, kind)) {
            outcome_error(a, out, kinds[i].run(prepare(a, c), out));
            return true;
        }
    }
    return false;
}

void outcome_error(struct arena *a, struct outcome *out, err_t e) {
    out->ok = e == NULL;
    out->error = e != NULL ? arena_strdup(a, e->message) : NULL;
    if (e != NULL)
        out->value = NULL;
}

bool run_case(struct arena *a, const struct json *c, struct outcome *out) {
    const char *kind = json_str_or(json_get(c, "kind"), "");
    *out = (struct outcome){0};
    return run_project(a, kind, c, out) || run_unit(a, kind, c, out);
}
