/* Git for fibers. Everything that talks to a network runs in a child process (this binary as `dockflow git-helper`) with
 * rlimits and a deadline, so that a hostile remote can be killed; reads of a mirror run in the git work lane. Mirrors are
 * bare; files are read by walking trees, never by a checkout, and a symbolic link or submodule on the way is
 * ERR_PATH_ESCAPE. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "core/base/err.h"
#include "core/base/str.h"

enum git_scheme { GIT_HTTPS, GIT_HTTP, GIT_SSH, GIT_LOCAL };
struct git_url {
    enum git_scheme scheme;
    const char *user; /* ssh only; NULL otherwise */
    const char *host; /* lower case; NULL for local */
    int port;
    const char *path;
    const char *text; /* normalised; what is handed to libgit2 */
};
/** Check and normalise: https://host[:port]/path, ssh://[user@]host[:port]/path, user@host:path; http:// and local paths (or
 * file://) only when allow_local. Credentials inside the URL, option-like and control characters are ERR_INVALID with a hint. */
MUST_CHECK err_t git_url_parse(struct arena *a, const char *text, bool allow_local, struct git_url *ret);

enum git_auth { GIT_AUTH_NONE, GIT_AUTH_TOKEN, GIT_AUTH_SSH };
struct git_remote_conf {
    const char *url;
    bool allow_local; /* development mode */
    enum git_auth auth;
    const char *username;   /* token: default "x-access-token"; ssh: the URL's user or "git" */
    const char *secret;     /* token, or PEM/OpenSSH private key */
    const char *passphrase; /* of the key; may be NULL */
    const char *host_key; /* ssh, mandatory: "SHA256:<base64>" or an OpenSSH public key line ("ssh-ed25519 AAAA...") */
    const char *ca_file;  /* extra CA bundle for https; NULL = system store */
};

/** A ref name as users may give it: a full "refs/heads/x", a branch or tag short name, or 40 hex digits. Grammar of
 * git-check-ref-format; never reaches revparse. */
bool git_ref_valid(const char *ref);

struct git_ref {
    const char *name; /* full */
    const char *oid;  /* 40 hex */
};
/** YIELDS. Where `ref` points on the remote (branch first, then tag; "HEAD" when NULL). ERR_NOT_FOUND when there is none.
 * Errors: GIT (network, protocol), GIT_AUTH, HOSTKEY, TLS_VERIFY, GIT_LIMIT, TIMEOUT. */
MUST_CHECK err_t git_ls_remote(struct arena *a, const struct git_remote_conf *conf, const char *ref, uint64_t deadline,
                               struct git_ref *ret);
/** YIELDS. Bring the mirror's branches and tags up to date (creates it). `ref` NULL = all heads. */
MUST_CHECK err_t git_fetch(const struct git_remote_conf *conf, const char *mirror_dir, const char *ref,
                           uint64_t deadline);

struct git_commit {
    const char *sha; /* 40 hex */
    const char *author, *email;
    const char *message; /* at most 8 KiB */
    int64_t time_ms;
};
/** YIELDS. Resolve a branch, tag or full sha inside the mirror. */
MUST_CHECK err_t git_resolve(struct arena *a, const char *mirror_dir, const char *ref, uint64_t deadline,
                             struct git_commit *ret);

enum git_entry_kind { GIT_FILE, GIT_EXEC, GIT_DIR, GIT_LINK, GIT_MODULE };
struct git_entry {
    const char *path; /* relative to the listed directory */
    enum git_entry_kind kind;
    const char *oid;
    size_t size; /* files */
};
/** YIELDS. One file of a commit; `path` is relative, no "..", no leading '/'. ERR_NOT_FOUND, ERR_PATH_ESCAPE (a link or
 * submodule in the way), ERR_TOO_LARGE. ret_oid may be NULL. */
MUST_CHECK err_t git_read(struct arena *a, const char *mirror_dir, const char *sha, const char *path, size_t max,
                          uint64_t deadline, struct str *ret, const char **ret_oid);
/** A longer piece of work that reads many files, on a git worker thread: build it, copy everything it needs into its arena and
 * its argument (nothing of the caller's may be touched by fn), run it once. fn runs with arena_current() = its arena; results
 * in there live as long as `a` afterwards. */
struct git_work;
struct git_files;
struct git_work *git_work_new(const char *mirror_dir, const char *sha, size_t arg_size, void **ret_arg /* zeroed */);
struct arena *git_work_arena(struct git_work *w);
/** YIELDS. `w` is gone afterwards, whatever happens. */
MUST_CHECK err_t git_work_run(struct git_work *w, struct arena *a,
                              err_t (*fn)(struct git_files *f, struct arena *a, void *arg), uint64_t deadline);
/** On the worker: one file, as git_read. */
MUST_CHECK err_t git_files_read(struct git_files *f, const char *path, size_t max, struct str *ret);
/** YIELDS. Entries below `dir` ("" = root), recursive on request, at most `limit` (ERR_GIT_LIMIT beyond). Sorted by path.
 * ERR_PATH_ESCAPE for names that no honest tree has ("..", "a/b", ".git"). */
MUST_CHECK err_t git_list(struct arena *a, const char *mirror_dir, const char *sha, const char *dir, bool recursive,
                          size_t limit, uint64_t deadline, struct git_entry **ret, size_t *ret_n);
/** Normalise a repository path: "./a//b/../c" -> "a/c"; ERR_PATH_ESCAPE when it leaves the repository or is absolute. */
MUST_CHECK err_t git_path_clean(struct arena *a, const char *path, const char **ret);

/** Path of the executable that has the `git-helper` command; default /proc/self/exe. For tests. */
void git_set_helper(const char *path);
/** The child side: reads one request from stdin, answers on stdout, returns the exit code. Called by main() before anything else. */
int git_helper_main(void);
