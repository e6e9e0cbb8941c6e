#include <stdlib.h>
#include "core/gitops/spec_map.h"

#define COMPOSE_VERSION "2.39.0" /* whose labels these are: what `docker compose` itself would write */

static struct spec_kvs kvs(struct arena *a, const struct compose_kvs *in) {
    struct spec_kv *v = arena_new_array(a, struct spec_kv, in->n + 1);
    for (size_t i = 0; i < in->n; i++)
        v[i] = (struct spec_kv){in->v[i].key, in->v[i].value};
    return (struct spec_kvs){v, in->n};
}

static struct spec_strs strs(const struct compose_strs *in) {
    return (struct spec_strs){(const char *const *)in->v, in->n, in->set};
}

static int64_t or_zero(int64_t v) { return v == COMPOSE_UNSET ? 0 : v; }

static enum spec_opt tri(enum compose_tri t) {
    return t == COMPOSE_TRI_UNSET ? SPEC_UNSET : t == COMPOSE_TRUE ? SPEC_TRUE : SPEC_FALSE;
}

struct labels {
    struct spec_kv *v;
    size_t n;
};

static void label(struct labels *l, const char *key, const char *value) {
    for (size_t i = 0; i < l->n; i++)
        if (z_eq(l->v[i].key, key)) {
            l->v[i].value = value;
            return;
        }
    l->v[l->n++] = (struct spec_kv){key, value};
}

/* What we write is for us alone: an application must not be able to say it of its own objects. */
static void user_label(struct labels *l, const char *key, const char *value) {
    if (!z_starts(key, "io.dockflow."))
        label(l, key, value ? value : "");
}

static const char *dependency_label(struct arena *a, const struct compose_service *s) {
    static const char *const conditions[] = {"service_started", "service_healthy", "service_completed_successfully"};
    const char *out = "";
    for (size_t i = 0; i < s->n_depends_on; i++)
        out = arena_printf(a, "%s%s%s:%s:%s", out, *out ? "," : "", s->depends_on[i].service,
                           conditions[s->depends_on[i].condition], s->depends_on[i].restart ? "true" : "false");
    return out;
}

static const char *join_files(struct arena *a, const struct compose_strs *files) {
    const char *out = "";
    for (size_t i = 0; i < files->n; i++)
        out = arena_printf(a, "%s%s%s", out, i ? "," : "", files->v[i]);
    return out;
}

/* The user's labels first, so that none of them can take the place of ours. */
static struct spec_kvs container_labels(struct arena *a, const struct map_input *in) {
    const struct compose_service *s = in->service->service;
    const struct compose_project *p = in->want->project;
    struct labels l = {arena_new_array(a, struct spec_kv, s->labels.n + s->deploy.labels.n + 20), 0};
    for (size_t i = 0; i < s->labels.n; i++)
        user_label(&l, s->labels.v[i].key, s->labels.v[i].value);
    label(&l, "com.docker.compose.project", p->name);
    label(&l, "com.docker.compose.service", s->name);
    label(&l, "com.docker.compose.container-number", arena_printf(a, "%lld", (long long)in->number));
    label(&l, "com.docker.compose.oneoff", "False");
    label(&l, "com.docker.compose.config-hash", compose_service_hash(a, s, NULL, NULL, 0));
    label(&l, "com.docker.compose.project.working_dir", p->working_dir);
    label(&l, "com.docker.compose.project.config_files", join_files(a, &p->compose_files));
    label(&l, "com.docker.compose.version", COMPOSE_VERSION);
    label(&l, "com.docker.compose.image", in->image_id ? in->image_id : "");
    label(&l, "com.docker.compose.depends_on", dependency_label(a, s));
    label(&l, LABEL_APP, in->want->app_id);
    label(&l, LABEL_HASH, in->hash);
    label(&l, LABEL_REVISION, in->want->revision);
    label(&l, LABEL_DEPLOYMENT, in->deployment_id ? in->deployment_id : "");
    return (struct spec_kvs){l.v, l.n};
}

static void map_ports(struct arena *a, const struct compose_service *s, struct container_spec *out) {
    struct spec_port *v = arena_new_array(a, struct spec_port, s->n_ports + s->expose.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < s->n_ports; i++)
        v[n++] = (struct spec_port){.target = s->ports[i].target,
                                    .protocol = s->ports[i].protocol,
                                    .has_binding = true,
                                    .host_ip = s->ports[i].host_ip,
                                    .host_port = s->ports[i].published};
    for (size_t i = 0; i < s->expose.n; i++) {
        struct str rest = str_of(s->expose.v[i]), num;
        int64_t port;
        if (!str_cut(&rest, '/', &num) || str_to_i64(num, 1, 65535, &port) != NULL)
            continue;
        v[n++] = (struct spec_port){.target = (uint16_t)port, .protocol = rest.n ? str_z(a, rest) : NULL};
    }
    out->ports.v = v;
    out->ports.n = n;
}

static const char *volume_name(const struct desired *want, const char *key) {
    const struct compose_volume *v = key ? compose_volume_find(want->project, key) : NULL;
    return v ? v->name : key;
}

static const struct desired_file_set *file_set_at(const struct desired_service *s, const char *target) {
    for (size_t i = 0; i < s->n_files; i++)
        if (z_eq(s->files[i].target, target))
            return &s->files[i];
    return NULL;
}

static struct spec_mount files_mount(struct arena *a, const struct map_input *in, const struct desired_file_set *f) {
    const char *base = in->files_path(in->ctx, f->volume);
    return (struct spec_mount){.type = SPEC_MOUNT_BIND,
                               .source = arena_printf(a, "%s%s", base ? base : "/nonexistent", f->path),
                               .target = f->target,
                               .read_only = f->read_only};
}

static struct spec_mount user_mount(struct arena *a, const struct map_input *in, const struct compose_mount *m) {
    const struct desired_file_set *f = m->relative ? file_set_at(in->service, m->target) : NULL;
    if (f)
        return files_mount(a, in, f);
    struct spec_mount out = {.target = m->target,
                             .read_only = m->read_only,
                             .subpath = m->subpath,
                             .no_copy = m->nocopy,
                             .propagation = m->propagation,
                             .selinux = m->selinux,
                             .recursive = m->recursive,
                             .create_host_path = m->create_host_path,
                             .labels = kvs(a, &m->volume_labels)};
    switch (m->type) {
    case COMPOSE_BIND:
        out.type = SPEC_MOUNT_BIND;
        out.source = m->source;
        break;
    case COMPOSE_TMPFS:
        out.type = SPEC_MOUNT_TMPFS;
        out.tmpfs_size = or_zero(m->tmpfs_size);
        out.tmpfs_mode = or_zero(m->tmpfs_mode);
        break;
    case COMPOSE_IMAGE:
        out.type = SPEC_MOUNT_IMAGE;
        out.source = m->source;
        break;
    default:
        out.type = SPEC_MOUNT_VOLUME;
        out.source = volume_name(in->want, m->source);
    }
    return out;
}

static void map_mounts(struct arena *a, const struct map_input *in, struct container_spec *out) {
    const struct compose_service *s = in->service->service;
    struct spec_mount *v = arena_new_array(a, struct spec_mount, s->n_volumes + in->service->n_files + 1);
    size_t n = 0;
    for (size_t i = 0; i < s->n_volumes; i++)
        v[n++] = user_mount(a, in, &s->volumes[i]);
    for (size_t i = 0; i < in->service->n_files; i++)
        if (!z_starts(in->service->files[i].key, "bind:"))
            v[n++] = files_mount(a, in, &in->service->files[i]);
    out->mounts.v = v;
    out->mounts.n = n;
    struct spec_kv *t = arena_new_array(a, struct spec_kv, s->tmpfs.n + 1);
    for (size_t i = 0; i < s->tmpfs.n; i++) {
        struct str rest = str_of(s->tmpfs.v[i]), path;
        (void)str_cut(&rest, ':', &path);
        t[i] = (struct spec_kv){str_z(a, path), str_z(a, rest)};
    }
    out->tmpfs = (struct spec_kvs){t, s->tmpfs.n};
}

void spec_map_endpoint(struct arena *a, const struct desired *want, const struct compose_service *s,
                       const struct compose_attachment *at, const char *container_name, struct spec_network *ret) {
    const struct compose_network *n = compose_network_find(want->project, at->network);
    const char **aliases = arena_new_array(a, const char *, at->aliases.n + 3);
    size_t k = 0;
    aliases[k++] = container_name;
    aliases[k++] = s->name;
    for (size_t i = 0; i < at->aliases.n; i++)
        aliases[k++] = at->aliases.v[i];
    *ret = (struct spec_network){.name = n ? n->name : at->network,
                                 .aliases = {aliases, k, true},
                                 .links = strs(&s->links),
                                 .link_local_ips = strs(&at->link_local_ips),
                                 .ipv4 = at->ipv4_address,
                                 .ipv6 = at->ipv6_address,
                                 .mac = at->mac_address,
                                 .driver_opts = kvs(a, &at->driver_opts),
                                 .gw_priority = at->gw_priority};
}

static err_t namespace_of(struct arena *a, const struct map_input *in, const char *mode, const char **ret) {
    *ret = mode;
    if (mode == NULL || !z_starts(mode, "service:"))
        return NULL;
    const char *id = in->service_container(in->ctx, mode + 8);
    if (id == NULL)
        return err_new(ERR_CONFLICT, "service %s shares a namespace of service %s, which has no container",
                       in->service->service->name, mode + 8);
    *ret = arena_printf(a, "container:%s", id);
    return NULL;
}

static err_t map_networks(struct arena *a, const struct map_input *in, struct container_spec *out) {
    const struct compose_service *s = in->service->service;
    TRY(namespace_of(a, in, s->network_mode, &out->network_mode));
    TRY(namespace_of(a, in, s->pid, &out->pid));
    TRY(namespace_of(a, in, s->ipc, &out->ipc));
    struct spec_network *v = arena_new_array(a, struct spec_network, s->n_networks + 1);
    const char *canonical = plan_container_name(a, in->want->project, s, in->number);
    for (size_t i = 0; i < s->n_networks; i++)
        spec_map_endpoint(a, in->want, s, &s->networks[i], canonical, &v[i]);
    out->networks.v = v;
    out->networks.n = s->n_networks;
    return NULL;
}

static err_t map_volumes_from(struct arena *a, const struct map_input *in, struct container_spec *out) {
    const struct compose_service *s = in->service->service;
    const char **v = arena_new_array(a, const char *, s->volumes_from.n + 1);
    for (size_t i = 0; i < s->volumes_from.n; i++) {
        struct str rest = str_of(s->volumes_from.v[i]), name;
        if (str_starts(rest, STR("container:"))) {
            v[i] = s->volumes_from.v[i] + 10;
            continue;
        }
        (void)str_cut(&rest, ':', &name);
        const char *id = in->service_container(in->ctx, str_z(a, name));
        if (id == NULL)
            return err_new(ERR_CONFLICT, "service %s takes volumes from service %.*s, which has no container", s->name,
                           STR_ARG(name));
        v[i] = rest.n ? arena_printf(a, "%s:%.*s", id, STR_ARG(rest)) : id;
    }
    out->volumes_from = (struct spec_strs){v, s->volumes_from.n, s->volumes_from.n > 0};
    return NULL;
}

static void map_health(struct arena *a, const struct compose_service *s, struct container_spec *out) {
    const struct compose_healthcheck *h = &s->healthcheck;
    if (!h->set)
        return;
    struct spec_health *v = arena_new_obj(a, struct spec_health);
    *v = (struct spec_health){.disable = h->disable,
                              .test = strs(&h->test),
                              .interval_ns = or_zero(h->interval),
                              .timeout_ns = or_zero(h->timeout),
                              .start_period_ns = or_zero(h->start_period),
                              .start_interval_ns = or_zero(h->start_interval),
                              .retries = or_zero(h->retries)};
    out->health = v;
}

static void map_restart(struct arena *a, const struct compose_service *s, struct container_spec *out) {
    if (s->deploy.restart_policy.set) {
        const char *c = s->deploy.restart_policy.condition;
        out->restart = z_eq(c, "none") ? "no" : z_eq(c, "on-failure") ? "on-failure" : "always";
        out->restart_max = z_eq(out->restart, "on-failure") ? or_zero(s->deploy.restart_policy.max_attempts) : 0;
        return;
    }
    if (s->restart == NULL)
        return;
    struct str rest = str_of(s->restart), name;
    (void)str_cut(&rest, ':', &name);
    out->restart = str_z(a, name);
    int64_t n = 0;
    if (rest.n && str_to_i64(rest, 0, 1000000, &n) == NULL)
        out->restart_max = n;
}

static int64_t prefer(int64_t deploy, int64_t plain) { return deploy > 0 ? deploy : or_zero(plain); }

static void map_resources(struct arena *a, const struct compose_service *s, struct container_spec *out) {
    const struct compose_resources *lim = &s->deploy.limits;
    double cpus = lim->cpus > 0 ? lim->cpus : s->cpus;
    out->memory = prefer(lim->memory, s->mem_limit);
    out->memory_reservation = prefer(s->deploy.reservations.memory, s->mem_reservation);
    out->memory_swap = or_zero(s->memswap_limit);
    out->has_memory_swappiness = s->mem_swappiness != COMPOSE_UNSET;
    out->memory_swappiness = or_zero(s->mem_swappiness);
    out->shm_size = or_zero(s->shm_size);
    out->nano_cpus = (int64_t)(cpus * 1e9 + 0.5);
    out->cpu_shares = or_zero(s->cpu_shares);
    out->cpu_quota = or_zero(s->cpu_quota);
    out->cpu_period = or_zero(s->cpu_period);
    out->cpu_rt_period = or_zero(s->cpu_rt_period);
    out->cpu_rt_runtime = or_zero(s->cpu_rt_runtime);
    out->cpu_count = or_zero(s->cpu_count);
    out->cpu_percent = (int64_t)s->cpu_percent;
    out->cpuset_cpus = s->cpuset;
    out->pids_limit = prefer(lim->pids, s->pids_limit);
    out->oom_score_adj = or_zero(s->oom_score_adj);
    out->oom_kill_disable = s->oom_kill_disable ? SPEC_TRUE : SPEC_UNSET;
    struct spec_ulimit *u = arena_new_array(a, struct spec_ulimit, s->n_ulimits + 1);
    for (size_t i = 0; i < s->n_ulimits; i++)
        u[i] = (struct spec_ulimit){s->ulimits[i].name, s->ulimits[i].soft, s->ulimits[i].hard};
    out->ulimits.v = u;
    out->ulimits.n = s->n_ulimits;
}

static void map_devices(struct arena *a, const struct compose_service *s, struct container_spec *out) {
    struct spec_device *d = arena_new_array(a, struct spec_device, s->n_devices + 1);
    for (size_t i = 0; i < s->n_devices; i++)
        d[i] = (struct spec_device){s->devices[i].source, s->devices[i].target, s->devices[i].permissions};
    out->devices.v = d;
    out->devices.n = s->n_devices;
    size_t total = s->n_gpus + s->deploy.n_devices, n = 0;
    struct spec_device_request *r = arena_new_array(a, struct spec_device_request, total + 1);
    for (size_t i = 0; i < total; i++) {
        const struct compose_device_request *q = i < s->n_gpus ? &s->gpus[i] : &s->deploy.devices[i - s->n_gpus];
        r[n++] = (struct spec_device_request){.driver = q->driver,
                                              .count = q->count,
                                              .ids = strs(&q->device_ids),
                                              .capabilities = strs(&q->capabilities),
                                              .options = kvs(a, &q->options)};
    }
    out->device_requests.v = r;
    out->device_requests.n = n;
}

/* Values of extra_hosts are "host=ip"; the engine wants "host:ip". */
static struct spec_strs hosts(struct arena *a, const struct compose_strs *in) {
    const char **v = arena_new_array(a, const char *, in->n + 1);
    for (size_t i = 0; i < in->n; i++) {
        char *h = arena_strdup(a, in->v[i]);
        char *eq = strchr(h, '=');
        if (eq)
            *eq = ':';
        v[i] = h;
    }
    return (struct spec_strs){v, in->n, in->n > 0};
}

static void map_plain(struct arena *a, const struct map_input *in, struct container_spec *out) {
    const struct compose_service *s = in->service->service;
    *out = (struct container_spec){.name = in->name,
                                   .platform = s->platform,
                                   .image = in->service->image,
                                   .command = strs(&s->command),
                                   .entrypoint = strs(&s->entrypoint),
                                   .environment = kvs(a, &s->environment),
                                   .labels = container_labels(a, in),
                                   .annotations = kvs(a, &s->annotations),
                                   .hostname = s->hostname,
                                   .domainname = s->domainname,
                                   .user = s->user,
                                   .working_dir = s->working_dir,
                                   .tty = s->tty,
                                   .stdin_open = s->stdin_open,
                                   .stop_signal = s->stop_signal,
                                   .device_cgroup_rules = strs(&s->device_cgroup_rules),
                                   .cap_add = strs(&s->cap_add),
                                   .cap_drop = strs(&s->cap_drop),
                                   .security_opt = strs(&s->security_opt),
                                   .group_add = strs(&s->group_add),
                                   .sysctls = kvs(a, &s->sysctls),
                                   .storage_opt = kvs(a, &s->storage_opt),
                                   .privileged = s->privileged,
                                   .read_only = s->read_only,
                                   .init = tri(s->init),
                                   .dns = strs(&s->dns),
                                   .dns_search = strs(&s->dns_search),
                                   .dns_opt = strs(&s->dns_opt),
                                   .extra_hosts = hosts(a, &s->extra_hosts),
                                   .uts = s->uts,
                                   .userns = s->userns_mode,
                                   .cgroupns = s->cgroup,
                                   .cgroup_parent = s->cgroup_parent,
                                   .runtime = s->runtime,
                                   .isolation = s->isolation,
                                   .log_driver = s->log_driver,
                                   .log_options = kvs(a, &s->log_options),
                                   .mac_address = s->mac_address};
    if (s->stop_grace_period != COMPOSE_UNSET && s->stop_grace_period > 0) {
        out->has_stop_timeout = true;
        out->stop_timeout = (s->stop_grace_period + 999999999) / 1000000000;
    }
}

err_t spec_map_container(struct arena *a, const struct map_input *in, struct container_spec *ret) {
    const struct compose_service *s = in->service->service;
    map_plain(a, in, ret);
    map_ports(a, s, ret);
    map_mounts(a, in, ret);
    map_health(a, s, ret);
    map_restart(a, s, ret);
    map_resources(a, s, ret);
    map_devices(a, s, ret);
    TRY(map_networks(a, in, ret));
    return map_volumes_from(a, in, ret);
}

static struct spec_kvs object_labels(struct arena *a, const struct desired *want, const struct compose_kvs *user,
                                     const char *name_label, const char *name, const char *hash) {
    struct labels l = {arena_new_array(a, struct spec_kv, user->n + 8), 0};
    for (size_t i = 0; i < user->n; i++)
        user_label(&l, user->v[i].key, user->v[i].value);
    label(&l, "com.docker.compose.project", want->project->name);
    label(&l, name_label, name);
    label(&l, "com.docker.compose.version", COMPOSE_VERSION);
    label(&l, "com.docker.compose.config-hash", hash);
    label(&l, LABEL_APP, want->app_id);
    label(&l, LABEL_HASH, hash);
    return (struct spec_kvs){l.v, l.n};
}

void spec_map_network(struct arena *a, const struct desired *want, const struct compose_network *n,
                      struct network_spec *ret) {
    struct spec_ipam *pools = arena_new_array(a, struct spec_ipam, n->n_ipam + 1);
    for (size_t i = 0; i < n->n_ipam; i++)
        pools[i] = (struct spec_ipam){n->ipam[i].subnet, n->ipam[i].gateway, n->ipam[i].ip_range,
                                      kvs(a, &n->ipam[i].aux_addresses)};
    *ret = (struct network_spec){
        .name = n->name,
        .driver = n->driver,
        .internal = n->internal,
        .attachable = n->attachable,
        .enable_ipv4 = tri(n->enable_ipv4),
        .enable_ipv6 = tri(n->enable_ipv6),
        .driver_opts = kvs(a, &n->driver_opts),
        .ipam_options = kvs(a, &n->ipam_options),
        .ipam_driver = n->ipam_driver,
        .labels = object_labels(a, want, &n->labels, "com.docker.compose.network", n->key, compose_network_hash(a, n))};
    ret->ipam.v = pools;
    ret->ipam.n = n->n_ipam;
}

void spec_map_volume(struct arena *a, const struct desired *want, const struct compose_volume *v,
                     struct volume_spec *ret) {
    *ret = (struct volume_spec){
        .name = v->name,
        .driver = v->driver,
        .driver_opts = kvs(a, &v->driver_opts),
        .labels = object_labels(a, want, &v->labels, "com.docker.compose.volume", v->key, compose_volume_hash(a, v))};
}
