/* What a value, or a combination of values, may be. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core/base/check.h"
#include "core/conf/conf_schema.h"

err_t conf_parse_listen(struct arena *a, struct str s, const char **ret_host, int *ret_port) {
    struct str host = {NULL, 0}, port = {NULL, 0};
    bool ok = false;
    if (s.n > 0 && s.p[0] == '[') {
        ptrdiff_t end = str_find_chr(s, ']');
        uint8_t addr[16];
        ok = end > 0 && (size_t)end + 1 < s.n && s.p[end + 1] == ':';
        if (ok) {
            host = str_slice(s, 1, (size_t)end);
            port = str_slice(s, (size_t)end + 2, s.n);
            ok = inet_pton(AF_INET6, str_z(a, host), addr) == 1;
        }
    } else {
        ptrdiff_t colon = str_find_chr(s, ':');
        ok = colon >= 0;
        if (ok) {
            host = str_slice(s, 0, (size_t)colon);
            port = str_slice(s, (size_t)colon + 1, s.n);
        }
    }
    for (size_t i = 0; ok && i < host.n; i++) /* a name or an address, nothing that could be a path or two of them */
        ok = strchr("/ \t,@", host.p[i]) == NULL;
    int64_t v = 0;
    if (!ok || host.n > 253 || str_to_i64(port, 0, 65535, &v) != NULL)
        return err_new(ERR_CONFIG, "host:port is expected, like 127.0.0.1:8080, [::1]:8080 or :8080");
    *ret_host = str_z(a, host);
    *ret_port = (int)v;
    return NULL;
}

bool conf_parse_address(struct str s, uint8_t ret[16]) {
    char text[INET6_ADDRSTRLEN];
    uint8_t addr[16] = {[10] = 0xff, [11] = 0xff};
    if (s.n >= sizeof(text) || memchr(s.p, '\0', s.n) != NULL)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    if (inet_pton(AF_INET, text, addr + 12) != 1 && inet_pton(AF_INET6, text, addr) != 1)
        return false;
    memcpy(ret, addr, sizeof(addr));
    return true;
}

static bool is_network(const struct conf_cidr *c) {
    for (unsigned bit = c->bits; bit < 128; bit++)
        if (c->addr[bit / 8] & 0x80 >> bit % 8)
            return false;
    return true;
}

err_t conf_parse_cidr(struct str s, struct conf_cidr *ret) {
    struct str rest = s, addr = {NULL, 0};
    struct conf_cidr c = {.bits = 128};
    int64_t bits = -1;
    bool ok = str_cut(&rest, '/', &addr) && conf_parse_address(addr, c.addr);
    if (ok && rest.p != NULL) {
        bool v4 = str_find_chr(addr, ':') < 0;
        ok = str_to_i64(rest, 0, v4 ? 32 : 128, &bits) == NULL;
        c.bits = (uint8_t)(v4 ? 96 + bits : bits);
    }
    if (!ok)
        return err_new(ERR_CONFIG, "an address or network is expected, like 10.0.0.0/8 or ::1");
    if (!is_network(&c))
        return err_new(ERR_CONFIG,
                       "the address has bits set after the prefix of %lld: a single address has no prefix, "
                       "a network ends in zeros",
                       (long long)bits);
    *ret = c;
    return NULL;
}

bool conf_cidr_contains(const struct conf_cidr *net, const uint8_t addr[16]) {
    size_t whole = net->bits / 8;
    if (memcmp(net->addr, addr, whole) != 0)
        return false;
    unsigned rest = net->bits % 8, mask = 0xff00u >> rest & 0xff;
    return rest == 0 || ((net->addr[whole] ^ addr[whole]) & mask) == 0;
}

err_t conf_rule_listen(struct str s) {
    const char *host;
    int port;
    return conf_parse_listen(arena_current(), s, &host, &port);
}

err_t conf_rule_cidr(struct str s) {
    struct conf_cidr c;
    return conf_parse_cidr(s, &c);
}

static bool has_any(struct str s, const char *bad) {
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f || strchr(bad, s.p[i]) != NULL)
            return true;
    return false;
}

/* The part after http:// or https://; n 0 if it is neither. */
static struct str after_scheme(struct str s) {
    if (str_starts(s, STR("https://")))
        return str_slice(s, 8, s.n);
    return str_starts(s, STR("http://")) ? str_slice(s, 7, s.n) : STR("");
}

err_t conf_rule_url(struct str s) {
    struct str rest = after_scheme(s);
    if (rest.n == 0 || rest.p[0] == '/' || has_any(s, "?#@\\\"<>"))
        return err_new(ERR_CONFIG, "an http:// or https:// address without user, query or fragment is expected");
    return NULL;
}

err_t conf_rule_origin(struct str s) {
    struct str rest = after_scheme(s);
    if (rest.n == 0 || has_any(s, "?#@\\\"<>*") || str_find_chr(rest, '/') >= 0)
        return err_new(ERR_CONFIG, "an origin is expected, like https://portal.example.com: no path, no wildcard");
    return NULL;
}

err_t conf_rule_abs_path(struct str s) {
    return s.p[0] == '/' ? NULL : err_new(ERR_CONFIG, "an absolute path is expected");
}

err_t conf_rule_database(struct str s) {
    bool url = str_starts(s, STR("postgresql://")) || str_starts(s, STR("postgres://"));
    if (url || (str_find(s, STR("://")) < 0 && str_find_chr(s, '=') > 0))
        return NULL;
    return err_new(ERR_CONFIG, "postgresql://user:password@host:port/name is expected");
}

err_t conf_rule_docker(struct str s) {
    const char *host;
    int port = 0;
    if (str_starts(s, STR("unix:///")) && s.n > 8)
        return NULL;
    if (str_starts(s, STR("tcp://"))) {
        struct str rest = str_slice(s, 6, s.n);
        if (str_ends(rest, STR("/")))
            rest.n--;
        if (conf_parse_listen(arena_current(), rest, &host, &port) == NULL && host[0] != 0 && port > 0)
            return NULL;
    }
    return err_new(ERR_CONFIG, "unix:///path or tcp://host:port is expected");
}

err_t conf_rule_secret_key(struct str s) {
    bool same = true;
    for (size_t i = 1; i < s.n; i++)
        same = same && s.p[i] == s.p[0];
    if (s.n < 32 || same)
        return err_new(ERR_CONFIG, "at least 32 random bytes are expected, e.g. from: openssl rand -base64 32");
    return NULL;
}

err_t conf_rule_password(struct str s) {
    return s.n >= 8 && s.n <= 1024 ? NULL : err_new(ERR_CONFIG, "a password of 8 to 1024 bytes is expected");
}

err_t conf_rule_user(struct str s) {
    return s.n <= 32 && !has_any(s, "/:") ? NULL : err_new(ERR_CONFIG, "the name of a system user is expected");
}

void conf_check_together(struct conf_loader *l) {
    struct conf *c = l->c;
    if ((c->tls.cert[0] != 0) != (c->tls.key[0] != 0))
        conf_problem(l, NULL, "tls.cert and tls.key are needed together");
    if (c->listen.https.n > 0 && c->tls.cert[0] == 0)
        conf_problem(l, NULL, "listen.https needs tls.cert and tls.key");
    if (c->listen.http.n + c->listen.https.n == 0)
        conf_problem(l, NULL, "listen.http and listen.https are both empty: nobody could reach the server");
    if (c->auth.refresh_idle_hours > c->auth.refresh_absolute_days * 24)
        conf_problem(l, NULL, "auth.refreshIdleHours is longer than auth.refreshAbsoluteDays");
    if (c->git.allow_local_paths && !c->server.dev_mode) {
        conf_warning(l, "git.allowLocalPaths is ignored without server.devMode");
        c->git.allow_local_paths = false;
    }
    if (!c->rate_limit.enabled && !c->server.dev_mode)
        conf_warning(l, "rateLimit.enabled is false: login attempts are unlimited");
    size_t n = strlen(c->server.public_url);
    while (n > 0 && c->server.public_url[n - 1] == '/')
        n--;
    c->server.public_url = arena_strndup(l->a, c->server.public_url, n);
}

static err_t readable(const char *key, const char *path) {
    struct stat st;
    if (path[0] == 0)
        return NULL;
    if (stat(path, &st) != 0 || access(path, R_OK) != 0)
        return err_new(ERR_CONFIG, "%s: %s: %s", key, path, strerror(errno));
    return S_ISREG(st.st_mode) ? NULL : err_new(ERR_CONFIG, "%s: %s is not a file", key, path);
}

err_t conf_check_files(const struct conf *c) {
    struct stat st;
    TRY(readable("tls.cert", c->tls.cert));
    TRY(readable("tls.key", c->tls.key));
    if (stat(c->data.dir, &st) != 0)
        return errno == ENOENT ? NULL /* made at start */
                               : err_new(ERR_CONFIG, "data.dir: %s: %s", c->data.dir, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return err_new(ERR_CONFIG, "data.dir: %s is not a directory", c->data.dir);
    if (access(c->data.dir, R_OK | W_OK | X_OK) != 0)
        return err_new(ERR_CONFIG, "data.dir: %s: %s", c->data.dir, strerror(errno));
    return NULL;
}
