/* Files in and out of containers as tar. Errors: docker.h. Writer of tar streams: tar.h. */
#pragma once
#include "core/docker/docker.h"
#include "core/docker/image.h"

struct docker_put {
    const char *container, *path; /* path: existing absolute directory */
    bool copy_uid_gid, no_overwrite_dir_non_dir;
};
/** ERR_NOT_FOUND: container or path; ERR_CONFLICT: read-only root file system. Works before the first start. */
MUST_CHECK err_t docker_archive_put(struct docker *d, const struct docker_put *opt, struct str tar, uint64_t deadline);
MUST_CHECK err_t docker_archive_put_stream(struct docker *d, const struct docker_put *opt, docker_tar_source *source,
                                           void *source_arg, uint64_t deadline);

struct docker_path_stat {
    const char *name, *link_target, *mtime;
    int64_t size;
    uint32_t mode; /* Go FileMode bits */
    bool is_dir;
};
MUST_CHECK err_t docker_archive_stat(struct docker *d, struct arena *a, const char *container, const char *path,
                                     uint64_t deadline, struct docker_path_stat *ret);
/** Tar bytes of a path piece by piece; fn's error ends it. */
MUST_CHECK err_t docker_archive_get(struct docker *d, const char *container, const char *path, uint64_t deadline,
                                    err_t (*fn)(void *arg, struct str bytes), void *arg);
