/* Private to the runner. */
#pragma once
#include "core/base/json.h"

#define CASE_ROOT "/srv/case"
#define CASE_HOME "/srv/home"

struct outcome {
    bool ok;
    const char *error;     /* message when not ok */
    struct json *value;    /* the result */
    struct json *want;     /* merge, normalize: canonical project of what is expected */
    struct json *model;    /* interpolate: the raw tree */
    struct json *warnings; /* list of texts, or NULL */
};

/** Runs a case of any kind; false when the kind is unknown. */
bool run_case(struct arena *a, const struct json *c, struct outcome *out);
bool run_project(struct arena *a, const char *kind, const struct json *c, struct outcome *out);
bool run_unit(struct arena *a, const char *kind, const struct json *c, struct outcome *out);
void outcome_error(struct arena *a, struct outcome *out, err_t e);

/** NULL when the case passed, else why not. */
const char *judge(struct arena *a, const struct json *c, const struct outcome *out);

/** "${ROOT}" and "${HOME}" replaced. */
char *substitute_places(struct arena *a, const char *s);
