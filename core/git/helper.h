/* The child process that talks to remotes: one JSON request on stdin, one JSON answer on stdout, then exit. Private to
 * core/git. It holds no secret but the one credential of its request, has hard resource limits and may be killed any time. */
#pragma once
#include "core/base/json.h"
#include "core/git/git.h"

#define GIT_HELPER_MAX_REQUEST KIB(64)
#define GIT_HELPER_MAX_ANSWER KIB(64)

struct helper_request {
    const char *op; /* "ls-remote", "fetch" */
    struct git_url url;
    enum git_auth auth;
    const char *username, *secret, *passphrase, *host_key, *ca_file;
    const char *mirror, *ref;
};
/** In the parent: the request as JSON text. */
char *helper_request_text(struct arena *a, const char *op, const struct git_remote_conf *conf, const char *mirror,
                          const char *ref);
/** In the child. */
MUST_CHECK err_t helper_request_parse(struct arena *a, struct str text, struct helper_request *ret);
MUST_CHECK err_t helper_ls_remote(struct arena *a, const struct helper_request *req, struct json *out);
MUST_CHECK err_t helper_fetch(struct arena *a, const struct helper_request *req, struct json *out);
/** Options all libgit2 users of this binary set once: no user, system or global configuration, size limits, strict checks. */
void git_options_once(void);
/** libgit2's last error of this thread as an err_t; `op` says what was tried. */
MUST_CHECK err_t git_err(int rc, const char *op);
/** In the child: HTTP connections lead to the host and port of this request only (which stays where it is). */
void helper_stream_bind(const struct helper_request *req);
/** What was refused since, as a sentence; NULL: nothing. */
const char *helper_stream_refused(void);
