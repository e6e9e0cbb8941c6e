/* The checker of engine bodies: one table of bodies, each with the violations it must give. */
#include "tests/unit/base/base_test.h"
#include "core/docker/guard.h"

static struct json *parse(const char *text) {
    struct json *j = NULL;
    assert_ok(json_parse(A, str_of(text), &(struct json_limits){.trusted = true}, &j));
    return j;
}

static bool own(void *ctx, const char *ref) {
    (void)ctx;
    return z_starts(ref, "mine");
}

static const char *describe(enum guard_body kind, const char *body, const struct guard_rights *r) {
    const struct guard_violation *v;
    struct buf b;
    buf_init(&b, 0, KIB(64));
    docker_body_check(A, kind, parse(body), r, &v);
    for (; v; v = v->next)
        buf_putf(&b, "%s%s %s %s", b.n ? "; " : "", v->pointer, v->rule, v->permission ? v->permission : "-");
    char *z = str_z(A, buf_str(&b));
    buf_done(&b);
    return z;
}

#define HC(x) "{\"Image\":\"a\",\"HostConfig\":{" x "}}"
static const struct {
    const char *body, *want; /* want "": nobody needs a right */
} containers[] = {
    {"{\"Image\":\"nginx\",\"Env\":[\"A=b\"],\"Cmd\":[\"x\"],\"Labels\":{\"k\":\"v\"},\"Tty\":false,\"StopTimeout\":3}",
     ""},
    {"{\"Image\":\"nginx\",\"Cmd\":null,\"Entrypoint\":[],\"Healthcheck\":{\"Test\":[\"NONE\"]}}", ""},
    {HC("\"Memory\":1,\"NanoCpus\":5,\"RestartPolicy\":{\"Name\":\"always\",\"MaximumRetryCount\":0},\"Init\":true"),
     ""},
    {HC("\"Privileged\":false,\"CapAdd\":[\"NET_BIND_SERVICE\",\"CAP_CHOWN\",\"kill\"],\"CapDrop\":[\"ALL\"]"), ""},
    {HC("\"Privileged\":true"), "/HostConfig/Privileged privileged container:privileged"},
    {HC("\"privileged\":true"), "/HostConfig/privileged unknown-key -"},
    {HC("\"Privileged\":\"yes\""), "/HostConfig/Privileged type -"},
    {HC("\"CapAdd\":[\"CHOWN\",\"SYS_ADMIN\",\"cap_net_admin\",\"ALL\"]"),
     "/HostConfig/CapAdd/1 capability container:capabilities; /HostConfig/CapAdd/2 capability container:capabilities; "
     "/HostConfig/CapAdd/3 capability container:capabilities"},
    {HC("\"PidMode\":\"host\",\"IpcMode\":\"host\",\"NetworkMode\":\"host\",\"UTSMode\":\"host\",\"UsernsMode\":\"host\","
        "\"CgroupnsMode\":\"host\""),
     "/HostConfig/PidMode host-namespace container:host-namespaces; /HostConfig/IpcMode host-namespace "
     "container:host-namespaces; /HostConfig/NetworkMode host-namespace container:host-namespaces; /HostConfig/UTSMode "
     "host-namespace container:host-namespaces; /HostConfig/UsernsMode host-namespace container:host-namespaces; "
     "/HostConfig/CgroupnsMode host-namespace container:host-namespaces"},
    {HC("\"IpcMode\":\"shareable\",\"PidMode\":\"\",\"NetworkMode\":\"web_default\",\"CgroupnsMode\":\"private\""), ""},
    {HC("\"NetworkMode\":\"container:other\",\"PidMode\":\"container:mine-db\",\"IpcMode\":\"container:x\""),
     "/HostConfig/NetworkMode container-namespace container:foreign-namespaces; /HostConfig/IpcMode container-namespace "
     "container:foreign-namespaces"},
    {HC("\"PidMode\":\"hos t\",\"NetworkMode\":\"ns:/proc/1/ns/net\""),
     "/HostConfig/PidMode namespace-mode -; /HostConfig/NetworkMode namespace-mode -"},
    {HC("\"SecurityOpt\":[\"no-new-privileges:true\",\"seccomp=unconfined\",\"label=disable\"]"),
     "/HostConfig/SecurityOpt/1 security-option container:security-options; /HostConfig/SecurityOpt/2 security-option "
     "container:security-options"},
    {HC("\"MaskedPaths\":[],\"ReadonlyPaths\":[]"),
     "/HostConfig/MaskedPaths security-option container:security-options; /HostConfig/ReadonlyPaths security-option "
     "container:security-options"},
    {HC("\"Devices\":[{\"PathOnHost\":\"/dev/sda\"}],\"DeviceCgroupRules\":[\"a *:* rwm\"],\"DeviceRequests\":[{\"Count\":-1}]"),
     "/HostConfig/Devices/0 device container:devices; /HostConfig/DeviceCgroupRules/0 device container:devices; "
     "/HostConfig/DeviceRequests/0 device container:devices"},
    {HC("\"Sysctls\":{\"net.core.somaxconn\":\"1024\",\"kernel.core_pattern\":\"|/x\",\"net/ipv4/ip_forward\":\"1\"}"),
     "/HostConfig/Sysctls/kernel.core_pattern sysctl container:sysctls; /HostConfig/Sysctls/net~1ipv4~1ip_forward sysctl "
     "container:sysctls"},
    {HC("\"Runtime\":\"kata\",\"Annotations\":{\"a\":\"b\"},\"StorageOpt\":{\"size\":\"1G\",\"x\":\"y\"}"),
     "/HostConfig/Runtime runtime container:runtime; /HostConfig/Annotations annotations container:runtime; "
     "/HostConfig/StorageOpt/x storage-option container:runtime"},
    {HC("\"CgroupParent\":\"/system.slice\",\"OomScoreAdj\":-500,\"OomKillDisable\":true,\"CpuRealtimeRuntime\":95000"),
     "/HostConfig/CgroupParent cgroup container:cgroup; /HostConfig/OomScoreAdj cgroup container:cgroup; "
     "/HostConfig/OomKillDisable cgroup container:cgroup; /HostConfig/CpuRealtimeRuntime cgroup container:cgroup"},
    {HC("\"VolumesFrom\":[\"mine-a:ro\",\"other\"],\"Links\":[\"other:db\"]"),
     "/HostConfig/VolumesFrom/1 volumes-from container:foreign-namespaces; /HostConfig/Links/0 link "
     "container:foreign-namespaces"},
    {HC("\"LogConfig\":{\"Type\":\"json-file\",\"Config\":{\"max-size\":\"1m\"}}"), ""},
    {HC("\"LogConfig\":{\"Type\":\"syslog\",\"Config\":{\"syslog-address\":\"tcp://x\"}}"),
     "/HostConfig/LogConfig/Type log-driver container:log-driver; /HostConfig/LogConfig/Config/syslog-address log-option "
     "container:log-driver"},
    {HC("\"ExtraHosts\":[\"a:1.2.3.4\",\"h:host-gateway\"]"),
     "/HostConfig/ExtraHosts/1 host-gateway network:host-driver"},
    {HC("\"ContainerIDFile\":\"/tmp/x\",\"KernelMemory\":1"),
     "/HostConfig/ContainerIDFile unknown-key -; /HostConfig/KernelMemory unknown-key -"},
    {"{\"Image\":\"a\",\"Host\":{},\"OnBuild\":[]}", "/Host unknown-key -; /OnBuild unknown-key -"},
    {"[]", " type -"},
    /* host paths */
    {HC("\"Binds\":[\"data:/data\",\"/srv/app:/app:ro\",\"/data\",\"/opt/x/../y:/y\"]"),
     "/HostConfig/Binds/1 host-path container:host-paths; /HostConfig/Binds/3 host-path container:host-paths"},
    {HC("\"Binds\":[\"/:/host\"]"), "/HostConfig/Binds/0 system-path container:system-paths"},
    {HC("\"Binds\":[\"/etc:/e\",\"//etc/passwd:/e\",\"/srv/../etc:/e\",\"/./root/.ssh:/e\",\"/var:/v\"]"),
     "/HostConfig/Binds/0 system-path container:system-paths; /HostConfig/Binds/1 system-path container:system-paths; "
     "/HostConfig/Binds/2 system-path container:system-paths; /HostConfig/Binds/3 system-path container:system-paths; "
     "/HostConfig/Binds/4 system-path container:system-paths"},
    {HC("\"Binds\":[\"/var/run/docker.sock:/s\",\"//var//run/docker.sock:/s\",\"/run:/r\",\"/var/lib/docker/volumes/x/_data:/v\"]"),
     "/HostConfig/Binds/0 system-path container:system-paths; /HostConfig/Binds/1 system-path container:system-paths; "
     "/HostConfig/Binds/2 system-path container:system-paths; /HostConfig/Binds/3 system-path container:system-paths"},
    {HC("\"Binds\":[\"/etcetera:/e\",\"/runner:/r\",\"/homes/x:/h\",\"/var/lib/app:/a\"]"),
     "/HostConfig/Binds/0 host-path container:host-paths; /HostConfig/Binds/1 host-path container:host-paths; "
     "/HostConfig/Binds/2 host-path container:host-paths; /HostConfig/Binds/3 host-path container:host-paths"},
    {HC("\"Binds\":[\"/data/ours/apps/1/conf:/z\",\"/data/ours/apps/1/conf/link:/y\"]"),
     "/HostConfig/Binds/1 own-path -"},
    {HC("\"Binds\":[\"/data/ours/secret:/x\",\"/data:/y\",\"/data/ours/apps/1/conf:/z\"]"),
     "/HostConfig/Binds/0 own-path -; /HostConfig/Binds/1 system-path container:system-paths"},
    {HC("\"Binds\":[\"/engine/s.sock:/x\",\"/engine:/y\",\"/enginex:/z\"]"),
     "/HostConfig/Binds/0 system-path container:system-paths; /HostConfig/Binds/1 system-path container:system-paths; "
     "/HostConfig/Binds/2 host-path container:host-paths"},
    {HC("\"Binds\":[\"../x:/y\",\"~/x:/y\",\"nothing\"]"),
     "/HostConfig/Binds/0 bind-syntax -; /HostConfig/Binds/1 bind-syntax -; /HostConfig/Binds/2 bind-syntax -"},
    {HC("\"Binds\":[\"/srv/a:/a:rw,rshared\"]"), "/HostConfig/Binds/0 mount-propagation container:host-paths; "
                                                 "/HostConfig/Binds/0 host-path container:host-paths"},
    {HC("\"Binds\":[\"vol:/a:slave\"]"), "/HostConfig/Binds/0 mount-propagation container:host-paths"},
    {HC("\"Mounts\":[{\"Type\":\"bind\",\"Source\":\"/proc/1\",\"Target\":\"/x\"},{\"Type\":\"bind\",\"Source\":\"relative\","
        "\"Target\":\"/x\"},{\"Type\":\"npipe\",\"Source\":\"x\",\"Target\":\"/x\"},{\"Type\":\"tmpfs\",\"Target\":\"/t\"}]"),
     "/HostConfig/Mounts/0/Source system-path container:system-paths; /HostConfig/Mounts/1/Source path-syntax -; "
     "/HostConfig/Mounts/2/Type mount-type -"},
    {HC("\"Mounts\":[{\"Type\":\"volume\",\"Source\":\"vv\",\"Target\":\"/x\",\"VolumeOptions\":{\"DriverConfig\":{\"Name\":\"local\","
        "\"Options\":{\"type\":\"none\",\"o\":\"bind\",\"device\":\"/etc\"}},\"Subpath\":\"../..\"}}]"),
     "/HostConfig/Mounts/0/VolumeOptions/Subpath path-syntax -; "
     "/HostConfig/Mounts/0/VolumeOptions/DriverConfig/Options/device system-path container:system-paths"},
    {HC("\"Mounts\":[{\"Type\":\"bind\",\"Source\":\"/srv/x\",\"Target\":\"/x\",\"BindOptions\":{\"Propagation\":\"shared\"},"
        "\"ClusterOptions\":{}}]"),
     "/HostConfig/Mounts/0/BindOptions/Propagation mount-propagation container:host-paths; "
     "/HostConfig/Mounts/0/ClusterOptions unknown-key -; /HostConfig/Mounts/0/Source host-path container:host-paths"},
    {HC("\"VolumeDriver\":\"rclone\""), "/HostConfig/VolumeDriver volume-driver volume:driver-options"},
    {"{\"Image\":\"a\",\"NetworkingConfig\":{\"EndpointsConfig\":{\"n\":{\"Aliases\":[\"x\"],\"IPAMConfig\":{\"IPv4Address\":\"1.2.3.4\"},"
     "\"DriverOpts\":{\"com.docker.network.endpoint.sysctls\":\"net.x=1\"}},\"m\":null}}}",
     "/NetworkingConfig/EndpointsConfig/n/DriverOpts/com.docker.network.endpoint.sysctls sysctl container:sysctls"},
};

static const char *const forbid[] = {"/data/ours"};
static const char *const engine[] = {"/engine/s.sock"};
static const char *const allow[] = {"/data/ours/apps/1/conf"};

static void container_table(void **state) {
    (void)state;
    struct guard_rights r = {.own_container = own,
                             .forbid_paths = forbid,
                             .nforbid_paths = 1,
                             .allow_paths = allow,
                             .nallow_paths = 1,
                             .system_paths = engine,
                             .nsystem_paths = 1};
    for (size_t i = 0; i < ARRAY_LEN(containers); i++)
        assert_string_equal(describe(GUARD_CONTAINER, containers[i].body, &r), containers[i].want);
}

/* With every right only what no right allows is left; with the one right a violation names, that violation goes. */
static void rights_table(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(containers); i++) {
        const struct guard_violation *v;
        struct json *body = parse(containers[i].body);
        docker_body_check(A, GUARD_CONTAINER, body, &GUARD_EVERYTHING, &v);
        for (; v; v = v->next)
            assert_null(v->permission);
        docker_body_check(A, GUARD_CONTAINER, body, &GUARD_NOBODY, &v);
        for (; v; v = v->next) {
            if (!v->permission)
                continue;
            int right = guard_right_of(v->permission);
            assert_true(right >= 0);
            struct guard_rights one = {.allow = GUARD_BIT(right)};
            const struct guard_violation *left;
            for (docker_body_check(A, GUARD_CONTAINER, body, &one, &left); left; left = left->next)
                assert_false(z_eq(left->pointer, v->pointer) && z_eq(left->rule, v->rule));
        }
    }
    assert_int_equal(guard_right_of("container:nothing"), -1);
}

static void other_bodies(void **state) {
    (void)state;
    static const struct {
        enum guard_body kind;
        const char *body, *want;
    } rows[] = {
        {GUARD_VOLUME, "{\"Name\":\"v\",\"Driver\":\"local\",\"Labels\":{}}", ""},
        {GUARD_VOLUME, "{\"Name\":\"v\",\"DriverOpts\":{\"type\":\"tmpfs\",\"device\":\"tmpfs\",\"o\":\"size=1m\"}}",
         ""},
        {GUARD_VOLUME, "{\"DriverOpts\":{\"type\":\"none\",\"o\":\"bind\",\"device\":\"/srv/ok\"}}",
         "/DriverOpts/device host-path container:host-paths"},
        {GUARD_VOLUME, "{\"DriverOpts\":{\"type\":\"none\",\"o\":\"rw,bind\",\"device\":\"/srv/../\"}}",
         "/DriverOpts/device system-path container:system-paths"},
        {GUARD_VOLUME, "{\"DriverOpts\":{\"type\":\"none\",\"o\":\"rbind\"}}", "/DriverOpts/device path-syntax -"},
        {GUARD_VOLUME, "{\"DriverOpts\":{\"type\":\"nfs\",\"o\":\"addr=1.2.3.4\",\"device\":\":/x\"}}",
         "/DriverOpts volume-options volume:driver-options"},
        {GUARD_VOLUME, "{\"DriverOpts\":{\"type\":\"overlay\",\"o\":\"bind,lowerdir=/etc\",\"device\":\"/srv/x\"}}",
         "/DriverOpts volume-options volume:driver-options"},
        {GUARD_VOLUME, "{\"DriverOpts\":{\"device\":\"/dev/sda1\",\"type\":\"ext4\"}}",
         "/DriverOpts volume-options volume:driver-options"},
        {GUARD_VOLUME, "{\"Driver\":\"vieux/sshfs\",\"ClusterVolumeSpec\":{}}",
         "/ClusterVolumeSpec unknown-key -; /Driver volume-driver volume:driver-options"},
        {GUARD_NETWORK, "{\"Name\":\"n\",\"Driver\":\"bridge\",\"IPAM\":{\"Config\":[{\"Subnet\":\"10.1.0.0/24\"}]}}",
         ""},
        {GUARD_NETWORK, "{\"Name\":\"n\",\"Driver\":\"macvlan\",\"Options\":{\"parent\":\"eth0\"}}",
         "/Driver network-driver network:host-driver; /Options/parent network-option network:host-driver"},
        {GUARD_NETWORK,
         "{\"Name\":\"n\",\"Options\":{\"com.docker.network.bridge.name\":\"docker0\"},\"ConfigOnly\":true}",
         "/Options/com.docker.network.bridge.name network-option network:host-driver; /ConfigOnly network-option "
         "network:host-driver"},
        {GUARD_EXEC, "{\"Cmd\":[\"sh\"],\"User\":\"1\",\"Privileged\":true}",
         "/Privileged privileged container:privileged"},
        {GUARD_UPDATE, "{\"Memory\":1,\"RestartPolicy\":{\"Name\":\"no\"},\"Devices\":[{}],\"Privileged\":true}",
         "/Devices/0 device container:devices; /Privileged unknown-key -"},
        {GUARD_CONNECT, "{\"Container\":\"c\",\"EndpointConfig\":{\"Links\":[\"x:y\"]}}",
         "/EndpointConfig/Links/0 link container:foreign-namespaces"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(describe(rows[i].kind, rows[i].body, &GUARD_NOBODY), rows[i].want);
}

static void error_shape(void **state) {
    (void)state;
    err_t e = guard_check(A, GUARD_CONTAINER, parse(HC("\"Privileged\":true,\"PidMode\":\"host\"")), NULL);
    assert_err(e, POLICY);
    assert_string_equal(e->field, "/HostConfig/Privileged");
    assert_non_null(
        strstr(e->message, "(privileged at /HostConfig/Privileged; needs the permission container:privileged)"));
    assert_non_null(e->details);
    assert_true(e->details->raw);
    struct json *list = parse(e->details->value);
    assert_int_equal(json_len(list), 2);
    assert_string_equal(json_get_str(json_at(list, 1), "permission"), "container:host-namespaces");
    assert_ok(guard_check(A, GUARD_CONTAINER, parse(HC("")), NULL));
}

static void many_violations_are_bounded(void **state) {
    (void)state;
    struct json *body = json_object(A);
    for (int i = 0; i < 5000; i++)
        json_set(A, body, arena_printf(A, "k%d", i), json_null(A));
    const struct guard_violation *v;
    assert_int_equal(docker_body_check(A, GUARD_CONTAINER, body, NULL, &v), 5000);
    size_t listed = 0;
    for (; v; v = v->next)
        listed++;
    assert_int_equal(listed, 256);
}

static void canonical_paths(void **state) {
    (void)state;
    static const struct {
        const char *in, *out;
    } rows[] = {{"/", "/"},        {"//", "/"},         {"/a/", "/a"},     {"/a/./b//c", "/a/b/c"},
                {"/a/../..", "/"}, {"/../etc", "/etc"}, {"/a/b/..", "/a"}, {"a", NULL},
                {"", NULL},        {"/...", "/..."}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char *got = guard_path_canonical(A, str_of(rows[i].in));
        assert_true(z_eq(got, rows[i].out));
    }
    assert_null(guard_path_canonical(A, str_n("/a\0b", 4)));
}

/* What somebody used may be used again without a right: by the same service and image repository, with the same value. */
static void uses_are_remembered_for_their_owner(void **state) {
    (void)state;
#define OF(service, image, bind)                                                                                       \
    "{\"Image\":\"" image "\",\"Labels\":{\"com.docker.compose.service\":\"" service                                   \
    "\"},\"HostConfig\":{\"Binds\":[" bind "]}}"
    struct guard_uses uses = {.a = A};
    struct guard_rights person = {.allow = GUARD_ALL, .uses = &uses};
    assert_string_equal(describe(GUARD_CONTAINER, OF("web", "shop:1", "\"/srv/a:/a\""), &person), "");
    assert_int_equal(uses.list.n, 1);
    const char *const keys[] = {uses.list.v[0].key};
    struct guard_rights again = {.grants = keys, .ngrants = 1};
    assert_string_equal(describe(GUARD_CONTAINER, OF("web", "shop:2", "\"vol:/v\",\"/srv/a:/a\""), &again), "");
    static const char *const others[] = {OF("more", "shop:1", "\"/srv/a:/a\""), OF("web", "evil:1", "\"/srv/a:/a\""),
                                         OF("web", "shop:1", "\"/srv/b:/a\""), OF("web", "shop:1", "\"/srv/a:/etc\"")};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_string_not_equal(describe(GUARD_CONTAINER, others[i], &again), "");

    /* The same through a volume that is a host path. */
    const struct json *vol =
        parse("{\"Driver\":\"local\",\"Options\":{\"type\":\"none\",\"o\":\"bind\",\"device\":\"/srv/a\"}}");
    const struct guard_violation *v;
    uses.list.n = 0;
    assert_int_equal(guard_existing_volume(A, vol, parse(OF("web", "shop:1", "\"vol:/v\"")), "/x", &person, &v), 0);
    const char *const volume_keys[] = {uses.list.v[0].key};
    again.grants = volume_keys;
    assert_int_equal(guard_existing_volume(A, vol, parse(OF("web", "shop:1", "\"vol:/v\"")), "/x", &again, &v), 0);
    assert_int_equal(guard_existing_volume(A, vol, parse(OF("more", "shop:1", "\"vol:/v\"")), "/x", &again, &v), 1);
}

static void links_count_where_they_lead(void **state) {
    (void)state;
    static const struct guard_real_path real[] = {
        {"/srv/link", "/etc"}, {"/srv/own", "/data/ours/keys"}, {"/srv/fine", "/srv/elsewhere"}};
    struct guard_rights r = {.real_paths = real, .nreal_paths = 3, .forbid_paths = forbid, .nforbid_paths = 1};
    const char *body = HC("\"Binds\":[\"/srv/link:/a\",\"/srv/own:/b\",\"/srv/fine:/c\"]");
    assert_string_equal(describe(GUARD_CONTAINER, body, &r),
                        "/HostConfig/Binds/0 system-path container:system-paths; /HostConfig/Binds/1 own-path -; "
                        "/HostConfig/Binds/2 host-path container:host-paths");
    r.allow = GUARD_BIT(GUARD_HOST_PATHS);
    assert_string_equal(describe(GUARD_CONTAINER, body, &r),
                        "/HostConfig/Binds/0 system-path container:system-paths; /HostConfig/Binds/1 own-path -");
    r.allow = GUARD_BIT(GUARD_SYSTEM_PATHS);
    assert_string_equal(describe(GUARD_CONTAINER, body, &r), "/HostConfig/Binds/1 own-path -");
    const char **paths;
    assert_int_equal(guard_body_paths(A, GUARD_CONTAINER, parse(body), &r, &paths), 3);
    assert_string_equal(paths[1], "/srv/own");
}

static void existing_volumes(void **state) {
    (void)state;
    const struct guard_violation *v;
    struct json *vol =
        parse("{\"Name\":\"v\",\"Driver\":\"local\",\"Options\":{\"type\":\"none\",\"o\":\"bind\",\"device\":\"/\"}}");
    assert_int_equal(guard_existing_volume(A, vol, NULL, "/HostConfig/Binds/0", NULL, &v), 1);
    assert_string_equal(v->pointer, "/HostConfig/Binds/0");
    assert_int_equal(guard_existing_volume(A, vol, NULL, "/x", &GUARD_EVERYTHING, &v), 0);
    assert_int_equal(guard_existing_volume(A, parse("{\"Driver\":\"local\",\"Options\":null}"), NULL, "/x", NULL, &v),
                     0);
    struct guard_volume *used;
    struct json *body = parse(
        HC("\"Binds\":[\"a:/a\",\"/srv:/b\"],\"Mounts\":[{\"Type\":\"volume\",\"Source\":\"b\",\"Target\":\"/c\"},"
           "{\"Type\":\"volume\",\"Target\":\"/d\"}]"));
    assert_int_equal(guard_body_volumes(A, body, &used), 2);
    assert_string_equal(used[0].name, "a");
    assert_string_equal(used[1].pointer, "/HostConfig/Mounts/0/Source");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        T(container_table),
        T(rights_table),
        T(other_bodies),
        T(error_shape),
        T(many_violations_are_bounded),
        T(canonical_paths),
        T(links_count_where_they_lead),
        T(uses_are_remembered_for_their_owner),
        T(existing_volumes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
