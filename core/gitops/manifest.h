/* Application manifests: the .yaml files of `.dockflow/applications` on a repository's default branch.
 *
 *   apiVersion: dockflow.io/v1
 *   kind: Application
 *   metadata: {name: shop, labels: {}}
 *   spec:
 *     repository: {branch: main, path: deploy}
 *     docker: {composeFile: compose.yaml}            # or composeFiles: [...]
 *     environments:
 *       - {name: production, node: default, variables: {LEVEL: info}}
 *     syncPolicy: {automated: true, prune: true, selfHeal: true}
 *
 * One environment (or none) makes one application of that name; several make one each, "<name>-<environment>". */
#pragma once
#include "core/base/json.h"
#include "core/base/vec.h"

#define MANIFEST_DIR ".dockflow/applications"
#define MANIFEST_MAX_FILES 200
#define MANIFEST_MAX_BYTES ((size_t)256 << 10)

struct y_node;
struct manifest_app {
    const char *name, *description, *branch, *path, *environment;
    const char *node;                                /* name; NULL = the default node */
    const char *url;                                 /* NULL = not said; else it must be the repository's own */
    const char *labels, *files, *variables, *policy; /* JSON texts: object, array, object, object */
    const char *document;                            /* JSON of the whole document */
    const char *file;
    const struct y_node *at, *node_at, *url_at; /* places, for errors found later */
};
typedef VEC(struct manifest_app) manifest_apps;
/** Adds the applications of one file (several documents). Pure. Errors are "file:line:column: what" with details file, line,
 * column. */
MUST_CHECK err_t manifest_parse(struct arena *a, struct str text, const char *file, manifest_apps *out);
/** ERR_CONFLICT at the second place of a name. */
MUST_CHECK err_t manifest_check_unique(const manifest_apps *apps);
