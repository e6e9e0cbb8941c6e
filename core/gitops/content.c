#include "core/base/buf.h"
#include "core/base/sha256.h"
#include "core/docker/tar.h"
#include "core/git/git.h"
#include "core/gitops/content.h"

void content_seal(struct arena *a, struct content *c) {
    struct sha256 h;
    sha256_init(&h);
    for
        vec_each(f, &c->files) {
            const char *head = arena_printf(a, "%zu:%s %o %u %u %d %zu\n", strlen(f->path), f->path, f->mode, f->uid,
                                            f->gid, f->dir, f->text.n);
            sha256_update(&h, head, strlen(head));
            sha256_update(&h, f->text.p, f->text.n);
        }
    uint8_t out[32];
    char hex[65];
    sha256_final(&h, out);
    str_to_hex(out, sizeof(out), hex);
    c->digest = arena_strdup(a, hex);
}

struct content *content_from_text(struct arena *a, const char *as, struct str text, uint32_t mode, uint32_t uid,
                                  uint32_t gid) {
    struct content *c = arena_new_obj(a, struct content);
    *vec_push(a, &c->files) = (struct content_file){.path = as, .mode = mode, .uid = uid, .gid = gid, .text = text};
    c->bytes = text.n;
    content_seal(a, c);
    return c;
}

static err_t add_entry(struct arena *a, const struct content_source *src, const char *dir, const struct git_entry *e,
                       struct content *c) {
    const char *full = *dir ? arena_printf(a, "%s/%s", dir, e->path) : e->path;
    if (e->kind == GIT_LINK || e->kind == GIT_MODULE)
        return err_detail(err_new(ERR_PATH_ESCAPE, "'%s' is a %s; only plain files of the repository are delivered",
                                  full, e->kind == GIT_LINK ? "symbolic link" : "submodule"),
                          "path", full);
    if (c->files.n >= CONTENT_MAX_FILES)
        return err_new(ERR_GIT_LIMIT, "'%s' has more than %d files", dir, CONTENT_MAX_FILES);
    struct content_file f = {.path = arena_strdup(a, e->path), .dir = e->kind == GIT_DIR};
    f.mode = e->kind == GIT_FILE ? 0644 : 0755;
    if (!f.dir)
        TRY(git_read(a, src->mirror, src->sha, full, CONTENT_MAX_BYTES - c->bytes, src->deadline, &f.text, NULL));
    c->bytes += f.text.n;
    *vec_push(a, &c->files) = f;
    return NULL;
}

err_t content_from_git(struct arena *a, const struct content_source *src, const char *path, const char *as,
                       struct content **ret) {
    struct content *c = arena_new_obj(a, struct content);
    struct git_entry *entries;
    size_t n;
    err_t e = git_list(a, src->mirror, src->sha, path, true, CONTENT_MAX_FILES, src->deadline, &entries, &n);
    if (e && e->code == ERR_NOT_FOUND) {
        struct str text;
        TRY(git_read(a, src->mirror, src->sha, path, CONTENT_MAX_BYTES, src->deadline, &text, NULL));
        *ret = content_from_text(a, as, text, 0644, 0, 0);
        return NULL;
    }
    TRY(e);
    for (size_t i = 0; i < n; i++)
        TRY(add_entry(a, src, path, &entries[i], c));
    content_seal(a, c);
    *ret = c;
    return NULL;
}

err_t content_tar(struct arena *a, const struct content *c, struct str *ret) {
    struct tar_file *files = arena_new_array(a, struct tar_file, c->files.n + 1);
    size_t n = 0;
    for
        vec_each(f, &c->files)
            files[n++] = (struct tar_file){.entry = {.kind = f->dir ? TAR_DIR : TAR_FILE,
                                                     .path = f->path,
                                                     .mode = f->mode,
                                                     .uid = f->uid,
                                                     .gid = f->gid,
                                                     .size = (int64_t)f->text.n},
                                           .data = f->text};
    return tar_build(a, files, n, CONTENT_MAX_BYTES + MIB(8), ret);
}
