/* Child processes: argv only, never a shell; own process group; killed (TERM, then KILL) when closed. */
#pragma once
#include "core/async/net.h"
#include "core/base/err.h"

struct proc;
struct proc_conf {
    const char *const *argv; /* argv[0] is an absolute path or found in PATH */
    const char *const *env;  /* complete environment; NULL = inherit */
    const char *cwd;
    bool pipe_stdin, pipe_stdout, pipe_stderr; /* else /dev/null (stdin), inherited (out, err) */
    uint32_t uid, gid;                         /* used when set_ids */
    bool set_ids;
    bool detach_from_group; /* survives proc_close and our death (embedded PostgreSQL postmaster): kill it yourself */
};
MUST_CHECK err_t proc_spawn(const struct proc_conf *conf, struct proc **ret);
struct stream *proc_stdin(struct proc *p); /* borrowed; NULL if not piped */
struct stream *proc_stdout(struct proc *p);
struct stream *proc_stderr(struct proc *p);
void proc_close_stdin(struct proc *p); /* the child sees the end of its input */
int proc_pid(const struct proc *p);
/** YIELDS. *ret_status: exit code, or 128+signal. */
MUST_CHECK err_t proc_wait(struct proc *p, uint64_t deadline, int *ret_status);
void proc_kill(struct proc *p, int sig);
/** TERM, 2 s, KILL the group if it still runs; frees asynchronously. NULL is fine. */
void proc_close(struct proc *p);
DF_AUTO_DEFINE(proc, struct proc *, proc_close);
/** YIELDS. Run to the end, collect the first max_out bytes of stdout+stderr (in arena_current(); the rest is read and
 * dropped; ret_out may be NULL). ERR_INTERNAL with exit code and output tail on != 0. */
MUST_CHECK err_t proc_run(const struct proc_conf *conf, uint64_t deadline, size_t max_out, struct str *ret_out);
