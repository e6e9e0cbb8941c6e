/* container_spec to the engine's create body. */
#include "core/docker/spec.h"

struct ctx {
    struct arena *a;
    const struct container_spec *s;
    int api;
    struct json *config, *host, *warnings;
};

static void warn(struct ctx *c, int since, const char *what) {
    json_push(c->a, c->warnings,
              json_string(c->a, arena_printf(c->a, "%s needs engine API 1.%d, this engine speaks 1.%d: left out", what,
                                             since, c->api)));
}

static bool has(struct ctx *c, int since, const char *what) {
    if (c->api >= since)
        return true;
    warn(c, since, what);
    return false;
}

static struct json *strings(struct arena *a, struct spec_strs l) {
    struct json *arr = json_array(a);
    for (size_t i = 0; i < l.n; i++)
        json_push(a, arr, json_string(a, l.v[i]));
    return arr;
}

static struct json *pairs(struct arena *a, struct spec_kvs l) {
    struct json *obj = json_object(a);
    for (size_t i = 0; i < l.n; i++)
        json_set_str(a, obj, l.v[i].key, l.v[i].value ? l.v[i].value : "");
    return obj;
}

static void put_str(struct arena *a, struct json *o, const char *key, const char *v) {
    if (v && *v)
        json_set_str(a, o, key, v);
}
static void put_int(struct arena *a, struct json *o, const char *key, int64_t v) {
    if (v)
        json_set_int(a, o, key, v);
}
static void put_true(struct arena *a, struct json *o, const char *key, bool v) {
    if (v)
        json_set_bool(a, o, key, true);
}
static void put_opt(struct arena *a, struct json *o, const char *key, enum spec_opt v) {
    if (v != SPEC_UNSET)
        json_set_bool(a, o, key, v == SPEC_TRUE);
}
static void put_strs(struct arena *a, struct json *o, const char *key, struct spec_strs l) {
    if (l.n)
        json_set(a, o, key, strings(a, l));
}
static void put_kvs(struct arena *a, struct json *o, const char *key, struct spec_kvs l) {
    if (l.n)
        json_set(a, o, key, pairs(a, l));
}

static err_t environment(struct ctx *c) {
    struct spec_kvs env = c->s->environment;
    if (!env.n)
        return NULL;
    struct json *arr = json_array(c->a);
    for (size_t i = 0; i < env.n; i++) {
        err_t e = docker_env_name_check(str_of(env.v[i].key));
        if (e)
            return err_field(err_wrap(e, "environment name %zu is not usable", i), "/Env");
        const char *v = env.v[i].value;
        json_push(c->a, arr, json_string(c->a, v ? arena_printf(c->a, "%s=%s", env.v[i].key, v) : env.v[i].key));
    }
    json_set(c->a, c->config, "Env", arr);
    return NULL;
}

static void health(struct ctx *c) {
    const struct spec_health *h = c->s->health;
    if (!h)
        return;
    struct json *o = json_object(c->a);
    if (h->disable) {
        struct json *none = json_array(c->a);
        json_push(c->a, none, json_string(c->a, "NONE"));
        json_set(c->a, o, "Test", none);
    } else {
        put_strs(c->a, o, "Test", h->test);
        put_int(c->a, o, "Interval", h->interval_ns);
        put_int(c->a, o, "Timeout", h->timeout_ns);
        put_int(c->a, o, "StartPeriod", h->start_period_ns);
        if (h->start_interval_ns && has(c, 44, "healthcheck start_interval"))
            put_int(c->a, o, "StartInterval", h->start_interval_ns);
        put_int(c->a, o, "Retries", h->retries);
    }
    json_set(c->a, c->config, "Healthcheck", o);
}

static err_t host_port_check(const char *p) {
    if (!p || !*p)
        return NULL;
    struct str s = str_of(p), from = s, to = s;
    ptrdiff_t dash = str_find_chr(s, '-');
    if (dash >= 0) {
        from = str_slice(s, 0, (size_t)dash);
        to = str_slice(s, (size_t)dash + 1, s.n);
    }
    int64_t lo, hi;
    err_t e = str_to_i64(from, 1, 65535, &lo);
    if (!e)
        e = str_to_i64(to, 1, 65535, &hi);
    if (e || lo > hi)
        return err_field(err_new(ERR_INVALID, "host port \"%s\" is neither a port nor a range", p),
                         "/HostConfig/PortBindings");
    return NULL;
}

static err_t ports(struct ctx *c) {
    struct json *exposed = json_object(c->a), *bound = json_object(c->a);
    for (size_t i = 0; i < c->s->ports.n; i++) {
        const struct spec_port *p = &c->s->ports.v[i];
        const char *proto = p->protocol ? p->protocol : "tcp";
        if (!p->target || (!z_eq(proto, "tcp") && !z_eq(proto, "udp") && !z_eq(proto, "sctp")))
            return err_field(err_new(ERR_INVALID, "container port %u/%s is not valid", p->target, proto),
                             "/ExposedPorts");
        const char *key = arena_printf(c->a, "%u/%s", p->target, proto);
        json_set(c->a, exposed, key, json_object(c->a));
        if (!p->has_binding)
            continue;
        TRY(host_port_check(p->host_port));
        struct json *list = json_get(bound, key);
        if (!list) {
            list = json_array(c->a);
            json_set(c->a, bound, key, list);
        }
        struct json *b = json_object(c->a);
        json_set_str(c->a, b, "HostIp", p->host_ip ? p->host_ip : "");
        json_set_str(c->a, b, "HostPort", p->host_port ? p->host_port : "");
        json_push(c->a, list, b);
    }
    if (json_len(exposed))
        json_set(c->a, c->config, "ExposedPorts", exposed);
    if (json_len(bound))
        json_set(c->a, c->host, "PortBindings", bound);
    return NULL;
}

/* Short form: what compose sends when the long one says nothing more. */
static bool as_bind(const struct spec_mount *m) {
    if (m->type == SPEC_MOUNT_BIND)
        return m->create_host_path && !m->recursive;
    return m->type == SPEC_MOUNT_VOLUME && m->source && !m->subpath && !m->labels.n;
}

static const char *bind_text(struct arena *a, const struct spec_mount *m) {
    struct buf b;
    buf_init(&b, 128, KIB(16));
    buf_putf(&b, "%s:%s:%s", m->source, m->target, m->read_only ? "ro" : "rw");
    if (m->selinux)
        buf_putf(&b, ",%s", m->selinux);
    if (m->propagation)
        buf_putf(&b, ",%s", m->propagation);
    if (m->type == SPEC_MOUNT_VOLUME && m->no_copy)
        buf_puts(&b, ",nocopy");
    char *z = b.failed ? NULL : str_z(a, buf_str(&b));
    buf_done(&b);
    return z;
}

static struct json *bind_options(struct ctx *c, const struct spec_mount *m) {
    struct json *o = json_object(c->a);
    put_str(c->a, o, "Propagation", m->propagation);
    if (m->create_host_path && has(c, 42, "creating a missing host path of a long-form bind"))
        json_set_bool(c->a, o, "CreateMountpoint", true);
    if (z_eq(m->recursive, "disabled"))
        json_set_bool(c->a, o, "NonRecursive", true);
    else if (z_eq(m->recursive, "writable") && has(c, 44, "bind recursive: writable"))
        json_set_bool(c->a, o, "ReadOnlyNonRecursive", true);
    else if (z_eq(m->recursive, "readonly") && has(c, 44, "bind recursive: readonly"))
        json_set_bool(c->a, o, "ReadOnlyForceRecursive", true);
    return o;
}

static struct json *mount_options(struct ctx *c, const struct spec_mount *m, const char **ret_key) {
    struct json *o = json_object(c->a);
    switch (m->type) {
    case SPEC_MOUNT_BIND:
        *ret_key = "BindOptions";
        return bind_options(c, m);
    case SPEC_MOUNT_VOLUME:
        *ret_key = "VolumeOptions";
        put_true(c->a, o, "NoCopy", m->no_copy);
        put_kvs(c->a, o, "Labels", m->labels);
        if (m->subpath && has(c, 45, "volume subpath"))
            put_str(c->a, o, "Subpath", m->subpath);
        return o;
    case SPEC_MOUNT_TMPFS:
        *ret_key = "TmpfsOptions";
        put_int(c->a, o, "SizeBytes", m->tmpfs_size);
        put_int(c->a, o, "Mode", m->tmpfs_mode);
        return o;
    case SPEC_MOUNT_IMAGE:
        *ret_key = "ImageOptions";
        put_str(c->a, o, "Subpath", m->subpath);
        return o;
    }
    return o;
}

static err_t mount_check(const struct spec_mount *m) {
    static const char *at = "/HostConfig/Mounts";
    if (!m->target || m->target[0] != '/')
        return err_field(
            err_new(ERR_INVALID, "mount target \"%s\" is not an absolute path", m->target ? m->target : ""), at);
    if (m->type == SPEC_MOUNT_BIND && (!m->source || m->source[0] != '/'))
        return err_field(err_new(ERR_INVALID, "bind source \"%s\" is not an absolute path", m->source ? m->source : ""),
                         at);
    if (m->type == SPEC_MOUNT_VOLUME && m->source) {
        err_t e = docker_name_check(str_of(m->source));
        if (e)
            return err_field(err_wrap(e, "volume name \"%s\"", m->source), at);
    }
    if (m->type == SPEC_MOUNT_IMAGE && !m->source)
        return err_field(err_new(ERR_INVALID, "an image mount needs a source"), at);
    return NULL;
}

static err_t mounts(struct ctx *c) {
    static const char *const types[] = {"bind", "volume", "tmpfs", "image"};
    struct json *binds = json_array(c->a), *list = json_array(c->a), *anonymous = json_object(c->a);
    for (size_t i = 0; i < c->s->mounts.n; i++) {
        const struct spec_mount *m = &c->s->mounts.v[i];
        TRY(mount_check(m));
        bool colon = strchr(m->target, ':') || (m->source && strchr(m->source, ':'));
        if (as_bind(m) && !colon) {
            const char *text = bind_text(c->a, m);
            if (!text)
                return err_field(err_new(ERR_INVALID, "a bind of more than 16 KiB"), "/HostConfig/Binds");
            json_push(c->a, binds, json_string(c->a, text));
            continue;
        }
        if (m->type == SPEC_MOUNT_VOLUME && !m->source && !m->read_only && !m->no_copy && !m->labels.n && !m->subpath) {
            json_set(c->a, anonymous, m->target, json_object(c->a));
            continue;
        }
        if (m->type == SPEC_MOUNT_IMAGE && !has(c, 48, "image mount"))
            continue;
        struct json *o = json_object(c->a);
        json_set_str(c->a, o, "Type", types[m->type]);
        if (m->type != SPEC_MOUNT_TMPFS)
            put_str(c->a, o, "Source", m->source);
        json_set_str(c->a, o, "Target", m->target);
        put_true(c->a, o, "ReadOnly", m->read_only);
        const char *key = NULL;
        struct json *opt = mount_options(c, m, &key);
        if (json_len(opt))
            json_set(c->a, o, key, opt);
        json_push(c->a, list, o);
    }
    if (json_len(anonymous))
        json_set(c->a, c->config, "Volumes", anonymous);
    if (json_len(binds))
        json_set(c->a, c->host, "Binds", binds);
    if (json_len(list))
        json_set(c->a, c->host, "Mounts", list);
    return NULL;
}

struct json *spec_endpoint(struct arena *a, const struct spec_network *n, int api) {
    struct json *e = json_object(a);
    put_strs(a, e, "Aliases", n->aliases);
    put_strs(a, e, "Links", n->links);
    put_str(a, e, "MacAddress", n->mac);
    put_kvs(a, e, "DriverOpts", n->driver_opts);
    if (n->gw_priority && api >= 48)
        json_set_int(a, e, "GwPriority", n->gw_priority);
    struct json *ipam = json_object(a);
    put_str(a, ipam, "IPv4Address", n->ipv4);
    put_str(a, ipam, "IPv6Address", n->ipv6);
    put_strs(a, ipam, "LinkLocalIPs", n->link_local_ips);
    if (json_len(ipam))
        json_set(a, e, "IPAMConfig", ipam);
    return e;
}

static err_t networks(struct ctx *c, struct json *body) {
    const struct container_spec *s = c->s;
    if (s->networks.n && s->network_mode)
        return err_field(err_new(ERR_INVALID, "network_mode and networks exclude each other"),
                         "/HostConfig/NetworkMode");
    put_str(c->a, c->host, "NetworkMode", s->network_mode);
    if (s->mac_address && (!s->networks.n || c->api < 44))
        json_set_str(c->a, c->config, "MacAddress", s->mac_address);
    if (!s->networks.n)
        return NULL;
    json_set_str(c->a, c->host, "NetworkMode", s->networks.v[0].name);
    struct json *endpoints = json_object(c->a);
    size_t n = c->api >= 44 ? s->networks.n : 1;
    for (size_t i = 0; i < n; i++) {
        struct spec_network one = s->networks.v[i];
        if (!one.name || !*one.name)
            return err_field(err_new(ERR_INVALID, "network %zu has no name", i), "/NetworkingConfig/EndpointsConfig");
        if (one.gw_priority)
            (void)has(c, 48, "gw_priority");
        if (i == 0 && s->mac_address && c->api >= 44 && !one.mac)
            one.mac = s->mac_address;
        json_set(c->a, endpoints, one.name, spec_endpoint(c->a, &one, c->api));
    }
    struct json *net = json_object(c->a);
    json_set(c->a, net, "EndpointsConfig", endpoints);
    json_set(c->a, body, "NetworkingConfig", net);
    return NULL;
}

static struct json *rates(struct arena *a, const struct spec_blkio_rate *v, size_t n, const char *key) {
    struct json *arr = json_array(a);
    for (size_t i = 0; i < n; i++) {
        struct json *o = json_object(a);
        json_set_str(a, o, "Path", v[i].path);
        json_set_int(a, o, key, v[i].rate);
        json_push(a, arr, o);
    }
    return arr;
}

static void blkio(struct ctx *c) {
    const struct spec_blkio *b = c->s->blkio;
    if (!b)
        return;
    put_int(c->a, c->host, "BlkioWeight", b->weight);
#define RATE(field, name, key)                                                                                         \
    if (b->field.n)                                                                                                    \
    json_set(c->a, c->host, name, rates(c->a, b->field.v, b->field.n, key))
    RATE(weight_device, "BlkioWeightDevice", "Weight");
    RATE(read_bps, "BlkioDeviceReadBps", "Rate");
    RATE(write_bps, "BlkioDeviceWriteBps", "Rate");
    RATE(read_iops, "BlkioDeviceReadIOps", "Rate");
    RATE(write_iops, "BlkioDeviceWriteIOps", "Rate");
#undef RATE
}

static void resources(struct ctx *c) {
    const struct container_spec *s = c->s;
    struct arena *a = c->a;
    struct json *h = c->host;
    const struct {
        const char *key;
        int64_t v;
    } ints[] = {
        {"Memory", s->memory},
        {"MemorySwap", s->memory_swap},
        {"MemoryReservation", s->memory_reservation},
        {"ShmSize", s->shm_size},
        {"NanoCpus", s->nano_cpus},
        {"CpuShares", s->cpu_shares},
        {"CpuQuota", s->cpu_quota},
        {"CpuPeriod", s->cpu_period},
        {"CpuRealtimePeriod", s->cpu_rt_period},
        {"CpuRealtimeRuntime", s->cpu_rt_runtime},
        {"CpuCount", s->cpu_count},
        {"CpuPercent", s->cpu_percent},
        {"PidsLimit", s->pids_limit},
        {"OomScoreAdj", s->oom_score_adj},
    };
    for (size_t i = 0; i < ARRAY_LEN(ints); i++)
        put_int(a, h, ints[i].key, ints[i].v);
    if (s->has_memory_swappiness)
        json_set_int(a, h, "MemorySwappiness", s->memory_swappiness);
    put_str(a, h, "CpusetCpus", s->cpuset_cpus);
    put_str(a, h, "CpusetMems", s->cpuset_mems);
    put_opt(a, h, "OomKillDisable", s->oom_kill_disable);
    blkio(c);
    if (!s->ulimits.n)
        return;
    struct json *arr = json_array(a);
    for (size_t i = 0; i < s->ulimits.n; i++) {
        struct json *o = json_object(a);
        json_set_str(a, o, "Name", s->ulimits.v[i].name);
        json_set_int(a, o, "Soft", s->ulimits.v[i].soft);
        json_set_int(a, o, "Hard", s->ulimits.v[i].hard);
        json_push(a, arr, o);
    }
    json_set(a, h, "Ulimits", arr);
}

static void devices(struct ctx *c) {
    const struct container_spec *s = c->s;
    struct json *list = json_array(c->a), *requests = json_array(c->a);
    for (size_t i = 0; i < s->devices.n; i++) {
        const struct spec_device *d = &s->devices.v[i];
        struct json *o = json_object(c->a);
        json_set_str(c->a, o, "PathOnHost", d->host);
        json_set_str(c->a, o, "PathInContainer", d->container ? d->container : d->host);
        json_set_str(c->a, o, "CgroupPermissions", d->permissions ? d->permissions : "rwm");
        json_push(c->a, list, o);
    }
    for (size_t i = 0; i < s->device_requests.n; i++) {
        const struct spec_device_request *r = &s->device_requests.v[i];
        struct json *o = json_object(c->a), *caps = json_array(c->a);
        put_str(c->a, o, "Driver", r->driver);
        put_int(c->a, o, "Count", r->count);
        put_strs(c->a, o, "DeviceIDs", r->ids);
        json_push(c->a, caps, strings(c->a, r->capabilities));
        json_set(c->a, o, "Capabilities", caps);
        put_kvs(c->a, o, "Options", r->options);
        json_push(c->a, requests, o);
    }
    if (json_len(list))
        json_set(c->a, c->host, "Devices", list);
    if (json_len(requests))
        json_set(c->a, c->host, "DeviceRequests", requests);
    put_strs(c->a, c->host, "DeviceCgroupRules", s->device_cgroup_rules);
}

static void security(struct ctx *c) {
    const struct container_spec *s = c->s;
    struct arena *a = c->a;
    struct json *h = c->host, *opts = json_array(a);
    put_true(a, h, "Privileged", s->privileged);
    put_true(a, h, "ReadonlyRootfs", s->read_only);
    put_strs(a, h, "CapAdd", s->cap_add);
    put_strs(a, h, "CapDrop", s->cap_drop);
    put_strs(a, h, "GroupAdd", s->group_add);
    put_kvs(a, h, "Sysctls", s->sysctls);
    for (size_t i = 0; i < s->security_opt.n; i++) {
        if (z_eq(s->security_opt.v[i], "systempaths=unconfined")) { /* an option of the client, not of the engine */
            json_set(a, h, "MaskedPaths", json_array(a));
            json_set(a, h, "ReadonlyPaths", json_array(a));
        } else {
            json_push(a, opts, json_string(a, s->security_opt.v[i]));
        }
    }
    if (json_len(opts))
        json_set(a, h, "SecurityOpt", opts);
    put_str(a, h, "IpcMode", s->ipc);
    put_str(a, h, "PidMode", s->pid);
    put_str(a, h, "UTSMode", s->uts);
    put_str(a, h, "UsernsMode", s->userns);
    put_str(a, h, "CgroupnsMode", s->cgroupns);
    put_str(a, h, "CgroupParent", s->cgroup_parent);
    put_str(a, h, "Runtime", s->runtime);
    put_str(a, h, "Isolation", s->isolation);
}

static err_t restart(struct ctx *c) {
    const char *name = c->s->restart;
    if (!name)
        return NULL;
    if (!z_eq(name, "no") && !z_eq(name, "always") && !z_eq(name, "unless-stopped") && !z_eq(name, "on-failure"))
        return err_field(err_new(ERR_INVALID, "restart \"%s\" is none of no, always, unless-stopped, on-failure", name),
                         "/HostConfig/RestartPolicy");
    struct json *o = json_object(c->a);
    json_set_str(c->a, o, "Name", name);
    if (z_eq(name, "on-failure"))
        put_int(c->a, o, "MaximumRetryCount", c->s->restart_max);
    json_set(c->a, c->host, "RestartPolicy", o);
    return NULL;
}

static void host_rest(struct ctx *c) {
    const struct container_spec *s = c->s;
    struct arena *a = c->a;
    struct json *h = c->host;
    put_kvs(a, h, "Tmpfs", s->tmpfs);
    put_strs(a, h, "VolumesFrom", s->volumes_from);
    put_strs(a, h, "Dns", s->dns);
    put_strs(a, h, "DnsSearch", s->dns_search);
    put_strs(a, h, "DnsOptions", s->dns_opt);
    put_strs(a, h, "ExtraHosts", s->extra_hosts);
    put_kvs(a, h, "StorageOpt", s->storage_opt);
    put_true(a, h, "PublishAllPorts", s->publish_all);
    put_true(a, h, "AutoRemove", s->auto_remove);
    put_opt(a, h, "Init", s->init);
    if (s->annotations.n && has(c, 43, "annotations"))
        put_kvs(a, h, "Annotations", s->annotations);
    if (s->log_driver || s->log_options.n) {
        struct json *o = json_object(a);
        put_str(a, o, "Type", s->log_driver);
        put_kvs(a, o, "Config", s->log_options);
        json_set(a, h, "LogConfig", o);
    }
}

static void config_rest(struct ctx *c) {
    const struct container_spec *s = c->s;
    struct arena *a = c->a;
    struct json *o = c->config;
    json_set_str(a, o, "Image", s->image);
    if (s->command.n || s->command.set)
        json_set(a, o, "Cmd", strings(a, s->command));
    if (s->entrypoint.n || s->entrypoint.set)
        json_set(a, o, "Entrypoint", strings(a, s->entrypoint));
    put_kvs(a, o, "Labels", s->labels);
    put_str(a, o, "Hostname", s->hostname);
    put_str(a, o, "Domainname", s->domainname);
    put_str(a, o, "User", s->user);
    put_str(a, o, "WorkingDir", s->working_dir);
    put_true(a, o, "Tty", s->tty);
    put_true(a, o, "OpenStdin", s->stdin_open);
    put_true(a, o, "StdinOnce", s->stdin_once);
    json_set_bool(a, o, "AttachStdout", true);
    json_set_bool(a, o, "AttachStderr", true);
    put_str(a, o, "StopSignal", s->stop_signal);
    if (s->has_stop_timeout)
        json_set_int(a, o, "StopTimeout", s->stop_timeout);
}

err_t container_spec_body(struct arena *a, const struct container_spec *s, int api, struct json **ret_body,
                          struct json **ret_warnings) {
    struct json *body = json_object(a);
    struct ctx c = {.a = a, .s = s, .api = api, .config = body, .host = json_object(a), .warnings = json_array(a)};
    if (!s->image || !*s->image)
        return err_field(err_new(ERR_INVALID, "a container needs an image"), "/Image");
    if (s->name) {
        err_t e = docker_name_check(str_of(s->name));
        if (e)
            return err_field(err_wrap(e, "container name \"%s\"", s->name), "/name");
    }
    config_rest(&c);
    TRY(environment(&c));
    health(&c);
    TRY(ports(&c));
    TRY(mounts(&c));
    resources(&c);
    devices(&c);
    security(&c);
    TRY(restart(&c));
    host_rest(&c);
    json_set(a, body, "HostConfig", c.host);
    TRY(networks(&c, body));
    *ret_body = body;
    *ret_warnings = c.warnings;
    return NULL;
}

err_t network_spec_body(struct arena *a, const struct network_spec *s, int api, struct json **ret) {
    err_t e = docker_ref_check(str_of(s->name ? s->name : ""));
    if (e)
        return err_field(err_wrap(e, "network name \"%s\"", s->name ? s->name : ""), "/Name");
    struct json *o = json_object(a);
    json_set_str(a, o, "Name", s->name);
    if (api < 44)
        json_set_bool(a, o, "CheckDuplicate", true);
    json_set_str(a, o, "Driver", s->driver && *s->driver ? s->driver : "bridge");
    put_true(a, o, "Internal", s->internal);
    put_true(a, o, "Attachable", s->attachable);
    put_opt(a, o, "EnableIPv6", s->enable_ipv6);
    if (api >= 48)
        put_opt(a, o, "EnableIPv4", s->enable_ipv4);
    put_kvs(a, o, "Options", s->driver_opts);
    put_kvs(a, o, "Labels", s->labels);
    struct json *ipam = json_object(a), *configs = json_array(a);
    put_str(a, ipam, "Driver", s->ipam_driver);
    put_kvs(a, ipam, "Options", s->ipam_options);
    for (size_t i = 0; i < s->ipam.n; i++) {
        struct json *c = json_object(a);
        put_str(a, c, "Subnet", s->ipam.v[i].subnet);
        put_str(a, c, "Gateway", s->ipam.v[i].gateway);
        put_str(a, c, "IPRange", s->ipam.v[i].ip_range);
        put_kvs(a, c, "AuxiliaryAddresses", s->ipam.v[i].aux_addresses);
        json_push(a, configs, c);
    }
    if (json_len(configs))
        json_set(a, ipam, "Config", configs);
    if (json_len(ipam))
        json_set(a, o, "IPAM", ipam);
    *ret = o;
    return NULL;
}

err_t volume_spec_body(struct arena *a, const struct volume_spec *s, struct json **ret) {
    if (s->name) {
        err_t e = docker_name_check(str_of(s->name));
        if (e)
            return err_field(err_wrap(e, "volume name \"%s\"", s->name), "/Name");
    }
    struct json *o = json_object(a);
    put_str(a, o, "Name", s->name);
    json_set_str(a, o, "Driver", s->driver && *s->driver ? s->driver : "local");
    put_kvs(a, o, "DriverOpts", s->driver_opts);
    put_kvs(a, o, "Labels", s->labels);
    *ret = o;
    return NULL;
}
