/* Glob matching by simulating the pattern as a set of states, so that no pattern can make it slow: at most
 * (tokens x bytes) steps, no backtracking. */
#include <string.h>
#include "core/base/check.h"
#include "core/base/str.h"

#define TOKENS_MAX 512

enum kind { LITERAL, ANY_ONE, CLASS, STAR, STAR2, STAR2_SLASH };
struct token {
    uint8_t kind;
    unsigned char c;  /* LITERAL */
    uint16_t at, len; /* CLASS: range of the pattern between the brackets */
};
struct program {
    struct str pattern;
    size_t n;
    struct token t[TOKENS_MAX];
};
typedef uint64_t set[TOKENS_MAX / 64 + 1];

/* Index of the closing bracket, 0 when there is none (then '[' is an ordinary character). */
static size_t class_end(struct str p, size_t at) {
    size_t i = at + 1;
    if (i < p.n && (p.p[i] == '!' || p.p[i] == '^'))
        i++;
    if (i < p.n && p.p[i] == ']')
        i++;
    while (i < p.n && p.p[i] != ']')
        i++;
    return i < p.n ? i : 0;
}

static bool class_has(struct str body, unsigned char c) {
    size_t i = 0;
    bool negate = body.n > 0 && (body.p[0] == '!' || body.p[0] == '^'), in = false;
    if (negate)
        i = 1;
    while (i < body.n) {
        unsigned char lo = (unsigned char)body.p[i], hi = lo;
        if (i + 2 < body.n && body.p[i + 1] == '-') {
            hi = (unsigned char)body.p[i + 2];
            i += 3;
        } else {
            i++;
        }
        in = in || (c >= lo && c <= hi);
    }
    return c != '/' && in != negate;
}

static size_t compile_star(const struct str p, size_t i, struct token *t) {
    if (i + 1 >= p.n || p.p[i + 1] != '*') {
        t->kind = STAR;
        return i + 1;
    }
    bool at_start = i == 0 || p.p[i - 1] == '/';
    while (i < p.n && p.p[i] == '*')
        i++;
    t->kind = STAR2;
    if (at_start && i < p.n && p.p[i] == '/') {
        t->kind = STAR2_SLASH; /* also matches no directory at all */
        i++;
    }
    return i;
}

static bool compile(struct str p, struct program *prog) {
    prog->pattern = p;
    prog->n = 0;
    if (p.n > UINT16_MAX)
        return false;
    for (size_t i = 0; i < p.n;) {
        if (prog->n == TOKENS_MAX)
            return false;
        struct token *t = &prog->t[prog->n++];
        *t = (struct token){.kind = LITERAL, .c = (unsigned char)p.p[i]};
        size_t end;
        if (p.p[i] == '*') {
            i = compile_star(p, i, t);
        } else if (p.p[i] == '?') {
            t->kind = ANY_ONE;
            i++;
        } else if (p.p[i] == '[' && (end = class_end(p, i)) != 0) {
            *t = (struct token){.kind = CLASS, .at = (uint16_t)(i + 1), .len = (uint16_t)(end - i - 1)};
            i = end + 1;
        } else if (p.p[i] == '\\' && i + 1 < p.n) {
            t->c = (unsigned char)p.p[i + 1];
            i += 2;
        } else {
            i++;
        }
    }
    return true;
}

static void put(uint64_t *s, size_t i) { s[i / 64] |= (uint64_t)1 << (i % 64); }

/* Enter state i: what may match nothing is passed at once. */
static void enter(const struct program *g, uint64_t *s, size_t i) {
    put(s, i);
    while (i < g->n && g->t[i].kind >= STAR)
        put(s, ++i);
}

static void step(const struct program *g, size_t i, unsigned char c, uint64_t *next) {
    const struct token *t = &g->t[i];
    switch (t->kind) {
    case STAR:
        if (c != '/')
            enter(g, next, i);
        break;
    case STAR2:
        enter(g, next, i);
        break;
    case STAR2_SLASH:
        put(next, i);
        if (c == '/')
            enter(g, next, i + 1);
        break;
    case LITERAL:
        if (c == t->c)
            enter(g, next, i + 1);
        break;
    case ANY_ONE:
        if (c != '/')
            enter(g, next, i + 1);
        break;
    default:
        if (class_has(str_slice(g->pattern, t->at, (size_t)t->at + t->len), c))
            enter(g, next, i + 1);
    }
}

bool glob_match(struct str pattern, struct str s) {
    struct program g;
    if (!compile(pattern, &g))
        return false;
    set now, next;
    size_t words = g.n / 64 + 1;
    memset(now, 0, words * 8);
    enter(&g, now, 0);
    for (size_t i = 0; i < s.n; i++) {
        memset(next, 0, words * 8);
        uint64_t any = 0;
        for (size_t w = 0; w < words; w++) {
            for (uint64_t bits = now[w]; bits != 0; bits &= bits - 1) {
                size_t state = w * 64 + (size_t)__builtin_ctzll(bits);
                if (state < g.n)
                    step(&g, state, (unsigned char)s.p[i], next);
            }
        }
        for (size_t w = 0; w < words; w++)
            any |= now[w] = next[w];
        if (any == 0)
            return false;
    }
    return (now[g.n / 64] >> (g.n % 64)) & 1;
}
