#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include "server/listen.h"

/* TLS 1.3 suites are fixed in BoringSSL (all AEAD); these are the ones for 1.2. */
static const char CIPHERS[] = "ECDHE+AESGCM:ECDHE+CHACHA20";

static err_t tls_err(const char *what, const char *path) {
    uint32_t code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    ERR_clear_error();
    return err_new(ERR_CONFIG, "%s %s: %s", what, path, reason ? reason : "unreadable");
}

static int on_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *in, unsigned in_len, void *arg) {
    (void)ssl;
    (void)arg;
    static const uint8_t OURS[] = "\x02h2\x08http/1.1";
    uint8_t *chosen;
    if (SSL_select_next_proto(&chosen, out_len, OURS, sizeof(OURS) - 1, in, in_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL; /* RFC 7301 3.2: no_application_protocol */
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static err_t check_dates(SSL_CTX *ctx, const char *path) {
    X509 *cert = SSL_CTX_get0_certificate(ctx);
    if (cert == NULL)
        return err_new(ERR_CONFIG, "%s holds no certificate", path);
    if (X509_cmp_current_time(X509_get0_notAfter(cert)) < 0)
        return err_new(ERR_CONFIG, "the certificate %s has expired", path);
    if (X509_cmp_current_time(X509_get0_notBefore(cert)) > 0)
        return err_new(ERR_CONFIG, "the certificate %s is not valid yet", path);
    return NULL;
}

static err_t configure(SSL_CTX *ctx, const char *cert_path, const char *key_path) {
    if (!SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) || !SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) ||
        !SSL_CTX_set_strict_cipher_list(ctx, CIPHERS))
        return tls_err("set up TLS for", cert_path);
    SSL_CTX_set_early_data_enabled(ctx, 0);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets only; BoringSSL rotates their keys itself */
    if (SSL_CTX_use_certificate_chain_file(ctx, cert_path) != 1)
        return tls_err("certificate", cert_path);
    if (SSL_CTX_use_PrivateKey_file(ctx, key_path, SSL_FILETYPE_PEM) != 1)
        return tls_err("private key", key_path);
    if (SSL_CTX_check_private_key(ctx) != 1)
        return tls_err("private key does not fit the certificate:", key_path);
    return check_dates(ctx, cert_path);
}

err_t tls_server_ctx(const char *cert_path, const char *key_path, SSL_CTX **ret) {
    ERR_clear_error();
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    CHECK(ctx != NULL);
    err_t e = configure(ctx, cert_path, key_path);
    if (e != NULL) {
        SSL_CTX_free(ctx);
        return e;
    }
    *ret = ctx;
    return NULL;
}
