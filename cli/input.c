/* What a command reads: a line from the person or script in front of it, a file or all of standard input. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>
#include "cli/cli.h"

#define INPUT_MAX MIB(4)

const char *input_line(struct arena *a, const char *prompt, bool hidden) {
    struct termios before, quiet;
    bool tty = isatty(STDIN_FILENO), silent = false;
    char line[1024];
    if (tty)
        (void)fprintf(stderr, "%s", prompt);
    if (tty && hidden && tcgetattr(STDIN_FILENO, &before) == 0) {
        quiet = before;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        silent = tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet) == 0;
    }
    const char *got = fgets(line, sizeof(line), stdin);
    if (silent) {
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        (void)fputc('\n', stderr);
    }
    if (got == NULL)
        return NULL;
    line[strcspn(line, "\r\n")] = '\0';
    const char *copy = arena_strdup(a, line);
    mem_wipe(line, sizeof(line));
    return copy;
}

err_t input_read(struct arena *a, const char *path, struct str *ret) {
    bool from_stdin = z_eq(path, "-");
    int fd = from_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_new(ERR_IO, "cannot open %s: %s", path, strerror(errno));
    AUTO_BUF b;
    buf_init(&b, KIB(16), INPUT_MAX);
    char chunk[4096];
    ssize_t n;
    err_t e = NULL;
    while (e == NULL && (n = read(fd, chunk, sizeof(chunk))) != 0) {
        if (n > 0)
            e = buf_append(&b, chunk, (size_t)n);
        else if (errno != EINTR)
            e = err_new(ERR_IO, "cannot read %s", path);
    }
    if (!from_stdin)
        (void)close(fd);
    mem_wipe(chunk, sizeof(chunk));
    TRY(e);
    *ret = str_dup(a, buf_str(&b));
    return NULL;
}

err_t input_confirm(struct arena *a, bool yes, const char *what) {
    if (yes)
        return NULL;
    if (!isatty(STDIN_FILENO))
        return err_new(ERR_INVALID, "%s: nobody is here to confirm it; say --yes", what);
    const char *answer = input_line(a, arena_printf(a, "%s? [y/N] ", what), false);
    return z_eq(answer, "y") || z_eq(answer, "yes") ? NULL : err_new(ERR_CANCELLED, "nothing was done");
}
