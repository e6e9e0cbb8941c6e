#include "handlers/upkeep.h"
#include "core/async/fiber.h"
#include "core/obs/log.h"
#include "handlers/app.h"

#define PERIOD_MS MINUTES(10)
enum { EVENTS_KEEP_S = 7 * 86400, JOBS_KEEP_S = 30 * 86400 };

static struct fiber *fiber;

static err_t purge(void) {
    struct pg *db = platform()->db;
    static const enum stmt statements[] = {SQL_API_IDEMPOTENCY_PURGE, SQL_IDENTITY_TICKET_PURGE,
                                           SQL_IDENTITY_THROTTLE_PURGE, SQL_IDENTITY_SESSION_PURGE, SQL_WEBHOOKS_PURGE};
    int64_t n;
    for (size_t i = 0; i < ARRAY_LEN(statements); i++)
        TRY(pg_exec(db, statements[i], PG_NOARGS, NULL));
    TRY(bus_purge(db, EVENTS_KEEP_S, &n));
    return jobs_purge(db, JOBS_KEEP_S, &n);
}

static err_t upkeep(void *arg) {
    (void)arg;
    for (;;) {
        struct arena_mark mark = arena_mark(arena_current());
        if (fiber_sleep(PERIOD_MS) != NULL)
            return NULL;
        err_t e = purge();
        if (e && e->code == ERR_CANCELLED)
            return NULL;
        if (e)
            LOG(WARNING, "upkeep.failed", KV_ERR(e));
        arena_rewind(arena_current(), mark);
    }
}

void upkeep_start(void) {
    if (fiber == NULL)
        fiber = fiber_spawn("upkeep", NULL, upkeep, NULL);
}

void upkeep_stop(void) {
    if (fiber == NULL)
        return;
    fiber_cancel(fiber);
    err_ignore(fiber_join(TAKE(fiber)));
}
