#include <argon2.h>
#include <stdlib.h>
#include "core/async/work.h"
#include "core/base/check.h"
#include "core/base/id.h"
#include "core/crypto/crypto.h"

#define T_COST 2
#define M_COST 65536 /* KiB */
#define LANES 1
#define PHC_MAX 160

/* Everything a worker thread needs, in one block that is wiped. */
struct hash_box {
    uint8_t peppered[32];
    uint8_t salt[16];
    char phc[PHC_MAX];
    bool verify, ok;
    int rc;
};

static void box_free(void *p) {
    mem_wipe(p, sizeof(struct hash_box));
    free(p);
}

static void box_run(void *p) {
    struct hash_box *b = p;
    if (b->verify) {
        b->rc = argon2id_verify(b->phc, b->peppered, sizeof(b->peppered));
        b->ok = b->rc == ARGON2_OK;
        return;
    }
    b->rc = argon2id_hash_encoded(T_COST, M_COST, LANES, b->peppered, sizeof(b->peppered), b->salt, sizeof(b->salt), 32,
                                  b->phc, PHC_MAX);
}

static struct hash_box *box_new(const struct keyring *k, struct str password) {
    struct hash_box *b = calloc(1, sizeof(*b));
    CHECK(b != NULL);
    uint8_t pepper[32];
    keyring_derive(k, "pepper", pepper);
    crypto_hmac_sha256(str_n((const char *)pepper, 32), password, b->peppered);
    mem_wipe(pepper, sizeof(pepper));
    random_bytes(b->salt, sizeof(b->salt));
    return b;
}

static err_t run(struct hash_box *b, uint64_t deadline) {
    err_t e = work_run(WORK_HASH, box_run, b, box_free, NULL, deadline);
    if (e && e->code == ERR_BUSY)
        box_free(b);
    return e;
}

err_t password_hash(struct arena *a, const struct keyring *k, struct str password, uint64_t deadline, char **ret) {
    struct hash_box *b = box_new(k, password);
    TRY(run(b, deadline));
    err_t e =
        b->rc == ARGON2_OK ? NULL : err_new(ERR_INTERNAL, "password hash failed: %s", argon2_error_message(b->rc));
    if (e == NULL)
        *ret = arena_strdup(a, b->phc);
    box_free(b);
    return e;
}

/* A legal hash of a random value: an unknown user costs what a known one does. */
static const char dummy[] =
    "$argon2id$v=19$m=65536,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

err_t password_verify(const struct keyring *k, struct str password, const char *phc, uint64_t deadline, bool *ret_ok) {
    struct hash_box *b = box_new(k, password);
    const char *stored = phc && strlen(phc) < PHC_MAX ? phc : dummy;
    memcpy(b->phc, stored, strlen(stored) + 1);
    b->verify = true;
    TRY(run(b, deadline));
    *ret_ok = b->ok && stored == phc;
    box_free(b);
    return NULL;
}

/* Stems of what people really choose when told to use twelve characters; compared without digits and punctuation. */
static const char *const common[] = {"password",
                                     "passwort",
                                     "administrator",
                                     "dockflow",
                                     "letmein",
                                     "welcome",
                                     "qwertyuiop",
                                     "qwerty",
                                     "iloveyou",
                                     "changeme",
                                     "changemenow",
                                     "football",
                                     "baseball",
                                     "superman",
                                     "trustno",
                                     "sunshine",
                                     "princess",
                                     "monkey",
                                     "dragon",
                                     "master",
                                     "secret",
                                     "default",
                                     "docker",
                                     "adminadmin",
                                     "rootroot",
                                     "abcdefghijkl",
                                     "correcthorsebatterystaple",
                                     "passwordpassword",
                                     "asdfghjkl",
                                     "zxcvbnm",
                                     "test",
                                     "testtest"};

static size_t letters_of(struct str s, char *out, size_t max) {
    size_t n = 0;
    for (size_t i = 0; i < s.n && n + 1 < max; i++) {
        char c = s.p[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c + 32);
        if ((c >= 'a' && c <= 'z') || (unsigned char)c >= 0x80)
            out[n++] = c;
    }
    out[n] = '\0';
    return n;
}

static bool few_different(struct str s) {
    bool seen[256] = {false};
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        n += !seen[(unsigned char)s.p[i]];
        seen[(unsigned char)s.p[i]] = true;
    }
    return n < 5;
}

static bool sequence(struct str s) {
    size_t run = 0;
    for (size_t i = 1; i < s.n; i++)
        run += (s.p[i] - s.p[i - 1] == 1 || s.p[i] - s.p[i - 1] == -1);
    return run + 2 >= s.n;
}

static err_t weak(const char *why) { return err_field(err_new(ERR_WEAK_PASSWORD, "%s", why), "/password"); }

err_t password_check(struct str password, const char *username, const char *email) {
    char letters[260];
    if (password.n < 12)
        return weak("the password must have at least 12 bytes");
    if (password.n > 256)
        return weak("the password must have at most 256 bytes");
    if (memchr(password.p, '\0', password.n))
        return weak("the password must not contain a NUL byte");
    if (few_different(password) || sequence(password))
        return weak("the password repeats or counts; use a passphrase of several words");
    (void)letters_of(password, letters, sizeof(letters));
    for (size_t i = 0; i < ARRAY_LEN(common); i++)
        if (z_eq(letters, common[i]))
            return weak("the password is a common one; use a passphrase of several words");
    struct str local = {NULL, 0}, rest = str_of(email ? email : "");
    (void)str_cut(&rest, '@', &local);
    if (str_eqz(password, username) || str_eqz(password, email) || (local.n >= 4 && str_eqz(local, letters)))
        return weak("the password must not be the user's own name");
    return NULL;
}
