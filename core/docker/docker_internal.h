/* Inside core/docker only: the endpoint object and the one way calls are made. */
#pragma once
#include "core/async/wait.h"
#include "core/docker/docker.h"
#include "core/docker/guard.h"
#include "core/docker/stream.h"

#define DOCKER_MAGIC 0xd0c4e401u

struct docker {
    uint32_t magic;
    unsigned refs;
    char *name, *url, *path, *host, *tls_name; /* path: unix socket; host: TCP */
    char *ca, *cert, *key;
    int port;
    bool tls, local, shut;
    struct http_pool *calls, *streams;
    struct mutex negotiating, networks; /* network create is check-then-act */
    struct docker_state state;
    uint64_t epoch; /* counts docker_forget */
};

/** One call. `op` names it in errors ("start container"); `what` the object (id, name) or NULL. */
struct docker_call {
    const char *method, *op, *what;
    const char *path;        /* from the first slash after the version; made with docker_path */
    const struct json *body; /* sent as JSON */
    const struct http_header *headers;
    size_t nheaders;
    bool stream;              /* long: uses the stream connections */
    bool chunked;             /* body follows with http_send_chunk */
    const char *content_type; /* of a chunked or raw body */
    struct str raw;           /* body bytes instead of JSON */
    int ok2;                  /* one more status that is a success (304) */
};
/** YIELDS. Negotiates, sends, maps every failure; NULL means a 2xx (or ok2) head. For chunked calls the head is not there
 * yet: docker_call_head after the body. */
MUST_CHECK err_t docker_call(struct docker *d, struct arena *a, const struct docker_call *c, uint64_t deadline,
                             struct http_response **ret);
MUST_CHECK err_t docker_call_head(struct docker *d, struct arena *a, const struct docker_call *c,
                                  struct http_response *r, uint64_t deadline);
/** Whole JSON answer; *ret NULL for an empty body (204). */
MUST_CHECK err_t docker_call_json(struct docker *d, struct arena *a, const struct docker_call *c, uint64_t deadline,
                                  struct json **ret);
/** Answer body is not needed. */
MUST_CHECK err_t docker_call_done(struct docker *d, const struct docker_call *c, uint64_t deadline);
/** Each element of an answer that is one array (or of the array under a key is not supported: use _json). */
MUST_CHECK err_t docker_call_each(struct docker *d, const struct docker_call *c, uint64_t deadline,
                                  err_t (*fn)(void *arg, struct json *row), void *arg);
/** Read a response body in pieces and cut it into JSON values; NULL at its end. */
MUST_CHECK err_t docker_read_items(struct docker *d, const struct docker_call *c, struct http_response *r, bool array,
                                   uint64_t deadline, json_item_fn *fn, void *arg);
/** YIELDS. The guard over a final body with what its host paths really are (host_paths.c); an unknown engine fails closed. */
MUST_CHECK err_t docker_guard_body(struct docker *d, struct arena *a, enum guard_body kind, const struct json *body,
                                   const struct guard_rights *rights, uint64_t deadline);
MUST_CHECK err_t docker_guard_volume(struct docker *d, struct arena *a, const struct json *volume,
                                     const struct json *user, const char *pointer, const struct guard_rights *rights,
                                     uint64_t deadline);
MUST_CHECK err_t docker_parse(struct docker *d, struct arena *a, const struct docker_call *c, struct str text,
                              struct json **ret);

/** Transport and protocol errors to ours; the engine's state is updated. NULL stays NULL. */
MUST_CHECK err_t docker_map_error(struct docker *d, const struct docker_call *c, err_t e);
/** A status >= 400 with the engine's message. */
MUST_CHECK err_t docker_refusal(struct docker *d, const struct docker_call *c, int status, const char *message);
MUST_CHECK err_t docker_protocol(struct docker *d, const struct docker_call *c, const char *fmt, ...) PRINTF_LIKE(3, 4);
/** Details node and operation on an error of ours. */
MUST_CHECK err_t docker_detail(struct docker *d, const struct docker_call *c, err_t e);

/** Query strings: query_add encodes; *q starts as a path. */
struct query {
    struct buf b;
    bool any;
};
void query_init(struct query *q, const char *fmt, ...) PRINTF_LIKE(2, 3);
void query_add(struct query *q, struct arena *a, const char *key, const char *value); /* NULL value: nothing */
void query_add_int(struct query *q, struct arena *a, const char *key, int64_t v);
void query_add_json(struct query *q, struct arena *a, const char *key, const struct json *v);
char *query_take(struct query *q, struct arena *a);
/** An id or name inside a path: checked, so that nothing can leave its segment. */
MUST_CHECK err_t docker_id_check(const char *id);
/** Image references keep their slashes; everything else is percent-encoded. */
char *docker_path_image(struct arena *a, const char *ref);
struct json *docker_label_filter(struct arena *a, const char *const *labels, size_t n);
int64_t docker_unix_ns(const char *rfc3339); /* 0 when absent or the engine's zero time */
