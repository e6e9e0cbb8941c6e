/* Log records to lines. With timestamps=1 the engine begins every record with its time; a line above 16 KiB comes as
 * several records, each with a time of its own, of which only the last ends with a newline. */
#include "core/docker/stream.h"

void log_joiner_init(struct log_joiner *j, bool raw) {
    *j = (struct log_joiner){.raw = raw};
    for (int i = 0; i < 2; i++)
        buf_init(&j->s[i].text, 0, LOG_LINE_MAX);
}

void log_joiner_done(struct log_joiner *j) {
    for (int i = 0; i < 2; i++)
        buf_done(&j->s[i].text);
}

static int64_t days_of(int64_t y, int64_t m, int64_t d) {
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400, yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static bool digits(struct str s, size_t at, size_t n, int64_t *ret) {
    int64_t v = 0;
    if (at + n > s.n)
        return false;
    for (size_t i = at; i < at + n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        v = v * 10 + (s.p[i] - '0');
    }
    *ret = v;
    return true;
}

static bool zone(struct str s, size_t at, int64_t *ret_seconds) {
    int64_t h, m;
    *ret_seconds = 0;
    if (at + 1 == s.n && s.p[at] == 'Z')
        return true;
    if (at + 6 != s.n || (s.p[at] != '+' && s.p[at] != '-') || s.p[at + 3] != ':' || !digits(s, at + 1, 2, &h) ||
        !digits(s, at + 4, 2, &m))
        return false;
    *ret_seconds = (s.p[at] == '-' ? -1 : 1) * (h * 3600 + m * 60);
    return true;
}

bool log_stamp_parse(struct str s, int64_t *ret_ns) {
    int64_t y, mo, d, h, mi, sec, off, frac = 0;
    if (s.n < 20 || s.p[4] != '-' || s.p[7] != '-' || s.p[10] != 'T' || s.p[13] != ':' || s.p[16] != ':' ||
        !digits(s, 0, 4, &y) || !digits(s, 5, 2, &mo) || !digits(s, 8, 2, &d) || !digits(s, 11, 2, &h) ||
        !digits(s, 14, 2, &mi) || !digits(s, 17, 2, &sec))
        return false;
    if (y < 1970 || y > 2200 || mo < 1 || mo > 12 || d < 1 || d > 31 || h > 23 || mi > 59 || sec > 60)
        return false;
    size_t at = 19;
    if (s.p[at] == '.') {
        int64_t unit = 100000000;
        for (at++; at < s.n && s.p[at] >= '0' && s.p[at] <= '9' && unit; at++, unit /= 10)
            frac += (s.p[at] - '0') * unit;
    }
    if (!zone(s, at, &off))
        return false;
    *ret_ns = ((days_of(y, mo, d) * 86400 + h * 3600 + mi * 60 + sec) - off) * 1000000000 + frac;
    return true;
}

typedef __typeof__(((struct log_joiner *)0)->s[0]) side_t;

static void add_text(side_t *s, struct str t) {
    size_t room = LOG_LINE_MAX - s->text.n;
    if (t.n > room) {
        s->cut = true;
        t.n = room;
    }
    buf_put(&s->text, t.p, t.n);
}

static err_t emit(struct log_joiner *j, int i, log_line_fn *fn, void *arg) {
    side_t *s = &j->s[i];
    struct log_line line = {.ts_ns = s->have_ts ? s->ts_ns : 0, .stream = (uint8_t)(i + 1), .cut = s->cut};
    line.text = buf_str(&s->text);
    if (line.text.n && line.text.p[line.text.n - 1] == '\r')
        line.text.n--;
    err_t e = fn(arg, &line);
    buf_clear(&s->text);
    s->cut = false;
    s->started = false;
    s->in_record = 0;
    return e;
}

/* What was collected as a time turned out to be text, or is one: settle it. */
static void settle_stamp(side_t *s) {
    int64_t ts;
    s->stamping = false;
    if (log_stamp_parse(str_n(s->stamp, s->nstamp), &ts)) {
        if (!s->started) {
            s->ts_ns = ts;
            s->have_ts = true;
        }
        s->started = true;
        s->nstamp = 0;
        return;
    }
    if (!s->started)
        s->have_ts = false;
    s->started = true;
    add_text(s, str_n(s->stamp, s->nstamp));
    s->in_record += s->nstamp;
    s->nstamp = 0;
}

/* The space after a time belongs to it; a space after something else is text. */
static size_t stamp_bytes(side_t *s, struct str piece) {
    for (size_t i = 0; i < piece.n; i++) {
        char c = piece.p[i];
        if (c == ' ') {
            int64_t ts;
            bool is_time = log_stamp_parse(str_n(s->stamp, s->nstamp), &ts);
            settle_stamp(s);
            return is_time ? i + 1 : i;
        }
        if (c == '\n' || s->nstamp == sizeof s->stamp) {
            settle_stamp(s);
            return i;
        }
        s->stamp[s->nstamp++] = c;
    }
    return piece.n;
}

static void begin_record(side_t *s) {
    if (s->stamping && s->nstamp)
        settle_stamp(s);
    s->stamping = true;
    s->nstamp = 0;
    s->in_record = 0;
}

err_t log_joiner_feed(struct log_joiner *j, enum mux_type type, struct str piece, bool first, log_line_fn *fn,
                      void *arg) {
    int i = type == MUX_STDERR ? 1 : 0;
    side_t *s = &j->s[i];
    if (!j->raw && first)
        begin_record(s);
    while (piece.n) {
        if (j->raw && !s->stamping && (!s->started || s->in_record == LOG_RECORD_MAX))
            begin_record(s);
        if (s->stamping) {
            size_t n = stamp_bytes(s, piece);
            piece = str_slice(piece, n, piece.n);
            if (s->stamping)
                return NULL;
            continue;
        }
        const char *nl = memchr(piece.p, '\n', piece.n);
        size_t n = nl ? (size_t)(nl - piece.p) : piece.n;
        if (j->raw && s->in_record < LOG_RECORD_MAX && n > LOG_RECORD_MAX - s->in_record) {
            n = LOG_RECORD_MAX - s->in_record; /* a time may stand here */
            nl = NULL;
        }
        s->started = true;
        add_text(s, str_n(piece.p, n));
        s->in_record += (uint32_t)n;
        piece = str_slice(piece, n + (nl != NULL), piece.n);
        if (nl)
            TRY(emit(j, i, fn, arg));
    }
    return NULL;
}

err_t log_joiner_end(struct log_joiner *j, log_line_fn *fn, void *arg) {
    for (int i = 0; i < 2; i++) {
        side_t *s = &j->s[i];
        if (s->stamping && s->nstamp)
            settle_stamp(s);
        if (s->text.n)
            TRY(emit(j, i, fn, arg));
        s->started = s->stamping = false;
    }
    return NULL;
}
