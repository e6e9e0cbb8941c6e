/* Servers that mean harm: remotes that lie or never end, packs that no client would make, redirects after a credential. Whatever they
 * do, it is an error within the deadline. */
#include "tests/unit/git/hostile.h"

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

static err_t large_is_refused(struct git_remote_conf r, const char *mirror) {
    struct str text;
    for (int again = 0; again < 2; again++) /* what was refused once is not believed to be there the next time */
        FAILS(ERR_GIT_LIMIT, git_fetch(&r, mirror, NULL, soon()));
    FAILS(ERR_NOT_FOUND, git_read(arena_current(), mirror, "main", "compose.yaml", 1000, soon(), &text, NULL));
    return sh(arena_printf(arena_current(), "test -z \"$(ls %s/objects/pack)\"", mirror));
}

/* Directories, commits and tags are read whole: none that is large comes in, as itself or as what a small one is made from. */
TEST(what_is_read_whole_has_a_limit) {
    static const char *const kinds[] = {"tree", "commit", "tag"};
    struct arena *a = arena_current();
    OK(server_start());
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const char *name = arena_printf(a, "large-%s.git", kinds[i]), *mirror = at(arena_printf(a, "%s.m", name));
        OK(hostile_pack(kinds[i], name));
        OK(large_is_refused(local(name), mirror));
    }
    OK(large_is_refused(trick("base"), at("large-base.m")));
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

/* Another port is another server, and so is another name for this one: nobody there hears of the request, let alone the credential.
 * Within the server a redirect is followed, as a forge answers for a renamed repository. */
TEST(redirects_end_at_the_server) {
    static const char *const away[] = {"redirect", "rename"};
    struct git_ref ref;
    OK(server_start());
    for (size_t i = 0; i < ARRAY_LEN(away); i++) {
        struct git_remote_conf r = trick(away[i]);
        r.auth = GIT_AUTH_TOKEN;
        r.secret = "sesame";
        err_t e = git_ls_remote(arena_current(), &r, NULL, soon(), &ref);
        CHECK(e && e->code == ERR_GIT);
        if (i == 0)
            CHECK(strstr(e->message, arena_printf(arena_current(), "redirects to 127.0.0.1 port %s", ports[1])));
        e = git_fetch(&r, at("away-mirror"), NULL, soon());
        CHECK(e && e->code == ERR_GIT);
    }
    OK(sh(arena_printf(arena_current(), "! grep '^%s ' requests", ports[1])));
    struct git_remote_conf moved = trick("moved"), good = trick("private");
    moved.auth = good.auth = GIT_AUTH_TOKEN;
    moved.secret = good.secret = "sesame";
    OK(git_ls_remote(arena_current(), &moved, NULL, soon(), &ref));
    OK(git_ls_remote(arena_current(), &good, NULL, soon(), &ref));
    OK(sh(arena_printf(arena_current(), "grep -q '^%s /private.* Basic ' requests", ports[0])));
    proc_close(server);
    return NULL;
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {LOOP_TEST(lies_are_errors),
                                       LOOP_TEST(too_many_objects_are_refused_from_the_header),
                                       LOOP_TEST(what_is_read_whole_has_a_limit), LOOP_TEST(what_never_ends_is_stopped),
                                       LOOP_TEST(redirects_end_at_the_server)};
    return hostile_main(argc, argv, tests, ARRAY_LEN(tests));
}
