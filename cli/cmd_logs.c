#include <stdio.h>
#include "cli/cli.h"

static void print_line(const struct json *l, bool timestamps) {
    FILE *out = json_get_int(l, "s", 1) == 2 ? stderr : stdout;
    if (timestamps)
        (void)fprintf(out, "%s ", json_str_or(json_get(l, "t"), ""));
    const struct json *text = json_get(l, "l");
    if (json_is(text, JSON_STRING))
        (void)fwrite(text->s.p, 1, text->s.n, out);
    (void)fputc('\n', out);
}

static void print_event(struct arena *a, struct str data, bool timestamps) {
    struct json *j;
    struct json_limits limits = {.max_bytes = MIB(4), .max_nodes = 1000000, .trusted = true};
    if (json_parse(a, data, &limits, &j) != NULL)
        return;
    const struct json *items = json_get(j, "items");
    for (size_t i = 0; i < json_len(items); i++)
        print_line(json_at(items, i), timestamps);
    const struct json *dropped = json_get(j, "dropped"); /* absent when nobody can tell how many */
    if (z_eq(json_str_or(json_get(j, "type"), ""), "gap"))
        (void)fprintf(stderr, "... %s lines are missing here\n", dropped ? json_cell(a, dropped) : "some");
    (void)fflush(stdout);
}

static err_t follow(struct client *c, struct arena *a, const char *path, bool timestamps) {
    struct http_response *r;
    struct sse s;
    err_t e = NULL;
    TRY(client_stream(c, path, "text/event-stream", &r));
    sse_init(&s, r);
    for (;;) {
        struct arena_mark mark = arena_mark(a);
        const char *event;
        struct str data;
        e = sse_next(&s, a, DEADLINE_NONE, &event, &data);
        if (e || event == NULL)
            break;
        print_event(a, data, timestamps);
        arena_rewind(a, mark);
    }
    sse_done(&s);
    return e;
}

static err_t once(struct client *c, const char *path) {
    struct http_response *r;
    TRY(client_stream(c, path, "text/plain", &r));
    err_t e;
    struct str chunk;
    while ((e = http_read(r, deadline_in(SECONDS(60)), &chunk)) == NULL && chunk.n)
        (void)fwrite(chunk.p, 1, chunk.n, stdout);
    http_close(r);
    return e;
}

static err_t logs(struct arena *a, const struct args *args, int *ret_exit) {
    struct client *c;
    int64_t tail;
    bool timestamps = arg_has(args, "timestamps");
    (void)ret_exit;
    if (arg_word(args, 0) == NULL)
        return err_new(ERR_INVALID, "usage: dsctl logs CONTAINER [-f] [--tail N] [-t]");
    TRY(arg_int(args, "tail", 200, 0, 100000, &tail));
    const char *path =
        arena_printf(a, "/api/v1/containers/%s/logs?tail=%lld%s", url_encode(a, str_of(arg_word(args, 0))),
                     (long long)tail, timestamps ? "&timestamps=true" : "");
    TRY(client_from_args(a, args, &c));
    err_t e = arg_has(args, "follow") ? follow(c, a, path, timestamps) : once(c, path);
    client_close(c);
    return e;
}

static const struct arg_def log_options[] = {
    COMMON_OPTIONS, {'f', "follow", false}, {0, "tail", true}, {'t', "timestamps", false}, {0}};

const struct command log_commands[] = {
    {"logs", "logs CONTAINER [-f] [--tail N] [-t]", "Read or follow a container's log", 1, log_options, logs}, {0}};
