/* Dangerous options a person deployed: an automatic sync may use the same again while that person has the right, and, where it was
 * done with an API token, while that token is valid and lends it. */
#include "core/gitops/approvals.h"
#include "core/gitops/internal.h"

static uint32_t rights_of(struct gitops *g, struct arena *a, const struct job_origin *by, const char *app_id) {
    const struct gitops_rights *c = &g->conf.rights;
    const struct principal *who;
    return c->person && c->person(c->ctx, a, by, &who) == NULL ? c->guard(c->ctx, who, app_id) : 0;
}

static bool covers(uint32_t allow, const char *permission) {
    int r = guard_right_of(permission);
    return r >= 0 && guard_has(&(struct guard_rights){.allow = allow}, (enum guard_right)r);
}

err_t approvals_load(struct gitops *g, struct arena *a, const char *app_id, struct guard_rights *ret) {
    struct pg_result *r;
    TRY(pg_rows(g->db, a, SQL_GITOPS_APPROVALS, PG_ARGS(pg_uuid(app_id)), &r));
    const char **keys = arena_new_array(a, const char *, r->rows + 1);
    struct job_origin by = {0};
    uint32_t allow = 0;
    size_t n = 0;
    for (size_t i = 0; i < r->rows; i++) {
        struct job_origin row = {.user_id = pg_cell(r, i, 2), .token_id = pg_cell(r, i, 3)};
        if (i == 0 || !z_eq(by.user_id, row.user_id) || !z_eq(by.token_id, row.token_id))
            allow = rights_of(g, a, &row, app_id);
        by = row;
        if (covers(allow, pg_cell(r, i, 1)))
            keys[n++] = pg_cell(r, i, 0);
    }
    ret->grants = keys;
    ret->ngrants = n;
    return NULL;
}

err_t approvals_add(struct pg *tx, struct arena *a, const char *app_id, const struct job_origin *by,
                    const struct guard_uses *uses) {
    if (uses->list.n == 0)
        return NULL;
    struct json *list = json_array(a);
    for
        vec_each(u, &uses->list) {
            struct json *j = json_object(a);
            json_set_str(a, j, "key", u->key);
            json_set_str(a, j, "permission", guard_permission(u->right));
            json_set_str(a, j, "rule", u->rule);
            json_set_str(a, j, "message", u->message);
            json_push(a, list, j);
        }
    return pg_exec(
        tx, SQL_GITOPS_APPROVE,
        PG_ARGS(pg_uuid(app_id), pg_json(json_to_text(a, list)), pg_uuid(by->user_id), pg_uuid(by->token_id)), NULL);
}
