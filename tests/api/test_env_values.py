"""Values of environment variables are a right of their own: whoever only reads an application sees names, and that something changed."""
import asyncio
import contextlib
import json
import os
import secrets
import subprocess

import psycopg2
import pytest
import websockets

from conftest import PROGRAM, Api, code, make_user
from live import application, ended, until

CLI = os.environ.get("DF_CLI_BIN", str(PROGRAM.parent / "dsctl"))
SERVICE = """\
services:
  web:
    image: busybox:local
    command: ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.2; done"]
    stop_grace_period: 1s
    env_file: [values.env]
    environment:
      COLOR: "%s"
      GREETING: "${GREETING}"
    configs: [{source: motd, target: /motd}]
    build: {context: ".", dockerfile_inline: "FROM busybox:local", args: {STAMP: "%s"}}
configs:
  motd: {content: "say ${GREETING}"}
"""


class Canary:
    """One value in each place an environment value can come from."""

    def __init__(self):
        self.literal, self.new, self.variable, self.file, self.argument = ("canary" + secrets.token_hex(6) for _ in range(5))
        self.all = [self.literal, self.new, self.variable, self.file, self.argument]

    def files(self, color):
        return {"compose.yaml": SERVICE.replace("    build:", "    #build:") % (color, self.argument), "values.env": f"FROM_FILE={self.file}\n"}

    def seen(self, text):
        return [value for value in self.all if value in text]


@pytest.fixture
def world(owner, home, docker, make_app, repo):
    canary = Canary()
    app, _ = make_app(canary.files(canary.literal), environment={"name": "test", "variables": {"GREETING": canary.variable}})
    ended(owner, owner.post(f"/applications/{app['id']}/sync", {}))
    sha = repo.commit(canary.files(canary.new), "another color")
    ended(owner, owner.post(f"/repositories/{app['repository']['id']}/refresh"))
    ended(owner, owner.post(f"/applications/{app['id']}/refresh"))
    application(owner, app, sync="OutOfSync", desired=sha)
    reader = make_user(owner, ("operator", home["project"]["id"]))
    return app, canary, reader


def ids(owner, app):
    container = owner.get("/containers", params={"application": app["id"]})["items"][0]
    return {"applications": app["id"], "repositories": app["repository"]["id"], "nodes": app["node"]["id"], "containers": container["id"],
            "deployments": owner.get(f"/applications/{app['id']}/deployments")["items"][0]["id"],
            "tasks": owner.get("/tasks", params={"object": app["id"]})["items"][0]["id"], "projects": app["projectId"]}


def reads(document, known):
    """Every path that can be read, about the objects of this application."""
    for path, item in document["paths"].items():
        op = item.get("get")
        if op is None or "101" in op["responses"] or path.startswith(("/api/docs", "/metrics")) or path.endswith("/stream") or "/stream/" in path:
            continue
        parts = path.split("/")
        filled = [known.get(parts[i - 1], "x") if part.startswith("{") else part for i, part in enumerate(parts)]
        yield "/".join(filled)


def test_no_route_shows_values_to_readers(owner, world):
    app, canary, reader = world
    known, answered = ids(owner, app), set()
    for path in reads(owner.get("/openapi.json"), known):
        r = reader.call("GET", path)
        if r.status_code == 200:
            answered.add(path)
        assert canary.seen(r.text) == [], path
    of_app = f"/api/v1/applications/{app['id']}"
    assert {of_app, of_app + "/plan", of_app + "/diff", of_app + "/manifest", of_app + "/resources", of_app + "/deployments",
            "/api/v1/applications", f"/api/v1/deployments/{known['deployments']}", f"/api/v1/tasks/{known['tasks']}",
            f"/api/v1/containers/{known['containers']}"} <= answered
    dry = reader.post(f"/applications/{app['id']}/sync", {"dryRun": True}, expect=200)
    assert canary.seen(dry.text) == []
    fields = reader.call("GET", "/applications", params={"fields": "environment"}, expect=200)
    assert canary.seen(fields.text) == [] and '"GREETING":"***"' in fields.text


def test_names_and_changes_stay_visible(owner, world):
    app, canary, reader = world
    plan = reader.get(f"/applications/{app['id']}/plan")
    cause = next(c for op in plan["ops"] for c in op["cause"] if c.get("path") == "environment.COLOR")
    assert (cause["from"], cause["to"], cause["message"], cause["line"]) == ("***", "***", "environment.COLOR changed", 8)
    change = reader.get(f"/applications/{app['id']}/diff")["services"][0]["changes"][0]
    assert (change["path"], change["live"], change["desired"]) == ("environment.COLOR", "***", "***")
    manifest = reader.get(f"/applications/{app['id']}/manifest")
    assert manifest["rendered"]["services"]["web"]["environment"] == {"COLOR": "***", "FROM_FILE": "***", "GREETING": "***"}
    assert manifest["files"][0]["path"] == "compose.yaml" and manifest["files"][0]["content"] == "***"
    assert reader.get(f"/applications/{app['id']}")["environment"] == {"name": "test", "variables": {"GREETING": "***"}}


def test_who_has_the_right_sees_them(owner, home, world):
    app, canary, _ = world
    role = owner.make("/roles", {"name": "env-" + secrets.token_hex(4), "permissions": ["application:read", "container:inspect-env"]})
    person = make_user(owner, (role["name"], home["project"]["id"]))
    for path, value in (("plan", canary.new), ("diff", canary.literal), ("manifest", canary.file), ("", canary.variable)):
        assert value in person.call("GET", f"/applications/{app['id']}/{path}".rstrip("/"), expect=200).text, path
    token = person.make("/tokens", {"name": "narrow", "scopes": ["application:read"], "expiresInDays": 1})["token"]
    narrow = Api(owner.server, token)
    assert canary.seen(narrow.call("GET", f"/applications/{app['id']}/plan", expect=200).text) == []


def test_values_are_in_no_event_task_or_log(owner, world):
    app, canary, reader = world

    async def listen():
        url = owner.server.url.replace("http", "ws") + "/ws/v1/events"
        ticket = reader.post("/ws-tickets", expect=201).json()["ticket"]
        async with websockets.connect(url, subprotocols=["dockflow.v1", "ticket." + ticket]) as ws:
            await ws.send(json.dumps({"type": "subscribe", "id": "all", "topics": ["*"], "lastSeq": 0}))
            await asyncio.to_thread(lambda: ended(owner, owner.post(f"/applications/{app['id']}/sync", {})))
            texts = []
            while not any('"deployment.finished"' in t and app["id"] in t for t in texts[-50:]) or len(texts) < 5:
                texts.append(await asyncio.wait_for(ws.recv(), 20))
            return texts

    texts = asyncio.run(listen())
    assert canary.seen("\n".join(texts)) == []
    with contextlib.closing(psycopg2.connect(owner.server.settings["DATABASE_URL"])) as c:
        cursor = c.cursor()
        for query in ("SELECT payload::text FROM events", "SELECT line FROM job_log", "SELECT coalesce(result, error, '{}')::text FROM jobs",
                      "SELECT row_to_json(l)::text FROM audit_logs l"):
            cursor.execute(query)
            assert [query for (row,) in cursor.fetchall() if canary.seen(row)] == []
    assert canary.seen(owner.server.log()) == []


def test_masks_do_not_come_back_as_values(owner, home, world):
    app, canary, _ = world
    role = owner.make("/roles", {"name": "edit-" + secrets.token_hex(4), "permissions": ["application:read", "application:update"]})
    editor = make_user(owner, (role["name"], home["project"]["id"]))
    seen = editor.get(f"/applications/{app['id']}")
    r = editor.patch(f"/applications/{app['id']}", {"environment": seen["environment"]}, seen["version"])
    assert (r.status_code, r.json()["error"]["field"]) == (422, "/environment/variables/GREETING")
    r = editor.patch(f"/applications/{app['id']}", {"description": "mine"}, seen["version"], expect=200)
    assert canary.seen(r.text) == []
    assert owner.get(f"/applications/{app['id']}")["environment"]["variables"] == {"GREETING": canary.variable}


def test_the_command_line_shows_what_the_api_gives(owner, world):
    app, canary, reader = world
    for api, shown in ((reader, []), (owner, [canary.literal, canary.new])):
        env = {**os.environ, "DOCKFLOW_SERVER": owner.server.url, "DOCKFLOW_TOKEN": api.token}
        done = subprocess.run([CLI, "diff", app["id"]], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        assert done.returncode == 2 and "environment.COLOR" in done.stdout, done.stdout
        assert canary.seen(done.stdout) == shown
