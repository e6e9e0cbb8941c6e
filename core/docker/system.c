/* The engine itself. */
#include "core/docker/docker_internal.h"
#include "core/docker/system.h"

err_t docker_ping(struct docker *d, uint64_t deadline) {
    struct docker_call call = {.method = "GET", .op = "ping", .path = "/_ping"};
    return docker_call_done(d, &call, deadline);
}

static err_t object(struct docker *d, struct arena *a, const struct docker_call *call, uint64_t deadline,
                    struct json **ret) {
    TRY(docker_call_json(d, a, call, deadline, ret));
    return json_is(*ret, JSON_OBJECT) ? NULL : docker_protocol(d, call, "the answer is not an object");
}

err_t docker_version(struct docker *d, struct arena *a, uint64_t deadline, struct json **ret) {
    struct docker_call call = {.method = "GET", .op = "engine version", .path = "/version"};
    return object(d, a, &call, deadline, ret);
}

err_t docker_df(struct docker *d, struct arena *a, uint64_t deadline, struct json **ret) {
    struct docker_call call = {.method = "GET", .op = "disk usage", .path = "/system/df"};
    return object(d, a, &call, deadline, ret);
}

err_t docker_info(struct docker *d, struct arena *a, uint64_t deadline, struct docker_info **ret) {
    struct docker_call call = {.method = "GET", .op = "engine info", .path = "/info"};
    struct json *j;
    TRY(docker_negotiate(d, deadline));
    int64_t before = clock_wall_ms();
    TRY(object(d, a, &call, deadline, &j));
    int64_t middle = before + (clock_wall_ms() - before) / 2;
    struct docker_info *i = arena_new_obj(a, struct docker_info);
    *i = (struct docker_info){.id = json_str_or(json_get(j, "ID"), ""),
                              .name = json_str_or(json_get(j, "Name"), ""),
                              .engine_version = json_str_or(json_get(j, "ServerVersion"), ""),
                              .os = json_str_or(json_get(j, "OperatingSystem"), ""),
                              .os_type = json_str_or(json_get(j, "OSType"), ""),
                              .arch = json_str_or(json_get(j, "Architecture"), ""),
                              .kernel = json_str_or(json_get(j, "KernelVersion"), ""),
                              .cgroup_version = json_str_or(json_get(j, "CgroupVersion"), ""),
                              .cgroup_driver = json_str_or(json_get(j, "CgroupDriver"), ""),
                              .swarm_state = json_str_or(json_path(j, "Swarm", "LocalNodeState", NULL), "inactive"),
                              .default_runtime = json_str_or(json_get(j, "DefaultRuntime"), ""),
                              .logging_driver = json_str_or(json_get(j, "LoggingDriver"), ""),
                              .storage_driver = json_str_or(json_get(j, "Driver"), ""),
                              .cpus = json_get_int(j, "NCPU", 0),
                              .memory = json_get_int(j, "MemTotal", 0),
                              .containers = json_get_int(j, "Containers", 0),
                              .running = json_get_int(j, "ContainersRunning", 0),
                              .images = json_get_int(j, "Images", 0),
                              .warnings = json_get(j, "Warnings"),
                              .raw = j};
    int64_t engine_ns = docker_unix_ns(json_get_str(j, "SystemTime"));
    if (engine_ns)
        i->clock_offset_ms = engine_ns / 1000000 - middle;
    *ret = i;
    return NULL;
}
