#include <git2.h>
#include <stdlib.h>
#include "core/base/vec.h"
#include "core/base/check.h"
#include "core/git/job.h"
#include "core/git/object.h"

#define MAX_MESSAGE KIB(8)
#define MAX_DEPTH 64

struct read_in {
    const char *ref, *path;
    size_t max, limit;
    bool recursive;
};
struct read_out {
    struct str text;
    const char *oid;
    struct git_commit commit;
    VEC(struct git_entry) entries;
};

static char *oid_text(struct arena *a, const git_oid *oid) {
    char *out = arena_alloc(a, GIT_OID_HEXSZ + 1, 1);
    return git_oid_tostr(out, GIT_OID_HEXSZ + 1, oid);
}

static bool is_sha(const char *ref) { return strlen(ref) == 40 && strspn(ref, "0123456789abcdef") == 40; }

static err_t lookup_named(struct arena *a, git_repository *repo, const char *ref, git_commit **ret) {
    const char *full[] = {ref, arena_printf(a, "refs/heads/%s", ref), arena_printf(a, "refs/tags/%s", ref)};
    for (size_t i = z_starts(ref, "refs/") ? 0 : 1; i < ARRAY_LEN(full); i++) {
        git_oid oid;
        if (git_reference_name_to_id(&oid, repo, full[i]) == 0)
            return object_commit(repo, &oid, ret);
    }
    return err_new(ERR_NOT_FOUND, "the repository has no branch, tag or commit '%s'", ref);
}

/* User text never reaches revparse: a full object id or a ref name, nothing else. */
static err_t commit_open(struct git_job *job, git_repository *repo, const char *ref, git_commit **ret) {
    if (!is_sha(ref)) {
        if (!git_ref_valid(ref))
            return err_new(ERR_INVALID, "'%s' is not a legal ref name", ref);
        return lookup_named(job->a, repo, ref, ret);
    }
    git_oid oid;
    int rc = git_oid_fromstr(&oid, ref);
    err_t e = rc < 0 ? git_err(rc, "find commit") : object_commit(repo, &oid, ret);
    if (e && e->code == ERR_NOT_FOUND)
        return err_new(ERR_NOT_FOUND, "commit %s is not in the repository (rewritten history?)", ref);
    return e;
}

static err_t tree_open(struct git_job *job, git_repository *repo, const char *ref, git_tree **ret) {
    git_commit *commit = NULL;
    TRY(commit_open(job, repo, ref, &commit));
    err_t e = object_tree(repo, git_commit_tree_id(commit), ret);
    git_commit_free(commit);
    return e;
}

static err_t resolve_job(struct git_job *job, git_repository *repo) {
    struct read_in *in = job->in;
    struct read_out *out = job->out;
    git_commit *c = NULL;
    TRY(commit_open(job, repo, in->ref, &c));
    const git_signature *who = git_commit_author(c);
    struct str message = str_of(git_commit_message(c));
    out->commit = (struct git_commit){
        .sha = oid_text(job->a, git_commit_id(c)),
        .author = arena_strdup(job->a, who && who->name ? who->name : ""),
        .email = arena_strdup(job->a, who && who->email ? who->email : ""),
        .message = str_z(job->a, str_slice(message, 0, MAX_MESSAGE)),
        .time_ms = (int64_t)git_commit_time(c) * 1000,
    };
    git_commit_free(c);
    return NULL;
}

static err_t escape(const char *path, const git_tree_entry *e) {
    const char *what = git_tree_entry_filemode(e) == GIT_FILEMODE_LINK ? "a symbolic link" : "a submodule";
    err_t err = err_new(ERR_PATH_ESCAPE, "'%s' goes through %s ('%s'); only plain files of the repository are read",
                        path, what, git_tree_entry_name(e));
    return err_detail(err, "path", path);
}

/* Walk component by component, so that a link on the way is seen and refused, never followed. */
static err_t walk(struct git_job *job, git_repository *repo, git_tree *root, const char *path, git_tree_entry **ret) {
    git_tree *tree = root;
    struct str rest = str_of(path), part;
    err_t err = NULL;
    git_tree_entry *found = NULL;
    while (err == NULL && str_cut(&rest, '/', &part)) {
        const git_tree_entry *e = git_tree_entry_byname(tree, str_z(job->a, part));
        git_tree *next = NULL;
        if (e == NULL)
            err = err_new(ERR_NOT_FOUND, "the commit has no file '%s'", path);
        else if (git_tree_entry_filemode(e) == GIT_FILEMODE_LINK || git_tree_entry_filemode(e) == GIT_FILEMODE_COMMIT)
            err = escape(path, e);
        else if (rest.n == 0)
            CHECK(git_tree_entry_dup(&found, e) == 0);
        else if (git_tree_entry_type(e) != GIT_OBJECT_TREE)
            err = err_new(ERR_NOT_FOUND, "the commit has no file '%s'", path);
        else
            err = object_tree(repo, git_tree_entry_id(e), &next);
        if (tree != root)
            git_tree_free(tree);
        tree = next;
        if (found || err)
            break;
    }
    if (err == NULL && found == NULL)
        err = err_new(ERR_NOT_FOUND, "the commit has no file '%s'", path);
    *ret = err ? NULL : found;
    return err;
}

static size_t entry_size(git_repository *repo, const git_tree_entry *e) {
    git_odb *odb = NULL;
    size_t n = 0;
    git_object_t type;
    if (git_repository_odb(&odb, repo) == 0)
        (void)git_odb_read_header(&n, &type, odb, git_tree_entry_id(e));
    git_odb_free(odb);
    return n;
}

static err_t read_blob(struct git_job *job, git_repository *repo, const git_tree_entry *e, const char *path, size_t max,
                       struct str *ret) {
    if (git_tree_entry_type(e) != GIT_OBJECT_BLOB)
        return err_new(ERR_NOT_FOUND, "'%s' is a directory", path);
    /* The size stands in front of the packed bytes: what is too large is refused before it is unpacked into this process. */
    size_t n = entry_size(repo, e);
    if (n > max)
        return err_new(ERR_TOO_LARGE, "'%s' has %zu bytes; at most %zu are read", path, n, max);
    git_blob *blob = NULL;
    int rc = git_blob_lookup(&blob, repo, git_tree_entry_id(e));
    if (rc < 0)
        return git_err(rc, "read file");
    *ret = str_dup(job->a, str_n(git_blob_rawcontent(blob), (size_t)git_blob_rawsize(blob)));
    git_blob_free(blob);
    return NULL;
}

static err_t read_job(struct git_job *job, git_repository *repo) {
    struct read_in *in = job->in;
    struct read_out *out = job->out;
    git_tree *root = NULL;
    git_tree_entry *e = NULL;
    TRY(tree_open(job, repo, in->ref, &root));
    err_t err = walk(job, repo, root, in->path, &e);
    if (err == NULL)
        err = read_blob(job, repo, e, in->path, in->max, &out->text);
    if (err == NULL)
        out->oid = oid_text(job->a, git_tree_entry_id(e));
    git_tree_entry_free(e);
    git_tree_free(root);
    return err;
}

/* --- whole pieces of work beside the repository --- */

struct git_files {
    struct git_job *job;
    git_repository *repo;
    git_tree *root;
};

err_t git_files_read(struct git_files *f, const char *path, size_t max, struct str *ret) {
    git_tree_entry *e = NULL;
    const char *clean;
    TRY(git_path_clean(f->job->a, path, &clean));
    err_t err = walk(f->job, f->repo, f->root, clean, &e);
    if (err == NULL)
        err = read_blob(f->job, f->repo, e, clean, max, ret);
    git_tree_entry_free(e);
    return err;
}

struct files_in {
    const char *sha;
    err_t (*fn)(struct git_files *f, struct arena *a, void *arg);
    void *arg;
};

static err_t files_job(struct git_job *job, git_repository *repo) {
    struct files_in *in = job->in;
    struct git_files f = {job, repo, NULL};
    TRY(tree_open(job, repo, in->sha, &f.root));
    err_t err = in->fn(&f, job->a, in->arg);
    git_tree_free(f.root);
    return err;
}

struct git_work *git_work_new(const char *mirror_dir, const char *sha, size_t arg_size, void **ret_arg) {
    struct git_job *job = git_job_new(mirror_dir, files_job);
    struct files_in *in = arena_new_obj(job->a, struct files_in);
    in->sha = arena_strdup(job->a, sha);
    in->arg = *ret_arg = arena_zalloc(job->a, arg_size);
    job->in = in;
    return (struct git_work *)job;
}

struct arena *git_work_arena(struct git_work *w) {
    return ((struct git_job *)w)->a;
}

static void drop_arena(void *a) { arena_unref(a); }

err_t git_work_run(struct git_work *w, struct arena *a, err_t (*fn)(struct git_files *f, struct arena *a, void *arg),
                   uint64_t deadline) {
    struct git_job *job = (struct git_job *)w;
    ((struct files_in *)job->in)->fn = fn;
    TRY(git_job_run(job, deadline));
    arena_on_free(a, drop_arena, arena_ref(job->a));
    git_job_free(job);
    return NULL;
}

static enum git_entry_kind kind_of(const git_tree_entry *e) {
    switch (git_tree_entry_filemode(e)) {
    case GIT_FILEMODE_TREE:
        return GIT_DIR;
    case GIT_FILEMODE_LINK:
        return GIT_LINK;
    case GIT_FILEMODE_COMMIT:
        return GIT_MODULE;
    case GIT_FILEMODE_BLOB_EXECUTABLE:
        return GIT_EXEC;
    default:
        return GIT_FILE;
    }
}

/* Git itself writes no such tree; whoever unpacks a listing shall not be the one to notice. */
static bool honest_name(const char *name) {
    return *name && !z_eq(name, ".") && !z_eq(name, "..") && strchr(name, '/') == NULL && strcasecmp(name, ".git") != 0;
}

static err_t list_tree(struct git_job *job, git_repository *repo, git_tree *tree, const char *prefix, int depth) {
    struct read_in *in = job->in;
    struct read_out *out = job->out;
    if (depth > MAX_DEPTH)
        return err_new(ERR_GIT_LIMIT, "directories nest deeper than %d", MAX_DEPTH);
    for (size_t i = 0; i < git_tree_entrycount(tree); i++) {
        const git_tree_entry *e = git_tree_entry_byindex(tree, i);
        enum git_entry_kind kind = kind_of(e);
        if (out->entries.n >= in->limit)
            return err_new(ERR_GIT_LIMIT, "'%s' has more than %zu entries", *in->path ? in->path : "/", in->limit);
        const char *path = arena_printf(job->a, "%s%s", prefix, git_tree_entry_name(e));
        if (!honest_name(git_tree_entry_name(e)))
            return err_detail(err_new(ERR_PATH_ESCAPE, "the commit has an entry called '%s'", path), "path", path);
        bool file = kind == GIT_FILE || kind == GIT_EXEC;
        *vec_push(job->a, &out->entries) = (struct git_entry){.path = path,
                                                              .kind = kind,
                                                              .oid = oid_text(job->a, git_tree_entry_id(e)),
                                                              .size = file ? entry_size(repo, e) : 0};
        if (kind != GIT_DIR || !in->recursive)
            continue;
        git_tree *sub = NULL;
        TRY(object_tree(repo, git_tree_entry_id(e), &sub));
        err_t err = list_tree(job, repo, sub, arena_printf(job->a, "%s/", path), depth + 1);
        git_tree_free(sub);
        TRY(err);
    }
    return NULL;
}

static err_t list_job(struct git_job *job, git_repository *repo) {
    struct read_in *in = job->in;
    git_tree *root = NULL, *dir = NULL;
    git_tree_entry *e = NULL;
    err_t err = NULL;
    TRY(tree_open(job, repo, in->ref, &root));
    if (*in->path == '\0') {
        err = list_tree(job, repo, root, "", 0);
    } else {
        err = walk(job, repo, root, in->path, &e);
        if (err == NULL && git_tree_entry_type(e) != GIT_OBJECT_TREE)
            err = err_new(ERR_NOT_FOUND, "'%s' is not a directory", in->path);
        if (err == NULL)
            err = object_tree(repo, git_tree_entry_id(e), &dir);
        if (err == NULL)
            err = list_tree(job, repo, dir, "", 0);
    }
    git_tree_entry_free(e);
    git_tree_free(dir);
    git_tree_free(root);
    return err;
}

static struct git_job *new_read(const char *mirror, err_t (*fn)(struct git_job *, git_repository *),
                                struct read_in **in) {
    struct git_job *job = git_job_new(mirror, fn);
    *in = job->in = arena_new_obj(job->a, struct read_in);
    job->out = arena_new_obj(job->a, struct read_out);
    return job;
}

err_t git_resolve(struct arena *a, const char *mirror_dir, const char *ref, uint64_t deadline, struct git_commit *ret) {
    struct read_in *in;
    struct git_job *job = new_read(mirror_dir, resolve_job, &in);
    in->ref = arena_strdup(job->a, ref);
    TRY(git_job_run(job, deadline));
    struct git_commit c = ((struct read_out *)job->out)->commit;
    *ret = (struct git_commit){.sha = arena_strdup(a, c.sha),
                               .author = arena_strdup(a, c.author),
                               .email = arena_strdup(a, c.email),
                               .message = arena_strdup(a, c.message),
                               .time_ms = c.time_ms};
    git_job_free(job);
    return NULL;
}

err_t git_read(struct arena *a, const char *mirror_dir, const char *sha, const char *path, size_t max,
               uint64_t deadline, struct str *ret, const char **ret_oid) {
    struct read_in *in;
    const char *clean;
    TRY(git_path_clean(a, path, &clean));
    struct git_job *job = new_read(mirror_dir, read_job, &in);
    in->ref = arena_strdup(job->a, sha);
    in->path = arena_strdup(job->a, clean);
    in->max = max;
    TRY(git_job_run(job, deadline));
    struct read_out *out = job->out;
    *ret = str_dup(a, out->text);
    if (ret_oid)
        *ret_oid = arena_strdup(a, out->oid);
    git_job_free(job);
    return NULL;
}

err_t git_list(struct arena *a, const char *mirror_dir, const char *sha, const char *dir, bool recursive, size_t limit,
               uint64_t deadline, struct git_entry **ret, size_t *ret_n) {
    struct read_in *in;
    const char *clean;
    TRY(git_path_clean(a, dir, &clean));
    struct git_job *job = new_read(mirror_dir, list_job, &in);
    in->ref = arena_strdup(job->a, sha);
    in->path = arena_strdup(job->a, clean);
    in->recursive = recursive;
    in->limit = limit;
    TRY(git_job_run(job, deadline));
    struct read_out *out = job->out;
    struct git_entry *v = arena_new_array(a, struct git_entry, out->entries.n + 1);
    for (size_t i = 0; i < out->entries.n; i++) {
        v[i] = out->entries.v[i];
        v[i].path = arena_strdup(a, v[i].path);
        v[i].oid = arena_strdup(a, v[i].oid);
    }
    *ret = v;
    *ret_n = out->entries.n;
    git_job_free(job);
    return NULL;
}
