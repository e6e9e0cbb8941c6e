/* JSON: what parses must write, parse again and mean the same; canonical text is a fixed point; strict is a subset of trusted.
 * First byte: bit 0 trusted, bit 1 small budgets. */
#include "core/base/check.h"
#include "core/base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct json *again(struct arena *a, struct str text, const struct json_limits *limits) {
    struct json *j = NULL;
    err_t e = json_parse(a, text, limits, &j);
    CHECK(e == NULL && j != NULL);
    return j;
}

static void round_trips(struct arena *a, const struct json *j, bool trusted) {
    const struct json_limits wide = {.max_bytes = MIB(64), .max_depth = 512, .max_nodes = 1000000, .trusted = trusted};
    const char *compact = json_to_text(a, j);
    CHECK(json_eq(j, again(a, str_of(compact), &wide)));
    const char *canonical = json_to_canonical(a, j);
    const struct json *c = again(a, str_of(canonical), &wide);
    CHECK(json_eq(j, c));
    CHECK(z_eq(canonical, json_to_canonical(a, c)));
    AUTO_BUF b;
    buf_init(&b, 0, MIB(64));
    json_write_pretty(&b, j, 2);
    CHECK(!b.failed && json_eq(j, again(a, buf_str(&b), &wide)));
    CHECK(json_eq(j, json_clone(a, j)));
}

static void look_up(const struct json *j) {
    if (json_is(j, JSON_OBJECT)) {
        for (size_t i = 0; i < j->obj.n; i++) {
            const struct json *found = json_getn(j, j->obj.v[i].key);
            CHECK(found == j->obj.v[i].value); /* no duplicate stays, and the index finds what the list has */
            look_up(found);
        }
    } else if (json_is(j, JSON_ARRAY)) {
        for (size_t i = 0; i < json_len(j); i++)
            look_up(json_at(j, i));
        CHECK(json_at(j, json_len(j)) == NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1)
        return 0;
    struct json_limits limits = {.trusted = data[0] & 1};
    if (data[0] & 2)
        limits = (struct json_limits){.max_bytes = 512, .max_depth = 4, .max_nodes = 40, .trusted = data[0] & 1};
    struct arena *a = arena_new("fuzz", 0), *old = arena_set_current(a);
    struct str text = str_n((const char *)data + 1, size - 1);
    struct json *j = NULL;
    if (json_parse(a, text, &limits, &j) == NULL) {
        look_up(j);
        round_trips(a, j, limits.trusted);
        if (!limits.trusted) {
            limits.trusted = true;
            CHECK(json_eq(j, again(a, text, &limits)));
        }
        (void)json_pointer(j, "/a/0/b");
    }
    AUTO_BUF b;
    buf_init(&b, 0, MIB(64));
    json_write_str(&b, text); /* any bytes become one valid string */
    const struct json_limits wide = {.max_bytes = MIB(64), .trusted = true};
    CHECK(!b.failed && json_is(again(a, buf_str(&b), &wide), JSON_STRING));
    arena_set_current(old);
    arena_unref(a);
    return 0;
}
