"""RB13: every route has one spelling. Another one is refused or is nothing, and never another route's right."""
import base64
import re
import secrets
import socket

import pytest
from conftest import PLATFORM

# One route of every kind: read, written, live, told without rights, page, asset. ASSET: a file of the UI.
ROUTES = ["/api/v1/users", "/api/v1/auth/me", "/api/v1/roles/owner", "/api/v1/audit-logs", "/api/v1/stream/events", "/ws/v1/events", "/ws/events",
          "/health/live", "/health/ready", "/metrics", "/debug/fibers", "/.well-known/jwks.json", "/api/v1/openapi.json", "/applications", "ASSET"]


def ask(server, token, path, method="GET", socket_wanted=False):
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{server.port}"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if socket_wanted:
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        lines += ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Protocol: dockflow.v1"]
    else:
        lines.append("Connection: close")
    with socket.create_connection(("127.0.0.1", server.port), 10) as s:
        s.sendall("\r\n".join([*lines, "", ""]).encode())
        data = b""
        while b"\r\n\r\n" not in data and (chunk := s.recv(65536)):
            data += chunk
        if not socket_wanted and b"text/event-stream" not in data:
            while chunk := s.recv(65536):
                data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), head.decode().lower(), body.decode(errors="replace")


def spellings(path):
    """(spelling, always 400): the others may be a name that does not exist."""
    first, rest = path[1:].split("/", 1) if "/" in path[1:] else (path[1:], "")
    last = path.rsplit("/", 1)
    escaped = "%{:02x}".format(ord(path[-1]))
    yield from ((s, True) for s in (
        path + "/", path + "//", "/" + path, f"/{first}//{rest}", last[0] + "/./" + last[1], last[0] + "/x/../" + last[1], "/%2e%2e" + path, "/%2E" + path,
        f"/x/%2e%2e{path}", last[0] + "/%2e/" + last[1], path + ";x", path + ";x=1", f"/{first};x/{rest}", path + "%00", path + "%00.js", path + "%2f", path + "%2F..",
        "/" + path[1:].replace("/", "%2f") + "%2f", path[:-1] + escaped, path + "%", path + "%zz", path + "%5c", path + "\\", "/" + path[1:].replace("/", "\\") + "\\", path + "%0d%0aX:1",
        path + "%c0%ae", path + "/%c0%ae%c0%ae/", path + "/..", path + "/.", path + "%3bx"))
    yield from ((s, False) for s in (path.upper(), path.title(), path + ".json", path + "%20", path + "/x/y/z", path + "%3fa"))


@pytest.fixture(scope="module")
def asset(server):
    page = ask(server, None, "/")[2]
    found = re.search(r'(?:src|href)="(/[^"]+\.js)"', page)
    return found.group(1) if found else None


@pytest.mark.parametrize("route", ROUTES)
def test_a_route_has_one_spelling(server, admin, asset, route):
    path = asset if route == "ASSET" else route
    if path is None or (path == "/applications" and asset is None):
        pytest.skip("built without the UI")
    live = path.startswith("/ws/")
    good, _, content = ask(server, admin.token, path, socket_wanted=live)
    assert good == (101 if live else 200)
    page = ask(server, admin.token, "/")[2]
    # index.html has a nonce of its own for each answer
    same = lambda x, y: re.sub(r'nonce[^>]*', "", x) == re.sub(r'nonce[^>]*', "", y)
    for other, strict in spellings(path):
        if other == path:
            continue
        for method in ("GET", "HEAD") if not live else ("GET",):
            status, head, body = ask(server, admin.token, other, method, live)
            if strict:
                assert status == 400 and (method == "HEAD" or '"bad_path"' in body.lower()), (other, status, body[:200])
            else:
                # Nothing, or the page of the UI, which says so itself.
                assert status in (400, 404) or (status == 200 and "text/html" in head), (other, status, body[:200])
                assert method == "HEAD" or status != 200 or same(body, page), (other, body[:200])


def test_no_spelling_lends_a_right(server, user):
    """Somebody without rights, through every door beside a route that needs one."""
    nobody = user(("viewer", PLATFORM))
    for path in ("/api/v1/users", "/api/v1/audit-logs", "/debug/fibers", "/metrics"):
        refused = ask(server, nobody.token, path)[0]
        assert refused in (403, 404), path
        for open_path in ("/health/live", "/.well-known/jwks.json", "/api/v1/auth/me"):
            for way in (f"{open_path}/..{path}", f"{open_path}/%2e%2e{path}", f"{open_path}/../..{path}", f"{open_path}%2f..{path}", f"{open_path};{path}", f"{open_path}//{path}",
                        f"{open_path}%00{path}", f"{open_path}?/..{path}", f"{path}?{open_path}", f"{path};{open_path}", f"{path}/../..{open_path}"):
                status, _, body = ask(server, nobody.token, way)
                assert status in (400, 403, 404), (way, status, body[:200])
        for header in ("X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Path", "X-HTTP-Method-Override"):
            r = nobody.http.get("/health/live", headers={header: path})
            assert r.status_code in (200, 400) and "items" not in r.text and "fibers" not in r.text
