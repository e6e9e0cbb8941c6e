#include "base_test.h"
#include "core/base/sha256.h"

static void test_vectors(void **state) {
    (void)state;
    char *million = arena_alloc(A, 1000000, 1);
    memset(million, 'a', 1000000);
    const struct {
        struct str in;
        const char *hex;
    } v[] = {
        {STR(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {STR("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {STR("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {str_n(million, 1000000), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
    };
    for (size_t i = 0; i < ARRAY_LEN(v); i++)
        assert_string_equal(sha256_hex(A, v[i].in.p, v[i].in.n), v[i].hex);
}

/* Any cutting of the input gives the same digest: every length around the block edges, in pieces of every small size. */
static void test_pieces(void **state) {
    (void)state;
    char data[200];
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (char)(i * 7);
    for (size_t n = 0; n <= sizeof(data); n++) {
        const char *whole = sha256_hex(A, data, n);
        for (size_t step = 1; step < 70; step += 13) {
            struct sha256 s;
            uint8_t out[32];
            char hex[65];
            sha256_init(&s);
            for (size_t at = 0; at < n; at += step)
                sha256_update(&s, data + at, n - at < step ? n - at : step);
            sha256_update(&s, data, 0);
            sha256_final(&s, out);
            str_to_hex(out, 32, hex);
            assert_string_equal(hex, whole);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {T(test_vectors), T(test_pieces)};
    return cmocka_run_group_tests_name("sha256", tests, NULL, NULL);
}
