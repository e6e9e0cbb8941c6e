/* What wakes the jobs: due polls, drift seen in events, the periodic full comparison. */
#include <stdio.h>
#include "core/gitops/internal.h"

#define TICK SECONDS(1)
#define NODE_MARK "node:"
#define SETTLE 400 /* ms: events of one change come in bursts */

err_t enqueue_refresh(struct pg *tx, const char *app_id, uint64_t delay_ms) {
    struct job_spec spec = {.kind = JOB_REFRESH,
                            .key = arena_printf(arena_current(), "app:%s", app_id),
                            .scope_id = app_id,
                            .object_kind = "application",
                            .object_id = app_id,
                            .payload = "{\"offline\":true}",
                            .delay_ms = delay_ms,
                            .coalesce = true};
    struct uuid_text id;
    return jobs_enqueue(tx, &spec, &id, NULL);
}

static err_t refresh_tx(struct pg *tx, void *arg) { return enqueue_refresh(tx, arg, 0); }

static err_t refresh_soon(struct gitops *g, const char *app_id) {
    err_t e = pg_tx(g->db, refresh_tx, (void *)app_id);
    /* The application (and its scope) may be gone already. */
    return e && (e->code == ERR_CONFLICT || e->code == ERR_NOT_FOUND || e->code == ERR_DB) ? NULL : e;
}

static const char *app_of(const struct fleet_container *c) {
    for (size_t i = 0; c && i < c->nlabels; i++)
        if (z_eq(c->labels[i].key, LABEL_APP))
            return c->labels[i].value;
    return NULL;
}

static void mark(struct gitops *g, const char *key) {
    if (g->dirty.n > 10000)
        return;
    map_setz(&g->dirty, key, NULL);
    cond_signal(&g->dirty_cond);
}

static void on_change(void *arg, const struct fleet_change *c) {
    struct gitops *g = arg;
    char key[400];
    if (c->kind == FLEET_NODE && z_eq(c->action, fleet_state_text(FLEET_ONLINE)) &&
        snprintf(key, sizeof(key), NODE_MARK "%s", c->node_id) < (int)sizeof(key))
        mark(g, key); /* what could not be done while it was away */
    if (c->kind != FLEET_CONTAINER)
        return;
    const struct fleet_container *x = c->after ? c->after : c->before;
    const char *id = app_of(x);
    if (id && uuid_valid(str_of(id))) {
        mark(g, id);
        return;
    }
    /* A container of another tool comes or goes under a name that an application may want. */
    if (x->project && *x->project && (c->after == NULL || c->before == NULL) &&
        snprintf(key, sizeof(key), "%s %s", x->node_id, x->project) < (int)sizeof(key))
        mark(g, key);
}

/* "node project" instead of an id; *ret NULL when no application has that project there. */
static err_t app_of_project(struct gitops *g, const char *key, const char **ret) {
    struct arena *a = arena_current();
    struct str rest = str_of(key), node;
    struct pg_result *r;
    *ret = NULL;
    if (!str_cut(&rest, ' ', &node) || rest.p == NULL) {
        *ret = key;
        return NULL;
    }
    TRY(pg_rows(g->db, a, SQL_GITOPS_APP_OF_PROJECT, PG_ARGS(pg_uuid(str_z(a, node)), pg_text(str_z(a, rest))), &r));
    *ret = r->rows ? pg_cell(r, 0, 0) : NULL;
    return NULL;
}

static err_t wake_node(struct gitops *g, const char *node_id) {
    struct pg_result *r;
    TRY(pg_rows(g->db, arena_current(), SQL_GITOPS_APPS_OF_NODE, PG_ARGS(pg_uuid(node_id)), &r));
    for (size_t i = 0; i < r->rows; i++)
        TRY(refresh_soon(g, pg_cell(r, i, 0)));
    return NULL;
}

static err_t wake_app(struct gitops *g, const char *key) {
    const char *id;
    if (z_starts(key, NODE_MARK))
        return wake_node(g, key + strlen(NODE_MARK));
    TRY(app_of_project(g, key, &id));
    return id ? refresh_soon(g, id) : NULL;
}

static err_t drift(void *arg) {
    struct gitops *g = arg;
    for (;;) {
        struct arena_mark mark = arena_mark(arena_current());
        while (g->dirty.n == 0)
            TRY(cond_wait(&g->dirty_cond, DEADLINE_NONE));
        TRY(fiber_sleep(SETTLE));
        struct map_entry *e;
        while ((e = map_next(&g->dirty, NULL)) != NULL) {
            const char *id = str_z(arena_current(), e->key);
            (void)map_del(&g->dirty, e->key);
            err_t err = wake_app(g, id);
            if (err && err->code == ERR_CANCELLED)
                return err;
            if (err) { /* without a database: look again when it is back */
                map_setz(&g->dirty, id, NULL);
                TRY(fiber_sleep(SECONDS(1)));
            }
        }
        arena_rewind(arena_current(), mark);
    }
}

static err_t poll_tx(struct pg *tx, void *arg) {
    struct gitops *g = arg;
    struct pg_result *r;
    TRY(pg_rows(tx, arena_current(), SQL_GITOPS_REPOS_DUE, PG_NOARGS, &r));
    for (size_t i = 0; i < r->rows; i++) {
        struct uuid_text id;
        TRY(gitops_poll(g, tx, pg_cell(r, i, 0), pg_cell(r, i, 1), "poll", &id));
    }
    return NULL;
}

static err_t resync(struct gitops *g) {
    const char *after = "00000000-0000-0000-0000-000000000000";
    for (;;) {
        struct pg_result *r;
        TRY(pg_rows(g->db, arena_current(), SQL_GITOPS_APPS_ALL, PG_ARGS(pg_uuid(after)), &r));
        for (size_t i = 0; i < r->rows; i++)
            TRY(refresh_soon(g, pg_cell(r, i, 0)));
        if (r->rows == 0)
            return NULL;
        after = pg_cell(r, r->rows - 1, 0);
    }
}

static err_t schedule(void *arg) {
    struct gitops *g = arg;
    uint64_t next_resync = 0;
    for (;;) {
        struct arena_mark mark = arena_mark(arena_current());
        err_t e = pg_tx(g->db, poll_tx, g);
        if (e == NULL && clock_mono_ms() >= next_resync) {
            e = resync(g);
            /* With jitter, so that instances do not march in step. */
            uint64_t period = g->conf.resync_s * 1000;
            uint32_t r;
            random_bytes(&r, sizeof(r));
            next_resync = clock_mono_ms() + period - period / 10 + r % (period / 5 + 1);
        }
        if (e && e->code == ERR_CANCELLED)
            return e;
        if (e && !err_retryable(e))
            LOG(ERROR, "gitops.schedule", KV_ERR(e));
        arena_rewind(arena_current(), mark);
        TRY(fiber_sleep(TICK));
    }
}

void gitops_start(struct gitops *g) {
    g->sub = fleet_subscribe(g->fleet, on_change, g);
    g->drift = fiber_spawn("gitops.drift", NULL, drift, g);
    g->scheduler = fiber_spawn("gitops.scheduler", NULL, schedule, g);
}

void gitops_stop(struct gitops *g) {
    fleet_unsubscribe(g->sub);
    g->sub = NULL;
    struct fiber *fibers[] = {g->drift, g->scheduler};
    for (size_t i = 0; i < ARRAY_LEN(fibers); i++) {
        if (fibers[i] == NULL)
            continue;
        fiber_cancel(fibers[i]);
        err_ignore(fiber_join(fibers[i]));
    }
    g->drift = g->scheduler = NULL;
}
