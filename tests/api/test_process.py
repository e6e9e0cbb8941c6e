"""The process from outside: its configuration, reloads (AU11)."""
import asyncio
import os
import signal
import subprocess
import threading
import time

import httpx
import psycopg2
import pytest
import websockets

from conftest import BOOTSTRAP, PROGRAM
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
    """The shared server, which runs again afterwards, whatever happened."""
    yield live_server
    live_server.settings["DOCKFLOW_SERVER_DRAIN_SECONDS"] = "3"
    if live_server.process is None or live_server.process.poll() is not None:
        live_server.start()


def test_the_end_with_work_in_flight(stoppable, owner, docker, make_app):
    """PR6: ready says 503, requests that run are answered, sockets close with 1012 and what to do, jobs give their lease back."""
    app, _ = make_app({"compose.yaml": WAITING})
    server = stoppable
    server.stop()
    server.settings["DOCKFLOW_SERVER_DRAIN_SECONDS"] = "20"
    server.start()
    task = owner.post(f"/applications/{app['id']}/sync", {}).json()["taskId"]
    web = f"{app['projectName']}-web-1"
    until(lambda: web in docker.running(app["projectName"]), what="the container that never becomes healthy")
    assert sql(server, "SELECT state FROM jobs WHERE id = %s", task)[0][0] == "running"
    answers, closes = [], []

    async def watch():
        url = server.url.replace("http", "ws") + "/ws/v1/events"
        tickets = [owner.post("/ws-tickets").json()["ticket"] for _ in range(10)]
        sockets = [await websockets.connect(url, subprotocols=["dockflow.v1", "ticket." + t]) for t in tickets]
        opened.set()
        for ws in sockets:
            while ws.open:
                try:
                    await asyncio.wait_for(ws.recv(), 30)
                except websockets.ConnectionClosed:
                    pass
            await ws.wait_closed()  # the code is known when the closing is over
            closes.append((ws.close_code, ws.close_reason))
    opened = threading.Event()
    watcher = threading.Thread(target=lambda: asyncio.run(watch()))
    watcher.start()
    assert opened.wait(20)
    with psycopg2.connect(server.settings["DATABASE_URL"]) as lock:
        lock.cursor().execute("LOCK TABLE repositories IN ACCESS EXCLUSIVE MODE")
        headers = {"Authorization": f"Bearer {owner.token}"}
        askers = [threading.Thread(target=lambda: answers.append(httpx.get(server.url + "/api/v1/repositories", headers=headers, timeout=30).status_code))
                  for _ in range(40)]
        for t in askers:
            t.start()
        until(lambda: int(metric(owner, "dockflow_http_running")) >= 40, what="forty requests in their handlers")
        probe = httpx.Client(base_url=server.url)
        assert probe.get("/health/ready").status_code == 200
        begun = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        until(lambda: server.events("drain.begin"), what="the drain")
        until(lambda: len(closes) == 10, what="the sockets to close")
        lock.rollback()
    for t in askers:
        t.join()
    watcher.join()
    assert server.process.wait(30) == 0 and time.monotonic() - begun < 30
    assert answers == [200] * 40
    assert closes == [(1012, "server restart; connect again in a few seconds")] * 10
    assert sql(server, "SELECT state, lease_until FROM jobs WHERE id = %s", task) == [("queued", None)]
    server.settings["DOCKFLOW_SERVER_DRAIN_SECONDS"] = "3"
    server.start()

    def healthy_and_done():
        docker("exec", web, "touch", "/tmp/ok", check=False)  # the container may be made anew
        return owner.get(f"/tasks/{task}")["state"] == "succeeded"
    until(healthy_and_done, 60, what="the task, carried on by the next process")
    assert docker.running(app["projectName"]) == [web]
