#include "core/compose/schema.h"

#define S(T, ...)                                                                                                      \
    &(const struct cs) { .type = CS_##T, __VA_ARGS__ }
#define VALUES(...)                                                                                                    \
    (const char *const[]) { __VA_ARGS__, NULL }

static const struct cs str_list = {.type = CS_STRS};
static const struct cs str_set = {.type = CS_STRS, .flags = CSF_UNIQUE};
static const struct cs str_or_list = {.type = CS_STRS, .flags = CSF_ALSO_STRING, .merge = CSM_APPEND};
static const struct cs key_values = {.type = CS_KV};
static const struct cs environment = {.type = CS_KV, .flags = CSF_NULLS | CSF_ENV};
static const struct cs text = {.type = CS_STRING};
static const struct cs boolean = {.type = CS_BOOL};
static const struct cs number = {.type = CS_NUM};
static const struct cs integer = {.type = CS_INT};
static const struct cs bytes = {.type = CS_BYTES};
static const struct cs duration = {.type = CS_DURATION};
static const struct cs dict = {.type = CS_DICT};
static const struct cs hosts = {.type = CS_HOSTS, .merge = CSM_APPEND};
static const struct cs unique_strs = {.type = CS_STRS, .unique = CSU_VALUE};

/* ---- parts of services ---- */

static const struct cs_field ulimit_fields[] = {{"soft", &integer}, {"hard", &integer}, {0}};
static const struct cs ulimits = {
    .type = CS_MAP,
    .flags = CSF_NO_EXT,
    .item = S(ULIMIT, .fields = ulimit_fields, .required = VALUES("soft", "hard"), .merge = CSM_ULIMIT),
};

static const struct cs_field file_ref_fields[] = {
    {"source", &text}, {"target", &text}, {"uid", &text}, {"gid", &text}, {"mode", S(MODE)}, {0},
};
static const struct cs file_ref = {.type = CS_OBJECT, .fields = file_ref_fields, .shorthand = CSS_FILE_REF};

static const struct cs_field build_fields[] = {
    {"context", &text},
    {"dockerfile", &text},
    {"dockerfile_inline", &text},
    {"entitlements", &str_list},
    {"args", &environment},
    {"ssh", S(KV, .shorthand = CSS_SSH, .flags = CSF_NULLS)},
    {"labels", &key_values},
    {"cache_from", &str_list},
    {"cache_to", &str_list},
    {"no_cache", &boolean},
    {"no_cache_filter", &str_or_list},
    {"additional_contexts", &key_values},
    {"network", &text},
    {"provenance", S(SCALAR, .flags = CSF_LISTS)},
    {"sbom", S(SCALAR, .flags = CSF_LISTS)},
    {"pull", &boolean},
    {"target", &text},
    {"shm_size", &bytes},
    {"extra_hosts", &hosts},
    {"isolation", &text},
    {"privileged", &boolean},
    {"secrets", S(LIST, .item = &file_ref, .unique = CSU_FILE_REF, .prefix = "/run/secrets")},
    {"tags", &unique_strs},
    {"ulimits", &ulimits},
    {"platforms", &unique_strs},
    {0},
};

static const struct cs_field blkio_rate_fields[] = {{"path", &text}, {"rate", &bytes}, {0}};
static const struct cs blkio_rates = {.type = CS_LIST,
                                      .item = S(OBJECT, .fields = blkio_rate_fields, .flags = CSF_NO_EXT)};
static const struct cs_field blkio_weight_fields[] = {{"path", &text}, {"weight", &integer}, {0}};
static const struct cs_field blkio_fields[] = {
    {"device_read_bps", &blkio_rates},
    {"device_read_iops", &blkio_rates},
    {"device_write_bps", &blkio_rates},
    {"device_write_iops", &blkio_rates},
    {"weight", &integer},
    {"weight_device", S(LIST, .item = S(OBJECT, .fields = blkio_weight_fields, .flags = CSF_NO_EXT))},
    {0},
};

static const struct cs_field credential_fields[] = {{"config", &text}, {"file", &text}, {"registry", &text}, {0}};

static const struct cs_field dependency_fields[] = {
    {"restart", &boolean},
    {"required", &boolean},
    {"condition", S(STRING, .values = VALUES("service_started", "service_healthy", "service_completed_successfully"))},
    {0},
};
static const struct cs depends_on = {
    .type = CS_MAP,
    .flags = CSF_NO_EXT | CSF_NAMES,
    .item = S(OBJECT, .fields = dependency_fields, .required = VALUES("condition")),
    .shorthand = CSS_DEPENDS,
    .merge = CSM_NAMES,
};

static const struct cs_field request_fields[] = {
    {"capabilities", &str_set}, {"count", S(COUNT)},      {"device_ids", &str_set},
    {"driver", &text},          {"options", &key_values}, {0},
};

static const struct cs_field hook_fields[] = {
    {"command", S(COMMAND, .flags = CSF_NULL, .merge = CSM_REPLACE)},
    {"image", &text},
    {"user", &text},
    {"privileged", &boolean},
    {"per_replica", &boolean},
    {"working_dir", &text},
    {"environment", &environment},
    {0},
};
static const struct cs hooks = {.type = CS_LIST,
                                .item = S(OBJECT, .fields = hook_fields, .required = VALUES("command"))};
static const struct cs start_hooks = {.type = CS_LIST, .item = S(OBJECT, .fields = hook_fields)};

static const struct cs_field watch_fields[] = {
    {"ignore", &str_or_list},
    {"include", &str_or_list},
    {"path", &text},
    {"action", S(STRING, .values = VALUES("rebuild", "sync", "restart", "sync+restart", "sync+exec"))},
    {"target", &text},
    {"exec", S(OBJECT, .fields = hook_fields, .required = VALUES("command"))},
    {"initial_sync", &boolean},
    {0},
};
static const struct cs_field develop_fields[] = {
    {"watch", S(LIST, .item = S(OBJECT, .fields = watch_fields, .required = VALUES("path", "action")))},
    {0},
};

static const struct cs_field rollout_fields[] = {
    {"parallelism", &integer},
    {"delay", &duration},
    {"failure_action", &text},
    {"monitor", &duration},
    {"max_failure_ratio", &number},
    {"order", S(STRING, .values = VALUES("start-first", "stop-first"))},
    {0},
};
static const struct cs_field limit_fields[] = {
    {"cpus", &number}, {"memory", S(BYTES, .flags = CSF_STRICT)}, {"pids", &integer}, {0}};
static const struct cs_field discrete_fields[] = {{"kind", &text}, {"value", &number}, {0}};
static const struct cs_field generic_fields[] = {{"discrete_resource_spec", S(OBJECT, .fields = discrete_fields)}, {0}};
static const struct cs_field reservation_fields[] = {
    {"cpus", &number},
    {"memory", S(BYTES, .flags = CSF_STRICT)},
    {"generic_resources", S(LIST, .item = S(OBJECT, .fields = generic_fields))},
    {"devices", S(LIST, .item = S(OBJECT, .fields = request_fields, .required = VALUES("capabilities")))},
    {0},
};
static const struct cs_field resource_fields[] = {
    {"limits", S(OBJECT, .fields = limit_fields)},
    {"reservations", S(OBJECT, .fields = reservation_fields)},
    {0},
};
static const struct cs_field restart_fields[] = {
    {"condition", &text}, {"delay", &duration}, {"max_attempts", &integer}, {"window", &duration}, {0},
};
static const struct cs_field preference_fields[] = {{"spread", &text}, {0}};
static const struct cs_field placement_fields[] = {
    {"constraints", &str_list},
    {"preferences", S(LIST, .item = S(OBJECT, .fields = preference_fields))},
    {"max_replicas_per_node", &integer},
    {0},
};
static const struct cs_field deploy_fields[] = {
    {"mode", &text},
    {"endpoint_mode", &text},
    {"replicas", &integer},
    {"labels", &key_values},
    {"rollback_config", S(OBJECT, .fields = rollout_fields)},
    {"update_config", S(OBJECT, .fields = rollout_fields)},
    {"resources", S(OBJECT, .fields = resource_fields)},
    {"restart_policy", S(OBJECT, .fields = restart_fields)},
    {"placement", S(OBJECT, .fields = placement_fields)},
    {0},
};

static const struct cs_field device_fields[] = {{"source", &text}, {"target", &text}, {"permissions", &text}, {0}};
static const struct cs_field env_file_fields[] = {{"path", &text}, {"format", &text}, {"required", &boolean}, {0}};
static const struct cs_field extends_fields[] = {{"service", &text}, {"file", &text}, {0}};

static const struct cs_field healthcheck_fields[] = {
    {"disable", &boolean},         {"interval", &duration},
    {"retries", &integer},         {"test", S(TEST, .merge = CSM_REPLACE)},
    {"timeout", &duration},        {"start_period", &duration},
    {"start_interval", &duration}, {0},
};

static const struct cs_field logging_fields[] = {{"driver", &text}, {"options", S(DICT, .flags = CSF_NULLS)}, {0}};
static const struct cs_field service_model_fields[] = {{"endpoint_var", &text}, {"model_var", &text}, {0}};
static const struct cs_field attachment_fields[] = {
    {"aliases", &unique_strs},        {"interface_name", &text},
    {"ipv4_address", &text},          {"ipv6_address", &text},
    {"link_local_ips", &unique_strs}, {"mac_address", &text},
    {"driver_opts", &dict},           {"priority", &integer},
    {"gw_priority", &integer},        {0},
};

static const struct cs_field port_fields[] = {
    {"name", &text},          {"mode", &text},     {"host_ip", &text},      {"target", &integer},
    {"published", S(SCALAR)}, {"protocol", &text}, {"app_protocol", &text}, {0},
};

static const struct cs_field provider_fields[] = {
    {"type", &text}, {"options", S(MAP, .flags = CSF_NO_EXT, .item = S(OPTIONS))}, {0}};

static const struct cs_field bind_fields[] = {
    {"propagation", &text},
    {"create_host_path", &boolean},
    {"recursive", S(STRING, .values = VALUES("enabled", "disabled", "writable", "readonly"))},
    {"selinux", S(STRING, .values = VALUES("z", "Z"))},
    {0},
};
static const struct cs_field volume_opt_fields[] = {
    {"labels", &key_values}, {"nocopy", &boolean}, {"subpath", &text}, {0}};
static const struct cs_field tmpfs_fields[] = {{"size", &bytes}, {"mode", S(MODE)}, {0}};
static const struct cs_field image_opt_fields[] = {{"subpath", &text}, {0}};
static const struct cs_field mount_fields[] = {
    {"type", S(STRING, .values = VALUES("bind", "volume", "tmpfs", "cluster", "npipe", "image"))},
    {"source", &text},
    {"target", &text},
    {"read_only", &boolean},
    {"consistency", &text},
    {"bind", S(OBJECT, .fields = bind_fields)},
    {"volume", S(OBJECT, .fields = volume_opt_fields)},
    {"tmpfs", S(OBJECT, .fields = tmpfs_fields)},
    {"image", S(OBJECT, .fields = image_opt_fields)},
    {0},
};

/* ---- a service ---- */

static const struct cs_field service_fields[] = {
    {"develop", S(OBJECT, .fields = develop_fields, .flags = CSF_NULL)},
    {"deploy", S(OBJECT, .fields = deploy_fields, .flags = CSF_NULL)},
    {"annotations", &key_values},
    {"attach", &boolean},
    {"build", S(OBJECT, .fields = build_fields, .shorthand = CSS_BUILD, .merge = CSM_BUILD)},
    {"blkio_config", S(OBJECT, .fields = blkio_fields, .flags = CSF_NO_EXT)},
    {"cap_add", &unique_strs},
    {"cap_drop", &unique_strs},
    {"cgroup", S(STRING, .values = VALUES("host", "private"))},
    {"cgroup_parent", &text},
    {"command", S(COMMAND, .flags = CSF_NULL, .merge = CSM_REPLACE)},
    {"configs", S(LIST, .item = &file_ref, .unique = CSU_FILE_REF, .prefix = "")},
    {"container_name", &text},
    {"cpu_count", S(INT, .min = 0, .max = INT64_MAX)},
    {"cpu_percent", &number},
    {"cpu_shares", &number},
    {"cpu_quota", &number},
    {"cpu_period", &number},
    {"cpu_rt_period", &number},
    {"cpu_rt_runtime", &number},
    {"cpus", &number},
    {"cpuset", &text},
    {"credential_spec", S(OBJECT, .fields = credential_fields)},
    {"depends_on", &depends_on},
    {"device_cgroup_rules", &str_set},
    {"devices",
     S(LIST, .item = S(OBJECT, .fields = device_fields, .required = VALUES("source"), .shorthand = CSS_DEVICE),
       .unique = CSU_TARGET)},
    {"dns", S(STRS, .flags = CSF_ALSO_STRING | CSF_OMIT_EMPTY, .merge = CSM_APPEND, .unique = CSU_VALUE)},
    {"dns_opt", S(STRS, .merge = CSM_APPEND, .unique = CSU_VALUE)},
    {"dns_search", S(STRS, .flags = CSF_ALSO_STRING | CSF_OMIT_EMPTY, .merge = CSM_APPEND, .unique = CSU_VALUE)},
    {"domainname", &text},
    {"entrypoint", S(COMMAND, .flags = CSF_NULL, .merge = CSM_REPLACE)},
    {"env_file", S(LIST, .item = S(OBJECT, .fields = env_file_fields, .required = VALUES("path"), .flags = CSF_NO_EXT),
                   .shorthand = CSS_ENV_FILE, .merge = CSM_APPEND, .unique = CSU_PATH)},
    {"label_file", S(STRS, .flags = CSF_ALSO_STRING, .merge = CSM_APPEND)},
    {"environment", &environment},
    {"expose", S(STRS, .flags = CSF_NUMBERS, .unique = CSU_VALUE)},
    {"extends",
     S(OBJECT, .fields = extends_fields, .required = VALUES("service"), .shorthand = CSS_EXTENDS, .flags = CSF_NO_EXT)},
    {"provider", S(OBJECT, .fields = provider_fields, .required = VALUES("type"))},
    {"external_links", &str_set},
    {"extra_hosts", &hosts},
    {"gpus", S(LIST, .item = S(OBJECT, .fields = request_fields, .flags = CSF_OPEN), .shorthand = CSS_GPUS)},
    {"group_add", S(STRS, .flags = CSF_NUMBERS | CSF_UNIQUE)},
    {"healthcheck", S(OBJECT, .fields = healthcheck_fields)},
    {"hostname", &text},
    {"image", &text},
    {"init", &boolean},
    {"ipc", &text},
    {"isolation", &text},
    {"labels", &key_values},
    {"links", &unique_strs},
    {"logging", S(OBJECT, .fields = logging_fields, .merge = CSM_LOGGING)},
    {"mac_address", &text},
    {"mem_limit", &bytes},
    {"mem_reservation", &bytes},
    {"mem_swappiness", &integer},
    {"memswap_limit", &bytes},
    {"models", S(MAP, .item = S(OBJECT, .fields = service_model_fields, .flags = CSF_NULL),
                 .flags = CSF_NO_EXT | CSF_NAMES, .shorthand = CSS_NAMES, .merge = CSM_NAMES)},
    {"network_mode", &text},
    {"networks", S(MAP, .item = S(OBJECT, .fields = attachment_fields, .flags = CSF_NULL),
                   .flags = CSF_NO_EXT | CSF_NAMES, .shorthand = CSS_NAMES, .merge = CSM_NAMES)},
    {"oom_kill_disable", &boolean},
    {"oom_score_adj", S(INT, .min = -1000, .max = 1000)},
    {"pid", S(STRING, .flags = CSF_NULL)},
    {"pids_limit", &integer},
    {"platform", &text},
    {"ports", S(LIST, .item = S(OBJECT, .fields = port_fields, .shorthand = CSS_PORT), .unique = CSU_PORT)},
    {"post_start", &hooks},
    {"pre_start", &start_hooks},
    {"pre_stop", &hooks},
    {"privileged", &boolean},
    {"profiles", &unique_strs},
    {"pull_policy", &text},
    {"pull_refresh_after", &text},
    {"read_only", &boolean},
    {"restart", &text},
    {"runtime", &text},
    {"scale", &integer},
    {"security_opt", &str_set},
    {"shm_size", &bytes},
    {"secrets", S(LIST, .item = &file_ref, .unique = CSU_FILE_REF, .prefix = "/run/secrets")},
    {"sysctls", &key_values},
    {"stdin_open", &boolean},
    {"stop_grace_period", &duration},
    {"stop_signal", &text},
    {"storage_opt", &dict},
    {"tmpfs", S(STRS, .flags = CSF_ALSO_STRING, .merge = CSM_APPEND, .unique = CSU_VALUE)},
    {"tty", &boolean},
    {"ulimits", &ulimits},
    {"use_api_socket", &boolean},
    {"user", &text},
    {"uts", &text},
    {"userns_mode", &text},
    {"volumes", S(LIST, .item = S(OBJECT, .fields = mount_fields, .required = VALUES("type"), .shorthand = CSS_MOUNT),
                  .unique = CSU_TARGET)},
    {"volumes_from", &str_set},
    {"working_dir", &text},
    {0},
};
const struct cs compose_service_schema = {.type = CS_OBJECT, .fields = service_fields};

/* ---- top level ---- */

static const struct cs external = {.type = CS_BOOL, .shorthand = CSS_EXTERNAL};

static const struct cs_field pool_fields[] = {
    {"subnet", &text}, {"ip_range", &text}, {"gateway", &text}, {"aux_addresses", &dict}, {0}};
static const struct cs_field ipam_fields[] = {
    {"driver", &text},
    {"config", S(LIST, .item = S(OBJECT, .fields = pool_fields), .merge = CSM_IPAM)},
    {"options", &dict},
    {0},
};
static const struct cs_field network_fields[] = {
    {"name", &text},
    {"driver", &text},
    {"driver_opts", &dict},
    {"ipam", S(OBJECT, .fields = ipam_fields)},
    {"external", &external},
    {"internal", &boolean},
    {"enable_ipv4", &boolean},
    {"enable_ipv6", &boolean},
    {"attachable", &boolean},
    {"labels", &key_values},
    {0},
};
static const struct cs_field volume_fields[] = {
    {"name", &text}, {"driver", &text}, {"driver_opts", &dict}, {"external", &external}, {"labels", &key_values}, {0},
};
static const struct cs_field secret_fields[] = {
    {"name", &text},         {"environment", &text},     {"file", &text},
    {"external", &external}, {"labels", &key_values},    {"driver", &text},
    {"driver_opts", &dict},  {"template_driver", &text}, {0},
};
static const struct cs_field config_fields[] = {
    {"name", &text},         {"content", &text},      {"environment", &text},     {"file", &text},
    {"external", &external}, {"labels", &key_values}, {"template_driver", &text}, {0},
};
static const struct cs_field model_fields[] = {
    {"name", &text}, {"model", &text}, {"context_size", S(INT, .flags = CSF_STRICT)}, {"runtime_flags", &str_list}, {0},
};
static const struct cs_field include_fields[] = {
    {"path", &str_or_list},
    {"env_file", &str_or_list},
    {"project_directory", &text},
    {0},
};

#define NAMED(item_) S(MAP, .flags = CSF_NO_EXT | CSF_NAMES, .item = item_)
static const struct cs_field file_fields[] = {
    {"version", S(STRING)},
    {"name", S(STRING)},
    {"include", S(LIST, .item = S(OBJECT, .fields = include_fields, .shorthand = CSS_INCLUDE, .flags = CSF_NO_EXT))},
    {"services", NAMED(&compose_service_schema)},
    {"models", NAMED(S(OBJECT, .fields = model_fields, .required = VALUES("model")))},
    {"networks", NAMED(S(OBJECT, .fields = network_fields, .flags = CSF_NULL))},
    {"volumes", NAMED(S(OBJECT, .fields = volume_fields, .flags = CSF_NULL))},
    {"secrets", NAMED(S(OBJECT, .fields = secret_fields))},
    {"configs", NAMED(S(OBJECT, .fields = config_fields))},
    {0},
};
const struct cs compose_schema = {.type = CS_OBJECT, .fields = file_fields};

const struct cs *cs_field(const struct cs *object, struct str key) {
    if (key.n == 0)
        return NULL;
    for (const struct cs_field *f = object->fields; f != NULL && f->name != NULL; f++) {
        if (f->name[0] == key.p[0] && strncmp(f->name, key.p, key.n) == 0 && f->name[key.n] == '\0')
            return f->s;
    }
    return NULL;
}

const struct cs *cs_lookup(const char *pattern) {
    const struct cs *cur = &compose_schema;
    struct str rest = str_of(pattern), part;
    while (cur != NULL && str_cut(&rest, '.', &part)) {
        if (str_eqz(part, "*"))
            cur = cur->item;
        else
            cur = cs_field(cur, part);
    }
    return cur;
}
