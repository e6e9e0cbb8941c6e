#include "core/base/vec.h"
#include <string.h>
#include "core/base/check.h"

void vec_grow_(struct arena *a, void **v, size_t n, size_t *cap, size_t size) {
    size_t want, bytes;
    CHECK(!__builtin_mul_overflow(*cap, (size_t)2, &want));
    if (want < 8)
        want = 8;
    CHECK(!__builtin_mul_overflow(want, size, &bytes));
    void *grown = arena_zalloc(a, bytes);
    if (n > 0)
        memcpy(grown, *v, n * size);
    *v = grown;
    *cap = want;
}
