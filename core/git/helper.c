#include <errno.h>
#include <git2.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>
#include "core/git/helper.h"

static const char *const auth_names[] = {"none", "token", "ssh"};

char *helper_request_text(struct arena *a, const char *op, const struct git_remote_conf *conf, const char *mirror,
                          const char *ref) {
    struct json *j = json_object(a);
    json_set_str(a, j, "op", op);
    json_set_str(a, j, "url", conf->url);
    json_set_bool(a, j, "allowLocal", conf->allow_local);
    json_set_str(a, j, "auth", auth_names[conf->auth]);
    json_set_str(a, j, "username", conf->username);
    json_set_str(a, j, "secret", conf->secret);
    json_set_str(a, j, "passphrase", conf->passphrase);
    json_set_str(a, j, "hostKey", conf->host_key);
    json_set_str(a, j, "caFile", conf->ca_file);
    json_set_str(a, j, "mirror", mirror);
    json_set_str(a, j, "ref", ref);
    return json_to_text(a, j);
}

err_t helper_request_parse(struct arena *a, struct str text, struct helper_request *ret) {
    struct json_limits limits = {.max_bytes = GIT_HELPER_MAX_REQUEST};
    struct json *j;
    TRY(json_parse(a, text, &limits, &j));
    struct helper_request r = {.op = json_get_str(j, "op"),
                               .username = json_get_str(j, "username"),
                               .secret = json_get_str(j, "secret"),
                               .passphrase = json_get_str(j, "passphrase"),
                               .host_key = json_get_str(j, "hostKey"),
                               .ca_file = json_get_str(j, "caFile"),
                               .mirror = json_get_str(j, "mirror"),
                               .ref = json_get_str(j, "ref")};
    const char *auth = json_str_or(json_get(j, "auth"), "none");
    for (size_t i = 0; i < ARRAY_LEN(auth_names); i++)
        if (z_eq(auth, auth_names[i]))
            r.auth = (enum git_auth)i;
    if (r.op == NULL || json_get_str(j, "url") == NULL)
        return err_new(ERR_BAD_REQUEST, "request without op or url");
    if (r.ref && !git_ref_valid(r.ref))
        return err_new(ERR_INVALID, "'%s' is not a legal ref name", r.ref);
    TRY(git_url_parse(a, json_get_str(j, "url"), json_get_bool(j, "allowLocal", false), &r.url));
    *ret = r;
    return NULL;
}

static err_t read_request(struct buf *in) {
    for (;;) {
        char chunk[4096];
        ssize_t n = read(STDIN_FILENO, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_new(ERR_IO, "read request: errno %d", errno);
        if (n == 0)
            return NULL;
        TRY(buf_append(in, chunk, (size_t)n));
    }
}

static err_t run(struct arena *a, struct json *out) {
    AUTO_BUF in;
    buf_init(&in, KIB(4), GIT_HELPER_MAX_REQUEST);
    TRY(read_request(&in));
    struct helper_request req;
    TRY(helper_request_parse(a, buf_str(&in), &req));
    if (z_eq(req.op, "ls-remote"))
        return helper_ls_remote(a, &req, out);
    if (z_eq(req.op, "fetch"))
        return helper_fetch(a, &req, out);
    return err_new(ERR_BAD_REQUEST, "unknown operation");
}

static void limit(int what, rlim_t value) {
    struct rlimit l = {value, value};
    (void)setrlimit(what, &l);
}

/* A sanitizer reserves terabytes of address space, so the address limit is for the real build only. */
static void confine(void) {
#if !defined(__SANITIZE_ADDRESS__)
    limit(RLIMIT_AS, (rlim_t)1 << 30);
#endif
    limit(RLIMIT_FSIZE, (rlim_t)2 << 30);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_CPU, 120);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)signal(SIGXFSZ, SIG_IGN); /* a write beyond the limit shall be an error, not a death */
}

static bool write_all(const char *p, size_t n) {
    while (n > 0) {
        ssize_t w = write(STDOUT_FILENO, p, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            return false;
        p += w;
        n -= (size_t)w;
    }
    return true;
}

int git_helper_main(void) {
    confine();
    struct arena *a = arena_new("git-helper", 0);
    arena_set_current(a);
    git_options_once();
    struct json *out = json_object(a);
    err_t e = run(a, out);
    json_set_bool(a, out, "ok", e == NULL);
    if (e) {
        json_set_str(a, out, "code", err_code_symbol(e->code));
        json_set_str(a, out, "message", e->message);
    }
    char *text = json_to_text(a, out);
    bool sent = write_all(text, strlen(text));
    git_libgit2_shutdown();
    arena_set_current(NULL);
    arena_unref(a);
    return sent ? 0 : 1;
}
