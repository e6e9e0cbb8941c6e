/* Login, refresh with rotation and reuse detection, logout, password change. */
#include <arpa/inet.h>
#include "core/identity/internal.h"

const char *hash_text(struct arena *a, const char *token) {
    uint8_t h[32];
    crypto_sha256(str_of(token), h);
    return bytea_text(a, str_n((const char *)h, sizeof(h)));
}

enum { ACCOUNT_WINDOW_S = 15 * 60 };

static err_t bad_credentials(void) { return err_new(ERR_INVALID_CREDENTIALS, "user name or password is wrong"); }

err_t throttle(struct identity *id, struct arena *a, const char *key, int64_t limit, int64_t window_s) {
    struct pg_result *r;
    TRY(pg_one(id->db, a, SQL_IDENTITY_THROTTLE_TAKE, PG_ARGS(pg_text(key), pg_int(window_s)), "counter", &r));
    if (pg_cell_int(r, 0, 0, 0) <= limit)
        return NULL;
    int64_t wait = pg_cell_int(r, 0, 1, window_s);
    err_t e = err_new(ERR_RATE_LIMITED, "too many attempts; try again in %lld s", (long long)(wait > 0 ? wait : 1));
    return err_detail_json(e, "retryAfter", arena_printf(a, "%lld", (long long)(wait > 0 ? wait : 1)));
}

static void account_from(struct arena *a, const struct pg_result *r, struct account *ret) {
    (void)a;
    *ret = (struct account){.id = pg_cell(r, 0, 0),
                            .username = pg_cell(r, 0, 1),
                            .email = pg_cell(r, 0, 2),
                            .phc = pg_cell(r, 0, 3),
                            .active = pg_cell_bool(r, 0, 4),
                            .must_change = pg_cell_bool(r, 0, 5),
                            .epoch = pg_cell_int(r, 0, 6, 0),
                            .over = pg_cell_bool(r, 0, 7)};
}

err_t account_by_login(struct identity *id, struct arena *a, const char *name, struct account *ret) {
    struct pg_result *r;
    TRY(pg_one(id->db, a, SQL_IDENTITY_USER_BY_LOGIN, PG_ARGS(pg_text(name)), "user", &r));
    account_from(a, r, ret);
    return NULL;
}

err_t account_by_id(struct identity *id, struct arena *a, const char *user_id, struct account *ret) {
    struct pg_result *r;
    TRY(pg_one(id->db, a, SQL_IDENTITY_USER_BY_ID, PG_ARGS(pg_uuid(user_id)), "user", &r));
    account_from(a, r, ret);
    return NULL;
}

/* family (16 bytes) and secret (32 bytes) as one base64url text */
static const char *refresh_text(struct arena *a, const uint8_t family[16], const uint8_t secret[32]) {
    uint8_t raw[48];
    memcpy(raw, family, 16);
    memcpy(raw + 16, secret, 32);
    return base64url_encode(a, raw, sizeof(raw));
}

static const char *uuid_text(struct arena *a, const uint8_t b[16]) {
    char hex[33];
    str_to_hex(b, 16, hex);
    return arena_printf(a, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

/* The successor follows from the old token and a key, so that a client whose answer got lost can be given the same one again. */
static const char *refresh_successor(struct identity *id, struct arena *a, const char *old, const uint8_t family[16]) {
    uint8_t key[32], secret[32];
    keyring_derive(id->keys, "refresh", key);
    crypto_hmac_sha256(str_n((const char *)key, 32), str_of(old), secret);
    mem_wipe(key, sizeof(key));
    return refresh_text(a, family, secret);
}

err_t session_open(struct identity *id, struct arena *a, const struct account *u, const struct login_from *from,
                   struct login_result *ret) {
    uint8_t family[16], secret[32];
    random_bytes(family, sizeof(family));
    random_bytes(secret, sizeof(secret));
    const char *sid = uuid7_new(a), *refresh = refresh_text(a, family, secret);
    TRY(pg_exec(id->db, SQL_IDENTITY_SESSION_INSERT,
                PG_ARGS(pg_uuid(sid), pg_uuid(u->id), pg_uuid(uuid_text(a, family)), pg_text(hash_text(a, refresh)),
                        pg_text(from->ip), pg_text(from->user_agent ? from->user_agent : ""),
                        pg_int(id->conf.refresh_idle_hours), pg_int(id->conf.refresh_absolute_days)),
                NULL));
    *ret = (struct login_result){.access = access_token(id, a, u, sid),
                                 .refresh = refresh,
                                 .user_id = u->id,
                                 .session_id = sid,
                                 .expires_in = id->conf.access_seconds,
                                 .must_change_password = u->must_change};
    return NULL;
}

static err_t in_time(const struct account *u) {
    return u->over ? err_new(ERR_GONE,
                             "the first password was not changed within %d minutes and is no longer valid; restart the "
                             "server, it prints a new one",
                             FIRST_PASSWORD_S / 60)
                   : NULL;
}

static err_t check_password(struct identity *id, struct arena *a, const struct account *u, bool known,
                            struct str password) {
    bool ok = false;
    (void)a;
    TRY(password_verify(id->keys, password, known ? u->phc : NULL, deadline_in(SECONDS(20)), &ok));
    if (!ok || !known || !u->active)
        return bad_credentials();
    return in_time(u);
}

/* An IPv6 subscriber owns a /64. */
static const char *network_of(struct arena *a, const char *ip) {
    struct in6_addr addr;
    char text[INET6_ADDRSTRLEN];
    if (inet_pton(AF_INET6, ip, &addr) != 1 || IN6_IS_ADDR_V4MAPPED(&addr))
        return ip;
    memset(addr.s6_addr + 8, 0, 8);
    return inet_ntop(AF_INET6, &addr, text, sizeof(text)) ? arena_strdup(a, text) : ip;
}

/* Counted before anything is hashed: on the address, then on the account whatever spelling of its name was used. */
static err_t take_attempt(struct identity *id, struct arena *a, const struct account *u, bool known, const char *name,
                          const char *ip) {
    TRY(throttle(id, a, arena_printf(a, "ip:%s", network_of(a, ip ? ip : "")), id->conf.login_per_ip, 60));
    uint8_t h[32];
    char hex[65];
    const char *folded = str_lower(a, str_trim(str_of(name)));
    crypto_sha256(str_of(folded), h);
    str_to_hex(h, sizeof(h), hex);
    const char *key = known ? arena_printf(a, "account:%s", u->id) : arena_printf(a, "name:%s", hex);
    return throttle(id, a, key, id->conf.login_per_account, ACCOUNT_WINDOW_S);
}

err_t identity_login(struct identity *id, struct arena *a, const char *name, struct str password,
                     const struct login_from *from, struct login_result *ret) {
    struct account u = {0};
    const char *trimmed = str_z(a, str_trim(str_of(name)));
    if (strlen(trimmed) > 255 || password.n > 1024)
        return bad_credentials();
    err_t e = account_by_login(id, a, trimmed, &u);
    bool known = e == NULL;
    if (e && e->code != ERR_NOT_FOUND)
        return e;
    TRY(take_attempt(id, a, &u, known, trimmed, from->ip));
    e = check_password(id, a, &u, known, password);
    if (e && e->code == ERR_INVALID_CREDENTIALS && known)
        err_ignore(pg_exec(id->db, SQL_IDENTITY_LOGIN_FAILED, PG_ARGS(pg_uuid(u.id)), NULL));
    TRY(e);
    TRY(session_open(id, a, &u, from, ret));
    TRY(pg_exec(id->db, SQL_IDENTITY_LOGIN_OK, PG_ARGS(pg_uuid(u.id), pg_text(from->ip)), NULL));
    return pg_exec(id->db, SQL_IDENTITY_THROTTLE_RESET, PG_ARGS(pg_text(arena_printf(a, "account:%s", u.id))), NULL);
}

static err_t refresh_invalid(void) {
    return err_new(ERR_TOKEN_INVALID, "the refresh token is not valid; log in again");
}

static err_t reissue(struct identity *id, struct arena *a, const char *user_id, const char *sid, const char *refresh,
                     struct login_result *ret) {
    struct account u;
    TRY(account_by_id(id, a, user_id, &u));
    if (!u.active)
        return refresh_invalid();
    *ret = (struct login_result){.access = access_token(id, a, &u, sid),
                                 .refresh = refresh,
                                 .user_id = u.id,
                                 .session_id = sid,
                                 .expires_in = id->conf.access_seconds,
                                 .must_change_password = u.must_change};
    return NULL;
}

/* Not the current token: an answer that got lost (just rotated), an expired session, or somebody has a copy. */
static err_t refresh_other(struct identity *id, struct arena *a, const char *family, const char *hash, const char *next,
                           struct login_result *ret) {
    struct pg_result *r;
    err_t e = pg_one(id->db, a, SQL_IDENTITY_SESSION_BY_FAMILY, PG_ARGS(pg_uuid(family), pg_text(hash)), "session", &r);
    if (e)
        return e->code == ERR_NOT_FOUND ? refresh_invalid() : e;
    if (pg_cell_bool(r, 0, 4) || pg_cell_bool(r, 0, 5))
        return refresh_invalid();
    if (pg_cell_bool(r, 0, 3))
        return reissue(id, a, pg_cell(r, 0, 1), pg_cell(r, 0, 0), next, ret);
    TRY(pg_exec(id->db, SQL_IDENTITY_SESSION_REVOKE,
                PG_ARGS(pg_uuid(pg_cell(r, 0, 0)), pg_uuid(pg_cell(r, 0, 1)), pg_text("refresh-reuse")), NULL));
    revoked_add(id, pg_cell(r, 0, 0));
    return err_new(ERR_TOKEN_REUSED, "the refresh token was used before; the session has ended, log in again");
}

err_t identity_refresh(struct identity *id, struct arena *a, const char *refresh, const struct login_from *from,
                       struct login_result *ret) {
    struct str raw;
    if (refresh == NULL || strlen(refresh) != 64 || !base64url_decode(a, str_of(refresh), &raw) || raw.n != 48)
        return refresh_invalid();
    const uint8_t *bytes = (const uint8_t *)raw.p;
    const char *family = uuid_text(a, bytes), *hash = hash_text(a, refresh),
               *next = refresh_successor(id, a, refresh, bytes);
    struct pg_result *r;
    err_t e = pg_one(id->db, a, SQL_IDENTITY_SESSION_ROTATE,
                     PG_ARGS(pg_uuid(family), pg_text(hash_text(a, next)), pg_text(hash), pg_text(from->ip),
                             pg_int(id->conf.refresh_idle_hours)),
                     "session", &r);
    if (e && e->code == ERR_NOT_FOUND)
        return refresh_other(id, a, family, hash, next, ret);
    TRY(e);
    return reissue(id, a, pg_cell(r, 0, 1), pg_cell(r, 0, 0), next, ret);
}

err_t identity_logout(struct identity *id, const struct principal *who) {
    if (who->session_id == NULL)
        return err_new(ERR_INVALID, "an API token cannot log out; revoke it instead");
    TRY(pg_exec(id->db, SQL_IDENTITY_SESSION_REVOKE,
                PG_ARGS(pg_uuid(who->session_id), pg_uuid(who->user_id), pg_text("logout")), NULL));
    revoked_add(id, who->session_id);
    return NULL;
}

err_t identity_password(struct identity *id, struct arena *a, struct str password, const char *username,
                        const char *email, char **ret_phc) {
    TRY(password_check(password, username, email));
    return password_hash(a, id->keys, password, deadline_in(SECONDS(20)), ret_phc);
}

struct change {
    struct identity *id;
    const struct principal *who;
    const char *phc;
};

static err_t change_tx(struct pg *tx, void *arg) {
    struct change *c = arg;
    TRY(pg_exec(tx, SQL_IDENTITY_PASSWORD_SET, PG_ARGS(pg_uuid(c->who->user_id), pg_text(c->phc), pg_bool(false)),
                NULL));
    return pg_exec(
        tx, SQL_IDENTITY_SESSION_REVOKE_OTHERS,
        PG_ARGS(pg_uuid(c->who->user_id), pg_uuid("00000000-0000-0000-0000-000000000000"), pg_text("password-changed")),
        NULL);
}

err_t identity_change_password(struct identity *id, struct arena *a, const struct principal *who, struct str current,
                               struct str next, const struct login_from *from, struct login_result *ret) {
    struct account u;
    char *phc;
    bool ok;
    TRY(account_by_id(id, a, who->user_id, &u));
    TRY(throttle(id, a, arena_printf(a, "account:%s", u.id), id->conf.login_per_account, ACCOUNT_WINDOW_S));
    TRY(password_verify(id->keys, current, u.phc, deadline_in(SECONDS(20)), &ok));
    if (!ok)
        return err_field(err_new(ERR_INVALID_CREDENTIALS, "the current password is wrong"), "/currentPassword");
    TRY(in_time(&u));
    if (str_eq(current, next))
        return err_field(err_new(ERR_WEAK_PASSWORD, "the new password is the old one"), "/newPassword");
    err_t e = identity_password(id, a, next, u.username, u.email, &phc);
    if (e)
        return err_field(e, "/newPassword");
    struct change c = {id, who, phc};
    TRY(pg_tx(id->db, change_tx, &c));
    if (who->session_id)
        revoked_add(id, who->session_id);
    TRY(pg_exec(id->db, SQL_IDENTITY_THROTTLE_RESET, PG_ARGS(pg_text(arena_printf(a, "account:%s", u.id))), NULL));
    TRY(account_by_id(id, a, who->user_id, &u));
    TRY(rbac_refresh(id->rbac));
    return session_open(id, a, &u, from, ret);
}

err_t identity_session_revoke(struct identity *id, const struct principal *who, const char *session_id) {
    int64_t n;
    if (!uuid_valid(str_of(session_id)))
        return err_new(ERR_NOT_FOUND, "no such session");
    TRY(pg_exec(id->db, SQL_IDENTITY_SESSION_REVOKE,
                PG_ARGS(pg_uuid(session_id), pg_uuid(who->user_id), pg_text("revoked")), &n));
    if (n == 0)
        return err_new(ERR_NOT_FOUND, "no such session");
    revoked_add(id, session_id);
    return NULL;
}
