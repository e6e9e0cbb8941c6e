/* Git repositories. Credentials and webhook secrets go in and never come out; they are sealed to their row, and bound to the host
 * they were given for. */
#include "core/base/id.h"
#include "core/conf/conf.h"
#include "handlers/list.h"
#include "handlers/runtime.h"
#include "handlers/tables.h"

enum { HOOK_ID_LEN = 24, SECRET_LEN = 43 };

struct seen_repository {
    const char *id, *name;
    int64_t version;
};

static err_t resolve_repository(struct request *r) {
    const char *id;
    struct pg_result *res;
    TRY(api_uuid_param(r, "id", &id));
    TRY(api_one(r, SQL_REPOSITORIES_SEEN, PG_ARGS(pg_uuid(id)), &res));
    struct seen_repository *x = arena_new_obj(r->a, struct seen_repository);
    *x = (struct seen_repository){pg_cell(res, 0, 0), pg_cell(res, 0, 3), pg_cell_int(res, 0, 2, 0)};
    r->resource = x;
    r->scope_id = pg_cell(res, 0, 1);
    return NULL;
}

static err_t resolve_project(struct request *r) { return api_scope_of_body(r, "projectId"); }

static const struct list_sort sorts[] = {{"name", "r.name", "text"},
                                         {"createdAt", "r.created_at", "timestamptz"},
                                         {"updatedAt", "r.updated_at", "timestamptz"}};
static const struct list_spec spec = {.json = "df_json(r)",
                                      .from = "repositories r",
                                      .id = "r.id",
                                      .sort = sorts,
                                      .nsort = ARRAY_LEN(sorts),
                                      .search = "r.name || ' ' || r.url",
                                      .scope = "r.scope_id",
                                      .permission = PERM_REPOSITORY_READ};

static err_t list(struct request *r, struct reply *out) {
    struct list_query l;
    TRY(list_begin(&l, r, &spec));
    list_filter(&l, "project", "r.scope_id::text");
    list_filter(&l, "state", "df_json(r)->>'state'");
    return list_reply(&l, out);
}

static err_t get(struct request *r, struct reply *out) {
    const struct seen_repository *x = r->resource;
    struct str text;
    TRY(api_json(r, SQL_REPOSITORIES_JSON, PG_ARGS(pg_uuid(x->id)), &text));
    TRY(reply_header(out, "etag", arena_printf(r->a, "\"%lld\"", (long long)x->version)));
    return reply_json_borrowed(out, 200, text);
}

/* ---- checks ---- */

static bool local_allowed(void) { return conf_now()->git.allow_local_paths && conf_now()->server.dev_mode; }

static err_t check_url(struct arena *a, const char *url, struct git_url *ret) {
    err_t e = git_url_parse(a, url, local_allowed(), ret);
    return e ? err_field(e, "/url") : NULL;
}

static err_t check_branch(const char *branch) {
    return branch && *branch && !git_ref_valid(branch)
               ? err_field(err_new(ERR_INVALID, "'%s' is not a legal branch name", branch), "/branch")
               : NULL;
}

static err_t check_poll(const struct json *body, int64_t *ret) {
    int64_t s = json_get_int(body, "pollSeconds", -1);
    if (s > 0 && s < 10)
        return err_field(err_new(ERR_INVALID, "poll every 10 seconds or less often, or 0 for never"), "/pollSeconds");
    *ret = s;
    return NULL;
}

static err_t check_ca(const char *pem) {
    if (pem == NULL || *pem == '\0' || strstr(pem, "-----BEGIN CERTIFICATE-----"))
        return NULL;
    return err_field(
        err_new(ERR_INVALID, "give the authority's certificates as PEM text (-----BEGIN CERTIFICATE-----)"), "/tlsCa");
}

struct auth {
    const char *type, *username, *host_key, *sealed;
};

static err_t missing(const char *field, const char *what) {
    return err_field(err_new(ERR_MISSING_FIELD, "%s", what), field);
}

static err_t bad_combination(const struct json *auth, const char *type, const struct git_url *url) {
    bool ssh = z_eq(type, "ssh"), token = z_eq(type, "token");
    if (ssh && url->scheme != GIT_SSH)
        return err_field(err_new(ERR_INVALID, "an SSH key is for ssh:// URLs; use a token with https://"),
                         "/auth/type");
    if (token && url->scheme != GIT_HTTPS && url->scheme != GIT_HTTP)
        return err_field(err_new(ERR_INVALID, "a token is for https:// URLs; use an SSH key with ssh://"),
                         "/auth/type");
    if (url->scheme == GIT_SSH && !ssh)
        return err_field(err_new(ERR_INVALID, "an ssh:// repository needs auth.type ssh with privateKey and hostKey"),
                         "/auth/type");
    if (ssh && json_get_str(auth, "privateKey") == NULL)
        return missing("/auth/privateKey", "auth.privateKey is required for ssh");
    if (ssh && json_get_str(auth, "hostKey") == NULL)
        return missing(
            "/auth/hostKey",
            "auth.hostKey is required: the server's key is pinned, not trusted on first use (ssh-keyscan shows it)");
    if (token && json_get_str(auth, "token") == NULL)
        return missing("/auth/token", "auth.token is required");
    return NULL;
}

static bool host_key_ok(const char *z) {
    return z_starts(z, "SHA256:") ? strlen(z) >= 7 + 43
                                  : z_starts(z, "ssh-") || z_starts(z, "ecdsa-") || z_starts(z, "sk-");
}

static err_t read_auth(struct request *r, const char *id, const struct json *auth, const struct git_url *url,
                       struct auth *ret) {
    const char *type = auth ? json_get_str(auth, "type") : "none";
    TRY(bad_combination(auth, type, url));
    bool ssh = z_eq(type, "ssh");
    *ret = (struct auth){.type = ssh ? "ssh-key" : type,
                         .username = json_str_or(json_get(auth, "username"), ""),
                         .host_key = ssh ? json_get_str(auth, "hostKey") : NULL};
    if (ssh && !host_key_ok(ret->host_key))
        return err_field(err_new(ERR_INVALID, "the host key is \"SHA256:...\" or a line like \"ssh-ed25519 AAAA...\""),
                         "/auth/hostKey");
    const char *secret = ssh                   ? json_get_str(auth, "privateKey")
                         : z_eq(type, "token") ? json_get_str(auth, "token")
                                               : NULL;
    if (secret == NULL)
        return NULL;
    struct json *plain = json_object(r->a);
    if (*ret->username)
        json_set_str(r->a, plain, "username", ret->username);
    json_set_str(r->a, plain, "secret", secret);
    struct seal_place at = {"repositories", "credentials_sealed", id};
    char *text = json_to_text(r->a, plain);
    ret->sealed = bytea_text(r->a, seal(r->a, platform()->keys, &at, str_of(text)));
    mem_wipe(text, strlen(text));
    return NULL;
}

/* ---- create ---- */

struct change_of {
    const struct json *body;
    const char *id, *name, *project, *url, *branch, *ca;
    struct auth auth;
    bool set_auth, set_ca;
    int64_t poll;
    struct str json;
    int64_t version;
    struct uuid_text job;
};

static err_t read_back(struct pg *tx, struct request *r, struct change_of *x) {
    struct pg_result *res;
    TRY(pg_one(tx, r->a, SQL_REPOSITORIES_JSON, PG_ARGS(pg_uuid(x->id)), "repository", &res));
    x->json = res->cells[0];
    x->version = pg_cell_int(res, 0, 1, 1);
    return bus_publish(tx, "repository.status", r->scope_id, "repository", x->id, x->json.p);
}

static err_t name_taken(err_t e) {
    return e->code == ERR_CONFLICT
               ? err_field(err_new(ERR_CONFLICT, "this project has a repository with this name already"), "/name")
               : e;
}

static err_t create_tx(struct pg *tx, struct request *r, void *arg, struct change *c) {
    struct change_of *x = arg;
    struct pg_result *res;
    char hook[HOOK_ID_LEN + 1];
    random_base62(hook, HOOK_ID_LEN);
    TRY(pg_rows(tx, r->a, SQL_REPOSITORIES_PROJECT, PG_ARGS(pg_uuid(r->scope_id)), &res));
    if (res->rows == 0)
        return err_field(err_new(ERR_INVALID, "a repository belongs to a project or folder"), "/projectId");
    err_t e = pg_exec(tx, SQL_REPOSITORIES_INSERT,
                      PG_ARGS(pg_uuid(x->id), pg_uuid(r->scope_id), pg_text(x->name), pg_text(x->url),
                              pg_text(x->branch ? x->branch : ""), pg_text(x->auth.type), pg_text(x->auth.username),
                              pg_text(x->auth.sealed), pg_text(x->auth.host_key), pg_text(x->ca), pg_text(hook),
                              pg_int(x->poll), pg_text(json_str_or(json_get(x->body, "provider"), "generic")),
                              pg_uuid(r->who->user_id), pg_uuid(r->who->token_id)),
                      NULL);
    if (e)
        return name_taken(e);
    TRY(gitops_poll(platform()->gitops, tx, x->id, r->scope_id, "poll", &x->job));
    TRY(read_back(tx, r, x));
    *c = (struct change){.kind = "repository", .id = x->id, .name = x->name, .after = x->json.p};
    return NULL;
}

static err_t create(struct request *r, struct reply *out) {
    const struct json *body;
    struct git_url url;
    TRY(request_json(r, &body));
    struct change_of x = {.body = body,
                          .id = uuid7_new(r->a),
                          .name = json_get_str(body, "name"),
                          .branch = json_get_str(body, "branch"),
                          .ca = json_get_str(body, "tlsCa")};
    TRY(check_url(r->a, json_get_str(body, "url"), &url));
    TRY(check_branch(x.branch));
    TRY(check_poll(body, &x.poll));
    TRY(check_ca(x.ca));
    TRY(read_auth(r, x.id, json_get(body, "auth"), &url, &x.auth));
    x.url = url.text;
    if (x.poll < 0)
        x.poll = conf_now()->git.poll_seconds;
    TRY(api_tx(r, create_tx, &x));
    TRY(reply_header(out, "location", arena_printf(r->a, "/api/v1/repositories/%s", x.id)));
    (void)reply_etag(r, out, x.version);
    return reply_json_borrowed(out, 201, x.json);
}

/* ---- change ---- */

static err_t lock(struct pg *tx, struct request *r, const char *id, struct pg_result **ret) {
    err_t e = pg_one(tx, r->a, SQL_REPOSITORIES_LOCK, PG_ARGS(pg_uuid(id)), "repository", ret);
    if (e)
        return e->code == ERR_NOT_FOUND ? api_not_found() : e;
    return request_if_match(r, pg_cell_int(*ret, 0, 1, 0));
}

static bool same_place(const struct git_url *a, const struct git_url *b) {
    return a->scheme == b->scheme && z_eq(a->host, b->host) && a->port == b->port;
}

/* A credential given for one host is never sent to another. */
static err_t check_move(struct request *r, struct change_of *x, const struct pg_result *old) {
    struct git_url before, after;
    TRY(git_url_parse(r->a, pg_cell(old, 0, 3), true, &before));
    TRY(check_url(r->a, x->url ? x->url : pg_cell(old, 0, 3), &after));
    x->url = x->url ? after.text : NULL;
    x->set_auth = json_get(x->body, "auth") != NULL;
    if (x->set_auth)
        return read_auth(r, x->id, json_get(x->body, "auth"), &after, &x->auth);
    if (!same_place(&before, &after) && (pg_cell_bool(old, 0, 5) || after.scheme == GIT_SSH))
        return err_field(err_new(ERR_INVALID, "the credentials belong to %s; give new ones with the new URL",
                                 before.host ? before.host : "the old place"),
                         "/auth");
    return NULL;
}

static err_t update_tx(struct pg *tx, struct request *r, void *arg, struct change *c) {
    struct change_of *x = arg;
    struct pg_result *old;
    TRY(lock(tx, r, x->id, &old));
    TRY(check_move(r, x, old));
    err_t e =
        pg_exec(tx, SQL_REPOSITORIES_UPDATE,
                PG_ARGS(pg_uuid(x->id), pg_text(x->name), pg_text(x->url), pg_text(x->branch), pg_bool(x->set_auth),
                        pg_text(x->auth.type), pg_text(x->auth.username), pg_text(x->auth.sealed),
                        pg_text(x->auth.host_key), x->poll < 0 ? PG_NULL : pg_int(x->poll), pg_bool(x->set_ca),
                        pg_text(x->ca && *x->ca ? x->ca : NULL), pg_uuid(r->who->user_id), pg_uuid(r->who->token_id)),
                NULL);
    if (e)
        return name_taken(e);
    TRY(gitops_poll(platform()->gitops, tx, x->id, r->scope_id, "poll", &x->job));
    TRY(read_back(tx, r, x));
    *c = (struct change){.kind = "repository",
                         .id = x->id,
                         .name = x->name ? x->name : pg_cell(old, 0, 2),
                         .before = pg_cell(old, 0, 0),
                         .after = x->json.p};
    return NULL;
}

static err_t update(struct request *r, struct reply *out) {
    const struct seen_repository *seen = r->resource;
    const struct json *body;
    TRY(request_json(r, &body));
    struct change_of x = {.body = body,
                          .id = seen->id,
                          .name = json_get_str(body, "name"),
                          .url = json_get_str(body, "url"),
                          .branch = json_get_str(body, "branch"),
                          .ca = json_get_str(body, "tlsCa"),
                          .set_ca = json_get(body, "tlsCa") != NULL};
    TRY(check_branch(x.branch));
    TRY(check_poll(body, &x.poll));
    TRY(check_ca(x.ca));
    TRY(api_tx(r, update_tx, &x));
    (void)reply_etag(r, out, x.version);
    return reply_json_borrowed(out, 200, x.json);
}

static err_t delete_tx(struct pg *tx, struct request *r, void *arg, struct change *c) {
    const struct seen_repository *x = arg;
    struct pg_result *old, *apps;
    TRY(lock(tx, r, x->id, &old));
    TRY(pg_one(tx, r->a, SQL_REPOSITORIES_APPS, PG_ARGS(pg_uuid(x->id)), "answer", &apps));
    if (pg_cell_int(apps, 0, 0, 0) > 0)
        return err_detail(err_new(ERR_CONFLICT, "%s applications are deployed from this repository; delete them first",
                                  pg_cell(apps, 0, 0)),
                          "application", pg_cell(apps, 0, 1));
    TRY(pg_exec(tx, SQL_REPOSITORIES_DELETE, PG_ARGS(pg_uuid(x->id)), NULL));
    *c = (struct change){.kind = "repository", .id = x->id, .name = x->name, .before = pg_cell(old, 0, 0)};
    return bus_publish(tx, "repository.deleted", r->scope_id, "repository", x->id,
                       arena_printf(r->a, "{\"id\":\"%s\"}", x->id));
}

static err_t delete (struct request *r, struct reply *out) {
    struct seen_repository *x = r->resource;
    TRY(api_tx(r, delete_tx, x));
    gitops_repo_forget(platform()->gitops, x->id);
    return reply_empty(out, 204);
}

/* ---- actions ---- */

static err_t test(struct request *r, struct reply *out) {
    const struct seen_repository *x = r->resource;
    const char *oid = NULL;
    err_t e = gitops_repo_test(platform()->gitops, r->a, x->id, NULL, &oid);
    if (e && (e->code == ERR_CANCELLED || e->code == ERR_DB_UNAVAILABLE))
        return e;
    struct json *j = json_object(r->a), *err = json_object(r->a);
    json_set_bool(r->a, j, "ok", e == NULL);
    json_set_str(r->a, j, "commit", oid);
    if (e) {
        json_set_str(r->a, err, "code", err_code_wire(e->code));
        json_set_str(r->a, err, "message", e->message);
    }
    json_set(r->a, j, "error", e ? err : json_null(r->a));
    return reply_json(out, 200, j);
}

static err_t refresh_tx(struct pg *tx, struct request *r, void *arg, struct change *c) {
    struct change_of *x = arg;
    TRY(gitops_poll(platform()->gitops, tx, x->id, r->scope_id, "poll", &x->job));
    *c = (struct change){.kind = "repository", .id = x->id, .name = x->name, .task = x->job.z};
    return NULL;
}

static err_t refresh(struct request *r, struct reply *out) {
    const struct seen_repository *seen = r->resource;
    struct change_of x = {.id = seen->id, .name = seen->name};
    TRY(api_tx(r, refresh_tx, &x));
    return reply_task(r, out, x.job.z);
}

struct secret_of {
    const char *id, *name, *sealed;
};

static err_t secret_tx(struct pg *tx, struct request *r, void *arg, struct change *c) {
    const struct secret_of *s = arg;
    (void)r;
    *c = (struct change){.kind = "repository", .id = s->id, .name = s->name};
    return pg_exec(tx, SQL_REPOSITORIES_SECRET, PG_ARGS(pg_uuid(s->id), pg_text(s->sealed)), NULL);
}

static err_t new_secret(struct request *r, struct reply *out) {
    const struct seen_repository *x = r->resource;
    char secret[SECRET_LEN + 1];
    random_base62(secret, SECRET_LEN);
    struct seal_place at = {"repositories", "webhook_secret_sealed", x->id};
    struct secret_of s = {x->id, x->name, bytea_text(r->a, seal(r->a, platform()->keys, &at, str_of(secret)))};
    TRY(api_tx(r, secret_tx, &s));
    struct json *j = json_object(r->a);
    json_set_str(r->a, j, "secret", secret);
    mem_wipe(secret, sizeof(secret));
    return reply_json(out, 200, j);
}

static const struct route rows[] = {
    ROUTE(GET, "/api/v1/repositories", AUTH_PERMISSION, "repository:read", list, .query = "project state",
          .flags = ROUTE_LIST, .response_schema = "Repository", .tag = "repositories", .summary = "List repositories"),
    ROUTE(POST, "/api/v1/repositories", AUTH_PERMISSION, "repository:create", create,
          .read_permission = "repository:read", .resolve = resolve_project, .audit = "repository.create",
          .request_schema = "RepositoryCreate", .response_schema = "Repository", .tag = "repositories",
          .summary = "Register a repository"),
    ROUTE(GET, "/api/v1/repositories/{id}", AUTH_PERMISSION, "repository:read", get, .resolve = resolve_repository,
          .response_schema = "Repository", .tag = "repositories", .summary = "Get a repository"),
    ROUTE(PATCH, "/api/v1/repositories/{id}", AUTH_PERMISSION, "repository:update", update,
          .read_permission = "repository:read", .resolve = resolve_repository, .audit = "repository.update",
          .request_schema = "RepositoryUpdate", .flags = ROUTE_IF_MATCH, .response_schema = "Repository",
          .tag = "repositories", .summary = "Change a repository"),
    ROUTE(DELETE, "/api/v1/repositories/{id}", AUTH_PERMISSION, "repository:delete", delete,
          .read_permission = "repository:read", .resolve = resolve_repository, .audit = "repository.delete",
          .flags = ROUTE_IF_MATCH, .tag = "repositories", .summary = "Remove a repository"),
    ROUTE(POST, "/api/v1/repositories/{id}/test", AUTH_PERMISSION, "repository:update", test,
          .read_permission = "repository:read", .resolve = resolve_repository, .flags = ROUTE_NO_AUDIT,
          .response_schema = "RepositoryTest", .tag = "repositories",
          .summary = "Ask the remote with the stored credentials"),
    ROUTE(POST, "/api/v1/repositories/{id}/refresh", AUTH_PERMISSION, "application:sync", refresh,
          .read_permission = "repository:read", .resolve = resolve_repository, .audit = "repository.refresh",
          .flags = ROUTE_TASK, .tag = "repositories", .summary = "Look for new commits now"),
    ROUTE(POST, "/api/v1/repositories/{id}/webhook-secret", AUTH_PERMISSION, "repository:update", new_secret,
          .read_permission = "repository:read", .resolve = resolve_repository, .audit = "repository.webhook-secret",
          .response_schema = "WebhookSecret", .tag = "repositories",
          .summary = "Make a new webhook secret; shown once"),
};
ROUTE_TABLE(repositories_routes, rows);
