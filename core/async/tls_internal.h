/* Building the client context, apart from moving bytes. Private to tls.c and tls_conf.c. */
#pragma once
#include <openssl/ssl.h>
#include "core/async/net.h"

/** Context and connection object ready for SSL_do_handshake. ERR_INVALID names the PEM that is bad. */
MUST_CHECK err_t tls_client_new(const struct tls_client_conf *conf, SSL **ret);
/** The newest entry of BoringSSL's error queue as text; empties the queue. Never NULL. */
const char *tls_reason(void);
