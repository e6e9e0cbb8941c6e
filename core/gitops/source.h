/* From a commit to the desired state: compose files are read from the tree of the commit, interpolated with the application's
 * variables, normalised, and the files they mount are collected. */
#pragma once
#include "core/gitops/app.h"
#include "core/gitops/content.h"
#include "core/gitops/plan.h"

struct source_conf {
    const char *mirror; /* bare repository */
    const char *sha;    /* 40 hex */
    uint64_t deadline;
};
/** YIELDS. Errors of the files carry file:line:column (details file, line, column), paths relative to the repository. */
MUST_CHECK err_t source_desired(struct arena *a, const struct app *app, const struct source_conf *conf,
                                struct desired **ret);
/** YIELDS. Tar of a service's build context, .dockerignore applied. */
MUST_CHECK err_t source_build_context(struct arena *a, const struct source_conf *conf, const struct desired_service *s,
                                      struct str *ret_tar);
/** Context and Dockerfile of a built service as repository paths. */
MUST_CHECK err_t source_build_paths(struct arena *a, const struct desired_service *s, const char **ret_context,
                                    const char **ret_dockerfile);
/** What a deployment records: {"services":{...canonical},"files":{service:{key:digest}},"project":canonical}; secrets are left out. */
struct json *source_rendered(struct arena *a, const struct desired *want);
