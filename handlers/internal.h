/* Private to the foundation of handlers/ (app.c, hooks.c, change.c, guard.c, start.c). */
#pragma once
#include "handlers/app.h"
#include "server/hooks.h"

/** Middleware hooks, set once before listening. */
void hooks_install(void);
err_t app_authorize(struct request *r, const char *permission, const char *read_permission, const char *scope_id);
/** Idempotency-Key (once.c). */
err_t once_begin(struct request *r, const char *key, const char *body_sha256, struct idempotent_reply *ret);
err_t once_end(struct request *r, void *claim, const struct idempotent_reply *reply);
/** Live streams look again whether their rights still hold; called on the loop stack after each change of rights. */
void streams_recheck(void *arg);
