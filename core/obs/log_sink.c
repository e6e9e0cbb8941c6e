#include "core/obs/log_sink.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core/base/check.h"
#include "core/base/clock.h"

#define QUEUE_BYTES MIB(1)
#define ROTATE_DEFAULT MIB(50)
#define KEEP_DEFAULT 5
#define KEEP_MAX 100
#define STALL_MS 2000 /* how long a full pipe on stderr may hold the writer before it gives the lines up */
#define TELL_MS SECONDS(10)

struct sink {
    int fd;    /* -1: none */
    bool torn; /* what was written last ends in the middle of a line */
    int error; /* why the last write failed */
    uint64_t lost, tell_at;
};
struct outputs {
    struct sink err, file;
    uint64_t err_stalled_until; /* nobody reads stderr: do not wait for it again before this time */
    char *path;
    size_t size, rotate_bytes;
    int keep;
};

static struct {
    pthread_mutex_t lock; /* queue and flags; held for copies only */
    pthread_cond_t filled, drained;
    bool started, writing;
    struct buf queue, batch; /* swapped by the writer */
    uint64_t dropped_unsaid;
    pthread_mutex_t out_lock; /* outputs; held while writing */
    struct outputs out;
} S = {.lock = PTHREAD_MUTEX_INITIALIZER,
       .filled = PTHREAD_COND_INITIALIZER,
       .drained = PTHREAD_COND_INITIALIZER,
       .out_lock = PTHREAD_MUTEX_INITIALIZER,
       .out = {.err = {.fd = -1}, .file = {.fd = -1}}};
static _Atomic uint64_t dropped, write_errors;

static uint64_t count_lines(const char *p, size_t n) {
    uint64_t lines = 0;
    for (const char *at; n > 0 && (at = memchr(p, '\n', n)) != NULL; lines++) {
        n -= (size_t)(at + 1 - p);
        p = at + 1;
    }
    return lines;
}

/* Everything, or as much as goes, with errno saying why. Asking first and writing no more than a pipe takes at once keeps a
 * reader who stopped reading from holding us, also when the descriptor blocks. */
static size_t write_some(int fd, const char *p, size_t n, int wait_ms) {
    size_t done = 0;
    while (done < n) {
        struct pollfd pfd = {.fd = fd, .events = POLLOUT};
        int ready = poll(&pfd, 1, wait_ms);
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0 || (pfd.revents & POLLOUT) == 0) {
            errno = ready == 0 ? EAGAIN : ready < 0 ? errno : (pfd.revents & POLLNVAL) ? EBADF : EPIPE;
            break;
        }
        size_t part = n - done < PIPE_BUF ? n - done : PIPE_BUF;
        ssize_t w = write(fd, p + done, part);
        if (w < 0 && (errno == EINTR || errno == EAGAIN) && (pfd.revents & (POLLERR | POLLNVAL)) == 0)
            continue;
        if (w <= 0)
            break;
        done += (size_t)w;
    }
    return done;
}

/* How much of it is out. */
static size_t sink_write(struct sink *s, const char *p, size_t n, int wait_ms) {
    size_t done = 0;
    if (!s->torn || write_some(s->fd, "\n", 1, wait_ms) == 1) {
        done = write_some(s->fd, p, n, wait_ms);
        s->torn = done > 0 && p[done - 1] != '\n';
    }
    if (done < n)
        s->error = errno;
    return done;
}

/* With what could not be written counted; a line of which a part is out is lost too. */
static bool sink_put(struct sink *s, const char *p, size_t n, int wait_ms) {
    size_t done = sink_write(s, p, n, wait_ms);
    uint64_t lines = count_lines(p + done, n - done);
    s->lost += lines;
    atomic_fetch_add(&write_errors, lines);
    return done == n;
}

static err_t open_file(const char *path, int *ret_fd, size_t *ret_size) {
    struct stat st;
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
    if (fd >= 0 && fd <= STDERR_FILENO) { /* the process was started without stderr: do not become it */
        int high = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        close(fd);
        fd = high;
    }
    if (fd < 0)
        return err_new(ERR_CONFIG, "log file %s: %s", path, strerror(errno));
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return err_new(ERR_CONFIG, "log file %s is not a regular file", path);
    }
    *ret_fd = fd;
    *ret_size = (size_t)st.st_size;
    return NULL;
}

static void close_fd(int *fd) {
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* path.1 is the newest; the oldest falls off the end. When that cannot be done the current file just goes on. */
static void rotate(struct outputs *o) {
    AUTO_BUF from;
    AUTO_BUF to;
    size_t max = strlen(o->path) + 16;
    buf_init(&from, max, max);
    buf_init(&to, max, max);
    for (int i = o->keep - 1; i >= 0; i--) {
        buf_clear(&from);
        buf_clear(&to);
        if (i > 0)
            buf_putf(&from, "%s.%d", o->path, i);
        else
            buf_puts(&from, o->path);
        buf_putf(&to, "%s.%d", o->path, i + 1);
        buf_putc(&from, 0);
        buf_putc(&to, 0);
        if (rename(from.p, to.p) != 0 && (errno != ENOENT || i == 0)) {
            o->size = 0; /* try again after as many bytes */
            return;
        }
    }
    int fd = -1;
    size_t size = 0;
    err_t e = open_file(o->path, &fd, &size);
    if (e != NULL) {
        o->size = 0;
        return;
    }
    close_fd(&o->file.fd);
    o->file.fd = fd;
    o->file.torn = false;
    o->size = size;
}

static void write_file(struct outputs *o, const char *p, size_t n) {
    while (n > 0) { /* cut at line ends so that a file never ends in half a line */
        size_t part = n;
        if (o->size + n > o->rotate_bytes) {
            const char *nl = memchr(p, '\n', n);
            part = nl != NULL ? (size_t)(nl + 1 - p) : n;
            if (o->size > 0 && o->size + part > o->rotate_bytes)
                rotate(o);
        }
        if (sink_put(&o->file, p, part, STALL_MS))
            o->size += part;
        p += part;
        n -= part;
    }
}

static void write_out(struct outputs *o, const char *p, size_t n) {
    if (o->file.fd >= 0)
        write_file(o, p, n);
    if (o->err.fd < 0)
        return;
    uint64_t now = clock_mono_ms();
    if (!sink_put(&o->err, p, n, now < o->err_stalled_until ? 0 : STALL_MS))
        o->err_stalled_until = now + STALL_MS + SECONDS(10);
}

static void say_dropped(struct outputs *o, uint64_t n) {
    char ts[TIME_RFC3339_LEN], line[160];
    int len =
        snprintf(line, sizeof(line), "{\"ts\":\"%s\",\"level\":\"WARNING\",\"event\":\"log.dropped\",\"lines\":%llu}\n",
                 time_rfc3339(ts, clock_wall_ms()), (unsigned long long)n);
    write_out(o, line, (size_t)len);
}

/* What an output has lost is said on the other, at most every ten seconds, and counts until it takes the line itself. */
static void tell_lost(struct sink *s, struct sink *other, const char *name) {
    uint64_t now = clock_mono_ms();
    char ts[TIME_RFC3339_LEN], line[256];
    if (s->lost == 0 || now < s->tell_at)
        return;
    s->tell_at = now + TELL_MS;
    int len = snprintf(line, sizeof(line),
                       "{\"ts\":\"%s\",\"level\":\"ERROR\",\"event\":\"log.write_failed\",\"output\":\"%s\","
                       "\"lines\":%llu,\"error\":\"%s\"}\n",
                       time_rfc3339(ts, clock_wall_ms()), name, (unsigned long long)s->lost, strerrordesc_np(s->error));
    if (other->fd >= 0)
        (void)sink_write(other, line, (size_t)len, 0);
    if (sink_write(s, line, (size_t)len, 0) == (size_t)len)
        s->lost = 0;
}

static void *writer(void *arg) {
    (void)arg;
    sigset_t all;
    sigfillset(&all); /* signals belong to the loop; a broken pipe must come back as EPIPE */
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    for (;;) {
        pthread_mutex_lock(&S.lock);
        S.writing = false;
        if (S.queue.n == 0)
            pthread_cond_broadcast(&S.drained);
        while (S.queue.n == 0)
            pthread_cond_wait(&S.filled, &S.lock);
        struct buf swap = S.batch;
        S.batch = S.queue;
        S.queue = swap;
        buf_clear(&S.queue);
        S.writing = true;
        uint64_t unsaid = S.dropped_unsaid;
        S.dropped_unsaid = 0;
        pthread_mutex_unlock(&S.lock);

        pthread_mutex_lock(&S.out_lock);
        write_out(&S.out, S.batch.p, S.batch.n);
        if (unsaid > 0)
            say_dropped(&S.out, unsaid);
        tell_lost(&S.out.file, &S.out.err, "file");
        tell_lost(&S.out.err, &S.out.file, "stderr");
        pthread_mutex_unlock(&S.out_lock);
    }
    return NULL;
}

/* A forked child has no writer thread: it must not inherit held locks, and writes directly. */
static void before_fork(void) {
    pthread_mutex_lock(&S.out_lock);
    pthread_mutex_lock(&S.lock);
}
static void after_fork_parent(void) {
    pthread_mutex_unlock(&S.lock);
    pthread_mutex_unlock(&S.out_lock);
}
static void after_fork_child(void) {
    S.started = false;
    S.queue.n = 0;
    /* the conditions still count the parent's writer as a waiter: signalling them would wait for it for ever */
    S.filled = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    S.drained = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    after_fork_parent();
}

/* From a failed CHECK: whatever happens, do not hang. */
static void last_words(void) {
    if (pthread_mutex_trylock(&S.lock) != 0)
        return;
    if (S.started && S.queue.n > 0 && pthread_mutex_trylock(&S.out_lock) == 0) {
        if (S.out.err.fd >= 0)
            (void)write_some(S.out.err.fd, S.queue.p, S.queue.n, 100);
        if (S.out.file.fd >= 0)
            (void)write_some(S.out.file.fd, S.queue.p, S.queue.n, 100);
        pthread_mutex_unlock(&S.out_lock);
    }
    pthread_mutex_unlock(&S.lock);
}

static err_t start_writer(void) {
    static bool registered;
    buf_done(&S.queue);
    buf_done(&S.batch);
    buf_init(&S.queue, KIB(16), QUEUE_BYTES);
    buf_init(&S.batch, KIB(16), QUEUE_BYTES);
    if (!registered) {
        registered = true;
        CHECK(pthread_atfork(before_fork, after_fork_parent, after_fork_child) == 0);
        CHECK(atexit(log_sink_flush) == 0);
        check_set_hook(last_words);
    }
    pthread_t t;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, KIB(256));
    S.started = true; /* before the thread, which looks at it under the lock */
    int rc = pthread_create(&t, &attr, writer, NULL);
    pthread_attr_destroy(&attr);
    if (rc == 0)
        return NULL;
    S.started = false;
    return err_new(ERR_INTERNAL, "log writer thread: %s", strerror(rc));
}

err_t log_sink_setup(const struct log_conf *conf) {
    struct outputs fresh = {.err = {.fd = -1}, .file = {.fd = -1}};
    fresh.rotate_bytes = conf->rotate_bytes > 0 ? conf->rotate_bytes : ROTATE_DEFAULT;
    fresh.keep = conf->keep <= 0 ? KEEP_DEFAULT : conf->keep > KEEP_MAX ? KEEP_MAX : conf->keep;
    if (conf->file != NULL && conf->file[0] != 0) {
        TRY(open_file(conf->file, &fresh.file.fd, &fresh.size));
        fresh.path = strdup(conf->file);
        CHECK(fresh.path != NULL);
    }
    /* A copy of its own: were stderr closed later, number 2 could become somebody's socket. None at all is fine too. */
    if (!conf->quiet_stderr)
        fresh.err.fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    log_sink_flush(); /* earlier lines belong to the earlier outputs */
    pthread_mutex_lock(&S.out_lock);
    struct outputs old = S.out;
    S.out = fresh;
    pthread_mutex_unlock(&S.out_lock);
    close_fd(&old.err.fd);
    close_fd(&old.file.fd);
    free(old.path);
    pthread_mutex_lock(&S.lock);
    err_t e = S.started ? NULL : start_writer();
    pthread_mutex_unlock(&S.lock);
    return e;
}

bool log_sink_put(const char *line, size_t n) {
    pthread_mutex_lock(&S.lock);
    if (!S.started) {
        pthread_mutex_unlock(&S.lock);
        return write_some(STDERR_FILENO, line, n, 100) == n;
    }
    bool ok = n <= S.queue.max - S.queue.n;
    if (ok) {
        buf_put(&S.queue, line, n);
        if (!S.writing)
            pthread_cond_signal(&S.filled);
    } else {
        S.dropped_unsaid++;
        atomic_fetch_add(&dropped, 1);
    }
    pthread_mutex_unlock(&S.lock);
    return ok;
}

void log_sink_flush(void) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until); /* somebody may set the wall clock back meanwhile */
    until.tv_sec += STALL_MS / 1000;
    pthread_mutex_lock(&S.lock);
    while (S.started && (S.queue.n > 0 || S.writing))
        if (pthread_cond_clockwait(&S.drained, &S.lock, CLOCK_MONOTONIC, &until) != 0)
            break;
    pthread_mutex_unlock(&S.lock);
}

uint64_t log_sink_dropped(void) { return atomic_load(&dropped); }
uint64_t log_sink_write_errors(void) { return atomic_load(&write_errors); }
