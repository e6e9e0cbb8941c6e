/* Objects of a mirror, with limits: the header says how large an object is before it is unpacked. Private to core/git. */
#pragma once
#include <git2.h>
#include "core/git/helper.h"

#define GIT_MAX_TREE MIB(16)  /* some 400,000 names in one directory */
#define GIT_MAX_COMMIT MIB(1) /* commits and tags: their messages are what is large */

/** GIT_LIMIT for a tree, commit or tag that is too large; other kinds pass. */
MUST_CHECK err_t object_fits(const git_oid *oid, git_object_t type, size_t size);
/** The commit at `oid`, tags on the way peeled. */
MUST_CHECK err_t object_commit(git_repository *repo, const git_oid *oid, git_commit **ret);
MUST_CHECK err_t object_tree(git_repository *repo, const git_oid *oid, git_tree **ret);
/** In the helper: check the packs that came since the last time. A pack with an object that does not fit is deleted: as the base of
 * a delta it would be unpacked by a small one that does. GIT_LIMIT. */
MUST_CHECK err_t packs_check(struct arena *a, git_repository *repo);
