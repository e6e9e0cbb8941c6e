/* From manifests in a repository to rows of applications: all of a commit or nothing of it, with the rights of the person who
 * configured the repository last. */
#include "core/compose/tree.h"
#include "core/gitops/internal.h"
#include "core/gitops/manifest.h"

struct apply {
    struct gitops *g;
    struct arena *a;
    const char *repo_id, *scope_id, *url, *sha;
    struct job_origin by;        /* who configured the repository */
    const struct principal *who; /* NULL: nobody, or not any more */
    const char *why;             /* then: why */
    manifest_apps apps;
    err_t error;
    unsigned changed;
};

static bool is_yaml(const char *path) { return z_ends(path, ".yaml") || z_ends(path, ".yml"); }

static err_t read_all(struct apply *x, const char *mirror) {
    struct git_entry *entries;
    size_t n;
    err_t e =
        git_list(x->a, mirror, x->sha, MANIFEST_DIR, false, MANIFEST_MAX_FILES, deadline_in(SECONDS(30)), &entries, &n);
    if (e)
        return e->code == ERR_NOT_FOUND ? NULL : e;
    for (size_t i = 0; i < n; i++) {
        const char *path = arena_printf(x->a, MANIFEST_DIR "/%s", entries[i].path);
        struct str text;
        if (entries[i].kind == GIT_DIR || !is_yaml(path))
            continue;
        TRY(git_read(x->a, mirror, x->sha, path, MANIFEST_MAX_BYTES, deadline_in(SECONDS(30)), &text, NULL));
        TRY(manifest_parse(x->a, text, path, &x->apps));
    }
    return manifest_check_unique(&x->apps);
}

/* ---- for whom ---- */

static err_t find_person(struct apply *x) {
    const struct gitops_rights *c = &x->g->conf.rights;
    if (x->by.user_id == NULL || c->person == NULL)
        return NULL;
    err_t e = c->person(c->ctx, x->a, &x->by, &x->who);
    if (e && e->code != ERR_AUTHZ_REVOKED)
        return e;
    x->why = e ? e->message : NULL;
    return NULL;
}

static bool may(const struct apply *x, const char *permission, const char *scope_id) {
    const struct gitops_rights *c = &x->g->conf.rights;
    return x->who && c->may(c->ctx, x->who, permission, scope_id);
}

/* ---- one application ---- */

static err_t check_node(struct pg *tx, struct apply *x, const struct manifest_app *m, const char **ret_id) {
    struct pg_result *r;
    TRY(pg_rows(tx, x->a, SQL_MANIFESTS_NODE, PG_ARGS(pg_uuid(x->scope_id), pg_text(m->node)), &r));
    if (r->rows == 0)
        return y_error(ERR_INVALID, m->node_at, "spec.environments[].node",
                       "there is no node '%s' this repository can use", m->node ? m->node : "default");
    if (!may(x, "node:use", pg_cell(r, 0, 1)))
        return y_error(ERR_FORBIDDEN, m->node_at, "spec.environments[].node",
                       "whoever configured the repository may not deploy to node '%s' (node:use)",
                       m->node ? m->node : "default");
    *ret_id = pg_cell(r, 0, 0);
    return NULL;
}

static err_t tell(struct pg *tx, struct apply *x, const char *id) {
    struct str text;
    struct uuid_text job;
    struct job_spec refresh = {.kind = JOB_REFRESH,
                               .key = arena_printf(x->a, "app:%s", id),
                               .scope_id = id,
                               .object_kind = "application",
                               .object_id = id,
                               .coalesce = true,
                               .priority = 5};
    x->changed++;
    TRY(jobs_enqueue(tx, &refresh, &job, NULL));
    TRY(pg_json_text(tx, x->a, SQL_GITOPS_APP_EVENT, PG_ARGS(pg_uuid(id)), "application", &text));
    TRY(bus_publish(tx, "application.changed", x->scope_id, "application", id,
                    arena_printf(x->a, "{\"id\":\"%s\"}", id)));
    return bus_publish(tx, "application.status", x->scope_id, "application", id, text.p);
}

static err_t insert(struct pg *tx, struct apply *x, const struct manifest_app *m, const char *node) {
    const char *id = uuid7_new(x->a);
    TRY(pg_exec(tx, SQL_MANIFESTS_INSERT,
                PG_ARGS(pg_uuid(id), pg_uuid(x->scope_id), pg_text(m->name), pg_uuid(x->repo_id), pg_text(m->branch),
                        pg_text(m->path), pg_json(m->files), pg_uuid(node), pg_text(m->environment),
                        pg_json(m->variables), pg_json(m->policy), pg_text(m->description), pg_json(m->labels),
                        pg_json(m->document), pg_text(m->file), pg_int(m->at->line), pg_int(m->at->col)),
                NULL));
    return tell(tx, x, id);
}

static err_t update(struct pg *tx, struct apply *x, const struct manifest_app *m, const char *node,
                    const struct pg_result *old) {
    int64_t n = 0;
    const char *id = pg_cell(old, 0, 0);
    if (pg_cell_bool(old, 0, 5))
        return NULL;
    if (!z_eq(pg_cell(old, 0, 1), "git") || !z_eq(pg_cell(old, 0, 2), x->repo_id))
        return y_error(ERR_CONFLICT, m->at, "metadata.name",
                       "an application called '%s' exists already and does not come from this file", m->name);
    if (pg_cell(old, 0, 4) && pg_cell(old, 0, 3) && !z_eq(pg_cell(old, 0, 3), node))
        return y_error(ERR_CONFLICT, m->node_at, "spec.environments[].node",
                       "'%s' runs on another node; delete it there before moving it", m->name);
    TRY(pg_exec(tx, SQL_MANIFESTS_UPDATE,
                PG_ARGS(pg_uuid(id), pg_text(m->branch), pg_text(m->path), pg_json(m->files), pg_uuid(node),
                        pg_text(m->environment), pg_json(m->variables), pg_json(m->policy), pg_text(m->description),
                        pg_json(m->labels), pg_json(m->document), pg_text(m->file), pg_int(m->at->line),
                        pg_int(m->at->col)),
                &n));
    return n ? tell(tx, x, id) : NULL;
}

static err_t apply_one(struct pg *tx, struct apply *x, const struct manifest_app *m) {
    struct pg_result *old;
    const char *node;
    if (m->url && !z_eq(m->url, x->url))
        return y_error(ERR_INVALID, m->url_at, "spec.repository.url",
                       "an application is deployed from the repository its manifest is in; leave url out");
    TRY(check_node(tx, x, m, &node));
    TRY(pg_rows(tx, x->a, SQL_MANIFESTS_FIND, PG_ARGS(pg_uuid(x->scope_id), pg_text(m->name)), &old));
    return old->rows ? update(tx, x, m, node, old) : insert(tx, x, m, node);
}

/* ---- the commit ---- */

static err_t release_others(struct pg *tx, struct apply *x) {
    struct json *names = json_array(x->a);
    struct pg_result *r;
    for
        vec_each(m, &x->apps)
            json_push(x->a, names, json_string(x->a, m->name));
    TRY(pg_rows(tx, x->a, SQL_MANIFESTS_RELEASE, PG_ARGS(pg_uuid(x->repo_id), pg_json(json_to_text(x->a, names))), &r));
    for (size_t i = 0; i < r->rows; i++)
        TRY(tell(tx, x, pg_cell(r, i, 0)));
    return NULL;
}

static err_t apply_tx(struct pg *tx, void *arg) {
    struct apply *x = arg;
    x->changed = 0;
    if (x->apps.n && x->why)
        return y_error(ERR_AUTHZ_REVOKED, x->apps.v[0].at, NULL,
                       "manifests act for whoever configured the repository last: %s; save its settings again", x->why);
    if (x->apps.n && !may(x, "application:create", x->scope_id))
        return y_error(ERR_FORBIDDEN, x->apps.v[0].at, NULL,
                       "whoever configured the repository may not create applications in its project");
    for
        vec_each(m, &x->apps)
            TRY(apply_one(tx, x, m));
    TRY(release_others(tx, x));
    return pg_exec(tx, SQL_MANIFESTS_DONE, PG_ARGS(pg_uuid(x->repo_id), pg_text(x->sha), PG_NULL), NULL);
}

/* The commit is not looked at again until it moves or the repository is configured anew. */
static err_t refuse_tx(struct pg *tx, void *arg) {
    struct apply *x = arg;
    const char *error = json_to_text(x->a, error_json(x->a, x->error));
    TRY(pg_exec(tx, SQL_MANIFESTS_DONE, PG_ARGS(pg_uuid(x->repo_id), pg_text(x->sha), pg_json(error)), NULL));
    return bus_publish(tx, "repository.status", x->scope_id, "repository", x->repo_id,
                       arena_printf(x->a, "{\"id\":\"%s\",\"state\":\"error\",\"error\":%s}", x->repo_id, error));
}

static bool is_ours(err_t e) {
    for (const struct err_detail *d = e->details; d; d = d->next)
        if (z_eq(d->key, "line"))
            return true;
    return e->code == ERR_GIT_LIMIT || e->code == ERR_TOO_LARGE || e->code == ERR_PATH_ESCAPE;
}

err_t manifests_apply(struct gitops *g, struct job *job, const char *repo_id, const char *sha) {
    struct apply x = {.g = g, .a = arena_current(), .repo_id = repo_id, .sha = sha};
    struct pg_result *r;
    TRY(pg_one(g->db, x.a, SQL_MANIFESTS_REPOSITORY, PG_ARGS(pg_uuid(repo_id)), "repository", &r));
    if (z_eq(pg_cell(r, 0, 0), sha))
        return NULL;
    x.by = (struct job_origin){pg_cell(r, 0, 1), pg_cell(r, 0, 5)};
    x.scope_id = pg_cell(r, 0, 2);
    x.url = pg_cell(r, 0, 3);
    x.error = read_all(&x, repo_mirror(g, x.a, repo_id));
    if (x.error == NULL && x.apps.n)
        TRY(find_person(&x));
    if (x.error == NULL)
        x.error = job_tx(job, apply_tx, &x);
    if (x.error == NULL && x.changed)
        job_log(job, "info", "manifests", "%u applications changed by %zu manifests of %.12s", x.changed, x.apps.n,
                sha);
    if (x.error == NULL || !is_ours(x.error))
        return x.error;
    job_log(job, "warning", "manifests", "%s", x.error->message);
    return job_tx(job, refuse_tx, &x);
}
