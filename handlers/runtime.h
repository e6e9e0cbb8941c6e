/* The engines behind the platform: fleet, log hub, gitops, and what requests need to know about nodes and applications without
 * asking the database: whose they are. Loop thread only; rows are valid until the caller's next yield. */
#pragma once
#include "core/docker/docker.h"
#include "core/docker/hub.h"
#include "core/fleet/fleet.h"
#include "core/gitops/gitops.h"
#include "handlers/app.h"

struct node_row {
    const char *id, *scope_id, *name;
    const char *json; /* df_json of the row */
    int64_t version;
    bool is_default, maintenance;
};
struct app_row {
    const char *id, *scope_id /* of the project */, *name, *node_id;
};
/** By id or name; NULL. A name that several nodes have is nobody's. */
const struct node_row *runtime_node(const char *ref);
/** In order of names; fn returns false to stop. */
void runtime_nodes(bool (*fn)(void *arg, const struct node_row *n), void *arg);
const struct app_row *runtime_app(const char *id);
/** YIELDS. Read nodes and applications again and bring the fleet in line: after a change, before answering. */
MUST_CHECK err_t runtime_reload(void);

/** At which scope rights over a container count: its application's, when it is really deployed by one of ours on that node, else
 * the node's. */
const char *runtime_container_scope(const struct fleet_container *c, const struct app_row **ret_app);

/** For resolvers of objects that may live at the platform's own scope, where a missing right is otherwise a plain 403: does the
 * object exist for this person? A token's narrowing is left to the permission check, which names it. */
bool runtime_may_see(const struct principal *who, enum permission p, const char *scope_id);

/** Who asks, for work that runs later. */
#define ORIGIN(r) (&(struct job_origin){(r)->who->user_id, (r)->who->token_id})

/** Topics that tell other processes to read again. In the caller's transaction. */
MUST_CHECK err_t runtime_announce(struct pg *tx, const char *topic /* node.changed application.changed */,
                                  const char *scope_id, const char *kind, const char *id);
extern const struct platform_part runtime_part;
