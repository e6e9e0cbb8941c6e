/* A tiny engine for planner tests: holds observed state and does what an operation says. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include "core/base/check.h"
#include "core/gitops/plan.h"

struct model {
    struct arena *a;
    struct observed o;
    int next_id;
};

static inline err_t no_files(void *ctx, const char *path, struct str *ret) {
    (void)ctx;
    (void)ret;
    return err_new(ERR_NOT_FOUND, "no file %s", path);
}

/** Desired state of a compose text; image ids of the model decide which images are known. */
static inline struct desired *desired_from(struct arena *a, const char *yaml) {
    struct compose_source src = {.path = "/r/compose.yaml", .text = str_of(yaml)};
    struct compose_options o = {.sources = &src,
                                .n_sources = 1,
                                .working_dir = "/r",
                                .root = "/r",
                                .project_name = "demo",
                                .project_name_imperative = true};
    struct compose_files files = {no_files, NULL};
    struct compose_project *p;
    err_t e = compose_load(a, &o, &files, &p);
    if (e) {
        (void)fprintf(stderr, "load: %s\n", e->message);
        CHECK(e == NULL);
    }
    struct compose_strs order;
    CHECK(compose_order(a, p, true, NULL, 0, &order) == NULL);
    struct desired *d = arena_new_obj(a, struct desired);
    *d = (struct desired){.project = p, .app_id = "app-1", .revision = "rev"};
    d->services = arena_new_array(a, struct desired_service, order.n + 1);
    for (size_t i = 0; i < order.n; i++) {
        struct desired_service *s = &d->services[d->n_services++];
        s->service = compose_service_find(p, order.v[i]);
        s->image = compose_service_image(a, p, s->service);
        s->want = s->service->build ? IMAGE_BUILD : IMAGE_IF_MISSING;
        s->build_hash = s->service->build ? "b1" : NULL;
        s->replicas = s->service->scale;
    }
    return d;
}

static inline void model_init(struct model *m, struct arena *a) {
    *m = (struct model){.a = a, .next_id = 1};
    m->o.containers = arena_new_array(a, struct observed_container, 200);
    m->o.networks = arena_new_array(a, struct observed_network, 50);
    m->o.volumes = arena_new_array(a, struct observed_volume, 50);
    m->o.images = arena_new_array(a, struct observed_image, 50);
}

static inline struct observed_container *model_find(struct model *m, const char *id) {
    for (size_t i = 0; i < m->o.n_containers; i++)
        if (z_eq(m->o.containers[i].id, id))
            return &m->o.containers[i];
    return NULL;
}

static inline const char *model_image(struct model *m, const char *ref) {
    for (size_t i = 0; i < m->o.n_images; i++)
        if (z_eq(m->o.images[i].ref, ref))
            return m->o.images[i].id;
    return NULL;
}

static inline void model_create(struct model *m, const struct plan *p, const struct op *op, struct map *made) {
    const struct desired_service *s = &p->desired->services[op->service_index];
    for (size_t i = 0; i < m->o.n_containers; i++)
        CHECK(!z_eq(m->o.containers[i].name, op->new_name)); /* the engine would refuse the name */
    const char *image = model_image(m, s->image);
    CHECK(image != NULL);
    struct observed_container *c = &m->o.containers[m->o.n_containers++];
    *c = (struct observed_container){.id = arena_printf(m->a, "%012d%052d", m->next_id, m->next_id),
                                     .name = op->new_name,
                                     .service = s->service->name,
                                     .hash = plan_service_hash(m->a, s, image),
                                     .image_id = image,
                                     .state = "created",
                                     .app_id = "app-1",
                                     .number = op->number,
                                     .created_s = m->next_id};
    m->next_id++;
    c->networks = arena_new_array(m->a, const char *, s->service->n_networks + 1);
    for (size_t i = 0; i < s->service->n_networks; i++)
        c->networks[c->n_networks++] = compose_network_find(p->desired->project, s->service->networks[i].network)->name;
    map_setz(made, op->id, (void *)c->id);
}

static inline void model_drop(struct model *m, struct observed_container *c) {
    size_t at = (size_t)(c - m->o.containers);
    memmove(c, c + 1, (m->o.n_containers - at - 1) * sizeof(*c));
    m->o.n_containers--;
}

static inline void model_do(struct model *m, const struct plan *p, const struct op *op, struct map *made) {
    const char *id = op->container_id ? op->container_id : op->container_op ? map_getz(made, op->container_op) : NULL;
    struct observed_container *c = id ? model_find(m, id) : NULL;
    switch (op->kind) {
    case OP_PULL:
    case OP_BUILD:
        for (size_t i = 0; i < m->o.n_images; i++)
            if (z_eq(m->o.images[i].ref, op->object))
                m->o.images[i].ref = "old";
        m->o.images[m->o.n_images++] = (struct observed_image){
            op->object, arena_printf(m->a, "sha256:%d", m->next_id++), op->kind == OP_BUILD ? "b1" : NULL};
        break;
    case OP_CREATE_NETWORK:
        for (size_t i = 0; i < p->desired->project->n_networks; i++) {
            const struct compose_network *n = &p->desired->project->networks[i];
            if (z_eq(n->name, op->object))
                m->o.networks[m->o.n_networks++] = (struct observed_network){
                    arena_printf(m->a, "net%d", m->next_id++), n->name, n->key, "demo", compose_network_hash(m->a, n)};
        }
        break;
    case OP_REMOVE_NETWORK:
        for (size_t i = 0; i < m->o.n_containers; i++) /* the engine refuses while something that runs is attached */
            for (size_t n = 0; n < m->o.containers[i].n_networks; n++)
                CHECK(!z_eq(m->o.containers[i].state, "running") || !z_eq(m->o.containers[i].networks[n], op->object));
        for (size_t i = 0; i < m->o.n_networks; i++)
            if (z_eq(m->o.networks[i].name, op->object))
                m->o.networks[i--] = m->o.networks[--m->o.n_networks];
        break;
    case OP_CREATE_VOLUME:
        for (size_t i = 0; i < p->desired->project->n_volumes; i++) {
            const struct compose_volume *v = &p->desired->project->volumes[i];
            if (z_eq(v->name, op->object))
                m->o.volumes[m->o.n_volumes++] = (struct observed_volume){
                    .name = v->name, .key = v->key, .project = "demo", .hash = compose_volume_hash(m->a, v)};
        }
        break;
    case OP_CREATE:
        model_create(m, p, op, made);
        break;
    case OP_STOP:
        CHECK(c != NULL);
        c->state = "exited";
        break;
    case OP_START:
        CHECK(c != NULL);
        c->state = "running";
        break;
    case OP_RENAME:
        CHECK(c != NULL);
        for (size_t i = 0; i < m->o.n_containers; i++)
            CHECK(!z_eq(m->o.containers[i].name, op->new_name));
        c->name = op->new_name;
        break;
    case OP_REMOVE:
        if (c)
            model_drop(m, c);
        break;
    case OP_CONNECT:
        CHECK(c != NULL);
        break;
    default:
        break;
    }
}

static inline struct plan *model_plan(struct model *m, const struct desired *want) {
    struct plan *p;
    err_t e = plan_build(m->a, want, &m->o, NULL, &p);
    if (e)
        (void)fprintf(stderr, "plan: %s\n", e->message);
    CHECK(e == NULL);
    return p;
}

/** The first `upto` operations of a plan. */
static inline void model_apply(struct model *m, const struct plan *p, size_t upto) {
    struct map made;
    map_init(&made, m->a);
    for (size_t i = 0; i < p->ops.n && i < upto; i++)
        model_do(m, p, &p->ops.v[i], &made);
}

static inline void plan_print(const struct plan *p) {
    for
        vec_each(op, &p->ops)
            (void)fprintf(stderr, "  %d %-40s %s (%s)\n", op->phase, op->id, op->title,
                          op->causes.n ? op->causes.v[0].message : "");
}
