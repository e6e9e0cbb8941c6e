#include "core/base/sha256.h"
#include "core/docker/tar.h"
#include "core/gitops/source.h"

#define ROOT SOURCE_ROOT
#define MAX_COMPOSE_BYTES MIB(1)

static const char *inside(const char *absolute) {
    if (z_eq(absolute, ROOT))
        return "";
    return z_starts(absolute, ROOT "/") ? absolute + sizeof(ROOT) : NULL;
}

/* Loading is pure computing and may take long for a hostile project: it runs on a git worker, on copies of what it needs. */
struct load {
    const char *dir, *project_name;
    const char **files;
    size_t n_files;
    struct compose_env env;
    struct compose_project *project;
};

static err_t read_file(void *ctx, const char *path, struct str *ret) {
    const char *rel = inside(path);
    if (rel == NULL)
        return err_new(ERR_PATH_ESCAPE, "'%s' is outside of the repository", path);
    return git_files_read(ctx, rel, MAX_COMPOSE_BYTES, ret);
}

static err_t load_on_worker(struct git_files *f, struct arena *a, void *arg) {
    struct load *l = arg;
    struct compose_files files = {read_file, f};
    struct compose_options o = {.root = ROOT};
    struct compose_cli cli = {.working_dir = l->dir,
                              .base_dir = l->dir,
                              .dot_env = true,
                              .project_name = l->project_name,
                              .files = l->files,
                              .n_files = l->n_files};
    TRY(compose_cli_options(a, &cli, &l->env, &files, &o));
    o.root = ROOT;
    o.project_name = l->project_name;
    o.project_name_imperative = true;
    o.warn_unknown_keys = o.discard_env_files = o.prune_resources = true;
    return compose_load(a, &o, &files, &l->project);
}

static void env_of(struct arena *a, const struct app *app, struct compose_env *env) {
    compose_env_init(env, a);
    for (size_t i = 0; app->variables && i < json_len(app->variables); i++) {
        const struct json_member *m = &app->variables->obj.v[i];
        if (json_is(m->value, JSON_STRING))
            compose_env_set(env, m->key.p, json_str(m->value));
    }
}

/* Places in messages are repository paths, not paths of the imagined directory. */
static err_t repository_paths(err_t e) {
    struct arena *a = arena_current();
    const char *at, *message = e->message;
    while ((at = strstr(message, ROOT "/")) != NULL)
        message = arena_printf(a, "%.*s%s", (int)(at - message), message, at + sizeof(ROOT));
    err_t out = err_new(e->code, "%s", message);
    if (e->field)
        out = err_field(out, e->field);
    for (const struct err_detail *d = e->details; d; d = d->next) {
        const char *value = !d->raw && inside(d->value) ? inside(d->value) : d->value;
        out = d->raw ? err_detail_json(out, d->key, value) : err_detail(out, d->key, value);
    }
    return out;
}

static err_t load_project(struct arena *a, const struct app *app, const struct source_conf *conf,
                          struct compose_project **ret) {
    const char *sub;
    struct load *l;
    TRY(git_path_clean(a, app->path, &sub));
    struct git_work *w = git_work_new(conf->mirror, conf->sha, sizeof(*l), (void **)&l);
    struct arena *wa = git_work_arena(w);
    l->dir = *sub ? arena_printf(wa, ROOT "/%s", sub) : ROOT;
    l->project_name = arena_strdup(wa, app->project_name);
    l->files = arena_new_array(wa, const char *, app->n_compose_files + 1);
    for (size_t i = 0; i < app->n_compose_files; i++)
        l->files[l->n_files++] = arena_printf(wa, "%s/%s", l->dir, app->compose_files[i]);
    env_of(wa, app, &l->env);
    err_t e = git_work_run(w, a, load_on_worker, conf->deadline);
    if (e && e->code != ERR_CANCELLED && e->code != ERR_TIMEOUT)
        e = repository_paths(e);
    if (!e)
        *ret = l->project;
    return e;
}

static err_t add_set(struct arena *a, struct desired *want, struct desired_service *s, const char *key,
                     const struct content *c, const char *path, const char *target, bool read_only) {
    struct desired_file_set *f = &s->files[s->n_files++];
    *f = (struct desired_file_set){
        .key = key, .digest = c->digest, .path = path, .target = target, .read_only = read_only, .content = c};
    /* A single file is mounted alone. Had a folder of the same content the same volume, whoever mounts the folder could put a link
     * in the place of the file, and the engine would follow it on the host. */
    f->volume = arena_printf(a, "%s_%s_%.16s", want->project->name, *path ? "file" : "files", c->digest);
    return NULL;
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static err_t at_origin(err_t e, const struct compose_origin *o) {
    if (o->file == NULL)
        return e;
    err_t w = err_wrap(e, "%s:%u:%u", inside(o->file) ? inside(o->file) : o->file, o->line, o->column);
    w = err_detail(w, "file", inside(o->file) ? inside(o->file) : o->file);
    w = err_detail_json(w, "line", arena_printf(arena_current(), "%u", o->line));
    return err_detail_json(w, "column", arena_printf(arena_current(), "%u", o->column));
}

static err_t add_bind(struct arena *a, const struct content_source *src, struct desired *want,
                      struct desired_service *s, const struct compose_mount *m) {
    const char *rel = inside(m->source);
    if (rel == NULL)
        return at_origin(err_new(ERR_PATH_ESCAPE, "bind source '%s' leaves the repository", m->source), &m->origin);
    struct content *c;
    err_t e = content_from_git(a, src, rel, base_name(rel), &c);
    if (e && e->code == ERR_NOT_FOUND)
        e = err_new(ERR_INVALID, "bind source './%s' is not in the repository; commit it, or use a named volume", rel);
    if (e)
        return at_origin(e, &m->origin);
    bool file = c->files.n == 1 && !c->files.v[0].dir && z_eq(c->files.v[0].path, base_name(rel));
    return add_set(a, want, s, arena_printf(a, "bind:%s", m->target), c,
                   file ? arena_printf(a, "/%s", base_name(rel)) : "", m->target, m->read_only);
}

static uint32_t id_or_root(const char *z) {
    int64_t n = 0;
    return z && str_to_i64(str_of(z), 0, INT32_MAX, &n) == NULL ? (uint32_t)n : 0;
}

static err_t object_text(struct arena *a, const struct content_source *src, const struct compose_object *o,
                         const char *what, struct str *ret) {
    if (o->external)
        return at_origin(err_new(ERR_INVALID,
                                 "%s '%s' is external, which only Swarm supports; use file, environment or content",
                                 what, o->key),
                         &o->origin);
    if (o->content) {
        *ret = str_of(o->content);
        return NULL;
    }
    const char *rel = o->file ? inside(o->file) : NULL;
    if (rel == NULL)
        return at_origin(err_new(ERR_PATH_ESCAPE, "%s '%s' is not a file of the repository", what, o->key), &o->origin);
    err_t e = git_read(a, src->mirror, src->sha, rel, MAX_COMPOSE_BYTES, src->deadline, ret, NULL);
    return e ? at_origin(e, &o->origin) : NULL;
}

static err_t add_refs(struct arena *a, const struct content_source *src, struct desired *want,
                      struct desired_service *s, bool secrets) {
    const struct compose_service *svc = s->service;
    const struct compose_file_ref *refs = secrets ? svc->secrets : svc->configs;
    size_t n = secrets ? svc->n_secrets : svc->n_configs;
    for (size_t i = 0; i < n; i++) {
        const struct compose_object *o = secrets ? compose_secret_find(want->project, refs[i].source)
                                                 : compose_config_find(want->project, refs[i].source);
        if (o == NULL)
            continue;
        struct str text = STR("");
        TRY(object_text(a, src, o, secrets ? "secret" : "config", &text));
        uint32_t mode = refs[i].mode == COMPOSE_UNSET ? (secrets ? 0400 : 0444) : (uint32_t)refs[i].mode;
        /* The file belongs to root unless said otherwise; a secret for a user other than root needs uid or mode. */
        if (secrets && refs[i].mode == COMPOSE_UNSET && svc->user)
            mode = 0444;
        const char *name = base_name(refs[i].target);
        struct content *c = content_from_text(a, name, text, mode, id_or_root(refs[i].uid), id_or_root(refs[i].gid));
        const char *key = arena_printf(a, "%s:%s", secrets ? "secret" : "config", refs[i].target);
        TRY(add_set(a, want, s, key, c, arena_printf(a, "/%s", name), refs[i].target, true));
    }
    return NULL;
}

static enum image_want want_of(const struct compose_service *s) {
    if (s->build && !z_eq(s->pull_policy, "never") && (s->image == NULL || !z_eq(s->pull_policy, "always")))
        return IMAGE_BUILD;
    if (z_eq(s->pull_policy, "never"))
        return IMAGE_NEVER;
    return z_eq(s->pull_policy, "always") ? IMAGE_ALWAYS : IMAGE_IF_MISSING;
}

err_t source_build_paths(struct arena *a, const struct desired_service *s, const char **ret_context,
                         const char **ret_dockerfile) {
    const struct compose_build *b = s->service->build;
    const char *context = b->context ? inside(b->context) : NULL;
    if (context == NULL)
        return at_origin(err_new(ERR_PATH_ESCAPE, "service %s: build context must be a directory of the repository",
                                 s->service->name),
                         &s->service->origin);
    const char *dockerfile = b->dockerfile ? b->dockerfile : "Dockerfile";
    if (z_starts(dockerfile, ROOT "/")) {
        const char *rel = inside(dockerfile);
        size_t n = strlen(context);
        if (n && (strncmp(rel, context, n) != 0 || rel[n] != '/'))
            return at_origin(
                err_new(ERR_INVALID, "service %s: the Dockerfile must lie in the build context", s->service->name),
                &s->service->origin);
        dockerfile = n ? rel + n + 1 : rel;
    }
    err_t e = git_path_clean(a, dockerfile, ret_dockerfile);
    if (e)
        return at_origin(e, &s->service->origin);
    *ret_context = context;
    return NULL;
}

/* Trees are content-addressed: the ids of the entries stand for the bytes. */
static err_t build_hash(struct arena *a, const struct content_source *src, struct desired_service *s) {
    const char *context = NULL, *dockerfile = NULL;
    TRY(source_build_paths(a, s, &context, &dockerfile));
    struct git_entry *entries;
    size_t n;
    err_t e = git_list(a, src->mirror, src->sha, context, false, CONTENT_MAX_FILES, src->deadline, &entries, &n);
    if (e)
        return at_origin(err_wrap(e, "build context of service %s", s->service->name), &s->service->origin);
    struct sha256 h;
    sha256_init(&h);
    for (size_t i = 0; i < n; i++) {
        const char *line = arena_printf(a, "%d %s %s\n", (int)entries[i].kind, entries[i].oid, entries[i].path);
        sha256_update(&h, line, strlen(line));
    }
    const char *options = json_to_canonical(a, json_get(s->service->canonical, "build"));
    sha256_update(&h, options, strlen(options));
    uint8_t out[32];
    char hex[65];
    sha256_final(&h, out);
    str_to_hex(out, sizeof(out), hex);
    s->build_hash = arena_strdup(a, hex);
    return NULL;
}

static err_t fill_service(struct arena *a, const struct content_source *src, struct desired *want,
                          struct desired_service *s) {
    const struct compose_service *svc = s->service;
    s->image = compose_service_image(a, want->project, svc);
    s->want = want_of(svc);
    s->replicas = svc->scale;
    s->files = arena_new_array(a, struct desired_file_set, svc->n_volumes + svc->n_configs + svc->n_secrets + 1);
    for (size_t i = 0; i < svc->n_volumes; i++)
        if (svc->volumes[i].type == COMPOSE_BIND && svc->volumes[i].relative)
            TRY(add_bind(a, src, want, s, &svc->volumes[i]));
    TRY(add_refs(a, src, want, s, false));
    TRY(add_refs(a, src, want, s, true));
    return s->want == IMAGE_BUILD ? build_hash(a, src, s) : NULL;
}

err_t source_desired(struct arena *a, const struct app *app, const struct source_conf *conf, struct desired **ret) {
    struct desired *want = arena_new_obj(a, struct desired);
    struct compose_project *project;
    TRY(load_project(a, app, conf, &project));
    *want = (struct desired){.project = project, .app_id = app->id, .revision = conf->sha, .prune = app->policy.prune};
    if (project->n_services == 0 && !app->policy.allow_empty)
        return err_new(ERR_INVALID,
                       "the compose files define no service; allow it with syncPolicy.allowEmpty if that is meant");
    struct compose_strs order;
    TRY(compose_order(a, project, true, NULL, 0, &order));
    want->services = arena_new_array(a, struct desired_service, order.n + 1);
    struct content_source src = {conf->mirror, conf->sha, conf->deadline};
    for (size_t i = 0; i < order.n; i++) {
        struct desired_service *s = &want->services[want->n_services++];
        s->service = compose_service_find(project, order.v[i]);
        TRY(fill_service(a, &src, want, s));
    }
    *ret = want;
    return NULL;
}

err_t source_build_context(struct arena *a, const struct source_conf *conf, const struct desired_service *s,
                           struct str *ret_tar) {
    const char *context = NULL, *dockerfile = NULL;
    TRY(source_build_paths(a, s, &context, &dockerfile));
    struct content_source src = {conf->mirror, conf->sha, conf->deadline};
    struct content *c;
    TRY(content_from_git(a, &src, context, "context", &c));
    struct dockerignore *ignore = NULL;
    const char *own = arena_printf(a, "%s.dockerignore", dockerfile);
    for
        vec_each(f, &c->files)
            if (z_eq(f->path, own) || (ignore == NULL && z_eq(f->path, ".dockerignore")))
                TRY(dockerignore_parse(a, f->text, dockerfile, &ignore));
    struct content kept = {.bytes = c->bytes};
    for
        vec_each(f, &c->files)
            if (ignore == NULL || !dockerignore_excluded(ignore, f->path))
                *vec_push(a, &kept.files) = *f;
    return content_tar(a, &kept, ret_tar);
}

struct json *source_rendered(struct arena *a, const struct desired *want) {
    struct json *j = json_object(a), *services = json_object(a), *files = json_object(a);
    for (size_t i = 0; i < want->n_services; i++) {
        const struct desired_service *s = &want->services[i];
        struct json *mine = json_object(a);
        json_set(a, services, s->service->name, s->service->canonical);
        for (size_t f = 0; f < s->n_files; f++)
            json_set_str(a, mine, s->files[f].key, s->files[f].digest);
        json_set(a, files, s->service->name, mine);
    }
    struct json *project = json_clone(a, want->project->canonical);
    /* Contents of secrets are never stored. */
    (void)json_del(project, "secrets");
    json_set(a, j, "project", project);
    json_set(a, j, "services", services);
    json_set(a, j, "files", files);
    return j;
}
