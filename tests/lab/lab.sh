#!/usr/bin/env bash
# The test lab: a private PostgreSQL and a private Docker engine in one folder, started as root
# without systemd or as a user with sudo, stopped by pid.  Sourced by ./dev; by hand:
#
#   tests/lab/lab.sh start DIR    starts both (again: does nothing); prints shell exports to eval
#   tests/lab/lab.sh stop DIR     stops both and removes DIR
#
# DF_LAB_DOCKERD_ARGS are more arguments of the engine (words without spaces).
# Exports: DF_LAB_DIR, DF_LAB_PG_URL, DOCKER_HOST.  Several labs can run side by side: each engine has a
# bridge, address pool and containerd namespace of its own.  A DOCKER_HOST of the caller's is used as
# it is, and left alone. DF_LAB_DOCKER_DATA names a folder for the engine's images that outlives the lab.

lab_say() { printf '    lab: %s\n' "$*" >&2; }
lab_die() {
    printf 'lab: %s\n' "$*" >&2
    exit 1
}

lab_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -E -- "$@"; fi
}

# lab_init [DIR]: the lab's folder, /tmp based and short because socket paths end at 107 bytes.
lab_init() {
    DF_LAB_DIR=${1:-${DF_LAB_DIR:-$(mktemp -d /tmp/dflab-XXXXXX)}}
    mkdir -p "$DF_LAB_DIR"
    DF_LAB_DIR=$(cd "$DF_LAB_DIR" && pwd -P)
    chmod 755 "$DF_LAB_DIR"
    [ ${#DF_LAB_DIR} -lt 70 ] || lab_die "the path of the lab is too long for sockets: $DF_LAB_DIR"
    export DF_LAB_DIR
}

# --- PostgreSQL ------------------------------------------------------------------------------------

lab_pg_bin() {
    local bin
    bin=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)
    [ -x "$bin/initdb" ] || lab_die "PostgreSQL is not installed (package postgresql)"
    echo "$bin"
}

# PostgreSQL refuses to run as root.
lab_as_pg() {
    if [ "$(id -u)" = 0 ]; then
        (cd / && setpriv --reuid=postgres --regid=postgres --init-groups -- "$@")
    else
        "$@"
    fi
}

lab_pg_start() {
    local bin dir=$DF_LAB_DIR/pg
    bin=$(lab_pg_bin)
    mkdir -p "$dir"
    if [ "$(id -u)" = 0 ]; then chown postgres "$dir"; fi
    if [ ! -f "$dir/data/PG_VERSION" ]; then
        lab_as_pg "$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync \
            >"$DF_LAB_DIR/initdb.log" 2>&1 || { cat "$DF_LAB_DIR/initdb.log" >&2 && lab_die "initdb failed"; }
    fi
    if ! lab_as_pg "$bin/pg_ctl" -D "$dir/data" status >/dev/null 2>&1; then
        # Only processes are killed here, never the machine: no fsync.
        lab_as_pg "$bin/pg_ctl" -D "$dir/data" -l "$dir/log" -w -t 60 \
            -o "-k $dir -h '' -c fsync=off -c max_connections=500 -c shared_buffers=64MB" start >/dev/null ||
            { tail -n 20 "$dir/log" >&2 && lab_die "PostgreSQL does not start"; }
    fi
    if [ -z "$(lab_psql -tAc "select 1 from pg_database where datname = 'dockflow'")" ]; then
        lab_psql -qc 'create database dockflow'
    fi
    export DF_LAB_PG_URL="postgresql:///dockflow?host=$dir&user=postgres"
    lab_say "PostgreSQL on $dir"
}

lab_psql() { psql -X -h "$DF_LAB_DIR/pg" -U postgres -d postgres "$@"; }

lab_pg_stop() {
    local data=${DF_LAB_DIR:?}/pg/data
    [ -f "$data/postmaster.pid" ] || return 0
    lab_as_pg "$(lab_pg_bin)/pg_ctl" -D "$data" -m fast -w -t 30 stop >/dev/null 2>&1 ||
        lab_as_pg "$(lab_pg_bin)/pg_ctl" -D "$data" -m immediate -w stop >/dev/null 2>&1 || true
}

# --- Docker engine ---------------------------------------------------------------------------------

# A bridge of the lab's own; its name is taken by making it, so two labs never get the same one.
# Prints "NAME POOL", POOL being the first two numbers of its addresses.
lab_bridge_take() {
    local n pool
    for n in $(seq 0 60); do
        pool="10.$((160 + n))"
        if ip -4 route show | grep -q "^$pool\."; then continue; fi
        if lab_root ip link add "dflab$n" type bridge 2>/dev/null; then
            lab_root ip addr add "$pool.0.1/24" dev "dflab$n"
            lab_root ip link set "dflab$n" up
            echo "dflab$n $pool"
            return
        fi
    done
    lab_die "no free bridge; is there a right to make one?"
}

# lab_routes -I|-D POOL: the lab's containers reach each other and the world. The engine does not write these rules itself: an
# engine that starts empties the chains all engines of the machine share, under the hands of those that make a network just then.
lab_routes() {
    local all="$2.0.0/16"
    lab_root iptables -w "$1" FORWARD -s "$all" -j ACCEPT 2>/dev/null || true
    lab_root iptables -w "$1" FORWARD -d "$all" -j ACCEPT 2>/dev/null || true
    lab_root iptables -w -t nat "$1" POSTROUTING -s "$all" ! -d "$all" -j MASQUERADE 2>/dev/null || true
}

lab_pid_alive() { [ -f "$1" ] && [ -d "/proc/$(cat "$1")" ]; }

lab_docker_answers() { docker -H "$1" version --format '{{.Server.Version}}' >/dev/null 2>&1; }

lab_docker_start() {
    command -v docker >/dev/null || lab_die "the Docker client is not installed (package docker.io)"
    local dir=$DF_LAB_DIR/docker sock
    sock="unix://$dir/docker.sock"
    if [ -n "${DOCKER_HOST:-}" ] && [ "$DOCKER_HOST" != "$sock" ]; then
        lab_docker_answers "$DOCKER_HOST" || lab_die "no engine answers at DOCKER_HOST=$DOCKER_HOST"
        lab_say "Docker engine given: $DOCKER_HOST"
        return
    fi
    export DOCKER_HOST=$sock
    if lab_pid_alive "$dir/pid" && lab_docker_answers "$sock"; then return; fi
    local dockerd bridge pool
    dockerd=$(PATH=$PATH:/usr/sbin:/sbin command -v dockerd) || lab_die "no dockerd (package docker.io)"
    mkdir -p "$dir"
    if [ -f "$dir/bridge" ]; then
        read -r bridge pool <"$dir/bridge"
    else
        read -r bridge pool <<<"$(lab_bridge_take)"
        [ -n "$bridge" ] || exit 1
        echo "$bridge $pool" >"$dir/bridge"
    fi
    lab_root rm -f "$dir/pid"
    lab_routes -D "$pool"
    lab_routes -I "$pool"
    # Not through lab_root: a function in the background would leave a shell of ours waiting.
    local start=(setsid) more
    read -ra more <<<"${DF_LAB_DOCKERD_ARGS:-}"
    if [ "$(id -u)" != 0 ]; then start=(sudo -E -- setsid); fi
    "${start[@]}" "$dockerd" --data-root "${DF_LAB_DOCKER_DATA:-$dir/data}" --exec-root "$dir/exec" --pidfile "$dir/pid" \
        --host "$sock" --group "$(id -gn)" --bridge "$bridge" \
        --default-address-pool "base=$pool.128.0/17,size=24" \
        --containerd-namespace "$bridge" --containerd-plugins-namespace "$bridge-plugins" \
        --iptables=false --log-level warn "${more[@]}" >"$dir/log" 2>&1 </dev/null &
    local i
    for i in $(seq 1 150); do
        if lab_docker_answers "$sock"; then break; fi
        if [ "$i" = 150 ] || { [ "$i" -gt 20 ] && ! lab_pid_alive "$dir/pid"; }; then
            tail -n 20 "$dir/log" >&2
            lab_die "dockerd does not start (log in $dir/log)"
        fi
        sleep 0.2
    done
    lab_say "Docker engine $(docker version --format '{{.Server.Version}}') on $sock"
}

lab_docker_stop() {
    local dir=${DF_LAB_DIR:?}/docker pid bridge pool i
    [ -f "$dir/bridge" ] || return 0
    read -r bridge pool <"$dir/bridge"
    if lab_pid_alive "$dir/pid"; then
        pid=$(cat "$dir/pid")
        # Containers at once: a tidy stop would wait ten seconds for each that ignores the signal.
        docker -H "unix://$dir/docker.sock" ps -q | xargs -r docker -H "unix://$dir/docker.sock" kill >/dev/null 2>&1 || true
        lab_root kill "$pid" 2>/dev/null || true
        for i in $(seq 1 150); do
            [ -d "/proc/$pid" ] || break
            if [ "$i" = 120 ]; then lab_root kill -9 "$pid" 2>/dev/null || true; fi
            sleep 0.2
        done
    fi
    # What a killed engine leaves: mounts below its folders, its containerd, the bridges of its networks.
    if lab_pid_alive "$dir/exec/containerd/containerd.pid"; then
        lab_root kill "$(cat "$dir/exec/containerd/containerd.pid")" 2>/dev/null || true
    fi
    awk -v dir="$dir/" -v data="${DF_LAB_DOCKER_DATA:-$dir}/" 'index($5, dir) == 1 || index($5, data) == 1 {print $5}' /proc/self/mountinfo | sort -r |
        while read -r mount; do lab_root umount -l "$mount" 2>/dev/null || true; done
    lab_bridges_remove "$bridge" "$pool"
    lab_routes -D "$pool"
    lab_root rm -f "$dir/bridge"
}

# The lab's own bridge, and those (br-*) that hold an address of its pool.
lab_bridges_remove() {
    local own=$1 pool=$2 name
    ip -4 -o addr show | awk -v pool="$pool." 'index($4, pool) == 1 {print $2}' | while read -r name; do
        case "$name" in
        br-* | "$own") lab_root ip link del "$name" 2>/dev/null || true ;;
        esac
    done
    lab_root ip link del "$own" 2>/dev/null || true
}

# --- images without a registry ---------------------------------------------------------------------

# lab_image_busybox TAG: an image of Debian's static busybox with every applet, shell as its command.
lab_image_busybox() {
    local tag=$1 root applet busybox
    if docker image inspect "$tag" >/dev/null 2>&1; then return; fi
    busybox=$(command -v busybox) || lab_die "no busybox (package busybox-static)"
    root=$(mktemp -d)
    mkdir -p "$root/bin" "$root/etc" "$root/tmp" "$root/root" "$root/www" "$root/proc" "$root/sys" "$root/dev"
    chmod 1777 "$root/tmp"
    cp "$busybox" "$root/bin/busybox"
    for applet in $("$busybox" --list); do
        [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
    done
    printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n' >"$root/etc/passwd"
    printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
    tar -C "$root" --owner=0 --group=0 -cf - . |
        docker import --change 'ENV PATH=/bin' --change 'CMD ["sh"]' - "$tag" >/dev/null
    rm -rf "$root"
    lab_say "image $tag"
}

# --- all of it -------------------------------------------------------------------------------------

# lab_another N: from here on this shell has a lab of its own inside the one it had; it ends with that one.
lab_another() {
    if [ "${DOCKER_HOST:-}" = "unix://$DF_LAB_DIR/docker/docker.sock" ]; then unset DOCKER_HOST; fi
    lab_init "$DF_LAB_DIR/$1"
    lab_pg_start
    lab_docker_start
    lab_image_busybox busybox:local
}

lab_stop() {
    [ -n "${DF_LAB_DIR:-}" ] || return 0
    local inner
    for inner in "$DF_LAB_DIR"/[0-9]*/; do
        if [ -d "$inner" ]; then (DF_LAB_DIR=${inner%/} && lab_docker_stop && lab_pg_stop); fi
    done
    lab_docker_stop
    lab_pg_stop
    lab_root rm -rf "$DF_LAB_DIR"
    lab_say "stopped"
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    set -euo pipefail
    [ $# = 2 ] || lab_die "usage: lab.sh start|stop DIR"
    lab_init "$2"
    case "$1" in
    start)
        lab_pg_start
        lab_docker_start
        lab_image_busybox busybox:local
        printf 'export DF_LAB_DIR=%q DF_LAB_PG_URL=%q DOCKER_HOST=%q\n' "$DF_LAB_DIR" "$DF_LAB_PG_URL" "$DOCKER_HOST"
        ;;
    stop) lab_stop ;;
    *) lab_die "usage: lab.sh start|stop DIR" ;;
    esac
fi
