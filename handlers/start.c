/* Boot: everything behind the handlers, in order, as often as it takes. A step that is done stays done. */
#include "handlers/start.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core/async/fiber.h"
#include "core/async/loop.h"
#include "core/audit/audit.h"
#include "core/base/check.h"
#include "core/pg/embedded.h"
#include "core/obs/metrics.h"
#include "core/pg/migrate.h"
#include "handlers/internal.h"
#include "handlers/parts.h"
#include "handlers/upkeep.h"
#include "server/health.h"
#include "server/openapi.h"
#include "server/schema.h"
#include "server/server.h"

enum { BACKOFF_MIN_MS = 500, BACKOFF_MAX_MS = 30000, EMBEDDED_MS = 120000, CONNECT_MS = 10000 };

static struct {
    struct arena *a;
    struct fiber *fiber;
    struct pg_embedded *embedded;
    struct pg *own; /* of the server's own work */
    bool migrated, rbac_started, identity_started, parts_registered;
    size_t parts_started;
    err_t fatal;
} B;

err_t handlers_fatal(void) { return B.fatal; }

/* ---- health ---- */

static const char *database_words(const struct platform *p) {
    if (p->db == NULL)
        return "the embedded database does not run yet";
    const char *words = pg_down_words(p->db);
    return words || p->ready ? words : "the database is being brought up to date";
}

static struct health_report probe_database(void *arg) {
    const struct platform *p = arg;
    const char *why = !p->ready ? p->down : p->db ? pg_down_reason(p->db) : NULL;
    return (struct health_report){
        .up = p->ready && pg_ready(p->db), .words = database_words(p), .detail = why && *why ? why : NULL};
}

static struct health_report probe_rights(void *arg) {
    const struct platform *p = arg;
    bool up = p->ready && rbac_age_ms(p->rbac) < SECONDS(5);
    const char *why = up ? NULL : "the authorization data is not current";
    return (struct health_report){.up = up, .words = why, .detail = why};
}

static void collect(void *arg) {
    const struct platform *p = arg;
    if (p->db == NULL)
        return;
    struct pg_stats s = pg_stats_get(p->db);
    metric_set(metric_get(METRIC_GAUGE, "dockflow_db_connections", "Connections of the pool that are up.", ""), NULL,
               (double)s.ready);
    metric_set(metric_get(METRIC_GAUGE, "dockflow_db_in_flight", "Statements sent and not answered.", ""), NULL,
               (double)s.in_flight);
    metric_set(metric_get(METRIC_GAUGE, "dockflow_db_queued", "Calls that wait for a connection.", ""), NULL,
               (double)s.queued);
    metric_set(metric_get(METRIC_GAUGE, "dockflow_db_queued_max", "Most calls that ever waited for a connection.", ""),
               NULL, (double)s.queued_max);
    metric_set(metric_get(METRIC_GAUGE, "dockflow_db_reconnects", "Connections that were lost since the start.", ""),
               NULL, (double)s.reconnects);
}

/* ---- audit seals ---- */

static void audit_key(uint8_t key[32], char key_id[65]) {
    uint8_t id[32];
    keyring_derive(platform()->keys, "audit", key);
    crypto_sha256(str_n((const char *)key, 32), id);
    str_to_hex(id, 8, key_id);
}

static bool audit_mac(void *arg, const uint8_t hash[32], uint8_t out[32], char key_id[65]) {
    (void)arg;
    uint8_t key[32];
    audit_key(key, key_id);
    crypto_hmac_sha256(str_n((const char *)key, 32), str_n((const char *)hash, 32), out);
    mem_wipe(key, sizeof(key));
    return true;
}

static bool audit_check(void *arg, const char *key_id, const uint8_t hash[32], const uint8_t mac[32]) {
    char ours[65];
    uint8_t want[32];
    (void)audit_mac(arg, hash, want, ours);
    return z_eq(key_id, ours) && mem_eq_ct(want, mac, 32);
}

/* ---- the steps ---- */

/* On an empty database, or when the last one ran out unused, and nowhere else: the one place a password is ever shown. */
static void announce(const char *username, const char *password) {
    static const char line[] = "========================================================================";
    (void)fprintf(
        stderr,
        "\n%s\n  First login\n\n    user      %s\n    password  %s\n\n  Shown only now, good for 30 minutes; it must be changed at the first\n"
        "  login. If that was too late, a restart prints a new one.\n%s\n\n",
        line, username, password, line);
    (void)fflush(stderr);
}

static err_t find_database(struct platform *p, const struct conf *c) {
    if (p->db)
        return NULL;
    if (*c->database.url) {
        p->pg.url = arena_strdup(B.a, c->database.url);
    } else {
        if (B.embedded == NULL)
            TRY(pg_embedded_start(c->data.dir, c->database.run_as, deadline_in(EMBEDDED_MS), &B.embedded));
        p->pg.url = pg_embedded_url(B.embedded);
    }
    p->pg.pool_size = (size_t)c->database.pool_size;
    p->db = pg_new(&p->pg);
    B.own = pg_internal(p->db);
    return NULL;
}

static err_t start_rbac(struct platform *p) {
    if (B.rbac_started)
        return NULL;
    if (p->rbac == NULL)
        p->rbac = rbac_new(B.own, &p->pg);
    TRY(rbac_start(p->rbac));
    rbac_on_change(p->rbac, streams_recheck, NULL);
    B.rbac_started = true;
    return NULL;
}

static err_t start_identity(struct platform *p, const struct conf *c) {
    if (B.identity_started)
        return NULL;
    bool limits = c->rate_limit.enabled;
    struct identity_conf ic = {.issuer = *c->server.public_url ? c->server.public_url : "dockflow",
                               .access_seconds = c->auth.access_token_seconds,
                               .refresh_idle_hours = c->auth.refresh_idle_hours,
                               .refresh_absolute_days = c->auth.refresh_absolute_days,
                               .login_per_ip = limits ? c->limits.rate_login_per_minute : INT32_MAX,
                               .login_per_account = limits ? 10 : INT32_MAX,
                               .bootstrap_password = c->auth.bootstrap_admin_password,
                               .dev_mode = c->server.dev_mode};
    if (p->identity == NULL)
        p->identity = identity_new(p->db, p->keys, p->rbac, &ic);
    TRY(identity_start(p->identity, announce));
    identity_on_revoked(p->identity, streams_recheck, NULL);
    B.identity_started = true;
    return NULL;
}

/** The event of a new scope may be read before the rights are: nobody would be seen to have any there. */
static err_t know_scopes(void *arg, const struct bus_event *e, size_t n) {
    struct rbac *rbac = arg;
    for (size_t i = 0; i < n; i++)
        if (e[i].scope_id && rbac_scope_org(rbac, e[i].scope_id) == NULL)
            return rbac_refresh(rbac);
    return NULL;
}

static err_t start_jobs(struct platform *p) {
    if (p->bus == NULL) {
        p->bus = bus_new(B.own, &p->pg);
        bus_before(p->bus, know_scopes, p->rbac);
    }
    TRY(bus_wait_ready(p->bus, deadline_in(CONNECT_MS)));
    if (p->jobs == NULL)
        p->jobs = jobs_new(&(struct jobs_conf){.db = B.own,
                                               .pg = &p->pg,
                                               .owner = arena_printf(B.a, "server:%d", (int)getpid()),
                                               .lease_ms = (uint64_t)conf_now()->jobs.lease_seconds * 1000});
    for (size_t i = 0; !B.parts_registered && platform_parts[i]; i++)
        if (platform_parts[i]->reg)
            TRY(platform_parts[i]->reg(p));
    B.parts_registered = true;
    return NULL;
}

static err_t start_parts(struct platform *p) {
    for (; platform_parts[B.parts_started]; B.parts_started++) {
        const struct platform_part *part = platform_parts[B.parts_started];
        err_t e = part->start ? part->start(p) : NULL;
        if (e)
            return err_wrap(e, "start %s", part->name);
    }
    return NULL;
}

static err_t bring_up(struct platform *p) {
    const struct conf *c = conf_now();
    int applied;
    TRY(find_database(p, c));
    TRY(pg_wait_ready(p->db, deadline_in(CONNECT_MS)));
    TRY(pg_migrate(p->db, &applied));
    B.migrated = true;
    TRY(start_rbac(p));
    TRY(start_identity(p, conf_now()));
    TRY(start_jobs(p));
    TRY(start_parts(p));
    jobs_start(p->jobs);
    upkeep_start();
    return NULL;
}

/* ---- the boot fiber ---- */

/** Waiting does not help: the schema is newer than this program or not the one it knows, the URL is none. */
static bool hopeless(err_t e) {
    bool schema = !B.migrated && (e->code == ERR_PRECONDITION || e->code == ERR_CONFLICT);
    return schema || (e->code == ERR_CONFIG && platform()->db != NULL);
}

static void give_up(err_t e) {
    B.fatal = err_dup(B.a, e);
    LOG(CRITICAL, "boot.failed", KV_ERR(e));
    server_drain();
}

static err_t boot(void *arg) {
    struct platform *p = arg;
    for (uint64_t wait = BACKOFF_MIN_MS;; wait = wait * 2 < BACKOFF_MAX_MS ? wait * 2 : BACKOFF_MAX_MS) {
        struct arena_mark mark = arena_mark(arena_current());
        err_t e = bring_up(p);
        if (e == NULL)
            break;
        if (e->code == ERR_CANCELLED)
            return NULL;
        (void)snprintf(p->down, sizeof(p->down), "%s",
                       p->db && pg_down_reason(p->db) ? pg_down_reason(p->db) : e->message);
        if (hopeless(e)) {
            give_up(e);
            return NULL;
        }
        LOG(WARNING, "boot.waiting", KV_INT("retry_ms", wait), KV_ERR(e));
        arena_rewind(arena_current(), mark);
        if (fiber_sleep(wait - wait / 4 + (uint64_t)(clock_mono_us() % (wait / 2))) != NULL)
            return NULL;
    }
    p->down[0] = '\0';
    p->ready = true;
    LOG(INFO, "boot.ready", KV_INT("ms", clock_wall_ms() - p->started_ms));
    return NULL;
}

static void register_api(void) {
    schema_register_embedded();
    handlers_routes();
    schema_seal();
}

void handlers_openapi(struct buf *out) {
    AUTO(arena) a = arena_new("openapi", 0);
    register_api();
    json_write(out, openapi_document(a, DF_VERSION));
    buf_putc(out, '\n');
}

err_t handlers_start(const struct handlers_conf *conf) {
    struct platform *p = platform();
    B.a = arena_new("platform", 0);
    const char *dir = conf->conf->data.dir;
    if (mkdir(dir, 0755) != 0 && errno != EEXIST)
        return err_new(ERR_CONFIG, "data.dir %s cannot be made: %s", dir, strerrordesc_np(errno));
    TRY(keyring_open(dir, conf->conf->auth.secret_key, &p->keys));
    audit_set_mac(&(struct audit_mac_ops){audit_mac, audit_check, NULL});
    p->version = arena_strdup(B.a, conf->version);
    p->commit = arena_strdup(B.a, conf->commit);
    p->started_ms = clock_wall_ms();
    hooks_install();
    register_api();
    metrics_on_collect(collect, p);
    health_register("database", true, probe_database, p);
    health_register("authorization", true, probe_rights, p);
    B.fiber = fiber_spawn("boot", NULL, boot, p);
    return NULL;
}

/* ---- the end ---- */

void handlers_drain(uint64_t deadline) {
    struct platform *p = platform();
    if (p->jobs && p->ready)
        (void)jobs_drain(p->jobs, deadline);
}

static void stop_boot(void) {
    if (B.fiber == NULL)
        return;
    fiber_cancel(B.fiber);
    err_ignore(fiber_join(TAKE(B.fiber)));
}

void handlers_stop(uint64_t deadline) {
    struct platform *p = platform();
    stop_boot();
    p->ready = false;
    upkeep_stop();
    while (B.parts_started > 0) {
        const struct platform_part *part = platform_parts[--B.parts_started];
        if (part->stop)
            part->stop(p, deadline);
    }
    if (p->jobs) {
        (void)jobs_drain(p->jobs, deadline);
        jobs_free(TAKE(p->jobs));
    }
    if (p->bus)
        bus_free(TAKE(p->bus));
    identity_free(TAKE(p->identity));
    rbac_free(TAKE(p->rbac));
    if (p->db) {
        pg_free(TAKE(B.own));
        pg_free(TAKE(p->db));
    }
    pg_embedded_stop(TAKE(B.embedded), deadline);
    audit_set_mac(NULL);
    keyring_free(TAKE(p->keys));
    schema_fini();
    arena_unref(TAKE(B.a));
}

err_t handlers_migrate(const struct conf *conf, int *ret_applied) {
    struct platform *p = platform();
    B.a = arena_new("migrate", 0);
    err_t e = find_database(p, conf);
    if (e == NULL)
        e = pg_wait_ready(p->db, deadline_in(SECONDS(60)));
    if (e == NULL)
        e = pg_migrate(p->db, ret_applied);
    if (p->db) {
        pg_free(TAKE(B.own));
        pg_free(TAKE(p->db));
    }
    pg_embedded_stop(TAKE(B.embedded), deadline_in(SECONDS(30)));
    return e;
}
