#!/usr/bin/env bash
# ./dev image: the container image, built from the Dockerfile.
#
#   image.sh [--test] [TAG]     TAG is dockflow:latest by default
#
# --test  builds on a base image made here (debootstrap, so no registry is needed), runs it alone and by
#         conf/compose/compose.yaml beside a PostgreSQL, and looks at both; ends with "N passed, N failed, N skipped".
#         Where no DOCKER_HOST is given the engine is one of our own, whose layers stay in the cache: what has not
#         changed is not built again.
set -euo pipefail
ROOT=${ROOT:-$(cd "$(dirname "$0")/../.." && pwd)}
CACHE=${CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dockflow}
BASE=debian:bookworm-slim
MAX_MB=250
# shellcheck source=tests/lab/lab.sh
. "$ROOT/tests/lab/lab.sh"

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
note() { printf '    %s\n' "$*" >&2; }
die() {
    printf 'image: %s\n' "$*" >&2
    exit 1
}

TEST=no TAG=dockflow:latest
for arg in "$@"; do
    case "$arg" in
    --test) TEST=yes ;;
    -*) die "unknown option $arg" ;;
    *) TAG=$arg ;;
    esac
done

# build TAG [ARG...]
build() {
    local tag=$1
    shift
    say "building $tag (log in build/log/image.log)"
    # The classic builder takes the base from the engine itself; BuildKit would ask a registry.
    DOCKER_BUILDKIT=0 docker build --build-arg "BASE=$BASE" -t "$tag" "$@" "$ROOT" >>"$ROOT/build/log/image.log" 2>&1 || {
        tail -n 40 "$ROOT/build/log/image.log" >&2
        die "docker build failed (whole output in build/log/image.log)"
    }
    note "$tag: $(size_of "$tag") MB"
}

size_of() { echo $(($(docker image inspect -f '{{.Size}}' "$1") / 1000000)); }

# --- the engine and the base image -----------------------------------------------------------------

# An engine of our own, in the cache if nobody else is using that one now.
own_engine() {
    unset DOCKER_HOST
    lab_init "$(mktemp -d /tmp/dfimage-XXXXXX)"
    trap lab_stop EXIT
    mkdir -p "$CACHE"
    exec 9>"$CACHE/image-engine.lock"
    if flock -n 9; then
        export DF_LAB_DOCKER_DATA=$CACHE/image-engine
    else
        note "another run has the cached layers: building without"
    fi
    lab_docker_start 9>&-
    # What a killed run left.
    docker ps -aq | xargs -r docker rm -fv >/dev/null
    docker volume ls -q | xargs -r docker volume rm >/dev/null
}

# Where this machine gets its packages; the local image uses the same, the repository knows nothing of it.
apt_mirror() { apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | sed -n 1p; }

# make_root FOLDER: what debian:bookworm-slim has in it.
make_root() {
    local root=$1
    lab_root debootstrap --variant=minbase bookworm "$root" "$(apt_mirror)" >"$ROOT/build/log/debootstrap.log" 2>&1 ||
        { tail -n 20 "$ROOT/build/log/debootstrap.log" >&2 && die "debootstrap failed"; }
    # What the slim variant leaves out, and how this machine reaches its packages.
    lab_root rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/doc/* \
        "$root"/usr/share/man/* "$root"/usr/share/locale/* "$root"/usr/share/info/*
    lab_root rm -rf "$root/etc/apt"
    lab_root cp -a /etc/apt "$root/etc/apt"
    lab_root rm -rf "$root"/etc/apt/preferences.d/*
    lab_root tee "$root/etc/dpkg/dpkg.cfg.d/slim" >/dev/null <<'SLIM'
path-exclude /usr/share/doc/*
path-exclude /usr/share/man/*
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
SLIM
}

# Kept under the hash of its recipe, and of where this machine gets packages; made again after a month for the updates.
make_base() {
    local key tarball root
    key=$({ declare -f make_root && find /etc/apt -type f -print0 | sort -z | xargs -0 cat; date +%Y-%m; } | sha256sum | cut -c1-20)
    if [ "$(docker image inspect -f '{{index .Config.Labels "dockflow.base"}}' "$BASE" 2>/dev/null)" = "$key" ]; then return; fi
    tarball=$CACHE/base-$key.tar.gz
    if [ ! -f "$tarball" ]; then
        command -v debootstrap >/dev/null || die "debootstrap is not installed"
        say "making a base image (debootstrap, half a minute)"
        mkdir -p "$CACHE"
        rm -f "$CACHE"/base-*.tar.gz
        root=$(mktemp -d)
        make_root "$root"
        lab_root tar -C "$root" -c . | gzip -1 >"$tarball.new"
        mv "$tarball.new" "$tarball"
        lab_root rm -rf "$root"
    fi
    docker import --change 'CMD ["bash"]' --change "LABEL dockflow.base=$key" "$tarball" "$BASE" >/dev/null
    note "base image $BASE: $(size_of "$BASE") MB"
}

# --- the tests -------------------------------------------------------------------------------------

PASSED=0 FAILED=0
check() {
    local name=$1
    shift
    if "$@"; then
        PASSED=$((PASSED + 1))
        note "ok   $name"
    else
        FAILED=$((FAILED + 1))
        note "FAIL $name"
    fi
}

runs_healthy() {
    local i state
    for i in $(seq 1 120); do
        state=$(docker inspect -f '{{.State.Status}} {{.State.Health.Status}}' "$CONTAINER")
        case "$state" in
        "running healthy") return 0 ;;
        running*) sleep 1 ;;
        *) break ;;
        esac
    done
    note "state: $state"
    docker logs --tail 30 "$CONTAINER" >&2
    return 1
}
inside() { docker exec "$CONTAINER" "$@"; }
# The status lines of the server itself; with an init before it, it is not process 1.
server_status() { inside bash -c 'cat "/proc/$(grep -lx dockflow /proc/[0-9]*/comm | cut -d/ -f3 | sort -n | head -n 1)/status"'; }
not_root() { server_status | grep -qP '^Uid:\t65532\t65532\t65532\t65532$'; }
no_capabilities() {
    [ "$(server_status | grep -cP '^Cap(Inh|Prm|Eff|Bnd|Amb):\t0+$')" = 5 ] && server_status | grep -qP '^NoNewPrivs:\t1$'
}
read_only() { ! inside touch /usr/here 2>/dev/null && inside touch /var/lib/dockflow/here; }
serves_ui() { inside bash -c 'exec 3<>/dev/tcp/127.0.0.1/8080; printf "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" >&3; grep -qi "<div id" <&3'; }
first_password() { docker logs "$CONTAINER" 2>&1 | sed -n 's/^ *password  *//p' | head -n 1; }
says_password() { [ -n "$(first_password)" ]; }
own_postgres() { inside test -s /var/lib/dockflow/postgres/data/postmaster.pid; }
survives_restart() { docker restart -t 40 "$CONTAINER" >/dev/null && runs_healthy; }
stops_tidily() { docker stop -t 40 "$CONTAINER" >/dev/null && [ "$(docker inspect -f '{{.State.ExitCode}}' "$CONTAINER")" = 0 ]; }

# Everything but the layer of the PostgreSQL packages.
small_enough() {
    local postgres total
    postgres=$(docker history --no-trunc --human=false --format '{{.Size}} {{.CreatedBy}}' "$TAG" | awk '/createcluster/ {s += $1} END {print int(s / 1000000)}')
    total=$(size_of "$TAG")
    note "$total MB, $postgres MB of them PostgreSQL"
    [ "$postgres" -gt 0 ] && [ $((total - postgres)) -le $MAX_MB ]
}

test_alone() {
    CONTAINER=$(docker run -d --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges "$TAG")
    check "runs until healthy" runs_healthy
    check "not root" not_root
    check "no capabilities, no way to new ones" no_capabilities
    check "read-only but for its data" read_only
    check "PostgreSQL of its own" own_postgres
    check "first password is shown" says_password
    check "serves the UI" serves_ui
    check "healthy again after a restart" survives_restart
    check "ends by itself when told" stops_tidily
    check "at most $MAX_MB MB without PostgreSQL" small_enough
    docker rm -fv "$CONTAINER" >/dev/null
}

# Something that takes the settings of the official postgres image, from the packages we have already.
make_postgres() {
    local folder
    folder=$(mktemp -d)
    cat >"$folder/entrypoint" <<'SCRIPT'
#!/bin/bash
set -eu
data=/var/lib/postgresql/data
bin=$(echo /usr/lib/postgresql/*/bin)
as_postgres() { setpriv --reuid=postgres --regid=postgres --clear-groups -- "$@"; }
if [ ! -s "$data/PG_VERSION" ]; then
    chown postgres: "$data"
    install -o postgres -m 600 /dev/null /tmp/password
    printf '%s' "$POSTGRES_PASSWORD" >/tmp/password
    as_postgres "$bin/initdb" -D "$data" -U "$POSTGRES_USER" -A scram-sha-256 --pwfile=/tmp/password
    rm /tmp/password
    echo "host all all all scram-sha-256" >>"$data/pg_hba.conf"
    echo "create database $POSTGRES_DB" | as_postgres "$bin/postgres" --single -D "$data" postgres
fi
install -d -o postgres /var/run/postgresql
exec setpriv --reuid=postgres --regid=postgres --clear-groups -- "$bin/postgres" -D "$data" -c listen_addresses='*'
SCRIPT
    chmod 755 "$folder/entrypoint"
    printf '%s\n' "FROM $TAG" 'USER root' 'HEALTHCHECK NONE' 'COPY entrypoint /entrypoint' 'ENTRYPOINT ["/entrypoint"]' >"$folder/Dockerfile"
    DOCKER_BUILDKIT=0 docker build -q -t postgres:17 "$folder" >>"$ROOT/build/log/image.log" 2>&1 || die "no PostgreSQL image"
    rm -rf "$folder"
}

# docker-compose as Debian has it reads all of the file but the name on top, which -p gives.
compose() { docker-compose -p dockflow --env-file "$FOLDER/env" -f "$FOLDER/compose.yaml" "$@" >>"$ROOT/build/log/compose.log" 2>&1; }
comes_up() {
    compose up -d && return
    compose logs --no-color || true
    tail -n 40 "$ROOT/build/log/compose.log" >&2
    return 1
}
stored_outside() {
    inside test ! -e /var/lib/dockflow/postgres &&
        [ "$(docker exec dockflow_postgres_1 psql -h 127.0.0.1 "postgresql://dockflow:$SECRET@/dockflow" -tAc 'select count(*) from users')" -ge 1 ]
}
reachable_from_here() { curl -fsS "http://127.0.0.1:$PORT/health/ready" >/dev/null; }
# The local node has seen the two containers of this very project, through the socket as a member of its group.
sees_the_engine() {
    local i new=phrase-$SECRET
    inside bash -c "dsctl login http://127.0.0.1:8080 -u admin@localhost --password-stdin <<<'$(first_password)' &&
        dsctl api POST /api/v1/auth/change-password -d '{\"currentPassword\": \"$(first_password)\", \"newPassword\": \"$new\"}' &&
        dsctl login http://127.0.0.1:8080 -u admin@localhost --password-stdin <<<'$new'" >>"$ROOT/build/log/compose.log" 2>&1 || return 1
    for i in $(seq 1 30); do
        if [ "$(inside dsctl get containers -o name | grep -c dockflow_)" = 2 ]; then return 0; fi
        sleep 1
    done
    inside dsctl get nodes >&2
    return 1
}

test_compose() {
    FOLDER=$(mktemp -d)
    SECRET=$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')
    PORT=$((20000 + RANDOM % 10000))
    local socket=${DOCKER_HOST#unix://}
    : >"$ROOT/build/log/compose.log"
    sed '/^name:/d' "$ROOT/conf/compose/compose.yaml" >"$FOLDER/compose.yaml"
    printf '%s\n' "POSTGRES_PASSWORD=$SECRET" "DOCKER_GID=$(stat -c %g "$socket")" "DOCKFLOW_IMAGE=$TAG" "DOCKFLOW_PORT=$PORT" \
        "DOCKER_SOCK=$socket" >"$FOLDER/env"
    make_postgres
    CONTAINER=dockflow_dockflow_1
    check "compose.yaml comes up" comes_up
    check "compose.yaml: healthy" runs_healthy
    check "compose.yaml: reachable on this machine" reachable_from_here
    check "compose.yaml: not root" not_root
    check "compose.yaml: no capabilities, no way to new ones" no_capabilities
    check "compose.yaml: read-only but for its data" read_only
    check "compose.yaml: everything is in the PostgreSQL beside it" stored_outside
    check "compose.yaml: sees the engine it runs on" sees_the_engine
    check "compose.yaml goes down" compose down -v -t 40
    rm -rf "$FOLDER"
}

mkdir -p "$ROOT/build/log"
: >"$ROOT/build/log/image.log"
if [ $TEST = no ]; then
    docker version >/dev/null 2>&1 || die "no Docker engine answers; ./dev image --test brings its own"
    build "$TAG"
    echo "image $TAG"
    exit 0
fi
TAG=dockflow:test
if [ -z "${DOCKER_HOST:-}" ]; then own_engine; fi
make_base
# Tagged, so that tidying up leaves these layers for the next time.
build dockflow:tools --target tools
build dockflow:build --target build
build "$TAG"
docker image prune -f >/dev/null
test_alone
test_compose
echo "$PASSED passed, $FAILED failed, 0 skipped"
[ $FAILED = 0 ]
