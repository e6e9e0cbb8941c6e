/* Sealed values open in their place and nowhere else; the root key file; derived keys; known vectors. */
#include <fcntl.h>
#include <sys/stat.h>
#include "core/crypto/crypto.h"
#include "tests/unit/base/base_test.h"

static struct keyring *ring;
static const struct seal_place place = {"secrets", "value", "row-1"};

static int setup(void **state) {
    (void)test_setup(state);
    return keyring_open("/nonexistent", "a secret of at least thirty-two bytes", &ring) == NULL ? 0 : -1;
}

static int teardown(void **state) {
    keyring_free(ring);
    return test_teardown(state);
}

static void opens_in_its_place(void **state) {
    (void)state;
    static const char *const texts[] = {"", "x", "a longer value with \x01 bytes"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct str back, blob = seal(A, ring, &place, str_of(texts[i]));
        assert_int_equal(blob.n, strlen(texts[i]) + 36);
        assert_memory_equal(blob.p, "DFS1\0\0\0\1", 8);
        assert_ok(unseal(A, ring, &place, blob, &back));
        assert_str(back, texts[i]);
    }
    struct str a = seal(A, ring, &place, STR("same")), b = seal(A, ring, &place, STR("same"));
    assert_memory_not_equal(a.p, b.p, a.n); /* a fresh nonce each time */
}

static void every_bit_counts(void **state) {
    (void)state;
    struct str blob = seal(A, ring, &place, STR("the secret")), back;
    for (size_t i = 0; i < blob.n * 8; i++) {
        struct str bad = str_dup(A, blob);
        ((char *)(size_t)bad.p)[i / 8] ^= (char)(1 << i % 8);
        assert_err(unseal(A, ring, &place, bad, &back), INTERNAL);
    }
    for (size_t n = 0; n < blob.n; n++)
        assert_err(unseal(A, ring, &place, str_n(blob.p, n), &back), INTERNAL);
    char *longer = arena_zalloc(A, blob.n + 1);
    memcpy(longer, blob.p, blob.n);
    assert_err(unseal(A, ring, &place, str_n(longer, blob.n + 1), &back), INTERNAL);
}

static void moved_values_stay_shut(void **state) {
    (void)state;
    struct str blob = seal(A, ring, &place, STR("the secret")), back;
    static const struct seal_place elsewhere[] = {{"secrets", "value", "row-2"}, {"secrets", "valu", "erow-1"},
                                                  {"secret", "svalue", "row-1"}, {"secrets", "value", ""},
                                                  {"", "value", "row-1"},        {"secrets", "other", "row-1"}};
    for (size_t i = 0; i < ARRAY_LEN(elsewhere); i++)
        assert_err(unseal(A, ring, &elsewhere[i], blob, &back), INTERNAL);
    struct keyring *foreign;
    assert_ok(keyring_open("/nonexistent", "another secret of thirty-two bytes!!", &foreign));
    assert_err(unseal(A, foreign, &place, blob, &back), INTERNAL);
    keyring_free(foreign);
}

static void purposes_have_different_keys(void **state) {
    (void)state;
    static const char *const purposes[] = {"jwt", "audit", "cursor", "pepper", "refresh", "seal"};
    uint8_t keys[ARRAY_LEN(purposes)][32], again[32];
    for (size_t i = 0; i < ARRAY_LEN(purposes); i++) {
        keyring_derive(ring, purposes[i], keys[i]);
        keyring_derive(ring, purposes[i], again);
        assert_memory_equal(keys[i], again, 32);
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(keys[i], keys[k], 32);
    }
}

static void root_key_file(void **state) {
    (void)state;
    char dir[] = "/tmp/df-keyring-XXXXXX";
    assert_non_null(mkdtemp(dir));
    const char *path = arena_printf(A, "%s/keys/root.key", dir);
    struct keyring *one, *two;
    uint8_t a[32], b[32];
    assert_ok(keyring_open(dir, NULL, &one));
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(st.st_size, 32);
    assert_ok(keyring_open(dir, "", &two));
    keyring_derive(one, "x", a);
    keyring_derive(two, "x", b);
    assert_memory_equal(a, b, 32);
    keyring_free(one);
    keyring_free(two);
    assert_int_equal(chmod(path, 0644), 0);
    assert_err(keyring_open(dir, NULL, &one), CONFIG);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(truncate(path, 31), 0);
    assert_err(keyring_open(dir, NULL, &one), CONFIG);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/dev/zero", path), 0);
    assert_err(keyring_open(dir, NULL, &one), CONFIG);
    assert_err(keyring_open(arena_printf(A, "%s/none/such", dir), NULL, &one), CONFIG);
    assert_err(keyring_open(dir, "too short to be a secret", &one), CONFIG);
    unlink(path);
    rmdir(arena_printf(A, "%s/keys", dir));
    rmdir(dir);
}

/* RFC 4231 case 2, RFC 5869 case 1, RFC 8032 test 2 */
static void vectors(void **state) {
    (void)state;
    char hex[129];
    uint8_t mac[32], okm[42];
    crypto_hmac_sha256(STR("Jefe"), STR("what do ya want for nothing?"), mac);
    str_to_hex(mac, 32, hex);
    assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    uint8_t ikm[22], salt[13];
    memset(ikm, 0x0b, sizeof(ikm));
    for (int i = 0; i < 13; i++)
        salt[i] = (uint8_t)i;
    static const char info[] = "\xf0\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8\xf9";
    crypto_hkdf(str_n((char *)ikm, 22), str_n((char *)salt, 13), info, okm, 42);
    str_to_hex(okm, 32, hex);
    assert_string_equal(hex, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
    uint8_t seed[32], sig[64];
    assert_true(str_from_hex(STR("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"), seed));
    struct ed25519_key k;
    ed25519_from_seed(seed, &k);
    ed25519_sign(&k, str_n("\x72", 1), sig);
    str_to_hex(sig, 64, hex);
    assert_string_equal(hex, "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                             "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
    assert_true(ed25519_verify(k.public, str_n("\x72", 1), str_n((char *)sig, 64)));
    assert_false(ed25519_verify(k.public, str_n("\x73", 1), str_n((char *)sig, 64)));
    assert_false(ed25519_verify(k.public, str_n("\x72", 1), str_n((char *)sig, 63)));
}

static void bytea(void **state) {
    (void)state;
    struct str back;
    assert_string_equal(bytea_text(A, str_n("\x00\xff\x10", 3)), "\\x00ff10");
    assert_ok(bytea_parse(A, "\\x00ff10", &back));
    assert_int_equal(back.n, 3);
    assert_memory_equal(back.p, "\x00\xff\x10", 3);
    assert_ok(bytea_parse(A, "\\x", &back));
    assert_int_equal(back.n, 0);
    assert_err(bytea_parse(A, "00ff", &back), INTERNAL);
    assert_err(bytea_parse(A, "\\x0", &back), INTERNAL);
    assert_err(bytea_parse(A, "\\xzz", &back), INTERNAL);
}

#define S(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
int main(void) {
    const struct CMUnitTest tests[] = {S(opens_in_its_place),
                                       S(every_bit_counts),
                                       S(moved_values_stay_shut),
                                       S(purposes_have_different_keys),
                                       S(root_key_file),
                                       S(vectors),
                                       S(bytea)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
