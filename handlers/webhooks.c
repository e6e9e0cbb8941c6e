/* Webhooks of forges: a signed hint to look at a repository. The body decides nothing: Git is read again. */
#include "core/base/id.h"
#include "handlers/runtime.h"
#include "handlers/tables.h"
#include "server/reply.h"

struct hook {
    const char *repo_id, *scope_id, *org_id, *provider;
    struct str secret;
};
struct delivery {
    struct hook hook;
    const char *provider, *id, *event, *summary, *sha256;
    bool ping, duplicate;
    struct uuid_text job;
};

static err_t bad_signature(void) {
    return err_new(ERR_SIGNATURE_INVALID, "the signature is missing or does not match");
}

static unsigned count_header(const struct request *r, const char *name, struct str *ret) {
    unsigned n = 0;
    for (size_t i = 0; i < r->nheaders; i++)
        if (str_eqz(r->headers[i].name, name)) {
            *ret = r->headers[i].value;
            n++;
        }
    return n;
}

/* Exactly one signature, "sha256=" and 64 hex digits; what GitHub sends under its old name (SHA-1) is not looked at. */
static bool read_signature(const struct request *r, uint8_t out[32], const char **ret_provider) {
    struct str github = {0}, generic = {0};
    unsigned n = count_header(r, "x-hub-signature-256", &github) + count_header(r, "x-dockflow-signature", &generic);
    struct str sig = github.n ? github : generic;
    if (n != 1 || !str_starts(sig, STR("sha256=")) || sig.n != 7 + 64)
        return false;
    *ret_provider = github.n ? "github" : "generic";
    return str_from_hex(str_slice(sig, 7, sig.n), out);
}

/* A hook that does not exist takes as long and answers the same. */
static err_t find_hook(struct request *r, struct hook *ret, bool *ret_known) {
    struct pg_result *res;
    *ret = (struct hook){.secret = STR("no such hook")};
    *ret_known = false;
    TRY(pg_rows(platform()->db, r->a, SQL_WEBHOOKS_REPOSITORY, PG_ARGS(pg_text(request_param(r, "hookId"))), &res));
    if (res->rows == 0 || pg_cell(res, 0, 2) == NULL)
        return NULL;
    struct str blob;
    struct hook h = {.repo_id = pg_cell(res, 0, 0),
                     .scope_id = pg_cell(res, 0, 1),
                     .provider = pg_cell(res, 0, 3),
                     .org_id = pg_cell(res, 0, 4)};
    TRY(bytea_parse(r->a, pg_cell(res, 0, 2), &blob));
    TRY(unseal(r->a, platform()->keys, &(struct seal_place){"repositories", "webhook_secret_sealed", h.repo_id}, blob,
               &h.secret));
    *ret = h;
    *ret_known = true;
    return NULL;
}

static err_t check_signature(struct request *r, struct hook *h, const char **ret_provider) {
    uint8_t want[32], got[32] = {0};
    bool known, read = read_signature(r, got, ret_provider);
    TRY(find_hook(r, h, &known));
    crypto_hmac_sha256(h->secret, r->body, want);
    bool same = mem_eq_ct(want, got, sizeof(want));
    return known && read && same ? NULL : bad_signature();
}

static const char *short_header(struct request *r, const char *name, size_t max) {
    struct str v = request_header(r, name);
    return v.n ? str_z(r->a, str_slice(v, 0, max)) : NULL;
}

/* Whatever the body is, it is only noted. */
static void read_summary(struct request *r, struct delivery *d) {
    struct json *body, *s = json_object(r->a);
    err_t e = json_parse(r->a, r->body,
                         &(struct json_limits){.max_bytes = MIB(25), .max_nodes = 500000, .trusted = true}, &body);
    const char *ref = e ? NULL : json_get_str(body, "ref"), *after = e ? NULL : json_get_str(body, "after");
    if (ref && strlen(ref) <= 300 && str_is_utf8(str_of(ref)))
        json_set_str(r->a, s, "ref", ref);
    if (after && strlen(after) <= 64)
        json_set_str(r->a, s, "commit", after);
    d->summary = json_to_text(r->a, s);
}

static void read_delivery(struct request *r, struct delivery *d) {
    uint8_t sum[32];
    char *hex = arena_alloc(r->a, 65, 1);
    crypto_sha256(r->body, sum);
    str_to_hex(sum, sizeof(sum), hex);
    d->sha256 = hex;
    bool github = z_eq(d->provider, "github");
    const char *id = short_header(r, github ? "x-github-delivery" : "x-dockflow-delivery", 200);
    const char *event = short_header(r, github ? "x-github-event" : "x-dockflow-event", 100);
    d->id = id && str_is_utf8(str_of(id)) ? id : uuid7_new(r->a); /* without a name it cannot be a repetition */
    d->event = event && str_is_utf8(str_of(event)) ? event : "push";
    d->ping = z_eq(d->event, "ping");
    read_summary(r, d);
}

struct accepting {
    struct request *r;
    struct delivery *d;
};

static err_t take(struct pg *tx, void *arg) {
    struct accepting *x = arg;
    struct delivery *d = x->d;
    struct pg_result *res;
    TRY(pg_rows(tx, x->r->a, SQL_WEBHOOKS_DELIVERY,
                PG_ARGS(pg_uuid(uuid7_new(x->r->a)), pg_uuid(d->hook.org_id), pg_uuid(d->hook.repo_id),
                        pg_text(d->provider), pg_text(d->id), pg_text(d->event),
                        pg_text(d->ping ? "ignored" : "accepted"), pg_text(d->sha256), pg_int((int64_t)x->r->body.n),
                        pg_json(d->summary), pg_text(x->r->peer_ip)),
                &res));
    d->duplicate = res->rows == 0;
    if (d->duplicate || d->ping)
        return NULL;
    return gitops_poll(platform()->gitops, tx, d->hook.repo_id, d->hook.scope_id, "webhook", &d->job);
}

static err_t hook(struct request *r, struct reply *out) {
    struct delivery d = {0};
    TRY(platform_ready());
    TRY(check_signature(r, &d.hook, &d.provider));
    TRY(request_hook_rate(r, d.hook.repo_id));
    read_delivery(r, &d);
    TRY(pg_tx(platform()->db, take, &(struct accepting){r, &d}));
    struct json *j = json_object(r->a);
    json_set_bool(r->a, j, "accepted", !d.duplicate);
    if (d.duplicate)
        json_set_bool(r->a, j, "duplicate", true);
    return reply_json(out, d.duplicate ? 200 : 202, j);
}

static const struct route rows[] = {
    ROUTE(POST, "/api/v1/hooks/{hookId}", AUTH_PUBLIC, NULL, hook, .response_schema = "HookAnswer", .status = 202,
          .flags = ROUTE_RAW_BODY | ROUTE_HOOK | ROUTE_NO_AUDIT, .tag = "webhooks",
          .summary = "Webhook of a forge: X-Hub-Signature-256 or X-DockFlow-Signature over the raw body"),
};
ROUTE_TABLE(webhooks_routes, rows);
