#include "server/route.h"
#include <stdlib.h>
#include "core/base/buf.h"
#include "core/base/check.h"
#include "server/router.h"

struct node {
    struct str segment; /* borrowed from the pattern; empty for the parameter child */
    struct node *child, *next, *param;
    const struct route *routes[HTTP_METHODS];
    unsigned allowed;
};

static struct {
    struct arena *a;
    struct node *root;
    const struct route **all;
    size_t n, cap;
} T;

static const char *const METHOD_NAMES[HTTP_METHODS] = {"GET", "POST", "PUT", "PATCH", "DELETE"};

const char *http_method_name(enum http_method m) { return METHOD_NAMES[m]; }

bool http_method_parse(struct str name, enum http_method *ret) {
    for (int m = 0; m < HTTP_METHODS; m++)
        if (str_eqz(name, METHOD_NAMES[m])) {
            *ret = (enum http_method)m;
            return true;
        }
    return false;
}

static bool is_param(struct str seg) { return seg.n > 2 && seg.p[0] == '{' && seg.p[seg.n - 1] == '}'; }

static struct node *node_child(struct node *parent, struct str seg) {
    if (is_param(seg)) {
        if (parent->param == NULL)
            parent->param = arena_new_obj(T.a, struct node);
        return parent->param;
    }
    for (struct node *c = parent->child; c != NULL; c = c->next)
        if (str_eq(c->segment, seg))
            return c;
    struct node *c = arena_new_obj(T.a, struct node);
    c->segment = seg;
    c->next = parent->child;
    parent->child = c;
    return c;
}

static void check_row(const struct route *r) {
    CHECK(r->pattern != NULL && r->pattern[0] == '/' && r->handler != NULL);
    CHECK((int)r->method >= 0 && (int)r->method < HTTP_METHODS);
    CHECK((r->auth == AUTH_PERMISSION) == (r->permission != NULL));
    CHECK(!(r->flags & ROUTE_WS) || r->method == HTTP_GET);
    CHECK(!(r->flags & ROUTE_INLINE) || (r->auth == AUTH_PUBLIC && r->method == HTTP_GET));
    CHECK(r->request_schema == NULL || r->method != HTTP_GET);
}

static void insert(const struct route *r) {
    struct str rest = str_of(r->pattern + 1), seg;
    struct node *n = T.root;
    size_t params = 0, segments = 0;
    while (str_cut(&rest, '/', &seg)) {
        CHECK(seg.n > 0);
        params += is_param(seg) ? 1 : 0;
        CHECK(is_param(seg) || str_find_chr(seg, '{') < 0);
        CHECK(++segments <= ROUTE_MAX_SEGMENTS && params <= ROUTE_MAX_PARAMS);
        n = node_child(n, seg);
    }
    CHECK(n->routes[r->method] == NULL); /* two rows for one method and path */
    n->routes[r->method] = r;
    n->allowed |= 1u << r->method;
}

void routes_register(const struct route *rows, size_t n) {
    if (T.root == NULL) {
        T.a = arena_new("routes", 0);
        T.root = arena_new_obj(T.a, struct node);
    }
    for (size_t i = 0; i < n; i++) {
        check_row(&rows[i]);
        insert(&rows[i]);
        if (T.n == T.cap) {
            T.cap = T.cap ? T.cap * 2 : 128;
            T.all = realloc(T.all, T.cap * sizeof(*T.all));
            CHECK(T.all != NULL);
        }
        T.all[T.n++] = &rows[i];
    }
}

void routes_reset(void) {
    arena_unref(T.a);
    free(T.all);
    memset(&T, 0, sizeof(T));
}

const struct route *const *routes_all(size_t *ret_n) {
    *ret_n = T.n;
    return T.all;
}

size_t route_number(const struct route *r) {
    for (size_t i = 0; i < T.n; i++)
        if (T.all[i] == r)
            return i;
    return T.n;
}

/* Depth-first, static child before parameter child. Bounded: the depth is the number of segments and each node has at most
 * one matching static child and one parameter child, both fixed by the table. */
static bool match(const struct node *n, struct str rest, bool more, enum http_method m, struct route_match *ret) {
    if (!more) {
        ret->allowed |= n->allowed;
        ret->route = n->routes[m];
        return ret->route != NULL;
    }
    struct str seg;
    ptrdiff_t slash = str_find_chr(rest, '/');
    seg = slash < 0 ? rest : str_n(rest.p, (size_t)slash);
    struct str tail = slash < 0 ? str_n(rest.p + rest.n, 0) : str_slice(rest, (size_t)slash + 1, rest.n);
    for (const struct node *c = n->child; c != NULL; c = c->next)
        if (str_eq(c->segment, seg)) {
            if (match(c, tail, slash >= 0, m, ret))
                return true;
            break;
        }
    if (n->param == NULL || ret->nparams == ROUTE_MAX_PARAMS)
        return false;
    ret->params[ret->nparams++] = seg;
    if (match(n->param, tail, slash >= 0, m, ret))
        return true;
    ret->nparams--;
    return false;
}

void router_match(enum http_method method, struct str path, struct route_match *ret) {
    memset(ret, 0, sizeof(*ret));
    if (T.root == NULL || path.n == 0)
        return;
    match(T.root, str_slice(path, 1, path.n), path.n > 1, method, ret);
}

const char *router_allow(struct arena *a, unsigned allowed) {
    struct buf b;
    buf_init(&b, 64, 256);
    for (int m = 0; m < HTTP_METHODS; m++)
        if (allowed & (1u << m)) {
            buf_puts(&b, b.n ? ", " : "");
            buf_puts(&b, METHOD_NAMES[m]);
            buf_puts(&b, m == HTTP_GET ? ", HEAD" : "");
        }
    buf_puts(&b, b.n ? ", OPTIONS" : "OPTIONS");
    const char *z = str_z(a, buf_str(&b));
    buf_done(&b);
    return z;
}

int route_param_index(const struct route *r, const char *name) {
    struct str rest = str_of(r->pattern), seg;
    int i = 0;
    while (str_cut(&rest, '/', &seg)) {
        if (!is_param(seg))
            continue;
        if (str_eqz(str_slice(seg, 1, seg.n - 1), name))
            return i;
        i++;
    }
    return -1;
}

static bool word_in(const char *list, const char *name) {
    struct str rest = str_of(list), word;
    while (str_cut(&rest, ' ', &word))
        if (word.n > 0 && str_eqz(word, name))
            return true;
    return false;
}

bool route_query_allowed(const struct route *r, const char *name) {
    if (r->query != NULL && word_in(r->query, name))
        return true;
    if ((r->flags & ROUTE_LIST) && word_in("limit cursor q sort fields", name))
        return true;
    return (r->flags & ROUTE_TASK) && word_in("wait", name);
}

int route_good_status(const struct route *r) {
    if (r->status)
        return r->status;
    if (r->flags & ROUTE_TASK)
        return 202;
    if (r->method == HTTP_DELETE)
        return 204;
    return r->method == HTTP_POST && r->audit && z_ends(r->audit, ".create") ? 201 : 200;
}
