#include <errno.h>
#include <fcntl.h>
#include <openssl/aead.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core/base/buf.h"
#include "core/base/check.h"
#include "core/base/id.h"
#include "core/crypto/crypto.h"

#define ROOT_BYTES 32
#define KEY_ID 1u

struct keyring {
    uint8_t root[ROOT_BYTES];
    EVP_AEAD_CTX seal_ctx;
};

/* Key bytes: pages of their own, not swapped (best effort), not in core dumps, gone in a forked child. */
static struct keyring *keyring_new(void) {
    struct keyring *k = mmap(NULL, sizeof(*k), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(k != MAP_FAILED);
    (void)mlock(k, sizeof(*k));
    (void)madvise(k, sizeof(*k), MADV_DONTDUMP);
    (void)madvise(k, sizeof(*k), MADV_WIPEONFORK);
    return k;
}

static void keyring_ready(struct keyring *k) {
    uint8_t key[32];
    keyring_derive(k, "seal", key);
    CHECK(EVP_AEAD_CTX_init(&k->seal_ctx, EVP_aead_aes_256_gcm_siv(), key, sizeof(key), 16, NULL) == 1);
    mem_wipe(key, sizeof(key));
}

void keyring_free(struct keyring *k) {
    if (k == NULL)
        return;
    EVP_AEAD_CTX_cleanup(&k->seal_ctx);
    mem_wipe(k, sizeof(*k));
    (void)munmap(k, sizeof(*k));
}

void keyring_derive(const struct keyring *k, const char *purpose, uint8_t out[32]) {
    crypto_hkdf(str_n((const char *)k->root, ROOT_BYTES), STR("dockflow keyring v1"), purpose, out, 32);
}

static err_t file_err(const char *what, const char *path) {
    return err_new(ERR_CONFIG, "%s %s: %s", what, path, strerrorname_np(errno) ? strerrorname_np(errno) : "error");
}

static err_t make_dir(const char *path) {
    return mkdir(path, 0700) == 0 || errno == EEXIST ? NULL : file_err("create directory", path);
}

/* Written under another name and linked, so that a crash leaves either no key or a whole one. */
static err_t root_create(struct arena *a, const char *path, uint8_t out[ROOT_BYTES]) {
    const char *tmp = arena_printf(a, "%s.new", path);
    (void)unlink(tmp);
    int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return file_err("create", tmp);
    random_bytes(out, ROOT_BYTES);
    bool ok = write(fd, out, ROOT_BYTES) == ROOT_BYTES && fsync(fd) == 0;
    ok = close(fd) == 0 && ok;
    if (!ok || link(tmp, path) != 0)
        return file_err("write", path);
    (void)unlink(tmp);
    return NULL;
}

static err_t root_load(struct arena *a, const char *path, uint8_t out[ROOT_BYTES]) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return root_create(a, path, out);
    if (fd < 0)
        return file_err("open", path);
    struct stat st;
    err_t e = NULL;
    if (fstat(fd, &st) != 0 || (st.st_mode & 077) != 0)
        e = err_new(ERR_CONFIG, "%s must be readable by its owner only; run: chmod 600 %s", path, path);
    else if (st.st_size != ROOT_BYTES || read(fd, out, ROOT_BYTES) != ROOT_BYTES)
        e = err_new(ERR_CONFIG,
                    "%s must hold exactly %d bytes; restore it from a backup: without it no stored secret opens", path,
                    ROOT_BYTES);
    (void)close(fd);
    return e;
}

err_t keyring_open(const char *data_dir, const char *secret, struct keyring **ret) {
    AUTO(arena) a = arena_new("keyring", 0);
    struct keyring *k = keyring_new();
    err_t e = NULL;
    if (secret && *secret) {
        if (strlen(secret) < 32)
            e = err_new(ERR_CONFIG, "auth.secretKey must have at least 32 bytes");
        else
            crypto_hkdf(str_of(secret), STR("dockflow root v1"), "root", k->root, ROOT_BYTES);
    } else {
        const char *dir = arena_printf(a, "%s/keys", data_dir);
        e = make_dir(dir);
        if (e == NULL)
            e = root_load(a, arena_printf(a, "%s/root.key", dir), k->root);
    }
    if (e) {
        keyring_free(k);
        return e;
    }
    keyring_ready(k);
    *ret = k;
    return NULL;
}

static void put(struct buf *b, const char *s) {
    uint32_t n = (uint32_t)strlen(s);
    uint8_t len[4] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
    buf_put(b, len, 4);
    buf_put(b, s, n);
}

static struct str aad_of(struct arena *a, const struct seal_place *at) {
    AUTO_BUF b;
    buf_init(&b, 128, KIB(4));
    put(&b, "DFS1");
    put(&b, "1");
    put(&b, at->table);
    put(&b, at->column);
    put(&b, at->row_id);
    CHECK(buf_check(&b) == NULL);
    return str_dup(a, buf_str(&b));
}

#define HEAD 20 /* magic 4, key id 4, nonce 12 */
static const uint8_t seal_head[8] = {'D', 'F', 'S', '1', 0, 0, 0, 1};

struct str seal(struct arena *a, const struct keyring *k, const struct seal_place *at, struct str plain) {
    uint8_t *out = arena_alloc(a, HEAD + plain.n + 16, 1);
    struct str aad = aad_of(a, at);
    size_t n;
    memcpy(out, seal_head, sizeof(seal_head));
    random_bytes(out + 8, 12);
    CHECK(EVP_AEAD_CTX_seal(&k->seal_ctx, out + HEAD, &n, plain.n + 16, out + 8, 12, (const uint8_t *)plain.p, plain.n,
                            (const uint8_t *)aad.p, aad.n) == 1);
    return str_n((const char *)out, HEAD + n);
}

struct wipe {
    void *p;
    size_t n;
};

static void wipe_on_free(void *arg) {
    struct wipe *w = arg;
    mem_wipe(w->p, w->n);
}

err_t unseal(struct arena *a, const struct keyring *k, const struct seal_place *at, struct str blob, struct str *ret) {
    if (blob.n < HEAD + 16 || memcmp(blob.p, seal_head, sizeof(seal_head)) != 0)
        return err_new(ERR_INTERNAL, "sealed value of %s.%s has an unknown form", at->table, at->column);
    size_t room = blob.n - HEAD, n = 0;
    uint8_t *out = arena_alloc(a, room + 1, 1);
    struct wipe *w = arena_new_obj(a, struct wipe);
    *w = (struct wipe){out, room};
    arena_on_free(a, wipe_on_free, w);
    struct str aad = aad_of(a, at);
    int ok = EVP_AEAD_CTX_open(&k->seal_ctx, out, &n, room, (const uint8_t *)blob.p + 8, 12,
                               (const uint8_t *)blob.p + HEAD, room, (const uint8_t *)aad.p, aad.n);
    ERR_clear_error(); /* the queue is shared by all fibers */
    if (ok != 1)
        return err_new(ERR_INTERNAL,
                       "sealed value of %s.%s does not open: changed, moved, or sealed with another root key",
                       at->table, at->column);
    out[n] = '\0';
    *ret = str_n((const char *)out, n);
    return NULL;
}
