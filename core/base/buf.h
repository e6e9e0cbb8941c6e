/* buf: a growing byte buffer with a ceiling. Heap memory; appends past `max` fail with ERR_TOO_LARGE and leave it unchanged. */
#pragma once
#include "core/base/err.h"
#include "core/base/str.h"

struct buf {
    char *p;
    size_t n, cap, max;
    bool failed; /* sticky: an append was refused */
};
void buf_init(struct buf *b, size_t start, size_t max); /* nothing allocated until the first append when start is 0 */
void buf_done(struct buf *b);
void buf_clear(struct buf *b); /* keeps the memory */
MUST_CHECK err_t buf_append(struct buf *b, const void *p, size_t n);
MUST_CHECK err_t buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
/** Room for at least n bytes at the end; write then buf_added(). NULL when above max. */
char *buf_reserve(struct buf *b, size_t n);
void buf_added(struct buf *b, size_t n);
void buf_consume(struct buf *b, size_t n); /* drop from the front */
struct str buf_str(const struct buf *b);
/** Writer style: failures are remembered in `failed` and reported by buf_check(). */
void buf_put(struct buf *b, const void *p, size_t n);
void buf_puts(struct buf *b, const char *z);
void buf_putc(struct buf *b, char c);
void buf_putf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
MUST_CHECK err_t buf_check(const struct buf *b);
static inline void buf_cleanup_(struct buf *b) { buf_done(b); }
#define AUTO_BUF DF_CLEANUP(buf_cleanup_) struct buf
