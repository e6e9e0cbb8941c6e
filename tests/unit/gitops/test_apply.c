/* The whole walk on real parts: a commit of a real repository, a real engine; source -> observe -> plan -> apply -> observe. */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "core/async/proc.h"
#include "core/gitops/apply.h"
#include "core/gitops/observe.h"
#include "core/gitops/source.h"
#include "tests/unit/docker/engine_test.h"

static char dir[64];

static err_t sh(const char *script) {
    const char *const argv[] = {"/bin/sh", "-ec", script, NULL};
    struct proc_conf conf = {.argv = argv, .cwd = dir};
    struct str out;
    err_t e = proc_run(&conf, deadline_in(SECONDS(60)), KIB(64), &out);
    if (e)
        (void)fprintf(stderr, "%s\n%s\n", script, e->message);
    return e;
}

/* One commit with these files; returns its id. */
static const char *commit(const char *compose, const char *extra) {
    struct git_commit c;
    struct git_remote_conf remote = {.url = arena_printf(NOW, "%s/src", dir), .allow_local = true};
    const char *mirror = arena_printf(NOW, "%s/mirror.git", dir);
    OK(sh(arena_printf(
        NOW,
        "export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@x GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@x\n"
        "[ -d src ] || git init -q -b main src; cd src; cat > compose.yaml <<'EOF'\n%s\nEOF\n%s\ngit add -A; git commit -q --allow-empty -m c\n",
        compose, extra)));
    OK(git_fetch(&remote, mirror, NULL, DL));
    OK(git_resolve(NOW, mirror, "main", DL, &c));
    return c.sha;
}

struct world {
    struct docker *d;
    struct app app;
    struct desired *want;
    struct observed *have;
    struct plan *plan;
};

static const char *project(void) { return arena_printf(NOW, "dfa%d", (int)getpid()); }

/* What an interrupted attempt left behind: the operation before which it ended, and what it told of networks. */
static struct {
    const char *before;
    const struct json *networks;
    bool resumed;
} attempt;

static err_t on_op(void *ctx, const struct op *op, enum op_state state, err_t error, const struct json *after) {
    (void)ctx;
    (void)error;
    (void)after;
    return state == OP_RUNNING && z_eq(op->id, attempt.before) ? err_new(ERR_FENCED, "killed before %s", op->id) : NULL;
}

static err_t on_networks(void *ctx, const struct json *removed) {
    attempt.networks = removed ? json_clone(ctx, removed) : NULL; /* the operation's own arena ends with it */
    return NULL;
}

static struct world look(const char *sha) {
    struct world w = {.d = engine()};
    w.app = (struct app){.id = "01900000-0000-7000-8000-000000000001",
                         .name = "t",
                         .path = "",
                         .project_name = project(),
                         .policy = {.prune = true}};
    struct source_conf src = {.mirror = arena_printf(NOW, "%s/mirror.git", dir), .sha = sha, .deadline = DL};
    OK(source_desired(NOW, &w.app, &src, &w.want));
    w.want->resumed = attempt.resumed;
    w.want->removed_networks = attempt.resumed ? attempt.networks : NULL;
    OK(observe_engine(NOW, w.d, w.want, DL, &w.have));
    OK(plan_build(NOW, w.want, w.have, NULL, &w.plan));
    return w;
}

static void on_log(void *ctx, const struct op *op, const char *level, const char *line) {
    (void)ctx;
    if (getenv("VERBOSE"))
        (void)fprintf(stderr, "    %s %s: %s\n", level, op ? op->id : "", line);
}

static err_t apply(struct world *w, const char *sha) {
    struct source_conf src = {.mirror = arena_printf(NOW, "%s/mirror.git", dir), .sha = sha, .deadline = DL};
    struct apply_conf conf = {.docker = w->d,
                              .plan = w->plan,
                              .source = &src,
                              .rights = &GUARD_NOBODY,
                              .deployment_id = "d1",
                              .deadline = deadline_in(SECONDS(90)),
                              .hooks = {.on_op = on_op, .on_networks = on_networks, .on_log = on_log, .ctx = NOW}};
    struct json *images;
    err_t e = apply_plan(NOW, &conf, &images);
    docker_unref(w->d);
    return e;
}

static void deploy(const char *sha) {
    struct world w = look(sha);
    OK(apply(&w, sha));
}

static void assert_in_sync(const char *sha) {
    struct world w = look(sha);
    size_t left = 0;
    for
        vec_each(op, &w.plan->ops) {
            if (op->kind == OP_WAIT_HEALTHY) /* started, its health check has not run yet: in sync */
                continue;
            (void)fprintf(stderr, "left over: %s (%s)\n", op->title, op->causes.v[0].message);
            left++;
        }
    EQ(left, 0);
    docker_unref(w.d);
}

static const char *output(const char *script) {
    const char *const argv[] = {"/bin/sh", "-ec", script, NULL};
    struct proc_conf conf = {.argv = argv, .cwd = dir};
    struct str out;
    OK(proc_run(&conf, deadline_in(SECONDS(60)), KIB(64), &out));
    return str_z(NOW, str_trim(out));
}

static void clean(void) {
    OK(sh(arena_printf(
        NOW,
        "docker ps -aq --filter label=com.docker.compose.project=%s | xargs -r docker rm -fv >/dev/null\n"
        "docker network ls -q --filter label=com.docker.compose.project=%s | xargs -r docker network rm >/dev/null\n"
        "docker volume ls -q --filter label=com.docker.compose.project=%s | xargs -r docker volume rm >/dev/null\n",
        project(), project(), project())));
}

static const char stack[] = "services:\n"
                            "  db:\n"
                            "    image: busybox:local\n"
                            "    command: [sh, -c, 'touch /data/ready; exec sleep 1000']\n"
                            "    stop_grace_period: 0s\n"
                            "    volumes: ['data:/data']\n"
                            "    healthcheck: {test: [CMD, test, -f, /data/ready], interval: 1s, retries: 5}\n"
                            "  init:\n"
                            "    image: busybox:local\n"
                            "    command: [sh, -c, 'echo done > /data/init']\n"
                            "    volumes: ['data:/data']\n"
                            "    depends_on: {db: {condition: service_healthy}}\n"
                            "  web:\n"
                            "    image: busybox:local\n"
                            "    command: [httpd, -f, -p, '80', -h, /www]\n"
                            "    stop_signal: SIGKILL\n"
                            "    environment: {GREETING: hello}\n"
                            "    volumes: ['./www:/www:ro']\n"
                            "    configs: [{source: conf, target: /etc/app.conf}]\n"
                            "    secrets: [{source: key, target: app_key}]\n"
                            "    depends_on: {init: {condition: service_completed_successfully}}\n"
                            "configs: {conf: {content: 'a=1'}}\n"
                            "secrets: {key: {file: ./key.txt}}\n"
                            "volumes: {data: {}}";
static const char stack_files[] =
    "mkdir -p www/sub; echo page > www/index.html; echo deep > www/sub/x; printf s3cret > key.txt";

TEST(stack_comes_up_and_the_second_plan_is_empty) {
    clean();
    const char *sha = commit(stack, stack_files);
    deploy(sha);
    assert_in_sync(sha);
    ZEQ(output(arena_printf(
            NOW, "docker exec %s-web-1 cat /www/index.html /www/sub/x /etc/app.conf /run/secrets/app_key", project())),
        "page\ndeep\na=1s3cret");
    ZEQ(output(arena_printf(NOW, "docker exec %s-db-1 cat /data/init", project())), "done");
    ZEQ(output(arena_printf(
            NOW,
            "docker inspect -f '{{index .Config.Labels \"com.docker.compose.service\"}} {{.State.Status}}' %s-init-1",
            project())),
        "init exited");
    ZEQ(output(arena_printf(NOW, "docker ps -aq --filter name=_put | wc -l")), "0");
    return NULL;
}

TEST(only_what_changed_is_replaced) {
    clean();
    const char *first = commit(stack, stack_files);
    deploy(first);
    const char *ids = output(arena_printf(NOW, "docker inspect -f '{{.Id}}' %s-db-1 %s-web-1", project(), project()));
    const char *second = commit(stack, "echo changed > www/index.html; echo x > README");
    struct world w = look(second);
    const struct op *op = plan_op(w.plan, "create:web:1");
    CHECK(op != NULL && plan_op(w.plan, "create:db:1") == NULL);
    OK(apply(&w, second));
    assert_in_sync(second);
    ZEQ(output(arena_printf(NOW, "docker exec %s-web-1 cat /www/index.html", project())), "changed");
    const char *now = output(arena_printf(NOW, "docker inspect -f '{{.Id}}' %s-db-1 %s-web-1", project(), project()));
    CHECK(strncmp(ids, now, 64) == 0 && !z_eq(ids, now));
    /* A commit that touches nothing the services run on. */
    const char *third = commit(stack, "echo y > README");
    assert_in_sync(third);
    return NULL;
}

static const char simple[] =
    "services:\n  web:\n    image: busybox:local\n    command: [sh, -c, '%s']\n    stop_signal: SIGKILL\n"
    "    healthcheck: {test: [CMD, %s], interval: 1s, timeout: 1s, retries: 2}";

TEST(failed_health_brings_the_old_version_back) {
    clean();
    const char *good = commit(arena_printf(NOW, simple, "exec sleep 1000", "\"true\""), "");
    deploy(good);
    const char *id = output(arena_printf(NOW, "docker inspect -f '{{.Id}}' %s-web-1", project()));
    const char *bad = commit(arena_printf(NOW, simple, "exec sleep 2000", "\"false\""), "");
    struct world w = look(bad);
    FAILS(ERR_HEALTH_CHECK_FAILED, apply(&w, bad));
    ZEQ(output(arena_printf(NOW, "docker inspect -f '{{.Id}} {{.State.Status}}' %s-web-1", project())),
        arena_printf(NOW, "%s running", id));
    ZEQ(output(arena_printf(NOW, "docker ps -aq --filter label=com.docker.compose.project=%s | wc -l", project())),
        "1");
    assert_in_sync(good);
    return NULL;
}

/* The network is made anew for the new version; when that fails, network and containers are as they were. */
TEST(failed_network_change_brings_network_and_containers_back) {
    clean();
    static const char yaml[] =
        "services:\n"
        "  web: {image: 'busybox:local', command: [sleep, '1000'], stop_signal: SIGKILL, networks: {n: {aliases: [www]}}}\n"
        "  peer: {image: 'busybox:local', command: %s, stop_signal: SIGKILL, networks: [n], healthcheck: {test: %s, interval: 1s, retries: 2}}\n"
        "networks: {n: {ipam: {config: [{subnet: 10.231.%d.0/24}]}}}";
    const char *good = commit(arena_printf(NOW, yaml, "[sleep, '1000']", "[CMD, 'true']", 7), "");
    deploy(good);
    const char *ids = output(
        arena_printf(NOW, "docker ps -q --no-trunc --filter label=com.docker.compose.project=%s | sort", project()));
    const char *bad = commit(arena_printf(NOW, yaml, "[sleep, '999']", "[CMD, 'false']", 8), "");
    struct world w = look(bad);
    CHECK(plan_op(w.plan, "removeNetwork:n") != NULL);
    CHECK(apply(&w, bad) != NULL);
    ZEQ(output(arena_printf(NOW, "docker ps -q --no-trunc --filter label=com.docker.compose.project=%s | sort",
                            project())),
        ids);
    ZEQ(output(arena_printf(NOW, "docker network inspect -f '{{(index .IPAM.Config 0).Subnet}}' %s_n", project())),
        "10.231.7.0/24");
    CHECK(strstr(output(arena_printf(NOW, "docker exec %s-peer-1 nslookup www", project())), "10.231.7.") != NULL);
    assert_in_sync(good);
    return NULL;
}

/* Also when what fails has nothing to do with the network. */
TEST(failure_elsewhere_brings_a_changed_network_back) {
    clean();
    static const char yaml[] =
        "services:\n"
        "  a: {image: 'busybox:local', command: [sleep, '1000'], stop_signal: SIGKILL, networks: [n]}\n"
        "  b: {image: 'busybox:local', command: [sleep, '1000'], stop_signal: SIGKILL, networks: [n]}\n"
        "  c: {image: 'busybox:local', command: %s, stop_signal: SIGKILL, healthcheck: {test: %s, interval: 1s, retries: 2}}\n"
        "networks: {n: {ipam: {config: [{subnet: 10.232.%d.0/24}]}}}";
    const char *good = commit(arena_printf(NOW, yaml, "[sleep, '1000']", "[CMD, 'true']", 7), "");
    deploy(good);
    const char *running =
        arena_printf(NOW, "docker ps -q --no-trunc --filter label=com.docker.compose.project=%s | sort", project());
    const char *ids = output(running);
    const char *bad = commit(arena_printf(NOW, yaml, "[sleep, '999']", "[CMD, 'false']", 8), "");
    struct world w = look(bad);
    CHECK(apply(&w, bad) != NULL);
    ZEQ(output(running), ids);
    assert_in_sync(good);
    return NULL;
}

/* Killed before any operation of such a change, continued, and failed then: network and containers are as they were. */
TEST(interrupted_network_change_that_fails_brings_everything_back) {
    clean();
    static const char yaml[] =
        "services:\n"
        "  same: {image: 'busybox:local', command: [sleep, '1000'], stop_signal: SIGKILL, networks: {n: {aliases: [www]}}}\n"
        "  web: {image: 'busybox:local', command: %s, stop_signal: SIGKILL, networks: [n]}\n"
        "  c: {image: 'busybox:local', command: %s, stop_signal: SIGKILL, depends_on: [same, web],"
        " healthcheck: {test: %s, interval: 1s, retries: 1}}\n"
        "networks: {n: {ipam: {config: [{subnet: 10.233.%d.0/24}]}}}";
    const char *good = commit(arena_printf(NOW, yaml, "[sleep, '1000']", "[sleep, '1000']", "[CMD, 'true']", 7), "");
    deploy(good);
    const char *running = arena_printf(NOW,
                                       "docker ps -a --no-trunc --format '{{.ID}} {{.Names}} {{.State}}' --filter"
                                       " label=com.docker.compose.project=%s | sort",
                                       project());
    const char *before = output(running);
    const char *bad = commit(arena_printf(NOW, yaml, "[sleep, '999']", "[sleep, '999']", "[CMD, 'false']", 8), "");
    struct world first = look(bad);
    const struct plan *p = first.plan;
    docker_unref(first.d);
    CHECK(plan_op(p, "removeNetwork:n") != NULL && p->ops.n > 12);
    for (size_t i = 0; i < p->ops.n && p->ops.v[i].kind != OP_REMOVE; i++) {
        attempt.before = p->ops.v[i].id;
        attempt.networks = NULL;
        attempt.resumed = false;
        struct world w = look(bad);
        err_t e = apply(&w, bad);
        if (!err_is(e, ERR_FENCED))
            continue; /* it failed before it came to that operation */
        attempt.before = NULL;
        attempt.resumed = true;
        w = look(bad);
        CHECK(apply(&w, bad) != NULL);
        attempt.resumed = false;
        attempt.networks = NULL;
        (void)fprintf(stderr, "interrupted before %s\n", p->ops.v[i].id);
        ZEQ(output(running), before);
        ZEQ(output(arena_printf(NOW, "docker network inspect -f '{{(index .IPAM.Config 0).Subnet}}' %s_n", project())),
            "10.233.7.0/24");
        CHECK(strstr(output(arena_printf(NOW, "docker exec %s-web-1 nslookup www", project())), "10.233.7.") != NULL);
        assert_in_sync(good);
    }
    attempt.before = NULL;
    return NULL;
}

TEST(volumes_without_a_name_are_handed_on) {
    clean();
    static const char yaml[] =
        "services:\n  web: {image: 'busybox:local', command: [sleep, '%d'], stop_signal: SIGKILL, volumes: [/data]}";
    deploy(commit(arena_printf(NOW, yaml, 1000), ""));
    (void)output(arena_printf(NOW, "docker exec %s-web-1 sh -c 'echo kept > /data/f'", project()));
    for (int i = 1; i <= 2; i++) {
        const char *next = commit(arena_printf(NOW, yaml, 1000 + i), "");
        deploy(next);
        ZEQ(output(arena_printf(NOW, "docker exec %s-web-1 cat /data/f", project())), "kept");
        assert_in_sync(next);
    }
    return NULL;
}

TEST(crashing_container_fails_with_its_output) {
    clean();
    const char *sha = commit(
        "services:\n  web:\n    image: busybox:local\n    command: [sh, -c, 'echo cannot find the database >&2; exit 3']",
        "");
    struct world w = look(sha);
    err_t e = apply(&w, sha);
    CHECK(err_is(e, ERR_DEPLOYMENT_FAILED) && strstr(e->message, "web") != NULL);
    const char *out = NULL;
    for (const struct err_detail *d = e->details; d; d = d->next)
        out = z_eq(d->key, "output") ? d->value : out;
    CHECK(out && strstr(out, "cannot find the database"));
    return NULL;
}

TEST(failed_pull_stops_nothing) {
    clean();
    const char *good = commit(arena_printf(NOW, simple, "exec sleep 1000", "\"true\""), "");
    deploy(good);
    const char *id = output(arena_printf(NOW, "docker inspect -f '{{.Id}} {{.State.StartedAt}}' %s-web-1", project()));
    const char *bad = commit("services:\n  web:\n    image: 127.0.0.1:1/no/such:1\n    command: [sleep, '1']", "");
    struct world w = look(bad);
    CHECK(apply(&w, bad) != NULL);
    ZEQ(output(arena_printf(NOW, "docker inspect -f '{{.Id}} {{.State.StartedAt}}' %s-web-1", project())), id);
    return NULL;
}

TEST(built_image_follows_its_context) {
    clean();
    static const char yaml[] =
        "services:\n  web:\n    build: {context: ./app, args: {WHO: you}}\n    stop_signal: SIGKILL";
    const char *first = commit(
        yaml,
        "mkdir -p app; printf 'FROM busybox:local\\nARG WHO\\nCOPY msg /msg\\nRUN echo $WHO >> /msg\\nCMD [\"sleep\",\"1000\"]\\n' > app/Dockerfile; echo one > app/msg");
    deploy(first);
    assert_in_sync(first);
    ZEQ(output(arena_printf(NOW, "docker exec %s-web-1 cat /msg", project())), "one\nyou");
    const char *second = commit(yaml, "echo two > app/msg");
    struct world w = look(second);
    CHECK(w.plan->ops.v[0].kind == OP_BUILD);
    OK(apply(&w, second));
    ZEQ(output(arena_printf(NOW, "docker exec %s-web-1 cat /msg", project())), "two\nyou");
    assert_in_sync(second);
    return NULL;
}

TEST(dangerous_options_need_rights) {
    clean();
    const char *sha = commit(
        "services:\n  web:\n    image: busybox:local\n    privileged: true\n    volumes: ['/etc:/host']\n    pid: host",
        "");
    struct world w = look(sha);
    err_t e = apply(&w, sha);
    CHECK(err_is(e, ERR_POLICY));
    const char *v = NULL;
    for (const struct err_detail *d = e->details; d; d = d->next)
        v = z_eq(d->key, "violations") ? d->value : v;
    CHECK(v && strstr(v, "/HostConfig/Privileged") && strstr(v, "/HostConfig/Binds/0") &&
          strstr(v, "/HostConfig/PidMode"));
    return NULL;
}

TEST(scale_down_and_removed_service) {
    clean();
    const char *first = commit(
        "services:\n  a: {image: 'busybox:local', command: [sleep, '1000'], stop_signal: SIGKILL, scale: 3}\n  b: {image: 'busybox:local', command: [sleep, '1000'], stop_signal: SIGKILL}",
        "");
    deploy(first);
    ZEQ(output(arena_printf(NOW, "docker ps -q --filter label=com.docker.compose.project=%s | wc -l", project())), "4");
    const char *second = commit(
        "services:\n  a: {image: 'busybox:local', command: [sleep, '1000'], stop_signal: SIGKILL, scale: 1}", "");
    deploy(second);
    ZEQ(output(arena_printf(NOW, "docker ps -aq --filter label=com.docker.compose.project=%s | wc -l", project())),
        "1");
    assert_in_sync(second);
    clean();
    return NULL;
}

int main(int argc, char **argv) {
    if (argc > 1 && z_eq(argv[1], "git-helper"))
        return git_helper_main();
    (void)snprintf(dir, sizeof(dir), "/tmp/df-apply-test-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return 1;
    const struct CMUnitTest tests[] = {L(stack_comes_up_and_the_second_plan_is_empty),
                                       L(only_what_changed_is_replaced),
                                       L(failed_health_brings_the_old_version_back),
                                       L(failed_network_change_brings_network_and_containers_back),
                                       L(failure_elsewhere_brings_a_changed_network_back),
                                       L(interrupted_network_change_that_fails_brings_everything_back),
                                       L(volumes_without_a_name_are_handed_on),
                                       L(crashing_container_fails_with_its_output),
                                       L(failed_pull_stops_nothing),
                                       L(built_image_follows_its_context),
                                       L(dangerous_options_need_rights),
                                       L(scale_down_and_removed_service)};
    int rc = run_engine_tests(tests, ARRAY_LEN(tests));
    pid_t child = fork();
    if (child == 0)
        (void)execl("/bin/rm", "rm", "-rf", dir, (char *)NULL);
    (void)waitpid(child, NULL, 0);
    return rc;
}
