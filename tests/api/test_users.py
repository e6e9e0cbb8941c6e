"""Accounts: creation, change, deletion, who sees whom, and who may touch whom (RB3, RB7, RB12, IN8, IN9)."""
import concurrent.futures
import json

import pytest

from conftest import PLATFORM, Api, code, enter, first_admin, login, make_org, make_user, unique


def new(name=None, **kw):
    name = name or unique("n")
    return {"username": name, "email": f"{name}@example.test", "fullName": "New", "password": "a long enough phrase 8", **kw}


def test_life_of_a_user(admin):
    body = new()
    made = admin.post("/users", body, expect=201)
    user = made.json()
    assert made.headers["location"] == f"/api/v1/users/{user['id']}" and made.headers["etag"] == '"1"'
    assert user["active"] and user["mustChangePassword"] and user["version"] == 1 and "password" not in json.dumps(user).lower().replace("mustchangepassword", "")
    got = admin.call("GET", f"/users/{user['id']}", expect=200)
    assert got.json() == user and got.headers["etag"] == '"1"'
    assert admin.call("GET", f"/users/{user['id']}", headers={"If-None-Match": '"1"'}).status_code == 304
    changed = admin.patch(f"/users/{user['id']}", {"fullName": "Changed"}, 1, expect=200).json()
    assert changed["fullName"] == "Changed" and changed["version"] == 2
    admin.delete(f"/users/{user['id']}", 2, expect=204)
    admin.get(f"/users/{user['id']}", expect=404)


def test_if_match(admin):
    """IN8"""
    user = admin.make("/users", new())
    path = f"/users/{user['id']}"
    assert code(admin.patch(path, {"fullName": "x"}, expect=428)) == "PRECONDITION_REQUIRED"
    assert code(admin.patch(path, {"fullName": "x"}, 7, expect=412)) == "PRECONDITION_FAILED"
    assert code(admin.delete(path, expect=428)) == "PRECONDITION_REQUIRED"
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda i: admin.patch(path, {"fullName": f"name {i}"}, 1).status_code, range(6)))
    assert sorted(answers) == [200] + [412] * 5


@pytest.mark.parametrize("extra", [{"id": "01900000-0000-7000-8000-000000000000"}, {"orgId": PLATFORM}, {"owner": "x"}, {"role": "owner"}, {"isAdmin": True},
                                   {"is_active": True}, {"mfaEnabled": True}, {"version": 9}, {"kind": "service"}])
def test_unknown_fields(admin, extra):
    """RB3"""
    r = admin.post("/users", new(**extra))
    assert (r.status_code, code(r)) == (400, "UNKNOWN_FIELD") and r.json()["error"]["field"] == "/" + next(iter(extra))
    user = admin.make("/users", new())
    r = admin.patch(f"/users/{user['id']}", extra, 1)
    assert (r.status_code, code(r)) == (400, "UNKNOWN_FIELD")


@pytest.mark.parametrize("name", ["", " x", "x y", "-x", "a/b", "a*", "ünï", "x\u0000", "a\nb", "x" * 64, "../x", "a%2fb"])
def test_bad_usernames(admin, name):
    r = admin.post("/users", new() | {"username": name})
    assert r.status_code in (400, 422), r.text


def test_names_are_folded_once_and_unique(admin):
    name = unique("Mixed")
    user = admin.make("/users", new() | {"username": name, "email": f"{name}@Example.Test"})
    assert user["username"] == name.lower() and user["email"] == f"{name}@Example.Test".lower()
    for clash in ({"username": name.upper()}, {"email": user["email"].upper()}):
        assert code(admin.post("/users", new() | clash, expect=409)) == "CONFLICT"
    # Nobody logs in under somebody else's address.
    assert code(admin.post("/users", new() | {"username": user["email"]}, expect=409)) == "CONFLICT"
    other = admin.make("/users", new() | {"username": unique("addr") + "@example.test"})
    assert code(admin.patch(f"/users/{user['id']}", {"email": other["username"]}, 1, expect=409)) == "CONFLICT"


def test_parallel_creation(admin):
    """IN13"""
    body = new()
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        codes = sorted(pool.map(lambda _: admin.post("/users", body).status_code, range(10)))
    assert codes == [201] + [409] * 9


def test_new_password_ends_sessions_and_must_be_changed_if_so_said(server, admin, user):
    u = user()
    version = admin.get(f"/users/{u.user['id']}")["version"]
    admin.patch(f"/users/{u.user['id']}", {"password": "given by the admin 12", "mustChangePassword": True}, version, expect=200)
    assert u.call("GET", "/auth/me").status_code == 401
    login(server, u.user["username"], u.password, expect=401)
    api = enter(server, u.user["username"], "given by the admin 12")
    assert code(api.call("GET", "/projects", expect=403)) == "PASSWORD_CHANGE_REQUIRED"
    assert admin.patch(f"/users/{u.user['id']}", {"password": "short"}, version + 1).status_code == 422


# ---- who sees whom ------------------------------------------------------------------------------------

def test_organization_admin_sees_its_people_only(server, admin, user):
    a, b = make_org(admin), make_org(admin)
    boss = user(("admin", a["org"]["id"]))
    mine, foreign = user(("viewer", a["project"]["id"])), user(("viewer", b["project"]["id"]))
    seen = {u["id"] for u in boss.all("/users")}
    assert seen == {boss.user["id"], mine.user["id"]}
    assert boss.get(f"/users/{mine.user['id']}")["username"] == mine.user["username"]
    hidden = boss.call("GET", f"/users/{foreign.user['id']}", expect=404).json()["error"]
    missing = boss.call("GET", "/users/01900000-0000-7000-8000-000000000000", expect=404).json()["error"]
    assert {**hidden, "timestamp": 0, "requestId": 0} == {**missing, "timestamp": 0, "requestId": 0}
    # Accounts are the platform's: an organization's admin reads, the platform's changes.
    r = boss.patch(f"/users/{mine.user['id']}", {"fullName": "x"}, mine.user["version"])
    assert (r.status_code, code(r)) == (403, "INSUFFICIENT_PERMISSIONS")
    assert boss.delete(f"/users/{mine.user['id']}", mine.user["version"]).status_code == 403
    assert boss.delete(f"/users/{foreign.user['id']}", 1).status_code == 404
    assert boss.post("/users", new()).status_code == 403
    # Not even by search or count.
    assert boss.get("/users", params={"q": foreign.user["username"]})["items"] == []


def test_admin_cannot_touch_an_owner(admin, user):
    """Who resets a password owns the account: only those who have all its rights may."""
    lesser = user(("admin", PLATFORM))
    owner = user(("owner", PLATFORM))
    version = admin.get(f"/users/{owner.user['id']}")["version"]
    for body in ({"password": "taken over by me 1"}, {"active": False}, {"email": "mine@example.test"}):
        r = lesser.patch(f"/users/{owner.user['id']}", body, version)
        assert (r.status_code, code(r)) == (403, "INSUFFICIENT_PERMISSIONS")
    assert lesser.delete(f"/users/{owner.user['id']}", version).status_code == 403
    viewer = user(("viewer", PLATFORM))
    lesser.patch(f"/users/{viewer.user['id']}", {"fullName": "ok"}, viewer.user["version"], expect=200)


# ---- RB12: somebody must stay --------------------------------------------------------------------------

@pytest.fixture(scope="module")
def alone(new_server, new_database):
    server = new_server(new_database().url)
    return first_admin(server)


def test_the_last_owner_stays(alone):
    me = alone.get(f"/users/{alone.user['id']}")
    assert code(alone.patch(f"/users/{me['id']}", {"active": False}, me["version"], expect=409)) == "LAST_ADMIN"
    assert code(alone.delete(f"/users/{me['id']}", me["version"], expect=409)) == "LAST_ADMIN"
    binding = alone.get("/role-bindings", params={"subject": me["id"]})["items"][0]
    assert code(alone.delete(f"/role-bindings/{binding['id']}", expect=409)) == "LAST_ADMIN"
    r = alone.post("/role-bindings", {"subjectKind": "user", "subjectId": me["id"], "role": "viewer", "scopeId": PLATFORM, "effect": "deny"})
    assert code(r) == "LAST_ADMIN"
    # An admin is no owner, and an owner for a day is none tomorrow.
    make_user(alone, ("admin", PLATFORM))
    guest = make_user(alone)
    alone.make("/role-bindings", {"subjectKind": "user", "subjectId": guest.user["id"], "role": "owner", "scopeId": PLATFORM, "expiresAt": "2099-01-01T00:00:00Z"})
    assert code(alone.delete(f"/role-bindings/{binding['id']}", expect=409)) == "LAST_ADMIN"


def test_two_owners_remove_each_other(alone):
    for round_ in range(3):
        other = make_user(alone, ("owner", PLATFORM))
        bindings = {b["subjectId"]: b["id"] for b in alone.all("/role-bindings", role="owner", scope=PLATFORM) if b["expiresAt"] is None}
        pairs = [(alone, bindings[other.user["id"]]), (other, bindings[alone.user["id"]])]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            answers = sorted(pool.map(lambda p: p[0].delete(f"/role-bindings/{p[1]}").status_code, pairs))
        assert answers[0] == 204 and answers[1] in (403, 404, 409), answers
        if alone.get("/auth/can-i", params={"permission": "organization:delete"})["allowed"]:
            continue
        # The other one is the owner now: give it back.
        other.make("/role-bindings", {"subjectKind": "user", "subjectId": alone.user["id"], "role": "owner", "scopeId": PLATFORM})
        mine = next(b for b in other.all("/role-bindings", subject=other.user["id"]) if b["role"] == "owner")
        other.delete(f"/role-bindings/{mine['id']}", expect=204)


def test_owner_through_a_team(alone):
    org = make_org(alone)["org"]
    team = alone.make("/teams", {"name": "owners", "organizationId": org["id"]})
    r = alone.post("/role-bindings", {"subjectKind": "team", "subjectId": team["id"], "role": "owner", "scopeId": PLATFORM})
    assert r.status_code == 201, r.text
    alone.post(f"/teams/{team['id']}/members", {"userId": alone.user["id"]}, expect=200)
    own = next(b for b in alone.all("/role-bindings", subject=alone.user["id"]) if b["role"] == "owner")
    alone.delete(f"/role-bindings/{own['id']}", expect=204)
    assert alone.get("/auth/can-i", params={"permission": "user:delete"})["allowed"]
    assert code(alone.delete(f"/teams/{team['id']}/members/{alone.user['id']}", expect=409)) == "LAST_ADMIN"
    assert code(alone.delete(f"/teams/{team['id']}", alone.get(f"/teams/{team['id']}")["version"], expect=409)) == "LAST_ADMIN"
    alone.make("/role-bindings", {"subjectKind": "user", "subjectId": alone.user["id"], "role": "owner", "scopeId": PLATFORM})
    alone.delete(f"/teams/{team['id']}", alone.get(f"/teams/{team['id']}")["version"], expect=204)
    assert alone.get("/auth/can-i", params={"permission": "user:delete"})["allowed"]


# ---- lists: IN9 --------------------------------------------------------------------------------------------

def test_pages(admin):
    marks = unique("page")
    names = sorted(f"{marks}-{i}" for i in range(7))
    for name in names:
        admin.make("/users", new(name))
    for sort, expected in (("username", names), ("-username", names[::-1]), ("createdAt", None), ("-updatedAt", None)):
        found, cursor, rounds = [], None, 0
        while True:
            params = {"q": marks, "sort": sort, "limit": 3, **({"cursor": cursor} if cursor else {})}
            r = admin.call("GET", "/users", params=params, expect=200)
            page = r.json()
            found += [u["username"] for u in page["items"]]
            rounds += 1
            cursor = page["next"]
            if cursor is None:
                assert "link" not in r.headers
                break
            assert 'rel="next"' in r.headers["link"]
        assert rounds == 3 and sorted(found) == names
        assert expected is None or found == expected
    r = admin.call("GET", "/users", params={"q": marks, "fields": "username,id"}, expect=200).json()
    assert set(r["items"][0]) == {"username", "id"}


def test_list_parameters(admin):
    assert len(admin.get("/users", params={"limit": 1000000000})["items"]) <= 200
    for bad in ("0", "-1", "x", "1e9", "1.0", ""):
        assert admin.call("GET", "/users", params={"limit": bad}).status_code == 400, bad
    for bad in ("password", "username; DROP TABLE users", "--username", "u.username", ""):
        assert admin.call("GET", "/users", params={"sort": bad}).status_code == 400, bad
    cursor = admin.get("/users", params={"limit": 1})["next"]
    for bad in ("", "x", cursor[:-1], cursor[:-1] + ("A" if cursor[-1] != "A" else "B"), "A" * 64, "é"):
        assert admin.call("GET", "/users", params={"cursor": bad}).status_code == 400, bad
    assert admin.call("GET", "/users", params={"cursor": cursor, "sort": "-username"}).status_code == 400
    assert admin.call("GET", "/roles", params={"cursor": cursor}).status_code == 400
    r = admin.call("GET", "/users", params={"colour": "red"})
    assert (r.status_code, code(r)) == (400, "UNKNOWN_PARAMETER") and "colour" in r.text
    for q in ("%", "_", "'", "' OR 1=1 --", "\\", '"', "(((a+)+)+)+$"):
        assert admin.call("GET", "/users", params={"q": q}).status_code == 200, q
    assert admin.call("GET", "/users", params={"q": "x" * 201}).status_code == 400
    for bad in ("a,,b", ",a", "a b", "a;b"):
        assert admin.call("GET", "/users", params={"fields": bad}).status_code == 400, bad
