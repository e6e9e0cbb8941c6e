/* Inside core/fleet only. */
#pragma once
#include "core/async/fiber.h"
#include "core/async/loop.h"
#include "core/async/wait.h"
#include "core/base/list.h"
#include "core/base/map.h"
#include "core/docker/container.h"
#include "core/docker/image.h"
#include "core/docker/network.h"
#include "core/docker/system.h"
#include "core/docker/volume.h"
#include "core/fleet/fleet.h"

#define FLEET_MAGIC 0xf1ee7001u
#define NODE_MAGIC 0xf1ee7002u
#define ACTION_MAX 24
#define DIRTY_MAX 500  /* more dirty containers than this are a relist */
#define OBJECT_KINDS 3 /* image, network, volume */
#define OBJECT_JSON_MAX KIB(256)

struct node;
struct fleet_entry {          /* one container: everything in one heap block */
    struct fleet_container c; /* first: entries are found by their public part */
    struct node *node;
    uint64_t generation;
};
struct fleet_item { /* image, network, volume: one heap block */
    struct fleet_object o;
    uint64_t generation;
};
struct fleet_sub {
    struct list link;
    struct fleet *fleet;
    fleet_change_fn *fn;
    void *arg;
    bool dead;
};
struct dirty {
    char action[ACTION_MAX];
};

struct node {
    uint32_t magic;
    struct list link;
    struct fleet *fleet;
    char *id, *name;
    struct docker *d;
    uint64_t endpoint_hash;
    bool maintenance;
    /* state */
    bool online, synced, tried;
    char reason[200];
    bool untrusted; /* it answers, but not as who it should be: calls say so by themselves */
    int64_t synced_ms, last_seen_ms, clock_offset_ms;
    char engine_version[40], os[80], arch[24], cgroup_version[8], swarm_state[16];
    int64_t cpus, memory;
    size_t running;
    /* index */
    struct map containers;            /* id -> struct fleet_entry */
    struct map objects[OBJECT_KINDS]; /* id -> struct fleet_item */
    uint64_t generation;
    /* watching */
    struct fiber *main, *events, *health;
    bool stopping, lost, subscribed, events_over;
    struct cond news, changed; /* news: for the watcher; changed: for those who wait for a sync */
    struct map dirty;          /* container id -> struct dirty (heap) */
    char kind_dirty[OBJECT_KINDS][ACTION_MAX];
    bool relist_wanted;
    uint64_t relists_started, relists_done, relist_due;
    bool details_left;
    int64_t last_event_ns;
    uint64_t last_event_hash[16];
    size_t nlast_event;
    uint64_t backoff;
    unsigned users; /* fibers waiting on `changed` */
};
struct fleet {
    uint32_t magic;
    struct fleet_conf conf;
    struct list nodes, subs;
    size_t nnodes;
    struct fleet_entry **sorted; /* all containers by (name, id) */
    size_t nsorted, cap_sorted;
    unsigned telling;
    uint64_t revision;
    struct fleet_stats stats;
    fleet_event_fn *on_event;
    void *on_event_arg;
};

/* fleet.c */
struct node *fleet_node_of(struct fleet *f, const char *id);
void fleet_tell(struct fleet *f, const struct fleet_change *c);
void node_set_state(struct node *n, bool online, const char *reason);
void node_fill(const struct node *n, struct fleet_node *ret);
/* watch.c */
void node_clear_dirty(struct node *n);
err_t node_main(void *arg);
/* relist.c */
err_t node_relist(struct node *n, struct docker *d);
err_t node_refresh_dirty(struct node *n, struct docker *d);
err_t node_details(struct node *n, struct docker *d);
int kind_of_event_type(const char *type); /* index into objects, -1 = container, -2 = other */
/* index.c */
void index_upsert(struct node *n, struct fleet_container *c, const char *action);
void index_remove(struct node *n, const char *id, const char *action);
void index_sweep(struct node *n);
void index_clear(struct node *n);
void index_put_object(struct node *n, int kind, struct fleet_object *o, const char *action);
void index_sweep_objects(struct node *n, int kind, const char *action);
/* parse.c: into a scratch arena */
err_t parse_list_row(struct arena *a, struct json *row, struct fleet_container *ret);
err_t parse_inspect(struct arena *a, const struct docker_container_info *info, struct fleet_container *ret);
void parse_object(struct arena *a, int kind, const struct json *row, struct fleet_object *ret);
int64_t parse_time_ms(const char *rfc3339);
