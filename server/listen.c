#include "server/listen.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core/base/clock.h"
#include "core/obs/log.h"

enum { BACKLOG = 1024, MAX_LISTENERS = 16, COMPLAIN_EVERY_MS = 10000 };

struct listener {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    const struct listen_conf *conf;
    h2o_accept_ctx_t accept_ctx;
    bool open;
    int port;
};

static struct {
    struct listener v[MAX_LISTENERS];
    size_t n;
    uint64_t complained_at, complaints;
} L;

h2o_accept_ctx_t *listener_accept_ctx(struct listener *l) { return &l->accept_ctx; }
int server_port(size_t i) { return i < L.n ? L.v[i].port : -1; }

/* One line in ten seconds, however hard somebody knocks. */
static void complain(const char *why) {
    uint64_t now = loop_now();
    L.complaints++;
    if (L.complained_at != 0 && now - L.complained_at < COMPLAIN_EVERY_MS)
        return;
    L.complained_at = now;
    LOG(WARNING, "http.connection_refused", KV_STR("reason", why), KV_INT("count", L.complaints));
    L.complaints = 0;
}

static const char *admission_text(enum admission a) {
    switch (a) {
    case ADMIT_TOTAL:
        return "too many connections";
    case ADMIT_PEER:
        return "too many connections of one address";
    case ADMIT_CREDIT:
        return "address is out of credit";
    case ADMIT_TABLE:
        return "too many addresses";
    case ADMIT_OK:
        break;
    }
    return "ok";
}

static void on_connection(uv_stream_t *server, int status) {
    struct listener *l = CONTAINER_OF(server, struct listener, uv.stream);
    if (status < 0) {
        complain(uv_strerror(status));
        return;
    }
    bool is_pipe = l->conf->unix_path != NULL;
    struct conn *c = conn_new(l, is_pipe);
    struct sockaddr_storage ss = {.ss_family = AF_UNIX};
    int len = sizeof(ss);
    if (uv_accept(server, &c->uv.stream) != 0 ||
        (!is_pipe && uv_tcp_getpeername(&c->uv.tcp, (struct sockaddr *)&ss, &len) != 0)) {
        conn_drop_unstarted(c);
        return;
    }
    enum admission verdict = admission_enter((struct sockaddr *)&ss, loop_now(), &c->peer);
    if (verdict != ADMIT_OK) {
        complain(admission_text(verdict));
        conn_drop_unstarted(c);
        return;
    }
    if (!is_pipe)
        uv_tcp_nodelay(&c->uv.tcp, 1);
    conn_start(c, (struct sockaddr *)&ss);
}

/* Without a descriptor libuv takes newcomers with its reserve, closes them and tells nobody. */
void listen_sweep(void) {
    errno = 0;
    int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
    if (fd >= 0)
        close(fd);
    else if (errno == EMFILE || errno == ENFILE)
        complain("no descriptor is left");
}

static err_t bind_tcp(struct listener *l) {
    struct sockaddr_storage ss;
    const struct listen_conf *conf = l->conf;
    int rc = strchr(conf->address, ':') ? uv_ip6_addr(conf->address, conf->port, (struct sockaddr_in6 *)&ss)
                                        : uv_ip4_addr(conf->address, conf->port, (struct sockaddr_in *)&ss);
    if (rc != 0)
        return err_new(ERR_CONFIG, "\"%s\" is not an IP address to listen on", conf->address);
    CHECK(uv_tcp_init_ex(loop_uv(), &l->uv.tcp, ss.ss_family) == 0);
    l->open = true;
    uv_os_fd_t fd;
    int one = 1;
    if (conf->reuse_port && uv_fileno(&l->uv.handle, &fd) == 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
    rc = uv_tcp_bind(&l->uv.tcp, (struct sockaddr *)&ss, 0);
    if (rc == 0)
        rc = uv_listen(&l->uv.stream, BACKLOG, on_connection);
    if (rc != 0)
        return err_new(ERR_CONFIG, "cannot listen on %s port %d: %s", conf->address, conf->port, uv_strerror(rc));
    int len = sizeof(ss);
    (void)uv_tcp_getsockname(&l->uv.tcp, (struct sockaddr *)&ss, &len);
    l->port = ntohs(ss.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&ss)->sin6_port
                                             : ((struct sockaddr_in *)&ss)->sin_port);
    return NULL;
}

static err_t bind_unix(struct listener *l) {
    const char *path = l->conf->unix_path;
    CHECK(uv_pipe_init(loop_uv(), &l->uv.pipe, 0) == 0);
    l->open = true;
    (void)unlink(path); /* left behind by a process that was killed */
    int rc = uv_pipe_bind(&l->uv.pipe, path);
    if (rc == 0 && chmod(path, 0660) != 0)
        rc = UV_EPERM;
    if (rc == 0)
        rc = uv_listen(&l->uv.stream, BACKLOG, on_connection);
    return rc == 0 ? NULL : err_new(ERR_CONFIG, "cannot listen on %s: %s", path, uv_strerror(rc));
}

err_t listen_start(const struct listen_conf *confs, size_t n) {
    CHECK(n <= MAX_LISTENERS);
    for (size_t i = 0; i < n; i++) {
        struct listener *l = &L.v[i];
        memset(l, 0, sizeof(*l));
        l->conf = &confs[i];
        l->accept_ctx.ctx = &SRV.ctx;
        l->accept_ctx.hosts = SRV.h2o.hosts;
        L.n = i + 1;
        if (confs[i].tls_cert != NULL)
            TRY(tls_server_ctx(confs[i].tls_cert, confs[i].tls_key, &l->accept_ctx.ssl_ctx));
        TRY(confs[i].unix_path ? bind_unix(l) : bind_tcp(l));
    }
    return NULL;
}

/* All or nothing: a half-written pair on one listener must not leave the others on a new generation. */
err_t listen_reload_tls(void) {
    SSL_CTX *fresh[MAX_LISTENERS] = {0};
    err_t e = NULL;
    for (size_t i = 0; i < L.n && e == NULL; i++)
        if (L.v[i].conf->tls_cert != NULL)
            e = tls_server_ctx(L.v[i].conf->tls_cert, L.v[i].conf->tls_key, &fresh[i]);
    for (size_t i = 0; i < L.n; i++) {
        if (fresh[i] == NULL)
            continue;
        SSL_CTX *drop = e == NULL ? L.v[i].accept_ctx.ssl_ctx : fresh[i];
        if (e == NULL)
            L.v[i].accept_ctx.ssl_ctx = fresh[i];
        SSL_CTX_free(drop);
    }
    return e;
}

void listen_stop(void) {
    for (size_t i = 0; i < L.n; i++) {
        if (!L.v[i].open)
            continue;
        L.v[i].open = false;
        uv_close(&L.v[i].uv.handle, NULL);
        if (L.v[i].conf->unix_path != NULL)
            (void)unlink(L.v[i].conf->unix_path);
    }
}

void listen_fini(void) {
    for (size_t i = 0; i < L.n; i++)
        if (L.v[i].accept_ctx.ssl_ctx != NULL)
            SSL_CTX_free(L.v[i].accept_ctx.ssl_ctx);
    L.n = 0;
}
