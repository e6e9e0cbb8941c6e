/* Endpoints and networks. */
#include "core/docker/guard_internal.h"

static void endpoint_options(struct guard *g, const char *ptr, const struct json *v) {
    for (size_t i = 0; i < v->obj.n; i++) {
        struct str k = v->obj.v[i].key;
        if (str_eqz(k, "com.docker.network.endpoint.ifname"))
            continue;
        bool sysctl = str_eqz(k, "com.docker.network.endpoint.sysctls");
        guard_need(g, sysctl ? GUARD_SYSCTLS : GUARD_NETWORK_DRIVER, guard_ptr(g, ptr, k.p),
                   sysctl ? "sysctl" : "network-option", "the endpoint option %.80s is not on the list", k.p);
    }
}
static void endpoint_links(struct guard *g, const char *ptr, const struct json *v) {
    for (size_t i = 0; i < v->arr.n; i++) {
        struct str rest = v->arr.v[i]->s, ref;
        if (str_cut(&rest, ':', &ref))
            guard_own_container(g, guard_ptr_i(g, ptr, i), "link", str_z(g->a, ref));
    }
}
static const struct guard_key address_keys[] = {
    {"IPv4Address", GT_STR, NULL}, {"IPv6Address", GT_STR, NULL}, {"LinkLocalIPs", GT_STRS, NULL}};
static void addresses(struct guard *g, const char *ptr, const struct json *v) {
    guard_object(g, ptr, v, GUARD_TABLE(address_keys));
}
static const struct guard_key endpoint_keys[] = {
    {"IPAMConfig", GT_OBJ, addresses}, {"Links", GT_STRS, endpoint_links},       {"Aliases", GT_STRS, NULL},
    {"MacAddress", GT_STR, NULL},      {"DriverOpts", GT_MAP, endpoint_options}, {"GwPriority", GT_INT, NULL},
};

void guard_endpoint(struct guard *g, const char *ptr, const struct json *v) {
    if (json_is(v, JSON_NULL))
        return;
    if (!json_is(v, JSON_OBJECT))
        guard_deny(g, ptr, "type", "endpoint settings are an object");
    else
        guard_object(g, ptr, v, GUARD_TABLE(endpoint_keys));
}

static void driver(struct guard *g, const char *ptr, const struct json *v) {
    if (v->s.n && !str_eqz(v->s, "bridge") && !str_eqz(v->s, "overlay"))
        guard_need(g, GUARD_NETWORK_DRIVER, ptr, "network-driver",
                   "the network driver %.64s reaches the host's networks", v->s.p);
}

static bool gateway_mode_ok(struct str k, struct str v) {
    return (str_eqz(k, "com.docker.network.bridge.gateway_mode_ipv4") ||
            str_eqz(k, "com.docker.network.bridge.gateway_mode_ipv6")) &&
           (str_eqz(v, "nat") || str_eqz(v, "isolated"));
}

static void options(struct guard *g, const char *ptr, const struct json *v) {
    static const char *const fine[] = {"com.docker.network.bridge.enable_icc",
                                       "com.docker.network.bridge.enable_ip_masquerade",
                                       "com.docker.network.bridge.host_binding_ipv4",
                                       "com.docker.network.bridge.host_binding_ipv6",
                                       "com.docker.network.driver.mtu",
                                       "com.docker.network.driver.overlay.vxlanid_list",
                                       "com.docker.network.container_iface_prefix",
                                       "encrypted"};
    for (size_t i = 0; i < v->obj.n; i++) {
        struct str k = v->obj.v[i].key;
        bool ok = gateway_mode_ok(k, v->obj.v[i].value->s);
        for (size_t j = 0; j < ARRAY_LEN(fine) && !ok; j++)
            ok = str_eqz(k, fine[j]);
        if (!ok)
            guard_need(g, GUARD_NETWORK_DRIVER, guard_ptr(g, ptr, k.p), "network-option",
                       "the network option %.80s is not on the list", k.p);
    }
}

static void special(struct guard *g, const char *ptr, const struct json *v) {
    if (v->b)
        guard_need(g, GUARD_NETWORK_DRIVER, ptr, "network-option", "special networks are an administrator's");
}
static void scope(struct guard *g, const char *ptr, const struct json *v) {
    if (v->s.n && !str_eqz(v->s, "local"))
        guard_need(g, GUARD_NETWORK_DRIVER, ptr, "network-option", "the scope %.32s is an administrator's", v->s.p);
}
static void ipam_driver(struct guard *g, const char *ptr, const struct json *v) {
    if (v->s.n && !str_eqz(v->s, "default"))
        guard_need(g, GUARD_NETWORK_DRIVER, ptr, "network-driver", "another address driver than default");
}

static const struct guard_key pool_keys[] = {{"Subnet", GT_STR, NULL},
                                             {"Gateway", GT_STR, NULL},
                                             {"IPRange", GT_STR, NULL},
                                             {"AuxiliaryAddresses", GT_MAP, NULL}};
static void pools(struct guard *g, const char *ptr, const struct json *v) {
    for (size_t i = 0; i < v->arr.n; i++) {
        const char *at = guard_ptr_i(g, ptr, i);
        if (json_is(v->arr.v[i], JSON_OBJECT))
            guard_object(g, at, v->arr.v[i], GUARD_TABLE(pool_keys));
        else
            guard_deny(g, at, "type", "an address pool is an object");
    }
}
static const struct guard_key ipam_keys[] = {
    {"Driver", GT_STR, ipam_driver}, {"Options", GT_MAP, NULL}, {"Config", GT_ARR, pools}};
static void ipam(struct guard *g, const char *ptr, const struct json *v) {
    guard_object(g, ptr, v, GUARD_TABLE(ipam_keys));
}

static const struct guard_key network_keys[] = {
    {"Name", GT_STR, NULL},        {"CheckDuplicate", GT_BOOL, NULL},
    {"Driver", GT_STR, driver},    {"Scope", GT_STR, scope},
    {"Internal", GT_BOOL, NULL},   {"Attachable", GT_BOOL, NULL},
    {"Ingress", GT_BOOL, special}, {"ConfigOnly", GT_BOOL, special},
    {"EnableIPv4", GT_BOOL, NULL}, {"EnableIPv6", GT_BOOL, NULL},
    {"IPAM", GT_OBJ, ipam},        {"Options", GT_MAP, options},
    {"Labels", GT_MAP, NULL},
};

void guard_network_body(struct guard *g, const struct json *body) {
    guard_object(g, "", body, GUARD_TABLE(network_keys));
}
