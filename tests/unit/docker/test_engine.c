/* Every call against a real engine. */
#include "tests/unit/docker/engine_test.h"

TEST(system_calls) {
    AUTO(docker) d = engine();
    OK(docker_ping(d, DL));
    EQ(docker_state(d).reach, DOCKER_ONLINE);
    CHECK(docker_api(d) >= DOCKER_API_MIN && docker_api(d) <= DOCKER_API_MAX);
    struct docker_info *info;
    OK(docker_info(d, NOW, DL, &info));
    CHECK(info->cpus > 0 && info->memory > 0 && *info->engine_version);
    CHECK(info->clock_offset_ms > -1000 && info->clock_offset_ms < 1000);
    struct json *v;
    OK(docker_version(d, NOW, DL, &v));
    CHECK(json_get_str(v, "ApiVersion"));
    OK(docker_df(d, NOW, DL, &v));
    EQ(docker_state(d).pending, 0);
    return NULL;
}

TEST(container_life) {
    AUTO(docker) d = engine();
    struct container_spec s = shell_spec(name_of("life"), "echo out; echo err >&2; exit 7");
    static const struct spec_kv labels[] = {{"df.test", "a=b\"c"}};
    s.labels = (struct spec_kvs){labels, 1};
    struct docker_created *c;
    OK(docker_container_create(d, NOW, &s, &GUARD_NOBODY, DL, &c));
    FAILS(ERR_CONFLICT, docker_container_create(d, NOW, &s, &GUARD_NOBODY, DL, &c));
    AUTO(docker_waiter) w = NULL;
    OK(docker_container_wait_open(d, c->id, DOCKER_WAIT_NEXT_EXIT, DL, &w));
    OK(docker_container_start(d, c->id, DL));
    int code;
    OK(docker_container_wait_result(w, DL, &code));
    EQ(code, 7);
    struct docker_container_info *i;
    OK(docker_container_inspect(d, NOW, s.name, DL, &i));
    ZEQ(i->state, "exited");
    ZEQ(i->name, s.name);
    ZEQ(i->health, "none");
    EQ(i->exit_code, 7);
    ZEQ(json_get_str(i->labels, "df.test"), "a=b\"c");
    struct str logs;
    bool cut;
    OK(docker_container_logs(d, NOW, c->id, &(struct docker_logs){0}, DL, &logs, &cut));
    CHECK(!cut && (str_eq(logs, STR("out\nerr\n")) || str_eq(logs, STR("err\nout\n"))));
    OK(docker_container_logs(d, NOW, c->id, &(struct docker_logs){.no_stderr = true, .tail = 2}, DL, &logs, &cut));
    CHECK(str_eq(logs, STR("out\n")));
    OK(docker_container_stop(d, c->id, 0, NULL, DL)); /* stopped already: fine */
    OK(docker_container_rename(d, c->id, name_of("renamed"), DL));
    struct docker_container *list;
    size_t n;
    const char *label = "df.test=a=b\"c";
    OK(docker_container_list(
        d, NOW, &(struct docker_list_filter){.all = true, .labels = &label, .nlabels = 1, .name = name_of("renamed")},
        DL, &list, &n));
    EQ(n, 1);
    ZEQ(list[0].id, c->id);
    OK(docker_container_remove(d, c->id, false, true, DL));
    OK(docker_container_remove(d, c->id, true, true, DL)); /* gone: fine */
    FAILS(ERR_NOT_FOUND, docker_container_start(d, c->id, DL));
    FAILS(ERR_INVALID, docker_container_start(d, "../../info", DL));
    return NULL;
}

TEST(running_container) {
    AUTO(docker) d = engine();
    const char *id = run(d, "running", "trap 'exit 3' TERM; while :; do sleep 0.1; done");
    OK(docker_container_start(d, id, DL)); /* already: fine */
    FAILS(ERR_TIMEOUT, docker_container_wait(d, id, DOCKER_WAIT_NOT_RUNNING, deadline_in(200), &(int){0}));
    struct json *j;
    OK(docker_container_top(d, NOW, id, DL, &j));
    CHECK(json_len(json_get(j, "Processes")) >= 1);
    OK(docker_container_stats(d, NOW, id, DL, &j));
    CHECK(json_get(j, "memory_stats"));
    OK(docker_container_pause(d, id, DL));
    OK(docker_container_unpause(d, id, DL));
    struct json *body = json_object(NOW);
    json_set_int(NOW, body, "CpuShares", 512);
    OK(docker_container_update(d, NOW, id, body, &GUARD_NOBODY, DL));
    json_set_str(NOW, body, "CgroupParent", "/evil");
    FAILS(ERR_POLICY, docker_container_update(d, NOW, id, body, &GUARD_NOBODY, DL));
    OK(docker_container_restart(d, id, 5, DL));
    OK(docker_container_stop(d, id, 5, "TERM", DL));
    struct docker_container_info *i;
    OK(docker_container_inspect(d, NOW, id, DL, &i));
    EQ(i->exit_code, 3);
    OK(docker_container_start(d, id, DL));
    OK(docker_container_kill(d, id, "KILL", DL));
    gone(d, id);
    return NULL;
}

TEST(create_refusals) {
    AUTO(docker) d = engine();
    struct docker_created *c;
    struct container_spec s = shell_spec(name_of("no"), "true");
    s.privileged = true;
    err_t e = docker_container_create(d, NOW, &s, &GUARD_NOBODY, DL, &c);
    FAILS(ERR_POLICY, e);
    s.privileged = false;
    s.image = "no/such:image";
    FAILS(ERR_NOT_FOUND, docker_container_create(d, NOW, &s, &GUARD_NOBODY, DL, &c));
    /* a volume made by somebody else as a window to the host */
    static const struct spec_kv opts[] = {{"type", "none"}, {"o", "bind"}, {"device", "/etc"}};
    struct volume_spec v = {.name = name_of("window"), .driver_opts = {opts, 3}};
    struct docker_volume *vol;
    bool existed;
    FAILS(ERR_POLICY, docker_volume_create(d, NOW, &v, &GUARD_NOBODY, DL, &vol, &existed));
    OK(docker_volume_create(d, NOW, &v, &GUARD_EVERYTHING, DL, &vol, &existed));
    s = shell_spec(name_of("no"), "true");
    struct spec_mount m = {.type = SPEC_MOUNT_VOLUME, .source = v.name, .target = "/x"};
    s.mounts.v = &m;
    s.mounts.n = 1;
    FAILS(ERR_POLICY, docker_container_create(d, NOW, &s, &GUARD_NOBODY, DL, &c));
    OK(docker_container_create(d, NOW, &s, &GUARD_EVERYTHING, DL, &c));
    FAILS(ERR_CONFLICT, docker_volume_remove(d, v.name, false, DL));
    gone(d, c->id);
    OK(docker_volume_remove(d, v.name, false, DL));
    OK(docker_volume_remove(d, v.name, false, DL));
    return NULL;
}

TEST(volumes) {
    AUTO(docker) d = engine();
    static const struct spec_kv labels[] = {{"df.vol", "1"}};
    struct volume_spec v = {.name = name_of("vol"), .labels = {labels, 1}};
    struct docker_volume *vol;
    bool existed;
    OK(docker_volume_create(d, NOW, &v, &GUARD_NOBODY, DL, &vol, &existed));
    CHECK(!existed);
    OK(docker_volume_create(d, NOW, &v, &GUARD_NOBODY, DL, &vol, &existed));
    CHECK(existed);
    static const struct spec_kv opts[] = {{"type", "tmpfs"}, {"device", "tmpfs"}};
    v.driver_opts = (struct spec_kvs){opts, 2};
    FAILS(ERR_CONFLICT, docker_volume_create(d, NOW, &v, &GUARD_NOBODY, DL, &vol, &existed));
    const char *label = "df.vol";
    size_t n;
    OK(docker_volume_list(d, NOW, &label, 1, DL, &vol, &n));
    CHECK(n >= 1);
    OK(docker_volume_remove(d, v.name, false, DL));
    return NULL;
}

TEST(networks) {
    AUTO(docker) d = engine();
    struct network_spec ns = {.name = name_of("net-a"), .internal = true};
    const char *id, *id2;
    OK(docker_network_create(d, NOW, &ns, &GUARD_NOBODY, DL, &id));
    FAILS(ERR_CONFLICT, docker_network_create(d, NOW, &ns, &GUARD_NOBODY, DL, &id2));
    struct network_spec nb = {.name = name_of("net-b")};
    OK(docker_network_create(d, NOW, &nb, &GUARD_NOBODY, DL, &id2));
    static const char *const alias[] = {"web"};
    struct spec_network nets[] = {{.name = ns.name, .aliases = {alias, 1, false}},
                                  {.name = nb.name, .aliases = {alias, 1, false}}};
    struct container_spec s = shell_spec(name_of("net"), "sleep 60");
    s.network_mode = NULL;
    s.networks.v = nets;
    s.networks.n = 2;
    struct docker_created *c;
    OK(docker_container_create(d, NOW, &s, &GUARD_NOBODY, DL, &c));
    struct docker_container_info *i;
    OK(docker_container_inspect(d, NOW, c->id, DL, &i));
    EQ(json_len(i->networks), 2);
    OK(docker_container_start(d, c->id, DL));
    FAILS(ERR_CONFLICT, docker_network_remove(d, id, DL));
    OK(docker_network_disconnect(d, id2, c->id, true, DL));
    OK(docker_network_disconnect(d, id2, c->id, true, DL)); /* not attached: fine */
    OK(docker_network_connect(d, NOW, id2, c->id, &nets[1], &GUARD_NOBODY, DL));
    gone(d, c->id);
    /* a further network that cannot be connected takes the container with it */
    nets[1].name = "no-such-network";
    FAILS(ERR_NOT_FOUND, docker_container_create(d, NOW, &s, &GUARD_NOBODY, DL, &c));
    FAILS(ERR_NOT_FOUND, docker_container_inspect(d, NOW, s.name, DL, &i));
    struct docker_network *found;
    OK(docker_network_find(d, NOW, ns.name, DL, &found));
    ZEQ(found->id, id);
    CHECK(found->internal);
    OK(docker_network_remove(d, id, DL));
    OK(docker_network_remove(d, id2, DL));
    FAILS(ERR_NOT_FOUND, docker_network_find(d, NOW, ns.name, DL, &found));
    return NULL;
}

TEST(port_conflict) {
    AUTO(docker) d = engine();
    struct spec_port p = {.target = 80, .has_binding = true, .host_ip = "127.0.0.1"};
    p.host_port = arena_printf(NOW, "%d", 20000 + (int)getpid() % 20000);
    struct docker_created *a, *b;
    struct container_spec s = shell_spec(name_of("port-a"), "sleep 60");
    s.network_mode = NULL;
    s.ports.v = &p;
    s.ports.n = 1;
    OK(docker_container_create(d, NOW, &s, &GUARD_NOBODY, DL, &a));
    OK(docker_container_start(d, a->id, DL));
    s.name = name_of("port-b");
    OK(docker_container_create(d, NOW, &s, &GUARD_NOBODY, DL, &b));
    FAILS(ERR_PORT_CONFLICT, docker_container_start(d, b->id, DL));
    gone(d, a->id);
    gone(d, b->id);
    return NULL;
}

static err_t gather(void *arg, struct str bytes) { return buf_append(arg, bytes.p, bytes.n); }

TEST(archives) {
    AUTO(docker) d = engine();
    struct container_spec s = shell_spec(name_of("arc"), "cat /run/secrets/tok; sleep 60");
    struct docker_created *c;
    OK(docker_container_create(d, NOW, &s, &GUARD_NOBODY, DL, &c));
    struct tar_file f = {.entry = {.path = "run/secrets/tok", .mode = 0400, .mtime = 1700000000},
                         .data = STR("s3cret\n")};
    struct str tar;
    OK(tar_build(NOW, &f, 1, MIB(1), &tar));
    struct docker_put put = {.container = c->id, .path = "/"};
    OK(docker_archive_put(d, &put, tar, DL));
    struct docker_path_stat st;
    OK(docker_archive_stat(d, NOW, c->id, "/run/secrets/tok", DL, &st));
    EQ(st.size, 7);
    CHECK(!st.is_dir);
    OK(docker_archive_stat(d, NOW, c->id, "/run/secrets", DL, &st));
    CHECK(st.is_dir);
    AUTO_BUF got;
    buf_init(&got, 0, MIB(1));
    OK(docker_archive_get(d, c->id, "/run/secrets/tok", DL, gather, &got));
    CHECK(str_find(buf_str(&got), STR("s3cret\n")) >= 0);
    put.path = "/no/such";
    FAILS(ERR_NOT_FOUND, docker_archive_put(d, &put, tar, DL));
    struct tar_list_source src;
    struct tar_file big = {.entry = {.path = "big"}, .data = str_n(arena_zalloc(NOW, MIB(5)), MIB(5))};
    tar_list_source_init(&src, &big, 1);
    put.path = "/tmp";
    OK(docker_archive_put_stream(d, &put, tar_list_source_next, &src, DL));
    tar_list_source_done(&src);
    OK(docker_archive_stat(d, NOW, c->id, "/tmp/big", DL, &st));
    EQ(st.size, MIB(5));
    gone(d, c->id);
    s.read_only = true;
    OK(docker_container_create(d, NOW, &s, &GUARD_NOBODY, DL, &c));
    put = (struct docker_put){.container = c->id, .path = "/"};
    FAILS(ERR_CONFLICT, docker_archive_put(d, &put, tar, DL));
    gone(d, c->id);
    return NULL;
}

static void on_log(void *arg, struct str line) { buf_putf(arg, "%.*s\n", STR_ARG(line)); }

TEST(builds) {
    AUTO(docker) d = engine();
    struct tar_file files[] = {
        {.entry = {.path = "Dockerfile"},
         .data = STR("FROM " IMAGE "\nARG WHO\nCOPY big /big\nRUN echo hello $WHO\nLABEL a=b\n")},
        {.entry = {.path = "big"}, .data = str_n(arena_zalloc(NOW, MIB(3)), MIB(3))},
        {.entry = {.path = "Bad"}, .data = STR("FROM " IMAGE "\nRUN echo before; exit 42\n")},
    };
    struct tar_list_source src;
    const char *tag = arena_printf(NOW, "%s:1", name_of("built")), *id;
    static const struct spec_kv args[] = {{"WHO", "build-arg"}};
    AUTO_BUF log;
    buf_init(&log, 0, MIB(1));
    struct docker_build b = {
        .tags = &tag, .ntags = 1, .args = {args, 1}, .source = tar_list_source_next, .source_arg = &src};
    b.on_log = on_log;
    b.arg = &log;
    tar_list_source_init(&src, files, 3);
    OK(docker_image_build(d, NOW, &b, DL, &id));
    tar_list_source_done(&src);
    CHECK(z_starts(id, "sha256:"));
    CHECK(str_find(buf_str(&log), STR("hello build-arg\n")) >= 0);
    struct docker_image *img;
    OK(docker_image_inspect(d, NOW, tag, DL, &img));
    ZEQ(img->id, id);
    ZEQ(json_get_str(img->labels, "a"), "b");
    OK(docker_image_tag(d, tag, name_of("other"), "2", DL));
    struct docker_image *list;
    size_t n;
    OK(docker_image_list(d, NOW, DL, &list, &n));
    CHECK(n >= 2);
    OK(docker_image_remove(d, arena_printf(NOW, "%s:2", name_of("other")), false, DL));
    OK(docker_image_remove(d, tag, false, DL));
    FAILS(ERR_NOT_FOUND, docker_image_inspect(d, NOW, tag, DL, &img));
    buf_clear(&log);
    b.dockerfile = "Bad";
    tar_list_source_init(&src, files, 3);
    err_t e = docker_image_build(d, NOW, &b, DL, &id);
    FAILS(ERR_BUILD_FAILED, e);
    tar_list_source_done(&src);
    CHECK(str_find(buf_str(&log), STR("before")) >= 0 && str_find(str_of(e->message), STR("42")) >= 0);
    b.dockerfile = "Missing";
    tar_list_source_init(&src, files, 3);
    e = docker_image_build(d, NOW, &b, DL, &id);
    CHECK(err_is(e, ERR_BUILD_FAILED) || err_is(e, ERR_DOCKER));
    tar_list_source_done(&src);
    return NULL;
}

TEST(pulls) {
    AUTO(docker) d = engine();
    const char *digest;
    err_t e = docker_image_pull(d, NOW, &(struct docker_pull){.ref = "127.0.0.1:1/no/such:tag"}, DL, &digest);
    FAILS(ERR_REGISTRY, e);
    FAILS(ERR_INVALID, docker_image_pull(d, NOW, &(struct docker_pull){.ref = "Bad Ref"}, DL, &digest));
    FAILS(ERR_REGISTRY, docker_image_remote_digest(d, NOW, "127.0.0.1:1/no/such:tag", NULL, DL, &digest));
    return NULL;
}

struct events_seen {
    size_t n, opened;
    char actions[256];
    const char *id;
};
static err_t on_open(void *arg) {
    ((struct events_seen *)arg)->opened++;
    return NULL;
}
static err_t on_event(void *arg, const struct docker_event *ev) {
    struct events_seen *s = arg;
    if (!z_eq(ev->id, s->id))
        return NULL;
    CHECK(ev->time_ns > 0 && json_get_str(ev->attributes, "name"));
    size_t n = strlen(s->actions);
    snprintf(s->actions + n, sizeof s->actions - n, "%s ", ev->action);
    s->n++;
    return NULL;
}

TEST(events) {
    AUTO(docker) d = engine();
    int64_t begin = clock_wall_us() * 1000;
    const char *id = run(d, "ev", "exit 0");
    int code;
    OK(docker_container_wait(d, id, DOCKER_WAIT_NOT_RUNNING, DL, &code));
    gone(d, id);
    struct events_seen s = {.id = id};
    static const char *const types[] = {"container"};
    struct docker_events opt = {.since_ns = begin, .until_ns = clock_wall_us() * 1000, .types = types, .ntypes = 1};
    opt.on_open = on_open;
    opt.on_event = on_event;
    opt.arg = &s;
    OK(docker_events_run(d, &opt, DL));
    ZEQ(s.actions, "create start die destroy ");
    EQ(s.opened, 1);
    return NULL;
}

TEST(unreachable) {
    struct docker *d;
    OK(docker_new(&(struct docker_conf){.name = "n", .url = "unix:///nowhere/x.sock"}, &d));
    err_t e = docker_ping(d, DL);
    FAILS(ERR_DOCKER_UNAVAILABLE, e);
    EQ(docker_state(d).reach, DOCKER_UNREACHABLE);
    ZEQ(e->details->key, "node");
    docker_unref(d);
    OK(docker_new(&(struct docker_conf){.name = "n", .url = "tcp://127.0.0.1:1"}, &d));
    FAILS(ERR_DOCKER_UNAVAILABLE, docker_ping(d, DL));
    docker_shut(d);
    FAILS(ERR_DOCKER_UNAVAILABLE, docker_ping(d, DL));
    docker_unref(d);
    static const char *const bad[] = {"",
                                      "http://x",
                                      "tcp://10.0.0.1:2375",
                                      "tcp://docker.example.com",
                                      "unix://relative",
                                      "tcp://127.0.0.1:99999",
                                      "tcp://[::1",
                                      "tcp://a b:1",
                                      "ssh://x"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        FAILS(ERR_INVALID, docker_new(&(struct docker_conf){.url = bad[i]}, &d));
    FAILS(ERR_INVALID,
          docker_new(&(struct docker_conf){.url = "tcp://10.0.0.1:2376", .cert_pem = "x", .key_pem = "y"}, &d));
    return NULL;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        L(system_calls), L(container_life), L(running_container), L(create_refusals), L(volumes),
        L(networks),     L(port_conflict),  L(archives),          L(builds),          L(pulls),
        L(events),       L(unreachable),
    };
    return run_engine_tests(tests, ARRAY_LEN(tests));
}
