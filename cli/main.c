#include <signal.h>
#include <stdio.h>
#include "cli/cli.h"

static const struct command *const groups[] = {auth_commands, get_commands,     write_commands, app_commands,
                                               log_commands,  compose_commands, misc_commands,  NULL};

static int help(FILE *out) {
    (void)fprintf(out, "dsctl: the DockFlow command line\n\nUsage: dsctl COMMAND [ARGUMENTS] [OPTIONS]\n\n");
    for (size_t g = 0; groups[g]; g++)
        for (const struct command *c = groups[g]; c->name; c++)
            (void)fprintf(out, "  %-11s %s\n", c->name, c->summary);
    (void)fprintf(
        out,
        "\nEvery command: --context NAME, --server URL and --token T (or DOCKFLOW_SERVER, DOCKFLOW_TOKEN), --ca FILE, -o FORMAT, --help\n"
        "\nExit status: 0 done, 1 failed, 2 wrong usage (diff: there is a difference), 3 not logged in, 4 not found, 5 denied,\n"
        "124 timed out\n");
    return out == stdout ? EXIT_OK : EXIT_USAGE;
}

static const struct command *find(const char *name) {
    for (size_t g = 0; groups[g]; g++)
        for (const struct command *c = groups[g]; c->name; c++)
            if (z_eq(c->name, name))
                return c;
    return NULL;
}

struct run {
    const struct command *c;
    int argc, exit;
    char **argv;
};

static err_t run(void *arg) {
    struct run *r = arg;
    struct args args;
    TRY(args_parse(arena_current(), r->argc, r->argv, r->c->options, &args));
    if (arg_has(&args, "help")) {
        (void)printf("%s\n\nUsage: dsctl %s\n", r->c->summary, r->c->usage);
        return NULL;
    }
    if (args.n_words > r->c->max_words)
        return err_new(ERR_INVALID, "unexpected argument '%s'; see: dsctl %s --help", args.words[r->c->max_words],
                       r->c->name);
    return r->c->run(arena_current(), &args, &r->exit);
}

int main(int argc, char **argv) {
    if (argc < 2)
        return help(stderr);
    if (z_eq(argv[1], "help") || z_eq(argv[1], "--help") || z_eq(argv[1], "-h"))
        return help(stdout);
    const struct command *c = find(argv[1]);
    if (c == NULL) {
        (void)fprintf(stderr, "dsctl: unknown command '%s'; see: dsctl help\n", argv[1]);
        return EXIT_USAGE;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    struct run r = {.c = c, .argc = argc - 2, .argv = argv + 2};
    loop_init();
    err_t e = loop_run_fiber("dsctl", run, &r);
    int code = e ? print_error(e) : r.exit;
    loop_fini();
    return code;
}
