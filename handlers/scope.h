/* What organizations, teams, projects and folders have in common: each is a scope (same id), read with project:read there. */
#pragma once
#include "handlers/app.h"

struct scope_kind {
    const char *name; /* "project": audit kind and path word */
    const char *path; /* "/api/v1/projects" */
    enum stmt get, json, lock, update, delete;
    bool by_name;    /* {id} may be a name; get then takes (text, uuid or NULL) */
    bool described;  /* has a description; update then takes it as $4 */
    const char *key; /* constraint that means "the name is taken" */
};
/** In r->resource after scope_resolve. */
struct scope_seen {
    const char *id, *org_id;
    int64_t version;
};
MUST_CHECK err_t scope_resolve(struct request *r, const struct scope_kind *k);
MUST_CHECK err_t scope_get(struct request *r, struct reply *out, const struct scope_kind *k);
MUST_CHECK err_t scope_update(struct request *r, struct reply *out, const struct scope_kind *k);
MUST_CHECK err_t scope_delete(struct request *r, struct reply *out, const struct scope_kind *k);
/** Body of a create: runs `insert` with the arguments, then answers 201 with the new row. parent: its scope. */
MUST_CHECK err_t scope_create(struct request *r, struct reply *out, const struct scope_kind *k, enum stmt insert,
                              const struct pg_args *args, const char *id, const char *name);
