/* The engine's documents to index rows. Both sources give the same row for the same container, so that a relist after an
 * inspect changes nothing. */
#include <stdlib.h>
#include "core/docker/stream.h"
#include "core/fleet/fleet_internal.h"

int64_t parse_time_ms(const char *rfc3339) {
    int64_t ns;
    return rfc3339 && log_stamp_parse(str_of(rfc3339), &ns) && ns > 0 ? ns / 1000000 : 0;
}

static int by_port(const void *pa, const void *pb) {
    const struct fleet_port *a = pa, *b = pb;
    if (a->private_port != b->private_port)
        return a->private_port < b->private_port ? -1 : 1;
    int t = strcmp(a->type, b->type);
    if (t)
        return t;
    if (a->public_port != b->public_port)
        return a->public_port < b->public_port ? -1 : 1;
    return strcmp(a->ip, b->ip);
}
static int by_text(const void *pa, const void *pb) {
    return strcmp(*(const char *const *)pa, *(const char *const *)pb);
}
static int by_key(const void *pa, const void *pb) {
    return strcmp(((const struct fleet_label *)pa)->key, ((const struct fleet_label *)pb)->key);
}

static struct fleet_label *labels_of(struct arena *a, const struct json *o, size_t *ret_n) {
    size_t n = json_is(o, JSON_OBJECT) ? o->obj.n : 0;
    struct fleet_label *v = arena_new_array(a, struct fleet_label, n + 1);
    for (size_t i = 0; i < n; i++)
        v[i] = (struct fleet_label){o->obj.v[i].key.p, json_str_or(o->obj.v[i].value, "")};
    qsort(v, n, sizeof *v, by_key);
    *ret_n = n;
    return v;
}

static void common(struct arena *a, struct fleet_container *c, const struct json *labels, const struct json *networks) {
    c->labels = labels_of(a, labels, &c->nlabels);
    c->project = json_get_str(labels, "com.docker.compose.project");
    c->service = json_get_str(labels, "com.docker.compose.service");
    size_t n = json_is(networks, JSON_OBJECT) ? networks->obj.n : 0;
    const char **names = arena_new_array(a, const char *, n + 1);
    for (size_t i = 0; i < n; i++)
        names[i] = networks->obj.v[i].key.p;
    qsort(names, n, sizeof *names, by_text);
    c->networks = names;
    c->nnetworks = n;
}

/* "Up 3 minutes (healthy)", "Exited (137) 2 hours ago" */
static const char *health_of_status(const char *status) {
    struct str s = str_of(status);
    if (str_find(s, STR("(healthy)")) >= 0)
        return "healthy";
    if (str_find(s, STR("(unhealthy)")) >= 0)
        return "unhealthy";
    return str_find(s, STR("(health: starting)")) >= 0 ? "starting" : "none";
}
static int exit_code_of_status(const char *status) {
    struct str s = str_of(status);
    int64_t code = 0;
    ptrdiff_t open = str_find_chr(s, '('), close = str_find_chr(s, ')');
    if (str_starts(s, STR("Exited (")) && close > open)
        err_ignore(str_to_i64(str_slice(s, (size_t)open + 1, (size_t)close), -1, 255, &code));
    return (int)code;
}

err_t parse_list_row(struct arena *a, struct json *row, struct fleet_container *ret) {
    struct docker_container dc;
    TRY(docker_container_from_row(a, row, &dc));
    struct fleet_container c = {.id = dc.id, .name = dc.name, .image = dc.image, .image_id = dc.image_id};
    c.state = dc.state;
    c.health = health_of_status(dc.status);
    c.exit_code = exit_code_of_status(dc.status);
    c.created_ms = dc.created * 1000;
    struct fleet_port *ports = arena_new_array(a, struct fleet_port, dc.nports + 1);
    for (size_t i = 0; i < dc.nports; i++)
        ports[i] =
            (struct fleet_port){dc.ports[i].ip, dc.ports[i].type, dc.ports[i].private_port, dc.ports[i].public_port};
    qsort(ports, dc.nports, sizeof *ports, by_port);
    c.ports = ports;
    c.nports = dc.nports;
    common(a, &c, dc.labels, json_path(row, "NetworkSettings", "Networks", NULL));
    *ret = c;
    return NULL;
}

static void ports_of_inspect(struct arena *a, const struct json *o, struct fleet_container *c) {
    size_t cap = 1;
    for (size_t i = 0; json_is(o, JSON_OBJECT) && i < o->obj.n; i++)
        cap += 1 + json_len(o->obj.v[i].value);
    struct fleet_port *v = arena_new_array(a, struct fleet_port, cap);
    size_t n = 0;
    for (size_t i = 0; json_is(o, JSON_OBJECT) && i < o->obj.n; i++) {
        struct str rest = o->obj.v[i].key, num = {0};
        int64_t port, public_port;
        if (!str_cut(&rest, '/', &num) || str_to_i64(num, 1, 65535, &port) != NULL)
            continue;
        const char *type = rest.n ? rest.p : "tcp"; /* keys are NUL-terminated */
        const struct json *binds = o->obj.v[i].value;
        if (!json_len(binds))
            v[n++] = (struct fleet_port){"", type, (uint16_t)port, 0};
        for (size_t j = 0; j < json_len(binds); j++) {
            const struct json *b = json_at(binds, j);
            if (str_to_i64(str_of(json_str_or(json_get(b, "HostPort"), "")), 1, 65535, &public_port) != NULL)
                public_port = 0;
            v[n++] = (struct fleet_port){json_str_or(json_get(b, "HostIp"), ""), type, (uint16_t)port,
                                         (uint16_t)public_port};
        }
    }
    qsort(v, n, sizeof *v, by_port);
    c->ports = v;
    c->nports = n;
}

err_t parse_inspect(struct arena *a, const struct docker_container_info *info, struct fleet_container *ret) {
    struct fleet_container c = {.id = info->id, .name = info->name, .image = info->image, .image_id = info->image_id};
    c.state = info->state;
    c.health = info->health;
    c.exit_code = info->running ? 0 : info->exit_code;
    c.created_ms = parse_time_ms(info->created_at) / 1000 * 1000; /* the list has whole seconds */
    c.started_ms = parse_time_ms(info->started_at);
    c.finished_ms = parse_time_ms(info->finished_at);
    c.detailed = true;
    ports_of_inspect(a, json_path(info->raw, "NetworkSettings", "Ports", NULL), &c);
    common(a, &c, info->labels, info->networks);
    *ret = c;
    return NULL;
}

void parse_object(struct arena *a, int kind, const struct json *row, struct fleet_object *ret) {
    struct fleet_object o = {0};
    const char *name = json_get_str(row, "Name");
    const char *tag = json_str(json_at(json_get(row, "RepoTags"), 0));
    o.id = kind == 2 ? name : json_get_str(row, "Id");
    o.name = kind == 0 ? (tag && !z_eq(tag, "<none>:<none>") ? tag : "") : name ? name : "";
    o.driver = json_str_or(json_get(row, "Driver"), "");
    o.size = json_get_int(row, "Size", 0);
    o.labels = labels_of(a, json_get(row, "Labels"), &o.nlabels);
    o.json = json_to_text(a, row);
    if (strlen(o.json) > OBJECT_JSON_MAX)
        o.json = "{}";
    *ret = o;
}
