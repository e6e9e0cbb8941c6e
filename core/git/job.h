/* Reads of a mirror in the git work lane: a box is malloc'ed, has its own arena and hands the result over when done. Private. */
#pragma once
#include <git2.h>
#include "core/async/work.h"
#include "core/git/helper.h"

struct git_job {
    struct arena *a; /* the box's own; errors and results live here */
    char *mirror;
    err_t (*fn)(struct git_job *job, git_repository *repo);
    void *in, *out; /* in the box's arena */
    err_t error;
    atomic_bool abort;
};
struct git_job *git_job_new(const char *mirror_dir, err_t (*fn)(struct git_job *, git_repository *));
/** YIELDS. On success the caller reads job->out and frees the job; on error the job is gone. */
MUST_CHECK err_t git_job_run(struct git_job *job, uint64_t deadline);
void git_job_free(struct git_job *job);
