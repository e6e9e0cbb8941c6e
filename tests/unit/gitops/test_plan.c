#include "tests/unit/gitops/model.h"

static struct arena *a;

static int setup(void **state) {
    (void)state;
    a = arena_new("test", 0);
    arena_set_current(a);
    return 0;
}
static int teardown(void **state) {
    (void)state;
    arena_set_current(NULL);
    arena_unref(a);
    return 0;
}

static const char base[] =
    "services:\n"
    "  db: {image: 'db:1', volumes: ['data:/data'], healthcheck: {test: ['CMD', 'true']}}\n"
    "  migrate: {image: 'app:1', command: ['migrate'], depends_on: {db: {condition: service_healthy}}}\n"
    "  web: {image: 'app:1', ports: ['8080:80'], scale: 2, depends_on: {migrate: {condition: service_completed_successfully}}}\n"
    "volumes: {data: {}}\n";
static const char changed[] =
    "services:\n"
    "  db: {image: 'db:1', volumes: ['data:/data'], healthcheck: {test: ['CMD', 'true']}}\n"
    "  migrate: {image: 'app:2', command: ['migrate'], depends_on: {db: {condition: service_healthy}}}\n"
    "  web: {image: 'app:2', ports: ['8080:80'], scale: 2, environment: {A: '1'}, depends_on: {migrate: {condition: service_completed_successfully}}}\n"
    "volumes: {data: {}}\n";

static size_t index_of(const struct plan *p, const char *id) {
    for (size_t i = 0; i < p->ops.n; i++)
        if (z_eq(p->ops.v[i].id, id))
            return i;
    plan_print(p);
    fail_msg("no operation %s", id);
    return 0;
}

static void assert_empty(struct model *m, const struct desired *want) {
    struct plan *p = model_plan(m, want);
    if (p->ops.n)
        plan_print(p);
    assert_int_equal(p->ops.n, 0);
}

static void deploy(struct model *m, const char *yaml) {
    struct desired *d = desired_from(a, yaml);
    for (int i = 0; i < 3; i++)
        model_apply(m, model_plan(m, d), SIZE_MAX);
}

static void second_plan_is_empty(void **state) {
    struct model m;
    (void)state;
    model_init(&m, a);
    struct desired *d = desired_from(a, base);
    model_apply(&m, model_plan(&m, d), SIZE_MAX);
    assert_int_equal(m.o.n_containers, 4);
    assert_empty(&m, d);
}

static void order_follows_dependencies(void **state) {
    struct model m;
    (void)state;
    model_init(&m, a);
    struct plan *p = model_plan(&m, desired_from(a, base));
    assert_true(index_of(p, "pull:db:1") < index_of(p, "create:db:1"));
    assert_true(index_of(p, "createVolume:data") < index_of(p, "create:db:1"));
    assert_true(index_of(p, "start:db:1") < index_of(p, "wait:db:1"));
    assert_true(index_of(p, "wait:db:1") < index_of(p, "start:migrate:1"));
    assert_true(index_of(p, "wait:migrate:1") < index_of(p, "start:web:1"));
    assert_int_equal(plan_op(p, "wait:migrate:1")->kind, OP_WAIT_COMPLETED);
    assert_int_equal(plan_op(p, "wait:db:1")->kind, OP_WAIT_HEALTHY);
}

static void nothing_stops_before_all_creates(void **state) {
    struct model m;
    (void)state;
    model_init(&m, a);
    deploy(&m, base);
    struct plan *p = model_plan(&m, desired_from(a, changed));
    size_t last_create = 0, first_stop = SIZE_MAX;
    for (size_t i = 0; i < p->ops.n; i++) {
        if (p->ops.v[i].kind == OP_CREATE || p->ops.v[i].kind == OP_PULL)
            last_create = i;
        if (p->ops.v[i].kind == OP_STOP && first_stop == SIZE_MAX)
            first_stop = i;
    }
    assert_true(last_create < first_stop);
    for
        vec_each(op, &p->ops)
            if (op->kind == OP_CREATE)
                assert_string_not_equal(op->service, "db"); /* unchanged services are not touched */
}

static bool waits_for(const struct op *op, const char *id) {
    for
        vec_each(d, &op->depends_on)
            if (z_eq(*d, id))
                return true;
    return false;
}

static const struct op *of_old(const struct plan *p, enum op_kind kind, const char *service, int64_t number) {
    for
        vec_each(op, &p->ops)
            if (op->kind == kind && op->container_id && z_eq(op->service, service) && op->number == number)
                return op;
    plan_print(p);
    fail_msg("no such operation on the old container of %s", service);
    return NULL;
}

/* The time without a running container is that between the end of the old one and the start of the new one, nothing more. */
static void the_old_one_serves_as_long_as_it_can(void **state) {
    struct model m;
    (void)state;
    model_init(&m, a);
    deploy(&m, base);
    struct plan *p = model_plan(&m, desired_from(a, changed));
    const struct op *stop = of_old(p, OP_STOP, "web", 1), *rename = of_old(p, OP_RENAME, "web", 1);
    assert_true(waits_for(stop, "wait:migrate:1"));
    assert_false(waits_for(rename, stop->id));
    assert_true(waits_for(plan_op(p, "rename:web:1"), rename->id));
    assert_true(waits_for(plan_op(p, "start:web:1"), stop->id));
    assert_true(waits_for(plan_op(p, "start:web:1"), "rename:web:1"));
}

static void update_converges(void **state) {
    struct model m;
    (void)state;
    model_init(&m, a);
    deploy(&m, base);
    struct desired *d = desired_from(a, changed);
    model_apply(&m, model_plan(&m, d), SIZE_MAX);
    assert_int_equal(m.o.n_containers, 4);
    for (size_t i = 0; i < m.o.n_containers; i++)
        assert_null(strchr(m.o.containers[i].name, '_'));
    assert_empty(&m, d);
}

/* Whatever operation a crash interrupts, at most two more rounds lead to the same end. */
static void converges_from_every_crash_point(void **state) {
    static const char *const updates[] = {changed, base};
    (void)state;
    for (size_t u = 0; u < ARRAY_LEN(updates); u++) {
        for (size_t stop = 0; stop < 60; stop++) {
            struct model m;
            model_init(&m, a);
            if (u == 0)
                deploy(&m, base);
            struct desired *d = desired_from(a, updates[u]);
            struct plan *p = model_plan(&m, d);
            if (stop > p->ops.n)
                break;
            model_apply(&m, p, stop);
            for (int round = 0; round < 2; round++)
                model_apply(&m, model_plan(&m, d), SIZE_MAX);
            assert_empty(&m, d);
            assert_int_equal(m.o.n_containers, 4);
            for (size_t i = 0; i < m.o.n_containers; i++)
                assert_null(strchr(m.o.containers[i].name, '_'));
        }
    }
}

/* Twice interrupted, at every pair of points. */
static void converges_from_two_crashes(void **state) {
    (void)state;
    for (size_t first = 0; first < 30; first += 2) {
        for (size_t second = 0; second < 30; second++) {
            struct model m;
            model_init(&m, a);
            deploy(&m, base);
            struct desired *d = desired_from(a, changed);
            model_apply(&m, model_plan(&m, d), first);
            model_apply(&m, model_plan(&m, d), second);
            for (int round = 0; round < 2; round++)
                model_apply(&m, model_plan(&m, d), SIZE_MAX);
            assert_empty(&m, d);
            assert_int_equal(m.o.n_containers, 4);
        }
    }
}

/* ---- random histories ---- */

static uint32_t rnd_state;
static uint32_t rnd(uint32_t n) {
    rnd_state ^= rnd_state << 13;
    rnd_state ^= rnd_state >> 17;
    rnd_state ^= rnd_state << 5;
    return rnd_state % n;
}

/* Services s0..s4, some of them there, with random image, scale, environment, health check, networks and dependencies. */
static const char *random_project(void) {
    const char *out = "services:\n";
    bool there[5];
    for (unsigned i = 0; i < 5; i++) {
        there[i] = i == 0 || rnd(4) != 0;
        if (!there[i])
            continue;
        out = arena_printf(
            a, "%s  s%u: {image: 'i:%u', restart: always, scale: %u, environment: {V: '%u'}, networks: [%s%s]", out, i,
            rnd(3), 1 + rnd(3), rnd(3), rnd(2) ? "n0" : "n1", rnd(3) ? "" : ", n2");
        if (rnd(2))
            out = arena_printf(a, "%s, healthcheck: {test: ['CMD', 'true']}", out);
        unsigned on = i ? rnd(i) : 0;
        if (i && there[on] && rnd(2))
            out = arena_printf(a, "%s, depends_on: {s%u: {condition: service_started, restart: %s}}", out, on,
                               rnd(2) ? "true" : "false");
        out = arena_printf(a, "%s}\n", out);
    }
    return arena_printf(a, "%snetworks: {n0: {internal: %s}, n1: {internal: %s}, n2: {}}\n", out,
                        rnd(4) ? "false" : "true", rnd(4) ? "false" : "true");
}

static void something_happens(struct model *m) {
    if (m->o.n_containers == 0)
        return;
    struct observed_container *c = &m->o.containers[rnd((uint32_t)m->o.n_containers)];
    switch (rnd(4)) {
    case 0:
        model_drop(m, c);
        break;
    case 1:
        c->state = "exited";
        c->exit_code = 137;
        break;
    case 2:
        c->hash = "changed by hand";
        break;
    default:
        break;
    }
}

/* From any commit to any other, interrupted anywhere, with containers killed, removed and changed in between: at most two rounds
 * after the last interruption nothing is left to do. */
static void random_histories_converge(void **state) {
    (void)state;
    for (uint32_t seed = 1; seed <= 500; seed++) {
        struct model m;
        struct desired *d = NULL;
        rnd_state = seed * 2654435761u;
        model_init(&m, a);
        for (int commit = 0; commit < 6; commit++) {
            d = desired_from(a, random_project());
            d->prune = true;
            d->resumed = rnd(2);
            for (uint32_t crash = rnd(3); crash > 0; crash--) {
                model_apply(&m, model_plan(&m, d), rnd(25));
                something_happens(&m);
            }
        }
        for (int round = 0; round < 2; round++)
            model_apply(&m, model_plan(&m, d), SIZE_MAX);
        struct plan *left = model_plan(&m, d);
        if (left->ops.n) {
            plan_print(left);
            fail_msg("seed %u does not converge", seed);
        }
        arena_unref(a);
        a = arena_new("test", 0);
        arena_set_current(a);
    }
}

static void killed_container_is_started_again(void **state) {
    struct model m;
    (void)state;
    model_init(&m, a);
    struct desired *d = desired_from(a, "services: {web: {image: 'w:1', restart: always}, job: {image: 'j:1'}}\n");
    model_apply(&m, model_plan(&m, d), SIZE_MAX);
    for (size_t i = 0; i < m.o.n_containers; i++) {
        m.o.containers[i].state = "exited";
        m.o.containers[i].exit_code = z_eq(m.o.containers[i].service, "web") ? 137 : 0;
    }
    struct plan *p = model_plan(&m, d);
    assert_int_equal(p->ops.v[0].kind, OP_START);
    assert_string_equal(p->ops.v[0].service, "web");
    assert_string_equal(p->ops.v[0].causes.v[0].code, "stopped");
    for
        vec_each(op, &p->ops)
            assert_string_not_equal(op->service, "job"); /* done its work: converged */
}

static void scale_down_and_prune(void **state) {
    struct model m;
    (void)state;
    model_init(&m, a);
    model_apply(&m, model_plan(&m, desired_from(a, "services: {web: {image: 'w:1', scale: 3}, old: {image: 'o:1'}}\n")),
                SIZE_MAX);
    assert_int_equal(m.o.n_containers, 4);
    struct desired *d = desired_from(a, "services: {web: {image: 'w:1', scale: 1}}\n");
    struct plan *p = model_plan(&m, d);
    assert_int_equal(p->warnings.n, 1);
    model_apply(&m, p, SIZE_MAX);
    assert_int_equal(m.o.n_containers, 2); /* the orphan stays without prune */
    d->prune = true;
    model_apply(&m, model_plan(&m, d), SIZE_MAX);
    assert_int_equal(m.o.n_containers, 1);
    assert_empty(&m, d);
}

/* The engine would not start it: it still remembers the network by its id. */
static void stopped_container_is_connected_again_when_its_network_is_gone(void **state) {
    struct model m;
    (void)state;
    model_init(&m, a);
    struct desired *d = desired_from(
        a, "services: {web: {image: 'w:1', restart: always, networks: [n, m]}}\nnetworks: {n: {}, m: {}}\n");
    model_apply(&m, model_plan(&m, d), SIZE_MAX);
    m.o.containers[0].state = "exited";
    size_t n = z_eq(m.o.networks[0].key, "n") ? 0 : 1;
    struct observed_network other = m.o.networks[1 - n];
    m.o.networks[0] = other;
    m.o.n_networks = 1;
    struct plan *p = model_plan(&m, d);
    assert_true(index_of(p, "createNetwork:n") < index_of(p, "connect:web:1:n"));
    assert_true(index_of(p, "connect:web:1:n") < index_of(p, "start:web:1"));
    assert_null(plan_op(p, "connect:web:1:m"));
    assert_null(plan_op(p, "create:web:1"));
    /* Also when somebody made another one of that name. */
    bool first = z_eq(m.o.containers[0].networks[0], "demo_n");
    const char *ids[] = {first ? "gone" : other.id, first ? other.id : "gone"};
    m.o.containers[0].network_ids = ids;
    m.o.networks[m.o.n_networks++] = (struct observed_network){
        "new", "demo_n", "n", "demo", compose_network_hash(a, compose_network_find(d->project, "n"))};
    p = model_plan(&m, d);
    assert_non_null(plan_op(p, "connect:web:1:n"));
    assert_null(plan_op(p, "connect:web:1:m"));
}

static void changed_network_is_rebuilt(void **state) {
    struct model m;
    (void)state;
    model_init(&m, a);
    model_apply(
        &m,
        model_plan(
            &m, desired_from(
                    a, "services: {web: {image: 'w:1', networks: [n]}, other: {image: 'w:1'}}\nnetworks: {n: {}}\n")),
        SIZE_MAX);
    struct desired *d = desired_from(
        a, "services: {web: {image: 'w:1', networks: [n]}, other: {image: 'w:1'}}\nnetworks: {n: {internal: true}}\n");
    struct plan *p = model_plan(&m, d);
    const struct op *net = plan_op(p, "removeNetwork:n");
    assert_non_null(net);
    assert_true(net->destructive);
    assert_true(index_of(p, "removeNetwork:n") < index_of(p, "createNetwork:n"));
    assert_true(index_of(p, "createNetwork:n") < index_of(p, "create:web:1"));
    for
        vec_each(op, &p->ops)
            if (op->service)
                assert_string_equal(op->service, "web");
    model_apply(&m, p, SIZE_MAX);
    assert_empty(&m, d);
}

/* Also what leaves the project, and what leaves the network: the engine keeps a network that anything is attached to. */
static void everything_leaves_a_network_before_it_is_rebuilt(void **state) {
    struct model m;
    (void)state;
    model_init(&m, a);
    model_apply(
        &m,
        model_plan(&m, desired_from(
                           a, "services: {web: {image: 'w:1', networks: [n]}, gone: {image: 'w:1', networks: [n]},"
                              " moved: {image: 'w:1', networks: [n], depends_on: [web]}}\nnetworks: {n: {}, m: {}}\n")),
        SIZE_MAX);
    struct desired *d = desired_from(
        a, "services: {web: {image: 'w:1', networks: [n]},"
           " moved: {image: 'w:1', networks: [m], depends_on: [web]}}\nnetworks: {n: {internal: true}, m: {}}\n");
    d->prune = true;
    struct plan *p = model_plan(&m, d);
    size_t stopped = 0;
    for (size_t i = 0; i < p->ops.n; i++) {
        if (p->ops.v[i].kind != OP_STOP)
            continue;
        stopped++;
        assert_true(i < index_of(p, "removeNetwork:n"));
        assert_true(p->ops.v[i].phase == 2);
    }
    assert_int_equal(stopped, 3);
    /* What is replaced goes last, so that it can come back. */
    const struct op *removed = of_old(p, OP_REMOVE, "web", 1);
    assert_true(waits_for(removed, "wait:web:1"));
    model_apply(&m, p, SIZE_MAX);
    assert_empty(&m, d);
}

static void port_conflicts_are_found_before_anything(void **state) {
    struct model m;
    struct plan *p;
    (void)state;
    model_init(&m, a);
    m.o.ports = arena_zalloc_array(a, 1, sizeof(*m.o.ports));
    m.o.ports[0].container = "foreign";
    m.o.ports[0].proto = "tcp";
    m.o.ports[0].port = 8080;
    m.o.n_ports = 1;
    err_t e = plan_build(a, desired_from(a, base), &m.o, NULL, &p);
    assert_non_null(e);
    assert_int_equal(e->code, ERR_PORT_CONFLICT);
    assert_non_null(strstr(e->message, "foreign"));
    m.o.n_ports = 0;
    e = plan_build(a, desired_from(a, "services: {a: {image: x, ports: ['80:1']}, b: {image: x, ports: ['80:2']}}\n"),
                   &m.o, NULL, &p);
    assert_non_null(e);
    assert_int_equal(e->code, ERR_PORT_CONFLICT);
}

static void externals_must_exist(void **state) {
    struct model m;
    struct plan *p;
    (void)state;
    model_init(&m, a);
    err_t e = plan_build(
        a, desired_from(a, "services: {a: {image: x, networks: [n]}}\nnetworks: {n: {external: true, name: shared}}\n"),
        &m.o, NULL, &p);
    assert_non_null(e);
    assert_int_equal(e->code, ERR_CONFLICT);
    assert_non_null(strstr(e->message, "shared"));
}

static void causes_name_field_and_line(void **state) {
    struct model m;
    struct plan *p;
    (void)state;
    model_init(&m, a);
    struct desired *before =
        desired_from(a, "services:\n  web:\n    image: w:1\n    environment:\n      A: one\n      SECRET_TOKEN: s1\n");
    model_apply(&m, model_plan(&m, before), SIZE_MAX);
    struct json *previous = json_object(a), *services = json_object(a);
    json_set(a, services, "web", before->services[0].service->canonical);
    json_set(a, previous, "services", services);
    struct desired *after =
        desired_from(a, "services:\n  web:\n    image: w:1\n    environment:\n      A: two\n      SECRET_TOKEN: s2\n");
    assert_null(plan_build(a, after, &m.o, previous, &p));
    const struct op *op = plan_op(p, "create:web:1");
    assert_int_equal(op->causes.n, 2);
    assert_string_equal(op->causes.v[0].path, "environment.A");
    assert_string_equal(op->causes.v[0].from, "one");
    assert_string_equal(op->causes.v[0].to, "two");
    assert_int_equal(op->causes.v[0].origin.line, 5);
    assert_string_equal(op->causes.v[1].path, "environment.SECRET_TOKEN");
    assert_null(op->causes.v[1].to); /* named, not shown */
    assert_null(strstr(json_to_text(a, plan_to_json(a, p)), "s2"));
}

static void shared_namespace_follows(void **state) {
    struct model m;
    (void)state;
    model_init(&m, a);
    model_apply(&m,
                model_plan(&m, desired_from(
                                   a, "services: {a: {image: 'x:1'}, b: {image: 'y:1', network_mode: 'service:a'}}\n")),
                SIZE_MAX);
    struct plan *p = model_plan(
        &m,
        desired_from(a, "services: {a: {image: 'x:1', hostname: h}, b: {image: 'y:1', network_mode: 'service:a'}}\n"));
    assert_non_null(plan_op(p, "create:a:1"));
    assert_non_null(plan_op(p, "create:b:1"));
    assert_string_equal(plan_op(p, "create:b:1")->causes.v[0].code, "dependency");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void) {
    const struct CMUnitTest tests[] = {T(second_plan_is_empty),
                                       T(order_follows_dependencies),
                                       T(nothing_stops_before_all_creates),
                                       T(the_old_one_serves_as_long_as_it_can),
                                       T(update_converges),
                                       T(converges_from_every_crash_point),
                                       T(converges_from_two_crashes),
                                       T(random_histories_converge),
                                       T(killed_container_is_started_again),
                                       T(scale_down_and_prune),
                                       T(stopped_container_is_connected_again_when_its_network_is_gone),
                                       T(changed_network_is_rebuilt),
                                       T(everything_leaves_a_network_before_it_is_rebuilt),
                                       T(port_conflicts_are_found_before_anything),
                                       T(externals_must_exist),
                                       T(causes_name_field_and_line),
                                       T(shared_namespace_follows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
