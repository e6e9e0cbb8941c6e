/* Migrations: one after the other under a session lock, each in one transaction with its row of schema_migrations, so
 * that a crash leaves either all or nothing of it. */
#include <stdlib.h>
#include <string.h>
#include "core/obs/log.h"
#include "core/pg/migrate.h"
#include "core/pg/pg_internal.h"

/* Advisory lock (class, object): the class is the project's, the object the purpose. */
#define LOCK_TRY "SELECT pg_try_advisory_lock(4462, 2)"
enum { LOCK_PATIENCE_MS = 120000, LOCK_POLL_MS = 200, SCRIPT_MS = 3600000 };

static const char TABLE[] = "CREATE TABLE IF NOT EXISTS schema_migrations ("
                            "number integer PRIMARY KEY, name varchar(255) NOT NULL, sha256 char(64) NOT NULL, "
                            "applied_at timestamptz NOT NULL DEFAULT now(), duration_ms bigint NOT NULL DEFAULT 0)";

int pg_migrate_target(void) { return pg_migration_count > 0 ? pg_migration_defs[pg_migration_count - 1].number : 0; }

static const struct pg_migration_def *find(int number) {
    for (size_t i = 0; i < pg_migration_count; i++)
        if (pg_migration_defs[i].number == number)
            return &pg_migration_defs[i];
    return NULL;
}

/** Another starter holds it for as long as its migrations take. */
static err_t lock(struct pg_session *s) {
    uint64_t until = deadline_in(LOCK_PATIENCE_MS);
    for (;;) {
        struct pg_result *r = NULL;
        TRY(pg_session_run(s, LOCK_TRY, NULL, deadline_in(SECONDS(10)), &r));
        if (r != NULL && r->rows == 1 && pg_cell_bool(r, 0, 0))
            return NULL;
        if (clock_mono_ms() > until)
            return err_new(ERR_BUSY, "another server is migrating the database and does not finish");
        TRY(fiber_sleep(LOCK_POLL_MS));
    }
}

/** What is there already must be what we would have run. *ret_done = highest number applied. */
static err_t check_applied(struct pg_session *s, int *ret_done) {
    struct pg_result *r = NULL;
    TRY(pg_session_run(s, "SELECT number, name, sha256 FROM schema_migrations ORDER BY number", NULL,
                       deadline_in(SECONDS(10)), &r));
    int done = 0;
    for (size_t i = 0; r != NULL && i < r->rows; i++) {
        int number = (int)pg_cell_int(r, i, 0, 0);
        const struct pg_migration_def *def = find(number);
        if (def == NULL)
            return err_new(ERR_PRECONDITION,
                           "the database is at migration %d, this program knows up to %d: use a newer program", number,
                           pg_migrate_target());
        if (!z_eq(pg_cell(r, i, 2), def->sha256))
            return err_new(ERR_CONFLICT, "migration %04d_%s was applied with other content than this program has",
                           number, def->name);
        if (number != done + 1 && i > 0)
            return err_new(ERR_CONFLICT, "migration %d is missing in the database", done + 1);
        done = number;
    }
    *ret_done = done;
    return NULL;
}

static err_t apply(struct pg_session *s, const struct pg_migration_def *def) {
    uint64_t begin = clock_mono_ms();
    err_t e = pg_session_run(s, "BEGIN", NULL, deadline_in(SECONDS(10)), NULL);
    if (e == NULL)
        e = pg_session_run(s, def->text, NULL, deadline_in(SCRIPT_MS), NULL);
    if (e == NULL)
        e = pg_session_run(s,
                           "INSERT INTO schema_migrations (number, name, sha256, duration_ms) "
                           "VALUES ($1::integer, $2, $3, $4::bigint)",
                           PG_ARGS(pg_int(def->number), pg_text(def->name), pg_text(def->sha256),
                                   pg_int((int64_t)(clock_mono_ms() - begin))),
                           deadline_in(SECONDS(10)), NULL);
    if (e == NULL)
        e = pg_session_run(s, "COMMIT", NULL, deadline_in(SECONDS(60)), NULL);
    if (e != NULL)
        return err_wrap(e, "migration %04d_%s", def->number, def->name);
    LOG(INFO, "db.migrated", KV_INT("number", def->number), KV_STR("name", def->name),
        KV_INT("ms", clock_mono_ms() - begin));
    return NULL;
}

err_t pg_migrate(struct pg *db, int *ret_applied) {
    struct pg_link_conf conf = {.url = db->pool->url, .statement_timeout_ms = 0, .role = "migrate"};
    AUTO(pg_session) s = NULL;
    struct pg_session *opened;
    TRY(pg_session_open(&conf, deadline_in(SECONDS(10)), &opened));
    s = opened;
    TRY(lock(s));
    TRY(pg_session_run(s, TABLE, NULL, deadline_in(SECONDS(10)), NULL));
    int done, applied = 0;
    TRY(check_applied(s, &done));
    for (size_t i = 0; i < pg_migration_count; i++) {
        if (pg_migration_defs[i].number <= done)
            continue;
        TRY(apply(s, &pg_migration_defs[i]));
        applied++;
    }
    *ret_applied = applied;
    return NULL;
}
