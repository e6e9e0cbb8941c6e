#include <errno.h>
#include <git2.h>
#include <stdio.h>
#include <sys/stat.h>
#include "core/git/object.h"

#define MAX_PACK_BYTES ((size_t)2 << 30)
#define MAX_PACK_OBJECTS 2000000u

struct remote_ctx {
    struct arena *a;
    const struct helper_request *req;
    int auth_tries;
    err_t failure; /* ours, more precise than what libgit2 makes of an aborted callback */
};

static int refuse(struct remote_ctx *ctx, err_t e) {
    ctx->failure = e;
    git_error_set_str(GIT_ERROR_CALLBACK, e->message);
    return GIT_EUSER;
}

/* A credential is bound to scheme, host and port of its repository: another URL asking for it gets nothing. */
static bool same_origin(struct remote_ctx *ctx, const char *url) {
    struct git_url asked;
    const struct git_url *own = &ctx->req->url;
    if (git_url_parse(ctx->a, url, true, &asked) != NULL)
        return false;
    return asked.scheme == own->scheme && asked.port == own->port && z_eq(asked.host, own->host);
}

static int on_credentials(git_credential **out, const char *url, const char *user, unsigned types, void *payload) {
    struct remote_ctx *ctx = payload;
    const struct helper_request *r = ctx->req;
    if (!same_origin(ctx, url))
        return refuse(ctx, err_new(ERR_GIT_AUTH,
                                   "another host asked for the repository's credential; redirects are not followed"));
    if (types & GIT_CREDENTIAL_USERNAME)
        return git_credential_username_new(out, r->username ? r->username : (r->url.user ? r->url.user : "git"));
    if (ctx->auth_tries++ > 0)
        return refuse(ctx, err_new(ERR_GIT_AUTH, "the server refused the credential"));
    if ((types & GIT_CREDENTIAL_USERPASS_PLAINTEXT) && r->auth == GIT_AUTH_TOKEN && r->url.scheme != GIT_SSH)
        return git_credential_userpass_plaintext_new(out, r->username && *r->username ? r->username : "x-access-token",
                                                     r->secret);
    if ((types & (GIT_CREDENTIAL_SSH_MEMORY | GIT_CREDENTIAL_SSH_KEY)) && r->auth == GIT_AUTH_SSH && r->secret)
        return git_credential_ssh_key_memory_new(out, user ? user : "git", NULL, r->secret, r->passphrase);
    return refuse(ctx,
                  err_new(ERR_GIT_AUTH, "the server asks for a credential and the repository has none of that kind"));
}

static bool host_key_matches(struct arena *a, const git_cert_hostkey *key, const char *pinned) {
    struct str pin = str_trim(str_of(pinned));
    if (str_starts(pin, STR("SHA256:"))) {
        if (!(key->type & GIT_CERT_SSH_SHA256))
            return false;
        char *b64 = base64_encode(a, key->hash_sha256, 32);
        b64[strcspn(b64, "=")] = '\0';
        return str_eqz(str_slice(pin, 7, pin.n), b64);
    }
    if (!(key->type & GIT_CERT_SSH_RAW))
        return false;
    struct str rest = pin, type, blob;
    struct str raw;
    if (!str_cut(&rest, ' ', &type) || !str_cut(&rest, ' ', &blob) || !base64_decode(a, blob, &raw))
        return false;
    return raw.n == key->hostkey_len && memcmp(raw.p, key->hostkey, raw.n) == 0;
}

static int on_certificate(git_cert *cert, int valid, const char *host, void *payload) {
    struct remote_ctx *ctx = payload;
    if (cert->cert_type == GIT_CERT_X509) {
        if (valid)
            return 0;
        return refuse(
            ctx, err_new(ERR_TLS_VERIFY, "the certificate of %s is not trusted, expired, or for another name", host));
    }
    if (cert->cert_type == GIT_CERT_HOSTKEY_LIBSSH2) {
        if (ctx->req->host_key && host_key_matches(ctx->a, (const git_cert_hostkey *)cert, ctx->req->host_key))
            return 0;
        return refuse(ctx, err_new(ERR_HOSTKEY,
                                   "the host key of %s is not the pinned one; check the server, then pin the new key",
                                   host));
    }
    return refuse(ctx, err_new(ERR_TLS_VERIFY, "unknown kind of host proof"));
}

static int on_progress(const git_indexer_progress *p, void *payload) {
    struct remote_ctx *ctx = payload;
    if (p->total_objects > MAX_PACK_OBJECTS)
        return refuse(ctx, err_new(ERR_GIT_LIMIT, "the repository sends %u objects; at most %u are accepted",
                                   p->total_objects, MAX_PACK_OBJECTS));
    if (p->received_bytes > MAX_PACK_BYTES)
        return refuse(ctx, err_new(ERR_GIT_LIMIT, "the repository sends more than 2 GiB"));
    return 0;
}

static void init_callbacks(git_remote_callbacks *cb, struct remote_ctx *ctx) {
    cb->credentials = on_credentials;
    cb->certificate_check = on_certificate;
    cb->transfer_progress = on_progress;
    cb->payload = ctx;
}

static err_t remote_error(struct remote_ctx *ctx, int rc, const char *op) {
    if (helper_stream_refused())
        return err_new(ERR_GIT, "%s", helper_stream_refused());
    return ctx->failure ? ctx->failure : git_err(rc, op);
}

static void trust_ca(const struct helper_request *req) {
    git_libgit2_opts(GIT_OPT_SET_SSL_CERT_LOCATIONS, req->ca_file ? req->ca_file : "/etc/ssl/certs/ca-certificates.crt",
                     NULL);
}

static const git_remote_head *find_head(const git_remote_head **heads, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++)
        if (z_eq(heads[i]->name, name))
            return heads[i];
    return NULL;
}

/* An annotated tag points at a tag object; its peeled line "refs/tags/x^{}" names the commit. */
static const git_remote_head *pick(struct arena *a, const git_remote_head **heads, size_t n, const char *ref) {
    if (ref == NULL)
        return find_head(heads, n, "HEAD");
    if (z_starts(ref, "refs/"))
        return find_head(heads, n, ref);
    const git_remote_head *h = find_head(heads, n, arena_printf(a, "refs/heads/%s", ref));
    if (h == NULL)
        h = find_head(heads, n, arena_printf(a, "refs/tags/%s^{}", ref));
    return h ? h : find_head(heads, n, arena_printf(a, "refs/tags/%s", ref));
}

static err_t list_heads(struct arena *a, struct remote_ctx *ctx, git_remote *remote, struct json *out) {
    git_remote_connect_options opts;
    (void)git_remote_connect_options_init(&opts, GIT_REMOTE_CONNECT_OPTIONS_VERSION);
    init_callbacks(&opts.callbacks, ctx);
    opts.follow_redirects = GIT_REMOTE_REDIRECT_NONE;
    int rc = git_remote_connect_ext(remote, GIT_DIRECTION_FETCH, &opts);
    if (rc < 0)
        return remote_error(ctx, rc, "connect");
    const git_remote_head **heads;
    size_t n;
    rc = git_remote_ls(&heads, &n, remote);
    if (rc < 0)
        return remote_error(ctx, rc, "list refs");
    if (n > 100000)
        return err_new(ERR_GIT_LIMIT, "the repository has %zu refs; at most 100000 are accepted", n);
    const git_remote_head *h = pick(a, heads, n, ctx->req->ref);
    if (h == NULL)
        return err_new(ERR_NOT_FOUND, "the repository has no branch or tag '%s'",
                       ctx->req->ref ? ctx->req->ref : "HEAD");
    char oid[GIT_OID_HEXSZ + 1];
    json_set_str(a, out, "name", h->name);
    json_set_str(a, out, "oid", git_oid_tostr(oid, sizeof(oid), &h->oid));
    return NULL;
}

err_t helper_ls_remote(struct arena *a, const struct helper_request *req, struct json *out) {
    struct remote_ctx ctx = {.a = a, .req = req};
    git_remote *remote = NULL;
    trust_ca(req);
    helper_stream_bind(req);
    int rc = git_remote_create_detached(&remote, req->url.text);
    if (rc < 0)
        return git_err(rc, "open remote");
    err_t e = list_heads(a, &ctx, remote, out);
    git_remote_free(remote);
    return e;
}

static err_t open_mirror(const char *path, git_repository **ret) {
    int rc = git_repository_open_bare(ret, path);
    if (rc == 0)
        return NULL;
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return err_new(ERR_IO, "create mirror directory: errno %d", errno);
    git_repository_init_options opts;
    (void)git_repository_init_options_init(&opts, GIT_REPOSITORY_INIT_OPTIONS_VERSION);
    opts.flags = GIT_REPOSITORY_INIT_BARE | GIT_REPOSITORY_INIT_MKDIR;
    rc = git_repository_init_ext(ret, path, &opts);
    return rc < 0 ? git_err(rc, "create mirror") : NULL;
}

/* Only now: refs to what was refused would make the next fetch believe that it is there. */
static err_t take_refs(struct remote_ctx *ctx, git_remote *remote, const git_fetch_options *opts) {
    int rc = git_remote_update_tips(remote, &opts->callbacks, 0, opts->download_tags, NULL);
    if (rc == 0 && opts->prune == GIT_FETCH_PRUNE)
        rc = git_remote_prune(remote, &opts->callbacks);
    return rc < 0 ? remote_error(ctx, rc, "fetch") : NULL;
}

static err_t fetch_into(struct arena *a, struct remote_ctx *ctx, git_repository *repo) {
    const struct helper_request *req = ctx->req;
    git_remote *remote = NULL;
    int rc = git_remote_create_anonymous(&remote, repo, req->url.text);
    if (rc < 0)
        return git_err(rc, "open remote");
    char *both[] = {arena_strdup(a, "+refs/heads/*:refs/heads/*"), arena_strdup(a, "+refs/tags/*:refs/tags/*")};
    git_strarray specs = {both, 2};
    if (req->ref && z_starts(req->ref, "refs/")) {
        both[0] = arena_printf(a, "+%s:%s", req->ref, req->ref);
        specs.count = 1;
    }
    git_fetch_options opts;
    (void)git_fetch_options_init(&opts, GIT_FETCH_OPTIONS_VERSION);
    init_callbacks(&opts.callbacks, ctx);
    opts.prune = specs.count == 2 ? GIT_FETCH_PRUNE : GIT_FETCH_NO_PRUNE;
    opts.download_tags = GIT_REMOTE_DOWNLOAD_TAGS_NONE;
    opts.follow_redirects = GIT_REMOTE_REDIRECT_NONE;
    rc = git_remote_download(remote, &specs, &opts);
    err_t e = rc < 0 ? remote_error(ctx, rc, "fetch") : packs_check(a, repo);
    if (e == NULL)
        e = take_refs(ctx, remote, &opts);
    git_remote_free(remote);
    return e;
}

err_t helper_fetch(struct arena *a, const struct helper_request *req, struct json *out) {
    struct remote_ctx ctx = {.a = a, .req = req};
    git_repository *repo = NULL;
    (void)out;
    if (req->mirror == NULL)
        return err_new(ERR_BAD_REQUEST, "fetch without mirror");
    trust_ca(req);
    helper_stream_bind(req);
    TRY(open_mirror(req->mirror, &repo));
    err_t e = fetch_into(a, &ctx, repo);
    git_repository_free(repo);
    return e;
}
