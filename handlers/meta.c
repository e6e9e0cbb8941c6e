/* The server about itself: info, metrics, fibers, recent activity. */
#include "core/async/fiber.h"
#include "core/obs/metrics.h"
#include "handlers/list.h"
#include "handlers/tables.h"

static err_t info(struct request *r, struct reply *out) {
    static const char *const features[] = {"gitops", "rbac", "audit", "api-tokens", "websocket", "sse"};
    char started[TIME_RFC3339_LEN];
    const struct platform *p = platform();
    struct json *j = json_object(r->a), *list = json_array(r->a);
    json_set_str(r->a, j, "name", "DockFlow");
    json_set_str(r->a, j, "version", p->version);
    json_set_str(r->a, j, "commit", p->commit);
    json_set_str(r->a, j, "startedAt", time_rfc3339(started, p->started_ms));
    json_set_str(r->a, j, "apiVersion", "v1");
    for (size_t i = 0; i < ARRAY_LEN(features); i++)
        json_push(r->a, list, json_string(r->a, features[i]));
    json_set(r->a, j, "features", list);
    return reply_json(out, 200, j);
}

static err_t metrics(struct request *r, struct reply *out) {
    (void)r;
    AUTO_BUF b;
    buf_init(&b, KIB(64), MIB(16));
    metrics_write(&b);
    TRY(buf_check(&b));
    return reply_bytes(out, 200, "text/plain; version=0.0.4; charset=utf-8", buf_str(&b));
}

static err_t fibers(struct request *r, struct reply *out) {
    AUTO_BUF b;
    buf_init(&b, KIB(64), MIB(16));
    fiber_dump_json(&b);
    TRY(buf_check(&b));
    return reply_list(r, out, buf_str(&b), NULL);
}

static const struct list_sort sorts[] = {{"seq", "t.seq", "bigint"}};
static const struct list_spec activity_spec = {.json = "df_json(t)",
                                               .from = "events t",
                                               .id = "t.id",
                                               .sort = sorts,
                                               .nsort = ARRAY_LEN(sorts),
                                               .descending = true,
                                               .search = "coalesce(t.payload->>'text', t.topic)",
                                               .scope = "coalesce(t.scope_id, '" ROOT_SCOPE "')",
                                               .permission = PERM_EVENT_READ};

static err_t activity(struct request *r, struct reply *out) {
    struct list_query l;
    const char *topic = request_query(r, "topic");
    TRY(list_begin(&l, r, &activity_spec));
    /* Steps of a deployment and states of tasks are for those who watch them. */
    if (topic == NULL)
        list_where(
            &l,
            "t.topic IN ('activity.new', 'deployment.finished', 'application.deleted', 'node.status', 'repository.status')",
            PG_NOARGS);
    list_filter(&l, "topic", "t.topic");
    list_filter(&l, "kind", "t.object_kind");
    list_filter(&l, "object", "t.object_id");
    return list_reply(&l, out);
}

static const struct route rows[] = {
    ROUTE(GET, "/api/v1/info", AUTH_PUBLIC, NULL, info, .response_schema = "Info", .tag = "meta",
          .summary = "Name, version, features"),
    ROUTE(GET, "/api/v1/activity", AUTH_PERMISSION, "event:read", activity, .response_schema = "Activity",
          .query = "topic kind object", .flags = ROUTE_LIST, .tag = "meta", .summary = "What happened lately"),
    ROUTE(GET, "/debug/fibers", AUTH_PERMISSION, "system:read", fibers, .response_schema = "Fiber", .flags = ROUTE_PAGE,
          .tag = "meta", .summary = "Every running fiber and what it waits for"),
};
ROUTE_TABLE(meta_routes, rows);

static const struct route metrics_public[] = {
    ROUTE(GET, "/metrics", AUTH_PUBLIC, NULL, metrics, .response_type = "text/plain", .flags = ROUTE_INLINE,
          .tag = "meta", .summary = "Prometheus metrics"),
};
static const struct route metrics_private[] = {
    ROUTE(GET, "/metrics", AUTH_PERMISSION, "system:read", metrics, .response_type = "text/plain", .tag = "meta",
          .summary = "Prometheus metrics"),
};
ROUTE_TABLE(metrics_public_routes, metrics_public);
ROUTE_TABLE(metrics_private_routes, metrics_private);
