/* The loader of the server on local files: what would be deployed, and errors with their place. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cli/cli.h"
#include "core/compose/compose.h"
#include "core/compose/yaml.h"

static err_t read_file(void *ctx, const char *path, struct str *ret) {
    struct arena *a = ctx;
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_new(errno == ENOENT || errno == ENOTDIR ? ERR_NOT_FOUND : ERR_IO, "cannot open %s", path);
    bool ok = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= (off_t)MIB(4);
    char *text = arena_zalloc(a, ok ? (size_t)st.st_size + 1 : 1);
    size_t n = 0;
    while (ok && n < (size_t)st.st_size) {
        ssize_t got = read(fd, text + n, (size_t)st.st_size - n);
        ok = got > 0;
        n += ok ? (size_t)got : 0;
    }
    (void)close(fd);
    if (!ok)
        return err_new(ERR_IO, "cannot read %s", path);
    *ret = str_n(text, n);
    return NULL;
}

static void take_environment(struct arena *a, struct compose_env *env) {
    compose_env_init(env, a);
    for (char **e = environ; *e; e++) {
        const char *eq = strchr(*e, '=');
        if (eq)
            compose_env_set(env, arena_strndup(a, *e, (size_t)(eq - *e)), eq + 1);
    }
}

static err_t config(struct arena *a, const struct args *args, int *ret_exit) {
    char cwd[4096];
    (void)ret_exit;
    if (!z_eq(arg_word(args, 0), "config"))
        return err_new(ERR_INVALID, "usage: dsctl compose config [-f FILE]... [--profile P]... [-o yaml|json] [-q]");
    if (getcwd(cwd, sizeof(cwd)) == NULL)
        return err_new(ERR_IO, "cannot tell the working directory");
    const struct arg_values *files = arg_all(args, "file"), *profiles = arg_all(args, "profile");
    struct compose_files reader = {read_file, a};
    struct compose_env env;
    struct compose_options o = {.warn_unknown_keys = true, .profiles = profiles->v, .n_profiles = profiles->n};
    take_environment(a, &env);
    struct compose_cli cli = {.base_dir = cwd,
                              .files = files->v,
                              .n_files = files->n,
                              .env_files = arg_all(args, "env-file")->v,
                              .n_env_files = arg_all(args, "env-file")->n,
                              .dot_env = true,
                              .project_name = arg_get(args, "project-name"),
                              .working_dir = files->n ? NULL : cwd};
    struct compose_project *p;
    TRY(compose_cli_options(a, &cli, &env, &reader, &o));
    TRY(compose_load(a, &o, &reader, &p));
    for (size_t i = 0; i < p->n_warnings; i++)
        (void)fprintf(stderr, "warning: %s\n", p->warnings[i].message);
    return arg_has(args, "quiet") ? NULL : output_object(a, p->canonical, arg_get(args, "output"));
}

static const struct arg_def compose_options_defs[] = {COMMON_OPTIONS,
                                                      {'f', "file", true},
                                                      {'p', "project-name", true},
                                                      {0, "profile", true},
                                                      {0, "env-file", true},
                                                      {'q', "quiet", false},
                                                      {0}};

const struct command compose_commands[] = {
    {"compose", "compose config [-f FILE]... [--profile P]... [-o yaml|json] [-q]",
     "Check and render compose files without a server", 1, compose_options_defs, config},
    {0}};
