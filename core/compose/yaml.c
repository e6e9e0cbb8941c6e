#include "core/compose/yaml.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <yaml.h>

#include "core/base/check.h"
#include "core/base/vec.h"

struct anchor {
    struct y_node *node;
    bool open; /* its node is still being read: an alias now would contain itself */
};
struct reader {
    struct arena *a;
    yaml_parser_t parser;
    const char *file;
    struct yaml_limits lim;
    size_t nodes, aliases;
    struct map anchors; /* name -> struct anchor */
};

static err_t read_node(struct reader *r, const yaml_event_t *ev, size_t depth, struct y_node **ret);

static struct y_node place(const struct reader *r, yaml_mark_t m) {
    return (struct y_node){.file = r->file, .line = (uint32_t)m.line + 1, .col = (uint32_t)m.column + 1};
}

static err_t next_event(struct reader *r, yaml_event_t *ev) {
    if (yaml_parser_parse(&r->parser, ev))
        return NULL;
    const yaml_parser_t *p = &r->parser;
    struct y_node at = place(r, p->problem_mark);
    const char *problem = p->problem != NULL ? p->problem : "malformed YAML";
    if (p->error == YAML_READER_ERROR) {
        at = place(r, p->mark);
        return y_hint(y_error(ERR_INVALID_YAML, &at, NULL, "%s (byte %zu)", problem, p->problem_offset),
                      "YAML here must be UTF-8 text");
    }
    err_t e = p->context != NULL && p->context_mark.line != p->problem_mark.line
                  ? y_error(ERR_INVALID_YAML, &at, NULL, "%s, %s that began on line %zu", problem, p->context,
                            p->context_mark.line + 1)
                  : y_error(ERR_INVALID_YAML, &at, NULL, "%s", problem);
    if (strstr(problem, "tab") != NULL || strstr(problem, "cannot start any token") != NULL)
        e = y_hint(e, "indent with spaces, not with tabs; quote values that begin with a special character");
    else if (strstr(problem, "mapping values are not allowed") != NULL)
        e = y_hint(e, "check the indentation, or quote a value that contains \": \"");
    return e;
}

static err_t new_node(struct reader *r, enum y_kind k, const yaml_event_t *ev, struct y_node **ret) {
    struct y_node at = place(r, ev->start_mark);
    if (++r->nodes > r->lim.max_nodes)
        return y_error(ERR_YAML_LIMIT, &at, NULL, "document contains more than %zu nodes", r->lim.max_nodes);
    *ret = y_new(r->a, k, &at);
    return NULL;
}

/* ---- scalars: the YAML 1.2 core schema ---- */

static bool is_digits(struct str s, const char *set) {
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\0' || strchr(set, s.p[i]) == NULL)
            return false;
    }
    return s.n > 0;
}

static bool core_int(struct str s, int64_t *ret) {
    struct str digits = s;
    int base = 10;
    if (s.n > 2 && s.p[0] == '0' && (s.p[1] == 'o' || s.p[1] == 'x')) {
        base = s.p[1] == 'o' ? 8 : 16;
        digits = str_slice(s, 2, s.n);
        if (!is_digits(digits, base == 8 ? "01234567" : "0123456789abcdefABCDEF"))
            return false;
    } else {
        if (s.p[0] == '-' || s.p[0] == '+')
            digits = str_slice(s, 1, s.n);
        if (!is_digits(digits, "0123456789"))
            return false;
    }
    char num[72];
    if (digits.n >= sizeof(num) - 2)
        return false;
    bool minus = s.p[0] == '-';
    num[0] = minus ? '-' : '+';
    memcpy(num + 1, digits.p, digits.n);
    num[digits.n + 1] = '\0';
    errno = 0;
    *ret = strtoll(num, NULL, base);
    return errno == 0;
}

/** 0x… and 0o… beyond 64 bits: a float, as decimal numbers of that size are. */
static bool wide_int(struct str s, double *ret) {
    bool hex = s.n > 2 && s.p[0] == '0' && s.p[1] == 'x', oct = s.n > 2 && s.p[0] == '0' && s.p[1] == 'o';
    struct str digits = hex || oct ? str_slice(s, 2, s.n) : STR("");
    if (digits.n > 400 || !is_digits(digits, hex ? "0123456789abcdefABCDEF" : "01234567"))
        return false;
    double v = 0;
    for (size_t i = 0; i < digits.n; i++) {
        int c = (unsigned char)digits.p[i];
        v = v * (hex ? 16 : 8) + (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    *ret = v;
    return true;
}

static bool core_float(struct str s, double *ret) {
    struct str t = s.p[0] == '-' || s.p[0] == '+' ? str_slice(s, 1, s.n) : s;
    if (str_eqz(t, ".inf") || str_eqz(t, ".Inf") || str_eqz(t, ".INF")) {
        *ret = s.p[0] == '-' ? -INFINITY : INFINITY;
        return true;
    }
    if (str_eqz(s, ".nan") || str_eqz(s, ".NaN") || str_eqz(s, ".NAN")) {
        *ret = NAN;
        return true;
    }
    size_t i = 0, digits = 0;
    for (; i < t.n && t.p[i] >= '0' && t.p[i] <= '9'; i++)
        digits++;
    if (i < t.n && t.p[i] == '.') {
        for (i++; i < t.n && t.p[i] >= '0' && t.p[i] <= '9'; i++)
            digits++;
    }
    if (digits == 0 || digits > 400)
        return false;
    if (i < t.n && (t.p[i] == 'e' || t.p[i] == 'E')) {
        i++;
        if (i < t.n && (t.p[i] == '-' || t.p[i] == '+'))
            i++;
        if (!is_digits(str_slice(t, i, t.n), "0123456789"))
            return false;
        i = t.n;
    }
    if (i != t.n)
        return false;
    *ret = strtod(s.p, NULL); /* s is NUL-terminated by the caller; the "C" locale is never changed */
    return true;
}

static bool one_of(struct str s, const char *a, const char *b, const char *c) {
    return str_eqz(s, a) || str_eqz(s, b) || str_eqz(s, c);
}

static void resolve_plain(struct y_node *n) {
    struct str s = n->text;
    if (s.n == 0 || str_eqz(s, "~") || one_of(s, "null", "Null", "NULL")) {
        n->kind = Y_NULL;
    } else if (one_of(s, "true", "True", "TRUE")) {
        n->kind = Y_BOOL;
        n->b = true;
    } else if (one_of(s, "false", "False", "FALSE")) {
        n->kind = Y_BOOL;
        n->b = false;
    } else if (core_int(s, &n->i)) {
        n->kind = Y_INT;
    } else if (wide_int(s, &n->d) || core_float(s, &n->d)) {
        n->kind = Y_FLOAT;
    }
}

#define CORE "tag:yaml.org,2002:"

/** Apply an explicit tag to a scalar read as a string. */
static err_t scalar_tag(const struct reader *r, const yaml_event_t *ev, const char *tag, struct y_node *n) {
    struct y_node at = place(r, ev->start_mark);
    if (z_eq(tag, CORE "str") || z_eq(tag, "!"))
        return NULL;
    resolve_plain(n);
    if (z_eq(tag, CORE "float") && n->kind == Y_INT) {
        n->d = (double)n->i;
        n->kind = Y_FLOAT;
    }
    bool ok = (z_eq(tag, CORE "int") && n->kind == Y_INT) || (z_eq(tag, CORE "float") && n->kind == Y_FLOAT) ||
              (z_eq(tag, CORE "bool") && n->kind == Y_BOOL) || (z_eq(tag, CORE "null") && n->kind == Y_NULL);
    return ok ? NULL : y_error(ERR_INVALID_YAML, &at, NULL, "\"%s\" is not a value of tag %s", n->text.p, tag);
}

/** Tags of any node: leaves the core ones for scalars to the caller (*core). */
static err_t read_tag(const struct reader *r, const yaml_event_t *ev, const char *tag, struct y_node *n,
                      const char **core) {
    *core = NULL;
    if (tag == NULL)
        return NULL;
    if (!r->lim.no_custom && z_eq(tag, "!reset")) {
        n->tag = Y_TAG_RESET;
        return NULL;
    }
    if (!r->lim.no_custom && z_eq(tag, "!override")) {
        n->tag = Y_TAG_OVERRIDE;
        return NULL;
    }
    bool ok = n->kind == Y_MAP   ? z_eq(tag, CORE "map") || z_eq(tag, "!")
              : n->kind == Y_SEQ ? z_eq(tag, CORE "seq") || z_eq(tag, "!")
                                 : z_eq(tag, "!") || z_eq(tag, CORE "str") || z_eq(tag, CORE "int") ||
                                       z_eq(tag, CORE "float") || z_eq(tag, CORE "bool") || z_eq(tag, CORE "null");
    if (ok) {
        *core = tag;
        return NULL;
    }
    struct y_node at = place(r, ev->start_mark);
    return y_error(ERR_INVALID_YAML, &at, NULL, "unknown tag %s", tag);
}

static err_t read_scalar(struct reader *r, const yaml_event_t *ev, struct y_node **ret) {
    struct y_node *n;
    TRY(new_node(r, Y_STR, ev, &n));
    n->text =
        str_n(arena_strndup(r->a, (const char *)ev->data.scalar.value, ev->data.scalar.length), ev->data.scalar.length);
    if (memchr(n->text.p, '\0', n->text.n) != NULL)
        return y_error(ERR_INVALID_YAML, n, NULL, "a text contains a NUL character");
    bool plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    bool block =
        ev->data.scalar.style == YAML_LITERAL_SCALAR_STYLE || ev->data.scalar.style == YAML_FOLDED_SCALAR_STYLE;
    n->style = plain ? Y_PLAIN : block ? Y_BLOCK : Y_QUOTED;
    const char *core;
    TRY(read_tag(r, ev, (const char *)ev->data.scalar.tag, n, &core));
    if (core != NULL)
        TRY(scalar_tag(r, ev, core, n));
    else if (plain)
        resolve_plain(n);
    *ret = n;
    return NULL;
}

/* ---- anchors and aliases ---- */

static struct anchor *anchor_open(struct reader *r, const yaml_char_t *name, struct y_node *n) {
    if (name == NULL)
        return NULL;
    struct anchor *an = arena_new_obj(r->a, struct anchor);
    an->node = n;
    an->open = true;
    map_setz(&r->anchors, (const char *)name, an);
    return an;
}

static size_t depth_of(const struct y_node *n) {
    size_t d = 0;
    if (n->kind == Y_SEQ) {
        for (size_t i = 0; i < n->seq.n; i++) {
            size_t x = depth_of(n->seq.v[i]);
            d = x > d ? x : d;
        }
    } else if (n->kind == Y_MAP) {
        for (size_t i = 0; i < n->map.n; i++) {
            size_t x = depth_of(n->map.v[i].value);
            d = x > d ? x : d;
        }
    }
    return d + 1;
}

static err_t read_alias(struct reader *r, const yaml_event_t *ev, size_t depth, struct y_node **ret) {
    struct y_node at = place(r, ev->start_mark);
    const char *name = (const char *)ev->data.alias.anchor;
    struct anchor *an = map_getz(&r->anchors, name);
    if (an == NULL)
        return y_hint(y_error(ERR_INVALID_YAML, &at, NULL, "unknown anchor *%s", name),
                      "an anchor (&name) must stand above its alias");
    if (an->open)
        return y_error(ERR_INVALID_YAML, &at, NULL, "anchor &%s contains itself", name);
    if (++r->aliases > r->lim.max_aliases)
        return y_error(ERR_YAML_LIMIT, &at, NULL, "document contains excessive aliasing: more than %zu aliases",
                       r->lim.max_aliases);
    size_t left = r->lim.max_nodes - r->nodes;
    size_t add = y_count(an->node, left);
    if (add > left)
        return y_error(ERR_YAML_LIMIT, &at, NULL, "document contains excessive aliasing: more than %zu nodes",
                       r->lim.max_nodes);
    if (depth + depth_of(an->node) > r->lim.max_depth + 1)
        return y_error(ERR_YAML_LIMIT, &at, NULL, "nesting is deeper than %zu levels", r->lim.max_depth);
    r->nodes += add;
    *ret = y_clone(r->a, an->node);
    return NULL;
}

/* ---- collections ---- */

static err_t check_depth(const struct reader *r, const yaml_event_t *ev, size_t depth) {
    if (depth <= r->lim.max_depth)
        return NULL;
    struct y_node at = place(r, ev->start_mark);
    return y_error(ERR_YAML_LIMIT, &at, NULL, "nesting is deeper than %zu levels", r->lim.max_depth);
}

static err_t read_seq(struct reader *r, const yaml_event_t *ev, size_t depth, struct y_node **ret) {
    struct y_node *n;
    const char *core;
    TRY(check_depth(r, ev, depth));
    TRY(new_node(r, Y_SEQ, ev, &n));
    TRY(read_tag(r, ev, (const char *)ev->data.sequence_start.tag, n, &core));
    struct anchor *an = anchor_open(r, ev->data.sequence_start.anchor, n);
    for (;;) {
        yaml_event_t child;
        TRY(next_event(r, &child));
        if (child.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&child);
            break;
        }
        struct y_node *item = NULL;
        err_t e = read_node(r, &child, depth + 1, &item);
        yaml_event_delete(&child);
        TRY(e);
        y_push(r->a, n, item);
    }
    if (an != NULL)
        an->open = false;
    *ret = n;
    return NULL;
}

/** What `<<` stands for, put aside until the mapping is complete: own keys win, then earlier sources. */
struct merges {
    VEC(struct y_node *) v;
};

static err_t merge_source(struct reader *r, struct y_node *value, struct merges *m) {
    if (value->kind == Y_MAP) {
        *vec_push(r->a, &m->v) = value;
        return NULL;
    }
    if (value->kind != Y_SEQ)
        return y_error(ERR_INVALID_YAML, value, NULL,
                       "map merge requires a mapping or a list of mappings as the value of <<");
    for (size_t i = 0; i < value->seq.n; i++) {
        if (value->seq.v[i]->kind != Y_MAP)
            return y_error(ERR_INVALID_YAML, value->seq.v[i], NULL, "map merge requires mappings in the list of <<");
        *vec_push(r->a, &m->v) = value->seq.v[i];
    }
    return NULL;
}

static void apply_merges(struct reader *r, struct y_node *n, const struct merges *m) {
    for (size_t i = 0; i < m->v.n; i++) {
        const struct y_node *src = m->v.v[i];
        for (size_t k = 0; k < src->map.n; k++) {
            if (y_getn(n, src->map.v[k].key) == NULL)
                y_put(r->a, n, &src->map.v[k], src->map.v[k].value);
        }
    }
}

static err_t read_key(struct reader *r, const yaml_event_t *ev, size_t depth, struct y_node **ret) {
    struct y_node at = place(r, ev->start_mark);
    if (ev->type != YAML_SCALAR_EVENT && ev->type != YAML_ALIAS_EVENT)
        return y_error(ERR_INVALID_YAML, &at, NULL, "a mapping key must be a plain value, not a list or mapping");
    TRY(read_node(r, ev, depth, ret));
    if (!y_scalar(*ret))
        return y_error(ERR_INVALID_YAML, &at, NULL, "a mapping key must be a plain value, not a list or mapping");
    (*ret)->line = at.line;
    (*ret)->col = at.col;
    return NULL;
}

static err_t add_entry(struct reader *r, struct y_node *n, const struct y_node *key, struct y_node *value) {
    for (size_t i = 0; n->map.index == NULL && i < n->map.n; i++) {
        if (str_eq(n->map.v[i].key, key->text))
            return y_error(ERR_DUPLICATE_KEY, key, NULL, "mapping key \"%s\" already defined at line %u", key->text.p,
                           n->map.v[i].line);
    }
    if (n->map.index != NULL && map_has(n->map.index, key->text)) {
        const struct y_entry *first = &n->map.v[(uintptr_t)map_get(n->map.index, key->text) - 1];
        return y_error(ERR_DUPLICATE_KEY, key, NULL, "mapping key \"%s\" already defined at line %u", key->text.p,
                       first->line);
    }
    y_setn(r->a, n, key->text, value);
    struct y_entry *e = &n->map.v[n->map.n - 1];
    e->line = key->line;
    e->col = key->col;
    e->key_kind = (uint8_t)key->kind;
    return NULL;
}

/** One `key: value` pair; *done at the end of the mapping. */
static err_t read_pair(struct reader *r, struct y_node *n, size_t depth, struct merges *merges, bool *done) {
    yaml_event_t ev;
    TRY(next_event(r, &ev));
    *done = ev.type == YAML_MAPPING_END_EVENT;
    if (*done) {
        yaml_event_delete(&ev);
        return NULL;
    }
    struct y_node *key = NULL, *value = NULL;
    err_t e = read_key(r, &ev, depth + 1, &key);
    bool is_merge = e == NULL && key->style == Y_PLAIN && ev.type == YAML_SCALAR_EVENT && str_eqz(key->text, "<<");
    yaml_event_delete(&ev);
    TRY(e);
    TRY(next_event(r, &ev));
    e = read_node(r, &ev, depth + 1, &value);
    yaml_event_delete(&ev);
    TRY(e);
    return is_merge ? merge_source(r, value, merges) : add_entry(r, n, key, value);
}

static err_t read_map(struct reader *r, const yaml_event_t *ev, size_t depth, struct y_node **ret) {
    struct y_node *n;
    const char *core;
    TRY(check_depth(r, ev, depth));
    TRY(new_node(r, Y_MAP, ev, &n));
    TRY(read_tag(r, ev, (const char *)ev->data.mapping_start.tag, n, &core));
    struct anchor *an = anchor_open(r, ev->data.mapping_start.anchor, n);
    struct merges merges = {0};
    for (bool done = false; !done;)
        TRY(read_pair(r, n, depth, &merges, &done));
    apply_merges(r, n, &merges);
    if (an != NULL)
        an->open = false;
    *ret = n;
    return NULL;
}

static err_t read_node(struct reader *r, const yaml_event_t *ev, size_t depth, struct y_node **ret) {
    switch (ev->type) {
    case YAML_ALIAS_EVENT:
        return read_alias(r, ev, depth, ret);
    case YAML_SEQUENCE_START_EVENT:
        return read_seq(r, ev, depth, ret);
    case YAML_MAPPING_START_EVENT:
        return read_map(r, ev, depth, ret);
    case YAML_SCALAR_EVENT:
        TRY(read_scalar(r, ev, ret));
        struct anchor *an = anchor_open(r, ev->data.scalar.anchor, *ret);
        if (an != NULL)
            an->open = false;
        return NULL;
    default: {
        struct y_node at = place(r, ev->start_mark);
        return y_error(ERR_INVALID_YAML, &at, NULL, "a value was expected here");
    }
    }
}

/* ---- documents ---- */

static err_t read_document(struct reader *r, struct y_node **ret) {
    map_init(&r->anchors, r->a);
    yaml_event_t ev;
    TRY(next_event(r, &ev));
    err_t e = read_node(r, &ev, 1, ret);
    yaml_event_delete(&ev);
    TRY(e);
    TRY(next_event(r, &ev)); /* document end */
    yaml_event_delete(&ev);
    return NULL;
}

static err_t read_stream(struct reader *r, struct yaml_docs *ret) {
    VEC(struct y_node *) docs = {0};
    for (;;) {
        yaml_event_t ev;
        TRY(next_event(r, &ev));
        yaml_event_type_t type = ev.type;
        struct y_node at = place(r, ev.start_mark);
        yaml_event_delete(&ev);
        if (type == YAML_STREAM_END_EVENT)
            break;
        if (type != YAML_DOCUMENT_START_EVENT)
            continue;
        if (docs.n >= 1 && r->lim.single)
            return y_error(ERR_INVALID_YAML, &at, NULL, "a second document is not allowed here");
        if (docs.n >= r->lim.max_docs)
            return y_error(ERR_YAML_LIMIT, &at, NULL, "more than %zu documents", r->lim.max_docs);
        struct y_node *doc = NULL;
        TRY(read_document(r, &doc));
        *vec_push(r->a, &docs) = doc;
    }
    *ret = (struct yaml_docs){.v = docs.v, .n = docs.n, .nodes = r->nodes};
    return NULL;
}

static size_t or_default(size_t v, size_t dflt) { return v != 0 ? v : dflt; }

static err_t check_encoding(const struct reader *r, struct str *text) {
    struct y_node at = {.file = r->file, .line = 1, .col = 1};
    if (text->n >= 2 && (memcmp(text->p, "\xff\xfe", 2) == 0 || memcmp(text->p, "\xfe\xff", 2) == 0))
        return y_hint(y_error(ERR_INVALID_YAML, &at, NULL, "the file is UTF-16"), "save it as UTF-8");
    if (text->n >= 3 && memcmp(text->p, "\xef\xbb\xbf", 3) == 0)
        *text = str_slice(*text, 3, text->n);
    size_t good = str_utf8_prefix(*text);
    const char *nul = good > 0 ? memchr(text->p, '\0', good) : NULL;
    if (nul == NULL && good == text->n)
        return NULL;
    for (const char *p = text->p, *bad = nul != NULL ? nul : text->p + good; p < bad; p++) {
        at.col = *p == '\n' ? 1 : at.col + ((*p & 0xc0) != 0x80);
        at.line += *p == '\n';
    }
    return y_hint(y_error(ERR_INVALID_YAML, &at, NULL,
                          nul != NULL ? "control character NUL in the text" : "the file is not UTF-8"),
                  "save it as UTF-8 text");
}

err_t yaml_parse(struct arena *a, struct str text, const char *file, const struct yaml_limits *limits,
                 struct yaml_docs *ret) {
    struct reader r = {
        .a = a, .file = arena_strdup(a, file), .lim = limits != NULL ? *limits : (struct yaml_limits){0}};
    r.lim.max_bytes = or_default(r.lim.max_bytes, MIB(1));
    r.lim.max_depth = or_default(r.lim.max_depth, 64);
    r.lim.max_nodes = or_default(r.lim.max_nodes, 100000);
    r.lim.max_aliases = or_default(r.lim.max_aliases, 1000);
    r.lim.max_docs = or_default(r.lim.max_docs, 16);
    struct y_node at = {.file = r.file};
    if (text.n > r.lim.max_bytes)
        return y_error(ERR_TOO_LARGE, &at, NULL, "%zu bytes of YAML are more than the limit of %zu", text.n,
                       r.lim.max_bytes);
    TRY(check_encoding(&r, &text));
    if (!yaml_parser_initialize(&r.parser))
        return err_new(ERR_INTERNAL, "YAML reader: out of memory");
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text.p, text.n);
    err_t e = read_stream(&r, ret);
    yaml_parser_delete(&r.parser);
    return e;
}

err_t yaml_parse_one(struct arena *a, struct str text, const char *file, struct y_node **ret) {
    struct yaml_limits lim = {.single = true, .no_custom = true};
    struct yaml_docs docs;
    TRY(yaml_parse(a, text, file, &lim, &docs));
    struct y_node at = {.file = arena_strdup(a, file), .line = 1, .col = 1};
    *ret = docs.n == 1 ? docs.v[0] : y_new(a, Y_NULL, &at);
    return NULL;
}
