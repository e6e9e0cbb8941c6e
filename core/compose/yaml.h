/* YAML reader: text to y_node trees, with budgets. YAML 1.2 core schema (no yes/no/on/off, no sexagesimal, 012 is twelve), merge
 * keys `<<`, anchors and aliases (expanded, counted); tags: core ones, !reset and !override. UTF-8 only.
 * Errors are "file:line:column: what" (INVALID_YAML, YAML_LIMIT, DUPLICATE_KEY, TOO_LARGE) with details file, line, column. */
#pragma once
#include "core/compose/tree.h"

struct yaml_limits {
    size_t max_bytes;   /* 0 = 1 MiB */
    size_t max_depth;   /* 0 = 64 */
    size_t max_nodes;   /* 0 = 100,000, after expansion of aliases */
    size_t max_aliases; /* 0 = 1,000 expansions */
    size_t max_docs;    /* 0 = 16 */
    bool single;        /* exactly one document; a second is INVALID_YAML */
    bool no_custom;     /* refuse !reset and !override as any other unknown tag */
};
struct yaml_docs {
    struct y_node **v; /* an empty document is a null node */
    size_t nodes;      /* in all documents, aliases expanded */
    size_t n;          /* 0 for a file with nothing but comments */
};
/** `text` may be freed afterwards. `limits` NULL = defaults. */
MUST_CHECK err_t yaml_parse(struct arena *a, struct str text, const char *file, const struct yaml_limits *limits,
                            struct yaml_docs *ret);
/** Exactly one document (Y_MAP not required); an empty file gives a null node. */
MUST_CHECK err_t yaml_parse_one(struct arena *a, struct str text, const char *file, struct y_node **ret);
/** Write JSON as block YAML (2 spaces), keys in the order of the objects; strings are quoted when they need it. */
void yaml_write_json(struct buf *b, const struct json *j);
