/* .dockerignore: patterns anchored at the context's root; a pattern that matches a directory covers what is in it; the
 * last pattern that says something about a path decides. */
#include "core/base/vec.h"
#include "core/docker/tar.h"

#define MAX_PATTERNS 10000

struct pattern {
    bool keep; /* written with "!" */
    struct str text;
};
struct dockerignore {
    VEC(struct pattern) p;
    bool any_keep;
};

/* The cleaned form: no leading or trailing slash, no "." or empty parts; ".." is resolved inside the root. */
static struct str clean(struct arena *a, struct str s) {
    char *out = arena_alloc(a, s.n + 1, 1);
    size_t n = 0;
    struct str part;
    while (str_cut(&s, '/', &part)) {
        if (!part.n || str_eq(part, STR(".")))
            continue;
        if (str_eq(part, STR(".."))) {
            while (n && out[n - 1] != '/')
                n--;
            n -= n != 0;
            continue;
        }
        if (n)
            out[n++] = '/';
        memcpy(out + n, part.p, part.n);
        n += part.n;
    }
    out[n] = 0;
    return str_n(out, n);
}

static void add(struct arena *a, struct dockerignore *di, struct str line) {
    bool keep = line.p[0] == '!';
    struct str text = clean(a, str_trim(str_slice(line, keep, line.n)));
    if (!text.n)
        return;
    *vec_push(a, &di->p) = (struct pattern){keep, text};
    di->any_keep |= keep;
}

err_t dockerignore_parse(struct arena *a, struct str text, const char *dockerfile, struct dockerignore **ret) {
    struct dockerignore *di = arena_new_obj(a, struct dockerignore);
    struct str rest = text, line;
    if (str_starts(rest, STR("\xef\xbb\xbf")))
        rest = str_slice(rest, 3, rest.n);
    while (str_cut(&rest, '\n', &line)) {
        if (line.n && line.p[0] == '#')
            continue;
        line = str_trim(line);
        if (!line.n)
            continue;
        if (di->p.n == MAX_PATTERNS)
            return err_new(ERR_TOO_LARGE, ".dockerignore has more than %d patterns", MAX_PATTERNS);
        if (line.n > 4096)
            return err_new(ERR_TOO_LARGE, ".dockerignore has a line of more than 4096 bytes");
        add(a, di, line);
    }
    /* The engine needs these two in any case. */
    if (di->p.n) {
        add(a, di, STR("!.dockerignore"));
        add(a, di, str_of(arena_printf(a, "!%s", dockerfile ? dockerfile : "Dockerfile")));
    }
    *ret = di;
    return NULL;
}

static bool class_match(struct str *pat, char c) {
    size_t i = 1;
    bool negate = i < pat->n && pat->p[i] == '^', hit = false;
    i += negate;
    for (bool first = true; i < pat->n && (first || pat->p[i] != ']'); first = false) {
        if (pat->p[i] == '\\' && i + 1 < pat->n)
            i++;
        char lo = pat->p[i++], hi = lo;
        if (i + 1 < pat->n && pat->p[i] == '-' && pat->p[i + 1] != ']') {
            hi = pat->p[i + 1];
            i += 2;
        }
        hit |= c >= lo && c <= hi;
    }
    *pat = str_slice(*pat, i + 1, pat->n);
    return hit != negate && c != '/';
}

/* One step of a pattern on one character; returns whether it matched and what is left of the pattern. */
static bool step(struct str *pat, char c) {
    char p = pat->p[0];
    if (p == '[')
        return class_match(pat, c);
    if (p == '?') {
        *pat = str_slice(*pat, 1, pat->n);
        return c != '/';
    }
    if (p == '\\' && pat->n > 1) {
        *pat = str_slice(*pat, 1, pat->n);
        p = pat->p[0];
    }
    *pat = str_slice(*pat, 1, pat->n);
    return p == c;
}

/* Two backtracking points are enough: the last "*" (inside a component) and the last "**" (across components). Each
 * later star makes earlier ones of its kind irrelevant, so the work is bounded by |pattern| * |path|^2. */
static bool match(struct str pat, struct str s) {
    struct str star_pat = {0}, star_s = {0}, deep_pat = {0}, deep_s = {0};
    bool star = false, deep = false, deep_slash = false;
    for (;;) {
        if (str_starts(pat, STR("**"))) {
            pat = str_slice(pat, 2, pat.n);
            deep_slash = pat.n && pat.p[0] == '/';
            pat = str_slice(pat, deep_slash, pat.n);
            deep = true;
            star = false;
            deep_pat = pat;
            deep_s = s;
            continue;
        }
        if (pat.n && pat.p[0] == '*') {
            pat = str_slice(pat, 1, pat.n);
            star = true;
            star_pat = pat;
            star_s = s;
            continue;
        }
        if (!pat.n && !s.n)
            return true;
        if (pat.n && s.n && step(&pat, s.p[0])) {
            s = str_slice(s, 1, s.n);
            continue;
        }
        if (star && star_s.n && star_s.p[0] != '/') {
            star_s = str_slice(star_s, 1, star_s.n);
            s = star_s;
            pat = star_pat;
        } else if (deep && deep_s.n) {
            ptrdiff_t next = deep_slash ? str_find_chr(deep_s, '/') : 0; /* whole components only */
            if (next < 0)
                return false;
            deep_s = str_slice(deep_s, (size_t)next + 1, deep_s.n);
            s = deep_s;
            pat = deep_pat;
            star = false;
        } else {
            return false;
        }
    }
}

/* Does the pattern name the path or one of its parents? */
static bool covers(struct str pat, struct str path) {
    for (size_t i = 1; i <= path.n; i++)
        if ((i == path.n || path.p[i] == '/') && match(pat, str_slice(path, 0, i)))
            return true;
    return false;
}

bool dockerignore_excluded(const struct dockerignore *di, const char *path) {
    struct str s = str_of(path);
    while (s.n && s.p[s.n - 1] == '/')
        s.n--;
    for (size_t i = di->p.n; i-- > 0;)
        if (covers(di->p.v[i].text, s))
            return !di->p.v[i].keep;
    return false;
}

bool dockerignore_prune(const struct dockerignore *di, const char *dir) {
    if (!dockerignore_excluded(di, dir))
        return false;
    struct str d = str_of(dir);
    for (size_t i = 0; i < di->p.n; i++) {
        struct str p = di->p.v[i].text;
        if (!di->p.v[i].keep)
            continue;
        bool wild = false;
        for (size_t j = 0; j < p.n && j <= d.n && !wild; j++)
            wild = strchr("*?[\\", p.p[j]) != NULL;
        if (wild || (str_starts(p, d) && p.n > d.n && p.p[d.n] == '/'))
            return false;
    }
    return true;
}
