/* Every area's table; the router, the permission checks, OpenAPI and the generated tests know no other list. */
#include "core/conf/conf.h"
#include "handlers/tables.h"
#include "server/csp_report.h"
#include "server/health.h"
#include "server/openapi.h"

static const struct route_table *const TABLES[] = {
    &auth_routes,         &tokens_routes,        &users_routes,        &roles_routes,
    &bindings_routes,     &organizations_routes, &teams_routes,        &projects_routes,
    &folders_routes,      &audit_routes,         &meta_routes,         &nodes_routes,
    &repositories_routes, &webhooks_routes,      &applications_routes, &applications_actions_routes,
    &deployments_routes,  &tasks_routes,         &containers_routes,   &streams_routes,
    &ws_logs_routes,      &ws_tasks_routes,
};

void handlers_routes(void) {
    health_routes();
    openapi_routes();
    csp_report_routes();
    for (size_t i = 0; i < ARRAY_LEN(TABLES); i++)
        routes_register(TABLES[i]->rows, TABLES[i]->n);
    const struct route_table *metrics =
        conf_now()->metrics.is_public ? &metrics_public_routes : &metrics_private_routes;
    routes_register(metrics->rows, metrics->n);
}
