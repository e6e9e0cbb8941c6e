#include "server/ratelimit.h"
#include <stdlib.h>
#include "core/base/check.h"
#include "core/base/str.h"

enum { MAX_ENTRIES = 100000, SLOTS = 1 << 17, NONE = UINT32_MAX };

struct bucket {
    uint64_t hash, at_ms;
    float tokens;
    uint32_t chain, newer, older; /* indexes */
};

static const struct rate_conf DEFAULTS[RATE_CLASSES] = {
    [RATE_ANONYMOUS] = {20, 40},  [RATE_USER] = {50, 100}, [RATE_WRITE] = {10, 40},
    [RATE_LOGIN] = {5.0 / 60, 5}, [RATE_HOOK] = {1, 60},
};

static struct {
    struct rate_conf conf[RATE_CLASSES];
    struct bucket *v;
    uint32_t *slots;
    uint32_t n, newest, oldest;
} R;

void ratelimit_setup(const struct rate_conf conf[RATE_CLASSES]) {
    memcpy(R.conf, conf ? conf : DEFAULTS, sizeof(R.conf));
    if (R.v != NULL)
        return;
    R.v = calloc(MAX_ENTRIES, sizeof(*R.v)); /* pages are touched as entries come */
    R.slots = malloc(SLOTS * sizeof(*R.slots));
    CHECK(R.v != NULL && R.slots != NULL);
    memset(R.slots, 0xff, SLOTS * sizeof(*R.slots));
    R.n = 0;
    R.newest = R.oldest = NONE;
}

void ratelimit_fini(void) {
    free(R.v);
    free(R.slots);
    R.v = NULL;
    R.slots = NULL;
    R.n = 0;
}

size_t ratelimit_entries(void) { return R.n; }

static void lru_unlink(uint32_t i) {
    struct bucket *b = &R.v[i];
    if (b->newer != NONE)
        R.v[b->newer].older = b->older;
    else
        R.newest = b->older;
    if (b->older != NONE)
        R.v[b->older].newer = b->newer;
    else
        R.oldest = b->newer;
}

static void lru_push(uint32_t i) {
    R.v[i].newer = NONE;
    R.v[i].older = R.newest;
    if (R.newest != NONE)
        R.v[R.newest].newer = i;
    else
        R.oldest = i;
    R.newest = i;
}

static void chain_remove(uint32_t i) {
    uint32_t *at = &R.slots[R.v[i].hash % SLOTS];
    while (*at != i)
        at = &R.v[*at].chain;
    *at = R.v[i].chain;
}

static struct bucket *bucket_get(uint64_t hash, float full, uint64_t now_ms) {
    uint32_t *slot = &R.slots[hash % SLOTS];
    for (uint32_t i = *slot; i != NONE; i = R.v[i].chain)
        if (R.v[i].hash == hash) {
            lru_unlink(i);
            lru_push(i);
            return &R.v[i];
        }
    uint32_t i = R.n;
    if (R.n < MAX_ENTRIES) {
        R.n++;
    } else {
        i = R.oldest;
        lru_unlink(i);
        chain_remove(i);
    }
    R.v[i] = (struct bucket){.hash = hash, .at_ms = now_ms, .tokens = full, .chain = *slot};
    *slot = i;
    lru_push(i);
    return &R.v[i];
}

/* Keys come from clients; the hash is seeded per process, so two keys cannot be made to share a bucket on purpose. */
static uint64_t key_hash(enum rate_class cls, const char *key) {
    char text[160];
    size_t n = strnlen(key, sizeof(text) - 1);
    text[0] = (char)('a' + (int)cls);
    memcpy(text + 1, key, n);
    return hash_bytes(text, n + 1);
}

err_t ratelimit_take(enum rate_class cls, const char *key, uint64_t now_ms, struct rate_state *state) {
    CHECK(R.v != NULL && cls < RATE_CLASSES);
    const struct rate_conf *c = &R.conf[cls];
    *state = (struct rate_state){0};
    if (c->per_second <= 0)
        return NULL;
    struct bucket *b = bucket_get(key_hash(cls, key), (float)c->burst, now_ms);
    if (now_ms > b->at_ms) {
        double tokens = b->tokens + (double)(now_ms - b->at_ms) / 1000 * c->per_second;
        b->tokens = (float)(tokens > c->burst ? c->burst : tokens);
        b->at_ms = now_ms;
    }
    state->limit = (unsigned)c->burst;
    if (b->tokens < 1) {
        double wait = (1 - b->tokens) / c->per_second;
        state->reset_s = (unsigned)wait + 1;
        err_t e = err_new(ERR_RATE_LIMITED, "too many requests; try again in %u s", state->reset_s);
        char text[16];
        (void)snprintf(text, sizeof(text), "%u", state->reset_s);
        return err_detail_json(e, "retryAfter", text);
    }
    b->tokens -= 1;
    state->remaining = (unsigned)b->tokens;
    state->reset_s = (unsigned)((c->burst - b->tokens) / c->per_second) + 1;
    return NULL;
}
