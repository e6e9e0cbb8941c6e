/* What organizations, teams, projects and folders have in common: each is a scope (same id), read with project:read there. */
#pragma once
#include "handlers/app.h"

struct scope_filter {
    const char *name, *where; /* query parameter, SQL with one '?' */
};
struct scope_kind {
    const char *name;  /* "project": audit kind and path word */
    const char *path;  /* "/api/v1/projects" */
    const char *table; /* "projects t" */
    enum stmt get, json, lock, insert, update, delete;
    bool by_name;                       /* {id} may be a name; get then takes (text, uuid or NULL) */
    bool described;                     /* has a description; update then takes it as $4 */
    const struct scope_filter *filters; /* of the list; ends with an empty one */
    const char *const
        *fields; /* arguments of insert: members of the body, "id", "scope" (r->scope_id); ends with NULL */
};
/** Rows of the table: handlers find the kind in it. */
#define SCOPE(m, kind_, pattern_, perm, fn, ...)                                                                       \
    ROUTE(m, pattern_, AUTH_PERMISSION, perm, fn, .read_permission = "project:read", .data = (kind_), .tag = "scopes", \
          __VA_ARGS__)
#define SCOPE_LIST(kind_, pattern_, schema_, query_, text)                                                             \
    SCOPE(GET, kind_, pattern_, "project:read", scope_list, .response_schema = (schema_), .query = (query_),           \
          .flags = ROUTE_LIST, .summary = (text))
#define SCOPE_GET(kind_, pattern_, schema_, text)                                                                      \
    SCOPE(GET, kind_, pattern_, "project:read", scope_get, .resolve = scope_resolve, .response_schema = (schema_),     \
          .summary = (text))
#define SCOPE_WRITE(m, kind_, pattern_, perm, fn, ...)                                                                 \
    SCOPE(m, kind_, pattern_, perm, fn, .resolve = scope_resolve, .flags = ROUTE_IF_MATCH, __VA_ARGS__)

/** In r->resource after scope_resolve. */
struct scope_seen {
    const char *id, *org_id;
    int64_t version;
};
MUST_CHECK err_t scope_resolve(struct request *r);
MUST_CHECK err_t scope_list(struct request *r, struct reply *out);
MUST_CHECK err_t scope_get(struct request *r, struct reply *out);
/** Answers 201 with the new row. */
MUST_CHECK err_t scope_create(struct request *r, struct reply *out);
MUST_CHECK err_t scope_update(struct request *r, struct reply *out);
MUST_CHECK err_t scope_delete(struct request *r, struct reply *out);

struct scope_member {
    const char *user_id, *username;
};
/** YIELDS. The user that the body names, if the caller may see him. */
MUST_CHECK err_t scope_member_of_body(struct request *r, struct scope_member *ret);
