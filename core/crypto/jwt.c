#include "core/crypto/jwt.h"

char *jwt_sign(struct arena *a, const struct ed25519_key *key, const char *kid, const char *typ,
               const struct json *claims) {
    struct json *head = json_object(a);
    json_set_str(a, head, "alg", "EdDSA");
    json_set_str(a, head, "typ", typ);
    json_set_str(a, head, "kid", kid);
    const char *h = json_to_text(a, head), *c = json_to_text(a, claims);
    char *signed_part = arena_printf(a, "%s.%s", base64url_encode(a, h, strlen(h)), base64url_encode(a, c, strlen(c)));
    uint8_t sig[64];
    ed25519_sign(key, str_of(signed_part), sig);
    return arena_printf(a, "%s.%s", signed_part, base64url_encode(a, sig, sizeof(sig)));
}

static err_t invalid(void) { return err_new(ERR_TOKEN_INVALID, "the access token is not valid"); }

static err_t part_json(struct arena *a, struct str part, struct json **ret) {
    struct str text;
    struct json_limits limits = {.max_bytes = JWT_MAX, .max_depth = 8, .max_nodes = 200};
    if (!base64url_decode(a, part, &text) || json_parse(a, text, &limits, ret) != NULL || !json_is(*ret, JSON_OBJECT))
        return invalid();
    return NULL;
}

static const struct jwt_key *find_key(const struct jwt_expect *want, const char *kid) {
    for (size_t i = 0; kid && i < want->n_keys; i++)
        if (z_eq(want->keys[i].kid, kid))
            return &want->keys[i];
    return NULL;
}

static err_t check_head(const struct jwt_expect *want, const struct json *head, const struct jwt_key **ret) {
    if (!z_eq(json_get_str(head, "alg"), "EdDSA") || !z_eq(json_get_str(head, "typ"), want->typ))
        return invalid();
    /* Nothing that could point at another key or change how the token is read. */
    static const char *const banned[] = {"crit", "b64", "jku", "jwk", "x5u", "x5c", "zip", "enc"};
    for (size_t i = 0; i < ARRAY_LEN(banned); i++)
        if (json_get(head, banned[i]))
            return invalid();
    *ret = find_key(want, json_get_str(head, "kid"));
    return *ret ? NULL : invalid();
}

static bool int_claim(const struct json *claims, const char *name, bool required, int64_t *ret) {
    const struct json *j = json_get(claims, name);
    if (j == NULL)
        return !required;
    if (!json_is(j, JSON_INT) || j->i < 0 || j->i > INT64_C(253402300799))
        return false;
    *ret = j->i;
    return true;
}

static err_t check_claims(const struct jwt_expect *want, const struct json *claims) {
    int64_t exp = 0, nbf = 0, iat = 0;
    if (!z_eq(json_get_str(claims, "iss"), want->iss) || !z_eq(json_get_str(claims, "aud"), want->aud))
        return invalid();
    if (!int_claim(claims, "exp", true, &exp) || !int_claim(claims, "nbf", false, &nbf) ||
        !int_claim(claims, "iat", false, &iat))
        return invalid();
    if (nbf > want->now_s + JWT_LEEWAY_S || iat > want->now_s + JWT_LEEWAY_S)
        return invalid();
    if (exp + JWT_LEEWAY_S <= want->now_s)
        return err_new(ERR_TOKEN_EXPIRED, "the access token has expired");
    return NULL;
}

err_t jwt_verify(struct arena *a, struct str token, const struct jwt_expect *want, struct json **ret_claims) {
    if (token.n == 0 || token.n > JWT_MAX)
        return invalid();
    struct str rest = token, head, body, sig_text, sig, extra;
    if (!str_cut(&rest, '.', &head) || !str_cut(&rest, '.', &body) || !str_cut(&rest, '.', &sig_text) ||
        str_cut(&rest, '.', &extra))
        return invalid();
    struct json *h, *claims;
    const struct jwt_key *key;
    TRY(part_json(a, head, &h));
    TRY(check_head(want, h, &key));
    if (!base64url_decode(a, sig_text, &sig) || sig.n != 64)
        return invalid();
    if (!ed25519_verify(key->public, str_n(token.p, head.n + 1 + body.n), sig))
        return invalid();
    TRY(part_json(a, body, &claims));
    TRY(check_claims(want, claims));
    *ret_claims = claims;
    return NULL;
}

struct json *jwk_ed25519(struct arena *a, const char *kid, const uint8_t public[32]) {
    struct json *j = json_object(a);
    json_set_str(a, j, "kty", "OKP");
    json_set_str(a, j, "crv", "Ed25519");
    json_set_str(a, j, "alg", "EdDSA");
    json_set_str(a, j, "use", "sig");
    json_set_str(a, j, "kid", kid);
    json_set_str(a, j, "x", base64url_encode(a, public, 32));
    return j;
}
