#include <stdlib.h>
#include "core/async/net.h"
#include "core/async/proc.h"
#include "core/async/wait.h"
#include "core/base/check.h"
#include "core/base/map.h"
#include "core/git/helper.h"

/* At most so many children at once, the rest queue: a poll storm must not fork without bound. */
#define MAX_CHILDREN 4
#define MAX_QUEUE 256

static const char *helper_path = "/proc/self/exe";
static struct semaphore children;
static bool children_ready;

void git_set_helper(const char *path) { helper_path = path; }

static err_t children_take(uint64_t deadline) {
    if (!children_ready) {
        sem_setup(&children, MAX_CHILDREN, MAX_QUEUE);
        children_ready = true;
    }
    return sem_acquire(&children, deadline);
}

static err_t collect(struct stream *out, struct buf *answer, uint64_t deadline) {
    for (;;) {
        struct str chunk;
        TRY(stream_read(out, deadline, &chunk));
        if (chunk.n == 0)
            return NULL;
        TRY(buf_append(answer, chunk.p, chunk.n));
    }
}

static enum err_code code_from(const char *symbol) {
    for (int c = 0; c < ERR_CODE_MAX; c++)
        if (symbol && z_eq(err_code_symbol((enum err_code)c), symbol))
            return (enum err_code)c;
    return ERR_GIT;
}

static err_t exchange(struct proc *p, const char *request, struct buf *answer, uint64_t deadline) {
    TRY(stream_write(proc_stdin(p), request, strlen(request), deadline));
    TRY(stream_shutdown_write(proc_stdin(p), deadline));
    return collect(proc_stdout(p), answer, deadline);
}

static err_t run_child(struct arena *a, const char *request, uint64_t deadline, struct json **ret) {
    /* No environment: proxies, askpass programs and ssh agents of the server's user stay out. */
    const char *const argv[] = {helper_path, "git-helper", NULL};
    const char *const env[] = {"HOME=/nonexistent", "LC_ALL=C.UTF-8", NULL};
    struct proc_conf conf = {.argv = argv, .env = env, .pipe_stdin = true, .pipe_stdout = true};
    AUTO(proc) p = NULL;
    TRY(proc_spawn(&conf, &p));
    AUTO_BUF answer;
    buf_init(&answer, KIB(4), GIT_HELPER_MAX_ANSWER);
    err_t e = exchange(p, request, &answer, deadline);
    if (e && e->code == ERR_TIMEOUT)
        return err_new(ERR_GIT_LIMIT, "the Git server did not finish in time; the operation was stopped");
    if (e && e->code == ERR_CANCELLED)
        return e;
    int status = -1;
    TRY(proc_wait(p, deadline, &status));
    if (answer.n == 0)
        return err_new(ERR_GIT_LIMIT, "the Git helper ended with status %d before it answered (resource limit?)",
                       status);
    TRY(json_parse(a, buf_str(&answer), NULL, ret));
    if (json_get_bool(*ret, "ok", false))
        return NULL;
    return err_new(code_from(json_get_str(*ret, "code")), "%s", json_str_or(json_get(*ret, "message"), "Git failed"));
}

static err_t call(struct arena *a, const struct git_remote_conf *conf, const char *op, const char *mirror,
                  const char *ref, uint64_t deadline, struct json **ret) {
    struct git_url url;
    TRY(git_url_parse(a, conf->url, conf->allow_local, &url));
    if (ref && !git_ref_valid(ref))
        return err_field(err_new(ERR_INVALID, "'%s' is not a legal branch, tag or ref name", ref), "branch");
    if (url.scheme == GIT_SSH && (conf->host_key == NULL || *conf->host_key == '\0'))
        return err_field(err_new(ERR_HOSTKEY,
                                 "no host key is pinned for %s; add the server's public host key to the repository",
                                 url.host),
                         "hostKey");
    TRY(children_take(deadline));
    err_t e = run_child(a, helper_request_text(a, op, conf, mirror, ref), deadline, ret);
    sem_release(&children);
    if (e == NULL || e->code == ERR_CANCELLED)
        return e;
    return err_new(e->code, "%s: %s", url.text, e->message);
}

err_t git_ls_remote(struct arena *a, const struct git_remote_conf *conf, const char *ref, uint64_t deadline,
                    struct git_ref *ret) {
    struct json *j;
    TRY(call(a, conf, "ls-remote", NULL, ref, deadline, &j));
    const char *oid = json_get_str(j, "oid");
    if (oid == NULL || strlen(oid) != 40)
        return err_new(ERR_GIT, "the Git helper gave no object id");
    *ret = (struct git_ref){.name = json_get_str(j, "name"), .oid = oid};
    return NULL;
}

/* Two fetches into one mirror at once would race on creating it and on its refs. */
static struct map locks; /* mirror -> struct mirror_lock * */
struct mirror_lock {
    struct mutex m;
    size_t users;
};

static struct mirror_lock *lock_of(const char *mirror_dir) {
    if (locks.nslots == 0 && locks.n == 0)
        map_init(&locks, NULL);
    struct mirror_lock *l = map_getz(&locks, mirror_dir);
    if (l == NULL) {
        l = calloc(1, sizeof(*l));
        CHECK(l != NULL);
        mutex_init(&l->m);
        map_setz(&locks, mirror_dir, l);
    }
    l->users++;
    return l;
}

static void lock_drop(const char *mirror_dir, struct mirror_lock *l) {
    if (--l->users > 0)
        return;
    (void)map_del(&locks, str_of(mirror_dir));
    mutex_done(&l->m);
    free(l);
    if (locks.n == 0)
        map_done(&locks);
}

static err_t fetch_locked(struct arena *a, const struct git_remote_conf *conf, const char *mirror_dir, const char *ref,
                          uint64_t deadline, struct mirror_lock *l) {
    struct json *j;
    TRY(mutex_lock(&l->m, deadline));
    err_t e = call(a, conf, "fetch", mirror_dir, ref, deadline, &j);
    mutex_unlock(&l->m);
    return e;
}

err_t git_fetch(const struct git_remote_conf *conf, const char *mirror_dir, const char *ref, uint64_t deadline) {
    AUTO(arena) a = arena_new("git.fetch", 0);
    struct mirror_lock *l = lock_of(mirror_dir);
    err_t e = fetch_locked(a, conf, mirror_dir, ref, deadline, l);
    lock_drop(mirror_dir, l);
    return e ? err_dup(arena_current(), e) : NULL;
}
