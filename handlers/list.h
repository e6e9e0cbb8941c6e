/* Keyset-paged lists: limit, cursor, sort, q, fields, field filters, visibility. SQL is put together from fixed fragments; values
 * are parameters always. The cursor holds the last row's sort value and id under a MAC that binds it to the route and the order. */
#pragma once
#include "core/pg/pg.h"
#include "core/rbac/rbac.h"
#include "server/route.h"

struct list_sort {
    const char *name; /* as in ?sort= */
    const char *expr; /* SQL, never NULL */
    const char *type; /* of expr: "timestamptz", "text", "bigint" */
};
struct list_spec {
    const char *json;             /* SQL giving one row's JSON: "df_json(t)"; one '?' in it is list_query.json_arg */
    const char *from;             /* "users t" */
    const char *id;               /* "t.id", a uuid; breaks ties */
    const struct list_sort *sort; /* the first is the default */
    size_t nsort;
    bool descending;    /* default direction */
    const char *search; /* SQL text searched by ?q= (case-insensitive part); NULL = q is refused */
    const char *scope;  /* SQL of the row's scope id: visibility; NULL = the handler filters itself */
    int permission;     /* that a visible row needs at its scope */
    bool env;           /* rows are applications (id = scope): they pass env_mask_text */
};
enum { LIST_MAX_ARGS = 24, LIST_DEFAULT = 50, LIST_LIMIT = 200 };
struct list_query {
    struct request *r;
    const struct list_spec *spec;
    const struct list_sort *sort;
    bool descending;
    int64_t limit;
    struct buf where;
    struct pg_arg json_arg;
    struct pg_arg args[LIST_MAX_ARGS];
    size_t nargs;
};
/** Reads and checks the list's query parameters. Pair: list_reply, or list_done on an error in between. */
MUST_CHECK err_t list_begin(struct list_query *l, struct request *r, const struct list_spec *spec);
/** AND fragment; each '?' in it becomes the next parameter, taken from args in order. */
void list_where(struct list_query *l, const char *fragment, const struct pg_args *args);
/** ?name=value on an SQL text expression; absent = no filter. */
void list_filter(struct list_query *l, const char *name, const char *expr);
/** Rows whose scope expression the caller may see with p: for more than spec->scope. */
void list_visible(struct list_query *l, const char *scope_expr, enum permission p);
/** YIELDS. Runs the query and answers. */
MUST_CHECK err_t list_reply(struct list_query *l, struct reply *out);
void list_done(struct list_query *l);
