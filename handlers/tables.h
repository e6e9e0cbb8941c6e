/* The route tables of all areas, one per file of handlers/. */
#pragma once
#include "handlers/app.h"

extern const struct route_table auth_routes, tokens_routes, users_routes, roles_routes, bindings_routes,
    organizations_routes, teams_routes, projects_routes, folders_routes, audit_routes, meta_routes, nodes_routes,
    repositories_routes, webhooks_routes, applications_routes, applications_actions_routes, deployments_routes,
    tasks_routes, containers_routes, streams_routes, ws_logs_routes, ws_tasks_routes;
/* One of the two, by metrics.public */
extern const struct route_table metrics_public_routes, metrics_private_routes;
