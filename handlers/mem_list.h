/* Pages of lists that live in memory, ordered by (name, id): nodes, containers. Same parameters and shape as list.h. */
#pragma once
#include "core/base/json.h"
#include "server/route.h"

struct mem_list {
    struct request *r;
    int64_t limit;
    const char *after_name, *after_id; /* NULL: from the start */
    const char *q;                     /* NULL: everything */
    struct json *fields;               /* NULL: all */
    struct buf items;
    struct jw w;
    int64_t n;
    const char *next;
    char *last_name, *last_id;
};
/** Reads limit, cursor, q, sort (name only), fields. Pair: mem_list_reply, or mem_list_done on an error in between. */
MUST_CHECK err_t mem_list_begin(struct mem_list *l, struct request *r);
/** Is this row on the page? False: the page is full, stop. Then write the row's object to l->w. */
bool mem_list_room(struct mem_list *l, const char *name, const char *id);
MUST_CHECK err_t mem_list_reply(struct mem_list *l, struct reply *out);
void mem_list_done(struct mem_list *l);
