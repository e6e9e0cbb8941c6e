/* Repositories and servers that mean harm: links and odd names in trees, bombs, remotes that lie or never end, redirects after a
 * credential. Whatever they do, it is an error within the deadline, and this process stays small. */
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "core/async/proc.h"
#include "core/git/git.h"
#include "tests/unit/async/async_test.h"

static char dir[64];

static uint64_t soon(void) { return deadline_in(SECONDS(20)); }

static err_t sh(const char *script) {
    const char *const argv[] = {"/bin/bash", "-ec", script, NULL};
    struct proc_conf conf = {.argv = argv, .cwd = dir};
    struct str out;
    err_t e = proc_run(&conf, soon(), KIB(64), &out);
    if (e)
        (void)fprintf(stderr, "%s\n%s\n", script, e->message);
    return e;
}

static const char *at(const char *name) { return arena_printf(arena_current(), "%s/%s", dir, name); }

static struct git_remote_conf local(const char *name) {
    return (struct git_remote_conf){.url = at(name), .allow_local = true};
}

/* A repository from a stream: what no working copy would let through. */
TEST(links_lead_nowhere) {
    static const char *const paths[] = {
        "compose.yaml", "env/secret.env",      "linked/compose.yaml", "chain", "module/a", "up",
        "linked",       "env/../compose.yaml", "linked/../up/hosts"};
    struct arena *a = arena_current();
    struct git_remote_conf r = local("links.git");
    struct str text;
    OK(sh("git init -q --bare -b main links.git; cd links.git; git fast-import --quiet <<'END'\n"
          "commit refs/heads/main\ncommitter A <a@x> 1700000000 +0000\ndata 1\nx\n"
          "M 120000 inline compose.yaml\ndata 11\n/etc/shadow\n"
          "M 120000 inline env/secret.env\ndata 18\n../../../etc/fstab\n"
          "M 120000 inline linked\ndata 5\ninner\n"
          "M 100644 inline inner/compose.yaml\ndata 13\nservices: {}\n\n"
          "M 120000 inline chain\ndata 6\nlinked\n"
          "M 120000 inline up\ndata 5\n../..\n"
          "M 160000 1111111111111111111111111111111111111111 module\n"
          "M 100644 inline .gitmodules\ndata <<X\n[submodule \"module\"]\n\tpath=module\n\turl=ext::sh -c id\nX\n"
          "done\nEND"));
    OK(git_fetch(&r, at("links-mirror"), NULL, soon()));
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        FAILS(ERR_PATH_ESCAPE, git_read(a, at("links-mirror"), "main", paths[i], 1000, soon(), &text, NULL));
    OK(git_read(a, at("links-mirror"), "main", "inner/compose.yaml", 1000, soon(), &text, NULL));
    /* Nothing of it became a file, a hook, a module or a borrowed object store. */
    OK(sh(
        "cd links-mirror; test ! -e modules; test ! -e objects/info/alternates; test -z \"$(find . -type f -perm /111 ! -name README.sample)\";"
        "! grep -qE 'sshCommand|fsmonitor|hooksPath|submodule' config"));
    return NULL;
}

static const char raw_tree[] =
    "git init -q --bare -b main odd.git; cd odd.git; b=$(echo evil | git hash-object -w --stdin);"
    "raw() { { for n in \"$@\"; do printf '100644 %s\\0' \"$n\"; printf $(echo $b | sed 's/../\\\\x&/g'); done; } |"
    "  git hash-object -t tree --literally -w --stdin; };"
    "save() { c=$(git -c user.name=A -c user.email=a@x commit-tree -m x $2); git update-ref refs/heads/$1 $c; };"
    "save dots $(raw ..); save dot $(raw .); save slash $(raw a/../../x); save abs $(raw /etc/passwd);"
    "save git $(raw .git); save upper $(raw .GIT); save short $(raw git~1)";

/* Names that no honest tree has. They are refused where a tree is taken whole; short names of other systems are only names. */
TEST(odd_names_are_refused) {
    static const char *const bad[] = {"dots", "dot", "slash", "abs", "git", "upper"};
    struct arena *a = arena_current();
    struct git_remote_conf r = local("odd.git");
    struct git_entry *v;
    struct str text;
    size_t n;
    OK(sh(raw_tree));
    OK(git_fetch(&r, at("odd-mirror"), NULL, soon()));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        FAILS(ERR_PATH_ESCAPE, git_list(a, at("odd-mirror"), bad[i], "", true, 100, soon(), &v, &n));
    OK(git_list(a, at("odd-mirror"), "short", "", true, 100, soon(), &v, &n));
    CHECK(n == 1 && z_eq(v[0].path, "git~1"));
    FAILS(ERR_PATH_ESCAPE, git_read(a, at("odd-mirror"), "git", ".git", 100, soon(), &text, NULL));
    FAILS(ERR_PATH_ESCAPE, git_read(a, at("odd-mirror"), "slash", "a/../../x", 100, soon(), &text, NULL));
    return NULL;
}

static long peak_kib(void) {
    struct rusage u;
    (void)getrusage(RUSAGE_SELF, &u);
    return u.ru_maxrss;
}

/* Some hundred KiB that unpack to 96 MiB: the size is known before anything is unpacked. */
TEST(a_bomb_is_not_unpacked) {
    struct arena *a = arena_current();
    struct git_remote_conf r = local("bomb.git");
    struct str text;
    OK(sh("git init -q --bare -b main bomb.git; cd bomb.git; b=$(head -c 96M /dev/zero | git hash-object -w --stdin);"
          "t=$(printf '100644 blob %s\\tcompose.yaml\\n' $b | git mktree);"
          "git update-ref refs/heads/main $(git -c user.name=A -c user.email=a@x commit-tree -m x $t)"));
    OK(git_fetch(&r, at("bomb-mirror"), NULL, soon()));
    long before = peak_kib();
    FAILS(ERR_TOO_LARGE, git_read(a, at("bomb-mirror"), "main", "compose.yaml", MIB(1), soon(), &text, NULL));
    CHECK(peak_kib() - before < 32 * 1024);
    return NULL;
}

TEST(too_deep_too_many) {
    struct arena *a = arena_current();
    struct git_remote_conf deep = local("deep.git"), many = local("many.git");
    struct git_entry *v;
    struct git_ref ref;
    size_t n;
    OK(sh(
        "git init -q --bare -b main deep.git; cd deep.git; p=$(printf 'd/%.0s' {1..100})f; git fast-import --quiet <<END\n"
        "commit refs/heads/main\ncommitter A <a@x> 1700000000 +0000\ndata 1\nx\nM 100644 inline $p\ndata 1\nx\ndone\nEND"));
    OK(git_fetch(&deep, at("deep-mirror"), NULL, soon()));
    FAILS(ERR_GIT_LIMIT, git_list(a, at("deep-mirror"), "main", "", true, 1000, soon(), &v, &n));
    OK(sh("git clone -q --bare deep.git many.git; cd many.git; c=$(git rev-parse main);"
          "seq -f \"$c refs/heads/b%06g\" 100001 > packed-refs"));
    FAILS(ERR_GIT_LIMIT, git_ls_remote(a, &many, "b000001", soon(), &ref));
    return NULL;
}

/* --- servers --- */

static struct proc *server;
static const char *ports[2];

static err_t server_start(void) {
    const char *const argv[] = {"/usr/bin/python3", "tests/unit/git/hostile_git.py", at("requests"), NULL};
    struct proc_conf conf = {.argv = argv, .pipe_stdin = true, .pipe_stdout = true};
    struct str line, port;
    OK(proc_spawn(&conf, &server));
    OK(stream_read(proc_stdout(server), soon(), &line));
    line = str_trim(line);
    CHECK(str_cut(&line, ' ', &port));
    ports[0] = str_z(arena_current(), port);
    ports[1] = str_z(arena_current(), line);
    return NULL;
}

static struct git_remote_conf trick(const char *name) {
    return (struct git_remote_conf){.url = arena_printf(arena_current(), "http://127.0.0.1:%s/%s", ports[0], name),
                                    .allow_local = true};
}

/* No helper is left behind: this process comes to have one child, the server (and the shell that counts). */
static err_t only_the_server_runs(void) {
    const char *const argv[] = {"/bin/sh", "-c", "cat /proc/$PPID/task/*/children | wc -w", NULL};
    struct proc_conf conf = {.argv = argv};
    uint64_t until = soon();
    struct str out;
    do {
        TRY(fiber_sleep(20));
        TRY(proc_run(&conf, until, 100, &out));
    } while (!str_eqz(str_trim(out), "2"));
    return NULL;
}

TEST(lies_are_errors) {
    static const char *const talk[] = {"pktline", "short", "long", "nul"}, *const packs[] = {"zlib", "garbage",
                                                                                             "fatal"};
    struct git_ref ref;
    struct str none;
    OK(server_start());
    for (size_t i = 0; i < ARRAY_LEN(talk); i++) {
        struct git_remote_conf r = trick(talk[i]);
        FAILS(ERR_GIT, git_ls_remote(arena_current(), &r, NULL, soon(), &ref));
    }
    for (size_t i = 0; i < ARRAY_LEN(packs); i++) {
        struct git_remote_conf r = trick(packs[i]);
        err_t e = git_fetch(&r, at("lies-mirror"), NULL, soon());
        CHECK(e && e->code == ERR_GIT);
        FAILS(ERR_NOT_FOUND, git_read(arena_current(), at("lies-mirror"), "main", "x", 100, soon(), &none, NULL));
    }
    struct git_remote_conf names = trick("names");
    /* Refused or left out, as the library likes: no file of the mirror is written through a name. */
    err_ignore(git_fetch(&names, at("names-mirror"), NULL, soon()));
    OK(sh("cd names-mirror; ! grep -rq 1111 config HEAD refs; test ! -e ../config"));
    OK(only_the_server_runs());
    proc_close(server);
    return NULL;
}

TEST(too_many_objects_are_refused_from_the_header) {
    OK(server_start());
    struct git_remote_conf r = trick("objects");
    FAILS(ERR_GIT_LIMIT, git_fetch(&r, at("objects-mirror"), NULL, soon()));
    proc_close(server);
    return NULL;
}

TEST(what_never_ends_is_stopped) {
    struct git_ref ref;
    OK(server_start());
    struct git_remote_conf sideband = trick("sideband"), refs = trick("refs");
    FAILS(ERR_GIT_LIMIT, git_fetch(&sideband, at("endless-mirror"), NULL, deadline_in(1500)));
    FAILS(ERR_GIT_LIMIT, git_ls_remote(arena_current(), &refs, NULL, deadline_in(1500), &ref));
    OK(only_the_server_runs());
    proc_close(server);
    return NULL;
}

/* A redirect to a place that asks for a password: nobody there hears of the credential. */
TEST(a_credential_is_not_redirected) {
    struct git_ref ref;
    OK(server_start());
    struct git_remote_conf r = trick("redirect"), good = trick("private");
    r.auth = good.auth = GIT_AUTH_TOKEN;
    r.secret = good.secret = "sesame";
    err_t e = git_ls_remote(arena_current(), &r, NULL, soon(), &ref);
    /* libgit2 1.5 goes to the new place in spite of REDIRECT_NONE; there it is stopped by whom the credential belongs to. */
    CHECK(e && (e->code == ERR_GIT || e->code == ERR_GIT_AUTH));
    OK(sh(arena_printf(arena_current(), "! grep '^%s .* Basic ' requests", ports[1])));
    /* The same server gets it when it asks for itself. */
    OK(git_ls_remote(arena_current(), &good, NULL, soon(), &ref));
    OK(sh(arena_printf(arena_current(), "grep -q '^%s /private.* Basic ' requests", ports[0])));
    proc_close(server);
    return NULL;
}

int main(int argc, char **argv) {
    if (argc > 1 && z_eq(argv[1], "git-helper"))
        return git_helper_main();
    (void)snprintf(dir, sizeof(dir), "/tmp/df-git-evil-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return 1;
    (void)setenv("GIT_CONFIG_GLOBAL", "/dev/null", 1);
    const struct CMUnitTest tests[] = {LOOP_TEST(links_lead_nowhere),
                                       LOOP_TEST(odd_names_are_refused),
                                       LOOP_TEST(a_bomb_is_not_unpacked),
                                       LOOP_TEST(too_deep_too_many),
                                       LOOP_TEST(lies_are_errors),
                                       LOOP_TEST(too_many_objects_are_refused_from_the_header),
                                       LOOP_TEST(what_never_ends_is_stopped),
                                       LOOP_TEST(a_credential_is_not_redirected)};
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    pid_t child = fork();
    if (child == 0)
        (void)execl("/bin/rm", "rm", "-rf", dir, (char *)NULL);
    (void)waitpid(child, NULL, 0);
    return rc;
}
