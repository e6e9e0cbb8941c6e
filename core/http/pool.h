/* Connections of one endpoint, for client.c. Private to core/http. */
#pragma once
#include "core/async/loop.h"
#include "core/async/wait.h"
#include "core/http/client.h"

enum { HTTP_POOL_MAGIC = 0x4774F001 };
struct idle_conn {
    struct stream *s;
    uint64_t since;
};
struct http_pool {
    uint32_t magic;
    unsigned refs; /* owner, calls in progress, open responses */
    char *name, *host;
    struct http_wire wire;
    struct semaphore slots;
    struct idle_conn *idle; /* newest last */
    size_t nidle, max_idle;
    struct timer sweep;
    bool sweeping, freed;
};
void http_pool_ref_(struct http_pool *p);
void http_pool_unref_(struct http_pool *p);
/** A kept connection that still looks alive, or NULL. The caller holds a slot. */
struct stream *http_pool_take_idle_(struct http_pool *p);
/** Keep or close. */
void http_pool_put_(struct http_pool *p, struct stream *s);
