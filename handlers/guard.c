#include "handlers/guard.h"
#include <stdlib.h>
#include "core/base/check.h"
#include "core/base/list.h"
#include "handlers/internal.h"
#include "handlers/streams.h"
#include "server/ws.h"

struct stream_guard {
    struct list link;
    struct arena *a;
    struct principal *who;
    enum permission permission;
    const char *scope_id;
    void (*deny)(void *arg, int code, const char *reason);
    void *arg;
    bool told;
};
static struct list guards = {&guards, &guards};

struct stream_guard *stream_guard_new(const struct request *r, enum permission p, const char *scope_id,
                                      void (*deny)(void *arg, int code, const char *reason), void *arg) {
    struct arena *a = arena_new("stream-guard", 0);
    struct stream_guard *g = arena_new_obj(a, struct stream_guard);
    *g = (struct stream_guard){.a = a,
                               .who = principal_dup(a, r->who),
                               .permission = p,
                               .scope_id = arena_strdup(a, scope_id),
                               .deny = deny,
                               .arg = arg};
    list_add_tail(&guards, &g->link);
    return g;
}

void stream_guard_free(struct stream_guard *g) {
    if (g == NULL)
        return;
    list_del(&g->link);
    arena_unref(g->a);
}

bool stream_guard_allowed(const struct stream_guard *g, enum permission p, const char *scope_id) {
    return rbac_allowed(platform()->rbac, g->who, p, scope_id ? scope_id : ROOT_SCOPE);
}

static void check_socket(void *arg, struct ws *ws, void *ctx) {
    (void)arg;
    (void)ctx;
    if (!identity_still_valid(platform()->identity, ws_principal(ws)))
        ws_close(ws, 4401, "the session has ended");
}

void streams_recheck(void *arg) {
    (void)arg;
    if (!platform()->ready)
        return;
    ws_each(check_socket, NULL);
    feeds_recheck();
    for
        list_each_safe(it, tmp, &guards) {
            struct stream_guard *g = list_entry(it, struct stream_guard, link);
            bool alive = identity_still_valid(platform()->identity, g->who);
            if (g->told || (alive && stream_guard_allowed(g, g->permission, g->scope_id)))
                continue;
            g->told = true;
            g->deny(g->arg, alive ? 4403 : 4401, alive ? "the permission was taken away" : "the session has ended");
        }
}
