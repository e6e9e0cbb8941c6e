#include <git2.h>
#include <pthread.h>
#include "core/git/helper.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Limits against decompression bombs; no configuration but ours is ever read. */
static void set_options(void) {
    git_libgit2_init();
    for (int level = GIT_CONFIG_LEVEL_PROGRAMDATA; level <= GIT_CONFIG_LEVEL_GLOBAL; level++)
        git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, level, "/nonexistent");
    git_libgit2_opts(GIT_OPT_SET_TEMPLATE_PATH, "/nonexistent");
    git_libgit2_opts(GIT_OPT_SET_PACK_MAX_OBJECTS, (size_t)2000000);
#if HAVE_PACK_MAX_OBJECT_SIZE /* without it the helper's address space is the limit */
    git_libgit2_opts(GIT_OPT_SET_PACK_MAX_OBJECT_SIZE, (size_t)256 << 20);
#endif
    git_libgit2_opts(GIT_OPT_SET_MWINDOW_MAPPED_LIMIT, (size_t)256 << 20);
    git_libgit2_opts(GIT_OPT_SET_MWINDOW_FILE_LIMIT, (size_t)64);
    git_libgit2_opts(GIT_OPT_SET_CACHE_MAX_SIZE, (ssize_t)64 << 20);
    git_libgit2_opts(GIT_OPT_SET_USER_AGENT, "dockflow");
    git_libgit2_opts(GIT_OPT_ENABLE_STRICT_HASH_VERIFICATION, 1);
    git_libgit2_opts(GIT_OPT_ENABLE_STRICT_OBJECT_CREATION, 1);
}

void git_options_once(void) { (void)pthread_once(&once, set_options); }

err_t git_err(int rc, const char *op) {
    const git_error *last = git_error_last();
    const char *why = last && last->message ? last->message : "unknown error";
    enum err_code code = ERR_GIT;
    if (rc == GIT_EAUTH || (last && last->klass == GIT_ERROR_HTTP && strstr(why, "401")))
        code = ERR_GIT_AUTH;
    else if (rc == GIT_ENOTFOUND)
        code = ERR_NOT_FOUND;
    else if (rc == GIT_ECERTIFICATE)
        code = ERR_TLS_VERIFY;
    else if (last && (last->klass == GIT_ERROR_NOMEMORY || strstr(why, "limit") || strstr(why, "too large") ||
                      strstr(why, "too many")))
        code = ERR_GIT_LIMIT;
    return err_new(code, "%s: %s", op, why);
}
