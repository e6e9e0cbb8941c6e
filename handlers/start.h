/* Birth and death of everything behind the handlers. Used by server/main.c. */
#pragma once
#include "core/conf/conf.h"

struct handlers_conf {
    const struct conf *conf; /* must stay valid until handlers_start returned; later conf_now() is used */
    const char *version, *commit;
};
/** Loop stack, before the loop runs: opens the keyring (ERR_CONFIG: exit with CONF_EXIT), sets hooks, registers routes, schemas
 * and health probes, and starts the boot fiber. That one brings up PostgreSQL, migrations, identity, RBAC and the rest, and keeps
 * trying for as long as the database is away: routes answer 503 meanwhile. What no waiting can cure (newer schema, wrong root
 * key) stops the loop; handlers_fatal() tells. */
MUST_CHECK err_t handlers_start(const struct handlers_conf *conf);
/** The API's document in JSON, for `dockflow --openapi`: nothing is started and nobody is asked; the process ends after it.
 * Before: conf_publish. */
void handlers_openapi(struct buf *out);
/** Why the boot gave up; NULL = it did not. */
err_t handlers_fatal(void);
/** YIELDS. Jobs and watchers hand over their work: at SIGTERM, while requests are still answered. */
void handlers_drain(uint64_t deadline);
/** YIELDS. After handlers_drain: stop everything and close the database (the embedded one is stopped). */
void handlers_stop(uint64_t deadline);
/** YIELDS. `dockflow migrate`: bring the database up to this program's schema; nothing else is started. */
MUST_CHECK err_t handlers_migrate(const struct conf *conf, int *ret_applied);
