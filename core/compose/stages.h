/* The stages of the loader, each a function over one tree. compose_load calls them in order; tests and tools call them alone.
 * All memory comes from cx->a. Paths in errors are dotted: "services.web.ports.0.target". */
#pragma once
#include "core/base/vec.h"
#include "core/compose/compose.h"
#include "core/compose/schema.h"

/** A place in the document, built on the stack while walking down. */
struct c_path {
    const struct c_path *up;
    struct str key; /* .p NULL: list element `i` */
    size_t i;
};
#define C_KEY(up_, str_) (&(const struct c_path){.up = (up_), .key = (str_)})
#define C_IDX(up_, i_) (&(const struct c_path){.up = (up_), .i = (i_)})
char *c_path_str(struct arena *a, const struct c_path *p); /* "" for the root (NULL) */

/** What one load carries along. */
struct compose_cx {
    struct arena *a;
    const struct compose_options *o;
    const struct compose_files *files;
    size_t n_files;      /* compose files read so far */
    size_t n_docs;       /* documents in them */
    size_t nodes;        /* made so far: read, cloned by extends, expanded from port ranges */
    size_t subst_bytes;  /* text produced by interpolation so far */
    struct map extended; /* path of an extended file -> struct y_node, its services */
    VEC(struct compose_warning) warnings;
};
void compose_cx_init(struct compose_cx *cx, struct arena *a, const struct compose_options *o,
                     const struct compose_files *files);
/** Once per message. `at` may be NULL. */
void compose_warn(struct compose_cx *cx, const struct y_node *at, const char *fmt, ...) PRINTF_LIKE(3, 4);

/** Charge `n` nodes to the load's budget: YAML_LIMIT above 500,000, however the files multiply each other. */
MUST_CHECK err_t compose_spend(struct compose_cx *cx, size_t n, const struct y_node *at);

/* -- interpolate.c -- */
/** Substitute variables in one string, single pass: what a variable contains is never looked at again. Errors (no place added):
 * INVALID "Invalid template: ..." and INVALID "required variable X is missing a value: ...". Unset variables warn. */
MUST_CHECK err_t compose_substitute(struct compose_cx *cx, const struct compose_env *env, struct str tmpl,
                                    struct str *ret);
/** Every string value of a tree (never keys), in place. */
MUST_CHECK err_t compose_interpolate(struct compose_cx *cx, const struct compose_env *env, struct y_node *n);
struct compose_variable {
    const char *name, *dflt, *presence; /* NULL = none */
    bool required;
};
/** Variables a tree refers to, nested defaults included: name -> struct compose_variable, in order of appearance. */
MUST_CHECK err_t compose_variables(struct compose_cx *cx, const struct y_node *n, struct map *ret);

/* -- dotenv.c -- */
/** Parse .env text into `vars` (name -> char *, later files win over earlier). Expansion sees `env` first, then vars.
 * Errors: INVALID "line N: ..." with details file, line. */
MUST_CHECK err_t compose_dotenv(struct compose_cx *cx, struct str text, const char *file, const struct compose_env *env,
                                struct map *vars);
/** env_file with format raw: KEY=value lines taken literally. */
MUST_CHECK err_t compose_dotenv_raw(struct compose_cx *cx, struct str text, const char *file,
                                    const struct compose_env *env, struct map *vars);

/* -- short.c: one short form each; `at` gives places; results are canonical trees -- */
MUST_CHECK err_t compose_parse_mount(struct arena *a, struct str spec, const struct y_node *at, const char *path,
                                     struct y_node **ret);
/** A spec may stand for several ports: *ret is a list. */
MUST_CHECK err_t compose_parse_port(struct arena *a, struct str spec, const struct y_node *at, const char *path,
                                    struct y_node **ret);
MUST_CHECK err_t compose_parse_device(struct arena *a, struct str spec, const struct y_node *at, const char *path,
                                      struct y_node **ret);
MUST_CHECK err_t compose_parse_bytes(struct str s, int64_t *ret);    /* "1.5g", "64m", "-1"; binary units */
MUST_CHECK err_t compose_parse_duration(struct str s, int64_t *ret); /* ns */
char *compose_format_duration(struct arena *a, int64_t ns);          /* "1m30s" */
MUST_CHECK err_t compose_shell_words(struct arena *a, struct str s, struct compose_strs *ret);
/** "host=ip", "host:ip", "host=ip1,ip2"; brackets around addresses go away. Appends "host=ip" strings to the list *ret. */
MUST_CHECK err_t compose_parse_host(struct arena *a, struct str s, struct y_node *list, const struct y_node *at,
                                    const char *path);
MUST_CHECK err_t compose_hosts_list(struct arena *a, const struct y_node *hosts, struct compose_strs *ret); /* sorted */
bool compose_parse_bool(struct str s, bool *ret); /* true/false/yes/no/on/off/y/n/1/0/t/f, any case */

/* -- canonical.c -- */
/** Short to long syntax, typed scalars and normal forms, in place; idempotent. `s` NULL = a whole file. */
MUST_CHECK err_t compose_canonical(struct compose_cx *cx, const struct cs *s, struct y_node **n,
                                   const struct c_path *at);

/** Only this node's own short form, not what is below it. */
MUST_CHECK err_t compose_expand(struct compose_cx *cx, const struct cs *s, struct y_node **n, const struct c_path *at);
/** Text of a scalar as the reference loader prints it in environments and labels: 1.50 -> "1.5", true -> "true". */
struct str compose_scalar_text(struct arena *a, const struct y_node *n);

/* -- merge.c -- */
/** `over` onto `base` (either may be short form); !reset and !override are honoured. Both trees are consumed. */
MUST_CHECK err_t compose_merge(struct compose_cx *cx, const struct cs *s, struct y_node *base, struct y_node *over,
                               const struct c_path *at, struct y_node **ret);
/** Drop repeated list elements (the later one takes the place of the earlier). */
MUST_CHECK err_t compose_unicity(struct compose_cx *cx, const struct cs *s, struct y_node *n, const struct c_path *at);
/** Remove what !reset left behind and forget the tags. */
void compose_strip_tags(struct y_node *n);

/* -- validate.c -- */
/** Types and known keys, as the JSON schema of the specification. SCHEMA_VIOLATION. */
MUST_CHECK err_t compose_validate(struct compose_cx *cx, const struct cs *s, const struct y_node *n,
                                  const struct c_path *at);
/** Values: external with other settings, one of file/environment/content, IP addresses, device counts. */
MUST_CHECK err_t compose_check_values(struct compose_cx *cx, const struct y_node *file);
MUST_CHECK err_t compose_check_volume(const struct y_node *n, const char *path);
MUST_CHECK err_t compose_check_object(const struct y_node *n, const char *path, bool config);
MUST_CHECK err_t compose_check_port(const struct y_node *n, const char *path);
MUST_CHECK err_t compose_check_watch_path(const struct y_node *n, const char *path);
MUST_CHECK err_t compose_check_device_request(const struct y_node *n, const char *path);

/* -- extends.c / include.c / source.c -- */
/** Resolve `extends` of every service of one file, in place. `file`: its name in messages; `dir`: base of `extends.file`. */
MUST_CHECK err_t compose_extends(struct compose_cx *cx, struct y_node *file_tree, const char *file, const char *dir,
                                 const struct compose_env *env);
/** Where a load stands: which files led here. */
struct compose_chain {
    const struct compose_chain *up;
    const char *file; /* absolute */
};
/** Resolve `include` of one file, in place. */
MUST_CHECK err_t compose_include(struct compose_cx *cx, struct y_node *file_tree, const char *dir,
                                 const struct compose_env *env, const struct compose_chain *chain);
/** Documents of one source: parsed, top level and keys checked. Not interpolated. */
MUST_CHECK err_t compose_read_docs(struct compose_cx *cx, const struct compose_source *src, const char *dir,
                                   const struct y_node *at, struct yaml_docs *ret);
/** One text file through the callback; refused outside the fence. `at`: who asks, for the error. */
MUST_CHECK err_t compose_read_file(struct compose_cx *cx, const char *path, const struct y_node *at, struct str *ret);
/** Files in override order to one merged canonical tree with defaults and, with `resolve_paths`, absolute paths. `docs`: already
 * read, one per source, or NULL. */
struct compose_load_args {
    const struct compose_source *sources;
    const struct yaml_docs *docs;
    size_t n;
    const char *dir;
    const struct compose_env *env;
    const struct compose_chain *chain;
    bool resolve_paths;
};
MUST_CHECK err_t compose_load_tree(struct compose_cx *cx, const struct compose_load_args *in, struct y_node **ret);
/** The documents of one file merged and canonical, without include, extends and validation: a file that is extended. */
MUST_CHECK err_t compose_load_plain(struct compose_cx *cx, const char *path, const struct compose_env *env,
                                    const struct y_node *at, struct y_node **ret);

/* -- paths.c -- */
char *compose_path_join(struct arena *a, const char *dir,
                        const char *path); /* absolute stays; cleaned of "." and ".." */
char *compose_path_dir(struct arena *a, const char *path);
bool compose_path_inside(const char *root, const char *path);
/** Relative paths of a canonical tree become absolute below dir. PATH_ESCAPE when one leads out of the fence. */
MUST_CHECK err_t compose_resolve_paths(struct compose_cx *cx, struct y_node *file, const char *dir,
                                       const struct compose_env *env);
/** Is this a URL or another remote reference rather than a path? */
bool compose_is_remote(const char *s);

/* -- normalize.c -- */
void compose_defaults(struct compose_cx *cx, struct y_node *file);
MUST_CHECK err_t compose_normalize(struct compose_cx *cx, struct y_node *file, const struct compose_env *env);
void compose_resolve_environment(struct compose_cx *cx, struct y_node *file, const struct compose_env *env);
/** Give the default project name form: lower case, other characters dropped, leading "_-" trimmed. */
char *compose_name_from(struct arena *a, const char *s);
bool compose_name_ok(const char *s);
MUST_CHECK err_t compose_env_files(struct compose_cx *cx, struct y_node *service, const char *name,
                                   const struct compose_env *env);

/* -- select.c -- */
struct compose_selection {
    struct y_node *enabled, *disabled; /* maps of services */
};
/** Profiles, selected services and their dependencies. */
MUST_CHECK err_t compose_select(struct compose_cx *cx, struct y_node *file, struct compose_selection *ret);
void compose_prune(struct compose_cx *cx, struct y_node *file);

/* -- consistency.c -- */
MUST_CHECK err_t compose_consistency(struct compose_cx *cx, const struct y_node *file, const struct y_node *disabled);
/** "dependency cycle detected: a -> b -> a" */
MUST_CHECK err_t compose_check_cycles(struct arena *a, const struct y_node *services);
/** Services a service depends on: depends_on, links, volumes_from, service:x namespaces. Appends names. */
typedef VEC(const char *) compose_names;
void compose_dependencies(struct arena *a, const struct y_node *service, compose_names *ret);

/* -- render.c -- */
/** Canonical tree to JSON in the shape of `docker compose config --format json`. `s` NULL = a whole file. */
MUST_CHECK err_t compose_render(struct compose_cx *cx, const struct cs *s, const struct y_node *n,
                                const struct c_path *at, struct json **ret);

/* -- model.c -- */
MUST_CHECK err_t compose_model(struct compose_cx *cx, const struct y_node *file, const struct y_node *disabled,
                               struct compose_project *p);

/* -- small ones (short.c) -- */
/** Reference with a digest: "short" -> "docker.io/library/short:latest@<digest>" as `docker compose config --resolve-image-digests`. */
char *compose_image_with_digest(struct arena *a, const char *image, const char *digest);
/** pull_policy: the policy and, for every_*, daily and weekly ("refresh"), the seconds. INVALID otherwise. */
MUST_CHECK err_t compose_parse_pull_policy(struct arena *a, const char *s, const char **ret_policy,
                                           int64_t *ret_seconds);
/** Names of a service's networks, highest priority first, then by name. */
void compose_networks_by_priority(struct arena *a, const struct y_node *networks, compose_names *ret);
