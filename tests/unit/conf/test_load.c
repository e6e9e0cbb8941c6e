#include "conf_test.h"

static void test_defaults(void **state) {
    (void)state;
    const struct conf *c = must_load(NULL, NULL, NULL);
    assert_int_equal(c->listen.http.n, 1);
    assert_string_equal(c->listen.http.v[0], "127.0.0.1:8080");
    assert_int_equal(c->listen.https.n, 0);
    assert_string_equal(c->data.dir, "/var/lib/dockflow");
    assert_string_equal(c->database.url, "");
    assert_string_equal(c->docker.host, "unix:///var/run/docker.sock");
    assert_int_equal(c->log.level, LOG_INFO);
    assert_int_equal(c->server.max_body, 5 << 20);
    assert_int_equal(c->auth.access_token_seconds, 300);
    assert_int_equal(c->auth.refresh_idle_hours, 12);
    assert_int_equal(c->limits.ws_per_user, 10);
    assert_int_equal(c->limits.fibers, 4096);
    assert_true(c->rate_limit.enabled);
    assert_false(c->metrics.is_public || c->server.dev_mode || c->auth.registration_enabled);
    assert_string_equal(conf_defaults(A)->docker.host, c->docker.host);
}

static void test_file(void **state) {
    (void)state;
    const struct conf *c = must_load("# comment\n"
                                     "listen:\n"
                                     "  http: [\"[::1]:9000\", ':80']\n"
                                     "  https:\n"
                                     "    - 0.0.0.0:443\n"
                                     "tls: {cert: /a/b.pem, key: \"/a/k.pem\"}\n"
                                     "server:\n"
                                     "  publicUrl: https://x.example/base//\n"
                                     "  trustedProxies: 10.0.0.0/8, ::1\n"
                                     "  corsOrigins: []\n"
                                     "  maxBody: 1048576\n"
                                     "  drainSeconds: \"5\"\n"
                                     "  devMode: yes\n"
                                     "data:\n"
                                     "log:\n"
                                     "  level: warning\n"
                                     "  file:\n"
                                     "  rotateBytes: 1GiB\n"
                                     "git: ~\n",
                                     NULL, NULL);
    assert_int_equal(c->listen.http.n, 2);
    assert_string_equal(c->listen.http.v[0], "[::1]:9000");
    assert_string_equal(c->listen.https.v[0], "0.0.0.0:443");
    assert_string_equal(c->tls.key, "/a/k.pem");
    assert_string_equal(c->server.public_url, "https://x.example/base");
    assert_int_equal(c->server.trusted_proxies.n, 2);
    assert_string_equal(c->server.trusted_proxies.v[1], "::1");
    assert_int_equal(c->server.max_body, 1 << 20);
    assert_int_equal(c->server.drain_seconds, 5);
    assert_true(c->server.dev_mode);
    assert_int_equal(c->log.level, LOG_WARNING);
    assert_string_equal(c->log.file, "");
    assert_true(c->log.rotate_bytes == 1ll << 30);
    (void)must_load("", NULL, NULL);
    (void)must_load("# nothing\n", NULL, NULL);
    (void)must_load("---\n...\n", NULL, NULL);
}

static void test_mistakes_in_the_file(void **state) {
    (void)state;
    const struct {
        const char *yaml, *want;
    } t[] = {
        {"servr:\n  a: 1\n", "c.yaml:1:1: unknown key \"servr\"; did you mean \"server\"?"},
        {"server:\n  publicURLs: http://x\n",
         "c.yaml:2:3: unknown key \"server.publicURLs\"; did you mean \"server.publicUrl\"?"},
        {"server:\n  zzzzzzzzzzzzzzzzzz: 1\n", "c.yaml:2:3: unknown key \"server.zzzzzzzzzzzzzzzzzz\""},
        {"server.maxBody: 1\n", "c.yaml:1:1: unknown key"},
        {"server:\n  maxBody: 12\n", "c.yaml:2:12: server.maxBody: a size from 64KiB to 25MiB is expected"},
        {"server:\n  maxBody: 8 elephants\n", "c.yaml:2:12: server.maxBody: a size"},
        {"server:\n  maxBody: 99999999999999999999TiB\n", "a size from"},
        {"server:\n  maxBody: -1\n", "a size from"},
        {"server:\n  drainSeconds: 1.5\n",
         "c.yaml:2:17: server.drainSeconds: a whole number from 0 to 600 is expected"},
        {"server:\n  drainSeconds: 601\n", "from 0 to 600"},
        {"server:\n  devMode: maybe\n", "c.yaml:2:12: server.devMode: true or false is expected"},
        {"server:\n  devMode: [true]\n", "server.devMode: a single value is expected"},
        {"server:\n  devMode: true\n  devMode: false\n", "c.yaml:3:3: server.devMode appears twice"},
        {"server:\n  devMode: true\nserver:\n  maxBody: 1MiB\n", "c.yaml:3:1: server appears twice"},
        {"server: 5\n", "c.yaml:1:9: server: a mapping of keys is expected"},
        {"server: [a]\n", "a mapping of keys is expected"},
        {"[a]\n", "c.yaml:1:1: a mapping of sections is expected"},
        {"text\n", "a mapping of sections is expected"},
        {"[a]: 1\n", "the name of a section is expected"},
        {"server:\n  ? [a, {b: c}]\n  : 1\n", "a key is expected"},
        {"log:\n  level: LOUD\n", "c.yaml:2:10: log.level: DEBUG, INFO, WARNING, ERROR or CRITICAL is expected"},
        {"listen:\n  http: {a: b}\n", "listen.http: a list is expected"},
        {"listen:\n  http: [[a]]\n", "c.yaml:2:10: listen.http: a plain text is expected"},
        {"listen:\n  http: [localhost]\n", "listen.http: \"localhost\": host:port is expected"},
        {"listen:\n  http: ['1.2.3.4:70000']\n", "host:port is expected"},
        {"listen:\n  http: ['a/b:80']\n", "host:port is expected"},
        {"listen:\n  http: ['[zz]:80']\n", "host:port is expected"},
        {"listen:\n  http: ['']\n", "an item is empty"},
        {"listen:\n  http: []\n", "both empty"},
        {"listen:\n  https: [':443']\n", "listen.https needs tls.cert and tls.key"},
        {"tls:\n  cert: /x\n", "tls.cert and tls.key are needed together"},
        {"tls:\n  cert: x.pem\n", "an absolute path is expected"},
        {"server:\n  publicUrl: ftp://x\n", "http:// or https://"},
        {"server:\n  publicUrl: https://u@x\n", "without user"},
        {"server:\n  corsOrigins: ['*']\n", "an origin is expected"},
        {"server:\n  corsOrigins: ['https://*.x.org']\n", "an origin is expected"},
        {"server:\n  corsOrigins: ['https://x.org/']\n", "an origin is expected"},
        {"server:\n  trustedProxies: [10.0.0.0/33]\n",
         "c.yaml:2:19: server.trustedProxies: \"10.0.0.0/33\": an address or network is expected"},
        {"server:\n  trustedProxies:\n    - 10.0.0.1\n    - 10.0.0\n",
         "server.trustedProxies: \"10.0.0\": an address or network is expected"},
        {"server:\n  trustedProxies: [10.1.2.3/8]\n", "bits set after the prefix of 8"},
        {"server:\n  trustedProxies: ['fe80::1/10']\n", "bits set after the prefix of 10"},
        {"docker:\n  host: http://x\n", "unix:///path or tcp://host:port"},
        {"docker:\n  host: tcp://x\n", "unix:///path or tcp://host:port"},
        {"docker:\n  host: unix://x\n", "unix:///path or tcp://host:port"},
        {"database:\n  url: mysql://x\n", "postgresql://"},
        {"auth:\n  secretKey: short\n", "at least 32 random bytes"},
        {"auth:\n  secretKey: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n", "at least 32 random bytes"},
        {"auth:\n  bootstrapAdminPassword: x\n", "8 to 1024 bytes"},
        {"auth:\n  refreshIdleHours: 200\n", "refreshIdleHours is longer"},
        {"server: &a\n  devMode: true\n", "a mapping of keys"},
        {"server:\n  devMode: *a\n", "server.devMode: anchors, aliases and tags"},
        {"server:\n  devMode: !!bool true\n", "server.devMode: anchors, aliases and tags"},
        {"server:\n  devMode: true\n---\nlog:\n", "c.yaml:3:1: a second document"},
        {"server:\n\tdevMode: true\n", "c.yaml:2:1: "},
        {"server: {\n", "c.yaml:2:1: "},
        {"server:\n  publicUrl: \"\xff\"\n", "c.yaml:"},
        {"log:\n  file: \"/a\\0b\"\n", "UTF-8 without NUL"},
    };
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct conf_result r;
        err_t e = load(t[i].yaml, NULL, NULL, &r);
        if (e == NULL)
            fail_msg("accepted: %s", t[i].yaml);
        assert_problem(e, t[i].want);
    }
}

static void test_all_problems_are_told(void **state) {
    (void)state;
    struct conf_result r;
    err_t e = load("a:\n  x: [1, {b: c}]\nserver:\n  devMode: 7\n  b: {c: [d]}\nlog:\n  keep: 0\n",
                   ARGS("DOCKFLOW_LIMITS_FIBERS=x"), ARGS("--nope", "stray"), &r);
    assert_problem(e, "(and 6 more)");
    size_t n = 0;
    for (const struct err_detail *d = e->details; d != NULL; d = d->next) {
        assert_string_equal(d->key, "problem");
        n++;
    }
    assert_int_equal(n, 7);
    AUTO_BUF b;
    buf_init(&b, 0, KIB(64));
    for (int i = 0; i < 100; i++)
        buf_putf(&b, "bad%d: 1\n", i);
    buf_putc(&b, 0);
    assert_problem(load(b.p, NULL, NULL, &r), "(and 99 more)");
}

static void test_files_that_cannot_be_read(void **state) {
    (void)state;
    struct conf_result r;
    const char *path = path_of("missing.yaml");
    assert_problem(load(NULL, NULL, ARGS("--config", path), &r), "missing.yaml: No such file");
    assert_problem(load(NULL, ARGS(arena_printf(A, "DOCKFLOW_CONFIG=%s", path)), NULL, &r),
                   "missing.yaml: No such file");
    assert_problem(load(NULL, NULL, ARGS(arena_printf(A, "--config=%s", dir)), &r), "not a regular file");
    char *big = arena_alloc(A, 300000, 1);
    memset(big, '#', 300000);
    assert_problem(load(NULL, NULL, ARGS("--config", write_file("big", big, 300000)), &r), "file too large");
    assert_problem(load(NULL, NULL, ARGS("--config", write_file("big", "a\0b", 3)), &r), "NUL");
    assert_null(load("log: {keep: 7}", NULL, NULL, &r));
    assert_string_equal(r.path, path_of("c.yaml"));
    assert_null(load(NULL, NULL, NULL, &r));
    assert_null(r.path);
}

static void test_environment(void **state) {
    (void)state;
    const struct conf *c =
        must_load("log: {keep: 7, level: ERROR}\ndatabase: {url: 'host=/file'}\n",
                  ARGS("PATH=/bin", "DOCKFLOW_LOG_LEVEL=debug", "DOCKFLOW_SERVER_PUBLIC_URL=http://e",
                       "DATABASE_URL=postgres://db/x", "DOCKER_HOST=tcp://d:2375", "DOCKFLOW_LISTEN_HTTP= :1 , :2",
                       "DOCKFLOW_METRICS_PUBLIC=1", "DOCKFLOW_LIMITS_WS_PER_USER=11"),
                  NULL);
    assert_int_equal(c->log.keep, 7);
    assert_int_equal(c->log.level, LOG_DEBUG);
    assert_string_equal(c->server.public_url, "http://e");
    assert_string_equal(c->database.url, "postgres://db/x");
    assert_string_equal(c->docker.host, "tcp://d:2375");
    assert_int_equal(c->listen.http.n, 2);
    assert_string_equal(c->listen.http.v[1], ":2");
    assert_true(c->metrics.is_public);
    assert_int_equal(c->limits.ws_per_user, 11);
    c = must_load(NULL, ARGS("DATABASE_URL=postgres://other/x", "DOCKFLOW_DATABASE_URL=postgres://own/x"), NULL);
    assert_string_equal(c->database.url, "postgres://own/x");
    struct conf_result r;
    assert_problem(load(NULL, ARGS("DOCKFLOW_LOG_KEEP=-1"), NULL, &r),
                   "environment DOCKFLOW_LOG_KEEP: log.keep: a whole number");
    assert_problem(load(NULL, ARGS("DOCKER_HOST=nonsense"), NULL, &r),
                   "environment DOCKER_HOST: docker.host: unix:///path");
    assert_null(load(NULL, ARGS("DOCKFLOW_PORT=tcp://10.0.0.1:80", "DOCKFLOW_FAULT=x", "DOCKFLOW_CONFIG="), NULL, &r));
    assert_int_equal(r.warnings.n, 1);
    assert_string_equal(r.warnings.v[0], "environment DOCKFLOW_PORT is not a setting and is ignored");
}

static void test_secret_files(void **state) {
    (void)state;
    const char *key = "0123456789abcdef0123456789abcdef";
    const char *file = write_file("secret", arena_printf(A, "%s\n", key), 33);
    const struct conf *c = must_load(NULL, ARGS(arena_printf(A, "DOCKFLOW_AUTH_SECRET_KEY_FILE=%s", file)), NULL);
    assert_string_equal(c->auth.secret_key, key);
    struct conf_result r;
    assert_problem(load(NULL,
                        ARGS(arena_printf(A, "DOCKFLOW_AUTH_SECRET_KEY_FILE=%s", file),
                             arena_printf(A, "DOCKFLOW_AUTH_SECRET_KEY=%s", key)),
                        NULL, &r),
                   "not both");
    assert_problem(load(NULL, ARGS("DOCKFLOW_AUTH_SECRET_KEY_FILE=/no/such"), NULL, &r), "/no/such: No such file");
    file = write_file("secret", "\n", 1);
    assert_problem(load(NULL, ARGS(arena_printf(A, "DOCKFLOW_AUTH_SECRET_KEY_FILE=%s", file)), NULL, &r), "is empty");
    file = write_file("secret", "postgres://x/y\r\n", 16);
    c = must_load(NULL, ARGS(arena_printf(A, "DATABASE_URL_FILE=%s", file)), NULL);
    assert_string_equal(c->database.url, "postgres://x/y");
    /* never in a message, a warning or the dump */
    err_t e = load(NULL, ARGS("DOCKFLOW_AUTH_SECRET_KEY=tooshort-hunter2"), NULL, &r);
    assert_problem(e, "auth.secretKey");
    assert_null(strstr(e->message, "hunter2"));
    assert_null(load(arena_printf(A, "auth: {secretKey: %s}", key), NULL, NULL, &r));
    assert_int_equal(r.warnings.n, 0);
    chmod(path_of("c.yaml"), 0644);
    struct conf_input in = {.default_path = path_of("c.yaml")};
    assert_null(conf_load(A, &in, &r));
    assert_int_equal(r.warnings.n, 1);
    assert_non_null(strstr(r.warnings.v[0], "auth.secretKey is a secret"));
    AUTO_BUF b;
    buf_init(&b, 0, KIB(64));
    conf_dump_json(&b, r.conf);
    struct json *j = NULL;
    assert_null(json_parse(A, buf_str(&b), NULL, &j));
    assert_string_equal(json_get_str(j, "auth.secretKey"), "***");
    assert_string_equal(json_get_str(j, "auth.bootstrapAdminPassword"), "");
    assert_string_equal(json_get_str(j, "server.maxBody"), "5MiB");
}

static void test_flags(void **state) {
    (void)state;
    const char *file = write_file("c.yaml", "log: {keep: 7, level: ERROR}\n", 29);
    const struct conf *c =
        must_load(NULL, ARGS("DOCKFLOW_LOG_LEVEL=DEBUG"),
                  ARGS("--log.level=WARNING", "--config", file, "--server.devMode", "--log.keep", "9",
                       "--metrics.public", "true", "--listen.http=a:1,b:2", "--log.keep=10", "--git.allowLocalPaths"));
    assert_int_equal(c->log.level, LOG_WARNING);
    assert_int_equal(c->log.keep, 10);
    assert_true(c->server.dev_mode && c->metrics.is_public && c->git.allow_local_paths);
    assert_int_equal(c->listen.http.n, 2);
    const struct {
        const char *const *flags;
        const char *want;
    } bad[] = {{ARGS("--log.leve=DEBUG"), "unknown flag --log.leve; did you mean --log.level"},
               {ARGS("stray"), "unexpected argument \"stray\""},
               {ARGS("-x"), "unexpected argument \"-x\""},
               {ARGS("--"), "unexpected argument"},
               {ARGS("--log.keep"), "flag --log.keep: a value is missing"},
               {ARGS("--log.keep=x"), "flag --log.keep: log.keep: a whole number"},
               {ARGS("--check-config=1"), "unknown flag"},
               {ARGS("--auth.secretKey=0123456789abcdef0123456789abcdef"), "process list"}};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct conf_result r;
        err_t e = load(NULL, NULL, bad[i].flags, &r);
        assert_problem(e, bad[i].want);
        assert_null(strstr(e->message, "0123456789"));
    }
    struct conf_result r;
    assert_null(load(NULL, NULL, ARGS("--check-config", "--version"), &r));
    assert_true(r.check_config && r.version && !r.help && !r.print_docs);
    assert_null(load("broken: 1", NULL, ARGS("--help"), &r)); /* help is not refused for a broken file */
    assert_true(r.help);
    assert_null(load("broken: 1", NULL, ARGS("--openapi"), &r)); /* nor is the document */
    assert_true(r.openapi && !r.help);
}

static void test_local_paths_need_dev_mode(void **state) {
    (void)state;
    struct conf_result r;
    assert_null(load("git: {allowLocalPaths: true}", NULL, NULL, &r));
    assert_false(r.conf->git.allow_local_paths);
    assert_int_equal(r.warnings.n, 1);
    assert_null(load("git: {allowLocalPaths: true}\nserver: {devMode: true}", NULL, NULL, &r));
    assert_true(r.conf->git.allow_local_paths);
    assert_int_equal(r.warnings.n, 0);
}

static void test_check_files(void **state) {
    (void)state;
    const char *pem = write_file("secret", "x", 1);
    const struct conf *c = must_load(NULL, NULL, ARGS("--data.dir", dir, "--tls.cert", pem, "--tls.key", pem));
    assert_null(conf_check_files(c));
    c = must_load(NULL, NULL, ARGS("--data.dir", path_of("later")));
    assert_null(conf_check_files(c)); /* made at start */
    c = must_load(NULL, NULL, ARGS("--data.dir", pem));
    assert_problem(conf_check_files(c), "is not a directory");
    c = must_load(NULL, NULL, ARGS("--data.dir", dir, "--tls.cert", path_of("none"), "--tls.key", pem));
    assert_problem(conf_check_files(c), "tls.cert");
    c = must_load(NULL, NULL, ARGS("--data.dir", dir, "--tls.cert", dir, "--tls.key", pem));
    assert_problem(conf_check_files(c), "is not a file");
}

static void test_cidr(void **state) {
    (void)state;
    const struct {
        const char *net, *addr;
        bool in;
    } t[] = {{"10.0.0.0/8", "10.255.1.2", true},
             {"10.0.0.0/8", "11.0.0.1", false},
             {"192.168.4.0/22", "192.168.7.9", true},
             {"192.168.4.0/22", "192.168.8.0", false},
             {"1.2.3.4", "1.2.3.4", true},
             {"1.2.3.4", "1.2.3.5", false},
             {"0.0.0.0/0", "9.9.9.9", true},
             {"0.0.0.0/0", "::1", false},
             {"::/0", "9.9.9.9", true},
             {"fd00::/8", "fd12::1", true},
             {"fd00::/8", "fe00::1", false},
             {"::1", "::1", true},
             {"::ffff:10.0.0.0/104", "10.9.9.9", true},
             {"10.0.0.0/8", "::ffff:10.1.2.3", true}};
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct conf_cidr net, addr;
        assert_null(conf_parse_cidr(str_of(t[i].net), &net));
        assert_null(conf_parse_cidr(str_of(t[i].addr), &addr));
        if (conf_cidr_contains(&net, addr.addr) != t[i].in)
            fail_msg("%s in %s", t[i].addr, t[i].net);
    }
    const char *bad[] = {"",           "/8",   "10.0.0.0/", "10.0.0.0/x", "10.0.0.0/8/8", "::1/129",
                         "1.2.3.4/-1", "host", "1.2.3.4 ",  "10.0.0.1/8", "::1/64",       "01.2.3.4"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_non_null(conf_parse_cidr(str_of(bad[i]), &(struct conf_cidr){0}));
}

int main(void) {
    const struct CMUnitTest tests[] = {T(test_defaults),
                                       T(test_file),
                                       T(test_mistakes_in_the_file),
                                       T(test_all_problems_are_told),
                                       T(test_files_that_cannot_be_read),
                                       T(test_environment),
                                       T(test_secret_files),
                                       T(test_flags),
                                       T(test_local_paths_need_dev_mode),
                                       T(test_check_files),
                                       T(test_cidr)};
    return cmocka_run_group_tests_name("conf load", tests, NULL, NULL);
}
