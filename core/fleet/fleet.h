/* Fleet: every node's containers, images, networks and volumes in memory, kept by engine events and relists; node health.
 *
 * Events are hints: they mark objects dirty, a dirty object is read again at most every 100 ms, and a full relist happens
 * on connect, after a gap in the event stream, when too much is dirty, and every 10 minutes with jitter. Lists, filters and
 * drift read here, never the engine. Loop thread only. Queries do not yield; pointers they hand out are valid until the
 * caller's next yield. */
#pragma once
#include "core/base/json.h"
#include "core/docker/docker.h"

struct fleet;
struct fleet_conf {
    uint64_t ping_ms;                        /* health check period, default 5 s; a dead node is found within 15 s */
    uint64_t ping_timeout_ms;                /* default 4 s */
    uint64_t relist_ms;                      /* default 10 min, +-10 % */
    uint64_t coalesce_ms;                    /* default 100 ms */
    uint64_t backoff_min_ms, backoff_max_ms; /* default 500 ms, 30 s */
    size_t max_containers;                   /* per node, default 50000; also images, networks, volumes */
};
struct fleet *fleet_new(const struct fleet_conf *conf); /* NULL = defaults */
/** YIELDS: stops every watcher, then frees. NULL is fine. */
void fleet_free(struct fleet *f);

struct fleet_node_conf {
    const char *id, *name;     /* id: our UUID */
    struct docker_conf docker; /* its name may be NULL: taken from here */
    bool maintenance;          /* watched, but marked: no deployment may go there */
};
/** ERR_CONFLICT for a known id, ERR_INVALID for a bad endpoint. The watcher starts at once. */
MUST_CHECK err_t fleet_node_add(struct fleet *f, const struct fleet_node_conf *conf);
/** New name, endpoint or maintenance mark; the index survives when the endpoint stays the same. */
MUST_CHECK err_t fleet_node_update(struct fleet *f, const struct fleet_node_conf *conf);
/** YIELDS until its watcher ended. Unknown id is fine. Running calls on its docker fail with ERR_DOCKER_UNAVAILABLE. */
void fleet_node_remove(struct fleet *f, const char *node_id);

enum fleet_state { FLEET_CONNECTING, FLEET_ONLINE, FLEET_UNREACHABLE, FLEET_MAINTENANCE };
const char *fleet_state_text(enum fleet_state s); /* connecting online unreachable maintenance */
struct fleet_node {
    const char *id, *name, *url;
    enum fleet_state state; /* FLEET_MAINTENANCE hides online only: an unreachable node says so */
    bool maintenance;
    const char *reason;      /* why it is not online; "" otherwise */
    bool synced;             /* the index holds a complete list (maybe old while unreachable: see synced_ms) */
    int64_t synced_ms;       /* wall time of the last complete list, 0 = never */
    int64_t last_seen_ms;    /* wall time of the last answer */
    int64_t clock_offset_ms; /* engine clock minus ours */
    int api;                 /* negotiated minor version, 0 = none */
    const char *engine_version, *os, *arch, *cgroup_version, *swarm_state; /* "" until known */
    int64_t cpus, memory;
    size_t containers, running, images, networks, volumes;
};
bool fleet_node_get(struct fleet *f, const char *node_id, struct fleet_node *ret);
/** In order of adding; fn returns false to stop. */
void fleet_nodes(struct fleet *f, bool (*fn)(void *arg, const struct fleet_node *n), void *arg);
/** {"id","name","url","state",...,"engine":{...}|null,...}: the run-time part of the API's Node; caller adds labels etc. */
void fleet_node_json_fields(struct jw *w, const struct fleet_node *n);
/** A reference to the node's engine: docker_unref it. ERR_NOT_FOUND. Calls may still find it unreachable. */
MUST_CHECK err_t fleet_docker(struct fleet *f, const char *node_id, struct docker **ret);
/** The same for somebody who waits for the answer: ERR_DOCKER_UNAVAILABLE at once when the node is known to be unreachable. */
MUST_CHECK err_t fleet_docker_reachable(struct fleet *f, const char *node_id, struct docker **ret);
/** YIELDS until the node's first complete list is in, or its state is unreachable (ERR_DOCKER_UNAVAILABLE), or deadline. */
MUST_CHECK err_t fleet_wait_synced(struct fleet *f, const char *node_id, uint64_t deadline);
/** YIELDS until a relist that began after this call is in: what the caller did on the engine is visible then. */
MUST_CHECK err_t fleet_refresh(struct fleet *f, const char *node_id, uint64_t deadline);

struct fleet_label {
    const char *key, *value;
};
struct fleet_port {
    const char *ip, *type;
    uint16_t private_port, public_port;
};
struct fleet_container {
    const char *node_id, *node_name;
    const char *id;   /* 64 hex */
    const char *name; /* without slash */
    const char *image, *image_id;
    const char *state;                           /* created running paused restarting removing exited dead */
    const char *health;                          /* starting healthy unhealthy none */
    const char *project, *service;               /* compose labels or NULL */
    int64_t created_ms, started_ms, finished_ms; /* wall, 0 = unknown */
    int exit_code;
    bool detailed; /* health, exit code and times come from inspect, not from the list */
    const struct fleet_label *labels;
    size_t nlabels;
    const struct fleet_port *ports;
    size_t nports;
    const char *const *networks; /* names */
    size_t nnetworks;
    uint64_t revision; /* grows with each change of any container of the fleet */
};
struct fleet_filter { /* all given must hold; zeroed = everything */
    const char *node_id;
    const char *state, *health;
    const char *name, *image;      /* substring, ASCII case ignored */
    const char *project, *service; /* exact */
    const char *const *labels;     /* "k" or "k=v" */
    size_t nlabels;
    const char *q;                     /* substring of name, image, id prefix, project or service */
    const char *after_name, *after_id; /* keyset: rows after this (name, id) */
    size_t limit;                      /* 0 = all */
};
/** Visit in (name, id) order; fn returns false to stop. Returns rows visited. */
size_t fleet_containers(struct fleet *f, const struct fleet_filter *filter,
                        bool (*fn)(void *arg, const struct fleet_container *c), void *arg);
/** By full id, unambiguous id prefix (>= 2 characters) or exact name; node_id may be NULL. ERR_NOT_FOUND; ERR_CONFLICT when
 * several match. */
MUST_CHECK err_t fleet_container_find(struct fleet *f, const char *node_id, const char *ref,
                                      const struct fleet_container **ret);
/** API `Container`; `application_json` is the raw object or NULL. "status" is made from state and times. */
void fleet_container_json(struct jw *w, const struct fleet_container *c, const char *application_json);

struct fleet_object { /* image, network, volume */
    const char *node_id;
    const char *id;     /* volume: its name */
    const char *name;   /* image: first tag or "" */
    const char *driver; /* network, volume */
    int64_t size;       /* image */
    const struct fleet_label *labels;
    size_t nlabels;
    const char *json; /* the engine's list row, compact */
};
enum fleet_kind { FLEET_CONTAINER, FLEET_IMAGE, FLEET_NETWORK, FLEET_VOLUME, FLEET_NODE };
size_t fleet_objects(struct fleet *f, enum fleet_kind kind, const char *node_id,
                     bool (*fn)(void *arg, const struct fleet_object *o), void *arg);

struct fleet_change {
    enum fleet_kind kind;
    const char *node_id;
    const char *action; /* create start die stop pause unpause rename restart destroy update oom health_status
                              * connect disconnect pull ... ; "resync" = found by a relist; FLEET_NODE: the new state */
    const char *id, *name;
    bool appeared, vanished;
    const struct fleet_container *before, *after; /* FLEET_CONTAINER: NULL when it appeared / vanished */
};
/** Called on the loop thread for each change of the index and of node states; must not yield. Returns a handle. */
typedef void fleet_change_fn(void *arg, const struct fleet_change *c);
struct fleet_sub *fleet_subscribe(struct fleet *f, fleet_change_fn *fn, void *arg);
void fleet_unsubscribe(struct fleet_sub *s); /* NULL is fine; allowed inside the callback */

/** The engine's raw events as they come (not coalesced), for a live event view and for the log hub. */
struct docker_event;
typedef void fleet_event_fn(void *arg, const char *node_id, struct docker *d, const struct docker_event *ev);
void fleet_on_event(struct fleet *f, fleet_event_fn *fn, void *arg); /* one consumer; NULL removes */

struct fleet_stats {
    size_t nodes, online, containers;
    uint64_t events, relists, inspects, coalesced, changes;
};
struct fleet_stats fleet_stats_get(const struct fleet *f);
