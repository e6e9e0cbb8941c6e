/* Field-level differences of two canonical services, with the place in the file that set the new value. */
#include <string.h>
#include "core/gitops/plan_internal.h"

#define MAX_CAUSES 64

static bool secret_looking(const char *path) {
    static const char *const marks[] = {"PASS", "SECRET", "TOKEN", "KEY", "CREDENTIAL", "PRIVATE"};
    size_t n = strlen(path);
    char upper[256];
    if (n >= sizeof(upper))
        return true;
    for (size_t i = 0; i <= n; i++)
        upper[i] = (char)(path[i] >= 'a' && path[i] <= 'z' ? path[i] - 32 : path[i]);
    for (size_t i = 0; i < ARRAY_LEN(marks); i++)
        if (strstr(upper, marks[i]))
            return true;
    return false;
}

static const char *short_value(struct arena *a, const struct json *j) {
    if (j == NULL)
        return NULL;
    const char *text = json_is(j, JSON_STRING) ? json_str(j) : json_to_text(a, j);
    return strlen(text) > 200 ? arena_printf(a, "%.200s…", text) : text;
}

static void add(struct arena *a, const struct compose_service *s, const char *path, const struct json *from,
                const struct json *to, plan_causes *out) {
    if (out->n >= MAX_CAUSES)
        return;
    bool env = z_starts(path, "environment.");
    bool hide = secret_looking(path);
    struct plan_cause c = {.code = env                   ? "env"
                                   : z_eq(path, "image") ? "image"
                                                         : "config",
                           .path = path,
                           .origin = compose_service_origin(s, path)};
    c.message = arena_printf(a, "%s %s", path, from == NULL ? "added" : to == NULL ? "removed" : "changed");
    c.from = hide ? NULL : short_value(a, from);
    c.to = hide ? NULL : short_value(a, to);
    *vec_push(a, out) = c;
}

/* What does not change the container is not a cause. */
static bool irrelevant(const char *path) {
    static const char *const keys[] = {"depends_on", "profiles", "scale", "pull_policy", "build"};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (z_eq(path, keys[i]))
            return true;
    return false;
}

static void walk(struct arena *a, const struct compose_service *s, const char *prefix, const struct json *from,
                 const struct json *to, int depth, plan_causes *out) {
    if (depth > 0 && (irrelevant(prefix) || json_eq(from, to)))
        return;
    bool objects = json_is(from, JSON_OBJECT) && json_is(to, JSON_OBJECT);
    if (!objects || depth > 3) {
        add(a, s, prefix, from, to, out);
        return;
    }
    for (size_t i = 0; i < to->obj.n; i++) {
        const char *key = to->obj.v[i].key.p;
        const char *path = depth ? arena_printf(a, "%s.%s", prefix, key) : key;
        const struct json *was = json_get(from, key);
        if (was)
            walk(a, s, path, was, to->obj.v[i].value, depth + 1, out);
        else if (!irrelevant(path))
            add(a, s, path, NULL, to->obj.v[i].value, out);
    }
    for (size_t i = 0; i < from->obj.n; i++) {
        const char *key = from->obj.v[i].key.p;
        const char *path = depth ? arena_printf(a, "%s.%s", prefix, key) : key;
        if (json_get(to, key) == NULL && !irrelevant(path))
            add(a, s, path, from->obj.v[i].value, NULL, out);
    }
}

void plan_diff_service(struct arena *a, const struct compose_service *s, const struct json *before,
                       const struct json *after, plan_causes *out) {
    walk(a, s, "", before, after, 0, out);
}
