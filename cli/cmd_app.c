#include <stdio.h>
#include "cli/cli.h"

static err_t app_path(struct arena *a, const struct args *args, const char *tail, const char **ret) {
    if (arg_word(args, 0) == NULL)
        return err_new(ERR_INVALID, "which application? give its name or id");
    *ret = arena_printf(a, "/api/v1/applications/%s%s", url_encode(a, str_of(arg_word(args, 0))), tail);
    return NULL;
}

static void print_plan(struct arena *a, const struct json *plan) {
    const struct json *ops = json_get(plan, "ops"), *warnings = json_get(plan, "warnings");
    for (size_t i = 0; i < json_len(ops); i++) {
        const struct json *op = json_at(ops, i), *causes = json_get(op, "cause");
        (void)printf("%s %s\n", json_get_bool(op, "destructive", false) ? "-" : "+",
                     json_cell(a, json_get(op, "title")));
        for (size_t k = 0; k < json_len(causes); k++) {
            const struct json *c = json_at(causes, k);
            (void)printf("    %s", json_cell(a, json_get(c, "message")));
            if (json_get(c, "from") || json_get(c, "to"))
                (void)printf(": %s -> %s", json_cell(a, json_get(c, "from")), json_cell(a, json_get(c, "to")));
            if (json_get_str(c, "file"))
                (void)printf("  (%s:%s)", json_get_str(c, "file"), json_cell(a, json_get(c, "line")));
            (void)putchar('\n');
        }
    }
    for (size_t i = 0; i < json_len(warnings); i++)
        (void)printf("warning: %s\n", json_cell(a, json_at(warnings, i)));
    if (json_len(ops) == 0)
        (void)printf("Nothing to do.\n");
}

/* Poll the task and say each step once; the server keeps working if we are interrupted. */
err_t task_follow(struct client *c, struct arena *a, const char *id, uint64_t deadline, int *ret_exit) {
    int64_t seen = 0;
    for (;;) {
        struct json *task, *log;
        TRY(client_call(c, a, "GET", arena_printf(a, "/api/v1/tasks/%s", id), NULL, NULL, NULL, &task));
        TRY(client_call(c, a, "GET",
                        arena_printf(a, "/api/v1/tasks/%s/log?limit=1000&cursor=%lld", id, (long long)seen), NULL, NULL,
                        NULL, &log));
        const struct json *lines = json_get(log, "items");
        for (size_t i = 0; i < json_len(lines); i++) {
            const struct json *l = json_at(lines, i);
            seen = json_get_int(l, "seq", seen);
            (void)printf("%-8s %s\n", json_cell(a, json_get(l, "level")), json_cell(a, json_get(l, "text")));
        }
        const char *state = json_str_or(json_get(task, "state"), "");
        if (z_eq(state, "succeeded")) {
            (void)printf("Task %s succeeded.\n", id);
            return NULL;
        }
        if (z_eq(state, "failed") || z_eq(state, "cancelled")) {
            const struct json *e = json_get(task, "error");
            err_t err =
                err_new(ERR_DEPLOYMENT_FAILED, "task %s %s: %s", id, state, json_str_or(json_get(e, "message"), ""));
            const struct json *d = json_get(e, "details");
            for (size_t i = 0; json_is(d, JSON_OBJECT) && i < d->obj.n; i++)
                err = err_detail(err, d->obj.v[i].key.p, json_cell(a, d->obj.v[i].value));
            *ret_exit = EXIT_FAILED;
            return err;
        }
        if (clock_mono_ms() > deadline)
            return err_new(ERR_TIMEOUT, "task %s is still %s; it goes on at the server", id, state);
        TRY(fiber_sleep(300));
    }
}

static err_t post_and_follow(struct arena *a, const struct args *args, const char *path, const struct json *body,
                             int *ret_exit) {
    struct client *c;
    struct json *answer;
    int64_t timeout;
    TRY(arg_int(args, "timeout", 1800, 1, 86400, &timeout));
    TRY(client_from_args(a, args, &c));
    err_t e = client_call(c, a, "POST", path, body, NULL, NULL, &answer);
    const char *task = e ? NULL : json_get_str(answer, "taskId");
    if (task && arg_has(args, "no-wait"))
        (void)printf("%s\n", task);
    else if (task)
        e = task_follow(c, a, task, deadline_in((uint64_t)timeout * 1000), ret_exit);
    client_close(c);
    return e;
}

static struct json *sync_body(struct arena *a, const struct args *args) {
    struct json *body = json_object(a);
    const struct arg_values *services = arg_all(args, "service");
    if (arg_get(args, "revision"))
        json_set_str(a, body, "revision", arg_get(args, "revision"));
    if (arg_has(args, "prune"))
        json_set_bool(a, body, "prune", true);
    if (arg_has(args, "force"))
        json_set_bool(a, body, "force", true);
    if (arg_has(args, "adopt"))
        json_set_bool(a, body, "adopt", true);
    if (services->n) {
        struct json *v = json_array(a);
        for (size_t i = 0; i < services->n; i++)
            json_push(a, v, json_string(a, services->v[i]));
        json_set(a, body, "services", v);
    }
    return body;
}

static err_t sync_app(struct arena *a, const struct args *args, int *ret_exit) {
    const char *path;
    struct json *body = sync_body(a, args);
    TRY(app_path(a, args, "/sync", &path));
    if (!arg_has(args, "dry-run"))
        return post_and_follow(a, args, path, body, ret_exit);
    struct client *c;
    struct json *plan;
    json_set_bool(a, body, "dryRun", true);
    TRY(client_from_args(a, args, &c));
    err_t e = client_call(c, a, "POST", path, body, NULL, NULL, &plan);
    client_close(c);
    TRY(e);
    if (arg_get(args, "output"))
        return output_object(a, plan, arg_get(args, "output"));
    print_plan(a, plan);
    return NULL;
}

static err_t diff(struct arena *a, const struct args *args, int *ret_exit) {
    const char *path;
    struct client *c;
    struct json *plan;
    TRY(app_path(a, args, "/plan", &path));
    TRY(client_from_args(a, args, &c));
    err_t e = client_call(c, a, "GET", path, NULL, NULL, NULL, &plan);
    client_close(c);
    TRY(e);
    *ret_exit = json_len(json_get(plan, "ops")) ? EXIT_DIFF : EXIT_OK;
    if (arg_get(args, "output"))
        return output_object(a, plan, arg_get(args, "output"));
    print_plan(a, plan);
    return NULL;
}

static err_t rollback(struct arena *a, const struct args *args, int *ret_exit) {
    const char *path, *to = arg_word(args, 1);
    struct json *body = json_object(a);
    TRY(app_path(a, args, "/rollback", &path));
    if (to == NULL)
        return err_new(ERR_INVALID,
                       "usage: dsctl rollback APPLICATION DEPLOYMENT (see: dsctl get deployments -q application=ID)");
    json_set_str(a, body, "deploymentId", to);
    return post_and_follow(a, args, path, body, ret_exit);
}

static err_t refresh(struct arena *a, const struct args *args, int *ret_exit) {
    const char *path;
    TRY(app_path(a, args, "/refresh", &path));
    return post_and_follow(a, args, path, json_object(a), ret_exit);
}

static bool reached(const struct json *app, const char *what) {
    const char *sync = json_str_or(json_dotted(app, "sync.status"), ""),
               *health = json_str_or(json_dotted(app, "health.status"), "");
    if (z_eq(what, "synced"))
        return z_eq(sync, "Synced");
    if (z_eq(what, "healthy"))
        return z_eq(health, "Healthy");
    return z_eq(sync, "Synced") && z_eq(health, "Healthy");
}

static err_t wait_app(struct arena *a, const struct args *args, int *ret_exit) {
    const char *path, *what = arg_get(args, "for") ? arg_get(args, "for") : "ready";
    struct client *c;
    int64_t timeout;
    (void)ret_exit;
    TRY(app_path(a, args, "", &path));
    TRY(arg_int(args, "timeout", 300, 1, 86400, &timeout));
    TRY(client_from_args(a, args, &c));
    uint64_t until = deadline_in((uint64_t)timeout * 1000);
    err_t e = NULL;
    for (;;) {
        struct json *app;
        e = client_call(c, a, "GET", path, NULL, NULL, NULL, &app);
        if (e || reached(app, what))
            break;
        if (clock_mono_ms() > until) {
            e = err_new(ERR_TIMEOUT, "%s is %s and %s after %lld s", arg_word(args, 0),
                        json_cell(a, json_dotted(app, "sync.status")), json_cell(a, json_dotted(app, "health.status")),
                        (long long)timeout);
            break;
        }
        e = fiber_sleep(500);
        if (e)
            break;
    }
    client_close(c);
    return e;
}

static const struct arg_def sync_options[] = {
    COMMON_OPTIONS,        {0, "revision", true}, {0, "prune", false},  {0, "force", false},  {0, "adopt", false},
    {0, "dry-run", false}, {0, "no-wait", false}, {0, "service", true}, {0, "timeout", true}, {0}};
static const struct arg_def wait_options[] = {
    COMMON_OPTIONS, {0, "for", true}, {0, "timeout", true}, {0, "no-wait", false}, {0}};

const struct command app_commands[] = {
    {"sync", "sync APP [--revision R] [--prune] [--force] [--adopt] [--service S]... [--dry-run] [--no-wait]",
     "Deploy what Git says", 1, sync_options, sync_app},
    {"diff", "diff APP [-o json]", "Show what a sync would do; exit 2 when there is a difference", 1, wait_options,
     diff},
    {"rollback", "rollback APP DEPLOYMENT [--no-wait]", "Go back to an earlier deployment", 2, wait_options, rollback},
    {"refresh", "refresh APP [--no-wait]", "Look at Git and the node now", 1, wait_options, refresh},
    {"wait", "wait APP [--for synced|healthy|ready] [--timeout SECONDS]", "Wait for a state", 1, wait_options,
     wait_app},
    {0}};
