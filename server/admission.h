/* Who may connect and start work: connections and running requests per peer (IPv4 /32, IPv6 /64) and in total, and a credit
 * that abandoned requests use up (rapid reset), refilled over time. Loop thread only; no I/O. */
#pragma once
#include <netinet/in.h>
#include <sys/socket.h>
#include "core/base/err.h"

struct admission_conf {
    unsigned max_conns, max_conns_per_peer;     /* default 8192, 64 */
    unsigned max_running, max_running_per_peer; /* requests in handlers; default 4096, 512 */
    size_t max_body, max_body_per_peer;         /* bytes of large bodies being held; default 128 MiB, 32 MiB */
};
void admission_setup(const struct admission_conf *conf); /* zero members = default */

/** Credit: 100 abandoned requests per minute for a connection, 400 for a peer. */
struct credit {
    double tokens;
    uint64_t at_ms;
};
enum { CREDIT_CONN = 100, CREDIT_PEER = 400, CREDIT_REFILL_MS = 60000 };
void credit_init(struct credit *c, double full, uint64_t now_ms);
/** Take one; false when it is used up. */
bool credit_charge(struct credit *c, double full, uint64_t now_ms);
bool credit_left(struct credit *c, double full, uint64_t now_ms);

struct peer;
enum admission { ADMIT_OK, ADMIT_TOTAL, ADMIT_PEER, ADMIT_CREDIT, ADMIT_TABLE };
/** A connection arrives; ADMIT_OK gives a peer to be released by admission_leave. A unix socket's peer is one shared record. */
enum admission admission_enter(const struct sockaddr *sa, uint64_t now_ms, struct peer **ret);
void admission_leave(struct peer *p);
/** A request starts in a fiber: ERR_RATE_LIMITED (this peer has too many), ERR_BUSY (the server has). Pair: admission_done. The
 * peer record stays while it has running requests. */
MUST_CHECK err_t admission_start(struct peer *p);
void admission_done(struct peer *p);
/** A body of n bytes is about to be received, before anybody knows who sends it: ADMIT_OK, ADMIT_PEER (this peer has too much under
 * way), ADMIT_TOTAL (all together have). Pair: admission_body_done. */
enum admission admission_body(struct peer *p, size_t n);
void admission_body_done(struct peer *p, size_t n);
/** An unanswered request was dropped by the client: false when the peer has no credit left. */
bool admission_charge(struct peer *p, uint64_t now_ms);

struct admission_stats {
    unsigned conns, running, peers;
    size_t body_bytes;
    uint64_t refused_total, refused_peer, refused_credit, charged;
};
struct admission_stats admission_stats_get(void);
void admission_fini(void);
