/* The web UI from memory: hashed names for ever, twins in br and gzip, index.html with a fresh nonce for every answer. Paths that
 * look like pages of the single-page application get index.html. */
#include "core/base/id.h"
#include "server/csp_report.h"
#include "server/internal.h"
#include "server/static_assets.h"

enum { NONCE_BYTES = 16 };
static const char NONCE_MARK[] = "__CSP_NONCE__";

static const struct static_asset *find(struct str path) {
    size_t lo = 0, hi = static_assets_count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = str_cmp(path, str_of(static_assets[mid].path));
        if (c == 0)
            return &static_assets[mid];
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

/* The last path segment has a dot: a file, not a page */
static bool names_file(struct str path) {
    size_t i = path.n;
    while (i > 0 && path.p[i - 1] != '/')
        i--;
    return str_find_chr(str_slice(path, i, path.n), '.') >= 0;
}

static bool accepts(const struct request *r, const char *coding) {
    struct str list = request_header(r, "accept-encoding"), part;
    while (str_cut(&list, ',', &part)) {
        part = str_trim(part);
        ptrdiff_t semi = str_find_chr(part, ';');
        struct str name = semi < 0 ? part : str_trim(str_n(part.p, (size_t)semi));
        struct str q = semi < 0 ? str_n("", 0) : str_trim(str_slice(part, (size_t)semi + 1, part.n));
        if (str_eq_nocase(name, str_of(coding)))
            return !(str_starts(q, STR("q=0")) && str_find_chr(q, '.') < 0) && !str_eqz(q, "q=0.0") &&
                   !str_eqz(q, "q=0.00");
    }
    return false;
}

static bool not_modified(const struct request *r, const char *etag) {
    struct str list = request_header(r, "if-none-match"), part;
    while (str_cut(&list, ',', &part)) {
        part = str_trim(part);
        if (str_starts(part, STR("W/")))
            part = str_slice(part, 2, part.n);
        if (str_eqz(part, etag))
            return true;
    }
    return false;
}

static const char *page_csp(struct xchg *x, const char *nonce) {
    bool ws_tls = x->r.tls;
    return arena_printf(
        x->a,
        "default-src 'none'; script-src 'self'; style-src-elem 'self' 'nonce-%s'; style-src-attr 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self'; connect-src 'self' %s://%.*s; worker-src 'self'; "
        "manifest-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; object-src 'none'; "
        "report-to csp",
        nonce, ws_tls ? "wss" : "ws", STR_ARG(x->r.authority));
}

static void answer_page(struct xchg *x, const struct static_asset *index) {
    uint8_t raw[NONCE_BYTES];
    random_bytes(raw, sizeof(raw));
    const char *nonce = base64url_encode(x->a, raw, sizeof(raw));
    AUTO_BUF b;
    buf_init(&b, index->identity_len + 64, MIB(4));
    struct str rest = str_n((const char *)index->identity, index->identity_len);
    for (;;) {
        ptrdiff_t at = str_find(rest, STR(NONCE_MARK));
        if (at < 0)
            break;
        buf_put(&b, rest.p, (size_t)at);
        buf_puts(&b, nonce);
        rest = str_slice(rest, (size_t)at + sizeof(NONCE_MARK) - 1, rest.n);
    }
    buf_put(&b, rest.p, rest.n);
    x->out.csp = page_csp(x, nonce);
    err_ignore(reply_header(&x->out, "reporting-endpoints", "csp=\"" CSP_REPORT_PATH "\""));
    err_ignore(reply_header(&x->out, "cache-control", "no-store"));
    err_ignore(reply_bytes(&x->out, 200, "text/html; charset=utf-8", buf_str(&b)));
}

static void answer_asset(struct xchg *x, const struct static_asset *f) {
    struct reply *out = &x->out;
    err_ignore(reply_header(out, "cache-control", f->immutable ? "public, max-age=31536000, immutable" : "no-cache"));
    err_ignore(reply_header(out, "vary", "accept-encoding"));
    out->csp = "default-src 'none'; frame-ancestors 'none'; worker-src 'self'; connect-src 'self'; script-src 'self'";
    bool br = f->br != NULL && accepts(&x->r, "br"), gz = !br && f->gzip != NULL && accepts(&x->r, "gzip");
    char etag[96];
    struct str plain = str_of(f->etag); /* "…" with quotes; the twins are other representations */
    (void)snprintf(etag, sizeof(etag), "%.*s%s\"", (int)plain.n - 1, plain.p, br ? "-br" : gz ? "-gz" : "");
    err_ignore(reply_header(out, "etag", etag));
    if (not_modified(&x->r, etag)) {
        err_ignore(reply_empty(out, 304));
        return;
    }
    if (br || gz)
        err_ignore(reply_header(out, "content-encoding", br ? "br" : "gzip"));
    out->status = 200;
    out->content_type = f->content_type;
    out->body = br   ? str_n((const char *)f->br, f->br_len)
                : gz ? str_n((const char *)f->gzip, f->gzip_len)
                     : str_n((const char *)f->identity, f->identity_len);
}

bool static_match(struct xchg *x) {
    bool get = str_eqz(x->r.method, "GET") || x->head;
    const struct static_asset *index = find(STR("/index.html"));
    const struct static_asset *f = find(x->r.path);
    if (f == NULL && (names_file(x->r.path) || index == NULL))
        return false;
    if (!get) {
        reply_error(&x->out, err_detail(err_new(ERR_METHOD, "only GET and HEAD here"), "allow", "GET, HEAD"));
        return true;
    }
    if (f == NULL || f == index)
        answer_page(x, index);
    else
        answer_asset(x, f);
    return true;
}
