/* Making one connection without ever blocking the loop: names are resolved in core/async/dns, libpq gets hostaddr; the
 * socket may change between two poll steps, so each step has a watcher of its own. */
#include <stdlib.h>
#include <string.h>
#include "core/async/dns.h"
#include "core/pg/pg_internal.h"

struct pg_poll {
    uv_poll_t uv;
    void (*cb)(void *arg, int status, int events);
    void *arg;
};

static void on_poll(uv_poll_t *h, int status, int events) {
    struct pg_poll *p = CONTAINER_OF(h, struct pg_poll, uv);
    p->cb(p->arg, status, events);
}

static void on_poll_closed(uv_handle_t *h) { free(CONTAINER_OF(h, struct pg_poll, uv)); }

struct pg_poll *pg_poll_new(int fd, void (*cb)(void *arg, int status, int events), void *arg) {
    struct pg_poll *p = calloc(1, sizeof(*p));
    CHECK(p != NULL);
    if (fd < 0 || uv_poll_init(loop_uv(), &p->uv, fd) != 0) {
        free(p);
        return NULL;
    }
    p->cb = cb;
    p->arg = arg;
    return p;
}

void pg_poll_watch(struct pg_poll *p, int events) { CHECK(uv_poll_start(&p->uv, events, on_poll) == 0); }

void pg_poll_close(struct pg_poll *p) {
    if (p == NULL)
        return;
    uv_poll_stop(&p->uv);
    uv_close((uv_handle_t *)&p->uv, on_poll_closed);
}

struct poll_wait {
    struct fiber *fiber;
    bool fired;
};

static void on_wait(void *arg, int status, int events) {
    (void)status; /* an error shows in the next libpq call */
    (void)events;
    struct poll_wait *w = arg;
    w->fired = true;
    fiber_wake(w->fiber);
}

err_t pg_poll_wait(int fd, int events, uint64_t deadline) {
    struct poll_wait w = {.fiber = fiber_self()};
    CHECK(w.fiber != NULL);
    struct pg_poll *p = pg_poll_new(fd, on_wait, &w);
    if (p == NULL)
        return err_new(ERR_DB_UNAVAILABLE, "the database socket cannot be watched");
    pg_poll_watch(p, events);
    err_t e = NULL;
    while (!w.fired && e == NULL)
        e = fiber_park("pg socket", deadline);
    pg_poll_close(p);
    return w.fired ? NULL : e;
}

void pg_reason(char out[PG_REASON], const char *message) {
    size_t n = message == NULL ? 0 : strcspn(message, "\n");
    if (n == 0) {
        message = "connection closed by the server";
        n = strlen(message);
    }
    if (n >= PG_REASON)
        n = PG_REASON - 1;
    memmove(out, message, n);
    out[n] = '\0';
}

/* ---- parameters ---- */

enum { MAX_KEYS = 96, MAX_HOSTS = 16 };

struct keys {
    const char *k[MAX_KEYS + 1], *v[MAX_KEYS + 1];
    size_t n;
};

static const char *key_get(const struct keys *keys, const char *k) {
    for (size_t i = 0; i < keys->n; i++)
        if (strcmp(keys->k[i], k) == 0)
            return keys->v[i];
    return NULL;
}

static void key_set(struct keys *keys, const char *k, const char *v) {
    for (size_t i = 0; i < keys->n; i++)
        if (strcmp(keys->k[i], k) == 0) {
            keys->v[i] = v;
            return;
        }
    CHECK(keys->n < MAX_KEYS);
    keys->k[keys->n] = k;
    keys->v[keys->n++] = v;
}

static void key_default(struct keys *keys, const char *k, const char *v) {
    if (key_get(keys, k) == NULL)
        key_set(keys, k, v);
}

/** Copies of what the URL and the PG* environment say, so that libpq's own list can be freed. */
static err_t keys_from_url(struct arena *a, const char *url, struct keys *keys) {
    char *why = NULL;
    PQconninfoOption *url_opts = PQconninfoParse(url, &why);
    if (url_opts == NULL) {
        err_t e = err_new(ERR_CONFIG, "the database URL is not valid: %s", why != NULL ? why : "out of memory");
        PQfreemem(why);
        return e;
    }
    PQconninfoOption *env = PQconndefaults();
    for (PQconninfoOption *o = env; o != NULL && o->keyword != NULL; o++)
        if (o->val != NULL && o->val[0] != '\0' && o->envvar != NULL && getenv(o->envvar) != NULL)
            key_set(keys, arena_strdup(a, o->keyword), arena_strdup(a, o->val));
    for (PQconninfoOption *o = url_opts; o->keyword != NULL; o++)
        if (o->val != NULL && o->val[0] != '\0')
            key_set(keys, arena_strdup(a, o->keyword), arena_strdup(a, o->val));
    PQconninfoFree(env);
    PQconninfoFree(url_opts);
    return NULL;
}

struct hosts {
    struct buf host, addr, port;
    size_t n;
};

static void hosts_add(struct hosts *h, struct str host, const char *addr, struct str port) {
    if (h->n++ > 0) {
        buf_putc(&h->host, ',');
        buf_putc(&h->addr, ',');
        buf_putc(&h->port, ',');
    }
    buf_put(&h->host, host.p, host.n);
    buf_puts(&h->addr, addr);
    buf_put(&h->port, port.p, port.n);
}

static err_t host_resolve(struct arena *a, struct hosts *h, struct str host, struct str port, uint64_t deadline) {
    if (host.n == 0 || host.p[0] == '/' || host.p[0] == '@') {
        hosts_add(h, host, "", port);
        return NULL;
    }
    int64_t number = 5432;
    if (port.n > 0)
        TRY(str_to_i64(port, 1, 65535, &number));
    struct dns_addr *addrs;
    size_t n;
    TRY(dns_resolve(str_z(a, host), (int)number, deadline, &addrs, &n));
    for (size_t i = 0; i < n && h->n < MAX_HOSTS; i++)
        hosts_add(h, host, dns_addr_text(a, &addrs[i]), port);
    return NULL;
}

/** Replace host/port lists by lists with one entry per address; the first failing name is told only if none works. */
static err_t keys_resolve(struct arena *a, struct keys *keys, uint64_t deadline) {
    const char *host_list = key_get(keys, "host");
    if (key_get(keys, "hostaddr") != NULL || host_list == NULL)
        return NULL;
    struct hosts h = {.n = 0};
    buf_init(&h.host, 0, KIB(16));
    buf_init(&h.addr, 0, KIB(16));
    buf_init(&h.port, 0, KIB(16));
    struct str hosts = str_of(host_list), ports = str_of(key_get(keys, "port")), host, port = STR("");
    bool one_port = str_find_chr(ports, ',') < 0;
    if (one_port)
        port = ports;
    err_t first = NULL;
    while (h.n < MAX_HOSTS && str_cut(&hosts, ',', &host)) {
        if (!one_port && !str_cut(&ports, ',', &port))
            port = STR("");
        err_t e = host_resolve(a, &h, host, port, deadline);
        if (first == NULL)
            first = e;
    }
    bool full = h.host.failed || h.addr.failed || h.port.failed;
    if (h.n > 0 && !full) {
        key_set(keys, "host", str_z(a, buf_str(&h.host)));
        key_set(keys, "hostaddr", str_z(a, buf_str(&h.addr)));
        key_set(keys, "port", str_z(a, buf_str(&h.port)));
    }
    buf_done(&h.host);
    buf_done(&h.addr);
    buf_done(&h.port);
    if (full)
        return err_new(ERR_CONFIG, "the database URL names too many hosts");
    return h.n > 0 ? NULL : first;
}

static void keys_defaults(struct arena *a, struct keys *keys, const struct pg_link_conf *conf) {
    const char *given = key_get(keys, "options");
    key_set(keys, "options",
            arena_printf(a,
                         "%s -c statement_timeout=%llu -c idle_in_transaction_session_timeout=10000 -c timezone=UTC "
                         "-c datestyle=ISO -c intervalstyle=iso_8601 -c bytea_output=hex -c extra_float_digits=1 "
                         "-c standard_conforming_strings=on -c default_transaction_isolation=read\\ committed",
                         given != NULL ? given : "", (unsigned long long)conf->statement_timeout_ms));
    key_set(keys, "client_encoding", "UTF8");
    key_set(keys, "application_name", arena_printf(a, "dockflow %s", conf->role));
    key_default(keys, "target_session_attrs", "read-write"); /* a standby is of no use */
    key_default(keys, "gssencmode", "disable");              /* Kerberos would do blocking look-ups */
    key_default(keys, "keepalives", "1");
    key_default(keys, "keepalives_idle", "30");
    key_default(keys, "keepalives_interval", "10");
    key_default(keys, "keepalives_count", "3");
    key_default(keys, "tcp_user_timeout", "10000");
}

static void quiet(void *arg, const PGresult *res) {
    (void)arg;
    (void)res;
}

static err_t poll_until_up(PGconn *c, uint64_t deadline) {
    PostgresPollingStatusType step = PGRES_POLLING_WRITING;
    for (;;) {
        if (PQstatus(c) == CONNECTION_BAD)
            break;
        err_t e = pg_poll_wait(PQsocket(c), step == PGRES_POLLING_READING ? UV_READABLE : UV_WRITABLE, deadline);
        if (err_is(e, ERR_TIMEOUT))
            return err_new(ERR_DB_UNAVAILABLE, "the database did not answer in %d ms", PG_CONNECT_MS);
        TRY(e);
        step = PQconnectPoll(c);
        if (step == PGRES_POLLING_OK)
            return NULL;
        if (step == PGRES_POLLING_FAILED)
            break;
    }
    char why[PG_REASON];
    pg_reason(why, PQerrorMessage(c));
    return err_new(ERR_DB_UNAVAILABLE, "%s", why);
}

err_t pg_link_connect(const struct pg_link_conf *conf, uint64_t deadline, PGconn **ret) {
    struct arena *a = arena_current();
    struct keys *keys = arena_new_obj(a, struct keys);
    TRY(keys_from_url(a, conf->url, keys));
    err_t e = keys_resolve(a, keys, deadline);
    if (e != NULL)
        return err_is(e, ERR_CANCELLED) || err_is(e, ERR_CONFIG) ? e
                                                                 : err_wrap_as(ERR_DB_UNAVAILABLE, e, "%s", e->message);
    keys_defaults(a, keys, conf);
    PGconn *c = PQconnectStartParams(keys->k, keys->v, 0);
    CHECK(c != NULL); /* out of memory */
    PQsetNoticeReceiver(c, quiet, NULL);
    PQsetErrorVerbosity(c, PQERRORS_VERBOSE); /* with the SQLSTATE: a refused connection has no result to ask */
    e = poll_until_up(c, deadline);
    if (e != NULL) {
        PQfinish(c);
        return e;
    }
    PQsetErrorVerbosity(c, PQERRORS_DEFAULT);
    *ret = c;
    return NULL;
}
