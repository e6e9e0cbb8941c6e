/* Only clang-tidy reads this, before each of our files (tests/lint/tidy.py). The analyzer looks into one file at a time and cannot
 * know that a made error is never NULL; without that it takes every result of a failed call, which is written only on success,
 * for used although unwritten. Expressions, not a function: it does not look into calls below a certain depth. */
#pragma once
#include "core/base/err.h"

#define NEVER_NULL(expr)                                                                                               \
    ({                                                                                                                 \
        err_t made_ = (expr);                                                                                          \
        if (made_ == NULL)                                                                                             \
            __builtin_unreachable();                                                                                   \
        made_;                                                                                                         \
    })

#undef err_new
#define err_new(code, ...) NEVER_NULL(err_new_at(__FILE__, __LINE__, (code), __VA_ARGS__))
#undef err_wrap
#define err_wrap(cause, ...) NEVER_NULL(err_wrap_at(__FILE__, __LINE__, (cause), __VA_ARGS__))
#undef err_wrap_as
#define err_wrap_as(code, cause, ...) NEVER_NULL(err_wrap_as_at(__FILE__, __LINE__, (code), (cause), __VA_ARGS__))
#define err_detail(...) NEVER_NULL(err_detail(__VA_ARGS__))
#define err_detail_json(...) NEVER_NULL(err_detail_json(__VA_ARGS__))
#define err_field(...) NEVER_NULL(err_field(__VA_ARGS__))

#include "core/compose/tree.h" /* after them: y_hint() is inline */
#undef y_error
#define y_error(code, at, path, ...) NEVER_NULL(y_error_at(__FILE__, __LINE__, (code), (at), (path), __VA_ARGS__))
