/* The engine's event stream. */
#include "core/docker/docker_internal.h"
#include "core/docker/system.h"

struct run {
    struct docker *d;
    const struct docker_call *call;
    const struct docker_events *opt;
    struct arena *scratch;
};

/* "health_status: healthy", "exec_start: sh -c ..." carry a detail after the action. */
static void split_action(struct arena *a, const char *raw, struct docker_event *ev) {
    struct str s = str_of(raw);
    ptrdiff_t colon = str_find_chr(s, ':');
    if (colon < 0) {
        ev->action = raw;
        ev->action_detail = "";
        return;
    }
    ev->action = str_z(a, str_slice(s, 0, (size_t)colon));
    ev->action_detail = str_z(a, str_trim(str_slice(s, (size_t)colon + 1, s.n)));
}

static err_t on_event(void *arg, struct str text) {
    struct run *x = arg;
    struct arena_mark m = arena_mark(x->scratch);
    struct json *j;
    err_t e = docker_parse(x->d, x->scratch, x->call, text, &j);
    if (!e) {
        const char *id = json_str(json_path(j, "Actor", "ID", NULL));
        const struct json *attributes = json_path(j, "Actor", "Attributes", NULL);
        struct docker_event ev = {.type = json_str_or(json_get(j, "Type"), ""),
                                  .id = id ? id : "",
                                  .time_ns = json_get_int(j, "timeNano", 0),
                                  .attributes = json_is(attributes, JSON_OBJECT) ? attributes : NULL};
        if (!ev.time_ns)
            ev.time_ns = json_get_int(j, "time", 0) * 1000000000;
        split_action(x->scratch, json_str_or(json_get(j, "Action"), ""), &ev);
        e = x->opt->on_event(x->opt->arg, &ev);
    }
    arena_rewind(x->scratch, m);
    return e;
}

static struct json *names(struct arena *a, const char *const *v, size_t n) {
    struct json *arr = json_array(a);
    for (size_t i = 0; i < n; i++)
        json_push(a, arr, json_string(a, v[i]));
    return arr;
}

static const char *seconds(struct arena *a, int64_t ns) {
    return ns ? arena_printf(a, "%lld.%09lld", (long long)(ns / 1000000000), (long long)(ns % 1000000000)) : NULL;
}

static err_t run(struct docker *d, struct arena *a, const struct docker_events *opt, uint64_t deadline) {
    struct query q;
    struct json *filters = json_object(a);
    if (opt->ntypes)
        json_set(a, filters, "type", names(a, opt->types, opt->ntypes));
    if (opt->nactions)
        json_set(a, filters, "event", names(a, opt->actions, opt->nactions));
    query_init(&q, "/events");
    query_add(&q, a, "since", seconds(a, opt->since_ns));
    query_add(&q, a, "until", seconds(a, opt->until_ns));
    if (json_len(filters))
        query_add_json(&q, a, "filters", filters);
    struct docker_call call = {.method = "GET", .op = "events", .path = query_take(&q, a), .stream = true};
    AUTO(http_response) r = NULL;
    TRY(docker_call(d, a, &call, deadline, &r));
    if (opt->on_open)
        TRY(opt->on_open(opt->arg));
    struct arena *scratch = arena_new("events", 0);
    struct run x = {.d = d, .call = &call, .opt = opt, .scratch = scratch};
    err_t e = docker_read_items(d, &call, r, false, deadline, on_event, &x);
    arena_unref(scratch);
    if (!e && !opt->until_ns)
        e = docker_map_error(d, &call, err_new(ERR_UNAVAILABLE, "the engine closed the event stream"));
    return e;
}

err_t docker_events_run(struct docker *d, const struct docker_events *opt, uint64_t deadline) {
    struct arena *a = arena_new("events call", 0);
    AUTO(docker) keep = docker_ref(d);
    err_t e = run(d, a, opt, deadline);
    arena_unref(a);
    return e;
}
