/* An engine of our own that is stopped, killed and started again: what viewers, the index and calls see. Root only. */
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "tests/unit/docker/engine_test.h"
#include "core/fleet/fleet.h"

static char dir[64], url[96];
static pid_t dockerd;

static int shell(const char *script) {
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", script, "sh", dir, (char *)NULL);
        _exit(127);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool start_engine(void) {
    dockerd = fork();
    if (dockerd == 0) {
        setsid();
        execl(
            "/bin/sh", "sh", "-c",
            "exec dockerd --data-root $1/data --exec-root $1/exec --pidfile $1/pid --host unix://$1/sock --bridge none "
            "--iptables=false --ip6tables=false --ip-masq=false --live-restore --shutdown-timeout 1 "
            "--containerd-namespace df-own --containerd-plugins-namespace df-own-p --log-level warn >>$1/log 2>&1 </dev/null",
            "sh", dir, (char *)NULL);
        _exit(127);
    }
    return shell(
               "for i in $(seq 100); do docker -H unix://$1/sock version >/dev/null 2>&1 && exit 0; sleep 0.1; done; tail $1/log; exit 1") ==
           0;
}
static void end_engine(int sig) {
    if (dockerd > 0) {
        kill(dockerd, sig);
        waitpid(dockerd, NULL, 0);
    }
    dockerd = 0;
    if (sig == SIGKILL) /* its containerd died with it; where nobody reaps orphans its pid still looks alive */
        shell("sleep 0.2; rm -f $1/exec/containerd/containerd.pid");
}

static int set_up(void **state) {
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/df-own-%d", (int)getpid());
    snprintf(url, sizeof url, "unix://%s/sock", dir);
    mkdir(dir, 0755);
    if (!start_engine())
        return -1;
    return shell(
        "mkdir -p $1/rootfs/bin && cp /bin/busybox $1/rootfs/bin/ && for a in sh echo sleep; do ln -s busybox $1/rootfs/bin/$a; done && "
        "tar -C $1/rootfs -cf - . | docker -H unix://$1/sock import --change 'ENV PATH=/bin' - busybox:local >/dev/null");
}
static int tear_down(void **state) {
    (void)state;
    if (!dockerd && !start_engine())
        return -1;
    shell("docker -H unix://$1/sock ps -aq | xargs -r docker -H unix://$1/sock rm -f >/dev/null");
    end_engine(SIGTERM);
    return shell(
        "kill $(cat $1/exec/containerd/containerd.pid 2>/dev/null) 2>/dev/null; sleep 0.3; "
        "awk -v d=$1/ 'index($5, d) == 1 {print $5}' /proc/self/mountinfo | sort -r | xargs -r umount -l; rm -rf $1; true");
}

struct view {
    size_t lines, gaps, ends;
    int64_t last;
    bool in_order;
};
static void on_lines(void *ctx, const struct hub_batch *b) {
    struct view *v = ctx;
    for (size_t i = 0; i < b->n; i++) {
        int64_t n = 0;
        if (str_to_i64(b->items[i].text, 0, 1000000, &n) != NULL || n != v->last + 1)
            v->in_order = false;
        v->last = n;
        v->lines++;
    }
}
static void on_event(void *ctx, const struct hub_event *ev) {
    struct view *v = ctx;
    v->gaps += ev->kind == HUB_GAP;
    v->ends += ev->kind == HUB_END;
}

#define UNTIL(seconds, cond)                                                                                           \
    do {                                                                                                               \
        uint64_t until_dl_ = deadline_in(SECONDS(seconds));                                                            \
        while (!(cond)) {                                                                                              \
            if (clock_mono_ms() > until_dl_) {                                                                         \
                (void)fprintf(stderr, "%s:%d: never: %s\n", __FILE__, __LINE__, #cond);                                \
                abort();                                                                                               \
            }                                                                                                          \
            OK(fiber_sleep(20));                                                                                       \
        }                                                                                                              \
    } while (0)
static enum fleet_state state_now(struct fleet *f) {
    struct fleet_node n;
    CHECK(fleet_node_get(f, "own", &n));
    return n.state;
}

TEST(engine_restarts) {
    struct fleet *f = fleet_new(NULL);
    struct hub *h = hub_new(NULL);
    OK(fleet_node_add(f, &(struct fleet_node_conf){.id = "own", .name = "own", .docker = {.url = url}}));
    OK(fleet_wait_synced(f, "own", DL));
    AUTO(docker) d = NULL;
    OK(fleet_docker(f, "own", &d));
    const char *id = run(d, "count", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done");
    struct view v = {.in_order = true};
    struct hub_viewer *viewer;
    struct hub_viewer_conf conf = {.container = id, .tail = -1, .on_lines = on_lines, .on_event = on_event, .ctx = &v};
    OK(hub_attach(h, d, &conf, &viewer));
    UNTIL(10, v.lines > 20);
    /* killed: found at once, calls fail at once */
    end_engine(SIGKILL);
    uint64_t t0 = clock_mono_ms();
    UNTIL(15, state_now(f) == FLEET_UNREACHABLE);
    (void)printf("unreachable after %llu ms\n", (unsigned long long)(clock_mono_ms() - t0));
    FAILS(ERR_DOCKER_UNAVAILABLE, docker_ping(d, DL));
    const struct fleet_container *c;
    OK(fleet_container_find(f, NULL, id, &c)); /* the index is still there */
    /* back: same node, same viewer, nothing lost, nothing twice */
    CHECK(start_engine());
    UNTIL(35, state_now(f) == FLEET_ONLINE);
    size_t seen = v.lines;
    UNTIL(20, v.lines > seen + 100);
    CHECK(v.in_order && v.gaps == 0 && v.ends == 0);
    /* stopped by a signal: it accepts connections but says nothing */
    kill(dockerd, SIGSTOP);
    t0 = clock_mono_ms();
    FAILS(ERR_TIMEOUT, docker_container_inspect(d, NOW, id, deadline_in(500), &(struct docker_container_info *){NULL}));
    UNTIL(16, state_now(f) == FLEET_UNREACHABLE);
    (void)printf("silence noticed after %llu ms\n", (unsigned long long)(clock_mono_ms() - t0));
    CHECK(clock_mono_ms() - t0 < 15500);
    kill(dockerd, SIGCONT);
    UNTIL(35, state_now(f) == FLEET_ONLINE);
    seen = v.lines;
    UNTIL(20, v.lines > seen + 20);
    CHECK(v.in_order && v.gaps == 0 && v.ends == 0);
    gone(d, id);
    UNTIL(10, v.ends == 1);
    fleet_free(f);
    hub_free(h);
    return NULL;
}

int main(void) {
    if (getuid() != 0 || access("/usr/sbin/dockerd", X_OK) != 0 || access("/bin/busybox", X_OK) != 0) {
        (void)printf("skipped: needs root, dockerd and busybox\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {L(engine_restarts)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
