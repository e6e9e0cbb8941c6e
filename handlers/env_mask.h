/* Values of environment variables are a right of their own (container:inspect-env at the application's scope, or the container's).
 * Whatever shows an application, its plan or its containers passes here on its way out: without the right names stay, values
 * become "***", and what changed is still said to have changed. */
#pragma once
#include "server/request.h"

/** May YIELD: for a scope made a moment ago. */
bool env_shown(const struct request *r, const char *scope_id);
/** In place, unless the caller may see the values. The document must be his own copy. */
void env_mask(const struct request *r, const char *scope_id, struct json *doc);
/** The same for JSON text; *text stays as it is or is replaced by one in r->a. */
MUST_CHECK err_t env_mask_text(const struct request *r, const char *scope_id, struct str *text);
/** Who cannot see the values must not send their masks back: INVALID naming the variable. */
MUST_CHECK err_t env_unmasked(const struct json *variables);
