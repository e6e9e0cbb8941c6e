"""What the rows of the benchmark share: processes, the API, load generators, times from /proc. Standard library only."""
import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("DF_BENCH_BUILD", ROOT / "build/release"))
PROGRAM = os.environ.get("DF_SERVER_BIN", str(BUILD / "dockflow"))
FIRST, PASSWORD = "first boot phrase 41", "the real phrase of admin 5"


def free_port():
    with contextlib.closing(socket.socket()) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def run(*argv, **kw):
    """Output of a command that must succeed."""
    done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=kw.pop("timeout", 300), **kw)
    if done.returncode:
        raise RuntimeError(f"{argv[0]} ended with {done.returncode}: {done.stderr[-2000:]}{done.stdout[-500:]}")
    return done.stdout


def until(look, seconds=30, every=0.01, what="it"):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        seen = look()
        if seen:
            return seen
        time.sleep(every)
    raise RuntimeError(f"{what} did not happen within {seconds} s")


# ---- processes --------------------------------------------------------------------------------------

def cpu_seconds(pid):
    """Its processor clock (clock_getcpuclockid), in nanoseconds: the ticks of /proc/PID/stat are too coarse for a burst."""
    return time.clock_gettime((~pid << 3) | 2)


def rss_kib(pid, key="VmRSS"):
    return int(re.search(rf"{key}:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])


class Process:
    def __init__(self, argv, env=None, ready=None, log=None):
        self.log = open(log or os.devnull, "ab")
        out = subprocess.PIPE if ready else self.log
        self.p = subprocess.Popen([str(a) for a in argv], env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=self.log)
        if ready and ready not in self.p.stdout.readline().decode():
            raise RuntimeError(f"{argv[0]} did not start")

    @property
    def pid(self):
        return self.p.pid

    def stop(self):
        if self.p.poll() is None:
            self.p.send_signal(signal.SIGTERM)
            try:
                self.p.wait(20)
            except subprocess.TimeoutExpired:
                self.p.kill()
                self.p.wait()
        self.log.close()


class Server(Process):
    """The product, with rate limits off, on a database of its own."""

    def __init__(self, database_url, folder, more=None):
        self.port, self.folder = free_port(), pathlib.Path(folder)
        self.folder.mkdir(exist_ok=True)
        env = {k: v for k, v in os.environ.items() if not k.startswith("DOCKFLOW_") and k not in ("DATABASE_URL", "DOCKER_HOST")}
        env.update({"DATABASE_URL": database_url, "DOCKFLOW_LISTEN_HTTP": f"127.0.0.1:{self.port}", "DOCKFLOW_DATA_DIR": str(self.folder / "data"),
                    "DOCKFLOW_AUTH_BOOTSTRAP_ADMIN_PASSWORD": FIRST, "DOCKFLOW_RATE_LIMIT_ENABLED": "false", "DOCKFLOW_SERVER_DRAIN_SECONDS": "2",
                    "DOCKFLOW_AUTH_ACCESS_TOKEN_SECONDS": "3600", "DOCKFLOW_LIMITS_WS_PER_USER": "1000", "DOCKFLOW_LIMITS_WS_PER_CONTAINER": "2000",
                    "DOCKFLOW_LIMITS_CONNECTIONS": "20000", "DOCKFLOW_LOG_LEVEL": "WARNING"})
        env.update(more or {})
        self.started = time.monotonic()
        super().__init__([PROGRAM], env=env, log=self.folder / "server.log")
        self.ready_s = self.wait_ready()

    def wait_ready(self):
        def look():
            if self.p.poll() is not None:
                raise RuntimeError("the server ended: " + (self.folder / "server.log").read_text()[-2000:])
            with contextlib.suppress(OSError, http.client.HTTPException):
                c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
                c.request("GET", "/health/ready")
                return c.getresponse().status == 200
        until(look, 60, 0.002, "readiness")
        return time.monotonic() - self.started


class Api:
    def __init__(self, server):
        self.port, self.token = server.port, None

    def call(self, method, path, body=None, headers=None, expect=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        head = {"X-DF-Token": "body", **({"Authorization": f"Bearer {self.token}"} if self.token else {}), **(headers or {})}
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        if data is not None:
            head.setdefault("Content-Type", "application/json")
        c.request(method, path if path.startswith("/api") else "/api/v1" + path, data, head)
        r = c.getresponse()
        text = r.read()
        c.close()
        if not (r.status == expect if expect else r.status < 300):
            raise RuntimeError(f"{method} {path}: {r.status} {text[:500].decode()}")
        return json.loads(text) if text else None

    def login(self, name="admin@localhost", password=PASSWORD):
        self.token = self.call("POST", "/auth/login", {"username": name, "password": password})["accessToken"]
        return self

    def first_login(self):
        self.login(password=FIRST)
        self.call("POST", "/auth/change-password", {"currentPassword": FIRST, "newPassword": PASSWORD})
        return self.login()


# ---- database ---------------------------------------------------------------------------------------

class Database:
    def __init__(self, lab_url, name):
        self.lab, self.name = lab_url, name
        self.url = re.sub(r"^(postgres(?:ql)?://[^/]*/)[^?]*", lambda m: m[1] + name, lab_url)
        self.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", lab_url)
        self.sql(f"CREATE DATABASE {name}", lab_url)

    def sql(self, text, url=None):
        return run("psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-d", url or self.url, "-c", text).strip()

    def drop(self):
        self.sql(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)", self.lab)


# ---- load -------------------------------------------------------------------------------------------

def wrk(url, seconds, token=None, conns=64):
    head = ["-H", f"Authorization: Bearer {token}"] if token else []
    text = run("wrk", "-t1", f"-c{conns}", f"-d{seconds}s", *head, url)
    if "Non-2xx" in text:
        raise RuntimeError(f"{url}: {text}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])


def h2load(url, seconds, token=None, clients=8, streams=32):
    head = ["-H", f"authorization: Bearer {token}"] if token else []
    text = run("h2load", "-t1", f"-c{clients}", f"-m{streams}", "-D", seconds, *head, url)
    ok, bad = re.search(r"status codes: (\d+) 2xx, \d+ 3xx, (\d+ 4xx, \d+ 5xx)", text).groups()
    if int(ok) == 0 or bad != "0 4xx, 0 5xx":
        raise RuntimeError(f"{url}: {ok} 2xx, {bad}")
    return float(re.search(r"finished in [\d.]+s, ([\d.]+) req/s", text)[1])


def median(values):
    v = sorted(values)
    return v[len(v) // 2] if len(v) % 2 else (v[len(v) // 2 - 1] + v[len(v) // 2]) / 2


def percentile(values, p):
    v = sorted(values)
    return v[min(len(v) - 1, int(len(v) * p / 100))]


def versus(load, ours, bare, seconds=3, rounds=3):
    """Both in turn, several times, so that whatever else the machine does hits both; median rates and processor time per request.

    ours and bare are (pid, url, token). Returns ours and bare as {"rate", "us"} and the median of the paired ratios."""
    got = {"ours": [], "bare": []}
    for _ in range(rounds):
        for name, (pid, url, token) in (("bare", bare), ("ours", ours)):
            before, began = cpu_seconds(pid), time.monotonic()
            rate = load(url, seconds, token)
            got[name].append((rate, (cpu_seconds(pid) - before) / (rate * min(seconds, time.monotonic() - began)) * 1e6))
    ratio = median(o[0] / b[0] for o, b in zip(got["ours"], got["bare"]))
    cpu = median(b[1] / o[1] for o, b in zip(got["ours"], got["bare"]))
    return {k: {"rate": median(x[0] for x in v), "us": median(x[1] for x in v)} for k, v in got.items()}, ratio, cpu


@contextlib.contextmanager
def folder():
    path = tempfile.mkdtemp(prefix="dfbench-", dir="/tmp")
    try:
        yield pathlib.Path(path)
    finally:
        shutil.rmtree(path, ignore_errors=True)
