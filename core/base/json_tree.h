/* Private to the JSON files: how objects find their members. */
#pragma once
#include "core/base/json.h"

#define JSON_INDEX_ABOVE 16    /* members; below, comparing lengths in a row is quicker than hashing */
#define JSON_DEPTH_CEILING 512 /* whatever the limits say: writers and comparers recurse on fiber stacks */

/** An empty index with room for n members. */
void json_index_reserve(struct arena *a, struct json *obj, size_t n);
/** Build (or rebuild) the index of an object with more than JSON_INDEX_ABOVE members. */
void json_index_build(struct arena *a, struct json *obj);
/** Enter member i into the index; if an equal key is there already, return its position and enter nothing, else -1. */
ptrdiff_t json_index_add(struct json *obj, size_t i);
/** Position of a key, -1 if absent. */
ptrdiff_t json_member_find(const struct json *obj, struct str key);
