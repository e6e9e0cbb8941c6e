/* Broken files: code, place, path and, where one is obvious, a hint. */
#include "compose_test.h"

struct row {
    const char *text;
    enum err_code code;
    const char *at;   /* "line:column" */
    const char *path; /* NULL: not checked */
    const char *says; /* part of the message */
};

#define HEAD "name: t\nservices:\n  web:\n    image: x\n" /* 4 lines */

static const struct row rows[] = {
    {"name: t\nservices:\n  web:\n    imge: x\n", ERR_SCHEMA, "4:5", "services.web.imge",
     "additional properties 'imge' not allowed"},
    {"name: t\nservcies: {}\n", ERR_SCHEMA, "2:1", "servcies", "not allowed"},
    {"name: t\nservices:\n  - web\n", ERR_SCHEMA, "3:3", "services", "services must be a mapping"},
    {"name: t\nservices:\n  web: nginx\n", ERR_SCHEMA, "3:8", "services.web", "services.web must be a mapping"},
    {"name: t\nservices:\n  web:\n", ERR_SCHEMA, NULL, "services.web", "must be a mapping"},
    {"name: t\nservices:\n  'w b':\n    image: x\n", ERR_SCHEMA, "4:5", "services", "'w b'"},
    {"name: 123\n", ERR_SCHEMA, "1:7", "name", "name must be a string"},
    {"name: Upper\nservices: {}\n", ERR_INVALID, "1:7", "name", "invalid project name \"Upper\""},
    {"services: {}\n", ERR_INVALID, NULL, NULL, "project name must not be empty"},
    {"", ERR_INVALID, NULL, NULL, "empty compose file"},
    {"5\n", ERR_INVALID, "1:1", NULL, "top-level object must be a mapping"},
    {"name: t\nservices:\n  web:\n    image: [a]\n", ERR_SCHEMA, "4:12", "services.web.image", "must be a string"},
    {HEAD "    user: 1000\n", ERR_SCHEMA, "5:11", "services.web.user", "must be a string"},
    {HEAD "    ports: 80\n", ERR_SCHEMA, "5:12", "services.web.ports", "must be a list"},
    {HEAD "    ports:\n      - 80:99999\n", ERR_INVALID, "6:9", "services.web.ports.0", "Invalid containerPort: 99999"},
    {HEAD "    ports:\n      - \"80/xyz\"\n", ERR_INVALID, "6:9", "services.web.ports.0", "Invalid proto: xyz"},
    {HEAD "    ports:\n      - \"1-3:5-6\"\n", ERR_INVALID, "6:9", "services.web.ports.0", "Invalid ranges"},
    {HEAD "    ports:\n      - {target: 80, host_ip: nope}\n", ERR_INVALID, "6:31", "services.web.ports.0",
     "invalid ip address"},
    {HEAD "    ports:\n      - {target: 80, porrt: 1}\n", ERR_SCHEMA, "6:22", "services.web.ports.0.porrt", "'porrt'"},
    {HEAD "    volumes:\n      - \"data::ro\"\n", ERR_INVALID, "6:9", "services.web.volumes.0", "empty section"},
    {HEAD "    volumes:\n      - {type: bind, target: /x}\n", ERR_INVALID, "6:9", "services.web.volumes.0",
     "Source must not be empty"},
    {HEAD "    volumes:\n      - {type: odd, target: /x}\n", ERR_SCHEMA, "6:16", "services.web.volumes.0.type",
     "must be one of"},
    {HEAD "    volumes:\n      - data:/x\n", ERR_INVALID, "6:9", "services.web.volumes", "undefined volume data"},
    {HEAD "    tmpfs: [/x]\n    volumes:\n      - ./b:/x\n", ERR_INVALID, "7:9", NULL, "already mounted"},
    {HEAD "    environment:\n      A: [1]\n", ERR_SCHEMA, "6:10", "services.web.environment.A",
     "boolean, null, number or string"},
    {HEAD "    environment: A=1\n", ERR_SCHEMA, "5:18", "services.web.environment", "must be a mapping"},
    {HEAD "    environment:\n      - A =1\n", ERR_INVALID, "6:9", "services.web.environment.0", "trailing space"},
    {HEAD "    environment:\n      A: ${X?set X}\n", ERR_INVALID, "6:10", "services.web.environment.A",
     "required variable X is missing a value: set X"},
    {HEAD "    environment:\n      A: ${X\n", ERR_INVALID, "6:10", "services.web.environment.A",
     "invalid interpolation format"},
    {HEAD "    environment:\n      1: x\n", ERR_INVALID, "6:7", "services.web.environment", "non-string key"},
    {HEAD "    networks: [back]\n", ERR_INVALID, "5:16", "services.web.networks", "undefined network back"},
    {HEAD "    network_mode: host\n    networks: [default]\n", ERR_INVALID, "5:19", "services.web.network_mode",
     "mutually exclusive"},
    {HEAD "    network_mode: service:db\n", ERR_INVALID, NULL, NULL, "\"db\" not found"},
    {HEAD "    depends_on: [db]\n", ERR_INVALID, "5:18", "services.web.depends_on", "undefined service \"db\""},
    {HEAD "    depends_on: [web]\n", ERR_INVALID, "5:18", NULL, "dependency cycle detected: web -> web"},
    {HEAD "    depends_on:\n      db: {condition: maybe}\n  db: {image: x}\n", ERR_SCHEMA, "6:23",
     "services.web.depends_on.db.condition", "must be one of"},
    {HEAD "    depends_on:\n      db: {required: true}\n  db: {image: x}\n", ERR_SCHEMA, "6:11",
     "services.web.depends_on.db", "missing property 'condition'"},
    {HEAD "    configs: [c]\n", ERR_INVALID, "5:15", "services.web.configs", "undefined config c"},
    {HEAD "    secrets: [c]\n", ERR_INVALID, "5:15", "services.web.secrets", "undefined secret c"},
    {"name: t\nservices:\n  web:\n    command: x\n", ERR_INVALID, "4:5", "services.web",
     "neither an image nor a build"},
    {HEAD "    healthcheck:\n      interval: 10\n", ERR_SCHEMA, "6:17", "services.web.healthcheck.interval",
     "must be a string"},
    {HEAD "    healthcheck:\n      interval: 10x\n", ERR_INVALID, "6:17", "services.web.healthcheck.interval",
     "invalid duration"},
    {HEAD "    healthcheck:\n      test: [curl, x]\n", ERR_INVALID, "6:13", NULL, "must start either by"},
    {HEAD "    healthcheck:\n      test: \"true\"\n      start_interval: 1s\n", ERR_INVALID, "7:23", NULL,
     "requires healthcheck.start_period"},
    {HEAD "    mem_limit: lots\n", ERR_INVALID, "5:16", "services.web.mem_limit", "invalid size"},
    {HEAD "    scale: many\n", ERR_INVALID, "5:12", "services.web.scale", "an integer is expected"},
    {HEAD "    scale: -1\n", ERR_INVALID, "5:12", "services.web.scale", "greater than or equal to 0"},
    {HEAD "    scale: 2\n    container_name: w\n", ERR_INVALID, "6:21", NULL, "container name must be unique"},
    {HEAD "    scale: 2\n    deploy: {replicas: 3}\n", ERR_INVALID, "5:12", NULL, "can't set distinct values"},
    {HEAD "    container_name: w\n  b:\n    image: x\n    container_name: w\n", ERR_INVALID, NULL, NULL,
     "already in use"},
    {HEAD "    init: maybe\n", ERR_INVALID, "5:11", "services.web.init", "a boolean is expected"},
    {HEAD "    command: \"sh -c 'x\"\n", ERR_INVALID, "5:14", "services.web.command", "a quote is not closed"},
    {HEAD "    extra_hosts: [nope]\n", ERR_INVALID, "5:19", "services.web.extra_hosts", "missing IP"},
    {HEAD "    pull_policy: sometimes\n", ERR_INVALID, "5:18", "services.web.pull_policy", "invalid pull_policy"},
    {HEAD "    secrets:\n      - {source: s, mode: \"0999\"}\n", ERR_INVALID, "6:27", "services.web.secrets.0.mode",
     "octal"},
    {HEAD "    extends: other\n", ERR_INVALID, "5:14", "services.web.extends", "service \"other\" not found"},
    {HEAD "    extends: {file: gone.yaml, service: a}\n", ERR_NOT_FOUND, "5:21", NULL, "gone.yaml"},
    {HEAD "    extends: {file: ../../x.yaml, service: a}\n", ERR_PATH_ESCAPE, "5:21", NULL, "outside"},
    {HEAD "    extends: {file: \"https://x/y.yaml\", service: a}\n", ERR_NOT_IMPLEMENTED, "5:21", NULL, "refused"},
    {"name: t\ninclude: [gone.yaml]\n", ERR_NOT_FOUND, "2:11", NULL, "gone.yaml"},
    {"name: t\ninclude: [\"git@host:x.git\"]\n", ERR_NOT_IMPLEMENTED, "2:11", NULL, "refused"},
    {"name: t\ninclude: [../other/compose.yaml]\n", ERR_PATH_ESCAPE, "2:11", NULL, "outside"},
    {HEAD "    env_file: [missing.env]\n", ERR_NOT_FOUND, "5:16", NULL, "not found"},
    {HEAD "    env_file: [../up.env]\n", ERR_PATH_ESCAPE, "5:16", NULL, "leads out of the repository"},
    {HEAD "    volumes: [\"../up:/x\"]\n", ERR_PATH_ESCAPE, "5:15", NULL, "leads out of the repository"},
    {HEAD "    volumes: [\"~/x:/x\"]\n", ERR_INVALID, "5:15", NULL, "no home directory"},
    {HEAD "configs:\n  c: {file: a, content: b}\n", ERR_INVALID, "6:6", "configs.c", "mutually exclusive"},
    {HEAD "secrets:\n  c: {}\n", ERR_INVALID, "6:6", "secrets.c", "must be set"},
    {HEAD "volumes:\n  v: {external: true, driver: x}\n", ERR_INVALID, "6:31", "volumes.v", "conflicting parameters"},
    {HEAD "networks:\n  n: bridge\n", ERR_SCHEMA, "6:6", "networks.n", "must be a mapping"},
    {HEAD "    image: y\n", ERR_DUPLICATE_KEY, "5:5", NULL, "already defined at line 4"},
};

/** Why a row is not met, or NULL. */
static const char *problem(const struct row *r, err_t e) {
    if (e == NULL)
        return "accepted";
    const char *m = e->message;
    if (e->code != r->code)
        return arena_printf(T, "code %s: %s", err_code_symbol(e->code), m);
    if (strstr(m, r->says) == NULL)
        return arena_printf(T, "says %s", m);
    if (r->at != NULL && !z_starts(m, arena_printf(T, "compose.yaml:%s: ", r->at)))
        return arena_printf(T, "place, want %s: %s", r->at, m);
    if (r->path != NULL && (!z_eq(detail(e, "path"), r->path) || !z_eq(e->field, r->path)))
        return arena_printf(T, "path %s: %s", detail(e, "path"), m);
    return NULL;
}

static void test_rows(void **state) {
    (void)state;
    size_t bad = 0;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct compose_project *p;
        const char *why = problem(&rows[i], load_yaml(rows[i].text, &p));
        if (why != NULL)
            print_message("%s\n-> %s\n", rows[i].text, why);
        bad += why != NULL;
    }
    assert_int_equal(bad, 0);
}

static void test_hints(void **state) {
    (void)state;
    struct compose_project *p;
    assert_string_equal(detail(load_yaml("name: t\nservices:\n  web:\n    imge: x\n", &p), "hint"),
                        "did you mean \"image\"?");
    assert_non_null(strstr(detail(load_yaml(HEAD "    user: 5\n", &p), "hint"), "quotes"));
    assert_non_null(strstr(detail(load_yaml("name: My App\n", &p), "hint"), "\"myapp\""));
    assert_null(detail(load_yaml("name: t\nzzzzzzzz: 1\n", &p), "hint"));
}

static void test_other_files(void **state) {
    (void)state;
    const struct mem_file files[] = {
        {"/repo/compose.yaml", "name: t\ninclude: [sub/a.yaml]\n"},
        {"/repo/sub/a.yaml", "services:\n  a:\n    image: x\n    extends:\n      file: b.yaml\n      service: b\n"},
        {"/repo/sub/b.yaml", "services:\n  b:\n    image: x\n    cpus: [1]\n"},
        {0},
    };
    struct compose_project *p;
    err_t e = load_files(files, (struct compose_options){0}, &p);
    assert_string_equal(detail(e, "file"), "/repo/sub/b.yaml"); /* the place is where the value was written */
    assert_string_equal(detail(e, "line"), "4");
}

static void test_unknown_keys_can_warn(void **state) {
    (void)state;
    const struct mem_file files[] = {{"/repo/compose.yaml", HEAD "    portz: [80]\n"}, {0}};
    struct compose_project *p;
    assert_null(load_files(files, (struct compose_options){.warn_unknown_keys = true}, &p));
    assert_int_equal(p->n_warnings, 1);
    assert_non_null(
        strstr(p->warnings[0].message,
               "compose.yaml:5:5: services.web: unknown key \"portz\" is ignored; did you mean \"ports\"?"));
    assert_int_equal(p->warnings[0].origin.line, 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {TEST(test_rows), TEST(test_hints), TEST(test_other_files),
                                       TEST(test_unknown_keys_can_warn)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
