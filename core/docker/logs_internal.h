/* Log requests, shared by the one-shot call and the hub. */
#pragma once
#include "core/docker/container.h"

/** Path and query; id checked by the caller. */
const char *docker_logs_path(struct arena *a, const char *id, const struct docker_logs *o, bool follow);
/** Is the body raw (TTY) or framed? Engines below 1.42 name both the same: the container's Tty decides there. */
bool docker_logs_raw(struct docker *d, const struct http_response *r, bool tty);
