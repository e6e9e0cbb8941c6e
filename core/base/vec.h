/* Growing arrays in an arena. `VEC(struct op) ops = {0}; *vec_push(a, &ops) = (struct op){...};` Old storage stays in the arena. */
#pragma once
#include "core/base/arena.h"
#define VEC(type)                                                                                                      \
    struct {                                                                                                           \
        type *v;                                                                                                       \
        size_t n, cap;                                                                                                 \
    }
void vec_grow_(struct arena *a, void **v, size_t n, size_t *cap, size_t size);
/** Pointer to a new zeroed element at the end. */
#define vec_push(a, vec)                                                                                               \
    __extension__({                                                                                                    \
        if ((vec)->n == (vec)->cap)                                                                                    \
            vec_grow_((a), (void **)&(vec)->v, (vec)->n, &(vec)->cap, sizeof(*(vec)->v));                              \
        &(vec)->v[(vec)->n++];                                                                                         \
    })
#define vec_each(it, vec) (__typeof__(*(vec)->v) *it = (vec)->v; it < (vec)->v + (vec)->n; it++)
