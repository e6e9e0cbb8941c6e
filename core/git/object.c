#include "core/git/object.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define MAX_TAGS 8 /* tags of tags */

err_t object_fits(const git_oid *oid, git_object_t type, size_t size) {
    size_t max = type == GIT_OBJECT_TREE                               ? GIT_MAX_TREE
                 : type == GIT_OBJECT_COMMIT || type == GIT_OBJECT_TAG ? GIT_MAX_COMMIT
                                                                       : SIZE_MAX;
    if (size <= max)
        return NULL;
    char name[GIT_OID_HEXSZ + 1];
    return err_new(ERR_GIT_LIMIT, "%s %s has %zu bytes; at most %zu are read", git_object_type2string(type),
                   git_oid_tostr(name, sizeof(name), oid), size, max);
}

static err_t lookup(git_repository *repo, const git_oid *oid, git_object **ret) {
    git_odb *odb = NULL;
    git_object_t type = GIT_OBJECT_INVALID;
    size_t size = 0;
    int rc = git_repository_odb(&odb, repo);
    if (rc == 0)
        rc = git_odb_read_header(&size, &type, odb, oid);
    git_odb_free(odb);
    if (rc < 0)
        return git_err(rc, "find object");
    TRY(object_fits(oid, type, size));
    rc = git_object_lookup(ret, repo, oid, type);
    return rc < 0 ? git_err(rc, "read object") : NULL;
}

static err_t wrong_kind(const git_object *o, const char *want) {
    return err_new(ERR_GIT, "expected a %s, found a %s", want, git_object_type2string(git_object_type(o)));
}

err_t object_commit(git_repository *repo, const git_oid *oid, git_commit **ret) {
    git_oid at = *oid;
    for (int i = 0; i < MAX_TAGS; i++) {
        git_object *o = NULL;
        TRY(lookup(repo, &at, &o));
        if (git_object_type(o) == GIT_OBJECT_COMMIT) {
            *ret = (git_commit *)o;
            return NULL;
        }
        err_t e = NULL;
        if (git_object_type(o) == GIT_OBJECT_TAG)
            git_oid_cpy(&at, git_tag_target_id((git_tag *)o));
        else
            e = wrong_kind(o, "commit");
        git_object_free(o);
        TRY(e);
    }
    return err_new(ERR_GIT_LIMIT, "more than %d tags point at each other", MAX_TAGS);
}

err_t object_tree(git_repository *repo, const git_oid *oid, git_tree **ret) {
    git_object *o = NULL;
    TRY(lookup(repo, oid, &o));
    if (git_object_type(o) == GIT_OBJECT_TREE) {
        *ret = (git_tree *)o;
        return NULL;
    }
    err_t e = wrong_kind(o, "tree");
    git_object_free(o);
    return e;
}

/* ---- packs ---- */

struct pack_scan {
    git_odb *odb;
    err_t error;
};

static int on_object(const git_oid *oid, void *arg) {
    struct pack_scan *s = arg;
    git_object_t type;
    size_t size;
    int rc = git_odb_read_header(&size, &type, s->odb, oid);
    s->error = rc < 0 ? git_err(rc, "read object") : object_fits(oid, type, size);
    return s->error ? -1 : 0;
}

static err_t pack_scan(const char *index) {
    struct pack_scan s = {0};
    git_odb_backend *pack = NULL;
    int rc = git_odb_new(&s.odb);
    if (rc == 0)
        rc = git_odb_backend_one_pack(&pack, index);
    if (rc == 0)
        rc = git_odb_add_backend(s.odb, pack, 1);
    if (rc == 0)
        rc = git_odb_foreach(s.odb, on_object, &s);
    git_odb_free(s.odb);
    return s.error ? s.error : rc < 0 ? git_err(rc, "read pack") : NULL;
}

/* The mark is written last: a check that was killed is done again. */
static err_t pack_check(struct arena *a, const char *base) {
    const char *mark = arena_printf(a, "%s.checked", base);
    if (access(mark, F_OK) == 0)
        return NULL;
    err_t e = pack_scan(arena_printf(a, "%s.idx", base));
    if (e) {
        (void)unlink(arena_printf(a, "%s.idx", base));
        (void)unlink(arena_printf(a, "%s.pack", base));
        return e;
    }
    int fd = open(mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_new(ERR_IO, "mark a pack as checked: errno %d", errno);
    (void)close(fd);
    return NULL;
}

err_t packs_check(struct arena *a, git_repository *repo) {
    const char *dir = arena_printf(a, "%s/objects/pack", git_repository_path(repo));
    DIR *d = opendir(dir);
    if (d == NULL)
        return errno == ENOENT ? NULL : err_new(ERR_IO, "read %s: errno %d", dir, errno);
    err_t e = NULL;
    for (struct dirent *i; e == NULL && (i = readdir(d));)
        if (z_ends(i->d_name, ".idx"))
            e = pack_check(a, arena_printf(a, "%s/%.*s", dir, (int)strlen(i->d_name) - 4, i->d_name));
    (void)closedir(d);
    return e;
}
