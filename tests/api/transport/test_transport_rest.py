"""Paths, queries, bodies, errors, credentials, CSRF, idempotency, CORS (RB13, IN2, IN7, IN8, IN10, IN12, AU11, AU12)."""
import json

import pytest

from conftest import parse, read_all

JSON = ("Content-Type", "application/json")
ALICE = ("Authorization", "Bearer alice")


def post(server, path, body, *headers, method="POST"):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return server.get(path, [JSON, *headers], method=method, body=data)


@pytest.mark.parametrize("path", [
    "/api/v1//echo", "/api/v1/echo/", "/api//v1/echo", "/api/v1/./echo", "/api/v1/x/../echo", "/api/v1/%2e%2e/v1/echo", "/api/v1/%2E/echo",
    "/api/v1/echo%00", "/api/v1%2fecho", "/api/v1/echo;x", "/api/v1/echo;x=1", "/api/v1/ech%6f", "/api/v1/echo%", "/api/v1/echo%4",
    "/api/v1/echo%zz", "/api/v1\\echo", "/api/v1/echo%5c", "//evil.example/", "/api/v1/items/%ff", "/api/v1/items/%c0%af", "/api/v1/items/a%0ab",
    "/api/v1/items/a%7f", "/api/v1/items/%3b"])
def test_other_spellings_of_a_path_are_400(server, path):
    answer = server.get(path)
    assert answer.status == 400 and answer.code == "BAD_PATH"


def test_canonical_escapes_pass(server):
    assert server.get("/api/v1/items/a%20b").json["id"] == "a b"
    assert server.get("/api/v1/items/%C3%A9").json["id"] == "é"
    assert server.get("/api/v1/Echo").status == 404


def test_unknown_and_double_query_parameters_are_named(server):
    answer = server.get("/api/v1/echo?q=1&token=abc")
    assert answer.status == 400 and answer.code == "UNKNOWN_PARAMETER" and answer.json["error"]["field"] == "token"
    assert "abc" not in answer.body.decode()
    assert server.get("/api/v1/echo?q=1&q=2").code == "BAD_REQUEST"
    assert server.get("/api/v1/echo?q=%ff").code == "BAD_ENCODING"
    assert server.get("/api/v1/echo?q=%00").code == "BAD_ENCODING"
    assert server.get("/api/v1/echo?q=" + "a" * 5000).status == 400
    assert server.get("/api/v1/echo?q=a+b%2B").json["q"] == "a b+"
    assert server.get("/api/v1/slow?ms=1e3").status == 400


def test_error_shapes(server):
    answer = server.get("/api/v1/nope")
    assert answer.status == 404
    body = answer.json
    assert body["status"] == "error" and body["request_id"] == body["error"]["requestId"] == answer.header("x-request-id")
    assert set(body["error"]) >= {"code", "message", "details", "timestamp", "requestId"}
    problem = server.get("/api/v1/nope", [("Accept", "application/problem+json")])
    assert problem.header("content-type") == "application/problem+json" and problem.json["status"] == 404
    mine = server.get("/api/v1/nope", [("X-Request-Id", "my-id-12345")])
    assert mine.header("x-request-id") == "my-id-12345"
    assert server.get("/api/v1/nope", [("X-Request-Id", "no spaces!")]).header("x-request-id") != "no spaces!"


def test_internal_errors_tell_nothing(server):
    answer = server.get("/api/v1/boom")
    text = answer.body.decode()
    assert answer.status == 500 and answer.code == "INTERNAL"
    for word in ("SELECT", "/etc", "0xdead", "testserver", ".c"):
        assert word not in text
    assert server.alive()


def test_security_headers_everywhere(server):
    for path in ("/api/v1/echo", "/api/v1/nope", "/nope.js", "/health/live", "/api/v1//x"):
        answer = server.get(path)
        assert answer.header("x-content-type-options") == "nosniff"
        assert answer.header("x-frame-options") == "DENY"
        assert answer.header("referrer-policy") == "no-referrer"
        assert answer.header("cache-control") == "no-store"
        assert "default-src 'none'" in answer.header("content-security-policy")
        assert answer.header("strict-transport-security") is None
        assert answer.header("server") is None


def test_header_injection_is_refused(server):
    answer = server.get("/api/v1/header?v=a%0d%0aSet-Cookie:%20x=1")
    assert answer.status == 500 and answer.header("set-cookie") is None
    assert server.get("/api/v1/header?v=ok").header("x-value") == "ok"


def test_body_types(server):
    raw = b'{"name":"x"}'
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", "multipart/form-data"):
        assert server.get("/api/v1/public-things", [("Content-Type", kind)], "POST", raw).status == 415
    assert server.get("/api/v1/public-things", [], "POST", raw).status == 415
    assert server.get("/api/v1/public-things", [("Content-Type", "application/json; charset=UTF-8")], "POST", raw).status == 201
    assert server.get("/api/v1/public-things", [JSON, ("Content-Encoding", "gzip")], "POST", raw).status == 415
    assert server.get("/api/v1/echo", [JSON], "GET", b"{}").status == 400


@pytest.mark.parametrize("body,status,code,field", [
    (b"", 400, "INVALID_JSON", None),
    (b"{", 400, "INVALID_JSON", None),
    (b'{"name":"a","name":"b"}', 400, "INVALID_JSON", None),
    (b'{"name":"a\\u0000"}', 400, "INVALID_JSON", None),
    (b'\xef\xbb\xbf{"name":"a"}', 400, "INVALID_JSON", None),
    (b'{"name":"a","any":' + b"[" * 70 + b"]" * 70 + b"}", 400, "JSON_TOO_DEEP", None),
    (b"[" * 100000, 400, "JSON_TOO_DEEP", None),
    (b'{"name":"a","any":[' + b"1," * 200000 + b"1]}", 400, "JSON_TOO_COMPLEX", None),
    (b'{"name":"a","big":1.0}', 422, "SCHEMA_VIOLATION", "/big"),
    (b'{"name":"a","big":9223372036854775808}', 400, "INVALID_JSON", None),
    (b'{"name":"a","big":1e400}', None, None, None),
    (b"{}", 422, "MISSING_REQUIRED_FIELD", "/name"),
    (b'{"name":"a","org_id":"x"}', 400, "UNKNOWN_FIELD", "/org_id"),
    (b'{"name":"a","a/b~c":"x"}', 400, "UNKNOWN_FIELD", "/a~1b~0c"),
    (b'{"name":7}', 422, "SCHEMA_VIOLATION", "/name"),
    (b'{"name":"Not A Name"}', 422, "SCHEMA_VIOLATION", "/name"),
    (b'{"name":"a","count":10}', 422, "SCHEMA_VIOLATION", "/count"),
    (b'{"name":"a","kind":"c"}', 422, "SCHEMA_VIOLATION", "/kind"),
    (b'{"name":"a","tags":["1","2","toolong"]}', 422, "SCHEMA_VIOLATION", "/tags/2"),
    (b'{"name":"a","tags":["1","2","3","4"]}', 422, "SCHEMA_VIOLATION", "/tags"),
    (b"[]", 422, "SCHEMA_VIOLATION", ""),
    (b'{"name":"a","count":9,"kind":"b","tags":["x"],"big":9223372036854775807}', 201, None, None)],
    ids=lambda v: v[:40].decode("latin-1") if isinstance(v, bytes) else None)
def test_bodies_against_the_schema(server, body, status, code, field):
    answer = post(server, "/api/v1/public-things", body)
    if status is None:
        assert 400 <= answer.status < 500
        return
    assert answer.status == status, answer.body
    if code:
        assert answer.code == code
    if field is not None:
        assert answer.json["error"].get("field") == field


def test_credentials(server):
    assert server.get("/api/v1/me").status == 401
    assert server.get("/api/v1/me").header("www-authenticate").startswith("Bearer")
    assert server.get("/api/v1/me", [ALICE]).json == {"name": "alice", "cookie": False}
    assert server.get("/api/v1/me", [("Cookie", "a=b; df_session=alice")]).json == {"name": "alice", "cookie": True}
    assert server.get("/api/v1/me", [("Authorization", "Bearer nobody")]).code == "TOKEN_INVALID"
    for bad in ([("Authorization", "bearer\talice")], [ALICE, ALICE], [ALICE, ("Cookie", "df_session=alice")],
                [("Authorization", "Bearer a,b")], [("Authorization", "Bearer  alice")], [("Authorization", "Basic YTpi")],
                [("Cookie", "df_session=alice; df_session=bob")], [("Cookie", "df_session=alice"), ("Cookie", "df_session=bob")]):
        answer = server.get("/api/v1/me", bad)
        assert answer.status == 400 and answer.code == "AMBIGUOUS_CREDENTIALS", bad
    assert server.get("/api/v1/me?token=alice").code == "UNKNOWN_PARAMETER"


def test_authorization(server):
    assert post(server, "/api/v1/things", {"name": "a"}).status == 401
    answer = post(server, "/api/v1/things", {"name": "a"}, ("Authorization", "Bearer bob"))
    assert answer.status == 403 and answer.json["error"]["details"]["permission"] == "thing:create"
    assert post(server, "/api/v1/things", {"name": "a"}, ALICE).status == 201


def test_forwarded_headers_count_from_named_proxies_only(server, start):
    forged = [("X-Forwarded-For", "10.9.8.7"), ("X-Forwarded-Proto", "https"), ("X-WEBAUTH-USER", "admin")]
    assert server.get("/api/v1/echo", forged).json["ip"] == "127.0.0.1"
    assert server.get("/api/v1/echo", forged).json["tls"] is False
    proxied = start({"DF_TEST_PROXIES": "127.0.0.1 10.0.0.0/8"})
    seen = proxied.get("/api/v1/echo", [("X-Forwarded-For", "1.1.1.1, 10.9.8.7"), ("X-Forwarded-Proto", "https")]).json
    assert seen["ip"] == "1.1.1.1" and seen["tls"] is True
    assert proxied.get("/api/v1/echo", forged, source="127.0.0.9").json["ip"] == "127.0.0.9"


@pytest.mark.parametrize("proxies,trusted,stranger", [
    ("127.0.0.1", "127.0.0.1", "127.0.0.2"), ("127.0.5.0/24", "127.0.5.255", "127.0.6.1"), ("127.0.5.128/25", "127.0.5.128", "127.0.5.127"),
    ("::1 ::ffff:127.0.0.7", "127.0.0.7", "127.0.0.8")])
def test_trusted_proxies_by_address_and_by_network(start, proxies, trusted, stranger):
    server = start({"DF_TEST_PROXIES": f"{proxies} 10.0.0.0/8 2001:db8::/32"})

    def seen(*lines, source=trusted, name="X-Forwarded-For"):
        return server.get("/api/v1/echo", [(name, line) for line in lines], source=source).json
    assert seen("203.0.113.9")["ip"] == "203.0.113.9"
    assert seen("203.0.113.9", source=stranger)["ip"] == stranger
    assert seen("https", source=stranger, name="X-Forwarded-Proto")["tls"] is False
    # what the client itself sent stands to the left of what the proxies wrote, in one line or in several
    assert seen("1.1.1.1, 203.0.113.9")["ip"] == "203.0.113.9"
    assert seen("1.1.1.1", "203.0.113.9")["ip"] == "203.0.113.9"
    assert seen("1.1.1.1, 203.0.113.9, 10.1.2.3", " 2001:db8::5 ")["ip"] == "203.0.113.9"
    assert seen("10.9.9.9, 10.1.2.3")["ip"] == "10.9.9.9"
    # what is no address ends the list: the proxy that passed it on is as far as anybody can see
    for junk in ("junk", "", "1.2.3.4:80", "01.2.3.4", "203.0.113.9,", "10.0.0.1\t10.0.0.2"):
        assert seen(junk)["ip"] == trusted, junk
    assert seen("1.1.1.1, junk, 10.1.2.3")["ip"] == "10.1.2.3"
    assert seen("https", "http", name="X-Forwarded-Proto")["tls"] is False
    assert seen("http", "https", name="X-Forwarded-Proto")["tls"] is True


def test_csrf(server):
    cookie = ("Cookie", "df_session=alice")
    body = {"name": "a"}
    assert post(server, "/api/v1/things", body, cookie).code == "CSRF_FAILED"
    assert post(server, "/api/v1/things", body, cookie, ("X-DF-CSRF", "1")).status == 201
    assert post(server, "/api/v1/things", body, cookie, ("X-DF-CSRF", "1"), ("Origin", "http://t")).status == 201
    for origin in ("http://evil.example", "null", "https://t", "http://t.evil.example", "http://t:81"):
        assert post(server, "/api/v1/things", body, cookie, ("X-DF-CSRF", "1"), ("Origin", origin)).code == "CSRF_FAILED"
    assert post(server, "/api/v1/things", body, cookie, ("X-DF-CSRF", "1"), ("Sec-Fetch-Site", "cross-site")).code == "CSRF_FAILED"
    assert post(server, "/api/v1/public-things", body, ("Origin", "http://evil.example")).code == "CSRF_FAILED"  # login CSRF
    assert post(server, "/api/v1/things", body, ALICE).status == 201


def test_cors(server, start):
    assert server.get("/api/v1/echo", [("Origin", "http://x.example")]).header("access-control-allow-origin") is None
    cors = start({"DF_TEST_CORS": "https://a.example https://b.example"})
    answer = cors.get("/api/v1/echo", [("Origin", "https://b.example")])
    assert answer.header("access-control-allow-origin") == "https://b.example" and answer.header("vary") == "origin"
    assert cors.get("/api/v1/echo", [("Origin", "https://evil.example")]).header("access-control-allow-origin") is None
    preflight = cors.get("/api/v1/things", [("Origin", "https://a.example"), ("Access-Control-Request-Method", "POST")], "OPTIONS")
    assert preflight.status == 204 and "POST" in preflight.header("access-control-allow-methods")
    assert preflight.header("allow") == "POST, OPTIONS"


def test_etags(server):
    answer = server.get("/api/v1/items/a")
    assert answer.header("etag") == '"7"'
    assert server.get("/api/v1/items/a", [("If-None-Match", '"6", W/"7"')]).status == 304
    assert server.get("/api/v1/items/a", method="PUT").status == 428
    assert server.get("/api/v1/items/a", [("If-Match", '"6"')], "PUT").status == 412
    assert server.get("/api/v1/items/a", [("If-Match", '"7"')], "PUT").status == 204


def test_idempotency(server):
    key = ("Idempotency-Key", "k-1")
    first = post(server, "/api/v1/things", {"name": "once"}, ALICE, key)
    started = server.counters()["started"]
    again = post(server, "/api/v1/things", {"name": "once"}, ALICE, key)
    assert (first.status, again.status) == (201, 201) and again.json == first.json
    assert again.header("idempotency-replayed") == "true" and server.counters()["started"] == started
    assert post(server, "/api/v1/things", {"name": "other"}, ALICE, key).code == "IDEMPOTENCY_MISMATCH"
    assert post(server, "/api/v1/things", {"name": "x"}, ALICE, ("Idempotency-Key", "a" * 200)).status == 400


def test_audit_failure_is_the_answer(server):
    before = server.counters()["audited"]
    assert post(server, "/api/v1/things", {"name": "refuse"}, ALICE).code == "AUDIT_UNAVAILABLE"
    assert server.counters()["audited"] == before + 1


def test_request_deadline(start):
    server = start({"DF_TEST_REQUEST_MS": "500"})
    answer = server.get("/api/v1/timed?ms=5000")
    assert answer.status == 504 and answer.code == "TIMEOUT"


def test_rate_limits(start):
    server = start({"DF_TEST_RATES": "1"})
    statuses = [server.get("/api/v1/echo", source="127.4.0.1").status for _ in range(60)]
    assert statuses.count(429) >= 5 and statuses[0] == 200
    answer = server.get("/api/v1/echo", source="127.4.0.1")
    while answer.status == 200:
        answer = server.get("/api/v1/echo", source="127.4.0.1")
    assert answer.code == "RATE_LIMITED" and int(answer.header("retry-after")) >= 1
    assert answer.header("ratelimit").startswith("limit=40")
    assert server.get("/api/v1/echo", source="127.4.0.2").status == 200
    assert server.get("/health/live", source="127.4.0.1").status == 200


def test_openapi_and_docs(server):
    doc = server.get("/api/v1/openapi.json").json
    assert doc["openapi"] == "3.1.1"
    assert doc["paths"]["/api/v1/things"]["post"]["x-permission"] == "thing:create"
    for path, item in doc["paths"].items():
        for method, op in item.items():
            assert {"400", "429", "500"} <= set(op["responses"]), (method, path)
            named = {p["name"] for p in op.get("parameters", []) if p["in"] == "path"}
            assert named == {s[1:-1] for s in path.split("/") if s.startswith("{")}
    ids = [op["operationId"] for item in doc["paths"].values() for op in item.values()]
    assert len(ids) == len(set(ids))
    yaml = pytest.importorskip("yaml")
    assert yaml.safe_load(server.get("/api/v1/openapi.yaml").body) == doc
    page = server.get("/api/docs")
    assert page.status == 200 and "script-src 'self'" in page.header("content-security-policy")
    assert b"<script>" not in page.body and server.get("/api/docs/docs.js").status == 200
    assert server.get("/api/v1/schemas/TestThing").json["required"] == ["name"]
    assert server.get("/api/docs/nope").status == 404


def test_sse(server):
    answer = server.get("/api/v1/sse?n=2")
    assert answer.header("content-type") == "text/event-stream"
    assert b"event: tick\nid: 1\ndata: one\ndata: two\n\n" in answer.body


@pytest.mark.parametrize("path", ["/api/v1/sse?n=3", "/api/v1/sse?n=0", "/api/v1/flood"])
def test_head_of_a_stream_is_its_header(server, path):
    """The answer ends with the header, the connection goes on, and the stream's owner hears of the end exactly once."""
    before = server.wait_for(lambda c: c["fibers"] == 0)
    with server.connect() as s:
        for _ in range(20):
            s.sendall(f"HEAD {path} HTTP/1.1\r\nHost: t\r\n\r\nGET /api/v1/echo?q=next HTTP/1.1\r\nHost: t\r\n\r\n".encode())
            data = b""
            while data.count(b"\r\n\r\n") < 2 or b'"next"' not in data:
                chunk = s.recv(65536)
                assert chunk, data
                data += chunk
            head, _, rest = data.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200") and b"text/event-stream" in head
            assert rest.startswith(b"HTTP/1.1 200"), "nothing between the header and the next answer"
    after = server.wait_for(lambda c: c["fibers"] == 0 and c["conns"] == 1)
    ended = 0 if path.endswith("n=0") else 20  # with no events the owner may have ended it first: then there is nobody to tell
    assert ended <= after["streamGone"] - before["streamGone"] <= 20
    assert after["arenas"] <= before["arenas"] + 2


def test_sse_http10(server):
    with server.connect() as s:
        s.sendall(b"GET /api/v1/sse?n=2 HTTP/1.0\r\nHost: t\r\nConnection: keep-alive\r\n\r\n")
        data = read_all(s)
        assert b"chunked" not in data.lower() and data.endswith(b"data: two\n\n")


def test_stream_client_leaves(server):
    before = server.counters()["streamGone"]
    s = server.connect()
    s.sendall(b"GET /api/v1/flood HTTP/1.1\r\nHost: t\r\n\r\n")
    s.recv(100000)
    s.close()
    server.wait_for(lambda c: c["streamGone"] == before + 1 and c["fibers"] == 0)


def test_stream_stall_is_cut_and_memory_stays_flat(start):
    server = start({"DF_TEST_STALL_MS": "2000"})
    rss = server.rss_kib()
    with server.connect(rcvbuf=4096) as s:
        s.sendall(b"GET /api/v1/flood HTTP/1.1\r\nHost: t\r\n\r\n")
        server.wait_for(lambda c: c["streamGone"] == 1)
        assert server.rss_kib() - rss < 16 * 1024
