#include <stdio.h>
#include "cli/kinds.h"

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

/* %w: the commands, %k: the kinds. After a command that takes a kind come kinds, then names of that kind; else applications. */
static const char bash[] =
    "_dsctl() {\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} words\n"
    "    case ${COMP_WORDS[1]}:$COMP_CWORD in\n"
    "    *:1) words='%w' ;;\n"
    "    get:2 | describe:2 | create:2 | delete:2) words='%k' ;;\n"
    "    get:3 | describe:3 | delete:3) words=$(dsctl get \"${COMP_WORDS[2]}\" -o name 2>/dev/null) ;;\n"
    "    completion:2) words='bash zsh fish' ;;\n"
    "    *) words=$(dsctl get apps -o name 2>/dev/null) ;;\n"
    "    esac\n"
    "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
    "}\n"
    "complete -F _dsctl dsctl\n";
static const char zsh[] = "#compdef dsctl\n"
                          "_dsctl() {\n"
                          "    case $words[2]:$CURRENT in\n"
                          "    *:2) compadd -- %w ;;\n"
                          "    (get|describe|create|delete):3) compadd -- %k ;;\n"
                          "    (get|describe|delete):4) compadd -- $(dsctl get $words[3] -o name 2>/dev/null) ;;\n"
                          "    completion:3) compadd -- bash zsh fish ;;\n"
                          "    *) compadd -- $(dsctl get apps -o name 2>/dev/null) ;;\n"
                          "    esac\n"
                          "}\n"
                          "if [ \"$funcstack[1]\" = _dsctl ]; then _dsctl \"$@\"; else compdef _dsctl dsctl; fi\n";
static const char fish[] = "function __dsctl_words\n"
                           "    set -l said (commandline -opc)\n"
                           "    switch \"$said[2]:\"(count $said)\n"
                           "        case '*:1'; string split ' ' '%w'\n"
                           "        case get:2 describe:2 create:2 delete:2; string split ' ' '%k'\n"
                           "        case get:3 describe:3 delete:3; dsctl get $said[3] -o name 2>/dev/null\n"
                           "        case completion:2; string split ' ' 'bash zsh fish'\n"
                           "        case '*'; dsctl get apps -o name 2>/dev/null\n"
                           "    end\n"
                           "end\n"
                           "complete -c dsctl -f -a '(__dsctl_words)'\n";

static const struct command *const groups[] = {
    auth_commands, get_commands, write_commands, app_commands, log_commands, compose_commands, NULL};

static void put_script(const char *script, const char *words, const char *kinds) {
    for (const char *p = script; *p; p++) {
        if (p[0] != '%') {
            (void)putchar(*p);
            continue;
        }
        (void)fputs(*++p == 'w' ? words : kinds, stdout);
    }
}

static err_t completion(struct arena *a, const struct args *args, int *ret_exit) {
    const char *shell = arg_word(args, 0), *words = "version completion";
    (void)ret_exit;
    for (size_t g = 0; groups[g]; g++)
        for (const struct command *c = groups[g]; c->name; c++)
            words = arena_printf(a, "%s %s", words, c->name);
    if (z_eq(shell, "bash"))
        put_script(bash, words, kind_names(a));
    else if (z_eq(shell, "zsh"))
        put_script(zsh, words, kind_names(a));
    else if (z_eq(shell, "fish"))
        put_script(fish, words, kind_names(a));
    else
        return err_new(ERR_INVALID, "usage: dsctl completion bash|zsh|fish");
    return NULL;
}

static const struct arg_def misc_options[] = {COMMON_OPTIONS, {0, "client", false}, {0}};

const struct command misc_commands[] = {
    {"version", "version [--client]", "Versions of this program and the server", 0, misc_options, version},
    {"completion", "completion bash|zsh|fish", "Print a completion script", 1, misc_options, completion},
    {0}};
