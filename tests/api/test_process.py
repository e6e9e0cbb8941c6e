"""The process from outside: its configuration, reloads (AU11)."""
import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import threading
import time

import httpx
import psycopg2
import pytest
import websockets
from hyperframe import frame as F

from conftest import BOOTSTRAP, PROGRAM
from h2client import Connection
from live import SERVICE, sql, until


@pytest.mark.parametrize("value,line", [("[10.0.0.0/8, 10.0.0.0/33]", 2), ("[127.0.0.1, proxy.example]", 2), ("[10.1.2.3/8]", 2), ("['']", 2)])
def test_a_bad_proxy_stops_the_check_with_key_and_line(tmp_path, value, line):
    file = tmp_path / "c.yaml"
    file.write_text(f"server:\n  trustedProxies: {value}\n")
    done = subprocess.run([PROGRAM, "--check-config", "--config", file], capture_output=True, text=True, env={"PATH": os.environ["PATH"]})
    assert done.returncode == 78
    assert f"c.yaml:{line}:" in done.stderr and "server.trustedProxies" in done.stderr


def check(*args, **env):
    return subprocess.run([PROGRAM, *map(str, args)], capture_output=True, text=True, timeout=60, env={"PATH": os.environ["PATH"], **env})


@pytest.mark.parametrize("text,place,says", [
    ("server:\n  nonsense: 1\n", ":2:3:", 'unknown key "server.nonsense"'),
    ("log:\n  level: INFO\nservr: {}\n", ":3:1:", '"servr"'),
    ("server:\n  drainSeconds: soon\n", ":2:", "server.drainSeconds"),
    ("server:\n  drainSeconds: 5\n  drainSeconds: 6\n", ":3:3:", "drainSeconds"),
    ("server: [\n", ":", "c.yaml"),
])
def test_a_bad_file_stops_check_and_boot_alike(tmp_path, text, place, says):
    file = tmp_path / "c.yaml"
    file.write_text(text)
    for args in (["--check-config", "--config", file], ["--config", file, "--data.dir", tmp_path / "data"]):
        done = check(*args)
        assert done.returncode == 78, done.stderr
        assert f"c.yaml{place}" in done.stderr and says in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_good_file_passes_the_check(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("server: {drainSeconds: 5}\n")
    done = check("--check-config", "--config", file)
    assert done.returncode == 0, done.stderr


def test_a_bad_variable_is_named():
    done = check("--check-config", DOCKFLOW_SERVER_DRAIN_SECONDS="soon")
    assert done.returncode == 78 and "DOCKFLOW_SERVER_DRAIN_SECONDS" in done.stderr


def test_secrets_from_files(new_server, new_database, tmp_path):
    file, database = tmp_path / "url", new_database()
    file.write_text(database.url + "\n")
    file.chmod(0o600)
    server = new_server(None, {"DATABASE_URL_FILE": str(file)})
    assert httpx.post(server.url + "/api/v1/auth/login", json={"username": "admin@localhost", "password": BOOTSTRAP}).status_code == 200
    assert database.one("SELECT count(*) FROM users") == 1
    both = check("--check-config", DATABASE_URL=database.url, DATABASE_URL_FILE=str(file))
    assert both.returncode == 78 and "not both" in both.stderr
    gone = check("--check-config", DATABASE_URL_FILE=str(tmp_path / "gone"))
    assert gone.returncode == 78 and "DATABASE_URL_FILE" in gone.stderr and "gone: No such file" in gone.stderr


def test_a_bad_reload_changes_nothing(new_server, new_database, tmp_path):
    """PR9: one wrong key, and the good ones beside it do not count either."""
    file = tmp_path / "c.yaml"
    file.write_text("log: {level: INFO}\n")
    server = new_server(new_database().url, {"DOCKFLOW_CONFIG": str(file)})
    file.write_text("log:\n  level: DEBUG\n  nonsense: 1\n")
    server.process.send_signal(signal.SIGHUP)
    until(lambda: server.events("conf.reload_failed"), what="the refusal")
    assert "c.yaml:3:3" in str(server.events("conf.reload_failed")[-1]) and not server.events("conf.applied")
    assert httpx.get(server.url + "/health/ready").status_code == 200
    file.write_text("log: {level: DEBUG}\n")
    server.process.send_signal(signal.SIGHUP)
    until(lambda: [e for e in server.events("conf.applied") if e["key"] == "log.level"], what="the good one")


def test_trusted_proxies_follow_a_reload_and_reach_the_audit(new_server, new_database, tmp_path):
    """An address and a network, then none: what a proxy says counts, and what a stranger says does not."""
    file, db = tmp_path / "c.yaml", new_database()
    file.write_text("server:\n  trustedProxies: [127.0.0.9, 127.0.5.0/24]\n")
    server = new_server(db.url, {"DOCKFLOW_CONFIG": str(file)})

    def login_from(source, agent):
        with httpx.Client(transport=httpx.HTTPTransport(local_address=source)) as c:
            body = {"username": "admin@localhost", "password": BOOTSTRAP}
            head = {"X-Forwarded-For": "198.51.100.66, 203.0.113.7", "X-Real-IP": "203.0.113.8", "X-WEBAUTH-USER": "admin", "User-Agent": agent}
            assert c.post(server.url + "/api/v1/auth/login", json=body, headers=head).status_code == 200
        return db.one("SELECT host(ip_address) FROM audit_logs WHERE user_agent = %s ORDER BY seq DESC LIMIT 1", agent)
    assert login_from("127.0.0.9", "exact") == "203.0.113.7"
    assert login_from("127.0.5.77", "network") == "203.0.113.7"
    assert login_from("127.0.0.8", "stranger") == "127.0.0.8"
    file.write_text("server:\n  trustedProxies: [127.0.0.8]\n")
    server.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 20
    while not [e for e in server.events("conf.applied") if e["key"] == "server.trustedProxies"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert login_from("127.0.0.8", "new proxy") == "203.0.113.7"
    assert login_from("127.0.5.77", "old proxy") == "127.0.5.77"
    file.write_text("server:\n  trustedProxies: [nonsense]\n")
    server.process.send_signal(signal.SIGHUP)
    while not server.events("conf.reload_failed"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert login_from("127.0.0.8", "after a bad file") == "203.0.113.7"


def metric(owner, name):
    text = owner.get("/metrics").text
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(name + " "))


WAITING = SERVICE + """    healthcheck: {test: ["CMD", "test", "-f", "/tmp/ok"], interval: 0.5s, retries: 1000}
"""


@pytest.fixture
def stoppable(live_server):
    """The shared server with room for many sockets and time to end; it runs again as before afterwards, whatever happened."""
    before = dict(live_server.settings)
    live_server.stop()
    live_server.settings.update(DOCKFLOW_SERVER_DRAIN_SECONDS="20", DOCKFLOW_LIMITS_WS_PER_USER="100")
    live_server.start()
    yield live_server
    live_server.settings.clear()
    live_server.settings.update(before)
    if live_server.process.poll() is None:
        live_server.stop()
    live_server.start()


class Watchers:
    """Sockets on the feed of events, and how each of them was closed."""

    def __init__(self, server, owner, count):
        self.closes, self.opened = [], threading.Event()
        tickets = [owner.post("/ws-tickets").json()["ticket"] for _ in range(count)]
        self.thread = threading.Thread(target=lambda: asyncio.run(self.watch(server.url.replace("http", "ws") + "/ws/v1/events", tickets)))
        self.thread.start()
        assert self.opened.wait(30)

    async def watch(self, url, tickets):
        sockets = [await websockets.connect(url, subprotocols=["dockflow.v1", "ticket." + t], local_addr=(f"127.0.4.{i % 10 + 1}", 0))
                   for i, t in enumerate(tickets)]
        self.opened.set()

        async def follow(ws):
            with contextlib.suppress(websockets.ConnectionClosed):
                while True:
                    await ws.recv()
            self.closes.append((ws.close_code, ws.close_reason))
        await asyncio.gather(*map(follow, sockets))


def ask_socket(server, source):
    return socket.create_connection(("127.0.0.1", server.port), timeout=40, source_address=(source, 0))


def goaways(probe):
    found = set()
    while (f := probe.frame()) is not None:
        if isinstance(f, F.GoAwayFrame):
            found.add(f.error_code)
    return found


def ask_raw(server, owner, path, i):
    s = ask_socket(server, f"127.0.3.{i % 20 + 1}")
    s.sendall(f"GET {path} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {owner.token}\r\n\r\n".encode())
    return s


def status_of(s):
    data = b""
    while chunk := s.recv(65536):
        data += chunk
    s.close()
    return int(data.split()[1]) if data else None


@pytest.fixture
def rolling(owner, make_app, make_repository):
    """rolling(n) -> [(application, task, container)]: deployments that wait for a container that is not healthy before /tmp/ok is there."""
    def make(n):
        repository, found = make_repository(), []
        for i in range(n):
            app, _ = make_app({"compose.yaml": WAITING + f"# {i}\n"}, repository=repository)
            task = owner.post(f"/applications/{app['id']}/sync", {}).json()["taskId"]
            found.append((app, task, f"{app['projectName']}-web-1"))
        return found

    return make


def all_running(server, docker, work):
    for app, task, web in work:
        until(lambda: web in docker.running(app["projectName"]), what="the container that never becomes healthy")
        assert sql(server, "SELECT state FROM jobs WHERE id = %s", task) == [("running",)]


def carried_on(owner, docker, work, seconds):
    """The next process ends what this one began, with the same containers."""
    for app, task, web in work:
        def healthy_and_done():
            docker("exec", web, "touch", "/tmp/ok", check=False)  # the container may be made anew
            return owner.get(f"/tasks/{task}")["state"] == "succeeded"
        until(healthy_and_done, seconds, what="the task, carried on by the next process")
        assert docker.running(app["projectName"]) == [web]


def test_the_end_with_work_in_flight(stoppable, owner, docker, rolling):
    """PR6: 200 requests, 50 sockets, 5 deployments. Ready says 503 at once, requests that run are answered, HTTP/2 gets its GOAWAY,
    sockets close with 1012 and what to do, jobs give their lease back."""
    server = stoppable
    work = rolling(5)
    all_running(server, docker, work)
    watchers, probe = Watchers(server, owner, 50), Connection(ask_socket(server, "127.0.3.99"))
    with psycopg2.connect(server.settings["DATABASE_URL"]) as lock:
        lock.cursor().execute("LOCK TABLE repositories IN ACCESS EXCLUSIVE MODE")
        asking = [ask_raw(server, owner, "/api/v1/repositories", i) for i in range(200)]
        until(lambda: int(metric(owner, "dockflow_http_running")) >= 200, what="two hundred requests in their handlers")
        assert probe.ask("/health/ready")[0] == 200
        begun = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        until(lambda: server.events("drain.begin"), every=0.01, what="the drain")
        assert probe.ask("/health/ready")[0] == 503
        lock.rollback()
    assert [status_of(s) for s in asking] == [200] * 200
    watchers.thread.join()
    assert watchers.closes == [(1012, "server restart; connect again in a few seconds")] * 50
    assert goaways(probe) == {0}
    assert server.process.wait(30) == 0 and time.monotonic() - begun < 30
    for _, task, _ in work:
        assert sql(server, "SELECT state, lease_until FROM jobs WHERE id = %s", task) == [("queued", None)]
    server.start()
    carried_on(owner, docker, work, 60)


def test_the_second_signal_is_now(stoppable, owner, docker, rolling):
    """PR6: nothing is waited for. The lease is not given back, so it runs out, and then the work goes on."""
    server = stoppable
    work = rolling(1)
    all_running(server, docker, work)
    watchers = Watchers(server, owner, 10)
    with psycopg2.connect(server.settings["DATABASE_URL"]) as lock:
        lock.cursor().execute("LOCK TABLE repositories, jobs IN ACCESS EXCLUSIVE MODE")
        asking = [ask_raw(server, owner, "/api/v1/repositories", i) for i in range(20)]
        before = len(server.events("drain.begin"))
        server.process.send_signal(signal.SIGTERM)
        until(lambda: len(server.events("drain.begin")) > before, what="the drain")
        assert server.process.poll() is None
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(5) == 130
        lock.rollback()
    for s in asking:
        s.close()
    watchers.thread.join()
    server.start()
    carried_on(owner, docker, work, 90)
