/* Byte formats of engine streams, pure: the multiplexed attach/logs framing, log records to lines, JSON values one after
 * another. No I/O, no unbounded memory, any split of the input. */
#pragma once
#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/str.h"

/* --- frames: {type,0,0,0,len32be} payload --- */
enum mux_type { MUX_STDIN = 0, MUX_STDOUT = 1, MUX_STDERR = 2, MUX_SYSERR = 3 };
#define MUX_MAX_FRAME MIB(64) /* a declared length above it is not the engine's */
#define MUX_MAX_PIECE MIB(1)
struct mux {
    uint8_t head[8];
    uint8_t nhead;
    uint8_t type;
    bool raw;   /* TTY: no frames, all stdout */
    bool fresh; /* next piece begins a frame */
    uint32_t left;
    char syserr[256]; /* text of a type 3 frame */
    uint16_t nsyserr;
};
/** `first`: the piece begins a frame. Pieces are at most MUX_MAX_PIECE; empty frames give no piece. */
typedef err_t mux_fn(void *arg, enum mux_type type, struct str piece, bool first);
void mux_init(struct mux *m, bool raw);
/** ERR_DOCKER_PROTOCOL: unknown type, non-zero padding, absurd length. A type 3 frame gives ERR_DOCKER with its text once
 * it is complete. fn's error is returned as is. */
MUST_CHECK err_t mux_feed(struct mux *m, struct str bytes, mux_fn *fn, void *arg);
/** At the end of the stream: ERR_DOCKER_PROTOCOL inside a frame. */
MUST_CHECK err_t mux_end(const struct mux *m);

/* --- log records (timestamps=1) to lines --- */
#define LOG_LINE_MAX KIB(64)   /* a longer line is cut, the rest is dropped and `cut` set */
#define LOG_RECORD_MAX KIB(16) /* the engine breaks longer lines into records of this size */
struct log_line {
    int64_t ts_ns;  /* engine time; 0 if it had none */
    uint8_t stream; /* MUX_STDOUT or MUX_STDERR */
    bool cut;
    struct str text; /* bytes as written, without the line end; may be any bytes */
};
typedef err_t log_line_fn(void *arg, const struct log_line *line);
struct log_joiner {
    struct {
        struct buf text;
        char stamp[40];
        uint8_t nstamp;
        uint32_t in_record; /* payload bytes of the current record */
        int64_t ts_ns;
        bool have_ts, stamping, started, cut;
    } s[2];
    bool raw;
};
void log_joiner_init(struct log_joiner *j, bool raw);
void log_joiner_done(struct log_joiner *j);
MUST_CHECK err_t log_joiner_feed(struct log_joiner *j, enum mux_type type, struct str piece, bool first,
                                 log_line_fn *fn, void *arg);
/** End of stream: give out unfinished lines. */
MUST_CHECK err_t log_joiner_end(struct log_joiner *j, log_line_fn *fn, void *arg);
/** "2026-01-02T03:04:05.678901234Z" -> unix nanoseconds. */
bool log_stamp_parse(struct str s, int64_t *ret_ns);

/* --- JSON values one after another, or the elements of one array --- */
struct json_split {
    struct buf item;
    size_t max_item;
    unsigned depth;
    bool in_array, opened, ended;             /* the list around the items */
    bool started, in_string, escaped, scalar; /* the open item */
};
typedef err_t json_item_fn(void *arg, struct str text);
/** `array`: the input is one array, give its elements. */
void json_split_init(struct json_split *s, bool array, size_t max_item);
void json_split_done(struct json_split *s);
/** ERR_DOCKER_PROTOCOL: an item above max_item, or bytes that cannot begin a value. `text` lives until fn returns. */
MUST_CHECK err_t json_split_feed(struct json_split *s, struct str bytes, json_item_fn *fn, void *arg);
MUST_CHECK err_t json_split_end(struct json_split *s, json_item_fn *fn, void *arg);
