/* Compose Specification loader. Pure: text in, project out; files come from a callback, so that they may live in a Git tree, and
 * the environment is exactly what the caller passes (the process environment is invisible). Never yields by itself; a read
 * callback may. The stages are separate functions (stages.h); compose_load runs them in the specification's order. */
#pragma once
#include "core/compose/model.h"
#include "core/compose/yaml.h"

/** Read a whole file; `path` is absolute and normalised. ERR_NOT_FOUND when it does not exist. *ret lives in an arena of the
 * caller's that outlives the load. */
struct compose_files {
    err_t (*read)(void *ctx, const char *path, struct str *ret);
    void *ctx;
};

/** Variables for interpolation: name to value (char *). */
struct compose_env {
    struct map vars;
    const struct compose_env *then; /* looked up after vars; may be NULL */
};
void compose_env_init(struct compose_env *e, struct arena *a);
void compose_env_set(struct compose_env *e, const char *name, const char *value); /* replaces */
const char *compose_env_get(const struct compose_env *e, const char *name);       /* NULL if unset */

struct compose_source {
    const char *path; /* absolute, or relative to working_dir; shown in errors as given */
    struct str text;  /* .p NULL: read through the callback */
};

struct compose_options {
    const struct compose_source *sources; /* in override order, at least one */
    size_t n_sources;
    const char *working_dir; /* absolute: base of relative paths, "project directory" */
    /** Absolute: nothing outside may be read (include, extends, env_file, label_file) and no relative path may lead outside
     * (PATH_ESCAPE). NULL = no fence. Remote includes (git, OCI, URL) are always refused. */
    const char *root;
    const struct compose_env *env; /* NULL = empty */
    const char *home;              /* what a leading ~ means; NULL = HOME of env, else ~ is an error */
    const char *project_name;      /* fallback for `name:`, or wins over it when imperative */
    bool project_name_imperative;
    const char *const *profiles; /* "*" = all */
    size_t n_profiles;
    const char *const *services; /* restrict to these and their dependencies; 0 = all */
    size_t n_services;
    bool ignore_dependencies;
    const char *const *enable; /* services to switch on although their profile is off */
    size_t n_enable;
    bool skip_interpolation, skip_normalization, skip_consistency, skip_validation, no_resolve_paths, discard_env_files;
    bool skip_env_files;       /* do not read env_file and label_file */
    bool prune_resources;      /* drop networks, volumes, ... that no enabled service uses */
    bool any_project_name;     /* do not check the name */
    bool warn_unknown_keys;    /* an unknown key is a warning instead of SCHEMA_VIOLATION */
    size_t max_files;          /* compose files read in all (include, extends); 0 = 100 */
    struct yaml_limits limits; /* per file */
};

MUST_CHECK err_t compose_load(struct arena *a, const struct compose_options *o, const struct compose_files *files,
                              struct compose_project **ret);

/** What the command line adds in front of compose_load: list of files (given, COMPOSE_FILE, default names), env files, `.env`,
 * project name (option > COMPOSE_PROJECT_NAME > name: > directory). */
struct compose_cli {
    const char *working_dir;  /* NULL: directory of the first compose file */
    const char *base_dir;     /* absolute: what relative names are relative to */
    const char *const *files; /* NULL / 0: find them */
    size_t n_files;
    const char *const *env_files;
    size_t n_env_files;
    bool dot_env; /* read .env of the working directory when no env file is given */
    const char *project_name;
    struct str stdin_text; /* for the file "-" */
};
/** Fills sources, working_dir, env and project_name of *o (other members are the caller's). */
MUST_CHECK err_t compose_cli_options(struct arena *a, const struct compose_cli *c, const struct compose_env *env,
                                     const struct compose_files *files, struct compose_options *o);

/** Content identity of a service: sha256 hex over its canonical JSON without what does not change the container (build,
 * pull_policy, scale, depends_on, profiles, ...), the image digest and the digests of contents, in this order. */
struct compose_content {
    const char *name; /* "config:x", "secret:y", "bind:/data" ... sorted by the caller or not: order does not matter */
    const char *digest; /* hex */
};
char *compose_service_hash(struct arena *a, const struct compose_service *s, const char *image_digest,
                           const struct compose_content *contents, size_t n_contents);
char *compose_network_hash(struct arena *a, const struct compose_network *n);
char *compose_volume_hash(struct arena *a, const struct compose_volume *v);

/** Service names in dependency order. `up`: dependencies first; else dependents first. `roots` (optional): only what is reached
 * from these, the roots included. Level by level, names sorted inside a level. */
MUST_CHECK err_t compose_order(struct arena *a, const struct compose_project *p, bool up, const char *const *roots,
                               size_t n_roots, struct compose_strs *ret);
