#include "core/gitops/plan.h"

/* The loader sees the tree of a commit below this directory (source.c). */
const char *plan_origin_path(const char *file) {
    static const char root[] = "/repository/";
    return z_starts(file, root) ? file + sizeof(root) - 1 : file;
}

const char *source_path(const char *file) {
    return file && z_starts(file, SOURCE_ROOT "/") ? file + sizeof(SOURCE_ROOT) : file;
}

static struct json *cause_json(struct arena *a, const struct plan_cause *c) {
    struct json *j = json_object(a);
    json_set_str(a, j, "code", c->code);
    json_set_str(a, j, "message", c->message);
    if (c->path)
        json_set_str(a, j, "path", c->path);
    if (c->from)
        json_set_str(a, j, "from", c->from);
    if (c->to)
        json_set_str(a, j, "to", c->to);
    if (c->origin.file) {
        json_set_str(a, j, "file", plan_origin_path(c->origin.file));
        json_set_int(a, j, "line", c->origin.line);
    }
    return j;
}

static struct json *op_json(struct arena *a, const struct op *op) {
    struct json *j = json_object(a), *causes = json_array(a), *deps = json_array(a);
    json_set_str(a, j, "id", op->id);
    json_set_str(a, j, "kind", op_kind_name(op->kind));
    json_set_str(a, j, "service", op->service);
    json_set_str(a, j, "object", op->object);
    json_set_str(a, j, "title", op->title);
    for
        vec_each(c, &op->causes)
            json_push(a, causes, cause_json(a, c));
    for
        vec_each(d, &op->depends_on)
            json_push(a, deps, json_string(a, *d));
    json_set(a, j, "cause", causes);
    json_set(a, j, "dependsOn", deps);
    json_set_int(a, j, "phase", op->phase);
    json_set_bool(a, j, "reversible", op->reversible);
    json_set_bool(a, j, "destructive", op->destructive);
    return j;
}

struct json *plan_to_json(struct arena *a, const struct plan *p) {
    struct json *j = json_object(a), *ops = json_array(a), *warnings = json_array(a);
    json_set_str(a, j, "id", p->id);
    json_set_str(a, j, "applicationId", p->app_id);
    json_set_str(a, j, "revision", p->revision);
    json_set_str(a, j, "project", p->project);
    json_set_bool(a, j, "empty", p->ops.n == 0);
    for
        vec_each(op, &p->ops)
            json_push(a, ops, op_json(a, op));
    for
        vec_each(w, &p->warnings)
            json_push(a, warnings, json_string(a, *w));
    json_set(a, j, "ops", ops);
    json_set(a, j, "warnings", warnings);
    return j;
}
