#include "handlers/mem_list.h"
#include "handlers/list.h"
#include "server/reply.h"

/* The cursor is only a place in an order everybody knows: rights are looked at for each row. */
static err_t read_cursor(struct mem_list *l) {
    const char *z = request_query(l->r, "cursor");
    struct str raw, name;
    if (z == NULL)
        return NULL;
    if (strlen(z) > 2048 || !base64url_decode(l->r->a, str_of(z), &raw) || !str_cut(&raw, '\n', &name) || raw.p == NULL)
        return err_field(err_new(ERR_BAD_REQUEST, "this cursor does not belong to this list; start again without one"),
                         "cursor");
    l->after_name = str_z(l->r->a, name);
    l->after_id = str_z(l->r->a, raw);
    return NULL;
}

static err_t read_rest(struct mem_list *l) {
    const char *sort = request_query(l->r, "sort"), *fields = request_query(l->r, "fields");
    TRY(request_query_int(l->r, "limit", LIST_DEFAULT, 1, INT64_MAX, &l->limit));
    l->limit = l->limit > LIST_LIMIT ? LIST_LIMIT : l->limit;
    l->q = request_query(l->r, "q");
    if (sort && !z_eq(sort, "name"))
        return err_field(err_new(ERR_BAD_REQUEST, "this list is sorted by name"), "sort");
    if (fields) {
        struct str rest = str_of(fields), part;
        l->fields = json_object(l->r->a);
        while (str_cut(&rest, ',', &part))
            json_setn(l->r->a, l->fields, part, json_bool(l->r->a, true));
    }
    return read_cursor(l);
}

err_t mem_list_begin(struct mem_list *l, struct request *r) {
    *l = (struct mem_list){.r = r};
    TRY(read_rest(l));
    buf_init(&l->items, 4096, MIB(64));
    jw_init(&l->w, &l->items);
    jw_arr(&l->w);
    return NULL;
}

void mem_list_done(struct mem_list *l) { buf_done(&l->items); }

bool mem_list_room(struct mem_list *l, const char *name, const char *id) {
    if (l->n == l->limit) {
        const char *place = arena_printf(l->r->a, "%s\n%s", l->last_name, l->last_id);
        l->next = base64url_encode(l->r->a, place, strlen(place));
        return false;
    }
    l->n++;
    if (l->n == l->limit) {
        l->last_name = arena_strdup(l->r->a, name);
        l->last_id = arena_strdup(l->r->a, id);
    }
    return true;
}

static err_t pick_fields(struct mem_list *l, struct str *items) {
    struct json *all, *out = json_array(l->r->a);
    TRY(json_parse(l->r->a, *items, &(struct json_limits){.max_bytes = MIB(64), .max_nodes = 10000000, .trusted = true},
                   &all));
    for (size_t i = 0; i < json_len(all); i++) {
        struct json *one = json_object(l->r->a), *row = json_at(all, i);
        for (size_t k = 0; k < json_len(row); k++)
            if (json_getn(l->fields, row->obj.v[k].key))
                json_setn(l->r->a, one, row->obj.v[k].key, row->obj.v[k].value);
        json_push(l->r->a, out, one);
    }
    *items = str_of(json_to_text(l->r->a, out));
    return NULL;
}

static err_t reply_page(struct mem_list *l, struct reply *out) {
    jw_arr_end(&l->w);
    TRY(buf_check(&l->items));
    struct str items = buf_str(&l->items);
    if (l->fields)
        TRY(pick_fields(l, &items));
    return reply_list(l->r, out, items, l->next);
}

err_t mem_list_reply(struct mem_list *l, struct reply *out) {
    err_t e = reply_page(l, out);
    mem_list_done(l);
    return e;
}
