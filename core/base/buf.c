#include "core/base/buf.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/check.h"

void buf_init(struct buf *b, size_t start, size_t max) {
    CHECK(max > 0);
    *b = (struct buf){.max = max};
    if (start > max)
        start = max;
    if (start > 0) {
        b->p = malloc(start);
        CHECK(b->p != NULL);
        b->cap = start;
    }
}

void buf_done(struct buf *b) {
    free(b->p);
    b->p = NULL;
    b->n = b->cap = 0;
}

void buf_clear(struct buf *b) {
    b->n = 0;
    b->failed = false;
}

/* Doubling, never past the ceiling. */
static bool grow(struct buf *b, size_t n) {
    if (n > b->max || b->n > b->max - n) {
        b->failed = true;
        return false;
    }
    size_t need = b->n + n;
    if (need <= b->cap)
        return true;
    size_t cap = b->cap < 64 ? 64 : b->cap > b->max / 2 ? b->max : b->cap * 2;
    if (cap < need)
        cap = need;
    if (cap > b->max)
        cap = b->max;
    char *p = realloc(b->p, cap);
    CHECK(p != NULL);
    b->p = p;
    b->cap = cap;
    return true;
}

static err_t too_large(const struct buf *b) {
    return err_new(ERR_TOO_LARGE, "more than the %zu bytes allowed here", b->max);
}

err_t buf_append(struct buf *b, const void *p, size_t n) {
    if (!grow(b, n))
        return too_large(b);
    if (n > 0)
        memcpy(b->p + b->n, p, n);
    b->n += n;
    return NULL;
}

static bool vprint(struct buf *b, const char *fmt, va_list ap) {
    va_list again;
    va_copy(again, ap);
    size_t room = b->cap - b->n;
    int n = vsnprintf(room > 0 ? b->p + b->n : NULL, room, fmt, ap);
    CHECK(n >= 0);
    bool ok = true;
    if ((size_t)n >= room) { /* no space for the text and vsnprintf's NUL: format aside when only the NUL is too much */
        ok = grow(b, (size_t)n);
        if (ok && b->cap - b->n > (size_t)n) {
            CHECK(vsnprintf(b->p + b->n, b->cap - b->n, fmt, again) == n);
        } else if (ok) {
            char *tmp = malloc((size_t)n + 1);
            CHECK(tmp != NULL && vsnprintf(tmp, (size_t)n + 1, fmt, again) == n);
            if (n > 0)
                memcpy(b->p + b->n, tmp, (size_t)n);
            free(tmp);
        }
    }
    va_end(again);
    if (ok)
        b->n += (size_t)n;
    return ok;
}

err_t buf_printf(struct buf *b, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    bool ok = vprint(b, fmt, ap);
    va_end(ap);
    return ok ? NULL : too_large(b);
}

char *buf_reserve(struct buf *b, size_t n) {
    if (!grow(b, n > 0 ? n : 1))
        return NULL;
    return b->p + b->n;
}

void buf_added(struct buf *b, size_t n) {
    CHECK(n <= b->cap - b->n);
    b->n += n;
}

void buf_consume(struct buf *b, size_t n) {
    CHECK(n <= b->n);
    b->n -= n;
    if (b->n > 0 && n > 0)
        memmove(b->p, b->p + n, b->n);
}

struct str buf_str(const struct buf *b) {
    return str_n(b->p != NULL ? b->p : "", b->n);
}

void buf_put(struct buf *b, const void *p, size_t n) {
    if (b->failed || n == 0)
        return;
    if (n > b->cap - b->n && !grow(b, n))
        return;
    memcpy(b->p + b->n, p, n);
    b->n += n;
}

void buf_puts(struct buf *b, const char *z) { buf_put(b, z, strlen(z)); }

void buf_putc(struct buf *b, char c) {
    if (b->failed || (b->n == b->cap && !grow(b, 1)))
        return;
    b->p[b->n++] = c;
}

void buf_putf(struct buf *b, const char *fmt, ...) {
    if (b->failed)
        return;
    va_list ap;
    va_start(ap, fmt);
    (void)vprint(b, fmt, ap);
    va_end(ap);
}

err_t buf_check(const struct buf *b) { return b->failed ? too_large(b) : NULL; }
