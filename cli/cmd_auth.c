#include <stdio.h>
#include <stdlib.h>
#include "cli/cli.h"

static err_t password_login(struct arena *a, const struct args *args, struct context *c) {
    const char *user = arg_get(args, "user"), *password = getenv("DOCKFLOW_PASSWORD");
    struct client *client;
    struct json *body = json_object(a), *answer;
    TRY(client_open(a, c, &client)); /* a mistyped address is said before anything is asked */
    if (user == NULL)
        user = input_line(a, "User: ", false);
    if (password == NULL || arg_has(args, "password-stdin"))
        password = input_line(a, "Password: ", true);
    json_set_str(a, body, "username", user);
    json_set_str(a, body, "password", password);
    err_t e = user && password ? client_call(client, a, "POST", "/api/v1/auth/login", body, NULL, NULL, &answer)
                               : err_new(ERR_INVALID, "user name and password are needed");
    client_close(client);
    TRY(e);
    c->token = json_get_str(answer, "accessToken");
    c->refresh = json_get_str(answer, "refreshToken");
    if (json_get_bool(answer, "mustChangePassword", false))
        (void)fprintf(stderr, "The password must be changed before anything else: dsctl passwd\n");
    return NULL;
}

static err_t login(struct arena *a, const struct args *args, int *ret_exit) {
    const char *server = arg_word(args, 0) ? arg_word(args, 0) : arg_get(args, "server");
    (void)ret_exit;
    if (server == NULL)
        return err_new(ERR_INVALID, "which server? usage: dsctl login https://host[:port]");
    struct context c = {.name = arg_get(args, "context") ? arg_get(args, "context") : "default",
                        .server = server,
                        .ca_file = arg_get(args, "ca")};
    if (arg_get(args, "token"))
        c.token = arg_get(args, "token");
    else
        TRY(password_login(a, args, &c));
    struct client *client;
    struct json *me;
    TRY(client_open(a, &c, &client));
    err_t e = client_call(client, a, "GET", "/api/v1/auth/me", NULL, NULL, NULL, &me);
    client_close(client);
    TRY(e);
    TRY(context_save(a, &c, true));
    (void)printf("Logged in to %s as %s (context %s)\n", server, json_cell(a, json_dotted(me, "user.username")),
                 c.name);
    return NULL;
}

static err_t logout(struct arena *a, const struct args *args, int *ret_exit) {
    struct context c;
    struct client *client;
    (void)ret_exit;
    TRY(context_current(a, arg_get(args, "context"), &c));
    TRY(client_open(a, &c, &client));
    if (c.refresh)
        err_ignore(client_call(client, a, "POST", "/api/v1/auth/logout", NULL, NULL, NULL, NULL));
    client_close(client);
    TRY(context_forget(a, c.name));
    (void)printf("Logged out of %s\n", c.server);
    return NULL;
}

static err_t passwd(struct arena *a, const struct args *args, int *ret_exit) {
    struct context c;
    struct client *client;
    struct json *body = json_object(a), *answer;
    (void)ret_exit;
    TRY(context_current(a, arg_get(args, "context"), &c));
    json_set_str(a, body, "currentPassword", input_line(a, "Current password: ", true));
    json_set_str(a, body, "newPassword", input_line(a, "New password: ", true));
    TRY(client_open(a, &c, &client));
    err_t e = client_call(client, a, "POST", "/api/v1/auth/change-password", body, NULL, NULL, &answer);
    client_close(client);
    TRY(e);
    (void)printf("The password is changed. All sessions have ended; log in again: dsctl login %s\n", c.server);
    return context_forget(a, c.name);
}

static err_t contexts(struct arena *a, const struct args *args, int *ret_exit) {
    const char *verb = arg_word(args, 0) ? arg_word(args, 0) : "list";
    struct json *conf;
    (void)ret_exit;
    if (z_eq(verb, "use") && arg_word(args, 1))
        return context_use(a, arg_word(args, 1));
    if (z_eq(verb, "delete") && arg_word(args, 1))
        return context_forget(a, arg_word(args, 1));
    if (!z_eq(verb, "list"))
        return err_new(ERR_INVALID, "usage: dsctl context [list | use NAME | delete NAME]");
    TRY(context_list(a, &conf));
    struct json *items = json_get(conf, "contexts");
    for (size_t i = 0; i < json_len(items); i++) {
        bool current = z_eq(json_get_str(json_at(items, i), "name"), json_get_str(conf, "current"));
        json_set_str(a, json_at(items, i), "current", current ? "*" : "");
        (void)json_del(json_at(items, i), "token");
        (void)json_del(json_at(items, i), "refresh");
    }
    static const struct column columns[] = {
        {"NAME", "name", false}, {"CURRENT", "current", false}, {"SERVER", "server", false}};
    return output_list(a, items, columns, ARRAY_LEN(columns), arg_get(args, "output"));
}

static err_t can_i(struct arena *a, const struct args *args, int *ret_exit) {
    struct client *client;
    struct json *answer;
    if (!z_eq(arg_word(args, 0), "can-i") || arg_word(args, 1) == NULL)
        return err_new(ERR_INVALID, "usage: dsctl auth can-i RESOURCE:VERB [--scope ID]");
    const char *scope = arg_get(args, "scope");
    const char *path = arena_printf(a, "/api/v1/auth/can-i?permission=%s%s%s", url_encode(a, str_of(arg_word(args, 1))),
                                    scope ? "&scope=" : "", scope ? url_encode(a, str_of(scope)) : "");
    TRY(client_from_args(a, args, &client));
    err_t e = client_call(client, a, "GET", path, NULL, NULL, NULL, &answer);
    client_close(client);
    TRY(e);
    bool ok = json_get_bool(answer, "allowed", false);
    (void)printf("%s: %s\n", ok ? "yes" : "no", json_str_or(json_get(answer, "reason"), ""));
    *ret_exit = ok ? EXIT_OK : EXIT_FAILED;
    return NULL;
}

static const struct arg_def login_options[] = {COMMON_OPTIONS, {'u', "user", true}, {0, "password-stdin", false}, {0}};
static const struct arg_def plain_options[] = {COMMON_OPTIONS, {0}};
static const struct arg_def scope_options[] = {COMMON_OPTIONS, {0, "scope", true}, {0}};

const struct command auth_commands[] = {
    {"login", "login URL [-u USER] [--password-stdin | --token T] [--ca FILE] [--context NAME]",
     "Log in to a server and remember it", 1, login_options, login},
    {"logout", "logout [--context NAME]", "End the session and forget the context", 0, plain_options, logout},
    {"passwd", "passwd", "Change your password", 0, plain_options, passwd},
    {"context", "context [list | use NAME | delete NAME]", "Choose between servers", 2, plain_options, contexts},
    {"auth", "auth can-i RESOURCE:VERB [--scope ID]", "Ask what you may do", 2, scope_options, can_i},
    {0}};
