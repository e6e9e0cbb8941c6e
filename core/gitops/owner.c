/* Whose a container is: its label says which application made it, the database whether that application is still there. */
#include "core/gitops/internal.h"

err_t disown_orphans(struct gitops *g, struct arena *a, const struct desired *want, struct observed *have) {
    for (size_t i = 0; i < have->n_containers; i++) {
        struct observed_container *c = &have->containers[i];
        struct pg_result *r;
        if (c->app_id == NULL || z_eq(c->app_id, want->app_id))
            continue;
        if (uuid_valid(str_of(c->app_id))) {
            TRY(pg_rows(g->db, a, SQL_APPLICATIONS_BY_ID, PG_ARGS(pg_uuid(c->app_id)), &r));
            if (r->rows)
                continue;
        }
        c->app_id = NULL;
    }
    return NULL;
}

err_t observe_now(struct gitops *g, struct arena *a, const char *node_id, const struct desired *want,
                  struct observed **ret) {
    struct docker *d;
    TRY(fleet_docker(g->fleet, node_id, &d));
    err_t e = observe_engine(a, d, want, deadline_in(SECONDS(30)), ret);
    docker_unref(d);
    return e ? e : disown_orphans(g, a, want, *ret);
}
