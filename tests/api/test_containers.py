"""Containers: who sees which, what is masked, start and stop."""
import json

import pytest

from conftest import PLATFORM, make_org, make_user, unique
from live import SERVICE, application, ended, until


@pytest.fixture
def foreign(docker):
    """A container no application of ours made; it claims to belong to one."""
    name = unique("foreign")
    docker("run", "-d", "--name", name, "--label", "team=blue", "--label", "io.dockflow.application=01900000-0000-7000-8000-000000000000", "-e",
           "PASSWORD=canary-4711", "busybox:local", "sh", "-c", "echo out; echo err >&2; trap 'exit 0' TERM; while :; do sleep 0.2; done")
    yield name
    docker("rm", "-f", name)


def listed(api, name, **params):
    return next((c for c in api.all("/containers", name=name, **params) if c["name"] == name), None)


@pytest.fixture
def deployed(owner, make_app):
    app, _ = make_app()
    ended(owner, owner.post(f"/applications/{app['id']}/sync", {}))
    name = f"{app['projectName']}-web-1"
    until(lambda: listed(owner, name))
    return app, name


def test_list_and_filters(owner, docker, deployed, foreign, node):
    app, name = deployed
    c = until(lambda: (x := listed(owner, name)) and x["state"] == "running" and x)
    assert c["application"] == {"id": app["id"], "name": app["name"]} and c["node"]["id"] == node["id"]
    assert (c["composeProject"], c["composeService"]) == (app["projectName"], "web") and c["status"].startswith("Up")
    assert c["names"] == [name] or c["names"] == ["/" + name]
    f = until(lambda: listed(owner, foreign))
    assert f["application"] is None and f["labels"]["team"] == "blue"
    for params, hit in (({"label": "team=blue"}, True), ({"label": "team=red"}, False), ({"state": "running"}, True), ({"state": "exited"}, False),
                        ({"image": "busybox"}, True), ({"q": foreign[:12]}, True), ({"project": app["projectName"]}, False), ({"node": node["name"]}, True),
                        ({"node": "nowhere"}, False)):
        assert (foreign in [x["name"] for x in owner.all("/containers", **params)]) is hit, params
    assert [x["name"] for x in owner.all("/containers", application=app["id"])] == [name]
    assert [x["name"] for x in owner.all(f"/nodes/{node['id']}/containers", name=foreign)] == [foreign]
    page = owner.get("/containers", params={"limit": 1, "fields": "id,name"})
    assert len(page["items"]) == 1 and set(page["items"][0]) == {"id", "name"} and page["next"]
    assert len({x["id"] for x in owner.all("/containers", limit=1)}) == len(owner.all("/containers"))
    assert owner.call("GET", "/containers", params={"colour": "red"}).status_code == 400
    assert owner.call("GET", "/containers", params={"cursor": "%%%"}).status_code == 400


def test_visibility(owner, docker, deployed, foreign):
    app, name = deployed
    until(lambda: listed(owner, foreign))
    foreign_id, own_id = docker.inspect(foreign)["Id"], docker.inspect(name)["Id"]
    stranger = make_user(owner, ("admin", make_org(owner)["org"]["id"]))
    member = make_user(owner, ("operator", app["projectId"]))
    of_app = make_user(owner, ("viewer", app["id"]))
    assert stranger.all("/containers") == []
    for api in (member, of_app):
        assert [c["name"] for c in api.all("/containers")] == [name]
    # The same rule by id, name and prefix, and for every action and stream.
    for ref in (foreign_id, foreign, foreign_id[:12]):
        for api in (stranger, member):
            for method, path in (("GET", ""), ("GET", "/logs"), ("POST", "/start"), ("POST", "/stop"), ("POST", "/restart")):
                r = api.call(method, f"/containers/{ref}{path}")
                assert r.status_code == 404, (method, path, r.text)
    assert stranger.call("GET", f"/containers/{own_id}").status_code == 404
    assert of_app.get(f"/containers/{own_id}")["Id"] == own_id
    assert of_app.call("GET", f"/containers/{own_id}/logs").status_code == 403  # container:logs begins with operator
    assert "hello" in member.call("GET", f"/containers/{own_id}/logs", expect=200).text
    assert of_app.call("POST", f"/containers/{own_id}/stop").status_code == 403


def test_environment_is_masked(owner, docker, foreign):
    until(lambda: listed(owner, foreign))
    reader = make_user(owner, ("operator", PLATFORM))
    seen = owner.get(f"/containers/{foreign}")
    assert "PASSWORD=canary-4711" in seen["Config"]["Env"] and seen["EnvMasked"] is False
    r = reader.call("GET", f"/containers/{foreign}", expect=200)
    assert "canary-4711" not in r.text and "PASSWORD=***" in r.json()["Config"]["Env"]


def test_start_stop_restart(owner, docker, foreign):
    until(lambda: listed(owner, foreign))
    key = docker.inspect(foreign)["Id"]
    owner.post(f"/containers/{key}/stop?t=1", expect=204)
    assert docker.inspect(foreign)["State"]["Status"] == "exited"
    owner.post(f"/containers/{key}/stop?t=1", expect=204)
    until(lambda: listed(owner, foreign)["state"] == "exited")
    owner.post(f"/containers/{key}/start", expect=204)
    begun = docker.inspect(foreign)["State"]["StartedAt"]
    owner.post(f"/containers/{key}/restart?t=0", expect=204)
    assert docker.inspect(foreign)["State"]["StartedAt"] > begun
    assert owner.post(f"/containers/{key}/restart?t=x").status_code == 400
    actions = [e["action"] for e in owner.get("/audit-logs", params={"resource": key})["items"]]
    assert sorted(actions)[:1] == ["container.restart"] and actions.count("container.stop") == 2, actions


def test_log_text(owner, docker, foreign):
    until(lambda: listed(owner, foreign))
    until(lambda: "err" in owner.call("GET", f"/containers/{foreign}/logs").text)
    both = owner.call("GET", f"/containers/{foreign}/logs", expect=200)
    assert both.headers["content-type"].startswith("text/plain") and sorted(both.text.split()) == ["err", "out"]
    assert owner.call("GET", f"/containers/{foreign}/logs?stderr=false").text == "out\n"
    assert owner.call("GET", f"/containers/{foreign}/logs?tail=1").text in ("err\n", "out\n")
    assert owner.call("GET", f"/containers/{foreign}/logs?timestamps=true").text.startswith("20")
    assert owner.call("GET", f"/containers/{foreign}/logs?since=2099-01-01T00:00:00Z").text == ""
    assert owner.call("GET", f"/containers/{foreign}/logs?since=yesterday").status_code == 400
