/* Tar streams for archive uploads and build contexts: a pax/ustar writer with a bounded buffer and .dockerignore rules.
 * Pure: no file access; the caller brings the contents. */
#pragma once
#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/err.h"

enum tar_kind { TAR_FILE, TAR_DIR, TAR_SYMLINK };
struct tar_entry {
    enum tar_kind kind;
    const char *path;        /* relative, no "..", no leading slash, no NUL */
    const char *link_target; /* symlink */
    uint32_t mode;           /* permission bits; 0 = 0644 / 0755 */
    uint32_t uid, gid;
    int64_t mtime; /* unix seconds; fixed times keep build caches warm */
    int64_t size;  /* file: bytes that tar_data will bring */
};
struct tar_writer;
/** `max` bounds what may lie in the buffer between two tar_take calls (ERR_TOO_LARGE). */
struct tar_writer *tar_writer_new(size_t max);
void tar_writer_free(struct tar_writer *w); /* NULL is fine */
DF_AUTO_DEFINE(tar_writer, struct tar_writer *, tar_writer_free);
/** ERR_PATH_ESCAPE for a path that leaves the root, ERR_INVALID if the previous file is short of data. */
MUST_CHECK err_t tar_add(struct tar_writer *w, const struct tar_entry *e);
MUST_CHECK err_t tar_data(struct tar_writer *w, struct str bytes);
MUST_CHECK err_t tar_finish(struct tar_writer *w);
/** What was written since the last take; valid until the next call on w. */
struct str tar_take(struct tar_writer *w);

/** A whole small archive in memory. */
struct tar_file {
    struct tar_entry entry; /* size is taken from data */
    struct str data;
};
MUST_CHECK err_t tar_build(struct arena *a, const struct tar_file *files, size_t n, size_t max, struct str *ret);

/** docker_tar_source over an array (image.h): contents stay the caller's until the build ended. */
struct tar_list_source {
    const struct tar_file *files;
    size_t n, next, sent; /* zero next and sent */
    struct tar_writer *w;
    bool finished;
};
void tar_list_source_init(struct tar_list_source *s, const struct tar_file *files, size_t n);
err_t tar_list_source_next(void *source, uint64_t deadline, struct str *ret);
void tar_list_source_done(struct tar_list_source *s);

/* --- .dockerignore --- */
struct dockerignore;
/** Patterns as the classic builder reads them: comments, trimmed lines, "!", "**", last match wins. At most 10000 lines.
 * `dockerfile` (may be NULL) and .dockerignore itself are never excluded. */
MUST_CHECK err_t dockerignore_parse(struct arena *a, struct str text, const char *dockerfile,
                                    struct dockerignore **ret);
bool dockerignore_excluded(const struct dockerignore *di, const char *path);
/** May a walker skip this excluded directory as a whole? Not when a "!" pattern could match inside. */
bool dockerignore_prune(const struct dockerignore *di, const char *dir);
