/* Private to apply*.c. */
#pragma once
#include "core/async/fiber.h"
#include "core/async/wait.h"
#include "core/base/map.h"
#include "core/gitops/apply.h"

struct op_run {
    struct apply *ap;
    const struct op *op;
    enum op_state state;
    struct fiber *fiber;
};
struct apply {
    struct arena *a;
    const struct apply_conf *conf;
    const struct plan *plan;
    struct op_run *runs;   /* same order as plan->ops */
    struct map by_id;      /* op id -> struct op_run * */
    struct map made;       /* create op id -> container id */
    struct map by_service; /* service -> container id of its first replica, existing or made */
    struct map file_paths; /* files volume -> path on the engine's host */
    struct map images;     /* ref -> image id */
    struct json *removed;  /* {name: document} of networks that were removed; a failure brings them back */
    bool moved_for_good;   /* an old container that was on one of them is gone: they stay as they are now */
    struct cond changed;
    size_t running;
    err_t error; /* first one, in ap->a */
};
const char *apply_container(struct apply *ap, const struct op *op); /* id it acts on; NULL if its create did not run */
/** YIELDS. One operation; *ret_after for the record. */
MUST_CHECK err_t apply_op(struct apply *ap, const struct op *op, struct arena *a, struct json **ret_after);
void apply_log(struct apply *ap, const struct op *op, const char *level, const char *fmt, ...) PRINTF_LIKE(4, 5);
/** YIELDS, masked. Put back what was replaced and not confirmed. */
void apply_compensate(struct apply *ap);
/** YIELDS. Waits of the health gate. */
MUST_CHECK err_t apply_wait(struct apply *ap, const struct op *op, struct arena *a);
MUST_CHECK err_t apply_put_files(struct apply *ap, const struct op *op, struct arena *a);
MUST_CHECK err_t apply_create(struct apply *ap, const struct op *op, struct arena *a, struct json **ret_after);
MUST_CHECK err_t apply_image(struct apply *ap, const struct op *op, struct arena *a, struct json **ret_after);
