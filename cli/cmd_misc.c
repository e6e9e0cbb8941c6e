#include <stdio.h>
#include "cli/cli.h"

static err_t version(struct arena *a, const struct args *args, int *ret_exit) {
    struct client *c;
    struct json *info;
    (void)ret_exit;
    (void)printf("dsctl %s\n", DF_VERSION);
    if (arg_has(args, "client") || client_from_args(a, args, &c) != NULL)
        return NULL;
    err_t e = client_call(c, a, "GET", "/api/v1/info", NULL, NULL, NULL, &info);
    client_close(c);
    if (e == NULL)
        (void)printf("server %s\n", json_cell(a, json_get(info, "version")));
    return e;
}

static const char bash[] =
    "_dsctl() {\n    local cur=${COMP_WORDS[COMP_CWORD]}\n    if [ $COMP_CWORD -eq 1 ]; then COMPREPLY=($(compgen -W \"%s\" -- \"$cur\"));\n"
    "    elif [ \"${COMP_WORDS[1]}\" = get ] || [ \"${COMP_WORDS[1]}\" = describe ]; then\n"
    "        COMPREPLY=($(compgen -W 'applications nodes repositories containers deployments tasks users projects organizations roles audit' -- \"$cur\"));\n"
    "    else COMPREPLY=($(compgen -W \"$(dsctl get apps -o name 2>/dev/null)\" -- \"$cur\")); fi\n}\ncomplete -F _dsctl dsctl\n";
static const char zsh[] =
    "#compdef dsctl\n_arguments '1:command:(%s)' '2:object:($(dsctl get apps -o name 2>/dev/null))'\n";
static const char fish[] =
    "complete -c dsctl -f\ncomplete -c dsctl -n __fish_use_subcommand -a '%s'\n"
    "complete -c dsctl -n 'not __fish_use_subcommand' -a '(dsctl get apps -o name 2>/dev/null)'\n";

static const struct command *const groups[] = {auth_commands, get_commands,     app_commands,
                                               log_commands,  compose_commands, NULL};

static void put_script(const char *script, const char *words) {
    const char *at = strstr(script, "%s");
    (void)fwrite(script, 1, (size_t)(at - script), stdout);
    (void)fputs(words, stdout);
    (void)fputs(at + 2, stdout);
}

static err_t completion(struct arena *a, const struct args *args, int *ret_exit) {
    const char *shell = arg_word(args, 0), *words = "version completion";
    (void)ret_exit;
    for (size_t g = 0; groups[g]; g++)
        for (const struct command *c = groups[g]; c->name; c++)
            words = arena_printf(a, "%s %s", words, c->name);
    if (z_eq(shell, "bash"))
        put_script(bash, words);
    else if (z_eq(shell, "zsh"))
        put_script(zsh, words);
    else if (z_eq(shell, "fish"))
        put_script(fish, words);
    else
        return err_new(ERR_INVALID, "usage: dsctl completion bash|zsh|fish");
    return NULL;
}

static const struct arg_def misc_options[] = {COMMON_OPTIONS, {0, "client", false}, {0}};

const struct command misc_commands[] = {
    {"version", "version [--client]", "Versions of this program and the server", misc_options, version},
    {"completion", "completion bash|zsh|fish", "Print a completion script", misc_options, completion},
    {0}};
