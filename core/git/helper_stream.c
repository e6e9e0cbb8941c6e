/* Sockets of the helper's HTTP and HTTPS connections: they lead to the repository's own host and port and nowhere else. libgit2
 * follows a redirect within one host name, to any port and scheme, whatever it is told; here it finds no connection. */
#include <errno.h>
#include <git2.h>
#include <git2/sys/stream.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "core/git/helper.h"

struct helper_socket {
    git_stream stream; /* first: libgit2 knows no more of it */
    int fd;
    char *host, *port;
};
static const struct helper_request *only; /* one request per process */
static char refused[512];

static int fail(const char *what, const char *why) {
    git_error_set_str(GIT_ERROR_NET, arena_printf(arena_current(), "%s: %s", what, why));
    return -1;
}

static int on_connect(git_stream *st) {
    struct helper_socket *s = (struct helper_socket *)st;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *list = NULL;
    int rc = getaddrinfo(s->host, s->port, &hints, &list);
    if (rc != 0)
        return fail("failed to resolve address", gai_strerror(rc));
    int why = 0;
    for (struct addrinfo *i = list; i && s->fd < 0; i = i->ai_next) {
        s->fd = socket(i->ai_family, i->ai_socktype | SOCK_CLOEXEC, i->ai_protocol);
        if (s->fd >= 0 && connect(s->fd, i->ai_addr, i->ai_addrlen) != 0) {
            why = errno;
            (void)close(s->fd);
            s->fd = -1;
        }
    }
    freeaddrinfo(list);
    return s->fd >= 0 ? 0 : fail("failed to connect", strerrordesc_np(why) ? strerrordesc_np(why) : "no address");
}

static ssize_t on_read(git_stream *st, void *data, size_t n) {
    for (;;) {
        ssize_t got = recv(((struct helper_socket *)st)->fd, data, n, 0);
        if (got >= 0 || errno != EINTR)
            return got >= 0 ? got : fail("error receiving socket data", strerrordesc_np(errno));
    }
}

static ssize_t on_write(git_stream *st, const char *data, size_t n, int flags) {
    for (;;) {
        ssize_t sent = send(((struct helper_socket *)st)->fd, data, n, flags | MSG_NOSIGNAL);
        if (sent >= 0 || errno != EINTR)
            return sent >= 0 ? sent : fail("error sending socket data", strerrordesc_np(errno));
    }
}

static int on_close(git_stream *st) {
    struct helper_socket *s = (struct helper_socket *)st;
    int rc = s->fd >= 0 ? close(s->fd) : 0;
    s->fd = -1;
    return rc;
}

static void on_free(git_stream *st) {
    free(((struct helper_socket *)st)->host);
    free(((struct helper_socket *)st)->port);
    free(st);
}

/* As libgit2 writes it: without the brackets of an IPv6 address. */
static bool own_host(const char *host) {
    struct str own = str_of(only->url.host);
    if (own.n > 2 && own.p[0] == '[')
        own = str_slice(own, 1, own.n - 1);
    return str_eq_nocase(str_of(host), own);
}

static int on_init(git_stream **out, const char *host, const char *port) {
    int64_t number;
    if (!own_host(host) || str_to_i64(str_of(port), 1, 65535, &number) != NULL || number != only->url.port) {
        (void)snprintf(
            refused, sizeof(refused),
            "the server redirects to %s port %s; redirects to another server are not followed: if the repository "
            "has moved there, change its URL",
            host, port);
        return fail("redirect", refused);
    }
    struct helper_socket *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return fail("connection", "out of memory");
    s->fd = -1;
    s->host = strdup(host);
    s->port = strdup(port);
    s->stream = (git_stream){.version = GIT_STREAM_VERSION,
                             .connect = on_connect,
                             .read = on_read,
                             .write = on_write,
                             .close = on_close,
                             .free = on_free};
    *out = &s->stream;
    return 0;
}

/* The TLS stream puts itself on top of this one. Not for ssh, where libgit2 reaches into its own kind of socket. */
void helper_stream_bind(const struct helper_request *req) {
    git_stream_registration r = {.version = GIT_STREAM_VERSION, .init = on_init};
    only = req;
    if (req->url.scheme == GIT_HTTP || req->url.scheme == GIT_HTTPS)
        (void)git_stream_register(GIT_STREAM_STANDARD, &r);
}

const char *helper_stream_refused(void) { return *refused ? refused : NULL; }
