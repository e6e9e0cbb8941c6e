/* Token buckets by (class, key): a bounded table (100 000 entries) that forgets the least recently used. Loop thread only.
 * Forgetting an entry refills it: the table is sized so that an attacker needs 100 000 addresses for that. */
#pragma once
#include "core/base/err.h"

enum rate_class {
    RATE_ANONYMOUS, /* per address: 20/s, burst 40 */
    RATE_USER,      /* per principal: 50/s, burst 100 */
    RATE_WRITE,     /* per principal: 10/s, burst 40 */
    RATE_LOGIN,     /* per address: 5/min */
    RATE_HOOK,      /* per hook: 60/min */
    RATE_CLASSES
};
struct rate_conf {
    double per_second, burst; /* per_second 0 = no limit */
};
struct rate_state {
    unsigned limit, remaining;
    unsigned reset_s; /* until one more is allowed (refused) or the bucket is full */
};
/** Once at start; again to change limits (buckets are kept). NULL = the defaults above. */
void ratelimit_setup(const struct rate_conf conf[RATE_CLASSES]);
/** Take one token. ERR_RATE_LIMITED with detail retryAfter; *state is filled in both cases. */
MUST_CHECK err_t ratelimit_take(enum rate_class cls, const char *key, uint64_t now_ms, struct rate_state *state);
size_t ratelimit_entries(void);
void ratelimit_fini(void);
