#include "conf_test.h"
#include "core/conf/conf_schema.h"

#define DOCS "conf/dockflow.yaml" /* tests run in the root of the tree */

static void test_documented_file_is_current(void **state) {
    (void)state;
    AUTO_BUF b;
    buf_init(&b, 0, KIB(256));
    conf_print_docs(&b);
    assert_false(b.failed);
    if (getenv("CONF_DOCS_WRITE") != NULL) {
        FILE *f = fopen(DOCS, "wb");
        assert_non_null(f);
        assert_int_equal(fwrite(b.p, 1, b.n, f), b.n);
        fclose(f);
    }
    size_t n = 0;
    const char *why = NULL;
    char *text = conf_read_file(A, DOCS, KIB(256), &n, &why);
    if (text == NULL)
        fail_msg(DOCS ": %s", why);
    if (n != b.n || memcmp(text, b.p, n) != 0)
        fail_msg(DOCS " is not what the schema says; run this test with CONF_DOCS_WRITE=1 and commit the file");
}

static void test_documented_file_loads_to_the_defaults(void **state) {
    (void)state;
    struct conf_result r;
    struct conf_input in = {.argc = 2, .argv = ARGS("--config", DOCS)};
    err_t e = conf_load(A, &in, &r);
    if (e != NULL)
        fail_msg("%s", e->message);
    assert_int_equal(r.warnings.n, 0);
    const struct conf *d = conf_defaults(A);
    for (size_t i = 0; i < conf_n_keys; i++)
        assert_string_equal(conf_value_text(A, r.conf, &conf_keys[i]), conf_value_text(A, d, &conf_keys[i]));
}

static void test_schema_is_sound(void **state) {
    (void)state;
    bool used[sizeof(struct conf)] = {false};
    for (size_t i = 0; i < conf_n_keys; i++) {
        const struct conf_key *k = &conf_keys[i];
        struct str rest = str_of(k->key), section;
        assert_true(str_cut(&rest, '.', &section));
        assert_true(conf_is_section(section) && rest.n > 0);
        assert_true(k->doc != NULL && strlen(k->doc) > 10);
        assert_ptr_equal(conf_key_find(str_of(k->key)), k);
        assert_false(used[k->offset]); /* no two keys for one member */
        used[k->offset] = true;
        assert_true((k->type != CONF_INT && k->type != CONF_SIZE) || k->min < k->max);
        /* a text written from a value reads back as the same value */
        struct conf c = *conf_defaults(A);
        char *text = conf_value_text(A, &c, k);
        assert_null(conf_value_set(A, &c, k, str_of(text)));
        assert_string_equal(conf_value_text(A, &c, k), text);
    }
    assert_string_equal(conf_env_name(A, conf_key_find(STR("server.publicUrl"))), "DOCKFLOW_SERVER_PUBLIC_URL");
    assert_string_equal(conf_env_name(A, conf_key_find(STR("rateLimit.enabled"))), "DOCKFLOW_RATE_LIMIT_ENABLED");
}

static void test_flags_text(void **state) {
    (void)state;
    AUTO_BUF b;
    buf_init(&b, 0, KIB(64));
    conf_print_flags(&b);
    buf_putc(&b, 0);
    assert_non_null(strstr(b.p, "  --server.maxBody=5MiB\n"));
    assert_non_null(strstr(b.p, "  DOCKFLOW_AUTH_SECRET_KEY_FILE\n"));
    assert_null(strstr(b.p, "--auth.secretKey"));
}

int main(void) {
    const struct CMUnitTest tests[] = {T(test_documented_file_is_current),
                                       T(test_documented_file_loads_to_the_defaults), T(test_schema_is_sound),
                                       T(test_flags_text)};
    return cmocka_run_group_tests_name("conf docs", tests, NULL, NULL);
}
