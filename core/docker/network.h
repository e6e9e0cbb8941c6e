/* Networks of one engine. Names are not unique: lists are compared exactly, removal goes by id. Errors: docker.h. */
#pragma once
#include "core/docker/docker.h"
#include "core/docker/guard.h"
#include "core/docker/spec.h"

struct docker_network {
    const char *id, *name, *driver, *scope, *created_at;
    bool internal, attachable, ipv6;
    const struct json *labels, *options, *ipam; /* may be NULL */
    const struct json *containers;              /* inspect only: {id: {...}} */
    const struct json *raw;
};
/** `labels`: "k" or "k=v", all must match. */
MUST_CHECK err_t docker_network_list(struct docker *d, struct arena *a, const char *const *labels, size_t nlabels,
                                     uint64_t deadline, struct docker_network **ret, size_t *ret_n);
MUST_CHECK err_t docker_network_inspect(struct docker *d, struct arena *a, const char *id, uint64_t deadline,
                                        struct docker_network **ret);
/** By exact name; ERR_NOT_FOUND, ERR_CONFLICT when several have it (details.ids). */
MUST_CHECK err_t docker_network_find(struct docker *d, struct arena *a, const char *name, uint64_t deadline,
                                     struct docker_network **ret);
/** ERR_CONFLICT when the name exists. Serialised per endpoint. */
MUST_CHECK err_t docker_network_create(struct docker *d, struct arena *a, const struct network_spec *spec,
                                       const struct guard_rights *rights, uint64_t deadline, const char **ret_id);
MUST_CHECK err_t docker_network_connect(struct docker *d, struct arena *a, const char *network, const char *container,
                                        const struct spec_network *endpoint, const struct guard_rights *rights,
                                        uint64_t deadline);
/** A container that is not attached counts as success. */
MUST_CHECK err_t docker_network_disconnect(struct docker *d, const char *network, const char *container, bool force,
                                           uint64_t deadline);
/** Removing what is gone succeeds. ERR_CONFLICT: endpoints left. */
MUST_CHECK err_t docker_network_remove(struct docker *d, const char *id, uint64_t deadline);
/** What would make such a network again; borrows from `n`. */
void docker_network_spec(struct arena *a, const struct docker_network *n, struct network_spec *ret);
MUST_CHECK err_t docker_network_from_row(struct json *row, struct docker_network *ret);
