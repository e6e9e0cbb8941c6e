/* Images of one engine. Call conventions and errors: docker.h. */
#pragma once
#include "core/docker/docker.h"
#include "core/docker/spec.h"

struct docker_image {
    const char *id;
    const struct json *tags;    /* array of "name:tag" */
    const struct json *digests; /* array of "name@sha256:..." */
    const struct json *labels;  /* object or NULL */
    const struct json *volumes; /* inspect: Config.Volumes */
    const struct json *ports;   /* inspect: Config.ExposedPorts */
    const struct json *config;  /* inspect: Config */
    const char *os, *arch;      /* inspect */
    const char *created_at;     /* inspect: RFC 3339; list: NULL */
    int64_t created, size;      /* list: unix seconds; bytes */
    const struct json *raw;
};
MUST_CHECK err_t docker_image_inspect(struct docker *d, struct arena *a, const char *ref, uint64_t deadline,
                                      struct docker_image **ret); /* ERR_NOT_FOUND */
MUST_CHECK err_t docker_image_list(struct docker *d, struct arena *a, uint64_t deadline, struct docker_image **ret,
                                   size_t *ret_n);
MUST_CHECK err_t docker_image_each(struct docker *d, uint64_t deadline, err_t (*fn)(void *arg, struct json *row),
                                   void *arg);
MUST_CHECK err_t docker_image_tag(struct docker *d, const char *ref, const char *repo, const char *tag,
                                  uint64_t deadline);
/** Removing what is gone succeeds. ERR_CONFLICT: in use. */
MUST_CHECK err_t docker_image_remove(struct docker *d, const char *ref, bool force, uint64_t deadline);

/** Registry credentials: user + password, or an identity token. NULL fields absent. */
struct registry_auth {
    const char *username, *password, *server, *identity_token;
};
/** Header value of X-Registry-Auth: base64url with padding; NULL auth gives "e30=" ({}). Contains a secret: never log. */
char *registry_auth_header(struct arena *a, const struct registry_auth *auth);
/** Header value of X-Registry-Config for builds: {"host": {...}}. */
char *registry_config_header(struct arena *a, const struct registry_auth *auths, size_t n);

/** What a pull or build reports, at most every 100 ms plus once at the end; strings live until the callback returns. */
struct docker_progress {
    const char *status;  /* last status text */
    const char *layer;   /* layer it is about, or NULL */
    int64_t done, total; /* bytes over all layers known so far; total 0 = unknown */
    unsigned layers, layers_done;
};
typedef void docker_progress_fn(void *arg, const struct docker_progress *p);
struct docker_pull {
    const char *ref;      /* as written; a missing tag becomes latest */
    const char *platform; /* NULL = engine's */
    const struct registry_auth *auth;
    docker_progress_fn *on_progress; /* may be NULL */
    void *arg;
};
/** Pull; cancelling the fiber closes the connection and so stops the engine. *ret_digest: "sha256:..." or NULL when the
 * engine named none. ERR_NOT_FOUND: no such image or tag; ERR_REGISTRY: registry refused or is unreachable. */
MUST_CHECK err_t docker_image_pull(struct docker *d, struct arena *a, const struct docker_pull *opt, uint64_t deadline,
                                   const char **ret_digest);
/** Remote digest without pulling (GET /distribution). */
MUST_CHECK err_t docker_image_remote_digest(struct docker *d, struct arena *a, const char *ref,
                                            const struct registry_auth *auth, uint64_t deadline, const char **ret);

/** Source of a tar stream: give the next bytes (ret->n == 0 ends). May YIELD. Bytes stay valid until the next call. */
typedef err_t docker_tar_source(void *arg, uint64_t deadline, struct str *ret);
struct docker_build {
    const char *const *tags; /* "repo:tag" */
    size_t ntags;
    const char *dockerfile; /* path inside the context, NULL = Dockerfile */
    const char *target, *network, *platform;
    struct spec_kvs args, labels;
    const char *const *cache_from;
    size_t ncache_from;
    const char *const *extra_hosts;
    size_t nextra_hosts;
    int64_t shm_size;
    bool no_cache, pull;
    const struct registry_auth *auths;
    size_t nauths;
    docker_tar_source *source;
    void *source_arg;
    /** Build output, line by line without the newline; error lines included. May be NULL. */
    void (*on_log)(void *arg, struct str line);
    docker_progress_fn *on_progress; /* pulls of base images */
    void *arg;
};
/** Classic builder. ERR_BUILD_FAILED with the engine's message and details.step for a failing step. */
MUST_CHECK err_t docker_image_build(struct docker *d, struct arena *a, const struct docker_build *opt,
                                    uint64_t deadline, const char **ret_image_id);
MUST_CHECK err_t docker_image_from_row(struct arena *a, struct json *row, struct docker_image *ret);
