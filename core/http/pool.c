#include "core/http/pool.h"
#include <stdlib.h>
#include <string.h>
#include "core/base/check.h"

enum { IDLE_MAX_MS = 60000, SWEEP_MS = 10000, WAITERS_MAX = 1024 };

static char *dup_z(const char *z) {
    char *d = strdup(z);
    CHECK(d != NULL);
    return d;
}

/* Dead by age or by the peer. Oldest first, so that the survivors move down once. */
static void on_sweep(void *arg) {
    struct http_pool *p = MAGIC_CAST(arg, struct http_pool, HTTP_POOL_MAGIC);
    size_t kept = 0;
    for (size_t i = 0; i < p->nidle; i++) {
        struct idle_conn c = p->idle[i];
        if (loop_now() - c.since >= IDLE_MAX_MS || !stream_idle_ok(c.s))
            stream_close(c.s);
        else
            p->idle[kept++] = c;
    }
    p->nidle = kept;
    if (kept == 0) {
        timer_stop(&p->sweep);
        p->sweeping = false;
    }
}

struct http_pool *http_pool_new(const char *name, const char *host, struct http_wire wire, size_t max_idle,
                                size_t max_conns) {
    CHECK(wire.open != NULL && max_conns > 0);
    struct http_pool *p = calloc(1, sizeof(*p));
    CHECK(p != NULL);
    p->magic = HTTP_POOL_MAGIC;
    p->refs = 1;
    p->name = dup_z(name);
    p->host = dup_z(host);
    p->wire = wire;
    p->max_idle = max_idle < max_conns ? max_idle : max_conns;
    p->idle = calloc(p->max_idle + 1, sizeof(p->idle[0]));
    CHECK(p->idle != NULL);
    sem_setup(&p->slots, max_conns, WAITERS_MAX);
    timer_init(&p->sweep, on_sweep, p);
    return p;
}

void http_pool_ref_(struct http_pool *p) { p->refs++; }

void http_pool_unref_(struct http_pool *p) {
    CHECK(p->magic == HTTP_POOL_MAGIC && p->refs > 0);
    if (--p->refs > 0)
        return;
    CHECK(p->nidle == 0);
    sem_teardown(&p->slots);
    timer_close(&p->sweep);
    free(p->idle);
    free(p->name);
    free(p->host);
    p->magic = 0;
    free(p);
}

void http_pool_drop_idle(struct http_pool *p) {
    while (p->nidle > 0)
        stream_close(p->idle[--p->nidle].s);
}

void http_pool_free(struct http_pool *p) {
    if (p == NULL)
        return;
    p->freed = true;
    http_pool_drop_idle(p);
    http_pool_unref_(p);
}

struct stream *http_pool_take_idle_(struct http_pool *p) {
    while (p->nidle > 0) {
        struct idle_conn c = p->idle[--p->nidle];
        if (loop_now() - c.since < IDLE_MAX_MS && stream_idle_ok(c.s))
            return c.s;
        stream_close(c.s);
    }
    return NULL;
}

void http_pool_put_(struct http_pool *p, struct stream *s) {
    if (p->freed || p->nidle >= p->max_idle || !stream_idle_ok(s)) {
        stream_close(s);
        return;
    }
    p->idle[p->nidle++] = (struct idle_conn){s, loop_now()};
    if (!p->sweeping) {
        timer_start(&p->sweep, SWEEP_MS, SWEEP_MS);
        p->sweeping = true;
    }
}
