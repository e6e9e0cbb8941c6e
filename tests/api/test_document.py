"""The served OpenAPI document by the rules of its format, its page, and the files of the UI as a cache sees them."""
import gzip
import json
import re
import subprocess

import httpx
import pytest

from conftest import PROGRAM
from live import until
from test_matrix import document, routes  # noqa: F401  (document is a fixture)

SCHEMA_WORDS = {"type", "$ref", "anyOf", "oneOf", "allOf", "enum", "const", "properties", "items", "description", "not"}


def pointers(node, at="#"):
    """(where, target) of every $ref."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield at, node["$ref"]
        for k, v in node.items():
            yield from pointers(v, f"{at}/{k}")
    elif isinstance(node, list):
        for i, v in enumerate(node):
            yield from pointers(v, f"{at}/{i}")


def resolve(doc, ref):
    assert ref.startswith("#/"), ref
    node = doc
    for part in ref[2:].split("/"):
        node = node[part.replace("~1", "/").replace("~0", "~")]
    return node


def is_schema(schema):
    return schema is True or (isinstance(schema, dict) and (schema == {} or bool(SCHEMA_WORDS & set(schema))))


def test_the_root(document):  # noqa: F811
    assert document["openapi"] == "3.1.1"
    assert document["info"]["title"] and document["info"]["version"]
    assert set(document) <= {"openapi", "info", "jsonSchemaDialect", "servers", "paths", "webhooks", "components", "security", "tags", "externalDocs"}
    schemes = set(document["components"]["securitySchemes"])
    for where, needs in [("root", document.get("security", []))] + [(p, op.get("security", [])) for _, p, op in routes(document)]:
        for need in needs:
            assert set(need) <= schemes, (where, need)


def test_the_program_prints_it_by_itself(document):  # noqa: F811
    """Without a database, a data directory or a good configuration: what the build of the UI starts from."""
    done = subprocess.run([PROGRAM, "--openapi"], capture_output=True, timeout=60, env={"DOCKFLOW_DATA_DIR": "/nonexistent", "DATABASE_URL": "?"})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == document and done.stdout.endswith(b"\n")


def test_every_reference_leads_somewhere(document):  # noqa: F811
    found = list(pointers(document))
    assert len(found) > 100
    for where, ref in found:
        assert isinstance(resolve(document, ref), (dict, bool)), (where, ref)
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for kind in document["components"].values() for name in kind)


def test_operations_are_named_once(document):  # noqa: F811
    ids = [op["operationId"] for _, _, op in routes(document)]
    assert len(ids) == len(set(ids)) > 50
    shapes = [re.sub(r"\{[^}]*\}", "{}", path) for path in document["paths"]]
    assert len(shapes) == len(set(shapes)), "two templated paths that are one"


def test_parameters_are_declared(document):  # noqa: F811
    for method, path, op in routes(document):
        parameters = [resolve(document, p["$ref"]) if "$ref" in p else p for p in op.get("parameters", [])]
        assert len({(p["name"], p["in"]) for p in parameters}) == len(parameters), (method, path)
        for p in parameters:
            assert p["in"] in ("path", "query", "header", "cookie") and is_schema(p["schema"]), (method, path, p)
            assert p["in"] != "path" or p["required"] is True, (method, path, p)
        assert {p["name"] for p in parameters if p["in"] == "path"} == set(re.findall(r"\{([^}]*)\}", path)), (method, path)


def test_answers_and_bodies_have_schemas(document):  # noqa: F811
    without = []
    for method, path, op in routes(document):
        assert op["responses"] and any(s[0] in "123" for s in op["responses"]), (method, path)
        for status, answer in op["responses"].items():
            answer = resolve(document, answer["$ref"]) if "$ref" in answer else answer
            assert re.fullmatch(r"[1-5](\d\d|XX)|default", status) and answer["description"], (method, path, status)
            bare = status in ("204", "304", "101", "302", "303") or method == "HEAD"
            if not bare and not answer.get("content"):
                without.append((method, path, status))
            for kind, media in answer.get("content", {}).items():
                assert "/" in kind and is_schema(media["schema"]), (method, path, status, kind)
        if "requestBody" in op:
            assert method not in ("GET", "HEAD"), (method, path)
            for kind, media in op["requestBody"]["content"].items():
                assert "/" in kind and is_schema(media["schema"]), (method, path, kind)
    assert without == []


def test_the_page_of_the_document_keeps_its_policy(server):
    """No script, style or handler within the page, nothing from elsewhere: what the policy would refuse is not there."""
    page = httpx.get(server.url + "/api/docs")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy.replace("style-src-attr 'unsafe-inline'", "")
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=|javascript:", page.text, re.I)
    wanted = re.findall(r"""(?:src|href)=["']([^"'#]+)["']""", page.text)
    assert wanted
    for name in wanted:
        assert not re.match(r"(?:[a-z]+:)?//", name), name
        assert httpx.get(str(httpx.URL(server.url + "/api/docs").join(name))).status_code == 200, name


@pytest.fixture
def index(server):
    page = httpx.get(server.url + "/")
    if page.status_code == 404:
        pytest.skip("built without the UI")
    return page


def report(blocked, directive="script-src-elem", **more):
    body = {"documentURL": "https://df.test/applications?token=CANARY", "blockedURL": blocked, "effectiveDirective": directive, "lineNumber": 7, **more}
    return {"type": "csp-violation", "age": 10, "url": body["documentURL"], "user_agent": "x", "body": body}


def test_what_browsers_report_about_the_policy(new_server, new_database):
    """C9: each kind is logged once, without what may be a secret; the rest is counted; too many and too much are refused."""
    server = new_server(new_database().url, {"DOCKFLOW_METRICS_PUBLIC": "true"})
    url, kind = server.url + "/api/v1/csp-reports", {"Content-Type": "application/reports+json"}

    def send(*reports, status=204, **head):
        r = httpx.post(url, content=json.dumps(reports), headers={**kind, **head})
        assert r.status_code == status, r.text
    page = {"Origin": server.url, "Sec-Fetch-Site": "same-origin", "Cookie": "df_session=whatever"}
    send(report("https://u:CANARY@evil.test/x.js?CANARY"), report("inline"), {"type": "deprecation", "body": {"id": "x"}}, **page)
    send(report("https://u:CANARY@evil.test/x.js?CANARY"), report("inline", "style-src-elem"), report("inline" + "x" * 3000), 1, None, {"type": "csp-violation"})
    told = until(lambda: len(seen := server.events("csp.violation")) >= 5 and seen)
    assert [(t["directive"], t["blocked"][:30]) for t in told] == [("script-src-elem", "evil.test/x.js"), ("script-src-elem", "inline"), ("style-src-elem", "inline"),
                                                                   ("script-src-elem", "inline" + "x" * 24), ("", "")]
    assert told[0]["page"] == "https://df.test/applications" and told[0]["line"] == 7 and "CANARY" not in server.log()
    assert "dockflow_csp_reports_total 6\n" in httpx.get(server.url + "/metrics").text
    send(*[report(f"https://h{i}.test") for i in range(200)])
    until(lambda: len(server.events("csp.violation")) == 64)
    assert httpx.post(url, content="[" + " " * 70000 + "]", headers=kind).status_code == 413
    assert httpx.post(url, content="{}", headers=kind).status_code == 400
    assert httpx.post(url, content="[", headers=kind).status_code == 400
    assert httpx.post(url, content="[]", headers={"Content-Type": "application/json"}).status_code == 415
    strict = new_server(new_database().url, {"DOCKFLOW_RATE_LIMIT_ENABLED": "true", "DOCKFLOW_LIMITS_RATE_ANONYMOUS_PER_SECOND": "1"})
    with httpx.Client(base_url=strict.url, headers=kind) as c:
        assert [c.post("/api/v1/csp-reports", content="[]").status_code for _ in range(5)].count(429) >= 1


def test_the_pages_name_where_reports_go(index):
    assert index.headers["content-security-policy"].endswith("; report-to csp")
    assert index.headers["reporting-endpoints"] == 'csp="/api/v1/csp-reports"'


def test_files_of_the_ui_are_cached_for_ever_and_come_compressed(server, index):
    assert index.headers["cache-control"] == "no-store"
    nonce = re.search(r"'nonce-([^']+)'", index.headers["content-security-policy"]).group(1)
    assert nonce not in httpx.get(server.url + "/").headers["content-security-policy"]
    head = httpx.head(server.url + "/applications/some/page")
    assert head.status_code == 200 and head.content == b"" and head.headers["content-type"].startswith("text/html")
    for name in re.findall(r"""(?:src|href)="(/assets/[^"]+\.(?:js|css))\"""", index.text):
        with httpx.Client(base_url=server.url, headers={"Accept-Encoding": "identity"}) as c:
            plain = c.get(name)
            assert plain.headers["cache-control"] == "public, max-age=31536000, immutable" and "content-encoding" not in plain.headers
            tags = {plain.headers["etag"]}
            assert c.get(name, headers={"If-None-Match": plain.headers["etag"]}).status_code == 304
            if len(plain.content) < 1024:
                continue  # not worth a twin
            for coding in ("br", "gzip"):
                with c.stream("GET", name, headers={"Accept-Encoding": coding}) as r:
                    raw = b"".join(r.iter_raw())
                assert r.headers.get("content-encoding") == coding, (name, coding, len(plain.content))
                assert "accept-encoding" in r.headers["vary"].lower() and len(raw) < len(plain.content)
                assert coding == "br" or gzip.decompress(raw) == plain.content
                assert r.headers["etag"] not in tags
                tags.add(r.headers["etag"])
                again = c.get(name, headers={"Accept-Encoding": coding, "If-None-Match": r.headers["etag"]})
                assert again.status_code == 304 and again.content == b"" and again.headers["etag"] == r.headers["etag"]
            head = c.head(name)
            assert head.status_code == 200 and head.content == b"" and head.headers["content-length"] == str(len(plain.content))
            assert c.get(name, headers={"If-None-Match": '"other"'}).status_code == 200
            assert c.get(name.replace(".js", "x.js").replace(".css", "x.css")).status_code == 404
            assert c.post(name).status_code == 405
