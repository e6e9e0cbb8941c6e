#include "core/base/map.h"
#include "core/docker/container.h"
#include "core/docker/image.h"
#include "core/docker/network.h"
#include "core/docker/volume.h"
#include "core/gitops/observe.h"

#define L_PROJECT "com.docker.compose.project"
#define L_SERVICE "com.docker.compose.service"
#define L_NUMBER "com.docker.compose.container-number"
#define L_ONEOFF "com.docker.compose.oneoff"
#define L_NETWORK "com.docker.compose.network"
#define L_VOLUME "com.docker.compose.volume"

/* "Exited (137) 3 minutes ago" / "Up 2 hours (healthy)" */
static int64_t exit_code_of(const char *status) {
    const char *open = status ? strchr(status, '(') : NULL;
    int64_t n = 0;
    if (open == NULL || !z_starts(status, "Exited"))
        return 0;
    struct str digits = str_n(open + 1, strcspn(open + 1, ")"));
    return str_to_i64(digits, 0, 255, &n) == NULL ? n : 1;
}

static const char *health_of(const char *status) {
    if (status == NULL)
        return NULL;
    if (strstr(status, "(healthy)"))
        return "healthy";
    if (strstr(status, "(unhealthy)"))
        return "unhealthy";
    return strstr(status, "(health: starting)") ? "starting" : NULL;
}

static void fill_from_labels(const struct json *labels, struct observed_container *c) {
    int64_t n = 0;
    const char *number = json_get_str(labels, L_NUMBER);
    c->service = json_str_or(json_get(labels, L_SERVICE), "");
    c->hash = json_get_str(labels, LABEL_HASH);
    c->app_id = json_get_str(labels, LABEL_APP);
    c->revision = json_get_str(labels, LABEL_REVISION);
    c->oneoff = z_eq(json_get_str(labels, L_ONEOFF), "True");
    c->number = number && str_to_i64(str_of(number), 0, 100000, &n) == NULL ? n : 0;
}

static void fill_networks(struct arena *a, const struct json *raw, struct observed_container *c) {
    const struct json *nets = json_path(raw, "NetworkSettings", "Networks", NULL);
    c->networks = arena_new_array(a, const char *, json_len(nets) + 1);
    c->network_ids = arena_new_array(a, const char *, json_len(nets) + 1);
    for (size_t i = 0; json_is(nets, JSON_OBJECT) && i < nets->obj.n; i++) {
        c->network_ids[c->n_networks] = json_get_str(nets->obj.v[i].value, "NetworkID");
        c->networks[c->n_networks++] = nets->obj.v[i].key.p;
    }
}

static void fill_mounts(struct arena *a, const struct json *raw, struct observed_container *c) {
    const struct json *mounts = json_get(raw, "Mounts");
    c->mount_names = arena_new_array(a, const char *, 2 * json_len(mounts) + 1);
    for (size_t i = 0; i < json_len(mounts); i++) {
        const char *name = json_get_str(json_at(mounts, i), "Name");
        const char *source = json_get_str(json_at(mounts, i), "Source");
        if (name && *name)
            c->mount_names[c->n_mount_names++] = name;
        /* Files volumes are mounted by their path on the engine's host: ".../volumes/<name>/_data/...". */
        const char *at = source ? strstr(source, "/volumes/") : NULL;
        if (at)
            c->mount_names[c->n_mount_names++] = arena_strndup(a, at + 9, strcspn(at + 9, "/"));
    }
}

static void fill_container(struct arena *a, const struct docker_container *row, struct observed_container *c) {
    *c = (struct observed_container){
        .id = row->id, .name = row->name, .image_id = row->image_id, .state = row->state, .created_s = row->created};
    c->exit_code = exit_code_of(row->status);
    c->health = health_of(row->status);
    c->has_healthcheck = c->health != NULL;
    fill_from_labels(row->labels, c);
    fill_networks(a, row->raw, c);
    fill_mounts(a, row->raw, c);
}

static void add_ports(struct arena *a, const struct docker_container *row, struct observed *o, size_t *cap) {
    for (size_t i = 0; i < row->nports; i++) {
        if (row->ports[i].public_port == 0)
            continue;
        if (o->n_ports == *cap) {
            size_t grown = *cap ? 2 * *cap : 32;
            __typeof__(o->ports) v = arena_zalloc_array(a, grown, sizeof(*v));
            memcpy(v, o->ports ? (const void *)o->ports : (const void *)"", o->n_ports * sizeof(*v));
            o->ports = v;
            *cap = grown;
        }
        __typeof__(o->ports) p = &o->ports[o->n_ports++];
        p->container = row->name;
        p->ip = row->ports[i].ip;
        p->proto = row->ports[i].type;
        p->port = row->ports[i].public_port;
    }
}

/* A helper that is still there marks its volume as incomplete. Only one of this application: an image may bring any label. */
static void note_helper(const struct docker_container *row, const struct desired *want, struct map *helpers) {
    const char *volume = json_get_str(row->labels, LABEL_FILES);
    if (volume && z_ends(row->name, FILES_HELPER_SUFFIX) && z_eq(json_get_str(row->labels, LABEL_APP), want->app_id))
        map_setz(helpers, volume, (void *)row);
}

static err_t read_containers(struct arena *a, struct docker *d, const struct desired *want, uint64_t deadline,
                             struct observed *o, struct map *helpers) {
    struct docker_list_filter f = {.all = true};
    struct docker_container *rows;
    size_t n, cap = 0;
    TRY(docker_container_list(d, a, &f, deadline, &rows, &n));
    o->containers = arena_new_array(a, struct observed_container, n + 1);
    for (size_t i = 0; i < n; i++) {
        note_helper(&rows[i], want, helpers);
        if (z_eq(json_get_str(rows[i].labels, L_PROJECT), want->project->name))
            fill_container(a, &rows[i], &o->containers[o->n_containers++]);
        else if (z_eq(rows[i].state, "running"))
            add_ports(a, &rows[i], o, &cap);
    }
    return NULL;
}

static bool wanted_network(const struct desired *want, const char *name) {
    for (size_t i = 0; i < want->project->n_networks; i++)
        if (z_eq(want->project->networks[i].name, name))
            return true;
    return false;
}

static err_t read_networks(struct arena *a, struct docker *d, const struct desired *want, uint64_t deadline,
                           struct observed *o) {
    struct docker_network *rows;
    size_t n;
    TRY(docker_network_list(d, a, NULL, 0, deadline, &rows, &n));
    o->networks = arena_new_array(a, struct observed_network, n + 1);
    for (size_t i = 0; i < n; i++) {
        const char *project = json_get_str(rows[i].labels, L_PROJECT);
        if (!z_eq(project, want->project->name) && !wanted_network(want, rows[i].name))
            continue;
        o->networks[o->n_networks++] = (struct observed_network){.id = rows[i].id,
                                                                 .name = rows[i].name,
                                                                 .project = project,
                                                                 .key = json_get_str(rows[i].labels, L_NETWORK),
                                                                 .hash = json_get_str(rows[i].labels, LABEL_HASH)};
    }
    return NULL;
}

static bool wanted_volume(const struct desired *want, const char *name) {
    for (size_t i = 0; i < want->project->n_volumes; i++)
        if (z_eq(want->project->volumes[i].name, name))
            return true;
    return false;
}

static err_t read_volumes(struct arena *a, struct docker *d, const struct desired *want, uint64_t deadline,
                          struct observed *o, const struct map *helpers) {
    struct docker_volume *rows;
    size_t n;
    TRY(docker_volume_list(d, a, NULL, 0, deadline, &rows, &n));
    o->volumes = arena_new_array(a, struct observed_volume, n + 1);
    for (size_t i = 0; i < n; i++) {
        const char *project = json_get_str(rows[i].labels, L_PROJECT);
        if (!z_eq(project, want->project->name) && !wanted_volume(want, rows[i].name))
            continue;
        o->volumes[o->n_volumes++] = (struct observed_volume){.name = rows[i].name,
                                                              .project = project,
                                                              .key = json_get_str(rows[i].labels, L_VOLUME),
                                                              .hash = json_get_str(rows[i].labels, LABEL_HASH),
                                                              .files = json_get(rows[i].labels, LABEL_FILES) != NULL,
                                                              .incomplete = map_getz(helpers, rows[i].name) != NULL};
    }
    return NULL;
}

static err_t read_images(struct arena *a, struct docker *d, const struct desired *want, uint64_t deadline,
                         struct observed *o) {
    o->images = arena_new_array(a, struct observed_image, want->n_services + 1);
    for (size_t i = 0; i < want->n_services; i++) {
        bool seen = false;
        for (size_t k = 0; k < i; k++)
            seen |= z_eq(want->services[k].image, want->services[i].image);
        if (seen)
            continue;
        struct docker_image *img;
        err_t e = docker_image_inspect(d, a, want->services[i].image, deadline, &img);
        if (e && e->code == ERR_NOT_FOUND)
            continue;
        TRY(e);
        o->images[o->n_images++] =
            (struct observed_image){want->services[i].image, img->id, json_get_str(img->labels, LABEL_BUILD)};
    }
    return NULL;
}

err_t observe_engine(struct arena *a, struct docker *d, const struct desired *want, uint64_t deadline,
                     struct observed **ret) {
    struct observed *o = arena_new_obj(a, struct observed);
    struct map helpers;
    map_init(&helpers, a);
    TRY(read_containers(a, d, want, deadline, o, &helpers));
    TRY(read_networks(a, d, want, deadline, o));
    TRY(read_volumes(a, d, want, deadline, o, &helpers));
    TRY(read_images(a, d, want, deadline, o));
    *ret = o;
    return NULL;
}

/* --- from the index --- */

static const char *flabel(const struct fleet_label *v, size_t n, const char *key) {
    for (size_t i = 0; i < n; i++)
        if (z_eq(v[i].key, key))
            return v[i].value;
    return NULL;
}

struct index_walk {
    struct arena *a;
    struct observed *o;
    const struct desired *want;
    VEC(struct observed_container) containers;
    VEC(struct observed_network) networks;
    VEC(struct observed_volume) volumes;
    VEC(struct observed_image) images;
};

static bool on_container(void *arg, const struct fleet_container *c) {
    struct index_walk *w = arg;
    struct observed_container *o = vec_push(w->a, &w->containers);
    const char *number = flabel(c->labels, c->nlabels, L_NUMBER);
    int64_t n = 0;
    *o = (struct observed_container){.id = c->id,
                                     .name = c->name,
                                     .image_id = c->image_id,
                                     .state = c->state,
                                     .health = z_eq(c->health, "none") ? NULL : c->health,
                                     .exit_code = c->exit_code,
                                     .created_s = c->created_ms / 1000,
                                     .service = c->service ? c->service : "",
                                     .hash = flabel(c->labels, c->nlabels, LABEL_HASH),
                                     .app_id = flabel(c->labels, c->nlabels, LABEL_APP),
                                     .revision = flabel(c->labels, c->nlabels, LABEL_REVISION),
                                     .oneoff = z_eq(flabel(c->labels, c->nlabels, L_ONEOFF), "True"),
                                     .networks = (const char **)c->networks,
                                     .n_networks = c->nnetworks};
    o->number = number && str_to_i64(str_of(number), 0, 100000, &n) == NULL ? n : 0;
    o->has_healthcheck = o->health != NULL;
    return true;
}

static bool on_network(void *arg, const struct fleet_object *x) {
    struct index_walk *w = arg;
    const char *project = flabel(x->labels, x->nlabels, L_PROJECT);
    if (z_eq(project, w->want->project->name) || wanted_network(w->want, x->name))
        *vec_push(w->a, &w->networks) =
            (struct observed_network){x->id, x->name, flabel(x->labels, x->nlabels, L_NETWORK), project,
                                      flabel(x->labels, x->nlabels, LABEL_HASH)};
    return true;
}

static bool on_volume(void *arg, const struct fleet_object *x) {
    struct index_walk *w = arg;
    const char *project = flabel(x->labels, x->nlabels, L_PROJECT);
    if (z_eq(project, w->want->project->name) || wanted_volume(w->want, x->id))
        *vec_push(w->a, &w->volumes) = (struct observed_volume){x->id,
                                                                flabel(x->labels, x->nlabels, L_VOLUME),
                                                                project,
                                                                flabel(x->labels, x->nlabels, LABEL_HASH),
                                                                flabel(x->labels, x->nlabels, LABEL_FILES) != NULL,
                                                                false};
    return true;
}

/* "name" and "name:latest" are the same image; the list row carries every tag. */
static bool has_ref(struct arena *a, const char *row_json, const char *ref) {
    const char *slash = strrchr(ref, '/');
    bool tagged = strchr(slash ? slash : ref, ':') || strchr(ref, '@');
    const char *quoted = arena_printf(a, "\"%s%s\"", ref, tagged ? "" : ":latest");
    return row_json && strstr(row_json, quoted) != NULL;
}

static bool on_image(void *arg, const struct fleet_object *x) {
    struct index_walk *w = arg;
    for (size_t i = 0; i < w->want->n_services; i++)
        if (has_ref(w->a, x->json, w->want->services[i].image))
            *vec_push(w->a, &w->images) =
                (struct observed_image){w->want->services[i].image, x->id, flabel(x->labels, x->nlabels, LABEL_BUILD)};
    return true;
}

err_t observe_fleet(struct arena *a, struct fleet *f, const char *node_id, const struct desired *want,
                    struct observed **ret) {
    struct fleet_node node;
    if (!fleet_node_get(f, node_id, &node))
        return err_new(ERR_NOT_FOUND, "the application's node does not exist");
    if (!node.synced)
        return err_detail(
            err_new(ERR_DOCKER_UNAVAILABLE, "node %s is %s: %s", node.name, fleet_state_text(node.state), node.reason),
            "node", node.name);
    struct observed *o = arena_new_obj(a, struct observed);
    struct index_walk w = {.a = a, .o = o, .want = want};
    struct fleet_filter filter = {.node_id = node_id, .project = want->project->name};
    (void)fleet_containers(f, &filter, on_container, &w);
    (void)fleet_objects(f, FLEET_NETWORK, node_id, on_network, &w);
    (void)fleet_objects(f, FLEET_VOLUME, node_id, on_volume, &w);
    (void)fleet_objects(f, FLEET_IMAGE, node_id, on_image, &w);
    o->containers = w.containers.v;
    o->n_containers = w.containers.n;
    o->networks = w.networks.v;
    o->n_networks = w.networks.n;
    o->volumes = w.volumes.v;
    o->n_volumes = w.volumes.n;
    o->images = w.images.v;
    o->n_images = w.images.n;
    *ret = o;
    return NULL;
}
