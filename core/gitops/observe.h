/* What runs: from the engine right before a deployment, or from the fleet index for the cheap comparison. */
#pragma once
#include "core/docker/docker.h"
#include "core/fleet/fleet.h"
#include "core/gitops/plan.h"

/** YIELDS. Five list calls and one inspect per image. */
MUST_CHECK err_t observe_engine(struct arena *a, struct docker *d, const struct desired *want, uint64_t deadline,
                                struct observed **ret);
/** From the index, without a call to the engine; ERR_DOCKER_UNAVAILABLE when the index is not synced. Does not yield. */
MUST_CHECK err_t observe_fleet(struct arena *a, struct fleet *f, const char *node_id, const struct desired *want,
                               struct observed **ret);
