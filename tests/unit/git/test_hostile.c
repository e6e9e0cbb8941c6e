/* Repositories that mean harm: links and odd names in trees, bombs, what is too large or too many. Whatever they do, it is an error,
 * and this process stays small. */
#include <sys/resource.h>
#include "tests/unit/git/hostile.h"

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

/* The header says how large a directory, a commit or a tag is. */
TEST(a_large_directory_is_not_unpacked) {
    struct arena *a = arena_current();
    struct git_commit c;
    struct git_entry *v;
    struct str text;
    size_t n;
    OK(hostile_pack("tree", "in-tree.git"));
    OK(hostile_pack("commit", "in-commit.git"));
    OK(hostile_pack("tag", "in-tag.git"));
    OK(hostile_pack("loop", "in-loop.git"));
    FAILS(ERR_GIT_LIMIT, git_read(a, at("in-tree.git"), "main", "f0000001", 1000, soon(), &text, NULL));
    FAILS(ERR_GIT_LIMIT, git_read(a, at("in-tree.git"), "sub", "dir/f0000001", 1000, soon(), &text, NULL));
    FAILS(ERR_GIT_LIMIT, git_list(a, at("in-tree.git"), "main", "", false, 10, soon(), &v, &n));
    FAILS(ERR_GIT_LIMIT, git_list(a, at("in-tree.git"), "sub", "dir", false, 10, soon(), &v, &n));
    FAILS(ERR_GIT_LIMIT, git_list(a, at("in-tree.git"), "sub", "", true, 10, soon(), &v, &n));
    FAILS(ERR_GIT_LIMIT, git_resolve(a, at("in-commit.git"), "main", soon(), &c));
    FAILS(ERR_GIT_LIMIT, git_resolve(a, at("in-tag.git"), "t", soon(), &c));
    FAILS(ERR_GIT_LIMIT, git_resolve(a, at("in-loop.git"), "t", soon(), &c));
    OK(git_resolve(a, at("in-loop.git"), "main", soon(), &c));
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

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {LOOP_TEST(links_lead_nowhere), LOOP_TEST(odd_names_are_refused),
                                       LOOP_TEST(a_bomb_is_not_unpacked), LOOP_TEST(a_large_directory_is_not_unpacked),
                                       LOOP_TEST(too_deep_too_many)};
    return hostile_main(argc, argv, tests, ARRAY_LEN(tests));
}
