/* Wycheproof's Ed25519 vectors, from the BoringSSL sources this is built with: each signature counts or not, as they say. */
#include <stdio.h>
#include "core/crypto/crypto.h"
#include "tests/unit/base/base_test.h"

struct vector {
    uint8_t key[32];
    struct str msg, sig;
    bool valid;
};

static unsigned nibble(char c) { return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a') + 10; }

static struct str hex(const char *text) {
    size_t n = strspn(text, "0123456789abcdef") / 2;
    uint8_t *out = arena_alloc(A, n + 1, 1);
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)(nibble(text[2 * i]) << 4 | nibble(text[2 * i + 1]));
    return str_n((const char *)out, n);
}

static void judge(const struct vector *v, size_t number) {
    bool good = v->sig.n == 64 && ed25519_verify(v->key, v->msg, v->sig);
    if (good != v->valid)
        fail_msg("tcId %zu: %s", number, good ? "accepted" : "refused");
}

static void ed25519_vectors(void **state) {
    (void)state;
    FILE *f = fopen(WYCHEPROOF "/eddsa_test.txt", "r");
    if (f == NULL)
        skip(); /* a packager's sources may leave it out */
    char line[4096];
    struct vector v = {0};
    size_t number = 0, seen = 0;
    while (fgets(line, sizeof(line), f) != NULL) {
        struct str s;
        if (z_starts(line, "[key.pk = ")) {
            s = hex(line + 10);
            assert_int_equal(s.n, 32);
            memcpy(v.key, s.p, 32);
        } else if (z_starts(line, "# tcId = ")) {
            number++;
        } else if (z_starts(line, "msg = ")) {
            v.msg = hex(line + 6);
        } else if (z_starts(line, "result = ")) {
            v.valid = z_starts(line + 9, "valid");
        } else if (z_starts(line, "sig = ")) {
            v.sig = hex(line + 6);
            judge(&v, number);
            seen++;
        }
    }
    (void)fclose(f);
    assert_true(seen >= 140);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(ed25519_vectors, test_setup, test_teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
