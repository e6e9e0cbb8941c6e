#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "server/schema.h"

static struct arena *a;

static const char APP[] =
    "{\"type\":\"object\",\"required\":[\"name\",\"env\"],\"properties\":{"
    "\"name\":{\"type\":\"string\",\"format\":\"name\"},"
    "\"id\":{\"type\":[\"string\",\"null\"],\"format\":\"uuid\"},"
    "\"env\":{\"$ref\":\"#/components/schemas/Env\"},"
    "\"labels\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\",\"maxLength\":3},"
    "\"propertyNames\":{\"format\":\"env-name\"},\"maxProperties\":2},"
    "\"n\":{\"type\":\"number\",\"minimum\":1,\"maximum\":5},"
    "\"text\":{\"type\":\"string\",\"minLength\":2,\"maxLength\":3},"
    "\"set\":{\"type\":\"array\",\"uniqueItems\":true,\"minItems\":1},"
    "\"other\":{\"anyOf\":[{\"$ref\":\"#/components/schemas/Env\"},{\"type\":\"null\"},{\"type\":\"integer\",\"minimum\":3}]},"
    "\"fixed\":{\"const\":\"x\"}}}";
static const char ENV[] =
    "{\"type\":\"object\",\"properties\":{\"vars\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
    "\"required\":[\"k\"],\"properties\":{\"k\":{\"type\":\"string\"},\"v\":{}}}}}}";

/* "CODE pointer" or "ok" */
static const char *check(const char *text) {
    struct json *j;
    if (json_parse(a, str_of(text), NULL, &j) != NULL)
        return "unparsable";
    err_t e = schema_validate(schema_get("App"), j);
    return e ? arena_printf(a, "%s %s", err_code_wire(e->code), e->field) : "ok";
}

static void table(void **state) {
    (void)state;
    static const struct {
        const char *body, *want;
    } ROWS[] = {
        {"{\"name\":\"a\",\"env\":{}}", "ok"},
        {"{\"name\":\"a\",\"env\":{\"vars\":[{\"k\":\"x\",\"v\":[1,{\"a\":2}]}]},\"id\":null,\"n\":2.5,\"fixed\":\"x\"}",
         "ok"},
        {"{\"name\":\"a\",\"env\":{},\"other\":{\"vars\":[{\"k\":\"x\"}]}}", "ok"},
        {"{\"name\":\"a\",\"env\":{},\"other\":null}", "ok"},
        {"{\"name\":\"a\",\"env\":{},\"other\":3}", "ok"},
        {"{\"name\":\"a\",\"env\":{},\"other\":2}", "SCHEMA_VIOLATION /other"},
        {"{\"name\":\"a\",\"env\":{},\"other\":{\"vars\":[{}]}}", "SCHEMA_VIOLATION /other"},
        {"[]", "SCHEMA_VIOLATION "},
        {"null", "SCHEMA_VIOLATION "},
        {"{}", "MISSING_REQUIRED_FIELD /name"},
        {"{\"name\":\"a\"}", "MISSING_REQUIRED_FIELD /env"},
        {"{\"name\":\"a\",\"env\":{},\"owner\":1}", "UNKNOWN_FIELD /owner"},
        {"{\"name\":\"a\",\"env\":{\"x\":1}}", "UNKNOWN_FIELD /env/x"},
        {"{\"name\":\"a\",\"env\":{\"vars\":[{\"k\":\"x\"},{}]}}", "MISSING_REQUIRED_FIELD /env/vars/1/k"},
        {"{\"name\":\"a\",\"env\":{\"vars\":[{\"k\":1}]}}", "SCHEMA_VIOLATION /env/vars/0/k"},
        {"{\"name\":\"\",\"env\":{}}", "SCHEMA_VIOLATION /name"},
        {"{\"name\":\"-a\",\"env\":{}}", "SCHEMA_VIOLATION /name"},
        {"{\"name\":\"A\",\"env\":{}}", "SCHEMA_VIOLATION /name"},
        {"{\"name\":\"a/b\",\"env\":{}}", "SCHEMA_VIOLATION /name"},
        {"{\"name\":\"a\",\"env\":{},\"id\":\"x\"}", "SCHEMA_VIOLATION /id"},
        {"{\"name\":\"a\",\"env\":{},\"id\":7}", "SCHEMA_VIOLATION /id"},
        {"{\"name\":\"a\",\"env\":{},\"id\":\"01a1fe15-c195-7106-ac37-215fcdc8fbc2\"}", "ok"},
        {"{\"name\":\"a\",\"env\":{},\"labels\":{\"A_1\":\"abc\"}}", "ok"},
        {"{\"name\":\"a\",\"env\":{},\"labels\":{\"A\":\"abcd\"}}", "SCHEMA_VIOLATION /labels/A"},
        {"{\"name\":\"a\",\"env\":{},\"labels\":{\"1A\":\"a\"}}", "SCHEMA_VIOLATION /labels/1A"},
        {"{\"name\":\"a\",\"env\":{},\"labels\":{\"a\":\"\",\"b\":\"\",\"c\":\"\"}}", "SCHEMA_VIOLATION /labels"},
        {"{\"name\":\"a\",\"env\":{},\"n\":0}", "SCHEMA_VIOLATION /n"},
        {"{\"name\":\"a\",\"env\":{},\"n\":5.5}", "SCHEMA_VIOLATION /n"},
        {"{\"name\":\"a\",\"env\":{},\"n\":\"1\"}", "SCHEMA_VIOLATION /n"},
        {"{\"name\":\"a\",\"env\":{},\"text\":\"\xc3\xa9\xc3\xa9\xc3\xa9\"}", "ok"}, /* characters, not bytes */
        {"{\"name\":\"a\",\"env\":{},\"text\":\"a\"}", "SCHEMA_VIOLATION /text"},
        {"{\"name\":\"a\",\"env\":{},\"set\":[]}", "SCHEMA_VIOLATION /set"},
        {"{\"name\":\"a\",\"env\":{},\"set\":[1,{\"a\":1},{\"a\":1}]}", "SCHEMA_VIOLATION /set/2"},
        {"{\"name\":\"a\",\"env\":{},\"fixed\":\"y\"}", "SCHEMA_VIOLATION /fixed"},
        {"{\"name\":\"a\",\"env\":{},\"a/b~\":1}", "UNKNOWN_FIELD /a~1b~0"},
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
        assert_string_equal(check(ROWS[i].body), ROWS[i].want);
}

static bool fits(const char *format, const char *value) {
    struct json *s = json_object(a), *v = json_string(a, value);
    json_set_str(a, s, "type", "string");
    json_set_str(a, s, "format", format);
    return schema_validate(s, v) == NULL;
}

static void formats(void **state) {
    (void)state;
    assert_true(fits("uri", "https://x.example/a?b"));
    assert_true(fits("uri", "ssh://git@host:22/x.git"));
    assert_false(fits("uri", "no scheme"));
    assert_false(fits("uri", "https://a b"));
    assert_false(fits("uri", "https://a\\b"));
    assert_true(fits("email", "admin@localhost"));
    assert_false(fits("email", "a@b@c"));
    assert_false(fits("email", "@b"));
    assert_true(fits("path", "deploy/compose.yaml"));
    assert_true(fits("path", "."));
    assert_false(fits("path", "../x"));
    assert_false(fits("path", "a/../../x"));
    assert_false(fits("path", "/etc/passwd"));
    assert_false(fits("path", "a//b"));
    assert_false(fits("path", "a\\b"));
    assert_true(fits("date-time", "2026-01-02T03:04:05Z"));
    assert_false(fits("date-time", "2026-01-02"));
    assert_true(fits("duration", "1h30m"));
    assert_false(fits("duration", "soon"));
    assert_true(fits("one-line", "hello there"));
    assert_false(fits("one-line", "a\nb"));
}

static int setup(void **state) {
    (void)state;
    a = arena_new("test", 0);
    arena_set_current(a);
    schema_register("App", STR(APP));
    schema_register("Env", STR(ENV));
    schema_seal();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    schema_fini();
    arena_set_current(NULL);
    arena_unref(a);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(table), cmocka_unit_test(formats)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
