/* Access tokens. First byte: 0 any text as a token; 1 header and claims of the input ("header\nclaims"), signed by a key that
 * is trusted, so that what lies behind the signature is reached; 2 the same, signed by another key: never accepted. */
#include "core/base/check.h"
#include "core/crypto/jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOW = 1700000000 };

static struct str sign(struct arena *a, const struct ed25519_key *key, struct str in) {
    struct str claims = in, head;
    if (!str_cut(&claims, '\n', &head) || claims.p == NULL)
        return STR("");
    char *part = arena_printf(a, "%s.%s", base64url_encode(a, head.p, head.n), base64url_encode(a, claims.p, claims.n));
    uint8_t sig[64];
    ed25519_sign(key, str_of(part), sig);
    return str_of(arena_printf(a, "%s.%s", part, base64url_encode(a, sig, sizeof(sig))));
}

static void must_be_fit(const struct json *claims) {
    CHECK(json_is(claims, JSON_OBJECT));
    CHECK(z_eq(json_get_str(claims, "iss"), "i") && z_eq(json_get_str(claims, "aud"), "a"));
    CHECK(json_get_int(claims, "exp", 0) + JWT_LEEWAY_S > NOW);
    CHECK(json_get_int(claims, "nbf", 0) <= NOW + JWT_LEEWAY_S && json_get_int(claims, "iat", 0) <= NOW + JWT_LEEWAY_S);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t seeds[2][32] = {{1}, {2}};
    struct ed25519_key ours, other;
    if (size < 1)
        return 0;
    ed25519_from_seed(seeds[0], &ours);
    ed25519_from_seed(seeds[1], &other);
    struct arena *a = arena_new("fuzz", 0), *old = arena_set_current(a);
    const struct jwt_key key = {"k", ours.public};
    const struct jwt_expect want = {.keys = &key, .n_keys = 1, .typ = "at+jwt", .iss = "i", .aud = "a", .now_s = NOW};
    struct str in = str_n((const char *)data + 1, size - 1);
    int mode = data[0] % 3;
    struct str token = mode == 0 ? in : sign(a, mode == 1 ? &ours : &other, in);
    struct json *claims = NULL;
    if (jwt_verify(a, token, &want, &claims) == NULL) {
        CHECK(mode != 2 && token.n <= JWT_MAX);
        must_be_fit(claims);
    }
    arena_set_current(old);
    arena_unref(a);
    return 0;
}
