/* What a handler fills in. The one place that knows HTTP: status from ERR_TABLE; error body in both seed shapes
 * {"error":{code,message,details,field?,timestamp,requestId},"status":"error","request_id"} or problem+json by Accept. */
#pragma once
#include "core/base/json.h"
#include "core/base/str.h"
#include "server/request.h"

struct reply; /* owned by the server, lives as long as the request */
void reply_status(struct reply *out, int status);
/** name/value checked against CR, LF, NUL; copied. */
MUST_CHECK err_t reply_header(struct reply *out, const char *name, const char *value);
/** Replaces the API's Content-Security-Policy (HTML pages); copied. */
void reply_csp(struct reply *out, const char *policy);
MUST_CHECK err_t reply_json(struct reply *out, int status, const struct json *body);
/** JSON text as it came from PostgreSQL or the engine; copied into the reply's arena. */
MUST_CHECK err_t reply_json_text(struct reply *out, int status, struct str text);
/** Same without the copy: the text lives in r->a (query results) or for ever. */
MUST_CHECK err_t reply_json_borrowed(struct reply *out, int status, struct str text);
MUST_CHECK err_t reply_empty(struct reply *out, int status);
MUST_CHECK err_t reply_bytes(struct reply *out, int status, const char *content_type, struct str body);
void reply_error(struct reply *out, err_t e);
/** 202 + Location: /api/v1/tasks/{id} + body {"taskId":...,"task":"/api/v1/tasks/..."}; honours ?wait=. YIELDS when waiting. */
const char *reply_task_text(struct arena *a, const char *task_id); /* its body, without ?wait= */
MUST_CHECK err_t reply_task(struct request *r, struct reply *out, const char *task_id);
/** Strong ETag from a row version; answers 304 (returns true) when If-None-Match has it. */
bool reply_etag(struct request *r, struct reply *out, int64_t version);
/** If-Match for PUT/PATCH/DELETE: 428 without, 412 when it is not `version`. */
MUST_CHECK err_t request_if_match(const struct request *r, int64_t version);
/** HttpOnly Secure(when tls or not loopback) SameSite=Strict cookie; max_age 0 deletes. */
MUST_CHECK err_t reply_cookie(struct reply *out, const char *name, const char *value, const char *path,
                              int64_t max_age);
/** Keyset list body {"items":[...],"next":cursor|null} plus Link header; items_json is a JSON array text. */
MUST_CHECK err_t reply_list(struct request *r, struct reply *out, struct str items_json, const char *next_cursor);

/** Server-sent events / streaming body: after reply_stream_begin the handler (or a loop callback) pushes; heartbeats every
 * 15 s are the server's. `on_gone` runs once when the client left, was stalled 30 s, or asked by HEAD and has its header;
 * then drop the pointer. It does not run after reply_stream_end. HEAD needs no care: what is pushed goes nowhere. */
struct reply_stream;
MUST_CHECK err_t reply_stream_begin(struct reply *out, int status, const char *content_type, void (*on_gone)(void *arg),
                                    void *arg, struct reply_stream **ret);
/** Loop thread. Returns bytes queued; above 1 MiB further pushes are dropped and counted (returns SIZE_MAX). */
size_t reply_stream_push(struct reply_stream *s, struct str bytes);
void reply_stream_on_drained(struct reply_stream *s, void (*cb)(void *arg)); /* queue fell below the low mark */
void reply_stream_end(struct reply_stream *s);
/** One SSE event: id may be NULL; data may contain newlines. */
size_t reply_sse(struct reply_stream *s, const char *event, const char *id, struct str data);
