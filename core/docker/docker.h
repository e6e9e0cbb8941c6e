/* One Docker Engine endpoint: address, TLS, connection pools, negotiated API version, last known state.
 *
 * Every call of core/docker has the form (docker, arena, args, deadline, **ret) -> err_t, YIELDS, and reports:
 *   ERR_DOCKER_UNAVAILABLE  nothing answers (refused, reset, name not found); details: node
 *   ERR_TIMEOUT             the deadline passed (a stopped engine looks like this)
 *   ERR_DOCKER_VERSION      the engine speaks no API of DOCKER_API_MIN..DOCKER_API_MAX
 *   ERR_DOCKER_PROTOCOL     the answer is not what the engine API says (framing, JSON, size, stream type)
 *   ERR_NOT_FOUND, ERR_CONFLICT, ERR_PORT_CONFLICT, ERR_DOCKER   the engine refused; message = the engine's own,
 *                           details: node, operation, status
 *   ERR_POLICY              core/docker/guard.h refused the body before it was sent; details: violations
 * `deadline` is absolute (clock.h). Results live in `a`; JSON trees are parsed with trusted limits. */
#pragma once
#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/json.h"
#include "core/http/client.h"

#define DOCKER_API_MIN 41 /* 1.41, Engine 20.10 */
#define DOCKER_API_MAX 55 /* 1.55, Engine 29.6 */

struct docker;
struct docker_conf {
    const char *name;                        /* node name for messages */
    const char *url;                         /* unix:///path | tcp://host:port (TLS, or plain on loopback only) */
    const char *ca_pem, *cert_pem, *key_pem; /* PEM texts; any set = TLS; ca is then required */
    const char *tls_name;                    /* name to verify when it is not the URL's host */
    size_t max_conns;                        /* concurrent short calls; 0 = 32 */
    size_t max_streams;                      /* concurrent long streams (logs, events, pull, build); 0 = 2048 */
    const struct http_wire *wire;            /* test seam: replaces the transport of `url` (may be NULL) */
};

/** New endpoint with one reference; nothing is opened. The conf is copied. ERR_INVALID with a field for a bad URL, plain
 * TCP to a host that is not loopback, or TLS material without ca. */
MUST_CHECK err_t docker_new(const struct docker_conf *conf, struct docker **ret);
struct docker *docker_ref(struct docker *d);
/** NULL is fine. The last reference closes idle connections and frees; open streams keep their own. */
void docker_unref(struct docker *d);
DF_AUTO_DEFINE(docker, struct docker *, docker_unref);
/** The node was removed: later calls fail at once with ERR_DOCKER_UNAVAILABLE. */
void docker_shut(struct docker *d);

enum docker_reach { DOCKER_UNKNOWN, DOCKER_ONLINE, DOCKER_UNREACHABLE, DOCKER_INCOMPATIBLE };
struct docker_state {
    enum docker_reach reach;
    int api;              /* negotiated minor version: 41 is 1.41; 0 = not negotiated now */
    int engine_api;       /* what the engine offered */
    uint64_t last_ok_ms;  /* loop time of the last answer; 0 = never */
    uint64_t pending;     /* calls in flight */
    char last_error[160]; /* "" when the last call reached the engine */
};
struct docker_state docker_state(const struct docker *d);
const char *docker_name(const struct docker *d);
const char *docker_url(const struct docker *d);
bool docker_is_local(const struct docker *d); /* unix socket: host paths are this machine's */

/** YIELDS. Negotiate unless done; afterwards docker_api() is the minor version in use. */
MUST_CHECK err_t docker_negotiate(struct docker *d, uint64_t deadline);
int docker_api(const struct docker *d); /* 0 before negotiation */
/** Forget the negotiated version and idle connections (the engine restarted). */
void docker_forget(struct docker *d);

#define DOCKER_CALL_TIMEOUT SECONDS(30)
#define DOCKER_MAX_JSON MIB(64) /* one whole response */
#define DOCKER_MAX_ITEM MIB(4)  /* one element of a list or of a JSON stream */
