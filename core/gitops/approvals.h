/* Approvals: what of the guard's rights people have used for an application (table application_approvals). */
#pragma once
#include "core/docker/guard.h"
#include "core/jobs/jobs.h"
#include "core/pg/pg.h"

struct gitops;
/** YIELDS. Sets ret->grants to what may be used again: approved by somebody who still has the right, with an API
 * token that is still valid and still lends it (or with none). */
MUST_CHECK err_t approvals_load(struct gitops *g, struct arena *a, const char *app_id, struct guard_rights *ret);
/** YIELDS. In a transaction: a deployment asked for by this person, with this token, succeeded and used these. */
MUST_CHECK err_t approvals_add(struct pg *tx, struct arena *a, const char *app_id, const struct job_origin *by,
                               const struct guard_uses *uses);
