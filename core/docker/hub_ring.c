/* Lines in chunks with an index in front: appending and dropping the oldest are O(1), memory follows use. */
#include <stdlib.h>
#include "core/base/check.h"
#include "core/docker/hub_internal.h"

#define CHUNK KIB(32)

static struct ring_line *slot(const struct ring *r, size_t i) { return &r->v[(r->head + i) & (r->cap - 1)]; }

struct ring_line *ring_at(const struct ring *r, uint64_t index) {
    CHECK(index >= r->first && index < ring_end(r));
    return slot(r, (size_t)(index - r->first));
}

static void grow(struct ring *r) {
    size_t cap = r->cap ? r->cap * 2 : 64;
    struct ring_line *v = malloc(cap * sizeof *v);
    CHECK(v != NULL);
    for (size_t i = 0; i < r->n; i++)
        v[i] = *slot(r, i);
    free(r->v);
    r->v = v;
    r->cap = cap;
    r->head = 0;
}

static struct ring_chunk *chunk_for(struct ring *r, size_t n) {
    struct ring_chunk *c = r->newest;
    if (c && c->cap - c->used >= n)
        return c;
    size_t want = r->bytes < CHUNK ? KIB(4) : CHUNK; /* quiet logs stay small */
    size_t cap = n > want ? n : want;
    c = malloc(sizeof *c + cap);
    CHECK(c != NULL);
    *c = (struct ring_chunk){.cap = cap};
    if (r->newest)
        r->newest->next = c;
    else
        r->oldest = c;
    r->newest = c;
    r->bytes += sizeof *c + cap;
    return c;
}

void ring_push(struct ring *r, uint64_t seq, const struct log_line *line) {
    if (r->n == r->cap)
        grow(r);
    struct ring_chunk *c = chunk_for(r, line->text.n);
    memcpy(c->data + c->used, line->text.p, line->text.n);
    *slot(r, r->n) = (struct ring_line){.seq = seq,
                                        .ts_ns = line->ts_ns,
                                        .chunk = c,
                                        .off = (uint32_t)c->used,
                                        .len = (uint32_t)line->text.n,
                                        .stream = line->stream,
                                        .cut = line->cut};
    c->used += line->text.n;
    c->lines++;
    r->n++;
}

static void drop_chunk(struct ring *r) {
    struct ring_chunk *c = r->oldest;
    r->oldest = c->next;
    if (!r->oldest)
        r->newest = NULL;
    r->bytes -= sizeof *c + c->cap;
    free(c);
}

void ring_evict(struct ring *r) {
    CHECK(r->n > 0);
    struct ring_line *l = slot(r, 0);
    struct ring_chunk *c = l->chunk;
    r->head = (r->head + 1) & (r->cap - 1);
    r->n--;
    r->first++;
    if (--c->lines == 0 && (c != r->newest || r->n == 0))
        drop_chunk(r);
}

void ring_done(struct ring *r) {
    while (r->oldest)
        drop_chunk(r);
    free(r->v);
    *r = (struct ring){.first = r->first + r->n};
}

uint64_t ring_after(const struct ring *r, uint64_t seq) {
    size_t lo = 0, hi = r->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (slot(r, mid)->seq > seq)
            hi = mid;
        else
            lo = mid + 1;
    }
    return r->first + lo;
}

uint64_t hub_seq(uint64_t previous, int64_t ts_ns) {
    uint64_t by_time = ts_ns > 0 ? (uint64_t)ts_ns / 250 : 0;
    return by_time > previous ? by_time : previous + 1;
}
