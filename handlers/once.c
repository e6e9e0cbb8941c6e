/* Idempotency-Key: per principal, 24 h; kept answers may hold a secret shown once, so they are sealed. The effect and the mark that
 * it happened are one transaction: whatever becomes of the answer to COMMIT, of the connection or of this process, the next
 * request with the key finds out what was done and does not do it twice. A claim has a name of its own, so that one that was
 * taken over (its minute ran out) cannot commit any more. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/check.h"
#include "core/base/list.h"
#include "core/async/loop.h"
#include "handlers/internal.h"

enum { KEEP_BODY_MAX = 1000000, FORGOTTEN_MAX = 1024, LEASE_MS = 60000 };

struct claim {
    const char *principal, *key;
    struct uuid_text id;
};

/* ---- claims that ended while the database was away: their rows still say that they run ---- */

struct forgotten {
    struct list link;
    uint64_t until; /* the row's lease ends: anybody may take it over */
    struct uuid_text id;
    char principal[37], key[129];
};
static struct list forgotten = {&forgotten, &forgotten};
static size_t nforgotten;

static void forgotten_drop(struct forgotten *f) {
    list_del(&f->link);
    nforgotten--;
    free(f);
}

static void forgotten_add(const struct claim *c) {
    struct forgotten *f = calloc(1, sizeof(*f));
    CHECK(f != NULL);
    if (nforgotten == FORGOTTEN_MAX)
        forgotten_drop(list_entry(forgotten.next, struct forgotten, link));
    f->until = loop_now() + LEASE_MS;
    f->id = c->id;
    (void)snprintf(f->principal, sizeof(f->principal), "%s", c->principal);
    (void)snprintf(f->key, sizeof(f->key), "%s", c->key);
    list_add_tail(&forgotten, &f->link);
    nforgotten++;
}

/** The earlier claims of this key that are known to have ended, as words; also throws away what is too old to matter. */
static const char *forgotten_of(struct arena *a, const struct claim *c) {
    const char *ids = "";
    for
        list_each_safe(it, tmp, &forgotten) {
            struct forgotten *f = list_entry(it, struct forgotten, link);
            if (f->until < loop_now())
                forgotten_drop(f);
            else if (z_eq(f->principal, c->principal) && z_eq(f->key, c->key))
                ids = arena_printf(a, "%s %s", ids, f->id.z);
        }
    return ids;
}

/* ---- begin ---- */

static struct seal_place claim_place(struct request *r, const struct claim *c) {
    return (struct seal_place){"idempotency_keys", "body", arena_printf(r->a, "%s %s", c->principal, c->key)};
}

static err_t kept_answer(struct request *r, const struct claim *c, const struct pg_result *res,
                         struct idempotent_reply *ret) {
    struct json *head;
    struct str blob;
    struct seal_place at = claim_place(r, c);
    if (pg_cell(res, 0, 3) == NULL)
        return err_detail(err_new(ERR_CONFLICT,
                                  "the earlier request with this Idempotency-Key was carried out, but its "
                                  "answer was lost; look at what it changed"),
                          "outcome", "done");
    TRY(json_parse(r->a, str_of(pg_cell(res, 0, 4) ? pg_cell(res, 0, 4) : "{}"), NULL, &head));
    ret->replay = true;
    ret->status = (int)pg_cell_int(res, 0, 3, 200);
    ret->content_type = json_get_str(head, "contentType");
    ret->location = json_get_str(head, "location");
    if (pg_cell(res, 0, 5) == NULL)
        return NULL;
    TRY(bytea_parse(r->a, pg_cell(res, 0, 5), &blob));
    return unseal(r->a, platform()->keys, &at, blob, &ret->body);
}

/** Where our own claim is not known to have arrived, it counts as ended. */
static err_t take(struct request *r, struct claim *c, const char *body_sha256, struct pg_result **ret) {
    err_t e = pg_one(platform()->db, r->a, SQL_API_IDEMPOTENCY_BEGIN,
                     PG_ARGS(pg_uuid(c->principal), pg_text(c->key), pg_text(str_z(r->a, r->method)),
                             pg_text(str_z(r->a, r->path)), pg_text(body_sha256), pg_text(c->id.z),
                             pg_text(forgotten_of(r->a, c))),
                     "claim", ret);
    if (e != NULL)
        forgotten_add(c);
    return e;
}

err_t once_begin(struct request *r, const char *key, const char *body_sha256, struct idempotent_reply *ret) {
    if (r->who->user_id == NULL)
        return NULL;
    struct claim *c = arena_new_obj(r->a, struct claim);
    *c = (struct claim){r->who->user_id, key, uuid7()};
    struct pg_result *res;
    TRY(take(r, c, body_sha256, &res));
    if (pg_cell_bool(res, 0, 0)) {
        ret->claim = r->claim = c;
        return NULL;
    }
    if (pg_cell(res, 0, 1) == NULL) /* it was dropped between the two halves of the statement */
        return err_new(ERR_CONFLICT, "a request with this Idempotency-Key has just ended; try again");
    if (!pg_cell_bool(res, 0, 1))
        return err_new(ERR_IDEMPOTENCY_MISMATCH, "this Idempotency-Key was used for another request");
    if (!pg_cell_bool(res, 0, 2))
        return err_new(ERR_CONFLICT, "a request with this Idempotency-Key is still running");
    return kept_answer(r, c, res, ret);
}

/* ---- the mark, and the end ---- */

static err_t keep(struct pg *db, struct request *r, const struct claim *c, const struct idempotent_reply *reply,
                  bool last, int64_t *ret_n) {
    struct json *head = json_object(r->a);
    json_set_str(r->a, head, "contentType", reply->content_type);
    json_set_str(r->a, head, "location", reply->location);
    if (!last)
        json_set_str(r->a, head, "claim", c->id.z);
    struct seal_place at = claim_place(r, c);
    const char *body = reply->body.n ? bytea_text(r->a, seal(r->a, platform()->keys, &at, reply->body)) : NULL;
    return pg_exec(db, SQL_API_IDEMPOTENCY_DONE,
                   PG_ARGS(pg_uuid(c->principal), pg_text(c->key), reply->status ? pg_int(reply->status) : PG_NULL,
                           pg_json(json_to_text(r->a, head)), pg_text(body), pg_text(c->id.z)),
                   ret_n);
}

/** What the answer will be, as far as it is known before COMMIT; status 0: not. */
static struct idempotent_reply foreseen(struct request *r, const struct change *c) {
    struct idempotent_reply reply = {.content_type = "application/json"};
    const char *body = c->task ? reply_task_text(r->a, c->task) : c->reply ? c->reply : c->after;
    int status = route_good_status(r->route);
    if (body == NULL || strlen(body) > KEEP_BODY_MAX || status != (c->task ? 202 : 201))
        return reply;
    reply.status = status;
    if (c->task)
        reply.location = arena_printf(r->a, "/api/v1/tasks/%s", c->task);
    else if (strchr(r->route->pattern, '{') == NULL)
        reply.location = arena_printf(r->a, "%s/%s", r->route->pattern, c->id);
    reply.body = str_of(body);
    return reply;
}

err_t once_mark(struct pg *tx, struct request *r, const struct change *c) {
    int64_t n;
    if (r->claim == NULL)
        return NULL;
    struct idempotent_reply reply = foreseen(r, c);
    TRY(keep(tx, r, r->claim, &reply, false, &n));
    if (n == 0)
        return err_new(ERR_CONFLICT, "another request with this Idempotency-Key has taken over");
    return NULL;
}

err_t once_end(struct request *r, void *claim, const struct idempotent_reply *reply) {
    const struct claim *c = claim;
    if (c == NULL)
        return NULL;
    err_t e;
    if (reply->status == 0 || reply->body.n > KEEP_BODY_MAX) /* leaves a row alone whose effect is there */
        e = pg_exec(platform()->db, SQL_API_IDEMPOTENCY_DROP,
                    PG_ARGS(pg_uuid(c->principal), pg_text(c->key), pg_text(c->id.z)), NULL);
    else
        e = keep(platform()->db, r, c, reply, true, NULL);
    if (e != NULL)
        forgotten_add(c);
    return e;
}
