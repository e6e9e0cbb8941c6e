/* OpenAPI 3.1.1 from the route table and the schemas; served as JSON and YAML with a browsable page at /api/docs. */
#pragma once
#include "core/base/json.h"
#include "server/schema.h"
extern const struct embedded_file docs_pages[]; /* generated from server/docs */
extern const size_t docs_pages_count;
/** The whole document, in `a`. */
struct json *openapi_document(struct arena *a, const char *version);
/** Block-style YAML of any JSON tree. */
void yaml_write(struct buf *b, const struct json *j);
/** Route rows: /api/v1/openapi.json, .yaml, /api/v1/schemas/{kind}, /api/docs and its files. */
void openapi_routes(void);
