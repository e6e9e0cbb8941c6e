#include "core/gitops/app.h"

static const char **strings_of(struct arena *a, const struct json *arr, size_t *ret_n) {
    const char **v = arena_new_array(a, const char *, json_len(arr) + 1);
    *ret_n = 0;
    for (size_t i = 0; i < json_len(arr); i++)
        if (json_str(json_at(arr, i)))
            v[(*ret_n)++] = json_str(json_at(arr, i));
    return v;
}

static err_t parse_cell(struct arena *a, const struct pg_result *r, size_t col, struct json **ret) {
    struct json_limits limits = {.max_bytes = MIB(4), .trusted = true};
    return json_parse(a, str_of(pg_cell(r, 0, col) ? pg_cell(r, 0, col) : "null"), &limits, ret);
}

static void policy_from(const struct json *j, struct sync_policy *p) {
    *p = (struct sync_policy){.automated = json_get_bool(j, "automated", false),
                              .prune = json_get_bool(j, "prune", false),
                              .self_heal = json_get_bool(j, "selfHeal", false),
                              .allow_empty = json_get_bool(j, "allowEmpty", false),
                              .retry_limit = json_get_int(j, "retryLimit", 5)};
}

err_t app_load(struct pg *db, struct arena *a, const char *id, struct app **ret) {
    struct pg_result *r;
    struct json *files, *policy, *variables;
    TRY(pg_one(db, a, SQL_GITOPS_APP_LOAD, PG_ARGS(pg_uuid(id)), "application", &r));
    TRY(parse_cell(a, r, 7, &files));
    TRY(parse_cell(a, r, 8, &variables));
    TRY(parse_cell(a, r, 9, &policy));
    struct app *app = arena_new_obj(a, struct app);
    const char **text[] = {&app->id,           &app->name, &app->org_id,  &app->scope_id,
                           &app->project_name, &app->path, &app->revision};
    for (size_t i = 0; i < ARRAY_LEN(text); i++)
        *text[i] = pg_cell(r, 0, i);
    app->compose_files = strings_of(a, files, &app->n_compose_files);
    app->variables = variables;
    policy_from(policy, &app->policy);
    app->suspended = pg_cell_bool(r, 0, 10);
    app->deleting = pg_cell_bool(r, 0, 11);
    const char **more[] = {&app->node_id,       &app->node_name,     &app->repo_id,
                           &app->repo_url,      &app->repo_branch,   &app->repo_auth,
                           &app->repo_username, &app->repo_host_key, &app->repo_tls_ca};
    for (size_t i = 0; i < ARRAY_LEN(more); i++)
        *more[i] = pg_cell(r, 0, 12 + i);
    app->repo_credentials_sealed = str_of(pg_cell(r, 0, 21) ? pg_cell(r, 0, 21) : "");
    const char **state[] = {&app->desired_commit,     &app->deployed_commit, &app->fenced_commit,
                            &app->last_deployment_id, &app->sync_status,     &app->health_status};
    for (size_t i = 0; i < ARRAY_LEN(state); i++)
        *state[i] = pg_cell(r, 0, 22 + i);
    app->version = pg_cell_int(r, 0, 28, 0);
    app->maintenance = pg_cell_bool(r, 0, 29);
    app->sync_failures = pg_cell_int(r, 0, 30, 0);
    app->repo_head = pg_cell(r, 0, 31);
    app->tried_commit = pg_cell(r, 0, 32);
    app->node_scope = pg_cell(r, 0, 33);
    *ret = app;
    return NULL;
}

err_t app_last_rendered(struct pg *db, struct arena *a, const struct app *app, const struct json **ret) {
    struct pg_result *r;
    struct json *j;
    *ret = NULL;
    if (app->last_deployment_id == NULL)
        return NULL;
    TRY(pg_rows(db, a, SQL_GITOPS_LAST_RENDERED, PG_ARGS(pg_uuid(app->last_deployment_id)), &r));
    if (r->rows == 0)
        return NULL;
    TRY(parse_cell(a, r, 0, &j));
    *ret = j;
    return NULL;
}
