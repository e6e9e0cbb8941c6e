#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/stat.h>
#include "core/async/tls_internal.h"
#include "core/base/check.h"

static const char SYSTEM_CA[] = "/etc/ssl/certs/ca-certificates.crt";
enum { PEM_MAX = 1024 * 1024, CHAIN_MAX = 16 };

static inline void bio_free_(BIO *b) { BIO_free(b); }
DF_AUTO_DEFINE(ssl_bio, BIO *, bio_free_);
DF_AUTO_DEFINE(ssl_ctx, SSL_CTX *, SSL_CTX_free);
DF_AUTO_DEFINE(ssl_conn, SSL *, SSL_free);
DF_AUTO_DEFINE(ssl_store, X509_STORE *, X509_STORE_free);
DF_AUTO_DEFINE(ssl_pkey, EVP_PKEY *, EVP_PKEY_free);

const char *tls_reason(void) {
    uint32_t code = ERR_peek_last_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    ERR_clear_error();
    return reason != NULL ? reason : "unknown reason";
}

/* A passphrase prompt would read the terminal of a server. */
static int no_passphrase(char *buf, int size, int rwflag, void *arg) {
    (void)buf;
    (void)size;
    (void)rwflag;
    (void)arg;
    return 0;
}

static err_t pem_bio(const char *pem, const char *what, BIO **ret) {
    size_t n = strlen(pem);
    if (n > PEM_MAX)
        return err_new(ERR_INVALID, "%s: %zu bytes of PEM, at most %d are allowed", what, n, PEM_MAX);
    *ret = BIO_new_mem_buf(pem, (int)n);
    CHECK(*ret != NULL);
    return NULL;
}

/* Parsing the system's 140 certificates takes some ms: once, and again when the file changes. */
static err_t system_store(X509_STORE **ret) {
    static X509_STORE *cached;
    static struct timespec loaded;
    static ino_t inode;
    struct stat st;
    if (stat(SYSTEM_CA, &st) != 0)
        return err_new(ERR_CONFIG, "%s is missing: install the package ca-certificates", SYSTEM_CA);
    bool fresh = cached != NULL && st.st_ino == inode && st.st_mtim.tv_sec == loaded.tv_sec &&
                 st.st_mtim.tv_nsec == loaded.tv_nsec;
    if (!fresh) {
        AUTO(ssl_store) s = X509_STORE_new();
        if (!X509_STORE_load_locations(s, SYSTEM_CA, NULL))
            return err_new(ERR_CONFIG, "cannot read %s: %s", SYSTEM_CA, tls_reason());
        X509_STORE_free(cached);
        cached = TAKE(s);
        loaded = st.st_mtim;
        inode = st.st_ino;
    }
    X509_STORE_up_ref(cached);
    *ret = cached;
    return NULL;
}

static err_t pinned_store(const char *pem, X509_STORE **ret) {
    AUTO(ssl_store) s = X509_STORE_new();
    AUTO(ssl_bio) bio = NULL;
    TRY(pem_bio(pem, "CA certificate", &bio));
    size_t n = 0;
    for (X509 *x; (x = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)) != NULL; n++) {
        X509_STORE_add_cert(s, x);
        X509_free(x);
    }
    if (n == 0)
        return err_new(ERR_INVALID, "CA certificate: no usable PEM certificate: %s", tls_reason());
    ERR_clear_error(); /* the end of the text is an error to the PEM reader */
    /* The pinned certificate is the anchor, be it an intermediate or the server's own. */
    X509_VERIFY_PARAM_set_flags(X509_STORE_get0_param(s), X509_V_FLAG_PARTIAL_CHAIN);
    *ret = TAKE(s);
    return NULL;
}

static err_t use_cert(SSL_CTX *ctx, const char *pem) {
    AUTO(ssl_bio) bio = NULL;
    TRY(pem_bio(pem, "client certificate", &bio));
    bool ok = true;
    int n = 0;
    for (X509 *x; ok && n < CHAIN_MAX && (x = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)) != NULL; n++) {
        ok = n == 0 ? SSL_CTX_use_certificate(ctx, x) : SSL_CTX_add1_chain_cert(ctx, x);
        X509_free(x);
    }
    if (n == 0 || !ok)
        return err_new(ERR_INVALID, "client certificate: %s", tls_reason());
    ERR_clear_error();
    return NULL;
}

static err_t use_key(SSL_CTX *ctx, const char *pem) {
    AUTO(ssl_bio) bio = NULL;
    TRY(pem_bio(pem, "client key", &bio));
    AUTO(ssl_pkey) key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    if (key == NULL)
        return err_new(ERR_INVALID, "client key: not a PEM private key without passphrase: %s", tls_reason());
    if (!SSL_CTX_use_PrivateKey(ctx, key) || !SSL_CTX_check_private_key(ctx))
        return err_new(ERR_INVALID, "client key does not belong to the client certificate: %s", tls_reason());
    return NULL;
}

static err_t make_ctx(const struct tls_client_conf *conf, SSL_CTX **ret) {
    AUTO(ssl_ctx) ctx = SSL_CTX_new(TLS_method());
    CHECK(ctx != NULL);
    CHECK(SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION));
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    X509_STORE *store = NULL;
    TRY(conf->ca_pem != NULL ? pinned_store(conf->ca_pem, &store) : system_store(&store));
    SSL_CTX_set_cert_store(ctx, store); /* takes it */
    if ((conf->cert_pem == NULL) != (conf->key_pem == NULL))
        return err_new(ERR_INVALID, "a client certificate needs its key and the other way round");
    if (conf->cert_pem != NULL) {
        TRY(use_cert(ctx, conf->cert_pem));
        TRY(use_key(ctx, conf->key_pem));
    }
    *ret = TAKE(ctx);
    return NULL;
}

static bool is_ip(const char *s) {
    unsigned char addr[16];
    return inet_pton(AF_INET, s, addr) == 1 || inet_pton(AF_INET6, s, addr) == 1;
}

err_t tls_client_new(const struct tls_client_conf *conf, SSL **ret) {
    ERR_clear_error();
    const char *name = conf->server_name;
    if (name == NULL || name[0] == '\0' || strlen(name) > 253)
        return err_new(ERR_INVALID, "TLS needs the server's name to verify");
    AUTO(ssl_ctx) ctx = NULL;
    TRY(make_ctx(conf, &ctx));
    AUTO(ssl_conn) ssl = SSL_new(ctx);
    CHECK(ssl != NULL);
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    bool ok = is_ip(name)
                  ? X509_VERIFY_PARAM_set1_ip_asc(param, name)
                  : X509_VERIFY_PARAM_set1_host(param, name, strlen(name)) && SSL_set_tlsext_host_name(ssl, name);
    if (!ok)
        return err_new(ERR_INVALID, "TLS server name \"%s\" is not usable: %s", name, tls_reason());
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    CHECK(in != NULL && out != NULL);
    SSL_set_bio(ssl, in, out);
    SSL_set_connect_state(ssl);
    *ret = TAKE(ssl);
    return NULL;
}
