"""Webhooks in: signatures over raw bytes, repetitions, what they set off (WH1-WH3)."""
import concurrent.futures
import contextlib
import hashlib
import hmac
import json
import select
import socket
import time
import uuid

import httpx
import pytest

from conftest import first_admin, make_org, unique
from live import SERVICE, application, queue_held, until


def sign(secret, body):
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


@pytest.fixture
def hook(owner, repo, make_repository, live_server):
    repo.commit({"compose.yaml": SERVICE})
    repository = make_repository(pollSeconds=0)
    until(lambda: owner.get(f"/repositories/{repository['id']}")["state"] == "ok")
    secret = owner.post(f"/repositories/{repository['id']}/webhook-secret", expect=200).json()["secret"]

    class Hook:
        def __init__(self):
            self.repository, self.secret, self.url = repository, secret, live_server.url + repository["webhookUrl"]

        def send(self, body=b'{"ref":"refs/heads/main","after":"x"}', github=True, signature=None, delivery=None, headers=()):
            h = {"content-type": "application/json"}
            if signature is not False:
                h["X-Hub-Signature-256" if github else "X-DockFlow-Signature"] = sign(secret, body) if signature is None else signature
            h["X-GitHub-Event" if github else "X-DockFlow-Event"] = "push"
            if delivery:
                h["X-GitHub-Delivery" if github else "X-DockFlow-Delivery"] = delivery
            return httpx.post(self.url, content=body, headers=list(h.items()) + list(headers))

    return Hook()


@pytest.mark.parametrize("github", [True, False])
def test_a_push_makes_it_look(owner, repo, hook, github):
    sha = repo.commit({"more.txt": "1"})
    r = hook.send(github=github, delivery=str(uuid.uuid4()))
    assert r.status_code == 202 and r.json() == {"accepted": True}, r.text
    until(lambda: owner.get(f"/repositories/{hook.repository['id']}")["lastCommit"] == sha, 15, what="poll after a push")


def test_bad_signatures(hook):
    body = b'{"ref":"refs/heads/main"}'
    good = sign(hook.secret, body)
    for signature in (False, "sha256=" + "0" * 64, "sha1=" + "0" * 40, good.upper().replace("SHA256", "sha256")[:-1], good[:-2], good + "00", "", sign("other", body),
                      sign(hook.secret, body + b" "), sign(hook.secret, json.dumps(json.loads(body)).encode())):
        r = hook.send(body, signature=signature)
        assert r.status_code == 401 and r.json()["error"]["code"] == "SIGNATURE_INVALID", (signature, r.text)
    twice = hook.send(body, headers=[("X-Hub-Signature-256", good)])
    assert twice.status_code in (400, 401)
    both = hook.send(body, headers=[("X-DockFlow-Signature", good)])
    assert both.status_code == 401
    sha1 = httpx.post(hook.url, content=body, headers={"X-Hub-Signature": "sha1=" + hmac.new(hook.secret.encode(), body, "sha1").hexdigest()})
    assert sha1.status_code == 401


def test_unknown_hooks_answer_the_same(hook, live_server):
    body = b"{}"
    a = httpx.post(live_server.url + "/api/v1/hooks/" + "x" * 24, content=body, headers={"X-Hub-Signature-256": sign("x", body)})
    b = hook.send(body, signature=sign("x", body))
    strip = lambda r: {k: v for k, v in r.json()["error"].items() if k not in ("timestamp", "requestId")}
    assert (a.status_code, strip(a)) == (b.status_code, strip(b)) == (401, strip(b))


def test_a_repetition_does_nothing(owner, hook, live_server):
    delivery = str(uuid.uuid4())
    assert hook.send(delivery=delivery).status_code == 202
    again = hook.send(delivery=delivery)
    assert again.status_code == 200 and again.json() == {"accepted": False, "duplicate": True}


def test_the_body_decides_nothing(hook):
    for body in (b"", b"{", b"null", b'{"ref":null,"commits":null}', b'{"ref":{"a":1},"after":[]}', b"\xff\xfe", b'"' + b"x" * 100000 + b'"'):
        assert hook.send(body, delivery=str(uuid.uuid4())).status_code == 202, body[:20]


def test_a_new_secret_ends_the_old(owner, hook):
    owner.post(f"/repositories/{hook.repository['id']}/webhook-secret", expect=200)
    assert hook.send().status_code == 401


def test_no_secret_no_hook(owner, repo, make_repository, live_server):
    repo.commit({"compose.yaml": SERVICE})
    r = make_repository()
    assert r["webhookSecretSet"] is False
    body = b"{}"
    for secret in ("", "no such hook"):
        a = httpx.post(live_server.url + r["webhookUrl"], content=body, headers={"X-Hub-Signature-256": sign(secret, body)})
        assert a.status_code == 401


@pytest.mark.parametrize("mib", [6, 26])
def test_too_large(hook, mib):
    try:
        assert hook.send(b"x" * (mib << 20)).status_code == 413
    except httpx.TransportError:
        pass  # it does not wait for the rest
    assert hook.send(b"x" * (4 << 20)).status_code == 202


def test_a_burst_is_few_looks(owner, hook, live_server):
    """However many pushes come while one is looked at: one look follows."""
    before = len(owner.all("/tasks", kind="repository.poll", object=hook.repository["id"], all="true"))
    with queue_held(live_server, hook.repository, "repo"):
        for _ in range(30):
            assert hook.send(delivery=str(uuid.uuid4())).status_code == 202
        polls = owner.all("/tasks", kind="repository.poll", object=hook.repository["id"], all="true")
        assert len([t for t in polls if t["state"] == "queued"]) == 1 and len(polls) - before == 1


def test_what_a_push_sets_off_says_so(owner, hook, live_server, repo, docker, make_app):
    app, sha = make_app({"compose.yaml": SERVICE + "    labels: {x: '1'}\n"}, repository=hook.repository, policy={"automated": True, "prune": True})
    application(owner, app, sync="Synced", health="Healthy", deployed=sha)
    second = repo.commit({"compose.yaml": SERVICE + "    labels: {x: '2'}\n"}, "two")
    assert hook.send(delivery=str(uuid.uuid4())).status_code == 202
    application(owner, app, sync="Synced", deployed=second)
    assert [d["trigger"] for d in owner.get(f"/applications/{app['id']}/deployments")["items"]] == ["webhook", "auto"]


# ---- who costs what -----------------------------------------------------------------------------------

class Limited:
    """A server with its limits on, and one hook."""

    def __init__(self, server):
        self.server, owner = server, first_admin(server)
        home = make_org(owner)
        r = owner.make("/repositories", {"name": unique("r"), "url": "https://127.0.0.1:9/x.git", "projectId": home["project"]["id"],
                                         "pollSeconds": 0})
        self.secret = owner.post(f"/repositories/{r['id']}/webhook-secret", expect=200).json()["secret"]
        self.path = r["webhookUrl"]

    def send(self, path=None, secret=None):
        body = b'{"ref":"refs/heads/main"}'
        return httpx.post(self.server.url + (path or self.path), content=body, headers={
            "X-Hub-Signature-256": sign(secret or self.secret, body), "X-GitHub-Delivery": str(uuid.uuid4())})

    def upload(self, chunked=False):
        """A connection with a large body under way that does not end."""
        s = socket.create_connection(("127.0.0.1", self.server.port), 10)
        size = "Transfer-Encoding: chunked" if chunked else "Content-Length: 5242880"
        s.sendall(f"POST {self.path} HTTP/1.1\r\nHost: t\r\n{size}\r\n\r\n".encode())
        with contextlib.suppress(OSError):
            s.sendall(b"100000\r\n" + b"x" * (1 << 20) + b"\r\n" if chunked else b"x" * 1000)
        return s

    def waits(self, s):
        """Does the server want the rest? None when it refused."""
        s.settimeout(1)
        try:
            return s.recv(4096) and None
        except TimeoutError:
            return True
        except OSError:
            return None


@pytest.fixture
def limited(new_server, new_database):
    return Limited(new_server(new_database().url, {"DOCKFLOW_RATE_LIMIT_ENABLED": "true", "DOCKFLOW_LIMITS_RATE_HOOK_PER_MINUTE": "3"}))


def test_forged_calls_cost_their_sender_and_not_the_hook(limited):
    for _ in range(6):
        assert limited.send(secret="guess").status_code == 401
    assert [limited.send().status_code for _ in range(4)] == [202, 202, 202, 429]


def test_unknown_hooks_cost_their_sender(limited):
    with concurrent.futures.ThreadPoolExecutor(8) as together:  # faster than the allowance grows again, also on a busy machine
        answers = list(together.map(lambda i: limited.send(path=f"/api/v1/hooks/{i:024d}"), range(120)))
    refused = [r for r in answers if r.status_code == 429]
    assert answers[0].status_code == 401 and refused and int(refused[0].headers["retry-after"]) >= 1


@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_under_way_are_bounded_together(limited, chunked):
    """WH2: what is held for callers nobody has checked yet has an end, for one address and for all."""
    held = [limited.upload(chunked) for _ in range(40)]
    room = 32 if chunked else 6
    until(lambda: len(select.select(held, [], [], 0)[0]) >= 40 - room, 8, what="refusal of what is too much")
    # Near the end several may grow at once and all be refused.
    assert room // 2 <= 40 - len(select.select(held, [], [], 1)[0]) <= room
    assert limited.send().status_code == 202  # small ones still pass
    for s in held:
        s.close()
    until(lambda: limited.waits(limited.upload(chunked)), 10)  # there is room again


def test_who_is_refused_is_told_when_to_come_back(limited):
    held = [limited.upload() for _ in range(7)]
    text = held[6].recv(4096)
    assert text.startswith(b"HTTP/1.1 429") and b"retry-after: " in text.lower()


def test_a_body_that_came_gives_its_room_back(limited):
    for _ in range(10):
        r = httpx.post(limited.server.url + limited.path, content=b"x" * (4 << 20))
        assert r.status_code == 401, r.text
    with httpx.Client(base_url=limited.server.url) as kept:
        for _ in range(10):
            assert kept.post(limited.path, content=b"x" * (4 << 20)).status_code in (401, 429)
            time.sleep(0.1)
        assert kept.post(limited.path, content=b"x" * (4 << 20)).status_code == 401
