/* One sender for WebSockets and server-sent events. */
#include <stdio.h>
#include "core/base/json.h"
#include "handlers/streams.h"

size_t sink_send(struct sink *s, const char *event, const char *id, struct str text) {
    if (s->ws)
        return ws_send(s->ws, WS_TEXT, text);
    return s->sse ? reply_sse(s->sse, event, id, text) : 0;
}

void sink_close(struct sink *s, int code, const char *reason) {
    if (s->ws)
        ws_close(s->ws, code, reason);
    if (s->sse == NULL)
        return;
    if (code >= 4000) { /* an ended response tells nobody why */
        char text[200];
        int n = snprintf(text, sizeof(text), "{\"type\":\"closed\",\"code\":%d,\"reason\":\"%.100s\"}", code, reason);
        (void)reply_sse(s->sse, "closed", NULL, str_n(text, (size_t)n));
    }
    reply_stream_end(TAKE(s->sse));
}

void sink_fail(struct sink *s, int code, err_t e) {
    char text[600];
    bool again = e->code != ERR_FORBIDDEN && e->code != ERR_NOT_FOUND;
    if (s->ws)
        ws_send_error(s->ws, e, again, true);
    if (s->sse) {
        AUTO_BUF b;
        struct jw w;
        buf_init(&b, 256, sizeof(text) * 8);
        jw_init(&w, &b);
        jw_obj(&w);
        jw_kv_str(&w, "type", "error");
        jw_kv_str(&w, "code", err_code_wire(e->code));
        jw_kv_str(&w, "message", e->message);
        jw_obj_end(&w);
        (void)reply_sse(s->sse, "error", NULL, buf_str(&b));
    }
    sink_close(s, code, e->code == ERR_FORBIDDEN ? "forbidden" : "failed");
}
