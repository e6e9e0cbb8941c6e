/* What the handlers share: the parts of the product, made at start (start.c) and reached through platform(). A handler that is
 * called at all runs on a started platform, except those of AUTH_PUBLIC routes: they ask platform_ready() first. */
#pragma once
#include "core/bus/bus.h"
#include "core/crypto/crypto.h"
#include "core/identity/identity.h"
#include "core/jobs/jobs.h"
#include "core/rbac/rbac.h"
#include "server/route.h"

struct fleet;
struct gitops;
struct hub;
struct platform {
    struct keyring *keys;
    struct pg_conf pg; /* url NULL until the database's place is known */
    struct pg *db;     /* NULL until then */
    struct rbac *rbac;
    struct identity *identity;
    struct bus *bus;
    struct jobs *jobs;
    struct fleet *fleet; /* fleet, hub, gitops: made by the part that serves nodes and applications */
    struct hub *hub;
    struct gitops *gitops;
    bool ready;         /* everything above is started */
    char down[512];     /* why not, for people; "" when ready */
    int64_t started_ms; /* wall */
    const char *version, *commit;
};
struct platform *platform(void);
/** NULL, or ERR_DB_UNAVAILABLE saying what is missing. */
MUST_CHECK err_t platform_ready(void);

/** One area's rows. Adding an area = one line in routes.c. */
struct route_table {
    const struct route *rows;
    size_t n;
};
#define ROUTE_TABLE(name, rows_) const struct route_table name = {(rows_), ARRAY_LEN(rows_)}
/** All areas, health and OpenAPI included; once, before listening. */
void handlers_routes(void);

/** Parts with a life of their own beyond the foundation (nodes, applications): started in order on a fiber when the database is
 * there, stopped in reverse. `reg` registers job kinds: before the job runner starts. Adding one = one line in start.c. */
struct platform_part {
    const char *name;
    err_t (*reg)(struct platform *p);
    err_t (*start)(struct platform *p);
    void (*stop)(struct platform *p, uint64_t deadline);
};

/* ---- answers that must look the same everywhere ---- */

/** The one 404: an object that is missing and one that may not be seen are told apart by nobody. */
err_t api_not_found(void);
/** pg_one / pg_json_text whose "no such row" is api_not_found. */
MUST_CHECK err_t api_one(struct request *r, enum stmt stmt, const struct pg_args *args, struct pg_result **ret);
MUST_CHECK err_t api_json(struct request *r, enum stmt stmt, const struct pg_args *args, struct str *ret);
/** {id} as it must be: a UUID, or the 404. */
MUST_CHECK err_t api_uuid_param(const struct request *r, const char *name, const char **ret);
/** Does the caller have `p` at `scope_id`? ERR_FORBIDDEN (or INSUFFICIENT_SCOPE for a narrowed token) naming the rule; with
 * `read` (-1 = none) missing too, api_not_found. */
MUST_CHECK err_t api_require(struct request *r, enum permission p, int read, const char *scope_id);
/** Refuses API tokens: account matters need a login. INSUFFICIENT_SCOPE. */
MUST_CHECK err_t api_session_only(const struct request *r);
/** The route's permission at a scope that an invalid body kept us from finding: who may it nowhere hears that, and not how the
 * body should look. */
MUST_CHECK err_t api_body_error(struct request *r, err_t e);
/** A scope at which the caller has p: the root if there, else any; NULL = nowhere. For objects that belong to no scope. */
const char *api_scope_anywhere(struct request *r, enum permission p);
/** Resolvers: r->scope_id from a body field or query parameter that names a scope (NULL or "" = the root). */
MUST_CHECK err_t api_scope_of_body(struct request *r, const char *field);

/* ---- changes ---- */

/** What a change leaves behind, filled by the body of api_tx. Texts live in r->a. */
struct change {
    const char *kind, *id, *name; /* "user", its id, "alice" */
    const char *scope_id;         /* where it belongs; NULL = r->scope_id */
    const char *before, *after;   /* JSON texts, no secrets; NULL = none */
    const char *details;          /* JSON text; NULL = none */
    const char *action;           /* NULL = the route's audit name */
    const char *reply;            /* what a creating request will answer; NULL = after */
    const char *task;             /* id of the task it will answer with */
    bool silent;                  /* nothing changed: no audit row, no event */
};
/** YIELDS. Run fn in a transaction and write its audit row and the event "activity.new" in the same one; after that the
 * authorization snapshot is brought up to date when `rights` says that the change may alter decisions. */
MUST_CHECK err_t api_tx(struct request *r, err_t (*fn)(struct pg *tx, struct request *r, void *arg, struct change *c),
                        void *arg);
MUST_CHECK err_t api_tx_rights(struct request *r,
                               err_t (*fn)(struct pg *tx, struct request *r, void *arg, struct change *c), void *arg);
/** YIELDS. In the transaction of an effect that is not api_tx's: the request's Idempotency-Key has had its effect, and this is (c->reply,
 * task, after) what it is answered. Nothing without such a key; CONFLICT when somebody else has taken the key over. */
MUST_CHECK err_t once_mark(struct pg *tx, struct request *r, const struct change *c);
/** YIELDS. An audit row outside of a change: logins, refusals, exec. */
MUST_CHECK err_t api_audit(struct request *r, const char *action, const char *outcome, const struct change *c,
                           err_t failure);

/* ---- rights that guard other rights ---- */

/** Nobody gives away what he does not have: FORBIDDEN naming the first permission of the role that the caller lacks at scope. */
MUST_CHECK err_t api_covers_role(struct request *r, const char *role_id, const char *scope_id);
/** Same over everything a user has anywhere: before changing, disabling or deleting an account. */
MUST_CHECK err_t api_covers_user(struct request *r, const char *user_id);
/** YIELDS. In the transaction, after the change: LAST_ADMIN when no active owner of the platform would be left. The change itself
 * has locked the authorization epoch, so that two such transactions see each other. */
MUST_CHECK err_t api_last_admin(struct pg *tx);
