/* Listening sockets and their TLS contexts. Private to server/. */
#pragma once
#include "server/internal.h"
struct listener;
h2o_accept_ctx_t *listener_accept_ctx(struct listener *l);
MUST_CHECK err_t listen_start(const struct listen_conf *confs, size_t n);
MUST_CHECK err_t listen_reload_tls(void);
void listen_fini(void); /* after every connection is gone */
void conn_drop_unstarted(struct conn *c);
/** tls.c: a server context from PEM files: TLS 1.2 and 1.3, AEAD and ECDHE only, ALPN h2 and http/1.1. ERR_CONFIG. */
MUST_CHECK err_t tls_server_ctx(const char *cert_path, const char *key_path, SSL_CTX **ret);
