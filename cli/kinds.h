/* Kinds of objects as the command line names them. */
#pragma once
#include "cli/cli.h"
#include "core/base/id.h"

#define MAX_COLUMNS 10
struct kind {
    const char *name, *alias, *path; /* alias: words separated by spaces */
    const char *search;              /* member that holds the name where the API takes ids only; else NULL */
    struct column columns[MAX_COLUMNS];
};

/** NULL or unknown: ERR_INVALID that lists what there is. */
MUST_CHECK err_t kind_of(struct arena *a, const char *name, const struct kind **ret);
const char *kind_names(struct arena *a); /* separated by spaces */
size_t kind_columns(const struct kind *k);
/** YIELDS. Path of the object with this name or id. ERR_NOT_FOUND, ERR_CONFLICT when several have the name. */
MUST_CHECK err_t kind_path(struct client *c, struct arena *a, const struct kind *k, const char *ref, const char **ret);
/** YIELDS. Id of the object with this name or id. */
MUST_CHECK err_t kind_id(struct client *c, struct arena *a, const char *kind, const char *ref, const char **ret);
