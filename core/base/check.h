/* CHECK: an invariant, in every build; a failure is a bug and aborts with file:line. Input errors are err_t instead.
 * MAGIC: every object reached through a void pointer proves what it is. */
#pragma once
#include <stdint.h>

/** Last chance before abort(): write out what is buffered. Must not take locks it may already hold. Process-wide. */
void check_set_hook(void (*hook)(void));
_Noreturn void check_failed(const char *expr, const char *file, int line);
#define CHECK(e) ((e) ? (void)0 : check_failed(#e, __FILE__, __LINE__))

/** First member of such an object: `uint32_t magic;` set to a constant of its own, cleared on free. */
#define MAGIC_CAST(ptr, type, want)                                                                                    \
    __extension__({                                                                                                    \
        type *obj_ = (type *)(ptr);                                                                                    \
        CHECK(obj_ != NULL && obj_->magic == (want));                                                                  \
        obj_;                                                                                                          \
    })
