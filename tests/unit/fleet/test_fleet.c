/* The index follows a real engine: lists, events, states, queries. */
#include "tests/unit/docker/engine_test.h"
#include "core/fleet/fleet.h"

#define UNTIL(cond)                                                                                                    \
    do {                                                                                                               \
        uint64_t until_dl_ = deadline_in(SECONDS(20));                                                                 \
        while (!(cond)) {                                                                                              \
            if (clock_mono_ms() > until_dl_) {                                                                         \
                (void)fprintf(stderr, "%s:%d: never: %s\n", __FILE__, __LINE__, #cond);                                \
                abort();                                                                                               \
            }                                                                                                          \
            OK(fiber_sleep(10));                                                                                       \
        }                                                                                                              \
    } while (0)

struct changes {
    const char *id;    /* of interest; NULL = node changes */
    char actions[512]; /* "create+ start die destroy- " */
    char nodes[256];
    char states[256];
};
static void on_change(void *arg, const struct fleet_change *c) {
    struct changes *w = arg;
    if (c->kind == FLEET_NODE) {
        size_t n = strlen(w->nodes);
        snprintf(w->nodes + n, sizeof w->nodes - n, "%s ", c->action);
        return;
    }
    if (c->kind != FLEET_CONTAINER || (w->id && !z_eq(c->id, w->id)))
        return;
    CHECK(c->appeared == !c->before && c->vanished == !c->after);
    size_t n = strlen(w->actions), m = strlen(w->states);
    snprintf(w->actions + n, sizeof w->actions - n, "%s%s ", c->action, c->appeared ? "+" : c->vanished ? "-" : "");
    snprintf(w->states + m, sizeof w->states - m, "%s ", c->after ? c->after->state : "gone");
}

static struct fleet *fleet_on(const char *url, const struct fleet_conf *conf) {
    struct fleet *f = fleet_new(conf);
    OK(fleet_node_add(f, &(struct fleet_node_conf){.id = "n1", .name = "lab", .docker = {.url = url}}));
    return f;
}
static const struct fleet_container *find(struct fleet *f, const char *ref) {
    const struct fleet_container *c = NULL;
    err_t e = fleet_container_find(f, NULL, ref, &c);
    return e ? NULL : c;
}

TEST(follows_a_container) {
    AUTO(docker) d = engine();
    struct fleet *f = fleet_on(getenv("DOCKER_HOST"), NULL);
    OK(fleet_wait_synced(f, "n1", DL));
    struct fleet_node n;
    CHECK(fleet_node_get(f, "n1", &n));
    EQ(n.state, FLEET_ONLINE);
    CHECK(n.images > 0 && n.networks > 0 && *n.engine_version && n.cpus > 0 && n.synced_ms && n.api >= 41);
    CHECK(n.clock_offset_ms > -1000 && n.clock_offset_ms < 1000);
    static const struct spec_kv labels[] = {
        {"com.docker.compose.project", "dfp"}, {"com.docker.compose.service", "web"}, {"x", "y"}};
    struct container_spec s = shell_spec(name_of("fleet"), "sleep 1; exit 3");
    s.labels = (struct spec_kvs){labels, 3};
    struct docker_created *c;
    struct changes w = {0};
    struct fleet_sub *sub = fleet_subscribe(f, on_change, &w);
    OK(docker_container_create(d, NOW, &s, &GUARD_NOBODY, DL, &c));
    w.id = c->id;
    UNTIL(find(f, c->id));
    ZEQ(find(f, c->id)->state, "created");
    OK(docker_container_start(d, c->id, DL));
    UNTIL(z_eq(find(f, c->id)->state, "running"));
    const struct fleet_container *x = find(f, c->id);
    ZEQ(x->name, s.name);
    ZEQ(x->project, "dfp");
    ZEQ(x->service, "web");
    ZEQ(x->image, IMAGE);
    ZEQ(x->node_name, "lab");
    CHECK(x->detailed && x->started_ms > 0 && x->nlabels == 3 && x->nnetworks == 1);
    CHECK(find(f, arena_strndup(NOW, c->id, 12)) == x && find(f, s.name) == x);
    UNTIL(z_eq(find(f, c->id)->state, "exited"));
    EQ(find(f, c->id)->exit_code, 3);
    const char *renamed = name_of("fleet-renamed");
    OK(docker_container_rename(d, c->id, renamed, DL));
    UNTIL(z_eq(find(f, c->id)->name, renamed));
    uint64_t relists = fleet_stats_get(f).relists;
    gone(d, c->id);
    UNTIL(!find(f, c->id));
    ZEQ(w.actions, "create+ start die rename destroy- ");
    ZEQ(w.states, "created running exited exited gone ");
    EQ(fleet_stats_get(f).relists, relists); /* events were enough */
    fleet_unsubscribe(sub);
    fleet_free(f);
    return NULL;
}

TEST(relist_changes_nothing_known) {
    AUTO(docker) d = engine();
    const char *a = run(d, "rl-a", "sleep 60"), *b = run(d, "rl-b", "exit 9");
    OK(docker_container_wait(d, b, DOCKER_WAIT_NOT_RUNNING, DL, &(int){0}));
    struct fleet *f = fleet_on(getenv("DOCKER_HOST"), NULL);
    OK(fleet_wait_synced(f, "n1", DL));
    UNTIL(find(f, a)->detailed && find(f, b)->detailed);
    EQ(find(f, b)->exit_code, 9);
    CHECK(find(f, b)->finished_ms > 0);
    /* Other tests may be at work on this engine: only our own two count. */
    struct changes w = {.id = a}, w2 = {.id = b};
    fleet_subscribe(f, on_change, &w);
    fleet_subscribe(f, on_change, &w2);
    for (int i = 0; i < 3; i++)
        OK(fleet_refresh(f, "n1", DL));
    ZEQ(w.actions, "");
    ZEQ(w2.actions, "");
    CHECK(find(f, a)->started_ms > 0);
    gone(d, a);
    gone(d, b);
    OK(fleet_refresh(f, "n1", DL));
    CHECK(!find(f, a) && !find(f, b));
    fleet_free(f);
    return NULL;
}

struct names {
    char text[2048];
    size_t n;
};
static bool add_name(void *arg, const struct fleet_container *c) {
    struct names *r = arg;
    const char *dash = strrchr(c->name, '-');
    size_t n = strlen(r->text);
    snprintf(r->text + n, sizeof r->text - n, "%s ", dash ? dash + 1 : c->name);
    r->n++;
    return true;
}

TEST(queries) {
    AUTO(docker) d = engine();
    const char *ids[3], *names[] = {"q-c", "q-a", "q-b"};
    for (int i = 0; i < 3; i++)
        ids[i] = run(d, names[i], i == 1 ? "exit 0" : "sleep 60");
    OK(docker_container_wait(d, ids[1], DOCKER_WAIT_NOT_RUNNING, DL, &(int){0}));
    struct fleet *f = fleet_on(getenv("DOCKER_HOST"), NULL);
    OK(fleet_wait_synced(f, "n1", DL));
    struct names all = {0}, running = {0}, paged = {0}, none = {0};
    const char *prefix = name_of("Q-"); /* case does not matter */
    fleet_containers(f, &(struct fleet_filter){.name = prefix}, add_name, &all);
    ZEQ(all.text, "a b c ");
    fleet_containers(f, &(struct fleet_filter){.q = prefix, .state = "running", .node_id = "n1"}, add_name, &running);
    ZEQ(running.text, "b c ");
    const struct fleet_container *first = find(f, ids[1]);
    fleet_containers(
        f, &(struct fleet_filter){.name = prefix, .after_name = first->name, .after_id = first->id, .limit = 1},
        add_name, &paged);
    ZEQ(paged.text, "b ");
    const char *label = "no=such";
    fleet_containers(f, &(struct fleet_filter){.labels = &label, .nlabels = 1}, add_name, &none);
    EQ(none.n, 0);
    const struct fleet_container *c;
    FAILS(ERR_NOT_FOUND, fleet_container_find(f, "n2", ids[0], &c));
    FAILS(ERR_NOT_FOUND, fleet_container_find(f, NULL, "nothing", &c));
    AUTO_BUF out;
    struct jw jw;
    buf_init(&out, 0, KIB(64));
    jw_init(&jw, &out);
    fleet_container_json(&jw, first, NULL);
    struct json *j;
    OK(json_parse(NOW, buf_str(&out), NULL, &j));
    ZEQ(json_get_str(j, "state"), "exited");
    CHECK(z_starts(json_get_str(j, "status"), "Exited (0)") && json_is(json_get(j, "application"), JSON_NULL));
    ZEQ(json_get_str(json_get(j, "node"), "id"), "n1");
    for (int i = 0; i < 3; i++)
        gone(d, ids[i]);
    fleet_free(f);
    return NULL;
}

TEST(nodes_come_and_go) {
    struct fleet *f = fleet_new(&(struct fleet_conf){.backoff_min_ms = 50, .backoff_max_ms = 200});
    struct changes w = {.id = "none"};
    fleet_subscribe(f, on_change, &w);
    OK(fleet_node_add(f, &(struct fleet_node_conf){.id = "x", .name = "x", .docker = {.url = "unix:///nowhere.sock"}}));
    FAILS(ERR_CONFLICT,
          fleet_node_add(f, &(struct fleet_node_conf){.id = "x", .name = "x", .docker = {.url = "unix:///n"}}));
    FAILS(ERR_INVALID,
          fleet_node_add(f, &(struct fleet_node_conf){.id = "y", .name = "y", .docker = {.url = "tcp://1.2.3.4:1"}}));
    FAILS(ERR_DOCKER_UNAVAILABLE, fleet_wait_synced(f, "x", DL));
    struct fleet_node n;
    CHECK(fleet_node_get(f, "x", &n));
    EQ(n.state, FLEET_UNREACHABLE);
    CHECK(*n.reason && !n.synced);
    FAILS(ERR_DOCKER_UNAVAILABLE, fleet_refresh(f, "x", DL));
    struct docker *d;
    OK(fleet_docker(f, "x", &d));
    docker_unref(d);
    FAILS(ERR_NOT_FOUND, fleet_docker(f, "z", &d));
    /* the endpoint is corrected: it comes up, then goes into maintenance */
    struct fleet_node_conf good = {.id = "x", .name = "renamed", .docker = {.url = getenv("DOCKER_HOST")}};
    OK(fleet_node_update(f, &good));
    OK(fleet_wait_synced(f, "x", DL));
    good.maintenance = true;
    OK(fleet_node_update(f, &good));
    CHECK(fleet_node_get(f, "x", &n));
    EQ(n.state, FLEET_MAINTENANCE);
    ZEQ(n.name, "renamed");
    fleet_node_remove(f, "x");
    fleet_node_remove(f, "x");
    CHECK(!fleet_node_get(f, "x", &n));
    ZEQ(w.nodes, "connecting unreachable connecting online maintenance removed ");
    fleet_free(f);
    return NULL;
}

struct counted {
    struct docker *d;
    size_t n;
};
static err_t churn(void *arg) {
    struct counted *x = arg;
    for (int i = 0; i < 12; i++) {
        const char *id = run(x->d, arena_printf(NOW, "churn-%p-%d", (void *)fiber_self(), i), "exit 0");
        gone(x->d, id);
        x->n++;
    }
    return NULL;
}

TEST(churn_ends_clean) {
    AUTO(docker) d = engine();
    struct fleet *f = fleet_on(getenv("DOCKER_HOST"), NULL);
    OK(fleet_wait_synced(f, "n1", DL));
    struct counted x = {.d = d};
    struct fiber *w[3];
    for (int i = 0; i < 3; i++)
        w[i] = fiber_spawn("churn", NULL, churn, &x);
    for (int i = 0; i < 3; i++)
        OK(fiber_join(w[i]));
    EQ(x.n, 36);
    struct names left;
    uint64_t until = deadline_in(SECONDS(10));
    do {
        OK(fiber_sleep(50));
        left = (struct names){0};
        fleet_containers(f, &(struct fleet_filter){.name = name_of("churn")}, add_name, &left);
    } while (left.n && clock_mono_ms() < until);
    EQ(left.n, 0);
    struct fleet_stats st = fleet_stats_get(f);
    CHECK(st.inspects < st.events); /* coalesced */
    fleet_free(f);
    return NULL;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        L(follows_a_container), L(relist_changes_nothing_known), L(queries), L(nodes_come_and_go), L(churn_ends_clean),
    };
    return run_engine_tests(tests, ARRAY_LEN(tests));
}
