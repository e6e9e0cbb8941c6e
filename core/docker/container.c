/* Containers: list, inspect, life cycle. Creation is in create.c, logs in logs.c. */
#include <stdlib.h>
#include "core/async/fiber.h"
#include "core/base/check.h"
#include "core/base/vec.h"
#include "core/docker/container.h"
#include "core/docker/docker_internal.h"

/* ---- lists ---- */

static char *list_path(struct arena *a, const struct docker_list_filter *f) {
    struct query q;
    query_init(&q, "/containers/json");
    if (!f)
        return query_take(&q, a);
    if (f->all)
        query_add(&q, a, "all", "1");
    if (f->size)
        query_add(&q, a, "size", "1");
    struct json *filters = docker_label_filter(a, f->labels, f->nlabels);
    if (f->name) { /* a pattern for the engine: anchored, and its special characters quoted */
        struct buf b;
        buf_init(&b, 0, KIB(4));
        buf_puts(&b, "^/?");
        for (const char *p = f->name; *p; p++) {
            if (*p == '.')
                buf_putc(&b, '\\');
            buf_putc(&b, *p);
        }
        buf_putc(&b, '$');
        struct json *arr = json_array(a);
        json_push(a, arr, json_strn(a, buf_str(&b)));
        json_set(a, filters, "name", arr);
        buf_done(&b);
    }
    if (f->id) {
        struct json *arr = json_array(a);
        json_push(a, arr, json_string(a, f->id));
        json_set(a, filters, "id", arr);
    }
    if (json_len(filters))
        query_add_json(&q, a, "filters", filters);
    return query_take(&q, a);
}

static err_t filter_check(const struct docker_list_filter *f) {
    if (f && f->name)
        TRY(docker_id_check(f->name));
    return f && f->id ? docker_id_check(f->id) : NULL;
}

err_t docker_container_list(struct docker *d, struct arena *a, const struct docker_list_filter *f, uint64_t deadline,
                            struct docker_container **ret, size_t *ret_n) {
    struct json *list;
    TRY(filter_check(f));
    struct docker_call call = {.method = "GET", .op = "list containers", .path = list_path(a, f)};
    TRY(docker_call_json(d, a, &call, deadline, &list));
    struct docker_container *rows = arena_new_array(a, struct docker_container, json_len(list) + 1);
    size_t n = 0;
    for (size_t i = 0; i < json_len(list); i++) {
        TRY(docker_detail(d, &call, docker_container_from_row(a, json_at(list, i), &rows[n])));
        n += !f || !f->name || z_eq(rows[n].name, f->name);
    }
    *ret = rows;
    *ret_n = n;
    return NULL;
}

err_t docker_container_each(struct docker *d, const struct docker_list_filter *f, uint64_t deadline, docker_row_fn *fn,
                            void *arg) {
    TRY(filter_check(f));
    struct docker_call call = {.method = "GET", .op = "list containers", .path = list_path(arena_current(), f)};
    return docker_call_each(d, &call, deadline, fn, arg);
}

err_t docker_container_inspect(struct docker *d, struct arena *a, const char *id, uint64_t deadline,
                               struct docker_container_info **ret) {
    TRY(docker_id_check(id));
    struct json *doc;
    struct docker_call call = {
        .method = "GET", .op = "inspect container", .what = id, .path = arena_printf(a, "/containers/%s/json", id)};
    TRY(docker_call_json(d, a, &call, deadline, &doc));
    struct docker_container_info *info = arena_new_obj(a, struct docker_container_info);
    TRY(docker_detail(d, &call, docker_container_from_inspect(a, doc, info)));
    *ret = info;
    return NULL;
}

/* ---- life cycle ---- */

static err_t act(struct docker *d, const char *op, const char *id, struct query *q, int ok2, uint64_t deadline) {
    struct docker_call call = {
        .method = "POST", .op = op, .what = id, .path = query_take(q, arena_current()), .ok2 = ok2};
    return docker_call_done(d, &call, deadline);
}

static err_t verb(struct docker *d, const char *op, const char *id, const char *action, uint64_t deadline) {
    struct query q;
    TRY(docker_id_check(id));
    query_init(&q, "/containers/%s/%s", id, action);
    return act(d, op, id, &q, 304, deadline);
}

err_t docker_container_start(struct docker *d, const char *id, uint64_t deadline) {
    return verb(d, "start container", id, "start", deadline);
}
err_t docker_container_pause(struct docker *d, const char *id, uint64_t deadline) {
    return verb(d, "pause container", id, "pause", deadline);
}
err_t docker_container_unpause(struct docker *d, const char *id, uint64_t deadline) {
    return verb(d, "unpause container", id, "unpause", deadline);
}

err_t docker_container_stop(struct docker *d, const char *id, int timeout_s, const char *signal, uint64_t deadline) {
    struct query q;
    TRY(docker_id_check(id));
    TRY(docker_negotiate(d, deadline)); /* which arguments exist depends on the version */
    query_init(&q, "/containers/%s/stop", id);
    if (timeout_s >= 0)
        query_add_int(&q, arena_current(), "t", timeout_s);
    if (docker_api(d) >= 42)
        query_add(&q, arena_current(), "signal", signal);
    return act(d, "stop container", id, &q, 304, deadline);
}

err_t docker_container_restart(struct docker *d, const char *id, int timeout_s, uint64_t deadline) {
    struct query q;
    TRY(docker_id_check(id));
    query_init(&q, "/containers/%s/restart", id);
    if (timeout_s >= 0)
        query_add_int(&q, arena_current(), "t", timeout_s);
    return act(d, "restart container", id, &q, 0, deadline);
}

err_t docker_container_kill(struct docker *d, const char *id, const char *signal, uint64_t deadline) {
    struct query q;
    TRY(docker_id_check(id));
    query_init(&q, "/containers/%s/kill", id);
    query_add(&q, arena_current(), "signal", signal);
    return act(d, "kill container", id, &q, 0, deadline);
}

err_t docker_container_rename(struct docker *d, const char *id, const char *name, uint64_t deadline) {
    struct query q;
    TRY(docker_id_check(id));
    TRY(err_field(docker_name_check(str_of(name)), "name"));
    query_init(&q, "/containers/%s/rename", id);
    query_add(&q, arena_current(), "name", name);
    return act(d, "rename container", id, &q, 0, deadline);
}

err_t docker_container_update(struct docker *d, struct arena *a, const char *id, const struct json *body,
                              const struct guard_rights *rights, uint64_t deadline) {
    TRY(docker_id_check(id));
    TRY(guard_check(a, GUARD_UPDATE, body, rights));
    struct docker_call call = {.method = "POST",
                               .op = "update container",
                               .what = id,
                               .body = body,
                               .path = arena_printf(a, "/containers/%s/update", id)};
    return docker_call_done(d, &call, deadline);
}

static err_t remove_once(struct docker *d, const char *id, bool force, bool volumes, uint64_t deadline) {
    struct docker_call call = {.method = "DELETE",
                               .op = "remove container",
                               .what = id,
                               .path =
                                   arena_printf(arena_current(), "/containers/%s?v=%d&force=%d", id, volumes, force)};
    return docker_call_done(d, &call, deadline);
}

/* Another removal of the same container is running: its end is ours. */
static err_t wait_gone(struct docker *d, const char *id, uint64_t deadline) {
    for (;;) {
        struct docker_call call = {.method = "GET",
                                   .op = "remove container",
                                   .what = id,
                                   .path = arena_printf(arena_current(), "/containers/%s/json", id)};
        err_t e = docker_call_done(d, &call, deadline);
        if (e)
            return err_is(e, ERR_NOT_FOUND) ? NULL : e;
        if (clock_mono_ms() >= deadline)
            return docker_detail(d, &call, err_new(ERR_TIMEOUT, "the container is still being removed"));
        TRY(fiber_sleep(200));
    }
}

/* A process that is just ending still writes or mounts there; the engine leaves the container "dead", a second try works. */
static bool files_in_use(err_t e) {
    return err_is(e, ERR_DOCKER) && (str_find(str_of(e->message), STR("unable to remove filesystem")) >= 0 ||
                                     str_find(str_of(e->message), STR("remove root filesystem")) >= 0);
}

err_t docker_container_remove(struct docker *d, const char *id, bool force, bool anonymous_volumes, uint64_t deadline) {
    TRY(docker_id_check(id));
    err_t e = remove_once(d, id, force, anonymous_volumes, deadline);
    for (int tries = 0; files_in_use(e) && tries < 3; tries++) {
        TRY(fiber_sleep(200));
        e = remove_once(d, id, force, anonymous_volumes, deadline);
    }
    if (err_is(e, ERR_NOT_FOUND))
        return NULL;
    if (err_is(e, ERR_CONFLICT) && str_find(str_of(e->message), STR("already in progress")) >= 0)
        return wait_gone(d, id, deadline);
    return e;
}

/* ---- wait ---- */

struct docker_waiter {
    struct docker *d;
    struct http_response *r;
    char id[256];
};

err_t docker_container_wait_open(struct docker *d, const char *id, enum docker_wait cond, uint64_t deadline,
                                 struct docker_waiter **ret) {
    static const char *const names[] = {"not-running", "next-exit", "removed"};
    TRY(docker_id_check(id));
    struct arena *a = arena_current();
    struct docker_call call = {.method = "POST",
                               .op = "wait for container",
                               .what = id,
                               .stream = true,
                               .path = arena_printf(a, "/containers/%s/wait?condition=%s", id, names[cond])};
    struct http_response *r;
    TRY(docker_call(d, a, &call, deadline, &r));
    struct docker_waiter *w = calloc(1, sizeof *w);
    CHECK(w != NULL);
    w->d = docker_ref(d);
    w->r = r;
    snprintf(w->id, sizeof w->id, "%s", id);
    *ret = w;
    return NULL;
}

err_t docker_container_wait_result(struct docker_waiter *w, uint64_t deadline, int *ret_exit_code) {
    struct docker_call call = {.op = "wait for container", .what = w->id};
    struct arena *a = arena_current();
    struct str body;
    struct json *j = NULL;
    err_t e = http_read_all(w->r, a, KIB(64), deadline, &body);
    if (e)
        return docker_map_error(w->d, &call, e);
    TRY(docker_parse(w->d, a, &call, body, &j));
    const char *message = json_str(json_path(j, "Error", "Message", NULL));
    if (message && *message)
        return docker_detail(w->d, &call, err_new(ERR_DOCKER, "wait for container: %s", message));
    if (!json_is(json_get(j, "StatusCode"), JSON_INT))
        return docker_protocol(w->d, &call, "no exit code in the answer");
    *ret_exit_code = (int)json_get_int(j, "StatusCode", -1);
    return NULL;
}

void docker_waiter_close(struct docker_waiter *w) {
    if (!w)
        return;
    http_close(w->r);
    docker_unref(w->d);
    free(w);
}

err_t docker_container_wait(struct docker *d, const char *id, enum docker_wait cond, uint64_t deadline,
                            int *ret_exit_code) {
    AUTO(docker_waiter) w = NULL;
    TRY(docker_container_wait_open(d, id, cond, deadline, &w));
    return docker_container_wait_result(w, deadline, ret_exit_code);
}

/* ---- passed through ---- */

static err_t get_json(struct docker *d, struct arena *a, const char *op, const char *id, const char *tail,
                      uint64_t deadline, struct json **ret) {
    TRY(docker_id_check(id));
    struct docker_call call = {
        .method = "GET", .op = op, .what = id, .path = arena_printf(a, "/containers/%s/%s", id, tail)};
    TRY(docker_call_json(d, a, &call, deadline, ret));
    return json_is(*ret, JSON_OBJECT) ? NULL : docker_protocol(d, &call, "the answer is not an object");
}

err_t docker_container_top(struct docker *d, struct arena *a, const char *id, uint64_t deadline, struct json **ret) {
    return get_json(d, a, "list processes", id, "top", deadline, ret);
}

err_t docker_container_stats(struct docker *d, struct arena *a, const char *id, uint64_t deadline, struct json **ret) {
    return get_json(d, a, "read statistics", id, "stats?stream=0&one-shot=1", deadline, ret);
}
