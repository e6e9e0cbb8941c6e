/* Request bodies against a subset of JSON Schema 2020-12. The schemas are conf/schemas/<Name>.json, compiled into the binary;
 * they also become components/schemas of the OpenAPI document. References: {"$ref":"#/components/schemas/<Name>"}. */
#pragma once
#include "core/base/json.h"

struct embedded_file {
    const char *name;
    const unsigned char *bytes;
    size_t n;
};
extern const struct embedded_file embedded_schemas[]; /* generated */
extern const size_t embedded_schemas_count;

/** Parse and register; CHECKs that it is a legal schema of our subset (unknown keyword, dangling $ref later in schema_seal). */
void schema_register(const char *name, struct str text);
void schema_register_embedded(void);
/** After the last registration: CHECKs every $ref. */
void schema_seal(void);
const struct json *schema_get(const char *name); /* NULL if unknown */
/** All of them, for OpenAPI: an object name -> schema. */
const struct json *schema_all(void);
/** ERR_UNKNOWN_FIELD, ERR_MISSING_FIELD, ERR_SCHEMA; err->field is the JSON pointer. The first violation wins. */
MUST_CHECK err_t schema_validate(const struct json *schema, const struct json *value);
void schema_fini(void);
