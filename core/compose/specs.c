/* "source:target:options" of volumes, "host:container/proto" of ports, "from:to:permissions" of devices. */
#include <arpa/inet.h>

#include "core/compose/stages.h"

static bool letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/** Next section of a mount spec: a colon ends it, except behind a drive letter and inside ${...}. */
static bool cut_section(struct str *rest, struct str *ret, bool *last) {
    size_t braces = 0;
    for (size_t i = 0; i < rest->n; i++) {
        char c = rest->p[i];
        if (c == '{' && (braces > 0 || (i > 0 && rest->p[i - 1] == '$')))
            braces++;
        else if (c == '}' && braces > 0)
            braces--;
        if (c != ':' || braces > 0 || (i == 1 && letter(rest->p[0])))
            continue;
        *ret = str_slice(*rest, 0, i);
        *rest = str_slice(*rest, i + 1, rest->n);
        *last = false;
        return true;
    }
    *ret = *rest;
    *last = true;
    return rest->n > 0;
}

static bool is_file_path(struct str s) {
    if (s.n == 0)
        return false;
    if (s.p[0] == '.' || s.p[0] == '/' || s.p[0] == '~' || str_starts(s, STR("\\\\")))
        return true;
    return s.n > 1 && letter(s.p[0]) && s.p[1] == ':';
}

struct mount {
    struct str source, target;
    bool read_only, nocopy;
    struct str propagation, selinux;
};

static void mount_option(struct mount *m, struct str o) {
    static const char *const propagations[] = {"private", "rprivate", "shared", "rshared", "slave", "rslave"};
    if (str_eqz(o, "ro"))
        m->read_only = true;
    else if (str_eqz(o, "rw"))
        m->read_only = false;
    else if (str_eqz(o, "nocopy"))
        m->nocopy = true;
    else if (str_eqz(o, "z") || str_eqz(o, "Z"))
        m->selinux = o;
    for (size_t i = 0; i < ARRAY_LEN(propagations); i++) {
        if (str_eqz(o, propagations[i]))
            m->propagation = o;
    }
}

static const char *split_mount(struct str spec, struct mount *m) {
    if (spec.n <= 2) {
        m->target = spec;
        return NULL;
    }
    struct str part;
    bool last;
    if (!cut_section(&spec, &part, &last) || part.n == 0)
        return "empty section between colons";
    if (last) {
        m->target = part;
        return NULL;
    }
    m->source = part;
    if (!cut_section(&spec, &part, &last) || part.n == 0)
        return "empty section between colons";
    m->target = part;
    if (last)
        return NULL;
    if (!cut_section(&spec, &part, &last) || part.n == 0)
        return "empty section between colons";
    if (!last)
        return "too many colons";
    struct str option;
    while (str_cut(&part, ',', &option))
        mount_option(m, option);
    return NULL;
}

err_t compose_parse_mount(struct arena *a, struct str spec, const struct y_node *at, const char *path,
                          struct y_node **ret) {
    if (spec.n == 0)
        return y_error(ERR_INVALID, at, path, "invalid empty volume spec");
    struct mount m = {0};
    const char *problem = split_mount(spec, &m);
    if (problem != NULL)
        return y_hint(y_error(ERR_INVALID, at, path, "invalid spec: %.*s: %s", STR_ARG(spec), problem),
                      "write source:target[:ro]");
    bool bind = is_file_path(m.source);
    struct y_node *n = y_new(a, Y_MAP, at), *sub = y_new(a, Y_MAP, at);
    y_set(a, n, "type", y_new_str(a, bind ? "bind" : "volume", at));
    if (m.source.n > 0)
        y_set(a, n, "source", y_new_strn(a, m.source, at));
    y_set(a, n, "target", y_new_strn(a, m.target, at));
    if (m.read_only)
        y_set(a, n, "read_only", y_new_bool(a, true, at));
    if (bind) {
        if (m.propagation.n > 0)
            y_set(a, sub, "propagation", y_new_strn(a, m.propagation, at));
        if (m.selinux.n > 0)
            y_set(a, sub, "selinux", y_new_strn(a, m.selinux, at));
        y_set(a, sub, "create_host_path", y_new_bool(a, true, at));
        y_set(a, n, "bind", sub);
    } else {
        if (m.nocopy)
            y_set(a, sub, "nocopy", y_new_bool(a, true, at));
        y_set(a, n, "volume", sub);
    }
    *ret = n;
    return NULL;
}

/* ---- ports ---- */

struct range {
    int64_t from, to;
};

static bool parse_range(struct str s, struct range *ret) {
    ptrdiff_t dash = str_find_chr(s, '-');
    struct str lo = dash < 0 ? s : str_slice(s, 0, (size_t)dash),
               hi = dash < 0 ? s : str_slice(s, (size_t)dash + 1, s.n);
    return str_to_i64(lo, 0, 65535, &ret->from) == NULL && str_to_i64(hi, 0, 65535, &ret->to) == NULL &&
           ret->to >= ret->from;
}

static bool is_ip(struct str s) {
    char buf[64];
    struct in6_addr addr;
    if (s.n >= sizeof(buf))
        return false;
    memcpy(buf, s.p, s.n);
    buf[s.n] = '\0';
    return inet_pton(AF_INET, buf, &addr) == 1 || inet_pton(AF_INET6, buf, &addr) == 1;
}

struct port_spec {
    struct str ip, host, container, proto;
};

static struct port_spec split_port(struct str spec) {
    struct port_spec p = {.container = spec, .proto = STR("tcp")};
    ptrdiff_t colon = -1;
    for (size_t i = 0; i < spec.n; i++)
        colon = spec.p[i] == ':' ? (ptrdiff_t)i : colon;
    if (colon >= 0) {
        p.container = str_slice(spec, (size_t)colon + 1, spec.n);
        p.host = str_slice(spec, 0, (size_t)colon);
        ptrdiff_t before = -1;
        for (size_t i = 0; i < p.host.n; i++)
            before = p.host.p[i] == ':' ? (ptrdiff_t)i : before;
        if (before >= 0) {
            p.ip = str_slice(p.host, 0, (size_t)before);
            p.host = str_slice(p.host, (size_t)before + 1, p.host.n);
        }
    }
    ptrdiff_t slash = str_find_chr(p.container, '/');
    if (slash >= 0) {
        if ((size_t)slash + 1 < p.container.n)
            p.proto = str_slice(p.container, (size_t)slash + 1, p.container.n);
        p.container = str_slice(p.container, 0, (size_t)slash);
    }
    if (p.ip.n > 2 && p.ip.p[0] == '[' && p.ip.p[p.ip.n - 1] == ']')
        p.ip = str_slice(p.ip, 1, p.ip.n - 1);
    return p;
}

static struct y_node *port_node(struct arena *a, const struct port_spec *p, int64_t target, const char *published,
                                const struct y_node *at) {
    struct y_node *n = y_new(a, Y_MAP, at);
    y_set(a, n, "mode", y_new_str(a, "ingress", at));
    if (p->ip.n > 0)
        y_set(a, n, "host_ip", y_new_strn(a, p->ip, at));
    y_set(a, n, "target", y_new_int(a, target, at));
    if (published != NULL)
        y_set(a, n, "published", y_new_str(a, published, at));
    y_set(a, n, "protocol", y_new_str(a, str_lower(a, p->proto), at));
    return n;
}

err_t compose_parse_port(struct arena *a, struct str spec, const struct y_node *at, const char *path,
                         struct y_node **ret) {
    struct port_spec p = split_port(spec);
    struct range c, h = {0};
    if (!str_eq_nocase(p.proto, STR("tcp")) && !str_eq_nocase(p.proto, STR("udp")) &&
        !str_eq_nocase(p.proto, STR("sctp")))
        return y_hint(y_error(ERR_INVALID, at, path, "Invalid proto: %.*s", STR_ARG(p.proto)), "tcp, udp or sctp");
    if (p.ip.n > 0 && !is_ip(p.ip))
        return y_error(ERR_INVALID, at, path, "Invalid ip address: %.*s", STR_ARG(p.ip));
    if (p.container.n == 0)
        return y_error(ERR_INVALID, at, path, "No port specified: %.*s<empty>", STR_ARG(spec));
    if (!parse_range(p.container, &c))
        return y_error(ERR_INVALID, at, path, "Invalid containerPort: %.*s", STR_ARG(p.container));
    if (p.host.n > 0 && !parse_range(p.host, &h))
        return y_error(ERR_INVALID, at, path, "Invalid hostPort: %.*s", STR_ARG(p.host));
    if (p.host.n > 0 && c.to != c.from && c.to - c.from != h.to - h.from)
        return y_error(ERR_INVALID, at, path, "Invalid ranges specified for container and host Ports: %.*s and %.*s",
                       STR_ARG(p.container), STR_ARG(p.host));
    struct y_node *list = y_new(a, Y_SEQ, at);
    for (int64_t i = 0; i <= c.to - c.from; i++) {
        const char *published = NULL;
        if (p.host.n > 0 && c.to == c.from && h.from != h.to)
            published = arena_printf(a, "%lld-%lld", (long long)h.from, (long long)h.to);
        else if (p.host.n > 0)
            published = arena_printf(a, "%lld", (long long)h.from + i);
        y_push(a, list, port_node(a, &p, c.from + i, published, at));
    }
    *ret = list;
    return NULL;
}

/* ---- devices ---- */

err_t compose_parse_device(struct arena *a, struct str spec, const struct y_node *at, const char *path,
                           struct y_node **ret) {
    struct str part[3] = {{0}};
    size_t n = 0;
    struct str rest = spec;
    while (n < 3 && str_cut(&rest, ':', &part[n]))
        n++;
    if (n == 0 || part[0].n == 0 || rest.n > 0)
        return y_hint(
            y_error(ERR_INVALID, at, path, "confusing device mapping, please use long syntax: %.*s", STR_ARG(spec)),
            "write /dev/on-host:/dev/in-container:rwm");
    struct y_node *m = y_new(a, Y_MAP, at);
    y_set(a, m, "source", y_new_strn(a, part[0], at));
    y_set(a, m, "target", y_new_strn(a, n > 1 && part[1].n > 0 ? part[1] : part[0], at));
    y_set(a, m, "permissions", n > 2 ? y_new_strn(a, part[2], at) : y_new_str(a, "rwm", at));
    *ret = m;
    return NULL;
}
