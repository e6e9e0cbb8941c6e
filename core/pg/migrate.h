/* Migrations: numbered files of sql/migrations compiled in, sha256-checked, under one advisory lock; each in a
 * transaction. */
#pragma once
#include "core/pg/pg.h"
/** YIELDS. Applies what is missing. ERR_CONFLICT when an applied file's checksum differs, ERR_PRECONDITION when the
 * database is newer than this binary. *ret_applied = how many ran. */
MUST_CHECK err_t pg_migrate(struct pg *db, int *ret_applied);
/** Highest number compiled in. */
int pg_migrate_target(void);
