/* Classic builder: a tar stream up, a JSON message stream down. */
#include <stdlib.h>
#include "core/base/check.h"
#include "core/docker/docker_internal.h"
#include "core/docker/image.h"
#include "core/docker/progress.h"

#define LOG_LINE KIB(16) /* longer build output lines come in pieces */

struct build {
    struct docker *d;
    const struct docker_call *call;
    const struct docker_build *opt;
    struct arena *scratch;
    struct progress *p;
    struct buf line;
    char image_id[80], step[200];
};

static struct json *object_of(struct arena *a, struct spec_kvs kv) {
    struct json *o = json_object(a);
    for (size_t i = 0; i < kv.n; i++)
        json_set(a, o, kv.v[i].key, json_string(a, kv.v[i].value)); /* NULL: the engine takes its own environment */
    return o;
}

static err_t build_path(struct arena *a, const struct docker_build *o, char **ret) {
    struct query q;
    query_init(&q, "/build");
    for (size_t i = 0; i < o->ntags; i++) {
        err_t e = docker_image_ref_check(str_of(o->tags[i]));
        if (e) {
            buf_done(&q.b);
            return err_field(e, "tags");
        }
        query_add(&q, a, "t", o->tags[i]);
    }
    query_add(&q, a, "dockerfile", o->dockerfile);
    query_add(&q, a, "target", o->target);
    query_add(&q, a, "networkmode", o->network);
    query_add(&q, a, "platform", o->platform);
    query_add(&q, a, "rm", "1");
    query_add(&q, a, "forcerm", "1");
    query_add(&q, a, "nocache", o->no_cache ? "1" : NULL);
    query_add(&q, a, "pull", o->pull ? "1" : NULL);
    if (o->shm_size)
        query_add_int(&q, a, "shmsize", o->shm_size);
    if (o->args.n)
        query_add_json(&q, a, "buildargs", object_of(a, o->args));
    if (o->labels.n)
        query_add_json(&q, a, "labels", object_of(a, o->labels));
    struct json *cache = json_array(a);
    for (size_t i = 0; i < o->ncache_from; i++)
        json_push(a, cache, json_string(a, o->cache_from[i]));
    if (o->ncache_from)
        query_add_json(&q, a, "cachefrom", cache);
    for (size_t i = 0; i < o->nextra_hosts; i++)
        query_add(&q, a, "extrahosts", o->extra_hosts[i]);
    *ret = query_take(&q, a);
    return NULL;
}

static void flush_line(struct build *b) {
    struct str line = buf_str(&b->line);
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    if (str_starts(line, STR("Step ")))
        snprintf(b->step, sizeof b->step, "%.*s", (int)(line.n < 180 ? line.n : 180), line.p);
    if (b->opt->on_log)
        b->opt->on_log(b->opt->arg, line);
    buf_clear(&b->line);
}

static void output(struct build *b, struct str text) {
    while (text.n) {
        const char *nl = memchr(text.p, '\n', text.n);
        size_t n = nl ? (size_t)(nl - text.p) : text.n, room = LOG_LINE - b->line.n;
        bool full = n > room;
        if (full)
            n = room;
        buf_put(&b->line, text.p, n);
        text = str_slice(text, n + (nl && !full), text.n);
        if (nl || full)
            flush_line(b);
    }
}

static err_t build_failed(struct build *b, const char *message) {
    err_t e = docker_detail(b->d, b->call, err_new(ERR_BUILD_FAILED, "the image build failed: %s", message));
    if (b->line.n)
        flush_line(b);
    output(b, str_of(message));
    flush_line(b);
    return b->step[0] ? err_detail(e, "step", b->step) : e;
}

static err_t on_message(void *arg, struct str text) {
    struct build *b = arg;
    struct arena_mark m = arena_mark(b->scratch);
    struct json *msg;
    err_t e = docker_parse(b->d, b->scratch, b->call, text, &msg);
    const char *failed = e ? NULL : progress_message(b->p, msg);
    if (failed) {
        e = build_failed(b, failed);
    } else if (!e) {
        const char *id = json_str(json_path(msg, "aux", "ID", NULL));
        if (id)
            snprintf(b->image_id, sizeof b->image_id, "%s", id);
        const struct json *s = json_get(msg, "stream");
        if (json_is(s, JSON_STRING))
            output(b, s->s);
        else if (json_get(msg, "status"))
            progress_report(b->p, false, b->opt->on_progress, b->opt->arg);
    }
    arena_rewind(b->scratch, m);
    return e;
}

/* The engine reads the whole context before it builds. When it refuses early it answers and closes: sending fails then,
 * but the answer says why. */
static err_t upload(struct build *b, struct arena *a, struct http_response *r, uint64_t deadline) {
    err_t sent = NULL;
    while (!sent) {
        struct str piece;
        TRY(b->opt->source(b->opt->source_arg, deadline, &piece));
        if (!piece.n)
            break;
        sent = http_send_chunk(r, piece.p, piece.n, deadline);
    }
    if (sent && (sent->code == ERR_CANCELLED || sent->code == ERR_TIMEOUT))
        return docker_map_error(b->d, b->call, sent);
    err_t head = docker_call_head(b->d, a, b->call, r, deadline);
    if (sent && head && head->code == ERR_DOCKER_UNAVAILABLE)
        return docker_map_error(b->d, b->call, sent);
    return head;
}

static err_t run(struct build *b, struct arena *a, uint64_t deadline) {
    AUTO(http_response) r = NULL;
    TRY(docker_call(b->d, a, b->call, deadline, &r));
    TRY(upload(b, a, r, deadline));
    TRY(docker_read_items(b->d, b->call, r, false, deadline, on_message, b));
    if (b->line.n)
        flush_line(b);
    if (!b->image_id[0])
        return docker_protocol(b->d, b->call, "the build ended without an image id");
    return NULL;
}

err_t docker_image_build(struct docker *d, struct arena *a, const struct docker_build *opt, uint64_t deadline,
                         const char **ret_image_id) {
    char *path = NULL;
    TRY(build_path(a, opt, &path));
    struct http_header config = {"X-Registry-Config", registry_config_header(a, opt->auths, opt->nauths)};
    struct docker_call call = {.method = "POST",
                               .op = "build image",
                               .what = opt->ntags ? opt->tags[0] : NULL,
                               .path = path,
                               .headers = &config,
                               .nheaders = opt->nauths ? 1 : 0,
                               .content_type = "application/x-tar",
                               .stream = true,
                               .chunked = true};
    struct build b = {.d = d, .call = &call, .opt = opt, .scratch = arena_new("build", 0)};
    b.p = calloc(1, sizeof *b.p);
    CHECK(b.p != NULL);
    buf_init(&b.line, 0, LOG_LINE);
    AUTO(docker) keep = docker_ref(d);
    err_t e = run(&b, a, deadline);
    if (!e)
        *ret_image_id = arena_strdup(a, b.image_id);
    buf_done(&b.line);
    free(b.p);
    arena_unref(b.scratch);
    return e;
}
