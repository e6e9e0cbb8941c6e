/* Cuts a byte stream into JSON values without parsing them: only nesting and strings are followed. */
#include "core/docker/stream.h"

void json_split_init(struct json_split *s, bool array, size_t max_item) {
    *s = (struct json_split){.in_array = array, .max_item = max_item};
    buf_init(&s->item, 0, max_item);
}

void json_split_done(struct json_split *s) { buf_done(&s->item); }

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == 0x1e; }

static err_t keep(struct json_split *s, const char *p, size_t n) {
    if (n > s->max_item - s->item.n)
        return err_new(ERR_DOCKER_PROTOCOL, "the engine sent a JSON value of more than %zu bytes", s->max_item);
    return buf_append(&s->item, p, n);
}

static err_t finish(struct json_split *s, struct str tail, json_item_fn *fn, void *arg) {
    struct str text = tail;
    if (s->item.n) {
        TRY(keep(s, tail.p, tail.n));
        text = buf_str(&s->item);
    } else if (tail.n > s->max_item) {
        return err_new(ERR_DOCKER_PROTOCOL, "the engine sent a JSON value of more than %zu bytes", s->max_item);
    }
    s->started = s->scalar = false;
    s->depth = 0;
    err_t e = fn(arg, text);
    buf_clear(&s->item);
    return e;
}

/* Between values: skip separators, see what begins. Returns false when the byte was consumed as a separator. */
static err_t between(struct json_split *s, char c, bool *ret_begins) {
    *ret_begins = false;
    if (is_space(c) || s->ended)
        return NULL;
    if (s->in_array && !s->opened) {
        if (c == '[')
            s->opened = true;
        else if (c == 'n') /* null: an empty list */
            s->ended = true;
        else
            return err_new(ERR_DOCKER_PROTOCOL, "the engine's answer is not a list (begins with 0x%02x)",
                           (unsigned char)c);
        return NULL;
    }
    if (s->in_array && c == ',')
        return NULL;
    if (s->in_array && c == ']') {
        s->ended = true;
        return NULL;
    }
    if (c != '{' && c != '[' && c != '"' && c != '-' && !(c >= '0' && c <= '9') && c != 't' && c != 'f' && c != 'n')
        return err_new(ERR_DOCKER_PROTOCOL, "the engine sent 0x%02x where a JSON value should begin", (unsigned char)c);
    *ret_begins = true;
    return NULL;
}

/* One byte of an open value; true when it is the last one. A scalar ends before its terminator: *ret_before. */
static bool inside(struct json_split *s, char c, bool *ret_before) {
    *ret_before = false;
    if (s->in_string) {
        if (s->escaped)
            s->escaped = false;
        else if (c == '\\')
            s->escaped = true;
        else if (c == '"') {
            s->in_string = false;
            return s->depth == 0;
        }
        return false;
    }
    if (s->scalar) {
        *ret_before = is_space(c) || c == ',' || c == ']' || c == '}' || c == '{' || c == '[' || c == '"';
        return *ret_before;
    }
    if (c == '"')
        s->in_string = true;
    else if (c == '{' || c == '[')
        s->depth++;
    else if (c == '}' || c == ']')
        return --s->depth == 0;
    return false;
}

err_t json_split_feed(struct json_split *s, struct str bytes, json_item_fn *fn, void *arg) {
    size_t from = 0;
    for (size_t i = 0; i < bytes.n;) {
        char c = bytes.p[i];
        bool before = false;
        if (!s->started) {
            bool begins;
            TRY(between(s, c, &begins));
            i++;
            if (!begins)
                continue;
            s->started = true;
            s->escaped = false;
            from = i - 1;
            s->in_string = c == '"';
            s->depth = c == '{' || c == '[';
            s->scalar = !s->in_string && !s->depth;
            continue;
        }
        if (inside(s, c, &before)) {
            size_t end = before ? i : i + 1;
            i = end;
            TRY(finish(s, str_n(bytes.p + from, end - from), fn, arg));
            from = end;
            continue;
        }
        i++;
    }
    return s->started ? keep(s, bytes.p + from, bytes.n - from) : NULL;
}

err_t json_split_end(struct json_split *s, json_item_fn *fn, void *arg) {
    if (s->started && s->scalar)
        return finish(s, str_n("", 0), fn, arg);
    if (s->started || (s->in_array && !s->ended))
        return err_new(ERR_DOCKER_PROTOCOL, "the engine's answer ended inside a JSON value");
    return NULL;
}
