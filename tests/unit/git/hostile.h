/* What the tests of hostile repositories and of hostile servers share: a folder, a shell, packs of our own making. */
#pragma once
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "core/async/proc.h"
#include "core/git/git.h"
#include "tests/unit/async/async_test.h"

static char dir[64];

static inline uint64_t soon(void) { return deadline_in(SECONDS(20)); }

static inline err_t sh(const char *script) {
    const char *const argv[] = {"/bin/bash", "-ec", script, NULL};
    struct proc_conf conf = {.argv = argv, .cwd = dir};
    struct str out;
    err_t e = proc_run(&conf, soon(), KIB(64), &out);
    if (e)
        (void)fprintf(stderr, "%s\n%s\n", script, e->message);
    return e;
}

static inline const char *at(const char *name) { return arena_printf(arena_current(), "%s/%s", dir, name); }

static inline struct git_remote_conf local(const char *name) {
    return (struct git_remote_conf){.url = at(name), .allow_local = true};
}

static inline err_t hostile_pack(const char *kind, const char *repository) {
    const char *const argv[] = {"/usr/bin/python3", "tests/unit/git/hostile_pack.py", kind, at(repository), NULL};
    struct proc_conf conf = {.argv = argv};
    struct str out;
    OK(sh(arena_printf(arena_current(), "git init -q --bare -b main %s", repository)));
    return proc_run(&conf, soon(), KIB(4), &out);
}

static inline int hostile_main(int argc, char **argv, const struct CMUnitTest *tests, size_t n) {
    if (argc > 1 && z_eq(argv[1], "git-helper"))
        return git_helper_main();
    (void)snprintf(dir, sizeof(dir), "/tmp/df-git-evil-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return 1;
    (void)setenv("GIT_CONFIG_GLOBAL", "/dev/null", 1);
    int rc = _cmocka_run_group_tests("hostile", tests, n, NULL, NULL);
    pid_t child = fork();
    if (child == 0)
        (void)execl("/bin/rm", "rm", "-rf", dir, (char *)NULL);
    (void)waitpid(child, NULL, 0);
    return rc;
}
