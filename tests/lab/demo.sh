#!/usr/bin/env bash
# ./dev demo: one server, one Docker engine, one sample repository, one running application.
# Called by ./dev, which has installed the packages and built the programs.
#
#   demo.sh [--exit | --detach | --stop | --reset] [--dir DIR] [--port PORT] [--web-port PORT]
#
# --exit    stop everything after the proof; the exit status tells whether it worked
# --detach  leave it running        --stop   stop what --detach left
# --reset   forget everything of earlier runs first
set -euo pipefail
ROOT=${ROOT:-$(cd "$(dirname "$0")/../.." && pwd)}
PYTHON=${PYTHON:-/usr/bin/python3}
BUILD=$ROOT/build/${DEMO_PRESET:-dev}
IMAGE=dockflow-demo/busybox:1
APP=shop
USER_NAME=admin@localhost
FIRST_WAIT=60 APP_WAIT=240

# shellcheck source=tests/lab/lab.sh
. "$ROOT/tests/lab/lab.sh"

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
note() { printf '    %s\n' "$*" >&2; }
die() {
    printf 'demo: %s\n' "$*" >&2
    exit 1
}
lab_say() { note "$*"; }
lab_die() { die "$*"; }

# --- options ---------------------------------------------------------------------------------------

MODE=foreground DIR=${DOCKFLOW_DEMO_DIR:-} PORT=${DOCKFLOW_DEMO_PORT:-} WEB_PORT='' RESET=no
while [ $# -gt 0 ]; do
    case "$1" in
    --exit | --detach | --stop) MODE=${1#--} ;;
    --reset) RESET=yes ;;
    --dir | --port | --web-port)
        [ $# -gt 1 ] || die "$1 needs a value"
        case "$1" in
        --dir) DIR=$2 ;;
        --port) PORT=$2 ;;
        --web-port) WEB_PORT=$2 ;;
        esac
        shift
        ;;
    *) die "unknown option $1; there are --exit --detach --stop --reset --dir DIR --port PORT --web-port PORT" ;;
    esac
    shift
done

# As root PostgreSQL runs as another user, who cannot look into root's home.
if [ -z "$DIR" ]; then
    if [ "$(id -u)" = 0 ]; then DIR=/var/lib/dockflow-demo; else DIR=${XDG_STATE_HOME:-$HOME/.local/state}/dockflow-demo; fi
fi
mkdir -p "$DIR" 2>/dev/null || die "cannot make the folder $DIR; choose another one with --dir"
lab_init "$DIR"
DIR=$DF_LAB_DIR
DATA=$DIR/data BARE=$DIR/shop.git CLONE=$DIR/shop LOG=$DIR/server.log

# --- stopping --------------------------------------------------------------------------------------

server_pid() {
    local pid
    pid=$(cat "$DIR/server.pid" 2>/dev/null) || return 1
    # The number may be somebody else's by now.
    [ "$(readlink "/proc/$pid/exe" 2>/dev/null | sed 's/ (deleted)$//')" = "$(cat "$DIR/server.exe" 2>/dev/null)" ] || return 1
    echo "$pid"
}

stop_server() {
    local pid i
    pid=$(server_pid) || return 0
    note "stopping the server"
    kill -TERM "$pid" 2>/dev/null || true
    for i in $(seq 1 350); do
        [ -d "/proc/$pid" ] && [ "$(cut -d' ' -f3 "/proc/$pid/stat" 2>/dev/null)" != Z ] || break
        if [ "$i" = 340 ]; then
            note "it does not end; killing it"
            kill -9 "$pid" 2>/dev/null || true
        fi
        sleep 0.1
    done
    rm -f "$DIR/server.pid"
}

# On an engine that is not ours only the containers and networks of the sample go; its volume stays, as in ours.
stop_containers() {
    [ -f "$DIR/engine" ] || return 0
    local engine ids
    engine=$(cat "$DIR/engine")
    [ "$engine" != own ] || return 0
    ids=$(docker -H "$engine" ps -aq --filter "label=com.docker.compose.project=$APP" \
        --filter "label=io.dockflow.application" 2>/dev/null) || return 0
    if [ -n "$ids" ]; then
        note "removing the sample's containers from $engine"
        xargs -r docker -H "$engine" rm -f <<<"$ids" >/dev/null 2>&1 || true
    fi
    docker -H "$engine" network ls -q --filter "label=com.docker.compose.project=$APP" |
        xargs -r docker -H "$engine" network rm >/dev/null 2>&1 || true
}

# A server that was killed leaves its PostgreSQL to the next start; there is none.
stop_postgres() {
    local pidfile=$DATA/postgres/data/postmaster.pid pid
    pid=$(head -n 1 "$pidfile" 2>/dev/null) || return 0
    if [ -d "/proc/${pid:-none}" ]; then lab_root kill -INT "$pid" 2>/dev/null || true; fi
}

stop_all() {
    stop_server
    stop_containers
    stop_postgres
    if [ -f "$DIR/docker/bridge" ]; then
        note "stopping the Docker engine"
        lab_docker_stop
    fi
    rm -f "$DIR/engine"
}

# One run at a time; a detached one holds no lock and is replaced.
exec 9>"$DIR/lock"
flock -n 9 || die "a demo runs already in $DIR; stop it there with Ctrl-C, or give --dir another folder"

if [ "$MODE" = stop ]; then
    stop_all
    say "stopped; the data stays in $DIR"
    exit 0
fi

FINISHED=no
on_exit() {
    local status=$?
    trap '' INT TERM
    trap - EXIT
    if [ "$MODE" != detach ] || [ $FINISHED = no ]; then
        stop_all
    fi
    exit $status
}
trap on_exit EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

stop_server # of an earlier, detached run
if [ $RESET = yes ]; then
    say "forgetting earlier runs"
    stop_all
    lab_root rm -rf "$DATA" "$BARE" "$CLONE" "$DIR/docker" "$DIR/password"
fi

# --- engine ----------------------------------------------------------------------------------------

start_engine() {
    local candidate
    for candidate in "${DOCKER_HOST:-}" unix:///var/run/docker.sock; do
        if [ -n "$candidate" ] && [ ! -f "$DIR/docker/bridge" ] && lab_docker_answers "$candidate"; then
            export DOCKER_HOST=$candidate
            echo "$candidate" >"$DIR/engine"
            note "a Docker engine answers at $candidate"
            return
        fi
    done
    [ -z "${DOCKER_HOST:-}" ] || note "nothing answers at DOCKER_HOST=$DOCKER_HOST; starting an engine of our own"
    unset DOCKER_HOST
    echo own >"$DIR/engine"
    lab_docker_start 9>&-
}

# --- server ----------------------------------------------------------------------------------------

port_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

free_port() {
    local port
    for port in $(seq "$1" $(($1 + 99))); do
        if port_free "$port"; then
            echo "$port"
            return
        fi
    done
    die "no free port from $1 on"
}

random_word() { tr -dc 'a-zA-Z0-9' </dev/urandom 2>/dev/null | head -c "$1" || true; }

start_server() {
    local i pid
    [ -x "$BUILD/dockflow" ] || die "$BUILD/dockflow is not built; run ./dev build"
    if [ -n "$PORT" ]; then
        port_free "$PORT" || die "port $PORT is taken; choose another one with --port"
    else
        PORT=$(free_port 8080)
    fi
    URL=http://127.0.0.1:$PORT
    mkdir -p "$DATA"
    if [ ! -f "$DIR/first-password" ]; then
        (umask 077 && random_word 24 >"$DIR/first-password")
    fi
    cat >"$DIR/dockflow.yaml" <<CONF
listen:
  http: ["127.0.0.1:$PORT"]
server:
  publicUrl: $URL
  devMode: true # the sample repository is a folder of this machine
  drainSeconds: 5
data:
  dir: $DATA
docker:
  host: $DOCKER_HOST
git:
  allowLocalPaths: true
  pollSeconds: 30
CONF
    "$BUILD/dockflow" --check-config --config "$DIR/dockflow.yaml" >"$DIR/check.log" 2>&1 ||
        { cat "$DIR/check.log" >&2 && die "the server refuses its configuration"; }
    readlink -f "$BUILD/dockflow" >"$DIR/server.exe"
    env -u DATABASE_URL DOCKFLOW_AUTH_BOOTSTRAP_ADMIN_PASSWORD_FILE="$DIR/first-password" \
        setsid "$BUILD/dockflow" --config "$DIR/dockflow.yaml" >"$LOG" 2>&1 </dev/null 9>&- &
    pid=$!
    echo $pid >"$DIR/server.pid"
    for i in $(seq 1 $((FIRST_WAIT * 5))); do
        if [ "$(curl -s -m 2 -o /dev/null -w '%{http_code}' "$URL/health/ready" || true)" = 200 ]; then
            note "the server answers at $URL after $((i / 5)) s (log in $LOG)"
            return
        fi
        if ! kill -0 $pid 2>/dev/null; then
            tail -n 20 "$LOG" >&2
            die "the server ended while starting (log in $LOG)"
        fi
        sleep 0.2
    done
    tail -n 20 "$LOG" >&2
    die "the server is not ready after $FIRST_WAIT s (log in $LOG)"
}

# --- API -------------------------------------------------------------------------------------------

# field PATH: reads JSON from stdin and prints what is there, or nothing. Steps of a path: names, numbers, [key=value].
field() {
    $PYTHON -c '
import json, sys
v = json.load(sys.stdin)
for step in sys.argv[1].split("."):
    if v is None:
        break
    if step.startswith("["):
        key, _, want = step[1:-1].partition("=")
        v = next((x for x in v if str(x.get(key)) == want), None)
    elif isinstance(v, list):
        v = v[int(step)] if int(step) < len(v) else None
    else:
        v = v.get(step) if isinstance(v, dict) else None
if v is not None:
    print(json.dumps(v) if isinstance(v, (dict, list, bool)) else v)
' "$1" 2>/dev/null
}

# json KEY VALUE...: an object of strings.
json() { $PYTHON -c 'import json, sys; a = sys.argv[1:]; print(json.dumps(dict(zip(a[::2], a[1::2]))))' "$@"; }

# ask METHOD PATH [BODY]: prints the answer; status in ASK_STATUS file. Fails only when nothing answers.
ask() {
    local method=$1 path=$2 body=${3:-} args=()
    [ -z "$body" ] || args=(-H 'content-type: application/json' --data-binary @-)
    if [ -f "$DIR/token" ]; then args+=(-H "@$DIR/token"); fi
    printf '%s' "$body" | curl -sS -m 60 -X "$method" "${args[@]}" -H 'X-DF-Token: body' \
        -o "$DIR/answer" -w '%{http_code}' "$URL/api/v1$path" >"$DIR/status" || die "the server does not answer: $method $path"
    cat "$DIR/answer"
}
status() { cat "$DIR/status"; }

# call METHOD PATH [BODY]: like ask, but a refusal ends the demo with what the server said.
call() {
    local answer
    answer=$(ask "$@")
    case "$(status)" in
    2*) printf '%s' "$answer" ;;
    *) die "$1 $2: HTTP $(status): $(field error.message <<<"$answer" 2>/dev/null || printf '%s' "$answer")" ;;
    esac
}

# The token goes by file: arguments are visible to every user of the machine.
keep_token() {
    local token
    token=$(field accessToken)
    [ -n "$token" ] || die "the login gave no token"
    (umask 077 && printf 'authorization: Bearer %s\n' "$token" >"$DIR/token")
}

login() {
    local answer password
    rm -f "$DIR/token"
    if [ -f "$DIR/password" ]; then
        answer=$(ask POST /auth/login "$(json username "$USER_NAME" password "$(cat "$DIR/password")")")
        [ "$(status)" != 200 ] || { keep_token <<<"$answer" && return; }
        [ "$(status)" = 401 ] || die "login: HTTP $(status): $(field error.message <<<"$answer")"
    fi
    # The first password must be changed: done here, so that the printed one works at once.
    answer=$(ask POST /auth/login "$(json username "$USER_NAME" password "$(cat "$DIR/first-password")")")
    [ "$(status)" = 200 ] || die "login as $USER_NAME: $(field error.message <<<"$answer"); was the password changed in the UI? Then start again with --reset"
    keep_token <<<"$answer"
    password=$(random_word 16)
    call POST /auth/change-password "$(json currentPassword "$(cat "$DIR/first-password")" newPassword "$password")" >/dev/null
    (umask 077 && printf '%s' "$password" >"$DIR/password")
    rm -f "$DIR/token"
    answer=$(call POST /auth/login "$(json username "$USER_NAME" password "$password")")
    keep_token <<<"$answer"
}

# found_or_made LIST FILTER-FIELD NAME CREATE-BODY: prints the id.
found_or_made() {
    local path=$1 name=$2 body=$3 id
    id=$(call GET "$path?limit=100" | field "items.[name=$name].id")
    if [ -z "$id" ]; then
        id=$(call POST "$path" "$body" | field id)
    fi
    [ -n "$id" ] || die "$path: no id for $name"
    echo "$id"
}

# --- sample repository -----------------------------------------------------------------------------

git_quiet() { git -c init.defaultBranch=main -c user.name=Demo -c user.email=demo@localhost -c commit.gpgsign=false "$@" >"$DIR/git.log" 2>&1 ||
    { cat "$DIR/git.log" >&2 && die "git $*"; }; }

make_repository() {
    lab_image_busybox "$IMAGE"
    if [ ! -d "$BARE" ]; then
        git_quiet init --bare "$BARE"
        git_quiet -C "$BARE" symbolic-ref HEAD refs/heads/main
    fi
    if [ ! -d "$CLONE/.git" ]; then
        WEB_PORT=${WEB_PORT:-$(free_port 8090)}
        rm -rf "$CLONE"
        git_quiet clone "$BARE" "$CLONE"
        git_quiet -C "$CLONE" checkout -B main
        cp -r "$ROOT/tests/lab/sample/." "$CLONE/"
        grep -rlE '@(IMAGE|WEB_PORT)@' "$CLONE" --exclude-dir=.git | xargs sed -i "s|@IMAGE@|$IMAGE|; s|@WEB_PORT@|$WEB_PORT|"
        git_quiet -C "$CLONE" config user.name Demo
        git_quiet -C "$CLONE" config user.email demo@localhost
        git_quiet -C "$CLONE" add -A
        git_quiet -C "$CLONE" commit -m "the sample shop"
        git_quiet -C "$CLONE" push -u origin main
    fi
    WEB_PORT=$(sed -n 's/.*"127\.0\.0\.1:\([0-9]*\):8080".*/\1/p' "$CLONE/compose.yaml" | head -n 1)
    note "repository $BARE, working copy $CLONE"
}

# A push tells the server at once, as a forge would: a signed webhook.
make_hook() {
    local url=$1 secret
    if [ ! -s "$DIR/hook-secret" ] || [ "$(call GET "/repositories/$REPOSITORY" | field webhookSecretSet)" != true ]; then
        secret=$(call POST "/repositories/$REPOSITORY/webhook-secret" | field secret)
        [ -n "$secret" ] || die "the server gave no webhook secret"
        (umask 077 && printf '%s' "$secret" >"$DIR/hook-secret")
    fi
    cat >"$BARE/hooks/post-receive" <<HOOK
#!/bin/sh
# Tells DockFlow about a push.
while read -r before after ref; do
    body="{\"ref\":\"\$ref\",\"before\":\"\$before\",\"after\":\"\$after\"}"
    signature=\$(printf '%s' "\$body" | openssl dgst -sha256 -mac HMAC -macopt "key:\$(cat '$DIR/hook-secret')" | sed 's/.*= *//')
    printf '%s' "\$body" | curl -sS -m 10 -o /dev/null -w 'DockFlow: HTTP %{http_code}\n' -X POST \\
        -H 'content-type: application/json' -H "X-DockFlow-Signature: sha256=\$signature" \\
        -H 'X-DockFlow-Event: push' -H "X-DockFlow-Delivery: \$after-\$\$" --data-binary @- '$url' ||
        echo "DockFlow does not answer; it will see the push when it polls"
done
HOOK
    chmod +x "$BARE/hooks/post-receive"
}

register() {
    local project url branch
    local organization
    organization=$(found_or_made /organizations demo "$(json name demo displayName Demo)")
    project=$(found_or_made /projects shop "$($PYTHON -c 'import json,sys; print(json.dumps({"name":"shop","displayName":"Shop","organizationId":sys.argv[1]}))' "$organization")")
    REPOSITORY=$(found_or_made /repositories shop "$(json name shop url "file://$BARE" branch main projectId "$project" provider generic)")
    url=$(call GET "/repositories/$REPOSITORY" | field webhookUrl)
    [ -n "$url" ] || die "the repository has no webhook URL"
    url=${url#*://*/}
    make_hook "$URL/${url#/}"
    # Manifests in .dockflow/ become applications by themselves; give them a moment.
    call POST "/repositories/$REPOSITORY/refresh" >/dev/null
    local i
    for i in $(seq 1 20); do
        APP_ID=$(call GET "/applications?limit=100" | field "items.[name=$APP].id")
        [ -z "$APP_ID" ] || return 0
        sleep 0.25
    done
    branch=main
    APP_ID=$(call POST /applications "$($PYTHON -c '
import json, sys
print(json.dumps({"name": sys.argv[1], "projectId": sys.argv[2], "repositoryId": sys.argv[3], "branch": sys.argv[4], "path": "",
                  "composeFiles": ["compose.yaml"], "environment": {"name": "demo"},
                  "syncPolicy": {"automated": True, "prune": True, "selfHeal": True}}))' \
        "$APP" "$project" "$REPOSITORY" "$branch")" | field id)
}

# --- the proof -------------------------------------------------------------------------------------

explain_failure() {
    local app=$1 task
    note "the application says: $(field error <<<"$app")"
    task=$(call GET "/tasks?limit=5" | field items) && note "last tasks: $task"
    grep -E '"level":"(WARNING|ERROR|CRITICAL)"' "$LOG" | tail -n 5 >&2 || true
}

wait_application() {
    local end=$((SECONDS + APP_WAIT)) app sync health shown='' now started=$SECONDS wanted
    wanted=$(git -C "$BARE" rev-parse main)
    call POST "/applications/$APP_ID/refresh" >/dev/null
    while [ $SECONDS -lt $end ]; do
        app=$(call GET "/applications/$APP_ID")
        sync=$(field sync.status <<<"$app") health=$(field health.status <<<"$app")
        now="$sync, $health$(field operation.kind <<<"$app" | sed 's/^/, at work: /')"
        if [ "$now" != "$shown" ]; then
            note "$((SECONDS - started)) s: $now"
            shown=$now
        fi
        if [ "$sync" = Synced ] && [ "$health" = Healthy ] && [ "$(field sync.deployedCommit <<<"$app")" = "$wanted" ]; then
            return
        fi
        if [ -n "$(field error.message <<<"$app")" ] && [ -z "$(field operation.kind <<<"$app")" ] && [ $((SECONDS - started)) -gt 30 ]; then
            break
        fi
        if ! server_pid >/dev/null; then
            tail -n 20 "$LOG" >&2
            die "the server ended (log in $LOG)"
        fi
        sleep 0.5
    done
    explain_failure "$app"
    die "the application did not become Synced and Healthy (server log: $LOG)"
}

check_page() {
    local i
    for i in $(seq 1 20); do
        if curl -s -m 2 "http://127.0.0.1:$WEB_PORT/" | cmp -s - "$CLONE/web/www/index.html"; then return; fi
        sleep 0.25
    done
    # The working copy may be ahead of what was pushed: then any page will do.
    curl -s -f -m 2 -o /dev/null "http://127.0.0.1:$WEB_PORT/" || die "the application is Healthy, but http://127.0.0.1:$WEB_PORT/ does not answer"
}

tell() {
    cat <<TEXT

    DockFlow      $URL
    login         $USER_NAME
    password      $(cat "$DIR/password")
    application   http://127.0.0.1:$WEB_PORT/
    engine        DOCKER_HOST=$DOCKER_HOST docker ps

    Deploy a change:
        cd $CLONE
        sed -i 's|<h1>.*</h1>|<h1>Hello again</h1>|' web/www/index.html
        git commit -am "new page" && git push

    Command line: $BUILD/dsctl login $URL -u $USER_NAME
TEXT
    case "$MODE" in
    detach) printf '    Stop it: ./dev demo --stop\n\n' ;;
    foreground) printf '    Stop it: Ctrl-C\n\n' ;;
    *) echo ;;
    esac
}

say "Docker engine"
start_engine
say "sample repository"
make_repository
say "server with its own PostgreSQL"
start_server
say "registering the repository"
login
register
say "deploying"
wait_application
check_page
tell
rm -f "$DIR/token" "$DIR/answer"
echo "Demo ready: application $APP is Synced and Healthy at http://127.0.0.1:$WEB_PORT/, DockFlow at $URL"
FINISHED=yes

case "$MODE" in
exit) exit 0 ;;
detach) exit 0 ;;
*)
    # Wakes at once for signals, unlike a plain sleep.
    while server_pid >/dev/null; do
        sleep 1 &
        wait $! || true
    done
    tail -n 20 "$LOG" >&2
    die "the server ended by itself (log in $LOG)"
    ;;
esac
