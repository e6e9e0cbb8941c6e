/* How many applications per second can be compared with what runs when nothing has to change: real rows, a real mirror, the
 * real fleet index fed by an engine that answers from memory with exactly the containers each application wants.
 *
 *   df-bench-reconcile PG_URL DATA_DIR ROUNDS
 *
 * Compares every application called bench-*, ROUNDS times, by 1 and by 8 fibers; prints one JSON line. */
#include <stdio.h>
#include <stdlib.h>
#include "core/async/loop.h"
#include "core/gitops/internal.h"
#include "core/pg/pg.h"
#include "tests/unit/docker/fake_engine.h"

enum { MAX_APPS = 5000, MAX_SERVICES = 4, FIBERS = 8 };
#define IMAGE_ID "sha256:00000000000000000000000000000000000000000000000000000000000000aa"

static struct {
    const char *url, *dir;
    int rounds;
    struct pg *db;
    struct keyring *keys;
    struct fleet *fleet;
    struct gitops *g;
    char *ids[MAX_APPS];
    size_t n, next;
    struct buf containers, networks, images;
    const char *inspect[MAX_APPS * MAX_SERVICES]; /* by number, which is also the id */
    struct fake engine;
    char *node;
} B;

/* ---- the engine ---- */

static bool serve(struct fake *f, int fd, const char *method, const char *target) {
    (void)method;
    if (strstr(target, "/info"))
        return fake_json(fd, 200, "{\"ID\":\"x\",\"ServerVersion\":\"27.1\",\"NCPU\":2,\"MemTotal\":1000}");
    if (strstr(target, "/containers/json"))
        return fake_json(fd, 200, B.containers.p);
    if (strstr(target, "/networks"))
        return fake_json(fd, 200, B.networks.p);
    if (strstr(target, "/images/json"))
        return fake_json(fd, 200, B.images.p);
    if (strstr(target, "/volumes"))
        return fake_json(fd, 200, "{\"Volumes\":null}");
    if (strstr(target, "/events")) {
        fake_chunked_head(fd);
        fake_wait(f, 1000000);
        return false;
    }
    const char *id = strstr(target, "/containers/");
    unsigned long n = id ? strtoul(id + strlen("/containers/"), NULL, 16) - 1 : ARRAY_LEN(B.inspect);
    return n < ARRAY_LEN(B.inspect) && B.inspect[n] ? fake_json(fd, 200, B.inspect[n])
                                                    : fake_json(fd, 404, "{\"message\":\"no such object\"}");
}

static void label(struct jw *w, const char *key, const char *value) { jw_kv_str(w, key, value); }

static void labels(struct arena *a, struct jw *w, const struct desired *want, const struct desired_service *s) {
    jw_key(w, "Labels");
    jw_obj(w);
    label(w, "com.docker.compose.project", want->project->name);
    label(w, "com.docker.compose.service", s->service->name);
    label(w, "com.docker.compose.container-number", "1");
    label(w, "com.docker.compose.oneoff", "False");
    label(w, LABEL_APP, want->app_id);
    label(w, LABEL_REVISION, want->revision);
    label(w, LABEL_HASH, plan_service_hash(a, s, IMAGE_ID));
    jw_obj_end(w);
}

static void networks(struct arena *a, struct jw *w, const char *project) {
    jw_key(w, "NetworkSettings");
    jw_obj(w);
    jw_key(w, "Networks");
    jw_obj(w);
    jw_key(w, arena_printf(a, "%s_default", project));
    jw_obj(w);
    jw_obj_end(w);
    jw_obj_end(w);
    jw_obj_end(w);
}

/* The same container as the list shows it and as it is looked at. */
static void add_container(struct arena *a, struct jw *w, const struct desired *want, size_t i, size_t number) {
    const struct desired_service *s = &want->services[i];
    const char *id = arena_printf(a, "%064zx", number + 1),
               *name = arena_printf(a, "/%s", plan_container_name(a, want->project, s->service, 1));
    struct buf one;
    struct jw d;
    buf_init(&one, 0, MIB(1));
    jw_init(&d, &one);
    jw_obj(w);
    jw_obj(&d);
    jw_kv_str(w, "Id", id);
    jw_kv_str(&d, "Id", id);
    jw_key(w, "Names");
    jw_arr(w);
    jw_str(w, name);
    jw_arr_end(w);
    jw_kv_str(&d, "Name", name);
    jw_kv_str(w, "Image", s->image);
    jw_kv_str(w, "ImageID", IMAGE_ID);
    jw_kv_str(&d, "Image", IMAGE_ID);
    jw_kv_int(w, "Created", 1790000000);
    jw_kv_str(&d, "Created", "2026-09-21T13:46:40Z");
    jw_kv_str(w, "State", "running");
    jw_kv_raw(&d, "State", "{\"Status\":\"running\",\"Running\":true,\"StartedAt\":\"2026-09-21T13:46:40Z\"}");
    jw_kv_str(w, "Status", "Up 3 minutes");
    labels(a, w, want, s);
    jw_key(&d, "Config");
    jw_obj(&d);
    jw_kv_str(&d, "Image", s->image);
    labels(a, &d, want, s);
    jw_obj_end(&d);
    networks(a, w, want->project->name);
    networks(a, &d, want->project->name);
    jw_obj_end(w);
    jw_obj_end(&d);
    buf_putc(&one, '\0');
    B.inspect[number] = one.p; /* for the life of the process */
}

static void add_networks(struct arena *a, struct jw *w, const struct desired *want, size_t serial) {
    for (size_t i = 0; i < want->project->n_networks; i++) {
        const struct compose_network *n = &want->project->networks[i];
        jw_obj(w);
        jw_kv_str(w, "Id", arena_printf(a, "%064zx", serial * 64 + i + 1));
        jw_kv_str(w, "Name", n->name);
        jw_kv_str(w, "Driver", "bridge");
        jw_key(w, "Labels");
        jw_obj(w);
        label(w, "com.docker.compose.project", want->project->name);
        label(w, "com.docker.compose.network", n->key);
        label(w, LABEL_HASH, compose_network_hash(a, n));
        jw_obj_end(w);
        jw_obj_end(w);
    }
}

static err_t make_world(struct arena *a) {
    struct jw c, n;
    buf_init(&B.containers, 0, MIB(64));
    buf_init(&B.networks, 0, MIB(64));
    buf_init(&B.images, 0, MIB(1));
    jw_init(&c, &B.containers);
    jw_init(&n, &B.networks);
    jw_arr(&c);
    jw_arr(&n);
    for (size_t i = 0; i < B.n; i++) {
        struct arena_mark m = arena_mark(a);
        struct app *app;
        struct desired *want;
        TRY(desired_cached(B.g, B.ids[i], &app, &want));
        for (size_t s = 0; s < want->n_services && s < MAX_SERVICES; s++)
            add_container(a, &c, want, s, i * MAX_SERVICES + s);
        add_networks(a, &n, want, i);
        arena_rewind(a, m);
    }
    jw_arr_end(&c);
    jw_arr_end(&n);
    buf_putc(&B.containers, '\0');
    buf_putc(&B.networks, '\0');
    buf_puts(&B.images, "[{\"Id\":\"" IMAGE_ID "\",\"RepoTags\":[\"busybox:local\"],\"Created\":1,\"Size\":1}]");
    buf_putc(&B.images, '\0');
    return NULL;
}

/* ---- the run ---- */

/* The world does not fit: say what would be done. */
static err_t explain(struct arena *a, const char *id) {
    struct app *app;
    struct desired *want;
    struct observed *have;
    struct plan *plan;
    TRY(desired_cached(B.g, id, &app, &want));
    TRY(observe_fleet(a, B.fleet, app->node_id, want, &have));
    TRY(plan_build(a, want, have, NULL, &plan));
    return err_new(ERR_INTERNAL, "application %s is not in sync: %s", id, json_to_text(a, plan_to_json(a, plan)));
}

static err_t compare_some(void *arg) {
    const size_t *end = arg;
    struct arena *a = arena_current();
    while (B.next < *end) {
        struct arena_mark m = arena_mark(a);
        const char *id = B.ids[B.next++ % B.n], *status;
        TRY(gitops_compare(B.g, a, id, &status));
        if (!z_eq(status, "Synced"))
            return explain(a, id);
        arena_rewind(a, m);
    }
    return NULL;
}

static err_t round_by(int fibers, size_t count, double *ret_per_s) {
    struct fiber *f[FIBERS];
    size_t end = count;
    uint64_t began = clock_mono_us();
    err_t e = NULL;
    B.next = 0;
    for (int i = 0; i < fibers; i++)
        f[i] = fiber_spawn("compare", NULL, compare_some, &end);
    for (int i = 0; i < fibers; i++) {
        err_t one = fiber_join(f[i]);
        e = e ? e : one;
    }
    *ret_per_s = (double)count * 1e6 / (double)(clock_mono_us() - began);
    return e;
}

static err_t read_ids(struct arena *a) {
    struct pg_result *r;
    TRY(pg_query(B.db, a, "SELECT id, node_id FROM applications WHERE name LIKE 'bench-%' ORDER BY name LIMIT 5000",
                 PG_NOARGS, &r));
    if (r->rows == 0)
        return err_new(ERR_NOT_FOUND, "no application is called bench-*");
    for (size_t i = 0; i < r->rows; i++)
        B.ids[B.n++] = arena_strdup(a, pg_cell(r, i, 0));
    B.node = arena_strdup(a, pg_cell(r, 0, 1));
    return NULL;
}

static err_t measure(struct arena *a) {
    double cold, one, many, start = (double)clock_mono_us();
    TRY(read_ids(a));
    TRY(make_world(a));
    cold = (double)B.n * 1e6 / ((double)clock_mono_us() - start);
    fake_start(&B.engine, serve, "1.43");
    TRY(fleet_node_add(B.fleet,
                       &(struct fleet_node_conf){.id = B.node, .name = "bench", .docker = {.url = B.engine.url}}));
    TRY(fleet_wait_synced(B.fleet, B.node, deadline_in(SECONDS(30))));
    TRY(round_by(1, B.n, &one)); /* also checks that all are in sync */
    TRY(round_by(1, B.n * (size_t)B.rounds, &one));
    TRY(round_by(FIBERS, B.n * (size_t)B.rounds, &many));
    printf("{\"applications\":%zu,\"cold_per_s\":%.0f,\"per_s_1\":%.0f,\"per_s_8\":%.0f}\n", B.n, cold, one, many);
    return NULL;
}

static err_t run(void *arg) {
    struct arena *a = arena_current();
    (void)arg;
    B.db = pg_new(&(struct pg_conf){.url = B.url});
    TRY(pg_wait_ready(B.db, deadline_in(SECONDS(10))));
    B.fleet = fleet_new(NULL);
    struct gitops_conf conf = {.data_dir = B.dir, .allow_local = true};
    B.g = gitops_new(&conf, B.db, B.keys, B.fleet, NULL);
    err_t e = measure(a);
    fleet_free(B.fleet);
    if (B.engine.listen_fd)
        fake_stop(&B.engine);
    gitops_free(B.g);
    pg_free(B.db);
    return e;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: df-bench-reconcile PG_URL DATA_DIR ROUNDS\n");
        return 64;
    }
    B.url = argv[1];
    B.dir = argv[2];
    B.rounds = (int)strtol(argv[3], NULL, 10);
    AUTO(arena) a = arena_new("main", 0);
    (void)arena_set_current(a);
    err_t e = log_setup(&(struct log_conf){.level = LOG_ERROR});
    if (e == NULL)
        e = keyring_open(B.dir, NULL, &B.keys);
    loop_init();
    if (e == NULL)
        e = loop_run_fiber("bench", run, NULL);
    if (e)
        fprintf(stderr, "df-bench-reconcile: %s\n", err_chain(a, e));
    loop_fini();
    keyring_free(B.keys);
    return e != NULL;
}
