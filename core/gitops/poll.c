/* Repositories: ls-remote on schedule or webhook, fetch when a ref in use moved, wake the applications. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core/async/work.h"
#include "core/gitops/internal.h"

#define POLL_TIMEOUT SECONDS(120)

struct repo {
    struct gitops *g;
    struct arena *a;
    struct app as_app; /* the repository part of an application, for repo_remote */
    struct json *refs;
    const char *scope_id;
};

static err_t repo_load(struct gitops *g, struct arena *a, const char *id, struct repo *ret) {
    struct pg_result *r;
    TRY(pg_one(g->db, a, SQL_GITOPS_REPO_LOAD, PG_ARGS(pg_uuid(id)), "repository", &r));
    *ret = (struct repo){.g = g, .a = a, .scope_id = pg_cell(r, 0, 10)};
    struct app *x = &ret->as_app;
    *x = (struct app){.repo_id = pg_cell(r, 0, 0),
                      .repo_url = pg_cell(r, 0, 1),
                      .repo_branch = pg_cell(r, 0, 2),
                      .repo_auth = pg_cell(r, 0, 3),
                      .repo_username = pg_cell(r, 0, 4),
                      .repo_host_key = pg_cell(r, 0, 5),
                      .repo_tls_ca = pg_cell(r, 0, 6),
                      .revision = ""};
    x->repo_credentials_sealed = str_of(pg_cell(r, 0, 7) ? pg_cell(r, 0, 7) : "");
    return json_parse(a, str_of(pg_cell(r, 0, 8)), NULL, &ret->refs);
}

static bool is_sha(const char *s) { return strlen(s) == 40 && strspn(s, "0123456789abcdef") == 40; }

struct wake {
    struct job *job;
    struct repo *repo;
    struct json *refs;
    VEC(const char *) apps;
    bool fetched, gone;
    const char *head; /* of the default branch */
    const char *error;
};

static err_t wake_tx(struct pg *tx, void *arg) {
    struct wake *w = arg;
    struct arena *a = w->repo->a;
    const char *id = w->repo->as_app.repo_id;
    int64_t n = 0;
    TRY(pg_exec(tx, SQL_GITOPS_REPO_POLLED,
                PG_ARGS(pg_uuid(id), pg_json(json_to_text(a, w->refs)), pg_bool(w->fetched)), &n));
    w->gone = n == 0;
    if (w->gone)
        return NULL;
    for
        vec_each(app, &w->apps) {
            struct job_spec spec = {.kind = JOB_REFRESH,
                                    .key = arena_printf(a, "app:%s", *app),
                                    .scope_id = *app,
                                    .object_kind = "application",
                                    .object_id = *app,
                                    .payload = trigger_payload(json_get_str(job_payload(w->job), "trigger")),
                                    .coalesce = true,
                                    .priority = 5};
            struct uuid_text job;
            TRY(jobs_enqueue(tx, &spec, &job, NULL));
        }
    struct json *event = json_object(a);
    json_set_str(a, event, "id", id);
    json_set_str(a, event, "state", "ok");
    json_set(a, event, "refs", w->refs);
    return bus_publish(tx, "repository.status", w->repo->scope_id, "repository", id, json_to_text(a, event));
}

static err_t failed_tx(struct pg *tx, void *arg) {
    struct wake *w = arg;
    const char *id = w->repo->as_app.repo_id;
    struct arena *a = w->repo->a;
    TRY(pg_exec(tx, SQL_GITOPS_REPO_FAILED, PG_ARGS(pg_uuid(id), pg_json(w->error)), NULL));
    return bus_publish(tx, "repository.status", w->repo->scope_id, "repository", id,
                       arena_printf(a, "{\"id\":\"%s\",\"state\":\"error\",\"error\":%s}", id, w->error));
}

/* Each distinct ref once, whatever number of applications follow it. */
static err_t look(struct repo *repo, const struct pg_result *apps, struct wake *w) {
    struct git_remote_conf remote;
    struct map seen;
    map_init(&seen, repo->a);
    w->refs = json_object(repo->a);
    TRY(repo_remote(repo->g, repo->a, &repo->as_app, &remote));
    /* The default branch always: that is where manifests are. */
    for (size_t k = 0; k <= apps->rows; k++) {
        const char *rev = k ? pg_cell(apps, k - 1, 1) : "";
        const char *want = *rev ? rev : repo->as_app.repo_branch;
        if (is_sha(want))
            continue;
        const char *oid = map_getz(&seen, want);
        if (oid == NULL) {
            struct git_ref ref;
            TRY(git_ls_remote(repo->a, &remote, *want ? want : NULL, deadline_in(POLL_TIMEOUT), &ref));
            oid = ref.oid;
            map_setz(&seen, want, (void *)oid);
            json_set_str(repo->a, w->refs, *want ? want : "HEAD", oid);
        }
        if (k == 0)
            w->head = oid;
        else if (!z_eq(json_get_str(repo->refs, *want ? want : "HEAD"), oid))
            *vec_push(repo->a, &w->apps) = pg_cell(apps, k - 1, 0);
    }
    struct git_commit c;
    const char *mirror = repo_mirror(repo->g, repo->a, repo->as_app.repo_id);
    for (struct map_entry *e = NULL; !w->fetched && (e = map_next(&seen, e));)
        w->fetched = git_resolve(repo->a, mirror, e->value, deadline_in(SECONDS(30)), &c) != NULL;
    return w->fetched ? git_fetch(&remote, mirror, NULL, deadline_in(POLL_TIMEOUT)) : NULL;
}

err_t job_poll(struct job *job, void *arg) {
    struct gitops *g = arg;
    struct arena *a = arena_current();
    struct repo repo;
    struct pg_result *apps;
    err_t e = repo_load(g, a, job_object_id(job), &repo);
    if (e)
        return e->code == ERR_NOT_FOUND ? NULL : e;
    TRY(pg_rows(g->db, a, SQL_GITOPS_APPS_OF_REPO, PG_ARGS(pg_uuid(repo.as_app.repo_id)), &apps));
    struct wake w = {.repo = &repo, .job = job};
    e = look(&repo, apps, &w);
    if (e && e->code == ERR_CANCELLED)
        return e;
    if (e) {
        w.error = json_to_text(a, error_json(a, e));
        TRY(job_tx(job, failed_tx, &w));
        return e;
    }
    TRY(job_tx(job, wake_tx, &w));
    if (w.gone) { /* removed meanwhile: what this poll fetched goes too */
        gitops_repo_forget(g, repo.as_app.repo_id);
        return NULL;
    }
    e = w.head ? manifests_apply(g, job, repo.as_app.repo_id, w.head) : NULL;
    return e && e->code == ERR_NOT_FOUND ? NULL : e;
}

err_t gitops_repo_test(struct gitops *g, struct arena *a, const char *repo_id, const char *ref, const char **ret_oid) {
    struct repo repo;
    struct git_remote_conf remote;
    struct git_ref found;
    TRY(repo_load(g, a, repo_id, &repo));
    TRY(repo_remote(g, a, &repo.as_app, &remote));
    TRY(git_ls_remote(a, &remote, ref && *ref ? ref : NULL, deadline_in(SECONDS(30)), &found));
    *ret_oid = found.oid;
    return NULL;
}

/* --- a repository that is gone --- */

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at) {
    (void)st;
    (void)kind;
    (void)at;
    return remove(path) == 0 || errno == ENOENT ? 0 : -1;
}

static void remove_tree(void *box) { (void)nftw(box, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT); }

static err_t forget(void *arg) {
    char *path = arg;
    /* What is left after a failure is only space. */
    err_t e = work_run(WORK_FILE, remove_tree, path, free, NULL, deadline_in(MINUTES(2)));
    if (e == NULL || e->code == ERR_BUSY)
        free(path);
    return e;
}

void gitops_repo_forget(struct gitops *g, const char *repo_id) {
    AUTO(arena) a = arena_new("gitops.forget", 0);
    char *path = strdup(repo_mirror(g, a, repo_id));
    CHECK(path != NULL);
    fiber_spawn_detached("gitops.forget", NULL, forget, path);
}
