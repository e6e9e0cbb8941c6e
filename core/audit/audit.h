/* Audit log: who did what to which object, in the transaction of the change. Each organization has its own gapless
 * chain: hash = SHA-256(previous hash, seq, organization, time, canonical JSON of the entry); a MAC over the hash is
 * added when the keyring gives one. audit_write takes the chain's lock until commit: call it last in the transaction.
 * */
#pragma once
#include "core/base/err.h"
#include "core/base/id.h"
#include "core/pg/pg.h"

/** Strings may be NULL where that makes sense; details/before/after are JSON texts (larger ones than 64 KiB are
 * replaced by their size and digest), never with a secret in them. */
struct audit_entry {
    const char *org_id; /* NULL: the platform's chain */
    const char *scope_id;
    const char *user_id;
    const char *actor_kind; /* user (default), service, token, system, anonymous */
    const char *actor_name;
    const char *session_id, *token_id;
    const char *action; /* "<resource>.<verb>", required */
    const char *resource_type, *resource_id, *resource_name;
    const char *outcome; /* success (default), failure, denied, intent */
    const char *error_code;
    const char *details, *before, *after;
    const char *ip_address, *user_agent, *request_id;
};
/** YIELDS. `tx` must be a transaction. *ret_id may be NULL. */
MUST_CHECK err_t audit_write(struct pg *tx, const struct audit_entry *e, struct uuid_text *ret_id);
/** YIELDS. A transaction of its own: logins, denials, exec. */
MUST_CHECK err_t audit_write_alone(struct pg *db, const struct audit_entry *e);

/** MAC of a row's hash. mac: false when the keyring is sealed (the row goes without). check: key_id as stored. */
struct audit_mac_ops {
    bool (*mac)(void *arg, const uint8_t hash[32], uint8_t out[32], char key_id[65]);
    bool (*check)(void *arg, const char *key_id, const uint8_t hash[32], const uint8_t mac[32]);
    void *arg;
};
void audit_set_mac(const struct audit_mac_ops *ops); /* copied; NULL takes it away */

struct audit_report {
    int64_t checked, unsigned_rows;
    int64_t first_bad;  /* 0: the chain is sound */
    const char *reason; /* static text */
};
/** YIELDS. Walk a chain (org_id NULL: the platform's): order, links, hashes, MACs, the head. */
MUST_CHECK err_t audit_verify(struct pg *db, const char *org_id, struct audit_report *ret);
