/* map: string -> pointer, insertion-ordered, open addressing. Keys are copied into the arena (arena maps) or the heap. */
#pragma once
#include "core/base/arena.h"
#include "core/base/str.h"

struct map_entry {
    struct str key; /* also NUL-terminated */
    void *value;    /* NULL values are allowed; see map_has */
    uint64_t hash;  /* of the key; private */
    bool dead;
};
struct map {
    struct arena *a; /* NULL = heap: call map_done */
    struct map_entry *entries;
    uint32_t *slots;
    size_t n /* live */, used /* entries incl. dead */, cap, nslots;
};
void map_init(struct map *m, struct arena *a);
void map_done(struct map *m);                       /* heap maps; does not free values */
void *map_get(const struct map *m, struct str key); /* NULL if absent */
void *map_getz(const struct map *m, const char *key);
bool map_has(const struct map *m, struct str key);
/** Insert or replace; returns the previous value or NULL. */
void *map_set(struct map *m, struct str key, void *value);
void *map_setz(struct map *m, const char *key, void *value);
void *map_del(struct map *m, struct str key); /* returns the removed value */
/** Iterate live entries in insertion order; map_del of any entry is fine meanwhile, map_set of a new key is not:
 * `for (struct map_entry *e = NULL; (e = map_next(m, e)) != NULL;)`. */
struct map_entry *map_next(const struct map *m, struct map_entry *prev);
