/* Index rows as the API shows them. */
#include "core/fleet/fleet_internal.h"

#define HOUR INT64_C(3600)
#define DAY (24 * HOUR)

static void kv_time(struct jw *w, const char *key, int64_t ms) {
    char z[TIME_RFC3339_LEN];
    jw_kv_str(w, key, ms ? time_rfc3339(z, ms) : NULL);
}

/* "3 minutes", as people know it from the engine's own list */
static const char *span(char *out, size_t size, int64_t s) {
    if (s < 1)
        snprintf(out, size, "Less than a second");
    else if (s < 60)
        snprintf(out, size, "%lld second%s", (long long)s, s == 1 ? "" : "s");
    else if (s < 120)
        snprintf(out, size, "About a minute");
    else if (s < 3600)
        snprintf(out, size, "%lld minutes", (long long)(s / 60));
    else if (s < 7200)
        snprintf(out, size, "About an hour");
    else if (s < 48 * HOUR)
        snprintf(out, size, "%lld hours", (long long)(s / HOUR));
    else if (s < 14 * DAY)
        snprintf(out, size, "%lld days", (long long)(s / DAY));
    else if (s < 60 * DAY)
        snprintf(out, size, "%lld weeks", (long long)(s / DAY / 7));
    else if (s < 2 * (365 * DAY))
        snprintf(out, size, "%lld months", (long long)(s / DAY / 30));
    else
        snprintf(out, size, "%lld years", (long long)(s / DAY / 365));
    return out;
}

static const char *health_suffix(const char *h) {
    return z_eq(h, "healthy")     ? " (healthy)"
           : z_eq(h, "unhealthy") ? " (unhealthy)"
           : z_eq(h, "starting")  ? " (health: starting)"
                                  : "";
}

static void status_text(char *out, size_t size, const struct fleet_container *c) {
    char t[40];
    int64_t now = clock_wall_ms();
    const char *suffix = health_suffix(c->health);
    bool up = z_eq(c->state, "running") || z_eq(c->state, "paused");
    if (up && c->started_ms)
        snprintf(out, size, "Up %s%s%s", span(t, sizeof t, (now - c->started_ms) / 1000),
                 z_eq(c->state, "paused") ? " (Paused)" : "", suffix);
    else if (up)
        snprintf(out, size, "Up%s%s", z_eq(c->state, "paused") ? " (Paused)" : "", suffix);
    else if (z_eq(c->state, "exited") && c->finished_ms)
        snprintf(out, size, "Exited (%d) %s ago", c->exit_code, span(t, sizeof t, (now - c->finished_ms) / 1000));
    else if (z_eq(c->state, "exited"))
        snprintf(out, size, "Exited (%d)", c->exit_code);
    else if (z_eq(c->state, "restarting"))
        snprintf(out, size, "Restarting (%d)", c->exit_code);
    else
        snprintf(out, size, "%c%s", c->state[0] >= 'a' && c->state[0] <= 'z' ? c->state[0] - 32 : '?',
                 c->state[0] ? c->state + 1 : "");
}

static void ports_json(struct jw *w, const struct fleet_container *c) {
    jw_key(w, "ports");
    jw_arr(w);
    for (size_t i = 0; i < c->nports; i++) {
        jw_obj(w);
        jw_kv_str(w, "ip", c->ports[i].ip);
        jw_kv_int(w, "privatePort", c->ports[i].private_port);
        if (c->ports[i].public_port)
            jw_kv_int(w, "publicPort", c->ports[i].public_port);
        else
            jw_kv_str(w, "publicPort", NULL);
        jw_kv_str(w, "type", c->ports[i].type);
        jw_obj_end(w);
    }
    jw_arr_end(w);
}

static void name_json(struct jw *w, const struct fleet_container *c) {
    jw_kv_str(w, "id", c->id);
    jw_key(w, "names");
    jw_arr(w);
    jw_str(w, c->name);
    jw_arr_end(w);
    jw_kv_str(w, "name", c->name);
    jw_key(w, "node");
    jw_obj(w);
    jw_kv_str(w, "id", c->node_id);
    jw_kv_str(w, "name", c->node_name);
    jw_obj_end(w);
}

void fleet_container_json(struct jw *w, const struct fleet_container *c, const char *application_json) {
    char status[96];
    status_text(status, sizeof status, c);
    jw_obj(w);
    name_json(w, c);
    jw_kv_str(w, "image", c->image);
    jw_kv_str(w, "imageId", c->image_id);
    jw_kv_str(w, "state", c->state);
    jw_kv_str(w, "status", status);
    jw_kv_str(w, "health", c->health);
    kv_time(w, "createdAt", c->created_ms);
    kv_time(w, "startedAt", c->started_ms);
    ports_json(w, c);
    jw_key(w, "labels");
    jw_obj(w);
    for (size_t i = 0; i < c->nlabels; i++)
        jw_kv_str(w, c->labels[i].key, c->labels[i].value);
    jw_obj_end(w);
    jw_kv_str(w, "composeProject", c->project);
    jw_kv_str(w, "composeService", c->service);
    jw_kv_raw(w, "application", application_json ? application_json : "null");
    jw_obj_end(w);
}

static void engine_json(struct jw *w, const struct fleet_node *n) {
    char api[16];
    snprintf(api, sizeof api, "1.%d", n->api);
    jw_key(w, "engine");
    if (!n->engine_version[0]) {
        jw_null(w);
        return;
    }
    jw_obj(w);
    jw_kv_str(w, "version", n->engine_version);
    jw_kv_str(w, "apiVersion", n->api ? api : NULL);
    jw_kv_str(w, "os", n->os);
    jw_kv_str(w, "arch", n->arch);
    jw_kv_int(w, "cpus", n->cpus);
    jw_kv_int(w, "memory", n->memory);
    jw_kv_str(w, "cgroupVersion", n->cgroup_version);
    jw_kv_str(w, "swarm", n->swarm_state);
    jw_kv_int(w, "clockOffsetMs", n->clock_offset_ms);
    jw_obj_end(w);
}

void fleet_node_json_fields(struct jw *w, const struct fleet_node *n) {
    jw_kv_str(w, "id", n->id);
    jw_kv_str(w, "name", n->name);
    jw_kv_str(w, "url", n->url);
    jw_kv_str(w, "state", fleet_state_text(n->state));
    jw_kv_str(w, "stateReason", n->reason);
    engine_json(w, n);
    jw_kv_int(w, "containersRunning", (int64_t)n->running);
    jw_kv_int(w, "containersTotal", (int64_t)n->containers);
    jw_kv_int(w, "images", (int64_t)n->images);
    kv_time(w, "lastSeenAt", n->last_seen_ms);
}
