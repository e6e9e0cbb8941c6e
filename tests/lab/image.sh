#!/usr/bin/env bash
# ./dev image: the container image, built from the Dockerfile.
#
#   image.sh [--test] [TAG]     TAG is dockflow:latest by default
#
# --test  builds on a base image made here (debootstrap, so no registry is needed), in an engine of our own when none
#         answers, runs it until it is healthy, checks its size and user; ends with "N passed, N failed, N skipped".
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

build() {
    mkdir -p "$ROOT/build/log"
    say "building $TAG (log in build/log/image.log)"
    # The classic builder takes the base from the engine itself; BuildKit would ask a registry.
    DOCKER_BUILDKIT=0 docker build --build-arg "BASE=$BASE" -t "$TAG" "$ROOT" >"$ROOT/build/log/image.log" 2>&1 || {
        tail -n 40 "$ROOT/build/log/image.log" >&2
        die "docker build failed (whole output in build/log/image.log)"
    }
    note "$TAG: $(size_of "$TAG") MB"
}

size_of() { echo $(($(docker image inspect -f '{{.Size}}' "$1") / 1000000)); }

# --- the base image --------------------------------------------------------------------------------

# Where this machine gets its packages; the local image uses the same, the repository knows nothing of it.
apt_mirror() { apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | sed -n 1p; }

make_base() {
    if docker image inspect "$BASE" >/dev/null 2>&1; then return; fi
    local tarball=$CACHE/base-bookworm.tar.gz root
    if [ ! -f "$tarball" ]; then
        command -v debootstrap >/dev/null || lab_root apt-get install -y --no-install-recommends debootstrap >/dev/null ||
            die "debootstrap is not installed"
        say "making a base image (debootstrap, half a minute)"
        mkdir -p "$CACHE"
        root=$(mktemp -d)
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
        lab_root tar -C "$root" -czf - . >"$tarball.new"
        mv "$tarball.new" "$tarball"
        lab_root rm -rf "$root"
    fi
    docker import --change 'CMD ["bash"]' "$tarball" "$BASE" >/dev/null
    note "base image $BASE: $(size_of "$BASE") MB"
}

# --- the test --------------------------------------------------------------------------------------

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
not_root() { [ "$(docker exec "$CONTAINER" id -u)" = 65532 ]; }
serves_ui() { docker exec "$CONTAINER" bash -c 'exec 3<>/dev/tcp/127.0.0.1/8080; printf "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" >&3; grep -qi "<div id" <&3'; }
says_password() { docker logs "$CONTAINER" 2>&1 | grep -q 'First login'; }
own_postgres() { docker exec "$CONTAINER" test -s /var/lib/dockflow/postgres/data/postmaster.pid; }
survives_restart() { docker restart -t 40 "$CONTAINER" >/dev/null && runs_healthy; }
stops_tidily() { docker stop -t 40 "$CONTAINER" >/dev/null && [ "$(docker inspect -f '{{.State.ExitCode}}' "$CONTAINER")" = 0 ]; }

# Everything but the layer of the PostgreSQL packages.
small_enough() {
    local postgres total
    postgres=$(docker history --no-trunc --human=false --format '{{.Size}} {{.CreatedBy}}' "$TAG" | awk '/createcluster/ {s += $1} END {print int(s / 1000000)}')
    total=$(size_of "$TAG")
    note "$total MB, $postgres MB of them PostgreSQL"
    [ $((total - postgres)) -le $MAX_MB ]
}

run_tests() {
    CONTAINER=$(docker run -d --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges "$TAG")
    check "runs until healthy, read-only and without capabilities" runs_healthy
    check "not root" not_root
    check "PostgreSQL of its own" own_postgres
    check "first password is shown" says_password
    check "serves the UI" serves_ui
    check "healthy again after a restart" survives_restart
    check "ends by itself when told" stops_tidily
    check "at most $MAX_MB MB without PostgreSQL" small_enough
    docker rm -fv "$CONTAINER" >/dev/null
}

if [ $TEST = no ]; then
    docker version >/dev/null 2>&1 || die "no Docker engine answers; ./dev image --test brings its own"
    build
    echo "image $TAG"
    exit 0
fi

mkdir -p "$ROOT/build/log"
STARTED=''
if ! docker version >/dev/null 2>&1; then
    unset DOCKER_HOST
    lab_init "$(mktemp -d /tmp/dfimage-XXXXXX)"
    trap lab_stop EXIT
    lab_docker_start
    STARTED=yes
fi
TAG=dockflow:test
make_base
build
run_tests
[ -n "$STARTED" ] || docker rmi -f "$TAG" >/dev/null 2>&1 || true
echo "$PASSED passed, $FAILED failed, 0 skipped"
[ $FAILED = 0 ]
