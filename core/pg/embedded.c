/* The private cluster. Layout under <data>/postgres: data/ (the cluster), run/ (socket), log/. initdb works in
 * data.new, which is renamed when complete, so that a kill in between leaves nothing half made. The postmaster is not
 * in our process group and outlives a crash of ours; the next start finds it by postmaster.pid and a connection. */
#include "core/pg/embedded.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core/async/proc.h"
#include "core/base/sha256.h"
#include "core/obs/log.h"
#include "core/pg/pg_internal.h"

enum { SOCKET_DIR_MAX = 85, POLL_MS = 50, OLDEST_MAJOR = 14, NEWEST_MAJOR = 99 };

struct pg_embedded {
    struct arena *a;
    char *root, *data, *run, *log, *bin, *url;
    uint32_t uid, gid;
    bool set_ids;
    struct proc *proc; /* NULL when adopted */
    pid_t pid;
};

static err_t os_error(const char *what, const char *path) {
    int code = errno;
    return err_new(ERR_CONFIG, "embedded PostgreSQL: %s %s: %s", what, path, strerror(code));
}

/* ---- directories and users ---- */

static err_t find_user(struct pg_embedded *p, const char *run_as) {
    if (geteuid() != 0)
        return NULL;
    const char *name = run_as != NULL ? run_as : "postgres";
    struct passwd pw, *found = NULL;
    char *text = arena_alloc(p->a, KIB(16), 1);
    if (getpwnam_r(name, &pw, text, KIB(16), &found) != 0 || found == NULL || pw.pw_uid == 0)
        return err_new(ERR_CONFIG, "embedded PostgreSQL refuses to run as root and there is no unprivileged user '%s'",
                       name);
    p->uid = pw.pw_uid;
    p->gid = pw.pw_gid;
    p->set_ids = true;
    return NULL;
}

static err_t make_dir(const struct pg_embedded *p, const char *path) {
    struct stat st;
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return os_error("cannot create", path);
    if (lstat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return err_new(ERR_CONFIG, "embedded PostgreSQL: %s is not a directory", path);
    uint32_t owner = p->set_ids ? p->uid : geteuid();
    if (st.st_uid != owner && (!p->set_ids || chown(path, p->uid, p->gid) != 0))
        return err_new(ERR_CONFIG, "embedded PostgreSQL: %s belongs to another user", path);
    if ((st.st_mode & 077) != 0 && chmod(path, 0700) != 0)
        return os_error("cannot close to others", path);
    return NULL;
}

/** Each parent must let the unprivileged user through: its own message would only be "permission denied". */
static err_t check_reachable(const struct pg_embedded *p) {
    if (!p->set_ids)
        return NULL;
    char *path = arena_strdup(p->a, p->root);
    for (char *slash = strrchr(path, '/'); slash != NULL && slash != path; slash = strrchr(path, '/')) {
        *slash = '\0';
        struct stat st;
        if (stat(path, &st) != 0)
            return os_error("cannot look at", path);
        bool ok = st.st_uid == p->uid   ? st.st_mode & S_IXUSR
                  : st.st_gid == p->gid ? st.st_mode & S_IXGRP
                                        : st.st_mode & S_IXOTH;
        if (!ok)
            return err_new(ERR_CONFIG,
                           "embedded PostgreSQL runs as another user, who may not enter %s: choose a data "
                           "directory outside of it or set DATABASE_URL",
                           path);
    }
    return NULL;
}

static err_t make_dirs(struct pg_embedded *p, const char *data_dir) {
    char *full = realpath(data_dir, NULL);
    if (full == NULL)
        return os_error("cannot find the data directory", data_dir);
    p->root = arena_printf(p->a, "%s/postgres", full);
    p->data = arena_printf(p->a, "%s/data", p->root);
    p->log = arena_printf(p->a, "%s/log", p->root);
    p->run = arena_printf(p->a, "%s/run", p->root);
    if (strlen(p->run) > SOCKET_DIR_MAX) /* the address of a unix socket has 107 bytes */
        p->run = arena_printf(p->a, "/tmp/dockflow-%.16s", sha256_hex(p->a, full, strlen(full)));
    free(full);
    TRY(check_reachable(p));
    TRY(make_dir(p, p->root));
    TRY(make_dir(p, p->log));
    return make_dir(p, p->run);
}

/* ---- programs ---- */

static int64_t read_number(struct arena *a, const char *path) {
    char text[32];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return 0;
    struct str rest = str_n(text, (size_t)n), line;
    int64_t v;
    (void)a;
    return str_cut(&rest, '\n', &line) && str_to_i64(str_trim(line), 1, INT32_MAX, &v) == NULL ? v : 0;
}

static bool has_program(struct arena *a, const char *dir) {
    return access(arena_printf(a, "%s/postgres", dir), X_OK) == 0 &&
           access(arena_printf(a, "%s/initdb", dir), X_OK) == 0;
}

/** PG_BINDIR, else the version that made the cluster, else the newest installed. */
static err_t find_programs(struct pg_embedded *p) {
    const char *given = getenv("PG_BINDIR");
    if (given != NULL && given[0] != '\0') {
        p->bin = arena_strdup(p->a, given);
        return has_program(p->a, p->bin) ? NULL : err_new(ERR_CONFIG, "PG_BINDIR %s has no postgres and initdb", given);
    }
    int major = (int)read_number(p->a, arena_printf(p->a, "%s/PG_VERSION", p->data));
    for (int v = major > 0 ? major : NEWEST_MAJOR; v >= (major > 0 ? major : OLDEST_MAJOR); v--) {
        p->bin = arena_printf(p->a, "/usr/lib/postgresql/%d/bin", v);
        if (has_program(p->a, p->bin))
            return NULL;
    }
    if (major > 0)
        return err_new(ERR_CONFIG, "the database in %s was made by PostgreSQL %d, which is not installed", p->data,
                       major);
    return err_new(ERR_CONFIG, "no PostgreSQL in /usr/lib/postgresql: install it, set PG_BINDIR, or set DATABASE_URL");
}

static struct proc_conf conf_for(const struct pg_embedded *p, const char *const *argv) {
    static const char *const env[] = {"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "TZ=UTC", NULL};
    return (struct proc_conf){.argv = argv,
                              .env = env,
                              .cwd = p->root,
                              .uid = p->uid,
                              .gid = p->gid,
                              .set_ids = p->set_ids,
                              .pipe_stdout = true,
                              .pipe_stderr = true};
}

static err_t write_hba(const struct pg_embedded *p) {
    static const char text[] = "# The socket's directory is closed to other users.\nlocal all all trust\n";
    const char *path = arena_printf(p->a, "%s/pg_hba.conf", p->root);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool ok = fd >= 0 && write(fd, text, sizeof(text) - 1) == sizeof(text) - 1 &&
              (!p->set_ids || fchown(fd, p->uid, p->gid) == 0);
    err_t e = ok ? NULL : os_error("cannot write", path);
    if (fd >= 0)
        close(fd);
    return e;
}

static err_t init_cluster(const struct pg_embedded *p, uint64_t deadline) {
    if (access(arena_printf(p->a, "%s/PG_VERSION", p->data), F_OK) == 0)
        return NULL;
    const char *fresh = arena_printf(p->a, "%s.new", p->data);
    struct str out;
    struct proc_conf rm = conf_for(p, (const char *[]){"/bin/rm", "-rf", "--", fresh, NULL});
    TRY(proc_run(&rm, deadline, KIB(8), &out));
    struct proc_conf init =
        conf_for(p, (const char *[]){arena_printf(p->a, "%s/initdb", p->bin), "-D", fresh, "-U", "dockflow", "-E",
                                     "UTF8", "--locale=C.UTF-8", "-A", "trust", "--data-checksums", NULL});
    LOG(INFO, "db.embedded.init", KV_STR("dir", p->data));
    err_t e = proc_run(&init, deadline, KIB(8), &out);
    if (e != NULL)
        return err_wrap(e, "initdb");
    return rename(fresh, p->data) == 0 ? NULL : os_error("cannot rename", fresh);
}

static err_t spawn_postmaster(struct pg_embedded *p) {
    struct arena *a = p->a;
    const char *const argv[] = {arena_printf(a, "%s/postgres", p->bin),
                                "-D",
                                p->data,
                                "-c",
                                "listen_addresses=",
                                "-c",
                                arena_printf(a, "unix_socket_directories=%s", p->run),
                                "-c",
                                "unix_socket_permissions=0700",
                                "-c",
                                arena_printf(a, "hba_file=%s/pg_hba.conf", p->root),
                                "-c",
                                "fsync=on",
                                "-c",
                                "synchronous_commit=on",
                                "-c",
                                "shared_buffers=64MB",
                                "-c",
                                "max_connections=40",
                                "-c",
                                "max_wal_size=512MB",
                                "-c",
                                "timezone=UTC",
                                "-c",
                                "log_timezone=UTC",
                                "-c",
                                "cluster_name=dockflow",
                                "-c",
                                "logging_collector=on",
                                "-c",
                                arena_printf(a, "log_directory=%s", p->log),
                                "-c",
                                "log_filename=postgresql-%a.log",
                                "-c",
                                "log_truncate_on_rotation=on",
                                "-c",
                                "log_rotation_age=1d",
                                "-c",
                                "log_min_messages=warning",
                                NULL};
    struct proc_conf conf = conf_for(p, argv);
    conf.detach_from_group = true;
    TRY(write_hba(p));
    TRY(proc_spawn(&conf, &p->proc));
    p->pid = proc_pid(p->proc);
    LOG(INFO, "db.embedded.start", KV_STR("bin", p->bin), KV_INT("pid", p->pid));
    return NULL;
}

/* ---- starting or adopting ---- */

static err_t open_session(const struct pg_embedded *p, uint64_t deadline, struct pg_session **ret) {
    struct pg_link_conf conf = {.url = arena_printf(arena_current(), "host='%s' dbname=postgres user=dockflow", p->run),
                                .role = "embedded"};
    return pg_session_open(&conf, deadline, ret);
}

/** Ours, and not somebody else's server behind the same socket name. */
static err_t check_identity(const struct pg_embedded *p, struct pg_session *s) {
    struct pg_result *r = NULL;
    TRY(pg_session_run(s, "SELECT setting FROM pg_settings WHERE name = 'data_directory'", NULL,
                       deadline_in(SECONDS(5)), &r));
    if (r == NULL || r->rows != 1 || !z_eq(pg_cell(r, 0, 0), p->data))
        return err_new(ERR_CONFIG, "embedded PostgreSQL: another server answers in %s", p->run);
    return NULL;
}

static err_t make_database(struct pg_session *s) {
    struct pg_result *r = NULL;
    TRY(pg_session_run(s, "SELECT 1 FROM pg_database WHERE datname = 'dockflow'", NULL, deadline_in(SECONDS(5)), &r));
    if (r != NULL && r->rows == 1)
        return NULL;
    return pg_session_run(s, "CREATE DATABASE dockflow", NULL, deadline_in(SECONDS(30)), NULL);
}

static pid_t running_pid(const struct pg_embedded *p) {
    pid_t pid = (pid_t)read_number(p->a, arena_printf(arena_current(), "%s/postmaster.pid", p->data));
    return pid > 1 && (kill(pid, 0) == 0 || errno == EPERM) ? pid : 0;
}

/** The postmaster went away while we waited for it: its last words. */
static err_t died(struct pg_embedded *p, int status) {
    struct str text = STR("");
    struct stream *s = proc_stderr(p->proc);
    if (s == NULL || stream_read(s, deadline_in(200), &text) != NULL)
        text = STR("");
    err_t e = err_new(ERR_CONFIG, "embedded PostgreSQL stopped with status %d while starting: %.*s (log in %s)", status,
                      (int)(text.n < 400 ? text.n : 400), text.p, p->log);
    proc_close(TAKE(p->proc));
    return e;
}

static err_t wait_up(struct pg_embedded *p, uint64_t deadline, struct pg_session **ret) {
    for (;;) {
        struct arena_mark m = arena_mark(arena_current());
        pid_t pid = running_pid(p);
        if (pid == 0 && p->proc == NULL)
            TRY(spawn_postmaster(p));
        if (pid != 0 && open_session(p, deadline_min(deadline, deadline_in(SECONDS(3))), ret) == NULL) {
            p->pid = pid;
            return NULL;
        }
        int status;
        if (p->proc != NULL && proc_wait(p->proc, deadline_in(1), &status) == NULL)
            return died(p, status);
        arena_rewind(arena_current(), m);
        TRY(fiber_sleep(POLL_MS));
        if (clock_mono_ms() > deadline)
            return err_new(ERR_TIMEOUT, "embedded PostgreSQL did not answer in time (log in %s)", p->log);
    }
}

static err_t start(struct pg_embedded *p, const char *data_dir, const char *run_as, uint64_t deadline) {
    TRY(find_user(p, run_as));
    TRY(make_dirs(p, data_dir));
    TRY(find_programs(p));
    TRY(init_cluster(p, deadline));
    AUTO(pg_session) s = NULL;
    struct pg_session *opened = NULL;
    TRY(wait_up(p, deadline, &opened));
    s = opened;
    if (p->proc == NULL)
        LOG(INFO, "db.embedded.adopt", KV_INT("pid", p->pid));
    err_t e = check_identity(p, s);
    if (e != NULL && p->proc == NULL)
        p->pid = 0; /* not ours to stop */
    TRY(e);
    TRY(make_database(s));
    p->url = arena_printf(p->a, "postgresql:///dockflow?host=%s&user=dockflow", url_encode(p->a, str_of(p->run)));
    return NULL;
}

err_t pg_embedded_start(const char *data_dir, const char *run_as, uint64_t deadline, struct pg_embedded **ret) {
    struct arena *a = arena_new("pg-embedded", 0);
    struct pg_embedded *p = arena_new_obj(a, struct pg_embedded);
    p->a = a;
    err_t e = start(p, data_dir, run_as, deadline);
    if (e != NULL) {
        e = err_dup(arena_current(), e);
        pg_embedded_stop(p, deadline_in(SECONDS(5)));
        return e;
    }
    *ret = p;
    return NULL;
}

const char *pg_embedded_url(const struct pg_embedded *p) { return p->url; }

/* ---- stopping ---- */

static bool gone(struct pg_embedded *p, uint64_t deadline) {
    int status;
    if (p->proc != NULL)
        return proc_wait(p->proc, deadline, &status) == NULL;
    while (kill(p->pid, 0) == 0) {
        if (clock_mono_ms() > deadline)
            return false;
        err_ignore(fiber_sleep(POLL_MS));
    }
    return true;
}

void pg_embedded_stop(struct pg_embedded *p, uint64_t deadline) {
    if (p == NULL)
        return;
    fiber_mask();
    if (p->pid > 1) {
        kill(p->pid, SIGINT); /* fast: roll back, checkpoint, leave */
        if (!gone(p, deadline)) {
            LOG(WARNING, "db.embedded.immediate", KV_INT("pid", p->pid));
            kill(p->pid, SIGQUIT);
            gone(p, deadline_in(SECONDS(5)));
        }
    }
    proc_close(p->proc);
    fiber_unmask();
    arena_unref(p->a);
}
