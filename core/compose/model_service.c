#include <stdlib.h>

#include "core/compose/model_read.h"

/** Allocate `n` zeroed elements for a list member and its count. */
#define LIST(a, type, list, count)                                                                                     \
    ((count) = y_is((list), Y_SEQ) ? (list)->seq.n : 0, arena_new_array((a), type, (count) + 1))

static struct compose_build *build_of(struct arena *a, const struct y_node *b) {
    if (!y_is(b, Y_MAP))
        return NULL;
    struct compose_build *r = arena_new_obj(a, struct compose_build);
    *r = (struct compose_build){
        .context = model_text(b, "context"),
        .dockerfile = model_text(b, "dockerfile"),
        .dockerfile_inline = model_text(b, "dockerfile_inline"),
        .target = model_text(b, "target"),
        .network = model_text(b, "network"),
        .isolation = model_text(b, "isolation"),
        .args = model_kvs(a, y_get(b, "args"), true),
        .labels = model_kvs(a, y_get(b, "labels"), false),
        .additional_contexts = model_kvs(a, y_get(b, "additional_contexts"), false),
        .ssh = model_kvs(a, y_get(b, "ssh"), true),
        .cache_from = model_strs(a, y_get(b, "cache_from")),
        .cache_to = model_strs(a, y_get(b, "cache_to")),
        .no_cache_filter = model_strs(a, y_get(b, "no_cache_filter")),
        .platforms = model_strs(a, y_get(b, "platforms")),
        .tags = model_strs(a, y_get(b, "tags")),
        .extra_hosts = model_strs(a, y_get(b, "extra_hosts")),
        .entitlements = model_strs(a, y_get(b, "entitlements")),
        .pull = y_get_bool(b, "pull", false),
        .no_cache = y_get_bool(b, "no_cache", false),
        .privileged = y_get_bool(b, "privileged", false),
        .shm_size = model_int(b, "shm_size"),
    };
    r->ulimits = model_ulimits(a, y_get(b, "ulimits"), &r->n_ulimits);
    return r;
}

static void ports_of(struct arena *a, const struct y_node *l, struct compose_service *s) {
    s->ports = LIST(a, struct compose_port, l, s->n_ports);
    for (size_t i = 0; i < s->n_ports; i++) {
        const struct y_node *p = l->seq.v[i];
        int64_t target = model_int(p, "target");
        s->ports[i] = (struct compose_port){
            .name = model_text(p, "name"),
            .mode = model_text(p, "mode"),
            .host_ip = model_text(p, "host_ip"),
            .published = model_text(p, "published"),
            .protocol = model_text(p, "protocol"),
            .app_protocol = model_text(p, "app_protocol"),
            .target = target > 0 && target <= 65535 ? (uint16_t)target : 0,
            .origin = model_origin(p),
        };
    }
}

static enum compose_mount_type mount_type(const char *s) {
    static const char *const names[] = {"bind", "volume", "tmpfs", "image", "npipe", "cluster"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (z_eq(s, names[i]))
            return (enum compose_mount_type)i;
    }
    return COMPOSE_VOLUME;
}

static void mounts_of(struct arena *a, const struct y_node *l, struct compose_service *s) {
    s->volumes = LIST(a, struct compose_mount, l, s->n_volumes);
    for (size_t i = 0; i < s->n_volumes; i++) {
        const struct y_node *v = l->seq.v[i], *bind = y_get(v, "bind"), *vol = y_get(v, "volume"),
                            *tmpfs = y_get(v, "tmpfs");
        const struct y_node *source = y_get(v, "source");
        const char *sub = model_text(vol, "subpath");
        s->volumes[i] = (struct compose_mount){
            .type = mount_type(y_get_str(v, "type")),
            .source = model_text(v, "source"),
            .target = model_text(v, "target"),
            .consistency = model_text(v, "consistency"),
            .read_only = y_get_bool(v, "read_only", false),
            .relative = source != NULL && source->relative,
            .propagation = model_text(bind, "propagation"),
            .recursive = model_text(bind, "recursive"),
            .selinux = model_text(bind, "selinux"),
            .create_host_path = y_get_bool(bind, "create_host_path", true),
            .nocopy = y_get_bool(vol, "nocopy", false),
            .subpath = sub != NULL ? sub : model_text(y_get(v, "image"), "subpath"),
            .volume_labels = model_kvs(a, y_get(vol, "labels"), false),
            .tmpfs_size = model_int(tmpfs, "size"),
            .tmpfs_mode = model_mode(tmpfs, "mode"),
            .origin = model_origin(v),
        };
    }
}

static void networks_of(struct arena *a, const struct y_node *m, struct compose_service *s) {
    compose_names order = {0};
    compose_networks_by_priority(a, m, &order);
    s->networks = arena_new_array(a, struct compose_attachment, order.n + 1);
    s->n_networks = order.n;
    for (size_t i = 0; i < order.n; i++) {
        const struct y_node *n = y_get(m, order.v[i]);
        int64_t priority = model_int(n, "priority"), gw = model_int(n, "gw_priority");
        s->networks[i] = (struct compose_attachment){
            .network = order.v[i],
            .aliases = model_strs(a, y_get(n, "aliases")),
            .link_local_ips = model_strs(a, y_get(n, "link_local_ips")),
            .ipv4_address = model_text(n, "ipv4_address"),
            .ipv6_address = model_text(n, "ipv6_address"),
            .mac_address = model_text(n, "mac_address"),
            .interface_name = model_text(n, "interface_name"),
            .priority = priority == COMPOSE_UNSET ? 0 : priority,
            .gw_priority = gw == COMPOSE_UNSET ? 0 : gw,
            .driver_opts = model_kvs(a, y_get(n, "driver_opts"), false),
        };
    }
}

static int cmp_dependency(const void *x, const void *y) {
    return strcmp(((const struct compose_dependency *)x)->service, ((const struct compose_dependency *)y)->service);
}

static void depends_of(struct arena *a, const struct y_node *m, struct compose_service *s) {
    s->n_depends_on = y_is(m, Y_MAP) ? m->map.n : 0;
    s->depends_on = arena_new_array(a, struct compose_dependency, s->n_depends_on + 1);
    for (size_t i = 0; i < s->n_depends_on; i++) {
        const struct y_node *d = m->map.v[i].value;
        const char *c = y_get_str(d, "condition");
        s->depends_on[i] = (struct compose_dependency){
            .service = m->map.v[i].key.p,
            .condition = z_eq(c, "service_healthy")                  ? COMPOSE_HEALTHY
                         : z_eq(c, "service_completed_successfully") ? COMPOSE_COMPLETED
                                                                     : COMPOSE_STARTED,
            .required = y_get_bool(d, "required", true),
            .restart = y_get_bool(d, "restart", false),
            .origin = {m->map.v[i].value->file, m->map.v[i].line, m->map.v[i].col},
        };
    }
    if (s->n_depends_on > 1)
        qsort(s->depends_on, s->n_depends_on, sizeof(*s->depends_on), cmp_dependency);
}

static struct compose_healthcheck health_of(struct arena *a, const struct y_node *h) {
    return (struct compose_healthcheck){
        .set = y_is(h, Y_MAP),
        .disable = y_get_bool(h, "disable", false),
        .test = model_strs(a, y_get(h, "test")),
        .interval = model_duration(h, "interval"),
        .timeout = model_duration(h, "timeout"),
        .start_period = model_duration(h, "start_period"),
        .start_interval = model_duration(h, "start_interval"),
        .retries = model_int(h, "retries"),
    };
}

static struct compose_file_ref *refs_of(struct arena *a, const struct y_node *l, const char *dir, size_t *n) {
    struct compose_file_ref *v = LIST(a, struct compose_file_ref, l, *n);
    for (size_t i = 0; i < *n; i++) {
        const struct y_node *r = l->seq.v[i];
        const char *source = model_text(r, "source"), *target = model_text(r, "target");
        if (target == NULL)
            target = source;
        if (target != NULL && target[0] != '/')
            target = arena_printf(a, "%s/%s", dir, target);
        v[i] = (struct compose_file_ref){
            .source = source,
            .target = target,
            .uid = model_text(r, "uid"),
            .gid = model_text(r, "gid"),
            .mode = model_mode(r, "mode"),
            .origin = model_origin(r),
        };
    }
    return v;
}

static struct compose_device_request *requests_of(struct arena *a, const struct y_node *l, size_t *n) {
    struct compose_device_request *v = LIST(a, struct compose_device_request, l, *n);
    for (size_t i = 0; i < *n; i++) {
        const struct y_node *r = l->seq.v[i];
        int64_t count = model_int(r, "count");
        v[i] = (struct compose_device_request){
            .driver = model_text(r, "driver"),
            .count = count == COMPOSE_UNSET ? 0 : count,
            .device_ids = model_strs(a, y_get(r, "device_ids")),
            .capabilities = model_strs(a, y_get(r, "capabilities")),
            .options = model_kvs(a, y_get(r, "options"), false),
        };
    }
    return v;
}

static struct compose_resources resources_of(const struct y_node *r) {
    return (struct compose_resources){model_num(r, "cpus"), model_int(r, "memory"), model_int(r, "pids")};
}

static struct compose_deploy deploy_of(struct arena *a, const struct y_node *d) {
    const struct y_node *policy = y_get(d, "restart_policy"), *reserved = y_path(d, "resources", "reservations", NULL);
    struct compose_deploy r = {
        .set = y_is(d, Y_MAP),
        .mode = model_text(d, "mode"),
        .replicas = model_int(d, "replicas"),
        .labels = model_kvs(a, y_get(d, "labels"), false),
        .limits = resources_of(y_path(d, "resources", "limits", NULL)),
        .reservations = resources_of(reserved),
        .restart_policy =
            {
                .set = y_is(policy, Y_MAP),
                .condition = model_text(policy, "condition"),
                .delay = model_duration(policy, "delay"),
                .window = model_duration(policy, "window"),
                .max_attempts = model_int(policy, "max_attempts"),
            },
    };
    r.devices = requests_of(a, y_get(reserved, "devices"), &r.n_devices);
    return r;
}

static struct compose_blkio_rate *rates_of(struct arena *a, const struct y_node *l, const char *key, size_t *n) {
    struct compose_blkio_rate *v = LIST(a, struct compose_blkio_rate, l, *n);
    for (size_t i = 0; i < *n; i++)
        v[i] = (struct compose_blkio_rate){model_text(l->seq.v[i], "path"), model_int(l->seq.v[i], key)};
    return v;
}

static struct compose_blkio blkio_of(struct arena *a, const struct y_node *b) {
    struct compose_blkio r = {.set = y_is(b, Y_MAP), .weight = model_int(b, "weight")};
    r.weight_device = rates_of(a, y_get(b, "weight_device"), "weight", &r.n_weight_device);
    r.read_bps = rates_of(a, y_get(b, "device_read_bps"), "rate", &r.n_read_bps);
    r.write_bps = rates_of(a, y_get(b, "device_write_bps"), "rate", &r.n_write_bps);
    r.read_iops = rates_of(a, y_get(b, "device_read_iops"), "rate", &r.n_read_iops);
    r.write_iops = rates_of(a, y_get(b, "device_write_iops"), "rate", &r.n_write_iops);
    return r;
}

static struct compose_hook *hooks_of(struct arena *a, const struct y_node *l, size_t *n) {
    struct compose_hook *v = LIST(a, struct compose_hook, l, *n);
    for (size_t i = 0; i < *n; i++) {
        const struct y_node *h = l->seq.v[i];
        v[i] = (struct compose_hook){
            .command = model_strs(a, y_get(h, "command")),
            .user = model_text(h, "user"),
            .working_dir = model_text(h, "working_dir"),
            .image = model_text(h, "image"),
            .privileged = y_get_bool(h, "privileged", false),
            .per_replica = y_get_bool(h, "per_replica", false),
            .environment = model_kvs(a, y_get(h, "environment"), true),
        };
    }
    return v;
}

static void lists_of(struct arena *a, const struct y_node *n, struct compose_service *s) {
    const struct y_node *devices = y_get(n, "devices"), *env = y_get(n, "env_file");
    s->devices = LIST(a, struct compose_device, devices, s->n_devices);
    for (size_t i = 0; i < s->n_devices; i++) {
        const struct y_node *d = devices->seq.v[i];
        const char *source = model_text(d, "source"), *target = model_text(d, "target"),
                   *perm = model_text(d, "permissions");
        s->devices[i] = (struct compose_device){source, target != NULL ? target : source, perm != NULL ? perm : "rwm"};
    }
    s->env_files = LIST(a, struct compose_env_file, env, s->n_env_files);
    for (size_t i = 0; i < s->n_env_files; i++) {
        const struct y_node *f = env->seq.v[i];
        s->env_files[i] =
            (struct compose_env_file){model_text(f, "path"), model_text(f, "format"), y_get_bool(f, "required", true)};
    }
    s->gpus = requests_of(a, y_get(n, "gpus"), &s->n_gpus);
    s->ulimits = model_ulimits(a, y_get(n, "ulimits"), &s->n_ulimits);
    s->configs = refs_of(a, y_get(n, "configs"), "", &s->n_configs);
    s->secrets = refs_of(a, y_get(n, "secrets"), "/run/secrets", &s->n_secrets);
    s->post_start = hooks_of(a, y_get(n, "post_start"), &s->n_post_start);
    s->pre_stop = hooks_of(a, y_get(n, "pre_stop"), &s->n_pre_stop);
    s->pre_start = hooks_of(a, y_get(n, "pre_start"), &s->n_pre_start);
}

/* ---- members that are read the same way: one row each ---- */

struct row {
    const char *key;
    size_t at;
};
#define ROW(member)                                                                                                    \
    { #member, offsetof(struct compose_service, member) }
#define FIELD(s, r, type) (*(type *)(void *)((char *)(s) + (r)->at))
#define EACH_ROW(r, rows) (const struct row *r = (rows); r < (rows) + ARRAY_LEN(rows); r++)

static const struct row texts[] = {
    ROW(image),       ROW(network_mode), ROW(restart),       ROW(container_name),
    ROW(hostname),    ROW(domainname),   ROW(mac_address),   ROW(pull_policy),
    ROW(platform),    ROW(user),         ROW(working_dir),   ROW(stop_signal),
    ROW(cpuset),      ROW(pid),          ROW(ipc),           ROW(uts),
    ROW(userns_mode), ROW(cgroup),       ROW(cgroup_parent), ROW(runtime),
    ROW(isolation),
};
static const struct row ints[] = {
    ROW(mem_limit),     ROW(mem_reservation), ROW(memswap_limit), ROW(mem_swappiness), ROW(shm_size),
    ROW(pids_limit),    ROW(cpu_count),       ROW(cpu_shares),    ROW(cpu_quota),      ROW(cpu_period),
    ROW(cpu_rt_period), ROW(cpu_rt_runtime),  ROW(oom_score_adj),
};
static const struct row bools[] = {ROW(privileged), ROW(read_only), ROW(tty), ROW(stdin_open), ROW(oom_kill_disable)};
static const struct row strs[] = {
    ROW(command),
    ROW(entrypoint),
    ROW(expose),
    ROW(tmpfs),
    ROW(volumes_from),
    ROW(profiles),
    ROW(extra_hosts),
    ROW(dns),
    ROW(dns_search),
    ROW(dns_opt),
    ROW(cap_add),
    ROW(cap_drop),
    ROW(security_opt),
    ROW(group_add),
    ROW(links),
    ROW(external_links),
    ROW(device_cgroup_rules),
};
static const struct row kvs[] = {ROW(labels), ROW(annotations), ROW(sysctls), ROW(storage_opt)};

static void plain_members(struct arena *a, const struct y_node *n, struct compose_service *s) {
    for
        EACH_ROW(r, texts)
    FIELD(s, r, const char *) = model_text(n, r->key);
    for
        EACH_ROW(r, ints)
    FIELD(s, r, int64_t) = model_int(n, r->key);
    for
        EACH_ROW(r, bools)
    FIELD(s, r, bool) = y_get_bool(n, r->key, false);
    for
        EACH_ROW(r, strs)
    FIELD(s, r, struct compose_strs) = model_strs(a, y_get(n, r->key));
    for
        EACH_ROW(r, kvs)
    FIELD(s, r, struct compose_kvs) = model_kvs(a, y_get(n, r->key), false);
}

static int64_t scale_of(const struct compose_service *s, const struct y_node *n) {
    int64_t scale = model_int(n, "scale");
    if (scale == COMPOSE_UNSET)
        scale = s->deploy.replicas;
    return scale == COMPOSE_UNSET ? 1 : scale;
}

void model_service(struct compose_cx *cx, const struct y_node *file, const struct y_node *node, const char *name,
                   struct compose_service *s) {
    struct arena *a = cx->a;
    (void)file;
    *s = (struct compose_service){.name = name, .origin = model_origin(node), .node = node};
    plain_members(a, node, s);
    s->build = build_of(a, y_get(node, "build"));
    s->environment = model_kvs(a, y_get(node, "environment"), true);
    s->healthcheck = health_of(a, y_get(node, "healthcheck"));
    s->deploy = deploy_of(a, y_get(node, "deploy"));
    s->blkio = blkio_of(a, y_get(node, "blkio_config"));
    s->scale = scale_of(s, node);
    s->stop_grace_period = model_duration(node, "stop_grace_period");
    s->init = model_tri(node, "init");
    s->attach = model_tri(node, "attach");
    s->cpus = model_num(node, "cpus");
    s->cpu_percent = model_num(node, "cpu_percent");
    s->log_driver = model_text(y_get(node, "logging"), "driver");
    s->log_options = model_kvs(a, y_path(node, "logging", "options", NULL), false);
    s->provider = model_text(y_get(node, "provider"), "type");
    ports_of(a, y_get(node, "ports"), s);
    mounts_of(a, y_get(node, "volumes"), s);
    networks_of(a, y_get(node, "networks"), s);
    depends_of(a, y_get(node, "depends_on"), s);
    lists_of(a, node, s);
}
