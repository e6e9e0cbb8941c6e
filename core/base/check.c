#include "core/base/check.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void (*_Atomic hook_fn)(void);

void check_set_hook(void (*hook)(void)) { atomic_store(&hook_fn, hook); }

void check_failed(const char *expr, const char *file, int line) {
    char text[512];
    int n = snprintf(text, sizeof(text), "CHECK failed: %s at %s:%d\n", expr, file, line);
    size_t left = n < 0 ? 0 : (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
    /* write, not stdio: the process state is unknown and stderr may be locked by this very thread */
    for (const char *p = text; left > 0;) {
        ssize_t w = write(STDERR_FILENO, p, left);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            break;
        p += w;
        left -= (size_t)w;
    }
    void (*hook)(void) = atomic_exchange(&hook_fn, NULL); /* once: the hook may fail a CHECK itself */
    if (hook != NULL)
        hook();
    abort();
}
