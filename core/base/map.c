/* Entries lie in insertion order; `slots` is a linear-probing table of entry numbers + 1. A deleted entry stays as a
 * tombstone until the table is rebuilt, so deleting while iterating is fine. */
#include "core/base/map.h"
#include <stdlib.h>
#include <string.h>
#include "core/base/check.h"

void map_init(struct map *m, struct arena *a) { *m = (struct map){.a = a}; }

void map_done(struct map *m) {
    if (m->a == NULL) {
        for (size_t i = 0; i < m->used; i++)
            free((char *)m->entries[i].key.p);
        free(m->entries);
        free(m->slots);
    }
    *m = (struct map){.a = m->a};
}

static struct map_entry *lookup(const struct map *m, struct str key, uint64_t hash) {
    if (m->nslots == 0)
        return NULL;
    for (size_t i = hash & (m->nslots - 1);; i = (i + 1) & (m->nslots - 1)) {
        if (m->slots[i] == 0)
            return NULL;
        struct map_entry *e = &m->entries[m->slots[i] - 1];
        if (!e->dead && e->hash == hash && str_eq(e->key, key))
            return e;
    }
}

static void place(struct map *m, size_t entry) {
    size_t i = m->entries[entry].hash & (m->nslots - 1);
    while (m->slots[i] != 0)
        i = (i + 1) & (m->nslots - 1);
    m->slots[i] = (uint32_t)(entry + 1);
}

static void *get_zeroed(struct map *m, size_t n, size_t size) {
    if (m->a != NULL)
        return arena_zalloc_array(m->a, n, size);
    void *p = calloc(n, size);
    CHECK(p != NULL);
    return p;
}

/* Room for one more entry: drops tombstones, doubles only when the live ones need it. */
static void rebuild(struct map *m) {
    size_t cap = m->cap;
    if (m->n + 1 > cap / 2)
        cap = cap == 0 ? 8 : cap * 2;
    CHECK(cap < UINT32_MAX / 2);
    struct map_entry *old = m->entries;
    uint32_t *old_slots = m->slots;
    bool resize = cap != m->cap;
    if (resize) {
        m->entries = get_zeroed(m, cap, sizeof(*m->entries));
        m->slots = get_zeroed(m, cap * 2, sizeof(*m->slots));
        m->cap = cap;
        m->nslots = cap * 2;
    } else {
        memset(m->slots, 0, m->nslots * sizeof(*m->slots));
    }
    size_t n = 0;
    for (size_t i = 0; i < m->used; i++)
        if (!old[i].dead)
            m->entries[n++] = old[i];
    m->used = n;
    for (size_t i = 0; i < n; i++)
        place(m, i);
    if (resize && m->a == NULL) {
        free(old);
        free(old_slots);
    }
}

void *map_get(const struct map *m, struct str key) {
    struct map_entry *e = m->n == 0 ? NULL : lookup(m, key, hash_bytes(key.p, key.n));
    return e != NULL ? e->value : NULL;
}

void *map_getz(const struct map *m, const char *key) { return key == NULL ? NULL : map_get(m, str_of(key)); }

bool map_has(const struct map *m, struct str key) {
    return m->n > 0 && lookup(m, key, hash_bytes(key.p, key.n)) != NULL;
}

void *map_set(struct map *m, struct str key, void *value) {
    uint64_t hash = hash_bytes(key.p, key.n);
    struct map_entry *e = lookup(m, key, hash);
    if (e != NULL) {
        void *old = e->value;
        e->value = value;
        return old;
    }
    if (m->used == m->cap)
        rebuild(m);
    char *copy;
    if (m->a != NULL) {
        copy = arena_strndup(m->a, key.p, key.n);
    } else {
        copy = malloc(key.n + 1);
        CHECK(copy != NULL);
        if (key.n > 0)
            memcpy(copy, key.p, key.n);
        copy[key.n] = 0;
    }
    m->entries[m->used] = (struct map_entry){.key = str_n(copy, key.n), .value = value, .hash = hash};
    place(m, m->used++);
    m->n++;
    return NULL;
}

void *map_setz(struct map *m, const char *key, void *value) { return map_set(m, str_of(key), value); }

void *map_del(struct map *m, struct str key) {
    struct map_entry *e = m->n == 0 ? NULL : lookup(m, key, hash_bytes(key.p, key.n));
    if (e == NULL)
        return NULL;
    void *old = e->value;
    e->dead = true;
    e->value = NULL;
    if (m->a == NULL) {
        free((char *)e->key.p);
        e->key = (struct str){NULL, 0};
    }
    m->n--;
    return old;
}

struct map_entry *map_next(const struct map *m, struct map_entry *prev) {
    size_t i = prev == NULL ? 0 : (size_t)(prev - m->entries) + 1;
    for (; i < m->used; i++)
        if (!m->entries[i].dead)
            return &m->entries[i];
    return NULL;
}
