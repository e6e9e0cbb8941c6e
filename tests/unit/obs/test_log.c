#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "core/async/fiber.h"
#include "core/async/loop.h"
#include "core/base/check.h"
#include "core/obs/log.h"

static struct arena *A;
static char dir[] = "/tmp/df-log-XXXXXX";

static const char *path_of(const char *name) { return arena_printf(A, "%s/%s", dir, name); }

static int setup(void **state) {
    (void)state;
    A = arena_new("test", 0);
    arena_set_current(A);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_set_current(NULL);
    arena_unref(A);
    return 0;
}

static struct str read_file(const char *path) {
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        return str_n("", 0);
    char *text = arena_alloc(A, MIB(4), 1);
    size_t n = fread(text, 1, MIB(4) - 1, f);
    fclose(f);
    return str_n(text, n);
}

/* Log into a fresh file, quiet on stderr. */
static void start(const char *name, enum log_level level, size_t rotate, int keep) {
    struct log_conf conf = {
        .level = level, .file = path_of(name), .rotate_bytes = rotate, .keep = keep, .quiet_stderr = true};
    err_t e = log_setup(&conf);
    assert_null(e);
}

/* Line i of the file as JSON. */
static struct json *line_of(const char *name, size_t i) {
    log_flush();
    struct str rest = read_file(path_of(name)), line;
    for (size_t k = 0; str_cut(&rest, '\n', &line); k++) {
        struct json *j = NULL;
        if (k < i || line.n == 0)
            continue;
        err_t e = json_parse(A, line, NULL, &j);
        if (e != NULL)
            fail_msg("%s: %.*s", e->message, STR_ARG(line));
        return j;
    }
    return NULL;
}

static size_t count_lines(const char *path) {
    struct str s = read_file(path);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] == '\n';
    return n;
}

static void test_fields(void **state) {
    (void)state;
    start("fields", LOG_INFO, 0, 0);
    err_t e = err_wrap(err_detail(err_new(ERR_NOT_FOUND, "no \"row\"\nhere"), "id", "7"), "load app");
    LOG(INFO, "a.b", KV_STR("s", "x\"\n\xff"), KV_STR("z", NULL), KV_INT("i", -5), KV_BOOL("b", true),
        KV_SECRET("password", "hunter2"), KV_RAW("r", "{\"k\":\n[1]}"), KV_RAW("bad", "{nope"), KV_RAW("none", NULL),
        KV_STR("level", "mine"), KV_STR("ts", "mine"));
    LOG(DEBUG, "below");
    LOG(ERROR, "c.d", KV_ERR(e), KV_ERR(NULL));
    LOG(WARNING, "plain");
    struct json *j = line_of("fields", 0);
    int64_t us;
    assert_null(time_parse_rfc3339(str_of(json_get_str(j, "ts")), &us));
    assert_true(llabs(us - clock_wall_us()) < 60000000);
    assert_string_equal(json_get_str(j, "level"), "INFO");
    assert_string_equal(json_get_str(j, "event"), "a.b");
    assert_string_equal(json_get_str(j, "s"), "x\"\n\xef\xbf\xbd");
    assert_true(json_is(json_get(j, "z"), JSON_NULL));
    assert_int_equal(json_get_int(j, "i", 0), -5);
    assert_true(json_get_bool(j, "b", false));
    assert_string_equal(json_get_str(j, "password"), "***");
    assert_int_equal(json_len(json_path(j, "r", "k", NULL)), 1);
    assert_string_equal(json_get_str(j, "bad"), "{nope");
    assert_true(json_is(json_get(j, "none"), JSON_NULL));
    assert_string_equal(json_get_str(j, "level_"), "mine");
    assert_string_equal(json_get_str(j, "ts_"), "mine");
    assert_null(json_get(j, "src"));
    assert_null(json_get(j, "fiber"));
    log_flush();
    struct str all = read_file(path_of("fields"));
    assert_true(str_find(all, STR("hunter2")) < 0);
    struct json *second = line_of("fields", 2);
    assert_string_equal(json_get_str(second, "event"), "plain");
    assert_true(z_starts(json_get_str(second, "src"), "tests/unit/obs/test_log.c:"));
}

static void test_error_chain(void **state) {
    (void)state;
    start("err", LOG_INFO, 0, 0);
    LOG(ERROR, "x", KV_ERR(err_wrap_as(ERR_DOCKER, err_field(err_new(ERR_IO, "pipe"), "/f"), "ping %d", 1)));
    struct json *e = json_get(line_of("err", 0), "error");
    assert_string_equal(json_get_str(e, "code"), "DOCKER_OPERATION_FAILED");
    assert_string_equal(json_get_str(e, "message"), "ping 1: pipe");
    assert_string_equal(json_get_str(e, "field"), "/f");
    assert_true(z_starts(json_get_str(e, "src"), "tests/unit/obs/test_log.c:"));
    assert_string_equal(json_get_str(json_get(e, "root"), "code"), "IO_ERROR");
}

static void test_long_values_are_cut(void **state) {
    (void)state;
    start("long", LOG_INFO, 0, 0);
    char *big = arena_alloc(A, 20001, 1);
    for (int i = 0; i < 20000; i += 2)
        memcpy(big + i, "\xc3\xa9", 2);
    big[20000] = 0;
    LOG(INFO, "one", KV_STR("t", big), KV_STR("u", big + 1));
    const char *t = json_get_str(line_of("long", 0), "t");
    assert_true(strlen(t) < 8300);
    assert_true(z_ends(t, "bytes more)"));
    struct log_kv many[40];
    for (int i = 0; i < 39; i++)
        many[i] = KV_STR("t", big);
    many[39] = (struct log_kv){.kind = LOG_KV_END};
    log_emit(LOG_ERROR, __FILE__, __LINE__, "huge", many);
    struct json *j = line_of("long", 1);
    assert_string_equal(json_get_str(j, "event"), "huge");
    assert_true(json_get_bool(j, "truncated", false));
}

static void test_levels(void **state) {
    (void)state;
    enum log_level l = LOG_DEBUG;
    assert_true(log_level_parse("warning", &l) && l == LOG_WARNING);
    assert_true(log_level_parse("CRITICAL", &l) && l == LOG_CRITICAL);
    assert_false(log_level_parse("WARN", &l));
    assert_false(log_level_parse("", &l));
    assert_false(log_level_parse(NULL, &l));
    assert_string_equal(log_level_name(LOG_ERROR), "ERROR");
    struct log_stats before = log_stats_get();
    start("levels", LOG_ERROR, 0, 0);
    assert_false(log_enabled(LOG_WARNING));
    LOG(WARNING, "no");
    LOG(ERROR, "yes");
    LOG(CRITICAL, "at once");
    assert_int_equal(count_lines(path_of("levels")), 2); /* CRITICAL flushed by itself */
    struct log_stats after = log_stats_get();
    assert_int_equal(after.lines[LOG_WARNING], before.lines[LOG_WARNING]);
    assert_int_equal(after.lines[LOG_ERROR], before.lines[LOG_ERROR] + 1);
}

static void test_rotation(void **state) {
    (void)state;
    start("rot", LOG_INFO, 2000, 3);
    for (int i = 0; i < 200; i++)
        LOG(INFO, "rotate.me", KV_INT("n", i));
    log_flush();
    size_t total = 0;
    for (int i = 0; i <= 4; i++) {
        struct stat st;
        const char *p = i == 0 ? path_of("rot") : arena_printf(A, "%s.%d", path_of("rot"), i);
        bool there = stat(p, &st) == 0;
        assert_int_equal(there, i <= 3);
        if (!there)
            continue;
        assert_true(st.st_size <= 2000);
        assert_int_equal(st.st_mode & 0777 & ~0640, 0);
        struct str s = read_file(p);
        assert_int_equal(s.p[s.n - 1], '\n'); /* never half a line */
        total += count_lines(p);
    }
    assert_true(total >= 60);
    struct str newest = read_file(path_of("rot"));
    assert_true(str_find(newest, STR("\"n\":199")) >= 0);
}

static void test_setup_again_reopens(void **state) {
    (void)state;
    start("re", LOG_INFO, 0, 0);
    LOG(INFO, "one");
    log_flush();
    assert_int_equal(rename(path_of("re"), path_of("re.moved")), 0);
    LOG(INFO, "two");
    start("re", LOG_INFO, 0, 0);
    LOG(INFO, "three");
    log_flush();
    assert_int_equal(count_lines(path_of("re.moved")), 2);
    assert_int_equal(count_lines(path_of("re")), 1);
}

static void test_bad_file_keeps_the_old_outputs(void **state) {
    (void)state;
    start("good", LOG_INFO, 0, 0);
    struct log_conf bad = {.level = LOG_DEBUG, .file = path_of("no/such/dir/x"), .quiet_stderr = true};
    err_t e = log_setup(&bad);
    assert_true(err_is(e, ERR_CONFIG));
    assert_non_null(strstr(e->message, "no/such/dir"));
    bad.file = dir;
    assert_true(err_is(log_setup(&bad), ERR_CONFIG));
    assert_false(log_enabled(LOG_DEBUG));
    LOG(INFO, "still here");
    log_flush();
    assert_int_equal(count_lines(path_of("good")), 1);
}

static void *chatter(void *arg) {
    for (int i = 0; i < 500; i++)
        LOG(INFO, "thread", KV_INT("t", (intptr_t)arg), KV_INT("i", i));
    return NULL;
}

static void test_threads(void **state) {
    (void)state;
    start("threads", LOG_INFO, MIB(50), 0);
    pthread_t t[4];
    for (intptr_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, chatter, (void *)i), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    log_flush();
    assert_int_equal(count_lines(path_of("threads")), 2000);
    struct str rest = read_file(path_of("threads")), line;
    while (str_cut(&rest, '\n', &line)) {
        struct json *j = NULL;
        if (line.n > 0)
            assert_null(json_parse(A, line, NULL, &j));
    }
}

/* Runs fn in a child whose stderr is `fd` (-1: closed). */
static int in_child(void (*fn)(void), int fd) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (fd >= 0)
            dup2(fd, STDERR_FILENO);
        else
            close(STDERR_FILENO);
        fn();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void stderr_lines(void) {
    LOG(INFO, "before.setup");
    struct log_conf conf = {.level = LOG_INFO};
    if (log_setup(&conf) != NULL)
        _exit(3);
    LOG(INFO, "after.setup");
    log_flush();
}

static void test_stderr(void **state) {
    (void)state;
    int p[2];
    assert_int_equal(pipe(p), 0);
    assert_int_equal(in_child(stderr_lines, p[1]), 0);
    close(p[1]);
    char text[2048];
    ssize_t n = read(p[0], text, sizeof(text) - 1);
    close(p[0]);
    assert_true(n > 0);
    text[n] = 0;
    assert_non_null(strstr(text, "before.setup"));
    assert_non_null(strstr(text, "after.setup"));
}

static int told; /* lines about what stderr has lost */
static void many_lines(void) {
    struct log_conf conf = {.level = LOG_INFO, .file = path_of("tolerant")};
    if (log_setup(&conf) != NULL)
        _exit(3);
    for (int i = 0; i < 100; i++)
        LOG(INFO, "x", KV_INT("i", i));
    log_flush();
    if (count_lines(path_of("tolerant")) != (size_t)(100 + told))
        _exit(4);
    if (told && str_find(read_file(path_of("tolerant")),
                         STR("\"event\":\"log.write_failed\",\"output\":\"stderr\",\"lines\":")) < 0)
        _exit(5);
}

static void test_broken_and_closed_stderr(void **state) {
    (void)state;
    int p[2];
    assert_int_equal(pipe(p), 0);
    close(p[0]);
    told = 1;
    assert_int_equal(in_child(many_lines, p[1]), 0); /* EPIPE, and no death by SIGPIPE */
    close(p[1]);
    told = 0;
    unlink(path_of("tolerant"));
    assert_int_equal(in_child(many_lines, -1), 0);
}

/* Nobody reads the pipe: callers are not held up, lines are dropped, counted and reported. */
static void flood(void) {
    struct log_conf conf = {.level = LOG_INFO, .file = path_of("flood")};
    if (log_setup(&conf) != NULL)
        _exit(3);
    char filler[1001];
    memset(filler, 'x', 1000);
    filler[1000] = 0;
    uint64_t start_ms = clock_mono_ms();
    for (int i = 0; i < 5000; i++)
        LOG(INFO, "flood", KV_STR("x", filler));
    if (clock_mono_ms() - start_ms > 15000)
        _exit(5);
    struct log_stats s = log_stats_get();
    if (s.dropped == 0 || s.lines[LOG_INFO] + s.dropped < 5000)
        _exit(6);
    for (int i = 0; i < 20 && log_stats_get().write_errors == 0; i++)
        usleep(500000);
    log_flush();
    struct str all = read_file(path_of("flood"));
    if (str_find(all, STR("\"event\":\"log.dropped\",\"lines\":")) < 0)
        _exit(7);
}

static void test_full_pipe_drops(void **state) {
    (void)state;
    for (int flags = 0; flags <= O_NONBLOCK; flags += O_NONBLOCK) {
        int p[2];
        assert_int_equal(pipe(p), 0);
        assert_int_equal(fcntl(p[1], F_SETFL, flags), 0);
        unlink(path_of("flood"));
        int status = in_child(flood, p[1]);
        close(p[0]);
        close(p[1]);
        assert_int_equal(status, 0);
    }
}

static void failed_check(void) {
    struct log_conf conf = {.level = LOG_INFO, .file = path_of("crash")};
    if (log_setup(&conf) != NULL)
        _exit(3);
    for (int i = 0; i < 50; i++)
        LOG(INFO, "last.words", KV_INT("i", i));
    CHECK(conf.level == LOG_DEBUG);
}

static void test_failed_check_writes_the_rest(void **state) {
    (void)state;
    int null = open("/dev/null", O_WRONLY);
    int status = in_child(failed_check, null);
    close(null);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_true(count_lines(path_of("crash")) > 0);
}

static err_t on_fiber(void *arg) {
    (void)arg;
    fiber_set_label("req-42");
    LOG(INFO, "inside");
    return NULL;
}

static void test_fiber_ids(void **state) {
    (void)state;
    start("fiber", LOG_INFO, 0, 0);
    loop_init();
    assert_null(loop_run_fiber("t", on_fiber, NULL));
    LOG(INFO, "outside");
    loop_fini();
    struct json *j = line_of("fiber", 0);
    assert_string_equal(json_get_str(j, "request_id"), "req-42");
    assert_true(json_get_int(j, "fiber", 0) > 0);
    assert_null(json_get(line_of("fiber", 1), "fiber"));
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

static void remove_files(void) {
    static const char *const names[] = {"fields", "err",  "long",    "levels",   "rot",   "rot.1", "rot.2", "rot.3",
                                        "re",     "good", "threads", "tolerant", "flood", "crash", "fiber", "re.moved"};
    char p[256];
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        (void)snprintf(p, sizeof(p), "%s/%s", dir, names[i]);
        unlink(p);
    }
    rmdir(dir);
}

int main(void) {
    if (mkdtemp(dir) == NULL)
        return 1;
    signal(SIGPIPE, SIG_DFL);
    const struct CMUnitTest tests[] = {T(test_fields),
                                       T(test_error_chain),
                                       T(test_long_values_are_cut),
                                       T(test_levels),
                                       T(test_rotation),
                                       T(test_setup_again_reopens),
                                       T(test_bad_file_keeps_the_old_outputs),
                                       T(test_threads),
                                       T(test_stderr),
                                       T(test_broken_and_closed_stderr),
                                       T(test_full_pipe_drops),
                                       T(test_failed_check_writes_the_rest),
                                       T(test_fiber_ids)};
    int failed = cmocka_run_group_tests_name("log", tests, NULL, NULL);
    remove_files();
    return failed;
}
