/* Demultiplexer of attach and log streams. */
#include "core/docker/stream.h"

void mux_init(struct mux *m, bool raw) { *m = (struct mux){.raw = raw, .fresh = true}; }

static err_t take_header(struct mux *m) {
    const uint8_t *h = m->head;
    if (h[0] > MUX_SYSERR || h[1] || h[2] || h[3])
        return err_new(ERR_DOCKER_PROTOCOL, "stream frame of unknown type %u (header %02x%02x%02x%02x)", h[0], h[0],
                       h[1], h[2], h[3]);
    uint32_t len = (uint32_t)h[4] << 24 | (uint32_t)h[5] << 16 | (uint32_t)h[6] << 8 | h[7];
    if (len > MUX_MAX_FRAME)
        return err_new(ERR_DOCKER_PROTOCOL, "stream frame claims %u bytes, the limit is %zu", len,
                       (size_t)MUX_MAX_FRAME);
    m->type = h[0];
    m->left = len;
    m->fresh = true;
    m->nhead = 0;
    m->nsyserr = 0;
    return NULL;
}

static err_t syserr(struct mux *m, struct str piece) {
    size_t room = sizeof m->syserr - 1 - m->nsyserr, n = piece.n < room ? piece.n : room;
    memcpy(m->syserr + m->nsyserr, piece.p, n);
    m->nsyserr = (uint16_t)(m->nsyserr + n);
    m->syserr[m->nsyserr] = 0;
    if (m->left)
        return NULL;
    return err_new(ERR_DOCKER, "%s", m->nsyserr ? m->syserr : "the engine reported an error in the stream");
}

static err_t give(struct mux *m, struct str piece, mux_fn *fn, void *arg) {
    if (m->type == MUX_SYSERR)
        return syserr(m, piece);
    bool first = m->fresh;
    m->fresh = false;
    return fn(arg, m->type, piece, first);
}

err_t mux_feed(struct mux *m, struct str bytes, mux_fn *fn, void *arg) {
    if (m->raw) {
        m->type = MUX_STDOUT;
        for (size_t at = 0; at < bytes.n; at += MUX_MAX_PIECE) {
            size_t n = bytes.n - at < MUX_MAX_PIECE ? bytes.n - at : MUX_MAX_PIECE;
            TRY(give(m, str_n(bytes.p + at, n), fn, arg));
        }
        return NULL;
    }
    while (bytes.n) {
        if (m->left == 0) {
            size_t want = sizeof m->head - m->nhead, n = bytes.n < want ? bytes.n : want;
            memcpy(m->head + m->nhead, bytes.p, n);
            m->nhead = (uint8_t)(m->nhead + n);
            bytes = str_slice(bytes, n, bytes.n);
            if (m->nhead < sizeof m->head)
                return NULL;
            TRY(take_header(m));
            continue;
        }
        size_t n = bytes.n < m->left ? bytes.n : m->left;
        if (n > MUX_MAX_PIECE)
            n = MUX_MAX_PIECE;
        m->left -= (uint32_t)n;
        TRY(give(m, str_n(bytes.p, n), fn, arg));
        bytes = str_slice(bytes, n, bytes.n);
    }
    return NULL;
}

err_t mux_end(const struct mux *m) {
    if (!m->raw && (m->left || m->nhead))
        return err_new(ERR_DOCKER_PROTOCOL, "the stream ended inside a frame");
    return NULL;
}
