/* Tasks: the jobs people started, and what the scheduler did. */
#include "handlers/list.h"
#include "handlers/runtime.h"
#include "handlers/tables.h"
#include "server/reply.h"
#include "handlers/tasks.h"

err_t resolve_task(struct request *r) {
    const char *id;
    struct pg_result *res;
    TRY(api_uuid_param(r, "id", &id));
    TRY(api_one(r, SQL_TASKS_SEEN, PG_ARGS(pg_uuid(id)), &res));
    if (!runtime_may_see(r->who, PERM_TASK_READ, pg_cell(res, 0, 1)))
        return api_not_found();
    struct seen_task *t = arena_new_obj(r->a, struct seen_task);
    *t = (struct seen_task){pg_cell(res, 0, 0), pg_cell(res, 0, 3), pg_cell(res, 0, 2)};
    r->resource = t;
    r->scope_id = pg_cell(res, 0, 1);
    return NULL;
}

#define SCOPE "coalesce(j.scope_id, '" ROOT_SCOPE "')"
static const struct list_sort sorts[] = {{"createdAt", "j.created_at", "timestamptz"},
                                         {"updatedAt", "j.updated_at", "timestamptz"}};
static const struct list_spec spec = {.json = "df_json(j)",
                                      .from = "jobs j",
                                      .id = "j.id",
                                      .sort = sorts,
                                      .nsort = ARRAY_LEN(sorts),
                                      .descending = true,
                                      .scope = SCOPE,
                                      .permission = PERM_TASK_READ};

static err_t list(struct request *r, struct reply *out) {
    struct list_query l;
    bool all;
    TRY(request_query_bool(r, "all", false, &all));
    TRY(list_begin(&l, r, &spec));
    list_filter(&l, "state", "j.state");
    list_filter(&l, "kind", "j.kind");
    list_filter(&l, "object", "j.object_id");
    /* What runs by the clock would hide everything else. */
    if (!all)
        list_where(
            &l,
            "j.created_by IS NOT NULL OR j.kind NOT IN ('repository.poll', 'application.refresh') OR j.state = 'failed'",
            PG_NOARGS);
    return list_reply(&l, out);
}

static err_t get(struct request *r, struct reply *out) {
    const struct seen_task *t = r->resource;
    struct str text;
    TRY(api_json(r, SQL_TASKS_JSON, PG_ARGS(pg_uuid(t->id)), &text));
    return reply_json_borrowed(out, 200, text);
}

static err_t cancel_tx(struct pg *tx, struct request *r, void *arg, struct change *c) {
    const struct seen_task *t = arg;
    err_t e =
        jobs_cancel(tx, t->id, arena_printf(r->a, "cancelled by %s", r->who->username ? r->who->username : "somebody"));
    if (e && e->code == ERR_NOT_FOUND)
        return err_new(ERR_CONFLICT, "the task has ended already");
    *c = (struct change){.kind = "task", .id = t->id, .name = t->kind};
    return e;
}

static err_t cancel(struct request *r, struct reply *out) {
    struct seen_task *t = r->resource;
    struct str text;
    TRY(api_tx(r, cancel_tx, t));
    TRY(api_json(r, SQL_TASKS_JSON, PG_ARGS(pg_uuid(t->id)), &text));
    return reply_json_borrowed(out, 202, text);
}

err_t task_log(struct pg *db, struct arena *a, const char *id, int64_t after, int64_t limit, struct buf *out,
               int64_t *ret_last, size_t *ret_n) {
    struct pg_result *res;
    TRY(pg_rows(db, a, SQL_TASKS_LOG, PG_ARGS(pg_uuid(id), pg_int(after), pg_int(limit)), &res));
    buf_putc(out, '[');
    for (size_t i = 0; i < res->rows; i++) {
        if (i)
            buf_putc(out, ',');
        buf_puts(out, pg_cell(res, i, 0));
    }
    buf_putc(out, ']');
    *ret_n = res->rows;
    *ret_last = res->rows ? pg_cell_int(res, res->rows - 1, 1, after) : after;
    return buf_check(out);
}

static err_t log_lines(struct request *r, struct reply *out) {
    const struct seen_task *t = r->resource;
    int64_t after, limit, last;
    size_t n;
    AUTO_BUF b;
    buf_init(&b, 4096, MIB(32));
    TRY(request_query_int(r, "cursor", 0, 0, INT32_MAX, &after));
    TRY(request_query_int(r, "limit", 200, 1, 1000, &limit));
    TRY(task_log(platform()->db, r->a, t->id, after, limit, &b, &last, &n));
    return reply_list(r, out, buf_str(&b), (int64_t)n == limit ? arena_printf(r->a, "%lld", (long long)last) : NULL);
}

static const struct route rows[] = {
    ROUTE(GET, "/api/v1/tasks", AUTH_PERMISSION, "task:read", list, .query = "state kind object all",
          .flags = ROUTE_LIST, .response_schema = "Task", .tag = "tasks",
          .summary = "List tasks, newest first; all=true shows those of the clock too"),
    ROUTE(GET, "/api/v1/tasks/{id}", AUTH_PERMISSION, "task:read", get, .resolve = resolve_task,
          .response_schema = "Task", .tag = "tasks", .summary = "Get a task"),
    ROUTE(POST, "/api/v1/tasks/{id}/cancel", AUTH_PERMISSION, "task:cancel", cancel, .read_permission = "task:read",
          .resolve = resolve_task, .audit = "task.cancel", .response_schema = "Task", .status = 202, .tag = "tasks",
          .summary = "Stop a task"),
    ROUTE(GET, "/api/v1/tasks/{id}/log", AUTH_PERMISSION, "task:read", log_lines, .resolve = resolve_task,
          .query = "cursor limit", .response_schema = "TaskLogLine", .flags = ROUTE_PAGE, .tag = "tasks",
          .summary = "Log lines of a task, oldest first"),
};
ROUTE_TABLE(tasks_routes, rows);
