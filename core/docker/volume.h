/* Volumes of one engine. Errors: docker.h. */
#pragma once
#include "core/docker/docker.h"
#include "core/docker/guard.h"
#include "core/docker/spec.h"

struct docker_volume {
    const char *name, *driver, *mountpoint, *scope, *created_at;
    const struct json *labels, *options; /* may be NULL */
    const struct json *raw;
};
MUST_CHECK err_t docker_volume_list(struct docker *d, struct arena *a, const char *const *labels, size_t nlabels,
                                    uint64_t deadline, struct docker_volume **ret, size_t *ret_n);
MUST_CHECK err_t docker_volume_inspect(struct docker *d, struct arena *a, const char *name, uint64_t deadline,
                                       struct docker_volume **ret);
/** The engine answers 201 for an existing name and ignores what differs: this asks first and gives ERR_CONFLICT when the
 * existing volume has another driver or options, and sets *ret_existed. */
MUST_CHECK err_t docker_volume_create(struct docker *d, struct arena *a, const struct volume_spec *spec,
                                      const struct guard_rights *rights, uint64_t deadline, struct docker_volume **ret,
                                      bool *ret_existed);
/** Removing what is gone succeeds. ERR_CONFLICT: in use. */
MUST_CHECK err_t docker_volume_remove(struct docker *d, const char *name, bool force, uint64_t deadline);
MUST_CHECK err_t docker_volume_from_row(struct json *row, struct docker_volume *ret);
