/* Files that a container needs from the commit: bind-mounted repository paths, configs, secrets, build contexts. Content is
 * addressed by a digest over paths, modes and bytes, so that an unchanged file never recreates a container. */
#pragma once
#include "core/base/err.h"
#include "core/base/str.h"
#include "core/base/vec.h"

struct content_file {
    const char *path; /* relative to the set's root */
    uint32_t mode;    /* permission bits */
    uint32_t uid, gid;
    bool dir;
    struct str text;
};
struct content {
    VEC(struct content_file) files; /* sorted by path */
    size_t bytes;
    const char *digest;
};
#define CONTENT_MAX_FILES 5000
#define CONTENT_MAX_BYTES MIB(64)

/** Where files come from: one commit of one mirror. */
struct content_source {
    const char *mirror, *sha;
    uint64_t deadline;
};
/** YIELDS. A file or a directory (recursively) of the commit; links and submodules inside are ERR_PATH_ESCAPE. For a file the
 * set has one entry named `as`. */
MUST_CHECK err_t content_from_git(struct arena *a, const struct content_source *src, const char *path, const char *as,
                                  struct content **ret);
struct content *content_from_text(struct arena *a, const char *as, struct str text, uint32_t mode, uint32_t uid,
                                  uint32_t gid);
/** Set the digest from what is in it. */
void content_seal(struct arena *a, struct content *c);
/** As a tar archive for the engine. */
MUST_CHECK err_t content_tar(struct arena *a, const struct content *c, struct str *ret);
