/* h2o asks a new SSL for its state before the first SSL_accept, which OpenSSL allows and BoringSSL
 * does not: it needs to know its side from the start.  A client connect sets its own side after. */
#pragma once
#include <openssl/ssl.h>

static inline SSL *df_ssl_new_server(SSL_CTX *ctx)
{
    SSL *ssl = SSL_new(ctx);
    if (ssl)
        SSL_set_accept_state(ssl);
    return ssl;
}
#define SSL_new(ctx) df_ssl_new_server(ctx)
