#include "core/obs/log.h"
#include "core/obs/metrics.h"
#include "server/internal.h"

static struct metric *requests, *seconds, *dropped;

static void collect(void *arg) {
    (void)arg;
    struct admission_stats s = admission_stats_get();
    metric_set(metric_get(METRIC_GAUGE, "dockflow_http_connections", "Open HTTP connections.", ""), NULL, s.conns);
    metric_set(metric_get(METRIC_GAUGE, "dockflow_http_running", "Requests in handlers.", ""), NULL, s.running);
    metric_set(metric_get(METRIC_GAUGE, "dockflow_ws_connections", "Open WebSockets.", ""), NULL, (double)ws_count());
    metric_set(metric_get(METRIC_GAUGE, "dockflow_ws_queue_max_bytes",
                          "Bytes waiting in the fullest queue of a WebSocket.", ""),
               NULL, (double)ws_queued_most());
    metric_set(metric_get(METRIC_GAUGE, "dockflow_ratelimit_entries", "Rate limit buckets.", ""), NULL,
               (double)ratelimit_entries());
    metric_set(metric_get(METRIC_GAUGE, "dockflow_http_upload_bytes", "Request bodies being received.", ""), NULL,
               (double)SRV.upload_bytes);
}

void access_log_setup(void) {
    requests = metric_get(METRIC_COUNTER, "dockflow_http_requests_total", "Answered requests.", "method,route,status");
    seconds = metric_get(METRIC_HISTOGRAM, "dockflow_http_request_seconds", "Time to the answer.", "route");
    dropped = metric_get(METRIC_COUNTER, "dockflow_http_abandoned_total", "Requests whose client left first.", "route");
    metrics_on_collect(collect, NULL);
}

/* Never the query string (it may hold what somebody took for a token) nor any header but the user agent. */
static void log_line(const struct xchg *x, const char *route, int status, uint64_t us) {
    const char *path = str_z(x->a, x->r.path), *method = str_z(x->a, x->r.method);
    const char *protocol = x->r.http2 ? "h2" : "h1";
    if (x->out.error != NULL && status >= 500)
        LOG(ERROR, "http.request", KV_STR("request", x->r.request_id), KV_STR("method", method), KV_STR("path", path),
            KV_STR("route", route), KV_INT("status", status), KV_INT("us", us), KV_INT("bytes", x->bytes_out),
            KV_STR("ip", x->r.peer_ip), KV_STR("protocol", protocol), KV_ERR(x->out.error));
    else
        LOG(INFO, "http.request", KV_STR("request", x->r.request_id), KV_STR("method", method), KV_STR("path", path),
            KV_STR("route", route), KV_INT("status", status), KV_INT("us", us), KV_INT("bytes", x->bytes_out),
            KV_STR("ip", x->r.peer_ip), KV_STR("protocol", protocol), KV_STR("agent", x->r.user_agent));
}

/* Which series a route and status count in: found once, then by the address of the route's text. Two that want the same place
 * take turns. */
enum { SERIES_SLOTS = 1024 };
struct counted {
    const char *route, *method;
    int status;
    struct metric_series *requests, *seconds;
};

static const struct counted *counted_as(const char *route, const char *method, int status) {
    static struct counted slots[SERIES_SLOTS];
    uintptr_t h = (uintptr_t)route * 31 + (uintptr_t)method * 17 + (unsigned)status;
    struct counted *c = &slots[(h ^ h >> 10) % SERIES_SLOTS];
    if (c->route != route || c->method != method || c->status != status) {
        char text[16];
        (void)snprintf(text, sizeof(text), "%d", status);
        *c = (struct counted){.route = route,
                              .method = method,
                              .status = status,
                              .requests = metric_series_get(requests, (const char *const[]){method, route, text}),
                              .seconds = metric_series_get(seconds, (const char *const[]){route})};
    }
    return c;
}

/* Only methods of the table become label values: their number stays bounded */
static const char *method_label(const struct xchg *x) {
    enum http_method m;
    if (x->head)
        return "HEAD";
    if (x->r.route != NULL)
        return http_method_name(x->r.route->method);
    return http_method_parse(x->r.method, &m) ? http_method_name(m) : "other";
}

void access_log(struct xchg *x) {
    const char *route = x->r.route ? x->r.route->pattern : x->out.csp ? "ui" : "none";
    int status = x->answered ? x->out.status : 499;
    uint64_t us = (x->done_us ? x->done_us : clock_mono_us()) - x->start_us;
    if (!x->answered)
        metric_add(dropped, (const char *const[]){route}, 1);
    const struct counted *c = counted_as(route, method_label(x), status);
    metric_series_add(c->requests, 1);
    metric_series_observe(c->seconds, (double)us / 1e6);
    if ((SRV.conf.access_log && log_enabled(LOG_INFO)) || (x->out.error != NULL && status >= 500))
        log_line(x, route, status, us);
}
