"""What SPEC 1 promises of every route, asked of every route of the served document: new ones are in by being registered."""
import pytest

from conftest import Api, code, make_user, unique
from test_matrix import NOBODY, World, document, routes  # noqa: F401  (document is a fixture)


class Full(World):
    """The canary organization, with a node, a repository and an application too."""

    def __init__(self, admin):
        super().__init__(admin)
        node = admin.make("/nodes", {"name": unique("n"), "url": "tcp://127.0.0.1:9"})
        repository = admin.make("/repositories", {"name": unique("r"), "url": "https://127.0.0.1:9/x.git", "projectId": self.project["id"],
                                                  "pollSeconds": 0})
        app = admin.make("/applications", {"name": unique("a"), "projectId": self.project["id"], "repositoryId": repository["id"],
                                           "nodeId": node["id"], "branch": "main", "path": "", "environment": {"name": "x", "variables": {}}})
        task = admin.get("/tasks", params={"object": app["id"], "all": "true"})["items"][0]
        self.ids.update({"nodes": node["id"], "repositories": repository["id"], "applications": app["id"], "tasks": task["id"]})


@pytest.fixture(scope="module")
def world(_admin_once, server, admin_password):
    from conftest import enter
    return Full(enter(server, "admin@localhost", admin_password))


def send(api, document, world, method, path, op, query="", **kw):
    return api.call(method, world.fill(path) + query, json=world.body(document, op), **kw)


def versioned(document):
    for method, path, op in routes(document):
        if any(p.get("name") == "If-Match" for p in op.get("parameters", [])):
            yield method, path, op


def test_shared_configuration_is_changed_by_version(admin, document, world):  # noqa: F811
    """IN8: 428 without If-Match, 412 with an old one, 400 with nonsense; nothing changes."""
    asked = set()
    for method, path, op in versioned(document):
        before = admin.get(world.fill(path))
        for tag, status, name in ((None, 428, "PRECONDITION_REQUIRED"), ('"999999"', 412, "PRECONDITION_FAILED"), ('W/"1"', 412, "PRECONDITION_FAILED")):
            r = send(admin, document, world, method, path, op, headers={"If-Match": tag} if tag else {})
            assert (r.status_code, code(r)) == (status, name), (method, path, tag, r.text)
        assert admin.get(world.fill(path))["version"] == before["version"], (method, path)
        asked.add(path)
    assert len(asked) >= 9
    # What is changed or removed as a whole and has a version says so; what has none is a relation or a credential.
    free = {p for m, p, op in routes(document) if m in ("PUT", "PATCH", "DELETE")} - asked
    assert free == {"/api/v1/auth/sessions/{id}", "/api/v1/tokens/{id}", "/api/v1/role-bindings/{id}", "/api/v1/applications/{id}/approvals",
                    "/api/v1/organizations/{id}/members/{userId}", "/api/v1/teams/{id}/members/{userId}"}


def test_unknown_query_parameters_are_named(admin, document, world):  # noqa: F811
    for method, path, op in routes(document):
        r = send(admin, document, world, method, path, op, query="?nosuchparameter=1", headers={"If-Match": '"1"'})
        assert (r.status_code, code(r)) == (400, "UNKNOWN_PARAMETER") and "nosuchparameter" in r.text, (method, path, r.text)


def test_unknown_fields_are_named(admin, document, world):  # noqa: F811
    """RB3: nobody becomes owner of something by saying so in a body."""
    asked = 0
    for method, path, op in routes(document):
        body = world.body(document, op)
        if not isinstance(body, dict):
            continue
        for field in ("orgId", "ownerId", "role" if "role" not in body else "roles", "isAdmin", "version", "createdBy"):
            r = admin.call(method, world.fill(path), json={**body, field: "x"}, headers={"If-Match": '"1"'} if method != "POST" else {})
            assert r.status_code == 400 and code(r) == "UNKNOWN_FIELD", (method, path, field, r.text)
        asked += 1
    assert asked > 15


def lists(document):  # noqa: F811
    for method, path, op in routes(document):
        names = {p.get("name") for p in op.get("parameters", [])}
        if method == "GET" and {"limit", "cursor"} <= names:
            yield path, op, names


def test_every_list_keeps_its_limits(admin, document, world):  # noqa: F811
    """IN9: limits are clamped, cursors are the server's own, orders are from a list."""
    asked = 0
    for path, op, names in lists(document):
        at = world.fill(path)
        r = admin.call("GET", at, params={"limit": "1000000000"})
        assert r.status_code == 400 or (r.status_code == 200 and len(r.json()["items"]) <= 200), (path, r.text)
        for bad in ({"limit": "0"}, {"limit": "-1"}, {"limit": "x"}, {"cursor": "AAAA"}, {"cursor": "x" * 3000}, {"cursor": "../.."}):
            if path.endswith("/log") and "cursor" in bad:
                continue  # there the cursor is a line number
            assert admin.call("GET", at, params=bad).status_code == 400, (path, bad)
        if "sort" in names:
            for bad in ("id;drop", "1", "name desc", "-", "(select 1)", "password_hash"):
                assert admin.call("GET", at, params={"sort": bad}).status_code == 400, (path, bad)
        asked += 1
    assert asked >= 12


def test_cursors_belong_to_one_list_and_order(admin):
    for _ in range(3):
        admin.make("/organizations", {"name": unique("page")})
    page = admin.get("/organizations", params={"limit": 1, "sort": "name"})
    cursor = page["next"]
    assert cursor and admin.get("/organizations", params={"limit": 1, "sort": "name", "cursor": cursor})["items"] != page["items"]
    for path, params in (("/organizations", {"sort": "-name"}), ("/organizations", {"sort": "updatedAt"}), ("/projects", {"sort": "name"}),
                         ("/users", {})):
        assert admin.call("GET", path, params={**params, "cursor": cursor}).status_code == 400, path
    flipped = cursor[:-2] + ("A" if cursor[-2] != "A" else "B") + cursor[-1]
    assert admin.call("GET", "/organizations", params={"sort": "name", "cursor": flipped}).status_code == 400


# ---- Idempotency-Key ----------------------------------------------------------------------------------

def test_idempotency_on_every_creating_route(admin, document, world):  # noqa: F811
    """The same request again replays, another one under the key is refused."""
    asked = 0
    for method, path, op in routes(document):
        if method != "POST" or "{" in path or path.startswith("/api/v1/auth/") or path in ("/api/v1/nodes", "/api/v1/applications"):
            continue
        body, key = world.body(document, op), {"Idempotency-Key": unique("key")}
        one = admin.post(path, body, headers=key)
        if one.status_code >= 400:
            continue
        two = admin.post(path, body, headers=key)
        assert two.headers.get("idempotency-replayed") == "true" and two.text == one.text and two.status_code == one.status_code, path
        other = admin.post(path, {**(body or {}), "name": unique("other")}, headers=key)
        assert (other.status_code, code(other)) in ((422, "IDEMPOTENCY_MISMATCH"), (400, "UNKNOWN_FIELD"), (400, "BAD_REQUEST")), (path, other.text)
        asked += 1
    assert asked >= 5


def test_a_replay_is_for_who_asked_first(server, admin):
    """Rights are looked at before anything is replayed."""
    person = make_user(admin, ("admin", "00000000-0000-7000-8000-000000000000"))
    key, body = {"Idempotency-Key": unique("key")}, {"name": unique("r"), "permissions": []}
    person.post("/roles", body, headers=key, expect=201)
    for binding in admin.get("/role-bindings", params={"subject": person.user["id"]})["items"]:
        admin.delete(f"/role-bindings/{binding['id']}", expect=204)
    assert person.post("/roles", body, headers=key).status_code == 403
    assert Api(server).post("/roles", body, headers=key).status_code == 401


def test_missing_objects_and_hidden_ones_are_one_answer(admin, document, world):  # noqa: F811
    """RB2: byte for byte."""
    from conftest import make_org
    stranger = make_user(admin, ("owner", make_org(admin)["org"]["id"]))
    for method, path, op in routes(document):
        if op["x-auth"] != "By permission" or "/{id}" not in path or path.startswith("/api/v1/roles/") or "member" in path:
            continue
        headers = {"If-Match": '"1"'} if method != "POST" else {}
        body = world.body(document, op)
        hidden = stranger.call(method, world.fill(path), json=body, headers=headers)
        missing = stranger.call(method, path.replace("{id}", NOBODY), json=body, headers=headers)
        strip = lambda r: (r.status_code, {k: v for k, v in r.json()["error"].items() if k not in ("timestamp", "requestId")})  # noqa: E731
        assert strip(hidden) == strip(missing) and hidden.status_code in (403, 404), (method, path, hidden.text, missing.text)


ODD = (None, "", "x" * 70000, "a\u0000b", -1, 2**63 - 1, [], {}, NOBODY, "';--")


def properties(document, op):  # noqa: F811
    schema = op.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return schema.get("properties", {})


def test_odd_values_are_refused_and_never_an_error_of_ours(admin, document, world):  # noqa: F811
    for method, path, op in routes(document):
        if method == "GET" or "hooks" in path or path.startswith("/api/v1/auth/") or "{userId}" in path:
            continue
        for field in properties(document, op):
            for value in ODD:
                body = {**(world.body(document, op) or {}), field: value}
                r = admin.call(method, world.fill(path), json=body, headers={"If-Match": '"999999"'} if method != "POST" else {})
                assert r.status_code < 500 or r.status_code in (502, 503, 504), (method, path, field, value if value is None else str(value)[:40], r.text)


def test_odd_parameters_are_refused_and_never_an_error_of_ours(admin, document, world):  # noqa: F811
    for method, path, op in routes(document):
        if method != "GET" or "stream" in path:
            continue
        for p in op.get("parameters", []):
            if p.get("in") != "query":
                continue
            for value in ("", "x" * 3000, "%00", "\u202e", "-1", "9223372036854775808", "null", "[]", NOBODY, "';--", "1e400", "2026-13-45", "*"):
                r = admin.call("GET", world.fill(path), params={p["name"]: value})
                assert r.status_code < 500 or r.status_code in (502, 503, 504), (path, p["name"], value[:40], r.text)
