/* Shared by the files of the applications area. */
#pragma once
#include "handlers/app.h"

/** What resolve_application leaves in r->resource; r->scope_id is the application itself. */
struct seen_application {
    const char *id, *name, *project_id;
    int64_t version;
};
/** {id}: an id, or a name that only one application has which the caller may see. YIELDS. */
err_t resolve_application(struct request *r);
