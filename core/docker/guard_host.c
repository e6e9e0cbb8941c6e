/* HostConfig: every key the engine knows there is either listed with its rule or refused as unknown. */
#include "core/docker/guard_internal.h"

void guard_own_container(struct guard *g, const char *ptr, const char *rule, const char *ref) {
    if (g->rights->own_container && g->rights->own_container(g->rights->ctx, ref))
        return;
    guard_need(g, GUARD_FOREIGN_NAMESPACES, ptr, rule, "the container %.80s is not part of the same project", ref);
}

static void privileged(struct guard *g, const char *ptr, const struct json *v) {
    if (v->b)
        guard_need(g, GUARD_PRIVILEGED, ptr, "privileged", "a privileged container owns the host");
}

/* The engine's own default set; anything else, ALL included, adds power over the host. */
static const char *const default_caps[] = {
    "CHOWN",  "DAC_OVERRIDE", "FSETID",  "FOWNER",           "MKNOD",      "NET_RAW", "SETGID",
    "SETUID", "SETFCAP",      "SETPCAP", "NET_BIND_SERVICE", "SYS_CHROOT", "KILL",    "AUDIT_WRITE",
};

static void cap_add(struct guard *g, const char *ptr, const struct json *v) {
    for (size_t i = 0; i < v->arr.n; i++) {
        struct str c = v->arr.v[i]->s;
        if (str_eq_nocase(str_slice(c, 0, 4), STR("CAP_")))
            c = str_slice(c, 4, c.n);
        bool known = false;
        for (size_t j = 0; j < ARRAY_LEN(default_caps) && !known; j++)
            known = str_eq_nocase(c, str_of(default_caps[j]));
        if (!known)
            guard_need(g, GUARD_CAPABILITIES, guard_ptr_i(g, ptr, i), "capability",
                       "the capability %.*s is not in the engine's default set", STR_ARG(str_slice(c, 0, 40)));
    }
}

/* A namespace mode: own values are fine, host and other containers are not. */
static void namespace_mode(struct guard *g, const char *ptr, const struct json *v, const char *const *fine, size_t n) {
    const char *mode = v->s.p;
    for (size_t i = 0; i < n; i++)
        if (z_eq(mode, fine[i]))
            return;
    if (z_starts(mode, "container:"))
        guard_own_container(g, ptr, "container-namespace", mode + strlen("container:"));
    else if (z_eq(mode, "host"))
        guard_need(g, GUARD_HOST_NAMESPACES, ptr, "host-namespace", "the host's namespace is shared");
    else
        guard_deny(g, ptr, "namespace-mode", "\"%.64s\" is not a mode of this namespace", mode);
}

static void ipc_mode(struct guard *g, const char *ptr, const struct json *v) {
    static const char *const fine[] = {"", "none", "private", "shareable"};
    namespace_mode(g, ptr, v, fine, ARRAY_LEN(fine));
}
static void pid_mode(struct guard *g, const char *ptr, const struct json *v) {
    static const char *const fine[] = {""};
    namespace_mode(g, ptr, v, fine, ARRAY_LEN(fine));
}
static void private_mode(struct guard *g, const char *ptr, const struct json *v) {
    static const char *const fine[] = {"", "private"};
    namespace_mode(g, ptr, v, fine, ARRAY_LEN(fine));
}

static void network_mode(struct guard *g, const char *ptr, const struct json *v) {
    const char *mode = v->s.p;
    if (z_starts(mode, "container:"))
        guard_own_container(g, ptr, "container-namespace", mode + strlen("container:"));
    else if (z_eq(mode, "host"))
        guard_need(g, GUARD_HOST_NAMESPACES, ptr, "host-namespace", "the host's network is shared");
    else if (strchr(mode, ':') || strchr(mode, '/'))
        guard_deny(g, ptr, "namespace-mode", "\"%.64s\" is not a network", mode);
}

static void security_opt(struct guard *g, const char *ptr, const struct json *v) {
    static const char *const fine[] = {"no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"};
    for (size_t i = 0; i < v->arr.n; i++) {
        bool ok = false;
        for (size_t j = 0; j < ARRAY_LEN(fine) && !ok; j++)
            ok = str_eqz(v->arr.v[i]->s, fine[j]);
        if (!ok)
            guard_need(g, GUARD_SECURITY_OPTIONS, guard_ptr_i(g, ptr, i), "security-option",
                       "only no-new-privileges may be set");
    }
}

static void masked_paths(struct guard *g, const char *ptr, const struct json *v) {
    (void)v; /* even a longer list replaces the engine's */
    guard_need(g, GUARD_SECURITY_OPTIONS, ptr, "security-option", "the engine's masked and read-only paths are kept");
}

static void devices(struct guard *g, const char *ptr, const struct json *v) {
    for (size_t i = 0; i < v->arr.n; i++)
        guard_need(g, GUARD_DEVICES, guard_ptr_i(g, ptr, i), "device",
                   "devices of the host are not given to containers");
}

/* Namespaced and harmless to others on the host. */
static const char *const safe_sysctls[] = {
    "kernel.shm_rmid_forced",
    "net.core.somaxconn",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv6.conf.all.disable_ipv6",
    "net.ipv6.conf.default.disable_ipv6",
};
static void sysctls(struct guard *g, const char *ptr, const struct json *v) {
    for (size_t i = 0; i < v->obj.n; i++) {
        struct str k = v->obj.v[i].key;
        bool ok = false;
        for (size_t j = 0; j < ARRAY_LEN(safe_sysctls) && !ok; j++)
            ok = str_eqz(k, safe_sysctls[j]);
        if (!ok)
            guard_need(g, GUARD_SYSCTLS, guard_ptr(g, ptr, k.p), "sysctl", "the sysctl %.80s is not on the safe list",
                       k.p);
    }
}

static void runtime(struct guard *g, const char *ptr, const struct json *v) {
    if (v->s.n && !str_eqz(v->s, "runc"))
        guard_need(g, GUARD_RUNTIME, ptr, "runtime", "another runtime than runc may isolate less");
}
static void annotations(struct guard *g, const char *ptr, const struct json *v) {
    if (v->obj.n)
        guard_need(g, GUARD_RUNTIME, ptr, "annotations", "annotations steer the runtime");
}
static void storage_opt(struct guard *g, const char *ptr, const struct json *v) {
    for (size_t i = 0; i < v->obj.n; i++)
        if (!str_eqz(v->obj.v[i].key, "size"))
            guard_need(g, GUARD_RUNTIME, guard_ptr(g, ptr, v->obj.v[i].key.p), "storage-option",
                       "only the storage option size may be set");
}
static void isolation(struct guard *g, const char *ptr, const struct json *v) {
    if (v->s.n && !str_eqz(v->s, "default"))
        guard_need(g, GUARD_RUNTIME, ptr, "isolation", "another isolation than the default");
}

static void cgroup_text(struct guard *g, const char *ptr, const struct json *v) {
    if (v->s.n)
        guard_need(g, GUARD_CGROUP, ptr, "cgroup", "the place in the host's cgroup tree is the engine's choice");
}
static void cgroup_flag(struct guard *g, const char *ptr, const struct json *v) {
    if (v->b)
        guard_need(g, GUARD_CGROUP, ptr, "cgroup", "a container that cannot be killed for memory endangers the host");
}
static void cgroup_realtime(struct guard *g, const char *ptr, const struct json *v) {
    if (v->i)
        guard_need(g, GUARD_CGROUP, ptr, "cgroup", "real-time scheduling can starve the host");
}
static void oom_score(struct guard *g, const char *ptr, const struct json *v) {
    if (v->i < 0)
        guard_need(g, GUARD_CGROUP, ptr, "cgroup", "a negative OOM score makes others die first");
}

static void volumes_from(struct guard *g, const char *ptr, const struct json *v) {
    for (size_t i = 0; i < v->arr.n; i++) {
        struct str rest = v->arr.v[i]->s, ref;
        if (str_cut(&rest, ':', &ref))
            guard_own_container(g, guard_ptr_i(g, ptr, i), "volumes-from", str_z(g->a, ref));
    }
}
static void links(struct guard *g, const char *ptr, const struct json *v) {
    for (size_t i = 0; i < v->arr.n; i++) {
        struct str rest = v->arr.v[i]->s, ref;
        if (str_cut(&rest, ':', &ref))
            guard_own_container(g, guard_ptr_i(g, ptr, i), "link", str_z(g->a, ref));
    }
}
static void volume_driver(struct guard *g, const char *ptr, const struct json *v) {
    if (v->s.n && !str_eqz(v->s, "local"))
        guard_need(g, GUARD_VOLUME_DRIVER, ptr, "volume-driver", "another volume driver than local");
}

static void extra_hosts(struct guard *g, const char *ptr, const struct json *v) {
    for (size_t i = 0; i < v->arr.n; i++)
        if (str_find(v->arr.v[i]->s, STR("host-gateway")) >= 0)
            guard_need(g, GUARD_NETWORK_DRIVER, guard_ptr_i(g, ptr, i), "host-gateway",
                       "host-gateway reaches services of the host itself");
}

static void log_options(struct guard *g, const char *ptr, const struct json *v) {
    static const char *const fine[] = {"max-size", "max-file",  "compress", "labels", "labels-regex",
                                       "env",      "env-regex", "tag",      "mode",   "max-buffer-size"};
    for (size_t i = 0; i < v->obj.n; i++) {
        bool ok = false;
        for (size_t j = 0; j < ARRAY_LEN(fine) && !ok; j++)
            ok = str_eqz(v->obj.v[i].key, fine[j]);
        if (!ok)
            guard_need(g, GUARD_LOG_DRIVER, guard_ptr(g, ptr, v->obj.v[i].key.p), "log-option",
                       "the log option %.64s is not on the list", v->obj.v[i].key.p);
    }
}
static void log_type(struct guard *g, const char *ptr, const struct json *v) {
    static const char *const fine[] = {"", "json-file", "local", "journald", "none"};
    for (size_t j = 0; j < ARRAY_LEN(fine); j++)
        if (str_eqz(v->s, fine[j]))
            return;
    guard_need(g, GUARD_LOG_DRIVER, ptr, "log-driver", "the log driver %.64s connects from the host to elsewhere",
               v->s.p);
}
static const struct guard_key log_keys[] = {{"Type", GT_STR, log_type}, {"Config", GT_MAP, log_options}};
static void log_config(struct guard *g, const char *ptr, const struct json *v) {
    guard_object(g, ptr, v, GUARD_TABLE(log_keys));
}
static const struct guard_key restart_keys[] = {{"Name", GT_STR, NULL}, {"MaximumRetryCount", GT_INT, NULL}};
static void restart_policy(struct guard *g, const char *ptr, const struct json *v) {
    guard_object(g, ptr, v, GUARD_TABLE(restart_keys));
}

#define RESOURCE_KEYS                                                                                                  \
    {"Memory", GT_INT, NULL}, {"MemorySwap", GT_INT, NULL}, {"MemoryReservation", GT_INT, NULL},                       \
        {"MemorySwappiness", GT_INT, NULL}, {"NanoCpus", GT_INT, NULL}, {"CpuShares", GT_INT, NULL},                   \
        {"CpuQuota", GT_INT, NULL}, {"CpuPeriod", GT_INT, NULL}, {"CpuRealtimePeriod", GT_INT, cgroup_realtime},       \
        {"CpuRealtimeRuntime", GT_INT, cgroup_realtime}, {"CpuCount", GT_INT, NULL}, {"CpuPercent", GT_INT, NULL},     \
        {"CpusetCpus", GT_STR, NULL}, {"CpusetMems", GT_STR, NULL}, {"PidsLimit", GT_INT, NULL},                       \
        {"BlkioWeight", GT_INT, NULL}, {"BlkioWeightDevice", GT_ARR, NULL}, {"BlkioDeviceReadBps", GT_ARR, NULL},      \
        {"BlkioDeviceWriteBps", GT_ARR, NULL}, {"BlkioDeviceReadIOps", GT_ARR, NULL},                                  \
        {"BlkioDeviceWriteIOps", GT_ARR, NULL}, {"OomKillDisable", GT_BOOL, cgroup_flag}, {"Ulimits", GT_ARR, NULL},   \
        {"CgroupParent", GT_STR, cgroup_text}, {"Devices", GT_ARR, devices}, {"DeviceCgroupRules", GT_STRS, devices},  \
        {"DeviceRequests", GT_ARR, devices}, {                                                                         \
        "RestartPolicy", GT_OBJ, restart_policy                                                                        \
    }

static const struct guard_key update_keys[] = {RESOURCE_KEYS};
static const struct guard_key host_keys[] = {
    RESOURCE_KEYS,
    {"Binds", GT_STRS, guard_binds},
    {"Mounts", GT_ARR, guard_mounts},
    {"Tmpfs", GT_MAP, NULL},
    {"VolumesFrom", GT_STRS, volumes_from},
    {"VolumeDriver", GT_STR, volume_driver},
    {"NetworkMode", GT_STR, network_mode},
    {"PortBindings", GT_OBJ, NULL},
    {"PublishAllPorts", GT_BOOL, NULL},
    {"AutoRemove", GT_BOOL, NULL},
    {"CapAdd", GT_STRS, cap_add},
    {"CapDrop", GT_STRS, NULL},
    {"Privileged", GT_BOOL, privileged},
    {"ReadonlyRootfs", GT_BOOL, NULL},
    {"SecurityOpt", GT_STRS, security_opt},
    {"MaskedPaths", GT_STRS, masked_paths},
    {"ReadonlyPaths", GT_STRS, masked_paths},
    {"GroupAdd", GT_STRS, NULL},
    {"Init", GT_BOOL, NULL},
    {"Sysctls", GT_MAP, sysctls},
    {"IpcMode", GT_STR, ipc_mode},
    {"PidMode", GT_STR, pid_mode},
    {"UTSMode", GT_STR, private_mode},
    {"UsernsMode", GT_STR, private_mode},
    {"CgroupnsMode", GT_STR, private_mode},
    {"Cgroup", GT_STR, cgroup_text},
    {"Runtime", GT_STR, runtime},
    {"Isolation", GT_STR, isolation},
    {"Annotations", GT_MAP, annotations},
    {"StorageOpt", GT_MAP, storage_opt},
    {"ShmSize", GT_INT, NULL},
    {"OomScoreAdj", GT_INT, oom_score},
    {"Dns", GT_STRS, NULL},
    {"DnsSearch", GT_STRS, NULL},
    {"DnsOptions", GT_STRS, NULL},
    {"ExtraHosts", GT_STRS, extra_hosts},
    {"Links", GT_STRS, links},
    {"LogConfig", GT_OBJ, log_config},
};
const struct guard_table GUARD_HOST_CONFIG = {host_keys, ARRAY_LEN(host_keys)};
const struct guard_table GUARD_UPDATE_KEYS = {update_keys, ARRAY_LEN(update_keys)};
