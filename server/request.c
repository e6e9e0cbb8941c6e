#include "server/request.h"
#include "core/base/id.h"
#include "server/internal.h"
#include "server/path.h"
#include "server/schema.h"

enum { REQUEST_ID_MIN = 8, REQUEST_ID_MAX = 64 };

/* ---- accessors ---- */

struct str request_header(const struct request *r, const char *lower_name) {
    for (size_t i = 0; i < r->nheaders; i++)
        if (str_eqz(r->headers[i].name, lower_name))
            return r->headers[i].value;
    return str_n(NULL, 0);
}

const char *request_param(const struct request *r, const char *name) {
    int i = route_param_index(r->route, name);
    CHECK(i >= 0);
    return r->params[i].p;
}

const char *request_query(const struct request *r, const char *name) {
    const struct xchg *x = XCHG_OF_REQUEST(r);
    for (size_t i = 0; i < x->nquery; i++)
        if (z_eq(x->query[i].name, name))
            return x->query[i].value;
    return NULL;
}

err_t request_query_int(const struct request *r, const char *name, int64_t dflt, int64_t min, int64_t max,
                        int64_t *ret) {
    const char *z = request_query(r, name);
    if (z == NULL) {
        *ret = dflt;
        return NULL;
    }
    if (str_to_i64(str_of(z), min, max, ret) != NULL)
        return err_field(err_new(ERR_BAD_REQUEST, "query parameter \"%s\" must be an integer from %lld to %lld", name,
                                 (long long)min, (long long)max),
                         name);
    return NULL;
}

err_t request_query_bool(const struct request *r, const char *name, bool dflt, bool *ret) {
    const char *z = request_query(r, name);
    if (z == NULL)
        *ret = dflt;
    else if (z_eq(z, "true") || z_eq(z, "1"))
        *ret = true;
    else if (z_eq(z, "false") || z_eq(z, "0"))
        *ret = false;
    else
        return err_field(err_new(ERR_BAD_REQUEST, "query parameter \"%s\" must be true or false", name), name);
    return NULL;
}

const char *request_cookie(const struct request *r, const char *name) {
    for (size_t i = 0; i < r->nheaders; i++) {
        if (!str_eqz(r->headers[i].name, "cookie"))
            continue;
        struct str rest = r->headers[i].value, part;
        while (str_cut(&rest, ';', &part)) {
            part = str_trim(part);
            ptrdiff_t eq = str_find_chr(part, '=');
            if (eq > 0 && str_eqz(str_n(part.p, (size_t)eq), name))
                return str_z(r->a, str_slice(part, (size_t)eq + 1, part.n));
        }
    }
    return NULL;
}

const char *request_session_cookie(const struct request *r) { return r->tls ? "__Host-df_session" : "df_session"; }

void request_audit(struct request *r, const char *resource_type, const char *resource_id, const char *before,
                   const char *after) {
    XCHG_OF_REQUEST(r)->audit = (struct audit_note){arena_strdup(r->a, resource_type), arena_strdup(r->a, resource_id),
                                                    arena_strdup(r->a, before), arena_strdup(r->a, after)};
}

err_t request_json(struct request *r, const struct json **ret) {
    struct xchg *x = XCHG_OF_REQUEST(r);
    if (x->json == NULL) {
        struct json *body;
        if (r->body.n == 0)
            return err_new(ERR_INVALID_JSON, "a JSON body is required");
        TRY(json_parse(r->a, r->body, NULL, &body));
        const char *name = r->route->request_schema;
        if (name != NULL) {
            const struct json *schema = schema_get(name);
            CHECK(schema != NULL);
            TRY(schema_validate(schema, body));
        }
        x->json = body;
    }
    *ret = x->json;
    return NULL;
}

err_t request_if_match(const struct request *r, int64_t version) {
    struct str v = request_header(r, "if-match");
    if (v.n == 0)
        return err_new(ERR_PRECONDITION_REQUIRED, "send If-Match with the ETag you read");
    char want[32];
    (void)snprintf(want, sizeof(want), "\"%lld\"", (long long)version);
    struct str part;
    while (str_cut(&v, ',', &part))
        if (str_eqz(str_trim(part), want) || str_eqz(str_trim(part), "*"))
            return NULL;
    return err_new(ERR_PRECONDITION, "the object was changed meanwhile; read it again");
}

/* ---- copying out of h2o ---- */

static struct str copy(struct arena *a, h2o_iovec_t v) { return str_dup(a, str_n(v.base, v.len)); }

static bool host_char(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' ||
           c == '_';
}

/* reg-name or bracketed IPv6, and a port */
static bool authority_split(struct str s, struct str *host) {
    size_t i = 0;
    if (s.n == 0 || s.n > 255)
        return false;
    if (s.p[0] == '[') {
        ptrdiff_t close = str_find_chr(s, ']');
        if (close < 2)
            return false;
        for (i = 1; i < (size_t)close; i++)
            if (!host_char(s.p[i]) && s.p[i] != ':')
                return false;
        i = (size_t)close + 1;
    } else {
        while (i < s.n && host_char(s.p[i]))
            i++;
    }
    *host = str_n(s.p, i);
    int64_t port;
    return i > 0 && (i == s.n || (s.p[i] == ':' && str_to_i64(str_slice(s, i + 1, s.n), 1, 65535, &port) == NULL));
}

static err_t check_authority(struct request *r) {
    struct str host;
    if (r->authority.n == 0 && !r->http2)
        return NULL; /* HTTP/1.0; the guard has refused HTTP/1.1 without Host */
    if (!authority_split(r->authority, &host))
        return err_new(ERR_BAD_REQUEST, "the Host is missing or malformed");
    if (SRV.conf.hosts == NULL)
        return NULL;
    for (const char *const *h = SRV.conf.hosts; *h != NULL; h++)
        if (str_eq_nocase(host, str_of(*h)))
            return NULL;
    return err_new(ERR_MISDIRECTED, "this server does not answer for that host");
}

/* The first field with this very value: HPACK lets a byte stand for kilobytes, which h2o shares and a copy would not. */
static size_t first_with_value(const h2o_req_t *req, size_t i) {
    const h2o_header_t *v = req->headers.entries;
    size_t at = 0;
    while (v[at].value.base != v[i].value.base || v[at].value.len != v[i].value.len)
        at++;
    return at;
}

static err_t copy_headers(struct xchg *x, h2o_req_t *req) {
    if (req->headers.size > MAX_HEADERS)
        return err_new(ERR_HEADERS_TOO_LARGE, "more than %d header fields", MAX_HEADERS);
    size_t total = 0, shared = 0, same[MAX_HEADERS];
    for (size_t i = 0; i < req->headers.size; i++) {
        total += req->headers.entries[i].name->len + req->headers.entries[i].value.len + 4;
        same[i] = first_with_value(req, i);
        shared += same[i] < i ? req->headers.entries[i].value.len : 0;
    }
    if (total > H1_MAX_HEAD)
        return err_new(ERR_HEADERS_TOO_LARGE, "the header fields are larger than 64 KiB");
    struct header *v = arena_new_array(x->a, struct header, req->headers.size + 1);
    char *text = arena_alloc(x->a, total - shared + 1, 1);
    for (size_t i = 0; i < req->headers.size; i++) {
        const h2o_header_t *h = &req->headers.entries[i];
        memcpy(text, h->name->base, h->name->len);
        v[i].name = str_n(text, h->name->len);
        text += h->name->len;
        if (same[i] < i) {
            v[i].value = v[same[i]].value;
            continue;
        }
        memcpy(text, h->value.base, h->value.len);
        v[i].value = str_n(text, h->value.len);
        text += h->value.len;
    }
    x->r.headers = v;
    x->r.nheaders = req->headers.size;
    return NULL;
}

/* h2o was told to show Host over HTTP/2; it must agree with :authority (server.c) */
static err_t settle_authority_h2(struct request *r) {
    struct str host = request_header(r, "host");
    size_t hosts = 0;
    for (size_t i = 0; i < r->nheaders; i++)
        hosts += str_eqz(r->headers[i].name, "host") ? 1 : 0;
    if (hosts > 1 || (host.n > 0 && r->authority.n > 0 && !str_eq_nocase(host, r->authority)))
        return err_new(ERR_BAD_REQUEST, "Host and :authority name different servers");
    if (r->authority.n == 0)
        r->authority = host;
    return NULL;
}

static bool request_id_ok(struct str s) {
    if (s.n < REQUEST_ID_MIN || s.n > REQUEST_ID_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'z') ||
              (s.p[i] >= 'A' && s.p[i] <= 'Z') || s.p[i] == '-'))
            return false;
    return true;
}

static bool is_proxy(const uint8_t addr[16]) {
    for (size_t i = 0; i < SRV.nproxies; i++)
        if (conf_cidr_contains(&SRV.proxies[i], addr))
            return true;
    return false;
}

/* The list that a header's lines make together, from its end: proxies append, as an item or as a line of their own. Cuts the last
 * item off; *line goes down as lines are used up. */
static bool last_item(const struct request *r, const char *name, size_t *line, struct str *rest, struct str *ret) {
    while (rest->p == NULL && *line > 0)
        if (str_eqz(r->headers[--*line].name, name))
            *rest = r->headers[*line].value;
    if (rest->p == NULL)
        return false;
    size_t at = rest->n;
    while (at > 0 && rest->p[at - 1] != ',')
        at--;
    *ret = str_trim(str_slice(*rest, at, rest->n));
    *rest = at > 0 ? str_n(rest->p, at - 1) : (struct str){0};
    return true;
}

/* X-Forwarded-* counts only from proxies that the operator named: each item of the list was written by the one after it, so it is
 * believed as far as trusted proxies go, and what they say of the first stranger is the answer. */
static void apply_forwarded(struct request *r, const char *socket_ip) {
    uint8_t addr[16];
    struct str rest = {0}, item;
    size_t line = r->nheaders;
    if (SRV.nproxies == 0 || !conf_parse_address(str_of(socket_ip), addr) || !is_proxy(addr))
        return;
    while (last_item(r, "x-forwarded-for", &line, &rest, &item) && conf_parse_address(item, addr)) {
        r->peer_ip = str_z(r->a, item);
        if (!is_proxy(addr))
            break;
    }
    rest = (struct str){0};
    line = r->nheaders;
    if (last_item(r, "x-forwarded-proto", &line, &rest, &item) && str_eqz(item, "https")) {
        r->tls = true;
        r->scheme = STR("https");
    }
}

static void fill_identity(struct xchg *x, const struct conn *c) {
    struct request *r = &x->r;
    struct str id = request_header(r, "x-request-id"), agent = request_header(r, "user-agent");
    if (request_id_ok(id))
        r->request_id = str_z(x->a, id);
    r->user_agent = agent.n > 0 ? str_z(x->a, str_slice(agent, 0, 256)) : NULL;
    r->peer_ip = arena_strdup(x->a, c->ip);
    apply_forwarded(r, c->ip);
}

err_t request_fill(struct xchg *x, h2o_req_t *req) {
    struct request *r = &x->r;
    const struct conn *c = x->conn;
    r->a = x->a;
    r->http2 = req->version >= 0x200;
    r->tls = c->tls;
    r->scheme = r->tls ? STR("https") : STR("http");
    r->request_id = uuid7_new(x->a);
    r->peer_ip = c->ip;
    r->deadline = x->start_ms + SRV.conf.request_ms;
    r->method = copy(x->a, req->input.method);
    h2o_iovec_t target = req->input.path;
    if (target.len > MAX_URI)
        return err_new(ERR_URI_TOO_LONG, "the request target is longer than 8 KiB");
    struct str path = str_n(target.base, target.len);
    ptrdiff_t q = str_find_chr(path, '?');
    r->path = str_dup(x->a, q < 0 ? path : str_n(path.p, (size_t)q));
    r->query = str_dup(x->a, q < 0 ? str_n("", 0) : str_slice(path, (size_t)q + 1, path.n));
    TRY(copy_headers(x, req));
    fill_identity(x, c);
    if (req->input.authority.base != SRV.host->authority.hostport.base) /* what h2o puts in place of a missing one */
        r->authority = copy(x->a, req->input.authority);
    if (r->http2) {
        TRY(settle_authority_h2(r));
        if (!h2_length_agrees(req)) /* h2o compares only when a DATA frame came */
            return err_new(ERR_BAD_REQUEST, "Content-Length and the body differ");
    }
    return check_authority(r);
}
