/* Kinds that are one stage each. */
#include "core/compose/stages.h"
#include "tests/conformance/compose/conformance.h"

struct unit {
    struct arena *a;
    struct compose_cx cx;
    struct compose_options o;
    struct compose_env env;
    const struct json *c;
    struct outcome *out;
};

static const char *text(const struct unit *u, const char *key) { return json_str_or(json_get(u->c, key), ""); }

static struct y_node *tree(const struct unit *u, const char *key) {
    return y_from_json(u->a, json_get(u->c, key), "case");
}

static struct json *strs_json(struct arena *a, const char *const *v, size_t n) {
    struct json *l = json_array(a);
    for (size_t i = 0; i < n; i++)
        json_push(a, l, json_string(a, v[i]));
    return l;
}

static err_t run_template(struct unit *u) {
    struct str s;
    TRY(compose_substitute(&u->cx, &u->env, str_of(text(u, "template")), &s));
    u->out->value = json_strn(u->a, s);
    return NULL;
}

static err_t run_interpolate(struct unit *u) {
    struct y_node *n = tree(u, "model");
    TRY(compose_interpolate(&u->cx, &u->env, n));
    u->out->model = y_to_json(u->a, n);
    u->out->value = u->out->model;
    return NULL;
}

static err_t run_variables(struct unit *u) {
    struct map vars;
    map_init(&vars, u->a);
    TRY(compose_variables(&u->cx, tree(u, "model"), &vars));
    u->out->value = json_object(u->a);
    for (struct map_entry *e = NULL; (e = map_next(&vars, e)) != NULL;) {
        const struct compose_variable *v = e->value;
        struct json *o = json_object(u->a);
        json_set_str(u->a, o, "name", v->name);
        json_set_str(u->a, o, "defaultvalue", v->dflt != NULL ? v->dflt : "");
        json_set_str(u->a, o, "presencevalue", v->presence != NULL ? v->presence : "");
        json_set_bool(u->a, o, "required", v->required);
        json_setn(u->a, u->out->value, e->key, o);
    }
    return NULL;
}

static err_t run_dotenv(struct unit *u) {
    struct map vars;
    map_init(&vars, u->a);
    const struct json *many = json_get(u->c, "contents");
    for (size_t i = 0; i < json_len(many); i++)
        TRY(compose_dotenv(&u->cx, json_at(many, i)->s, NULL, &u->env, &vars));
    if (many == NULL)
        TRY(compose_dotenv(&u->cx, json_get(u->c, "content")->s, NULL, &u->env, &vars));
    struct json *o = json_object(u->a);
    for (struct map_entry *e = NULL; (e = map_next(&vars, e)) != NULL;)
        json_setn(u->a, o, e->key, json_string(u->a, e->value));
    if (z_eq(text(u, "result"), "environment")) {
        for (struct map_entry *e = NULL; (e = map_next(&u->env.vars, e)) != NULL;)
            json_setn(u->a, o, e->key, json_string(u->a, e->value));
    }
    u->out->value = o;
    return NULL;
}

static err_t run_volume_spec(struct unit *u) {
    struct y_node *n;
    TRY(compose_parse_mount(u->a, str_of(text(u, "spec")), NULL, NULL, &n));
    u->out->value = y_to_json(u->a, n);
    return NULL;
}

static err_t run_port_spec(struct unit *u) {
    struct y_node *n;
    TRY(compose_parse_port(u->a, str_of(text(u, "spec")), NULL, NULL, &n));
    u->out->value = y_to_json(u->a, n);
    return NULL;
}

static err_t run_hosts_list(struct unit *u) {
    struct compose_strs l;
    struct y_node *hosts = tree(u, "hosts");
    TRY(compose_expand(&u->cx, cs_lookup("services.*.extra_hosts"), &hosts, NULL));
    TRY(compose_hosts_list(u->a, hosts, &l));
    u->out->value = strs_json(u->a, l.v, l.n);
    return NULL;
}

static err_t run_bytes(struct unit *u) {
    struct y_node *n;
    TRY(yaml_parse_one(u->a, str_of(text(u, "input")), "case", &n));
    TRY(compose_canonical(&u->cx, cs_lookup("services.*.mem_limit"), &n, NULL));
    return compose_render(&u->cx, cs_lookup("services.*.mem_limit"), n, NULL, &u->out->value);
}

static err_t run_canonical(struct unit *u) {
    const struct cs *s = cs_lookup(text(u, "attribute"));
    struct y_node *n = tree(u, "input");
    if (s == NULL)
        return err_new(ERR_INVALID, "no such attribute");
    TRY(compose_canonical(&u->cx, s, &n, NULL));
    u->out->value = y_to_json(u->a, n);
    return NULL;
}

static err_t run_schema(struct unit *u) { return compose_validate(&u->cx, NULL, tree(u, "model"), NULL); }

static err_t run_validation(struct unit *u) {
    const char *check = text(u, "check"), *path = text(u, "path");
    const struct y_node *n = tree(u, "model");
    if (z_eq(check, "volumes.*"))
        return compose_check_volume(n, path);
    if (z_eq(check, "configs.*") || z_eq(check, "secrets.*"))
        return compose_check_object(n, path, z_eq(check, "configs.*"));
    if (z_eq(check, "services.*.ports.*"))
        return compose_check_port(n, path);
    if (z_eq(check, "services.*.develop.watch.*.path"))
        return compose_check_watch_path(n, path);
    return compose_check_device_request(n, path);
}

static err_t run_networks_by_priority(struct unit *u) {
    compose_names names = {0};
    compose_networks_by_priority(u->a, tree(u, "networks"), &names);
    u->out->value = strs_json(u->a, names.v, names.n);
    return NULL;
}

static err_t run_image_digest(struct unit *u) {
    u->out->value = json_string(u->a, compose_image_with_digest(u->a, text(u, "image"), text(u, "digest")));
    return NULL;
}

static err_t run_pull_policy(struct unit *u) {
    const char *policy;
    int64_t seconds;
    TRY(compose_parse_pull_policy(u->a, text(u, "pull_policy"), &policy, &seconds));
    u->out->value = json_object(u->a);
    json_set_str(u->a, u->out->value, "policy", policy);
    json_set_int(u->a, u->out->value, "seconds", seconds);
    return NULL;
}

static const struct {
    const char *kind;
    err_t (*run)(struct unit *u);
} kinds[] = {
    {"template", run_template},         {"interpolate", run_interpolate},
    {"variables", run_variables},       {"dotenv", run_dotenv},
    {"volume_spec", run_volume_spec},   {"port_spec", run_port_spec},
    {"hosts_list", run_hosts_list},     {"bytes", run_bytes},
    {"canonical", run_canonical},       {"schema", run_schema},
    {"validation", run_validation},     {"networks_by_priority", run_networks_by_priority},
    {"image_digest", run_image_digest}, {"pull_policy", run_pull_policy},
};

bool run_unit(struct arena *a, const char *kind, const struct json *c, struct outcome *out) {
    struct unit u = {.a = a, .c = c, .out = out};
    compose_cx_init(&u.cx, a, &u.o, NULL);
    compose_env_init(&u.env, a);
    const struct json *env = json_get(c, "env");
    for (size_t i = 0; i < json_len(env); i++)
        compose_env_set(&u.env, env->obj.v[i].key.p, substitute_places(a, json_str_or(env->obj.v[i].value, "")));
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (!z_eq(kinds[i].kind, kind))
            continue;
        outcome_error(a, out, kinds[i].run(&u));
        out->warnings = json_array(a);
        for (size_t w = 0; w < u.cx.warnings.n; w++)
            json_push(a, out->warnings, json_string(a, u.cx.warnings.v[w].message));
        return true;
    }
    return false;
}
