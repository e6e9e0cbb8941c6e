#include "core/gitops/manifest.h"
#include "core/compose/yaml.h"
#include "core/git/git.h"

#define API_VERSION "dockflow.io/v1"
enum { MAX_ENVIRONMENTS = 50, NAME_MAX_LEN = 63 };

/* ---- reading with places ---- */

static err_t unknown_key(const struct y_node *map, const struct y_entry *e, const char *path) {
    struct y_node at = {.file = map->file, .line = e->line, .col = e->col};
    return y_error(ERR_UNKNOWN_FIELD, &at, path, "'%.*s' is not a field of %s", STR_ARG(e->key), path);
}

static err_t check_map(const struct y_node *n, const struct y_node *parent, const char *path,
                       const char *const *known) {
    if (n == NULL)
        return NULL;
    if (!y_is(n, Y_MAP))
        return y_error(ERR_SCHEMA, n->line ? n : parent, path, "%s must be a mapping, not a %s", path,
                       y_kind_name(n->kind));
    for (size_t i = 0; i < n->map.n; i++) {
        bool found = false;
        for (const char *const *k = known; *k && !found; k++)
            found = str_eqz(n->map.v[i].key, *k);
        if (!found)
            return unknown_key(n, &n->map.v[i], path);
    }
    return NULL;
}

static err_t text_of(const struct y_node *map, const char *key, const char *path, const char **ret) {
    const struct y_node *n = y_get(map, key);
    if (n == NULL || y_is(n, Y_NULL))
        return NULL;
    if (!y_is(n, Y_STR))
        return y_error(ERR_SCHEMA, n, path, "%s must be a string, not a %s", path, y_kind_name(n->kind));
    *ret = y_str(n);
    return NULL;
}

static err_t flag_of(const struct y_node *map, const char *key, const char *path, struct arena *a, struct json *out) {
    const struct y_node *n = y_get(map, key);
    if (n == NULL)
        return NULL;
    if (!y_is(n, Y_BOOL))
        return y_error(ERR_SCHEMA, n, path, "%s must be true or false, not a %s", path, y_kind_name(n->kind));
    json_set_bool(a, out, key, n->b);
    return NULL;
}

static bool name_ok(const char *z) {
    size_t n = strlen(z);
    return n > 0 && n <= NAME_MAX_LEN && strspn(z, "abcdefghijklmnopqrstuvwxyz0123456789-") == n && z[0] != '-' &&
           z[n - 1] != '-';
}

static err_t name_of(const struct y_node *map, const char *key, const char *path, const struct y_node *parent,
                     const char **ret) {
    const struct y_node *n = y_get(map, key);
    if (n == NULL)
        return y_error(ERR_MISSING_FIELD, map ? map : parent, path, "%s is required", path);
    TRY(text_of(map, key, path, ret));
    if (*ret == NULL || !name_ok(*ret))
        return y_error(ERR_SCHEMA, n, path, "%s must be 1 to %d of a-z, 0-9 and '-', not starting or ending with '-'",
                       path, NAME_MAX_LEN);
    return NULL;
}

/* Values are written as they look: PORT: 8080 is the text "8080". */
static err_t strings_of(struct arena *a, const struct y_node *n, const char *path, const char **ret) {
    struct json *out = json_object(a);
    if (n && !y_is(n, Y_NULL) && !y_is(n, Y_MAP))
        return y_error(ERR_SCHEMA, n, path, "%s must be a mapping, not a %s", path, y_kind_name(n->kind));
    for (size_t i = 0; n != NULL && n->kind == Y_MAP && i < n->map.n; i++) {
        const struct y_node *v = n->map.v[i].value;
        if (!y_scalar(v))
            return y_error(ERR_SCHEMA, v, path, "values of %s are strings, not a %s", path, y_kind_name(v->kind));
        json_setn(a, out, n->map.v[i].key, json_string(a, y_str(v) ? y_str(v) : ""));
    }
    *ret = json_to_text(a, out);
    return NULL;
}

/* ---- parts of the spec ---- */

static err_t read_repository(struct arena *a, const struct y_node *spec, struct manifest_app *m) {
    static const char *const known[] = {"url", "branch", "path", NULL};
    const struct y_node *r = y_get(spec, "repository");
    const char *path = NULL;
    m->branch = m->path = "";
    TRY(check_map(r, spec, "spec.repository", known));
    TRY(text_of(r, "url", "spec.repository.url", &m->url));
    m->url_at = y_get(r, "url");
    TRY(text_of(r, "branch", "spec.repository.branch", &m->branch));
    if (*m->branch && !git_ref_valid(m->branch))
        return y_error(ERR_INVALID, y_get(r, "branch"), "spec.repository.branch",
                       "'%s' is not a legal branch, tag or commit", m->branch);
    TRY(text_of(r, "path", "spec.repository.path", &path));
    err_t e = path ? git_path_clean(a, path, &m->path) : NULL;
    return e ? y_error(e->code, y_get(r, "path"), "spec.repository.path", "%s", e->message) : NULL;
}

static err_t add_file(struct arena *a, const struct y_node *n, struct json *files) {
    const char *clean;
    if (!y_is(n, Y_STR))
        return y_error(ERR_SCHEMA, n, "spec.docker.composeFiles", "a Compose file is named by a string, not a %s",
                       y_kind_name(n->kind));
    err_t e = git_path_clean(a, y_str(n), &clean);
    if (e)
        return y_error(e->code, n, "spec.docker.composeFiles", "%s", e->message);
    json_push(a, files, json_string(a, clean));
    return NULL;
}

static err_t read_docker(struct arena *a, const struct y_node *spec, struct manifest_app *m) {
    static const char *const known[] = {"composeFile", "composeFiles", NULL};
    const struct y_node *d = y_get(spec, "docker"), *one = y_get(d, "composeFile"), *many = y_get(d, "composeFiles");
    struct json *files = json_array(a);
    TRY(check_map(d, spec, "spec.docker", known));
    if (one && many)
        return y_error(ERR_SCHEMA, many, "spec.docker.composeFiles", "give composeFile or composeFiles, not both");
    if (many && (!y_is(many, Y_SEQ) || y_len(many) > 32))
        return y_error(ERR_SCHEMA, many, "spec.docker.composeFiles",
                       "spec.docker.composeFiles must be a list of at most 32 paths");
    if (one)
        TRY(add_file(a, one, files));
    for (size_t i = 0; i < y_len(many); i++)
        TRY(add_file(a, y_at(many, i), files));
    m->files = json_to_text(a, files);
    return NULL;
}

static err_t read_policy(struct arena *a, const struct y_node *spec, struct manifest_app *m) {
    static const char *const known[] = {"automated", "prune", "selfHeal", "allowEmpty", NULL};
    const struct y_node *p = y_get(spec, "syncPolicy");
    struct json *out = json_object(a);
    TRY(check_map(p, spec, "spec.syncPolicy", known));
    for (const char *const *k = known; *k; k++)
        TRY(flag_of(p, *k, arena_printf(a, "spec.syncPolicy.%s", *k), a, out));
    m->policy = json_to_text(a, out);
    return NULL;
}

static err_t read_environment(struct arena *a, const struct y_node *env, const struct y_node *spec, bool several,
                              const struct manifest_app *base, manifest_apps *out) {
    static const char *const known[] = {"name", "node", "dockerHost", "variables", NULL};
    struct manifest_app m = *base;
    if (env == NULL || y_is(env, Y_NULL))
        return y_error(ERR_SCHEMA, spec, "spec.environments", "an environment must be a mapping");
    TRY(check_map(env, spec, "spec.environments[]", known));
    TRY(name_of(env, "name", "spec.environments[].name", spec, &m.environment));
    const char *key = y_get(env, "node") ? "node" : "dockerHost";
    TRY(text_of(env, key, arena_printf(a, "spec.environments[].%s", key), &m.node));
    m.node_at = y_get(env, key) ? y_get(env, key) : env;
    TRY(strings_of(a, y_get(env, "variables"), "spec.environments[].variables", &m.variables));
    m.at = env;
    if (several)
        m.name = arena_printf(a, "%s-%s", base->name, m.environment);
    if (!name_ok(m.name))
        return y_error(ERR_SCHEMA, y_get(env, "name"), "spec.environments[].name", "'%s' is longer than %d characters",
                       m.name, NAME_MAX_LEN);
    *vec_push(a, out) = m;
    return NULL;
}

static err_t read_environments(struct arena *a, const struct y_node *spec, const struct manifest_app *base,
                               manifest_apps *out) {
    const struct y_node *envs = y_get(spec, "environments");
    if (envs == NULL || y_is(envs, Y_NULL)) {
        *vec_push(a, out) = *base;
        return NULL;
    }
    if (!y_is(envs, Y_SEQ) || y_len(envs) == 0 || y_len(envs) > MAX_ENVIRONMENTS)
        return y_error(ERR_SCHEMA, envs, "spec.environments",
                       "spec.environments must be a list of 1 to %d environments", MAX_ENVIRONMENTS);
    for (size_t i = 0; i < y_len(envs); i++)
        TRY(read_environment(a, y_at(envs, i), spec, y_len(envs) > 1, base, out));
    return NULL;
}

/* ---- documents ---- */

static err_t check_head(const struct y_node *doc) {
    static const char *const known[] = {"apiVersion", "kind", "metadata", "spec", NULL};
    const char *kind = NULL, *version = NULL;
    if (!y_is(doc, Y_MAP))
        return y_error(ERR_SCHEMA, doc, NULL, "a manifest is a mapping with apiVersion, kind, metadata and spec");
    TRY(check_map(doc, doc, "the manifest", known));
    TRY(text_of(doc, "apiVersion", "apiVersion", &version));
    TRY(text_of(doc, "kind", "kind", &kind));
    if (!z_eq(version, API_VERSION))
        return y_error(ERR_SCHEMA, y_get(doc, "apiVersion") ? y_get(doc, "apiVersion") : doc, "apiVersion",
                       "apiVersion must be " API_VERSION);
    if (!z_eq(kind, "Application"))
        return y_error(ERR_SCHEMA, y_get(doc, "kind") ? y_get(doc, "kind") : doc, "kind",
                       "kind must be Application in " MANIFEST_DIR);
    return NULL;
}

static err_t read_document(struct arena *a, const struct y_node *doc, manifest_apps *out) {
    static const char *const meta_known[] = {"name", "namespace", "labels", "description", NULL};
    static const char *const spec_known[] = {"repository",    "docker", "environments", "syncPolicy", "policies",
                                             "notifications", NULL};
    const struct y_node *meta, *spec;
    TRY(check_head(doc));
    meta = y_get(doc, "metadata");
    spec = y_get(doc, "spec");
    TRY(check_map(meta, doc, "metadata", meta_known));
    if (spec == NULL)
        return y_error(ERR_MISSING_FIELD, doc, "spec", "spec is required");
    TRY(check_map(spec, doc, "spec", spec_known));
    struct manifest_app m = {.environment = "default",
                             .variables = "{}",
                             .description = "",
                             .file = doc->file,
                             .at = doc,
                             .node_at = doc,
                             .document = json_to_text(a, y_to_json(a, doc))};
    TRY(name_of(meta, "name", "metadata.name", doc, &m.name));
    TRY(text_of(meta, "description", "metadata.description", &m.description));
    TRY(strings_of(a, y_get(meta, "labels"), "metadata.labels", &m.labels));
    TRY(read_repository(a, spec, &m));
    TRY(read_docker(a, spec, &m));
    TRY(read_policy(a, spec, &m));
    return read_environments(a, spec, &m, out);
}

err_t manifest_parse(struct arena *a, struct str text, const char *file, manifest_apps *out) {
    struct yaml_docs docs;
    struct yaml_limits limits = {.max_bytes = MANIFEST_MAX_BYTES, .max_nodes = 20000, .no_custom = true};
    TRY(yaml_parse(a, text, file, &limits, &docs));
    for (size_t i = 0; i < docs.n; i++)
        if (!y_is(docs.v[i], Y_NULL))
            TRY(read_document(a, docs.v[i], out));
    return NULL;
}

err_t manifest_check_unique(const manifest_apps *apps) {
    for (size_t i = 0; i < apps->n; i++)
        for (size_t k = 0; k < i; k++)
            if (z_eq(apps->v[i].name, apps->v[k].name))
                return y_error(ERR_CONFLICT, apps->v[i].at, "metadata.name",
                               "an application called '%s' is defined in %s:%u already", apps->v[i].name,
                               apps->v[k].file, apps->v[k].at->line);
    return NULL;
}
