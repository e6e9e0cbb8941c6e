/* The typed project: every attribute the deployer reads, out of one file. */
#include "compose_test.h"

static const char big[] =
    "name: shop\n"
    "services:\n"
    "  web:\n"
    "    image: nginx:1\n"
    "    build:\n"
    "      context: ./app\n"
    "      args: {A: 1, B: null}\n"
    "      target: prod\n"
    "      labels: [l=1]\n"
    "      tags: [shop/web:1]\n"
    "      network: host\n"
    "      pull: true\n"
    "      no_cache: true\n"
    "      shm_size: 64m\n"
    "    command: run --port 80 'two words'\n"
    "    entrypoint: []\n"
    "    environment: {FOO: bar, UNSET: null, NUM: 1.50, ON: true}\n"
    "    ports:\n"
    "      - \"127.0.0.1:8080:80/udp\"\n"
    "      - \"9000-9001:90-91\"\n"
    "      - {target: 443, published: \"8443\", name: tls, app_protocol: https}\n"
    "    expose: [3000, \"4000\"]\n"
    "    volumes:\n"
    "      - ./conf:/etc/conf:ro\n"
    "      - data:/data\n"
    "      - /var/run/x:/x:rshared\n"
    "      - /anon\n"
    "      - {type: tmpfs, target: /t, tmpfs: {size: 1k, mode: 0700}}\n"
    "      - {type: bind, source: /h, target: /h, bind: {create_host_path: false}}\n"
    "    tmpfs: /run\n"
    "    networks:\n"
    "      front: {aliases: [w], ipv4_address: 10.0.0.2, mac_address: 02:00:00:00:00:01, priority: 5}\n"
    "      back:\n"
    "    depends_on:\n"
    "      db: {condition: service_healthy, restart: true}\n"
    "      job: {condition: service_completed_successfully, required: false}\n"
    "    healthcheck: {test: curl -f x, interval: 1m30s, timeout: 500ms, retries: 4, start_period: 2s, start_interval: 1s}\n"
    "    restart: unless-stopped\n"
    "    container_name: the-web\n"
    "    hostname: h\n"
    "    labels: {a: 1, b: }\n"
    "    configs: [{source: cfg, target: /c, uid: \"1\", gid: \"2\", mode: 0440}, cfg]\n"
    "    secrets: [sec, {source: sec, target: other}]\n"
    "    deploy:\n"
    "      replicas: 1\n"
    "      labels: [x=y]\n"
    "      resources: {limits: {cpus: \"0.5\", memory: 1g, pids: 9}, reservations: {memory: 64m, devices: [{capabilities: [gpu]}]}}\n"
    "      restart_policy: {condition: on-failure, delay: 5s, max_attempts: 3, window: 2m}\n"
    "    pull_policy: if_not_present\n"
    "    platform: linux/amd64\n"
    "    user: \"1000\"\n"
    "    working_dir: /w\n"
    "    stop_signal: SIGINT\n"
    "    stop_grace_period: 1m\n"
    "    extra_hosts: {b: 1.1.1.1, a: [\"::1\", 2.2.2.2]}\n"
    "    dns: 8.8.8.8\n"
    "    dns_search: [s]\n"
    "    dns_opt: [o]\n"
    "    logging: {driver: json-file, options: {max-file: 3}}\n"
    "    cap_add: [A]\n"
    "    cap_drop: [ALL]\n"
    "    privileged: true\n"
    "    read_only: \"yes\"\n"
    "    security_opt: [s]\n"
    "    devices: [\"/dev/a:/dev/b:r\", /dev/c]\n"
    "    ulimits: {nproc: 5, nofile: {soft: 1, hard: 2}}\n"
    "    sysctls: [a.b=1]\n"
    "    init: false\n"
    "    mem_limit: 1g\n"
    "    mem_reservation: 64m\n"
    "    memswap_limit: -1\n"
    "    cpus: 0.5\n"
    "    cpu_shares: 10\n"
    "    cpuset: 0-1\n"
    "    pids_limit: 9\n"
    "    shm_size: 1.5m\n"
    "    tty: true\n"
    "    stdin_open: true\n"
    "    gpus: all\n"
    "    post_start: [{command: echo hi, user: root}]\n"
    "    group_add: [5, wheel]\n"
    "  db: {image: pg, scale: 0}\n"
    "  job: {image: j, profiles: [batch]}\n"
    "networks:\n"
    "  front: {driver: bridge, internal: true, enable_ipv6: false, ipam: {driver: d, config: [{subnet: 10.0.0.0/24, gateway: 10.0.0.1, aux_addresses: {h: 10.0.0.9}}], options: {o: p}}, labels: {n: v}, driver_opts: {mtu: 9000}}\n"
    "  back: {external: true, name: real-back}\n"
    "volumes:\n"
    "  data: {driver: local, driver_opts: {o: bind, type: none, device: ./vol}, labels: [v=1]}\n"
    "configs:\n"
    "  cfg: {content: \"hello\\n\"}\n"
    "secrets:\n"
    "  sec: {file: ./s.txt}\n";

static void test_service(void **state) {
    (void)state;
    const struct compose_project *p = must_load(big);
    const struct compose_service *s = compose_service_find(p, "web");
    assert_string_equal(p->name, "shop");
    assert_int_equal(p->n_services, 2);
    assert_int_equal(p->n_disabled, 1);
    assert_null(compose_service_find(p, "job"));
    assert_string_equal(s->image, "nginx:1");
    assert_int_equal(s->command.n, 4);
    assert_string_equal(s->command.v[3], "two words");
    assert_true(s->entrypoint.set && s->entrypoint.n == 0);
    assert_false(compose_service_find(p, "db")->command.set);
    assert_int_equal(s->environment.n, 4);
    assert_string_equal(s->environment.v[1].value, "1.5");
    assert_string_equal(s->environment.v[2].value, "true");
    assert_null(s->environment.v[3].value);
    assert_string_equal(s->labels.v[1].value, "");
    assert_int_equal(s->stop_grace_period, INT64_C(60000000000));
    assert_int_equal(s->shm_size, 1536 * 1024);
    assert_int_equal(s->memswap_limit, -1);
    assert_true(s->cpus == 0.5 && s->privileged && s->read_only && s->tty && s->stdin_open);
    assert_int_equal(s->init, COMPOSE_FALSE);
    assert_int_equal(s->attach, COMPOSE_TRI_UNSET);
    assert_int_equal(s->oom_score_adj, COMPOSE_UNSET);
    assert_string_equal(s->pull_policy, "missing");
    assert_int_equal(s->extra_hosts.n, 3);
    assert_string_equal(s->extra_hosts.v[0], "a=2.2.2.2");
    assert_string_equal(s->expose.v[0], "3000");
    assert_string_equal(s->group_add.v[0], "5");
    assert_string_equal(s->log_options.v[0].value, "3");
    assert_string_equal(s->devices[0].permissions, "r");
    assert_string_equal(s->devices[1].target, "/dev/c");
    assert_int_equal(s->ulimits[0].hard, 5);
    assert_int_equal(s->ulimits[1].soft, 1);
    assert_int_equal(s->gpus[0].count, -1);
    assert_string_equal(s->post_start[0].command.v[1], "hi");
    assert_int_equal(s->scale, 1);
    assert_int_equal(compose_service_find(p, "db")->scale, 0);
}

static void test_parts(void **state) {
    (void)state;
    const struct compose_project *p = must_load(big);
    const struct compose_service *s = compose_service_find(p, "web");
    assert_int_equal(s->n_ports, 4);
    assert_string_equal(s->ports[0].host_ip, "127.0.0.1");
    assert_string_equal(s->ports[0].protocol, "udp");
    assert_int_equal(s->ports[2].target, 91);
    assert_string_equal(s->ports[2].published, "9001");
    assert_string_equal(s->ports[3].protocol, "tcp");
    assert_int_equal(s->ports[3].origin.line, 21);
    assert_int_equal(s->n_volumes, 6);
    assert_string_equal(s->volumes[0].source, "/repo/conf");
    assert_true(s->volumes[0].relative && s->volumes[0].read_only && s->volumes[0].create_host_path);
    assert_int_equal(s->volumes[1].type, COMPOSE_VOLUME);
    assert_string_equal(s->volumes[2].propagation, "rshared");
    assert_false(s->volumes[2].relative);
    assert_null(s->volumes[3].source);
    assert_int_equal(s->volumes[4].tmpfs_size, 1024);
    assert_int_equal(s->volumes[4].tmpfs_mode, 0700);
    assert_false(s->volumes[5].create_host_path);
    assert_int_equal(s->n_networks, 2);
    assert_string_equal(s->networks[0].network, "front"); /* priority before name */
    assert_string_equal(s->networks[0].mac_address, "02:00:00:00:00:01");
    assert_int_equal(s->n_depends_on, 2);
    assert_int_equal(s->depends_on[0].condition, COMPOSE_HEALTHY);
    assert_true(s->depends_on[0].restart && s->depends_on[0].required && !s->depends_on[1].required);
    assert_int_equal(s->healthcheck.timeout, 500000000);
    assert_string_equal(s->healthcheck.test.v[0], "CMD-SHELL");
    assert_string_equal(s->configs[0].target, "/c");
    assert_int_equal(s->configs[0].mode, 0440);
    assert_string_equal(s->configs[1].target, "/cfg");
    assert_string_equal(s->secrets[0].target, "/run/secrets/sec");
    assert_string_equal(s->secrets[1].target, "/run/secrets/other");
    assert_int_equal(s->deploy.limits.memory, INT64_C(1) << 30);
    assert_int_equal(s->deploy.devices[0].count, -1);
    assert_int_equal(s->deploy.restart_policy.max_attempts, 3);
    assert_string_equal(s->build->context, "/repo/app");
    assert_string_equal(s->build->dockerfile, "Dockerfile");
    assert_int_equal(s->build->args.n, 1); /* an unset one is dropped */
    assert_int_equal(s->build->shm_size, 64 << 20);
}

static void test_top_level(void **state) {
    (void)state;
    const struct compose_project *p = must_load(big);
    const struct compose_network *n = compose_network_find(p, "front");
    assert_int_equal(p->n_networks, 3); /* and the default one, of db */
    assert_string_equal(compose_network_find(p, "default")->name, "shop_default");
    assert_string_equal(n->name, "shop_front");
    assert_int_equal(n->enable_ipv6, COMPOSE_FALSE);
    assert_int_equal(n->enable_ipv4, COMPOSE_TRI_UNSET);
    assert_string_equal(n->ipam[0].aux_addresses.v[0].value, "10.0.0.9");
    assert_string_equal(n->driver_opts.v[0].value, "9000");
    assert_true(compose_network_find(p, "back")->external);
    assert_string_equal(compose_network_find(p, "back")->name, "real-back");
    assert_string_equal(compose_volume_find(p, "data")->driver_opts.v[0].value, "/repo/vol");
    assert_string_equal(compose_config_find(p, "cfg")->content, "hello\n");
    assert_string_equal(compose_secret_find(p, "sec")->file, "/repo/s.txt");
    assert_string_equal(compose_secret_find(p, "sec")->name, "shop_sec");
    assert_null(compose_volume_find(p, "nope"));
    struct buf b;
    buf_init(&b, 0, MIB(1));
    yaml_write_json(&b, p->canonical); /* what is shown loads again to the same project */
    buf_putc(&b, '\0');
    const struct mem_file files[] = {{"/repo/compose.yaml", b.p}, {0}};
    struct compose_project *again;
    assert_null(load_files(files, (struct compose_options){.skip_consistency = true},
                           &again)); /* the disabled service is gone */
    assert_true(json_eq(again->canonical, p->canonical));
    buf_done(&b);
}

static void test_origins(void **state) {
    (void)state;
    const struct mem_file files[] = {
        {"/repo/compose.yaml",
         "name: t\nservices:\n  web:\n    image: x\n    environment:\n      A: a\n    ports: [\"80\"]\n"},
        {"/repo/o.yaml", "services:\n  web:\n    environment:\n      B: b\n    image: y\n    env_file: v.env\n"},
        {"/repo/v.env", "C=c\n"},
        {0},
    };
    const struct compose_source sources[] = {{.path = "compose.yaml"}, {.path = "o.yaml"}};
    struct compose_project *p;
    assert_null(load_files(files, (struct compose_options){.sources = sources, .n_sources = 2}, &p));
    const struct compose_service *s = &p->services[0];
    static const struct {
        const char *field, *file;
        unsigned line;
    } rows[] = {
        {"", "compose.yaml", 3},
        {"image", "o.yaml", 5},
        {"environment.A", "compose.yaml", 6},
        {"environment.B", "o.yaml", 4},
        {"environment.C", "/repo/v.env", 0},
        {"ports.0.target", "compose.yaml", 7},
        {"ports", "compose.yaml", 7},
        {"nope", "compose.yaml", 3},
        {"ports.7", "compose.yaml", 7},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct compose_origin o = compose_service_origin(s, rows[i].field);
        if (!z_eq(o.file, rows[i].file) || o.line != rows[i].line)
            fail_msg("%s: %s:%u", rows[i].field, o.file, o.line);
    }
}

static void test_environment(void **state) {
    (void)state;
    const struct mem_file files[] = {
        {"/repo/compose.yaml",
         "name: t\nservices:\n  a:\n    image: x:${TAG:-1}\n    env_file:\n      - one.env\n      - {path: two.env}\n"
         "      - {path: raw.env, format: raw}\n      - {path: gone.env, required: false}\n    environment: [B=own, D, E]\n"
         "    label_file: l.env\n    labels: {k: own}\nsecrets:\n  s: {environment: TOKEN}\n"},
        {"/repo/one.env", "A=1\nB=file\nC=${A}x${B}\nSHOW=$D\n"},
        {"/repo/two.env", "A=2\nE=file\n"},
        {"/repo/raw.env", "R=$A 'q'\n"},
        {"/repo/l.env", "k=file\nm=v\n"},
        {0},
    };
    struct compose_env env;
    compose_env_init(&env, T);
    compose_env_set(&env, "D", "outer");
    compose_env_set(&env, "TOKEN", "t0ken");
    struct compose_project *p;
    err_t e = load_files(files, (struct compose_options){.env = &env, .root = "/repo"}, &p);
    if (e != NULL)
        fail_msg("%s", e->message);
    static const char *const want[][2] = {{"A", "2"},    {"B", "own"},    {"C", "1xown"},   {"D", "outer"},
                                          {"E", "file"}, {"R", "$A 'q'"}, {"SHOW", "outer"}};
    const struct compose_kvs *kv = &p->services[0].environment;
    assert_int_equal(kv->n, ARRAY_LEN(want));
    for (size_t i = 0; i < kv->n; i++) {
        assert_string_equal(kv->v[i].key, want[i][0]);
        if (!z_eq(kv->v[i].value, want[i][1]))
            fail_msg("%s is %s", kv->v[i].key, kv->v[i].value);
    }
    assert_string_equal(p->services[0].image, "x:1");
    assert_string_equal(p->services[0].labels.v[0].value, "own");
    assert_string_equal(p->services[0].labels.v[1].value, "v");
    assert_string_equal(compose_secret_find(p, "s")->content, "t0ken");
}

static void test_hash(void **state) {
    (void)state;
    static const char base[] = "name: t\nservices:\n  a:\n    image: x\n    environment: {A: 1, B: 2}\n";
    static const char *const same[] = {
        "name: t\nservices:\n  a:\n    environment: [B=2, A=1]\n    image: x\n",
        "name: t\nservices:\n  a:\n    image: x\n    environment: {A: 1, B: 2}\n    scale: 3\n    profiles: []\n    x-note: hi\n    build: .\n    pull_policy: always\n",
    };
    static const char *const other[] = {
        "name: t\nservices:\n  a:\n    image: x\n    environment: {A: 1, B: 3}\n",
        "name: t\nservices:\n  a:\n    image: x\n    environment: {A: 1, B: 2}\n    command: []\n",
        "name: t\nservices:\n  a:\n    image: x\n    environment: {A: 1, B: 2}\n    labels: {l: v}\n",
    };
    const struct compose_content c[] = {{"config:a", "11"}, {"secret:b", "22"}}, swapped[] = {c[1], c[0]},
                                 changed[] = {c[0], {"secret:b", "23"}};
    const struct compose_service *s = compose_service_find(must_load(base), "a");
    char *h = compose_service_hash(T, s, "sha256:1", c, 2);
    assert_int_equal(strlen(h), 64);
    assert_string_equal(h, compose_service_hash(T, s, "sha256:1", swapped, 2));
    assert_string_not_equal(h, compose_service_hash(T, s, "sha256:2", c, 2));
    assert_string_not_equal(h, compose_service_hash(T, s, "sha256:1", changed, 2));
    assert_string_not_equal(h, compose_service_hash(T, s, "sha256:1", c, 1));
    for (size_t i = 0; i < ARRAY_LEN(same); i++)
        assert_string_equal(h,
                            compose_service_hash(T, compose_service_find(must_load(same[i]), "a"), "sha256:1", c, 2));
    for (size_t i = 0; i < ARRAY_LEN(other); i++)
        assert_string_not_equal(
            h, compose_service_hash(T, compose_service_find(must_load(other[i]), "a"), "sha256:1", c, 2));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_service), TEST(test_parts),       TEST(test_top_level),
        TEST(test_origins), TEST(test_environment), TEST(test_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
