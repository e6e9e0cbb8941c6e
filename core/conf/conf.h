/* Configuration: an immutable snapshot made from defaults < YAML file < environment < flags by one schema
 * (conf_schema.c). Environment names follow the key: server.publicUrl is DOCKFLOW_SERVER_PUBLIC_URL; text keys also take
 * NAME_FILE, the path of a file that holds the value. Unknown keys in file or flags are errors (the process exits with
 * CONF_EXIT), unknown DOCKFLOW_ variables are warnings, since orchestrators inject some. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/obs/log.h"

#define CONF_EXIT 78 /* EX_CONFIG */
#define CONF_FILE_DEFAULT "/etc/dockflow/dockflow.yaml"

struct conf_list {
    const char *const *v;
    size_t n;
};

/** Texts are never NULL: "" means not set. Sizes are bytes. */
struct conf {
    struct {
        struct conf_list http, https; /* host:port */
    } listen;
    struct {
        const char *cert, *key; /* paths of PEM files */
    } tls;
    struct {
        const char *public_url; /* without a slash at the end */
        struct conf_list trusted_proxies, cors_origins;
        int64_t max_body, drain_seconds;
        bool dev_mode;
    } server;
    struct {
        const char *dir;
    } data;
    struct {
        const char *url, *run_as;
        int64_t pool_size;
    } database;
    struct {
        const char *host;
    } docker;
    struct {
        int64_t level; /* enum log_level */
        const char *file;
        int64_t rotate_bytes, keep;
    } log;
    struct {
        const char *bootstrap_admin_password, *secret_key;
        int64_t access_token_seconds, refresh_idle_hours, refresh_absolute_days;
        bool registration_enabled;
    } auth;
    struct {
        int64_t poll_seconds, cache_max_bytes;
        bool allow_local_paths; /* already false unless server.dev_mode */
    } git;
    struct {
        int64_t resync_seconds, history_limit, max_parallel_ops;
    } gitops;
    struct {
        int64_t lease_seconds;
    } jobs;
    struct {
        int64_t ws_per_user, ws_per_container, fibers, connections;
        int64_t rate_anonymous_per_second, rate_user_per_second, rate_write_per_second;
        int64_t rate_login_per_minute, rate_hook_per_minute;
    } limits;
    struct {
        bool enabled;
    } rate_limit;
    struct {
        bool is_public;
    } metrics;
};

struct conf_input {
    int argc; /* arguments after the program's name (and subcommand) */
    const char *const *argv;
    const char *const *env;   /* "NAME=value", NULL at the end; NULL = no environment */
    const char *default_path; /* read if it exists; NULL = none. --config or DOCKFLOW_CONFIG name one that must exist */
};
/** What else was asked on the command line, and what the administrator should hear. */
struct conf_result {
    const struct conf *conf;
    const char *path; /* file that was read; NULL if none */
    bool check_config, print_docs, openapi, help, version;
    struct conf_list warnings;
};

/** Read and check everything. On error (ERR_CONFIG) the message names the first problem with its place ("file:line:column",
 * "environment NAME", "flag --key") and key; each problem is also a detail "problem". Results live in `a`. Reads files:
 * call it at start and on reload only. */
MUST_CHECK err_t conf_load(struct arena *a, const struct conf_input *in, struct conf_result *ret);
/** The defaults alone, for tests and tools. */
const struct conf *conf_defaults(struct arena *a);
/** What cannot be seen from the values: readable TLS files, a data directory that is one. For --check-config and start. */
MUST_CHECK err_t conf_check_files(const struct conf *c);

/** The snapshot in force; CHECKs that there is one. Do not keep it across a YIELD. Loop thread only. */
const struct conf *conf_now(void);
/** Put a snapshot in force; takes a reference on `a` (NULL: the caller keeps `c` alive, for tests). The snapshots before
 * the last few are freed. */
void conf_publish(struct arena *a, const struct conf *c);

/** Which keys differ after a reload. */
struct conf_change {
    struct conf_list applied, needs_restart; /* keys */
};
/** Load again and put the reloadable keys in force; the others keep their values until a restart and are reported. On
 * error nothing changes. *ret lives in `a`. */
MUST_CHECK err_t conf_reload(struct arena *a, const struct conf_input *in, struct conf_change *ret);

/** The documented defaults, as YAML that loads to exactly them: conf/dockflow.yaml. */
void conf_print_docs(struct buf *out);
/** Flags and environment, one line per key: for --help. */
void conf_print_flags(struct buf *out);
/** Effective values as one JSON object of dotted keys; secrets are "***" or "". */
void conf_dump_json(struct buf *out, const struct conf *c);

/** "10.0.0.0/8", "::1", "fd00::/8". */
struct conf_cidr {
    uint8_t addr[16]; /* IPv4 as ::ffff:a.b.c.d */
    uint8_t bits;     /* of 128 */
};
MUST_CHECK err_t conf_parse_cidr(struct str s, struct conf_cidr *ret);
/** An address without a prefix, in the form of conf_cidr.addr; false when it is none. */
bool conf_parse_address(struct str s, uint8_t ret[16]);
bool conf_cidr_contains(const struct conf_cidr *net, const uint8_t addr[16]);
/** "host:port", "[::1]:port", ":port" (host is then ""); port 0 to 65535. ret_host in `a`. */
MUST_CHECK err_t conf_parse_listen(struct arena *a, struct str s, const char **ret_host, int *ret_port);
