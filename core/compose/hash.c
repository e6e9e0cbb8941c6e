#include <stdlib.h>

#include "core/base/sha256.h"
#include "core/compose/stages.h"

/* What may change without a new container: build inputs, how many, when and in which order. */
static const char *const not_identity[] = {"build",    "pull_policy", "pull_refresh_after", "scale",   "depends_on",
                                           "profiles", "env_file",    "label_file",         "develop", "extends",
                                           "attach",   "name"};

static void put_part(struct buf *b, const char *tag, const char *value) {
    buf_putf(b, "%s=%zu:%s\n", tag, strlen(value), value); /* lengths keep parts from running into each other */
}

static char *finish(struct arena *a, struct buf *b) {
    char *hex = sha256_hex(a, b->p, b->n);
    buf_done(b);
    return hex;
}

static int cmp_content(const void *x, const void *y) {
    const struct compose_content *a = x, *b = y;
    int c = strcmp(a->name, b->name);
    return c != 0 ? c : strcmp(a->digest, b->digest);
}

static struct json *without(struct arena *a, const struct json *j) {
    struct json *c = json_clone(a, j);
    for (size_t i = 0; i < ARRAY_LEN(not_identity); i++)
        json_del(c, not_identity[i]);
    struct json *deploy = json_get(c, "deploy");
    json_del(deploy, "replicas");
    struct json *kept = json_object(a); /* extensions say nothing to the engine */
    for (size_t i = 0; c != NULL && c->type == JSON_OBJECT && i < c->obj.n; i++) {
        if (!str_starts(c->obj.v[i].key, STR("x-")))
            json_setn(a, kept, c->obj.v[i].key, c->obj.v[i].value);
    }
    return kept;
}

char *compose_service_hash(struct arena *a, const struct compose_service *s, const char *image_digest,
                           const struct compose_content *contents, size_t n_contents) {
    struct buf b;
    buf_init(&b, 0, MIB(64));
    put_part(&b, "service", json_to_canonical(a, without(a, s->canonical)));
    put_part(&b, "image", image_digest != NULL ? image_digest : "");
    struct compose_content *sorted = arena_new_array(a, struct compose_content, n_contents + 1);
    for (size_t i = 0; i < n_contents; i++)
        sorted[i] = contents[i];
    if (n_contents > 1)
        qsort(sorted, n_contents, sizeof(*sorted), cmp_content);
    for (size_t i = 0; i < n_contents; i++) {
        put_part(&b, "content", sorted[i].name);
        put_part(&b, "digest", sorted[i].digest);
    }
    return finish(a, &b);
}

static char *hash_of(struct arena *a, const char *kind, const struct json *j) {
    struct buf b;
    buf_init(&b, 0, MIB(16));
    put_part(&b, kind, json_to_canonical(a, j));
    return finish(a, &b);
}

char *compose_network_hash(struct arena *a, const struct compose_network *n) {
    return hash_of(a, "network", without(a, n->canonical));
}

char *compose_volume_hash(struct arena *a, const struct compose_volume *v) {
    return hash_of(a, "volume", without(a, v->canonical));
}
