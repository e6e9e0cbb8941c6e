"""Docker nodes: the default one, more of them, their states."""
import socket
import threading

import pytest

from conftest import PLATFORM, free_port, make_org, make_user, unique
from live import until


def test_the_default_node_is_there(owner, node, docker):
    assert node["name"] == "default" and node["isDefault"] and node["url"] == docker.host
    online = until(lambda: (n := owner.get(f"/nodes/{node['id']}"))["state"] == "online" and n)
    assert online["engine"]["version"] == docker("version", "--format", "{{.Server.Version}}")
    assert online["engine"]["cpus"] > 0 and online["engine"]["memory"] > 0 and online["lastSeenAt"]
    assert owner.get("/nodes/default")["id"] == node["id"]
    assert owner.post(f"/nodes/{node['id']}/test", expect=200).json()["ok"] is True
    r = owner.delete(f"/nodes/{node['id']}", node["version"])
    assert r.status_code == 409
    assert owner.patch(f"/nodes/{node['id']}", {"url": "unix:///other.sock"}, node["version"]).status_code == 409


def test_add_change_remove(owner, docker):
    name = unique("n")
    n = owner.make("/nodes", {"name": name, "url": docker.host, "labels": {"zone": "a"}, "tags": ["fast"]})
    assert n["labels"] == {"zone": "a", "fast": ""} and not n["isDefault"]
    until(lambda: owner.get(f"/nodes/{n['id']}")["state"] == "online")
    assert owner.post("/nodes", {"name": name, "url": docker.host}).status_code == 409
    path = f"/nodes/{n['id']}"
    assert owner.patch(path, {"maintenance": True}).status_code == 428
    m = owner.patch(path, {"maintenance": True, "labels": {}}, n["version"], expect=200).json()
    assert m["state"] == "maintenance" and m["labels"] == {} and m["version"] == n["version"] + 1
    assert owner.patch(path, {"maintenance": False}, n["version"]).status_code == 412
    owner.delete(path, m["version"], expect=204)
    assert owner.call("GET", path).status_code == 404


def test_one_that_does_not_answer(owner):
    n = owner.make("/nodes", {"name": unique("n"), "url": "unix:///nowhere/docker.sock"})
    down = until(lambda: (x := owner.get(f"/nodes/{n['id']}"))["state"] == "unreachable" and x)
    assert down["stateReason"] and down["engine"] is None
    tested = owner.post(f"/nodes/{n['id']}/test", expect=200).json()
    assert tested["ok"] is False and tested["error"]["code"] == "DOCKER_UNAVAILABLE"
    assert [x["id"] for x in owner.all("/nodes", state="unreachable")] == [n["id"]]
    owner.delete(f"/nodes/{n['id']}", n["version"], expect=204)


def test_bad_bodies(owner):
    for change, field in (({"url": "http://h:1"}, "/url"), ({"url": "tcp://198.51.100.7:2375"}, "/url"), ({"url": "nonsense"}, "/url"), ({"name": "Up"}, "/name"),
                          ({"url": "tcp://198.51.100.7:2376", "tls": {"ca": "x", "cert": "y"}}, "/tls"), ({"labels": {"a b": "c"}}, "/labels/a b"),
                          ({"scopeId": "01900000-0000-7000-8000-000000000000"}, None)):
        r = owner.post("/nodes", {"name": unique("n"), "url": "unix:///x.sock", **change})
        assert r.status_code in (404, 422) and r.json()["error"].get("field") == field, (change, r.text)


def test_the_key_stays_in(owner):
    import subprocess, tempfile, pathlib
    with tempfile.TemporaryDirectory() as d:
        d = pathlib.Path(d)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=x",
                        "-keyout", str(d / "k"), "-out", str(d / "c")], check=True, stderr=subprocess.DEVNULL)
        cert, key = (d / "c").read_text(), (d / "k").read_text()
    n = owner.make("/nodes", {"name": unique("n"), "url": f"tcp://127.0.0.1:{free_port()}", "tls": {"ca": cert, "cert": cert, "key": key}})
    secret = key.splitlines()[1]
    for path in ("/nodes", f"/nodes/{n['id']}", "/audit-logs"):
        assert secret not in owner.call("GET", path).text
    assert n["tls"] is True
    owner.delete(f"/nodes/{n['id']}", n["version"], expect=204)


def test_rights(owner, node):
    stranger = make_user(owner, ("admin", make_org(owner)["org"]["id"]))
    reader = make_user(owner, ("viewer", PLATFORM))
    assert stranger.all("/nodes") == [] and stranger.call("GET", f"/nodes/{node['id']}").status_code == 404
    assert reader.get(f"/nodes/{node['id']}")["name"] == "default"
    assert reader.post("/nodes", {"name": unique("n"), "url": "unix:///x.sock"}).status_code == 403
    assert reader.delete(f"/nodes/{node['id']}", node["version"]).status_code == 403


def test_a_node_of_an_organization(owner, docker):
    mine, other = make_org(owner), make_org(owner)
    n = owner.make("/nodes", {"name": unique("n"), "url": docker.host, "scopeId": mine["org"]["id"]})
    insider, outsider = make_user(owner, ("viewer", mine["org"]["id"])), make_user(owner, ("viewer", other["org"]["id"]))
    assert [x["id"] for x in insider.all("/nodes")] == [n["id"]] and outsider.all("/nodes") == []
    assert insider.all("/nodes") and until(lambda: insider.get(f"/nodes/{n['id']}")["state"] == "online")
    owner.delete(f"/nodes/{n['id']}", n["version"], expect=204)


def test_an_organization_cannot_take_the_servers_own_engine(owner, live_server, docker):
    mine = make_org(owner)
    boss = make_user(owner, ("owner", mine["org"]["id"]))
    body = {"name": unique("n"), "url": docker.host, "scopeId": mine["org"]["id"]}
    r = boss.post("/nodes", body)
    assert r.status_code == 403 and r.json()["error"]["field"] == "/url"
    n = boss.make("/nodes", {**body, "url": "tcp://127.0.0.1:1"})
    assert boss.patch(f"/nodes/{n['id']}", {"url": docker.host}, n["version"]).status_code == 403
    boss.delete(f"/nodes/{n['id']}", version=n["version"], expect=204)
