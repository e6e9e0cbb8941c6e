#include "server/admission.h"
#include <stdlib.h>
#include <string.h>
#include "core/base/check.h"
#include "core/base/str.h"

enum { PEER_SLOTS = 16384, MAX_PEERS = 65536 };

struct peer {
    uint8_t prefix[16];
    unsigned conns, running;
    size_t body_bytes;
    struct credit credit;
    struct peer *next;
};

static struct {
    struct admission_conf conf;
    struct peer *slots[PEER_SLOTS];
    struct admission_stats stats;
    unsigned sweep_at; /* slot where the next search for idle records starts */
} A;

void admission_setup(const struct admission_conf *conf) {
    struct admission_conf c = *conf;
    c.max_conns = c.max_conns ? c.max_conns : 8192;
    c.max_conns_per_peer = c.max_conns_per_peer ? c.max_conns_per_peer : 64;
    c.max_running = c.max_running ? c.max_running : 4096;
    c.max_running_per_peer = c.max_running_per_peer ? c.max_running_per_peer : 512;
    c.max_body = c.max_body ? c.max_body : MIB(128);
    c.max_body_per_peer = c.max_body_per_peer ? c.max_body_per_peer : MIB(32);
    A.conf = c;
}

void credit_init(struct credit *c, double full, uint64_t now_ms) {
    *c = (struct credit){.tokens = full, .at_ms = now_ms};
}

static void credit_refill(struct credit *c, double full, uint64_t now_ms) {
    if (now_ms > c->at_ms) {
        c->tokens += (double)(now_ms - c->at_ms) / CREDIT_REFILL_MS * full;
        if (c->tokens > full)
            c->tokens = full;
        c->at_ms = now_ms;
    }
}

bool credit_left(struct credit *c, double full, uint64_t now_ms) {
    credit_refill(c, full, now_ms);
    return c->tokens >= 1;
}

bool credit_charge(struct credit *c, double full, uint64_t now_ms) {
    if (!credit_left(c, full, now_ms))
        return false;
    c->tokens -= 1;
    return true;
}

static void peer_prefix(const struct sockaddr *sa, uint8_t out[16]) {
    memset(out, 0, 16);
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)sa;
        out[10] = out[11] = 0xff;
        memcpy(out + 12, &in->sin_addr, 4);
    } else if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;
        bool mapped = IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr);
        memcpy(out, &in6->sin6_addr, mapped ? 16 : 8); /* a /64 is one subscriber */
    } else {
        out[0] = 0xfe; /* unix socket: whoever may open the file */
    }
}

static bool peer_idle(struct peer *p, uint64_t now_ms) {
    credit_refill(&p->credit, CREDIT_PEER, now_ms);
    return p->conns == 0 && p->running == 0 && p->body_bytes == 0 && p->credit.tokens >= CREDIT_PEER;
}

/* Records of peers that are gone and owe nothing go away a slot at a time, whenever a new one is made. */
static void sweep_one_slot(uint64_t now_ms) {
    struct peer **at = &A.slots[A.sweep_at++ % PEER_SLOTS];
    while (*at != NULL) {
        struct peer *p = *at;
        if (peer_idle(p, now_ms)) {
            *at = p->next;
            free(p);
            A.stats.peers--;
        } else {
            at = &p->next;
        }
    }
}

static struct peer *peer_get(const struct sockaddr *sa, uint64_t now_ms) {
    uint8_t prefix[16];
    peer_prefix(sa, prefix);
    struct peer **slot = &A.slots[hash_bytes(prefix, sizeof(prefix)) % PEER_SLOTS];
    for (struct peer *p = *slot; p != NULL; p = p->next)
        if (memcmp(p->prefix, prefix, sizeof(prefix)) == 0)
            return p;
    for (int i = 0; i < (A.stats.peers >= MAX_PEERS ? PEER_SLOTS : 2); i++)
        sweep_one_slot(now_ms);
    if (A.stats.peers >= MAX_PEERS)
        return NULL;
    struct peer *p = calloc(1, sizeof(*p));
    CHECK(p != NULL);
    memcpy(p->prefix, prefix, sizeof(prefix));
    credit_init(&p->credit, CREDIT_PEER, now_ms);
    p->next = *slot;
    *slot = p;
    A.stats.peers++;
    return p;
}

enum admission admission_enter(const struct sockaddr *sa, uint64_t now_ms, struct peer **ret) {
    if (A.stats.conns >= A.conf.max_conns) {
        A.stats.refused_total++;
        return ADMIT_TOTAL;
    }
    struct peer *p = peer_get(sa, now_ms);
    if (p == NULL)
        return ADMIT_TABLE;
    if (p->conns >= A.conf.max_conns_per_peer) {
        A.stats.refused_peer++;
        return ADMIT_PEER;
    }
    if (!credit_left(&p->credit, CREDIT_PEER, now_ms)) {
        A.stats.refused_credit++;
        return ADMIT_CREDIT;
    }
    p->conns++;
    A.stats.conns++;
    *ret = p;
    return ADMIT_OK;
}

void admission_leave(struct peer *p) {
    CHECK(p->conns > 0 && A.stats.conns > 0);
    p->conns--;
    A.stats.conns--;
}

err_t admission_start(struct peer *p) {
    if (p->running >= A.conf.max_running_per_peer)
        return err_new(ERR_RATE_LIMITED, "too many requests of this address are running");
    if (A.stats.running >= A.conf.max_running)
        return err_new(ERR_BUSY, "the server is at its limit of running requests; try again shortly");
    p->running++;
    A.stats.running++;
    return NULL;
}

void admission_done(struct peer *p) {
    CHECK(p->running > 0 && A.stats.running > 0);
    p->running--;
    A.stats.running--;
}

enum admission admission_body(struct peer *p, size_t n) {
    if (p->body_bytes + n > A.conf.max_body_per_peer)
        return ADMIT_PEER;
    if (A.stats.body_bytes + n > A.conf.max_body)
        return ADMIT_TOTAL;
    p->body_bytes += n;
    A.stats.body_bytes += n;
    return ADMIT_OK;
}

void admission_body_done(struct peer *p, size_t n) {
    CHECK(p->body_bytes >= n && A.stats.body_bytes >= n);
    p->body_bytes -= n;
    A.stats.body_bytes -= n;
}

bool admission_charge(struct peer *p, uint64_t now_ms) {
    A.stats.charged++;
    return credit_charge(&p->credit, CREDIT_PEER, now_ms);
}

struct admission_stats admission_stats_get(void) {
    return A.stats;
}

void admission_fini(void) {
    for (size_t i = 0; i < PEER_SLOTS; i++)
        while (A.slots[i] != NULL) {
            struct peer *p = A.slots[i];
            A.slots[i] = p->next;
            free(p);
        }
    memset(&A, 0, sizeof(A));
}
