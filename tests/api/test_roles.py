"""Roles and bindings: custom roles, inheritance, what may be given by whom, deny (RB1, RB2, RB7, RB8)."""
import random

import pytest

from conftest import PLATFORM, code, enter, make_org, make_user, unique


def role_of(admin, *permissions, inherits=(), **kw):
    return admin.make("/roles", {"name": unique("role"), "permissions": list(permissions), "inherits": list(inherits), **kw})


def test_built_in_roles(admin):
    roles = {r["name"]: r for r in admin.all("/roles")}
    assert {"viewer", "operator", "developer", "admin", "owner", "auditor"} <= set(roles)
    assert all(roles[n]["builtIn"] for n in ("viewer", "owner"))
    assert set(roles["viewer"]["permissions"]) < set(roles["operator"]["permissions"]) < set(roles["admin"]["permissions"])
    known = {p["name"] for p in admin.get("/permissions")["items"]}
    assert set(roles["owner"]["permissions"]) == known
    r = admin.put("/roles/viewer", {"name": "viewer", "permissions": []}, roles["viewer"]["version"])
    assert code(r) == "CONFLICT"
    assert admin.delete("/roles/owner", roles["owner"]["version"]).status_code == 409


def test_life_of_a_role(admin, user, org):
    scope = org["project"]["id"]
    base = role_of(admin, "project:read", "application:read", description="base")
    assert base["type"] == "custom" and base["version"] == 1
    above = role_of(admin, "application:sync", inherits=[base["name"]])
    assert above["type"] == "composite" and above["inherits"] == [base["name"]]
    u = user((above["name"], scope))
    can = lambda p: u.get("/auth/can-i", params={"permission": p, "scope": scope})["allowed"]
    assert can("application:read") and can("application:sync") and not can("application:delete")
    changed = admin.put(f"/roles/{base['id']}", {"name": base["name"], "permissions": ["project:read"]}, 1, expect=200).json()
    assert changed["version"] == 2 and changed["permissions"] == ["project:read"]
    assert not can("application:read") and can("application:sync"), "the next request sees the change"
    assert admin.put(f"/roles/{base['id']}", {"name": base["name"]}, 1).status_code == 412
    assert admin.put(f"/roles/{base['id']}", {"name": base["name"]}).status_code == 428
    assert admin.get(f"/roles/{base['name']}")["id"] == base["id"]
    assert code(admin.delete(f"/roles/{base['id']}", 2, expect=409)) == "CONFLICT", "inherited"
    assert code(admin.delete(f"/roles/{above['id']}", 1, expect=409)) == "CONFLICT", "given to somebody"
    for b in admin.all("/role-bindings", subject=u.user["id"]):
        admin.delete(f"/role-bindings/{b['id']}", expect=204)
    admin.delete(f"/roles/{above['id']}", 1, expect=204)
    admin.delete(f"/roles/{base['id']}", 2, expect=204)
    assert not can("application:sync")


def test_role_cycles(admin):
    """RB7"""
    a = role_of(admin, "project:read")
    b = role_of(admin, inherits=[a["name"]])
    c = role_of(admin, inherits=[b["name"]])
    for inherits in ([c["name"]], [b["name"]], [a["name"]], [b["id"]], ["viewer", c["name"]]):
        r = admin.put(f"/roles/{a['id']}", {"name": a["name"], "inherits": inherits}, 1)
        assert r.status_code == 409 and code(r) == "CONFLICT" and "itself" in r.text, (inherits, r.text)
    for inherits in ([c["name"].upper()], [c["name"] + " "], ["*"]):
        assert admin.put(f"/roles/{a['id']}", {"name": a["name"], "inherits": inherits}, 1).status_code == 422
    assert admin.get(f"/roles/{a['id']}")["version"] == 1


NAMES = ["Root", "ROOT", "root ", " root", "*", "+", "/", "a/b", "a.b", "", "x" * 64, "-a", "a-", "rôle", "owner\n", "a b", "..", "%2e", "a%2fb", "{a}", "a:b",
         "root\u00a0", "\uff52oot", "\u0430dmin", "ro\u200bot"]


def test_names_that_rules_are_made_of(admin, org):
    """RB7: [a-z0-9-], at most 63, for all that roles, policies and paths call by name."""
    in_org, in_project = {"organizationId": org["org"]["id"]}, {"projectId": org["project"]["id"]}
    kinds = {"/roles": {"permissions": []}, "/organizations": {"displayName": "x"}, "/teams": in_org, "/projects": in_org, "/folders": in_project,
             "/repositories": {"url": "https://git.example.test/a.git", **in_project}, "/nodes": {"url": "tcp://127.0.0.1:1"}}
    for path, body in kinds.items():
        for name in NAMES:
            r = admin.post(path, {**body, "name": name})
            assert r.status_code == 422 and r.json()["error"]["field"] == "/name", (path, name, r.text)
        assert admin.post(path, {**body, "name": "a\u0000b"}).status_code == 400
    assert not [r for r in admin.all("/roles") if r["name"] in NAMES]


def test_names_of_people_are_folded_once(admin):
    """RB7: another spelling is the same account, at its making and at its door."""
    name, password = unique("Root").title(), "a phrase of some length 7"
    made = admin.make("/users", {"username": name, "email": f"{name}@example.test", "password": password, "mustChangePassword": False})
    assert made["username"] == name.lower()
    for other in (name, name.upper(), name.lower()):
        r = admin.post("/users", {"username": other, "email": f"{unique()}@example.test", "password": password})
        assert r.status_code == 409 and r.json()["error"]["field"] == "/username", r.text
    for other in (name + " ", " " + name, name + "\u00a0", "*", "+", "a/b", "\uff32oot", "-a"):
        r = admin.post("/users", {"username": other, "email": f"{unique()}@example.test", "password": password})
        assert r.status_code == 422 and r.json()["error"]["field"] == "/username", (other, r.text)
    assert enter(admin.server, name.upper(), password).user["id"] == made["id"]


def test_role_bodies(admin):
    assert code(admin.post("/roles", {"name": "owner", "permissions": []}, expect=409)) == "CONFLICT"
    assert code(admin.post("/roles", {"name": unique(), "permissions": ["*"]}, expect=422)) == "INVALID_INPUT"
    assert code(admin.post("/roles", {"name": unique(), "permissions": ["user:fly"]}, expect=422)) == "INVALID_INPUT"
    assert code(admin.post("/roles", {"name": unique(), "inherits": ["nobody"]}, expect=422)) == "INVALID_INPUT"
    for extra in ({"builtIn": True}, {"org_id": PLATFORM}, {"type": "fine-grained"}):
        assert code(admin.post("/roles", {"name": unique(), **extra}, expect=400)) == "UNKNOWN_FIELD"


# ---- nobody gives what he does not have -----------------------------------------------------------------

def test_an_admin_cannot_make_or_give_more_than_he_has(admin, user, org):
    lesser = user(("admin", PLATFORM))
    target = user()
    for body in ({"permissions": ["organization:delete"]}, {"inherits": ["owner"]}):
        r = lesser.post("/roles", {"name": unique(), **body})
        assert (r.status_code, code(r)) == (403, "INSUFFICIENT_PERMISSIONS"), r.text
    for subject in (target.user["id"], lesser.user["id"]):
        r = lesser.post("/role-bindings", {"subjectKind": "user", "subjectId": subject, "role": "owner", "scopeId": PLATFORM})
        assert (r.status_code, code(r)) == (403, "INSUFFICIENT_PERMISSIONS")
        assert r.json()["error"]["details"]["permission"].startswith("organization:")
    lesser.make("/role-bindings", {"subjectKind": "user", "subjectId": target.user["id"], "role": "admin", "scopeId": PLATFORM})
    # Taking is giving, seen from the other side.
    owner = user(("owner", PLATFORM))
    binding = admin.all("/role-bindings", subject=owner.user["id"])[0]
    assert lesser.delete(f"/role-bindings/{binding['id']}").status_code == 403
    # A role with more in it cannot be emptied by him either.
    strong = role_of(admin, "organization:update", "project:read")
    assert lesser.put(f"/roles/{strong['id']}", {"name": strong["name"], "permissions": ["project:read"]}, 1).status_code == 403
    # And no deny against those above him.
    r = lesser.post("/role-bindings", {"subjectKind": "user", "subjectId": owner.user["id"], "role": "viewer", "scopeId": PLATFORM, "effect": "deny"})
    assert r.status_code == 403


def test_rights_end_at_the_scope(admin, user, org):
    other = make_org(admin)
    boss = user(("admin", org["org"]["id"]))
    mine = user(("viewer", org["project"]["id"]))
    body = {"subjectKind": "user", "subjectId": mine.user["id"], "role": "operator"}
    boss.make("/role-bindings", {**body, "scopeId": org["project"]["id"]})
    for scope in (other["org"]["id"], other["project"]["id"], "01900000-0000-7000-8000-000000000000"):
        assert boss.post("/role-bindings", {**body, "scopeId": scope}).status_code == 404, scope
    assert boss.post("/role-bindings", {**body, "scopeId": PLATFORM}).status_code == 403
    assert boss.post("/role-bindings", body).status_code == 403, "no scope is the whole platform"
    # Somebody he cannot see does not exist.
    stranger = user(("viewer", other["project"]["id"]))
    r = boss.post("/role-bindings", {**body, "subjectId": stranger.user["id"], "scopeId": org["project"]["id"]})
    assert r.status_code == 404 and r.json()["error"]["field"] == "/subjectId"
    # Roles are the platform's.
    assert boss.post("/roles", {"name": unique()}).status_code == 403
    assert boss.get("/roles/viewer")["name"] == "viewer"
    # Lists: his own organization's bindings, nothing else.
    scopes = {b["scopeId"] for b in boss.all("/role-bindings")}
    assert scopes <= {org["org"]["id"], org["project"]["id"]} and scopes
    foreign = admin.all("/role-bindings", subject=stranger.user["id"])[0]["id"]
    assert boss.call("GET", f"/role-bindings/{foreign}").status_code == 404
    assert boss.delete(f"/role-bindings/{foreign}").status_code == 404


def test_a_member_of_a_team_has_its_roles(admin, user, org):
    team = admin.make("/teams", {"name": "crew", "organizationId": org["org"]["id"]})
    u = user()
    admin.make("/role-bindings", {"subjectKind": "team", "subjectId": team["id"], "role": "operator", "scopeId": org["project"]["id"]})
    read = lambda: u.call("GET", f"/projects/{org['project']['id']}").status_code
    assert read() == 404
    admin.post(f"/teams/{team['id']}/members", {"userId": u.user["id"]}, expect=200)
    assert read() == 200
    assert "team" in u.get("/auth/can-i", params={"permission": "container:logs", "scope": org["project"]["id"]})["reason"]
    admin.delete(f"/teams/{team['id']}/members/{u.user['id']}", expect=204)
    assert read() == 404


def test_team_membership_is_guarded_like_roles(admin, user, org):
    """Who may manage teams, but not what this team gives, cannot let himself in."""
    team = admin.make("/teams", {"name": "power", "organizationId": org["org"]["id"]})
    admin.make("/role-bindings", {"subjectKind": "team", "subjectId": team["id"], "role": "owner", "scopeId": org["org"]["id"]})
    boss = user(("admin", org["org"]["id"]))
    r = boss.post(f"/teams/{team['id']}/members", {"userId": boss.user["id"]})
    assert (r.status_code, code(r)) == (403, "INSUFFICIENT_PERMISSIONS")
    assert boss.delete(f"/teams/{team['id']}", 1).status_code == 403


def test_a_team_gets_nothing_outside_its_organization(admin, org):
    other = make_org(admin)
    team = admin.make("/teams", {"name": "crew", "organizationId": org["org"]["id"]})
    r = admin.post("/role-bindings", {"subjectKind": "team", "subjectId": team["id"], "role": "viewer", "scopeId": other["project"]["id"]})
    assert r.status_code == 404


# ---- deny and expiry ------------------------------------------------------------------------------------------

def test_deny_wins_over_a_nearer_allow(admin, user, org):
    """RB8"""
    u = user(("developer", org["org"]["id"]), ("developer", org["project"]["id"]))
    scope = org["project"]["id"]
    deny = admin.make("/role-bindings", {"subjectKind": "user", "subjectId": u.user["id"], "role": "viewer", "scopeId": org["org"]["id"], "effect": "deny"})
    for method, path in (("GET", f"/projects/{scope}"), ("HEAD", f"/projects/{scope}"), ("PATCH", f"/projects/{scope}")):
        assert u.call(method, path, json={"displayName": "x"} if method == "PATCH" else None, headers={"If-Match": '"1"'}).status_code in (403, 404)
    assert u.call("GET", "/projects").status_code == 403 or u.all("/projects") == []
    told = u.get("/auth/can-i", params={"permission": "application:read", "scope": scope})
    assert not told["allowed"]
    assert u.get("/auth/can-i", params={"permission": "application:sync", "scope": scope})["allowed"], "only what the denied role has"
    admin.delete(f"/role-bindings/{deny['id']}", expect=204)
    assert u.get(f"/projects/{scope}")["id"] == scope


def test_an_expired_binding_gives_nothing(admin, db, user, org):
    u = user()
    b = admin.make("/role-bindings", {"subjectKind": "user", "subjectId": u.user["id"], "role": "viewer", "scopeId": org["project"]["id"],
                                      "expiresAt": "2099-01-01T00:00:00Z"})
    assert u.call("GET", f"/projects/{org['project']['id']}").status_code == 200
    db.rows("UPDATE role_bindings SET expires_at = now() - interval '1 s' WHERE id = %s", b["id"])
    import time
    deadline = time.monotonic() + 2
    while u.call("GET", f"/projects/{org['project']['id']}").status_code != 404:
        assert time.monotonic() < deadline


# ---- the engine against a model --------------------------------------------------------------------------------

class Model:
    """The rules in a few lines: allowed when some binding at the scope or above grants it and no deny there names it."""

    def __init__(self, roles, parents):
        self.roles, self.parents, self.bindings = roles, parents, []

    def permissions(self, role):
        own, inherits = self.roles[role]
        return set(own).union(*(self.permissions(r) for r in inherits)) if inherits else set(own)

    def path(self, scope):
        while scope is not None:
            yield scope
            scope = self.parents[scope]

    def allowed(self, permission, scope):
        hits = [effect for role, at, effect in self.bindings if at in set(self.path(scope)) and permission in self.permissions(role)]
        return "allow" in hits and "deny" not in hits


def test_decisions_agree_with_a_model(admin, user):
    rng = random.Random(20240229)
    org = make_org(admin)
    project = org["project"]["id"]
    folder = admin.make("/folders", {"name": "f", "projectId": project})["id"]
    inner = admin.make("/folders", {"name": "g", "projectId": project, "parentId": folder})["id"]
    parents = {PLATFORM: None, org["org"]["id"]: PLATFORM, project: org["org"]["id"], folder: project, inner: folder}
    permissions = ["project:read", "application:read", "application:sync", "container:logs", "node:read"]
    roles, names = {}, []
    for _ in range(6):
        own, inherits = rng.sample(permissions, rng.randint(0, 3)), rng.sample(names, min(len(names), rng.randint(0, 2)))
        name = role_of(admin, *own, inherits=inherits)["name"]
        roles[name] = (own, inherits)
        names.append(name)
    model = Model(roles, parents)
    u = user()
    for step in range(12):
        if model.bindings and rng.random() < 0.3:
            gone = rng.randrange(len(model.bindings))
            role, at, effect = model.bindings.pop(gone)
            b = next(b for b in admin.all("/role-bindings", subject=u.user["id"], scope=at) if (b["role"], b["effect"]) == (role, effect))
            admin.delete(f"/role-bindings/{b['id']}", expect=204)
        else:
            one = (rng.choice(names), rng.choice(list(parents)), "deny" if rng.random() < 0.25 else "allow")
            if one in model.bindings:
                continue
            model.bindings.append(one)
            admin.make("/role-bindings", {"subjectKind": "user", "subjectId": u.user["id"], "role": one[0], "scopeId": one[1], "effect": one[2]})
        for scope in parents:
            for permission in permissions:
                told = u.get("/auth/can-i", params={"permission": permission, "scope": scope})["allowed"]
                assert told == model.allowed(permission, scope), (step, permission, scope, model.bindings)
        # Lists rest on SQL, objects on memory: both must say the same.
        if any(model.allowed("project:read", s) for s in parents):
            shown = {f["id"] for f in u.all("/folders")} if u.call("GET", "/folders").status_code == 200 else set()
            assert shown == {s for s in (folder, inner) if model.allowed("project:read", s)}, (step, model.bindings)
