/* TLS client as a transport on top of another stream: ciphertext moves between two memory BIOs and the inner stream, which
 * runs in pump mode; the common half above is the same as for plain streams. Everything but the handshake wait happens on
 * whichever stack calls, without parking. */
#include <openssl/err.h>
#include <stdlib.h>
#include "core/async/fiber.h"
#include "core/async/loop.h"
#include "core/async/stream_impl.h"
#include "core/async/tls_internal.h"
#include "core/base/check.h"

enum { RECORD = 16 * 1024, NAME_MAX_ = 253 };

struct tls {
    struct stream s;
    struct stream *inner;
    SSL *ssl;
    struct fiber *waiter; /* in the handshake */
    bool ready, inner_eof, shut_wanted;
    struct deferred kick;
    char name[NAME_MAX_ + 1];
};

static struct tls *of(struct stream *s) { return CONTAINER_OF(s, struct tls, s); }

static void wake_waiter(struct tls *t) {
    if (t->waiter != NULL)
        fiber_wake(t->waiter);
}

/* ---- ciphertext out ---- */

static void flush(struct tls *t) {
    const uint8_t *p;
    size_t n;
    BIO *out = SSL_get_wbio(t->ssl);
    if (BIO_mem_contents(out, &p, &n) && n > 0) {
        (void)stream_push(t->inner, p, n);
        (void)BIO_reset(out);
    }
    if (t->inner->werr.set)
        stream_write_failed_(&t->s, t->inner->werr.code, "%s", t->inner->werr.text);
    if (t->ready)
        stream_queue_changed_(&t->s, t->inner->queued);
}

static void on_inner_drained(void *arg) {
    struct tls *t = arg;
    stream_ref_(&t->s);
    if (t->inner->werr.set)
        stream_write_failed_(&t->s, t->inner->werr.code, "%s", t->inner->werr.text);
    stream_queue_changed_(&t->s, 0);
    if (t->shut_wanted && !t->s.closed)
        stream_shut_done_(&t->s);
    stream_unref_(&t->s);
}

static void t_push(struct stream *s, const void *p, size_t n) {
    struct tls *t = of(s);
    const char *at = p;
    ERR_clear_error();
    while (n > 0) {
        int part = n < RECORD ? (int)n : RECORD;
        int rc = SSL_write(t->ssl, at, part);
        if (rc <= 0) {
            stream_write_failed_(s, ERR_IO, "TLS write failed: %s", tls_reason());
            break;
        }
        at += rc;
        n -= (size_t)rc;
    }
    flush(t);
}

static void t_shutdown(struct stream *s) {
    struct tls *t = of(s);
    ERR_clear_error();
    (void)SSL_shutdown(t->ssl);
    flush(t);
    t->shut_wanted = true;
    if (t->inner->queued == 0)
        stream_shut_done_(s);
}

/* ---- ciphertext in ---- */

/* Did one side not accept who or what the other one is? Such a peer is there, and asking again changes nothing. */
static bool is_distrust(uint32_t code) {
    switch (ERR_GET_REASON(code)) {
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
    case SSL_R_TLSV1_ALERT_INSUFFICIENT_SECURITY:
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
    case SSL_R_TLSV1_ALERT_CERTIFICATE_REQUIRED:
        return ERR_GET_LIB(code) == ERR_LIB_SSL;
    default:
        return false;
    }
}

static void handshake_failed(struct tls *t) {
    uint32_t code = ERR_peek_last_error();
    if (ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        ERR_clear_error();
        stream_read_failed_(&t->s, ERR_TLS_VERIFY, "cannot verify the TLS certificate of %s: %s", t->name,
                            X509_verify_cert_error_string(SSL_get_verify_result(t->ssl)));
    } else {
        stream_read_failed_(&t->s, is_distrust(code) ? ERR_TLS_VERIFY : ERR_UNAVAILABLE,
                            "TLS handshake with %s failed: %s", t->name, tls_reason());
    }
}

static void drive_handshake(struct tls *t) {
    ERR_clear_error();
    int rc = SSL_do_handshake(t->ssl);
    int why = rc == 1 ? 0 : SSL_get_error(t->ssl, rc);
    if (rc == 1)
        t->ready = true;
    else if (why != SSL_ERROR_WANT_READ)
        handshake_failed(t);
    flush(t); /* after a failure: the alert */
    if (!t->ready && !t->s.rerr.set && t->inner_eof)
        stream_read_failed_(&t->s, ERR_UNAVAILABLE, "TLS handshake with %s failed: the peer closed the connection",
                            t->name);
    if (t->ready || t->s.rerr.set)
        wake_waiter(t);
}

/* An end without close_notify may be an attacker's cut: whoever waits for the end must not take it for one. */
static void read_ended(struct tls *t, int rc) {
    int why = SSL_get_error(t->ssl, rc);
    if (why == SSL_ERROR_ZERO_RETURN)
        stream_in_eof_(&t->s);
    else if (why != SSL_ERROR_WANT_READ && is_distrust(ERR_peek_last_error())) /* TLS 1.3 refuses ours only now */
        stream_read_failed_(&t->s, ERR_TLS_VERIFY, "%s refused our TLS certificate: %s", t->name, tls_reason());
    else if (why != SSL_ERROR_WANT_READ)
        stream_read_failed_(&t->s, ERR_IO, "TLS read failed: %s", tls_reason());
    else if (t->inner_eof)
        stream_read_failed_(&t->s, ERR_IO, "the peer closed the connection without ending TLS");
}

static void drive_read(struct tls *t) {
    while (!t->s.closed && stream_in_wanted_(&t->s)) {
        size_t room;
        char *p = stream_in_space_(&t->s, &room);
        if (room == 0)
            break; /* a callback that was only just registered will empty it */
        ERR_clear_error();
        int rc = SSL_read(t->ssl, p, (int)room);
        if (rc <= 0) {
            read_ended(t, rc);
            break;
        }
        stream_in_added_(&t->s, (size_t)rc);
    }
    if (!t->s.closed)
        flush(t); /* key updates and alerts */
}

static void drive(struct tls *t) {
    stream_ref_(&t->s);
    if (!t->ready && !t->s.rerr.set && !t->s.closed)
        drive_handshake(t);
    if (t->ready && !t->s.closed)
        drive_read(t);
    if (!t->s.closed) {
        stream_in_trim_(&t->s);
        if (t->ready && !stream_in_wanted_(&t->s))
            stream_pause(t->inner);
    }
    stream_unref_(&t->s);
}

static void on_inner(void *arg, struct str bytes, err_t e) {
    struct tls *t = arg;
    if (e != NULL) {
        if (t->ready)
            stream_read_failed_(&t->s, e->code, "%s", e->message);
        else
            stream_read_failed_(&t->s, ERR_UNAVAILABLE, "TLS handshake with %s failed: %s", t->name, e->message);
        wake_waiter(t);
        return;
    }
    if (bytes.n == 0)
        t->inner_eof = true;
    else
        CHECK(BIO_write(SSL_get_rbio(t->ssl), bytes.p, (int)bytes.n) == (int)bytes.n);
    drive(t);
}

static void on_kick(void *arg) {
    struct tls *t = arg;
    if (!t->s.closed)
        drive(t);
}

static void t_read_on(struct stream *s) {
    struct tls *t = of(s);
    stream_resume(t->inner);
    loop_defer(&t->kick, on_kick, t); /* bytes that are decrypted already announce themselves to nobody */
}

static void t_read_off(struct stream *s) { stream_pause(of(s)->inner); }

/* ---- life ---- */

static void t_close(struct stream *s) {
    struct tls *t = of(s);
    loop_defer_cancel(&t->kick);
    if (t->ready && !s->werr.set && !s->rerr.set && !s->shut_requested) {
        ERR_clear_error();
        (void)SSL_shutdown(t->ssl);
        const uint8_t *p;
        size_t n;
        if (BIO_mem_contents(SSL_get_wbio(t->ssl), &p, &n) && n > 0)
            (void)stream_push(t->inner, p, n); /* best effort: goes out if the socket has room */
    }
    stream_on_drained(t->inner, NULL, NULL);
    stream_close(t->inner);
    stream_unref_(s);
}

static void t_free(struct stream *s) {
    struct tls *t = of(s);
    SSL_free(t->ssl);
    free(t);
}

static bool t_idle_ok(struct stream *s) {
    struct tls *t = of(s);
    return SSL_pending(t->ssl) == 0 && !t->inner_eof && !t->inner->eof && !t->inner->rerr.set && !t->inner->werr.set;
}

static const struct stream_ops OPS = {.read_on = t_read_on,
                                      .read_off = t_read_off,
                                      .push = t_push,
                                      .shutdown = t_shutdown,
                                      .close = t_close,
                                      .free = t_free,
                                      .idle_ok = t_idle_ok};

err_t net_tls_client(struct stream *inner, const struct tls_client_conf *conf, uint64_t deadline, struct stream **ret) {
    AUTO(stream) plain = inner;
    SSL *ssl = NULL;
    TRY(tls_client_new(conf, &ssl));
    struct tls *t = calloc(1, sizeof(*t));
    CHECK(t != NULL);
    stream_init_(&t->s, &OPS);
    t->ssl = ssl;
    t->inner = TAKE(plain);
    memcpy(t->name, conf->server_name, strlen(conf->server_name) + 1); /* length was checked */
    AUTO(stream) s = &t->s;
    stream_on_drained(t->inner, on_inner_drained, t);
    stream_pump(t->inner, on_inner, t);
    t->waiter = fiber_self();
    drive(t); /* the client speaks first */
    err_t e = NULL;
    while (e == NULL && !t->ready && !t->s.rerr.set)
        e = fiber_park("TLS handshake", deadline);
    t->waiter = NULL;
    if (e != NULL)
        return err_new(e->code, "TLS handshake with %s: %s", t->name, e->message);
    TRY(stream_err_(&t->s.rerr));
    *ret = TAKE(s);
    return NULL;
}
