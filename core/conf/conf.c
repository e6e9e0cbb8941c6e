/* The snapshot in force, and reload. */
#include "core/conf/conf.h"
#include "core/base/check.h"
#include "core/conf/conf_schema.h"

#define KEPT 4 /* snapshots before the current one that stay valid, for readers that were not quick enough */

static struct {
    const struct conf *now;
    struct arena *arenas[KEPT + 1]; /* ring */
    size_t at;
} S;

const struct conf *conf_now(void) {
    CHECK(S.now != NULL);
    return S.now;
}

void conf_publish(struct arena *a, const struct conf *c) {
    S.at = (S.at + 1) % ARRAY_LEN(S.arenas);
    arena_unref(S.arenas[S.at]);
    S.arenas[S.at] = a != NULL ? arena_ref(a) : NULL;
    S.now = c;
}

static void push(struct arena *a, struct conf_list *l, const char *key) {
    const char **v = arena_new_array(a, const char *, l->n + 1);
    for (size_t i = 0; i < l->n; i++)
        v[i] = l->v[i];
    v[l->n++] = key;
    l->v = v;
}

/* New values for the reloadable keys, the present ones for the rest. */
static struct conf *merge(struct arena *own, struct arena *a, const struct conf *now, const struct conf *wanted,
                          struct conf_change *change) {
    struct conf *merged = arena_new_obj(own, struct conf);
    for (size_t i = 0; i < conf_n_keys; i++) {
        const struct conf_key *k = &conf_keys[i];
        bool same = z_eq(conf_value_text(a, now, k), conf_value_text(a, wanted, k));
        conf_value_copy(own, merged, k->reloadable ? wanted : now, k);
        if (!same)
            push(a, k->reloadable ? &change->applied : &change->needs_restart, k->key);
    }
    return merged;
}

err_t conf_reload(struct arena *a, const struct conf_input *in, struct conf_change *ret) {
    struct conf_result loaded;
    struct conf_change change = {0};
    TRY(conf_load(a, in, &loaded));
    struct arena *own = arena_new("conf", 0);
    conf_publish(own, merge(own, a, conf_now(), loaded.conf, &change));
    arena_unref(own);
    *ret = change;
    return NULL;
}
