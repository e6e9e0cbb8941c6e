#include <ctype.h>
#include "core/base/buf.h"
#include "core/git/git.h"

static bool clean_bytes(const char *s) {
    for (const unsigned char *p = (const unsigned char *)s; *p; p++)
        if (*p <= 0x20 || *p == 0x7f || *p == '\\' || *p == '"' || *p == '\'' || *p == '`' || *p == '<' || *p == '>')
            return false;
    return true;
}

static bool host_ok(struct str h) {
    if (h.n == 0 || h.n > 253 || h.p[0] == '-' || h.p[0] == '.')
        return false;
    for (size_t i = 0; i < h.n; i++) {
        unsigned char c = (unsigned char)h.p[i];
        if (!isalnum(c) && c != '-' && c != '.' && c != '_')
            return false;
    }
    return true;
}

static bool ipv6_ok(struct str h) {
    for (size_t i = 0; i < h.n; i++)
        if (!isxdigit((unsigned char)h.p[i]) && h.p[i] != ':' && h.p[i] != '.')
            return false;
    return h.n >= 2 && h.n <= 45;
}

static bool user_ok(struct str u) {
    for (size_t i = 0; i < u.n; i++) {
        unsigned char c = (unsigned char)u.p[i];
        if (!isalnum(c) && c != '-' && c != '.' && c != '_')
            return false;
    }
    return u.n > 0 && u.n <= 64 && u.p[0] != '-';
}

static err_t bad(const char *why) { return err_field(err_new(ERR_INVALID, "repository URL: %s", why), "url"); }

/* host[:port] of an authority without user part */
static err_t take_host_port(struct arena *a, struct str auth, int default_port, struct git_url *u) {
    struct str host = auth, port = {NULL, 0};
    if (auth.n && auth.p[0] == '[') {
        ptrdiff_t end = str_find_chr(auth, ']');
        if (end < 0 || !ipv6_ok(str_slice(auth, 1, (size_t)end)))
            return bad("malformed IPv6 address");
        host = str_slice(auth, 0, (size_t)end + 1);
        struct str rest = str_slice(auth, (size_t)end + 1, auth.n);
        if (rest.n && rest.p[0] != ':')
            return bad("unexpected text after the address");
        port = str_slice(rest, 1, rest.n);
    } else {
        ptrdiff_t colon = str_find_chr(auth, ':');
        if (colon >= 0) {
            host = str_slice(auth, 0, (size_t)colon);
            port = str_slice(auth, (size_t)colon + 1, auth.n);
        }
        if (!host_ok(host))
            return bad("host name has characters that are not allowed");
    }
    int64_t n = default_port;
    if (port.n && str_to_i64(port, 1, 65535, &n) != NULL)
        return bad("port must be 1 to 65535");
    u->host = str_lower(a, host);
    u->port = (int)n;
    return NULL;
}

static err_t take_path(struct arena *a, struct str path, struct git_url *u) {
    while (path.n > 1 && path.p[path.n - 1] == '/')
        path.n--;
    if (path.n < 2)
        return bad("the repository path is missing");
    if (path.n > 1024)
        return bad("the repository path is longer than 1024 bytes");
    struct str rest = path, part;
    while (str_cut(&rest, '/', &part))
        if (str_eqz(part, "..") || (part.n && part.p[0] == '-'))
            return bad("path parts must not be '..' or start with '-'");
    if (str_find_chr(path, '?') >= 0 || str_find_chr(path, '#') >= 0)
        return bad("query and fragment are not allowed");
    u->path = str_z(a, path);
    return NULL;
}

static err_t parse_web(struct arena *a, struct str rest, bool tls, struct git_url *u) {
    ptrdiff_t slash = str_find_chr(rest, '/');
    if (slash < 0)
        return bad("the repository path is missing");
    struct str auth = str_slice(rest, 0, (size_t)slash);
    if (str_find_chr(auth, '@') >= 0)
        return bad("credentials do not belong into the URL; give them as the repository's token");
    u->scheme = tls ? GIT_HTTPS : GIT_HTTP;
    int dflt = tls ? 443 : 80;
    TRY(take_host_port(a, auth, dflt, u));
    TRY(take_path(a, str_slice(rest, (size_t)slash, rest.n), u));
    const char *scheme = tls ? "https" : "http";
    u->text = u->port == dflt ? arena_printf(a, "%s://%s%s", scheme, u->host, u->path)
                              : arena_printf(a, "%s://%s:%d%s", scheme, u->host, u->port, u->path);
    return NULL;
}

static err_t finish_ssh(struct arena *a, struct git_url *u) {
    u->text = u->port == 22 ? arena_printf(a, "ssh://%s@%s%s", u->user, u->host, u->path)
                            : arena_printf(a, "ssh://%s@%s:%d%s", u->user, u->host, u->port, u->path);
    return NULL;
}

static err_t take_user(struct arena *a, struct str *auth, struct git_url *u) {
    u->user = "git";
    ptrdiff_t at = str_find_chr(*auth, '@');
    if (at < 0)
        return NULL;
    struct str user = str_slice(*auth, 0, (size_t)at);
    if (str_find_chr(user, ':') >= 0)
        return bad("a password does not belong into the URL");
    if (!user_ok(user))
        return bad("user name has characters that are not allowed");
    u->user = str_z(a, user);
    *auth = str_slice(*auth, (size_t)at + 1, auth->n);
    return NULL;
}

static err_t parse_ssh(struct arena *a, struct str rest, struct git_url *u) {
    ptrdiff_t slash = str_find_chr(rest, '/');
    if (slash < 0)
        return bad("the repository path is missing");
    struct str auth = str_slice(rest, 0, (size_t)slash);
    u->scheme = GIT_SSH;
    TRY(take_user(a, &auth, u));
    TRY(take_host_port(a, auth, 22, u));
    TRY(take_path(a, str_slice(rest, (size_t)slash, rest.n), u));
    return finish_ssh(a, u);
}

/* git@host:group/project.git */
static err_t parse_scp(struct arena *a, struct str s, struct git_url *u) {
    ptrdiff_t at = str_find_chr(s, '@');
    ptrdiff_t colon = str_find_chr(s, ':');
    if (colon < 0 || at > colon)
        return bad("use https://host/path, ssh://user@host/path or user@host:path");
    struct str auth = str_slice(s, 0, (size_t)colon);
    struct str path = str_slice(s, (size_t)colon + 1, s.n);
    u->scheme = GIT_SSH;
    TRY(take_user(a, &auth, u));
    TRY(take_host_port(a, auth, 22, u));
    const char *abs = path.n && path.p[0] == '/' ? str_z(a, path) : arena_printf(a, "/%.*s", STR_ARG(path));
    TRY(take_path(a, str_of(abs), u));
    return finish_ssh(a, u);
}

static err_t parse_local(struct arena *a, struct str path, struct git_url *u) {
    u->scheme = GIT_LOCAL;
    if (path.n == 0 || path.p[0] != '/')
        return bad("a local path must be absolute"); /* what follows file:// must not read as another kind of URL */
    TRY(take_path(a, path, u));
    u->text = u->path;
    return NULL;
}

err_t git_url_parse(struct arena *a, const char *text, bool allow_local, struct git_url *ret) {
    struct str s = str_of(text);
    struct git_url u = {0};
    if (s.n == 0 || s.n > 2048)
        return bad("must have 1 to 2048 bytes");
    if (!clean_bytes(text) || text[0] == '-')
        return bad("white space, quotes, backslashes and a leading '-' are not allowed");
    if (str_starts(s, STR("https://"))) {
        TRY(parse_web(a, str_slice(s, 8, s.n), true, &u));
    } else if (str_starts(s, STR("http://"))) {
        if (!allow_local)
            return bad("http:// sends credentials in the clear; use https:// or ssh://");
        TRY(parse_web(a, str_slice(s, 7, s.n), false, &u));
    } else if (str_starts(s, STR("ssh://"))) {
        TRY(parse_ssh(a, str_slice(s, 6, s.n), &u));
    } else if (str_starts(s, STR("file://")) || s.p[0] == '/') {
        if (!allow_local)
            return bad("local paths are only allowed in development mode");
        TRY(parse_local(a, s.p[0] == '/' ? s : str_slice(s, 7, s.n), &u));
    } else if (str_find(s, STR("::")) >= 0 || str_find(s, STR("://")) >= 0) {
        return bad("scheme not allowed; use https:// or ssh://");
    } else {
        TRY(parse_scp(a, s, &u));
    }
    *ret = u;
    return NULL;
}

bool git_ref_valid(const char *ref) {
    size_t n = ref ? strlen(ref) : 0;
    if (n == 0 || n > 255 || ref[0] == '-' || ref[0] == '/' || ref[n - 1] == '/' || ref[n - 1] == '.')
        return false;
    if (z_eq(ref, "@") || strstr(ref, "..") || strstr(ref, "@{") || strstr(ref, "//") || strstr(ref, "/."))
        return false;
    struct str rest = str_of(ref), part;
    while (str_cut(&rest, '/', &part))
        if (part.n == 0 || part.p[0] == '.' || str_ends(part, STR(".lock")))
            return false;
    for (const unsigned char *p = (const unsigned char *)ref; *p; p++)
        if (*p <= 0x20 || *p == 0x7f || strchr("~^:?*[\\", *p))
            return false;
    return str_is_utf8(str_of(ref));
}

err_t git_path_clean(struct arena *a, const char *path, const char **ret) {
    struct str rest = str_of(path), part;
    if (rest.n > 4096 || !str_is_utf8(rest) || memchr(rest.p ? rest.p : "", '\n', rest.n))
        return err_new(ERR_PATH_ESCAPE, "path is too long or has characters that are not allowed");
    if (rest.n && rest.p[0] == '/')
        return err_new(ERR_PATH_ESCAPE, "path '%s' is absolute; give it relative to the repository", path);
    struct str stack[128];
    size_t n = 0;
    while (str_cut(&rest, '/', &part)) {
        if (part.n == 0 || str_eqz(part, "."))
            continue;
        if (str_eqz(part, "..")) {
            if (n == 0)
                return err_new(ERR_PATH_ESCAPE, "path '%s' leaves the repository", path);
            n--;
            continue;
        }
        if (str_eq_nocase(part, STR(".git")) || n == ARRAY_LEN(stack))
            return err_new(ERR_PATH_ESCAPE, "path '%s' is not allowed", path);
        stack[n++] = part;
    }
    AUTO_BUF b;
    buf_init(&b, 256, KIB(8));
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_putc(&b, '/');
        buf_put(&b, stack[i].p, stack[i].n);
    }
    TRY(buf_check(&b));
    *ret = str_z(a, buf_str(&b));
    return NULL;
}
