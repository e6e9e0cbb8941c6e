/* A service of the project as the engine's create body: the mapping table of docs/compose.md, nothing else. Pure. */
#pragma once
#include "core/docker/spec.h"
#include "core/gitops/plan.h"

struct map_input {
    const struct desired *want;
    const struct desired_service *service;
    int64_t number;
    const char *name;     /* container name to create */
    const char *image_id; /* what `image` resolved to */
    const char *hash;     /* identity label */
    const char *deployment_id;
    /** Engine path of a files volume's data ("/var/lib/docker/volumes/x/_data"), by volume name. */
    const char *(*files_path)(void *ctx, const char *volume);
    /** Container id of a service's first replica, for "service:x" namespaces; NULL when there is none. */
    const char *(*service_container)(void *ctx, const char *service);
    void *ctx;
};
MUST_CHECK err_t spec_map_container(struct arena *a, const struct map_input *in, struct container_spec *ret);
void spec_map_network(struct arena *a, const struct desired *want, const struct compose_network *n,
                      struct network_spec *ret);
void spec_map_volume(struct arena *a, const struct desired *want, const struct compose_volume *v,
                     struct volume_spec *ret);
/** One attachment of a service, e.g. for a later connect. */
void spec_map_endpoint(struct arena *a, const struct desired *want, const struct compose_service *s,
                       const struct compose_attachment *at, const char *container_name, struct spec_network *ret);
