"""The server as a whole: start without a database, loss of the database, info, activity, metrics, idempotency (PG1, PG2)."""
import json
import os
import signal
import subprocess
import time

import httpx
import pytest

from conftest import PLATFORM, PROGRAM, Api, code, enter, first_admin, free_port, make_org, make_user, unique, with_database


def ready(server):
    r = httpx.get(server.url + "/health/ready")
    return r.status_code, r.json()


def test_start_without_a_database(new_server, new_database):
    """PG1: the process is up, says why it is not ready, and gets well by itself."""
    database = new_database()
    name = "later_" + database.name
    server = new_server(with_database(database.url, name), wait="live")
    server.tampered = True  # its database goes with this test
    time.sleep(1)
    status, body = ready(server)
    assert status == 503 and body["reason"] == "database"
    assert httpx.get(server.url + "/api/v1/info").status_code == 200
    r = httpx.get(server.url + "/api/v1/users", headers={"Authorization": "Bearer x"})
    assert (r.status_code, code(r)) == (503, "DATABASE_UNAVAILABLE") and int(r.headers["retry-after"]) > 0
    r = httpx.post(server.url + "/api/v1/auth/login", json={"username": "a", "password": "b"})
    assert (r.status_code, code(r)) == (503, "DATABASE_UNAVAILABLE")
    database.admin(f"CREATE DATABASE {name}")
    try:
        server.wait("/health/ready", seconds=40)
        assert first_admin(server).get("/users")["items"]
        server.stop()
    finally:
        database.admin(f"DROP DATABASE {name} WITH (FORCE)")


def test_connections_cut(new_server, new_database):
    """PG2"""
    database = new_database()
    server = new_server(database.url)
    api = first_admin(server)
    for _ in range(3):
        database.admin(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database.name}' AND pid <> pg_backend_pid()")
        deadline = time.monotonic() + 10
        while True:
            r = api.call("GET", "/users")
            if r.status_code == 200:
                break
            assert r.status_code == 503 and code(r) == "DATABASE_UNAVAILABLE", r.text
            assert time.monotonic() < deadline
            time.sleep(0.1)
        api.make("/organizations", {"name": unique("after")})
    assert api.get("/audit-logs/verify")["ok"]


def test_newer_schema_ends_the_start(new_server, new_database):
    database = new_database()
    new_server(database.url).stop()
    database.rows("INSERT INTO schema_migrations (number, name, sha256) VALUES (9999, 'future', repeat('0', 64))")
    with pytest.raises(RuntimeError, match="newer program"):
        new_server(database.url)


def test_migrate_command(new_database):
    database = new_database()
    env = {"PATH": os.environ["PATH"], "DATABASE_URL": database.url, "DOCKFLOW_DATA_DIR": "/tmp"}
    first = subprocess.run([PROGRAM, "migrate"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    assert first.returncode == 0, first.stderr
    assert int(first.stdout.split()[0]) >= 4
    again = subprocess.run([PROGRAM, "migrate"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    assert again.stdout.startswith("0 ")
    assert database.one("SELECT count(*) FROM users") == 0


def test_embedded_database(new_server):
    """No database given: the server brings its own, which survives a kill of the server."""
    server = new_server(None)
    api = first_admin(server)
    org = api.make("/organizations", {"name": unique("kept")})
    server.kill()
    server.start()
    api = enter(server, "admin@localhost", "the real phrase of admin 5")
    assert api.get(f"/organizations/{org['id']}")["name"] == org["name"]
    pid = int((server.folder / "data/postgres/data/postmaster.pid").read_text().splitlines()[0])
    assert server.stop() == 0
    for _ in range(50):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.1)
    else:
        pytest.fail("the embedded PostgreSQL outlived the server")


def test_two_servers_one_database(server, new_server, db, admin, user, org):
    """A change on one instance decides on the other within a second."""
    other = new_server(db.url, {"DOCKFLOW_DATA_DIR": server.settings["DOCKFLOW_DATA_DIR"]})
    u = user(("viewer", org["project"]["id"]))
    there = Api(other, u.token)
    assert there.get(f"/projects/{org['project']['id']}")
    binding = admin.all("/role-bindings", subject=u.user["id"])[0]
    admin.delete(f"/role-bindings/{binding['id']}", expect=204)
    deadline = time.monotonic() + 1
    while there.call("GET", f"/projects/{org['project']['id']}").status_code != 404:
        assert time.monotonic() < deadline
    u.post("/auth/logout", expect=204)
    deadline = time.monotonic() + 1
    while there.call("GET", "/auth/me").status_code != 401:
        assert time.monotonic() < deadline
    other.stop()


def test_info_and_documents(server, anonymous):
    info = anonymous.get("/info")
    assert info["name"] == "DockFlow" and info["apiVersion"] == "v1" and info["version"]
    doc = anonymous.get("/openapi.json")
    assert doc["openapi"].startswith("3.1") and "/api/v1/users" in doc["paths"]
    assert anonymous.get("/schemas/User")["properties"]["username"]
    jwks = anonymous.get("/.well-known/jwks.json")
    assert jwks["keys"][0]["alg"] == "EdDSA" and "d" not in jwks["keys"][0]


def test_activity(admin, user, org):
    admin.patch(f"/projects/{org['project']['id']}", {"displayName": "Shop"}, 1, expect=200)
    newest = admin.get("/activity", params={"object": org["project"]["id"]})["items"][0]
    assert newest["text"] == f"admin@localhost changed project {org['project']['name']}"
    assert newest["object"] == {"kind": "project", "id": org["project"]["id"], "name": org["project"]["name"]}
    assert newest["actor"]["name"] == "admin@localhost" and newest["topic"] == "activity.new"
    seqs = [e["seq"] for e in admin.get("/activity", params={"limit": 50})["items"]]
    assert seqs == sorted(seqs, reverse=True)


def test_metrics_and_fibers(admin, user):
    text = admin.get("/metrics").text
    assert "# TYPE" in text
    assert any(f["name"] == "rbac.watch" for f in admin.get("/debug/fibers")["items"])
    u = user(("viewer", PLATFORM))
    for path in ("/metrics", "/debug/fibers", "/health/detailed"):
        assert u.call("GET", path).status_code == 403
    assert admin.get("/health/detailed")["components"]["database"]["status"] == "up"


def test_public_metrics(new_server, new_database):
    server = new_server(new_database().url, {"DOCKFLOW_METRICS_PUBLIC": "true"})
    assert httpx.get(server.url + "/metrics").status_code == 200


def test_responses_match_their_schemas(admin, anonymous, org):
    """Every documented object has exactly the documented fields."""
    doc = anonymous.get("/openapi.json")
    schemas = doc["components"]["schemas"]
    admin.make("/tokens", {"name": unique("t"), "expiresInDays": 1})
    admin.make("/teams", {"name": unique("t"), "organizationId": org["org"]["id"]})
    admin.make("/folders", {"name": unique("f"), "projectId": org["project"]["id"]})
    for path, name in (("/users", "User"), ("/roles", "Role"), ("/role-bindings", "RoleBinding"), ("/organizations", "Organization"), ("/teams", "Team"),
                       ("/projects", "Project"), ("/folders", "Folder"), ("/audit-logs", "AuditEntry"), ("/activity", "Activity"),
                       ("/permissions", "Permission"), ("/tokens", "ApiToken"), ("/auth/sessions", "Session")):
        items = admin.get(path)["items"]
        assert items, path
        for item in items:
            assert set(item) <= set(schemas[name]["properties"]), (path, set(item) - set(schemas[name]["properties"]))
            assert set(schemas[name]["properties"]) - set(item) <= {"token"}, (path, set(schemas[name]["properties"]) - set(item))
