/* Several files: merge rules, !reset and !override, extends, include, selection. */
#include "compose_test.h"

/** Service "a" after merging two files, as JSON text of one attribute. */
static const char *merged(const char *base, const char *over, const char *attribute) {
    const struct mem_file files[] = {
        {"/repo/compose.yaml", arena_printf(T, "name: t\nservices:\n  a:\n    image: x\n%s", base)},
        {"/repo/o.yaml", arena_printf(T, "services:\n  a:\n    hostname: h\n%s", over)},
        {0},
    };
    const struct compose_source sources[] = {{.path = "compose.yaml"}, {.path = "o.yaml"}};
    struct compose_project *p;
    err_t e =
        load_files(files, (struct compose_options){.sources = sources, .n_sources = 2, .skip_consistency = true}, &p);
    return e != NULL ? e->message : json_to_canonical(T, json_get(p->services[0].canonical, attribute));
}

static void test_rules(void **state) {
    (void)state;
    static const struct {
        const char *base, *over, *attribute, *want;
    } rows[] = {
        {"    command: a b\n", "    command: [c]\n", "command", "[\"c\"]"},
        {"    command: a\n", "    command: !reset null\n", "command", "null"},
        {"    command: a\n", "    command: []\n", "command", "[]"},
        {"    environment: [A=1, B=2]\n", "    environment: {B: 3, C: }\n", "environment",
         "{\"A\":\"1\",\"B\":\"3\",\"C\":null}"},
        {"    environment: [A=1]\n", "    environment: !override [B=2]\n", "environment", "{\"B\":\"2\"}"},
        {"    environment: {A: 1, B: 2}\n", "    environment: {A: !reset null}\n", "environment", "{\"B\":\"2\"}"},
        {"    dns: 1.1.1.1\n", "    dns: [2.2.2.2, 1.1.1.1]\n", "dns", "[\"1.1.1.1\",\"2.2.2.2\"]"},
        {"    cap_add: [A, B]\n", "    cap_add: [B, C]\n", "cap_add", "[\"A\",\"B\",\"C\"]"},
        {"    tmpfs: /a\n", "    tmpfs: [/b]\n", "tmpfs", "[\"/a\",\"/b\"]"},
        {"    expose: [\"1\"]\n", "    expose: [1, 2]\n", "expose", "[\"1\",\"2\"]"},
        {"    extra_hosts: [\"a:1.1.1.1\"]\n", "    extra_hosts: {a: 2.2.2.2}\n", "extra_hosts",
         "[\"a=1.1.1.1\",\"a=2.2.2.2\"]"},
        {"    ulimits: {n: {soft: 1, hard: 2}}\n", "    ulimits: {n: 5}\n", "ulimits", "{\"n\":5}"},
        {"    ulimits: {n: 5}\n", "    ulimits: {n: {soft: 1, hard: 2}}\n", "ulimits",
         "{\"n\":{\"hard\":2,\"soft\":1}}"},
        {"    logging: {driver: a, options: {x: 1}}\n", "    logging: {options: {y: 2}}\n", "logging",
         "{\"driver\":\"a\",\"options\":{\"x\":\"1\",\"y\":\"2\"}}"},
        {"    logging: {driver: a, options: {x: 1}}\n", "    logging: {driver: b}\n", "logging", "{\"driver\":\"b\"}"},
        {"    build: .\n", "    build: {target: t}\n", "build",
         "{\"context\":\"/repo\",\"dockerfile\":\"Dockerfile\",\"target\":\"t\"}"},
        {"    healthcheck: {test: a, retries: 2}\n", "    healthcheck: {test: [CMD, b]}\n", "healthcheck",
         "{\"retries\":2,\"test\":[\"CMD\",\"b\"]}"},
        {"    devices: [\"/dev/a:/dev/x\"]\n", "    devices: [\"/dev/b:/dev/x\"]\n", "devices",
         "[{\"permissions\":\"rwm\",\"source\":\"/dev/b\",\"target\":\"/dev/x\"}]"},
        {"    secrets: [s]\n", "    secrets: [{source: t, target: /run/secrets/s}]\n", "secrets",
         "[{\"source\":\"t\",\"target\":\"/run/secrets/s\"}]"},
        {"    depends_on: [b]\n", "    depends_on: {b: {required: false}}\n", "depends_on",
         "{\"b\":{\"condition\":\"service_started\",\"required\":false}}"},
        {"    networks: [n]\n", "    networks: {n: {priority: 2}, m: }\n", "networks",
         "{\"m\":null,\"n\":{\"priority\":2}}"},
        {"    profiles: []\n", "    labels: [a=1]\n", "labels", "{\"a\":\"1\"}"},
        {"    x-any: {l: [1], m: {a: 1}}\n", "    x-any: {l: [2], m: {b: 2}}\n", "x-any",
         "{\"l\":[1,2],\"m\":{\"a\":1,\"b\":2}}"},
        {"    labels: {a: 1}\n", "    labels:\n", "labels", "{\"a\":\"1\"}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *got = merged(rows[i].base, rows[i].over, rows[i].attribute);
        if (!z_eq(got, rows[i].want))
            fail_msg("%s+%s-> %s\nwant %s", rows[i].base, rows[i].over, got, rows[i].want);
    }
    assert_non_null(strstr(merged("    ports: [\"1\"]\n", "    ports: {a: 1}\n", "ports"),
                           "o.yaml:4:12: cannot override services.a.ports"));
}

static void test_ports_are_unique(void **state) {
    (void)state;
    const char *got = merged("    ports: [\"80:80\", \"81:80\"]\n",
                             "    ports: [\"80:80/udp\", \"80:80\", \"127.0.0.1:80:80\"]\n", "ports");
    struct json *j;
    assert_null(json_parse(T, str_of(got), NULL, &j));
    assert_int_equal(json_len(j), 4);
}

static void test_documents_override(void **state) {
    (void)state;
    const struct compose_project *p = must_load(
        "name: a\nservices:\n  s: {image: one, ports: [\"80\"]}\n---\nname: b\nservices:\n  s: {image: two, ports: !reset []}\n");
    assert_string_equal(p->name, "b");
    assert_string_equal(p->services[0].image, "two");
    assert_int_equal(p->services[0].n_ports, 0);
}

static void test_extends(void **state) {
    (void)state;
    const struct mem_file files[] = {
        {"/repo/compose.yaml",
         "name: t\nservices:\n  a:\n    extends: {file: lib/base.yaml, service: b}\n    environment: {X: a}\n    ports: !override [\"1\"]\n"},
        {"/repo/lib/base.yaml",
         "services:\n  b:\n    extends: c\n    environment: {X: b, Y: b}\n    ports: [\"2\"]\n  c:\n    extends: {file: ../other.yaml, service: d}\n"
         "    build: ./ctx\n    volumes: [\"./v:/v\"]\n"},
        {"/repo/other.yaml", "services:\n  d: {image: deep, env_file: d.env}\n"},
        {"/repo/d.env", "Z=z\n"},
        {0},
    };
    struct compose_project *p;
    err_t e = load_files(files, (struct compose_options){.root = "/repo"}, &p);
    if (e != NULL)
        fail_msg("%s", e->message);
    const struct compose_service *s = &p->services[0];
    assert_int_equal(p->n_services, 1);
    assert_string_equal(s->image, "deep");
    assert_string_equal(s->build->context, "/repo/lib/ctx"); /* relative to the file it was written in */
    assert_string_equal(s->volumes[0].source, "/repo/lib/v");
    assert_int_equal(s->n_ports, 1);
    assert_int_equal(s->environment.n, 3);
    assert_string_equal(s->environment.v[0].value, "a");
    assert_string_equal(compose_service_origin(s, "image").file, "/repo/other.yaml");
    assert_string_equal(s->origin.file, "compose.yaml");
}

static void test_extends_cycle(void **state) {
    (void)state;
    struct compose_project *p;
    err_t e = load_yaml("name: t\nservices:\n  a: {extends: b}\n  b: {extends: c}\n  c: {extends: a}\n", &p);
    assert_non_null(strstr(e->message, "circular reference in extends: a -> b -> c -> a"));
    assert_string_equal(detail(e, "line"), "3");
}

static void test_include(void **state) {
    (void)state;
    const struct mem_file files[] = {
        {"/repo/compose.yaml",
         "name: t\ninclude:\n  - sub/compose.yaml\n  - {path: [two.yaml, two.o.yaml], env_file: two.env}\nservices:\n"
         "  own: {image: \"${V:-none}\"}\n  sub: {hostname: changed}\n"},
        {"/repo/sub/compose.yaml",
         "services:\n  sub: {image: \"s:${V}\", build: ., env_file: e.env}\nnetworks:\n  n: {}\n"},
        {"/repo/sub/.env", "V=from-dotenv\n"},
        {"/repo/sub/e.env", "E=1\n"},
        {"/repo/two.yaml", "services:\n  two: {image: \"${V}\"}\n"},
        {"/repo/two.o.yaml", "services:\n  two: {hostname: \"${W}\"}\n"},
        {"/repo/two.env", "V=v2\nW=w2\n"},
        {0},
    };
    struct compose_project *p;
    err_t e = load_files(files, (struct compose_options){.root = "/repo"}, &p);
    if (e != NULL)
        fail_msg("%s", e->message);
    assert_int_equal(p->n_services, 3);
    const struct compose_service *sub = compose_service_find(p, "sub"), *two = compose_service_find(p, "two");
    assert_string_equal(sub->image, "s:from-dotenv");
    assert_string_equal(sub->hostname, "changed");
    assert_string_equal(sub->build->context, "/repo/sub");
    assert_string_equal(sub->environment.v[0].value, "1");
    assert_string_equal(two->image, "v2");
    assert_string_equal(two->hostname, "w2");
    assert_string_equal(compose_service_find(p, "own")->image, "none"); /* an include's variables stay its own */
    assert_string_equal(compose_network_find(p, "n")->name, "t_n");
}

static void test_include_cycle(void **state) {
    (void)state;
    const struct mem_file files[] = {{"/repo/compose.yaml", "name: t\ninclude: [a.yaml]\n"},
                                     {"/repo/a.yaml", "include: [b.yaml]\n"},
                                     {"/repo/b.yaml", "include: [a.yaml]\n"},
                                     {0}};
    struct compose_project *p;
    err_t e = load_files(files, (struct compose_options){0}, &p);
    assert_non_null(strstr(e->message, "include cycle detected"));
}

static void test_file_budget(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, 0, MIB(1));
    buf_puts(&b, "name: t\ninclude:\n");
    for (int i = 0; i < 200; i++)
        buf_puts(&b, "  - a.yaml\n");
    buf_putc(&b, '\0');
    const struct mem_file files[] = {{"/repo/compose.yaml", b.p}, {"/repo/a.yaml", "x-a: 1\n"}, {0}};
    struct compose_project *p;
    assert_int_equal(load_files(files, (struct compose_options){0}, &p)->code, ERR_TOO_LARGE);
    buf_done(&b);
}

/** Small files that multiply each other meet one budget. */
static void test_node_budget(void **state) {
    (void)state;
    struct buf b, c;
    buf_init(&b, 0, MIB(1));
    buf_init(&c, 0, MIB(1));
    buf_puts(&b, "services:\n  base:\n    image: x\n    environment:\n");
    for (int i = 0; i < 5000; i++)
        buf_putf(&b, "      V%d: x\n", i);
    buf_putc(&b, '\0');
    buf_puts(&c, "name: t\nservices:\n");
    for (int i = 0; i < 1000; i++)
        buf_putf(&c, "  s%d: {extends: {file: b.yaml, service: base}}\n", i);
    buf_putc(&c, '\0');
    const struct mem_file files[] = {{"/repo/compose.yaml", c.p}, {"/repo/b.yaml", b.p}, {0}};
    struct compose_project *p;
    assert_int_equal(load_files(files, (struct compose_options){0}, &p)->code, ERR_YAML_LIMIT);
    buf_clear(&c);
    buf_puts(&c, "name: t\nservices:\n");
    for (int i = 0; i < 100; i++)
        buf_putf(&c, "  s%d: {image: x, ports: [\"1-60000\"]}\n", i);
    buf_putc(&c, '\0');
    const struct mem_file ports[] = {{"/repo/compose.yaml", c.p}, {0}};
    assert_int_equal(load_files(ports, (struct compose_options){0}, &p)->code, ERR_YAML_LIMIT);
    buf_done(&b);
    buf_done(&c);
}

static void test_selection(void **state) {
    (void)state;
    const struct mem_file files[] = {
        {"/repo/compose.yaml",
         "name: t\nservices:\n  web: {image: x, depends_on: [db]}\n  db: {image: x, networks: [n]}\n  dbg: {image: x, profiles: [debug]}\n"
         "  other: {image: x, volumes: [\"v:/v\"]}\nnetworks: {n: {}}\nvolumes: {v: {}}\n"},
        {0}};
    static const char *const debug[] = {"debug"}, *const web[] = {"web"}, *const nope[] = {"nope"};
    struct compose_project *p;
    assert_null(load_files(files, (struct compose_options){0}, &p));
    assert_int_equal(p->n_services, 3);
    assert_null(load_files(files, (struct compose_options){.profiles = debug, .n_profiles = 1}, &p));
    assert_int_equal(p->n_services, 4);
    assert_null(
        load_files(files, (struct compose_options){.services = web, .n_services = 1, .prune_resources = true}, &p));
    assert_int_equal(p->n_services, 2);
    assert_int_equal(p->n_volumes, 0);
    assert_non_null(compose_network_find(p, "n"));
    assert_int_equal(load_files(files, (struct compose_options){.services = nope, .n_services = 1}, &p)->code,
                     ERR_NOT_FOUND);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_rules),         TEST(test_ports_are_unique), TEST(test_documents_override), TEST(test_extends),
        TEST(test_extends_cycle), TEST(test_include),          TEST(test_include_cycle),      TEST(test_file_budget),
        TEST(test_node_budget),   TEST(test_selection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
