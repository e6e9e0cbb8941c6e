"""Webhooks in: signatures over raw bytes, repetitions, what they set off (WH1-WH3)."""
import hashlib
import hmac
import json
import time
import uuid

import httpx
import pytest

from conftest import unique
from live import SERVICE, until


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


def test_too_large(hook):
    try:
        assert hook.send(b"x" * (26 << 20)).status_code == 413
    except httpx.TransportError:
        pass  # it does not wait for the rest
    assert hook.send().status_code == 202
