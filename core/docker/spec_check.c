/* Syntax of names that users give: containers, images, environment variables. */
#include "core/docker/spec.h"

static bool alnum(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
static bool lower_alnum(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z'); }

err_t docker_name_check(struct str name) {
    bool ok = name.n >= 2 && name.n <= 255 && alnum(name.p[0]);
    for (size_t i = 1; ok && i < name.n; i++)
        ok = alnum(name.p[i]) || name.p[i] == '_' || name.p[i] == '.' || name.p[i] == '-';
    if (!ok)
        return err_new(ERR_INVALID, "a name has 2 to 255 characters [a-zA-Z0-9_.-] and begins with a letter or digit");
    return NULL;
}

err_t docker_env_name_check(struct str name) {
    bool ok = name.n >= 1 && name.n <= 1024;
    for (size_t i = 0; ok && i < name.n; i++)
        ok = (unsigned char)name.p[i] > ' ' && name.p[i] != '=' && name.p[i] != 0x7f;
    if (!ok)
        return err_new(ERR_INVALID, "an environment name is not empty and has no '=', space or control character");
    return NULL;
}

err_t docker_ref_check(struct str ref) {
    bool ok = ref.n >= 1 && ref.n <= 255 && alnum(ref.p[0]);
    for (size_t i = 1; ok && i < ref.n; i++)
        ok = alnum(ref.p[i]) || ref.p[i] == '_' || ref.p[i] == '.' || ref.p[i] == '-';
    if (!ok)
        return err_new(ERR_INVALID, "an id or name has at most 255 characters [a-zA-Z0-9_.-]");
    return NULL;
}

/* ---- image references: [host[:port]/]path[:tag][@algorithm:hex] ---- */

static err_t bad_ref(const char *why) {
    return err_new(ERR_INVALID, "image reference: %s; expected [host[:port]/]name[:tag][@sha256:digest]", why);
}

static bool path_component(struct str c) {
    if (!c.n || !lower_alnum(c.p[0]) || !lower_alnum(c.p[c.n - 1]))
        return false;
    for (size_t i = 0; i < c.n; i++) {
        if (lower_alnum(c.p[i]) || c.p[i] == '-')
            continue;
        bool dot = c.p[i] == '.', under = c.p[i] == '_';
        if (!dot && !under)
            return false;
        size_t run = 1;
        while (i + run < c.n && c.p[i + run] == c.p[i])
            run++;
        if (run > (under ? 2u : 1u) || !lower_alnum(c.p[i + run]))
            return false;
        i += run - 1;
    }
    return true;
}

static bool host_component(struct str h) {
    ptrdiff_t colon = h.n && h.p[0] == '[' ? -1 : str_find_chr(h, ':');
    struct str name = colon < 0 ? h : str_slice(h, 0, (size_t)colon);
    if (h.n && h.p[0] == '[') { /* IPv6 literal */
        ptrdiff_t end = str_find_chr(h, ']');
        if (end < 2)
            return false;
        for (ptrdiff_t i = 1; i < end; i++)
            if (!alnum(h.p[i]) && h.p[i] != ':')
                return false;
        struct str rest = str_slice(h, (size_t)end + 1, h.n);
        if (rest.n == 0)
            return true;
        if (rest.p[0] != ':')
            return false;
        int64_t port6;
        return str_to_i64(str_slice(rest, 1, rest.n), 1, 65535, &port6) == NULL;
    }
    if (!name.n || !alnum(name.p[0]) || !alnum(name.p[name.n - 1]))
        return false;
    for (size_t i = 0; i < name.n; i++)
        if (!alnum(name.p[i]) && name.p[i] != '.' && name.p[i] != '-')
            return false;
    int64_t port;
    return colon < 0 || str_to_i64(str_slice(h, (size_t)colon + 1, h.n), 1, 65535, &port) == NULL;
}

static bool looks_like_host(struct str first) {
    return str_find_chr(first, '.') >= 0 || str_find_chr(first, ':') >= 0 || str_eq(first, STR("localhost")) ||
           (first.n && first.p[0] == '[');
}

static bool tag_ok(struct str t) {
    if (!t.n || t.n > 128 || t.p[0] == '.' || t.p[0] == '-')
        return false;
    for (size_t i = 0; i < t.n; i++)
        if (!alnum(t.p[i]) && t.p[i] != '_' && t.p[i] != '.' && t.p[i] != '-')
            return false;
    return true;
}

static bool digest_ok(struct str d) {
    struct str hex = str_slice(d, 7, d.n);
    if (!str_starts(d, STR("sha256:")) || hex.n != 64)
        return false;
    for (size_t i = 0; i < hex.n; i++)
        if (!((hex.p[i] >= '0' && hex.p[i] <= '9') || (hex.p[i] >= 'a' && hex.p[i] <= 'f')))
            return false;
    return true;
}

static err_t split_host(struct arena *a, struct str name, struct image_ref *r) {
    ptrdiff_t slash = str_find_chr(name, '/');
    struct str path = name;
    r->host = "docker.io";
    if (slash > 0 && looks_like_host(str_slice(name, 0, (size_t)slash))) {
        struct str host = str_slice(name, 0, (size_t)slash);
        if (!host_component(host))
            return bad_ref("bad registry host");
        path = str_slice(name, (size_t)slash + 1, name.n);
        r->host = str_eq(host, STR("index.docker.io")) ? "docker.io" : str_z(a, host);
    }
    struct str rest = path, part;
    size_t parts = 0;
    while (str_cut(&rest, '/', &part)) {
        if (!path_component(part))
            return bad_ref("the name has lower-case letters, digits and single separators . _ __ -");
        parts++;
    }
    if (!parts || (path.n && path.p[path.n - 1] == '/'))
        return bad_ref("no name");
    bool short_hub = parts == 1 && z_eq(r->host, "docker.io");
    r->path = short_hub ? arena_printf(a, "library/%.*s", STR_ARG(path)) : str_z(a, path);
    return NULL;
}

err_t image_ref_parse(struct arena *a, const char *text, struct image_ref *ret) {
    struct image_ref r = {0};
    struct str s = str_of(text);
    if (!s.n || s.n > 512)
        return bad_ref("empty or longer than 512");
    ptrdiff_t at = str_find_chr(s, '@');
    if (at >= 0) {
        struct str digest = str_slice(s, (size_t)at + 1, s.n);
        if (!digest_ok(digest))
            return bad_ref("the digest is not sha256: with 64 hex digits");
        r.digest = str_z(a, digest);
        s = str_slice(s, 0, (size_t)at);
    }
    for (size_t i = s.n; i-- > 0 && s.p[i] != '/';) {
        if (s.p[i] != ':')
            continue;
        struct str tag = str_slice(s, i + 1, s.n);
        if (!tag_ok(tag))
            return bad_ref("a tag has at most 128 characters [A-Za-z0-9_.-]");
        r.tag = str_z(a, tag);
        s = str_slice(s, 0, i);
        break;
    }
    if (s.n > 255)
        return bad_ref("the name is longer than 255");
    TRY(split_host(a, s, &r));
    r.name = str_z(a, s);
    *ret = r;
    return NULL;
}

err_t docker_image_ref_check(struct str ref) {
    struct arena *a = arena_new("image ref", 0);
    char *z = str_z(a, ref);
    struct image_ref r;
    bool nul = memchr(ref.p, 0, ref.n) != NULL;
    /* a bare image id is a reference too */
    bool id = digest_ok(ref);
    err_t e = nul ? bad_ref("it has a NUL byte") : id ? NULL : image_ref_parse(a, z, &r);
    arena_unref(a);
    return e;
}
