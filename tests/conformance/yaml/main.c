/* yaml-conformance: a JSON list of texts on stdin, on stdout a list of what the YAML reader makes of each:
 * {"docs": [node, ...], "single": null or the error when one document is allowed} or {"error": message}.
 * A node is ["map", [key kind, key, node], ...], ["seq", node, ...] or [kind, text] with kind str, int, float, bool or null. */
#include <stdio.h>
#include <unistd.h>

#include "core/base/buf.h"
#include "core/compose/yaml.h"

static const char *kind_name(int kind) {
    static const char *const names[] = {[Y_NULL] = "null", [Y_BOOL] = "bool", [Y_INT] = "int", [Y_FLOAT] = "float",
                                        [Y_STR] = "str",   [Y_SEQ] = "seq",   [Y_MAP] = "map"};
    return names[kind];
}

static const char *value_of(struct arena *a, const struct y_node *n) {
    switch (n->kind) {
    case Y_BOOL:
        return n->b ? "true" : "false";
    case Y_INT:
        return arena_printf(a, "%lld", (long long)n->i);
    case Y_FLOAT:
        return arena_printf(a, "%.17g", n->d);
    default:
        return "";
    }
}

static struct json *tagged(struct arena *a, const struct y_node *n) {
    struct json *j = json_array(a);
    json_push(a, j, json_string(a, kind_name(n->kind)));
    if (n->kind == Y_SEQ) {
        for (size_t i = 0; i < n->seq.n; i++)
            json_push(a, j, tagged(a, n->seq.v[i]));
    } else if (n->kind == Y_MAP) {
        for (size_t i = 0; i < n->map.n; i++) {
            const struct y_entry *e = &n->map.v[i];
            struct json *pair = json_array(a);
            json_push(a, pair, json_string(a, kind_name(e->key_kind)));
            json_push(a, pair, json_strn(a, e->key));
            json_push(a, pair, tagged(a, e->value));
            json_push(a, j, pair);
        }
    } else {
        json_push(a, j, n->kind == Y_STR ? json_strn(a, n->text) : json_string(a, value_of(a, n)));
    }
    return j;
}

static struct json *read_one(struct arena *a, struct str text) {
    static const struct yaml_limits none = {.no_custom = true};
    struct yaml_docs docs;
    struct y_node *one;
    struct json *out = json_object(a), *list = json_array(a);
    err_t e = yaml_parse(a, text, "t.yaml", &none, &docs);
    if (e != NULL) {
        json_set_str(a, out, "error", e->message);
        return out;
    }
    for (size_t i = 0; i < docs.n; i++)
        json_push(a, list, tagged(a, docs.v[i]));
    json_set(a, out, "docs", list);
    e = yaml_parse_one(a, text, "t.yaml", &one);
    json_set_str(a, out, "single", e != NULL ? e->message : NULL);
    return out;
}

static err_t run(struct arena *a, struct buf *in) {
    struct json_limits limits = {.max_bytes = MIB(16), .max_nodes = 100000};
    struct json *texts, *out = json_array(a);
    char chunk[65536];
    for (ssize_t n; (n = read(STDIN_FILENO, chunk, sizeof(chunk))) > 0;)
        TRY(buf_append(in, chunk, (size_t)n));
    TRY(json_parse(a, buf_str(in), &limits, &texts));
    for (size_t i = 0; i < json_len(texts); i++)
        json_push(a, out, read_one(a, json_at(texts, i)->s));
    (void)puts(json_to_text(a, out));
    return NULL;
}

int main(void) {
    struct arena *a = arena_new("yaml", 0);
    arena_set_current(a);
    struct buf in;
    buf_init(&in, 0, MIB(16));
    err_t e = run(a, &in);
    if (e != NULL)
        (void)fprintf(stderr, "%s\n", e->message);
    int rc = e != NULL;
    buf_done(&in);
    arena_set_current(NULL);
    arena_unref(a);
    return rc;
}
