/* The shape of a Compose file as one table: what a value may be, what it becomes in canonical form, how two files merge it and
 * what makes a list element unique. Validation, canonical form, merge, unicity and the JSON rendering all read this table. */
#pragma once
#include "core/compose/tree.h"

enum cs_type {
    CS_ANY,
    CS_STRING,
    CS_SCALAR,   /* string or number; canonical: string */
    CS_BOOL,     /* boolean or a string that means one */
    CS_INT,      /* integer or a string that is one */
    CS_NUM,      /* number or a string that is one */
    CS_BYTES,    /* integer or "64m"; canonical: integer */
    CS_DURATION, /* "1m30s"; canonical: Go form */
    CS_MODE,     /* file mode; canonical: octal string */
    CS_COMMAND,  /* null, shell words or list; canonical: list */
    CS_TEST,     /* healthcheck.test */
    CS_STRS,     /* list of strings */
    CS_KV,       /* mapping or list of "k=v"; canonical: mapping */
    CS_DICT,     /* mapping of scalars; canonical: strings */
    CS_HOSTS,    /* extra_hosts; canonical: list of "host=ip" */
    CS_ULIMIT,   /* number or {soft, hard} */
    CS_COUNT,    /* device count: integer or "all"; canonical: integer, -1 = all */
    CS_OPTIONS,  /* provider options: scalar or list of scalars; canonical: list of strings */
    CS_OBJECT,   /* known keys */
    CS_MAP,      /* user-named keys */
    CS_LIST,     /* of item */
};
enum cs_flag {
    CSF_NULL = 1,         /* null allowed */
    CSF_ALSO_STRING = 2,  /* one string instead of a list */
    CSF_NUMBERS = 4,      /* list elements may be numbers */
    CSF_NO_EXT = 8,       /* x- keys are not extensions here (names of the user), or are refused */
    CSF_NULLS = 16,       /* null values stay null (environment, args) */
    CSF_OPEN = 32,        /* unknown keys are accepted */
    CSF_LISTS = 64,       /* values may be lists */
    CSF_STRICT = 128,     /* no string form: the schema wants the type itself */
    CSF_OMIT_EMPTY = 256, /* empty strings are dropped from the list */
    CSF_ENV = 512,        /* names must not end with a space */
    CSF_NAMES = 1024,     /* keys match [a-zA-Z0-9._-]+ */
    CSF_UNIQUE = 2048,    /* repeated elements are an error */
};
/* What may stand instead of the long form, and how to expand it (canonical.c). */
enum cs_short {
    CSS_NONE,
    CSS_BUILD,    /* "dir" */
    CSS_EXTENDS,  /* "service" */
    CSS_NAMES,    /* list of names -> mapping of nulls (networks, models) */
    CSS_DEPENDS,  /* list of names -> {condition, required} */
    CSS_ENV_FILE, /* string or list -> list of {path, required} */
    CSS_MOUNT,    /* volumes element "src:dst:mode" */
    CSS_PORT,     /* ports element */
    CSS_DEVICE,   /* "src:dst:perm" */
    CSS_FILE_REF, /* "name" -> {source} */
    CSS_GPUS,     /* "all" */
    CSS_EXTERNAL, /* external: {name: x} */
    CSS_SSH,      /* list or mapping */
    CSS_INCLUDE,  /* "path" */
};
enum cs_merge {
    CSM_DEFAULT, /* mappings merge, lists append, scalars replace */
    CSM_REPLACE,
    CSM_APPEND, /* string or list forms unify, then append */
    CSM_BUILD,
    CSM_NAMES,
    CSM_LOGGING,
    CSM_IPAM,
    CSM_ULIMIT,
};
enum cs_unique {
    CSU_NONE,
    CSU_VALUE,    /* the text before '=' */
    CSU_TARGET,   /* volumes, devices */
    CSU_FILE_REF, /* configs, secrets: target, default from the source */
    CSU_PORT,
    CSU_PATH, /* env_file */
};

struct cs;
struct cs_field {
    const char *name;
    const struct cs *s;
};
struct cs {
    enum cs_type type;
    unsigned flags;
    const struct cs_field *fields; /* CS_OBJECT; ends with a NULL name */
    const struct cs *item;         /* CS_MAP, CS_LIST */
    const char *const *values;     /* enumeration, NULL-terminated */
    const char *const *required;   /* keys an object must have */
    const char *prefix;            /* CSU_FILE_REF: directory of default targets */
    enum cs_short shorthand;
    enum cs_merge merge;
    enum cs_unique unique;
    int64_t min, max; /* checked for integers when not both 0 */
};

extern const struct cs compose_schema; /* a whole file */
extern const struct cs compose_service_schema;
const struct cs *cs_field(const struct cs *object, struct str key); /* NULL if unknown */
/** Schema below a path pattern such as "services.*.build.ssh"; NULL if there is none. */
const struct cs *cs_lookup(const char *pattern);
