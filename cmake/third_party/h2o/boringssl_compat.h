/* h2o asks a fresh SSL about its handshake before the first SSL_accept.  OpenSSL allows that;
 * BoringSSL must know its side from the start.  h2o serves here, so that is the default, and a
 * connecting socket changes sides before its handshake. */
#pragma once
#include <openssl/ssl.h>

static inline SSL *df_ssl_new(SSL_CTX *ctx) {
    SSL *ssl = SSL_new(ctx);
    if (ssl)
        SSL_set_accept_state(ssl);
    return ssl;
}

static inline int df_ssl_connect(SSL *ssl) {
    SSL_set_connect_state(ssl);
    return SSL_do_handshake(ssl);
}

#define SSL_new(ctx) df_ssl_new(ctx)
#define SSL_connect(ssl) df_ssl_connect(ssl)
