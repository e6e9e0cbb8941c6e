"""What tests of nodes, applications and streams share: a server with a real Docker engine, Git repositories, waiting for tasks.

Loaded by conftest.py. DOCKER_HOST names the engine (./dev test gives it); without one these tests are skipped.
"""
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import textwrap
import time
import uuid

import psycopg2
import pytest

import conftest

IMAGE = "busybox:local"
GIT_ENV = {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.test", "GIT_COMMITTER_NAME": "Ada",
           "GIT_COMMITTER_EMAIL": "ada@example.test", "GIT_CONFIG_NOSYSTEM": "1", "HOME": "/nonexistent"}


class Docker:
    """The engine as somebody at its own command line sees it."""

    def __init__(self, host):
        self.host = host

    def __call__(self, *args, check=True):
        done = subprocess.run(["docker", "-H", self.host, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if check and done.returncode:
            raise RuntimeError(f"docker {' '.join(args)}: {done.stderr}")
        return done.stdout.strip()

    def containers(self, project, everything=True):
        rows = self("ps", *(["-a"] if everything else []), "--no-trunc", "--filter", f"label=com.docker.compose.project={project}",
                    "--format", "{{json .}}")
        return {r["Names"]: r for r in map(json.loads, rows.splitlines())}

    def running(self, project):
        return sorted(self.containers(project, everything=False))

    def inspect(self, name):
        return json.loads(self("inspect", name))[0]

    def sweep(self, project):
        ids = self("ps", "-aq", "--filter", f"label=com.docker.compose.project={project}").split()
        if ids:
            self("rm", "-f", "-v", *ids, check=False)  # the server may be at it too
        for net in self("network", "ls", "-q", "--filter", f"label=com.docker.compose.project={project}").split():
            self("network", "rm", net, check=False)


@pytest.fixture(scope="session")
def docker_host():
    host = os.environ.get("DOCKER_HOST")
    if not host:
        pytest.skip("no Docker engine: DOCKER_HOST is not set")
    if not subprocess.run(["docker", "-H", host, "image", "inspect", IMAGE], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
        conftest.lab(f"export DOCKER_HOST={host}; lab_image_busybox {IMAGE}")
    return host


@pytest.fixture(scope="session")
def docker(docker_host):
    return Docker(docker_host)


@pytest.fixture(scope="session")
def live_server(new_server, new_database, docker_host):
    """Local repositories allowed, the engine of DOCKER_HOST as default node, quick to look again."""
    return new_server(new_database().url, {"DOCKFLOW_SERVER_DEV_MODE": "true", "DOCKFLOW_GIT_ALLOW_LOCAL_PATHS": "true",
                                           "DOCKFLOW_GIT_POLL_SECONDS": "10", "DOCKER_HOST": docker_host})


@pytest.fixture(scope="session")
def _live_owner(live_server):
    return conftest.first_admin(live_server)


@pytest.fixture
def owner(live_server, _live_owner):
    return conftest.enter(live_server, "admin@localhost", _live_owner.password)


@pytest.fixture
def home(owner):
    """An organization with a project of its own."""
    return conftest.make_org(owner)


@pytest.fixture
def node(owner):
    return next(n for n in owner.all("/nodes") if n["isDefault"])


# ---- Git --------------------------------------------------------------------------------------------

def git(folder, *args):
    return subprocess.run(["git", "-C", str(folder), *args], check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env={**os.environ, **GIT_ENV}).stdout.strip()


class Repo:
    """A bare repository and a working copy that pushes to it."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.bare, self.work = self.folder / "origin.git", self.folder / "work"
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(self.bare)], check=True)
        subprocess.run(["git", "init", "-q", "-b", "main", str(self.work)], check=True)
        git(self.work, "remote", "add", "origin", str(self.bare))

    def commit(self, files, message="change", push=True):
        for name, text in files.items():
            path = self.work / name
            if text is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))
        git(self.work, "add", "-A")
        git(self.work, "commit", "-q", "-m", message)
        if push:
            git(self.work, "push", "-q", "origin", "HEAD")
        return git(self.work, "rev-parse", "HEAD")


@pytest.fixture
def repo():
    folder = tempfile.mkdtemp(prefix="dfrepo-", dir="/tmp")
    yield Repo(folder)
    shutil.rmtree(folder, ignore_errors=True)


# ---- waiting ----------------------------------------------------------------------------------------

def until(look, seconds=30, every=0.1, what="it"):
    deadline = time.monotonic() + seconds
    seen = None
    while time.monotonic() < deadline:
        seen = look()
        if seen:
            return seen
        time.sleep(every)
    raise AssertionError(f"{what} did not happen within {seconds} s; last seen: {seen!r}")


def task_id(response):
    assert response.status_code in (202, 200), response.text
    return response.json().get("taskId") or response.json()["id"]


def ended(api, response, state="succeeded", seconds=60):
    """The task of a 202, when it has ended."""
    key = task_id(response)
    task = until(lambda: (t := api.get(f"/tasks/{key}"))["state"] not in ("queued", "running") and t, seconds, what=f"end of task {key}")
    assert task["state"] == state, json.dumps(task, indent=1)
    return task


def application(api, app, seconds=30, **want):
    """The application once sync, health or commit are as wanted."""
    paths = {"sync": ("sync", "status"), "health": ("health", "status"), "deployed": ("sync", "deployedCommit"), "desired": ("sync", "desiredCommit")}

    def look():
        a = api.get(f"/applications/{app['id']}")
        return a if all(a[paths[k][0]][paths[k][1]] == v for k, v in want.items()) else None

    try:
        return until(look, seconds, what=f"application {want}")
    except AssertionError as e:
        raise AssertionError(f"{e}\n{json.dumps(api.get('/applications/' + app['id']), indent=1)}") from None


def sql(server, text, *args):
    with contextlib.closing(psycopg2.connect(server.settings["DATABASE_URL"])) as c:
        c.autocommit = True
        cursor = c.cursor()
        cursor.execute(text, args)
        return cursor.fetchall() if cursor.description else []


@contextlib.contextmanager
def queue_held(server, thing, kind="app"):
    """Another job of the application (or `repo`) runs: what is asked for meanwhile waits."""
    busy, key = str(uuid.uuid4()), f"{kind}:{thing['id']}"
    until(lambda: not sql(server, "SELECT 1 FROM jobs WHERE key = %s AND state IN ('queued', 'running')", key))
    sql(server, "INSERT INTO jobs (id, kind, key, state, lease_until, lease_owner) VALUES (%s, 'test.busy', %s, 'running', "
                "now() + interval '1 hour', 'test')", busy, key)
    try:
        yield
    finally:
        sql(server, "UPDATE jobs SET state = 'succeeded', lease_until = NULL, finished_at = now() WHERE id = %s", busy)


SERVICE = """\
services:
  web:
    image: busybox:local
    command: ["sh", "-c", "trap 'exit 0' TERM; echo hello ${GREETING:-world}; while :; do sleep 0.2; done"]
    stop_grace_period: 2s
"""


@pytest.fixture
def make_repository(owner, home, repo):
    def make(**more):
        body = {"name": conftest.unique("r"), "url": str(repo.bare), "projectId": home["project"]["id"], **more}
        return owner.make("/repositories", body)

    return make


@pytest.fixture
def make_app(owner, home, repo, docker, make_repository):
    """make_app(files, ...) -> (application, commit); its containers go at the end."""
    made = []

    def make(files=None, repository=None, environment=None, policy=None, **more):
        sha = repo.commit(files or {"compose.yaml": SERVICE})
        repository = repository or make_repository()
        body = {"name": conftest.unique("app"), "projectId": home["project"]["id"], "repositoryId": repository["id"], "branch": "main", "path": "",
                "environment": environment or {"name": "test", "variables": {}},
                "syncPolicy": policy or {"automated": False, "prune": True, "selfHeal": False}, **more}
        app = owner.make("/applications", body)
        made.append(app)
        return app, sha

    yield make
    for app in made:
        with contextlib.suppress(Exception):
            current = owner.call("GET", f"/applications/{app['id']}")
            if current.status_code == 200:
                owner.delete(f"/applications/{app['id']}", version=current.json()["version"])
        docker.sweep(app["projectName"])
