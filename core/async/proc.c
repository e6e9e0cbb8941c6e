#include "core/async/proc.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>
#include "core/async/fiber.h"
#include "core/async/loop.h"
#include "core/async/stream_impl.h"
#include "core/async/wait.h"
#include "core/base/check.h"

enum { PROC_MAGIC = 0xC1111D01, KILL_AFTER_MS = 2000, STRAGGLER_MS = 1000, TAIL_MAX = 512 };

struct proc {
    uint32_t magic;
    unsigned refs; /* owner, the process handle, waiting calls */
    uv_process_t h;
    struct timer kill_timer;
    struct stream *io[3];
    struct cond changed;
    bool exited, closing, survives, group_left;
    int status;
    char name[64];
};

static void proc_unref(struct proc *p) {
    if (--p->refs > 0)
        return;
    timer_close(&p->kill_timer);
    p->magic = 0;
    free(p);
}

static void kill_group(struct proc *p, int sig) {
    if (p->h.pid > 0)
        (void)kill(-p->h.pid, sig);
}

static void on_process_closed(uv_handle_t *h) { proc_unref(h->data); }

static void on_process_exit(uv_process_t *h, int64_t code, int sig) {
    struct proc *p = MAGIC_CAST(h->data, struct proc, PROC_MAGIC);
    p->exited = true;
    p->status = sig != 0 ? 128 + sig : (int)code;
    timer_stop(&p->kill_timer);
    /* The leader is reaped: its number names the group only as long as other members keep it in use. */
    p->group_left = !p->survives && kill(-h->pid, 0) == 0;
    if (p->closing && p->group_left)
        kill_group(p, SIGKILL);
    cond_broadcast(&p->changed);
    uv_close((uv_handle_t *)h, on_process_closed);
}

static void on_kill_timer(void *arg) {
    struct proc *p = arg;
    if (!p->exited)
        kill_group(p, SIGKILL);
}

static void setup_stdio(const struct proc_conf *conf, struct proc *p, uv_stdio_container_t io[3]) {
    const bool piped[3] = {conf->pipe_stdin, conf->pipe_stdout, conf->pipe_stderr};
    for (int i = 0; i < 3; i++) {
        if (piped[i]) {
            p->io[i] = stream_uv_pipe_();
            io[i].flags = (uv_stdio_flags)(UV_CREATE_PIPE | (i == 0 ? UV_READABLE_PIPE : UV_WRITABLE_PIPE));
            io[i].data.stream = stream_uv_handle_(p->io[i]);
        } else if (i == 0) {
            io[i].flags = UV_IGNORE;
        } else {
            io[i].flags = UV_INHERIT_FD;
            io[i].data.fd = i;
        }
    }
}

static void close_io(struct proc *p) {
    for (int i = 0; i < 3; i++)
        stream_close(TAKE(p->io[i]));
}

err_t proc_spawn(const struct proc_conf *conf, struct proc **ret) {
    CHECK(loop_on_thread() && conf->argv != NULL && conf->argv[0] != NULL);
    struct proc *p = calloc(1, sizeof(*p));
    CHECK(p != NULL);
    p->magic = PROC_MAGIC;
    p->refs = 2;
    p->survives = conf->detach_from_group;
    p->h.data = p;
    cond_init(&p->changed);
    (void)snprintf(p->name, sizeof(p->name), "%s", conf->argv[0]);
    timer_init(&p->kill_timer, on_kill_timer, p);
    uv_stdio_container_t io[3] = {0};
    setup_stdio(conf, p, io);
    /* UV_PROCESS_DETACHED is setsid(): a session and process group of its own, out of reach of a terminal's Ctrl-C. */
    uv_process_options_t o = {.exit_cb = on_process_exit,
                              .file = conf->argv[0],
                              .args = (char **)(uintptr_t)conf->argv,
                              .env = (char **)(uintptr_t)conf->env,
                              .cwd = conf->cwd,
                              .flags = UV_PROCESS_DETACHED,
                              .stdio_count = 3,
                              .stdio = io};
    if (conf->set_ids) {
        o.flags |= UV_PROCESS_SETUID | UV_PROCESS_SETGID;
        o.uid = conf->uid;
        o.gid = conf->gid;
    }
    int rc = uv_spawn(loop_uv(), &p->h, &o);
    if (rc != 0) {
        err_t e = err_new(ERR_INTERNAL, "cannot start %s: %s", p->name, uv_strerror(rc));
        p->exited = true;
        close_io(p);
        uv_close((uv_handle_t *)&p->h, on_process_closed);
        proc_unref(p);
        return e;
    }
    *ret = p;
    return NULL;
}

struct stream *proc_stdin(struct proc *p) {
    return p->io[0];
}
struct stream *proc_stdout(struct proc *p) {
    return p->io[1];
}
struct stream *proc_stderr(struct proc *p) {
    return p->io[2];
}
int proc_pid(const struct proc *p) { return p->h.pid; }

void proc_close_stdin(struct proc *p) { stream_close(TAKE(p->io[0])); }

err_t proc_wait(struct proc *p, uint64_t deadline, int *ret_status) {
    CHECK(p->magic == PROC_MAGIC);
    p->refs++;
    err_t e = NULL;
    while (e == NULL && !p->exited && !p->closing)
        e = cond_wait(&p->changed, deadline);
    if (e == NULL && p->closing) /* even if it has ended of that before we came to run */
        e = err_new(ERR_IO, "%s was closed while waiting for it", p->name);
    if (e == NULL)
        *ret_status = p->status;
    proc_unref(p);
    return e;
}

void proc_kill(struct proc *p, int sig) {
    if (!p->exited)
        kill_group(p, sig);
}

void proc_close(struct proc *p) {
    if (p == NULL)
        return;
    CHECK(p->magic == PROC_MAGIC && !p->closing);
    p->closing = true;
    close_io(p);
    cond_broadcast(&p->changed);
    if (p->survives && !p->exited) {
        uv_unref((uv_handle_t *)&p->h);
        uv_close((uv_handle_t *)&p->h, on_process_closed); /* it lives on, unwatched */
    } else if (!p->exited) {
        kill_group(p, SIGTERM);
        timer_start(&p->kill_timer, KILL_AFTER_MS, 0);
    } else if (p->group_left) {
        kill_group(p, SIGKILL);
    }
    proc_unref(p);
}

/* ---- run to the end ---- */

struct collect {
    struct buf out;
    char tail[TAIL_MAX];
    size_t ntail;
    unsigned open;
    struct cond closed;
};

static void keep_tail(struct collect *c, struct str b) {
    if (b.n > TAIL_MAX)
        b = str_slice(b, b.n - TAIL_MAX, b.n);
    size_t keep = c->ntail + b.n > TAIL_MAX ? TAIL_MAX - b.n : c->ntail;
    memmove(c->tail, c->tail + c->ntail - keep, keep);
    memcpy(c->tail + keep, b.p, b.n);
    c->ntail = keep + b.n;
}

static void on_output(void *arg, struct str bytes, err_t e) {
    struct collect *c = arg;
    if (bytes.n == 0 || e != NULL) {
        c->open--;
        cond_broadcast(&c->closed);
        return;
    }
    keep_tail(c, bytes);
    size_t room = c->out.max - c->out.n; /* beyond: read on and drop, so that the child does not hang on a full pipe */
    err_ignore(buf_append(&c->out, bytes.p, bytes.n < room ? bytes.n : room));
}

/* For messages: one line, printable. */
static char *tail_text(struct collect *c) {
    size_t n = c->ntail;
    while (n > 0 && (unsigned char)c->tail[n - 1] <= ' ')
        n--;
    char *s = arena_strndup(arena_current(), c->tail, n);
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)s[i] < ' ' || s[i] == 0x7f)
            s[i] = ' ';
    }
    return s;
}

static err_t run_collect(struct proc *p, struct collect *c, uint64_t deadline) {
    int status = 0;
    stream_pump(proc_stdout(p), on_output, c);
    stream_pump(proc_stderr(p), on_output, c);
    TRY(proc_wait(p, deadline, &status));
    /* A grandchild may hold the pipes open for ever. */
    uint64_t patience = deadline_min(deadline, loop_now() + STRAGGLER_MS);
    while (c->open > 0) {
        err_t e = cond_wait(&c->closed, patience);
        if (err_is(e, ERR_TIMEOUT))
            break;
        TRY(e);
    }
    if (status == 0)
        return NULL;
    err_t e = err_new(ERR_INTERNAL, "%s ended with status %d: %s", p->name, status, tail_text(c));
    return err_detail(e, "exit_status", arena_printf(arena_current(), "%d", status));
}

err_t proc_run(const struct proc_conf *conf, uint64_t deadline, size_t max_out, struct str *ret_out) {
    struct proc_conf own = *conf;
    own.pipe_stdout = own.pipe_stderr = true;
    AUTO(proc) p = NULL;
    TRY(proc_spawn(&own, &p));
    if (own.pipe_stdin)
        proc_close_stdin(p);
    struct collect c = {.open = 2};
    cond_init(&c.closed);
    buf_init(&c.out, 0, max_out);
    err_t e = run_collect(p, &c, deadline);
    if (e == NULL && ret_out != NULL)
        *ret_out = str_dup(arena_current(), buf_str(&c.out));
    /* Before c goes: ends the pumps. The process handle has a reference of its own. */
    proc_close(TAKE(p)); /* NOLINT(clang-analyzer-unix.Malloc): it cannot count to two */
    buf_done(&c.out);
    cond_done(&c.closed);
    return e;
}
