#include <arpa/inet.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/compose/stages.h"

/* ---- messages ---- */

static err_t must_be(struct compose_cx *cx, const struct y_node *n, const struct c_path *at, const char *what) {
    char *path = c_path_str(cx->a, at);
    err_t e = y_error(ERR_SCHEMA, n, path, "%s must be a %s", path, what);
    if (z_eq(what, "string") && (n->kind == Y_INT || n->kind == Y_FLOAT || n->kind == Y_BOOL))
        return y_hint(e, "put the value in quotes");
    return n->kind == Y_NULL ? y_hint(e, "remove the key, or give it a value") : e;
}

static unsigned distance(struct str a, const char *z) {
    size_t m = strlen(z);
    unsigned row[64];
    if (a.n >= ARRAY_LEN(row) || m >= ARRAY_LEN(row))
        return 99;
    for (size_t j = 0; j <= m; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= a.n; i++) {
        unsigned diag = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned up = row[j], best = diag + (a.p[i - 1] != z[j - 1]);
            best = up + 1 < best ? up + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            diag = up;
            row[j] = best;
        }
    }
    return row[m];
}

static const char *nearest(const struct cs *s, struct str key) {
    const char *best = NULL;
    unsigned at = 3;
    for (const struct cs_field *f = s->fields; f != NULL && f->name != NULL; f++) {
        unsigned d = distance(key, f->name);
        if (d < at && d < key.n) {
            at = d;
            best = f->name;
        }
    }
    return best;
}

static err_t unknown_key(struct compose_cx *cx, const struct cs *s, const struct y_node *m, const struct y_entry *e,
                         const struct c_path *at) {
    char *path = c_path_str(cx->a, at);
    struct y_node place = *m;
    if (e->line > 0) {
        place.file = e->value->file;
        place.line = e->line;
        place.col = e->col;
    }
    const char *near = nearest(s, e->key);
    if (cx->o != NULL && cx->o->warn_unknown_keys) {
        compose_warn(cx, &place, "%s%sunknown key \"%s\" is ignored%s%s%s", path, path[0] != '\0' ? ": " : "", e->key.p,
                     near != NULL ? "; did you mean \"" : "", near != NULL ? near : "", near != NULL ? "\"?" : "");
        return NULL;
    }
    err_t err = y_error(ERR_SCHEMA, &place, c_path_str(cx->a, C_KEY(at, e->key)),
                        "%s%sadditional properties '%s' not allowed", path, path[0] != '\0' ? " " : "", e->key.p);
    return near != NULL ? y_hint(err, arena_printf(cx->a, "did you mean \"%s\"?", near)) : err;
}

/* ---- types ---- */

static bool name_ok(struct str s) {
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
              c == '-'))
            return false;
    }
    return s.n > 0;
}

static err_t check_enum(struct compose_cx *cx, const struct cs *s, const struct y_node *n, const struct c_path *at) {
    if (s->values == NULL)
        return NULL;
    struct buf list;
    buf_init(&list, 0, KIB(4));
    for (size_t i = 0; s->values[i] != NULL; i++) {
        if (str_eqz(n->text, s->values[i])) {
            buf_done(&list);
            return NULL;
        }
        buf_putf(&list, "%s%s", i > 0 ? ", " : "", s->values[i]);
    }
    buf_putc(&list, '\0');
    char *path = c_path_str(cx->a, at);
    err_t e = y_error(ERR_SCHEMA, n, path, "%s value must be one of %s", path, list.p);
    buf_done(&list);
    return e;
}

static err_t check_object(struct compose_cx *cx, const struct cs *s, const struct y_node *m, const struct c_path *at) {
    for (size_t i = 0; i < m->map.n; i++) {
        const struct y_entry *e = &m->map.v[i];
        const struct cs *f = cs_field(s, e->key);
        if (f != NULL)
            TRY(compose_validate(cx, f, e->value, C_KEY(at, e->key)));
        else if (!(s->flags & CSF_OPEN) && ((s->flags & CSF_NO_EXT) || !str_starts(e->key, STR("x-"))))
            TRY(unknown_key(cx, s, m, e, at));
    }
    for (size_t i = 0; s->required != NULL && s->required[i] != NULL; i++) {
        if (!y_has(m, s->required[i])) {
            char *path = c_path_str(cx->a, at);
            return y_error(ERR_SCHEMA, m, path, "%s missing property '%s'", path, s->required[i]);
        }
    }
    return NULL;
}

static err_t check_map(struct compose_cx *cx, const struct cs *s, const struct y_node *m, const struct c_path *at) {
    for (size_t i = 0; i < m->map.n; i++) {
        const struct y_entry *e = &m->map.v[i];
        if ((s->flags & CSF_NAMES) && !name_ok(e->key)) {
            char *path = c_path_str(cx->a, at);
            return y_hint(
                y_error(ERR_SCHEMA, e->value, path, "%s additional properties '%s' not allowed", path, e->key.p),
                "names consist of letters, digits, '.', '_' and '-'");
        }
        TRY(compose_validate(cx, s->item, e->value, C_KEY(at, e->key)));
    }
    return NULL;
}

static err_t check_strings(struct compose_cx *cx, const struct cs *s, const struct y_node *l, const struct c_path *at) {
    struct map seen;
    map_init(&seen, cx->a);
    for (size_t i = 0; i < l->seq.n; i++) {
        const struct y_node *v = l->seq.v[i];
        bool num = (s->flags & CSF_NUMBERS) && (v->kind == Y_INT || v->kind == Y_FLOAT);
        if (v->kind != Y_STR && !num)
            return must_be(cx, v, C_IDX(at, i), s->flags & CSF_NUMBERS ? "number or string" : "string");
        if ((s->flags & CSF_UNIQUE) && map_has(&seen, v->text)) {
            char *path = c_path_str(cx->a, at);
            return y_error(ERR_SCHEMA, v, path, "%s: \"%s\" appears twice", path, v->text.p);
        }
        map_set(&seen, v->text, NULL);
    }
    return NULL;
}

static err_t check_pairs(struct compose_cx *cx, const struct cs *s, const struct y_node *m, const struct c_path *at) {
    for (size_t i = 0; i < m->map.n; i++) {
        const struct y_node *v = m->map.v[i].value;
        const struct c_path *p = C_KEY(at, m->map.v[i].key);
        if (s->type == CS_HOSTS && v->kind == Y_SEQ)
            TRY(check_strings(cx, s, v, p));
        else if (!y_scalar(v))
            return must_be(cx, v, p, s->type == CS_DICT ? "number or string" : "boolean, null, number or string");
        else if (s->type == CS_HOSTS && v->kind != Y_STR)
            return must_be(cx, v, p, "string");
    }
    return NULL;
}

static err_t check_options(struct compose_cx *cx, const struct y_node *n, const struct c_path *at) {
    for (size_t i = 0; n->kind == Y_SEQ && i < n->seq.n; i++) {
        if (!y_scalar(n->seq.v[i]) || n->seq.v[i]->kind == Y_NULL)
            return must_be(cx, n->seq.v[i], C_IDX(at, i), "boolean, number or string");
    }
    return n->kind == Y_MAP || n->kind == Y_NULL ? must_be(cx, n, at, "boolean, list, number or string") : NULL;
}

static bool is_integral(double d) { return fabs(d) < 9e15 && d == floor(d); }

/** Scalars: NULL when the kind fits, else what it should have been. */
static const char *scalar_problem(const struct cs *s, const struct y_node *n) {
    bool strict = s->flags & CSF_STRICT;
    bool str = n->kind == Y_STR, num = n->kind == Y_INT || n->kind == Y_FLOAT;
    switch (s->type) {
    case CS_STRING:
    case CS_DURATION:
        return str ? NULL : "string";
    case CS_SCALAR:
        return str || num || n->kind == Y_BOOL ? NULL : "boolean, number or string";
    case CS_BOOL:
        return str || n->kind == Y_BOOL ? NULL : "boolean or string";
    case CS_INT:
        if (strict && str)
            return "integer";
        return str || n->kind == Y_INT || (n->kind == Y_FLOAT && is_integral(n->d)) ? NULL : "integer";
    case CS_COUNT:
        return str || n->kind == Y_INT ? NULL : "integer or string";
    case CS_NUM:
    case CS_MODE:
        return str || num ? NULL : "number or string";
    case CS_BYTES:
        if (strict)
            return str || (n->kind == Y_INT && n->style == Y_QUOTED) ? NULL : "string";
        return str || n->kind == Y_INT ? NULL : "integer";
    default:
        return NULL;
    }
}

static err_t check_list(struct compose_cx *cx, const struct cs *s, const struct y_node *l, const struct c_path *at) {
    for (size_t i = 0; i < l->seq.n; i++) {
        const struct y_node *v = l->seq.v[i];
        if (s->unique == CSU_PORT && (v->kind == Y_INT || v->kind == Y_STR))
            continue;
        if (s->shorthand == CSS_ENV_FILE && v->kind == Y_STR)
            continue;
        TRY(compose_validate(cx, s->item, v, C_IDX(at, i)));
    }
    return NULL;
}

/** Short forms: true when the value is one, with nothing below it left to check (or already checked). */
static bool is_short(const struct cs *s, const struct y_node *n) {
    switch (s->shorthand) {
    case CSS_BUILD:
    case CSS_EXTENDS:
    case CSS_MOUNT:
    case CSS_DEVICE:
    case CSS_FILE_REF:
    case CSS_GPUS:
    case CSS_INCLUDE:
    case CSS_ENV_FILE:
        return n->kind == Y_STR;
    case CSS_EXTERNAL:
        return n->kind == Y_MAP;
    default:
        return false;
    }
}

static err_t check_collection(struct compose_cx *cx, const struct cs *s, const struct y_node *n,
                              const struct c_path *at) {
    static const struct cs strings = {.type = CS_STRS};
    switch (s->type) {
    case CS_OBJECT:
        return n->kind == Y_MAP ? check_object(cx, s, n, at) : must_be(cx, n, at, "mapping");
    case CS_ULIMIT:
        if (n->kind == Y_MAP)
            return check_object(cx, s, n, at);
        return n->kind == Y_INT || n->kind == Y_STR ? NULL : must_be(cx, n, at, "integer, mapping or string");
    case CS_MAP:
        if (n->kind == Y_SEQ && s->shorthand != CSS_NONE)
            return check_strings(cx, &strings, n, at);
        return n->kind == Y_MAP ? check_map(cx, s, n, at) : must_be(cx, n, at, "mapping");
    case CS_LIST:
        return n->kind == Y_SEQ ? check_list(cx, s, n, at) : must_be(cx, n, at, "list");
    case CS_STRS:
        if (n->kind == Y_STR && (s->flags & CSF_ALSO_STRING))
            return NULL;
        return n->kind == Y_SEQ ? check_strings(cx, s, n, at) : must_be(cx, n, at, "list");
    case CS_COMMAND:
    case CS_TEST:
        if (n->kind == Y_STR)
            return NULL;
        return n->kind == Y_SEQ ? check_strings(cx, &strings, n, at) : must_be(cx, n, at, "string or list");
    case CS_KV:
    case CS_HOSTS:
        if (n->kind == Y_SEQ)
            return check_strings(cx, &strings, n, at);
        return n->kind == Y_MAP ? check_pairs(cx, s, n, at) : must_be(cx, n, at, "mapping");
    case CS_DICT:
        return n->kind == Y_MAP ? check_pairs(cx, s, n, at) : must_be(cx, n, at, "mapping");
    case CS_OPTIONS:
        return check_options(cx, n, at);
    default:
        return NULL;
    }
}

err_t compose_validate(struct compose_cx *cx, const struct cs *s, const struct y_node *n, const struct c_path *at) {
    if (s == NULL)
        s = &compose_schema;
    if (n->tag == Y_TAG_RESET || s->type == CS_ANY || is_short(s, n))
        return NULL;
    if (n->kind == Y_NULL && (s->flags & CSF_NULL))
        return NULL;
    if (s->type == CS_SCALAR && (s->flags & CSF_LISTS) && n->kind == Y_SEQ)
        return NULL;
    const char *problem = scalar_problem(s, n);
    if (problem != NULL)
        return must_be(cx, n, at, problem);
    if (s->type == CS_STRING)
        return check_enum(cx, s, n, at);
    return check_collection(cx, s, n, at);
}

/* ---- values ---- */

err_t compose_check_volume(const struct y_node *n, const char *path) {
    if (!y_get_bool(n, "external", false))
        return NULL;
    for (size_t i = 0; i < n->map.n; i++) {
        struct str k = n->map.v[i].key;
        if (!str_eqz(k, "name") && !str_eqz(k, "external") && !str_starts(k, STR("x-")))
            return y_error(ERR_INVALID, n->map.v[i].value, path,
                           "%s: conflicting parameters \"external\" and \"%s\" specified", path, k.p);
    }
    return NULL;
}

err_t compose_check_object(const struct y_node *n, const char *path, bool config) {
    static const char *const keys[] = {"file", "environment", "content"};
    size_t known = config ? 3 : 2, set = 0;
    const char *list = config ? "file|environment|content" : "file|environment";
    for (size_t i = 0; i < known; i++)
        set += y_has(n, keys[i]);
    if (set > 1)
        return y_error(ERR_INVALID, n, path, "%s: %s attributes are mutually exclusive", path, list);
    if (set == 0 && !y_has(n, "driver") && !y_has(n, "external"))
        return y_error(ERR_INVALID, n, path, "%s: one of %s must be set", path, list);
    return NULL;
}

err_t compose_check_port(const struct y_node *n, const char *path) {
    const char *ip = y_get_str(n, "host_ip");
    struct in6_addr addr;
    if (ip != NULL && ip[0] != '\0' && inet_pton(AF_INET, ip, &addr) != 1 && inet_pton(AF_INET6, ip, &addr) != 1)
        return y_error(ERR_INVALID, y_get(n, "host_ip"), path, "%s: invalid ip address: %s", path, ip);
    return NULL;
}

err_t compose_check_device_request(const struct y_node *n, const char *path) {
    if (y_has(n, "count") && y_has(n, "device_ids"))
        return y_error(ERR_INVALID, n, path, "%s: \"count\" and \"device_ids\" attributes are exclusive", path);
    return NULL;
}

static err_t check_each(struct compose_cx *cx, const struct y_node *list, const char *prefix,
                        err_t (*check)(const struct y_node *, const char *)) {
    for (size_t i = 0; y_is(list, Y_SEQ) && i < list->seq.n; i++)
        TRY(check(list->seq.v[i], arena_printf(cx->a, "%s[%zu]", prefix, i)));
    return NULL;
}

static err_t check_mount(const struct y_node *n, const char *path) {
    const char *type = y_get_str(n, "type"), *source = y_get_str(n, "source"), *target = y_get_str(n, "target");
    if (z_eq(type, "bind") && (source == NULL || source[0] == '\0'))
        return y_error(ERR_INVALID, n, path,
                       "%s: invalid mount config for type \"bind\": field Source must not be empty", path);
    if (type != NULL && (target == NULL || target[0] == '\0'))
        return y_error(ERR_INVALID, n, path, "%s: invalid mount config for type \"%s\": field Target must not be empty",
                       path, type);
    if (z_eq(type, "tmpfs") && y_get_int(y_get(n, "tmpfs"), "size", 0) < 0)
        return y_error(ERR_INVALID, n, path, "%s: tmpfs.size must be greater than or equal to 0", path);
    return NULL;
}

err_t compose_check_watch_path(const struct y_node *n, const char *path) {
    return y_is(n, Y_STR) && n->text.n == 0 ? y_error(ERR_INVALID, n, path, "%s: value can't be blank", path) : NULL;
}

static err_t check_watch(const struct y_node *n, const char *path) {
    return compose_check_watch_path(y_get(n, "path"), path);
}

static err_t check_port_full(const struct y_node *n, const char *path) {
    TRY(compose_check_port(n, path));
    int64_t target = y_get_int(n, "target", 0);
    if (y_is(n, Y_MAP) && y_has(n, "target") && (target < 1 || target > 65535))
        return y_error(ERR_INVALID, n, path, "%s: target must be a port from 1 to 65535", path);
    return NULL;
}

static err_t check_service(struct compose_cx *cx, const struct y_node *s, const char *name) {
    char *p = arena_printf(cx->a, "services.%s", name);
    TRY(check_each(cx, y_get(s, "ports"), arena_printf(cx->a, "%s.ports", p), check_port_full));
    TRY(check_each(cx, y_get(s, "volumes"), arena_printf(cx->a, "%s.volumes", p), check_mount));
    TRY(check_each(cx, y_get(s, "gpus"), arena_printf(cx->a, "%s.gpus", p), compose_check_device_request));
    TRY(check_each(cx, y_path(s, "develop", "watch", NULL), arena_printf(cx->a, "%s.develop.watch", p), check_watch));
    const struct y_node *policy = y_get(s, "pull_policy");
    if (y_str(policy) != NULL && policy->text.n > 0) {
        const char *kind;
        int64_t seconds;
        err_t e = compose_parse_pull_policy(cx->a, y_str(policy), &kind, &seconds);
        if (e != NULL)
            return y_error(ERR_INVALID, policy, arena_printf(cx->a, "%s.pull_policy", p), "%s.pull_policy: %s", p,
                           e->message);
    }
    return check_each(cx, y_path(s, "deploy", "resources", "reservations", "devices", NULL),
                      arena_printf(cx->a, "%s.deploy.resources.reservations.devices", p), compose_check_device_request);
}

static err_t check_objects(struct compose_cx *cx, const struct y_node *file, const char *section, bool config) {
    const struct y_node *m = y_get(file, section);
    for (size_t i = 0; y_is(m, Y_MAP) && i < m->map.n; i++)
        TRY(compose_check_object(m->map.v[i].value, arena_printf(cx->a, "%s.%s", section, m->map.v[i].key.p), config));
    return NULL;
}

err_t compose_check_values(struct compose_cx *cx, const struct y_node *file) {
    const struct y_node *volumes = y_get(file, "volumes"), *services = y_get(file, "services");
    for (size_t i = 0; y_is(volumes, Y_MAP) && i < volumes->map.n; i++)
        TRY(compose_check_volume(volumes->map.v[i].value, arena_printf(cx->a, "volumes.%s", volumes->map.v[i].key.p)));
    TRY(check_objects(cx, file, "configs", true));
    TRY(check_objects(cx, file, "secrets", false));
    for (size_t i = 0; y_is(services, Y_MAP) && i < services->map.n; i++)
        TRY(check_service(cx, services->map.v[i].value, services->map.v[i].key.p));
    return NULL;
}
