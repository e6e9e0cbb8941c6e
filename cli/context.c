/* The configuration file: servers and credentials. Written under a temporary name and renamed, so that it is never half. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cli/cli.h"
#include "core/compose/yaml.h"

static err_t config_path(struct arena *a, const char **ret_dir, const char **ret_file) {
    const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    if ((xdg == NULL || *xdg != '/') && (home == NULL || *home != '/'))
        return err_new(ERR_CONFIG, "neither HOME nor XDG_CONFIG_HOME is set");
    *ret_dir = xdg && *xdg == '/' ? arena_printf(a, "%s/dsctl", xdg) : arena_printf(a, "%s/.config/dsctl", home);
    *ret_file = arena_printf(a, "%s/config.yaml", *ret_dir);
    return NULL;
}

static err_t read_file(struct arena *a, const char *path, struct str *ret) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    *ret = STR("");
    if (fd < 0)
        return errno == ENOENT ? NULL : err_new(ERR_CONFIG, "cannot read %s", path);
    char *text = arena_alloc(a, KIB(256), 1);
    ssize_t n = read(fd, text, KIB(256) - 1);
    (void)close(fd);
    if (n < 0)
        return err_new(ERR_CONFIG, "cannot read %s", path);
    *ret = str_n(text, (size_t)n);
    return NULL;
}

static err_t load(struct arena *a, struct json **ret) {
    const char *dir, *file;
    struct str text;
    struct y_node *root;
    TRY(config_path(a, &dir, &file));
    TRY(read_file(a, file, &text));
    TRY(yaml_parse_one(a, text, file, &root));
    *ret = y_is(root, Y_MAP) ? y_to_json(a, root) : json_object(a);
    if (json_get(*ret, "contexts") == NULL)
        json_set(a, *ret, "contexts", json_array(a));
    return NULL;
}

static err_t store(struct arena *a, const struct json *conf) {
    const char *dir, *file;
    TRY(config_path(a, &dir, &file));
    for (char *p = arena_strdup(a, dir), *s = p + 1; (s = strchr(s, '/')) != NULL; s++) {
        *s = '\0';
        (void)mkdir(p, 0700);
        *s = '/';
    }
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return err_new(ERR_CONFIG, "cannot create %s", dir);
    AUTO_BUF b;
    buf_init(&b, KIB(1), KIB(256));
    yaml_write_json(&b, conf);
    TRY(buf_check(&b));
    const char *tmp = arena_printf(a, "%s.%d", file, (int)getpid());
    int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool ok = fd >= 0 && write(fd, b.p, b.n) == (ssize_t)b.n;
    if (fd >= 0)
        ok = close(fd) == 0 && ok;
    return ok && rename(tmp, file) == 0 ? NULL : err_new(ERR_CONFIG, "cannot write %s", file);
}

static struct json *find(const struct json *conf, const char *name) {
    const struct json *all = json_get(conf, "contexts");
    for (size_t i = 0; i < json_len(all); i++)
        if (z_eq(json_get_str(json_at(all, i), "name"), name))
            return json_at(all, i);
    return NULL;
}

err_t context_current(struct arena *a, const char *name, struct context *ret) {
    struct json *conf;
    TRY(load(a, &conf));
    const char *want = name ? name : json_get_str(conf, "current");
    const struct json *c = want ? find(conf, want) : NULL;
    if (c == NULL && name)
        return err_new(ERR_NOT_FOUND, "there is no context '%s'; see: dsctl context list", name);
    if (c == NULL)
        return err_new(ERR_UNAUTHENTICATED, "not logged in; run: dsctl login https://your-server");
    *ret = (struct context){.name = want,
                            .server = json_get_str(c, "server"),
                            .token = json_get_str(c, "token"),
                            .refresh = json_get_str(c, "refresh"),
                            .ca_file = json_get_str(c, "ca")};
    return NULL;
}

err_t context_save(struct arena *a, const struct context *c, bool make_current) {
    struct json *conf;
    TRY(load(a, &conf));
    struct json *mine = find(conf, c->name);
    if (mine == NULL) {
        mine = json_object(a);
        json_set_str(a, mine, "name", c->name);
        json_push(a, json_get(conf, "contexts"), mine);
    }
    const char *const keys[] = {"server", "token", "refresh", "ca"}, *const values[] = {c->server, c->token, c->refresh,
                                                                                        c->ca_file};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        (void)json_del(mine, keys[i]);
        if (values[i])
            json_set_str(a, mine, keys[i], values[i]);
    }
    if (make_current)
        json_set_str(a, conf, "current", c->name);
    return store(a, conf);
}

err_t context_list(struct arena *a, struct json **ret) { return load(a, ret); }

err_t context_use(struct arena *a, const char *name) {
    struct json *conf;
    TRY(load(a, &conf));
    if (find(conf, name) == NULL)
        return err_new(ERR_NOT_FOUND, "there is no context '%s'; see: dsctl context list", name);
    json_set_str(a, conf, "current", name);
    return store(a, conf);
}

err_t context_forget(struct arena *a, const char *name) {
    struct json *conf, *kept = json_array(a);
    TRY(load(a, &conf));
    const struct json *all = json_get(conf, "contexts");
    for (size_t i = 0; i < json_len(all); i++)
        if (!z_eq(json_get_str(json_at(all, i), "name"), name))
            json_push(a, kept, json_at(all, i));
    json_set(a, conf, "contexts", kept);
    return store(a, conf);
}
