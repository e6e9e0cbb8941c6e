#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>
#include "core/obs/log.h"
#include "server/internal.h"

enum { EXIT_FORCED = 130 };

static struct {
    uv_signal_t term, intr, hup;
    bool up, terminating, reloading;
} G;

static void on_stop(uv_signal_t *h, int signum) {
    (void)h;
    if (G.terminating) { /* somebody is in a hurry: leases expire by themselves */
        LOG(WARNING, "signal.forced_exit", KV_INT("signal", signum));
        log_flush();
        _exit(EXIT_FORCED);
    }
    G.terminating = true;
    LOG(INFO, "signal.drain", KV_INT("signal", signum));
    server_drain();
}

/* Async-signal-safe: the loop may be stuck or gone */
static void on_too_late(int signum) {
    static const char line[] = "dockflow: the end takes too long; what is left is abandoned\n";
    (void)signum;
    ssize_t n = write(STDERR_FILENO, line, sizeof(line) - 1);
    (void)n;
    _exit(EXIT_FORCED);
}

void signals_exit_by(uint64_t mono_ms) {
    uint64_t now = clock_mono_ms(), ms = mono_ms > now ? mono_ms - now : 1;
    struct sigaction sa = {.sa_handler = on_too_late};
    struct itimerval once = {.it_value = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)}};
    CHECK(sigaction(SIGALRM, &sa, NULL) == 0 && setitimer(ITIMER_REAL, &once, NULL) == 0);
}

static err_t reload_main(void *arg) {
    (void)arg;
    if (SRV.conf.on_reload != NULL) {
        err_t e = SRV.conf.on_reload(SRV.conf.on_reload_arg);
        if (e != NULL)
            LOG(ERROR, "conf.reload_failed", KV_ERR(e));
    }
    err_ignore(server_reload_tls()); /* logged; the old certificates stay */
    G.reloading = false;
    return NULL;
}

static void on_hup(uv_signal_t *h, int signum) {
    (void)h;
    (void)signum;
    if (G.reloading || G.terminating)
        return;
    G.reloading = true;
    fiber_spawn_detached("reload", NULL, reload_main, NULL);
}

void signals_setup(void) {
    (void)signal(SIGPIPE, SIG_IGN);
    CHECK(uv_signal_init(loop_uv(), &G.term) == 0 && uv_signal_init(loop_uv(), &G.intr) == 0 &&
          uv_signal_init(loop_uv(), &G.hup) == 0);
    CHECK(uv_signal_start(&G.term, on_stop, SIGTERM) == 0 && uv_signal_start(&G.intr, on_stop, SIGINT) == 0);
    CHECK(uv_signal_start(&G.hup, on_hup, SIGHUP) == 0);
    uv_unref((uv_handle_t *)&G.term);
    uv_unref((uv_handle_t *)&G.intr);
    uv_unref((uv_handle_t *)&G.hup);
    G.up = true;
}

void signals_fini(void) {
    if (!G.up)
        return;
    G.up = false;
    uv_close((uv_handle_t *)&G.term, NULL);
    uv_close((uv_handle_t *)&G.intr, NULL);
    uv_close((uv_handle_t *)&G.hup, NULL);
}
