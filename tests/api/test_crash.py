"""kill -9 at every named point of a deployment: after a restart the same end state as without the crash, nothing twice, nothing
left over, no stuck job (PR1, P2, P3).

The server dies by its own hand (DOCKFLOW_FAULT=point, see core/base/fault.h). All crashes run first, in a few servers side by
side on one engine; each test then looks at the result of its point.
"""
import collections
import json
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import httpx
import pytest

import conftest
import live

SERVERS = 3
LEASE_S = 2
SETTLE_S = 120
WALK = ["sync.claimed", "sync.after_resolve", "sync.before_record", "sync.recorded", "sync.after_render", "sync.after_plan",
        "sync.after_apply", "sync.before_finish", "sync.after_finish"]
# What the plans of the two revisions do; test_plans_have_every_kind_of_operation compares with the real plans.
KINDS = {
    "one": ["pull", "build", "createNetwork", "createVolume", "putFiles", "create", "start", "waitHealthy", "waitCompleted",
            "waitRunning"],
    "two": ["build", "removeNetwork", "createNetwork", "putFiles", "create", "stop", "rename", "connect", "start", "waitHealthy",
            "waitCompleted", "waitRunning", "remove", "removeVolume"],
}


def points_of(branch):
    return WALK + [f"deploy.{when}.{kind}" for kind in KINDS[branch] for when in ("before", "after")]


POINTS = [(branch, point) for branch in KINDS for point in points_of(branch)]
if "asan" in os.environ.get("DF_SERVER_BIN", ""):
    POINTS = POINTS[::5]  # the sanitizers look at the code paths, not at the timing

COMPOSE = {
    "one": """
        services:
          web:
            build: ./web
            image: crash/${TAG}:built
            command: ["httpd", "-f", "-p", "80", "-h", "/www"]
            init: true
            stop_grace_period: 1s
            configs: [{source: app, target: /app.conf}]
            networks: [net]
            healthcheck: {test: ["CMD", "test", "-f", "/app.conf"], interval: 0.5s, retries: 20}
            depends_on:
              db: {condition: service_healthy}
              prepare: {condition: service_completed_successfully}
          db:
            image: ${REGISTRY}/crash:${TAG}
            command: ["sh", "-c", "echo open > /data/state; exec sleep 100000"]
            init: true
            stop_grace_period: 1s
            volumes: ["data:/data"]
            networks: [side]
            healthcheck: {test: ["CMD", "test", "-f", "/data/state"], interval: 0.5s, retries: 20}
          prepare:
            image: ${REGISTRY}/crash:${TAG}
            command: ["true"]
            networks: [side]
            environment: {STEP: one}
          old:
            image: ${REGISTRY}/crash:${TAG}
            command: ["sleep", "100000"]
            init: true
            stop_grace_period: 1s
            networks: [net]
          same:
            image: ${REGISTRY}/crash:${TAG}
            command: ["sleep", "100000"]
            init: true
            stop_grace_period: 1s
            networks: [net]
        networks:
          net: {labels: {revision: one}}
          side: {labels: {revision: same}}
        volumes: {data: }
        configs:
          app: {file: ./app.conf}
        """,
}
COMPOSE["two"] = COMPOSE["one"].replace("STEP: one", "STEP: two").replace("revision: one", "revision: two")
COMPOSE["two"] = re.sub(r"          old:\n(            .*\n)+", "", COMPOSE["two"])


def files_of(branch):
    return {"compose.yaml": COMPOSE[branch], "app.conf": f"setting = {branch}\n", "web/Dockerfile": f"FROM {live.IMAGE}\nCOPY www /www\n",
            "web/www/index.html": f"page {branch}\n"}


class Registry:
    """Debian's docker-registry on loopback with one image that is known by as many tags as there are applications."""

    def __init__(self, docker, folder):
        self.port = conftest.free_port()
        self.name = f"127.0.0.1:{self.port}"
        conf = folder + "/registry.yml"
        with open(conf, "w", encoding="ascii") as f:
            f.write(f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {folder}/registry}}}}\n"
                    f"http: {{addr: '{self.name}'}}\n")
        self.process = subprocess.Popen(["docker-registry", "serve", conf], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        live.until(lambda: socket.socket().connect_ex(("127.0.0.1", self.port)) == 0, what="the registry")
        docker("tag", live.IMAGE, f"{self.name}/crash:base")
        docker("push", f"{self.name}/crash:base")
        docker("rmi", f"{self.name}/crash:base")
        kind = "application/vnd.docker.distribution.manifest.v2+json"
        self.headers = {"Accept": kind, "Content-Type": kind}
        self.manifest = httpx.get(f"http://{self.name}/v2/crash/manifests/base", headers=self.headers).content

    def tag(self, tag):
        httpx.put(f"http://{self.name}/v2/crash/manifests/{tag}", content=self.manifest, headers=self.headers).raise_for_status()

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Place:
    """One server with its database, killed and started again and again."""

    def __init__(self, database, docker_host, docker, repo, commits, registry):
        self.docker, self.commits, self.registry, self.db = docker, commits, registry, database
        self.server = conftest.Server(database.url, {
            "DOCKFLOW_SERVER_DEV_MODE": "true", "DOCKFLOW_GIT_ALLOW_LOCAL_PATHS": "true", "DOCKER_HOST": docker_host,
            "DOCKFLOW_JOBS_LEASE_SECONDS": str(LEASE_S), "DOCKFLOW_LOG_LEVEL": "INFO"})
        first = conftest.first_admin(self.server)
        token = first.post("/tokens", {"name": "crash", "expiresInDays": 1}, expect=201).json()["token"]
        self.api = conftest.Api(self.server, token, record=False)
        org = conftest.make_org(self.api)
        self.project = org["project"]["id"]
        self.repo = self.api.make("/repositories", {"name": "crash", "url": f"file://{repo.bare}", "branch": "one", "projectId": self.project,
                                                    "pollSeconds": 0})["id"]

    def restart(self, fault=None):
        if self.server.process.poll() is None:
            self.server.kill()
        self.server.settings.pop("DOCKFLOW_FAULT", None)
        if fault:
            self.server.settings["DOCKFLOW_FAULT"] = fault
        self.server.start()

    def new_app(self, name):
        self.registry.tag(name)
        return self.api.make("/applications", {
            "name": name, "projectId": self.project, "repositoryId": self.repo, "branch": "one", "composeFiles": ["compose.yaml"],
            "environment": {"name": "test", "variables": {"TAG": name, "REGISTRY": self.registry.name}},
            "syncPolicy": {"automated": False, "prune": True, "selfHeal": False}})["id"]

    def aim(self, app, name, branch):
        if branch != "one":
            # Somebody pulled a cable meanwhile: the plan connects it again.
            self.docker("network", "disconnect", f"{name}_side", f"{name}-db-1")
            now = self.api.get(f"/applications/{app}")
            self.api.patch(f"/applications/{app}", {"branch": branch}, now["version"], expect=200)
        try:
            self.api.post(f"/applications/{app}/sync", {}, expect=202)
        except httpx.TransportError:
            pass  # it died before it could answer; the job was written

    def settle(self, app, branch):
        """Wait for the end; the application as the API tells it."""
        seen = None

        def done():
            nonlocal seen
            seen = self.api.get(f"/applications/{app}")
            return (seen["sync"]["status"] == "Synced" and seen["health"]["status"] == "Healthy" and seen["operation"] is None
                    and seen["sync"]["deployedCommit"] == self.commits[branch] and not self.unfinished(app))

        try:
            live.until(done, SETTLE_S, 0.1)
        except AssertionError:
            raise AssertionError(f"never settled: {json.dumps(seen['sync'])} {json.dumps(seen['health'])} {seen['error']}\n"
                                 f"jobs: {self.last_jobs(app)}\noperations: {self.failed_ops(app)}\n{self.warnings()}") from None
        return seen

    def unfinished(self, app):
        return self.db.rows("SELECT kind, state, attempt, error::text FROM jobs WHERE object_id::text = %s AND state IN ('queued', 'running')", app)

    def last_jobs(self, app):
        return self.db.rows("SELECT kind, state, attempt, error::text FROM jobs WHERE object_id::text = %s ORDER BY id DESC LIMIT 4", app)

    def failed_ops(self, app):
        newest = max(self.api.get(f"/deployments?application={app}")["items"], key=lambda d: d["number"])
        ops = self.api.get(f"/deployments/{newest['id']}")["ops"]
        return [(op["id"], op["state"], op.get("error")) for op in ops if op["state"] != "succeeded"][:8]

    def warnings(self):
        return "\n".join(line[:600] for line in self.server.log().splitlines() if '"level":"INFO"' not in line and "fiber.slow" not in line)[-3000:]

    def drop(self, app, name):
        version = self.api.get(f"/applications/{app}")["version"]
        self.api.delete(f"/applications/{app}", version, expect=204)
        self.docker.sweep(name)
        volumes = self.docker("volume", "ls", "-q", "--filter", f"label=com.docker.compose.project={name}").split()
        if volumes:
            self.docker("volume", "rm", *volumes, check=False)
        self.docker("rmi", "-f", f"{self.registry.name}/crash:{name}", f"crash/{name}:built", check=False)

    # -- what is there, without what differs from one application to the next --

    def state(self, app, name):
        def plain(text):
            return re.sub(r"[0-9a-f]{12,}", "#", str(text).replace(app, "ID").replace(name, "APP"))

        ids = self.docker("ps", "-aq", "--no-trunc", "--filter", f"label=io.dockflow.application={app}").split()
        found = collections.defaultdict(list)
        for c in json.loads(self.docker("inspect", *ids)) if ids else []:
            labels, state = c["Config"]["Labels"], c["State"]
            found["containers"].append((
                plain(c["Name"]), labels.get("com.docker.compose.service"), labels.get("com.docker.compose.container-number"),
                plain(c["Config"]["Image"]), state["Status"], state["ExitCode"] if state["Status"] == "exited" else None,
                (state.get("Health") or {}).get("Status"), sorted(map(plain, c["NetworkSettings"]["Networks"])),
                sorted((m["Type"], m["Destination"]) for m in c["Mounts"]), c["RestartCount"]))
        project = f"label=com.docker.compose.project={name}"
        for line in self.docker("network", "ls", "--filter", project, "--format", '{{.Name}} {{.Label "revision"}}').splitlines():
            found["networks"].append(plain(line))
        for line in self.docker("volume", "ls", "-q", "--filter", project).splitlines():
            found["volumes"].append(plain(line))
        found["content"] = [self.docker("exec", f"{name}-web-1", "cat", "/app.conf", "/www/index.html")]
        found["deployments"] = [(d["number"], d["status"], d["commit"]["sha"]) for d in self.api.get(f"/deployments?application={app}")["items"]]
        found["jobs"] = self.db.rows("SELECT kind, state, count(*) FROM jobs WHERE object_id::text = %s AND kind = 'application.sync' "
                                     "GROUP BY 1, 2", app)
        return {k: sorted(v, key=str) for k, v in found.items()}


def kinds_of(place, app):
    newest = max(place.api.get(f"/deployments?application={app}")["items"], key=lambda d: d["number"])
    return {op["kind"] for op in place.api.get(f"/deployments/{newest['id']}")["ops"]}


class Results:
    def __init__(self):
        self.state, self.kinds, self.failure = {}, {}, {}


def crash(place, app, name, branch, point):
    """Arms, deploys, dies, starts again, waits."""
    place.restart(point)
    place.aim(app, name, branch)
    try:
        code = place.server.process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"{point} was not reached") from None
    assert code == -signal.SIGKILL, f"ended with {code}"
    place.restart()
    place.settle(app, branch)


def revision(place, app, name, branch, point):
    if point:
        crash(place, app, name, branch, point)
    else:
        place.aim(app, name, branch)
        place.settle(app, branch)
    return place.state(app, name)


def chain(place, results, number, one, two):
    """First revision with a crash at `one`, then the second with one at `two`."""
    name = f"crash{number}"
    app = None
    steps = [("one", one)] + ([("two", two)] if two or not one else [])
    for branch, point in steps:
        try:
            if app is None:
                place.restart()
                app = place.new_app(name)
            state = revision(place, app, name, branch, point)
            if number == 0:
                results.state[branch], results.kinds[branch] = state, kinds_of(place, app)
            else:
                assert state == results.state[branch]
        except Exception as e:  # noqa: BLE001 - told by the test of the point
            results.failure[(branch, point)] = e
            break
    if app is None:
        return
    try:
        place.restart()
        place.drop(app, name)
    except Exception as e:  # noqa: BLE001
        results.failure.setdefault(("cleaning", name), e)


@pytest.fixture(scope="module")
def results(request, new_database, docker_host, docker):
    if shutil.which("docker-registry") is None:
        pytest.skip("docker-registry is not installed")
    folder = tempfile.mkdtemp(prefix="dfcrash-", dir="/tmp")
    repo, registry, places = live.Repo(folder), None, []
    out, work = Results(), queue.Queue()
    try:
        commits = {"one": repo.commit(files_of("one"))}
        live.git(repo.work, "push", "-q", "origin", "HEAD:one")
        commits["two"] = repo.commit(files_of("two"))
        live.git(repo.work, "push", "-q", "origin", "HEAD:two")
        registry = Registry(docker, folder)
        places = [Place(new_database(), docker_host, docker, repo, commits, registry) for _ in range(SERVERS)]
        chain(places[0], out, 0, None, None)
        # Only what is asked for, so that one point can be looked at alone (-k).
        asked = {tuple(i.callspec.params[k] for k in ("branch", "point")) for i in request.session.items
                 if i.path == request.path and hasattr(i, "callspec")}
        ones, twos = ([p for b, p in POINTS if b == branch and (b, p) in asked] for branch in ("one", "two"))
        for i in range(max(len(ones), len(twos)) if not out.failure else 0):
            work.put((i + 1, ones[i] if i < len(ones) else None, twos[i] if i < len(twos) else None))

        def run(place):
            while True:
                try:
                    number, one, two = work.get_nowait()
                except queue.Empty:
                    return
                chain(place, out, number, one, two)

        threads = [threading.Thread(target=run, args=(p,)) for p in places]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        yield out
    finally:
        for p in places:
            p.server.remove()
        if registry:
            registry.stop()
        shutil.rmtree(folder, ignore_errors=True)


def test_plans_have_every_kind_of_operation(results):
    for where, failure in results.failure.items():
        if where[1] is None:
            raise failure
    for branch, kinds in KINDS.items():
        assert sorted(results.kinds[branch] ^ set(kinds)) == [], branch
    assert len(points_of("one")) + len(points_of("two")) >= 30


@pytest.mark.parametrize("branch,point", POINTS, ids=[f"{b}-{p}" for b, p in POINTS])
def test_same_end_after_a_crash(results, branch, point):
    assert branch in results.state, "the run without a crash failed"
    failure = results.failure.get((branch, point))
    if failure is None and branch == "two":
        before = [f for (b, _), f in results.failure.items() if b == "one"]
        assert not before, "an earlier part of its chain failed"
    if failure:
        raise failure


def test_nothing_is_left(results):
    assert not [f for f in results.failure.items() if f[0][0] == "cleaning"]


def test_what_was_begun_ends_with_its_own_commit(new_database, docker_host, docker):
    """The branch moves while the server is down: the interrupted deployment is of the commit it began with."""
    folder = tempfile.mkdtemp(prefix="dfcrash-", dir="/tmp")
    repo, place, name = live.Repo(folder), None, conftest.unique("moved")
    compose = "services: {web: {image: '%s', command: [sleep, '%d'], stop_signal: SIGKILL}}"
    try:
        first = repo.commit({"compose.yaml": compose % (live.IMAGE, 1000)})
        live.git(repo.work, "push", "-q", "origin", "HEAD:one")
        place = Place(new_database(), docker_host, docker, repo, {}, None)
        app = place.api.make("/applications", {"name": name, "projectId": place.project, "repositoryId": place.repo, "branch": "one",
                                               "composeFiles": ["compose.yaml"], "syncPolicy": {"automated": False}})["id"]
        place.restart("sync.recorded")
        place.aim(app, name, "one")
        assert place.server.process.wait(timeout=30) == -signal.SIGKILL
        second = repo.commit({"compose.yaml": compose % (live.IMAGE, 2000)})
        live.git(repo.work, "push", "-q", "origin", "HEAD:one")
        place.restart()
        live.until(lambda: not place.unfinished(app), SETTLE_S, what="the end of the deployment")
        [deployment] = place.api.get(f"/deployments?application={app}")["items"]
        assert (deployment["status"], deployment["commit"]["sha"]) == ("succeeded", first)
        assert place.api.get(f"/applications/{app}")["sync"]["deployedCommit"] == first != second
        assert docker.inspect(f"{name}-web-1")["Config"]["Cmd"] == ["sleep", "1000"]
    finally:
        docker.sweep(name)
        if place:
            place.server.remove()
        shutil.rmtree(folder, ignore_errors=True)
