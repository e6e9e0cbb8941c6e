/* Containers of each service: keep, start, create, replace, scale down; orphans at the end. */
#include "core/gitops/plan_internal.h"

static bool is_running(const struct observed_container *c) {
    return z_eq(c->state, "running") || z_eq(c->state, "paused") || z_eq(c->state, "restarting");
}

static int rank(const struct observed_container *c) { return z_eq(c->state, "running") ? 2 : is_running(c) ? 1 : 0; }

/* State of the decision for one replica. */
struct slot {
    size_t index;
    const struct desired_service *want;
    const struct compose_service *s;
    int64_t number;
    const char *name;                      /* canonical container name */
    const struct observed_container *keep; /* matches the desired hash */
    VEC(const struct observed_container *) obsolete;
    bool in_place; /* a network of it is made anew: the old container stops first */
};

static const char *known_hash(struct planner *p, const struct desired_service *s, const char **image_id) {
    const struct observed_image *img = map_getz(&p->image_ids, s->image);
    *image_id = img ? img->id : NULL;
    return img ? plan_service_hash(p->a, s, img->id) : NULL;
}

static bool uses_rebuilt_network(const struct planner *p, const struct compose_service *s) {
    for (size_t i = 0; i < s->n_networks; i++)
        if (map_getz(&p->net_rebuilt, s->networks[i].network))
            return true;
    return false;
}

/* The key of the i-th network that is made anew and that the container is attached to; NULL when there are no more. */
static const char *rebuilt_under(const struct planner *p, const struct observed_container *c, size_t *i) {
    const struct compose_project *project = p->want->project;
    for (; *i < project->n_networks; (*i)++) {
        const struct compose_network *n = &project->networks[*i];
        for (size_t k = 0; map_getz(&p->net_rebuilt, n->key) && k < c->n_networks; k++)
            if (z_eq(c->networks[k], n->name))
                return project->networks[(*i)++].key;
    }
    return NULL;
}

/* The engine removes a network only when nothing that runs is attached to it any more. */
static void detach_first(struct planner *p, const struct observed_container *c, const char *after) {
    const char *key;
    for (size_t i = 0; (key = rebuilt_under(p, c, &i)) != NULL;) {
        struct op *remove = planner_op(p, arena_printf(p->a, "removeNetwork:%s", key));
        if (remove)
            op_after(p, remove, after);
    }
}

/* A container remembers by its id a network that is gone; by its name it seems to be attached still. */
static bool attached(const struct planner *p, const struct observed_container *c, const char *network,
                     bool *ret_stale) {
    const struct observed_network *now = planner_network(p, network);
    *ret_stale = false;
    for (size_t i = 0; i < c->n_networks; i++) {
        if (!z_eq(c->networks[i], network))
            continue;
        const char *id = c->network_ids ? c->network_ids[i] : NULL;
        *ret_stale = now == NULL || (id && *id && now->id && !z_eq(id, now->id));
        return true;
    }
    return false;
}

/* Made by an attempt that was interrupted after it had made the networks anew. */
static bool moved_already(struct planner *p, const struct compose_service *s, const struct observed_container *c) {
    for (size_t i = 0; i < p->want->project->n_networks; i++) {
        const struct compose_network *n = &p->want->project->networks[i];
        bool used = false, stale;
        if (!map_getz(&p->net_rebuilt, n->key))
            continue;
        for (size_t k = 0; k < s->n_networks; k++)
            used |= z_eq(s->networks[k].network, n->key);
        if (planner_op(p, arena_printf(p->a, "removeNetwork:%s", n->key)) || attached(p, c, n->name, &stale) != used ||
            stale)
            return false;
    }
    return true;
}

static bool leaves_rebuilt_network(const struct planner *p, const struct compose_service *s, int64_t number) {
    for (size_t c = 0; c < p->have->n_containers; c++) {
        const struct observed_container *old = &p->have->containers[c];
        size_t i = 0;
        if (!old->oneoff && z_eq(old->service, s->name) && old->number == number && rebuilt_under(p, old, &i))
            return true;
    }
    return false;
}

static bool shares_with_recreated(const struct planner *p, const struct compose_service *s) {
    const char *modes[] = {s->network_mode, s->pid, s->ipc};
    for (size_t i = 0; i < ARRAY_LEN(modes); i++)
        if (modes[i] && z_starts(modes[i], "service:") && map_getz(&p->recreated, modes[i] + 8))
            return true;
    for (size_t i = 0; i < s->volumes_from.n; i++) {
        struct str rest = str_of(s->volumes_from.v[i]), part;
        if (!str_starts(rest, STR("container:")) && str_cut(&rest, ':', &part) && map_get(&p->recreated, part))
            return true;
    }
    return false;
}

static void fill_slot(struct planner *p, struct slot *slot) {
    const char *image_id;
    const char *hash = known_hash(p, slot->want, &image_id);
    bool replace_all = p->want->force || shares_with_recreated(p, slot->s);
    for (size_t i = 0; i < p->have->n_containers; i++) {
        const struct observed_container *c = &p->have->containers[i];
        if (c->oneoff || c->number != slot->number || !z_eq(c->service, slot->s->name))
            continue;
        bool replace = replace_all || (slot->in_place && !moved_already(p, slot->s, c));
        bool match = !replace && hash && z_eq(c->hash, hash) && !z_eq(c->state, "dead") && !z_eq(c->state, "removing");
        const struct observed_container *loser = match ? slot->keep : c;
        if (match && (slot->keep == NULL || rank(c) > rank(slot->keep) ||
                      (rank(c) == rank(slot->keep) && c->created_s > slot->keep->created_s)))
            slot->keep = c;
        else if (match)
            loser = c;
        if (loser)
            *vec_push(p->a, &slot->obsolete) = loser;
    }
}

static void explain_replace(struct planner *p, const struct slot *slot, const struct observed_container *old,
                            struct op *op) {
    const char *image_id;
    const char *hash = known_hash(p, slot->want, &image_id);
    if (old->app_id == NULL) {
        op_cause(p, op, "adopted", "another tool made the container; it is taken over", NULL, NULL);
        return;
    }
    if (p->want->force)
        op_cause(p, op, "forced", "a recreate was asked for", NULL, NULL);
    else if (slot->in_place)
        op_cause(p, op, "network", "a network of the service is made anew", NULL, NULL);
    else if (old->hash == NULL)
        op_cause(p, op, "config", "the container was not made by DockFlow", NULL, NULL);
    else if (hash == NULL || !z_eq(image_id, old->image_id))
        op_cause(p, op, "image", arena_printf(p->a, "image %s changed", slot->want->image), old->image_id, image_id);
    const struct json *before = json_get(json_get(p->previous, "services"), slot->s->name);
    if (before && !p->want->force)
        plan_diff_service(p->a, slot->s, before, slot->s->canonical, &op->causes);
    const struct json *files = json_get(json_get(p->previous, "files"), slot->s->name);
    for (size_t i = 0; files && i < slot->want->n_files; i++) {
        const struct desired_file_set *f = &slot->want->files[i];
        const char *was = json_get_str(files, f->key);
        if (!z_eq(was, f->digest))
            op_cause(p, op, "files", arena_printf(p->a, "content of %s changed", f->key), was, f->digest);
    }
    if (op->causes.n == 0 && shares_with_recreated(p, slot->s))
        op_cause(p, op, "dependency", "a service whose namespace or volumes it shares is recreated", NULL, NULL);
    if (op->causes.n == 0)
        op_cause(p, op, "config", "the service's configuration changed", old->hash, hash);
}

static struct op *container_op(struct planner *p, const struct slot *slot, enum op_kind kind, const char *verb,
                               const char *object, int phase) {
    struct op *op = planner_add(p, kind, op_idf(p, verb, slot->s->name, slot->number), object, phase);
    op->service = slot->s->name;
    op->service_index = slot->index;
    op->number = slot->number;
    return op;
}

static struct op *old_op(struct planner *p, enum op_kind kind, const char *verb, const struct observed_container *c) {
    struct op *op = planner_add(p, kind, arena_printf(p->a, "%s:%.12s", verb, c->id), c->name, 2);
    op->service = c->service;
    op->container_id = c->id;
    op->number = c->number;
    return op;
}

static struct op *retire_op(struct planner *p, const struct slot *slot, enum op_kind kind, const char *verb,
                            const struct observed_container *c) {
    struct op *op = old_op(p, kind, verb, c);
    op->moved = slot->in_place;
    op->replaced_by = p->want->resumed && slot->keep ? slot->keep->id : NULL;
    return op;
}

static const char *old_id(struct planner *p, const char *verb, const struct observed_container *c) {
    return arena_printf(p->a, "%s:%.12s", verb, c->id);
}

static bool name_taken(const struct planner *p, const char *name) {
    for (size_t i = 0; i < p->have->n_containers; i++)
        if (z_eq(p->have->containers[i].name, name))
            return true;
    return false;
}

/* One that an interrupted attempt for another commit may have left is passed over. */
static const char *temporary_name(struct planner *p, const struct slot *slot, const struct observed_container *old) {
    const char *id = old ? old->id : "replacement";
    const char *name = arena_printf(p->a, "%.12s_%s", id, slot->name);
    for (int n = 2; name_taken(p, name); n++)
        name = arena_printf(p->a, "%.12s_%d_%s", id, n, slot->name);
    return name;
}

static void wait_op(struct planner *p, const struct slot *slot, const char *container_id, const char *create_id,
                    const char *after) {
    const struct compose_healthcheck *h = &slot->s->healthcheck;
    bool awaited = false;
    for (size_t i = 0; i < p->want->n_services; i++)
        for (size_t d = 0; d < p->want->services[i].service->n_depends_on; d++) {
            const struct compose_dependency *dep = &p->want->services[i].service->depends_on[d];
            awaited |= dep->condition == COMPOSE_COMPLETED && z_eq(dep->service, slot->s->name);
        }
    enum op_kind kind = awaited ? OP_WAIT_COMPLETED : h->set && !h->disable ? OP_WAIT_HEALTHY : OP_WAIT_RUNNING;
    struct op *op = container_op(p, slot, kind, "wait", slot->name, 2);
    op->container_id = container_id;
    op->container_op = create_id;
    op_cause(p, op, "unhealthy", "the deployment waits for it", NULL, NULL);
    op_after(p, op, after);
}

/* Dependencies' gates: an op of the plan, or nothing when the dependency already satisfies the condition. */
static void start_after_dependencies(struct planner *p, const struct compose_service *s, struct op *start) {
    for (size_t d = 0; d < s->n_depends_on; d++) {
        const struct compose_dependency *dep = &s->depends_on[d];
        const struct desired_service *on = planner_service(p, dep->service);
        for (int64_t n = 1; on && n <= on->replicas; n++) {
            const char *gate = dep->condition == COMPOSE_STARTED ? "start" : "wait";
            op_after(p, start, op_idf(p, gate, dep->service, n));
        }
    }
}

static void plan_create(struct planner *p, struct slot *slot) {
    const char *create = op_idf(p, "create", slot->s->name, slot->number);
    const struct observed_container *old = slot->obsolete.n ? slot->obsolete.v[0] : NULL;
    bool taken = name_taken(p, slot->name);
    const char *made = slot->name;
    if (taken && !slot->in_place)
        made = temporary_name(p, slot, old);
    struct op *op = container_op(p, slot, OP_CREATE, "create", made, slot->in_place ? 2 : 1);
    op->new_name = made;
    if (old)
        explain_replace(p, slot, old, op);
    else
        op_cause(p, op, "missing", "the container does not exist", NULL, NULL);
    for (size_t i = 0; i < slot->s->n_networks; i++)
        op_after(p, op, arena_printf(p->a, "createNetwork:%s", slot->s->networks[i].network));
    const char *modes[] = {slot->s->network_mode, slot->s->pid, slot->s->ipc};
    for (size_t i = 0; i < ARRAY_LEN(modes); i++)
        if (modes[i] && z_starts(modes[i], "service:"))
            op_after(p, op, op_idf(p, "create", modes[i] + 8, 1));
    map_setz(&p->recreated, slot->s->name, (void *)slot->s);
    const char *ready = create;
    if (made != slot->name) {
        struct op *rename = container_op(p, slot, OP_RENAME, "rename", made, 2);
        rename->container_op = create;
        rename->new_name = slot->name;
        op_cause(p, rename, "replaced", "it takes the place of the old container", NULL, NULL);
        op_after(p, rename, create);
        ready = rename->id;
    }
    struct op *start = container_op(p, slot, OP_START, "start", slot->name, 2);
    start->container_op = create;
    op_cause(p, start, "missing", "the new container has to run", NULL, NULL);
    op_after(p, start, create);
    op_after(p, start, ready);
    start_after_dependencies(p, slot->s, start);
    wait_op(p, slot, NULL, create, start->id);
}

/* The old container serves until what the new one waits for is there. */
static void stop_late(struct planner *p, const struct slot *slot, struct op *stop) {
    struct op *start = planner_op(p, op_idf(p, "start", slot->s->name, slot->number));
    if (start == NULL)
        return;
    start_after_dependencies(p, slot->s, stop);
    op_after(p, start, stop->id);
}

/* Nothing is lost when a container is replaced, so none of this counts as destructive: its data lives in volumes. The old container
 * goes when the new one runs, so that it can come back. stop, and beside it free its name; when a network is made anew, the stop comes
 * before that and the new container after both. */
static void plan_retire(struct planner *p, struct slot *slot, const struct observed_container *old) {
    struct op *op;
    const char *stopped = NULL, *renamed = NULL;
    /* After an interruption it may be this deployment that stopped it: then a failure has to start it again. */
    if (is_running(old) || (p->want->resumed && z_eq(old->state, "exited"))) {
        op = retire_op(p, slot, OP_STOP, "stop", old);
        op_cause(p, op, "replaced", "it is replaced", NULL, NULL);
        stopped = op->id;
        if (!slot->in_place)
            stop_late(p, slot, op);
    }
    /* Names change while the old container still stops: what counts is the time between its end and the new one's start. */
    if (z_eq(old->name, slot->name)) {
        op = retire_op(p, slot, OP_RENAME, "rename", old);
        op->new_name = arena_printf(p->a, "%s_%.12s", slot->name, old->id);
        op_cause(p, op, "replaced", "it frees its name", NULL, NULL);
        renamed = op->id;
        struct op *taker = planner_op(p, op_idf(p, slot->in_place ? "create" : "rename", slot->s->name, slot->number));
        if (taker)
            op_after(p, taker, renamed);
    }
    op = retire_op(p, slot, OP_REMOVE, "remove", old);
    op_cause(p, op, "replaced", "it is replaced", NULL, NULL);
    op_after(p, op, stopped);
    op_after(p, op, renamed);
    op_after(p, op, op_idf(p, "wait", slot->s->name, slot->number));
    if (slot->in_place) {
        *vec_push(p->a, &p->moved_removes) = op->id;
        detach_first(p, old, stopped);
    }
}

static const char *network_name(const struct planner *p, const char *key) {
    const struct compose_network *n = compose_network_find(p->want->project, key);
    return n ? n->name : NULL;
}

static void plan_connections(struct planner *p, const struct slot *slot) {
    for (size_t i = 0; i < slot->s->n_networks; i++) {
        const char *want = network_name(p, slot->s->networks[i].network);
        bool stale = false;
        if (want == NULL || (attached(p, slot->keep, want, &stale) && !stale))
            continue;
        const char *id = arena_printf(p->a, "connect:%s:%lld:%s", slot->s->name, (long long)slot->number,
                                      slot->s->networks[i].network);
        struct op *op = planner_add(p, OP_CONNECT, id, slot->keep->name, 2);
        op->service = slot->s->name;
        op->service_index = slot->index;
        op->number = slot->number;
        op->container_id = slot->keep->id;
        op->new_name = slot->s->networks[i].network;
        op_cause(p, op, "network", arena_printf(p->a, "not attached to network %s", slot->s->networks[i].network), NULL,
                 NULL);
        op_after(p, op, arena_printf(p->a, "createNetwork:%s", slot->s->networks[i].network));
    }
}

static bool wants_running(const struct compose_service *s, const struct observed_container *c) {
    if (is_running(c))
        return false;
    if (z_eq(c->state, "created") || c->exit_code != 0)
        return true;
    const char *restart = s->restart;
    return z_eq(restart, "always") || z_eq(restart, "unless-stopped") ||
           (s->deploy.restart_policy.set && z_eq(s->deploy.restart_policy.condition, "any"));
}

static bool awaits_health(const struct planner *p, const struct slot *slot) {
    const struct compose_healthcheck *h = &slot->s->healthcheck;
    (void)p;
    return h->set && !h->disable && z_eq(slot->keep->health, "starting");
}

static void plan_keep(struct planner *p, struct slot *slot) {
    const struct observed_container *c = slot->keep;
    const char *ready = NULL;
    plan_connections(p, slot);
    if (!z_eq(c->name, slot->name)) {
        struct op *op = container_op(p, slot, OP_RENAME, "rename", c->name, 2);
        op->container_id = c->id;
        op->new_name = slot->name;
        op_cause(p, op, "name", "an interrupted replacement left it under a temporary name", c->name, slot->name);
        ready = op->id;
    }
    if (wants_running(slot->s, c)) {
        struct op *op = container_op(p, slot, OP_START, "start", slot->name, 2);
        op->container_id = c->id;
        op_cause(p, op, "stopped",
                 arena_printf(p->a, "the container is %s (exit code %lld)", c->state, (long long)c->exit_code),
                 c->state, "running");
        op_after(p, op, ready);
        for (size_t i = 0; i < slot->s->n_networks; i++)
            op_after(p, op,
                     arena_printf(p->a, "connect:%s:%lld:%s", slot->s->name, (long long)slot->number,
                                  slot->s->networks[i].network));
        start_after_dependencies(p, slot->s, op);
        wait_op(p, slot, c->id, NULL, op->id);
    } else if (awaits_health(p, slot)) {
        wait_op(p, slot, c->id, NULL, NULL);
    }
}

/* depends_on.restart: a dependent that is otherwise unchanged is restarted around the replacement of what it depends on. */
static void plan_dependent_restart(struct planner *p, const struct slot *slot) {
    const struct observed_container *c = slot->keep;
    if (c == NULL || !is_running(c) || planner_op(p, op_idf(p, "start", slot->s->name, slot->number)))
        return;
    for (size_t d = 0; d < slot->s->n_depends_on; d++) {
        const struct compose_dependency *dep = &slot->s->depends_on[d];
        if (!dep->restart || !map_getz(&p->recreated, dep->service))
            continue;
        struct op *stop = old_op(p, OP_STOP, "stop", c);
        op_cause(p, stop, "dependency",
                 arena_printf(p->a, "service %s, which it depends on with restart, is recreated", dep->service), NULL,
                 NULL);
        const char *stop_id = stop->id;
        struct op *start = container_op(p, slot, OP_START, "start", slot->name, 2);
        start->container_id = c->id;
        op_cause(p, start, "dependency", arena_printf(p->a, "service %s was recreated", dep->service), NULL, NULL);
        op_after(p, start, stop_id);
        start_after_dependencies(p, slot->s, start);
        wait_op(p, slot, c->id, NULL, op_idf(p, "start", slot->s->name, slot->number));
        return;
    }
}

static void plan_replica(struct planner *p, size_t index, int64_t number) {
    const struct desired_service *want = &p->want->services[index];
    struct slot slot = {.index = index, .want = want, .s = want->service, .number = number};
    slot.name = plan_container_name(p->a, p->want->project, want->service, number);
    slot.in_place = uses_rebuilt_network(p, want->service) || leaves_rebuilt_network(p, want->service, number);
    fill_slot(p, &slot);
    if (slot.keep)
        plan_keep(p, &slot);
    else
        plan_create(p, &slot);
    for
        vec_each(it, &slot.obsolete)
            plan_retire(p, &slot, *it);
    plan_dependent_restart(p, &slot);
    /* A name held by an obsolete container must be free before the kept one takes it. */
    struct op *rename = planner_op(p, op_idf(p, "rename", slot.s->name, number));
    for
        vec_each(it, &slot.obsolete)
            if (rename && slot.keep && z_eq((*it)->name, slot.name))
                op_after(p, rename, old_id(p, "rename", *it));
}

static void retire_plain(struct planner *p, const struct observed_container *c, const char *code, const char *message) {
    const char *last = NULL;
    if (is_running(c)) {
        struct op *stop = old_op(p, OP_STOP, "stop", c);
        op_cause(p, stop, code, message, NULL, NULL);
        stop->destructive = true;
        last = stop->id;
    }
    struct op *op = old_op(p, OP_REMOVE, "remove", c);
    op_cause(p, op, code, message, NULL, NULL);
    op->destructive = true;
    op->reversible = false;
    op_after(p, op, last);
    detach_first(p, c, op->id);
}

/* What changes over to a network made anew does so together or not at all, and a failure of anything else takes it back too: none of
 * the old ones goes before everything runs. */
static void keep_until_all_run(struct planner *p) {
    for
        vec_each(remove, &p->moved_removes)
            for (size_t i = 0; i < p->plan->ops.n; i++) {
                enum op_kind k = p->plan->ops.v[i].kind;
                if (k == OP_START || k == OP_WAIT_HEALTHY || k == OP_WAIT_RUNNING || k == OP_WAIT_COMPLETED)
                    op_after(p, planner_op(p, *remove), p->plan->ops.v[i].id);
            }
}

void plan_services(struct planner *p) {
    for (size_t i = 0; i < p->want->n_services; i++) {
        const struct desired_service *s = &p->want->services[i];
        if (!planner_selected(p, s->service->name) || s->service->provider)
            continue;
        for (int64_t n = 1; n <= s->replicas; n++)
            plan_replica(p, i, n);
        for (size_t c = 0; c < p->have->n_containers; c++) {
            const struct observed_container *old = &p->have->containers[c];
            if (!old->oneoff && z_eq(old->service, s->service->name) && (old->number > s->replicas || old->number < 1))
                retire_plain(p, old, "scaled",
                             arena_printf(p->a, "the service runs %lld replicas", (long long)s->replicas));
        }
    }
    keep_until_all_run(p);
}

static bool known_service(const struct planner *p, const char *name) {
    const struct compose_project *pr = p->want->project;
    for (size_t i = 0; i < pr->n_disabled; i++)
        if (z_eq(pr->disabled[i].name, name))
            return true;
    return planner_service(p, name) != NULL;
}

static bool file_volume_wanted(const struct planner *p, const char *name) {
    for (size_t i = 0; i < p->want->n_services; i++)
        for (size_t f = 0; f < p->want->services[i].n_files; f++)
            if (z_eq(p->want->services[i].files[f].volume, name))
                return true;
    return false;
}

static void plan_unused_files(struct planner *p) {
    if (p->want->only)
        return;
    for (size_t v = 0; v < p->have->n_volumes; v++) {
        const struct observed_volume *vol = &p->have->volumes[v];
        if (!vol->files || file_volume_wanted(p, vol->name))
            continue;
        struct op *op =
            planner_add(p, OP_REMOVE_VOLUME, arena_printf(p->a, "removeVolume:%s", vol->name), vol->name, 2);
        op_cause(p, op, "removed", "no service uses this version of the files any more", NULL, NULL);
        for (size_t c = 0; c < p->have->n_containers; c++)
            for (size_t m = 0; m < p->have->containers[c].n_mount_names; m++)
                if (z_eq(p->have->containers[c].mount_names[m], vol->name))
                    op_after(p, op, old_id(p, "remove", &p->have->containers[c]));
    }
}

static void plan_unused_networks(struct planner *p) {
    for (size_t i = 0; p->want->prune && i < p->have->n_networks; i++) {
        const struct observed_network *n = &p->have->networks[i];
        if (!z_eq(n->project, p->want->project->name) || n->key == NULL)
            continue;
        const struct compose_network *w = compose_network_find(p->want->project, n->key);
        if (w && z_eq(w->name, n->name))
            continue;
        struct op *op = planner_add(p, OP_REMOVE_NETWORK, arena_printf(p->a, "removeNetwork:%.12s", n->id), n->name, 2);
        op_cause(p, op, "removed", "the network is no longer in the project", NULL, NULL);
        op->destructive = true;
        for (size_t k = 0; k < p->plan->ops.n; k++)
            if (p->plan->ops.v[k].kind == OP_REMOVE)
                op_after(p, planner_op(p, arena_printf(p->a, "removeNetwork:%.12s", n->id)), p->plan->ops.v[k].id);
    }
}

void plan_orphans(struct planner *p) {
    for (size_t i = 0; p->want->only == NULL && i < p->have->n_containers; i++) {
        const struct observed_container *c = &p->have->containers[i];
        bool ours = z_eq(c->app_id, p->want->app_id);
        if ((c->oneoff && !ours) || (known_service(p, c->service) && !(c->oneoff && !is_running(c))))
            continue;
        if (p->want->prune)
            retire_plain(p, c, "removed",
                         c->oneoff ? "a finished one-off container" : "the service is no longer in the project");
        else if (!c->oneoff)
            *vec_push(p->a, &p->plan->warnings) = arena_printf(
                p->a,
                "container %s belongs to service %s, which is no longer in the project; switch on prune to remove it",
                c->name, c->service);
    }
    plan_unused_networks(p);
    plan_unused_files(p);
}
