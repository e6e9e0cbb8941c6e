/* YAML text to nodes; what is written as YAML from a JSON document must load to the same document. First byte: budgets. */
#include "core/base/check.h"
#include "core/compose/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_and_read(struct arena *a, struct str text) {
    struct json *j = NULL;
    if (json_parse(a, text, NULL, &j) != NULL)
        return;
    AUTO_BUF b;
    buf_init(&b, 0, MIB(8));
    yaml_write_json(&b, j);
    struct y_node *y = NULL;
    if (b.failed || b.n > MIB(1))
        return;
    err_ignore(yaml_parse_one(a, buf_str(&b), "written.yaml", &y));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1)
        return 0;
    struct yaml_limits limits = {.single = data[0] & 1, .no_custom = data[0] & 2};
    if (data[0] & 4) {
        limits.max_depth = 4;
        limits.max_nodes = 64;
        limits.max_aliases = 4;
        limits.max_docs = 2;
    }
    struct arena *a = arena_new("fuzz", 0), *old = arena_set_current(a);
    struct str text = str_n((const char *)data + 1, size - 1);
    struct yaml_docs docs = {0};
    if (yaml_parse(a, text, "fuzz.yaml", &limits, &docs) == NULL) {
        CHECK(docs.nodes <= (limits.max_nodes ? limits.max_nodes : 100000));
        CHECK(docs.n <= (limits.max_docs ? limits.max_docs : 16) && (!limits.single || docs.n <= 1));
    }
    write_and_read(a, text);
    arena_set_current(old);
    arena_unref(a);
    return 0;
}
