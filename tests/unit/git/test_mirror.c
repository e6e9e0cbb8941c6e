/* Mirrors of a real repository made with git itself: fetch through the child, reads by tree walk, hostile trees. */
#include <sys/wait.h>
#include <unistd.h>
#include "core/async/proc.h"
#include "core/git/git.h"
#include "tests/unit/async/async_test.h"

static char dir[64];

static err_t sh(const char *script) {
    const char *const argv[] = {"/bin/sh", "-ec", script, NULL};
    struct proc_conf conf = {.argv = argv, .cwd = dir};
    struct str out;
    err_t e = proc_run(&conf, deadline_in(SECONDS(20)), KIB(64), &out);
    if (e)
        (void)fprintf(stderr, "%s\n%s\n", script, e->message);
    return e;
}

static const char prepare[] =
    "export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@x GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@x\n"
    "rm -rf src mirror.git; git init -q -b main src; cd src; mkdir -p app/conf\n"
    "echo 'services: {}' > app/compose.yaml; echo one > app/conf/a; printf '#!/bin/sh\\n' > run.sh; chmod +x run.sh\n"
    "ln -s /etc/passwd link; ln -s app dirlink; git add -A; git commit -qm first\n"
    "git tag -a v1 -m tagged; git checkout -q -b other; echo two > app/conf/a; git commit -qam second; git checkout -q main\n";

static struct git_remote_conf remote(void) {
    static char url[96];
    (void)snprintf(url, sizeof(url), "%s/src", dir);
    return (struct git_remote_conf){.url = url, .allow_local = true};
}

static const char *mirror(void) {
    static char path[96];
    (void)snprintf(path, sizeof(path), "%s/mirror.git", dir);
    return path;
}

static uint64_t soon(void) { return deadline_in(SECONDS(20)); }

TEST(fetches_and_reads) {
    struct arena *a = arena_current();
    struct git_remote_conf r = remote();
    struct git_ref ref;
    struct git_commit c;
    struct str text;
    const char *oid;
    OK(sh(prepare));
    OK(git_ls_remote(a, &r, "main", soon(), &ref));
    CHECK(z_eq(ref.name, "refs/heads/main"));
    OK(git_fetch(&r, mirror(), NULL, soon()));
    OK(git_resolve(a, mirror(), "main", soon(), &c));
    CHECK(z_eq(c.sha, ref.oid) && z_eq(c.author, "A") && z_starts(c.message, "first"));
    OK(git_read(a, mirror(), c.sha, "app/compose.yaml", 100, soon(), &text, &oid));
    CHECK(str_eqz(text, "services: {}\n") && strlen(oid) == 40);
    FAILS(ERR_NOT_FOUND, git_read(a, mirror(), c.sha, "app/none", 100, soon(), &text, NULL));
    FAILS(ERR_NOT_FOUND, git_read(a, mirror(), c.sha, "app", 100, soon(), &text, NULL));
    FAILS(ERR_TOO_LARGE, git_read(a, mirror(), c.sha, "app/compose.yaml", 3, soon(), &text, NULL));
    struct git_commit tag;
    OK(git_resolve(a, mirror(), "v1", soon(), &tag));
    CHECK(z_eq(tag.sha, c.sha));
    OK(git_ls_remote(a, &r, "v1", soon(), &ref));
    CHECK(z_eq(ref.oid, c.sha));
    FAILS(ERR_NOT_FOUND, git_ls_remote(a, &r, "nothing", soon(), &ref));
    FAILS(ERR_NOT_FOUND, git_resolve(a, mirror(), "0123456789012345678901234567890123456789", soon(), &c));
    FAILS(ERR_INVALID, git_resolve(a, mirror(), "main~1", soon(), &c));
    return NULL;
}

TEST(links_are_refused) {
    struct arena *a = arena_current();
    struct git_remote_conf r = remote();
    struct str text;
    OK(sh(prepare));
    OK(git_fetch(&r, mirror(), NULL, soon()));
    FAILS(ERR_PATH_ESCAPE, git_read(a, mirror(), "main", "link", 1000, soon(), &text, NULL));
    FAILS(ERR_PATH_ESCAPE, git_read(a, mirror(), "main", "dirlink/compose.yaml", 1000, soon(), &text, NULL));
    FAILS(ERR_PATH_ESCAPE, git_read(a, mirror(), "main", "../x", 1000, soon(), &text, NULL));
    return NULL;
}

TEST(lists) {
    struct arena *a = arena_current();
    struct git_remote_conf r = remote();
    struct git_entry *v;
    size_t n;
    OK(sh(prepare));
    OK(git_fetch(&r, mirror(), NULL, soon()));
    OK(git_list(a, mirror(), "main", "app", true, 100, soon(), &v, &n));
    CHECK(n == 3 && z_eq(v[0].path, "compose.yaml") && v[1].kind == GIT_DIR && z_eq(v[2].path, "conf/a"));
    OK(git_list(a, mirror(), "main", "", false, 100, soon(), &v, &n));
    CHECK(n == 4 && v[1].kind == GIT_LINK && v[3].kind == GIT_EXEC);
    FAILS(ERR_GIT_LIMIT, git_list(a, mirror(), "main", "", true, 2, soon(), &v, &n));
    return NULL;
}

TEST(force_push_and_deleted_branch_are_followed) {
    struct arena *a = arena_current();
    struct git_remote_conf r = remote();
    struct git_commit before, after;
    OK(sh(prepare));
    OK(git_fetch(&r, mirror(), NULL, soon()));
    OK(git_resolve(a, mirror(), "main", soon(), &before));
    OK(sh("cd src; git -c user.name=A -c user.email=a@x commit -q --amend -m rewritten; git branch -qD other"));
    OK(git_fetch(&r, mirror(), NULL, soon()));
    OK(git_resolve(a, mirror(), "main", soon(), &after));
    CHECK(!z_eq(before.sha, after.sha));
    FAILS(ERR_NOT_FOUND, git_resolve(a, mirror(), "other", soon(), &after));
    return NULL;
}

TEST(silent_server_is_given_up) {
    struct git_ref ref;
    struct git_remote_conf r = {.url = "http://127.0.0.1:9/none", .allow_local = true};
    FAILS(ERR_GIT, git_ls_remote(arena_current(), &r, NULL, soon(), &ref));
    /* Accepts and says nothing. */
    const char *const argv[] = {
        "/usr/bin/python3", "-c",
        "import socket,sys,time\ns=socket.socket();s.bind(('127.0.0.1',0));s.listen();print(s.getsockname()[1],flush=True)\n"
        "c=s.accept();time.sleep(60)",
        NULL};
    struct proc_conf conf = {.argv = argv, .pipe_stdout = true};
    struct proc *p;
    struct str port;
    OK(proc_spawn(&conf, &p));
    OK(stream_read(proc_stdout(p), soon(), &port));
    port = str_trim(port);
    r.url = arena_printf(arena_current(), "http://127.0.0.1:%.*s/x", STR_ARG(port));
    FAILS(ERR_GIT_LIMIT, git_ls_remote(arena_current(), &r, NULL, deadline_in(700), &ref));
    proc_close(p);
    return NULL;
}

int main(int argc, char **argv) {
    if (argc > 1 && z_eq(argv[1], "git-helper"))
        return git_helper_main();
    (void)snprintf(dir, sizeof(dir), "/tmp/df-git-test-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return 1;
    const struct CMUnitTest tests[] = {LOOP_TEST(fetches_and_reads), LOOP_TEST(links_are_refused), LOOP_TEST(lists),
                                       LOOP_TEST(force_push_and_deleted_branch_are_followed),
                                       LOOP_TEST(silent_server_is_given_up)};
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    pid_t child = fork();
    if (child == 0)
        (void)execl("/bin/rm", "rm", "-rf", dir, (char *)NULL);
    (void)waitpid(child, NULL, 0);
    return rc;
}
