/* Password hashes in their lane, and what counts as a password. */
#include "core/async/work.h"
#include "core/crypto/crypto.h"
#include "tests/unit/async/async_test.h"

static struct keyring *ring(const char *secret) {
    struct keyring *k;
    OK(keyring_open("/nonexistent", secret, &k));
    return k;
}

TEST(hash_and_verify) {
    struct keyring *k = ring("a secret of at least thirty-two bytes"),
                   *foreign = ring("another secret of thirty-two bytes!!");
    struct arena *a = arena_current();
    uint64_t dl = deadline_in(SECONDS(30));
    char *one, *two;
    bool ok;
    OK(password_hash(a, k, STR("correct horse"), dl, &one));
    OK(password_hash(a, k, STR("correct horse"), dl, &two));
    CHECK(z_starts(one, "$argon2id$v=19$m=65536,t=2,p=1$") && !z_eq(one, two));
    OK(password_verify(k, STR("correct horse"), one, dl, &ok));
    CHECK(ok);
    static const char *const wrong[] = {"", "correct hors", "correct horse ", "Correct horse"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        OK(password_verify(k, str_of(wrong[i]), one, dl, &ok));
        CHECK(!ok);
    }
    OK(password_verify(foreign, STR("correct horse"), one, dl, &ok)); /* the pepper is part of it */
    CHECK(!ok);
    static const char *const broken[] = {"", "x", "$argon2id$v=19$m=65536,t=2,p=1$", "plain"};
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        OK(password_verify(k, STR("correct horse"), broken[i], dl, &ok));
        CHECK(!ok);
    }
    /* Long ones are not cut. */
    struct str longer = str_n(arena_zalloc(a, 257), 256);
    memset((char *)(size_t)longer.p, 'p', 256);
    OK(password_hash(a, k, longer, dl, &one));
    OK(password_verify(k, str_slice(longer, 0, 255), one, dl, &ok));
    CHECK(!ok);
    keyring_free(k);
    keyring_free(foreign);
    return NULL;
}

TEST(unknown_user_costs_a_hash) {
    struct keyring *k = ring("a secret of at least thirty-two bytes");
    uint64_t before = work_stats_get(WORK_HASH).done;
    bool ok = true;
    OK(password_verify(k, STR("whatever it is"), NULL, deadline_in(SECONDS(30)), &ok));
    CHECK(!ok && work_stats_get(WORK_HASH).done == before + 1);
    keyring_free(k);
    return NULL;
}

TEST(deadline_is_kept) {
    struct keyring *k = ring("a secret of at least thirty-two bytes");
    bool ok;
    FAILS(ERR_TIMEOUT, password_verify(k, STR("whatever it is"), NULL, deadline_in(1), &ok));
    OK(fiber_sleep(300)); /* the abandoned hash ends and drops its box */
    keyring_free(k);
    return NULL;
}

static struct str fill(char c, size_t n) {
    char *p = arena_alloc(arena_current(), n + 1, 1);
    memset(p, c, n);
    return str_n(p, n);
}

/* AU9 */
TEST(what_counts_as_a_password) {
    static const char *const weak[] = {"",
                                       "short",
                                       "elevenbytes",
                                       "123456789012",
                                       "abcdefghijklmnop",
                                       "zyxwvutsrqponmlk",
                                       "aaaaaaaaaaaaaa",
                                       "abababababababab",
                                       "password1234",
                                       "PASSWORD!!!!!",
                                       "Passw0rd"};
    for (size_t i = 0; i < ARRAY_LEN(weak); i++)
        FAILS(ERR_WEAK_PASSWORD, password_check(str_of(weak[i]), "alice", "alice@example.test"));
    static const char *const good[] = {"twelve chars", "p\xc3\xa4ssw\xc3\xb6rter sind l\xc3\xa4nger",
                                       "\xf0\x9f\x90\x99 eight arms", "correct horse battery"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        OK(password_check(str_of(good[i]), "alice", "alice@example.test"));
    struct str text = fill('x', 257);
    for (size_t i = 0; i < text.n; i++)
        ((char *)(size_t)text.p)[i] = (char)('a' + i * 7 % 26);
    OK(password_check(str_slice(text, 0, 256), "alice", "a@b"));
    FAILS(ERR_WEAK_PASSWORD, password_check(text, "alice", "a@b"));
    FAILS(ERR_WEAK_PASSWORD, password_check(str_n("twelve\0chars!", 13), "alice", "a@b"));
    FAILS(ERR_WEAK_PASSWORD, password_check(STR("alice-the-user"), "alice-the-user", "a@b"));
    FAILS(ERR_WEAK_PASSWORD, password_check(STR("alice@example.test"), "alice", "alice@example.test"));
    return NULL;
}

int main(void) {
    const struct CMUnitTest tests[] = {LOOP_TEST(hash_and_verify), LOOP_TEST(unknown_user_costs_a_hash),
                                       LOOP_TEST(deadline_is_kept), LOOP_TEST(what_counts_as_a_password)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
