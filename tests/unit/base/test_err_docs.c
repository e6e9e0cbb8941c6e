/* docs/errors.md begins with ERR_TABLE in words a client can look up; ERR_DOCS_WRITE=1 writes that part and keeps the sections after
 * it. */
#include <stdlib.h>
#include "base_test.h"
#include "core/base/buf.h"

#define DOCS "docs/errors.md" /* tests run in the root of the tree */
#define SECTION "\n## "

static const char head[] =
    "# Error codes\n\n"
    "Every error of the API has the form `{\"error\": {\"code\", \"message\", \"details\", \"field\"?, \"timestamp\", \"requestId\"},\n"
    "\"status\": \"error\", \"request_id\"}`, or RFC 9457 when `Accept` asks for `application/problem+json`. The message is for people and\n"
    "may change; the code is for programs. This list is whole: made from `core/base/err.h`, as the enumeration in\n"
    "`/api/v1/openapi.json` is, and a test compares them. *Retry*: the same request may succeed later without a change to it. A status\n"
    "of 499 is only ever logged, since its client is gone.\n\n"
    "| Code | Status | Retry |\n|---|---|---|\n";

static const char *documented(void) {
    char *text = arena_zalloc(A, KIB(128));
    FILE *f = fopen(DOCS, "rb");
    if (f) {
        text[fread(text, 1, KIB(128) - 1, f)] = '\0';
        fclose(f);
    }
    return text;
}

static int by_status(const void *a, const void *b) {
    enum err_code x = *(const enum err_code *)a, y = *(const enum err_code *)b;
    int d = err_code_http(x) - err_code_http(y);
    return d ? d : strcmp(err_code_wire(x), err_code_wire(y));
}

static void test_documented_codes_are_current(void **state) {
    (void)state;
    enum err_code codes[ERR_CODE_MAX];
    for (int i = 0; i < ERR_CODE_MAX; i++)
        codes[i] = (enum err_code)i;
    qsort(codes, ERR_CODE_MAX, sizeof(codes[0]), by_status);
    AUTO_BUF b;
    buf_init(&b, 0, KIB(64));
    buf_puts(&b, head);
    for (int i = 0; i < ERR_CODE_MAX; i++) {
        err_t e = err_new(codes[i], "x");
        buf_putf(&b, "| `%s` | %d | %s |\n", err_code_wire(codes[i]), err_code_http(codes[i]),
                 err_retryable(e) ? "yes" : "");
        assert_true(i == 0 || strcmp(err_code_wire(codes[i]), err_code_wire(codes[i - 1])) != 0);
    }
    assert_false(b.failed);
    const char *sections = strstr(documented(), SECTION);
    if (getenv("ERR_DOCS_WRITE") != NULL) {
        FILE *f = fopen(DOCS, "wb");
        assert_non_null(f);
        (void)fprintf(f, "%.*s%s", (int)b.n, b.p, sections ? sections : "");
        fclose(f);
    }
    const char *text = documented();
    sections = strstr(text, SECTION);
    size_t n = sections ? (size_t)(sections - text) : strlen(text);
    if (n != b.n || memcmp(text, b.p, n) != 0)
        fail_msg(DOCS " is not what core/base/err.h says; run this test with ERR_DOCS_WRITE=1 and commit the file");
}

int main(void) {
    const struct CMUnitTest tests[] = {T(test_documented_codes_are_current)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
