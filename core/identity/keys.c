/* Signing keys of access tokens: made once per installation, sealed in the database, shared by every instance. */
#include "core/identity/internal.h"

static err_t make_key(struct identity *id, struct arena *a) {
    struct ed25519_key key;
    ed25519_new(&key);
    const char *kid = uuid7_new(a);
    struct seal_place at = {"signing_keys", "private_sealed", kid};
    struct str blob = seal(a, id->keys, &at, str_n((const char *)key.private, sizeof(key.private)));
    err_t e = pg_exec(
        id->db, SQL_IDENTITY_SIGNING_KEY_INSERT,
        PG_ARGS(pg_text(kid), pg_json(json_to_text(a, jwk_ed25519(a, kid, key.public))), pg_text(bytea_text(a, blob))),
        NULL);
    mem_wipe(&key, sizeof(key));
    return e;
}

static err_t take_key(struct identity *id, struct arena *a, const struct pg_result *r, size_t row) {
    struct str blob, private;
    struct signing_key *k = &id->signing[id->n_signing];
    const char *kid = pg_cell(r, row, 0);
    struct seal_place at = {"signing_keys", "private_sealed", kid};
    TRY(bytea_parse(a, pg_cell(r, row, 2), &blob));
    err_t e = unseal(a, id->keys, &at, blob, &private);
    if (e)
        return err_wrap_as(ERR_CONFIG, e,
                           "the root key does not fit this database; restore <data>/keys/root.key or auth.secretKey");
    if (private.n != sizeof(k->key.private) || strlen(kid) >= sizeof(k->kid))
        return err_new(ERR_CONFIG, "signing key %s is malformed", kid);
    memcpy(k->key.private, private.p, private.n);
    memcpy(k->key.public, private.p + 32, 32);
    memcpy(k->kid, kid, strlen(kid) + 1);
    id->n_signing++;
    return NULL;
}

err_t keys_load(struct identity *id) {
    struct arena *a = arena_current();
    struct pg_result *r;
    TRY(pg_rows(id->db, a, SQL_IDENTITY_SIGNING_KEYS, PG_NOARGS, &r));
    if (r->rows == 0) {
        TRY(make_key(id, a));
        TRY(pg_rows(id->db, a, SQL_IDENTITY_SIGNING_KEYS, PG_NOARGS, &r)); /* another instance may have been first */
    }
    id->n_signing = 0;
    access_tokens_forget(id);
    for (size_t i = 0; i < r->rows && id->n_signing < MAX_KEYS; i++)
        TRY(take_key(id, a, r, i));
    return id->n_signing ? NULL : err_new(ERR_CONFIG, "no signing key");
}

const char *identity_jwks(struct identity *id, struct arena *a) {
    struct json *doc = json_object(a), *keys = json_array(a);
    for (size_t i = 0; i < id->n_signing; i++)
        json_push(a, keys, jwk_ed25519(a, id->signing[i].kid, id->signing[i].key.public));
    json_set(a, doc, "keys", keys);
    return json_to_text(a, doc);
}

const char *access_token(struct identity *id, struct arena *a, const struct account *u, const char *session_id) {
    struct json *c = json_object(a);
    int64_t now = clock_wall_ms() / 1000;
    json_set_str(a, c, "iss", id->conf.issuer);
    json_set_str(a, c, "aud", AUDIENCE);
    json_set_str(a, c, "sub", u->id);
    json_set_str(a, c, "sid", session_id);
    json_set_str(a, c, "name", u->username);
    json_set_int(a, c, "epoch", u->epoch);
    json_set_bool(a, c, "mcp", u->must_change);
    json_set_int(a, c, "iat", now);
    json_set_int(a, c, "exp", now + id->conf.access_seconds);
    return jwt_sign(a, &id->signing[0].key, id->signing[0].kid, TYP_ACCESS, c);
}
