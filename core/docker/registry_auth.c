/* Credential headers. The engine wants base64url WITH padding; without it some passwords work and others silently do not. */
#include "core/docker/image.h"

static char *base64url_padded(struct arena *a, const char *text) {
    char *z = base64_encode(a, text, strlen(text));
    for (char *p = z; *p; p++)
        *p = (char)(*p == '+' ? '-' : *p == '/' ? '_' : *p);
    return z;
}

static struct json *auth_object(struct arena *a, const struct registry_auth *auth) {
    struct json *o = json_object(a);
    if (!auth)
        return o;
    const struct {
        const char *key, *value;
    } fields[] = {{"username", auth->username},
                  {"password", auth->password},
                  {"serveraddress", auth->server},
                  {"identitytoken", auth->identity_token}};
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (fields[i].value)
            json_set_str(a, o, fields[i].key, fields[i].value);
    return o;
}

char *registry_auth_header(struct arena *a, const struct registry_auth *auth) {
    return base64url_padded(a, json_to_text(a, auth_object(a, auth)));
}

char *registry_config_header(struct arena *a, const struct registry_auth *auths, size_t n) {
    struct json *o = json_object(a);
    for (size_t i = 0; i < n; i++) {
        const char *server = auths[i].server;
        bool hub = !server || z_eq(server, "docker.io") || z_eq(server, "index.docker.io");
        json_set(a, o, hub ? "https://index.docker.io/v1/" : server, auth_object(a, &auths[i]));
    }
    return base64url_padded(a, json_to_text(a, o));
}
