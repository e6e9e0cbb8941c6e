"""RB1: every route of the served OpenAPI document, called by those who may not. New routes are in by being registered."""
import json

import httpx
import pytest

from conftest import PLATFORM, Api, make_org, make_user, unique

NOBODY = "01900000-0000-7000-8000-000000000000"
METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def document(server):
    return httpx.get(server.url + "/api/v1/openapi.json", timeout=30).json()


def routes(document):
    for path, item in document["paths"].items():
        for method, op in item.items():
            if method in METHODS and "101" not in op["responses"]:
                yield method.upper(), path, op


def permission_routes(document):
    return [(m, p, op) for m, p, op in routes(document) if op["x-auth"] == "By permission"]


class World:
    """Organization A with one of everything (the canary), and ways to address it."""

    def __init__(self, admin):
        made = make_org(admin, unique("canary"))
        self.org, self.project = made["org"], made["project"]
        self.team = admin.make("/teams", {"name": unique("canary"), "organizationId": self.org["id"]})
        self.folder = admin.make("/folders", {"name": unique("canary"), "projectId": self.project["id"]})
        self.reader = make_user(admin, ("viewer", self.org["id"]), name=unique("canary"))
        self.binding = admin.all("/role-bindings", subject=self.reader.user["id"])[0]
        self.role = admin.make("/roles", {"name": unique("canary"), "permissions": []})
        self.names = [self.org["name"], self.project["name"], self.team["name"], self.folder["name"], self.reader.user["username"]]
        self.ids = {"organizations": self.org["id"], "teams": self.team["id"], "projects": self.project["id"], "folders": self.folder["id"],
                    "users": self.reader.user["id"], "roles": self.role["id"], "role-bindings": self.binding["id"]}
        self.fields = {"organizationId": self.org["id"], "teamId": self.team["id"], "projectId": self.project["id"], "scopeId": self.org["id"],
                       "userId": self.reader.user["id"], "subjectId": self.reader.user["id"], "parentId": self.folder["id"]}

    def fill(self, path):
        parts, out = path.split("/"), []
        for i, part in enumerate(parts):
            out.append(self.ids.get(parts[i - 1], self.fields.get(part[1:-1], NOBODY)) if part.startswith("{") else part)
        return "/".join(out)

    def body(self, document, op):
        schema = op.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        return None if schema is None else self.value(document, schema, "")

    def value(self, document, schema, name):
        """The least that the schema accepts, pointing at the canary wherever it can."""
        if "$ref" in schema:
            return self.value(document, document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]], name)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return schema["enum"][0]
        kind = schema.get("type")
        kind = kind[0] if isinstance(kind, list) else kind
        if kind == "object":
            props, wanted = schema.get("properties", {}), list(schema.get("required", []))
            wanted += [p for p in props if p not in wanted][:max(0, schema.get("minProperties", 0) - len(wanted))]
            return {p: self.value(document, props[p], p) for p in wanted}
        if kind == "array":
            return [self.value(document, schema["items"], name)] * schema.get("minItems", 0)
        if kind == "integer":
            return schema.get("minimum", 1)
        if kind == "boolean":
            return True
        form = schema.get("format")
        known = {"uuid": self.fields.get(name, NOBODY), "email": unique() + "@example.test", "name": unique("m"), "uri": "https://example.test/x.git",
                 "date-time": "2099-01-01T00:00:00Z", "path": "a/b", "duration": "1s", "env-name": "A"}
        return known.get(form) or ("a long enough phrase 3" if "assword" in name else "x" * max(1, schema.get("minLength", 1)))


@pytest.fixture(scope="module")
def world(_admin_once, server, admin_password):
    from conftest import enter
    return World(enter(server, "admin@localhost", admin_password))


def call(api, document, world, method, path, op):
    return api.call(method, world.fill(path), json=world.body(document, op), headers={"If-Match": '"1"'} if method != "POST" else {})


def test_every_route_says_what_it_needs(document):
    bad = [(m, p) for m, p, op in routes(document) if op["x-auth"] == "By permission" and not op.get("x-permission")]
    assert bad == []
    writes = [(m, p) for m, p, op in routes(document) if m != "GET" and not op.get("x-audit") and op["x-auth"] != "Public"
              and not p.endswith("/test")]  # a test of a connection changes nothing
    assert writes == [], "a mutation without an audit verb"
    assert len(permission_routes(document)) > 30


def test_public_routes_are_these(document):
    public = {(m, p) for m, p, op in routes(document) if op["x-auth"] == "Public"}
    allowed = {"/health", "/health/live", "/health/ready", "/api/v1/auth/login", "/api/v1/auth/refresh", "/.well-known/jwks.json", "/api/v1/info",
               "/api/v1/openapi.json", "/api/v1/openapi.yaml", "/api/v1/schemas/{kind}", "/api/docs", "/api/docs/{file}", "/api/v1/csp-reports"}
    assert {p for _, p in public if not p.startswith("/api/v1/hooks/")} <= allowed, public


def test_anonymous(server, document, world):
    api = Api(server)
    for method, path, op in routes(document):
        if op["x-auth"] == "Public":
            continue
        r = call(api, document, world, method, path, op)
        assert r.status_code == 401, (method, path, r.status_code, r.text)
        assert r.json()["error"]["code"] == "AUTHENTICATION_REQUIRED"
        assert all(name not in r.text for name in world.names)


def test_nobody_in_particular(admin, document, world):
    api = make_user(admin)
    for method, path, op in permission_routes(document):
        r = call(api, document, world, method, path, op)
        assert r.status_code in (403, 404), (method, path, r.status_code, r.text)
        assert all(name not in r.text for name in world.names), (method, path)


def test_owner_of_another_organization(admin, db, document, world):
    other = make_org(admin)
    api = make_user(admin, ("owner", other["org"]["id"]))
    count = "SELECT (SELECT count(*) FROM scopes), (SELECT count(*) FROM users), (SELECT count(*) FROM role_bindings), (SELECT count(*) FROM roles)"
    before = db.rows(count)
    for method, path, op in permission_routes(document):
        r = call(api, document, world, method, path, op)
        if method == "GET" and "{" not in path:
            assert r.status_code in (200, 400, 403, 404), (method, path, r.status_code, r.text)
        elif path.startswith("/api/v1/roles/") and method == "GET":
            assert r.status_code == 200, "roles are the platform's"
        else:
            assert r.status_code in (403, 404), (method, path, r.status_code, r.text)
        assert all(name not in r.text for name in world.names), (method, path, r.text)
    assert db.rows(count) == before


def test_reader(admin, db, document, world):
    """A viewer of organization A: reads what viewers read, and is told about the rest why not."""
    rights = set(admin.get("/roles/viewer")["permissions"])
    api = make_user(admin, ("viewer", world.org["id"]))
    before = db.rows("SELECT count(*) FROM scopes")
    for method, path, op in permission_routes(document):
        r = call(api, document, world, method, path, op)
        if op["x-permission"] in rights:
            assert r.status_code != 401 and (method == "GET" or r.status_code >= 400), (method, path, r.status_code)
            assert r.status_code != 500, (method, path, r.text)
        else:
            assert r.status_code in (403, 404), (method, path, r.status_code, r.text)
    assert db.rows("SELECT count(*) FROM scopes") == before


def test_nothing_else_answers(server, admin):
    for path in ("/api", "/api/v1", "/api/v2/users", "/api/v1/nonsense", "/api/v1/users/1/2/3", "/debug", "/debug/vars", "/v1/sys/health"):
        assert admin.http.get(path).status_code == 404, path
    for path in ("/plugins", "/session", "/grpc", "/containers/json"):
        r = admin.http.get(path)  # the UI's own page answers for paths that are its router's
        assert r.status_code == 404 or r.headers["content-type"].startswith("text/html"), path
        assert admin.http.post(path).status_code in (404, 405), path
    for path in ("/api/v1/users", "/api/v1/auth/me"):
        r = admin.http.request("TRACE", path)
        assert r.status_code in (405, 501)
        r = admin.http.post(path, json={}, headers={"X-HTTP-Method-Override": "DELETE"})
        assert r.status_code in (405, 422)
