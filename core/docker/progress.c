#include "core/docker/progress.h"

static struct progress_layer *layer_of(struct progress *p, const char *id) {
    for (size_t i = 0; i < p->n; i++)
        if (z_eq(p->layers[i].id, id))
            return &p->layers[i];
    if (p->n == PROGRESS_MAX_LAYERS || strlen(id) >= sizeof p->layers[0].id)
        return NULL;
    struct progress_layer *l = &p->layers[p->n++];
    *l = (struct progress_layer){0};
    snprintf(l->id, sizeof l->id, "%s", id);
    return l;
}

static void layer_status(struct progress_layer *l, const char *status, const struct json *detail) {
    int64_t current = json_get_int(detail, "current", -1), total = json_get_int(detail, "total", 0);
    if (z_eq(status, "Downloading") && current >= 0) {
        l->done = current;
        l->total = total > 0 ? total : l->total;
    } else if (z_eq(status, "Download complete") || z_eq(status, "Verifying Checksum")) {
        l->done = l->total;
    } else if (z_eq(status, "Pull complete") || z_eq(status, "Already exists")) {
        l->done = l->total;
        l->finished = true;
    }
}

const char *progress_message(struct progress *p, const struct json *msg) {
    const char *error = json_str(json_path(msg, "errorDetail", "message", NULL));
    if (!error)
        error = json_get_str(msg, "error");
    if (error)
        return error;
    const char *status = json_get_str(msg, "status"), *id = json_get_str(msg, "id");
    if (!status)
        return NULL;
    snprintf(p->status, sizeof p->status, "%s", status);
    snprintf(p->layer, sizeof p->layer, "%s", id && strlen(id) < sizeof p->layer ? id : "");
    if (z_starts(status, "Digest: sha256:") && strlen(status) == 8 + 71)
        snprintf(p->digest, sizeof p->digest, "%s", status + 8);
    /* "Pulling from library/x" carries the tag as its id: not a layer */
    if (id && !z_starts(status, "Pulling from")) {
        struct progress_layer *l = layer_of(p, id);
        if (l)
            layer_status(l, status, json_get(msg, "progressDetail"));
    }
    return NULL;
}

void progress_report(struct progress *p, bool force, docker_progress_fn *fn, void *arg) {
    uint64_t now = clock_mono_ms();
    if (!fn || (!force && now - p->last_ms < 100))
        return;
    p->last_ms = now;
    struct docker_progress r = {.status = p->status, .layer = p->layer[0] ? p->layer : NULL, .layers = (unsigned)p->n};
    for (size_t i = 0; i < p->n; i++) {
        r.done += p->layers[i].done;
        r.total += p->layers[i].total;
        r.layers_done += p->layers[i].finished;
    }
    fn(arg, &r);
}
