/* The walk over a body, and what callers see of it. The rules are in guard_host.c, guard_mounts.c, guard_network.c. */
#include "core/base/sha256.h"
#include "core/docker/guard_internal.h"

const struct guard_rights GUARD_NOBODY = {0};
const struct guard_rights GUARD_EVERYTHING = {.allow = GUARD_ALL};

static const char *const permissions[] = {
#define X(sym, perm) perm,
    GUARD_RIGHTS(X)
#undef X
};

const char *guard_permission(enum guard_right r) { return r < GUARD_RIGHTS_MAX ? permissions[r] : NULL; }

int guard_right_of(const char *permission) {
    for (int i = 0; i < GUARD_RIGHTS_MAX; i++)
        if (z_eq(permissions[i], permission))
            return i;
    return -1;
}

const char *guard_ptr(struct guard *g, const char *base, const char *key) {
    struct buf b;
    buf_init(&b, 64, KIB(64));
    buf_puts(&b, base);
    buf_putc(&b, '/');
    for (; *key; key++) {
        if (*key == '~')
            buf_puts(&b, "~0");
        else if (*key == '/')
            buf_puts(&b, "~1");
        else
            buf_putc(&b, *key);
    }
    char *z = str_z(g->a, buf_str(&b));
    buf_done(&b);
    return z;
}

const char *guard_ptr_i(struct guard *g, const char *base, size_t i) { return arena_printf(g->a, "%s/%zu", base, i); }

static void add(struct guard *g, const char *ptr, const char *rule, const char *permission, const char *message) {
    if (g->n++ >= GUARD_MAX_LISTED)
        return;
    struct guard_violation *v = arena_new_obj(g->a, struct guard_violation);
    *v = (struct guard_violation){.pointer = ptr, .rule = rule, .message = message, .permission = permission};
    *g->tail = v;
    g->tail = (struct guard_violation **)(void *)&v->next;
}

void guard_deny(struct guard *g, const char *ptr, const char *rule, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    char *m = arena_vprintf(g->a, fmt, ap);
    va_end(ap);
    add(g, ptr, rule, NULL, m);
}

bool guard_has(const struct guard_rights *rights, enum guard_right r) {
    return rights->allow & GUARD_BIT(r) || (r == GUARD_HOST_PATHS && rights->allow & GUARD_BIT(GUARD_SYSTEM_PATHS));
}

/* Whose it is: the service and the repository of its image (any tag), or the volume. */
static const char *use_owner(struct guard *g) {
    const char *service = json_str_or(json_get(json_get(g->body, "Labels"), "com.docker.compose.service"), "");
    const char *image = json_get_str(g->body, "Image"), *name = json_str_or(json_get(g->body, "Name"), "");
    struct image_ref ref;
    const char *repository = image && image_ref_parse(g->a, image, &ref) == NULL ? ref.name : image;
    return arena_printf(g->a, "%s\n%s\n%s", service, repository ? repository : "", name);
}

/* The value counts, not its place: the same list in another order is the same. */
static const char *use_key(struct guard *g, enum guard_right r, const char *ptr, const char *rule,
                           const char *message) {
    const struct json *value = g->body ? json_pointer(g->body, ptr) : NULL;
    const char *text = arena_printf(g->a, "%s\n%s\n%s\n%s\n%s", permissions[r], rule, message,
                                    value ? json_to_canonical(g->a, value) : "", g->body ? use_owner(g) : "");
    uint8_t hash[32];
    char hex[65];
    struct sha256 s;
    sha256_init(&s);
    sha256_update(&s, text, strlen(text));
    sha256_final(&s, hash);
    str_to_hex(hash, sizeof(hash), hex);
    return arena_strndup(g->a, hex, 40);
}

static bool granted(const struct guard_rights *rights, const char *key) {
    for (size_t i = 0; i < rights->ngrants; i++)
        if (z_eq(rights->grants[i], key))
            return true;
    return false;
}

static void note_use(struct guard_uses *u, enum guard_right r, const char *key, const char *rule, const char *message) {
    for
        vec_each(it, &u->list)
            if (z_eq(it->key, key))
                return;
    if (u->list.n < GUARD_MAX_USES)
        *vec_push(u->a, &u->list) = (struct guard_use){arena_strdup(u->a, key), r, rule, arena_strdup(u->a, message)};
}

void guard_need(struct guard *g, enum guard_right r, const char *ptr, const char *rule, const char *fmt, ...) {
    bool allowed = guard_has(g->rights, r);
    if (allowed && !g->rights->uses)
        return;
    va_list ap;
    va_start(ap, fmt);
    char *m = arena_vprintf(g->a, fmt, ap);
    va_end(ap);
    const char *key = allowed || g->rights->ngrants ? use_key(g, r, ptr, rule, m) : NULL;
    if (allowed)
        note_use(g->rights->uses, r, key, rule, m);
    else if (!key || !granted(g->rights, key))
        add(g, ptr, rule, permissions[r], m);
}

static bool all_strings(const struct json *v) {
    if (v->type == JSON_ARRAY) {
        for (size_t i = 0; i < v->arr.n; i++)
            if (v->arr.v[i]->type != JSON_STRING)
                return false;
        return true;
    }
    for (size_t i = 0; i < v->obj.n; i++)
        if (v->obj.v[i].value->type != JSON_STRING)
            return false;
    return true;
}

static bool type_ok(const struct json *v, enum guard_type t) {
    switch (t) {
    case GT_STR:
        return v->type == JSON_STRING;
    case GT_BOOL:
        return v->type == JSON_BOOL;
    case GT_INT:
        return v->type == JSON_INT;
    case GT_STRS:
        return v->type == JSON_ARRAY && all_strings(v);
    case GT_TEXT:
        return v->type == JSON_STRING || (v->type == JSON_ARRAY && all_strings(v));
    case GT_MAP:
        return v->type == JSON_OBJECT && all_strings(v);
    case GT_OBJ:
        return v->type == JSON_OBJECT;
    case GT_ARR:
        return v->type == JSON_ARRAY;
    }
    return false;
}

/* The engine matches keys without regard to case, so a second spelling of a key is a second chance to be overlooked:
 * only the exact spelling is known here, anything else is unknown and refused. */
void guard_object(struct guard *g, const char *ptr, const struct json *obj, struct guard_table t) {
    for (size_t i = 0; i < obj->obj.n; i++) {
        const struct json_member *m = &obj->obj.v[i];
        const struct guard_key *k = NULL;
        for (size_t j = 0; j < t.n && !k; j++)
            if (str_eqz(m->key, t.keys[j].key))
                k = &t.keys[j];
        const char *at = guard_ptr(g, ptr, m->key.p);
        if (!k)
            guard_deny(g, at, "unknown-key", "the key \"%.64s\" is not one this platform sends", m->key.p);
        else if (m->value->type == JSON_NULL)
            continue;
        else if (!type_ok(m->value, k->type))
            guard_deny(g, at, "type", "the value of \"%s\" has the wrong type", k->key);
        else if (k->fn)
            k->fn(g, at, m->value);
    }
}

static const struct guard_key healthcheck_keys[] = {{"Test", GT_STRS, NULL},         {"Interval", GT_INT, NULL},
                                                    {"Timeout", GT_INT, NULL},       {"StartPeriod", GT_INT, NULL},
                                                    {"StartInterval", GT_INT, NULL}, {"Retries", GT_INT, NULL}};
static void healthcheck(struct guard *g, const char *ptr, const struct json *v) {
    guard_object(g, ptr, v, GUARD_TABLE(healthcheck_keys));
}

static void host_config(struct guard *g, const char *ptr, const struct json *v) {
    guard_object(g, ptr, v, GUARD_HOST_CONFIG);
}

static void endpoints(struct guard *g, const char *ptr, const struct json *v) {
    for (size_t i = 0; i < v->obj.n; i++)
        guard_endpoint(g, guard_ptr(g, ptr, v->obj.v[i].key.p), v->obj.v[i].value);
}
static const struct guard_key networking_keys[] = {{"EndpointsConfig", GT_OBJ, endpoints}};
static void networking(struct guard *g, const char *ptr, const struct json *v) {
    guard_object(g, ptr, v, GUARD_TABLE(networking_keys));
}

static const struct guard_key container_keys[] = {
    {"Hostname", GT_STR, NULL},
    {"Domainname", GT_STR, NULL},
    {"User", GT_STR, NULL},
    {"AttachStdin", GT_BOOL, NULL},
    {"AttachStdout", GT_BOOL, NULL},
    {"AttachStderr", GT_BOOL, NULL},
    {"ExposedPorts", GT_OBJ, NULL},
    {"Tty", GT_BOOL, NULL},
    {"OpenStdin", GT_BOOL, NULL},
    {"StdinOnce", GT_BOOL, NULL},
    {"Env", GT_STRS, NULL},
    {"Cmd", GT_TEXT, NULL},
    {"Entrypoint", GT_TEXT, NULL},
    {"Healthcheck", GT_OBJ, healthcheck},
    {"Image", GT_STR, NULL},
    {"Volumes", GT_OBJ, NULL},
    {"WorkingDir", GT_STR, NULL},
    {"NetworkDisabled", GT_BOOL, NULL},
    {"MacAddress", GT_STR, NULL},
    {"Labels", GT_MAP, NULL},
    {"StopSignal", GT_STR, NULL},
    {"StopTimeout", GT_INT, NULL},
    {"Shell", GT_STRS, NULL},
    {"HostConfig", GT_OBJ, host_config},
    {"NetworkingConfig", GT_OBJ, networking},
};

static void exec_privileged(struct guard *g, const char *ptr, const struct json *v) {
    if (v->b)
        guard_need(g, GUARD_PRIVILEGED, ptr, "privileged", "a privileged process owns the host");
}
static const struct guard_key exec_keys[] = {
    {"AttachStdin", GT_BOOL, NULL}, {"AttachStdout", GT_BOOL, NULL}, {"AttachStderr", GT_BOOL, NULL},
    {"ConsoleSize", GT_ARR, NULL},  {"DetachKeys", GT_STR, NULL},    {"Tty", GT_BOOL, NULL},
    {"Env", GT_STRS, NULL},         {"Cmd", GT_STRS, NULL},          {"Privileged", GT_BOOL, exec_privileged},
    {"User", GT_STR, NULL},         {"WorkingDir", GT_STR, NULL},
};
static const struct guard_key connect_keys[] = {{"Container", GT_STR, NULL},
                                                {"EndpointConfig", GT_OBJ, guard_endpoint}};
static const struct guard_key volume_keys[] = {
    {"Name", GT_STR, NULL}, {"Driver", GT_STR, NULL}, {"DriverOpts", GT_MAP, NULL}, {"Labels", GT_MAP, NULL}};

static void check_kind(struct guard *g, enum guard_body kind, const struct json *body) {
    switch (kind) {
    case GUARD_CONTAINER:
        guard_object(g, "", body, GUARD_TABLE(container_keys));
        break;
    case GUARD_UPDATE:
        guard_object(g, "", body, GUARD_UPDATE_KEYS);
        break;
    case GUARD_EXEC:
        guard_object(g, "", body, GUARD_TABLE(exec_keys));
        break;
    case GUARD_CONNECT:
        guard_object(g, "", body, GUARD_TABLE(connect_keys));
        break;
    case GUARD_NETWORK:
        guard_network_body(g, body);
        break;
    case GUARD_VOLUME:
        guard_object(g, "", body, GUARD_TABLE(volume_keys));
        guard_volume_driver(g, "", body, "Driver", "DriverOpts");
        break;
    }
}

static struct guard start(struct arena *a, const struct guard_rights *rights) {
    return (struct guard){.a = a, .rights = rights ? rights : &GUARD_NOBODY};
}

size_t docker_body_check(struct arena *a, enum guard_body kind, const struct json *body,
                         const struct guard_rights *rights, const struct guard_violation **ret) {
    struct guard g = start(a, rights);
    g.tail = &g.first;
    g.body = body;
    if (!json_is(body, JSON_OBJECT))
        guard_deny(&g, "", "type", "the body is not an object");
    else
        check_kind(&g, kind, body);
    *ret = g.first;
    return g.n;
}

size_t guard_body_paths(struct arena *a, enum guard_body kind, const struct json *body,
                        const struct guard_rights *rights, const char ***ret) {
    struct guard_rights look = rights ? *rights : GUARD_NOBODY;
    look.uses = NULL; /* nothing is decided here */
    struct guard g = start(a, &look);
    g.tail = &g.first;
    if (json_is(body, JSON_OBJECT))
        check_kind(&g, kind, body);
    *ret = g.paths.v;
    return g.paths.n;
}

size_t guard_existing_volume_paths(struct arena *a, const struct json *volume, const struct guard_rights *rights,
                                   const char ***ret) {
    struct guard_rights look = rights ? *rights : GUARD_NOBODY;
    look.uses = NULL;
    struct guard g = start(a, &look);
    g.tail = &g.first;
    guard_volume_driver(&g, "", volume, "Driver", "Options");
    *ret = g.paths.v;
    return g.paths.n;
}

size_t guard_existing_volume(struct arena *a, const struct json *volume, const struct json *user, const char *pointer,
                             const struct guard_rights *rights, const struct guard_violation **ret) {
    struct guard g = start(a, rights);
    g.tail = &g.first;
    g.body = user;
    guard_volume_driver(&g, pointer, volume, "Driver", "Options");
    for (struct guard_violation *v = g.first; v; v = (struct guard_violation *)v->next)
        v->pointer = pointer; /* the options are the volume's, not the body's */
    *ret = g.first;
    return g.n;
}

err_t guard_error(struct arena *a, const struct guard_violation *v) {
    if (!v)
        return NULL;
    struct buf b;
    struct jw w;
    buf_init(&b, 256, MIB(1));
    jw_init(&w, &b);
    jw_arr(&w);
    size_t n = 0;
    for (const struct guard_violation *it = v; it; it = it->next, n++) {
        jw_obj(&w);
        jw_kv_str(&w, "pointer", it->pointer);
        jw_kv_str(&w, "rule", it->rule);
        jw_kv_str(&w, "message", it->message);
        jw_kv_str(&w, "permission", it->permission);
        jw_obj_end(&w);
    }
    jw_arr_end(&w);
    const char *list = b.failed ? "[]" : str_z(a, buf_str(&b));
    buf_done(&b);
    err_t e = err_new(ERR_POLICY, "%s (%s at %s; %s%s)%s", v->message, v->rule, v->pointer,
                      v->permission ? "needs the permission " : "nothing allows it", v->permission ? v->permission : "",
                      n > 1 ? "; and more, see details" : "");
    return err_field(err_detail_json(e, "violations", list), v->pointer);
}

err_t guard_check(struct arena *a, enum guard_body kind, const struct json *body, const struct guard_rights *rights) {
    const struct guard_violation *v;
    docker_body_check(a, kind, body, rights, &v);
    return guard_error(a, v);
}
