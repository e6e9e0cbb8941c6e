/* An engine that answers whatever a test wants, byte by byte: a unix socket served by threads of this process. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct fake;
/** Write the answer to fd; false closes the connection. Runs on a thread of its own: no project calls in here. */
typedef bool fake_fn(struct fake *f, int fd, const char *method, const char *target);
struct fake {
    fake_fn *fn;
    int listen_fd;
    char path[100], url[110];
    const char *api;        /* Api-Version of pings, NULL = none */
    atomic_bool stop, hang; /* hang: nothing is answered any more */
    atomic_int requests, pings, connections, threads;
    atomic_int phase; /* the test's own */
    atomic_int fds[256];
    pthread_t thread;
};

static inline bool fake_write(int fd, const void *p, size_t n) {
    for (const char *c = p; n;) {
        ssize_t w = send(fd, c, n, MSG_NOSIGNAL);
        if (w <= 0)
            return false;
        c += w;
        n -= (size_t)w;
    }
    return true;
}
static inline bool fake_text(int fd, const char *z) { return fake_write(fd, z, strlen(z)); }
static inline bool fake_json(int fd, int status, const char *body) {
    char head[200];
    snprintf(head, sizeof head, "HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
             status, strlen(body));
    return fake_text(fd, head) && fake_text(fd, body);
}
static inline bool fake_chunked_head(int fd) {
    return fake_text(fd, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
}
static inline bool fake_chunk(int fd, const void *p, size_t n) {
    char head[32];
    snprintf(head, sizeof head, "%zx\r\n", n);
    return fake_text(fd, head) && fake_write(fd, p, n) && fake_text(fd, "\r\n");
}
static inline bool fake_chunk_z(int fd, const char *z) { return fake_chunk(fd, z, strlen(z)); }
static inline void fake_wait(struct fake *f, int ms) {
    for (int i = 0; i < ms && !f->stop; i += 10)
        usleep(10000);
}

static inline bool fake_ping(struct fake *f, int fd, const char *method) {
    char head[200];
    f->pings++;
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\n%s%s%sContent-Length: 2\r\n\r\n%s", f->api ? "Api-Version: " : "",
             f->api ? f->api : "", f->api ? "\r\n" : "", strcmp(method, "HEAD") == 0 ? "" : "OK");
    return fake_text(fd, head);
}

struct fake_conn {
    struct fake *f;
    int fd;
};
static inline void *fake_serve(void *arg) {
    struct fake_conn c = *(struct fake_conn *)arg;
    free(arg);
    static _Thread_local char buf[65536];
    size_t n = 0;
    for (bool go = true; go && !c.f->stop;) {
        ssize_t r = recv(c.fd, buf + n, sizeof buf - 1 - n, 0);
        if (r <= 0)
            break;
        n += (size_t)r;
        buf[n] = 0;
        char *end = strstr(buf, "\r\n\r\n");
        if (!end)
            continue;
        char method[16] = "", target[4096] = "";
        const char *sp = strchr(buf, ' '), *sp2 = sp ? strchr(sp + 1, ' ') : NULL;
        if (!sp2)
            break;
        snprintf(method, sizeof method, "%.*s", (int)(sp - buf), buf);
        snprintf(target, sizeof target, "%.*s", (int)(sp2 - sp - 1), sp + 1);
        n = 0; /* bodies of these tests come with the head or are not looked at */
        c.f->requests++;
        while (c.f->hang && !c.f->stop)
            usleep(10000);
        go = strstr(target, "/_ping") ? fake_ping(c.f, c.fd, method) : c.f->fn(c.f, c.fd, method, target);
    }
    close(c.fd);
    c.f->threads--;
    return NULL;
}
static inline void *fake_accept(void *arg) {
    struct fake *f = arg;
    while (!f->stop) {
        int fd = accept(f->listen_fd, NULL, NULL);
        if (fd < 0)
            break;
        struct fake_conn *c = malloc(sizeof *c);
        *c = (struct fake_conn){f, fd};
        f->fds[f->connections++ % 256] = fd;
        f->threads++;
        pthread_t t;
        pthread_create(&t, NULL, fake_serve, c);
        pthread_detach(t);
    }
    return NULL;
}
static inline void fake_start(struct fake *f, fake_fn *fn, const char *api) {
    static int serial;
    *f = (struct fake){.fn = fn, .api = api};
    snprintf(f->path, sizeof f->path, "/tmp/df-fake-%d-%d.sock", (int)getpid(), serial++);
    snprintf(f->url, sizeof f->url, "unix://%s", f->path);
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    memcpy(sa.sun_path, f->path, strlen(f->path));
    unlink(f->path);
    f->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(f->listen_fd, (struct sockaddr *)&sa, sizeof sa) || listen(f->listen_fd, 64))
        abort();
    pthread_create(&f->thread, NULL, fake_accept, f);
}
static inline void fake_stop(struct fake *f) {
    f->stop = true;
    shutdown(f->listen_fd, SHUT_RDWR);
    pthread_join(f->thread, NULL);
    close(f->listen_fd);
    unlink(f->path);
    for (int i = 0; i < 500 && f->threads; i++) {
        if (i == 20) /* readers that wait for more */
            for (int j = 0; j < 256 && j < f->connections; j++)
                shutdown(f->fds[j], SHUT_RDWR);
        usleep(10000);
    }
}
