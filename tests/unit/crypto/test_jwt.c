/* Tokens forged in the ways that broke other servers: every one is refused, and only a good one passes. */
#include "core/crypto/jwt.h"
#include "tests/unit/base/base_test.h"

#define NOW 1800000000
static struct ed25519_key key, other;
static struct jwt_key known[2];
static struct jwt_expect want;

static int setup(void **state) {
    (void)test_setup(state);
    uint8_t seed[32];
    memset(seed, 1, sizeof(seed));
    ed25519_from_seed(seed, &key);
    memset(seed, 2, sizeof(seed));
    ed25519_from_seed(seed, &other);
    known[0] = (struct jwt_key){"kid-1", key.public};
    known[1] = (struct jwt_key){"kid-2", other.public};
    want =
        (struct jwt_expect){.keys = known, .n_keys = 1, .typ = "at+jwt", .iss = "dockflow", .aud = "api", .now_s = NOW};
    return 0;
}

static struct json *claims(void) {
    struct json *c = json_object(A);
    json_set_str(A, c, "iss", "dockflow");
    json_set_str(A, c, "aud", "api");
    json_set_str(A, c, "sub", "alice");
    json_set_int(A, c, "iat", NOW - 10);
    json_set_int(A, c, "exp", NOW + 100);
    return c;
}

/* Header and claims as given, signed properly. */
static const char *sign_text(const struct ed25519_key *k, const char *head, const char *body) {
    const char *text =
        arena_printf(A, "%s.%s", base64url_encode(A, head, strlen(head)), base64url_encode(A, body, strlen(body)));
    uint8_t sig[64];
    ed25519_sign(k, str_of(text), sig);
    return arena_printf(A, "%s.%s", text, base64url_encode(A, sig, 64));
}

static void refused(const char *token) {
    struct json *c = NULL;
    err_t e = jwt_verify(A, str_of(token), &want, &c);
    if (e == NULL)
        fail_msg("accepted: %.200s", token);
    assert_int_equal(e->code, ERR_TOKEN_INVALID);
    assert_null(c);
}

static const char *good(void) { return jwt_sign(A, &key, "kid-1", "at+jwt", claims()); }

#define HEAD "{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\",\"kid\":\"kid-1\"}"
static const char *body_with(const char *json) { return sign_text(&key, HEAD, json); }

static void good_token_passes(void **state) {
    (void)state;
    struct json *c;
    assert_ok(jwt_verify(A, str_of(good()), &want, &c));
    assert_string_equal(json_get_str(c, "sub"), "alice");
}

/* TK1 */
static void algorithm_comes_from_the_key(void **state) {
    (void)state;
    const char *body = json_to_text(A, claims());
    static const char *const algs[] = {"none",  "nOnE",  "None",  "NONE",  "",       "HS256",
                                       "RS256", "PS256", "ES256", "eddsa", "EdDSA ", "EDDSA"};
    for (size_t i = 0; i < ARRAY_LEN(algs); i++)
        refused(
            sign_text(&key, arena_printf(A, "{\"alg\":\"%s\",\"typ\":\"at+jwt\",\"kid\":\"kid-1\"}", algs[i]), body));
    refused(sign_text(&key, "{\"typ\":\"at+jwt\",\"kid\":\"kid-1\"}", body));
    refused(sign_text(&key, "{\"alg\":[\"EdDSA\"],\"typ\":\"at+jwt\",\"kid\":\"kid-1\"}", body));
    /* HMAC with the public key as its secret */
    const char *h = "{\"alg\":\"HS256\",\"typ\":\"at+jwt\",\"kid\":\"kid-1\"}";
    const char *text =
        arena_printf(A, "%s.%s", base64url_encode(A, h, strlen(h)), base64url_encode(A, body, strlen(body)));
    uint8_t mac[32];
    crypto_hmac_sha256(str_n((const char *)key.public, 32), str_of(text), mac);
    refused(arena_printf(A, "%s.%s", text, base64url_encode(A, mac, 32)));
}

/* TK1, TK2 */
static void nothing_points_elsewhere(void **state) {
    (void)state;
    const char *body = json_to_text(A, claims());
    static const char *const extras[] = {
        "\"crit\":[\"exp\"]", "\"b64\":false", "\"b64\":true", "\"jku\":\"https://evil.example\"",
        "\"jwk\":{}",         "\"x5u\":\"x\"", "\"x5c\":[]",   "\"zip\":\"DEF\"",
        "\"enc\":\"A256GCM\""};
    for (size_t i = 0; i < ARRAY_LEN(extras); i++)
        refused(sign_text(
            &key, arena_printf(A, "{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\",\"kid\":\"kid-1\",%s}", extras[i]), body));
    static const char *const kids[] = {"", "kid-2", "KID-1", "kid-1 ", "../../etc/passwd", "' OR 1=1 --"};
    for (size_t i = 0; i < ARRAY_LEN(kids); i++)
        refused(
            sign_text(&key, arena_printf(A, "{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}", kids[i]), body));
    refused(sign_text(&key, "{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\"}", body));
    refused(sign_text(&key, "{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\",\"kid\":7}", body));
    char *long_kid = arena_alloc(A, 10241, 1);
    memset(long_kid, 'k', 10240);
    long_kid[10240] = '\0';
    refused(sign_text(&key, arena_printf(A, "{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}", long_kid), body));
    refused(sign_text(&key, "{\"alg\":\"none\",\"alg\":\"EdDSA\",\"typ\":\"at+jwt\",\"kid\":\"kid-1\"}",
                      body)); /* a name twice */
    refused(
        sign_text(&key, HEAD, "{\"iss\":\"dockflow\",\"aud\":\"api\",\"exp\":9999999999,\"sub\":\"a\",\"sub\":\"b\"}"));
}

static void key_of_another_kid_does_not_sign(void **state) {
    (void)state;
    struct json *c;
    want.n_keys = 2;
    refused(jwt_sign(A, &other, "kid-1", "at+jwt", claims()));
    refused(jwt_sign(A, &key, "kid-2", "at+jwt", claims()));
    assert_ok(jwt_verify(A, str_of(jwt_sign(A, &other, "kid-2", "at+jwt", claims())), &want, &c));
}

static void form(void **state) {
    (void)state;
    const char *t = good(), *dot = strrchr(t, '.');
    refused("");
    refused(".");
    refused("..");
    refused("a.b.c");
    refused(arena_strndup(A, t, (size_t)(dot - t)));
    refused(arena_strndup(A, t, (size_t)(dot - t) + 1));
    refused(arena_printf(A, "%s.", t));
    refused(arena_printf(A, "%s.x", t));
    refused(arena_printf(A, "%s=", t));
    refused(arena_printf(A, "%s==", t));
    refused(arena_printf(A, " %s", t));
    refused(arena_printf(A, "%s\n", t));
    refused(arena_printf(A, ".%s", t));
    refused(arena_printf(A, "%.*s.%s%s", (int)(dot - t), t, dot + 1, dot + 1));
    char *huge = arena_alloc(A, JWT_MAX + 2, 1);
    memset(huge, 'A', JWT_MAX + 1);
    huge[JWT_MAX + 1] = '\0';
    refused(huge);
}

/* Every single bit matters */
static void flipped_bits(void **state) {
    (void)state;
    const char *t = good();
    size_t n = strlen(t);
    for (size_t i = 0; i < n; i++) {
        char *bad = arena_strdup(A, t);
        bad[i] = bad[i] == 'A' ? 'B' : 'A';
        if (strcmp(bad, t) == 0)
            continue;
        refused(bad);
    }
}

/* TK3 */
static void malleable_signatures(void **state) {
    (void)state;
    /* the group order L, little endian */
    static const uint8_t L[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7,
                                  0xa2, 0xde, 0xf9, 0xde, 0x14, 0,    0,    0,    0,    0,    0,
                                  0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10};
    const char *t = good(), *dot = strrchr(t, '.');
    struct str sig;
    assert_true(base64url_decode(A, str_of(dot + 1), &sig));
    uint8_t s[64];
    memcpy(s, sig.p, 64);
    unsigned carry = 0;
    for (int i = 0; i < 32; i++) {
        carry += s[32 + i] + L[i];
        s[32 + i] = (uint8_t)carry;
        carry >>= 8;
    }
    assert_int_equal(carry, 0);
    refused(arena_printf(A, "%.*s.%s", (int)(dot - t), t, base64url_encode(A, s, 64)));
    memset(s + 32, 0, 32);
    refused(arena_printf(A, "%.*s.%s", (int)(dot - t), t, base64url_encode(A, s, 64)));
    memset(s, 0, 64);
    refused(arena_printf(A, "%.*s.%s", (int)(dot - t), t, base64url_encode(A, s, 64)));
    refused(arena_printf(A, "%.*s.%s", (int)(dot - t), t, base64url_encode(A, sig.p, 63)));
}

/* TK4 */
static void times(void **state) {
    (void)state;
    static const char *const bad[] = {"1.8e9", "1800000100.0", "\"1800000100\"",      "-1",          "1e400", "null",
                                      "true",  "[]",           "9223372036854775808", "253402300800"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        refused(body_with(arena_printf(A, "{\"iss\":\"dockflow\",\"aud\":\"api\",\"exp\":%s}", bad[i])));
        refused(
            body_with(arena_printf(A, "{\"iss\":\"dockflow\",\"aud\":\"api\",\"exp\":1800000100,\"nbf\":%s}", bad[i])));
        refused(
            body_with(arena_printf(A, "{\"iss\":\"dockflow\",\"aud\":\"api\",\"exp\":1800000100,\"iat\":%s}", bad[i])));
    }
    refused(body_with("{\"iss\":\"dockflow\",\"aud\":\"api\"}"));
    struct json *c;
    static const struct {
        int exp, nbf, iat;
        bool ok;
    } skew[] = {{-29, 0, 0, true},   {-30, 0, 0, false}, {-61, 0, 0, false}, {100, 30, 0, true},
                {100, 31, 0, false}, {100, 0, 30, true}, {100, 0, 60, false}};
    for (size_t i = 0; i < ARRAY_LEN(skew); i++) {
        const char *t =
            body_with(arena_printf(A, "{\"iss\":\"dockflow\",\"aud\":\"api\",\"exp\":%d,\"nbf\":%d,\"iat\":%d}",
                                   NOW + skew[i].exp, NOW + skew[i].nbf, NOW + skew[i].iat));
        err_t e = jwt_verify(A, str_of(t), &want, &c);
        assert_int_equal(e == NULL, skew[i].ok);
        if (e && skew[i].exp < 0)
            assert_int_equal(e->code, ERR_TOKEN_EXPIRED);
    }
}

/* TK5 */
static void meant_for_others(void **state) {
    (void)state;
    refused(jwt_sign(A, &key, "kid-1", "JWT", claims()));
    refused(jwt_sign(A, &key, "kid-1", "refresh+jwt", claims()));
    refused(sign_text(&key, "{\"alg\":\"EdDSA\",\"kid\":\"kid-1\"}", json_to_text(A, claims())));
    static const char *const names[] = {"iss", "aud"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct json *c = claims();
        json_set_str(A, c, names[i], "another");
        refused(jwt_sign(A, &key, "kid-1", "at+jwt", c));
        json_del(c, names[i]);
        refused(jwt_sign(A, &key, "kid-1", "at+jwt", c));
        json_set(A, c, names[i], json_array(A));
        json_push(A, json_get(c, names[i]), json_string(A, i ? "api" : "dockflow"));
        refused(jwt_sign(A, &key, "kid-1", "at+jwt", c));
    }
    refused(body_with("[]"));
    refused(body_with("null"));
    refused(body_with("{"));
    refused(body_with(""));
}

#define J(fn) cmocka_unit_test_setup_teardown(fn, setup, test_teardown)
int main(void) {
    const struct CMUnitTest tests[] = {J(good_token_passes),
                                       J(algorithm_comes_from_the_key),
                                       J(nothing_points_elsewhere),
                                       J(key_of_another_kid_does_not_sign),
                                       J(form),
                                       J(flipped_bits),
                                       J(malleable_signatures),
                                       J(times),
                                       J(meant_for_others)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
