#include "core/base/check.h"
#include "core/docker/archive.h"
#include "core/docker/container.h"
#include "core/docker/network.h"
#include "core/docker/volume.h"
#include "core/gitops/apply_internal.h"
#include "core/gitops/spec_map.h"

#define CALL SECONDS(60)

static uint64_t call_deadline(const struct apply *ap) { return deadline_min(deadline_in(CALL), ap->conf->deadline); }

static const struct desired_service *service_of(const struct apply *ap, const struct op *op) {
    CHECK(op->service_index != SIZE_MAX);
    return &ap->plan->desired->services[op->service_index];
}

/* --- images --- */

struct transfer {
    struct apply *ap;
    const struct op *op;
};

static void on_progress(void *arg, const struct docker_progress *p) {
    struct transfer *t = arg;
    if (t->ap->conf->hooks.on_progress)
        t->ap->conf->hooks.on_progress(t->ap->conf->hooks.ctx, t->op, p->status, p->done, p->total);
}

static void on_build_line(void *arg, struct str line) {
    struct transfer *t = arg;
    apply_log(t->ap, t->op, "info", "%.*s", STR_ARG(line));
}

/* The whole archive as the first piece, then the end. */
static err_t next_bytes(void *arg, uint64_t deadline, struct str *ret) {
    struct str *rest = arg;
    (void)deadline;
    *ret = *rest;
    *rest = str_n(rest->p, 0);
    return NULL;
}

static err_t build(struct apply *ap, const struct op *op, struct arena *a) {
    const struct desired_service *s = service_of(ap, op);
    const struct compose_build *b = s->service->build;
    const char *context, *dockerfile;
    struct str tar;
    if (b->dockerfile_inline || b->ssh.n || b->additional_contexts.n)
        return err_new(ERR_NOT_IMPLEMENTED,
                       "service %s: dockerfile_inline, ssh and additional_contexts need BuildKit sessions",
                       op->service);
    TRY(source_build_paths(a, s, &context, &dockerfile));
    TRY(source_build_context(a, ap->conf->source, s, &tar));
    struct spec_kv *args = arena_new_array(a, struct spec_kv, b->args.n + 1);
    for (size_t i = 0; i < b->args.n; i++)
        args[i] = (struct spec_kv){b->args.v[i].key, b->args.v[i].value ? b->args.v[i].value : ""};
    struct spec_kv *labels = arena_new_array(a, struct spec_kv, b->labels.n + 1);
    for (size_t i = 0; i < b->labels.n; i++)
        labels[i] = (struct spec_kv){b->labels.v[i].key, b->labels.v[i].value ? b->labels.v[i].value : ""};
    labels[b->labels.n] = (struct spec_kv){LABEL_BUILD, s->build_hash};
    const char **tags = arena_new_array(a, const char *, b->tags.n + 2);
    size_t n_tags = 0;
    tags[n_tags++] = s->image;
    for (size_t i = 0; i < b->tags.n; i++)
        tags[n_tags++] = b->tags.v[i];
    struct transfer t = {ap, op};
    struct docker_build opt = {.tags = tags,
                               .ntags = n_tags,
                               .dockerfile = dockerfile,
                               .target = b->target,
                               .network = b->network,
                               .platform = s->service->platform,
                               .args = {args, b->args.n},
                               .labels = {labels, b->labels.n + 1},
                               .cache_from = b->cache_from.v,
                               .ncache_from = b->cache_from.n,
                               .extra_hosts = b->extra_hosts.v,
                               .nextra_hosts = b->extra_hosts.n,
                               .shm_size = b->shm_size == COMPOSE_UNSET ? 0 : b->shm_size,
                               .no_cache = b->no_cache,
                               .pull = b->pull,
                               .on_log = on_build_line,
                               .on_progress = on_progress,
                               .arg = &t};
    opt.source = next_bytes;
    opt.source_arg = &tar;
    const char *id;
    return docker_image_build(ap->conf->docker, a, &opt, ap->conf->deadline, &id);
}

static err_t pull(struct apply *ap, const struct op *op, struct arena *a) {
    struct transfer t = {ap, op};
    const struct registry_auth *auth =
        ap->conf->hooks.registry_auth ? ap->conf->hooks.registry_auth(ap->conf->hooks.ctx, op->object) : NULL;
    struct docker_pull opt = {.ref = op->object,
                              .platform = service_of(ap, op)->service->platform,
                              .auth = auth,
                              .on_progress = on_progress,
                              .arg = &t};
    const char *digest;
    return docker_image_pull(ap->conf->docker, a, &opt, ap->conf->deadline, &digest);
}

err_t apply_image(struct apply *ap, const struct op *op, struct arena *a, struct json **ret_after) {
    TRY(op->kind == OP_BUILD ? build(ap, op, a) : pull(ap, op, a));
    struct docker_image *img;
    TRY(docker_image_inspect(ap->conf->docker, a, op->object, call_deadline(ap), &img));
    map_setz(&ap->images, op->object, arena_strdup(ap->a, img->id));
    *ret_after = json_object(a);
    json_set_str(a, *ret_after, "imageId", img->id);
    return NULL;
}

static err_t image_id(struct apply *ap, struct arena *a, const char *ref, const char **ret) {
    const char *known = map_getz(&ap->images, ref);
    if (known == NULL) {
        struct docker_image *img;
        TRY(docker_image_inspect(ap->conf->docker, a, ref, call_deadline(ap), &img));
        known = arena_strdup(ap->a, img->id);
        map_setz(&ap->images, ref, (void *)known);
    }
    *ret = known;
    return NULL;
}

/* --- files --- */

/* The volume is filled through a container that is never started, so that it works with any image, scratch included. The
 * engine makes the labelled volume together with that container, and the container goes last: as long as it exists the volume
 * counts as incomplete, so a crash at any point only repeats the work. */
static err_t fill_volume(struct apply *ap, struct arena *a, const struct desired_file_set *f, const char *image) {
    const char *name = arena_printf(a, "%s" FILES_HELPER_SUFFIX, f->volume);
    const char *const command[] = {"/dockflow-files"};
    struct spec_kv volume_labels[] = {
        {"com.docker.compose.project", ap->plan->project}, {LABEL_APP, ap->plan->app_id}, {LABEL_FILES, f->digest}};
    struct spec_kv labels[] = {{LABEL_APP, ap->plan->app_id}, {LABEL_FILES, f->volume}};
    struct spec_mount mount = {.type = SPEC_MOUNT_VOLUME,
                               .source = f->volume,
                               .target = "/dockflow-files",
                               .no_copy = true,
                               .labels = {volume_labels, ARRAY_LEN(volume_labels)}};
    struct container_spec spec = {.name = name,
                                  .image = image,
                                  .command = {command, 1, true},
                                  .labels = {labels, ARRAY_LEN(labels)},
                                  .network_mode = "none"};
    spec.mounts.v = &mount;
    spec.mounts.n = 1;
    struct str tar;
    struct docker_created *made;
    TRY(content_tar(a, f->content, &tar));
    TRY(docker_container_remove(ap->conf->docker, name, true, false, call_deadline(ap)));
    TRY(docker_container_create(ap->conf->docker, a, &spec, ap->conf->rights, call_deadline(ap), &made));
    struct docker_put put = {.container = made->id, .path = "/dockflow-files", .copy_uid_gid = true};
    TRY(docker_archive_put(ap->conf->docker, &put, tar, deadline_min(deadline_in(MINUTES(5)), ap->conf->deadline)));
    return docker_container_remove(ap->conf->docker, made->id, true, false, call_deadline(ap));
}

err_t apply_put_files(struct apply *ap, const struct op *op, struct arena *a) {
    const struct desired_service *s = service_of(ap, op);
    return fill_volume(ap, a, &s->files[op->file_index], s->image);
}

static const char *files_path(void *ctx, const char *volume) {
    return map_getz(&((struct apply *)ctx)->file_paths, volume);
}
static const char *service_container(void *ctx, const char *service) {
    return map_getz(&((struct apply *)ctx)->by_service, service);
}

static err_t learn_paths(struct apply *ap, struct arena *a, const struct desired_service *s) {
    for (size_t i = 0; i < s->n_files; i++) {
        struct docker_volume *v;
        if (map_getz(&ap->file_paths, s->files[i].volume))
            continue;
        TRY(docker_volume_inspect(ap->conf->docker, a, s->files[i].volume, call_deadline(ap), &v));
        map_setz(&ap->file_paths, s->files[i].volume, arena_strdup(ap->a, v->mountpoint));
    }
    return NULL;
}

/* --- containers --- */

/* A crash between the engine's create and our record leaves the container: same name, same hash, never started. */
static err_t adopt_leftover(struct apply *ap, struct arena *a, const struct container_spec *spec, const char *hash,
                            err_t conflict, const char **ret_id) {
    struct docker_container_info *info;
    TRY(docker_container_inspect(ap->conf->docker, a, spec->name, call_deadline(ap), &info));
    const char *app = json_get_str(info->labels, LABEL_APP);
    if (!z_eq(app, ap->plan->app_id))
        return err_detail(conflict, "hint", "another container has this name; rename or remove it");
    if (z_eq(json_get_str(info->labels, LABEL_HASH), hash) && z_eq(info->state, "created")) {
        *ret_id = info->id;
        return NULL;
    }
    return conflict;
}

/* The application's own file volumes are host paths of ours. */
static struct guard_rights with_files(struct apply *ap, struct arena *a, const struct desired_service *s) {
    struct guard_rights r = *ap->conf->rights;
    const char **paths = arena_new_array(a, const char *, r.nallow_paths + s->n_files + 1);
    size_t n = 0;
    for (size_t i = 0; i < r.nallow_paths; i++)
        paths[n++] = r.allow_paths[i];
    for (size_t i = 0; i < s->n_files; i++)
        paths[n++] = arena_printf(a, "%s%s", files_path(ap, s->files[i].volume), s->files[i].path);
    r.allow_paths = paths;
    r.nallow_paths = n;
    return r;
}

static bool own_container(void *ctx, const char *ref) {
    struct apply *ap = ctx;
    for (struct map_entry *e = NULL; (e = map_next(&ap->by_service, e));)
        if (z_eq(e->value, ref))
            return true;
    return false;
}

/* ---- anonymous volumes ---- */

static const char *predecessor(const struct apply *ap, const struct op *create) {
    for
        vec_each(op, &ap->plan->ops)
            if (op->kind == OP_REMOVE && z_eq(op->service, create->service) && op->number == create->number)
                return op->container_id;
    return NULL;
}

/* The engine names them by 64 hex digits. */
static bool is_anonymous(const char *volume) {
    return volume && strlen(volume) == 64 && strspn(volume, "0123456789abcdef") == 64;
}

static void take_mount(struct arena *a, struct container_spec *spec, const char *volume, const char *target) {
    for (size_t i = 0; i < spec->mounts.n; i++) {
        struct spec_mount m = spec->mounts.v[i];
        if (!z_eq(m.target, target))
            continue;
        if (m.type == SPEC_MOUNT_VOLUME && (m.source == NULL || *m.source == '\0')) {
            m.source = volume;
            struct spec_mount *v = arena_new_array(a, struct spec_mount, spec->mounts.n);
            memcpy(v, spec->mounts.v, spec->mounts.n * sizeof(*v));
            v[i] = m;
            spec->mounts.v = v;
        }
        return;
    }
    struct spec_mount *v = arena_new_array(a, struct spec_mount, spec->mounts.n + 1);
    if (spec->mounts.n)
        memcpy(v, spec->mounts.v, spec->mounts.n * sizeof(*v));
    v[spec->mounts.n] = (struct spec_mount){.type = SPEC_MOUNT_VOLUME, .source = volume, .target = target};
    spec->mounts.v = v;
    spec->mounts.n++;
}

/* What a container keeps in volumes without a name is handed to its replacement, as `docker compose up` does. */
static err_t inherit_volumes(struct apply *ap, const struct op *op, struct arena *a, struct container_spec *spec) {
    const char *old = predecessor(ap, op);
    struct docker_container_info *info;
    if (old == NULL)
        return NULL;
    err_t e = docker_container_inspect(ap->conf->docker, a, old, call_deadline(ap), &info);
    if (e)
        return e->code == ERR_NOT_FOUND ? NULL : e;
    for (size_t i = 0; i < json_len(info->mounts); i++) {
        const struct json *m = json_at(info->mounts, i);
        const char *name = json_get_str(m, "Name"), *target = json_get_str(m, "Destination");
        if (z_eq(json_get_str(m, "Type"), "volume") && is_anonymous(name) && target)
            take_mount(a, spec, name, target);
    }
    return NULL;
}

err_t apply_create(struct apply *ap, const struct op *op, struct arena *a, struct json **ret_after) {
    const struct desired_service *s = service_of(ap, op);
    struct map_input in = {.want = ap->plan->desired,
                           .service = s,
                           .number = op->number,
                           .name = op->new_name,
                           .deployment_id = ap->conf->deployment_id,
                           .files_path = files_path,
                           .service_container = service_container,
                           .ctx = ap};
    struct container_spec spec;
    struct docker_created *made;
    const char *id;
    TRY(image_id(ap, a, s->image, &in.image_id));
    TRY(learn_paths(ap, a, s));
    in.hash = plan_service_hash(a, s, in.image_id);
    TRY(spec_map_container(a, &in, &spec));
    TRY(inherit_volumes(ap, op, a, &spec));
    struct guard_rights rights = with_files(ap, a, s);
    rights.own_container = own_container;
    rights.ctx = ap;
    err_t e = docker_container_create(ap->conf->docker, a, &spec, &rights, call_deadline(ap), &made);
    if (e && e->code == ERR_CONFLICT)
        TRY(adopt_leftover(ap, a, &spec, in.hash, e, &id));
    else if (e)
        return e;
    else
        id = made->id;
    id = arena_strdup(ap->a, id);
    map_setz(&ap->made, op->id, (void *)id);
    if (op->number == 1)
        map_setz(&ap->by_service, s->service->name, (void *)id);
    for (size_t i = 0; e == NULL && i < json_len(made->warnings); i++)
        apply_log(ap, op, "warning", "%s", json_str_or(json_at(made->warnings, i), ""));
    *ret_after = json_object(a);
    json_set_str(a, *ret_after, "containerId", id);
    return NULL;
}

static err_t connect(struct apply *ap, const struct op *op, struct arena *a) {
    const struct desired_service *s = service_of(ap, op);
    for (size_t i = 0; i < s->service->n_networks; i++) {
        if (!z_eq(s->service->networks[i].network, op->new_name))
            continue;
        struct spec_network ep;
        spec_map_endpoint(a, ap->plan->desired, s->service, &s->service->networks[i], op->object, &ep);
        err_t e = docker_network_connect(ap->conf->docker, a, ep.name, op->container_id, &ep, ap->conf->rights,
                                         call_deadline(ap));
        if (e == NULL || e->code == ERR_CANCELLED)
            return e;
        /* A stale endpoint of a crashed engine: force it off once. */
        TRY(docker_network_disconnect(ap->conf->docker, ep.name, op->container_id, true, call_deadline(ap)));
        return docker_network_connect(ap->conf->docker, a, ep.name, op->container_id, &ep, ap->conf->rights,
                                      call_deadline(ap));
    }
    return NULL;
}

static err_t create_network(struct apply *ap, const struct op *op, struct arena *a) {
    const struct compose_project *p = ap->plan->desired->project;
    for (size_t i = 0; i < p->n_networks; i++) {
        if (!z_eq(p->networks[i].name, op->object))
            continue;
        struct network_spec spec;
        const char *id;
        spec_map_network(a, ap->plan->desired, &p->networks[i], &spec);
        err_t e = docker_network_create(ap->conf->docker, a, &spec, ap->conf->rights, call_deadline(ap), &id);
        if (e == NULL || e->code != ERR_CONFLICT)
            return e;
        struct docker_network *have;
        TRY(docker_network_find(ap->conf->docker, a, op->object, call_deadline(ap), &have));
        bool ours = z_eq(json_get_str(have->labels, "com.docker.compose.project"), p->name);
        return ours ? NULL : e;
    }
    return err_new(ERR_INTERNAL, "the plan names a network that the project does not have");
}

static err_t create_volume(struct apply *ap, const struct op *op, struct arena *a) {
    const struct compose_project *p = ap->plan->desired->project;
    for (size_t i = 0; i < p->n_volumes; i++) {
        if (!z_eq(p->volumes[i].name, op->object))
            continue;
        struct volume_spec spec;
        struct docker_volume *v;
        bool existed;
        spec_map_volume(a, ap->plan->desired, &p->volumes[i], &spec);
        return docker_volume_create(ap->conf->docker, a, &spec, ap->conf->rights, call_deadline(ap), &v, &existed);
    }
    return err_new(ERR_INTERNAL, "the plan names a volume that the project does not have");
}

static err_t tell_networks(struct apply *ap, const struct json *removed) {
    return ap->conf->hooks.on_networks ? ap->conf->hooks.on_networks(ap->conf->hooks.ctx, removed) : NULL;
}

static err_t remove_network(struct apply *ap, const struct op *op, struct arena *a) {
    struct docker_network *n;
    err_t e = docker_network_find(ap->conf->docker, a, op->object, call_deadline(ap), &n);
    if (e && e->code == ERR_NOT_FOUND)
        return NULL;
    TRY(e);
    /* What there was first counts: an interrupted attempt may have made something else of it. */
    if (!ap->moved_for_good && json_get(ap->removed, op->object) == NULL) {
        json_set(ap->a, ap->removed, arena_strdup(ap->a, op->object), json_clone(ap->a, n->raw));
        TRY(tell_networks(ap, ap->removed));
    }
    return docker_network_remove(ap->conf->docker, n->id, call_deadline(ap));
}

static err_t remove_old(struct apply *ap, const struct op *op) {
    if (op->moved && json_len(ap->removed) && !ap->moved_for_good) {
        ap->moved_for_good = true;
        TRY(tell_networks(ap, NULL));
    }
    return docker_container_remove(ap->conf->docker, op->container_id, true, true, call_deadline(ap));
}

static err_t stop(struct apply *ap, const struct op *op, struct arena *a) {
    struct docker_container_info *info;
    err_t e = docker_container_inspect(ap->conf->docker, a, op->container_id, call_deadline(ap), &info);
    if (e)
        return e->code == ERR_NOT_FOUND ? NULL : e;
    int64_t grace = json_int_or(json_get(info->config, "StopTimeout"), 10);
    e = docker_container_stop(ap->conf->docker, op->container_id, -1, NULL,
                              deadline_in((uint64_t)(grace < 0 ? 0 : grace) * 1000 + CALL));
    return e && e->code == ERR_NOT_FOUND ? NULL : e;
}

static err_t rename_to(struct apply *ap, const char *id, const char *name, struct arena *a) {
    err_t e = docker_container_rename(ap->conf->docker, id, name, call_deadline(ap));
    if (e == NULL || e->code != ERR_CONFLICT)
        return e;
    struct docker_container_info *info;
    TRY(docker_container_inspect(ap->conf->docker, a, id, call_deadline(ap), &info));
    return z_eq(info->name, name) ? NULL : e;
}

err_t apply_op(struct apply *ap, const struct op *op, struct arena *a, struct json **ret_after) {
    const char *id = apply_container(ap, op);
    switch (op->kind) {
    case OP_PULL:
    case OP_BUILD:
        return apply_image(ap, op, a, ret_after);
    case OP_CREATE_NETWORK:
        return create_network(ap, op, a);
    case OP_REMOVE_NETWORK:
        return remove_network(ap, op, a);
    case OP_CREATE_VOLUME:
        return create_volume(ap, op, a);
    case OP_PUT_FILES:
        return apply_put_files(ap, op, a);
    case OP_CREATE:
        return apply_create(ap, op, a, ret_after);
    case OP_STOP:
        return stop(ap, op, a);
    case OP_RENAME:
        return rename_to(ap, id, op->new_name, a);
    case OP_CONNECT:
        return connect(ap, op, a);
    case OP_START:
        return docker_container_start(ap->conf->docker, id, call_deadline(ap));
    case OP_WAIT_HEALTHY:
    case OP_WAIT_COMPLETED:
    case OP_WAIT_RUNNING:
        return apply_wait(ap, op, a);
    case OP_REMOVE:
        return remove_old(ap, op);
    case OP_REMOVE_VOLUME:
        return docker_volume_remove(ap->conf->docker, op->object, false, call_deadline(ap));
    default:
        return err_new(ERR_INTERNAL, "unknown operation");
    }
}
