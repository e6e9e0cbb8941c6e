/* Opening unix and TCP connections. */
#include "core/async/net.h"
#include <string.h>
#include <sys/un.h>
#include <uv.h>
#include "core/async/dns.h"
#include "core/async/fiber.h"
#include "core/async/loop.h"
#include "core/async/stream_impl.h"
#include "core/base/check.h"

enum { UNIX_BUSY_RETRY_MS = 10, TCP_TRY_MIN_MS = 1000, TCP_TRY_MAX_MS = 20000 };

static err_t connect_error(const char *what, int rc) {
    return err_new(ERR_UNAVAILABLE, "cannot connect to %s: %s", what, uv_strerror(rc));
}

err_t net_connect_unix(const char *path, uint64_t deadline, struct stream **ret) {
    if (path == NULL || path[0] == '\0')
        return err_new(ERR_INVALID, "socket path is empty");
    if (strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        return err_new(ERR_INVALID, "socket path of %zu bytes is too long: %s", strlen(path), path);
    for (;;) {
        AUTO(stream) s = stream_uv_pipe_();
        int rc = 0;
        err_t e = stream_uv_connect_unix_(s, path, deadline, &rc);
        if (e != NULL)
            return err_new(e->code, "connect to %s: %s", path, e->message);
        if (rc == 0) {
            *ret = TAKE(s);
            return NULL;
        }
        if (rc != UV_EAGAIN)
            return connect_error(path, rc);
        /* The listener's backlog is full: a unix socket says so instead of waiting. */
        if (loop_now() + UNIX_BUSY_RETRY_MS >= deadline)
            return connect_error(path, rc);
        TRY(fiber_sleep(UNIX_BUSY_RETRY_MS));
        if (loop_now() >= deadline) /* a busy machine: woken late */
            return connect_error(path, rc);
    }
}

/* Fair shares of the time left, so that one silent address does not eat it all. */
static uint64_t try_deadline(uint64_t deadline, size_t left) {
    uint64_t now = loop_now(), share = TCP_TRY_MAX_MS;
    if (deadline != DEADLINE_NONE && deadline > now && (deadline - now) / left < share)
        share = (deadline - now) / left;
    if (share < TCP_TRY_MIN_MS)
        share = TCP_TRY_MIN_MS;
    return deadline_min(deadline, now + share);
}

static err_t connect_one(const char *host, int port, const struct dns_addr *addr, uint64_t deadline,
                         struct stream **ret) {
    AUTO(stream) s = stream_uv_tcp_();
    int rc = 0;
    TRY(stream_uv_connect_tcp_(s, (const struct sockaddr *)&addr->sa, deadline, &rc));
    if (rc != 0)
        return connect_error(
            arena_printf(arena_current(), "%s port %d (%s)", host, port, dns_addr_text(arena_current(), addr)), rc);
    *ret = TAKE(s);
    return NULL;
}

err_t net_connect_tcp(const char *host, int port, uint64_t deadline, struct stream **ret) {
    struct dns_addr *addrs;
    size_t n;
    TRY(dns_resolve(host, port, deadline, &addrs, &n));
    CHECK(n > 0);
    err_t e = NULL;
    for (size_t i = 0; i < n; i++) {
        e = connect_one(host, port, &addrs[i], try_deadline(deadline, n - i), ret);
        if (e == NULL || err_is(e, ERR_CANCELLED))
            return e;
        if (loop_now() >= deadline)
            break;
    }
    return err_is(e, ERR_TIMEOUT) ? err_new(ERR_TIMEOUT, "connect to %s port %d: %s", host, port, e->message) : e;
}
