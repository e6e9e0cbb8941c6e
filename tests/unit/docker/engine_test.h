/* Tests against a real engine: DOCKER_HOST names it (tests/lab/lab.sh), with an image busybox:local; without it they are
 * skipped. Names carry the process id so that runs do not meet. */
#pragma once
#include <unistd.h>
#include "tests/unit/async/async_test.h"
#include "core/docker/archive.h"
#include "core/docker/container.h"
#include "core/docker/docker.h"
#include "core/docker/hub.h"
#include "core/docker/image.h"
#include "core/docker/network.h"
#include "core/docker/system.h"
#include "core/docker/tar.h"
#include "core/docker/volume.h"

#define L(name) LOOP_TEST(name)
#define IMAGE "busybox:local"
#define DL deadline_in(SECONDS(60))
#define NOW arena_current()

static inline struct docker *engine(void) {
    struct docker *d;
    OK(docker_new(&(struct docker_conf){.name = "lab", .url = getenv("DOCKER_HOST")}, &d));
    return d;
}
static inline const char *name_of(const char *what) { return arena_printf(NOW, "dft%d-%s", (int)getpid(), what); }

static inline struct container_spec shell_spec(const char *name, const char *script) {
    const char **cmd = arena_new_array(NOW, const char *, 3);
    cmd[0] = "sh";
    cmd[1] = "-c";
    cmd[2] = arena_strdup(NOW, script);
    return (struct container_spec){
        .name = name, .image = IMAGE, .command = {cmd, 3, true}, .network_mode = "none", .has_stop_timeout = true};
}
/** Created and started; returns the id. */
static inline const char *run(struct docker *d, const char *what, const char *script) {
    struct container_spec s = shell_spec(name_of(what), script);
    struct docker_created *c;
    OK(docker_container_create(d, NOW, &s, &GUARD_NOBODY, DL, &c));
    OK(docker_container_start(d, c->id, DL));
    return c->id;
}
static inline void gone(struct docker *d, const char *id) { OK(docker_container_remove(d, id, true, true, DL)); }

#define EQ(a, b)                                                                                                       \
    do {                                                                                                               \
        long long eq_a_ = (long long)(a), eq_b_ = (long long)(b);                                                      \
        if (eq_a_ != eq_b_) {                                                                                          \
            (void)fprintf(stderr, "%s:%d: %s is %lld, wanted %lld\n", __FILE__, __LINE__, #a, eq_a_, eq_b_);           \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)
#define ZEQ(a, b)                                                                                                      \
    do {                                                                                                               \
        const char *zeq_a_ = (a), *zeq_b_ = (b);                                                                       \
        if (!z_eq(zeq_a_, zeq_b_)) {                                                                                   \
            (void)fprintf(stderr, "%s:%d: %s is \"%s\", wanted \"%s\"\n", __FILE__, __LINE__, #a,                      \
                          zeq_a_ ? zeq_a_ : "(null)", zeq_b_ ? zeq_b_ : "(null)");                                     \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

static inline int run_engine_tests(const struct CMUnitTest *tests, size_t n) {
    if (!getenv("DOCKER_HOST")) {
        (void)printf("skipped: DOCKER_HOST is not set\n");
        return 77;
    }
    return _cmocka_run_group_tests("engine", tests, n, NULL, NULL);
}
