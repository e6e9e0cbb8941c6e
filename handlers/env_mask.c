#include "handlers/env_mask.h"
#include "handlers/app.h"

#define MASK "***"

bool env_shown(const struct request *r, const char *scope_id) {
    /* Lists come from the database and may be ahead of the snapshot by an application that was made just now. */
    if (!rbac_knows(platform()->rbac, scope_id))
        err_ignore(rbac_refresh(platform()->rbac));
    return rbac_allowed(platform()->rbac, r->who, PERM_CONTAINER_INSPECT_ENV, scope_id);
}

static void hide(struct arena *a, struct json **value) {
    if (!json_is(*value, JSON_NULL))
        *value = json_string(a, MASK);
}

static void hide_members(struct arena *a, struct json *map) {
    for (size_t i = 0; json_is(map, JSON_OBJECT) && i < map->obj.n; i++)
        hide(a, &map->obj.v[i].value);
}

/* "NAME=value", as the engine and lists of build arguments have it. */
static void hide_pairs(struct arena *a, struct json *pairs) {
    for (size_t i = 0; json_is(pairs, JSON_ARRAY) && i < pairs->arr.n; i++) {
        struct str rest = json_is(pairs->arr.v[i], JSON_STRING) ? pairs->arr.v[i]->s : STR(""), name;
        (void)str_cut(&rest, '=', &name);
        pairs->arr.v[i] = json_string(a, arena_printf(a, "%.*s=" MASK, STR_ARG(name)));
    }
}

/* A change of one field: in plans "from" and "to", in differences "live" and "desired". */
static void hide_change(struct arena *a, struct json *change) {
    static const char *const sides[] = {"from", "to", "live", "desired"};
    const char *path = json_get_str(change, "path");
    if (path == NULL || !(z_eq(path, "environment") || z_starts(path, "environment.")))
        return;
    for (size_t i = 0; i < ARRAY_LEN(sides); i++)
        if (json_get_str(change, sides[i]))
            json_set_str(a, change, sides[i], MASK);
}

static void hide_contents(struct arena *a, struct json *things) {
    size_t n = json_is(things, JSON_OBJECT) ? things->obj.n : json_len(things);
    for (size_t i = 0; i < n; i++) {
        struct json *thing = json_is(things, JSON_OBJECT) ? things->obj.v[i].value : things->arr.v[i];
        if (json_get(thing, "content"))
            json_set_str(a, thing, "content", MASK);
    }
}

static void walk(struct arena *a, struct json *j) {
    if (json_is(j, JSON_ARRAY))
        for (size_t i = 0; i < j->arr.n; i++)
            walk(a, j->arr.v[i]);
    if (!json_is(j, JSON_OBJECT))
        return;
    hide_change(a, j);
    for (size_t i = 0; i < j->obj.n; i++) {
        const char *key = j->obj.v[i].key.p;
        struct json *value = j->obj.v[i].value;
        /* An application's has a name and variables; a service's has the variables themselves. */
        if (z_eq(key, "environment"))
            hide_members(a, json_is(json_get(value, "variables"), JSON_OBJECT) ? json_get(value, "variables") : value);
        else if (z_eq(key, "args")) { /* of a build; those of a command are no pairs and not called so */
            hide_members(a, value);
            hide_pairs(a, value);
        } else if (z_eq(key, "Env"))
            hide_pairs(a, value);
        else {
            if (z_eq(key, "configs") || z_eq(key, "files"))
                hide_contents(a, value);
            walk(a, value);
        }
    }
}

void env_mask(const struct request *r, const char *scope_id, struct json *doc) {
    if (!env_shown(r, scope_id))
        walk(r->a, doc);
}

err_t env_mask_text(const struct request *r, const char *scope_id, struct str *text) {
    struct json *doc;
    if (env_shown(r, scope_id))
        return NULL;
    TRY(json_parse(r->a, *text, &(struct json_limits){.trusted = true, .max_bytes = MIB(64), .max_nodes = 4000000},
                   &doc));
    walk(r->a, doc);
    *text = str_of(json_to_text(r->a, doc));
    return NULL;
}

err_t env_unmasked(const struct json *variables) {
    for (size_t i = 0; json_is(variables, JSON_OBJECT) && i < variables->obj.n; i++)
        if (z_eq(json_str(variables->obj.v[i].value), MASK))
            return err_field(err_new(ERR_INVALID,
                                     "you cannot see the value of %s, so it cannot be sent back; leave the "
                                     "environment out (PATCH) or give the value itself",
                                     variables->obj.v[i].key.p),
                             arena_printf(arena_current(), "/environment/variables/%s", variables->obj.v[i].key.p));
    return NULL;
}
