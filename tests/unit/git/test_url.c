#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "core/git/git.h"

static struct arena *a;

static int setup(void **state) {
    (void)state;
    a = arena_new("test", 0);
    arena_set_current(a);
    return 0;
}
static int teardown(void **state) {
    (void)state;
    arena_set_current(NULL);
    arena_unref(a);
    return 0;
}

static void good_urls(void **state) {
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"https://Example.org/a/b.git", "https://example.org/a/b.git"},
        {"https://example.org:443/a", "https://example.org/a"},
        {"https://example.org:8443/a/", "https://example.org:8443/a"},
        {"https://[::1]:3000/a", "https://[::1]:3000/a"},
        {"ssh://git@example.org/a/b", "ssh://git@example.org/a/b"},
        {"ssh://example.org:2222/a", "ssh://git@example.org:2222/a"},
        {"git@example.org:group/p.git", "ssh://git@example.org/group/p.git"},
        {"deploy@example.org:/srv/p", "ssh://deploy@example.org/srv/p"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct git_url u;
        assert_null(git_url_parse(a, cases[i].in, false, &u));
        assert_string_equal(u.text, cases[i].out);
    }
}

static void bad_urls(void **state) {
    static const char *const cases[] = {
        "",
        "-oProxyCommand=x",
        "ext::sh -c id",
        "ext::sh",
        "git://example.org/a",
        "file:///etc",
        "/etc",
        "http://example.org/a",
        "https://user:pass@example.org/a",
        "https://token@example.org/a",
        "https://example.org",
        "https://example.org/",
        "https:///a",
        "https://exa mple.org/a",
        "https://example.org/a b",
        "https://example.org/../../etc",
        "https://example.org/a/../b",
        "https://example.org/--upload-pack=x",
        "https://example.org:0/a",
        "https://example.org:65536/a",
        "https://example.org:x/a",
        "https://-x/a",
        "ssh://-oProxyCommand=x/a",
        "ssh://git:pw@example.org/a",
        "git@-x:a",
        "example.org",
        "https://[::1/a",
        "https://[g::]/a",
        "https://example.org/a?x=1",
        "https://example.org/a#b",
        "ssh://g;id@example.org/a",
        "git@example.org:",
        "https://example.org/a\nb",
        "fd::17/foo",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct git_url u;
        err_t e = git_url_parse(a, cases[i], false, &u);
        if (e == NULL)
            fail_msg("accepted: %s", cases[i]);
        assert_int_equal(e->code, ERR_INVALID);
    }
}

static void local_paths_only_when_allowed(void **state) {
    struct git_url u;
    (void)state;
    assert_null(git_url_parse(a, "/srv/repo.git", true, &u));
    assert_int_equal(u.scheme, GIT_LOCAL);
    assert_null(git_url_parse(a, "file:///srv/repo.git", true, &u));
    assert_string_equal(u.text, "/srv/repo.git");
    assert_non_null(git_url_parse(a, "/srv/../etc", true, &u));
}

static void ref_names(void **state) {
    static const char *const good[] = {
        "main", "feature/x", "refs/heads/main", "v1.2.3", "0123456789012345678901234567890123456789", "ümlaut"};
    static const char *const bad[] = {"",        "-x",     "a..b", "a@{1}", "a b",   "a~1",   "a^",      "a:b",
                                      ":/regex", "a*",     "a[",   "a\\b",  "/a",    "a/",    "a//b",    ".a",
                                      "a/.b",    "a.lock", "a.",   "@",     "a\x01", "a\x7f", "\xff\xfe"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        if (!git_ref_valid(good[i]))
            fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (git_ref_valid(bad[i]))
            fail_msg("accepted: %s", bad[i]);
    char *longest = arena_alloc(a, 70000, 1);
    memset(longest, 'a', 69999);
    longest[69999] = '\0';
    assert_false(git_ref_valid(longest));
}

static void paths_stay_inside(void **state) {
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"a/b", "a/b"},      {"./a//b/", "a/b"}, {"a/../b", "b"},       {"", ""},           {".", ""},     {"..", NULL},
        {"a/../../b", NULL}, {"/a", NULL},       {".git/config", NULL}, {"x/.GIT/y", NULL}, {"a\nb", NULL}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *out = NULL;
        err_t e = git_path_clean(a, cases[i].in, &out);
        if (cases[i].out) {
            assert_null(e);
            assert_string_equal(out, cases[i].out);
        } else {
            assert_non_null(e);
            assert_int_equal(e->code, ERR_PATH_ESCAPE);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(good_urls, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_urls, setup, teardown),
        cmocka_unit_test_setup_teardown(local_paths_only_when_allowed, setup, teardown),
        cmocka_unit_test_setup_teardown(ref_names, setup, teardown),
        cmocka_unit_test_setup_teardown(paths_stay_inside, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
