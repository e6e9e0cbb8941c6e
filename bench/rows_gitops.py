"""(d) comparing a thousand applications that need nothing, (e) from a push to replaced containers."""
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import socket
import subprocess
import threading
import time

from lib import BUILD, Api, Database, Server, folder, median, percentile, run, until
from rows_http import APPLICATIONS, seed

PUSHES = 20
GIT = {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.test", "GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.test",
       "GIT_CONFIG_NOSYSTEM": "1", "HOME": "/nonexistent"}
COMPOSE = """\
services:
  web:
    image: busybox:local
    command: ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]
    stop_grace_period: 2s
    environment:
      GREETING: ${GREETING:-hello}
      ROUND: "%d"
    ports:
      - "127.0.0.1::8080"
"""


def git(where, *args):
    return run("git", "-C", where, *args, env={**os.environ, **GIT}).strip()


class Repo:
    def __init__(self, where):
        self.bare, self.work = pathlib.Path(where) / "origin.git", pathlib.Path(where) / "work"
        run("git", "init", "-q", "--bare", "-b", "main", self.bare)
        run("git", "init", "-q", "-b", "main", self.work)
        git(self.work, "remote", "add", "origin", self.bare)

    def commit(self, text, push=True):
        (self.work / "compose.yaml").write_text(text)
        git(self.work, "add", "-A")
        git(self.work, "commit", "-q", "-m", "change")
        if push:
            self.push()
        return git(self.work, "rev-parse", "HEAD")

    def push(self):
        git(self.work, "push", "-q", "origin", "HEAD")


def reconcile(lab_url):
    with folder() as tmp:
        db = Database(lab_url, "df_bench_d")
        try:
            repo = Repo(tmp)
            sha = repo.commit(COMPOSE % 0)
            server = Server(db.url, tmp / "server", {"DOCKFLOW_SERVER_DEV_MODE": "true", "DOCKFLOW_GIT_ALLOW_LOCAL_PATHS": "true"})
            _, repository = seed(db, Api(server).first_login(), str(repo.bare))
            server.stop()
            mirror = tmp / "server/data/git" / f"{repository['id']}.git"
            if not mirror.exists():
                run("git", "clone", "-q", "--mirror", repo.bare, mirror)
            db.sql(f"UPDATE applications SET desired_commit = '{sha}', deployed_commit = '{sha}'; ANALYZE")
            got = json.loads(run(BUILD / "df-bench-reconcile", db.url, tmp / "server/data", 5))
        finally:
            db.drop()
    best = max(got["per_s_1"], got["per_s_8"])
    return [("d", f"no-op comparison of {got['applications']} applications, read from the database each time", f"{got['per_s_8']:,.0f}/s (one at a time {got['per_s_1']:,.0f}/s)",
             f"first time, files read and rendered: {got['cold_per_s']:,.0f}/s", "", "≥ 2000/s", best >= 2000)]


class Engine(http.client.HTTPConnection):
    """The engine's API without a client in between."""

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(os.environ["DOCKER_HOST"].removeprefix("unix://"))

    def call(self, method, path, body=None):
        self.request(method, "/v1.41" + path, json.dumps(body or {}), {"Content-Type": "application/json"})
        r = self.getresponse()
        text = r.read()
        if r.status >= 400:
            raise RuntimeError(f"{method} {path}: {text.decode()}")
        return json.loads(text) if text else None


def by_hand(engine, app, n):
    """Seconds the engine alone needs for the same: create the new container, stop the old one, start the new one."""
    body = {"Image": "busybox:local", "Cmd": ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"], "ExposedPorts": {"8080/tcp": {}},
            "HostConfig": {"NetworkMode": f"{app['projectName']}_default", "PortBindings": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}}}
    old = engine.call("POST", f"/containers/create?name=df-bench-old{n}", body)["Id"]
    engine.call("POST", f"/containers/{old}/start")
    began = time.monotonic()
    new = engine.call("POST", f"/containers/create?name=df-bench-new{n}", body)["Id"]
    engine.call("POST", f"/containers/{old}/stop?t=2")
    engine.call("POST", f"/containers/{new}/start")
    took = time.monotonic() - began
    for one in (old, new):
        engine.call("DELETE", f"/containers/{one}?force=1&v=1")
    return took


class Replaced(threading.Thread):
    """When a container with an environment entry starts, as the engine tells it."""

    def __init__(self, project):
        super().__init__(daemon=True)
        self.p = subprocess.Popen(["docker", "events", "--filter", "event=start", "--filter", f"label=com.docker.compose.project={project}", "--format", "{{.ID}}"],
                                  stdout=subprocess.PIPE, text=True)
        self.times = []
        self.start()

    def run(self):
        for _ in self.p.stdout:
            self.times.append(time.monotonic())

    def stop(self):
        self.p.kill()
        self.p.wait()


def push(api, server, repo, hook, n):
    """Seconds of one push: from `git push` to the start of the new container."""
    repo.commit(COMPOSE % n, push=False)
    body = json.dumps({"ref": "refs/heads/main", "after": git(repo.work, "rev-parse", "HEAD")}).encode()
    sign = "sha256=" + hmac.new(hook["secret"].encode(), body, hashlib.sha256).hexdigest()
    began = time.monotonic()
    repo.push()
    api.call("POST", hook["url"], body, {"X-Hub-Signature-256": sign, "X-GitHub-Event": "push", "X-GitHub-Delivery": f"bench-{n}"})
    return began


def pushes(lab_url):
    with folder() as tmp:
        db, took, alone = Database(lab_url, "df_bench_e"), [], []
        server = Server(db.url, tmp / "server", {"DOCKFLOW_SERVER_DEV_MODE": "true", "DOCKFLOW_GIT_ALLOW_LOCAL_PATHS": "true", "DOCKER_HOST": os.environ["DOCKER_HOST"]})
        watch = app = None
        try:
            api, repo = Api(server).first_login(), Repo(tmp)
            repo.commit(COMPOSE % 0)
            org = api.call("POST", "/organizations", {"name": "bench", "displayName": "Bench"})
            project = api.call("POST", "/projects", {"name": "bench", "organizationId": org["id"]})
            repository = api.call("POST", "/repositories", {"name": "bench", "url": str(repo.bare), "projectId": project["id"], "pollSeconds": 0})
            secret = api.call("POST", f"/repositories/{repository['id']}/webhook-secret")["secret"]
            hook = {"secret": secret, "url": repository["webhookUrl"]}
            app = api.call("POST", "/applications", {"name": "bench-push", "projectId": project["id"], "repositoryId": repository["id"], "branch": "main", "path": "",
                                                     "environment": {"name": "prod", "variables": {}},
                                                     "syncPolicy": {"automated": True, "prune": True, "selfHeal": False}})
            watch = Replaced(app["projectName"])

            def settled(commit=None):
                a = api.call("GET", f"/applications/{app['id']}")
                return a["sync"]["status"] == "Synced" and a["operation"] is None and (commit is None or a["sync"]["deployedCommit"] == commit)

            until(settled, 60, 0.05, "the first deployment")
            for n in range(1, PUSHES + 1):
                seen = len(watch.times)
                began = push(api, server, repo, hook, n)
                until(lambda: len(watch.times) > seen, 30, 0.001, f"push {n}")
                took.append(watch.times[seen] - began)
                until(lambda: settled(git(repo.work, "rev-parse", "HEAD")), 30, 0.05, f"end of push {n}")
                if n % 3 == 0:
                    alone.append(by_hand(Engine("engine"), app, n))
        finally:
            if watch:
                watch.stop()
            server.stop()
            if app:
                ids = run("docker", "ps", "-aq", "--filter", f"label=com.docker.compose.project={app['projectName']}").split()
                if ids:
                    run("docker", "rm", "-f", "-v", *ids)
                subprocess.run(["docker", "network", "rm", f"{app['projectName']}_default"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            db.drop()
    p50, p99 = percentile(took, 50), percentile(took, 99)
    return [("e", f"git push → new container started, webhook, image there, {PUSHES} pushes", f"p50 {p50:.2f} s, p99 {p99:.2f} s",
             f"the engine alone (create, stop, start): p50 {percentile(alone, 50):.2f} s", "", "p50 ≤ 1 s", p50 <= 1)]
