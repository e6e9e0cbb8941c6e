#include <stdlib.h>
#include "core/base/check.h"
#include "core/git/job.h"

struct git_job *git_job_new(const char *mirror_dir, err_t (*fn)(struct git_job *, git_repository *)) {
    struct git_job *job = calloc(1, sizeof(*job));
    CHECK(job != NULL);
    job->a = arena_new("git.job", 0);
    job->mirror = arena_strdup(job->a, mirror_dir);
    job->fn = fn;
    return job;
}

void git_job_free(struct git_job *job) {
    if (job == NULL)
        return;
    arena_unref(job->a);
    free(job);
}

static void job_drop(void *box) { git_job_free(box); }

static void job_work(void *box) {
    struct git_job *job = box;
    struct arena *before = arena_set_current(job->a);
    git_repository *repo = NULL;
    git_options_once();
    int rc = git_repository_open_bare(&repo, job->mirror);
    if (rc < 0)
        job->error = git_err(rc, "open mirror");
    else
        job->error = job->fn(job, repo);
    git_repository_free(repo);
    arena_set_current(before);
}

err_t git_job_run(struct git_job *job, uint64_t deadline) {
    err_t e = work_run(WORK_GIT, job_work, job, job_drop, &job->abort, deadline);
    if (e) {
        /* Refused by a full lane: the box is still ours. Given up on: it is the lane's. */
        if (e->code == ERR_BUSY)
            git_job_free(job);
        return e;
    }
    if (job->error == NULL)
        return NULL;
    e = err_dup(arena_current(), job->error);
    git_job_free(job);
    return e;
}
