/* Reading: files through the callback, documents, and the per-file part of the pipeline. */
#include "core/compose/stages.h"

#define MAX_DOCS 128

err_t compose_read_file(struct compose_cx *cx, const char *path, const struct y_node *at, struct str *ret) {
    const char *root = cx->o != NULL ? cx->o->root : NULL;
    if (root != NULL && !compose_path_inside(root, path))
        return y_hint(y_error(ERR_PATH_ESCAPE, at, NULL, "file %s lies outside of the repository", path),
                      "keep files inside the repository");
    if (cx->files == NULL || cx->files->read == NULL)
        return y_error(ERR_NOT_FOUND, at, NULL, "file %s cannot be read here", path);
    err_t e = cx->files->read(cx->files->ctx, path, ret);
    if (e == NULL)
        return NULL;
    if (err_is(e, ERR_NOT_FOUND))
        return y_error(ERR_NOT_FOUND, at, NULL, "file %s: no such file or directory", path);
    return y_error(e->code, at, NULL, "file %s: %s", path, e->message);
}

static err_t check_keys(struct compose_cx *cx, const struct y_node *n, const struct c_path *at) {
    if (n->kind == Y_SEQ) {
        for (size_t i = 0; i < n->seq.n; i++)
            TRY(check_keys(cx, n->seq.v[i], C_IDX(at, i)));
    } else if (n->kind == Y_MAP) {
        for (size_t i = 0; i < n->map.n; i++) {
            const struct y_entry *e = &n->map.v[i];
            if (e->key_kind != Y_STR) {
                struct y_node place = *n;
                place.line = e->line;
                place.col = e->col;
                char *path = c_path_str(cx->a, at);
                return y_hint(y_error(ERR_INVALID, &place, path, "non-string key in %s: %s",
                                      path[0] != '\0' ? path : "top level", e->key.p),
                              "put the key in quotes");
            }
            TRY(check_keys(cx, e->value, C_KEY(at, e->key)));
        }
    }
    return NULL;
}

err_t compose_read_docs(struct compose_cx *cx, const struct compose_source *src, const char *dir,
                        const struct y_node *at, struct yaml_docs *ret) {
    size_t max = cx->o != NULL && cx->o->max_files != 0 ? cx->o->max_files : 100;
    if (++cx->n_files > max)
        return y_error(ERR_TOO_LARGE, at, NULL, "more than %zu compose files", max);
    struct str text = src->text;
    if (text.p == NULL)
        TRY(compose_read_file(cx, compose_path_join(cx->a, dir, src->path), at, &text));
    TRY(yaml_parse(cx->a, text, src->path, cx->o != NULL ? &cx->o->limits : NULL, ret));
    TRY(compose_spend(cx, ret->nodes, at));
    cx->n_docs += ret->n; /* each one walks the whole merged tree */
    if (cx->n_docs > MAX_DOCS)
        return y_error(ERR_TOO_LARGE, at, NULL, "more than %d YAML documents", MAX_DOCS);
    size_t keep = 0;
    for (size_t i = 0; i < ret->n; i++) {
        struct y_node *doc = ret->v[i];
        if (doc->kind == Y_NULL)
            continue;
        if (doc->kind != Y_MAP)
            return y_error(ERR_INVALID, doc, NULL, "top-level object must be a mapping");
        TRY(check_keys(cx, doc, NULL));
        ret->v[keep++] = doc;
    }
    ret->n = keep;
    return NULL;
}

static err_t interpolate(struct compose_cx *cx, const struct compose_env *env, struct y_node *doc) {
    return cx->o != NULL && cx->o->skip_interpolation ? NULL : compose_interpolate(cx, env, doc);
}

static void drop_version(struct compose_cx *cx, struct y_node *tree) {
    const struct y_node *v = y_get(tree, "version");
    if (v == NULL)
        return;
    compose_warn(
        cx, v,
        "the attribute `version` is obsolete, it will be ignored, please remove it to avoid potential confusion");
    y_del(tree, "version");
}

/** Merge one document onto what earlier ones made. */
static err_t add_document(struct compose_cx *cx, struct y_node *doc, bool validate, struct y_node **tree) {
    if (*tree != NULL)
        TRY(compose_merge(cx, NULL, *tree, doc, NULL, tree));
    else
        *tree = doc;
    compose_strip_tags(*tree);
    TRY(compose_unicity(cx, NULL, *tree, NULL));
    if (validate)
        TRY(compose_validate(cx, NULL, *tree, NULL));
    drop_version(cx, *tree);
    TRY(compose_canonical(cx, NULL, tree, NULL));
    return compose_unicity(cx, NULL, *tree, NULL);
}

err_t compose_load_plain(struct compose_cx *cx, const char *path, const struct compose_env *env,
                         const struct y_node *at, struct y_node **ret) {
    struct compose_source src = {.path = path};
    struct yaml_docs docs;
    TRY(compose_read_docs(cx, &src, "/", at, &docs));
    struct y_node *tree = NULL;
    for (size_t i = 0; i < docs.n; i++) {
        TRY(interpolate(cx, env, docs.v[i]));
        TRY(add_document(cx, docs.v[i], false, &tree));
    }
    if (tree == NULL)
        return y_error(ERR_INVALID, at, NULL, "empty compose file %s", path);
    TRY(compose_resolve_paths(cx, tree, compose_path_dir(cx->a, path), env));
    *ret = tree;
    return NULL;
}

static err_t add_source(struct compose_cx *cx, const struct compose_load_args *in, size_t i, struct y_node **tree) {
    struct yaml_docs docs;
    if (in->docs != NULL)
        docs = in->docs[i];
    else
        TRY(compose_read_docs(cx, &in->sources[i], in->dir, NULL, &docs));
    struct compose_chain here = {in->chain, compose_path_join(cx->a, in->dir, in->sources[0].path)};
    for (size_t d = 0; d < docs.n; d++) {
        TRY(interpolate(cx, in->env, docs.v[d]));
        TRY(compose_extends(cx, docs.v[d], in->sources[i].path, in->dir, in->env));
        TRY(compose_include(cx, docs.v[d], in->dir, in->env, &here));
        TRY(add_document(cx, docs.v[d], !cx->o->skip_validation, tree));
    }
    return NULL;
}

err_t compose_load_tree(struct compose_cx *cx, const struct compose_load_args *in, struct y_node **ret) {
    struct y_node *tree = NULL;
    for (size_t i = 0; i < in->n; i++)
        TRY(add_source(cx, in, i, &tree));
    if (tree == NULL) {
        struct y_node at = {.file = in->n > 0 ? in->sources[0].path : ""};
        return y_error(ERR_INVALID, &at, NULL, "empty compose file");
    }
    compose_defaults(cx, tree);
    if (!cx->o->skip_validation)
        TRY(compose_check_values(cx, tree));
    if (in->resolve_paths)
        TRY(compose_resolve_paths(cx, tree, in->dir, in->env));
    compose_resolve_environment(cx, tree, in->env);
    *ret = tree;
    return NULL;
}
