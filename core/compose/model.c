#include <stdlib.h>

#include "core/compose/model_read.h"

/* ---- sections ---- */

static int cmp_service(const void *x, const void *y) {
    return strcmp(((const struct compose_service *)x)->name, ((const struct compose_service *)y)->name);
}

/** Hosts of the model are the normalised ones of the JSON. */
static struct compose_strs strs_of_json(struct arena *a, const struct json *l) {
    struct compose_strs r = {.v = arena_new_array(a, const char *, json_len(l) + 1), .set = l != NULL};
    for (size_t i = 0; i < json_len(l); i++)
        r.v[r.n++] = json_str_or(json_at(l, i), "");
    return r;
}

static err_t services_of(struct compose_cx *cx, const struct y_node *file, const struct y_node *m,
                         const struct json *rendered, struct compose_service **ret, size_t *n) {
    *n = y_is(m, Y_MAP) ? m->map.n : 0;
    *ret = arena_new_array(cx->a, struct compose_service, *n + 1);
    for (size_t i = 0; i < *n; i++) {
        const struct y_entry *e = &m->map.v[i];
        struct compose_service *s = &(*ret)[i];
        model_service(cx, file, e->value, e->key.p, s);
        if (e->line > 0 && z_eq(s->origin.file, e->value->file)) {
            s->origin.line = e->line;
            s->origin.column = e->col;
        }
        s->canonical = json_getn(rendered, e->key);
        if (s->canonical == NULL)
            TRY(compose_render(cx, &compose_service_schema, e->value, C_KEY(C_KEY(NULL, STR("services")), e->key),
                               &s->canonical));
        s->extra_hosts = strs_of_json(cx->a, json_get(s->canonical, "extra_hosts"));
        if (s->build != NULL)
            s->build->extra_hosts = strs_of_json(cx->a, json_path(s->canonical, "build", "extra_hosts", NULL));
    }
    if (*n > 1)
        qsort(*ret, *n, sizeof(**ret), cmp_service);
    return NULL;
}

static struct compose_ipam_pool *pools_of(struct arena *a, const struct y_node *l, size_t *n) {
    *n = y_is(l, Y_SEQ) ? l->seq.n : 0;
    struct compose_ipam_pool *v = arena_new_array(a, struct compose_ipam_pool, *n + 1);
    for (size_t i = 0; i < *n; i++) {
        const struct y_node *p = l->seq.v[i];
        v[i] = (struct compose_ipam_pool){model_text(p, "subnet"), model_text(p, "gateway"), model_text(p, "ip_range"),
                                          model_kvs(a, y_get(p, "aux_addresses"), false)};
    }
    return v;
}

static struct compose_origin entry_origin(const struct y_entry *e) {
    return e->line > 0 ? (struct compose_origin){e->value->file, e->line, e->col} : model_origin(e->value);
}

static int cmp_network(const void *x, const void *y) {
    return strcmp(((const struct compose_network *)x)->key, ((const struct compose_network *)y)->key);
}

static void networks_of(struct arena *a, const struct y_node *m, const struct json *rendered,
                        struct compose_project *p) {
    p->n_networks = y_is(m, Y_MAP) ? m->map.n : 0;
    p->networks = arena_new_array(a, struct compose_network, p->n_networks + 1);
    for (size_t i = 0; i < p->n_networks; i++) {
        const struct y_entry *e = &m->map.v[i];
        const struct y_node *n = e->value, *ipam = y_get(n, "ipam");
        struct compose_network *w = &p->networks[i];
        const char *name = model_text(n, "name");
        *w = (struct compose_network){
            .key = e->key.p,
            .name = name != NULL ? name : e->key.p,
            .origin = entry_origin(e),
            .canonical = json_getn(rendered, e->key),
            .driver = model_text(n, "driver"),
            .driver_opts = model_kvs(a, y_get(n, "driver_opts"), false),
            .labels = model_kvs(a, y_get(n, "labels"), false),
            .ipam_options = model_kvs(a, y_get(ipam, "options"), false),
            .external = y_get_bool(n, "external", false),
            .internal = y_get_bool(n, "internal", false),
            .attachable = y_get_bool(n, "attachable", false),
            .enable_ipv4 = model_tri(n, "enable_ipv4"),
            .enable_ipv6 = model_tri(n, "enable_ipv6"),
            .ipam_driver = model_text(ipam, "driver"),
        };
        w->ipam = pools_of(a, y_get(ipam, "config"), &w->n_ipam);
    }
    if (p->n_networks > 1)
        qsort(p->networks, p->n_networks, sizeof(*p->networks), cmp_network);
}

static int cmp_volume(const void *x, const void *y) {
    return strcmp(((const struct compose_volume *)x)->key, ((const struct compose_volume *)y)->key);
}

static void volumes_of(struct arena *a, const struct y_node *m, const struct json *rendered,
                       struct compose_project *p) {
    p->n_volumes = y_is(m, Y_MAP) ? m->map.n : 0;
    p->volumes = arena_new_array(a, struct compose_volume, p->n_volumes + 1);
    for (size_t i = 0; i < p->n_volumes; i++) {
        const struct y_entry *e = &m->map.v[i];
        const char *name = model_text(e->value, "name");
        p->volumes[i] = (struct compose_volume){
            .key = e->key.p,
            .name = name != NULL ? name : e->key.p,
            .origin = entry_origin(e),
            .canonical = json_getn(rendered, e->key),
            .driver = model_text(e->value, "driver"),
            .driver_opts = model_kvs(a, y_get(e->value, "driver_opts"), false),
            .labels = model_kvs(a, y_get(e->value, "labels"), false),
            .external = y_get_bool(e->value, "external", false),
        };
    }
    if (p->n_volumes > 1)
        qsort(p->volumes, p->n_volumes, sizeof(*p->volumes), cmp_volume);
}

static int cmp_object(const void *x, const void *y) {
    return strcmp(((const struct compose_object *)x)->key, ((const struct compose_object *)y)->key);
}

static struct compose_object *objects_of(struct arena *a, const struct y_node *m, const struct json *rendered,
                                         size_t *n) {
    *n = y_is(m, Y_MAP) ? m->map.n : 0;
    struct compose_object *v = arena_new_array(a, struct compose_object, *n + 1);
    for (size_t i = 0; i < *n; i++) {
        const struct y_entry *e = &m->map.v[i];
        const char *name = model_text(e->value, "name");
        v[i] = (struct compose_object){
            .key = e->key.p,
            .name = name != NULL ? name : e->key.p,
            .origin = entry_origin(e),
            .canonical = json_getn(rendered, e->key),
            .file = model_text(e->value, "file"),
            .environment = model_text(e->value, "environment"),
            .content = y_get_str(e->value, "content"),
            .external = y_get_bool(e->value, "external", false),
            .labels = model_kvs(a, y_get(e->value, "labels"), false),
        };
    }
    if (*n > 1)
        qsort(v, *n, sizeof(*v), cmp_object);
    return v;
}

err_t compose_model(struct compose_cx *cx, const struct y_node *file, const struct y_node *disabled,
                    struct compose_project *p) {
    struct arena *a = cx->a;
    TRY(compose_render(cx, NULL, file, NULL, &p->canonical));
    const struct json *j = p->canonical;
    p->tree = file;
    p->name = y_get_str(file, "name") != NULL ? y_get_str(file, "name") : "";
    TRY(services_of(cx, file, y_get(file, "services"), json_get(j, "services"), &p->services, &p->n_services));
    TRY(services_of(cx, file, disabled, NULL, &p->disabled, &p->n_disabled));
    networks_of(a, y_get(file, "networks"), json_get(j, "networks"), p);
    volumes_of(a, y_get(file, "volumes"), json_get(j, "volumes"), p);
    p->configs = objects_of(a, y_get(file, "configs"), json_get(j, "configs"), &p->n_configs);
    p->secrets = objects_of(a, y_get(file, "secrets"), json_get(j, "secrets"), &p->n_secrets);
    return NULL;
}

/* ---- look-ups ---- */

#define FIND(list, count, member, want)                                                                                \
    __extension__({                                                                                                    \
        __typeof__((list)[0]) *hit_ = NULL;                                                                            \
        for (size_t lo_ = 0, hi_ = (count); lo_ < hi_ && hit_ == NULL;) {                                              \
            size_t mid_ = lo_ + (hi_ - lo_) / 2;                                                                       \
            int c_ = strcmp((want), (list)[mid_].member);                                                              \
            if (c_ == 0)                                                                                               \
                hit_ = &(list)[mid_];                                                                                  \
            else if (c_ < 0)                                                                                           \
                hi_ = mid_;                                                                                            \
            else                                                                                                       \
                lo_ = mid_ + 1;                                                                                        \
        }                                                                                                              \
        hit_;                                                                                                          \
    })

const struct compose_service *compose_service_find(const struct compose_project *p, const char *name) {
    return FIND(p->services, p->n_services, name, name);
}

const struct compose_network *compose_network_find(const struct compose_project *p, const char *key) {
    return FIND(p->networks, p->n_networks, key, key);
}

const struct compose_volume *compose_volume_find(const struct compose_project *p, const char *key) {
    return FIND(p->volumes, p->n_volumes, key, key);
}

const struct compose_object *compose_config_find(const struct compose_project *p, const char *key) {
    return FIND(p->configs, p->n_configs, key, key);
}

const struct compose_object *compose_secret_find(const struct compose_project *p, const char *key) {
    return FIND(p->secrets, p->n_secrets, key, key);
}

const char *compose_service_image(struct arena *a, const struct compose_project *p, const struct compose_service *s) {
    return s->image != NULL ? s->image : arena_printf(a, "%s-%s", p->name, s->name);
}

/** Names of users may contain dots: the longest key that fits the rest of the path wins. */
static const struct y_node *descend(const struct y_node *n, struct str *rest) {
    if (n->kind == Y_MAP) {
        const struct y_entry *best = NULL;
        for (size_t i = 0; i < n->map.n; i++) {
            const struct y_entry *e = &n->map.v[i];
            bool fits = str_starts(*rest, e->key) && (rest->n == e->key.n || rest->p[e->key.n] == '.');
            if (fits && (best == NULL || e->key.n > best->key.n))
                best = e;
        }
        if (best == NULL)
            return NULL;
        *rest = rest->n > best->key.n ? str_slice(*rest, best->key.n + 1, rest->n) : STR("");
        return best->value;
    }
    struct str part;
    int64_t i;
    if (n->kind != Y_SEQ || !str_cut(rest, '.', &part) || str_to_i64(part, 0, INT32_MAX, &i) != NULL)
        return NULL;
    return y_at(n, (size_t)i);
}

struct compose_origin compose_service_origin(const struct compose_service *s, const char *field) {
    struct compose_origin best = s->origin;
    struct str rest = str_of(field);
    const struct y_node *n = s->node;
    while (n != NULL && rest.n > 0) {
        n = descend(n, &rest);
        if (n != NULL && (n->line > 0 || !z_eq(n->file, best.file)))
            best = model_origin(n);
    }
    return best;
}
