/* Private to model*.c: reading typed values out of the canonical tree. Missing or odd values give the "absent" value. */
#pragma once
#include "core/compose/stages.h"

struct compose_origin model_origin(const struct y_node *n);
const char *model_text(const struct y_node *m, const char *key); /* NULL when absent or empty */
int64_t model_int(const struct y_node *m, const char *key);      /* COMPOSE_UNSET when absent */
double model_num(const struct y_node *m, const char *key);       /* 0 when absent */
int64_t model_duration(const struct y_node *m, const char *key); /* ns */
int64_t model_mode(const struct y_node *m, const char *key);     /* octal text */
enum compose_tri model_tri(const struct y_node *m, const char *key);
struct compose_strs model_strs(struct arena *a, const struct y_node *l);
struct compose_kvs model_kvs(struct arena *a, const struct y_node *m, bool keep_null); /* sorted */
struct compose_ulimit *model_ulimits(struct arena *a, const struct y_node *m, size_t *n);

void model_service(struct compose_cx *cx, const struct y_node *file, const struct y_node *node, const char *name,
                   struct compose_service *s);
