/* Private: the schema table and what the parts of core/conf share. */
#pragma once
#include "core/base/str.h"
#include "core/base/vec.h"
#include "core/conf/conf.h"

enum conf_type { CONF_TEXT, CONF_INT, CONF_SIZE, CONF_BOOL, CONF_LIST, CONF_LEVEL };

struct conf_key {
    const char *key; /* section.name */
    enum conf_type type;
    size_t offset;    /* in struct conf */
    const char *dflt; /* as it would be written; lists comma-separated */
    int64_t min, max; /* CONF_INT, CONF_SIZE */
    const char *env;  /* further environment name, or NULL */
    bool reloadable, secret, no_flag;
    err_t (*check)(struct str value); /* one text, or one item of a list; not called for "" */
    const char *doc;
};
extern const struct conf_key conf_keys[];
extern const size_t conf_n_keys;
struct conf_section {
    const char *name, *doc;
};
extern const struct conf_section conf_sections[];
extern const size_t conf_n_sections;

const struct conf_key *conf_key_find(struct str key);
bool conf_is_section(struct str name);
/** The key or section that resembles a misspelt one most; NULL if none does. */
const char *conf_key_similar(struct str key);
/** DOCKFLOW_SERVER_PUBLIC_URL. */
char *conf_env_name(struct arena *a, const struct conf_key *k);

/* ---- values (conf_value.c) ---- */

/** Parse and store; checks type, range and the key's own rule. Errors say what is expected, without place and key. */
MUST_CHECK err_t conf_value_set(struct arena *a, struct conf *c, const struct conf_key *k, struct str text);
MUST_CHECK err_t conf_value_set_list(struct arena *a, struct conf *c, const struct conf_key *k, const struct str *items,
                                     size_t n);
/** How the value would be written; equal values give equal texts. */
char *conf_value_text(struct arena *a, const struct conf *c, const struct conf_key *k);
void conf_value_copy(struct arena *a, struct conf *to, const struct conf *from, const struct conf_key *k);

/* ---- loading (conf_load.c) ---- */

#define CONF_PROBLEMS_MAX 20
struct conf_loader {
    struct arena *a;
    struct conf *c;
    VEC(const char *) problems; /* at most CONF_PROBLEMS_MAX, the rest is counted */
    size_t more;
    VEC(const char *) warnings;
};
void conf_problem(struct conf_loader *l, const char *at, const char *fmt, ...) PRINTF_LIKE(3, 4);
void conf_warning(struct conf_loader *l, const char *fmt, ...) PRINTF_LIKE(2, 3);

/** conf_yaml.c: apply a file. `must_exist`: else a missing one is fine; *ret_read says whether there was one. */
void conf_yaml_apply(struct conf_loader *l, const char *path, bool must_exist, bool *ret_read);
/** Whole small file, without NUL; NULL with the reason in *ret_why. */
char *conf_read_file(struct arena *a, const char *path, size_t max, size_t *ret_n, const char **ret_why);

/* ---- rules (conf_check.c) ---- */

err_t conf_rule_listen(struct str s);
err_t conf_rule_url(struct str s);
err_t conf_rule_origin(struct str s);
err_t conf_rule_cidr(struct str s);
err_t conf_rule_abs_path(struct str s);
err_t conf_rule_database(struct str s);
err_t conf_rule_docker(struct str s);
err_t conf_rule_secret_key(struct str s);
err_t conf_rule_password(struct str s);
err_t conf_rule_user(struct str s);
/** Combinations, once everything is read; also settles derived values. */
void conf_check_together(struct conf_loader *l);
