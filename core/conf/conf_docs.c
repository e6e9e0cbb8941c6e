/* Texts made from the schema: the documented file, --help, the effective values. */
#include <string.h>
#include "core/base/check.h"
#include "core/base/json.h"
#include "core/conf/conf_schema.h"

static void put_comment(struct buf *out, const char *indent, const char *text) {
    struct str rest = str_of(text), line;
    while (str_cut(&rest, '\n', &line))
        buf_putf(out, "%s#%s%.*s\n", indent, line.n > 0 ? " " : "", STR_ARG(line));
}

static void put_list(struct buf *out, const char *items) {
    struct str rest = str_of(items), item;
    bool first = true;
    buf_putc(out, '[');
    while (items[0] != 0 && str_cut(&rest, ',', &item)) {
        buf_puts(out, first ? "" : ", ");
        json_write_str(out, item);
        first = false;
    }
    buf_putc(out, ']');
}

static void put_value(struct buf *out, const struct conf_key *k) {
    if (k->type == CONF_LIST)
        put_list(out, k->dflt);
    else if (k->type == CONF_TEXT)
        json_write_str(out, str_of(k->dflt)); /* a JSON string is a YAML one */
    else
        buf_puts(out, k->dflt);
}

static void put_facts(struct buf *out, struct arena *a, const struct conf_key *k) {
    buf_putf(out, "  # Environment %s", conf_env_name(a, k));
    if (k->type == CONF_TEXT)
        buf_puts(out, " (or ..._FILE)");
    if (k->env != NULL)
        buf_putf(out, " or %s", k->env);
    if (k->type == CONF_INT)
        buf_putf(out, "; %lld to %lld", (long long)k->min, (long long)k->max);
    buf_puts(out, k->reloadable ? "; reloadable.\n" : "; needs a restart.\n");
}

void conf_print_docs(struct buf *out) {
    AUTO(arena) a = arena_new("conf docs", 0);
    put_comment(out, "",
                "Configuration of the DockFlow server, with every key at its default.\n"
                "Made from the schema in core/conf/conf_schema.c; print it with: dockflow --print-config\n"
                "\n"
                "A key can also come from the environment (named below) or a flag: --server.maxBody=16MiB.\n"
                "Flags win over the environment, the environment over this file. Unknown keys stop the start.\n"
                "Check with: dockflow --check-config --config FILE. SIGHUP reloads what is marked reloadable.");
    for (size_t s = 0; s < conf_n_sections; s++) {
        const char *name = conf_sections[s].name;
        size_t n = strlen(name);
        buf_putc(out, '\n');
        put_comment(out, "", conf_sections[s].doc);
        buf_putf(out, "%s:\n", name);
        for (size_t i = 0; i < conf_n_keys; i++) {
            const struct conf_key *k = &conf_keys[i];
            if (!z_starts(k->key, name) || k->key[n] != '.')
                continue;
            put_comment(out, "  ", k->doc);
            put_facts(out, a, k);
            buf_putf(out, "  %s%s: ", k->secret ? "#" : "", k->key + n + 1);
            put_value(out, k);
            buf_putc(out, '\n');
        }
    }
}

void conf_print_flags(struct buf *out) {
    AUTO(arena) a = arena_new("conf docs", 0);
    for (size_t i = 0; i < conf_n_keys; i++) {
        const struct conf_key *k = &conf_keys[i];
        struct str rest = str_of(k->doc), line;
        (void)str_cut(&rest, '\n', &line);
        if (k->no_flag)
            buf_putf(out, "  %s_FILE\n      %.*s\n", conf_env_name(a, k), STR_ARG(line));
        else
            buf_putf(out, "  --%s=%s\n      %.*s\n", k->key, k->dflt, STR_ARG(line));
    }
}

void conf_dump_json(struct buf *out, const struct conf *c) {
    AUTO(arena) a = arena_new("conf dump", 0);
    struct jw w;
    jw_init(&w, out);
    jw_obj(&w);
    for (size_t i = 0; i < conf_n_keys; i++) {
        const struct conf_key *k = &conf_keys[i];
        const char *text = conf_value_text(a, c, k);
        jw_kv_str(&w, k->key, k->secret && text[0] != 0 ? "***" : text);
    }
    jw_obj_end(&w);
}
