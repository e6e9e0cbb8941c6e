"""What the machine does to the process: full disks and broken descriptors (PR3), clocks that jump (PR5), a resolver that hangs (PR7)."""
import asyncio
import contextlib
import json
import os
import pathlib
import resource
import secrets
import shutil
import socket
import subprocess
import threading
import time

import httpx
import pytest
import websockets

import conftest
from conftest import PROGRAM, code, first_admin, unique
from live import SERVICE, application, ended, sql, until
from test_process import metric

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")
CLOSED = ("sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-')


@pytest.fixture
def small_disk(tmp_path):
    """small_disk(name, size) -> a tmpfs of its own; .fill() and .free()."""
    mounted = []

    class Disk:
        def __init__(self, size):
            self.path = pathlib.Path(f"/tmp/dfdisk-{secrets.token_hex(4)}")
            self.path.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", self.path], check=True)

        def fill(self):
            with contextlib.suppress(OSError), open(self.path / "filler", "wb", buffering=0) as f:
                while True:
                    f.write(b"x" * 4096)

        def free(self):
            (self.path / "filler").unlink()

    def make(size):
        mounted.append(Disk(size))
        return mounted[-1]

    yield make
    for d in mounted:
        subprocess.run(["umount", "-l", d.path], check=True)
        d.path.rmdir()


def cpu_seconds(server):
    with open(f"/proc/{server.process.pid}/stat", encoding="ascii") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rests(server):
    """Not spinning: of two seconds it uses less than one."""
    before = cpu_seconds(server)
    time.sleep(2)
    assert cpu_seconds(server) - before < 1


def ready(server):
    return httpx.get(server.url + "/health/ready", timeout=10).status_code


def busy(server, n):
    """n requests, all answered."""
    with httpx.Client(base_url=server.url, timeout=10) as c:
        assert {c.get("/health/ready").status_code for _ in range(n)} == {200}


def entries(path):
    found = []
    for line in path.read_text(errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return found


def named(rows, event, key="event"):
    return [r for r in rows if r.get(key) == event]


# ---- PR3: the log's own outputs ---------------------------------------------------------------------

@root_only
def test_a_full_disk_under_the_log(own_server, new_database, small_disk):
    """ENOSPC: said once in ten seconds elsewhere, and in the file with the count when there is room again; nothing else notices."""
    disk = small_disk("256k")
    file = disk.path / "server.log"
    server = own_server(new_database().url, {"DOCKFLOW_LOG_FILE": str(file)})
    until(lambda: named(entries(file), "boot.ready"))
    disk.fill()
    begin = time.monotonic()
    busy(server, 500)
    told = until(lambda: server.events("log.write_failed"))
    assert len(told) <= 1 + (time.monotonic() - begin) / 10 and told[0]["error"] == "No space left on device" and told[0]["output"] == "file"
    disk.free()

    def written():
        assert ready(server) == 200
        return named(entries(file), "log.write_failed")
    said = until(written, 20, every=0.5)
    assert said[0]["lines"] >= 300
    size = len(entries(file))
    assert ready(server) == 200
    until(lambda: len(entries(file)) > size)
    assert len(server.events("log.write_failed")) <= 1 + (time.monotonic() - begin) / 10


def test_nobody_reads_stderr(own_server, new_database, tmp_path):
    """EPIPE: the reader of the log's pipe has gone."""
    file = tmp_path / "server.log"
    server = own_server(new_database().url, {"DOCKFLOW_LOG_FILE": str(file)}, wrapper=("sh", "-c", 'exec "$0" 2>&1 | true; exit 7'), wait=None)
    until(lambda: file.exists() and named(entries(file), "boot.ready"), 60)
    busy(server, 200)
    told = until(lambda: named(entries(file), "log.write_failed"))
    assert {t["error"] for t in told} == {"Broken pipe"} and len(told) <= 2
    pid = int(subprocess.run(["pgrep", "-P", str(server.process.pid), "dockflow"], capture_output=True, text=True, check=True).stdout)
    os.kill(pid, 15)
    assert server.process.wait(30) == 7


def test_started_with_everything_closed(own_server, new_database, tmp_path):
    """No stdin, stdout, stderr: none of the numbers becomes a socket or a file of ours, so a stray message harms nobody."""
    file = tmp_path / "server.log"
    server = own_server(new_database().url, {"DOCKFLOW_LOG_FILE": str(file)}, wrapper=CLOSED)
    assert ready(server) == 200
    assert [os.readlink(f"/proc/{server.process.pid}/fd/{n}") for n in (0, 1, 2)] == ["/dev/null"] * 3
    assert named(entries(file), "boot.ready")


@contextlib.contextmanager
def injected(server, path, *inject):
    """strace makes calls of the running process fail, those on `path` only if one is given."""
    args = ["strace", "-f", "-qq", "-o", "/dev/null", *(["-P", str(path)] if path else [])]
    for i in inject:
        args += ["-e", "inject=" + i]
    p = subprocess.Popen([*args, "-p", str(server.process.pid)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    status = pathlib.Path(f"/proc/{server.process.pid}/status")
    try:
        until(lambda: p.poll() is not None or "TracerPid:\t0\n" not in status.read_text(), what="strace")
        if p.poll() is not None:
            pytest.skip("strace cannot attach here: " + p.stderr.read().decode())
        yield
    finally:
        p.terminate()
        p.wait()


needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="no strace")


@needs_strace
def test_io_errors_under_the_log(own_server, new_database, tmp_path):
    """EIO."""
    file = tmp_path / "server.log"
    server = own_server(new_database().url, {"DOCKFLOW_LOG_FILE": str(file)})
    with injected(server, file, "write:error=EIO"):
        busy(server, 200)
        told = until(lambda: server.events("log.write_failed"))
        assert len(told) <= 2 and told[0]["error"] == "Input/output error"

    def written():
        assert ready(server) == 200
        return named(entries(file), "log.write_failed")
    until(written, 20, every=0.5)


@needs_strace
@pytest.mark.parametrize("inject", ["accept4:error=EINTR:when=1+2", "accept4:error=ECONNABORTED:when=1+2", "accept4:error=ENFILE:when=1+7",
                                    "read:error=EINTR:when=1+3", "epoll_wait,epoll_pwait:error=EINTR:when=1+2", "write:error=EINTR:when=1+3"])
def test_calls_that_fail_now_and_then(own_server, new_database, inject):
    """EINTR, ENFILE and the like: some connections are refused, never an answer that is wrong, never the end."""
    server = own_server(new_database().url)
    good = 0
    with injected(server, None, inject):
        for _ in range(40):
            with contextlib.suppress(httpx.TransportError):
                assert ready(server) == 200
                good += 1
    assert good >= 10
    assert [ready(server) for _ in range(5)] == [200] * 5
    assert len(server.events("http.connection_refused")) <= 2


# ---- PR3: the data directory ------------------------------------------------------------------------

@root_only
def test_a_full_disk_under_the_repositories(own_server, new_database, docker_host, small_disk, repo):
    """ENOSPC while fetching: the repository says so, everything else goes on, and with room it heals by itself."""
    disk = small_disk("24m")
    server = own_server(new_database().url, {"DOCKFLOW_DATA_DIR": str(disk.path / "data"), "DOCKFLOW_SERVER_DEV_MODE": "true",
                                             "DOCKFLOW_GIT_ALLOW_LOCAL_PATHS": "true", "DOCKER_HOST": docker_host})
    api = first_admin(server)
    project = conftest.make_org(api)["project"]
    (repo.work / "big").write_bytes(os.urandom(4 << 20))
    repo.commit({"compose.yaml": SERVICE})
    disk.fill()
    r = api.make("/repositories", {"name": unique("r"), "url": str(repo.bare), "projectId": project["id"]})
    ended(api, api.post(f"/repositories/{r['id']}/refresh"), "failed")
    assert ready(server) == 200 and api.get("/repositories")["items"][0]["id"] == r["id"]
    disk.free()
    ended(api, api.post(f"/repositories/{r['id']}/refresh"))
    assert server.process.poll() is None


# ---- PR3: no descriptors left -------------------------------------------------------------------------

def test_no_descriptor_left(live_server, owner, docker):
    """EMFILE: who is connected is served, who comes is refused, what needs a descriptor says 503; with room all is as before."""
    name = unique("fd")
    docker("run", "-d", "--init", "--name", name, "busybox:local", "sleep", "10000")
    until(lambda: owner.all("/containers", name=name))
    pid, before = live_server.process.pid, len(live_server.events("http.connection_refused"))
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir(f"/proc/{pid}/fd")))
    try:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 1, limits[1]))
        with contextlib.ExitStack() as held:
            begin = time.monotonic()
            used = cpu_seconds(live_server)
            refused = 0
            for _ in range(200):  # the gaps below the limit fill up first
                s = held.enter_context(socket.create_connection(("127.0.0.1", live_server.port), timeout=5))
                s.sendall(b"GET /health/live HTTP/1.1\r\nHost: t\r\n\r\n")
                try:
                    refused += s.recv(10) == b""
                except ConnectionError:
                    refused += 1
            assert refused >= 100
            assert owner.get("/auth/me")
            until(lambda: len(live_server.events("http.connection_refused")) > before, what="the line about it")
            statuses = {owner.call("POST", f"/containers/{name}/restart?t=1").status_code for _ in range(3)}
            assert statuses <= {204, 503}, statuses
            took = time.monotonic() - begin
            assert cpu_seconds(live_server) - used < 1 + took * 0.75
            told = len(live_server.events("http.connection_refused")) - before
            assert 1 <= told <= 2 + took / 10
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    until(lambda: ready(live_server) == 200)
    until(lambda: owner.call("POST", f"/containers/{name}/restart?t=1").status_code == 204, 40)
    until(lambda: owner.get("/nodes/default")["state"] == "online", 40)
    docker("rm", "-f", name)


@pytest.fixture
def own_server():
    """Ends with its test: the database has only so many connections for servers that live on."""
    with conftest.servers() as make:
        yield make


# ---- PR5: the wall clock jumps --------------------------------------------------------------------------

FAKETIME = next(iter(sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)


@pytest.mark.skipif(FAKETIME is None or "asan" in str(PROGRAM), reason="no faketime, or a sanitizer that must be loaded first")
def test_the_wall_clock_jumps(own_server, new_database, docker_host, docker, repo, tmp_path):
    """An hour and ten years forth and back, while it runs: sockets stay, jobs hold leases by the database's clock, people sign in."""
    clock = tmp_path / "clock"
    clock.write_text("+0")
    server = own_server(new_database().url, {"LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
                                             "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DOCKFLOW_SERVER_DEV_MODE": "true",
                                             "DOCKFLOW_GIT_ALLOW_LOCAL_PATHS": "true", "DOCKER_HOST": docker_host})
    api = first_admin(server)
    project = conftest.make_org(api)["project"]
    repo.commit({"compose.yaml": SERVICE.replace("image:", 'healthcheck: {test: ["CMD", "test", "-f", "/tmp/ok"], interval: 0.2s, retries: 1000}\n    image:')})
    r = api.make("/repositories", {"name": unique("r"), "url": str(repo.bare), "projectId": project["id"]})
    app = api.make("/applications", {"name": unique("app"), "projectId": project["id"], "repositoryId": r["id"], "branch": "main", "path": "",
                                     "environment": {"name": "test", "variables": {}},
                                     "syncPolicy": {"automated": False, "prune": True, "selfHeal": False}})
    web = f"{app['projectName']}-web-1"
    heard, stop = [], threading.Event()

    async def listen():
        url = server.url.replace("http", "ws") + "/ws/v1/events"
        async with websockets.connect(url, subprotocols=["dockflow.v1", "ticket." + ticket]) as ws:
            await ws.send(json.dumps({"type": "subscribe", "id": "a", "topics": ["*"]}))
            while not stop.is_set():
                with contextlib.suppress(asyncio.TimeoutError):
                    heard.append(json.loads(await asyncio.wait_for(ws.recv(), 0.2)))
    ticket = api.post("/ws-tickets").json()["ticket"]
    failure = []

    def listener():
        try:
            asyncio.run(listen())
        except BaseException as e:
            failure.append(e)
    thread = threading.Thread(target=listener)
    thread.start()
    try:
        for jump in ("+1h", "-1h", "+10y", "-10y", "+0"):
            task = api.post(f"/applications/{app['id']}/sync", {"force": True}, expect=202).json()["taskId"]
            until(lambda: sql(server, "SELECT 1 FROM jobs WHERE id = %s AND state = 'running'", task), what="the job")
            old = api
            clock.write_text(jump)
            got = len(heard)
            assert ready(server) == 200
            api = conftest.enter(server, "admin@localhost", old.password)
            assert api.get("/auth/me")
            assert old.call("GET", "/auth/me").status_code == 401  # expired, or from the future
            time.sleep(12)  # a heartbeat of the lease has passed
            left = sql(server, "SELECT extract(epoch FROM lease_until - now()) FROM jobs WHERE id = %s AND state = 'running'", task)
            assert left and 0 < left[0][0] <= 31, (jump, left)
            docker("exec", web, "touch", "/tmp/ok", check=False)
            until(lambda: docker("exec", web, "touch", "/tmp/ok", check=False) == "" and api.get(f"/tasks/{task}")["state"] == "succeeded", 60)
            rests(server)
            assert sql(server, "SELECT count(*) FROM jobs WHERE attempt > 1")[0][0] == 0, "no lease was taken for expired"
            until(lambda: named(heard[got:], "deployment.finished", "topic"), what="the end of the deployment on a socket that has seen all this")
            assert not failure and thread.is_alive(), (jump, failure)
    finally:
        stop.set()
        thread.join()
        docker.sweep(app["projectName"])


# ---- PR7: nobody resolves names -------------------------------------------------------------------------

@pytest.fixture
def nameserver(tmp_path):
    """A nameserver on loopback that says nothing until .answer is set; then every name is 127.0.0.1. .wrapper makes it the process's only one."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    address = f"127.{secrets.randbelow(200) + 20}.{secrets.randbelow(250)}.{secrets.randbelow(250) + 1}"
    s.bind((address, 53))
    s.settimeout(0.2)
    conf = tmp_path / "resolv.conf"
    conf.write_text(f"nameserver {address}\noptions timeout:5 attempts:2\n")

    class Nameserver:
        asked, answer, closed = 0, False, False
        wrapper = ("unshare", "-m", "sh", "-c", f'mount --bind {conf} /etc/resolv.conf && exec "$0"')

        def serve(self):
            while not self.closed:
                with contextlib.suppress(socket.timeout):
                    q, peer = s.recvfrom(4096)
                    self.asked += 1
                    end = q.index(b"\0", 12) + 5
                    if self.answer:
                        a = q[end - 4:end - 2] == b"\0\1"
                        record = b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4\x7f\0\0\1" if a else b""
                        s.sendto(q[:2] + b"\x81\x80\0\1" + (b"\0\1" if a else b"\0\0") + b"\0\0\0\0" + q[12:end] + record, peer)
    ns = Nameserver()
    thread = threading.Thread(target=ns.serve)
    thread.start()
    yield ns
    ns.closed = True
    thread.join()
    s.close()


@root_only
def test_a_resolver_that_hangs(own_server, new_database, docker_host, docker, nameserver):
    """128 names at once: nobody else waits, each lookup ends by its deadline, and with answers they all go on."""
    server = own_server(new_database().url, {"DOCKER_HOST": docker_host, "DOCKFLOW_SERVER_DEV_MODE": "true"}, wrapper=nameserver.wrapper)
    api = first_admin(server)
    home = unique("dns")
    docker("run", "-d", "--init", "--name", home, "busybox:local", "sleep", "10000")
    until(lambda: api.all("/containers", name=home))
    ca = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=x", "-keyout", "-"],
                        capture_output=True, text=True, check=True).stdout
    key, _, cert = ca.partition("-----BEGIN CERTIFICATE-----")
    tls = {"ca": "-----BEGIN CERTIFICATE-----" + cert, "cert": "-----BEGIN CERTIFICATE-----" + cert, "key": key}
    names = [api.make("/nodes", {"name": f"hung-{i}", "url": f"tcp://h{i}.hung.test:{conftest.free_port()}", "tls": tls})["id"] for i in range(128)]
    until(lambda: nameserver.asked >= 4)

    def reasons():
        return [n["stateReason"] for n in api.all("/nodes") if n["name"].startswith("hung-")]
    for _ in range(40):  # somebody else's work meanwhile
        assert api.call("POST", f"/containers/{home}/restart?t=0", timeout=10).status_code == 204
        assert ready(server) == 200 and api.get("/applications") is not None
    with httpx.Client(base_url=server.url, headers={"Authorization": "Bearer " + api.token}) as c:
        tested = c.post(f"/api/v1/nodes/{names[0]}/test", timeout=25).json()
    assert tested["ok"] is False
    until(lambda: any("resolve" in (r or "") for r in reasons()), what="a reason that names the resolver")
    until(lambda: all(reasons()), 40, what="every node known to be unreachable")
    threads = len(os.listdir(f"/proc/{server.process.pid}/task"))
    assert threads < 40, "a bounded pool"
    nameserver.answer = True
    until(lambda: all("refused" in (r or "") for r in reasons()), 90, every=1, what="all names resolved")
    docker("rm", "-f", home)
