/* Our model to engine bodies; names and references; credentials; progress; tar; .dockerignore. */
#include "tests/unit/base/base_test.h"
#include <archive.h>
#include <archive_entry.h>
#include "core/docker/guard.h"
#include "core/docker/image.h"
#include "core/docker/progress.h"
#include "core/docker/spec.h"
#include "core/docker/tar.h"

static const char *at(const struct json *body, const char *pointer) {
    const struct json *v = json_pointer(body, pointer);
    return v ? json_to_text(A, v) : "absent";
}

static const struct spec_kv env[] = {{"A", "1"}, {"B", NULL}, {"C", ""}};
static const struct spec_port ports[] = {{.target = 80, .has_binding = true, .host_port = "8080"},
                                         {.target = 80, .has_binding = true, .host_ip = "127.0.0.1"},
                                         {.target = 53, .protocol = "udp"}};
static const struct spec_mount mounts[] = {
    {.type = SPEC_MOUNT_VOLUME, .source = "data", .target = "/data"},
    {.type = SPEC_MOUNT_BIND, .source = "/srv/a", .target = "/a", .read_only = true, .create_host_path = true},
    {.type = SPEC_MOUNT_BIND, .source = "/srv/b", .target = "/b"},
    {.type = SPEC_MOUNT_VOLUME, .target = "/anon"},
    {.type = SPEC_MOUNT_TMPFS, .target = "/t", .tmpfs_size = 1024},
    {.type = SPEC_MOUNT_VOLUME, .source = "data", .target = "/s", .subpath = "x"},
};
static const char *const aliases[] = {"web", "www"};
static const struct spec_network networks[] = {{.name = "front", .aliases = {aliases, 2, false}, .ipv4 = "10.0.0.5"},
                                               {.name = "back", .gw_priority = 5}};
static const struct spec_health health = {
    .test = {(const char *const[]){"CMD", "true"}, 2, true}, .interval_ns = 1000000000, .start_interval_ns = 5};

static void container_body(void **state) {
    (void)state;
    struct container_spec s = {.name = "web-1", .image = "nginx:1", .environment = {env, 3}, .health = &health};
    s.entrypoint.set = true;
    s.ports.v = ports;
    s.ports.n = 3;
    s.mounts.v = mounts;
    s.mounts.n = 6;
    s.networks.v = networks;
    s.networks.n = 2;
    s.restart = "on-failure";
    s.restart_max = 3;
    s.memory = MIB(64);
    s.nano_cpus = 500000000;
    s.init = SPEC_TRUE;
    s.has_stop_timeout = true;
    static const char *const sec[] = {"no-new-privileges", "systempaths=unconfined"};
    s.security_opt = (struct spec_strs){sec, 2, false};
    struct json *body, *warnings;
    assert_ok(container_spec_body(A, &s, 41, &body, &warnings));
    assert_string_equal(at(body, "/Env"), "[\"A=1\",\"B\",\"C=\"]");
    assert_string_equal(at(body, "/Entrypoint"), "[]");
    assert_string_equal(at(body, "/Cmd"), "absent");
    assert_string_equal(at(body, "/StopTimeout"), "0");
    assert_string_equal(at(body, "/ExposedPorts"), "{\"80/tcp\":{},\"53/udp\":{}}");
    assert_string_equal(
        at(body, "/HostConfig/PortBindings"),
        "{\"80/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"8080\"},{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"\"}]}");
    assert_string_equal(at(body, "/HostConfig/Binds"), "[\"data:/data:rw\",\"/srv/a:/a:ro\"]");
    assert_string_equal(
        at(body, "/HostConfig/Mounts"),
        "[{\"Type\":\"bind\",\"Source\":\"/srv/b\",\"Target\":\"/b\"},{\"Type\":\"tmpfs\",\"Target\":\"/t\","
        "\"TmpfsOptions\":{\"SizeBytes\":1024}},{\"Type\":\"volume\",\"Source\":\"data\",\"Target\":\"/s\"}]");
    assert_string_equal(at(body, "/Volumes"), "{\"/anon\":{}}");
    assert_string_equal(at(body, "/HostConfig/NetworkMode"), "\"front\"");
    assert_string_equal(
        at(body, "/NetworkingConfig"),
        "{\"EndpointsConfig\":{\"front\":{\"Aliases\":[\"web\",\"www\"],\"IPAMConfig\":{\"IPv4Address\":\"10.0.0.5\"}}}}");
    assert_string_equal(at(body, "/Healthcheck"), "{\"Test\":[\"CMD\",\"true\"],\"Interval\":1000000000}");
    assert_string_equal(at(body, "/HostConfig/RestartPolicy"), "{\"Name\":\"on-failure\",\"MaximumRetryCount\":3}");
    assert_string_equal(at(body, "/HostConfig/SecurityOpt"), "[\"no-new-privileges\"]");
    assert_string_equal(at(body, "/HostConfig/MaskedPaths"), "[]");
    assert_int_equal(json_len(warnings), 2); /* start_interval, subpath */
    const struct guard_violation *v;         /* whatever the builder writes, the guard knows */
    docker_body_check(A, GUARD_CONTAINER, body, &GUARD_EVERYTHING, &v);
    assert_null(v);
    assert_ok(container_spec_body(A, &s, 48, &body, &warnings));
    assert_int_equal(json_len(warnings), 0);
    assert_string_equal(at(body, "/Healthcheck/StartInterval"), "5");
    assert_string_equal(at(body, "/NetworkingConfig/EndpointsConfig/back"), "{\"GwPriority\":5}");
    docker_body_check(A, GUARD_CONTAINER, body, &GUARD_EVERYTHING, &v);
    assert_null(v);
}

static void bad_specs(void **state) {
    (void)state;
    struct json *body, *w;
    struct container_spec s = {.name = "web"};
    assert_err(container_spec_body(A, &s, 41, &body, &w), INVALID);
    s.image = "a";
    s.name = "bad/name";
    assert_err(container_spec_body(A, &s, 41, &body, &w), INVALID);
    s.name = NULL;
    s.restart = "sometimes";
    assert_err(container_spec_body(A, &s, 41, &body, &w), INVALID);
    s.restart = NULL;
    static const struct spec_port bad[] = {{.target = 80, .has_binding = true, .host_port = "80-70"}};
    s.ports.v = bad;
    s.ports.n = 1;
    assert_err(container_spec_body(A, &s, 41, &body, &w), INVALID);
    s.ports.n = 0;
    static const struct spec_mount relative[] = {{.type = SPEC_MOUNT_BIND, .source = "./a", .target = "/a"}};
    s.mounts.v = relative;
    s.mounts.n = 1;
    assert_err(container_spec_body(A, &s, 41, &body, &w), INVALID);
    s.mounts.n = 0;
    s.network_mode = "host";
    s.networks.v = networks;
    s.networks.n = 1;
    assert_err(container_spec_body(A, &s, 41, &body, &w), INVALID);
}

/* A colon inside a path cannot be written as "source:target": it must become a long mount. */
static void colons_in_paths(void **state) {
    (void)state;
    static const struct spec_mount m[] = {
        {.type = SPEC_MOUNT_BIND, .source = "/srv/a:b", .target = "/a", .create_host_path = true}};
    struct container_spec s = {.image = "a"};
    struct json *body, *w;
    s.mounts.v = m;
    s.mounts.n = 1;
    assert_ok(container_spec_body(A, &s, 43, &body, &w));
    assert_string_equal(at(body, "/HostConfig/Binds"), "absent");
    assert_string_equal(at(body, "/HostConfig/Mounts/0/Source"), "\"/srv/a:b\"");
}

static void image_refs(void **state) {
    (void)state;
#define D "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    static const struct {
        const char *in, *name, *tag, *digest, *host, *path;
    } good[] = {
        {"nginx", "nginx", NULL, NULL, "docker.io", "library/nginx"},
        {"nginx:1.2", "nginx", "1.2", NULL, "docker.io", "library/nginx"},
        {"a/b_c:x", "a/b_c", "x", NULL, "docker.io", "a/b_c"},
        {"localhost:5000/a", "localhost:5000/a", NULL, NULL, "localhost:5000", "a"},
        {"reg.example.com/a/b:t@" D, "reg.example.com/a/b", "t", D, "reg.example.com", "a/b"},
        {"a__b/c--d@" D, "a__b/c--d", NULL, D, "docker.io", "a__b/c--d"},
        {"[::1]:5000/a:b", "[::1]:5000/a", "b", NULL, "[::1]:5000", "a"},
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct image_ref r;
        assert_ok(image_ref_parse(A, good[i].in, &r));
        assert_true(z_eq(r.name, good[i].name) && z_eq(r.tag, good[i].tag) && z_eq(r.digest, good[i].digest));
        assert_true(z_eq(r.host, good[i].host) && z_eq(r.path, good[i].path));
    }
    static const char *const bad[] = {"",      "Nginx",       "a:",       "a:-x",        "a//b", "/a",
                                      "a/",    "a@sha256:12", "a b",      "a?x",         "../a", "a:b:c",
                                      "a___b", "-a",          "a:t/../x", "x.y:99999/a", "a\nb"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_err(docker_image_ref_check(str_of(bad[i])), INVALID);
    assert_ok(docker_image_ref_check(STR(D)));
}

static void auth_headers(void **state) {
    (void)state;
    assert_string_equal(registry_auth_header(A, NULL), "e30=");
    struct registry_auth auth = {.username = "u", .password = "p\xc3\xbf?~>>>", .server = "r.example.com"};
    char *h = registry_auth_header(A, &auth);
    assert_null(strchr(h, '+'));
    assert_null(strchr(h, '/'));
    assert_int_equal(strlen(h) % 4, 0);
    char *c =
        registry_config_header(A, &(struct registry_auth){.username = "u", .password = "p", .server = "docker.io"}, 1);
    struct str text;
    assert_true(base64_decode(A, str_of(c), &text)); /* plain alphabet here: the same */
    assert_non_null(strstr(text.p, "https://index.docker.io/v1/"));
}

static void feed(struct progress *p, const char *text, const char *want) {
    struct json *j;
    assert_ok(json_parse(A, str_of(text), NULL, &j));
    const char *got = progress_message(p, j);
    assert_true(z_eq(got, want));
}
static void on_progress(void *arg, const struct docker_progress *p) { *(struct docker_progress *)arg = *p; }

static void pull_progress(void **state) {
    (void)state;
    struct progress *p = arena_new_obj(A, struct progress);
    struct docker_progress got = {0};
    feed(p, "{\"status\":\"Pulling from library/x\",\"id\":\"latest\"}", NULL);
    feed(p, "{\"status\":\"Pulling fs layer\",\"progressDetail\":{},\"id\":\"aaaaaaaaaaaa\"}", NULL);
    feed(p, "{\"status\":\"Already exists\",\"progressDetail\":{},\"id\":\"bbbbbbbbbbbb\"}", NULL);
    feed(p, "{\"status\":\"Downloading\",\"progressDetail\":{\"current\":40,\"total\":100},\"id\":\"aaaaaaaaaaaa\"}",
         NULL);
    progress_report(p, true, on_progress, &got);
    assert_int_equal(got.done, 40);
    assert_int_equal(got.total, 100);
    assert_int_equal(got.layers, 2);
    assert_int_equal(got.layers_done, 1);
    feed(p, "{\"status\":\"Pull complete\",\"progressDetail\":{},\"id\":\"aaaaaaaaaaaa\"}", NULL);
    feed(p, "{\"status\":\"Digest: " D "\"}", NULL);
    assert_string_equal(p->digest, D);
    feed(p, "{\"errorDetail\":{\"message\":\"boom\"},\"error\":\"boom\"}", "boom");
    feed(p, "{\"error\":\"old style\"}", "old style");
    for (int i = 0; i < 2000; i++) /* more layers than anyone has: bounded */
        feed(p, arena_printf(A, "{\"status\":\"Waiting\",\"id\":\"%08d\"}", i), NULL);
    assert_int_equal(p->n, PROGRESS_MAX_LAYERS);
}

/* ---- tar: read back by another implementation ---- */

static void tar_reads_back(void **state) {
    (void)state;
    char *longer = arena_printf(A, "%0150d/%0120d", 1, 2);
    struct tar_file files[] = {
        {.entry = {.kind = TAR_DIR, .path = "run/secrets"}},
        {.entry = {.path = "run/secrets/tok", .mode = 0400, .uid = 1000, .mtime = 1700000000}, .data = STR("s3cret")},
        {.entry = {.path = longer}, .data = STR("")},
        {.entry = {.kind = TAR_SYMLINK, .path = "l", .link_target = "run/secrets/tok"}},
        {.entry = {.path = "block"}, .data = str_n(arena_zalloc(A, 1024), 1024)},
    };
    struct str tar;
    assert_ok(tar_build(A, files, ARRAY_LEN(files), MIB(1), &tar));
    struct archive *ar = archive_read_new();
    archive_read_support_format_tar(ar);
    assert_int_equal(archive_read_open_memory(ar, tar.p, tar.n), ARCHIVE_OK);
    struct archive_entry *e;
    static const char *const want[] = {"run/secrets/", "run/secrets/tok", NULL, "l", "block"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        assert_int_equal(archive_read_next_header(ar, &e), ARCHIVE_OK);
        assert_string_equal(archive_entry_pathname(e), want[i] ? want[i] : longer);
        char data[2048];
        assert_int_equal(archive_read_data(ar, data, sizeof data), files[i].data.n);
        assert_memory_equal(data, files[i].data.n ? files[i].data.p : "", files[i].data.n);
        if (i == 1) {
            assert_int_equal(archive_entry_perm(e), 0400);
            assert_int_equal(archive_entry_uid(e), 1000);
            assert_int_equal(archive_entry_mtime(e), 1700000000);
        }
    }
    assert_int_equal(archive_read_next_header(ar, &e), ARCHIVE_EOF);
    archive_read_free(ar);
    AUTO_BUF pieces; /* the streaming source gives the same bytes */
    buf_init(&pieces, 0, MIB(1));
    struct tar_list_source src;
    tar_list_source_init(&src, files, ARRAY_LEN(files));
    for (struct str piece;;) {
        assert_ok(tar_list_source_next(&src, DEADLINE_NONE, &piece));
        if (!piece.n)
            break;
        buf_put(&pieces, piece.p, piece.n);
    }
    tar_list_source_done(&src);
    assert_int_equal(pieces.n, tar.n);
    assert_memory_equal(pieces.p, tar.p, tar.n);
}

static void tar_refuses(void **state) {
    (void)state;
    AUTO(tar_writer) w = tar_writer_new(KIB(4));
    assert_err(tar_add(w, &(struct tar_entry){.path = "../x"}), PATH_ESCAPE);
    assert_err(tar_add(w, &(struct tar_entry){.path = "/x"}), PATH_ESCAPE);
    assert_err(tar_add(w, &(struct tar_entry){.path = "a/../../x"}), PATH_ESCAPE);
    assert_err(tar_add(w, &(struct tar_entry){.path = ""}), PATH_ESCAPE);
    assert_ok(tar_add(w, &(struct tar_entry){.path = "x", .size = 4}));
    assert_err(tar_add(w, &(struct tar_entry){.path = "y"}), INVALID);
    assert_err(tar_data(w, STR("12345")), INVALID);
    assert_ok(tar_data(w, STR("12")));
    assert_err(tar_finish(w), INVALID);
    assert_ok(tar_data(w, STR("34")));
    assert_ok(tar_finish(w));
}

static void dockerignore_table(void **state) {
    (void)state;
    static const struct {
        const char *rules, *path;
        bool excluded;
    } rows[] = {
        {"node_modules", "node_modules/a/b.js", true},
        {"node_modules", "src/node_modules/x", false},
        {"**/node_modules", "src/node_modules/x", true},
        {"**/node_modules", "node_modules", true},
        {"**/node_modules", "src/my_node_modules", false},
        {"*.log", "a.log", true},
        {"*.log", "d/a.log", false},
        {"**/*.log", "d/e/a.log", true},
        {"**/*.log", "a.log", true},
        {"*", "anything", true},
        {"*\n!keep", "keep", false},
        {"*\n!keep", "keep/x", false},
        {"*\n!keep/x", "keep/x", false},
        {"*\n!keep/x", "keep/y", true},
        {"# c\n\n  a  \n", "a", true},
        {"/a/b/", "a/b/c", true},
        {"a/../b", "b", true},
        {"a?c", "abc", true},
        {"a?c", "a/c", false},
        {"[a-c]x", "bx", true},
        {"[^a-c]x", "bx", false},
        {"a/**/z", "a/z", true},
        {"a/**/z", "a/b/c/z", true},
        {"a/**", "a/b/c", true},
        {"a\\*b", "a*b", true},
        {"a\\*b", "axb", false},
        {"*", "Dockerfile", false},
        {"*", ".dockerignore", false},
        {"!x\nx", "x", true},
        {"docs\n!docs/README.md\ndocs/README.md", "docs/README.md", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct dockerignore *di;
        assert_ok(dockerignore_parse(A, str_of(rows[i].rules), NULL, &di));
        if (dockerignore_excluded(di, rows[i].path) != rows[i].excluded)
            fail_msg("%s: %s", rows[i].rules, rows[i].path);
    }
    struct dockerignore *di;
    assert_ok(dockerignore_parse(A, STR("a\nb\n!b/keep\n"), "ops/Dockerfile", &di));
    assert_true(dockerignore_prune(di, "a"));
    assert_false(dockerignore_prune(di, "b"));
    assert_false(dockerignore_prune(di, "c"));
    char *evil = arena_alloc(A, 4001, 1); /* many stars on a long path end quickly */
    for (int i = 0; i < 2000; i++)
        memcpy(evil + 2 * i, "*a", 2);
    evil[4000] = 0;
    char *path = arena_alloc(A, 4001, 1);
    memset(path, 'a', 4000);
    path[4000] = 0;
    assert_ok(dockerignore_parse(A, str_of(evil), NULL, &di));
    assert_true(dockerignore_excluded(di, path));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        T(container_body), T(bad_specs),      T(colons_in_paths), T(image_refs),         T(auth_headers),
        T(pull_progress),  T(tar_reads_back), T(tar_refuses),     T(dockerignore_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
