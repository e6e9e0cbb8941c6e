#include "core/obs/log.h"
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include "core/async/fiber.h"
#include "core/async/loop.h"
#include "core/base/check.h"
#include "core/base/clock.h"
#include "core/obs/log_sink.h"

#define VALUE_MAX KIB(8) /* bytes of one text */
#define LINE_MAX_BYTES KIB(64)

static _Atomic int threshold = LOG_INFO;
static _Atomic uint64_t lines[LOG_CRITICAL + 1];
static const char *const names[] = {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"};

bool log_enabled(enum log_level level) { return (int)level >= atomic_load_explicit(&threshold, memory_order_relaxed); }

const char *log_level_name(enum log_level level) {
    CHECK((unsigned)level < ARRAY_LEN(names));
    return names[level];
}

bool log_level_parse(const char *name, enum log_level *ret) {
    for (size_t i = 0; name != NULL && i < ARRAY_LEN(names); i++) {
        if (str_eq_nocase(str_of(name), str_of(names[i]))) {
            *ret = (enum log_level)i;
            return true;
        }
    }
    return false;
}

/* A long text keeps its beginning, cut between characters, and says how much is missing. */
static void put_text(struct jw *w, struct str s) {
    if (s.n <= VALUE_MAX) {
        jw_strn(w, s);
        return;
    }
    size_t n = VALUE_MAX;
    while (n > VALUE_MAX - 4 && ((unsigned char)s.p[n] & 0xc0) == 0x80)
        n--;
    AUTO_BUF b;
    buf_init(&b, n + 64, n + 64);
    buf_put(&b, s.p, n);
    buf_putf(&b, "... (%zu bytes more)", s.n - n);
    jw_strn(w, buf_str(&b));
}

/* Paths in the tree begin with one of its top folders; what lies before depends on the machine that built it. */
static const char *short_path(const char *file) {
    static const char *const tops[] = {"/core/", "/server/", "/handlers/", "/cli/", "/tests/", "/bench/"};
    if (file == NULL)
        return "?";
    const char *best = NULL;
    for (size_t i = 0; i < ARRAY_LEN(tops); i++) {
        const char *at = strstr(file, tops[i]);
        if (at != NULL && (best == NULL || at < best))
            best = at;
    }
    return best != NULL ? best + 1 : file;
}

static void put_src(struct jw *w, const char *file, int line) {
    char text[256];
    (void)snprintf(text, sizeof(text), "%s:%d", short_path(file), line);
    jw_kv_str(w, "src", text);
}

static void put_error(struct jw *w, err_t e) {
    if (e == NULL) {
        jw_null(w);
        return;
    }
    AUTO(arena) a = arena_new("log", 0);
    jw_obj(w);
    jw_kv_str(w, "code", err_code_wire(e->code));
    jw_key(w, "message");
    put_text(w, str_of(err_chain(a, e)));
    if (e->field != NULL)
        jw_kv_str(w, "field", e->field);
    put_src(w, e->file, e->line);
    const struct err *root = e;
    for (int depth = 0; root->cause != NULL && depth < 64; depth++)
        root = root->cause;
    if (root != e) {
        jw_key(w, "root");
        jw_obj(w);
        jw_kv_str(w, "code", err_code_wire(root->code));
        put_src(w, root->file, root->line);
        jw_obj_end(w);
    }
    jw_obj_end(w);
}

/* JSON of the caller, but only if it is: one bad fragment must not make the whole line unreadable. */
static void put_raw(struct jw *w, const char *text) {
    if (text == NULL) {
        jw_null(w);
        return;
    }
    AUTO(arena) a = arena_new("log", 0);
    struct arena *old = arena_set_current(a);
    struct json *j = NULL;
    err_t e = json_parse(a, str_of(text), &(struct json_limits){.max_bytes = LINE_MAX_BYTES, .trusted = true}, &j);
    if (e == NULL)
        jw_json(w, j);
    else
        put_text(w, str_of(text));
    arena_set_current(old);
}

static void put_key(struct jw *w, const char *key) {
    static const char *const own[] = {"ts", "level", "event", "request_id", "fiber", "src"};
    for (size_t i = 0; i < ARRAY_LEN(own); i++) {
        if (z_eq(key, own[i])) {
            char renamed[32];
            (void)snprintf(renamed, sizeof(renamed), "%s_", key);
            jw_key(w, renamed);
            return;
        }
    }
    jw_key(w, key);
}

static void put_kv(struct jw *w, const struct log_kv *kv) {
    put_key(w, kv->key);
    switch (kv->kind) {
    case LOG_KV_STR:
        if (kv->s == NULL)
            jw_null(w);
        else
            put_text(w, str_n(kv->s, strnlen(kv->s, MIB(1))));
        break;
    case LOG_KV_INT:
        jw_int(w, kv->i);
        break;
    case LOG_KV_BOOL:
        jw_bool(w, kv->b);
        break;
    case LOG_KV_ERR:
        put_error(w, kv->e);
        break;
    case LOG_KV_RAW:
        put_raw(w, kv->s);
        break;
    case LOG_KV_SECRET:
    case LOG_KV_END:
        jw_str(w, "***");
        break;
    }
}

static void format(struct buf *b, enum log_level level, const char *file, int line, const char *event,
                   const struct log_kv *kv) {
    struct jw w;
    char ts[TIME_RFC3339_LEN];
    jw_init(&w, b);
    jw_obj(&w);
    jw_kv_str(&w, "ts", time_rfc3339(ts, clock_wall_ms()));
    jw_kv_str(&w, "level", names[level]);
    jw_kv_str(&w, "event", event);
    for (; kv != NULL && kv->kind != LOG_KV_END; kv++)
        put_kv(&w, kv);
    if (loop_on_thread() && fiber_on_fiber()) { /* fibers exist on the loop thread alone */
        const char *label = fiber_label();
        if (label != NULL && label[0] != 0)
            jw_kv_str(&w, "request_id", label);
        jw_kv_int(&w, "fiber", (int64_t)fiber_id());
    }
    if (level >= LOG_WARNING)
        put_src(&w, file, line);
    jw_obj_end(&w);
    buf_putc(b, '\n');
}

void log_emit(enum log_level level, const char *file, int line, const char *event, const struct log_kv *kv) {
    CHECK((unsigned)level < ARRAY_LEN(names) && event != NULL);
    if (!log_enabled(level))
        return;
    AUTO_BUF b;
    buf_init(&b, 512, LINE_MAX_BYTES);
    format(&b, level, file, line, event, kv);
    if (b.failed) { /* too much of everything: at least say that it happened */
        struct log_kv cut[] = {KV_BOOL("truncated", true), {.kind = LOG_KV_END}};
        buf_clear(&b);
        format(&b, level, file, line, event, cut);
    }
    if (log_sink_put(b.p, b.n))
        atomic_fetch_add_explicit(&lines[level], 1, memory_order_relaxed);
    if (level == LOG_CRITICAL)
        log_sink_flush();
}

err_t log_setup(const struct log_conf *conf) {
    CHECK((unsigned)conf->level < ARRAY_LEN(names));
    TRY(log_sink_setup(conf));
    atomic_store(&threshold, (int)conf->level);
    return NULL;
}

void log_flush(void) { log_sink_flush(); }

struct log_stats log_stats_get(void) {
    struct log_stats s = {.dropped = log_sink_dropped(), .write_errors = log_sink_write_errors()};
    for (size_t i = 0; i < ARRAY_LEN(s.lines); i++)
        s.lines[i] = atomic_load_explicit(&lines[i], memory_order_relaxed);
    return s;
}
