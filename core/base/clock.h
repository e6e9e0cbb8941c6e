/* Time: monotonic for deadlines, wall for what people read. Seam: clock_set_ops for tests. All UTC, no locale, no tz files. */
#pragma once
#include <stdint.h>
#include "core/base/arena.h"
#include "core/base/err.h"
#include "core/base/str.h"

struct clock_ops {
    uint64_t (*mono_ms)(void);
    int64_t (*wall_us)(void);
};
void clock_set_ops(const struct clock_ops *ops); /* NULL restores the real clock */
uint64_t clock_mono_ms(void);
uint64_t clock_mono_us(void);
int64_t clock_wall_ms(void);
int64_t clock_wall_us(void);
#define TIME_RFC3339_LEN 25
/** "2026-01-02T03:04:05.678Z" */
char *time_rfc3339(char out[TIME_RFC3339_LEN], int64_t wall_ms);
/** RFC 3339 with any fraction and offset -> microseconds. */
MUST_CHECK err_t time_parse_rfc3339(struct str s, int64_t *ret_us);
/** Go/compose duration "1h2m3.5s", "300ms" -> nanoseconds. */
MUST_CHECK err_t duration_parse(struct str s, int64_t *ret_ns);
char *duration_format(struct arena *a, int64_t ns); /* Go form "1m0s" */

/** Absolute monotonic deadlines in ms. */
#define DEADLINE_NONE UINT64_MAX
static inline uint64_t deadline_in(uint64_t ms) { return clock_mono_ms() + ms; }
static inline uint64_t deadline_min(uint64_t a, uint64_t b) { return a < b ? a : b; }
#define SECONDS(n) ((uint64_t)(n)*1000)
#define MINUTES(n) ((uint64_t)(n)*60000)
