#include "async_test.h"
#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core/async/proc.h"

#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})

TEST(runs_and_collects) {
    struct str out;
    OK(proc_run(&(struct proc_conf){.argv = ARGV("sh", "-c", "echo hello; echo world >&2")}, DEADLINE_NONE, KIB(4),
                &out));
    CHECK(out.n == 12);
    OK(proc_run(&(struct proc_conf){.argv = ARGV("/bin/echo", "a b", "$HOME")}, DEADLINE_NONE, KIB(4), &out));
    CHECK(str_eqz(out, "a b $HOME\n"));
    return NULL;
}

TEST(failure_names_status_and_tail) {
    err_t e = proc_run(&(struct proc_conf){.argv = ARGV("sh", "-c", "echo broken pump >&2; exit 7")}, DEADLINE_NONE,
                       4096, NULL);
    FAILS(ERR_INTERNAL, e);
    CHECK(strstr(e->message, "status 7: broken pump") != NULL);
    e = proc_run(&(struct proc_conf){.argv = ARGV("/nonexistent/program")}, DEADLINE_NONE, 4096, NULL);
    FAILS(ERR_INTERNAL, e);
    CHECK(strstr(e->message, "/nonexistent/program") != NULL);
    return NULL;
}

TEST(output_is_bounded) {
    struct str out;
    OK(proc_run(&(struct proc_conf){.argv = ARGV("sh", "-c", "head -c 3000000 /dev/zero")}, DEADLINE_NONE, 1000, &out));
    CHECK(out.n == 1000);
    return NULL;
}

TEST(deadline_kills_the_group) {
    char path[] = "/tmp/df-proc-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    char *script = arena_printf(arena_current(), "sleep 300 & echo $! > %s; trap '' TERM; wait; sleep 300", path);
    uint64_t t0 = loop_now();
    FAILS(ERR_TIMEOUT, proc_run(&(struct proc_conf){.argv = ARGV("sh", "-c", script)}, loop_now() + 100, 100, NULL));
    CHECK(loop_now() - t0 < 1500);
    char text[32] = "";
    CHECK(pread(fd, text, sizeof(text) - 1, 0) > 0);
    int64_t number = 0;
    OK(str_to_i64(str_trim(str_of(text)), 2, INT32_MAX, &number));
    pid_t grandchild = (pid_t)number;
    CHECK(grandchild > 1);
    for (int i = 0; i < 400 && kill(grandchild, 0) == 0; i++)
        OK(fiber_sleep(10));
    CHECK(kill(grandchild, 0) != 0 && errno == ESRCH);
    close(fd);
    unlink(path);
    return NULL;
}

TEST(pipes_both_ways) {
    struct proc *p;
    OK(proc_spawn(&(struct proc_conf){.argv = ARGV("cat"), .pipe_stdin = true, .pipe_stdout = true}, &p));
    CHECK(proc_stderr(p) == NULL && proc_pid(p) > 0);
    struct str got;
    OK(stream_write(proc_stdin(p), "abc", 3, DEADLINE_NONE));
    OK(stream_read(proc_stdout(p), DEADLINE_NONE, &got));
    CHECK(str_eqz(got, "abc"));
    OK(stream_shutdown_write(proc_stdin(p), DEADLINE_NONE));
    OK(stream_read(proc_stdout(p), DEADLINE_NONE, &got));
    CHECK(got.n == 0);
    int status = -1;
    OK(proc_wait(p, DEADLINE_NONE, &status));
    CHECK(status == 0);
    OK(proc_wait(p, DEADLINE_NONE, &status));
    proc_close(p);
    return NULL;
}

TEST(signals_and_environment) {
    struct proc *p;
    int status = 0;
    OK(proc_spawn(&(struct proc_conf){.argv = ARGV("sleep", "300")}, &p));
    FAILS(ERR_TIMEOUT, proc_wait(p, loop_now() + 5, &status));
    proc_kill(p, SIGKILL);
    OK(proc_wait(p, DEADLINE_NONE, &status));
    CHECK(status == 128 + SIGKILL);
    proc_close(p);
    struct str out;
    OK(proc_run(&(struct proc_conf){.argv = ARGV("/usr/bin/env"), .env = ARGV("ONLY=this"), .cwd = "/"}, DEADLINE_NONE,
                4096, &out));
    CHECK(str_eqz(out, "ONLY=this\n"));
    return NULL;
}

TEST(drops_privileges) {
    if (getuid() != 0)
        return NULL;
    struct str out;
    OK(proc_run(&(struct proc_conf){.argv = ARGV("id"), .set_ids = true, .uid = 65534, .gid = 65534}, DEADLINE_NONE,
                4096, &out));
    CHECK(str_starts(out, STR("uid=65534")) && str_find(out, STR("(root)")) < 0);
    return NULL;
}

static err_t waiter(void *arg) {
    int status;
    return proc_wait(arg, DEADLINE_NONE, &status);
}

TEST(close_while_somebody_waits) {
    struct proc *p;
    OK(proc_spawn(&(struct proc_conf){.argv = ARGV("sleep", "300")}, &p));
    struct fiber *f = fiber_spawn("w", NULL, waiter, p);
    OK(fiber_sleep(2));
    proc_close(p);
    FAILS(ERR_IO, fiber_join(f));
    return NULL;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        LOOP_TEST(runs_and_collects), LOOP_TEST(failure_names_status_and_tail),
        LOOP_TEST(output_is_bounded), LOOP_TEST(deadline_kills_the_group),
        LOOP_TEST(pipes_both_ways),   LOOP_TEST(signals_and_environment),
        LOOP_TEST(drops_privileges),  LOOP_TEST(close_while_somebody_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
