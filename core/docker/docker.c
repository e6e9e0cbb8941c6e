/* The endpoint object: address, pools, version negotiation. */
#include <stdlib.h>
#include <arpa/inet.h>
#include "core/base/check.h"
#include "core/docker/docker_internal.h"

/* ---- address ---- */

static bool is_loopback(const char *host) {
    struct in_addr v4;
    struct in6_addr v6;
    if (z_eq(host, "localhost"))
        return true;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return (ntohl(v4.s_addr) >> 24) == 127;
    return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static char *heap_z(struct str s) {
    char *p = malloc(s.n + 1);
    CHECK(p != NULL);
    memcpy(p, s.p, s.n);
    p[s.n] = 0;
    return p;
}
static char *heap_opt(const char *z) { return z && *z ? heap_z(str_of(z)) : NULL; }

static err_t bad_url(const char *url, const char *why) {
    return err_field(err_new(ERR_INVALID, "engine address \"%.200s\": %s", url, why), "url");
}

static err_t parse_tcp(struct docker *d, const char *url, struct str rest) {
    struct str host = rest, port = {0};
    if (rest.n && rest.p[0] == '[') {
        ptrdiff_t end = str_find_chr(rest, ']');
        if (end < 0)
            return bad_url(url, "the bracket of the IPv6 address is not closed");
        host = str_slice(rest, 1, (size_t)end);
        rest = str_slice(rest, (size_t)end + 1, rest.n);
        if (rest.n && rest.p[0] != ':')
            return bad_url(url, "unexpected text after the address");
        port = str_slice(rest, 1, rest.n);
    } else {
        ptrdiff_t colon = str_find_chr(rest, ':');
        if (colon >= 0) {
            host = str_slice(rest, 0, (size_t)colon);
            port = str_slice(rest, (size_t)colon + 1, rest.n);
        }
    }
    bool ok = host.n > 0 && host.n <= 253;
    for (size_t i = 0; ok && i < host.n; i++)
        ok = (host.p[i] > ' ' && host.p[i] < 0x7f && !strchr("/?#@\\", host.p[i]));
    if (!ok)
        return bad_url(url, "expected tcp://host:port");
    int64_t n = d->tls ? 2376 : 2375;
    if (port.n && str_to_i64(port, 1, 65535, &n) != NULL)
        return bad_url(url, "the port is not a number of 1..65535");
    d->host = heap_z(host);
    d->port = (int)n;
    if (!d->tls && !is_loopback(d->host))
        return bad_url(url, "plain TCP is for loopback only; give TLS certificates (ca, cert, key)");
    return NULL;
}

static err_t parse_url(struct docker *d, const char *url) {
    struct str s = str_of(url);
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ')
            return bad_url("", "control characters");
    if (str_starts(s, STR("unix://"))) {
        struct str path = str_slice(s, 7, s.n);
        if (!path.n || path.p[0] != '/' || path.n > 107)
            return bad_url(url, "expected unix:///absolute/path of at most 107 bytes");
        d->path = heap_z(path);
        d->local = true;
        return NULL;
    }
    if (str_starts(s, STR("tcp://")))
        return parse_tcp(d, url, str_slice(s, 6, s.n));
    return bad_url(url, "expected unix:///path or tcp://host:port");
}

static err_t wire_open(void *ctx, uint64_t deadline, struct stream **ret) {
    struct docker *d = MAGIC_CAST(ctx, struct docker, DOCKER_MAGIC);
    if (d->path)
        return net_connect_unix(d->path, deadline, ret);
    struct stream *raw;
    TRY(net_connect_tcp(d->host, d->port, deadline, &raw));
    if (!d->tls) {
        *ret = raw;
        return NULL;
    }
    struct tls_client_conf tls = {.ca_pem = d->ca, .cert_pem = d->cert, .key_pem = d->key};
    tls.server_name = d->tls_name ? d->tls_name : d->host;
    return net_tls_client(raw, &tls, deadline, ret);
}

/* ---- life ---- */

static void destroy(struct docker *d) {
    http_pool_free(d->calls);
    http_pool_free(d->streams);
    mutex_done(&d->negotiating);
    mutex_done(&d->networks);
    if (d->key)
        mem_wipe(d->key, strlen(d->key));
    char *texts[] = {d->name, d->url, d->path, d->host, d->tls_name, d->ca, d->cert, d->key};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        free(texts[i]);
    d->magic = 0;
    free(d);
}

static err_t setup(struct docker *d, const struct docker_conf *conf) {
    d->name = heap_z(str_of(conf->name ? conf->name : "docker"));
    d->url = heap_z(str_of(conf->url ? conf->url : ""));
    d->ca = heap_opt(conf->ca_pem);
    d->cert = heap_opt(conf->cert_pem);
    d->key = heap_opt(conf->key_pem);
    d->tls_name = heap_opt(conf->tls_name);
    d->tls = d->ca || d->cert || d->key;
    if (d->tls && !d->ca)
        return err_field(err_new(ERR_INVALID, "TLS to an engine needs the CA certificate it is verified with"),
                         "tls.ca");
    if (!d->cert != !d->key)
        return err_field(err_new(ERR_INVALID, "a client certificate and its key belong together"), "tls.cert");
    TRY(parse_url(d, d->url));
    struct http_wire wire = conf->wire ? *conf->wire : (struct http_wire){.open = wire_open, .ctx = d};
    const char *host = d->host ? d->host : "docker";
    d->calls = http_pool_new("docker", host, wire, 8, conf->max_conns ? conf->max_conns : 32);
    d->streams = http_pool_new("docker-stream", host, wire, 0, conf->max_streams ? conf->max_streams : 2048);
    return NULL;
}

err_t docker_new(const struct docker_conf *conf, struct docker **ret) {
    struct docker *d = calloc(1, sizeof *d);
    CHECK(d != NULL);
    d->magic = DOCKER_MAGIC;
    d->refs = 1;
    mutex_init(&d->negotiating);
    mutex_init(&d->networks);
    err_t e = setup(d, conf);
    if (e) {
        destroy(d);
        return e;
    }
    *ret = d;
    return NULL;
}

struct docker *docker_ref(struct docker *d) {
    CHECK(d->magic == DOCKER_MAGIC && d->refs > 0);
    d->refs++;
    return d;
}

void docker_unref(struct docker *d) {
    if (!d)
        return;
    CHECK(d->magic == DOCKER_MAGIC && d->refs > 0);
    if (--d->refs == 0)
        destroy(d);
}

void docker_shut(struct docker *d) {
    d->shut = true;
    http_pool_drop_idle(d->calls);
}

struct docker_state docker_state(const struct docker *d) {
    return d->state;
}
const char *docker_name(const struct docker *d) { return d->name; }
const char *docker_url(const struct docker *d) { return d->url; }
bool docker_is_local(const struct docker *d) { return d->local; }
int docker_api(const struct docker *d) { return d->state.api; }

void docker_forget(struct docker *d) {
    d->state.api = 0;
    d->epoch++;
    http_pool_drop_idle(d->calls);
}

/* ---- version ---- */

static bool api_minor(const char *text, int *ret) {
    struct str s = str_of(text ? text : "");
    int64_t v;
    if (!str_starts(s, STR("1.")) || str_to_i64(str_slice(s, 2, s.n), 0, 10000, &v) != NULL)
        return false;
    *ret = (int)v;
    return true;
}

static err_t ping(struct docker *d, const char *method, uint64_t deadline, int *ret_status, int *ret_api) {
    static const struct docker_call call = {.op = "ping"};
    struct http_request req = {.method = method, .target = "/_ping"};
    AUTO(http_response) r = NULL;
    err_t e = http_do(d->calls, &req, deadline, &r);
    struct str body;
    *ret_api = 0;
    if (!e) {
        *ret_status = http_status(r);
        if (!api_minor(http_header_get(r, "Api-Version"), ret_api))
            *ret_api = 0;
        e = http_read_all(r, arena_current(), KIB(64), deadline, &body);
    }
    return docker_map_error(d, &call, e);
}

static err_t incompatible(struct docker *d, const char *text) {
    static const struct docker_call call = {.op = "negotiate"};
    d->state.reach = DOCKER_INCOMPATIBLE;
    snprintf(d->state.last_error, sizeof d->state.last_error, "%s", text);
    return docker_detail(d, &call, err_new(ERR_DOCKER_VERSION, "%s", text));
}

static err_t negotiate_locked(struct docker *d, uint64_t deadline) {
    int status = 0, api = 0;
    TRY(ping(d, "HEAD", deadline, &status, &api));
    if (status != 200 || !api)
        TRY(ping(d, "GET", deadline, &status, &api));
    char text[160];
    if (status != 200) {
        static const struct docker_call call = {.op = "ping"};
        return docker_refusal(d, &call, status, "the engine answers pings with an error");
    }
    d->state.engine_api = api;
    if (api < DOCKER_API_MIN) {
        if (api)
            snprintf(text, sizeof text, "the engine speaks API 1.%d; 1.%d (Engine 20.10) or newer is needed", api,
                     DOCKER_API_MIN);
        else
            snprintf(text, sizeof text, "the endpoint names no API version; Engine 20.10 or newer is needed");
        return incompatible(d, text);
    }
    d->state.api = api < DOCKER_API_MAX ? api : DOCKER_API_MAX;
    return NULL;
}

err_t docker_negotiate(struct docker *d, uint64_t deadline) {
    static const struct docker_call call = {.op = "negotiate"};
    if (d->shut)
        return docker_detail(d, &call, err_new(ERR_DOCKER_UNAVAILABLE, "the node %s was removed", d->name));
    if (d->state.api)
        return NULL;
    TRY(mutex_lock(&d->negotiating, deadline));
    err_t e = d->state.api ? NULL : negotiate_locked(d, deadline);
    mutex_unlock(&d->negotiating);
    return e;
}
