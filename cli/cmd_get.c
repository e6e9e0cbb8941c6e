#include <stdio.h>
#include "cli/cli.h"

#define MAX_COLUMNS 10
static const struct kind {
    const char *name, *alias, *path;
    struct column columns[MAX_COLUMNS];
} kinds[] = {
    {"applications",
     "app apps application",
     "/api/v1/applications",
     {{"NAME", "name", false},
      {"SYNC", "sync.status", false},
      {"HEALTH", "health.status", false},
      {"COMMIT", "sync.deployedCommit", false},
      {"NODE", "node.name", false},
      {"REPOSITORY", "repository.name", false},
      {"ID", "id", true},
      {"UPDATED", "updatedAt", true}}},
    {"nodes",
     "node",
     "/api/v1/nodes",
     {{"NAME", "name", false},
      {"STATE", "state", false},
      {"ENGINE", "engine.version", false},
      {"RUNNING", "containersRunning", false},
      {"URL", "url", true},
      {"REASON", "stateReason", true},
      {"ID", "id", true}}},
    {"repositories",
     "repo repos repository",
     "/api/v1/repositories",
     {{"NAME", "name", false},
      {"STATE", "state", false},
      {"URL", "url", false},
      {"POLLED", "lastPolledAt", true},
      {"ID", "id", true}}},
    {"containers",
     "container ps",
     "/api/v1/containers",
     {{"NAME", "name", false},
      {"STATE", "state", false},
      {"HEALTH", "health", false},
      {"IMAGE", "image", false},
      {"NODE", "node.name", false},
      {"PROJECT", "composeProject", true},
      {"ID", "id", true}}},
    {"deployments",
     "deployment deploy",
     "/api/v1/deployments",
     {{"ID", "id", false},
      {"NUMBER", "number", false},
      {"STATUS", "status", false},
      {"COMMIT", "commit.sha", false},
      {"TRIGGER", "trigger", false},
      {"STARTED", "startedAt", false},
      {"APPLICATION", "applicationId", true}}},
    {"tasks",
     "task",
     "/api/v1/tasks",
     {{"ID", "id", false},
      {"KIND", "kind", false},
      {"STATE", "state", false},
      {"OBJECT", "object.name", false},
      {"CREATED", "createdAt", false}}},
    {"users",
     "user",
     "/api/v1/users",
     {{"USERNAME", "username", false},
      {"EMAIL", "email", false},
      {"ACTIVE", "active", false},
      {"LAST LOGIN", "lastLoginAt", false},
      {"ID", "id", true}}},
    {"projects",
     "project",
     "/api/v1/projects",
     {{"NAME", "name", false}, {"ID", "id", false}, {"ORGANIZATION", "organizationId", true}}},
    {"organizations", "organization org orgs", "/api/v1/organizations", {{"NAME", "name", false}, {"ID", "id", false}}},
    {"roles",
     "role",
     "/api/v1/roles",
     {{"NAME", "name", false}, {"TYPE", "type", false}, {"PERMISSIONS", "permissions", true}, {"ID", "id", true}}},
    {"audit",
     "audit-log audit-logs",
     "/api/v1/audit-logs",
     {{"TIME", "time", false},
      {"ACTOR", "actor.name", false},
      {"ACTION", "action", false},
      {"RESOURCE", "resourceId", false},
      {"OUTCOME", "outcome", false},
      {"IP", "ip", true}}},
};

static bool word_in(const char *words, const char *w) {
    struct str rest = str_of(words), part;
    while (str_cut(&rest, ' ', &part))
        if (str_eqz(part, w))
            return true;
    return false;
}

static err_t kind_of(const char *name, const struct kind **ret) {
    for (size_t i = 0; name && i < ARRAY_LEN(kinds); i++)
        if (z_eq(kinds[i].name, name) || word_in(kinds[i].alias, name)) {
            *ret = &kinds[i];
            return NULL;
        }
    return err_new(
        ERR_INVALID,
        "unknown kind '%s'; use applications, nodes, repositories, containers, deployments, tasks, users, projects, organizations, roles or audit",
        name ? name : "");
}

static size_t column_count(const struct kind *k) {
    size_t n = 0;
    while (n < MAX_COLUMNS && k->columns[n].title)
        n++;
    return n;
}

static err_t list_all(struct client *c, struct arena *a, const struct args *args, const struct kind *k,
                      struct json **ret) {
    struct json *items = json_array(a), *page;
    const char *cursor = NULL, *q = arg_get(args, "query");
    int64_t limit;
    TRY(arg_int(args, "limit", 1000, 1, 100000, &limit));
    do {
        const char *path =
            arena_printf(a, "%s?limit=%d%s%s%s%s", k->path, limit < 200 ? (int)limit : 200, cursor ? "&cursor=" : "",
                         cursor ? url_encode(a, str_of(cursor)) : "", q ? "&" : "", q ? q : "");
        TRY(client_call(c, a, "GET", path, NULL, NULL, NULL, &page));
        const struct json *got = json_get(page, "items");
        for (size_t i = 0; i < json_len(got); i++)
            json_push(a, items, json_at(got, i));
        cursor = json_get_str(page, "next");
    } while (cursor && (int64_t)json_len(items) < limit);
    *ret = items;
    return NULL;
}

static err_t get(struct arena *a, const struct args *args, int *ret_exit) {
    const struct kind *k;
    struct client *c;
    struct json *answer;
    const char *format = arg_get(args, "output");
    (void)ret_exit;
    TRY(kind_of(arg_word(args, 0), &k));
    TRY(client_from_args(a, args, &c));
    err_t e;
    if (arg_word(args, 1)) {
        const char *path = arena_printf(a, "%s/%s", k->path, url_encode(a, str_of(arg_word(args, 1))));
        e = client_call(c, a, "GET", path, NULL, NULL, NULL, &answer);
        struct json *one = json_array(a);
        if (e == NULL && (format == NULL || z_eq(format, "table") || z_eq(format, "wide") || z_eq(format, "name"))) {
            json_push(a, one, answer);
            e = output_list(a, one, k->columns, column_count(k), format);
        } else if (e == NULL) {
            e = output_object(a, answer, format);
        }
    } else {
        e = list_all(c, a, args, k, &answer);
        if (e == NULL)
            e = output_list(a, answer, k->columns, column_count(k), format);
    }
    client_close(c);
    return e;
}

static err_t describe(struct arena *a, const struct args *args, int *ret_exit) {
    const struct kind *k;
    struct client *c;
    struct json *answer;
    (void)ret_exit;
    TRY(kind_of(arg_word(args, 0), &k));
    if (arg_word(args, 1) == NULL)
        return err_new(ERR_INVALID, "usage: dsctl describe KIND NAME");
    TRY(client_from_args(a, args, &c));
    err_t e = client_call(c, a, "GET", arena_printf(a, "%s/%s", k->path, url_encode(a, str_of(arg_word(args, 1)))),
                          NULL, NULL, NULL, &answer);
    client_close(c);
    return e ? e : output_object(a, answer, arg_get(args, "output"));
}

static err_t api(struct arena *a, const struct args *args, int *ret_exit) {
    const char *method = arg_word(args, 0), *path = arg_word(args, 1), *data = arg_get(args, "data");
    struct client *c;
    struct json *body = NULL, *answer;
    (void)ret_exit;
    if (path == NULL)
        return err_new(ERR_INVALID, "usage: dsctl api GET|POST|PUT|PATCH|DELETE PATH [-d JSON] [--if-match ETAG]");
    if (data)
        TRY(json_parse(a, str_of(data), NULL, &body));
    TRY(client_from_args(a, args, &c));
    const char *full = *path == '/' ? path : arena_printf(a, "/api/v1/%s", path);
    err_t e = client_call(c, a, method, full, body, arg_get(args, "if-match"), NULL, &answer);
    client_close(c);
    TRY(e);
    return answer ? output_object(a, answer, arg_get(args, "output") ? arg_get(args, "output") : "json") : NULL;
}

static const struct arg_def get_options[] = {COMMON_OPTIONS, {'q', "query", true}, {0, "limit", true}, {0}};
static const struct arg_def api_options[] = {COMMON_OPTIONS, {'d', "data", true}, {0, "if-match", true}, {0}};

const struct command get_commands[] = {
    {"get", "get KIND [NAME] [-o table|wide|json|yaml|name|jsonpath=.x] [-q field=value] [--limit N]",
     "List or show objects", get_options, get},
    {"describe", "describe KIND NAME [-o yaml|json]", "Show one object whole", get_options, describe},
    {"api", "api METHOD PATH [-d JSON]", "Call the API directly", api_options, api},
    {0}};
