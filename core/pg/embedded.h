/* Embedded default: a private PostgreSQL cluster under <data>/postgres, unix socket only, run as an unprivileged user
 * when we are root (PostgreSQL refuses root), started with pg binaries found under /usr/lib/postgresql/<version>/bin
 * (newest) or PG_BINDIR. Survives kill -9 of the server: the next start adopts a running postmaster or restarts after
 * crash recovery. */
#pragma once
#include "core/base/err.h"
struct pg_embedded;
/** YIELDS. initdb on first start, then start or adopt; waits until it answers. *ret_url lives in the object. */
MUST_CHECK err_t pg_embedded_start(const char *data_dir, const char *run_as /* NULL = postgres */, uint64_t deadline,
                                   struct pg_embedded **ret);
const char *pg_embedded_url(const struct pg_embedded *p);
/** YIELDS. Fast shutdown (SIGINT) and wait; frees. */
void pg_embedded_stop(struct pg_embedded *p, uint64_t deadline);
