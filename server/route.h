/* The route table: one row per endpoint. Router, permission check, audit name, query whitelist, OpenAPI and the generated
 * test matrix are made from it. A row without a permission rule does not compile (PERM field is mandatory in the macro). */
#pragma once
#include "core/base/err.h"
#include "server/reply.h"
#include "server/request.h"
#include "server/ws.h"

enum http_method { HTTP_GET, HTTP_POST, HTTP_PUT, HTTP_PATCH, HTTP_DELETE };
enum route_auth {
    AUTH_PUBLIC,     /* anyone: health, login, static, webhooks (which verify their own signature) */
    AUTH_SELF,       /* any authenticated principal, about itself only */
    AUTH_PERMISSION, /* `permission` at the scope that `resolve` gives */
};
enum route_flags {
    ROUTE_WS = 1 << 0,          /* WebSocket upgrade */
    ROUTE_SSE = 1 << 1,         /* may stream; no request timeout */
    ROUTE_TASK = 1 << 2,        /* answers 202 with a task; ?wait= allowed */
    ROUTE_RAW_BODY = 1 << 3,    /* no JSON content type check (webhooks, uploads) */
    ROUTE_NO_AUDIT = 1 << 4,    /* a mutation that audits itself or changes nothing (e.g. dry run, ticket) */
    ROUTE_LIST = 1 << 5,        /* limit, cursor, q, sort, fields are allowed query parameters */
    ROUTE_IF_MATCH = 1 << 6,    /* documents and expects If-Match */
    ROUTE_PASSWORD_OK = 1 << 7, /* usable while the password must be changed */
    ROUTE_INLINE =
        1 << 8, /* public GET whose handler never YIELDS: runs on the loop stack, no fiber (health, metrics) */
    ROUTE_LOGIN = 1 << 9, /* counts against the login rate limit of the address */
    ROUTE_PAGE = 1 << 11, /* the answer is a page of response_schema, without the query parameters of ROUTE_LIST */
    ROUTE_HOOK = 1 << 10, /* signed by its sender: refusals cost the address double; no Origin or CSRF rules */
};
typedef err_t route_handler(struct request *r, struct reply *out);
/** Finds the addressed object's scope, before the permission check: sets r->scope_id (and r->resource). ERR_NOT_FOUND when it
 * does not exist; the middleware turns "exists but unreadable" into the identical 404. NULL = the root scope. YIELDS. */
typedef err_t route_scope_fn(struct request *r);

struct route {
    enum http_method method;
    const char *pattern; /* "/api/v1/applications/{id}/sync" */
    enum route_auth auth;
    const char *permission;      /* "application:sync"; NULL unless AUTH_PERMISSION */
    const char *read_permission; /* 404 instead of 403 when this one is missing too; NULL = permission */
    route_scope_fn *resolve;
    route_handler *handler;
    const char *audit;           /* "application.sync"; NULL for reads */
    const char *request_schema;  /* name in conf/schemas (without .json), NULL = no body */
    const char *response_schema; /* of the answer, or of each item with ROUTE_LIST and ROUTE_PAGE */
    const char *response_type;   /* of an answer that is not JSON; it is documented as text then */
    int status;        /* of success; 0: 202 of tasks, 204 of DELETE, 201 of what is audited as x.create, else 200 */
    const char *query; /* allowed query parameters, space separated; NULL = none (LIST/TASK flags add theirs) */
    unsigned flags;
    const void *data;          /* of handlers that serve several rows */
    const char *tag, *summary; /* OpenAPI */
};
#define ROUTE(m, path, auth_, perm, fn, ...)                                                                           \
    { .method = HTTP_##m, .pattern = (path), .auth = (auth_), .permission = (perm), .handler = (fn), __VA_ARGS__ }

/** Status of success: the row's own, or what its kind implies. */
int route_good_status(const struct route *r);
/** handlers/routes.c registers each area's table at start, before listening. CHECKs rows (permission present, pattern legal). */
void routes_register(const struct route *rows, size_t n);
/** All rows in registration order, for OpenAPI and tests. */
const struct route *const *routes_all(size_t *ret_n);
