/* dsctl: one fiber runs the command; everything below is shared by the commands. Exit codes: 0 done, 1 failed, 2 difference or
 * wrong usage, 3 not logged in, 4 not found, 5 denied, 124 timed out. */
#pragma once
#include "core/async/fiber.h"
#include "core/async/loop.h"
#include "core/base/err.h"
#include "core/base/json.h"
#include "core/base/map.h"
#include "core/http/client.h"

enum {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_DIFF = 2,
    EXIT_USAGE = 2,
    EXIT_LOGIN = 3,
    EXIT_NOT_FOUND = 4,
    EXIT_DENIED = 5,
    EXIT_TIMEOUT = 124
};

/** Parsed command line: words without options, and options by long name. */
struct args {
    struct arena *a;
    const char **words;
    size_t n_words;
    struct map options; /* name -> struct arg_values * */
};
struct arg_values {
    const char **v;
    size_t n;
};
struct arg_def {
    char letter;      /* 0 = none */
    const char *name; /* without dashes */
    bool value;       /* takes one */
};
/** Unknown option, missing value: ERR_INVALID that says which. `defs` ends with a NULL name. */
MUST_CHECK err_t args_parse(struct arena *a, int argc, char **argv, const struct arg_def *defs, struct args *ret);
bool arg_has(const struct args *args, const char *name);
const char *arg_get(const struct args *args, const char *name);              /* last one given, or NULL */
const struct arg_values *arg_all(const struct args *args, const char *name); /* never NULL */
const char *arg_word(const struct args *args, size_t i);                     /* NULL when there are fewer */
MUST_CHECK err_t arg_int(const struct args *args, const char *name, int64_t dflt, int64_t min, int64_t max,
                         int64_t *ret);

/** A line of standard input without its end; the prompt is shown, and `hidden` hides what is typed, on a terminal only. NULL at
 * the end of the input. */
const char *input_line(struct arena *a, const char *prompt, bool hidden);
/** A whole file, "-" is standard input; at most 4 MiB. */
MUST_CHECK err_t input_read(struct arena *a, const char *path, struct str *ret);
/** Asks on a terminal; elsewhere only `yes` will do. ERR_CANCELLED after a no. */
MUST_CHECK err_t input_confirm(struct arena *a, bool yes, const char *what);

/** A server and its credentials, in $XDG_CONFIG_HOME/dsctl/config.yaml (0600). */
struct context {
    const char *name, *server, *token, *refresh, *ca_file;
};
MUST_CHECK err_t context_current(struct arena *a, const char *name /* NULL: the current one */, struct context *ret);
MUST_CHECK err_t context_save(struct arena *a, const struct context *c, bool make_current);
MUST_CHECK err_t context_list(struct arena *a, struct json **ret); /* {"current":name,"contexts":[...]} */
MUST_CHECK err_t context_use(struct arena *a, const char *name);
MUST_CHECK err_t context_forget(struct arena *a, const char *name);

struct client;
MUST_CHECK err_t client_open(struct arena *a, const struct context *c, struct client **ret);
void client_close(struct client *c);
/** YIELDS. One JSON call; refreshes an expired session once. A status >= 400 becomes an error with the server's code, message,
 * details and request id. *ret may be NULL for an empty answer. */
MUST_CHECK err_t client_call(struct client *c, struct arena *a, const char *method, const char *path,
                             const struct json *body, const char *if_match, int *ret_status, struct json **ret);
/** YIELDS. A streaming GET (server-sent events or text): the caller reads and closes. */
MUST_CHECK err_t client_stream(struct client *c, const char *path, const char *accept, struct http_response **ret);
/** YIELDS. Prints the log of a task until it has ended; *ret_exit becomes EXIT_FAILED when it failed. */
MUST_CHECK err_t task_follow(struct client *c, struct arena *a, const char *id, uint64_t deadline, int *ret_exit);
/** One server-sent event at a time. *ret_event NULL at the end. */
struct sse {
    struct http_response *r;
    struct buf buf;
    const char *id;
};
void sse_init(struct sse *s, struct http_response *r);
void sse_done(struct sse *s);
MUST_CHECK err_t sse_next(struct sse *s, struct arena *a, uint64_t deadline, const char **ret_event,
                          struct str *ret_data);

/** Output of lists and objects in the form of -o: table (default), wide, json, yaml, name, jsonpath=.a.b[0]. */
struct column {
    const char *title, *path; /* path: keys separated by '.', e.g. "sync.status" */
    bool wide;                /* only with -o wide */
};
MUST_CHECK err_t output_list(struct arena *a, const struct json *items, const struct column *columns, size_t n,
                             const char *format);
MUST_CHECK err_t output_object(struct arena *a, const struct json *object, const char *format);
/** Just one object: a row of the same table for table (default), wide and name, else as output_object. */
MUST_CHECK err_t output_one(struct arena *a, const struct json *object, const struct column *columns, size_t n,
                            const char *format);
const struct json *json_dotted(const struct json *j, const char *path);
const char *json_cell(struct arena *a, const struct json *j); /* text of a value for a table */
bool colors_on(void);
/** Prints code, message, place (file:line:column), step and request id to stderr; returns the exit code. */
int print_error(err_t e);

struct command {
    const char *name, *usage, *summary;
    size_t max_words; /* more are refused: who names two applications does not get one */
    const struct arg_def *options;
    /** YIELDS. *ret_exit is 0 at entry. */
    err_t (*run)(struct arena *a, const struct args *args, int *ret_exit);
};
extern const struct command auth_commands[], get_commands[], write_commands[], app_commands[], log_commands[],
    compose_commands[], misc_commands[];
/** Opens the client of --context / --server / --token or the saved context. */
MUST_CHECK err_t client_from_args(struct arena *a, const struct args *args, struct client **ret);
#define COMMON_OPTIONS                                                                                                 \
    {0, "context", true}, {0, "server", true}, {0, "token", true}, {0, "ca", true}, {'o', "output", true}, {           \
        'h', "help", false                                                                                             \
    }
