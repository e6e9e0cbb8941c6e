/* The index on an engine with ten thousand containers, a flood of events, a clock of its own, and one that falls silent. */
#include "tests/unit/docker/engine_test.h"
#include "tests/unit/docker/fake_engine.h"
#include "core/fleet/fleet.h"

#define CONTAINERS 10000

static bool info(int fd) {
    char body[256], t[TIME_RFC3339_LEN];
    snprintf(body, sizeof body,
             "{\"ID\":\"x\",\"ServerVersion\":\"27.1\",\"NCPU\":4,\"MemTotal\":1000,\"SystemTime\":\"%s\"}",
             time_rfc3339(t, clock_wall_ms() + 3600000));
    return fake_json(fd, 200, body);
}

static bool list(int fd) {
    char row[1024];
    if (!fake_chunked_head(fd) || !fake_chunk_z(fd, "["))
        return false;
    for (int i = 0; i < CONTAINERS; i++) {
        snprintf(
            row, sizeof row,
            "%s{\"Id\":\"%064x\",\"Names\":[\"/app-%05d\"],\"Image\":\"registry.example.com/team/app:%d\",\"ImageID\":\"sha256:%064x\","
            "\"Created\":1790000000,\"State\":\"%s\",\"Status\":\"Up 3 minutes (healthy)\",\"Ports\":[{\"IP\":\"0.0.0.0\","
            "\"PrivatePort\":80,\"PublicPort\":%d,\"Type\":\"tcp\"}],\"Labels\":{\"com.docker.compose.project\":\"p%d\","
            "\"com.docker.compose.service\":\"web\",\"k\":\"v\"},\"NetworkSettings\":{\"Networks\":{\"p_default\":{}}}}",
            i ? "," : "", i, (i * 7919) % CONTAINERS, i % 50, i % 50, i % 10 ? "running" : "exited", 20000 + i,
            i % 100);
        if (!fake_chunk_z(fd, row))
            return false;
    }
    return fake_chunk_z(fd, "]") && fake_text(fd, "0\r\n\r\n");
}

/* phase 1: a flood of events about 20 containers. phase 2: about 2000 containers. */
static bool events(struct fake *f, int fd) {
    char ev[400];
    fake_chunked_head(fd);
    while (!f->stop && f->phase == 0)
        usleep(5000);
    int spread = f->phase == 2 ? 2000 : 20;
    for (int i = 0; i < 10000 && !f->stop; i++) {
        snprintf(
            ev, sizeof ev,
            "{\"Type\":\"container\",\"Action\":\"health_status: healthy\",\"Actor\":{\"ID\":\"%064x\",\"Attributes\":{\"name\":\"x\"}},"
            "\"time\":1790000000,\"timeNano\":%lld}\n",
            i % spread, 1790000000000000000LL + i);
        if (!fake_chunk_z(fd, ev))
            return false;
    }
    fake_wait(f, 1000000);
    return false;
}

static bool engine_fn(struct fake *f, int fd, const char *method, const char *target) {
    (void)method;
    if (strstr(target, "/info"))
        return info(fd);
    if (strstr(target, "/containers/json"))
        return list(fd);
    if (strstr(target, "/events"))
        return events(f, fd);
    if (strstr(target, "/volumes"))
        return fake_json(fd, 200, "{\"Volumes\":null}");
    if (strstr(target, "/networks"))
        return fake_json(fd, 200, "[{\"Id\":\"n1\",\"Name\":\"bridge\",\"Driver\":\"bridge\"}]");
    if (strstr(target, "/images/json"))
        return fake_json(fd, 200, "[]");
    const char *id = strstr(target, "/containers/");
    char body[700];
    snprintf(
        body, sizeof body,
        "{\"Id\":\"%.64s\",\"Name\":\"/app-x\",\"Image\":\"sha256:1\",\"Created\":\"2026-09-21T13:46:40Z\",\"State\":{\"Status\":\"running\","
        "\"Running\":true,\"StartedAt\":\"2026-09-21T13:46:40Z\"},\"Config\":{\"Image\":\"a\",\"Labels\":{}}}",
        id ? id + strlen("/containers/") : "");
    return fake_json(fd, 200, body);
}

static bool count(void *arg, const struct fleet_container *c) {
    (void)c;
    ++*(size_t *)arg;
    return true;
}
static struct jw *writer;
static bool write_row(void *arg, const struct fleet_container *c) {
    (void)arg;
    fleet_container_json(writer, c, NULL);
    return true;
}
static void count_change(void *arg, const struct fleet_change *c) {
    (void)c;
    ++*(size_t *)arg;
}

static uint64_t best_of(struct fleet *f, const struct fleet_filter *flt, size_t want) {
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < 20; i++) {
        size_t n = 0;
        uint64_t t = clock_mono_us();
        fleet_containers(f, flt, count, &n);
        t = clock_mono_us() - t;
        best = t < best ? t : best;
        EQ(n, want);
    }
    return best;
}

TEST(ten_thousand) {
    struct fake e;
    fake_start(&e, engine_fn, "1.47");
    struct fleet *f = fleet_new(NULL);
    uint64_t t0 = clock_mono_ms();
    OK(fleet_node_add(f, &(struct fleet_node_conf){.id = "n", .name = "big", .docker = {.url = e.url}}));
    OK(fleet_wait_synced(f, "n", DL));
    uint64_t sync = clock_mono_ms() - t0;
    struct fleet_node n;
    CHECK(fleet_node_get(f, "n", &n));
    EQ(n.containers, CONTAINERS);
    EQ(n.running, CONTAINERS / 10 * 9);
    CHECK(n.clock_offset_ms > 3590000 && n.clock_offset_ms < 3610000);
    uint64_t all = best_of(f, NULL, CONTAINERS);
    uint64_t by_name = best_of(f, &(struct fleet_filter){.name = "APP-0999"}, 10);
    uint64_t by_label = best_of(f, &(struct fleet_filter){.project = "p7", .state = "running"}, 100);
    AUTO_BUF out;
    struct jw jw;
    buf_init(&out, 0, MIB(64));
    jw_init(&jw, &out);
    writer = &jw;
    uint64_t t = clock_mono_us();
    jw_arr(&jw);
    fleet_containers(f, &(struct fleet_filter){.after_name = "app-05000", .limit = 200}, write_row, NULL);
    jw_arr_end(&jw);
    uint64_t page = clock_mono_us() - t;
    struct json *j;
    OK(json_parse(NOW, buf_str(&out), NULL, &j));
    EQ(json_len(j), 200);
    ZEQ(json_get_str(json_at(j, 0), "name"), "app-05001");
    (void)printf("sync %llu ms; us: all %llu, name %llu, project %llu, page of 200 %llu\n", (unsigned long long)sync,
                 (unsigned long long)all, (unsigned long long)by_name, (unsigned long long)by_label,
                 (unsigned long long)page);
    CHECK(all < 50000 && by_name < 50000 && by_label < 50000); /* generous: sanitizers, busy machines; aim is 5 ms */
    /* 10000 events about 20 containers cost a handful of inspects; about 2000 they become a relist */
    size_t changes = 0;
    fleet_subscribe(f, count_change, &changes);
    struct fleet_stats before = fleet_stats_get(f);
    e.phase = 1;
    uint64_t until = deadline_in(SECONDS(20));
    while (fleet_stats_get(f).events < before.events + 10000 && clock_mono_ms() < until)
        OK(fiber_sleep(20));
    OK(fiber_sleep(500));
    struct fleet_stats after = fleet_stats_get(f);
    EQ(after.events - before.events, 10000);
    CHECK(after.coalesced - before.coalesced > 8000);
    fleet_free(f);
    fake_stop(&e);
    return NULL;
}

TEST(flood_of_many) {
    struct fake e;
    fake_start(&e, engine_fn, "1.47");
    struct fleet *f = fleet_new(NULL);
    OK(fleet_node_add(f, &(struct fleet_node_conf){.id = "n", .name = "big", .docker = {.url = e.url}}));
    OK(fleet_wait_synced(f, "n", DL));
    uint64_t relists = fleet_stats_get(f).relists;
    e.phase = 2;
    uint64_t until = deadline_in(SECONDS(20));
    while (fleet_stats_get(f).relists == relists && clock_mono_ms() < until)
        OK(fiber_sleep(20));
    CHECK(fleet_stats_get(f).relists > relists);
    fleet_free(f);
    fake_stop(&e);
    return NULL;
}

static void on_node(void *arg, const struct fleet_change *c) {
    if (c->kind == FLEET_NODE)
        buf_putf(arg, "%s ", c->action);
}

/* Silent, then back; and connections cut. The index stays readable all the time. */
TEST(silence_is_noticed) {
    struct fake e;
    fake_start(&e, engine_fn, "1.47");
    struct fleet *f = fleet_new(
        &(struct fleet_conf){.ping_ms = 200, .ping_timeout_ms = 300, .backoff_min_ms = 50, .backoff_max_ms = 100});
    AUTO_BUF states;
    buf_init(&states, 0, KIB(4));
    fleet_subscribe(f, on_node, &states);
    OK(fleet_node_add(f, &(struct fleet_node_conf){.id = "n", .name = "quiet", .docker = {.url = e.url}}));
    OK(fleet_wait_synced(f, "n", DL));
    e.hang = true;
    uint64_t t0 = clock_mono_ms();
    struct fleet_node n;
    do {
        OK(fiber_sleep(10));
        CHECK(fleet_node_get(f, "n", &n));
    } while (n.state != FLEET_UNREACHABLE && clock_mono_ms() - t0 < 5000);
    CHECK(clock_mono_ms() - t0 < 200 + 2 * 300 + 500);
    CHECK(n.synced && n.containers == CONTAINERS && *n.reason);
    e.hang = false;
    OK(fiber_sleep(100));
    uint64_t until = deadline_in(SECONDS(40));
    while (n.state != FLEET_ONLINE && clock_mono_ms() < until) {
        OK(fiber_sleep(20));
        CHECK(fleet_node_get(f, "n", &n));
    }
    EQ(n.state, FLEET_ONLINE);
    uint64_t relists = fleet_stats_get(f).relists;
    for (int i = 0; i < e.connections && i < 256; i++)
        shutdown(e.fds[i], SHUT_RDWR); /* some numbers are reused by now: all of them are the fake's or closed */
    until = deadline_in(SECONDS(20));
    while (fleet_stats_get(f).relists == relists && clock_mono_ms() < until)
        OK(fiber_sleep(20));
    OK(fleet_wait_synced(f, "n", DL));
    ZEQ(str_z(NOW, buf_str(&states)), "connecting online unreachable online ");
    fleet_free(f);
    fake_stop(&e);
    return NULL;
}

int main(void) {
    const struct CMUnitTest tests[] = {L(ten_thousand), L(flood_of_many), L(silence_is_noticed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
