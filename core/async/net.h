/* Byte streams for fibers: unix, TCP, TLS client (BoringSSL, >= 1.2, peer verified), child pipes. One reader fiber and one
 * writer fiber at a time per stream. Bytes live in buffers of the stream until the next read. */
#pragma once
#include <stdbool.h>
#include "core/base/err.h"
#include "core/base/str.h"

struct stream;
/** Client TLS: PEM texts; ca NULL = system store; pin = the only accepted CA. Verifies name/IP SAN. */
struct tls_client_conf {
    const char *ca_pem, *cert_pem, *key_pem;
    const char *server_name; /* SNI + verification; IP literals are verified as IP SAN */
};

/** All YIELD; errors: ERR_UNAVAILABLE (refused, unreachable), ERR_TIMEOUT, ERR_TLS_VERIFY, ERR_CANCELLED. */
MUST_CHECK err_t net_connect_unix(const char *path, uint64_t deadline, struct stream **ret);
/** Resolves off the loop (core/async/dns.h), tries each address in turn; TCP_NODELAY, keepalive 30 s. */
MUST_CHECK err_t net_connect_tcp(const char *host, int port, uint64_t deadline, struct stream **ret);
/** Wrap a connected stream; takes ownership of `inner` in any case. */
MUST_CHECK err_t net_tls_client(struct stream *inner, const struct tls_client_conf *conf, uint64_t deadline,
                                struct stream **ret);

/** YIELDS until bytes are there. *ret.n == 0 means EOF. The range is valid until the next call on this stream. */
MUST_CHECK err_t stream_read(struct stream *s, uint64_t deadline, struct str *ret);
/** Give back the last n bytes of what stream_read returned (they come again). */
void stream_unread(struct stream *s, size_t n);
/** YIELDS until the kernel (or TLS) took everything. */
MUST_CHECK err_t stream_write(struct stream *s, const void *p, size_t n, uint64_t deadline);
/** Half-close: shutdown(SHUT_WR) / TLS close_notify. Reading goes on. */
MUST_CHECK err_t stream_shutdown_write(struct stream *s, uint64_t deadline);
/** Is the peer still there (no EOF or unexpected bytes pending)? For idle pool connections: ends the
 * validity of what stream_read returned; does not yield. */
bool stream_idle_ok(struct stream *s);
/** Callback mode for byte pumps on the loop stack: after this no stream_read. cb(arg, bytes, err): bytes.n==0 && !err = EOF;
 * called once more with err or EOF at the end. Pause/resume any time, also inside cb. cb may call stream_close. */
typedef void stream_cb(void *arg, struct str bytes, err_t e);
void stream_pump(struct stream *s, stream_cb *cb, void *arg);
void stream_pause(struct stream *s);
void stream_resume(struct stream *s);
/** Queue bytes from the loop stack (copied); returns bytes queued so far; drained_cb when it falls to 0. */
size_t stream_push(struct stream *s, const void *p, size_t n);
void stream_on_drained(struct stream *s, void (*cb)(void *arg), void *arg);
/** Writing failed (peer gone, or a fiber gave up in the middle). Reading may still work; pushes are dropped. */
bool stream_write_broken(const struct stream *s);
void stream_shutdown_push(struct stream *s); /* half-close after what is queued */
/** Close and free; NULL is fine; parked fibers on it get ERR_IO. Any stack. */
void stream_close(struct stream *s);
DF_AUTO_DEFINE(stream, struct stream *, stream_close);
