/* Health: live (the loop turns), ready (every critical component is up and no drain is on), detailed (each component). */
#pragma once
#include <stdbool.h>
#include "core/base/err.h"

struct health_report {
    bool up;
    const char *words;  /* why not, for anybody: no names, no addresses; NULL = none */
    const char *detail; /* static or arena_current(); no secrets, no addresses with credentials */
    uint64_t latency_us;
};
/** Cheap and synchronous: state the module already knows (a pool's readiness), never a query. */
typedef struct health_report health_probe(void *arg);
/** `critical`: not ready while it is down. Name is static. At most 32. */
void health_register(const char *name, bool critical, health_probe *probe, void *arg);
bool health_ready(void);
void health_reset(void);
/** Route rows: /health, /health/live, /health/ready, /health/detailed. */
void health_routes(void);
