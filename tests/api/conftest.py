"""API tests: the real server against a real PostgreSQL.

DF_LAB_PG_URL names the database server (./dev test gives it); without it a private one is started. DF_SERVER_BIN is the server
to test (default build/dev/dockflow). Each test session has a database of its own.
"""
import contextlib
import json
import os
import pathlib
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import httpx
import psycopg2
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("DF_SERVER_BIN", ROOT / "build/dev/dockflow"))
PLATFORM = "00000000-0000-7000-8000-000000000000"
BOOTSTRAP = "first boot phrase 41"
WRITES = {"POST", "PUT", "PATCH", "DELETE"}


# ---- PostgreSQL ---------------------------------------------------------------------------------

def lab(command):
    script = f". {ROOT}/tests/lab/lab.sh; {command}"
    return subprocess.run(["bash", "-euo", "pipefail", "-c", script], check=True, stdout=subprocess.PIPE, text=True).stdout


@pytest.fixture(scope="session")
def postgres_url():
    given = os.environ.get("DF_LAB_PG_URL")
    if given:
        yield given
        return
    folder = tempfile.mkdtemp(prefix="dfapi-", dir="/tmp")
    url = lab(f"lab_init {folder} >/dev/null; lab_pg_start; echo $DF_LAB_PG_URL").strip().splitlines()[-1]
    yield url
    lab(f"lab_init {folder}; lab_pg_stop; rm -rf {folder}")


def with_database(url, name):
    return re.sub(r"^(postgres(?:ql)?://[^/]*/)[^?]*", lambda m: m.group(1) + name, url)


class Database:
    """A database of its own, dropped at the end."""

    def __init__(self, server_url):
        self.server_url, self.name = server_url, "df_api_" + secrets.token_hex(6)
        self.url = with_database(server_url, self.name)
        self.admin(f"CREATE DATABASE {self.name}")

    def admin(self, sql):
        with contextlib.closing(psycopg2.connect(self.server_url)) as c:
            c.autocommit = True
            c.cursor().execute(sql)

    def drop(self):
        self.admin(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")

    def rows(self, sql, *args):
        with contextlib.closing(psycopg2.connect(self.url)) as c:
            c.autocommit = True
            cursor = c.cursor()
            cursor.execute(sql, args)
            return cursor.fetchall() if cursor.description else []

    def one(self, sql, *args):
        rows = self.rows(sql, *args)
        return rows[0][0] if rows else None


@pytest.fixture(scope="session")
def new_database(postgres_url):
    made = []

    def make():
        made.append(Database(postgres_url))
        return made[-1]

    yield make
    for database in made:
        database.drop()


@pytest.fixture(scope="session")
def db(new_database):
    return new_database()


# ---- the server ---------------------------------------------------------------------------------

def free_port():
    """A port nobody has now. Below those the kernel gives to outgoing connections, so that none of them takes it meanwhile."""
    while True:
        port = 12000 + secrets.randbelow(20000)
        with contextlib.closing(socket.socket()) as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            return port


class Server:
    def __init__(self, database_url, settings=None, wait="ready", wrapper=()):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="dfsrv-", dir="/tmp"))
        self.folder.chmod(0o755)  # the embedded PostgreSQL runs as another user
        self.log_path, self.kept_log = self.folder / "server.log", None
        self.settings = {
            "DOCKFLOW_LISTEN_HTTP": f"127.0.0.1:{self.port}",
            "DOCKFLOW_DATA_DIR": str(self.folder / "data"),
            "DOCKFLOW_AUTH_BOOTSTRAP_ADMIN_PASSWORD": BOOTSTRAP,
            "DOCKFLOW_RATE_LIMIT_ENABLED": "false",
            "DOCKFLOW_SERVER_DRAIN_SECONDS": "3",
        }
        if database_url:
            self.settings["DATABASE_URL"] = database_url
        self.settings.update(settings or {})
        self.process, self.wrapper = None, [str(w) for w in wrapper]
        try:
            self.start(wait)
        except BaseException:
            if self.process is not None:
                self.process.kill()
                self.process.wait()
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def start(self, wait="ready"):
        env = {k: v for k, v in os.environ.items() if not k.startswith("DOCKFLOW_") and k != "DATABASE_URL"}
        env.update(self.settings)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([*self.wrapper, str(PROGRAM)], env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        if wait:
            self.wait("/health/live" if wait == "live" else "/health/ready")

    def wait(self, path, status=200, seconds=60):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}\n{self.log()[-4000:]}")
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(self.url + path, timeout=5).status_code == status:
                    return
            time.sleep(0.05)
        raise RuntimeError(f"{path} did not become {status}\n{self.log()[-4000:]}")

    def log(self):
        return self.log_path.read_text(errors="replace") if self.kept_log is None else self.kept_log

    def rss_kib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))

    def events(self, name):
        found = []
        for line in self.log().splitlines():
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if entry.get("event") == name:
                    found.append(entry)
        return found

    def kill(self, sig=signal.SIGKILL):
        self.process.send_signal(sig)
        return self.process.wait(timeout=60)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode

    def remove(self):
        self.stop()
        if self.kept_log is None:
            self.kept_log = self.log()  # test_zz_invariants.py reads it at the end
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def servers():
    """A maker of servers that end, cleanly, with it."""
    made = []

    def make(database_url, settings=None, wait="ready", wrapper=()):
        made.append(Server(database_url, settings, wait, wrapper))
        return made[-1]

    yield make
    codes = []
    for server in made:
        alive = server.process.poll() is None
        code = server.stop()
        if alive:
            codes.append((code, server.log()[-3000:]))
        server.remove()
    for code, log in codes:
        assert code == 0, f"the server ended with {code}\n{log}"


@pytest.fixture(scope="session")
def new_server():
    with servers() as make:
        yield make


@pytest.fixture(scope="session")
def server(new_server, db):
    return new_server(db.url)


# ---- clients ------------------------------------------------------------------------------------

class Recorder:
    """What every client of the session did and was given, for the checks at the end (test_zz_invariants.py)."""

    def __init__(self):
        self.writes = []   # (request id, method, path) of every mutating 2xx on the shared server
        self.secrets = set()
        self.answers = {}  # (method, path without query, status) of every 2xx -> one answer in JSON, or None


RECORDED = Recorder()


@pytest.fixture(scope="session")
def recorded():
    return RECORDED


class Api:
    """A caller: anonymous, a bearer, or a browser with cookies."""

    def __init__(self, server, token=None, cookies=False, record=True):
        headers = {"X-DF-CSRF": "1"} if cookies else {}
        if token:
            headers["Authorization"] = f"Bearer {token}"
            RECORDED.secrets.add(token)
        self.server, self.token, self.record = server, token, record
        self.http = httpx.Client(base_url=server.url, headers=headers, timeout=30)
        self.user = None
        self.password = None

    def call(self, method, path, json=None, headers=None, expect=None, **kw):
        full = path if path.startswith(("/api/", "/health", "/debug", "/metrics", "/.well", "/ws/")) else "/api/v1" + path
        r = self.http.request(method, full, json=json, headers=headers, **kw)
        if self.record and method in WRITES and 200 <= r.status_code < 300 and "idempotency-replayed" not in r.headers:
            RECORDED.writes.append((self.server, r.headers["x-request-id"], method, full))
        if 200 <= r.status_code < 300:
            as_json = r.headers.get("content-type", "") == "application/json"
            if "fields" not in r.url.params:  # what was asked for in parts is no whole answer
                RECORDED.answers[method, full.partition("?")[0], r.status_code] = r.json() if as_json else None
        if expect is not None:
            assert r.status_code == expect, f"{method} {full}: {r.status_code} {r.text}"
        return r

    def get(self, path, expect=200, **kw):
        r = self.call("GET", path, expect=expect, **kw)
        return r.json() if r.headers.get("content-type", "").startswith("application/json") else r

    def post(self, path, body=None, expect=None, **kw):
        return self.call("POST", path, json=body, expect=expect, **kw)

    def make(self, path, body, **kw):
        return self.post(path, body, expect=201, **kw).json()

    def put(self, path, body, version=None, expect=None):
        return self.call("PUT", path, json=body, headers=if_match(version), expect=expect)

    def patch(self, path, body, version=None, expect=None):
        return self.call("PATCH", path, json=body, headers=if_match(version), expect=expect)

    def delete(self, path, version=None, expect=None):
        return self.call("DELETE", path, headers=if_match(version), expect=expect)

    def all(self, path, **params):
        """Every item of a paged list."""
        items, cursor = [], None
        while True:
            page = self.get(path, params={**params, **({"cursor": cursor} if cursor else {})})
            items += page["items"]
            cursor = page["next"]
            if cursor is None:
                return items


def if_match(version):
    return {} if version is None else {"If-Match": f'"{version}"'}


def code(response):
    return response.json()["error"]["code"]


def login(server, username, password, expect=200, headers=None):
    """Tokens in the body, as a program asks for them."""
    RECORDED.secrets.add(password)
    r = httpx.post(server.url + "/api/v1/auth/login", json={"username": username, "password": password},
                   headers={"X-DF-Token": "body", **(headers or {})}, timeout=30)
    assert r.status_code == expect, r.text
    body = r.json()
    if r.status_code == 200:
        RECORDED.secrets.update((body["accessToken"], body["refreshToken"]))
        RECORDED.writes.append((server, r.headers["x-request-id"], "POST", "/api/v1/auth/login"))
    return body


def enter(server, username, password):
    body = login(server, username, password)
    api = Api(server, body["accessToken"])
    api.user, api.password, api.refresh_token = body["user"], password, body["refreshToken"]
    return api


def first_admin(server, password="the real phrase of admin 5"):
    """The administrator of a fresh server, with the first password changed."""
    body = login(server, "admin@localhost", BOOTSTRAP)
    assert body["mustChangePassword"]
    RECORDED.secrets.add(password)
    api = Api(server, body["accessToken"])
    api.post("/auth/change-password", {"currentPassword": BOOTSTRAP, "newPassword": password}, expect=204)
    return enter(server, "admin@localhost", password)


@pytest.fixture(scope="session")
def admin_password():
    return "the real phrase of admin 5"


@pytest.fixture(scope="session")
def _admin_once(server, admin_password):
    return first_admin(server, admin_password)


@pytest.fixture
def admin(server, _admin_once, admin_password):
    """The owner of the platform, with a fresh session (access tokens are short-lived)."""
    return enter(server, "admin@localhost", admin_password)


@pytest.fixture
def anonymous(server):
    return Api(server)


def unique(prefix="x"):
    return f"{prefix}-{secrets.token_hex(4)}"


def make_user(admin, *roles, name=None, password=None):
    """A user who has (role, scope id) each; returns his Api with .user and .password."""
    name, password = name or unique("u"), password or "phrase " + secrets.token_hex(8)
    RECORDED.secrets.add(password)
    user = admin.make("/users", {"username": name, "email": f"{name}@example.test", "fullName": name.title(), "password": password,
                                 "mustChangePassword": False})
    for role, scope in roles:
        admin.make("/role-bindings", {"subjectKind": "user", "subjectId": user["id"], "role": role, "scopeId": scope})
    return enter(admin.server, name, password)


@pytest.fixture
def user(admin):
    def make(*roles, **kw):
        return make_user(admin, *roles, **kw)

    return make


def make_org(admin, name=None):
    """An organization with one project: {"org", "project"}."""
    name = name or unique("org")
    org = admin.make("/organizations", {"name": name, "displayName": name.upper()})
    project = admin.make("/projects", {"name": unique("p"), "organizationId": org["id"]})
    return {"org": org, "project": project}


@pytest.fixture
def org(admin):
    return make_org(admin)


# ---- nodes, repositories, applications --------------------------------------------------------------

from live import *  # noqa: E402,F401,F403
from live import _live_owner  # noqa: E402,F401
