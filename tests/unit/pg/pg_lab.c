#include "tests/unit/pg/pg_lab.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char dir[64], data[96], bin[128], url[160], out[65536];
static pid_t postmaster;
static uid_t uid;
static gid_t gid;

static void die(const char *what) {
    fprintf(stderr, "pg_lab: %s: %s\n", what, strerror(errno));
    abort();
}

static void nap(long ms) {
    struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&ts, NULL);
}

static void find_bin(void) {
    static const char *const versions[] = {"18", "17", "16", "15"};
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        snprintf(bin, sizeof(bin), "/usr/lib/postgresql/%s/bin", versions[i]);
        if (access(bin, X_OK) == 0)
            return;
    }
    die("no PostgreSQL in /usr/lib/postgresql");
}

static void become_user(void) {
    if (getuid() == 0 && (setgroups(0, NULL) != 0 || setgid(gid) != 0 || setuid(uid) != 0))
        _exit(126);
}

/** fd: where stdout goes, -1 = nowhere. */
static pid_t launch(const char *const argv[], int fd, bool quiet) {
    pid_t pid = fork();
    if (pid < 0)
        die("fork");
    if (pid > 0)
        return pid;
    setpgid(0, 0);
    become_user();
    /* An aborted test leaves no server behind. After the change of user, which resets it. */
    prctl(PR_SET_PDEATHSIG, SIGQUIT);
    int null = open("/dev/null", O_RDWR);
    dup2(null, 0);
    dup2(fd >= 0 ? fd : null, 1);
    if (quiet)
        dup2(null, 2);
    if (chdir("/") != 0)
        _exit(126);
    for (int i = 3; i < 256; i++)
        close(i);
    execv(argv[0], (char *const *)(size_t)argv);
    _exit(127);
}

static void wait_ok(pid_t pid, const char *what) {
    int st;
    while (waitpid(pid, &st, 0) < 0)
        if (errno != EINTR)
            die("waitpid");
    if (st != 0) {
        errno = 0;
        die(what);
    }
}

const char *pg_lab_psql_at(const char *at, const char *sql) {
    char psql[160];
    snprintf(psql, sizeof(psql), "%s/psql", bin);
    int fds[2];
    if (pipe(fds) != 0)
        die("pipe");
    pid_t pid =
        launch((const char *[]){psql, "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", at, "-c", sql, NULL}, fds[1], false);
    close(fds[1]);
    size_t n = 0;
    for (ssize_t r; n < sizeof(out) - 1 && (r = read(fds[0], out + n, sizeof(out) - 1 - n)) > 0;)
        n += (size_t)r;
    close(fds[0]);
    out[n] = '\0';
    while (n > 0 && out[n - 1] == '\n')
        out[--n] = '\0';
    wait_ok(pid, sql);
    return out;
}

const char *pg_lab_psql(const char *sql) { return pg_lab_psql_at(url, sql); }

void pg_lab_resume(void) {
    char postgres[160], ready[160];
    snprintf(postgres, sizeof(postgres), "%s/postgres", bin);
    snprintf(ready, sizeof(ready), "%s/pg_isready", bin);
    postmaster = launch((const char *[]){postgres, "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off",
                                         "-c", "max_connections=60", "-c", "shared_buffers=32MB", "-c",
                                         "log_min_messages=fatal", NULL},
                        -1, true);
    for (int i = 0; i < 300; i++) {
        int st;
        pid_t pid = launch((const char *[]){ready, "-q", "-h", dir, NULL}, -1, true);
        waitpid(pid, &st, 0);
        if (st == 0)
            return;
        nap(20);
    }
    die("PostgreSQL does not start");
}

void pg_lab_start(void) {
    find_bin();
    struct passwd *pw = getpwnam("postgres");
    if (getuid() == 0 && pw == NULL)
        die("no user postgres");
    uid = getuid() == 0 ? pw->pw_uid : getuid();
    gid = getuid() == 0 ? pw->pw_gid : getgid();
    snprintf(dir, sizeof(dir), "/tmp/df-pglab-XXXXXX");
    if (mkdtemp(dir) == NULL || (getuid() == 0 && chown(dir, uid, gid) != 0))
        die(dir);
    snprintf(data, sizeof(data), "%s/data", dir);
    snprintf(url, sizeof(url), "postgresql:///postgres?host=%s&user=postgres", dir);
    char initdb[160];
    snprintf(initdb, sizeof(initdb), "%s/initdb", bin);
    wait_ok(launch((const char *[]){initdb, "-D", data, "-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8",
                                    "--locale=C", NULL},
                   -1, false),
            "initdb");
    pg_lab_resume();
    atexit(pg_lab_stop);
}

void pg_lab_halt(int sig) {
    int st;
    if (postmaster <= 0)
        return;
    kill(postmaster, SIGCONT);
    kill(postmaster, sig);
    while (waitpid(postmaster, &st, 0) < 0 && errno == EINTR)
        ;
    postmaster = 0;
    if (sig == SIGKILL)
        nap(300); /* children notice */
}

void pg_lab_restart(int sig) {
    pg_lab_halt(sig);
    pg_lab_resume();
}

void pg_lab_stop(void) {
    pg_lab_halt(SIGQUIT);
    if (dir[0] != '\0') {
        pid_t pid = launch((const char *[]){"/bin/rm", "-rf", dir, NULL}, -1, true);
        int st;
        waitpid(pid, &st, 0);
        rmdir(dir);
        dir[0] = '\0';
    }
}

pid_t pg_lab_pid(void) { return postmaster; }
const char *pg_lab_url(void) { return url; }

const char *pg_lab_database(const char *name) {
    static char urls[8][160];
    static size_t next;
    char sql[128];
    char *u = urls[next++ % 8];
    snprintf(sql, sizeof(sql), "CREATE DATABASE %s", name);
    pg_lab_psql(sql);
    snprintf(u, sizeof(urls[0]), "postgresql:///%s?host=%s&user=postgres", name, dir);
    return u;
}

const char *pg_lab_dir(void) { return dir; }
