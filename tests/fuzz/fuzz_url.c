/* Everything that reads a URL, path, query or ref from outside. First byte: which. What is accepted is a fixed point. */
#include "core/base/check.h"
#include "core/git/git.h"
#include "server/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool has_dots(struct str path) {
    struct str part;
    while (str_cut(&path, '/', &part))
        if (str_eqz(part, "..") || str_eqz(part, "."))
            return true;
    return false;
}

static void request_path(struct arena *a, struct str in) {
    struct str p;
    if (path_canonical(a, in, &p) != NULL)
        return;
    CHECK(p.n >= 1 && p.n <= in.n && p.p[0] == '/' && p.p[p.n] == '\0' && strlen(p.p) == p.n);
    CHECK(str_is_utf8(p) && !has_dots(p) && str_find(p, STR("//")) < 0 && str_find_chr(p, '\\') < 0);
}

static void query(struct arena *a, struct str in) {
    struct query_param *v = NULL;
    size_t n = 0;
    if (query_parse(a, in, &v, &n) != NULL)
        return;
    CHECK(n <= QUERY_MAX_PARAMS);
    for (size_t i = 0; i < n; i++)
        CHECK(strlen(v[i].value) <= QUERY_MAX_VALUE && str_is_utf8(str_of(v[i].name)) &&
              str_is_utf8(str_of(v[i].value)));
}

static void escapes(struct arena *a, struct str in) {
    struct str out, back;
    (void)url_decode(a, in, true, &out);
    char *text = url_encode(a, in);
    CHECK(url_decode(a, str_of(text), false, &back) && str_eq(back, in));
}

static void repository(struct arena *a, struct str in) {
    struct git_url u, again;
    const char *z = str_z(a, in);
    for (int local = 0; local < 2; local++) {
        if (git_url_parse(a, z, local, &u) != NULL)
            continue;
        CHECK(u.text && u.path && u.text[0] != '-' && (u.host == NULL || u.host[0] != '-'));
        CHECK(local || (u.scheme != GIT_LOCAL && u.scheme != GIT_HTTP));
        CHECK(strlen(u.path) <= 1024 && strpbrk(u.text, " \t\r\n'\"`\\<>") == NULL);
        err_t e = git_url_parse(a, u.text, local, &again);
        CHECK(e == NULL && z_eq(again.text, u.text) && again.port == u.port && again.scheme == u.scheme);
    }
}

static void repository_path(struct arena *a, struct str in) {
    const char *p, *again;
    if (git_path_clean(a, str_z(a, in), &p) != NULL)
        return;
    CHECK(p[0] != '/' && !has_dots(str_of(p)));
    err_t e = git_path_clean(a, p, &again);
    CHECK(e == NULL && z_eq(p, again));
}

static void ref(struct arena *a, struct str in) {
    const char *z = str_z(a, in);
    if (git_ref_valid(z))
        CHECK(z[0] != '-' && strstr(z, "..") == NULL && strpbrk(z, " ~^:?*[\\") == NULL && strlen(z) <= 255);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static void (*const readers[])(struct arena *, struct str) = {request_path, query,           escapes,
                                                                  repository,   repository_path, ref};
    if (size < 1)
        return 0;
    struct arena *a = arena_new("fuzz", 0), *old = arena_set_current(a);
    readers[data[0] % ARRAY_LEN(readers)](a, str_n((const char *)data + 1, size - 1));
    arena_set_current(old);
    arena_unref(a);
    return 0;
}
