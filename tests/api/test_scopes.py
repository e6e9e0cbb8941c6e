"""Organizations, teams, projects, folders; walls between organizations (RB2, RB4, RB7, RB10, RB13)."""
import socket

import pytest

from conftest import PLATFORM, code, make_org, unique

NOBODY = "01900000-0000-7000-8000-000000000000"


def test_life_of_a_tree(admin):
    name = unique("acme")
    org = admin.make("/organizations", {"name": name, "displayName": "Acme", "description": "d"})
    assert org["scopeId"] == org["id"] and org["version"] == 1
    assert admin.get(f"/organizations/{name}")["id"] == org["id"]
    team = admin.make("/teams", {"name": "core", "organizationId": org["id"]})
    project = admin.make("/projects", {"name": "web", "organizationId": org["id"]})
    in_team = admin.make("/projects", {"name": "api", "organizationId": org["id"], "teamId": team["id"]})
    assert in_team["teamId"] == team["id"] and project["teamId"] is None
    folder = admin.make("/folders", {"name": "a", "projectId": project["id"]})
    inner = admin.make("/folders", {"name": "b", "projectId": project["id"], "parentId": folder["id"]})
    assert folder["parentId"] is None and inner["parentId"] == folder["id"] and inner["projectId"] == project["id"]
    assert {p["name"] for p in admin.all("/projects", organization=org["id"])} == {"web", "api"}
    assert [f["name"] for f in admin.all("/folders", project=project["id"], sort="name")] == ["a", "b"]
    changed = admin.patch(f"/projects/{project['id']}", {"displayName": "Web", "name": "website"}, 1, expect=200).json()
    assert (changed["name"], changed["displayName"], changed["version"]) == ("website", "Web", 2)
    for path, version in ((f"/organizations/{org['id']}", 1), (f"/projects/{project['id']}", 2), (f"/folders/{folder['id']}", 1), (f"/teams/{team['id']}", 1)):
        assert code(admin.delete(path, version, expect=409)) == "CONFLICT", path
    admin.delete(f"/folders/{inner['id']}", 1, expect=204)
    admin.delete(f"/folders/{folder['id']}", 1, expect=204)
    admin.delete(f"/projects/{project['id']}", 2, expect=204)
    admin.delete(f"/projects/{in_team['id']}", 1, expect=204)
    admin.delete(f"/teams/{team['id']}", 1, expect=204)
    admin.delete(f"/organizations/{org['id']}", 1, expect=204)
    assert admin.get(f"/organizations/{org['id']}", expect=404)


def test_names(admin, org):
    for path, extra in (("/organizations", {}), ("/projects", {"organizationId": org["org"]["id"]}), ("/teams", {"organizationId": org["org"]["id"]}),
                        ("/folders", {"projectId": org["project"]["id"]})):
        for bad in ("Root", "root ", "a/b", "*", "+", "", "x" * 64, "-x", "x-", "ä", "a\u0000"):
            assert admin.post(path, {"name": bad, **extra}).status_code in (400, 422), (path, bad)
        good = unique("n")
        admin.make(path, {"name": good, **extra})
        r = admin.post(path, {"name": good, **extra}, expect=409)
        assert code(r) == "CONFLICT" and r.json()["error"]["field"] == "/name"
    # The same project name in another organization is another project.
    twice = unique("p")
    for o in (org["org"]["id"], make_org(admin)["org"]["id"]):
        admin.make("/projects", {"name": twice, "organizationId": o})


def test_things_belong_where_they_say(admin, org):
    other = make_org(admin)
    team = admin.make("/teams", {"name": unique("t"), "organizationId": other["org"]["id"]})
    folder = admin.make("/folders", {"name": unique("f"), "projectId": other["project"]["id"]})
    assert admin.post("/projects", {"name": "x", "organizationId": org["org"]["id"], "teamId": team["id"]}).status_code == 404
    assert admin.post("/folders", {"name": "x", "projectId": org["project"]["id"], "parentId": folder["id"]}).status_code == 404
    for body in ({"organizationId": NOBODY}, {"organizationId": org["project"]["id"]}):
        assert admin.post("/projects", {"name": "x", **body}).status_code in (404, 409, 422)
    assert admin.post("/folders", {"name": "x", "projectId": org["org"]["id"]}).status_code == 404
    assert admin.post("/folders", {"name": "x", "projectId": PLATFORM}).status_code == 404


# ---- RB2, RB4: the other organization ------------------------------------------------------------------------

def everything_of(admin, org):
    team = admin.make("/teams", {"name": unique("t"), "organizationId": org["org"]["id"]})
    folder = admin.make("/folders", {"name": unique("f"), "projectId": org["project"]["id"]})
    return {"organizations": org["org"]["id"], "teams": team["id"], "projects": org["project"]["id"], "folders": folder["id"]}


def same_as_missing(api, method, path, missing_path, **kw):
    a, b = (api.call(method, p, **kw) for p in (path, missing_path))
    strip = lambda r: {**r.json()["error"], "timestamp": 0, "requestId": 0}
    assert a.status_code == b.status_code == 404, (method, path, a.status_code, b.status_code)
    assert strip(a) == strip(b), (method, path)


@pytest.mark.parametrize("role", ["owner", "admin", "viewer"])
def test_foreign_ids_do_not_exist(admin, db, user, role):
    mine, theirs = make_org(admin), make_org(admin)
    u = user((role, mine["org"]["id"]))
    before = db.rows("SELECT (SELECT count(*) FROM scopes), (SELECT sum(version) FROM projects), (SELECT sum(version) FROM teams)")
    found = everything_of(admin, theirs)
    before = db.rows("SELECT (SELECT count(*) FROM scopes), (SELECT sum(version) FROM projects), (SELECT sum(version) FROM teams)")
    for kind, id in found.items():
        same_as_missing(u, "GET", f"/{kind}/{id}", f"/{kind}/{NOBODY}")
        same_as_missing(u, "PATCH", f"/{kind}/{id}", f"/{kind}/{NOBODY}", json={"displayName": "mine"}, headers={"If-Match": '"1"'})
        same_as_missing(u, "DELETE", f"/{kind}/{id}", f"/{kind}/{NOBODY}", headers={"If-Match": '"1"'})
        assert all(i["id"] != id for i in u.all(f"/{kind}"))
    for path, field in (("/teams", "organizationId"), ("/projects", "organizationId"), ("/folders", "projectId")):
        target = found["organizations"] if field == "organizationId" else found["projects"]
        a, b = (u.post(path, {"name": "x", field: t}) for t in (target, NOBODY))
        assert a.status_code == b.status_code == 404 and a.json()["error"]["message"] == b.json()["error"]["message"]
    if role == "owner":
        assert u.post("/projects", {"name": "x", "organizationId": mine["org"]["id"], "teamId": found["teams"]}).status_code == 404
    same_as_missing(u, "POST", f"/teams/{found['teams']}/members", f"/teams/{NOBODY}/members", json={"userId": u.user["id"]})
    assert db.rows("SELECT (SELECT count(*) FROM scopes), (SELECT sum(version) FROM projects), (SELECT sum(version) FROM teams)") == before


def test_readers_are_told_why_not(admin, user, org):
    """403 for what may be seen but not done, and it names the rule."""
    u = user(("viewer", org["project"]["id"]))
    r = u.patch(f"/projects/{org['project']['id']}", {"displayName": "x"}, 1, expect=403)
    assert code(r) == "INSUFFICIENT_PERMISSIONS" and "project:update" in r.json()["error"]["message"]
    assert org["project"]["name"] in r.json()["error"]["message"]
    assert u.get("/projects")["items"][0]["id"] == org["project"]["id"]
    assert u.call("GET", f"/organizations/{org['org']['id']}").status_code == 404, "rights go down, not up"


def test_lists_stay_inside(admin, user):
    a, b = make_org(admin), make_org(admin)
    u = user(("viewer", a["org"]["id"]))
    assert {o["id"] for o in u.all("/organizations")} == {a["org"]["id"]}
    assert {p["id"] for p in u.all("/projects")} == {a["project"]["id"]}
    assert u.all("/projects", organization=b["org"]["id"]) == [] and u.all("/projects", q=b["project"]["name"]) == []
    texts = str(u.all("/activity"))
    assert b["project"]["name"] not in texts and a["project"]["name"] in texts


def test_project_deleted_and_made_again_is_another(admin, user, org):
    """Rights do not return with a name."""
    name, scope = org["project"]["name"], org["project"]["id"]
    u = user(("developer", scope))
    assert u.get(f"/projects/{scope}")
    admin.delete(f"/projects/{scope}", 1, expect=204)
    assert u.call("GET", f"/projects/{scope}").status_code == 404
    again = admin.make("/projects", {"name": name, "organizationId": org["org"]["id"]})
    assert u.call("GET", f"/projects/{again['id']}").status_code == 404


# ---- members ---------------------------------------------------------------------------------------------------

def test_leaving_an_organization(admin, user, org):
    u = user(("developer", org["project"]["id"]))
    team = admin.make("/teams", {"name": "t", "organizationId": org["org"]["id"]})
    admin.post(f"/teams/{team['id']}/members", {"userId": u.user["id"]}, expect=200)
    members = admin.all(f"/organizations/{org['org']['id']}/members")
    assert [m["id"] for m in members] == [u.user["id"]]
    admin.delete(f"/organizations/{org['org']['id']}/members/{u.user['id']}", expect=204)
    assert admin.get(f"/teams/{team['id']}")["members"] == []
    assert u.call("GET", f"/projects/{org['project']['id']}").status_code == 404
    assert admin.all("/role-bindings", subject=u.user["id"]) == []
    assert admin.delete(f"/organizations/{org['org']['id']}/members/{u.user['id']}").status_code == 404
    admin.post(f"/organizations/{org['org']['id']}/members", {"userId": u.user["id"]}, expect=204)
    assert admin.post(f"/organizations/{org['org']['id']}/members", {"userId": NOBODY}).status_code == 404


# ---- RB13: one spelling of a path ----------------------------------------------------------------------------------

@pytest.mark.parametrize("path", ["/api/v1/%2e%2e/users", "/api/v1//users", "/api/v1/users;x=1", "/api/v1/users%00", "/api/v1/users%2f", "/api/v1/users/",
                                  "/api/v1/./users", "/api/v1/x/../users", "/api/v1/%75sers", "/api\\v1\\users", "/api/v1/users/%2e%2e/roles"])
def test_other_spellings_of_a_path(server, admin, path):
    with socket.create_connection(("127.0.0.1", server.port), 10) as s:
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nAuthorization: Bearer {admin.token}\r\nConnection: close\r\n\r\n".encode())
        status = int(s.recv(4096).split()[1])
    assert status in (400, 404), (path, status)


def test_case_matters(admin):
    for path in ("/api/v1/Users", "/api/V1/users", "/api/v1/USERS"):
        assert admin.http.get(path).status_code == 404
    r = admin.http.get("/API/v1/users")
    assert r.status_code == 404 or r.headers["content-type"].startswith("text/html")
