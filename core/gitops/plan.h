/* The plan: an ordered DAG of operations, each one engine call (or one wait), each with its cause. Built by pure functions from
 * desired x observed; diff view, dry run, policy, audit and executor all use this one type. Nothing here yields. */
#pragma once
#include "core/base/json.h"
#include "core/base/vec.h"
#include "core/compose/compose.h"

/* Labels of our own, below the ones docker compose writes. */
#define LABEL_APP "io.dockflow.application"
#define LABEL_HASH "io.dockflow.hash"
#define LABEL_REVISION "io.dockflow.revision"
#define LABEL_DEPLOYMENT "io.dockflow.deployment"
#define LABEL_FILES "io.dockflow.files"
#define LABEL_BUILD "io.dockflow.build"
#define FILES_HELPER_SUFFIX "_put"

/** Content that must exist on the engine's host before a container is created: files of the commit, configs, secrets. */
struct desired_file_set {
    const char *key;    /* "bind:<target>", "config:<name>", "secret:<name>" */
    const char *digest; /* sha256 hex over names, modes and contents */
    const char *
        volume; /* content-addressed volume that holds it: <project>_files_<digest 16>, of one file <project>_file_... */
    const char *path;   /* inside the volume: "" for a directory, "/<name>" for one file */
    const char *target; /* mount point in the container */
    bool read_only;
    const void *content; /* source.h: struct file_tree; NULL in pure tests */
};

enum image_want { IMAGE_IF_MISSING, IMAGE_ALWAYS, IMAGE_NEVER, IMAGE_BUILD };
struct desired_service {
    const struct compose_service *service;
    const char *image; /* reference */
    enum image_want want;
    const char *build_hash; /* digest over build context and options; NULL unless built */
    int64_t replicas;
    struct desired_file_set *files;
    size_t n_files;
};
struct desired {
    const struct compose_project *project;
    const char *app_id, *revision;
    struct desired_service *services; /* every enabled service, in start order (dependencies first) */
    size_t n_services;
    bool prune;   /* remove containers and networks that are no longer in the project; never volumes */
    bool force;   /* recreate everything */
    bool resumed; /* an interrupted deployment goes on: what it stopped was running */
    /** What the interrupted attempt removed in order to make it anew: {name: the engine's document}; NULL = nothing. */
    const struct json *removed_networks;
    bool adopt;              /* containers another tool made under this project's name are replaced by ours */
    const char *const *only; /* selected services, NULL = all */
    size_t n_only;
};

struct observed_image {
    const char *ref, *id, *build_hash;
};
struct observed_container {
    const char *id, *name, *service, *hash, *image_id, *state /* created running exited paused restarting dead */,
        *health;
    const char *app_id; /* of LABEL_APP; NULL for containers another tool made */
    const char *revision;
    int64_t number, exit_code, created_s;
    bool oneoff, has_healthcheck;
    const char **networks;    /* names */
    const char **network_ids; /* beside them: which network of that name it was attached to; NULL = not known */
    size_t n_networks;
    const char **mount_names; /* volumes mounted */
    size_t n_mount_names;
};
struct observed_network {
    const char *id, *name, *key /* label com.docker.compose.network */, *project, *hash;
};
struct observed_volume {
    const char *name, *key, *project, *hash;
    bool files;      /* one of our content volumes */
    bool incomplete; /* its helper container is still there: filling was interrupted */
};
struct observed {
    struct observed_container *containers; /* all of this compose project */
    size_t n_containers;
    struct observed_network *networks; /* of this project, and those with names the project wants */
    size_t n_networks;
    struct observed_volume *volumes;
    size_t n_volumes;
    struct observed_image *images; /* the desired references that are present */
    size_t n_images;
    struct { /* published host ports of foreign running containers */
        const char *container, *ip, *proto;
        int port;
    } * ports;
    size_t n_ports;
};

#define OP_KINDS(X)                                                                                                    \
    X(PULL, "pull")                                                                                                    \
    X(BUILD, "build")                                                                                                  \
    X(CREATE_NETWORK, "createNetwork")                                                                                 \
    X(REMOVE_NETWORK, "removeNetwork")                                                                                 \
    X(CREATE_VOLUME, "createVolume")                                                                                   \
    X(PUT_FILES, "putFiles")                                                                                           \
    X(CREATE, "create")                                                                                                \
    X(STOP, "stop")                                                                                                    \
    X(RENAME, "rename")                                                                                                \
    X(CONNECT, "connect")                                                                                              \
    X(START, "start")                                                                                                  \
    X(WAIT_HEALTHY, "waitHealthy")                                                                                     \
    X(WAIT_COMPLETED, "waitCompleted")                                                                                 \
    X(WAIT_RUNNING, "waitRunning")                                                                                     \
    X(REMOVE, "remove")                                                                                                \
    X(REMOVE_VOLUME, "removeVolume")
enum op_kind {
#define X(sym, name) OP_##sym,
    OP_KINDS(X)
#undef X
        OP_KIND_MAX
};

/** Why an operation is there. Codes are stable: missing, image, config, env, files, network, volume, forced, removed, scaled,
 * stopped, name, dependency, replaced, adopted, unhealthy. */
struct plan_cause {
    const char *code, *message;
    const char *path;             /* field of the service, e.g. "environment.DB_URL" */
    const char *from, *to;        /* NULL when unknown or secret */
    struct compose_origin origin; /* .file NULL when unknown */
};
typedef VEC(struct plan_cause) plan_causes;

struct op {
    const char *id; /* stable inside the plan: "create:web:1" */
    enum op_kind kind;
    const char *service;      /* NULL for networks, volumes, images of several services */
    const char *object;       /* name of what it acts on: container name, network name, image reference */
    const char *title;        /* one line for people */
    const char *container_id; /* existing container it acts on (stop, remove, rename, start of an old one) */
    const char *container_op; /* id of the create op whose container it acts on; NULL when container_id is set */
    const char *new_name;     /* rename */
    int64_t number;           /* replica */
    size_t service_index;     /* into desired->services; SIZE_MAX if none */
    size_t file_index;        /* PUT_FILES: into that service's files */
    plan_causes causes;
    VEC(const char *) depends_on; /* op ids */
    /** 0 prepare (pull, build, networks, volumes, files), 1 create, 2 switch. An operation starts only when everything of the
     * phases before it is done: nothing is stopped before all pulls and creates have succeeded. */
    int phase;
    bool reversible, destructive;
    /** stop, rename, remove of an old container: it changes over to a network made anew, with all the others or not at all. */
    bool moved;
    const char *replaced_by; /* the same: what an interrupted attempt has put in its place; NULL = nothing */
};
/** The tree of the commit appears to the loader as files below this directory. */
#define SOURCE_ROOT "/repository"
/** A file as people know it: relative to the repository; NULL stays NULL. */
const char *source_path(const char *file);

struct plan {
    const char *id, *app_id, *revision, *project;
    VEC(struct op) ops; /* topologically ordered */
    VEC(const char *) warnings;
    const struct desired *desired;
};

/** ERR_PORT_CONFLICT, ERR_CONFLICT (an external network/volume is missing, a name belongs to another application, containers of this
 * project's name are not ours and `adopt` is not set: details.containers names them), else a plan; an
 * empty one means in sync. `previous` (may be NULL) is what the last deployment recorded, {"services":
 * canonical services by name, "files": {service: {key: digest}}}, for field-level causes. */
MUST_CHECK err_t plan_build(struct arena *a, const struct desired *want, const struct observed *have,
                            const struct json *previous, struct plan **ret);
/** Shape of /plan in the API. */
struct json *plan_to_json(struct arena *a, const struct plan *p);
/** Where people find an origin's file: its path in the repository. */
const char *plan_origin_path(const char *file);
const char *op_kind_name(enum op_kind k);
const struct op *plan_op(const struct plan *p, const char *id);
/** Container name of a replica: container_name, else project-service-number. */
const char *plan_container_name(struct arena *a, const struct compose_project *p, const struct compose_service *s,
                                int64_t number);
/** Content hash of a service given its image id (NULL when unknown) and file digests. */
const char *plan_service_hash(struct arena *a, const struct desired_service *s, const char *image_id);
/** Field-level differences of two canonical services as causes; secrets are named but not shown. */
void plan_diff_service(struct arena *a, const struct compose_service *s, const struct json *before,
                       const struct json *after, plan_causes *out);
