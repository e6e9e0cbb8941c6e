/* The typed Compose project: what the planner and the executor read. Everything lives in the arena given to compose_load and is
 * read-only afterwards. Absent scalars are NULL / COMPOSE_UNSET / COMPOSE_TRI_UNSET; sizes are bytes, durations nanoseconds. */
#pragma once
#include "core/base/json.h"
#include "core/compose/tree.h"

#define COMPOSE_UNSET INT64_MIN
enum compose_tri { COMPOSE_TRI_UNSET, COMPOSE_FALSE, COMPOSE_TRUE };

struct compose_origin {
    const char *file;
    uint32_t line, column;
};
struct compose_kv {
    const char *key;
    const char *value; /* NULL: null in the file; environment/args: still unresolved, pass the bare key or drop it */
};
struct compose_kvs {
    struct compose_kv *v; /* sorted by key */
    size_t n;
};
struct compose_strs {
    const char **v; /* v[n] is NULL */
    size_t n;
    bool set; /* the attribute is there: tells [] (cleared) from null (the image's own) for command and entrypoint */
};

struct compose_build {
    const char *context; /* absolute directory below working_dir's tree, or a URL */
    const char *dockerfile, *dockerfile_inline, *target, *network, *isolation;
    struct compose_kvs args, labels, additional_contexts, ssh;
    struct compose_strs cache_from, cache_to, no_cache_filter, platforms, tags, extra_hosts, entitlements;
    bool pull, no_cache, privileged;
    int64_t shm_size;
    struct compose_ulimit *ulimits;
    size_t n_ulimits;
};
struct compose_port {
    const char *name, *mode, *host_ip, *published /* "8080", "8000-8010" or NULL = ephemeral */, *protocol,
        *app_protocol;
    uint16_t target;
    struct compose_origin origin;
};
enum compose_mount_type { COMPOSE_BIND, COMPOSE_VOLUME, COMPOSE_TMPFS, COMPOSE_IMAGE, COMPOSE_NPIPE, COMPOSE_CLUSTER };
struct compose_mount {
    enum compose_mount_type type;
    const char *source; /* bind: absolute host path; volume: key in project->volumes or NULL (anonymous) */
    const char *target, *consistency;
    bool read_only;
    /** Bind: the source was written relative to the compose file, so it names files of the repository. */
    bool relative;
    const char *propagation, *recursive, *selinux;
    bool create_host_path; /* true unless switched off */
    bool nocopy;
    const char *subpath; /* volume or image */
    struct compose_kvs volume_labels;
    int64_t tmpfs_size; /* COMPOSE_UNSET when absent */
    int64_t tmpfs_mode;
    struct compose_origin origin;
};
struct compose_attachment { /* one network of a service */
    const char *network;    /* key in project->networks */
    struct compose_strs aliases, link_local_ips;
    const char *ipv4_address, *ipv6_address, *mac_address, *interface_name;
    int64_t priority, gw_priority; /* 0 when absent */
    struct compose_kvs driver_opts;
};
enum compose_condition { COMPOSE_STARTED, COMPOSE_HEALTHY, COMPOSE_COMPLETED };
struct compose_dependency {
    const char *service;
    enum compose_condition condition;
    bool required, restart;
    struct compose_origin origin;
};
struct compose_healthcheck {
    bool set, disable;
    struct compose_strs test;                                /* ["CMD", ...], ["CMD-SHELL", line] or ["NONE"] */
    int64_t interval, timeout, start_period, start_interval; /* ns or COMPOSE_UNSET */
    int64_t retries;
};
struct compose_file_ref { /* a config or secret mounted into a service */
    const char *source;   /* key in project->configs / secrets */
    const char *target;   /* absolute path in the container */
    const char *uid, *gid;
    int64_t mode; /* COMPOSE_UNSET when absent */
    struct compose_origin origin;
};
struct compose_ulimit {
    const char *name;
    int64_t soft, hard;
};
struct compose_device {
    const char *source, *target, *permissions;
};
struct compose_device_request {
    const char *driver;
    int64_t count; /* -1 = all, 0 = use device_ids */
    struct compose_strs device_ids, capabilities;
    struct compose_kvs options;
};
struct compose_hook {
    struct compose_strs command;
    const char *user, *working_dir, *image;
    bool privileged, per_replica;
    struct compose_kvs environment;
};
struct compose_restart_policy {
    bool set;
    const char *condition; /* none, on-failure, any */
    int64_t delay, window; /* ns or COMPOSE_UNSET */
    int64_t max_attempts;
};
struct compose_resources {
    double cpus; /* 0 = unset */
    int64_t memory, pids;
};
struct compose_deploy {
    bool set;
    const char *mode;
    int64_t replicas;
    struct compose_kvs labels;
    struct compose_resources limits, reservations;
    struct compose_device_request *devices;
    size_t n_devices;
    struct compose_restart_policy restart_policy;
};
struct compose_blkio_rate {
    const char *path;
    int64_t rate; /* bytes or operations per second; weight for weight_device */
};
struct compose_blkio {
    bool set;
    int64_t weight;
    struct compose_blkio_rate *weight_device, *read_bps, *write_bps, *read_iops, *write_iops;
    size_t n_weight_device, n_read_bps, n_write_bps, n_read_iops, n_write_iops;
};
struct compose_env_file {
    const char *path, *format;
    bool required;
};

struct compose_service {
    const char *name;
    struct compose_origin origin;
    const struct y_node *node; /* the final tree: compose_service_origin() answers for every field */
    struct json *canonical;    /* shape of `docker compose config --format json` for this service */

    const char *image;           /* NULL: built; see compose_service_image() */
    struct compose_build *build; /* NULL: none */
    struct compose_strs command, entrypoint;
    struct compose_kvs environment; /* env_file merged in */
    struct compose_kvs labels, annotations, sysctls, storage_opt;
    struct compose_env_file *env_files;
    size_t n_env_files;
    struct compose_port *ports;
    size_t n_ports;
    struct compose_strs expose;
    struct compose_mount *volumes;
    size_t n_volumes;
    struct compose_strs tmpfs, volumes_from;
    struct compose_attachment *networks; /* by priority (highest first), then name; empty with network_mode */
    size_t n_networks;
    const char *network_mode;
    struct compose_dependency *depends_on; /* by service name */
    size_t n_depends_on;
    struct compose_healthcheck healthcheck;
    const char *restart, *container_name, *hostname, *domainname, *mac_address;
    struct compose_strs profiles;
    struct compose_file_ref *configs, *secrets;
    size_t n_configs, n_secrets;
    struct compose_deploy deploy;
    const char *pull_policy, *platform, *user, *working_dir, *stop_signal;
    int64_t stop_grace_period; /* ns */
    int64_t scale; /* what the file says (scale or deploy.replicas), 1 when it says nothing; 0 is possible */
    struct compose_strs extra_hosts /* "host=ip" sorted */, dns, dns_search, dns_opt;
    const char *log_driver;
    struct compose_kvs log_options;
    struct compose_strs cap_add, cap_drop, security_opt, group_add, device_cgroup_rules, links, external_links;
    struct compose_device *devices;
    size_t n_devices;
    struct compose_device_request *gpus;
    size_t n_gpus;
    struct compose_ulimit *ulimits;
    size_t n_ulimits;
    bool privileged, read_only, tty, stdin_open, oom_kill_disable;
    enum compose_tri init, attach;
    int64_t mem_limit, mem_reservation, memswap_limit, mem_swappiness, shm_size,
        pids_limit; /* COMPOSE_UNSET when absent */
    int64_t cpu_count, cpu_shares, cpu_quota, cpu_period, cpu_rt_period, cpu_rt_runtime, oom_score_adj;
    double cpus, cpu_percent; /* 0 = unset */
    const char *cpuset, *pid, *ipc, *uts, *userns_mode, *cgroup, *cgroup_parent, *runtime, *isolation;
    struct compose_blkio blkio;
    struct compose_hook *post_start, *pre_stop, *pre_start;
    size_t n_post_start, n_pre_stop, n_pre_start;
    const char *provider; /* type of an external provider; such a service has no container */
};

struct compose_ipam_pool {
    const char *subnet, *gateway, *ip_range;
    struct compose_kvs aux_addresses;
};
struct compose_network {
    const char *key;
    const char *name; /* real name in the engine */
    struct compose_origin origin;
    struct json *canonical;
    const char *driver;
    struct compose_kvs driver_opts, labels, ipam_options;
    bool external, internal, attachable;
    enum compose_tri enable_ipv4, enable_ipv6;
    const char *ipam_driver;
    struct compose_ipam_pool *ipam;
    size_t n_ipam;
};
struct compose_volume {
    const char *key, *name;
    struct compose_origin origin;
    struct json *canonical;
    const char *driver;
    struct compose_kvs driver_opts, labels;
    bool external;
};
struct compose_object { /* a config or a secret */
    const char *key, *name;
    struct compose_origin origin;
    struct json *canonical; /* secrets: with the content; never log or store it */
    const char *file;       /* absolute path */
    const char *environment;
    const char *content; /* inline, or the variable's value; NULL: read `file` */
    bool external;
    struct compose_kvs labels;
};

struct compose_warning {
    const char *message; /* "file:line:column: text" when it has a place */
    struct compose_origin origin;
};

struct compose_project {
    struct arena *a;
    const char *name, *working_dir;
    struct compose_strs compose_files; /* absolute */
    struct compose_service *services;  /* enabled ones, by name */
    size_t n_services;
    struct compose_service *disabled; /* switched off by profiles or by selection, by name */
    size_t n_disabled;
    struct compose_network *networks;
    size_t n_networks;
    struct compose_volume *volumes;
    size_t n_volumes;
    struct compose_object *configs, *secrets;
    size_t n_configs, n_secrets;
    struct compose_warning *warnings;
    size_t n_warnings;
    struct compose_kvs environment; /* that interpolation saw, COMPOSE_PROJECT_NAME included */
    const struct y_node *tree;      /* merged, canonical, normalised */
    struct json *canonical;         /* the whole project as `docker compose config --format json` shows it */
};

const struct compose_service *compose_service_find(const struct compose_project *p,
                                                   const char *name); /* NULL if not enabled */
const struct compose_network *compose_network_find(const struct compose_project *p, const char *key);
const struct compose_volume *compose_volume_find(const struct compose_project *p, const char *key);
const struct compose_object *compose_config_find(const struct compose_project *p, const char *key);
const struct compose_object *compose_secret_find(const struct compose_project *p, const char *key);
/** image, or "<project>-<service>" of a service that is only built. */
const char *compose_service_image(struct arena *a, const struct compose_project *p, const struct compose_service *s);
/** Where a field of a service was written: dotted path ("image", "ports", "environment.FOO", "deploy.replicas"). Falls back to
 * the nearest parent that has a place, at last the service itself. */
struct compose_origin compose_service_origin(const struct compose_service *s, const char *field);
