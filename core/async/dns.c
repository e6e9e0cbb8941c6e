#include "core/async/dns.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/async/fiber.h"
#include "core/async/loop.h"
#include "core/async/loop_internal.h"
#include "core/async/work_fiber.h"
#include "core/base/check.h"

enum { HOST_MAX = 253, ADDRS_MAX = 16, THREADS = 4, QUEUE = 64, DEFAULT_MS = 5000 };

/* getaddrinfo cannot be interrupted: an abandoned lookup keeps its thread until the resolver gives up. */
struct lookup {
    char host[HOST_MAX + 1], port[8];
    int rc, sys_errno;
    size_t n;
    struct dns_addr addrs[ADDRS_MAX];
};

static struct work_pool pool;
static bool pool_up;

static bool known(const struct lookup *l, const struct addrinfo *ai) {
    for (size_t i = 0; i < l->n; i++) {
        if (l->addrs[i].len == ai->ai_addrlen && memcmp(&l->addrs[i].sa, ai->ai_addr, ai->ai_addrlen) == 0)
            return true;
    }
    return false;
}

static void lookup_run(void *box) {
    struct lookup *l = box;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    l->rc = getaddrinfo(l->host, l->port, &hints, &list);
    l->sys_errno = errno;
    if (l->rc != 0)
        return;
    for (struct addrinfo *ai = list; ai != NULL && l->n < ADDRS_MAX; ai = ai->ai_next) {
        if (ai->ai_addrlen > sizeof(struct sockaddr_storage) || known(l, ai))
            continue;
        memcpy(&l->addrs[l->n].sa, ai->ai_addr, ai->ai_addrlen);
        l->addrs[l->n++].len = ai->ai_addrlen;
    }
    freeaddrinfo(list);
}

static bool parse_literal(const char *host, int port, struct dns_addr *ret) {
    memset(ret, 0, sizeof(*ret));
    struct sockaddr_in *v4 = (struct sockaddr_in *)&ret->sa;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&ret->sa;
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        ret->len = sizeof(*v4);
        return true;
    }
    memset(ret, 0, sizeof(*ret));
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        ret->len = sizeof(*v6);
        return true;
    }
    return false;
}

static err_t check_host(const char *host, int port) {
    size_t n = host ? strlen(host) : 0;
    if (n == 0)
        return err_new(ERR_INVALID, "host name is empty");
    if (n > HOST_MAX)
        return err_new(ERR_INVALID, "host name of %zu bytes, at most %d are allowed", n, HOST_MAX);
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)host[i] <= ' ' || host[i] == 0x7f)
            return err_new(ERR_INVALID, "host name contains a space or control character");
    }
    if (port < 0 || port > 65535)
        return err_new(ERR_INVALID, "port %d is out of range", port);
    return NULL;
}

static err_t lookup_result(struct lookup *l, struct dns_addr **ret, size_t *ret_n) {
    if (l->rc != 0)
        return err_new(ERR_UNAVAILABLE, "cannot resolve %s: %s", l->host,
                       l->rc == EAI_SYSTEM ? strerrordesc_np(l->sys_errno) : gai_strerror(l->rc));
    if (l->n == 0)
        return err_new(ERR_UNAVAILABLE, "cannot resolve %s: no address", l->host);
    *ret = arena_memdup(arena_current(), l->addrs, l->n * sizeof(l->addrs[0]));
    *ret_n = l->n;
    return NULL;
}

err_t dns_resolve(const char *host, int port, uint64_t deadline, struct dns_addr **ret, size_t *ret_n) {
    TRY(check_host(host, port));
    struct dns_addr lit;
    if (parse_literal(host, port, &lit)) {
        *ret = arena_memdup(arena_current(), &lit, sizeof(lit));
        *ret_n = 1;
        return NULL;
    }
    if (!pool_up) {
        pool_init(&pool, "df-dns", THREADS, QUEUE, pool_notify_loop);
        pool_up = true;
    }
    struct lookup *l = calloc(1, sizeof(*l));
    CHECK(l != NULL);
    (void)snprintf(l->host, sizeof(l->host), "%s", host);
    (void)snprintf(l->port, sizeof(l->port), "%d", port);
    err_t e =
        pool_run(&pool, "name resolution", lookup_run, l, free, NULL, deadline_min(deadline, loop_now() + DEFAULT_MS));
    if (err_is(e, ERR_TIMEOUT))
        return err_wrap_as(ERR_UNAVAILABLE, e, "cannot resolve %s: the resolver did not answer in time", host);
    if (e != NULL && !err_is(e, ERR_BUSY))
        return e; /* cancelled: the lookup is the pool's */
    if (e == NULL)
        e = lookup_result(l, ret, ret_n);
    free(l);
    return e;
}

char *dns_addr_text(struct arena *a, const struct dns_addr *addr) {
    char text[INET6_ADDRSTRLEN] = "?";
    if (addr->sa.ss_family == AF_INET)
        (void)inet_ntop(AF_INET, &((const struct sockaddr_in *)&addr->sa)->sin_addr, text, sizeof(text));
    else if (addr->sa.ss_family == AF_INET6)
        (void)inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)&addr->sa)->sin6_addr, text, sizeof(text));
    return arena_strdup(a, text);
}

void dns_fini(void) {
    if (pool_up)
        pool_fini(&pool);
    pool_up = false;
}
