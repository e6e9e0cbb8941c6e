#include "core/base/err.h"
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/buf.h"
#include "core/base/check.h"

#define MESSAGE_MAX 4096 /* bytes; longer ones are cut, so that a hostile input cannot fill the log */
#define CHAIN_MAX 64     /* causes kept by err_dup and shown by err_chain */
#define RING 16

/* Errors of threads and callbacks without an arena: the last RING of them per thread stay valid. Each slot owns its
 * whole chain, so that recycling one never leaves a pointer into it from another. */
struct ring {
    struct arena *arena[RING];
    const struct err *err[RING];
    unsigned next;
};
static _Thread_local struct ring *ring;
static pthread_key_t ring_key;
static pthread_once_t ring_once = PTHREAD_ONCE_INIT;

static void ring_free(void *p) {
    struct ring *r = p;
    for (size_t i = 0; i < RING; i++)
        arena_unref(r->arena[i]);
    free(r);
    ring = NULL;
}

static void ring_make_key(void) { CHECK(pthread_key_create(&ring_key, ring_free) == 0); }

static bool in_ring(err_t e) {
    for (size_t i = 0; ring != NULL && i < RING; i++)
        if (ring->err[i] == e)
            return true;
    return false;
}

static struct arena *ring_next(unsigned *ret_slot) {
    if (ring == NULL) {
        pthread_once(&ring_once, ring_make_key);
        ring = calloc(1, sizeof(*ring));
        CHECK(ring != NULL && pthread_setspecific(ring_key, ring) == 0);
    }
    unsigned i = ring->next++ % RING;
    *ret_slot = i;
    /* The old arena goes only after the new error is complete: it may be its cause. */
    return arena_new("err", 0);
}

static const struct err_detail *dup_details(struct arena *a, const struct err_detail *d) {
    const struct err_detail *head = NULL, **at = &head;
    for (; d != NULL; d = d->next) {
        struct err_detail *copy = arena_new_obj(a, struct err_detail);
        *copy = (struct err_detail){arena_strdup(a, d->key), arena_strdup(a, d->value), d->raw, NULL};
        *at = copy;
        at = &copy->next;
    }
    return head;
}

err_t err_dup(struct arena *a, err_t e) {
    const struct err *head = NULL, **at = &head;
    for (int depth = 0; e != NULL && depth < CHAIN_MAX; e = e->cause, depth++) {
        struct err *copy = arena_new_obj(a, struct err);
        *copy = (struct err){.code = e->code,
                             .message = arena_strdup(a, e->message),
                             .field = arena_strdup(a, e->field),
                             .details = dup_details(a, e->details),
                             .file = e->file,
                             .line = e->line};
        *at = copy;
        at = &copy->cause;
    }
    return head;
}

/* Where the next error of this thread goes. */
struct place {
    struct arena *a;
    int slot; /* -1: the current arena */
};

static struct place place_begin(void) {
    struct arena *a = arena_current();
    if (a != NULL)
        return (struct place){a, -1};
    unsigned slot;
    a = ring_next(&slot);
    return (struct place){a, (int)slot};
}

static err_t place_end(struct place p, const struct err *e) {
    if (p.slot >= 0) {
        struct arena *old = ring->arena[p.slot];
        ring->arena[p.slot] = p.a;
        ring->err[p.slot] = e;
        arena_unref(old);
    }
    return e;
}

/* A cause that would be recycled under its wrapper is copied; one in an arena is shared. */
static err_t keep_cause(struct place p, err_t cause) {
    return cause != NULL && (p.slot >= 0 || in_ring(cause)) ? err_dup(p.a, cause) : cause;
}

static const char *format(struct arena *a, const char *fmt, va_list ap) {
    char text[MESSAGE_MAX];
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    CHECK(n >= 0);
    if ((size_t)n >= sizeof(text)) {
        /* not in the middle of a character: drop the last one if it has several bytes */
        n = sizeof(text) - 1;
        while (n > 0 && ((unsigned char)text[n - 1] & 0xc0) == 0x80)
            n--;
        if (n > 0 && (unsigned char)text[n - 1] >= 0xc0)
            n--;
    }
    return arena_strndup(a, text, (size_t)n);
}

static err_t make(const char *file, int line, enum err_code code, err_t cause, const char *fmt, va_list ap) {
    CHECK((unsigned)code < ERR_CODE_MAX);
    struct place p = place_begin();
    struct err *e = arena_new_obj(p.a, struct err);
    e->code = code;
    e->file = file;
    e->line = line;
    e->message = format(p.a, fmt, ap);
    e->cause = keep_cause(p, cause);
    if (e->cause != NULL) {
        e->field = e->cause->field;
        e->details = e->cause->details;
    }
    return place_end(p, e);
}

err_t err_new_at(const char *file, int line, enum err_code code, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    err_t e = make(file, line, code, NULL, fmt, ap);
    va_end(ap);
    return e;
}

err_t err_wrap_at(const char *file, int line, err_t cause, const char *fmt, ...) {
    if (cause == NULL)
        return NULL;
    va_list ap;
    va_start(ap, fmt);
    err_t e = make(file, line, cause->code, cause, fmt, ap);
    va_end(ap);
    return e;
}

err_t err_wrap_as_at(const char *file, int line, enum err_code code, err_t cause, const char *fmt, ...) {
    if (cause == NULL)
        return NULL;
    va_list ap;
    va_start(ap, fmt);
    err_t e = make(file, line, code, cause, fmt, ap);
    va_end(ap);
    return e;
}

/* Shallow copy of e in the place, its cause and texts kept alive. */
static struct err *copy_of(struct place p, err_t e) {
    struct err *copy = arena_new_obj(p.a, struct err);
    if (p.slot >= 0 || in_ring(e))
        *copy = *err_dup(p.a, e);
    else
        *copy = *e;
    return copy;
}

static err_t with_detail(err_t e, const char *key, const char *value, bool raw) {
    if (e == NULL)
        return NULL;
    struct place p = place_begin();
    struct err *copy = copy_of(p, e);
    const struct err_detail *old = copy->details, **at = &copy->details;
    copy->details = NULL;
    for (; old != NULL; old = old->next) {
        struct err_detail *d = arena_new_obj(p.a, struct err_detail);
        *d = *old;
        d->next = NULL;
        *at = d;
        at = &d->next;
    }
    struct err_detail *d = arena_new_obj(p.a, struct err_detail);
    *d = (struct err_detail){arena_strdup(p.a, key), arena_strdup(p.a, value), raw, NULL};
    *at = d;
    return place_end(p, copy);
}

err_t err_detail(err_t e, const char *key, const char *value) { return with_detail(e, key, value, false); }
err_t err_detail_json(err_t e, const char *key, const char *json) { return with_detail(e, key, json, true); }

err_t err_field(err_t e, const char *field) {
    if (e == NULL)
        return NULL;
    struct place p = place_begin();
    struct err *copy = copy_of(p, e);
    copy->field = arena_strdup(p.a, field);
    return place_end(p, copy);
}

static const struct {
    const char *symbol, *wire;
    int http;
    bool retryable;
} codes[] = {
#define X(sym, wire, http, retry) [ERR_##sym] = {#sym, wire, http, retry},
    ERR_TABLE(X)
#undef X
};

bool err_is(err_t e, enum err_code code) { return e != NULL && e->code == code; }
bool err_retryable(err_t e) { return e != NULL && (unsigned)e->code < ERR_CODE_MAX && codes[e->code].retryable; }
const char *err_code_wire(enum err_code code) { return codes[(unsigned)code < ERR_CODE_MAX ? code : 0].wire; }
const char *err_code_symbol(enum err_code code) { return codes[(unsigned)code < ERR_CODE_MAX ? code : 0].symbol; }
int err_code_http(enum err_code code) { return codes[(unsigned)code < ERR_CODE_MAX ? code : 0].http; }

const char *err_chain(struct arena *a, err_t e) {
    AUTO_BUF b;
    buf_init(&b, 0, KIB(64));
    for (int depth = 0; e != NULL && depth < CHAIN_MAX; e = e->cause, depth++) {
        if (e->message == NULL || e->message[0] == 0)
            continue;
        if (b.n > 0)
            buf_puts(&b, ": ");
        buf_puts(&b, e->message);
    }
    return arena_strndup(a, b.n > 0 ? b.p : "", b.n);
}
