/* Matching a method and canonical path to a row of the route table: a trie over path segments. Private to server/. */
#pragma once
#include "server/route.h"

enum { ROUTE_MAX_PARAMS = 8, ROUTE_MAX_SEGMENTS = 16, HTTP_METHODS = 5 };

struct route_match {
    const struct route *route; /* NULL: no such path, or not this method */
    struct str params[ROUTE_MAX_PARAMS];
    size_t nparams;
    unsigned allowed; /* bit per http_method that the path has; 0 = the path is unknown */
};
bool http_method_parse(struct str name, enum http_method *ret);
const char *http_method_name(enum http_method m);
/** HEAD is looked up as GET by the caller. Static segments win over parameters. Params borrow from `path`. */
void router_match(enum http_method method, struct str path, struct route_match *ret);
/** "GET, HEAD, POST" for an Allow header. */
const char *router_allow(struct arena *a, unsigned allowed);
/** Index of parameter `name` in the pattern, or -1. */
int route_param_index(const struct route *r, const char *name);
bool route_query_allowed(const struct route *r, const char *name);
/** Dense number of a row, for metrics and per-route state. */
size_t route_number(const struct route *r);
void routes_reset(void); /* tests and shutdown */
