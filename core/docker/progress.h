/* The engine's JSON message stream of pull and build: errors, digests, progress over all layers. Pure. */
#pragma once
#include "core/docker/image.h"

#define PROGRESS_MAX_LAYERS 512

struct progress_layer {
    char id[16];
    int64_t done, total;
    bool finished;
};
struct progress {
    struct progress_layer layers[PROGRESS_MAX_LAYERS];
    size_t n;
    char status[128], layer[16], digest[72];
    uint64_t last_ms;
};
/** One message. Returns the in-band error text or NULL; remembers digest and progress. */
const char *progress_message(struct progress *p, const struct json *msg);
/** Report, at most every 100 ms unless `force`. */
void progress_report(struct progress *p, bool force, docker_progress_fn *fn, void *arg);
