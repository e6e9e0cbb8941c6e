/* Credentials of a request: access tokens, API tokens, tickets. */
#include <stdlib.h>
#include "core/crypto/crypto.h"
#include "core/identity/internal.h"

#define TOKEN_CACHE_MS SECONDS(5)
#define TOKEN_CACHE_MAX 10000
#define TOKEN_LETTERS 40

struct cached_token {
    struct arena *a;
    struct principal *who;
    uint64_t until; /* monotonic: when the database is asked again */
    struct span_s {
        int64_t from, to; /* wall clock: when an access token is good */
    } good;
};

static err_t invalid(void) { return err_new(ERR_TOKEN_INVALID, "the access token is not valid"); }

void revoked_add(struct identity *id, const char *credential_id) {
    int64_t until = clock_wall_ms() + (id->conf.access_seconds + JWT_LEEWAY_S) * 1000;
    struct arena *before = arena_set_current(NULL);
    map_setz(&id->revoked, credential_id, (void *)(intptr_t)until);
    arena_set_current(before);
    /* Forget what cannot be alive any more. */
    for (struct map_entry *e = NULL; id->revoked.n > 1000 && (e = map_next(&id->revoked, e));)
        if ((int64_t)(intptr_t)e->value < clock_wall_ms())
            (void)map_del(&id->revoked, e->key);
}

/* ---- what was checked a moment ago ---- */

static void cached_free(struct cached_token *c) {
    if (c) {
        arena_unref(c->a);
        free(c);
    }
}

static void forget(struct map *m) {
    for (struct map_entry *e = NULL; (e = map_next(m, e));)
        cached_free(e->value);
    map_done(m);
    map_init(m, NULL);
}

void api_tokens_forget(struct identity *id) { forget(&id->tokens); }
void access_tokens_forget(struct identity *id) { forget(&id->access); }

static struct cached_token *remember(struct map *m, struct str key, const struct principal *p) {
    if (m->n >= TOKEN_CACHE_MAX)
        forget(m);
    struct cached_token *c = calloc(1, sizeof(*c));
    CHECK(c != NULL);
    c->a = arena_new("identity.token", 0);
    c->who = principal_dup(c->a, p);
    cached_free(map_set(m, key, c));
    return c;
}

/* ---- access tokens ---- */

static err_t access_verify(struct identity *id, struct arena *a, struct str token, struct principal **ret,
                           struct span_s *ret_good) {
    struct jwt_key keys[MAX_KEYS];
    for (size_t i = 0; i < id->n_signing; i++)
        keys[i] = (struct jwt_key){id->signing[i].kid, id->signing[i].key.public};
    struct jwt_expect want = {.keys = keys,
                              .n_keys = id->n_signing,
                              .typ = TYP_ACCESS,
                              .iss = id->conf.issuer,
                              .aud = AUDIENCE,
                              .now_s = clock_wall_ms() / 1000};
    struct json *c;
    TRY(jwt_verify(a, token, &want, &c));
    struct principal *p = arena_new_obj(a, struct principal);
    *p = (struct principal){.kind = PRINCIPAL_USER,
                            .user_id = json_get_str(c, "sub"),
                            .username = json_get_str(c, "name"),
                            .session_id = json_get_str(c, "sid"),
                            .user_epoch = json_get_int(c, "epoch", -1),
                            .must_change_password = json_get_bool(c, "mcp", false)};
    if (p->user_id == NULL || p->session_id == NULL || !identity_still_valid(id, p))
        return invalid();
    *ret = p;
    *ret_good = (struct span_s){json_get_int(c, "iat", 0) - JWT_LEEWAY_S, json_get_int(c, "exp", 0) + JWT_LEEWAY_S};
    return NULL;
}

/* A signature stays true, so it is checked once for each token; whether its session and user still are what they were is asked
 * every time. */
static err_t access_check(struct identity *id, struct arena *a, struct str token, struct principal **ret) {
    uint8_t hash[32];
    crypto_sha256(token, hash);
    struct str key = str_n((const char *)hash, sizeof(hash));
    const struct cached_token *c = map_get(&id->access, key);
    int64_t now_s = clock_wall_ms() / 1000; /* may have been set back since */
    if (c && c->good.from <= now_s && now_s < c->good.to) {
        if (!identity_still_valid(id, c->who))
            return invalid();
        *ret = principal_dup(a, c->who);
        return NULL;
    }
    struct span_s good;
    TRY(access_verify(id, a, token, ret, &good));
    remember(&id->access, key, *ret)->good = good;
    return NULL;
}

bool identity_still_valid(struct identity *id, const struct principal *who) {
    if (who->kind == PRINCIPAL_SYSTEM)
        return true;
    if (who->session_id && map_has(&id->revoked, str_of(who->session_id)))
        return false;
    if (who->token_id && map_has(&id->revoked, str_of(who->token_id)))
        return false;
    if (who->expires_ms && who->expires_ms <= clock_wall_ms())
        return false;
    return rbac_user_current(id->rbac, who);
}

static uint32_t checksum(struct str s) { /* CRC-32 (IEEE): typing errors and truncated tokens need no query */
    uint32_t c = ~0u;
    for (size_t i = 0; i < s.n; i++) {
        c ^= (unsigned char)s.p[i];
        for (int k = 0; k < 8; k++)
            c = c >> 1 ^ (c & 1 ? 0xedb88320u : 0);
    }
    return ~c;
}

static const char *new_token(struct arena *a) {
    char random[TOKEN_LETTERS + 1];
    random_base62(random, TOKEN_LETTERS);
    return arena_printf(a, "dsp_%s%08x", random, checksum(str_of(random)));
}

static bool token_form(struct arena *a, struct str t) {
    if (t.n != 4 + TOKEN_LETTERS + 8 || !str_starts(t, STR("dsp_")))
        return false;
    const char *sum = arena_printf(a, "%08x", checksum(str_slice(t, 4, 4 + TOKEN_LETTERS)));
    return str_eqz(str_slice(t, 4 + TOKEN_LETTERS, t.n), sum);
}

static err_t narrow(struct arena *a, struct principal *p, const char *scopes_text, const char *scope_id) {
    struct json *names;
    TRY(json_parse(a, str_of(scopes_text ? scopes_text : "[]"), NULL, &names));
    p->narrowed = json_len(names) > 0;
    for (size_t i = 0; i < json_len(names); i++) {
        int perm = permission_of(json_str(json_at(names, i)));
        if (perm >= 0)
            perm_add(&p->token_perms, (enum permission)perm);
    }
    p->token_scope = arena_strdup(a, scope_id);
    return NULL;
}

/* From a row of identity_token_use or identity_originator. */
static err_t token_owner(struct arena *a, const struct pg_result *r, struct principal **ret) {
    struct principal *p = arena_new_obj(a, struct principal);
    *p = (struct principal){.kind = z_eq(pg_cell(r, 0, 7), "service") ? PRINCIPAL_SERVICE : PRINCIPAL_USER,
                            .token_id = pg_cell(r, 0, 0),
                            .user_id = pg_cell(r, 0, 1),
                            .username = pg_cell(r, 0, 2),
                            .user_epoch = pg_cell_int(r, 0, 5, 0),
                            .must_change_password = pg_cell_bool(r, 0, 6),
                            .expires_ms = pg_cell_int(r, 0, 8, 0)};
    TRY(narrow(a, p, pg_cell(r, 0, 3), pg_cell(r, 0, 4)));
    *ret = p;
    return NULL;
}

static err_t token_query(struct identity *id, struct arena *a, const char *hash, const char *ip,
                         struct principal **ret) {
    struct pg_result *r;
    err_t e = pg_one(id->db, a, SQL_IDENTITY_TOKEN_USE, PG_ARGS(pg_text(hash), pg_text(ip)), "token", &r);
    if (e)
        return e->code == ERR_NOT_FOUND ? invalid() : e;
    return token_owner(a, r, ret);
}

err_t api_token_check(struct identity *id, struct arena *a, struct str token, const char *ip, struct principal **ret) {
    if (!token_form(a, token))
        return invalid();
    const char *hash = hash_text(a, str_z(a, token)), *key = arena_printf(a, "%s %s", hash, ip ? ip : "");
    const struct cached_token *c = map_getz(&id->tokens, key);
    if (c && c->until > clock_mono_ms() && identity_still_valid(id, c->who)) {
        *ret = principal_dup(a, c->who);
        return NULL;
    }
    TRY(token_query(id, a, hash, ip, ret));
    /* Its owner's rights changed a moment ago, and the row knows before the snapshot does. */
    if (!rbac_user_current(id->rbac, *ret))
        TRY(rbac_refresh(id->rbac));
    if (!identity_still_valid(id, *ret))
        return invalid();
    remember(&id->tokens, str_of(key), *ret)->until = clock_mono_ms() + TOKEN_CACHE_MS;
    return NULL;
}

err_t identity_bearer(struct identity *id, struct arena *a, struct str token, const char *ip, struct principal **ret) {
    if (str_starts(token, STR("dsp_")))
        return api_token_check(id, a, token, ip, ret);
    return access_check(id, a, token, ret);
}

err_t identity_originator(struct identity *id, struct arena *a, const char *user_id, const char *token_id,
                          const struct principal **ret) {
    struct principal *who;
    struct pg_result *r;
    err_t e = pg_one(id->db, a, SQL_IDENTITY_ORIGINATOR, PG_ARGS(pg_uuid(user_id), pg_uuid(token_id)), "person", &r);
    if (e)
        return e->code != ERR_NOT_FOUND ? e
                                        : err_new(ERR_AUTHZ_REVOKED, "%s",
                                                  token_id ? "the API token or its owner is not valid any more"
                                                           : "the account is not active any more");
    TRY(token_owner(a, r, &who));
    /* The snapshot is what decides: it must not be older than the question. */
    TRY(rbac_refresh(id->rbac));
    *ret = who;
    return NULL;
}

err_t identity_ticket_new(struct identity *id, struct arena *a, const struct principal *who, const char *ip,
                          const char *path, const char **ret) {
    char ticket[44];
    random_base62(ticket, 43);
    TRY(pg_exec(id->db, SQL_IDENTITY_TICKET_INSERT,
                PG_ARGS(pg_text(hash_text(a, ticket)), pg_uuid(who->user_id), pg_uuid(who->session_id),
                        pg_uuid(who->token_id), pg_text(ip), pg_text(path)),
                NULL));
    *ret = arena_strdup(a, ticket);
    return NULL;
}

err_t identity_ticket_take(struct identity *id, struct arena *a, struct str ticket, const char *ip, const char *path,
                           struct principal **ret) {
    struct pg_result *r;
    if (ticket.n != 43)
        return invalid();
    err_t e = pg_one(id->db, a, SQL_IDENTITY_TICKET_TAKE,
                     PG_ARGS(pg_text(hash_text(a, str_z(a, ticket))), pg_text(ip), pg_text(path)), "ticket", &r);
    if (e)
        return e->code == ERR_NOT_FOUND
                   ? err_new(ERR_TOKEN_INVALID, "the ticket is not valid here, was used, or is older than 30 s")
                   : e;
    struct principal *p = arena_new_obj(a, struct principal);
    *p = (struct principal){.kind = PRINCIPAL_USER,
                            .user_id = pg_cell(r, 0, 0),
                            .username = pg_cell(r, 0, 1),
                            .session_id = pg_cell(r, 0, 2),
                            .token_id = pg_cell(r, 0, 3),
                            .user_epoch = pg_cell_int(r, 0, 4, 0),
                            .must_change_password = pg_cell_bool(r, 0, 5),
                            .expires_ms = pg_cell_int(r, 0, 8, 0)};
    TRY(narrow(a, p, pg_cell(r, 0, 6), pg_cell(r, 0, 7)));
    if (!identity_still_valid(id, p))
        return invalid();
    *ret = p;
    return NULL;
}

/* --- API tokens --- */

/* A token never gives more, or longer, than the credential that makes it. */
static err_t check_subset(struct identity *id, const struct principal *who, const struct token_request *req) {
    if (who->token_id && (!who->narrowed || json_len(req->scopes) == 0) && who->narrowed)
        return err_new(ERR_INSUFFICIENT_SCOPE, "a narrowed token can only make tokens with scopes of its own");
    for (size_t i = 0; i < json_len(req->scopes); i++) {
        const char *name = json_str(json_at(req->scopes, i));
        int p = permission_of(name);
        if (p < 0)
            return err_field(err_new(ERR_INVALID, "there is no permission '%s'", name ? name : ""),
                             arena_printf(arena_current(), "/scopes/%zu", i));
        if (!rbac_allowed_anywhere(id->rbac, who, (enum permission)p))
            return err_new(ERR_INSUFFICIENT_SCOPE, "you do not have %s yourself", name);
    }
    return NULL;
}

static const char *cidr_array(struct arena *a, const struct token_request *req) {
    const char *out = "";
    for (size_t i = 0; i < req->n_cidrs; i++)
        out = arena_printf(a, "%s%s\"%s\"", out, i ? "," : "", req->cidrs[i]);
    return arena_printf(a, "{%s}", out);
}

static bool cidr_form(const char *s) {
    size_t n = strlen(s);
    return n >= 3 && n <= 49 && strspn(s, "0123456789abcdefABCDEF.:/") == n;
}

err_t identity_token_create(struct identity *id, struct pg *tx, struct arena *a, const struct principal *who,
                            const struct token_request *req, const char **ret_id, const char **ret_token) {
    TRY(check_subset(id, who, req));
    for (size_t i = 0; i < req->n_cidrs; i++)
        if (!cidr_form(req->cidrs[i]))
            return err_field(err_new(ERR_INVALID, "'%s' is not an address range", req->cidrs[i]),
                             arena_printf(a, "/cidrs/%zu", i));
    const char *token = new_token(a), *tid = uuid7_new(a);
    const char *scopes = req->scopes ? json_to_text(a, req->scopes) : "[]";
    const char *scope_id = req->scope_id ? req->scope_id : who->token_scope;
    err_t e =
        pg_exec(tx, SQL_IDENTITY_TOKEN_INSERT,
                PG_ARGS(pg_uuid(tid), pg_uuid(who->user_id), pg_text(req->name),
                        pg_text(str_z(a, str_slice(str_of(token), 0, 8))), pg_text(hash_text(a, token)),
                        pg_json(scopes), pg_uuid(scope_id), pg_text(cidr_array(a, req)), pg_int(req->expires_days)),
                NULL);
    if (e)
        return e->code == ERR_CONFLICT
                   ? err_field(err_wrap(e, "you already have a token named '%s'", req->name), "/name")
                   : e;
    *ret_id = tid;
    *ret_token = token;
    return NULL;
}

err_t identity_token_revoke(struct identity *id, const struct principal *who, const char *token_id) {
    int64_t n = 0;
    if (uuid_valid(str_of(token_id)))
        TRY(pg_exec(id->db, SQL_IDENTITY_TOKEN_REVOKE, PG_ARGS(pg_uuid(token_id), pg_uuid(who->user_id)), &n));
    if (n == 0)
        return err_new(ERR_NOT_FOUND, "no such token");
    revoked_add(id, token_id);
    api_tokens_forget(id);
    if (id->on_revoked)
        id->on_revoked(id->on_revoked_arg);
    return NULL;
}
