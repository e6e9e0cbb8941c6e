/* A thread that pings the loop once a second and aborts the process when no answer comes for too long: a core dump of the
 * stuck place and a restart by the supervisor are worth more than a server that accepts and never answers. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include "core/async/loop.h"
#include "core/async/loop_internal.h"
#include "core/base/check.h"

static struct {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    uv_async_t ping;
    unsigned limit;
    bool running, stop;
    atomic_uint answered;
} W = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void on_ping(uv_async_t *h) {
    (void)h;
    atomic_fetch_add(&W.answered, 1);
}

/* Counts its own one-second steps instead of comparing clocks, so that a stopped and continued process (SIGSTOP, a
 * suspended machine) does not look stuck. */
static void *watch(void *arg) {
    (void)arg;
    unsigned seen = atomic_load(&W.answered), silent = 0;
    pthread_mutex_lock(&W.lock);
    while (!W.stop) {
        CHECK(uv_async_send(&W.ping) == 0);
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec++;
        while (!W.stop && pthread_cond_clockwait(&W.wake, &W.lock, CLOCK_MONOTONIC, &until) != ETIMEDOUT) {
        }
        unsigned now = atomic_load(&W.answered);
        silent = now == seen ? silent + 1 : 0;
        seen = now;
        if (!W.stop && silent >= W.limit) {
            fiber_report_running("watchdog: the loop is stuck, aborting");
            abort();
        }
    }
    pthread_mutex_unlock(&W.lock);
    return NULL;
}

void loop_watchdog_start(unsigned seconds) {
    CHECK(loop_on_thread() && !W.running && seconds > 0);
    W.limit = seconds;
    W.stop = false;
    CHECK(uv_async_init(loop_uv(), &W.ping, on_ping) == 0);
    uv_unref((uv_handle_t *)&W.ping);
    pthread_cond_init(&W.wake, NULL);
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    CHECK(pthread_create(&W.thread, NULL, watch, NULL) == 0);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    W.running = true;
}

void loop_watchdog_fini(void) {
    if (!W.running)
        return;
    pthread_mutex_lock(&W.lock);
    W.stop = true;
    pthread_cond_signal(&W.wake);
    pthread_mutex_unlock(&W.lock);
    pthread_join(W.thread, NULL);
    pthread_cond_destroy(&W.wake);
    uv_close((uv_handle_t *)&W.ping, NULL);
    W.running = false;
}
