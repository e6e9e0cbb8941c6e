/* The engine's container documents to our structs. Every engine version's shape: what is missing stays empty. */
#include "core/docker/container.h"
#include "core/docker/stream.h"

static const char *name_of(const char *raw) {
    const char *n = raw ? raw : "";
    return n[0] == '/' ? n + 1 : n;
}

/* A linked container shows up under "/other/alias" too: the own name has one slash. */
static const char *own_name(const struct json *names) {
    for (size_t i = 0; i < json_len(names); i++) {
        const char *n = name_of(json_str(json_at(names, i)));
        if (*n && !strchr(n, '/'))
            return n;
    }
    return name_of(json_str(json_at(names, 0)));
}

static uint16_t port_of(const struct json *v) {
    int64_t p = json_int_or(v, 0);
    return p > 0 && p < 65536 ? (uint16_t)p : 0;
}

err_t docker_container_from_row(struct arena *a, struct json *row, struct docker_container *ret) {
    struct docker_container c = {0};
    c.id = json_get_str(row, "Id");
    if (!c.id)
        return err_new(ERR_DOCKER_PROTOCOL, "a container of the engine's list has no Id");
    c.name = own_name(json_get(row, "Names"));
    c.image = json_str_or(json_get(row, "Image"), "");
    c.image_id = json_str_or(json_get(row, "ImageID"), "");
    c.state = json_str_or(json_get(row, "State"), "");
    c.status = json_str_or(json_get(row, "Status"), "");
    c.created = json_get_int(row, "Created", 0);
    const struct json *labels = json_get(row, "Labels"), *ports = json_get(row, "Ports");
    c.labels = json_is(labels, JSON_OBJECT) ? labels : NULL;
    struct docker_port *list = arena_new_array(a, struct docker_port, json_len(ports) + 1);
    for (size_t i = 0; i < json_len(ports); i++) {
        const struct json *p = json_at(ports, i);
        list[c.nports++] = (struct docker_port){.ip = json_str_or(json_get(p, "IP"), ""),
                                                .private_port = port_of(json_get(p, "PrivatePort")),
                                                .public_port = port_of(json_get(p, "PublicPort")),
                                                .type = json_str_or(json_get(p, "Type"), "tcp")};
    }
    c.ports = list;
    c.raw = row;
    *ret = c;
    return NULL;
}

static const struct json *object_of(const struct json *parent, const char *key) {
    const struct json *v = json_get(parent, key);
    return json_is(v, JSON_OBJECT) ? v : NULL;
}

err_t docker_container_from_inspect(struct arena *a, struct json *doc, struct docker_container_info *ret) {
    (void)a;
    struct docker_container_info c = {0};
    const struct json *state = json_get(doc, "State"), *config = object_of(doc, "Config");
    c.id = json_get_str(doc, "Id");
    if (!c.id || !json_is(state, JSON_OBJECT))
        return err_new(ERR_DOCKER_PROTOCOL, "the engine's container document has no Id or State");
    c.name = name_of(json_get_str(doc, "Name"));
    c.image = json_str_or(json_get(config, "Image"), "");
    c.image_id = json_str_or(json_get(doc, "Image"), "");
    c.state = json_str_or(json_get(state, "Status"), "");
    c.health = json_str_or(json_path(state, "Health", "Status", NULL), "none");
    const struct json *test = json_path(config, "Healthcheck", "Test", NULL);
    if (z_eq(json_str(json_at(test, 0)), "NONE"))
        c.health = "none";
    c.running = json_get_bool(state, "Running", false);
    c.oom_killed = json_get_bool(state, "OOMKilled", false);
    c.tty = json_get_bool(config, "Tty", false);
    c.exit_code = (int)json_get_int(state, "ExitCode", 0);
    c.pid = json_get_int(state, "Pid", 0);
    c.restart_count = json_get_int(doc, "RestartCount", 0);
    c.error = json_str_or(json_get(state, "Error"), "");
    c.created_at = json_str_or(json_get(doc, "Created"), "");
    c.started_at = json_str_or(json_get(state, "StartedAt"), "");
    c.finished_at = json_str_or(json_get(state, "FinishedAt"), "");
    c.log_driver = json_str_or(json_path(doc, "HostConfig", "LogConfig", "Type", NULL), "");
    c.labels = object_of(config, "Labels");
    c.networks = json_path(doc, "NetworkSettings", "Networks", NULL);
    c.mounts = json_get(doc, "Mounts");
    c.config = config;
    c.host_config = object_of(doc, "HostConfig");
    c.raw = doc;
    *ret = c;
    return NULL;
}
