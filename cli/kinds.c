/* The kinds of objects: what they are called on the command line, where they live in the API, what a table of them shows. */
#include "cli/kinds.h"

static const struct kind kinds[] = {
    {"applications",
     "app apps application",
     "/api/v1/applications",
     NULL,
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
     NULL,
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
     "name",
     {{"NAME", "name", false},
      {"STATE", "state", false},
      {"URL", "url", false},
      {"POLLED", "lastPolledAt", true},
      {"ID", "id", true}}},
    {"containers",
     "container ps",
     "/api/v1/containers",
     NULL,
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
     NULL,
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
     NULL,
     {{"ID", "id", false},
      {"KIND", "kind", false},
      {"STATE", "state", false},
      {"OBJECT", "object.name", false},
      {"CREATED", "createdAt", false}}},
    {"users",
     "user",
     "/api/v1/users",
     "username",
     {{"USERNAME", "username", false},
      {"EMAIL", "email", false},
      {"ACTIVE", "active", false},
      {"LAST LOGIN", "lastLoginAt", false},
      {"ID", "id", true}}},
    {"projects",
     "project",
     "/api/v1/projects",
     "name",
     {{"NAME", "name", false}, {"ID", "id", false}, {"ORGANIZATION", "organizationId", true}}},
    {"organizations",
     "organization org orgs",
     "/api/v1/organizations",
     NULL,
     {{"NAME", "name", false}, {"ID", "id", false}}},
    {"roles",
     "role",
     "/api/v1/roles",
     NULL,
     {{"NAME", "name", false}, {"TYPE", "type", false}, {"PERMISSIONS", "permissions", true}, {"ID", "id", true}}},
    {"audit",
     "audit-log audit-logs",
     "/api/v1/audit-logs",
     NULL,
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

const char *kind_names(struct arena *a) {
    const char *names = kinds[0].name;
    for (size_t i = 1; i < ARRAY_LEN(kinds); i++)
        names = arena_printf(a, "%s %s", names, kinds[i].name);
    return names;
}

err_t kind_of(struct arena *a, const char *name, const struct kind **ret) {
    for (size_t i = 0; name && i < ARRAY_LEN(kinds); i++)
        if (z_eq(kinds[i].name, name) || word_in(kinds[i].alias, name)) {
            *ret = &kinds[i];
            return NULL;
        }
    return name ? err_new(ERR_INVALID, "unknown kind '%s'; use one of: %s", name, kind_names(a))
                : err_new(ERR_INVALID, "which kind? one of: %s", kind_names(a));
}

size_t kind_columns(const struct kind *k) {
    size_t n = 0;
    while (n < MAX_COLUMNS && k->columns[n].title)
        n++;
    return n;
}

/* Not every list of the API is addressed by name: search it, and take what is called exactly so. */
static err_t by_name(struct client *c, struct arena *a, const struct kind *k, const char *name, const char **ret_id) {
    const char *cursor = NULL, *id = NULL;
    do {
        struct json *page;
        const char *path = arena_printf(a, "%s?limit=200&q=%s%s%s", k->path, url_encode(a, str_of(name)),
                                        cursor ? "&cursor=" : "", cursor ? url_encode(a, str_of(cursor)) : "");
        TRY(client_call(c, a, "GET", path, NULL, NULL, NULL, &page));
        const struct json *items = json_get(page, "items");
        for (size_t i = 0; i < json_len(items); i++) {
            if (!z_eq(json_get_str(json_at(items, i), k->search), name))
                continue;
            if (id)
                return err_new(ERR_CONFLICT, "several %s are called '%s'; use the id (dsctl get %s -o wide)", k->name,
                               name, k->name);
            id = json_get_str(json_at(items, i), "id");
        }
        cursor = json_get_str(page, "next");
    } while (cursor);
    if (id == NULL)
        return err_new(ERR_NOT_FOUND, "no %s called '%s'; see: dsctl get %s", k->name, name, k->name);
    *ret_id = id;
    return NULL;
}

err_t kind_path(struct client *c, struct arena *a, const struct kind *k, const char *ref, const char **ret) {
    if (k->search && !uuid_valid(str_of(ref)))
        TRY(by_name(c, a, k, ref, &ref));
    *ret = arena_printf(a, "%s/%s", k->path, url_encode(a, str_of(ref)));
    return NULL;
}

err_t kind_id(struct client *c, struct arena *a, const char *kind, const char *ref, const char **ret) {
    const struct kind *k;
    const char *path;
    struct json *found;
    *ret = ref;
    if (uuid_valid(str_of(ref)))
        return NULL;
    TRY(kind_of(a, kind, &k));
    if (k->search)
        return by_name(c, a, k, ref, ret);
    TRY(kind_path(c, a, k, ref, &path));
    err_t e = client_call(c, a, "GET", path, NULL, NULL, NULL, &found);
    if (e && e->code == ERR_NOT_FOUND)
        return err_new(ERR_NOT_FOUND, "no %s called '%s'; see: dsctl get %s", k->name, ref, k->name);
    TRY(e);
    *ret = json_str_or(json_get(found, "id"), ref);
    return NULL;
}
