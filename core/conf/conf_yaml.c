/* The configuration file: two levels of mappings with scalars and lists of scalars, nothing else of YAML. Anchors,
 * aliases, tags and further documents are refused; every message has file:line:column. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>
#include "core/base/check.h"
#include "core/base/map.h"
#include "core/conf/conf_schema.h"

#define FILE_MAX KIB(256)

char *conf_read_file(struct arena *a, const char *path, size_t max, size_t *ret_n, const char **ret_why) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        *ret_why = strerror(errno);
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    char *text = arena_alloc(a, max + 2, 1);
    size_t n = 0;
    ssize_t got = 1;
    *ret_why = S_ISREG(st.st_mode) ? NULL : "not a regular file";
    while (*ret_why == NULL && got > 0 && n <= max) {
        got = read(fd, text + n, max + 1 - n);
        if (got < 0 && errno == EINTR)
            got = 1;
        else if (got < 0)
            *ret_why = strerror(errno);
        else
            n += (size_t)got;
    }
    close(fd);
    if (*ret_why == NULL && n > max)
        *ret_why = "file too large";
    if (*ret_why == NULL && memchr(text, 0, n) != NULL)
        *ret_why = "file has NUL bytes";
    text[n] = 0;
    *ret_n = n;
    return *ret_why == NULL ? text : NULL;
}

struct reader {
    struct conf_loader *l;
    const char *path;
    yaml_parser_t parser;
    yaml_event_t ev;
    bool have_event, broken, others_may_read;
    struct str section;
    struct map sections; /* of this file */
    bool seen[128];      /* keys of this file, by position in the table */
};

static const char *place(struct reader *r) {
    return arena_printf(r->l->a, "%s:%zu:%zu", r->path, r->ev.start_mark.line + 1, r->ev.start_mark.column + 1);
}

/* Next event into r->ev; false at a syntax error, which is reported. */
static bool next(struct reader *r) {
    if (r->have_event)
        yaml_event_delete(&r->ev);
    r->have_event = yaml_parser_parse(&r->parser, &r->ev) != 0;
    if (r->have_event)
        return true;
    const yaml_parser_t *p = &r->parser;
    conf_problem(r->l,
                 arena_printf(r->l->a, "%s:%zu:%zu", r->path, p->problem_mark.line + 1, p->problem_mark.column + 1),
                 "%s", p->problem != NULL ? p->problem : "not readable as YAML");
    r->broken = true;
    return false;
}

static struct str scalar(const struct reader *r) {
    return str_n((const char *)r->ev.data.scalar.value, r->ev.data.scalar.length);
}

static bool plain_null(const struct reader *r) {
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    if (r->ev.data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_eqz(scalar(r), words[i]))
            return true;
    return false;
}

/* Anchors, aliases and tags could change what a reader of the file believes to see. */
static bool fancy(const struct reader *r) {
    switch (r->ev.type) {
    case YAML_ALIAS_EVENT:
        return true;
    case YAML_SCALAR_EVENT:
        return r->ev.data.scalar.anchor != NULL || r->ev.data.scalar.tag != NULL;
    case YAML_SEQUENCE_START_EVENT:
        return r->ev.data.sequence_start.anchor != NULL || r->ev.data.sequence_start.tag != NULL;
    case YAML_MAPPING_START_EVENT:
        return r->ev.data.mapping_start.anchor != NULL || r->ev.data.mapping_start.tag != NULL;
    default:
        return false;
    }
}

/* Go past the node that begins at the current event, whatever it holds; ends on its last event. */
static bool skip_node(struct reader *r) {
    size_t depth = 0;
    for (;;) {
        if (r->ev.type == YAML_SEQUENCE_START_EVENT || r->ev.type == YAML_MAPPING_START_EVENT)
            depth++;
        else if (r->ev.type == YAML_SEQUENCE_END_EVENT || r->ev.type == YAML_MAPPING_END_EVENT)
            depth--;
        if (depth == 0)
            return true;
        if (!next(r))
            return false;
    }
}

static void report_unknown(struct reader *r, struct str key, const char *at) {
    const char *similar = conf_key_similar(key);
    conf_problem(r->l, at, "unknown key \"%.*s\"%s%s%s", (int)(key.n < 80 ? key.n : 80), key.p,
                 similar != NULL ? "; did you mean \"" : "", similar != NULL ? similar : "",
                 similar != NULL ? "\"?" : "");
}

static void apply_sequence(struct reader *r, const struct conf_key *k, const char *at) {
    VEC(struct str) items = {0};
    bool ok = true;
    for (;;) {
        if (!next(r) || r->ev.type == YAML_SEQUENCE_END_EVENT)
            break;
        if (r->ev.type != YAML_SCALAR_EVENT || fancy(r)) {
            conf_problem(r->l, place(r), "%s: a plain text is expected as list item", k->key);
            ok = false;
            if (!skip_node(r))
                return;
            continue;
        }
        if (items.n <= 256)
            *vec_push(r->l->a, &items) = str_dup(r->l->a, scalar(r));
    }
    err_t e = !r->broken && ok ? conf_value_set_list(r->l->a, r->l->c, k, items.v, items.n) : NULL;
    if (e != NULL)
        conf_problem(r->l, at, "%s: %s", k->key, e->message);
}

/* The value of a known key; the current event is its first. */
static void apply_value(struct reader *r, const struct conf_key *k) {
    const char *at = place(r);
    if (fancy(r)) {
        conf_problem(r->l, at, "%s: anchors, aliases and tags are not accepted", k->key);
        (void)skip_node(r);
    } else if (r->ev.type == YAML_SEQUENCE_START_EVENT && k->type == CONF_LIST) {
        apply_sequence(r, k, at);
    } else if (r->ev.type != YAML_SCALAR_EVENT) {
        conf_problem(r->l, at, "%s: %s is expected", k->key, k->type == CONF_LIST ? "a list" : "a single value");
        (void)skip_node(r);
    } else if (!plain_null(r)) { /* nothing after the colon: as if the key were not there */
        err_t e = conf_value_set(r->l->a, r->l->c, k, scalar(r));
        if (e != NULL)
            conf_problem(r->l, at, "%s: %s", k->key, e->message);
        else if (k->secret && r->others_may_read && scalar(r).n > 0)
            conf_warning(r->l, "%s: %s is a secret and every user of the machine may read the file", at, k->key);
    }
}

/* Key and value inside the section; the current event is the key. */
static bool read_member(struct reader *r) {
    const char *at = place(r);
    if (r->ev.type != YAML_SCALAR_EVENT || fancy(r)) {
        conf_problem(r->l, at, "a key is expected");
        return skip_node(r) && next(r) && skip_node(r);
    }
    struct str name = str_dup(r->l->a, scalar(r));
    struct str key = str_of(arena_printf(r->l->a, "%.*s.%.*s", STR_ARG(r->section), STR_ARG(name)));
    if (!next(r))
        return false;
    const struct conf_key *k = conf_key_find(key);
    if (k == NULL) {
        report_unknown(r, key, at);
        return skip_node(r);
    }
    CHECK((size_t)(k - conf_keys) < ARRAY_LEN(r->seen));
    bool *seen = &r->seen[k - conf_keys];
    if (*seen) {
        conf_problem(r->l, at, "%s appears twice", k->key);
        return skip_node(r);
    }
    *seen = true;
    apply_value(r, k);
    return !r->broken;
}

/* A section's name and content; the current event is the name. */
static bool read_section(struct reader *r) {
    const char *at = place(r);
    if (r->ev.type != YAML_SCALAR_EVENT || fancy(r)) {
        conf_problem(r->l, at, "the name of a section is expected");
        return skip_node(r) && next(r) && skip_node(r);
    }
    r->section = str_dup(r->l->a, scalar(r));
    if (!next(r))
        return false;
    if (!conf_is_section(r->section)) {
        report_unknown(r, r->section, at);
        return skip_node(r);
    }
    if (map_set(&r->sections, r->section, r) != NULL) {
        conf_problem(r->l, at, "%.*s appears twice", STR_ARG(r->section));
        return skip_node(r);
    }
    if (r->ev.type == YAML_SCALAR_EVENT && plain_null(r))
        return true; /* everything in it is commented out */
    if (r->ev.type != YAML_MAPPING_START_EVENT || fancy(r)) {
        conf_problem(r->l, place(r), "%.*s: a mapping of keys is expected", STR_ARG(r->section));
        return skip_node(r);
    }
    while (next(r)) {
        if (r->ev.type == YAML_MAPPING_END_EVENT)
            return true;
        if (!read_member(r))
            return false;
    }
    return false;
}

static void read_document(struct reader *r) {
    if (!next(r)) /* stream start */
        return;
    if (!next(r) || r->ev.type == YAML_STREAM_END_EVENT)
        return; /* empty file, or comments only */
    if (!next(r))
        return;
    if (r->ev.type == YAML_SCALAR_EVENT && plain_null(r) && !fancy(r)) {
        if (!next(r))
            return;
    } else if (r->ev.type != YAML_MAPPING_START_EVENT || fancy(r)) {
        conf_problem(r->l, place(r), "a mapping of sections is expected");
        return;
    } else {
        while (next(r) && r->ev.type != YAML_MAPPING_END_EVENT)
            if (!read_section(r))
                return;
        if (r->broken || !next(r))
            return;
    }
    if (next(r) && r->ev.type != YAML_STREAM_END_EVENT)
        conf_problem(r->l, place(r), "a second document is not accepted");
}

void conf_yaml_apply(struct conf_loader *l, const char *path, bool must_exist, bool *ret_read) {
    struct stat st;
    const char *why = NULL;
    size_t n = 0;
    *ret_read = false;
    if (!must_exist && stat(path, &st) != 0 && errno == ENOENT)
        return;
    char *text = conf_read_file(l->a, path, FILE_MAX, &n, &why);
    if (text == NULL) {
        conf_problem(l, path, "%s", why);
        return;
    }
    *ret_read = true;
    struct reader r = {.l = l, .path = path};
    map_init(&r.sections, l->a);
    r.others_may_read = stat(path, &st) == 0 && (st.st_mode & S_IROTH) != 0;
    CHECK(yaml_parser_initialize(&r.parser) != 0);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, n);
    read_document(&r);
    if (r.have_event)
        yaml_event_delete(&r.ev);
    yaml_parser_delete(&r.parser);
}
