/* One-shot logs as text. Following is the hub's (hub.c). */
#include "core/docker/container.h"
#include "core/docker/docker_internal.h"
#include "core/docker/logs_internal.h"

const char *docker_logs_path(struct arena *a, const char *id, const struct docker_logs *o, bool follow) {
    struct query q;
    query_init(&q, "/containers/%s/logs", id);
    query_add(&q, a, "stdout", o->no_stdout ? NULL : "1");
    query_add(&q, a, "stderr", o->no_stderr ? NULL : "1");
    query_add(&q, a, "timestamps", o->timestamps ? "1" : NULL);
    query_add(&q, a, "follow", follow ? "1" : NULL);
    if (o->tail)
        query_add_int(&q, a, "tail", o->tail > 0 ? o->tail : 0);
    const int64_t times[] = {o->since_ns, o->until_ns};
    static const char *const keys[] = {"since", "until"};
    for (int i = 0; i < 2; i++)
        if (times[i] > 0)
            query_add(
                &q, a, keys[i],
                arena_printf(a, "%lld.%09lld", (long long)(times[i] / 1000000000), (long long)(times[i] % 1000000000)));
    return query_take(&q, a);
}

bool docker_logs_raw(struct docker *d, const struct http_response *r, bool tty) {
    const char *type = http_header_get(r, "Content-Type");
    if (docker_api(d) >= 42 && type)
        return z_starts(type, "application/vnd.docker.raw-stream");
    return tty;
}

/* Keeps the end: when full, the older half goes. */
struct tail {
    struct buf b;
    size_t max;
    bool cut;
};

static err_t keep(void *arg, enum mux_type type, struct str piece, bool first) {
    struct tail *t = arg;
    (void)type;
    (void)first;
    if (piece.n >= t->max) {
        buf_clear(&t->b);
        piece = str_slice(piece, piece.n - t->max, piece.n);
        t->cut = true;
    } else if (t->b.n + piece.n > t->max) {
        size_t drop = t->b.n + piece.n - t->max;
        if (drop < t->max / 2)
            drop = t->max / 2 < t->b.n ? t->max / 2 : t->b.n;
        buf_consume(&t->b, drop);
        t->cut = true;
    }
    return buf_append(&t->b, piece.p, piece.n);
}

static err_t read_all(struct docker *d, struct arena *a, const struct docker_call *call, bool tty, struct tail *t,
                      uint64_t deadline) {
    AUTO(http_response) r = NULL;
    TRY(docker_call(d, a, call, deadline, &r));
    struct mux m;
    mux_init(&m, docker_logs_raw(d, r, tty));
    for (;;) {
        struct str bytes;
        err_t e = http_read(r, deadline, &bytes);
        if (e)
            return docker_map_error(d, call, e);
        if (!bytes.n)
            return docker_detail(d, call, mux_end(&m));
        TRY(docker_detail(d, call, mux_feed(&m, bytes, keep, t)));
    }
}

err_t docker_container_logs(struct docker *d, struct arena *a, const char *id, const struct docker_logs *opt,
                            uint64_t deadline, struct str *ret, bool *ret_truncated) {
    struct docker_container_info *info;
    TRY(docker_container_inspect(d, a, id, deadline, &info));
    struct docker_call call = {
        .method = "GET", .op = "read logs", .what = id, .path = docker_logs_path(a, id, opt, false), .stream = true};
    struct tail t = {.max = opt->max_bytes ? opt->max_bytes : MIB(4)};
    buf_init(&t.b, 0, t.max);
    AUTO(docker) keep_ref = docker_ref(d);
    err_t e = read_all(d, a, &call, info->tty, &t, deadline);
    if (!e) {
        struct str text = buf_str(&t.b);
        const char *nl = t.cut ? memchr(text.p, '\n', text.n) : NULL;
        *ret = str_dup(a, nl ? str_slice(text, (size_t)(nl - text.p) + 1, text.n) : text); /* begin with a whole line */
        if (ret_truncated)
            *ret_truncated = t.cut;
    }
    buf_done(&t.b);
    return e;
}
