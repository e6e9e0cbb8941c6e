/* API tokens of the caller. */
#include "handlers/list.h"
#include "handlers/tables.h"

static const struct list_sort sorts[] = {{"createdAt", "t.created_at", "timestamptz"}, {"name", "t.name", "text"}};
static const struct list_spec spec = {.json = "df_json(t)",
                                      .from = "api_tokens t",
                                      .id = "t.id",
                                      .sort = sorts,
                                      .nsort = ARRAY_LEN(sorts),
                                      .descending = true,
                                      .search = "t.name"};

static err_t list(struct request *r, struct reply *out) {
    struct list_query l;
    TRY(api_session_only(r));
    TRY(list_begin(&l, r, &spec));
    list_where(&l, "t.user_id = ?::uuid AND t.revoked_at IS NULL", PG_ARGS(pg_uuid(r->who->user_id)));
    return list_reply(&l, out);
}

static err_t read_cidrs(struct request *r, const struct json *list, struct token_request *req) {
    const char **v = arena_new_array(r->a, const char *, json_len(list) + 1);
    for (size_t i = 0; i < json_len(list); i++)
        v[i] = json_str(json_at(list, i));
    req->cidrs = v;
    req->n_cidrs = json_len(list);
    return NULL;
}

struct token_new {
    struct request *r;
    struct token_request req;
    const char *id, *row, *reply;
};

/* The answer is the text of the row that GET shows, and the token. */
static err_t create_tx(struct pg *tx, void *arg) {
    struct token_new *n = arg;
    struct arena *a = n->r->a;
    const char *token;
    struct str text;
    struct json *one;
    TRY(identity_token_create(platform()->identity, tx, a, n->r->who, &n->req, &n->id, &token));
    TRY(pg_json_text(tx, a, SQL_IDENTITY_TOKEN_JSON, PG_ARGS(pg_uuid(n->id)), "token", &text));
    TRY(json_parse(a, text, NULL, &one));
    json_set_str(a, one, "token", token);
    n->row = text.p;
    n->reply = json_to_text(a, one);
    return once_mark(tx, n->r, &(struct change){.kind = "token", .id = n->id, .reply = n->reply});
}

static err_t create(struct request *r, struct reply *out) {
    const struct json *body;
    TRY(api_session_only(r));
    TRY(request_json(r, &body));
    struct token_new n = {.r = r,
                          .req = {.name = json_get_str(body, "name"),
                                  .scopes = json_get(body, "scopes"),
                                  .scope_id = json_get_str(body, "scopeId"),
                                  .expires_days = json_get_int(body, "expiresInDays", 30)}};
    TRY(read_cidrs(r, json_get(body, "cidrs"), &n.req));
    TRY(pg_tx(platform()->db, create_tx, &n));
    request_audit(r, "token", n.id, NULL, n.row);
    TRY(reply_header(out, "location", arena_printf(r->a, "/api/v1/tokens/%s", n.id)));
    return reply_bytes(out, 201, "application/json", str_of(n.reply));
}

static err_t delete (struct request *r, struct reply *out) {
    TRY(api_session_only(r));
    err_t e = identity_token_revoke(platform()->identity, r->who, request_param(r, "id"));
    if (e)
        return e->code == ERR_NOT_FOUND ? api_not_found() : e;
    request_audit(r, "token", request_param(r, "id"), NULL, NULL);
    return reply_empty(out, 204);
}

static const struct route rows[] = {
    ROUTE(GET, "/api/v1/tokens", AUTH_SELF, NULL, list, .response_schema = "ApiToken", .flags = ROUTE_LIST,
          .tag = "tokens", .summary = "My API tokens"),
    ROUTE(POST, "/api/v1/tokens", AUTH_SELF, NULL, create, .audit = "token.create", .request_schema = "ApiTokenCreate",
          .response_schema = "ApiToken", .tag = "tokens", .summary = "Make an API token; it is shown this once"),
    ROUTE(DELETE, "/api/v1/tokens/{id}", AUTH_SELF, NULL, delete, .audit = "token.revoke", .tag = "tokens",
          .summary = "Revoke one of my API tokens"),
};
ROUTE_TABLE(tokens_routes, rows);
