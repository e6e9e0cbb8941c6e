/* Images: inspect, list, tag, remove, pull. Builds are in build.c. */
#include <stdlib.h>
#include "core/base/check.h"
#include "core/docker/docker_internal.h"
#include "core/docker/image.h"
#include "core/docker/progress.h"

err_t docker_image_from_row(struct arena *a, struct json *row, struct docker_image *ret) {
    (void)a;
    struct docker_image i = {.id = json_get_str(row, "Id"), .raw = row};
    if (!i.id)
        return err_new(ERR_DOCKER_PROTOCOL, "an image of the engine has no Id");
    i.tags = json_get(row, "RepoTags");
    i.digests = json_get(row, "RepoDigests");
    i.config = json_get(row, "Config");
    i.labels = i.config ? json_get(i.config, "Labels") : json_get(row, "Labels");
    i.volumes = json_get(i.config, "Volumes");
    i.ports = json_get(i.config, "ExposedPorts");
    i.os = json_str_or(json_get(row, "Os"), "");
    i.arch = json_str_or(json_get(row, "Architecture"), "");
    i.created_at = json_get_str(row, "Created");
    i.created = json_get_int(row, "Created", 0);
    i.size = json_get_int(row, "Size", 0);
    *ret = i;
    return NULL;
}

/* An id, a short id, or a reference. */
static err_t ref_check(const char *ref) {
    struct str s = str_of(ref ? ref : "");
    if (docker_ref_check(s) == NULL)
        return NULL;
    return err_field(docker_image_ref_check(s), "image");
}

err_t docker_image_inspect(struct docker *d, struct arena *a, const char *ref, uint64_t deadline,
                           struct docker_image **ret) {
    TRY(ref_check(ref));
    struct docker_call call = {.method = "GET",
                               .op = "inspect image",
                               .what = ref,
                               .path = arena_printf(a, "/images/%s/json", docker_path_image(a, ref))};
    struct json *row;
    TRY(docker_call_json(d, a, &call, deadline, &row));
    struct docker_image *i = arena_new_obj(a, struct docker_image);
    TRY(docker_detail(d, &call, docker_image_from_row(a, row, i)));
    *ret = i;
    return NULL;
}

err_t docker_image_list(struct docker *d, struct arena *a, uint64_t deadline, struct docker_image **ret,
                        size_t *ret_n) {
    struct docker_call call = {.method = "GET", .op = "list images", .path = "/images/json"};
    struct json *rows;
    TRY(docker_call_json(d, a, &call, deadline, &rows));
    struct docker_image *v = arena_new_array(a, struct docker_image, json_len(rows) + 1);
    for (size_t i = 0; i < json_len(rows); i++)
        TRY(docker_detail(d, &call, docker_image_from_row(a, json_at(rows, i), &v[i])));
    *ret = v;
    *ret_n = json_len(rows);
    return NULL;
}

err_t docker_image_each(struct docker *d, uint64_t deadline, err_t (*fn)(void *arg, struct json *row), void *arg) {
    struct docker_call call = {.method = "GET", .op = "list images", .path = "/images/json"};
    return docker_call_each(d, &call, deadline, fn, arg);
}

err_t docker_image_tag(struct docker *d, const char *ref, const char *repo, const char *tag, uint64_t deadline) {
    struct arena *a = arena_current();
    TRY(ref_check(ref));
    TRY(err_field(docker_image_ref_check(str_of(arena_printf(a, "%s:%s", repo, tag ? tag : "latest"))), "tag"));
    struct query q;
    query_init(&q, "/images/%s/tag", docker_path_image(a, ref));
    query_add(&q, a, "repo", repo);
    query_add(&q, a, "tag", tag);
    struct docker_call call = {.method = "POST", .op = "tag image", .what = ref, .path = query_take(&q, a)};
    return docker_call_done(d, &call, deadline);
}

err_t docker_image_remove(struct docker *d, const char *ref, bool force, uint64_t deadline) {
    struct arena *a = arena_current();
    TRY(ref_check(ref));
    struct docker_call call = {.method = "DELETE",
                               .op = "remove image",
                               .what = ref,
                               .path = arena_printf(a, "/images/%s?force=%d", docker_path_image(a, ref), force)};
    err_t e = docker_call_done(d, &call, deadline);
    return err_is(e, ERR_NOT_FOUND) ? NULL : e;
}

/* ---- pull ---- */

struct pull {
    struct docker *d;
    const struct docker_call *call;
    const struct docker_pull *opt;
    struct arena *scratch;
    struct progress *p;
};

static bool says(const char *text, const char *what) { return str_find(str_of(text), str_of(what)) >= 0; }

static err_t pull_failed(struct docker *d, const struct docker_call *call, const char *message) {
    bool missing = says(message, "not found") || says(message, "manifest unknown") || says(message, "does not exist");
    enum err_code code = missing ? ERR_NOT_FOUND : ERR_REGISTRY;
    return docker_detail(d, call, err_new(code, "pull %s: %s", call->what, message));
}

static err_t on_pull_message(void *arg, struct str text) {
    struct pull *x = arg;
    struct arena_mark m = arena_mark(x->scratch);
    struct json *msg;
    err_t e = docker_parse(x->d, x->scratch, x->call, text, &msg);
    const char *failed = e ? NULL : progress_message(x->p, msg);
    if (failed)
        e = pull_failed(x->d, x->call, failed);
    else if (!e)
        progress_report(x->p, false, x->opt->on_progress, x->opt->arg);
    arena_rewind(x->scratch, m);
    return e;
}

static err_t pull_run(struct pull *x, struct arena *a, uint64_t deadline) {
    AUTO(http_response) r = NULL;
    err_t e = docker_call(x->d, a, x->call, deadline, &r);
    if (err_is(e, ERR_DOCKER)) /* the registry's refusal as an HTTP status */
        return err_wrap_as(ERR_REGISTRY, e, "pull %s: %s", x->call->what, e->message);
    if (e)
        return e;
    TRY(docker_read_items(x->d, x->call, r, false, deadline, on_pull_message, x));
    progress_report(x->p, true, x->opt->on_progress, x->opt->arg);
    return NULL;
}

err_t docker_image_pull(struct docker *d, struct arena *a, const struct docker_pull *opt, uint64_t deadline,
                        const char **ret_digest) {
    struct image_ref ref;
    TRY(err_field(image_ref_parse(a, opt->ref, &ref), "image"));
    struct query q;
    query_init(&q, "/images/create");
    query_add(&q, a, "fromImage", ref.name);
    query_add(&q, a, "tag", ref.digest ? ref.digest : ref.tag ? ref.tag : "latest");
    query_add(&q, a, "platform", opt->platform);
    struct http_header auth = {"X-Registry-Auth", registry_auth_header(a, opt->auth)};
    struct docker_call call = {.method = "POST",
                               .op = "pull image",
                               .what = opt->ref,
                               .path = query_take(&q, a),
                               .headers = &auth,
                               .nheaders = 1,
                               .stream = true};
    struct pull x = {.d = d, .call = &call, .opt = opt, .scratch = arena_new("pull", 0)};
    x.p = calloc(1, sizeof *x.p);
    CHECK(x.p != NULL);
    AUTO(docker) keep = docker_ref(d);
    err_t e = pull_run(&x, a, deadline);
    if (!e && ret_digest)
        *ret_digest = x.p->digest[0] ? arena_strdup(a, x.p->digest) : NULL;
    free(x.p);
    arena_unref(x.scratch);
    return e;
}

err_t docker_image_remote_digest(struct docker *d, struct arena *a, const char *ref, const struct registry_auth *auth,
                                 uint64_t deadline, const char **ret) {
    TRY(err_field(docker_image_ref_check(str_of(ref)), "image"));
    struct http_header header = {"X-Registry-Auth", registry_auth_header(a, auth)};
    struct docker_call call = {.method = "GET",
                               .op = "look up image",
                               .what = ref,
                               .path = arena_printf(a, "/distribution/%s/json", docker_path_image(a, ref)),
                               .headers = &header,
                               .nheaders = 1};
    struct json *j;
    err_t e = docker_call_json(d, a, &call, deadline, &j);
    if (err_is(e, ERR_DOCKER))
        return err_wrap_as(ERR_REGISTRY, e, "%s", e->message);
    TRY(e);
    const char *digest = json_str(json_path(j, "Descriptor", "digest", NULL));
    if (!digest)
        return docker_protocol(d, &call, "no digest in the answer");
    *ret = digest;
    return NULL;
}
