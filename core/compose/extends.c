#include "core/compose/stages.h"

#define MAX_CHAIN 64

struct ext {
    struct compose_cx *cx;
    struct y_node *services;
    const char *file; /* identity in cycles and messages */
    const char *dir;  /* base of extends.file */
    const struct compose_env *env;
};
struct ext_chain {
    const struct ext_chain *up;
    const char *file, *service;
    unsigned depth;
};

static err_t apply(const struct ext *x, const char *name, const struct ext_chain *up, struct y_node **ret);

static err_t check_chain(struct compose_cx *cx, const struct ext_chain *c, const struct y_node *at) {
    if (c->depth > MAX_CHAIN)
        return y_error(ERR_INVALID, at, NULL, "extends is nested more than %d deep", MAX_CHAIN);
    for (const struct ext_chain *p = c->up; p != NULL; p = p->up) {
        if (!z_eq(p->file, c->file) || !z_eq(p->service, c->service))
            continue;
        char *names = arena_strdup(cx->a, c->service);
        for (const struct ext_chain *q = c->up; q != p->up; q = q->up)
            names = arena_printf(cx->a, "%s -> %s", q->service, names);
        return y_error(ERR_INVALID, at, NULL, "circular reference in extends: %s", names);
    }
    return NULL;
}

/** Service and file of `extends`, in either form. */
static err_t reference(struct compose_cx *cx, const struct y_node *ext, const char *name, const char **ref,
                       const struct y_node **file) {
    char *path = arena_printf(cx->a, "services.%s.extends", name);
    *file = NULL;
    if (ext->kind == Y_STR) {
        *ref = ext->text.p;
        return NULL;
    }
    if (ext->kind != Y_MAP)
        return y_error(ERR_SCHEMA, ext, path, "services.%s.extends must be a mapping", name);
    *ref = y_get_str(ext, "service");
    if (*ref == NULL)
        return y_error(ERR_INVALID, ext, path, "extends.%s.service is required", name);
    *file = y_get(ext, "file");
    if (*file != NULL && y_str(*file) == NULL)
        return y_error(ERR_SCHEMA, *file, path, "services.%s.extends.file must be a string", name);
    return NULL;
}

/** The services of another file, read once per load and environment. */
static err_t other_file(const struct ext *x, const struct y_node *file, struct ext *ret) {
    struct compose_cx *cx = x->cx;
    const char *name = y_str(file);
    if (compose_is_remote(name))
        return y_hint(y_error(ERR_NOT_IMPLEMENTED, file, NULL, "extends from a remote resource is refused: %s", name),
                      "copy the file into the repository");
    char *path = compose_path_join(cx->a, x->dir, name);
    char *key = arena_printf(cx->a, "%p %s", (const void *)x->env, path);
    struct y_node *services = map_getz(&cx->extended, key);
    if (services == NULL) {
        struct y_node *tree;
        TRY(compose_load_plain(cx, path, x->env, file, &tree));
        services = y_get(tree, "services");
        if (!y_is(services, Y_MAP))
            services = y_new(cx->a, Y_MAP, tree);
        map_setz(&cx->extended, key, services);
    }
    *ret = (struct ext){cx, services, path, compose_path_dir(cx->a, path), x->env};
    return NULL;
}

static err_t merge_base(const struct ext *x, const char *name, struct y_node *base, struct y_node *service,
                        struct y_node **ret) {
    struct compose_cx *cx = x->cx;
    TRY(compose_spend(cx, y_count(base, SIZE_MAX), service));
    struct y_node *source = y_clone(cx->a, base), *merged = service;
    compose_strip_tags(source);
    const struct c_path *at = C_KEY(C_KEY(NULL, STR("services")), str_of(name));
    enum y_tag tag = (enum y_tag)service->tag;
    service->tag = Y_TAG_NONE;
    TRY(compose_merge(cx, &compose_service_schema, source, service, at, &merged));
    merged->tag = (uint8_t)tag;
    merged->file = service->file;
    merged->line = service->line;
    merged->col = service->col;
    *ret = merged;
    return NULL;
}

static err_t apply(const struct ext *x, const char *name, const struct ext_chain *up, struct y_node **ret) {
    struct compose_cx *cx = x->cx;
    struct y_node *service = y_get(x->services, name), *ext = y_get(service, "extends");
    *ret = service;
    if (y_null(service))
        return NULL;
    if (service->kind != Y_MAP) {
        char *path = arena_printf(cx->a, "services.%s", name);
        return y_error(ERR_SCHEMA, service, path, "%s must be a mapping", path);
    }
    if (y_null(ext) || ext->tag == Y_TAG_RESET) {
        y_del(service, "extends");
        return NULL;
    }
    struct ext_chain chain = {up, x->file, name, up != NULL ? up->depth + 1 : 0};
    TRY(check_chain(cx, &chain, ext));
    const char *ref;
    const struct y_node *file;
    TRY(reference(cx, ext, name, &ref, &file));
    struct ext other = *x;
    if (file != NULL)
        TRY(other_file(x, file, &other));
    if (!y_has(other.services, ref))
        return y_error(ERR_INVALID, ext, arena_printf(cx->a, "services.%s.extends", name),
                       "cannot extend service \"%s\" in %s: service \"%s\" not found", name, other.file, ref);
    struct y_node *base;
    TRY(apply(&other, ref, &chain, &base));
    y_del(service, "extends");
    if (y_null(base))
        return NULL;
    TRY(merge_base(x, name, base, service, ret));
    y_del(*ret, "extends");
    y_set(cx->a, x->services, name, *ret);
    return NULL;
}

err_t compose_extends(struct compose_cx *cx, struct y_node *file_tree, const char *file, const char *dir,
                      const struct compose_env *env) {
    struct y_node *services = y_get(file_tree, "services");
    if (!y_is(services, Y_MAP))
        return NULL;
    struct ext x = {cx, services, compose_path_join(cx->a, dir, file), dir, env};
    for (size_t i = 0; i < services->map.n; i++) {
        struct y_node *merged;
        if (!y_has(services->map.v[i].value, "extends"))
            continue;
        TRY(apply(&x, services->map.v[i].key.p, NULL, &merged));
    }
    return NULL;
}
