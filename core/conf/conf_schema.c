#include "core/conf/conf_schema.h"
#include <stddef.h>

#define AT(member) offsetof(struct conf, member)
#define KEY(k, t, member, d, ...)                                                                                      \
    { .key = (k), .type = (t), .offset = AT(member), .dflt = (d), __VA_ARGS__ }
#define DOC(text) .doc = (text)
#define RANGE(lo, hi) .min = (lo), .max = (hi)
#define GIB_(n) ((int64_t)(n) << 30)
#define MIB_(n) ((int64_t)(n) << 20)
#define KIB_(n) ((int64_t)(n) << 10)

const struct conf_section conf_sections[] = {
    {"listen", "Where the server accepts connections."},
    {"tls", "Certificate for listen.https."},
    {"server", "The HTTP side of the server."},
    {"data", "Where the server keeps its files."},
    {"database", "PostgreSQL."},
    {"docker", "The container engine of the local node."},
    {"log", "What the server says about itself: one JSON object per line."},
    {"auth", "Users, sessions and keys."},
    {"git", "Reading repositories."},
    {"gitops", "Keeping applications as their repositories say."},
    {"jobs", "Long work: deployments, polling, everything the API calls a task."},
    {"limits", "Ceilings that protect the server from its clients."},
    {"rateLimit", "Request rates (limits.rate...)."},
    {"metrics", "Prometheus metrics at /metrics."},
};
const size_t conf_n_sections = ARRAY_LEN(conf_sections);

const struct conf_key conf_keys[] = {
    KEY("listen.http", CONF_LIST, listen.http, "127.0.0.1:8080", .check = conf_rule_listen,
        DOC("Plain HTTP (HTTP/1.1 and h2c), as host:port; [::1]:8080 for IPv6, :8080 for every address.\n"
            "Put a TLS proxy in front, or use listen.https, before opening it to a network.")),
    KEY("listen.https", CONF_LIST, listen.https, "", .check = conf_rule_listen,
        DOC("HTTPS (HTTP/1.1 and HTTP/2), same form. Needs tls.cert and tls.key.")),
    KEY("tls.cert", CONF_TEXT, tls.cert, "", .reloadable = true, .check = conf_rule_abs_path,
        DOC("PEM file with the certificate and its chain. Read again on reload (SIGHUP), also when only its content changed.")),
    KEY("tls.key", CONF_TEXT, tls.key, "", .reloadable = true, .check = conf_rule_abs_path,
        DOC("PEM file with the private key.")),

    KEY("server.publicUrl", CONF_TEXT, server.public_url, "", .reloadable = true, .check = conf_rule_url,
        DOC("How browsers and webhooks reach the server, e.g. https://dockflow.example.com. Used in links and for origin\n"
            "checks. Empty: taken from each request.")),
    KEY("server.trustedProxies", CONF_LIST, server.trusted_proxies, "", .reloadable = true, .check = conf_rule_cidr,
        DOC("Addresses or networks (10.0.0.0/8) whose X-Forwarded-For and X-Forwarded-Proto are believed.")),
    KEY("server.corsOrigins", CONF_LIST, server.cors_origins, "", .reloadable = true, .check = conf_rule_origin,
        DOC("Other origins whose pages may call the API, e.g. https://portal.example.com. Exact, no wildcards.")),
    KEY("server.maxBody", CONF_SIZE, server.max_body, "5MiB", RANGE(KIB_(64), MIB_(25)), .reloadable = true,
        DOC("Largest request body, which is a webhook's: forges send up to 25MiB when thousands of commits are pushed at once. JSON "
            "documents are limited to 1MiB in any case.")),
    KEY("server.drainSeconds", CONF_INT, server.drain_seconds, "22", RANGE(0, 600), .reloadable = true,
        DOC("How long requests may take to finish after SIGTERM. The whole end takes at most seven seconds more.")),
    KEY("server.devMode", CONF_BOOL, server.dev_mode, "false",
        DOC("Demo users with well-known passwords and other conveniences. Never on a reachable machine.")),

    KEY("data.dir", CONF_TEXT, data.dir, "/var/lib/dockflow", .check = conf_rule_abs_path,
        DOC("Keys, Git mirrors, the embedded database. Must belong to the server's user.")),

    KEY("database.url", CONF_TEXT, database.url, "", .env = "DATABASE_URL", .secret = true, .check = conf_rule_database,
        DOC("postgresql://user:password@host:port/name, or libpq's key=value form.\n"
            "Empty: the server runs a PostgreSQL of its own in data.dir.")),
    KEY("database.poolSize", CONF_INT, database.pool_size, "8", RANGE(2, 200),
        DOC("Connections for requests and jobs; a few more serve notifications and transactions.")),
    KEY("database.runAs", CONF_TEXT, database.run_as, "postgres", .check = conf_rule_user,
        DOC("System user of the embedded PostgreSQL when the server is started as root (PostgreSQL refuses to be root).")),

    KEY("docker.host", CONF_TEXT, docker.host, "unix:///var/run/docker.sock", .env = "DOCKER_HOST",
        .check = conf_rule_docker, DOC("unix:///path or tcp://host:port.")),

    KEY("log.level", CONF_LEVEL, log.level, "INFO", .reloadable = true,
        DOC("DEBUG, INFO, WARNING, ERROR or CRITICAL.")),
    KEY("log.file", CONF_TEXT, log.file, "", .reloadable = true, .check = conf_rule_abs_path,
        DOC("Write to this file too; stderr gets every line in any case.")),
    KEY("log.rotateBytes", CONF_SIZE, log.rotate_bytes, "50MiB", RANGE(KIB_(64), GIB_(10)), .reloadable = true,
        DOC("Size at which the file becomes file.1.")),
    KEY("log.keep", CONF_INT, log.keep, "5", RANGE(1, 100), .reloadable = true, DOC("Rotated files kept.")),

    KEY("auth.bootstrapAdminPassword", CONF_TEXT, auth.bootstrap_admin_password, "", .secret = true, .no_flag = true,
        .check = conf_rule_password,
        DOC("First password of admin@localhost, used once on an empty database. Empty: a random one is printed once.")),
    KEY("auth.secretKey", CONF_TEXT, auth.secret_key, "", .secret = true, .no_flag = true,
        .check = conf_rule_secret_key,
        DOC("Root key from which the keys for tokens and stored secrets are derived; at least 32 bytes. Keep a copy: without\n"
            "it stored secrets cannot be read. Empty: made at the first start in <data.dir>/keys/root.key.")),
    KEY("auth.accessTokenSeconds", CONF_INT, auth.access_token_seconds, "300", RANGE(30, 3600), .reloadable = true,
        DOC("Life of an access token; sessions renew it by themselves.")),
    KEY("auth.refreshIdleHours", CONF_INT, auth.refresh_idle_hours, "12", RANGE(1, 720), .reloadable = true,
        DOC("A session that was not used this long ends.")),
    KEY("auth.refreshAbsoluteDays", CONF_INT, auth.refresh_absolute_days, "7", RANGE(1, 365), .reloadable = true,
        DOC("A session ends after this long in any case.")),
    KEY("auth.registrationEnabled", CONF_BOOL, auth.registration_enabled, "false", .reloadable = true,
        DOC("May anybody create an account?")),

    KEY("git.pollSeconds", CONF_INT, git.poll_seconds, "60", RANGE(5, 86400), .reloadable = true,
        DOC("How often repositories without a webhook are asked for news.")),
    KEY("git.cacheMaxBytes", CONF_SIZE, git.cache_max_bytes, "5GiB", RANGE(MIB_(64), GIB_(10240)), .reloadable = true,
        DOC("Room for mirrors; the ones unused for longest go first.")),
    KEY("git.allowLocalPaths", CONF_BOOL, git.allow_local_paths, "false",
        DOC("Accept file:// repositories. Honoured only together with server.devMode.")),

    KEY("gitops.resyncSeconds", CONF_INT, gitops.resync_seconds, "600", RANGE(30, 86400), .reloadable = true,
        DOC("How often every application is compared with its engine even without an event.")),
    KEY("gitops.historyLimit", CONF_INT, gitops.history_limit, "50", RANGE(1, 1000), .reloadable = true,
        DOC("Deployments kept per application.")),
    KEY("gitops.maxParallelOps", CONF_INT, gitops.max_parallel_ops, "8", RANGE(1, 64), .reloadable = true,
        DOC("Operations one deployment runs at the same time.")),

    KEY("jobs.leaseSeconds", CONF_INT, jobs.lease_seconds, "30", RANGE(1, 600),
        DOC("How long the work of a server that died waits before it is taken over, by another server or the next start.")),

    KEY("limits.wsPerUser", CONF_INT, limits.ws_per_user, "10", RANGE(1, 1000), .reloadable = true,
        DOC("Streams (WebSocket, SSE) of one user.")),
    KEY("limits.wsPerContainer", CONF_INT, limits.ws_per_container, "50", RANGE(1, 10000), .reloadable = true,
        DOC("Streams of one container.")),
    KEY("limits.fibers", CONF_INT, limits.fibers, "4096", RANGE(64, 65536),
        DOC("Requests and jobs at work at the same time; above it requests get 503.")),
    KEY("limits.connections", CONF_INT, limits.connections, "20000", RANGE(64, 1000000),
        DOC("Open client connections.")),
    KEY("limits.rateAnonymousPerSecond", CONF_INT, limits.rate_anonymous_per_second, "20", RANGE(1, 1000000),
        .reloadable = true, DOC("Requests of one address without login; twice as many in a burst.")),
    KEY("limits.rateUserPerSecond", CONF_INT, limits.rate_user_per_second, "50", RANGE(1, 1000000), .reloadable = true,
        DOC("Requests of one user or token; twice as many in a burst.")),
    KEY("limits.rateWritePerSecond", CONF_INT, limits.rate_write_per_second, "10", RANGE(1, 1000000),
        .reloadable = true, DOC("Changing requests of one user or token.")),
    KEY("limits.rateLoginPerMinute", CONF_INT, limits.rate_login_per_minute, "5", RANGE(1, 100000), .reloadable = true,
        DOC("Login attempts of one address.")),
    KEY("limits.rateHookPerMinute", CONF_INT, limits.rate_hook_per_minute, "60", RANGE(1, 100000), .reloadable = true,
        DOC("Accepted calls of one webhook; what is refused counts for its sender's address.")),

    KEY("rateLimit.enabled", CONF_BOOL, rate_limit.enabled, "true", .reloadable = true,
        DOC("Off only for load tests: login attempts are then unlimited too.")),

    KEY("metrics.public", CONF_BOOL, metrics.is_public, "false", .reloadable = true,
        DOC("Serve /metrics to everybody; otherwise only to whoever is logged in and may read it.")),
};
const size_t conf_n_keys = ARRAY_LEN(conf_keys);

const struct conf_key *conf_key_find(struct str key) {
    for (size_t i = 0; i < conf_n_keys; i++)
        if (str_eqz(key, conf_keys[i].key))
            return &conf_keys[i];
    return NULL;
}

bool conf_is_section(struct str name) {
    for (size_t i = 0; i < conf_n_sections; i++)
        if (str_eqz(name, conf_sections[i].name))
            return true;
    return false;
}

/* Edit distance, letters in either case alike; texts above 63 bytes count as far away. */
static size_t distance(struct str a, struct str b) {
    size_t row[65];
    if (a.n > 63 || b.n > 63)
        return 64;
    for (size_t j = 0; j <= b.n; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            bool same = str_eq_nocase(str_n(a.p + i - 1, 1), str_n(b.p + j - 1, 1));
            size_t best = diagonal + !same;
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[b.n];
}

const char *conf_key_similar(struct str key) {
    const char *best = NULL;
    size_t best_d = key.n / 3 + 1;
    for (size_t i = 0; i < conf_n_keys + conf_n_sections; i++) {
        const char *name = i < conf_n_keys ? conf_keys[i].key : conf_sections[i - conf_n_keys].name;
        size_t d = distance(key, str_of(name));
        if (d < best_d) {
            best = name;
            best_d = d;
        }
    }
    return best;
}

char *conf_env_name(struct arena *a, const struct conf_key *k) {
    AUTO_BUF b;
    buf_init(&b, 64, 256);
    buf_puts(&b, "DOCKFLOW_");
    for (const char *p = k->key; *p != 0; p++) {
        if (*p >= 'A' && *p <= 'Z') {
            buf_putc(&b, '_');
            buf_putc(&b, *p);
        } else {
            buf_putc(&b, (char)(*p == '.' ? '_' : *p >= 'a' && *p <= 'z' ? *p - 32 : *p));
        }
    }
    return arena_strndup(a, b.p, b.n);
}
