#include "server/openapi.h"
#include "core/base/check.h"
#include "server/reply.h"
#include "server/route.h"
#include "server/router.h"
#include "server/schema.h"
#include "server/server.h"

static const char DOCS_CSP[] = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                               "frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/* ---- the document ---- */

static struct json *ref(struct arena *a, const char *name) {
    struct json *j = json_object(a);
    json_set_str(a, j, "$ref", arena_printf(a, "#/components/schemas/%s", name));
    return j;
}

static struct json *content(struct arena *a, const char *type, struct json *schema) {
    struct json *c = json_object(a), *media = json_object(a);
    if (schema != NULL)
        json_set(a, media, "schema", schema);
    json_set(a, c, type, media);
    return c;
}

static struct json *type_of(struct arena *a, const char *type) {
    struct json *s = json_object(a);
    json_set_str(a, s, "type", type);
    return s;
}

static void add_parameter(struct arena *a, struct json *list, const char *name, const char *in, bool required,
                          const char *type, const char *text) {
    struct json *p = json_object(a);
    json_set_str(a, p, "name", name);
    json_set_str(a, p, "in", in);
    json_set_bool(a, p, "required", required);
    if (text != NULL)
        json_set_str(a, p, "description", text);
    json_set(a, p, "schema", type_of(a, type));
    json_push(a, list, p);
}

static void path_parameters(struct arena *a, const struct route *r, struct json *list) {
    struct str rest = str_of(r->pattern), seg;
    while (str_cut(&rest, '/', &seg))
        if (seg.n > 2 && seg.p[0] == '{')
            add_parameter(a, list, str_z(a, str_slice(seg, 1, seg.n - 1)), "path", true, "string", NULL);
}

static void query_parameters(struct arena *a, const struct route *r, struct json *list) {
    struct str rest = str_of(r->query), word;
    while (str_cut(&rest, ' ', &word))
        if (word.n > 0)
            add_parameter(a, list, str_z(a, word), "query", false, "string", NULL);
    if (r->flags & ROUTE_LIST) {
        add_parameter(a, list, "limit", "query", false, "integer", "Page size, 1 to 200; 50 if absent");
        add_parameter(a, list, "cursor", "query", false, "string", "The \"next\" of the page before");
        add_parameter(a, list, "q", "query", false, "string", "Search text");
        add_parameter(a, list, "sort", "query", false, "string",
                      "Field name, with a leading minus for descending order");
        add_parameter(a, list, "fields", "query", false, "string", "Comma-separated fields to return");
    }
    if (r->flags & ROUTE_TASK)
        add_parameter(a, list, "wait", "query", false, "string", "How long to wait for the task, such as 30s");
}

static void header_parameters(struct arena *a, const struct route *r, struct json *list) {
    if (r->flags & ROUTE_IF_MATCH)
        add_parameter(a, list, "If-Match", "header", true, "string", "ETag of the version that is changed");
    if (r->method == HTTP_POST && r->auth != AUTH_PUBLIC)
        add_parameter(a, list, "Idempotency-Key", "header", false, "string",
                      "Repeating the request repeats the answer, for 24 h");
}

static void add_answer_of(struct arena *a, struct json *answers, const char *status, const char *text, const char *type,
                          struct json *body) {
    struct json *r = json_object(a);
    json_set_str(a, r, "description", text);
    if (body != NULL)
        json_set(a, r, "content", content(a, type, body));
    json_set(a, answers, status, r);
}

static void add_answer(struct arena *a, struct json *answers, const char *status, const char *text, struct json *body) {
    add_answer_of(a, answers, status, text, "application/json", body);
}

static void add_error(struct arena *a, struct json *answers, const char *status, const char *text) {
    add_answer(a, answers, status, text, ref(a, "Error"));
}

static struct json *page_of(struct arena *a, struct json *item) {
    struct json *page = json_object(a), *props = json_object(a), *items = json_object(a), *next = json_object(a);
    struct json *types = json_array(a), *required = json_array(a);
    json_set_str(a, items, "type", "array");
    json_set(a, items, "items", item);
    json_push(a, types, json_string(a, "string"));
    json_push(a, types, json_string(a, "null"));
    json_set(a, next, "type", types);
    json_set(a, props, "items", items);
    json_set(a, props, "next", next);
    json_push(a, required, json_string(a, "items"));
    json_push(a, required, json_string(a, "next"));
    json_set_str(a, page, "type", "object");
    json_set(a, page, "required", required);
    json_set(a, page, "properties", props);
    return page;
}

static void good_answer(struct arena *a, const struct route *r, struct json *answers) {
    int status = route_good_status(r);
    struct json *body = NULL;
    if (r->response_schema != NULL && schema_get(r->response_schema) != NULL)
        body = ref(a, r->response_schema);
    else if (status == 202)
        body = ref(a, "TaskRef");
    if (body != NULL && (r->flags & (ROUTE_LIST | ROUTE_PAGE)))
        body = page_of(a, body);
    if (r->flags & ROUTE_WS)
        add_answer(a, answers, "101", "WebSocket opened", NULL);
    else if (r->response_type != NULL)
        add_answer_of(a, answers, arena_printf(a, "%d", status), "Success", r->response_type, type_of(a, "string"));
    else if (status == 202)
        add_answer(a, answers, "202", r->flags & ROUTE_TASK ? "Accepted; Location names the task" : "Accepted", body);
    else
        add_answer(a, answers, arena_printf(a, "%d", status), status == 204 ? "Done" : "Success",
                   status == 204 ? NULL : body);
    if ((r->flags & ROUTE_TASK) && r->method == HTTP_DELETE)
        add_answer(a, answers, "204", "Done at once", NULL);
    if ((r->flags & ROUTE_HOOK) && body != NULL)
        add_answer(a, answers, "200", "Delivered before", body);
    if (r->request_schema != NULL && z_eq(r->request_schema, "SyncRequest"))
        add_answer(a, answers, "200", "With dryRun: the plan", ref(a, "Plan"));
}

static void error_answers(struct arena *a, const struct route *r, struct json *answers) {
    bool params = strchr(r->pattern, '{') != NULL;
    add_error(a, answers, "400", "BAD_REQUEST, BAD_PATH, UNKNOWN_PARAMETER, INVALID_JSON, UNKNOWN_FIELD");
    if (r->auth != AUTH_PUBLIC)
        add_error(a, answers, "401", "AUTHENTICATION_REQUIRED, TOKEN_EXPIRED, TOKEN_INVALID");
    if (r->auth == AUTH_PERMISSION)
        add_error(a, answers, "403", "INSUFFICIENT_PERMISSIONS, INSUFFICIENT_SCOPE, CSRF_FAILED");
    if (params)
        add_error(a, answers, "404", "NOT_FOUND; also when it may not be seen");
    if (r->method != HTTP_GET) {
        add_error(a, answers, "409", "CONFLICT");
        add_error(a, answers, "413", "PAYLOAD_TOO_LARGE");
        add_error(a, answers, "415", "UNSUPPORTED_MEDIA_TYPE");
        add_error(a, answers, "422", "INVALID_INPUT, MISSING_REQUIRED_FIELD, SCHEMA_VIOLATION");
    }
    if (r->flags & ROUTE_IF_MATCH) {
        add_error(a, answers, "412", "PRECONDITION_FAILED");
        add_error(a, answers, "428", "PRECONDITION_REQUIRED");
    }
    if (r->flags & ROUTE_WS)
        add_error(a, answers, "426", "UPGRADE_REQUIRED");
    add_error(a, answers, "429", "RATE_LIMITED");
    add_error(a, answers, "500", "INTERNAL");
    if (r->response_schema != NULL && z_eq(r->response_schema, "Health"))
        add_answer(a, answers, "503", "No, and why", ref(a, "Health"));
    else
        add_error(a, answers, "503", "DATABASE_UNAVAILABLE, BUSY, SHUTTING_DOWN");
}

static char *operation_id(struct arena *a, const struct route *r) {
    char *id = arena_printf(a, "%s%s", http_method_name(r->method), r->pattern), *out = id;
    bool upper = false;
    for (char *p = id; *p != '\0'; p++) {
        bool alnum = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9');
        if (!alnum) {
            upper = true;
            continue;
        }
        char c = *p;
        if (p < id + strlen(http_method_name(r->method)))
            c = (char)(c | 0x20);
        *out++ = (char)(upper && c >= 'a' && c <= 'z' ? c - 32 : c);
        upper = false;
    }
    *out = '\0';
    return id;
}

static void add_security(struct arena *a, const struct route *r, struct json *op) {
    struct json *list = json_array(a);
    if (r->auth != AUTH_PUBLIC) {
        static const char *const SCHEMES[] = {"bearer", "session"};
        for (size_t i = 0; i < ARRAY_LEN(SCHEMES); i++) {
            struct json *one = json_object(a);
            json_set(a, one, SCHEMES[i], json_array(a));
            json_push(a, list, one);
        }
    }
    json_set(a, op, "security", list);
}

static struct json *operation(struct arena *a, const struct route *r) {
    static const char *const AUTH[] = {"Public", "Any signed-in principal, about itself", "By permission"};
    struct json *op = json_object(a), *tags = json_array(a), *parameters = json_array(a), *answers = json_object(a);
    json_push(a, tags, json_string(a, r->tag ? r->tag : "other"));
    json_set(a, op, "tags", tags);
    json_set_str(a, op, "operationId", operation_id(a, r));
    json_set_str(a, op, "summary", r->summary ? r->summary : "");
    json_set_str(a, op, "x-auth", AUTH[r->auth]);
    if (r->permission != NULL)
        json_set_str(a, op, "x-permission", r->permission);
    if (r->audit != NULL)
        json_set_str(a, op, "x-audit", r->audit);
    add_security(a, r, op);
    path_parameters(a, r, parameters);
    query_parameters(a, r, parameters);
    header_parameters(a, r, parameters);
    if (json_len(parameters) > 0)
        json_set(a, op, "parameters", parameters);
    if (r->request_schema != NULL) {
        struct json *body = json_object(a);
        json_set_bool(a, body, "required", true);
        json_set(a, body, "content", content(a, "application/json", ref(a, r->request_schema)));
        json_set(a, op, "requestBody", body);
    }
    good_answer(a, r, answers);
    error_answers(a, r, answers);
    json_set(a, op, "responses", answers);
    return op;
}

static const char ERROR_SCHEMA[] =
    "{\"type\":\"object\",\"required\":[\"error\",\"status\",\"request_id\"],\"properties\":{"
    "\"error\":{\"type\":\"object\",\"required\":[\"code\",\"message\",\"details\",\"timestamp\",\"requestId\"],\"properties\":{"
    "\"code\":{\"type\":\"string\"},\"message\":{\"type\":\"string\"},\"details\":{\"type\":\"object\",\"additionalProperties\":true},"
    "\"field\":{\"type\":\"string\",\"description\":\"JSON pointer or parameter name\"},"
    "\"timestamp\":{\"type\":\"string\",\"format\":\"date-time\"},\"requestId\":{\"type\":\"string\"}}},"
    "\"status\":{\"const\":\"error\"},\"request_id\":{\"type\":\"string\"}}}";

static struct json *parse_fixed(struct arena *a, struct str text) {
    struct json *j;
    CHECK(json_parse(a, text, NULL, &j) == NULL);
    return j;
}

static struct json *components(struct arena *a) {
    struct json *c = json_object(a);
    const struct json *all = schema_all();
    struct json *schemas = all ? json_clone(a, all) : json_object(a);
    struct json *codes = json_array(a), *error = parse_fixed(a, STR(ERROR_SCHEMA));
    for (int i = 0; i < ERR_CODE_MAX; i++)
        json_push(a, codes, json_string(a, err_code_wire((enum err_code)i)));
    json_set(a, json_path(error, "properties", "error", "properties", "code", NULL), "enum", codes);
    json_set(a, schemas, "Error", error);
    json_set(a, c, "schemas", schemas);
    json_set(a, c, "securitySchemes",
             parse_fixed(a, STR("{\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\"},"
                                "\"session\":{\"type\":\"apiKey\",\"in\":\"cookie\",\"name\":\"df_session\","
                                "\"description\":\"Writes also need the header X-DF-CSRF: 1\"}}")));
    return c;
}

struct json *openapi_document(struct arena *a, const char *version) {
    struct json *doc = json_object(a), *info = json_object(a), *paths = json_object(a);
    size_t n;
    const struct route *const *rows = routes_all(&n);
    json_set_str(a, doc, "openapi", "3.1.1");
    json_set_str(a, info, "title", "DockFlow API");
    json_set_str(a, info, "version", version);
    json_set(a, doc, "info", info);
    for (size_t i = 0; i < n; i++) {
        struct json *item = json_get(paths, rows[i]->pattern);
        if (item == NULL) {
            item = json_object(a);
            json_set(a, paths, rows[i]->pattern, item);
        }
        json_set(a, item, str_lower(a, str_of(http_method_name(rows[i]->method))), operation(a, rows[i]));
    }
    json_set(a, doc, "paths", paths);
    json_set(a, doc, "components", components(a));
    return doc;
}

/* ---- YAML ---- */

/* Plain only when no YAML reader could take it for something else; everything else in JSON's quotes, which YAML reads */
static bool plain_ok(struct str s) {
    if (s.n == 0 || s.n > 60 || !((s.p[0] >= 'a' && s.p[0] <= 'z') || (s.p[0] >= 'A' && s.p[0] <= 'Z')))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-'))
            return false;
    }
    static const char *const WORDS[] = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"};
    for (size_t i = 0; i < ARRAY_LEN(WORDS); i++)
        if (str_eq_nocase(s, str_of(WORDS[i])))
            return false;
    return true;
}

static void yaml_scalar(struct buf *b, struct str s) {
    if (plain_ok(s))
        buf_put(b, s.p, s.n);
    else
        json_write_str(b, s);
}

static void yaml_indent(struct buf *b, int depth) {
    for (int i = 0; i < depth; i++)
        buf_puts(b, "  ");
}

static void yaml_node(struct buf *b, const struct json *j, int depth);

static void yaml_child(struct buf *b, const struct json *v, int depth) {
    bool nested = (v->type == JSON_OBJECT || v->type == JSON_ARRAY) && json_len(v) > 0;
    buf_putc(b, nested ? '\n' : ' ');
    yaml_node(b, v, depth);
    if (!nested)
        buf_putc(b, '\n');
}

static void yaml_node(struct buf *b, const struct json *j, int depth) {
    if (j->type == JSON_OBJECT && j->obj.n > 0) {
        for (size_t i = 0; i < j->obj.n; i++) {
            yaml_indent(b, depth);
            yaml_scalar(b, j->obj.v[i].key);
            buf_putc(b, ':');
            yaml_child(b, j->obj.v[i].value, depth + 1);
        }
    } else if (j->type == JSON_ARRAY && j->arr.n > 0) {
        for (size_t i = 0; i < j->arr.n; i++) {
            yaml_indent(b, depth);
            buf_putc(b, '-');
            yaml_child(b, j->arr.v[i], depth + 1);
        }
    } else if (j->type == JSON_STRING) {
        yaml_scalar(b, j->s);
    } else {
        json_write(b, j);
    }
}

void yaml_write(struct buf *b, const struct json *j) {
    yaml_node(b, j, 0);
    if (j->type != JSON_OBJECT && j->type != JSON_ARRAY)
        buf_putc(b, '\n');
}

/* ---- routes ---- */

static err_t get_json(struct request *r, struct reply *out) {
    return reply_json(out, 200, openapi_document(r->a, DF_VERSION));
}

static err_t get_yaml(struct request *r, struct reply *out) {
    AUTO_BUF b;
    buf_init(&b, KIB(64), MIB(16));
    yaml_write(&b, openapi_document(r->a, DF_VERSION));
    TRY(buf_check(&b));
    return reply_bytes(out, 200, "application/yaml", buf_str(&b));
}

static err_t get_schema(struct request *r, struct reply *out) {
    const struct json *s = schema_get(request_param(r, "kind"));
    if (s == NULL)
        return err_new(ERR_NOT_FOUND, "no such schema");
    return reply_json(out, 200, s);
}

static err_t page(struct reply *out, const char *name, const char *type) {
    for (size_t i = 0; i < docs_pages_count; i++)
        if (z_eq(docs_pages[i].name, name)) {
            reply_csp(out, DOCS_CSP);
            TRY(reply_header(out, "cache-control", "no-cache"));
            return reply_bytes(out, 200, type, str_n((const char *)docs_pages[i].bytes, docs_pages[i].n));
        }
    return err_new(ERR_NOT_FOUND, "no such page");
}

static err_t get_docs(struct request *r, struct reply *out) {
    (void)r;
    return page(out, "index.html", "text/html; charset=utf-8");
}

static err_t get_docs_file(struct request *r, struct reply *out) {
    const char *name = request_param(r, "file");
    return page(out, name, z_ends(name, ".css") ? "text/css; charset=utf-8" : "text/javascript; charset=utf-8");
}

static const struct route ROUTES[] = {
    ROUTE(GET, "/api/v1/openapi.json", AUTH_PUBLIC, NULL, get_json, .response_schema = "OpenApiDocument", .tag = "meta",
          .summary = "This API as OpenAPI 3.1, JSON"),
    ROUTE(GET, "/api/v1/openapi.yaml", AUTH_PUBLIC, NULL, get_yaml, .response_type = "application/yaml", .tag = "meta",
          .summary = "This API as OpenAPI 3.1, YAML"),
    ROUTE(GET, "/api/v1/schemas/{kind}", AUTH_PUBLIC, NULL, get_schema, .response_schema = "JsonSchema", .tag = "meta",
          .summary = "One JSON Schema"),
    ROUTE(GET, "/api/docs", AUTH_PUBLIC, NULL, get_docs, .response_type = "text/html", .flags = ROUTE_INLINE,
          .tag = "meta", .summary = "This API to browse"),
    ROUTE(GET, "/api/docs/{file}", AUTH_PUBLIC, NULL, get_docs_file, .response_type = "text/*", .flags = ROUTE_INLINE,
          .tag = "meta", .summary = "Script and style of the page"),
};

void openapi_routes(void) { routes_register(ROUTES, ARRAY_LEN(ROUTES)); }
