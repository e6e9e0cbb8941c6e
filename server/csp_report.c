/* What browsers report about the policy of our pages. Anybody may send such a report, so little of it is believed and kept: each
 * kind is logged once, addresses lose what may be a credential, and everything else is only counted. */
#include "core/obs/log.h"
#include "core/obs/metrics.h"
#include "server/csp_report.h"
#include "server/route.h"

enum { MAX_REPORT = 64 << 10, MAX_KINDS = 64, MAX_TOLD = 200 };

static struct {
    uint64_t kinds[MAX_KINDS];
    size_t n;
} R;

static const char *text(struct arena *a, const struct json *body, const char *key) {
    struct str s = str_of(json_str_or(json_get(body, key), ""));
    return str_z(a, str_n(s.p, s.n < MAX_TOLD ? s.n : MAX_TOLD));
}

/* Without query and fragment, in which tokens travel, and without what stands before an @. */
static const char *address(struct arena *a, const struct json *body, const char *key) {
    struct str s = str_of(text(a, body, key));
    size_t n = 0;
    while (n < s.n && s.p[n] != '?' && s.p[n] != '#')
        n++;
    s.n = n;
    ptrdiff_t at = str_find_chr(s, '@');
    return str_z(a, at >= 0 ? str_slice(s, (size_t)at + 1, s.n) : s);
}

/* False when it has been told, or when there is no room to remember that it was. */
static bool first_of_kind(struct arena *a, const char *directive, const char *blocked) {
    const char *kind = arena_printf(a, "%s %s", directive, blocked);
    uint64_t hash = hash_bytes(kind, strlen(kind));
    for (size_t i = 0; i < R.n; i++)
        if (R.kinds[i] == hash)
            return false;
    if (R.n == MAX_KINDS)
        return false;
    R.kinds[R.n++] = hash;
    return true;
}

static void take(struct request *r, const struct json *report) {
    const struct json *body = json_get(report, "body");
    if (!z_eq(json_str_or(json_get(report, "type"), ""), "csp-violation"))
        return;
    metric_add(metric_get(METRIC_COUNTER, "dockflow_csp_reports_total",
                          "Violations of the pages' policy that browsers reported.", ""),
               NULL, 1);
    const char *directive = text(r->a, body, "effectiveDirective"), *blocked = address(r->a, body, "blockedURL");
    if (first_of_kind(r->a, directive, blocked))
        LOG(WARNING, "csp.violation", KV_STR("directive", directive), KV_STR("blocked", blocked),
            KV_STR("page", address(r->a, body, "documentURL")), KV_STR("source", address(r->a, body, "sourceFile")),
            KV_INT("line", json_get_int(body, "lineNumber", 0)), KV_STR("ip", r->peer_ip),
            KV_STR("agent", r->user_agent));
}

static err_t post_reports(struct request *r, struct reply *out) {
    static const struct json_limits limits = {.max_bytes = MAX_REPORT, .max_depth = 8, .max_nodes = 4096};
    struct json *reports;
    if (r->body.n > MAX_REPORT)
        return err_new(ERR_TOO_LARGE, "reports of more than %d bytes are not taken", MAX_REPORT);
    if (!str_eq_nocase(request_header(r, "content-type"), STR("application/reports+json")))
        return err_new(ERR_MEDIA_TYPE, "send application/reports+json");
    TRY(json_parse(r->a, r->body, &limits, &reports));
    if (!json_is(reports, JSON_ARRAY))
        return err_new(ERR_BAD_REQUEST, "reports come as an array");
    for (size_t i = 0; i < json_len(reports); i++)
        take(r, json_at(reports, i));
    return reply_empty(out, 204);
}

/* A browser sends its cookies along, but no header of ours: the rules for writes of a page do not fit. */
static const struct route ROUTES[] = {
    ROUTE(POST, CSP_REPORT_PATH, AUTH_PUBLIC, NULL, post_reports, .flags = ROUTE_RAW_BODY | ROUTE_HOOK | ROUTE_NO_AUDIT,
          .status = 204, .tag = "meta",
          .summary = "Where browsers report violations of the pages' Content-Security-Policy"),
};

void csp_report_routes(void) { routes_register(ROUTES, ARRAY_LEN(ROUTES)); }
