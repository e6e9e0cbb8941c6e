/* Name resolution on its own small thread pool (never libuv's), bounded queue, 5 s default. IP literals do not leave the loop. */
#pragma once
#include <sys/socket.h>
#include "core/base/err.h"
struct dns_addr {
    struct sockaddr_storage sa;
    socklen_t len;
};
/** YIELDS. Addresses in `arena_current()`, at most 16, duplicates removed. ERR_UNAVAILABLE with the resolver's reason. */
MUST_CHECK err_t dns_resolve(const char *host, int port, uint64_t deadline, struct dns_addr **ret, size_t *ret_n);
char *dns_addr_text(struct arena *a, const struct dns_addr *addr); /* numeric, no port */
