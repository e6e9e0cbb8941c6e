/* Private to the plan_*.c files. */
#pragma once
#include "core/base/map.h"
#include "core/gitops/plan.h"

struct planner {
    struct arena *a;
    const struct desired *want;
    const struct observed *have;
    const struct json *previous;
    struct plan *plan;
    struct map op_by_id;             /* id -> (void*)(index + 1) */
    struct map image_ids;            /* ref -> struct observed_image * when present and not about to change */
    struct map recreated;            /* service name -> anything: its containers are replaced in this plan */
    struct map net_rebuilt;          /* network key -> anything: network is made anew in this deployment */
    VEC(const char *) moved_removes; /* op ids: of old containers on a network that is made anew */
};

/** New op with a unique id; the pointer is valid until the next call. */
struct op *planner_add(struct planner *p, enum op_kind kind, const char *id, const char *object, int phase);
struct op *planner_op(struct planner *p, const char *id); /* NULL if absent */
void op_after(struct planner *p, struct op *op,
              const char *id); /* ignores ids that are not in the plan; no duplicates */
void op_cause(struct planner *p, struct op *op, const char *code, const char *message, const char *from,
              const char *to);
bool planner_selected(const struct planner *p, const char *service);
const struct desired_service *planner_service(const struct planner *p, const char *name);
const struct observed_network *planner_network(const struct planner *p, const char *name);
const char *op_idf(struct planner *p, const char *kind, const char *service, int64_t number);

MUST_CHECK err_t plan_images(struct planner *p);
MUST_CHECK err_t plan_networks(struct planner *p);
MUST_CHECK err_t plan_volumes(struct planner *p);
void plan_files(struct planner *p);
MUST_CHECK err_t plan_ports(struct planner *p);
void plan_services(struct planner *p);
void plan_orphans(struct planner *p);
