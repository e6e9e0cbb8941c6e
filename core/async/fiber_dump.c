#include "core/async/fiber_internal.h"
#include "core/async/loop.h"
#include "core/base/json.h"

static const char *state_name(const struct fiber *f) {
    switch (f->state) {
    case FIBER_NEW:
    case FIBER_READY:
        return "ready";
    case FIBER_RUNNING:
        return "running";
    case FIBER_PARKED:
        return "parked";
    default:
        return "ended";
    }
}

static void dump_one(struct jw *w, const struct fiber *f, uint64_t now) {
    jw_obj(w);
    jw_kv_int(w, "id", (int64_t)f->id);
    jw_kv_str(w, "name", f->name);
    jw_kv_str(w, "label", f->label);
    jw_kv_str(w, "state", state_name(f));
    jw_kv_str(w, "waits_for", f->why);
    jw_kv_int(w, "age_ms", (int64_t)(now - f->born_ms));
    jw_kv_int(w, "parked_ms", f->state == FIBER_PARKED ? (int64_t)(now - f->parked_ms) : 0);
    uint64_t dl = f->state == FIBER_PARKED ? deadline_min(f->park_deadline, f->deadline) : f->deadline;
    jw_key(w, "deadline_in_ms");
    if (dl == DEADLINE_NONE)
        jw_null(w);
    else
        jw_int(w, dl > now ? (int64_t)(dl - now) : 0);
    jw_kv_bool(w, "cancelled", f->cancelled);
    jw_kv_int(w, "arena_bytes", (int64_t)arena_used(f->arena));
    jw_obj_end(w);
}

void fiber_dump_json(struct buf *out) {
    struct jw w;
    jw_init(&w, out);
    uint64_t now = loop_now();
    jw_arr(&w);
    for
        list_each_safe(it, tmp, fiber_all())
            dump_one(&w, list_entry(it, struct fiber, all), now);
    jw_arr_end(&w);
}
