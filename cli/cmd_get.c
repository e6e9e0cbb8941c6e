#include <stdio.h>
#include "cli/kinds.h"

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
    TRY(kind_of(a, arg_word(args, 0), &k));
    TRY(client_from_args(a, args, &c));
    err_t e;
    if (arg_word(args, 1)) {
        const char *path;
        e = kind_path(c, a, k, arg_word(args, 1), &path);
        if (e == NULL)
            e = client_call(c, a, "GET", path, NULL, NULL, NULL, &answer);
        if (e == NULL)
            e = output_one(a, answer, k->columns, kind_columns(k), format);
    } else {
        e = list_all(c, a, args, k, &answer);
        if (e == NULL)
            e = output_list(a, answer, k->columns, kind_columns(k), format);
    }
    client_close(c);
    return e;
}

static err_t describe(struct arena *a, const struct args *args, int *ret_exit) {
    const struct kind *k;
    struct client *c;
    struct json *answer;
    (void)ret_exit;
    TRY(kind_of(a, arg_word(args, 0), &k));
    if (arg_word(args, 1) == NULL)
        return err_new(ERR_INVALID, "usage: dsctl describe KIND NAME");
    TRY(client_from_args(a, args, &c));
    const char *path;
    err_t e = kind_path(c, a, k, arg_word(args, 1), &path);
    if (e == NULL)
        e = client_call(c, a, "GET", path, NULL, NULL, NULL, &answer);
    client_close(c);
    return e ? e : output_object(a, answer, arg_get(args, "output"));
}

/* What is not below the API's prefix; anything else may be given without it. */
static const char *api_path(struct arena *a, const char *path) {
    static const char *const roots[] = {"/api/", "/health", "/metrics", "/debug/", "/.well-known/", "/hooks/"};
    for (size_t i = 0; i < ARRAY_LEN(roots); i++)
        if (z_starts(path, roots[i]))
            return path;
    return arena_printf(a, "/api/v1%s%s", *path == '/' ? "" : "/", path);
}

static err_t api_body(struct arena *a, const char *data, struct json **ret) {
    struct str text = str_of(data);
    if (*data == '@')
        TRY(input_read(a, data + 1, &text));
    return json_parse(a, text, NULL, ret);
}

static err_t api(struct arena *a, const struct args *args, int *ret_exit) {
    const char *method = arg_word(args, 0), *path = arg_word(args, 1), *data = arg_get(args, "data");
    struct client *c;
    struct json *body = NULL, *answer;
    (void)ret_exit;
    if (path == NULL)
        return err_new(ERR_INVALID,
                       "usage: dsctl api GET|POST|PUT|PATCH|DELETE PATH [-d JSON|@FILE|@-] [--if-match ETAG]");
    if (data)
        TRY(api_body(a, data, &body));
    TRY(client_from_args(a, args, &c));
    err_t e = client_call(c, a, method, api_path(a, path), body, arg_get(args, "if-match"), NULL, &answer);
    client_close(c);
    TRY(e);
    return answer ? output_object(a, answer, arg_get(args, "output") ? arg_get(args, "output") : "json") : NULL;
}

static const struct arg_def get_options[] = {COMMON_OPTIONS, {'q', "query", true}, {0, "limit", true}, {0}};
static const struct arg_def api_options[] = {COMMON_OPTIONS, {'d', "data", true}, {0, "if-match", true}, {0}};

const struct command get_commands[] = {
    {"get", "get KIND [NAME] [-o table|wide|json|yaml|name|jsonpath=.x] [-q field=value] [--limit N]",
     "List or show objects", 2, get_options, get},
    {"describe", "describe KIND NAME [-o yaml|json]", "Show one object whole", 2, get_options, describe},
    {"api", "api METHOD PATH [-d JSON|@FILE|@-] [--if-match ETAG]", "Call the API directly; /api/v1 may be left out", 2,
     api_options, api},
    {0}};
