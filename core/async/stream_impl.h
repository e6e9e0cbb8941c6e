/* How a stream is made of a transport (stream_uv.c, tls.c) and the common half (stream.c). Private to core/async. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "core/async/loop.h"
#include "core/async/net.h"

enum { STREAM_MAGIC = 0x57BEA401, STREAM_IN_CAP = 64 * 1024, STREAM_ERR_MAX = 200 };
struct fiber;

/** Outlives arenas, unlike err_t: errors happen on the loop stack and are told to fibers later. */
struct stream_error {
    bool set;
    enum err_code code;
    char text[STREAM_ERR_MAX];
};

struct stream_ops {
    void (*read_on)(struct stream *s);
    void (*read_off)(struct stream *s);
    /** Takes all bytes: writes what goes, copies the rest and keeps s->queued. Failures go to stream_write_failed_(). */
    void (*push)(struct stream *s, const void *p, size_t n);
    /** Half-close after what is queued; ends with stream_shut_done_(). */
    void (*shutdown)(struct stream *s);
    /** Asynchronous; ends with stream_unref_(). */
    void (*close)(struct stream *s);
    /** Memory of the transport; last reference is gone. */
    void (*free)(struct stream *s);
    /** Beyond the common checks: is the peer still there? */
    bool (*idle_ok)(struct stream *s);
};

struct stream {
    uint32_t magic;
    unsigned refs; /* owner, transport until closed, every call or callback in progress */
    const struct stream_ops *ops;
    struct fiber *reader, *writer;
    char *in; /* STREAM_IN_CAP bytes while anything is buffered or lent */
    size_t in_from, in_to, lent;
    bool eof, closed, write_cut, shut_requested, shut_done, reading;
    bool pumping, paused, pump_ended;
    struct stream_error rerr, werr;
    stream_cb *cb;
    void *cb_arg;
    struct deferred kick;
    size_t queued;
    void (*drained)(void *arg);
    void *drained_arg;
};

void stream_init_(struct stream *s, const struct stream_ops *ops);
void stream_ref_(struct stream *s);
void stream_unref_(struct stream *s);
/** Free room of the input buffer; *n is 0 when it is full. */
char *stream_in_space_(struct stream *s, size_t *n);
/** n bytes were put there. May run the pump callback, which may close s: hold a reference. */
void stream_in_added_(struct stream *s, size_t n);
/** Nothing came after all: give the memory of an empty buffer back. */
void stream_in_trim_(struct stream *s);
bool stream_in_wanted_(const struct stream *s); /* should the transport read on? */
void stream_in_eof_(struct stream *s);
void stream_read_failed_(struct stream *s, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);
void stream_write_failed_(struct stream *s, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);
void stream_queue_changed_(struct stream *s, size_t queued);
void stream_shut_done_(struct stream *s);
err_t stream_err_(const struct stream_error *e);

/** A stream over a new uv handle: pipe or tcp (stream_uv.c). */
struct uv_stream_s;
struct uv_handle_s;
struct stream *stream_uv_pipe_(void);
struct stream *stream_uv_tcp_(void);
struct uv_stream_s *stream_uv_handle_(struct stream *s);
/** YIELDS until the connect request that `start` issues has ended. */
struct sockaddr;
MUST_CHECK err_t stream_uv_connect_unix_(struct stream *s, const char *path, uint64_t deadline, int *ret_rc);
MUST_CHECK err_t stream_uv_connect_tcp_(struct stream *s, const struct sockaddr *sa, uint64_t deadline, int *ret_rc);
