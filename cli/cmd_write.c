/* create and delete. Each option of create is one row: which kind takes it, which member of the request it fills, and how. */
#include <stdio.h>
#include "cli/kinds.h"
#include "core/compose/yaml.h"

enum form { TEXT, LIST, PAIR, SWITCH, FROM_FILE, REF };

/* X(kind, option, member, form, extra): extra is the kind referred to (REF), or the auth.type that the option implies. */
#define FIELDS(X)                                                                                                      \
    X("organizations", "display-name", "displayName", TEXT, NULL)                                                      \
    X("organizations", "description", "description", TEXT, NULL)                                                       \
    X("projects", "organization", "organizationId", REF, "organizations")                                              \
    X("projects", "display-name", "displayName", TEXT, NULL)                                                           \
    X("projects", "description", "description", TEXT, NULL)                                                            \
    X("repositories", "project", "projectId", REF, "projects")                                                         \
    X("repositories", "url", "url", TEXT, NULL)                                                                        \
    X("repositories", "branch", "branch", TEXT, NULL)                                                                  \
    X("repositories", "provider", "provider", TEXT, NULL)                                                              \
    X("repositories", "username", "auth.username", TEXT, NULL)                                                         \
    X("repositories", "token-file", "auth.token", FROM_FILE, "token")                                                  \
    X("repositories", "ssh-key", "auth.privateKey", FROM_FILE, "ssh")                                                  \
    X("repositories", "host-key", "auth.hostKey", TEXT, NULL)                                                          \
    X("repositories", "tls-ca", "tlsCa", FROM_FILE, NULL)                                                              \
    X("applications", "project", "projectId", REF, "projects")                                                         \
    X("applications", "repository", "repositoryId", REF, "repositories")                                               \
    X("applications", "node", "nodeId", REF, "nodes")                                                                  \
    X("applications", "branch", "branch", TEXT, NULL)                                                                  \
    X("applications", "path", "path", TEXT, NULL)                                                                      \
    X("applications", "compose-file", "composeFiles", LIST, NULL)                                                      \
    X("applications", "environment", "environment.name", TEXT, NULL)                                                   \
    X("applications", "variable", "environment.variables", PAIR, NULL)                                                 \
    X("applications", "auto-sync", "syncPolicy.automated", SWITCH, NULL)                                               \
    X("applications", "prune", "syncPolicy.prune", SWITCH, NULL)                                                       \
    X("applications", "self-heal", "syncPolicy.selfHeal", SWITCH, NULL)                                                \
    X("applications", "description", "description", TEXT, NULL)                                                        \
    X("nodes", "url", "url", TEXT, NULL)                                                                               \
    X("nodes", "tls-ca", "tls.ca", FROM_FILE, NULL)                                                                    \
    X("nodes", "tls-cert", "tls.cert", FROM_FILE, NULL)                                                                \
    X("nodes", "tls-key", "tls.key", FROM_FILE, NULL)                                                                  \
    X("nodes", "tag", "tags", LIST, NULL)                                                                              \
    X("users", "email", "email", TEXT, NULL)                                                                           \
    X("users", "full-name", "fullName", TEXT, NULL)

static const struct field {
    const char *kind, *option, *member;
    enum form form;
    const char *extra;
} fields[] = {
#define X(kind, option, member, form, extra) {kind, option, member, form, extra},
    FIELDS(X)
#undef X
};

static bool may_create(const struct kind *k) {
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (z_eq(fields[i].kind, k->name))
            return true;
    return false;
}

/* The object that holds the last key of a dotted member; objects on the way are made. */
static struct json *holder(struct arena *a, struct json *body, const char *member, const char **ret_key) {
    struct str rest = str_of(member), key;
    while (str_cut(&rest, '.', &key) && rest.n) {
        if (!json_is(json_getn(body, key), JSON_OBJECT))
            json_setn(a, body, key, json_object(a));
        body = json_getn(body, key);
    }
    *ret_key = str_z(a, key);
    return body;
}

static err_t put_pairs(struct arena *a, struct json *in, const char *key, const struct arg_values *given) {
    if (!json_is(json_get(in, key), JSON_OBJECT))
        json_set(a, in, key, json_object(a));
    for (size_t i = 0; i < given->n; i++) {
        struct str value = str_of(given->v[i]), name;
        if (strchr(given->v[i], '=') == NULL || !str_cut(&value, '=', &name) || name.n == 0)
            return err_new(ERR_INVALID, "'%s' is not NAME=VALUE", given->v[i]);
        json_setn(a, json_get(in, key), name, json_strn(a, value));
    }
    return NULL;
}

static err_t put(struct arena *a, const struct field *f, const struct args *args, struct json *body) {
    const struct arg_values *given = arg_all(args, f->option);
    const char *key, *value = arg_get(args, f->option);
    struct json *in = holder(a, body, f->member, &key);
    struct str text;
    switch (f->form) {
    case SWITCH:
        json_set_bool(a, in, key, true);
        break;
    case LIST:
        json_set(a, in, key, json_array(a));
        for (size_t i = 0; i < given->n; i++)
            json_push(a, json_get(in, key), json_string(a, given->v[i]));
        break;
    case PAIR:
        return put_pairs(a, in, key, given);
    case FROM_FILE:
        TRY(input_read(a, value, &text));
        /* A token is a line; what PEM needs at its end it has, or does not care. */
        json_set(a, in, key, json_strn(a, z_eq(f->extra, "token") ? str_trim(text) : text));
        if (f->extra)
            json_set_str(a, in, "type", f->extra);
        break;
    case TEXT:
    case REF:
        json_set_str(a, in, key, value);
        break;
    }
    return NULL;
}

/* Options that another kind has are wrong here, and said so rather than dropped. */
static err_t put_options(struct arena *a, const struct kind *k, const struct args *args, struct json *body) {
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (!arg_has(args, fields[i].option))
            continue;
        const struct field *f = NULL;
        for (size_t j = 0; j < ARRAY_LEN(fields) && f == NULL; j++)
            if (z_eq(fields[j].kind, k->name) && z_eq(fields[j].option, fields[i].option))
                f = &fields[j];
        if (f == NULL)
            return err_new(ERR_INVALID, "--%s does not belong to %s; see: dsctl create --help", fields[i].option,
                           k->name);
        if (f == &fields[i])
            TRY(put(a, f, args, body));
    }
    return NULL;
}

static err_t read_body(struct arena *a, const struct args *args, struct json **ret) {
    const char *file = arg_get(args, "file");
    struct str text;
    struct y_node *root;
    *ret = json_object(a);
    if (file == NULL)
        return NULL;
    TRY(input_read(a, file, &text));
    TRY(yaml_parse_one(a, text, z_eq(file, "-") ? "stdin" : file, &root));
    if (!y_is(root, Y_MAP))
        return err_new(ERR_INVALID, "%s must hold one object with the members of the API", file);
    *ret = y_to_json(a, root);
    return NULL;
}

static err_t put_password(struct arena *a, const struct args *args, struct json *body) {
    if (json_get(body, "password"))
        return NULL;
    const char *password = input_line(a, "Password of the new user: ", true);
    (void)args; /* --password-stdin says what happens anyway where standard input is not a terminal */
    if (password == NULL || *password == '\0')
        return err_new(ERR_INVALID, "a user needs a password: type it, or pipe it with --password-stdin");
    json_set_str(a, body, "password", password);
    return NULL;
}

static err_t resolve_names(struct client *c, struct arena *a, const struct kind *k, struct json *body) {
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        const char *ref = json_get_str(body, fields[i].member), *id;
        if (fields[i].form != REF || !z_eq(fields[i].kind, k->name) || ref == NULL)
            continue;
        TRY(kind_id(c, a, fields[i].extra, ref, &id));
        json_set_str(a, body, fields[i].member, id);
    }
    return NULL;
}

static err_t create(struct arena *a, const struct args *args, int *ret_exit) {
    const struct kind *k;
    struct client *c;
    struct json *body, *made;
    (void)ret_exit;
    TRY(kind_of(a, arg_word(args, 0), &k));
    if (!may_create(k))
        return err_new(ERR_INVALID, "%s are not created by hand; see: dsctl create --help", k->name);
    const char *name = z_eq(k->name, "users") ? "username" : "name", *format = arg_get(args, "output");
    TRY(read_body(a, args, &body));
    if (arg_word(args, 1))
        json_set_str(a, body, name, arg_word(args, 1));
    if (json_get_str(body, name) == NULL)
        return err_new(ERR_INVALID, "which name? usage: dsctl create %s NAME [OPTIONS]", arg_word(args, 0));
    TRY(put_options(a, k, args, body));
    if (z_eq(k->name, "users"))
        TRY(put_password(a, args, body));
    TRY(client_from_args(a, args, &c));
    err_t e = resolve_names(c, a, k, body);
    if (e == NULL)
        e = client_call(c, a, "POST", k->path, body, NULL, NULL, &made);
    client_close(c);
    TRY(e);
    if (format)
        return output_one(a, made, k->columns, kind_columns(k), format);
    (void)printf("%s created (%s)\n", json_cell(a, json_get(made, name)), json_cell(a, json_get(made, "id")));
    return NULL;
}

static err_t remove_object(struct client *c, struct arena *a, const struct kind *k, const struct args *args,
                           int *ret_exit) {
    const char *path;
    struct json *object, *answer;
    TRY(kind_path(c, a, k, arg_word(args, 1), &path));
    TRY(client_call(c, a, "GET", path, NULL, NULL, NULL, &object));
    bool cascade = arg_has(args, "cascade");
    const char *id = json_cell(a, json_get(object, "id"));
    const char *what = arena_printf(a, "Delete %s from %s (%s)%s", arg_word(args, 1), k->name, id,
                                    cascade ? " with its containers and networks" : "");
    TRY(input_confirm(a, arg_has(args, "yes"), what));
    /* By id and version: exactly what was shown, as it was shown. */
    const char *version = arena_printf(a, "\"%lld\"", (long long)json_get_int(object, "version", 0));
    TRY(client_call(c, a, "DELETE", arena_printf(a, "%s/%s%s", k->path, id, cascade ? "?cascade=true" : ""), NULL,
                    version, NULL, &answer));
    const char *task = json_get_str(answer, "taskId");
    if (task)
        TRY(task_follow(c, a, task, deadline_in(SECONDS(1800)), ret_exit));
    (void)printf("%s deleted\n", arg_word(args, 1));
    return NULL;
}

static err_t delete_object(struct arena *a, const struct args *args, int *ret_exit) {
    const struct kind *k;
    struct client *c;
    TRY(kind_of(a, arg_word(args, 0), &k));
    if (!may_create(k))
        return err_new(ERR_INVALID, "%s are not deleted by hand; see: dsctl delete --help", k->name);
    if (arg_word(args, 1) == NULL || arg_word(args, 2))
        return err_new(ERR_INVALID, "usage: dsctl delete %s NAME [--yes]", arg_word(args, 0));
    if (arg_has(args, "cascade") && !z_eq(k->name, "applications"))
        return err_new(ERR_INVALID, "--cascade does not belong to %s", k->name);
    TRY(client_from_args(a, args, &c));
    err_t e = remove_object(c, a, k, args, ret_exit);
    client_close(c);
    return e;
}

static const struct arg_def create_options[] = {
    COMMON_OPTIONS,
    {'f', "file", true},
    {0, "password-stdin", false},
#define X(kind, option, member, form, extra) {0, option, (form) != SWITCH},
    FIELDS(X)
#undef X
        {0},
};
static const struct arg_def delete_options[] = {COMMON_OPTIONS, {'y', "yes", false}, {0, "cascade", false}, {0}};

const struct command write_commands[] = {
    {"create",
     "create KIND NAME [OPTIONS] | create KIND -f FILE.yaml|FILE.json|-\n\n"
     "  organization  [--display-name T] [--description T]\n"
     "  project       --organization O [--display-name T] [--description T]\n"
     "  repository    --project P --url URL [--branch B] [--provider github|gitlab|...] [--tls-ca FILE]\n"
     "                [--token-file FILE|- [--username U]] [--ssh-key FILE|- --host-key KEY]\n"
     "  application   --project P --repository R [--node N] [--branch B] [--path FOLDER] [--compose-file F]...\n"
     "                [--environment E] [--variable NAME=VALUE]... [--auto-sync] [--prune] [--self-heal]\n"
     "                [--description T]\n"
     "  node          --url unix://PATH|tcp://HOST:PORT [--tls-ca FILE --tls-cert FILE --tls-key FILE] [--tag T]...\n"
     "  user          --email E [--full-name T] [--password-stdin]\n\n"
     "Other objects are given by name or id. A file has the members of the API; options come on top of it.",
     "Create an object", 2, create_options, create},
    {"delete", "delete KIND NAME [--yes] [--cascade]\n\n  --cascade  an application's containers and networks go too",
     "Delete an object", 2, delete_options, delete_object},
    {0}};
