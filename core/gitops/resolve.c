/* From an application to a commit and its desired state. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "core/async/work.h"
#include "core/base/sha256.h"
#include "core/gitops/internal.h"

#define GIT_TIMEOUT SECONDS(120)

static err_t open_secret(struct gitops *g, struct arena *a, const char *repo_id, struct str sealed,
                         const char **ret_user, const char **ret_secret) {
    struct str blob, text;
    struct json *j;
    struct seal_place at = {"repositories", "credentials_sealed", repo_id};
    TRY(bytea_parse(a, str_z(a, sealed), &blob));
    TRY(unseal(a, g->keys, &at, blob, &text));
    TRY(json_parse(a, text, NULL, &j));
    if (json_get_str(j, "username"))
        *ret_user = json_get_str(j, "username");
    *ret_secret = json_get_str(j, "secret");
    return NULL;
}

/* ---- the file with a private authority ---- */

struct ca_box {
    char *path, *tmp, *pem;
    bool ok;
};

static void ca_drop(void *box) {
    struct ca_box *b = box;
    free(b->path);
    free(b->tmp);
    free(b->pem);
    free(b);
}

static void ca_write(void *box) {
    struct ca_box *b = box;
    b->ok = access(b->path, R_OK) == 0;
    if (b->ok)
        return;
    int fd = open(b->tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return;
    b->ok = write(fd, b->pem, strlen(b->pem)) == (ssize_t)strlen(b->pem);
    b->ok = close(fd) == 0 && b->ok && rename(b->tmp, b->path) == 0;
}

/* libgit2 takes CA certificates from a file only. Its name says what is in it, so that nobody reads a half-written or old one. */
err_t repo_ca_file(struct gitops *g, struct arena *a, const struct app *app, const char **ret) {
    const char *pem = app->repo_tls_ca;
    struct uuid_text unique = uuid7();
    *ret = arena_printf(a, "%s/git/%s.%.16s.ca.pem", g->conf.data_dir, app->repo_id, sha256_hex(a, pem, strlen(pem)));
    struct ca_box *b = calloc(1, sizeof(*b));
    CHECK(b != NULL);
    b->path = strdup(*ret);
    b->tmp = strdup(arena_printf(a, "%s.%s", *ret, unique.z));
    b->pem = strdup(pem);
    CHECK(b->path && b->tmp && b->pem);
    err_t e = work_run(WORK_FILE, ca_write, b, ca_drop, NULL, deadline_in(SECONDS(30)));
    if (e == NULL && !b->ok)
        e = err_new(ERR_IO, "cannot write the CA file of the repository");
    if (e == NULL || e->code == ERR_BUSY || e->code == ERR_IO)
        ca_drop(b);
    return e;
}

err_t repo_remote(struct gitops *g, struct arena *a, const struct app *app, struct git_remote_conf *ret) {
    if (app->repo_id == NULL)
        return err_new(ERR_INVALID, "the application has no repository");
    *ret = (struct git_remote_conf){.url = app->repo_url,
                                    .allow_local = g->conf.allow_local,
                                    .host_key = app->repo_host_key,
                                    .username = app->repo_username};
    if (z_eq(app->repo_auth, "token") || z_eq(app->repo_auth, "basic"))
        ret->auth = GIT_AUTH_TOKEN;
    else if (z_eq(app->repo_auth, "ssh-key"))
        ret->auth = GIT_AUTH_SSH;
    if (app->repo_credentials_sealed.n)
        TRY(open_secret(g, a, app->repo_id, app->repo_credentials_sealed, &ret->username, &ret->secret));
    return app->repo_tls_ca && *app->repo_tls_ca ? repo_ca_file(g, a, app, &ret->ca_file) : NULL;
}

const char *repo_mirror(struct gitops *g, struct arena *a, const char *repo_id) {
    return arena_printf(a, "%s/git/%s.git", g->conf.data_dir, repo_id);
}

static bool is_sha(const char *s) { return s && strlen(s) == 40 && strspn(s, "0123456789abcdef") == 40; }

err_t resolve_commit(struct gitops *g, struct arena *a, const struct app *app, const char *revision, bool offline,
                     struct git_commit *ret) {
    const char *mirror = repo_mirror(g, a, app->repo_id);
    const char *want = revision && *revision ? revision
                       : *app->revision      ? app->revision
                       : *app->repo_branch   ? app->repo_branch
                                             : NULL;
    uint64_t deadline = deadline_in(GIT_TIMEOUT);
    struct git_remote_conf remote;
    if (offline && want == NULL)
        want = app->repo_head;
    if (offline && want)
        return git_resolve(a, mirror, want, deadline, ret);
    if (is_sha(want) && git_resolve(a, mirror, want, deadline, ret) == NULL)
        return NULL;
    TRY(repo_remote(g, a, app, &remote));
    if (is_sha(want)) {
        TRY(git_fetch(&remote, mirror, NULL, deadline));
        return git_resolve(a, mirror, want, deadline, ret);
    }
    struct git_ref ref;
    TRY(git_ls_remote(a, &remote, want, deadline, &ref));
    if (git_resolve(a, mirror, ref.oid, deadline, ret) == NULL)
        return NULL;
    TRY(git_fetch(&remote, mirror, NULL, deadline));
    return git_resolve(a, mirror, ref.oid, deadline, ret);
}

err_t desired_of(struct gitops *g, struct arena *a, const struct app *app, const char *sha, struct desired **ret) {
    struct source_conf conf = {
        .mirror = repo_mirror(g, a, app->repo_id), .sha = sha, .deadline = deadline_in(MINUTES(5))};
    return source_desired(a, app, &conf, ret);
}

/* --- the cache: desired state of the commit that was compared last --- */

#define CACHE_MAX 4096

static void cached_free(struct cached_desired *c) {
    if (c)
        arena_unref(c->a);
}

void cache_drop(struct gitops *g, const char *app_id) { cached_free(map_del(&g->cache, str_of(app_id))); }

static void cache_make_room(struct gitops *g) {
    while (g->cache.n >= CACHE_MAX) {
        struct map_entry *e = map_next(&g->cache, NULL);
        cached_free(map_del(&g->cache, e->key));
    }
}

/* Reload when the row moved on; keyed by configuration version and commit. */
err_t desired_cached(struct gitops *g, const char *app_id, struct app **ret_app, struct desired **ret) {
    struct arena *a = arena_new("gitops.desired", 0);
    struct app *app;
    err_t e = app_load(g->db, a, app_id, &app);
    const char *sha = e == NULL ? (app->desired_commit ? app->desired_commit : app->deployed_commit) : NULL;
    struct cached_desired *c = map_getz(&g->cache, app_id);
    if (e == NULL && c && sha && c->app_version == app->version && z_eq(c->sha, sha)) {
        *ret = c->want;
        *ret_app = c->app;
        arena_unref(a);
        return NULL;
    }
    if (e == NULL && sha == NULL)
        e = err_new(ERR_NOT_FOUND, "the application was not compared yet");
    struct desired *want = NULL;
    if (e == NULL)
        e = desired_of(g, a, app, sha, &want);
    if (e) {
        e = err_dup(arena_current(), e);
        arena_unref(a);
        return e;
    }
    c = arena_new_obj(a, struct cached_desired);
    *c = (struct cached_desired){.a = a, .want = want, .app = app, .app_version = app->version, .sha = sha};
    cache_make_room(g);
    cached_free(map_setz(&g->cache, app_id, c));
    *ret = want;
    *ret_app = app;
    return NULL;
}
