/* Structured logging: one JSON line per event to stderr and, if configured, a rotated file. Never blocks the caller: lines
 * go through a bounded buffer to a writer thread; what does not fit is counted and said. Safe from any thread. Before
 * log_setup, and in a forked child, lines are written to stderr at once.
 * Fields: ts, level, event, the caller's own, request_id and fiber when on a fiber, src (file:line) from WARNING upwards.
 * A caller's key that collides with one of these gets a trailing underscore. Long texts are cut. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "core/base/err.h"
#include "core/base/json.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR, LOG_CRITICAL };
/** A value that must never be printed: always rendered as "***". Wrap credentials in it. */
struct secret {
    struct str value;
};
enum log_kind { LOG_KV_END, LOG_KV_STR, LOG_KV_INT, LOG_KV_BOOL, LOG_KV_ERR, LOG_KV_RAW, LOG_KV_SECRET };
struct log_kv {
    enum log_kind kind;
    const char *key;
    union {
        const char *s;
        int64_t i;
        bool b;
        err_t e;
    };
};
#define KV_STR(k, v) ((struct log_kv){.kind = LOG_KV_STR, .key = (k), .s = (v)})
#define KV_INT(k, v) ((struct log_kv){.kind = LOG_KV_INT, .key = (k), .i = (int64_t)(v)})
#define KV_BOOL(k, v) ((struct log_kv){.kind = LOG_KV_BOOL, .key = (k), .b = (v)})
#define KV_ERR(v) ((struct log_kv){.kind = LOG_KV_ERR, .key = "error", .e = (v)}) /* code, message chain, file:line */
#define KV_RAW(k, v) ((struct log_kv){.kind = LOG_KV_RAW, .key = (k), .s = (v)})  /* JSON text */
#define KV_SECRET(k, v) ((struct log_kv){.kind = LOG_KV_SECRET, .key = (k)})
/** LOG(INFO, "docker.connected", KV_STR("node", n)): event is a dotted constant name. */
#define LOG(level, event, ...)                                                                                         \
    log_emit(LOG_##level, __FILE__, __LINE__, (event),                                                                 \
             (struct log_kv[]){__VA_ARGS__ __VA_OPT__(, ){.kind = LOG_KV_END}})
void log_emit(enum log_level level, const char *file, int line, const char *event, const struct log_kv *kv);
struct log_conf {
    enum log_level level;
    const char *file;    /* NULL = stderr only */
    size_t rotate_bytes; /* 0 = 50 MiB */
    int keep;            /* rotated files kept, default 5 */
    bool quiet_stderr;
};
/** Again on reload: also reopens the file (after an outside rotation). On error (ERR_CONFIG: the file cannot be opened)
 * what was set up before stays in force. */
MUST_CHECK err_t log_setup(const struct log_conf *conf);
/** Wait until everything logged so far is written, at most two seconds. CRITICAL lines do so by themselves. */
void log_flush(void);
bool log_enabled(enum log_level level);
bool log_level_parse(const char *name, enum log_level *ret);
const char *log_level_name(enum log_level level); /* "INFO" */
struct log_stats {
    uint64_t lines[LOG_CRITICAL + 1]; /* accepted, by level */
    uint64_t dropped;                 /* the buffer was full */
    uint64_t write_errors;            /* lines lost by a sink */
};
struct log_stats log_stats_get(void);
