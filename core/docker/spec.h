/* Our own model of what a container, network or volume is made from: the only way to an engine create body.
 * Pure: no I/O. Absent = zero (NULL, 0, empty list); fields whose zero is a value have an explicit `has_` or `opt` form. */
#pragma once
#include "core/base/arena.h"
#include "core/base/err.h"
#include "core/base/json.h"

struct spec_kv {
    const char *key, *value; /* environment: value NULL = bare key */
};
struct spec_kvs {
    const struct spec_kv *v;
    size_t n;
};
struct spec_strs {
    const char *const *v;
    size_t n;
    bool set; /* entrypoint/command: an empty list that clears the image's; else ignored */
};
enum spec_opt { SPEC_UNSET, SPEC_FALSE, SPEC_TRUE };

struct spec_port { /* published when has_binding, else exposed only */
    uint16_t target;
    const char *protocol; /* tcp (NULL), udp, sctp */
    bool has_binding;
    const char *host_ip;   /* NULL = every address */
    const char *host_port; /* "8080", "8000-8010", NULL or "" = ephemeral */
};
enum spec_mount_type { SPEC_MOUNT_BIND, SPEC_MOUNT_VOLUME, SPEC_MOUNT_TMPFS, SPEC_MOUNT_IMAGE };
struct spec_mount {
    enum spec_mount_type type;
    const char *source; /* host path, volume name (NULL = anonymous), image; not for tmpfs */
    const char *target;
    bool read_only;
    bool create_host_path;   /* bind: short-syntax behaviour, goes to HostConfig.Binds */
    const char *propagation; /* bind */
    const char *selinux;     /* bind: "z" or "Z" */
    const char *recursive;   /* bind: enabled, disabled, writable, readonly */
    bool no_copy;            /* volume */
    const char *subpath;     /* volume, image; API 1.45 / 1.48 */
    struct spec_kvs labels;  /* volume: labels of an anonymous one */
    int64_t tmpfs_size;      /* bytes, 0 = unset */
    int64_t tmpfs_mode;      /* 0 = unset */
};
struct spec_network { /* first one is the primary (HostConfig.NetworkMode) */
    const char *name; /* real name or id */
    struct spec_strs aliases, links, link_local_ips;
    const char *ipv4, *ipv6, *mac;
    struct spec_kvs driver_opts;
    int64_t gw_priority; /* API 1.48 */
};
struct spec_health {
    bool disable;
    struct spec_strs test; /* ["CMD", ...] or ["CMD-SHELL", "..."]; unset inherits the image's */
    int64_t interval_ns, timeout_ns, start_period_ns, start_interval_ns; /* start_interval: API 1.44 */
    int64_t retries;
};
struct spec_ulimit {
    const char *name;
    int64_t soft, hard;
};
struct spec_device {
    const char *host, *container, *permissions; /* permissions NULL = rwm */
};
struct spec_device_request {
    const char *driver;
    int64_t count; /* -1 = all */
    struct spec_strs ids, capabilities;
    struct spec_kvs options;
};
struct spec_blkio_rate {
    const char *path;
    int64_t rate;
};
struct spec_blkio {
    int64_t weight;
    struct {
        const struct spec_blkio_rate *v;
        size_t n;
    } weight_device, read_bps, write_bps, read_iops, write_iops;
};

struct container_spec {
    const char *name;     /* container name: [a-zA-Z0-9][a-zA-Z0-9_.-]+ */
    const char *platform; /* query parameter, e.g. linux/amd64 */
    const char *image;
    struct spec_strs command, entrypoint;
    struct spec_kvs environment, labels, annotations;
    const char *hostname, *domainname, *user, *working_dir;
    bool tty, stdin_open, stdin_once;
    const char *stop_signal;
    int64_t stop_timeout;  /* whole seconds */
    bool has_stop_timeout; /* 0 is a value */
    const struct spec_health *health;
    struct {
        const struct spec_port *v;
        size_t n;
    } ports;
    struct {
        const struct spec_mount *v;
        size_t n;
    } mounts;
    struct spec_kvs tmpfs;         /* path -> options ("" = none) */
    struct spec_strs volumes_from; /* "container[:ro]" */
    struct {
        const struct spec_network *v;
        size_t n;
    } networks;
    const char *network_mode; /* none, host, bridge, container:<id>; with it `networks` must be empty */
    const char *restart;      /* no, always, unless-stopped, on-failure */
    int64_t restart_max;
    /* resources, bytes; 0 = unset */
    int64_t memory, memory_swap, memory_reservation, shm_size;
    int64_t memory_swappiness;
    bool has_memory_swappiness;
    int64_t nano_cpus, cpu_shares, cpu_quota, cpu_period, cpu_rt_period, cpu_rt_runtime, cpu_count, cpu_percent;
    const char *cpuset_cpus, *cpuset_mems;
    int64_t pids_limit;
    const struct spec_blkio *blkio;
    struct {
        const struct spec_ulimit *v;
        size_t n;
    } ulimits;
    struct {
        const struct spec_device *v;
        size_t n;
    } devices;
    struct {
        const struct spec_device_request *v;
        size_t n;
    } device_requests;
    struct spec_strs device_cgroup_rules;
    struct spec_strs cap_add, cap_drop, security_opt, group_add;
    struct spec_kvs sysctls, storage_opt;
    bool privileged, read_only, publish_all, auto_remove;
    enum spec_opt init, oom_kill_disable;
    int64_t oom_score_adj;
    struct spec_strs dns, dns_search, dns_opt, extra_hosts; /* extra_hosts "host:ip" */
    const char *ipc, *pid, *uts, *userns, *cgroupns, *cgroup_parent, *runtime, *isolation;
    const char *log_driver;
    struct spec_kvs log_options;
    const char *mac_address; /* container-wide; moved to the primary network */
};

struct network_spec {
    const char *name, *driver; /* driver NULL = bridge */
    bool internal, attachable;
    enum spec_opt enable_ipv4, enable_ipv6;
    struct spec_kvs driver_opts, labels, ipam_options;
    const char *ipam_driver;
    struct {
        const struct spec_ipam {
            const char *subnet, *gateway, *ip_range;
            struct spec_kvs aux_addresses;
        } * v;
        size_t n;
    } ipam;
};
struct volume_spec {
    const char *name, *driver; /* NULL name = anonymous, NULL driver = local */
    struct spec_kvs driver_opts, labels;
};

/** Engine body of POST /containers/create for API minor version `api`. What this version cannot express is left out and
 * named in *ret_warnings (JSON array of strings, never NULL). With api < 44 only the first network is in the body: the
 * others are connected after create (docker_container_create does that).
 * ERR_INVALID with `field` = JSON pointer for contradictory or malformed fields (names, ports, paths, NUL bytes). */
MUST_CHECK err_t container_spec_body(struct arena *a, const struct container_spec *s, int api, struct json **ret_body,
                                     struct json **ret_warnings);
/** EndpointSettings of one network, for the body and for POST /networks/{id}/connect. */
struct json *spec_endpoint(struct arena *a, const struct spec_network *n, int api);
MUST_CHECK err_t network_spec_body(struct arena *a, const struct network_spec *s, int api, struct json **ret);
MUST_CHECK err_t volume_spec_body(struct arena *a, const struct volume_spec *s, struct json **ret);

/** Syntax checks of user input (SPEC 5): ERR_INVALID with a message saying what is allowed. */
MUST_CHECK err_t docker_name_check(struct str name);     /* container, volume, network names */
MUST_CHECK err_t docker_image_ref_check(struct str ref); /* [host[:port]/]path[:tag][@digest] */
MUST_CHECK err_t docker_env_name_check(struct str name);
/** Full or abbreviated container/image id, or a name; refuses '/', '?', control bytes and anything longer than 255. */
MUST_CHECK err_t docker_ref_check(struct str ref);

struct image_ref {
    const char *name;   /* host/path as used by the engine, without tag and digest */
    const char *tag;    /* NULL if none */
    const char *digest; /* "sha256:..." or NULL */
    const char *host;   /* registry host; "docker.io" for short names */
    const char *path;   /* repository path with library/ added for short Hub names */
};
MUST_CHECK err_t image_ref_parse(struct arena *a, const char *text, struct image_ref *ret);
