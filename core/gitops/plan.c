#include "core/base/check.h"
#include "core/base/id.h"
#include "core/gitops/plan_internal.h"

static const char *const kind_names[] = {
#define X(sym, name) [OP_##sym] = name,
    OP_KINDS(X)
#undef X
};

const char *op_kind_name(enum op_kind k) { return kind_names[k]; }

const struct op *plan_op(const struct plan *p, const char *id) {
    for (size_t i = 0; i < p->ops.n; i++)
        if (z_eq(p->ops.v[i].id, id))
            return &p->ops.v[i];
    return NULL;
}

const char *plan_container_name(struct arena *a, const struct compose_project *p, const struct compose_service *s,
                                int64_t number) {
    if (s->container_name && *s->container_name)
        return s->container_name;
    return arena_printf(a, "%s-%s-%lld", p->name, s->name, (long long)number);
}

const char *plan_service_hash(struct arena *a, const struct desired_service *s, const char *image_id) {
    struct compose_content *c = arena_new_array(a, struct compose_content, s->n_files + 1);
    for (size_t i = 0; i < s->n_files; i++)
        c[i] = (struct compose_content){.name = s->files[i].key, .digest = s->files[i].digest};
    return compose_service_hash(a, s->service, image_id, c, s->n_files);
}

struct op *planner_op(struct planner *p, const char *id) {
    size_t at = (size_t)(uintptr_t)map_getz(&p->op_by_id, id);
    return at ? &p->plan->ops.v[at - 1] : NULL;
}

struct op *planner_add(struct planner *p, enum op_kind kind, const char *id, const char *object, int phase) {
    CHECK(planner_op(p, id) == NULL);
    struct op *op = vec_push(p->a, &p->plan->ops);
    *op = (struct op){
        .id = id, .kind = kind, .object = object, .phase = phase, .service_index = SIZE_MAX, .reversible = true};
    map_setz(&p->op_by_id, id, (void *)(uintptr_t)p->plan->ops.n);
    return op;
}

void op_after(struct planner *p, struct op *op, const char *id) {
    if (id == NULL || planner_op(p, id) == NULL || z_eq(op->id, id))
        return;
    for (size_t i = 0; i < op->depends_on.n; i++)
        if (z_eq(op->depends_on.v[i], id))
            return;
    *vec_push(p->a, &op->depends_on) = id;
}

void op_cause(struct planner *p, struct op *op, const char *code, const char *message, const char *from,
              const char *to) {
    *vec_push(p->a, &op->causes) = (struct plan_cause){.code = code, .message = message, .from = from, .to = to};
}

bool planner_selected(const struct planner *p, const char *service) {
    if (p->want->only == NULL)
        return true;
    for (size_t i = 0; i < p->want->n_only; i++)
        if (z_eq(p->want->only[i], service))
            return true;
    return false;
}

const struct desired_service *planner_service(const struct planner *p, const char *name) {
    for (size_t i = 0; i < p->want->n_services; i++)
        if (z_eq(p->want->services[i].service->name, name))
            return &p->want->services[i];
    return NULL;
}

const char *op_idf(struct planner *p, const char *kind, const char *service, int64_t number) {
    return arena_printf(p->a, "%s:%s:%lld", kind, service, (long long)number);
}

/* Kahn's algorithm, stable: among the ready ones the lowest phase, then the order of insertion. */
static void sort_ops(struct planner *p) {
    struct plan *plan = p->plan;
    size_t n = plan->ops.n;
    struct op *out = arena_new_array(p->a, struct op, n + 1);
    bool *done = arena_new_array(p->a, bool, n + 1);
    struct map placed;
    map_init(&placed, p->a);
    size_t filled = 0;
    for (int phase = 0; phase <= 2; phase++) {
        bool progress = true;
        while (progress) {
            progress = false;
            for (size_t i = 0; i < n; i++) {
                const struct op *op = &plan->ops.v[i];
                if (done[i] || op->phase != phase)
                    continue;
                bool ready = true;
                for (size_t d = 0; ready && d < op->depends_on.n; d++)
                    ready = map_has(&placed, str_of(op->depends_on.v[d]));
                if (!ready)
                    continue;
                out[filled++] = *op;
                done[i] = progress = true;
                map_setz(&placed, op->id, NULL);
            }
        }
    }
    CHECK(filled == n); /* the loader refuses dependency cycles, and no operation depends on a later phase */
    plan->ops.v = out;
    plan->ops.cap = n + 1;
}

static const char *verb_of(enum op_kind k) {
    static const char *const verbs[OP_KIND_MAX] = {[OP_PULL] = "Pull image",
                                                   [OP_BUILD] = "Build image",
                                                   [OP_CREATE_NETWORK] = "Create network",
                                                   [OP_REMOVE_NETWORK] = "Remove network",
                                                   [OP_CREATE_VOLUME] = "Create volume",
                                                   [OP_PUT_FILES] = "Copy files to",
                                                   [OP_CREATE] = "Create container",
                                                   [OP_STOP] = "Stop container",
                                                   [OP_RENAME] = "Rename container",
                                                   [OP_CONNECT] = "Connect network",
                                                   [OP_START] = "Start container",
                                                   [OP_WAIT_HEALTHY] = "Wait until healthy:",
                                                   [OP_WAIT_COMPLETED] = "Wait until completed:",
                                                   [OP_WAIT_RUNNING] = "Wait until running:",
                                                   [OP_REMOVE] = "Remove container",
                                                   [OP_REMOVE_VOLUME] = "Remove unused files volume"};
    return verbs[k];
}

/* People know a container by its name, not by the one it has while it is exchanged; the two of an exchange are told apart. */
static const char *container_title(struct planner *p, const struct op *op, const char *name) {
    bool old = op->container_id && planner_op(p, op_idf(p, "create", op->service, op->number));
    if (op->kind == OP_RENAME)
        return old ? arena_printf(p->a, "Free the name %s", name)
                   : arena_printf(p->a, "Give the container its name %s", name);
    if (old && (op->kind == OP_STOP || op->kind == OP_REMOVE))
        return arena_printf(p->a, "%s the old container %s", op->kind == OP_STOP ? "Stop" : "Remove", name);
    return arena_printf(p->a, "%s %s", verb_of(op->kind), name);
}

static void add_titles(struct planner *p) {
    for
        vec_each(op, &p->plan->ops) {
            const struct desired_service *s = op->service && op->number > 0 ? planner_service(p, op->service) : NULL;
            if (s)
                op->title = container_title(p, op, plan_container_name(p->a, p->want->project, s->service, op->number));
            else if (op->kind == OP_RENAME)
                op->title = arena_printf(p->a, "Rename container %s to %s", op->object, op->new_name);
            else
                op->title = arena_printf(p->a, "%s %s", verb_of(op->kind), op->object);
        }
}

/* Containers under our project's name that we did not make: `docker compose` or another application did. */
static err_t check_foreign(struct planner *p) {
    struct json *names = json_array(p->a);
    const char *owner = NULL, *all = "";
    for (size_t i = 0; i < p->have->n_containers; i++) {
        const struct observed_container *c = &p->have->containers[i];
        if (c->oneoff || z_eq(c->app_id, p->want->app_id) || (c->app_id == NULL && p->want->adopt))
            continue; /* of `docker compose run`: it is nobody's service, and we leave it alone */
        owner = owner ? owner : c->app_id;
        if (json_len(names) < 50)
            all = arena_printf(p->a, "%s%s%s", all, *all ? ", " : "", c->name);
        json_push(p->a, names, json_string(p->a, c->name));
    }
    if (json_len(names) == 0)
        return NULL;
    err_t e =
        err_new(ERR_CONFLICT, "the node already runs a project called %s that is not this application's (%s); %s",
                p->want->project->name, all,
                owner ? "another application made it: give this one another name, or remove what is left of that one"
                      : "sync with adopt to replace its containers, or give the application another name");
    e = err_detail_json(e, "containers", json_to_text(p->a, names));
    return err_detail(e, "hint", owner ? "rename the application" : "dsctl sync NAME --adopt");
}

err_t plan_build(struct arena *a, const struct desired *want, const struct observed *have, const struct json *previous,
                 struct plan **ret) {
    struct plan *plan = arena_new_obj(a, struct plan);
    struct planner p = {.a = a, .want = want, .have = have, .previous = previous, .plan = plan};
    plan->id = uuid7_new(a);
    plan->app_id = want->app_id;
    plan->revision = want->revision;
    plan->project = want->project->name;
    plan->desired = want;
    map_init(&p.op_by_id, a);
    map_init(&p.image_ids, a);
    map_init(&p.recreated, a);
    map_init(&p.net_rebuilt, a);
    for (size_t i = 0; i < want->project->n_warnings; i++)
        *vec_push(a, &plan->warnings) = want->project->warnings[i].message;
    TRY(check_foreign(&p));
    TRY(plan_images(&p));
    TRY(plan_networks(&p));
    TRY(plan_volumes(&p));
    plan_files(&p);
    plan_services(&p);
    TRY(plan_ports(&p));
    plan_orphans(&p);
    sort_ops(&p);
    add_titles(&p);
    *ret = plan;
    return NULL;
}
