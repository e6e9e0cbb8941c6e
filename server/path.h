/* Request targets: the one canonical spelling of a path, and query strings. Pure functions. */
#pragma once
#include "core/base/err.h"
#include "core/base/str.h"

enum { PATH_MAX_BYTES = 8192, QUERY_MAX_PARAMS = 64, QUERY_MAX_VALUE = 4096 };

/** Decode a path, accepting only its canonical spelling: starts with '/', no empty, "." or ".." segment, no trailing slash,
 * no escape of an unreserved byte, no escaped or raw '/', '\', ';', NUL or control byte inside a segment, UTF-8.
 * *ret is NUL-terminated in `a`. ERR_BAD_PATH. */
MUST_CHECK err_t path_canonical(struct arena *a, struct str raw, struct str *ret);

struct query_param {
    const char *name, *value; /* decoded, NUL-terminated */
};
/** application/x-www-form-urlencoded. ERR_BAD_ENCODING (escape, UTF-8, control byte), ERR_BAD_REQUEST (a name twice, too many,
 * too long). */
MUST_CHECK err_t query_parse(struct arena *a, struct str raw, struct query_param **ret, size_t *ret_n);
